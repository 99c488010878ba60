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

/// Whether a field of this type may have this default (`Schema.isValidDefault`).
pub(crate) fn is_valid_default(types: &Types, id: Id, default: &Json) -> bool {
    match (types.shape(id), default) {
        (Shape::String | Shape::Bytes | Shape::Enum(_) | Shape::Fixed(_), Json::String(_))
        | (Shape::Float | Shape::Double, Json::Number(_))
        | (Shape::Boolean, Json::Bool(_))
        | (Shape::Null, Json::Null) => true,
        (Shape::Int, Json::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        (Shape::Long, Json::Number(number)) => number.as_i64().is_some(),
        (Shape::Array(items), Json::Array(list)) => list.iter().all(|value| is_valid_default(types, *items, value)),
        (Shape::Map(values), Json::Object(map)) => map.values().all(|value| is_valid_default(types, *values, value)),
        (Shape::Union(members), value) => members.iter().any(|member| is_valid_default(types, *member, value)),
        (Shape::Record(record), Json::Object(object)) => record.fields.iter().all(|field| {
            let value = object.get(&*field.name).or(field.default.as_ref());
            value.is_some_and(|value| is_valid_default(types, field.schema, value))
        }),
        _ => false,
    }
}

/// A default of Avro as a value of the Connect schema that its type became; nothing when it does not fit.
pub(crate) fn default_value(avro: &Schema, id: Id, json: &Json, schema: &SchemaRef) -> Option<Value> {
    let int = || json.as_i64();
    Some(match (avro.shape(id), &schema.kind) {
        (_, _) if json.is_null() => {
            if !schema.optional {
                return None;
            }
            Value::Null
        }
        (Shape::Union(members), _) => return union_value(avro, members, json, schema),
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
            let list = json.as_array()?.iter().map(|value| default_value(avro, *items, value, element));
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
                Some((default_value(avro, key.schema, k, keys)?, default_value(avro, value.schema, v, values)?))
            };
            let mut pairs = json.as_array()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
            hash::order(&mut pairs);
            Value::Map(pairs)
        }
        (Shape::Map(of), Kind::Map(_, values)) => {
            let pair =
                |(key, value): (&String, &Json)| Some((key.as_str().into(), default_value(avro, *of, value, values)?));
            let mut pairs = json.as_object()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
            hash::order(&mut pairs);
            Value::Map(pairs)
        }
        (Shape::Record(record), Kind::Struct(fields)) => {
            let field = |(of, field): (&super::schema::Field, &connect_api::Field)| {
                let json = json.get(&*of.name).or(of.default.as_ref())?;
                default_value(avro, of.schema, json, &field.schema)
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

fn union_value(avro: &Schema, members: &[Id], json: &Json, schema: &SchemaRef) -> Option<Value> {
    if let Some(member) = avro.nullable(members) {
        return default_value(avro, member, json, schema);
    }
    if !options::is_union(schema) {
        return default_value(avro, *members.first()?, json, schema);
    }
    // The reference takes the first type that fits, which is the first one where the schema is right.
    let typed = members.iter().filter(|id| *avro.shape(**id) != Shape::Null).enumerate();
    for (place, member) in typed {
        let field = schema.fields().get(place)?;
        if is_valid_default(&avro.types, *member, json)
            && let Some(value) = default_value(avro, *member, json, &field.schema)
        {
            let mut values = vec![Value::Null; schema.fields().len()];
            *values.get_mut(place)? = value;
            return Some(Value::Struct(Struct::new(Arc::clone(schema), values)));
        }
    }
    None
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
