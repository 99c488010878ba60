//! Converters and header converters: JSON, text, bytes, numbers, and Connect's simple header format.

mod bytes;
mod debezium;
mod json;
mod numbers;
mod settings;
mod simple_header;
mod string;

pub use json::JsonConverter;

use connect_api::Plugin;

/// The version of Apache Kafka whose converters these are.
const KAFKA_VERSION: &str = "4.1.1";

/// What this crate offers to the worker.
pub fn plugins() -> Vec<Plugin> {
    let mut plugins = vec![json::plugin(), string::plugin(), simple_header::plugin()];
    plugins.extend(bytes::plugins());
    plugins.extend(debezium::plugins());
    plugins.extend(numbers::plugins());
    plugins
}
