//! Which client settings a connector may override (`ConnectorClientConfigOverridePolicy`).

use connect_config::{ConfigError, ConfigKey, Props, without_prefix};

use crate::clients;

/// The clients that the worker makes for a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientType {
    Producer,
    Consumer,
    Admin,
}

impl ClientType {
    /// The prefix of its overrides in a connector's configuration.
    pub const fn override_prefix(self) -> &'static str {
        match self {
            Self::Producer => "producer.override.",
            Self::Consumer => "consumer.override.",
            Self::Admin => "admin.override.",
        }
    }

    /// The prefix of its settings in the worker's configuration.
    pub const fn worker_prefix(self) -> &'static str {
        match self {
            Self::Producer => "producer.",
            Self::Consumer => "consumer.",
            Self::Admin => "admin.",
        }
    }

    /// The definition of one of the client's settings; `None` when Kafka has none of this name.
    pub fn key(self, name: &str) -> Option<ConfigKey> {
        clients::key(self, name)
    }

    /// What a connector overrides for this client, prefix removed.
    pub fn overrides(self, connector_props: &Props) -> Props {
        without_prefix(connector_props, self.override_prefix())
    }
}

/// The worker's rule (`connector.client.config.override.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientOverridePolicy {
    #[default]
    All,
    None,
    /// Security protocol, SASL mechanism and JAAS configuration only.
    Principal,
}

impl ClientOverridePolicy {
    /// The policy of an alias or class name.
    pub fn from_name(name: &str) -> Result<Self, ConfigError> {
        let simple = name.strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or(name);
        match simple.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(simple) {
            "All" => Ok(Self::All),
            "None" => Ok(Self::None),
            "Principal" => Ok(Self::Principal),
            _ => Err(ConfigError::new(format!(
                "Failed to find any class that implements interface \
                 org.apache.kafka.connect.connector.policy.ConnectorClientConfigOverridePolicy and which name matches \
                 {name}, available policies are: All, None, Principal"
            ))),
        }
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
        }
    }

    /// Whether a connector may set this client key (without its prefix).
    pub fn allows(self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => matches!(key, "security.protocol" | "sasl.jaas.config" | "sasl.mechanism"),
        }
    }

    /// What the REST API tells about a key that may not be set.
    pub fn refusal(self, key: &str) -> String {
        format!("The '{}' policy does not allow '{key}' to be overridden in the connector configuration.", self.name())
    }
}
