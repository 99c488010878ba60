//! The jobs of the demo: one for each thing that can be seen.

use connect_api::Phase;
use connect_cluster::jobs::{
    Checkpoint, ConnectorSummary, JobError, JobKind, JobState, JobTask, JobView, NewJob, PartState, RateView,
    RecoveryView, RetentionView, SinkLag, StreamingView, TableView, Transition,
};
use connect_config::Props;
use serde_json::{Map, json};

use super::herd::{MONGODB, POSTGRES};
use super::world::{Actor, now_ms};

const GIB: u64 = 1 << 30;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn task(state: &'static str) -> JobTask {
    JobTask { id: 0, state, worker_id: "connect-1.example.com:8083".into() }
}

fn props(entries: &[(&str, &str)]) -> Props {
    entries.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn actor(name: &str, state: JobState, phase: Option<Phase>, speed: f64) -> Actor {
    let connector = |end: &str, kind| ConnectorSummary {
        name: format!("{name}-{end}"),
        kind,
        state: Some("RUNNING"),
        tasks: vec![task("RUNNING")],
    };
    let configs = vec![
        props(&[
            ("connector.class", POSTGRES),
            ("database.hostname", "db.example.com"),
            ("database.port", "5432"),
            ("database.user", "replicator"),
            ("database.password", "hunter2-of-postgres"),
            ("database.dbname", name),
            ("topic.prefix", name),
            ("slot.name", name),
        ]),
        props(&[
            ("connector.class", MONGODB),
            ("connection.uri", "mongodb://writer:hunter2-of-mongo@mongo.example.com/?replicaSet=rs0"),
            ("database", name),
            ("topics.regex", &format!("{name}\\..*")),
        ]),
    ];
    let view = JobView {
        name: name.into(),
        kind: JobKind::Pipeline,
        state,
        phase,
        phases: Phase::ALL.map(|phase| (phase, PartState::Pending)),
        reason: "started by request".into(),
        updated_ms: Some(now_ms() - 2 * HOUR),
        uptime_ms: (state == JobState::Running).then_some(9_240_000),
        actions: Vec::new(),
        tables: Vec::new(),
        streaming: None,
        checkpoint: None,
        retention: Some(RetentionView {
            slot: name.into(),
            wal_status: Some("reserved".into()),
            retained_bytes: Some(GIB / 64),
            safe_wal_size: Some(5 * GIB),
            wal_bytes_per_second: Some(220_000.0),
            exhausted_in_ms: Some(24_400_000),
            warning: None,
        }),
        recovery: RecoveryView { attempts_max: 10, ..RecoveryView::default() },
        error: None,
        options: Map::new(),
        history: vec![
            change(3 * HOUR, None, JobState::Created, "created", "portal"),
            change(3 * HOUR - 900, Some(JobState::Created), JobState::Pending, "started by request", "portal"),
            change(3 * HOUR - 1900, Some(JobState::Pending), JobState::Starting, "taken by a worker", "worker"),
            change(3 * HOUR - 4200, Some(JobState::Starting), JobState::Running, "initialised", "worker"),
        ],
        connectors: vec![connector("source", "source"), connector("sink", "sink")],
        waiting_for: None,
    };
    Actor { view, configs, trace: None, speed, next: None, age: name.len() as f64 * 7.0 }
}

fn change(ago: i64, from: Option<JobState>, to: JobState, cause: &str, by: &str) -> Transition {
    Transition { at_ms: now_ms() - ago, from, to, cause: cause.into(), by: by.into() }
}

impl Actor {
    fn tables(mut self, tables: &[(&str, u64, Option<u64>)]) -> Self {
        self.view.tables = tables
            .iter()
            .map(|(table, rows, all)| TableView {
                table: (*table).to_owned(),
                status: match (rows, all) {
                    (0, _) => PartState::Pending,
                    (rows, Some(all)) if rows == all => PartState::Completed,
                    _ => PartState::Running,
                },
                rows: *rows,
                rows_estimated: *all,
                percent: all.map(|all| *rows as f64 * 100.0 / all as f64),
                rows_per_second: None,
                time_left_ms: None,
            })
            .collect();
        self
    }

    fn streaming(mut self) -> Self {
        self.view.streaming = Some(streaming(&self.view));
        self.view.checkpoint = Some(Checkpoint {
            lsn: Some("0/1A3E5F8".into()),
            table: None,
            last_commit_ms: Some(now_ms() - 2 * HOUR),
            saved_ms: Some(now_ms() - 2 * HOUR),
        });
        self
    }

    fn because(mut self, reason: &str, from: JobState) -> Self {
        self.view.reason = reason.to_owned();
        let (ago, to) = (2 * HOUR, self.view.state);
        self.view.history.push(change(ago, Some(from), to, reason, "portal"));
        self.view.updated_ms = Some(now_ms() - ago);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Actor)) -> Self {
        change(&mut self);
        self
    }
}

pub(super) fn streaming(view: &JobView) -> StreamingView {
    let sinks = view.connectors.iter().filter(|connector| connector.kind == "sink");
    StreamingView {
        events_per_second: RateView::default(),
        last_commit_ms: Some(now_ms() - 2 * HOUR),
        last_commit_lsn: Some("0/1A3E5F8".into()),
        lag_bytes: Some(512),
        lag_ms: Some(40),
        sinks: sinks.map(|sink| SinkLag { connector: sink.name.clone(), lag_records: Some(0) }).collect(),
    }
}

const SHOP: [(&str, u64, Option<u64>); 4] = [
    ("public.orders", 245_000, Some(245_000)),
    ("public.order_items", 804_000, Some(1_200_000)),
    ("public.customers", 0, Some(310_000)),
    ("public.prices", 0, None),
];
const DONE: [(&str, u64, Option<u64>); 2] =
    [("public.invoices", 98_412, Some(98_412)), ("public.payments", 120_004, Some(120_004))];

/// All of them.
pub(super) fn everybody() -> Vec<Actor> {
    use JobState::{Cancelled, Completed, Created, Failed, Paused, Running, Starting, Stopped};
    let lost = "replication slot \"crm\" does not exist: it was dropped while the connector was down; changes since LSN \
                0/1A3E5F8 are lost";
    vec![
        actor("shop", Running, Some(Phase::Snapshot), 9_300.0).tables(&SHOP).with(|shop| {
            shop.view.options.insert("drop_destination_collections".into(), json!(true));
            shop.view.options.insert(
                "webhooks".into(),
                json!([{"url": "https://alerts.example.com/tidegate", "secret": "hunter2-of-webhooks"}]),
            );
        }),
        actor("orders", Running, Some(Phase::Streaming), 1_247.0).tables(&DONE).streaming(),
        actor("telemetry", Running, Some(Phase::Streaming), 18_400.0).tables(&DONE).streaming(),
        actor("billing", Paused, Some(Phase::Streaming), 320.0)
            .tables(&DONE)
            .streaming()
            .because("paused by request", Running)
            .with(|billing| {
                if let Some(kept) = &mut billing.view.retention {
                    (kept.retained_bytes, kept.safe_wal_size) = (Some(6 * GIB), Some(3 * GIB));
                    (kept.wal_bytes_per_second, kept.exhausted_in_ms) = (Some(410_000.0), Some(7_860_000));
                    kept.wal_status = Some("extended".into());
                    kept.warning = Some(
                        "67 % of the log that the source may keep is used. Resume the job within 2 hours, or changes are lost."
                            .into(),
                    );
                }
            }),
        actor("crm", Failed, Some(Phase::Streaming), 90.0)
            .tables(&DONE)
            .streaming()
            .because("the replication slot does not exist", Running)
            .with(|crm| {
                crm.view.error = Some(JobError {
                    code: "42704".into(),
                    message: lost.into(),
                    remedy: Some("Recreate the slot and take a new snapshot with “Restart from scratch” (PUT /jobs/crm/restart). To keep the data at the destination as it is until then, do nothing yet.".into()),
                    connector: Some("crm-source".into()),
                    task: Some(0),
                    at_ms: now_ms() - 2 * HOUR,
                });
                crm.trace = Some(format!("ConnectError: {lost}\n  at START_REPLICATION SLOT \"crm\" LOGICAL 0/1A3E5F8\n  caused by: db error: ERROR: replication slot \"crm\" does not exist (SQLSTATE 42704)\n  connection: postgres://replicator:hunter2-of-postgres@db.example.com:5432/crm"));
                if let Some(kept) = &mut crm.view.retention {
                    (kept.wal_status, kept.retained_bytes, kept.safe_wal_size) = (None, None, None);
                    (kept.wal_bytes_per_second, kept.exhausted_in_ms) = (None, None);
                }
            }),
        actor("inventory", Starting, Some(Phase::Streaming), 640.0)
            .tables(&DONE)
            .streaming()
            .because("connection refused", Running)
            .with(|inventory| {
                inventory.view.recovery = RecoveryView {
                    attempt: 4,
                    attempts_max: 10,
                    first_failure_ms: Some(now_ms() - 4 * MINUTE),
                    next_attempt_ms: Some(now_ms() + 2 * MINUTE + 5000),
                    kind: Some("network"),
                };
                inventory.view.error = Some(JobError {
                    code: "ECONNREFUSED".into(),
                    message: "db.example.com:5432 refused the connection".into(),
                    remedy: Some("Is the database running, and does a firewall let this worker through? It is tried again by itself.".into()),
                    connector: Some("inventory-source".into()),
                    task: Some(0),
                    at_ms: now_ms() - MINUTE,
                });
                inventory.next = Some((125.0, Running, "the connection is there again".into()));
            }),
        actor("archive-2025", Completed, Some(Phase::Streaming), 0.0)
            .tables(&DONE)
            .because("CDC Completed", Running)
            .with(|archive| archive.view.retention = None),
        actor("legacy-import", Cancelled, Some(Phase::Snapshot), 0.0)
            .tables(&SHOP)
            .because("Snapshot cancelled", Running)
            .with(|legacy| {
                legacy.view.retention = None;
                for table in legacy.view.tables.iter_mut().filter(|table| table.status != PartState::Completed) {
                    table.status = PartState::Cancelled;
                }
            }),
        actor("events-backup", Stopped, Some(Phase::Streaming), 75.0)
            .tables(&DONE)
            .because("stopped by request", Running),
        actor("draft", Created, None, 4_000.0).tables(&[("public.drafts", 0, Some(9_000))]).with(|draft| {
            draft.view.reason = "created".into();
            draft.view.history.truncate(1);
            draft.view.retention = None;
        }),
        actor("file-lines", Running, None, 0.0).with(|file| {
            file.view.kind = JobKind::Connector;
            file.view.retention = None;
            file.view.connectors.truncate(1);
            if let Some(connector) = file.view.connectors.first_mut() {
                connector.name = "file-lines".into();
            }
            file.configs = vec![props(&[
                ("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector"),
                ("file", "/var/log/app.log"),
                ("topic", "lines"),
            ])];
        }),
    ]
}

/// A job that somebody has just made.
pub(super) fn newcomer(job: NewJob) -> Actor {
    let text = |key: &str| job.source.as_ref().and_then(|source| source.config.get(key).cloned().flatten());
    let listed = text("table.include.list").unwrap_or_else(|| "public.orders,public.customers".to_owned());
    let tables: Vec<(&str, u64, Option<u64>)> = listed.split(',').map(|table| (table, 0, Some(60_000))).collect();
    let mut actor = actor(&job.name, JobState::Created, None, 8_000.0).tables(&tables);
    actor.view.reason = "created".into();
    actor.view.updated_ms = Some(now_ms());
    actor.view.history = vec![change(0, None, JobState::Created, "created", "portal")];
    actor.view.checkpoint = None;
    actor.configs = job.source.into_iter().chain(job.sinks).map(|connector| connector.config).collect();
    actor.view.options = job.options;
    actor
}
