//! The transform `TimescaleDb`: sends the changes of a hypertable's chunks to one topic, under the hypertable's name or
//! that of the continuous aggregate that it holds.
//!
//! Which chunk belongs where is in TimescaleDB's catalog. It is read when a chunk turns up that is not known yet, with
//! the settings of the connection that the transform has. A table that the catalog does not know either is not looked up
//! again for some seconds.

mod metadata;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connect_api::{
    ConfigDef, Datum, Error, Header, Kind, Plugin, PluginKind, Props, Record, Result, Schema, Struct, Transform, Value,
};
use connect_config::{ConfigKey, Importance, Type, Width};

use crate::catalog::TableName;
use metadata::Metadata;

/// How long it is believed that the catalog does not know a table.
const UNKNOWN_TIME: Duration = Duration::from_secs(10);
/// How many such tables are remembered; with more than these it starts afresh.
const UNKNOWN_MAX: usize = 1_000;

const SCHEMAS: &str = "schema.list";
const PREFIX: &str = "target.topic.prefix";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let mut def = ConfigDef::new();
    def.define(
        ConfigKey::new(SCHEMAS, Type::List, "The schemas that hold TimescaleDB's chunks.")
            .display("The list of TimescaleDB data schemas")
            .importance(Importance::High)
            .width(Width::Medium)
            .order(1)
            .default("_timescaledb_internal"),
    );
    def.define(
        ConfigKey::new(PREFIX, Type::String, "What the names of topics of hypertables and aggregates begin with.")
            .display("The prefix of TimescaleDB topic names")
            .importance(Importance::Medium)
            .width(Width::Medium)
            .order(1)
            .default("timescaledb"),
    );
    def
});

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
        version: crate::VERSION,
        kind: PluginKind::Transformation(|props| Ok(Box::new(TimescaleDb::new(props)))),
        config_def: || &DEF,
    }
}

struct TimescaleDb {
    schemas: Vec<String>,
    prefix: String,
    props: Props,
    metadata: Mutex<Metadata>,
    unknown: Mutex<Unknown>,
}

/// The tables that the catalog did not know, with when that was read.
#[derive(Default)]
struct Unknown(BTreeMap<TableName, Instant>);

impl Unknown {
    /// True when a table was not known a short time ago.
    fn has(&self, table: &TableName, now: Instant) -> bool {
        self.0.get(table).is_some_and(|read| now.duration_since(*read) < UNKNOWN_TIME)
    }

    fn add(&mut self, table: &TableName, now: Instant) {
        if self.0.len() >= UNKNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(table.clone(), now);
    }
}

/// What a chunk belongs to.
#[derive(Clone, Debug, PartialEq)]
struct Owner {
    hypertable: TableName,
    aggregate: Option<TableName>,
}

impl TimescaleDb {
    fn new(props: &Props) -> Self {
        let text = |key: &str| {
            let given = props.get(key).and_then(Clone::clone);
            given.or_else(|| DEF.key(key).and_then(ConfigKey::default_text)).unwrap_or_default()
        };
        Self {
            schemas: text(SCHEMAS).split(',').map(|schema| schema.trim().to_owned()).collect(),
            prefix: text(PREFIX),
            props: props.clone(),
            metadata: Mutex::default(),
            unknown: Mutex::default(),
        }
    }

    fn owner(&self, chunk: &TableName) -> Result<Option<Owner>> {
        // A panic leaves a catalog behind that is read again.
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = metadata.owner(chunk) {
            return Ok(Some(owner));
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.has(chunk, Instant::now()) {
            return Ok(None);
        }
        *metadata = Metadata::read(&self.props)?;
        let owner = metadata.owner(chunk);
        if owner.is_none() {
            unknown.add(chunk, Instant::now());
        }
        Ok(owner)
    }
}

/// The chunk that an event's source names.
fn chunk(source: &Struct) -> Result<Option<TableName>> {
    let text = |name: &str| match source.get(name) {
        None => Err(Error::data(format!("{name} is not a valid field name"))),
        Some(Value::String(text)) => Ok(Some(text.to_string())),
        Some(_) => Ok(None),
    };
    Ok(match (text("schema")?, text("table")?) {
        (Some(schema), Some(table)) => Some(TableName { schema, table }),
        _ => None,
    })
}

fn rename(source: &mut Struct, name: &TableName) {
    for (field, text) in [("schema", &name.schema), ("table", &name.table)] {
        if let Some(index) = source.schema.index_of(field) {
            source.fields[index] = Value::string(text);
        }
    }
}

fn header(key: &str, text: &str) -> Header {
    let schema = Schema::of(Kind::String).shared();
    Header { key: key.into(), datum: Datum::new(schema, Value::string(text)) }
}

fn is_envelope(record: &Record) -> bool {
    let name = record.value.schema.as_ref().and_then(|schema| schema.name.as_deref());
    name.is_some_and(|name| name.ends_with(".Envelope"))
}

impl Transform for TimescaleDb {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if !is_envelope(&record) {
            return Ok(Some(record));
        }
        let Value::Struct(event) = &mut record.value.value else { return Ok(Some(record)) };
        let Some(index) = event.schema.index_of("source") else {
            return Err(Error::data("source is not a valid field name"));
        };
        let Value::Struct(source) = &mut event.fields[index] else { return Ok(Some(record)) };
        let Some(chunk) = chunk(source)?.filter(|chunk| self.schemas.contains(&chunk.schema)) else {
            return Ok(Some(record));
        };
        let Some(owner) = self.owner(&chunk)? else {
            tracing::warn!(schema = %chunk.schema, table = %chunk.table, "no hypertable is known for this chunk");
            return Ok(Some(record));
        };
        let name = owner.aggregate.as_ref().unwrap_or(&owner.hypertable);
        rename(source, name);
        record.topic = Arc::from(format!("{}.{}.{}", self.prefix, name.schema, name.table));
        record.headers.push(header("__debezium_timescaledb_chunk_table", &chunk.table));
        record.headers.push(header("__debezium_timescaledb_chunk_schema", &chunk.schema));
        if owner.aggregate.is_some() {
            record.headers.push(header("__debezium_timescaledb_hypertable_table", &owner.hypertable.table));
            record.headers.push(header("__debezium_timescaledb_hypertable_schema", &owner.hypertable.schema));
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Field;

    use super::*;

    fn name(schema: &str, table: &str) -> TableName {
        TableName { schema: schema.to_owned(), table: table.to_owned() }
    }

    fn transform() -> TimescaleDb {
        let transform = TimescaleDb::new(&Props::new());
        let row = |parts: [&str; 4]| parts.map(|part| Some(part.to_owned())).to_vec();
        *transform.metadata.lock().unwrap() = Metadata::from_rows(
            &[
                row(["_timescaledb_internal", "c1", "public", "h"]),
                row(["_timescaledb_internal", "c2", "_timescaledb_internal", "m"]),
            ],
            &[row(["_timescaledb_internal", "m", "public", "agg"])],
        );
        transform
    }

    fn event(schema: &str, table: &str) -> Record {
        let text = || Schema::of(Kind::String).optional().shared();
        let source = Schema::structure(vec![Field::new("schema", text()), Field::new("table", text())]).shared();
        let envelope = Schema::structure(vec![Field::new("source", Arc::clone(&source))]).named("x.Envelope").shared();
        let source = Value::Struct(Struct::new(source, vec![schema.into(), table.into()]));
        let value = Value::Struct(Struct::new(Arc::clone(&envelope), vec![source]));
        Record::source("t".into(), Datum::null(), Datum::new(envelope, value))
    }

    fn sent(schema: &str, table: &str) -> (String, TableName, Vec<String>) {
        let record = transform().apply(event(schema, table)).unwrap().unwrap();
        let source = record.value.value.as_struct().and_then(|event| event.get("source")?.as_struct()).unwrap();
        let headers = record.headers.iter().map(|header| header.datum.value.as_str().unwrap().to_owned()).collect();
        (record.topic.to_string(), chunk(source).unwrap().unwrap(), headers)
    }

    #[test]
    fn a_chunk_goes_to_its_hypertable() {
        let (topic, source, headers) = sent("_timescaledb_internal", "c1");
        assert_eq!((topic.as_str(), source), ("timescaledb.public.h", name("public", "h")));
        assert_eq!(headers, ["c1", "_timescaledb_internal"]);
    }

    #[test]
    fn a_chunk_of_an_aggregate_goes_to_the_aggregate() {
        let (topic, source, headers) = sent("_timescaledb_internal", "c2");
        assert_eq!((topic.as_str(), source), ("timescaledb.public.agg", name("public", "agg")));
        assert_eq!(headers, ["c2", "_timescaledb_internal", "m", "_timescaledb_internal"]);
    }

    #[test]
    fn a_table_that_the_catalog_does_not_know_is_not_looked_up_again_at_once() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        unknown.add(&name("s", "t"), now);
        assert!(unknown.has(&name("s", "t"), now) && !unknown.has(&name("s", "u"), now));
        assert!(!unknown.has(&name("s", "t"), now + UNKNOWN_TIME));
        for number in 0..2 * UNKNOWN_MAX {
            unknown.add(&name("s", &number.to_string()), now);
        }
        assert!(unknown.0.len() <= UNKNOWN_MAX);
        // Nothing is read for it: the transform has no settings to connect with.
        let transform = transform();
        transform.unknown.lock().unwrap().add(&name("_timescaledb_internal", "new"), now);
        let record = transform.apply(event("_timescaledb_internal", "new")).unwrap().unwrap();
        assert_eq!(&*record.topic, "t");
    }

    #[test]
    fn other_tables_stay() {
        assert_eq!(sent("public", "c1"), ("t".to_owned(), name("public", "c1"), Vec::new()));
    }
}
