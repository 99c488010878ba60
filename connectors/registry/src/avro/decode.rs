//! From Avro's bytes straight to Connect's values.
//!
//! A plan is made once for the schema that records were written with and the one that they are read into; mostly it is the same.
//! Where they differ, the plan holds what Avro's rules of resolution come to: fields that are skipped, defaults, wider numbers.

use std::sync::Arc;

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{Bytes, Error, Result, SchemaRef, Struct, Text, Value};

use super::input::{Input, invalid, text};
use super::schema::{Id, Schema, Shape};
use super::to_connect::is_anything;
use crate::budget::Budget;
use crate::unroll;

mod plan;

/// Values without a schema may hold each other so deep.
const DEPTH_MAX: usize = 200;

/// How records of one schema are read.
pub(crate) struct Reader {
    /// What values become; none when they have no schema.
    pub(crate) schema: Option<SchemaRef>,
    writer: Arc<Schema>,
    how: How,
}

enum How {
    /// A value that is bytes alone has no length in front.
    Rest,
    Anything,
    Plan(Arc<Read>),
}

impl Reader {
    /// Prepares reading. `schema` is what `reader` became in Connect.
    pub(crate) fn new(writer: &Arc<Schema>, reader: &Arc<Schema>, schema: Option<SchemaRef>) -> Result<Self> {
        let how = match &schema {
            None if is_anything(writer) => How::Anything,
            None => return Err(Error::data("Invalid Avro data for schemaless Connect data")),
            Some(_) if *writer.shape(writer.root) == Shape::Bytes => How::Rest,
            Some(schema) => How::Plan(plan::Planner::new(writer, reader).read(writer.root, reader.root, schema)?),
        };
        Ok(Self { schema, writer: Arc::clone(writer), how })
    }

    /// Reads the value of a record.
    pub(crate) fn read(&self, bytes: Bytes) -> Result<Value> {
        let around = Around { writer: &self.writer, budget: Budget::of(bytes.len()) };
        let mut input = Input::new(bytes);
        match (&self.how, &self.schema) {
            (How::Anything, _) => anything(&mut input, 0),
            (How::Rest, Some(schema)) if schema.is(logical::DECIMAL) => Ok(decimal(&input.rest())),
            (How::Rest, _) => Ok(Value::Bytes(input.rest())),
            (How::Plan(plan), _) => plan.read(&mut input, &around),
        }
    }
}

/// What all values of a record are read with.
struct Around<'a> {
    writer: &'a Schema,
    budget: Budget,
}

/// How one type is read.
enum Read {
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
    Decimal,
    Fixed(usize),
    FixedDecimal(usize),
    Enum(Vec<Option<Text>>),
    IntAs(Wide),
    LongAs(Wide),
    FloatAsDouble,
    StringAsBytes,
    BytesAsString,
    Array(Arc<Read>),
    Map(Arc<Read>),
    /// An array of entries as a map.
    Pairs(Arc<Read>),
    /// Each type of a union that was written, or why it can't be read.
    Union(Vec<std::result::Result<Arc<Read>, String>>),
    /// A value of one type of a union that is a struct.
    Member {
        schema: SchemaRef,
        field: usize,
        read: Arc<Read>,
    },
    Record {
        schema: SchemaRef,
        fields: Fields,
    },
    /// A record whose fields were all written, and in their order.
    Row {
        schema: SchemaRef,
        fields: Vec<Arc<Read>>,
        /// How many of them have no bytes.
        empty: usize,
    },
    /// The key and the value of an entry, in the order in which they were written.
    Entry(Fields),
    TooDeep,
}

/// What a number becomes.
#[derive(Clone, Copy)]
enum Wide {
    Long,
    Float,
    Double,
}

/// What is done with a field that was written.
enum Step {
    Field(usize, Arc<Read>),
    Skip(Id),
}

/// How the fields of a record are read.
struct Fields {
    steps: Vec<Step>,
    /// What fields become that were not written.
    defaults: Vec<(usize, Value)>,
    /// How many values these hold.
    held: usize,
    /// How many fields there are no bytes for.
    empty: usize,
}

impl Read {
    fn read(&self, input: &mut Input, around: &Around<'_>) -> Result<Value> {
        let mut value = Value::Null;
        self.read_to(&mut value, input, around)?;
        Ok(value)
    }

    /// Reads a value to where it belongs: a value is large, and is not handed from one to the other for nothing.
    fn read_to(&self, to: &mut Value, input: &mut Input, around: &Around<'_>) -> Result<()> {
        let value = match self {
            Self::Null => Value::Null,
            Self::Boolean => {
                to.set(Value::Bool(input.boolean()?));
                return Ok(());
            }
            // Java keeps the lowest bits.
            Self::Int8 => Value::Int8(input.int()? as i8),
            Self::Int16 => Value::Int16(input.int()? as i16),
            Self::Int32 => {
                to.set(Value::Int32(input.int()?));
                return Ok(());
            }
            Self::Int64 => {
                to.set(Value::Int64(input.long()?));
                return Ok(());
            }
            Self::Float32 => Value::Float32(input.float()?),
            Self::Float64 => {
                to.set(Value::Float64(input.double()?));
                return Ok(());
            }
            Self::String => return input.string_to(to),
            Self::Bytes => Value::Bytes(input.bytes()?),
            Self::Decimal => decimal(&input.bytes()?),
            Self::Fixed(size) => Value::Bytes(input.fixed(*size)?),
            Self::FixedDecimal(size) => decimal(&input.fixed(*size)?),
            Self::Enum(symbols) => {
                let place = usize::try_from(input.long()?).ok().and_then(|place| symbols.get(place));
                match place {
                    Some(Some(symbol)) => Value::String(symbol.clone()),
                    Some(None) => {
                        return Err(
                            Error::data("No match for an enum symbol").class("org.apache.avro.AvroTypeException")
                        );
                    }
                    None => return Err(invalid("an enum has no such symbol")),
                }
            }
            Self::IntAs(wide) => widened(i64::from(input.int()?), *wide),
            Self::LongAs(wide) => widened(input.long()?, *wide),
            Self::FloatAsDouble => Value::Float64(f64::from(input.float()?)),
            Self::StringAsBytes => Value::Bytes(input.bytes()?),
            Self::BytesAsString => Value::String(text(input.bytes()?)),
            Self::Array(element) => {
                let mut list = Vec::new();
                blocks(input, |input, more| {
                    list.reserve(more);
                    list.push(element.read(input, around)?);
                    Ok(())
                })?;
                Value::Array(list)
            }
            Self::Map(values) => {
                let mut pairs = Vec::new();
                blocks(input, |input, more| {
                    pairs.reserve(more);
                    let key = Value::String(input.string()?);
                    pairs.push((key, values.read(input, around)?));
                    Ok(())
                })?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            Self::Pairs(entry) => {
                let mut pairs = Vec::new();
                blocks(input, |input, more| {
                    pairs.reserve(more);
                    pairs.push(entry.read_entry(input, around)?);
                    Ok(())
                })?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            Self::Union(members) => {
                let place = usize::try_from(input.long()?).ok().and_then(|place| members.get(place));
                match place {
                    Some(Ok(read)) => return read.read_to(to, input, around),
                    Some(Err(reason)) => {
                        return Err(Error::data(reason.clone()).class("org.apache.avro.AvroTypeException"));
                    }
                    None => return Err(invalid("a union has no such type")),
                }
            }
            Self::Member { schema, field, read } => {
                around.budget.take(schema.fields().len(), || union_of(schema))?;
                let mut values = Value::nulls(schema.fields().len());
                if let Some(place) = values.get_mut(*field) {
                    read.read_to(place, input, around)?;
                }
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
            Self::Record { schema, fields } => {
                let mut values = Value::nulls(schema.fields().len());
                fields.fill(&mut values, input, around)?;
                if fields.empty > 0 {
                    around.budget.take(fields.empty, || name_of(schema))?;
                }
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
            Self::Row { schema, fields, empty } => {
                let (mut values, before) = (Value::nulls(fields.len()), input.left());
                for (place, field) in values.iter_mut().zip(fields) {
                    field.read_to(place, input, around)?;
                }
                if input.left() == before {
                    input.charge(values.len())?;
                } else if *empty > 0 {
                    around.budget.take(*empty, || name_of(schema))?;
                }
                to.set(Value::Struct(Struct::new(Arc::clone(schema), values)));
                return Ok(());
            }
            Self::Entry(_) => return Err(invalid("an entry stands alone")),
            Self::TooDeep => return Err(Error::data(unroll::TOO_DEEP)),
        };
        to.set(value);
        Ok(())
    }

    fn read_entry(&self, input: &mut Input, around: &Around<'_>) -> Result<(Value, Value)> {
        let mut values = [Value::Null, Value::Null];
        if let Self::Entry(fields) = self {
            fields.fill(&mut values, input, around)?;
        }
        Ok(values.into())
    }
}

impl Fields {
    fn fill(&self, values: &mut [Value], input: &mut Input, around: &Around<'_>) -> Result<()> {
        let before = input.left();
        for step in &self.steps {
            match step {
                Step::Field(place, read) => {
                    // Places come from the plan, which knows the number of fields.
                    if let Some(place) = values.get_mut(*place) {
                        read.read_to(place, input, around)?;
                    }
                }
                Step::Skip(id) => skip(*id, input, around.writer, 0)?,
            }
        }
        // What no bytes stand for there may be any number of.
        input.charge(if input.left() == before { self.held + values.len() } else { self.held })?;
        for (place, value) in &self.defaults {
            if let Some(place) = values.get_mut(*place) {
                *place = value.clone();
            }
        }
        Ok(())
    }
}

/// What a struct is called in errors.
fn name_of(schema: &SchemaRef) -> String {
    schema.name.as_deref().unwrap_or("a record without a name").to_owned()
}

/// The same of a union.
fn union_of(schema: &SchemaRef) -> String {
    let some: Vec<&str> = schema.fields().iter().take(3).map(|field| &*field.name).collect();
    format!("a union of {} types: {}, ...", schema.fields().len(), some.join(", "))
}

/// Reads the elements of all blocks; `element` is told how many more there are to make room for.
fn blocks(input: &mut Input, mut element: impl FnMut(&mut Input, usize) -> Result<()>) -> Result<()> {
    loop {
        let count = input.block()?;
        if count == 0 {
            return Ok(());
        }
        let mut room = input.reserve(count);
        for _ in 0..count {
            element(input, std::mem::take(&mut room))?;
        }
    }
}

fn widened(number: i64, wide: Wide) -> Value {
    match wide {
        Wide::Long => Value::Int64(number),
        Wide::Float => Value::Float32(number as f32),
        Wide::Double => Value::Float64(number as f64),
    }
}

/// The shortest bytes of the same number, as `BigInteger.toByteArray` gives them.
fn decimal(bytes: &Bytes) -> Value {
    let redundant = bytes.windows(2).take_while(|pair| {
        let sign = pair[1] & 0x80;
        (pair[0] == 0 && sign == 0) || (pair[0] == 0xff && sign != 0)
    });
    Value::Bytes(bytes.slice(redundant.count()..))
}

/// Steps over a value that nobody wants.
fn skip(id: Id, input: &mut Input, schema: &Schema, depth: usize) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(invalid("values hold each other too deep"));
    }
    match schema.shape(id) {
        Shape::Null => Ok(()),
        Shape::Boolean => input.skip(1),
        Shape::Int | Shape::Long | Shape::Enum(_) => input.long().map(drop),
        Shape::Float => input.skip(4),
        Shape::Double => input.skip(8),
        Shape::Bytes | Shape::String => input.bytes().map(drop),
        Shape::Fixed(fixed) => input.skip(fixed.size),
        Shape::Array(items) => blocks(input, |input, _| skip(*items, input, schema, depth + 1)),
        Shape::Map(values) => blocks(input, |input, _| {
            input.bytes()?;
            skip(*values, input, schema, depth + 1)
        }),
        Shape::Union(members) => {
            let place = usize::try_from(input.long()?).ok().and_then(|place| members.get(place));
            skip(*place.ok_or_else(|| invalid("a union has no such type"))?, input, schema, depth + 1)
        }
        Shape::Record(record) => {
            let before = input.left();
            for field in &record.fields {
                let before = input.left();
                skip(field.schema, input, schema, depth + 1)?;
                input.charge(usize::from(input.left() == before))?;
            }
            input.charge(usize::from(input.left() == before))
        }
    }
}

/// A value without a schema: the first field that is not null.
fn anything(input: &mut Input, depth: usize) -> Result<Value> {
    if depth > DEPTH_MAX {
        return Err(invalid("values hold each other too deep"));
    }
    let mut found = Value::Null;
    for field in 0..9 {
        match input.long()? {
            0 => continue,
            1 => {}
            _ => return Err(invalid("a union has no such type")),
        }
        let value = match field {
            0 => Value::Bool(input.boolean()?),
            1 => Value::Bytes(input.bytes()?),
            2 => Value::Float64(input.double()?),
            3 => Value::Float32(input.float()?),
            4 => Value::Int32(input.int()?),
            5 => Value::Int64(input.long()?),
            6 => Value::String(input.string()?),
            7 => {
                let mut list = Vec::new();
                blocks(input, |input, _| {
                    list.push(anything(input, depth + 1)?);
                    Ok(())
                })?;
                Value::Array(list)
            }
            _ => {
                let mut pairs = Vec::new();
                blocks(input, |input, _| {
                    let key = anything(input, depth + 1)?;
                    pairs.push((key, anything(input, depth + 1)?));
                    Ok(())
                })?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
        };
        if found.is_null() {
            found = value;
        }
    }
    Ok(found)
}
