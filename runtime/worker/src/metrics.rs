//! What a task counts. Written by the task once per batch, read by whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use connect_api::Progress;
use parking_lot::Mutex;

/// The counters of one run of a task. All only grow, but for the times.
#[derive(Default)]
pub struct TaskMetrics {
    /// Source: records given by `poll`. Sink: records read from the topics.
    pub polled: AtomicU64,
    /// Source: records handed to the producer. Sink: records given to `put` with success.
    pub written: AtomicU64,
    /// Source: records known to be durable.
    pub acknowledged: AtomicU64,
    /// Batches.
    pub batches: AtomicU64,
    /// Records dropped by a transform.
    pub filtered: AtomicU64,
    /// Failures of an operation, retries included (`total-record-failures`).
    pub failures: AtomicU64,
    /// Records with an error that was not mended by a retry (`total-record-errors`).
    pub errors: AtomicU64,
    /// Records skipped because errors are tolerated (`total-records-skipped`).
    pub skipped: AtomicU64,
    /// Retries (`total-retries`).
    pub retries: AtomicU64,
    /// Errors written to the log (`total-errors-logged`).
    pub logged: AtomicU64,
    /// Records sent to the dead letter topic.
    pub dead_letters: AtomicU64,
    /// Commits of offsets that succeeded.
    pub commits: AtomicU64,
    /// Commits of offsets that failed.
    pub commit_failures: AtomicU64,
    /// When offsets were committed last, in milliseconds since 1970; 0 before the first time.
    pub last_commit_ms: AtomicI64,
    /// When an error was seen last, in milliseconds since 1970; 0 before the first time.
    pub last_error_ms: AtomicI64,
    /// Duration of the last `put` or `poll` that brought records, in microseconds.
    pub last_batch_us: AtomicU64,
    progress: Mutex<Progress>,
}

impl TaskMetrics {
    /// A fresh set.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The value of a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// Notes a commit.
    pub fn committed(&self) {
        Self::add(&self.commits, 1);
        self.last_commit_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Notes an error.
    pub fn error_seen(&self) {
        self.last_error_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// What the task said last of its progress.
    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// Takes note of the task's progress.
    pub fn set_progress(&self, progress: Progress) {
        *self.progress.lock() = progress;
    }
}

/// Milliseconds since 1970 by the system's clock.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
