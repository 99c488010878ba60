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
    /// Where reading began in this assignment, for a rewind before anything was committed.
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

    /// These records are done with. Records of partitions that were taken away do not count.
    pub fn passed(&mut self, records: &[ConsumerRecord]) {
        // Runs of one partition are the rule, so that few look-ups are made.
        for run in records.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let key = TopicPartition { topic: first.topic.clone(), partition: first.partition };
            if let Some(standing) = self.partitions.get_mut(&key) {
                standing.first.get_or_insert(first.offset);
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

    /// Forgets what was put since the last commit, and says where to read on.
    pub fn rewind(&mut self) -> Vec<(TopicPartition, i64)> {
        let mut back = Vec::new();
        for (partition, standing) in &mut self.partitions {
            if standing.position.take().is_some()
                && let Some(offset) = standing.committed.or(standing.first)
            {
                back.push((partition.clone(), offset));
            }
        }
        back
    }
}
