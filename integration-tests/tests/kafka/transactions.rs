//! Transactional producers: what is seen of them, and who may go on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_kafka::{ClientProps, ErrorKind, LogRecord, Message, Producer, TopicLog};
use parking_lot::Mutex;

use super::{LIMIT, admin, props, topic};

/// The values in a topic for a reader of committed records.
async fn committed(topic: &str) -> Vec<Bytes> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let record = move |record: LogRecord| sink.lock().extend(record.value);
    let producer = Arc::new(Producer::open(&props(&[])).unwrap());
    let reads = props(&[("isolation.level", "read_committed")]);
    let log = TopicLog::open(topic, &reads, producer, record, LIMIT).await.unwrap();
    log.read_to_end(LIMIT).await.unwrap();
    log.close().await;
    std::mem::take(&mut *seen.lock())
}

fn transactional(id: &str) -> ClientProps {
    props(&[("transactional.id", id), ("transaction.timeout.ms", "20000")])
}

async fn begun(id: &str, topic: &str, value: &'static [u8]) -> Producer {
    let producer = Producer::open(&transactional(id)).unwrap();
    producer.init_transactions(LIMIT).await.unwrap();
    producer.begin_transaction().unwrap();
    producer.produce(Message::new(topic, None, Some(value))).await.unwrap();
    producer
}

#[tokio::test]
async fn the_next_producer_of_an_id_aborts_and_fences_the_one_before() {
    let name = topic("fenced", 1, &[]).await;
    let zombie = begun(&name, &name, b"zombie").await;
    let next = begun(&name, &name, b"next").await;
    next.commit_transaction(LIMIT).await.unwrap();
    let error = zombie.commit_transaction(LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert!(zombie.is_fenced() && !next.is_fenced());
    assert!(zombie.begin_transaction().is_err());
    assert_eq!(committed(&name).await, ["next"]);
    next.begin_transaction().unwrap();
    next.produce(Message::new(&name, None, Some(b"again"))).await.unwrap();
    next.commit_transaction(LIMIT).await.unwrap();
    assert_eq!(committed(&name).await, ["next", "again"]);
}

#[tokio::test]
async fn an_aborted_transaction_is_not_seen_and_the_next_one_is() {
    let name = topic("aborted", 1, &[]).await;
    let producer = begun(&name, &name, b"dropped").await;
    producer.abort_transaction(LIMIT).await.unwrap();
    producer.begin_transaction().unwrap();
    producer.produce(Message::new(&name, None, Some(b"kept"))).await.unwrap();
    producer.commit_transaction(LIMIT).await.unwrap();
    producer.begin_transaction().unwrap();
    producer.commit_transaction(LIMIT).await.unwrap();
    assert_eq!(committed(&name).await, ["kept"], "an empty transaction is fine");
}

#[tokio::test]
async fn an_admin_fences_without_taking_the_id() {
    let name = topic("fenced-by-admin", 1, &[]).await;
    let zombie = begun(&name, &name, b"zombie").await;
    admin().fence_producers(&[name.clone(), format!("{name}-never-used")], Duration::from_secs(20)).await.unwrap();
    let error = zombie.commit_transaction(LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert!(committed(&name).await.is_empty());
}
