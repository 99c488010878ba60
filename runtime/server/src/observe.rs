//! The metrics of this process, and where they are served.

use std::sync::Arc;

use connect_config::ConfigError;
use connect_config::worker::{Listener, ObservabilityConfig, Scheme, WorkerConfig};
use connect_metrics::{Dialects, Format, Process, Registry, Windows, now_ms, render};
use connect_rest::{API_COMMIT, API_VERSION, MetricsAccess, MetricsEndpoint, Scrape, ServeError, serve_metrics};
use connect_worker::metrics::WorkerMetrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why metrics can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// What is measured, and who may see it.
pub struct Observed {
    /// Takes the worker's measurements.
    pub metrics: Arc<WorkerMetrics>,
    endpoint: MetricsEndpoint,
    listeners: Vec<Listener>,
    cancel: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

impl Observed {
    /// Begins to measure. `client_id` is the name of the worker's clients.
    ///
    /// # Errors
    /// When a listener or a dialect is none.
    pub fn new(config: &ObservabilityConfig, worker: &WorkerConfig, client_id: &str) -> Result<Self, ObserveError> {
        let windows =
            Windows { window_ms: worker.metrics_window, samples: usize::try_from(worker.metrics_samples).unwrap_or(1) };
        let registry = Arc::new(Registry::default());
        registry.add(Arc::new(Process::new(API_VERSION, API_COMMIT, client_id)));
        let dialects = Dialects::parse(config.dialects.iter().map(String::as_str)).map_err(|unknown| {
            let known = format!("must be one of {}", Dialects::names());
            ConfigError::invalid("metrics.prometheus.dialects", &unknown.0, known)
        })?;
        let access = match config.http {
            None => MetricsAccess::Scrapers,
            Some(true) => MetricsAccess::Everybody,
            Some(false) => MetricsAccess::Nobody,
        };
        let listeners = config.listeners.iter().flatten().map(|url| listener(url)).collect::<Result<_, _>>()?;
        let endpoint = MetricsEndpoint::new(Arc::new(Text { registry: Arc::clone(&registry), dialects }), access);
        Ok(Self {
            metrics: WorkerMetrics::new(registry, windows),
            endpoint,
            listeners,
            cancel: CancellationToken::new(),
            servers: Vec::new(),
        })
    }

    /// For the listeners of the REST API.
    pub fn endpoint(&self) -> MetricsEndpoint {
        self.endpoint.clone()
    }

    /// Serves metrics on the listeners that they have for themselves.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn listen(&mut self) -> Result<(), ObserveError> {
        let served = serve_metrics(&self.listeners, &self.endpoint, &self.cancel).await?;
        self.servers = served.into_iter().map(|(_, server)| server).collect();
        Ok(())
    }

    /// Ends these listeners.
    pub async fn stop(self) {
        self.cancel.cancel();
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a listener of metrics ended unexpectedly");
            }
        }
    }
}

/// An address to listen on, which is an http URL.
fn listener(url: &str) -> Result<Listener, ConfigError> {
    let listener = Listener::parse(url.trim())?;
    if listener.scheme == Scheme::Https {
        return Err(ConfigError::invalid("metrics.listeners", url, "metrics have listeners without TLS only"));
    }
    Ok(listener)
}

/// Writes the registry in the dialects that are wanted.
struct Text {
    registry: Arc<Registry>,
    dialects: Dialects,
}

impl Scrape for Text {
    fn scrape(&self, openmetrics: bool) -> (&'static str, String) {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        (format.content_type(), render(&self.registry.read(now_ms()), self.dialects, format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_of_metrics_are_http() {
        let parsed = listener("http://0.0.0.0:9404").unwrap();
        assert_eq!((parsed.host.as_deref(), parsed.port), (Some("0.0.0.0"), 9404));
        assert!(listener("https://0.0.0.0:9404").is_err() && listener("9404").is_err());
    }
}
