//! Which records are safely in Kafka, and which checkpoints that makes complete.
//!
//! Every record that goes to the producer takes the next sequence number of its task. Acknowledgements come back in any
//! order, on the producer's threads, and set a bit of a ring. The task moves the acknowledged prefix on; a checkpoint is
//! complete when the prefix has reached it. Records that are dropped on purpose (by a transform, or under tolerance) take no
//! number, so they count as acknowledged.
//!
//! Invariants:
//! 1. A checkpoint never completes before every record sent ahead of it was acknowledged.
//! 2. After a failure nothing completes that comes behind the failed record: its bit is never set.
//! 3. At most [`Ring::capacity`] records are in flight, and no more checkpoints are kept than records in flight plus one
//!    for each source partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connect_api::{Checkpoint, Error};
use connect_kafka::{AckSink, Position};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::io::kafka_exception;
use crate::stall::Stall;

/// Records that one task may have in flight.
pub const MAX_IN_FLIGHT: usize = 1 << 17;

/// Tolerated failures that are kept for the log between two flushes of offsets; more are counted only.
const TOLERATED_ERRORS_MAX: usize = 64;

/// The side of the acknowledgements that the producer's threads see.
pub struct Ring {
    words: Box<[AtomicU64]>,
    acknowledged: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<(u64, Error)>>,
    /// Failures of single records are as good as acknowledgements (`errors.tolerance=all`).
    tolerant: bool,
    tolerated: AtomicU64,
    /// Why, of the first few.
    tolerated_errors: Mutex<Vec<Error>>,
    waiting: AtomicBool,
    wake: Notify,
}

impl Ring {
    fn new(capacity: usize, tolerant: bool) -> Self {
        let words = capacity.next_power_of_two().max(64) / 64;
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            acknowledged: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            tolerant,
            tolerated: AtomicU64::new(0),
            tolerated_errors: Mutex::default(),
            waiting: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The number of records that may be in flight.
    pub fn capacity(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    /// Records known to be durable.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    fn place(&self, sequence: u64) -> (&AtomicU64, u64) {
        let bit = sequence & (self.capacity() - 1);
        // The mask keeps the index inside: the number of words is a power of two.
        (&self.words[(bit / 64) as usize], bit % 64)
    }

    fn acknowledge(&self, sequence: u64) {
        let (word, bit) = self.place(sequence);
        word.fetch_or(1 << bit, Ordering::Release);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        self.notify();
    }

    fn fail(&self, sequence: u64, error: Error) {
        {
            let mut failure = self.failure.lock();
            if failure.as_ref().is_none_or(|(earlier, _)| sequence < *earlier) {
                *failure = Some((sequence, error));
            }
        }
        self.failed.store(true, Ordering::SeqCst);
        self.notify();
    }

    fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }
}

impl AckSink for Ring {
    fn delivered(&self, token: u64, outcome: connect_kafka::Result<Position>) {
        match outcome {
            Ok(_) => self.acknowledge(token),
            Err(error) if self.tolerant => {
                tracing::debug!(error = %error, "ignoring a record that could not be sent (errors.tolerance=all)");
                self.tolerated.fetch_add(1, Ordering::Relaxed);
                let mut errors = self.tolerated_errors.lock();
                if errors.len() < TOLERATED_ERRORS_MAX {
                    errors.push(kafka_exception(error));
                }
                drop(errors);
                self.acknowledge(token);
            }
            Err(error) => self.fail(token, kafka_exception(error)),
        }
    }
}

/// The task's side.
pub struct Tracker {
    ring: Arc<Ring>,
    sink: Arc<dyn AckSink>,
    /// The next sequence number.
    next: u64,
    /// Everything below is acknowledged.
    prefix: u64,
    /// Not complete yet: sequence number that the prefix must reach, and the checkpoint.
    waiting: VecDeque<(u64, Checkpoint)>,
    /// Complete, the newest of each source partition.
    complete: Vec<Checkpoint>,
    stall: Stall,
}

impl Tracker {
    /// A tracker of at most `capacity` records in flight (rounded up to a power of two). `tolerant`: failures to send
    /// count as acknowledged.
    pub fn new(capacity: usize, tolerant: bool) -> Self {
        let ring = Arc::new(Ring::new(capacity, tolerant));
        let sink: Arc<dyn AckSink> = Arc::clone(&ring) as Arc<dyn AckSink>;
        let stall = Stall::new(Instant::now());
        Self { ring, sink, next: 0, prefix: 0, waiting: VecDeque::new(), complete: Vec::new(), stall }
    }

    /// Where acknowledgements are counted.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring)
    }

    /// Where the producer reports outcomes.
    pub fn sink(&self) -> &Arc<dyn AckSink> {
        &self.sink
    }

    /// The sequence number of the next record, `None` when too many are in flight. It counts only after [`Self::sent`].
    pub fn reserve(&mut self) -> Option<u64> {
        if self.next - self.prefix >= self.ring.capacity() {
            self.advance();
            if self.next - self.prefix >= self.ring.capacity() {
                return None;
            }
        }
        Some(self.next)
    }

    /// The producer took the record with the number that [`Self::reserve`] gave.
    pub fn sent(&mut self) {
        self.next += 1;
    }

    /// A checkpoint that may be stored when everything sent so far is acknowledged.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        if let Some((needs, last)) = self.waiting.back_mut()
            && *needs == self.next
            && same_partition(last, &checkpoint)
        {
            *last = checkpoint;
            return;
        }
        if self.waiting.is_empty() && self.next == self.prefix {
            return self.keep(checkpoint);
        }
        self.waiting.push_back((self.next, checkpoint));
        if self.waiting.len() as u64 > self.ring.capacity() {
            self.advance();
        }
    }

    /// Moves the prefix on and takes note of what is complete.
    pub fn advance(&mut self) {
        while self.prefix < self.next {
            let (word, bit) = self.ring.place(self.prefix);
            let ones = u64::from((word.load(Ordering::Acquire) >> bit).trailing_ones());
            let run = ones.min(64 - bit).min(self.next - self.prefix);
            if run == 0 {
                break;
            }
            let mask = if run == 64 { u64::MAX } else { ((1 << run) - 1) << bit };
            word.fetch_and(!mask, Ordering::AcqRel);
            self.prefix += run;
            if bit + run < 64 {
                break;
            }
        }
        while let Some((needs, _)) = self.waiting.front()
            && *needs <= self.prefix
            && let Some((_, checkpoint)) = self.waiting.pop_front()
        {
            self.keep(checkpoint);
        }
    }

    fn keep(&mut self, checkpoint: Checkpoint) {
        match self.complete.iter_mut().find(|kept| same_partition(kept, &checkpoint)) {
            Some(kept) => *kept = checkpoint,
            None => self.complete.push(checkpoint),
        }
    }

    /// Takes the newest complete checkpoint of each source partition that changed since the last call.
    pub fn take_complete(&mut self) -> Vec<Checkpoint> {
        self.advance();
        std::mem::take(&mut self.complete)
    }

    /// Takes the newest checkpoint of each source partition, complete or not: for who knows in another way that everything
    /// sent is durable.
    pub fn take_all(&mut self) -> Vec<Checkpoint> {
        for (_, checkpoint) in std::mem::take(&mut self.waiting) {
            self.keep(checkpoint);
        }
        std::mem::take(&mut self.complete)
    }

    /// True while there are checkpoints that were not taken yet, complete or not.
    pub fn has_checkpoints(&self) -> bool {
        !(self.waiting.is_empty() && self.complete.is_empty())
    }

    /// Gives back checkpoints that could not be stored; newer ones win.
    pub fn give_back(&mut self, checkpoints: Vec<Checkpoint>) {
        for checkpoint in checkpoints {
            if !self.complete.iter().any(|kept| same_partition(kept, &checkpoint)) {
                self.complete.push(checkpoint);
            }
        }
    }

    /// True when everything sent was acknowledged.
    pub fn is_idle(&mut self) -> bool {
        self.advance();
        self.prefix == self.next
    }

    /// Records known to be durable.
    pub fn acknowledged(&self) -> u64 {
        self.ring.acknowledged.load(Ordering::Acquire)
    }

    /// Records sent and not known to be durable.
    pub fn in_flight(&self) -> u64 {
        self.next.saturating_sub(self.acknowledged())
    }

    /// For how long nothing was confirmed of what is in flight, when that is to be told now.
    pub fn stalled(&mut self) -> Option<Duration> {
        self.stall.look(self.acknowledged(), self.in_flight(), Instant::now())
    }

    /// True when a record could not be sent. One atomic load: meant for the hot path.
    pub fn has_failed(&self) -> bool {
        self.ring.failed.load(Ordering::Acquire)
    }

    /// The first failure, once.
    pub fn take_failure(&self) -> Option<Error> {
        self.ring.failure.lock().take().map(|(_, error)| error)
    }

    /// Failures that were tolerated since the last call: how many, and the first of them.
    pub fn take_tolerated(&self) -> (u64, Vec<Error>) {
        let errors = std::mem::take(&mut *self.ring.tolerated_errors.lock());
        (self.ring.tolerated.swap(0, Ordering::Relaxed), errors)
    }

    /// The sequence number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// So many records are durable, as of the last [`Self::advance`], with everything before them.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Waits for the next acknowledgement or failure, unless there is nothing to wait for.
    pub async fn changed(&mut self) {
        let before = self.ring.acknowledged.load(Ordering::Acquire);
        self.ring.waiting.store(true, Ordering::SeqCst);
        let woken = self.ring.wake.notified();
        // An acknowledgement may have come before the flag was set: look again before waiting.
        if self.ring.acknowledged.load(Ordering::SeqCst) == before && before < self.next && !self.has_failed() {
            woken.await;
        }
        self.ring.waiting.store(false, Ordering::SeqCst);
    }

    /// Waits until all is acknowledged, or something failed.
    pub async fn idle(&mut self) {
        while !self.is_idle() && !self.has_failed() {
            self.changed().await;
        }
    }
}

fn same_partition(a: &Checkpoint, b: &Checkpoint) -> bool {
    Arc::ptr_eq(&a.partition, &b.partition) || a.partition == b.partition
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
