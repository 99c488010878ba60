//! Defaults of columns as the reference reads them out of their expressions (`PostgresDefaultValueConverter`).
//!
//! It looks at the text only: the first quoted literal counts, a function call stands for a fixed value of the type. The
//! recorded oddities (`'it''s'` becomes `it`) are kept, because the default is part of the schema that consumers know.

use std::sync::LazyLock;

use bytes::Bytes;
use connect_api::Value;
use regex::Regex;

use crate::calendar::Calendar;
use crate::decode::{Decoder, Text, Unit};

static FUNCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[(]?[A-Za-z0-9_.]+\(.*\)").expect("the pattern is constant"));
static LITERAL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)'(.*?)'").expect("the pattern is constant"));

/// Types whose defaults the reference reads, and what a function call stands for.
fn generated(type_oid: u32) -> Option<&'static str> {
    Some(match type_oid {
        16 => "false",
        20 | 21 | 23 | 26 => "0",
        700 | 701 | 1700 => "0.00",
        18 | 19 | 25 | 1042 | 1043 | 114 | 3802 | 142 => "",
        1082 => "1970-01-01",
        1083 => "00:00:00",
        1114 => "1970-01-01 00:00:00",
        1184 => "1970-01-01 00:00:00+00",
        1186 => "00:00:00",
        1560 | 1562 => "",
        2950 => "00000000-0000-0000-0000-000000000000",
        _ => return None,
    })
}

/// A decimal's text with all digits of its scale.
fn scaled(text: &str, typmod: i32) -> Option<String> {
    let wanted = usize::try_from(typmod.checked_sub(4).filter(|&n| n >= 0)? & 0xffff).ok()?;
    let own = text.find('.').map_or(0, |at| text.len() - at - 1);
    let point = if own == 0 && wanted > 0 { "." } else { "" };
    Some(format!("{text}{point}{}", "0".repeat(wanted.saturating_sub(own))))
}

/// Defaults are read with `java.time` everywhere, whoever reads the values.
fn reader(decoder: &Decoder) -> Decoder {
    match *decoder {
        Decoder::Date { iso, .. } => Decoder::Date { iso, calendar: Calendar::Gregorian },
        Decoder::Timestamp(unit, _) => Decoder::Timestamp(unit, Calendar::Gregorian),
        Decoder::ZonedTimestamp(digits, _) => Decoder::ZonedTimestamp(digits, Calendar::Gregorian),
        ref other => other.clone(),
    }
}

/// What an infinite default becomes: the last or first day that `java.time` knows, where it fits.
fn endless(decoder: &Decoder, last: bool) -> Option<Value> {
    let either = |first: &'static str, end: &'static str| Value::from(if last { end } else { first });
    let number = |first: i64, end: i64| Value::Int64(if last { end } else { first });
    Some(match decoder {
        Decoder::Date { iso: true, .. } => either("-999999999-01-01Z", "+999999999-12-31Z"),
        Decoder::Date { .. } => Value::Int32(if last { 169_560_311 } else { -170_999_002 }),
        Decoder::Timestamp(Unit::Iso, _) => {
            either("-999999999-01-01T00:00:00Z", "+999999999-12-31T23:59:59.999999999Z")
        }
        Decoder::Timestamp(Unit::Micros, _) => number(i64::MIN, -9_223_372_036_853_775_810),
        Decoder::Timestamp(Unit::Nanos, _) => number(-3_028_005_206_664_544_256, 7_852_397_722_631_405_567),
        _ => return None,
    })
}

/// The default of a column, in the form that its decoder gives; `None` when it has none that can be read.
pub fn parse(expression: &str, (type_oid, typmod): (u32, i32), is_enum: bool, decoder: &Decoder) -> Option<Value> {
    let placeholder = if is_enum { "" } else { generated(type_oid)? };
    if matches!(decoder, Decoder::VariableDecimal(_)) {
        return None;
    }
    let clock = matches!(type_oid, 1082 | 1083 | 1114 | 1184)
        && ["CURRENT_", "LOCALTIME"].iter().any(|word| expression.to_ascii_uppercase().starts_with(word));
    let text = if FUNCTION.is_match(expression) || clock {
        placeholder
    } else {
        LITERAL.captures(expression).and_then(|found| found.get(1)).map_or(expression, |literal| literal.as_str())
    };
    let text = match decoder {
        Decoder::Bool if text.eq_ignore_ascii_case("true") => "t",
        Decoder::Bool => "f",
        _ => text.trim(),
    };
    if let (1082 | 1114 | 1184, "infinity" | "-infinity") = (type_oid, text) {
        return endless(decoder, text == "infinity");
    }
    let scaled = matches!(decoder, Decoder::DecimalText).then(|| scaled(text, typmod)).flatten();
    let bytes = Bytes::copy_from_slice(scaled.as_deref().unwrap_or(text).as_bytes());
    reader(decoder).decode(&Text::whole(&bytes)).ok().filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_has_all_digits_of_its_scale() {
        let typmod = (6 << 16 | 2) + 4;
        for (text, wanted) in [("12.3", "12.30"), ("7", "7.00"), ("1.25", "1.25")] {
            assert_eq!(parse(text, (1700, typmod), false, &Decoder::DecimalText), Some(Value::from(wanted)));
        }
    }

    #[test]
    fn expressions_are_read_as_recorded() {
        for (expression, oid, decoder, wanted) in [
            ("'it''s'::text", 25, Decoder::Text, Some(Value::from("it"))),
            ("upper('abc'::text)", 25, Decoder::Text, Some(Value::from(""))),
            ("CURRENT_USER", 25, Decoder::Text, Some(Value::from("CURRENT_USER"))),
            ("'-5'::integer", 21, Decoder::Int16, Some(Value::Int16(-5))),
            ("2147483647", 23, Decoder::Int32, Some(Value::Int32(i32::MAX))),
            ("(1 + 2)", 23, Decoder::Int32, None),
            ("nextval('df_fn_pk_seq'::regclass)", 23, Decoder::Int32, Some(Value::Int32(0))),
            ("true", 16, Decoder::Bool, Some(Value::Bool(true))),
            ("now()", 1114, Decoder::Timestamp(Unit::Micros, Calendar::Hybrid), Some(Value::Int64(0))),
            ("CURRENT_DATE", 1082, Decoder::Date { iso: false, calendar: Calendar::Hybrid }, Some(Value::Int32(0))),
            ("'\\x00ff'::bytea", 17, Decoder::Text, None),
            (
                "'0044-03-15 BC'::date",
                1082,
                Decoder::Date { iso: false, calendar: Calendar::Hybrid },
                Some(Value::Int32(-735_160)),
            ),
            (
                "'-infinity'::date",
                1082,
                Decoder::Date { iso: false, calendar: Calendar::Hybrid },
                Some(Value::Int32(-170_999_002)),
            ),
            (
                "'infinity'::timestamp without time zone",
                1114,
                Decoder::Timestamp(Unit::Micros, Calendar::Gregorian),
                Some(Value::Int64(-9_223_372_036_853_775_810)),
            ),
            ("'infinity'::timestamp", 1114, Decoder::Timestamp(Unit::Millis, Calendar::Hybrid), None),
            ("'infinity'::timestamptz", 1184, Decoder::ZonedTimestamp(6, Calendar::Hybrid), None),
        ] {
            assert_eq!(parse(expression, (oid, -1), false, &decoder), wanted, "{expression}");
        }
    }
}
