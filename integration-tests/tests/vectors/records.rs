//! Replays `records.jsonl`: records of the internal topics, and the bytes of the group protocol.

use std::path::Path;
use std::sync::Arc;

use connect_cluster::config_record::{ConfigRecord, RestartRequest, SessionKey};
use connect_cluster::config_state::{ConfigEvent, ConfigRecordError, ConfigState};
use connect_cluster::protocol::{self, Assignment, Metadata, Protocol};
use connect_cluster::status::{StatusRecord, StatusState, TopicStatus};
use connect_cluster::{State, Target, TaskId, TaskStatus, UnitId, offset_record};
use connect_config::Props;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::codec::base64;
use super::outcome::{Outcome, Verdict, replay};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    replay(dir, "records", |v| v["kind"].as_str().unwrap_or("other").to_owned(), check)
}

fn check(vector: &Json) -> Verdict {
    match vector["kind"].as_str().unwrap_or_default() {
        "config_write" => config_write(vector),
        "config_read" => config_read(vector),
        "status_write" => status_write(vector),
        "status_read" => status_read(vector),
        "offset_write" => offset_write(vector),
        "offset_key" => offset_key(vector),
        "metadata" => metadata(vector),
        "assignment" => assignment(vector),
        "join_protocols" => join_protocols(vector),
        "decode_metadata" => {
            decode(vector, &|p, bytes| protocol::decode_metadata(p, bytes).map(|m| metadata_json(p, &m)))
        }
        "decode_assignment" => {
            decode(vector, &|p, bytes| protocol::decode_assignment(p, bytes).map(|a| assignment_json(p, &a)))
        }
        other => Verdict::Unsupported(format!("unknown kind {other}")),
    }
}

fn same(expected: &Json, actual: &Json) -> Verdict {
    if expected == actual { Verdict::Passed } else { Verdict::Failed(format!("expected {expected}, got {actual}")) }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Records as the vectors show them: key, and the value's text.
fn shown(records: impl IntoIterator<Item = (String, Option<String>)>) -> Json {
    records.into_iter().map(|(key, value)| json!([key, value])).collect()
}

fn expected_records(vector: &Json) -> Json {
    let value = |record: &Json| match &record["value"] {
        Json::Null => Json::Null,
        bytes => Json::String(String::from_utf8(base64(bytes).to_vec()).expect("values are text")),
    };
    vector["records"].as_array().into_iter().flatten().map(|record| json!([record["key"], value(record)])).collect()
}

fn target(json: &Json) -> Option<Target> {
    match json.as_str()? {
        "STARTED" => Some(Target::Started),
        "PAUSED" => Some(Target::Paused),
        "STOPPED" => Some(Target::Stopped),
        _ => None,
    }
}

fn config_write(vector: &Json) -> Verdict {
    let args = &vector["args"];
    let name = text(&args["connector"]);
    let records = match vector["op"].as_str().unwrap_or_default() {
        "putConnectorConfig" => {
            let config: Props = super::codec::props(&args["properties"]);
            let state = target(&args["target_state"]);
            let state = state.map(|target| ConfigRecord::TargetState { name: name.clone(), target: Some(target) });
            state.into_iter().chain([ConfigRecord::Connector { name, config: Some(config) }]).collect()
        }
        "removeConnectorConfig" => vec![
            ConfigRecord::Connector { name: name.clone(), config: None },
            ConfigRecord::TargetState { name, target: None },
        ],
        "putTargetState" => vec![ConfigRecord::TargetState { name, target: target(&args["target_state"]) }],
        "putTaskConfigs" => task_configs(&name, &args["tasks"]),
        "putTaskCountRecord" => {
            let tasks = args["task_count"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or_default();
            vec![ConfigRecord::TaskCount { name, tasks }]
        }
        "putSessionKey" => vec![ConfigRecord::SessionKey(SessionKey {
            key: base64(&args["key"]).to_vec(),
            algorithm: text(&args["algorithm"]),
            created_ms: args["creation_timestamp"].as_i64().unwrap_or_default(),
        })],
        "putRestartRequest" => vec![ConfigRecord::Restart(RestartRequest {
            connector: name,
            only_failed: args["only_failed"] == true,
            include_tasks: args["include_tasks"] == true,
        })],
        "putLoggerLevel" => {
            vec![ConfigRecord::Logger { logger: text(&args["namespace"]), level: text(&args["level"]) }]
        }
        other => return Verdict::Unsupported(format!("unknown operation {other}")),
    };
    same(&expected_records(vector), &shown(records.iter().map(ConfigRecord::encode)))
}

fn task_configs(name: &str, tasks: &Json) -> Vec<ConfigRecord> {
    let tasks = tasks.as_array().cloned().unwrap_or_default();
    let connector: Arc<str> = Arc::from(name);
    let records = (0..).zip(&tasks).map(|(task, config)| {
        let config: IndexMap<String, String> =
            config.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect();
        ConfigRecord::Task { id: TaskId { connector: Arc::clone(&connector), task }, config }
    });
    records.chain([ConfigRecord::Commit { name: name.to_owned(), tasks: tasks.len() }]).collect()
}

fn value_bytes(record: &Json) -> Option<Vec<u8>> {
    match (&record["value"], &record["value_text"]) {
        (Json::String(_), _) => Some(base64(&record["value"]).to_vec()),
        (_, Json::String(text)) => Some(text.clone().into_bytes()),
        _ => None,
    }
}

fn config_read(vector: &Json) -> Verdict {
    let mut state = ConfigState::default();
    let mut events = Vec::new();
    let started = vector["started"] == true;
    for (offset, record) in (0..).zip(vector["records"].as_array().into_iter().flatten()) {
        match state.apply(offset, &text(&record["key"]), value_bytes(record).as_deref()) {
            Ok(Some(event)) if started => events.extend(event_text(&event)),
            Ok(_) => {}
            Err(error @ ConfigRecordError::Count { .. }) => {
                return same(&vector["error"]["message"], &Json::String(error.to_string()));
            }
            Err(_) => {}
        }
    }
    if !vector["error"].is_null() {
        return Verdict::Failed(format!("expected the error {}", vector["error"]));
    }
    match same(&vector["state"], &state_json(&state)) {
        Verdict::Passed => same(&vector["events"], &json!(events)),
        other => other,
    }
}

fn event_text(event: &ConfigEvent) -> Option<String> {
    Some(match event {
        ConfigEvent::Connector(name) => format!("onConnectorConfigUpdate {name}"),
        ConfigEvent::Removed(name) => format!("onConnectorConfigRemove {name}"),
        ConfigEvent::Tasks { updated, .. } => {
            let ids: Vec<String> = updated.iter().map(|id| format!("{}-{}", id.connector, id.task)).collect();
            format!("onTaskConfigUpdate [{}]", ids.join(", "))
        }
        ConfigEvent::Target(name) => format!("onConnectorTargetStateChange {name}"),
        ConfigEvent::Restart(RestartRequest { connector, only_failed, include_tasks }) => format!(
            "onRestartRequest restart request for {{connectorName='{connector}', onlyFailed={only_failed}, \
             includeTasks={include_tasks}}}"
        ),
        ConfigEvent::SessionKey => "onSessionKeyUpdate session-key".to_owned(),
        ConfigEvent::Logger { logger, level } => format!("onLoggingLevelUpdate {logger} {level}"),
    })
}

fn state_json(state: &ConfigState) -> Json {
    let connectors: Map<String, Json> = state
        .connectors()
        .map(|(name, c)| {
            let tasks: Vec<Json> =
                c.tasks().map(|(task, config)| json!({"id": format!("{name}-{task}"), "config": **config})).collect();
            let shown = json!({
                "config": c.config.as_deref(),
                "applied_config": c.applied.as_deref(),
                "target_state": target_name(state.target(name)),
                "task_count": c.task_count.unwrap_or(0),
                "tasks": tasks,
                "task_count_record": c.fenced_tasks,
                "task_config_generation": c.task_generation,
                "pending_fencing": c.pending_fencing,
            });
            (name.to_string(), shown)
        })
        .collect();
    let inconsistent: Vec<&str> = state.inconsistent().into_iter().map(|name| &**name).collect();
    let session_key = state.session_key.as_ref().map(|key| {
        use ::base64::Engine as _;
        json!({
            "key": ::base64::engine::general_purpose::STANDARD.encode(&key.key),
            "algorithm": key.algorithm,
            "creation_timestamp": key.created_ms,
        })
    });
    json!({
        "offset": state.offset,
        "connectors": connectors,
        "inconsistent": inconsistent,
        "session_key": session_key,
    })
}

fn target_name(target: Target) -> &'static str {
    match target {
        Target::Started => "STARTED",
        Target::Paused => "PAUSED",
        Target::Stopped => "STOPPED",
    }
}

fn status_write(vector: &Json) -> Verdict {
    let args = &vector["args"];
    let connector = text(&args["connector"]);
    let task = args["task"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let record = match args["op"].as_str().unwrap_or_default() {
        "topic" => StatusRecord::Topic(TopicStatus {
            topic: text(&args["topic"]),
            connector,
            task,
            discovered_ms: args["timestamp"].as_i64().unwrap_or_default(),
        }),
        "delete_topic" => StatusRecord::ForgetTopic { topic: text(&args["topic"]), connector },
        kind => {
            let Some(state) = State::from_name(&text(&args["state"])) else {
                return Verdict::Unsupported(format!("unknown operation {kind}"));
            };
            let name: Arc<str> = Arc::from(connector);
            let unit =
                if kind == "task" { UnitId::Task(TaskId { connector: name, task }) } else { UnitId::Connector(name) };
            let status = TaskStatus {
                state,
                worker_id: text(&args["worker_id"]),
                trace: args["trace"].as_str().map(str::to_owned),
                generation: args["generation"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or_default(),
                version: args["version"].as_str().map(str::to_owned),
            };
            StatusRecord::Unit { unit, status }
        }
    };
    same(&expected_records(vector), &shown([record.encode()]))
}

fn status_read(vector: &Json) -> Verdict {
    let mut state = StatusState::default();
    for record in vector["records"].as_array().into_iter().flatten() {
        state.apply(&text(&record["key"]), value_bytes(record).as_deref());
    }
    let (mut connectors, mut tasks, mut topics) = (Vec::new(), Vec::new(), Vec::new());
    for (name, statuses) in state.all() {
        connectors.extend(statuses.connector.iter().map(|status| status_json(status, "connector", name)));
        let named = statuses.tasks.iter().map(|(task, status)| status_json(status, "id", &format!("{name}-{task}")));
        tasks.extend(named);
        topics.extend(statuses.topics.values().map(|topic| {
            json!({
                "topic": topic.topic,
                "connector": topic.connector,
                "task": topic.task,
                "timestamp": topic.discovered_ms,
            })
        }));
    }
    same(&json!([vector["connectors"], vector["tasks"], vector["topics"]]), &json!([connectors, tasks, topics]))
}

fn status_json(status: &TaskStatus, key: &str, name: &str) -> Json {
    json!({
        "state": status.state.name(),
        "trace": status.trace,
        "worker_id": status.worker_id,
        "generation": status.generation,
        "version": status.version,
        key: name,
    })
}

/// A map of the vectors as the JSON that offsets are; what they can't hold is told.
fn offset_map(form: &Json) -> Result<Option<Map<String, Json>>, String> {
    let Some(pairs) = form[1].as_array() else { return Ok(None) };
    let mut map = Map::new();
    for pair in pairs {
        let (Some("str"), Some(key)) = (pair[0][0].as_str(), pair[0][1].as_str()) else {
            return Err("keys of offsets are always texts".to_owned());
        };
        map.insert(key.to_owned(), offset_value(&pair[1])?);
    }
    Ok(Some(map))
}

fn offset_value(form: &Json) -> Result<Json, String> {
    Ok(match form[0].as_str() {
        None => Json::Null,
        Some("bool" | "i8" | "i16" | "i32" | "i64" | "str" | "bytes") => form[1].clone(),
        Some("f32" | "f64") => {
            let number: f64 = text(&form[1]).parse().unwrap_or(f64::NAN);
            // What JSON has no number for is a text, as Java's converter writes it.
            serde_json::Number::from_f64(number).map_or_else(|| form[1].clone(), Json::Number)
        }
        Some("array") => {
            Json::Array(form[1].as_array().into_iter().flatten().map(offset_value).collect::<Result<_, _>>()?)
        }
        Some("map") => offset_map(form)?.map_or(Json::Null, Json::Object),
        Some(other) => return Err(format!("offsets never hold a {other}")),
    })
}

fn offset_write(vector: &Json) -> Verdict {
    let maps = offset_map(&vector["partition"]).and_then(|p| Ok((p, offset_map(&vector["offset"])?)));
    let (partition, offset) = match maps {
        Ok(maps) => maps,
        Err(why) => return Verdict::Unsupported(why),
    };
    let connector = text(&vector["connector"]);
    let encoded = offset_record::encode_key(&connector, partition.as_ref())
        .and_then(|key| Ok((key, offset_record::encode_value(offset.as_ref())?)));
    let (key, value) = match encoded {
        Ok(encoded) => encoded,
        Err(error) => return same(&vector["error"]["message"], &Json::String(error.to_string())),
    };
    if !vector["error"].is_null() {
        return Verdict::Failed(format!("expected the error {}", vector["error"]));
    }
    let expected = (base64(&vector["key"]), (!vector["value"].is_null()).then(|| base64(&vector["value"])));
    if key != expected.0 || value.as_deref() != expected.1.as_deref() {
        return Verdict::Failed(format!("expected {expected:?}, got {key:?} {value:?}"));
    }
    let back = value.as_deref().and_then(offset_record::decode_value);
    match offset_map(&vector["read_back"]) {
        Ok(expected) => same(&json!(expected), &json!(back)),
        Err(why) => Verdict::Unsupported(why),
    }
}

fn offset_key(vector: &Json) -> Verdict {
    let known = offset_record::decode_key(text(&vector["key_text"]).as_bytes());
    let mut expected = Vec::new();
    for (connector, partitions) in vector["partitions"].as_object().into_iter().flatten() {
        for partition in partitions[1].as_array().into_iter().flatten() {
            expected.push(json!([connector, offset_map(partition).ok().flatten()]));
        }
    }
    let tombstone = vector["tombstone"] == true;
    let actual: Vec<Json> = known.into_iter().filter(|_| !tombstone).map(|(c, p)| json!([c, p])).collect();
    same(&json!(expected), &json!(actual))
}

fn protocol_of(name: &Json) -> Protocol {
    Protocol::from_setting(name.as_str().unwrap_or_default()).expect("the vectors name known protocols")
}

fn names(json: &Json) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = json.as_array().into_iter().flatten().map(|name| Arc::from(text(name))).collect();
    // The order of Java's hash set, which for these short names is that of the alphabet.
    names.sort();
    names
}

fn tasks(json: &Json) -> Vec<TaskId> {
    let task = |pair: &Json| TaskId {
        connector: Arc::from(text(&pair[0])),
        task: pair[1].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
    };
    json.as_array().into_iter().flatten().map(task).collect()
}

fn read_assignment(json: &Json) -> Option<Assignment> {
    if !json.is_object() {
        return None;
    }
    let number = |key: &str| json[key].as_i64().unwrap_or_default();
    Some(Assignment {
        version: i16::try_from(number("version")).unwrap_or_default(),
        error: i16::try_from(number("error")).unwrap_or_default(),
        leader: text(&json["leader"]),
        leader_url: text(&json["leader_url"]),
        config_offset: number("offset"),
        connectors: names(&json["connectors"]),
        tasks: tasks(&json["tasks"]),
        revoked_connectors: names(&json["revoked_connectors"]),
        revoked_tasks: tasks(&json["revoked_tasks"]),
        delay_ms: i32::try_from(number("delay")).unwrap_or_default(),
    })
}

fn same_bytes(expected: &Json, actual: &[u8]) -> Verdict {
    let expected = base64(expected);
    if expected == actual { Verdict::Passed } else { Verdict::Failed(format!("expected {expected:?}, got {actual:?}")) }
}

fn metadata_of(vector: &Json) -> Metadata {
    Metadata {
        url: text(&vector["url"]),
        config_offset: vector["offset"].as_i64().unwrap_or_default(),
        assignment: read_assignment(&vector["assignment"]),
    }
}

fn metadata(vector: &Json) -> Verdict {
    same_bytes(&vector["bytes"], &protocol::encode_metadata(protocol_of(&vector["protocol"]), &metadata_of(vector)))
}

fn assignment(vector: &Json) -> Verdict {
    let Some(assignment) = read_assignment(&vector["assignment"]) else {
        return match &vector["bytes"] {
            Json::Null => Verdict::Passed,
            _ => Verdict::Failed("the empty assignment is written as null".to_owned()),
        };
    };
    same_bytes(&vector["bytes"], &protocol::encode_assignment(protocol_of(&vector["protocol"]), &assignment))
}

fn join_protocols(vector: &Json) -> Verdict {
    let setting = if vector["sessioned"] == true { Protocol::Sessioned } else { Protocol::Compatible };
    let metadata = metadata_of(vector);
    let offered: Vec<Json> = setting
        .offered()
        .into_iter()
        .map(|protocol| json!([protocol.name(), protocol::encode_metadata(protocol, &metadata)]))
        .collect();
    let expected: Vec<Json> = vector["protocols"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|protocol| json!([protocol["name"], base64(&protocol["metadata"]).to_vec()]))
        .collect();
    same(&json!(expected), &json!(offered))
}

type Decode<'a> = &'a dyn Fn(Protocol, &[u8]) -> Result<Json, protocol::ProtocolError>;

/// Both readings of the same bytes: with the newer schema, and with that of the eager protocol.
fn decode(vector: &Json, read: Decode<'_>) -> Verdict {
    let bytes = base64(&vector["bytes"]);
    for (protocol, key) in [(Protocol::Sessioned, "cooperative"), (Protocol::Eager, "eager")] {
        let verdict = match read(protocol, &bytes) {
            Ok(actual) => same(&vector[key], &actual),
            Err(error) => same(&vector[format!("{key}_error")]["message"], &Json::String(error.to_string())),
        };
        if verdict != Verdict::Passed {
            return verdict;
        }
    }
    Verdict::Passed
}

fn metadata_json(protocol: Protocol, metadata: &Metadata) -> Json {
    let mut shown = json!({"url": metadata.url, "offset": metadata.config_offset});
    if protocol != Protocol::Eager {
        shown["assignment"] = match &metadata.assignment {
            None => json!("empty"),
            Some(assignment) => assignment_json(protocol, assignment),
        };
    }
    shown
}

fn assignment_json(protocol: Protocol, assignment: &Assignment) -> Json {
    let ids = |tasks: &[TaskId]| tasks.iter().map(|id| json!([id.connector, id.task])).collect::<Vec<_>>();
    let mut shown = json!({
        "error": assignment.error,
        "leader": assignment.leader,
        "leader_url": assignment.leader_url,
        "offset": assignment.config_offset,
        "connectors": assignment.connectors,
        "tasks": ids(&assignment.tasks),
    });
    if protocol != Protocol::Eager {
        shown["version"] = json!(assignment.version);
        shown["delay"] = json!(assignment.delay_ms);
        shown["revoked_connectors"] = json!(assignment.revoked_connectors);
        shown["revoked_tasks"] = json!(ids(&assignment.revoked_tasks));
    }
    shown
}
