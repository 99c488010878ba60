//! The exactly-once loop against Kafka in memory: what readers of committed records see, also after crashes.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use connect_api::{Datum, OffsetMap, SourceTask, Value};
use connect_cluster::{TaskId, UnitId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::{Control, News, TopicsUsed};
use crate::convert::Encoder;
use crate::failure::ErrorPolicy;
use crate::memory::{MemoryBroker, MemoryLog};
use crate::memory_transactions::MemoryTransactions;
use crate::metrics::TaskMetrics;
use crate::offsets::OffsetTable;
use crate::report::Reporter;
use crate::source::Dropped;
use crate::source::SourceSettings;
use crate::testing::{converters, eventually};
use crate::topic_creation::TopicCreation;
use crate::unit::UnitEvent;

/// A source that gives what it is told, one batch for each poll.
#[derive(Clone, Default)]
struct Script {
    steps: Arc<Mutex<VecDeque<Result<SourceBatch>>>>,
    committed: Arc<Mutex<Vec<u64>>>,
}

#[async_trait]
impl SourceTask for Script {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            if let Some(step) = self.steps.lock().pop_front() {
                return step;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn committed(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.committed.lock().push(checkpoint.tag);
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Values, and a checkpoint behind the first `after` of them.
fn batch(values: &[&str], checkpoint: Option<(usize, u64)>) -> SourceBatch {
    let record = |value: &&str| Record::source(Arc::from("t"), Datum::null(), Datum::schemaless(Value::string(value)));
    let map = |key: &str, at: u64| OffsetMap::from_iter([(key.to_owned(), at.into())]);
    let checkpoint = checkpoint.map(|(after, tag)| Checkpoint {
        after,
        partition: Arc::new(map("p", 0)),
        offset: map("at", tag),
        tag,
    });
    SourceBatch {
        records: values.iter().map(record).collect(),
        checkpoints: checkpoint.into_iter().collect(),
        between: None,
    }
}

struct Rig {
    broker: MemoryBroker,
    script: Script,
    producer: Arc<dyn Transact>,
    wanted: watch::Sender<Wanted>,
    events: mpsc::Receiver<UnitEvent>,
    handle: JoinHandle<Result<()>>,
}

impl Rig {
    async fn start(broker: &MemoryBroker, boundary: Boundary) -> Self {
        let script = Script::default();
        let producer = MemoryTransactions::open(broker, "g-c-0");
        producer.init(&|| true).await.expect("the id is free");
        let (wanted, orders) = watch::channel(Wanted::Run);
        let (sender, events) = mpsc::channel(64);
        let unit = UnitId::Task(TaskId { connector: Arc::from("c"), task: 0 });
        let metrics = TaskMetrics::shared();
        let table = OffsetTable::default();
        let source = SourceLoop {
            task: Box::new(script.clone()),
            control: Control::new(orders, CancellationToken::new(), News { unit, run: 1, events: sender }),
            encoder: Encoder::new(converters()),
            producer: Arc::clone(&producer) as Arc<dyn crate::io::Produce>,
            tracker: Tracker::new(64, false),
            offsets: Arc::new(OffsetStore::new(table.clone(), Arc::new(MemoryLog::new(table)))),
            reporter: Reporter {
                policy: ErrorPolicy::default(),
                connector: Arc::from("c"),
                task: 0,
                metrics: Arc::clone(&metrics),
                dead_letters: None,
            },
            topics: TopicCreation::off(),
            used: TopicsUsed::new(Arc::new(AtomicU64::new(0)), true),
            metrics,
            settings: SourceSettings {
                flush_interval: Duration::from_secs(60),
                flush_timeout: Duration::from_millis(200),
            },
            exactly_once: Some(Arc::from("offsets")),
            recovery: crate::testing::recovery(true),
            recovers: true,
            connected: watch::channel(true).1,
            dropped: Dropped::default(),
        };
        let running = TransactionalLoop::new(source, Arc::clone(&producer), Arc::from("offsets"), boundary);
        Self { broker: broker.clone(), script, producer, wanted, events, handle: tokio::spawn(running.run()) }
    }

    fn give(&self, batch: SourceBatch) {
        self.script.steps.lock().push_back(Ok(batch));
    }

    /// All that was given was polled.
    async fn polled(&self) {
        eventually(|| self.script.steps.lock().is_empty()).await;
    }

    /// What readers of committed records see.
    fn values(&self) -> Vec<String> {
        values(&self.broker)
    }

    fn committed(&self) -> Vec<u64> {
        self.script.committed.lock().clone()
    }

    async fn end(self) -> Result<()> {
        self.wanted.send_replace(Wanted::End);
        tokio::time::timeout(Duration::from_secs(10), self.handle).await.expect("it ends").expect("no panic")
    }
}

fn values(broker: &MemoryBroker) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.expect("a value")).expect("text");
    broker.records("t").into_iter().map(|record| text(record.value)).collect()
}

/// The last offset that was committed.
fn stored(broker: &MemoryBroker) -> Option<u64> {
    let last = broker.records("offsets").pop()?;
    let offset: OffsetMap = serde_json::from_slice(&last.value?).expect("an offset");
    offset["at"].as_u64()
}

#[tokio::test]
async fn a_batch_and_its_offset_are_one_transaction() {
    let broker = MemoryBroker::new();
    let rig = Rig::start(&broker, Boundary::Poll).await;
    rig.give(batch(&["a", "b"], Some((2, 7))));
    eventually(|| rig.committed() == [7]).await;
    assert_eq!(rig.values(), ["a", "b"]);
    assert_eq!(stored(&broker), Some(7));
    rig.give(batch(&[], Some((0, 8))));
    eventually(|| rig.committed() == [7, 8]).await;
    assert_eq!(stored(&broker), Some(8), "a position without records is stored too");
    rig.end().await.expect("a clean end");
}

#[tokio::test]
async fn records_behind_the_last_checkpoint_wait_for_the_next_one() {
    let broker = MemoryBroker::new();
    let rig = Rig::start(&broker, Boundary::Poll).await;
    rig.give(batch(&["a", "b", "c"], Some((2, 1))));
    eventually(|| rig.committed() == [1]).await;
    rig.give(batch(&["d"], None));
    rig.polled().await;
    assert_eq!(rig.values(), ["a", "b"], "what would be read again is not seen");
    rig.give(batch(&["e"], Some((0, 2))));
    eventually(|| rig.committed() == [1, 2]).await;
    assert_eq!(rig.values(), ["a", "b", "c", "d"]);
    rig.end().await.expect("a clean end");
    assert_eq!((values(&broker).len(), stored(&broker)), (4, Some(2)), "the end aborts what has no checkpoint");
}

#[tokio::test]
async fn an_interval_gathers_batches_and_ends_without_another_one() {
    let broker = MemoryBroker::new();
    let rig = Rig::start(&broker, Boundary::Interval(Duration::from_secs(2))).await;
    rig.give(batch(&["a"], Some((1, 1))));
    rig.give(batch(&["b"], Some((1, 2))));
    rig.polled().await;
    assert!(rig.values().is_empty());
    eventually(|| rig.committed() == [2]).await;
    assert_eq!(rig.values(), ["a", "b"]);
    rig.give(batch(&["c"], Some((1, 3))));
    rig.polled().await;
    rig.end().await.expect("a clean end");
    assert_eq!((values(&broker), stored(&broker)), (vec!["a".into(), "b".into(), "c".into()], Some(3)));
}

#[tokio::test]
async fn a_connector_ends_transactions_inside_batches_and_drops_some() {
    let broker = MemoryBroker::new();
    let context = TransactionContext::default();
    let rig = Rig::start(&broker, Boundary::Connector(context.clone())).await;
    rig.give(batch(&["a"], Some((1, 1))));
    rig.polled().await;
    assert!(rig.values().is_empty(), "nobody said that it ends");
    context.end_after(1, TransactionEnd::Commit);
    context.end_after(3, TransactionEnd::Abort);
    rig.give(batch(&["b", "c", "d", "e"], Some((3, 4))));
    eventually(|| rig.committed() == [1, 4]).await;
    assert_eq!(rig.values(), ["a", "b"], "c and d are never seen");
    context.end_batch(TransactionEnd::Commit);
    rig.give(batch(&["f"], Some((1, 6))));
    eventually(|| rig.committed() == [1, 4, 6]).await;
    assert_eq!(rig.values(), ["a", "b", "e", "f"]);
    rig.give(batch(&["g"], Some((1, 7))));
    rig.polled().await;
    rig.end().await.expect("a clean end");
    assert_eq!(stored(&broker), Some(6), "a transaction without its end is dropped");
}

#[tokio::test]
async fn a_pause_leaves_nothing_open() {
    let broker = MemoryBroker::new();
    let mut rig = Rig::start(&broker, Boundary::Interval(Duration::from_secs(60))).await;
    rig.give(batch(&["a", "b"], Some((1, 1))));
    rig.polled().await;
    rig.wanted.send_replace(Wanted::Rest);
    rig.give(batch(&[], Some((0, 2))));
    let event = crate::testing::news(&mut rig.events).await;
    assert!(matches!(event.what, UnitNews::TopicUsed { .. }));
    let event = crate::testing::news(&mut rig.events).await;
    assert!(matches!(event.what, UnitNews::Paused));
    assert_eq!((rig.values(), stored(&broker)), (vec!["a".into(), "b".into()], Some(2)));
    rig.wanted.send_replace(Wanted::Run);
    rig.give(batch(&["c"], Some((1, 3))));
    rig.polled().await;
    rig.end().await.expect("a clean end");
    assert_eq!(stored(&broker), Some(3));
}

#[tokio::test]
async fn a_failed_commit_stores_and_confirms_nothing() {
    let broker = MemoryBroker::new();
    broker.break_topic("offsets");
    let rig = Rig::start(&broker, Boundary::Poll).await;
    rig.give(batch(&["a"], Some((1, 1))));
    let Rig { handle, script, .. } = rig;
    let error = handle.await.expect("no panic").expect_err("the task fails");
    assert_eq!(error.message(), "Failed to flush offsets and/or records for task c-0");
    assert!(values(&broker).is_empty() && script.committed.lock().is_empty());
}

#[tokio::test]
async fn a_task_may_not_write_to_its_own_offsets_topic() {
    let broker = MemoryBroker::new();
    let rig = Rig::start(&broker, Boundary::Poll).await;
    let mut given = batch(&["a"], Some((1, 1)));
    given.records[0].topic = Arc::from("offsets");
    rig.give(given);
    let error = rig.handle.await.expect("no panic").expect_err("the task fails");
    assert!(error.message().contains("may not produce to their own offsets topics"), "{}", error.message());
}

#[tokio::test]
async fn nothing_of_a_fenced_task_is_seen_and_it_ends_quietly_when_it_is_told_to() {
    let broker = MemoryBroker::new();
    let zombie = Rig::start(&broker, Boundary::Interval(Duration::from_millis(50))).await;
    zombie.give(batch(&["a"], Some((1, 1))));
    eventually(|| zombie.committed() == [1]).await;
    let next = Rig::start(&broker, Boundary::Poll).await;
    zombie.give(batch(&["b"], Some((1, 2))));
    next.give(batch(&["b"], Some((1, 2))));
    eventually(|| next.committed() == [2]).await;
    assert_eq!(values(&broker), ["a", "b"]);
    // Its failure waits for the order that is on its way.
    zombie.polled().await;
    assert!(!zombie.handle.is_finished());
    let began = std::time::Instant::now();
    let ended = zombie.end().await;
    assert!(ended.is_err(), "the supervisor tells a wanted end from a failure");
    assert!(began.elapsed() < FENCED_PATIENCE);
    next.end().await.expect("a clean end");
    assert_eq!((values(&broker).len(), stored(&broker)), (2, Some(2)));
}

#[tokio::test]
async fn a_task_that_is_stopped_while_it_rests_leaves_no_transaction_open() {
    let broker = MemoryBroker::new();
    let mut rig = Rig::start(&broker, Boundary::Connector(TransactionContext::default())).await;
    rig.give(batch(&["a"], Some((1, 1))));
    rig.polled().await;
    rig.wanted.send_replace(Wanted::Rest);
    let event = crate::testing::news(&mut rig.events).await;
    assert!(matches!(event.what, UnitNews::Paused));
    let producer = Arc::clone(&rig.producer);
    rig.end().await.expect("a clean end");
    producer.begin().expect("no transaction is open");
    assert!(values(&broker).is_empty());
}

#[tokio::test]
async fn a_passing_error_of_the_source_does_not_turn_a_pause_into_a_failure() {
    let broker = MemoryBroker::new();
    let mut rig = Rig::start(&broker, Boundary::Interval(Duration::from_secs(60))).await;
    rig.give(batch(&["a"], None));
    rig.polled().await;
    rig.wanted.send_replace(Wanted::Rest);
    rig.script.steps.lock().push_back(Err(Error::new(ErrorKind::Unavailable, "the database is away")));
    loop {
        match crate::testing::news(&mut rig.events).await.what {
            UnitNews::Paused => break,
            UnitNews::TopicUsed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    rig.wanted.send_replace(Wanted::Run);
    rig.give(batch(&["b"], Some((1, 2))));
    rig.polled().await;
    rig.end().await.expect("a clean end");
    assert_eq!(stored(&broker), Some(2));
}

#[tokio::test]
async fn who_has_no_right_to_an_id_fences_nobody() {
    let broker = MemoryBroker::new();
    let owner = Rig::start(&broker, Boundary::Poll).await;
    let late = MemoryTransactions::open(&broker, "g-c-0");
    late.init(&|| false).await.expect_err("it is not allowed");
    owner.give(batch(&["a"], Some((1, 1))));
    eventually(|| owner.committed() == [1]).await;
    owner.end().await.expect("a clean end");
}
