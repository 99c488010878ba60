//! Records of the config topic (`org.apache.kafka.connect.storage.KafkaConfigBackingStore`), byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_config::Props;
use indexmap::IndexMap;

use crate::herd::{Target, TaskId};
use crate::json;

/// The key that signs requests between workers (`SessionKey`).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    pub key: Vec<u8>,
    pub algorithm: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKey")
            .field("algorithm", &self.algorithm)
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

/// A restart of a connector with what it covers (`RestartRequest`, KIP-745).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartRequest {
    pub connector: String,
    pub only_failed: bool,
    pub include_tasks: bool,
}

/// A record that a worker writes.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigRecord {
    /// `None` deletes it.
    Connector {
        name: String,
        config: Option<Props>,
    },
    /// `None` deletes it.
    TargetState {
        name: String,
        target: Option<Target>,
    },
    Task {
        id: TaskId,
        config: IndexMap<String, String>,
    },
    Commit {
        name: String,
        tasks: usize,
    },
    SessionKey(SessionKey),
    Restart(RestartRequest),
    TaskCount {
        name: String,
        tasks: i32,
    },
    Logger {
        logger: String,
        level: String,
    },
}

impl ConfigRecord {
    /// The key, and the value; `None` is a tombstone.
    pub fn encode(&self) -> (String, Option<String>) {
        match self {
            Self::Connector { name, config } => {
                (format!("connector-{name}"), config.as_ref().map(|config| properties(config, Option::as_deref)))
            }
            Self::TargetState { name, target } => (format!("target-state-{name}"), target.map(target_state)),
            Self::Task { id, config } => (
                format!("task-{}-{}", id.connector, id.task),
                Some(properties(config, |value: &String| Some(value.as_str()))),
            ),
            Self::Commit { name, tasks } => (format!("commit-{name}"), Some(format!("{{\"tasks\":{tasks}}}"))),
            Self::SessionKey(key) => ("session-key".to_owned(), Some(session_key(key))),
            Self::Restart(RestartRequest { connector, only_failed, include_tasks }) => (
                format!("restart-connector-{connector}"),
                Some(format!("{{\"include-tasks\":{include_tasks},\"only-failed\":{only_failed}}}")),
            ),
            Self::TaskCount { name, tasks } => {
                (format!("tasks-fencing-{name}"), Some(format!("{{\"task-count\":{tasks}}}")))
            }
            Self::Logger { logger, level } => {
                let mut out = String::from("{\"level\":");
                json::write_string(&mut out, level);
                out.push('}');
                (format!("logger-cluster-{logger}"), Some(out))
            }
        }
    }
}

fn properties<V>(config: &IndexMap<String, V>, text: impl Fn(&V) -> Option<&str>) -> String {
    let mut out = String::from("{\"properties\":");
    json::write_object(&mut out, config.iter().map(|(k, v)| (k.as_str(), v)), |out, v| {
        json::write_nullable(out, text(v));
    });
    out.push('}');
    out
}

/// `state` is what old workers read: they know no STOPPED, and take it as PAUSED.
fn target_state(target: Target) -> String {
    let (old, new) = match target {
        Target::Started => ("STARTED", "STARTED"),
        Target::Paused => ("PAUSED", "PAUSED"),
        Target::Stopped => ("PAUSED", "STOPPED"),
    };
    format!("{{\"state\":\"{old}\",\"state.v2\":\"{new}\"}}")
}

fn session_key(key: &SessionKey) -> String {
    let mut out = format!("{{\"key\":\"{}\",\"algorithm\":", BASE64.encode(&key.key));
    json::write_string(&mut out, &key.algorithm);
    out.push_str(&format!(",\"creation-timestamp\":{}}}", key.created_ms));
    out
}
