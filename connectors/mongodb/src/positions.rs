//! How far the records of each partition are written, as MongoDB has it (`exactly.once.positions.collection`).
//!
//! A position stands in the same database as the documents, so that both can change together. Records before it are written
//! and not written again, whatever Kafka says the group has committed. A record that was refused has been passed too, but its
//! report may not have reached anybody: it is kept beside the position until the worker has stored everything that was
//! reported, and reported again when its record comes back.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use connect_api::{Error, ErrorKind, Origin, Rejected, SinkRecord, TopicPartition};

/// What to do where stored positions are not to be followed.
pub const RESET: &str =
    "reset the connector's offsets (stop it, DELETE /connectors/<name>/offsets), which drops the stored positions, too";
/// The longest text of an error that is kept.
const MAX_MESSAGE: usize = 2_000;

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub class: String,
    pub message: String,
    /// The worker was told, and stores it before it next asks for a flush.
    pub reported: bool,
}

impl Refusal {
    /// Of an error that a record was rejected with.
    pub fn of(error: &Error) -> Self {
        let message: String = error.message().chars().take(MAX_MESSAGE).collect();
        Self { class: error.java_class().to_owned(), message, reported: false }
    }

    /// The error once more.
    pub fn error(&self) -> Error {
        match KNOWN_CLASSES.iter().find(|known| **known == self.class) {
            Some(class) => Error::data(self.message.clone()).class(class),
            None => Error::data(format!("{}: {}", self.class, self.message)),
        }
    }
}

/// The classes that rejected records are mostly reported with: a report that is made once more has its class again.
const KNOWN_CLASSES: [&str; 6] = [
    "com.mongodb.kafka.connect.sink.dlq.WriteException",
    "com.mongodb.kafka.connect.sink.dlq.WriteSkippedException",
    "com.mongodb.kafka.connect.sink.dlq.WriteConcernException",
    "org.apache.kafka.connect.errors.DataException",
    "java.lang.IllegalArgumentException",
    "org.bson.BsonMaximumSizeExceededException",
];

/// Where a record stands in Kafka, before any transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl<'a> Place<'a> {
    /// The place of a record.
    pub fn of(record: &'a SinkRecord) -> Self {
        match &record.record.origin {
            Origin::Sink(origin) => Self {
                topic: &origin.original_topic,
                partition: origin.original_partition,
                offset: origin.original_offset,
            },
            Origin::Source => {
                Self { topic: &record.record.topic, partition: record.record.partition.unwrap_or(0), offset: 0 }
            }
        }
    }
}

/// What is stored of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The offset behind the last record that is written; `None` when nothing is stored.
    pub next: Option<i64>,
    /// The time of that record, by which a topic that was made anew is told.
    pub timestamp: Option<i64>,
    pub refused: BTreeMap<i64, Refusal>,
}

/// What is to be done with a record.
#[derive(Debug)]
pub enum Seen {
    New,
    Written,
    /// It was refused, and is to be reported again.
    Refused(Error),
    /// It is another record than the one that was written.
    Foreign(Error),
}

/// A position that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub topic: Arc<str>,
    pub partition: i32,
    pub from: Option<i64>,
    pub to: i64,
    pub timestamp: Option<i64>,
    /// Records on the way that were refused.
    pub refused: Vec<(i64, Refusal)>,
}

/// What is known of the partitions of a task.
#[derive(Debug, Default)]
pub struct Positions {
    known: HashMap<Arc<str>, BTreeMap<i32, Stored>>,
}

impl Positions {
    fn get(&self, place: Place<'_>) -> Option<&Stored> {
        self.known.get(place.topic)?.get(&place.partition)
    }

    /// The partitions of these records of which nothing is known yet.
    pub fn missing(&self, records: &[SinkRecord]) -> Vec<TopicPartition> {
        let mut missing: Vec<TopicPartition> = Vec::new();
        for place in records.iter().map(Place::of) {
            let of_place = |p: &TopicPartition| p.partition == place.partition && p.topic == *place.topic;
            if self.get(place).is_none() && !missing.iter().any(of_place) {
                missing.push(TopicPartition { topic: Arc::clone(place.topic), partition: place.partition });
            }
        }
        missing
    }

    /// This is what is stored of a partition.
    pub fn learn(&mut self, partition: &TopicPartition, stored: Stored) {
        self.known.entry(Arc::clone(&partition.topic)).or_default().insert(partition.partition, stored);
    }

    /// These partitions are another task's.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(of_topic) = self.known.get_mut(&partition.topic) {
                of_topic.remove(&partition.partition);
            }
        }
    }

    /// Nothing is known for sure.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }

    /// Whether a record is written already.
    pub fn seen(&self, record: &SinkRecord) -> Seen {
        let place = Place::of(record);
        let Some(stored) = self.get(place) else { return Seen::New };
        let Some(next) = stored.next.filter(|next| place.offset < *next) else { return Seen::New };
        if place.offset + 1 == next
            && let (Some(then), Some(now)) = (stored.timestamp, record.record.timestamp)
            && then != now
        {
            return Seen::Foreign(foreign(place));
        }
        match stored.refused.get(&place.offset) {
            Some(refusal) => Seen::Refused(refusal.error()),
            None => Seen::Written,
        }
    }

    /// How positions move when the records of a range are done with, some of them rejected.
    pub fn steps(&self, records: &[SinkRecord], range: Range<usize>, rejected: &[Rejected]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for index in range {
            let Some(record) = records.get(index) else { break };
            let place = Place::of(record);
            let from = self.get(place).and_then(|stored| stored.next);
            if from.is_some_and(|next| place.offset < next) {
                continue;
            }
            let known = steps.iter().position(|step| step.partition == place.partition && step.topic == *place.topic);
            let at = known.unwrap_or_else(|| {
                let topic = Arc::clone(place.topic);
                let partition = place.partition;
                steps.push(Step { topic, partition, from, to: 0, timestamp: None, refused: Vec::new() });
                steps.len() - 1
            });
            let step = &mut steps[at];
            step.to = place.offset + 1;
            step.timestamp = record.record.timestamp;
            if let Some(rejected) = rejected.iter().find(|rejected| rejected.index == index) {
                step.refused.push((place.offset, Refusal::of(&rejected.error)));
            }
        }
        steps
    }

    /// Positions that are stored now.
    pub fn moved(&mut self, steps: Vec<Step>) {
        for step in steps {
            let stored = self.known.entry(step.topic).or_default().entry(step.partition).or_default();
            stored.next = Some(step.to);
            stored.timestamp = step.timestamp;
            stored.refused.extend(step.refused);
        }
    }

    /// The worker has been told of these.
    pub fn reported(&mut self, records: &[SinkRecord], rejected: &[Rejected]) {
        for place in rejected.iter().filter_map(|rejected| records.get(rejected.index)).map(Place::of) {
            let of_topic = self.known.get_mut(place.topic).and_then(|of_topic| of_topic.get_mut(&place.partition));
            if let Some(refusal) = of_topic.and_then(|stored| stored.refused.get_mut(&place.offset)) {
                refusal.reported = true;
            }
        }
    }

    /// The refusals that need not be kept any longer, once the worker has stored what it was told.
    pub fn settled(&self) -> Vec<(TopicPartition, i64)> {
        let mut settled = Vec::new();
        for (topic, of_topic) in &self.known {
            for (partition, stored) in of_topic {
                let of_partition = stored.refused.iter().filter(|(_, refusal)| refusal.reported);
                settled.extend(
                    of_partition.map(|(offset, _)| {
                        (TopicPartition { topic: Arc::clone(topic), partition: *partition }, *offset)
                    }),
                );
            }
        }
        settled
    }

    /// Forgets refusals.
    pub fn settle(&mut self, settled: &[(TopicPartition, i64)]) {
        for (partition, offset) in settled {
            let of_topic = self.known.get_mut(&partition.topic);
            if let Some(stored) = of_topic.and_then(|of_topic| of_topic.get_mut(&partition.partition)) {
                stored.refused.remove(offset);
            }
        }
    }
}

fn foreign(place: Place<'_>) -> Error {
    let Place { topic, partition, offset } = place;
    Error::new(
        ErrorKind::PositionLost,
        format!(
            "record {offset} of {topic}-{partition} is not the one that the stored position stands behind: the topic was \
             made anew, and its records up to here were taken for written ones"
        ),
    )
    .hint(RESET)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record_tests::record;

    fn at(partition: i32, offset: i64) -> SinkRecord {
        let mut record = record(json!(null), json!({"_id": offset}));
        record.record.timestamp = Some(1_000 + offset);
        if let Origin::Sink(origin) = &mut record.record.origin {
            origin.original_partition = partition;
            origin.original_offset = offset;
        }
        record
    }

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: Arc::from("t"), partition }
    }

    fn stored(next: i64) -> Stored {
        Stored { next: Some(next), timestamp: Some(1_000 + next - 1), refused: BTreeMap::new() }
    }

    fn is_new(positions: &Positions, record: &SinkRecord) -> bool {
        matches!(positions.seen(record), Seen::New)
    }

    #[test]
    fn records_before_the_position_are_written() {
        let mut positions = Positions::default();
        assert_eq!(positions.missing(&[at(0, 5), at(0, 6), at(1, 0)]), [partition(0), partition(1)]);
        positions.learn(&partition(0), stored(7));
        positions.learn(&partition(1), Stored::default());
        assert!(positions.missing(&[at(0, 5), at(1, 0)]).is_empty());
        assert!(matches!(positions.seen(&at(0, 5)), Seen::Written));
        assert!(matches!(positions.seen(&at(0, 6)), Seen::Written));
        assert!(is_new(&positions, &at(0, 7)) && is_new(&positions, &at(1, 0)));
        positions.forget(&[partition(0)]);
        assert_eq!(positions.missing(&[at(0, 5)]), [partition(0)]);
    }

    #[test]
    fn positions_move_over_what_is_done_with() {
        let mut positions = Positions::default();
        positions.learn(&partition(0), stored(7));
        positions.learn(&partition(1), Stored::default());
        let records = [at(0, 6), at(0, 7), at(1, 3), at(0, 9), at(1, 4)];
        let steps = positions.steps(&records, 0..4, &[]);
        let moves: Vec<_> = steps.iter().map(|step| (step.partition, step.from, step.to)).collect();
        assert_eq!(moves, [(0, Some(7), 10), (1, None, 4)]);
        positions.moved(steps);
        assert!(!is_new(&positions, &at(0, 9)) && is_new(&positions, &at(1, 4)));
        let steps = positions.steps(&records, 4..5, &[]);
        assert_eq!((steps.len(), steps[0].from, steps[0].to), (1, Some(4), 5));
    }

    #[test]
    fn a_refused_record_is_reported_again_until_its_report_is_stored() {
        let mut positions = Positions::default();
        positions.learn(&partition(0), stored(7));
        let records = [at(0, 7), at(0, 8)];
        let class = "com.mongodb.kafka.connect.sink.dlq.WriteException";
        let rejected = [Rejected { index: 0, error: Error::data("v=1, code=11000").class(class) }];
        positions.moved(positions.steps(&records, 0..2, &rejected));
        assert!(positions.settled().is_empty(), "nobody was told");
        let Seen::Refused(again) = positions.seen(&records[0]) else { panic!("it is to be reported again") };
        assert_eq!((again.java_class(), again.message()), (class, "v=1, code=11000"));
        positions.reported(&records, &rejected);
        let settled = positions.settled();
        assert_eq!(settled, [(partition(0), 7)]);
        positions.settle(&settled);
        assert!(matches!(positions.seen(&records[0]), Seen::Written));
    }

    #[test]
    fn a_topic_that_was_made_anew_is_noticed() {
        let mut positions = Positions::default();
        positions.learn(&partition(0), stored(7));
        let mut other = at(0, 6);
        other.record.timestamp = Some(5);
        let Seen::Foreign(error) = positions.seen(&other) else { panic!("another record") };
        assert_eq!(error.kind(), ErrorKind::PositionLost);
        assert!(error.message().contains("record 6 of t-0") && error.remedy().is_some());
        other.record.timestamp = None;
        assert!(matches!(positions.seen(&other), Seen::Written), "without a time nothing can be told");
    }
}
