//! Writes to a log beside whoever makes the records: of what may be replaced only the newest of each key, and whole batches
//! that somebody waits for.
//!
//! Both go through one task, in order: a batch never overtakes what was put before it. What could not be written is tried
//! again until something newer of its key takes its place, so that what waits is bounded by the number of keys. What is too
//! large for the log is left out, or it would be tried for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::log::{Entry, Log, NotAppended};

const RETRY: Duration = Duration::from_millis(300);

/// What waits to be written, by key.
type Waiting = IndexMap<String, Option<String>>;
/// Whether what has this key is still to be written.
type Keep = fn(&str) -> bool;
/// A batch, and who waits for it.
type Batch = (Vec<Entry>, oneshot::Sender<Result<(), String>>);

/// Hands records to a log.
pub(crate) struct Latest {
    /// What is written, for messages.
    what: &'static str,
    shared: Arc<Shared>,
    writing: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<(Waiting, Vec<Batch>)>,
    wake: Notify,
    /// What is still to be written of that which a failed attempt may bring back; set by [`Latest::forget`].
    kept: Mutex<Option<Keep>>,
    /// No more will come.
    closing: AtomicBool,
}

impl Latest {
    /// Starts to write to this log; ends when the writer is finished or dropped.
    pub(crate) fn start(log: Arc<dyn Log>, what: &'static str) -> Self {
        let shared = Arc::<Shared>::default();
        let writing = tokio::spawn(run(log, Arc::clone(&shared), what));
        Self { what, shared, writing }
    }

    /// Writes a record soon.
    pub(crate) fn put(&self, (key, value): (String, Option<String>)) {
        let mut waiting = self.shared.waiting.lock();
        // The order is that of the newest records, not of the first of their keys.
        waiting.0.shift_remove(&key);
        waiting.0.insert(key, value);
        drop(waiting);
        self.shared.wake.notify_one();
    }

    /// Writes a batch, and tells when it is durable.
    pub(crate) fn commit(
        &self,
        records: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> oneshot::Receiver<Result<(), String>> {
        let (done, outcome) = oneshot::channel();
        self.shared.waiting.lock().1.push((records.into_iter().map(entry).collect(), done));
        self.shared.wake.notify_one();
        outcome
    }

    /// What waits, or is under way and fails, and is not to be kept, is not written any more.
    pub(crate) fn forget(&self, keep: Keep) {
        let mut waiting = self.shared.waiting.lock();
        waiting.0.retain(|key, _| keep(key));
        *self.shared.kept.lock() = Some(keep);
    }

    /// Waits until everything is durable, but not for longer than the limit.
    pub(crate) async fn finish(mut self, limit: Duration) {
        self.close();
        let what = self.what;
        match tokio::time::timeout(limit, &mut self.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the writing of {what} broke off"),
            Err(_) => tracing::warn!("the last {what} of this worker were not written in time"),
        }
    }

    fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

impl Drop for Latest {
    fn drop(&mut self) {
        self.close();
        self.writing.abort();
    }
}

fn entry((key, value): (String, Option<String>)) -> Entry {
    (Some(Bytes::from(key)), value.map(Bytes::from))
}

async fn run(log: Arc<dyn Log>, shared: Arc<Shared>, what: &'static str) {
    loop {
        let (puts, batches) = {
            let mut waiting = shared.waiting.lock();
            // Nothing of before is under way now.
            *shared.kept.lock() = None;
            std::mem::take(&mut *waiting)
        };
        if puts.is_empty() && batches.is_empty() {
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            shared.wake.notified().await;
            continue;
        }
        let failed = if puts.is_empty() { Waiting::new() } else { write(&*log, puts, &shared, what).await };
        for (entries, done) in batches {
            let outcome = log.append(&entries).await;
            if outcome.is_ok() {
                overtaken(&mut shared.waiting.lock().0, &failed, &entries);
            }
            // Whoever asked may be gone.
            let _gone = done.send(outcome);
        }
    }
}

/// What failed and is to be tried again is older than a batch that was written since: of its keys nothing is tried again,
/// unless it is newer still.
fn overtaken(waiting: &mut Waiting, failed: &Waiting, batch: &[Entry]) {
    for (key, _) in batch {
        let Some(key) = key.as_ref().and_then(|key| std::str::from_utf8(key).ok()) else { continue };
        if failed.get(key).is_some_and(|old| waiting.get(key) == Some(old)) {
            waiting.shift_remove(key);
        }
    }
}

/// Writes what it can. What failed waits again, and is given back.
async fn write(log: &dyn Log, puts: Waiting, shared: &Shared, what: &'static str) -> Waiting {
    let entries: Vec<Entry> = puts.iter().map(|(key, value)| entry((key.clone(), value.clone()))).collect();
    let outcomes = log.append_each(&entries).await;
    let mut again = Waiting::new();
    let mut why = None;
    for (((key, value), entry), outcome) in puts.into_iter().zip(&entries).zip(outcomes) {
        let outcome = match outcome {
            // Others in the same request may have made it so.
            Err(NotAppended::TooLarge(_)) if entries.len() > 1 => alone(log, entry).await,
            other => other,
        };
        match outcome {
            Ok(()) => {}
            Err(NotAppended::TooLarge(error)) => {
                let bytes = value.map_or(0, |value| value.len());
                tracing::warn!(key, bytes, error, "one of {what} is left out: it is too large for its topic");
            }
            Err(NotAppended::Failed(error)) => {
                why = Some(error);
                again.insert(key, value);
            }
        }
    }
    let Some(error) = why else { return again };
    tracing::warn!(error, count = again.len(), "failed to write {what}, trying again");
    {
        let mut waiting = shared.waiting.lock();
        if let Some(keep) = *shared.kept.lock() {
            again.retain(|key, _| keep(key));
        }
        // Ahead of what came meanwhile, unless that is newer.
        let newer = std::mem::replace(&mut waiting.0, again.clone());
        for (key, value) in newer {
            waiting.0.shift_remove(&key);
            waiting.0.insert(key, value);
        }
    }
    tokio::time::sleep(RETRY).await;
    again
}

async fn alone(log: &dyn Log, entry: &Entry) -> Result<(), NotAppended> {
    let outcomes = log.append_each(std::slice::from_ref(entry)).await;
    outcomes.into_iter().next().unwrap_or_else(|| Err(NotAppended::Failed("it was not tried".to_owned())))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// What was written, as `key=value`.
    type Written = Arc<Mutex<Vec<String>>>;

    /// A log that takes its time and fails at first, and does not take long values.
    #[derive(Default)]
    struct Slow {
        written: Written,
        failures: Mutex<u32>,
        /// The longest value.
        limit: Option<usize>,
        /// The most records of a request.
        batch: Option<usize>,
    }

    impl Slow {
        fn take(&self, (key, value): &Entry) {
            let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|b| String::from_utf8_lossy(b).into_owned());
            let pair = format!("{}={}", text(key).unwrap_or_default(), text(value).unwrap_or_default());
            self.written.lock().push(pair);
        }
    }

    #[async_trait]
    impl Log for Slow {
        async fn append(&self, records: &[Entry]) -> Result<(), String> {
            records.iter().for_each(|record| self.take(record));
            Ok(())
        }

        async fn append_each(&self, records: &[Entry]) -> Vec<Result<(), NotAppended>> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let fails = {
                let mut failures = self.failures.lock();
                let fails = *failures > 0;
                *failures = failures.saturating_sub(1);
                fails
            };
            let crowded = self.batch.is_some_and(|most| records.len() > most);
            let outcome = |record: &Entry| {
                let bytes = record.1.as_ref().map_or(0, Bytes::len);
                if fails {
                    return Err(NotAppended::Failed("away".to_owned()));
                }
                if crowded || self.limit.is_some_and(|limit| bytes > limit) {
                    return Err(NotAppended::TooLarge("too large".to_owned()));
                }
                self.take(record);
                Ok(())
            };
            records.iter().map(outcome).collect()
        }

        async fn read_to_end(&self) -> Result<(), String> {
            Ok(())
        }
    }

    fn put(writer: &Latest, key: &str, value: &str) {
        writer.put((key.to_owned(), Some(value.to_owned())));
    }

    async fn finish(writer: Latest, written: &Written) -> Vec<String> {
        tokio::time::timeout(Duration::from_secs(20), writer.finish(Duration::from_secs(10))).await.expect("it ends");
        written.lock().clone()
    }

    #[tokio::test]
    async fn the_end_waits_for_everything_and_the_last_word_comes_last() {
        let log = Slow { failures: Mutex::new(2), ..Slow::default() };
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "first");
        tokio::time::sleep(Duration::from_millis(5)).await;
        put(&writer, "a", "last");
        assert_eq!(finish(writer, &written).await, ["a=last"], "what failed is replaced by what is newer");
    }

    /// Whoever asked for the batch was told that it is durable: nothing older may come behind it.
    #[tokio::test]
    async fn what_failed_before_a_batch_of_its_key_is_not_tried_again() {
        let log = Slow { failures: Mutex::new(1), ..Slow::default() };
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "old");
        put(&writer, "b", "old");
        let done = writer.commit([("a".to_owned(), Some("new".to_owned()))]);
        assert_eq!(done.await, Ok(Ok(())));
        assert_eq!(finish(writer, &written).await, ["a=new", "b=old"]);
    }

    #[tokio::test]
    async fn what_is_forgotten_while_it_fails_does_not_come_back() {
        let log = Slow { failures: Mutex::new(1), ..Slow::default() };
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "kept");
        put(&writer, "b", "forgotten");
        // Both are under way.
        tokio::time::sleep(Duration::from_millis(5)).await;
        writer.forget(|key| key == "a");
        assert_eq!(finish(writer, &written).await, ["a=kept"]);
    }

    #[tokio::test]
    async fn what_is_too_large_is_left_out_and_holds_up_nothing() {
        let log = Slow { limit: Some(5), ..Slow::default() };
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "1");
        put(&writer, "b", "far too long");
        put(&writer, "c", "3");
        assert_eq!(finish(writer, &written).await, ["a=1", "c=3"]);
    }

    #[tokio::test]
    async fn what_is_too_large_together_is_written_one_by_one() {
        let log = Slow { batch: Some(1), ..Slow::default() };
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "1");
        put(&writer, "b", "2");
        assert_eq!(finish(writer, &written).await, ["a=1", "b=2"]);
    }

    #[tokio::test]
    async fn a_batch_comes_after_what_was_put_before_it() {
        let log = Slow::default();
        let written = Arc::clone(&log.written);
        let writer = Latest::start(Arc::new(log), "records");
        put(&writer, "a", "1");
        put(&writer, "b", "2");
        writer.forget(|key| key == "a");
        let committed = writer.commit([("c".to_owned(), None)]);
        assert_eq!(committed.await.expect("an outcome"), Ok(()));
        assert_eq!(finish(writer, &written).await, ["a=1", "c="]);
    }
}
