//! The `tidegate` binary: reads the worker's properties, makes the plugin registry, wires herder, units and REST API, and
//! waits for a signal.
//!
//! Exit codes: 0 after a graceful stop, 1 when the worker could not start, 2 for a wrong command line. Kafka is tried for
//! `default.api.timeout.ms` (one minute unless set) before the worker gives up; once started, it never gives up.

pub mod args;
pub mod connectors;
mod java_options;
pub mod logging;
pub mod observe;
pub mod rest;
pub mod run;

use connect_config::Props;
use connect_plugins::PluginRegistry;

pub use args::{Args, Mode};
pub use run::{RunError, run};

/// The registry of a worker with these properties. The converters of a schema registry are no part of Apache Kafka: a JVM worker
/// lists them when they are installed, this one when its properties speak of them (a converter of the worker's, `plugin.path`).
pub fn registry(worker: &Props) -> PluginRegistry {
    let speaks = |key: &str| key == "plugin.path" || key.ends_with(".converter");
    let of_vendor =
        |value: &Option<String>| value.as_ref().is_some_and(|value| value.contains(connect_registry::VENDOR));
    let installed = worker.iter().any(|(key, value)| speaks(key) && of_vendor(value));
    PluginRegistry::new(plugins()).listing(|class| installed || !class.contains(connect_registry::VENDOR))
}

/// Every plugin that is built in.
pub fn plugins() -> Vec<connect_api::Plugin> {
    let mut plugins = connect_postgres::plugins();
    plugins.extend(connect_mongodb::plugins());
    plugins.extend(connect_file::plugins());
    plugins.extend(connect_formats::plugins());
    plugins.extend(connect_registry::plugins());
    plugins.extend(connect_transforms::plugins());
    plugins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converters_of_a_schema_registry_are_listed_where_the_worker_speaks_of_them() {
        let listed = |pairs: &[(&str, &str)]| {
            let props = pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
            let registry = registry(&props);
            assert!(registry.any("io.confluent.connect.avro.AvroConverter").is_some(), "it can always be used");
            registry.list(false).iter().filter(|plugin| plugin.class.starts_with("io.confluent.")).count()
        };
        assert_eq!(listed(&[("key.converter", "org.apache.kafka.connect.json.JsonConverter")]), 0);
        assert_eq!(listed(&[("bootstrap.servers", "broker.confluent.example:9092")]), 0);
        assert_eq!(listed(&[("plugin.path", "/usr/share/java,/usr/share/confluent-hub-components")]), 3);
        assert_eq!(listed(&[("value.converter", "io.confluent.connect.avro.AvroConverter")]), 3);
    }
}
