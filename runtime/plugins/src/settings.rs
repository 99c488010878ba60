//! The common configuration of one connector, typed.

use std::collections::BTreeMap;

use crate::connector::{ConnectorConfig, SinkConnectorConfig, SourceConnectorConfig};
use connect_api::{Error, PluginType, Result};
use connect_config::{ConfigError, Props, Type, parse_type, without_prefix};

/// The prefix of everything that concerns the creation of topics.
const TOPIC_CREATION: &str = "topic.creation.";
/// The group of rules that fits every topic.
const DEFAULT_GROUP: &str = "default";

/// The configuration that the worker itself reads of a connector.
#[derive(Clone, Debug)]
pub struct ConnectorSettings {
    pub common: ConnectorConfig,
    pub role: Role,
}

/// What only sources or only sinks have.
#[derive(Clone, Debug)]
pub enum Role {
    Source {
        config: SourceConnectorConfig,
        /// Rules for new topics, the first that fits counts, `default` last. Empty: the broker creates topics.
        topic_creation: Vec<TopicCreationGroup>,
    },
    Sink {
        config: SinkConnectorConfig,
        topics: TopicSelection,
    },
}

/// What happens with a bad record (`errors.tolerance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorTolerance {
    /// The task fails.
    None,
    /// The record is skipped.
    All,
}

/// The topics that a sink reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicSelection {
    /// Each once, in the order given.
    List(Vec<String>),
    /// A Java regular expression that must fit the whole name.
    Regex(String),
}

/// Rules for topics that the worker creates (`TopicCreationGroup`, KIP-158).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCreationGroup {
    pub name: String,
    /// Regular expressions; a topic belongs to the group when one fits its whole name and no `exclude` does.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// -1 is the broker's default.
    pub replication_factor: i16,
    /// -1 is the broker's default.
    pub partitions: i32,
    /// Topic settings such as `cleanup.policy`.
    pub configs: BTreeMap<String, String>,
}

impl ConnectorSettings {
    /// Parses the configuration of a connector that is a source or a sink. Variables must be resolved already.
    ///
    /// # Errors
    /// The first problem, in Kafka's wording; validation lists all of them.
    pub fn parse(kind: PluginType, props: &Props) -> Result<Self> {
        let common = first(ConnectorConfig::parse(props))?;
        let role = match kind {
            PluginType::Sink => {
                let config = first(SinkConnectorConfig::parse(props))?;
                let topics = topic_selection(&config)?;
                Role::Sink { config, topics }
            }
            _ => {
                let config = first(SourceConnectorConfig::parse(props))?;
                let topic_creation = topic_creation(&config, props)?;
                Role::Source { config, topic_creation }
            }
        };
        Ok(Self { common, role })
    }

    /// What happens with a bad record.
    pub fn tolerance(&self) -> ErrorTolerance {
        if self.common.tolerance == "all" { ErrorTolerance::All } else { ErrorTolerance::None }
    }

    /// The dead letter queue's topic of a sink, when there is one.
    pub fn dead_letter_topic(&self) -> Option<&str> {
        match &self.role {
            Role::Sink { config, .. } => Some(config.dlq_topic.as_str()).filter(|topic| !topic.is_empty()),
            Role::Source { .. } => None,
        }
    }
}

fn first<T>(parsed: Result<T, Vec<ConfigError>>) -> Result<T> {
    parsed.map_err(|problems| {
        let problem = problems.into_iter().next();
        problem.map_or_else(|| Error::config("The configuration does not parse"), Error::from)
    })
}

/// What a sink reads; the errors are those of validation.
fn topic_selection(config: &SinkConnectorConfig) -> Result<TopicSelection> {
    let mut topics = Vec::new();
    for topic in config.topics.iter().filter(|topic| !topic.is_empty()) {
        if !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    match (topics.is_empty(), config.topics_regex.is_empty()) {
        (false, true) => Ok(TopicSelection::List(topics)),
        (true, false) => Ok(TopicSelection::Regex(config.topics_regex.clone())),
        (false, false) => {
            Err(Error::config("topics and topics.regex are mutually exclusive options, but both are set."))
        }
        (true, true) => Err(Error::config("Must configure one of topics or topics.regex")),
    }
}

/// The groups of rules, when any `topic.creation.` key is given (`SourceConnectorConfig.enrich`).
fn topic_creation(config: &SourceConnectorConfig, props: &Props) -> Result<Vec<TopicCreationGroup>> {
    if !props.keys().any(|key| key.starts_with(TOPIC_CREATION)) {
        return Ok(Vec::new());
    }
    let default = group(DEFAULT_GROUP, props, None)?;
    let mut groups = Vec::new();
    for name in config.topic_creation_groups.iter().filter(|name| *name != DEFAULT_GROUP) {
        groups.push(group(name, props, Some(&default))?);
    }
    groups.push(default);
    Ok(groups)
}

/// One group; a named one takes numbers that it does not have from the default group.
fn group(name: &str, props: &Props, default: Option<&TopicCreationGroup>) -> Result<TopicCreationGroup> {
    let prefix = format!("{TOPIC_CREATION}{name}.");
    let own = without_prefix(props, &prefix);
    let text = |key: &str| own.get(key).and_then(Option::as_deref);
    let number = |key: &str, ty: Type, inherited: Option<i64>, lowest: &str| -> Result<i64> {
        let full = format!("{prefix}{key}");
        let Some(text) = text(key) else {
            return Ok(inherited.ok_or_else(|| ConfigError::missing(&full))?);
        };
        let parsed = parse_type(&full, Some(text), ty)?;
        // Both types of numbers are whole.
        #[allow(clippy::cast_possible_truncation)]
        let value = parsed.as_f64().unwrap_or_default() as i64;
        // The JVM checks a group's values under their short names.
        if value == -1 || value > 0 { Ok(value) } else { Err(ConfigError::invalid(key, value, lowest).into()) }
    };
    let patterns = |key: &str| -> Result<Vec<String>> {
        let full = format!("{prefix}{key}");
        let connect_config::ConfigValue::List(patterns) = parse_type(&full, text(key), Type::List)? else {
            return Ok(Vec::new());
        };
        for pattern in &patterns {
            if let Some(problem) = connect_config::java::regex_error(pattern) {
                let (all, why) = (patterns.join(", "), format_args!("Syntax error in regular expression: {problem}"));
                return Err(ConfigError::invalid(key, format_args!("[{all}]"), why).into());
            }
        }
        Ok(patterns)
    };
    let replication = number(
        "replication.factor",
        Type::Short,
        default.map(|group| group.replication_factor.into()),
        "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to \
         use the broker's default",
    )?;
    let partitions = number(
        "partitions",
        Type::Int,
        default.map(|group| group.partitions.into()),
        "Number of partitions must be positive, or -1 to use the broker's default",
    )?;
    let include = match default {
        // The default group always fits, whatever is written there.
        None => vec![".*".to_owned()],
        // Without any it fits nothing.
        Some(_) => patterns("include")?,
    };
    let exclude = if default.is_none() { Vec::new() } else { patterns("exclude")? };
    let known = ["include", "exclude", "replication.factor", "partitions"];
    let configs = own
        .iter()
        .filter(|(key, _)| !known.contains(&key.as_str()))
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    Ok(TopicCreationGroup {
        name: name.to_owned(),
        include,
        exclude,
        replication_factor: i16::try_from(replication).unwrap_or(-1),
        partitions: i32::try_from(partitions).unwrap_or(-1),
        configs,
    })
}
