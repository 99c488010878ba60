//! From Avro's bytes straight to Connect's values.
//!
//! A plan is made once for the schema that records were written with and the one that they are read into; mostly it is the same.
//! Where they differ, the plan holds what Avro's rules of resolution come to: fields that are skipped, defaults, wider numbers.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{ByteString, Bytes, Error, Kind, Result, SchemaRef, Struct, Value};

use super::compatibility;
use super::defaults;
use super::input::{Input, invalid, text};
use super::schema::{Id, Record, Schema, Shape};
use super::to_connect::{is_anything, map_entry};
use crate::unroll;

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
            Some(schema) => {
                let mut planner = Planner {
                    writer,
                    reader,
                    same: Arc::ptr_eq(writer, reader),
                    made: HashMap::new(),
                    defaults: defaults::Defaults::of(reader),
                };
                How::Plan(planner.read(writer.root, reader.root, schema)?)
            }
        };
        Ok(Self { schema, writer: Arc::clone(writer), how })
    }

    /// Reads the value of a record.
    pub(crate) fn read(&self, bytes: Bytes) -> Result<Value> {
        let mut input = Input::new(bytes);
        match (&self.how, &self.schema) {
            (How::Anything, _) => anything(&mut input, 0),
            (How::Rest, Some(schema)) if schema.is(logical::DECIMAL) => Ok(decimal(&input.rest())),
            (How::Rest, _) => Ok(Value::Bytes(input.rest())),
            (How::Plan(plan), _) => plan.read(&mut input, &self.writer),
        }
    }
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
    Enum(Vec<Option<ByteString>>),
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
}

struct Planner<'a> {
    writer: &'a Arc<Schema>,
    reader: &'a Arc<Schema>,
    /// Records are read into the schema that they were written with.
    same: bool,
    made: HashMap<(Id, Id, usize), Arc<Read>>,
    defaults: defaults::Defaults<'a>,
}

impl Planner<'_> {
    fn read(&mut self, writer: Id, reader: Id, schema: &SchemaRef) -> Result<Arc<Read>> {
        // The schema is held by the plan as a whole, so its address stays its own.
        let key = (writer, reader, Arc::as_ptr(schema) as usize);
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        let read = Arc::new(self.plan(writer, reader, schema)?);
        self.made.insert(key, Arc::clone(&read));
        Ok(read)
    }

    fn plan(&mut self, writer: Id, reader: Id, schema: &SchemaRef) -> Result<Read> {
        if let Shape::Union(members) = self.writer.shape(writer) {
            let read = |(place, member): (usize, &Id)| match self.of_union(*member, place, reader, schema) {
                Ok(read) => Ok(read),
                Err(error) => Err(error.message().to_owned()),
            };
            return Ok(Read::Union(members.iter().enumerate().map(read).collect()));
        }
        if let Shape::Union(_) = self.reader.shape(reader) {
            return self.resolved(writer, None, reader, schema);
        }
        self.plain(writer, reader, schema)
    }

    fn of_union(&mut self, member: Id, place: usize, reader: Id, schema: &SchemaRef) -> Result<Arc<Read>> {
        match self.reader.shape(reader) {
            Shape::Union(_) => {
                let same = self.same.then_some(place);
                self.resolved(member, same, reader, schema).map(Arc::new)
            }
            _ => self.read(member, reader, schema),
        }
    }

    /// Reads a type into a union: into the member at `place` when it is known, else into the first that fits best.
    fn resolved(&mut self, writer: Id, place: Option<usize>, reader: Id, schema: &SchemaRef) -> Result<Read> {
        let (avro, own) = (self.reader, self.writer);
        let Shape::Union(members) = avro.shape(reader) else { return self.plain(writer, reader, schema) };
        let place = place.or_else(|| compatibility::member(own, writer, avro, members));
        let found = place.and_then(|place| Some((place, *members.get(place)?)));
        let Some((place, member)) = found else { return Err(mismatch(own.shape(writer), avro.shape(reader))) };
        if *own.shape(writer) == Shape::Null {
            return Ok(Read::Null);
        }
        // A union of one type besides null, or of one type alone, is that type in Connect.
        let typed = members.iter().filter(|id| *avro.shape(**id) != Shape::Null).count();
        if typed == 1 && (members.len() == 2 || !super::options::is_union(schema)) {
            return self.plan(writer, member, schema);
        }
        let field = members.iter().take(place).filter(|id| *avro.shape(**id) != Shape::Null).count();
        let Some(of_member) = schema.fields().get(field).map(|field| Arc::clone(&field.schema)) else {
            return Ok(Read::TooDeep);
        };
        let read = self.read(writer, member, &of_member)?;
        Ok(Read::Member { schema: Arc::clone(schema), field, read })
    }

    fn plain(&mut self, writer: Id, reader: Id, schema: &SchemaRef) -> Result<Read> {
        let (own, avro) = (self.writer, self.reader);
        let decimal = schema.is(logical::DECIMAL);
        Ok(match (own.shape(writer), avro.shape(reader)) {
            (Shape::Null, Shape::Null) => Read::Null,
            (Shape::Boolean, Shape::Boolean) => Read::Boolean,
            (Shape::Int, Shape::Int) => match schema.kind {
                Kind::Int8 => Read::Int8,
                Kind::Int16 => Read::Int16,
                _ => Read::Int32,
            },
            (Shape::Long, Shape::Long) => Read::Int64,
            (Shape::Float, Shape::Float) => Read::Float32,
            (Shape::Double, Shape::Double) => Read::Float64,
            (Shape::Int, Shape::Long) => Read::IntAs(Wide::Long),
            (Shape::Int, Shape::Float) => Read::IntAs(Wide::Float),
            (Shape::Int, Shape::Double) => Read::IntAs(Wide::Double),
            (Shape::Long, Shape::Float) => Read::LongAs(Wide::Float),
            (Shape::Long, Shape::Double) => Read::LongAs(Wide::Double),
            (Shape::Float, Shape::Double) => Read::FloatAsDouble,
            (Shape::String, Shape::String) => Read::String,
            (Shape::Bytes, Shape::Bytes) if decimal => Read::Decimal,
            (Shape::Bytes, Shape::Bytes) => Read::Bytes,
            (Shape::String, Shape::Bytes) => Read::StringAsBytes,
            (Shape::Bytes, Shape::String) => Read::BytesAsString,
            (Shape::Fixed(of), Shape::Fixed(into)) if of.size == into.size => {
                if decimal {
                    Read::FixedDecimal(of.size)
                } else {
                    Read::Fixed(of.size)
                }
            }
            (Shape::Enum(of), Shape::Enum(into)) => {
                let symbol = |symbol: &Arc<str>| {
                    let known = into.symbols.contains(symbol).then_some(&**symbol).or(into.default.as_deref());
                    known.map(ByteString::from)
                };
                Read::Enum(of.symbols.iter().map(symbol).collect())
            }
            (Shape::Array(of), Shape::Array(into)) => match &schema.kind {
                Kind::Map(keys, values) => Read::Pairs(self.entry(*of, *into, keys, values)?),
                Kind::Array(element) => Read::Array(self.read(*of, *into, element)?),
                _ => return Err(Error::data("an array became something else in Connect")),
            },
            (Shape::Map(of), Shape::Map(into)) => match &schema.kind {
                Kind::Map(_, values) => Read::Map(self.read(*of, *into, values)?),
                _ => return Err(Error::data("a map became something else in Connect")),
            },
            (Shape::Record(of), Shape::Record(into)) => {
                // Below the last level of a recursive schema there are no fields.
                if schema.fields().len() != into.fields.len() {
                    return Ok(Read::TooDeep);
                }
                let schemas: Vec<SchemaRef> = schema.fields().iter().map(|field| Arc::clone(&field.schema)).collect();
                let fields = self.fields(of, into, &schemas)?;
                match in_order(&fields.steps, schema.fields().len()) {
                    Some(fields) => Read::Row { schema: Arc::clone(schema), fields },
                    None => Read::Record { schema: Arc::clone(schema), fields },
                }
            }
            (of, into) => return Err(mismatch(of, into)),
        })
    }

    fn entry(&mut self, of: Id, into: Id, keys: &SchemaRef, values: &SchemaRef) -> Result<Arc<Read>> {
        let (own, avro) = (self.writer, self.reader);
        let (Shape::Record(of), Some(into)) = (own.shape(of), map_entry(avro, into)) else {
            return Err(Error::data("the entries of a map are no records"));
        };
        Ok(Arc::new(Read::Entry(self.fields(of, into, &[Arc::clone(keys), Arc::clone(values)])?)))
    }

    fn fields(&mut self, of: &Record, into: &Record, schemas: &[SchemaRef]) -> Result<Fields> {
        let mut steps = Vec::with_capacity(of.fields.len());
        let mut written = vec![false; into.fields.len()];
        for field in &of.fields {
            let known = into
                .fields
                .iter()
                .position(|other| other.name == field.name || other.aliases.iter().any(|alias| **alias == *field.name));
            let found = known.and_then(|place| Some((place, into.fields.get(place)?, schemas.get(place)?)));
            let Some((place, target, schema)) = found else {
                steps.push(Step::Skip(field.schema));
                continue;
            };
            if let Some(written) = written.get_mut(place) {
                *written = true;
            }
            let read = self.read(field.schema, target.schema, schema).map_err(|error| {
                Error::data(format!("field {}: {}", field.name, error.message())).class(error.java_class())
            })?;
            steps.push(Step::Field(place, read));
        }
        let mut defaults = Vec::new();
        for (place, field) in into.fields.iter().enumerate().filter(|(place, _)| !written[*place]) {
            let value = match field.default.as_ref().zip(schemas.get(place)) {
                Some((json, schema)) => self.defaults.value(field.schema, json, schema)?,
                None => None,
            };
            let value = value.ok_or_else(|| {
                let text = format!("missing required field {} in what was written", field.name);
                Error::data(text).class("org.apache.avro.AvroTypeException")
            })?;
            defaults.push((place, value));
        }
        let held = defaults.iter().fold(0usize, |sum, (_, value): &(usize, Value)| sum.saturating_add(value.held()));
        Ok(Fields { steps, defaults, held })
    }
}

/// How the fields are read, when each of them was written and none beside them, in their order.
fn in_order(steps: &[Step], fields: usize) -> Option<Vec<Arc<Read>>> {
    let read = |(at, step): (usize, &Step)| match step {
        Step::Field(place, read) if *place == at => Some(Arc::clone(read)),
        _ => None,
    };
    let reads: Vec<_> = steps.iter().enumerate().map(read).collect::<Option<_>>()?;
    (reads.len() == fields).then_some(reads)
}

fn mismatch(found: &Shape, expected: &Shape) -> Error {
    let name = |shape: &Shape| shape.name().map_or(shape.type_name(), |name| name.full()).to_owned();
    Error::data(format!("Found {}, expecting {}", name(found), name(expected)))
        .class("org.apache.avro.AvroTypeException")
}

impl Read {
    fn read(&self, input: &mut Input, writer: &Schema) -> Result<Value> {
        let mut value = Value::Null;
        self.read_to(&mut value, input, writer)?;
        Ok(value)
    }

    /// Reads a value to where it belongs: a value is large, and is not handed from one to the other for nothing.
    fn read_to(&self, to: &mut Value, input: &mut Input, writer: &Schema) -> Result<()> {
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
                    list.push(element.read(input, writer)?);
                    Ok(())
                })?;
                Value::Array(list)
            }
            Self::Map(values) => {
                let mut pairs = Vec::new();
                blocks(input, |input, more| {
                    pairs.reserve(more);
                    let key = Value::String(input.string()?);
                    pairs.push((key, values.read(input, writer)?));
                    Ok(())
                })?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            Self::Pairs(entry) => {
                let mut pairs = Vec::new();
                blocks(input, |input, more| {
                    pairs.reserve(more);
                    pairs.push(entry.read_entry(input, writer)?);
                    Ok(())
                })?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            Self::Union(members) => {
                let place = usize::try_from(input.long()?).ok().and_then(|place| members.get(place));
                match place {
                    Some(Ok(read)) => return read.read_to(to, input, writer),
                    Some(Err(reason)) => {
                        return Err(Error::data(reason.clone()).class("org.apache.avro.AvroTypeException"));
                    }
                    None => return Err(invalid("a union has no such type")),
                }
            }
            Self::Member { schema, field, read } => {
                let mut values = Value::nulls(schema.fields().len());
                if let Some(place) = values.get_mut(*field) {
                    read.read_to(place, input, writer)?;
                }
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
            Self::Record { schema, fields } => {
                let mut values = Value::nulls(schema.fields().len());
                fields.fill(&mut values, input, writer)?;
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
            Self::Row { schema, fields } => {
                let (mut values, before) = (Value::nulls(fields.len()), input.left());
                for (place, field) in values.iter_mut().zip(fields) {
                    field.read_to(place, input, writer)?;
                }
                if input.left() == before {
                    input.charge(values.len())?;
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

    fn read_entry(&self, input: &mut Input, writer: &Schema) -> Result<(Value, Value)> {
        let mut values = [Value::Null, Value::Null];
        if let Self::Entry(fields) = self {
            fields.fill(&mut values, input, writer)?;
        }
        Ok(values.into())
    }
}

impl Fields {
    fn fill(&self, values: &mut [Value], input: &mut Input, writer: &Schema) -> Result<()> {
        let before = input.left();
        for step in &self.steps {
            match step {
                Step::Field(place, read) => {
                    // Places come from the plan, which knows the number of fields.
                    if let Some(place) = values.get_mut(*place) {
                        read.read_to(place, input, writer)?;
                    }
                }
                Step::Skip(id) => skip(*id, input, writer, 0)?,
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
            record.fields.iter().try_for_each(|field| skip(field.schema, input, schema, depth + 1))?;
            input.charge(if input.left() == before { 1 + record.fields.len() } else { 0 })
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
