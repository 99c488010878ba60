//! Java's `.properties` format (`java.util.Properties.load`).
//!
//! Worker files and standalone connector files are ISO-8859-1, files of `FileConfigProvider` are UTF-8; the grammar is
//! the same. The last of several equal keys counts.

use indexmap::IndexMap;

use crate::parse::{ConfigError, Props};

/// Reads a worker's or standalone connector's file: ISO-8859-1, so any bytes are text.
pub fn load_latin1(bytes: &[u8]) -> Result<IndexMap<String, String>, ConfigError> {
    load(&bytes.iter().map(|b| char::from(*b)).collect::<Vec<_>>())
}

/// Reads a file of `FileConfigProvider`: UTF-8, anything else is refused.
pub fn load_utf8(bytes: &[u8]) -> Result<IndexMap<String, String>, ConfigError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| ConfigError::new(format!("The file is not UTF-8 text: byte {} is wrong", e.valid_up_to())))?;
    load(&text.chars().collect::<Vec<_>>())
}

/// Reads a worker's file as the properties that definitions parse.
pub fn load_props(bytes: &[u8]) -> Result<Props, ConfigError> {
    Ok(load_latin1(bytes)?.into_iter().map(|(key, value)| (key, Some(value))).collect())
}

fn load(text: &[char]) -> Result<IndexMap<String, String>, ConfigError> {
    let mut entries = IndexMap::new();
    let mut rest = text;
    while let Some(line) = logical_line(&mut rest) {
        let (key, value) = split(&line);
        entries.insert(unescape(key)?, unescape(value)?);
    }
    Ok(entries)
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0C')
}

/// Takes the next line that says something: no comments, no blank lines, continued lines put together.
fn logical_line(rest: &mut &[char]) -> Option<Vec<char>> {
    let mut line = Vec::new();
    // White space at the start of a line does not count; behind a continuation a line end does.
    let (mut skip_white, mut continued) = (true, false);
    let mut backslash = false;
    while let Some((&c, tail)) = rest.split_first() {
        *rest = tail;
        if skip_white {
            if is_white(c) || (!continued && matches!(c, '\r' | '\n')) {
                continue;
            }
            (skip_white, continued) = (false, false);
        }
        if line.is_empty() && matches!(c, '#' | '!') {
            let end = rest.iter().position(|c| matches!(c, '\r' | '\n')).unwrap_or(rest.len());
            *rest = &rest[end..];
            skip_white = true;
            continue;
        }
        if !matches!(c, '\r' | '\n') {
            backslash = c == '\\' && !backslash;
            line.push(c);
            continue;
        }
        if line.is_empty() {
            skip_white = true;
        } else if backslash {
            line.pop();
            (skip_white, continued, backslash) = (true, true, false);
            if c == '\r' && rest.first() == Some(&'\n') {
                *rest = &rest[1..];
            }
        } else {
            return Some(line);
        }
    }
    if backslash {
        line.pop();
        return Some(line);
    }
    (!line.is_empty()).then_some(line)
}

/// Splits at the first `=`, `:` or white space that is not escaped.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut escaped = false;
    let mut end = line.len();
    for (at, c) in line.iter().enumerate() {
        if !escaped && (is_white(*c) || matches!(c, '=' | ':')) {
            end = at;
            break;
        }
        escaped = *c == '\\' && !escaped;
    }
    let (key, mut value) = line.split_at(end);
    let mut separated = false;
    while let Some((&c, tail)) = value.split_first() {
        let separator = !separated && matches!(c, '=' | ':');
        if !is_white(c) && !separator {
            break;
        }
        separated |= separator;
        value = tail;
    }
    (key, value)
}

/// Resolves escapes. Java's strings are UTF-16: two `\u` escapes may make one character.
fn unescape(text: &[char]) -> Result<String, ConfigError> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.iter().copied();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' { chars.next() } else { Some(c) };
        let plain = match (c, plain) {
            ('\\', Some('u')) => {
                units.push(hex_unit(&mut chars)?);
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('n')) => '\n',
            ('\\', Some('f')) => '\x0C',
            (_, Some(other)) => other,
            // A backslash at the very end stands for nothing.
            (_, None) => break,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

/// The four hexadecimal digits behind `\u`.
fn hex_unit(chars: &mut impl Iterator<Item = char>) -> Result<u16, ConfigError> {
    let digits: Vec<u32> = chars.take(4).filter_map(|c| c.to_digit(16)).collect();
    let value = digits.iter().fold(0, |value, digit| value * 16 + digit);
    match (digits.len(), u16::try_from(value)) {
        (4, Ok(unit)) => Ok(unit),
        _ => Err(ConfigError::new("Malformed \\uxxxx encoding.")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Vec<(String, String)> {
        load_utf8(text.as_bytes()).expect("the text is well formed").into_iter().collect()
    }

    #[test]
    fn a_lone_backslash_is_an_entry_without_a_key() {
        // As `Properties.load` has it.
        assert_eq!(entries("\\"), vec![(String::new(), String::new())]);
    }

    #[test]
    fn a_comment_line_is_not_continued() {
        assert_eq!(entries("# a\\\nb=1"), vec![("b".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn carriage_returns_end_lines_too() {
        assert_eq!(entries("a=1\r\nb=2\rc=3\\\r\n  4").len(), 3);
        assert_eq!(entries("c=3\\\r\n  4"), vec![("c".to_owned(), "34".to_owned())]);
    }

    #[test]
    fn two_escapes_make_one_character() {
        assert_eq!(entries("a=\\ud83d\\ude00"), vec![("a".to_owned(), "\u{1F600}".to_owned())]);
    }

    /// Writes a text so that reading gives it back.
    fn escape(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Only a bad escape is refused, and only UTF-8 is text for the second reader.
            let escapes = bytes.windows(2).any(|pair| pair == b"\\u");
            prop_assert!(load_latin1(&bytes).is_ok() || escapes);
            prop_assert!(load_utf8(&bytes).is_ok() || escapes || std::str::from_utf8(&bytes).is_err());
        }

        #[test]
        fn odd_text_never_panics(text in "[\\\\=: \t\r\n#!au09\u{0}]{0,40}") {
            prop_assert!(load_utf8(text.as_bytes()).is_ok() || text.contains('u'));
        }

        #[test]
        fn what_is_written_is_read(key in "\\PC{1,12}", value in "\\PC{0,20}") {
            let text = format!("{}={}\n", escape(&key), escape(&value));
            prop_assert_eq!(entries(&text), vec![(key, value)]);
        }
    }
}
