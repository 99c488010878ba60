//! The JSON shapes of the API (`org.apache.kafka.connect.runtime.rest.entities`).

use connect_cluster as cluster;
use connect_config::parse::type_name;
use connect_config::{ConfigDef, ConfigKey, ConfigValue, Importance, Validated, Width};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Serialize)]
pub(crate) struct ServerInfo<'a> {
    pub(crate) version: &'a str,
    pub(crate) commit: &'a str,
    pub(crate) kafka_cluster_id: &'a str,
}

#[derive(Serialize)]
pub(crate) struct WorkerStatus {
    pub(crate) status: &'static str,
    pub(crate) message: &'static str,
}

#[derive(Serialize, Clone)]
pub(crate) struct TaskId {
    connector: String,
    task: u32,
}

impl From<&cluster::TaskId> for TaskId {
    fn from(id: &cluster::TaskId) -> Self {
        Self { connector: id.connector.to_string(), task: id.task }
    }
}

#[derive(Serialize)]
pub(crate) struct ConnectorInfo<'a> {
    name: &'a str,
    config: &'a IndexMap<String, Option<String>>,
    tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a> From<&'a cluster::ConnectorInfo> for ConnectorInfo<'a> {
    fn from(info: &'a cluster::ConnectorInfo) -> Self {
        Self {
            name: &info.name,
            config: &info.config,
            tasks: info.tasks.iter().map(TaskId::from).collect(),
            kind: info.kind,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct TaskInfo<'a> {
    id: TaskId,
    config: &'a IndexMap<String, String>,
}

impl<'a> From<&'a cluster::TaskInfo> for TaskInfo<'a> {
    fn from(info: &'a cluster::TaskInfo) -> Self {
        Self { id: TaskId::from(&info.id), config: &info.config }
    }
}

#[derive(Serialize)]
pub(crate) struct State<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    state: &'static str,
    worker_id: &'a str,
    /// Null when it is not known, as on the JVM.
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
}

impl<'a> State<'a> {
    pub(crate) fn new(id: Option<u32>, status: &'a cluster::TaskStatus) -> Self {
        Self {
            id,
            state: status.state.name(),
            worker_id: &status.worker_id,
            version: status.version.as_deref().filter(|version| !version.is_empty()),
            trace: status.trace.as_deref().filter(|trace| !trace.is_empty()),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ConnectorStatus<'a> {
    name: &'a str,
    connector: State<'a>,
    tasks: Vec<State<'a>>,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a> From<&'a cluster::ConnectorStatus> for ConnectorStatus<'a> {
    fn from(status: &'a cluster::ConnectorStatus) -> Self {
        Self {
            name: &status.name,
            connector: State::new(None, &status.connector),
            tasks: status.tasks.iter().map(|(task, status)| State::new(Some(*task), status)).collect(),
            kind: status.kind,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Offsets {
    pub(crate) offsets: Vec<Offset>,
}

#[derive(Serialize)]
pub(crate) struct Offset {
    partition: Option<Map<String, Value>>,
    offset: Option<Map<String, Value>>,
}

impl From<cluster::OffsetEntry> for Offset {
    fn from(entry: cluster::OffsetEntry) -> Self {
        Self { partition: entry.partition, offset: entry.offset }
    }
}

#[derive(Serialize)]
pub(crate) struct Message {
    pub(crate) message: String,
}

#[derive(Serialize)]
pub(crate) struct PluginInfo {
    class: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl From<cluster::PluginInfo> for PluginInfo {
    fn from(plugin: cluster::PluginInfo) -> Self {
        Self { class: plugin.class, kind: plugin.kind, version: plugin.version }
    }
}

/// A key's definition (`ConfigKeyInfo`).
#[derive(Serialize)]
pub(crate) struct KeyInfo {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
    required: bool,
    default_value: Option<String>,
    importance: &'static str,
    documentation: String,
    group: Option<String>,
    width: &'static str,
    display_name: String,
    dependents: Vec<String>,
    order: i32,
}

impl From<&ConfigKey> for KeyInfo {
    fn from(key: &ConfigKey) -> Self {
        Self {
            name: key.name.clone(),
            ty: type_name(key.ty),
            required: key.required(),
            default_value: key.default_text(),
            importance: match key.importance {
                Importance::High => "HIGH",
                Importance::Medium => "MEDIUM",
                Importance::Low => "LOW",
            },
            documentation: key.documentation.clone(),
            group: key.group.clone(),
            width: match key.width {
                Width::None => "NONE",
                Width::Short => "SHORT",
                Width::Medium => "MEDIUM",
                Width::Long => "LONG",
            },
            display_name: key.display_name.clone(),
            dependents: key.dependents.clone(),
            order: key.order,
        }
    }
}

/// The keys of a plugin, as `GET /connector-plugins/{plugin}/config` lists them: the internal ones, too.
pub(crate) fn key_infos(def: &ConfigDef) -> Vec<KeyInfo> {
    def.keys().map(KeyInfo::from).collect()
}

#[derive(Serialize)]
pub(crate) struct ValueInfo {
    name: String,
    value: Option<String>,
    recommended_values: Vec<Option<String>>,
    errors: Vec<String>,
    visible: bool,
}

#[derive(Serialize)]
pub(crate) struct ConfigInfo {
    definition: Option<KeyInfo>,
    value: ValueInfo,
}

/// The answer of a validation.
#[derive(Serialize)]
pub(crate) struct ConfigInfos {
    name: String,
    error_count: usize,
    groups: Vec<String>,
    configs: Vec<ConfigInfo>,
}

impl ConfigInfos {
    pub(crate) fn new(name: String, validated: Validated) -> Self {
        let error_count = validated.error_count();
        let configs = validated
            .entries
            .into_iter()
            .map(|entry| ConfigInfo {
                definition: entry.key.as_ref().map(KeyInfo::from),
                value: ValueInfo {
                    value: entry.value.text(),
                    recommended_values: entry.recommended.iter().map(ConfigValue::text).collect(),
                    name: entry.name,
                    errors: entry.errors,
                    visible: entry.visible,
                },
            })
            .collect();
        Self { name, error_count, groups: validated.groups, configs }
    }
}
