//! What the job API shows, and what it may ask.
//!
//! Times are milliseconds since 1970. A figure that is not known is `None`.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use connect_api::Phase;
use connect_config::{Props, Validated};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::herd::{HerdError, Hop};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Defined, never started.
    Created,
    /// Asked to start; no worker has it yet.
    Pending,
    /// A worker initialises, or tries again after a failure.
    Starting,
    Running,
    Paused,
    Stopped,
    Failed,
    /// Ended by request, with both ends equal.
    Completed,
    /// Ended by request during the snapshot.
    Cancelled,
    /// Gone: only in events.
    Deleted,
}

impl JobState {
    /// The name that the API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Deleted => "deleted",
        }
    }

    /// True when nothing but a deletion can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Deleted)
    }
}

/// What a user can do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Start,
    Pause,
    Resume,
    Stop,
    /// Goes on from the last checkpoint after a failure.
    Retry,
    /// Stops, forgets the position, starts afresh with a new snapshot.
    Restart,
    /// Drains, verifies, cleans up: "CDC Completed".
    Complete,
    /// Ends a snapshot: "Snapshot cancelled".
    Terminate,
    Delete,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Stop,
        Self::Retry,
        Self::Restart,
        Self::Complete,
        Self::Terminate,
        Self::Delete,
    ];

    /// The name in paths and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Retry => "retry",
            Self::Restart => "restart",
            Self::Complete => "complete",
            Self::Terminate => "terminate",
            Self::Delete => "delete",
        }
    }

    /// The action of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// How a job came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Made through `POST /jobs`.
    Pipeline,
    /// A connector that was made through `POST /connectors`.
    Connector,
}

impl JobKind {
    /// The `type` that the API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Connector => "connector",
        }
    }
}

/// Where a part of a job is: a phase, or the snapshot of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartState {
    Pending,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl PartState {
    /// The name that the API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A table of the snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct TableView {
    pub table: String,
    pub status: PartState,
    pub rows: u64,
    pub rows_estimated: Option<u64>,
    /// 0 to 100; 100 once it is completed.
    pub percent: Option<f64>,
    pub rows_per_second: Option<f64>,
    /// How long the rest takes at this pace, by the estimate; `None` when one of them is not known.
    pub time_left_ms: Option<u64>,
}

/// Events per second over windows of one and five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateView {
    pub one_minute: Option<f64>,
    pub five_minutes: Option<f64>,
}

/// Records that a sink has still to read.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkLag {
    pub connector: String,
    pub lag_records: Option<u64>,
}

/// How the stream of changes goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamingView {
    pub events_per_second: RateView,
    pub last_commit_ms: Option<i64>,
    pub last_commit_lsn: Option<String>,
    pub lag_bytes: Option<u64>,
    pub lag_ms: Option<i64>,
    pub sinks: Vec<SinkLag>,
}

/// The last position that is safely stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    pub lsn: Option<String>,
    /// The table being read, while there is a snapshot.
    pub table: Option<String>,
    pub last_commit_ms: Option<i64>,
    pub saved_ms: Option<i64>,
}

/// How long the source's log will last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetentionView {
    pub slot: String,
    /// `reserved`, `extended`, `unreserved`, `lost`; `None` when the slot does not exist.
    pub wal_status: Option<String>,
    pub retained_bytes: Option<u64>,
    pub safe_wal_size: Option<u64>,
    pub wal_bytes_per_second: Option<f64>,
    pub exhausted_in_ms: Option<u64>,
    /// What to worry about, in a sentence.
    pub warning: Option<String>,
}

/// How failures are being cured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveryView {
    pub attempt: u32,
    pub attempts_max: u32,
    pub first_failure_ms: Option<i64>,
    pub next_attempt_ms: Option<i64>,
    /// `network`, `transient`, `persistent`.
    pub kind: Option<&'static str>,
}

/// Why a job does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobError {
    pub code: String,
    pub message: String,
    pub remedy: Option<String>,
    pub connector: Option<String>,
    pub task: Option<u32>,
    pub at_ms: i64,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    pub at_ms: i64,
    pub from: Option<JobState>,
    pub to: JobState,
    /// Why, in a few words.
    pub cause: String,
    /// Who asked: `api`, `connect` (Connect's own endpoints), `worker`.
    pub by: String,
}

/// A task of a job's connector.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTask {
    pub id: u32,
    pub state: &'static str,
    pub worker_id: String,
}

/// A connector of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorSummary {
    pub name: String,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
    pub state: Option<&'static str>,
    pub tasks: Vec<JobTask>,
}

/// One line of `GET /jobs`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    pub name: String,
    pub state: JobState,
    pub phase: Option<Phase>,
    pub kind: JobKind,
    pub updated_ms: Option<i64>,
}

/// `GET /jobs/{job}`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    pub name: String,
    pub kind: JobKind,
    pub state: JobState,
    pub phase: Option<Phase>,
    pub phases: [(Phase, PartState); 3],
    /// Why it is in its state. `CDC Completed` and `Snapshot cancelled` where a job has ended so.
    pub reason: String,
    pub updated_ms: Option<i64>,
    /// Since it last began to run; `None` when it does not run.
    pub uptime_ms: Option<u64>,
    pub actions: Vec<Action>,
    pub tables: Vec<TableView>,
    pub streaming: Option<StreamingView>,
    pub checkpoint: Option<Checkpoint>,
    pub retention: Option<RetentionView>,
    pub recovery: RecoveryView,
    pub error: Option<JobError>,
    /// As they were given, secrets hidden.
    pub options: Map<String, Value>,
    /// Oldest first; at most the last 100.
    pub history: Vec<Transition>,
    pub connectors: Vec<ConnectorSummary>,
    /// What an action under way (`complete`, `terminate`, `restart`, a stop with cleanup, a deletion) still waits for.
    pub waiting_for: Option<String>,
}

/// A connector of `POST /jobs`: its configuration, with an optional `name`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewConnector {
    pub config: Props,
}

/// The body of `POST /jobs`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    pub name: String,
    pub source: Option<NewConnector>,
    pub sinks: Vec<NewConnector>,
    pub options: Map<String, Value>,
    pub start: bool,
}

/// The answer to `POST /jobs/validate`.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Problems of the job itself (no name, no connector, unknown options), as sentences.
    pub problems: Vec<String>,
    pub source: Option<Validated>,
    pub sinks: Vec<Validated>,
}

impl Validation {
    /// All problems together.
    pub fn error_count(&self) -> usize {
        let entries = self.source.iter().chain(&self.sinks).flat_map(|validated| &validated.entries);
        self.problems.len() + entries.filter(|entry| !entry.errors.is_empty()).count()
    }
}

/// What became of `POST /jobs` or of an action.
#[derive(Clone, Debug)]
pub struct Started {
    pub job: JobView,
    /// To be read before a pause goes on for long: how long it can last.
    pub warning: Option<String>,
}

/// What happens to jobs.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// `job.state_changed`.
    StateChanged { from: Option<JobState>, to: JobState, phase: Option<Phase>, error: Option<String>, cause: String },
    /// `job.warning`: retention, a drain that takes longer than a minute.
    Warning { message: String },
    /// `job.failing`: failed for more than five minutes.
    Failing { error: Option<String>, since_ms: i64 },
    /// `job.flapping`: three failures within ten minutes.
    Flapping { failures: u32, within_ms: u64 },
    /// Figures have changed.
    Progress(Box<JobView>),
}

/// A notice of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    pub job: Arc<str>,
    pub at_ms: i64,
    pub notice: Notice,
}

/// Notices as they come. A reader that is too slow misses some, never blocks anybody.
pub type JobEvents = Pin<Box<dyn Stream<Item = JobEvent> + Send>>;

/// The jobs of the cluster, as the REST API sees them. The worker crate implements it. Reads never wait.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// All jobs by name, those of single connectors too.
    fn list(&self) -> Vec<JobSummary>;

    /// One job.
    fn job(&self, name: &str) -> Option<JobView>;

    /// Makes a job: 201. 409 when there is a job or connector of one of its names, 400 when it does not validate.
    async fn create(&self, job: NewJob, by: &str, hop: Hop) -> Result<Started, HerdError>;

    /// Begins an action: 202; `cleanup` counts for `stop` only. `Delete` answers when the job is gone, or after a minute with
    /// what it waits for (409). 404 for an unknown job, 409 with the allowed actions when the state does not allow it.
    async fn act(&self, name: &str, action: Action, cleanup: bool, by: &str, hop: Hop) -> Result<Started, HerdError>;

    /// Pauses or resumes ([`Action::Pause`], [`Action::Resume`]) every job that allows it; answers the jobs it changed.
    async fn act_on_all(&self, action: Action, by: &str, hop: Hop) -> Result<Vec<JobSummary>, HerdError>;

    /// What `create` would say, with live checks of both ends.
    async fn validate(&self, job: &NewJob) -> Result<Validation, HerdError>;

    /// What happens from now on, to one job or to all.
    fn events(&self, job: Option<&str>) -> JobEvents;
}
