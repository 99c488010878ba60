//! A worker with a Postgres source and a MongoDB sink that have done something, as far as metrics can tell.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_api::{Plugin, PluginKind};
use connect_cluster::jobs::{JobFigures, JobState};
use connect_cluster::unit::{UnitEvent, UnitId, UnitNews};
use connect_cluster::{
    ClusterView, ConnectorInfo, ConnectorStatus, ConnectorView, State, Target, TaskId, TaskInfo, TaskStatus,
};
use connect_config::Props;
use connect_kafka::{Admin, ClientProps, Consumer, Producer, Subscription};
use connect_metrics::{Dialects, Format, Process, Registry, Snapshot, Source, Windows, now_ms, render};
use connect_mongodb::metrics::Statistics;
use connect_plugins::PluginRegistry;
use connect_postgres::metrics::{EventKind, PostgresMetrics};
use connect_postgres::settings::Settings;
use connect_worker::jobs::{tell_job, tell_webhooks};
use connect_worker::metrics::{ClientOf, TaskFacts, TaskMetrics, WorkerMetrics};
use tokio::sync::mpsc;

const WORKER: &str = "127.0.0.1:8083";
const SOURCE: &str = "io.debezium.connector.postgresql.PostgresConnector";
const SINK: &str = "com.mongodb.kafka.connect.MongoSinkConnector";

fn plugins() -> PluginRegistry {
    let mut plugins: Vec<Plugin> = connect_postgres::plugins();
    plugins.extend(connect_mongodb::plugins());
    plugins.extend(connect_formats::plugins());
    plugins.extend(connect_transforms::plugins());
    PluginRegistry::new(plugins)
}

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn connector(name: &str, class: &str, kind: &'static str, state: State) -> Arc<ConnectorView> {
    let id = TaskId { connector: name.into(), task: 0 };
    let status = |state| TaskStatus { state, worker_id: WORKER.into(), trace: None, generation: 1, version: None };
    Arc::new(ConnectorView {
        info: ConnectorInfo {
            name: name.into(),
            config: props(&[("connector.class", class)]),
            tasks: vec![id.clone()],
            kind,
        },
        target: Target::Started,
        tasks: vec![TaskInfo { id, config: [].into_iter().collect() }],
        status: Some(ConnectorStatus {
            name: name.into(),
            connector: status(State::Running),
            tasks: vec![(0, status(state))],
            kind,
        }),
        topics: Vec::new(),
    })
}

fn start(metrics: &WorkerMetrics, registry: &PluginRegistry, name: &str, class: &str) -> Arc<TaskMetrics> {
    let id = TaskId { connector: name.into(), task: 0 };
    let task = metrics.start_task(&id, 1);
    let plugin = registry.connector(class).unwrap();
    let config = props(&[
        ("connector.class", class),
        ("transforms", "unwrap"),
        ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
    ]);
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let worker = props(&[("key.converter", json), ("value.converter", json)]);
    task.describe(TaskFacts::of(registry, &worker, &config, &Props::new(), plugin));
    assert!(matches!(plugin.kind, PluginKind::Source(_) | PluginKind::Sink(_)));
    metrics.unit_event(&UnitEvent { unit: UnitId::Task(id), run: 1, what: UnitNews::Running });
    task.arrived(3);
    task.commit_begun();
    task.committed();
    task
}

fn postgres(task: &Arc<TaskMetrics>) {
    let settings = Settings::parse(&props(&[
        ("database.hostname", "localhost"),
        ("database.user", "u"),
        ("database.password", "p"),
        ("database.dbname", "d"),
        ("topic.prefix", "shop"),
        ("plugin.name", "pgoutput"),
    ]))
    .unwrap();
    let (queue, _batches) = mpsc::channel(1);
    let measured = PostgresMetrics::new(&settings, queue.downgrade());
    measured.snapshot_begins(["public.orders".to_owned()].into_iter());
    measured.rows("public.orders", 7, true);
    measured.snapshot_ends(true);
    measured.connected(true);
    measured.event(EventKind::Create, &measured.table("public.orders"));
    measured.streamed(42, 1);
    measured.committed(99);
    task.plugins().register("debezium.postgres", "connector-metrics", measured);
}

fn mongodb(task: &Arc<TaskMetrics>) {
    let statistics = Statistics::new("sink", 0);
    statistics.in_put.add(Duration::from_millis(3));
    task.plugins().register("com.mongodb.kafka.connect", "sink-task-metrics", Arc::new(statistics));
    task.put_returned(3, Duration::from_millis(2));
}

/// The text of such a worker's metrics. Needs a runtime, and no servers: nobody waits for the clients to connect.
/// A job with all its figures.
struct Job;

impl Source for Job {
    fn read(&self, _now_ms: i64, out: &mut Snapshot) {
        let figures = JobFigures {
            job: "shop".to_owned(),
            state: JobState::Running,
            lag_bytes: Some(512),
            lag_records: vec![("sink".to_owned(), 12)],
            retained_bytes: Some(1_048_576),
            warnings: 1,
            recovery_attempts: 2,
        };
        tell_job(&figures, out);
        tell_webhooks(3, 1, 0, out);
    }
}

pub(crate) fn text(dialects: Dialects, format: Format) -> String {
    let registry = Arc::new(Registry::default());
    registry.add(Arc::new(Process::new("4.1.1", "abc", format!("connect-{WORKER}"))));
    registry.add(Arc::new(Job));
    let metrics = WorkerMetrics::new(Arc::clone(&registry), Windows::default());
    let plugins = Arc::new(plugins());
    let view = ClusterView {
        connectors: [
            ("source".into(), connector("source", SOURCE, "source", State::Running)),
            ("sink".into(), connector("sink", SINK, "sink", State::Failed)),
        ]
        .into_iter()
        .collect(),
        ..ClusterView::default()
    };
    metrics.started(Arc::new(ArcSwap::from_pointee(view)), WORKER, &format!("connect-{WORKER}"), Arc::clone(&plugins));
    metrics.rebalance_begun();
    metrics.rebalanced(3, "sessioned");
    let (source, sink) = (start(&metrics, &plugins, "source", SOURCE), start(&metrics, &plugins, "sink", SINK));
    postgres(&source);
    mongodb(&sink);
    let client: ClientProps = [("bootstrap.servers", "127.0.0.1:1"), ("client.id", "a\"b"), ("group.id", "g")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let producer = Producer::open(&client).unwrap();
    let consumer = Consumer::open(&client, Subscription::Topics(vec!["t".to_owned()])).unwrap();
    let admin = Admin::open(&client).unwrap();
    metrics.client(ClientOf::Producer, &producer.stats());
    metrics.client(ClientOf::Consumer, &consumer.stats());
    metrics.client(ClientOf::Admin, admin.stats());
    // The membership's client is one for requests, too.
    metrics.client(ClientOf::Worker, admin.stats());
    registry.tick(now_ms());
    render(&registry.read(now_ms()), dialects, format)
}
