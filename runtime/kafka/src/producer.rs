//! The producer: records in, outcomes out by token, on librdkafka.
//!
//! One producer is shared by everything with the same properties. `send` never waits: a full queue is back-pressure that the
//! caller sees. Every accepted record has exactly one outcome, delivered to its [`AckSink`] by one thread, in order within a
//! partition; there is no future per record.
//!
//! Order and durability: the JVM worker gives its producers `enable.idempotence=false` with
//! `max.in.flight.requests.per.connection=1`, which keeps order without idempotence. Those settings are passed on as they
//! are. Without them a producer is idempotent with five requests in flight, as in Java, which keeps order as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Statistics};
use tokio::sync::{Notify, oneshot};

use crate::request_limit::RequestLimit;
use crate::stats::{self, ClientStats, StatsOf};
use crate::translate::{ClientKind, translate};
use crate::{ClientProps, Error, ErrorKind, Result, context, record_size};

/// How long [`Producer::room`] waits at most before it lets the caller try again.
const ROOM_WAIT: Duration = Duration::from_millis(20);

/// Bounds of one blocking transactional call, which is repeated when more time is left.
const CALL_MIN: Duration = Duration::from_millis(100);
const CALL_MAX: Duration = Duration::from_secs(5);
/// The pause before such a call is repeated.
const CALL_PAUSE: Duration = Duration::from_millis(50);

/// A record to be sent. Nothing is kept after `send`: librdkafka copies it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    /// `None`: chosen by the key as Java's default partitioner does (murmur2), sticky without a key.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None`: now. 0 also means now, because librdkafka has no other way to say it.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl<'a> Message<'a> {
    /// A record with key and value only.
    pub const fn new(topic: &'a str, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self { topic, partition: None, timestamp_ms: None, key, value, headers: &[] }
    }
}

/// Where a record was written. The offset is -1 when `acks=0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

/// Receives the outcome of every record that `send` accepted, exactly once, on the producer's own thread, in the order of
/// delivery of each partition. It must not block.
pub trait AckSink: Send + Sync + 'static {
    /// The record sent with `token` is durable, or will never be written.
    fn delivered(&self, token: u64, outcome: Result<Position>);
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum SendError {
    /// The queue is full, or the brokers are being asked whether they take a record as large: back-pressure. Wait with
    /// [`Producer::room`], then send it again.
    QueueFull,
    /// The record cannot be sent.
    Refused(Error),
}

/// What travels with a record through librdkafka.
struct Delivery {
    token: u64,
    sink: Arc<dyn AckSink>,
}

struct Context {
    stats: Arc<ClientStats>,
    /// Accepted records without outcome.
    in_flight: AtomicUsize,
    /// Somebody waits for the number in flight to fall to `wake_at`.
    waiting: AtomicBool,
    wake_at: AtomicUsize,
    fallen: Notify,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.stats.take(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", reason, "producer: {error}");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => Ok(Position { partition: message.partition(), offset: message.offset() }),
            Err((error, message)) => {
                Err(context::error("write a record", error.clone()).context(format_args!("topic {}", message.topic())))
            }
        };
        delivery.sink.delivered(delivery.token, outcome);
        let left = self.in_flight.fetch_sub(1, Ordering::AcqRel) - 1;
        if self.waiting.load(Ordering::Acquire) && left <= self.wake_at.load(Ordering::Acquire) {
            self.waiting.store(false, Ordering::Release);
            self.fallen.notify_waiters();
        }
    }
}

impl Context {
    fn new(stats: Arc<ClientStats>) -> Self {
        Self {
            stats,
            in_flight: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            wake_at: AtomicUsize::new(0),
            fallen: Notify::new(),
        }
    }

    /// Waits until at most `wake_at` records are in flight, `wait` at most.
    async fn fall_to(&self, wake_at: usize, wait: Duration) {
        let fallen = self.fallen.notified();
        tokio::pin!(fallen);
        fallen.as_mut().enable();
        // Several may wait: the highest mark wakes everybody, who then look for themselves.
        if self.waiting.swap(true, Ordering::AcqRel) {
            self.wake_at.fetch_max(wake_at, Ordering::AcqRel);
        } else {
            self.wake_at.store(wake_at, Ordering::Release);
        }
        if self.in_flight.load(Ordering::Acquire) > wake_at {
            let _woken_or_over = tokio::time::timeout(wait, fallen).await;
        }
    }
}

/// A producer; share one per set of properties.
pub struct Producer {
    inner: ThreadedProducer<Context>,
    limits: record_size::Limits,
    request_limit: RequestLimit,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl Producer {
    /// Opens a producer with Java client properties. Does not wait for a connection.
    pub fn open(props: &ClientProps) -> Result<Self> {
        let mut translated = translate(ClientKind::Producer, props)?;
        translated.log_ignored(props.get("client.id").map_or("producer", String::as_str));
        translated.settings.entry(stats::INTERVAL).or_insert_with(|| stats::INTERVAL_MS.to_owned());
        let client_id = props.get("client.id").map_or("", String::as_str);
        let context = Context::new(ClientStats::new(StatsOf::Producer, client_id));
        let inner = ThreadedProducer::<Context, NoCustomPartitioner>::from_config_and_context(
            &translated.client_config(),
            context,
        )
        .map_err(|error| context::error("open a producer", error))?;
        Ok(Self { inner, limits: record_size::Limits::of(props), request_limit: RequestLimit::of(props) })
    }

    fn context(&self) -> &Context {
        self.inner.context()
    }

    /// What its connections carry.
    pub fn stats(&self) -> Arc<ClientStats> {
        Arc::clone(&self.context().stats)
    }

    /// Queues a record. `sink` will hear of `token` exactly once if, and only if, this returns `Ok`. Does not block.
    pub fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        // librdkafka has a floor of its own under this limit.
        let size = record_size::check(&message, self.limits).map_err(SendError::Refused)?;
        self.request_limit.check(message.topic, size)?;
        let mut record: BaseRecord<'_, [u8], [u8], Box<Delivery>> =
            BaseRecord::with_opaque_to(message.topic, Box::new(Delivery { token, sink: Arc::clone(sink) }));
        record.key = message.key;
        record.payload = message.value;
        record.partition = message.partition;
        record.timestamp = message.timestamp_ms;
        if !message.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
            for (key, value) in message.headers {
                headers = headers.insert(Header { key, value: *value });
            }
            record.headers = Some(headers);
        }
        // Counted before sending, because the outcome may come before `send` returns.
        self.context().in_flight.fetch_add(1, Ordering::AcqRel);
        self.inner.send(record).map_err(|(error, _record)| {
            self.context().in_flight.fetch_sub(1, Ordering::AcqRel);
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => SendError::QueueFull,
                _ => SendError::Refused(
                    self.error("queue a record", error).context(format_args!("topic {}", message.topic)),
                ),
            }
        })
    }

    /// Sends one record and waits for its outcome (for single records: dead letters, log records).
    pub async fn produce(&self, message: Message<'_>) -> Result<Position> {
        let (answer, outcome) = oneshot::channel();
        let sink: Arc<dyn AckSink> = Arc::new(Single(Mutex::new(Some(answer))));
        loop {
            match self.send(message, 0, &sink) {
                Ok(()) => break,
                Err(SendError::QueueFull) => self.room().await,
                Err(SendError::Refused(error)) => return Err(error),
            }
        }
        outcome.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Fatal, "the producer was closed")))
    }

    /// Waits until a quarter of the queue has drained, or a short time has passed. It always lets others run.
    pub async fn room(&self) {
        let in_flight = self.in_flight();
        if in_flight == 0 {
            // Nothing will drain: the brokers are being asked how much they take.
            return tokio::time::sleep(ROOM_WAIT).await;
        }
        let mark = in_flight / 4 * 3;
        self.context().fall_to(mark, ROOM_WAIT).await;
    }

    /// The number of records accepted and without outcome yet.
    pub fn in_flight(&self) -> usize {
        self.context().in_flight.load(Ordering::Acquire)
    }

    /// Waits until nothing is in flight. Others who go on sending prolong it.
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        let drained = async {
            while self.in_flight() > 0 {
                self.context().fall_to(0, Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(timeout, drained).await.map_err(|_| {
            let left = self.in_flight();
            Error::new(ErrorKind::Timeout, format!("{left} records were not written within {} ms", timeout.as_millis()))
        })
    }

    /// Fences older producers of the same `transactional.id` (whatever transaction they have open is aborted) and gets ready
    /// for transactions. Tried again until `timeout` while brokers can't be reached or still end an older transaction.
    pub async fn init_transactions(&self, timeout: Duration) -> Result<()> {
        self.transactional("start transactions", timeout, |producer, wait| producer.init_transactions(wait)).await
    }

    /// Begins a transaction; every record sent until commit or abort belongs to it.
    pub fn begin_transaction(&self) -> Result<()> {
        self.inner.begin_transaction().map_err(|error| self.error("begin a transaction", error))
    }

    /// Flushes and commits. After an error that is not [`ErrorKind::Fenced`] or [`ErrorKind::Fatal`] the transaction can be
    /// aborted; whether it was committed all the same is not known when it was a time-out.
    pub async fn commit_transaction(&self, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        // Flushed first: librdkafka's binding would deliver outcomes on a second thread and could change their order.
        self.flush(timeout).await?;
        let left = end.saturating_duration_since(Instant::now());
        self.transactional("commit a transaction", left, |producer, wait| producer.commit_transaction(wait)).await
    }

    /// Drops what is queued and aborts.
    pub async fn abort_transaction(&self, timeout: Duration) -> Result<()> {
        self.transactional("abort a transaction", timeout, |producer, wait| producer.abort_transaction(wait)).await
    }

    /// Makes a transactional call, again and again while it can be resumed, until `timeout`.
    async fn transactional(
        &self,
        action: &'static str,
        timeout: Duration,
        call: fn(&ThreadedProducer<Context>, Timeout) -> Result<(), KafkaError>,
    ) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let producer = self.inner.clone();
            // In slices, so that a call that nobody waits for any more does not go on for long.
            let wait = end.saturating_duration_since(Instant::now()).clamp(CALL_MIN, CALL_MAX);
            let outcome = tokio::task::spawn_blocking(move || call(&producer, Timeout::After(wait))).await;
            let outcome = outcome
                .map_err(|error| Error::new(ErrorKind::Fatal, "a blocking call was cut off").with_source(error))?;
            match outcome {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {
                    tracing::debug!(action, error = %error, "going on with a transactional call");
                    tokio::time::sleep(CALL_PAUSE).await;
                }
                Err(error) => return Err(self.error(action, error)),
            }
        }
    }

    /// The error of ours; for a producer that has come to its end, what put it there.
    fn error(&self, action: &str, error: KafkaError) -> Error {
        match self.inner.client().fatal_error() {
            Some((code, reason)) => {
                Error::new(context::kind_of(code), format!("failed to {action}: {reason}")).with_source(error)
            }
            None => context::error(action, error),
        }
    }

    /// True when another producer with the same `transactional.id` has taken over: this one can do nothing any more.
    pub fn is_fenced(&self) -> bool {
        let fatal = self.inner.client().fatal_error();
        fatal.is_some_and(|(code, _)| context::kind_of(code) == ErrorKind::Fenced)
    }

    /// Flushes, then ends the producer's threads. What is not written within `timeout` gets an error as outcome.
    pub async fn close(self, timeout: Duration) -> Result<()> {
        let flushed = self.flush(timeout).await;
        // Dropping joins threads, which must not happen on an async thread.
        let dropped = tokio::task::spawn_blocking(move || drop(self)).await;
        flushed
            .and(dropped.map_err(|error| Error::new(ErrorKind::Fatal, "the producer did not end").with_source(error)))
    }
}

/// The sink of a single awaited record.
struct Single(Mutex<Option<oneshot::Sender<Result<Position>>>>);

impl AckSink for Single {
    fn delivered(&self, _token: u64, outcome: Result<Position>) {
        if let Some(answer) = self.0.lock().take() {
            // The caller may have stopped waiting.
            let _gone = answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Outcomes(Mutex<Vec<(u64, ErrorKind)>>);

    impl AckSink for Outcomes {
        fn delivered(&self, token: u64, outcome: Result<Position>) {
            self.0.lock().push((token, outcome.err().map_or(ErrorKind::Refused, |error| error.kind())));
        }
    }

    fn unreachable_props(pairs: &[(&str, &str)]) -> ClientProps {
        // Port 1 refuses at once.
        let mut props: ClientProps = [("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())].into_iter().collect();
        props.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        props
    }

    #[tokio::test]
    async fn records_that_cannot_be_delivered_get_one_outcome_each() {
        let producer =
            Producer::open(&unreachable_props(&[("delivery.timeout.ms", "200"), ("linger.ms", "0")])).unwrap();
        let outcomes = Arc::new(Outcomes(Mutex::new(Vec::new())));
        let sink: Arc<dyn AckSink> = outcomes.clone();
        for token in 0..3 {
            assert!(producer.send(Message::new("t", None, Some(b"v")), token, &sink).is_ok());
        }
        assert_eq!(producer.in_flight(), 3);
        producer.flush(Duration::from_secs(20)).await.unwrap();
        let mut seen = outcomes.0.lock().clone();
        seen.sort_by_key(|(token, _)| *token);
        assert_eq!(seen, [(0, ErrorKind::Timeout), (1, ErrorKind::Timeout), (2, ErrorKind::Timeout)]);
    }

    #[tokio::test]
    async fn a_full_queue_is_back_pressure_and_closing_settles_what_is_left() {
        let producer = Producer::open(&unreachable_props(&[("buffer.memory", "1024")])).unwrap();
        let outcomes = Arc::new(Outcomes(Mutex::new(Vec::new())));
        let sink: Arc<dyn AckSink> = outcomes.clone();
        let value = [0_u8; 600];
        assert!(producer.send(Message::new("t", None, Some(&value)), 1, &sink).is_ok());
        let second = producer.send(Message::new("t", None, Some(&value)), 2, &sink);
        assert!(matches!(second, Err(SendError::QueueFull)), "{second:?}");
        let error = producer.close(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(*outcomes.0.lock(), [(1, ErrorKind::Fatal)]);
    }

    #[test]
    fn a_setting_that_librdkafka_refuses_is_named() {
        let error = Producer::open(&unreachable_props(&[("compression.type", "rar")])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("compression"), "{error}");
    }
}
