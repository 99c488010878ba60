//! Acknowledged prefix: examples, and a comparison with a naive model.

use std::sync::Arc;
use std::time::Duration;

use connect_api::{Checkpoint, OffsetMap};
use connect_kafka::{Error, ErrorKind, Position};
use proptest::prelude::*;

use super::Tracker;

const DONE: Position = Position { partition: 0, offset: 0 };

fn partition(name: &str) -> Arc<OffsetMap> {
    let mut map = OffsetMap::new();
    map.insert("p".into(), name.into());
    Arc::new(map)
}

fn checkpoint(partition: &Arc<OffsetMap>, tag: u64) -> Checkpoint {
    Checkpoint { after: 0, partition: Arc::clone(partition), offset: OffsetMap::new(), tag }
}

fn send(tracker: &mut Tracker) -> u64 {
    let sequence = tracker.reserve().expect("there is room");
    tracker.sent();
    sequence
}

fn tags(checkpoints: &[Checkpoint]) -> Vec<u64> {
    checkpoints.iter().map(|c| c.tag).collect()
}

#[test]
fn a_checkpoint_waits_for_every_record_ahead_of_it() {
    let mut tracker = Tracker::new(64, false);
    let p = partition("a");
    let (first, second) = (send(&mut tracker), send(&mut tracker));
    tracker.checkpoint(checkpoint(&p, 1));
    tracker.sink().delivered(second, Ok(DONE));
    assert!(tracker.take_complete().is_empty());
    tracker.sink().delivered(first, Ok(DONE));
    assert_eq!(tags(&tracker.take_complete()), [1]);
    assert!(tracker.take_complete().is_empty(), "it is given once");
}

#[test]
fn a_checkpoint_without_records_is_complete_at_once() {
    let mut tracker = Tracker::new(64, false);
    tracker.checkpoint(checkpoint(&partition("a"), 1));
    tracker.checkpoint(checkpoint(&partition("a"), 2));
    assert_eq!(tags(&tracker.take_complete()), [2]);
}

#[test]
fn only_so_many_records_are_in_flight() {
    let mut tracker = Tracker::new(64, false);
    let sent: Vec<u64> = (0..64).map(|_| send(&mut tracker)).collect();
    assert_eq!(tracker.reserve(), None);
    tracker.sink().delivered(sent[1], Ok(DONE));
    assert_eq!(tracker.reserve(), None, "the first one still holds the place");
    tracker.sink().delivered(sent[0], Ok(DONE));
    assert!(tracker.reserve().is_some());
}

#[test]
fn nothing_behind_a_failure_completes() {
    let mut tracker = Tracker::new(64, false);
    let p = partition("a");
    let first = send(&mut tracker);
    tracker.checkpoint(checkpoint(&p, 1));
    let second = send(&mut tracker);
    let third = send(&mut tracker);
    tracker.checkpoint(checkpoint(&p, 2));
    for sequence in [first, third] {
        tracker.sink().delivered(sequence, Ok(DONE));
    }
    tracker.sink().delivered(second, Err(Error::new(ErrorKind::TooLarge, "too large")));
    assert!(tracker.has_failed());
    assert_eq!(tags(&tracker.take_complete()), [1]);
    assert!(tracker.take_failure().is_some());
}

#[test]
fn tolerated_failures_count_as_acknowledged() {
    let mut tracker = Tracker::new(64, true);
    let only = send(&mut tracker);
    tracker.checkpoint(checkpoint(&partition("a"), 1));
    tracker.sink().delivered(only, Err(Error::new(ErrorKind::TooLarge, "too large")));
    assert_eq!(tags(&tracker.take_complete()), [1]);
    let (count, errors) = tracker.take_tolerated();
    assert_eq!((count, errors.len()), (1, 1));
    assert_eq!(tracker.take_tolerated().0, 0, "told once");
}

#[test]
fn newer_checkpoints_win_over_those_given_back() {
    let mut tracker = Tracker::new(64, false);
    let (a, b) = (partition("a"), partition("b"));
    tracker.checkpoint(checkpoint(&a, 1));
    tracker.checkpoint(checkpoint(&b, 2));
    let taken = tracker.take_complete();
    tracker.checkpoint(checkpoint(&a, 3));
    tracker.give_back(taken);
    let mut left = tags(&tracker.take_complete());
    left.sort_unstable();
    assert_eq!(left, [2, 3]);
}

#[tokio::test]
async fn waiting_ends_when_another_thread_acknowledges() {
    let mut tracker = Tracker::new(64, false);
    let sequence = send(&mut tracker);
    let sink = Arc::clone(tracker.sink());
    let thread = std::thread::spawn(move || sink.delivered(sequence, Ok(DONE)));
    tokio::time::timeout(Duration::from_secs(10), tracker.idle()).await.expect("it is woken");
    thread.join().expect("the thread ends");
}

/// What happens to a tracker.
#[derive(Clone, Debug)]
enum Step {
    Send,
    Checkpoint(u8),
    /// Acknowledges one of the records in flight.
    Acknowledge(prop::sample::Index),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        2 => (0..3u8).prop_map(Step::Checkpoint),
        4 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::Take),
    ]
}

proptest! {
    /// The naive model: a list of records with a flag, checkpoints with the number of records ahead, a full scan.
    #[test]
    fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 0..600)) {
        let mut tracker = Tracker::new(64, false);
        let partitions = [partition("a"), partition("b"), partition("c")];
        let mut acknowledged: Vec<bool> = Vec::new();
        let mut checkpoints: Vec<(usize, u8, u64)> = Vec::new();
        let mut reported = [0u64; 3];
        for (n, step) in steps.into_iter().enumerate() {
            let prefix = acknowledged.iter().take_while(|a| **a).count();
            match step {
                Step::Send => {
                    let given = tracker.reserve();
                    prop_assert_eq!(given.is_some(), acknowledged.len() - prefix < 64);
                    if let Some(sequence) = given {
                        prop_assert_eq!(sequence as usize, acknowledged.len());
                        tracker.sent();
                        acknowledged.push(false);
                    }
                }
                Step::Checkpoint(p) => {
                    let tag = n as u64 + 1;
                    tracker.checkpoint(checkpoint(&partitions[p as usize], tag));
                    checkpoints.push((acknowledged.len(), p, tag));
                }
                Step::Acknowledge(index) => {
                    let open: Vec<usize> = (0..acknowledged.len()).filter(|i| !acknowledged[*i]).collect();
                    if !open.is_empty() {
                        let chosen = open[index.index(open.len())];
                        acknowledged[chosen] = true;
                        tracker.sink().delivered(chosen as u64, Ok(DONE));
                    }
                }
                Step::Take => {
                    for (p, reported) in reported.iter().enumerate() {
                        let newest = checkpoints.iter().filter(|(after, q, _)| *after <= prefix && *q as usize == p)
                            .map(|(_, _, tag)| *tag).max().unwrap_or(0);
                        prop_assert!(newest >= *reported);
                    }
                    for taken in tracker.take_complete() {
                        let p = partitions.iter().position(|q| **q == *taken.partition).expect("one of ours");
                        reported[p] = taken.tag;
                    }
                    for (p, reported) in reported.iter().enumerate() {
                        let newest = checkpoints.iter().filter(|(after, q, _)| *after <= prefix && *q as usize == p)
                            .map(|(_, _, tag)| *tag).max().unwrap_or(0);
                        prop_assert_eq!(*reported, newest);
                    }
                }
            }
        }
    }
}
