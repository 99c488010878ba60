//! The logs behind the herder: topics of Kafka, or memory when the worker is alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_kafka::{LogRecord, TopicLog};
use parking_lot::Mutex;

/// A record to append: key and value, no value for a tombstone.
pub(super) type Entry = (Option<Bytes>, Option<Bytes>);

/// Why a record was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAppended {
    /// It, or the batch that it was sent in, is larger than the log takes.
    TooLarge(String),
    /// Anything else: it may go later.
    Failed(String),
}

/// Takes the records of a log, in order.
pub type Sink = Box<dyn FnMut(LogRecord) + Send>;

/// An append-only log that is followed by a sink.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends records in order; done when all are durable.
    async fn append(&self, records: &[Entry]) -> Result<(), String>;

    /// Appends records in order; done when all have an outcome, which may differ.
    async fn append_each(&self, records: &[Entry]) -> Vec<Result<(), NotAppended>> {
        let outcome = self.append(records).await.map_err(NotAppended::Failed);
        vec![outcome; records.len()]
    }

    /// Takes the log from whoever wrote to it as leader before (`ConfigBackingStore.claimWritePrivileges`).
    async fn claim(&self) -> Result<(), String> {
        Ok(())
    }

    /// Waits until everything written before the call has gone through the sink.
    async fn read_to_end(&self) -> Result<(), String>;
}

/// How long one write or read to the end may take (`KafkaConfigBackingStore.READ_WRITE_TOTAL_TIMEOUT_MS`).
pub(super) const READ_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A topic.
pub struct KafkaLog(pub TopicLog);

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, records: &[Entry]) -> Result<(), String> {
        // The producer itself gives up in time (`delivery.timeout.ms`): to stop waiting before that would leave records
        // behind that are written later.
        self.0.append_all(records).await.map_err(|error| error.to_string())
    }

    async fn append_each(&self, records: &[Entry]) -> Vec<Result<(), NotAppended>> {
        let not_appended = |error: connect_kafka::Error| match error.kind() {
            connect_kafka::ErrorKind::TooLarge => NotAppended::TooLarge(error.to_string()),
            _ => NotAppended::Failed(error.to_string()),
        };
        let outcomes = self.0.append_each(records).await.into_iter();
        outcomes.map(|outcome| outcome.map(|_position| ()).map_err(not_appended)).collect()
    }

    async fn read_to_end(&self) -> Result<(), String> {
        self.0.read_to_end(READ_WRITE_TIMEOUT).await.map_err(|error| error.to_string())
    }
}

/// A log in memory, for a worker that is alone: what is appended goes through the sink at once.
pub struct MemoryLog(Arc<Mutex<(i64, Sink)>>);

impl MemoryLog {
    /// An empty log.
    pub fn new(sink: Sink) -> Self {
        Self(Arc::new(Mutex::new((0, sink))))
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, records: &[Entry]) -> Result<(), String> {
        let log = Arc::clone(&self.0);
        let records = records.to_vec();
        // The sink may block for back-pressure.
        let append = move || {
            let mut log = log.lock();
            let (next, sink) = &mut *log;
            for (key, value) in records {
                sink(LogRecord { partition: 0, offset: *next, timestamp_ms: -1, key, value });
                *next += 1;
            }
        };
        tokio::task::spawn_blocking(append).await.map_err(|error| error.to_string())
    }

    async fn read_to_end(&self) -> Result<(), String> {
        Ok(())
    }
}
