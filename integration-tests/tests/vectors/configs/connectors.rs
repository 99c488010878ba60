//! Validation of whole connector configurations, with the plugins that we have.

use connect_api::{Error, PluginType};
use connect_config::{ConfigEntry, Validated};
use connect_plugins::{ClientOverridePolicy, PluginRegistry, ValidationContext, WorkerMode, validate_connector};
use serde_json::Value as Json;

use super::{equal, message_matches, strings};
use crate::codec::props;
use crate::outcome::Verdict;

/// All plugins that we have.
pub(crate) fn registry() -> PluginRegistry {
    let mut plugins = connect_formats::plugins();
    plugins.extend(connect_transforms::plugins());
    plugins.extend(connect_file::plugins());
    plugins.extend(connect_postgres::plugins());
    plugins.extend(connect_mongodb::plugins());
    PluginRegistry::new(plugins)
}

/// A standalone worker that validates.
pub(crate) struct Connectors {
    registry: PluginRegistry,
    runtime: tokio::runtime::Runtime,
}

impl Connectors {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        Self { registry: registry(), runtime }
    }

    /// `validate_connector`.
    pub(crate) fn check(&self, vector: &Json) -> Verdict {
        let given = props(&vector["props"]);
        if let Some(missing) = self.missing_plugin(vector) {
            return Verdict::Unsupported(format!("no plugin {missing}"));
        }
        let json = Some("org.apache.kafka.connect.json.JsonConverter".to_owned());
        let context = ValidationContext {
            worker: [("key.converter".to_owned(), json.clone()), ("value.converter".to_owned(), json)].into(),
            mode: WorkerMode::Standalone,
            policy: ClientOverridePolicy::from_name(vector["policy"].as_str().unwrap_or_default(), &[])
                .expect("the policy is known"),
        };
        let result = self.runtime.block_on(validate_connector(&self.registry, &context, &given));
        match (vector["error"].is_null(), result) {
            (true, Ok(validated)) => compare(vector, &validated),
            (true, Err(error)) => Verdict::Failed(format!("unexpected error {error}")),
            (false, Ok(_)) => Verdict::Failed(format!("expected the error {}", vector["error"]["message"])),
            (false, Err(error)) => same_error(&vector["error"], &error),
        }
    }

    /// A class that the JVM had, the configuration names, and we do not have. A class that the JVM did not have
    /// either gets an error there, and stays in the configuration.
    fn missing_plugin(&self, vector: &Json) -> Option<String> {
        let text = vector["configs"].to_string();
        let props = vector["props"].as_object()?;
        let converter = "org.apache.kafka.connect.json.JsonConverter".to_owned();
        let header = "org.apache.kafka.connect.storage.SimpleHeaderConverter".to_owned();
        let named = props
            .iter()
            .filter(|(key, _)| key.ends_with(".type") || *key == "connector.class" || key.ends_with(".converter"))
            .filter_map(|(_, class)| class.as_str().map(str::to_owned))
            .filter(|class| !text.contains(&format!("Class {class} could not be found")))
            .filter(|_| vector["error"].is_null());
        // What is recommended by name must be there, and where a list is counted, at least something.
        let entries = vector["configs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let recommended = entries.iter().flat_map(|entry| strings(&entry["recommended"]));
        let classes = recommended.filter(|value| value.starts_with("org.apache.kafka.connect."));
        let mut counted = entries.iter().filter(|entry| !entry["recommended_count"].is_null());
        let transforms =
            counted.any(|entry| entry["name"].as_str().is_some_and(|name| name.starts_with("transforms.")));
        if transforms && self.registry.of_type(PluginType::Transformation).next().is_none() {
            return Some("that transforms".to_owned());
        }
        named
            .chain(classes)
            .chain([converter, header])
            .find(|class| self.registry.connector(class).is_err() && !self.registry.is_known_class(class))
    }
}

fn same_error(expected: &Json, actual: &Error) -> Verdict {
    let message = expected["message"].as_str().unwrap_or_default();
    if expected["class"].as_str() != Some(actual.java_class()) {
        return Verdict::Failed(format!("expected {}, got {}", expected["class"], actual.java_class()));
    }
    match message_matches(message, actual.message()) {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("expected {message:?}, got {:?}", actual.message())),
    }
}

fn compare(vector: &Json, validated: &Validated) -> Verdict {
    let expected = vector["configs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let partly = vector["only_given_or_erroneous"] == Json::Bool(true);
    let shown: Vec<&ConfigEntry> = validated
        .entries
        .iter()
        .filter(|entry| !partly || expected.iter().any(|e| e["name"] == entry.name.as_str()))
        .collect();
    let names = |json: &Json| json["name"].as_str().unwrap_or_default().to_owned();
    let result = equal("groups", &strings(&vector["groups"]), &validated.groups)
        .and_then(|()| {
            let expected: Vec<String> = expected.iter().map(names).collect();
            equal("names", &expected, &shown.iter().map(|entry| entry.name.clone()).collect())
        })
        .and_then(|()| expected.iter().zip(&shown).try_for_each(|(expected, entry)| one(expected, entry)))
        .and_then(|()| {
            equal("error count", &vector["error_count"].as_u64(), &u64::try_from(validated.error_count()).ok())
        });
    match result {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(difference),
    }
}

fn one(expected: &Json, entry: &ConfigEntry) -> Result<(), String> {
    let named = |result: Result<(), String>| result.map_err(|e| format!("{}: {e}", entry.name));
    named(equal("undefined", &(expected["undefined"] == Json::Bool(true)), &entry.key.is_none()))?;
    if let Some(key) = &entry.key {
        named(equal("type", &expected["type"].as_str(), &Some(key.ty.name())))?;
        named(equal("group", &expected["group"].as_str(), &key.group.as_deref()))?;
        named(equal("order", &expected["order"].as_i64(), &Some(key.order.into())))?;
        named(equal("display name", &expected["display_name"].as_str(), &Some(key.display_name.as_str())))?;
    }
    named(equal("value", &expected["value"].as_str(), &entry.value.text().as_deref()))?;
    named(equal("errors", &strings(&expected["errors"]), &entry.errors))?;
    named(equal("visible", &expected["visible"].as_bool().unwrap_or(true), &entry.visible))?;
    // Lists of all plugins of a kind are counted in the vectors, and depend on the plugins.
    if expected["recommended_count"].is_null() {
        let recommended: Vec<String> = entry.recommended.iter().filter_map(connect_config::ConfigValue::text).collect();
        named(equal("recommended", &strings(&expected["recommended"]), &recommended))?;
    } else if entry.recommended.is_empty() {
        return Err(format!("{}: nothing is recommended", entry.name));
    }
    Ok(())
}
