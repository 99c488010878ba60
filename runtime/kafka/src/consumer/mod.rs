//! The consumer of a sink task: a member of a consumer group, on librdkafka.
//!
//! A thread of its own polls librdkafka and hands over batches through a bounded channel, with assignments and revocations in
//! band: what comes before a revocation was read before it. A revocation waits for the owner's answer, so that offsets can be
//! committed in time. A full channel stops the polling, as a long `put` does in the JVM: `max.poll.interval.ms` counts.
//! Invariants: records of a partition come in order; after a seek or a pause none of what was read ahead is handed out.

mod batch;
mod reader;
mod starts;
mod topics;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::{ClientProps, Error, ErrorKind, Result, TopicPartition, context};

use crate::stats::ClientStats;

use reader::{ReaderContext, Seek, Signal};
pub use topics::TopicPattern;

/// What to read.
#[derive(Clone, Debug)]
pub enum Subscription {
    Topics(Vec<String>),
    /// A regular expression that must match the whole topic name (`topics.regex`). Internal topics never match.
    Pattern(String),
}

/// Whose clock a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    NoTimestamp,
    CreateTime,
    LogAppendTime,
}

/// A record read from a topic.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1 with [`TimestampType::NoTimestamp`].
    pub timestamp_ms: i64,
    pub timestamp_type: TimestampType,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

/// What a poll gives, in the order it happened.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// The group gave us these partitions: all we have now after an eager rebalance, more of them after a cooperative one.
    Assigned(Vec<TopicPartition>),
    /// We are about to lose these partitions. Finish and commit what was read of them, then drop or answer `done`: the
    /// rebalance waits for it. With `lost` they are gone already and nothing can be committed.
    Revoked { partitions: Vec<TopicPartition>, lost: bool, done: oneshot::Sender<()> },
    /// Records, in order within each partition.
    Records(Vec<ConsumerRecord>),
    /// The ends of these partitions were reached: everything below these offsets was handed out, also where no record stands
    /// just before them, but the markers of transactions or records that were aborted.
    Reached(Vec<(TopicPartition, i64)>),
    /// An error of the client that it does not get over by itself, or that the task should know of.
    Error(Error),
}

/// Offsets to commit: the next offset to be read of each partition.
pub type CommitOffsets = Vec<(TopicPartition, i64)>;

/// A member of a consumer group with a thread of its own.
pub struct Consumer {
    inner: Arc<BaseConsumer<ReaderContext>>,
    signals: mpsc::Receiver<Signal>,
    seeks: std::sync::mpsc::Sender<Seek>,
    seek_id: u64,
    stopping: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    watch: Option<tokio::task::AbortHandle>,
    runtime: Handle,
    reset: starts::Reset,
    view: Mutex<View>,
}

/// What the owner sees, next to what librdkafka holds.
#[derive(Default)]
struct View {
    assignment: Vec<TopicPartition>,
    positions: HashMap<TopicPartition, i64>,
    paused: HashSet<TopicPartition>,
    /// Records of paused partitions that had been read ahead.
    held: Vec<ConsumerRecord>,
    /// Ends of paused partitions that were reached, behind what is held.
    held_ends: HashMap<TopicPartition, i64>,
    /// Partitions whose records are dropped until the seek with this id has been carried out.
    seeking: HashMap<TopicPartition, u64>,
    /// Signals taken while waiting for something else.
    backlog: VecDeque<Signal>,
}

/// What of a partition is about to be taken away, as far as the owner was not told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revocation {
    Nothing,
    /// Partitions, but not this one.
    OfOthers,
    OfThis,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("assignment", &self.view.lock().assignment).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Opens a consumer with Java client properties (with `group.id`) and subscribes. Needs a tokio runtime.
    pub fn open(props: &ClientProps, subscription: Subscription) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|error| Error::new(ErrorKind::Fatal, "a consumer needs a tokio runtime").with_source(error))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let reader::Started { inner, signals, seeks, thread, reset } = reader::start(props, &stopping, &runtime)?;
        let mut consumer = Self {
            inner,
            signals,
            seeks,
            seek_id: 0,
            stopping,
            thread: Some(thread),
            watch: None,
            runtime,
            reset,
            view: Mutex::default(),
        };
        match subscription {
            Subscription::Topics(topics) => {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                consumer.inner.subscribe(&names).map_err(|error| context::error("subscribe", error))?;
            }
            Subscription::Pattern(pattern) => {
                let watching = topics::watch(props, &pattern, Arc::downgrade(&consumer.inner))?;
                consumer.watch = Some(consumer.runtime.spawn(watching).abort_handle());
            }
        }
        Ok(consumer)
    }

    /// The next event, or `None` when nothing happened within `wait`. Safe to cancel. While all is paused go on polling: that
    /// is what keeps the member in its group.
    pub async fn poll(&mut self, wait: Duration) -> Option<ConsumerEvent> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let released = self.view.lock().released();
            if released.is_some() {
                return released;
            }
            let waiting = self.view.lock().backlog.pop_front();
            let signal = match waiting {
                Some(signal) => signal,
                None => match tokio::time::timeout_at(deadline, self.signals.recv()).await {
                    Ok(Some(signal)) => signal,
                    Ok(None) => {
                        return Some(ConsumerEvent::Error(Error::new(
                            ErrorKind::Fatal,
                            "the consumer's thread has ended",
                        )));
                    }
                    Err(_) => return None,
                },
            };
            if let Some(event) = self.view.lock().take(signal) {
                return Some(event);
            }
        }
    }

    /// Hands out nothing more of these partitions and stops fetching them. The pause ends with the assignment.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<()> {
        self.view.lock().paused.extend(partitions.iter().cloned());
        self.inner.pause(&plain_list(partitions)).map_err(|error| context::error("pause", error))
    }

    /// Goes on with these partitions.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<()> {
        let mut view = self.view.lock();
        for partition in partitions {
            view.paused.remove(partition);
        }
        drop(view);
        self.inner.resume(&plain_list(partitions)).map_err(|error| context::error("resume", error))
    }

    /// Makes `offset` the next one to be read. Records of the partition that were read ahead are dropped.
    ///
    /// While a revocation waits to be handed out or answered, or when one comes, this returns at once: the thread waits for the
    /// answer, and a group for the thread. What the revocation takes away is not sought at all, since whoever gets it begins
    /// at what is committed; the rest is sought after the answer, and nothing of it is handed out before. A seek that fails
    /// then is told as a [`ConsumerEvent::Error`].
    pub async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        let ended = || Error::new(ErrorKind::Fatal, "the consumer's thread has ended");
        self.seek_id += 1;
        let id = self.seek_id;
        let revocation = {
            let mut view = self.view.lock();
            for _ in 0..=reader::SIGNALS_MAX {
                let Ok(signal) = self.signals.try_recv() else { break };
                view.backlog.push_back(signal);
            }
            view.start_seek(partition, offset, id);
            view.revocation(partition)
        };
        if revocation == Revocation::OfThis {
            return Ok(());
        }
        let (done, mut outcome) = oneshot::channel();
        let seek = Seek { partition: partition.clone(), offset, id, done };
        self.seeks.send(seek).map_err(|_| ended())?;
        if revocation == Revocation::OfOthers || self.inner.context().revoking.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            // The thread may be waiting for room in the channel: make some.
            tokio::select! {
                biased;
                outcome = &mut outcome => return outcome.unwrap_or_else(|_| Err(ended())),
                signal = self.signals.recv() => {
                    let signal = signal.ok_or_else(ended)?;
                    let revoked = matches!(signal, Signal::Revoked { .. });
                    self.view.lock().backlog.push_back(signal);
                    if revoked {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Commits and waits for the answer.
    pub async fn commit(&self, offsets: CommitOffsets) -> Result<()> {
        let outcome = self.commit_async(offsets);
        outcome.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Fatal, "the commit was cut off")))
    }

    /// Commits without waiting; the receiver gets the outcome.
    pub fn commit_async(&self, offsets: CommitOffsets) -> oneshot::Receiver<Result<()>> {
        let (answer, outcome) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn_blocking(move || {
            let _not_awaited = answer.send(commit(&inner, &offsets));
        });
        outcome
    }

    /// What its connections carry, and how far it is behind.
    pub fn stats(&self) -> Arc<ClientStats> {
        Arc::clone(&self.inner.context().stats)
    }

    /// The partitions assigned, as of the last event handed out.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.view.lock().assignment.clone()
    }

    /// The next offset that `poll` will hand out, once it has handed out any or a seek has been made.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.view.lock().positions.get(partition).copied()
    }

    /// The committed offset of these partitions (`None`: none yet).
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>> {
        let inner = Arc::clone(&self.inner);
        let list = plain_list(partitions);
        let answer = self
            .runtime
            .spawn_blocking(move || inner.committed_offsets(list, Timeout::After(timeout)))
            .await
            .map_err(|error| Error::new(ErrorKind::Fatal, "a blocking call was cut off").with_source(error))?
            .map_err(|error| context::error("read committed offsets", error))?;
        Ok(answer
            .elements()
            .iter()
            .map(|element| {
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                (TopicPartition::new(element.topic(), element.partition()), offset)
            })
            .collect())
    }

    /// Leaves the group and ends the thread. Commit before. Events that nobody polled are dropped.
    pub async fn close(mut self, timeout: Duration) -> Result<()> {
        let thread = self.thread.take();
        // Dropping stops the thread, closes the channel that it may wait for, and gives up our share of the client, so that
        // the thread ends it.
        drop(self);
        let Some(thread) = thread else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(timeout, joined).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Fatal, "the consumer's thread has panicked")),
            Err(_) => {
                let text = format!("the consumer did not leave its group within {} ms", timeout.as_millis());
                Err(Error::new(ErrorKind::Timeout, text))
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

impl View {
    fn take(&mut self, signal: Signal) -> Option<ConsumerEvent> {
        match signal {
            Signal::Records(records) => {
                let records = self.wanted(records);
                (!records.is_empty()).then_some(ConsumerEvent::Records(records))
            }
            Signal::Reached(ends) => self.reached(ends),
            Signal::Assigned { partitions, more } => {
                if !more {
                    self.assignment.clear();
                }
                self.assignment.extend(partitions.iter().cloned());
                // A pause that was made after they had been taken away was made for nothing.
                self.paused.retain(|paused| !partitions.contains(paused));
                Some(ConsumerEvent::Assigned(partitions))
            }
            Signal::Revoked { partitions, lost, done } => {
                self.forget(&partitions);
                Some(ConsumerEvent::Revoked { partitions, lost, done })
            }
            Signal::Sought { partition, id } => {
                if self.seeking.get(&partition) == Some(&id) {
                    self.seeking.remove(&partition);
                }
                None
            }
            Signal::Failed(error) => Some(ConsumerEvent::Error(error)),
        }
    }

    /// Drops what a seek made void, holds what is paused, and moves the positions.
    fn wanted(&mut self, records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
        let quiet = self.seeking.is_empty() && self.paused.is_empty();
        let mut handed_out = if quiet { records } else { self.sift(records) };
        handed_out.shrink_to_fit();
        self.advance(&handed_out);
        handed_out
    }

    fn sift(&mut self, records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
        let mut wanted = Vec::with_capacity(records.len());
        for record in records {
            let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
            if self.seeking.contains_key(&partition) {
                continue;
            }
            if self.paused.contains(&partition) { self.held.push(record) } else { wanted.push(record) }
        }
        wanted
    }

    fn advance(&mut self, records: &[ConsumerRecord]) {
        // Records of a partition stand together mostly: one look-up for each run.
        let mut rest = records;
        while let Some(first) = rest.first() {
            let same = |record: &&ConsumerRecord| record.partition == first.partition && record.topic == first.topic;
            let run = rest.iter().take_while(same).count();
            let (head, tail) = rest.split_at(run);
            if let Some(last) = head.last() {
                let partition = TopicPartition { topic: Arc::clone(&last.topic), partition: last.partition };
                self.positions.insert(partition, last.offset + 1);
            }
            rest = tail;
        }
    }

    /// The ends that are new to the owner. What a seek made void is dropped, what is paused is held.
    fn reached(&mut self, ends: Vec<(TopicPartition, i64)>) -> Option<ConsumerEvent> {
        let mut new = Vec::new();
        for (partition, end) in ends {
            if self.seeking.contains_key(&partition) {
                continue;
            }
            if self.paused.contains(&partition) {
                self.held_ends.insert(partition, end);
                continue;
            }
            // Records that came later say more.
            if self.positions.get(&partition).is_none_or(|position| *position < end) {
                self.positions.insert(partition.clone(), end);
                new.push((partition, end));
            }
        }
        (!new.is_empty()).then_some(ConsumerEvent::Reached(new))
    }

    /// What was held of partitions that are not paused any more: records first, then the ends behind them.
    fn released(&mut self) -> Option<ConsumerEvent> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let released = self.wanted(held);
            if !released.is_empty() {
                return Some(ConsumerEvent::Records(released));
            }
        }
        if self.held_ends.keys().all(|partition| self.paused.contains(partition)) {
            return None;
        }
        let held = std::mem::take(&mut self.held_ends);
        self.reached(held.into_iter().collect())
    }

    fn revocation(&self, of: &TopicPartition) -> Revocation {
        let mut found = Revocation::Nothing;
        for signal in &self.backlog {
            if let Signal::Revoked { partitions, .. } = signal {
                if partitions.contains(of) {
                    return Revocation::OfThis;
                }
                found = Revocation::OfOthers;
            }
        }
        found
    }

    fn start_seek(&mut self, partition: &TopicPartition, offset: i64, id: u64) {
        self.seeking.insert(partition.clone(), id);
        self.held.retain(|record| record.partition != partition.partition || record.topic != partition.topic);
        self.held_ends.remove(partition);
        self.positions.insert(partition.clone(), offset);
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        let gone: HashSet<&TopicPartition> = partitions.iter().collect();
        self.assignment.retain(|partition| !gone.contains(partition));
        self.paused.retain(|partition| !gone.contains(partition));
        self.positions.retain(|partition, _| !gone.contains(partition));
        self.seeking.retain(|partition, _| !gone.contains(partition));
        self.held_ends.retain(|partition, _| !gone.contains(partition));
        self.held.retain(|record| {
            let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
            !gone.contains(&partition)
        });
    }
}

fn plain_list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn commit(inner: &BaseConsumer<ReaderContext>, offsets: &CommitOffsets) -> Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    let failed = |error: KafkaError| context::error("commit offsets", error);
    for (partition, offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset)).map_err(failed)?;
    }
    inner.commit(&list, CommitMode::Sync).map_err(failed)
}

#[cfg(test)]
mod tests;
