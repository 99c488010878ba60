//! Debezium's envelope: before, after, source, operation and times; keys, tombstones and headers.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use connect_api::{Datum, Field, Header, Kind, Record, Schema, SchemaRef, Struct, Text, Value};

use crate::VERSION;
use crate::settings::Settings;
use crate::table::Table;
use crate::transactions;

/// What a snapshot's record says about its place (`source.snapshot`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    First,
    FirstInTable,
    Inner,
    LastInTable,
    Last,
    /// Of an incremental snapshot: such a row has no place in the log of its own.
    Incremental,
    /// Not of a snapshot.
    Stream,
}

impl Marker {
    /// The text in the source block.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstInTable => "first_in_data_collection",
            Self::Inner => "true",
            Self::LastInTable => "last_in_data_collection",
            Self::Last => "last",
            Self::Incremental => "incremental",
            Self::Stream => "false",
        }
    }
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub marker: Marker,
    pub lsn: u64,
    /// The end of the last transaction before this one.
    pub last_commit: Option<u64>,
    pub tx_id: Option<i64>,
    /// Microseconds since the epoch: of the commit, or of the reading.
    pub ts_us: i64,
    /// The slot's `catalog_xmin`, where that is read.
    pub xmin: Option<i64>,
}

/// Microseconds since the epoch, now.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn required(kind: Kind) -> SchemaRef {
    Schema::of(kind).shared()
}

fn optional(kind: Kind) -> SchemaRef {
    Schema::of(kind).optional().shared()
}

/// `["1","2"]`: the end of the last transaction before the event's own, and the event's place.
fn sequence(last_commit: Option<u64>, lsn: u64) -> String {
    let mut digits = itoa::Buffer::new();
    // Two numbers of at most 20 digits and what is around them.
    let mut text = String::with_capacity(48);
    text.push('[');
    match last_commit {
        Some(lsn) => text.extend(["\"", digits.format(lsn), "\""]),
        None => text.push_str("null"),
    }
    text.extend([",\"", digits.format(lsn), "\"]"]);
    text
}

/// The schema of the source block.
pub fn source_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let snapshot = Schema::of(Kind::String)
            .optional()
            .named("io.debezium.data.Enum")
            .version(1)
            .parameter("allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental")
            .default_value(Value::from("false"));
        let fields = vec![
            Field::new("version", required(Kind::String)),
            Field::new("connector", required(Kind::String)),
            Field::new("name", required(Kind::String)),
            Field::new("ts_ms", required(Kind::Int64)),
            Field::new("snapshot", snapshot.shared()),
            Field::new("db", required(Kind::String)),
            Field::new("sequence", optional(Kind::String)),
            Field::new("ts_us", optional(Kind::Int64)),
            Field::new("ts_ns", optional(Kind::Int64)),
            Field::new("schema", required(Kind::String)),
            Field::new("table", required(Kind::String)),
            Field::new("txId", optional(Kind::Int64)),
            Field::new("lsn", optional(Kind::Int64)),
            Field::new("xmin", optional(Kind::Int64)),
        ];
        Schema::structure(fields).named("io.debezium.connector.postgresql.Source").version(1).shared()
    });
    SchemaRef::clone(&SCHEMA)
}

/// The schema of a table's envelope.
pub fn envelope_schema(value: &SchemaRef, name: String) -> SchemaRef {
    let fields = vec![
        Field::new("before", SchemaRef::clone(value)),
        Field::new("after", SchemaRef::clone(value)),
        Field::new("source", source_schema()),
        Field::new("transaction", transactions::block_schema()),
        Field::new("op", required(Kind::String)),
        Field::new("ts_ms", optional(Kind::Int64)),
        Field::new("ts_us", optional(Kind::Int64)),
        Field::new("ts_ns", optional(Kind::Int64)),
    ];
    Schema::structure(fields).named(name).version(2).shared()
}

/// Where an envelope has the new row.
const AFTER: usize = 1;

/// The new row of an event.
pub fn after(record: &Record) -> Option<&Struct> {
    record.value.value.as_struct()?.fields.get(AFTER)?.as_struct()
}

/// The same, to be changed.
pub fn after_mut(record: &mut Record) -> Option<&mut Struct> {
    let Value::Struct(event) = &mut record.value.value else { return None };
    match event.fields.get_mut(AFTER)? {
        Value::Struct(after) => Some(after),
        _ => None,
    }
}

/// Makes records: holds what is the same in all of a source's.
#[derive(Clone, Debug)]
pub struct Events {
    name: Text,
    database: Text,
    headers: Vec<Header>,
    new_key: Arc<str>,
    old_key: Arc<str>,
    tombstones: bool,
    source: SchemaRef,
}

impl Events {
    /// For one task.
    pub fn new(settings: &Settings, task: u32) -> Self {
        let text: SchemaRef = required(Kind::String);
        let header = |key: &str, value: &str| Header {
            key: format!("__debezium.context.{key}").into(),
            datum: Datum::new(SchemaRef::clone(&text), Value::from(value)),
        };
        let headers = if settings.headers {
            vec![
                header("connectorLogicalName", &settings.prefix),
                header("taskId", &task.to_string()),
                header("connectorName", "postgresql"),
            ]
        } else {
            Vec::new()
        };
        Self {
            name: (&*settings.prefix).into(),
            database: settings.server.database.as_str().into(),
            headers,
            new_key: "__debezium.newkey".into(),
            old_key: "__debezium.oldkey".into(),
            tombstones: settings.tombstones,
            source: source_schema(),
        }
    }

    /// The source block of an event of a table, or of none.
    pub fn source(&self, schema: Text, table: Text, source: &Source) -> Value {
        let fields = vec![
            Value::String(Text::from_static(VERSION)),
            Value::String(Text::from_static("postgresql")),
            Value::String(self.name.clone()),
            Value::Int64(source.ts_us.div_euclid(1000)),
            Value::String(Text::from_static(source.marker.name())),
            Value::String(self.database.clone()),
            Value::from(sequence(source.last_commit, source.lsn)),
            Value::Int64(source.ts_us),
            Value::Int64(source.ts_us.wrapping_mul(1000)),
            Value::String(schema),
            Value::String(table),
            Value::from(source.tx_id),
            if source.marker == Marker::Incremental { Value::Null } else { Value::Int64(source.lsn.cast_signed()) },
            Value::from(source.xmin),
        ];
        Value::Struct(Struct::new(SchemaRef::clone(&self.source), fields))
    }

    fn record(
        &self,
        table: &Table,
        key: Datum,
        op: &'static str,
        images: (Value, Value),
        source: &Source,
        extra: Option<Header>,
    ) -> Record {
        let now = now_us();
        let fields = vec![
            images.0,
            images.1,
            self.source(table.schema_name.clone(), table.table_name.clone(), source),
            Value::Null,
            Value::String(Text::from_static(op)),
            Value::Int64(now / 1000),
            Value::Int64(now),
            Value::Int64(now.wrapping_mul(1000)),
        ];
        let schema = &table.envelope_schema;
        let value = Value::Struct(Struct::new(SchemaRef::clone(schema), fields));
        let mut record = Record::source(Arc::clone(&table.topic), key, Datum::new(SchemaRef::clone(schema), value));
        record.headers = self.headers(extra);
        record
    }

    fn headers(&self, extra: Option<Header>) -> Vec<Header> {
        extra.into_iter().chain(self.headers.iter().cloned()).collect()
    }

    /// A row of a snapshot.
    pub fn read(&self, table: &Table, row: Vec<Value>, source: &Source) -> Record {
        let key = table.key(&row);
        self.record(table, key, "r", (Value::Null, table.image(row)), source, None)
    }

    /// A new row.
    pub fn create(&self, table: &Table, row: Vec<Value>, source: &Source) -> Record {
        let key = table.key(&row);
        self.record(table, key, "c", (Value::Null, table.image(row)), source, None)
    }

    /// A changed row. A change of the key is a delete of the old one and a create of the new one.
    pub fn update(
        &self,
        table: &Table,
        old: Option<(Vec<Value>, bool)>,
        new: Vec<Value>,
        source: &Source,
        out: &mut Vec<Record>,
    ) {
        let key = table.key(&new);
        let Some((old, whole)) = old else {
            out.push(self.record(table, key, "u", (Value::Null, table.image(new)), source, None));
            return;
        };
        let old_key = table.key(&old);
        if old_key == key || key.is_null() {
            let before = if whole || key.is_null() { table.image(old) } else { Value::Null };
            out.push(self.record(table, key, "u", (before, table.image(new)), source, None));
            return;
        }
        let was = Header { key: Arc::clone(&self.old_key), datum: old_key.clone() };
        let becomes = Header { key: Arc::clone(&self.new_key), datum: key.clone() };
        self.removed(table, old_key, table.image(old), source, Some(becomes), out);
        out.push(self.record(table, key, "c", (Value::Null, table.image(new)), source, Some(was)));
    }

    /// A row that is gone.
    pub fn delete(&self, table: &Table, old: Vec<Value>, source: &Source, out: &mut Vec<Record>) {
        let key = table.key(&old);
        self.removed(table, key, table.image(old), source, None, out);
    }

    fn removed(
        &self,
        table: &Table,
        key: Datum,
        image: Value,
        source: &Source,
        extra: Option<Header>,
        out: &mut Vec<Record>,
    ) {
        out.push(self.record(table, key.clone(), "d", (image, Value::Null), source, extra.clone()));
        if self.tombstones {
            let mut tombstone = Record::source(Arc::clone(&table.topic), key, Datum::null());
            tombstone.headers = self.headers(extra);
            out.push(tombstone);
        }
    }

    /// A table that was emptied.
    pub fn truncate(&self, table: &Table, source: &Source) -> Record {
        self.record(table, Datum::null(), "t", (Value::Null, Value::Null), source, None)
    }
}
