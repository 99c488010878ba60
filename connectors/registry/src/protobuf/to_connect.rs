//! From Protobuf's messages to Connect's schemas (`ProtobufData.toConnectSchema`).

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Error, Field, Kind, Result, Schema, SchemaRef};
use protox::prost_reflect::{
    EnumDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor, OneofDescriptor, Syntax,
};

use super::descriptor::params;
use super::names;
use super::options::{self, Options};
use crate::builder::Builder;
use crate::unroll::{self, Pass};

/// The schema in Connect. `version` is the one of the registry.
pub(crate) fn convert(message: &MessageDescriptor, version: Option<i32>, options: &Options) -> Result<SchemaRef> {
    unroll::unrolled(|pass| {
        let mut maker =
            Maker { options, pass, level: 0, within: Vec::new(), made: HashMap::new(), names: HashMap::new() };
        let wrapped = if options.wrapper_for_primitives { unwrapped(message).map(Builder::of) } else { None };
        let mut builder = match wrapped {
            Some(builder) => builder,
            None => maker.message(message)?,
        };
        builder.schema.version = version;
        Ok(builder.schema.shared())
    })
}

/// What a message around a single value holds.
pub(crate) fn unwrapped(message: &MessageDescriptor) -> Option<Kind> {
    Some(match message.full_name().strip_prefix("google.protobuf.")? {
        "DoubleValue" => Kind::Float64,
        "FloatValue" => Kind::Float32,
        "Int64Value" | "UInt64Value" | "UInt32Value" => Kind::Int64,
        "Int32Value" => Kind::Int32,
        "BoolValue" => Kind::Boolean,
        "StringValue" => Kind::String,
        "BytesValue" => Kind::Bytes,
        _ => return None,
    })
}

/// A list of entries that is a map: by its name, because the reference does not say it otherwise.
pub(crate) fn map_of(field: &FieldDescriptor) -> Option<(FieldDescriptor, FieldDescriptor)> {
    let Type::Message(entry) = field.kind() else { return None };
    let repeated = field.is_list() || field.is_map();
    let fields: Vec<FieldDescriptor> = in_order(&entry);
    let [key, value] = fields.as_slice() else { return None };
    let is_map = repeated
        && entry.name().ends_with(options::MAP_ENTRY)
        && key.name() == "key"
        && value.name() == "value"
        && !key.is_list()
        && !value.is_list();
    is_map.then(|| (key.clone(), value.clone()))
}

/// The fields of a message in the order of its text.
pub(crate) fn in_order(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    // A path ends with the place in the text.
    fields.sort_by_key(|field| field.path().last().copied());
    fields
}

/// The fields of a oneof in the order of its text.
pub(crate) fn members(oneof: &OneofDescriptor) -> Vec<FieldDescriptor> {
    let mut fields: Vec<FieldDescriptor> = oneof.fields().collect();
    fields.sort_by_key(|field| field.path().last().copied());
    fields
}

/// The oneof of a field, unless it is there for the label `optional` only.
pub(crate) fn oneof_of(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The field of Connect that stands for a oneof.
pub(crate) fn union_field(oneof: &OneofDescriptor, options: &Options) -> String {
    let name = oneof.name();
    if !options.index_for_unions {
        return name.to_owned();
    }
    format!("{name}_{}", oneof.path().last().copied().unwrap_or_default())
}

/// Whether a field has the label `optional`, in either syntax.
pub(crate) fn has_optional_label(field: &FieldDescriptor) -> bool {
    let proto = field.field_descriptor_proto();
    let proto2 = field.parent_file().syntax() == Syntax::Proto2;
    proto.proto3_optional() || proto2 && !field.is_list() && !field.is_required() && field.containing_oneof().is_none()
}

/// A message and the level on which it stands.
type Key = (String, usize);

struct Maker<'a, 'p> {
    options: &'a Options,
    pass: &'p mut Pass,
    level: usize,
    /// The messages that are being converted on this level.
    within: Vec<String>,
    /// What lower levels became.
    made: HashMap<Key, (Schema, u64)>,
    /// A name is one object on all levels, by which a writer knows a schema within itself.
    names: HashMap<String, Arc<str>>,
}

impl Maker<'_, '_> {
    fn name(&mut self, full: &str, short: &str) -> Arc<str> {
        let name = if self.options.enhanced { full } else { short };
        Arc::clone(self.names.entry(full.to_owned()).or_insert_with(|| name.into()))
    }

    fn message(&mut self, message: &MessageDescriptor) -> Result<Builder> {
        self.pass.enter()?;
        let made = self.structure(message);
        self.pass.leave();
        made
    }

    fn structure(&mut self, message: &MessageDescriptor) -> Result<Builder> {
        let full = message.full_name().to_owned();
        let name = self.name(&full, message.name());
        self.within.push(full);
        let mut fields = Vec::new();
        let mut count = 1u64;
        let mut add = |name: String, (schema, of): (SchemaRef, u64)| {
            count = count.saturating_add(of);
            fields.push(Field::new(name, schema));
        };
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            if self.options.flatten_unions {
                for field in members(&oneof) {
                    add(field.name().to_owned(), self.field(&field)?);
                }
            } else {
                add(union_field(&oneof, self.options), self.oneof(&oneof)?);
            }
        }
        for field in in_order(message).iter().filter(|field| oneof_of(field).is_none()) {
            add(field.name().to_owned(), self.field(field)?);
        }
        self.within.pop();
        let mut builder = Builder::of(Kind::Struct(fields));
        builder.count = count;
        builder.schema.name = Some(name);
        Ok(builder)
    }

    fn oneof(&mut self, oneof: &OneofDescriptor) -> Result<(SchemaRef, u64)> {
        let mut builder = Builder::of(Kind::Struct(Vec::new()));
        if self.options.generalized {
            builder.schema.name = Some(oneof.name().into());
            builder.parameter(options::SUM_UNION, oneof.name());
        } else {
            let name = if self.options.enhanced { oneof.full_name() } else { oneof.name() };
            builder.schema.name = Some(format!("{}{name}", options::UNION_OF).into());
        }
        let mut fields = Vec::new();
        for field in members(oneof) {
            let (schema, count) = self.field(&field)?;
            builder.count = builder.count.saturating_add(count);
            fields.push(Field::new(field.name(), schema));
        }
        builder.schema.kind = Kind::Struct(fields);
        Ok((builder.schema.optional().shared(), builder.count))
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<(SchemaRef, u64)> {
        self.pass.add(1)?;
        let typed = |kind: Kind, name: Option<&str>| {
            let mut builder = Builder::of(kind);
            if let Some(name) = name {
                builder.parameter(options::TYPE, name);
            }
            builder
        };
        let mut builder = match field.kind() {
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
                let connect = params(field).into_iter().find(|(key, _)| key == options::CONNECT_TYPE);
                match connect.as_ref().map(|(_, value)| value.as_str()) {
                    Some("int8") => Builder::of(Kind::Int8),
                    Some("int16") => Builder::of(Kind::Int16),
                    _ => typed(Kind::Int32, type_name(&field.kind()).filter(|name| *name != "int32")),
                }
            }
            Type::Uint32
            | Type::Fixed32
            | Type::Int64
            | Type::Uint64
            | Type::Sint64
            | Type::Fixed64
            | Type::Sfixed64 => typed(Kind::Int64, type_name(&field.kind()).filter(|name| *name != "int64")),
            Type::Float => Builder::of(Kind::Float32),
            Type::Double => Builder::of(Kind::Float64),
            Type::Bool => Builder::of(Kind::Boolean),
            Type::String => Builder::of(Kind::String),
            Type::Bytes => Builder::of(Kind::Bytes),
            Type::Enum(of) => self.enumeration(&of),
            Type::Message(message) => {
                let mut builder = self.of_message(field, &message)?;
                builder.schema.optional = true;
                builder
            }
        };
        let repeated = field.is_list() || field.is_map();
        if repeated && !matches!(builder.schema.kind, Kind::Map(..)) {
            let count = builder.count;
            builder = Builder::of(Kind::Array(builder.schema.optional().shared()));
            builder.count = count.saturating_add(1);
            builder.schema.optional = true;
        }
        if self.options.optional_label {
            builder.schema.optional |= has_optional_label(field);
        } else if !self.options.wrapper_for_nullables {
            builder.schema.optional = true;
        }
        builder.parameter(options::TAG, field.number().to_string());
        self.pass.weigh(&builder.schema)?;
        Ok((builder.schema.shared(), builder.count))
    }

    fn enumeration(&mut self, of: &EnumDescriptor) -> Builder {
        let mut builder = Builder::of(if self.options.int_for_enums { Kind::Int32 } else { Kind::String });
        builder.schema.name = Some(self.name(of.full_name(), of.name()));
        let parameter = self.options.enum_written();
        builder.parameter(parameter, of.name());
        let symbol = |(name, number): (String, i32)| (format!("{parameter}.{name}").into(), number.to_string().into());
        builder.parameters(in_text_order(of).into_iter().map(symbol));
        builder.schema.optional = true;
        builder
    }

    fn of_message(&mut self, field: &FieldDescriptor, message: &MessageDescriptor) -> Result<Builder> {
        match message.full_name() {
            options::DECIMAL_TYPE => return Ok(decimal(field)),
            options::DATE_TYPE => return Ok(Builder::logical(Kind::Int32, logical::DATE)),
            options::TIME_TYPE => return Ok(Builder::logical(Kind::Int32, logical::TIME)),
            options::TIMESTAMP_TYPE => return Ok(Builder::logical(Kind::Int64, logical::TIMESTAMP)),
            _ => {}
        }
        if let Some(kind) = unwrapped(message).filter(|_| self.options.wrapper_for_nullables) {
            return Ok(Builder::of(kind));
        }
        if let Some((key, value)) = map_of(field) {
            let (keys, some) = self.field(&key)?;
            let (values, more) = self.field(&value)?;
            let name = if self.options.enhanced { message.full_name() } else { message.name() };
            let mut builder = Builder::of(Kind::Map(keys, values));
            builder.count = some.saturating_add(more).saturating_add(1);
            builder.schema.name = Some(names::map_field(name).into());
            return Ok(builder);
        }
        let full = message.full_name().to_owned();
        if !self.within.contains(&full) {
            return self.message(message);
        }
        self.pass.recursive = true;
        let key = (full.clone(), self.level);
        if let Some((schema, count)) = self.made.get(&key) {
            self.pass.add(*count)?;
            return Ok(Builder { schema: schema.clone(), count: *count });
        }
        let builder = if self.level + 1 >= self.pass.levels {
            // What stands for a message below the last level: it has no fields.
            let mut builder = Builder::of(Kind::Struct(Vec::new()));
            builder.schema.name = Some(self.name(&full, message.name()));
            builder
        } else {
            let within = std::mem::take(&mut self.within);
            self.level += 1;
            let made = self.message(message);
            self.level -= 1;
            self.within = within;
            made?
        };
        self.made.insert(key, (builder.schema.clone(), builder.count));
        Ok(builder)
    }
}

/// The symbols of an enum with their numbers, in the order of its text.
fn in_text_order(of: &EnumDescriptor) -> Vec<(String, i32)> {
    of.enum_descriptor_proto().value.iter().map(|value| (value.name().to_owned(), value.number())).collect()
}

fn decimal(field: &FieldDescriptor) -> Builder {
    let params = params(field);
    let number =
        |name: &str| params.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse::<i32>().ok());
    let mut builder = Builder::logical(Kind::Bytes, logical::DECIMAL);
    builder.parameter(options::SCALE, number(options::SCALE).unwrap_or(0).to_string());
    if let Some(precision) = number(options::PRECISION) {
        builder.parameter(options::CONNECT_PRECISION, precision.to_string());
    }
    builder
}

/// The name of a scalar type.
pub(crate) fn type_name(kind: &Type) -> Option<&'static str> {
    Some(match kind {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Uint32 => "uint32",
        Type::Uint64 => "uint64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Fixed32 => "fixed32",
        Type::Fixed64 => "fixed64",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Message(_) | Type::Enum(_) => return None,
    })
}

/// What a schema of an unknown kind is.
pub(crate) fn unfit(schema: &Schema, field: &FieldDescriptor) -> Error {
    let kind = schema.kind.java_name();
    Error::data(format!("{kind} can't be written as the field {}", field.full_name()))
}
