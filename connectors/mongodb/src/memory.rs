//! What is remembered of records that were given back, so that nothing acknowledged is written twice and ids stay as they were
//! made.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::{Origin, Rejected, SinkRecord, TopicPartition};

use crate::batch::Batches;
use crate::doc::Writer;

/// Where a record stands in Kafka. Transforms change other topics and partitions than these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
}

impl Place {
    fn of(record: &SinkRecord) -> Self {
        match &record.record.origin {
            Origin::Sink(origin) => Self {
                topic: Arc::clone(&origin.original_topic),
                partition: origin.original_partition,
                offset: origin.original_offset,
            },
            Origin::Source => Self {
                topic: Arc::clone(&record.record.topic),
                partition: record.record.partition.unwrap_or(0),
                offset: 0,
            },
        }
    }

    fn is_of(&self, partition: &TopicPartition) -> bool {
        self.partition == partition.partition && self.topic == partition.topic
    }
}

/// Records on their way: their statements, and what was rejected of them.
#[derive(Debug, Default)]
pub struct Work {
    /// The statements' bytes.
    pub buffer: Writer,
    /// What is not written yet, in order.
    pub batches: Batches,
    /// By place in what the worker gave last.
    pub rejected: Vec<Rejected>,
}

/// Work that was given back.
#[derive(Debug)]
pub struct Memory {
    /// Where its records stood; nothing for those of partitions that were taken away.
    places: Vec<Option<Place>>,
    work: Work,
}

impl Memory {
    /// Remembers how far these records are.
    pub fn new(work: Work, records: &[SinkRecord]) -> Self {
        Self { places: records.iter().map(|record| Some(Place::of(record))).collect(), work }
    }

    /// Forgets the records of partitions that were taken away: whoever has them now may go on with them.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for place in &mut self.places {
            if place.as_ref().is_some_and(|place| partitions.iter().any(|partition| place.is_of(partition))) {
                *place = None;
            }
        }
    }

    /// Goes on with records that were given again, some of which may be gone and others new behind them. Gives the work, and
    /// from where on records are new. Records in another order are all new.
    pub fn resume(self, records: &[SinkRecord]) -> (Work, usize) {
        let Self { places, mut work } = self;
        let now: HashMap<Place, usize> =
            records.iter().enumerate().map(|(index, record)| (Place::of(record), index)).collect();
        let moved: Vec<Option<usize>> =
            places.iter().map(|place| place.as_ref().and_then(|place| now.get(place).copied())).collect();
        let known = moved.iter().flatten().count();
        let in_order = moved.iter().flatten().is_sorted() && moved.iter().flatten().all(|index| *index < known);
        if !in_order || now.len() < records.len() {
            work.buffer.truncate(0);
            return (Work { buffer: work.buffer, ..Work::default() }, 0);
        }
        let moved = |index: usize| moved.get(index).copied().flatten();
        for batch in &mut work.batches.batches {
            batch.move_records(moved);
        }
        work.batches.batches.retain(|batch| batch.open() > 0);
        work.rejected.retain_mut(|rejected| match moved(rejected.index) {
            Some(index) => {
                rejected.index = index;
                true
            }
            None => false,
        });
        (work, known)
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Error;
    use serde_json::json;

    use super::*;
    use crate::batch::Sent;
    use crate::namespace::Namespace;
    use crate::record_tests::record;
    use crate::statement::{Kind, Statement};

    /// Records at these places; the partition is 1.
    fn records(places: &[(&str, i64)]) -> Vec<SinkRecord> {
        let place = |(topic, offset): &(&str, i64)| {
            let mut record = record(json!(null), json!({"_id": offset}));
            if let Origin::Sink(origin) = &mut record.record.origin {
                (origin.original_topic, origin.original_offset) = (Arc::from(*topic), *offset);
            }
            record
        };
        places.iter().map(place).collect()
    }

    /// Work with a statement for each record, the first of which is written.
    fn work(count: usize) -> Work {
        let mut work = Work::default();
        let namespace = Arc::new(Namespace::new("db", "a").unwrap());
        for index in 0..count {
            work.batches.push(0, 0, namespace.clone(), Statement::new(Kind::Insert), index, index..index + 1);
        }
        work.batches.batches[0].ops[0].sent = Sent::Written;
        work
    }

    /// Records of what is open, and the bytes of the statements.
    fn open(work: &Work) -> Vec<(usize, usize)> {
        let ops = work.batches.batches.iter().flat_map(|batch| &batch.ops);
        ops.filter(|op| op.open()).map(|op| (op.record, op.bytes.start)).collect()
    }

    #[test]
    fn the_same_records_go_on_where_they_were() {
        let given = records(&[("a", 1), ("b", 1), ("a", 2)]);
        let mut work = work(3);
        work.rejected.push(Rejected { index: 2, error: Error::data("bad") });
        let (resumed, fresh) = Memory::new(work, &given).resume(&given);
        assert_eq!((open(&resumed), fresh), (vec![(1, 1), (2, 2)], 3));
        assert_eq!(resumed.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn records_behind_are_new_and_those_of_partitions_that_are_gone_are_left_out() {
        let given = records(&[("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
        let mut work = work(4);
        work.rejected.push(Rejected { index: 1, error: Error::data("bad") });
        let again = records(&[("a", 1), ("a", 2), ("a", 3)]);
        let (resumed, fresh) = Memory::new(work, &given).resume(&again);
        assert_eq!((open(&resumed), fresh), (vec![(1, 2)], 2));
        assert!(resumed.rejected.is_empty());
    }

    #[test]
    fn records_that_come_back_with_their_partition_are_new() {
        let given = records(&[("a", 1), ("b", 1)]);
        let mut memory = Memory::new(work(2), &given);
        memory.forget(&[TopicPartition { topic: Arc::from("a"), partition: 1 }]);
        memory.forget(&[TopicPartition { topic: Arc::from("b"), partition: 0 }]);
        let (resumed, fresh) = memory.resume(&records(&[("b", 1), ("a", 1)]));
        assert_eq!((open(&resumed), fresh), (vec![(0, 1)], 1));
    }

    #[test]
    fn records_in_another_order_are_all_new() {
        let given = records(&[("a", 1), ("a", 2)]);
        for again in [&[("a", 0), ("a", 1), ("a", 2)][..], &[("a", 2), ("a", 1)], &[("c", 1)], &[("a", 1), ("a", 1)]] {
            let (resumed, fresh) = Memory::new(work(2), &given).resume(&records(again));
            assert_eq!((open(&resumed), fresh), (Vec::new(), 0), "{again:?}");
        }
    }
}
