//! `Cast`: gives a whole key or value, or fields of it, another type.

use connect_api::java::decimal::{self, double_value, long_value};
use connect_api::java::{display, hash};
use connect_api::schema::logical;
use connect_api::value::Decimal;
use connect_api::{
    ConfigError, Error, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value, values,
};

use num_bigint::BigInt;

use crate::schemas::{Cache, Fields, basics, check_null, filled};
use crate::side::{Side, entry, put_entry, take_map, take_struct};

const PURPOSE: &str = "cast types";
const SUPPORTED_IN: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]";
const SUPPORTED_OUT: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]";

connect_config::config! {
    /// The keys of the transform.
    pub struct CastConfig {
        /// A type for the whole, or pairs of field and type with a colon between. Types are int8, int16, int32, int64,
        /// float32, float64, boolean and string.
        "spec" => spec: Vec<String> {
            importance(High),
            validator(check("list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>", |_, value| match value {
                connect_config::ConfigValue::List(list) if !list.is_empty() => Spec::parse(list).map(|_| ()),
                _ => Err(ConfigError::new("Must specify at least one field to cast.")),
            }))
        },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("Cast", CastConfig, Cast)
}

/// What is cast to what.
enum Spec {
    Whole(Kind),
    Fields(Vec<(String, Kind)>),
}

type ConfigResult<T> = std::result::Result<T, ConfigError>;

impl Spec {
    fn parse(list: &[String]) -> ConfigResult<Self> {
        let (mut fields, mut whole): (Vec<(String, Kind)>, _) = (Vec::new(), None);
        for mapping in list {
            let mut parts: Vec<&str> = mapping.split(':').collect();
            while parts.len() > 1 && parts.last() == Some(&"") {
                parts.pop();
            }
            match parts.as_slice() {
                [ty] => whole = Some(output_kind(ty)?),
                [name, ty] => {
                    let (name, kind) = (name.trim().to_owned(), output_kind(ty)?);
                    match fields.iter_mut().find(|(other, _)| *other == name) {
                        Some(field) => field.1 = kind,
                        None => fields.push((name, kind)),
                    }
                }
                _ => {
                    let shown = format!("[{}]", list.join(", "));
                    // Kafka names the key of another transform here.
                    return Err(ConfigError::invalid("renames", shown, format!("Invalid rename mapping: {mapping}")));
                }
            }
        }
        match whole {
            Some(_) if list.len() > 1 => Err(ConfigError::new(
                "Cast transformations that specify a type to cast the entire value to may only specify a single cast in \
                 their spec",
            )),
            Some(kind) => Ok(Self::Whole(kind)),
            None => Ok(Self::Fields(fields)),
        }
    }
}

fn output_kind(text: &str) -> ConfigResult<Kind> {
    let name = text.trim().to_uppercase();
    Ok(match name.as_str() {
        "INT8" => Kind::Int8,
        "INT16" => Kind::Int16,
        "INT32" => Kind::Int32,
        "INT64" => Kind::Int64,
        "FLOAT32" => Kind::Float32,
        "FLOAT64" => Kind::Float64,
        "BOOLEAN" => Kind::Boolean,
        "STRING" => Kind::String,
        "BYTES" | "ARRAY" | "MAP" | "STRUCT" => {
            return Err(ConfigError::new(format!(
                "Cast transformation does not support casting to {name}; supported types are {SUPPORTED_OUT}"
            )));
        }
        _ => {
            let what = format!("Invalid type found in casting spec: {}", text.trim());
            let no_such = format!("No enum constant org.apache.kafka.connect.data.Schema.Type.{name}");
            return Err(ConfigError::invalid_bare(&what, format!("java.lang.IllegalArgumentException: {no_such}")));
        }
    })
}

struct Cast {
    side: Side,
    spec: Spec,
    replace_null: bool,
    schemas: Cache,
}

impl Cast {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = CastConfig::parse(props).map_err(crate::first_problem)?;
        let spec = Spec::parse(&config.spec)?;
        Ok(Self { side, spec, replace_null: config.replace_null, schemas: Cache::default() })
    }

    fn schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut made = match &self.spec {
                Spec::Whole(kind) => cast_schema(schema, kind)?,
                Spec::Fields(_) if !matches!(schema.kind, Kind::Struct(_)) => {
                    return Err(Error::data("Cannot list fields on non-struct type"));
                }
                Spec::Fields(casts) => {
                    let mut fields = Fields::default();
                    for field in schema.fields() {
                        let kind = casts.iter().find(|(name, _)| **name == *field.name).map(|(_, kind)| kind);
                        let own = match kind {
                            Some(kind) => {
                                let cast = cast_schema(&field.schema, kind)?;
                                Schema { name: None, version: None, doc: None, parameters: None, ..cast }.shared()
                            }
                            None => SchemaRef::clone(&field.schema),
                        };
                        fields.add(&field.name, own)?;
                    }
                    basics(schema, fields.into_kind())
                }
            };
            made.optional = schema.optional;
            Ok(made.shared())
        })
    }

    fn cast_map(&self, record: &mut Record, casts: &[(String, Kind)]) -> Result<()> {
        let datum = self.side.of_mut(record);
        let mut entries = take_map(datum, PURPOSE)?;
        let copied = entries.len();
        for (name, kind) in casts {
            let value = cast(None, entry(&entries, name).unwrap_or(&Value::Null), kind)?;
            put_entry(&mut entries, name, value);
        }
        hash::order_of_copy(copied, &mut entries);
        datum.value = Value::Map(entries);
        Ok(())
    }

    fn cast_struct(&self, record: &mut Record, schema: SchemaRef, casts: &[(String, Kind)]) -> Result<()> {
        let datum = self.side.of_mut(record);
        let value = take_struct(datum, PURPOSE)?;
        let mut values = Vec::with_capacity(value.fields.len());
        for (value, (field, new)) in value.fields.into_iter().zip(value.schema.fields().iter().zip(schema.fields())) {
            let mut value = filled(value, &field.schema, self.replace_null);
            if let Some((_, kind)) = casts.iter().find(|(name, _)| **name == *field.name) {
                value = cast(Some(&field.schema), &value, kind)?;
            }
            check_null(&field.name, &new.schema, &value)?;
            values.push(value);
        }
        datum.value = Value::Struct(Struct::new(SchemaRef::clone(&schema), values));
        datum.schema = Some(schema);
        Ok(())
    }
}

/// The schema of a cast value, with its default cast too.
fn cast_schema(schema: &SchemaRef, kind: &Kind) -> Result<Schema> {
    let mut made = basics(schema, kind.clone());
    made.optional = schema.optional;
    made.default = match &schema.default {
        Some(default) => Some(cast(Some(schema), default, kind)?),
        None => None,
    };
    Ok(made)
}

impl Transform for Cast {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        if datum.value.is_null() {
            return Ok(Some(record));
        }
        let schema = datum.schema.clone();
        let updated = match &schema {
            Some(schema) => Some(self.schema(schema)?),
            None => None,
        };
        match (&self.spec, updated) {
            (Spec::Whole(kind), updated) => {
                datum.value = cast(schema.as_ref(), &datum.value, kind)?;
                datum.schema = updated;
            }
            (Spec::Fields(casts), None) => self.cast_map(&mut record, casts)?,
            (Spec::Fields(casts), Some(updated)) => self.cast_struct(&mut record, updated, casts)?,
        }
        Ok(Some(record))
    }
}

/// `Cast.castValueToType`.
fn cast(schema: Option<&SchemaRef>, value: &Value, kind: &Kind) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let class = value.java_class(schema.map(|schema| &**schema));
    let from = match schema {
        Some(schema) => Some(schema.kind.java_name())
            .filter(|_| matches!(schema.kind, Kind::Array(_) | Kind::Map(..) | Kind::Struct(_))),
        None => match value {
            Value::Array(_) => Some("ARRAY"),
            Value::Map(_) => Some("MAP"),
            Value::Struct(_) => Some("STRUCT"),
            Value::Decimal(_) | Value::Date(_) | Value::BigInt(_) => {
                return Err(Error::data(format!(
                    "Cast transformation was passed a value of type class {class} which is not supported by Connect's data API"
                )));
            }
            _ => None,
        },
    };
    if let Some(from) = from {
        return Err(Error::data(format!(
            "Cast transformation does not support casting from {from}; supported types are {SUPPORTED_IN}"
        )));
    }
    if *kind == Kind::String {
        return Ok(cast_to_string(schema, value));
    }
    let physical = physical(schema, value);
    let found = match kind {
        Kind::Boolean => boolean(&physical),
        kind => number(&physical, kind),
    };
    match found {
        Some(value) => Ok(value),
        None => match physical {
            Value::String(text) => {
                let error = Error::data(format!("Value ({text}) was out of range for requested data type"));
                let cause = Error::data(not_a_number(&text, kind)).class("java.lang.NumberFormatException");
                Err(error.caused_by(cause))
            }
            _ => Err(Error::data(format!("Unexpected type in Cast transformation: class {class}"))),
        },
    }
}

/// What Java says of a text that is not the number it should be.
fn not_a_number(text: &str, kind: &Kind) -> String {
    let small = matches!(kind, Kind::Int8 | Kind::Int16) && text.parse::<i32>().is_ok();
    let floating = matches!(kind, Kind::Float32 | Kind::Float64);
    match text.trim().is_empty() {
        true if floating => "empty String".to_owned(),
        _ if small => format!("Value out of range. Value:\"{text}\" Radix:10"),
        _ => format!("For input string: \"{text}\""),
    }
}

/// Dates as the numbers they are, and decimals as decimals.
fn physical(schema: Option<&SchemaRef>, value: &Value) -> Value {
    const DAY_MS: i64 = 86_400_000;
    match (schema.and_then(|schema| schema.name.as_deref()), value) {
        (Some(logical::DATE), Value::Date(millis)) => Value::Int32(millis.div_euclid(DAY_MS) as i32),
        (Some(logical::TIME), Value::Date(millis)) => Value::Int32(*millis as i32),
        (Some(logical::TIMESTAMP), Value::Date(millis)) => Value::Int64(*millis),
        (Some(logical::DECIMAL), Value::Bytes(bytes)) => {
            let scale = schema.and_then(|schema| schema.get_parameter("scale")).and_then(|scale| scale.parse().ok());
            let unscaled = BigInt::from_signed_bytes_be(bytes);
            Value::Decimal(Box::new(Decimal { unscaled, scale: scale.unwrap_or(0) }))
        }
        _ => value.clone(),
    }
}

fn number(value: &Value, kind: &Kind) -> Option<Value> {
    let from_long = |n: i64| match kind {
        Kind::Int8 => Value::Int8(n as i8),
        Kind::Int16 => Value::Int16(n as i16),
        Kind::Int32 => Value::Int32(n as i32),
        Kind::Int64 => Value::Int64(n),
        Kind::Float32 => Value::Float32(n as f32),
        _ => Value::Float64(n as f64),
    };
    // Java narrows a float to a byte or short by way of an int.
    let from_double = |n: f64, single: Option<f32>| match kind {
        Kind::Int8 => Value::Int8(n as i32 as i8),
        Kind::Int16 => Value::Int16(n as i32 as i16),
        Kind::Int32 => Value::Int32(n as i32),
        Kind::Int64 => Value::Int64(n as i64),
        Kind::Float32 => Value::Float32(single.unwrap_or(n as f32)),
        _ => Value::Float64(n),
    };
    Some(match value {
        Value::Int8(n) => from_long(i64::from(*n)),
        Value::Int16(n) => from_long(i64::from(*n)),
        Value::Int32(n) => from_long(i64::from(*n)),
        Value::Int64(n) => from_long(*n),
        Value::Float32(n) => from_double(f64::from(*n), Some(*n)),
        Value::Float64(n) => from_double(*n, None),
        Value::Bool(b) => from_long(i64::from(*b)),
        Value::Decimal(n) if matches!(kind, Kind::Float32 | Kind::Float64) => from_double(double_value(n), None),
        Value::Decimal(n) => from_long(long_value(n)),
        Value::String(text) => parse_number(text, kind)?,
        _ => return None,
    })
}

fn parse_number(text: &str, kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Int8 => Value::Int8(parse_integer(text)?.try_into().ok()?),
        Kind::Int16 => Value::Int16(parse_integer(text)?.try_into().ok()?),
        Kind::Int32 => Value::Int32(parse_integer(text)?.try_into().ok()?),
        Kind::Int64 => Value::Int64(parse_integer(text)?),
        Kind::Float32 => Value::Float32(java_float(text)?.1),
        _ => Value::Float64(java_float(text)?.0),
    })
}

/// `Long.parseLong`, which knows the digits of all scripts.
fn parse_integer(text: &str) -> Option<i64> {
    if text.contains(['.', 'e', 'E']) {
        return None;
    }
    i64::try_from(decimal::parse(text)?.unscaled).ok()
}

/// `Double.parseDouble` and `Float.parseFloat`: white space around, a type letter behind, hexadecimal.
fn java_float(text: &str) -> Option<(f64, f32)> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match unsigned {
        "NaN" => return Some((f64::NAN, f32::NAN)),
        "Infinity" => return Some((sign * f64::INFINITY, sign as f32 * f32::INFINITY)),
        _ => {}
    }
    let digits = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let value = sign * hexadecimal(hex)?;
        return Some((value, value as f32));
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (double, single): (f64, f32) = (digits.parse().ok()?, digits.parse().ok()?);
    Some((sign * double, sign as f32 * single))
}

/// The mantissa and binary exponent behind `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 13 {
        return None;
    }
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    Some(bits as f64 * 2f64.powi(exponent.checked_sub(4 * fraction.len() as i32)?))
}

fn boolean(value: &Value) -> Option<Value> {
    Some(Value::Bool(match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        other => matches!(number(other, &Kind::Int64)?, Value::Int64(n) if n != 0),
    }))
}

fn cast_to_string(schema: Option<&SchemaRef>, value: &Value) -> Value {
    let logical = schema.and_then(|schema| schema.name.as_deref());
    let is_date = matches!(logical, Some(logical::DATE | logical::TIME | logical::TIMESTAMP));
    let plain_bytes = matches!(value, Value::Bytes(_)) && logical != Some(logical::DECIMAL);
    if is_date || plain_bytes || matches!(value, Value::Date(_)) {
        return values::convert_to_string(schema, value).map_or(Value::Null, Value::from);
    }
    Value::from(display::text(value, schema))
}
