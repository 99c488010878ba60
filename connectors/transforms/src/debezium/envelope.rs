//! Change events: the struct around the images of a row (`io.debezium.data.Envelope`), and reading fields of structs
//! with the errors of `org.apache.kafka.connect.data.Struct`.

use connect_api::java::display;
use connect_api::{Error, Field, Kind, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::schemas::filled;

pub(super) const BEFORE: &str = "before";
pub(super) const AFTER: &str = "after";
pub(super) const SOURCE: &str = "source";
pub(super) const TRANSACTION: &str = "transaction";
pub(super) const OP: &str = "op";
pub(super) const TS_MS: &str = "ts_ms";

/// True when the value's schema is that of a change event.
pub(super) fn is_envelope(record: &Record) -> bool {
    record.value.schema.as_ref().is_some_and(|schema| schema.name.as_deref().is_some_and(is_envelope_name))
}

fn is_envelope_name(name: &str) -> bool {
    name.ends_with(".Envelope")
}

/// A failure of Debezium's own (`io.debezium.DebeziumException`) that concerns one record.
pub(super) fn debezium_error(message: impl Into<String>) -> Error {
    Error::data(message.into()).class("io.debezium.DebeziumException")
}

/// A failure that Java meets by chance: a null or a cast where it did not expect one.
pub(super) fn java_error(class: &'static str, message: impl Into<String>) -> Error {
    Error::data(message.into()).class(class)
}

/// The failure of a missing thing that Java takes for granted.
pub(super) fn missing(what: &str) -> Error {
    java_error("java.lang.NullPointerException", format!("there is no {what}"))
}

/// The place of a field, or `Struct`'s refusal of its name.
pub(super) fn index(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
}

/// The field of a struct with its value, null where nothing was set.
pub(super) fn plain<'a>(value: &'a Struct, name: &str) -> Result<(&'a Field, &'a Value)> {
    let index = index(&value.schema, name)?;
    Ok((&value.schema.fields()[index], &value.fields[index]))
}

/// The value of a field, its default in the place of null (`Struct.get`).
pub(super) fn get(value: &Struct, name: &str) -> Result<Value> {
    let (field, value) = plain(value, name)?;
    Ok(filled(value.clone(), &field.schema, true))
}

fn typed<'a>(value: &'a Struct, name: &str, kind: &Kind) -> Result<&'a Value> {
    let (field, value) = plain(value, name)?;
    if std::mem::discriminant(&field.schema.kind) != std::mem::discriminant(kind) {
        return Err(Error::data(format!("Field '{name}' is not of type {}", kind.java_name())));
    }
    Ok(value)
}

fn not_a(class: &str) -> Error {
    java_error("java.lang.ClassCastException", format!("a value cannot be cast to class {class}"))
}

/// `Struct.getString`.
pub(super) fn get_string<'a>(value: &'a Struct, name: &str) -> Result<Option<&'a str>> {
    match typed(value, name, &Kind::String)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(not_a("java.lang.String")),
    }
}

/// `Struct.getInt32`.
pub(super) fn get_int32(value: &Struct, name: &str) -> Result<Option<i32>> {
    match typed(value, name, &Kind::Int32)? {
        Value::Null => Ok(None),
        Value::Int32(number) => Ok(Some(*number)),
        _ => Err(not_a("java.lang.Integer")),
    }
}

/// `Struct.getInt64`.
pub(super) fn get_int64(value: &Struct, name: &str) -> Result<Option<i64>> {
    match typed(value, name, &Kind::Int64)? {
        Value::Null => Ok(None),
        Value::Int64(number) => Ok(Some(*number)),
        _ => Err(not_a("java.lang.Long")),
    }
}

/// `Struct.getStruct`.
pub(super) fn get_struct<'a>(value: &'a Struct, name: &str) -> Result<Option<&'a Struct>> {
    match typed(value, name, &Kind::Struct(Vec::new()))? {
        Value::Null => Ok(None),
        Value::Struct(inner) => Ok(Some(inner)),
        _ => Err(not_a("org.apache.kafka.connect.data.Struct")),
    }
}

/// The text of a value in messages (`Object.toString`).
pub(super) fn shown(value: &Value, schema: Option<&SchemaRef>) -> String {
    display::text(value, schema)
}
