//! `ExtractSchemaToNewRecord`: adds the table's definition to an event, from what the connector propagated of it into
//! the parameters of the fields' schemas.

use std::sync::{Arc, LazyLock};

use connect_api::{
    ConfigDef, Error, Field, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};

use super::envelope::{self, AFTER, BEFORE, SOURCE, debezium_error, is_envelope, java_error};
use super::schema_names::{Adjuster, MODE_KEY};
use super::settings::Settings;
use crate::schemas::{Cache, Fields};
use crate::side::require_struct;

const PURPOSE: &str = "Extract schema";
const SOURCE_SCHEMA: &str = "sourceSchema";
const PARAMETER: &str = "__debezium.source.column.";

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.ExtractSchemaToNewRecord",
        || &NO_KEYS,
        |props| Ok(Box::new(ExtractSchemaToNewRecord::new(props)?)),
    )
}

/// The schemas of the table's definition.
struct Schemas {
    column: SchemaRef,
    table: SchemaRef,
    definition: SchemaRef,
}

struct ExtractSchemaToNewRecord {
    schemas: Schemas,
    events: Cache,
}

fn named(adjuster: Adjuster, name: &str, fields: Vec<Field>) -> SchemaRef {
    let name = adjuster.adjust(&format!("io.debezium.connector.{name}"));
    Schema::structure(fields).named(name).version(1).shared()
}

impl ExtractSchemaToNewRecord {
    fn new(props: &Props) -> Result<Self> {
        let mode = Settings::new(&NO_KEYS, props).given(MODE_KEY);
        let Some(adjuster) = Adjuster::of(mode) else {
            let message = format!("there is no {MODE_KEY} of this name");
            return Err(Error::config(message).class("java.lang.NullPointerException"));
        };
        let text = || Schema::of(Kind::String);
        let field = |name: &str, schema: Schema| Field::new(name, schema.shared());
        let column = named(
            adjuster,
            "source.schema.Column",
            vec![
                field("name", text()),
                field("typeName", text()),
                field("length", Schema::of(Kind::Int32).optional()),
                field("scale", Schema::of(Kind::Int32).optional()),
                field("comment", text().optional()),
            ],
        );
        let columns = Schema::of(Kind::Array(Arc::clone(&column)));
        let table = named(adjuster, "source.schema.Table", vec![field("columns", columns)]);
        let fields = vec![field("id", text()), Field::new("table", Arc::clone(&table))];
        let definition = named(adjuster, "source.Schema", fields);
        Ok(Self { schemas: Schemas { column, table, definition }, events: Cache::default() })
    }

    fn column(&self, schema: &Schema) -> Result<Value> {
        let parameter = |name: &str| schema.get_parameter(&format!("{PARAMETER}{name}"));
        let (Some(name), Some(type_name)) = (parameter("name"), parameter("type")) else {
            return Err(debezium_error(
                "Ensure that enable configurations \"column.propagate.source.type\" or \
                 \"datatype.propagate.source.type\" and the value is set to \".*\"",
            ));
        };
        let number = |name: &str| match parameter(name) {
            None => Ok(Value::Null),
            Some(text) => text
                .parse()
                .map(Value::Int32)
                .map_err(|_| java_error("java.lang.NumberFormatException", format!("For input string: \"{text}\""))),
        };
        let values = vec![
            Value::string(name),
            Value::string(type_name),
            number("length")?,
            number("scale")?,
            parameter("comment").map_or(Value::Null, Value::string),
        ];
        Ok(Value::Struct(Struct::new(Arc::clone(&self.schemas.column), values)))
    }

    fn definition(&self, event: &Struct, row: &Struct) -> Result<Value> {
        let columns = row.schema.fields().iter().map(|field| self.column(&field.schema)).collect::<Result<_>>()?;
        let Some(source) = envelope::get_struct(event, SOURCE)? else { return Err(envelope::missing("source")) };
        let Some(id) = envelope::get_string(source, "table")? else { return Err(envelope::missing("table's name")) };
        let table = Struct::new(Arc::clone(&self.schemas.table), vec![Value::Array(columns)]);
        let values = vec![Value::string(id), Value::Struct(table)];
        Ok(Value::Struct(Struct::new(Arc::clone(&self.schemas.definition), values)))
    }

    fn schema(&self, event: &SchemaRef) -> Result<SchemaRef> {
        self.events.get(event, || {
            let mut fields = Fields::default();
            for field in event.fields() {
                fields.add(&field.name, Arc::clone(&field.schema))?;
            }
            fields.add(SOURCE_SCHEMA, Arc::clone(&self.schemas.definition))?;
            Ok(Schema { kind: fields.into_kind(), default: None, ..Schema::clone(event) }.shared())
        })
    }
}

impl Transform for ExtractSchemaToNewRecord {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() || !is_envelope(&record) {
            return Ok(Some(record));
        }
        let event = require_struct(&record.value, PURPOSE)?;
        let row = match envelope::get_struct(event, AFTER)? {
            Some(after) => Some(after),
            None => envelope::get_struct(event, BEFORE)?,
        };
        let Some(row) = row else { return Ok(Some(record)) };
        let definition = self.definition(event, row)?;
        let schema = self.schema(&event.schema)?;
        let fields = event.schema.fields();
        let mut values = Vec::with_capacity(fields.len() + 1);
        for (value, field) in event.fields.iter().zip(fields) {
            values.push(crate::schemas::filled(value.clone(), &field.schema, true));
        }
        values.push(definition);
        record.value.value = Value::Struct(Struct::new(Arc::clone(&schema), values));
        record.value.schema = Some(schema);
        Ok(Some(record))
    }
}
