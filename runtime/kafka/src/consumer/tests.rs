use super::reader::Seeks;
use super::*;

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn records(offsets: &[(i32, i64)]) -> Signal {
    let record = |(partition, offset): &(i32, i64)| ConsumerRecord {
        topic: Arc::from("t"),
        partition: *partition,
        offset: *offset,
        timestamp_ms: -1,
        timestamp_type: TimestampType::NoTimestamp,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    Signal::Records(offsets.iter().map(record).collect())
}

fn seen(event: Option<ConsumerEvent>) -> Vec<(i32, i64)> {
    match event {
        Some(ConsumerEvent::Records(records)) => {
            records.iter().map(|record| (record.partition, record.offset)).collect()
        }
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

fn revoke(view: &mut View, partitions: &[TopicPartition]) {
    let (done, _answered) = oneshot::channel();
    let event = view.take(Signal::Revoked { partitions: partitions.to_vec(), lost: false, done });
    assert!(matches!(event, Some(ConsumerEvent::Revoked { .. })));
}

#[test]
fn positions_follow_what_is_handed_out() {
    let mut view = View::default();
    assert_eq!(seen(view.take(records(&[(0, 5), (0, 6), (1, 1), (0, 7)]))), [(0, 5), (0, 6), (1, 1), (0, 7)]);
    assert_eq!(view.positions[&partition(0)], 8);
    assert_eq!(view.positions[&partition(1)], 2);
}

#[test]
fn what_was_read_ahead_of_a_pause_comes_after_it() {
    let mut view = View::default();
    view.paused.insert(partition(0));
    assert_eq!(seen(view.take(records(&[(0, 5), (1, 1)]))), [(1, 1)]);
    assert!(view.released().is_none());
    assert_eq!(view.positions.get(&partition(0)), None);
    view.paused.clear();
    assert_eq!(seen(view.released()), [(0, 5)]);
    assert_eq!(view.positions[&partition(0)], 6);
    assert!(view.released().is_none());
}

fn reached(ends: &[(i32, i64)]) -> Signal {
    Signal::Reached(ends.iter().map(|(number, end)| (partition(*number), *end)).collect())
}

fn ends(event: Option<ConsumerEvent>) -> Vec<(i32, i64)> {
    match event {
        Some(ConsumerEvent::Reached(ends)) => ends.iter().map(|(of, end)| (of.partition, *end)).collect(),
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_end_is_told_once_and_only_where_it_is_behind_the_last_record() {
    let mut view = View::default();
    view.take(records(&[(0, 5), (1, 1)]));
    // The offset 6 of the first is a marker; the second ends with its record.
    assert_eq!(ends(view.take(reached(&[(0, 7), (1, 2)]))), [(0, 7)]);
    assert_eq!(ends(view.take(reached(&[(0, 7)]))), []);
    assert_eq!(view.positions[&partition(0)], 7);
}

#[test]
fn an_end_that_was_reached_ahead_of_a_pause_comes_after_it_and_after_the_records() {
    let mut view = View::default();
    view.paused.insert(partition(0));
    view.take(records(&[(0, 5)]));
    assert_eq!(ends(view.take(reached(&[(0, 7), (1, 2)]))), [(1, 2)]);
    assert!(view.released().is_none());
    view.paused.clear();
    assert_eq!(seen(view.released()), [(0, 5)]);
    assert_eq!(ends(view.released()), [(0, 7)]);
    assert!(view.released().is_none());
}

#[test]
fn an_end_that_was_reached_ahead_of_a_seek_or_before_a_revocation_is_void() {
    let mut view = View::default();
    view.paused.insert(partition(0));
    view.take(reached(&[(0, 7)]));
    view.paused.clear();
    view.start_seek(&partition(0), 2, 1);
    assert_eq!(ends(view.released()), []);
    assert_eq!(ends(view.take(reached(&[(0, 7)]))), []);
    view.take(Signal::Sought { partition: partition(0), id: 1 });
    assert_eq!(ends(view.take(reached(&[(0, 7)]))), [(0, 7)]);
    view.paused.insert(partition(1));
    view.take(reached(&[(1, 3)]));
    revoke(&mut view, &[partition(1)]);
    assert_eq!(ends(view.released()), []);
}

#[test]
fn what_was_read_ahead_of_a_seek_is_dropped() {
    let mut view = View::default();
    view.start_seek(&partition(0), 2, 1);
    view.start_seek(&partition(0), 3, 2);
    assert_eq!(view.positions[&partition(0)], 3);
    assert_eq!(seen(view.take(records(&[(0, 9), (1, 1)]))), [(1, 1)]);
    assert!(view.take(Signal::Sought { partition: partition(0), id: 1 }).is_none());
    assert_eq!(seen(view.take(records(&[(0, 10)]))), []);
    assert!(view.take(Signal::Sought { partition: partition(0), id: 2 }).is_none());
    assert_eq!(seen(view.take(records(&[(0, 3)]))), [(0, 3)]);
}

#[test]
fn a_revoked_partition_is_forgotten_with_its_pause() {
    let mut view = View::default();
    view.take(Signal::Assigned { partitions: vec![partition(0), partition(1)], more: false });
    view.paused.insert(partition(0));
    view.take(records(&[(0, 5), (1, 1)]));
    revoke(&mut view, &[partition(0), partition(1)]);
    assert!(view.assignment.is_empty() && view.held.is_empty() && view.positions.is_empty());
    view.take(Signal::Assigned { partitions: vec![partition(0)], more: false });
    assert_eq!(seen(view.take(records(&[(0, 5)]))), [(0, 5)]);
}

/// A consumer whose thread is the test: what it says comes from the sender, what it is asked arrives at the receiver.
fn consumer() -> (Consumer, mpsc::Sender<Signal>, std::sync::mpsc::Receiver<Seek>) {
    let props = [("bootstrap.servers", "127.0.0.1:1"), ("group.id", "g")];
    let props = props.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut consumer = Consumer::open(&props, Subscription::Topics(vec!["t".to_owned()])).unwrap();
    let (sender, signals) = mpsc::channel(8);
    let (seeks, asked) = std::sync::mpsc::channel();
    (consumer.signals, consumer.seeks) = (signals, seeks);
    (consumer, sender, asked)
}

fn revocation(numbers: &[i32]) -> (Signal, oneshot::Receiver<()>) {
    let (done, answered) = oneshot::channel();
    let partitions = numbers.iter().copied().map(partition).collect();
    (Signal::Revoked { partitions, lost: false, done }, answered)
}

async fn at_once(seek: impl Future<Output = Result<()>>) {
    tokio::time::timeout(Duration::from_secs(20), seek).await.expect("it does not wait").unwrap();
}

#[tokio::test]
async fn a_seek_does_not_wait_for_a_revocation_that_waits_for_the_owner() {
    let (mut consumer, thread, asked) = consumer();
    thread.send(records(&[(0, 9), (1, 9)])).await.unwrap();
    let (revoked, mut answered) = revocation(&[0]);
    thread.send(revoked).await.unwrap();
    at_once(consumer.seek(&partition(0), 2)).await;
    at_once(consumer.seek(&partition(1), 3)).await;
    // What is taken away is not sought, and what stays is, once the thread goes on.
    let seek = asked.try_recv().unwrap();
    assert_eq!((seek.partition.clone(), seek.offset), (partition(1), 3));
    assert!(asked.try_recv().is_err());
    let wait = Duration::from_secs(20);
    let Some(ConsumerEvent::Revoked { done, .. }) = consumer.poll(wait).await else { panic!("what was read is void") };
    assert!(answered.try_recv().is_err(), "it is the owner who answers");
    done.send(()).unwrap();
    thread.send(records(&[(1, 10)])).await.unwrap();
    thread.send(Signal::Sought { partition: partition(1), id: seek.id }).await.unwrap();
    thread.send(records(&[(1, 3)])).await.unwrap();
    assert_eq!(seen(consumer.poll(wait).await), [(1, 3)]);
}

#[tokio::test]
async fn a_revocation_that_comes_ends_the_wait_for_a_seek() {
    let (mut consumer, thread, asked) = consumer();
    let (revoked, _answered) = revocation(&[0]);
    let comes = async {
        let seek = loop {
            match asked.try_recv() {
                Ok(seek) => break seek,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        thread.send(revoked).await.unwrap();
        seek
    };
    let sought = partition(0);
    let ((), _not_carried_out) = tokio::join!(at_once(consumer.seek(&sought, 2)), comes);
    assert!(matches!(consumer.poll(Duration::from_secs(20)).await, Some(ConsumerEvent::Revoked { .. })));
}

#[tokio::test]
async fn a_seek_does_not_wait_while_a_revocation_is_answered() {
    let (mut consumer, _thread, asked) = consumer();
    consumer.inner.context().revoking.store(true, Ordering::Release);
    at_once(consumer.seek(&partition(0), 2)).await;
    assert_eq!(asked.try_recv().unwrap().offset, 2);
}

#[test]
fn seeks_of_partitions_that_were_given_up_are_void_and_others_wait_in_order() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut seeks = Seeks::new(receiver);
    for (id, number) in [(1, 0), (2, 1), (3, 0), (4, 2)] {
        let (done, _outcome) = oneshot::channel();
        sender.send(Seek { partition: partition(number), offset: 7, id, done }).unwrap();
    }
    let void: Vec<u64> = seeks.void(&[partition(0)]).iter().map(|seek| seek.id).collect();
    assert_eq!(void, [1, 3]);
    let (done, _outcome) = oneshot::channel();
    sender.send(Seek { partition: partition(1), offset: 8, id: 5, done }).unwrap();
    let left: Vec<u64> = std::iter::from_fn(|| seeks.next()).map(|seek| seek.id).collect();
    assert_eq!(left, [2, 4, 5]);
}

#[test]
fn a_pause_that_comes_behind_a_revocation_is_over_with_the_next_assignment() {
    let mut view = View::default();
    view.take(Signal::Assigned { partitions: vec![partition(0)], more: false });
    revoke(&mut view, &[partition(0)]);
    // By an owner that hears of the revocation later.
    view.paused.insert(partition(0));
    view.take(Signal::Assigned { partitions: vec![partition(0)], more: false });
    assert_eq!(seen(view.take(records(&[(0, 5)]))), [(0, 5)]);
}
