//! The converters and transforms of a task, made from the connector's and the worker's configuration
//! (`Worker.startTask`, `Plugins.newConverter`, `ConnectorConfig.transformationStages`).

use std::collections::HashMap;
use std::sync::Arc;

use connect_api::{
    Converter, Error, HeaderConverter, Plugin, PluginKind, PluginType, Predicate, Record, Result, Transform,
};
use connect_config::{ConfigError, Props, Type, parse_type, without_prefix};

use crate::registry::{Lookup, PluginRegistry};

/// What every worker uses for headers when nothing is configured.
const DEFAULT_HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// Everything between a connector and Kafka.
pub struct Pipeline {
    pub key_converter: Box<dyn Converter>,
    pub value_converter: Box<dyn Converter>,
    pub header_converter: Box<dyn HeaderConverter>,
    /// In the order in which they are applied.
    pub transforms: Vec<Stage>,
}

/// One transform with its condition (`TransformationStage`).
pub struct Stage {
    /// The name in `transforms`.
    pub alias: String,
    /// The full Java class name, for error reports.
    pub class: &'static str,
    pub transform: Box<dyn Transform>,
    pub predicate: Option<Arc<dyn Predicate>>,
    /// Applies the transform where the predicate does not fit.
    pub negate: bool,
}

impl Stage {
    /// Applies the transform when the condition holds; `None` drops the record.
    pub fn apply(&self, record: Record) -> Result<Option<Record>> {
        match &self.predicate {
            Some(predicate) if predicate.test(&record)? == self.negate => Ok(Some(record)),
            _ => self.transform.apply(record),
        }
    }
}

/// Makes the converters and transforms of a connector's tasks. Variables must be resolved already.
///
/// A converter that the connector names gets the connector's `key.converter.*` keys and none of the worker's; one
/// that it does not name is the worker's, with the worker's keys.
pub fn build_chain(registry: &PluginRegistry, worker_props: &Props, connector_props: &Props) -> Result<Pipeline> {
    Ok(Pipeline {
        key_converter: converter(registry, worker_props, connector_props, "key.converter", true)?,
        value_converter: converter(registry, worker_props, connector_props, "value.converter", false)?,
        header_converter: header_converter(registry, worker_props, connector_props)?,
        transforms: stages(registry, connector_props)?,
    })
}

/// The class and the keys of a converter: from the connector, else from the worker.
fn choose(worker: &Props, connector: &Props, key: &str) -> Option<(String, Props)> {
    let prefix = format!("{key}.");
    [connector, worker].into_iter().find_map(|props| {
        let class = props.get(key)?.as_deref()?;
        Some((class.trim().to_owned(), without_prefix(props, &prefix)))
    })
}

fn converter(
    registry: &PluginRegistry,
    worker: &Props,
    connector: &Props,
    key: &str,
    is_key: bool,
) -> Result<Box<dyn Converter>> {
    let (class, mut props) = choose(worker, connector, key).ok_or_else(|| ConfigError::missing(key))?;
    let plugin = find(registry, PluginType::Converter, key, &class, "Converter")?;
    let kind = if is_key { "key" } else { "value" };
    props.insert("converter.type".to_owned(), Some(kind.to_owned()));
    match plugin.kind {
        PluginKind::Converter(make, _) => make(&props, is_key),
        _ => Err(not_a(key, plugin.class, "Converter")),
    }
}

fn header_converter(registry: &PluginRegistry, worker: &Props, connector: &Props) -> Result<Box<dyn HeaderConverter>> {
    let key = "header.converter";
    let (class, mut props) = choose(worker, connector, key)
        .unwrap_or_else(|| (DEFAULT_HEADER_CONVERTER.to_owned(), without_prefix(worker, "header.converter.")));
    let plugin = find(registry, PluginType::HeaderConverter, key, &class, "HeaderConverter")?;
    props.insert("converter.type".to_owned(), Some("header".to_owned()));
    match plugin.kind {
        PluginKind::Converter(_, Some(make)) | PluginKind::HeaderConverter(make) => make(&props),
        _ => Err(not_a(key, plugin.class, "HeaderConverter")),
    }
}

fn stages(registry: &PluginRegistry, connector: &Props) -> Result<Vec<Stage>> {
    let mut predicates: HashMap<String, Arc<dyn Predicate>> = HashMap::new();
    for alias in aliases(connector, "predicates")? {
        predicates.insert(alias.clone(), predicate(registry, connector, &alias)?);
    }
    let stage = |alias: String| -> Result<Stage> {
        let prefix = format!("transforms.{alias}.");
        let mut props = without_prefix(connector, &prefix);
        let type_key = format!("{prefix}type");
        let class = required(&props, "type", &type_key)?;
        let plugin = find(registry, PluginType::Transformation, &type_key, &class, "Transformation")?;
        let PluginKind::Transformation(make) = plugin.kind else {
            return Err(not_a(&type_key, plugin.class, "Transformation"));
        };
        let condition = props.shift_remove("predicate").flatten();
        let negate = props.shift_remove("negate").flatten();
        for own in ["type", "plugin.version"] {
            props.shift_remove(own);
        }
        let negate_key = format!("{prefix}negate");
        let negate = matches!(
            parse_type(&negate_key, negate.as_deref(), Type::Boolean)?,
            connect_config::ConfigValue::Boolean(true)
        );
        let predicate = match condition.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => Some(Arc::clone(predicates.get(name).ok_or_else(|| {
                Error::config(format!("Predicate {name} of transformation {alias} is not in the list `predicates`"))
            })?)),
        };
        Ok(Stage { class: plugin.class, transform: make(&props)?, predicate, negate, alias })
    };
    aliases(connector, "transforms")?.into_iter().map(stage).collect()
}

fn predicate(registry: &PluginRegistry, connector: &Props, alias: &str) -> Result<Arc<dyn Predicate>> {
    let prefix = format!("predicates.{alias}.");
    let mut props = without_prefix(connector, &prefix);
    let type_key = format!("{prefix}type");
    let class = required(&props, "type", &type_key)?;
    let plugin = find(registry, PluginType::Predicate, &type_key, &class, "Predicate")?;
    let PluginKind::Predicate(make) = plugin.kind else {
        return Err(not_a(&type_key, plugin.class, "Predicate"));
    };
    for own in ["type", "plugin.version"] {
        props.shift_remove(own);
    }
    Ok(Arc::from(make(&props)?))
}

/// The names in `transforms` or `predicates`, each once, in order.
pub(crate) fn aliases(props: &Props, key: &str) -> Result<Vec<String>> {
    let text = props.get(key).and_then(Option::as_deref);
    let connect_config::ConfigValue::List(mut names) = parse_type(key, text, Type::List)? else {
        return Ok(Vec::new());
    };
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn required(props: &Props, key: &str, full_key: &str) -> Result<String> {
    let value = props.get(key).and_then(Option::as_deref).map(str::trim);
    Ok(value.map(str::to_owned).ok_or_else(|| ConfigError::missing(full_key))?)
}

fn find<'a>(
    registry: &'a PluginRegistry,
    kind: PluginType,
    key: &str,
    class: &str,
    interface: &str,
) -> Result<&'a Plugin> {
    match (registry.find(kind, class), registry.lookup(class)) {
        (Some(plugin), _) => Ok(plugin),
        (None, Lookup::Unknown) => {
            Err(ConfigError::invalid(key, class, format_args!("Class {class} could not be found.")).into())
        }
        (None, _) => Err(not_a(key, class, interface)),
    }
}

fn not_a(key: &str, class: &str, interface: &str) -> Error {
    Error::config(format!("{key}: class {class} does not implement the {interface} interface"))
}
