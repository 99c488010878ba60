//! Tasks of a connector: list, status, restart; and, between workers, their configurations.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use connect_cluster::{Command, TaskId};

use super::{App, Segments, Table, internal, taking};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;
use crate::model::{State as WireState, TaskInfo};
use crate::negotiate::Takes;

pub(super) fn routes(table: Table) -> Table {
    table
        .path_of(
            "/connectors/{name}/tasks",
            "HEAD,POST,GET,OPTIONS",
            taking(Takes::Json, get(list)).merge(taking(Takes::Anything, post(internal::put_task_configs))),
        )
        .path("/connectors/{name}/tasks/{task}/status", "HEAD,GET,OPTIONS", get(status))
        .path("/connectors/{name}/tasks/{task}/restart", "POST,OPTIONS", post(restart))
}

async fn list(State(app): State<App>, path: Segments) -> RestResult {
    let connector = app.connector(path.name()).await?;
    Ok(Json(connector.tasks.iter().map(TaskInfo::from).collect::<Vec<_>>()).into_response())
}

async fn status(State(app): State<App>, path: Segments) -> RestResult {
    let task = path.task()?;
    let missing = || RestError::not_found(format!("No status found for task {}-{task}", path.name()));
    let connector = app.known(path.name()).await?.ok_or_else(missing)?;
    let tasks = connector.status.iter().flat_map(|status| &status.tasks);
    let (id, status) = tasks.into_iter().find(|(id, _)| i64::from(*id) == i64::from(task)).ok_or_else(missing)?;
    Ok(Json(WireState::new(Some(*id), status)).into_response())
}

async fn restart(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    let task = path.task()?;
    let Ok(task) = u32::try_from(task) else {
        let name = path.name();
        let unknown = if app.known(name).await?.is_some() {
            format!("Unknown task: {name}-{task}")
        } else {
            format!("Unknown connector: {name}")
        };
        return Err(RestError::not_found(unknown));
    };
    let id = TaskId { connector: path.name().into(), task };
    app.done(Command::RestartTask { id }, request, StatusCode::NO_CONTENT).await
}
