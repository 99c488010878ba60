//! Measures the sink alone: change events from memory into a server, without a worker and without Kafka.
//!
//! `cargo run --release -p connect-mongodb --example measure -- 'mongodb://127.0.0.1:27017/?directConnection=true' 500000 500`
//!
//! Settings may follow: `write.lanes=4 write.collapse=true`.

use std::sync::Arc;
use std::time::Instant;

use connect_api::{
    Datum, Field, Kind, Origin, Props, Record, Schema, SchemaRef, SinkConnector, SinkContext, SinkOrigin, SinkRecord,
    Struct, TimestampType, Value,
};
use connect_mongodb::MongoSinkConnector;
use tokio_util::sync::CancellationToken;

/// The row of an orders table with the types that are common.
fn row_schema() -> SchemaRef {
    let field = |name: &str, schema: Schema| Field::new(name, schema.shared());
    Schema::structure(vec![
        field("id", Schema::of(Kind::Int64)),
        field("customer", Schema::of(Kind::Int64)),
        field("status", Schema::of(Kind::String)),
        field("total", Schema::of(Kind::Bytes).named("org.apache.kafka.connect.data.Decimal").parameter("scale", "2")),
        field("note", Schema::of(Kind::String).optional()),
        field("placed", Schema::of(Kind::Int64).named("io.debezium.time.MicroTimestamp")),
    ])
    .shared()
}

fn row(schema: &SchemaRef, id: i64) -> Struct {
    Struct::new(
        schema.clone(),
        vec![
            Value::Int64(id),
            Value::Int64(id % 1000),
            Value::from("shipped"),
            Value::Bytes(connect_api::Bytes::from_static(&[0x01, 0x86, 0xA0])),
            Value::from("a note that is about as long as notes are, give or take a few words"),
            Value::Int64(1_700_000_000_000_000 + id),
        ],
    )
}

fn record(id: i64, row_schema: &SchemaRef, key_schema: &SchemaRef, envelope: &SchemaRef) -> SinkRecord {
    let event = Struct::new(
        envelope.clone(),
        vec![Value::Null, Value::Struct(row(row_schema, id)), Value::from("c"), Value::Int64(1_700_000_000_000)],
    );
    let topic: Arc<str> = Arc::from("orders");
    SinkRecord {
        record: Record {
            topic: topic.clone(),
            partition: Some(0),
            timestamp: Some(1_700_000_000_000),
            key: Datum::new(key_schema.clone(), Value::Struct(Struct::new(key_schema.clone(), vec![Value::Int64(id)]))),
            value: Datum::new(envelope.clone(), Value::Struct(event)),
            headers: Vec::new(),
            origin: Origin::Sink(SinkOrigin {
                offset: id,
                timestamp_type: TimestampType::CreateTime,
                original_topic: topic,
                original_partition: 0,
                original_offset: id,
            }),
        },
        raw_key: None,
        raw_value: None,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), connect_api::Error> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().unwrap_or_else(|| "mongodb://127.0.0.1:27017/?directConnection=true".to_owned());
    let number = |text: Option<String>, default| text.and_then(|text| text.parse().ok()).unwrap_or(default);
    let rows: i64 = number(arguments.next(), 100_000);
    let batch: i64 = number(arguments.next(), 500);
    let mut props = Props::new();
    for (key, value) in [
        ("topics", "orders"),
        ("connection.uri", uri.as_str()),
        ("database", "measure"),
        ("change.data.capture.handler", "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler"),
    ] {
        props.insert(key.to_owned(), Some(value.to_owned()));
    }
    for setting in arguments {
        if let Some((key, value)) = setting.split_once('=') {
            props.insert(key.to_owned(), Some(value.to_owned()));
        }
    }
    let context = SinkContext {
        connector: Arc::from("measure"),
        task: 0,
        cancel: CancellationToken::new(),
        reports_errors: true,
        metrics: connect_api::Metrics::default(),
    };
    let mut task = MongoSinkConnector.start_task(props, context).await?;
    let row_schema = row_schema();
    let key_schema = Schema::structure(vec![Field::new("id", Schema::of(Kind::Int64).shared())]).shared();
    let optional_row = Arc::new(Schema { optional: true, ..(*row_schema).clone() });
    let envelope = Schema::structure(vec![
        Field::new("before", optional_row),
        Field::new("after", row_schema.clone()),
        Field::new("op", Schema::of(Kind::String).shared()),
        Field::new("ts_ms", Schema::of(Kind::Int64).shared()),
    ])
    .shared();
    let records: Vec<_> = (0..batch).map(|id| record(id, &row_schema, &key_schema, &envelope)).collect();
    let started = Instant::now();
    let mut written = 0;
    while written < rows {
        let rejected = task.put(&records).await?;
        if let Some(first) = rejected.first() {
            println!("rejected: {}", first.error);
        }
        written += batch;
    }
    let seconds = started.elapsed().as_secs_f64();
    // A figure for people: precision does not matter.
    #[allow(clippy::cast_precision_loss)]
    let rate = written as f64 / seconds;
    println!("{written} rows in {seconds:.2} s: {rate:.0} rows/s in batches of {batch}");
    task.stop().await
}
