//! The state of the cluster's configuration as the config topic tells it (`KafkaConfigBackingStore`,
//! `ClusterConfigState`).
//!
//! Invariants: task configurations take effect only with their commit record; a connector whose commit does not find all
//! its task configurations is inconsistent and has no tasks until they were written anew; the config offset is the offset
//! of the last record that could be read, plus one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use connect_config::Props;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::config_record::{RestartRequest, SessionKey};
use crate::herd::{ConnectorId, Target, TaskId};

/// What a record changed.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigEvent {
    Connector(ConnectorId),
    Removed(ConnectorId),
    /// The tasks of a connector were committed; those that got a configuration.
    Tasks {
        connector: ConnectorId,
        updated: Vec<TaskId>,
    },
    Target(ConnectorId),
    Restart(RestartRequest),
    SessionKey,
    Logger {
        logger: String,
        level: String,
    },
}

/// A record that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigRecordError {
    /// The value is no JSON: the record does not even move the offset.
    #[error("failed to read the value of config record '{key}': it is not JSON")]
    NotJson { key: String },
    /// The record is skipped.
    #[error("ignored config record '{key}': {why}")]
    Ignored { key: String, why: &'static str },
    /// The count of a commit or fencing record is no integer.
    #[error("Expected integer value to be either Integer or Long")]
    Count { key: String },
}

/// One connector in the config topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectorConfig {
    /// `None` when only other records of that name were seen.
    pub config: Option<Arc<Props>>,
    /// The configuration that its tasks were made from.
    pub applied: Option<Arc<Props>>,
    pub task_count: Option<usize>,
    tasks: BTreeMap<u32, Arc<IndexMap<String, String>>>,
    /// How many of them exist: asked for with each of them.
    number: usize,
    deferred: Option<BTreeMap<u32, Arc<IndexMap<String, String>>>>,
    pub target: Option<Target>,
    pub inconsistent: bool,
    /// Counts the commits of its tasks.
    pub task_generation: Option<i32>,
    /// `tasks-fencing-`: how many producers have to be fenced before the next tasks start (KIP-618).
    pub fenced_tasks: Option<i32>,
    /// Tasks were committed after the last fencing record.
    pub pending_fencing: bool,
}

impl ConnectorConfig {
    /// The configurations of its tasks, by number; none while it is inconsistent.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, &Arc<IndexMap<String, String>>)> {
        let count = if self.inconsistent { 0 } else { self.task_count.unwrap_or(0) };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.tasks.range(..count).map(|(id, config)| (*id, config))
    }

    /// The number of tasks as `ClusterConfigState.tasks` gives it.
    pub fn number_of_tasks(&self) -> usize {
        self.number
    }

    /// The configuration of one task.
    pub fn task(&self, task: u32) -> Option<&Arc<IndexMap<String, String>>> {
        let exists =
            !self.inconsistent && self.task_count.is_some_and(|count| usize::try_from(task).is_ok_and(|n| n < count));
        self.tasks.get(&task).filter(|_| exists)
    }

    /// The commit of a stop was overtaken by one with tasks.
    pub(crate) fn is_stopped_with_tasks(&self) -> bool {
        self.target == Some(Target::Stopped) && self.tasks().next().is_some()
    }

    fn remove(&mut self) {
        self.config = None;
        self.applied = None;
        self.task_count = None;
        self.tasks.clear();
        self.number = 0;
        self.deferred = None;
    }
}

/// The state of the config topic up to [`ConfigState::offset`].
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigState {
    /// Offset of the last record read plus one; -1 when none was.
    pub offset: i64,
    all: BTreeMap<ConnectorId, ConnectorConfig>,
    pub session_key: Option<SessionKey>,
}

impl Default for ConfigState {
    fn default() -> Self {
        Self { offset: -1, all: BTreeMap::new(), session_key: None }
    }
}

impl ConfigState {
    /// The connectors that exist, in order of name.
    pub fn connectors(&self) -> impl Iterator<Item = (&ConnectorId, &ConnectorConfig)> {
        self.all.iter().filter(|(_, connector)| connector.config.is_some())
    }

    /// A connector that exists.
    pub fn connector(&self, name: &str) -> Option<&ConnectorConfig> {
        self.all.get(name).filter(|connector| connector.config.is_some())
    }

    /// The configuration of a connector.
    pub fn config(&self, name: &str) -> Option<&Arc<Props>> {
        self.all.get(name).and_then(|connector| connector.config.as_ref())
    }

    /// What is wanted of a connector.
    pub fn target(&self, name: &str) -> Target {
        self.all.get(name).and_then(|connector| connector.target).unwrap_or_default()
    }

    /// Every task that exists.
    pub fn all_tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.connectors().flat_map(|(name, c)| c.tasks().map(|(task, _)| TaskId { connector: Arc::clone(name), task }))
    }

    /// Takes the next record. `None` is a tombstone.
    pub fn apply(
        &mut self,
        offset: i64,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<Option<ConfigEvent>, ConfigRecordError> {
        let value = match value {
            None => None,
            Some(bytes) => match serde_json::from_slice::<Value>(bytes) {
                Ok(value) => Some(value),
                Err(_) => return Err(ConfigRecordError::NotJson { key: key.to_owned() }),
            },
        };
        self.offset = offset.saturating_add(1);
        let value = value.filter(|value| !value.is_null());
        let known = if let Some(name) = key.strip_prefix("target-state-") {
            self.target_state(name, value)
        } else if let Some(name) = key.strip_prefix("connector-") {
            self.connector_config(name, value)
        } else if key.starts_with("task-") {
            self.task_config(key, value)
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.commit(key, name, value)
        } else if let Some(name) = key.strip_prefix("restart-connector-") {
            restart(name, value)
        } else if let Some(name) = key.strip_prefix("tasks-fencing-") {
            self.fencing(key, name, value)
        } else if key == "session-key" {
            self.session_key(value)
        } else if let Some(logger) = key.strip_prefix("logger-cluster-") {
            log_level(logger, value)
        } else {
            Err(Refusal::Why("unknown key"))
        };
        known.map_err(|refusal| match refusal {
            Refusal::Why(why) => ConfigRecordError::Ignored { key: key.to_owned(), why },
            Refusal::Count => ConfigRecordError::Count { key: key.to_owned() },
        })
    }

    fn entry(&mut self, name: &str) -> &mut ConnectorConfig {
        self.all.entry(Arc::from(name)).or_default()
    }

    fn target_state(&mut self, name: &str, value: Option<Value>) -> Outcome {
        let entry = self.entry(name);
        let Some(value) = value else {
            // The removal of the connector itself is what is told; one that is still there has to have a target.
            entry.target = entry.config.is_some().then_some(Target::Started);
            return Ok(None);
        };
        let map = object(&value)?;
        let new = map.get("state.v2").and_then(Value::as_str);
        let Some(text) = new.or_else(|| map.get("state").and_then(Value::as_str)) else {
            return Err(Refusal::Why("the field 'state' is not a string"));
        };
        let target = match text {
            "STARTED" => Target::Started,
            "PAUSED" => Target::Paused,
            "STOPPED" => Target::Stopped,
            _ => return Err(Refusal::Why("unknown target state")),
        };
        let changed = entry.target.replace(target) != Some(target);
        Ok((changed && entry.config.is_some()).then(|| ConfigEvent::Target(Arc::from(name))))
    }

    fn connector_config(&mut self, name: &str, value: Option<Value>) -> Outcome {
        let id = ConnectorId::from(name);
        let Some(value) = value else {
            self.entry(name).remove();
            return Ok(Some(ConfigEvent::Removed(id)));
        };
        let properties = properties(&value)?;
        let config = properties
            .iter()
            .map(|(key, value)| (key.clone(), if value.is_null() { None } else { Some(text_of(value)) }))
            .collect();
        let entry = self.entry(name);
        entry.config = Some(Arc::new(config));
        entry.target.get_or_insert(Target::Started);
        Ok(Some(ConfigEvent::Connector(id)))
    }

    fn task_config(&mut self, key: &str, value: Option<Value>) -> Outcome {
        let Some(id) = parse_task_key(key, "task-") else {
            return Err(Refusal::Why("the key names no task"));
        };
        let Some(value) = value else {
            return Err(Refusal::Why("a task configuration is never removed"));
        };
        let config = properties(&value)?.iter().map(|(key, value)| (key.clone(), text_of(value))).collect();
        self.entry(&id.connector).deferred.get_or_insert_default().insert(id.task, Arc::new(config));
        Ok(None)
    }

    fn commit(&mut self, key: &str, name: &str, value: Option<Value>) -> Outcome {
        let entry = self.entry(name);
        if entry.config.is_none() {
            // The connector was deleted before, and compaction took the traces of it.
            entry.remove();
            return Ok(None);
        }
        let Some(value) = value else {
            return Err(Refusal::Why("a commit of tasks is never removed"));
        };
        let count = integer(object(&value)?.get("tasks"), key)?;
        let had_any = entry.deferred.is_some();
        let deferred = entry.deferred.as_mut().map(std::mem::take).unwrap_or_default();
        let complete = (0..count).all(|task| u32::try_from(task).is_ok_and(|task| deferred.contains_key(&task)));
        let mut updated = Vec::new();
        if complete {
            entry.applied = entry.config.clone();
            if had_any {
                entry.task_generation = Some(entry.task_generation.map_or(0, |last| last.saturating_add(1)));
            }
            let connector = ConnectorId::from(name);
            updated.extend(deferred.keys().map(|task| TaskId { connector: Arc::clone(&connector), task: *task }));
            entry.tasks.extend(deferred);
        }
        entry.inconsistent = !complete;
        entry.task_count = Some(usize::try_from(count).unwrap_or(0));
        entry.number = entry.tasks().count();
        entry.pending_fencing = true;
        Ok(Some(ConfigEvent::Tasks { connector: Arc::from(name), updated }))
    }

    fn fencing(&mut self, key: &str, name: &str, value: Option<Value>) -> Outcome {
        let value = value.ok_or(Refusal::Why("a fencing record is never removed"))?;
        let count = integer(object(&value)?.get("task-count"), key)?;
        let entry = self.entry(name);
        entry.fenced_tasks = Some(i32::try_from(count).unwrap_or(i32::MAX));
        entry.pending_fencing = false;
        Ok(None)
    }

    fn session_key(&mut self, value: Option<Value>) -> Outcome {
        let value = value.ok_or(Refusal::Why("a session key is never removed"))?;
        let map = object(&value)?;
        let text = |key| map.get(key).and_then(Value::as_str);
        let key = text("key").and_then(|key| BASE64.decode(key).ok());
        let created = map.get("creation-timestamp").and_then(Value::as_i64);
        let (Some(key), Some(algorithm), Some(created_ms)) = (key, text("algorithm"), created) else {
            return Err(Refusal::Why("a session key has key, algorithm and creation-timestamp"));
        };
        self.session_key = Some(SessionKey { key, algorithm: algorithm.to_owned(), created_ms });
        Ok(Some(ConfigEvent::SessionKey))
    }
}

type Outcome = Result<Option<ConfigEvent>, Refusal>;

/// Why a record is not taken.
enum Refusal {
    Why(&'static str),
    Count,
}

fn restart(name: &str, value: Option<Value>) -> Outcome {
    let value = value.ok_or(Refusal::Why("a restart request is never removed"))?;
    let map = object(&value)?;
    let flag = |key| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let (only_failed, include_tasks) = (flag("only-failed"), flag("include-tasks"));
    Ok(Some(ConfigEvent::Restart(RestartRequest { connector: name.to_owned(), only_failed, include_tasks })))
}

fn log_level(logger: &str, value: Option<Value>) -> Outcome {
    let value = value.ok_or(Refusal::Why("a log level is never removed"))?;
    let level = object(&value)?.get("level").and_then(Value::as_str).ok_or(Refusal::Why("a log level has a level"))?;
    Ok(Some(ConfigEvent::Logger { logger: logger.to_owned(), level: level.to_owned() }))
}

fn object(value: &Value) -> Result<&Map<String, Value>, Refusal> {
    value.as_object().ok_or(Refusal::Why("the value is not an object"))
}

fn properties(value: &Value) -> Result<&Map<String, Value>, Refusal> {
    object(value)?
        .get("properties")
        .and_then(Value::as_object)
        .ok_or(Refusal::Why("the field 'properties' is not an object"))
}

fn integer(value: Option<&Value>, _key: &str) -> Result<i64, Refusal> {
    value.and_then(Value::as_i64).ok_or(Refusal::Count)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut out = String::new();
            crate::json::write_value(&mut out, other);
            out
        }
    }
}

/// `prefix<connector>-<task>`: the name may contain dashes.
pub(crate) fn parse_task_key(key: &str, prefix: &str) -> Option<TaskId> {
    let (connector, task) = key.strip_prefix(prefix)?.rsplit_once('-')?;
    Some(TaskId { connector: Arc::from(connector), task: task.parse().ok()? })
}

/// The names of the connectors that are inconsistent.
impl ConfigState {
    /// Connectors whose last commit did not find all task configurations.
    pub fn inconsistent(&self) -> BTreeSet<&ConnectorId> {
        self.all.iter().filter(|(_, c)| c.inconsistent).map(|(name, _)| name).collect()
    }
}
