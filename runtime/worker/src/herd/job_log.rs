//! The log behind jobs: a compacted topic beside the internal ones, or memory.
//!
//! A worker that takes the place of a JVM worker may have rights for that worker's topics and no others. It starts all the
//! same: its jobs live in its memory then, and what they derive from their connectors is there after a restart, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_cluster::{RecoveryOf, RecoveryPolicy};
use connect_config::DistributedConfig;
use connect_config::worker::{InternalTopic, JobsConfig};
use connect_kafka::admin::NewTopic;
use connect_kafka::{Admin, ClientProps, Producer, TopicLog};

use super::log::{KafkaLog, Log, MemoryLog, READ_WRITE_TIMEOUT};
use super::start::StartError;
use crate::jobs::Opening;

/// The topic of jobs: like that of configurations, and named after it.
fn topic(config: &DistributedConfig, jobs: &JobsConfig) -> NewTopic {
    let mut configs: BTreeMap<String, String> = config.topic_settings(InternalTopic::Config);
    configs.insert("cleanup.policy".to_owned(), "compact".to_owned());
    NewTopic {
        name: jobs.topic.clone().unwrap_or_else(|| format!("{}-jobs", config.storage.config_topic)),
        partitions: 1,
        replication_factor: config.storage.config_replication,
        configs,
    }
}

/// Opens the topic of jobs, which is created when it is missing, and reads it to its end.
pub(super) async fn open(
    admin: &Admin,
    config: &DistributedConfig,
    jobs: &JobsConfig,
    consumer: ClientProps,
    producer: Arc<Producer>,
    opening: &Opening,
) -> Result<Arc<dyn Log>, StartError> {
    let topic = topic(config, jobs);
    let name = topic.name.clone();
    let opened = async {
        // Who may not create topics may still have one that is there.
        if !admin.describe_topics(&[name.as_str()]).await?.contains_key(&name) {
            admin.create_topics_if_missing(std::slice::from_ref(&topic)).await?;
        }
        let log = TopicLog::open(&name, &consumer, producer, opening.sink(), READ_WRITE_TIMEOUT).await?;
        log.read_to_end(READ_WRITE_TIMEOUT).await?;
        Ok(log)
    };
    match opened.await {
        Ok(log) => Ok(Arc::new(KafkaLog(log))),
        // A worker that could start without jobs has to start with them.
        Err(error) if !passes(&error) => {
            tracing::warn!(
                topic = name,
                %error,
                "the topic of jobs can't be used: what is only said of jobs is lost when this worker ends; make the topic, \
                 compacted and with one partition, and grant Describe, Read and Write, or name another one with \
                 job.storage.topic"
            );
            // What was read before that is not all, and is nothing to act upon.
            opening.begin_anew();
            Ok(memory(opening))
        }
        Err(error) => Err(StartError::kafka(&format!("failed to open the topic of jobs '{name}'"), error)),
    }
}

/// Whether the same attempt may succeed a moment later.
fn passes(error: &connect_kafka::Error) -> bool {
    error.kind().is_retriable()
}

/// Jobs that live as long as the worker.
pub(super) fn memory(opening: &Opening) -> Arc<dyn Log> {
    Arc::new(MemoryLog::new(opening.sink()))
}

/// How failed connectors and tasks are tried again: as the worker says, unless the options of their job say otherwise.
/// Herder and units ask at each failure.
pub(super) fn recovery(jobs: &JobsConfig, opening: &Opening) -> RecoveryOf {
    let (policy, engine) = (RecoveryPolicy::from(jobs), Arc::clone(&opening.engine));
    Arc::new(move |connector: &str| {
        let engine = engine.read();
        let job = connect_cluster::jobs::members::job_of(connector, engine.log());
        let entry = engine.log().entry(&job);
        let Some(definition) = entry.and_then(|entry| entry.definition.as_ref()) else { return policy.clone() };
        policy.with_options(&definition.options).unwrap_or_else(|problem| {
            tracing::warn!(job = &*job, %problem, "options of recovery can't be used");
            policy.clone()
        })
    })
}
