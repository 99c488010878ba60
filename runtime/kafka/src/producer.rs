//! The producer.

use std::sync::Arc;
use std::time::Duration;

use crate::{ClientProps, Error, Result};

/// A record to be sent. Nothing is kept after `send`: librdkafka copies it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    /// `None`: chosen by the key as Java's default partitioner does (murmur2), sticky without a key.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None`: now.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Where a record was written. The offset is -1 when `acks=0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

/// Receives the outcome of every record that `send` accepted, exactly once, on the producer's own thread, in the order of
/// delivery of each partition. It must not block.
pub trait AckSink: Send + Sync + 'static {
    /// The record sent with `token` is durable, or will never be written.
    fn delivered(&self, token: u64, outcome: Result<Position>);
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum SendError {
    /// The queue is full: back-pressure. Wait with [`Producer::room`], then send it again.
    QueueFull,
    /// The record cannot be sent.
    Refused(Error),
}

/// A producer; share one per set of properties.
pub struct Producer {}

impl Producer {
    /// Opens a producer with Java client properties. Does not wait for a connection.
    pub fn open(_props: &ClientProps) -> Result<Self> {
        Ok(Self {})
    }

    /// Queues a record. `sink` will hear of `token` exactly once if, and only if, this returns `Ok`. Does not block.
    pub fn send(&self, _message: Message<'_>, _token: u64, _sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        Err(SendError::QueueFull)
    }

    /// Sends one record and waits for its outcome (for single records: dead letters, log records).
    pub async fn produce(&self, _message: Message<'_>) -> Result<Position> {
        Err(Error::new(crate::ErrorKind::Fatal, "not connected"))
    }

    /// Waits until the queue has room again (or a short time has passed).
    pub async fn room(&self) {}

    /// The number of records accepted and without outcome yet.
    pub fn in_flight(&self) -> usize {
        0
    }

    /// Waits until every record accepted before the call has an outcome.
    pub async fn flush(&self, _timeout: Duration) -> Result<()> {
        Ok(())
    }

    /// Fences older producers of the same `transactional.id` and gets ready for transactions.
    pub async fn init_transactions(&self, _timeout: Duration) -> Result<()> {
        Ok(())
    }

    /// Begins a transaction; every record sent until commit or abort belongs to it.
    pub fn begin_transaction(&self) -> Result<()> {
        Ok(())
    }

    /// Flushes and commits.
    pub async fn commit_transaction(&self, _timeout: Duration) -> Result<()> {
        Ok(())
    }

    /// Drops what is queued and aborts.
    pub async fn abort_transaction(&self, _timeout: Duration) -> Result<()> {
        Ok(())
    }
}
