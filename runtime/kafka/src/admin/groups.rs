//! Consumer groups: committed offsets, members, removal; and the fencing of transactional producers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, InitProducerIdRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::topics::topic_name;
use super::{Admin, GroupDescription, GroupMember};
use crate::wire::{CoordinatorOf, check};
use crate::{Error, ErrorKind, Result, TopicPartition};

impl Admin {
    /// The committed offsets of a consumer group; empty for an unknown group.
    pub async fn group_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, i64>> {
        // Version 7 is the last with a single group; no topics means all.
        let request = OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(None);
        self.brokers
            .retrying(|| async {
                let answer = self.ask_coordinator(group, 7, &request).await?;
                check(answer.error_code, None).map_err(|error| context(error, "reading offsets", group))?;
                let mut offsets = BTreeMap::new();
                for topic in answer.topics {
                    let name: Arc<str> = Arc::from(topic.name.as_str());
                    for partition in topic.partitions {
                        check(partition.error_code, None).map_err(|error| context(error, "reading offsets", group))?;
                        if partition.committed_offset >= 0 {
                            let key = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                            offsets.insert(key, partition.committed_offset);
                        }
                    }
                }
                Ok(offsets)
            })
            .await
    }

    /// Sets committed offsets of a group without members. A group with members gives
    /// [`GroupState`](crate::ErrorKind::GroupState).
    pub async fn alter_group_offsets(&self, group: &str, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (partition, offset) in offsets {
            topics.entry(&partition.topic).or_default().push(
                OffsetCommitRequestPartition::default()
                    .with_partition_index(partition.partition)
                    .with_committed_offset(*offset)
                    .with_committed_leader_epoch(-1)
                    .with_committed_metadata(Some(StrBytes::from_static_str(""))),
            );
        }
        let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.into_iter().map(topic).collect());
        self.brokers
            .retrying(|| async {
                let answer = self.ask_coordinator(group, 8, &request).await?;
                let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions
                    .try_for_each(|partition| check(partition.error_code, None))
                    .map_err(|error| context(error, "altering offsets", group))
            })
            .await
    }

    /// Removes committed offsets of some partitions. Members that read the topic give
    /// [`GroupState`](crate::ErrorKind::GroupState), an unknown group [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn delete_group_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for partition in partitions {
            topics
                .entry(&partition.topic)
                .or_default()
                .push(OffsetDeleteRequestPartition::default().with_partition_index(partition.partition));
        }
        let topic = |(name, partitions): (&str, Vec<OffsetDeleteRequestPartition>)| {
            OffsetDeleteRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let request = OffsetDeleteRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics.into_iter().map(topic).collect());
        self.brokers
            .retrying(|| async {
                let answer = self.ask_coordinator(group, 0, &request).await?;
                let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                check(answer.error_code, None)
                    .and_then(|()| partitions.try_for_each(|partition| check(partition.error_code, None)))
                    .map_err(|error| context(error, "deleting offsets", group))
            })
            .await
    }

    /// Removes a group without members, with its offsets. An unknown group gives
    /// [`NotFound`](crate::ErrorKind::NotFound), one with members [`GroupState`](crate::ErrorKind::GroupState).
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        self.brokers
            .retrying(|| async {
                let answer = self.ask_coordinator(group, 2, &request).await?;
                answer
                    .results
                    .iter()
                    .try_for_each(|result| check(result.error_code, None))
                    .map_err(|error| context(error, "deleting", group))
            })
            .await
    }

    /// State and members of a group.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        self.brokers
            .retrying(|| async {
                let answer = self.ask_coordinator(group, 5, &request).await?;
                let Some(described) = answer.groups.into_iter().next() else {
                    return Err(Error::new(ErrorKind::NotFound, format!("group {group} was not described")));
                };
                check(described.error_code, None).map_err(|error| context(error, "describing", group))?;
                let member =
                    |member: kafka_protocol::messages::describe_groups_response::DescribedGroupMember| GroupMember {
                        member_id: member.member_id.to_string(),
                        client_id: member.client_id.to_string(),
                        host: member.client_host.to_string(),
                    };
                Ok(GroupDescription {
                    state: described.group_state.to_string(),
                    protocol_type: described.protocol_type.to_string(),
                    protocol: described.protocol_data.to_string(),
                    members: described.members.into_iter().map(member).collect(),
                })
            })
            .await
    }

    /// Fences producers of these transactional ids (`Admin.fenceProducers`): whatever transaction they have open is aborted,
    /// and they cannot write any more.
    pub async fn fence_producers(&self, transactional_ids: &[String], timeout: Duration) -> Result<()> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        for id in transactional_ids {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(TransactionalId(StrBytes::from_string(id.clone()))))
                .with_transaction_timeout_ms(timeout_ms)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            self.brokers
                .retrying(|| async {
                    let coordinator = self.brokers.coordinator(CoordinatorOf::Transaction(id)).await?;
                    let answer = self.brokers.ask(&coordinator, 4, &request).await?;
                    check(answer.error_code, None)
                        .map_err(|error| error.context(format_args!("fencing the producers of {id}")))
                })
                .await?;
        }
        Ok(())
    }

    async fn ask_coordinator<R: Request>(&self, group: &str, newest: i16, request: &R) -> Result<R::Response> {
        let coordinator = self.brokers.coordinator(CoordinatorOf::Group(group)).await?;
        self.brokers.ask(&coordinator, newest, request).await
    }
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn context(error: Error, action: &str, group: &str) -> Error {
    error.context(format_args!("{action} of group {group}"))
}
