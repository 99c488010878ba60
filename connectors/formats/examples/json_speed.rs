//! How long a change event takes through the JSON converter: `cargo run --release -p connect-formats --example json_speed`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use connect_api::{Bytes, BytesMut, Converter, Datum, Field, Kind, Props, Schema, SchemaRef, Struct, Value};
use connect_formats::JsonConverter;

const ROUNDS: u32 = 300_000;

fn of(kind: Kind) -> SchemaRef {
    Schema::of(kind).shared()
}

fn optional(kind: Kind) -> SchemaRef {
    Schema::of(kind).optional().shared()
}

fn structure(name: &str, fields: Vec<(&str, SchemaRef)>) -> Schema {
    Schema::structure(fields.into_iter().map(|(name, schema)| Field::new(name, schema)).collect()).named(name)
}

/// An insert into a table of eight columns, as Debezium's Postgres source writes it.
fn event() -> Datum {
    let row = structure(
        "shop.public.orders.Value",
        vec![
            ("id", of(Kind::Int64)),
            ("customer_id", of(Kind::Int32)),
            ("status", of(Kind::String)),
            ("note", optional(Kind::String)),
            (
                "total",
                Schema::of(Kind::Bytes)
                    .named("org.apache.kafka.connect.data.Decimal")
                    .version(1)
                    .parameter("scale", "2")
                    .shared(),
            ),
            ("paid", of(Kind::Boolean)),
            ("weight", optional(Kind::Float64)),
            ("created_at", Schema::of(Kind::Int64).named("io.debezium.time.MicroTimestamp").version(1).shared()),
        ],
    );
    let row = row.optional().shared();
    let source = structure(
        "io.debezium.connector.postgresql.Source",
        vec![
            ("version", of(Kind::String)),
            ("connector", of(Kind::String)),
            ("name", of(Kind::String)),
            ("ts_ms", of(Kind::Int64)),
            (
                "snapshot",
                Schema::of(Kind::String)
                    .named("io.debezium.data.Enum")
                    .version(1)
                    .default_value("false".into())
                    .optional()
                    .shared(),
            ),
            ("db", of(Kind::String)),
            ("sequence", optional(Kind::String)),
            ("ts_us", optional(Kind::Int64)),
            ("ts_ns", optional(Kind::Int64)),
            ("schema", of(Kind::String)),
            ("table", of(Kind::String)),
            ("txId", optional(Kind::Int64)),
            ("lsn", optional(Kind::Int64)),
            ("xmin", optional(Kind::Int64)),
        ],
    );
    let source = source.shared();
    let envelope = structure(
        "shop.public.orders.Envelope",
        vec![
            ("before", Arc::clone(&row)),
            ("after", Arc::clone(&row)),
            ("source", Arc::clone(&source)),
            ("op", of(Kind::String)),
            ("ts_ms", optional(Kind::Int64)),
            ("ts_us", optional(Kind::Int64)),
            ("ts_ns", optional(Kind::Int64)),
        ],
    );
    let envelope = envelope.version(2).shared();
    let after = vec![
        Value::Int64(123_456),
        Value::Int32(4711),
        "shipped".into(),
        "leave it with the neighbours, please".into(),
        Value::Bytes(Bytes::from_static(&[0x01, 0xe2, 0x40])),
        Value::Bool(true),
        Value::Float64(12.75),
        Value::Int64(1_700_000_000_123_456),
    ];
    let ms = 1_700_000_000_123i64;
    let source_values = vec![
        "3.3.1.Final".into(),
        "postgresql".into(),
        "shop".into(),
        Value::Int64(ms),
        "false".into(),
        "shop".into(),
        "[\"34498160\",\"34498216\"]".into(),
        Value::Int64(ms * 1000),
        Value::Int64(ms * 1_000_000),
        "public".into(),
        "orders".into(),
        Value::Int64(771),
        Value::Int64(34_498_216),
        Value::Null,
    ];
    let values = vec![
        Value::Null,
        Value::Struct(Struct::new(row, after)),
        Value::Struct(Struct::new(source, source_values)),
        "c".into(),
        Value::Int64(ms),
        Value::Int64(ms * 1000),
        Value::Int64(ms * 1_000_000),
    ];
    Datum::new(Arc::clone(&envelope), Value::Struct(Struct::new(envelope, values)))
}

fn measure(name: &str, bytes: usize, mut round: impl FnMut()) {
    for _ in 0..ROUNDS / 10 {
        round();
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        round();
    }
    let ns = start.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
    println!("{name:<24} {ns:>7.0} ns/record {bytes:>6} bytes {:>8.0} MB/s", bytes as f64 / ns * 1000.0);
}

fn main() {
    let event = event();
    for schemas in ["false", "true"] {
        let props = Props::from_iter([("schemas.enable".to_owned(), Some(schemas.to_owned()))]);
        let converter = JsonConverter::new(&props, "value").expect("the configuration is fine");
        let mut out = BytesMut::with_capacity(16 * 1024);
        Converter::serialize(&converter, "t", &event, &mut out).expect("the event can be written");
        let bytes = out.split().freeze();
        measure(&format!("write, schemas {schemas}"), bytes.len(), || {
            out.clear();
            Converter::serialize(&converter, "t", black_box(&event), &mut out).expect("the event can be written");
            black_box(&out);
        });
        measure(&format!("read, schemas {schemas}"), bytes.len(), || {
            let datum = Converter::deserialize(&converter, "t", Some(black_box(bytes.clone())));
            black_box(datum.expect("the event can be read"));
        });
    }
}
