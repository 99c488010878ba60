//! From a worker's parts to its running jobs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_cluster::jobs::keep::Alerts;
use connect_cluster::jobs::{Engine, JobsEvent};
use connect_cluster::{ClusterView, Herd, RecoveryPolicy};
use connect_config::worker::JobsConfig;
use connect_kafka::LogRecord;
use connect_plugins::PluginRegistry;
use parking_lot::RwLock;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use super::api::JobsApi;
use super::drive::{Drive, EVENTS, INBOX, Input};
use super::measure::JobMetrics;
use super::report::Reporter;
use super::retention::Watch;
use crate::clients::Clients;
use crate::herd::{Latest, Log, Sink};
use crate::metrics::{WorkerMetrics, now_ms};
use crate::units::Resolve;
use crate::webhooks::{Outbox, OutboxSettings, Webhook};

/// What the steps of commands and the watch of retention need.
pub(crate) struct World {
    pub(crate) worker_id: String,
    pub(crate) registry: Arc<PluginRegistry>,
    pub(crate) resolve: Resolve,
    pub(crate) clients: Arc<dyn Clients>,
}

/// What a worker gives its jobs.
pub(crate) struct JobsParts {
    pub(crate) config: JobsConfig,
    pub(crate) world: World,
    pub(crate) herd: Arc<dyn Herd>,
    pub(crate) view: Arc<ArcSwap<ClusterView>>,
    /// Woken when the view is a new one.
    pub(crate) published: Arc<Notify>,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

/// The jobs before their topic is read.
pub(crate) struct Opening {
    inbox: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    pub(crate) engine: Arc<RwLock<Engine>>,
    alerts: Alerts,
    attempts_max: u32,
    /// The loop runs, and takes what is read.
    running: Arc<AtomicBool>,
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
        let attempts_max = positive(config.attempts_max);
        let engine = Arc::new(RwLock::new(Engine::new(alerts, attempts_max)));
        Self { inbox, inputs, engine, alerts, attempts_max, running: Arc::default() }
    }

    /// Forgets the records that were taken so far.
    pub(crate) fn begin_anew(&self) {
        *self.engine.write() = Engine::new(self.alerts, self.attempts_max);
    }

    /// Takes the records of the topic.
    pub(crate) fn sink(&self) -> Sink {
        let (inbox, engine, running) = (self.inbox.clone(), Arc::clone(&self.engine), Arc::clone(&self.running));
        Box::new(move |record| {
            let early = (!running.load(Ordering::Acquire)).then(|| engine.write());
            // The loop begins while nobody holds the engine: it may have begun meanwhile.
            if let Some(mut engine) = early.filter(|_| !running.load(Ordering::Acquire)) {
                // Nobody takes inputs yet, and there may be more records than may wait.
                read_early(&mut engine, record);
            } else if inbox.blocking_send(Input::Record(record)).is_err() {
                tracing::trace!("a record came after the end of the jobs");
            }
        })
    }

    /// Begins to work on this log, which is read by [`Opening::sink`].
    pub(crate) fn start(self, log: Arc<dyn Log>, parts: JobsParts) -> JobsRunning {
        let Self { inbox, inputs, engine, running, .. } = self;
        let JobsParts { config, world, herd, view, published, metrics } = parts;
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
        let outbox = Outbox::start(OutboxSettings::from(&config), delivered);
        metrics.measure(Arc::new(JobMetrics::new(&engine, &outbox)));
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let drive = Drive {
            engine: Arc::clone(&engine),
            reporter: Reporter::new(&worker_id),
            world: Arc::new(world),
            herd: Arc::clone(&herd),
            view,
            published,
            metrics,
            writer: Latest::start(log, "reports of jobs"),
            inbox: inbox.clone(),
            events: events.clone(),
            outbox,
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
        {
            let _nobody_reads = engine.write();
            running.store(true, Ordering::Release);
        }
        tokio::spawn(drive.run(inputs));
        let api = JobsApi { worker_id, engine, inbox: inbox.clone(), herd, policy, events, making: Arc::default() };
        JobsRunning { inbox, api: Arc::new(api) }
    }
}

/// A record that is read before the loop runs. The engine only takes note of it: it has not heard that the topic was read to
/// its end.
fn read_early(engine: &mut Engine, record: LogRecord) {
    let mut effects = Vec::new();
    if let Some(event) = event_of(record) {
        engine.step(now_ms(), event, &mut effects);
    }
    debug_assert!(effects.is_empty(), "{effects:?}");
}

/// A record of the topic as the engine takes it; `None` for one without a key that could be one.
pub(super) fn event_of(record: LogRecord) -> Option<JobsEvent> {
    let key = String::from_utf8(record.key?.to_vec()).ok()?;
    Some(JobsEvent::Record { key, value: record.value.map(|value| value.to_vec()) })
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

#[cfg(test)]
mod tests {
    use connect_cluster::jobs::record::{Definition, JobRecord};
    use connect_config::Props;

    use super::*;

    /// A topic holds many reports of each task until it is compacted.
    #[test]
    fn a_topic_with_more_records_than_may_wait_is_read_before_the_loop_runs() {
        let config = JobsConfig::parse(&Props::new()).expect("defaults");
        let opening = Opening::new(&config);
        let mut sink = opening.sink();
        for n in 0..2 * INBOX {
            let definition = Definition { pipeline: true, source: Some(format!("s{n}")), ..Definition::default() };
            let (key, value) = JobRecord::Job(format!("j{}", n % 7), Some(definition)).encode();
            let offset = i64::try_from(n).expect("a small number");
            let (key, value) = (Some(key.into()), value.map(Into::into));
            sink(LogRecord { partition: 0, offset, timestamp_ms: -1, key, value });
        }
        assert_eq!(opening.engine.read().log().entries().count(), 7);
    }
}
