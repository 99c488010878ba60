//! Source connectors: from another system into Kafka.

use std::sync::Arc;

use async_trait::async_trait;
use connect_config::{ConfigDef, Props, Validated};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::metrics::Metrics;
use crate::progress::{CleanUp, Progress, Retention};
use crate::record::Record;
use crate::transaction::TransactionContext;

/// A source partition or a source offset: a JSON object whose order is kept, because the offsets topic's keys are
/// compared as bytes.
pub type OffsetMap = serde_json::Map<String, serde_json::Value>;

/// A position that may be stored once the first `after` records of its batch are safely in Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Number of records of the batch that must be acknowledged; 0 stands for a position without records.
    pub after: usize,
    pub partition: Arc<OffsetMap>,
    pub offset: OffsetMap,
    /// Handed back as it is in [`SourceTask::committed`], so that a task need not parse its own offset.
    pub tag: u64,
}

/// What one poll brings: records in order, and checkpoints in order of `after`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceBatch {
    pub records: Vec<Record>,
    pub checkpoints: Vec<Checkpoint>,
    /// Places between the checkpoints, for a worker that leaves the last records before one out.
    pub between: Option<Between>,
}

/// The positions of single records of a batch. The JVM stores the offset of the last record that was sent: one that a
/// transformation dropped does not count.
#[derive(Clone)]
pub struct Between(Arc<dyn Fn(usize) -> Option<Checkpoint> + Send + Sync>);

impl Between {
    /// `at` gives the checkpoint of the event that the n-th record (from 1) is of; `None` when there is none up to it. 0 stands
    /// for the last record before the batch: `None` unless the batch brings its checkpoint.
    pub fn new(at: impl Fn(usize) -> Option<Checkpoint> + Send + Sync + 'static) -> Self {
        Self(Arc::new(at))
    }

    /// The checkpoint of the n-th record, from 1, or with 0 of the last one before the batch.
    pub fn at(&self, record: usize) -> Option<Checkpoint> {
        (self.0)(record)
    }
}

impl std::fmt::Debug for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Between(..)")
    }
}

impl PartialEq for Between {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Reads the offsets that the worker stored for a connector.
#[async_trait]
pub trait OffsetReader: Send + Sync {
    /// The offset of a partition, as read back from the store to its end. `None` when there is none.
    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>>;
}

/// What a task gets from its worker.
#[derive(Clone)]
pub struct SourceContext {
    pub connector: Arc<str>,
    pub task: u32,
    pub offsets: Arc<dyn OffsetReader>,
    /// Cancelled when the task must stop: a long start or poll ends soon after.
    pub cancel: CancellationToken,
    /// Publishes the task's progress.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// Where the task registers what it measures.
    pub metrics: Metrics,
    /// Where the task says how its transactions end, when the user left that to the connector
    /// (`transaction.boundary=connector`) and the worker delivers exactly once.
    pub transactions: Option<TransactionContext>,
    /// True when the worker starts the task again after a failure that may pass: the task then gives up early, so that the
    /// worker knows of it. False: nobody else tries again.
    pub recovers: bool,
}

/// Whether a connector can deliver exactly once (`ExactlyOnceSupport`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnce {
    Supported,
    Unsupported,
}

/// A source connector: one per plugin, stateless. Long checks run in `validate`, long starts in `start_task`.
#[async_trait]
pub trait SourceConnector: Send + Sync {
    /// The connector's own keys (not those of every connector).
    fn config_def(&self) -> &'static ConfigDef;

    /// The answer of the validate endpoint for the connector's own keys, live checks included.
    async fn validate(&self, props: &Props) -> Result<Validated> {
        Ok(self.config_def().validate(props))
    }

    /// The configurations of at most `max` tasks (`Connector.start` and `taskConfigs`). An error fails the connector.
    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>>;

    /// Starts a task: it exists only when started.
    async fn start_task(&self, props: Props, context: SourceContext) -> Result<Box<dyn SourceTask>>;

    /// Checks offsets that a user wants to store (KIP-875); a `None` offset is a reset. `Ok(false)`: the connector
    /// does not check them.
    async fn alter_offsets(&self, _props: &Props, _offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        Ok(false)
    }

    /// The Java class of its tasks, which task configurations carry as `task.class`. `None`: the connector's class with
    /// `Task` in place of `Connector`.
    fn task_class(&self) -> Option<&'static str> {
        None
    }

    /// Whether it can deliver exactly once with this configuration (KIP-618).
    fn exactly_once(&self, _props: &Props) -> ExactlyOnce {
        ExactlyOnce::Unsupported
    }

    /// Whether it can say where transactions end (`SourceConnector.canDefineTransactionBoundaries`).
    fn defines_transactions(&self, _props: &Props) -> bool {
        false
    }

    /// What the source's system keeps for it at this moment, with or without a task that runs. `Ok(None)`: it keeps nothing
    /// that could run out.
    async fn retention(&self, _props: &Props) -> Result<Option<Retention>> {
        Ok(None)
    }

    /// Where the system's log ends now: everything written before this call has a place before it
    /// ([`crate::StreamProgress::resolved`] is compared with it). `Ok(None)`: there is no such log.
    async fn log_end(&self, _props: &Props) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Takes away what was made for the source at its system. The source does not run; what is not there is no error. It waits
    /// a while for a session of a task that has just ended.
    async fn clean_up(&self, _props: &Props, _what: CleanUp) -> Result<()> {
        Ok(())
    }

    /// The topics that a snapshot would fill, before transforms. `Ok(None)`: that is not known beforehand.
    async fn topics(&self, _props: &Props) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// A running source task.
#[async_trait]
pub trait SourceTask: Send {
    /// The next batch; may wait for long, may be empty. Cancel-safe: dropping the future loses nothing.
    async fn poll(&mut self) -> Result<SourceBatch>;

    /// Called when a checkpoint is in the offsets topic, never earlier: the place to confirm a position upstream.
    async fn committed(&mut self, _checkpoint: &Checkpoint) -> Result<()> {
        Ok(())
    }

    /// A position as people know it (`0/1A3E5F8`); `None` where it is not more than its offset.
    fn position_text(&self, _offset: &OffsetMap) -> Option<String> {
        None
    }

    /// Stops. No call comes after it.
    async fn stop(self: Box<Self>) -> Result<()>;
}
