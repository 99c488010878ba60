//! Reading and changing the offsets of a connector on behalf of a user (KIP-875, `Worker.connectorOffsets`,
//! `Worker.modifyConnectorOffsets`): the offsets topic for sources, the consumer group for sinks.
//!
//! The herder has checked that the connector is stopped before anything is changed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_api::{Error, ErrorKind, OffsetMap, PluginKind, SinkConnector, SourceConnector};
use connect_cluster::{HerdError, OffsetEntry};
use connect_config::Props;
use connect_kafka::TopicPartition;
use serde_json::Value;

use crate::clients::Clients;
use crate::io::Topics;
use crate::own_offsets;
use crate::task::plugin_of;
use crate::units::{Shared, present};

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

type SinkOffsets = Vec<(connect_api::TopicPartition, Option<i64>)>;

/// `GET /connectors/{name}/offsets`.
pub(crate) async fn offsets(shared: &Shared, name: &str, config: &Props) -> Result<Vec<OffsetEntry>, HerdError> {
    let props = (shared.resolve)(config).map_err(|e| refused(&e))?;
    match plugin_of(&shared.registry, &props).map_err(|e| refused(&e))?.kind {
        PluginKind::Sink(_) => {
            let (topics, group) = group_of(&*shared.clients, name, &props).map_err(|e| refused(&e))?;
            let offsets = topics.group_offsets(&group).await.map_err(|cause| {
                tracing::error!(connector = name, trace = cause.trace(), "failed to read the offsets of the group");
                HerdError::internal(format!("Failed to retrieve consumer group offsets for connector {name}"))
            })?;
            Ok(offsets.into_iter().map(|(partition, offset)| sink_entry(&partition, offset)).collect())
        }
        _ => {
            let store = own_offsets::store_of(shared, name, 0, &present(&props)).await.map_err(|e| refused(&e))?;
            store.read_all(name).await.map_err(|e| refused(&e))
        }
    }
}

/// `PATCH`, or without offsets `DELETE`, of `/connectors/{name}/offsets`: what the user is told.
pub(crate) async fn alter(
    shared: &Shared,
    name: &str,
    config: &Props,
    offsets: Option<Vec<OffsetEntry>>,
) -> Result<String, HerdError> {
    let props = (shared.resolve)(config).map_err(|e| refused(&e))?;
    let reset = offsets.is_none();
    let handled = match &plugin_of(&shared.registry, &props).map_err(|e| refused(&e))?.kind {
        PluginKind::Source(source) => alter_source(shared, name, &props, &**source, offsets).await?,
        PluginKind::Sink(sink) => alter_sink(shared, name, &props, &**sink, offsets).await?,
        _ => return Err(HerdError::internal(format!("{name} is not a connector"))),
    };
    let what = if reset { "reset" } else { "altered" };
    Ok(if handled {
        format!("The offsets for this connector have been {what} successfully")
    } else {
        format!(
            "The Connect framework-managed offsets for this connector have been {what} successfully. However, if this \
             connector manages offsets externally, they will need to be manually {what} in the system that the \
             connector uses."
        )
    })
}

async fn alter_source(
    shared: &Shared,
    name: &str,
    props: &Props,
    source: &dyn SourceConnector,
    offsets: Option<Vec<OffsetEntry>>,
) -> Result<bool, HerdError> {
    let entries = match offsets {
        Some(entries) => entries,
        None => {
            let store = own_offsets::store_of(shared, name, 0, &present(props)).await.map_err(|e| refused(&e))?;
            let known = store.read_all(name).await.map_err(|e| refused(&e))?;
            known.into_iter().map(|entry| OffsetEntry { offset: None, ..entry }).collect()
        }
    };
    let mut changes: Vec<(OffsetMap, Option<OffsetMap>)> = Vec::with_capacity(entries.len());
    for OffsetEntry { partition, offset } in entries {
        check_primitive(offset.as_ref())?;
        match (partition, offset) {
            (Some(partition), offset) => changes.push((partition, offset)),
            // To forget what was never there is no change.
            (None, None) => {}
            (None, Some(_)) => return Err(HerdError::internal("Partition objects cannot be null")),
        }
    }
    let handled = source.alter_offsets(props, &changes).await.map_err(|e| refused(&e))?;
    let writes: Vec<_> = changes.into_iter().map(|(partition, offset)| (Some(partition), offset)).collect();
    own_offsets::write(shared, name, props, &writes).await.map_err(|e| refused(&e))?;
    Ok(handled)
}

/// Offsets are flat (`OffsetUtils.validateFormat`).
fn check_primitive(offset: Option<&OffsetMap>) -> Result<(), HerdError> {
    for (field, value) in offset.into_iter().flatten() {
        let kind = match value {
            Value::Array(_) => "ARRAY",
            Value::Object(_) => "MAP",
            Value::Number(number) if number.as_i64().is_none() && number.is_u64() => "class java.math.BigInteger",
            _ => continue,
        };
        return Err(HerdError::internal(format!(
            "Offsets may only contain primitive types as values, but field {field} contains {kind}"
        )));
    }
    Ok(())
}

async fn alter_sink(
    shared: &Shared,
    name: &str,
    props: &Props,
    sink: &dyn SinkConnector,
    offsets: Option<Vec<OffsetEntry>>,
) -> Result<bool, HerdError> {
    let (topics, group) = group_of(&*shared.clients, name, props).map_err(|e| refused(&e))?;
    match offsets {
        Some(entries) => {
            let changes = parse_sink_offsets(name, &entries)?;
            let handled = sink.alter_offsets(props, &changes).await.map_err(|e| refused(&e))?;
            alter_group(&*topics, &group, name, &changes).await?;
            Ok(handled)
        }
        None => {
            let known = topics.group_offsets(&group).await.map_err(|e| refused(&e))?;
            let changes: SinkOffsets = known.keys().map(|partition| (api_partition(partition), None)).collect();
            let handled = sink.alter_offsets(props, &changes).await.map_err(|e| refused(&e))?;
            reset_group(&*topics, &group, name).await?;
            Ok(handled)
        }
    }
}

async fn alter_group(topics: &dyn Topics, group: &str, name: &str, changes: &SinkOffsets) -> Result<(), HerdError> {
    let kafka =
        |p: &connect_api::TopicPartition| TopicPartition { topic: Arc::clone(&p.topic), partition: p.partition };
    let set: BTreeMap<TopicPartition, i64> =
        changes.iter().filter_map(|(partition, offset)| Some((kafka(partition), (*offset)?))).collect();
    let gone: Vec<TopicPartition> =
        changes.iter().filter(|(_, offset)| offset.is_none()).map(|(partition, _)| kafka(partition)).collect();
    if !set.is_empty() {
        topics.alter_group_offsets(group, &set).await.map_err(|e| not_altered(name, "alter", &e))?;
    }
    if !gone.is_empty() {
        // A group or partition that there is not is refused here, other than by a reset of everything.
        topics.delete_group_offsets(group, &gone).await.map_err(|e| not_altered(name, "alter", &e))?;
    }
    Ok(())
}

async fn reset_group(topics: &dyn Topics, group: &str, name: &str) -> Result<(), HerdError> {
    match topics.delete_group(group).await {
        Ok(()) => Ok(()),
        // Reset already, or it never read anything.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(not_altered(name, "reset", &error)),
    }
}

/// The JVM's words; the cause goes to the log.
fn not_altered(name: &str, what: &str, cause: &Error) -> HerdError {
    tracing::error!(connector = name, trace = cause.trace(), "failed to {what} the offsets of a consumer group");
    let message = format!("Failed to {what} consumer group offsets for connector {name}");
    HerdError::internal(if cause.kind() == ErrorKind::Conflict {
        format!(
            "{message} either because its tasks haven't stopped completely yet or the connector was resumed before the \
             request to {what} its offsets could be successfully completed. If the connector is in a stopped state, \
             this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be \
             restarted to get rid of the zombie sink tasks."
        )
    } else {
        message
    })
}

/// Kafka's topics as a sink with this resolved configuration may see them, and its group.
pub(crate) fn group_of(
    clients: &dyn Clients,
    name: &str,
    props: &Props,
) -> connect_api::Result<(Arc<dyn Topics>, String)> {
    let resolved = present(props);
    let topics = clients.sink_topics(name, 0, &resolved)?;
    Ok((topics, clients.sink_group(name, &resolved)?))
}

fn sink_entry(partition: &TopicPartition, offset: i64) -> OffsetEntry {
    let mut key = OffsetMap::new();
    // In the order of the JVM's hash map.
    key.insert(PARTITION.to_owned(), Value::from(partition.partition));
    key.insert(TOPIC.to_owned(), Value::from(&*partition.topic));
    let mut value = OffsetMap::new();
    value.insert(OFFSET.to_owned(), Value::from(offset));
    OffsetEntry { partition: Some(key), offset: Some(value) }
}

fn api_partition(partition: &TopicPartition) -> connect_api::TopicPartition {
    connect_api::TopicPartition { topic: Arc::clone(&partition.topic), partition: partition.partition }
}

fn refused(error: &Error) -> HerdError {
    tracing::error!(trace = error.trace(), "failed to handle the offsets of a connector");
    HerdError::internal(error.message())
}

/// `SinkUtils.parseSinkConnectorOffsets`: numbers may be texts.
fn parse_sink_offsets(name: &str, entries: &[OffsetEntry]) -> Result<SinkOffsets, HerdError> {
    let changes: SinkOffsets = entries.iter().map(parse_sink_offset).collect::<Result<_, _>>()?;
    if changes.iter().any(|(_, offset)| offset.is_some_and(i64::is_negative)) {
        return Err(HerdError::internal(format!("Failed to modify offsets for sink connector {name}")));
    }
    Ok(changes)
}

fn parse_sink_offset(entry: &OffsetEntry) -> Result<(connect_api::TopicPartition, Option<i64>), HerdError> {
    let bad = |message: String| HerdError::bad_request(message);
    let partition = entry
        .partition
        .as_ref()
        .ok_or_else(|| bad("The partition for a sink connector offset cannot be null or missing".to_owned()))?;
    let (Some(topic), Some(number)) = (partition.get(TOPIC), partition.get(PARTITION)) else {
        return Err(bad(format!(
            "The partition for a sink connector offset must contain the keys '{TOPIC}' and '{PARTITION}'"
        )));
    };
    if topic.is_null() {
        return Err(bad("Kafka topic names must be valid strings and may not be null".to_owned()));
    }
    if number.is_null() {
        return Err(bad("Kafka partitions must be valid numbers and may not be null".to_owned()));
    }
    let number = text(number);
    let parsed = number.parse::<i32>().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{number}'. Partition values \
             for sink connectors need to be integers."
        ))
    })?;
    let partition = connect_api::TopicPartition { topic: Arc::from(text(topic)), partition: parsed };
    let Some(offset) = &entry.offset else { return Ok((partition, None)) };
    let offset = offset.get(OFFSET).map(text).ok_or_else(|| {
        bad(format!("The offset for a sink connector should either be null or contain the key '{OFFSET}'"))
    })?;
    let parsed = offset.parse::<i64>().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{offset}'. Offset values for \
             sink connectors need to be integers."
        ))
    })?;
    Ok((partition, Some(parsed)))
}

/// Java's `String.valueOf` of what JSON gave.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), connect_config::java::double_text)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: Value, offset: Value) -> OffsetEntry {
        OffsetEntry { partition: partition.as_object().cloned(), offset: offset.as_object().cloned() }
    }

    fn check(partition: Value, offset: Value) -> Result<(String, i32, Option<i64>), String> {
        match parse_sink_offset(&entry(partition, offset)) {
            Ok((partition, offset)) => Ok((partition.topic.to_string(), partition.partition, offset)),
            Err(HerdError::Refused { status: 400, message }) => Err(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_may_be_texts_and_a_null_offset_is_a_reset() {
        let partition = serde_json::json!({TOPIC: "t", PARTITION: "3"});
        assert_eq!(check(partition.clone(), serde_json::json!({OFFSET: "7"})), Ok(("t".to_owned(), 3, Some(7))));
        assert_eq!(check(partition, Value::Null), Ok(("t".to_owned(), 3, None)));
    }

    #[test]
    fn values_in_messages_look_as_in_java() {
        let value = serde_json::json!({"a": [1, "x", null], "b": 1e10});
        assert_eq!(text(&value), "{a=[1, x, null], b=1.0E10}");
    }

    #[test]
    fn offsets_are_flat_and_those_of_sinks_not_negative() {
        let flat = |offset: Value| check_primitive(offset.as_object()).map_err(|error| error.to_string());
        assert_eq!(flat(serde_json::json!({"a": 1, "b": 1.5, "c": "x", "d": null, "e": true})), Ok(()));
        for (value, kind) in [
            (serde_json::json!([1]), "ARRAY"),
            (serde_json::json!({}), "MAP"),
            (serde_json::json!(u64::MAX), "class java.math.BigInteger"),
        ] {
            let error = check_primitive(serde_json::json!({"position": value}).as_object());
            let message =
                format!("Offsets may only contain primitive types as values, but field position contains {kind}");
            assert!(matches!(error, Err(HerdError::Refused { status: 500, message: m }) if m == message), "{kind}");
        }
        let negative = entry(serde_json::json!({TOPIC: "t", PARTITION: 0}), serde_json::json!({OFFSET: -1}));
        assert!(matches!(
            parse_sink_offsets("c", &[negative]),
            Err(HerdError::Refused { status: 500, message }) if message == "Failed to modify offsets for sink connector c"
        ));
    }

    #[test]
    fn malformed_entries_get_the_words_of_the_jvm() {
        let cases = [
            (Value::Null, "The partition for a sink connector offset cannot be null or missing"),
            (
                serde_json::json!({TOPIC: "t"}),
                "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
            ),
            (
                serde_json::json!({TOPIC: null, PARTITION: 1}),
                "Kafka topic names must be valid strings and may not be null",
            ),
            (
                serde_json::json!({TOPIC: "t", PARTITION: null}),
                "Kafka partitions must be valid numbers and may not be null",
            ),
            (
                serde_json::json!({TOPIC: "t", PARTITION: "x"}),
                "Failed to parse the following Kafka partition value in the provided offsets: 'x'. Partition values for \
                 sink connectors need to be integers.",
            ),
        ];
        for (partition, message) in cases {
            assert_eq!(check(partition, serde_json::json!({OFFSET: 1})), Err(message.to_owned()));
        }
        assert_eq!(
            check(serde_json::json!({TOPIC: "t", PARTITION: 0}), serde_json::json!({"position": 1})),
            Err("The offset for a sink connector should either be null or contain the key 'kafka_offset'".to_owned())
        );
    }
}
