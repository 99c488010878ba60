//! The language of configuration.
//!
//! A configuration key is declared once, with [`config!`]: the typed struct that the code reads, the
//! [`ConfigDef`] that the REST API lists and validates against, and the reference page all come from that one
//! place. Wording, ordering and parsing follow `org.apache.kafka.common.config.ConfigDef`, because operators'
//! tools match on them.

pub mod declare;
pub mod def;
pub mod embed;
pub mod java;
pub mod java_map;
mod java_pattern;
pub mod parse;
pub mod properties;
pub mod provider;
pub mod reference;
pub mod secret;
pub mod validate;
pub mod validators;
pub mod worker;

pub use declare::ClassName;
pub use declare::FromConfigValue;
pub use def::{ConfigDef, ConfigKey, Importance, IntoDefault, NULL, Null, Recommendation, Type, Width};
pub use embed::without_prefix;
pub use parse::{ANY_CLASS, ConfigError, ConfigValue, KnownClass, Props, parse_type, parse_type_with};
pub use secret::Secret;
pub use validate::{ConfigEntry, Validated};
pub use validators::Validator;
pub use worker::{DistributedConfig, StandaloneConfig};
