//! Requests about brokers, topics, configurations, offsets and groups (Java: `TopicAdmin`, `Admin`).
//!
//! Every operation is tried again while its error may pass (a broker that moves or starts), until `default.api.timeout.ms`
//! is over; answers such as a missing authorization come at once.

mod brokers;
mod groups;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use brokers::LargestRequest;

use crate::stats::ClientStats;
use crate::wire::{Brokers, Settings};
use crate::{ClientProps, Error, ErrorKind, Result};

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

/// Administrative requests. Connections are made when needed and kept; share it in an `Arc`.
pub struct Admin {
    brokers: Brokers,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("bootstrap", &self.brokers.settings().bootstrap).finish_non_exhaustive()
    }
}

impl Admin {
    /// Makes a client with Java admin properties (any Java client's will do); connects at the first request.
    pub fn open(props: &ClientProps) -> Result<Self> {
        Ok(Self { brokers: Brokers::new(Settings::from_props(props)?) })
    }

    /// What its connections carry.
    pub fn stats(&self) -> &Arc<ClientStats> {
        &self.brokers.settings().stats
    }

    /// The id of the Kafka cluster. Also the check that Kafka can be reached.
    pub async fn cluster_id(&self) -> Result<String> {
        let answer = self.brokers.retrying(|| self.brokers.metadata(Some(&[]))).await?;
        match answer.cluster_id {
            Some(id) => Ok(id.to_string()),
            None => {
                Err(Error::new(ErrorKind::Unsupported, "the brokers name no cluster id: they are older than 0.10.1"))
            }
        }
    }
}
