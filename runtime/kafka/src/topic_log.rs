//! A compacted topic used as a log (Java: `KafkaBasedLog`).
//!
//! One thread reads all partitions from the beginning and follows them; each record goes through the log's sink, in order
//! within its partition. `read_to_end` compares positions with the ends that the brokers name at the time of the call.
//! Invariant: a position is published only after the sink has returned from the record before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Statistics};
use tokio::sync::oneshot;

use crate::admin::{Admin, OffsetSpec};
use crate::producer::{AckSink, Message, SendError};
use crate::stats::{self, ClientStats, StatsOf};
use crate::translate::{ClientKind, METADATA_REFRESH, translate};
use crate::{ClientProps, Error, ErrorKind, Position, Producer, Result, TopicPartition, context};

/// How long one poll waits: the time it takes at most to see a stop or a waiter.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How long a broker may hold a fetch without data. Short, because partitions that become ready while a fetch is out have to
/// wait for its end at the start.
const FETCH_WAIT_MS: &str = "100";
/// How often an open transaction is looked at again.
const OPEN_TRANSACTION_PAUSE: Duration = Duration::from_millis(10);
/// A reader that was told, by a broker that had just come back, that a partition has no leader asks again no earlier than this;
/// whatever `metadata.max.age.ms` says, since the whole worker waits for its logs.
const METADATA_REFRESH_MS: &str = "3000";
/// Read-ahead of one log.
const READ_AHEAD_KBYTES: &str = "2048";

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

struct LogContext {
    stats: Arc<ClientStats>,
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.stats.take(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::client_error("reader of a log", &error, reason);
    }
}

impl ConsumerContext for LogContext {}

/// Somebody who waits for the log to reach these offsets.
struct Waiter {
    ends: BTreeMap<i32, i64>,
    done: oneshot::Sender<Result<()>>,
}

/// What the thread and the callers share.
struct Shared {
    topic: String,
    /// Next offset by partition, after the sink has seen everything before it.
    positions: Mutex<BTreeMap<i32, i64>>,
    waiters: Mutex<Vec<Waiter>>,
    stopping: AtomicBool,
}

/// An open log: all partitions are read from the beginning, then followed.
pub struct TopicLog {
    shared: Arc<Shared>,
    producer: Arc<Producer>,
    admin: Admin,
    stats: Arc<ClientStats>,
    committed_only: bool,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for TopicLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicLog").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}

impl TopicLog {
    /// Opens an existing topic and starts reading. Every record goes to `sink`; await [`read_to_end`](Self::read_to_end) for
    /// the state at the start. `consumer` are Java consumer properties; `isolation.level` counts, `group.id` does not.
    pub async fn open(
        topic: &str,
        consumer: &ClientProps,
        producer: Arc<Producer>,
        sink: impl LogSink,
        timeout: Duration,
    ) -> Result<Self> {
        let admin = Admin::open(consumer)?;
        let partitions = tokio::time::timeout(timeout, existing_partitions(&admin, topic)).await.map_err(|_| {
            Error::new(ErrorKind::Timeout, format!("topic {topic} was not found within {} ms", timeout.as_millis()))
        })??;
        let mut translated = translate(ClientKind::Consumer, consumer)?;
        let settings = &mut translated.settings;
        for (name, value) in [
            ("enable.partition.eof", "true"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("allow.auto.create.topics", "false"),
            ("fetch.wait.max.ms", FETCH_WAIT_MS),
            ("queued.max.messages.kbytes", READ_AHEAD_KBYTES),
            (stats::INTERVAL, stats::INTERVAL_MS),
            (METADATA_REFRESH, METADATA_REFRESH_MS),
        ] {
            settings.insert(name, value.to_owned());
        }
        // librdkafka wants a group even where none is joined.
        settings.entry("group.id").or_insert_with(|| topic.to_owned());
        let committed_only = settings.get("isolation.level").is_some_and(|level| level == "read_committed");
        let stats = ClientStats::new(StatsOf::Consumer, consumer.get("client.id").map_or("", String::as_str));
        let context = LogContext { stats: Arc::clone(&stats) };
        let consumer = BaseConsumer::from_config_and_context(&translated.client_config(), context)
            .map_err(|error| context::error("open a log reader", error))?;
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment
                .add_partition_offset(topic, *partition, Offset::Offset(0))
                .map_err(|error| context::error("assign a partition", error))?;
        }
        consumer.assign(&assignment).map_err(|error| context::error("assign partitions", error))?;
        let shared = Arc::new(Shared {
            topic: topic.to_owned(),
            positions: Mutex::new(partitions.iter().map(|partition| (*partition, 0)).collect()),
            waiters: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let reader = Reader { consumer, shared: Arc::clone(&shared), states: BTreeMap::new(), sink };
        let thread = std::thread::Builder::new()
            .name("topic-log".to_owned())
            .spawn(move || reader.run())
            .map_err(|error| Error::new(ErrorKind::Fatal, "failed to start a thread").with_source(error))?;
        Ok(Self { shared, producer, admin, stats, committed_only, thread: Some(thread) })
    }

    /// Waits until everything written before the call has gone through the sink.
    pub async fn read_to_end(&self, timeout: Duration) -> Result<()> {
        let topic = &self.shared.topic;
        let reading = async {
            let partitions: Vec<_> = {
                let positions = self.shared.positions.lock();
                positions.keys().map(|partition| TopicPartition::new(topic.as_str(), *partition)).collect()
            };
            let ends = self.ends(&partitions).await?;
            match self.shared.wait_for(ends) {
                None => Ok(()),
                Some(reached) => reached.await.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Fatal, format!("the reader of topic {topic} has ended")))
                }),
            }
        };
        tokio::time::timeout(timeout, reading).await.unwrap_or_else(|_| {
            let text = format!("the end of topic {topic} was not reached within {} ms", timeout.as_millis());
            Err(Error::new(ErrorKind::Timeout, text))
        })
    }

    /// The ends of the partitions, once a reader like this one can get there: a reader of committed records waits for the
    /// transactions that are open at the time of the call, as the JVM's does. (A commit is answered before the broker has
    /// marked the records as committed.)
    async fn ends(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<i32, i64>> {
        let numbered = |ends: BTreeMap<TopicPartition, i64>| -> BTreeMap<i32, i64> {
            ends.into_iter().map(|(partition, end)| (partition.partition, end)).collect()
        };
        let ends = numbered(self.admin.list_offsets(partitions, OffsetSpec::Latest).await?);
        if !self.committed_only {
            return Ok(ends);
        }
        loop {
            let committed = numbered(self.admin.list_offsets(partitions, OffsetSpec::LatestCommitted).await?);
            if reached(&committed, &ends) {
                return Ok(ends);
            }
            tokio::time::sleep(OPEN_TRANSACTION_PAUSE).await;
        }
    }

    /// Appends a record (partition by key) and waits until it is durable. A value of `None` is a tombstone.
    pub async fn append(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Position> {
        self.producer.produce(Message::new(&self.shared.topic, key, value)).await
    }

    /// Appends several records, all in flight at once; ends when all have an outcome, with the first error.
    pub async fn append_all(&self, records: &[(Option<Bytes>, Option<Bytes>)]) -> Result<()> {
        self.append_each(records).await.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// Appends several records, all in flight at once; ends when all have an outcome, and tells that of each.
    pub async fn append_each(&self, records: &[(Option<Bytes>, Option<Bytes>)]) -> Vec<Result<Position>> {
        let (sink, done) = Batch::new(records.len());
        let erased: Arc<dyn AckSink> = sink;
        for (token, (key, value)) in (0_u64..).zip(records) {
            let message = Message::new(&self.shared.topic, key.as_deref(), value.as_deref());
            loop {
                match self.producer.send(message, token, &erased) {
                    Ok(()) => break,
                    Err(SendError::QueueFull) => self.producer.room().await,
                    Err(SendError::Refused(error)) => {
                        erased.delivered(token, Err(error));
                        break;
                    }
                }
            }
        }
        let closed = || Error::new(ErrorKind::Fatal, "the producer was closed");
        let outcomes = done.await.unwrap_or_else(|_| records.iter().map(|_| None).collect());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(closed()))).collect()
    }

    /// What the connections for requests about the topic carry.
    pub fn admin_stats(&self) -> &Arc<ClientStats> {
        self.admin.stats()
    }

    /// What the reader's connections carry.
    pub fn stats(&self) -> &Arc<ClientStats> {
        &self.stats
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// The number of partitions.
    pub fn partitions(&self) -> usize {
        self.shared.positions.lock().len()
    }

    /// Stops reading and ends the thread.
    pub async fn close(mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Joining waits for the current poll; a panic in the sink has been reported by the runtime already.
            let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for TopicLog {
    fn drop(&mut self) {
        // The thread ends by itself within a poll.
        self.shared.stopping.store(true, Ordering::Release);
    }
}

/// The partitions of a topic that was just created, perhaps: the brokers hear of it one after the other.
async fn existing_partitions(admin: &Admin, topic: &str) -> Result<Vec<i32>> {
    loop {
        let described = admin.describe_topics(&[topic]).await?;
        if let Some(description) = described.get(topic)
            && !description.leaders.is_empty()
            && description.leaders.values().all(|leader| *leader >= 0)
        {
            return Ok(description.leaders.keys().copied().collect());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Shared {
    /// `None` when these ends are reached already.
    fn wait_for(&self, ends: BTreeMap<i32, i64>) -> Option<oneshot::Receiver<Result<()>>> {
        // Both locks, in the order the reader takes them, so that it cannot pass the ends unseen.
        let mut waiters = self.waiters.lock();
        if reached(&self.positions.lock(), &ends) {
            return None;
        }
        let (done, receiver) = oneshot::channel();
        waiters.push(Waiter { ends, done });
        Some(receiver)
    }
}

fn reached(positions: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> bool {
    ends.iter().all(|(partition, end)| positions.get(partition).is_some_and(|position| position >= end))
}

/// What is known about the tail of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tail {
    /// Records came, or nothing yet.
    #[default]
    Reading,
    /// The end was seen at some time, perhaps before the waiter came.
    EndSeen,
    /// Asked again for the end: the next sign of it is no older than the waiter.
    Verifying,
}

struct Reader<S> {
    consumer: BaseConsumer<LogContext>,
    shared: Arc<Shared>,
    states: BTreeMap<i32, Tail>,
    sink: S,
}

impl<S: LogSink> Reader<S> {
    fn run(mut self) {
        while !self.shared.stopping.load(Ordering::Acquire) {
            match self.poll() {
                Polled::Record(record) => self.hand_out(record),
                Polled::End(partition) => self.end_of(partition),
                Polled::Nothing => self.verify_tails(),
                Polled::Failed(error) => self.failed(error),
            }
        }
        self.shared.waiters.lock().clear();
    }

    fn poll(&self) -> Polled {
        match self.consumer.poll(POLL_WAIT) {
            None => Polled::Nothing,
            Some(Ok(message)) => Polled::Record(LogRecord {
                partition: message.partition(),
                offset: message.offset(),
                timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                key: message.key().map(Bytes::copy_from_slice),
                value: message.payload().map(Bytes::copy_from_slice),
            }),
            Some(Err(KafkaError::PartitionEOF(partition))) => Polled::End(partition),
            Some(Err(error)) => Polled::Failed(error),
        }
    }

    fn hand_out(&mut self, record: LogRecord) {
        let (partition, next) = (record.partition, record.offset + 1);
        self.sink.record(record);
        self.states.insert(partition, Tail::Reading);
        self.advance(partition, next);
    }

    fn advance(&self, partition: i32, next: i64) {
        let mut waiters = self.shared.waiters.lock();
        let mut positions = self.shared.positions.lock();
        positions.insert(partition, next);
        let waiting = std::mem::take(&mut *waiters);
        for waiter in waiting {
            if reached(&positions, &waiter.ends) {
                // Nobody may wait any more.
                let _gone = waiter.done.send(Ok(()));
            } else {
                waiters.push(waiter);
            }
        }
    }

    /// The reader stands at the end of a partition. When that is known to be no older than the waiters, what they wait for are
    /// offsets without records (transaction markers, compacted or aborted records): they are reached.
    fn end_of(&mut self, partition: i32) {
        let was = self.states.insert(partition, Tail::EndSeen).unwrap_or_default();
        if was != Tail::Verifying {
            return;
        }
        let end = self.shared.waiters.lock().iter().filter_map(|waiter| waiter.ends.get(&partition).copied()).max();
        let position = self.shared.positions.lock().get(&partition).copied().unwrap_or_default();
        if let Some(end) = end
            && end > position
        {
            self.advance(partition, end);
        }
    }

    /// Nothing came for a while: partitions that stand at an end seen before a waiter came are asked for their end again.
    fn verify_tails(&mut self) {
        let behind: Vec<(i32, i64)> = {
            let waiters = self.shared.waiters.lock();
            let positions = self.shared.positions.lock();
            let missing = |partition: i32, position: i64| {
                waiters.iter().any(|waiter| waiter.ends.get(&partition).is_some_and(|end| *end > position))
            };
            let pairs = positions.iter().map(|(partition, position)| (*partition, *position));
            pairs.filter(|(partition, position)| missing(*partition, *position)).collect()
        };
        for (partition, position) in behind {
            let state = self.states.entry(partition).or_default();
            if *state == Tail::EndSeen
                && self
                    .consumer
                    .seek(&self.shared.topic, partition, Offset::Offset(position), Duration::from_secs(1))
                    .is_ok()
            {
                *state = Tail::Verifying;
            }
        }
    }

    /// librdkafka gets over most errors by itself; those it does not are told to whoever waits.
    fn failed(&self, error: KafkaError) {
        let topic = &self.shared.topic;
        let error = context::error("read", error).context(format_args!("topic {topic}"));
        match error.kind() {
            ErrorKind::Authorization | ErrorKind::Authentication | ErrorKind::NotFound | ErrorKind::Fatal => {
                tracing::warn!(topic, "{error}");
                for waiter in self.shared.waiters.lock().drain(..) {
                    let _gone = waiter.done.send(Err(Error::new(error.kind(), error.to_string())));
                }
            }
            _ => tracing::debug!(topic, "{error}"),
        }
    }
}

enum Polled {
    Record(LogRecord),
    End(i32),
    Nothing,
    Failed(KafkaError),
}

/// What became of each record of a batch, by its token.
type Outcomes = Vec<Option<Result<Position>>>;

/// Collects the outcomes of a batch.
struct Batch(Mutex<BatchState>);

struct BatchState {
    left: usize,
    outcomes: Outcomes,
    done: Option<oneshot::Sender<Outcomes>>,
}

impl Batch {
    fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<Outcomes>) {
        let (done, receiver) = oneshot::channel();
        let outcomes = (0..records).map(|_| None).collect();
        let mut state = BatchState { left: records, outcomes, done: Some(done) };
        state.settle();
        (Arc::new(Self(Mutex::new(state))), receiver)
    }
}

impl BatchState {
    fn settle(&mut self) {
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            let _gone = done.send(std::mem::take(&mut self.outcomes));
        }
    }
}

impl AckSink for Batch {
    fn delivered(&self, token: u64, outcome: Result<Position>) {
        let mut state = self.0.lock();
        state.left = state.left.saturating_sub(1);
        if let Some(slot) = usize::try_from(token).ok().and_then(|at| state.outcomes.get_mut(at)) {
            *slot = Some(outcome);
        }
        state.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(positions: &[(i32, i64)]) -> Shared {
        Shared {
            topic: "t".to_owned(),
            positions: Mutex::new(positions.iter().copied().collect()),
            waiters: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    #[test]
    fn ends_that_are_reached_need_no_wait() {
        let shared = shared(&[(0, 5), (1, 0)]);
        assert!(shared.wait_for([(0, 5), (1, 0)].into_iter().collect()).is_none());
        assert!(shared.wait_for([(0, 6)].into_iter().collect()).is_some());
        assert!(shared.wait_for([(2, 0)].into_iter().collect()).is_some());
    }

    #[tokio::test]
    async fn a_batch_ends_when_all_have_an_outcome_and_tells_that_of_each() {
        let (batch, mut done) = Batch::new(3);
        batch.delivered(2, Err(Error::new(ErrorKind::Timeout, "late")));
        batch.delivered(0, Ok(Position { partition: 0, offset: 1 }));
        assert!(done.try_recv().is_err());
        batch.delivered(1, Err(Error::new(ErrorKind::TooLarge, "large")));
        let said = done.await.unwrap().into_iter().map(|outcome| outcome.unwrap().err().map(|error| error.to_string()));
        assert_eq!(said.collect::<Vec<_>>(), [None, Some("large".to_owned()), Some("late".to_owned())]);
        let (_batch, done) = Batch::new(0);
        assert!(done.await.unwrap().is_empty());
    }
}
