//! The sink loop against Kafka in memory.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use connect_api::ErrorKind;
use connect_cluster::{TaskId, UnitId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::News;
use crate::dead_letters::{DeadLetterConfig, DeadLetters};
use crate::failure::ErrorPolicy;
use crate::memory::{MemoryBroker, MemoryConsumer, Stored};
use crate::testing::{counted_converters, eventually, news, recovery, works};
use crate::unit::UnitEvent;

/// What a recording sink saw, and how it behaves.
#[derive(Default)]
struct Seen {
    values: Vec<String>,
    flushes: usize,
    opened: Vec<String>,
    closed: Vec<String>,
    stopped: bool,
    /// So many puts fail with a retriable error first.
    busy: usize,
    /// It sets an end to its retries itself, and says when the next one is due.
    bounded: Option<Duration>,
    /// Nobody tries a failed task again.
    unattended: bool,
    /// So many flushes fail first.
    flush_failures: usize,
    slow: Duration,
    /// Puts wait as long as this is so.
    held: bool,
    /// The time between commits, where it matters.
    interval: Option<Duration>,
    /// After so long a put counts as slow, where it matters.
    slow_put: Option<Duration>,
}

struct Recorder(Arc<Mutex<Seen>>);

#[async_trait]
impl SinkTask for Recorder {
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Rejected>> {
        let slow = self.0.lock().slow;
        if !slow.is_zero() {
            sleep(slow).await;
        }
        while self.0.lock().held {
            sleep(Duration::from_millis(1)).await;
        }
        let mut seen = self.0.lock();
        if seen.busy > 0 {
            seen.busy -= 1;
            let error = Error::new(ErrorKind::Unavailable, "busy");
            return Err(match seen.bounded {
                Some(wait) => error.retry_after(wait),
                None => error,
            });
        }
        let mut rejected = Vec::new();
        for (index, sunk) in batch.iter().enumerate() {
            match sunk.record.value.value.as_str() {
                Some("REJECT") => rejected.push(Rejected { index, error: Error::data("not wanted") }),
                Some("FATAL") => return Err(Error::data("broken sink")),
                Some(text) => seen.values.push(text.to_owned()),
                None => seen.values.push("null".to_owned()),
            }
        }
        Ok(rejected)
    }

    fn bounds_retries(&self) -> bool {
        self.0.lock().bounded.is_some()
    }

    async fn flush(&mut self) -> Result<()> {
        let mut seen = self.0.lock();
        seen.flushes += 1;
        if seen.flush_failures > 0 {
            seen.flush_failures -= 1;
            return Err(Error::new(ErrorKind::Unavailable, "can't flush"));
        }
        Ok(())
    }

    async fn open(&mut self, partitions: &[connect_api::TopicPartition]) -> Result<()> {
        self.0.lock().opened.extend(partitions.iter().map(|p| p.topic.to_string()));
        Ok(())
    }

    async fn close(&mut self, partitions: &[connect_api::TopicPartition]) -> Result<()> {
        self.0.lock().closed.extend(partitions.iter().map(|p| p.topic.to_string()));
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        self.0.lock().stopped = true;
        Ok(())
    }
}

struct Rig {
    broker: MemoryBroker,
    seen: Arc<Mutex<Seen>>,
    wanted: watch::Sender<Wanted>,
    control: Control,
    events: mpsc::Receiver<UnitEvent>,
    metrics: Arc<TaskMetrics>,
    /// How many values were decoded.
    decoded: Arc<AtomicUsize>,
    handle: JoinHandle<Result<()>>,
}

/// A broker with these values in topic `t`.
async fn broker(values: &[&str]) -> MemoryBroker {
    let broker = MemoryBroker::new();
    produce(&broker, values).await;
    broker
}

async fn produce(broker: &MemoryBroker, values: &[&str]) {
    let producer = broker.producer();
    let mut tracker = crate::acks::Tracker::new(64, false);
    for value in values {
        let token = tracker.reserve().expect("there is room");
        let headers = [("own", Some(&b"header"[..]))];
        let message = crate::io::Message {
            topic: "t",
            partition: None,
            timestamp_ms: Some(7),
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &headers,
        };
        producer.send(message, token, tracker.sink()).expect("sent");
        tracker.sent();
    }
    tracker.idle().await;
}

impl Rig {
    async fn start(broker: MemoryBroker, seen: Seen, policy: ErrorPolicy, dead_letters: bool) -> Self {
        let consumer = broker.consumer("g", "t");
        Self::start_with(broker, consumer, seen, policy, dead_letters).await
    }

    async fn start_with(
        broker: MemoryBroker,
        consumer: MemoryConsumer,
        seen: Seen,
        policy: ErrorPolicy,
        dead_letters: bool,
    ) -> Self {
        let recovered = !seen.unattended;
        let flush_interval = seen.interval.unwrap_or(Duration::from_millis(20));
        let slow_put = seen.slow_put.unwrap_or(Duration::from_millis(30));
        let decoded = Arc::default();
        let seen = Arc::new(Mutex::new(seen));
        let (wanted, orders) = watch::channel(Wanted::Run);
        let (sender, events) = mpsc::channel(64);
        let unit = UnitId::Task(TaskId { connector: Arc::from("c"), task: 3 });
        let metrics = TaskMetrics::shared();
        let letters = DeadLetterConfig { topic: "dlq".to_owned(), replication_factor: 1, context_headers: true };
        let dead_letters = if dead_letters {
            let topics = broker.topics();
            Some(DeadLetters::open(letters, broker.producer(), &*topics, Arc::from("c"), 3).await.expect("opened"))
        } else {
            None
        };
        let reporter =
            Reporter { policy, connector: Arc::from("c"), task: 3, metrics: Arc::clone(&metrics), dead_letters };
        let control = Control::new(orders, CancellationToken::new(), News { unit, run: 1, events: sender });
        let sink = SinkLoop {
            task: Box::new(Recorder(Arc::clone(&seen))),
            control: control.clone(),
            converters: counted_converters(&decoded),
            consumer: Box::new(consumer),
            reporter,
            used: TopicsUsed::new(Arc::new(AtomicU64::new(0)), true),
            metrics: Arc::clone(&metrics),
            flush_interval,
            flush_timeout: Duration::from_secs(5),
            slow_put,
            patience: Duration::from_millis(400),
            recovery: recovery(recovered),
        };
        Self { broker, seen, wanted, control, events, metrics, decoded, handle: tokio::spawn(sink.run()) }
    }

    fn committed(&self) -> Option<i64> {
        self.broker.committed("g").get(&kafka::TopicPartition::new("t", 0)).copied()
    }

    fn values(&self) -> Vec<String> {
        self.seen.lock().values.clone()
    }

    async fn end(self) -> Result<()> {
        self.wanted.send_replace(Wanted::End);
        tokio::time::timeout(Duration::from_secs(10), self.handle).await.expect("it ends").expect("no panic")
    }

    async fn failure(self) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(10), self.handle).await.expect("it ends");
        ended.expect("no panic").expect_err("it fails").trace()
    }
}

fn tolerant() -> ErrorPolicy {
    ErrorPolicy { tolerate: true, ..ErrorPolicy::default() }
}

fn text(bytes: &Option<Vec<u8>>) -> String {
    bytes.as_ref().map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[tokio::test]
async fn records_are_put_in_order_and_their_offsets_committed_after_a_flush() {
    let mut rig = Rig::start(broker(&["a", "b"]).await, Seen::default(), ErrorPolicy::default(), false).await;
    eventually(|| rig.committed() == Some(2)).await;
    assert_eq!(rig.values(), ["a", "b"]);
    assert!(rig.seen.lock().flushes > 0);
    produce(&rig.broker, &["c"]).await;
    eventually(|| rig.values() == ["a", "b", "c"]).await;
    assert!(matches!(news(&mut rig.events).await.what, UnitNews::TopicUsed { topic } if topic == "t"));
    let (seen, broker) = (Arc::clone(&rig.seen), rig.broker.clone());
    rig.end().await.expect("a clean end");
    assert_eq!(broker.committed("g").values().copied().collect::<Vec<_>>(), [3], "the end commits");
    let seen = seen.lock();
    assert_eq!(
        (seen.opened.as_slice(), seen.closed.as_slice(), seen.stopped),
        (&["t".to_owned()][..], &["t".to_owned()][..], true)
    );
}

#[tokio::test]
async fn a_busy_sink_gets_the_same_batch_again() {
    let seen = Seen { busy: 1, ..Seen::default() };
    let rig = Rig::start(broker(&["a", "b"]).await, seen, ErrorPolicy::default(), false).await;
    eventually(|| TaskMetrics::get(&rig.metrics.retries) == 1).await;
    assert_eq!(rig.committed(), None, "nothing was put yet");
    produce(&rig.broker, &["c"]).await;
    eventually(|| rig.committed() == Some(3)).await;
    assert_eq!(rig.values(), ["a", "b", "c"], "in order, none twice");
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_sink_that_stays_busy_fails_where_the_task_is_tried_again_from_outside_and_is_asked_on_where_not() {
    let seen = Seen { busy: usize::MAX, ..Seen::default() };
    let rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
    let broker = rig.broker.clone();
    let trace = rig.failure().await;
    assert!(trace.contains("Exiting WorkerSinkTask due to unrecoverable exception."), "{trace}");
    assert!(trace.contains("Caused by: org.apache.kafka.connect.errors.RetriableException: busy"), "{trace}");
    assert!(broker.committed("g").is_empty());

    // Two waits are longer than the patience of the test.
    let seen = Seen { busy: 3, unattended: true, ..Seen::default() };
    let rig = Rig::start(broker, seen, ErrorPolicy::default(), false).await;
    eventually(|| rig.committed() == Some(1)).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_sink_that_sets_an_end_itself_is_asked_until_then_and_as_often_as_it_says() {
    let seen = Seen { busy: usize::MAX, bounded: Some(Duration::from_millis(20)), ..Seen::default() };
    let rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
    // Longer than the patience, and more often than the growing waits would allow.
    eventually(|| TaskMetrics::get(&rig.metrics.retries) >= 20).await;
    sleep(Duration::from_millis(500)).await;
    rig.seen.lock().busy = 1;
    eventually(|| rig.committed() == Some(1)).await;
    assert_eq!(rig.values(), ["a"]);
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_batch_that_waits_to_be_given_again_holds_up_neither_pause_nor_stop() {
    let seen = Seen { busy: usize::MAX, ..Seen::default() };
    let mut rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
    eventually(|| TaskMetrics::get(&rig.metrics.retries) == 1).await;
    rig.wanted.send_replace(Wanted::Rest);
    while !matches!(news(&mut rig.events).await.what, UnitNews::Paused) {}
    // Longer than the patience: what rests is not tried, and does not fail.
    sleep(Duration::from_millis(600)).await;
    rig.seen.lock().busy = 1;
    rig.wanted.send_replace(Wanted::Run);
    eventually(|| rig.committed() == Some(1)).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn an_error_of_the_sink_fails_the_task_and_nothing_is_committed() {
    let rig = Rig::start(broker(&["a", "FATAL"]).await, Seen::default(), ErrorPolicy::default(), false).await;
    let broker = rig.broker.clone();
    assert_eq!(
        rig.failure().await,
        "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\
         Caused by: org.apache.kafka.connect.errors.DataException: broken sink\n"
    );
    assert!(broker.committed("g").is_empty());
}

#[tokio::test]
async fn a_record_that_does_not_convert_becomes_a_dead_letter_with_the_jvms_headers() {
    let rig = Rig::start(broker(&["a", "POISON", "b"]).await, Seen::default(), tolerant(), true).await;
    eventually(|| rig.committed() == Some(3)).await;
    assert_eq!(rig.values(), ["a", "b"]);
    let letters = rig.broker.records("dlq");
    let [letter] = letters.as_slice() else { panic!("one letter: {letters:?}") };
    let Stored { key, value, headers, timestamp_ms, .. } = letter;
    assert_eq!((text(key), text(value), *timestamp_ms), ("k".to_owned(), "POISON".to_owned(), Some(7)));
    // Frames name lines of code, which move.
    let plain =
        |text: String| -> String { text.split_inclusive('\n').filter(|line| !line.starts_with("\tat ")).collect() };
    let got: Vec<(&str, String)> = headers.iter().map(|(name, value)| (name.as_str(), plain(text(value)))).collect();
    let expected = [
        ("own", "header"),
        ("__connect.errors.topic", "t"),
        ("__connect.errors.partition", "0"),
        ("__connect.errors.offset", "1"),
        ("__connect.errors.connector.name", "c"),
        ("__connect.errors.task.id", "3"),
        ("__connect.errors.stage", "VALUE_CONVERTER"),
        ("__connect.errors.class.name", "test.Value"),
        ("__connect.errors.exception.class.name", "org.apache.kafka.connect.errors.DataException"),
        ("__connect.errors.exception.message", "poisoned"),
        ("__connect.errors.exception.stacktrace", "org.apache.kafka.connect.errors.DataException: poisoned\n"),
    ];
    assert_eq!(got, expected.map(|(name, value)| (name, value.to_owned())));
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_rejected_record_becomes_a_dead_letter_and_others_are_written() {
    let rig = Rig::start(broker(&["a", "REJECT", "b"]).await, Seen::default(), tolerant(), true).await;
    eventually(|| rig.committed() == Some(3)).await;
    assert_eq!(rig.values(), ["a", "b"]);
    let letters = rig.broker.records("dlq");
    let stage = letters[0].headers.iter().find(|(name, _)| name == "__connect.errors.stage").expect("a stage");
    let class = letters[0].headers.iter().find(|(name, _)| name == "__connect.errors.class.name").expect("a class");
    assert_eq!((text(&stage.1).as_str(), text(&class.1).as_str()), ("TASK_PUT", SINK_TASK));
    assert_eq!(TaskMetrics::get(&rig.metrics.dead_letters), 1);
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn without_tolerance_the_letter_is_written_and_the_task_fails() {
    let rig = Rig::start(broker(&["REJECT"]).await, Seen::default(), ErrorPolicy::default(), true).await;
    let broker = rig.broker.clone();
    assert_eq!(
        rig.failure().await,
        "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\
         Caused by: org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
         Caused by: org.apache.kafka.connect.errors.DataException: not wanted\n"
    );
    assert_eq!(broker.records("dlq").len(), 1);
    assert!(broker.committed("g").is_empty());
}

#[tokio::test]
async fn offsets_wait_for_dead_letters() {
    let broker = broker(&["POISON"]).await;
    broker.hold(100);
    let rig = Rig::start(broker, Seen::default(), tolerant(), true).await;
    eventually(|| rig.broker.pending() == 1).await;
    sleep(Duration::from_millis(60)).await;
    assert_eq!(rig.committed(), None);
    rig.broker.acknowledge(1);
    eventually(|| rig.committed() == Some(1)).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_letter_that_can_not_be_written_fails_the_task() {
    let broker = broker(&["POISON"]).await;
    broker.break_topic("dlq");
    let rig = Rig::start(broker, Seen::default(), tolerant(), true).await;
    let broker = rig.broker.clone();
    assert!(rig.failure().await.contains("Could not produce message to dead letter queue. topic=dlq"));
    assert!(broker.committed("g").is_empty());
}

#[tokio::test]
async fn a_failed_flush_goes_back_to_what_was_committed() {
    let seen = Seen { flush_failures: 1, ..Seen::default() };
    let rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
    eventually(|| rig.committed() == Some(1)).await;
    assert_eq!(rig.values(), ["a", "a"], "given again: at least once");
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_sink_that_never_flushes_fails_where_the_task_is_tried_again_from_outside_and_goes_back_where_not() {
    let seen = Seen { flush_failures: usize::MAX, ..Seen::default() };
    let rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
    let broker = rig.broker.clone();
    let trace = rig.failure().await;
    assert!(trace.contains("Exiting WorkerSinkTask due to unrecoverable exception."), "{trace}");
    assert!(trace.contains("Caused by: org.apache.kafka.connect.errors.RetriableException: can't flush"), "{trace}");
    assert!(broker.committed("g").is_empty());

    // So many flushes take longer than the patience of the test.
    let seen = Seen { flush_failures: 40, unattended: true, ..Seen::default() };
    let rig = Rig::start(broker, seen, ErrorPolicy::default(), false).await;
    eventually(|| rig.committed() == Some(1)).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_sink_works_while_it_takes_and_flushes_what_it_is_given() {
    for seen in [Seen { busy: 1, ..Seen::default() }, Seen { flush_failures: 1, ..Seen::default() }] {
        let mut rig = Rig::start(broker(&["a"]).await, seen, ErrorPolicy::default(), false).await;
        assert!(works(&mut rig.events).await);
        assert!(!works(&mut rig.events).await);
        assert!(works(&mut rig.events).await);
        rig.end().await.expect("a clean end");
    }
}

#[tokio::test]
async fn a_pause_commits_and_moves_nothing() {
    let mut rig = Rig::start(broker(&["a"]).await, Seen::default(), ErrorPolicy::default(), false).await;
    eventually(|| rig.values() == ["a"]).await;
    rig.wanted.send_replace(Wanted::Rest);
    while !matches!(news(&mut rig.events).await.what, UnitNews::Paused) {}
    assert_eq!(rig.committed(), Some(1));
    produce(&rig.broker, &["b"]).await;
    sleep(Duration::from_millis(60)).await;
    assert_eq!(rig.values(), ["a"]);
    rig.wanted.send_replace(Wanted::Run);
    eventually(|| rig.values() == ["a", "b"]).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn partitions_that_are_taken_away_are_committed_and_closed_first() {
    let broker = broker(&["a"]).await;
    let (done, answered) = oneshot::channel();
    let mut consumer = broker.consumer("g", "t");
    let partition = kafka::TopicPartition::new("t", 0);
    consumer.events.push_back(ConsumerEvent::Assigned(vec![partition.clone()]));
    consumer.events.push_back(ConsumerEvent::Records(vec![consumed(0, 41)]));
    consumer.events.push_back(ConsumerEvent::Revoked { partitions: vec![partition], lost: false, done });
    let rig = Rig::start_with(broker, consumer, Seen::default(), ErrorPolicy::default(), false).await;
    answered.await.expect("the rebalance goes on");
    assert_eq!(rig.committed(), Some(42));
    assert_eq!(rig.seen.lock().closed, ["t"]);
    rig.end().await.expect("a clean end");
}

/// The last offset of a transaction is its marker, which is no record and is never put.
#[tokio::test]
async fn an_end_behind_the_last_record_is_committed_once_the_record_is_put() {
    let broker = broker(&[]).await;
    let mut consumer = broker.consumer("g", "t");
    let partition = kafka::TopicPartition::new("t", 0);
    // It has its position, and is not assigned another time.
    consumer.seek(&partition, 0).await.expect("sought");
    consumer.events.extend([
        ConsumerEvent::Assigned(vec![partition.clone()]),
        ConsumerEvent::Records(vec![consumed(0, 41)]),
        ConsumerEvent::Reached(vec![(partition.clone(), 43)]),
    ]);
    let seen = Seen { busy: 1, ..Seen::default() };
    let rig = Rig::start_with(broker, consumer, seen, ErrorPolicy::default(), false).await;
    eventually(|| TaskMetrics::get(&rig.metrics.retries) == 1).await;
    assert_eq!(rig.committed(), None, "the record waits to be given again");
    eventually(|| rig.committed() == Some(43)).await;
    assert_eq!(rig.values(), ["x"]);
    eventually(|| rig.metrics.put_positions() == Some(vec![(partition.clone(), 43)])).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn when_nothing_more_comes_nobody_waits_for_the_next_regular_commit() {
    let interval = Duration::from_secs(20);
    let (began, seen) = (Instant::now(), Seen { interval: Some(interval), ..Seen::default() });
    let rig = Rig::start(broker(&["a", "b"]).await, seen, ErrorPolicy::default(), false).await;
    eventually(|| rig.committed() == Some(2)).await;
    assert!(began.elapsed() < interval);
    // The next one takes its time, too: a tenth of the interval at least.
    let flushes = rig.seen.lock().flushes;
    let committed = Instant::now();
    produce(&rig.broker, &["c"]).await;
    eventually(|| rig.committed() == Some(3)).await;
    assert!(committed.elapsed() > interval / 20 && began.elapsed() < interval);
    assert_eq!(rig.seen.lock().flushes, flushes + 1);
    rig.end().await.expect("a clean end");
}

/// The flush fails while a revocation waits behind a slow put: the partition that goes is neither sought, which would wait for
/// the rebalance, nor committed; the one that stays is read again.
#[tokio::test]
async fn a_failed_flush_seeks_only_what_is_not_about_to_be_taken_away() {
    let broker = broker(&["a"]).await;
    let (done, answered) = oneshot::channel();
    let mut consumer = broker.consumer("g", "t");
    let sought = consumer.sought();
    let (goes, stays) = (kafka::TopicPartition::new("t", 0), kafka::TopicPartition::new("t", 1));
    consumer.events.extend([
        ConsumerEvent::Assigned(vec![goes.clone(), stays.clone()]),
        ConsumerEvent::Records(vec![consumed(0, 41), consumed(1, 7)]),
        ConsumerEvent::Revoked { partitions: vec![goes], lost: false, done },
    ]);
    let seen = Seen { slow: Duration::from_millis(100), flush_failures: 1, ..Seen::default() };
    let rig = Rig::start_with(broker, consumer, seen, ErrorPolicy::default(), false).await;
    answered.await.expect("the rebalance goes on");
    assert_eq!(*sought.lock(), [(stays, 0)]);
    // It comes back, and begins at what was committed, which is nothing.
    eventually(|| rig.committed() == Some(1)).await;
    assert_eq!(rig.values(), ["x", "x", "a"]);
    rig.end().await.expect("a clean end");
}

fn consumed(partition: i32, offset: i64) -> ConsumerRecord {
    ConsumerRecord {
        topic: Arc::from("t"),
        partition,
        offset,
        timestamp_ms: -1,
        timestamp_type: kafka::consumer::TimestampType::NoTimestamp,
        key: None,
        value: Some(bytes::Bytes::from_static(b"x")),
        headers: Vec::new(),
    }
}

#[tokio::test]
async fn the_consumer_is_polled_while_a_put_is_slow() {
    let broker = broker(&["a"]).await;
    let consumer = broker.consumer("g", "t");
    let polls = consumer.polls();
    let seen = Seen { held: true, ..Seen::default() };
    let rig = Rig::start_with(broker, consumer, seen, ErrorPolicy::default(), false).await;
    eventually(|| polls.load(Ordering::Relaxed) > 10).await;
    assert!(rig.values().is_empty(), "the put is still under way");
    rig.seen.lock().held = false;
    produce(&rig.broker, &["b"]).await;
    eventually(|| rig.values() == ["a", "b"]).await;
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn without_the_right_to_work_no_dead_letter_is_sent_and_nothing_is_committed() {
    for values in [&["REJECT"][..], &["a"]] {
        let broker = broker(values).await;
        let consumer = broker.consumer("g", "t");
        let polls = consumer.polls();
        let seen = Seen { held: true, ..Seen::default() };
        let rig = Rig::start_with(broker.clone(), consumer, seen, tolerant(), true).await;
        // Polls go on while the put is under way.
        eventually(|| polls.load(Ordering::Relaxed) > 10).await;
        produce(&broker, &["POISON"]).await;
        rig.control.lose();
        rig.seen.lock().held = false;
        let ended = tokio::time::timeout(Duration::from_secs(60), rig.handle).await.expect("it ends by itself");
        ended.expect("no panic").expect("a clean end");
        assert!(broker.records("dlq").is_empty());
        assert!(broker.committed("g").is_empty());
    }
}

#[path = "sink/ahead_tests.rs"]
mod ahead;
