//! Pause, resume, stop (KIP-875) and restart (KIP-745) of a connector.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{post, put};
use connect_cluster::{Command, Reply, Target};

use super::{Answer, App, Query, Segments, Table};
use crate::error::RestResult;
use crate::forward::Incoming;
use crate::json::Json;
use crate::model::ConnectorStatus;

pub(super) fn routes(table: Table) -> Table {
    table
        .path("/connectors/{name}/pause", "OPTIONS,PUT", put(pause))
        .path("/connectors/{name}/resume", "OPTIONS,PUT", put(resume))
        .path("/connectors/{name}/stop", "OPTIONS,PUT", put(stop))
        .path("/connectors/{name}/restart", "POST,OPTIONS", post(restart))
}

fn set(path: &Segments, target: Target) -> Command {
    Command::SetTarget { name: path.name().to_owned(), target }
}

async fn pause(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.done(set(&path, Target::Paused), request, StatusCode::ACCEPTED).await
}

async fn resume(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.done(set(&path, Target::Started), request, StatusCode::ACCEPTED).await
}

async fn stop(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.done(set(&path, Target::Stopped), request, StatusCode::NO_CONTENT).await
}

async fn restart(State(app): State<App>, path: Segments, query: Query, request: Incoming) -> RestResult {
    let command = Command::Restart {
        name: path.name().to_owned(),
        include_tasks: query.flag("includeTasks"),
        only_failed: query.flag("onlyFailed"),
    };
    match app.ask(command, request).await? {
        Answer::Here(Reply::Restarting(status)) => {
            Ok((StatusCode::ACCEPTED, Json(ConnectorStatus::from(&status))).into_response())
        }
        Answer::Here(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Answer::Elsewhere(response) => Ok(response),
    }
}
