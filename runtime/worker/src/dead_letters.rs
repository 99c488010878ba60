//! The dead letter topic of a sink (KIP-298, `DeadLetterQueueReporter`).
//!
//! A letter is the record as it was consumed, with its own headers first, then the context headers. Letters are sent
//! without waiting for each; [`DeadLetters::settle`] waits for all of them and comes before the offsets are committed.

use std::sync::Arc;

use connect_api::{Error, ErrorKind, Result};

use crate::acks::Tracker;
use crate::convert::Headers;
use crate::failure::Failed;
use crate::io::{ConsumerRecord, Message, NewTopic, Produce, SendError, Topics, kafka_exception};
use crate::topic_creation::execution;

/// Letters in flight at once.
const MAX_LETTERS_IN_FLIGHT: usize = 4096;

/// Where letters go (`errors.deadletterqueue.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterConfig {
    pub topic: String,
    /// Replication factor of the topic when it has to be created.
    pub replication_factor: i16,
    /// `errors.deadletterqueue.context.headers.enable`.
    pub context_headers: bool,
}

/// Sends the dead letters of one task.
pub struct DeadLetters {
    config: DeadLetterConfig,
    producer: Arc<dyn Produce>,
    tracker: Tracker,
    connector: Arc<str>,
    task: String,
}

impl DeadLetters {
    /// Creates the topic when it is missing, with one partition, as the JVM does, and gets ready.
    pub async fn open(
        config: DeadLetterConfig,
        producer: Arc<dyn Produce>,
        topics: &dyn Topics,
        connector: Arc<str>,
        task: u32,
    ) -> Result<Self> {
        let prepared = async {
            if !topics.exists(&config.topic).await? {
                let (connector, topic) = (&*connector, &config.topic);
                tracing::warn!(connector, task, "Topic {topic} doesn't exist. Will attempt to create topic.");
                let topic = NewTopic {
                    name: config.topic.clone(),
                    partitions: 1,
                    replication_factor: config.replication_factor,
                    ..NewTopic::default()
                };
                topics.create(topic).await?;
            }
            Ok(())
        };
        prepared.await.map_err(|cause: Error| {
            Error::new(cause.kind(), "Could not initialize dead letter queue with topic=".to_owned() + &config.topic)
                .class("org.apache.kafka.connect.errors.ConnectException")
                .caused_by(execution(cause))
        })?;
        let tracker = Tracker::new(MAX_LETTERS_IN_FLIGHT, false);
        Ok(Self { config, producer, tracker, connector, task: task.to_string() })
    }

    /// Sends one letter; waits only while the producer has no room.
    pub async fn send(&mut self, raw: &ConsumerRecord, failed: &Failed) -> Result<()> {
        let (partition, offset) = (raw.partition.to_string(), raw.offset.to_string());
        let (message, trace) = (failed.error.message().to_owned(), failed.error.stack_trace());
        let mut headers: Headers<'_> = raw.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        if self.config.context_headers {
            let context: [(&str, &str); 10] = [
                ("__connect.errors.topic", &raw.topic),
                ("__connect.errors.partition", &partition),
                ("__connect.errors.offset", &offset),
                ("__connect.errors.connector.name", &self.connector),
                ("__connect.errors.task.id", &self.task),
                ("__connect.errors.stage", failed.stage.name()),
                ("__connect.errors.class.name", &failed.class),
                ("__connect.errors.exception.class.name", failed.error.java_class()),
                ("__connect.errors.exception.message", &message),
                ("__connect.errors.exception.stacktrace", &trace),
            ];
            // An exception without a message has a null header, as `WriteSkippedException` of the MongoDB sink.
            headers
                .extend(context.map(|(name, value)| (name, Some(value.as_bytes()).filter(|value| !value.is_empty()))));
        }
        let letter = Message {
            topic: &self.config.topic,
            partition: None,
            timestamp_ms: Some(raw.timestamp_ms).filter(|ms| *ms >= 0),
            key: raw.key.as_deref(),
            value: raw.value.as_deref(),
            headers: &headers,
        };
        loop {
            let Some(token) = self.tracker.reserve() else {
                self.tracker.changed().await;
                self.check()?;
                continue;
            };
            match self.producer.send(letter, token, self.tracker.sink()) {
                Ok(()) => {
                    self.tracker.sent();
                    return Ok(());
                }
                Err(SendError::QueueFull) => self.producer.room().await,
                Err(SendError::Refused(error)) => return Err(self.undeliverable(kafka_exception(error))),
            }
        }
    }

    /// Waits until all letters are durable.
    pub async fn settle(&mut self) -> Result<()> {
        self.tracker.idle().await;
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.tracker.take_failure() {
            Some(error) => Err(self.undeliverable(error)),
            None => Ok(()),
        }
    }

    /// A letter that is lost would be a record that is lost: the task fails instead. (The JVM logs it and goes on.)
    fn undeliverable(&self, cause: Error) -> Error {
        let message = format!("Could not produce message to dead letter queue. topic={}", self.config.topic);
        Error::new(ErrorKind::Unavailable, message)
            .class("org.apache.kafka.connect.errors.ConnectException")
            .caused_by(cause)
    }
}
