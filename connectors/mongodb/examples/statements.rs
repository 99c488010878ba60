//! Measures the way from a record to a statement alone: values as the JSON converter gives them without schemas, replaced
//! under the `_id` of the key. No server is needed.
//!
//! `cargo run --release -p connect-mongodb --example statements -- 2000000`

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Datum, Origin, Props, Record, SinkOrigin, SinkRecord, TimestampType, Value};
use connect_mongodb::doc::Writer;
use connect_mongodb::record;
use connect_mongodb::topic::Plan;

const SINK: &str = "com.mongodb.kafka.connect.sink";
/// Records that are written into one buffer, as a batch is.
const BATCH: i64 = 500;

fn order(id: i64) -> Value {
    let text = |text: &str| Value::from(text);
    let line = |sku: i64| {
        Value::Map(vec![
            (text("sku"), Value::from(format!("sku-{sku}").as_str())),
            (text("count"), Value::Int64(sku % 5)),
            (text("price"), Value::Float64(9.99)),
        ])
    };
    Value::Map(vec![
        (text("customer"), Value::Int64(id % 1000)),
        (text("status"), text("shipped")),
        (text("total"), Value::Float64(1234.5)),
        (text("paid"), Value::Bool(true)),
        (text("note"), text("a note that is about as long as notes are, give or take a few words")),
        (text("placed"), text("2024-02-29T12:00:00.250Z")),
        (text("address"), Value::Map(vec![(text("city"), text("Szeged")), (text("zip"), text("6720"))])),
        (text("lines"), Value::Array((0..3).map(line).collect())),
    ])
}

fn record(topic: &Arc<str>, id: i64) -> SinkRecord {
    SinkRecord {
        record: Record {
            topic: Arc::clone(topic),
            partition: Some(0),
            timestamp: Some(1_700_000_000_000),
            key: Datum::schemaless(Value::Map(vec![(Value::from("_id"), Value::Int64(id))])),
            value: Datum::schemaless(order(id)),
            headers: Vec::new(),
            origin: Origin::Sink(SinkOrigin {
                offset: id,
                timestamp_type: TimestampType::CreateTime,
                original_topic: Arc::clone(topic),
                original_partition: 0,
                original_offset: id,
            }),
        },
        raw_key: None,
        raw_value: None,
    }
}

fn main() {
    let count: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let mut props = Props::new();
    for (key, value) in [
        ("topics", "orders".to_owned()),
        ("database", "measure".to_owned()),
        ("document.id.strategy", format!("{SINK}.processor.id.strategy.ProvidedInKeyStrategy")),
        ("writemodel.strategy", format!("{SINK}.writemodel.strategy.ReplaceOneDefaultStrategy")),
    ] {
        props.insert(key.to_owned(), Some(value));
    }
    let plan = match Plan::new("orders", &props) {
        Ok(plan) => plan,
        Err(refused) => return println!("the settings are refused: {refused:?}"),
    };
    let topic: Arc<str> = Arc::from("orders");
    let records: Vec<_> = (0..BATCH).map(|id| record(&topic, id)).collect();
    let mut w = Writer::new();
    let (mut written, mut bytes) = (0, 0);
    let began = Instant::now();
    while written < count {
        w.truncate(0);
        for record in &records {
            if let Err(error) = record::write(&plan, record, &mut w) {
                return println!("refused: {error}");
            }
        }
        written += BATCH;
        bytes += w.len();
    }
    let seconds = began.elapsed().as_secs_f64();
    // Figures for people: precision does not matter.
    #[allow(clippy::cast_precision_loss)]
    let (rate, size, each) = (written as f64 / seconds, bytes as f64 / written as f64, seconds * 1e9 / written as f64);
    println!("{written} records of {size:.0} bytes in {seconds:.2} s: {rate:.0} records/s, {each:.0} ns each");
}
