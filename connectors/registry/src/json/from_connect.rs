//! From Connect's schemas to JSON Schema (`JsonSchemaData.fromConnectSchema`). Keys stand in the order in which the JVM's
//! converter has them, so that the registry finds the schemas that JVM workers have registered.

use std::collections::HashSet;
use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{BytesMut, Error, Kind, Result, Schema, SchemaRef};
use serde_json::{Map, Value as Json};

use super::options::{self, DecimalFormat, Options};
use super::write::Writer;

/// The text of a schema.
pub(crate) fn convert(schema: &SchemaRef, options: &Options) -> Result<String> {
    let mut maker = Maker { options, ids: HashSet::new(), open: Vec::new() };
    Ok(maker.schema(schema, schema.optional, None, false)?.to_string())
}

struct Maker<'a> {
    options: &'a Options,
    /// Schemas that others within them refer to.
    ids: HashSet<Arc<str>>,
    /// Those of them that have not ended.
    open: Vec<Arc<str>>,
}

impl Maker<'_> {
    /// A schema at a place among others; `bare` leaves out what makes it optional.
    fn schema(&mut self, schema: &SchemaRef, optional: bool, index: Option<usize>, bare: bool) -> Result<Json> {
        let id = id_of(schema);
        let open = self.open.len();
        if let Some(id) = &id {
            self.ids.insert(Arc::clone(id));
            self.open.push(Arc::clone(id));
        }
        let json = self.whole(schema, id, optional, index, bare);
        self.open.truncate(open);
        json
    }

    fn whole(
        &mut self,
        schema: &SchemaRef,
        id: Option<Arc<str>>,
        optional: bool,
        index: Option<usize>,
        bare: bool,
    ) -> Result<Json> {
        let (mut object, connect_type) = match &schema.kind {
            Kind::Struct(fields) if options::is_union(schema) => {
                let mut members = null_first(optional);
                for (place, field) in fields.iter().enumerate() {
                    members.push(match self.open_around(&field.schema) {
                        Some(reference) => reference,
                        None => self.schema(&field.schema, false, Some(place), true)?,
                    });
                }
                return Ok(combined(members, id, index));
            }
            Kind::Struct(_) if optional => {
                let mut members = null_first(true);
                members.push(self.schema(schema, false, None, false)?);
                return Ok(combined(members, id, index));
            }
            kind => self.shape(schema, kind)?,
        };
        self.common(schema, &mut object)?;
        let wrapped = optional && !bare;
        let mut props = self.props(schema, connect_type);
        if !wrapped {
            add_id(&mut object.head, id.as_ref());
            push_index(&mut props, index);
        }
        let mut json = object.head;
        json.extend(options::hash_order(props));
        json.extend(object.tail);
        if !wrapped {
            return Ok(Json::Object(json));
        }
        let mut members = null_first(true);
        members.push(Json::Object(json));
        Ok(combined(members, id, index))
    }

    /// What is of one type alone: what stands before the properties of Connect, and what stands behind them.
    fn shape(&mut self, schema: &SchemaRef, kind: &Kind) -> Result<(Object, Option<&'static str>)> {
        Ok(match kind {
            Kind::Int8 => (Object::of("integer"), Some("int8")),
            Kind::Int16 => (Object::of("integer"), Some("int16")),
            Kind::Int32 => (Object::of("integer"), Some("int32")),
            Kind::Int64 => (Object::of("integer"), Some("int64")),
            Kind::Float32 => (Object::of("number"), Some("float32")),
            Kind::Float64 => (Object::of("number"), Some("float64")),
            Kind::Boolean => (Object { head: Map::new(), tail: one("type", "boolean") }, None),
            Kind::String => match self.options.enum_parameter(schema) {
                Some(parameter) => (Object { head: one("enum", symbols(schema, parameter)), tail: Map::new() }, None),
                None => (Object::of("string"), None),
            },
            Kind::Bytes => {
                let numeric = schema.is(logical::DECIMAL) && self.options.decimals == DecimalFormat::Numeric;
                (Object::of(if numeric { "number" } else { "string" }), Some("bytes"))
            }
            Kind::Array(element) => {
                let items = self.or_reference(element, None)?;
                (Object { head: one("type", "array"), tail: one("items", items) }, None)
            }
            Kind::Map(keys, values) if options::is_object(keys) => {
                let values = self.or_reference(values, None)?;
                (Object { head: one("type", "object"), tail: one("additionalProperties", values) }, Some("map"))
            }
            Kind::Map(keys, values) => {
                let mut properties = Vec::with_capacity(2);
                for (place, (name, schema)) in [("key", keys), ("value", values)].into_iter().enumerate() {
                    let json = match self.open_around(schema) {
                        Some(reference) => reference,
                        None => self.schema(schema, schema.optional, Some(place), false)?,
                    };
                    properties.push((name.to_owned(), json));
                }
                let mut entry = one("type", "object");
                entry.insert("properties".to_owned(), map(options::hash_order(properties)));
                (Object { head: one("type", "array"), tail: one("items", entry) }, Some("map"))
            }
            Kind::Unknown => return Err(crate::no_schema_inside()),
            Kind::Struct(fields) => {
                let mut properties = Vec::with_capacity(fields.len());
                for (place, field) in fields.iter().enumerate() {
                    properties.push((field.name.to_string(), self.or_reference(&field.schema, Some(place))?));
                }
                let mut head = one("type", "object");
                if !self.options.additional_properties {
                    head.insert("additionalProperties".to_owned(), false.into());
                }
                let mut tail = Map::new();
                if !properties.is_empty() {
                    tail.insert("properties".to_owned(), map(options::hash_order(properties)));
                }
                (Object { head, tail }, None)
            }
        })
    }

    /// A schema, or a reference to the one around it that it is.
    fn or_reference(&mut self, schema: &SchemaRef, index: Option<usize>) -> Result<Json> {
        match id_of(schema) {
            Some(id) if self.ids.contains(&id) => Ok(Json::Object(one("$ref", &*id))),
            _ => self.schema(schema, schema.optional, index, false),
        }
    }

    /// A reference to the schema around it that one is. What only stands beside it is written again, as the reference does,
    /// which would write a schema within itself for ever.
    fn open_around(&self, schema: &SchemaRef) -> Option<Json> {
        let id = id_of(schema).filter(|id| self.open.contains(id))?;
        Some(Json::Object(one("$ref", &*id)))
    }

    fn common(&self, schema: &SchemaRef, object: &mut Object) -> Result<()> {
        if let Some(name) = &schema.name {
            object.head.insert("title".to_owned(), (**name).into());
        }
        if let Some(doc) = &schema.doc {
            object.head.insert("description".to_owned(), (**doc).into());
        }
        if let Some(default) = &schema.default {
            let mut out = BytesMut::new();
            Writer::new(schema, self.options).write(default, &mut out)?;
            let json =
                serde_json::from_slice(&out).map_err(|error| Error::data("Invalid default value").caused_by(error))?;
            object.head.insert("default".to_owned(), json);
        }
        Ok(())
    }

    fn props(&self, schema: &Schema, connect_type: Option<&str>) -> Vec<(String, Json)> {
        let mut props = Vec::new();
        if let Some(connect_type) = connect_type {
            props.push((options::TYPE.to_owned(), connect_type.into()));
        }
        if let Some(version) = schema.version {
            props.push((options::VERSION.to_owned(), version.into()));
        }
        let parameters = schema.parameters.iter().flatten().filter(|(key, _)| !key.starts_with(options::NAMESPACE));
        let parameters: Vec<(String, Json)> =
            parameters.map(|(key, value)| (key.to_string(), (**value).into())).collect();
        if !parameters.is_empty() {
            props.push((options::PARAMETERS.to_owned(), map(options::hash_order(parameters))));
        }
        props
    }
}

/// A schema in two parts, between which the properties of Connect stand.
struct Object {
    head: Map<String, Json>,
    tail: Map<String, Json>,
}

impl Object {
    fn of(kind: &str) -> Self {
        Self { head: one("type", kind), tail: Map::new() }
    }
}

fn one(key: &str, value: impl Into<Json>) -> Map<String, Json> {
    Map::from_iter([(key.to_owned(), value.into())])
}

fn map(entries: Vec<(String, Json)>) -> Json {
    Json::Object(entries.into_iter().collect())
}

fn null_first(optional: bool) -> Vec<Json> {
    if optional { vec![Json::Object(one("type", "null"))] } else { Vec::new() }
}

fn combined(members: Vec<Json>, id: Option<Arc<str>>, index: Option<usize>) -> Json {
    let mut json = Map::new();
    add_id(&mut json, id.as_ref());
    let mut props = Vec::new();
    push_index(&mut props, index);
    json.extend(props);
    json.insert("oneOf".to_owned(), members.into());
    Json::Object(json)
}

fn add_id(json: &mut Map<String, Json>, id: Option<&Arc<str>>) {
    if let Some(id) = id {
        json.insert("id".to_owned(), (**id).into());
    }
}

fn push_index(props: &mut Vec<(String, Json)>, index: Option<usize>) {
    if let Some(index) = index {
        props.push((options::INDEX.to_owned(), index.into()));
    }
}

fn id_of(schema: &Schema) -> Option<Arc<str>> {
    let parameters = schema.parameters.as_ref()?;
    parameters.iter().find(|(key, _)| **key == *options::ID).map(|(_, id)| Arc::clone(id))
}

fn symbols(schema: &Schema, parameter: &str) -> Vec<Json> {
    let beginning = format!("{parameter}.");
    let parameters = schema.parameters.iter().flatten();
    let symbols = parameters.filter_map(|(key, _)| key.strip_prefix(&*beginning));
    symbols.map(|symbol| if symbol == options::NULL_SYMBOL { Json::Null } else { symbol.into() }).collect()
}
