//! How far a sink task is in each of its partitions.

use std::collections::BTreeMap;

use connect_kafka::TopicPartition;

use crate::io::ConsumerRecord;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The next offset to be read after everything that is done with; known from the assignment on, unless it could not be
    /// looked up and nothing was read yet.
    position: Option<i64>,
    /// What the group has committed, or where reading began when it has committed nothing.
    committed: Option<i64>,
    /// That was committed in this assignment.
    told: bool,
    /// Where reading began in this assignment: set as soon as a record was read, whether it was put or not.
    first: Option<i64>,
    /// The end that was reached, as far as no later record was read: everything before it was read, if not put.
    end: Option<i64>,
}

/// The partitions of a task.
#[derive(Debug, Default)]
pub struct Positions {
    partitions: BTreeMap<TopicPartition, Standing>,
}

impl Positions {
    /// These partitions are the task's from now on; reading begins at these positions, as far as they are known.
    pub fn assign(&mut self, partitions: &[TopicPartition], starts: Vec<(TopicPartition, i64)>) {
        for partition in partitions {
            self.partitions.insert(partition.clone(), Standing::default());
        }
        for (partition, offset) in starts {
            if let Some(standing) = self.partitions.get_mut(&partition) {
                (standing.position, standing.committed) = (Some(offset), Some(offset));
            }
        }
    }

    /// These partitions are gone.
    pub fn remove(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
    }

    /// All partitions of the task.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// These records were read, and are not done with yet.
    pub fn read(&mut self, records: &[ConsumerRecord]) {
        for run in records.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic) {
            let Some(first) = run.first() else { continue };
            let key = TopicPartition { topic: first.topic.clone(), partition: first.partition };
            if let Some(standing) = self.partitions.get_mut(&key) {
                standing.first.get_or_insert(first.offset);
            }
        }
    }

    /// The ends of these partitions were reached. They are positions once everything that was read is done with: markers of
    /// transactions may stand before an end, which nobody ever puts.
    pub fn reached(&mut self, ends: &[(TopicPartition, i64)]) {
        for (partition, end) in ends {
            if let Some(standing) = self.partitions.get_mut(partition) {
                standing.end = Some(*end);
            }
        }
    }

    /// Everything that was read is done with.
    pub fn nothing_waits(&mut self) {
        for standing in self.partitions.values_mut() {
            if let Some(end) = standing.end.take() {
                standing.position = standing.position.max(Some(end));
            }
        }
    }

    /// These records are done with. Records of partitions that were taken away do not count.
    pub fn passed(&mut self, records: &[ConsumerRecord]) {
        // Runs of one partition are the rule, so that few look-ups are made.
        for run in records.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic) {
            let Some(last) = run.last() else { continue };
            let key = TopicPartition { topic: last.topic.clone(), partition: last.partition };
            if let Some(standing) = self.partitions.get_mut(&key) {
                standing.position = Some(last.offset + 1);
            }
        }
    }

    /// What is to be committed of all partitions, or of some. As the JVM does, the positions of all of them are committed as
    /// soon as one has moved, also of those without a record; nothing is when none has moved.
    pub fn uncommitted(&self, of: Option<&[TopicPartition]>) -> Vec<(TopicPartition, i64)> {
        let asked = |partition: &TopicPartition| of.is_none_or(|some| some.contains(partition));
        let asked = || self.partitions.iter().filter(|(partition, _)| asked(partition));
        if asked().all(|(_, standing)| standing.position == standing.committed) {
            return Vec::new();
        }
        asked().filter_map(|(partition, standing)| Some((partition.clone(), standing.position?))).collect()
    }

    /// The partitions of which more is done with than is committed, and those that were not committed yet in this assignment.
    pub fn moved(&self) -> Vec<TopicPartition> {
        let moved = |standing: &Standing| !standing.told || standing.position != standing.committed;
        let moved = self.partitions.iter().filter(|(_, standing)| standing.position.is_some() && moved(standing));
        moved.map(|(partition, _)| partition.clone()).collect()
    }

    /// The offset behind everything that is done with, of each partition where it is known.
    pub fn put(&self) -> Vec<(TopicPartition, i64)> {
        let known = |(partition, standing): (&TopicPartition, &Standing)| Some((partition.clone(), standing.position?));
        self.partitions.iter().filter_map(known).collect()
    }

    /// These offsets are committed.
    pub fn committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            if let Some(standing) = self.partitions.get_mut(partition) {
                (standing.committed, standing.told) = (Some(*offset), true);
            }
        }
    }

    /// Forgets what was read since the last commit, and says where to read on: also in a partition whose records were read
    /// and not put yet, or they would be passed over.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, i64)> {
        let mut back = Vec::new();
        for (partition, standing) in &mut self.partitions {
            // Where nothing was read there is nothing to read again, also when an end was reached.
            let Some(first) = standing.first else { continue };
            (standing.position, standing.end) = (standing.committed, None);
            back.push((partition.clone(), standing.committed.unwrap_or(first)));
        }
        back
    }

    /// Whether a record of this partition was read.
    pub fn was_read(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition).is_some_and(|standing| standing.first.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn record(topic: &Arc<str>, offset: i64) -> ConsumerRecord {
        ConsumerRecord {
            topic: Arc::clone(topic),
            partition: 0,
            offset,
            timestamp_ms: 0,
            timestamp_type: connect_kafka::consumer::TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn partition(topic: &Arc<str>) -> TopicPartition {
        TopicPartition::new(Arc::clone(topic), 0)
    }

    #[test]
    fn a_rewind_goes_back_in_partitions_that_were_only_read() {
        let (put, waiting): (Arc<str>, Arc<str>) = ("put".into(), "waiting".into());
        let partitions = [partition(&put), partition(&waiting)];
        let mut positions = Positions::default();
        positions.assign(&partitions, vec![(partitions[0].clone(), 5)]);
        let (done, waits) = ([record(&put, 5), record(&put, 6)], [record(&waiting, 3)]);
        positions.read(&done);
        positions.passed(&done);
        positions.read(&waits);
        assert_eq!(positions.uncommitted(None), [(partitions[0].clone(), 7)]);
        assert_eq!(positions.rewind(), [(partitions[0].clone(), 5), (partitions[1].clone(), 3)]);
        assert_eq!(positions.uncommitted(None), []);
        positions.passed(&done);
        positions.committed(&[(partitions[0].clone(), 7)]);
        assert_eq!(positions.rewind()[0], (partitions[0].clone(), 7));
    }

    /// A transaction ends with a marker, which takes an offset.
    #[test]
    fn an_end_counts_once_what_is_before_it_is_done_with() {
        let topic: Arc<str> = "t".into();
        let mut positions = Positions::default();
        positions.assign(&[partition(&topic)], vec![(partition(&topic), 5)]);
        positions.read(&[record(&topic, 5)]);
        positions.reached(&[(partition(&topic), 7)]);
        assert_eq!(positions.put(), [(partition(&topic), 5)], "the record waits");
        positions.passed(&[record(&topic, 5)]);
        positions.nothing_waits();
        assert_eq!(positions.uncommitted(None), [(partition(&topic), 7)]);
        // An end does not take a position back.
        positions.passed(&[record(&topic, 8)]);
        positions.reached(&[(partition(&topic), 7)]);
        positions.nothing_waits();
        assert_eq!(positions.put(), [(partition(&topic), 9)]);
    }

    #[test]
    fn a_rewind_forgets_an_end() {
        let topic: Arc<str> = "t".into();
        let mut positions = Positions::default();
        positions.assign(&[partition(&topic)], vec![(partition(&topic), 5)]);
        positions.read(&[record(&topic, 5)]);
        positions.reached(&[(partition(&topic), 7)]);
        positions.rewind();
        positions.nothing_waits();
        assert_eq!(positions.put(), [(partition(&topic), 5)]);
    }

    #[test]
    fn partitions_without_records_are_committed_with_those_that_moved() {
        let (busy, empty): (Arc<str>, Arc<str>) = ("busy".into(), "empty".into());
        let partitions = [partition(&busy), partition(&empty)];
        let mut positions = Positions::default();
        positions.assign(&partitions, vec![(partitions[0].clone(), 5), (partitions[1].clone(), 0)]);
        assert_eq!(positions.uncommitted(None), [], "nothing has moved");
        positions.passed(&[record(&busy, 5)]);
        let offsets = positions.uncommitted(None);
        assert_eq!(offsets, [(partitions[0].clone(), 6), (partitions[1].clone(), 0)]);
        assert_eq!(positions.uncommitted(Some(&partitions[1..])), [], "the one that is taken away has not moved");
        positions.committed(&offsets);
        assert_eq!(positions.uncommitted(None), []);
    }
}
