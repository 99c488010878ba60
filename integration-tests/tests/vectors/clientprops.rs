//! Replays `clientprops.jsonl`: the properties the worker gives its clients, compared key by key.

use std::path::Path;

use connect_kafka::ClientProps;
use connect_kafka::client_properties::{Client, OverridePolicy, client_properties};
use serde_json::Value as Json;

use super::outcome::{Outcome, Verdict, replay};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    replay(dir, "clientprops", |vector| vector["client"].as_str().unwrap_or("other").to_owned(), check)
}

fn check(vector: &Json) -> Verdict {
    let Some(client) = client(vector) else {
        return Verdict::Unsupported(format!("client {} is not known", vector["client"]));
    };
    let policy = match vector["policy"].as_str() {
        Some("All") | None => OverridePolicy::All,
        Some("None") => OverridePolicy::None,
        Some("Principal") => OverridePolicy::Principal,
        Some(other) => return Verdict::Unsupported(format!("policy {other} is not known")),
    };
    let worker = texts(&vector["worker"]);
    let overrides = texts(&vector["connector_overrides"]);
    let cluster_id = vector["kafka_cluster_id"].as_str().unwrap_or_default();
    let error = &vector["error"];
    match client_properties(client, &worker, &overrides, &policy, cluster_id) {
        Err(refused) if error.is_null() => Verdict::Failed(format!("refused: {refused}")),
        Err(refused) if error["message"].as_str() != Some(&refused.message) => {
            Verdict::Failed(format!("expected message {}, got {:?}", error["message"], refused.message))
        }
        Err(_) => Verdict::Passed,
        Ok(_) if !error.is_null() => Verdict::Failed(format!("expected the error {error}")),
        Ok(props) => compare(&texts(&vector["props"]), &props),
    }
}

fn client(vector: &Json) -> Option<Client<'_>> {
    let connector = vector["connector"].as_str().unwrap_or_default();
    let task = vector["task"].as_u64().and_then(|task| u32::try_from(task).ok()).unwrap_or_default();
    Some(match vector["client"].as_str()? {
        "source_task_producer" => Client::SourceTaskProducer { connector, task },
        "exactly_once_source_task_producer" => Client::ExactlyOnceSourceTaskProducer { connector, task },
        "source_offsets_consumer" => Client::SourceOffsetsConsumer { connector, task },
        "exactly_once_source_offsets_consumer" => Client::ExactlyOnceSourceOffsetsConsumer { connector, task },
        "source_task_admin" => Client::SourceTaskAdmin { connector, task },
        "sink_task_consumer" => Client::SinkTaskConsumer { connector, task },
        "sink_dlq_producer" => Client::SinkDlqProducer { connector, task },
        "sink_dlq_admin" => Client::SinkDlqAdmin { connector, task },
        "config_topic_producer" => Client::ConfigTopicProducer,
        "config_topic_leader_producer" => Client::ConfigTopicLeaderProducer,
        "config_topic_consumer" => Client::ConfigTopicConsumer,
        "status_topic_producer" => Client::StatusTopicProducer,
        "status_topic_consumer" => Client::StatusTopicConsumer,
        "offsets_topic_producer" => Client::OffsetsTopicProducer,
        "offsets_topic_consumer" => Client::OffsetsTopicConsumer,
        _ => return None,
    })
}

fn texts(object: &Json) -> ClientProps {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn compare(expected: &ClientProps, actual: &ClientProps) -> Verdict {
    let mut differences = Vec::new();
    for (name, value) in expected {
        match actual.get(name) {
            Some(found) if found == value => {}
            found => differences.push(format!("{name}: expected {value:?}, got {found:?}")),
        }
    }
    for (name, value) in actual.iter().filter(|(name, _)| !expected.contains_key(*name)) {
        differences.push(format!("{name}: not expected, got {value:?}"));
    }
    if differences.is_empty() { Verdict::Passed } else { Verdict::Failed(differences.join("; ")) }
}
