//! Logical decoding messages: what somebody wrote into the log with `pg_logical_emit_message`.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::{Datum, Field, Kind, Record, Schema, SchemaRef, Struct, Text, Value};

use crate::event::{Events, Source, now_us, source_schema};
use crate::filters::Filter;
use crate::settings::{BinaryMode, Settings};
use crate::{decode, transactions};

/// The first version of the server whose `pgoutput` sends messages.
pub const SINCE: u32 = 140_000;

/// Makes records of messages.
#[derive(Clone, Debug)]
pub struct Messages {
    topic: Arc<str>,
    wanted: Filter,
    mode: BinaryMode,
    key: SchemaRef,
    value: SchemaRef,
    message: SchemaRef,
}

impl Messages {
    /// For one task.
    pub fn new(settings: &Settings) -> Self {
        let optional = |name: &str, kind| Field::new(name, Schema::of(kind).optional().shared());
        let mode = settings.values.binary;
        let kind = if mode == BinaryMode::Bytes { Kind::Bytes } else { Kind::String };
        let of = |fields, name: &str| {
            Schema::structure(fields).named(format!("io.debezium.connector.postgresql.{name}")).version(1).shared()
        };
        let message = of(vec![optional("prefix", Kind::String), optional("content", kind)], "Message");
        let value = vec![
            Field::new("op", Schema::of(Kind::String).shared()),
            optional("ts_ms", Kind::Int64),
            Field::new("source", source_schema()),
            Field::new("transaction", transactions::block_schema()),
            Field::new("message", SchemaRef::clone(&message)),
        ];
        Self {
            topic: format!("{}.message", settings.prefix).into(),
            wanted: settings.message_prefixes.clone(),
            mode,
            key: of(vec![optional("prefix", Kind::String)], "MessageKey"),
            value: of(value, "MessageValue"),
            message,
        }
    }

    /// The record of a message; `None` when its prefix is not wanted.
    pub fn record(&self, events: &Events, prefix: &[u8], content: Bytes, source: &Source) -> Option<Record> {
        let prefix = String::from_utf8_lossy(prefix);
        if !self.wanted.accepts(&prefix) {
            return None;
        }
        let structure = |schema: &SchemaRef, fields| Value::Struct(Struct::new(SchemaRef::clone(schema), fields));
        let text = Value::string(&prefix);
        let message = structure(&self.message, vec![text.clone(), decode::binary(content, self.mode)]);
        let nowhere = Text::new();
        let value = vec![
            Value::String(Text::from_static("m")),
            Value::Int64(now_us() / 1000),
            events.source(nowhere.clone(), nowhere, source),
            Value::Null,
            message,
        ];
        let datum = |schema: &SchemaRef, fields| Datum::new(SchemaRef::clone(schema), structure(schema, fields));
        Some(Record::source(Arc::clone(&self.topic), datum(&self.key, vec![text]), datum(&self.value, value)))
    }
}

/// What the names begin with that the reference counts messages under: those of objects, whose numbers differ each time.
const OBJECT: &str = "io.debezium.connector.postgresql.LogicalDecodingMessageMonitor$LogicalDecodingMessageId@";

/// The name that the n-th message of a transaction is counted under.
pub fn counted_as(n: u64) -> String {
    let object = n.wrapping_mul(0x0100_3a5b) & 0x7fff_ffff;
    format!("{OBJECT}{object:x}")
}

/// True for the name of a message.
pub fn is_counted_as(name: &str) -> bool {
    name.starts_with(OBJECT)
}
