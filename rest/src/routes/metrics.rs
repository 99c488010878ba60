//! `/metrics`: for those who scrape, and the JVM's 404 for everybody else. Where the API asks for a password, this does, too,
//! but not on listeners of `admin.listeners`: the JVM worker asks for no password on those.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use super::{App, Table};
use crate::error::RestError;
use crate::guard::Guard;

pub(super) fn routes(table: Table) -> Table {
    Table { router: table.router.route("/metrics", any(answer)) }
}

async fn answer(State(app): State<App>, request: Request) -> Response {
    let serving = app.metrics.as_ref().filter(|metrics| metrics.serves(request.method(), request.headers()));
    let Some(metrics) = serving else { return RestError::plain(StatusCode::NOT_FOUND).into_response() };
    let auth = request.extensions().get::<Guard>().and_then(|guard| guard.auth.as_ref());
    if let Some(Err(refusal)) = auth.map(|auth| auth.check(request.method(), "/metrics", request.headers())) {
        return *refusal;
    }
    metrics.answer(request.headers()).await
}
