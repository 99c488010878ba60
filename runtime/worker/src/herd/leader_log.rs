//! The config topic under exactly-once support: what only the leader may write goes through a transactional producer
//! that a later leader fences (`KafkaConfigBackingStore.claimWritePrivileges`, `sendPrivileged`).
//!
//! Target states and log levels are written by any worker, and so without a transaction, except together with the
//! configuration of a connector. Invariant: after a failed transaction nothing is written as a leader until the topic was
//! claimed again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_kafka::{AckSink, ClientProps, Message, Position, Producer, SendError, TopicLog};
use tokio::sync::Mutex;

use super::log::{Entry, KafkaLog, Log, READ_WRITE_TIMEOUT};

/// How long a transactional producer may take to open (`max.block.ms`).
const CLAIM_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the end of a fenced producer may take.
const CLOSE_TIMEOUT: Duration = Duration::ZERO;

/// The config topic of a worker that may become an exactly-once leader.
pub(super) struct LeaderLog {
    log: KafkaLog,
    topic: String,
    /// Of the transactional producer.
    props: ClientProps,
    /// `None` until the topic was claimed, and after a failure.
    leader: Mutex<Option<Producer>>,
}

impl LeaderLog {
    pub(super) fn new(log: TopicLog, props: ClientProps) -> Self {
        let topic = log.topic().to_owned();
        Self { log: KafkaLog(log), topic, props, leader: Mutex::new(None) }
    }

    /// One transaction.
    async fn append_as_leader(&self, entries: &[Entry]) -> Result<(), String> {
        const UNCLAIMED: &str = "Cannot produce to config topic without claiming write privileges first";
        let mut leader = self.leader.lock().await;
        // Taken out, so that it is gone when this is given up half-way.
        let producer = leader.take().ok_or(UNCLAIMED)?;
        match transaction(&producer, &self.topic, entries).await {
            Ok(()) => {
                *leader = Some(producer);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(error = %error, "failed to write to the config topic as its leader");
                close(producer).await;
                Err("Failed to perform fencable send to config topic".to_owned())
            }
        }
    }
}

async fn close(producer: Producer) {
    if let Err(error) = producer.close(CLOSE_TIMEOUT).await {
        tracing::debug!(error = %error, "the producer of a former leader left records behind");
    }
}

async fn transaction(producer: &Producer, topic: &str, entries: &[Entry]) -> connect_kafka::Result<()> {
    producer.begin_transaction()?;
    // What becomes of a record is what becomes of its transaction.
    let sink: Arc<dyn AckSink> = Arc::new(Unheard);
    for (key, value) in entries {
        let message = Message::new(topic, key.as_deref(), value.as_deref());
        loop {
            match producer.send(message, 0, &sink) {
                Ok(()) => break,
                Err(SendError::QueueFull) => producer.room().await,
                Err(SendError::Refused(error)) => return Err(error),
            }
        }
    }
    producer.commit_transaction(READ_WRITE_TIMEOUT).await
}

struct Unheard;

impl AckSink for Unheard {
    fn delivered(&self, _token: u64, _outcome: connect_kafka::Result<Position>) {}
}

/// True for what only the leader may write.
fn is_privileged(key: Option<&Bytes>) -> bool {
    let anybodys = |key: &Bytes| key.starts_with(b"target-state-") || key.starts_with(b"logger-cluster-");
    !key.is_some_and(anybodys)
}

/// True when these belong together, whoever may write some of them.
fn is_one_change(entries: &[Entry]) -> bool {
    entries.iter().any(|(key, _)| key.as_ref().is_some_and(|key| key.starts_with(b"connector-")))
}

#[async_trait]
impl Log for LeaderLog {
    async fn append(&self, entries: &[Entry]) -> Result<(), String> {
        if is_one_change(entries) {
            return self.append_as_leader(entries).await;
        }
        for run in entries.chunk_by(|(a, _), (b, _)| is_privileged(a.as_ref()) == is_privileged(b.as_ref())) {
            if run.first().is_some_and(|(key, _)| is_privileged(key.as_ref())) {
                self.append_as_leader(run).await?;
            } else {
                self.log.append(run).await?;
            }
        }
        Ok(())
    }

    async fn claim(&self) -> Result<(), String> {
        let mut leader = self.leader.lock().await;
        if let Some(former) = leader.take() {
            close(former).await;
        }
        let producer = Producer::open(&self.props).map_err(|error| error.to_string())?;
        match producer.init_transactions(CLAIM_TIMEOUT).await {
            Ok(()) => {
                tracing::info!(topic = self.topic, "claimed the config topic");
                *leader = Some(producer);
                Ok(())
            }
            Err(error) => {
                close(producer).await;
                Err(error.to_string())
            }
        }
    }

    async fn read_to_end(&self) -> Result<(), String> {
        self.log.read_to_end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(keys: &[&str]) -> Vec<Entry> {
        keys.iter().map(|key| (Some(Bytes::copy_from_slice(key.as_bytes())), None)).collect()
    }

    #[test]
    fn target_states_and_log_levels_are_anybodys() {
        let keys = [
            ("connector-c", true),
            ("task-c-0", true),
            ("commit-c", true),
            ("tasks-fencing-c", true),
            ("restart-connector-c", true),
            ("session-key", true),
            ("target-state-c", false),
            ("logger-cluster-org.x", false),
        ];
        for (key, privileged) in keys {
            assert_eq!(is_privileged(Some(&Bytes::from_static(key.as_bytes()))), privileged, "{key}");
        }
    }

    #[test]
    fn a_connector_and_its_target_state_are_one_change() {
        assert!(is_one_change(&entries(&["target-state-c", "connector-c"])));
        assert!(!is_one_change(&entries(&["commit-c", "target-state-c"])));
    }
}
