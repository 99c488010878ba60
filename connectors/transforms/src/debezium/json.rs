//! JSON as Jackson's tree model reads it: what follows the first value is not looked at, of repeated names the last one's
//! value stands in the first one's place, and whole numbers know how wide they are.

use indexmap::IndexMap;

/// How deep values may be nested.
const DEPTH_MAX: usize = 1000;
/// How many characters a number may have.
const NUMBER_MAX: usize = 1000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    /// A whole number beyond 64 bits.
    Big,
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(IndexMap<String, Json>),
}

/// A text that is no JSON: what is wrong, and at which byte.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(super) struct NotJson {
    what: &'static str,
    at: usize,
}

/// Reads the value that a text begins with.
pub(super) fn parse(text: &str) -> Result<Json, NotJson> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_white();
    reader.value(0)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error<T>(&self, what: &'static str) -> Result<T, NotJson> {
        Err(NotJson { what, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Json, NotJson> {
        if depth > DEPTH_MAX {
            return self.error("too deeply nested");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => self.error("unexpected character"),
            None => self.error("unexpected end"),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, NotJson> {
        let rest = &self.text[self.at..];
        let followed = |c: char| c.is_alphanumeric() || c == '_';
        if !rest.starts_with(word) || rest[word.len()..].starts_with(followed) {
            return self.error("unrecognized word");
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Json, NotJson> {
        self.at += 1;
        let mut entries = IndexMap::new();
        self.skip_white();
        if self.take(b'}') {
            return Ok(Json::Object(entries));
        }
        loop {
            self.skip_white();
            if self.peek() != Some(b'"') {
                return self.error("expected a name");
            }
            let name = self.string()?;
            self.skip_white();
            if !self.take(b':') {
                return self.error("expected a colon");
            }
            self.skip_white();
            let value = self.value(depth + 1)?;
            entries.insert(name, value);
            self.skip_white();
            if self.take(b'}') {
                return Ok(Json::Object(entries));
            }
            if !self.take(b',') {
                return self.error("expected a comma or the end of the object");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, NotJson> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_white();
        if self.take(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            self.skip_white();
            elements.push(self.value(depth + 1)?);
            self.skip_white();
            if self.take(b']') {
                return Ok(Json::Array(elements));
            }
            if !self.take(b',') {
                return self.error("expected a comma or the end of the array");
            }
        }
    }

    /// A string, from its first quote.
    fn string(&mut self) -> Result<String, NotJson> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escaped()?);
                }
                Some(_) => return self.error("unescaped control character"),
                None => return self.error("unexpected end of a string"),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, NotJson> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.error("unrecognized escape"),
        })
    }

    /// Half a pair stands for no character, and becomes the replacement character.
    fn unicode(&mut self) -> Result<char, NotJson> {
        let first = self.hex()?;
        if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let start = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = start;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, NotJson> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.error("expected four hexadecimal digits"),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Json, NotJson> {
        let start = self.at;
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return self.error("invalid number");
        }
        let mut fraction = false;
        if self.take(b'.') {
            fraction = true;
            if self.digits() == 0 {
                return self.error("expected digits behind the point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            fraction = true;
            self.at += 1;
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return self.error("expected digits of the exponent");
            }
        }
        let text = &self.text[start..self.at];
        if text.len() > NUMBER_MAX {
            return self.error("number too long");
        }
        let ends = !matches!(self.peek(), Some(c) if c.is_ascii_alphanumeric() || c == b'.');
        if !ends {
            return self.error("invalid number");
        }
        Ok(match (fraction, text.parse::<i64>()) {
            (true, _) => Json::Double(text.parse().unwrap_or(f64::NAN)),
            (false, Ok(number)) => i32::try_from(number).map_or(Json::Long(number), Json::Int),
            (false, Err(_)) => Json::Big,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_jackson_reads_them() {
        assert_eq!(parse("2147483648"), Ok(Json::Long(2_147_483_648)));
        assert_eq!(parse("9999999999999999999"), Ok(Json::Big));
        assert_eq!(parse("1e400"), Ok(Json::Double(f64::INFINITY)));
        let Ok(Json::Object(twice)) = parse("{\"a\":true,\"b\":null,\"a\":2} x") else { panic!("no object") };
        let entries: Vec<_> = twice.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(entries, [("a", &Json::Int(2)), ("b", &Json::Null)]);
        assert_eq!(parse("\"\\u00e9\\ud83d\\ude00\""), Ok(Json::Text("é\u{1F600}".into())));
        for text in ["{", "01", "NaN", "{'a':1}", "{\"a\":1,}", "[1,]", "tru", "", "\"\n\"", "1."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:0-9eE.truefalsn\\\\u \\-é]{0,40}") {
            let read = parse(&text);
            prop_assert!(read.is_err() || !text.trim().is_empty());
        }
    }
}
