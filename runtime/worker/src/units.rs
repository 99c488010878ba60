//! Runs connectors and tasks: each run is a task of its own, watched by a supervisor.
//!
//! Invariants:
//! 1. A panic, an error or a hang of one unit is that unit's alone.
//! 2. The last event of a run is sent after the run is out of the table, so that the herder may start the next at once.
//! 3. A stop takes at most the graceful timeout: then the run is cancelled where it stands. When the right to work is over it
//!    takes half a second at most, so that nothing outlives the session.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Error, Result};
use connect_cluster::{Failure, HerdError, OffsetEntry, RecoveryOf};
use connect_config::Props;
use connect_kafka::group::Lease;
use connect_plugins::PluginRegistry;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::clients::{Clients, Resolved};
use crate::control::{Control, LEASE_LOOK, News, TopicResets, Wanted};
use crate::exactly_once::Delivery;
use crate::metrics::WorkerMetrics;
use crate::offsets::OffsetStore;
use crate::unit::{ConnectorStart, Run, TaskStart, UnitEvent, UnitId, UnitNews, Units};
use crate::{connector, offset_changes, task};

/// How long a stop may take, or go on, when the right to work is over: the part of the default session, of ten seconds, that
/// the right ends before it.
const LOST_STOP: Duration = Duration::from_millis(500);

/// Resolves the variables of a configuration (`WorkerConfigTransformer`).
pub type Resolve = Arc<dyn Fn(&Props) -> Result<Props> + Send + Sync>;

/// Settings of the worker that its units need.
#[derive(Clone, Copy, Debug)]
pub struct UnitSettings {
    /// The longest time between two checkpoints: `offset.flush.interval.ms`, or `job.checkpoint.interval.ms` when that is
    /// shorter.
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`.
    pub flush_timeout: Duration,
    /// `task.shutdown.graceful.timeout.ms`.
    pub graceful_timeout: Duration,
    /// `topic.creation.enable`.
    pub topic_creation: bool,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
}

impl Default for UnitSettings {
    /// The JVM's defaults.
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(60),
            flush_timeout: Duration::from_secs(5),
            graceful_timeout: Duration::from_secs(5),
            topic_creation: true,
            topic_tracking: true,
        }
    }
}

/// What all units of a worker share.
pub struct Shared {
    /// The worker's configuration, resolved: its converters are the defaults.
    pub worker: Props,
    pub registry: Arc<PluginRegistry>,
    pub clients: Arc<dyn Clients>,
    pub offsets: Arc<OffsetStore>,
    pub resolve: Resolve,
    pub settings: UnitSettings,
    /// The right to work: units end by themselves when it is over.
    pub lease: Lease,
    pub delivery: Delivery,
    /// Whether a connector's tasks are tried again from outside: then they do not try without end themselves.
    pub recovery: RecoveryOf,
    /// Told of every start, and of what becomes of it by whoever reads the events.
    pub metrics: Arc<WorkerMetrics>,
    /// Where events go.
    pub events: mpsc::Sender<UnitEvent>,
}

/// The units of a worker.
pub struct WorkerUnits {
    shared: Arc<Shared>,
    running: Arc<Mutex<HashMap<UnitId, Running>>>,
    resets: TopicResets,
}

/// How a run is told what is wanted.
struct Running {
    run: Run,
    wanted: watch::Sender<Wanted>,
    cancel: CancellationToken,
}

impl WorkerUnits {
    /// No units yet.
    pub fn new(shared: Shared) -> Arc<Self> {
        Arc::new(Self { shared: Arc::new(shared), running: Arc::default(), resets: TopicResets::default() })
    }

    /// Starts a run with its supervisor.
    fn launch<B, F>(&self, unit: UnitId, run: Run, body: B)
    where
        B: FnOnce(Control) -> F,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (wanted, orders) = watch::channel(Wanted::Run);
        let cancel = CancellationToken::new();
        let news = News { unit: unit.clone(), run, events: self.shared.events.clone() };
        let control = Control::new(orders.clone(), cancel.clone(), news.clone()).under(self.shared.lease.clone());
        if self.running.lock().insert(unit, Running { run, wanted, cancel }).is_some() {
            tracing::error!(unit = %news.unit, run, "a unit was started that runs already");
        }
        // At this level, so that the context is there whatever is logged.
        let span = match &news.unit {
            UnitId::Connector(name) => tracing::error_span!("connector", connector = &**name),
            UnitId::Task(id) => tracing::error_span!("task", connector = &*id.connector, task = id.task),
        };
        let handle = tokio::spawn(body(control).instrument(span.clone()));
        let (lease, timeout) = (self.shared.lease.clone(), self.shared.settings.graceful_timeout);
        let supervision = supervise(handle, orders, news, Arc::clone(&self.running), lease, timeout);
        tokio::spawn(supervision.instrument(span));
    }

    fn order(&self, unit: &UnitId, order: Wanted) {
        let running = self.running.lock();
        let Some(run) = running.get(unit) else { return };
        run.wanted.send_if_modified(|wanted| {
            let changes = *wanted != order && *wanted != Wanted::End;
            if changes {
                *wanted = order;
            }
            changes
        });
        if order == Wanted::End {
            run.cancel.cancel();
        }
    }
}

/// Waits for the end of a run, or makes it, and tells of it.
async fn supervise(
    mut handle: JoinHandle<Result<()>>,
    mut orders: watch::Receiver<Wanted>,
    news: News,
    running: Arc<Mutex<HashMap<UnitId, Running>>>,
    lease: Lease,
    graceful_timeout: Duration,
) {
    let ended = tokio::select! {
        ended = &mut handle => Some(ended),
        () = ended_wanted(&mut orders) => stopped_in_time(&mut handle, &news.unit, &lease, graceful_timeout).await,
    };
    while ended.is_some() && !lease.holds() {
        // It ended because the worker may not work any more. The herder is about to hear of that; before, it would only
        // start the unit again. That is right when the lease has come back meanwhile.
        tokio::select! {
            () = ended_wanted(&mut orders) => break,
            () = sleep(LEASE_LOOK) => {}
        }
    }
    let stopping = *orders.borrow() == Wanted::End;
    let failure = match ended {
        None | Some(Ok(Ok(()))) => None,
        Some(Ok(Err(error))) => Some(error),
        Some(Err(join)) => join.try_into_panic().ok().map(|panic| {
            Error::connect(format!("the unit panicked: {}", panic_text(&*panic)))
                .hint("this is a defect of the worker or connector, please report it")
        }),
    };
    let failure = failure.map(|error| (error.trace(), Failure::from(&error)));
    if let Some((trace, _)) = &failure {
        tracing::error!(unit = %news.unit, trace, "the unit failed");
    }
    {
        let mut running = running.lock();
        if running.get(&news.unit).is_some_and(|current| current.run == news.run) {
            running.remove(&news.unit);
        }
    }
    match failure {
        Some((trace, failure)) if !stopping => news.tell(UnitNews::Failed { trace, failure }).await,
        _ => news.tell(UnitNews::Exited).await,
    }
}

/// Waits for the end of a run that was told to stop; one that takes too long is aborted: `None`.
async fn stopped_in_time(
    handle: &mut JoinHandle<Result<()>>,
    unit: &UnitId,
    lease: &Lease,
    graceful_timeout: Duration,
) -> Option<Result<Result<()>, tokio::task::JoinError>> {
    let asked = Instant::now();
    tokio::select! {
        biased;
        ended = &mut *handle => return Some(ended),
        () = out_of_time(lease, asked + graceful_timeout) => {}
    }
    handle.abort();
    let (waited_ms, may_work) = (asked.elapsed().as_millis(), lease.holds());
    tracing::error!(unit = %unit, waited_ms, may_work, "the unit did not stop in time and was abandoned");
    None
}

/// Waits until `end`; but no longer than [`LOST_STOP`] once the right to work is over.
async fn out_of_time(lease: &Lease, end: Instant) {
    while lease.holds() {
        if Instant::now() >= end {
            return;
        }
        let lapse = lease.until().map_or(end, Instant::from_std);
        sleep_until((Instant::now() + LEASE_LOOK).min(lapse).min(end)).await;
    }
    sleep_until((Instant::now() + LOST_STOP).min(end)).await;
}

/// Waits until the end is wanted. When nobody gives orders any more, the worker ends, and so do its units.
async fn ended_wanted(orders: &mut watch::Receiver<Wanted>) {
    if orders.wait_for(|wanted| *wanted == Wanted::End).await.is_err() {
        tracing::debug!("nobody gives orders any more");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A configuration with its variables looked up, beside the loop: a provider may read files.
pub(crate) async fn resolved(resolve: &Resolve, config: &Props) -> Result<Props> {
    let (resolve, config) = (Arc::clone(resolve), config.clone());
    tokio::task::spawn_blocking(move || resolve(&config))
        .await
        .map_err(|error| Error::connect("resolving the configuration broke off").caused_by(error))?
}

/// A configuration as clients and connectors read it: a key with a null value is one that is missing.
pub(crate) fn present(props: &Props) -> Resolved {
    props.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

#[async_trait]
impl Units for WorkerUnits {
    fn start_connector(&self, start: ConnectorStart) {
        let shared = Arc::clone(&self.shared);
        shared.metrics.start_connector(&start.name, start.run);
        let unit = UnitId::Connector(Arc::clone(&start.name));
        self.launch(unit, start.run, move |control| connector::run(shared, start, control));
    }

    fn start_task(&self, start: TaskStart) {
        let shared = Arc::clone(&self.shared);
        let metrics = shared.metrics.start_task(&start.id, start.run);
        let epoch = self.resets.of(&start.id.connector);
        let unit = UnitId::Task(start.id.clone());
        self.launch(unit, start.run, move |control| task::run(shared, start, control, metrics, epoch));
    }

    fn pause(&self, unit: &UnitId) {
        self.order(unit, Wanted::Rest);
    }

    fn resume(&self, unit: &UnitId) {
        self.order(unit, Wanted::Run);
    }

    fn stop(&self, unit: &UnitId) {
        self.order(unit, Wanted::End);
    }

    async fn offsets(&self, name: &str, config: &Props) -> Result<Vec<OffsetEntry>, HerdError> {
        offset_changes::offsets(&self.shared, name, config).await
    }

    async fn alter_offsets(
        &self,
        name: &str,
        config: &Props,
        offsets: Option<Vec<OffsetEntry>>,
    ) -> Result<String, HerdError> {
        offset_changes::alter(&self.shared, name, config, offsets).await
    }

    async fn fence(&self, name: &str, config: &Props, tasks: u32) -> Result<(), HerdError> {
        let fencing = async {
            let config = present(&(self.shared.resolve)(config)?);
            self.shared.clients.fence(name, &config, tasks).await
        };
        fencing.await.map_err(|error| {
            tracing::error!(connector = name, trace = error.trace(), "failed to fence the producers of earlier tasks");
            let message = format!("Failed to perform zombie fencing for source connector {name}: {error}");
            if error.kind().retriable() { HerdError::conflict(message) } else { HerdError::internal(message) }
        })
    }

    fn forget_topics(&self, name: &str) {
        self.resets.reset(name);
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
