//! Collects borrowed messages into one allocation and hands them out as owned records.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, Timestamp};

use super::{ConsumerRecord, TimestampType};

/// Bytes of keys and values after which a batch is handed over.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Allocations of earlier batches that are looked at for one that nobody uses any more: those of the batches between the thread
/// and the owner, those that he works on and reads ahead, and the one that is being filled.
const ARENAS_KEPT: usize = super::reader::SIGNALS_MAX + 3;
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
///
/// Fresh memory costs a page fault for every four kilobytes, which is more than to copy them: what the owner is done with is used
/// again.
pub(super) struct Batch {
    arena: BytesMut,
    /// Of earlier batches, the oldest first.
    arenas: VecDeque<Bytes>,
    entries: Vec<Entry>,
    names: HashMap<String, Arc<str>>,
    records_max: usize,
}

impl Batch {
    pub(super) fn new(records_max: usize) -> Self {
        Self {
            arena: BytesMut::new(),
            arenas: VecDeque::new(),
            entries: Vec::new(),
            names: HashMap::new(),
            records_max,
        }
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
            let named = |(place, header): (usize, Header<'_, &[u8]>)| {
                (self.header_name(place, header.key), header.value.map(|bytes| self.copy(bytes)))
            };
            headers.iter().enumerate().map(named).collect()
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

    /// Mostly that of the record before.
    fn header_name(&self, place: usize, name: &str) -> Arc<str> {
        match self.entries.last().and_then(|entry| entry.headers.get(place)) {
            Some((before, _)) if **before == *name => Arc::clone(before),
            _ => Arc::from(name),
        }
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
        let arena = std::mem::take(&mut self.arena).freeze();
        let slice = |range: Option<Range<usize>>| -> Option<Bytes> { range.map(|range| arena.slice(range)) };
        let records = self.entries.drain(..).map(|entry| ConsumerRecord {
            topic: entry.topic,
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            timestamp_type: entry.timestamp_type,
            key: slice(entry.key),
            value: slice(entry.value),
            headers: entry.headers.into_iter().map(|(name, range)| (name, slice(range))).collect(),
        });
        let records = records.collect();
        self.keep(arena);
        Some(records)
    }

    /// Keeps an allocation for later, and begins the next batch in the oldest one, unless somebody still holds a part of it.
    fn keep(&mut self, arena: Bytes) {
        if arena.len() <= 2 * BATCH_BYTES_MAX {
            self.arenas.push_back(arena);
        }
        if self.arenas.len() < ARENAS_KEPT {
            return;
        }
        if let Some(Ok(mut free)) = self.arenas.pop_front().map(Bytes::try_into_mut) {
            free.clear();
            self.arena = free;
        }
    }

    /// Gives back what is kept: nothing comes for the time being.
    pub(super) fn rest(&mut self) {
        self.arenas.clear();
        if self.entries.is_empty() {
            self.arena = BytesMut::new();
            self.entries = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(batch: &mut Batch, text: &[u8]) -> Vec<ConsumerRecord> {
        let value = Some(batch.copy(text));
        let topic = batch.name("t");
        let timestamp_type = TimestampType::NoTimestamp;
        batch.entries.push(Entry {
            topic,
            partition: 0,
            offset: 0,
            timestamp_ms: -1,
            timestamp_type,
            key: None,
            value,
            headers: Vec::new(),
        });
        batch.take().expect("a record")
    }

    fn value(records: &[ConsumerRecord]) -> &Bytes {
        records[0].value.as_ref().expect("a value")
    }

    #[test]
    fn memory_is_used_again_once_nobody_holds_a_part_of_it() {
        let mut batch = Batch::new(10);
        let text = vec![b'a'; 100_000];
        let first = filled(&mut batch, &text);
        let place = value(&first).as_ptr();
        drop(first);
        let held: Vec<_> = (1..ARENAS_KEPT).map(|_| filled(&mut batch, &text)).collect();
        let again = filled(&mut batch, b"b");
        assert_eq!(value(&again).as_ptr(), place);
        // What is held stays what it is, however much comes after it.
        for _ in 0..3 * ARENAS_KEPT {
            let _ = filled(&mut batch, &vec![b'c'; 100_000]);
        }
        assert!(held.iter().all(|records| value(records) == &text));
        batch.rest();
        assert!(batch.arenas.is_empty() && batch.arena.capacity() == 0);
    }
}
