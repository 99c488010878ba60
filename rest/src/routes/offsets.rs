//! Offsets of a connector (KIP-875): read, alter, reset.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use connect_cluster::{Command, Reply};

use super::{Answer, App, Segments, Table};
use crate::body::AlterOffsets;
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;
use crate::model::{Message, Offset, Offsets};

pub(super) fn routes(table: Table) -> Table {
    table.path("/connectors/{name}/offsets", "HEAD,DELETE,GET,OPTIONS,PATCH", get(read).patch(alter).delete(reset))
}

async fn read(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.connector(path.name()).await?;
    match app.ask(Command::Offsets { name: path.name().to_owned() }, request).await? {
        Answer::Here(Reply::Offsets(offsets)) => {
            Ok(Json(Offsets { offsets: offsets.into_iter().map(Offset::from).collect() }).into_response())
        }
        Answer::Here(_) => Err(RestError::internal("the herder gave no offsets back")),
        Answer::Elsewhere(response) => Ok(response),
    }
}

async fn alter(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    let entries = request.read::<AlterOffsets>()?.into_entries();
    if entries.is_empty() {
        return Err(RestError::bad_request("Partitions / offsets need to be provided for an alter offsets request"));
    }
    change(app, &path, Some(entries), request).await
}

async fn reset(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    change(app, &path, None, request).await
}

async fn change(
    app: App,
    path: &Segments,
    offsets: Option<Vec<connect_cluster::OffsetEntry>>,
    request: Incoming,
) -> RestResult {
    match app.ask(Command::AlterOffsets { name: path.name().to_owned(), offsets }, request).await? {
        Answer::Here(Reply::Message(message)) => Ok(Json(Message { message }).into_response()),
        Answer::Here(_) => Err(RestError::internal("the herder did not say what became of the offsets")),
        Answer::Elsewhere(response) => Ok(response),
    }
}
