//! The seam between the herder's loop and what runs: connectors and tasks, "units".
//!
//! The loop decides, [`Units`] carries out. Calls return at once and never fail; what becomes of them comes back as
//! [`UnitEvent`]s on one bounded channel (given to whoever implements [`Units`] when it is made).
//!
//! Invariants that both sides keep:
//! 1. The loop starts a unit only when the previous run of the same unit has ended.
//! 2. Every run ends with exactly one [`UnitEvent::Exited`] or [`UnitEvent::Failed`]; nothing of that run comes later.
//! 3. Every event carries the run it belongs to, so that one that comes late is recognised.

use async_trait::async_trait;
use connect_cluster::{ConnectorId, HerdError, OffsetEntry, TaskId};
use connect_config::Props;
use indexmap::IndexMap;

pub use connect_cluster::unit::{Run, UnitEvent, UnitId, UnitNews};

/// Everything that is needed to start a connector.
#[derive(Clone, Debug)]
pub struct ConnectorStart {
    pub name: ConnectorId,
    pub run: Run,
    /// The configuration as the user gave it: `${provider:path:key}` is not resolved yet.
    pub config: Props,
}

/// Everything that is needed to start a task.
#[derive(Clone, Debug)]
pub struct TaskStart {
    pub id: TaskId,
    pub run: Run,
    /// The task's own configuration from the config topic, not resolved yet.
    pub config: IndexMap<String, String>,
    /// The connector's configuration (converters, transforms, error handling, client overrides), not resolved yet.
    pub connector: Props,
    /// The number of tasks the connector has now.
    pub task_count: usize,
}

/// Runs units. Implemented by this crate for real tasks, and by tests in memory.
#[async_trait]
pub trait Units: Send + Sync + 'static {
    /// Starts a connector: finds the plugin, asks it for its tasks.
    fn start_connector(&self, start: ConnectorStart);

    /// Starts a task.
    fn start_task(&self, start: TaskStart);

    /// Asks a running unit to rest; a unit that is not there is ignored, here and below.
    fn pause(&self, unit: &UnitId);

    /// Asks a resting unit to go on.
    fn resume(&self, unit: &UnitId);

    /// Asks a unit to end.
    fn stop(&self, unit: &UnitId);

    /// `GET /connectors/{name}/offsets`. `config` is the connector's configuration, not resolved.
    async fn offsets(&self, name: &str, config: &Props) -> Result<Vec<OffsetEntry>, HerdError>;

    /// `PATCH` (some offsets) or `DELETE` (none: all of them) of a stopped connector's offsets; the herder has checked
    /// that it is stopped. Answers the message for the user.
    async fn alter_offsets(
        &self,
        name: &str,
        config: &Props,
        offsets: Option<Vec<OffsetEntry>>,
    ) -> Result<String, HerdError>;

    /// Fences the producers of the first `tasks` tasks of a source (`Worker.fenceZombies`), so that they write no more. A
    /// failure that may pass is a conflict (409), any other an internal error.
    async fn fence(&self, name: &str, config: &Props, tasks: u32) -> Result<(), HerdError>;

    /// The topics a connector used were reset: tasks report their topics anew.
    fn forget_topics(&self, name: &str);
}
