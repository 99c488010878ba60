//! The Kafka crate against a real broker: requests, logs, consumers, the group of workers.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod admin;
mod consumer;
mod group;
mod log;
mod transactions;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use connect_kafka::admin::NewTopic;
use connect_kafka::{Admin, ClientProps, Message, Producer};
use integration_tests::testbed::Kafka;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A name that no other test of this process uses.
fn unique(base: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{base}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Properties of a client of the broker that the tests of this process share.
fn props(pairs: &[(&str, &str)]) -> ClientProps {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    let kafka = KAFKA.get_or_init(|| Kafka::start("kafka-clients").unwrap());
    let mut props: ClientProps = [("bootstrap.servers".to_owned(), kafka.bootstrap.clone())].into_iter().collect();
    props.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    props
}

fn admin() -> Admin {
    Admin::open(&props(&[])).unwrap()
}

/// Makes a topic and gives its name.
async fn topic(base: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
    let name = unique(base);
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let new = NewTopic { name: name.clone(), partitions, replication_factor: -1, configs };
    assert_eq!(admin().create_topics_if_missing(&[new]).await.unwrap(), [name.as_str()]);
    name
}

/// Writes values `0..count` to a partition, with the number as key.
async fn fill(topic: &str, partition: i32, count: u32) {
    let producer = Producer::open(&props(&[])).unwrap();
    for number in 0..count {
        let text = number.to_string();
        let message = Message {
            partition: Some(partition),
            headers: &[("n", Some(text.as_bytes())), ("none", None)],
            timestamp_ms: Some(1_000 + i64::from(number)),
            ..Message::new(topic, Some(text.as_bytes()), Some(text.as_bytes()))
        };
        let position = producer.produce(message).await.unwrap();
        assert_eq!((position.partition, position.offset), (partition, i64::from(number)));
    }
    producer.close(LIMIT).await.unwrap();
}
