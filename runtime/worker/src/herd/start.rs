//! From a worker's configuration to a running worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_cluster::herder::{Catalog, ExactlyOnceSources};
use connect_cluster::protocol::Protocol;
use connect_cluster::{ClusterView, Event, Herd, Herder, HerderConfig, PluginFacts, RecoveryOf};
use connect_config::worker::{ExactlyOnceSupport, JobsConfig, TopicTrackingConfig, WorkerConfig};
use connect_config::{DistributedConfig, Props, StandaloneConfig};
use connect_kafka::admin::NewTopic;
use connect_kafka::client_properties::{Client, OverridePolicy, client_properties};
use connect_kafka::group::{GroupConfig, GroupEvent};
use connect_kafka::{Admin, ClientProps, LogRecord, Producer, TopicLog};
use connect_plugins::{ClientOverridePolicy, ExactlyOnceSource, Lookup, PluginRegistry, ValidationContext, WorkerMode};
use indexmap::IndexMap;
use tokio::sync::{Notify, mpsc};

use super::drive::{Drive, Hands, INBOX, Input, SetLogLevel};
use super::fencing::Preflights;
use super::file_log::FileOffsets;
use super::group::{Alone, GroupHandle, KafkaGroup};
use super::job_log;
use super::leader_log::LeaderLog;
use super::log::{KafkaLog, Log, MemoryLog, READ_WRITE_TIMEOUT};
use super::peers::{HttpPeers, NoPeers, Peers};
use super::topics;
use super::worker::{Validator, Worker};
use crate::clients::{Clients, KafkaClients};
use crate::exactly_once::{Delivery, Preflight};
use crate::io::OffsetLog;
use crate::jobs::{JobsParts, JobsRunning, Opening, World};
use crate::metrics::{ClientOf, WorkerMetrics};
use crate::offsets::{OffsetStore, OffsetTable};
use crate::unit::UnitEvent;
use crate::units::{Resolve, Shared, UnitSettings, WorkerUnits};

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or what it names, has to be changed.
    #[error("{0}")]
    Config(String),
    /// Kafka can't be reached, or refuses.
    #[error("{what}: {source}")]
    Kafka {
        what: String,
        #[source]
        source: connect_kafka::Error,
    },
    /// The offsets file.
    #[error(transparent)]
    Offsets(#[from] connect_api::Error),
}

impl StartError {
    pub(super) fn kafka(what: &str, source: connect_kafka::Error) -> Self {
        Self::Kafka { what: what.to_owned(), source }
    }
}

/// What a worker gets from its process.
pub struct Startup {
    pub registry: Arc<PluginRegistry>,
    /// Resolves the variables of connector configurations.
    pub resolve: Resolve,
    /// Other workers' and clients' way here, with a slash at its end.
    pub advertised_url: String,
    /// `host:port` of it.
    pub worker_id: String,
    /// The client for requests to other workers.
    pub peers: reqwest::Client,
    /// Sets a log level that was asked for the whole cluster.
    pub log_level: SetLogLevel,
    /// What the worker measures.
    pub metrics: Arc<WorkerMetrics>,
    /// Jobs and their recovery.
    pub jobs: JobsConfig,
}

/// A worker that has started: its topics are read, and it joins its group.
pub struct Running {
    pub worker: Arc<Worker>,
    pub units: Arc<WorkerUnits>,
    pub jobs: JobsRunning,
}

/// What both kinds of workers are made of.
struct Parts {
    inbox: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    events: mpsc::Sender<UnitEvent>,
    cluster_id: String,
}

/// What the two kinds of workers have each in their own way.
struct Kind {
    config_log: Arc<dyn Log>,
    status_log: Arc<dyn Log>,
    group: GroupHandle,
    peers: Arc<dyn Peers>,
    offsets: Arc<OffsetStore>,
    /// The worker's offsets topic; a worker that is alone has none.
    offsets_topic: Option<NewTopic>,
    herder: HerderConfig,
    mode: WorkerMode,
    /// `worker.sync.timeout.ms`.
    sync_timeout: Duration,
    verification: Vec<String>,
    /// The jobs, and the log that they are kept in.
    jobs: (Opening, Arc<dyn Log>),
}

/// Starts a member of a group. Kafka is tried for `default.api.timeout.ms` (one minute), as the JVM worker does.
///
/// # Errors
/// When Kafka can't be reached in that time or refuses, or an internal topic is unfit.
pub async fn start_distributed(config: &DistributedConfig, startup: Startup) -> Result<Running, StartError> {
    let props = client_props(&config.originals);
    let (admin, cluster_id) = connect(&props, &config.worker).await?;
    let internals = topics::internal_topics(config);
    topics::prepare(&admin, &internals).await?;
    let parts = parts(cluster_id, &startup.metrics);

    let policy = OverridePolicy::default();
    let of = |client| {
        client_properties(client, &props, &IndexMap::new(), &policy, &parts.cluster_id)
            .map_err(|refused| StartError::Config(refused.message))
    };
    // One producer for the three topics: each costs threads and memory, and there is little to write.
    let mut producer = of(Client::ConfigTopicProducer)?;
    // The JVM's never gives up. Ours has to: what is refused must not be written later.
    producer.insert("delivery.timeout.ms".to_owned(), READ_WRITE_TIMEOUT.as_millis().to_string());
    let producer = Producer::open(&producer)
        .map_err(|error| StartError::kafka("failed to create the producer of the internal topics", error))?;
    let producer = Arc::new(producer);
    let table = OffsetTable::default();
    let [configs, offsets, statuses] = internals;
    let offsets_topic = offsets.topic.clone();
    let (to_config, to_status, to_table) = (parts.inbox.clone(), parts.inbox.clone(), table.clone());
    let open = |name: String, consumer, sink: Box<dyn FnMut(LogRecord) + Send>| {
        let producer = Arc::clone(&producer);
        async move {
            let log = TopicLog::open(&name, &consumer, producer, sink, READ_WRITE_TIMEOUT).await;
            log.map_err(|error| StartError::kafka(&format!("failed to read the topic '{name}'"), error))
        }
    };
    let opening = Opening::new(&startup.jobs);
    let jobs_consumer = of(Client::ConfigTopicConsumer)?;
    let (config_log, offset_log, status_log, jobs_log) = tokio::try_join!(
        open(
            configs.topic.name,
            of(Client::ConfigTopicConsumer)?,
            Box::new(move |r| deliver(&to_config, Input::Config(r)))
        ),
        open(
            offsets.topic.name,
            of(Client::OffsetsTopicConsumer)?,
            Box::new(move |r| to_table.apply(r.key.as_deref(), r.value.as_deref())),
        ),
        open(
            statuses.topic.name,
            of(Client::StatusTopicConsumer)?,
            Box::new(move |r| deliver(&to_status, Input::Status(r)))
        ),
        job_log::open(&admin, config, &startup.jobs, jobs_consumer, Arc::clone(&producer), &opening),
    )?;
    let offset_log: Arc<TopicLog> = Arc::new(offset_log);
    startup.metrics.client(ClientOf::Producer, &producer.stats());
    startup.metrics.client(ClientOf::Admin, config_log.admin_stats());
    for log in [&config_log, &*offset_log, &status_log] {
        startup.metrics.client(ClientOf::Consumer, log.stats());
    }

    let group = KafkaGroup::start(group_config(config, &startup.worker_id), &props)
        .map_err(|error| StartError::kafka("failed to join the group", error))?;
    let kind = Kind {
        config_log: if config.exactly_once() == ExactlyOnceSupport::Disabled {
            Arc::new(KafkaLog(config_log))
        } else {
            Arc::new(LeaderLog::new(config_log, of(Client::ConfigTopicLeaderProducer)?))
        },
        status_log: Arc::new(KafkaLog(status_log)),
        group,
        peers: Arc::new(HttpPeers::new(startup.peers.clone(), config.protocol.signature_algorithm.clone())),
        offsets: Arc::new(OffsetStore::new(table, Arc::clone(&offset_log) as Arc<dyn OffsetLog>)),
        offsets_topic: Some(offsets_topic),
        herder: distributed_herder(config, &startup, job_log::recovery(&startup.jobs, &opening), &parts.cluster_id),
        sync_timeout: millis(config.storage.sync_timeout),
        mode: WorkerMode::Distributed {
            group_id: config.group.group_id.clone(),
            exactly_once: match config.exactly_once() {
                ExactlyOnceSupport::Enabled => ExactlyOnceSource::Enabled,
                ExactlyOnceSupport::Disabled | ExactlyOnceSupport::Preparing => ExactlyOnceSource::Disabled,
            },
        },
        verification: config.protocol.verification_algorithms.clone(),
        jobs: (opening, jobs_log),
    };
    let (config_log, status_log) = (Arc::clone(&kind.config_log), Arc::clone(&kind.status_log));
    let (worker, tracking, originals) = (&config.worker, &config.topic_tracking, &config.originals);
    let running = assemble(parts, kind, worker, tracking, originals, props, startup)?;
    let read = async {
        let exactly_once = config.exactly_once() == ExactlyOnceSupport::Enabled;
        tokio::try_join!(read_patiently(&*config_log, exactly_once), status_log.read_to_end(), async {
            if exactly_once {
                // What a killed task left open ends when it is started again; whoever needs offsets waits for that.
                return Ok(());
            }
            offset_log.read_to_end(READ_WRITE_TIMEOUT).await.map_err(|error| error.to_string())
        })
    };
    read.await
        .map_err(|error| StartError::Config(format!("failed to read the internal topics to their ends: {error}")))?;
    started(&running).await;
    running.jobs.loaded().await;
    Ok(running)
}

/// Starts a worker that is alone: its configurations and statuses live in memory, its offsets in a file.
///
/// # Errors
/// When Kafka can't be reached, or the offsets file can't be read.
pub async fn start_standalone(config: &StandaloneConfig, startup: Startup) -> Result<Running, StartError> {
    let props = client_props(&config.originals);
    let (_, cluster_id) = connect(&props, &config.worker).await?;
    let parts = parts(cluster_id, &startup.metrics);
    let table = OffsetTable::default();
    let file = FileOffsets::open(Path::new(&config.storage.offset_file), table.clone())?;
    let (to_config, to_status) = (parts.inbox.clone(), parts.inbox.clone());
    let opening = Opening::new(&startup.jobs);
    let jobs_log = job_log::memory(&opening);
    let kind = Kind {
        config_log: Arc::new(MemoryLog::new(Box::new(move |r| deliver(&to_config, Input::Config(r))))),
        status_log: Arc::new(MemoryLog::new(Box::new(move |r| deliver(&to_status, Input::Status(r))))),
        group: Alone::start(),
        peers: Arc::new(NoPeers),
        offsets: Arc::new(OffsetStore::new(table, Arc::new(file))),
        offsets_topic: None,
        herder: HerderConfig {
            worker_id: startup.worker_id.clone(),
            url: startup.advertised_url.clone(),
            protocol: Protocol::Compatible,
            max_delay_ms: 0,
            unsync_backoff_ms: 0,
            key_ttl_ms: u64::MAX,
            key_algorithm: String::new(),
            key_bytes: 0,
            topic_tracking: config.topic_tracking.topic_tracking,
            exactly_once: ExactlyOnceSources::Disabled,
            kafka_cluster_id: parts.cluster_id.clone(),
            catalog: catalog(&startup.registry),
            recovery: job_log::recovery(&startup.jobs, &opening),
        },
        mode: WorkerMode::Standalone,
        sync_timeout: READ_WRITE_TIMEOUT,
        verification: Vec::new(),
        jobs: (opening, jobs_log),
    };
    let (worker, tracking, originals) = (&config.worker, &config.topic_tracking, &config.originals);
    let running = assemble(parts, kind, worker, tracking, originals, props, startup)?;
    started(&running).await;
    running.jobs.loaded().await;
    Ok(running)
}

/// How long a transaction that was left open may keep readers waiting: `transaction.timeout.ms` (one minute), and the
/// time until the broker looks for such ones.
const ABANDONED_TRANSACTION: Duration = Duration::from_secs(120);

/// Reads a log to its end, where a killed leader may have left a transaction open.
async fn read_patiently(log: &dyn Log, transactional: bool) -> Result<(), String> {
    let began = tokio::time::Instant::now();
    loop {
        match log.read_to_end().await {
            Err(error) if transactional && began.elapsed() < ABANDONED_TRANSACTION => {
                tracing::warn!(error, "the config topic can't be read to its end yet, trying again");
            }
            other => return other,
        }
    }
}

async fn started(running: &Running) {
    if running.worker.inbox.send(Input::Event(Event::Started)).await.is_err() {
        tracing::error!("the herder ended while the worker started");
    }
}

fn parts(cluster_id: String, metrics: &Arc<WorkerMetrics>) -> Parts {
    let (inbox, inputs) = mpsc::channel(INBOX);
    let (events, mut news) = mpsc::channel(INBOX);
    let (forward, metrics) = (inbox.clone(), Arc::clone(metrics));
    tokio::spawn(async move {
        while let Some(event) = news.recv().await {
            metrics.unit_event(&event);
            if forward.send(Input::Unit(event)).await.is_err() {
                return;
            }
        }
    });
    Parts { inbox, inputs, events, cluster_id }
}

/// Hands a record to the loop from a log's own thread, which waits when the loop is behind.
fn deliver(inbox: &mpsc::Sender<Input>, input: Input) {
    if inbox.blocking_send(input).is_err() {
        tracing::trace!("a record came after the end of the herder");
    }
}

/// Looks the cluster up: the proof that Kafka is there and lets us in.
async fn connect(props: &ClientProps, worker: &WorkerConfig) -> Result<(Admin, String), StartError> {
    let servers = worker.bootstrap_servers.join(",");
    let failed = |error| {
        let what = format!(
            "Failed to connect to and describe Kafka cluster at {servers}. Check worker's broker connection and security \
             properties."
        );
        StartError::Kafka { what, source: error }
    };
    let admin = client_properties(Client::WorkerAdmin, props, &IndexMap::new(), &OverridePolicy::default(), "")
        .map_err(|refused| StartError::Config(refused.message))?;
    let admin = Admin::open(&admin).map_err(failed)?;
    let cluster_id = admin.cluster_id().await.map_err(failed)?;
    Ok((admin, cluster_id))
}

fn client_props(originals: &Props) -> ClientProps {
    originals.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}

fn millis(ms: impl TryInto<u64>) -> Duration {
    Duration::from_millis(ms.try_into().unwrap_or(0))
}

fn group_config(config: &DistributedConfig, worker_id: &str) -> GroupConfig {
    let client_id = config.client.client_id.as_str();
    GroupConfig {
        group_id: config.group.group_id.clone(),
        client_id: if client_id.is_empty() { format!("connect-{worker_id}") } else { client_id.to_owned() },
        protocol_type: "connect".to_owned(),
        session_timeout: millis(config.group.session_timeout),
        heartbeat_interval: millis(config.group.heartbeat_interval),
        rebalance_timeout: millis(config.group.rebalance_timeout),
        retry_backoff: millis(config.client.retry_backoff),
    }
}

fn distributed_herder(
    config: &DistributedConfig,
    startup: &Startup,
    recovery: RecoveryOf,
    cluster_id: &str,
) -> HerderConfig {
    let protocol = &config.protocol;
    HerderConfig {
        worker_id: startup.worker_id.clone(),
        url: startup.advertised_url.clone(),
        protocol: Protocol::from_setting(&protocol.connect_protocol).unwrap_or(Protocol::Sessioned),
        max_delay_ms: u64::try_from(protocol.rebalance_delay).unwrap_or(0),
        unsync_backoff_ms: u64::try_from(config.storage.unsync_backoff).unwrap_or(0),
        key_ttl_ms: u64::try_from(protocol.key_ttl).unwrap_or(0),
        key_algorithm: protocol.key_algorithm.clone(),
        key_bytes: key_bytes(&protocol.key_algorithm, protocol.key_size),
        topic_tracking: config.topic_tracking.topic_tracking,
        exactly_once: match config.exactly_once() {
            ExactlyOnceSupport::Disabled => ExactlyOnceSources::Disabled,
            ExactlyOnceSupport::Preparing => ExactlyOnceSources::Preparing,
            ExactlyOnceSupport::Enabled => ExactlyOnceSources::Enabled,
        },
        kafka_cluster_id: cluster_id.to_owned(),
        catalog: catalog(&startup.registry),
        recovery,
    }
}

/// `inter.worker.key.size` in bits; without it, what Java's generator of the algorithm makes.
fn key_bytes(algorithm: &str, bits: Option<i32>) -> usize {
    let default = match algorithm {
        "HmacSHA224" => 28,
        "HmacSHA384" => 48,
        "HmacSHA512" => 64,
        _ => 32,
    };
    bits.and_then(|bits| usize::try_from(bits).ok()).map_or(default, |bits| bits.div_ceil(8))
}

fn catalog(registry: &Arc<PluginRegistry>) -> Catalog {
    let registry = Arc::clone(registry);
    Arc::new(move |class| {
        let plugin = registry.connector(class).ok()?;
        let kind = registry.connector_type(Some(class));
        Some(PluginFacts { kind, version: plugin.version.to_owned() })
    })
}

fn assemble(
    parts: Parts,
    kind: Kind,
    config: &WorkerConfig,
    tracking: &TopicTrackingConfig,
    originals: &Props,
    props: ClientProps,
    startup: Startup,
) -> Result<Running, StartError> {
    let policy = ClientOverridePolicy::from_name(&config.override_policy, &config.override_allowlist)
        .map_err(|error| StartError::Config(error.to_string()))?;
    let kafka_policy = match &policy {
        ClientOverridePolicy::All => OverridePolicy::All,
        ClientOverridePolicy::None => OverridePolicy::None,
        ClientOverridePolicy::Principal => OverridePolicy::Principal,
        ClientOverridePolicy::Allowlist(allowed) => OverridePolicy::Allowlist(Arc::clone(allowed)),
    };
    let key_bytes = kind.herder.key_bytes;
    let key_algorithm = kind.herder.key_algorithm.clone();
    let (group, group_events) = kind.group;
    let clients: Arc<dyn Clients> = Arc::new(
        KafkaClients::new(props, kafka_policy, parts.cluster_id)
            .with_offsets_topic(kind.offsets_topic.clone())
            .with_metrics(&startup.metrics),
    );
    let world = World {
        worker_id: startup.worker_id.clone(),
        registry: Arc::clone(&startup.registry),
        resolve: Arc::clone(&startup.resolve),
        clients: Arc::clone(&clients),
    };
    let units = WorkerUnits::new(Shared {
        lease: group.lease(),
        worker: originals.clone(),
        registry: Arc::clone(&startup.registry),
        delivery: Delivery {
            offsets_topic: kind.offsets_topic.as_ref().map(|topic| topic.name.clone()),
            exactly_once: (kind.herder.exactly_once == ExactlyOnceSources::Enabled)
                .then(|| Arc::new(Preflights { inbox: parts.inbox.clone() }) as Arc<dyn Preflight>),
        },
        clients,
        offsets: kind.offsets,
        resolve: Arc::clone(&startup.resolve),
        recovery: Arc::clone(&kind.herder.recovery),
        settings: UnitSettings {
            flush_interval: millis(config.offset_flush_interval).min(millis(startup.jobs.checkpoint_interval)),
            flush_timeout: millis(config.offset_flush_timeout),
            graceful_timeout: millis(config.shutdown_timeout),
            topic_creation: config.topic_creation,
            topic_tracking: tracking.topic_tracking,
        },
        metrics: Arc::clone(&startup.metrics),
        events: parts.events,
    });
    let validator = Arc::new(Validator {
        registry: startup.registry,
        context: ValidationContext { worker: originals.clone(), mode: kind.mode, policy },
        resolve: startup.resolve,
    });
    let view = Arc::new(ArcSwap::from_pointee(ClusterView {
        kafka_cluster_id: kind.herder.kafka_cluster_id.clone(),
        problem: Some("The worker is starting.".to_owned()),
        ..ClusterView::default()
    }));
    let stats = group.stats();
    let client_id =
        stats.as_ref().map_or_else(|| format!("connect-{}", startup.worker_id), |of| of.client_id().to_owned());
    if let Some(stats) = &stats {
        startup.metrics.client(ClientOf::Worker, stats);
    }
    let registry = Arc::clone(&validator.registry);
    startup.metrics.started(Arc::clone(&view), &startup.worker_id, &client_id, registry);
    let metrics = Arc::clone(&startup.metrics);
    let published = Arc::<Notify>::default();
    let hands = Hands {
        metrics: startup.metrics,
        config_log: kind.config_log,
        status_log: kind.status_log,
        group,
        units: Arc::clone(&units) as Arc<dyn crate::unit::Units>,
        peers: kind.peers,
        validator: Arc::clone(&validator),
        log_level: startup.log_level,
        sync_timeout: kind.sync_timeout,
        verification: kind.verification,
        key_bytes,
        key_algorithm,
        published: Arc::clone(&published),
    };
    let drive = Drive::new(Herder::new(kind.herder), hands, parts.inbox.clone(), Arc::clone(&view));
    tokio::spawn(drive.run(parts.inputs));
    tokio::spawn(forward_group(group_events, parts.inbox.clone()));
    let worker = Arc::new(Worker { inbox: parts.inbox, view: Arc::clone(&view), validator });
    let herd = Arc::clone(&worker) as Arc<dyn Herd>;
    let (opening, log) = kind.jobs;
    let jobs = opening.start(log, JobsParts { config: startup.jobs, world, herd, view, published, metrics });
    Ok(Running { worker, units, jobs })
}

async fn forward_group(mut events: mpsc::Receiver<GroupEvent>, inbox: mpsc::Sender<Input>) {
    while let Some(event) = events.recv().await {
        if inbox.send(Input::Group(event)).await.is_err() {
            return;
        }
    }
}

/// True for a class that the registry knows: for the worker's own classes.
pub fn knows(registry: &PluginRegistry, class: &str) -> bool {
    !matches!(registry.lookup(class), Lookup::Unknown)
}
