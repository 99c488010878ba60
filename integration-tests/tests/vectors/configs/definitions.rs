//! The definitions of whole classes, key by key, without the documentation.

use std::path::Path;

use connect_config::{ConfigDef, ConfigKey, DistributedConfig, StandaloneConfig};
use connect_plugins::{ClientType, ConnectorConfig, SinkConnectorConfig, SourceConnectorConfig, plugin_config};
use serde_json::Value as Json;

use super::connectors::registry;
use super::{equal, strings};
use crate::outcome::{Outcome, Verdict};

/// Compares every file; those of plugins are counted apart.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("configdefs"))
        .expect("the definitions are there")
        .map(|file| file.expect("the directory can be read").path())
        .collect();
    files.sort();
    files.iter().map(|path| outcome(path)).collect()
}

fn outcome(path: &Path) -> Outcome {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let json: Json = serde_json::from_str(&text).expect("a definition is JSON");
    let class = json["class"].as_str().expect("a definition names its class");
    let (counted, verdict) = match class.rsplit('.').next().unwrap_or_default() {
        "WorkerConfig" => ("configdefs", worker(&json)),
        "DistributedConfig" => ("configdefs", compare(&json, DistributedConfig::def(), true)),
        "StandaloneConfig" => ("configdefs", compare(&json, StandaloneConfig::def(), true)),
        // What to recommend is the registry's to know: the definitions of connectors in use have it.
        "ConnectorConfig" => ("configdefs", compare(&json, ConnectorConfig::def(), false)),
        "SourceConnectorConfig" => ("configdefs", compare(&json, &SourceConnectorConfig::full_def(), false)),
        "SinkConnectorConfig" => ("configdefs", compare(&json, &SinkConnectorConfig::full_def(), false)),
        "ProducerConfig" => ("configdefs", client(&json, ClientType::Producer)),
        "ConsumerConfig" => ("configdefs", client(&json, ClientType::Consumer)),
        "AdminClientConfig" => ("configdefs", client(&json, ClientType::Admin)),
        _ => ("configdefs of plugins", plugin(&json, class)),
    };
    Outcome { file: "configs", class: counted.to_owned(), id: class.to_owned(), verdict: verdict.into() }
}

/// What a comparison says, before it is a verdict.
enum Compared {
    Same,
    Differs(String),
    Missing(String),
}

impl From<Compared> for Verdict {
    fn from(compared: Compared) -> Self {
        match compared {
            Compared::Same => Self::Passed,
            Compared::Differs(what) => Self::Failed(what),
            Compared::Missing(what) => Self::Unsupported(what),
        }
    }
}

impl From<Result<(), String>> for Compared {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Differs, |()| Self::Same)
    }
}

fn keys(json: &Json) -> &[Json] {
    json["keys"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The keys that all workers have are the first ones of a distributed worker.
fn worker(json: &Json) -> Compared {
    let mut def = ConfigDef::new();
    for key in DistributedConfig::def().keys().take(keys(json).len()) {
        def.define(key.clone());
    }
    compare(json, &def, true)
}

fn plugin(json: &Json, class: &str) -> Compared {
    let registry = registry();
    let Some(plugin) = registry.any(class) else { return Compared::Missing(format!("no plugin {class}")) };
    let own = match &plugin.kind {
        connect_api::PluginKind::Source(connector) => connector.config_def(),
        connect_api::PluginKind::Sink(connector) => connector.config_def(),
        _ => (plugin.config_def)(),
    };
    if let Some(expected) = json["version"].as_str().filter(|version| *version != plugin.version) {
        return Compared::Differs(format!("version: expected {expected}, got {}", plugin.version));
    }
    // What the REST API lists begins with the plugin's own keys.
    let listed: Vec<String> = plugin_config(&registry, plugin).keys().map(|key| key.name.clone()).collect();
    let own_names: Vec<String> = own.keys().map(|key| key.name.clone()).collect();
    if !listed.starts_with(&own_names) {
        return Compared::Differs(format!("{listed:?} does not begin with {own_names:?}"));
    }
    compare(json, own, true)
}

fn compare(json: &Json, def: &ConfigDef, recommenders: bool) -> Compared {
    let expected: Vec<&str> = keys(json).iter().filter_map(|key| key["name"].as_str()).collect();
    let actual: Vec<&str> = def.keys().map(|key| key.name.as_str()).collect();
    let missing: Vec<&&str> = expected.iter().filter(|name| !actual.contains(name)).collect();
    if !missing.is_empty() {
        return Compared::Differs(format!("missing keys {missing:?}"));
    }
    let mut result = equal("keys", &expected, &actual)
        .and_then(|()| equal("groups", &strings(&json["groups"]), &def.groups().to_vec()));
    for expected in keys(json) {
        let name = expected["name"].as_str().unwrap_or_default();
        let Some(key) = def.key(name) else { continue };
        result = result.and_then(|()| one(expected, key, recommenders).map_err(|e| format!("{name}: {e}")));
    }
    result.into()
}

fn one(expected: &Json, key: &ConfigKey, recommenders: bool) -> Result<(), String> {
    equal("type", &expected["type"].as_str(), &Some(key.ty.name()))?;
    equal("required", &expected["required"].as_bool(), &Some(key.required()))?;
    equal("default", &expected["default"].as_str(), &key.default_text().as_deref())?;
    equal("importance", &expected["importance"].as_str(), &Some(key.importance.name()))?;
    equal("group", &expected["group"].as_str(), &key.group.as_deref())?;
    equal("order", &expected["order"].as_i64(), &Some(key.order.into()))?;
    equal("width", &expected["width"].as_str(), &Some(key.width.name()))?;
    equal("display name", &expected["display_name"].as_str(), &Some(key.display_name.as_str()))?;
    equal("dependents", &strings(&expected["dependents"]), &key.dependents)?;
    equal("internal", &expected["internal"].as_bool().unwrap_or(false), &key.internal)?;
    let validator = key.validator.as_ref().map(ToString::to_string);
    match expected["validator"].as_str() {
        // One without a text of its own: what it refuses is the matter of other vectors.
        Some("custom") => {}
        text => equal("validator", &text, &validator.as_deref())?,
    }
    if recommenders {
        equal("recommender", &expected["recommender"].as_bool().unwrap_or(false), &key.recommender.is_some())?;
    }
    Ok(())
}

/// The settings of a client: what validating an override needs of them.
fn client(json: &Json, client: ClientType) -> Compared {
    let mut result = Ok(());
    for expected in keys(json) {
        let name = expected["name"].as_str().unwrap_or_default();
        result = result.and_then(|()| {
            let key = client.key(name).ok_or_else(|| format!("{name} is missing"))?;
            equal("type", &expected["type"].as_str(), &Some(key.ty.name()))
                .and_then(|()| equal("default", &expected["default"].as_str(), &key.default_text().as_deref()))
                .and_then(|()| equal("importance", &expected["importance"].as_str(), &Some(key.importance.name())))
                .map_err(|e| format!("{name}: {e}"))
        });
    }
    result.into()
}
