//! The encoding of schemas, values and records in the vectors (see `vectors/README.md`), read into our own types.
//!
//! Our values are physical: with a logical schema, a date is its number and a decimal its bytes. What does not fit
//! the schema stays as it is (a `Decimal` of another scale, a `Date` with a time of day); what only Java can tell apart
//! (an `Integer` where the schema says `Date`) is [`Undecodable`].

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_api::schema::logical;
use connect_api::value::Decimal;
use connect_api::{
    Bytes, Datum, Field, Header, Kind, Origin, Props, Record, Schema, SchemaRef, SinkOrigin, Struct, TimestampType,
    Value,
};
use num_bigint::BigInt;
use serde_json::Value as Json;

/// An input that can't be expressed in our types, with the reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Undecodable(pub(crate) String);

type Result<T> = std::result::Result<T, Undecodable>;

fn undecodable<T>(why: impl Into<String>) -> Result<T> {
    Err(Undecodable(why.into()))
}

/// A configuration: strings, or null.
pub(crate) fn props(config: &Json) -> Props {
    let entry = |(key, value): (&String, &Json)| (key.clone(), value.as_str().map(str::to_owned));
    config.as_object().map(|map| map.iter().map(entry).collect()).unwrap_or_default()
}

/// Base64, as every byte string of the vectors is written.
pub(crate) fn base64(text: &Json) -> Bytes {
    let text = text.as_str().expect("bytes are written as text");
    STANDARD.decode(text).expect("bytes are written in base64").into()
}

/// A schema; JSON null is "no schema".
pub(crate) fn schema(json: &Json) -> Result<Option<SchemaRef>> {
    if json.is_null() {
        return Ok(None);
    }
    let of = |key: &str| Ok(schema(&json[key])?.unwrap_or_else(Schema::unknown));
    let kind = match json["type"].as_str().unwrap_or_default() {
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float32" => Kind::Float32,
        "float64" => Kind::Float64,
        "boolean" => Kind::Boolean,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array(of("values")?),
        "map" => Kind::Map(of("keys")?, of("values")?),
        "struct" => Kind::Struct(fields(&json["fields"])?),
        other => return undecodable(format!("a schema of type {other}")),
    };
    let text = |key: &str| json[key].as_str().map(Arc::<str>::from);
    let mut schema = Schema {
        kind,
        optional: json["optional"] == Json::Bool(true),
        name: text("name"),
        version: json["version"].as_i64().and_then(|n| i32::try_from(n).ok()),
        doc: text("doc"),
        parameters: json["parameters"]
            .as_object()
            .map(|map| map.iter().map(|(k, v)| (k.as_str().into(), v.as_str().unwrap_or_default().into())).collect()),
        default: None,
    };
    if !json["default"].is_null() {
        let own = Arc::new(schema.clone());
        schema.default = Some(value(&json["default"], Some(&own))?);
    }
    Ok(Some(Arc::new(schema)))
}

fn fields(json: &Json) -> Result<Vec<Field>> {
    let list = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |f: &Json| {
        let schema = schema(&f["schema"])?.ok_or_else(|| Undecodable("a field without schema".into()))?;
        Ok(Field::new(f["name"].as_str().unwrap_or_default(), schema))
    };
    list.iter().map(field).collect()
}

/// A value as the object that Java has, whatever its schema says: only structs need to know theirs.
pub(crate) fn object(json: &Json, expected: Option<&SchemaRef>) -> Result<Value> {
    let (element, keys) = match expected.map(|schema| &schema.kind) {
        Some(Kind::Array(element)) => (Some(element), None),
        Some(Kind::Map(keys, values)) => (Some(values), Some(keys)),
        _ => (None, None),
    };
    let list = || json[1].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    match json[0].as_str() {
        Some("array") => Ok(Value::Array(list().map(|v| object(v, element)).collect::<Result<_>>()?)),
        Some("map") => {
            let pair = |p: &Json| Ok((object(&p[0], keys)?, object(&p[1], element)?));
            Ok(Value::Map(list().map(pair).collect::<Result<_>>()?))
        }
        Some("struct") => value(json, expected),
        _ => value(json, None),
    }
}

/// A value; `expected` is the schema that the vector gives next to it.
pub(crate) fn value(json: &Json, expected: Option<&SchemaRef>) -> Result<Value> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    let logical = expected.and_then(|s| s.name.as_deref()).filter(|name| is_logical(name));
    let form = json[0].as_str().unwrap_or_default();
    let int = || json[1].as_i64().ok_or_else(|| Undecodable("a number that is none".into()));
    if let Some(name) = logical
        && !matches!(form, "date" | "decimal")
        && !matches!(form, "str" | "bool" | "array" | "map" | "struct")
    {
        return undecodable(format!("{form} where the schema says {name}: values with a schema are physical"));
    }
    Ok(match form {
        "bool" => Value::Bool(json[1] == Json::Bool(true)),
        "i8" => Value::Int8(int()? as i8),
        "i16" => Value::Int16(int()? as i16),
        "i32" => Value::Int32(int()? as i32),
        "i64" => Value::Int64(int()?),
        "f32" => Value::Float32(json[1].as_str().unwrap_or_default().parse().expect("a float as text")),
        "f64" => Value::Float64(json[1].as_str().unwrap_or_default().parse().expect("a double as text")),
        "str" => Value::string(json[1].as_str().unwrap_or_default()),
        "utf16" => return undecodable("text with an unpaired surrogate: text is UTF-8"),
        "bytes" => Value::Bytes(base64(&json[1])),
        "bytebuffer" if json.get(2).is_some() => return undecodable("a window of a ByteBuffer: bytes have no beyond"),
        "bytebuffer" => Value::Bytes(base64(&json[1])),
        "decimal" => decimal(json, expected),
        "bigint" => Value::BigInt(Box::new(json[1].as_str().unwrap_or_default().parse().expect("a big integer"))),
        "date" => date(int()?, logical),
        "array" => array(json, expected)?,
        "map" => map(json, expected)?,
        "struct" => structure(json, expected)?,
        "java" => return undecodable(format!("an object of {}", json[1])),
        other => return undecodable(format!("a value of form {other}")),
    })
}

fn is_logical(name: &str) -> bool {
    matches!(name, logical::DATE | logical::TIME | logical::TIMESTAMP | logical::DECIMAL)
}

fn decimal(json: &Json, expected: Option<&SchemaRef>) -> Value {
    let bytes = base64(&json[1]);
    let scale = json[2].as_i64().unwrap_or_default() as i32;
    let schema_scale = expected.filter(|s| s.is(logical::DECIMAL)).and_then(|s| s.get_parameter("scale"));
    if schema_scale.and_then(|text| text.parse().ok()) == Some(scale) {
        return Value::Bytes(bytes);
    }
    Value::Decimal(Box::new(Decimal { unscaled: BigInt::from_signed_bytes_be(&bytes), scale }))
}

fn date(millis: i64, logical: Option<&str>) -> Value {
    const DAY: i64 = 86_400_000;
    match logical {
        Some(logical::DATE) if millis % DAY == 0 => {
            i32::try_from(millis / DAY).map_or(Value::Date(millis), Value::Int32)
        }
        Some(logical::TIME) if (0..=DAY).contains(&millis) => Value::Int32(millis as i32),
        Some(logical::TIMESTAMP) => Value::Int64(millis),
        _ => Value::Date(millis),
    }
}

fn array(json: &Json, expected: Option<&SchemaRef>) -> Result<Value> {
    let element = expected.and_then(|s| match &s.kind {
        Kind::Array(element) => Some(element),
        _ => None,
    });
    let list = json[1].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Value::Array(list.iter().map(|v| value(v, element)).collect::<Result<_>>()?))
}

fn map(json: &Json, expected: Option<&SchemaRef>) -> Result<Value> {
    let (keys, values) = match expected.map(|s| &s.kind) {
        Some(Kind::Map(keys, values)) => (Some(keys), Some(values)),
        _ => (None, None),
    };
    let list = json[1].as_array().map(Vec::as_slice).unwrap_or_default();
    let pair = |p: &Json| Ok((value(&p[0], keys)?, value(&p[1], values)?));
    Ok(Value::Map(list.iter().map(pair).collect::<Result<_>>()?))
}

fn structure(json: &Json, expected: Option<&SchemaRef>) -> Result<Value> {
    let own = schema(&json[2])?;
    let Some(schema) = own.as_ref().or(expected) else { return undecodable("a struct without schema") };
    let list = json[1].as_array().map(Vec::as_slice).unwrap_or_default();
    let named =
        |name: &str| list.iter().find(|pair| pair[0].as_str() == Some(name)).map_or(&Json::Null, |pair| &pair[1]);
    let values = schema.fields().iter().map(|f| value(named(&f.name), Some(&f.schema))).collect::<Result<Vec<_>>>()?;
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

/// A value with its schema.
pub(crate) fn datum(schema_json: &Json, value_json: &Json) -> Result<Datum> {
    let schema = schema(schema_json)?;
    Ok(Datum { value: value(value_json, schema.as_ref())?, schema })
}

/// A record. The source partition and offset are no part of our records: they travel beside them.
pub(crate) fn record(json: &Json) -> Result<Record> {
    let header = |h: &Json| {
        let key = h["key"].as_str().unwrap_or_default().into();
        Ok(Header { key, datum: datum(&h["schema"], &h["value"])? })
    };
    let headers = json["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let int32 = |v: &Json| v.as_i64().map(|n| n as i32);
    let origin = match json["kind"].as_str() {
        Some("sink") => Origin::Sink(SinkOrigin {
            offset: json["offset"].as_i64().unwrap_or_default(),
            timestamp_type: timestamp_type(json["timestamp_type"].as_str()),
            original_topic: json["original_topic"].as_str().unwrap_or_default().into(),
            original_partition: int32(&json["original_partition"]).unwrap_or_default(),
            original_offset: json["original_offset"].as_i64().unwrap_or_default(),
        }),
        _ => Origin::Source,
    };
    let Some(topic) = json["topic"].as_str() else { return undecodable("a record without topic") };
    Ok(Record {
        topic: topic.into(),
        partition: int32(&json["partition"]),
        timestamp: json["timestamp"].as_i64(),
        key: datum(&json["key_schema"], &json["key"])?,
        value: datum(&json["value_schema"], &json["value"])?,
        headers: headers.iter().map(header).collect::<Result<_>>()?,
        origin,
    })
}

fn timestamp_type(name: Option<&str>) -> TimestampType {
    match name {
        Some("CREATE_TIME" | "CreateTime") => TimestampType::CreateTime,
        Some("LOG_APPEND_TIME" | "LogAppendTime") => TimestampType::LogAppendTime,
        _ => TimestampType::None,
    }
}
