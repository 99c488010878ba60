//! Which part of a record a transform works on, and what it demands of it.

use connect_api::{Datum, Error, Record, Result, SchemaRef, Struct, Value};

/// The key or the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

impl Side {
    /// The part of a record.
    pub(crate) fn of(self, record: &Record) -> &Datum {
        match self {
            Self::Key => &record.key,
            Self::Value => &record.value,
        }
    }

    /// The part of a record, to be changed.
    pub(crate) fn of_mut(self, record: &mut Record) -> &mut Datum {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}

fn class_name(value: &Value, schema: Option<&SchemaRef>) -> &'static str {
    value.java_class(schema.map(|schema| &**schema))
}

fn not_a_struct(value: &Value, schema: Option<&SchemaRef>, purpose: &str) -> Error {
    let found = class_name(value, schema);
    Error::data(format!("Only Struct objects supported for [{purpose}], found: {found}"))
}

fn not_a_map(value: &Value, purpose: &str) -> Error {
    let found = class_name(value, None);
    Error::data(format!("Only Map objects supported in absence of schema for [{purpose}], found: {found}"))
}

/// A struct, or the error that says what it is for (`Requirements.requireStruct`).
pub(crate) fn require_struct<'a>(datum: &'a Datum, purpose: &str) -> Result<&'a Struct> {
    datum.value.as_struct().ok_or_else(|| not_a_struct(&datum.value, datum.schema.as_ref(), purpose))
}

/// The same, taken out of the datum.
pub(crate) fn take_struct(datum: &mut Datum, purpose: &str) -> Result<Struct> {
    match std::mem::take(&mut datum.value) {
        Value::Struct(value) => Ok(value),
        other => Err(not_a_struct(&other, datum.schema.as_ref(), purpose)),
    }
}

/// A struct or null.
pub(crate) fn struct_or_null<'a>(
    value: &'a Value,
    schema: Option<&SchemaRef>,
    purpose: &str,
) -> Result<Option<&'a Struct>> {
    match value {
        Value::Null => Ok(None),
        Value::Struct(value) => Ok(Some(value)),
        other => Err(not_a_struct(other, schema, purpose)),
    }
}

/// The entries of a map.
pub(crate) type Entries = Vec<(Value, Value)>;

/// A map, taken out of the datum (`Requirements.requireMap`).
pub(crate) fn take_map(datum: &mut Datum, purpose: &str) -> Result<Entries> {
    match std::mem::take(&mut datum.value) {
        Value::Map(pairs) => Ok(pairs),
        other => Err(not_a_map(&other, purpose)),
    }
}

/// A map, to look at.
pub(crate) fn require_map<'a>(value: &'a Value, purpose: &str) -> Result<&'a Entries> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        other => Err(not_a_map(other, purpose)),
    }
}

/// A map or null.
pub(crate) fn map_or_null<'a>(value: &'a Value, purpose: &str) -> Result<Option<&'a Entries>> {
    if value.is_null() { Ok(None) } else { require_map(value, purpose).map(Some) }
}

/// The value of a text key.
pub(crate) fn entry<'a>(entries: &'a Entries, key: &str) -> Option<&'a Value> {
    entries.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
}

/// `Map.put`.
pub(crate) fn put_entry(entries: &mut Entries, key: &str, value: Value) {
    match entries.iter_mut().find(|(k, _)| k.as_str() == Some(key)) {
        Some(pair) => pair.1 = value,
        None => entries.push((Value::string(key), value)),
    }
}
