//! From Connect's values straight to Avro's bytes.
//!
//! A plan is made once for a schema of Connect and the one of Avro that is written; mostly that was made from it. Another one,
//! of the registry, may leave out fields, have more that have defaults, order them otherwise, or have wider numbers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BufMut;
use connect_api::schema::logical;
use connect_api::{BytesMut, Error, Kind, Result, SchemaRef, Struct, Value};

use super::defaults::Defaults;
use super::names;
use super::options::{self, Options};
use super::schema::{Field as AvroField, Id, Record, Schema, Shape};

/// Values without a schema may hold each other so deep.
const DEPTH_MAX: usize = 200;
const DAY_MS: i64 = 86_400_000;

/// How values of one schema are written.
pub(crate) struct Writer {
    how: How,
}

enum How {
    Anything,
    /// Bytes alone have no length in front.
    Rest(Arc<Node>),
    Plan(Arc<Node>),
}

/// How one type is written.
struct Node {
    /// Held, so that its address stays its own; it tells what a value should be.
    schema: SchemaRef,
    /// The place of the type in its union.
    branch: Option<i64>,
    /// The place of null in it.
    null: Option<i64>,
    kind: Write,
}

enum Write {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    String,
    Bytes,
    Decimal,
    Fixed(usize),
    FixedDecimal(usize),
    Enum(HashMap<Arc<str>, i64>),
    Array(Arc<Node>),
    Map(Arc<Node>),
    Pairs(Arc<Node>, Arc<Node>),
    Record(Vec<Step>),
    /// A struct that stands for a union: the field that has a value.
    Union(Vec<Arc<Node>>),
    TooDeep,
}

/// A field in the order of Avro's record.
enum Step {
    Field {
        place: usize,
        node: Arc<Node>,
        null: Option<Vec<u8>>,
    },
    /// A field that Connect does not have.
    Constant(Vec<u8>),
}

impl Writer {
    /// Prepares writing.
    pub(crate) fn new(schema: Option<&SchemaRef>, avro: &Schema, options: &Options) -> Result<Self> {
        let Some(schema) = schema else { return Ok(Self { how: How::Anything }) };
        let node = Planner { avro, options, made: HashMap::new() }.node(schema, avro.root)?;
        let rest = *avro.shape(avro.root) == Shape::Bytes;
        Ok(Self { how: if rest { How::Rest(node) } else { How::Plan(node) } })
    }

    /// Appends a value that is not null.
    pub(crate) fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        match &self.how {
            How::Anything => anything(value, out, 0),
            How::Rest(node) => {
                out.put_slice(&node.bytes_of(value)?);
                Ok(())
            }
            How::Plan(node) => node.write(value, out),
        }
    }
}

struct Planner<'a> {
    avro: &'a Schema,
    options: &'a Options,
    made: HashMap<(usize, Id), Arc<Node>>,
}

impl Planner<'_> {
    fn node(&mut self, schema: &SchemaRef, id: Id) -> Result<Arc<Node>> {
        let key = (Arc::as_ptr(schema) as usize, id);
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        let node = Arc::new(self.plan(schema, id)?);
        self.made.insert(key, Arc::clone(&node));
        Ok(node)
    }

    fn plan(&mut self, schema: &SchemaRef, id: Id) -> Result<Node> {
        let avro = self.avro;
        let Shape::Union(members) = avro.shape(id) else {
            return Ok(Node { schema: Arc::clone(schema), branch: None, null: None, kind: self.kind(schema, id)? });
        };
        let place_of =
            |fits: &dyn Fn(&Id) -> bool| members.iter().position(fits).and_then(|place| i64::try_from(place).ok());
        let null = place_of(&|member| *avro.shape(*member) == Shape::Null);
        if options::is_union(schema) {
            let member = |(place, field): (usize, &connect_api::Field)| self.member(field, place, id, members);
            let nodes = schema.fields().iter().enumerate().map(member).collect::<Result<Vec<_>>>()?;
            return Ok(Node { schema: Arc::clone(schema), branch: None, null, kind: Write::Union(nodes) });
        }
        let chosen = self.choose(schema, members, None);
        let Some(member) = chosen else { return Err(unfit(schema, avro.shape(id))) };
        let branch = place_of(&|other| *other == member);
        Ok(Node { schema: Arc::clone(schema), branch, null, kind: self.kind(schema, member)? })
    }

    /// One field of a struct that stands for a union.
    fn member(&mut self, field: &connect_api::Field, place: usize, id: Id, members: &[Id]) -> Result<Arc<Node>> {
        let typed: Vec<Id> =
            members.iter().copied().filter(|member| *self.avro.shape(*member) != Shape::Null).collect();
        // The types of a union that was made from this struct stand in the order of its fields.
        let expected = typed.get(place).copied().filter(|_| typed.len() >= place);
        let chosen = self.choose(&field.schema, members, expected);
        let Some(member) = chosen else { return Err(unfit(&field.schema, self.avro.shape(id))) };
        let branch = members.iter().position(|other| *other == member).and_then(|place| i64::try_from(place).ok());
        let kind = self.kind(&field.schema, member)?;
        Ok(Arc::new(Node { schema: Arc::clone(&field.schema), branch, null: None, kind }))
    }

    /// The type of a union that values of a schema are written as.
    fn choose(&self, schema: &SchemaRef, members: &[Id], expected: Option<Id>) -> Option<Id> {
        let name = schema.name.as_deref().map(|name| names::full(name, self.options.scrub));
        let of_enum = self.options.enum_parameter(schema).and_then(|parameter| schema.get_parameter(parameter));
        let named = |member: &&Id| {
            self.avro.shape(**member).name().is_some_and(|own| {
                let own: &str = own.full();
                name.as_deref() == Some(own) || of_enum == Some(own)
            })
        };
        let fits = |member: &&Id| self.fit(schema, **member);
        let best = |fit: Fit| members.iter().find(|member| fits(member) == Some(fit) && named(member));
        let other = |fit: Fit| members.iter().find(|member| fits(member) == Some(fit));
        let expected = expected.filter(|id| self.fit(schema, *id) == Some(Fit::Same));
        expected.or_else(|| best(Fit::Same).or_else(|| other(Fit::Same)).or_else(|| other(Fit::Wider)).copied())
    }

    /// Whether values of a schema can be written as a type.
    fn fit(&self, schema: &SchemaRef, id: Id) -> Option<Fit> {
        let shape = self.avro.shape(id);
        match (&schema.kind, shape) {
            (Kind::Boolean, Shape::Boolean)
            | (Kind::Int8 | Kind::Int16 | Kind::Int32, Shape::Int)
            | (Kind::Int64, Shape::Long)
            | (Kind::Float32, Shape::Float)
            | (Kind::Float64, Shape::Double) => Some(Fit::Same),
            (Kind::Int8 | Kind::Int16 | Kind::Int32, Shape::Long | Shape::Float | Shape::Double)
            | (Kind::Int64, Shape::Float | Shape::Double)
            | (Kind::Float32, Shape::Double)
            | (Kind::String, Shape::Bytes)
            | (Kind::Bytes, Shape::String) => Some(Fit::Wider),
            (Kind::String, Shape::String) => {
                Some(if self.options.enum_parameter(schema).is_some() { Fit::Wider } else { Fit::Same })
            }
            (Kind::String, Shape::Enum(_)) => {
                Some(if self.options.enum_parameter(schema).is_some() { Fit::Same } else { Fit::Wider })
            }
            (Kind::Bytes, Shape::Bytes) => {
                Some(if options::fixed_size(schema).is_some() { Fit::Wider } else { Fit::Same })
            }
            (Kind::Bytes, Shape::Fixed(fixed)) => match options::fixed_size(schema) {
                Some(size) if size.parse() == Ok(fixed.size) => Some(Fit::Same),
                Some(_) => None,
                None => Some(Fit::Wider),
            },
            (Kind::Array(_), Shape::Array(items)) => {
                let entries = super::to_connect::map_entry(self.avro, *items).is_some();
                Some(if entries { Fit::Wider } else { Fit::Same })
            }
            (Kind::Map(keys, _), Shape::Map(_)) if self.options.plain_keys(keys) => Some(Fit::Same),
            (Kind::Map(keys, _), Shape::Map(_)) if keys.kind == Kind::String => Some(Fit::Wider),
            (Kind::Map(..), Shape::Array(items)) => {
                matches!(self.avro.shape(*items), Shape::Record(record) if record.fields.len() == 2)
                    .then_some(Fit::Same)
            }
            (Kind::Struct(_), Shape::Record(_)) => Some(Fit::Same),
            _ => None,
        }
    }

    fn kind(&mut self, schema: &SchemaRef, id: Id) -> Result<Write> {
        let avro = self.avro;
        let shape = avro.shape(id);
        if self.fit(schema, id).is_none() {
            return Err(unfit(schema, shape));
        }
        let decimal = schema.is(logical::DECIMAL);
        Ok(match (shape, &schema.kind) {
            (Shape::Boolean, _) => Write::Boolean,
            (Shape::Int, _) => Write::Int,
            (Shape::Long, _) => Write::Long,
            (Shape::Float, _) => Write::Float,
            (Shape::Double, _) => Write::Double,
            (Shape::String, _) => Write::String,
            (Shape::Bytes, _) if decimal => Write::Decimal,
            (Shape::Bytes, _) => Write::Bytes,
            (Shape::Fixed(fixed), _) if decimal => Write::FixedDecimal(fixed.size),
            (Shape::Fixed(fixed), _) => Write::Fixed(fixed.size),
            (Shape::Enum(of), _) => Write::Enum(of.symbols.iter().cloned().zip(0..).collect()),
            (Shape::Array(items), Kind::Array(element)) => Write::Array(self.node(element, *items)?),
            (Shape::Array(items), Kind::Map(keys, values)) => {
                let Shape::Record(record) = avro.shape(*items) else { return Err(unfit(schema, shape)) };
                let field =
                    |name: &str| record.fields.iter().find(|field| *field.name == *name).map(|field| field.schema);
                let (Some(key), Some(value)) = (field("key"), field("value")) else { return Err(unfit(schema, shape)) };
                Write::Pairs(self.node(keys, key)?, self.node(values, value)?)
            }
            (Shape::Map(of), Kind::Map(_, values)) => Write::Map(self.node(values, *of)?),
            (Shape::Record(record), Kind::Struct(_)) => {
                // Below the last level of a recursive schema there are no fields.
                if schema.fields().is_empty() && !record.fields.is_empty() {
                    return Ok(Write::TooDeep);
                }
                let steps = record.fields.iter().map(|field| self.step(schema, record, field));
                Write::Record(steps.collect::<Result<_>>()?)
            }
            _ => return Err(unfit(schema, shape)),
        })
    }

    fn step(&mut self, schema: &SchemaRef, record: &Record, target: &AvroField) -> Result<Step> {
        let scrub = self.options.scrub;
        let same = |name: &str| names::scrubbed(name, scrub) == *target.name;
        let place = schema.fields().iter().position(|field| *field.name == *target.name || same(&field.name));
        let Some((place, field)) = place.and_then(|place| Some((place, schema.fields().get(place)?))) else {
            return self.constant(record, target).map(Step::Constant);
        };
        let node = self.node(&field.schema, target.schema).map_err(|error| {
            Error::data(format!("field {}: {}", field.name, error.message())).class(error.java_class())
        })?;
        let null = match &field.schema.default {
            Some(default) if !self.options.ignore_default => {
                let mut bytes = BytesMut::new();
                node.write(default, &mut bytes)?;
                Some(bytes.to_vec())
            }
            _ => None,
        };
        Ok(Step::Field { place, node, null })
    }

    /// The default of a field that Connect does not have.
    fn constant(&mut self, record: &Record, target: &AvroField) -> Result<Vec<u8>> {
        let missing = || {
            Error::data(format!(
                "Field {} of record {} is not set and has no default value",
                target.name,
                record.name.full()
            ))
            .class("org.apache.avro.AvroRuntimeException")
        };
        let json = target.default.as_ref().ok_or_else(missing)?;
        let unions = std::sync::atomic::AtomicUsize::new(0);
        // Only the field's own type is of interest, but it may refer to others of the schema.
        let own = Schema { types: self.avro.types.clone(), root: target.schema };
        let schema = super::to_connect::convert(&own, None, self.options, &unions)?.ok_or_else(missing)?;
        let value = Defaults::of(&own).value(own.root, json, &schema)?.ok_or_else(missing)?;
        let mut bytes = BytesMut::new();
        self.node(&schema, target.schema)?.write(&value, &mut bytes)?;
        Ok(bytes.to_vec())
    }
}

/// How well a type fits a schema.
#[derive(Clone, Copy, PartialEq)]
enum Fit {
    Same,
    Wider,
}

fn unfit(schema: &SchemaRef, shape: &Shape) -> Error {
    let name = shape.name().map_or(shape.type_name(), |name| name.full());
    Error::data(format!("{} can't be written as {name}", schema.kind.java_name()))
        .class("org.apache.avro.AvroTypeException")
}

impl Node {
    fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        if value.is_null() {
            return self.write_null(out);
        }
        if let Some(branch) = self.branch {
            long(branch, out);
        }
        match (&self.kind, value) {
            (Write::Boolean, Value::Bool(value)) => out.put_u8(u8::from(*value)),
            (Write::Int | Write::Long | Write::Float | Write::Double, _) => return self.write_number(value, out),
            (Write::String, Value::String(text)) => bytes(text.as_bytes(), out),
            (Write::String | Write::Bytes, Value::Bytes(of)) => bytes(of, out),
            (Write::Bytes, Value::String(text)) => bytes(text.as_bytes(), out),
            (Write::Decimal, _) => bytes(&self.bytes_of(value)?, out),
            (Write::Fixed(size), Value::Bytes(of)) => {
                if of.len() != *size {
                    return Err(Error::data(format!("{} bytes can't be written as fixed of {size}", of.len())));
                }
                out.put_slice(of);
            }
            (Write::FixedDecimal(size), _) => padded(&self.bytes_of(value)?, *size, out)?,
            (Write::Enum(symbols), Value::String(text)) => match symbols.get(&**text) {
                Some(place) => long(*place, out),
                None => {
                    return Err(Error::data(format!("enum value '{text}' is not in the enum symbol set"))
                        .class("org.apache.avro.AvroTypeException"));
                }
            },
            (Write::Array(element), Value::Array(list)) => {
                block(list, out, |value, out| element.write(value, out))?;
            }
            (Write::Map(values), Value::Map(pairs)) => block(pairs, out, |(key, value), out| {
                let Some(key) = key.as_str() else { return Err(self.invalid(key)) };
                bytes(key.as_bytes(), out);
                values.write(value, out)
            })?,
            (Write::Pairs(keys, values), Value::Map(pairs)) => block(pairs, out, |(key, value), out| {
                keys.write(key, out)?;
                values.write(value, out)
            })?,
            (Write::Record(steps), Value::Struct(structure)) => {
                self.check(structure)?;
                for step in steps {
                    step.write(structure, out)?;
                }
            }
            (Write::Union(members), Value::Struct(structure)) => {
                self.check(structure)?;
                let present = structure.fields.iter().zip(members).find(|(value, _)| !value.is_null());
                return match present {
                    Some((value, member)) => member.write(value, out),
                    None => self.write_null(out),
                };
            }
            (Write::TooDeep, _) => return Err(Error::data(crate::unroll::TOO_DEEP)),
            _ => return Err(self.invalid(value)),
        }
        Ok(())
    }

    fn write_null(&self, out: &mut BytesMut) -> Result<()> {
        match self.null.filter(|_| self.schema.optional) {
            Some(branch) => {
                long(branch, out);
                Ok(())
            }
            None => Err(Error::data("Found null value for non-optional schema")),
        }
    }

    fn write_number(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        let whole = self.whole(value);
        match (&self.kind, value, whole) {
            (Write::Int | Write::Long, _, Some(number)) => long(number, out),
            (Write::Float, Value::Float32(number), _) => out.put_f32_le(*number),
            (Write::Float, _, Some(number)) => out.put_f32_le(number as f32),
            (Write::Double, Value::Float64(number), _) => out.put_f64_le(*number),
            (Write::Double, Value::Float32(number), _) => out.put_f64_le(f64::from(*number)),
            (Write::Double, _, Some(number)) => out.put_f64_le(number as f64),
            _ => return Err(self.invalid(value)),
        }
        Ok(())
    }

    /// The whole number of a value that is of the schema's kind.
    fn whole(&self, value: &Value) -> Option<i64> {
        Some(match (&self.schema.kind, value) {
            (Kind::Int8, Value::Int8(number)) => i64::from(*number),
            (Kind::Int16, Value::Int16(number)) => i64::from(*number),
            (Kind::Int32, Value::Int32(number)) => i64::from(*number),
            (Kind::Int64, Value::Int64(number)) => *number,
            (Kind::Int64, Value::Date(millis)) if self.schema.is(logical::TIMESTAMP) => *millis,
            (Kind::Int32, Value::Date(millis)) if self.schema.is(logical::TIME) => {
                (0..=DAY_MS).contains(millis).then_some(*millis)?
            }
            (Kind::Int32, Value::Date(millis)) if self.schema.is(logical::DATE) => {
                (millis.rem_euclid(DAY_MS) == 0).then_some(millis.div_euclid(DAY_MS))?
            }
            _ => return None,
        })
    }

    /// The bytes of a value that is bytes alone, or a decimal.
    fn bytes_of<'v>(&self, value: &'v Value) -> Result<std::borrow::Cow<'v, [u8]>> {
        match value {
            Value::Bytes(bytes) => Ok((&**bytes).into()),
            Value::Decimal(decimal) if self.schema.is(logical::DECIMAL) => {
                let scale = self.schema.get_parameter(options::SCALE).and_then(|scale| scale.parse::<i32>().ok());
                if scale != Some(decimal.scale) {
                    return Err(Error::data("Decimal value has mismatching scale for given Decimal schema"));
                }
                Ok(decimal.unscaled.to_signed_bytes_be().into())
            }
            _ => Err(self.invalid(value)),
        }
    }

    fn check(&self, structure: &Struct) -> Result<()> {
        if Arc::ptr_eq(&structure.schema, &self.schema) || structure.schema == self.schema {
            return Ok(());
        }
        Err(Error::data("Mismatching struct schema"))
    }

    fn invalid(&self, value: &Value) -> Error {
        let (kind, class) = (self.schema.kind.java_name(), value.java_class(None));
        Error::data(format!("Invalid type for {kind}: class {class}"))
    }
}

impl Step {
    fn write(&self, structure: &Struct, out: &mut BytesMut) -> Result<()> {
        match self {
            Self::Constant(bytes) => out.put_slice(bytes),
            Self::Field { place, node, null } => match (structure.fields.get(*place), null) {
                (None | Some(Value::Null), Some(bytes)) => out.put_slice(bytes),
                (None, None) => return node.write_null(out),
                (Some(value), _) => return node.write(value, out),
            },
        }
        Ok(())
    }
}

fn long(number: i64, out: &mut BytesMut) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    if rest < 0x80 {
        out.put_u8(rest as u8);
        return;
    }
    let (mut bytes, mut length) = ([0; 10], 0);
    for byte in &mut bytes {
        length += 1;
        // The lowest seven bits, and whether more follow.
        *byte = rest as u8 | 0x80;
        rest >>= 7;
        if rest == 0 {
            *byte &= 0x7f;
            break;
        }
    }
    out.extend_from_slice(&bytes[..length]);
}

fn length(length: usize, out: &mut BytesMut) {
    // No value of this machine is longer.
    long(i64::try_from(length).unwrap_or(i64::MAX), out);
}

fn bytes(of: &[u8], out: &mut BytesMut) {
    length(of.len(), out);
    out.extend_from_slice(of);
}

/// All elements in one block, and the empty one behind.
fn block<T>(list: &[T], out: &mut BytesMut, mut write: impl FnMut(&T, &mut BytesMut) -> Result<()>) -> Result<()> {
    if !list.is_empty() {
        length(list.len(), out);
        for element in list {
            write(element, out)?;
        }
    }
    out.put_u8(0);
    Ok(())
}

/// A number with its sign in front, as often as there is room.
fn padded(number: &[u8], size: usize, out: &mut BytesMut) -> Result<()> {
    let Some(room) = size.checked_sub(number.len()) else {
        return Err(Error::data(format!(
            "Unscaled value byte array length {} is greater than fixed size {size}",
            number.len()
        )));
    };
    let sign = if number.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    out.put_bytes(sign, room);
    out.put_slice(number);
    Ok(())
}

/// A value without a schema: a record of which one field has it.
fn anything(value: &Value, out: &mut BytesMut, depth: usize) -> Result<()> {
    const FIELDS: usize = 9;
    if depth > DEPTH_MAX {
        return Err(Error::data("values without a schema hold each other too deep"));
    }
    let field = match value {
        Value::Null => FIELDS,
        Value::Bool(_) => 0,
        Value::Float64(_) => 2,
        Value::Float32(_) => 3,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => 4,
        Value::Int64(_) => 5,
        Value::String(_) => 6,
        Value::Array(_) => 7,
        Value::Map(_) => 8,
        other => {
            let class = other.java_class(None);
            return Err(Error::data(format!("Unknown Java type for schemaless data: class {class}")));
        }
    };
    out.put_bytes(0, field);
    if field == FIELDS {
        return Ok(());
    }
    long(1, out);
    match value {
        Value::Bool(value) => out.put_u8(u8::from(*value)),
        Value::Float64(number) => out.put_f64_le(*number),
        Value::Float32(number) => out.put_f32_le(*number),
        Value::Int8(number) => long(i64::from(*number), out),
        Value::Int16(number) => long(i64::from(*number), out),
        Value::Int32(number) => long(i64::from(*number), out),
        Value::Int64(number) => long(*number, out),
        Value::String(text) => bytes(text.as_bytes(), out),
        Value::Array(list) => block(list, out, |value, out| anything(value, out, depth + 1))?,
        Value::Map(pairs) => block(pairs, out, |(key, value), out| {
            anything(key, out, depth + 1)?;
            anything(value, out, depth + 1)
        })?,
        _ => {}
    }
    out.put_bytes(0, FIELDS - 1 - field);
    Ok(())
}
