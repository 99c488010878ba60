//! From Avro's schemas to Connect's (`AvroData.toConnectSchema`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connect_api::schema::logical;
use connect_api::{Error, Field as ConnectField, Kind, Result, Schema as Connect, SchemaRef};
use serde_json::Value as Json;

use super::defaults::Defaults;
use super::names;
use super::options::{self, Options};
use super::schema::{Enum, Id, Node, Record, Schema, Shape};
use crate::builder::Builder;
use crate::unroll::{self, Pass};

/// The schema in Connect; none for values that had none. `version` is the one of the registry, for a schema that says none
/// itself. `unions` numbers unions, where they get numbers.
pub(crate) fn convert(
    avro: &Schema,
    version: Option<i32>,
    options: &Options,
    unions: &AtomicUsize,
) -> Result<Option<SchemaRef>> {
    if is_anything(avro) {
        return Ok(None);
    }
    let first_union = unions.load(Ordering::Relaxed);
    unroll::unrolled(|pass| {
        unions.store(first_union, Ordering::Relaxed);
        let mut maker = Maker {
            avro,
            options,
            unions,
            pass,
            level: 0,
            within: Vec::new(),
            made: HashMap::new(),
            names: HashMap::new(),
            defaults: Defaults::of(avro),
        };
        let how = How { version, ..How::default() };
        maker.schema(avro.root, how).map(|(schema, _)| Some(schema))
    })
}

/// The record that values without a schema are in.
pub(crate) fn is_anything(avro: &Schema) -> bool {
    matches!(avro.shape(avro.root), Shape::Record(record) if **record.name.full() == *options::ANYTHING)
}

/// How a type is converted where it stands.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    optional: bool,
    /// The default of the field.
    default: Option<&'a Json>,
    /// The documentation of the field.
    doc: Option<&'a str>,
    version: Option<i32>,
}

/// A schema, and how many schemas it is with all that it holds.
type Made = (SchemaRef, u64);

struct Maker<'a, 'p> {
    avro: &'a Schema,
    options: &'a Options,
    unions: &'a AtomicUsize,
    pass: &'p mut Pass,
    level: usize,
    /// The records and the arrays of entries that are being converted on this level.
    within: Vec<Id>,
    /// What lower levels became.
    made: HashMap<(Id, usize, bool, Option<String>), Made>,
    /// Names that Connect gave: a name is one object on all levels, by which a writer knows a schema within itself.
    names: HashMap<Id, Arc<str>>,
    defaults: Defaults<'a>,
}

impl<'a> Maker<'a, '_> {
    /// A type that may be one of those that are being converted.
    fn with_cycle(&mut self, id: Id, how: How<'a>) -> Result<Made> {
        if !self.within.contains(&id) {
            return self.schema(id, how);
        }
        self.pass.recursive = true;
        let doc = how.doc.filter(|_| self.options.discard_type_doc).map(str::to_owned);
        let key = (id, self.level, how.optional, doc);
        if let Some(made) = self.made.get(&key) {
            self.pass.add(made.1)?;
            return Ok(made.clone());
        }
        let made = if self.level + 1 >= self.pass.levels {
            self.leaf(id, how)
        } else {
            let within = std::mem::take(&mut self.within);
            self.level += 1;
            let made = self.schema(id, how);
            self.level -= 1;
            self.within = within;
            made?
        };
        self.made.insert(key, made.clone());
        Ok(made)
    }

    /// What stands for a record, or for an array of entries, below the last level: it has no fields.
    fn leaf(&mut self, id: Id, how: How<'_>) -> Made {
        let mut schema = Connect::structure(Vec::new());
        // A name that can't be was refused on the levels above.
        schema.name = self.name(id).unwrap_or_default();
        schema.optional = how.optional;
        (schema.shared(), 1)
    }

    fn schema(&mut self, id: Id, how: How<'a>) -> Result<Made> {
        self.pass.enter()?;
        let made = self.converted(id, how);
        self.pass.leave();
        made
    }

    fn converted(&mut self, id: Id, how: How<'a>) -> Result<Made> {
        let avro = self.avro;
        let node = avro.node(id);
        let mut builder = match &node.shape {
            Shape::Boolean => Builder::of(Kind::Boolean),
            Shape::Bytes => bytes(node)?,
            Shape::Fixed(fixed) => {
                let mut builder = bytes(node)?;
                builder.parameter(options::FIXED_SIZE, fixed.size.to_string());
                builder
            }
            Shape::Double => Builder::of(Kind::Float64),
            Shape::Float => Builder::of(Kind::Float32),
            Shape::Int => int(node)?,
            Shape::Long => match node.text(options::LOGICAL_TYPE) {
                Some(name) if name.eq_ignore_ascii_case("timestamp-millis") => {
                    Builder::logical(Kind::Int64, logical::TIMESTAMP)
                }
                _ => Builder::of(Kind::Int64),
            },
            Shape::String => Builder::of(Kind::String),
            Shape::Array(items) => self.array(id, *items)?,
            Shape::Map(values) => {
                let (values, count) = self.with_cycle(*values, How::default())?;
                Builder {
                    schema: Connect::of(Kind::Map(Connect::of(Kind::String).shared(), values)),
                    count: count.saturating_add(2),
                }
            }
            Shape::Record(record) => self.record(id, record)?,
            Shape::Enum(of) => self.enumeration(of),
            Shape::Union(members) => {
                if let [member] = members.as_slice()
                    && self.options.flatten
                {
                    return self.with_cycle(*member, How { doc: how.doc, ..How::default() });
                }
                if let Some(member) = avro.nullable(members) {
                    return self.with_cycle(member, How { optional: true, doc: how.doc, ..How::default() });
                }
                self.union(members)?
            }
            Shape::Null => {
                return Err(Error::data("Standalone null schemas are not supported by this converter"));
            }
        };
        self.documentation(node, how, &mut builder);
        version(node, how.version, &mut builder)?;
        self.parameters(node, &mut builder)?;
        let default = self.default(node, how.default, &mut builder);
        self.pass.weigh(&builder.schema)?;
        let is_decimal = builder.schema.is(logical::DECIMAL);
        if let Some(name) = self.name(id)?.filter(|_| !(is_decimal && node.prop(options::NAME).is_none())) {
            set_name(name, &mut builder)?;
        }
        builder.schema.optional |= how.optional;
        if let Some(default) = default {
            let bare = builder.schema.clone().shared();
            match self.defaults.value(id, default, &bare)? {
                Some(value) if value.is_null() => {}
                Some(value) => builder.schema.default = Some(value),
                None => {
                    let name = node.shape.name().map_or(node.shape.type_name(), |name| name.full());
                    tracing::warn!(schema = name, %default, "a default that does not fit its schema is ignored");
                }
            }
        }
        Ok((builder.schema.shared(), builder.count))
    }

    fn array(&mut self, id: Id, items: Id) -> Result<Builder> {
        if let Some(record) = map_entry(self.avro, items) {
            let [key, value] = record.fields.as_slice() else {
                return Err(Error::data(
                    "Found map encoded as array of key-value pairs, but array elements do not match the expected format.",
                ));
            };
            let (key, value) = (key.schema, value.schema);
            // The entry is no schema of its own in Connect: what may hold itself is its array.
            self.within.push(id);
            let (keys, some) = self.with_cycle(key, How::default())?;
            let (values, more) = self.with_cycle(value, How::default())?;
            self.within.pop();
            return Ok(Builder {
                schema: Connect::of(Kind::Map(keys, values)),
                count: some.saturating_add(more).saturating_add(1),
            });
        }
        let (items, count) = self.with_cycle(items, How::default())?;
        Ok(Builder { schema: Connect::of(Kind::Array(items)), count: count.saturating_add(1) })
    }

    fn record(&mut self, id: Id, record: &'a Record) -> Result<Builder> {
        self.within.push(id);
        let docs = !self.options.discard_type_doc && self.options.meta_data;
        let mut builder = Builder::of(Kind::Struct(Vec::new()));
        if let Some(doc) = record.doc.as_deref().filter(|_| docs) {
            builder.parameter(options::AVRO_RECORD_DOC, doc);
        }
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            if let Some(doc) = field.doc.as_deref().filter(|_| docs) {
                builder.parameter(format!("{}{}", options::AVRO_FIELD_DOC, field.name), doc);
            }
            let how = How { default: field.default.as_ref(), doc: field.doc.as_deref(), ..How::default() };
            let (schema, count) = self.with_cycle(field.schema, how)?;
            builder.count = builder.count.saturating_add(count);
            fields.push(ConnectField::new(Arc::clone(&field.name), schema));
        }
        builder.schema.kind = Kind::Struct(fields);
        self.within.pop();
        Ok(builder)
    }

    fn enumeration(&self, of: &Enum) -> Builder {
        let mut builder = Builder::of(Kind::String);
        let (discard, simple) = (self.options.discard_type_doc, of.name.simple());
        if self.options.meta_data {
            if let Some(doc) = of.doc.as_deref() {
                let of_type = format!("{}{simple}", options::AVRO_ENUM_DOC);
                builder.parameter(if discard { options::ENUM_DOC.to_owned() } else { of_type }, doc);
            }
            if let Some(default) = of.default.as_deref().filter(|_| !discard) {
                builder.parameter(format!("{}{simple}", options::AVRO_ENUM_DEFAULT), default);
            }
        }
        let parameter = self.options.enum_written();
        builder.parameter(parameter, Arc::clone(of.name.full()));
        builder.parameters(of.symbols.iter().enumerate().map(|(place, symbol)| {
            let value = if self.options.generalized { Arc::from(place.to_string()) } else { Arc::clone(symbol) };
            (format!("{parameter}.{symbol}").into(), value)
        }));
        builder
    }

    fn union(&mut self, members: &'a [Id]) -> Result<Builder> {
        let mut builder = Builder::of(Kind::Struct(Vec::new()));
        if self.options.generalized {
            let name = format!("{}{}", options::SUM_UNION_NAME, self.unions.fetch_add(1, Ordering::Relaxed));
            builder.parameter(options::SUM_UNION, name.as_str());
            builder.schema.name = Some(name.into());
        } else {
            builder.schema.name = Some(options::AVRO_UNION.into());
        }
        let mut fields: Vec<ConnectField> = Vec::with_capacity(members.len());
        for (place, member) in members.iter().enumerate() {
            if *self.avro.shape(*member) == Shape::Null {
                builder.schema.optional = true;
                continue;
            }
            let name = member_name(self.avro.shape(*member), place, self.options);
            if fields.iter().any(|field| *field.name == *name) {
                return Err(Error::data("Multiple union schemas map to the Connect union field name")
                    .hint("set enhanced.avro.schema.support=true: then fields have the full names of records"));
            }
            let (schema, count) = self.with_cycle(*member, How { optional: true, ..How::default() })?;
            builder.count = builder.count.saturating_add(count);
            fields.push(ConnectField::new(name, schema));
        }
        builder.schema.kind = Kind::Struct(fields);
        Ok(builder)
    }

    fn documentation(&self, node: &Node, how: How<'_>, builder: &mut Builder) {
        let own = match &node.shape {
            Shape::Record(record) => record.doc.as_deref(),
            Shape::Enum(of) => of.doc.as_deref(),
            Shape::Fixed(fixed) => fixed.doc.as_deref(),
            _ => None,
        };
        let doc = node.text(options::DOC);
        if self.options.discard_type_doc {
            builder.schema.doc = how.doc.or(own).or(doc).map(Arc::from);
            if let Some(own) = own.filter(|_| self.options.meta_data) {
                builder.parameter(options::RECORD_DOC, own);
            }
        } else if self.options.meta_data {
            builder.schema.doc = doc.map(Arc::from);
        }
    }

    fn parameters(&self, node: &Node, builder: &mut Builder) -> Result<()> {
        if let Some(parameters) = node.prop(options::PARAMETERS).filter(|_| self.options.meta_data) {
            let Json::Object(parameters) = parameters else {
                return Err(Error::data(format!("Expected JSON object for schema parameters but found: {parameters}")));
            };
            for (key, value) in parameters {
                let Json::String(value) = value else {
                    return Err(Error::data(format!(
                        "Expected schema parameter values to be strings but found: {value}"
                    )));
                };
                builder.parameter(key.as_str(), value.as_str());
            }
        }
        for (key, value) in node.props.iter().filter(|(key, _)| key.starts_with(options::AVRO)) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            builder.parameter(key.as_str(), text);
        }
        Ok(())
    }

    /// Connect's name, or that of the named type, unless it is one that stands for none.
    fn name(&mut self, id: Id) -> Result<Option<Arc<str>>> {
        if let Some(known) = self.names.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let node = self.avro.node(id);
        let name: Option<Arc<str>> = match node.prop(options::NAME) {
            Some(Json::String(name)) => Some(name.as_str().into()),
            Some(other) => return Err(Error::data(format!("Invalid schema name: {other}"))),
            None => node.shape.name().map(|name| Arc::clone(name.full())),
        };
        let ours = format!("{}.{}", names::NAMESPACE, names::DEFAULT_NAME);
        let Some(name) = name.filter(|name| !name.starts_with(&ours)) else { return Ok(None) };
        self.names.insert(id, Arc::clone(&name));
        Ok(Some(name))
    }

    /// The default of the field, or the one that Connect left with the type.
    fn default<'b>(&self, node: &'b Node, of_field: Option<&'b Json>, builder: &mut Builder) -> Option<&'b Json> {
        let own = node.prop(options::DEFAULT);
        if of_field.is_some() && own.is_none() && !self.options.discard_type_doc && self.options.meta_data {
            builder.parameter(options::AVRO_FIELD_DEFAULT, "true");
        }
        of_field.or(own)
    }
}

/// The record of an array that stands for a map.
pub(crate) fn map_entry(avro: &Schema, items: Id) -> Option<&Record> {
    let node = avro.node(items);
    let Shape::Record(record) = &node.shape else { return None };
    let ours = record.name.space() == Some(names::NAMESPACE) && record.name.simple() == options::MAP_ENTRY;
    (ours || node.text(options::INTERNAL_TYPE) == Some(options::MAP_ENTRY)).then_some(record)
}

/// The field of a type of a union.
fn member_name(shape: &Shape, place: usize, options: &Options) -> String {
    if options.generalized {
        return format!("{}{place}", options::SUM_UNION_FIELD);
    }
    match shape.name() {
        Some(name) if options.enhanced => name.full().to_string(),
        Some(name) => names::scrubbed(name.simple(), options.scrub),
        None => shape.type_name().to_owned(),
    }
}

fn bytes(node: &Node) -> Result<Builder> {
    if !node.text(options::LOGICAL_TYPE).is_some_and(|name| name.eq_ignore_ascii_case("decimal")) {
        return Ok(Builder::of(Kind::Bytes));
    }
    let mut builder = Builder::logical(Kind::Bytes, logical::DECIMAL);
    let scale = node.prop(options::SCALE).and_then(Json::as_i64).unwrap_or(0);
    builder.parameter(options::SCALE, scale.to_string());
    if let Some(precision) = node.prop(options::PRECISION) {
        let Some(precision) = precision.as_i64() else {
            return Err(Error::data(
                "precision property must be a JSON Integer. https://avro.apache.org/docs/1.9.1/spec.html#Decimal",
            ));
        };
        if precision != options::PRECISION_DEFAULT {
            builder.parameter(options::DECIMAL_PRECISION, precision.to_string());
        }
    }
    Ok(builder)
}

fn int(node: &Node) -> Result<Builder> {
    Ok(match (node.text(options::LOGICAL_TYPE), node.text(options::TYPE)) {
        (Some(name), _) if name.eq_ignore_ascii_case("date") => Builder::logical(Kind::Int32, logical::DATE),
        (Some(name), _) if name.eq_ignore_ascii_case("time-millis") => Builder::logical(Kind::Int32, logical::TIME),
        (Some(_), _) | (None, None) => Builder::of(Kind::Int32),
        (None, Some("int8")) => Builder::of(Kind::Int8),
        (None, Some("int16")) => Builder::of(Kind::Int16),
        (None, Some(_)) => return Err(Error::data("Connect type annotation for Avro int field is null")),
    })
}

/// The version that Connect left goes before the registry's.
fn version(node: &Node, of_registry: Option<i32>, builder: &mut Builder) -> Result<()> {
    let own = match node.prop(options::VERSION) {
        None => None,
        Some(version) => Some(
            version
                .as_i64()
                .and_then(|version| i32::try_from(version).ok())
                .ok_or_else(|| Error::data(format!("Invalid Connect version found: {version}")))?,
        ),
    };
    let known = builder.schema.version;
    match (known, own.filter(|version| *version >= 0)) {
        (Some(known), Some(own)) if known != own => Err(Error::data(format!(
            "Mismatched versions: version already added to SchemaBuilder ({known}) differs from version in source schema \
             ({own})"
        ))),
        // Logical types have a version of their own, which no number of the registry changes.
        (Some(_), _) => Ok(()),
        (None, own) => {
            builder.schema.version = own.or(of_registry.filter(|version| *version >= 0));
            Ok(())
        }
    }
}

fn set_name(name: Arc<str>, builder: &mut Builder) -> Result<()> {
    match &builder.schema.name {
        Some(known) if *known != name => Err(Error::data(format!(
            "Mismatched names: name already added to SchemaBuilder ({known}) differs from name in source schema ({name})"
        ))),
        _ => {
            builder.schema.name = Some(name);
            Ok(())
        }
    }
}
