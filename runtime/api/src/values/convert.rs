//! Conversions of values to a wanted type (`Values.convertToBoolean` and so on), as forgiving as Connect's: texts are read,
//! numbers are cut to size.
//!
//! Values are objects here, and `from` is the schema they had, for dates and for messages; see [`object`](super::object()).

use std::fmt::Display;

use num_bigint::BigInt;

use super::logical::{date_of_days, days_of_date, millis_of_time, on_the_first_day, time_of_millis};
use super::parse::parse_objects;
use super::temporal::DAY_MS;
use super::text::convert_to_string;
use crate::error::{Error, Result};
use crate::java::{decimal, display, number, text};
use crate::schema::{Kind, Schema, logical};
use crate::value::{Decimal, Struct, Value};

/// `Values.convertToBoolean`: numbers are true unless they are zero.
pub fn convert_to_boolean(from: Option<&Schema>, value: &Value) -> Result<Option<bool>> {
    match value {
        Value::Null => return Ok(None),
        Value::Bool(value) => return Ok(Some(*value)),
        Value::String(text) => {
            if let Value::Bool(value) = parsed(text)? {
                return Ok(Some(value));
            }
        }
        _ => {}
    }
    as_long(value, from).map(|number| Some(number != 0))
}

/// `Values.convertToByte`.
pub fn convert_to_byte(from: Option<&Schema>, value: &Value) -> Result<Option<i8>> {
    Ok(convert_to_long(from, value)?.map(|number| number as i8))
}

/// `Values.convertToShort`.
pub fn convert_to_short(from: Option<&Schema>, value: &Value) -> Result<Option<i16>> {
    Ok(convert_to_long(from, value)?.map(|number| number as i16))
}

/// `Values.convertToInteger`.
pub fn convert_to_integer(from: Option<&Schema>, value: &Value) -> Result<Option<i32>> {
    Ok(convert_to_long(from, value)?.map(|number| number as i32))
}

/// `Values.convertToLong`.
pub fn convert_to_long(from: Option<&Schema>, value: &Value) -> Result<Option<i64>> {
    if value.is_null() { Ok(None) } else { as_long(value, from).map(Some) }
}

/// `Values.convertToFloat`.
pub fn convert_to_float(from: Option<&Schema>, value: &Value) -> Result<Option<f32>> {
    if let Value::Float32(number) = value {
        return Ok(Some(*number));
    }
    Ok(convert_to_double(from, value)?.map(|number| number as f32))
}

/// `Values.convertToDouble`.
pub fn convert_to_double(from: Option<&Schema>, value: &Value) -> Result<Option<f64>> {
    if value.is_null() {
        return Ok(None);
    }
    if let Some(number) = number::double_value(value) {
        return Ok(Some(number));
    }
    if let Value::String(text) = value
        && let Some(number) = decimal::Numeral::parse(text)
    {
        return Ok(Some(number.double()));
    }
    as_long(value, from).map(|number| Some(number as f64))
}

/// `Values.convertToList`: a list, or the text of one.
pub fn convert_to_list(value: Value) -> Result<Vec<Value>> {
    list(&Schema::of(Kind::Array(Schema::unknown())), value)
}

/// `Values.convertToMap`: a map, or the text of one.
pub fn convert_to_map(value: Value) -> Result<Vec<(Value, Value)>> {
    map(&Schema::of(Kind::Map(Schema::unknown(), Schema::unknown())), value)
}

/// `Values.convertToStruct`.
pub fn convert_to_struct(value: Value) -> Result<Struct> {
    structure(&Schema::structure(Vec::new()), value)
}

/// `Values.convertToDate`: milliseconds since the epoch. Numbers are days.
pub fn convert_to_date(from: Option<&Schema>, value: Value) -> Result<i64> {
    let value = read(value)?;
    if let Value::Date(millis) = value {
        match from.map(|schema| schema.name.as_deref()) {
            None | Some(Some(logical::DATE)) => return Ok(millis),
            Some(Some(logical::TIMESTAMP)) => return Ok(date_of_days((millis / DAY_MS) as i32)),
            _ => {}
        }
    }
    Ok(date_of_days(as_long(&value, from)? as i32))
}

/// `Values.convertToTime`: milliseconds since the epoch. Numbers are milliseconds.
pub fn convert_to_time(from: Option<&Schema>, value: Value) -> Result<i64> {
    let value = read(value)?;
    if let Value::Date(millis) = value {
        match from.map(|schema| schema.name.as_deref()) {
            None | Some(Some(logical::TIME)) => return Ok(millis),
            Some(Some(logical::TIMESTAMP)) => return time_of_millis(on_the_first_day(millis) as i32),
            _ => {}
        }
    }
    time_of_millis(as_long(&value, from)? as i32)
}

/// `Values.convertToTimestamp`: milliseconds since the epoch, as numbers are.
pub fn convert_to_timestamp(from: Option<&Schema>, value: Value) -> Result<i64> {
    let value = read(value)?;
    if let Value::Date(millis) = value {
        match from.map(|schema| schema.name.as_deref()) {
            None | Some(Some(logical::TIMESTAMP)) => return Ok(millis),
            Some(Some(logical::DATE)) => return days_of_date(millis).map(date_of_days),
            Some(Some(logical::TIME)) => return millis_of_time(millis).map(i64::from),
            _ => {}
        }
    }
    as_long(&value, from)
}

/// `Values.convertToDecimal`. The scale is that of bytes; decimals and texts keep their own, other numbers have the one
/// that their text as a double has.
pub fn convert_to_decimal(value: &Value, scale: i32) -> Result<Decimal> {
    let schema = Schema::of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", scale.to_string());
    as_decimal(&schema, value)
}

/// `Values.convertTo`: the value that a schema wants, as an object.
pub fn convert_to(to: &Schema, from: Option<&Schema>, value: Value) -> Result<Value> {
    if value.is_null() {
        return if to.optional { Ok(Value::Null) } else { Err(null_refused()) };
    }
    Ok(match (&to.kind, to.name.as_deref()) {
        (Kind::Bytes, Some(logical::DECIMAL)) => Value::Decimal(Box::new(as_decimal(to, &value)?)),
        (Kind::Bytes, _) => bytes(to, value)?,
        (Kind::String, _) => match value {
            Value::String(_) => value,
            value => convert_to_string(None, &value).into(),
        },
        (Kind::Boolean, _) => convert_to_boolean(from, &value)?.into(),
        (Kind::Int8, _) => convert_to_byte(from, &value)?.map_or(Value::Null, Value::Int8),
        (Kind::Int16, _) => convert_to_short(from, &value)?.map_or(Value::Null, Value::Int16),
        (Kind::Int32, Some(logical::DATE)) => Value::Date(convert_to_date(from, value)?),
        (Kind::Int32, Some(logical::TIME)) => Value::Date(convert_to_time(from, value)?),
        (Kind::Int32, _) => convert_to_integer(from, &value)?.into(),
        (Kind::Int64, Some(logical::TIMESTAMP)) => Value::Date(convert_to_timestamp(from, value)?),
        (Kind::Int64, _) => convert_to_long(from, &value)?.into(),
        (Kind::Float32, _) => convert_to_float(from, &value)?.map_or(Value::Null, Value::Float32),
        (Kind::Float64, _) => convert_to_double(from, &value)?.map_or(Value::Null, Value::Float64),
        (Kind::Array(_), _) => Value::Array(list(to, value)?),
        (Kind::Map(..), _) => Value::Map(map(to, value)?),
        (Kind::Struct(_), _) => Value::Struct(structure(to, value)?),
        // A schema that is none wants nothing.
        (Kind::Unknown, _) => value,
    })
}

fn list(to: &Schema, value: Value) -> Result<Vec<Value>> {
    match read(value)? {
        Value::Array(list) => Ok(list),
        other => Err(refused(&other, &display::schema_text(to))),
    }
}

fn map(to: &Schema, value: Value) -> Result<Vec<(Value, Value)>> {
    match read(value)? {
        Value::Map(pairs) => Ok(pairs),
        other => Err(refused(&other, &display::schema_text(to))),
    }
}

fn structure(to: &Schema, value: Value) -> Result<Struct> {
    match value {
        Value::Null => Err(null_refused()),
        Value::Struct(structure) => Ok(structure),
        other => Err(refused(&other, &display::schema_text(to))),
    }
}

fn bytes(to: &Schema, value: Value) -> Result<Value> {
    match value {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes)),
        Value::Decimal(decimal) => {
            let scale = scale_of(to)?;
            if decimal.scale != scale {
                return Err(Error::data(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, value has \
                     scale {}.",
                    decimal.scale
                )));
            }
            Ok(Value::Bytes(decimal.unscaled.to_signed_bytes_be().into()))
        }
        other => Err(refused(&other, &display::schema_text(to))),
    }
}

fn as_decimal(to: &Schema, value: &Value) -> Result<Decimal> {
    let not_a_number = |text: &str| {
        Error::data(format!("{text:?} is not a decimal number"))
            .class("java.lang.NumberFormatException")
            .hint("A decimal number is digits with a sign, a point and an exponent, each if need be.")
    };
    match value {
        Value::Null => Err(null_refused()),
        Value::Bytes(bytes) => {
            let scale = scale_of(to)?;
            if bytes.is_empty() {
                return Err(not_a_number(""));
            }
            Ok(Decimal { unscaled: BigInt::from_signed_bytes_be(bytes), scale })
        }
        Value::Decimal(decimal) => Ok((**decimal).clone()),
        Value::String(text) => decimal::parse(text).ok_or_else(|| not_a_number(text)),
        other => match number::double_value(other).map(text::double) {
            Some(text) => decimal::parse(&text).ok_or_else(|| not_a_number(&text)),
            None => Err(refused(other, &display::schema_text(to))),
        },
    }
}

fn scale_of(schema: &Schema) -> Result<i32> {
    let Some(text) = schema.get_parameter("scale") else {
        return Err(Error::data("Invalid Decimal schema: scale parameter not found."));
    };
    text.parse::<i32>().map_err(|e| Error::data("Invalid scale parameter found in Decimal schema: ").caused_by(e))
}

/// A text read, any other value as it is; null is refused.
fn read(value: Value) -> Result<Value> {
    match value {
        Value::Null => Err(null_refused()),
        Value::String(text) => parsed(&text),
        other => Ok(other),
    }
}

/// What a text says. One that says null is refused: Connect fails there too, if not on purpose.
fn parsed(text: &str) -> Result<Value> {
    match parse_objects(text)?.value {
        Value::Null => Err(Error::data("The text \"null\" can't be converted to a value.")
            .class("java.lang.NullPointerException")
            .hint("Leave the value out, or give one.")),
        value => Ok(value),
    }
}

fn as_long(value: &Value, from: Option<&Schema>) -> Result<i64> {
    if let Some(number) = number::long_value(value) {
        return Ok(number);
    }
    if let Value::String(text) = value
        && let Some(number) = decimal::Numeral::parse(text)
    {
        return Ok(number.long());
    }
    let Some(schema) = from else { return Err(refused(value, &"a number")) };
    match (value, schema.name.as_deref()) {
        (Value::Date(millis), Some(logical::DATE)) => days_of_date(*millis).map(i64::from),
        (Value::Date(millis), Some(logical::TIME)) => millis_of_time(*millis).map(i64::from),
        (Value::Date(millis), Some(logical::TIMESTAMP)) => Ok(*millis),
        _ => Err(refused(value, &display::schema_text(schema))),
    }
}

fn null_refused() -> Error {
    Error::data("Unable to convert a null value to a schema that requires a value")
}

fn refused(value: &Value, wanted: &dyn Display) -> Error {
    let (shown, class) = match value {
        // An array of bytes shows its address there, which helps nobody; a buffer shows its length.
        Value::Bytes(bytes) => (
            format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]", length = bytes.len()),
            "java.nio.HeapByteBuffer",
        ),
        value => (display::text(value, None), value.object_class()),
    };
    Error::data(format!("Unable to convert {shown} (class {class}) to {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(kind: Kind, name: &str) -> Schema {
        Schema::of(kind).named(name)
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().message().to_owned()
    }

    #[test]
    fn numbers_are_cut_to_size() {
        assert_eq!(convert_to_byte(None, &Value::Int16(300)).unwrap(), Some(44));
        assert_eq!(convert_to_byte(None, &Value::Float64(1e300)).unwrap(), Some(-1));
        assert_eq!(convert_to_integer(None, &"-5.9".into()).unwrap(), Some(-5));
        assert_eq!(convert_to_long(None, &"1e30".into()).unwrap(), Some(5_076_944_270_305_263_616));
        assert_eq!(convert_to_float(None, &Value::Float64(1e300)).unwrap(), Some(f32::INFINITY));
        assert_eq!(convert_to_double(None, &Value::Null).unwrap(), None);
    }

    #[test]
    fn booleans_are_words_and_numbers() {
        assert_eq!(convert_to_boolean(None, &" true ".into()).unwrap(), Some(true));
        assert_eq!(convert_to_boolean(None, &Value::Float64(f64::NAN)).unwrap(), Some(false));
        let yes = "Unable to convert yes (class java.lang.String) to a number";
        assert_eq!(message(convert_to_boolean(None, &"yes".into())), yes);
    }

    #[test]
    fn dates_follow_the_schema_they_had() {
        let (date, time) = (schema(Kind::Int32, logical::DATE), schema(Kind::Int32, logical::TIME));
        let timestamp = schema(Kind::Int64, logical::TIMESTAMP);
        let value = Value::Date(1_577_934_245_123);
        assert_eq!(convert_to_date(Some(&timestamp), value.clone()).unwrap(), 1_577_923_200_000);
        assert_eq!(convert_to_time(Some(&timestamp), value.clone()).unwrap(), 11_045_123);
        assert_eq!(convert_to_time(None, value.clone()).unwrap(), 1_577_934_245_123);
        assert_eq!(convert_to_time(Some(&date), Value::Date(18_000 * DAY_MS)).unwrap(), 18_000);
        assert_eq!(convert_to_long(Some(&time), &Value::Date(3_661_001)).unwrap(), Some(3_661_001));
        assert_eq!(convert_to_date(None, "18000".into()).unwrap(), 18_000 * DAY_MS);
        assert_eq!(
            message(convert_to_timestamp(Some(&date), Value::Date(1))),
            "Kafka Connect Date type should not have any time fields set to non-zero values."
        );
        let plain = Schema::of(Kind::Int64);
        let expected = "Unable to convert Thu Jan 02 03:04:05 UTC 2020 (class java.util.Date) to Schema{INT64}";
        assert_eq!(message(convert_to_timestamp(Some(&plain), value)), expected);
    }

    #[test]
    fn decimals_of_other_numbers_go_through_their_text() {
        let decimal = |value: Value| convert_to_decimal(&value, 2).unwrap();
        assert_eq!(decimal(Value::Int8(5)), Decimal { unscaled: 50.into(), scale: 1 });
        assert_eq!(decimal(Value::Float64(1e300)), Decimal { unscaled: 10.into(), scale: -299 });
        assert_eq!(decimal("-5.9".into()), Decimal { unscaled: (-59).into(), scale: 1 });
        assert_eq!(decimal(Value::Bytes(vec![1, 2].into())), Decimal { unscaled: 258.into(), scale: 2 });
        let error = convert_to_decimal(&Value::Float64(f64::NAN), 2).unwrap_err();
        assert_eq!(error.java_class(), "java.lang.NumberFormatException");
        assert_eq!(
            message(convert_to_decimal(&Value::Bool(true), 2)),
            "Unable to convert true (class java.lang.Boolean) to Schema{org.apache.kafka.connect.data.Decimal:BYTES}"
        );
    }

    #[test]
    fn lists_and_maps_may_be_texts() {
        assert_eq!(convert_to_list("[1]".into()).unwrap(), vec![Value::Int8(1)]);
        assert_eq!(
            message(convert_to_list("{\"a\":1}".into())),
            "Unable to convert {a=1} (class java.util.LinkedHashMap) to Schema{ARRAY}"
        );
        assert_eq!(
            message(convert_to_map("2020-01-02".into())),
            "Unable to convert Thu Jan 02 00:00:00 UTC 2020 (class java.util.Date) to Schema{MAP}"
        );
        assert_eq!(
            message(convert_to_struct(Value::Bytes(vec![3, 4].into()))),
            "Unable to convert java.nio.HeapByteBuffer[pos=0 lim=2 cap=2] (class java.nio.HeapByteBuffer) to \
             Schema{STRUCT}"
        );
        assert_eq!(convert_to_map("null".into()).unwrap_err().java_class(), "java.lang.NullPointerException");
        let null = "Unable to convert a null value to a schema that requires a value";
        assert_eq!(message(convert_to_list(Value::Null)), null);
    }

    #[test]
    fn a_schema_gets_what_it_wants() {
        let date = schema(Kind::Int32, logical::DATE);
        assert_eq!(convert_to(&date, None, Value::Int8(2)).unwrap(), Value::Date(2 * DAY_MS));
        let text = Schema::of(Kind::String);
        assert_eq!(convert_to(&text, None, Value::Date(0)).unwrap(), "00:00:00.000Z".into());
        assert_eq!(convert_to(&text.optional(), None, Value::Null).unwrap(), Value::Null);
        let bytes = Schema::of(Kind::Bytes).parameter("scale", "1");
        let decimal = Value::Decimal(Box::new(Decimal { unscaled: 5.into(), scale: 2 }));
        assert_eq!(
            message(convert_to(&bytes, None, decimal)),
            "Decimal value has mismatching scale for given Decimal schema. Schema has scale 1, value has scale 2."
        );
    }
}
