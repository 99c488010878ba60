//! From the text of a column to a Connect value: one [`Decoder`] per column, chosen when the table is first seen.
//!
//! Snapshot and stream share them but for dates of long ago and money, which the reference reads in two ways. Text and bytes that need no
//! change stay slices of the buffer that they were read into.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use connect_api::{Kind, SchemaRef, Struct, Value};

use crate::calendar::Calendar;
use crate::geometry;
use crate::numbers::{decimal, money, money_as_double, variable_decimal};
use crate::settings::{BinaryMode, DecimalMode};
use crate::times::{self, Instant};

/// The text of one column and the buffer that it is a slice of.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub buffer: &'a Bytes,
    pub bytes: &'a [u8],
}

/// A text that is not of the column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a value of type {0}")]
pub struct NotOfType(pub &'static str);

/// How a point in time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
    Iso,
}

/// How the values of a column are made.
#[derive(Clone, Debug)]
pub enum Decoder {
    Bool,
    Int16,
    Int32,
    /// Also oid, which has no sign.
    Int64,
    Float32,
    Float64,
    Decimal {
        scale: i32,
    },
    /// A numeric without a scale: a struct of scale and unscaled value, without the zeros at the end of its fraction.
    VariableDecimal(SchemaRef),
    DecimalDouble,
    DecimalText,
    Money {
        mode: DecimalMode,
        digits: i32,
        /// As the reference reads it in snapshots.
        double: bool,
    },
    Text,
    /// The type `name`: text in snapshots, null in streams, as the reference has it.
    Name,
    Binary(BinaryMode),
    /// `bit(1)`.
    Bit,
    Bits,
    Date {
        iso: bool,
        calendar: Calendar,
    },
    /// Time of day; `Millis` is an int32.
    Time(Unit),
    ZonedTime,
    Timestamp(Unit, Calendar),
    /// With so many digits of a second's fraction.
    ZonedTimestamp(usize, Calendar),
    IntervalMicros,
    IntervalIso,
    HstoreJson,
    HstoreMap,
    Point(SchemaRef),
    Array(Box<Decoder>),
    /// Elements may not be null: an array that has one becomes null as a whole.
    ArrayOfRequired(Box<Decoder>),
    /// Always an empty array, as the reference gives for vectors.
    EmptyArray,
    /// The text as bytes.
    Raw(BinaryMode),
    /// The same for geometric types.
    Geometry(BinaryMode),
}

impl<'a> Text<'a> {
    /// A text that is its own buffer.
    pub fn whole(buffer: &'a Bytes) -> Self {
        Self { buffer, bytes: buffer }
    }

    fn slice(&self) -> Bytes {
        self.buffer.slice_ref(self.bytes)
    }

    fn string(&self) -> Result<Value, NotOfType> {
        let text = simdutf8::basic::from_utf8(self.bytes)
            .map_err(|_| NotOfType("text (the database's encoding was not converted to UTF-8)"))?;
        Ok(Value::String(connect_api::Text::of_part(self.buffer, text)))
    }

    fn str(&self, ty: &'static str) -> Result<&'a str, NotOfType> {
        std::str::from_utf8(self.bytes).map_err(|_| NotOfType(ty))
    }
}

/// An integer of up to 18 digits; longer ones go through the standard parser.
fn integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return std::str::from_utf8(bytes).ok()?.parse().ok();
    }
    let mut n = 0_i64;
    for &b in digits {
        if !b.is_ascii_digit() {
            return None;
        }
        n = n * 10 + i64::from(b - b'0');
    }
    Some(if negative { -n } else { n })
}

fn float<T: std::str::FromStr>(text: &Text<'_>, ty: &'static str) -> Result<T, NotOfType> {
    text.str(ty)?.parse().map_err(|_| NotOfType(ty))
}

/// A decimal without the zeros at the end of its fraction.
fn stripped_zeros(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') {
        return text;
    }
    let end = text.iter().rposition(|&b| b != b'0').map_or(0, |at| at + 1);
    text[..end].strip_suffix(b".").unwrap_or(&text[..end])
}

/// Decodes `\x` followed by pairs of hexadecimal digits.
pub fn unhex(text: &[u8]) -> Option<Bytes> {
    let digits = text.strip_prefix(b"\\x")?;
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    if digits.len() % 2 == 1 {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect::<Option<Vec<_>>>()
        .map(Bytes::from)
}

/// Bytes in the form of `binary.handling.mode`.
pub fn binary(bytes: Bytes, mode: BinaryMode) -> Value {
    match mode {
        BinaryMode::Bytes => Value::Bytes(bytes),
        BinaryMode::Base64 => Value::from(STANDARD.encode(&bytes)),
        BinaryMode::Base64UrlSafe => Value::from(URL_SAFE.encode(&bytes)),
        BinaryMode::Hex => {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in &bytes {
                text.push_str(&format!("{byte:02x}"));
            }
            Value::from(text)
        }
    }
}

/// Bits in little-endian bytes without those that are zero at the high end (`BitSet.toByteArray`).
fn bits(text: &[u8]) -> Result<Value, NotOfType> {
    let mut bytes = vec![0_u8; text.len().div_ceil(8)];
    for (i, &b) in text.iter().rev().enumerate() {
        match b {
            b'1' => bytes[i / 8] |= 1 << (i % 8),
            b'0' => {}
            _ => return Err(NotOfType("bit")),
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(Value::Bytes(bytes.into()))
}

/// The last years that Postgres knows are beyond 64 bits of microseconds: Java stops at the last number of whole seconds,
/// and then turns over.
fn micros(us: i128) -> i64 {
    let seconds = us.div_euclid(1_000_000) * 1_000_000;
    let whole = i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX });
    whole.wrapping_add((us - seconds) as i64)
}

fn timestamp(text: &[u8], unit: Unit, calendar: Calendar) -> Result<Value, NotOfType> {
    let instant = times::timestamp(text).ok_or(NotOfType("timestamp"))?;
    let Some(instant) = calendar.instant(instant) else { return Ok(Value::Null) };
    if let (Unit::Iso, Instant::At(us)) = (unit, instant) {
        return Ok(Value::from(times::iso_timestamp(us, 0)));
    }
    Ok(match (unit, instant) {
        (Unit::Millis, Instant::At(us)) => Value::Int64(us.div_euclid(1000) as i64),
        (Unit::Millis, Instant::Infinity) => Value::Int64(times::INFINITY_MS),
        (Unit::Millis, Instant::NegativeInfinity) => Value::Int64(times::NEGATIVE_INFINITY_MS),
        (Unit::Micros, Instant::At(us)) => Value::Int64(micros(us)),
        (Unit::Nanos, Instant::At(us)) => Value::Int64((us * 1000) as i64),
        (Unit::Micros, Instant::Infinity) => Value::Int64(times::INFINITY_US),
        (Unit::Micros, Instant::NegativeInfinity) => Value::Int64(times::NEGATIVE_INFINITY_US),
        (Unit::Nanos, Instant::Infinity) => Value::Int64(times::INFINITY_US.wrapping_mul(1000)),
        (Unit::Nanos, Instant::NegativeInfinity) => Value::Int64(times::NEGATIVE_INFINITY_US.wrapping_mul(1000)),
        (Unit::Iso, Instant::NegativeInfinity) => {
            Value::from(times::iso_timestamp(times::NEGATIVE_INFINITY_US.into(), 0))
        }
        (Unit::Iso, _) => Value::from(times::iso_timestamp(times::INFINITY_US.into(), 0)),
    })
}

fn date(text: &[u8], iso: bool, calendar: Calendar) -> Result<Value, NotOfType> {
    let date = times::date(text).ok_or(NotOfType("date"))?;
    Ok(match calendar.day(date) {
        Some(days) if iso => Value::from(times::iso_date(days)),
        // The driver's infinite days don't fit; Java takes the lower half.
        Some(days) => Value::Int32(days as i32),
        None => Value::Null,
    })
}

fn zoned_timestamp(text: &Text<'_>, digits: usize, calendar: Calendar) -> Result<Value, NotOfType> {
    let instant = times::timestamp(text.bytes).ok_or(NotOfType("timestamp with time zone"))?;
    match calendar.instant(instant) {
        Some(Instant::At(us)) => Ok(Value::from(times::iso_timestamp(us, digits))),
        Some(Instant::Infinity | Instant::NegativeInfinity) => text.string(),
        None => Ok(Value::Null),
    }
}

fn geometric(text: &Text<'_>, mode: BinaryMode) -> Result<Value, NotOfType> {
    const ERROR: NotOfType = NotOfType("geometric");
    let doubles = geometry::with_doubles(text.str("geometric")?).ok_or(ERROR)?;
    Ok(binary(doubles.into(), mode))
}

fn time(text: &[u8], unit: Unit) -> Result<Value, NotOfType> {
    let us = times::time_of_day(text).ok_or(NotOfType("time"))?;
    Ok(match unit {
        Unit::Millis => Value::Int32(i32::try_from(us / 1000).map_err(|_| NotOfType("time"))?),
        Unit::Micros => Value::Int64(us),
        Unit::Nanos => Value::Int64(us * 1000),
        Unit::Iso => Value::from(times::iso_time(us % times::DAY_US)),
    })
}

/// Pairs of an hstore's text; a value may be null.
fn hstore(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    let quoted = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Option<String> {
        let mut out = String::new();
        chars.next_if_eq(&'"')?;
        loop {
            match chars.next()? {
                '"' => return Some(out),
                '\\' => out.push(chars.next()?),
                c => out.push(c),
            }
        }
    };
    loop {
        while chars.next_if(|&c| c == ' ' || c == ',').is_some() {}
        if chars.peek().is_none() {
            return Some(pairs);
        }
        let key = quoted(&mut chars)?;
        if (chars.next()?, chars.next()?) != ('=', '>') {
            return None;
        }
        if chars.peek() == Some(&'"') {
            let value = quoted(&mut chars)?;
            pairs.push((key, Some(value)));
        } else {
            while chars.next_if(|&c| c != ',').is_some() {}
            pairs.push((key, None));
        }
    }
}

fn hstore_value(text: &Text<'_>, json: bool) -> Result<Value, NotOfType> {
    const ERROR: NotOfType = NotOfType("hstore");
    let pairs = hstore(text.str("hstore")?).ok_or(ERROR)?;
    if json {
        let map: serde_json::Map<_, _> = pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        return Ok(Value::from(serde_json::Value::Object(map).to_string()));
    }
    Ok(Value::Map(pairs.into_iter().map(|(key, value)| (Value::from(key), Value::from(value))).collect()))
}

fn point(text: &Text<'_>, schema: &SchemaRef) -> Result<Value, NotOfType> {
    const ERROR: NotOfType = NotOfType("point");
    let inner = text.str("point")?.trim_start_matches('(').trim_end_matches(')');
    let (x, y) = inner.split_once(',').ok_or(ERROR)?;
    let (x, y): (f64, f64) = (x.parse().map_err(|_| ERROR)?, y.parse().map_err(|_| ERROR)?);
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend(x.to_le_bytes());
    wkb.extend(y.to_le_bytes());
    let fields = vec![Value::Float64(x), Value::Float64(y), Value::Bytes(wkb.into()), Value::Null];
    Ok(Value::Struct(Struct::new(SchemaRef::clone(schema), fields)))
}

/// Elements of a one-dimensional array's text; inner arrays are nulls, as the reference gives them.
fn array(text: &Text<'_>, element: &Decoder) -> Result<Vec<Value>, NotOfType> {
    const ERROR: NotOfType = NotOfType("array");
    // Bounds may stand before: `[0:2]={1,2,3}`.
    let start = memchr::memchr(b'{', text.bytes).ok_or(ERROR)?;
    let inner = text.bytes[start + 1..].strip_suffix(b"}").ok_or(ERROR)?;
    let mut values = Vec::new();
    let mut at = 0;
    let delimiter = delimiter(inner, element);
    while at < inner.len() {
        match inner[at] {
            mark if mark == delimiter => at += 1,
            b'{' => {
                at = skip_nested(inner, at).ok_or(ERROR)?;
                values.push(Value::Null);
            }
            b'"' => {
                let (unquoted, next) = unquote(inner, at).ok_or(ERROR)?;
                values.push(element.decode(&Text::whole(&unquoted))?);
                at = next;
            }
            _ => {
                let end = memchr::memchr(delimiter, &inner[at..]).map_or(inner.len(), |n| at + n);
                values.push(match &inner[at..end] {
                    b"NULL" => Value::Null,
                    bytes => element.decode(&Text { buffer: text.buffer, bytes })?,
                });
                at = end;
            }
        }
    }
    Ok(values)
}

/// What stands between elements: only boxes have something else, and are the only shapes that are not quoted.
fn delimiter(inner: &[u8], element: &Decoder) -> u8 {
    let boxes = matches!(element, Decoder::Geometry(_)) && inner.contains(&b'(') && !inner.contains(&b'"');
    if boxes { b';' } else { b',' }
}

/// The place after the array that starts at `at`.
fn skip_nested(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at = unquote(text, at)?.1;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// The element whose quote is at `at`, and the place after it.
fn unquote(text: &[u8], at: usize) -> Option<(Bytes, usize)> {
    let mut out = Vec::new();
    let mut at = at + 1;
    loop {
        match *text.get(at)? {
            b'"' => return Some((out.into(), at + 1)),
            b'\\' => {
                out.push(*text.get(at + 1)?);
                at += 2;
            }
            b => {
                out.push(b);
                at += 1;
            }
        }
    }
}

impl Decoder {
    /// The same for a field of exactly this schema: a struct must carry the schema of its field.
    #[must_use]
    pub fn bound_to(self, schema: &SchemaRef) -> Self {
        match (self, &schema.kind) {
            (Self::VariableDecimal(_), _) => Self::VariableDecimal(SchemaRef::clone(schema)),
            (Self::Point(_), _) => Self::Point(SchemaRef::clone(schema)),
            (Self::Array(element), Kind::Array(inner)) => Self::Array(Box::new(element.bound_to(inner))),
            (decoder, _) => decoder,
        }
    }

    /// The value of a text.
    pub fn decode(&self, text: &Text<'_>) -> Result<Value, NotOfType> {
        let int = |ty| integer(text.bytes).ok_or(NotOfType(ty));
        Ok(match self {
            Self::Text | Self::Name => text.string()?,
            Self::Int32 => Value::Int32(i32::try_from(int("integer")?).map_err(|_| NotOfType("integer"))?),
            Self::Int64 => Value::Int64(int("bigint")?),
            Self::Int16 => Value::Int16(i16::try_from(int("smallint")?).map_err(|_| NotOfType("smallint"))?),
            Self::Bool => match text.bytes {
                b"t" | b"true" => Value::Bool(true),
                b"f" | b"false" => Value::Bool(false),
                _ => return Err(NotOfType("boolean")),
            },
            Self::Float32 => Value::Float32(float(text, "real")?),
            Self::Float64 => Value::Float64(float(text, "double precision")?),
            Self::Decimal { scale } => decimal(text.bytes, Some(*scale))?.map_or(Value::Null, |(n, _)| Value::Bytes(n)),
            Self::VariableDecimal(schema) => decimal(stripped_zeros(text.bytes), None)?
                .map_or(Value::Null, |(n, scale)| variable_decimal(schema, n, scale)),
            Self::DecimalDouble => Value::Float64(float(text, "numeric")?),
            Self::DecimalText if text.bytes == b"NaN" => Value::from("NAN"),
            Self::DecimalText => text.string()?,
            Self::Money { mode, digits, double: false } => money(text.bytes, *mode, *digits)?,
            Self::Money { mode, digits, double: true } => money_as_double(text.bytes, *mode, *digits)?,
            Self::Binary(mode) => binary(unhex(text.bytes).ok_or(NotOfType("bytea"))?, *mode),
            Self::Bit => Value::Bool(text.bytes == b"1"),
            Self::Bits => bits(text.bytes)?,
            Self::Date { iso, calendar } => date(text.bytes, *iso, *calendar)?,
            Self::Time(unit) => time(text.bytes, *unit)?,
            Self::ZonedTime => {
                let us = times::time_with_zone(text.bytes).ok_or(NotOfType("time with time zone"))?;
                Value::from(times::zoned_time(us))
            }
            Self::Timestamp(unit, calendar) => timestamp(text.bytes, *unit, *calendar)?,
            Self::ZonedTimestamp(digits, calendar) => zoned_timestamp(text, *digits, *calendar)?,
            Self::IntervalMicros => {
                Value::Int64(times::interval(text.bytes).ok_or(NotOfType("interval"))?.approximate_us())
            }
            Self::IntervalIso => Value::from(times::interval(text.bytes).ok_or(NotOfType("interval"))?.iso()),
            Self::HstoreJson => hstore_value(text, true)?,
            Self::HstoreMap => hstore_value(text, false)?,
            Self::Point(schema) => point(text, schema)?,
            Self::Array(element) => Value::Array(array(text, element)?),
            Self::ArrayOfRequired(element) => {
                let values = array(text, element)?;
                if values.iter().any(Value::is_null) { Value::Null } else { Value::Array(values) }
            }
            Self::EmptyArray => Value::Array(Vec::new()),
            Self::Raw(mode) => binary(text.slice(), *mode),
            Self::Geometry(mode) => geometric(text, *mode)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(decoder: &Decoder, text: &'static str) -> Value {
        decoder.decode(&Text::whole(&Bytes::from_static(text.as_bytes()))).expect(text)
    }

    fn base64(text: &str) -> Value {
        Value::Bytes(STANDARD.decode(text).expect("base64").into())
    }

    #[test]
    fn numbers_follow_the_recorded_values() {
        for (scale, text, wanted) in [
            (2, "123.45", "MDk="),
            (2, "-999.99", "/nlh"),
            (0, "9999999999", "AlQL4/8="),
            (10, "1234567890123456789012345678.0123456789", "CUmw9vACMxPESZBOzGdFFQ=="),
            (2, "0.00", "AA=="),
            (10, "-0.0000000001", "/w=="),
        ] {
            assert_eq!(decoded(&Decoder::Decimal { scale }, text), base64(wanted), "{text}");
        }
        assert_eq!(decoded(&Decoder::Int32, "-2147483648"), Value::Int32(i32::MIN));
        assert_eq!(decoded(&Decoder::Int64, "-9223372036854775808"), Value::Int64(i64::MIN));
        assert_eq!(decoded(&Decoder::DecimalText, "NaN"), Value::from("NAN"));
        assert!(Decoder::Int16.decode(&Text::whole(&Bytes::from_static(b"32768"))).is_err());
    }

    #[test]
    fn a_numeric_without_a_scale_has_no_zeros_at_the_end() {
        let decoder = Decoder::VariableDecimal(crate::types::variable_decimal_schema());
        for (text, scale, unscaled) in
            [("123.4500", 2, "MDk="), ("100", 0, "ZA=="), ("0.00", 0, "AA=="), ("5.0", 0, "BQ==")]
        {
            let Value::Struct(value) = decoded(&decoder, text) else { panic!("no struct") };
            assert_eq!(*value.fields, [Value::Int32(scale), base64(unscaled)], "{text}");
        }
    }

    #[test]
    fn money_is_scaled() {
        let precise = Decoder::Money { mode: DecimalMode::Precise, digits: 2, double: false };
        assert_eq!(decoded(&precise, "-$92,233,720,368,547,758.08"), base64("gAAAAAAAAAA="));
        let text = Decoder::Money { mode: DecimalMode::String, digits: 2, double: false };
        assert_eq!(decoded(&text, "$12,345.68"), Value::from("12345.68"));
        assert_eq!(decoded(&text, "-$0.05"), Value::from("-0.05"));
        // Snapshots read doubles.
        let text = Decoder::Money { mode: DecimalMode::String, digits: 2, double: true };
        for (money, wanted) in [("$5.50", "5.5"), ("-$1,000.00", "-1000.0"), ("$12,345,678.90", "1.23456789E7")] {
            assert_eq!(decoded(&text, money), Value::from(wanted));
        }
        let precise = Decoder::Money { mode: DecimalMode::Precise, digits: 2, double: true };
        assert_eq!(decoded(&precise, "$12,345.68"), base64("EtaI"));
    }

    #[test]
    fn the_last_microseconds_turn_over_as_recorded() {
        for calendar in [Calendar::Gregorian, Calendar::Hybrid] {
            let last = decoded(&Decoder::Timestamp(Unit::Micros, calendar), "294276-12-31 23:59:59.999999");
            assert_eq!(last, Value::Int64(-9_223_372_036_853_775_810));
        }
        let date = Decoder::Date { iso: false, calendar: Calendar::Hybrid };
        assert_eq!(decoded(&date, "infinity"), Value::Int32(-622_191_234));
        assert_eq!(decoded(&date, "-infinity"), Value::Int32(-625_821_272));
    }

    #[test]
    fn bits_and_bytes_follow_the_recorded_values() {
        assert_eq!(decoded(&Decoder::Bits, "1010101010101010101010101010101010101011"), base64("q6qqqqo="));
        assert_eq!(decoded(&Decoder::Bits, "000"), base64(""));
        assert_eq!(decoded(&Decoder::Binary(BinaryMode::Bytes), "\\xdeadbeef00ff"), base64("3q2+7wD/"));
        assert_eq!(decoded(&Decoder::Binary(BinaryMode::Base64UrlSafe), "\\xdeadbeef00ff"), Value::from("3q2-7wD_"));
    }

    #[test]
    fn arrays_are_read_with_quotes_nulls_and_nesting() {
        let text = Decoder::Array(Box::new(Decoder::Text));
        let wanted = Value::Array(vec!["a".into(), "b c".into(), "d\"e".into(), "".into(), Value::Null, "NULL".into()]);
        assert_eq!(decoded(&text, r#"{a,"b c","d\"e","",NULL,"NULL"}"#), wanted);
        let int = Decoder::Array(Box::new(Decoder::Int32));
        assert_eq!(decoded(&int, "{}"), Value::Array(vec![]));
        assert_eq!(decoded(&int, "[0:1]={1,2}"), Value::Array(vec![Value::Int32(1), Value::Int32(2)]));
        assert_eq!(decoded(&int, "{{1,2},{3,4}}"), Value::Array(vec![Value::Null, Value::Null]));
        assert_eq!(decoded(&Decoder::ArrayOfRequired(Box::new(Decoder::Text)), "{NULL,ok}"), Value::Null);
        let shapes = Decoder::Array(Box::new(Decoder::Geometry(BinaryMode::Base64)));
        let base64 = |text: &str| Value::from(STANDARD.encode(text));
        let boxes = Value::Array(vec![base64("(1.0,1.0),(0.0,0.0)"), Value::Null]);
        assert_eq!(decoded(&shapes, "{(1,1),(0,0);NULL}"), boxes);
        assert_eq!(decoded(&shapes, r#"{"<(1,1),2>"}"#), Value::Array(vec![base64("<(1.0,1.0),2.0>")]));
    }

    #[test]
    fn hstore_becomes_json_or_a_map() {
        let text = r#""a"=>"1", "b"=>NULL, "c d"=>"x\"y""#;
        assert_eq!(decoded(&Decoder::HstoreJson, text), Value::from(r#"{"a":"1","b":null,"c d":"x\"y"}"#));
        assert_eq!(decoded(&Decoder::HstoreMap, ""), Value::Map(vec![]));
    }

    #[test]
    fn a_long_text_is_a_slice_of_its_buffer() {
        let buffer = Bytes::from(format!("xx{}xx", "text".repeat(10)));
        let Ok(Value::String(text)) = Decoder::Text.decode(&Text { buffer: &buffer, bytes: &buffer[2..42] }) else {
            panic!("not a text");
        };
        assert_eq!((text.as_ptr(), text.len()), (buffer[2..].as_ptr(), 40));
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text: Vec<u8>) {
            let schema = crate::types::point_schema();
            let text = Bytes::from(text);
            for decoder in [
                Decoder::Bool, Decoder::Int16, Decoder::Int64, Decoder::Decimal { scale: 2 }, Decoder::Bits,
                Decoder::Money { mode: DecimalMode::String, digits: 2, double: true }, Decoder::Binary(BinaryMode::Hex),
                Decoder::Geometry(BinaryMode::Bytes), Decoder::Date { iso: false, calendar: Calendar::Hybrid },
                Decoder::HstoreJson, Decoder::Point(schema), Decoder::Array(Box::new(Decoder::Text)),
                Decoder::ZonedTimestamp(6, Calendar::HybridFields), Decoder::Timestamp(Unit::Nanos, Calendar::Hybrid),
                Decoder::IntervalIso,
            ] {
                drop(decoder.decode(&Text::whole(&text)));
            }
        }
    }
}
