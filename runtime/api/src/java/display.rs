//! `Object.toString` of values.

use std::fmt::Write;

use super::text;
use crate::schema::{Kind, Schema, SchemaRef, logical};
use crate::value::{Decimal, Value};

/// The text of a value. With a logical schema it is that of the logical object.
pub fn text(value: &Value, schema: Option<&SchemaRef>) -> String {
    let mut out = String::new();
    write(value, schema, &mut out);
    out
}

/// `ConnectSchema.toString`: `Schema{INT32}`, `Schema{some.Name:STRUCT}`.
pub fn schema_text(schema: &Schema) -> String {
    if schema.is_unknown() {
        return "null".to_owned();
    }
    let name = schema.name.as_deref().map(|name| format!("{name}:")).unwrap_or_default();
    format!("Schema{{{name}{}}}", schema.kind.java_name())
}

/// Appends the text of a value.
pub fn write(value: &Value, schema: Option<&SchemaRef>, out: &mut String) {
    const DAY_MS: i64 = 86_400_000;
    let logical = schema.and_then(|schema| schema.name.as_deref());
    match (value, logical) {
        (Value::Int32(days), Some(logical::DATE)) => write_date(i64::from(*days) * DAY_MS, out),
        (Value::Int32(millis), Some(logical::TIME)) => write_date(i64::from(*millis), out),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => write_date(*millis, out),
        (Value::Bytes(bytes), Some(logical::DECIMAL)) => {
            let scale = schema.and_then(|schema| schema.get_parameter("scale")).and_then(|scale| scale.parse().ok());
            text::write_decimal(&num_bigint::BigInt::from_signed_bytes_be(bytes), scale.unwrap_or(0), out);
        }
        _ => write_plain(value, schema, out),
    }
}

fn write_plain(value: &Value, schema: Option<&SchemaRef>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int8(number) => write_number(*number, out),
        Value::Int16(number) => write_number(*number, out),
        Value::Int32(number) => write_number(*number, out),
        Value::Int64(number) => write_number(*number, out),
        Value::Float32(number) => text::write_float(*number, out),
        Value::Float64(number) => text::write_double(*number, out),
        Value::String(text) => out.push_str(text),
        // Java prints the array's address here, which means nothing anywhere.
        Value::Bytes(_) => out.push_str("[B@0"),
        Value::Array(list) => {
            let element = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(element)) => Some(element),
                _ => None,
            };
            write_joined(list, ["[", ", ", "]"], out, |value, out| write(value, element, out));
        }
        Value::Map(pairs) => {
            let (keys, values) = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(keys, values)) => (Some(keys), Some(values)),
                _ => (None, None),
            };
            write_joined(pairs, ["{", ", ", "}"], out, |(key, value), out| {
                write(key, keys, out);
                out.push('=');
                write(value, values, out);
            });
        }
        Value::Struct(value) => {
            let fields = value.schema.fields().iter().zip(&value.fields).filter(|(_, value)| !value.is_null());
            let fields: Vec<_> = fields.collect();
            write_joined(&fields, ["Struct{", ",", "}"], out, |(field, value), out| {
                out.push_str(&field.name);
                out.push('=');
                write(value, Some(&field.schema), out);
            });
        }
        Value::Decimal(decimal) => {
            let Decimal { unscaled, scale } = &**decimal;
            text::write_decimal(unscaled, *scale, out);
        }
        Value::Date(millis) => write_date(*millis, out),
        Value::BigInt(number) => write_number(number, out),
    }
}

fn write_number(number: impl std::fmt::Display, out: &mut String) {
    write!(out, "{number}").expect("writing to a string does not fail");
}

fn write_joined<T>(list: &[T], around: [&str; 3], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    out.push_str(around[0]);
    for (i, element) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(around[1]);
        }
        write(element, out);
    }
    out.push_str(around[2]);
}

/// Days since the epoch as year, month and day of the calendar that `java.util.Date` uses: Gregorian from 15 October
/// 1582, Julian before. The year is astronomical: 0 is 1 BC.
pub fn civil(days: i64) -> (i64, u32, u32) {
    const GREGORIAN_FROM: i64 = -141_427;
    let (shifted, years, day_of_era);
    if days >= GREGORIAN_FROM {
        shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        years = year + era * 400;
        day_of_era = of_era - (365 * year + year / 4 - year / 100);
    } else {
        shifted = days + 719_470;
        let era = shifted.div_euclid(1461);
        let of_era = shifted.rem_euclid(1461);
        let year = (of_era - of_era / 1460) / 365;
        years = year + era * 4;
        day_of_era = of_era - 365 * year;
    }
    let month_from_march = (5 * day_of_era + 2) / 153;
    let day = day_of_era - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (years + i64::from(month <= 2), month as u32, day as u32)
}

/// `Date.toString` in UTC: `Thu Jan 01 00:00:00 UTC 1970`.
fn write_date(millis: i64, out: &mut String) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = millis.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    // Years before the first are printed without their era.
    let year = if year > 0 { year } else { 1 - year };
    let (weekday, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize - 1]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year:04}")
        .expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Schema};
    use crate::value::Struct;

    #[test]
    fn values_print_as_in_java() {
        let schema = Schema::structure(vec![
            Field::new("x", Schema::of(Kind::Int32).shared()),
            Field::new("y", Schema::of(Kind::String).optional().shared()),
            Field::new("d", Schema::of(Kind::Int32).named(logical::DATE).shared()),
        ])
        .shared();
        let value = Value::Struct(Struct::new(schema, vec![Value::Int32(1), Value::Null, Value::Int32(1)]));
        assert_eq!(text(&value, None), "Struct{x=1,d=Fri Jan 02 00:00:00 UTC 1970}");
        let map = Value::Map(vec![("a".into(), 1.into()), ("b".into(), Value::Array(vec![Value::Null]))]);
        assert_eq!(text(&map, None), "{a=1, b=[null]}");
    }

    #[test]
    fn dates_before_october_1582_are_julian() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-141_427), (1582, 10, 15));
        assert_eq!(civil(-141_428), (1582, 10, 4));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(-719_164), (1, 1, 1));
    }
}
