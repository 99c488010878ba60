//! Units as the herd loop sees them: starts, ends, failures, panics and hangs.

use async_trait::async_trait;
use connect_api::{ConfigDef, Plugin, PluginKind, SourceBatch, SourceConnector, SourceContext, SourceTask};
use connect_cluster::{Cure, TaskId};
use indexmap::IndexMap;

use super::*;
use crate::io::{Consume, OffsetLog, Produce, Subscription, Topics};
use crate::memory::{MemoryBroker, MemoryLog};
use crate::memory_transactions::MemoryTransactions;
use crate::offsets::OffsetTable;
use crate::transactions::Transact;

/// A source that does what its configuration says in `act`.
struct Actor;

static NO_KEYS: std::sync::LazyLock<ConfigDef> = std::sync::LazyLock::new(ConfigDef::new);

#[async_trait]
impl SourceConnector for Actor {
    fn config_def(&self) -> &'static ConfigDef {
        &NO_KEYS
    }

    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>> {
        match props.get("act").and_then(Option::as_deref) {
            Some("no tasks") => Err(Error::config("no tasks today")),
            Some("too many") => Ok(vec![Props::new(); max + 1]),
            _ => Ok(vec![Props::new(); max]),
        }
    }

    async fn start_task(&self, props: Props, _context: SourceContext) -> Result<Box<dyn SourceTask>> {
        let act = props.get("act").cloned().flatten().unwrap_or_default();
        if act == "fail" {
            return Err(Error::config("can't start"));
        }
        Ok(Box::new(ActorTask(act)))
    }
}

struct ActorTask(String);

#[async_trait]
impl SourceTask for ActorTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        assert!(self.0 != "panic", "as told");
        std::future::pending().await
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        if self.0 == "hang" {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Clients of a broker in memory.
struct MemoryClients(MemoryBroker);

#[async_trait]
impl Clients for MemoryClients {
    fn source_producer(&self, _connector: &str, _task: u32, _config: &Resolved) -> Result<Arc<dyn Produce>> {
        Ok(self.0.producer())
    }

    fn transactional_producer(&self, connector: &str, task: u32, _config: &Resolved) -> Result<Arc<dyn Transact>> {
        Ok(MemoryTransactions::open(&self.0, &format!("{connector}-{task}")))
    }

    async fn offsets_log(
        &self,
        _connector: &str,
        _task: u32,
        _config: &Resolved,
        topic: &str,
        _exactly_once: bool,
    ) -> Result<Option<(OffsetTable, Arc<dyn OffsetLog>)>> {
        let table = OffsetTable::default();
        self.0.create(crate::testing::topic(topic)).await?;
        Ok(Some((table.clone(), Arc::new(MemoryLog::new(table)))))
    }

    async fn fence(&self, connector: &str, _config: &Resolved, tasks: u32) -> Result<()> {
        (0..tasks).for_each(|task| MemoryTransactions::fence(&self.0, &format!("{connector}-{task}")));
        Ok(())
    }

    fn source_topics(&self, _connector: &str, _task: u32, _config: &Resolved) -> Result<Arc<dyn Topics>> {
        Ok(self.0.topics())
    }

    fn sink_consumer(
        &self,
        connector: &str,
        _task: u32,
        _config: &Resolved,
        _subscription: Subscription,
    ) -> Result<Box<dyn Consume>> {
        Ok(Box::new(self.0.consumer(&format!("connect-{connector}"), "t")))
    }

    fn dead_letter_producer(&self, _connector: &str, _task: u32, _config: &Resolved) -> Result<Arc<dyn Produce>> {
        Ok(self.0.producer())
    }

    fn sink_topics(&self, _connector: &str, _task: u32, _config: &Resolved) -> Result<Arc<dyn Topics>> {
        Ok(self.0.topics())
    }

    fn sink_group(&self, connector: &str, _config: &Resolved) -> Result<String> {
        Ok(format!("connect-{connector}"))
    }
}

fn converter_plugin() -> Plugin {
    Plugin {
        class: "test.Text",
        version: "1",
        kind: PluginKind::Converter(
            |_, _| Ok(Box::new(crate::testing::Text::default())),
            Some(|_| Ok(Box::new(crate::testing::Text::default()))),
        ),
        config_def: || &NO_KEYS,
    }
}

struct Rig {
    units: Arc<WorkerUnits>,
    events: mpsc::Receiver<UnitEvent>,
    run: Run,
}

fn rig() -> Rig {
    rig_with(Lease::endless(), Duration::from_millis(100))
}

fn rig_with(lease: Lease, graceful_timeout: Duration) -> Rig {
    let actor = Plugin {
        class: "test.ActorConnector",
        version: "1",
        kind: PluginKind::Source(Arc::new(Actor)),
        config_def: || &NO_KEYS,
    };
    let table = OffsetTable::default();
    let (events, receiver) = mpsc::channel(64);
    let units = WorkerUnits::new(Shared {
        metrics: crate::metrics::WorkerMetrics::unseen(),
        worker: ["key.converter", "value.converter", "header.converter"]
            .map(|key| (key.to_owned(), Some("test.Text".to_owned())))
            .into_iter()
            .collect(),
        registry: Arc::new(PluginRegistry::new(vec![actor, converter_plugin()])),
        clients: Arc::new(MemoryClients(MemoryBroker::new())),
        offsets: Arc::new(OffsetStore::new(table.clone(), Arc::new(MemoryLog::new(table)))),
        resolve: Arc::new(|props| Ok(props.clone())),
        delivery: Delivery::default(),
        recovery: connect_cluster::RecoveryPolicy::default().for_all(),
        settings: UnitSettings { graceful_timeout, ..UnitSettings::default() },
        lease,
        events,
    });
    Rig { units, events: receiver, run: 0 }
}

impl Rig {
    fn config(class: &str, act: &str) -> Props {
        [("name", "c"), ("connector.class", class), ("tasks.max", "2"), ("act", act)]
            .map(|(k, v)| (k.to_owned(), Some(v.to_owned())))
            .into_iter()
            .collect()
    }

    fn task(&mut self, task: u32, act: &str) -> UnitId {
        self.run += 1;
        let id = TaskId { connector: Arc::from("c"), task };
        self.units.start_task(TaskStart {
            id: id.clone(),
            run: self.run,
            config: IndexMap::from([("act".to_owned(), act.to_owned())]),
            connector: Self::config("test.ActorConnector", act),
            task_count: 1,
        });
        UnitId::Task(id)
    }

    fn connector(&mut self, class: &str, act: &str) -> UnitId {
        self.run += 1;
        let name: Arc<str> = Arc::from("c");
        let config = Self::config(class, act);
        self.units.start_connector(ConnectorStart { name: Arc::clone(&name), run: self.run, config });
        UnitId::Connector(name)
    }

    async fn news(&mut self) -> (Run, UnitNews) {
        let event = crate::testing::news(&mut self.events).await;
        (event.run, event.what)
    }

    async fn failure(&mut self) -> String {
        self.failed().await.0
    }

    async fn failed(&mut self) -> (String, Failure) {
        loop {
            match self.news().await.1 {
                UnitNews::Failed { trace, failure } => return (trace, failure),
                UnitNews::Running => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_task_runs_rests_goes_on_and_ends() {
    let mut rig = rig();
    let unit = rig.task(0, "");
    assert!(matches!(rig.news().await, (1, UnitNews::Running)));
    rig.units.pause(&unit);
    assert!(matches!(rig.news().await, (1, UnitNews::Paused)));
    rig.units.resume(&unit);
    assert!(matches!(rig.news().await, (1, UnitNews::Running)));
    rig.units.stop(&unit);
    assert!(matches!(rig.news().await, (1, UnitNews::Exited)));
    rig.units.pause(&unit);
    let again = rig.task(0, "");
    assert!(matches!(rig.news().await, (2, UnitNews::Running)), "orders to a unit that is gone are ignored");
    rig.units.stop(&again);
    assert!(matches!(rig.news().await, (2, UnitNews::Exited)));
}

#[tokio::test]
async fn a_panic_is_the_failure_of_that_task_alone() {
    let mut rig = rig();
    let good = rig.task(0, "");
    assert!(matches!(rig.news().await, (1, UnitNews::Running)));
    rig.task(1, "panic");
    let (trace, failure) = rig.failed().await;
    assert!(trace.contains("the unit panicked: as told"), "{trace}");
    assert_eq!((failure.code.as_str(), failure.cure), ("bug", Cure::Person));
    assert_eq!(failure.message, "the unit panicked: as told");
    rig.units.stop(&good);
    assert!(matches!(rig.news().await, (1, UnitNews::Exited)));
}

#[tokio::test]
async fn a_task_that_does_not_start_fails_with_its_trace() {
    let mut rig = rig();
    rig.task(0, "fail");
    assert_eq!(rig.failure().await, "org.apache.kafka.common.config.ConfigException: can't start\n");
}

#[tokio::test]
async fn a_task_that_does_not_stop_is_abandoned_in_time() {
    let mut rig = rig();
    let unit = rig.task(0, "hang");
    assert!(matches!(rig.news().await, (1, UnitNews::Running)));
    let asked = std::time::Instant::now();
    rig.units.stop(&unit);
    assert!(matches!(rig.news().await, (1, UnitNews::Exited)));
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn without_the_right_to_work_a_stop_takes_less_than_what_is_left_of_a_session() {
    let mut rig = rig_with(Lease::new(Duration::from_secs(10)), Duration::from_secs(60));
    let unit = rig.task(0, "hang");
    assert!(matches!(rig.news().await, (1, UnitNews::Running)));
    let asked = std::time::Instant::now();
    rig.units.stop(&unit);
    assert!(matches!(rig.news().await, (1, UnitNews::Exited)));
    assert!(asked.elapsed() >= LOST_STOP && asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_connector_tells_its_tasks_at_each_start_and_resume() {
    let mut rig = rig();
    let unit = rig.connector("test.ActorConnector", "");
    for _ in 0..2 {
        assert!(matches!(rig.news().await, (1, UnitNews::Running)));
        let (1, UnitNews::TaskConfigs(configs)) = rig.news().await else { panic!("task configurations") };
        let class = ("task.class".to_owned(), "test.ActorTask".to_owned());
        assert_eq!(configs, vec![IndexMap::from([class]); 2]);
        rig.units.pause(&unit);
        assert!(matches!(rig.news().await, (1, UnitNews::Paused)));
        rig.units.resume(&unit);
    }
}

#[tokio::test]
async fn a_connector_that_can_not_be_started_fails() {
    let mut rig = rig();
    rig.connector("no.such.Connector", "");
    let trace = rig.failure().await;
    assert!(
        trace.contains(
            "Failed to find any class that implements Connector and which name matches no.such.Connector, available"
        ),
        "{trace}"
    );
    rig.connector("test.ActorConnector", "no tasks");
    assert_eq!(rig.failure().await, "org.apache.kafka.common.config.ConfigException: no tasks today\n");
    rig.connector("test.ActorConnector", "too many");
    let trace = rig.failure().await;
    assert!(trace.contains("The connector c has generated 3 tasks, which is greater than 2"), "{trace}");
}
