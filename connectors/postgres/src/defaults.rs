//! Defaults of columns as the reference reads them out of their expressions (`PostgresDefaultValueConverter`).
//!
//! It looks at the text only: the first quoted literal counts, a function call stands for a fixed value of the type. The
//! recorded oddities (`'it''s'` becomes `it`) are kept, because the default is part of the schema that consumers know.

use std::sync::LazyLock;

use bytes::Bytes;
use connect_api::Value;
use regex::Regex;

use crate::decode::{Decoder, Text};

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

/// The default of a column, in the form that its decoder gives; `None` when it has none that can be read.
pub fn parse(expression: &str, (type_oid, typmod): (u32, i32), is_enum: bool, decoder: &Decoder) -> Option<Value> {
    let placeholder = if is_enum { "" } else { generated(type_oid)? };
    if matches!(decoder, Decoder::VariableDecimal { .. }) {
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
    let scaled = matches!(decoder, Decoder::DecimalText).then(|| scaled(text, typmod)).flatten();
    let bytes = Bytes::copy_from_slice(scaled.as_deref().unwrap_or(text).as_bytes());
    decoder.decode(&Text::whole(&bytes)).ok().filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;

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
            ("now()", 1114, Decoder::Timestamp(crate::decode::Unit::Micros, Calendar::Hybrid), Some(Value::Int64(0))),
            ("CURRENT_DATE", 1082, Decoder::Date { iso: false, calendar: Calendar::Hybrid }, Some(Value::Int32(0))),
            ("'\\x00ff'::bytea", 17, Decoder::Text, None),
        ] {
            assert_eq!(parse(expression, (oid, -1), false, &decoder), wanted, "{expression}");
        }
    }
}
