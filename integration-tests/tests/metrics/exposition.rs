//! A strict reader of Prometheus' text formats.

use std::collections::{BTreeMap, BTreeSet};

/// A text that was read: labels of the samples by name.
pub(crate) struct Exposition(BTreeMap<String, Vec<BTreeMap<String, String>>>);

impl Exposition {
    /// Reads a text; panics where it is not valid.
    pub(crate) fn parse(text: &str, openmetrics: bool) -> Self {
        let (mut families, mut counters) = (BTreeSet::new(), BTreeSet::new());
        let mut samples: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
        let mut ended = false;
        for line in text.lines() {
            assert!(!ended, "a line after the end: {line}");
            if line == "# EOF" {
                ended = true;
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                helped = rest.split(' ').next().unwrap().to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, of) = rest.split_once(' ').unwrap();
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                assert_eq!(name, helped, "help and type belong together");
                assert!(["gauge", "counter", "unknown"].contains(&of), "{line}");
                (family, kind) = (name.to_owned(), of.to_owned());
            } else {
                let (name, labels) = sample(line);
                let expected =
                    if openmetrics && kind == "counter" { format!("{family}_total") } else { family.clone() };
                assert_eq!(name, expected, "{line}");
                if kind == "counter" {
                    counters.insert(name.clone());
                }
                assert!(seen.insert((name.clone(), labels.clone())), "{line} comes twice");
                samples.entry(name).or_default().push(labels);
            }
        }
        assert_eq!(ended, openmetrics);
        if openmetrics {
            // The name of a counter's samples must not be that of another family.
            let clash = families.iter().find(|family| {
                counters.contains(&format!("{family}_total")) && families.contains(&format!("{family}_total"))
            });
            assert_eq!(clash, None);
        }
        Self(samples)
    }

    /// True when there is a sample of this name with all these labels.
    pub(crate) fn has(&self, name: &str, labels: &[&str]) -> bool {
        let samples = self.0.get(name).map_or(&[][..], Vec::as_slice);
        samples.iter().any(|of| labels.iter().all(|label| of.contains_key(*label)))
    }
}

fn is_name(text: &str, colons: bool) -> bool {
    let first = text.chars().next();
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    first.is_some_and(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Name and labels of a sample.
fn sample(line: &str) -> (String, BTreeMap<String, String>) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label, false), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(["NaN", "+Inf", "-Inf"].contains(&value) || value.parse::<f64>().is_ok(), "{line}");
    (name.to_owned(), labels)
}

/// A text up to its quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &text[at + 1..]),
            '\\' => {
                let (_, escaped) = chars.next().unwrap();
                assert!(['\\', '"', 'n'].contains(&escaped), "{text}");
                out.push(escaped);
            }
            other => out.push(other),
        }
    }
    panic!("no end of a label: {text}");
}
