//! `HeaderToValue`: copies or moves headers into fields of the value.

use std::sync::{Arc, LazyLock};

use connect_api::{
    ConfigDef, ConfigError, Datum, Error, Header, Kind, Plugin, Props, Record, Result, Struct, Transform, Value,
};
use connect_config::{ConfigKey, Importance::High, Type};

use super::settings::{Rule, Settings, definition, key};
use crate::schemas::{Fields, basics, filled};
use crate::side::{require_struct, struct_or_null};

const PURPOSE: &str = "Header field insertion";
const NESTED_PURPOSE: &str = "Nested field";
const HEADERS: &str = "headers";
const FIELDS: &str = "fields";
const OPERATION: &str = "operation";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let key =
        |name, ty, display, documentation| -> ConfigKey { key(name, ty, display, documentation).importance(High) };
    definition([
        key(HEADERS, Type::List, "Header names list", "The headers whose values go into the value."),
        key(
            FIELDS,
            Type::List,
            "Field names list",
            "The fields for them, in the same order. A dot leads into a struct: source.header.",
        ),
        key(
            OPERATION,
            Type::String,
            "Operation: mover or copy",
            "What becomes of the headers: copy leaves them where they are, move removes them.",
        ),
    ])
});

const RULES: &[(&str, &[Rule])] = &[
    (HEADERS, &[Rule::Required]),
    (FIELDS, &[Rule::Required]),
    (OPERATION, &[Rule::Required, Rule::OneOf(&["move", "copy"])]),
];

pub(super) fn plugin() -> Plugin {
    super::plugin("io.debezium.transforms.HeaderToValue", || &DEF, |props| Ok(Box::new(HeaderToValue::new(props)?)))
}

struct HeaderToValue {
    headers: Vec<String>,
    fields: Vec<String>,
    moves: bool,
}

impl HeaderToValue {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check(RULES)?;
        let (headers, fields) = (settings.list(HEADERS), settings.list(FIELDS));
        if headers.len() != fields.len() {
            let message = "'fields' config must have the same number of elements as 'headers' config.";
            return Err(ConfigError::new(message).into());
        }
        let operation = settings.text_or_default(OPERATION);
        // The check does not mind the case, what reads the setting does.
        if !matches!(operation.as_str(), "move" | "copy") {
            return Err(Error::config("").class("java.lang.IllegalArgumentException"));
        }
        Ok(Self { headers, fields, moves: operation == "move" })
    }

    /// The field that a header goes into.
    fn field_for(&self, header: &str) -> Option<&str> {
        let place = self.headers.iter().position(|name| name == header)?;
        self.fields.get(place).map(String::as_str)
    }

    /// A struct with the headers whose fields are in it, under the path `prefix`.
    fn with_headers(&self, value: &Struct, prefix: &str, headers: &[Header]) -> Result<(Kind, Vec<Value>)> {
        let (mut fields, mut values) = (Fields::default(), Vec::with_capacity(value.fields.len() + headers.len()));
        for (field, value) in value.schema.fields().iter().zip(&value.fields) {
            let path = format!("{prefix}{}.", field.name);
            if self.fields.iter().any(|name| name.starts_with(&path)) {
                let datum = self.nested(&field.schema, value, &path, headers)?;
                fields.add(&field.name, datum.schema.unwrap_or_else(|| Arc::clone(&field.schema)))?;
                values.push(datum.value);
            } else {
                fields.add(&field.name, Arc::clone(&field.schema))?;
                values.push(filled(value.clone(), &field.schema, true));
            }
        }
        for header in headers {
            let Some(name) = self.field_for(&header.key).and_then(|name| name.strip_prefix(prefix)) else { continue };
            if name.contains('.') {
                continue;
            }
            let Some(schema) = &header.datum.schema else {
                let message = format!("fieldSchema for field {name} cannot be null.");
                return Err(Error::new(connect_api::ErrorKind::Schema, message));
            };
            fields.add(name, Arc::clone(schema))?;
            values.push(header.datum.value.clone());
        }
        Ok((fields.into_kind(), values))
    }

    fn nested(&self, schema: &connect_api::SchemaRef, value: &Value, path: &str, headers: &[Header]) -> Result<Datum> {
        let empty = || Struct::new(Arc::clone(schema), vec![Value::Null; schema.fields().len()]);
        let inner = struct_or_null(value, Some(schema), NESTED_PURPOSE)?;
        let is_null = inner.is_none();
        let (kind, values) = self.with_headers(inner.unwrap_or(&empty()), path, headers)?;
        // Nothing to add leaves the struct's schema as it is.
        let added = matches!(&kind, Kind::Struct(fields) if fields.as_slice() != schema.fields());
        let schema = if added { basics(schema, kind).shared() } else { Arc::clone(schema) };
        let value = if is_null { Value::Null } else { Value::Struct(Struct::new(Arc::clone(&schema), values)) };
        Ok(Datum::new(schema, value))
    }
}

impl Transform for HeaderToValue {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(Some(record));
        }
        let value = require_struct(&record.value, PURPOSE)?;
        let wanted = |header: &Header| self.headers.iter().any(|name| **name == *header.key);
        let found: Vec<Header> = record.headers.iter().filter(|header| wanted(header)).cloned().collect();
        if found.is_empty() {
            return Ok(Some(record));
        }
        let (kind, values) = self.with_headers(value, "", &found)?;
        let schema = basics(&value.schema, kind).shared();
        record.value = Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values)));
        if self.moves {
            record.headers.retain(|header| !wanted(header));
        }
        Ok(Some(record))
    }
}
