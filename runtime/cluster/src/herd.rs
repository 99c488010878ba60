//! What the REST API may ask of a worker, and what it answers.
//!
//! Reads come from [`ClusterView`], an immutable snapshot published by the herder: they never wait for the leader or a
//! rebalance. Changes are [`Command`]s, answered once.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connect_config::{ConfigDef, Props, Validated};
use indexmap::IndexMap;

use crate::recovery::Recovery;
use crate::unit::UnitId;

/// The name of a connector.
pub type ConnectorId = Arc<str>;

/// A task of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    pub connector: ConnectorId,
    pub task: u32,
}

/// What the user wants of a connector (`TargetState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Target {
    #[default]
    Started,
    Paused,
    Stopped,
}

/// What the user sees of a connector or task (`AbstractStatus.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
    Destroyed,
}

impl State {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
            Self::Destroyed => "DESTROYED",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Unassigned, Self::Running, Self::Paused, Self::Stopped, Self::Failed, Self::Restarting, Self::Destroyed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// The state of a connector or a task, as the status topic has it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStatus {
    pub state: State,
    /// `host:port` of the worker that wrote it.
    pub worker_id: String,
    pub trace: Option<String>,
    pub generation: i32,
    pub version: Option<String>,
}

/// A connector's status with those of its tasks, in order of task.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorStatus {
    pub name: ConnectorId,
    pub connector: TaskStatus,
    pub tasks: Vec<(u32, TaskStatus)>,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
}

/// `GET /connectors/{name}`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorInfo {
    pub name: ConnectorId,
    pub config: IndexMap<String, Option<String>>,
    pub tasks: Vec<TaskId>,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
}

/// One task with its configuration, as `GET /connectors/{name}/tasks` lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInfo {
    pub id: TaskId,
    pub config: IndexMap<String, String>,
}

/// Everything the herder knows of one connector.
#[derive(Clone, Debug)]
pub struct ConnectorView {
    pub info: ConnectorInfo,
    pub target: Target,
    pub tasks: Vec<TaskInfo>,
    /// `None` until a status was written.
    pub status: Option<ConnectorStatus>,
    /// Topics that the connector used since it was created or reset (KIP-558).
    pub topics: Vec<String>,
}

/// An immutable snapshot of the cluster as this worker sees it.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    pub connectors: BTreeMap<ConnectorId, Arc<ConnectorView>>,
    /// What failed on this worker, and when it is tried again. What has run well for long enough is not in it any more.
    pub recoveries: Arc<BTreeMap<UnitId, Recovery>>,
    /// Kafka's cluster id, shown by `GET /`.
    pub kafka_cluster_id: String,
    /// The leader's advertised URL, when there is one.
    pub leader_url: Option<String>,
    /// True when this worker is the leader.
    pub is_leader: bool,
    /// True while a leader waits for a round of its group to end, which may name another one.
    pub is_unsettled_leader: bool,
    /// True once the internal topics were read to their ends: before that there is nothing to be seen.
    pub loaded: bool,
    /// True while the internal topics are read and the group is joined.
    pub ready: bool,
    /// True once it was ready: a worker that is not ready any more is not starting, but ill.
    pub been_ready: bool,
    /// Why the worker is not healthy, for `GET /health`.
    pub problem: Option<String>,
}

impl ClusterView {
    /// This worker leads, or led before the round that is under way: nobody else does yet.
    pub fn still_leads(&self) -> bool {
        self.is_leader || self.is_unsettled_leader
    }
}

/// Whether a request may still be forwarded (`forward` in the query): a request that comes from a client may take two
/// hops, one that was forwarded one more, then none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// No `forward` in the query.
    Client,
    /// `forward=true`.
    MayForward,
    /// `forward=false`.
    Last,
}

/// One partition and offset of a connector (`ConnectorOffset`, KIP-875).
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetEntry {
    /// `None` is a null that a user sent: the connector says what it thinks of it.
    pub partition: Option<serde_json::Map<String, serde_json::Value>>,
    pub offset: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A change, or a read that needs more than the snapshot.
#[derive(Clone, Debug)]
pub enum Command {
    /// `POST /connectors`.
    Create { name: String, config: Props, target: Target },
    /// `PUT /connectors/{name}/config`: creates or replaces.
    PutConfig { name: String, config: Props },
    /// `PATCH /connectors/{name}/config`: null removes a key.
    PatchConfig { name: String, patch: Props },
    /// `DELETE /connectors/{name}`.
    Delete { name: String },
    /// `PUT .../pause`, `resume`, `stop`.
    SetTarget { name: String, target: Target },
    /// The same for several connectors with one write; those that are not there any more are passed over.
    SetTargets { names: Vec<String>, target: Target },
    /// `POST /connectors/{name}/restart`.
    Restart { name: String, include_tasks: bool, only_failed: bool },
    /// `POST /connectors/{name}/tasks/{task}/restart`.
    RestartTask { id: TaskId },
    /// `POST /connectors/{name}/tasks` between workers. The signature was checked by the REST layer's caller:
    /// `body` and the headers come along for that.
    PutTaskConfigs { name: String, configs: Vec<IndexMap<String, String>>, signature: Signature },
    /// `PUT /connectors/{name}/fence` between workers.
    Fence { name: String, signature: Signature },
    /// `GET /connectors/{name}/offsets`.
    Offsets { name: String },
    /// `PATCH` or, without entries, `DELETE /connectors/{name}/offsets`.
    AlterOffsets { name: String, offsets: Option<Vec<OffsetEntry>> },
    /// `PUT /connectors/{name}/topics/reset`.
    ResetTopics { name: String },
    /// `PUT /admin/loggers/{logger}?scope=cluster`.
    SetClusterLogLevel { logger: String, level: String },
}

/// What signs a request between workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The exact bytes of the body.
    pub body: Vec<u8>,
    /// `X-Connect-Authorization`.
    pub authorization: Option<String>,
    /// `X-Connect-Request-Signature-Algorithm`.
    pub algorithm: Option<String>,
}

/// What a command answers when it was done.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The connector is new.
    Created(ConnectorInfo),
    /// The connector was there before.
    Updated(ConnectorInfo),
    /// Nothing to tell.
    Done,
    /// A restart was planned (`restart` with tasks or only the failed ones): the status it begins with.
    Restarting(ConnectorStatus),
    /// The offsets of a connector.
    Offsets(Vec<OffsetEntry>),
    /// What became of a change of offsets.
    Message(String),
}

/// Why a command was not done. It has no late effect: what is refused is not done later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HerdError {
    /// The leader, or the owner of the connector or task, has to do it: forward there.
    #[error("this worker can not do it, {url:?} can")]
    Elsewhere { url: Option<String> },
    /// Answered as it is: `{"error_code": status, "message": message}`.
    #[error("{message}")]
    Refused { status: u16, message: String },
}

impl HerdError {
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::Refused { status: 400, message: message.into() }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::Refused { status: 404, message: message.into() }
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Refused { status: 409, message: message.into() }
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Refused { status: 500, message: message.into() }
    }
}

/// A plugin as `/connector-plugins` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    pub class: String,
    /// `source`, `sink`, `converter`, `header_converter`, `transformation` or `predicate`.
    pub kind: &'static str,
    pub version: Option<String>,
}

/// The worker, as the REST API sees it. The worker crate implements it.
#[async_trait]
pub trait Herd: Send + Sync {
    /// The newest snapshot; never waits.
    fn view(&self) -> Arc<ClusterView>;

    /// Does a command, or says why not. Waits at most the worker's request timeout.
    async fn ask(&self, command: Command, hop: Hop) -> Result<Reply, HerdError>;

    /// `PUT /connector-plugins/{plugin}/config/validate`: the whole connector configuration, live checks included.
    async fn validate(&self, plugin: &str, config: &Props) -> Result<Validated, HerdError>;

    /// The plugins in the order in which they are listed.
    fn plugins(&self) -> Vec<PluginInfo>;

    /// `GET /connector-plugins/{plugin}/config`: the plugin's own keys.
    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError>;

    /// What a job sets for a connector of this class unless it says otherwise.
    fn job_defaults(&self, _class: &str) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}
