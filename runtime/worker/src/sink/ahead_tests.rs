//! What is read and decoded ahead while a `put` is under way.

use super::*;

/// A sink that holds its puts, which are never slow, and gets one record at a time.
async fn holding(values: &[&str]) -> Rig {
    let broker = broker(values).await;
    let mut consumer = broker.consumer("g", "t");
    consumer.batch = 1;
    let seen = Seen { held: true, slow_put: Some(Duration::from_secs(600)), ..Seen::default() };
    Rig::start_with(broker, consumer, seen, tolerant(), true).await
}

#[tokio::test]
async fn the_next_records_are_decoded_while_the_sink_is_busy_and_keep_their_place() {
    let rig = holding(&["a", "b", "POISON", "c"]).await;
    eventually(|| rig.decoded.load(Ordering::Relaxed) == 2).await;
    assert!(rig.values().is_empty(), "the first put is still under way");
    sleep(Duration::from_millis(30)).await;
    assert_eq!(rig.decoded.load(Ordering::Relaxed), 2, "one batch ahead is enough");
    rig.seen.lock().held = false;
    eventually(|| rig.committed() == Some(4)).await;
    assert_eq!(rig.values(), ["a", "b", "c"]);
    assert_eq!(rig.broker.records("dlq").len(), 1);
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_bad_record_that_was_read_ahead_is_told_once_and_in_its_turn() {
    let rig = holding(&["a", "POISON", "b"]).await;
    eventually(|| rig.decoded.load(Ordering::Relaxed) == 2).await;
    assert!(rig.broker.records("dlq").is_empty());
    rig.seen.lock().held = false;
    eventually(|| rig.committed() == Some(3)).await;
    assert_eq!(rig.values(), ["a", "b"]);
    assert_eq!((rig.broker.records("dlq").len(), rig.decoded.load(Ordering::Relaxed)), (1, 4));
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn what_was_read_ahead_is_put_before_a_rest() {
    let mut rig = holding(&["a", "b", "c"]).await;
    eventually(|| rig.decoded.load(Ordering::Relaxed) == 2).await;
    rig.wanted.send_replace(Wanted::Rest);
    rig.seen.lock().held = false;
    while !matches!(news(&mut rig.events).await.what, UnitNews::Paused) {}
    assert_eq!((rig.values(), rig.committed()), (vec!["a".to_owned(), "b".to_owned()], Some(2)));
    sleep(Duration::from_millis(60)).await;
    assert_eq!(rig.values(), ["a", "b"], "nothing moves");
    rig.wanted.send_replace(Wanted::Run);
    eventually(|| rig.values() == ["a", "b", "c"]).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn what_was_read_ahead_is_read_again_after_a_failed_flush() {
    let rig = holding(&["a", "b"]).await;
    eventually(|| rig.decoded.load(Ordering::Relaxed) == 2).await;
    {
        let mut seen = rig.seen.lock();
        (seen.held, seen.flush_failures) = (false, 1);
    }
    eventually(|| rig.committed() == Some(2)).await;
    assert_eq!(rig.values().iter().filter(|value| *value == "a").count(), 2, "given again: at least once");
    assert_eq!(rig.values().last().map(String::as_str), Some("b"));
    rig.end().await.expect("a clean end");
}

/// The answer is not kept until the task has stopped.
#[tokio::test]
async fn a_revocation_that_was_read_ahead_of_the_end_is_answered() {
    let broker = broker(&[]).await;
    let (done, answered) = oneshot::channel();
    let mut consumer = broker.consumer("g", "t");
    let partition = kafka::TopicPartition::new("t", 0);
    consumer.events.extend([
        ConsumerEvent::Assigned(vec![partition.clone()]),
        ConsumerEvent::Records(vec![consumed(0, 41)]),
        ConsumerEvent::Revoked { partitions: vec![partition], lost: false, done },
    ]);
    let polls = consumer.polls();
    let seen = Seen { held: true, slow_put: Some(Duration::from_secs(600)), ..Seen::default() };
    let rig = Rig::start_with(broker, consumer, seen, ErrorPolicy::default(), false).await;
    eventually(|| polls.load(Ordering::Relaxed) >= 3).await;
    rig.wanted.send_replace(Wanted::End);
    rig.seen.lock().held = false;
    let _gone = answered.await;
    assert_eq!(rig.committed(), Some(42), "what was put is committed first");
    rig.end().await.expect("a clean end");
}
