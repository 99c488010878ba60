//! How records are read is found out once for the schemas that they were written with and are read into.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Error, Kind, Result, SchemaRef, Text, Value};

use super::super::compatibility;
use super::super::defaults::Defaults;
use super::super::options;
use super::super::schema::{Id, Record, Schema, Shape};
use super::super::to_connect::map_entry;
use super::{Fields, Read, Step, Wide};

pub(super) struct Planner<'a> {
    writer: &'a Arc<Schema>,
    reader: &'a Arc<Schema>,
    /// Records are read into the schema that they were written with.
    same: bool,
    made: HashMap<(Id, Id, usize), Arc<Read>>,
    defaults: Defaults<'a>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(writer: &'a Arc<Schema>, reader: &'a Arc<Schema>) -> Self {
        let same = Arc::ptr_eq(writer, reader);
        Self { writer, reader, same, made: HashMap::new(), defaults: Defaults::of(reader) }
    }

    pub(super) fn read(&mut self, writer: Id, reader: Id, schema: &SchemaRef) -> Result<Arc<Read>> {
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
        if typed == 1 && (members.len() == 2 || !options::is_union(schema)) {
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
                    known.map(Text::from)
                };
                Read::Enum(of.symbols.iter().map(symbol).collect())
            }
            (Shape::Array(of), Shape::Array(into)) => match &schema.kind {
                Kind::Map(keys, values) => Read::Pairs(self.entry(*of, *into, keys, values)?),
                Kind::Array(element) => Read::Array(self.read(*of, *into, element)?),
                // What stands for a map of entries below the last level.
                Kind::Struct(_) => Read::TooDeep,
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
                    Some(of) => Read::Row { schema: Arc::clone(schema), fields: of, empty: fields.empty },
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
        let has_no_bytes = |step: &&Step| match step {
            Step::Field(_, read) => is_empty(read),
            Step::Skip(id) => match self.writer.shape(*id) {
                Shape::Null => true,
                Shape::Fixed(fixed) => fixed.size == 0,
                // A record of nothing is counted when it is stepped over.
                _ => false,
            },
        };
        let empty = steps.iter().filter(has_no_bytes).count() + defaults.len();
        Ok(Fields { steps, defaults, held, empty })
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

/// Whether there are no bytes for what is read so.
fn is_empty(read: &Read) -> bool {
    match read {
        Read::Null | Read::Fixed(0) | Read::FixedDecimal(0) => true,
        Read::Row { fields, empty, .. } => fields.len() == *empty,
        Read::Record { fields, .. } => fields.steps.len() + fields.defaults.len() == fields.empty,
        _ => false,
    }
}

fn mismatch(found: &Shape, expected: &Shape) -> Error {
    let name = |shape: &Shape| shape.name().map_or(shape.type_name(), |name| name.full()).to_owned();
    Error::data(format!("Found {}, expecting {}", name(found), name(expected)))
        .class("org.apache.avro.AvroTypeException")
}
