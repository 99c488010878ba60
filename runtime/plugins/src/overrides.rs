//! Which client settings a connector may override (`ConnectorClientConfigOverridePolicy`).

use std::collections::BTreeSet;
use std::sync::Arc;

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
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ClientOverridePolicy {
    #[default]
    All,
    None,
    /// Security protocol, SASL mechanism and JAAS configuration only.
    Principal,
    /// The settings listed in `connector.client.config.override.allowlist` only (KIP-1188).
    Allowlist(Arc<BTreeSet<String>>),
}

impl ClientOverridePolicy {
    /// The policy of an alias or class name; `allowed` is the list that only the policy `Allowlist` reads.
    pub fn from_name(name: &str, allowed: &[String]) -> Result<Self, ConfigError> {
        let name = name.trim();
        let simple = name.strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or(name);
        match simple.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(simple) {
            "All" => Ok(Self::All),
            "None" => Ok(Self::None),
            "Principal" => Ok(Self::Principal),
            "Allowlist" => Ok(Self::Allowlist(Arc::new(allowed.iter().cloned().collect()))),
            _ => Err(ConfigError::new(format!(
                "Failed to find any class that implements interface \
                 org.apache.kafka.connect.connector.policy.ConnectorClientConfigOverridePolicy and which name matches \
                 {name}, available policies are: All, None, Principal, Allowlist"
            ))),
        }
    }

    /// The name in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }

    /// Whether a connector may set this client key (without its prefix).
    pub fn allows(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => matches!(key, "security.protocol" | "sasl.jaas.config" | "sasl.mechanism"),
            Self::Allowlist(allowed) => allowed.contains(key),
        }
    }

    /// What the REST API tells about a key that may not be set.
    pub fn refusal(&self, key: &str) -> String {
        format!("The '{}' policy does not allow '{key}' to be overridden in the connector configuration.", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> ClientOverridePolicy {
        ClientOverridePolicy::from_name(name, &["linger.ms".to_owned()]).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn policies_go_by_alias_and_by_class_name() {
        for name in ["All", "None", "Principal", "Allowlist"] {
            let class = format!("org.apache.kafka.connect.connector.policy.{name}ConnectorClientConfigOverridePolicy");
            assert_eq!(policy(&class), policy(name));
            assert_eq!(policy(name).name(), name);
        }
        let unknown = ClientOverridePolicy::from_name("com.acme.Mine", &[]).unwrap_err();
        assert!(unknown.to_string().contains("which name matches com.acme.Mine"), "{unknown}");
    }

    #[test]
    fn each_policy_allows_its_own_keys() {
        let allowed = |name: &str| {
            ["linger.ms", "sasl.mechanism", "group.id"].map(|key| u8::from(policy(name).allows(key))).to_vec()
        };
        assert_eq!(allowed("All"), [1, 1, 1]);
        assert_eq!(allowed("None"), [0, 0, 0]);
        assert_eq!(allowed("Principal"), [0, 1, 0]);
        assert_eq!(allowed("Allowlist"), [1, 0, 0]);
        assert_eq!(
            policy("Allowlist").refusal("group.id"),
            "The 'Allowlist' policy does not allow 'group.id' to be overridden in the connector configuration."
        );
    }
}
