//! Records of the status topic and what they add up to (`KafkaStatusBackingStore`), byte for byte.
//!
//! Invariant: a "safe" write never replaces a newer status of another worker ([`StatusState::may_write`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config_state::parse_task_key;
use crate::herd::{ConnectorId, State, TaskStatus};
use crate::json;
use crate::unit::UnitId;

/// A topic that a connector used (KIP-558).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStatus {
    pub topic: String,
    pub connector: String,
    pub task: u32,
    /// Milliseconds since 1970.
    pub discovered_ms: i64,
}

/// A record that a worker writes.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusRecord {
    Unit { unit: UnitId, status: TaskStatus },
    Topic(TopicStatus),
    ForgetTopic { topic: String, connector: String },
}

impl StatusRecord {
    /// The key, and the value; `None` is a tombstone.
    pub fn encode(&self) -> (String, Option<String>) {
        match self {
            Self::Unit { unit, status } => {
                (unit_key(unit), (status.state != State::Destroyed).then(|| encode_status(status)))
            }
            Self::Topic(topic) => (topic_key(&topic.topic, &topic.connector), Some(encode_topic(topic))),
            Self::ForgetTopic { topic, connector } => (topic_key(topic, connector), None),
        }
    }
}

fn unit_key(unit: &UnitId) -> String {
    match unit {
        UnitId::Connector(name) => format!("status-connector-{name}"),
        UnitId::Task(id) => format!("status-task-{}-{}", id.connector, id.task),
    }
}

/// The unit whose status a key names.
pub(crate) fn unit_of_key(key: &str) -> Option<UnitId> {
    match key.strip_prefix("status-connector-") {
        Some(name) => Some(UnitId::Connector(Arc::from(name))),
        None => parse_task_key(key, "status-task-").map(UnitId::Task),
    }
}

fn topic_key(topic: &str, connector: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

fn encode_status(status: &TaskStatus) -> String {
    let mut out = format!("{{\"state\":\"{}\",\"trace\":", status.state.name());
    json::write_nullable(&mut out, status.trace.as_deref());
    out.push_str(",\"worker_id\":");
    json::write_string(&mut out, &status.worker_id);
    out.push_str(&format!(",\"generation\":{},\"version\":", status.generation));
    json::write_nullable(&mut out, status.version.as_deref());
    out.push('}');
    out
}

fn encode_topic(topic: &TopicStatus) -> String {
    let mut out = String::from("{\"topic\":{\"name\":");
    json::write_string(&mut out, &topic.topic);
    out.push_str(",\"connector\":");
    json::write_string(&mut out, &topic.connector);
    out.push_str(&format!(",\"task\":{},\"discoverTimestamp\":{}}}}}", topic.task, topic.discovered_ms));
    out
}

/// The statuses of one connector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectorStatuses {
    pub connector: Option<TaskStatus>,
    pub tasks: BTreeMap<u32, TaskStatus>,
    pub topics: BTreeMap<String, TopicStatus>,
}

/// All statuses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusState {
    connectors: BTreeMap<ConnectorId, ConnectorStatuses>,
}

impl StatusState {
    /// What is known of a connector.
    pub fn connector(&self, name: &str) -> Option<&ConnectorStatuses> {
        self.connectors.get(name)
    }

    /// Everything, in order of name.
    pub fn all(&self) -> impl Iterator<Item = (&ConnectorId, &ConnectorStatuses)> {
        self.connectors.iter()
    }

    /// The status of a unit.
    pub fn unit(&self, unit: &UnitId) -> Option<&TaskStatus> {
        let statuses = self.connectors.get(unit.connector())?;
        match unit.task() {
            None => statuses.connector.as_ref(),
            Some(task) => statuses.tasks.get(&task),
        }
    }

    /// Whether a worker may write a status that another worker's must not fall victim to (`putSafe`).
    pub fn may_write(&self, unit: &UnitId, status: &TaskStatus) -> bool {
        self.unit(unit).is_none_or(|old| old.worker_id == status.worker_id || old.generation <= status.generation)
    }

    /// Takes what this worker writes, before the topic brings it back.
    pub fn put(&mut self, record: &StatusRecord) {
        match record {
            StatusRecord::Unit { unit, status } if status.state == State::Destroyed => self.remove(unit),
            StatusRecord::Unit { unit, status } => {
                let entry = self.connectors.entry(Arc::clone(unit.connector())).or_default();
                match unit.task() {
                    None => entry.connector = Some(status.clone()),
                    Some(task) => drop(entry.tasks.insert(task, status.clone())),
                }
            }
            StatusRecord::Topic(topic) => {
                let entry = self.connectors.entry(Arc::from(topic.connector.as_str())).or_default();
                entry.topics.insert(topic.topic.clone(), topic.clone());
            }
            StatusRecord::ForgetTopic { topic, connector } => {
                if let Some(entry) = self.connectors.get_mut(connector.as_str()) {
                    entry.topics.remove(topic);
                }
            }
        }
    }

    fn remove(&mut self, unit: &UnitId) {
        if let Some(entry) = self.connectors.get_mut(unit.connector()) {
            match unit.task() {
                // The tombstone of a connector takes its tasks along.
                None => {
                    entry.connector = None;
                    entry.tasks.clear();
                }
                Some(task) => drop(entry.tasks.remove(&task)),
            }
        }
    }

    /// Takes the next record of the topic; false when it can't be understood.
    pub fn apply(&mut self, key: &str, value: Option<&[u8]>) -> bool {
        if let Some(rest) = key.strip_prefix("status-topic-") {
            return self.apply_topic(rest, value);
        }
        match (unit_of_key(key), value) {
            (None, _) => false,
            (Some(unit), None) => {
                self.remove(&unit);
                true
            }
            (Some(unit), Some(value)) => {
                let status = parse_status(value);
                if let Some(status) = status {
                    let entry = self.connectors.entry(Arc::clone(unit.connector())).or_default();
                    match unit.task() {
                        None => entry.connector = Some(status),
                        Some(task) => drop(entry.tasks.insert(task, status)),
                    }
                    return true;
                }
                false
            }
        }
    }

    fn apply_topic(&mut self, key: &str, value: Option<&[u8]>) -> bool {
        let Some((topic, rest)) = key.split_once(':') else { return false };
        let Some(connector) = rest.strip_prefix("connector-") else { return false };
        if topic.is_empty() || connector.is_empty() {
            return false;
        }
        match value {
            None => {
                if let Some(entry) = self.connectors.get_mut(connector) {
                    entry.topics.remove(topic);
                }
                true
            }
            Some(value) => match parse_topic(value) {
                Some(status) => {
                    let entry = self.connectors.entry(Arc::from(connector)).or_default();
                    entry.topics.insert(topic.to_owned(), status);
                    true
                }
                None => false,
            },
        }
    }
}

fn parse_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// A text or null; anything else makes the record unreadable.
fn nullable_text(map: &Map<String, Value>, key: &str) -> Option<Option<String>> {
    match map.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    }
}

fn parse_status(bytes: &[u8]) -> Option<TaskStatus> {
    let map = parse_object(bytes)?;
    Some(TaskStatus {
        state: State::from_name(map.get("state")?.as_str()?)?,
        trace: nullable_text(&map, "trace")?,
        worker_id: nullable_text(&map, "worker_id")?.unwrap_or_default(),
        generation: i32::try_from(map.get("generation")?.as_i64()?).ok()?,
        version: nullable_text(&map, "version")?,
    })
}

fn parse_topic(bytes: &[u8]) -> Option<TopicStatus> {
    let map = parse_object(bytes)?;
    let topic = map.get("topic")?.as_object()?;
    Some(TopicStatus {
        topic: topic.get("name")?.as_str()?.to_owned(),
        connector: topic.get("connector")?.as_str()?.to_owned(),
        task: u32::try_from(topic.get("task")?.as_i64()?).ok()?,
        discovered_ms: topic.get("discoverTimestamp")?.as_i64()?,
    })
}
