//! Topics that a connector used (KIP-558).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use connect_cluster::Command;
use serde_json::json;

use super::{App, Segments, Table};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;

pub(super) fn routes(table: Table) -> Table {
    table.path("/connectors/{name}/topics", "HEAD,GET,OPTIONS", get(list)).path(
        "/connectors/{name}/topics/reset",
        "OPTIONS,PUT",
        put(reset),
    )
}

async fn list(State(app): State<App>, path: Segments) -> RestResult {
    refuse_unless(app.topic_tracking, "Topic tracking is disabled.")?;
    let connector = app.known(path.name()).await?;
    let topics = connector.as_ref().map_or(&[][..], |connector| &connector.topics);
    Ok(Json(json!({ path.name(): { "topics": topics } })).into_response())
}

async fn reset(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    refuse_unless(app.topic_tracking, "Topic tracking is disabled.")?;
    refuse_unless(app.topic_tracking_reset, "Topic tracking reset is disabled.")?;
    app.done(Command::ResetTopics { name: path.name().to_owned() }, request, StatusCode::ACCEPTED).await
}

fn refuse_unless(enabled: bool, message: &str) -> RestResult<()> {
    if enabled { Ok(()) } else { Err(RestError::forbidden(message)) }
}
