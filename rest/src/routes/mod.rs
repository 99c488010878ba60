//! The route table: every path with its methods. What is not here is 404, another method is 405, `OPTIONS` lists them.

mod connectors;
mod internal;
mod jobs;
mod loggers;
mod metrics;
mod offsets;
mod plugins;
mod portal;
mod root;
mod state;
mod tasks;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use connect_cluster::jobs::Jobs;
use connect_cluster::{ClusterView, Command, ConnectorView, Herd, HerdError, Reply};
use tokio_util::sync::CancellationToken;

use crate::error::{RestError, RestResult, Unmatched};
use crate::forward::{Forwarder, Incoming};
use crate::guard;
use crate::loggers::Loggers;
use crate::negotiate::{self, Takes, events_only, json_only};
use crate::scrape::MetricsEndpoint;

/// How long a read waits for a worker that starts (`ConnectorsResource.DEFAULT_REST_REQUEST_TIMEOUT_MS`).
const LOADING_TIMEOUT: Duration = Duration::from_secs(90);
/// How often it looks.
const LOADING_PAUSE: Duration = Duration::from_millis(20);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) herd: Arc<dyn Herd>,
    /// `None` where the worker has no jobs: then neither have paths.
    pub(crate) jobs: Option<Arc<dyn Jobs>>,
    pub(crate) loggers: Arc<dyn Loggers>,
    pub(crate) forwarder: Forwarder,
    pub(crate) metrics: Option<MetricsEndpoint>,
    pub(crate) topic_tracking: bool,
    pub(crate) topic_tracking_reset: bool,
    /// Cancelled when the server stops: answers that would go on end then.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn view(&self) -> Arc<ClusterView> {
        self.herd.view()
    }

    /// The snapshot, once there is something to be seen in it: a worker that starts has not read its topics yet, and a
    /// list without connectors would make tools create them again.
    pub(crate) async fn loaded(&self) -> RestResult<Arc<ClusterView>> {
        let deadline = tokio::time::Instant::now() + LOADING_TIMEOUT;
        loop {
            let view = self.view();
            if view.loaded {
                return Ok(view);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(RestError::internal(
                    "Request timed out. The worker is currently reading to the end of internal topics.",
                ));
            }
            tokio::time::sleep(LOADING_PAUSE).await;
        }
    }

    /// A connector of the snapshot, or 404.
    pub(crate) async fn connector(&self, name: &str) -> RestResult<Arc<ConnectorView>> {
        let found = self.known(name).await?;
        found.ok_or_else(|| RestError::not_found(format!("Connector {name} not found")))
    }

    /// A connector of the snapshot, when there is one of this name.
    pub(crate) async fn known(&self, name: &str) -> RestResult<Option<Arc<ConnectorView>>> {
        Ok(self.loaded().await?.connectors.get(name).cloned())
    }

    /// Asks the herder, or has another worker asked.
    pub(crate) async fn ask(&self, command: Command, request: Incoming) -> RestResult<Answer> {
        let asked = self.herd.ask(command, request.hop).await;
        self.settle(asked, request).await
    }

    /// What came of a request here, or, where another worker is the one to do it, there.
    pub(crate) async fn settle<T>(&self, asked: Result<T, HerdError>, request: Incoming) -> RestResult<Answer<T>> {
        match asked {
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
pub(crate) enum Answer<T = Reply> {
    /// By this worker.
    Here(T),
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
        .with(metrics::routes)
}

/// Jobs and the page that shows them, on top of [`main`].
pub(crate) fn jobs() -> Table {
    Table::default().with(jobs::routes).with(portal::routes)
}

/// `/admin`, on listeners of its own.
pub(crate) fn admin_alone() -> Table {
    admin().with(metrics::routes)
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

    /// Adds a path whose methods all take JSON, with and without a slash at its end. `allow` is what `OPTIONS` answers,
    /// in the order of the JVM's hash set.
    fn path(self, path: &str, allow: &'static str, methods: MethodRouter<App>) -> Self {
        self.path_of(path, allow, taking(Takes::Json, methods))
    }

    /// The same for methods that say themselves what they take, see [`taking`].
    fn path_of(self, path: &str, allow: &'static str, methods: MethodRouter<App>) -> Self {
        let options = move |headers: HeaderMap| async move { negotiate::options(&headers, allow) };
        let options = axum::routing::options(options).route_layer(from_fn(guard::admit));
        let methods = methods.merge(options).fallback(|| async { RestError::plain(StatusCode::METHOD_NOT_ALLOWED) });
        let router = self.router.route(path, methods.clone());
        let router = if path.ends_with('/') { router } else { router.route(&format!("{path}/"), methods) };
        Self { router }
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        Self { router: self.router.merge(other.router) }
    }

    pub(crate) fn into_router(self, app: App) -> Router {
        let routes = self.router.fallback(any(|| async { RestError::plain(StatusCode::NOT_FOUND) })).with_state(app);
        // Around the routes, not behind them: it takes away what the router itself adds.
        Router::new().fallback_service(routes).layer(from_fn(unlabelled))
    }
}

/// Methods that take bodies of a kind and answer with JSON.
fn taking(takes: Takes, methods: MethodRouter<App>) -> MethodRouter<App> {
    let methods = methods.route_layer(from_fn(guard::admit));
    methods.route_layer(from_fn(move |request: Request, next: Next| json_only(takes, request, next)))
}

/// Methods that answer with events as they come.
fn events_of(methods: MethodRouter<App>) -> MethodRouter<App> {
    methods.route_layer(from_fn(guard::admit)).route_layer(from_fn(events_only))
}

/// Methods whose answers are of one type, whatever a browser says it likes best.
fn files(methods: MethodRouter<App>) -> MethodRouter<App> {
    methods.route_layer(from_fn(guard::admit))
}

/// Answers that no endpoint gave carry neither a media type nor, for a method that is not allowed, the allowed ones.
async fn unlabelled(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<Unmatched>().is_some() {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    if !asks {
        response.headers_mut().remove(ALLOW);
    }
    response
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

    /// A task number, which may be one that no task has; what is no integer is no resource.
    pub(crate) fn task(&self) -> RestResult<i32> {
        self.get("task").parse().map_err(|_| RestError::plain(StatusCode::NOT_FOUND).matched())
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
