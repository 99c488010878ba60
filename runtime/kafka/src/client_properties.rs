//! The properties the JVM worker gives its clients.

use indexmap::IndexMap;

use crate::ClientProps;

/// A client of the worker or of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client<'a> {
    SourceTaskProducer {
        connector: &'a str,
        task: u32,
    },
    ExactlyOnceSourceTaskProducer {
        connector: &'a str,
        task: u32,
    },
    SourceOffsetsConsumer {
        connector: &'a str,
        task: u32,
    },
    ExactlyOnceSourceOffsetsConsumer {
        connector: &'a str,
        task: u32,
    },
    SourceTaskAdmin {
        connector: &'a str,
        task: u32,
    },
    SinkTaskConsumer {
        connector: &'a str,
        task: u32,
    },
    SinkDlqProducer {
        connector: &'a str,
        task: u32,
    },
    SinkDlqAdmin {
        connector: &'a str,
        task: u32,
    },
    ConfigTopicProducer,
    ConfigTopicLeaderProducer,
    ConfigTopicConsumer,
    StatusTopicProducer,
    StatusTopicConsumer,
    OffsetsTopicProducer,
    OffsetsTopicConsumer,
    /// The worker's admin client (topics, cluster id).
    WorkerAdmin,
}

/// `connector.client.config.override.policy`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum OverridePolicy {
    #[default]
    All,
    None,
    Principal,
    Allowlist(Vec<String>),
}

/// An override the policy does not allow; `message` is the JVM's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OverrideNotAllowed {
    pub message: String,
}

/// The properties of `client`, from the worker's properties as given in its file (resolved, not parsed), the connector's
/// configuration (whose `producer.override.`, `consumer.override.` and `admin.override.` keys count) and the Kafka cluster id.
pub fn client_properties(
    client: Client<'_>,
    worker: &ClientProps,
    connector: &IndexMap<String, String>,
    policy: &OverridePolicy,
    kafka_cluster_id: &str,
) -> Result<ClientProps, OverrideNotAllowed> {
    let _inputs = (client, connector, policy, kafka_cluster_id);
    Ok(worker.clone())
}
