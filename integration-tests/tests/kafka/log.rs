//! Compacted topics as logs.

use std::sync::Arc;

use bytes::Bytes;
use connect_kafka::{LogRecord, Message, Producer, TopicLog};
use parking_lot::Mutex;

use super::{LIMIT, props, topic};

type Seen = Arc<Mutex<Vec<(i32, i64, String)>>>;

async fn open(topic: &str, isolation: &str) -> (TopicLog, Seen) {
    let producer = Arc::new(Producer::open(&props(&[])).unwrap());
    let seen = Seen::default();
    let sink = Arc::clone(&seen);
    let record = move |record: LogRecord| {
        let value = record.value.map(|value| String::from_utf8_lossy(&value).into_owned());
        sink.lock().push((record.partition, record.offset, value.unwrap_or_else(|| "tombstone".to_owned())));
    };
    let log = TopicLog::open(topic, &props(&[("isolation.level", isolation)]), producer, record, LIMIT).await.unwrap();
    (log, seen)
}

fn values(seen: &Seen) -> Vec<String> {
    let mut values: Vec<_> = seen.lock().iter().map(|(_, _, value)| value.clone()).collect();
    values.sort();
    values
}

#[tokio::test]
async fn everything_written_before_is_seen_after_read_to_end() {
    let name = topic("log", 5, &[("cleanup.policy", "compact")]).await;
    let (log, seen) = open(&name, "read_uncommitted").await;
    log.read_to_end(LIMIT).await.unwrap();
    assert!(values(&seen).is_empty());
    let records: Vec<_> =
        (0..50).map(|n| (Some(Bytes::from(format!("k{n}"))), Some(Bytes::from(format!("v{n:02}"))))).collect();
    log.append_all(&records).await.unwrap();
    log.append(Some(b"k0"), None).await.unwrap();
    log.read_to_end(LIMIT).await.unwrap();
    let mut expected: Vec<_> = (0..50).map(|n| format!("v{n:02}")).collect();
    expected.insert(0, "tombstone".to_owned());
    assert_eq!(values(&seen), expected);
    // Another reader sees the same, and each partition in order.
    let (other, seen) = open(&name, "read_committed").await;
    other.read_to_end(LIMIT).await.unwrap();
    assert_eq!(values(&seen), expected);
    let positions: Vec<_> = seen.lock().iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
    for partition in 0..5 {
        assert!(positions.iter().filter(|(found, _)| *found == partition).map(|(_, offset)| offset).is_sorted());
    }
    log.close().await;
    other.close().await;
}

#[tokio::test]
async fn the_end_is_reached_behind_transaction_markers() {
    let name = topic("log-transactions", 1, &[]).await;
    let (log, seen) = open(&name, "read_committed").await;
    let producer = Producer::open(&props(&[("transactional.id", &name)])).unwrap();
    producer.init_transactions(LIMIT).await.unwrap();
    producer.begin_transaction().unwrap();
    producer.produce(Message::new(&name, None, Some(b"kept"))).await.unwrap();
    producer.commit_transaction(LIMIT).await.unwrap();
    log.read_to_end(LIMIT).await.unwrap();
    assert_eq!(values(&seen), ["kept"]);
    producer.begin_transaction().unwrap();
    producer.produce(Message::new(&name, None, Some(b"dropped"))).await.unwrap();
    producer.abort_transaction(LIMIT).await.unwrap();
    // Only markers and an aborted record are new: no record will come, and the limit is not waited for.
    log.read_to_end(LIMIT).await.unwrap();
    assert_eq!(values(&seen), ["kept"]);
    log.close().await;
}
