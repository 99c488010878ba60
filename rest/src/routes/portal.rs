//! The portal: a page for people, made of the files in [`crate::portal`].

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::{Segments, Table, files};
use crate::error::{RestError, RestResult};
use crate::portal;

pub(super) fn routes(table: Table) -> Table {
    table.path_of("/portal", "HEAD,GET,OPTIONS", files(get(page))).path_of(
        "/portal/{file}",
        "HEAD,GET,OPTIONS",
        files(get(file)),
    )
}

async fn page(request: Request) -> Response {
    portal::page(request.uri().path().ends_with('/')).answer(request.headers())
}

async fn file(path: Segments, request: Request) -> RestResult {
    let file = portal::file(path.get("file")).ok_or_else(|| RestError::plain(StatusCode::NOT_FOUND))?;
    Ok(file.answer(request.headers()))
}
