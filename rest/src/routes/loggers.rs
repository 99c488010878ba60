//! `/admin/loggers` (KIP-495, KIP-976).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connect_cluster::Command;
use serde::Serialize;
use std::collections::BTreeMap;

use super::{App, Query, Segments, Table};
use crate::body::StringMap;
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;
use crate::loggers::{LoggerLevel, parse_level};

pub(super) fn routes(table: Table) -> Table {
    table.path("/admin/loggers", "HEAD,GET,OPTIONS", get(list)).path(
        "/admin/loggers/{logger}",
        "HEAD,GET,OPTIONS,PUT",
        get(read).put(set),
    )
}

#[derive(Serialize)]
struct Level {
    level: &'static str,
    last_modified: Option<i64>,
}

impl From<LoggerLevel> for Level {
    fn from(level: LoggerLevel) -> Self {
        Self { level: level.level, last_modified: level.last_modified }
    }
}

async fn list(State(app): State<App>) -> Response {
    let levels: BTreeMap<String, Level> = app.loggers.all().into_iter().map(|(k, v)| (k, v.into())).collect();
    Json(levels).into_response()
}

async fn read(State(app): State<App>, path: Segments) -> RestResult {
    let logger = path.get("logger");
    let level = app.loggers.get(logger).ok_or_else(|| RestError::not_found(format!("Logger {logger} not found.")))?;
    Ok(Json(Level::from(level)).into_response())
}

async fn set(State(app): State<App>, path: Segments, query: Query, request: Incoming) -> RestResult {
    let StringMap(body) = request.read()?;
    let given = body.get("level").cloned().flatten();
    let given =
        given.ok_or_else(|| RestError::bad_request("Desired 'level' parameter was not specified in request."))?;
    if given.trim().is_empty() {
        return Err(RestError::new(StatusCode::INTERNAL_SERVER_ERROR, "Illegal null or empty Level name."));
    }
    let level = parse_level(&given).ok_or_else(|| RestError::not_found(format!("invalid log level '{given}'.")))?;
    let logger = path.get("logger").to_owned();
    match query.first("scope").unwrap_or_default().to_ascii_lowercase().as_str() {
        "cluster" => {
            let command = Command::SetClusterLogLevel { logger, level: level.to_owned() };
            app.done(command, request, StatusCode::NO_CONTENT).await
        }
        "" | "worker" => Ok(Json(app.loggers.set(&logger, level)).into_response()),
        other => {
            tracing::warn!(scope = other, "unknown scope of a log level; the level is set on this worker only");
            Ok(Json(app.loggers.set(&logger, level)).into_response())
        }
    }
}
