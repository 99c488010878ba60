//! The MongoDB sink: `com.mongodb.kafka.connect.MongoSinkConnector` 2.0.1, on the worker's contracts.
//!
//! A record's way: [`topic`] says what the configuration means for its topic, [`record`] turns it into a statement
//! (by a change-data handler of [`cdc`], or by id strategy, post processors and write model), [`batch`] groups
//! statements, [`client`] sends them, [`outcome`] decides what becomes of failures, and [`task`] leads through it all; what is
//! given back is in [`memory`], for as long as [`retry`] allows.
//!
//! What the JVM's connector lacks stands between statements and connections: [`spread`] sends a batch over several
//! connections ([`lanes`]) and without what later statements make of no account ([`collapse`]), both by what statements are
//! about ([`identity`]); [`exactly_once`] writes with the positions that MongoDB keeps ([`positions`], [`position_store`]).

pub mod batch;
pub mod canonical;
pub mod cdc;
pub mod checks;
pub mod classes;
pub mod client;
pub mod collapse;
pub mod connector;
#[cfg(test)]
mod connector_tests;
pub mod destinations;
pub mod doc;
#[cfg(test)]
mod equivalence_tests;
pub mod exactly_once;
#[cfg(test)]
mod extras_tests;
pub mod failure;
pub mod identity;
pub mod ids;
pub mod keep;
pub mod kinds;
pub mod lanes;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod namespace;
pub mod outcome;
pub mod position_store;
pub mod positions;
pub mod process;
pub mod project;
pub mod record;
#[cfg(test)]
mod record_tests;
pub mod rename;
pub mod retry;
pub mod settings;
pub mod spread;
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
