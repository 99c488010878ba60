//! From Connect's values straight to Protobuf's bytes (`ProtobufData.fromConnectData`). Fields stand in the order of their
//! numbers, and what is 0 or empty is left out where the message can't tell it from what is not there.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BufMut;
use connect_api::schema::logical;
use connect_api::{BytesMut, Error, Kind, Result, SchemaRef, Struct, Value};
use num_bigint::BigInt;
use protox::prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};

use super::calendar;
use super::names;
use super::options::{self, Options};
use super::to_connect::{map_of, unfit, unwrapped};
use super::wire::{self, Wire, varint, zigzag};
use crate::unroll;

const DAY_MS: i64 = 86_400_000;

/// How values of one schema are written.
pub(crate) struct Writer {
    root: Root,
}

enum Root {
    Struct(Arc<Message>),
    /// A message around a single value.
    Wrapped(Scalar),
}

/// How one struct is written.
struct Message {
    schema: SchemaRef,
    /// In the order of the numbers.
    fields: Vec<Field>,
    too_deep: bool,
}

/// How one field of a struct is written.
struct Field {
    place: usize,
    default: Option<Value>,
    how: How,
}

enum How {
    One(One),
    /// A struct that stands for a oneof: the member that has a value.
    Union(SchemaRef, Vec<Field>),
}

/// A field of a message.
struct One {
    name: Arc<str>,
    tag: Vec<u8>,
    /// Whether it is written even when it is 0 or empty.
    presence: bool,
    content: Content,
}

enum Content {
    Scalar(Scalar),
    Message(Arc<Message>),
    Repeated(Box<Element>),
    /// Scalars one after the other behind one length.
    Packed(Scalar),
    Map(Arc<Entry>),
}

enum Element {
    Scalar(Vec<u8>, Scalar),
    Message(Vec<u8>, Arc<Message>),
}

struct Entry {
    tag: Vec<u8>,
    key: One,
    value: One,
}

/// What is written without a plan of its own.
#[derive(Clone)]
enum Scalar {
    Varint,
    Zigzag,
    Fixed32,
    Fixed64,
    Float,
    Double,
    Bool,
    Text,
    Bytes,
    /// Symbols with their numbers.
    Enum(Arc<HashMap<String, i32>>),
    /// With the scale of its schema.
    Decimal(i32),
    Date,
    Time,
    Timestamp,
    /// A message around a value.
    Wrapper(Box<Scalar>),
}

impl Writer {
    /// Prepares writing.
    pub(crate) fn new(schema: &SchemaRef, message: &MessageDescriptor, options: &Options) -> Result<Self> {
        let mut planner = Planner { options, made: HashMap::new() };
        let root = match &schema.kind {
            Kind::Struct(_) => Root::Struct(planner.message(schema, message)?),
            _ => {
                let field = message.get_field_by_name("value").filter(|_| unwrapped(message).is_some());
                let field = field.ok_or_else(|| {
                    Error::data(format!("{} can't be written as {}", schema.kind.java_name(), message.full_name()))
                })?;
                Root::Wrapped(scalar(schema, &field)?)
            }
        };
        Ok(Self { root })
    }

    /// Appends a value that is not null.
    pub(crate) fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        match (&self.root, value) {
            (Root::Struct(message), Value::Struct(structure)) => message.write(structure, out),
            (Root::Struct(message), _) => Err(invalid(&message.schema, value)),
            (Root::Wrapped(scalar), _) => scalar.write_wrapped(value, out),
        }
    }
}

struct Planner<'a> {
    options: &'a Options,
    made: HashMap<(usize, String), Arc<Message>>,
}

impl Planner<'_> {
    fn message(&mut self, schema: &SchemaRef, message: &MessageDescriptor) -> Result<Arc<Message>> {
        let key = (Arc::as_ptr(schema) as usize, message.full_name().to_owned());
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        // Below the last level of a recursive schema there are no fields.
        let too_deep = schema.fields().is_empty() && message.fields().len() > 0;
        let mut fields = Vec::with_capacity(schema.fields().len());
        for (place, field) in schema.fields().iter().enumerate() {
            let default = field.schema.default.clone().filter(|_| !self.options.ignore_default);
            let (number, how) = if options::is_union(&field.schema) {
                self.union(&field.schema, message)?
            } else {
                let descriptor = self.descriptor(&field.name, message)?;
                (descriptor.number(), How::One(self.one(&field.schema, &descriptor)?))
            };
            fields.push((number, Field { place, default, how }));
        }
        fields.sort_by_key(|(number, _)| *number);
        let fields = fields.into_iter().map(|(_, field)| field).collect();
        let made = Arc::new(Message { schema: Arc::clone(schema), fields, too_deep });
        self.made.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn descriptor(&self, name: &str, message: &MessageDescriptor) -> Result<FieldDescriptor> {
        let scrubbed = names::scrubbed(name, self.options.scrub);
        let found = message.get_field_by_name(&scrubbed);
        found.ok_or_else(|| Error::data(format!("Cannot find field with name {scrubbed}")))
    }

    fn union(&mut self, schema: &SchemaRef, message: &MessageDescriptor) -> Result<(u32, How)> {
        let mut members = Vec::with_capacity(schema.fields().len());
        let mut first = u32::MAX;
        for (place, field) in schema.fields().iter().enumerate() {
            let descriptor = self.descriptor(&field.name, message)?;
            first = first.min(descriptor.number());
            let default = field.schema.default.clone().filter(|_| !self.options.ignore_default);
            members.push(Field { place, default, how: How::One(self.one(&field.schema, &descriptor)?) });
        }
        Ok((first, How::Union(Arc::clone(schema), members)))
    }

    fn one(&mut self, schema: &SchemaRef, field: &FieldDescriptor) -> Result<One> {
        let content = self.content(schema, field)?;
        let wire = match &content {
            Content::Scalar(scalar) => scalar.wire(),
            _ => Wire::Length,
        };
        let presence = field.supports_presence();
        Ok(One { name: field.name().into(), tag: tag(field.number(), wire), presence, content })
    }

    fn content(&mut self, schema: &SchemaRef, field: &FieldDescriptor) -> Result<Content> {
        match (&schema.kind, field.kind()) {
            (Kind::Map(keys, values), Type::Message(_)) => {
                let (key, value) = map_of(field).ok_or_else(|| unfit(schema, field))?;
                let (key, value) = (self.one(keys, &key)?, self.one(values, &value)?);
                let tag = tag(field.number(), Wire::Length);
                Ok(Content::Map(Arc::new(Entry { tag, key, value })))
            }
            (Kind::Array(element), kind) if field.is_list() => {
                if let (Kind::Struct(_), Type::Message(message)) = (&element.kind, &kind) {
                    let tag = tag(field.number(), Wire::Length);
                    return Ok(Content::Repeated(Box::new(Element::Message(tag, self.message(element, message)?))));
                }
                let scalar = scalar(element, field)?;
                if field.is_packed() {
                    return Ok(Content::Packed(scalar));
                }
                let tag = tag(field.number(), scalar.wire());
                Ok(Content::Repeated(Box::new(Element::Scalar(tag, scalar))))
            }
            (Kind::Struct(_), Type::Message(message)) if !field.is_list() => {
                Ok(Content::Message(self.message(schema, &message)?))
            }
            (Kind::Struct(_) | Kind::Array(_) | Kind::Map(..), _) => Err(unfit(schema, field)),
            _ if field.is_list() => Err(unfit(schema, field)),
            _ => scalar(schema, field).map(Content::Scalar),
        }
    }
}

/// How a value that is no struct, list or map is written as a field.
fn scalar(schema: &SchemaRef, field: &FieldDescriptor) -> Result<Scalar> {
    let whole = matches!(schema.kind, Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64);
    let small = matches!(schema.kind, Kind::Int8 | Kind::Int16 | Kind::Int32);
    let number = whole || matches!(schema.kind, Kind::Float32 | Kind::Float64);
    Ok(match field.kind() {
        Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 if whole => Scalar::Varint,
        Type::Sint32 | Type::Sint64 if whole => Scalar::Zigzag,
        Type::Fixed32 | Type::Sfixed32 if whole => Scalar::Fixed32,
        Type::Fixed64 | Type::Sfixed64 if whole => Scalar::Fixed64,
        Type::Float if number => Scalar::Float,
        Type::Double if number => Scalar::Double,
        Type::Bool if schema.kind == Kind::Boolean => Scalar::Bool,
        Type::String if schema.kind == Kind::String => Scalar::Text,
        Type::Bytes if schema.kind == Kind::Bytes => Scalar::Bytes,
        Type::Enum(of) if small || schema.kind == Kind::String => {
            let values = of.values().map(|value| (value.name().to_owned(), value.number()));
            Scalar::Enum(Arc::new(values.collect()))
        }
        Type::Message(message) => match (message.full_name(), schema.name.as_deref()) {
            (options::DECIMAL_TYPE, Some(logical::DECIMAL)) => {
                let scale = schema.get_parameter(options::SCALE).and_then(|scale| scale.parse().ok());
                Scalar::Decimal(scale.unwrap_or(0))
            }
            (options::DATE_TYPE, Some(logical::DATE)) => Scalar::Date,
            (options::TIME_TYPE, Some(logical::TIME)) => Scalar::Time,
            (options::TIMESTAMP_TYPE, Some(logical::TIMESTAMP)) => Scalar::Timestamp,
            _ => {
                let inner = message.get_field_by_name("value").filter(|_| unwrapped(&message).is_some());
                Scalar::Wrapper(Box::new(scalar(schema, &inner.ok_or_else(|| unfit(schema, field))?)?))
            }
        },
        _ => return Err(unfit(schema, field)),
    })
}

fn tag(number: u32, wire: Wire) -> Vec<u8> {
    let mut out = BytesMut::new();
    varint(u64::from(number) << 3 | wire as u64, &mut out);
    out.to_vec()
}

impl Message {
    fn write(&self, structure: &Struct, out: &mut BytesMut) -> Result<()> {
        if !Arc::ptr_eq(&structure.schema, &self.schema) && structure.schema != self.schema {
            return Err(Error::data("Mismatching struct schema"));
        }
        if self.too_deep {
            return Err(Error::data(unroll::TOO_DEEP));
        }
        self.fields.iter().try_for_each(|field| field.write(&structure.fields, out))
    }
}

impl Field {
    fn value<'v>(&'v self, values: &'v [Value]) -> &'v Value {
        match (values.get(self.place), &self.default) {
            (None | Some(Value::Null), Some(default)) => default,
            (value, _) => value.unwrap_or(&Value::Null),
        }
    }

    fn write(&self, values: &[Value], out: &mut BytesMut) -> Result<()> {
        let value = self.value(values);
        if value.is_null() {
            return Ok(());
        }
        match (&self.how, value) {
            (How::One(one), _) => one.write(value, out),
            (How::Union(schema, members), Value::Struct(union)) => {
                if !Arc::ptr_eq(&union.schema, schema) && union.schema != *schema {
                    return Err(Error::data("Mismatching struct schema"));
                }
                let present = members.iter().find(|member| !member.value(&union.fields).is_null());
                present.ok_or_else(|| Error::data("Cannot find non-null field"))?.write(&union.fields, out)
            }
            (How::Union(schema, _), _) => Err(invalid(schema, value)),
        }
    }
}

impl One {
    /// Appends a value that is not null.
    fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        match (&self.content, value) {
            (Content::Scalar(scalar), _) => {
                let start = out.len();
                out.put_slice(&self.tag);
                let before = out.len();
                scalar.write(value, out).map_err(|error| self.within(error))?;
                if !self.presence && scalar.is_default(&out[before..]) {
                    out.truncate(start);
                }
            }
            (Content::Message(message), Value::Struct(structure)) => {
                out.put_slice(&self.tag);
                wire::delimited(out, |out| message.write(structure, out))?;
            }
            (Content::Repeated(element), Value::Array(list)) => {
                self.without_nulls(list)?;
                for value in list {
                    match (&**element, value) {
                        (Element::Scalar(tag, scalar), _) => {
                            out.put_slice(tag);
                            scalar.write(value, out).map_err(|error| self.within(error))?;
                        }
                        (Element::Message(tag, message), Value::Struct(structure)) => {
                            out.put_slice(tag);
                            wire::delimited(out, |out| message.write(structure, out))?;
                        }
                        (Element::Message(_, message), _) => return Err(invalid(&message.schema, value)),
                    }
                }
            }
            (Content::Packed(scalar), Value::Array(list)) => {
                self.without_nulls(list)?;
                if !list.is_empty() {
                    out.put_slice(&self.tag);
                    let write = |out: &mut BytesMut| list.iter().try_for_each(|value| scalar.write(value, out));
                    wire::delimited(out, write).map_err(|error| self.within(error))?;
                }
            }
            (Content::Map(entry), Value::Map(pairs)) => {
                for (key, value) in pairs {
                    out.put_slice(&entry.tag);
                    wire::delimited(out, |out| {
                        for (one, value) in [(&entry.key, key), (&entry.value, value)] {
                            if !value.is_null() {
                                one.write(value, out)?;
                            }
                        }
                        Ok(())
                    })?;
                }
            }
            _ => {
                let class = value.java_class(None);
                return Err(self.within(Error::data(format!("Invalid type: class {class}"))));
            }
        }
        Ok(())
    }

    fn without_nulls(&self, list: &[Value]) -> Result<()> {
        if list.iter().any(Value::is_null) {
            return Err(self.within(Error::data("a list can't hold null in Protobuf")));
        }
        Ok(())
    }

    fn within(&self, error: Error) -> Error {
        Error::data(format!("field {}: {}", self.name, error.message())).class(error.java_class())
    }
}

impl Scalar {
    fn wire(&self) -> Wire {
        match self {
            Self::Varint | Self::Zigzag | Self::Bool | Self::Enum(_) => Wire::Varint,
            Self::Fixed32 | Self::Float => Wire::Fixed32,
            Self::Fixed64 | Self::Double => Wire::Fixed64,
            _ => Wire::Length,
        }
    }

    /// Whether what was written is what a message has that has nothing.
    fn is_default(&self, written: &[u8]) -> bool {
        match self {
            Self::Decimal(_) | Self::Date | Self::Time | Self::Timestamp | Self::Wrapper(_) => false,
            _ => written.iter().all(|byte| *byte == 0),
        }
    }

    /// The message around a value, without its length.
    fn write_wrapped(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        short_tag(1, self.wire(), out);
        let before = out.len();
        self.write(value, out)?;
        if self.is_default(&out[before..]) {
            out.truncate(start);
        }
        Ok(())
    }

    fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        let wrong = || Error::data(format!("Invalid type: class {}", value.java_class(None)));
        let whole = || whole(value).ok_or_else(wrong);
        match (self, value) {
            (Self::Varint, _) => varint(whole()? as u64, out),
            (Self::Zigzag, _) => varint(zigzag(whole()?), out),
            (Self::Fixed32, _) => out.put_u32_le(whole()? as u32),
            (Self::Fixed64, _) => out.put_u64_le(whole()? as u64),
            (Self::Float, Value::Float32(number)) => out.put_f32_le(*number),
            (Self::Float, Value::Float64(number)) => out.put_f32_le(*number as f32),
            (Self::Float, _) => out.put_f32_le(whole()? as f32),
            (Self::Double, Value::Float64(number)) => out.put_f64_le(*number),
            (Self::Double, Value::Float32(number)) => out.put_f64_le(f64::from(*number)),
            (Self::Double, _) => out.put_f64_le(whole()? as f64),
            (Self::Bool, Value::Bool(value)) => out.put_u8(u8::from(*value)),
            (Self::Text, Value::String(text)) => {
                varint(text.len() as u64, out);
                out.put_slice(text.as_bytes());
            }
            (Self::Bytes, Value::Bytes(bytes)) => {
                varint(bytes.len() as u64, out);
                out.put_slice(bytes);
            }
            (Self::Enum(symbols), Value::String(symbol)) => {
                let number = symbols
                    .get(&**symbol)
                    .ok_or_else(|| Error::data(format!("'{symbol}' is not one of the symbols of the enum")))?;
                varint(i64::from(*number) as u64, out);
            }
            (Self::Enum(_), _) => varint(whole()? as u64, out),
            (Self::Decimal(scale), _) => wire::delimited(out, |out| decimal(value, *scale, out).ok_or_else(wrong))?,
            (Self::Date, _) => {
                let days = match value {
                    Value::Int32(days) => i64::from(*days),
                    Value::Date(millis) if millis.rem_euclid(DAY_MS) == 0 => millis.div_euclid(DAY_MS),
                    _ => return Err(wrong()),
                };
                let (year, month, day) = calendar::date_of(days);
                wire::delimited(out, |out| numbers(&[year, month, day], out))?;
            }
            (Self::Time, _) => {
                let millis = match value {
                    Value::Int32(millis) => i64::from(*millis),
                    Value::Date(millis) => *millis,
                    _ => return Err(wrong()),
                };
                if !(0..=DAY_MS).contains(&millis) {
                    return Err(Error::data(
                        "Time values must use number of millis greater than 0 and less than 86400000",
                    ));
                }
                let seconds = millis / 1000;
                let parts = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, millis % 1000 * 1_000_000];
                wire::delimited(out, |out| numbers(&parts, out))?;
            }
            (Self::Timestamp, Value::Int64(millis) | Value::Date(millis)) => {
                let parts = [millis.div_euclid(1000), millis.rem_euclid(1000) * 1_000_000];
                wire::delimited(out, |out| numbers(&parts, out))?;
            }
            (Self::Wrapper(inner), _) => wire::delimited(out, |out| inner.write_wrapped(value, out))?,
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

fn whole(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        _ => return None,
    })
}

/// The tag of one of the first fields of a message.
fn short_tag(number: u8, wire: Wire, out: &mut BytesMut) {
    out.put_u8(number << 3 | wire as u8);
}

/// A message of whole numbers, numbered from 1; zeros are left out.
fn numbers(numbers: &[i64], out: &mut BytesMut) -> Result<()> {
    for (number, field) in numbers.iter().zip(1..).filter(|(number, _)| **number != 0) {
        short_tag(field, Wire::Varint, out);
        varint(*number as u64, out);
    }
    Ok(())
}

/// A decimal with its own precision, and the scale of the schema unless it brings its own.
fn decimal(value: &Value, scale: i32, out: &mut BytesMut) -> Option<()> {
    let (unscaled, scale) = match value {
        Value::Bytes(bytes) => (BigInt::from_signed_bytes_be(bytes), scale),
        Value::Decimal(decimal) => (decimal.unscaled.clone(), decimal.scale),
        _ => return None,
    };
    let bytes = unscaled.to_signed_bytes_be();
    short_tag(1, Wire::Length, out);
    varint(bytes.len() as u64, out);
    out.put_slice(&bytes);
    short_tag(2, Wire::Varint, out);
    varint(precision(&unscaled), out);
    if scale != 0 {
        short_tag(3, Wire::Varint, out);
        varint(i64::from(scale) as u64, out);
    }
    Some(())
}

fn invalid(schema: &SchemaRef, value: &Value) -> Error {
    let (kind, class) = (schema.kind.java_name(), value.java_class(None));
    Error::data(format!("Invalid type for {kind}: class {class}"))
}

/// The digits of a number.
fn precision(unscaled: &BigInt) -> u64 {
    unscaled.magnitude().to_string().len() as u64
}
