//! Topics: creating, describing, deleting, their configuration and their ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, ListOffsetsRequest, MetadataResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Admin, NewTopic, OffsetSpec, TopicDescription};
use crate::wire::{Address, address, check};
use crate::{Error, ErrorKind, Result, TopicPartition};

/// The resource type of topics in requests about configurations.
const TOPIC_RESOURCE: i8 = 2;
/// Timestamps that stand for the ends of a partition.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

impl Admin {
    /// Creates topics that are missing; gives the names of those it created. An existing topic is left as it is.
    pub async fn create_topics_if_missing(&self, topics: &[NewTopic]) -> Result<Vec<String>> {
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(self.request_timeout_ms());
        self.brokers.retrying(|| self.create_once(&request)).await
    }

    async fn create_once(&self, request: &CreateTopicsRequest) -> Result<Vec<String>> {
        // With ZooKeeper only the controller creates topics; with KRaft the brokers name one that passes it on.
        let controller = controller(&self.brokers.metadata(Some(&[])).await?)?;
        let answer = self.brokers.ask(&controller, 6, request).await?;
        let mut created = Vec::new();
        for topic in answer.topics {
            match check(topic.error_code, topic.error_message.as_deref()) {
                Ok(()) => created.push(topic.name.to_string()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.context(format_args!("creating topic {}", topic.name.as_str()))),
            }
        }
        Ok(created)
    }

    /// Deletes topics. Missing ones give [`NotFound`](crate::ErrorKind::NotFound).
    pub async fn delete_topics(&self, topics: &[&str]) -> Result<()> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(topics.iter().map(|name| topic_name(name)).collect())
            .with_timeout_ms(self.request_timeout_ms());
        self.brokers
            .retrying(|| async {
                let controller = controller(&self.brokers.metadata(Some(&[])).await?)?;
                let answer = self.brokers.ask(&controller, 5, &request).await?;
                for topic in answer.responses {
                    let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
                    check(topic.error_code, topic.error_message.as_deref())
                        .map_err(|error| error.context(format_args!("deleting topic {name}")))?;
                }
                Ok(())
            })
            .await
    }

    /// The effective configuration of a topic. Sensitive values are left out, as the broker does.
    pub async fn topic_config(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        self.brokers
            .retrying(|| async {
                let answer = self.brokers.ask_any(4, &request).await?;
                let mut configs = BTreeMap::new();
                for result in answer.results {
                    check(result.error_code, result.error_message.as_deref()).map_err(|error| {
                        error.context(format_args!("describing the configuration of topic {topic}"))
                    })?;
                    let entries = result.configs.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                    configs.extend(entries.map(|(name, value)| (name.to_string(), value.to_string())));
                }
                Ok(configs)
            })
            .await
    }

    /// Describes topics; missing ones are left out.
    pub async fn describe_topics(&self, topics: &[&str]) -> Result<BTreeMap<String, TopicDescription>> {
        let answer = self.brokers.retrying(|| self.brokers.metadata(Some(topics))).await?;
        let mut described = BTreeMap::new();
        for topic in answer.topics {
            if let Some(description) = description(topic)? {
                described.insert(description.name.clone(), description);
            }
        }
        Ok(described)
    }

    /// The names of all topics that may be seen, internal ones included.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        let answer = self.brokers.retrying(|| self.brokers.metadata(None)).await?;
        Ok(answer.topics.into_iter().filter_map(|topic| Some(topic.name?.to_string())).collect())
    }

    /// One end of each of these partitions.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        self.brokers.retrying(|| self.list_offsets_once(partitions, spec)).await
    }

    async fn list_offsets_once(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        let mut topics: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        let metadata = self.brokers.metadata(Some(&topics)).await?;
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader(&metadata, partitions)? {
            let answer = self.brokers.ask(&leader, 6, &offsets_request(&partitions, spec)).await?;
            for topic in answer.topics {
                let name: Arc<str> = Arc::from(topic.name.as_str());
                for partition in topic.partitions {
                    let key = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                    check(partition.error_code, None)
                        .map_err(|error| error.context(format_args!("listing offsets of {key}")))?;
                    offsets.insert(key, partition.offset);
                }
            }
        }
        Ok(offsets)
    }

    fn request_timeout_ms(&self) -> i32 {
        i32::try_from(self.brokers.settings().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    StrBytes::from_string(name.to_owned()).into()
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(topic.configs.iter().map(config).collect())
}

fn broker(metadata: &MetadataResponse, id: BrokerId) -> Option<Result<Address>> {
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == id)?;
    Some(address(&broker.host, broker.port))
}

fn controller(metadata: &MetadataResponse) -> Result<Address> {
    broker(metadata, metadata.controller_id)
        .unwrap_or_else(|| Err(Error::new(ErrorKind::Retriable, "the cluster has no controller just now")))
}

/// `None` for a topic that does not exist.
fn description(topic: MetadataResponseTopic) -> Result<Option<TopicDescription>> {
    let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
    match ResponseError::try_from_code(topic.error_code) {
        Some(ResponseError::UnknownTopicOrPartition) => return Ok(None),
        // Just created, no leader yet: the partitions say so one by one.
        None | Some(ResponseError::LeaderNotAvailable) => {}
        Some(error) => {
            return Err(crate::wire::error_of(error, None).context(format_args!("describing topic {name}")));
        }
    }
    Ok(Some(TopicDescription {
        name,
        leaders: topic.partitions.iter().map(|partition| (partition.partition_index, partition.leader_id.0)).collect(),
        replication_factor: topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len()),
        internal: topic.is_internal,
    }))
}

fn by_leader<'a>(
    metadata: &MetadataResponse,
    partitions: &'a [TopicPartition],
) -> Result<BTreeMap<Address, Vec<&'a TopicPartition>>> {
    let mut leaders: BTreeMap<Address, Vec<&TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        let found = metadata
            .topics
            .iter()
            .filter(|topic| topic.name.as_ref().is_some_and(|name| name.as_str() == &*partition.topic))
            .flat_map(|topic| &topic.partitions)
            .find(|known| known.partition_index == partition.partition);
        let Some(known) = found else {
            return Err(Error::new(ErrorKind::NotFound, format!("partition {partition} does not exist")));
        };
        match broker(metadata, known.leader_id) {
            Some(address) => leaders.entry(address?).or_default().push(partition),
            None => {
                let text = format!("partition {partition} has no leader just now");
                return Err(Error::new(ErrorKind::Retriable, text));
            }
        }
    }
    Ok(leaders)
}

fn offsets_request(partitions: &[&TopicPartition], spec: OffsetSpec) -> ListOffsetsRequest {
    let timestamp = match spec {
        OffsetSpec::Earliest => EARLIEST,
        OffsetSpec::Latest | OffsetSpec::LatestCommitted => LATEST,
    };
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(
            ListOffsetsPartition::default()
                .with_partition_index(partition.partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp),
        );
    }
    let topic = |(name, partitions): (&str, Vec<ListOffsetsPartition>)| {
        ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
    };
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(spec == OffsetSpec::LatestCommitted))
        .with_topics(topics.into_iter().map(topic).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};

    fn metadata() -> MetadataResponse {
        let broker = |id: i32| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_string(format!("b{id}")))
                .with_port(9092)
        };
        let partition = |index: i32, leader: i32| {
            MetadataResponsePartition::default().with_partition_index(index).with_leader_id(BrokerId(leader))
        };
        MetadataResponse::default()
            .with_brokers(vec![broker(1), broker(2)])
            .with_controller_id(BrokerId(2))
            .with_topics(vec![MetadataResponseTopic::default().with_name(Some(topic_name("t"))).with_partitions(vec![
                partition(0, 1),
                partition(1, 2),
                partition(2, -1),
            ])])
    }

    #[test]
    fn partitions_are_asked_for_at_their_leaders() {
        let partitions = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
        let leaders = by_leader(&metadata(), &partitions).unwrap();
        let texts: Vec<_> = leaders.iter().map(|(leader, list)| format!("{leader} {}", list[0])).collect();
        assert_eq!(texts, ["b1:9092 t-0", "b2:9092 t-1"]);
    }

    #[test]
    fn missing_leaders_may_come_and_missing_partitions_do_not() {
        let kind = |partition| by_leader(&metadata(), &[TopicPartition::new("t", partition)]).unwrap_err().kind();
        assert_eq!((kind(2), kind(3)), (ErrorKind::Retriable, ErrorKind::NotFound));
        assert_eq!(controller(&metadata()).unwrap().to_string(), "b2:9092");
    }

    #[test]
    fn a_topic_that_does_not_exist_is_no_error() {
        let topic = |code| MetadataResponseTopic::default().with_name(Some(topic_name("t"))).with_error_code(code);
        assert!(description(topic(3)).unwrap().is_none());
        assert_eq!(description(topic(29)).unwrap_err().kind(), ErrorKind::Authorization);
        assert!(description(topic(5)).unwrap().is_some());
    }
}
