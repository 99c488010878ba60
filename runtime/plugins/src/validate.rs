//! Validation of a connector's whole configuration (`AbstractHerder.validateConnectorConfig`).
//!
//! The answer has, in this order: keys without a definition, the keys of every connector, those of the given
//! transforms and predicates, the connector's own, the client overrides, and the keys of the connector's own
//! converters. A key that the connector defines itself takes the place of the worker's key of the same name.

use std::sync::Arc;

use connect_api::{Error, ErrorKind, ExactlyOnce, Plugin, PluginKind, Result, SinkConnector, SourceConnector};
use connect_config::{ConfigDef, ConfigEntry, ConfigValue, Props, Type, Validated, java_map, without_prefix};

use crate::enrich::{connector_keys, enrich, versioned_keys};
use crate::overrides::{ClientOverridePolicy, ClientType};
use crate::registry::{Lookup, PluginRegistry, types};
use crate::versions::{self, VersionProblem};
use crate::{ConnectorConfig, SinkConnectorConfig, SourceConnectorConfig};

/// The worker's `exactly.once.source.support`, as far as validation asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnceSource {
    Disabled,
    Enabled,
}

/// What kind of worker validates: a distributed one checks a little more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerMode {
    Standalone,
    Distributed {
        /// The worker's `group.id`.
        group_id: String,
        exactly_once: ExactlyOnceSource,
    },
}

/// What validation knows of the worker.
#[derive(Clone, Debug)]
pub struct ValidationContext {
    /// The worker's configuration, variables resolved: its converters are the defaults.
    pub worker: Props,
    pub mode: WorkerMode,
    pub policy: ClientOverridePolicy,
}

/// The two kinds of connectors.
enum Connector {
    Source(Arc<dyn SourceConnector>),
    Sink(Arc<dyn SinkConnector>),
}

impl Connector {
    fn of(plugin: &Plugin) -> Option<Self> {
        match &plugin.kind {
            PluginKind::Source(connector) => Some(Self::Source(Arc::clone(connector))),
            PluginKind::Sink(connector) => Some(Self::Sink(Arc::clone(connector))),
            _ => None,
        }
    }

    fn config_def(&self) -> &'static ConfigDef {
        match self {
            Self::Source(connector) => connector.config_def(),
            Self::Sink(connector) => connector.config_def(),
        }
    }

    async fn validate(&self, props: &Props) -> Result<Validated> {
        match self {
            Self::Source(connector) => connector.validate(props).await,
            Self::Sink(connector) => connector.validate(props).await,
        }
    }
}

/// Validates a connector's configuration; variables (`${...}`) must be resolved already.
///
/// # Errors
/// When there is no connector to ask (400 in the REST API), a client override does not parse (500, as on the JVM), or
/// the connector's own validation breaks.
pub async fn validate_connector(
    registry: &PluginRegistry,
    context: &ValidationContext,
    props: &Props,
) -> Result<Validated> {
    let Some(class) = props.get("connector.class").and_then(Option::as_deref) else {
        let given = props.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null")));
        let given = given.collect::<Vec<_>>().join(", ");
        return Err(bad_request(format!("Connector config {{{given}}} contains no connector type")));
    };
    let plugin = registry.connector(class).map_err(|e| bad_request(e.to_string()).caused_by(e))?;
    let connector = Connector::of(plugin).ok_or_else(|| {
        Error::new(ErrorKind::Bug, format!("{} is registered as a connector, but is none", plugin.class))
    })?;

    let asked = props.get("connector.plugin.version").and_then(Option::as_deref);
    match versions::require(plugin.class, asked, plugin.version, 1) {
        Ok(()) => {}
        Err(VersionProblem::Malformed(problem)) => return Err(bad_request(problem)),
        Err(problem) => return Ok(wrong_version(registry, plugin, props, &problem.to_string())),
    }
    let base = match connector {
        Connector::Source(_) => SourceConnectorConfig::full_def(),
        Connector::Sink(_) => SinkConnectorConfig::full_def(),
    };
    let common = common_part(registry, context, plugin, base, props);
    let mut common = checked(common, context, &connector, props);
    let converters = converter_parts(registry, &mut common, props);
    let overrides = override_parts(context, &connector, props)?;
    add_null_errors(&mut common, props);
    let own = connector.validate(props).await?;
    let mut result = merge_own(common, connector.config_def(), own);
    for part in overrides.into_iter().chain(converters) {
        append(&mut result, part);
    }
    Ok(result)
}

/// Without the right version of the connector nothing but the keys of every connector can be validated.
fn wrong_version(registry: &PluginRegistry, plugin: &Plugin, props: &Props, problem: &str) -> Validated {
    let def = versioned_keys(plugin, ConnectorConfig::def().clone());
    let mut common = def.validate_with(props, &|name| registry.is_known_class(name));
    name_classes(registry, &mut common);
    common.add_error("connector.class", problem);
    common.add_error("connector.plugin.version", problem);
    add_null_errors(&mut common, props);
    common.entries.sort_by_key(|entry| entry.key.is_some());
    common
}

fn bad_request(message: String) -> Error {
    Error::config(message).class("org.apache.kafka.connect.runtime.rest.errors.BadRequestException")
}

/// The keys of every connector with what the registry and the worker know, those of transforms and predicates
/// included, validated.
fn common_part(
    registry: &PluginRegistry,
    context: &ValidationContext,
    plugin: &Plugin,
    base: ConfigDef,
    props: &Props,
) -> Validated {
    let mut def = connector_keys(registry, Some(&context.worker), plugin, base);
    enrich(registry, &mut def, props);
    let mut common = def.validate_with(props, &|name| registry.is_known_class(name));
    name_classes(registry, &mut common);
    common
}

/// A class that was given by an alias is shown by its name.
fn name_classes(registry: &PluginRegistry, validated: &mut Validated) {
    for entry in &mut validated.entries {
        if !entry.key.as_ref().is_some_and(|key| key.ty == Type::Class) {
            continue;
        }
        let class = entry.value.as_str().and_then(|given| match registry.lookup(given) {
            Lookup::Found(plugin) => Some(plugin.class),
            Lookup::WorkerPlugin(class) => Some(class),
            _ => None,
        });
        if let Some(class) = class {
            entry.value = ConfigValue::Class(class.to_owned());
        }
    }
}

/// The checks that concern several keys, or the kind of the worker.
fn checked(mut common: Validated, context: &ValidationContext, connector: &Connector, props: &Props) -> Validated {
    match connector {
        Connector::Sink(_) => {
            check_topics(&mut common, props);
            if let WorkerMode::Distributed { group_id, .. } = &context.mode {
                check_group(&mut common, group_id, props);
            }
        }
        Connector::Source(source) => {
            if let WorkerMode::Distributed { exactly_once, .. } = &context.mode {
                let (exact, boundaries) = (source.exactly_once(props), source.defines_transactions(props));
                check_exactly_once(&mut common, *exactly_once, exact, boundaries);
            }
        }
    }
    common
}

/// `SinkConnectorConfig.validate`: exactly one of the two ways to name topics, and no loop over the dead letters.
fn check_topics(common: &mut Validated, props: &Props) {
    let given = |key: &str| props.get(key).and_then(Option::as_deref).map(str::trim).filter(|text| !text.is_empty());
    let (topics, regex) = (given("topics"), given("topics.regex"));
    let both = match (topics, regex) {
        (Some(_), Some(_)) => Some("topics and topics.regex are mutually exclusive options, but both are set."),
        (None, None) => Some("Must configure one of topics or topics.regex"),
        _ => None,
    };
    if let Some(message) = both {
        common.add_error("topics", message);
        common.add_error("topics.regex", message);
    }
    let Some(dlq) = given("errors.deadletterqueue.topic.name") else { return };
    if let Some(text) = topics {
        let listed: Vec<&str> = text.split(',').map(str::trim).filter(|topic| !topic.is_empty()).collect();
        if listed.contains(&dlq) {
            let message = format!(
                "The DLQ topic '{dlq}' may not be included in the list of topics ('topics=[{}]') consumed by the connector",
                listed.join(", ")
            );
            common.add_error("topics", message);
        }
    }
    let matched = |pattern: &str| regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(dlq));
    if let Some(pattern) = regex.filter(|pattern| matched(pattern)) {
        let message = format!(
            "The DLQ topic '{dlq}' may not be matched by the regex for the topics ('topics.regex={pattern}') consumed \
             by the connector"
        );
        common.add_error("topics.regex", message);
    }
}

/// A sink's consumer group must not be the workers' own.
fn check_group(common: &mut Validated, worker_group: &str, props: &Props) {
    let key = "consumer.override.group.id";
    if let Some(given) = props.get(key) {
        if given.as_deref() == Some(worker_group) {
            let message = format!("Consumer group {worker_group} conflicts with Connect worker group {worker_group}");
            let mut entry = ConfigEntry::undefined(key, given.as_deref());
            entry.errors.push(message);
            common.entries.push(entry);
        }
        return;
    }
    let name = common.entry("name").and_then(|entry| entry.value.as_str().map(str::to_owned));
    if let Some(group) = name.map(|name| format!("connect-{name}")).filter(|group| group == worker_group) {
        common.add_error(
            "name",
            format!(
                "Consumer group for sink connector named {group} conflicts with Connect worker group {worker_group}"
            ),
        );
    }
}

/// A distributed worker refuses what it or the connector can not guarantee (KIP-618).
fn check_exactly_once(common: &mut Validated, worker: ExactlyOnceSource, connector: ExactlyOnce, boundaries: bool) {
    let is = |common: &Validated, key: &str, wanted: &str| {
        common.entry(key).is_some_and(|entry| {
            entry.errors.is_empty() && entry.value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        })
    };
    if is(common, "exactly.once.support", "required") {
        if worker == ExactlyOnceSource::Disabled {
            let message = "This worker does not have exactly-once source support enabled.";
            common.add_error("exactly.once.support", message);
        }
        if connector == ExactlyOnce::Unsupported {
            let message = "The connector does not support exactly-once semantics with the provided configuration.";
            common.add_error("exactly.once.support", message);
        }
    }
    if !boundaries && is(common, "transaction.boundary", "connector") {
        common.add_error(
            "transaction.boundary",
            "The connector does not support connector-defined transaction boundaries with the given configuration. \
             Please reconfigure it to use a different transaction boundary definition.",
        );
    }
}

/// A key given as null has no meaning in a connector's configuration.
fn add_null_errors(common: &mut Validated, props: &Props) {
    for (key, _) in props.iter().filter(|(_, value)| value.is_none()) {
        if common.entry(key).is_none() {
            common.entries.push(ConfigEntry::undefined(key, None));
        }
        common.add_error(key, "Null value can not be supplied as the configuration value.");
    }
}

/// Adds the connector's own entries: a key that both have keeps its place and gets the connector's definition.
fn merge_own(mut common: Validated, own_def: &ConfigDef, own: Validated) -> Validated {
    for group in own.groups {
        if !common.groups.contains(&group) {
            common.groups.push(group);
        }
    }
    for mut entry in own.entries {
        if entry.key.is_none() {
            entry.key = own_def.key(&entry.name).cloned();
        }
        match common.entries.iter_mut().find(|known| known.name == entry.name) {
            Some(known) if known.key.is_some() => {
                let key = entry.key.take().or_else(|| known.key.take());
                *known = ConfigEntry { key, ..entry };
            }
            _ => {
                // Only the connector defines it: what the worker found, a null, the connector's entry overrides.
                common.entries.retain(|known| known.name != entry.name);
                common.entries.push(entry);
            }
        }
    }
    // Undefined keys come first; the order is kept otherwise.
    common.entries.sort_by_key(|entry| entry.key.is_some());
    common
}

fn append(result: &mut Validated, part: Validated) {
    for group in part.groups {
        if !result.groups.contains(&group) {
            result.groups.push(group);
        }
    }
    result.entries.extend(part.entries);
}

/// What the connector overrides for each client that it uses.
fn override_parts(context: &ValidationContext, connector: &Connector, props: &Props) -> Result<Vec<Validated>> {
    let has_dlq =
        props.get("errors.deadletterqueue.topic.name").and_then(Option::as_deref).is_some_and(|t| !t.is_empty());
    let is_source = matches!(connector, Connector::Source(_));
    let separate_offsets = is_source && separate_offsets_clients(context, props);
    let topic_creation = props.keys().any(|key| key.starts_with("topic.creation."));
    let uses = [
        (ClientType::Producer, is_source || has_dlq),
        (ClientType::Consumer, !is_source || separate_offsets),
        (ClientType::Admin, if is_source { topic_creation || separate_offsets } else { has_dlq }),
    ];
    uses.into_iter()
        .filter(|(_, used)| *used)
        .map(|(client, _)| override_part(&context.policy, client, props))
        .collect()
}

/// A source of a distributed worker has clients of its own for offsets when it delivers exactly once or has its own
/// offsets topic.
fn separate_offsets_clients(context: &ValidationContext, props: &Props) -> bool {
    let WorkerMode::Distributed { exactly_once, .. } = &context.mode else { return false };
    let own_topic = props.get("offsets.storage.topic").and_then(Option::as_deref).is_some_and(|t| !t.trim().is_empty());
    *exactly_once == ExactlyOnceSource::Enabled || own_topic
}

fn override_part(policy: &ClientOverridePolicy, client: ClientType, props: &Props) -> Result<Validated> {
    let prefix = client.override_prefix();
    let mut part = Validated::default();
    for (name, given) in client.overrides(props) {
        let full = format!("{prefix}{name}");
        let mut entry = match client.key(&name) {
            None => ConfigEntry::undefined(&full, given.as_deref()),
            Some(mut key) => {
                let value = connect_config::parse_type(&name, given.as_deref(), key.ty)?;
                key.name.clone_from(&full);
                ConfigEntry { key: Some(key), value, ..ConfigEntry::undefined(&full, None) }
            }
        };
        if !policy.allows(&name) {
            entry.errors.push(policy.refusal(&name));
        }
        part.entries.push(entry);
    }
    java_map::sort_as_hash_map(&mut part.entries, |entry| entry.name.strip_prefix(prefix).unwrap_or(&entry.name));
    Ok(part)
}

/// The keys of the converters that the connector itself names, in the order header, key, value.
fn converter_parts(registry: &PluginRegistry, common: &mut Validated, props: &Props) -> Vec<Validated> {
    let kinds = [("header.converter", "header"), ("key.converter", "key"), ("value.converter", "value")];
    kinds.into_iter().filter_map(|(key, kind)| converter_part(registry, common, props, key, kind)).collect()
}

fn converter_part(
    registry: &PluginRegistry,
    common: &mut Validated,
    props: &Props,
    key: &str,
    kind: &str,
) -> Option<Validated> {
    let class = props.get(key)?.as_deref()?;
    let interface = if kind == "header" { "HeaderConverter" } else { "Converter" };
    let faultless = |common: &Validated| common.entry(key).is_some_and(|entry| entry.errors.is_empty());
    let Lookup::Found(plugin) = registry.lookup(class) else {
        // With blanks around it the key's own check takes the name, but there is no such class.
        if faultless(common) && registry.is_known_class(class.trim()) {
            common.add_error(key, format!("Failed to load class {class}: {class}"));
        }
        return None;
    };
    let fits = match plugin.kind {
        PluginKind::Converter(_, header) => kind != "header" || header.is_some(),
        PluginKind::HeaderConverter(_) => kind == "header",
        _ => false,
    };
    if !fits || !faultless(common) {
        tracing::debug!(key, class, interface, "the converter's own keys are not validated: the class does not fit");
        return None;
    }
    let prefix = format!("{key}.");
    let version_key = format!("{prefix}plugin.version");
    // A version given as null is refused as such, and nothing is made of the converter.
    let asked = match props.get(&version_key) {
        Some(None) => return None,
        asked => asked.and_then(Option::as_deref),
    };
    if let Err(problem) = versions::require(plugin.class, asked, plugin.version, types(plugin).len()) {
        if matches!(problem, VersionProblem::Missing { .. }) {
            common.add_error(key, problem.to_string());
        }
        common.add_error(&version_key, problem.to_string());
        return None;
    }
    let mut own = without_prefix(props, &prefix);
    // A null counts as none.
    own.entry("converter.type".to_owned()).or_default().get_or_insert_with(|| kind.to_owned());
    let mut part = (plugin.config_def)().validate_with(&own, &|name| registry.is_known_class(name));
    name_classes(registry, &mut part);
    java_map::sort_as_hash_map(&mut part.entries, |entry| &entry.name);
    // Groups in the order of the keys that are shown; a definition may have one that no key is in.
    part.groups.clear();
    for group in part.entries.iter().filter_map(|entry| entry.key.as_ref()?.group.as_ref()) {
        if !part.groups.contains(group) {
            part.groups.push(group.clone());
        }
    }
    for entry in &mut part.entries {
        entry.name = format!("{prefix}{}", entry.name);
        if let Some(definition) = &mut entry.key {
            definition.name.clone_from(&entry.name);
        }
    }
    Some(part)
}
