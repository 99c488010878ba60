//! Writes statuses beside the loop, the newest of each unit only.
//!
//! A status that could not be written is tried again until a newer one of the same unit takes its place: the bound of
//! what waits is the number of units and topics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_cluster::status::StatusRecord;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::log::{Entry, Log};

const RETRY: Duration = Duration::from_millis(300);

/// What waits to be written, by key.
type Waiting = IndexMap<String, Option<String>>;

/// Hands statuses to the log.
pub(super) struct StatusWriter {
    waiting: Arc<Mutex<Waiting>>,
    wake: Arc<Notify>,
}

impl StatusWriter {
    /// Starts to write to this log; ends when the writer is dropped.
    pub(super) fn start(log: Arc<dyn Log>) -> Self {
        let writer = Self { waiting: Arc::default(), wake: Arc::default() };
        let (waiting, wake) = (Arc::downgrade(&writer.waiting), Arc::clone(&writer.wake));
        tokio::spawn(async move {
            loop {
                wake.notified().await;
                while let Some(batch) = waiting.upgrade().map(|waiting| std::mem::take(&mut *waiting.lock())) {
                    if batch.is_empty() {
                        break;
                    }
                    write(&*log, batch, &waiting).await;
                }
                if waiting.strong_count() == 0 {
                    return;
                }
            }
        });
        writer
    }

    /// Writes a record soon.
    pub(super) fn put(&self, record: &StatusRecord) {
        let (key, value) = record.encode();
        let mut waiting = self.waiting.lock();
        // The order of a unit's statuses is that of their writing, not of its first.
        waiting.shift_remove(&key);
        waiting.insert(key, value);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Writes what is left, once, within the time given.
    pub(super) async fn finish(self, log: Arc<dyn Log>, limit: Duration) {
        let batch = std::mem::take(&mut *self.waiting.lock());
        let (done, written) = oneshot::channel::<()>();
        let write = async move {
            let entries: Vec<Entry> = batch.into_iter().map(entry).collect();
            if !entries.is_empty()
                && let Err(error) = log.append(&entries).await
            {
                tracing::warn!(%error, "the last statuses of this worker were not written");
            }
            drop(done);
        };
        if tokio::time::timeout(limit, write).await.is_err() {
            tracing::warn!("the last statuses of this worker were not written in time");
        }
        drop(written);
        self.wake.notify_one();
    }
}

fn entry((key, value): (String, Option<String>)) -> Entry {
    (Some(Bytes::from(key)), value.map(Bytes::from))
}

async fn write(log: &dyn Log, batch: Waiting, waiting: &std::sync::Weak<Mutex<Waiting>>) {
    let entries: Vec<Entry> = batch.iter().map(|(key, value)| entry((key.clone(), value.clone()))).collect();
    let Err(error) = log.append(&entries).await else { return };
    tracing::warn!(%error, count = entries.len(), "failed to write statuses, trying again");
    if let Some(waiting) = waiting.upgrade() {
        let mut waiting = waiting.lock();
        for (key, value) in batch {
            waiting.entry(key).or_insert(value);
        }
    }
    tokio::time::sleep(RETRY).await;
}
