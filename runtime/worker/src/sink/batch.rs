//! What a sink task has read and not put yet.

use connect_api::SinkRecord;
use connect_kafka as kafka;

use crate::io::ConsumerRecord;

/// Records that were read and not put yet.
#[derive(Default)]
pub(super) struct Batch {
    /// As consumed; those that are skipped have no place in `records`.
    pub(super) raw: Vec<ConsumerRecord>,
    pub(super) records: Vec<SinkRecord>,
    /// For each of `records`, its place in `raw`.
    pub(super) places: Vec<usize>,
}

impl Batch {
    /// Adds what was read later.
    pub(super) fn append(&mut self, later: Batch) {
        let base = self.raw.len();
        self.raw.extend(later.raw);
        self.records.extend(later.records);
        self.places.extend(later.places.into_iter().map(|place| base + place));
    }

    /// Leaves out the records of partitions that were taken away.
    pub(super) fn remove(&mut self, partitions: &[kafka::TopicPartition]) {
        let gone =
            |raw: &ConsumerRecord| partitions.iter().any(|p| p.partition == raw.partition && *p.topic == *raw.topic);
        let mut records = std::mem::take(&mut self.records).into_iter();
        let mut places = std::mem::take(&mut self.places).into_iter().peekable();
        for (place, raw) in std::mem::take(&mut self.raw).into_iter().enumerate() {
            let record = places.next_if_eq(&place).and_then(|_| records.next());
            if gone(&raw) {
                continue;
            }
            if let Some(record) = record {
                self.places.push(self.raw.len());
                self.records.push(record);
            }
            self.raw.push(raw);
        }
    }
}
