//! From values to JSON text, without a tree (`JsonConverter.convertToJson`).
//!
//! A schema is turned into a [`Plan`] once; the plan holds every byte that does not depend on the record: the schema of
//! the envelope, names with their quotes and commas, the text of defaults. Writing a record copies those and adds the
//! values.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_api::java::text;
use connect_api::schema::logical;
use connect_api::{BytesMut, Error, Kind, Result, Schema, SchemaRef, Value};
use num_bigint::BigInt;

use super::config::{DecimalFormat, Options};
use super::envelope;
use super::escape::write_string;

/// What is prepared for a schema.
pub(crate) struct Plan {
    /// Held, so that its address stays taken.
    pub(crate) schema: SchemaRef,
    /// `{"schema":...,"payload":`.
    pub(crate) envelope: Vec<u8>,
    node: Node,
}

/// How the values of a schema are written.
struct Node {
    schema: SchemaRef,
    shape: Shape,
    /// What stands for null; nothing when null is refused.
    null: Option<Vec<u8>>,
}

enum Shape {
    /// The schema's own kind, without anything below it.
    Plain(Plain),
    /// Without a schema, as what is inside of a list may be.
    Schemaless,
    Decimal(DecimalFormat),
    Date,
    Time,
    Timestamp,
    Array(Box<Node>),
    /// Text keys: an object.
    Object(Box<Node>, Box<Node>),
    /// Other keys: an array of pairs.
    Pairs(Box<Node>, Box<Node>),
    /// Each field with what comes before its value: `{"a":` or `,"b":`.
    Struct(Vec<(Prefix, Node)>),
}

/// The kinds that have nothing below them.
#[derive(Clone, Copy)]
enum Plain {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
}

impl Plain {
    fn of(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Boolean => Self::Boolean,
            Kind::Int8 => Self::Int8,
            Kind::Int16 => Self::Int16,
            Kind::Int32 => Self::Int32,
            Kind::Int64 => Self::Int64,
            Kind::Float32 => Self::Float32,
            Kind::Float64 => Self::Float64,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            Kind::Array(_) | Kind::Map(..) | Kind::Struct(_) | Kind::Unknown => return None,
        })
    }

    /// Appends a value of the kind; false where it is another one.
    fn write(self, value: &Value, out: &mut BytesMut) -> bool {
        match (self, value) {
            (Self::String, Value::String(text)) => write_string(text, out),
            (Self::Int64, Value::Int64(number)) => write_integer(*number, out),
            (Self::Int32, Value::Int32(number)) => write_integer(*number, out),
            (Self::Bytes, Value::Bytes(bytes)) => write_base64(bytes, out),
            (Self::Boolean, Value::Bool(_))
            | (Self::Int8, Value::Int8(_))
            | (Self::Int16, Value::Int16(_))
            | (Self::Float32, Value::Float32(_))
            | (Self::Float64, Value::Float64(_)) => write_scalar(value, out),
            _ => return false,
        }
        true
    }
}

/// What comes before a value: short, mostly.
enum Prefix {
    /// Copied with what stands behind it, which is cut off again: copies of a known size are much quicker.
    Short([u8; Self::SHORT], usize),
    Long(Vec<u8>),
}

impl Prefix {
    const SHORT: usize = 16;

    fn new(text: &[u8]) -> Self {
        let mut short = [0; Self::SHORT];
        match short.get_mut(..text.len()) {
            Some(place) => place.copy_from_slice(text),
            None => return Self::Long(text.to_vec()),
        }
        Self::Short(short, text.len())
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Short(bytes, length) => {
                let end = out.len() + length;
                out.extend_from_slice(bytes);
                out.truncate(end);
            }
            Self::Long(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Plan {
    /// Prepares a schema.
    pub(crate) fn new(schema: &SchemaRef, options: Options) -> Result<Self> {
        let mut envelope = BytesMut::new();
        if options.schemas {
            envelope.extend_from_slice(b"{\"schema\":");
            envelope::write(schema, options, &mut envelope)?;
            envelope.extend_from_slice(b",\"payload\":");
        }
        Ok(Self { schema: Arc::clone(schema), envelope: envelope.to_vec(), node: Node::new(schema, options)? })
    }

    /// Appends the payload.
    pub(crate) fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        self.node.write(value, out)
    }
}

/// Appends one value of a schema, without keeping what is prepared for it.
pub(crate) fn write_once(schema: &SchemaRef, value: &Value, options: Options, out: &mut BytesMut) -> Result<()> {
    Node::new(schema, options)?.write(value, out)
}

impl Node {
    fn new(schema: &SchemaRef, options: Options) -> Result<Self> {
        let of = |schema: &SchemaRef| Self::new(schema, options).map(Box::new);
        let shape = match schema.name.as_deref() {
            Some(logical::DECIMAL) => Shape::Decimal(options.decimals),
            Some(logical::DATE) => Shape::Date,
            Some(logical::TIME) => Shape::Time,
            Some(logical::TIMESTAMP) => Shape::Timestamp,
            _ => match &schema.kind {
                Kind::Array(element) => Shape::Array(of(element)?),
                Kind::Map(keys, _) if keys.is_unknown() => {
                    return Err(Error::data(
                        "A map whose keys have no schema in common can't be written with a schema",
                    )
                    .class("java.lang.NullPointerException")
                    .hint("give all keys of the map the same type, or write it without a schema"));
                }
                Kind::Map(keys, values) if keys.kind == Kind::String => Shape::Object(of(keys)?, of(values)?),
                Kind::Map(keys, values) => Shape::Pairs(of(keys)?, of(values)?),
                Kind::Struct(fields) => {
                    let field = |(i, field): (usize, &connect_api::Field)| {
                        let mut prefix = BytesMut::from(if i == 0 { &b"{"[..] } else { &b","[..] });
                        write_string(&field.name, &mut prefix);
                        prefix.extend_from_slice(b":");
                        Ok((Prefix::new(&prefix), Self::new(&field.schema, options)?))
                    };
                    Shape::Struct(fields.iter().enumerate().map(field).collect::<Result<_>>()?)
                }
                kind => Plain::of(kind).map_or(Shape::Schemaless, Shape::Plain),
            },
        };
        let mut node = Self { schema: Arc::clone(schema), shape, null: None };
        node.null = match &schema.default {
            Some(default) if options.replace_null => {
                let mut text = BytesMut::new();
                node.write(default, &mut text)?;
                Some(text.to_vec())
            }
            _ if schema.optional || schema.is_unknown() => Some(b"null".to_vec()),
            _ => None,
        };
        Ok(node)
    }

    fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        match (&self.shape, value) {
            (_, Value::Null) => {
                let Some(null) = &self.null else {
                    return Err(Error::data(
                        "Conversion error: null value for field that is required and has no default value",
                    ));
                };
                out.extend_from_slice(null);
            }
            (Shape::Plain(plain), _) => {
                if !plain.write(value, out) {
                    return Err(self.invalid(value));
                }
            }
            (Shape::Schemaless, _) => return write_schemaless(value, out),
            (Shape::Struct(fields), Value::Struct(structure)) => {
                let same = Arc::ptr_eq(&structure.schema, &self.schema) || structure.schema == self.schema;
                if !same {
                    return Err(Error::data("Mismatching schema."));
                }
                if fields.is_empty() {
                    out.extend_from_slice(b"{");
                }
                for ((prefix, node), value) in fields.iter().zip(&structure.fields) {
                    prefix.write(out);
                    match node.shape {
                        Shape::Plain(plain) if plain.write(value, out) => {}
                        _ => node.write(value, out)?,
                    }
                }
                out.extend_from_slice(b"}");
            }
            (Shape::Array(element), Value::Array(list)) => {
                write_list(list, out, |value, out| element.write(value, out))?;
            }
            (Shape::Object(keys, values), Value::Map(pairs)) => {
                write_object(pairs, out, |key, out| keys.write_key(key, out), |value, out| values.write(value, out))?;
            }
            (Shape::Pairs(keys, values), Value::Map(pairs)) => {
                write_list(pairs, out, |(key, value), out| {
                    out.extend_from_slice(b"[");
                    keys.write(key, out)?;
                    out.extend_from_slice(b",");
                    values.write(value, out)?;
                    out.extend_from_slice(b"]");
                    Ok(())
                })?;
            }
            (Shape::Decimal(format), value) => return write_decimal(&self.schema, *format, value, out),
            (Shape::Date | Shape::Time | Shape::Timestamp, value) => return self.write_date(value, out),
            _ => return Err(self.invalid(value)),
        }
        Ok(())
    }

    /// A key of an object. A null key is the text `null`, as it is in Java.
    fn write_key(&self, key: &Value, out: &mut BytesMut) -> Result<()> {
        if !key.is_null() || self.null.as_deref() != Some(b"null") {
            return self.write(key, out);
        }
        out.extend_from_slice(b"\"null\"");
        Ok(())
    }

    fn write_date(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        const DAY_MS: i64 = 86_400_000;
        let number = match (&self.shape, value) {
            (Shape::Timestamp, Value::Int64(millis) | Value::Date(millis)) => *millis,
            (Shape::Date | Shape::Time, Value::Int32(number)) => i64::from(*number),
            (Shape::Date, Value::Date(millis)) => {
                if millis.rem_euclid(DAY_MS) != 0 {
                    return Err(Error::data(
                        "Kafka Connect Date type should not have any time fields set to non-zero values.",
                    ));
                }
                millis.div_euclid(DAY_MS)
            }
            (Shape::Time, Value::Date(millis)) => {
                if !(0..=DAY_MS).contains(millis) {
                    return Err(Error::data(
                        "Kafka Connect Time type should not have any date fields set to non-zero values.",
                    ));
                }
                *millis
            }
            (shape, _) => {
                let name = match shape {
                    Shape::Date => "Date",
                    Shape::Time => "Time",
                    _ => "Timestamp",
                };
                let class = value.java_class(None);
                return Err(Error::data(format!("Invalid type for {name}, expected Date but was class {class}")));
            }
        };
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn invalid(&self, value: &Value) -> Error {
        let (kind, class) = (self.schema.kind.java_name(), value.java_class(None));
        if let Shape::Plain(Plain::Bytes) = self.shape {
            return Error::data(format!("Invalid type for bytes type: class {class}"));
        }
        Error::data(format!("Invalid type for {kind}: class {class}"))
    }
}

/// Appends a value that has no schema.
pub(crate) fn write_schemaless(value: &Value, out: &mut BytesMut) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::String(text) => write_string(text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Array(list) => write_list(list, out, write_schemaless)?,
        Value::Map(pairs) if pairs.iter().all(|(key, _)| matches!(key, Value::String(_))) => {
            write_object(pairs, out, write_schemaless, write_schemaless)?;
        }
        Value::Map(pairs) => write_list(pairs, out, |(key, value), out| {
            out.extend_from_slice(b"[");
            write_schemaless(key, out)?;
            out.extend_from_slice(b",");
            write_schemaless(value, out)?;
            out.extend_from_slice(b"]");
            Ok(())
        })?,
        Value::Struct(_) => return Err(Error::data("Mismatching schema.")),
        Value::Decimal(_) | Value::Date(_) | Value::BigInt(_) => {
            let class = value.java_class(None);
            return Err(Error::data(format!("Java class class {class} does not have corresponding schema type.")));
        }
        _ => write_scalar(value, out),
    }
    Ok(())
}

fn write_integer(number: impl itoa::Integer, out: &mut BytesMut) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_scalar(value: &Value, out: &mut BytesMut) {
    let mut buffer = itoa::Buffer::new();
    let text = match value {
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Int8(number) => buffer.format(*number),
        Value::Int16(number) => buffer.format(*number),
        Value::Int32(number) => buffer.format(*number),
        Value::Int64(number) => buffer.format(*number),
        Value::Float32(number) => return write_float(number.is_finite(), out, |out| text::write_float(*number, out)),
        Value::Float64(number) => return write_float(number.is_finite(), out, |out| text::write_double(*number, out)),
        _ => return,
    };
    out.extend_from_slice(text.as_bytes());
}

/// What is not finite stands in quotes.
fn write_float(finite: bool, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let quote: &[u8] = if finite { b"" } else { b"\"" };
    out.extend_from_slice(quote);
    write(out);
    out.extend_from_slice(quote);
}

fn write_base64(bytes: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.extend_from_slice(b"\"");
}

fn write_list<T>(list: &[T], out: &mut BytesMut, mut write: impl FnMut(&T, &mut BytesMut) -> Result<()>) -> Result<()> {
    out.extend_from_slice(b"[");
    for (i, element) in list.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b",");
        }
        write(element, out)?;
    }
    out.extend_from_slice(b"]");
    Ok(())
}

fn write_object(
    pairs: &[(Value, Value)],
    out: &mut BytesMut,
    mut write_key: impl FnMut(&Value, &mut BytesMut) -> Result<()>,
    mut write_value: impl FnMut(&Value, &mut BytesMut) -> Result<()>,
) -> Result<()> {
    out.extend_from_slice(b"{");
    for (i, (key, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b",");
        }
        write_key(key, out)?;
        out.extend_from_slice(b":");
        write_value(value, out)?;
    }
    out.extend_from_slice(b"}");
    Ok(())
}

/// A decimal as base64 of its unscaled value, or as a number.
fn write_decimal(schema: &Schema, format: DecimalFormat, value: &Value, out: &mut BytesMut) -> Result<()> {
    let scale = || {
        let Some(text) = schema.get_parameter("scale") else {
            return Err(Error::data("Invalid Decimal schema: scale parameter not found."));
        };
        text.parse::<i32>().map_err(|e| Error::data("Invalid scale parameter found in Decimal schema: ").caused_by(e))
    };
    match (value, format) {
        (Value::Bytes(bytes), DecimalFormat::Base64) => write_base64(bytes, out),
        (Value::Bytes(bytes), DecimalFormat::Numeric) => {
            let mut number = String::new();
            text::write_decimal(&BigInt::from_signed_bytes_be(bytes), scale()?, &mut number);
            out.extend_from_slice(number.as_bytes());
        }
        (Value::Decimal(decimal), DecimalFormat::Numeric) => out.extend_from_slice(text::decimal(decimal).as_bytes()),
        (Value::Decimal(decimal), DecimalFormat::Base64) => {
            if decimal.scale != scale()? {
                return Err(Error::data("Decimal value has mismatching scale for given Decimal schema"));
            }
            write_base64(&decimal.unscaled.to_signed_bytes_be(), out);
        }
        _ => {
            let class = value.java_class(None);
            return Err(Error::data(format!("Invalid type for Decimal, expected BigDecimal but was class {class}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schema: Schema, value: &Value) -> Result<String> {
        let options = Options { schemas: true, replace_null: true, decimals: DecimalFormat::Base64, cache_max: 1 };
        let plan = Plan::new(&schema.shared(), options)?;
        let mut out = BytesMut::from(&plan.envelope[..]);
        plan.write(value, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn what_has_no_schema_is_written_without() {
        let list = Value::Array(vec![Value::Int8(1), "a".into(), Value::Null]);
        let text = written(Schema::of(Kind::Array(Schema::unknown())), &list).unwrap();
        assert_eq!(text, r#"{"schema":{"type":"array","items":null,"optional":false},"payload":[1,"a",null]"#);
        let map = Schema::of(Kind::Map(Schema::unknown(), Schema::unknown()));
        let error = written(map, &Value::Map(Vec::new())).unwrap_err();
        assert_eq!(error.java_class(), "java.lang.NullPointerException");
    }
}
