//! Creates the topics a source writes to, when its configuration says so (KIP-158, `AbstractWorkerSourceTask.maybeCreateTopic`).
//!
//! Without `topic.creation.*` in the connector's configuration, or with `topic.creation.enable=false` in the worker's, a
//! missing topic is left to the broker's automatic creation.

use std::collections::HashSet;
use std::sync::Arc;

use connect_api::{Error, ErrorKind, Result};
use connect_plugins::TopicCreationGroup;
use regex::Regex;

use crate::io::{NewTopic, Topics};

/// The rules of one connector, and the topics that are known to exist.
pub struct TopicCreation {
    groups: Vec<(TopicCreationGroup, Vec<Regex>, Vec<Regex>)>,
    topics: Option<Arc<dyn Topics>>,
    known: HashSet<Arc<str>>,
}

impl TopicCreation {
    /// Rules of a connector; none turns the creation of topics off.
    pub fn new(groups: Vec<TopicCreationGroup>, topics: Arc<dyn Topics>) -> Result<Self> {
        let mut compiled = Vec::with_capacity(groups.len());
        for group in groups {
            let include = patterns(&group.include)?;
            let exclude = patterns(&group.exclude)?;
            compiled.push((group, include, exclude));
        }
        let topics = (!compiled.is_empty()).then_some(topics);
        Ok(Self { groups: compiled, topics, known: HashSet::new() })
    }

    /// Never creates anything.
    pub fn off() -> Self {
        Self { groups: Vec::new(), topics: None, known: HashSet::new() }
    }

    /// Makes sure that the topic exists before the first record is sent to it.
    pub async fn ensure(&mut self, topic: &Arc<str>) -> Result<()> {
        let Some(topics) = &self.topics else { return Ok(()) };
        if self.known.contains(topic) {
            return Ok(());
        }
        tracing::info!(
            "The task will send records to topic '{topic}' for the first time. Checking whether topic exists"
        );
        if topics.exists(topic).await.map_err(|cause| not_described(topic, cause))? {
            tracing::info!("Topic '{topic}' already exists.");
        } else {
            let new = self.plan(topic)?;
            let described = java_text(&new);
            topics.create(new).await.map_err(|cause| not_created(topic, &described, cause))?;
            tracing::info!("Created topic '{described}'");
        }
        self.known.insert(Arc::clone(topic));
        Ok(())
    }

    /// The first group that fits; the default group is the last and fits all.
    fn plan(&self, topic: &str) -> Result<NewTopic> {
        let fits = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(topic));
        let (group, ..) =
            self.groups.iter().find(|(_, include, exclude)| fits(include) && !fits(exclude)).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("no topic creation group fits topic '{topic}'"))
                    .hint("set topic.creation.default.partitions and topic.creation.default.replication.factor")
            })?;
        Ok(NewTopic {
            name: topic.to_owned(),
            partitions: group.partitions,
            replication_factor: group.replication_factor,
            configs: group.configs.clone(),
        })
    }
}

/// A topic as Java's `NewTopic` prints itself.
fn java_text(topic: &NewTopic) -> String {
    let configs: Vec<String> = topic.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "(name={}, numPartitions={}, replicationFactor={}, replicasAssignments=null, configs={{{}}})",
        topic.name,
        topic.partitions,
        topic.replication_factor,
        configs.join(", ")
    )
}

const EXECUTION: &str = "java.util.concurrent.ExecutionException";

/// An exception within the one that a future of Java's admin client throws.
pub(crate) fn execution(cause: Error) -> Error {
    Error::new(cause.kind(), format!("{}: {}", cause.java_class(), cause.message())).class(EXECUTION).caused_by(cause)
}

fn failed(message: String, cause: Error) -> Error {
    let kind = if cause.kind() == ErrorKind::Timeout { ErrorKind::Timeout } else { ErrorKind::Bug };
    Error::new(kind, message).class("org.apache.kafka.connect.errors.ConnectException").caused_by(cause)
}

/// `TopicAdmin.describeTopics`.
fn not_described(topic: &str, cause: Error) -> Error {
    match cause.kind() {
        ErrorKind::Forbidden => failed(format!("Not authorized to describe topic(s) '{topic}' on the brokers"), cause),
        ErrorKind::Unavailable | ErrorKind::Timeout => {
            Error::new(cause.kind(), format!("Timed out while waiting to describe topics '{topic}'")).caused_by(cause)
        }
        _ => failed(format!("Error while attempting to describe topics '{topic}'"), execution(cause)),
    }
}

/// `TopicAdmin.createOrFindTopics` and what the task makes of it.
fn not_created(topic: &str, described: &str, cause: Error) -> Error {
    if cause.kind() == ErrorKind::Forbidden || cause.java_class().ends_with(".UnsupportedVersionException") {
        tracing::warn!(topic, trace = cause.trace(), "Request to create new topic '{topic}' failed");
        return Error::connect(format!(
            "Task failed to create new topic {described}. Ensure that the task is authorized to create topics or that \
             the topic exists and restart the task"
        ));
    }
    let simple = cause.java_class().rsplit('.').next().unwrap_or_default();
    match simple {
        // The second extends the first.
        "InvalidConfigurationException" | "InvalidReplicationFactorException" => {
            failed(format!("Unable to create topic(s) '{topic}': {}", cause.message()), cause)
        }
        "TimeoutException" => failed(
            format!(
                "Timed out while checking for or creating topic(s) '{topic}'. This could indicate a connectivity issue, \
                 unavailable topic partitions, or if this is your first use of the topic it may have taken too long to \
                 create."
            ),
            cause,
        ),
        _ => failed(format!("Error while attempting to create/find topic(s) '{topic}'"), execution(cause)),
    }
}

/// Java's `Pattern.matches`: the whole name.
fn patterns(texts: &[String]) -> Result<Vec<Regex>> {
    texts
        .iter()
        .map(|text| {
            Regex::new(&format!("^(?:{text})$"))
                .map_err(|error| Error::config(format!("Invalid regex: {text}")).caused_by(error))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBroker;

    fn group(name: &str, include: &str, partitions: i32) -> TopicCreationGroup {
        TopicCreationGroup {
            name: name.to_owned(),
            include: vec![include.to_owned()],
            exclude: vec!["a\\.private".to_owned()],
            replication_factor: 1,
            partitions,
            configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        }
    }

    #[tokio::test]
    async fn the_first_group_that_fits_decides_and_only_once() {
        let broker = MemoryBroker::new();
        let mut default = group("default", ".*", 3);
        default.exclude.clear();
        let mut creation =
            TopicCreation::new(vec![group("a", "a\\..*", 7), default], broker.topics()).expect("valid rules");
        for topic in ["a.x", "a.x", "xa.x", "a.private"] {
            creation.ensure(&Arc::from(topic)).await.expect("created");
        }
        assert_eq!(broker.created(), [("a.x".to_owned(), 7), ("xa.x".to_owned(), 3), ("a.private".to_owned(), 3)]);
    }

    #[tokio::test]
    async fn without_rules_nothing_is_created() {
        let broker = MemoryBroker::new();
        let mut creation = TopicCreation::new(Vec::new(), broker.topics()).expect("valid rules");
        creation.ensure(&Arc::from("t")).await.expect("left to the broker");
        assert!(broker.created().is_empty());
    }
}
