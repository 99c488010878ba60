//! What the configuration says of single columns: masks, hashes and cuts of their values, and their types in the database
//! as parameters of their schemas.
//!
//! The first rule that fits a column counts, in the order in which the reference looks for one: cuts, masks, types by column,
//! types by type, hashes. Rules concern the fields of values; keys stay as they are.

mod declared;
mod hash;
mod mapping;

use std::sync::Arc;

use connect_api::{Error, Schema};
use connect_config::Props;

pub use declared::Declared;
pub use mapping::Mapping;

use crate::catalog::TableName;
use crate::filters::Patterns;
use hash::Hash;

/// What is done to a column.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Cut to so many characters, as Java counts them.
    Truncate(usize),
    /// So many asterisks instead.
    Mask(usize),
    Hash(Hash),
    /// Its type in the database goes into the schema.
    SourceType,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Matched against `schema.table.column`, or `schema.table.type`.
    patterns: Patterns,
    by_type: bool,
    rule: Rule,
}

/// The rules for columns; none of them is the usual case.
#[derive(Clone, Debug, Default)]
pub struct ColumnRules(Arc<[Entry]>);

/// A number between two parts of a key.
fn number_between(key: &str, before: &str, after: &str) -> Option<usize> {
    let digits = key.strip_prefix(before)?.strip_suffix(after)?;
    let number: i32 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    usize::try_from(number).ok()
}

/// Algorithm and salt of `ALGORITHM.with.salt.SALT`.
fn algorithm_and_salt(text: &str) -> Option<(&str, &str)> {
    let (algorithm, rest) = text.split_once('.')?;
    let salt = rest.strip_prefix("with.salt.").filter(|salt| !salt.is_empty())?;
    (!algorithm.is_empty()).then_some((algorithm, salt))
}

impl ColumnRules {
    /// Reads the rules out of a configuration.
    pub fn parse(props: &Props) -> Result<Self, Error> {
        let given = || props.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
        let mut entries = Vec::new();
        let mut add = |key: &str, list: &str, by_type: bool, rule: Rule| {
            let patterns = Patterns::parse(list).map_err(|e| e.of_key(key))?;
            entries.push(Entry { patterns, by_type, rule });
            Ok::<_, Error>(())
        };
        for (key, list) in given() {
            if let Some(length) = number_between(key, "column.truncate.to.", ".chars") {
                add(key, list, false, Rule::Truncate(length))?;
            }
        }
        for (key, list) in given() {
            if let Some(length) = number_between(key, "column.mask.with.", ".chars") {
                add(key, list, false, Rule::Mask(length))?;
            }
        }
        for (wanted, by_type) in [("column.propagate.source.type", false), ("datatype.propagate.source.type", true)] {
            for (key, list) in given().filter(|(key, _)| *key == wanted) {
                add(key, list, by_type, Rule::SourceType)?;
            }
        }
        for (version, serialized) in [("column.mask.hash.", true), ("column.mask.hash.v2.", false)] {
            for (key, list) in given() {
                let Some((algorithm, salt)) = key.strip_prefix(version).and_then(algorithm_and_salt) else { continue };
                // The salt is a secret: errors don't show it.
                let shown = format!("{version}{algorithm}.with.salt.*");
                let hash = Hash::new(algorithm, salt, serialized).ok_or_else(|| {
                    Error::config(format!("The '{shown}' value is invalid: {algorithm} MessageDigest not available"))
                        .hint("use MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224 or SHA-512/256")
                })?;
                add(&shown, list, false, Rule::Hash(hash))?;
            }
        }
        Ok(Self(entries.into()))
    }

    /// True when no column has a rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule for a column of a type with this name.
    pub fn find(&self, table: &TableName, column: &str, type_name: &str) -> Option<&Rule> {
        if self.0.is_empty() {
            return None;
        }
        let (by_column, by_type) = (format!("{table}.{column}"), format!("{table}.{type_name}"));
        let fits = |entry: &&Entry| entry.patterns.matches(if entry.by_type { &by_type } else { &by_column });
        self.0.iter().find(fits).map(|entry| &entry.rule)
    }
}

impl Rule {
    /// The schema of the column's field, with what the rule adds to it.
    pub fn annotated(&self, schema: Schema, column: &str, declared: &Declared) -> Schema {
        match self {
            Self::Truncate(length) if declared.may_exceed(*length) => {
                schema.parameter("truncateLength", length.to_string())
            }
            Self::Truncate(_) => schema,
            Self::Mask(_) | Self::Hash(_) => schema.parameter("masked", "true"),
            Self::SourceType => {
                let parameter = |name: &str| format!("__debezium.source.column.{name}");
                let mut schema = schema.parameter(parameter("type"), declared.type_name.to_uppercase());
                if declared.length != -1 {
                    schema = schema.parameter(parameter("length"), declared.length.to_string());
                }
                if let Some(scale) = declared.scale {
                    schema = schema.parameter(parameter("scale"), scale.to_string());
                }
                schema.parameter(parameter("name"), column)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Kind;

    use super::*;

    fn rules(pairs: &[(&str, &str)]) -> Result<ColumnRules, Error> {
        ColumnRules::parse(&pairs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect())
    }

    fn table() -> TableName {
        TableName { schema: "s1".to_owned(), table: "t".to_owned() }
    }

    #[test]
    fn the_first_rule_in_the_references_order_counts() {
        let rules = rules(&[
            ("column.mask.hash.SHA-256.with.salt.a.b", ".*"),
            ("column.propagate.source.type", ".*\\.c"),
            ("datatype.propagate.source.type", ".*\\.varchar"),
            ("column.mask.with.5.chars", "S1.T.a,s1.t.b"),
            ("column.truncate.to.3.chars", "s1\\.t\\.b"),
            ("column.mask.hash.v2.MD5.with.salt.x", ".*"),
        ])
        .expect("valid");
        let found = |column, ty| rules.find(&table(), column, ty);
        assert!(matches!(found("a", "text"), Some(Rule::Mask(5))));
        assert!(matches!(found("b", "text"), Some(Rule::Truncate(3))));
        assert!(matches!(found("c", "text"), Some(Rule::SourceType)));
        assert!(matches!(found("d", "varchar"), Some(Rule::SourceType)));
        assert!(matches!(found("d", "text"), Some(Rule::Hash(_))));
        assert!(ColumnRules::default().find(&table(), "a", "text").is_none());
    }

    #[test]
    fn what_can_not_be_done_is_said_without_the_salt() {
        let unknown = rules(&[("column.mask.hash.MD99.with.salt.pepper", "a")]).expect_err("no such algorithm");
        assert!(unknown.message().contains("MD99") && !unknown.message().contains("pepper"), "{unknown}");
        let broken = rules(&[("column.mask.hash.MD5.with.salt.pepper", "a(")]).expect_err("no expression");
        assert!(broken.message().ends_with("Unclosed group near index 2\na("), "{broken}");
        assert!(!broken.message().contains("pepper"));
        let debug = format!("{:?}", rules(&[("column.mask.hash.MD5.with.salt.pepper", "a")]).expect("valid"));
        assert!(!debug.contains("pepper"), "{debug}");
        // Not a number of characters: no rule.
        assert!(rules(&[("column.mask.with.x.chars", "a")]).expect("ignored").is_empty());
    }

    #[test]
    fn schemas_say_what_was_done() {
        let declared = Declared { type_name: "varchar".to_owned(), length: 20, scale: Some(0), is_text: true };
        let shown = |rule: Rule| {
            let schema = rule.annotated(Schema::of(Kind::String), "b", &declared);
            let parameters = schema.parameters.unwrap_or_default();
            parameters.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(Rule::Truncate(3)), "truncateLength=3");
        assert_eq!(shown(Rule::Truncate(20)), "", "such a value can't be too long");
        assert_eq!(shown(Rule::Mask(3)), "masked=true");
        assert_eq!(
            shown(Rule::SourceType),
            "__debezium.source.column.type=VARCHAR __debezium.source.column.length=20 \
             __debezium.source.column.scale=0 __debezium.source.column.name=b"
        );
    }
}
