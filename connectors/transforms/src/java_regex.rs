//! Java's regular expressions on top of the `regex` crate: a match of the whole text, and Java's replacement syntax.
//!
//! What is possessive, looks around or refers back can't be expressed in time linear in the text; such a pattern is
//! refused when it is configured.

use connect_api::{Error, Result};
use regex::{Captures, Regex};

/// A pattern that must match a whole text (`Matcher.matches`).
pub(crate) struct FullMatch {
    pattern: Regex,
}

impl FullMatch {
    /// Compiles a pattern; `key` is the configuration's.
    pub(crate) fn new(key: &str, pattern: &str) -> Result<Self> {
        let compiled = Regex::new(&format!("\\A(?:{})\\z", translate(pattern)));
        let pattern = compiled.map_err(|error| {
            Error::config(format!("Invalid value {pattern} for configuration {key}: Invalid regex: {error}"))
                .hint("look-around, back references and possessive quantifiers are not supported")
        })?;
        Ok(Self { pattern })
    }

    /// True when the whole text matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.pattern.is_match(text)
    }

    /// The replacement of the whole text, nothing when it does not match.
    pub(crate) fn replace(&self, text: &str, replacement: &str) -> Result<Option<String>> {
        match self.pattern.captures(text) {
            Some(captures) => expand(&captures, &self.pattern, replacement).map(Some),
            None => Ok(None),
        }
    }
}

/// Java writes a few things otherwise: named groups are the same, and so is nearly everything else.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = after;
            continue;
        }
        // Java's word, digit and space classes are ASCII.
        let ascii =
            [("\\d", "[0-9]"), ("\\D", "[^0-9]"), ("\\w", "[A-Za-z0-9_]"), ("\\W", "[^A-Za-z0-9_]"), ("\\Z", "\\z")];
        if let Some((java, ours)) = ascii.iter().find(|(java, _)| rest.starts_with(java)) {
            out.push_str(ours);
            rest = &rest[java.len()..];
            continue;
        }
        let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn illegal(message: String) -> Error {
    Error::config(message).class("java.lang.IllegalArgumentException")
}

/// `Matcher.appendReplacement`: `$1`, `${name}` and escapes.
fn expand(captures: &Captures<'_>, pattern: &Regex, replacement: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = replacement.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(escaped) => out.push(escaped),
                None => return Err(illegal("character to be escaped is missing".into())),
            },
            '$' => match rest.peek() {
                None => return Err(illegal("Illegal group reference: group index is missing".into())),
                Some('{') => {
                    rest.next();
                    let name: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_alphanumeric)).collect();
                    if name.is_empty() || rest.next() != Some('}') {
                        return Err(illegal("named capturing group is missing trailing '}'".into()));
                    }
                    if !pattern.capture_names().flatten().any(|known| known == name) {
                        return Err(illegal(format!("No group with name {{{name}}}")));
                    }
                    out.push_str(captures.name(&name).map_or("", |found| found.as_str()));
                }
                Some(digit) => {
                    let Some(mut group) = digit.to_digit(10).map(|digit| digit as usize) else {
                        return Err(illegal("Illegal group reference".into()));
                    };
                    rest.next();
                    if group >= pattern.captures_len() {
                        return Err(
                            Error::config(format!("No group {group}")).class("java.lang.IndexOutOfBoundsException")
                        );
                    }
                    // More digits belong to the number as long as there is such a group.
                    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                        let longer = group * 10 + digit as usize;
                        if longer >= pattern.captures_len() {
                            break;
                        }
                        group = longer;
                        rest.next();
                    }
                    out.push_str(captures.get(group).map_or("", |found| found.as_str()));
                }
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, text: &str, replacement: &str) -> Option<String> {
        FullMatch::new("regex", pattern).unwrap().replace(text, replacement).unwrap()
    }

    #[test]
    fn replacements_are_written_as_in_java() {
        assert_eq!(replaced("(.*)-(.*)", "a-b", "$2.$1\\$"), Some("b.a$".into()));
        assert_eq!(replaced("(?<x>a)b", "ab", "${x}$10"), Some("aa0".into()));
        assert_eq!(replaced("a", "ab", "x"), None);
        assert_eq!(replaced("\\Qa.b\\E", "a.b", "x"), Some("x".into()));
        let broken = FullMatch::new("regex", "(.*)").unwrap();
        assert!(broken.replace("a", "$2").is_err());
        assert!(broken.replace("a", "$").is_err());
        assert!(FullMatch::new("regex", "(?=a)").is_err());
    }
}
