//! The route table: every path with its methods. What is not here is 404, another method is 405, `OPTIONS` lists them.

mod connectors;
mod internal;
mod loggers;
mod offsets;
mod plugins;
mod root;
mod state;
mod tasks;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::ALLOW;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use connect_cluster::{ClusterView, Command, ConnectorView, Herd, HerdError, Reply};

use crate::error::{RestError, RestResult};
use crate::forward::{Forwarder, Incoming};
use crate::loggers::Loggers;
use crate::negotiate::json_only;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) herd: Arc<dyn Herd>,
    pub(crate) loggers: Arc<dyn Loggers>,
    pub(crate) forwarder: Forwarder,
    pub(crate) topic_tracking: bool,
    pub(crate) topic_tracking_reset: bool,
}

impl App {
    pub(crate) fn view(&self) -> Arc<ClusterView> {
        self.herd.view()
    }

    /// A connector of the snapshot, or 404.
    pub(crate) fn connector(&self, name: &str) -> RestResult<Arc<ConnectorView>> {
        let found = self.view().connectors.get(name).cloned();
        found.ok_or_else(|| RestError::not_found(format!("Connector {name} not found")))
    }

    /// Asks the herder, or has another worker asked.
    pub(crate) async fn ask(&self, command: Command, request: Incoming) -> RestResult<Answer> {
        match self.herd.ask(command, request.hop).await {
            Ok(reply) => Ok(Answer::Here(reply)),
            Err(HerdError::Elsewhere { url }) => {
                self.forwarder.forward(request, url.as_deref()).await.map(Answer::Elsewhere)
            }
            Err(HerdError::Refused { status, message }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Err(RestError::new(status, message))
            }
        }
    }

    /// For commands whose answer is only a status.
    pub(crate) async fn done(&self, command: Command, request: Incoming, status: StatusCode) -> RestResult {
        match self.ask(command, request).await? {
            Answer::Here(_) => Ok(status.into_response()),
            Answer::Elsewhere(response) => Ok(response),
        }
    }
}

/// Where a command was done.
pub(crate) enum Answer {
    /// By this worker's herder.
    Here(Reply),
    /// By another worker, whose answer this is.
    Elsewhere(Response),
}

/// Everything but `/admin`.
pub(crate) fn main() -> Table {
    Table::default()
        .with(root::routes)
        .with(connectors::routes)
        .with(state::routes)
        .with(tasks::routes)
        .with(offsets::routes)
        .with(topics::routes)
        .with(plugins::routes)
        .with(internal::routes)
}

/// `/admin`.
pub(crate) fn admin() -> Table {
    Table::default().with(loggers::routes)
}

/// A table of routes that answers 404, 405 and `OPTIONS` as JAX-RS does.
#[derive(Default)]
pub(crate) struct Table {
    router: Router<App>,
}

impl Table {
    fn with(self, routes: fn(Self) -> Self) -> Self {
        routes(self)
    }

    /// Adds a path, with and without a slash at its end. `allow` is what `OPTIONS` answers.
    fn path(self, path: &str, allow: &'static str, methods: MethodRouter<App>) -> Self {
        let options = move || async move { [(ALLOW, HeaderValue::from_static(allow))].into_response() };
        let methods = methods
            .route_layer(from_fn(json_only))
            .options(options)
            .fallback(|| async { RestError::plain(StatusCode::METHOD_NOT_ALLOWED) });
        let router = self.router.route(path, methods.clone());
        let router = if path.ends_with('/') { router } else { router.route(&format!("{path}/"), methods) };
        Self { router }
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        Self { router: self.router.merge(other.router) }
    }

    pub(crate) fn into_router(self, app: App) -> Router {
        self.router.fallback(any(|| async { RestError::plain(StatusCode::NOT_FOUND) })).with_state(app)
    }
}

/// One decoded segment of the path, by its name in the route.
pub(crate) struct Segments(Vec<(String, String)>);

impl Segments {
    /// The segment `{name}`, which every route under `/connectors/{name}` has.
    pub(crate) fn name(&self) -> &str {
        self.get("name")
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    /// A task number; what is no integer is no resource.
    pub(crate) fn task(&self) -> RestResult<u32> {
        let number: Option<i32> = self.get("task").parse().ok();
        number.and_then(|task| u32::try_from(task).ok()).ok_or_else(|| RestError::plain(StatusCode::NOT_FOUND))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| RestError::plain(StatusCode::BAD_REQUEST))?;
        Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

/// Query parameters, decoded, in order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The first value of a parameter.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A flag that is false unless it says true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.first(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let decode =
            |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Ok(Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        ))
    }
}

impl<S: Send + Sync> axum::extract::FromRequest<S> for Incoming {
    type Rejection = RestError;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let limited = axum::extract::Request::from_parts(parts.clone(), body);
        let body = axum::body::Bytes::from_request(limited, state)
            .await
            .map_err(|rejection| RestError::new(rejection.status(), rejection.body_text()))?;
        Ok(Self::new(parts.method, &parts.uri, &parts.headers, body))
    }
}
