//! A piece of an event's metadata that a setting names: `op`, `table`, `source.lsn`, `transaction.id:tx`.

use std::sync::Arc;

use connect_api::{Datum, Error, Kind, Result, Schema, SchemaRef, Struct, Value};

use crate::debezium::envelope::{self, OP, SOURCE, TRANSACTION};
use crate::schemas::basics;

/// Where a piece of metadata is, and what it is called in the row.
pub(super) struct FieldReference {
    /// The struct of the event that holds the field; `None` is the event itself.
    structure: Option<String>,
    field: String,
    name: Arc<str>,
}

impl FieldReference {
    /// Reads a list of references.
    pub(super) fn all(texts: &[String], prefix: &str) -> Result<Vec<Self>> {
        texts.iter().filter(|text| !text.is_empty()).map(|text| Self::parse(text, prefix)).collect()
    }

    fn parse(text: &str, prefix: &str) -> Result<Self> {
        let mut parts: Vec<&str> = text.split(':').collect();
        while parts.len() > 1 && parts.last() == Some(&"") {
            parts.pop();
        }
        let (path, renamed) = match parts.as_slice() {
            [path] => (*path, None),
            [path, name] => (*path, Some(*name)),
            _ => {
                let message = format!("Unexpected field name: {text}");
                return Err(Error::config(message).class("java.lang.IllegalArgumentException"));
            }
        };
        // What follows a second dot does not count.
        let mut steps = path.split('.');
        let first = steps.next().unwrap_or_default();
        let (structure, field, own_name) = match steps.next().filter(|field| !field.is_empty()) {
            Some(field) => (Some(first.to_owned()), field, format!("{first}_{field}")),
            None => (home(first).map(str::to_owned), first, first.to_owned()),
        };
        let name = format!("{prefix}{}", renamed.unwrap_or(&own_name));
        Ok(Self { structure, field: field.to_owned(), name: name.into() })
    }

    /// The name of the field or header.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// True for what a tombstone tells, too.
    pub(super) fn is_operation(&self) -> bool {
        self.field == OP
    }

    /// The value in an event, nothing when its struct has no such field. The schema is an optional one.
    pub(super) fn find(&self, event: &Struct) -> Result<Option<Datum>> {
        let Some(structure) = &self.structure else {
            let (field, value) = envelope::plain(event, &self.field)?;
            return Ok(Some(Datum { schema: Some(optional(&field.schema)), value: value.clone() }));
        };
        let Some(index) = event.schema.index_of(structure) else {
            return Err(envelope::missing(&format!("struct {structure} in the event")));
        };
        let Kind::Struct(fields) = &event.schema.fields()[index].schema.kind else {
            return Err(Error::data("Cannot look up fields on non-struct type"));
        };
        let Some(place) = fields.iter().position(|field| *field.name == *self.field) else { return Ok(None) };
        let value = match &event.fields[index] {
            Value::Struct(inner) => inner.fields.get(place).cloned().unwrap_or_default(),
            _ => Value::Null,
        };
        Ok(Some(Datum { schema: Some(optional(&fields[place].schema)), value }))
    }
}

fn optional(schema: &Schema) -> SchemaRef {
    basics(schema, schema.kind.clone()).optional().shared()
}

/// The struct that holds a field which is named alone.
fn home(field: &str) -> Option<&'static str> {
    match field {
        OP | "ts_ms" | "ts_us" | "ts_ns" => None,
        "id" | "total_order" | "data_collection_order" => Some(TRANSACTION),
        _ => Some(SOURCE),
    }
}
