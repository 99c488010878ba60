//! The consumer's thread: polls librdkafka, keeps the order between records and rebalances.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::ConsumerRecord;
use super::batch::Batch;
use crate::security::text;
use crate::translate::{ClientKind, translate};
use crate::{ClientProps, Error, ErrorKind, Result, TopicPartition, context};

/// How long one poll waits: the time it takes at most to see a stop or a seek.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Batches between the thread and the owner.
const SIGNALS_MAX: usize = 2;
/// `max.poll.records` when it is not set. Java has 500; larger batches cost less for each record.
const RECORDS_MAX_DEFAULT: usize = 2000;
/// How long a seek may wait for a partition that was just assigned to be fetched.
const SEEK_WAIT: Duration = Duration::from_secs(30);

/// What the thread tells the owner's side, in order.
pub(super) enum Signal {
    Records(Vec<ConsumerRecord>),
    Assigned(Vec<TopicPartition>),
    Revoked {
        partitions: Vec<TopicPartition>,
        lost: bool,
        done: oneshot::Sender<()>,
    },
    /// The seek with this id has been carried out: what follows was read after it.
    Sought {
        partition: TopicPartition,
        id: u64,
    },
    Failed(Error),
}

/// A seek to be carried out between polls.
pub(super) struct Seek {
    pub(super) partition: TopicPartition,
    pub(super) offset: i64,
    pub(super) id: u64,
    pub(super) done: oneshot::Sender<Result<()>>,
}

pub(super) struct ReaderContext {
    signals: mpsc::Sender<Signal>,
    /// Collected and not handed over yet; a rebalance hands it over first.
    batch: Mutex<Batch>,
    runtime: Handle,
    /// `max.poll.interval.ms`: how long the group waits for us.
    rebalance_wait: Duration,
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}
}

impl ConsumerContext for ReaderContext {
    /// Runs on the reader's thread, within a poll.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.flush();
        let named = partitions
            .elements()
            .iter()
            .map(|element| TopicPartition::new(element.topic(), element.partition()))
            .collect();
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            if let Err(error) = consumer.assign(partitions) {
                self.tell(Signal::Failed(context::error("take over partitions", error)));
            }
            self.tell(Signal::Assigned(named));
            return;
        }
        let (done, answered) = oneshot::channel();
        self.tell(Signal::Revoked { partitions: named, lost: consumer.assignment_lost(), done });
        // Answered, dropped, or too late for the group: in each case the rebalance goes on.
        let _answer = self.runtime.block_on(async { tokio::time::timeout(self.rebalance_wait, answered).await });
        if let Err(error) = consumer.unassign() {
            self.tell(Signal::Failed(context::error("give up partitions", error)));
        }
    }
}

impl ReaderContext {
    /// Waits for room. When the owner is gone there is nobody to tell.
    fn tell(&self, signal: Signal) {
        let _gone = self.signals.blocking_send(signal);
    }

    fn flush(&self) {
        let records = self.batch.lock().take();
        if let Some(records) = records {
            self.tell(Signal::Records(records));
        }
    }
}

/// A started reader.
pub(super) struct Started {
    pub(super) inner: Arc<BaseConsumer<ReaderContext>>,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) seeks: std::sync::mpsc::Sender<Seek>,
    pub(super) thread: JoinHandle<()>,
}

/// Opens the client and starts the thread.
pub(super) fn start(props: &ClientProps, stopping: &Arc<AtomicBool>, runtime: &Handle) -> Result<Started> {
    let mut translated = translate(ClientKind::Consumer, props)?;
    translated.log_ignored(props.get("client.id").map_or("consumer", String::as_str));
    if !translated.settings.contains_key("group.id") {
        return Err(Error::new(ErrorKind::Config, "group.id is missing"));
    }
    // Offsets are committed by the task, never behind its back.
    translated.settings.entry("enable.auto.commit").or_insert_with(|| "false".to_owned());
    let rebalance_wait = translated.settings.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok());
    let (sender, signals) = mpsc::channel(SIGNALS_MAX);
    let (seeks, seek_receiver) = std::sync::mpsc::channel();
    let context = ReaderContext {
        signals: sender,
        batch: Mutex::new(Batch::new(records_max(props)?)),
        runtime: runtime.clone(),
        rebalance_wait: Duration::from_millis(rebalance_wait.unwrap_or(300_000)),
    };
    let inner = BaseConsumer::from_config_and_context(&translated.client_config(), context)
        .map_err(|error| context::error("open a consumer", error))?;
    let inner = Arc::new(inner);
    let reader = Reader { consumer: Arc::clone(&inner), seeks: seek_receiver, stopping: Arc::clone(stopping) };
    let thread = std::thread::Builder::new()
        .name("consumer".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| Error::new(ErrorKind::Fatal, "failed to start a thread").with_source(error))?;
    Ok(Started { inner, signals, seeks, thread })
}

fn records_max(props: &ClientProps) -> Result<usize> {
    let Some(value) = text(props, "max.poll.records") else { return Ok(RECORDS_MAX_DEFAULT) };
    value.parse().ok().filter(|records| *records > 0).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            format!("max.poll.records has the value '{value}', which is not a number above 0"),
        )
    })
}

struct Reader {
    consumer: Arc<BaseConsumer<ReaderContext>>,
    seeks: std::sync::mpsc::Receiver<Seek>,
    stopping: Arc<AtomicBool>,
}

impl Reader {
    fn run(self) {
        while !self.stopping.load(Ordering::Acquire) {
            while let Ok(seek) = self.seeks.try_recv() {
                self.seek(seek);
            }
            self.collect();
            self.consumer.context().flush();
        }
        // The last to hold the client ends it, which leaves the group; the channel is closed, so nothing waits for the owner.
        drop(self.consumer);
    }

    /// One batch: waits for the first message, then takes what is there.
    fn collect(&self) {
        let context = self.consumer.context();
        let mut wait = POLL_WAIT;
        while !context.batch.lock().is_full() {
            match self.consumer.poll(wait) {
                None => return,
                Some(Ok(message)) => context.batch.lock().push(&message),
                Some(Err(error)) => self.failed(error),
            }
            wait = Duration::ZERO;
        }
    }

    fn failed(&self, error: KafkaError) {
        let context = self.consumer.context();
        let told = match error.rdkafka_error_code() {
            // Only librdkafka's own words for an offset that is gone with `auto.offset.reset=none`.
            Some(RDKafkaErrorCode::AutoOffsetReset) => true,
            _ => false,
        };
        let error = context::error("read", error);
        match error.kind() {
            ErrorKind::Authorization | ErrorKind::Authentication | ErrorKind::Fatal => {
                context.flush();
                context.tell(Signal::Failed(error));
            }
            _ if told => {
                context.flush();
                context.tell(Signal::Failed(error));
            }
            ErrorKind::NotFound => tracing::warn!("{error}"),
            _ => tracing::debug!("{error}"),
        }
    }

    fn seek(&self, seek: Seek) {
        let Seek { partition, offset, id, done } = seek;
        let context = self.consumer.context();
        context.flush();
        let started = Instant::now();
        let outcome = loop {
            match self.consumer.seek(
                &partition.topic,
                partition.partition,
                Offset::Offset(offset),
                Duration::from_secs(5),
            ) {
                Ok(()) => break Ok(()),
                // Assigned just now and not fetched yet; polling on would hand out records from before the seek.
                Err(_) if started.elapsed() < SEEK_WAIT && !self.stopping.load(Ordering::Acquire) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => break Err(context::error("seek", error).context(format_args!("partition {partition}"))),
            }
        };
        context.tell(Signal::Sought { partition, id });
        // The owner may have stopped waiting.
        let _gone = done.send(outcome);
    }
}
