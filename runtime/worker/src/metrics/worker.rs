//! What the worker as a whole measures, and which of its tasks are asked (`WorkerMetricsGroup`, `HerderMetrics`).
//!
//! Which connectors and tasks are this worker's comes from the snapshot of the cluster that the herder published last, so
//! that metrics vanish when a connector is deleted or moves, and stay while it is paused, stopped or failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_cluster::{ClusterView, ConnectorView, State, TaskId};
use connect_kafka::ClientStats;
use connect_metrics::{Group, Registry, RunState, Samples, Snapshot, Source, Windows, now_ms as clock_ms};
use connect_plugins::PluginRegistry;
use parking_lot::Mutex;

use super::clients::{Client, ClientOf};
use super::task::TaskMetrics;
use crate::unit::{Run, UnitEvent, UnitId, UnitNews};

/// How often counters are looked at, so that they take part in rates.
const TICK: Duration = Duration::from_secs(5);

const WORKER: Group = Group::connect("connect-worker-metrics");

/// The measurements of a worker.
pub struct WorkerMetrics {
    registry: Arc<Registry>,
    windows: Windows,
    connectors: Starts,
    tasks: Starts,
    rebalances: Rebalances,
    assigned: [AtomicU64; 2],
    units: Mutex<BTreeMap<UnitKey, Unit>>,
    place: OnceLock<Place>,
}

/// Connectors, then tasks.
type UnitKey = (Arc<str>, Option<u32>);

/// A unit of this worker: the last run that was begun of it.
struct Unit {
    run: Run,
    /// It was at work.
    began: bool,
    /// It has not ended.
    lives: bool,
    metrics: Option<Arc<TaskMetrics>>,
}

/// What the worker knows of itself once it has started.
struct Place {
    view: Arc<ArcSwap<ClusterView>>,
    worker_id: String,
    client_id: String,
    plugins: Arc<PluginRegistry>,
}

struct Starts {
    ok: AtomicU64,
    failed: AtomicU64,
    outcome: Samples,
}

impl Starts {
    fn ended(&self, ok: bool) {
        TaskMetrics::add(if ok { &self.ok } else { &self.failed }, 1);
        self.outcome.record(if ok { 1.0 } else { 0.0 }, clock_ms());
    }
}

struct Rebalances {
    completed: AtomicU64,
    epoch: AtomicI64,
    /// When the one under way began; 0 when there is none.
    began_ms: AtomicI64,
    /// When the last one ended; 0 before the first.
    ended_ms: AtomicI64,
    times: Samples,
    protocol: Mutex<String>,
}

impl WorkerMetrics {
    /// Measures over these windows.
    pub fn new(registry: Arc<Registry>, windows: Windows) -> Arc<Self> {
        let starts = || Starts { ok: AtomicU64::new(0), failed: AtomicU64::new(0), outcome: Samples::new(windows) };
        let metrics = Arc::new(Self {
            windows,
            connectors: starts(),
            tasks: starts(),
            rebalances: Rebalances {
                completed: AtomicU64::new(0),
                epoch: AtomicI64::new(-1),
                began_ms: AtomicI64::new(0),
                ended_ms: AtomicI64::new(0),
                times: Samples::new(windows),
                protocol: Mutex::default(),
            },
            assigned: [AtomicU64::new(0), AtomicU64::new(0)],
            units: Mutex::default(),
            place: OnceLock::new(),
            registry,
        });
        metrics.registry.add(Arc::new(OfWorker(Arc::downgrade(&metrics))));
        metrics
    }

    /// For tests: Kafka's windows, seen by nobody.
    pub fn unseen() -> Arc<Self> {
        Self::new(Arc::default(), Windows::default())
    }

    /// The worker has started: what it is called, and where the newest snapshot of the cluster is. Begins to look at
    /// counters every few seconds; needs a runtime.
    pub fn started(
        &self,
        view: Arc<ArcSwap<ClusterView>>,
        worker_id: &str,
        client_id: &str,
        plugins: Arc<PluginRegistry>,
    ) {
        let place = Place { view, worker_id: worker_id.to_owned(), client_id: client_id.to_owned(), plugins };
        if self.place.set(place).is_err() {
            return;
        }
        let registry = Arc::downgrade(&self.registry);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(registry) = registry.upgrade() else { return };
                registry.tick(clock_ms());
            }
        });
    }

    /// A client was opened; it is shown while it is open.
    pub fn client(&self, of: ClientOf, stats: &Arc<ClientStats>) {
        self.registry.add(Arc::new(Client::new(of, stats, self.windows)));
    }

    /// Something else measures; it is shown while it is alive.
    pub fn measure(&self, source: Arc<dyn Source>) {
        self.registry.add(source);
    }

    /// A connector is about to run.
    pub fn start_connector(&self, name: &Arc<str>, run: Run) {
        let unit = Unit { run, began: false, lives: true, metrics: None };
        self.units.lock().insert((Arc::clone(name), None), unit);
    }

    /// A task is about to run; what it measures.
    pub fn start_task(&self, id: &TaskId, run: Run) -> Arc<TaskMetrics> {
        let metrics = TaskMetrics::new(self.windows);
        let unit = Unit { run, began: false, lives: true, metrics: Some(Arc::clone(&metrics)) };
        self.units.lock().insert((Arc::clone(&id.connector), Some(id.task)), unit);
        metrics
    }

    /// The tasks that run here, or ran here last: whether they live, and what they measure.
    pub fn task_runs(&self) -> Vec<(TaskId, bool, Arc<TaskMetrics>)> {
        let units = self.units.lock();
        let runs = units.iter().filter_map(|((connector, task), unit)| {
            let id = TaskId { connector: Arc::clone(connector), task: (*task)? };
            Some((id, unit.lives, Arc::clone(unit.metrics.as_ref()?)))
        });
        runs.collect()
    }

    /// Something became of a unit.
    pub fn unit_event(&self, event: &UnitEvent) {
        let (key, starts) = match &event.unit {
            UnitId::Connector(name) => ((Arc::clone(name), None), &self.connectors),
            UnitId::Task(id) => ((Arc::clone(&id.connector), Some(id.task)), &self.tasks),
        };
        let mut units = self.units.lock();
        let Some(unit) = units.get_mut(&key).filter(|unit| unit.run == event.run) else { return };
        let state = match &event.what {
            UnitNews::Running | UnitNews::Paused => {
                if !std::mem::replace(&mut unit.began, true) {
                    starts.ended(true);
                }
                if matches!(event.what, UnitNews::Paused) { RunState::Paused } else { RunState::Running }
            }
            UnitNews::Failed { .. } => {
                if !unit.began {
                    starts.ended(false);
                }
                unit.lives = false;
                RunState::Failed
            }
            UnitNews::Exited => {
                unit.lives = false;
                RunState::Stopped
            }
            _ => return,
        };
        if let Some(metrics) = &unit.metrics {
            metrics.state(state);
            if !unit.lives {
                metrics.ended();
            }
        }
        if matches!(event.what, UnitNews::Exited) {
            units.remove(&key);
        }
    }

    /// A rebalance begins.
    pub fn rebalance_begun(&self) {
        let began = &self.rebalances.began_ms;
        let _already = began.compare_exchange(0, clock_ms(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A rebalance is complete.
    pub fn rebalanced(&self, generation: i32, protocol: &str) {
        let (rebalances, now) = (&self.rebalances, clock_ms());
        TaskMetrics::add(&rebalances.completed, 1);
        rebalances.epoch.store(generation.into(), Ordering::Relaxed);
        protocol.clone_into(&mut rebalances.protocol.lock());
        let began = rebalances.began_ms.swap(0, Ordering::Relaxed);
        if began > 0 {
            rebalances.times.record((now - began) as f64, now);
        }
        rebalances.ended_ms.store(now, Ordering::Relaxed);
    }

    /// What the group has assigned to this worker.
    pub fn assigned(&self, units: &BTreeSet<UnitId>) {
        let connectors = units.iter().filter(|unit| matches!(unit, UnitId::Connector(_))).count();
        let [of_connectors, of_tasks] = &self.assigned;
        of_connectors.store(connectors as u64, Ordering::Relaxed);
        of_tasks.store((units.len() - connectors) as u64, Ordering::Relaxed);
    }

    fn read(&self, now: i64, out: &mut Snapshot) {
        let mine = self.mine();
        self.aggregate(now, &mine, out);
        if let Some(place) = self.place.get() {
            let leader = place.view.load().leader_url.clone();
            self.rebalances(now, leader, out);
            let [connectors, tasks] = &self.assigned;
            out.group(Group::connect("connect-coordinator-metrics"), &[("client-id", &place.client_id)])
                .gauge("assigned-connectors", TaskMetrics::get(connectors) as f64)
                .gauge("assigned-tasks", TaskMetrics::get(tasks) as f64);
        }
        for (name, connector) in &mine {
            connector.read(now, name, out);
        }
    }

    fn aggregate(&self, now: i64, mine: &BTreeMap<Arc<str>, Mine>, out: &mut Snapshot) {
        let get = TaskMetrics::get;
        let (connectors, tasks) = (&self.connectors, &self.tasks);
        let count = mine.values().filter(|connector| connector.facts.is_some()).count();
        out.group(WORKER, &[])
            .gauge("connector-count", count as f64)
            .gauge("task-count", mine.values().map(|connector| connector.tasks.len()).sum::<usize>() as f64)
            .count("connector-startup-attempts-total", get(&connectors.ok) + get(&connectors.failed))
            .count("connector-startup-success-total", get(&connectors.ok))
            .gauge("connector-startup-success-percentage", connectors.outcome.share(now))
            .count("connector-startup-failure-total", get(&connectors.failed))
            .gauge("connector-startup-failure-percentage", connectors.outcome.other_share(now))
            .count("task-startup-attempts-total", get(&tasks.ok) + get(&tasks.failed))
            .count("task-startup-success-total", get(&tasks.ok))
            .gauge("task-startup-success-percentage", tasks.outcome.share(now))
            .count("task-startup-failure-total", get(&tasks.failed))
            .gauge("task-startup-failure-percentage", tasks.outcome.other_share(now));
    }

    fn rebalances(&self, now: i64, leader: Option<String>, out: &mut Snapshot) {
        let rebalances = &self.rebalances;
        let began = rebalances.began_ms.load(Ordering::Relaxed);
        let ended = rebalances.ended_ms.load(Ordering::Relaxed);
        let since = if ended == 0 { f64::INFINITY } else { (now - ended) as f64 };
        let group = out.group(Group::connect("connect-worker-rebalance-metrics"), &[]);
        group
            .text("connect-protocol", rebalances.protocol.lock().as_str())
            .text("leader-name", leader.unwrap_or_default())
            .gauge("epoch", rebalances.epoch.load(Ordering::Relaxed) as f64)
            .count("completed-rebalances-total", TaskMetrics::get(&rebalances.completed))
            .gauge("rebalancing", f64::from(u8::from(began > 0)))
            .gauge("rebalance-max-time-ms", rebalances.times.max(now))
            .gauge("rebalance-avg-time-ms", rebalances.times.avg(now))
            .gauge("time-since-last-rebalance-ms", since);
    }

    /// The connectors and tasks of this worker: those that the cluster knows as its own, and those that it runs.
    fn mine(&self) -> BTreeMap<Arc<str>, Mine> {
        let mut mine: BTreeMap<Arc<str>, Mine> = BTreeMap::new();
        if let Some(place) = self.place.get() {
            for (name, connector) in &place.view.load().connectors {
                if let Some(found) = Mine::of(connector, place) {
                    mine.insert(Arc::clone(name), found);
                }
            }
        }
        self.forget();
        for ((name, task), unit) in &*self.units.lock() {
            let (Some(task), Some(metrics)) = (task, &unit.metrics) else { continue };
            let status = mine.entry(Arc::clone(name)).or_default().tasks.entry(*task).or_default();
            status.metrics = Some(Arc::clone(metrics));
            if unit.lives {
                // The run knows better than what was written of it.
                status.state = None;
            }
        }
        mine
    }

    /// Forgets units that have ended and that the cluster does not know as this worker's any more; also where nobody scrapes.
    fn forget(&self) {
        let place = self.place.get();
        let view = place.map(|place| place.view.load());
        let known = |name: &Arc<str>, task: Option<u32>| {
            let (Some(place), Some(view)) = (place, &view) else { return false };
            let here = view.connectors.get(name).and_then(|connector| Mine::of(connector, place));
            here.is_some_and(|of| task.is_none_or(|task| of.tasks.contains_key(&task)))
        };
        self.units.lock().retain(|(name, task), unit| unit.lives || known(name, *task));
    }
}

/// What is shown of a connector of this worker.
#[derive(Default)]
struct Mine {
    /// State, type, class, version; `None` when only tasks of it are here.
    facts: Option<[(&'static str, String); 4]>,
    tasks: BTreeMap<u32, MyTask>,
}

#[derive(Default)]
struct MyTask {
    /// As it was written; `None` when the run itself knows.
    state: Option<RunState>,
    metrics: Option<Arc<TaskMetrics>>,
}

impl Mine {
    /// What of a connector is here; `None` when nothing is.
    fn of(connector: &ConnectorView, place: &Place) -> Option<Self> {
        let status = connector.status.as_ref()?;
        let here = |worker: &str, state: State| {
            worker == place.worker_id && !matches!(state, State::Unassigned | State::Destroyed)
        };
        let state = |state: State| RunState::from_name(state.name());
        let tasks: BTreeMap<u32, MyTask> = status
            .tasks
            .iter()
            .filter(|(_, task)| here(&task.worker_id, task.state))
            .map(|(number, task)| (*number, MyTask { state: state(task.state), metrics: None }))
            .collect();
        let facts = here(&status.connector.worker_id, status.connector.state).then(|| {
            let given = connector.info.config.get("connector.class").and_then(Option::as_deref).unwrap_or_default();
            let plugin = place.plugins.connector(given).ok();
            let class = plugin.map_or(given, |plugin| plugin.class).to_owned();
            let version = plugin.map_or("", |plugin| plugin.version).to_owned();
            let state = state(status.connector.state).map_or("", RunState::name).to_owned();
            [
                ("status", state),
                ("connector-type", connector.info.kind.to_owned()),
                ("connector-class", class),
                ("connector-version", version),
            ]
        });
        (facts.is_some() || !tasks.is_empty()).then_some(Self { facts, tasks })
    }

    fn read(&self, now: i64, name: &str, out: &mut Snapshot) {
        if let Some(facts) = &self.facts {
            let group = out.group(Group::connect("connector-metrics"), &[("connector", name)]);
            for (attribute, text) in facts {
                group.text(attribute, text.as_str());
            }
        }
        let mut counts = [0_u32; RunState::ALL.len()];
        for (number, task) in &self.tasks {
            let number = number.to_string();
            match &task.metrics {
                Some(metrics) => metrics.read(now, name, &number, task.state.map(RunState::name), out),
                None => {
                    let tags = [("connector", name), ("task", number.as_str())];
                    out.group(Group::connect("connector-task-metrics"), &tags)
                        .text("status", task.state.map_or("unassigned", RunState::name));
                }
            }
            let state = task.state.or_else(|| task.metrics.as_ref().map(|metrics| metrics.present()));
            if let Some(count) = state.and_then(|state| counts.get_mut(state as usize)) {
                *count += 1;
            }
        }
        let count = |state: RunState| f64::from(counts.get(state as usize).copied().unwrap_or_default());
        out.group(WORKER, &[("connector", name)])
            .gauge("connector-total-task-count", self.tasks.len() as f64)
            .gauge("connector-running-task-count", count(RunState::Running))
            .gauge("connector-paused-task-count", count(RunState::Paused))
            .gauge("connector-failed-task-count", count(RunState::Failed))
            .gauge("connector-unassigned-task-count", count(RunState::Unassigned))
            .gauge("connector-destroyed-task-count", count(RunState::Destroyed))
            .gauge("connector-restarting-task-count", count(RunState::Restarting));
    }
}

/// The worker as a source, as long as it is there.
struct OfWorker(Weak<WorkerMetrics>);

impl Source for OfWorker {
    fn read(&self, now_ms: i64, out: &mut Snapshot) {
        if let Some(worker) = self.0.upgrade() {
            worker.read(now_ms, out);
        }
    }

    fn tick(&self, _now_ms: i64) {
        let Some(worker) = self.0.upgrade() else { return };
        worker.forget();
        for unit in worker.units.lock().values() {
            if let Some(metrics) = &unit.metrics {
                metrics.tick();
            }
        }
    }

    fn alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}
