//! A producer whose records are seen together or not at all, as an exactly-once task has it for itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Error, ErrorKind, Result};
use connect_kafka as kafka;

use crate::io::{AckSink, Message, Position, Produce, SendError, kafka_error};

/// How long one attempt to take a transactional id may take, before it is asked whether there shall be another.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a commit may take. Longer than a transaction may: its records then have failed for good.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an abort may take: the broker, or the next owner of the transactional id, does it otherwise.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Says whether a transactional id may be taken.
pub type MayTake<'a> = dyn Fn() -> bool + Send + Sync + 'a;

/// Sends records in transactions.
#[async_trait]
pub trait Transact: Produce {
    /// Takes the transactional id: former producers of it are fenced, and what they left open is aborted. Tries while Kafka
    /// can't be reached, as long as `may` says before each attempt that the caller still has the right to: without it the
    /// id's rightful owner would be fenced.
    async fn init(&self, may: &MayTake<'_>) -> Result<()>;

    /// Begins a transaction.
    fn begin(&self) -> Result<()>;

    /// Waits until everything sent is durable, and commits. After an error the producer is of no more use.
    async fn commit(&self) -> Result<()>;

    /// Drops what was sent since [`Self::begin`].
    async fn abort(&self) -> Result<()>;

    /// True when another producer has taken the transactional id.
    fn is_fenced(&self) -> bool;

    /// How long a transaction may be open before the broker aborts it (`transaction.timeout.ms`).
    fn timeout(&self) -> Duration;
}

/// A producer of `connect-kafka`.
pub(crate) struct KafkaTransactions {
    producer: kafka::Producer,
    timeout: Duration,
}

impl KafkaTransactions {
    /// Opens the producer; `props` name its `transactional.id`.
    pub(crate) fn open(props: &kafka::ClientProps) -> Result<Self> {
        const DEFAULT_MS: u64 = 60_000;
        let timeout_ms = props.get("transaction.timeout.ms").and_then(|ms| ms.trim().parse().ok());
        let producer = kafka::Producer::open(props).map_err(|e| kafka_error("failed to create the producer", e))?;
        Ok(Self { producer, timeout: Duration::from_millis(timeout_ms.unwrap_or(DEFAULT_MS)) })
    }
}

impl KafkaTransactions {
    /// What its connections carry.
    pub(crate) fn stats(&self) -> Arc<kafka::ClientStats> {
        self.producer.stats()
    }
}

#[async_trait]
impl Produce for KafkaTransactions {
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        self.producer.send(message, token, sink)
    }

    async fn room(&self) {
        self.producer.room().await;
    }
}

#[async_trait]
impl Transact for KafkaTransactions {
    async fn init(&self, may: &MayTake<'_>) -> Result<()> {
        loop {
            if !may() {
                return Err(not_allowed());
            }
            match self.producer.init_transactions(INIT_TIMEOUT).await {
                Err(error) if error.is_retriable() => {
                    tracing::warn!(error = %error, "failed to start transactions, trying again");
                }
                other => return other.map_err(|e| kafka_error("failed to start transactions", e)),
            }
        }
    }

    fn begin(&self) -> Result<()> {
        self.producer.begin_transaction().map_err(|e| kafka_error("failed to begin a transaction", e))
    }

    async fn commit(&self) -> Result<()> {
        let committed = self.producer.commit_transaction(COMMIT_TIMEOUT).await;
        committed.map_err(|e| kafka_error("failed to commit a transaction", e))
    }

    async fn abort(&self) -> Result<()> {
        let aborted = self.producer.abort_transaction(ABORT_TIMEOUT).await;
        aborted.map_err(|e| kafka_error("failed to abort a transaction", e))
    }

    fn is_fenced(&self) -> bool {
        self.producer.is_fenced()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// The right to take a transactional id ended before it was taken.
pub(crate) fn not_allowed() -> Error {
    Error::new(ErrorKind::Conflict, "The worker has lost its place in the group, and its right to transactional ids")
        .class("org.apache.kafka.connect.errors.ConnectException")
}

/// Sends records whose fate is that of their transaction, waiting for room.
pub(crate) async fn send_all(
    producer: &dyn Transact,
    topic: &str,
    records: &[(Option<bytes::Bytes>, Option<bytes::Bytes>)],
) -> Result<()> {
    let sink: Arc<dyn AckSink> = Arc::new(Unheard);
    for (key, value) in records {
        loop {
            match producer.send(Message::new(topic, key.as_deref(), value.as_deref()), 0, &sink) {
                Ok(()) => break,
                Err(SendError::QueueFull) => producer.room().await,
                Err(SendError::Refused(error)) => return Err(kafka_error("failed to send offsets", error)),
            }
        }
    }
    Ok(())
}

struct Unheard;

impl AckSink for Unheard {
    fn delivered(&self, _token: u64, _outcome: kafka::Result<Position>) {}
}
