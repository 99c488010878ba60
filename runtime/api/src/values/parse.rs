//! Values from text (`Values.parseString`): null, booleans, numbers of the smallest type that holds them, dates, lists and
//! maps; everything else is text.
//!
//! Where the JVM runs out of stack (lists within lists, some thousands of them) a text is refused here. A number with an
//! exponent of a billion, with which the JVM is busy for minutes, is read by its digits.

use super::common::{Common, aligned};
use super::known;
use super::object::physical;
use super::temporal::{self, Form};
use super::tokens::{Tokens, trim};
use super::zone::Zone;
use crate::error::{Error, Result};
use crate::java::decimal::Numeral;
use crate::java::{character, linked};
use crate::record::Datum;
use crate::schema::{Kind, Schema, SchemaRef};
use crate::value::Value;

/// Lists within lists may not be deeper than this. As many are allowed in JSON.
pub const DEPTH_MAX: usize = 1000;

/// Why a text is not what was tried.
enum Failure {
    /// It is just a text.
    NoMatch,
    TooDeep,
}

/// What converting an element says: it has no place in the list.
impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self::NoMatch
    }
}

/// A value as an object, with its schema.
type Found = (SchemaRef, Value);

/// The same; nothing for null.
type Parsed = Result<Option<Found>, Failure>;

/// Reads a text. Fails only for one that is nested too deeply.
pub fn parse_string(text: &str) -> Result<Datum> {
    let Datum { schema, value } = parse_objects(text)?;
    Ok(match schema {
        Some(schema) => Datum { value: physical(&schema, value), schema: Some(schema) },
        None => Datum { schema, value },
    })
}

/// The same with the value as an object.
pub fn parse_objects(text: &str) -> Result<Datum> {
    let mut parser = Parser { tokens: Tokens::new(text), zone: None };
    let as_text = || Datum::new(known::plain(Kind::String), Value::string(text));
    if text.is_empty() {
        return Ok(as_text());
    }
    match parser.whole() {
        Ok(Some((schema, value))) => Ok(Datum::new(schema, value)),
        Ok(None) => Ok(Datum::null()),
        Err(Failure::NoMatch) => Ok(as_text()),
        Err(Failure::TooDeep) => {
            Err(Error::data(format!("A text has lists or maps nested more than {DEPTH_MAX} deep"))
                .hint("Send it as bytes, or with a converter that does not look into texts (StringConverter)."))
        }
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    /// The zone of dates, once there was one.
    zone: Option<Zone>,
}

/// What begins at a place.
enum Begun {
    Whole(Option<Found>),
    Open(Open),
}

/// A list or a map that is not closed yet.
enum Open {
    List { common: Common, list: Vec<Value> },
    Map { keys: Common, values: Common, pairs: Vec<(Value, Value)>, key: Option<Value> },
}

impl Parser<'_> {
    /// The value that is all of the text.
    fn whole(&mut self) -> Parsed {
        match self.begin(false)? {
            Begun::Whole(found) => Ok(found),
            Begun::Open(open) => self.nested(open).map(Some),
        }
    }

    /// Reads what begins here: to its end, unless it is a list or a map.
    fn begin(&mut self, embedded: bool) -> Result<Begun, Failure> {
        if embedded && self.tokens.take("\"") {
            return Ok(Begun::Whole(Some(self.quoted())));
        }
        if self.tokens.take_word("null", embedded) {
            return Ok(Begun::Whole(None));
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.tokens.take_word(word, embedded) {
                return Ok(Begun::Whole(Some((known::plain(Kind::Boolean), Value::Bool(value)))));
            }
        }
        if self.tokens.take("[") {
            return Ok(Begun::Open(Open::List { common: Common::default(), list: Vec::new() }));
        }
        if self.tokens.take("{") {
            let (keys, values) = (Common::default(), Common::default());
            return Ok(Begun::Open(Open::Map { keys, values, pairs: Vec::new(), key: None }));
        }
        let token = trim(self.tokens.next_visible());
        self.scalar(token, embedded).map(Some).map(Begun::Whole)
    }

    /// Reads a list or a map and all that is inside of it. Whatever has no place in it makes the whole text a text.
    fn nested(&mut self, outermost: Open) -> Result<Found, Failure> {
        let mut around = Vec::new();
        let mut open = outermost;
        while self.tokens.has_next() {
            let found = if open.awaits_entry() && self.tokens.take(open.end()) {
                let closed = open.close()?;
                match around.pop() {
                    Some(outer) => open = outer,
                    None => return Ok(closed),
                }
                Some(closed)
            } else {
                if open.awaits_entry() && self.tokens.take(",") {
                    return Err(Failure::NoMatch);
                }
                match self.begin(true)? {
                    Begun::Whole(found) => found,
                    Begun::Open(_) if around.len() + 1 == DEPTH_MAX => return Err(Failure::TooDeep),
                    Begun::Open(inner) => {
                        around.push(std::mem::replace(&mut open, inner));
                        continue;
                    }
                }
            };
            self.give(&mut open, found)?;
        }
        Err(Failure::NoMatch)
    }

    /// Puts a value into a list or a map, and takes what has to follow it.
    fn give(&mut self, open: &mut Open, found: Option<Found>) -> Result<(), Failure> {
        match open {
            Open::List { common, list } => {
                let (schema, value) = found.unzip();
                common.add(schema);
                list.push(value.unwrap_or_default());
                let start = self.tokens.mark();
                if self.tokens.take("]") {
                    self.tokens.rewind(start);
                } else if !self.tokens.take(",") {
                    return Err(Failure::NoMatch);
                }
            }
            Open::Map { keys, values, pairs, key } => match key.take() {
                None => {
                    let (schema, value) = found.ok_or(Failure::NoMatch)?;
                    keys.add(Some(schema));
                    *key = Some(value);
                    if !self.tokens.take(":") {
                        return Err(Failure::NoMatch);
                    }
                }
                Some(key) => {
                    let (schema, value) = found.unzip();
                    values.add(schema);
                    pairs.push((key, value.unwrap_or_default()));
                    self.tokens.take(",");
                }
            },
        }
        Ok(())
    }

    fn scalar(&mut self, token: &str, embedded: bool) -> Result<Found, Failure> {
        let first = token.chars().next();
        let digit = first.is_some_and(character::is_digit);
        if digit && let Some(found) = self.temporal(token) {
            return Ok(found);
        }
        if (digit || matches!(first, Some('+' | '-')))
            && let Some(number) = Numeral::parse(token)
        {
            return Ok(smallest(number));
        }
        if embedded {
            return Err(Failure::NoMatch);
        }
        Ok((known::plain(Kind::String), Value::string(self.tokens.text())))
    }

    /// What is in quotes. Blanks between delimiters are lost; a quote that is missing at the end is not missed here.
    fn quoted(&mut self) -> Found {
        let mut content = String::new();
        while self.tokens.has_next() && !self.tokens.take("\"") {
            content.push_str(self.tokens.next_visible());
        }
        self.timed(&content).unwrap_or_else(|| (known::plain(Kind::String), Value::from(content)))
    }

    /// A time or timestamp has colons, which split it into five tokens; a date is one.
    fn temporal(&mut self, token: &str) -> Option<Found> {
        const REST: usize = 4;
        // Longer than any form, in any script.
        const BYTES_MAX: usize = 200;
        let start = self.tokens.mark();
        let mut taken = 0;
        while taken < REST && self.tokens.has_next() {
            self.tokens.next();
            taken += 1;
        }
        if taken == REST {
            let rest = self.tokens.since(start);
            if token.len() + rest.len() <= BYTES_MAX
                && let Some(found) = self.timed(&format!("{token}{rest}"))
            {
                return Some(found);
            }
        }
        self.tokens.rewind(start);
        self.timed(token)
    }

    fn timed(&mut self, text: &str) -> Option<Found> {
        if !text.contains(character::is_digit) {
            return None;
        }
        let zone = self.zone.get_or_insert_with(Zone::of_process);
        let (form, millis): (Form, i64) = temporal::parse(text, zone)?;
        Some((known::temporal(form), Value::Date(millis)))
    }
}

impl Open {
    /// What closes it.
    fn end(&self) -> &'static str {
        match self {
            Self::List { .. } => "]",
            Self::Map { .. } => "}",
        }
    }

    /// False behind a key, where only its value can be.
    fn awaits_entry(&self) -> bool {
        !matches!(self, Self::Map { key: Some(_), .. })
    }

    fn close(self) -> Result<Found, Failure> {
        match self {
            Self::List { common, list } => closed_list(common, list),
            Self::Map { keys, values, pairs, .. } => closed_map(keys, values, pairs),
        }
    }
}

fn closed_list(common: Common, list: Vec<Value>) -> Result<Found, Failure> {
    let Some(element) = common.schema() else {
        return Ok((known::plain(Kind::Array(Schema::unknown())), Value::Array(list)));
    };
    let list = list.into_iter().map(|value| aligned(&element, value)).collect::<Result<_>>()?;
    Ok((known::plain(Kind::Array(element)), Value::Array(list)))
}

fn closed_map(keys: Common, values: Common, pairs: Vec<(Value, Value)>) -> Result<Found, Failure> {
    let pairs = linked::map(pairs);
    // Without a schema of the keys that of the values is not used either.
    let (keys, values) = match (keys.schema(), values.schema()) {
        (Some(keys), values) => (keys, values.unwrap_or_else(Schema::unknown)),
        (None, _) => (Schema::unknown(), Schema::unknown()),
    };
    let fit = |schema: &SchemaRef, value| if schema.is_unknown() { Ok(value) } else { aligned(schema, value) };
    let pair = |(key, value)| -> Result<(Value, Value)> { Ok((fit(&keys, key)?, fit(&values, value)?)) };
    let pairs = pairs.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
    // Keys that were different may have become the same.
    Ok((known::plain(Kind::Map(keys, values)), Value::Map(linked::map(pairs))))
}

/// A number of the smallest type that holds it exactly, a float when it has a scale, else a decimal.
fn smallest(number: Numeral) -> Found {
    match number.whole().map(integer).or_else(|| floating(&number)) {
        Some((kind, value)) => (known::plain(kind), value),
        None => (known::decimal(number.scale()), Value::Decimal(Box::new(number.into_decimal()))),
    }
}

fn integer(number: i64) -> (Kind, Value) {
    if let Ok(number) = i8::try_from(number) {
        (Kind::Int8, Value::Int8(number))
    } else if let Ok(number) = i16::try_from(number) {
        (Kind::Int16, Value::Int16(number))
    } else if let Ok(number) = i32::try_from(number) {
        (Kind::Int32, Value::Int32(number))
    } else {
        (Kind::Int64, Value::Int64(number))
    }
}

/// A number as a float, when it has a scale and is not too large. Digits may be lost: single precision comes first.
fn floating(number: &Numeral) -> Option<(Kind, Value)> {
    if number.scale() == 0 {
        return None;
    }
    let single = number.float();
    if single.is_finite() {
        return Some((Kind::Float32, Value::Float32(single)));
    }
    let double = number.double();
    double.is_finite().then_some((Kind::Float64, Value::Float64(double)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::logical;

    fn read(text: &str) -> Datum {
        parse_string(text).unwrap()
    }

    fn array(element: SchemaRef) -> Option<SchemaRef> {
        Some(Schema::of(Kind::Array(element)).shared())
    }

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
            ("+.5", Value::Float32(0.5)),
            (".5", Value::string(".5")),
            ("\u{661}\u{662}", Value::Int8(12)),
            ("-9223372036854775809", Value::Bytes((i128::from(i64::MIN) - 1).to_be_bytes()[7..].to_vec().into())),
        ] {
            assert_eq!(read(text).value, value, "{text}");
        }
        let huge = read("1e2147483647");
        assert_eq!(
            (huge.value, huge.schema.unwrap().get_parameter("scale")),
            (Value::Bytes(vec![1].into()), Some("-2147483647"))
        );
    }

    #[test]
    fn words_are_all_there_is() {
        assert_eq!(read(" null "), Datum::null());
        assert_eq!(read("true").value, Value::Bool(true));
        for text in ["", "  ", "True", "true]", "nul", "\"a\"", "a:b", "\\"] {
            assert_eq!(read(text).value, Value::string(text), "{text}");
        }
    }

    #[test]
    fn lists_need_a_common_schema_or_have_none() {
        assert_eq!(read("[null,1]").value, Value::string("[null,1]"));
        let mixed = read("[1,\"a\"]");
        assert_eq!(mixed.schema, array(Schema::unknown()));
        assert_eq!(mixed.value, Value::Array(vec![Value::Int8(1), "a".into()]));
        let wide = read("[1,40000]x");
        assert_eq!(wide.value, Value::Array(vec![Value::Int32(1), Value::Int32(40000)]));
        assert_eq!(read("[[],[1]]").schema, array(array(known::plain(Kind::Int8)).unwrap()));
        assert_eq!(read("[null]").value, Value::Array(vec![Value::Null]));
    }

    #[test]
    fn numbers_among_dates_are_days() {
        let dates = read("[1,2020-01-02]");
        assert_eq!(dates.value, Value::Array(vec![Value::Int32(1), Value::Int32(18_263)]));
        assert!(matches!(&dates.schema.unwrap().kind, Kind::Array(element) if element.is(logical::DATE)));
        // The other way round the date would have to be a number, and it is none.
        assert_eq!(read("[2020-01-02,70000]").value, Value::string("[2020-01-02,70000]"));
        // No time of day has that many milliseconds.
        assert_eq!(read("[90000000,10:11:12.345Z]").value, Value::string("[90000000,10:11:12.345Z]"));
    }

    #[test]
    fn maps_have_each_key_once() {
        let map = |entries: &[(Value, i8)]| {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), Value::Int8(*value))).collect())
        };
        assert_eq!(read("{\"a\":1 \"b\":2,\"a\":3}").value, map(&[("a".into(), 3), ("b".into(), 2)]));
        // As single floats two of the keys are the same.
        let floats = read("{16777217:1,1.5:2,16777216:3}");
        assert_eq!(floats.value, map(&[(Value::Float32(16_777_216.0), 3), (Value::Float32(1.5), 2)]));
        let nulls = read("{\"a\":null}").schema.unwrap();
        assert_eq!(nulls.kind, Kind::Map(known::plain(Kind::String), Schema::unknown()));
        let mixed = read("{1:2,\"b\":3}").schema.unwrap();
        assert_eq!(mixed.kind, Kind::Map(Schema::unknown(), Schema::unknown()));
    }

    #[test]
    fn blanks_between_delimiters_of_a_quoted_text_are_lost() {
        for (text, expected) in [("[\" \"]", ""), ("[\" a\"]", " a"), ("[\" ,b\"]", ",b"), ("[\"a\\\" \"]", "a\\\" ")] {
            assert_eq!(read(text).value, Value::Array(vec![expected.into()]), "{text}");
        }
    }

    /// With the stack that a thread of the JVM has.
    fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
    }

    #[test]
    fn nesting_has_a_limit() {
        on_a_small_stack(|| {
            let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            assert!(matches!(read(&nested(DEPTH_MAX)).value, Value::Array(_)));
            let maps = format!("{}1{}", "{1:".repeat(DEPTH_MAX), "}".repeat(DEPTH_MAX));
            assert!(matches!(read(&maps).value, Value::Map(_)));
            for text in [nested(DEPTH_MAX + 1), "[".repeat(1_000_000), "{1:".repeat(100_000), "[{[".repeat(100_000)] {
                let message = parse_string(&text).unwrap_err().message().to_owned();
                assert_eq!(message, "A text has lists or maps nested more than 1000 deep");
            }
            // Side by side there is no limit.
            let wide = format!("[{}[1]]", "[1],".repeat(DEPTH_MAX + 1));
            assert!(matches!(read(&wide).value, Value::Array(list) if list.len() == DEPTH_MAX + 2));
        });
    }
}
