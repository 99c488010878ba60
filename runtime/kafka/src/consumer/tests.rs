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
    assert_eq!(view.released().unwrap()[0].offset, 5);
    assert_eq!(view.positions[&partition(0)], 6);
    assert!(view.released().is_none());
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
