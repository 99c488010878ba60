//! Kafka in memory, for tests: a broker with topics, an offset log, producers and consumers.
//!
//! Behaviour is that of the real clients as far as the data plane can tell: acknowledgements come later and in the order the
//! test asks for, a consumer is told of its assignment first, and a log that crashed loses what was not durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::{Error, ErrorKind, Result};
use connect_kafka as kafka;
use connect_kafka::consumer::TimestampType;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::io::{
    AckSink, Consume, ConsumerEvent, ConsumerRecord, Message, NewTopic, OffsetLog, Position, Produce, SendError, Topics,
};
use crate::memory_transactions::Epochs;
use crate::offsets::OffsetTable;

/// A record that waits for its acknowledgement: where it goes, its token, and who wants to know.
type Unacknowledged = (Stored, u64, Arc<dyn AckSink>);

/// A record as a broker holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

impl Stored {
    /// What a broker makes of a message.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        Self {
            topic: message.topic.to_owned(),
            key: message.key.map(<[u8]>::to_vec),
            value: message.value.map(<[u8]>::to_vec),
            headers: message.headers.iter().map(|(k, v)| ((*k).to_owned(), v.map(<[u8]>::to_vec))).collect(),
            timestamp_ms: message.timestamp_ms,
        }
    }
}

#[derive(Default)]
struct State {
    records: Vec<Stored>,
    pending: VecDeque<Unacknowledged>,
    created: Vec<(String, i32)>,
    groups: BTreeMap<String, BTreeMap<kafka::TopicPartition, i64>>,
    /// Acknowledgements are held until the test gives them.
    holding: bool,
    /// The most records that may be pending.
    room: usize,
    /// Records to this topic are never written.
    broken: Option<String>,
}

/// A broker of topics with one partition each.
#[derive(Clone)]
pub struct MemoryBroker {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    epochs: Epochs,
}

impl Default for MemoryBroker {
    fn default() -> Self {
        let state = State { room: 100_000, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(Notify::new()), epochs: Epochs::default() }
    }
}

impl MemoryBroker {
    /// An empty broker that acknowledges at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// A producer.
    pub fn producer(&self) -> Arc<dyn Produce> {
        Arc::new(self.clone())
    }

    /// An admin client.
    pub fn topics(&self) -> Arc<dyn Topics> {
        Arc::new(self.clone())
    }

    /// Holds acknowledgements back from now on, with room for so many records.
    pub fn hold(&self, room: usize) {
        let mut state = self.state.lock();
        state.holding = true;
        state.room = room;
    }

    /// Acknowledges the oldest `n` records that wait.
    pub fn acknowledge(&self, n: usize) {
        let ready: Vec<Unacknowledged> = {
            let mut state = self.state.lock();
            let n = n.min(state.pending.len());
            let ready: Vec<_> = state.pending.drain(..n).collect();
            state.records.extend(ready.iter().map(|(record, ..)| record.clone()));
            ready
        };
        for (_, token, sink) in ready {
            sink.delivered(token, Ok(Position { partition: 0, offset: 0 }));
        }
        self.changed.notify_waiters();
    }

    /// The epochs of transactional ids.
    pub(crate) fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Takes the records of a transaction, all or none.
    pub(crate) fn store(&self, records: Vec<Stored>) -> Result<()> {
        let mut state = self.state.lock();
        if records.iter().any(|record| state.broken.as_deref() == Some(&record.topic)) {
            return Err(Error::new(ErrorKind::Data, "the topic is broken"));
        }
        state.records.extend(records);
        Ok(())
    }

    /// Loses what was not acknowledged, as a crash of the sender does.
    pub fn crash(&self) {
        self.state.lock().pending.clear();
    }

    /// The number of records that wait for their acknowledgement.
    pub fn pending(&self) -> usize {
        self.state.lock().pending.len()
    }

    /// Refuses to write to a topic.
    pub fn break_topic(&self, topic: &str) {
        self.state.lock().broken = Some(topic.to_owned());
    }

    /// Everything durable in a topic.
    pub fn records(&self, topic: &str) -> Vec<Stored> {
        self.state.lock().records.iter().filter(|record| record.topic == topic).cloned().collect()
    }

    /// The topics that were created, with their number of partitions.
    pub fn created(&self) -> Vec<(String, i32)> {
        self.state.lock().created.clone()
    }

    /// The committed offsets of a group.
    pub fn committed(&self, group: &str) -> BTreeMap<kafka::TopicPartition, i64> {
        self.state.lock().groups.get(group).cloned().unwrap_or_default()
    }

    /// A consumer of a group that reads one topic from what the group committed.
    pub fn consumer(&self, group: &str, topic: &str) -> MemoryConsumer {
        MemoryConsumer {
            broker: self.clone(),
            group: group.to_owned(),
            partition: kafka::TopicPartition::new(topic, 0),
            position: None,
            paused: false,
            events: VecDeque::new(),
            batch: 500,
            sought: Arc::default(),
            polls: Arc::default(),
        }
    }
}

#[async_trait]
impl Produce for MemoryBroker {
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        let stored = Stored::of(&message);
        let outcome = {
            let mut state = self.state.lock();
            if state.pending.len() >= state.room {
                return Err(SendError::QueueFull);
            }
            if state.broken.as_deref() == Some(message.topic) {
                Err(kafka::Error::new(kafka::ErrorKind::TooLarge, "the topic is broken"))
            } else if state.holding {
                state.pending.push_back((stored, token, Arc::clone(sink)));
                return Ok(());
            } else {
                state.records.push(stored);
                Ok(Position { partition: 0, offset: state.records.len() as i64 - 1 })
            }
        };
        sink.delivered(token, outcome);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn room(&self) {
        let _elapsed = tokio::time::timeout(Duration::from_millis(5), self.changed.notified()).await;
    }
}

#[async_trait]
impl Topics for MemoryBroker {
    async fn exists(&self, topic: &str) -> Result<bool> {
        Ok(self.state.lock().created.iter().any(|(name, _)| name == topic))
    }

    async fn create(&self, topic: NewTopic) -> Result<()> {
        self.state.lock().created.push((topic.name, topic.partitions));
        Ok(())
    }

    async fn group_offsets(&self, group: &str) -> Result<BTreeMap<kafka::TopicPartition, i64>> {
        Ok(self.committed(group))
    }

    async fn alter_group_offsets(&self, group: &str, offsets: &BTreeMap<kafka::TopicPartition, i64>) -> Result<()> {
        self.state.lock().groups.entry(group.to_owned()).or_default().extend(offsets.clone());
        Ok(())
    }

    async fn delete_group_offsets(&self, group: &str, partitions: &[kafka::TopicPartition]) -> Result<()> {
        if let Some(offsets) = self.state.lock().groups.get_mut(group) {
            offsets.retain(|partition, _| !partitions.contains(partition));
        }
        Ok(())
    }

    async fn delete_group(&self, group: &str) -> Result<()> {
        match self.state.lock().groups.remove(group) {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::NotFound, format!("unknown group {group}"))),
        }
    }

    async fn end_offsets(&self, partitions: &[kafka::TopicPartition]) -> Result<BTreeMap<kafka::TopicPartition, i64>> {
        Ok(partitions.iter().map(|p| (p.clone(), self.records(&p.topic).len() as i64)).collect())
    }

    async fn names(&self) -> Result<Vec<String>> {
        Ok(self.state.lock().created.iter().map(|(name, _)| name.clone()).collect())
    }

    async fn partitions(&self, topics: &[String]) -> Result<Vec<kafka::TopicPartition>> {
        Ok(topics.iter().map(|name| kafka::TopicPartition::new(name.as_str(), 0)).collect())
    }
}

/// A consumer of one topic with one partition.
pub struct MemoryConsumer {
    broker: MemoryBroker,
    group: String,
    partition: kafka::TopicPartition,
    position: Option<usize>,
    paused: bool,
    /// Given before records are read.
    pub events: VecDeque<ConsumerEvent>,
    /// Records of one poll.
    pub batch: usize,
    sought: Arc<Mutex<Vec<(kafka::TopicPartition, i64)>>>,
    polls: Arc<AtomicUsize>,
}

impl MemoryConsumer {
    /// Counts the polls.
    pub fn polls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.polls)
    }

    /// The seeks that were made.
    pub fn sought(&self) -> Arc<Mutex<Vec<(kafka::TopicPartition, i64)>>> {
        Arc::clone(&self.sought)
    }

    fn read(&mut self) -> Option<ConsumerEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let Some(position) = self.position else {
            let committed = self.broker.committed(&self.group).get(&self.partition).copied();
            self.position = Some(committed.map_or(0, |offset| usize::try_from(offset).unwrap_or(0)));
            return Some(ConsumerEvent::Assigned(vec![self.partition.clone()]));
        };
        if self.paused {
            return None;
        }
        let stored = self.broker.records(&self.partition.topic);
        let records: Vec<ConsumerRecord> =
            stored.iter().enumerate().skip(position).take(self.batch).map(|(at, r)| self.consumed(at, r)).collect();
        self.position = Some(position + records.len());
        (!records.is_empty()).then_some(ConsumerEvent::Records(records))
    }

    fn consumed(&self, at: usize, stored: &Stored) -> ConsumerRecord {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
        ConsumerRecord {
            topic: Arc::clone(&self.partition.topic),
            partition: 0,
            offset: at as i64,
            timestamp_ms: stored.timestamp_ms.unwrap_or(-1),
            timestamp_type: stored.timestamp_ms.map_or(TimestampType::NoTimestamp, |_| TimestampType::CreateTime),
            key: bytes(&stored.key),
            value: bytes(&stored.value),
            headers: stored.headers.iter().map(|(k, v)| (Arc::from(k.as_str()), bytes(v))).collect(),
        }
    }
}

#[async_trait]
impl Consume for MemoryConsumer {
    async fn poll(&mut self, wait: Duration) -> Option<ConsumerEvent> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if let Some(event) = self.read() {
            return Some(event);
        }
        let _elapsed = tokio::time::timeout(wait.min(Duration::from_millis(5)), self.broker.changed.notified()).await;
        self.read()
    }

    fn pause(&mut self, _partitions: &[kafka::TopicPartition]) -> Result<()> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self, _partitions: &[kafka::TopicPartition]) -> Result<()> {
        self.paused = false;
        Ok(())
    }

    async fn seek(&mut self, partition: &kafka::TopicPartition, offset: i64) -> Result<()> {
        self.sought.lock().push((partition.clone(), offset));
        self.position = Some(usize::try_from(offset).unwrap_or(0));
        Ok(())
    }

    async fn commit(&mut self, offsets: Vec<(kafka::TopicPartition, i64)>) -> Result<()> {
        self.broker.state.lock().groups.entry(self.group.clone()).or_default().extend(offsets);
        Ok(())
    }

    async fn starts(&mut self, partitions: &[kafka::TopicPartition]) -> Result<Vec<(kafka::TopicPartition, i64)>> {
        let committed = self.broker.committed(&self.group);
        Ok(partitions.iter().map(|p| (p.clone(), committed.get(p).copied().unwrap_or(0))).collect())
    }

    async fn close(self: Box<Self>, _timeout: Duration) -> Result<()> {
        Ok(())
    }
}

/// A record of the offset log.
type LogEntry = (Option<Bytes>, Option<Bytes>);

/// An offset log that a test can make fail and crash.
#[derive(Clone)]
pub struct MemoryLog {
    durable: Arc<Mutex<Vec<LogEntry>>>,
    table: OffsetTable,
    failing: Arc<Mutex<bool>>,
    hanging: Arc<AtomicBool>,
}

impl MemoryLog {
    /// An empty log that feeds a table.
    pub fn new(table: OffsetTable) -> Self {
        Self { durable: Arc::default(), table, failing: Arc::default(), hanging: Arc::default() }
    }

    /// What is left after a crash: everything durable, read into a fresh table.
    pub fn reopen(&self) -> (Self, OffsetTable) {
        let table = OffsetTable::default();
        for (key, value) in self.durable.lock().iter() {
            table.apply(key.as_deref(), value.as_deref());
        }
        let durable = Arc::clone(&self.durable);
        (Self { durable, table: table.clone(), failing: Arc::default(), hanging: Arc::default() }, table)
    }

    /// Makes writes fail from now on, or succeed again.
    pub fn set_failing(&self, failing: bool) {
        *self.failing.lock() = failing;
    }

    /// Writes do not end from now on.
    pub fn hang(&self) {
        self.hanging.store(true, Ordering::Relaxed);
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.durable.lock().len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl OffsetLog for MemoryLog {
    async fn append_all(&self, records: &[LogEntry]) -> Result<()> {
        if self.hanging.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if *self.failing.lock() {
            return Err(Error::new(ErrorKind::Unavailable, "the log is away"));
        }
        for (key, value) in records {
            self.durable.lock().push((key.clone(), value.clone()));
            self.table.apply(key.as_deref(), value.as_deref());
        }
        Ok(())
    }

    async fn read_to_end(&self) -> Result<()> {
        Ok(())
    }
}
