//! `MaskField`: puts an empty value of the same type, or a replacement, in the place of fields.

use connect_api::java::{decimal, hash};
use connect_api::schema::logical;
use connect_api::value::Decimal;
use connect_api::{Error, Plugin, Props, Record, Result, Schema, Struct, Transform, Value};

use crate::schemas::{check_null, filled};
use crate::side::{Side, entry, put_entry, take_map, take_struct};

const PURPOSE: &str = "mask fields";

connect_config::config! {
    /// The keys of the transform.
    pub struct MaskFieldConfig {
        /// The fields to mask.
        "fields" => fields: Vec<String> { importance(High), validator(non_empty_list()) },
        /// What is put in their place, for numbers and texts; without it an empty or zero value.
        "replacement" => replacement: Option<String> = NULL {
            importance(Low), validator(check("non-empty string", |key, value| match value {
                connect_config::ConfigValue::String(text) if text.is_empty() => {
                    Err(connect_config::ConfigError::invalid(key, text, "String must be non-empty"))
                }
                _ => Ok(()),
            }))
        },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("MaskField", MaskFieldConfig, MaskField)
}

struct MaskField {
    side: Side,
    config: MaskFieldConfig,
}

impl MaskField {
    fn new(props: &Props, side: Side) -> Result<Self> {
        Ok(Self { side, config: MaskFieldConfig::parse(props).map_err(crate::first_problem)? })
    }

    fn masked(&self, value: &Value, schema: Option<&Schema>) -> Result<Value> {
        match &self.config.replacement {
            _ if value.is_null() => Ok(Value::Null),
            None => empty(value, schema),
            Some(text) => replaced(value, schema, text),
        }
    }
}

fn zero_decimal() -> Value {
    Value::Decimal(Box::new(Decimal { unscaled: 0.into(), scale: 0 }))
}

/// The empty value of the same type.
fn empty(value: &Value, schema: Option<&Schema>) -> Result<Value> {
    let decimal_of_no_scale = || schema.and_then(|schema| schema.get_parameter("scale")) == Some("0");
    Ok(match value {
        Value::Bool(_) => Value::Bool(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::string(""),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Date(_) => Value::Date(0),
        Value::BigInt(_) => Value::BigInt(Box::default()),
        Value::Bytes(_) if schema.is_some_and(|schema| schema.is(logical::DECIMAL)) => {
            if decimal_of_no_scale() {
                Value::Bytes(vec![0].into())
            } else {
                zero_decimal()
            }
        }
        Value::Decimal(_) if decimal_of_no_scale() => Value::Bytes(vec![0].into()),
        Value::Decimal(_) => zero_decimal(),
        Value::Null | Value::Bytes(_) | Value::Struct(_) => {
            let class = value.java_class(schema);
            return Err(Error::data(format!("Cannot mask value of type: class {class}")));
        }
    })
}

/// The replacement as the type that the value has.
fn replaced(value: &Value, schema: Option<&Schema>, text: &str) -> Result<Value> {
    let class = value.java_class(schema);
    let no_number = || Error::data(format!("Unable to convert {text} (class java.lang.String) to a number"));
    let number = || decimal::Numeral::parse(text).ok_or_else(no_number);
    let long = || number().map(|number| number.long());
    let double = || number().map(|number| number.double());
    Ok(match (class, value) {
        ("java.lang.Byte", _) => Value::Int8(long()? as i8),
        ("java.lang.Short", _) => Value::Int16(long()? as i16),
        ("java.lang.Integer", _) => Value::Int32(long()? as i32),
        ("java.lang.Long", _) => Value::Int64(long()?),
        ("java.lang.Float", _) => Value::Float32(double()? as f32),
        ("java.lang.Double", _) => Value::Float64(double()?),
        ("java.lang.String", _) => Value::string(text),
        ("java.math.BigDecimal", _) => {
            let number = number()?.into_decimal();
            let scale = schema.and_then(|schema| schema.get_parameter("scale")).and_then(|scale| scale.parse().ok());
            if scale == Some(number.scale) {
                Value::Bytes(number.unscaled.to_signed_bytes_be().into())
            } else {
                Value::Decimal(Box::new(number))
            }
        }
        ("java.math.BigInteger", _) => Value::BigInt(Box::new(text.parse().map_err(|_| no_number())?)),
        _ => return Err(Error::data(format!("Cannot mask value of type class {class} with custom replacement."))),
    })
}

impl Transform for MaskField {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        if datum.schema.is_none() {
            let mut entries = take_map(datum, PURPOSE)?;
            let copied = entries.len();
            for name in &self.config.fields {
                let masked = self.masked(entry(&entries, name).unwrap_or(&Value::Null), None)?;
                put_entry(&mut entries, name, masked);
            }
            hash::order_of_copy(copied, &mut entries);
            datum.value = Value::Map(entries);
            return Ok(Some(record));
        }
        let value = take_struct(datum, PURPOSE)?;
        let mut values = Vec::with_capacity(value.fields.len());
        for (value, field) in value.fields.into_iter().zip(value.schema.fields()) {
            let mut value = filled(value, &field.schema, self.config.replace_null);
            if self.config.fields.iter().any(|name| **name == *field.name) {
                value = self.masked(&value, Some(&field.schema))?;
            }
            check_null(&field.name, &field.schema, &value)?;
            values.push(value);
        }
        datum.value = Value::Struct(Struct::new(value.schema, values));
        Ok(Some(record))
    }
}
