//! Requests about topics, configurations, offsets and groups (Java: `TopicAdmin`, `Admin`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{ClientProps, Result, TopicPartition};

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i16,
    pub configs: BTreeMap<String, String>,
}

/// A topic as the brokers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    /// The partitions with their leaders (-1: none now), by number.
    pub leaders: BTreeMap<i32, i32>,
    pub replication_factor: usize,
    pub internal: bool,
}

/// Which end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    Earliest,
    Latest,
    /// The last stable offset: the end that a `read_committed` reader sees.
    LatestCommitted,
}

/// A consumer group as its coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// `Empty`, `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Dead` (as on the wire; `Dead` for an unknown group).
    pub state: String,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: String,
    pub client_id: String,
    pub host: String,
}

/// Administrative requests. Cheap to clone is not needed: share it in an `Arc`.
pub struct Admin {}

impl Admin {
    /// Makes a client with Java admin properties; connects at the first request.
    pub fn open(_props: &ClientProps) -> Result<Self> {
        Ok(Self {})
    }

    /// The id of the Kafka cluster. Also the check that Kafka can be reached.
    pub async fn cluster_id(&self) -> Result<String> {
        Ok(String::new())
    }

    /// Creates topics that are missing; gives the names of those it created. An existing topic is left as it is.
    pub async fn create_topics_if_missing(&self, _topics: &[NewTopic]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Deletes topics. Missing ones give [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn delete_topics(&self, _topics: &[&str]) -> Result<()> {
        Ok(())
    }

    /// The effective configuration of a topic.
    pub async fn topic_config(&self, _topic: &str) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }

    /// Describes topics; missing ones are left out.
    pub async fn describe_topics(&self, _topics: &[&str]) -> Result<BTreeMap<String, TopicDescription>> {
        Ok(BTreeMap::new())
    }

    /// The names of all topics that may be seen.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// One end of each of these partitions.
    pub async fn list_offsets(
        &self,
        _partitions: &[TopicPartition],
        _spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        Ok(BTreeMap::new())
    }

    /// The committed offsets of a consumer group; empty for an unknown group.
    pub async fn group_offsets(&self, _group: &str) -> Result<BTreeMap<TopicPartition, i64>> {
        Ok(BTreeMap::new())
    }

    /// Sets committed offsets of a group without members. A group with members gives
    /// [`GroupState`](crate::ErrorKind::GroupState).
    pub async fn alter_group_offsets(&self, _group: &str, _offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        Ok(())
    }

    /// Removes committed offsets of some partitions.
    pub async fn delete_group_offsets(&self, _group: &str, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Removes a group without members. An unknown group gives [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn delete_group(&self, _group: &str) -> Result<()> {
        Ok(())
    }

    /// State and members of a group.
    pub async fn describe_group(&self, _group: &str) -> Result<GroupDescription> {
        Err(crate::Error::new(crate::ErrorKind::NotFound, "unknown group"))
    }

    /// Fences producers of these transactional ids (`Admin.fenceProducers`).
    pub async fn fence_producers(&self, _transactional_ids: &[String], _timeout: Duration) -> Result<()> {
        Ok(())
    }
}
