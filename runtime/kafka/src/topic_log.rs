//! A compacted topic used as a log (Java: `KafkaBasedLog`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{ClientProps, Position, Producer, Result};

/// A record of the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1 when unknown.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
}

/// Receives every record of the log, in order within a partition, on the log's own thread. It may block for back-pressure
/// (`blocking_send`), which delays this log only. Closures are sinks.
pub trait LogSink: Send + 'static {
    /// The next record of its partition.
    fn record(&mut self, record: LogRecord);
}

impl<F: FnMut(LogRecord) + Send + 'static> LogSink for F {
    fn record(&mut self, record: LogRecord) {
        self(record);
    }
}

/// An open log: all partitions are read from the beginning, then followed.
pub struct TopicLog {}

impl TopicLog {
    /// Opens an existing topic and starts reading. Every record goes to `sink`; await [`read_to_end`](Self::read_to_end) for
    /// the state at the start. `consumer` are Java consumer properties (`isolation.level` counts, `group.id` does not).
    pub async fn open(
        _topic: &str,
        _consumer: &ClientProps,
        _producer: Arc<Producer>,
        _sink: impl LogSink,
        _timeout: Duration,
    ) -> Result<Self> {
        Ok(Self {})
    }

    /// Waits until everything written before the call has gone through the sink.
    pub async fn read_to_end(&self, _timeout: Duration) -> Result<()> {
        Ok(())
    }

    /// Appends a record (partition by key) and waits until it is durable. `None` is a tombstone.
    pub async fn append(&self, _key: Option<&[u8]>, _value: Option<&[u8]>) -> Result<Position> {
        Err(crate::Error::new(crate::ErrorKind::Fatal, "not connected"))
    }

    /// Appends several records, all in flight at once; ends when all have an outcome, with the first error.
    pub async fn append_all(&self, _records: &[(Option<Bytes>, Option<Bytes>)]) -> Result<()> {
        Ok(())
    }

    /// The number of partitions.
    pub fn partitions(&self) -> usize {
        0
    }

    /// Stops reading and ends the thread.
    pub async fn close(self) {}
}
