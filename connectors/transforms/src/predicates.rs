//! Predicates: what the transforms behind them look at before they work.

use std::sync::LazyLock;

use connect_api::{ConfigDef, Plugin, PluginKind, Predicate, Props, Record, Result};

use crate::java_regex::FullMatch;

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

connect_config::config! {
    /// The keys of `HasHeaderKey`.
    pub struct HasHeaderKeyConfig {
        /// The header's name.
        "name" => name: String { validator(non_empty()) },
    }
}

connect_config::config! {
    /// The keys of `TopicNameMatches`.
    pub struct TopicNameMatchesConfig {
        /// A Java regular expression for the whole name of the record's topic.
        "pattern" => pattern: String { validator(both(non_empty(), valid_regex())) },
    }
}

pub(crate) fn plugins() -> [Plugin; 3] {
    let plugin = |class, config_def: fn() -> &'static ConfigDef, make: connect_api::plugin::MakePredicate| Plugin {
        class,
        version: crate::KAFKA_VERSION,
        kind: PluginKind::Predicate(make),
        config_def,
    };
    [
        plugin("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", HasHeaderKeyConfig::def, |props| {
            Ok(Box::new(HasHeaderKey { name: HasHeaderKeyConfig::parse(props).map_err(crate::first_problem)?.name }))
        }),
        plugin(
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
            || &NO_KEYS,
            |_| Ok(Box::new(RecordIsTombstone)),
        ),
        plugin(
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            TopicNameMatchesConfig::def,
            |props| Ok(Box::new(TopicNameMatches::new(props)?)),
        ),
    ]
}

struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> Result<bool> {
        Ok(record.headers.iter().any(|header| *header.key == *self.name))
    }
}

struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record) -> Result<bool> {
        Ok(record.value.value.is_null())
    }
}

struct TopicNameMatches {
    pattern: FullMatch,
}

impl TopicNameMatches {
    fn new(props: &Props) -> Result<Self> {
        let config = TopicNameMatchesConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Self { pattern: FullMatch::new("pattern", &config.pattern)? })
    }
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record) -> Result<bool> {
        Ok(self.pattern.is_match(&record.topic))
    }
}
