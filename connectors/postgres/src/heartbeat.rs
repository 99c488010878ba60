//! Heartbeat records: they carry a position forward when nothing that is captured changes.

use std::sync::{Arc, LazyLock};

use connect_api::{Datum, Field, Kind, Record, Schema, SchemaRef, Struct, Value};

use crate::event::now_us;

/// A heartbeat of a source.
pub fn record(topic: &Arc<str>, server: &str) -> Record {
    static SCHEMAS: LazyLock<(SchemaRef, SchemaRef)> = LazyLock::new(|| {
        let key = vec![Field::new("serverName", Schema::of(Kind::String).shared())];
        let value = vec![Field::new("ts_ms", Schema::of(Kind::Int64).shared())];
        (
            Schema::structure(key).named("io.debezium.connector.common.ServerNameKey").version(1).shared(),
            Schema::structure(value).named("io.debezium.connector.common.Heartbeat").version(1).shared(),
        )
    });
    let datum = |schema: &SchemaRef, value: Value| {
        Datum::new(SchemaRef::clone(schema), Value::Struct(Struct::new(SchemaRef::clone(schema), vec![value])))
    };
    let (key, value) = &*SCHEMAS;
    Record::source(Arc::clone(topic), datum(key, Value::from(server)), datum(value, Value::Int64(now_us() / 1000)))
}
