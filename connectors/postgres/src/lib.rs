//! The Postgres source: `io.debezium.connector.postgresql.PostgresConnector`, record for record.
//!
//! How a change travels: [`wire`] frames the replication protocol without copying, [`pgoutput`] decodes a frame into
//! ranges of it, [`table`] turns a tuple into a struct by the plan that was made when the relation was first seen
//! ([`catalog`], [`types`]), [`event`] wraps it into Debezium's envelope, [`stream`] and [`snapshot`] put records into
//! batches with the offsets of [`offset`], and [`task`] hands the batches to the worker. What is not committed yet waits in
//! [`spill`], where that is asked for. [`reselect`] reads what the stream leaves out. [`signals`] are what users ask of it meanwhile.
//!
//! Invariants: a position is confirmed to the server only when the worker said that its offset is stored; a transaction
//! is replayed from its begin and what is stored already is filtered out; every queue is bounded.

pub mod beside;
pub mod calendar;
pub mod catalog;
pub mod columns;
pub mod config;
pub mod connector;
pub mod copy;
pub mod decode;
pub mod defaults;
pub mod error;
pub mod event;
pub mod filters;
pub mod geometry;
pub mod guardrail;
pub mod heartbeat;
pub mod hosts;
pub mod identity;
pub mod left_out;
pub mod lineage;
pub mod lost;
pub mod messages;
pub mod metrics;
pub mod notifications;
pub mod numbers;
pub mod offset;
pub mod outlet;
pub mod pgoutput;
pub mod progress;
pub mod publication;
pub mod reselect;
pub mod session;
pub mod settings;
pub mod signals;
pub mod slot;
pub mod snapshot;
pub mod spill;
pub mod standby;
pub mod stream;
pub mod table;
pub mod task;
pub mod times;
mod timescaledb;
pub mod tls;
pub mod transactions;
pub mod types;
pub mod upkeep;
pub mod validate;
pub mod visible;
pub mod wire;

use std::sync::Arc;

use connect_api::{Plugin, PluginKind};

/// The version of Debezium that this connector stands in for, as `/connector-plugins` and the source block show it.
pub const VERSION: &str = "3.3.1.Final";

/// The plugins of this crate.
pub fn plugins() -> Vec<Plugin> {
    let connector = Plugin {
        class: "io.debezium.connector.postgresql.PostgresConnector",
        version: VERSION,
        kind: PluginKind::Source(Arc::new(connector::PostgresConnector)),
        config_def: config::PostgresConfig::def,
    };
    vec![connector, timescaledb::plugin()]
}
