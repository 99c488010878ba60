//! From JSON text straight into Connect's values (`JsonSchemaData.toConnectData`). The schema decides what is read, and Java's
//! leniency is kept: a text where a number is expected is 0, a number where a text is expected is null.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{Bytes, Error, Kind, Result, SchemaRef, Struct, Value, value};
use num_bigint::BigInt;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::options;
use crate::budget::Budget;
use crate::unroll;

/// How many values lists, maps and structs that are defaults may bring into a record: where a default holds structs, their defaults
/// are in it too.
const DEFAULTS_MAX: usize = 1 << 20;

/// How records of one schema are read.
pub(crate) struct Reader {
    node: Arc<Node>,
}

struct Node {
    schema: SchemaRef,
    shape: Shape,
}

enum Shape {
    Plain,
    Decimal,
    Date,
    Time,
    Timestamp,
    Array(Arc<Node>),
    Object(Arc<Node>),
    Entries(Arc<Node>, Arc<Node>),
    Struct(Vec<Arc<Node>>),
    Union(Vec<Arc<Node>>),
    TooDeep,
}

impl Reader {
    /// Prepares reading.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self { node: Planner { made: HashMap::new() }.node(schema) }
    }

    /// Reads the value of a record.
    pub(crate) fn read(&self, payload: &Bytes) -> Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_slice(payload);
        let (defaults, budget) = (Cell::new(DEFAULTS_MAX), Budget::of(payload.len()));
        let seed = Seed { node: &self.node, payload, defaults: &defaults, budget: &budget };
        let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                let text = error.to_string();
                // Where in the text something was wrong says little about what.
                let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
                Error::data(message.to_owned())
            }
            _ => Error::data(error.to_string()).class("com.fasterxml.jackson.core.JsonParseException"),
        })
    }

    /// Reads a value within a schema.
    pub(crate) fn read_json(&self, json: &Json) -> Result<Value> {
        self.read(&json.to_string().into())
    }
}

struct Planner {
    made: HashMap<usize, Arc<Node>>,
}

impl Planner {
    fn node(&mut self, schema: &SchemaRef) -> Arc<Node> {
        let key = Arc::as_ptr(schema) as usize;
        if let Some(made) = self.made.get(&key) {
            return Arc::clone(made);
        }
        let node = Arc::new(Node { schema: Arc::clone(schema), shape: self.shape(schema) });
        self.made.insert(key, Arc::clone(&node));
        node
    }

    fn shape(&mut self, schema: &SchemaRef) -> Shape {
        match schema.name.as_deref() {
            Some(logical::DECIMAL) => return Shape::Decimal,
            Some(logical::DATE) => return Shape::Date,
            Some(logical::TIME) => return Shape::Time,
            Some(logical::TIMESTAMP) => return Shape::Timestamp,
            _ => {}
        }
        match &schema.kind {
            Kind::Array(element) => Shape::Array(self.node(element)),
            Kind::Map(keys, values) if options::is_object(keys) => Shape::Object(self.node(values)),
            Kind::Map(keys, values) => Shape::Entries(self.node(keys), self.node(values)),
            // Below the last level of a recursive schema there are no fields.
            Kind::Struct(fields) if fields.is_empty() && schema.get_parameter(options::ID).is_some() => Shape::TooDeep,
            Kind::Struct(fields) => {
                let fields = fields.iter().map(|field| self.node(&field.schema)).collect();
                if options::is_union(schema) { Shape::Union(fields) } else { Shape::Struct(fields) }
            }
            _ => Shape::Plain,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'p> {
    node: &'p Node,
    payload: &'p Bytes,
    /// How many more values defaults may bring.
    defaults: &'p Cell<usize>,
    budget: &'p Budget,
}

impl<'p> Seed<'p> {
    fn of(self, node: &'p Node) -> Self {
        Self { node, ..self }
    }

    /// What stands for null.
    fn null(self) -> std::result::Result<Value, String> {
        let schema = &self.node.schema;
        match self.default(schema)? {
            Some(default) => Ok(default),
            None if schema.optional => Ok(Value::Null),
            None => Err(format!("Invalid null value for required {} field", schema.kind.java_name())),
        }
    }

    /// The default of a schema, if it has one.
    fn default(self, schema: &SchemaRef) -> std::result::Result<Option<Value>, String> {
        let Some(default) = &schema.default else { return Ok(None) };
        let left = self.defaults.get().checked_sub(default.held());
        let left = left.ok_or_else(|| format!("the defaults of the schema bring more than {DEFAULTS_MAX} values"))?;
        self.defaults.set(left);
        Ok(Some(default.clone()))
    }

    /// Counts the fields of a struct before they are made.
    fn take(self, fields: usize) -> std::result::Result<(), String> {
        let name = || self.node.schema.name.as_deref().unwrap_or("an object without a title").to_owned();
        self.budget.take(fields, name).map_err(|error| error.message().to_owned())
    }

    fn text(self, text: &str) -> Value {
        // What is borrowed is a part of the record.
        let bytes = self.payload.as_ptr_range();
        if bytes.contains(&text.as_ptr()) && !text.is_empty() {
            return Value::String(connect_api::Text::of_part(self.payload, text));
        }
        Value::string(text)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Decimal, _) => {
                decimal(self, <&RawValue>::deserialize(deserializer)?.get()).map_err(D::Error::custom)
            }
            (Shape::Union(members), _) => {
                self.union(members, <&RawValue>::deserialize(deserializer)?.get()).map_err(D::Error::custom)
            }
            (Shape::Plain, Kind::Float32 | Kind::Float64) => {
                self.float(<&RawValue>::deserialize(deserializer)?.get()).map_err(D::Error::custom)
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.node.schema.kind.java_name())
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<Value, E> {
        self.null().map_err(E::custom)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> std::result::Result<Value, E> {
        match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::Boolean) => Ok(Value::Bool(value)),
            _ => self.other("BOOLEAN"),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> std::result::Result<Value, E> {
        // Java keeps the lowest bits.
        Ok(match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::Int8) => Value::Int8(number as i8),
            (Shape::Plain, Kind::Int16) => Value::Int16(number as i16),
            (Shape::Plain, Kind::Int32) => Value::Int32(number as i32),
            (Shape::Plain, Kind::Int64) | (Shape::Timestamp, _) => Value::Int64(number),
            (Shape::Plain, Kind::Bytes) => number_of(&number.to_string()),
            (Shape::Date | Shape::Time, _) => {
                Value::Int32(i32::try_from(number).map_err(|_| E::custom(self.node.not_an_integer("NUMBER")))?)
            }
            _ => return self.other("NUMBER"),
        })
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<Value, E> {
        self.visit_i64(number as i64)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<Value, E> {
        Ok(match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::Int8) => Value::Int8(number as i32 as i8),
            (Shape::Plain, Kind::Int16) => Value::Int16(number as i32 as i16),
            (Shape::Plain, Kind::Int32) => Value::Int32(number as i32),
            (Shape::Plain, Kind::Int64) => Value::Int64(number as i64),
            (Shape::Plain, Kind::Bytes) => number_of(&number.to_string()),
            _ => return self.other("NUMBER"),
        })
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> std::result::Result<Value, E> {
        match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::String) => Ok(self.text(text)),
            _ => self.visit_str(text),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Value, E> {
        match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::String) => Ok(Value::string(text)),
            (Shape::Plain, Kind::Bytes) => STANDARD
                .decode(text)
                .map(|bytes| Value::Bytes(bytes.into()))
                .map_err(|_| E::custom("Invalid bytes field")),
            _ => self.other("STRING"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        match &self.node.shape {
            Shape::Array(element) => {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element_seed(self.of(element))? {
                    list.push(value);
                }
                Ok(Value::Array(list))
            }
            Shape::Entries(keys, values) => {
                let mut pairs = Vec::new();
                while let Some(pair) = seq.next_element_seed(Entry { keys: self.of(keys), values: self.of(values) })? {
                    pairs.push(pair);
                }
                hash::order(&mut pairs);
                Ok(Value::Map(pairs))
            }
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                self.other("ARRAY")
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        match &self.node.shape {
            Shape::Struct(nodes) => self.structure(nodes, map),
            Shape::Object(values) => {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key_seed(Text(self))? {
                    pairs.push((key, map.next_value_seed(self.of(values))?));
                }
                hash::order(&mut pairs);
                Ok(Value::Map(pairs))
            }
            Shape::Array(element) => {
                let mut list = Vec::new();
                while map.next_key::<IgnoredAny>()?.is_some() {
                    list.push(map.next_value_seed(self.of(element))?);
                }
                Ok(Value::Array(list))
            }
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.other("OBJECT")
            }
        }
    }
}

impl<'p> Seed<'p> {
    fn structure<'de, A: MapAccess<'de>>(
        self,
        nodes: &'p [Arc<Node>],
        mut map: A,
    ) -> std::result::Result<Value, A::Error> {
        let schema = &self.node.schema;
        self.take(nodes.len()).map_err(A::Error::custom)?;
        let mut values = vec![None; nodes.len()];
        // Names mostly come in the order of the schema.
        let mut next = 0;
        while let Some(place) = map.next_key_seed(Place { schema, next })? {
            let found = place.and_then(|place| Some((place, nodes.get(place)?, values.get_mut(place)?)));
            match found {
                Some((place, node, value)) => {
                    *value = Some(map.next_value_seed(self.of(node))?);
                    next = place + 1;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // What is missing has its default; nothing is checked, as the reference does not.
        let filled = |(value, node): (Option<Value>, &Arc<Node>)| match value {
            Some(value) => Ok(value),
            None => self.default(&node.schema).map(Option::unwrap_or_default),
        };
        let values = values.into_iter().zip(nodes).map(filled).collect::<std::result::Result<_, _>>();
        Ok(Value::Struct(Struct::new(Arc::clone(schema), values.map_err(A::Error::custom)?)))
    }

    /// A number as exact as it is written.
    fn float(self, text: &str) -> std::result::Result<Value, String> {
        let number = match text {
            "null" => return self.null(),
            "\"NaN\"" => f64::NAN,
            "\"Infinity\"" => f64::INFINITY,
            "\"-Infinity\"" => f64::NEG_INFINITY,
            // What is no number is 0.
            text => text.parse().unwrap_or(0.0),
        };
        Ok(match &self.node.schema.kind {
            Kind::Float32 => Value::Float32(text.parse().unwrap_or(number as f32)),
            _ => Value::Float64(number),
        })
    }

    /// What Java makes of a value of another type.
    fn other<E: serde::de::Error>(self, found: &str) -> std::result::Result<Value, E> {
        Ok(match (&self.node.shape, &self.node.schema.kind) {
            (Shape::Plain, Kind::Boolean) => Value::Bool(false),
            (Shape::Plain, Kind::Int8) => Value::Int8(0),
            (Shape::Plain, Kind::Int16) => Value::Int16(0),
            (Shape::Plain, Kind::Int32) => Value::Int32(0),
            (Shape::Plain, Kind::Int64) => Value::Int64(0),
            (Shape::Plain, Kind::String) => Value::Null,
            (Shape::Plain, _) => return Err(E::custom("Invalid bytes field")),
            (Shape::Array(_), _) => Value::Array(Vec::new()),
            (Shape::Object(_), _) => {
                let text = format!("Maps with string fields should be encoded as JSON objects, but found {found}");
                return Err(E::custom(text));
            }
            (Shape::Entries(..), _) => {
                let text = "Maps with non-string fields should be encoded as JSON array of objects, but found";
                return Err(E::custom(format_args!("{text} {found}")));
            }
            (Shape::Struct(_), _) => {
                return Err(E::custom(format_args!("Structs should be encoded as JSON objects, but found {found}")));
            }
            (Shape::TooDeep, _) => return Err(E::custom(unroll::TOO_DEEP)),
            _ => return Err(E::custom(self.node.not_an_integer(found))),
        })
    }

    /// A value of one of several schemas: the first simple one that fits, or the struct that has most of its fields.
    fn union(self, members: &[Arc<Node>], text: &str) -> std::result::Result<Value, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if json.is_null() {
            return self.null();
        }
        let simple = members.iter().position(|member| is_instance(&member.schema, &json));
        let matching = || {
            let most = members.iter().map(|member| matching(&member.schema, &json)).enumerate();
            most.filter(|(_, count)| *count > 0).max_by_key(|(place, count)| (*count, usize::MAX - place))
        };
        let bytes = || members.iter().position(|member| member.schema.kind == Kind::Bytes && json.is_string());
        let place = simple.or_else(|| matching().map(|(place, _)| place)).or_else(bytes);
        let found = place.and_then(|place| Some((place, members.get(place)?)));
        // What is cut off may be what the value is of, unless another member knows all of it.
        let cut_off = members.iter().any(|member| matches!(member.shape, Shape::TooDeep));
        if cut_off && !found.is_some_and(|(_, member)| knows_all(&member.schema, &json)) {
            return Err(unroll::TOO_DEEP.to_owned());
        }
        let Some((place, member)) = found else {
            return Err("Did not find matching oneof field for data".to_owned());
        };
        self.take(members.len())?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = self.of(member).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
        let mut values = vec![Value::Null; members.len()];
        if let Some(field) = values.get_mut(place) {
            *field = value;
        }
        Ok(Value::Struct(Struct::new(Arc::clone(&self.node.schema), values)))
    }
}

impl Node {
    fn not_an_integer(&self, found: &str) -> String {
        let (name, kind) = match self.shape {
            Shape::Date => ("Date", "integer"),
            Shape::Time => ("Time", "integer"),
            _ => ("Timestamp", "integral"),
        };
        format!("Invalid type for {name}, underlying representation should be {kind} but was {found}")
    }
}

/// The place of a field by its name.
struct Place<'p> {
    schema: &'p SchemaRef,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Self::Value, E> {
        match self.schema.fields().get(self.next) {
            Some(field) if *field.name == *name => Ok(Some(self.next)),
            _ => Ok(self.schema.index_of(name)),
        }
    }
}

/// A key of a map.
struct Text<'p>(Seed<'p>);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Value, E> {
        Ok(self.0.text(text))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::string(text))
    }
}

/// An object of a key and a value.
struct Entry<'p> {
    keys: Seed<'p>,
    values: Seed<'p>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = (Value, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = (Value, Value);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of a key and a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let (mut key, mut value, mut size) = (None, None, 0);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            size += 1;
            match &*name {
                "key" => key = Some(map.next_value_seed(self.keys)?),
                "value" => value = Some(map.next_value_seed(self.values)?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if size != 2 {
            return Err(A::Error::custom(format_args!("Found invalid map entry, expected length 2 but found :{size}")));
        }
        Ok((key.unwrap_or_default(), value.unwrap_or_default()))
    }
}

/// A decimal as a number, which keeps its own scale, or as the bytes of its unscaled value.
fn decimal(seed: Seed<'_>, text: &str) -> std::result::Result<Value, String> {
    let scale = seed.node.schema.get_parameter("scale").and_then(|scale| scale.parse::<i32>().ok());
    match serde_json::from_str::<Json>(text).map_err(|error| error.to_string())? {
        Json::Null => seed.null(),
        Json::Number(_) => {
            let Some(decimal) = parse_decimal(text.trim()) else { return Err("Invalid Decimal".to_owned()) };
            if Some(decimal.scale) == scale {
                return Ok(Value::Bytes(decimal.unscaled.to_signed_bytes_be().into()));
            }
            Ok(Value::Decimal(Box::new(decimal)))
        }
        Json::String(text) => {
            let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or("Invalid bytes for Decimal field")?;
            if scale.is_none() {
                return Err("Invalid Decimal schema: scale parameter not found.".to_owned());
            }
            Ok(Value::Bytes(BigInt::from_signed_bytes_be(&bytes).to_signed_bytes_be().into()))
        }
        other => {
            let found = type_name(&other);
            Err(format!(
                "Invalid type for Decimal, underlying representation should be numeric or bytes but was {found}"
            ))
        }
    }
}

/// A number where bytes are expected, without a scale to bring it to.
fn number_of(text: &str) -> Value {
    parse_decimal(text).map_or(Value::Null, |decimal| Value::Decimal(Box::new(decimal)))
}

/// A JSON number as it is written.
fn parse_decimal(text: &str) -> Option<value::Decimal> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some(value::Decimal { unscaled, scale })
}

fn type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "NULL",
        Json::Bool(_) => "BOOLEAN",
        Json::Number(_) => "NUMBER",
        Json::String(_) => "STRING",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}

/// Whether a value can be of a schema that is no struct.
fn is_instance(schema: &SchemaRef, json: &Json) -> bool {
    match &schema.kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => json.is_i64() || json.is_u64(),
        Kind::Float32 | Kind::Float64 => json.is_number(),
        Kind::Boolean => json.is_boolean(),
        Kind::String => json.is_string(),
        Kind::Bytes => json.is_f64(),
        Kind::Array(_) => json.is_array(),
        Kind::Map(..) => json.is_object() || json.is_array(),
        Kind::Struct(_) | Kind::Unknown => false,
    }
}

/// Whether there is a field for all that a value has.
fn knows_all(schema: &SchemaRef, json: &Json) -> bool {
    match (&schema.kind, json) {
        (Kind::Struct(_), Json::Object(object)) => object.keys().all(|key| schema.index_of(key).is_some()),
        _ => true,
    }
}

/// How many fields of a struct, and of the structs in it, a value has.
fn matching(schema: &SchemaRef, json: &Json) -> usize {
    let Some(object) = json.as_object() else { return 0 };
    let fields = schema.fields().iter().filter_map(|field| Some((field, object.get(&*field.name)?)));
    fields.map(|(field, json)| 1 + matching(&field.schema, json)).sum()
}
