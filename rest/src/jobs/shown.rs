//! The JSON shapes of jobs. Times are ISO 8601 in UTC; what is not known is null.

use std::collections::BTreeMap;

use connect_cluster::jobs::{
    Checkpoint, ConnectorSummary, JobError, JobSummary, JobView, NewJob, RecoveryView, RetentionView, StreamingView,
    TableView, Transition, Validation,
};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::ConfigInfos;

/// A time as Java's `Instant` writes itself: milliseconds only where there are any.
pub(crate) fn time(millis: i64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(if millis % 1000 == 0 { format!("{at:.0}") } else { format!("{at:.3}") })
}

/// A line of `GET /jobs`.
#[derive(Serialize)]
pub(crate) struct Summary<'a> {
    name: &'a str,
    state: &'static str,
    phase: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    updated_at: Option<String>,
}

impl<'a> From<&'a JobSummary> for Summary<'a> {
    fn from(job: &'a JobSummary) -> Self {
        Self {
            name: &job.name,
            state: job.state.name(),
            phase: job.phase.map(|phase| phase.name()),
            kind: job.kind.name(),
            updated_at: job.updated_ms.and_then(time),
        }
    }
}

/// `GET /jobs/{job}`.
#[derive(Serialize)]
pub(crate) struct Job<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
    phase: Option<&'static str>,
    phases: IndexMap<&'static str, &'static str>,
    reason: &'a str,
    updated_at: Option<String>,
    uptime_ms: Option<u64>,
    actions: Vec<&'static str>,
    tables: Vec<Table<'a>>,
    streaming: Option<Streaming<'a>>,
    checkpoint: Option<Saved<'a>>,
    retention: Option<Retention<'a>>,
    recovery: Recovery,
    error: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Change<'a>>>,
    connectors: Vec<Connector<'a>>,
    waiting_for: Option<&'a str>,
}

impl<'a> Job<'a> {
    /// All of a job.
    pub(crate) fn whole(job: &'a JobView) -> Self {
        let history = job.history.iter().map(Change::from).collect();
        Self { options: Some(&job.options), history: Some(history), ..Self::figures(job) }
    }

    /// What changes from second to second: all but options and history.
    pub(crate) fn figures(job: &'a JobView) -> Self {
        Self {
            name: &job.name,
            kind: job.kind.name(),
            state: job.state.name(),
            phase: job.phase.map(|phase| phase.name()),
            phases: job.phases.iter().map(|(phase, state)| (phase.name(), state.name())).collect(),
            reason: &job.reason,
            updated_at: job.updated_ms.and_then(time),
            uptime_ms: job.uptime_ms,
            actions: job.actions.iter().map(|action| action.name()).collect(),
            tables: job.tables.iter().map(Table::from).collect(),
            streaming: job.streaming.as_ref().map(Streaming::from),
            checkpoint: job.checkpoint.as_ref().map(Saved::from),
            retention: job.retention.as_ref().map(Retention::from),
            recovery: Recovery::from(&job.recovery),
            error: job.error.as_ref().map(Failure::from),
            options: None,
            history: None,
            connectors: job.connectors.iter().map(Connector::from).collect(),
            waiting_for: job.waiting_for.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Table<'a> {
    table: &'a str,
    status: &'static str,
    rows: u64,
    rows_estimated: Option<u64>,
    percent: Option<f64>,
    rows_per_second: Option<f64>,
    time_left_ms: Option<u64>,
}

impl<'a> From<&'a TableView> for Table<'a> {
    fn from(table: &'a TableView) -> Self {
        Self {
            table: &table.table,
            status: table.status.name(),
            rows: table.rows,
            rows_estimated: table.rows_estimated,
            percent: table.percent,
            rows_per_second: table.rows_per_second,
            time_left_ms: table.time_left_ms,
        }
    }
}

#[derive(Serialize)]
struct Streaming<'a> {
    events_per_second_1m: Option<f64>,
    events_per_second_5m: Option<f64>,
    last_commit_at: Option<String>,
    last_commit_lsn: Option<&'a str>,
    lag_bytes: Option<u64>,
    lag_ms: Option<i64>,
    sinks: Vec<Lag<'a>>,
}

#[derive(Serialize)]
struct Lag<'a> {
    connector: &'a str,
    lag_records: Option<u64>,
}

impl<'a> From<&'a StreamingView> for Streaming<'a> {
    fn from(stream: &'a StreamingView) -> Self {
        let lags = stream.sinks.iter();
        Self {
            events_per_second_1m: stream.events_per_second.one_minute,
            events_per_second_5m: stream.events_per_second.five_minutes,
            last_commit_at: stream.last_commit_ms.and_then(time),
            last_commit_lsn: stream.last_commit_lsn.as_deref(),
            lag_bytes: stream.lag_bytes,
            lag_ms: stream.lag_ms,
            sinks: lags.map(|lag| Lag { connector: &lag.connector, lag_records: lag.lag_records }).collect(),
        }
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    lsn: Option<&'a str>,
    table: Option<&'a str>,
    last_commit_at: Option<String>,
    saved_at: Option<String>,
}

impl<'a> From<&'a Checkpoint> for Saved<'a> {
    fn from(checkpoint: &'a Checkpoint) -> Self {
        Self {
            lsn: checkpoint.lsn.as_deref(),
            table: checkpoint.table.as_deref(),
            last_commit_at: checkpoint.last_commit_ms.and_then(time),
            saved_at: checkpoint.saved_ms.and_then(time),
        }
    }
}

#[derive(Serialize)]
struct Retention<'a> {
    slot: &'a str,
    wal_status: Option<&'a str>,
    retained_bytes: Option<u64>,
    safe_wal_size: Option<u64>,
    wal_bytes_per_second: Option<f64>,
    exhausted_in_ms: Option<u64>,
    warning: Option<&'a str>,
}

impl<'a> From<&'a RetentionView> for Retention<'a> {
    fn from(kept: &'a RetentionView) -> Self {
        Self {
            slot: &kept.slot,
            wal_status: kept.wal_status.as_deref(),
            retained_bytes: kept.retained_bytes,
            safe_wal_size: kept.safe_wal_size,
            wal_bytes_per_second: kept.wal_bytes_per_second,
            exhausted_in_ms: kept.exhausted_in_ms,
            warning: kept.warning.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Recovery {
    attempt: u32,
    attempts_max: u32,
    first_failure_at: Option<String>,
    next_attempt_at: Option<String>,
    kind: Option<&'static str>,
}

impl From<&RecoveryView> for Recovery {
    fn from(recovery: &RecoveryView) -> Self {
        Self {
            attempt: recovery.attempt,
            attempts_max: recovery.attempts_max,
            first_failure_at: recovery.first_failure_ms.and_then(time),
            next_attempt_at: recovery.next_attempt_ms.and_then(time),
            kind: recovery.kind,
        }
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'a str,
    message: &'a str,
    remedy: Option<&'a str>,
    connector: Option<&'a str>,
    task: Option<u32>,
    at: Option<String>,
}

impl<'a> From<&'a JobError> for Failure<'a> {
    fn from(error: &'a JobError) -> Self {
        Self {
            code: &error.code,
            message: &error.message,
            remedy: error.remedy.as_deref(),
            connector: error.connector.as_deref(),
            task: error.task,
            at: time(error.at_ms),
        }
    }
}

#[derive(Serialize)]
struct Change<'a> {
    at: Option<String>,
    from: Option<&'static str>,
    to: &'static str,
    cause: &'a str,
    by: &'a str,
}

impl<'a> From<&'a Transition> for Change<'a> {
    fn from(change: &'a Transition) -> Self {
        Self {
            at: time(change.at_ms),
            from: change.from.map(|state| state.name()),
            to: change.to.name(),
            cause: &change.cause,
            by: &change.by,
        }
    }
}

#[derive(Serialize)]
struct Connector<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    state: Option<&'static str>,
    tasks: Vec<Task<'a>>,
}

#[derive(Serialize)]
struct Task<'a> {
    id: u32,
    state: &'static str,
    worker_id: &'a str,
}

impl<'a> From<&'a ConnectorSummary> for Connector<'a> {
    fn from(connector: &'a ConnectorSummary) -> Self {
        let tasks = connector.tasks.iter();
        Self {
            name: &connector.name,
            kind: connector.kind,
            state: connector.state,
            tasks: tasks.map(|task| Task { id: task.id, state: task.state, worker_id: &task.worker_id }).collect(),
        }
    }
}

/// The answer to a pause.
#[derive(Serialize)]
pub(crate) struct Paused<'a> {
    #[serde(flatten)]
    pub(crate) job: Job<'a>,
    pub(crate) warning: Option<&'a str>,
}

/// The answer to `POST /jobs/validate`.
#[derive(Serialize)]
pub(crate) struct Judged {
    error_count: usize,
    problems: Vec<String>,
    source: Option<ConfigInfos>,
    sinks: Vec<ConfigInfos>,
}

impl Judged {
    pub(crate) fn new(job: &NewJob, validation: Validation) -> Self {
        let class =
            |config: &connect_config::Props| config.get("connector.class").cloned().flatten().unwrap_or_default();
        let source_class = job.source.as_ref().map(|source| class(&source.config)).unwrap_or_default();
        // A list that is shorter than that of the validation gives no class, never less answers.
        let sink_classes = job.sinks.iter().map(|sink| class(&sink.config)).chain(std::iter::repeat(String::new()));
        Self {
            error_count: validation.error_count(),
            source: validation.source.map(|validated| ConfigInfos::new(source_class, validated)),
            sinks: sink_classes.zip(validation.sinks).map(|(class, found)| ConfigInfos::new(class, found)).collect(),
            problems: validation.problems,
        }
    }
}

/// A notice, in the words of webhooks. What an event of its kind does not have is left out.
#[derive(Default, Serialize)]
pub(crate) struct Told<'a> {
    pub(crate) event: &'static str,
    pub(crate) job_id: &'a str,
    #[serde(flatten)]
    pub(crate) what: BTreeMap<&'static str, Value>,
    pub(crate) timestamp: Option<String>,
    pub(crate) id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<Job<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_in_utc() {
        assert_eq!(time(1_768_473_000_000).as_deref(), Some("2026-01-15T10:30:00Z"));
        assert_eq!(time(1_768_473_000_050).as_deref(), Some("2026-01-15T10:30:00.050Z"));
        assert_eq!(time(-1).as_deref(), Some("1969-12-31T23:59:59.999Z"));
        assert_eq!(time(i64::MAX), None);
    }
}
