//! Whole worker configurations.

use std::collections::{BTreeMap, BTreeSet};

use connect_config::worker::{ExactlyOnceSupport, InternalTopic};
use connect_config::{ConfigDef, ConfigError, DistributedConfig, Props, StandaloneConfig};
use serde_json::Value as Json;

use super::{equal, same, value, verdict};
use crate::codec::props;
use crate::outcome::Verdict;

fn first(problems: Vec<ConfigError>) -> ConfigError {
    problems.into_iter().next().expect("a failure has a problem")
}

/// `worker_config`.
pub(crate) fn check(vector: &Json, classes: &BTreeSet<String>) -> Verdict {
    let known = |class: &str| classes.contains(class);
    let given = props(&vector["props"]);
    if vector["class"].as_str().is_some_and(|class| class.ends_with("StandaloneConfig")) {
        let parsed = StandaloneConfig::parse_with(&given, &known).map_err(first);
        return verdict(&vector["error"], parsed, |config| {
            values(vector, StandaloneConfig::def(), &given)?;
            equal("topic creation", &vector["topic_creation_enabled"].as_bool(), &Some(config.worker.topic_creation))
        });
    }
    let parsed = DistributedConfig::parse_with(&given, &known).map_err(first);
    verdict(&vector["error"], parsed, |config| {
        values(vector, DistributedConfig::def(), &given)?;
        for (name, topic) in [
            ("offset_topic_settings", InternalTopic::Offset),
            ("config_topic_settings", InternalTopic::Config),
            ("status_topic_settings", InternalTopic::Status),
        ] {
            let expected: BTreeMap<String, String> = vector[name][1]
                .as_object()
                .map(|map| map.iter().map(|(k, v)| (k.clone(), v[1].as_str().unwrap_or_default().to_owned())).collect())
                .unwrap_or_default();
            equal(name, &expected, &config.topic_settings(topic))?;
        }
        let support = config.exactly_once();
        let enabled = |name: &str| vector[name].as_bool();
        equal("enabled", &enabled("exactly_once_source_enabled"), &Some(support == ExactlyOnceSupport::Enabled))?;
        let transactional = support != ExactlyOnceSupport::Disabled;
        equal("transactional leader", &enabled("transactional_leader_enabled"), &Some(transactional))?;
        let id = config.transactional_id();
        equal("transactional id", &vector["transactional_producer_id"].as_str(), &id.as_deref())?;
        equal("topic creation", &enabled("topic_creation_enabled"), &Some(config.worker.topic_creation))
    })
}

/// The values of the keys under test.
fn values(vector: &Json, def: &ConfigDef, given: &Props) -> Result<(), String> {
    for (key, expected) in vector["values"].as_object().expect("a worker has values") {
        let actual = def.parse_key(key, given).map_err(|e| e.message)?;
        let expected = value(expected);
        if !same(&expected, &actual) {
            return Err(format!("{key}: expected {expected:?}, got {actual:?}"));
        }
    }
    Ok(())
}
