//! Plugins: list, configuration keys (KIP-769), validation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use connect_cluster::HerdError;

use super::{App, Query, Segments, Table};
use crate::body::StringMap;
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;
use crate::model::{ConfigInfos, PluginInfo, key_infos};

pub(super) fn routes(table: Table) -> Table {
    table
        .path("/connector-plugins", "HEAD,GET,OPTIONS", get(list))
        .path("/connector-plugins/{name}/config", "HEAD,GET,OPTIONS", get(config))
        .path("/connector-plugins/{name}/config/validate", "OPTIONS,PUT", put(validate))
}

async fn list(State(app): State<App>, query: Query) -> Response {
    // A flag without a value keeps its default, any other text than "true" switches it off.
    let connectors_only = query.first("connectorsOnly").is_none_or(|v| v.is_empty() || v.eq_ignore_ascii_case("true"));
    let plugins = app.herd.plugins().into_iter();
    let wanted = plugins.filter(|plugin| !connectors_only || matches!(plugin.kind, "source" | "sink"));
    Json(wanted.map(PluginInfo::from).collect::<Vec<_>>()).into_response()
}

async fn config(State(app): State<App>, path: Segments) -> RestResult {
    let def = app.herd.plugin_config(path.name()).map_err(refused)?;
    Ok(Json(key_infos(&def)).into_response())
}

async fn validate(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    let StringMap(config) = request.read()?;
    let class = config.get("connector.class").cloned().flatten();
    if let Some(class) = &class
        && !without_suffix(class).ends_with(without_suffix(path.name()))
    {
        return Err(RestError::bad_request(format!(
            "Included connector type {class} does not match request type {}",
            path.name()
        )));
    }
    let validated = app.herd.validate(path.name(), &config).await.map_err(refused)?;
    Ok(Json(ConfigInfos::new(class.unwrap_or_default(), validated)).into_response())
}

/// A class name is the same with and without `Connector` at its end.
fn without_suffix(class: &str) -> &str {
    class.strip_suffix("Connector").filter(|rest| !rest.is_empty()).unwrap_or(class)
}

fn refused(error: HerdError) -> RestError {
    match error {
        HerdError::Refused { status, message } => {
            RestError::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
        }
        HerdError::Elsewhere { .. } => RestError::internal("a question about plugins is answered by any worker"),
    }
}
