//! The life of the process: start, serve, stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_cluster::{ClusterView, Command, Herd, HerdError, Hop, State};
use connect_config::provider::{Names, Providers, process_environment, resolve_worker};
use connect_config::worker::{JobsConfig, ObservabilityConfig, WorkerConfig};
use connect_config::{ConfigError, DistributedConfig, Props, StandaloneConfig, properties};
use connect_plugins::PluginRegistry;
use connect_rest::Loggers;
use connect_worker::Resolve;
use connect_worker::herd::{Running, StartError, Startup, knows, start_distributed, start_standalone};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Mode;
use crate::connectors::{self, FileError};
use crate::logging::{self, Logging};
use crate::observe::{ObserveError, Observed};
use crate::rest::{Rest, RestError};

/// How long a stop may take beyond `task.shutdown.graceful.timeout.ms`: more than any change that is under way.
const STOP_EXTRA: Duration = Duration::from_secs(90);

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
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Observe(#[from] ObserveError),
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
    #[error("the worker did not stop within {limit_ms} ms and ends as it is; it waits for {waits_for}")]
    Stop { limit_ms: u128, waits_for: String },
}

impl RunError {
    /// What the process ends with, as the JVM worker's (`AbstractConnectCli`): 2 for what keeps the worker from being
    /// made, 3 for what keeps it from starting its work; 1, when it was broken off.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Rest(error) if error.is_extension() => 3,
            Self::File(_) | Self::Connector { .. } => 3,
            Self::Stop { .. } => 1,
            _ => 2,
        }
    }
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
pub async fn run(mode: Mode, logging: &Logging) -> Result<(), RunError> {
    let loggers = logging.loggers();
    let since = Instant::now();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let signals = signals()?;
    let (running, rest, observed, files, graceful_ms) = match mode {
        Mode::Distributed { worker } => {
            let props = read_worker(&worker)?;
            let registry = Arc::new(crate::registry(&props));
            let config = DistributedConfig::parse_with(&props, &|class| knows(&registry, class))
                .map_err(|problems| wrong(&worker, &problems))?;
            let watch = watched(&worker, &props, logging)?;
            let jobs = jobs(&worker, &props)?;
            let mut rest = Rest::open(&config.rest, &config.topic_tracking, &config.originals).await?;
            let observed = observe(&watch, &config.worker, &mut rest).await?;
            let startup = startup(&worker, &props, &registry, &rest, &loggers, &observed, jobs)?;
            let running = start_distributed(&config, startup).await?;
            (running, rest, observed, Vec::new(), config.worker.shutdown_timeout)
        }
        Mode::Standalone { worker, connectors } => {
            let props = read_worker(&worker)?;
            let registry = Arc::new(crate::registry(&props));
            let config = StandaloneConfig::parse_with(&props, &|class| knows(&registry, class))
                .map_err(|problems| wrong(&worker, &problems))?;
            let watch = watched(&worker, &props, logging)?;
            let jobs = jobs(&worker, &props)?;
            let mut rest = Rest::open(&config.rest, &config.topic_tracking, &config.originals).await?;
            let observed = observe(&watch, &config.worker, &mut rest).await?;
            let startup = startup(&worker, &props, &registry, &rest, &loggers, &observed, jobs)?;
            let running = start_standalone(&config, startup).await?;
            (running, rest, observed, connectors, config.worker.shutdown_timeout)
        }
    };
    let stop_limit = STOP_EXTRA + Duration::from_millis(u64::try_from(graceful_ms).unwrap_or(0));
    let outcome = serve(running, rest, &files, loggers, since, signals, stop_limit).await;
    observed.stop().await;
    outcome
}

/// What the file says of metrics and logs; from here on logs are as it wants them.
fn watched(path: &Path, props: &Props, logging: &Logging) -> Result<ObservabilityConfig, RunError> {
    let config = ObservabilityConfig::parse(props).map_err(|problems| wrong(path, &problems))?;
    logging.configure(&config);
    Ok(config)
}

/// What the file says of jobs.
fn jobs(path: &Path, props: &Props) -> Result<JobsConfig, RunError> {
    JobsConfig::parse(props).map_err(|problems| wrong(path, &problems))
}

/// Begins to measure, and to serve what is measured.
async fn observe(watch: &ObservabilityConfig, worker: &WorkerConfig, rest: &mut Rest) -> Result<Observed, RunError> {
    let mut observed = Observed::new(watch, worker, &format!("connect-{}", rest.worker_id))?;
    rest.settings.metrics = Some(observed.endpoint());
    observed.listen().await?;
    Ok(observed)
}

async fn serve(
    running: Running,
    rest: Rest,
    files: &[PathBuf],
    loggers: Arc<dyn Loggers>,
    since: Instant,
    (mut terminate, mut interrupt): (Signal, Signal),
    stop_limit: Duration,
) -> Result<(), RunError> {
    let cancel = CancellationToken::new();
    let herd = Arc::clone(&running.worker) as Arc<dyn Herd>;
    let Rest { settings, listeners, peers, advertised_url, worker_id } = rest;
    let jobs = Arc::clone(&running.jobs.api) as Arc<dyn connect_cluster::jobs::Jobs>;
    let server = connect_rest::serve(listeners, &settings, Arc::clone(&herd), Some(jobs), loggers, peers, &cancel);
    let elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(worker = worker_id, url = advertised_url, elapsed_ms, "worker started");
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        failed = create_all(&*herd, files) => Err(failed),
    };
    match &outcome {
        Ok(signal) => tracing::info!(signal, "stopping"),
        Err(_) => tracing::info!("stopping, because a connector could not be created"),
    }
    let stopping = async {
        running.worker.stop().await;
        running.jobs.stop().await;
        cancel.cancel();
        server.stopped().await;
    };
    if tokio::time::timeout(stop_limit, stopping).await.is_err() {
        let waits_for = unstopped(&herd.view(), &worker_id);
        outcome?;
        return Err(RunError::Stop { limit_ms: stop_limit.as_millis(), waits_for });
    }
    tracing::info!("stopped");
    outcome.map(|_| ())
}

/// What this worker has not given back yet, as its last statuses say.
fn unstopped(view: &ClusterView, worker_id: &str) -> String {
    let statuses = view.connectors.values().filter_map(|connector| connector.status.as_ref());
    let units: Vec<String> = statuses
        .flat_map(|status| {
            let connector = std::iter::once((status.name.to_string(), &status.connector));
            connector.chain(status.tasks.iter().map(|(task, of)| (format!("{}-{task}", status.name), of)))
        })
        .filter(|(_, of)| of.worker_id == worker_id && of.state != State::Unassigned)
        .map(|(unit, _)| unit)
        .collect();
    if units.is_empty() {
        "a change that is under way, for Kafka, or for a client of the REST API".to_owned()
    } else {
        format!("connectors and tasks, or for Kafka: {}", units.join(", "))
    }
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
    rest: &Rest,
    loggers: &Arc<dyn Loggers>,
    observed: &Observed,
    jobs: JobsConfig,
) -> Result<Startup, RunError> {
    let providers = Providers::configured(props, Names::Trimmed, &process_environment())
        .map_err(|problem| wrong(path, &[problem]))?;
    let resolve: Resolve = Arc::new(move |config: &Props| Ok(providers.resolve(config)?.props));
    let loggers = Arc::clone(loggers);
    Ok(Startup {
        registry: Arc::clone(registry),
        resolve,
        advertised_url: rest.advertised_url.clone(),
        worker_id: rest.worker_id.clone(),
        peers: rest.peers.clone(),
        log_level: Arc::new(move |logger: &str, level: &str| logging::set_cluster_level(&*loggers, logger, level)),
        metrics: Arc::clone(&observed.metrics),
        jobs,
    })
}
