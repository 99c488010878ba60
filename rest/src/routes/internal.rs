//! Requests between workers, signed under the `sessioned` protocol (KIP-507). The herder checks the signature.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::put;
use connect_cluster::{Command, Signature};

use super::{App, Segments, Table, taking};
use crate::body::{StringMap, bind_or_null};
use crate::error::RestResult;
use crate::forward::Incoming;
use crate::negotiate::Takes;

pub(super) fn routes(table: Table) -> Table {
    table.path_of("/connectors/{name}/fence", "OPTIONS,PUT", taking(Takes::Anything, put(fence)))
}

fn signature(headers: &HeaderMap, request: &Incoming) -> Signature {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Signature {
        body: request.body.to_vec(),
        authorization: text("X-Connect-Authorization"),
        algorithm: text("X-Connect-Request-Signature-Algorithm"),
    }
}

/// `POST /connectors/{name}/tasks`.
pub(super) async fn put_task_configs(
    State(app): State<App>,
    path: Segments,
    headers: HeaderMap,
    request: Incoming,
) -> RestResult {
    // Null is refused for its signature, which can't be right.
    let configs: Option<Vec<StringMap>> = bind_or_null(&request.body)?;
    let given = |StringMap(config): StringMap| config.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let configs = configs.unwrap_or_default().into_iter().map(|config| given(config).collect()).collect();
    let signature = signature(&headers, &request);
    let command = Command::PutTaskConfigs { name: path.name().to_owned(), configs, signature };
    app.done(command, request, StatusCode::NO_CONTENT).await
}

async fn fence(State(app): State<App>, path: Segments, headers: HeaderMap, request: Incoming) -> RestResult {
    let signature = signature(&headers, &request);
    app.done(Command::Fence { name: path.name().to_owned(), signature }, request, StatusCode::NO_CONTENT).await
}
