//! FileStream source and sink: lines of a file, or of standard input and output.
//!
//! Meant for trying things out, as in Apache Kafka, whose connectors these follow.

mod lines;
mod sink;
mod source;

use std::sync::Arc;

use connect_api::{Error, Plugin, PluginKind};
use connect_config::ConfigError;

pub use sink::FileStreamSinkConnector;
pub use source::FileStreamSourceConnector;

/// The version of Apache Kafka whose connectors these are.
const KAFKA_VERSION: &str = "4.1.1";

/// What this crate offers to the worker.
pub fn plugins() -> Vec<Plugin> {
    vec![
        Plugin {
            class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
            version: KAFKA_VERSION,
            kind: PluginKind::Source(Arc::new(FileStreamSourceConnector)),
            config_def: source::FileStreamSourceConfig::def,
        },
        Plugin {
            class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
            version: KAFKA_VERSION,
            kind: PluginKind::Sink(Arc::new(FileStreamSinkConnector)),
            config_def: sink::FileStreamSinkConfig::def,
        },
    ]
}

/// Of all problems the first, as the JVM reports it.
fn first_problem(problems: Vec<ConfigError>) -> Error {
    problems.into_iter().next().map_or_else(|| Error::config("invalid configuration"), Error::from)
}

/// A file name that names something: an empty one stands for standard input or output, as none does.
fn named(file: Option<String>) -> Option<String> {
    file.filter(|file| !file.is_empty())
}
