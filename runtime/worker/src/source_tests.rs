//! The source loop against Kafka in memory, with a crash at every step.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{
    Between, Checkpoint, Datum, Error, ErrorKind, OffsetMap, Record, Result, SourceBatch, SourceTask, Value,
};
use connect_cluster::{TaskId, UnitId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::News;
use crate::failure::ErrorPolicy;
use crate::memory::{MemoryBroker, MemoryLog};
use crate::offsets::OffsetTable;
use crate::testing::{converters, eventually, news, recovery, works};
use crate::unit::UnitEvent;

/// What a scripted source does, seen from outside.
#[derive(Default)]
struct Seen {
    /// Tags of the checkpoints that were confirmed.
    committed: Vec<u64>,
    stopped: bool,
}

/// A source that gives what it was told to, then waits.
struct Script {
    steps: VecDeque<Result<SourceBatch>>,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl SourceTask for Script {
    async fn poll(&mut self) -> Result<SourceBatch> {
        match self.steps.pop_front() {
            Some(step) => step,
            None => std::future::pending().await,
        }
    }

    async fn committed(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.seen.lock().committed.push(checkpoint.tag);
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        self.seen.lock().stopped = true;
        Ok(())
    }
}

fn record(value: &str) -> Record {
    Record::source(Arc::from("t"), Datum::null(), Datum::schemaless(Value::string(value)))
}

fn offset(at: u64) -> OffsetMap {
    let mut map = OffsetMap::new();
    map.insert("at".into(), at.into());
    map
}

fn partition() -> OffsetMap {
    let mut map = OffsetMap::new();
    map.insert("p".into(), "x".into());
    map
}

/// A batch of these values with a checkpoint behind the last.
fn batch(values: &[&str], tag: u64) -> SourceBatch {
    let checkpoint = Checkpoint { after: values.len(), partition: Arc::new(partition()), offset: offset(tag), tag };
    SourceBatch {
        records: values.iter().map(|value| record(value)).collect(),
        checkpoints: vec![checkpoint],
        between: None,
    }
}

/// A running loop and everything around it.
struct Rig {
    broker: MemoryBroker,
    log: MemoryLog,
    seen: Arc<Mutex<Seen>>,
    wanted: watch::Sender<Wanted>,
    control: Control,
    cancel: CancellationToken,
    connection: watch::Sender<bool>,
    events: mpsc::Receiver<UnitEvent>,
    metrics: Arc<TaskMetrics>,
    handle: JoinHandle<Result<()>>,
}

impl Rig {
    fn start(broker: MemoryBroker, steps: Vec<Result<SourceBatch>>, policy: ErrorPolicy) -> Self {
        let table = OffsetTable::default();
        let log = MemoryLog::new(table.clone());
        Self::start_with(broker, log, table, steps, policy)
    }

    fn start_with(
        broker: MemoryBroker,
        log: MemoryLog,
        table: OffsetTable,
        steps: Vec<Result<SourceBatch>>,
        policy: ErrorPolicy,
    ) -> Self {
        Self::start_waiting(broker, log, table, steps, policy, Duration::from_millis(200))
    }

    fn start_waiting(
        broker: MemoryBroker,
        log: MemoryLog,
        table: OffsetTable,
        steps: Vec<Result<SourceBatch>>,
        policy: ErrorPolicy,
        flush_timeout: Duration,
    ) -> Self {
        Self::start_recovered(broker, log, table, steps, policy, flush_timeout, true)
    }

    fn start_recovered(
        broker: MemoryBroker,
        log: MemoryLog,
        table: OffsetTable,
        steps: Vec<Result<SourceBatch>>,
        policy: ErrorPolicy,
        flush_timeout: Duration,
        recovered: bool,
    ) -> Self {
        Self::start_attended(broker, log, table, steps, policy, flush_timeout, (recovered, recovery(recovered)))
    }

    /// With what the task was told of its recovery, and what is said of it later.
    fn start_attended(
        broker: MemoryBroker,
        log: MemoryLog,
        table: OffsetTable,
        steps: Vec<Result<SourceBatch>>,
        policy: ErrorPolicy,
        flush_timeout: Duration,
        (recovers, recovery): (bool, RecoveryOf),
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (wanted, orders) = watch::channel(Wanted::Run);
        let cancel = CancellationToken::new();
        let (connection, connected) = watch::channel(true);
        let (sender, events) = mpsc::channel(64);
        let unit = UnitId::Task(TaskId { connector: Arc::from("c"), task: 0 });
        let metrics = TaskMetrics::shared();
        let reporter = Reporter {
            policy: policy.clone(),
            connector: Arc::from("c"),
            task: 0,
            metrics: Arc::clone(&metrics),
            dead_letters: None,
        };
        let control = Control::new(orders, cancel.clone(), News { unit, run: 1, events: sender });
        let source = SourceLoop {
            task: Box::new(Script { steps: steps.into(), seen: Arc::clone(&seen) }),
            control: control.clone(),
            encoder: Encoder::new(converters()),
            producer: broker.producer(),
            tracker: Tracker::new(64, policy.tolerate),
            offsets: Arc::new(OffsetStore::new(table, Arc::new(log.clone()))),
            reporter,
            topics: TopicCreation::off(),
            used: TopicsUsed::new(Arc::new(AtomicU64::new(0)), true),
            metrics: Arc::clone(&metrics),
            settings: SourceSettings { flush_interval: Duration::from_millis(5), flush_timeout },
            exactly_once: None,
            recovery,
            recovers,
            connected,
            dropped: Dropped::default(),
        };
        let handle = tokio::spawn(source.run());
        Self { broker, log, seen, wanted, control, cancel, connection, events, metrics, handle }
    }

    async fn end(self) -> Result<()> {
        self.wanted.send_replace(Wanted::End);
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.handle).await.expect("it ends").expect("no panic")
    }

    fn values(&self) -> Vec<String> {
        values(&self.broker)
    }

    /// The last offset that is durable.
    fn stored(&self) -> Option<u64> {
        stored(&self.log)
    }
}

fn values(broker: &MemoryBroker) -> Vec<String> {
    broker.records("t").into_iter().map(|r| String::from_utf8(r.value.unwrap_or_default()).expect("text")).collect()
}

fn stored(log: &MemoryLog) -> Option<u64> {
    let (log, table) = log.reopen();
    let store = OffsetStore::new(table, Arc::new(log));
    let read = store.read("c", &partition()).now_or_never().expect("in memory").expect("read");
    read.and_then(|offset| offset.get("at")?.as_u64())
}

#[tokio::test]
async fn records_arrive_in_order_and_positions_follow() {
    let mut rig =
        Rig::start(MemoryBroker::new(), vec![Ok(batch(&["a", "b"], 1)), Ok(batch(&["c"], 2))], ErrorPolicy::default());
    eventually(|| rig.seen.lock().committed.last() == Some(&2)).await;
    assert_eq!(rig.values(), ["a", "b", "c"]);
    assert_eq!(rig.stored(), Some(2));
    let event = news(&mut rig.events).await;
    assert!(matches!(event.what, UnitNews::TopicUsed { topic } if topic == "t"));
    assert_eq!(TaskMetrics::get(&rig.metrics.written), 3);
    let seen = Arc::clone(&rig.seen);
    rig.end().await.expect("a clean end");
    assert!(seen.lock().stopped);
}

#[tokio::test]
async fn nothing_is_confirmed_before_it_is_acknowledged() {
    let broker = MemoryBroker::new();
    broker.hold(100);
    let rig = Rig::start(broker, vec![Ok(batch(&["a", "b"], 1)), Ok(batch(&["c"], 2))], ErrorPolicy::default());
    eventually(|| rig.broker.pending() == 3).await;
    rig.broker.acknowledge(1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!((rig.stored(), rig.seen.lock().committed.len()), (None, 0));
    rig.broker.acknowledge(1);
    eventually(|| rig.seen.lock().committed == [1]).await;
    assert_eq!(rig.stored(), Some(1));
    rig.broker.acknowledge(1);
    eventually(|| rig.seen.lock().committed == [1, 2]).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn nothing_is_confirmed_while_offsets_can_not_be_written() {
    let table = OffsetTable::default();
    let log = MemoryLog::new(table.clone());
    log.set_failing(true);
    let steps = vec![Ok(batch(&["a"], 1))];
    let rig = Rig::start_with(MemoryBroker::new(), log, table, steps, ErrorPolicy::default());
    eventually(|| TaskMetrics::get(&rig.metrics.commit_failures) > 1).await;
    assert!(rig.seen.lock().committed.is_empty());
    rig.log.set_failing(false);
    eventually(|| rig.seen.lock().committed == [1]).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_store_that_does_not_answer() {
    let table = OffsetTable::default();
    let log = MemoryLog::new(table.clone());
    log.hang();
    let steps = vec![Ok(batch(&["a"], 1))];
    let rig = Rig::start_with(MemoryBroker::new(), log, table, steps, ErrorPolicy::default());
    eventually(|| rig.values() == ["a"]).await;
    let seen = Arc::clone(&rig.seen);
    rig.end().await.expect("a clean end");
    let seen = seen.lock();
    assert!(seen.stopped && seen.committed.is_empty());
}

#[tokio::test]
async fn a_full_queue_holds_the_source_back_and_a_stop_gets_through() {
    let broker = MemoryBroker::new();
    broker.hold(2);
    let rig = Rig::start(broker, vec![Ok(batch(&["a", "b", "c", "d"], 1))], ErrorPolicy::default());
    eventually(|| rig.broker.pending() == 2).await;
    rig.broker.acknowledge(1);
    eventually(|| rig.broker.pending() == 2).await;
    assert_eq!(rig.values(), ["a"]);
    let log = rig.log.clone();
    rig.end().await.expect("a stop in the middle of a batch is clean");
    assert_eq!(stored(&log), None);
}

#[tokio::test]
async fn a_pause_commits_and_rests_and_a_resume_goes_on() {
    let mut rig = Rig::start(MemoryBroker::new(), vec![Ok(batch(&["a"], 1))], ErrorPolicy::default());
    eventually(|| rig.values() == ["a"]).await;
    rig.wanted.send_replace(Wanted::Rest);
    while !matches!(news(&mut rig.events).await.what, UnitNews::Paused) {}
    assert_eq!(rig.stored(), Some(1), "a pause commits");
    rig.wanted.send_replace(Wanted::Run);
    assert!(matches!(rig.events.recv().await.expect("an event").what, UnitNews::Running));
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_poll_that_may_succeed_later_is_tried_again_and_others_fail_the_task() {
    let away = Error::new(ErrorKind::Unavailable, "away");
    let rig = Rig::start(
        MemoryBroker::new(),
        vec![Err(away), Ok(batch(&["a"], 1)), Err(Error::connect("broken"))],
        ErrorPolicy::default(),
    );
    let (broker, log) = (rig.broker.clone(), rig.log.clone());
    let error = rig.handle.await.expect("no panic").expect_err("the last poll fails");
    assert_eq!(error.message(), "broken");
    assert_eq!((values(&broker), stored(&log)), (vec!["a".to_owned()], Some(1)), "what was done stays done");
}

/// A source whose polls fail so often, then give a value.
fn away(failures: usize) -> Vec<Result<SourceBatch>> {
    let failed = (0..failures).map(|_| Err(Error::new(ErrorKind::Unavailable, "away")));
    failed.chain([Ok(batch(&["a"], 1))]).collect()
}

#[tokio::test]
async fn a_task_that_is_tried_again_from_outside_polls_a_few_times_and_fails_where_others_go_on() {
    let start = |failures, recovered| {
        let (broker, table) = (MemoryBroker::new(), OffsetTable::default());
        let (log, patience) = (MemoryLog::new(table.clone()), Duration::from_millis(200));
        Rig::start_recovered(broker, log, table, away(failures), ErrorPolicy::default(), patience, recovered)
    };
    let rig = start(POLL_RETRIES as usize, true);
    eventually(|| rig.values() == ["a"]).await;
    rig.end().await.expect("a short blip is nobody's concern");

    let began = Instant::now();
    let rig = start(POLL_RETRIES as usize + 1, true);
    let error = rig.handle.await.expect("no panic").expect_err("it lasts too long");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "away"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let rig = start(POLL_RETRIES as usize + 2, false);
    tokio::time::timeout(Duration::from_secs(60), async {
        while rig.values().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("without recovery it tries on, as the JVM does");
    rig.end().await.expect("a clean end");
}

/// A reader that was told that others try again has given up, and says the same for ever.
#[tokio::test]
async fn a_task_that_gave_up_for_others_to_try_again_ends_also_when_they_do_not_any_more() {
    let (broker, table) = (MemoryBroker::new(), OffsetTable::default());
    let (log, patience) = (MemoryLog::new(table.clone()), Duration::from_millis(200));
    let attended = (true, recovery(false));
    let rig = Rig::start_attended(broker, log, table, away(1_000), ErrorPolicy::default(), patience, attended);
    let ended = tokio::time::timeout(Duration::from_secs(20), rig.handle).await.expect("it ends");
    let error = ended.expect("no panic").expect_err("it lasts too long");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "away"));
}

#[tokio::test]
async fn a_task_works_while_it_is_connected_and_its_polls_succeed_and_it_does_not_rest() {
    let mut rig = Rig::start(MemoryBroker::new(), away(2), ErrorPolicy::default());
    assert!(works(&mut rig.events).await, "nothing else is known");
    assert!(!works(&mut rig.events).await, "a poll failed");
    assert!(works(&mut rig.events).await, "a poll succeeded");
    rig.connection.send_replace(false);
    assert!(!works(&mut rig.events).await);
    rig.connection.send_replace(true);
    assert!(works(&mut rig.events).await);
    rig.wanted.send_replace(Wanted::Rest);
    assert!(!works(&mut rig.events).await);
    rig.wanted.send_replace(Wanted::Run);
    assert!(works(&mut rig.events).await);
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_task_that_waits_to_poll_again_stops_at_once() {
    let (broker, table) = (MemoryBroker::new(), OffsetTable::default());
    let (log, patience) = (MemoryLog::new(table.clone()), Duration::from_millis(200));
    let rig = Rig::start_recovered(broker, log, table, away(1_000), ErrorPolicy::default(), patience, false);
    // By now it waits for more than three seconds.
    sleep(Duration::from_secs(4)).await;
    let asked = Instant::now();
    rig.end().await.expect("a clean end");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// A reader that is gone says why only once.
#[tokio::test]
async fn the_error_that_came_first_is_the_cause_of_what_follows() {
    let steps = vec![Err(Error::new(ErrorKind::Unavailable, "away")), Err(Error::connect("the reader is gone"))];
    let rig = Rig::start(MemoryBroker::new(), steps, ErrorPolicy::default());
    let error = rig.handle.await.expect("no panic").expect_err("the last poll fails");
    assert_eq!(error.message(), "the reader is gone");
    assert_eq!((error.root().kind(), error.root().message()), (ErrorKind::Unavailable, "away"));
}

#[tokio::test]
async fn a_record_that_can_not_be_delivered_fails_the_task_and_nothing_behind_it_is_stored() {
    let broker = MemoryBroker::new();
    broker.break_topic("t");
    let rig = Rig::start(broker, vec![Ok(batch(&["a"], 1))], ErrorPolicy::default());
    let log = rig.log.clone();
    let error = rig.handle.await.expect("no panic").expect_err("delivery fails");
    assert_eq!(
        error.trace().lines().next(),
        Some("org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception from producer send callback")
    );
    assert_eq!(stored(&log), None);
}

#[tokio::test]
async fn under_tolerance_a_record_that_can_not_be_delivered_is_skipped() {
    let broker = MemoryBroker::new();
    broker.break_topic("t");
    let policy = ErrorPolicy { tolerate: true, ..ErrorPolicy::default() };
    let rig = Rig::start(broker, vec![Ok(batch(&["a"], 1))], policy);
    eventually(|| rig.seen.lock().committed == [1]).await;
    rig.end().await.expect("a clean end");
}

/// The places of records of a batch: that of record n has tag n; before them is one of tag `before`, when there is one.
fn places(before: Option<u64>) -> Between {
    let tagged = |count: usize, tag| batch(&vec![""; count], tag).checkpoints.remove(0);
    let first = before.map(|tag| tagged(0, tag));
    Between::new(move |record| match record {
        0 => first.clone(),
        _ => Some(tagged(record, u64::try_from(record).expect("a small number"))),
    })
}

/// A batch: its records, the tags of its checkpoints behind so many of them, and what is between.
type Brought<'a> = (&'a [&'a str], &'a [(usize, u64)], Between);

/// Runs batches, of records that are dropped (`POISON`) or sent, and gives the tags of the positions that were stored.
async fn stored_tags(batches: Vec<Brought<'_>>, until: u64) -> Vec<u64> {
    let steps = batches.into_iter().map(|(records, checkpoints, between)| {
        Ok(SourceBatch {
            records: records.iter().map(|text| record(text)).collect(),
            checkpoints: checkpoints
                .iter()
                .map(|(after, tag)| batch(&vec![""; *after], *tag).checkpoints.remove(0))
                .collect(),
            between: Some(between),
        })
    });
    let policy = ErrorPolicy { tolerate: true, ..ErrorPolicy::default() };
    let rig = Rig::start(MemoryBroker::new(), steps.collect(), policy);
    eventually(|| rig.seen.lock().committed.last() == Some(&until)).await;
    let seen = Arc::clone(&rig.seen);
    rig.end().await.expect("a clean end");
    seen.lock().committed.clone()
}

#[tokio::test]
async fn the_position_is_that_of_the_last_record_that_was_sent() {
    let left_out: Brought<'_> = (&["a", "POISON", "POISON"], &[(3, 30)], places(None));
    let nothing: Brought<'_> = (&[], &[(0, 50)], places(Some(50)));
    let sent: Brought<'_> = (&["b"], &[(1, 40)], places(None));
    let tags = stored_tags(vec![left_out.clone()], 1).await;
    assert_eq!(tags, [1]);
    // However often it is said where the records that were left out end.
    let tags = stored_tags(vec![left_out, nothing.clone(), nothing, sent], 40).await;
    assert!(tags.iter().all(|tag| matches!(tag, 1 | 40)), "{tags:?}");
}

#[tokio::test]
async fn the_record_that_was_sent_may_be_of_a_batch_before() {
    // Its checkpoint comes with the next batch, or never because what is read next is dropped at once.
    let tags = stored_tags(vec![(&["a", "b"], &[], places(None)), (&["POISON"], &[(1, 30)], places(None))], 2).await;
    assert_eq!(tags, [2]);
    let tags =
        stored_tags(vec![(&["a"], &[], places(None)), (&["POISON"], &[(0, 20), (1, 30)], places(Some(20)))], 20).await;
    assert_eq!(tags, [20]);
    // Of an event with two records the second was dropped: its checkpoint is that of the first as well.
    let of_both = Between::new(|record| (record > 0).then(|| batch(&["", ""], 10).checkpoints.remove(0)));
    let nothing: Brought<'_> = (&[], &[(0, 20)], places(Some(20)));
    let next: Brought<'_> = (&["POISON"], &[(1, 30)], places(None));
    let tags = stored_tags(vec![(&["a", "POISON"], &[(2, 10)], of_both), nothing, next], 20).await;
    assert!(tags.iter().all(|tag| matches!(tag, 10 | 20)), "{tags:?}");
    // A place before the batch is one of what was dropped, when the batch before ended so.
    let batches: Vec<Brought<'_>> = vec![
        (&["a", "POISON"], &[(2, 20)], places(None)),
        (&["POISON"], &[(0, 21), (1, 30)], places(Some(21))),
        (&["b"], &[(1, 40)], places(None)),
    ];
    let tags = stored_tags(batches, 40).await;
    assert!(tags.iter().all(|tag| matches!(tag, 1 | 40)), "{tags:?}");
}

#[tokio::test]
async fn a_record_that_does_not_convert_fails_the_task_or_is_skipped() {
    let bad = SourceBatch {
        records: vec![record("a"), record("POISON"), record("b")],
        checkpoints: batch(&["", "", ""], 1).checkpoints,
        between: None,
    };
    let rig = Rig::start(MemoryBroker::new(), vec![Ok(bad.clone())], ErrorPolicy::default());
    let error = rig.handle.await.expect("no panic").expect_err("no tolerance");
    let trace = error.trace();
    assert!(
        trace.starts_with("org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n")
    );
    assert!(trace.contains("Caused by: org.apache.kafka.connect.errors.DataException: poisoned"), "{trace}");

    let policy = ErrorPolicy { tolerate: true, ..ErrorPolicy::default() };
    let rig = Rig::start(MemoryBroker::new(), vec![Ok(bad)], policy);
    eventually(|| rig.seen.lock().committed == [1]).await;
    assert_eq!(rig.values(), ["a", "b"]);
    assert_eq!(TaskMetrics::get(&rig.metrics.skipped), 1);
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn without_the_right_to_work_the_end_waits_for_nothing_and_confirms_nothing() {
    let broker = MemoryBroker::new();
    broker.hold(100);
    let table = OffsetTable::default();
    let log = MemoryLog::new(table.clone());
    let steps = vec![Ok(batch(&["a"], 1)), Ok(batch(&["b"], 2))];
    let patience = Duration::from_secs(60);
    let rig = Rig::start_waiting(broker.clone(), log, table, steps, ErrorPolicy::default(), patience);
    eventually(|| broker.pending() == 2).await;
    rig.control.lose();
    let ended = tokio::time::timeout(Duration::from_secs(10), rig.handle).await.expect("it ends by itself");
    ended.expect("no panic").expect("a clean end");
    assert!(rig.seen.lock().stopped && rig.seen.lock().committed.is_empty());
    assert_eq!(stored(&rig.log), None);
}

/// Invariant 5, whatever the moment of a crash: what is confirmed is stored, and what is stored is produced. The source
/// starts again where the store says, so that no value is missing in the end.
#[tokio::test]
async fn a_crash_at_any_step_loses_nothing() {
    let all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let script = |from: u64| -> Vec<Result<SourceBatch>> {
        let rest = all.iter().enumerate().skip(usize::try_from(from).expect("small"));
        rest.map(|(n, value)| Ok(batch(&[value.as_str()], n as u64 + 1))).collect()
    };
    for step in 0..24 {
        let broker = MemoryBroker::new();
        broker.hold(100);
        let rig = Rig::start(broker.clone(), script(0), ErrorPolicy::default());
        eventually(|| broker.pending() == all.len()).await;
        broker.acknowledge(step / 2);
        if step % 2 == 1 {
            // Let the store catch up with the acknowledgements before the crash.
            eventually(|| rig.stored() == Some(step as u64 / 2).filter(|n| *n > 0)).await;
        }
        rig.handle.abort();
        broker.crash();
        let durable = stored(&rig.log).unwrap_or(0);
        let confirmed = rig.seen.lock().committed.iter().copied().max().unwrap_or(0);
        assert!(confirmed <= durable, "step {step}: {confirmed} was confirmed, {durable} is stored");
        assert!(durable as usize <= values(&broker).len(), "step {step}: an offset is ahead of its records");

        let (log, table) = rig.log.reopen();
        broker.hold(usize::MAX);
        let again = Rig::start_with(broker.clone(), log, table, script(durable), ErrorPolicy::default());
        eventually(|| broker.pending() == all.len() - durable as usize).await;
        broker.acknowledge(usize::MAX);
        eventually(|| again.stored() == Some(all.len() as u64)).await;
        let mut got = values(&broker);
        got.dedup();
        got.sort_by_key(|value| value.parse::<u64>().expect("a number"));
        got.dedup();
        assert_eq!(got, all, "step {step}");
        again.end().await.expect("a clean end");
    }
}
