//! A run of a task: everything it needs is made here, then its loop runs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use connect_api::{
    Error, Phase, Plugin, PluginKind, PluginType, Progress, Result, SinkConnector, SinkContext, SourceConnector,
    SourceContext, TransactionContext,
};
use connect_config::Props;
use connect_plugins::{ConnectorSettings, ErrorTolerance, PluginRegistry, Role, TopicSelection, build_chain};

use tokio::sync::watch;

use crate::acks::{MAX_IN_FLIGHT, Tracker};
use crate::control::{Control, TopicsUsed};
use crate::convert::{ConverterClasses, Converters, Encoder};
use crate::dead_letters::{DeadLetterConfig, DeadLetters};
use crate::exactly_once::Preflight;
use crate::failure::ErrorPolicy;
use crate::io::{Produce, Subscription};
use crate::metrics::{TaskFacts, TaskMetrics};
use crate::offsets::TaskOffsets;
use crate::own_offsets;
use crate::report::Reporter;
use crate::sink::{PUT_PATIENCE, SLOW_PUT, SinkLoop};
use crate::source::{Dropped, SourceLoop, SourceSettings};
use crate::topic_creation::TopicCreation;
use crate::transactional_source::{Boundary, TransactionalLoop};
use crate::transactions::Transact;
use crate::unit::{TaskStart, UnitNews};
use crate::units::{Shared, present};

/// A task that is being made.
struct Making {
    shared: Arc<Shared>,
    start: TaskStart,
    /// The connector's configuration, resolved.
    connector: Props,
    /// The task's configuration, resolved.
    config: Props,
    control: Control,
    metrics: Arc<TaskMetrics>,
    epoch: Arc<AtomicU64>,
}

/// The connector plugin of a configuration.
pub(crate) fn plugin_of<'a>(registry: &'a PluginRegistry, props: &Props) -> Result<&'a Plugin> {
    let class = props.get("connector.class").and_then(Option::as_deref).map(str::trim).ok_or_else(|| {
        Error::config("Missing required configuration \"connector.class\" which has no default value.")
    })?;
    registry.connector(class)
}

/// Runs a task until its end is wanted or it fails.
pub(crate) async fn run(
    shared: Arc<Shared>,
    start: TaskStart,
    control: Control,
    metrics: Arc<TaskMetrics>,
    epoch: Arc<AtomicU64>,
) -> Result<()> {
    let connector = (shared.resolve)(&start.connector)?;
    let given: Props = start.config.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let config = (shared.resolve)(&given)?;
    let plugin = plugin_of(&shared.registry, &connector)?.clone();
    metrics.describe(TaskFacts::of(&shared.registry, &shared.worker, &connector, &config, &plugin));
    let making = Making { shared, start, connector, config, control, metrics, epoch };
    match &plugin.kind {
        PluginKind::Source(source) => making.source(&**source).await,
        PluginKind::Sink(sink) => making.sink(&**sink).await,
        _ => Err(Error::connect(format!("{} is not a connector", plugin.class))),
    }
}

/// Where the transactions of a source end, when it has any.
fn boundary_of(settings: &ConnectorSettings, flush_interval: Duration) -> Boundary {
    let Role::Source { config, .. } = &settings.role else { return Boundary::Poll };
    match config.transaction_boundary.to_lowercase().as_str() {
        "interval" => {
            let given = config.transaction_interval.and_then(|ms| u64::try_from(ms).ok());
            Boundary::Interval(given.map_or(flush_interval, Duration::from_millis))
        }
        "connector" => Boundary::Connector(TransactionContext::default()),
        _ => Boundary::Poll,
    }
}

impl Making {
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.start.id.connector)
    }

    fn converters(&self) -> Result<Converters> {
        let pipeline = build_chain(&self.shared.registry, &self.shared.worker, &self.connector)?;
        let class = |key: &str, otherwise: &str| -> Arc<str> {
            let given = [&self.connector, &self.shared.worker].into_iter().find_map(|props| props.get(key)?.as_deref());
            let given = given.unwrap_or(otherwise).trim();
            Arc::from(self.shared.registry.any(given).map_or(given, |plugin| plugin.class))
        };
        let classes = ConverterClasses {
            key: class("key.converter", ""),
            value: class("value.converter", ""),
            header: class("header.converter", "org.apache.kafka.connect.storage.SimpleHeaderConverter"),
        };
        Ok(Converters::new(pipeline, classes))
    }

    fn reporter(&self, settings: &ConnectorSettings, dead_letters: Option<DeadLetters>) -> Reporter {
        let policy = ErrorPolicy {
            tolerate: settings.tolerance() == ErrorTolerance::All,
            retry_timeout_ms: settings.common.retry_timeout,
            retry_delay_max_ms: settings.common.retry_delay_max,
            log: settings.common.log_errors,
            log_messages: settings.common.log_messages,
        };
        let metrics = Arc::clone(&self.metrics);
        Reporter { policy, connector: self.name(), task: self.start.id.task, metrics, dead_letters }
    }

    fn used(&self) -> TopicsUsed {
        TopicsUsed::new(Arc::clone(&self.epoch), self.shared.settings.topic_tracking)
    }

    async fn source(self, source: &dyn SourceConnector) -> Result<()> {
        let (name, task) = (self.name(), self.start.id.task);
        let settings = ConnectorSettings::parse(PluginType::Source, &self.connector)?;
        let resolved = present(&self.connector);
        let encoder = Encoder::new(self.converters()?);
        let transactional = match &self.shared.delivery.exactly_once {
            None => None,
            Some(preflight) => match self.take_over(&**preflight).await? {
                Some(producer) => Some(producer),
                None => return Ok(()),
            },
        };
        let producer = match &transactional {
            Some(producer) => Arc::clone(producer) as Arc<dyn Produce>,
            None => self.shared.clients.source_producer(&name, task, &resolved)?,
        };
        let offsets = tokio::select! {
            offsets = own_offsets::store_of(&self.shared, &name, task, &resolved) => offsets?,
            () = self.control.cancel.cancelled() => return Ok(()),
        };
        let boundary = boundary_of(&settings, self.shared.settings.flush_interval);
        let topics = match &settings.role {
            Role::Source { topic_creation, .. }
                if self.shared.settings.topic_creation && !topic_creation.is_empty() =>
            {
                let admin = self.shared.clients.source_topics(&name, task, &resolved)?;
                TopicCreation::new(topic_creation.clone(), admin)?
            }
            _ => TopicCreation::off(),
        };
        let reporter = self.reporter(&settings, None);
        let metrics = Arc::clone(&self.metrics);
        let recovers = (self.shared.recovery)(&name).enabled;
        // A task that says nothing of its progress counts as connected once it has started.
        let (connection, connected) = watch::channel(true);
        let context = SourceContext {
            connector: Arc::clone(&name),
            task,
            offsets: Arc::new(TaskOffsets { store: Arc::clone(&offsets), connector: name }),
            cancel: self.control.cancel.clone(),
            progress: Arc::new(move |progress: Progress| {
                let connected = progress.phase != Phase::Init;
                connection.send_if_modified(|known| std::mem::replace(known, connected) != connected);
                metrics.set_progress(progress);
            }),
            metrics: self.metrics.plugins(),
            transactions: match &boundary {
                Boundary::Connector(context) if transactional.is_some() => Some(context.clone()),
                _ => None,
            },
            recovers,
        };
        let started = tokio::select! {
            started = source.start_task(self.config.clone(), context) => started?,
            () = self.control.cancel.cancelled() => return Ok(()),
        };
        self.control.tell(UnitNews::Running).await;
        let offsets_topic = transactional.as_ref().and_then(|_| {
            own_offsets::topic_of(&self.shared.delivery, own_offsets::own_topic(&resolved)).map(Arc::<str>::from)
        });
        // Within a transaction no failure to send can be tolerated.
        let tolerate = reporter.policy.tolerate && transactional.is_none();
        let source_loop = SourceLoop {
            task: started,
            encoder,
            producer,
            tracker: Tracker::new(MAX_IN_FLIGHT, tolerate),
            offsets,
            reporter,
            topics,
            used: self.used(),
            metrics: Arc::clone(&self.metrics),
            settings: SourceSettings {
                flush_interval: self.shared.settings.flush_interval,
                flush_timeout: self.shared.settings.flush_timeout,
            },
            exactly_once: offsets_topic.clone(),
            recovery: Arc::clone(&self.shared.recovery),
            recovers,
            connected,
            dropped: Dropped::default(),
            control: self.control,
        };
        source_loop.metrics.follow(source_loop.tracker.ring());
        match (transactional, offsets_topic) {
            (Some(producer), Some(topic)) => TransactionalLoop::new(source_loop, producer, topic, boundary).run().await,
            _ => source_loop.run().await,
        }
    }

    /// Takes the task's transactional id: those who had it before can't write any more, and only then it is asked whether
    /// this run is still wanted. `None` when the run is to end, or lost its right to work: then nobody may be fenced, since
    /// another worker may have the task.
    async fn take_over(&self, preflight: &dyn Preflight) -> Result<Option<Arc<dyn Transact>>> {
        let (id, control) = (&self.start.id, &self.control);
        let taking = async {
            preflight.fence_predecessors(&id.connector).await?;
            let config = present(&self.connector);
            let producer = self.shared.clients.transactional_producer(&id.connector, id.task, &config)?;
            producer.init(&|| control.may_work()).await?;
            preflight.may_begin(id, self.start.run).await?;
            Ok(producer)
        };
        tokio::select! {
            biased;
            () = control.lost() => Ok(None),
            () = control.cancel.cancelled() => Ok(None),
            taken = taking => match taken {
                Err(_) if !control.may_work() => Ok(None),
                taken => taken.map(Some),
            },
        }
    }

    async fn sink(self, sink: &dyn SinkConnector) -> Result<()> {
        let (name, task) = (self.name(), self.start.id.task);
        let settings = ConnectorSettings::parse(PluginType::Sink, &self.connector)?;
        let resolved = present(&self.connector);
        let converters = self.converters()?;
        let dead_letters = self.dead_letters(&settings).await?;
        let context = SinkContext {
            connector: Arc::clone(&name),
            task,
            cancel: self.control.cancel.clone(),
            reports_errors: dead_letters.is_some() || settings.common.log_errors,
            metrics: self.metrics.plugins(),
        };
        let Role::Sink { topics, .. } = &settings.role else {
            return Err(Error::connect("the settings of a sink are those of a source"));
        };
        let subscription = match topics {
            TopicSelection::List(topics) => Subscription::Topics(topics.clone()),
            TopicSelection::Regex(pattern) => Subscription::Pattern(pattern.clone()),
        };
        let started = tokio::select! {
            started = sink.start_task(self.config.clone(), context) => started?,
            () = self.control.cancel.cancelled() => return Ok(()),
        };
        let consumer = self.shared.clients.sink_consumer(&name, task, &resolved, subscription)?;
        self.metrics.consumer(consumer.stats());
        self.control.tell(UnitNews::Running).await;
        let sink_loop = SinkLoop {
            task: started,
            converters,
            consumer,
            reporter: self.reporter(&settings, dead_letters),
            used: self.used(),
            metrics: Arc::clone(&self.metrics),
            flush_interval: self.shared.settings.flush_interval,
            flush_timeout: self.shared.settings.flush_timeout,
            slow_put: SLOW_PUT,
            patience: PUT_PATIENCE,
            recovery: Arc::clone(&self.shared.recovery),
            control: self.control,
        };
        sink_loop.run().await
    }

    async fn dead_letters(&self, settings: &ConnectorSettings) -> Result<Option<DeadLetters>> {
        let (Some(topic), Role::Sink { config, .. }) = (settings.dead_letter_topic(), &settings.role) else {
            return Ok(None);
        };
        let (name, task) = (self.name(), self.start.id.task);
        let resolved = present(&self.connector);
        let letters = DeadLetterConfig {
            topic: topic.to_owned(),
            replication_factor: config.dlq_replication_factor,
            context_headers: config.dlq_headers,
        };
        let producer = self.shared.clients.dead_letter_producer(&name, task, &resolved)?;
        let topics = self.shared.clients.sink_topics(&name, task, &resolved)?;
        DeadLetters::open(letters, producer, &*topics, name, task).await.map(Some)
    }
}
