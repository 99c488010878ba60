//! The converters of Debezium 3.3.1, under their Java class names.

mod binary_data;
mod cloud_events;

use connect_api::Plugin;

/// The version of Debezium whose converters these are.
const DEBEZIUM_VERSION: &str = "3.3.1.Final";

/// Debezium's converters.
pub(crate) fn plugins() -> Vec<Plugin> {
    let mut plugins = vec![cloud_events::plugin()];
    plugins.extend(binary_data::plugins());
    plugins
}
