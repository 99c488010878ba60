//! Consumers of sink tasks.

use std::time::{Duration, Instant};

use connect_kafka::{
    Consumer, ConsumerEvent, ConsumerRecord, ErrorKind, Message, Producer, Subscription, TopicPartition,
};

use super::{LIMIT, admin, fill, props, topic, unique};

fn open(group: &str, subscription: Subscription) -> Consumer {
    let pairs = [
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("heartbeat.interval.ms", "300"),
        ("metadata.max.age.ms", "300"),
    ];
    Consumer::open(&props(&pairs), subscription).unwrap()
}

/// Polls until so many records have come.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let end = Instant::now() + LIMIT;
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < end {
        if let Some(ConsumerEvent::Records(more)) = consumer.poll(Duration::from_millis(200)).await {
            records.extend(more);
        }
    }
    assert_eq!(records.len(), count);
    records
}

fn offsets(records: &[ConsumerRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

/// Reads until an end is reached that is told of by itself: the offsets of the records before it, and the end.
async fn read_to_end(consumer: &mut Consumer) -> (Vec<i64>, i64) {
    let until = Instant::now() + LIMIT;
    let mut read = Vec::new();
    while Instant::now() < until {
        match consumer.poll(Duration::from_millis(200)).await {
            Some(ConsumerEvent::Records(records)) => read.extend(offsets(&records)),
            Some(ConsumerEvent::Reached(ends)) => return (read, ends[0].1),
            _ => {}
        }
    }
    panic!("no end was reached after {read:?}");
}

/// The last offsets of a partition may be markers of transactions and records that were taken back: nobody reads them, and a
/// consumer is past them all the same.
#[tokio::test]
async fn ends_behind_markers_and_aborted_records_are_reached() {
    let name = topic("markers", 1, &[]).await;
    let partition = TopicPartition::new(name.as_str(), 0);
    let producer = Producer::open(&props(&[("transactional.id", &name)])).unwrap();
    producer.init_transactions(LIMIT).await.unwrap();
    for (value, kept) in [(&b"kept"[..], true), (&b"dropped"[..], false)] {
        producer.begin_transaction().unwrap();
        producer.produce(Message::new(&name, None, Some(value))).await.unwrap();
        if kept {
            producer.commit_transaction(LIMIT).await.unwrap();
        } else {
            producer.abort_transaction(LIMIT).await.unwrap();
        }
    }
    // A record, its marker, a record that was taken back, and its marker.
    for (level, records) in [("read_committed", &[0_i64][..]), ("read_uncommitted", &[0, 2])] {
        let group = unique(level);
        let open = || {
            let pairs = [("group.id", group.as_str()), ("auto.offset.reset", "earliest"), ("isolation.level", level)];
            Consumer::open(&props(&pairs), Subscription::Topics(vec![name.clone()])).unwrap()
        };
        let mut consumer = open();
        assert_eq!(read_to_end(&mut consumer).await, (records.to_vec(), 4), "{level}");
        assert_eq!(consumer.position(&partition), Some(4));
        // Behind the last record, as a worker commits that knows nothing of markers.
        let last = records.iter().max().unwrap() + 1;
        consumer.commit(vec![(partition.clone(), last)]).await.unwrap();
        consumer.close(LIMIT).await.unwrap();
        let mut consumer = open();
        assert_eq!(read_to_end(&mut consumer).await, (vec![], 4), "{level}");
        // What is sought is read again, and so is the end.
        consumer.seek(&partition, 0).await.unwrap();
        assert_eq!(read_to_end(&mut consumer).await, (records.to_vec(), 4), "{level}");
        consumer.close(LIMIT).await.unwrap();
    }
}

#[tokio::test]
async fn records_come_whole_and_go_on_at_the_committed_offset() {
    let name = topic("whole", 1, &[]).await;
    fill(&name, 0, 10).await;
    let group = unique("whole-group");
    let partition = TopicPartition::new(name.as_str(), 0);
    let mut consumer = open(&group, Subscription::Topics(vec![name.clone()]));
    let records = read(&mut consumer, 10).await;
    let third = &records[3];
    assert_eq!((&*third.topic, third.offset, third.timestamp_ms), (name.as_str(), 3, 1003));
    assert_eq!((third.key.as_deref(), third.value.as_deref()), (Some(&b"3"[..]), Some(&b"3"[..])));
    let headers: Vec<_> = third.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
    assert_eq!(headers, [("n", Some(&b"3"[..])), ("none", None)]);
    assert_eq!(consumer.position(&partition), Some(10));
    consumer.commit(vec![(partition.clone(), 7)]).await.unwrap();
    let committed = consumer.committed(std::slice::from_ref(&partition), LIMIT).await.unwrap();
    assert_eq!(committed, [(partition.clone(), Some(7))]);
    let error = admin().alter_group_offsets(&group, &[(partition, 1)].into_iter().collect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupState);
    consumer.close(LIMIT).await.unwrap();
    assert_eq!(admin().describe_group(&group).await.unwrap().members.len(), 0);
    let mut consumer = open(&group, Subscription::Topics(vec![name]));
    assert_eq!(offsets(&read(&mut consumer, 3).await), [7, 8, 9]);
    consumer.close(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_seek_goes_back_and_a_pause_holds_everything() {
    let name = topic("seek", 1, &[]).await;
    fill(&name, 0, 10).await;
    let partition = TopicPartition::new(name.as_str(), 0);
    let mut consumer = open(&unique("seek-group"), Subscription::Topics(vec![name]));
    read(&mut consumer, 10).await;
    consumer.seek(&partition, 6).await.unwrap();
    assert_eq!(consumer.position(&partition), Some(6));
    assert_eq!(offsets(&read(&mut consumer, 4).await), [6, 7, 8, 9]);
    consumer.seek(&partition, 8).await.unwrap();
    consumer.pause(std::slice::from_ref(&partition)).unwrap();
    assert!(consumer.poll(Duration::from_millis(500)).await.is_none());
    consumer.resume(std::slice::from_ref(&partition)).unwrap();
    assert_eq!(offsets(&read(&mut consumer, 2).await), [8, 9]);
    consumer.close(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_rebalance_waits_for_the_commit_of_what_is_taken_away() {
    let name = topic("shared", 4, &[]).await;
    for partition in 0..4 {
        fill(&name, partition, 5).await;
    }
    let group = unique("shared-group");
    let mut first = open(&group, Subscription::Pattern(format!("{}\\d+", name.trim_end_matches(char::is_numeric))));
    read(&mut first, 20).await;
    let mut second = open(&group, Subscription::Topics(vec![name]));
    let end = Instant::now() + LIMIT;
    let (mut committed, mut firsts, mut seconds) = (false, 4, 0);
    while (firsts, seconds) != (2, 2) && Instant::now() < end {
        match first.poll(Duration::from_millis(50)).await {
            Some(ConsumerEvent::Revoked { partitions, lost, done }) => {
                assert!(!lost && partitions.len() == 4);
                let positions = partitions.into_iter().map(|partition| (partition, 5)).collect();
                first.commit(positions).await.unwrap();
                committed = true;
                done.send(()).unwrap();
            }
            Some(ConsumerEvent::Assigned(partitions)) => firsts = partitions.len(),
            _ => {}
        }
        match second.poll(Duration::from_millis(50)).await {
            Some(ConsumerEvent::Assigned(partitions)) => seconds = partitions.len(),
            Some(ConsumerEvent::Records(records)) => panic!("{} records were read twice", records.len()),
            _ => {}
        }
    }
    assert!(committed);
    assert_eq!((firsts, seconds), (2, 2));
    first.close(LIMIT).await.unwrap();
    second.close(LIMIT).await.unwrap();
}
