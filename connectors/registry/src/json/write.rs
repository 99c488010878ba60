//! From Connect's values to JSON text, without a tree (`JsonSchemaData.fromConnectData`).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use connect_api::java::text;
use connect_api::schema::logical;
use connect_api::{BytesMut, Error, Kind, Result, SchemaRef, Struct, Value};
use num_bigint::BigInt;

use super::options::{self, DecimalFormat, Options};

const DAY_MS: i64 = 86_400_000;

/// How values of one schema are written.
pub(crate) struct Writer {
    node: Arc<Node>,
}

struct Node {
    schema: SchemaRef,
    shape: Shape,
    /// What stands for null: the default, or null itself. Nothing is written where there is nothing.
    null: Option<Vec<u8>>,
    ignore_default: bool,
}

enum Shape {
    Plain,
    Decimal(DecimalFormat),
    Date,
    Time,
    Timestamp,
    Array(Arc<Node>),
    Object(Arc<Node>),
    Entries(Arc<Node>, Arc<Node>),
    /// Each field with its name in quotes and a colon.
    Struct(Vec<(Vec<u8>, Arc<Node>)>),
    Union(Vec<Arc<Node>>),
}

impl Writer {
    /// Prepares writing.
    pub(crate) fn new(schema: &SchemaRef, options: &Options) -> Self {
        Self { node: Planner { options, made: HashMap::new() }.node(schema) }
    }

    /// Appends a value; false when there is nothing to write.
    pub(crate) fn write(&self, value: &Value, out: &mut BytesMut) -> Result<bool> {
        self.node.write(value, out)
    }
}

struct Planner<'a> {
    options: &'a Options,
    made: HashMap<usize, Arc<Node>>,
}

impl Planner<'_> {
    fn node(&mut self, schema: &SchemaRef) -> Arc<Node> {
        let key = Arc::as_ptr(schema) as usize;
        if let Some(made) = self.made.get(&key) {
            return Arc::clone(made);
        }
        let shape = self.shape(schema);
        let ignore_default = self.options.ignore_default;
        let mut node = Node { schema: Arc::clone(schema), shape, null: None, ignore_default };
        node.null = match &schema.default {
            Some(default) if !ignore_default => {
                let mut bytes = BytesMut::new();
                // A default that can't be written is none.
                let written = node.write(default, &mut bytes).unwrap_or(false);
                written.then(|| bytes.to_vec())
            }
            _ => schema.optional.then(|| b"null".to_vec()),
        };
        let node = Arc::new(node);
        self.made.insert(key, Arc::clone(&node));
        node
    }

    fn shape(&mut self, schema: &SchemaRef) -> Shape {
        match schema.name.as_deref() {
            Some(logical::DECIMAL) => return Shape::Decimal(self.options.decimals),
            Some(logical::DATE) => return Shape::Date,
            Some(logical::TIME) => return Shape::Time,
            Some(logical::TIMESTAMP) => return Shape::Timestamp,
            _ => {}
        }
        match &schema.kind {
            Kind::Array(element) => Shape::Array(self.node(element)),
            Kind::Map(keys, values) if options::is_object(keys) => Shape::Object(self.node(values)),
            Kind::Map(keys, values) => Shape::Entries(self.node(keys), self.node(values)),
            Kind::Struct(fields) if options::is_union(schema) => {
                Shape::Union(fields.iter().map(|field| self.node(&field.schema)).collect())
            }
            Kind::Struct(fields) => {
                let field = |field: &connect_api::Field| {
                    let mut name = BytesMut::new();
                    quoted(&field.name, &mut name);
                    name.put_u8(b':');
                    (name.to_vec(), self.node(&field.schema))
                };
                Shape::Struct(fields.iter().map(field).collect())
            }
            _ => Shape::Plain,
        }
    }
}

impl Node {
    /// Appends a value; false when there is nothing to write.
    fn write(&self, value: &Value, out: &mut BytesMut) -> Result<bool> {
        if value.is_null() {
            if let Some(null) = &self.null {
                out.put_slice(null);
            }
            return Ok(self.null.is_some());
        }
        match (&self.shape, value) {
            (Shape::Plain, _) => self.write_plain(value, out)?,
            (Shape::Decimal(format), _) => self.write_decimal(*format, value, out)?,
            (Shape::Date | Shape::Time | Shape::Timestamp, _) => self.write_date(value, out)?,
            (Shape::Array(element), Value::Array(list)) => {
                out.put_u8(b'[');
                for (place, value) in list.iter().enumerate() {
                    comma(place, out);
                    element.write_or_null(value, out)?;
                }
                out.put_u8(b']');
            }
            (Shape::Object(values), Value::Map(pairs)) => {
                out.put_u8(b'{');
                for (place, (key, value)) in pairs.iter().enumerate() {
                    comma(place, out);
                    match key {
                        Value::String(key) => quoted(key, out),
                        other => return Err(self.invalid(other)),
                    }
                    out.put_u8(b':');
                    values.write_or_null(value, out)?;
                }
                out.put_u8(b'}');
            }
            (Shape::Entries(keys, values), Value::Map(pairs)) => {
                out.put_u8(b'[');
                for (place, (key, value)) in pairs.iter().enumerate() {
                    comma(place, out);
                    out.put_slice(b"{\"key\":");
                    keys.write_or_null(key, out)?;
                    out.put_slice(b",\"value\":");
                    values.write_or_null(value, out)?;
                    out.put_u8(b'}');
                }
                out.put_u8(b']');
            }
            (Shape::Struct(fields), Value::Struct(structure)) => self.write_struct(fields, structure, out)?,
            (Shape::Union(members), Value::Struct(structure)) => {
                self.check(structure)?;
                for (value, member) in structure.fields.iter().zip(members) {
                    let by_default = !self.ignore_default && member.schema.default.is_some();
                    if !value.is_null() || by_default {
                        return member.write(value, out);
                    }
                }
                return self.write(&Value::Null, out);
            }
            _ => return Err(self.invalid(value)),
        }
        Ok(true)
    }

    /// Where something has to stand.
    fn write_or_null(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        if !self.write(value, out)? {
            out.put_slice(b"null");
        }
        Ok(())
    }

    fn write_struct(&self, fields: &[(Vec<u8>, Arc<Self>)], structure: &Struct, out: &mut BytesMut) -> Result<()> {
        self.check(structure)?;
        out.put_u8(b'{');
        let start = out.len();
        for ((name, node), value) in fields.iter().zip(&structure.fields) {
            let before = out.len();
            if before > start {
                out.put_u8(b',');
            }
            out.put_slice(name);
            if !node.write(value, out)? {
                out.truncate(before);
            }
        }
        out.put_u8(b'}');
        Ok(())
    }

    fn check(&self, structure: &Struct) -> Result<()> {
        if Arc::ptr_eq(&structure.schema, &self.schema) || structure.schema == self.schema {
            return Ok(());
        }
        Err(Error::data("Mismatching schema."))
    }

    fn write_plain(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        let mut digits = itoa::Buffer::new();
        let number = match (&self.schema.kind, value) {
            (Kind::Int8, Value::Int8(number)) => digits.format(*number),
            (Kind::Int16, Value::Int16(number)) => digits.format(*number),
            (Kind::Int32, Value::Int32(number)) => digits.format(*number),
            (Kind::Int64, Value::Int64(number)) => digits.format(*number),
            (Kind::Boolean, Value::Bool(true)) => "true",
            (Kind::Boolean, Value::Bool(false)) => "false",
            (Kind::Float32, Value::Float32(number)) => {
                float(&text::float(*number), number.is_finite(), out);
                return Ok(());
            }
            (Kind::Float64, Value::Float64(number)) => {
                float(&text::double(*number), number.is_finite(), out);
                return Ok(());
            }
            (Kind::String, Value::String(text)) => {
                quoted(text, out);
                return Ok(());
            }
            (Kind::Bytes, Value::Bytes(bytes)) => {
                base64(bytes, out);
                return Ok(());
            }
            (Kind::Bytes, _) => {
                let class = value.java_class(None);
                return Err(Error::data(format!("Invalid type for bytes type: class {class}")));
            }
            _ => return Err(self.invalid(value)),
        };
        out.put_slice(number.as_bytes());
        Ok(())
    }

    fn write_decimal(&self, format: DecimalFormat, value: &Value, out: &mut BytesMut) -> Result<()> {
        let scale = || {
            let text = self.schema.get_parameter("scale");
            let scale = text.and_then(|text| text.parse::<i32>().ok());
            scale.ok_or_else(|| Error::data("Invalid Decimal schema: scale parameter not found."))
        };
        match (value, format) {
            (Value::Bytes(bytes), DecimalFormat::Base64) => base64(bytes, out),
            (Value::Bytes(bytes), DecimalFormat::Numeric) => {
                let mut number = String::new();
                text::write_decimal(&BigInt::from_signed_bytes_be(bytes), scale()?, &mut number);
                out.put_slice(number.as_bytes());
            }
            (Value::Decimal(decimal), DecimalFormat::Numeric) => out.put_slice(text::decimal(decimal).as_bytes()),
            (Value::Decimal(decimal), DecimalFormat::Base64) => {
                if decimal.scale != scale()? {
                    return Err(Error::data("Decimal value has mismatching scale for given Decimal schema"));
                }
                base64(&decimal.unscaled.to_signed_bytes_be(), out);
            }
            _ => {
                let class = value.java_class(None);
                return Err(Error::data(format!(
                    "Invalid type for Decimal, expected BigDecimal but was class {class}"
                )));
            }
        }
        Ok(())
    }

    fn write_date(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        let number = match (&self.shape, value) {
            (Shape::Timestamp, Value::Int64(millis) | Value::Date(millis)) => *millis,
            (Shape::Date | Shape::Time, Value::Int32(number)) => i64::from(*number),
            (Shape::Date, Value::Date(millis)) if millis.rem_euclid(DAY_MS) == 0 => millis.div_euclid(DAY_MS),
            (Shape::Time, Value::Date(millis)) if (0..=DAY_MS).contains(millis) => *millis,
            (Shape::Date, Value::Date(_)) => {
                return Err(Error::data(
                    "Kafka Connect Date type should not have any time fields set to non-zero values.",
                ));
            }
            (Shape::Time, Value::Date(_)) => {
                return Err(Error::data(
                    "Kafka Connect Time type should not have any date fields set to non-zero values.",
                ));
            }
            _ => {
                let name = match self.shape {
                    Shape::Date => "Date",
                    Shape::Time => "Time",
                    _ => "Timestamp",
                };
                let class = value.java_class(None);
                return Err(Error::data(format!("Invalid type for {name}, expected Date but was class {class}")));
            }
        };
        out.put_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn invalid(&self, value: &Value) -> Error {
        let (kind, class) = (self.schema.kind.java_name(), value.java_class(None));
        Error::data(format!("Invalid type for {kind}: class {class}"))
    }
}

fn comma(place: usize, out: &mut BytesMut) {
    if place > 0 {
        out.put_u8(b',');
    }
}

/// What is not finite stands in quotes.
fn float(text: &str, finite: bool, out: &mut BytesMut) {
    let quote: &[u8] = if finite { b"" } else { b"\"" };
    for part in [quote, text.as_bytes(), quote] {
        out.put_slice(part);
    }
}

fn base64(bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.put_u8(b'"');
}

/// A text in quotes, escaped as Jackson does it.
fn quoted(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.put_slice(plain);
        let (first, behind) = special.split_at(1);
        match first {
            b"\"" => out.put_slice(b"\\\""),
            b"\\" => out.put_slice(b"\\\\"),
            b"\n" => out.put_slice(b"\\n"),
            b"\r" => out.put_slice(b"\\r"),
            b"\t" => out.put_slice(b"\\t"),
            b"\x08" => out.put_slice(b"\\b"),
            b"\x0c" => out.put_slice(b"\\f"),
            other => out.put_slice(format!("\\u{:04X}", other.first().copied().unwrap_or_default()).as_bytes()),
        }
        rest = behind;
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}
