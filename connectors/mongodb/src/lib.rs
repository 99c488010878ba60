//! The MongoDB sink: `com.mongodb.kafka.connect.MongoSinkConnector` 2.0.1, on the worker's contracts.
//!
//! A record's way: [`topic`] says what the configuration means for its topic, [`record`] turns it into a statement
//! (by a change-data handler of [`cdc`], or by id strategy, post processors and write model), [`batch`] groups
//! statements, [`client`] sends them, and [`task`] decides what becomes of failures.

pub mod batch;
pub mod cdc;
pub mod checks;
pub mod classes;
pub mod client;
pub mod connector;
#[cfg(test)]
mod connector_tests;
pub mod destinations;
pub mod doc;
pub mod failure;
pub mod ids;
pub mod kinds;
pub mod live;
pub mod metrics;
pub mod model;
pub mod namespace;
pub mod process;
pub mod project;
pub mod record;
#[cfg(test)]
mod record_tests;
pub mod rename;
pub mod settings;
pub mod statement;
pub mod task;
#[cfg(test)]
mod task_tests;
pub mod timefield;
pub mod timeseries;
pub mod topic;

use std::sync::Arc;

use connect_api::{Plugin, PluginKind};

pub use connector::MongoSinkConnector;
pub use settings::{ExtraConfig, SinkConfig};

/// What this crate offers to the worker.
pub fn plugins() -> Vec<Plugin> {
    vec![Plugin {
        class: "com.mongodb.kafka.connect.MongoSinkConnector",
        version: "2.0.1",
        kind: PluginKind::Sink(Arc::new(MongoSinkConnector)),
        config_def: SinkConfig::def,
    }]
}
