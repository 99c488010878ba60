//! The classes and versions of a task's plugins (KIP-1173's attributes: `connector-class`, `key-converter-version` ...).

use connect_api::{Plugin, PluginKind, PluginType};
use connect_config::Props;
use connect_plugins::PluginRegistry;

/// What a header converter is when none is configured.
const HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// A class with its version, which may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) version: String,
}

/// What a task is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// `source` or `sink`.
    pub(super) kind: &'static str,
    pub(super) connector: Class,
    pub(super) task: Class,
    pub(super) key: Class,
    pub(super) value: Class,
    pub(super) header: Class,
    /// By their names in the configuration.
    pub(super) transforms: Vec<(String, Class)>,
    pub(super) predicates: Vec<(String, Class)>,
}

impl TaskFacts {
    /// The facts of a task of `plugin`, from the resolved configurations of worker, connector and task.
    pub fn of(registry: &PluginRegistry, worker: &Props, connector: &Props, task: &Props, plugin: &Plugin) -> Self {
        let class = |kind: PluginType, name: &str| match registry.find(kind, name) {
            Some(plugin) => Class { name: plugin.class.to_owned(), version: plugin.version.to_owned() },
            None => Class { name: name.to_owned(), version: String::new() },
        };
        let converter = |kind, key: &str, otherwise: &str| {
            let given = text(connector, key).or_else(|| text(worker, key));
            class(kind, given.unwrap_or(otherwise))
        };
        let named = |kind, list: &str, prefix: &str| -> Vec<(String, Class)> {
            let names = text(connector, list).unwrap_or_default().split(',').map(str::trim);
            names
                .filter(|name| !name.is_empty())
                .filter_map(|name| {
                    let given = text(connector, &format!("{prefix}.{name}.type"))?;
                    Some((name.to_owned(), class(kind, given)))
                })
                .collect()
        };
        let task_class =
            text(task, "task.class").map_or_else(|| plugin.class.replace("Connector", "Task"), str::to_owned);
        Self {
            kind: if matches!(plugin.kind, PluginKind::Sink(_)) { "sink" } else { "source" },
            connector: Class { name: plugin.class.to_owned(), version: plugin.version.to_owned() },
            task: Class { name: task_class, version: plugin.version.to_owned() },
            key: converter(PluginType::Converter, "key.converter", ""),
            value: converter(PluginType::Converter, "value.converter", ""),
            header: converter(PluginType::HeaderConverter, "header.converter", HEADER_CONVERTER),
            transforms: named(PluginType::Transformation, "transforms", "transforms"),
            predicates: named(PluginType::Predicate, "predicates", "predicates"),
        }
    }
}

fn text<'a>(props: &'a Props, key: &str) -> Option<&'a str> {
    props.get(key)?.as_deref().map(str::trim).filter(|text| !text.is_empty())
}
