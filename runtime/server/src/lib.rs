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

pub use args::{Args, Mode};
pub use run::{RunError, run};

/// Every plugin that is built in.
pub fn plugins() -> Vec<connect_api::Plugin> {
    let mut plugins = connect_postgres::plugins();
    plugins.extend(connect_mongodb::plugins());
    plugins.extend(connect_file::plugins());
    plugins.extend(connect_formats::plugins());
    plugins.extend(connect_transforms::plugins());
    plugins
}
