//! The connector as the worker sees it (`MongoSinkConnector`).

use async_trait::async_trait;
use connect_api::{Error, Result, SinkConnector, SinkContext, SinkTask};
use connect_config::validate::ConfigEntry;
use connect_config::{ConfigDef, ConfigError, Props, Validated};

use crate::classes::Refused;
use crate::destinations;
use crate::live;
use crate::position_store::{self, Forget};
use crate::settings::{ExtraConfig, JOB_DEFAULTS, SinkConfig};
use crate::task::MongoSinkTask;
use crate::topic::{OVERRIDE, Plan, properties};

/// `com.mongodb.kafka.connect.MongoSinkConnector`.
#[derive(Debug)]
pub struct MongoSinkConnector;

#[async_trait]
impl SinkConnector for MongoSinkConnector {
    fn task_class(&self) -> Option<&'static str> {
        Some("com.mongodb.kafka.connect.sink.MongoSinkTask")
    }

    fn config_def(&self) -> &'static ConfigDef {
        SinkConfig::def()
    }

    async fn validate(&self, props: &Props) -> Result<Validated> {
        let mut validated = validate_static(props)?;
        if validated.error_count() == 0
            && let Ok(config) = SinkConfig::parse(props)
        {
            live::check(&config, props, &mut validated).await;
        }
        Ok(validated)
    }

    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>> {
        if let Some(Some(tolerance)) = props.get("errors.tolerance")
            && !matches!(tolerance.trim(), "none" | "all")
        {
            // The sink's own definition lets `data` pass, the worker's does not.
            return Err(
                ConfigError::invalid("errors.tolerance", tolerance.trim(), "String must be one of: none, all").into()
            );
        }
        Ok(vec![props.clone(); max])
    }

    async fn start_task(&self, props: Props, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        MongoSinkTask::start(props, context).await
    }

    async fn alter_offsets(
        &self,
        props: &Props,
        offsets: &[(connect_api::TopicPartition, Option<i64>)],
    ) -> Result<bool> {
        // Any may be set; stored positions must not stand in the way of reading from there.
        position_store::forget(props, &Forget::after(offsets)).await?;
        Ok(true)
    }

    fn job_defaults(&self) -> &'static [(&'static str, &'static str)] {
        &JOB_DEFAULTS
    }

    async fn drop_destinations(&self, props: &Props, topics: &[String]) -> Result<Vec<String>> {
        let dropped = destinations::drop_all(props, topics).await?;
        // What was written is gone: nothing may be skipped as written.
        position_store::forget(props, &Forget::Topics(topics)).await?;
        Ok(dropped)
    }
}

/// Everything that can be checked without a server.
pub fn validate_static(props: &Props) -> Result<Validated> {
    let mut validated = SinkConfig::def().validate(props);
    let effective = ExtraConfig::effective(props);
    for mut entry in ExtraConfig::def().validate(&effective).entries {
        if effective.contains_key(&entry.name) {
            entry.key = None;
            validated.entries.push(entry);
        }
    }
    if let Some(entry) = validated.entry_mut("topic.override.%s.%s") {
        entry.visible = false;
    }
    // As the JVM: topics are looked at only when everything else is right.
    if validated.error_count() > 0 {
        return Ok(validated);
    }
    let given =
        |key: &str| props.get(key).and_then(|value| value.as_deref()).map(str::trim).filter(|value| !value.is_empty());
    match (given("topics"), given("topics.regex")) {
        (Some(_), Some(_)) => {
            validated.add_error("topics", "topics and topics.regex are mutually exclusive options, but both are set.")
        }
        (None, None) => validated.add_error("topics", "Must configure one of topics or topics.regex"),
        _ => {}
    }
    if let Ok(config) = SinkConfig::parse(props) {
        let mut topics = config.topics;
        if topics.is_empty() {
            topics = overridden_topics(props);
        }
        for topic in topics {
            validate_topic(&topic, props, &mut validated)?;
        }
    }
    Ok(validated)
}

/// The topics that have settings of their own; one that stands for all when there is none.
fn overridden_topics(props: &Props) -> Vec<String> {
    let mut topics: Vec<String> = props
        .keys()
        .filter_map(|key| key.strip_prefix(OVERRIDE))
        .filter_map(|rest| rest.split('.').next())
        .map(str::to_owned)
        .collect();
    topics.dedup();
    if topics.is_empty() {
        topics.push("test".to_owned());
    }
    topics
}

fn validate_topic(topic: &str, props: &Props, validated: &mut Validated) -> Result<()> {
    let merged = properties(topic, props);
    let own = SinkConfig::def().validate(&merged).entries.into_iter();
    let mut wrong = false;
    for entry in own.chain(ExtraConfig::def().validate(&ExtraConfig::effective(&merged)).entries) {
        let name = format!("{OVERRIDE}{topic}.{}", entry.name);
        if !props.contains_key(&name) {
            continue;
        }
        wrong |= !entry.errors.is_empty();
        if !validated.entries.iter().any(|known| known.name == name) {
            validated.entries.push(ConfigEntry { key: None, name, ..entry });
        }
    }
    if wrong {
        return Ok(());
    }
    let Ok(config) = SinkConfig::parse(&merged) else { return Ok(()) };
    for problem in Plan::check_each(topic, &config) {
        match problem {
            Refused::Cast(error) => return Err(error),
            Refused::Config(error) => replace_errors(validated, &error),
        }
    }
    Ok(())
}

/// A problem of a class replaces what stood at its key: the JVM puts a new value there.
fn replace_errors(validated: &mut Validated, error: &ConfigError) {
    let Some(key) = &error.key else { return };
    if let Some(entry) = validated.entry_mut(key) {
        entry.errors = vec![error.message.clone()];
    }
}

/// What a class that cannot be used means to a task.
pub fn refused_error(refused: Refused) -> Error {
    match refused {
        Refused::Config(error) => fail_start(Some(error)),
        Refused::Cast(error) => Error::connect("Failed to start MongoDB sink task").caused_by(error),
    }
}

/// A wrong configuration, as a task that cannot start reports it.
pub fn fail_start(problem: Option<ConfigError>) -> Error {
    let problem = problem.unwrap_or_else(|| ConfigError::new("the configuration is not valid"));
    Error::connect("Failed to start MongoDB sink task").caused_by(Error::from(problem))
}
