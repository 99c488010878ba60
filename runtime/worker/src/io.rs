//! What the data plane needs of Kafka: four small traits, implemented for the clients of `connect-kafka` and, in
//! [`crate::memory`], for tests.
//!
//! Data types (messages, records, events) are those of `connect-kafka`: they are plain bytes and numbers. Nothing else of
//! this crate opens a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::{Error, ErrorKind, Result};
use connect_kafka as kafka;

pub use connect_kafka::admin::{NewTopic, OffsetSpec};
pub use connect_kafka::{AckSink, ConsumerEvent, ConsumerRecord, Message, Position, SendError, Subscription};

/// How long one request to the brokers may take before it is given up and, where that makes sense, repeated.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long offsets may take to be read: a transaction that a lost worker left open keeps readers of committed records
/// waiting until the broker aborts it (`transaction.timeout.ms`, one minute, and a little).
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(120);

/// Sends records. One producer is shared by all tasks with the same client configuration.
#[async_trait]
pub trait Produce: Send + Sync {
    /// Queues a record; never waits. `sink` hears of `token` exactly once if, and only if, this returns `Ok`.
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError>;

    /// Waits until the queue has room again, or for a short time.
    async fn room(&self);
}

/// Reads records as a member of a consumer group.
#[async_trait]
pub trait Consume: Send {
    /// The next event; `None` when nothing came within `wait`. Cancel-safe.
    async fn poll(&mut self, wait: Duration) -> Option<ConsumerEvent>;

    /// Stops fetching of partitions.
    fn pause(&mut self, partitions: &[kafka::TopicPartition]) -> Result<()>;

    /// Fetches partitions again.
    fn resume(&mut self, partitions: &[kafka::TopicPartition]) -> Result<()>;

    /// Makes `offset` the next one to be read.
    async fn seek(&mut self, partition: &kafka::TopicPartition, offset: i64) -> Result<()>;

    /// Commits the next offsets to be read, and waits for the answer.
    async fn commit(&mut self, offsets: Vec<(kafka::TopicPartition, i64)>) -> Result<()>;

    /// The first offset that will be read of each of these partitions, which were just assigned: what the group has
    /// committed, else what the reset policy says.
    async fn starts(&mut self, partitions: &[kafka::TopicPartition]) -> Result<Vec<(kafka::TopicPartition, i64)>>;

    /// What its connections carry, and how far it is behind, where that is measured.
    fn stats(&self) -> Option<Arc<kafka::ClientStats>> {
        None
    }

    /// Leaves the group.
    async fn close(self: Box<Self>, timeout: Duration) -> Result<()>;
}

/// Looks at and creates topics, and alters the offsets of groups.
#[async_trait]
pub trait Topics: Send + Sync {
    /// True when the topic exists. Errors are the Java client's exceptions, here and in [`Self::create`].
    async fn exists(&self, topic: &str) -> Result<bool>;

    /// Creates a topic; one that exists already is left as it is.
    async fn create(&self, topic: NewTopic) -> Result<()>;

    /// The committed offsets of a consumer group; empty for an unknown group.
    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<kafka::TopicPartition, i64>>;

    /// Sets offsets of a group without members. A group with members is a [`ErrorKind::Conflict`].
    async fn alter_group_offsets(&self, group: &str, offsets: &BTreeMap<kafka::TopicPartition, i64>) -> Result<()>;

    /// Removes offsets of a group.
    async fn delete_group_offsets(&self, group: &str, partitions: &[kafka::TopicPartition]) -> Result<()>;

    /// Removes a group without members; an unknown one is a [`ErrorKind::NotFound`].
    async fn delete_group(&self, group: &str) -> Result<()>;

    /// The end offset of each of these partitions; a partition that does not exist is an error.
    async fn end_offsets(&self, partitions: &[kafka::TopicPartition]) -> Result<BTreeMap<kafka::TopicPartition, i64>>;

    /// The names of all topics that may be seen.
    async fn names(&self) -> Result<Vec<String>>;

    /// The partitions of these topics, of those that exist.
    async fn partitions(&self, topics: &[String]) -> Result<Vec<kafka::TopicPartition>>;
}

/// The log behind the offset store: the offsets topic, or a file in standalone mode. What it reads goes to the store's
/// sink, which is given to it when it is opened.
#[async_trait]
pub trait OffsetLog: Send + Sync {
    /// Appends records and waits until all of them are durable.
    async fn append_all(&self, records: &[(Option<Bytes>, Option<Bytes>)]) -> Result<()>;

    /// Waits until everything written before the call has gone through the sink.
    async fn read_to_end(&self) -> Result<()>;
}

/// What can be done about an error of Kafka.
fn kind_of(error: &kafka::Error) -> ErrorKind {
    use connect_kafka::ErrorKind as K;
    match error.kind() {
        K::Config => ErrorKind::Config,
        K::Authentication => ErrorKind::Auth,
        K::Authorization => ErrorKind::Forbidden,
        K::Unreachable | K::Retriable => ErrorKind::Unavailable,
        K::Timeout => ErrorKind::Timeout,
        K::NotFound => ErrorKind::NotFound,
        K::TooLarge => ErrorKind::Data,
        K::GroupState | K::AlreadyExists => ErrorKind::Conflict,
        K::Fenced | K::Unsupported | K::Fatal | K::Refused => ErrorKind::Bug,
    }
}

/// The Java class for an error of Kafka.
fn class_of(error: &kafka::Error) -> &'static str {
    use connect_kafka::ErrorKind as K;
    if let Some(java) = error.java() {
        return java.class;
    }
    match error.kind() {
        K::TooLarge => "org.apache.kafka.common.errors.RecordTooLargeException",
        K::Authorization => "org.apache.kafka.common.errors.AuthorizationException",
        K::Authentication => "org.apache.kafka.common.errors.AuthenticationException",
        K::Timeout => "org.apache.kafka.common.errors.TimeoutException",
        _ => kind_of(error).java_class(),
    }
}

/// An error of Kafka in the terms of connectors. A wrong client property is told in Java's words alone.
pub fn kafka_error(what: &str, error: kafka::Error) -> Error {
    if error.kind() == kafka::ErrorKind::Config && error.java().is_some() {
        return kafka_exception(error);
    }
    Error::new(kind_of(&error), format!("{what}: {error}")).class(class_of(&error)).caused_by(error)
}

/// An error of Kafka as the exception that the Java client throws, without anything around it: as a cause in traces, and in
/// dead letters.
pub fn kafka_exception(error: kafka::Error) -> Error {
    let message = error.java().map_or_else(|| error.to_string(), |java| java.message.to_string());
    Error::new(kind_of(&error), message).class(class_of(&error))
}

#[async_trait]
impl Produce for kafka::Producer {
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        kafka::Producer::send(self, message, token, sink)
    }

    async fn room(&self) {
        kafka::Producer::room(self).await;
    }
}

#[async_trait]
impl Consume for kafka::Consumer {
    async fn poll(&mut self, wait: Duration) -> Option<ConsumerEvent> {
        kafka::Consumer::poll(self, wait).await
    }

    fn pause(&mut self, partitions: &[kafka::TopicPartition]) -> Result<()> {
        kafka::Consumer::pause(self, partitions).map_err(|e| kafka_error("failed to pause partitions", e))
    }

    fn resume(&mut self, partitions: &[kafka::TopicPartition]) -> Result<()> {
        kafka::Consumer::resume(self, partitions).map_err(|e| kafka_error("failed to resume partitions", e))
    }

    async fn seek(&mut self, partition: &kafka::TopicPartition, offset: i64) -> Result<()> {
        kafka::Consumer::seek(self, partition, offset).await.map_err(|e| kafka_error("failed to seek", e))
    }

    async fn commit(&mut self, offsets: Vec<(kafka::TopicPartition, i64)>) -> Result<()> {
        kafka::Consumer::commit(self, offsets).await.map_err(|e| kafka_error("failed to commit offsets", e))
    }

    async fn starts(&mut self, partitions: &[kafka::TopicPartition]) -> Result<Vec<(kafka::TopicPartition, i64)>> {
        kafka::Consumer::starts(self, partitions, REQUEST_TIMEOUT).await.map_err(kafka_exception)
    }

    fn stats(&self) -> Option<Arc<kafka::ClientStats>> {
        Some(kafka::Consumer::stats(self))
    }

    async fn close(self: Box<Self>, timeout: Duration) -> Result<()> {
        kafka::Consumer::close(*self, timeout).await.map_err(|e| kafka_error("failed to leave the group", e))
    }
}

#[async_trait]
impl Topics for kafka::Admin {
    async fn exists(&self, topic: &str) -> Result<bool> {
        Ok(self.describe_topics(&[topic]).await.map_err(kafka_exception)?.contains_key(topic))
    }

    async fn create(&self, topic: NewTopic) -> Result<()> {
        self.create_topics_if_missing(&[topic]).await.map(|_created| ()).map_err(kafka_exception)
    }

    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<kafka::TopicPartition, i64>> {
        kafka::Admin::group_offsets(self, group)
            .await
            .map_err(|e| kafka_error(&format!("failed to read the offsets of group {group}"), e))
    }

    async fn alter_group_offsets(&self, group: &str, offsets: &BTreeMap<kafka::TopicPartition, i64>) -> Result<()> {
        kafka::Admin::alter_group_offsets(self, group, offsets)
            .await
            .map_err(|e| kafka_error(&format!("failed to alter the offsets of group {group}"), e))
    }

    async fn delete_group_offsets(&self, group: &str, partitions: &[kafka::TopicPartition]) -> Result<()> {
        kafka::Admin::delete_group_offsets(self, group, partitions)
            .await
            .map_err(|e| kafka_error(&format!("failed to delete offsets of group {group}"), e))
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        kafka::Admin::delete_group(self, group)
            .await
            .map_err(|e| kafka_error(&format!("failed to delete group {group}"), e))
    }

    async fn end_offsets(&self, partitions: &[kafka::TopicPartition]) -> Result<BTreeMap<kafka::TopicPartition, i64>> {
        self.list_offsets(partitions, OffsetSpec::Latest).await.map_err(|e| kafka_error("failed to list offsets", e))
    }

    async fn names(&self) -> Result<Vec<String>> {
        self.list_topics().await.map_err(|e| kafka_error("failed to list the topics", e))
    }

    async fn partitions(&self, topics: &[String]) -> Result<Vec<kafka::TopicPartition>> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let described = self.describe_topics(&names).await.map_err(|e| kafka_error("failed to describe topics", e))?;
        let of = |(name, topic): (String, kafka::admin::TopicDescription)| {
            let name: Arc<str> = Arc::from(name);
            topic.leaders.into_keys().map(move |partition| kafka::TopicPartition::new(Arc::clone(&name), partition))
        };
        Ok(described.into_iter().flat_map(of).collect())
    }
}

#[async_trait]
impl OffsetLog for kafka::TopicLog {
    async fn append_all(&self, records: &[(Option<Bytes>, Option<Bytes>)]) -> Result<()> {
        kafka::TopicLog::append_all(self, records)
            .await
            .map_err(|e| kafka_error("failed to write to the offsets topic", e))
    }

    async fn read_to_end(&self) -> Result<()> {
        kafka::TopicLog::read_to_end(self, OFFSETS_TIMEOUT)
            .await
            .map_err(|e| kafka_error("failed to read the offsets topic to its end", e))
    }
}
