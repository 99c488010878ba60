//! The consumer's thread: polls librdkafka, keeps the order between records and rebalances.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::ConsumerRecord;
use super::batch::Batch;
use super::starts::Reset;
use crate::security::text;
use crate::stats::{self, ClientStats, StatsOf};
use crate::translate::{ClientKind, invalid, translate};
use crate::{ClientProps, Error, ErrorKind, Result, TopicPartition, context};

/// How long one poll waits: the time it takes at most to see a stop or a seek.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Batches between the thread and the owner.
pub(super) const SIGNALS_MAX: usize = 1;
/// `max.poll.records` when it is not set, as in Java. Larger batches leave the processor's cache between one step and the next.
const RECORDS_MAX_DEFAULT: usize = 500;
/// How long a seek may wait for a partition that was just assigned to be fetched.
const SEEK_WAIT: Duration = Duration::from_secs(30);

/// What the thread tells the owner's side, in order.
pub(super) enum Signal {
    Records(Vec<ConsumerRecord>),
    /// Everything below these offsets was read; they are ends.
    Reached(Vec<(TopicPartition, i64)>),
    Assigned {
        partitions: Vec<TopicPartition>,
        /// They come to those that are there (a cooperative rebalance).
        more: bool,
    },
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

/// Seeks that wait for the thread.
pub(super) struct Seeks {
    incoming: std::sync::mpsc::Receiver<Seek>,
    /// Looked at during a rebalance, and to be carried out after it.
    kept: VecDeque<Seek>,
}

impl Seeks {
    pub(super) fn new(incoming: std::sync::mpsc::Receiver<Seek>) -> Self {
        Self { incoming, kept: VecDeque::new() }
    }

    pub(super) fn next(&mut self) -> Option<Seek> {
        self.kept.pop_front().or_else(|| self.incoming.try_recv().ok())
    }

    /// Takes out those of partitions that were given up: carried out later, they would move a partition that has come back
    /// meanwhile to where its last assignment was.
    pub(super) fn void(&mut self, given_up: &[TopicPartition]) -> Vec<Seek> {
        let waiting = std::mem::take(&mut self.kept).into_iter().chain(self.incoming.try_iter());
        let (void, kept): (Vec<_>, Vec<_>) = waiting.partition(|seek| given_up.contains(&seek.partition));
        self.kept = kept.into();
        void
    }
}

pub(super) struct ReaderContext {
    pub(super) stats: Arc<ClientStats>,
    /// A revocation waits for the owner's answer, and the thread with it: seeks are carried out afterwards.
    pub(super) revoking: AtomicBool,
    seeks: Mutex<Seeks>,
    /// Positions that librdkafka still told of an assignment before when these partitions were assigned.
    stale: Mutex<HashMap<TopicPartition, i64>>,
    /// Says whose consumer it is, on log lines from librdkafka's own threads.
    span: tracing::Span,
    signals: mpsc::Sender<Signal>,
    /// Collected and not handed over yet; a rebalance hands it over first.
    batch: Mutex<Batch>,
    runtime: Handle,
    /// `max.poll.interval.ms`: how long the group waits for us.
    rebalance_wait: Duration,
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.span.in_scope(|| context::log(level, facility, message));
    }

    fn stats(&self, statistics: Statistics) {
        self.stats.take(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::client_error("consumer", &error, reason);
    }
}

impl ConsumerContext for ReaderContext {
    /// Runs on the reader's thread, within a poll.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.flush();
        let named: Vec<TopicPartition> = partitions
            .elements()
            .iter()
            .map(|element| TopicPartition::new(element.topic(), element.partition()))
            .collect();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let taken = if cooperative { consumer.incremental_assign(partitions) } else { consumer.assign(partitions) };
            if let Err(error) = taken {
                self.tell(Signal::Failed(context::error("take over partitions", error)));
            }
            // What it has got back may have been committed by others meanwhile, or not at all.
            self.stale.lock().extend(positions(consumer).into_iter().filter(|(of, _)| named.contains(of)));
            self.tell(Signal::Assigned { partitions: named, more: cooperative });
            return;
        }
        let (done, answered) = oneshot::channel();
        self.revoking.store(true, Ordering::Release);
        self.tell(Signal::Revoked { partitions: named.clone(), lost: consumer.assignment_lost(), done });
        // Answered, dropped, or too late for the group: in each case the rebalance goes on.
        let _answer = self.runtime.block_on(async { tokio::time::timeout(self.rebalance_wait, answered).await });
        let given_up = if cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() };
        if let Err(error) = given_up {
            self.tell(Signal::Failed(context::error("give up partitions", error)));
        }
        let void = self.seeks.lock().void(&named);
        for Seek { partition, id, done, .. } in void {
            self.tell(Signal::Sought { partition, id });
            let _gone = done.send(Ok(()));
        }
        self.revoking.store(false, Ordering::Release);
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

    /// Positions that are known to be those of the present assignment.
    fn fresh(&self, mut positions: Vec<(TopicPartition, i64)>) -> Vec<(TopicPartition, i64)> {
        let mut stale = self.stale.lock();
        if !stale.is_empty() {
            stale.retain(|partition, old| positions.iter().any(|(of, now)| of == partition && now == old));
            positions.retain(|(partition, _)| !stale.contains_key(partition));
        }
        positions
    }
}

/// Up to where each assigned partition was read, markers and aborted records included, as far as anything was.
fn positions(consumer: &BaseConsumer<ReaderContext>) -> Vec<(TopicPartition, i64)> {
    let list = match consumer.position() {
        Ok(list) => list,
        Err(error) => {
            tracing::debug!("the positions of a consumer are not known: {error}");
            return Vec::new();
        }
    };
    let known = list.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((TopicPartition::new(element.topic(), element.partition()), offset)),
        _ => None,
    });
    known.collect()
}

/// A started reader.
pub(super) struct Started {
    pub(super) inner: Arc<BaseConsumer<ReaderContext>>,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) seeks: std::sync::mpsc::Sender<Seek>,
    pub(super) thread: JoinHandle<()>,
    pub(super) reset: Reset,
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
    // The last offset of a partition may be the marker of a transaction, which is no record.
    translated.settings.insert("enable.partition.eof", "true".to_owned());
    let rebalance_wait = translated.settings.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok());
    let reset = Reset::of(translated.settings.get("auto.offset.reset").map(String::as_str));
    let (sender, signals) = mpsc::channel(SIGNALS_MAX);
    let (seeks, seek_receiver) = std::sync::mpsc::channel();
    translated.settings.entry(stats::INTERVAL).or_insert_with(|| stats::INTERVAL_MS.to_owned());
    let client_id = props.get("client.id").map_or("", String::as_str);
    let context = ReaderContext {
        stats: ClientStats::new(StatsOf::Consumer, client_id),
        revoking: AtomicBool::new(false),
        seeks: Mutex::new(Seeks::new(seek_receiver)),
        stale: Mutex::default(),
        span: tracing::Span::current(),
        signals: sender,
        batch: Mutex::new(Batch::new(records_max(props)?)),
        runtime: runtime.clone(),
        rebalance_wait: Duration::from_millis(rebalance_wait.unwrap_or(300_000)),
    };
    let inner = BaseConsumer::from_config_and_context(&translated.client_config(), context)
        .map_err(|error| context::error("open a consumer", error))?;
    let inner = Arc::new(inner);
    let reader = Reader { consumer: Arc::clone(&inner), stopping: Arc::clone(stopping) };
    let span = tracing::Span::current();
    let thread = std::thread::Builder::new()
        .name("consumer".to_owned())
        .spawn(move || span.in_scope(|| reader.run()))
        .map_err(|error| Error::new(ErrorKind::Fatal, "failed to start a thread").with_source(error))?;
    Ok(Started { inner, signals, seeks, thread, reset })
}

fn records_max(props: &ClientProps) -> Result<usize> {
    let Some(value) = text(props, "max.poll.records") else { return Ok(RECORDS_MAX_DEFAULT) };
    let records: i64 = value.parse().map_err(|_| invalid("max.poll.records", value, "Not a number of type INT"))?;
    if records < 1 {
        return Err(invalid("max.poll.records", value, "Value must be at least 1"));
    }
    Ok(usize::try_from(records).unwrap_or(usize::MAX))
}

struct Reader {
    consumer: Arc<BaseConsumer<ReaderContext>>,
    stopping: Arc<AtomicBool>,
}

impl Reader {
    fn run(self) {
        while !self.stopping.load(Ordering::Acquire) {
            while let Some(seek) = self.next_seek() {
                self.seek(seek);
            }
            let ended = self.collect();
            self.consumer.context().flush();
            if !ended.is_empty() {
                self.tell_ends(&ended);
            }
        }
        // The last to hold the client ends it, which leaves the group; the channel is closed, so nothing waits for the owner.
        drop(self.consumer);
    }

    fn next_seek(&self) -> Option<Seek> {
        self.consumer.context().seeks.lock().next()
    }

    /// One batch: waits for the first message, then takes what is there. Gives the numbers of partitions whose ends were
    /// reached meanwhile.
    fn collect(&self) -> BTreeSet<i32> {
        let context = self.consumer.context();
        let mut ended = BTreeSet::new();
        let mut wait = POLL_WAIT;
        while !context.batch.lock().is_full() {
            match self.consumer.poll(wait) {
                None => {
                    if !wait.is_zero() {
                        context.batch.lock().rest();
                    }
                    break;
                }
                Some(Ok(message)) => context.batch.lock().push(&message),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) => self.failed(error),
            }
            wait = Duration::ZERO;
        }
        ended
    }

    /// Tells how far partitions with these numbers were read. Positions move with what polls gave, and all of that is flushed:
    /// so they are true also of a partition of that number that is not at its end.
    fn tell_ends(&self, ended: &BTreeSet<i32>) {
        let context = self.consumer.context();
        let mut ends = context.fresh(positions(&self.consumer));
        ends.retain(|(partition, _)| ended.contains(&partition.partition));
        if !ends.is_empty() {
            context.tell(Signal::Reached(ends));
        }
    }

    fn failed(&self, error: KafkaError) {
        let context = self.consumer.context();
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            // Only librdkafka's own words for an offset that is gone with `auto.offset.reset=none`.
            let said = "Fetch position is out of range and there is no reset policy";
            let error = Error::new(ErrorKind::Refused, format!("failed to read: {said}"))
                .with_java("org.apache.kafka.clients.consumer.OffsetOutOfRangeException", said);
            context.flush();
            context.tell(Signal::Failed(error));
            return;
        }
        let error = context::error("read", error);
        match error.kind() {
            ErrorKind::Authorization | ErrorKind::Authentication | ErrorKind::Fatal => {
                context.flush();
                context.tell(Signal::Failed(error));
            }
            ErrorKind::NotFound => tracing::warn!("{error}"),
            _ => tracing::debug!("{error}"),
        }
    }

    /// A partition that is not ours any more is left alone: the owner hears of its revocation in band.
    fn seek(&self, seek: Seek) {
        let Seek { partition, offset, id, done } = seek;
        let context = self.consumer.context();
        context.flush();
        let started = Instant::now();
        let outcome = loop {
            if !self.holds(&partition) {
                break Ok(());
            }
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
        // The owner does not wait while a revocation goes first. Then it has to hear in band that it would read on from the
        // wrong place.
        if let Err(Err(error)) = done.send(outcome) {
            context.tell(Signal::Failed(error));
        }
        context.tell(Signal::Sought { partition, id });
    }

    fn holds(&self, partition: &TopicPartition) -> bool {
        // Not known: the seek itself will tell.
        let assignment = self.consumer.assignment();
        assignment.map_or(true, |list| list.find_partition(&partition.topic, partition.partition).is_some())
    }
}
