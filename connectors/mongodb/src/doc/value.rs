//! From Connect values to BSON (`SchemaRecordConverter`, `MapRecordConverter`).
//!
//! Written straight into raw bytes. With a schema the logical types become dates and Decimal128; without one the
//! value's own variant says what it is. A null field of a struct takes the field's default, as `Struct.get` does.
//! A [`Rewrite`] may give values another form.

use connect_api::schema::{Kind, logical};
use connect_api::{Error, Schema, Struct, Value};
use num_bigint::BigInt;

use super::decimal::decimal128;
use super::time::MILLIS_PER_DAY;
use super::write::{At, Writer};

/// How deep values may nest: the server refuses more than about 180 levels.
const MAX_DEPTH: u8 = 200;

/// The value of a struct's field, its default where it is null.
pub fn field_value(value: &Struct, index: usize) -> &Value {
    let own = value.fields.get(index).unwrap_or(&Value::Null);
    match (own, value.schema.fields().get(index).and_then(|field| field.schema.default.as_ref())) {
        (Value::Null, Some(default)) => default,
        _ => own,
    }
}

/// What values become instead of their plain form. It is a type parameter of the functions here, so that the plain form
/// pays nothing for it.
pub trait Rewrite<'a>: Copy {
    /// The same for a field of this name.
    #[must_use]
    fn of_field(self, name: &'a str) -> Self;

    /// Writes a value that has another form. False when it has none: nothing is written then.
    fn write(self, w: &mut Writer, at: At, schema: &Schema, value: &Value) -> Result<bool, Error>;
}

/// Values as the JVM's connector stores them.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Rewrite<'_> for Plain {
    #[inline]
    fn of_field(self, _: &str) -> Self {
        self
    }

    #[inline]
    fn write(self, _: &mut Writer, _: At, _: &Schema, _: &Value) -> Result<bool, Error> {
        Ok(false)
    }
}

/// Writes any value as an element.
pub fn write_value(w: &mut Writer, at: At, schema: Option<&Schema>, value: &Value) -> Result<(), Error> {
    write_rewritten(w, at, schema, value, Plain)
}

/// The same with values in another form.
pub fn write_rewritten<'a>(
    w: &mut Writer,
    at: At,
    schema: Option<&'a Schema>,
    value: &'a Value,
    rewrite: impl Rewrite<'a>,
) -> Result<(), Error> {
    write_at_depth(w, at, schema, value, 0, rewrite)
}

fn write_at_depth<'a>(
    w: &mut Writer,
    at: At,
    schema: Option<&'a Schema>,
    value: &'a Value,
    depth: u8,
    rewrite: impl Rewrite<'a>,
) -> Result<(), Error> {
    if let Some(schema) = schema
        && rewrite.write(w, at, schema, value)?
    {
        return Ok(());
    }
    match value {
        Value::Null => w.put_null(at),
        Value::Bool(v) => w.put_bool(at, *v),
        Value::Int8(v) => w.put_i32(at, (*v).into()),
        Value::Int16(v) => w.put_i32(at, (*v).into()),
        Value::Int32(v) => write_i32(w, at, schema, *v),
        Value::Int64(v) if is(schema, logical::TIMESTAMP) => w.put_date(at, *v),
        Value::Int64(v) => w.put_i64(at, *v),
        Value::Float32(v) => w.put_f64(at, (*v).into()),
        Value::Float64(v) => w.put_f64(at, *v),
        Value::String(v) => w.put_str(at, v),
        Value::Bytes(v) => match schema.filter(|schema| schema.is(logical::DECIMAL)) {
            Some(schema) => w.put_decimal128(at, decimal128(&BigInt::from_signed_bytes_be(v), scale(schema)?)?),
            None => w.put_bytes(at, v),
        },
        Value::Decimal(v) => w.put_decimal128(at, decimal128(&v.unscaled, v.scale)?),
        Value::Date(v) => w.put_date(at, *v),
        Value::BigInt(_) => {
            return Err(Error::data(
                "Can't find a codec for CodecCacheKey{clazz=class java.math.BigInteger, types=null}.",
            )
            .class("org.bson.codecs.configuration.CodecConfigurationException"));
        }
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => write_nested(w, at, schema, value, depth, rewrite)?,
    }
    Ok(())
}

fn write_nested<'a>(
    w: &mut Writer,
    at: At,
    schema: Option<&'a Schema>,
    value: &'a Value,
    depth: u8,
    rewrite: impl Rewrite<'a>,
) -> Result<(), Error> {
    if depth >= MAX_DEPTH {
        return Err(Error::data(format!("the value nests more than {MAX_DEPTH} levels deep"))
            .hint("MongoDB stores at most about 180 levels: flatten the value with a transform."));
    }
    match value {
        Value::Array(elements) => {
            let element_schema = schema.and_then(element_schema);
            let open = w.begin_array(at);
            for (index, element) in elements.iter().enumerate() {
                let at = w.index(index);
                write_at_depth(w, at, element_schema, element, depth + 1, rewrite)?;
            }
            w.close(open);
        }
        Value::Map(entries) => {
            let value_schema = schema.and_then(map_value_schema);
            let open = w.begin(at);
            for (key, value) in entries {
                let name = map_key(key)?;
                let at = w.name(name)?;
                write_at_depth(w, at, value_schema, value, depth + 1, rewrite.of_field(name))?;
            }
            w.close(open);
        }
        Value::Struct(value) => {
            let open = w.begin(at);
            for (index, field) in value.schema.fields().iter().enumerate() {
                let at = w.name(&field.name)?;
                let rewrite = rewrite.of_field(&field.name);
                write_at_depth(w, at, Some(&field.schema), field_value(value, index), depth + 1, rewrite)
                    .map_err(|error| in_field(&field.name, &field.schema, error))?;
            }
            w.close(open);
        }
        _ => w.put_null(at),
    }
    Ok(())
}

/// Wraps an error as the JVM does, except for logical types, whose errors it passes on as they are.
fn in_field(name: &str, schema: &Schema, error: Error) -> Error {
    if [logical::DECIMAL, logical::DATE, logical::TIME, logical::TIMESTAMP].iter().any(|name| schema.is(name)) {
        return error;
    }
    Error::data(format!("error while processing field {name}")).caused_by(error)
}

fn write_i32(w: &mut Writer, at: At, schema: Option<&Schema>, value: i32) {
    match schema {
        Some(schema) if schema.is(logical::DATE) => w.put_date(at, i64::from(value) * MILLIS_PER_DAY),
        Some(schema) if schema.is(logical::TIME) => w.put_date(at, value.into()),
        _ => w.put_i32(at, value),
    }
}

fn is(schema: Option<&Schema>, name: &str) -> bool {
    schema.is_some_and(|schema| schema.is(name))
}

fn scale(schema: &Schema) -> Result<i32, Error> {
    schema.get_parameter("scale").and_then(|text| text.parse().ok()).ok_or_else(|| {
        Error::data("Invalid Decimal schema: scale parameter not found.")
            .hint("Give the schema an integer parameter `scale`.")
    })
}

fn element_schema(schema: &Schema) -> Option<&Schema> {
    match &schema.kind {
        Kind::Array(element) if !element.is_unknown() => Some(element),
        _ => None,
    }
}

/// The schema of a map's values.
pub fn map_value_schema(schema: &Schema) -> Option<&Schema> {
    match &schema.kind {
        Kind::Map(_, value) if !value.is_unknown() => Some(value),
        _ => None,
    }
}

/// The name that a map's key gives.
pub fn map_key(key: &Value) -> Result<&str, Error> {
    key.as_str().ok_or_else(|| {
        let class = super::render::java_class(key);
        Error::data(format!("class {class} cannot be cast to class java.lang.String"))
            .class("java.lang.ClassCastException")
            .hint("MongoDB's field names are texts: convert the map's keys to strings with a transform.")
    })
}
