//! Records of the jobs topic. Each key carries everything that is known under it, so that compaction never changes what a
//! reader makes of the topic.
//!
//! | key | value | written by |
//! |---|---|---|
//! | `job-{job}` | [`Definition`]; a tombstone ends the job | the leader |
//! | `command-{job}` | [`Order`]: the last command, and how far it is | the leader |
//! | `state-{job}` | [`Recorded`]: state, history, notices | the leader |
//! | `sent-{job}` | [`Sent`]: what webhooks have got | the leader |
//! | `task-{connector}-{task}` | [`TaskReport`]: progress, retention, recovery | the worker that has the task |
//! | `connector-{connector}` | [`ConnectorReport`]: recovery of the connector itself | the worker that has it |

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::view::{Action, JobError, JobState, Transition};
use crate::herd::{ConnectorId, TaskId};
use crate::recovery::Recovery;

/// What a job is. Jobs of single connectors have one only once there is something to be said of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Definition {
    pub source: Option<String>,
    pub sinks: Vec<String>,
    pub options: Map<String, Value>,
    /// Made through `POST /jobs`.
    pub pipeline: bool,
    /// All its connectors were made: a job that has none after that is gone.
    pub made: bool,
    pub created_ms: i64,
    /// It was asked to run at least once.
    pub started: bool,
    /// `drop_destination_collections` was done: never twice.
    pub dropped: bool,
}

/// The last command of a job, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Names the command: a result that comes late is told apart by it.
    pub id: String,
    pub action: Action,
    #[serde(default)]
    pub cleanup: bool,
    pub at_ms: i64,
    pub by: String,
    /// The step that is next, an index into the plan of the action.
    #[serde(default)]
    pub step: usize,
    /// Where the source's log ended when it was asked to drain.
    #[serde(default)]
    pub log_end: Option<u64>,
    /// Where the topics of each sink ended when the source had stopped: what the sink has to commit.
    #[serde(default)]
    pub ends: Vec<SinkEnd>,
    /// When it was done or given up.
    #[serde(default)]
    pub done_ms: Option<i64>,
    /// The last thing that stood in its way.
    #[serde(default)]
    pub trouble: Option<String>,
}

impl Order {
    /// A command that nothing has been done for.
    pub fn new(id: impl Into<String>, action: Action, cleanup: bool, at_ms: i64, by: &str) -> Self {
        Self {
            id: id.into(),
            action,
            cleanup,
            at_ms,
            by: by.to_owned(),
            step: 0,
            log_end: None,
            ends: Vec::new(),
            done_ms: None,
            trouble: None,
        }
    }
}

/// What one sink has to have of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkEnd {
    pub sink: String,
    pub topic: String,
    pub partition: i32,
    /// The offset behind the last record.
    pub end: i64,
}

/// Something that webhooks are told of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredNotice {
    /// Counts the notices of a job.
    pub seq: u64,
    pub at_ms: i64,
    pub what: StoredKind,
    /// Where the job was.
    pub phase: Option<String>,
    pub error: Option<String>,
}

/// The kinds of notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoredKind {
    StateChanged { from: Option<JobState>, to: JobState, cause: String },
    Warning { message: String },
    Failing { since_ms: i64 },
    Flapping { failures: u32, within_ms: u64 },
}

/// What the leader made of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recorded {
    pub state: Option<JobState>,
    pub reason: String,
    pub updated_ms: i64,
    /// Since when it runs without interruption.
    pub running_since_ms: Option<i64>,
    /// The furthest phase that it reached.
    pub phase: Option<String>,
    pub error: Option<JobError>,
    /// The last [`HISTORY_MAX`].
    pub history: Vec<Transition>,
    /// The last [`HISTORY_MAX`].
    pub notices: Vec<StoredNotice>,
    /// When it failed, as far back as flapping looks.
    pub failures_ms: Vec<i64>,
    /// Since when it does not run because of an error.
    pub trouble_since_ms: Option<i64>,
    /// `job.failing` was told of the failure that lasts.
    pub failing_told: bool,
    /// `complete` and the like take longer than they should, and a warning says so.
    pub late_told: bool,
    /// The worst level of retention that a warning was given for: 0, 50, 80 or 100.
    pub warned: u8,
}

/// How many transitions and notices are kept.
pub const HISTORY_MAX: usize = 100;

/// What webhooks have got: the number of the last notice, by the name of the webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sent(pub BTreeMap<String, u64>);

/// A table of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableReport {
    pub table: String,
    pub rows: u64,
    pub rows_estimated: Option<u64>,
    pub begun: bool,
    pub done: bool,
    pub rows_per_second: Option<f64>,
}

/// The stream of changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamReport {
    pub resolved: Option<u64>,
    pub last_commit_position: Option<String>,
    pub last_commit_ms: Option<i64>,
    pub lag_bytes: Option<u64>,
    pub lag_ms: Option<i64>,
}

/// What the source's system keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionReport {
    pub slot: String,
    pub wal_status: Option<String>,
    pub retained_bytes: Option<u64>,
    pub safe_wal_size: Option<u64>,
    pub bytes_per_second: Option<f64>,
    pub lost: bool,
}

/// A position that is safely stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointReport {
    pub position: Option<String>,
    pub saved_ms: Option<i64>,
}

/// What a sink has put of a partition: everything below this offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReport {
    pub topic: String,
    pub partition: i32,
    pub next: i64,
}

/// How far a task is, as its worker tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskReport {
    pub worker_id: String,
    pub at_ms: i64,
    /// It runs, or is on its way out and may still write.
    pub live: bool,
    pub phase: Option<String>,
    pub tables: Vec<TableReport>,
    pub stream: Option<StreamReport>,
    pub rate_one_minute: Option<f64>,
    pub rate_five_minutes: Option<f64>,
    /// Sources: records that were read and that Kafka has not acknowledged.
    pub unsettled: Option<u64>,
    /// Sinks: records that are still to be read.
    pub lag_records: Option<u64>,
    /// Sinks.
    pub put: Vec<PutReport>,
    pub checkpoint: Option<CheckpointReport>,
    pub retention: Option<RetentionReport>,
    pub recovery: Option<Recovery>,
    /// The [`trace_mark`] of the failure that `recovery` is about: the status and this report come by different ways.
    pub failed: Option<u64>,
}

impl TaskReport {
    /// A position is stored: the source's system has to keep what follows it.
    pub fn has_position(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(|saved| saved.position.is_some())
    }
}

/// What is done about a connector that failed by itself, as its worker tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectorReport {
    pub worker_id: String,
    pub at_ms: i64,
    pub recovery: Option<Recovery>,
    /// The [`trace_mark`] of the failure that `recovery` is about.
    pub failed: Option<u64>,
}

/// A number for a trace, to tell whether two are the same (FNV-1a).
pub fn trace_mark(trace: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    // Within what every reader of JSON takes for a whole number.
    trace.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)) >> 11
}

/// A record of the topic; `None` is a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub enum JobRecord {
    Job(String, Option<Definition>),
    Order(String, Option<Order>),
    State(String, Option<Box<Recorded>>),
    Sent(String, Option<Sent>),
    Task(TaskId, Option<Box<TaskReport>>),
    Connector(ConnectorId, Option<Box<ConnectorReport>>),
}

/// Whether a key is one of reports, which every worker writes about what is its own.
pub fn is_report(key: &str) -> bool {
    matches!(key.split_once('-'), Some(("task" | "connector", _)))
}

impl JobRecord {
    /// Key and value.
    pub fn encode(&self) -> (String, Option<String>) {
        match self {
            Self::Job(job, value) => (format!("job-{job}"), text(value.as_ref())),
            Self::Order(job, value) => (format!("command-{job}"), text(value.as_ref())),
            Self::State(job, value) => (format!("state-{job}"), text(value.as_deref())),
            Self::Sent(job, value) => (format!("sent-{job}"), text(value.as_ref())),
            Self::Task(id, value) => (format!("task-{}-{}", id.connector, id.task), text(value.as_deref())),
            Self::Connector(name, value) => (format!("connector-{name}"), text(value.as_deref())),
        }
    }

    /// The record of a key and a value; `None` for what is not understood, which a newer version may have written.
    pub fn decode(key: &str, value: Option<&[u8]>) -> Option<Self> {
        let (kind, name) = key.split_once('-').filter(|(_, name)| !name.is_empty())?;
        let job = || name.to_owned();
        Some(match kind {
            "job" => Self::Job(job(), parse(value)?),
            "command" => Self::Order(job(), parse(value)?),
            "state" => Self::State(job(), parse(value)?),
            "sent" => Self::Sent(job(), parse(value)?),
            "task" => {
                let (connector, task) = name.rsplit_once('-')?;
                Self::Task(TaskId { connector: connector.into(), task: task.parse().ok()? }, parse(value)?)
            }
            "connector" => Self::Connector(name.into(), parse(value)?),
            _ => return None,
        })
    }
}

fn text<T: Serialize>(value: Option<&T>) -> Option<String> {
    value.map(|value| serde_json::to_string(value).expect("keys are text, and numbers are finite or null"))
}

/// `Some(None)` for a tombstone, `None` for what does not parse.
#[allow(clippy::option_option, reason = "a tombstone and a value that is not understood are different things")]
fn parse<T: DeserializeOwned>(value: Option<&[u8]>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(bytes) => serde_json::from_slice(bytes).ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(record: &JobRecord) {
        let (key, value) = record.encode();
        assert_eq!(JobRecord::decode(&key, value.as_deref().map(str::as_bytes)).as_ref(), Some(record), "{key}");
    }

    #[test]
    fn records_come_back_as_they_were() {
        let order = Order {
            step: 2,
            log_end: Some(u64::MAX >> 1),
            ends: vec![SinkEnd { sink: "s".into(), topic: "t".into(), partition: 3, end: 9 }],
            trouble: Some("away".into()),
            ..Order::new("1", Action::Complete, true, 5, "api")
        };
        same(&JobRecord::Order("a-b".into(), Some(order)));
        same(&JobRecord::Job("a".into(), None));
        let report = TaskReport { failed: Some(trace_mark("x")), rate_one_minute: Some(0.5), ..TaskReport::default() };
        same(&JobRecord::Task(TaskId { connector: "a-b-1".into(), task: 2 }, Some(Box::new(report))));
        let report = ConnectorReport { failed: Some(1), at_ms: 2, ..ConnectorReport::default() };
        same(&JobRecord::Connector("a-b-1".into(), Some(Box::new(report))));
        let notice = StoredNotice {
            seq: 1,
            at_ms: 2,
            what: StoredKind::StateChanged { from: None, to: JobState::Running, cause: "c".into() },
            phase: Some("SNAPSHOT".into()),
            error: None,
        };
        let recorded = Recorded { notices: vec![notice], state: Some(JobState::Running), ..Recorded::default() };
        same(&JobRecord::State("a".into(), Some(Box::new(recorded))));
        same(&JobRecord::Sent("a".into(), Some(Sent([("h".to_owned(), 4)].into()))));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for (key, value) in [("job-", "{}"), ("job", "{}"), ("task-a", "{}"), ("task-a-x", "{}"), ("new-a", "{}")] {
            assert_eq!(JobRecord::decode(key, Some(value.as_bytes())), None, "{key}");
        }
        assert_eq!(JobRecord::decode("command-a", Some(b"[]")), None);
        // Fields of a newer version do no harm.
        assert!(JobRecord::decode("job-a", Some(b"{\"new\":1}")).is_some());
    }
}
