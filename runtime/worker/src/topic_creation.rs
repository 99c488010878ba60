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
        if !topics.exists(topic).await? {
            let new = self.plan(topic)?;
            tracing::info!(topic = &**topic, partitions = new.partitions, "creating a topic for a source connector");
            topics.create(new).await.map_err(|cause| {
                Error::new(
                    cause.kind(),
                    format!(
                        "Task failed to create new topic {topic}. Ensure that the task is authorized to create topics \
                         or that the topic exists and restart the task"
                    ),
                )
                .class("org.apache.kafka.connect.errors.ConnectException")
                .caused_by(cause)
            })?;
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
