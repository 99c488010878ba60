//! From a worker's parts to its running jobs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_api::{Error, Plugin};
use connect_cluster::jobs::Engine;
use connect_cluster::jobs::keep::Alerts;
use connect_cluster::{ClusterView, Herd, RecoveryPolicy};
use connect_config::Props;
use connect_config::worker::JobsConfig;
use connect_plugins::PluginRegistry;
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::api::JobsApi;
use super::drive::{Drive, EVENTS, INBOX, Input};
use super::report::Reporter;
use super::retention::Watch;
use super::writer::Writer;
use crate::clients::Clients;
use crate::herd::{Log, Sink};
use crate::metrics::WorkerMetrics;
use crate::units::Resolve;
use crate::webhooks::{Outbox, OutboxSettings, Webhook};

/// What the steps of commands and the watch of retention need.
pub(crate) struct World {
    pub(crate) worker_id: String,
    pub(crate) registry: Arc<PluginRegistry>,
    pub(crate) resolve: Resolve,
    pub(crate) clients: Arc<dyn Clients>,
}

impl World {
    /// A configuration with its variables looked up.
    pub(crate) async fn resolved(&self, config: &Props) -> Result<Props, Error> {
        // A provider may read files.
        let (resolve, config) = (Arc::clone(&self.resolve), config.clone());
        tokio::task::spawn_blocking(move || resolve(&config))
            .await
            .map_err(|error| Error::connect("resolving the configuration broke off").caused_by(error))?
    }

    /// The plugin of a configuration.
    pub(crate) fn plugin_of(&self, props: &Props) -> Result<&Plugin, Error> {
        let class = props.get("connector.class").and_then(Option::as_deref).unwrap_or_default();
        self.registry.connector(class.trim())
    }
}

/// What a worker gives its jobs.
pub(crate) struct JobsParts {
    pub(crate) config: JobsConfig,
    pub(crate) world: World,
    pub(crate) herd: Arc<dyn Herd>,
    pub(crate) view: Arc<ArcSwap<ClusterView>>,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

/// The jobs before their topic is read.
pub(crate) struct Opening {
    inbox: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    pub(crate) engine: Arc<RwLock<Engine>>,
}

impl Opening {
    /// Jobs with these alerts.
    pub(crate) fn new(config: &JobsConfig) -> Self {
        let (inbox, inputs) = mpsc::channel(INBOX);
        let positive = |number: i32| u32::try_from(number).unwrap_or(0);
        let alerts = Alerts {
            failing_after_ms: config.failing_after,
            flapping_failures: positive(config.flapping_failures),
            flapping_window_ms: config.flapping_window,
            action_timeout_ms: config.action_timeout,
        };
        let engine = Arc::new(RwLock::new(Engine::new(alerts, positive(config.attempts_max))));
        Self { inbox, inputs, engine }
    }

    /// Takes the records of the topic.
    pub(crate) fn sink(&self) -> Sink {
        let inbox = self.inbox.clone();
        Box::new(move |record| {
            if inbox.blocking_send(Input::Record(record)).is_err() {
                tracing::trace!("a record came after the end of the jobs");
            }
        })
    }

    /// Begins to work on this log, which is read by [`Opening::sink`].
    pub(crate) fn start(self, log: Arc<dyn Log>, parts: JobsParts) -> JobsRunning {
        let Self { inbox, inputs, engine } = self;
        let JobsParts { config, world, herd, view, metrics } = parts;
        let (events, _) = broadcast::channel(EVENTS);
        let delivered = {
            let inbox = inbox.clone();
            Arc::new(move |job: &str, webhook: &str, seq: u64| {
                let input = Input::Delivered { job: job.to_owned(), webhook: webhook.to_owned(), seq };
                let inbox = inbox.clone();
                // Whoever delivers does not wait for the loop.
                tokio::spawn(async move {
                    if inbox.send(input).await.is_err() {
                        tracing::debug!("the jobs have ended");
                    }
                });
            })
        };
        let webhooks = Webhook::from_config(&config).unwrap_or_else(|problem| {
            tracing::error!(%problem, "job.webhooks can't be used");
            Vec::new()
        });
        let worker_id = world.worker_id.clone();
        let policy = RecoveryPolicy::from(&config);
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let drive = Drive {
            engine: Arc::clone(&engine),
            reporter: Reporter::new(&worker_id),
            world: Arc::new(world),
            herd: Arc::clone(&herd),
            view,
            metrics,
            writer: Writer::start(log, inbox.clone()),
            inbox: inbox.clone(),
            events: events.clone(),
            outbox: Outbox::start(OutboxSettings::from(&config), delivered),
            webhooks,
            watch: Watch::new(),
            progress_every: millis(config.progress_interval),
            retention_every: millis(config.retention_interval),
            seen: None,
            answers: HashMap::new(),
            defines: HashMap::new(),
            next: 0,
            changed: BTreeSet::new(),
            told: HashMap::new(),
            loaded: false,
            leading: false,
        };
        tokio::spawn(drive.run(inputs));
        let api = JobsApi {
            worker_id,
            engine,
            inbox: inbox.clone(),
            herd,
            policy,
            events,
            making: tokio::sync::Mutex::default(),
        };
        JobsRunning { inbox, api: Arc::new(api) }
    }
}

/// Jobs that run.
pub struct JobsRunning {
    inbox: mpsc::Sender<Input>,
    /// What the REST API asks.
    pub api: Arc<JobsApi>,
}

impl JobsRunning {
    /// The topic was read to its end.
    pub(crate) async fn loaded(&self) {
        if self.inbox.send(Input::Loaded).await.is_err() {
            tracing::error!("the jobs ended while the worker started");
        }
    }

    /// Writes the last reports and ends.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inbox.send(Input::Shutdown(done)).await.is_ok() && stopped.await.is_err() {
            tracing::debug!("the jobs ended before they were told to");
        }
    }
}
