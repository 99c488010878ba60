//! Writes statuses beside the loop, the newest of each unit only.
//!
//! A status that could not be written is tried again until a newer one of the same unit takes its place: the bound of
//! what waits is the number of units and topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connect_cluster::status::StatusRecord;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::log::{Entry, Log};

const RETRY: Duration = Duration::from_millis(300);

/// What waits to be written, by key.
type Waiting = IndexMap<String, Option<String>>;

/// Hands statuses to the log.
pub(super) struct StatusWriter {
    shared: Arc<Shared>,
    writing: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// No more will come.
    closing: AtomicBool,
}

impl StatusWriter {
    /// Starts to write to this log; ends when the writer is finished or dropped.
    pub(super) fn start(log: Arc<dyn Log>) -> Self {
        let shared = Arc::<Shared>::default();
        let writing = tokio::spawn(run(log, Arc::clone(&shared)));
        Self { shared, writing }
    }

    /// Writes a record soon.
    pub(super) fn put(&self, record: &StatusRecord) {
        let (key, value) = record.encode();
        let mut waiting = self.shared.waiting.lock();
        // The order of a unit's statuses is that of their writing, not of its first.
        waiting.shift_remove(&key);
        waiting.insert(key, value);
        drop(waiting);
        self.shared.wake.notify_one();
    }

    /// Waits until everything is durable, but not for longer than the limit.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.close();
        match tokio::time::timeout(limit, &mut self.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the writing of statuses broke off"),
            Err(_) => tracing::warn!("the last statuses of this worker were not written in time"),
        }
    }

    fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

impl Drop for StatusWriter {
    fn drop(&mut self) {
        self.close();
        self.writing.abort();
    }
}

async fn run(log: Arc<dyn Log>, shared: Arc<Shared>) {
    loop {
        let batch = std::mem::take(&mut *shared.waiting.lock());
        if !batch.is_empty() {
            write(&*log, batch, &shared.waiting).await;
        } else if shared.closing.load(Ordering::Acquire) {
            return;
        } else {
            shared.wake.notified().await;
        }
    }
}

fn entry((key, value): (String, Option<String>)) -> Entry {
    (Some(Bytes::from(key)), value.map(Bytes::from))
}

async fn write(log: &dyn Log, batch: Waiting, waiting: &Mutex<Waiting>) {
    let entries: Vec<Entry> = batch.iter().map(|(key, value)| entry((key.clone(), value.clone()))).collect();
    let Err(error) = log.append(&entries).await else { return };
    tracing::warn!(%error, count = entries.len(), "failed to write statuses, trying again");
    {
        let mut waiting = waiting.lock();
        for (key, value) in batch {
            waiting.entry(key).or_insert(value);
        }
    }
    tokio::time::sleep(RETRY).await;
}

#[cfg(test)]
mod tests {
    use connect_cluster::TaskStatus;
    use connect_cluster::unit::UnitId;

    use super::super::log::MemoryLog;
    use super::*;

    fn status(text: &str) -> StatusRecord {
        let status = TaskStatus {
            state: connect_cluster::State::Unassigned,
            worker_id: text.to_owned(),
            trace: None,
            generation: 1,
            version: None,
        };
        StatusRecord::Unit { unit: UnitId::Connector(Arc::from("c")), status }
    }

    /// A log that takes its time and fails at first.
    struct Slow {
        log: MemoryLog,
        failures: Mutex<u32>,
    }

    #[async_trait::async_trait]
    impl Log for Slow {
        async fn append(&self, records: &[Entry]) -> Result<(), String> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let fails = {
                let mut failures = self.failures.lock();
                *failures = failures.saturating_sub(1);
                *failures > 0
            };
            if fails { Err("away".to_owned()) } else { self.log.append(records).await }
        }

        async fn read_to_end(&self) -> Result<(), String> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_end_waits_for_everything_and_the_last_word_comes_last() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let log = MemoryLog::new(Box::new(move |record| sink.lock().push(record.value.unwrap_or_default())));
        let writer = StatusWriter::start(Arc::new(Slow { log, failures: Mutex::new(3) }));
        writer.put(&status("first"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        writer.put(&status("last"));
        writer.finish(Duration::from_secs(10)).await;
        let written = written.lock();
        let last = written.last().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
        assert!(last.contains("last"), "{written:?}");
    }
}
