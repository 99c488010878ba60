//! `post.processors`: which there are, and what each of them is to do.
//!
//! The options of a processor stand behind `post.processors.<name>.`, or behind `<name>.`, which the reference calls deprecated. A
//! single key in the first form makes all in the second count for nothing, as in the reference.

use std::sync::Arc;

use connect_api::Error;
use connect_config::Props;

use crate::filters::Filter;

/// The key that names the processors.
pub const KEY: &str = "post.processors";
/// The only processor that the reference has for any connector.
const CLASS: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

connect_config::config! {
    /// Options of a post processor, behind `post.processors.<name>.`.
    pub struct ReselectConfig {
        /// Class of the processor: `io.debezium.processors.reselect.ReselectColumnsPostProcessor`.
        "type" => class: Option<String> = NULL
            { importance(High) },
        /// Columns to reselect: regular expressions for `schema.table:column`. All columns when neither list is given.
        "reselect.columns.include.list" => include: Option<String> = NULL
            { importance(Medium) },
        /// Columns not to reselect: regular expressions for `schema.table:column`. Has no effect beside an include list.
        "reselect.columns.exclude.list" => exclude: Option<String> = NULL
            { importance(Medium) },
        /// Whether columns are reselected whose value Postgres did not send because it did not change.
        "reselect.unavailable.values" => unavailable: bool = "true"
            { importance(Medium) },
        /// Whether columns are reselected that are null.
        "reselect.null.values" => nulls: bool = "true"
            { importance(Medium) },
        /// Whether a row is looked up by the columns of the record's key (`message.key.columns`) instead of its primary key.
        "reselect.use.event.key" => event_key: bool = "false"
            { importance(Medium) },
        /// What happens when the row is gone or the server refuses the query: `warn` sends the record as it is and logs a warning,
        /// `fail` fails the task.
        "reselect.error.handling.mode" => on_failure: String = "WARN"
            { importance(Low) },
    }
}

/// `reselect.error.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Warn,
    Fail,
}

impl OnFailure {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "warn" => Some(Self::Warn),
            "fail" => Some(Self::Fail),
            _ => None,
        }
    }
}

/// A processor that reselects columns.
#[derive(Clone, Debug)]
pub struct Processor {
    name: Arc<str>,
    columns: Filter,
    /// Both lists are given.
    both_lists: bool,
    pub unavailable: bool,
    pub nulls: bool,
    pub event_key: bool,
    pub on_failure: OnFailure,
}

fn given<'a>(props: &'a Props, key: &str) -> Option<&'a str> {
    props.get(key)?.as_deref()
}

/// The processors that a configuration names, in their order.
pub fn parse(props: &Props) -> Result<Arc<[Processor]>, Error> {
    let names = given(props, KEY).unwrap_or_default();
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| Processor::parse(name, props)).collect()
}

impl Processor {
    fn parse(name: &str, props: &Props) -> Result<Self, Error> {
        let full = format!("{KEY}.{name}.");
        let short = format!("{name}.");
        let prefix = if props.keys().any(|key| key.starts_with(&full)) { full } else { short };
        let own = connect_config::without_prefix(props, &prefix);
        match given(&own, "type").map(str::trim).filter(|class| !class.is_empty()) {
            Some(CLASS) => {}
            Some(class) => {
                return Err(Error::config(format!(
                    "The '{KEY}' value is invalid: {class} is a Java class, which this worker can't load"
                ))
                .hint(format!("use {CLASS}, or change the records by a transform")));
            }
            None => {
                return Err(Error::config(format!(
                    "Post processor '{name}' is missing '{name}.type' and/or '{name}.<option>' configurations"
                ))
                .class("io.debezium.DebeziumException")
                .hint(format!("set {KEY}.{name}.type={CLASS}, or take {name} out of {KEY}")));
            }
        }
        let config = ReselectConfig::parse(&own).map_err(|problems| {
            // They name the keys as they are declared, which is not where the user has them.
            let text = |problem: connect_config::ConfigError| match problem.key {
                Some(key) => problem.message.replacen(&key, &format!("{prefix}{key}"), 1),
                None => problem.message,
            };
            Error::config(problems.into_iter().map(text).collect::<Vec<_>>().join("\n"))
        })?;
        let list = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
        let include =
            if list(&config.include) { "reselect.columns.include.list" } else { "reselect.columns.exclude.list" };
        let columns = Filter::parse(config.include.as_deref(), config.exclude.as_deref())
            .map_err(|e| e.of_key(&format!("{prefix}{include}")))?;
        let on_failure = OnFailure::parse(&config.on_failure).ok_or_else(|| {
            Error::config(format!(
                "The '{prefix}reselect.error.handling.mode' value is invalid: Value must be one of warn, fail"
            ))
        })?;
        Ok(Self {
            name: name.into(),
            columns,
            both_lists: list(&config.include) && list(&config.exclude),
            unavailable: config.unavailable,
            nulls: config.nulls,
            event_key: config.event_key,
            on_failure,
        })
    }

    /// True when a column of a table may be reselected.
    pub fn fits(&self, table: &str, column: &str) -> bool {
        matches!(self.columns, Filter::All) || self.columns.accepts(&format!("{table}:{column}"))
    }

    /// Tells of settings that go together badly.
    pub fn tell(&self, connector: &str) {
        if !self.unavailable && !self.nulls {
            tracing::warn!(
                connector,
                processor = &*self.name,
                "Reselect post-processor disables both null and unavailable columns, no-reselection will occur."
            );
        }
        if self.both_lists {
            tracing::warn!(
                connector,
                processor = &*self.name,
                "reselect.columns.exclude.list has no effect beside reselect.columns.include.list"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<Arc<[Processor]>, Error> {
        parse(&pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect())
    }

    fn one(options: &[(&str, &str)]) -> Result<Processor, Error> {
        let base = [(KEY, "r"), ("r.type", CLASS)];
        parsed(&base.iter().chain(options).copied().collect::<Vec<_>>()).map(|all| all[0].clone())
    }

    #[test]
    fn a_processor_has_the_defaults_of_the_reference() {
        assert!(parsed(&[]).expect("none").is_empty());
        assert!(parsed(&[(KEY, " , ")]).expect("none").is_empty());
        let plain = one(&[]).expect("valid");
        assert!(plain.unavailable && plain.nulls && !plain.event_key);
        assert_eq!(plain.on_failure, OnFailure::Warn);
        assert!(plain.fits("public.t", "a"));
    }

    #[test]
    fn options_stand_behind_either_prefix() {
        let old =
            one(&[("r.reselect.null.values", "false"), ("r.reselect.error.handling.mode", "FAIL")]).expect("valid");
        assert!(!old.nulls);
        assert_eq!(old.on_failure, OnFailure::Fail);
        let new = parsed(&[
            (KEY, "a, b"),
            ("post.processors.a.type", CLASS),
            ("post.processors.a.reselect.use.event.key", "true"),
            // Without effect beside the others.
            ("a.reselect.null.values", "false"),
            ("b.type", CLASS),
        ])
        .expect("valid");
        assert_eq!(new.len(), 2);
        assert!(new[0].event_key && new[0].nulls && !new[1].event_key);
    }

    #[test]
    fn lists_match_whole_names_without_case_and_the_include_list_wins() {
        let listed = |list: &str, text: &str| one(&[(list, text)]).expect("valid");
        let include = listed("r.reselect.columns.include.list", "s1\\.t:(a|b), S2.u:.*");
        for (table, column, fits) in
            [("s1.t", "a", true), ("s1.t", "ab", false), ("s2.u", "x", true), ("s1", "t:a", false)]
        {
            assert_eq!(include.fits(table, column), fits, "{table}:{column}");
        }
        let exclude = listed("r.reselect.columns.exclude.list", ".*:a");
        assert!(!exclude.fits("s1.t", "a") && exclude.fits("s1.t", "b"));
        let both = one(&[("r.reselect.columns.include.list", ".*:a"), ("r.reselect.columns.exclude.list", ".*:a")])
            .expect("valid");
        assert!(both.both_lists && both.fits("s1.t", "a"));
    }

    #[test]
    fn what_can_not_be_done_names_its_key() {
        let refused = |pairs: &[(&str, &str)]| parsed(pairs).expect_err("refused");
        let other = refused(&[(KEY, "r"), ("r.type", "org.example.Own")]);
        assert_eq!(
            other.message(),
            "The 'post.processors' value is invalid: org.example.Own is a Java class, which this worker can't load"
        );
        assert!(other.remedy().is_some_and(|text| text.contains(CLASS)));
        let missing = refused(&[(KEY, "r"), ("r.reselect.null.values", "false")]);
        assert_eq!(missing.message(), "Post processor 'r' is missing 'r.type' and/or 'r.<option>' configurations");
        assert!(missing.remedy().is_some_and(|text| text.contains("post.processors.r.type")));
        for (key, value, words) in [
            ("r.reselect.null.values", "maybe", "for configuration r.reselect.null.values:"),
            ("r.reselect.error.handling.mode", "skip", "The 'r.reselect.error.handling.mode' value is invalid"),
            ("r.reselect.columns.include.list", "a(", "The 'r.reselect.columns.include.list' value is invalid"),
            ("r.reselect.columns.exclude.list", "a(", "The 'r.reselect.columns.exclude.list' value is invalid"),
        ] {
            let error = one(&[(key, value)]).expect_err(key);
            assert!(error.message().contains(words), "{error}");
        }
    }
}
