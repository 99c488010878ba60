//! Collects borrowed messages into one allocation and hands them out as owned records.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};

use super::{ConsumerRecord, TimestampType};

/// Bytes of keys and values after which a batch is handed over.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Topic names remembered; a consumer of more simply shares less.
const NAMES_MAX: usize = 10_000;

struct Entry {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    timestamp_type: TimestampType,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Arc<str>, Option<Range<usize>>)>,
}

/// A batch that is being filled. Keys and values share one allocation, which lives as long as any of them.
pub(super) struct Batch {
    arena: BytesMut,
    entries: Vec<Entry>,
    names: HashMap<String, Arc<str>>,
    records_max: usize,
}

impl Batch {
    pub(super) fn new(records_max: usize) -> Self {
        Self { arena: BytesMut::new(), entries: Vec::new(), names: HashMap::new(), records_max }
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.records_max || self.arena.len() >= BATCH_BYTES_MAX
    }

    pub(super) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let (timestamp_ms, timestamp_type) = match message.timestamp() {
            Timestamp::NotAvailable => (-1, TimestampType::NoTimestamp),
            Timestamp::CreateTime(millis) => (millis, TimestampType::CreateTime),
            Timestamp::LogAppendTime(millis) => (millis, TimestampType::LogAppendTime),
        };
        let topic = self.name(message.topic());
        let key = message.key().map(|bytes| self.copy(bytes));
        let value = message.payload().map(|bytes| self.copy(bytes));
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (Arc::from(header.key), header.value.map(|bytes| self.copy(bytes)))).collect()
        });
        self.entries.push(Entry {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms,
            timestamp_type,
            key,
            value,
            headers,
        });
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }

    fn name(&mut self, topic: &str) -> Arc<str> {
        if let Some(name) = self.names.get(topic) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(topic);
        if self.names.len() < NAMES_MAX {
            self.names.insert(topic.to_owned(), Arc::clone(&name));
        }
        name
    }

    /// What was collected; empty afterwards. `None` when there is nothing.
    pub(super) fn take(&mut self) -> Option<Vec<ConsumerRecord>> {
        if self.entries.is_empty() {
            return None;
        }
        let arena = self.arena.split().freeze();
        let slice = |range: Option<Range<usize>>| -> Option<Bytes> { range.map(|range| arena.slice(range)) };
        let entries = std::mem::take(&mut self.entries);
        let records = entries.into_iter().map(|entry| ConsumerRecord {
            topic: entry.topic,
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            timestamp_type: entry.timestamp_type,
            key: slice(entry.key),
            value: slice(entry.value),
            headers: entry.headers.into_iter().map(|(name, range)| (name, slice(range))).collect(),
        });
        Some(records.collect())
    }
}
