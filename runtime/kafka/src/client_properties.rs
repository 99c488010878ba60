//! The properties the JVM worker gives its clients (`Worker`, `KafkaConfigBackingStore`, `KafkaOffsetBackingStore`,
//! `KafkaStatusBackingStore`), from the worker's file and a connector's overrides.
//!
//! Two families: clients of tasks start from defaults and take the worker's properties with their prefix (`producer.`,
//! `consumer.`); admin clients and the worker's own start from all of the worker's properties. Recorded from the JVM in
//! `clientprops.jsonl`.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::ClientProps;

const BYTES_SERIALIZER: &str = "org.apache.kafka.common.serialization.ByteArraySerializer";
const BYTES_DESERIALIZER: &str = "org.apache.kafka.common.serialization.ByteArrayDeserializer";
const STRING_SERIALIZER: &str = "org.apache.kafka.common.serialization.StringSerializer";
const STRING_DESERIALIZER: &str = "org.apache.kafka.common.serialization.StringDeserializer";
/// `Integer.MAX_VALUE` and `Long.MAX_VALUE`: for ever.
const INT_MAX: &str = "2147483647";
const LONG_MAX: &str = "9223372036854775807";
const METRICS_CONTEXT: &str = "metrics.context.";

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
    /// Reads a connector's own offsets topic.
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
    /// The transactional producer of an exactly-once leader.
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
    /// Only who the connector logs in as: `sasl.jaas.config`, `sasl.mechanism`, `security.protocol`.
    Principal,
    /// Only the properties listed (KIP-1188).
    Allowlist(Arc<BTreeSet<String>>),
}

impl OverridePolicy {
    fn allows(&self, property: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => ["sasl.jaas.config", "sasl.mechanism", "security.protocol"].contains(&property),
            Self::Allowlist(allowed) => allowed.contains(property),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }

    /// The JVM's text when this policy does not allow the override of `property` (without its prefix).
    pub fn refusal(&self, property: &str) -> Option<String> {
        let policy = self.name();
        (!self.allows(property)).then(|| {
            format!(
                "The '{policy}' policy does not allow '{property}' to be overridden in the connector configuration."
            )
        })
    }
}

/// Overrides the policy does not allow; `message` is the JVM's text.
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
    let inputs = Inputs { worker, connector, policy, kafka_cluster_id };
    match client {
        Client::SourceTaskProducer { connector, task } => {
            inputs.task_producer(&format!("connector-producer-{connector}-{task}"))
        }
        Client::SinkDlqProducer { connector, task } => {
            inputs.task_producer(&format!("connector-dlq-producer-{connector}-{task}"))
        }
        Client::ExactlyOnceSourceTaskProducer { connector, task } => {
            let mut props = inputs.task_producer(&format!("connector-producer-{connector}-{task}"))?;
            // Neither is the user's to choose here.
            set(&mut props, "enable.idempotence", "true");
            set(&mut props, "transactional.id", &format!("{}-{connector}-{task}", inputs.group_id()));
            Ok(props)
        }
        Client::SinkTaskConsumer { connector, task } => inputs.task_consumer(connector, task),
        Client::SourceOffsetsConsumer { connector, task } => {
            let mut props = inputs.task_consumer(connector, task)?;
            props.entry("isolation.level".to_owned()).or_insert_with(|| "read_committed".to_owned());
            Ok(props)
        }
        Client::ExactlyOnceSourceOffsetsConsumer { connector, task } => {
            let mut props = inputs.task_consumer(connector, task)?;
            set(&mut props, "isolation.level", "read_committed");
            Ok(props)
        }
        Client::SourceTaskAdmin { connector, task } => {
            inputs.task_admin(&format!("connector-adminclient-{connector}-{task}"))
        }
        Client::SinkDlqAdmin { connector, task } => {
            inputs.task_admin(&format!("connector-dlq-adminclient-{connector}-{task}"))
        }
        Client::ConfigTopicProducer
        | Client::ConfigTopicLeaderProducer
        | Client::ConfigTopicConsumer
        | Client::StatusTopicProducer
        | Client::StatusTopicConsumer
        | Client::OffsetsTopicProducer
        | Client::OffsetsTopicConsumer
        | Client::WorkerAdmin => Ok(inputs.own_client(client)),
    }
}

fn set(props: &mut ClientProps, name: &str, value: &str) {
    props.insert(name.to_owned(), value.to_owned());
}

struct Inputs<'a> {
    worker: &'a ClientProps,
    connector: &'a IndexMap<String, String>,
    policy: &'a OverridePolicy,
    kafka_cluster_id: &'a str,
}

impl Inputs<'_> {
    fn group_id(&self) -> &str {
        self.worker.get("group.id").map(String::as_str).unwrap_or_default()
    }

    fn task_producer(&self, client_id: &str) -> Result<ClientProps, OverrideNotAllowed> {
        let mut props = self.bootstrap();
        for (name, value) in [
            ("key.serializer", BYTES_SERIALIZER),
            ("value.serializer", BYTES_SERIALIZER),
            // Nothing is lost and nothing changes its order, however long it takes.
            ("max.block.ms", LONG_MAX),
            ("enable.idempotence", "false"),
            ("acks", "all"),
            ("max.in.flight.requests.per.connection", "1"),
            ("delivery.timeout.ms", INT_MAX),
            ("client.id", client_id),
        ] {
            set(&mut props, name, value);
        }
        props.extend(with_prefix(self.worker, "producer."));
        self.add_metrics_context(&mut props);
        props.extend(self.overrides("producer.override.")?);
        Ok(props)
    }

    fn task_consumer(&self, connector: &str, task: u32) -> Result<ClientProps, OverrideNotAllowed> {
        let mut props = self.bootstrap();
        for (name, value) in [
            ("group.id", format!("connect-{connector}").as_str()),
            ("client.id", &format!("connector-consumer-{connector}-{task}")),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("key.deserializer", BYTES_DESERIALIZER),
            ("value.deserializer", BYTES_DESERIALIZER),
        ] {
            set(&mut props, name, value);
        }
        props.extend(with_prefix(self.worker, "consumer."));
        self.add_metrics_context(&mut props);
        props.extend(self.overrides("consumer.override.")?);
        Ok(props)
    }

    fn task_admin(&self, client_id: &str) -> Result<ClientProps, OverrideNotAllowed> {
        let mut props = self.bootstrap();
        set(&mut props, "client.id", client_id);
        let prefixed = |name: &str| ["admin.", "producer.", "consumer."].iter().any(|prefix| name.starts_with(prefix));
        let plain = self.worker.iter().filter(|(name, _)| !prefixed(name));
        props.extend(plain.map(|(name, value)| (name.clone(), value.clone())));
        props.extend(with_prefix(self.worker, "admin."));
        self.add_metrics_context(&mut props);
        props.extend(self.overrides("admin.override.")?);
        Ok(props)
    }

    /// The worker's own: all of its properties, with what the code needs on top.
    fn own_client(&self, client: Client<'_>) -> ClientProps {
        let mut props = self.worker.clone();
        self.add_metrics_context(&mut props);
        let producer = |keys| vec![("key.serializer", keys), ("value.serializer", BYTES_SERIALIZER)];
        let consumer = |keys| vec![("key.deserializer", keys), ("value.deserializer", BYTES_DESERIALIZER)];
        let lasting = [("delivery.timeout.ms", INT_MAX), ("enable.idempotence", "false")];
        let (suffix, mut settings) = match client {
            Client::ConfigTopicProducer => ("configs", producer(STRING_SERIALIZER)),
            Client::ConfigTopicLeaderProducer => ("configs-leader", producer(STRING_SERIALIZER)),
            Client::ConfigTopicConsumer => ("configs", consumer(STRING_DESERIALIZER)),
            Client::StatusTopicProducer => ("statuses", producer(STRING_SERIALIZER)),
            Client::StatusTopicConsumer => ("statuses", consumer(STRING_DESERIALIZER)),
            Client::OffsetsTopicProducer => ("offsets", producer(BYTES_SERIALIZER)),
            Client::OffsetsTopicConsumer => ("offsets", consumer(BYTES_DESERIALIZER)),
            _ => ("shared-admin", Vec::new()),
        };
        match client {
            Client::ConfigTopicProducer | Client::OffsetsTopicProducer => settings.extend(lasting),
            // Statuses are sent again by the worker itself, because a newer one may make the old one void.
            Client::StatusTopicProducer => settings.extend([("enable.idempotence", "false"), ("retries", "0")]),
            Client::ConfigTopicLeaderProducer => settings.extend([
                ("delivery.timeout.ms", INT_MAX),
                ("acks", "all"),
                ("max.in.flight.requests.per.connection", "5"),
                ("enable.idempotence", "true"),
            ]),
            Client::ConfigTopicConsumer | Client::OffsetsTopicConsumer if self.is_exactly_once() => {
                settings.push(("isolation.level", "read_committed"));
            }
            _ => {}
        }
        for (name, value) in settings {
            set(&mut props, name, value);
        }
        if client == Client::ConfigTopicLeaderProducer {
            set(&mut props, "transactional.id", &format!("connect-cluster-{}", self.group_id()));
        }
        set(&mut props, "client.id", &format!("{}{suffix}", self.client_id_base()));
        props
    }

    fn is_exactly_once(&self) -> bool {
        self.worker.get("exactly.once.source.support").is_some_and(|value| value.trim().eq_ignore_ascii_case("enabled"))
    }

    /// `ConnectUtils.clientIdBase`.
    fn client_id_base(&self) -> String {
        let own = self.worker.get("client.id").map(|id| id.trim()).filter(|id| !id.is_empty());
        match (self.worker.get("group.id"), own) {
            (Some(group), Some(id)) => format!("{group}-{id}-"),
            (Some(group), None) => format!("{group}-"),
            (None, Some(id)) => format!("{id}-"),
            (None, None) => "connect-".to_owned(),
        }
    }

    fn bootstrap(&self) -> ClientProps {
        let servers = self.worker.get("bootstrap.servers");
        servers.map(|servers| ("bootstrap.servers".to_owned(), servers.clone())).into_iter().collect()
    }

    fn add_metrics_context(&self, props: &mut ClientProps) {
        set(props, "metrics.context.connect.kafka.cluster.id", self.kafka_cluster_id);
        if let Some(group) = self.worker.get("group.id") {
            set(props, "metrics.context.connect.group.id", group);
        }
        let given = self.worker.iter().filter(|(name, _)| name.starts_with(METRICS_CONTEXT));
        props.extend(given.map(|(name, value)| (name.clone(), value.clone())));
    }

    fn overrides(&self, prefix: &str) -> Result<ClientProps, OverrideNotAllowed> {
        let given: ClientProps = with_prefix(self.connector, prefix).collect();
        let mut names: Vec<&str> = given.keys().map(String::as_str).filter(|name| !self.policy.allows(name)).collect();
        if names.is_empty() {
            return Ok(given);
        }
        // The JVM lists them in the order of its hash map.
        sort_as_java(&mut names, given.len());
        let refused = names.iter().filter_map(|name| {
            let value = given.get(*name)?;
            Some(format!("[{name},{value},[],[{}],true]", self.policy.refusal(name)?))
        });
        let refused: Vec<_> = refused.collect();
        Err(OverrideNotAllowed { message: format!("Client Config Overrides not allowed [{}]", refused.join(", ")) })
    }
}

fn with_prefix<'a>(
    props: &'a IndexMap<String, String>,
    prefix: &'a str,
) -> impl Iterator<Item = (String, String)> + 'a {
    props.iter().filter_map(move |(name, value)| {
        let name = name.strip_prefix(prefix).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value.clone()))
    })
}

/// The order in which a `java.util.HashMap` of `size` entries gives these keys (as far as no bucket holds two of them).
fn sort_as_java(names: &mut [&str], size: usize) {
    // Made for exactly as many entries (`HashMap.putAll`), three quarters full at most.
    let buckets = (size * 4 / 3 + 1).next_power_of_two();
    names.sort_by_key(|name| {
        let hash = name.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(pairs: &[(&str, &str)]) -> ClientProps {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const SINK: Client<'static> = Client::SinkTaskConsumer { connector: "c", task: 0 };

    #[test]
    fn an_override_beats_the_workers_prefix_which_beats_the_default() {
        let worker =
            props(&[("bootstrap.servers", "h:1"), ("group.id", "g"), ("consumer.auto.offset.reset", "latest")]);
        let of = |connector: &ClientProps| {
            client_properties(SINK, &worker, connector, &OverridePolicy::All, "id").unwrap()["auto.offset.reset"]
                .clone()
        };
        assert_eq!(of(&props(&[])), "latest");
        assert_eq!(of(&props(&[("consumer.override.auto.offset.reset", "none")])), "none");
        assert_eq!(of(&props(&[("producer.override.auto.offset.reset", "none")])), "latest");
    }

    #[test]
    fn a_worker_without_group_is_standalone() {
        let worker = props(&[("bootstrap.servers", "h:1")]);
        let admin = client_properties(Client::WorkerAdmin, &worker, &props(&[]), &OverridePolicy::All, "id").unwrap();
        assert_eq!(admin["client.id"], "connect-shared-admin");
        assert!(!admin.contains_key("metrics.context.connect.group.id"));
    }

    #[test]
    fn refusals_come_in_the_order_of_the_jvm() {
        let connector =
            props(&[("consumer.override.group.id", "g2"), ("consumer.override.auto.offset.reset", "latest")]);
        let error =
            client_properties(SINK, &props(&[]), &connector, &OverridePolicy::Principal, "id").unwrap_err().message;
        assert_eq!(
            error,
            "Client Config Overrides not allowed [[auto.offset.reset,latest,[],[The 'Principal' policy does not allow \
             'auto.offset.reset' to be overridden in the connector configuration.],true], [group.id,g2,[],[The 'Principal' \
             policy does not allow 'group.id' to be overridden in the connector configuration.],true]]"
        );
    }
}
