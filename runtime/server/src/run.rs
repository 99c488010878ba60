//! The life of the process: start, serve, stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use connect_cluster::{Command, Herd, HerdError, Hop};
use connect_config::provider::{Names, Providers, process_environment, resolve_worker};
use connect_config::{ConfigError, DistributedConfig, Props, StandaloneConfig, properties};
use connect_plugins::PluginRegistry;
use connect_rest::{Loggers, ServeError};
use connect_worker::Resolve;
use connect_worker::herd::{Running, StartError, Startup, knows, start_distributed, start_standalone};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Mode;
use crate::connectors::{self, FileError};
use crate::logging;
use crate::rest::{self, Addresses, RestError};

/// Why the worker ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("failed to read the worker's configuration {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the worker's configuration {path} is wrong: {problem}")]
    Config { path: String, problem: String },
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("failed to serve the REST API")]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("failed to create connector '{name}'")]
    Connector {
        name: String,
        #[source]
        source: HerdError,
    },
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
}

/// An error with its causes in one line.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their cause.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Runs a worker until SIGTERM or SIGINT.
pub async fn run(mode: Mode, loggers: Arc<dyn Loggers>) -> Result<(), RunError> {
    let since = Instant::now();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let registry = Arc::new(PluginRegistry::new(crate::plugins()));
    let (terminate, interrupt) = signals()?;
    let (running, addresses, files) = match mode {
        Mode::Distributed { worker } => {
            let props = read_worker(&worker)?;
            let config = DistributedConfig::parse_with(&props, &|class| knows(&registry, class))
                .map_err(|problems| wrong(&worker, &problems))?;
            let addresses = rest::addresses(&config.rest, &config.topic_tracking)?;
            let startup = startup(&worker, &props, &registry, &addresses, &loggers)?;
            (start_distributed(&config, startup).await?, addresses, Vec::new())
        }
        Mode::Standalone { worker, connectors } => {
            let props = read_worker(&worker)?;
            let config = StandaloneConfig::parse_with(&props, &|class| knows(&registry, class))
                .map_err(|problems| wrong(&worker, &problems))?;
            let addresses = rest::addresses(&config.rest, &config.topic_tracking)?;
            let startup = startup(&worker, &props, &registry, &addresses, &loggers)?;
            (start_standalone(&config, startup).await?, addresses, connectors)
        }
    };
    serve(running, &addresses, &files, loggers, since, terminate, interrupt).await
}

async fn serve(
    running: Running,
    addresses: &Addresses,
    files: &[PathBuf],
    loggers: Arc<dyn Loggers>,
    since: Instant,
    mut terminate: Signal,
    mut interrupt: Signal,
) -> Result<(), RunError> {
    let cancel = CancellationToken::new();
    let herd = Arc::clone(&running.worker) as Arc<dyn Herd>;
    let served = connect_rest::serve(&addresses.settings, Arc::clone(&herd), loggers, cancel.clone()).await;
    let server = match served {
        Ok(server) => server,
        Err(error) => {
            running.worker.stop().await;
            return Err(error.into());
        }
    };
    let elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(worker = addresses.worker_id, url = addresses.advertised_url, elapsed_ms, "worker started");
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        failed = create_all(&*herd, files) => Err(failed),
    };
    match &outcome {
        Ok(signal) => tracing::info!(signal, "stopping"),
        Err(_) => tracing::info!("stopping, because a connector could not be created"),
    }
    running.worker.stop().await;
    cancel.cancel();
    server.stopped().await;
    tracing::info!("stopped");
    outcome.map(|_| ())
}

/// Creates the connectors of files; answers only when one can't be created.
async fn create_all(herd: &dyn Herd, files: &[PathBuf]) -> RunError {
    for file in files {
        let connector = match connectors::read(file) {
            Ok(connector) => connector,
            Err(error) => return error.into(),
        };
        let connectors::FromFile { name, config, target } = connector;
        let command = Command::Create { name: name.clone(), config, target };
        match herd.ask(command, Hop::Client).await {
            Ok(_) => tracing::info!(connector = name, file = %file.display(), "created connector"),
            Err(source) => return RunError::Connector { name, source },
        }
    }
    std::future::pending().await
}

fn signals() -> Result<(Signal, Signal), RunError> {
    let terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    Ok((terminate, interrupt))
}

fn read_worker(path: &Path) -> Result<Props, RunError> {
    let bytes = std::fs::read(path).map_err(|source| RunError::Read { path: path.display().to_string(), source })?;
    properties::load_props(&bytes)
        .and_then(|props| resolve_worker(&props, &process_environment()))
        .map_err(|problem| wrong(path, &[problem]))
}

/// The JVM reports the first problem; so do we, because the others may follow from it.
fn wrong(path: &Path, problems: &[ConfigError]) -> RunError {
    let problem = problems.first().map_or_else(|| "unknown problem".to_owned(), ToString::to_string);
    RunError::Config { path: path.display().to_string(), problem }
}

fn startup(
    path: &Path,
    props: &Props,
    registry: &Arc<PluginRegistry>,
    addresses: &Addresses,
    loggers: &Arc<dyn Loggers>,
) -> Result<Startup, RunError> {
    let providers = Providers::configured(props, Names::Trimmed, &process_environment())
        .map_err(|problem| wrong(path, &[problem]))?;
    let resolve: Resolve = Arc::new(move |config: &Props| Ok(providers.resolve(config)?.props));
    let loggers = Arc::clone(loggers);
    Ok(Startup {
        registry: Arc::clone(registry),
        resolve,
        advertised_url: addresses.advertised_url.clone(),
        worker_id: addresses.worker_id.clone(),
        log_level: Arc::new(move |logger: &str, level: &str| logging::set_cluster_level(&*loggers, logger, level)),
    })
}
