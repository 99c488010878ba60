//! What Jackson 2.19 says of a text that is no JSON. Operators see it as the cause in traces and dead letters.
//!
//! A walk of its own over the text, taken only after the reader has failed: it stops at the first thing Jackson objects to.

use connect_api::Error;

const PARSE: &str = "com.fasterxml.jackson.core.JsonParseException";
const END: &str = "com.fasterxml.jackson.core.io.JsonEOFException";
const SERIALIZATION: &str = "org.apache.kafka.common.errors.SerializationException";
const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
/// The longest token that is shown (`ErrorReportConfiguration.maxErrorTokenLength`).
const TOKEN_MAX: usize = 256;

/// The exception of `JsonDeserializer` with Jackson's as its cause; `otherwise` is said where Jackson would find nothing.
pub(crate) fn exception(payload: &[u8], otherwise: String) -> Error {
    let mut walk =
        Walk { text: payload, at: if payload.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }, open: Vec::new() };
    let (class, message) = match walk.run() {
        Err(Objection { class, message, at }) => (class, format!("{message}\n at {}", walk.place(at))),
        Ok(()) => (PARSE, otherwise),
    };
    let cause = Error::data(message.clone()).class(class);
    Error::data(format!("{class}: {message}")).class(SERIALIZATION).caused_by(cause)
}

/// The first thing that is wrong, and the offset that Jackson names.
struct Objection {
    class: &'static str,
    message: String,
    at: usize,
}

type Step<T = ()> = Result<T, Objection>;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Value,
    /// The first entry of a container, or its end.
    First,
    /// A name behind a comma.
    Name,
    CommaOrEnd,
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// Containers that are open: their first byte and where it is.
    open: Vec<(u8, usize)>,
}

fn kind(open: u8) -> &'static str {
    if open == b'{' { "Object" } else { "Array" }
}

fn is_part_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Line and column, from 1, as Jackson prints a location. Columns count bytes.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
        format!(
            "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {column}]"
        )
    }

    fn object<T>(&self, message: impl Into<String>) -> Step<T> {
        Err(Objection { class: PARSE, message: message.into(), at: self.at })
    }

    fn end<T>(&self, message: impl Into<String>) -> Step<T> {
        Err(Objection { class: END, message: message.into(), at: self.text.len() })
    }

    /// An objection to the byte at hand.
    fn unexpected<T>(&self, why: &str) -> Step<T> {
        match self.peek() {
            Some(byte) => self.object(format!("Unexpected character ('{}' (code {byte})){why}", byte as char)),
            None => self.end("Unexpected end-of-input"),
        }
    }

    /// Skips white space; any other control character is wrong between tokens.
    fn space(&mut self) -> Step<Option<u8>> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                0..=31 => {
                    self.at += 1;
                    return self.object(format!(
                        "Illegal character ((CTRL-CHAR, code {byte})): only regular white space (\\r, \\n, \\t) is allowed \
                         between tokens"
                    ));
                }
                _ => return Ok(Some(byte)),
            }
        }
        Ok(None)
    }

    /// Reads one value at the root; what follows it is not looked at.
    fn run(&mut self) -> Step {
        let mut wants = Wants::Value;
        loop {
            let byte = self.space()?;
            let inside = self.open.last().copied();
            wants = match (wants, inside) {
                (Wants::CommaOrEnd, None) => return Ok(()),
                (Wants::CommaOrEnd, Some(container)) => self.separator(byte, container)?,
                (Wants::First, Some(container)) if self.ends(byte, container.0) => self.close(),
                (Wants::First, Some(container)) if byte.is_none() => return self.unclosed(container),
                (Wants::First | Wants::Name, Some((b'{', _))) => self.name(byte)?,
                _ => self.value(byte, inside)?,
            };
        }
    }

    fn ends(&self, byte: Option<u8>, open: u8) -> bool {
        byte == Some(if open == b'{' { b'}' } else { b']' })
    }

    fn close(&mut self) -> Wants {
        self.at += 1;
        self.open.pop();
        Wants::CommaOrEnd
    }

    fn unclosed<T>(&self, (open, at): (u8, usize)) -> Step<T> {
        let (kind, place) = (kind(open), self.place(at));
        self.end(format!("Unexpected end-of-input: expected close marker for {kind} (start marker at {place})"))
    }

    fn separator(&mut self, byte: Option<u8>, container: (u8, usize)) -> Step<Wants> {
        match byte {
            None => self.unclosed(container),
            _ if self.ends(byte, container.0) => Ok(self.close()),
            Some(b',') => {
                self.at += 1;
                Ok(if container.0 == b'{' { Wants::Name } else { Wants::Value })
            }
            Some(b'}' | b']') => self.wrong_close(),
            Some(_) => self.unexpected(&format!(": was expecting comma to separate {} entries", kind(container.0))),
        }
    }

    fn wrong_close<T>(&self) -> Step<T> {
        let byte = self.peek().unwrap_or(b'}');
        match self.open.last() {
            Some((open, at)) => {
                let (kind, place, marker) = (kind(*open), self.place(*at), if *open == b'{' { '}' } else { ']' });
                let closes = byte as char;
                self.object(format!(
                    "Unexpected close marker '{closes}': expected '{marker}' (for {kind} starting at {place})"
                ))
            }
            None => {
                let kind = if byte == b'}' { "Object" } else { "Array" };
                self.object(format!("Unexpected close marker '{}': no open {kind} to close", byte as char))
            }
        }
    }

    /// A name with its colon.
    fn name(&mut self, byte: Option<u8>) -> Step<Wants> {
        const BETWEEN: &str = "Unexpected end-of-input within/between Object entries";
        match byte {
            None => return self.end(BETWEEN),
            Some(b'"') => self.string("field name")?,
            Some(_) => return self.unexpected(": was expecting double-quote to start field name"),
        }
        match self.space()? {
            None => self.end(BETWEEN),
            Some(b':') => {
                self.at += 1;
                Ok(Wants::Value)
            }
            Some(_) => self.unexpected(": was expecting a colon to separate field name and value"),
        }
    }

    fn value(&mut self, byte: Option<u8>, inside: Option<(u8, usize)>) -> Step<Wants> {
        match byte {
            None if inside.is_some_and(|(open, _)| open == b'[') => {
                return self.object("Unexpected end-of-input within/between Array entries");
            }
            None => return self.end("Unexpected end-of-input within/between Object entries"),
            Some(b'"') => self.string("VALUE_STRING")?,
            Some(open @ (b'{' | b'[')) => {
                self.open.push((open, self.at));
                self.at += 1;
                return Ok(Wants::First);
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b']') if inside.is_some_and(|(open, _)| open == b'[') => return self.unexpected(": expected a value"),
            Some(b'}' | b']') => return self.wrong_close(),
            Some(b',') => return self.unexpected(": expected a value"),
            Some(b'/') => {
                return self.unexpected(
                    ": maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled \
                     for parser)",
                );
            }
            Some(byte) if is_part_of_token(byte) => self.word()?,
            Some(_) => return self.unexpected(&format!(": expected a valid value {VALUES}")),
        }
        Ok(Wants::CommaOrEnd)
    }

    fn word(&mut self) -> Step {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_part_of_token(**byte)).count();
        let word = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        self.at += length;
        if ["true", "false", "null"].contains(&word.as_str()) {
            return Ok(());
        }
        // Jackson has read the byte behind the token when it objects.
        self.at += usize::from(self.peek().is_some());
        if ["NaN", "Infinity"].contains(&word.as_str()) {
            return self.object(format!(
                "Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
            ));
        }
        let shown: String = word.chars().take(TOKEN_MAX).collect();
        let more = if shown.len() < word.len() { "..." } else { "" };
        self.object(format!("Unrecognized token '{shown}{more}': was expecting {VALUES}"))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Step {
        const CUT_OFF: &str = "Unexpected end-of-input in null";
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if !self.digits() {
            return match self.peek() {
                None => self.end(CUT_OFF),
                Some(_) => self.unexpected(
                    " in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value",
                ),
            };
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                // At the end it is the point itself that is shown.
                self.at -= usize::from(self.peek().is_none());
                return self.unexpected(" in numeric value: Decimal point not followed by a digit");
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if !self.digits() {
                return match self.peek() {
                    None => self.end(CUT_OFF),
                    Some(_) => self.unexpected(" in numeric value: Exponent indicator not followed by a digit"),
                };
            }
        }
        match self.peek() {
            Some(byte) if self.open.is_empty() && is_part_of_token(byte) => {
                self.unexpected(": Expected space separating root-level values")
            }
            _ => Ok(()),
        }
    }

    /// A text from its first quote to behind its last.
    fn string(&mut self, what: &str) -> Step {
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.end(format!("Unexpected end-of-input in {what}")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(what)?,
                Some(byte @ 0..=31) => {
                    let place = if what == "VALUE_STRING" { "string value" } else { "name" };
                    return self.object(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {byte})): has to be escaped using backslash to be \
                         included in {place}"
                    ));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, what: &str) -> Step {
        self.at += 1;
        match self.peek() {
            None => self.end(format!("Unexpected end-of-input in {what}")),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.peek() {
                        None => return self.end(format!("Unexpected end-of-input in {what}")),
                        Some(digit) if digit.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return self.unexpected(": expected a hex-digit for character escape sequence"),
                    }
                }
                Ok(())
            }
            Some(byte) => self.object(format!("Unrecognized character escape '{}' (code {byte})", byte as char)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of Jackson 2.19.0: a text, and what it says (`|` for a line's end, `@` for the source).
    const SAID: &[(&str, &str)] = &[
        ("this is no", "JsonParseException: Unrecognized token 'this': was expecting #| at @1, column: 6]"),
        ("bad", "JsonParseException: Unrecognized token 'bad': was expecting #| at @1, column: 4]"),
        ("trux", "JsonParseException: Unrecognized token 'trux': was expecting #| at @1, column: 5]"),
        ("bad-x", "JsonParseException: Unrecognized token 'bad': was expecting #| at @1, column: 5]"),
        ("\n  bad", "JsonParseException: Unrecognized token 'bad': was expecting #| at @2, column: 6]"),
        ("{\"a\":tru}", "JsonParseException: Unrecognized token 'tru': was expecting #| at @1, column: 10]"),
        (
            "<a/>",
            "JsonParseException: Unexpected character ('<' (code 60)): expected a valid value #| at @1, column: 1]",
        ),
        ("{\"a\":", "io.JsonEOFException: Unexpected end-of-input within/between Object entries| at @1, column: 6]"),
        ("{\"a\"", "io.JsonEOFException: Unexpected end-of-input within/between Object entries| at @1, column: 5]"),
        (
            "{\"a\":1",
            "io.JsonEOFException: Unexpected end-of-input: expected close marker for Object (start marker at @1, column: \
             1])| at @1, column: 7]",
        ),
        (
            "{",
            "io.JsonEOFException: Unexpected end-of-input: expected close marker for Object (start marker at @1, column: \
             1])| at @1, column: 2]",
        ),
        ("[1,", "JsonParseException: Unexpected end-of-input within/between Array entries| at @1, column: 4]"),
        (
            "[1 2]",
            "JsonParseException: Unexpected character ('2' (code 50)): was expecting comma to separate Array entries| at @1, \
             column: 4]",
        ),
        (
            "{\"a\" 1}",
            "JsonParseException: Unexpected character ('1' (code 49)): was expecting a colon to separate field name and \
             value| at @1, column: 6]",
        ),
        (
            "{a:1}",
            "JsonParseException: Unexpected character ('a' (code 97)): was expecting double-quote to start field name| at \
             @1, column: 2]",
        ),
        (
            "{\"a\":1,}",
            "JsonParseException: Unexpected character ('}' (code 125)): was expecting double-quote to start field name| at \
             @1, column: 8]",
        ),
        ("[1,]", "JsonParseException: Unexpected character (']' (code 93)): expected a value| at @1, column: 4]"),
        ("\"abc", "io.JsonEOFException: Unexpected end-of-input in VALUE_STRING| at @1, column: 5]"),
        ("\"a\\qb\"", "JsonParseException: Unrecognized character escape 'q' (code 113)| at @1, column: 4]"),
        (
            "\"a\\u12g4\"",
            "JsonParseException: Unexpected character ('g' (code 103)): expected a hex-digit for character escape \
             sequence| at @1, column: 7]",
        ),
        ("-", "io.JsonEOFException: Unexpected end-of-input in null| at @1, column: 2]"),
        (
            "1.",
            "JsonParseException: Unexpected character ('.' (code 46)) in numeric value: Decimal point not followed by a \
             digit| at @1, column: 2]",
        ),
        (
            "1ex",
            "JsonParseException: Unexpected character ('x' (code 120)) in numeric value: Exponent indicator not followed by \
             a digit| at @1, column: 3]",
        ),
        ("}", "JsonParseException: Unexpected close marker '}': no open Object to close| at @1, column: 1]"),
        (
            "12abc",
            "JsonParseException: Unexpected character ('a' (code 97)): Expected space separating root-level values| at @1, \
             column: 3]",
        ),
        (
            "\"a\tb\"",
            "JsonParseException: Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash to be \
             included in string value| at @1, column: 3]",
        ),
    ];

    #[test]
    fn objections_are_jacksons() {
        for (text, expected) in SAID {
            let error = exception(text.as_bytes(), "nothing".to_owned());
            let said = error.message().replace(VALUES, "#").replace('\n', "|");
            let said = said
                .replace("[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: ", "@")
                .replace("com.fasterxml.jackson.core.", "");
            assert_eq!(said, *expected, "{text}");
            assert_eq!(error.java_class(), SERIALIZATION);
        }
    }

    #[test]
    fn what_jackson_would_read_is_left_to_the_reader() {
        assert!(
            exception(b"[1, {\"a\": [true, null, -1.5e3]}]", "too deep".to_owned()).message().ends_with(": too deep")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            let _described = exception(&bytes, String::new());
        }
    }
}
