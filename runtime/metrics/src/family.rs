//! Families of samples and their text, in Prometheus' format and in OpenMetrics.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::help;

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of the text.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What the samples of a family do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: Cow<'static, str>,
    /// By labels, as they are written.
    samples: BTreeMap<String, f64>,
}

/// Families by name.
#[derive(Debug, Default)]
pub(crate) struct Families {
    families: BTreeMap<String, Family>,
}

impl Families {
    /// Adds a sample. Of two with the same labels the first stays: several dialects may have a name in common.
    pub(crate) fn add(&mut self, name: &str, attribute: &str, kind: Kind, labels: &[(&str, &str)], value: f64) {
        let family = match self.families.get_mut(name) {
            Some(family) => family,
            None => self.families.entry(name.to_owned()).or_insert_with(|| Family {
                kind,
                help: help::of(attribute),
                samples: BTreeMap::new(),
            }),
        };
        family.samples.entry(label_text(labels)).or_insert(value);
    }

    /// The whole text.
    pub(crate) fn text(&self, format: Format) -> String {
        let mut text = String::with_capacity(self.families.len() * 256);
        for (name, family) in &self.families {
            // Writing into a string does not fail.
            let _written = self.family(&mut text, name, family, format);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn family(&self, text: &mut String, name: &str, family: &Family, format: Format) -> std::fmt::Result {
        let (head, kind) = match (format, family.kind) {
            (_, Kind::Gauge) => (name, "gauge"),
            (Format::Text, Kind::Counter) => (name, "counter"),
            // A counter's samples end in `_total`, which is not part of its family's name. Where both forms are shown, they
            // would be one family in OpenMetrics: then neither is called a counter.
            (Format::OpenMetrics, Kind::Counter) => match name.strip_suffix("_total") {
                Some(base) if !self.families.contains_key(base) => (base, "counter"),
                _ => (name, "unknown"),
            },
        };
        writeln!(text, "# HELP {head} {}", escaped(&family.help, format == Format::OpenMetrics))?;
        writeln!(text, "# TYPE {head} {kind}")?;
        for (labels, value) in &family.samples {
            text.push_str(name);
            text.push_str(labels);
            text.push(' ');
            number(text, *value)?;
            text.push('\n');
        }
        Ok(())
    }
}

fn number(text: &mut String, value: f64) -> std::fmt::Result {
    if value.is_nan() {
        text.write_str("NaN")
    } else if value.is_infinite() {
        text.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        write!(text, "{value}")
    }
}

/// Labels as they are written, `{a="b"}`, or nothing. A name that is no label's name is made one.
fn label_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut text = String::with_capacity(64);
    for (at, (name, value)) in labels.iter().enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        text.push_str(&identifier(name));
        text.push_str("=\"");
        text.push_str(&escaped(value, true));
        text.push('"');
    }
    text.push('}');
    text
}

/// A part of a name: letters, digits and underscores.
pub(crate) fn identifier(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Escapes backslashes and line ends, and quotes where they would end the text.
fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Families {
        let mut families = Families::default();
        families.add("b_total", "b-total", Kind::Counter, &[("connector", "a\"b\\c\nd")], 3.0);
        families.add("a", "status", Kind::Gauge, &[], f64::NAN);
        families.add("b_total", "b-total", Kind::Counter, &[("connector", "x")], 0.5);
        families.add("b_total", "b-total", Kind::Counter, &[("connector", "x")], 9.0);
        families
    }

    #[test]
    fn families_are_contiguous_and_labels_escaped() {
        let text = families().text(Format::Text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE a gauge",
                "a NaN",
                "# TYPE b_total counter",
                "b_total{connector=\"a\\\"b\\\\c\\nd\"} 3",
                "b_total{connector=\"x\"} 0.5",
            ]
        );
    }

    #[test]
    fn openmetrics_has_counters_without_their_suffix_in_the_head() {
        let mut families = families();
        families.add("c_total", "c-total", Kind::Counter, &[], 1.0);
        families.add("c", "c-total", Kind::Counter, &[], 1.0);
        let text = families.text(Format::OpenMetrics);
        for line in ["# TYPE b counter", "# TYPE c unknown", "# TYPE c_total unknown", "c_total 1", "c 1"] {
            assert!(text.lines().any(|of| of == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
