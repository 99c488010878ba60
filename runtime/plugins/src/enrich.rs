//! What the registry adds to the keys of every connector: classes to choose from, versions, the keys of transforms
//! and predicates (`ConnectorConfig.enrich`, `PluginsRecommenders`).

use connect_api::{Plugin, PluginKind, PluginType};
use connect_config::validators::check;
use connect_config::{
    ConfigDef, ConfigError, ConfigKey, ConfigValue, Importance, NULL, Props, Recommendation, Type, Validator, Width,
    without_prefix,
};

use crate::connector::{SinkConnectorConfig, SourceConnectorConfig, transformation_keys};
use crate::registry::{Lookup, PluginRegistry};
use crate::versions;

/// The three converters of a connector: key and what they must be.
const CONVERTERS: [(&str, PluginType); 3] = [
    ("key.converter", PluginType::Converter),
    ("value.converter", PluginType::Converter),
    ("header.converter", PluginType::HeaderConverter),
];

fn interface(kind: PluginType) -> &'static str {
    match kind {
        PluginType::Source | PluginType::Sink => "Connector",
        PluginType::Converter => "Converter",
        PluginType::HeaderConverter => "HeaderConverter",
        PluginType::Transformation => "Transformation",
        PluginType::Predicate => "Predicate",
    }
}

fn text(text: &str) -> ConfigValue {
    ConfigValue::String(text.to_owned())
}

/// Refuses a class of the wrong kind; a class that is unknown was refused before and arrives as null.
fn class_of(registry: &PluginRegistry, kind: PluginType, description: String) -> impl Validator + use<> {
    let registry = registry.clone();
    check(description, move |_, value| match value.as_str() {
        Some(class) if registry.find(kind, class).is_none() => {
            Err(ConfigError::new(wrong_class(&registry, kind, class)))
        }
        _ => Ok(()),
    })
}

/// Why a known class is no plugin of a kind (`Utils.ensureConcreteSubclass`).
fn wrong_class(registry: &PluginRegistry, kind: PluginType, class: &str) -> String {
    let (class, noun) = match registry.lookup(class) {
        Lookup::Found(plugin) => (plugin.class, "class"),
        Lookup::WorkerPlugin(class) => (class, "class"),
        Lookup::Abstract(found) if found.kind == kind => {
            let meant = match found.children.join(", ") {
                none if none.is_empty() => none,
                names => format!(" Did you mean {names}?"),
            };
            return format!("This class is abstract and cannot be created.{meant}");
        }
        Lookup::Abstract(found) if found.interface => (class, "interface"),
        _ => (class, "class"),
    };
    format!("Class {noun} {class} does not implement the {} interface", interface(kind))
}

/// All classes of a kind, to choose from.
fn choose_class(registry: &PluginRegistry, kind: PluginType) -> Vec<ConfigValue> {
    registry.of_type(kind).map(|plugin| ConfigValue::Class(plugin.class.to_owned())).collect()
}

/// The versions of the class that another key names: ours are the one version each plugin has.
fn known_versions(registry: &PluginRegistry, class: Option<&str>) -> Vec<ConfigValue> {
    let plugin = class.and_then(|class| registry.any(class.trim()));
    plugin.map(|plugin| vec![text(plugin.version)]).unwrap_or_default()
}

/// All keys of a plugin, as `GET /connector-plugins/{plugin}/config` lists them: its own, and behind those of a
/// connector the ones that every connector has, as far as it does not define them itself.
pub fn plugin_config(registry: &PluginRegistry, plugin: &Plugin) -> ConfigDef {
    let (own, base) = match &plugin.kind {
        PluginKind::Source(connector) => (connector.config_def(), SourceConnectorConfig::full_def()),
        PluginKind::Sink(connector) => (connector.config_def(), SinkConnectorConfig::full_def()),
        _ => return (plugin.config_def)().clone(),
    };
    let mut def = own.clone();
    for key in connector_keys(registry, None, plugin, base).keys() {
        if def.key(&key.name).is_none() {
            def.define(key.clone());
        }
    }
    def
}

/// The keys of every connector with classes, versions and defaults that depend on the worker's plugins and, when it
/// is given, its own converters.
pub(crate) fn connector_keys(
    registry: &PluginRegistry,
    worker: Option<&Props>,
    connector: &Plugin,
    def: ConfigDef,
) -> ConfigDef {
    let mut def = versioned_keys(connector, def);
    for (name, kind) in CONVERTERS {
        let default = worker.and_then(|worker| worker.get(name)).and_then(Option::as_deref).map(str::trim);
        let default = default.or((worker.is_some() && name == "header.converter")
            .then_some("org.apache.kafka.connect.storage.SimpleHeaderConverter"));
        // The worker may name it by an alias; the connector sees the class.
        let default = default.map(|class| registry.any(class).map_or(class, |plugin| plugin.class).to_owned());
        let choices = choose_class(registry, kind);
        set(&mut def, name, |key| {
            let description = key.validator.as_ref().map(ToString::to_string).unwrap_or_default();
            let key = match &default {
                Some(class) => key.default(class.as_str()),
                None => key,
            };
            key.validator(class_of(registry, kind, description))
                .recommender(move |_, _| Recommendation { values: choices.clone(), visible: true })
        });
        converter_version(registry, &mut def, name, kind, default);
    }
    def
}

/// The keys of every connector with the connector's own version, all that is known when this is not the one asked for.
pub(crate) fn versioned_keys(connector: &Plugin, mut def: ConfigDef) -> ConfigDef {
    let version = connector.version;
    set(&mut def, "connector.plugin.version", |key| {
        key.default(version).recommender(move |_, _| Recommendation { values: vec![text(version)], visible: true })
    });
    for (name, _) in CONVERTERS {
        set(&mut def, &format!("{name}.plugin.version"), |key| {
            key.recommender(|_, _| Recommendation { values: Vec::new(), visible: false })
        });
    }
    def
}

/// The version of a converter: shown when the converter's class is known.
fn converter_version(
    registry: &PluginRegistry,
    def: &mut ConfigDef,
    name: &'static str,
    kind: PluginType,
    default: Option<String>,
) {
    let registry = registry.clone();
    set(def, &format!("{name}.plugin.version"), move |key| {
        key.recommender(move |_, props| {
            let given = props.get(name).map_or(default.as_deref(), Option::as_deref).map(str::trim);
            let known = given.filter(|class| registry.is_known_class(class));
            let fitting = known.filter(|class| registry.find(kind, class).is_some());
            Recommendation { values: known_versions(&registry, fitting), visible: known.is_some() }
        })
    });
}

/// Changes a key of a definition that has it.
fn set(def: &mut ConfigDef, name: &str, change: impl FnOnce(ConfigKey) -> ConfigKey) {
    if let Some(key) = def.key(name).cloned() {
        def.define(change(key));
    }
}

/// Adds the keys of the transforms and predicates that the connector names, and the versions of its converters.
pub(crate) fn enrich(registry: &PluginRegistry, def: &mut ConfigDef, props: &Props) {
    for (name, kind) in CONVERTERS {
        let default = def.key(name).and_then(ConfigKey::default_text);
        let class = props.get(name).and_then(Clone::clone).or(default);
        // A name with blanks around it names no class here, although the key's own check takes it.
        let version = class.and_then(|class| registry.find(kind, &class).map(|plugin| plugin.version));
        if let Some(version) = version {
            set(def, &format!("{name}.plugin.version"), |key| key.default(version));
        }
    }
    stages(registry, def, props, "transforms", "Transforms", PluginType::Transformation);
    stages(registry, def, props, "predicates", "Predicates", PluginType::Predicate);
}

/// The keys of each alias of a list: its type and version, then those of the class.
fn stages(
    registry: &PluginRegistry,
    def: &mut ConfigDef,
    props: &Props,
    list: &str,
    group_name: &str,
    kind: PluginType,
) {
    for alias in crate::chain::aliases(props, list).unwrap_or_default() {
        let prefix = format!("{list}.{alias}.");
        let group = format!("{group_name}: {alias}");
        // A name with blanks around it names no class here, although the key's own check takes it.
        let class = props.get(&format!("{prefix}type")).and_then(Option::as_deref);
        let plugin = class.and_then(|class| registry.find(kind, class));
        let asked = props.get(&format!("{prefix}plugin.version")).and_then(Option::as_deref);
        let problem = plugin.and_then(|plugin| {
            versions::require(plugin.class, asked, plugin.version, 1).err().map(|problem| problem.to_string())
        });
        def.define(type_key(registry, props, &alias, &prefix, &group, kind, problem.clone()));
        def.define(version_key(registry, &alias, &prefix, &group, kind, plugin, problem.clone()));
        let Some(plugin) = plugin.filter(|_| problem.is_none()) else { continue };
        let mut own = ConfigDef::new();
        if kind == PluginType::Transformation {
            for key in transformation_keys() {
                own.define(key);
            }
        }
        for key in (plugin.config_def)().keys() {
            // The two implicit keys of a transform mask its own of the same name.
            if kind != PluginType::Transformation || !matches!(key.name.as_str(), "predicate" | "negate") {
                own.define(key.clone());
            }
        }
        def.embed(&prefix, &group, 2, &own);
    }
}

fn type_key(
    registry: &PluginRegistry,
    props: &Props,
    alias: &str,
    prefix: &str,
    group: &str,
    kind: PluginType,
    version_problem: Option<String>,
) -> ConfigKey {
    let word = interface(kind).to_lowercase();
    let class = class_of(registry, kind, String::new());
    let own = without_prefix(props, prefix);
    let alone = kind == PluginType::Transformation && own.contains_key("negate") && !own.contains_key("predicate");
    let problem = alone.then(|| {
        format!(
            "Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining a predicate to be \
             negated."
        )
    });
    let problem = version_problem.or(problem);
    let choices = choose_class(registry, kind);
    ConfigKey::new(&format!("{prefix}type"), Type::Class, &format!("Class of the {word} '{alias}'."))
        .validator(check(format!("valid configs for {alias} {word}"), move |name, value| match &problem {
            Some(problem) => Err(ConfigError::new(problem.clone())),
            None => class.ensure_valid(name, value),
        }))
        .importance(Importance::High)
        .group(group)
        .order(0)
        .width(Width::Long)
        .display(&format!("{} type for {alias}", interface(kind)))
        .recommender(move |_, _| Recommendation { values: choices.clone(), visible: true })
}

fn version_key(
    registry: &PluginRegistry,
    alias: &str,
    prefix: &str,
    group: &str,
    kind: PluginType,
    plugin: Option<&Plugin>,
    problem: Option<String>,
) -> ConfigKey {
    let word = interface(kind).to_lowercase();
    let type_name = format!("{prefix}type");
    let registry = registry.clone();
    let key =
        ConfigKey::new(&format!("{prefix}plugin.version"), Type::String, &format!("Version of the {word} '{alias}'."))
            .importance(Importance::High)
            .group(group)
            .order(1)
            .width(Width::Long)
            .display(&format!("{} version for {alias}", interface(kind)))
            .recommender(move |_, props| {
                let class = props.get(&type_name).and_then(Option::as_deref);
                let class = class.filter(|class| registry.find(kind, class.trim()).is_some());
                Recommendation { values: known_versions(&registry, class), visible: true }
            });
    let key = match problem {
        None => key,
        Some(problem) => {
            // The plugin's own version, which is the default, always fits.
            let own = plugin.map(|plugin| plugin.version);
            key.validator(check("a version that there is", move |_, value| match value.as_str() {
                Some(given) if Some(given) != own => Err(ConfigError::new(problem.clone())),
                _ => Ok(()),
            }))
        }
    };
    default_to(key, plugin.map(|plugin| plugin.version))
}

fn default_to(key: ConfigKey, version: Option<&str>) -> ConfigKey {
    match version {
        Some(version) => key.default(version),
        None => key.default(NULL),
    }
}
