//! The Kafka channel: signals from a topic of one partition, by a thread of its own.
//!
//! A record whose key is the source's name is a signal to it. The place in the topic is stored for the group once a position of
//! the source is stored that was marked after the signal was acted upon, so that a crash before that brings it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use connect_api::Error;
use connect_kafka::{LogRecord, PartitionReader};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::signals::parse::Signal;
use crate::signals::settings::KafkaSettings;

/// How long one read waits: the time it takes at most to see the end.
const READ_WAIT: Duration = Duration::from_millis(100);
/// The wait after a failure, so that a broker that is down does not fill the log.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// Signals read ahead.
const AHEAD: usize = 16;

/// What the owner and the thread share.
#[derive(Debug, Default)]
struct Shared {
    done: Acted,
    stopping: AtomicBool,
}

/// The next offset after the signals whose effect is stored.
#[derive(Clone, Debug, Default)]
pub struct Acted(Arc<AtomicU64>);

impl Acted {
    /// A position was stored that comes after the signals before this offset.
    pub fn stored(&self, next: u64) {
        self.0.fetch_max(next, Ordering::AcqRel);
    }

    fn next(&self) -> i64 {
        self.0.load(Ordering::Acquire).cast_signed()
    }
}

/// Reads a topic until it is dropped.
#[derive(Debug)]
pub struct Channel {
    signals: mpsc::Receiver<(i64, Option<Signal>)>,
    shared: Arc<Shared>,
}

impl Channel {
    /// Starts reading; `name` is the source's name.
    pub fn open(settings: &KafkaSettings, name: &str) -> Result<Self, Error> {
        if !settings.consumer.contains_key("bootstrap.servers") {
            return Err(Error::config("Signal channel kafka configuration is invalid. See logs for details.")
                .class("io.debezium.DebeziumException")
                .hint("set signal.kafka.bootstrap.servers"));
        }
        let reader = PartitionReader::open(&settings.consumer, &settings.topic, 0).map_err(|error| {
            Error::config(format!("failed to open the Kafka channel of signals: {error}"))
                .hint("check signal.kafka.* and signal.consumer.*")
                .caused_by(error)
        })?;
        let shared = Arc::new(Shared::default());
        let (sender, signals) = mpsc::channel(AHEAD);
        let thread = Thread { reader, shared: Arc::clone(&shared), sender, name: name.to_owned(), stored: 0 };
        let span = tracing::Span::current();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || span.in_scope(|| thread.run()))
            .map_err(|error| Error::connect(format!("failed to start a thread: {error}")))?;
        tracing::info!(topic = %settings.topic, "reading signals from Kafka");
        Ok(Self { signals, shared })
    }

    /// A signal that has come, with its offset.
    pub fn take(&mut self) -> Option<(i64, Option<Signal>)> {
        self.signals.try_recv().ok()
    }

    /// Where it is told what is stored.
    pub fn acted(&self) -> Acted {
        self.shared.done.clone()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
    }
}

struct Thread {
    reader: PartitionReader,
    shared: Arc<Shared>,
    sender: mpsc::Sender<(i64, Option<Signal>)>,
    name: String,
    stored: i64,
}

impl Thread {
    fn run(mut self) {
        let mut failing = false;
        while !self.shared.stopping.load(Ordering::Acquire) {
            match self.reader.read(READ_WAIT) {
                Ok(Some(record)) => {
                    failing = false;
                    let offset = record.offset;
                    if self.sender.blocking_send((offset, signal(&record, &self.name))).is_err() {
                        break;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    // One line for a row of failures.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "signals can't be read from Kafka; trying again");
                    }
                    std::thread::sleep(RETRY_WAIT);
                }
            }
            self.store();
        }
        self.store();
    }

    fn store(&mut self) {
        let done = self.shared.done.next();
        if done <= self.stored {
            return;
        }
        match self.reader.commit(done) {
            Ok(()) => self.stored = done,
            Err(error) => tracing::debug!(%error, "the place in the topic of signals was not stored; trying again"),
        }
    }
}

/// The signal in a record; `None` when it is for others, or none.
fn signal(record: &LogRecord, name: &str) -> Option<Signal> {
    let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    if key != name {
        tracing::info!(offset = record.offset, "the key of a signal does not match the connector's name '{name}'");
        return None;
    }
    let value = record.value.as_deref().filter(|value| !value.is_empty())?;
    let Ok(value) = serde_json::from_slice::<Value>(value) else {
        tracing::warn!(offset = record.offset, "a signal is skipped: it is no JSON");
        return None;
    };
    let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let data = value.get("data").filter(|data| data.is_object()).map(Value::to_string);
    Some(Signal { id: text("id"), kind: text("type").unwrap_or_default(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> LogRecord {
        let bytes = |text: &str| Some(text.as_bytes().to_vec().into());
        LogRecord { partition: 0, offset: 3, timestamp_ms: 0, key: bytes(key), value: bytes(value) }
    }

    #[test]
    fn only_signals_to_this_source_are_taken() {
        let value = r#"{"type": "execute-snapshot", "data": {"data-collections": ["public.a"]}}"#;
        let taken = signal(&record("shop", value), "shop").expect("a signal");
        assert_eq!((taken.id, taken.kind.as_str()), (None, "execute-snapshot"));
        assert_eq!(taken.data.as_deref(), Some(r#"{"data-collections":["public.a"]}"#));
        assert_eq!(signal(&record("other", value), "shop"), None);
        assert_eq!(signal(&record("shop", "nonsense"), "shop"), None);
        assert_eq!(signal(&record("shop", ""), "shop"), None);
    }

    #[test]
    fn what_is_stored_does_not_go_back() {
        let acted = Acted::default();
        acted.stored(7);
        acted.clone().stored(3);
        assert_eq!(acted.next(), 7);
    }

    #[test]
    fn a_channel_without_servers_is_refused() {
        let settings = KafkaSettings { topic: "t".to_owned(), consumer: connect_kafka::ClientProps::new() };
        let error = Channel::open(&settings, "shop").expect_err("no servers");
        assert!(error.message().starts_with("Signal channel kafka configuration is invalid"), "{error}");
    }
}
