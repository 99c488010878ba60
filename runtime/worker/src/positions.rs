//! How far a sink task is in each of its partitions.

use std::collections::BTreeMap;

use connect_kafka::TopicPartition;

use crate::io::ConsumerRecord;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The next offset to be read, once records were put.
    position: Option<i64>,
    /// What the group has committed.
    committed: Option<i64>,
    /// Where reading began in this assignment: set as soon as a record was read, whether it was put or not.
    first: Option<i64>,
}

/// The partitions of a task.
#[derive(Debug, Default)]
pub struct Positions {
    partitions: BTreeMap<TopicPartition, Standing>,
}

impl Positions {
    /// These partitions are the task's from now on, with what is committed of them.
    pub fn assign(&mut self, partitions: &[TopicPartition], committed: Vec<(TopicPartition, Option<i64>)>) {
        for partition in partitions {
            self.partitions.insert(partition.clone(), Standing::default());
        }
        for (partition, offset) in committed {
            if let Some(standing) = self.partitions.get_mut(&partition) {
                standing.committed = offset;
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

    /// What may be committed and is not.
    pub fn uncommitted(&self) -> Vec<(TopicPartition, i64)> {
        let open = |(partition, standing): (&TopicPartition, &Standing)| {
            let position = standing.position.filter(|position| Some(*position) != standing.committed)?;
            Some((partition.clone(), position))
        };
        self.partitions.iter().filter_map(open).collect()
    }

    /// These offsets are committed.
    pub fn committed(&mut self, offsets: &[(TopicPartition, i64)]) {
        for (partition, offset) in offsets {
            if let Some(standing) = self.partitions.get_mut(partition) {
                standing.committed = Some(*offset);
            }
        }
    }

    /// Forgets what was read since the last commit, and says where to read on: also in a partition whose records were read
    /// and not put yet, or they would be passed over.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, i64)> {
        let mut back = Vec::new();
        for (partition, standing) in &mut self.partitions {
            standing.position = None;
            if let Some(first) = standing.first {
                back.push((partition.clone(), standing.committed.unwrap_or(first)));
            }
        }
        back
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

    #[test]
    fn a_rewind_goes_back_in_partitions_that_were_only_read() {
        let (put, waiting): (Arc<str>, Arc<str>) = ("put".into(), "waiting".into());
        let partitions = [TopicPartition::new(put.clone(), 0), TopicPartition::new(waiting.clone(), 0)];
        let mut positions = Positions::default();
        positions.assign(&partitions, vec![(partitions[0].clone(), Some(5)), (partitions[1].clone(), None)]);
        let (done, waits) = ([record(&put, 5), record(&put, 6)], [record(&waiting, 3)]);
        positions.read(&done);
        positions.passed(&done);
        positions.read(&waits);
        assert_eq!(positions.uncommitted(), [(partitions[0].clone(), 7)]);
        assert_eq!(positions.rewind(), [(partitions[0].clone(), 5), (partitions[1].clone(), 3)]);
        assert_eq!(positions.uncommitted(), []);
        positions.passed(&done);
        positions.committed(&[(partitions[0].clone(), 7)]);
        assert_eq!(positions.rewind()[0], (partitions[0].clone(), 7));
    }
}
