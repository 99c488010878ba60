//! Equality as the vectors mean it: by content, floats bitwise with NaN equal to NaN, maps without regard to order.

use connect_api::{Datum, Kind, Record, Schema, SchemaRef, Value};

/// Where two data differ, or nothing.
pub(crate) fn datum(expected: &Datum, actual: &Datum) -> Result<(), String> {
    if !optional_schemas(expected.schema.as_ref(), actual.schema.as_ref()) {
        return Err(format!("expected schema {:?}, got {:?}", expected.schema, actual.schema));
    }
    if !values(&expected.value, &actual.value, true) {
        return Err(format!("expected value {:?}, got {:?}", expected.value, actual.value));
    }
    Ok(())
}

fn optional_schemas(a: Option<&SchemaRef>, b: Option<&SchemaRef>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => schemas(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Connect's equality of schemas, plus the order of parameters.
pub(crate) fn schemas(a: &Schema, b: &Schema) -> bool {
    a.optional == b.optional
        && a.name == b.name
        && a.version == b.version
        && a.doc == b.doc
        && a.parameters == b.parameters
        && kinds(&a.kind, &b.kind)
        && match (&a.default, &b.default) {
            // A struct inside a default has the enclosing schema; comparing that again would never end.
            (Some(a), Some(b)) => values(a, b, false),
            (None, None) => true,
            _ => false,
        }
}

fn kinds(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Array(a), Kind::Array(b)) => schemas(a, b),
        (Kind::Map(ak, av), Kind::Map(bk, bv)) => schemas(ak, bk) && schemas(av, bv),
        (Kind::Struct(a), Kind::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && schemas(&a.schema, &b.schema))
        }
        (a, b) => a == b,
    }
}

/// Equality of values; `with_schemas` also compares the schemas of structs.
pub(crate) fn values(a: &Value, b: &Value, with_schemas: bool) -> bool {
    match (a, b) {
        (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values(a, b, with_schemas))
        }
        (Value::Map(a), Value::Map(b)) => {
            let found = |(k, v): &(Value, Value)| {
                b.iter().any(|(bk, bv)| values(k, bk, with_schemas) && values(v, bv, with_schemas))
            };
            a.len() == b.len() && a.iter().all(found)
        }
        (Value::Struct(a), Value::Struct(b)) => {
            (!with_schemas || schemas(&a.schema, &b.schema))
                && a.fields.len() == b.fields.len()
                && a.fields.iter().zip(&b.fields).all(|(a, b)| values(a, b, with_schemas))
        }
        (a, b) => a == b,
    }
}

/// Where two records differ, or nothing.
pub(crate) fn records(expected: &Record, actual: &Record) -> Result<(), String> {
    let text =
        |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| format!("{what}: expected {a:?}, got {b:?}");
    if expected.topic != actual.topic {
        return Err(text("topic", &expected.topic, &actual.topic));
    }
    if (expected.partition, expected.timestamp) != (actual.partition, actual.timestamp) {
        let (a, b) = ((expected.partition, expected.timestamp), (actual.partition, actual.timestamp));
        return Err(text("partition and timestamp", &a, &b));
    }
    datum(&expected.key, &actual.key).map_err(|e| format!("key: {e}"))?;
    datum(&expected.value, &actual.value).map_err(|e| format!("value: {e}"))?;
    let keys = |r: &Record| r.headers.iter().map(|h| h.key.to_string()).collect::<Vec<_>>();
    if keys(expected) != keys(actual) {
        return Err(text("headers", &keys(expected), &keys(actual)));
    }
    for (a, b) in expected.headers.iter().zip(&actual.headers) {
        datum(&a.datum, &b.datum).map_err(|e| format!("header {}: {e}", a.key))?;
    }
    if expected.origin != actual.origin {
        return Err(text("origin", &expected.origin, &actual.origin));
    }
    Ok(())
}
