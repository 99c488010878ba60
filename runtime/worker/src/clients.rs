//! Opens the Kafka clients of tasks.
//!
//! As in the JVM each task has clients of its own, under a client id that names it: quotas and the brokers' logs go by that.
//! What a task uses more than once is opened once, and lives as long as the task uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Error, ErrorKind, Result};
use connect_kafka::client_properties::{Client, OverridePolicy, client_properties};
use connect_kafka::translate::{ClientKind, Ignored, without_effect};
use connect_kafka::{Admin, ClientProps, ClientStats, Consumer, LogRecord, Producer, TopicLog};
use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::herd::prepare_offsets_topic;
use crate::io::{Consume, NewTopic, OffsetLog, Produce, Subscription, Topics, kafka_error};
use crate::metrics::{ClientOf, WorkerMetrics};
use crate::offsets::OffsetTable;
use crate::own_offsets::same_servers;
use crate::transactions::{KafkaTransactions, Transact};

/// How long it may take to find the offsets topic of a connector.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the fencing of one producer may take.
const FENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connector's configuration with its variables resolved and null values left out.
pub type Resolved = IndexMap<String, String>;

/// Opens clients for a task of a connector with this configuration.
#[async_trait]
pub trait Clients: Send + Sync {
    /// The producer of a source task.
    fn source_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>>;

    /// The transactional producer of an exactly-once source task, for it alone.
    fn transactional_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Transact>>;

    /// Opens the topic of a source's offsets, which is created when it is missing; `None` when it is the worker's own.
    async fn offsets_log(
        &self,
        connector: &str,
        task: u32,
        config: &Resolved,
        topic: &str,
        exactly_once: bool,
    ) -> Result<Option<(OffsetTable, Arc<dyn OffsetLog>)>>;

    /// Fences the producers of the first `tasks` exactly-once tasks of a source.
    async fn fence(&self, connector: &str, config: &Resolved, tasks: u32) -> Result<()>;

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
    /// The worker's offsets topic, which a connector's own is made like.
    offsets_topic: Option<NewTopic>,
    /// Told of every client that is opened.
    metrics: Option<Arc<WorkerMetrics>>,
    producers: Shared<Producer>,
    admins: Shared<Admin>,
}

impl KafkaClients {
    /// Clients of a worker with these properties (resolved), of this Kafka cluster.
    pub fn new(worker: ClientProps, policy: OverridePolicy, cluster_id: String) -> Self {
        Self {
            worker,
            policy,
            cluster_id,
            offsets_topic: None,
            metrics: None,
            producers: Shared::default(),
            admins: Shared::default(),
        }
    }

    /// Names the worker's offsets topic, with the settings that connectors' own are created with.
    #[must_use]
    pub fn with_offsets_topic(self, topic: Option<NewTopic>) -> Self {
        Self { offsets_topic: topic, ..self }
    }

    /// Has every client measured that is opened from now on.
    #[must_use]
    pub fn with_metrics(self, metrics: &Arc<WorkerMetrics>) -> Self {
        Self { metrics: Some(Arc::clone(metrics)), ..self }
    }

    fn measure(&self, of: ClientOf, stats: &Arc<ClientStats>) {
        if let Some(metrics) = &self.metrics {
            metrics.client(of, stats);
        }
    }

    fn properties(&self, client: Client<'_>, config: &Resolved) -> Result<ClientProps> {
        client_properties(client, &self.worker, config, &self.policy, &self.cluster_id).map_err(|refused| {
            Error::new(ErrorKind::Config, refused.message).class("org.apache.kafka.connect.errors.ConnectException")
        })
    }

    /// What the user has set for this client, in the worker's or the connector's configuration, and has no effect here.
    fn unused(&self, client: Client<'_>, config: &Resolved) -> Vec<Ignored> {
        let (kind, prefix, own) = match client {
            Client::SinkTaskConsumer { .. } => (ClientKind::Consumer, "consumer.", "consumer.override."),
            _ => (ClientKind::Producer, "producer.", "producer.override."),
        };
        let with = |props: &ClientProps, prefix: &str| -> ClientProps {
            let given =
                props.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())));
            given.collect()
        };
        let mut given = with(&self.worker, prefix);
        given.extend(with(config, own));
        without_effect(kind, &given)
    }

    /// Interceptors, metrics reporters and the like are Java classes: a connector that names some runs without them.
    fn warn_of_unused(&self, client: Client<'_>, name: &str, config: &Resolved) {
        let unused = self.unused(client, config);
        if unused.is_empty() {
            return;
        }
        let described: Vec<_> = unused.iter().map(|ignored| format!("{} ({})", ignored.key, ignored.reason)).collect();
        tracing::warn!(
            connector = name,
            "These configurations were supplied for a Kafka client of the connector but have no effect: {}",
            described.join(", ")
        );
    }

    fn producer(&self, client: Client<'_>, config: &Resolved) -> Result<Arc<Producer>> {
        let props = self.properties(client, config)?;
        let open = || {
            let opened = Producer::open(&props).map_err(|e| kafka_error("failed to create the producer", e));
            opened.inspect(|producer| self.measure(ClientOf::Producer, &producer.stats()))
        };
        self.producers.get_or_open(&props, open)
    }

    fn admin(&self, client: Client<'_>, config: &Resolved) -> Result<Arc<dyn Topics>> {
        let props = self.properties(client, config)?;
        let open = || {
            let opened = Admin::open(&props).map_err(|e| kafka_error("failed to create the admin client", e));
            opened.inspect(|admin| self.measure(ClientOf::Admin, admin.stats()))
        };
        Ok(self.admins.get_or_open(&props, open)?)
    }
}

#[async_trait]
impl Clients for KafkaClients {
    fn source_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>> {
        self.warn_of_unused(Client::SourceTaskProducer { connector, task }, connector, config);
        Ok(self.producer(Client::SourceTaskProducer { connector, task }, config)?)
    }

    fn transactional_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Transact>> {
        let props = self.properties(Client::ExactlyOnceSourceTaskProducer { connector, task }, config)?;
        self.warn_of_unused(Client::ExactlyOnceSourceTaskProducer { connector, task }, connector, config);
        let producer = KafkaTransactions::open(&props)?;
        self.measure(ClientOf::Producer, &producer.stats());
        Ok(Arc::new(producer))
    }

    async fn offsets_log(
        &self,
        connector: &str,
        task: u32,
        config: &Resolved,
        topic: &str,
        exactly_once: bool,
    ) -> Result<Option<(OffsetTable, Arc<dyn OffsetLog>)>> {
        let writes = Client::SourceTaskProducer { connector, task };
        let is_workers = self.offsets_topic.as_ref().is_some_and(|workers| workers.name == topic);
        if is_workers && same_servers(&self.properties(writes, config)?, &self.worker) {
            return Ok(None);
        }
        let reads = if exactly_once {
            Client::ExactlyOnceSourceOffsetsConsumer { connector, task }
        } else {
            Client::SourceOffsetsConsumer { connector, task }
        };
        let consumer = self.properties(reads, config)?;
        let admin = self.properties(Client::SourceTaskAdmin { connector, task }, config)?;
        let admin = Admin::open(&admin).map_err(|e| kafka_error("failed to create the admin client", e))?;
        prepare_offsets_topic(&admin, self.offsets_topic.as_ref(), topic).await?;
        let table = OffsetTable::default();
        let sink = table.clone();
        let take = move |record: LogRecord| sink.apply(record.key.as_deref(), record.value.as_deref());
        let log = TopicLog::open(topic, &consumer, self.producer(writes, config)?, take, OPEN_TIMEOUT).await;
        let log = log.map_err(|e| kafka_error(&format!("failed to read the offsets topic '{topic}'"), e))?;
        Ok(Some((table, Arc::new(log))))
    }

    async fn fence(&self, connector: &str, config: &Resolved, tasks: u32) -> Result<()> {
        let mut props = self.properties(Client::SourceTaskAdmin { connector, task: 0 }, config)?;
        if !config.contains_key("admin.override.client.id") {
            props.insert("client.id".to_owned(), format!("connector-worker-adminclient-{connector}"));
        }
        let admin = Admin::open(&props).map_err(|e| kafka_error("failed to create the admin client", e))?;
        let group = self.worker.get("group.id").map_or("", String::as_str);
        let ids: Vec<String> = (0..tasks).map(|task| format!("{group}-{connector}-{task}")).collect();
        let fenced = admin.fence_producers(&ids, FENCE_TIMEOUT).await;
        fenced.map_err(|e| kafka_error("failed to fence the producers of earlier tasks", e))
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
        self.warn_of_unused(Client::SinkTaskConsumer { connector, task }, connector, config);
        let consumer =
            Consumer::open(&props, subscription).map_err(|e| kafka_error("failed to create the consumer", e))?;
        self.measure(ClientOf::Consumer, &consumer.stats());
        Ok(Box::new(consumer))
    }

    fn dead_letter_producer(&self, connector: &str, task: u32, config: &Resolved) -> Result<Arc<dyn Produce>> {
        Ok(self.producer(Client::SinkDlqProducer { connector, task }, config)?)
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
    /// The open client with these properties, or a new one.
    fn get_or_open(&self, props: &ClientProps, open: impl FnOnce() -> Result<C>) -> Result<Arc<C>> {
        let mut key: SharedKey = props.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
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
        let open = |id: &str, x: &str, number| {
            shared.get_or_open(&props(&[("x", x), ("client.id", id)]), || Ok(number)).expect("opened")
        };
        let (a, again) = (open("connector-producer-a-0", "1", 1), open("connector-producer-a-0", "1", 2));
        assert_eq!((*a, *again), (1, 1), "what a task uses twice is one client");
        let (b, c) = (open("connector-producer-b-0", "1", 3), open("connector-producer-a-0", "2", 4));
        assert_eq!((*b, *c), (3, 4), "another task or other settings are another client");
        drop((a, again));
        assert_eq!(*open("connector-producer-a-0", "1", 5), 5, "closed with its last user");
    }

    #[test]
    fn overrides_that_do_nothing_are_named_without_their_values() {
        let worker = props(&[("bootstrap.servers", "h:1"), ("consumer.metric.reporters", "com.acme.Metrics")]);
        let clients = KafkaClients::new(worker, OverridePolicy::All, "id".to_owned());
        let config = props(&[
            ("consumer.override.interceptor.classes", "com.acme.Mine"),
            ("consumer.override.max.poll.records", "7"),
            ("consumer.override.no.such.key", "secret"),
        ]);
        let client = Client::SinkTaskConsumer { connector: "c", task: 0 };
        let unused = clients.unused(client, &config);
        let keys: Vec<_> = unused.iter().map(|ignored| ignored.key.as_str()).collect();
        assert_eq!(keys, ["metric.reporters", "interceptor.classes", "no.such.key"]);
    }
}
