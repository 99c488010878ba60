//! Transforms and predicates: those of Apache Kafka Connect, and those of Debezium that pipelines use most.

mod cast;
mod debezium;
mod extract_field;
mod fields;
mod filter;
mod flatten;
mod header;
mod hoist_field;
mod insert_field;
mod java_regex;
mod mask_field;
mod predicates;
mod regex_router;
mod replace_field;
mod schemas;
mod set_schema_metadata;
mod side;
mod simple_date;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use connect_api::{Error, Plugin, PluginKind};
use connect_config::ConfigError;

/// The version of Apache Kafka whose transforms these are.
const KAFKA_VERSION: &str = "4.1.1";

/// What this crate offers to the worker.
pub fn plugins() -> Vec<Plugin> {
    let mut plugins = vec![
        filter::plugin(),
        regex_router::plugin(),
        timestamp_router::plugin(),
        value_to_key::plugin(),
        header::drop_plugin(),
        header::insert_plugin(),
    ];
    plugins.extend(cast::plugins());
    plugins.extend(debezium::plugins());
    plugins.extend(extract_field::plugins());
    plugins.extend(flatten::plugins());
    plugins.extend(header::from_plugins());
    plugins.extend(hoist_field::plugins());
    plugins.extend(insert_field::plugins());
    plugins.extend(mask_field::plugins());
    plugins.extend(predicates::plugins());
    plugins.extend(replace_field::plugins());
    plugins.extend(set_schema_metadata::plugins());
    plugins.extend(timestamp_converter::plugins());
    plugins
}

/// A plugin for keys and one for values: `Name$Key` and `Name$Value`.
macro_rules! both_sides {
    ($name:literal, $Config:ident, $Transform:ident) => {
        [
            $crate::plugin(concat!("org.apache.kafka.connect.transforms.", $name, "$Key"), $Config::def, |props| {
                Ok(Box::new($Transform::new(props, $crate::side::Side::Key)?))
            }),
            $crate::plugin(concat!("org.apache.kafka.connect.transforms.", $name, "$Value"), $Config::def, |props| {
                Ok(Box::new($Transform::new(props, $crate::side::Side::Value)?))
            }),
        ]
    };
}
pub(crate) use both_sides;

/// A transform of Apache Kafka.
fn plugin(
    class: &'static str,
    config_def: fn() -> &'static connect_api::ConfigDef,
    make: connect_api::plugin::MakeTransform,
) -> Plugin {
    Plugin { class, version: KAFKA_VERSION, kind: PluginKind::Transformation(make), config_def }
}

/// Of all problems the first, as the JVM reports it.
fn first_problem(problems: Vec<ConfigError>) -> Error {
    problems.into_iter().next().map_or_else(|| Error::config("invalid configuration"), Error::from)
}
