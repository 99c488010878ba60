//! From Connect's schemas to Avro's (`AvroData.fromConnectSchema`).
//!
//! Named types are written once and then by name. A struct within itself is recognised by its name being the same object, as
//! the reference does it: a reader of recursive schemas makes them so.

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Error, Field as ConnectField, Kind, Result, Schema as Connect, SchemaRef};
use serde_json::{Map, Value as Json};

use super::defaults::{default_json, is_valid_default};
use super::names;
use super::options::{self, Options};
use super::schema::{Enum, Field, Fixed, Id, Name, Record, Schema, Shape, Types};

/// The schema in Avro; none stands for values without a schema.
pub(crate) fn convert(schema: Option<&SchemaRef>, options: &Options) -> Result<Schema> {
    let mut maker = Maker { options, types: Types::default(), structs: Vec::new(), unnamed: 0 };
    let root = match schema {
        Some(schema) => maker.schema(schema, schema.optional, Bare::No)?,
        None => maker.anything(),
    };
    Ok(Schema { types: maker.types, root })
}

/// Whether an optional type is left without its null: in a union that has one of its own.
#[derive(Clone, Copy, PartialEq)]
enum Bare {
    Yes,
    No,
}

/// A struct that was met, or is being converted.
struct Met {
    schema: SchemaRef,
    id: Id,
    done: bool,
}

struct Maker<'a> {
    options: &'a Options,
    types: Types,
    structs: Vec<Met>,
    /// How many types got a name of ours.
    unnamed: usize,
}

impl Maker<'_> {
    fn schema(&mut self, schema: &SchemaRef, optional: bool, bare: Bare) -> Result<Id> {
        if let Kind::Struct(fields) = &schema.kind {
            if options::is_union(schema) {
                return self.union(fields, optional);
            }
            if optional {
                let inner = self.with_cycle(schema, false, Bare::No)?;
                let null = self.types.add(Shape::Null);
                return Ok(self.types.add(Shape::Union(vec![null, inner])));
            }
            if let Some(met) = self.structs.iter().find(|met| met.done && same(&met.schema, schema)) {
                return Ok(met.id);
            }
        }
        let (id, connect_type) = self.base(schema)?;
        let id = self.finish(schema, id, connect_type)?;
        if bare == Bare::Yes { Ok(id) } else { Ok(self.maybe_optional(schema, optional, id)) }
    }

    /// The same where a struct may be within itself.
    fn with_cycle(&mut self, schema: &SchemaRef, optional: bool, bare: Bare) -> Result<Id> {
        let is_struct = matches!(schema.kind, Kind::Struct(_)) && !options::is_union(schema);
        let name = schema.name.as_ref().filter(|_| is_struct);
        let met = name.and_then(|name| {
            let same_name = |met: &&Met| met.schema.name.as_ref().is_some_and(|other| Arc::ptr_eq(other, name));
            self.structs.iter().filter(same_name).find(|met| !met.done || same(&met.schema, schema))
        });
        match met.map(|met| met.id) {
            Some(id) if bare == Bare::Yes => Ok(id),
            Some(id) => Ok(self.maybe_optional(schema, optional, id)),
            None => self.schema(schema, optional, bare),
        }
    }

    fn maybe_optional(&mut self, schema: &Connect, optional: bool, id: Id) -> Id {
        if !optional {
            return id;
        }
        let null = self.types.add(Shape::Null);
        // The default of a field has to be of the first type.
        let members = if schema.default.is_some() { vec![id, null] } else { vec![null, id] };
        self.types.add(Shape::Union(members))
    }

    fn union(&mut self, fields: &[ConnectField], optional: bool) -> Result<Id> {
        let mut members = Vec::with_capacity(fields.len() + 1);
        if optional {
            members.push(self.types.add(Shape::Null));
        }
        for field in fields {
            members.push(self.with_cycle(&field.schema, false, Bare::Yes)?);
        }
        Ok(self.types.add(Shape::Union(members)))
    }

    /// The type itself, and what Connect calls it where Avro does not tell it from others.
    fn base(&mut self, schema: &SchemaRef) -> Result<(Id, Option<&'static str>)> {
        let shape = match &schema.kind {
            Kind::Int8 => return Ok((self.types.add(Shape::Int), Some("int8"))),
            Kind::Int16 => return Ok((self.types.add(Shape::Int), Some("int16"))),
            Kind::Int32 => Shape::Int,
            Kind::Int64 => Shape::Long,
            Kind::Float32 => Shape::Float,
            Kind::Float64 => Shape::Double,
            Kind::Boolean => Shape::Boolean,
            Kind::String => match self.options.enum_parameter(schema) {
                Some(parameter) => self.enumeration(schema, parameter)?,
                None => Shape::String,
            },
            Kind::Bytes => return Ok((self.bytes(schema)?, None)),
            Kind::Array(element) => Shape::Array(self.with_cycle(element, element.optional, Bare::No)?),
            Kind::Map(keys, values) if self.options.plain_keys(keys) => {
                Shape::Map(self.with_cycle(values, values.optional, Bare::No)?)
            }
            Kind::Map(keys, values) => Shape::Array(self.entry(schema, keys, values)?),
            Kind::Struct(fields) => return Ok((self.record(schema, fields)?, None)),
            Kind::Unknown => return Err(crate::no_schema_inside()),
        };
        Ok((self.types.add(shape), None))
    }

    /// The name of a type: its own, or one of ours.
    fn name(&mut self, schema: &Connect) -> Result<Name> {
        let (space, name) = match &schema.name {
            Some(name) => names::split(name, self.options.scrub),
            None => {
                self.unnamed += 1;
                let number = if self.unnamed > 1 { self.unnamed.to_string() } else { String::new() };
                (Some(names::NAMESPACE.to_owned()), format!("{}{number}", names::DEFAULT_NAME))
            }
        };
        checked(&name, space.as_deref())
    }

    fn enumeration(&mut self, schema: &SchemaRef, parameter: &str) -> Result<Shape> {
        let own = self.name(schema)?;
        let full = schema.get_parameter(parameter).unwrap_or_default();
        let (space, name) = names::split(full, false);
        let beginning = format!("{parameter}.");
        let parameters = schema.parameters.iter().flatten();
        let symbols: Vec<Arc<str>> =
            parameters.filter_map(|(key, _)| key.strip_prefix(&*beginning).map(Arc::from)).collect();
        for symbol in &symbols {
            names::check(symbol)?;
        }
        let of_type =
            |beginning: &str| schema.get_parameter(&format!("{beginning}{}", own.simple())).map(str::to_owned);
        let (doc, default) = if self.options.discard_type_doc {
            (schema.get_parameter(options::ENUM_DOC).map(str::to_owned), None)
        } else {
            (of_type(options::AVRO_ENUM_DOC), of_type(options::AVRO_ENUM_DEFAULT))
        };
        let name = checked(&name, space.as_deref())?;
        Ok(Shape::Enum(Enum { name, doc, aliases: Vec::new(), symbols, default }))
    }

    fn bytes(&mut self, schema: &SchemaRef) -> Result<Id> {
        let shape = match options::fixed_size(schema) {
            Some(size) => {
                let size =
                    size.parse().map_err(|_| Error::data(format!("{} is no number: {size}", options::FIXED_SIZE)))?;
                Shape::Fixed(Fixed { name: self.name(schema)?, doc: None, aliases: Vec::new(), size })
            }
            None => Shape::Bytes,
        };
        let id = self.types.add(shape);
        if is(schema, logical::DECIMAL) {
            let (scale, precision) = decimal(schema)?;
            let props = &mut self.types.node_mut(id).props;
            props.push((options::SCALE.to_owned(), scale.into()));
            props.push((options::PRECISION.to_owned(), precision.into()));
        }
        Ok(id)
    }

    /// The record of a key and a value.
    fn entry(&mut self, schema: &SchemaRef, keys: &SchemaRef, values: &SchemaRef) -> Result<Id> {
        let name = match &schema.name {
            Some(_) => self.name(schema)?,
            None => Name::new(options::MAP_ENTRY, Some(names::NAMESPACE)),
        };
        let fields = vec![self.field("key".into(), keys, None)?, self.field("value".into(), values, None)?];
        let id = self.types.add(Shape::Record(Record { name, doc: None, aliases: Vec::new(), fields }));
        if schema.name.is_some() {
            self.types.node_mut(id).props.push((options::INTERNAL_TYPE.to_owned(), options::MAP_ENTRY.into()));
        }
        self.unique(id)
    }

    fn record(&mut self, schema: &SchemaRef, fields: &[ConnectField]) -> Result<Id> {
        let discard = self.options.discard_type_doc;
        let name = self.name(schema)?;
        let doc = schema.get_parameter(if discard { options::RECORD_DOC } else { options::AVRO_RECORD_DOC });
        let record = Record { name, doc: doc.map(str::to_owned), aliases: Vec::new(), fields: Vec::new() };
        let id = self.types.add(Shape::Record(record));
        let place = self.structs.len();
        self.structs.push(Met { schema: Arc::clone(schema), id, done: false });
        let mut converted: Vec<Field> = Vec::with_capacity(fields.len());
        for field in fields {
            let name = names::scrubbed(&field.name, self.options.scrub);
            if converted.iter().any(|other| *other.name == *name) {
                return Err(Error::data(format!("Duplicate field {name} in record"))
                    .class("org.apache.avro.AvroRuntimeException"));
            }
            let doc = schema.get_parameter(&format!("{}{}", options::AVRO_FIELD_DOC, field.name));
            converted.push(self.field(name.into(), &field.schema, doc.filter(|_| !discard))?);
        }
        if let Shape::Record(record) = &mut self.types.node_mut(id).shape {
            record.fields = converted;
        }
        if let Some(met) = self.structs.get_mut(place) {
            met.done = true;
        }
        Ok(id)
    }

    fn field(&mut self, name: Arc<str>, schema: &SchemaRef, doc: Option<&str>) -> Result<Field> {
        names::check(&name)?;
        let id = self.schema(schema, schema.optional, Bare::No)?;
        let default = match &schema.default {
            Some(default) => Some(default_json(schema, default, self.options)?),
            None => schema.optional.then_some(Json::Null),
        };
        let default = default.filter(|default| {
            let valid = is_valid_default(&self.types, id, default);
            if !valid {
                tracing::warn!(field = &*name, "a default that Avro can't have is left out of the schema");
            }
            valid
        });
        let doc = if self.options.discard_type_doc { schema.doc.as_deref() } else { doc };
        let doc = doc.map(str::to_owned);
        Ok(Field { name, schema: id, doc, default, order: None, aliases: Vec::new(), props: Vec::new() })
    }

    /// Adds what Avro has no place for, and makes the type known by its name.
    fn finish(&mut self, schema: &SchemaRef, id: Id, connect_type: Option<&str>) -> Result<Id> {
        let mut props = Vec::new();
        if self.options.meta_data {
            self.meta_data(schema, connect_type, &mut props)?;
        }
        if let Some(logical) = logical_type(schema) {
            props.push((options::LOGICAL_TYPE.to_owned(), logical.into()));
        }
        for (key, value) in schema.parameters.iter().flatten().filter(|(key, _)| key.starts_with(options::AVRO)) {
            if props.iter().all(|(other, _)| **other != **key) {
                props.push((key.to_string(), (**value).into()));
            }
        }
        self.types.node_mut(id).props.extend(props);
        let unique = self.unique(id)?;
        if let Some(met) = self.structs.iter_mut().find(|met| met.id == id) {
            met.id = unique;
        }
        Ok(unique)
    }

    fn meta_data(&self, schema: &SchemaRef, connect_type: Option<&str>, props: &mut Vec<(String, Json)>) -> Result<()> {
        let discard = self.options.discard_type_doc;
        let mut add = |name: &str, value: Json| props.push((name.to_owned(), value));
        if let Some(doc) = &schema.doc {
            add(options::DOC, (**doc).into());
        }
        if let Some(version) = schema.version {
            add(options::VERSION, version.into());
        }
        let parameters = schema.parameters.iter().flatten();
        let parameters = parameters.filter(|(key, _)| discard || **key != *options::AVRO_FIELD_DEFAULT);
        let parameters: Map<String, Json> =
            parameters.map(|(key, value)| (key.to_string(), (**value).into())).collect();
        if !parameters.is_empty() {
            add(options::PARAMETERS, parameters.into());
        }
        let of_field = !discard && schema.get_parameter(options::AVRO_FIELD_DEFAULT).is_some();
        if let Some(default) = schema.default.as_ref().filter(|_| !of_field) {
            add(options::DEFAULT, default_json(schema, default, self.options)?);
        }
        if let Some(name) = &schema.name {
            add(options::NAME, (**name).into());
        }
        if let Some(connect_type) = connect_type {
            add(options::TYPE, connect_type.into());
        }
        Ok(())
    }

    /// The one type of a name. Another one of the same name is refused: a schema has each name once.
    fn unique(&mut self, id: Id) -> Result<Id> {
        let Some(before) = self.types.name(id) else { return Ok(id) };
        if self.types.same(before, id) {
            return Ok(before);
        }
        let name = self.types.shape(id).name().map_or("", |name| name.full());
        Err(Error::data(format!("Can't redefine: {name}"))
            .class("org.apache.avro.SchemaParseException")
            .hint("two schemas of this name differ: rename one of them with a transform (SetSchemaMetadata)"))
    }

    /// The record of a value without a schema: the field of its type has it.
    fn anything(&mut self) -> Id {
        let name = |name: &str| Name::new(name, Some(names::NAMESPACE));
        let record = |name: Name| Shape::Record(Record { name, doc: None, aliases: Vec::new(), fields: Vec::new() });
        let anything = self.types.add(record(Name::new(options::ANYTHING, None)));
        let entry = self.types.add(record(name(options::MAP_ENTRY)));
        let field = |name: &str, schema: Id, default: Option<Json>| Field {
            name: name.into(),
            schema,
            doc: None,
            default,
            order: None,
            aliases: Vec::new(),
            props: Vec::new(),
        };
        if let Shape::Record(record) = &mut self.types.node_mut(entry).shape {
            record.fields = vec![field("key", anything, None), field("value", anything, None)];
        }
        let array = self.types.add(Shape::Array(anything));
        let entries = self.types.add(Shape::Array(entry));
        let members = [
            ("boolean", self.types.add(Shape::Boolean)),
            ("bytes", self.types.add(Shape::Bytes)),
            ("double", self.types.add(Shape::Double)),
            ("float", self.types.add(Shape::Float)),
            ("int", self.types.add(Shape::Int)),
            ("long", self.types.add(Shape::Long)),
            ("string", self.types.add(Shape::String)),
            ("array", array),
            ("map", entries),
        ];
        let mut fields = Vec::with_capacity(members.len());
        for (name, id) in members {
            let null = self.types.add(Shape::Null);
            fields.push(field(name, self.types.add(Shape::Union(vec![null, id])), Some(Json::Null)));
        }
        if let Shape::Record(record) = &mut self.types.node_mut(anything).shape {
            record.fields = fields;
        }
        anything
    }
}

/// A name that Avro takes. The reference checks namespaces, too, but only their last part.
fn checked(name: &str, space: Option<&str>) -> Result<Name> {
    names::check(name)?;
    Ok(Name::new(name, space))
}

/// Equal schemas, whether they are optional or not.
fn same(a: &SchemaRef, b: &SchemaRef) -> bool {
    Arc::ptr_eq(a, b)
        || a.name == b.name
            && a.version == b.version
            && a.doc == b.doc
            && a.parameters == b.parameters
            && a.default == b.default
            && a.kind == b.kind
}

/// Names of logical types are compared without regard to case, as the reference does here.
fn is(schema: &Connect, name: &str) -> bool {
    schema.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn decimal(schema: &Connect) -> Result<(i64, i64)> {
    let number = |name: &str| {
        let parse = |text: &str| {
            text.parse::<i64>().map_err(|_| Error::data(format!("{name} of a decimal is no number: {text}")))
        };
        schema.get_parameter(name).map(parse).transpose()
    };
    let scale =
        number(options::SCALE)?.ok_or_else(|| Error::data("Invalid Decimal schema: scale parameter not found."))?;
    Ok((scale, number(options::DECIMAL_PRECISION)?.unwrap_or(options::PRECISION_DEFAULT)))
}

fn logical_type(schema: &Connect) -> Option<&'static str> {
    let types = [
        (logical::DECIMAL, "decimal"),
        (logical::TIME, "time-millis"),
        (logical::TIMESTAMP, "timestamp-millis"),
        (logical::DATE, "date"),
    ];
    types.into_iter().find(|(name, _)| is(schema, name)).map(|(_, logical)| logical)
}
