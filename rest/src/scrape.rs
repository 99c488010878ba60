//! `GET /metrics` for Prometheus.
//!
//! The JVM worker has no such path: on its listeners only a scraper gets an answer, who is known by its `Accept` header, and
//! everybody else the 404 that they know. A scrape reads numbers and waits for nobody; at most [`SCRAPES_AT_ONCE`] are
//! written at the same time, and one that takes too long is given up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connect_config::worker::Listener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::serve::ServeError;

/// How long a scrape may take; Prometheus gives up after ten seconds by itself.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Scrapes that are written at the same time; others wait for them.
const SCRAPES_AT_ONCE: usize = 2;
/// Connections that a listener for metrics alone serves at the same time; others wait.
const CONNECTIONS_MAX: usize = 64;

/// Writes the metrics as text. Must not wait for anything.
pub trait Scrape: Send + Sync {
    /// The text, and its `Content-Type`.
    fn scrape(&self, openmetrics: bool) -> (&'static str, String);
}

/// Who gets metrics from the listeners of the REST API (`metrics.http.enable`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Those who ask for `application/openmetrics-text` or `text/plain` (the key is not set).
    #[default]
    Scrapers,
    /// Everybody.
    Everybody,
    /// Nobody.
    Nobody,
}

/// Serves metrics.
#[derive(Clone)]
pub struct MetricsEndpoint {
    scrape: Arc<dyn Scrape>,
    access: MetricsAccess,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for MetricsEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsEndpoint").field("access", &self.access).finish_non_exhaustive()
    }
}

impl MetricsEndpoint {
    /// Serves what `scrape` writes to those who may have it.
    pub fn new(scrape: Arc<dyn Scrape>, access: MetricsAccess) -> Self {
        Self { scrape, access, permits: Arc::new(Semaphore::new(SCRAPES_AT_ONCE)) }
    }

    /// Whether a listener of the REST API answers this request.
    pub(crate) fn serves(&self, method: &Method, headers: &HeaderMap) -> bool {
        let may = match self.access {
            MetricsAccess::Everybody => true,
            MetricsAccess::Scrapers => Asked::of(headers) != Asked::Anything,
            MetricsAccess::Nobody => false,
        };
        may && matches!(*method, Method::GET | Method::HEAD)
    }

    /// The metrics in the format that is asked for.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Response {
        let openmetrics = Asked::of(headers) == Asked::OpenMetrics;
        let written = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
            let scrape = Arc::clone(&self.scrape);
            let writing = tokio::task::spawn_blocking(move || {
                let written = scrape.scrape(openmetrics);
                drop(permit);
                written
            });
            writing.await.ok()
        };
        match tokio::time::timeout(TIMEOUT, written).await {
            Ok(Some((content_type, text))) => ([(CONTENT_TYPE, content_type)], text).into_response(),
            Ok(None) | Err(_) => {
                tracing::warn!(timeout_ms = TIMEOUT.as_millis(), "metrics could not be written in time");
                (StatusCode::SERVICE_UNAVAILABLE, "metrics could not be written in time\n").into_response()
            }
        }
    }
}

/// What a request wants to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    OpenMetrics,
    Text,
    /// Neither by its name.
    Anything,
}

impl Asked {
    fn of(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut asked = Self::Anything;
        for range in ranges.flat_map(|value| value.split(',')) {
            let media = range.split(';').next().unwrap_or_default().trim();
            if media.eq_ignore_ascii_case("application/openmetrics-text") {
                return Self::OpenMetrics;
            }
            if media.eq_ignore_ascii_case("text/plain") {
                asked = Self::Text;
            }
        }
        asked
    }
}

/// Serves metrics alone, to everybody, at `/metrics` and `/`, until `cancel` is cancelled. Answers the addresses that were
/// bound and what serves them.
///
/// # Errors
/// When a listener can't be opened.
pub async fn serve_metrics(
    listeners: &[Listener],
    endpoint: &MetricsEndpoint,
    cancel: &CancellationToken,
) -> Result<Vec<(SocketAddr, JoinHandle<()>)>, ServeError> {
    let answer =
        |State(endpoint): State<MetricsEndpoint>, headers: HeaderMap| async move { endpoint.answer(&headers).await };
    let router = Router::new().route("/metrics", get(answer)).route("/", get(answer)).with_state(endpoint.clone());
    let mut servers = Vec::new();
    for Listener { host, port, .. } in listeners {
        let address = || format!("{}:{port}", host.as_deref().unwrap_or_default());
        let failed = |source| ServeError::Bind { address: address(), source };
        let socket = connections::bind(host.as_deref(), *port).await.map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        tracing::info!(address = %local, "metrics listening");
        let serving = connections::serve(socket, None, CONNECTIONS_MAX, router.clone(), cancel.clone());
        servers.push((local, tokio::spawn(serving)));
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, text.parse().unwrap())])
    }

    /// What Prometheus 3 sends.
    const PROMETHEUS: &str =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

    #[test]
    fn scrapers_are_known_by_what_they_accept() {
        assert_eq!(Asked::of(&accept(PROMETHEUS)), Asked::OpenMetrics);
        assert_eq!(Asked::of(&accept("Text/Plain; version=0.0.4")), Asked::Text);
        for other in ["*/*", "application/json", "text/html,*/*;q=0.8", "text/*"] {
            assert_eq!(Asked::of(&accept(other)), Asked::Anything, "{other}");
        }
        assert_eq!(Asked::of(&HeaderMap::new()), Asked::Anything);
    }

    struct Fixed;

    impl Scrape for Fixed {
        fn scrape(&self, openmetrics: bool) -> (&'static str, String) {
            ("text/plain", format!("{openmetrics}"))
        }
    }

    #[tokio::test]
    async fn the_api_serves_scrapers_unless_it_is_told_otherwise() {
        let cases = [
            (MetricsAccess::Scrapers, "*/*", false),
            (MetricsAccess::Scrapers, PROMETHEUS, true),
            (MetricsAccess::Scrapers, "text/plain", true),
            (MetricsAccess::Everybody, "application/json", true),
            (MetricsAccess::Nobody, PROMETHEUS, false),
        ];
        for (access, wants, served) in cases {
            let endpoint = MetricsEndpoint::new(Arc::new(Fixed), access);
            assert_eq!(endpoint.serves(&Method::GET, &accept(wants)), served, "{access:?} {wants}");
        }
        let endpoint = MetricsEndpoint::new(Arc::new(Fixed), MetricsAccess::Everybody);
        assert!(!endpoint.serves(&Method::POST, &accept("*/*")));
        let answer = endpoint.answer(&accept(PROMETHEUS)).await;
        assert_eq!((answer.status().as_u16(), &answer.headers()[CONTENT_TYPE]), (200, &"text/plain".parse().unwrap()));
    }
}
