//! Include and exclude lists, as Debezium reads them: comma-separated regular expressions that must match the whole
//! name, without regard to case; a comma inside an expression is written `\,`.

use connect_api::Error;
use regex::{Regex, RegexBuilder};

use crate::catalog::TableName;

/// A list of expressions.
#[derive(Clone, Debug)]
pub struct Patterns(Vec<Regex>);

/// An expression that can't be used; the words are Java's where it would refuse it, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

impl BadPattern {
    /// The error for the key that has the expression.
    pub fn of_key(&self, key: &str) -> Error {
        Error::config(format!(
            "The '{key}' value is invalid: A comma-separated list of valid regular expressions is expected, but {self}"
        ))
    }
}

/// Splits a list at its commas; `\,` is a comma that belongs to the expression.
pub fn split_list(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        let last = parts.last_mut().expect("a list of parts starts with one");
        match c {
            ',' if escaped => {
                last.pop();
                last.push(',');
            }
            ',' => parts.push(String::new()),
            c => last.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

impl Patterns {
    /// Compiles a list; the error names the expression.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        split_list(text).iter().map(|part| anchored(part)).collect::<Result<_, _>>().map(Self)
    }

    /// True when one of them matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|regex| regex.is_match(name))
    }

    /// The place of the first one that matches.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|regex| regex.is_match(name))
    }
}

/// One expression that has to match a whole name.
pub fn anchored(pattern: &str) -> Result<Regex, BadPattern> {
    // By itself first: an unmatched parenthesis must not close ours.
    let whole =
        Regex::new(pattern).and_then(|_| RegexBuilder::new(&format!("^(?:{pattern})$")).case_insensitive(true).build());
    whole.map_err(|error| {
        BadPattern(connect_config::java::regex_error(pattern).unwrap_or_else(|| {
            // Legal in Java.
            let last_line = error.to_string().lines().last().unwrap_or_default().to_owned();
            format!("{pattern} is not supported here: {}", last_line.trim_start_matches("error: "))
        }))
    })
}

/// Which of the lists is given.
#[derive(Clone, Debug, Default)]
pub enum Filter {
    #[default]
    All,
    Include(Patterns),
    Exclude(Patterns),
}

impl Filter {
    /// The include list wins, as in Debezium (validation refuses both).
    pub fn parse(include: Option<&str>, exclude: Option<&str>) -> Result<Self, BadPattern> {
        let given = |list: Option<&str>| list.filter(|text| !text.trim().is_empty()).map(str::to_owned);
        Ok(match (given(include), given(exclude)) {
            (Some(list), _) => Self::Include(Patterns::parse(&list)?),
            (None, Some(list)) => Self::Exclude(Patterns::parse(&list)?),
            (None, None) => Self::All,
        })
    }

    /// True when the name passes.
    pub fn accepts(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Include(patterns) => patterns.matches(name),
            Self::Exclude(patterns) => !patterns.matches(name),
        }
    }
}

/// Which tables and columns are captured.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    pub schemas: Filter,
    pub tables: Filter,
    pub columns: Filter,
    /// Whether system schemas are captured.
    pub builtin: bool,
    /// The signal table, which is captured whatever the lists say.
    pub signals: Option<TableName>,
}

impl Filters {
    /// True when a table is captured.
    pub fn table(&self, schema: &str, table: &str) -> bool {
        let system = schema.eq_ignore_ascii_case("pg_catalog")
            || schema.eq_ignore_ascii_case("information_schema")
            || schema.starts_with("pg_toast")
            || schema.starts_with("pg_temp");
        let listed = (self.builtin || !system)
            && self.schemas.accepts(schema)
            && self.tables.accepts(&format!("{schema}.{table}"));
        listed || self.signals(schema, table)
    }

    /// True for the signal table.
    pub fn signals(&self, schema: &str, table: &str) -> bool {
        self.signals.as_ref().is_some_and(|name| name.schema == schema && name.table == table)
    }

    /// The place of the first expression of the table's include list that a table fits; tables are read in this order.
    pub fn table_place(&self, schema: &str, table: &str) -> Option<usize> {
        match &self.tables {
            Filter::Include(patterns) => patterns.position(&format!("{schema}.{table}")),
            _ => None,
        }
    }

    /// True when a column of a captured table is captured.
    pub fn column(&self, schema: &str, table: &str, column: &str) -> bool {
        matches!(self.columns, Filter::All) || self.columns.accepts(&format!("{schema}.{table}.{column}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(tables: &str) -> Filters {
        Filters { tables: Filter::parse(Some(tables), None).expect("valid patterns"), ..Filters::default() }
    }

    #[test]
    fn names_match_whole_and_without_case() {
        let filters = filters("s2\\.(t|other), S1.T");
        for (schema, table, wanted) in
            [("s2", "t", true), ("s2", "other", true), ("s1", "t", true), ("s2", "tt", false), ("public", "t", false)]
        {
            assert_eq!(filters.table(schema, table), wanted, "{schema}.{table}");
        }
        assert!(!Filters::default().table("pg_catalog", "pg_class"));
    }

    #[test]
    fn a_broken_expression_is_refused_in_javas_words() {
        for (list, wanted) in [
            ("ok,a(", "Unclosed group near index 2\na("),
            ("x[", "Unclosed character class near index 1\nx[\n ^"),
            ("*a", "Dangling meta character '*' near index 0\n*a\n^"),
            ("a)", "Unmatched closing ')' near index 0\na)\n^"),
        ] {
            assert_eq!(Patterns::parse(list).expect_err(list).to_string(), wanted);
        }
        assert!(Patterns::parse("(?!a)b").expect_err("look-around").to_string().contains("not supported"));
    }

    #[test]
    fn a_comma_may_belong_to_an_expression() {
        assert_eq!(split_list("a{1\\,2},b , ,c"), vec!["a{1,2}", "b", "c"]);
    }

    #[test]
    fn an_exclude_list_counts_without_an_include_list() {
        let filter = Filter::parse(Some(" "), Some("s2.*")).expect("valid patterns");
        assert!(filter.accepts("s1.t"));
        assert!(!filter.accepts("s2.t"));
    }
}
