//! Writes to the topic of jobs, beside the loop: of what may be replaced only the newest of each key, and whole batches that
//! somebody waits for.
//!
//! Both go through one task, in order: a batch never overtakes what was put before it. What could not be written is tried
//! again until something newer of its key takes its place, so that what waits is bounded by the number of keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connect_cluster::jobs::record::JobRecord;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::drive::Input;
use crate::herd::Log;

const RETRY: Duration = Duration::from_millis(500);

/// What waits to be written, by key.
type Waiting = IndexMap<String, Option<String>>;
/// A batch that somebody waits for.
type Batch = (u64, Vec<JobRecord>);

/// Hands records to the log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    writing: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<(Waiting, Vec<Batch>)>,
    wake: Notify,
    /// No more will come.
    closing: AtomicBool,
}

impl Writer {
    /// Starts to write to this log. `inbox` is told what became of batches.
    pub(super) fn start(log: Arc<dyn Log>, inbox: mpsc::Sender<Input>) -> Self {
        let shared = Arc::<Shared>::default();
        let writing = tokio::spawn(run(log, Arc::clone(&shared), inbox));
        Self { shared, writing }
    }

    /// Writes a record soon.
    pub(super) fn put(&self, record: &JobRecord) {
        let (key, value) = record.encode();
        let mut waiting = self.shared.waiting.lock();
        // The order is that of the newest records, not of the first of their keys.
        waiting.0.shift_remove(&key);
        waiting.0.insert(key, value);
        drop(waiting);
        self.shared.wake.notify_one();
    }

    /// Writes a batch, and tells when it is durable.
    pub(super) fn commit(&self, token: u64, records: Vec<JobRecord>) {
        self.shared.waiting.lock().1.push((token, records));
        self.shared.wake.notify_one();
    }

    /// What waits and is not about this worker's own tasks is not written any more.
    pub(super) fn forget(&self, keep: impl Fn(&str) -> bool) {
        self.shared.waiting.lock().0.retain(|key, _| keep(key));
    }

    /// Waits until everything is durable, but not for longer than the limit.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if tokio::time::timeout(limit, &mut self.writing).await.is_err() {
            tracing::warn!("the last reports of this worker's jobs were not written in time");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

fn entry((key, value): (String, Option<String>)) -> (Option<Bytes>, Option<Bytes>) {
    (Some(Bytes::from(key)), value.map(Bytes::from))
}

async fn run(log: Arc<dyn Log>, shared: Arc<Shared>, inbox: mpsc::Sender<Input>) {
    loop {
        let (puts, batches) = std::mem::take(&mut *shared.waiting.lock());
        if puts.is_empty() && batches.is_empty() {
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            shared.wake.notified().await;
            continue;
        }
        if !puts.is_empty() {
            write_puts(&*log, puts, &shared).await;
        }
        for (token, records) in batches {
            let entries: Vec<_> = records.iter().map(|record| entry(record.encode())).collect();
            let outcome = log.append(&entries).await;
            if inbox.send(Input::Committed { token, outcome }).await.is_err() {
                return;
            }
        }
    }
}

async fn write_puts(log: &dyn Log, puts: Waiting, shared: &Shared) {
    let entries: Vec<_> = puts.iter().map(|(key, value)| entry((key.clone(), value.clone()))).collect();
    let Err(error) = log.append(&entries).await else { return };
    tracing::warn!(error, count = entries.len(), "failed to write to the topic of jobs, trying again");
    {
        let mut waiting = shared.waiting.lock();
        // Ahead of what came meanwhile, unless that is newer.
        let newer = std::mem::replace(&mut waiting.0, puts);
        for (key, value) in newer {
            waiting.0.shift_remove(&key);
            waiting.0.insert(key, value);
        }
    }
    tokio::time::sleep(RETRY).await;
}
