//! How messages are read is found out once for their schema.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Error, Kind, Result, SchemaRef, Struct, Value};
use protox::prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor, Syntax};

use super::super::options::{self, Options};
use super::super::to_connect::{has_optional_label, map_of, oneof_of, unfit, union_field, unwrapped};
use super::{Encoding, Entry, Field, Message, Place, Read, Scalar, Size, Symbols};

/// How many values blanks may hold in all of a schema. Where messages hold each other deep, each has the same ones again.
const BLANKS_MAX: usize = 1 << 20;

pub(super) struct Planner<'a> {
    options: &'a Options,
    made: HashMap<(usize, String), Arc<Message>>,
    /// How many values blanks hold in all: each has those of the messages below in it.
    blanks: usize,
    /// The places of the members of oneofs that are fields of the message.
    oneofs: HashMap<(usize, String), Arc<[usize]>>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self { options, made: HashMap::new(), blanks: 0, oneofs: HashMap::new() }
    }

    pub(super) fn message(&mut self, schema: &SchemaRef, message: &MessageDescriptor) -> Result<Arc<Message>> {
        let key = (Arc::as_ptr(schema) as usize, message.full_name().to_owned());
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        let mut made = Message {
            schema: Arc::clone(schema),
            blank: vec![Value::Null; schema.fields().len()],
            held: 0,
            fields: Vec::new(),
            maps: Vec::new(),
            // Below the last level of a recursive schema there are no fields.
            too_deep: schema.fields().is_empty() && message.fields().len() > 0,
        };
        if !made.too_deep {
            for field in message.fields() {
                self.add(&mut made, schema, &field)?;
            }
            made.fields.sort_by_key(|field| field.number);
        }
        made.held = made.blank.iter().fold(made.blank.len(), |sum, value| sum.saturating_add(value.held()));
        let made = Arc::new(made);
        self.made.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn add(&mut self, made: &mut Message, schema: &SchemaRef, field: &FieldDescriptor) -> Result<()> {
        let place_of = |schema: &SchemaRef, name: &str| {
            schema.index_of(name).ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
        };
        let number = field.number();
        let Some(oneof) = oneof_of(field) else {
            let place = place_of(schema, field.name())?;
            let of = field_schema(schema, place)?;
            let read = self.read(&of, field)?;
            let is_message = matches!(field.kind(), Type::Message(_));
            let labelled = field.field_descriptor_proto().proto3_optional() || self.is_proto2_optional(field);
            let plain = !is_message && !labelled;
            if matches!(read, Read::Map(_)) {
                made.maps.push(place);
            }
            let repeated = matches!(read, Read::Scalars(_) | Read::Messages(_) | Read::Map(_));
            if let Some(blank) =
                made.blank.get_mut(place).filter(|_| repeated || plain || self.options.struct_for_nulls)
            {
                *blank = self.blank(&read, field)?;
            }
            made.fields.push(Field { number, place: Place::Own(place), read });
            return Ok(());
        };
        if self.options.flatten_unions {
            let place = place_of(schema, field.name())?;
            let read = self.read(&field_schema(schema, place)?, field)?;
            let key = (Arc::as_ptr(schema) as usize, oneof.full_name().to_owned());
            let members = match self.oneofs.get(&key) {
                Some(members) => Arc::clone(members),
                None => {
                    let members = oneof.fields().map(|member| place_of(schema, member.name()));
                    let members: Arc<[usize]> = members.collect::<Result<Vec<_>>>()?.into();
                    self.oneofs.insert(key, Arc::clone(&members));
                    members
                }
            };
            made.fields.push(Field { number, place: Place::Flat { place, members }, read });
            return Ok(());
        }
        let place = place_of(schema, &union_field(&oneof, self.options))?;
        let union = field_schema(schema, place)?;
        let member = place_of(&union, field.name())?;
        let read = self.read(&field_schema(&union, member)?, field)?;
        made.fields.push(Field { number, place: Place::Union { place, schema: union, member }, read });
        Ok(())
    }

    fn is_proto2_optional(&self, field: &FieldDescriptor) -> bool {
        self.options.optional_of_proto2 && has_optional_label(field)
    }

    fn read(&mut self, schema: &SchemaRef, field: &FieldDescriptor) -> Result<Read> {
        match (&schema.kind, field.kind()) {
            (Kind::Map(keys, values), Type::Message(_)) => {
                let (key, value) = map_of(field).ok_or_else(|| unfit(schema, field))?;
                let (keys, values) = (self.read(keys, &key)?, self.read(values, &value)?);
                let blank = (self.blank(&keys, &key)?, self.blank(&values, &value)?);
                let held = blank.1.held().saturating_add(2);
                let name = field.full_name().to_owned();
                Ok(Read::Map(Box::new(Entry { key: keys, value: values, blank, held, name })))
            }
            (Kind::Array(element), kind) if field.is_list() => match (&element.kind, kind) {
                (Kind::Struct(_), Type::Message(message)) => Ok(Read::Messages(self.message(element, &message)?)),
                _ => scalar(element, field).map(Read::Scalars),
            },
            (Kind::Struct(_), Type::Message(message)) => Ok(Read::Message(self.message(schema, &message)?)),
            (Kind::Struct(_) | Kind::Array(_) | Kind::Map(..), _) => Err(unfit(schema, field)),
            _ => scalar(schema, field).map(Read::Scalar),
        }
    }

    /// What a field is that is not there, where that is not null.
    fn blank(&mut self, read: &Read, field: &FieldDescriptor) -> Result<Value> {
        Ok(match read {
            Read::Scalars(_) | Read::Messages(_) => Value::Array(Vec::new()),
            Read::Map(_) => Value::Map(Vec::new()),
            Read::Message(message) if message.too_deep => Value::Null,
            Read::Message(message) => {
                self.blanks = self.blanks.saturating_add(message.held);
                if self.blanks > BLANKS_MAX {
                    return Err(Error::data(format!(
                        "messages that are not there stand for more than {BLANKS_MAX} values in the schema, at the field {}",
                        field.full_name()
                    ))
                    .hint("leave generate.struct.for.nulls=false: then they are null"));
                }
                Value::Struct(Struct::new(Arc::clone(&message.schema), message.blank.clone()))
            }
            Read::Scalar(scalar) => scalar.default(&field.default_value()),
        })
    }
}

fn field_schema(schema: &SchemaRef, place: usize) -> Result<SchemaRef> {
    let field = schema.fields().get(place).map(|field| Arc::clone(&field.schema));
    field.ok_or_else(|| Error::data("the schema has no such field"))
}

/// How a value is read that is no struct, list or map.
pub(super) fn scalar(schema: &SchemaRef, field: &FieldDescriptor) -> Result<Scalar> {
    let size = match schema.kind {
        Kind::Int8 => Some(Size::Int8),
        Kind::Int16 => Some(Size::Int16),
        Kind::Int32 => Some(Size::Int32),
        Kind::Int64 => Some(Size::Int64),
        _ => None,
    };
    let whole = |encoding: Encoding| size.map(|size| Scalar::Whole(encoding, size)).ok_or_else(|| unfit(schema, field));
    let fits = |kind: Kind, scalar: Scalar| if schema.kind == kind { Ok(scalar) } else { Err(unfit(schema, field)) };
    match field.kind() {
        Type::Int32 => whole(Encoding::Int),
        Type::Int64 | Type::Uint64 => whole(Encoding::Long),
        Type::Uint32 => whole(Encoding::Unsigned),
        Type::Sint32 | Type::Sint64 => whole(Encoding::Zigzag),
        Type::Fixed32 => whole(Encoding::Fixed32),
        Type::Sfixed32 => whole(Encoding::SignedFixed32),
        Type::Fixed64 | Type::Sfixed64 => whole(Encoding::Fixed64),
        Type::Float => fits(Kind::Float32, Scalar::Float),
        Type::Double => fits(Kind::Float64, Scalar::Double),
        Type::Bool => fits(Kind::Boolean, Scalar::Bool),
        Type::String => fits(Kind::String, Scalar::Text(field.parent_file().syntax() != Syntax::Proto2)),
        Type::Bytes => fits(Kind::Bytes, Scalar::Bytes),
        Type::Enum(of) if schema.kind == Kind::String => Ok(Scalar::Symbol(Arc::new(Symbols::new(&of)))),
        Type::Enum(_) => whole(Encoding::Int),
        Type::Message(message) => match (message.full_name(), schema.name.as_deref()) {
            (options::DECIMAL_TYPE, Some(logical::DECIMAL)) => {
                let scale = schema.get_parameter(options::SCALE).and_then(|scale| scale.parse().ok());
                Ok(Scalar::Decimal(scale.unwrap_or(0)))
            }
            (options::DATE_TYPE, Some(logical::DATE)) => Ok(Scalar::Date),
            (options::TIME_TYPE, Some(logical::TIME)) => Ok(Scalar::Time),
            (options::TIMESTAMP_TYPE, Some(logical::TIMESTAMP)) => Ok(Scalar::Timestamp),
            _ => {
                let inner = message.get_field_by_name("value").filter(|_| unwrapped(&message).is_some());
                let inner = scalar(schema, &inner.ok_or_else(|| unfit(schema, field))?)?;
                Ok(Scalar::Wrapper(Box::new(inner)))
            }
        },
    }
}
