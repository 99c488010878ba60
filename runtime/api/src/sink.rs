//! Sink connectors: from Kafka into another system.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connect_config::{ConfigDef, Props, Validated};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::record::Record;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

/// A record on its way into a sink. `Record::origin` is always `Origin::Sink`.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkRecord {
    pub record: Record,
    /// The bytes as consumed, for the dead letter queue.
    pub raw_key: Option<Bytes>,
    pub raw_value: Option<Bytes>,
}

/// A record that the sink could not write: it goes to the dead letter queue, or fails the task, as the worker's
/// error tolerance says (`ErrantRecordReporter`).
#[derive(Debug)]
pub struct Rejected {
    /// Place in the batch given to `put`.
    pub index: usize,
    pub error: Error,
}

/// What a task gets from its worker.
#[derive(Clone)]
pub struct SinkContext {
    pub connector: Arc<str>,
    pub task: u32,
    /// Cancelled when the task must stop: a long start or put ends soon after.
    pub cancel: CancellationToken,
    /// True when the worker has an errant record reporter (tolerance or a dead letter queue is configured).
    pub reports_errors: bool,
    /// Where the task registers what it measures.
    pub metrics: Metrics,
}

/// A sink connector: one per plugin, stateless.
#[async_trait]
pub trait SinkConnector: Send + Sync {
    /// The connector's own keys (not those of every connector).
    fn config_def(&self) -> &'static ConfigDef;

    /// The answer of the validate endpoint for the connector's own keys, live checks included.
    async fn validate(&self, props: &Props) -> Result<Validated> {
        Ok(self.config_def().validate(props))
    }

    /// The configurations of the tasks (`Connector.start` and `taskConfigs`). An error fails the connector.
    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>>;

    /// Starts a task.
    async fn start_task(&self, props: Props, context: SinkContext) -> Result<Box<dyn SinkTask>>;

    /// The Java class of its tasks, which task configurations carry as `task.class`. `None`: the connector's class with
    /// `Task` in place of `Connector`.
    fn task_class(&self) -> Option<&'static str> {
        None
    }

    /// Checks offsets that a user wants to store (KIP-875); a `None` offset is a reset.
    async fn alter_offsets(&self, _props: &Props, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(false)
    }

    /// What a job sets for its sinks of this class unless it says otherwise: settings that the JVM's connector lacks, whose
    /// defaults are its behaviour.
    fn job_defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Drops what records of these topics are written to (collections), with everything in it; what is not there is no error.
    /// Answers what was dropped, by name.
    async fn drop_destinations(&self, _props: &Props, _topics: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// A running sink task.
#[async_trait]
pub trait SinkTask: Send {
    /// Writes a batch, in order. An error with a retriable kind makes the worker give the same batch again
    /// (`RetriableException`), after the time that it names or else after growing ones; any other fails the task. By then
    /// records that were read meanwhile may stand at the end, and those of partitions that were taken away are gone.
    /// Rejected records are reported by index.
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Rejected>>;

    /// The fields at the top level of a topic's values that the task looks at, when it does not look at others: what is not looked
    /// at need not be read. `None`: all.
    fn value_fields(&mut self, _topic: &Arc<str>) -> Option<&'static [&'static str]> {
        None
    }

    /// True when what it asks for has an end: errors of a retriable kind become others after some time. The worker then gives
    /// a batch again for as long as it is asked to, and has no bound of its own.
    fn bounds_retries(&self) -> bool {
        false
    }

    /// Makes everything given so far durable: offsets are committed after it.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// The partitions that the task has from now on.
    async fn open(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Partitions that are taken away.
    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Stops. No call comes after it.
    async fn stop(self: Box<Self>) -> Result<()>;
}
