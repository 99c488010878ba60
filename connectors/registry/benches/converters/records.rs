//! The records that are measured; `../java/ConverterBench.java` makes the same.

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Bytes, Datum, Field, Kind, Schema, SchemaRef, Struct, Value};

fn of(kind: Kind) -> SchemaRef {
    Schema::of(kind).shared()
}

fn optional(kind: Kind) -> SchemaRef {
    Schema::of(kind).optional().shared()
}

fn named(kind: Kind, name: &str) -> Schema {
    Schema::of(kind).named(name).version(1)
}

fn structure(name: &str, fields: Vec<(&str, SchemaRef)>) -> Schema {
    Schema::structure(fields.into_iter().map(|(name, schema)| Field::new(name, schema)).collect()).named(name)
}

fn row_of(schema: &SchemaRef, values: Vec<Value>) -> Value {
    Value::Struct(Struct::new(Arc::clone(schema), values))
}

/// An insert into a table of ten columns, as Debezium's Postgres source writes it.
pub(crate) fn envelope() -> Datum {
    let row = structure(
        "shop.public.orders.Value",
        vec![
            ("id", of(Kind::Int64)),
            ("customer_id", of(Kind::Int32)),
            ("status", of(Kind::String)),
            ("note", optional(Kind::String)),
            ("weight", of(Kind::Float64)),
            ("paid", of(Kind::Boolean)),
            ("total", named(Kind::Bytes, logical::DECIMAL).parameter("scale", "2").shared()),
            ("created_at", named(Kind::Int64, "io.debezium.time.MicroTimestamp").shared()),
            ("details", named(Kind::String, "io.debezium.data.Json").optional().shared()),
            ("quantity", optional(Kind::Int32)),
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
            ("snapshot", Schema::of(Kind::String).optional().default_value("false".into()).shared()),
            ("db", of(Kind::String)),
            ("sequence", optional(Kind::String)),
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
        ],
    );
    let envelope = envelope.version(2).shared();
    let after = row_of(
        &row,
        vec![
            Value::Int64(123_456),
            Value::Int32(4711),
            "handed over to the carrier now".into(),
            Value::Null,
            Value::Float64(12.75),
            Value::Bool(true),
            Value::Bytes(Bytes::from_static(&[0x01, 0xe2, 0x40])),
            Value::Int64(1_700_000_000_123_456),
            r#"{"gift": true, "tags": ["new", "fragile"], "from": "the shop", "boxes": 2, "x": 1.5}"#.into(),
            Value::Int32(3),
        ],
    );
    let source = row_of(
        &source,
        vec![
            "3.3.1.Final".into(),
            "postgresql".into(),
            "shop".into(),
            Value::Int64(1_700_000_000_123),
            "false".into(),
            "shop".into(),
            r#"["34498160","34498216"]"#.into(),
            "public".into(),
            "orders".into(),
            Value::Int64(771),
            Value::Int64(34_498_216),
            Value::Null,
        ],
    );
    let values = vec![Value::Null, after, source, "c".into(), Value::Int64(1_700_000_000_456)];
    let value = row_of(&envelope, values);
    Datum::new(envelope, value)
}

/// A flat row.
pub(crate) fn row() -> Datum {
    let schema = structure(
        "shop.Customer",
        vec![
            ("id", of(Kind::Int64)),
            ("number", of(Kind::Int32)),
            ("name", of(Kind::String)),
            ("city", optional(Kind::String)),
            ("balance", of(Kind::Float64)),
            ("active", of(Kind::Boolean)),
            ("seen_at", named(Kind::Int64, logical::TIMESTAMP).shared()),
            ("email", of(Kind::String)),
        ],
    );
    let schema = schema.shared();
    let values = vec![
        Value::Int64(987_654_321),
        Value::Int32(42),
        "João da Silva".into(),
        Value::Null,
        Value::Float64(1234.56),
        Value::Bool(true),
        Value::Int64(1_700_000_000_123),
        "joao.da.silva@example.com".into(),
    ];
    let value = row_of(&schema, values);
    Datum::new(schema, value)
}
