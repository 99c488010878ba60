//! A cursor over JSON text, with the tolerance of Connect's parser: leading zeros are fine, and what follows the first
//! value is not looked at (only a number or a word must end there). Nothing is built that nobody asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use connect_api::{Bytes, Value};

use super::swar;

/// Deeper nesting is refused, as Jackson does.
const DEPTH_MAX: usize = 1000;
/// So many names are compared with each other; among more each is looked up.
const COMPARED_MAX: usize = 32;
/// Longer numbers are refused, as Jackson does.
const NUMBER_LENGTH_MAX: usize = 1000;
/// Integers of so many digits fit 64 bits in any case.
const SMALL_DIGITS: usize = 18;

/// A text that is no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Offset in bytes.
    pub(crate) at: usize,
    what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for SyntaxError {}

type Result<T> = std::result::Result<T, SyntaxError>;

/// What a value is, as Jackson's `JsonNodeType` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Token {
    /// The name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::Number => "NUMBER",
            Self::String => "STRING",
            Self::Array => "ARRAY",
            Self::Object => "OBJECT",
        }
    }
}

/// A number as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub(crate) text: &'a str,
    /// Without fraction and exponent.
    pub(crate) integral: bool,
}

/// A text as it stands between its quotes.
#[derive(Clone, Debug)]
pub(crate) struct Quoted {
    range: Range<usize>,
    escaped: bool,
}

/// The cursor.
#[derive(Clone)]
pub(crate) struct Scan<'a> {
    whole: &'a Bytes,
    /// The same, when all of it is UTF-8, as it should be: parts of it need not be looked at then.
    text: Option<&'a str>,
    /// Up to the end of the part that is looked at.
    source: &'a [u8],
    pub(crate) at: usize,
    depth: usize,
}

impl<'a> Scan<'a> {
    /// A cursor at the start of a text, after a byte order mark.
    pub(crate) fn new(source: &'a Bytes) -> Self {
        let at = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { whole: source, text: simdutf8::basic::from_utf8(source).ok(), source, at, depth: 0 }
    }

    /// A cursor over a part of the same text.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        Self { source: &self.source[..range.end], at: range.start, ..*self }
    }

    /// A part that was checked.
    fn checked(&self, range: Range<usize>) -> &'a str {
        let known = self.text.and_then(|text| text.get(range.clone()));
        known.unwrap_or_else(|| std::str::from_utf8(&self.source[range]).unwrap_or_default())
    }

    fn error<T>(&self, what: &'static str) -> Result<T> {
        Err(SyntaxError { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// Skips white space.
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// True when only white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.space();
        self.peek().is_none()
    }

    /// Takes a byte after white space, when it is the next one.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What the next value is.
    pub(crate) fn token(&mut self) -> Result<Token> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Token::String),
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number),
            Some(b't' | b'f') => Ok(Token::Boolean),
            Some(b'n') => Ok(Token::Null),
            Some(_) => self.error("unexpected character"),
            None => self.error("unexpected end of input"),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<()> {
        if !self.source[self.at..].starts_with(word) {
            return self.error("unrecognized token");
        }
        self.at += word.len();
        match self.peek() {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..) => self.error("unrecognized token"),
            _ => Ok(()),
        }
    }

    /// Takes `null`.
    pub(crate) fn null(&mut self) -> Result<()> {
        self.word(b"null")
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool> {
        let value = self.peek() == Some(b't');
        self.word(if value { b"true" } else { b"false" })?;
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    /// Takes an integer of few digits within an object or array, as most numbers are; `None`, with nothing taken, where the next
    /// number is another one.
    pub(crate) fn small_integer(&mut self) -> Option<i64> {
        let text = self.source.get(self.at..)?;
        let negative = text.first() == Some(&b'-');
        let digits = &text[usize::from(negative)..];
        let (mut value, mut length) = (0_i64, 0);
        while let Some(digit @ b'0'..=b'9') = digits.get(length) {
            if length == SMALL_DIGITS {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
            length += 1;
        }
        let fractional = matches!(digits.get(length), Some(b'.' | b'e' | b'E'));
        if length == 0 || fractional || self.depth == 0 {
            return None;
        }
        self.at += usize::from(negative) + length;
        Some(if negative { -value } else { value })
    }

    /// Takes a number.
    // What is handed over by way of memory, in other pieces than it is taken up in, is waited for; so here and below.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        let (start, integral) = self.pass_number()?;
        Ok(Number { text: self.checked(start..self.at), integral })
    }

    /// Steps over a number. Gives where it begins, and whether it has neither fraction nor exponent.
    fn pass_number(&mut self) -> Result<(usize, bool)> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.digits() == 0 {
            return self.error("a number without digits");
        }
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            if self.digits() == 0 {
                return self.error("a decimal point must be followed by a digit");
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            let digits = self.digits();
            if digits == 0 || digits > 9 {
                return self.error("an exponent without digits, or with too many");
            }
        }
        let ends = self.depth > 0 || matches!(self.peek(), None | Some(b' ' | b'\n' | b'\r' | b'\t'));
        if !ends || self.at - start > NUMBER_LENGTH_MAX {
            return self.error("a number that does not end, or is too long");
        }
        Ok((start, integral))
    }

    /// Takes a text.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Quoted> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut ascii) = (false, true);
        loop {
            let found = swar::next_special(&self.source[self.at..]);
            ascii &= found.ascii;
            self.at += found.length;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    match self.source.get(self.at + 1).copied().and_then(plain_escape) {
                        Some(_) => self.at += 2,
                        None => self.escape().map(drop)?,
                    }
                }
                Some(_) => return self.error("a control character in a text"),
                None => return self.error("a text without end"),
            }
        }
        let range = start..self.at;
        if !ascii && self.text.is_none() && std::str::from_utf8(&self.source[range.clone()]).is_err() {
            return self.error("text that is not UTF-8");
        }
        self.at += 1;
        Ok(Quoted { range, escaped })
    }

    /// True when a text is this one.
    pub(crate) fn is(&self, text: &Quoted, expected: &str) -> bool {
        if text.escaped {
            return self.content(text) == expected;
        }
        self.source[text.range.clone()] == *expected.as_bytes()
    }

    /// Skips an escape, and says which UTF-16 unit or character it stands for.
    fn escape(&mut self) -> Result<u16> {
        let kind = self.source.get(self.at + 1).copied();
        self.at += 2;
        if let Some(byte) = kind.and_then(plain_escape) {
            return Ok(u16::from(byte));
        }
        Ok(match kind {
            Some(b'u') => {
                let hex = self.source.get(self.at..self.at + 4).unwrap_or_default();
                let all_hex = hex.len() == 4 && hex.iter().all(u8::is_ascii_hexdigit);
                let text = std::str::from_utf8(hex).unwrap_or_default();
                let Some(unit) = u16::from_str_radix(text, 16).ok().filter(|_| all_hex) else {
                    return self.error("an escape that is no four hexadecimal digits");
                };
                self.at += 4;
                unit
            }
            _ => return self.error("an unrecognized escape"),
        })
    }

    /// The content of a text. Half of a surrogate pair becomes a question mark, as it does in Java's UTF-8.
    pub(crate) fn content(&self, text: &Quoted) -> Cow<'a, str> {
        let raw = &self.source[text.range.clone()];
        if !text.escaped {
            return Cow::Borrowed(self.checked(text.range.clone()));
        }
        let mut out = Vec::with_capacity(raw.len());
        // The first half of a surrogate pair, while the second may follow.
        let mut half: Option<u16> = None;
        let mut cursor = self.part(text.range.clone());
        while let Some(rest) = cursor.source.get(cursor.at..).filter(|rest| !rest.is_empty()) {
            // Between its quotes nothing else interrupts a text.
            let plain = swar::next_special(rest).length;
            let escape = rest.get(plain..).and_then(|rest| plain_escape(*rest.get(1)?));
            if plain > 0 || escape.is_some() {
                out.extend(half.take().map(|_| b'?'));
                out.extend_from_slice(&rest[..plain]);
                out.extend(escape);
                cursor.at += plain + 2 * usize::from(escape.is_some());
            } else if let Ok(unit) = cursor.escape() {
                match half.take() {
                    None => {}
                    Some(first) if (0xdc00..0xe000).contains(&unit) => {
                        push_units(&[first, unit], &mut out);
                        continue;
                    }
                    Some(_) => out.push(b'?'),
                }
                match unit {
                    0..0x80 => out.push(unit as u8),
                    0xd800..0xdc00 => half = Some(unit),
                    _ => push_units(&[unit], &mut out),
                }
            }
        }
        out.extend(half.map(|_| b'?'));
        Cow::Owned(String::from_utf8(out).unwrap_or_default())
    }

    /// The content of a text as a value, to where it belongs: a slice of the source when it has no escapes.
    #[inline(always)]
    pub(crate) fn text_to(&self, to: &mut Value, text: &Quoted) {
        if text.escaped {
            *to = Value::from(self.content(text).into_owned());
            return;
        }
        to.set_part(self.whole, self.checked(text.range.clone()));
    }

    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return self.error("nested too deep");
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    /// Enters an object or array: the caller leaves it with [`Scan::leave`].
    pub(crate) fn enter(&mut self) -> Result<()> {
        if self.depth >= DEPTH_MAX {
            return self.error("nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Leaves what was entered.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// After an element: true when another one follows, false at the closing byte, which is taken.
    pub(crate) fn another(&mut self, close: u8) -> Result<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => self.error("expected a comma or the end"),
        }
    }

    /// The name of a member, with its colon.
    pub(crate) fn name(&mut self) -> Result<Quoted> {
        self.space();
        if self.peek() != Some(b'"') {
            return self.error("expected a name in double quotes");
        }
        let name = self.text()?;
        if self.take(b':') { Ok(name) } else { self.error("expected a colon") }
    }

    /// Takes a name with its colon when it stands there just like this.
    pub(crate) fn take_written(&mut self, name: &[u8]) -> bool {
        let found = self.source.get(self.at..).is_some_and(|rest| rest.starts_with(name));
        self.at += if found { name.len() } else { 0 };
        found
    }

    /// Skips a value, checking it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        match self.token()? {
            Token::Null => self.null(),
            Token::Boolean => self.boolean().map(|_| ()),
            Token::Number => self.pass_number().map(|_| ()),
            Token::String => self.text().map(|_| ()),
            Token::Array => self.nested(|scan| {
                scan.at += 1;
                if scan.take(b']') {
                    return Ok(());
                }
                loop {
                    scan.skip()?;
                    if !scan.another(b']')? {
                        return Ok(());
                    }
                }
            }),
            Token::Object => self.nested(|scan| {
                scan.at += 1;
                if scan.take(b'}') {
                    return Ok(());
                }
                loop {
                    scan.name()?;
                    scan.skip()?;
                    if !scan.another(b'}')? {
                        return Ok(());
                    }
                }
            }),
        }
    }

    /// Takes an object: its members and where their values stand. Of equal names the first keeps its place and the last
    /// its value.
    pub(crate) fn members(&mut self) -> Result<Vec<(Cow<'a, str>, Range<usize>)>> {
        self.nested(|scan| {
            let mut members: Vec<(Cow<'a, str>, Range<usize>)> = Vec::new();
            let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
            scan.at += 1;
            if scan.take(b'}') {
                return Ok(members);
            }
            loop {
                let name = scan.name()?;
                scan.space();
                let start = scan.at;
                scan.skip()?;
                let (name, range) = (scan.content(&name), start..scan.at);
                let known = if places.is_empty() {
                    members.iter().position(|(other, _)| *other == name)
                } else {
                    places.get(&name).copied()
                };
                match known.and_then(|place| members.get_mut(place)) {
                    Some(member) => member.1 = range,
                    None => members.push((name, range)),
                }
                if members.len() > COMPARED_MAX {
                    let from = places.len();
                    places
                        .extend(members.iter().enumerate().skip(from).map(|(place, (name, _))| (name.clone(), place)));
                }
                if !scan.another(b'}')? {
                    return Ok(members);
                }
            }
        })
    }

    /// The bytes between two offsets.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        &self.source[range]
    }
}

/// What an escape of two bytes stands for.
#[inline(always)]
fn plain_escape(kind: u8) -> Option<u8> {
    Some(match kind {
        b'"' | b'\\' | b'/' => kind,
        b'n' => 0x0a,
        b'r' => 0x0d,
        b't' => 0x09,
        b'b' => 0x08,
        b'f' => 0x0c,
        _ => return None,
    })
}

fn push_units(units: &[u16], out: &mut Vec<u8>) {
    for c in char::decode_utf16(units.iter().copied()) {
        out.extend_from_slice(c.unwrap_or('?').encode_utf8(&mut [0; 4]).as_bytes());
    }
}
