//! Values from text (`Values.parseString`): null, booleans, numbers of the smallest type that holds them, dates, lists and
//! maps; everything else is text.
//!
//! A list or map of mixed or unknown elements has no schema here, where Connect has one with a hole in it.

use std::sync::{Arc, LazyLock};

use num_bigint::{BigInt, Sign};

use super::temporal::{self, Form};
use crate::record::Datum;
use crate::schema::{Kind, Schema, SchemaRef, logical};
use crate::value::{Decimal, Value};

/// Lists in lists deeper than this are text.
const DEPTH_MAX: usize = 200;

static STRING: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::String).shared());

/// What is known of a value's schema.
#[derive(Clone, Debug)]
enum Shape {
    Known(SchemaRef),
    /// A list whose elements have no common schema.
    List,
    /// A map whose keys or values have no common schema.
    Map,
}

impl Shape {
    fn rank(&self) -> Rank {
        match self {
            Self::List => Rank::List,
            Self::Map => Rank::Map,
            Self::Known(schema) => match &schema.kind {
                Kind::Int8 => Rank::Number(0),
                Kind::Int16 => Rank::Number(1),
                Kind::Int32 => Rank::Number(2),
                Kind::Int64 => Rank::Number(3),
                Kind::Float32 => Rank::Number(4),
                Kind::Float64 => Rank::Number(5),
                Kind::Boolean => Rank::Boolean,
                Kind::Bytes => Rank::Bytes,
                Kind::Array(_) => Rank::List,
                Kind::Map(..) => Rank::Map,
                Kind::String | Kind::Struct(_) => Rank::Text,
            },
        }
    }

    fn schema(self) -> Option<SchemaRef> {
        match self {
            Self::Known(schema) => Some(schema),
            Self::List | Self::Map => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// Wider numbers have higher ranks.
    Number(u8),
    Boolean,
    Bytes,
    Text,
    List,
    Map,
}

/// A text that is not what was tried; the caller tries something else.
#[derive(Debug)]
struct NoMatch;

type Parsed = Result<Option<(Shape, Value)>, NoMatch>;

/// Reads a text.
pub fn parse_string(text: &str) -> Datum {
    if text.is_empty() {
        return Datum::new(Arc::clone(&STRING), Value::string(text));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    match parser.value(false) {
        Ok(Some((shape, value))) => Datum { schema: shape.schema(), value },
        Ok(None) => Datum::null(),
        Err(NoMatch) => Datum::new(Arc::clone(&STRING), Value::string(text)),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn has_next(&self) -> bool {
        self.at < self.text.len()
    }

    /// The next token: a delimiter, or everything up to one that is not escaped.
    fn token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let mut end = rest.len();
        for (place, c) in rest.char_indices() {
            match c {
                '\\' => escaped = !escaped,
                ':' | ',' | '{' | '}' | '[' | ']' | '"' if !escaped => {
                    end = place.max(1);
                    break;
                }
                _ => escaped = false,
            }
        }
        self.at += end;
        &rest[..end]
    }

    /// Takes the next token when it is the expected one, white space aside.
    fn take(&mut self, expected: &str) -> bool {
        let start = self.at;
        let mut token = "";
        while token.is_empty() && self.has_next() {
            token = trim(self.token());
        }
        let found = token == expected;
        if !found {
            self.at = start;
        }
        found
    }

    /// Takes a word that must be all there is, when it is not inside of something.
    fn take_word(&mut self, word: &str, embedded: bool) -> bool {
        let start = self.at;
        let found = self.take(word) && (embedded || !self.has_next());
        if !found {
            self.at = start;
        }
        found
    }

    fn value(&mut self, embedded: bool) -> Parsed {
        if !self.has_next() {
            return Ok(None);
        }
        if embedded && self.take("\"") {
            return Ok(Some(self.quoted()));
        }
        if self.take_word("null", embedded) {
            return Ok(None);
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.take_word(word, embedded) {
                return Ok(Some((Shape::Known(Schema::of(Kind::Boolean).shared()), Value::Bool(value))));
            }
        }
        let start = self.at;
        self.depth += 1;
        let nested = match () {
            () if self.depth > DEPTH_MAX => Err(NoMatch),
            () if self.take("[") => self.list().map(Some),
            () if self.take("{") => self.map().map(Some),
            () => Ok(None),
        };
        self.depth -= 1;
        match nested {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(NoMatch) => self.at = start,
        }
        let mut token = "";
        while token.is_empty() && self.has_next() {
            token = trim(self.token());
        }
        self.scalar(token, embedded)
    }

    fn scalar(&mut self, token: &str, embedded: bool) -> Parsed {
        let first = token.chars().next();
        let digit = first.is_some_and(is_digit);
        if digit && let Some(found) = self.temporal(token) {
            return Ok(Some(found));
        }
        if (digit || matches!(first, Some('+' | '-')))
            && let Some(found) = number(token)
        {
            return Ok(Some(found));
        }
        if embedded {
            return Err(NoMatch);
        }
        Ok(Some((Shape::Known(Arc::clone(&STRING)), Value::string(self.text))))
    }

    fn quoted(&mut self) -> (Shape, Value) {
        let mut content = String::new();
        while self.has_next() {
            match self.token() {
                "\"" => break,
                token => content.push_str(token),
            }
        }
        match temporal::parse(&content) {
            Some((form, millis)) => temporal_value(form, millis),
            None => (Shape::Known(Arc::clone(&STRING)), Value::from(content)),
        }
    }

    /// A time or timestamp has colons, which split it into five tokens; a date is one.
    fn temporal(&mut self, token: &str) -> Option<(Shape, Value)> {
        let start = self.at;
        let mut taken = 0;
        while taken < 4 && self.has_next() {
            self.token();
            taken += 1;
        }
        if taken == 4
            && let Some((form, millis)) = temporal::parse(&format!("{token}{}", &self.text[start..self.at]))
        {
            return Some(temporal_value(form, millis));
        }
        self.at = start;
        temporal::parse(token).map(|(form, millis)| temporal_value(form, millis))
    }

    fn list(&mut self) -> Result<(Shape, Value), NoMatch> {
        let mut common = Common::default();
        let mut list = Vec::new();
        while self.has_next() {
            if self.take("]") {
                let Some(element) = common.shape() else { return Ok((Shape::List, Value::Array(list))) };
                let aligned = list.into_iter().map(|value| align(&element, value)).collect::<Result<_, _>>()?;
                let shape = match element {
                    Shape::Known(schema) => Shape::Known(Schema::of(Kind::Array(schema)).shared()),
                    Shape::List | Shape::Map => Shape::List,
                };
                return Ok((shape, Value::Array(aligned)));
            }
            if self.take(",") {
                return Err(NoMatch);
            }
            let element = self.value(true)?;
            common.add(element.as_ref().map(|(shape, _)| shape));
            list.push(element.map_or(Value::Null, |(_, value)| value));
            let start = self.at;
            if self.take("]") {
                self.at = start;
            } else if !self.take(",") {
                return Err(NoMatch);
            }
        }
        Err(NoMatch)
    }

    fn map(&mut self) -> Result<(Shape, Value), NoMatch> {
        let (mut keys, mut values) = (Common::default(), Common::default());
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        while self.has_next() {
            if self.take("}") {
                let (Some(key), Some(value)) = (keys.shape(), values.shape()) else {
                    return Ok((Shape::Map, Value::Map(pairs)));
                };
                let align = |(k, v)| Ok((align(&key, k)?, align(&value, v)?));
                let pairs = pairs.into_iter().map(align).collect::<Result<Vec<_>, NoMatch>>()?;
                let shape = match (key, value) {
                    (Shape::Known(keys), Shape::Known(values)) => {
                        Shape::Known(Schema::of(Kind::Map(keys, values)).shared())
                    }
                    _ => Shape::Map,
                };
                return Ok((shape, Value::Map(pairs)));
            }
            if self.take(",") {
                return Err(NoMatch);
            }
            let Some((key_shape, key)) = self.value(true)? else { return Err(NoMatch) };
            if !self.take(":") {
                return Err(NoMatch);
            }
            let value = self.value(true)?;
            self.take(",");
            keys.add(Some(&key_shape));
            values.add(value.as_ref().map(|(shape, _)| shape));
            let value = value.map_or(Value::Null, |(_, value)| value);
            match pairs.iter_mut().find(|(other, _)| *other == key) {
                Some(pair) => pair.1 = value,
                None => pairs.push((key, value)),
            }
        }
        Err(NoMatch)
    }
}

/// The schema that elements have in common.
#[derive(Default)]
struct Common {
    shape: Option<Shape>,
    broken: bool,
}

impl Common {
    fn add(&mut self, latest: Option<&Shape>) {
        let Some(latest) = latest else { return };
        self.shape = match self.shape.take() {
            None => Some(latest.clone()),
            Some(previous) => match (previous.rank(), latest.rank()) {
                (Rank::Number(a), Rank::Number(b)) if a > b => Some(previous),
                (Rank::Number(_), Rank::Number(_)) => Some(latest.clone()),
                (a, b) if a == b => Some(latest.clone()),
                _ => {
                    self.broken = true;
                    None
                }
            },
        };
    }

    fn shape(&self) -> Option<Shape> {
        self.shape.clone().filter(|_| !self.broken)
    }
}

/// Brings an element to the common schema. Null fits none of them.
fn align(shape: &Shape, value: Value) -> Result<Value, NoMatch> {
    let Shape::Known(schema) = shape else { return if value.is_null() { Err(NoMatch) } else { Ok(value) } };
    let whole = match &value {
        Value::Null => return Err(NoMatch),
        Value::Int8(n) => i64::from(*n),
        Value::Int16(n) => i64::from(*n),
        Value::Int32(n) => i64::from(*n),
        Value::Int64(n) => *n,
        Value::Float32(n) if schema.kind == Kind::Float64 => return Ok(Value::Float64(f64::from(*n))),
        _ => return Ok(value),
    };
    if schema.name.is_some() {
        return Ok(value);
    }
    Ok(match &schema.kind {
        Kind::Int16 => Value::Int16(whole as i16),
        Kind::Int32 => Value::Int32(whole as i32),
        Kind::Int64 => Value::Int64(whole),
        Kind::Float32 => Value::Float32(whole as f32),
        Kind::Float64 => Value::Float64(whole as f64),
        _ => value,
    })
}

fn temporal_value(form: Form, millis: i64) -> (Shape, Value) {
    let logical = |kind, name| Shape::Known(Schema::of(kind).named(name).version(1).shared());
    match form {
        Form::Date => {
            let days = i32::try_from(millis.div_euclid(temporal::DAY_MS));
            (logical(Kind::Int32, logical::DATE), days.map_or(Value::Date(millis), Value::Int32))
        }
        Form::Time => {
            let within = i32::try_from(millis).ok().filter(|ms| (0..=temporal::DAY_MS as i32).contains(ms));
            (logical(Kind::Int32, logical::TIME), within.map_or(Value::Date(millis), Value::Int32))
        }
        Form::Timestamp => (logical(Kind::Int64, logical::TIMESTAMP), Value::Int64(millis)),
    }
}

/// `String.trim`.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// The value of a decimal digit of any script that Java's `Character.isDigit` knows and texts use.
fn digit_value(c: char) -> Option<u8> {
    const ZEROS: [u32; 20] = [
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
        0x1040, 0x17e0, 0x1810, 0xff10,
    ];
    ZEROS.iter().find_map(|zero| u8::try_from(u32::from(c).checked_sub(*zero)?).ok().filter(|digit| *digit < 10))
}

fn is_digit(c: char) -> bool {
    digit_value(c).is_some()
}

/// A number of the smallest type that holds it exactly, a float when it has a scale, else a decimal.
fn number(token: &str) -> Option<(Shape, Value)> {
    let decimal = parse_decimal(token)?;
    if let Some(whole) = exact_long(&decimal) {
        let (kind, value) = match whole {
            n if i8::try_from(n).is_ok() => (Kind::Int8, Value::Int8(n as i8)),
            n if i16::try_from(n).is_ok() => (Kind::Int16, Value::Int16(n as i16)),
            n if i32::try_from(n).is_ok() => (Kind::Int32, Value::Int32(n as i32)),
            n => (Kind::Int64, Value::Int64(n)),
        };
        return Some((Shape::Known(Schema::of(kind).shared()), value));
    }
    if decimal.scale != 0 {
        let text = format!("{}e{}", decimal.unscaled, -i64::from(decimal.scale));
        if let Some(single) = text.parse::<f32>().ok().filter(|n| n.is_finite()) {
            return Some((Shape::Known(Schema::of(Kind::Float32).shared()), Value::Float32(single)));
        }
        if let Some(double) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            return Some((Shape::Known(Schema::of(Kind::Float64).shared()), Value::Float64(double)));
        }
    }
    let schema =
        Schema::of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", decimal.scale.to_string());
    Some((Shape::Known(schema.shared()), Value::Bytes(decimal.unscaled.to_signed_bytes_be().into())))
}

/// `new BigDecimal(text)`.
pub fn parse_decimal(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (mantissa, exponent.parse::<i32>().ok()?)
        }
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits: Vec<u8> = whole.chars().chain(fraction.chars()).map(digit_value).collect::<Option<_>>()?;
    if digits.is_empty() {
        return None;
    }
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    let unscaled = BigInt::from_radix_be(sign, &digits, 10)?;
    let scale = i64::try_from(fraction.chars().count()).ok()? - i64::from(exponent);
    Some(Decimal { unscaled, scale: i32::try_from(scale).ok()? })
}

/// `longValueExact`.
fn exact_long(decimal: &Decimal) -> Option<i64> {
    const DIGITS_MAX: u32 = 19;
    let zero = BigInt::from(0);
    if decimal.unscaled == zero {
        return Some(0);
    }
    let power = |exponent: u32| BigInt::from(10).pow(exponent);
    if decimal.scale <= 0 {
        let zeros = decimal.scale.unsigned_abs();
        if zeros > DIGITS_MAX {
            return None;
        }
        return i64::try_from(&decimal.unscaled * power(zeros)).ok();
    }
    // More places than digits leave a fraction, so the power is bounded by the text.
    let digits = decimal.unscaled.magnitude().to_string().len();
    if decimal.scale as usize >= digits {
        return None;
    }
    let divisor = power(decimal.scale.unsigned_abs());
    if &decimal.unscaled % &divisor != zero {
        return None;
    }
    i64::try_from(&decimal.unscaled / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_smallest_type() {
        for (text, value) in [
            ("1.0", Value::Int8(1)),
            ("1e3", Value::Int16(1000)),
            ("-129", Value::Int16(-129)),
            ("1.10", Value::Float32(1.1)),
            ("1e39", Value::Float64(1e39)),
            ("10:11:12Z", Value::Int8(10)),
            ("1d", Value::string("1d")),
            ("\u{661}\u{662}", Value::Int8(12)),
        ] {
            assert_eq!(parse_string(text).value, value, "{text}");
        }
    }

    #[test]
    fn lists_need_a_common_schema_and_no_null() {
        assert_eq!(parse_string("[null,1]").value, Value::string("[null,1]"));
        let mixed = parse_string("[1,\"a\"]");
        assert_eq!((mixed.schema, mixed.value), (None, Value::Array(vec![Value::Int8(1), "a".into()])));
        let wide = parse_string("[1,40000]x");
        assert_eq!(wide.value, Value::Array(vec![Value::Int32(1), Value::Int32(40000)]));
    }

    #[test]
    fn deep_nesting_is_text() {
        let deep = "[".repeat(100_000);
        assert_eq!(parse_string(&deep).value, Value::from(deep));
    }
}
