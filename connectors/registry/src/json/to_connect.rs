//! From JSON Schema to Connect's schemas (`JsonSchemaData.toConnectSchema`).
//!
//! A schema that refers to itself is unrolled where the reference leads back to an object, as the reference's converter knows
//! it again there. Where it leads back to an array, a map or a union without coming through such an object, which overflows
//! that converter's stack, it is unrolled there.

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::{Error, Field, Kind, Result, Schema, SchemaRef};
use serde_json::Value as Json;

use super::options::{self, Options};
use super::read::Reader;
use super::shape::{Documents, Part, Shape};
use crate::builder::Builder;
use crate::unroll::{self, Pass};

/// The schema in Connect. `version` is the one of the registry, for a schema that says none itself.
pub(crate) fn convert(documents: &Documents, version: Option<i32>, options: &Options) -> Result<SchemaRef> {
    unroll::unrolled(|pass| {
        let mut maker = Maker {
            documents,
            options,
            pass,
            level: 0,
            containers: 0,
            within: Vec::new(),
            made: HashMap::new(),
            ids: HashMap::new(),
            unions: 0,
        };
        maker.referred(documents.root(), version, false).map(|(schema, _)| schema)
    })
}

/// How deep combinations are followed into each other.
const COMBINED_MAX: usize = 32;

/// A schema, and how many schemas it is with all that it holds.
type Made = (SchemaRef, u64);

struct Maker<'a, 'p> {
    documents: &'a Documents,
    options: &'a Options,
    pass: &'p mut Pass,
    level: usize,
    /// How many arrays, maps and objects there are around the schema that is being converted.
    containers: usize,
    /// What is being converted on this level.
    within: Vec<Begun>,
    /// What lower levels became.
    made: HashMap<(*const Json, usize, bool), Made>,
    /// The identifiers of schemas within themselves.
    ids: HashMap<*const Json, Arc<str>>,
    unions: usize,
}

/// A schema that was begun and has not ended.
#[derive(Clone, Copy)]
struct Begun {
    address: *const Json,
    /// How many containers were around it.
    containers: usize,
    /// It is the target of a reference.
    referred: bool,
    /// It is a struct: the one that the entry before it refers to, where that is of the same schema.
    structure: bool,
}

impl<'a> Maker<'a, '_> {
    fn schema(&mut self, part: Part<'a>, version: Option<i32>, optional: bool) -> Result<Made> {
        self.pass.enter()?;
        let made = self.converted(part, version, optional);
        self.pass.leave();
        made
    }

    fn converted(&mut self, part: Part<'a>, version: Option<i32>, optional: bool) -> Result<Made> {
        let builder = match part.shape {
            Shape::Boolean => Builder::of(Kind::Boolean),
            Shape::Number { integer } => Builder::of(number(&part, integer)?),
            Shape::Text { .. } => {
                let bytes = part.own(options::TYPE).and_then(Json::as_str) == Some("bytes");
                Builder::of(if bytes { Kind::Bytes } else { Kind::String })
            }
            Shape::Const(value) => self.symbols(std::slice::from_ref(value)),
            Shape::Enum(values) => self.symbols(values),
            Shape::Array => self.array(&part)?,
            Shape::Object => self.object(&part)?,
            Shape::Reference(reference) => return self.reference(&part, reference, version, optional),
            Shape::OneOf(_) | Shape::AnyOf(_) | Shape::Types(_) | Shape::AllOf(_) | Shape::Several => {
                return self.combined(part, version, optional);
            }
            Shape::Null => return unsupported("NullSchema"),
            Shape::Unknown(what) => return unsupported(what),
        };
        self.finish(builder, &part, version, optional)
    }

    fn finish(&mut self, mut builder: Builder, part: &Part<'_>, version: Option<i32>, optional: bool) -> Result<Made> {
        let text = |key: &str| part.own(key).and_then(Json::as_str);
        if let Some(title) = text("title").filter(|_| builder.schema.name.is_none()) {
            builder.schema.name = Some(title.into());
        }
        let own = part.own(options::VERSION).and_then(Json::as_i64).and_then(|version| i32::try_from(version).ok());
        builder.schema.version = own.or(version);
        builder.schema.doc = text("description").map(Arc::from);
        if let Some(Json::Object(parameters)) = part.own(options::PARAMETERS) {
            for (key, value) in parameters {
                builder.parameter(key.as_str(), value.as_str().unwrap_or_default());
            }
        }
        if let Some(id) = self.ids.get(&std::ptr::from_ref(part.json)) {
            builder.parameter(options::ID, Arc::clone(id));
        }
        if let Some(default) = part.own("default").filter(|default| !default.is_null()) {
            let bare = builder.schema.clone().shared();
            let default = Reader::new(&bare).read_json(default)?;
            self.pass.add(default.held() as u64)?;
            builder.schema.default = Some(default);
        }
        builder.schema.optional |= optional;
        self.pass.weigh(&builder.schema)?;
        Ok((builder.schema.shared(), builder.count))
    }

    fn symbols(&self, values: &[Json]) -> Builder {
        let mut builder = Builder::of(Kind::String);
        let parameter = if self.options.generalized { options::SUM_ENUM } else { options::ENUM };
        // Enums of JSON have no names.
        builder.parameter(parameter, "");
        builder.parameters(values.iter().enumerate().map(|(place, value)| {
            let symbol = match value {
                Json::Null => options::NULL_SYMBOL.to_owned(),
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            let value = if self.options.generalized { place.to_string() } else { symbol.clone() };
            (format!("{parameter}.{symbol}").into(), value.into())
        }));
        builder
    }

    fn array(&mut self, part: &Part<'a>) -> Result<Builder> {
        let Some(items) = items(part) else {
            return Err(Error::data("Array schema did not specify the items type"));
        };
        if is_map(part) && matches!(items.shape, Shape::Object) {
            let property = |name: &str| items.get("properties").and_then(|properties| properties.get(name));
            let (Some(key), Some(value)) = (property("key"), property("value")) else {
                return Err(Error::data("the entries of a map have no key and value"));
            };
            let (keys, some) = self.contained(items.inner(key), false)?;
            let (values, more) = self.contained(items.inner(value), false)?;
            return Ok(Builder {
                schema: Schema::of(Kind::Map(keys, values)),
                count: some.saturating_add(more).saturating_add(1),
            });
        }
        let (items, count) = self.contained(items, false)?;
        Ok(Builder { schema: Schema::of(Kind::Array(items)), count: count.saturating_add(1) })
    }

    fn object(&mut self, part: &Part<'a>) -> Result<Builder> {
        if is_map(part) {
            let Some(values) = part.get("additionalProperties").filter(|values| !values.is_boolean()) else {
                return Err(Error::data("the schema of a map does not say of what its values are"));
            };
            let (values, count) = self.contained(part.inner(values), false)?;
            let keys = Schema::of(Kind::String).shared();
            return Ok(Builder { schema: Schema::of(Kind::Map(keys, values)), count: count.saturating_add(2) });
        }
        let mut properties = Properties::default();
        properties.collect(part);
        self.structure(std::ptr::from_ref(part.json), properties.in_order())
    }

    /// A struct of these properties; `address` is that of the schema that it is of.
    fn structure(&mut self, address: *const Json, properties: Vec<Property<'a>>) -> Result<Builder> {
        let referred = self.within.last().is_some_and(|last| last.referred && last.address == address);
        self.within.push(Begun { address, containers: self.containers, referred, structure: true });
        let mut builder = Builder::of(Kind::Struct(Vec::new()));
        let mut fields = Vec::with_capacity(properties.len());
        for property in properties {
            let optional = self.options.optional_when_not_required && !property.required;
            let (schema, count) = self.contained(property.part, optional)?;
            builder.count = builder.count.saturating_add(count);
            fields.push(Field::new(property.name, schema));
        }
        self.within.pop();
        builder.schema.kind = Kind::Struct(fields);
        Ok(builder)
    }

    /// A schema that is in an array, a map or an object.
    fn contained(&mut self, part: Part<'a>, optional: bool) -> Result<Made> {
        self.containers += 1;
        let made = self.schema(part, None, optional);
        self.containers -= 1;
        made
    }

    /// A schema that others may refer to, and that is known again within itself.
    fn referred(&mut self, target: Part<'a>, version: Option<i32>, optional: bool) -> Result<Made> {
        let address = std::ptr::from_ref(target.json);
        self.within.push(Begun { address, containers: self.containers, referred: true, structure: false });
        let made = self.schema(target, version, optional);
        self.within.pop();
        let (schema, count) = made?;
        // A combination that comes down to one member is that member, which knows nothing of the identifier.
        match self.ids.get(&address) {
            Some(id) if schema.get_parameter(options::ID).is_none() => {
                let mut builder = Builder { schema: (*schema).clone(), count };
                builder.parameter(options::ID, Arc::clone(id));
                Ok((builder.schema.shared(), count))
            }
            _ => Ok((schema, count)),
        }
    }

    /// What a reference leads to, when that is being converted on this level and is to be unrolled here.
    fn begun(&self, address: *const Json) -> Option<Begun> {
        let known = |begun: &Begun| begun.address == address;
        if let Some(begun) = self.within.iter().find(|begun| begun.structure && known(begun)) {
            return Some(*begun);
        }
        let place = self.within.iter().rposition(known)?;
        let mut behind = self.within.iter().skip(place);
        // An object that was referred to on the way is referred to again further on, and unrolled then.
        let later = behind.any(|begun| begun.structure && begun.referred);
        self.within.get(place).copied().filter(|_| !later)
    }

    fn reference(&mut self, part: &Part<'a>, reference: &str, version: Option<i32>, optional: bool) -> Result<Made> {
        let target = self.documents.resolve(part.document, reference)?;
        let address = std::ptr::from_ref(target.json);
        let Some(begun) = self.begun(address) else { return self.referred(target, version, optional) };
        if begun.containers == self.containers {
            return Err(Error::data(format!("the reference {reference} leads to itself")));
        }
        self.pass.recursive = true;
        let number = self.ids.len() + 1;
        let id = Arc::clone(self.ids.entry(address).or_insert_with(|| format!("#id{number}").into()));
        let key = (address, self.level, optional);
        if let Some(made) = self.made.get(&key) {
            self.pass.add(made.1)?;
            return Ok(made.clone());
        }
        let made = if self.level + 1 >= self.pass.levels {
            self.leaf(target, &id, optional)?
        } else {
            let within = std::mem::take(&mut self.within);
            self.level += 1;
            let made = self.referred(target, version, optional);
            self.level -= 1;
            self.within = within;
            made?
        };
        self.made.insert(key, made.clone());
        Ok(made)
    }

    /// What stands for a schema below the last level. It is of the same kind, by which a union tells its members apart, and
    /// what is in it is a struct without fields, which no data fit.
    fn leaf(&self, target: Part<'a>, id: &str, optional: bool) -> Result<Made> {
        let (mut of, mut optional) = (target, optional);
        for _ in 0..COMBINED_MAX {
            if let Shape::Reference(reference) = of.shape {
                of = self.documents.resolve(of.document, reference)?;
            } else if let Some((member, nullable)) = self.alone(&of, &of.members()) {
                (of, optional) = (member, nullable);
            } else {
                break;
            }
        }
        let empty = || {
            let mut builder = Builder::of(Kind::Struct(Vec::new()));
            builder.parameter(options::ID, id);
            builder
        };
        let nothing = || empty().schema.shared();
        let is_union = matches!(of.shape, Shape::OneOf(_) | Shape::AnyOf(_) | Shape::Types(_));
        let kind = match of.shape {
            Shape::Array if is_map(&of) && items(&of).is_some_and(|items| matches!(items.shape, Shape::Object)) => {
                Some(Kind::Map(nothing(), nothing()))
            }
            Shape::Array => Some(Kind::Array(nothing())),
            Shape::Object if is_map(&of) => Some(Kind::Map(Schema::of(Kind::String).shared(), nothing())),
            _ => None,
        };
        let mut leaf = empty();
        if let Some(kind) = kind {
            (leaf.schema.kind, leaf.count) = (kind, 3);
        }
        // The title of a union is the name of nothing.
        leaf.schema.name = of.own("title").filter(|_| !is_union).and_then(Json::as_str).map(Arc::from);
        leaf.schema.optional = optional || is_union && of.members().iter().any(is_null);
        Ok((leaf.schema.shared(), leaf.count))
    }

    /// The member that a combination comes down to, and whether it is that or null.
    fn alone(&self, part: &Part<'a>, members: &[Part<'a>]) -> Option<(Part<'a>, bool)> {
        match members {
            [member] if self.options.flatten => Some((*member, false)),
            _ if matches!(part.shape, Shape::AllOf(_) | Shape::Several) => None,
            [one, other] if is_null(one) != is_null(other) => Some((if is_null(one) { *other } else { *one }, true)),
            _ => None,
        }
    }

    fn combined(&mut self, part: Part<'a>, version: Option<i32>, optional: bool) -> Result<Made> {
        let members = part.members();
        if let Some((member, nullable)) = self.alone(&part, &members) {
            return self.schema(member, version.filter(|_| nullable), nullable);
        }
        if matches!(part.shape, Shape::AllOf(_) | Shape::Several) {
            return self.all_of(&part, &members, version, optional);
        }
        let mut builder = Builder::of(Kind::Struct(Vec::new()));
        let name = if self.options.generalized {
            let name = format!("{}{}", options::SUM_UNION_NAME, self.unions);
            self.unions += 1;
            builder.parameter(options::SUM_UNION, name.as_str());
            name
        } else {
            options::ONE_OF.to_owned()
        };
        builder.schema.name = Some(name.into());
        let mut fields = Vec::with_capacity(members.len());
        for member in members {
            if is_null(&member) {
                builder.schema.optional = true;
                continue;
            }
            let place = fields.len();
            let name = if self.options.generalized {
                format!("{}{place}", options::SUM_UNION_FIELD)
            } else {
                format!("{}.field.{place}", options::ONE_OF)
            };
            let (schema, count) = self.schema(member, None, true)?;
            builder.count = builder.count.saturating_add(count);
            fields.push(Field::new(name, schema));
        }
        builder.schema.kind = Kind::Struct(fields);
        self.finish(builder, &part, version, optional)
    }

    /// All of several schemas: their properties together, or the one that says most.
    fn all_of(&mut self, part: &Part<'a>, members: &[Part<'a>], version: Option<i32>, optional: bool) -> Result<Made> {
        let mut properties = Properties::default();
        for member in members {
            self.collect(member, &mut properties, 0)?;
        }
        if !properties.all.is_empty() {
            let mut builder = self.structure(std::ptr::from_ref(part.json), properties.all)?;
            if let Some(id) = self.ids.get(&std::ptr::from_ref(part.json)) {
                builder.parameter(options::ID, Arc::clone(id));
            }
            builder.schema.optional = optional;
            return Ok((builder.schema.shared(), builder.count));
        }
        let last = |fits: fn(&Shape<'_>) -> bool| members.iter().rev().find(|member| fits(&member.shape)).copied();
        let combined = last(|shape| {
            matches!(shape, Shape::OneOf(_) | Shape::AnyOf(_) | Shape::AllOf(_) | Shape::Types(_) | Shape::Several)
        });
        let (text, number) =
            (last(|shape| matches!(shape, Shape::Text { .. })), last(|shape| matches!(shape, Shape::Number { .. })));
        let enumeration = last(|shape| matches!(shape, Shape::Enum(_)));
        let constant = last(|shape| matches!(shape, Shape::Const(_)));
        let formatted = text.filter(|part| matches!(part.shape, Shape::Text { format: true }));
        let chosen = if combined.is_some() {
            combined
        } else if constant.is_some() {
            text.or(number)
        } else if enumeration.is_some() {
            text.and(enumeration).or(number)
        } else if formatted.is_some() {
            number.or(formatted)
        } else {
            last(|shape| matches!(shape, Shape::Reference(_)))
        };
        match chosen {
            Some(chosen) => self.schema(chosen, version, optional),
            None => Err(Error::data(format!("Unsupported criterion allOf for {}", part.json))
                .class("java.lang.IllegalArgumentException")),
        }
    }

    fn collect(&mut self, part: &Part<'a>, properties: &mut Properties<'a>, depth: usize) -> Result<()> {
        self.pass.add(1)?;
        // Schemas that are all of themselves have been here before.
        if depth > COMBINED_MAX {
            return Ok(());
        }
        match part.shape {
            Shape::AllOf(_) | Shape::Several => {
                part.members().iter().try_for_each(|member| self.collect(member, properties, depth + 1))?;
            }
            Shape::Object => properties.collect(part),
            Shape::Reference(reference) => {
                let target = self.documents.resolve(part.document, reference)?;
                self.collect(&target, properties, depth + 1)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A property of an object.
struct Property<'a> {
    name: &'a str,
    part: Part<'a>,
    required: bool,
}

#[derive(Default)]
struct Properties<'a> {
    all: Vec<Property<'a>>,
}

impl<'a> Properties<'a> {
    fn collect(&mut self, part: &Part<'a>) {
        let required = part.get("required").and_then(Json::as_array);
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|of| of.as_str() == Some(name)));
        let Some(properties) = part.get("properties").and_then(Json::as_object) else { return };
        for (name, json) in options::hash_order(properties.iter().map(|(name, json)| (name.as_str(), json))) {
            let property = Property { name, part: part.inner(json), required: is_required(name) };
            match self.all.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = property,
                None => self.all.push(property),
            }
        }
    }

    /// In the order that Connect left; others where there is a place, as a `HashMap` has them.
    fn in_order(self) -> Vec<Property<'a>> {
        let mut places: std::collections::BTreeMap<i64, Property<'a>> = std::collections::BTreeMap::new();
        let mut others = Vec::new();
        for property in self.all {
            match property.part.get(options::INDEX).and_then(Json::as_i64) {
                Some(index) if !places.contains_key(&index) => drop(places.insert(index, property)),
                _ => others.push(property),
            }
        }
        if places.is_empty() {
            return others;
        }
        // Between the places that are taken.
        let mut others = others.into_iter();
        let taken = places.split_off(&0);
        let mut ordered = Vec::new();
        let mut next = 0;
        for (index, property) in taken {
            let free = usize::try_from(index.saturating_sub(next)).unwrap_or(usize::MAX);
            ordered.extend(others.by_ref().take(free));
            ordered.push(property);
            next = index.saturating_add(1);
        }
        // What says a place below zero.
        ordered.extend(places.into_values());
        ordered.extend(others);
        ordered
    }
}

fn is_null(part: &Part<'_>) -> bool {
    matches!(part.shape, Shape::Null)
}

/// What an array is of.
fn items<'a>(part: &Part<'a>) -> Option<Part<'a>> {
    part.get("items").filter(|items| !items.is_array()).map(|items| part.inner(items))
}

/// An array of entries or an object that is a map in Connect.
fn is_map(part: &Part<'_>) -> bool {
    part.own(options::TYPE).and_then(Json::as_str) == Some("map")
}

fn number(part: &Part<'_>, integer: bool) -> Result<Kind> {
    Ok(match part.own(options::TYPE).and_then(Json::as_str) {
        None if integer => Kind::Int64,
        None => Kind::Float64,
        Some("int8") => Kind::Int8,
        Some("int16") => Kind::Int16,
        Some("int32") => Kind::Int32,
        Some("int64") => Kind::Int64,
        Some("float32") => Kind::Float32,
        Some("float64") => Kind::Float64,
        Some("bytes") => Kind::Bytes,
        Some(other) => {
            return Err(Error::data(format!("Unsupported type {other}")).class("java.lang.IllegalArgumentException"));
        }
    })
}

fn unsupported<T>(what: &str) -> Result<T> {
    Err(Error::data(format!("Unsupported schema type org.everit.json.schema.{what}")))
}
