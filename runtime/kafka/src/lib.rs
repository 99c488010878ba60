//! All Kafka I/O: producer, consumer, topic log, admin requests and group membership.
//!
//! Bytes in, bytes out: this crate knows none of the others. Clients are configured with the properties of the Java
//! clients, as a Connect worker file has them; `translate` turns them into librdkafka's, and `client_properties` computes
//! what the JVM worker would give each of its clients. Records go through librdkafka; requests about topics and groups, and
//! the membership in the group of workers, go through a small client of our own (`wire`).

pub mod admin;
pub mod client_properties;
pub mod consumer;
mod context;
pub mod error;
pub mod group;
mod java;
pub mod partition_reader;
pub mod producer;
mod record_size;
mod request_limit;
pub mod security;
pub mod stats;
pub mod topic_log;
pub mod translate;
mod wire;

pub use admin::Admin;
pub use consumer::{Consumer, ConsumerEvent, ConsumerRecord, Subscription};
pub use error::{Error, ErrorKind, Result};
pub use partition_reader::PartitionReader;
pub use producer::{AckSink, Message, Position, Producer, SendError};
pub use stats::{ClientNumbers, ClientStats, StatsOf};
pub use topic_log::{LogRecord, LogSink, TopicLog};

use indexmap::IndexMap;

/// Properties of a Java Kafka client, in the order they were given. They hold passwords: never print the values.
pub type ClientProps = IndexMap<String, String>;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: std::sync::Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    /// The partition with number `partition` of `topic`.
    pub fn new(topic: impl Into<std::sync::Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
