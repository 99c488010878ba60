//! What is in Kafka's topics, as an outsider sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::failure::{Failure, OrFail};

const REQUEST_LIMIT: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a reader may be without a record.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In order; a header may have no value.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Stored {
    /// The value as JSON; null for a tombstone.
    pub fn json(&self) -> serde_json::Value {
        let bytes = self.value.as_deref().unwrap_or(b"null");
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// A header as text; empty when there is none.
    pub fn header(&self, name: &str) -> std::borrow::Cow<'_, str> {
        let found = self.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref());
        String::from_utf8_lossy(found.unwrap_or_default())
    }
}

/// Reads and writes topics of one cluster. Its calls block.
pub struct Topics {
    bootstrap: String,
    consumer: BaseConsumer,
}

impl Topics {
    /// Of the cluster at `bootstrap`.
    pub fn new(bootstrap: &str) -> Result<Self, Failure> {
        let consumer = client(bootstrap)
            .set("group.id", "testbed-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .or_fail("failed to make a Kafka consumer")?;
        Ok(Self { bootstrap: bootstrap.to_owned(), consumer })
    }

    /// True when the broker answers.
    pub fn reachable(&self, limit: Duration) -> bool {
        self.consumer.fetch_metadata(None, limit).is_ok()
    }

    /// The partitions of a topic; none when it does not exist. Asking does not create it.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Failure> {
        // All topics are asked for, because asking for one by name would create it.
        let metadata = self.consumer.fetch_metadata(None, REQUEST_LIMIT).or_fail("failed to list Kafka's topics")?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default())
    }

    /// The records that were written to a topic: the sum of its end offsets.
    pub fn end(&self, topic: &str) -> Result<i64, Failure> {
        self.partitions(topic)?.into_iter().map(|partition| self.end_of(topic, partition)).sum()
    }

    /// The end offset of a partition.
    pub fn end_of(&self, topic: &str, partition: i32) -> Result<i64, Failure> {
        // A topic that was created just now may have no leader yet.
        let end = Instant::now() + REQUEST_LIMIT;
        loop {
            match self.consumer.fetch_watermarks(topic, partition, REQUEST_LIMIT) {
                Ok((_, high)) => return Ok(high),
                Err(_) if Instant::now() < end => std::thread::sleep(RETRY_PAUSE),
                Err(error) => return Err(error).or_fail(format!("failed to look up the end of {topic}")),
            }
        }
    }

    /// All records of a topic, up to the end it has now, by partition and offset.
    pub fn read(&self, topic: &str) -> Result<Vec<Stored>, Failure> {
        self.read_tail(topic, i64::MAX)
    }

    /// The last `count` offsets of each partition of a topic, in the same way.
    pub fn read_tail(&self, topic: &str, count: i64) -> Result<Vec<Stored>, Failure> {
        let consumer: BaseConsumer = client(&self.bootstrap)
            .set("group.id", "testbed-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .create()
            .or_fail("failed to make a Kafka consumer")?;
        let mut list = TopicPartitionList::new();
        // Who writes all the time never lets a reader reach the end: it is looked up before.
        let mut open = BTreeMap::new();
        for partition in self.partitions(topic)? {
            let end = self.end_of(topic, partition)?;
            if end > 0 {
                let first = Offset::Offset(end.saturating_sub(count).max(0));
                list.add_partition_offset(topic, partition, first).or_fail("failed to add a partition")?;
                open.insert(partition, end);
            }
        }
        consumer.assign(&list).or_fail(format!("failed to read {topic}"))?;
        let mut end = Instant::now() + READ_LIMIT;
        let mut records = Vec::new();
        while !open.is_empty() && Instant::now() < end {
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => return Err(error).or_fail(format!("failed to read {topic}")),
                Some(Ok(message)) => {
                    end = Instant::now() + READ_LIMIT;
                    if open.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                        open.remove(&message.partition());
                    }
                    records.push(stored(&message));
                }
            }
        }
        if !open.is_empty() {
            return Err(Failure::new(format!("did not reach the end of {topic}: no record came for {READ_LIMIT:?}")));
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// The offset up to which a consumer group has committed a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>, Failure> {
        let consumer: BaseConsumer =
            client(&self.bootstrap).set("group.id", group).create().or_fail("failed to make a Kafka consumer")?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let answer = consumer
            .committed_offsets(list, REQUEST_LIMIT)
            .or_fail(format!("failed to look up the offsets of group {group}"))?;
        let offset = answer.elements().first().and_then(|element| element.offset().to_raw());
        Ok(offset.filter(|offset| *offset >= 0))
    }

    /// Creates a topic.
    pub async fn create(&self, topic: &str, partitions: i32) -> Result<(), Failure> {
        let admin: AdminClient<DefaultClientContext> =
            client(&self.bootstrap).create().or_fail("failed to make a Kafka client")?;
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let results =
            admin.create_topics([&new], &AdminOptions::new()).await.or_fail(format!("failed to create {topic}"))?;
        for result in results {
            result.map_err(|(topic, code)| Failure::new(format!("failed to create {topic}: {code}")))?;
        }
        Ok(())
    }

    /// Deletes topics; those that are not there are fine.
    pub async fn delete(&self, topics: &[String]) -> Result<(), Failure> {
        let admin: AdminClient<DefaultClientContext> =
            client(&self.bootstrap).create().or_fail("failed to make a Kafka client")?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let results = admin.delete_topics(&names, &AdminOptions::new()).await.or_fail("failed to delete topics")?;
        for result in results {
            match result {
                Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => return Err(Failure::new(format!("failed to delete {topic}: {code}"))),
            }
        }
        Ok(())
    }

    /// Produces values without keys, in order, and waits for all.
    pub async fn produce(&self, topic: &str, values: &[&str]) -> Result<(), Failure> {
        let producer: FutureProducer =
            client(&self.bootstrap).set("acks", "all").create().or_fail("failed to make a Kafka producer")?;
        for value in values {
            let record: FutureRecord<'_, (), str> = FutureRecord::to(topic).payload(*value);
            producer
                .send(record, REQUEST_LIMIT)
                .await
                .map_err(|(error, _)| error)
                .or_fail(format!("failed to produce to {topic}"))?;
        }
        Ok(())
    }

    /// Produces a value with a key, and waits for it.
    pub async fn produce_keyed(&self, topic: &str, key: &str, value: &str) -> Result<(), Failure> {
        let producer: FutureProducer =
            client(&self.bootstrap).set("acks", "all").create().or_fail("failed to make a Kafka producer")?;
        let record: FutureRecord<'_, str, str> = FutureRecord::to(topic).key(key).payload(value);
        let sent = producer.send(record, REQUEST_LIMIT).await.map_err(|(error, _)| error);
        sent.map(|_| ()).or_fail(format!("failed to produce to {topic}"))
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("log_level", "0").set("allow.auto.create.topics", "false");
    config
}

fn stored(message: &rdkafka::message::BorrowedMessage<'_>) -> Stored {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
