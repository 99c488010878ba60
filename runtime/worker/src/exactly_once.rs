//! What exactly-once sources need beside Kafka (KIP-618): the permission to begin.

use std::sync::Arc;

use async_trait::async_trait;
use connect_api::Result;
use connect_cluster::TaskId;
use connect_cluster::unit::Run;

/// How the sources of a worker deliver.
#[derive(Clone, Default)]
pub struct Delivery {
    /// `offset.storage.topic`; `None` for a worker that keeps its offsets in a file.
    pub offsets_topic: Option<String>,
    /// `exactly.once.source.support=enabled`.
    pub exactly_once: Option<Arc<dyn Preflight>>,
}

/// What a task asks before it begins, so that no other can write what it writes.
#[async_trait]
pub trait Preflight: Send + Sync {
    /// Waits until the producers of the connector's earlier tasks are fenced.
    ///
    /// # Errors
    /// When that fails, or no leader can be reached for it in time.
    async fn fence_predecessors(&self, connector: &Arc<str>) -> Result<()>;

    /// Asked once the task has its transactional id for itself: whether its run is still wanted.
    ///
    /// # Errors
    /// Says why not.
    async fn may_begin(&self, task: &TaskId, run: Run) -> Result<()>;
}
