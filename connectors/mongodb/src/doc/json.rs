//! Plain JSON (RFC 8259) to BSON, as columns of type json hold it.
//!
//! Names that begin with a dollar sign mean nothing here: `{"$oid": ..}` stays a document. Numbers keep their digits: a
//! whole one is an int32, else an int64; any other is a double, or a Decimal128 where a double would lose digits. Beyond
//! the 34 digits of a Decimal128 the nearest double is taken. Of two fields with one name the last counts.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bson::{Bson, Decimal128, Document, RawDocumentBuf};
use connect_api::Error;

use super::write::{At, Writer};

/// How deep values may nest: the server refuses more than about 180 levels.
const MAX_DEPTH: usize = 150;
/// So many decimal digits survive a double in any case.
const DIGITS_OF_DOUBLE: usize = 15;

/// What is wrong with a text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    at: usize,
    why: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

/// Writes the value of a text. On an error the caller truncates the buffer.
pub fn write(w: &mut Writer, at: At, text: &str) -> Result<(), Malformed> {
    let start = w.len();
    let mut parser = Parser { text, at: 0, names: Vec::new(), duplicates: false };
    parser.value(w, at, 0)?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.wrong("more text follows the value"));
    }
    if parser.duplicates {
        w.truncate(start);
        let value = last_of_each_name(text)?;
        w.put_bson(at, &value).map_err(|_| parser.wrong("a value that BSON cannot hold"))?;
    }
    Ok(())
}

/// The same by way of the driver's tree, which has one field of a name.
fn last_of_each_name(text: &str) -> Result<Bson, Malformed> {
    let mut w = Writer::new();
    let open = w.open();
    let at = w.literal("v");
    Parser { text, at: 0, names: Vec::new(), duplicates: false }.value(&mut w, at, 0)?;
    w.close(open);
    let tree = RawDocumentBuf::from_bytes(w.into_bytes()).and_then(|raw| Document::try_from(&raw));
    match tree {
        Ok(mut tree) => Ok(tree.remove("v").unwrap_or(Bson::Null)),
        Err(_) => Err(Malformed { at: 0, why: "a value that BSON cannot hold" }),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Where the names of the objects that are open stand in the buffer.
    names: Vec<Range<usize>>,
    duplicates: bool,
}

impl<'a> Parser<'a> {
    fn wrong(&self, why: &'static str) -> Malformed {
        Malformed { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// True, and past it, when the byte comes next.
    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn value(&mut self, w: &mut Writer, at: At, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("values nest too deep"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(w, at, depth),
            Some(b'[') => self.array(w, at, depth),
            Some(b'"') => {
                let text = self.string()?;
                w.put_str(at, &text);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(w, at),
            Some(_) => self.word(w, at),
            None => Err(self.wrong("a value is missing")),
        }
    }

    fn word(&mut self, w: &mut Writer, at: At) -> Result<(), Malformed> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        match rest.get(..length) {
            Some("true") => w.put_bool(at, true),
            Some("false") => w.put_bool(at, false),
            Some("null") => w.put_null(at),
            _ => return Err(self.wrong("no value begins like this")),
        }
        self.at += length;
        Ok(())
    }

    fn object(&mut self, w: &mut Writer, at: At, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        let open = w.begin(at);
        let outer_names = self.names.len();
        self.space();
        if !self.next_is(b'}') {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return Err(self.wrong("a field's name in quotes is missing"));
                }
                let name = self.string()?;
                // Behind the byte of the type.
                let begins = w.len() + 1;
                let at = w.name(&name).map_err(|_: Error| self.wrong("a field's name has a null character"))?;
                self.names.push(begins..begins + name.len());
                self.space();
                if !self.next_is(b':') {
                    return Err(self.wrong("a colon is missing"));
                }
                self.value(w, at, depth + 1)?;
                self.space();
                if self.next_is(b'}') {
                    break;
                }
                if !self.next_is(b',') {
                    return Err(self.wrong("a comma or the object's end is missing"));
                }
            }
        }
        self.look_for_duplicates(w, outer_names);
        w.close(open);
        Ok(())
    }

    fn look_for_duplicates(&mut self, w: &Writer, from: usize) {
        let text = |range: &Range<usize>| w.bytes().get(range.clone()).unwrap_or_default();
        if let Some(names) = self.names.get_mut(from..).filter(|names| names.len() > 1) {
            names.sort_unstable_by(|one, other| text(one).cmp(text(other)));
            self.duplicates |= names.windows(2).any(|pair| text(&pair[0]) == text(&pair[1]));
        }
        self.names.truncate(from);
    }

    fn array(&mut self, w: &mut Writer, at: At, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        let open = w.begin_array(at);
        self.space();
        if !self.next_is(b']') {
            for index in 0.. {
                let at = w.index(index);
                self.value(w, at, depth + 1)?;
                self.space();
                if self.next_is(b']') {
                    break;
                }
                if !self.next_is(b',') {
                    return Err(self.wrong("a comma or the array's end is missing"));
                }
            }
        }
        w.close(open);
        Ok(())
    }

    /// A text in quotes; the opening one comes next.
    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let text = self.text;
        self.at += 1;
        let start = self.at;
        let mut unescaped = String::new();
        let mut plain_from = start;
        loop {
            let Some(byte) = self.peek() else { return Err(self.wrong("a text does not end")) };
            match byte {
                b'"' => {
                    let plain = text.get(plain_from..self.at).unwrap_or("");
                    self.at += 1;
                    if plain_from == start {
                        return Ok(plain.into());
                    }
                    unescaped.push_str(plain);
                    return Ok(unescaped.into());
                }
                b'\\' => {
                    unescaped.push_str(text.get(plain_from..self.at).unwrap_or(""));
                    self.at += 1;
                    unescaped.push(self.escape()?);
                    plain_from = self.at;
                }
                0..0x20 => return Err(self.wrong("a control character stands in a text")),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let escaped = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.wrong("an unknown escape stands in a text")),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// The character of `\uXXXX`, and of two of them when they are a surrogate pair. Half a pair is no character.
    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.hex4()?;
        if (0xD800..0xDC00).contains(&first) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("an escape lacks its four digits"))?;
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self, w: &mut Writer, at: At) -> Result<(), Malformed> {
        let start = self.at;
        self.next_is(b'-');
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text.as_bytes().get(self.at - whole) == Some(&b'0')) {
            return Err(self.wrong("a number is malformed"));
        }
        let mut is_whole = true;
        if self.next_is(b'.') {
            is_whole = false;
            if self.digits() == 0 {
                return Err(self.wrong("a number is malformed"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            if !self.next_is(b'+') {
                self.next_is(b'-');
            }
            if self.digits() == 0 {
                return Err(self.wrong("a number is malformed"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        if !put_number(w, at, text, is_whole) {
            return Err(self.wrong("a number is beyond what BSON can hold"));
        }
        Ok(())
    }

    /// Passes over digits; how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }
}

/// Writes a number; false when no type holds it.
fn put_number(w: &mut Writer, at: At, text: &str, is_whole: bool) -> bool {
    if is_whole && let Ok(number) = text.parse::<i64>() {
        match i32::try_from(number) {
            Ok(number) => w.put_i32(at, number),
            Err(_) => w.put_i64(at, number),
        }
        return true;
    }
    let double = text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(double) = double.filter(|double| keeps_digits(*double, text)) {
        w.put_f64(at, double);
        return true;
    }
    if let Ok(decimal) = text.parse::<Decimal128>() {
        w.put_decimal128(at, decimal.bytes());
        return true;
    }
    match double {
        Some(double) => {
            w.put_f64(at, double);
            true
        }
        None => false,
    }
}

/// True when the double has every digit of the text.
fn keeps_digits(double: f64, text: &str) -> bool {
    let wanted = significant(text);
    if wanted.is_empty() || double == 0.0 {
        return wanted.is_empty();
    }
    (wanted.len() <= DIGITS_OF_DOUBLE && double.is_normal()) || significant(&format!("{double:e}")) == wanted
}

/// The digits of a number, without zeros at both ends.
fn significant(text: &str) -> String {
    let mantissa = text.split(['e', 'E']).next().unwrap_or("");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Bson, String> {
        let mut w = Writer::new();
        let open = w.open();
        let at = w.literal("v");
        write(&mut w, at, text).map_err(|malformed| malformed.to_string())?;
        w.close(open);
        let raw = RawDocumentBuf::from_bytes(w.into_bytes()).unwrap();
        Ok(Document::try_from(&raw).unwrap().remove("v").unwrap())
    }

    #[test]
    fn values_of_every_kind() {
        let text =
            r#" {"a": [1, -2147483649, 1.5, true, false, null, "x\n\u017e \ud83d\ude00 é"], "b": {"c": {}, "": []}} "#;
        assert_eq!(
            parse(text).unwrap(),
            bson!({"a": [1, -2_147_483_649_i64, 1.5, true, false, null, "x\nž 😀 é"], "b": {"c": {}, "": []}})
        );
        for (text, value) in
            [("null", Bson::Null), ("\"x\"", bson!("x")), ("0", bson!(0)), ("[]", bson!([])), (" true ", bson!(true))]
        {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn dollars_are_names_like_others() {
        let text = r#"{"$oid": "5f0f1e2d3c4b5a6978877665", "$set": {"a.b": 1}}"#;
        assert_eq!(parse(text).unwrap(), bson!({"$oid": "5f0f1e2d3c4b5a6978877665", "$set": {"a.b": 1}}));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
        for (text, value) in [
            ("-0", bson!(0)),
            ("2147483647", bson!(i32::MAX)),
            ("9223372036854775807", bson!(i64::MAX)),
            ("9223372036854775808", decimal("9223372036854775808")),
            ("10000000000000000000000", bson!(1e22)),
            ("0.1", bson!(0.1)),
            ("1.10", bson!(1.1)),
            ("1e3", bson!(1000.0)),
            ("0.30000000000000004", bson!(0.30000000000000004)),
            ("0.1234567890123456789", decimal("0.1234567890123456789")),
            ("1e400", decimal("1E+400")),
            ("1e-400", decimal("1E-400")),
            ("0e-999999999999", bson!(0.0)),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        // More than 34 digits: the nearest double.
        assert_eq!(parse("0.1234567890123456789012345678901234567890"), Ok(bson!(0.12345678901234568)));
        assert_eq!(parse("1e999999").unwrap_err(), "a number is beyond what BSON can hold at byte 8");
    }

    #[test]
    fn the_last_field_of_a_name_counts() {
        assert_eq!(parse(r#"{"a": 1, "b": 2, "a": {"c": 3}}"#).unwrap(), bson!({"a": {"c": 3}, "b": 2}));
        assert_eq!(parse(r#"[{"x": {"a": 1, "a": 2}}, {"a": 1}]"#).unwrap(), bson!([{"x": {"a": 2}}, {"a": 1}]));
    }

    #[test]
    fn what_is_no_json_says_where() {
        for (text, wrong) in [
            ("", "a value is missing at byte 0"),
            ("{\"a\" 1}", "a colon is missing at byte 5"),
            ("{\"a\": 1,}", "a field's name in quotes is missing at byte 8"),
            ("{a: 1}", "a field's name in quotes is missing at byte 1"),
            ("[1 2]", "a comma or the array's end is missing at byte 3"),
            ("[1,", "a value is missing at byte 3"),
            ("\"x", "a text does not end at byte 2"),
            ("\"\\x\"", "an unknown escape stands in a text at byte 2"),
            ("\"\\u00g0\"", "an escape lacks its four digits at byte 3"),
            ("\"a\nb\"", "a control character stands in a text at byte 2"),
            ("nulls", "no value begins like this at byte 0"),
            ("01", "a number is malformed at byte 2"),
            ("1.", "a number is malformed at byte 2"),
            ("1 x", "more text follows the value at byte 2"),
            ("{\"a\\u0000b\": 1}", "a field's name has a null character at byte 11"),
        ] {
            assert_eq!(parse(text).unwrap_err(), wrong, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().starts_with("values nest too deep"));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-zé.$\"\\\\]{0,6}", inner, 0..6)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn expected(value: &serde_json::Value) -> Bson {
        match value {
            serde_json::Value::Null => Bson::Null,
            serde_json::Value::Bool(v) => Bson::Boolean(*v),
            serde_json::Value::Number(v) => match v.as_i64() {
                Some(number) => i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32),
                None => Bson::Double(v.as_f64().unwrap()),
            },
            serde_json::Value::String(v) => Bson::String(v.clone()),
            serde_json::Value::Array(v) => Bson::Array(v.iter().map(expected).collect()),
            serde_json::Value::Object(v) => {
                Bson::Document(v.iter().map(|(name, value)| (name.clone(), expected(value))).collect())
            }
        }
    }

    proptest! {
        #[test]
        fn any_json_becomes_its_bson(value in json()) {
            prop_assert_eq!(parse(&value.to_string()).unwrap(), expected(&value));
            prop_assert_eq!(parse(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), expected(&value));
        }

        #[test]
        fn random_texts_never_panic(text in r#"[\[\]{}:,"\\u0-9eE.+\- tfn]{0,40}"#) {
            // Another parser refuses some of what we take: halves of surrogate pairs and numbers beyond a double.
            let fine = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert!(parse(&text).is_ok() || !fine, "{}", text);
        }
    }

    #[test]
    fn a_document_may_stand_where_others_do() {
        let mut w = Writer::new();
        let open = w.open();
        for name in ["a", "b"] {
            let at = w.literal(name);
            write(&mut w, at, r#"{"x": 1}"#).unwrap();
        }
        w.close(open);
        let raw = RawDocumentBuf::from_bytes(w.into_bytes()).unwrap();
        assert_eq!(Document::try_from(&raw).unwrap(), doc! {"a": {"x": 1}, "b": {"x": 1}});
    }
}
