//! The three internal topics: created when missing, refused when they would lose what is written to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connect_config::DistributedConfig;
use connect_config::worker::InternalTopic;
use connect_kafka::admin::NewTopic;
use connect_kafka::{Admin, Error, ErrorKind};

use super::start::StartError;

/// One internal topic, with the words of the JVM for it.
pub(super) struct Internal {
    pub topic: NewTopic,
    setting: &'static str,
    purpose: &'static str,
}

/// What the configuration says about the topics: config, offset, status.
pub(super) fn internal_topics(config: &DistributedConfig) -> [Internal; 3] {
    let storage = &config.storage;
    let internal = |which, name: &str, partitions, replication_factor, setting, purpose| {
        let mut configs: BTreeMap<String, String> = config.topic_settings(which);
        configs.insert("cleanup.policy".to_owned(), "compact".to_owned());
        let topic = NewTopic { name: name.to_owned(), partitions, replication_factor, configs };
        Internal { topic, setting, purpose }
    };
    [
        internal(
            InternalTopic::Config,
            &storage.config_topic,
            1,
            storage.config_replication,
            "config.storage.topic",
            "connector configurations",
        ),
        internal(
            InternalTopic::Offset,
            &storage.offset_topic,
            storage.offset_partitions,
            storage.offset_replication,
            "offset.storage.topic",
            "source connector offsets",
        ),
        internal(
            InternalTopic::Status,
            &storage.status_topic,
            storage.status_partitions,
            storage.status_replication,
            "status.storage.topic",
            "connector and task statuses",
        ),
    ]
}

/// Creates what is missing and checks what is there (`TopicAdmin.verifyTopicCleanupPolicyOnlyCompact`).
pub(super) async fn prepare(admin: &Admin, internals: &[Internal; 3]) -> Result<(), StartError> {
    let wanted: Vec<NewTopic> = internals.iter().map(|internal| internal.topic.clone()).collect();
    let created = admin
        .create_topics_if_missing(&wanted)
        .await
        .map_err(|error| StartError::kafka("failed to create the internal topics", error))?;
    for internal in internals.iter().filter(|internal| !created.contains(&internal.topic.name)) {
        check_policy(admin, internal).await?;
    }
    let config = &internals[0];
    let name = config.topic.name.as_str();
    let described = admin
        .describe_topics(&[name])
        .await
        .map_err(|error| StartError::kafka("failed to describe the config topic", error))?;
    let partitions = described.get(name).map_or(1, |topic| topic.leaders.len());
    if partitions > 1 {
        return Err(StartError::Config(format!(
            "Topic '{name}' supplied via the '{}' property is required to have a single partition in order to guarantee \
             consistency of connector configurations, but found {partitions} partitions.",
            config.setting
        )));
    }
    Ok(())
}

/// How long a topic that another worker of the group has just made may be unknown to the broker that is asked.
const SPREAD_LIMIT: Duration = Duration::from_secs(30);
const SPREAD_PAUSE: Duration = Duration::from_millis(100);

/// The settings of a topic that exists, for which another worker may have seen to this very moment.
async fn known_config(admin: &Admin, name: &str) -> Result<BTreeMap<String, String>, Error> {
    let end = Instant::now() + SPREAD_LIMIT;
    loop {
        match admin.topic_config(name).await {
            Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < end => {
                tokio::time::sleep(SPREAD_PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Creates the offsets topic of a connector when it is missing, as the worker's was made, and checks it when it is there.
///
/// # Errors
/// When Kafka refuses, or records would be lost in the topic.
pub(crate) async fn prepare_offsets_topic(
    admin: &Admin,
    workers: Option<&NewTopic>,
    name: &str,
) -> connect_api::Result<()> {
    const PARTITIONS: i32 = 25;
    let compacted = || BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let topic = workers.cloned().unwrap_or_else(|| NewTopic {
        name: String::new(),
        partitions: PARTITIONS,
        replication_factor: -1,
        configs: compacted(),
    });
    let topic = NewTopic { name: name.to_owned(), ..topic };
    let what = format!("failed to create the offsets topic '{name}'");
    let created = admin.create_topics_if_missing(std::slice::from_ref(&topic)).await;
    if !created.map_err(|error| crate::io::kafka_error(&what, error))?.contains(&topic.name) {
        let internal = Internal { topic, setting: "offset.storage.topic", purpose: "source connector offsets" };
        let unfit = |error: StartError| connect_api::Error::config(error.to_string()).caused_by(error);
        check_policy(admin, &internal).await.map_err(unfit)?;
    }
    Ok(())
}

async fn check_policy(admin: &Admin, internal: &Internal) -> Result<(), StartError> {
    let name = &internal.topic.name;
    let found = match known_config(admin, name).await {
        Ok(config) => config.get("cleanup.policy").cloned(),
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Unsupported) => None,
        Err(error) => return Err(StartError::kafka(&format!("failed to describe the topic '{name}'"), error)),
    };
    let Some(found) = found else {
        tracing::info!(topic = name, "unable to verify that the topic's cleanup policy is 'compact'");
        return Ok(());
    };
    if found == "compact" {
        return Ok(());
    }
    let Internal { setting, purpose, .. } = internal;
    Err(StartError::Config(format!(
        "Topic '{name}' supplied via the '{setting}' property is required to have 'cleanup.policy=compact' to guarantee \
         consistency and durability of {purpose}, but found the topic currently has 'cleanup.policy={found}'. Continuing \
         would likely result in eventually losing {purpose} and problems restarting this Connect cluster in the future. \
         Change the '{setting}' property in the Connect worker configurations to use a topic with \
         'cleanup.policy=compact'."
    )))
}
