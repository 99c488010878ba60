//! Transaction metadata (`provide.transaction.metadata`): a block in every event that says which of its transaction it is, and
//! the bounds of transactions in a topic of their own.
//!
//! The offset carries what was counted (Debezium's `TransactionContext`), so that a transaction that a restart falls into is
//! counted on.

use std::sync::{Arc, LazyLock};

use connect_api::java::hash;
use connect_api::{Datum, Field, Kind, OffsetMap, Record, Schema, SchemaRef, Struct, Text, Value};

use crate::messages;

const ID: &str = "transaction_id";
const COUNT_OF: &str = "transaction_data_collection_order_";
/// A field of our own: what was counted behind the place that the reference reads.
const MORE: &str = "tidegate_within_counted";

/// Where an envelope, and the value of a message, have these.
const SOURCE: usize = 2;
const TRANSACTION: usize = 3;
/// Where the source block has the names of schema and table.
const NAMES: std::ops::Range<usize> = 9..11;

/// How many events of a transaction were delivered, of each table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    id: Option<String>,
    total: u64,
    tables: Vec<(Arc<str>, u64)>,
    /// Logical messages, each of which the reference counts under a name of its own.
    messages: u64,
}

/// How many messages are listed by name, at most: a transaction may have any number of them.
const MESSAGES_NAMED: u64 = 100;

impl Counted {
    /// What a stored offset says.
    pub fn from_offset(offset: &OffsetMap) -> Self {
        let Some(id) = offset.get(ID).and_then(serde_json::Value::as_str) else { return Self::default() };
        let counts = offset.iter().filter_map(|(key, count)| Some((key.strip_prefix(COUNT_OF)?, count.as_u64()?)));
        let (messages, tables): (Vec<_>, Vec<_>) = counts.partition(|(name, _)| messages::is_counted_as(name));
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        Self {
            id: Some(id.to_owned()),
            total: sum(&tables) + sum(&messages),
            messages: sum(&messages),
            tables: tables.into_iter().map(|(name, count)| (name.into(), count)).collect(),
        }
    }

    /// With what was counted since, where the position in the offset says that more is delivered.
    pub fn with_more(self, offset: &OffsetMap) -> Self {
        let text = offset.get(MORE).and_then(serde_json::Value::as_str);
        let Some(more) = text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()) else {
            return self;
        };
        let Some(id) = more.get("id").and_then(serde_json::Value::as_str) else { return self };
        let mut counted =
            if self.id.as_deref() == Some(id) { self } else { Self { id: Some(id.to_owned()), ..Self::default() } };
        for (table, count) in more.get("tables").and_then(serde_json::Value::as_object).into_iter().flatten() {
            *counted.of_table(table) += count.as_u64().unwrap_or(0);
            counted.total += count.as_u64().unwrap_or(0);
        }
        let messages = more.get("messages").and_then(serde_json::Value::as_u64).unwrap_or(0);
        counted.messages += messages;
        counted.total += messages;
        counted
    }

    /// Writes what was counted since an earlier state of this into an offset that has that state.
    pub fn put_more_into(&self, before: &Self, offset: &mut OffsetMap) {
        let Some(id) = &self.id else { return };
        let (nothing, same) = (Self::default(), before.id == self.id);
        let before = if same { before } else { &nothing };
        let tables: serde_json::Map<_, _> = self
            .tables
            .iter()
            .map(|(table, count)| {
                (table, count - before.tables.iter().find(|(name, _)| name == table).map_or(0, |t| t.1))
            })
            .filter(|(_, more)| *more > 0)
            .map(|(table, more)| (table.to_string(), more.into()))
            .collect();
        let more = serde_json::json!({"id": id, "tables": tables, "messages": self.messages - before.messages});
        offset.insert(MORE.to_owned(), more.to_string().into());
    }

    /// Writes it into an offset.
    pub fn put_into(&self, offset: &mut OffsetMap) {
        let Some(id) = &self.id else { return };
        offset.insert(ID.to_owned(), id.as_str().into());
        for (name, count) in self.counts() {
            offset.insert(format!("{COUNT_OF}{name}"), count.into());
        }
    }

    /// Tables and messages, with how many events each has; messages above a limit are counted with the last one.
    fn counts(&self) -> Vec<(String, u64)> {
        let named = self.messages.min(MESSAGES_NAMED);
        let more = self.messages - named;
        let messages = (1..=named).map(|n| (messages::counted_as(n), if n == named { 1 + more } else { 1 }));
        messages.chain(self.tables.iter().map(|(table, count)| (table.to_string(), *count))).collect()
    }

    /// True when these are events of that transaction.
    pub fn is_of(&self, xid: u32) -> bool {
        self.id.as_deref().is_some_and(|id| id.parse() == Ok(xid))
    }

    /// A transaction begins.
    pub fn begin(&mut self, xid: u32) {
        *self = Self { id: Some(xid.to_string()), ..Self::default() };
    }

    /// Nothing is counted between transactions.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// One more message: each is the first of its name.
    fn count_message(&mut self) -> (u64, u64) {
        self.total += 1;
        self.messages += 1;
        (self.total, 1)
    }

    /// One more event of a table: its place among all, and among the table's.
    fn count(&mut self, table: &str) -> (u64, u64) {
        self.total += 1;
        let of_table = self.of_table(table);
        *of_table += 1;
        let of_table = *of_table;
        (self.total, of_table)
    }

    fn of_table(&mut self, table: &str) -> &mut u64 {
        let at = self.tables.iter().position(|(name, _)| **name == *table).unwrap_or_else(|| {
            self.tables.push((table.into(), 0));
            self.tables.len() - 1
        });
        &mut self.tables[at].1
    }

    /// The tables as the reference lists them: in the order of a Java hash map.
    fn collections(&self) -> Vec<Value> {
        let mut entries: Vec<(Value, Value)> =
            self.counts().iter().map(|(name, count)| (Value::string(name), int(*count))).collect();
        hash::order(&mut entries);
        let schema = &schemas().collection;
        let collection = |(table, count)| Value::Struct(Struct::new(SchemaRef::clone(schema), vec![table, count]));
        entries.into_iter().map(collection).collect()
    }

    /// Puts the block into an event, and counts it; what has no value is a tombstone, and none.
    pub fn mark(&mut self, record: &mut Record, id: &str, message: bool) {
        let Value::Struct(event) = &mut record.value.value else { return };
        let table = if message { None } else { table_of(event) };
        let Some(block) = event.fields.get_mut(TRANSACTION).filter(|_| message || table.is_some()) else { return };
        let (total, of_table) = match table {
            Some(table) => self.count(&table),
            None => self.count_message(),
        };
        let schema = block_schema();
        *block = Value::Struct(Struct::new(schema, vec![Value::string(id), int(total), int(of_table)]));
    }
}

/// `schema.table` of an event.
fn table_of(event: &Struct) -> Option<String> {
    let Value::Struct(source) = event.fields.get(SOURCE)? else { return None };
    match source.fields.get(NAMES)? {
        [Value::String(schema), Value::String(table)] => Some(format!("{schema}.{table}")),
        _ => None,
    }
}

fn int(count: u64) -> Value {
    Value::Int64(count.cast_signed())
}

/// `id` of a bound or an event: the transaction, and a place in the log.
pub fn id(xid: u32, lsn: u64) -> String {
    format!("{xid}:{}", lsn.cast_signed())
}

/// The schema of the block in events.
pub fn block_schema() -> SchemaRef {
    SchemaRef::clone(&schemas().block)
}

struct Schemas {
    block: SchemaRef,
    key: SchemaRef,
    value: SchemaRef,
    collection: SchemaRef,
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
        let required = |name: &str, kind| Field::new(name, Schema::of(kind).shared());
        let optional = |name: &str, kind| Field::new(name, Schema::of(kind).optional().shared());
        let collection = vec![required("data_collection", Kind::String), required("event_count", Kind::Int64)];
        let collection = Schema::structure(collection).optional().named("event.collection").version(1).shared();
        let value = vec![
            required("status", Kind::String),
            required("id", Kind::String),
            optional("event_count", Kind::Int64),
            Field::new("data_collections", Schema::of(Kind::Array(SchemaRef::clone(&collection))).optional().shared()),
            required("ts_ms", Kind::Int64),
        ];
        let block = vec![
            required("id", Kind::String),
            required("total_order", Kind::Int64),
            required("data_collection_order", Kind::Int64),
        ];
        let of = |fields, name: &str| Schema::structure(fields).named(name).version(1);
        Schemas {
            block: of(block, "event.block").optional().shared(),
            key: of(vec![required("id", Kind::String)], "io.debezium.connector.common.TransactionMetadataKey").shared(),
            value: of(value, "io.debezium.connector.common.TransactionMetadataValue").shared(),
            collection,
        }
    });
    &SCHEMAS
}

/// The record of a transaction's begin.
pub fn begun(topic: &Arc<str>, id: &str, commit_us: i64) -> Record {
    bound(topic, id, "BEGIN", [Value::Null, Value::Null], commit_us)
}

/// The record of a transaction's end.
pub fn ended(topic: &Arc<str>, id: &str, counted: &Counted, commit_us: i64) -> Record {
    bound(topic, id, "END", [int(counted.total), Value::Array(counted.collections())], commit_us)
}

fn bound(topic: &Arc<str>, id: &str, status: &'static str, counts: [Value; 2], commit_us: i64) -> Record {
    let Schemas { key, value, .. } = schemas();
    let [events, collections] = counts;
    let datum = |schema: &SchemaRef, fields| {
        Datum::new(SchemaRef::clone(schema), Value::Struct(Struct::new(SchemaRef::clone(schema), fields)))
    };
    let fields = vec![
        Value::String(Text::from_static(status)),
        Value::string(id),
        events,
        collections,
        Value::Int64(commit_us.div_euclid(1000)),
    ];
    Record::source(Arc::clone(topic), datum(key, vec![Value::string(id)]), datum(value, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_survives_its_stored_form() {
        let mut counted = Counted::default();
        counted.begin(771);
        for table in ["public.x", "public.y", "public.x"] {
            counted.count(table);
        }
        let mut offset = OffsetMap::new();
        counted.put_into(&mut offset);
        let text = serde_json::to_value(&offset).expect("serializable");
        let expected = serde_json::json!({
            "transaction_id": "771",
            "transaction_data_collection_order_public.x": 2,
            "transaction_data_collection_order_public.y": 1,
        });
        assert_eq!(text, expected);
        let mut again = Counted::from_offset(&offset);
        assert!(again.is_of(771) && !again.is_of(772));
        assert_eq!(again.count("public.x"), (4, 3));
        again.end();
        let mut offset = OffsetMap::new();
        again.put_into(&mut offset);
        assert!(offset.is_empty(), "nothing between transactions");
        assert_eq!(Counted::from_offset(&offset), Counted::default());
    }

    #[test]
    fn what_was_counted_behind_the_position_of_the_reference_is_stored_beside_it() {
        let mut before = Counted::default();
        before.begin(771);
        before.count("public.x");
        let mut now = before.clone();
        for table in ["public.x", "public.y", "public.x"] {
            now.count(table);
        }
        now.count_message();
        let mut offset = OffsetMap::new();
        before.put_into(&mut offset);
        now.put_more_into(&before, &mut offset);
        let more = r#"{"id":"771","tables":{"public.x":2,"public.y":1},"messages":1}"#;
        assert_eq!(offset.get("tidegate_within_counted"), Some(&more.into()));
        assert_eq!(Counted::from_offset(&offset), before, "as the reference reads it");
        assert_eq!(Counted::from_offset(&offset).with_more(&offset), now);
        // The transaction before is what the reference still has.
        let mut offset = OffsetMap::new();
        now.put_more_into(&Counted::default(), &mut offset);
        let mut other = Counted::default();
        other.begin(770);
        other.count("public.x");
        assert_eq!(other.with_more(&offset), now);
    }

    #[test]
    fn messages_are_counted_one_by_one_up_to_a_limit() {
        let mut counted = Counted::default();
        counted.begin(771);
        counted.count("public.x");
        assert_eq!((counted.count_message(), counted.count_message()), ((2, 1), (3, 1)));
        assert_eq!(counted.counts().len(), 3);
        for _ in 0..1_000 {
            counted.count_message();
        }
        let mut offset = OffsetMap::new();
        counted.put_into(&mut offset);
        assert_eq!(offset.len(), 102, "the transaction, a table, a hundred messages");
        let again = Counted::from_offset(&offset);
        assert_eq!((again.total, again.messages), (1_003, 1_002));
        assert_eq!(again, counted);
    }

    #[test]
    fn an_end_lists_what_was_counted() {
        let mut counted = Counted::default();
        counted.begin(7);
        counted.count("public.x");
        let topic: Arc<str> = "shop.transaction".into();
        let record = ended(&topic, &id(7, 42), &counted, 1_700_000_000_123_456);
        let Value::Struct(value) = &record.value.value else { panic!("a struct") };
        assert_eq!(value.get("id"), Some(&Value::string("7:42")));
        assert_eq!(value.get("event_count"), Some(&Value::Int64(1)));
        assert_eq!(value.get("ts_ms"), Some(&Value::Int64(1_700_000_000_123)));
        let Some(Value::Array(collections)) = value.get("data_collections") else { panic!("a list") };
        assert_eq!(collections.len(), 1);
        let record = begun(&topic, "7:40", 0);
        let Value::Struct(value) = &record.value.value else { panic!("a struct") };
        assert_eq!(value.get("event_count"), Some(&Value::Null));
    }
}
