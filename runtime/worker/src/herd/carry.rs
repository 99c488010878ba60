//! Carrying out what the herder decided.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_cluster::config_record::{ConfigRecord, SessionKey};
use connect_cluster::{Effect, Event, HerdError};
use connect_kafka::group::{Offer, OfferedProtocol};
use rand::RngCore;
use tokio::sync::mpsc;

use super::drive::{Drive, Input, respond};
use super::log::{Entry, Log};
use crate::unit::{ConnectorStart, TaskStart};

/// The pause between attempts to read the config topic while Kafka is away.
const READ_RETRY: Duration = Duration::from_secs(1);
/// The outcome of a write that a leader did not begin, because its time as a member was over.
const DEPOSED: &str = "Failed to write to the config topic: this worker is no member of its group any more";
/// How long the status topic may take to be read before work is given out.
const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// How long offsets may take to be changed: no other change is made meanwhile. Less than a client waits for its answer.
const ALTER_LIMIT: Duration = Duration::from_secs(75);
/// How long it is tried to read back what was written.
const READ_BACK_LIMIT: Duration = Duration::from_secs(240);

impl Drive {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Append(records) => self.append(records),
            Effect::Status(record) => self.statuses.put(record.encode()),
            Effect::ReadConfig => self.read_config(),
            Effect::ReadStatus { generation } => self.read_status(generation),
            Effect::Offer(offers) => {
                let offered = offers.into_iter().map(|(protocol, bytes)| OfferedProtocol {
                    name: protocol.name().to_owned(),
                    metadata: Bytes::from(bytes),
                });
                self.offer(Offer::Join(offered.collect()));
            }
            Effect::Abstain { ms } => self.offer(Offer::Abstain(Duration::from_millis(ms))),
            Effect::Assign(assignments) => self.assign(assignments),
            Effect::Rejoin => self.hands.group.rejoin(),
            Effect::StartConnector { name, run, config } => {
                tracing::info!(connector = %name, "starting connector");
                let config = config.as_ref().clone();
                self.hands.units.start_connector(ConnectorStart { name, run, config });
            }
            Effect::StartTask { id, run, config, connector, task_count } => {
                tracing::info!(connector = %id.connector, task = id.task, "starting task");
                let (config, connector) = (config.as_ref().clone(), connector.as_ref().clone());
                self.hands.units.start_task(TaskStart { id, run, config, connector, task_count });
            }
            Effect::Pause(unit) => self.hands.units.pause(&unit),
            Effect::Resume(unit) => self.hands.units.resume(&unit),
            Effect::Stop(unit) => self.hands.units.stop(&unit),
            Effect::Validate { id, config } => {
                let validator = Arc::clone(&self.hands.validator);
                self.beside(|inbox| async move {
                    let check = tokio::spawn(async move { validator.check(&config).await });
                    let outcome = check.await.unwrap_or_else(|error| Err(broke_off("validation", &error)));
                    tell(&inbox, Input::Event(Event::Validated { id, outcome })).await;
                });
            }
            Effect::ReadOffsets { .. } | Effect::AlterOffsets { .. } => self.offsets(effect),
            Effect::Reply(id, outcome) => self.answer(id, outcome),
            Effect::SendTaskConfigs { .. } => self.send_task_configs(effect),
            Effect::MakeSessionKey => self.make_session_key(),
            Effect::Claim => self.claim(),
            Effect::FenceProducers { .. } => self.fence_producers(effect),
            Effect::LogLevel { logger, level } => (self.hands.log_level)(&logger, &level),
            Effect::ForgetTopics(name) => self.hands.units.forget_topics(&name),
            Effect::Finished => self.finished = true,
        }
    }

    fn append(&self, records: Vec<ConfigRecord>) {
        let log = Arc::clone(&self.hands.config_log);
        // A leader that was frozen may have been followed by another one that it has not heard of yet.
        let deposed = self.herder.leads() && !self.hands.group.lease().holds();
        self.beside(|inbox| async move {
            let outcome = if deposed { Err(DEPOSED.to_owned()) } else { append(&*log, &records).await };
            if let Err(error) = &outcome {
                tracing::error!(error, "failed to write to the config topic");
            }
            tell(&inbox, Input::Event(Event::Written(outcome))).await;
        });
    }

    fn read_config(&self) {
        let log = Arc::clone(&self.hands.config_log);
        let limit = self.hands.sync_timeout;
        self.beside(|inbox| async move {
            let event = match tokio::time::timeout(limit, read_to_end(&*log, &inbox)).await {
                Ok(()) => Event::ConfigRead,
                Err(_) => {
                    let timeout_ms = limit.as_millis();
                    tracing::warn!(
                        timeout_ms,
                        "the config topic was not read to its end within worker.sync.timeout.ms"
                    );
                    Event::ConfigUnread
                }
            };
            tell(&inbox, Input::Event(event)).await;
        });
    }

    fn read_status(&self, generation: i32) {
        let log = Arc::clone(&self.hands.status_log);
        self.beside(|inbox| async move {
            if tokio::time::timeout(STATUS_LIMIT, read_to_end(&*log, &inbox)).await.is_err() {
                tracing::warn!(
                    "the status topic was not read in time: work that was given back may wait for its worker"
                );
            }
            tell(&inbox, Input::Event(Event::StatusRead { generation })).await;
        });
    }

    fn offer(&mut self, offer: Offer) {
        if let Some(reply) = self.offer.take()
            && reply.send(offer).is_err()
        {
            tracing::debug!("the membership did not wait for the offer");
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Vec<u8>)>) {
        let assignments = assignments.into_iter().map(|(id, bytes)| (id, Bytes::from(bytes))).collect();
        if let Some(reply) = self.assign.take()
            && reply.send(assignments).is_err()
        {
            tracing::debug!("the group moved on before its assignment");
        }
    }

    /// Offsets are the units' affair: their answer goes to the client as it is.
    fn offsets(&mut self, effect: Effect) {
        let units = Arc::clone(&self.hands.units);
        match effect {
            Effect::ReadOffsets { id, name, config } => {
                let Some(answer) = self.take_answer(id) else { return };
                self.beside(|_| async move {
                    let read = tokio::spawn(async move { units.offsets(&name, &config).await });
                    let outcome = read.await.unwrap_or_else(|error| Err(broke_off("the reading of offsets", &error)));
                    respond(answer, outcome.map(connect_cluster::Reply::Offsets));
                });
            }
            Effect::AlterOffsets { id, name, config, offsets } => {
                let answer = self.take_answer(id);
                self.beside(|inbox| async move {
                    let connector = Arc::clone(&name);
                    let mut alter = tokio::spawn(async move { units.alter_offsets(&name, &config, offsets).await });
                    let outcome = match tokio::time::timeout(ALTER_LIMIT, &mut alter).await {
                        Ok(ended) => ended.unwrap_or_else(|error| Err(broke_off("the change of offsets", &error))),
                        Err(_) => {
                            alter.abort();
                            let timeout_ms = ALTER_LIMIT.as_millis();
                            tracing::error!(connector = %connector, timeout_ms, "the change of offsets was given up");
                            Err(HerdError::internal("Request timed out"))
                        }
                    };
                    if let Some(answer) = answer {
                        respond(answer, outcome.map(connect_cluster::Reply::Message));
                    }
                    tell(&inbox, Input::Event(Event::OffsetsAltered)).await;
                });
            }
            // The caller sends only the two above here; an effect may hold a configuration, so it is not logged.
            _ => {}
        }
    }

    fn send_task_configs(&mut self, effect: Effect) {
        let Effect::SendTaskConfigs { url, connector, configs, signed } = effect else { return };
        let peers = Arc::clone(&self.hands.peers);
        let key = self.herder.session_key().filter(|_| signed).cloned();
        self.beside(|inbox| async move {
            let outcome = peers.put_task_configs(&url, &connector, &configs, key.as_ref()).await;
            if let Err(error) = &outcome {
                tracing::warn!(connector = %connector, error, "failed to send task configurations to the leader, trying again");
            }
            tell(&inbox, Input::Event(Event::TaskConfigsSent { connector, ok: outcome.is_ok() })).await;
        });
    }

    fn make_session_key(&mut self) {
        let mut key = vec![0; self.hands.key_bytes];
        rand::rng().fill_bytes(&mut key);
        let created_ms = crate::metrics::now_ms();
        let algorithm = self.hands.key_algorithm.clone();
        self.step(Event::SessionKey(SessionKey { key, algorithm, created_ms }));
    }
}

async fn append(log: &dyn Log, records: &[ConfigRecord]) -> Result<(), String> {
    let entries: Vec<Entry> = records
        .iter()
        .map(|record| {
            let (key, value) = record.encode();
            (Some(Bytes::from(key)), value.map(Bytes::from))
        })
        .collect();
    let outcome = log.append(&entries).await.map_err(|error| format!("Failed to write to the config topic: {error}"));
    // Also after a failure: what was written may have got there, and what is said of it must be true.
    let deadline = tokio::time::Instant::now() + READ_BACK_LIMIT;
    while let Err(error) = log.read_to_end().await {
        if tokio::time::Instant::now() >= deadline {
            return Err(format!("Failed to read back what was written to the config topic: {error}"));
        }
        tracing::warn!(error, "failed to read back what was written to the config topic, trying again");
        tokio::time::sleep(READ_RETRY).await;
    }
    outcome
}

/// Reads on until the end is reached, or the worker ends.
async fn read_to_end(log: &dyn Log, inbox: &mpsc::Sender<Input>) {
    while let Err(error) = log.read_to_end().await {
        tracing::warn!(error, "failed to read a topic to its end, trying again");
        tokio::time::sleep(READ_RETRY).await;
        if inbox.is_closed() {
            return;
        }
    }
}

/// A connector's code panicked: its request fails, and nothing else.
fn broke_off(what: &str, error: &tokio::task::JoinError) -> HerdError {
    tracing::error!(%error, what, "a connector broke off");
    HerdError::internal(format!("The connector broke off during {what}; see the worker's log"))
}

/// Tells the loop, which may have ended.
pub(super) async fn tell(inbox: &mpsc::Sender<Input>, input: Input) {
    if inbox.send(input).await.is_err() {
        tracing::debug!("the herder has ended");
    }
}
