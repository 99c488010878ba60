//! Defaults: values within schemas, as JSON in Avro and as values in Connect.

use std::sync::Arc;

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{Error, Kind, Result, Schema as Connect, SchemaRef, Struct, Value};
use serde_json::{Map, Value as Json};

use super::names;
use super::options::{self, Options};
use super::schema::{Id, Schema, Shape, Types};

/// The default of a schema as Avro's JSON (`AvroData.defaultValueFromConnect`).
pub(crate) fn default_json(schema: &Connect, value: &Value, options: &Options) -> Result<Json> {
    let invalid = || {
        let (kind, class) = (schema.kind.java_name(), value.java_class(Some(schema)));
        Error::data(format!("Invalid type used for default value of {kind} field: class {class}"))
    };
    Ok(match (&schema.kind, value) {
        (_, Value::Null) => Json::Null,
        (Kind::Int8, Value::Int8(number)) => (*number).into(),
        (Kind::Int16, Value::Int16(number)) => (*number).into(),
        (Kind::Int32, Value::Int32(number)) => (*number).into(),
        (Kind::Int64, Value::Int64(number)) => (*number).into(),
        (Kind::Int32 | Kind::Int64, Value::Date(millis)) => match &schema.kind {
            Kind::Int64 => (*millis).into(),
            _ if schema.is(logical::DATE) => millis.div_euclid(86_400_000).into(),
            _ => (*millis).into(),
        },
        (Kind::Float32, Value::Float32(number)) => float_json(*number),
        (Kind::Float64, Value::Float64(number)) => {
            serde_json::Number::from_f64(*number).map_or_else(|| not_finite(*number), Json::Number)
        }
        (Kind::Boolean, Value::Bool(value)) => (*value).into(),
        (Kind::String, Value::String(text)) => (**text).into(),
        (Kind::Bytes, Value::Bytes(bytes)) => latin(bytes),
        (Kind::Bytes, Value::Decimal(decimal)) => latin(&decimal.unscaled.to_signed_bytes_be()),
        (Kind::Array(element), Value::Array(list)) => {
            list.iter().map(|value| default_json(element, value, options)).collect::<Result<Vec<_>>>()?.into()
        }
        (Kind::Map(keys, values), Value::Map(pairs)) if options.plain_keys(keys) => {
            let mut object = Map::new();
            for (key, value) in pairs {
                let Some(key) = key.as_str() else { return Err(invalid()) };
                object.insert(key.to_owned(), default_json(values, value, options)?);
            }
            object.into()
        }
        (Kind::Map(keys, values), Value::Map(pairs)) => {
            let pair = |(key, value): &(Value, Value)| {
                Ok(Json::Array(vec![default_json(keys, key, options)?, default_json(values, value, options)?]))
            };
            pairs.iter().map(pair).collect::<Result<Vec<_>>>()?.into()
        }
        (Kind::Struct(fields), Value::Struct(structure)) => {
            if options::is_union(schema) {
                // The default of a union is of its first type.
                let first = fields.first().zip(structure.fields.first());
                return first.map_or(Ok(Json::Null), |(field, value)| default_json(&field.schema, value, options));
            }
            let mut object = Map::new();
            for (field, value) in fields.iter().zip(&structure.fields) {
                let value = match (&field.schema.default, value) {
                    (Some(default), Value::Null) => default,
                    (_, value) => value,
                };
                let name = names::scrubbed(&field.name, options.scrub);
                object.insert(name, default_json(&field.schema, value, options)?);
            }
            object.into()
        }
        _ => return Err(invalid()),
    })
}

/// The shortest decimal number that is this float: as a double it would have many more digits.
fn float_json(number: f32) -> Json {
    let short = number.to_string().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    short.map_or_else(|| not_finite(f64::from(number)), Json::Number)
}

/// JSON has no number for it.
fn not_finite(number: f64) -> Json {
    connect_api::java::text::double(number).into()
}

/// Bytes as a text of as many characters.
fn latin(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()
}

/// The bytes of such a text.
fn from_latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// How many values the defaults of a schema may be in all. A record that is a default has those of its fields that it lacks in it,
/// and so on: a few lines of a schema can stand for more than there is memory, or for a record that never ends.
const VALUES_MAX: usize = 100_000;
/// How many bytes of a text are as much as a value.
const TEXT_OF_VALUE: usize = 64;
/// How deep what a default is checked by may nest.
const DEPTH_MAX: usize = 200;

/// Whether a field of this type may have this default (`Schema.isValidDefault`).
pub(crate) fn is_valid_default(types: &Types, id: Id, default: &Json) -> bool {
    Check { types, left: VALUES_MAX, depth: 0 }.is_valid(id, default)
}

struct Check<'a> {
    types: &'a Types,
    /// How many more values are looked at.
    left: usize,
    depth: usize,
}

impl Check<'_> {
    fn is_valid(&mut self, id: Id, default: &Json) -> bool {
        let Some(left) = self.left.checked_sub(1).filter(|_| self.depth < DEPTH_MAX) else { return false };
        self.left = left;
        self.depth += 1;
        let valid = self.fits(id, default);
        self.depth -= 1;
        valid
    }

    fn fits(&mut self, id: Id, default: &Json) -> bool {
        let types = self.types;
        match (types.shape(id), default) {
            (Shape::String | Shape::Bytes | Shape::Enum(_) | Shape::Fixed(_), Json::String(_))
            | (Shape::Float | Shape::Double, Json::Number(_))
            | (Shape::Boolean, Json::Bool(_))
            | (Shape::Null, Json::Null) => true,
            (Shape::Int, Json::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            (Shape::Long, Json::Number(number)) => number.as_i64().is_some(),
            (Shape::Array(items), Json::Array(list)) => list.iter().all(|value| self.is_valid(*items, value)),
            (Shape::Map(values), Json::Object(map)) => map.values().all(|value| self.is_valid(*values, value)),
            (Shape::Union(members), value) => members.iter().any(|member| self.is_valid(*member, value)),
            (Shape::Record(record), Json::Object(object)) => record.fields.iter().all(|field| {
                let value = object.get(&*field.name).or(field.default.as_ref());
                value.is_some_and(|value| self.is_valid(field.schema, value))
            }),
            _ => false,
        }
    }
}

/// The defaults of one schema.
pub(crate) struct Defaults<'a> {
    avro: &'a Schema,
    /// How many more values there may be.
    left: usize,
}

impl<'a> Defaults<'a> {
    pub(crate) fn of(avro: &'a Schema) -> Self {
        Self { avro, left: VALUES_MAX }
    }

    /// A default of Avro as a value of the Connect schema that its type became; nothing when it does not fit.
    pub(crate) fn value(&mut self, id: Id, json: &Json, schema: &SchemaRef) -> Result<Option<Value>> {
        let value = self.read(id, json, schema);
        if self.left == 0 {
            return Err(Error::data(format!("the defaults of the schema are more than {VALUES_MAX} values")));
        }
        Ok(value)
    }

    fn read(&mut self, id: Id, json: &Json, schema: &SchemaRef) -> Option<Value> {
        // A long text is as much as many short ones.
        let size = 1 + json.as_str().map_or(0, |text| text.len() / TEXT_OF_VALUE);
        let Some(left) = self.left.checked_sub(size) else {
            self.left = 0;
            return None;
        };
        self.left = left;
        let avro = self.avro;
        let int = || json.as_i64();
        Some(match (avro.shape(id), &schema.kind) {
            (_, _) if json.is_null() => {
                if !schema.optional {
                    return None;
                }
                Value::Null
            }
            (Shape::Union(members), _) => return self.union_value(members, json, schema),
            (Shape::Int, Kind::Int8) => Value::Int8(i8::try_from(int()?).ok()?),
            (Shape::Int, Kind::Int16) => Value::Int16(i16::try_from(int()?).ok()?),
            (Shape::Int, Kind::Int32) => Value::Int32(i32::try_from(int()?).ok()?),
            (Shape::Long, Kind::Int64) => Value::Int64(int()?),
            // Nothing is lost that was there: a float was written with its shortest digits.
            (Shape::Float, Kind::Float32) => Value::Float32(number(json)? as f32),
            (Shape::Double, Kind::Float64) => Value::Float64(number(json)?),
            (Shape::Boolean, Kind::Boolean) => Value::Bool(json.as_bool()?),
            (Shape::String | Shape::Enum(_), Kind::String) => Value::string(json.as_str()?),
            (Shape::Bytes | Shape::Fixed(_), Kind::Bytes) => Value::Bytes(from_latin(json.as_str()?)?.into()),
            (Shape::Array(items), Kind::Array(element)) => {
                let list = json.as_array()?.iter().map(|value| self.read(*items, value, element));
                Value::Array(list.collect::<Option<_>>()?)
            }
            (Shape::Array(entry), Kind::Map(keys, values)) => {
                let Shape::Record(record) = avro.shape(*entry) else { return None };
                let [key, value] = record.fields.as_slice() else { return None };
                let pair = |json: &Json| {
                    let (k, v) = match json {
                        Json::Array(pair) => (pair.first()?, pair.get(1)?),
                        json => (json.get("key")?, json.get("value")?),
                    };
                    Some((self.read(key.schema, k, keys)?, self.read(value.schema, v, values)?))
                };
                let mut pairs = json.as_array()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            (Shape::Map(of), Kind::Map(_, values)) => {
                let pair = |(key, value): (&String, &Json)| Some((key.as_str().into(), self.read(*of, value, values)?));
                let mut pairs = json.as_object()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
                hash::order(&mut pairs);
                Value::Map(pairs)
            }
            (Shape::Record(record), Kind::Struct(fields)) => {
                let field = |(of, field): (&super::schema::Field, &connect_api::Field)| {
                    let json = json.get(&*of.name).or(of.default.as_ref())?;
                    self.read(of.schema, json, &field.schema)
                };
                if record.fields.len() != fields.len() {
                    return None;
                }
                let values = record.fields.iter().zip(fields).map(field).collect::<Option<Vec<_>>>()?;
                Value::Struct(Struct::new(Arc::clone(schema), values))
            }
            _ => return None,
        })
    }

    fn union_value(&mut self, members: &[Id], json: &Json, schema: &SchemaRef) -> Option<Value> {
        let avro = self.avro;
        if let Some(member) = avro.nullable(members) {
            return self.read(member, json, schema);
        }
        if !options::is_union(schema) {
            return self.read(*members.first()?, json, schema);
        }
        // The reference takes the first type that fits, which is the first one where the schema is right.
        let typed = members.iter().filter(|id| *avro.shape(**id) != Shape::Null).enumerate();
        for (place, member) in typed {
            let field = schema.fields().get(place)?;
            let mut check = Check { types: &avro.types, left: self.left, depth: 0 };
            let valid = check.is_valid(*member, json);
            self.left = check.left;
            if valid && let Some(value) = self.read(*member, json, &field.schema) {
                let mut values = vec![Value::Null; schema.fields().len()];
                *values.get_mut(place)? = value;
                return Some(Value::Struct(Struct::new(Arc::clone(schema), values)));
            }
        }
        None
    }
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connect, options};
    use super::super::text::parse;
    use super::*;
    use crate::unroll::on_small_stack;

    #[test]
    fn a_default_that_holds_itself_is_none() {
        on_small_stack(|| {
            let holds_itself = r#"{"type":"record","name":"R","fields":[{"name":"f","type":"R","default":{}}]}"#;
            let avro = parse(holds_itself, []).unwrap();
            assert!(!is_valid_default(&avro.types, avro.root, &serde_json::json!({})));
            let union = format!(
                r#"{{"type":"record","name":"S","fields":[{{"name":"u","type":[{holds_itself},"int","string"],"default":{{}}}}]}}"#
            );
            let schema = connect(&union, &options(&[])).unwrap();
            assert_eq!(schema.fields()[0].schema.default, None);
        });
    }

    #[test]
    fn defaults_within_defaults_are_bounded() {
        // Each record's list has two of the records below, which lack theirs.
        let mut of = r#""int""#.to_owned();
        for place in 0..20 {
            let default = if place == 0 { "[1,2]" } else { "[{},{}]" };
            of = format!(
                r#"{{"type":"record","name":"R{place}","fields":[{{"name":"f","type":{{"type":"array","items":{of}}},"default":{default}}}]}}"#
            );
        }
        let error = connect(&of, &options(&[])).unwrap_err();
        assert!(error.message().starts_with("the defaults of the schema are more than"), "{error}");
    }
}
