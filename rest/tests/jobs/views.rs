//! Jobs to be shown, and the text of one.

use connect_api::Phase;
use connect_cluster::jobs::{
    Action, Checkpoint, ConnectorSummary, JobError, JobKind, JobState, JobTask, JobView, PartState, RateView,
    RecoveryView, RetentionView, SinkLag, StreamingView, TableView, Transition,
};
use serde_json::json;

/// A job of which nothing is known.
pub(crate) fn plain(name: &str, state: JobState) -> JobView {
    JobView {
        name: name.to_owned(),
        kind: JobKind::Connector,
        state,
        phase: None,
        phases: Phase::ALL.map(|phase| (phase, PartState::Pending)),
        reason: "as it is".into(),
        updated_ms: None,
        uptime_ms: None,
        actions: vec![Action::Pause, Action::Stop, Action::Start, Action::Delete],
        tables: Vec::new(),
        streaming: None,
        checkpoint: None,
        retention: None,
        recovery: RecoveryView::default(),
        error: None,
        options: serde_json::Map::new(),
        history: Vec::new(),
        connectors: Vec::new(),
        waiting_for: None,
    }
}

/// 2026-01-15T10:30:00Z.
pub(crate) const THEN: i64 = 1_768_473_000_000;

/// A job of which everything is known.
pub(crate) fn whole() -> JobView {
    JobView {
        kind: JobKind::Pipeline,
        phase: Some(Phase::Snapshot),
        phases: [
            (Phase::Init, PartState::Completed),
            (Phase::Snapshot, PartState::Running),
            (Phase::Streaming, PartState::Pending),
        ],
        reason: "started by request".into(),
        updated_ms: Some(THEN),
        uptime_ms: Some(8_040_000),
        actions: vec![Action::Pause, Action::Stop, Action::Terminate],
        tables: vec![TableView {
            table: "public.orders".into(),
            status: PartState::Running,
            rows: 804_000,
            rows_estimated: Some(1_200_000),
            percent: Some(67.0),
            rows_per_second: Some(21_000.5),
            time_left_ms: Some(18_856),
        }],
        streaming: Some(StreamingView {
            events_per_second: RateView { one_minute: Some(1247.0), five_minutes: None },
            last_commit_ms: Some(THEN),
            last_commit_lsn: Some("0/1A3E5F8".into()),
            lag_bytes: Some(512),
            lag_ms: Some(40),
            sinks: vec![SinkLag { connector: "shop-sink".into(), lag_records: Some(12) }],
        }),
        checkpoint: Some(Checkpoint {
            lsn: Some("0/1A3E5F8".into()),
            table: Some("public.orders".into()),
            last_commit_ms: Some(THEN + 50),
            saved_ms: None,
        }),
        retention: Some(RetentionView {
            slot: "shop".into(),
            wal_status: Some("reserved".into()),
            retained_bytes: Some(1_048_576),
            safe_wal_size: Some(5_368_709_120),
            wal_bytes_per_second: Some(220_000.0),
            exhausted_in_ms: Some(24_400_000),
            warning: None,
        }),
        recovery: RecoveryView {
            attempt: 2,
            attempts_max: 10,
            first_failure_ms: Some(THEN),
            next_attempt_ms: Some(THEN + 1000),
            kind: Some("network"),
        },
        error: Some(JobError {
            code: "ECONNREFUSED".into(),
            message: "refused".into(),
            remedy: Some("start it".into()),
            connector: Some("shop-source".into()),
            task: Some(0),
            at_ms: THEN,
        }),
        options: json!({"z": 1, "a": {"b": [true]}}).as_object().unwrap().clone(),
        history: vec![
            Transition { at_ms: THEN, from: None, to: JobState::Created, cause: "created".into(), by: "portal".into() },
            Transition {
                at_ms: THEN,
                from: Some(JobState::Starting),
                to: JobState::Running,
                cause: "initialised".into(),
                by: "worker".into(),
            },
        ],
        connectors: vec![ConnectorSummary {
            name: "shop-source".into(),
            kind: "source",
            state: Some("RUNNING"),
            tasks: vec![JobTask { id: 0, state: "RUNNING", worker_id: "w:8083".into() }],
        }],
        waiting_for: Some("the sink".into()),
        ..plain("shop", JobState::Running)
    }
}

pub(crate) const WHOLE: &str = concat!(
    r#"{"name":"shop","type":"pipeline","state":"running","phase":"SNAPSHOT","phases":{"INIT":"completed","#,
    r#""SNAPSHOT":"running","STREAMING":"pending"},"reason":"started by request","updated_at":"2026-01-15T10:30:00Z","#,
    r#""uptime_ms":8040000,"actions":["pause","stop","terminate"],"tables":[{"table":"public.orders","status":"running","#,
    r#""rows":804000,"rows_estimated":1200000,"percent":67.0,"rows_per_second":21000.5,"time_left_ms":18856}],"streaming":"#,
    r#"{"events_per_second_1m":1247.0,"events_per_second_5m":null,"last_commit_at":"2026-01-15T10:30:00Z","#,
    r#""last_commit_lsn":"0/1A3E5F8","lag_bytes":512,"lag_ms":40,"sinks":[{"connector":"shop-sink","lag_records":12}]},"#,
    r#""checkpoint":{"lsn":"0/1A3E5F8","table":"public.orders","last_commit_at":"2026-01-15T10:30:00.050Z","#,
    r#""saved_at":null},"retention":{"slot":"shop","wal_status":"reserved","retained_bytes":1048576,"#,
    r#""safe_wal_size":5368709120,"wal_bytes_per_second":220000.0,"exhausted_in_ms":24400000,"warning":null},"recovery":"#,
    r#"{"attempt":2,"attempts_max":10,"first_failure_at":"2026-01-15T10:30:00Z","next_attempt_at":"2026-01-15T10:30:01Z","#,
    r#""kind":"network"},"error":{"code":"ECONNREFUSED","message":"refused","remedy":"start it","connector":"shop-source","#,
    r#""task":0,"at":"2026-01-15T10:30:00Z"},"options":{"z":1,"a":{"b":[true]}},"history":[{"at":"2026-01-15T10:30:00Z","#,
    r#""from":null,"to":"created","cause":"created","by":"portal"},{"at":"2026-01-15T10:30:00Z","from":"starting","#,
    r#""to":"running","cause":"initialised","by":"worker"}],"connectors":[{"name":"shop-source","type":"source","#,
    r#""state":"RUNNING","tasks":[{"id":0,"state":"RUNNING","worker_id":"w:8083"}]}],"waiting_for":"the sink"}"#,
);
