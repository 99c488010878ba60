//! Requests about topics and groups.

use std::collections::BTreeMap;

use connect_kafka::admin::{LargestRequest, NewTopic, OffsetSpec};
use connect_kafka::{Admin, ErrorKind, TopicPartition};

use super::{admin, fill, props, topic, unique};

#[tokio::test]
async fn topics_are_made_once_and_described() {
    let admin = admin();
    let name = topic("made", 3, &[("cleanup.policy", "compact")]).await;
    let again = NewTopic { name: name.clone(), partitions: 7, replication_factor: 1, ..NewTopic::default() };
    assert!(admin.create_topics_if_missing(&[again]).await.unwrap().is_empty());
    let missing = unique("missing");
    let described = admin.describe_topics(&[&name, &missing]).await.unwrap();
    assert_eq!(described.keys().collect::<Vec<_>>(), [&name]);
    assert_eq!((described[&name].leaders.len(), described[&name].replication_factor), (3, 1));
    assert_eq!(admin.topic_config(&name).await.unwrap()["cleanup.policy"], "compact");
    // The default.
    let largest = admin.largest_request().await.unwrap();
    assert_eq!(largest, Some(LargestRequest { bytes: 104_857_600, broker: 1 }));
    assert_eq!(admin.topic_config(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(admin.list_topics().await.unwrap().contains(&name));
    admin.delete_topics(&[&name]).await.unwrap();
    assert_eq!(admin.delete_topics(&[&missing]).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_topic_that_cannot_be_made_says_why_in_the_brokers_words() {
    let name = unique("wide");
    let new = NewTopic { name: name.clone(), partitions: 1, replication_factor: 9, ..NewTopic::default() };
    let error = admin().create_topics_if_missing(&[new]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains(&name) && error.to_string().contains("replication factor of 9"), "{error}");
}

#[tokio::test]
async fn both_ends_of_partitions_are_listed() {
    let name = topic("ends", 2, &[]).await;
    fill(&name, 1, 4).await;
    let partitions = [TopicPartition::new(name.as_str(), 0), TopicPartition::new(name.as_str(), 1)];
    for (spec, expected) in [(OffsetSpec::Earliest, [0, 0]), (OffsetSpec::Latest, [0, 4])] {
        let offsets = admin().list_offsets(&partitions, spec).await.unwrap();
        assert_eq!(offsets.into_values().collect::<Vec<_>>(), expected, "{spec:?}");
    }
}

#[tokio::test]
async fn committed_offsets_are_altered_and_removed() {
    let admin = admin();
    let name = topic("committed", 2, &[]).await;
    let group = unique("committed-group");
    assert!(admin.group_offsets(&group).await.unwrap().is_empty());
    assert_eq!(admin.describe_group(&group).await.unwrap().state, "Dead");
    let partition = |number| TopicPartition::new(name.as_str(), number);
    let offsets: BTreeMap<_, _> = [(partition(0), 3), (partition(1), 5)].into_iter().collect();
    admin.alter_group_offsets(&group, &offsets).await.unwrap();
    assert_eq!(admin.group_offsets(&group).await.unwrap(), offsets);
    admin.delete_group_offsets(&group, &[partition(0)]).await.unwrap();
    assert_eq!(admin.group_offsets(&group).await.unwrap(), [(partition(1), 5)].into_iter().collect());
    admin.delete_group(&group).await.unwrap();
    assert_eq!(admin.delete_group(&group).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_after_the_time_allowed() {
    let mut props = props(&[("default.api.timeout.ms", "300")]);
    props.insert("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned());
    let error = Admin::open(&props).unwrap().cluster_id().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}
