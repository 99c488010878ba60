//! The path of a source record without Kafka: a generator, JSON conversion, the source loop, a producer that takes
//! everything. Asserts that all arrives, and prints what a record costs:
//!
//! ```text
//! HOT_PATH_RECORDS=2000000 cargo test --release -p connect-worker --test hot_path -- --nocapture
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::{
    Checkpoint, Datum, Field, Kind, OffsetMap, Record, Result, Schema, SchemaRef, SourceBatch, SourceTask, Struct,
    Value,
};
use connect_cluster::{TaskId, UnitId};
use connect_config::Props;
use connect_kafka::{AckSink, Message, Position, SendError};
use connect_plugins::{PluginRegistry, build_chain};
use connect_worker::acks::{MAX_IN_FLIGHT, Tracker};
use connect_worker::control::{Control, News, TopicsUsed, Wanted};
use connect_worker::convert::{ConverterClasses, Converters, Encoder};
use connect_worker::failure::ErrorPolicy;
use connect_worker::io::Produce;
use connect_worker::memory::MemoryLog;
use connect_worker::metrics::TaskMetrics;
use connect_worker::report::Reporter;
use connect_worker::source::{Dropped, SourceLoop, SourceSettings};
use connect_worker::topic_creation::TopicCreation;
use connect_worker::{OffsetStore, OffsetTable};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const BATCH: usize = 2048;

/// Takes every record and acknowledges it at once.
#[derive(Default)]
struct Drain {
    records: AtomicU64,
    bytes: AtomicU64,
}

#[async_trait]
impl Produce for Drain {
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        let bytes = message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.records.fetch_add(1, Ordering::Relaxed);
        sink.delivered(token, Ok(Position { partition: 0, offset: 0 }));
        Ok(())
    }

    async fn room(&self) {}
}

/// Makes rows of an order, as a snapshot would.
struct Generator {
    left: usize,
    topic: Arc<str>,
    key: SchemaRef,
    value: SchemaRef,
    partition: Arc<OffsetMap>,
    spent: Arc<AtomicU64>,
}

fn field(name: &str, kind: Kind) -> Field {
    Field::new(name, Schema::of(kind).optional().shared())
}

impl Generator {
    fn new(left: usize, spent: Arc<AtomicU64>) -> Self {
        let id = || Field::new("id", Schema::of(Kind::Int64).shared());
        let names = ["customer", "status", "city", "comment"];
        let mut fields = vec![id(), field("total", Kind::Float64), field("paid", Kind::Boolean)];
        fields.push(field("created", Kind::Int64));
        fields.extend(names.map(|name| field(name, Kind::String)));
        let structure = |fields: Vec<Field>| Schema::structure(fields).named("shop.public.orders.Value").shared();
        let (key, value) = (structure(vec![id()]), structure(fields));
        Self { left, topic: Arc::from("shop.public.orders"), key, value, partition: Arc::default(), spent }
    }

    fn record(&self, id: i64) -> Record {
        let text = |text: &'static str| Value::String(connect_api::Text::from_static(text));
        let key = Value::Struct(Struct::new(Arc::clone(&self.key), vec![Value::Int64(id)]));
        let fields = vec![
            Value::Int64(id),
            Value::Float64(12.5),
            Value::Bool(true),
            Value::Int64(1_700_000_000_000_000),
            text("Ada Lovelace"),
            text("shipped"),
            text("London"),
            text("leave it with the neighbour, please"),
        ];
        let value = Value::Struct(Struct::new(Arc::clone(&self.value), fields));
        let (key, value) = (Datum::new(Arc::clone(&self.key), key), Datum::new(Arc::clone(&self.value), value));
        Record::source(Arc::clone(&self.topic), key, value)
    }
}

#[async_trait]
impl SourceTask for Generator {
    async fn poll(&mut self) -> Result<SourceBatch> {
        if self.left == 0 {
            return std::future::pending().await;
        }
        let started = Instant::now();
        let count = self.left.min(BATCH);
        let records: Vec<Record> = (0..count).map(|n| self.record((self.left - n) as i64)).collect();
        self.left -= count;
        let mut offset = OffsetMap::new();
        offset.insert("left".to_owned(), self.left.into());
        let checkpoint = Checkpoint { after: count, partition: Arc::clone(&self.partition), offset, tag: 0 };
        self.spent.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(0), Ordering::Relaxed);
        Ok(SourceBatch { records, checkpoints: vec![checkpoint], between: None })
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn converters(schemas: &str) -> Converters {
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let props: Props = [
        ("key.converter", json),
        ("value.converter", json),
        ("key.converter.schemas.enable", schemas),
        ("value.converter.schemas.enable", schemas),
        ("header.converter", json),
    ]
    .map(|(key, value)| (key.to_owned(), Some(value.to_owned())))
    .into_iter()
    .collect();
    let registry = PluginRegistry::new(connect_formats::plugins());
    let chain = build_chain(&registry, &props, &Props::new()).expect("converters");
    let class: Arc<str> = Arc::from(json);
    Converters::new(chain, ConverterClasses { key: Arc::clone(&class), value: Arc::clone(&class), header: class })
}

async fn measure(count: usize, schemas: &str) {
    let drain = Arc::new(Drain::default());
    let spent = Arc::new(AtomicU64::new(0));
    let table = OffsetTable::default();
    let (wanted, orders) = watch::channel(Wanted::Run);
    let (events, _listening) = mpsc::channel(16);
    let unit = UnitId::Task(TaskId { connector: Arc::from("c"), task: 0 });
    let metrics = TaskMetrics::shared();
    let source = SourceLoop {
        task: Box::new(Generator::new(count, Arc::clone(&spent))),
        control: Control::new(orders, CancellationToken::new(), News { unit, run: 1, events }),
        encoder: Encoder::new(converters(schemas)),
        producer: Arc::clone(&drain) as Arc<dyn Produce>,
        tracker: Tracker::new(MAX_IN_FLIGHT, false),
        offsets: Arc::new(OffsetStore::new(table.clone(), Arc::new(MemoryLog::new(table)))),
        reporter: Reporter {
            policy: ErrorPolicy::default(),
            connector: Arc::from("c"),
            task: 0,
            metrics: Arc::clone(&metrics),
            dead_letters: None,
        },
        topics: TopicCreation::off(),
        used: TopicsUsed::new(Arc::default(), true),
        metrics: Arc::clone(&metrics),
        settings: SourceSettings { flush_interval: Duration::from_secs(1), flush_timeout: Duration::from_secs(5) },
        exactly_once: None,
        recovery: connect_cluster::RecoveryPolicy::default().for_all(),
        recovers: true,
        connected: watch::channel(true).1,
        dropped: Dropped::default(),
    };
    let started = Instant::now();
    let handle = tokio::spawn(source.run());
    while drain.records.load(Ordering::Relaxed) < count as u64 {
        assert!(!handle.is_finished(), "the loop goes on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let nanos = started.elapsed().as_nanos() as f64;
    wanted.send_replace(Wanted::End);
    handle.await.expect("no panic").expect("a clean end");
    assert_eq!(drain.records.load(Ordering::Relaxed), count as u64);
    assert!(TaskMetrics::get(&metrics.commits) >= 1, "the end commits what is durable");
    let generating = spent.load(Ordering::Relaxed) as f64;
    let bytes = drain.bytes.load(Ordering::Relaxed) as f64;
    eprintln!(
        "schemas={schemas}: {:.0} ns a record in the loop, {:.0} ns in the generator, {:.0} bytes a record, {count} records",
        (nanos - generating) / count as f64,
        generating / count as f64,
        bytes / count as f64,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_goes_through() {
    let count = std::env::var("HOT_PATH_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    for schemas in ["false", "true"] {
        measure(count, schemas).await;
    }
}
