//! Settings as Debezium's `Configuration` and `Field` read and check them.
//!
//! A key that is given as null counts as not given. Texts are taken as they stand; numbers and flags are checked before
//! anything else happens. The definition supplies the defaults, so a key is declared once.

use connect_api::{ConfigDef, Error, Props, Result};
use connect_config::{ConfigKey, Importance, NULL, Type, Width, java};

/// What a setting must be.
pub(super) enum Rule {
    /// Given, and more than white space.
    Required,
    /// `true` or `false`.
    Flag,
    /// A 32-bit number.
    Integer,
    /// More than nothing; a text that is no number passes.
    Positive,
    /// One of these, in upper or lower case.
    OneOf(&'static [&'static str]),
    /// A Java regular expression.
    Pattern,
    /// Anything else: says what is wrong with a value that was given.
    Custom(fn(&Settings<'_>, &str) -> Option<String>),
}

/// A setting that is not what it must be.
struct Problem {
    key: &'static str,
    value: Option<String>,
    what: String,
}

/// A transform's settings.
pub(super) struct Settings<'a> {
    def: &'static ConfigDef,
    props: &'a Props,
}

impl<'a> Settings<'a> {
    /// The settings of a definition.
    pub(super) fn new(def: &'static ConfigDef, props: &'a Props) -> Self {
        Self { def, props }
    }

    /// What the user gave.
    pub(super) fn given(&self, key: &str) -> Option<&'a str> {
        self.props.get(key).and_then(Option::as_deref)
    }

    /// The text of a setting, or its default.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let default = || self.def.key(key).and_then(ConfigKey::default_text);
        self.given(key).map(str::to_owned).or_else(default)
    }

    /// The text of a setting that has a default.
    pub(super) fn text_or_default(&self, key: &str) -> String {
        self.text(key).unwrap_or_default()
    }

    /// A flag. What is neither true nor false was refused before, or is not checked and counts as false.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// A list, without white space around its elements and without empty ones at its end.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.text(key).map(|text| split_list(&text)).unwrap_or_default()
    }

    /// Refuses the first setting that breaks a rule, in the words of a `ConfigException`.
    pub(super) fn check(&self, rules: &[(&'static str, &[Rule])]) -> Result<()> {
        match self.problems(rules).into_iter().next() {
            None => Ok(()),
            Some(Problem { key, value, what }) => {
                let value = value.as_deref().unwrap_or("null");
                Err(Error::config(format!(
                    "Invalid value {value} for configuration {key}: The '{key}' value is invalid: {what}"
                )))
            }
        }
    }

    /// Refuses settings that break a rule with one sentence for all of them; what is wrong is in the cause.
    pub(super) fn check_all(&self, rules: &[(&'static str, &[Rule])]) -> Result<()> {
        let problems = self.problems(rules);
        if problems.is_empty() {
            return Ok(());
        }
        let said = |problem: &Problem| {
            let value = problem.value.as_ref().map(|value| format!(" '{value}'")).unwrap_or_default();
            format!("The '{}' value{value} is invalid: {}", problem.key, problem.what)
        };
        let all = problems.iter().map(said).collect::<Vec<_>>().join("; ");
        Err(Error::connect("Unable to validate config.").hint(all))
    }

    fn problems(&self, rules: &[(&'static str, &[Rule])]) -> Vec<Problem> {
        let broken = |key: &'static str, rules: &[Rule]| {
            let value = self.text(key);
            let what = rules.iter().find_map(|rule| self.broken(rule, value.as_deref()))?;
            Some(Problem { key, value, what })
        };
        rules.iter().filter_map(|(key, rules)| broken(key, rules)).collect()
    }

    fn broken(&self, rule: &Rule, value: Option<&str>) -> Option<String> {
        match (rule, value) {
            (Rule::Required, value) => {
                value.is_none_or(|value| value.trim().is_empty()).then(|| "A value is required".to_owned())
            }
            (_, None) => None,
            (Rule::Flag, Some(value)) => {
                let known = ["true", "false"].iter().any(|flag| value.trim().eq_ignore_ascii_case(flag));
                (!known).then(|| "Either 'true' or 'false' is expected".to_owned())
            }
            (Rule::Integer, Some(value)) => value.parse::<i32>().is_err().then(|| "An integer is expected".to_owned()),
            (Rule::Positive, Some(value)) => value
                .parse::<i32>()
                .is_ok_and(|number| number <= 0)
                .then(|| "A positive, non-zero integer value is expected".to_owned()),
            (Rule::OneOf(names), Some(value)) => {
                let known = names.iter().any(|name| name.eq_ignore_ascii_case(value.trim()));
                (!known).then(|| format!("Value must be one of {}", names.join(", ")))
            }
            (Rule::Pattern, Some(value)) => {
                java::regex_error(value).map(|why| format!("A valid regular expressions is expected, but {why}"))
            }
            (Rule::Custom(check), Some(value)) => check(self, value),
        }
    }
}

/// Splits at commas.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

/// Declares a key the way Debezium's definitions do: first in its group, without a default.
pub(super) fn key(name: &str, ty: Type, display: &str, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, ty, documentation).display(display).order(1).default(NULL)
}

/// The same for a key in a group.
pub(super) fn in_group(group: &str, order: i32, key: ConfigKey) -> ConfigKey {
    key.group(group).order(order)
}

/// What most keys of these transforms are: a wide field of low importance.
pub(super) fn low(key: ConfigKey) -> ConfigKey {
    key.importance(Importance::Low).width(Width::Long)
}

/// A definition of these keys.
pub(super) fn definition(keys: impl IntoIterator<Item = ConfigKey>) -> ConfigDef {
    let mut def = ConfigDef::new();
    for key in keys {
        def.define(key);
    }
    def
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
        definition([
            key("a", Type::String, "A", "A text.").default("x"),
            key("n", Type::Int, "N", "A number."),
            key("f", Type::Boolean, "F", "A flag.").default("true"),
        ])
    });

    fn checked(pairs: &[(&str, Option<&str>)], rules: &[(&'static str, &[Rule])]) -> String {
        let props = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        match Settings::new(&DEF, &props).check(rules) {
            Ok(()) => String::new(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn rules_have_debeziums_words() {
        let number: &[(&str, &[Rule])] = &[("n", &[Rule::Integer, Rule::Positive, Rule::Required])];
        let said = |what: &str, value: &str| {
            format!("Invalid value {value} for configuration n: The 'n' value is invalid: {what}")
        };
        assert_eq!(checked(&[], number), said("A value is required", "null"));
        assert_eq!(checked(&[("n", None)], number), said("A value is required", "null"));
        assert_eq!(checked(&[("n", Some(" 5 "))], number), said("An integer is expected", " 5 "));
        assert_eq!(checked(&[("n", Some("0"))], number), said("A positive, non-zero integer value is expected", "0"));
        assert_eq!(checked(&[("n", Some("7"))], number), "");
        assert_eq!(checked(&[("f", Some(" TRUE "))], &[("f", &[Rule::Flag])]), "");
        assert!(checked(&[("f", Some(""))], &[("f", &[Rule::Flag])]).ends_with("Either 'true' or 'false' is expected"));
    }

    #[test]
    fn lists_lose_what_is_empty_at_the_end() {
        assert_eq!(split_list(" a ,b,, "), ["a", "b"]);
        assert_eq!(split_list(",a"), ["", "a"]);
        assert!(split_list("").is_empty());
    }
}
