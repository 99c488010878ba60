//! From Protobuf's bytes straight to Connect's values (`ProtobufData.toConnectData`). Fields that nobody knows are left out, and
//! what is not there is null, or 0 or empty where the message can't tell the difference.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::java::hash;
use connect_api::{Bytes, Error, Kind, Result, SchemaRef, Struct, Text, Value, value};
use num_bigint::BigInt;
use protox::prost_reflect::{EnumDescriptor, MessageDescriptor, Value as Dynamic};

use super::calendar;
use super::options::Options;
use super::to_connect::unwrapped;
use super::wire::{Input, Wire, unzigzag};
use crate::budget::Budget;
use crate::unroll;

mod plan;

const DAY_MS: i64 = 86_400_000;
const INVALID: &str = "com.google.protobuf.InvalidProtocolBufferException";

/// How records of one schema are read.
pub(crate) struct Reader {
    root: Root,
}

enum Root {
    Message(Arc<Message>),
    /// A message around a single value.
    Wrapped(Scalar),
}

/// How a message is read.
struct Message {
    schema: SchemaRef,
    /// The values of a message in which nothing is there.
    blank: Vec<Value>,
    /// How many values these are.
    held: usize,
    /// In the order of their numbers.
    fields: Vec<Field>,
    /// The places of maps.
    maps: Vec<usize>,
    too_deep: bool,
}

struct Field {
    number: u32,
    place: Place,
    read: Read,
}

/// Where a value goes.
enum Place {
    Own(usize),
    /// Into a struct that stands for a oneof.
    Union {
        place: usize,
        schema: SchemaRef,
        member: usize,
    },
    /// Into a field of the struct; the others of its oneof are null then.
    Flat {
        place: usize,
        members: Arc<[usize]>,
    },
}

enum Read {
    Scalar(Scalar),
    Message(Arc<Message>),
    Scalars(Scalar),
    Messages(Arc<Message>),
    Map(Box<Entry>),
}

/// A key and a value of a map, with what they are when they are not there.
struct Entry {
    key: Read,
    value: Read,
    blank: (Value, Value),
    /// How many values these are.
    held: usize,
    name: String,
}

/// A value that is no message in Connect.
enum Scalar {
    Whole(Encoding, Size),
    Float,
    Double,
    Bool,
    /// Whether texts are checked.
    Text(bool),
    Bytes,
    Symbol(Arc<Symbols>),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
    /// A message around a value.
    Wrapper(Box<Scalar>),
}

/// How a whole number is written.
#[derive(Clone, Copy)]
enum Encoding {
    Int,
    Long,
    Unsigned,
    Zigzag,
    Fixed32,
    SignedFixed32,
    Fixed64,
}

/// What a whole number becomes.
#[derive(Clone, Copy)]
enum Size {
    Int8,
    Int16,
    Int32,
    Int64,
}

struct Symbols {
    name: String,
    known: HashMap<i32, Text>,
}

impl Reader {
    /// Prepares reading. `schema` is what the message became in Connect.
    pub(crate) fn new(schema: &SchemaRef, message: &MessageDescriptor, options: &Options) -> Result<Self> {
        let mut planner = plan::Planner::new(options);
        let root = match &schema.kind {
            Kind::Struct(_) => Root::Message(planner.message(schema, message)?),
            _ => {
                let field = message.get_field_by_name("value").filter(|_| unwrapped(message).is_some());
                let field = field.ok_or_else(|| {
                    Error::data(format!("{} is not {} in Connect", message.full_name(), schema.kind.java_name()))
                })?;
                Root::Wrapped(plan::scalar(schema, &field)?)
            }
        };
        Ok(Self { root })
    }

    /// Reads the value of a record.
    pub(crate) fn read(&self, bytes: Bytes) -> Result<Value> {
        let budget = Budget::of(bytes.len());
        match &self.root {
            Root::Message(message) => message.read(bytes, &budget),
            Root::Wrapped(scalar) => scalar.read_wrapped(bytes, &budget),
        }
    }
}

/// What a struct is called in errors.
fn name_of(schema: &SchemaRef) -> String {
    schema.name.as_deref().unwrap_or("a struct without a name").to_owned()
}

impl Symbols {
    fn new(of: &EnumDescriptor) -> Self {
        let mut known = HashMap::new();
        // Of several symbols with a number the first counts.
        for value in &of.enum_descriptor_proto().value {
            known.entry(value.number()).or_insert_with(|| Text::from(value.name()));
        }
        Self { name: of.name().to_owned(), known }
    }

    fn read(&self, number: i32, budget: &Budget) -> Result<Value> {
        match self.known.get(&number) {
            Some(symbol) => Ok(Value::String(symbol.clone())),
            None => {
                budget.take_text(self.name.len(), || self.name.clone())?;
                Ok(self.unknown(number))
            }
        }
    }

    fn of(&self, number: i32) -> Value {
        self.known.get(&number).map_or_else(|| self.unknown(number), |symbol| Value::String(symbol.clone()))
    }

    fn unknown(&self, number: i32) -> Value {
        Value::from(format!("UNKNOWN_ENUM_VALUE_{}_{number}", self.name))
    }
}

impl Message {
    fn read(&self, bytes: Bytes, budget: &Budget) -> Result<Value> {
        budget.take(self.held, || name_of(&self.schema))?;
        let mut values = self.blank.clone();
        self.fill(&mut values, bytes, budget)?;
        Ok(Value::Struct(Struct::new(Arc::clone(&self.schema), values)))
    }

    /// Adds what is in the bytes: what comes later goes before what was there.
    fn fill(&self, values: &mut [Value], bytes: Bytes, budget: &Budget) -> Result<()> {
        if self.too_deep {
            return Err(Error::data(unroll::TOO_DEEP));
        }
        let mut input = Input::new(bytes);
        // Mostly fields come in the order of their numbers.
        let mut next = 0;
        while !input.is_empty() {
            let (number, wire) = input.tag()?;
            let place = match self.fields.get(next) {
                Some(field) if field.number == number => Ok(next),
                _ => self.fields.binary_search_by_key(&number, |field| field.number),
            };
            let field = place.ok().and_then(|place| Some((place, self.fields.get(place)?)));
            match field.filter(|(_, field)| field.read.takes(wire)) {
                Some((place, field)) => {
                    next = if field.read.is_repeated() { place } else { place + 1 };
                    field.read(values, &mut input, wire, budget)?;
                }
                None => input.skip(wire)?,
            }
        }
        for place in &self.maps {
            if let Some(Value::Map(pairs)) = values.get_mut(*place) {
                // A message that is there many times is brought in order as often.
                budget.take(pairs.len(), || name_of(&self.schema))?;
                hash::order(pairs);
            }
        }
        Ok(())
    }
}

impl Field {
    fn read(&self, values: &mut [Value], input: &mut Input, wire: Wire, budget: &Budget) -> Result<()> {
        // Places come from the plan, which knows the number of fields.
        let place = match &self.place {
            Place::Own(place) => place,
            Place::Flat { place, members } => {
                budget.take(members.len(), || "the members of a oneof".to_owned())?;
                for other in members.iter().filter(|other| *other != place) {
                    if let Some(other) = values.get_mut(*other) {
                        *other = Value::Null;
                    }
                }
                place
            }
            Place::Union { place, schema, member } => {
                let Some(slot) = values.get_mut(*place) else { return Ok(()) };
                let is_same = |union: &Struct| union.fields.get(*member).is_some_and(|value| !value.is_null());
                let mut union = match std::mem::replace(slot, Value::Null) {
                    Value::Struct(union) if is_same(&union) => union,
                    _ => {
                        budget.take(schema.fields().len(), || name_of(schema))?;
                        Struct::new(Arc::clone(schema), vec![Value::Null; schema.fields().len()])
                    }
                };
                if let Some(member) = union.fields.get_mut(*member) {
                    self.read.add(member, input, wire, budget)?;
                }
                *slot = Value::Struct(union);
                return Ok(());
            }
        };
        match values.get_mut(*place) {
            Some(slot) => self.read.add(slot, input, wire, budget),
            None => Ok(()),
        }
    }
}

impl Read {
    fn is_repeated(&self) -> bool {
        matches!(self, Self::Scalars(_) | Self::Messages(_) | Self::Map(_))
    }

    /// Whether a field may end so; else it is one that nobody knows.
    fn takes(&self, wire: Wire) -> bool {
        match self {
            Self::Scalar(scalar) => wire == scalar.wire(),
            // Numbers may be written one after the other behind one length.
            Self::Scalars(scalar) => wire == scalar.wire() || wire == Wire::Length,
            Self::Message(_) | Self::Messages(_) | Self::Map(_) => wire == Wire::Length,
        }
    }

    /// Reads a field into its place.
    fn add(&self, slot: &mut Value, input: &mut Input, wire: Wire, budget: &Budget) -> Result<()> {
        match (self, slot) {
            (Self::Scalar(scalar), slot) => *slot = scalar.read(input, budget)?,
            // A message that is there twice is both together.
            (Self::Message(message), Value::Struct(known)) => {
                message.fill(&mut known.fields, input.bytes()?, budget)?;
            }
            (Self::Message(message), slot) => *slot = message.read(input.bytes()?, budget)?,
            (Self::Scalars(scalar), Value::Array(list)) if wire == Wire::Length && scalar.wire() != Wire::Length => {
                let mut inner = Input::new(input.bytes()?);
                while !inner.is_empty() {
                    list.push(scalar.read(&mut inner, budget)?);
                }
            }
            (Self::Scalars(scalar), Value::Array(list)) => list.push(scalar.read(input, budget)?),
            (Self::Messages(message), Value::Array(list)) => list.push(message.read(input.bytes()?, budget)?),
            (Self::Map(entry), Value::Map(pairs)) => pairs.push(entry.read(input.bytes()?, budget)?),
            (Self::Scalars(_) | Self::Messages(_) | Self::Map(_), _) => input.skip(wire)?,
        }
        Ok(())
    }
}

impl Entry {
    fn read(&self, bytes: Bytes, budget: &Budget) -> Result<(Value, Value)> {
        budget.take(self.held, || self.name.clone())?;
        let (mut key, mut value) = self.blank.clone();
        let mut input = Input::new(bytes);
        while !input.is_empty() {
            let (number, wire) = input.tag()?;
            match number {
                1 if self.key.takes(wire) => self.key.add(&mut key, &mut input, wire, budget)?,
                2 if self.value.takes(wire) => self.value.add(&mut value, &mut input, wire, budget)?,
                _ => input.skip(wire)?,
            }
        }
        Ok((key, value))
    }
}

impl Scalar {
    fn wire(&self) -> Wire {
        match self {
            Self::Whole(Encoding::Fixed32 | Encoding::SignedFixed32, _) | Self::Float => Wire::Fixed32,
            Self::Whole(Encoding::Fixed64, _) | Self::Double => Wire::Fixed64,
            Self::Whole(..) | Self::Bool | Self::Symbol(_) => Wire::Varint,
            _ => Wire::Length,
        }
    }

    /// What stands for nothing; `of` is what the schema says.
    fn default(&self, of: &Dynamic) -> Value {
        match (self, of) {
            (Self::Whole(_, size), of) => size.of(match of {
                Dynamic::I32(number) | Dynamic::EnumNumber(number) => i64::from(*number),
                Dynamic::I64(number) => *number,
                Dynamic::U32(number) => i64::from(*number),
                Dynamic::U64(number) => *number as i64,
                _ => 0,
            }),
            (Self::Float, of) => Value::Float32(of.as_f32().unwrap_or_default()),
            (Self::Double, of) => Value::Float64(of.as_f64().unwrap_or_default()),
            (Self::Bool, of) => Value::Bool(of.as_bool().unwrap_or_default()),
            (Self::Text(_), of) => Value::string(of.as_str().unwrap_or_default()),
            (Self::Bytes, of) => Value::Bytes(of.as_bytes().cloned().unwrap_or_default()),
            (Self::Symbol(symbols), of) => symbols.of(of.as_enum_number().unwrap_or_default()),
            (Self::Wrapper(inner), _) => inner.default(&Dynamic::Bool(false)),
            // The message in which nothing is there.
            _ => self.of_message(Bytes::new()).unwrap_or(Value::Null),
        }
    }

    fn read(&self, input: &mut Input, budget: &Budget) -> Result<Value> {
        Ok(match self {
            Self::Whole(encoding, size) => size.of(match encoding {
                // A number of 32 bits is written in 64, of which the lower ones count.
                Encoding::Int => i64::from(input.varint()? as i32),
                Encoding::Long => input.varint()? as i64,
                Encoding::Unsigned => i64::from(input.varint()? as u32),
                Encoding::Zigzag => unzigzag(input.varint()?),
                Encoding::Fixed32 => i64::from(input.fixed32()?),
                Encoding::SignedFixed32 => i64::from(input.fixed32()? as i32),
                Encoding::Fixed64 => input.fixed64()? as i64,
            }),
            Self::Float => Value::Float32(f32::from_bits(input.fixed32()?)),
            Self::Double => Value::Float64(f64::from_bits(input.fixed64()?)),
            Self::Bool => Value::Bool(input.varint()? != 0),
            Self::Text(strict) => {
                let bytes = input.bytes()?;
                match Text::try_from(bytes.clone()) {
                    Ok(text) => Value::String(text),
                    Err(_) if *strict => return Err(Error::data("Protocol message had invalid UTF-8.").class(INVALID)),
                    Err(_) => Value::string(&String::from_utf8_lossy(&bytes)),
                }
            }
            Self::Bytes => Value::Bytes(input.bytes()?),
            Self::Symbol(symbols) => symbols.read(input.varint()? as i32, budget)?,
            Self::Wrapper(inner) => inner.read_wrapped(input.bytes()?, budget)?,
            Self::Decimal(_) | Self::Date | Self::Time | Self::Timestamp => self.of_message(input.bytes()?)?,
        })
    }

    /// The value of a message around one.
    fn read_wrapped(&self, bytes: Bytes, budget: &Budget) -> Result<Value> {
        let mut value = None;
        let mut input = Input::new(bytes);
        while !input.is_empty() {
            let (number, wire) = input.tag()?;
            if number == 1 && wire == self.wire() {
                value = Some(self.read(&mut input, budget)?);
            } else {
                input.skip(wire)?;
            }
        }
        Ok(value.unwrap_or_else(|| self.default(&Dynamic::Bool(false))))
    }

    /// The value of a message that has a meaning of its own.
    fn of_message(&self, bytes: Bytes) -> Result<Value> {
        let mut numbers = [0i64; 5];
        let mut unscaled = Bytes::new();
        let mut input = Input::new(bytes);
        while !input.is_empty() {
            let (number, wire) = input.tag()?;
            match (number, wire) {
                (1..=4, Wire::Varint) => {
                    let value = input.varint()? as i64;
                    if let Some(place) = numbers.get_mut(number as usize) {
                        *place = value;
                    }
                }
                (1, Wire::Length) => unscaled = input.bytes()?,
                _ => input.skip(wire)?,
            }
        }
        let [_, first, second, third, fourth] = numbers;
        Ok(match self {
            // No number at all is 0, whatever its scale.
            Self::Decimal(_) if unscaled.is_empty() => Value::Bytes(Bytes::from_static(&[0])),
            Self::Decimal(scale) => {
                let (unscaled, own) = (BigInt::from_signed_bytes_be(&unscaled), third as i32);
                if own == *scale {
                    Value::Bytes(unscaled.to_signed_bytes_be().into())
                } else {
                    Value::Decimal(Box::new(value::Decimal { unscaled, scale: own }))
                }
            }
            Self::Date => {
                let days =
                    calendar::days_of(i64::from(first as i32), i64::from(second as i32), i64::from(third as i32));
                let days = days.and_then(|days| i32::try_from(days).ok());
                Value::Int32(days.ok_or_else(|| Error::data(format!("there is no date {first}-{second}-{third}")))?)
            }
            Self::Time => {
                let seconds = (first.wrapping_mul(60).wrapping_add(second)).wrapping_mul(60).wrapping_add(third);
                let millis = seconds.wrapping_mul(1000).wrapping_add(fourth / 1_000_000);
                if !(0..DAY_MS).contains(&millis) {
                    return Err(Error::data(format!("there is no time {first}:{second}:{third}")));
                }
                Value::Int32(millis as i32)
            }
            _ => Value::Int64(first.wrapping_mul(1000).wrapping_add(i64::from(second as i32).div_euclid(1_000_000))),
        })
    }
}

impl Size {
    fn of(self, number: i64) -> Value {
        match self {
            // Java keeps the lowest bits.
            Self::Int8 => Value::Int8(number as i8),
            Self::Int16 => Value::Int16(number as i16),
            Self::Int32 => Value::Int32(number as i32),
            Self::Int64 => Value::Int64(number),
        }
    }
}
