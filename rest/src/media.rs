//! Media types and lists of them, read and written as the JVM worker's libraries do (`MediaType`,
//! `AcceptableMediaType`): parameters sorted by name, names in lower case, a bare word stands for `word/*`.

use std::collections::BTreeMap;
use std::fmt;

/// Characters of a token beside letters and digits (RFC 9110).
const TOKEN: &str = "!#$%&'*+-.^_`|~";
/// Character sets whose names Jetty writes in lower case; others keep the client's spelling.
const KNOWN_CHARSETS: [&str; 5] = ["utf-8", "utf8", "iso-8859-1", "us-ascii", "utf-16"];
const WILDCARD: &str = "*";

/// A media type with its parameters, or a range of media types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    kind: String,
    subtype: String,
    parameters: BTreeMap<String, String>,
}

impl MediaType {
    fn new(kind: &str, subtype: &str) -> Self {
        Self { kind: kind.to_owned(), subtype: subtype.to_owned(), parameters: BTreeMap::new() }
    }

    /// Reads a `Content-Type`; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut input = Input(text);
        let kind = input.token()?;
        input = input.after('/')?;
        let subtype = input.token()?;
        let (found, rest) = Self { kind, subtype, parameters: BTreeMap::new() }.with_parameters(input)?;
        rest.0.is_empty().then_some(found)
    }

    /// Reads an `Accept` list; `None` when it is malformed. No list accepts everything.
    pub(crate) fn parse_list(text: &str) -> Option<Vec<Self>> {
        let mut list = Vec::new();
        let mut input = Input(text).trimmed();
        if input.0.is_empty() {
            return Some(vec![Self::new(WILDCARD, WILDCARD)]);
        }
        // A comma may stand at the end, but not without a type before it.
        while !input.0.is_empty() {
            let kind = input.token()?;
            let subtype = match input.0.strip_prefix('/') {
                Some(rest) => {
                    input = Input(rest);
                    input.token()?
                }
                None => WILDCARD.to_owned(),
            };
            let (found, rest) = Self { kind, subtype, parameters: BTreeMap::new() }.with_parameters(input)?;
            found.quality()?;
            list.push(found);
            input = match rest.0.strip_prefix(',') {
                Some(rest) => Input(rest).trimmed(),
                None if rest.0.is_empty() => rest,
                None => return None,
            };
        }
        // Best first; equally good ones stay in the order given, the more specific ones before ranges.
        list.sort_by_key(|media| (std::cmp::Reverse(media.quality()), media.wildcards()));
        Some(list)
    }

    fn with_parameters(mut self, input: Input<'_>) -> Option<(Self, Input<'_>)> {
        let mut input = input.trimmed();
        while let Some(rest) = input.0.strip_prefix(';') {
            input = Input(rest).trimmed();
            if input.0.is_empty() || input.0.starts_with([';', ',']) {
                continue;
            }
            let name = input.token()?.to_ascii_lowercase();
            let mut value = input.after('=')?;
            let text = if value.0.starts_with('"') { value.quoted()? } else { value.token()? };
            self.parameters.insert(name, text);
            input = value.trimmed();
        }
        Some((self, input))
    }

    /// The weight in thousandths; `None` when it is no weight.
    fn quality(&self) -> Option<u16> {
        let Some(text) = self.parameters.get("q") else { return Some(1000) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let whole: u16 = match whole {
            "" if !fraction.is_empty() => 0,
            other => other.parse().ok().filter(|number| *number <= 1)?,
        };
        let thousandths = whole * 1000 + format!("{fraction:0<3}").parse::<u16>().ok()?;
        (thousandths <= 1000).then_some(thousandths)
    }

    fn wildcards(&self) -> usize {
        usize::from(self.kind == WILDCARD) + usize::from(self.subtype == WILDCARD)
    }

    /// Whether the two have a type in common, parameters aside.
    pub(crate) fn fits(&self, kind: &str, subtype: &str) -> bool {
        let same = |own: &str, other: &str| own == WILDCARD || own.eq_ignore_ascii_case(other);
        same(&self.kind, kind) && same(&self.subtype, subtype)
    }

    /// Whether it names the subtype, be it with a wildcard before it.
    pub(crate) fn names_subtype(&self, subtype: &str) -> bool {
        self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// What an answer of the given type is labelled with when this range accepted it: parameters that the client gave
    /// with the type itself come back, a weight does not.
    pub(crate) fn answer(&self, kind: &str, subtype: &str) -> Self {
        let mut answer = Self::new(kind, subtype);
        if self.wildcards() == 0 {
            let own = |(name, _): &(&String, &String)| !matches!(name.as_str(), "q" | "qs");
            answer.parameters = self.parameters.iter().filter(own).map(|(k, v)| (k.clone(), v.clone())).collect();
        }
        answer
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_ascii_lowercase(), self.subtype.to_ascii_lowercase())?;
        for (name, value) in &self.parameters {
            let lower = value.to_ascii_lowercase();
            if name == "charset" && KNOWN_CHARSETS.contains(&lower.as_str()) {
                write!(f, ";charset={}", if lower == "utf8" { "utf-8" } else { &lower })?;
            } else if !value.is_empty() && value.chars().all(is_token) {
                write!(f, ";{name}={value}")?;
            } else {
                write!(f, ";{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || TOKEN.contains(c)
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Input<'a>(&'a str);

impl<'a> Input<'a> {
    fn trimmed(self) -> Self {
        Self(self.0.trim_matches([' ', '\t']))
    }

    fn after(self, separator: char) -> Option<Self> {
        self.0.strip_prefix(separator).map(Self)
    }

    fn token(&mut self) -> Option<String> {
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        *self = Self(rest);
        (!token.is_empty()).then(|| token.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.0.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    *self = Self(&self.0[at + 1..]);
                    return Some(text);
                }
                '\\' => text.push(chars.next()?.1),
                other => text.push(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_lists_are_told_from_lists_that_accept_nothing() {
        for bad in [
            ",",
            ",,",
            ",application/json",
            "a/b,,c/d",
            "application/json;q=abc",
            "a/b;q=2",
            "a/b;q=0.1234",
            "a/b;q=-1",
            "a/b;c",
            "a/b;c=",
            "a/b;=d",
            ";",
            "/",
            "a/",
            "/b",
            "a /b",
            "a/ b",
            "a@/b",
            "(x)",
            "a/b (x)",
            "a/b;v=\"x",
            "a/b x",
        ] {
            assert_eq!(MediaType::parse_list(bad), None, "{bad}");
        }
        for good in ["", "*", "text", "a/b;", "a/b;;", "a/b,", " a/b ", "a/b;q=1.000", "a/b;q=\"0.5\"", "a/b;Q=.2"] {
            assert!(MediaType::parse_list(good).is_some(), "{good}");
        }
    }

    #[test]
    fn the_best_comes_first_and_parameters_are_sorted() {
        let shown = |text: &str| {
            MediaType::parse_list(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        assert_eq!(shown("application/*, application/json;v=1"), "application/json;v=1,application/*");
        assert_eq!(shown("a/b;q=0.1, c/d;q=0.9"), "c/d;q=0.9,a/b;q=0.1");
        assert_eq!(shown("A/B;Z=y;C=\"a b\";charset=UTF-8"), "a/b;c=\"a b\";charset=utf-8;z=y");
    }

    #[test]
    fn a_content_type_is_one_type() {
        for bad in ["", "*", "json", "application", "a/b, c/d", "a/b;c", "a/ b"] {
            assert_eq!(MediaType::parse(bad), None, "{bad}");
        }
        assert!(MediaType::parse("Application/JSON; charset=utf-8").unwrap().fits("application", "json"));
        assert!(MediaType::parse("*/*").unwrap().fits("application", "json"));
        assert!(!MediaType::parse("text/plain").unwrap().fits("application", "json"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~é]{0,40}") {
            if let Some(list) = MediaType::parse_list(&text) {
                // What is written can be read again.
                for media in list {
                    prop_assert!(MediaType::parse(&media.to_string()).is_some(), "{media}");
                }
            }
        }
    }
}
