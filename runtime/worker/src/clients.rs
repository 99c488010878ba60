//! Opens the Kafka clients of tasks.
//!
//! Producers and admin clients with the same properties are one client: librdkafka keeps several threads and connections for
//! each, and a worker may run hundreds of tasks. A client lives as long as a task uses it. Consumers are one per sink task.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use connect_api::{Error, ErrorKind, Result};
use connect_kafka::client_properties::{Client, OverridePolicy, client_properties};
use connect_kafka::{Admin, ClientProps, Consumer, Producer};
use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::io::{Consume, Produce, Subscription, Topics, kafka_error};

/// A connector's configuration with its variables resolved and null values left out.
pub type Resolved = IndexMap<String, String>;

/// Opens clients for a task of a connector with this configuration.
pub trait Clients: Send + Sync {
    /// The producer of a source task.
    fn source_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>>;

    /// Creates the topics of a source task.
    fn source_topics(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Topics>>;

    /// The consumer of a sink task, subscribed.
    fn sink_consumer(
        &self,
        connector: &str,
        task: u32,
        config: &Resolved,
        subscription: Subscription,
    ) -> Result<Box<dyn Consume>>;

    /// The producer of a sink task's dead letters.
    fn dead_letter_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>>;

    /// Creates the dead letter topic; also alters the offsets of a sink's group.
    fn sink_topics(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Topics>>;

    /// The consumer group of a sink.
    fn sink_group(&self, connector: &str, config: &Resolved) -> Result<String>;
}

/// The clients of `connect-kafka`.
pub struct KafkaClients {
    worker: ClientProps,
    policy: OverridePolicy,
    cluster_id: String,
    producers: Shared<Producer>,
    admins: Shared<Admin>,
}

impl KafkaClients {
    /// Clients of a worker with these properties (resolved), of this Kafka cluster.
    pub fn new(worker: ClientProps, policy: OverridePolicy, cluster_id: String) -> Self {
        Self { worker, policy, cluster_id, producers: Shared::default(), admins: Shared::default() }
    }

    fn properties(&self, client: Client<'_>, config: &Resolved) -> Result<ClientProps> {
        client_properties(client, &self.worker, config, &self.policy, &self.cluster_id).map_err(|refused| {
            Error::new(ErrorKind::Config, refused.message).class("org.apache.kafka.connect.errors.ConnectException")
        })
    }

    fn producer(&self, client: Client<'_>, config: &Resolved) -> Result<Arc<dyn Produce>> {
        let props = self.properties(client, config)?;
        let open = || Producer::open(&props).map_err(|e| kafka_error("failed to create the producer", e));
        Ok(self.producers.get_or_open(&props, open)?)
    }

    fn admin(&self, client: Client<'_>, config: &Resolved) -> Result<Arc<dyn Topics>> {
        let props = self.properties(client, config)?;
        let open = || Admin::open(&props).map_err(|e| kafka_error("failed to create the admin client", e));
        Ok(self.admins.get_or_open(&props, open)?)
    }
}

impl Clients for KafkaClients {
    fn source_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>> {
        self.producer(Client::SourceTaskProducer { connector, task }, config)
    }

    fn source_topics(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Topics>> {
        self.admin(Client::SourceTaskAdmin { connector, task }, config)
    }

    fn sink_consumer(
        &self,
        connector: &str,
        task: u32,
        config: &Resolved,
        subscription: Subscription,
    ) -> Result<Box<dyn Consume>> {
        let props = self.properties(Client::SinkTaskConsumer { connector, task }, config)?;
        let consumer =
            Consumer::open(&props, subscription).map_err(|e| kafka_error("failed to create the consumer", e))?;
        Ok(Box::new(consumer))
    }

    fn dead_letter_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>> {
        self.producer(Client::SinkDlqProducer { connector, task }, config)
    }

    fn sink_topics(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Topics>> {
        self.admin(Client::SinkDlqAdmin { connector, task }, config)
    }

    fn sink_group(&self, connector: &str, config: &Resolved) -> Result<String> {
        let props = self.properties(Client::SinkTaskConsumer { connector, task: 0 }, config)?;
        Ok(props.get("group.id").cloned().unwrap_or_else(|| format!("connect-{connector}")))
    }
}

/// Properties, sorted by key.
type SharedKey = Vec<(String, String)>;

/// Open clients by their properties.
struct Shared<C> {
    open: Mutex<HashMap<SharedKey, Weak<C>>>,
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self { open: Mutex::new(HashMap::new()) }
    }
}

impl<C> Shared<C> {
    /// The open client with these properties, or a new one. The client id that the worker makes up for a task does not
    /// tell clients apart.
    fn get_or_open(&self, props: &ClientProps, open: impl FnOnce() -> Result<C>) -> Result<Arc<C>> {
        let made_up = |key: &str, value: &str| key == "client.id" && value.starts_with("connector-");
        let mut key: SharedKey = props
            .iter()
            .filter(|(key, value)| !made_up(key, value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        key.sort();
        let mut clients = self.open.lock();
        if let Some(client) = clients.get(&key).and_then(Weak::upgrade) {
            return Ok(client);
        }
        clients.retain(|_, client| client.strong_count() > 0);
        let client = Arc::new(open()?);
        clients.insert(key, Arc::downgrade(&client));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(pairs: &[(&str, &str)]) -> ClientProps {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn clients_are_shared_by_properties_while_they_are_used() {
        let shared: Shared<u32> = Shared::default();
        let a =
            shared.get_or_open(&props(&[("x", "1"), ("client.id", "connector-producer-a-0")]), || Ok(1)).expect("a");
        let b =
            shared.get_or_open(&props(&[("client.id", "connector-producer-b-0"), ("x", "1")]), || Ok(2)).expect("b");
        let c =
            shared.get_or_open(&props(&[("x", "2"), ("client.id", "connector-producer-c-0")]), || Ok(3)).expect("c");
        let d = shared.get_or_open(&props(&[("x", "1"), ("client.id", "mine")]), || Ok(4)).expect("d");
        assert_eq!((*a, *b, *c, *d), (1, 1, 3, 4));
        drop((a, b));
        let e = shared.get_or_open(&props(&[("x", "1")]), || Ok(5)).expect("e");
        assert_eq!(*e, 5);
    }
}
