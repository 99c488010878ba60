//! The JSON converter.

use bytes::{Bytes, BytesMut};
use connect_api::java::equal;
use connect_api::{Converter, Datum, Error, Kind, Schema, Value};
use connect_formats::JsonConverter;

use crate::props;

/// What is looked at of a record in the path that reads only that.
const FIELDS: [&str; 2] = ["op", "after"];

/// A converter of one of eight settings.
fn converter(mode: usize) -> JsonConverter {
    let flag = |bit: usize| if mode & bit == 0 { "false" } else { "true" };
    let decimals = if mode & 4 == 0 { "BASE64" } else { "NUMERIC" };
    let pairs = [("schemas.enable", flag(1)), ("replace.null.with.default", flag(2)), ("decimal.format", decimals)];
    JsonConverter::new(&props(&pairs), "value").expect("a converter")
}

/// A record in JSON: the lowest bits of the first byte say with which settings.
pub fn json(data: &[u8]) {
    // These have read other records before.
    thread_local!(static KNOWN: Vec<JsonConverter> = (0..8).map(converter).collect());
    let Some((mode, text)) = data.split_first() else { return };
    let mode = usize::from(mode & 7);
    let payload = Some(Bytes::copy_from_slice(text));
    KNOWN.with(|known| {
        let known = &known[mode];
        let read = Converter::deserialize(known, "t", payload.clone());
        let afresh = Converter::deserialize(&converter(mode), "t", payload.clone());
        assert!(same(&read, &afresh), "{read:?} after other records, {afresh:?} before any");
        looked_at(&known.deserialize_fields("t", payload, &FIELDS), &read);
        if let Ok(datum) = read {
            written(known, &datum);
        }
    });
}

fn same(one: &Result<Datum, Error>, other: &Result<Datum, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.schema == other.schema && equal::values(&one.value, &other.value),
        (Err(one), Err(other)) => one.trace() == other.trace(),
        _ => false,
    }
}

/// Only fields that nobody looks at may be missing.
fn looked_at(some: &Result<Datum, Error>, all: &Result<Datum, Error>) {
    if same(some, all) {
        return;
    }
    let (Ok(some), Ok(all)) = (some, all) else { panic!("{some:?} of {all:?}") };
    let (Value::Map(some), Value::Map(all), None) = (&some.value, &all.value, &all.schema) else {
        panic!("{some:?} of {all:?}")
    };
    assert_eq!(some.len(), FIELDS.len());
    for (name, value) in some {
        assert!(name.as_str().is_some_and(|name| FIELDS.contains(&name)));
        let found = all.iter().find(|(other, _)| other == name);
        assert!(found.is_some_and(|(_, found)| equal::values(found, value)), "{value:?} in {all:?}");
    }
}

/// What was read can be written and is the same when it is read again.
fn written(converter: &JsonConverter, datum: &Datum) {
    // JSON has no numbers for these: they are written as texts, which are texts or 0 when they are read. And what is read as a
    // decimal has no negative zero.
    if !has_numbers(&datum.value) || datum.schema.as_ref().is_some_and(|schema| !defaults_have_numbers(schema)) {
        return;
    }
    let write = |datum: &Datum| {
        let mut out = BytesMut::new();
        Converter::serialize(converter, "t", datum, &mut out).map(|written| written.then(|| out.freeze()))
    };
    let text = match write(datum) {
        Ok(Some(text)) => text,
        Ok(None) => return assert!(datum.is_null()),
        // A value may have null where its schema has no place for it, or decimals of another scale.
        Err(error) => return assert!(datum.schema.is_some(), "{error} of {datum:?}"),
    };
    let again = Converter::deserialize(converter, "t", Some(text.clone())).expect("what was written is readable");
    if datum.schema.as_ref().is_none_or(|schema| !has_defaults(schema)) {
        assert!(equal::values(&again.value, &datum.value), "{datum:?} is {again:?} in {text:?}");
    }
    assert_eq!(again.schema, datum.schema);
    // Null may have become a default, but not twice.
    assert_eq!(write(&again).expect("writable"), Some(text), "{datum:?}");
}

/// Whether all floats in it are numbers of JSON.
fn has_numbers(value: &Value) -> bool {
    match value {
        Value::Float32(number) => number.is_finite() && number.to_bits() != (-0f32).to_bits(),
        Value::Float64(number) => number.is_finite() && number.to_bits() != (-0f64).to_bits(),
        Value::Array(list) => list.iter().all(has_numbers),
        Value::Map(pairs) => pairs.iter().all(|(key, value)| has_numbers(key) && has_numbers(value)),
        Value::Struct(of) => of.fields.iter().all(has_numbers),
        _ => true,
    }
}

fn defaults_have_numbers(schema: &Schema) -> bool {
    schema.default.as_ref().is_none_or(has_numbers) && inner(schema).into_iter().all(defaults_have_numbers)
}

fn has_defaults(schema: &Schema) -> bool {
    schema.default.is_some() || inner(schema).into_iter().any(has_defaults)
}

fn inner(schema: &Schema) -> Vec<&Schema> {
    match &schema.kind {
        Kind::Array(element) => vec![&**element],
        Kind::Map(keys, values) => vec![&**keys, &**values],
        Kind::Struct(fields) => fields.iter().map(|field| &*field.schema).collect(),
        _ => Vec::new(),
    }
}
