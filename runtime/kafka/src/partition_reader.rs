//! Reads one partition of a topic without joining a group: every reader gets every record. The place is kept as the offset of
//! a group all the same, as a Java consumer with `assign` keeps it.
//!
//! All calls block: a thread of the owner's makes them.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::topic_log::LogRecord;
use crate::translate::{ClientKind, translate};
use crate::{ClientProps, Result, context};

struct ReaderContext;

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::client_error("reader of a partition", &error, reason);
    }
}

impl ConsumerContext for ReaderContext {}

/// A reader of one partition.
pub struct PartitionReader {
    consumer: BaseConsumer<ReaderContext>,
    topic: String,
    partition: i32,
}

impl std::fmt::Debug for PartitionReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, partition, .. } = self;
        f.debug_struct("PartitionReader").field("topic", topic).field("partition", partition).finish_non_exhaustive()
    }
}

impl PartitionReader {
    /// Opens a reader with Java consumer properties, with `group.id`. It begins where the group's offset is, without one where
    /// `auto.offset.reset` says. The topic may come later.
    pub fn open(props: &ClientProps, topic: &str, partition: i32) -> Result<Self> {
        let mut translated = translate(ClientKind::Consumer, props)?;
        translated.settings.insert("enable.auto.commit", "false".to_owned());
        translated.settings.insert("allow.auto.create.topics", "false".to_owned());
        let consumer = BaseConsumer::from_config_and_context(&translated.client_config(), ReaderContext)
            .map_err(|error| context::error("open a reader of a partition", error))?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, partition, Offset::Stored)
            .map_err(|error| context::error("assign a partition", error))?;
        consumer.assign(&assignment).map_err(|error| context::error("assign a partition", error))?;
        Ok(Self { consumer, topic: topic.to_owned(), partition })
    }

    /// The next record, `None` when none comes within `wait`.
    pub fn read(&self, wait: Duration) -> Result<Option<LogRecord>> {
        let Some(message) = self.consumer.poll(wait) else { return Ok(None) };
        let message = message.map_err(|error| context::error(&format!("read topic {}", self.topic), error))?;
        Ok(Some(LogRecord {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
        }))
    }

    /// Stores the next offset to be read for the group, and waits until it is stored.
    pub fn commit(&self, next: i64) -> Result<()> {
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.topic, self.partition, Offset::Offset(next))
            .and_then(|()| self.consumer.commit(&place, CommitMode::Sync))
            .map_err(|error| context::error("commit an offset", error))
    }
}
