//! `GET /` and `GET /health` (KIP-1017).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{App, Table, taking};
use crate::json::Json;
use crate::model::{ServerInfo, WorkerStatus};
use crate::negotiate::Takes;
use crate::{API_COMMIT, API_VERSION};

pub(super) fn routes(table: Table) -> Table {
    table.path_of("/", "HEAD,GET,OPTIONS", taking(Takes::Anything, get(info))).path_of(
        "/health",
        "HEAD,GET,OPTIONS",
        taking(Takes::Anything, get(health)),
    )
}

async fn info(State(app): State<App>) -> Response {
    let view = app.view();
    let info = ServerInfo { version: API_VERSION, commit: API_COMMIT, kafka_cluster_id: &view.kafka_cluster_id };
    Json(info).into_response()
}

async fn health(State(app): State<App>) -> Response {
    let view = app.view();
    let (code, status, message) = match (view.ready, view.been_ready) {
        (true, _) if view.problem.is_none() => {
            (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests.")
        }
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting", "Worker is still starting up."),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            "Worker was unable to handle this request and may be unable to handle other requests.",
        ),
    };
    (code, Json(WorkerStatus { status, message })).into_response()
}
