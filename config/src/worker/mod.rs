//! The configuration of a worker (`WorkerConfig`, `DistributedConfig`, `StandaloneConfig`).
//!
//! Each key is declared once, in the file of its topic; the two kinds of workers are put together from these. The
//! order of keys is the JVM's, because the first problem found is the one that is reported. Settings with the prefixes
//! `producer.`, `consumer.` and `admin.` are passed to Kafka's clients as they are given.

pub mod base;
mod checks;
pub mod group;
pub mod headers;
pub mod jobs;
pub mod listeners;
pub mod observability;
pub mod rest;
pub mod sasl;
pub mod storage;
pub mod tls;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use base::{TopicTrackingConfig, WorkerConfig};
pub use group::{ClientConfig, GroupConfig, ProtocolConfig};
pub use headers::{HeaderAction, HeaderRule};
pub use jobs::JobsConfig;
pub use listeners::{ADMIN_LISTENERS_HTTPS, LISTENERS_HTTPS, Listener, Scheme, all_or_nothing};
pub use observability::ObservabilityConfig;
pub use rest::RestConfig;
pub use sasl::SaslConfig;
pub use storage::{FileConfig, StorageConfig};
pub use tls::TlsConfig;

use crate::def::ConfigDef;
use crate::embed::without_prefix;
use crate::parse::{ANY_CLASS, ConfigError, KnownClass, Props};

/// The configuration of a distributed worker.
#[derive(Clone, Debug)]
pub struct DistributedConfig {
    pub worker: WorkerConfig,
    pub tls: TlsConfig,
    pub topic_tracking: TopicTrackingConfig,
    pub rest: RestConfig,
    pub group: GroupConfig,
    pub client: ClientConfig,
    pub sasl: SaslConfig,
    pub storage: StorageConfig,
    pub protocol: ProtocolConfig,
    /// Everything as it was given, variables resolved.
    pub originals: Props,
}

/// The configuration of a standalone worker.
#[derive(Clone, Debug)]
pub struct StandaloneConfig {
    pub worker: WorkerConfig,
    pub tls: TlsConfig,
    pub topic_tracking: TopicTrackingConfig,
    pub rest: RestConfig,
    pub storage: FileConfig,
    /// Everything as it was given, variables resolved.
    pub originals: Props,
}

/// The three topics that hold a worker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InternalTopic {
    Config,
    Offset,
    Status,
}

/// How far a worker supports sources that deliver exactly once (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    Disabled,
    /// The leader writes to the config topic in transactions already.
    Preparing,
    Enabled,
}

/// Keys of ours that stand among the JVM worker's in their parts, because they belong to the same matter.
pub const OWN_KEYS: [&str; 3] =
    ["connector.client.config.override.allowlist", "rest.max.request.bytes", "rest.max.connections"];

/// The JVM worker's keys of some parts.
fn joined(parts: &[&ConfigDef]) -> ConfigDef {
    let mut def = ConfigDef::new();
    for key in parts.iter().flat_map(|part| part.keys()).filter(|key| !OWN_KEYS.contains(&key.name.as_str())) {
        def.define(key.clone());
    }
    def
}

/// Parses one part, adding its problems to those of the parts before it.
fn part<T>(parsed: Result<T, Vec<ConfigError>>, problems: &mut Vec<ConfigError>) -> Option<T> {
    parsed.map_err(|found| problems.extend(found)).ok()
}

/// Problems with classes that nobody knows: what the worker's registry decides.
fn unknown_classes(def: &ConfigDef, props: &Props, known: KnownClass<'_>) -> Vec<ConfigError> {
    def.keys().filter_map(|key| def.parse_key_with(&key.name, props, known).err()).collect()
}

impl DistributedConfig {
    /// The definition of the JVM worker's keys, in its order: all but [`OWN_KEYS`].
    pub fn def() -> &'static ConfigDef {
        static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
            joined(&[
                WorkerConfig::def(),
                TlsConfig::def(),
                TopicTrackingConfig::def(),
                RestConfig::def(),
                GroupConfig::def(),
                ClientConfig::def(),
                SaslConfig::def(),
                StorageConfig::def(),
                ProtocolConfig::def(),
            ])
        });
        &DEF
    }

    /// Parses everything; variables must be resolved already.
    ///
    /// # Errors
    /// All problems, the one that the JVM reports first.
    pub fn parse(props: &Props) -> Result<Self, Vec<ConfigError>> {
        Self::parse_with(props, ANY_CLASS)
    }

    /// The same, where classes that are not known are refused.
    pub fn parse_with(props: &Props, known_class: KnownClass<'_>) -> Result<Self, Vec<ConfigError>> {
        let problems = unknown_classes(Self::def(), props, known_class);
        if !problems.is_empty() {
            return Err(problems);
        }
        let config = Self::parts(props)?;
        config.check()?;
        Ok(config)
    }

    fn parts(props: &Props) -> Result<Self, Vec<ConfigError>> {
        let mut problems = Vec::new();
        let parts = (
            part(WorkerConfig::parse(props), &mut problems),
            part(TlsConfig::parse(props), &mut problems),
            part(TopicTrackingConfig::parse(props), &mut problems),
            part(RestConfig::parse(props), &mut problems),
            part(GroupConfig::parse(props), &mut problems),
            part(ClientConfig::parse(props), &mut problems),
            part(SaslConfig::parse(props), &mut problems),
            part(StorageConfig::parse(props), &mut problems),
            part(ProtocolConfig::parse(props), &mut problems),
        );
        let (
            Some(worker),
            Some(tls),
            Some(topic_tracking),
            Some(rest),
            Some(group),
            Some(client),
            Some(sasl),
            Some(storage),
            Some(protocol),
        ) = parts
        else {
            return Err(problems);
        };
        let originals = props.clone();
        Ok(Self { worker, tls, topic_tracking, rest, group, client, sasl, storage, protocol, originals })
    }

    /// What concerns several keys.
    fn check(&self) -> Result<(), Vec<ConfigError>> {
        let protocol = &self.protocol;
        if !protocol.verification_algorithms.contains(&protocol.signature_algorithm) {
            return Err(vec![ConfigError::invalid(
                "inter.worker.signature.algorithm",
                &protocol.signature_algorithm,
                "Signature algorithm must be present in inter.worker.verification.algorithms list",
            )]);
        }
        // Java's HMAC key generators take any size from 40 bits on.
        if let Some(size) = protocol.key_size.filter(|size| *size < 40) {
            return Err(vec![ConfigError::invalid(
                "inter.worker.key.size",
                size,
                format_args!(
                    "Unable to create key generator with algorithm {} and key size {size}: Key length must be at least \
                     40 bits",
                    protocol.key_algorithm
                ),
            )]);
        }
        Ok(())
    }

    /// How far sources that deliver exactly once are supported.
    pub fn exactly_once(&self) -> ExactlyOnceSupport {
        match self.group.exactly_once.to_lowercase().as_str() {
            "enabled" => ExactlyOnceSupport::Enabled,
            "preparing" => ExactlyOnceSupport::Preparing,
            _ => ExactlyOnceSupport::Disabled,
        }
    }

    /// The leader's transactional id for the config topic, when it writes in transactions.
    pub fn transactional_id(&self) -> Option<String> {
        let transactional = self.exactly_once() != ExactlyOnceSupport::Disabled;
        transactional.then(|| format!("connect-cluster-{}", self.group.group_id))
    }

    /// Settings for creating an internal topic beside its partitions and replication: what is given under its prefix,
    /// without the cleanup policy, which is always `compact`.
    pub fn topic_settings(&self, topic: InternalTopic) -> BTreeMap<String, String> {
        let prefix = match topic {
            InternalTopic::Config => "config.storage.",
            InternalTopic::Offset => "offset.storage.",
            InternalTopic::Status => "status.storage.",
        };
        without_prefix(&self.originals, prefix)
            .into_iter()
            .filter(|(key, _)| {
                !matches!(key.as_str(), "topic" | "replication.factor" | "partitions" | "cleanup.policy")
            })
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

impl StandaloneConfig {
    /// The definition of the JVM worker's keys, in its order: all but [`OWN_KEYS`].
    pub fn def() -> &'static ConfigDef {
        static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
            joined(&[
                WorkerConfig::def(),
                TlsConfig::def(),
                TopicTrackingConfig::def(),
                RestConfig::def(),
                FileConfig::def(),
            ])
        });
        &DEF
    }

    /// Parses everything; variables must be resolved already.
    ///
    /// # Errors
    /// All problems, the one that the JVM reports first.
    pub fn parse(props: &Props) -> Result<Self, Vec<ConfigError>> {
        Self::parse_with(props, ANY_CLASS)
    }

    /// The same, where classes that are not known are refused.
    pub fn parse_with(props: &Props, known_class: KnownClass<'_>) -> Result<Self, Vec<ConfigError>> {
        let mut problems = unknown_classes(Self::def(), props, known_class);
        if !problems.is_empty() {
            return Err(problems);
        }
        let parts = (
            part(WorkerConfig::parse(props), &mut problems),
            part(TlsConfig::parse(props), &mut problems),
            part(TopicTrackingConfig::parse(props), &mut problems),
            part(RestConfig::parse(props), &mut problems),
            part(FileConfig::parse(props), &mut problems),
        );
        let (Some(worker), Some(tls), Some(topic_tracking), Some(rest), Some(storage)) = parts else {
            return Err(problems);
        };
        Ok(Self { worker, tls, topic_tracking, rest, storage, originals: props.clone() })
    }
}
