//! Names and labels in the dialects that published dashboards and alerts query.

mod confluent;
mod debezium;
mod reporter;
mod strimzi;

use crate::family::{Families, Kind, identifier};
use crate::snapshot::{Attributes, Value};

/// A way to name metrics (`metrics.prometheus.dialects`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `strimzi`: the rules of Strimzi's JMX exporter example.
    Strimzi,
    /// `confluent`: the rules of Confluent's jmx-monitoring-stacks, with old and new suffixes.
    Confluent,
    /// `reporter`: Strimzi's Metrics Reporter.
    Reporter,
    /// `debezium`: the rules of Debezium's monitoring example.
    Debezium,
}

impl Dialect {
    /// The only place where names of dialects are declared.
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Strimzi, "strimzi", "s"),
        (Self::Confluent, "confluent", "c"),
        (Self::Reporter, "reporter", "r"),
        (Self::Debezium, "debezium", "d"),
    ];
}

/// A set of dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects(u8);

/// A name that is no dialect's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDialect(pub String);

impl Dialects {
    /// Reads names in any case; a dialect's first letter is enough.
    ///
    /// # Errors
    /// The first name that is unknown.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownDialect> {
        let mut set = 0;
        for name in names {
            let known = |(_, long, short): &&(_, &str, &str)| {
                name.trim().eq_ignore_ascii_case(long) || name.trim().eq_ignore_ascii_case(short)
            };
            let (dialect, ..) = Dialect::ALL.iter().find(known).ok_or_else(|| UnknownDialect(name.to_owned()))?;
            set |= 1 << *dialect as u8;
        }
        Ok(Self(set))
    }

    /// The names of all dialects, separated by commas.
    pub fn names() -> String {
        Dialect::ALL.map(|(_, name, _)| name).join(", ")
    }

    /// All of them.
    pub const fn all() -> Self {
        Self(0b1111)
    }

    /// True when it is one of the set.
    pub const fn has(self, dialect: Dialect) -> bool {
        self.0 & (1 << dialect as u8) != 0
    }
}

impl Default for Dialects {
    /// Strimzi, Confluent and Debezium.
    fn default() -> Self {
        Self(1 << Dialect::Strimzi as u8 | 1 << Dialect::Confluent as u8 | 1 << Dialect::Debezium as u8)
    }
}

/// Adds a group under its names in all dialects of the set.
pub(crate) fn add(group: &Attributes, dialects: Dialects, out: &mut Families) {
    // What no JVM worker has, and what every process has, has one name.
    if matches!(group.group.domain, "process" | "tidegate") {
        return plain(group, out);
    }
    if dialects.has(Dialect::Strimzi) {
        strimzi::add(group, out);
    }
    if dialects.has(Dialect::Confluent) {
        confluent::add(group, out);
    }
    if dialects.has(Dialect::Reporter) {
        reporter::add(group, out);
    }
    // Confluent's rules contain Debezium's.
    if dialects.has(Dialect::Debezium) || dialects.has(Dialect::Confluent) {
        debezium::events(group, out);
    }
    if dialects.has(Dialect::Debezium) {
        debezium::worker(group, out);
    }
}

/// What has the same name everywhere.
fn plain(group: &Attributes, out: &mut Families) {
    let labels = tags(group, str::to_owned);
    for (attribute, value) in &group.values {
        if let Some((kind, number)) = number(value) {
            out.add(attribute, attribute, kind, &borrowed(&labels), number);
        }
    }
}

/// A number with its kind; `None` for a text.
fn number(value: &Value) -> Option<(Kind, f64)> {
    match value {
        Value::Gauge(value) => Some((Kind::Gauge, *value)),
        Value::Count(value) => Some((Kind::Counter, *value)),
        Value::Text(_) => None,
    }
}

/// Lower case, with underscores.
fn snake(name: &str) -> String {
    identifier(name).to_ascii_lowercase()
}

/// The tags as labels, their names made by `name`.
fn tags(group: &Attributes, name: impl Fn(&str) -> String) -> Vec<(String, String)> {
    group.tags.iter().map(|(tag, value)| (name(tag), value.clone())).collect()
}

fn borrowed(labels: &[(String, String)]) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The labels and one more.
fn with<'a>(labels: &'a [(String, String)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut labels = borrowed(labels);
    labels.push((name, value));
    labels
}

/// True for the groups of Kafka: Connect and its clients.
fn of_kafka(group: &Attributes) -> bool {
    group.group.domain.starts_with("kafka.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_named_in_full_or_by_a_letter() {
        assert_eq!(Dialects::parse(["strimzi", " C ", "Debezium"]), Ok(Dialects::default()));
        assert_eq!(Dialects::parse(["s", "c", "r", "d"]), Ok(Dialects::all()));
        assert_eq!(Dialects::parse(["x"]), Err(UnknownDialect("x".to_owned())));
        assert!(!Dialects::default().has(Dialect::Reporter));
        assert_eq!(Dialects::names(), "strimzi, confluent, reporter, debezium");
    }
}
