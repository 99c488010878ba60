//! The plugins a worker has, and the configuration of a connector built from them.
//!
//! The registry is made once at start and never changes. Everything here is the JVM worker's `Plugins`,
//! `ConnectorConfig` and the validating half of `AbstractHerder`; nothing here talks to Kafka or to other systems,
//! except that a connector's own `validate` may.

pub mod chain;
mod clients;
pub mod connector;
mod enrich;
pub mod overrides;
pub mod registry;
pub mod settings;
pub mod validate;
mod versions;

pub use chain::{Pipeline, Stage, build_chain};
pub use connector::{ConnectorConfig, SinkConnectorConfig, SourceConnectorConfig};
pub use enrich::plugin_config;
pub use overrides::{ClientOverridePolicy, ClientType};
pub use registry::{Lookup, PluginListing, PluginRegistry};
pub use settings::{ConnectorSettings, ErrorTolerance, Role, TopicCreationGroup, TopicSelection};
pub use validate::{ExactlyOnceSource, ValidationContext, WorkerMode, validate_connector};
