//! `InsertField`: adds what a record says of itself, or a constant, to its key or value.

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{
    ConfigError, Error, Kind, Origin, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};

use crate::schemas::{Cache, Fields, check_null, filled};
use crate::side::{Side, put_entry, take_map, take_struct};

const PURPOSE: &str = "field insertion";

connect_config::config! {
    /// The keys of the transform.
    pub struct InsertFieldConfig {
        /// Field for the topic. A `!` behind the name makes it required, a `?` optional, which it is without.
        "topic.field" => topic: Option<String> = NULL {},
        /// Field for the partition, written in the same way.
        "partition.field" => partition: Option<String> = NULL {},
        /// Field for the offset, which only sinks know.
        "offset.field" => offset: Option<String> = NULL {},
        /// Field for the record's timestamp.
        "timestamp.field" => timestamp: Option<String> = NULL {},
        /// Field for a constant.
        "static.field" => constant: Option<String> = NULL {},
        /// The constant.
        "static.value" => constant_value: Option<String> = NULL {},
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("InsertField", InsertFieldConfig, InsertField)
}

/// What is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Constant,
}

struct Insertion {
    what: What,
    name: String,
    optional: bool,
}

impl Insertion {
    fn parse(what: What, text: Option<String>) -> Option<Self> {
        let text = text?;
        Some(match text.strip_suffix(['?', '!']) {
            Some(name) => Self { what, name: name.to_owned(), optional: text.ends_with('?') },
            None => Self { what, name: text, optional: true },
        })
    }

    fn schema(&self) -> SchemaRef {
        let schema = match self.what {
            What::Topic | What::Constant => Schema::of(Kind::String),
            What::Partition => Schema::of(Kind::Int32),
            What::Offset => Schema::of(Kind::Int64),
            What::Timestamp => Schema::of(Kind::Int64).named(logical::TIMESTAMP).version(1),
        };
        if self.optional { schema.optional().shared() } else { schema.shared() }
    }
}

struct InsertField {
    side: Side,
    insertions: Vec<Insertion>,
    constant: Value,
    replace_null: bool,
    schemas: Cache,
}

impl InsertField {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = InsertFieldConfig::parse(props).map_err(crate::first_problem)?;
        let insertions: Vec<_> = [
            Insertion::parse(What::Topic, config.topic),
            Insertion::parse(What::Partition, config.partition),
            Insertion::parse(What::Offset, config.offset),
            Insertion::parse(What::Timestamp, config.timestamp),
            Insertion::parse(What::Constant, config.constant),
        ]
        .into_iter()
        .flatten()
        .collect();
        if insertions.is_empty() {
            return Err(Error::config("No field insertion configured"));
        }
        if let Some(constant) = insertions.iter().find(|insertion| insertion.what == What::Constant)
            && config.constant_value.is_none()
        {
            let why = format!("No value specified for static field: {}", constant.name);
            return Err(ConfigError::invalid("static.value", "null", why).into());
        }
        let constant = Value::from(config.constant_value);
        Ok(Self { side, insertions, constant, replace_null: config.replace_null, schemas: Cache::default() })
    }

    /// What a record has for an insertion.
    fn value(&self, what: What, record: &Record) -> Result<Value> {
        Ok(match (what, &record.origin) {
            (What::Topic, _) => Value::string(&record.topic),
            (What::Partition, _) => record.partition.into(),
            (What::Offset, Origin::Sink(origin)) => Value::Int64(origin.offset),
            (What::Offset, Origin::Source) => {
                let found = "org.apache.kafka.connect.source.SourceRecord";
                return Err(Error::data(format!("Only SinkRecord supported for [{PURPOSE}], found: {found}")));
            }
            (What::Timestamp, _) => record.timestamp.into(),
            (What::Constant, _) => self.constant.clone(),
        })
    }

    fn schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut fields = Fields::default();
            for field in schema.fields() {
                fields.add(&field.name, SchemaRef::clone(&field.schema))?;
            }
            for insertion in &self.insertions {
                fields.add(&insertion.name, insertion.schema())?;
            }
            Ok(fields.build(schema))
        })
    }

    fn insert_into_struct(&self, record: &mut Record) -> Result<()> {
        let value = take_struct(self.side.of_mut(record), PURPOSE)?;
        let schema = self.schema(&value.schema)?;
        let mut values = Vec::with_capacity(schema.fields().len());
        for (value, field) in value.fields.into_iter().zip(schema.fields()) {
            let value = filled(value, &field.schema, self.replace_null);
            check_null(&field.name, &field.schema, &value)?;
            values.push(value);
        }
        for insertion in &self.insertions {
            values.push(self.value(insertion.what, record)?);
        }
        let datum = self.side.of_mut(record);
        datum.value = Value::Struct(Struct::new(SchemaRef::clone(&schema), values));
        datum.schema = Some(schema);
        Ok(())
    }

    fn insert_into_map(&self, record: &mut Record) -> Result<()> {
        let mut entries = take_map(self.side.of_mut(record), PURPOSE)?;
        let copied = entries.len();
        for insertion in &self.insertions {
            let value = self.value(insertion.what, record)?;
            // Java leaves out a partition and a timestamp that are not known.
            if !value.is_null() {
                put_entry(&mut entries, &insertion.name, value);
            }
        }
        hash::order_of_copy(copied, &mut entries);
        self.side.of_mut(record).value = Value::Map(entries);
        Ok(())
    }
}

impl Transform for InsertField {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if self.side.of(&record).value.is_null() {
            return Ok(Some(record));
        }
        match self.side.of(&record).schema {
            Some(_) => self.insert_into_struct(&mut record)?,
            None => self.insert_into_map(&mut record)?,
        }
        Ok(Some(record))
    }
}
