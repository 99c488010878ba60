//! The plugins of a worker, by class name and alias (`org.apache.kafka.connect.runtime.isolation.Plugins`).

use std::collections::{BTreeMap, BTreeSet};

use connect_api::{Error, ErrorKind, Plugin, PluginKind, PluginType};

/// Classes that exist in every JVM worker and are no plugins: naming one where a plugin is wanted gets another error
/// than naming nothing.
const OTHER_KNOWN_CLASSES: [&str; 3] =
    ["java.lang.String", "java.lang.Object", "org.apache.kafka.common.metrics.JmxReporter"];

/// Plugins of the worker itself, which have no keys in a connector's configuration.
const WORKER_PLUGINS: [&str; 8] = [
    "org.apache.kafka.common.config.provider.FileConfigProvider",
    "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.AllowlistConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
];

/// What plugins implement.
const INTERFACES: [(&str, PluginType); 4] = [
    ("org.apache.kafka.connect.transforms.Transformation", PluginType::Transformation),
    ("org.apache.kafka.connect.transforms.predicates.Predicate", PluginType::Predicate),
    ("org.apache.kafka.connect.storage.Converter", PluginType::Converter),
    ("org.apache.kafka.connect.storage.HeaderConverter", PluginType::HeaderConverter),
];

/// A plugin as `/connector-plugins` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginListing {
    pub class: &'static str,
    pub kind: PluginType,
    pub version: &'static str,
}

/// What a class name or alias leads to.
pub enum Lookup<'a> {
    /// Plugins of this class: one, or one each as converter and header converter.
    Found(&'a Plugin),
    /// A class that exists, but is no plugin.
    OtherClass,
    /// A plugin of the worker itself, by its full name.
    WorkerPlugin(&'static str),
    /// An interface, or the class around `$Key` and `$Value`: it exists and can't be made.
    Abstract(AbstractClass),
    Unknown,
}

/// A class that can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbstractClass {
    /// What it is a kind of.
    pub kind: PluginType,
    pub interface: bool,
    /// The plugins in it, which may be meant.
    pub children: Vec<&'static str>,
}

/// All plugins of a worker.
#[derive(Clone)]
pub struct PluginRegistry {
    plugins: Vec<Plugin>,
    /// Simple names and pruned names that lead to exactly one class.
    aliases: BTreeMap<String, &'static str>,
    /// Classes that are not listed.
    unlisted: BTreeSet<&'static str>,
}

/// What a plugin is first of all: a converter that converts headers too is a converter.
fn main_type(plugin: &Plugin) -> PluginType {
    match plugin.kind {
        PluginKind::Source(_) => PluginType::Source,
        PluginKind::Sink(_) => PluginType::Sink,
        PluginKind::Converter(..) => PluginType::Converter,
        PluginKind::HeaderConverter(_) => PluginType::HeaderConverter,
        PluginKind::Transformation(_) => PluginType::Transformation,
        PluginKind::Predicate(_) => PluginType::Predicate,
    }
}

/// Everything that a plugin is.
pub(crate) fn types(plugin: &Plugin) -> Vec<PluginType> {
    match plugin.kind {
        PluginKind::Converter(_, Some(_)) => vec![PluginType::Converter, PluginType::HeaderConverter],
        _ => vec![main_type(plugin)],
    }
}

/// Java's `Class.getSimpleName`: behind the last dot, and of a nested class its own name.
pub(crate) fn simple_name(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

/// The simple name without the word that says what the plugin is: `PostgresConnector` is `Postgres`.
fn pruned_name(class: &str, kind: PluginType) -> &str {
    let suffix = match kind {
        PluginType::Source | PluginType::Sink => "Connector",
        PluginType::Converter => "Converter",
        PluginType::HeaderConverter => "HeaderConverter",
        PluginType::Transformation => "Transformation",
        PluginType::Predicate => "Predicate",
    };
    let simple = simple_name(class);
    match simple.rfind(suffix) {
        Some(at) if at > 0 => &simple[..at],
        _ => simple,
    }
}

impl PluginRegistry {
    /// A registry of these plugins. The order given does not matter; a class given twice is kept once.
    pub fn new(mut plugins: Vec<Plugin>) -> Self {
        plugins.sort_by_key(|plugin| plugin.class);
        plugins.dedup_by_key(|plugin| plugin.class);
        let mut names: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
        for plugin in &plugins {
            names.entry(simple_name(plugin.class)).or_default().insert(plugin.class);
            for kind in types(plugin) {
                names.entry(pruned_name(plugin.class, kind)).or_default().insert(plugin.class);
            }
        }
        let aliases = names
            .into_iter()
            .filter(|(_, classes)| classes.len() == 1)
            .filter_map(|(name, classes)| Some((name.to_owned(), *classes.first()?)))
            .collect();
        Self { plugins, aliases, unlisted: BTreeSet::new() }
    }

    /// Lists, and recommends, only the classes for which `lists` is true. The others can be used as well: on a JVM worker they are
    /// there only when somebody has put them on its plugin path.
    #[must_use]
    pub fn listing(self, lists: impl Fn(&str) -> bool) -> Self {
        let unlisted = self.plugins.iter().map(|plugin| plugin.class).filter(|class| !lists(class)).collect();
        Self { unlisted, ..self }
    }

    /// The plugins in the order of `/connector-plugins`: by what they are, then by class.
    pub fn list(&self, connectors_only: bool) -> Vec<PluginListing> {
        let order = [
            PluginType::Sink,
            PluginType::Source,
            PluginType::Transformation,
            PluginType::Predicate,
            PluginType::Converter,
            PluginType::HeaderConverter,
        ];
        let shown = if connectors_only { &order[..2] } else { &order[..] };
        let listing = |kind| {
            self.of_type(kind).map(move |plugin| PluginListing { class: plugin.class, kind, version: plugin.version })
        };
        shown.iter().flat_map(|kind| listing(*kind)).collect()
    }

    /// The plugins of a type that are listed, in order of their class names.
    pub fn of_type(&self, kind: PluginType) -> impl Iterator<Item = &Plugin> {
        let listed = |plugin: &&Plugin| !self.unlisted.contains(plugin.class);
        self.plugins.iter().filter(listed).filter(move |plugin| types(plugin).contains(&kind))
    }

    /// Finds a class by its full name, its simple name or its pruned name, as the JVM's plugin class loader does.
    pub fn lookup(&self, name: &str) -> Lookup<'_> {
        let class = self.aliases.get(name).copied().unwrap_or(name);
        match self.plugins.binary_search_by_key(&class, |plugin| plugin.class) {
            Ok(at) => Lookup::Found(&self.plugins[at]),
            Err(_) if OTHER_KNOWN_CLASSES.contains(&name) => Lookup::OtherClass,
            Err(_) => {
                let worker_plugin = WORKER_PLUGINS.iter().find(|class| **class == name || simple_name(class) == name);
                let own = worker_plugin.map(|class| Lookup::WorkerPlugin(class));
                own.or_else(|| self.abstract_class(name).map(Lookup::Abstract)).unwrap_or(Lookup::Unknown)
            }
        }
    }

    fn abstract_class(&self, name: &str) -> Option<AbstractClass> {
        if let Some((_, kind)) = INTERFACES.iter().find(|(class, _)| *class == name) {
            return Some(AbstractClass { kind: *kind, interface: true, children: Vec::new() });
        }
        let inside = |plugin: &&Plugin| plugin.class.strip_prefix(name).is_some_and(|rest| rest.starts_with('$'));
        let children: Vec<&Plugin> = self.plugins.iter().filter(inside).collect();
        let kind = main_type(children.first()?);
        Some(AbstractClass { kind, interface: false, children: children.iter().map(|plugin| plugin.class).collect() })
    }

    /// True when the name leads to a class, plugin or not.
    pub fn is_known_class(&self, name: &str) -> bool {
        !matches!(self.lookup(name), Lookup::Unknown)
    }

    /// The plugin of a type, by class name or alias.
    pub fn find(&self, kind: PluginType, name: &str) -> Option<&Plugin> {
        match self.lookup(name) {
            Lookup::Found(plugin) if types(plugin).contains(&kind) => Some(plugin),
            _ => None,
        }
    }

    /// The connector of a class name or alias; the error has the JVM's wording (`Plugins.connectorClass`).
    pub fn connector(&self, name: &str) -> Result<&Plugin, Error> {
        let is_connector = |plugin: &Plugin| matches!(main_type(plugin), PluginType::Source | PluginType::Sink);
        match self.lookup(name) {
            Lookup::Found(plugin) if is_connector(plugin) => return Ok(plugin),
            _ => {}
        }
        let connectors = || self.plugins.iter().filter(|plugin| is_connector(plugin));
        let matches: Vec<&Plugin> = connectors()
            .filter(|plugin| {
                let simple = simple_name(plugin.class);
                simple == name || simple.strip_suffix("Connector") == Some(name)
            })
            .collect();
        let names = |plugins: &mut dyn Iterator<Item = &Plugin>| plugins.map(describe).collect::<Vec<_>>().join(", ");
        match matches.as_slice() {
            [plugin] => Ok(*plugin),
            [] => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "Failed to find any class that implements Connector and which name matches {name}, available \
                     connectors are: {}",
                    names(&mut connectors())
                ),
            )
            .class("org.apache.kafka.connect.errors.ConnectException")),
            several => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "More than one connector matches alias {name}. Please use full package and class name instead. \
                     Classes found: {}",
                    names(&mut several.iter().copied())
                ),
            )
            .class("org.apache.kafka.connect.errors.ConnectException")),
        }
    }

    /// Any plugin, by class name or alias, for `GET /connector-plugins/{plugin}/config`.
    pub fn any(&self, name: &str) -> Option<&Plugin> {
        match self.lookup(name) {
            Lookup::Found(plugin) => Some(plugin),
            _ => None,
        }
    }

    /// `source`, `sink` or `unknown`: what the REST API shows of a connector with this class.
    pub fn connector_type(&self, class: Option<&str>) -> &'static str {
        match class.map(|class| self.connector(class)) {
            Some(Ok(plugin)) => main_type(plugin).name(),
            _ => "unknown",
        }
    }
}

/// One plugin in a list of what there is.
fn describe(plugin: &Plugin) -> String {
    format!("{} ({} {})", plugin.class, main_type(plugin).name(), plugin.version)
}
