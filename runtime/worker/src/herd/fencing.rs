//! The I/O of exactly-once sources that the herder decides on: claims of the config topic, rounds of fencing, and the two
//! questions that a task asks before it begins.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Error, ErrorKind, Result};
use connect_cluster::herder::RequestId;
use connect_cluster::unit::Run;
use connect_cluster::{Command, ConnectorId, Effect, Event, HerdError, Signature, TaskId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::carry::tell;
use super::drive::{Answer, Drive, Input, respond};
use crate::exactly_once::Preflight;

/// How long a task that is to begin tries to reach a leader that can fence its predecessors.
const FENCE_PATIENCE: Duration = Duration::from_secs(60);
/// The pause between its attempts.
const FENCE_RETRY: Duration = Duration::from_millis(500);

/// What a task asks before it begins.
pub(super) enum Question {
    /// Are its predecessors fenced?
    Fenced(ConnectorId),
    /// Is its run still wanted here? `read`: the config topic was read to its end since it asked.
    MayBegin { task: TaskId, run: Run, read: bool },
}

impl Drive {
    /// Takes the config topic from former leaders; then everything they wrote is read.
    pub(super) fn claim(&self) {
        let log = Arc::clone(&self.hands.config_log);
        self.beside(|inbox| async move {
            let claimed = async {
                log.claim().await?;
                log.read_to_end().await
            };
            let outcome = claimed.await;
            if let Err(error) = &outcome {
                tracing::warn!(error, "failed to claim the config topic, trying again");
            }
            tell(&inbox, Input::Event(Event::Claimed(outcome.is_ok()))).await;
        });
    }

    pub(super) fn fence_producers(&self, effect: Effect) {
        let Effect::FenceProducers { name, config, tasks } = effect else { return };
        tracing::info!(connector = %name, tasks, "fencing the producers of earlier tasks");
        let units = Arc::clone(&self.hands.units);
        let lease = self.hands.group.lease();
        self.beside(|inbox| async move {
            let began = Instant::now();
            let outcome = loop {
                match units.fence(&name, &config, tasks).await {
                    // A leader that was followed by another one fences nobody.
                    Err(error) if passes(&error) && began.elapsed() < FENCE_PATIENCE && lease.holds() => {
                        tracing::debug!(connector = %name, %error, "fencing failed, trying again");
                        tokio::time::sleep(FENCE_RETRY).await;
                    }
                    outcome => break outcome.map_err(|error| error.to_string()),
                }
            };
            tell(&inbox, Input::Event(Event::Fenced { name, outcome })).await;
        });
    }

    /// Answers a task: the herder decides when this worker leads, else the leader is asked.
    pub(super) fn take_question(&mut self, question: Question, answer: Answer) {
        match question {
            Question::Fenced(name) if self.herder.leads() => {
                let command = Command::Fence { name: name.to_string(), signature: Signature::default() };
                let id: RequestId = self.expect_answer(answer);
                self.step(Event::Request { id, command });
            }
            Question::Fenced(name) => self.ask_leader_to_fence(name, answer),
            Question::MayBegin { task, run, read: true } => {
                respond(answer, self.herder.may_begin(&task, run).map(|()| connect_cluster::Reply::Done));
            }
            Question::MayBegin { task, run, read: false } => {
                let log = Arc::clone(&self.hands.config_log);
                self.beside(|inbox| async move {
                    match log.read_to_end().await {
                        // Its records have come before this.
                        Ok(()) => {
                            let question = Question::MayBegin { task, run, read: true };
                            tell(&inbox, Input::Question(question, answer)).await;
                        }
                        Err(error) => {
                            // It may be read later: brokers come back.
                            tracing::warn!(
                                connector = &*task.connector,
                                task = task.task,
                                error,
                                "failed to read to the end of the config topic"
                            );
                            respond(answer, Err(HerdError::Elsewhere { url: None }));
                        }
                    }
                });
            }
        }
    }

    fn ask_leader_to_fence(&self, name: ConnectorId, answer: Answer) {
        let Some(url) = self.view.load().leader_url.clone().filter(|url| !url.is_empty()) else {
            return respond(answer, Err(HerdError::Elsewhere { url: None }));
        };
        let peers = Arc::clone(&self.hands.peers);
        let key = self.herder.session_key().filter(|_| self.herder.signs_requests()).cloned();
        self.beside(|_| async move {
            let outcome = peers.put_fence(&url, &name, key.as_ref()).await;
            // Whatever it is, the leader may do it later: it moves, it rebalances, it is away.
            respond(answer, outcome.map(|()| connect_cluster::Reply::Done).map_err(HerdError::conflict));
        });
    }
}

/// Asks on behalf of tasks.
pub(super) struct Preflights {
    pub inbox: mpsc::Sender<Input>,
}

impl Preflights {
    async fn ask(&self, question: Question) -> std::result::Result<(), HerdError> {
        let (answer, answered) = oneshot::channel();
        let ended = || HerdError::Refused { status: 503, message: "The worker is shutting down.".to_owned() };
        self.inbox.send(Input::Question(question, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?.map(|_| ())
    }
}

#[async_trait]
impl Preflight for Preflights {
    async fn fence_predecessors(&self, connector: &Arc<str>) -> Result<()> {
        let began = Instant::now();
        loop {
            let refused = match self.ask(Question::Fenced(Arc::clone(connector))).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            if !passes(&refused) || began.elapsed() > FENCE_PATIENCE {
                return Err(failed("Failed to perform round of zombie fencing", &refused));
            }
            tracing::debug!(connector = &**connector, %refused, "no fencing yet, asking again");
            tokio::time::sleep(FENCE_RETRY).await;
        }
    }

    async fn may_begin(&self, task: &TaskId, run: Run) -> Result<()> {
        let began = Instant::now();
        loop {
            let question = Question::MayBegin { task: task.clone(), run, read: false };
            match self.ask(question).await {
                Err(HerdError::Elsewhere { .. }) if began.elapsed() < FENCE_PATIENCE => {
                    tokio::time::sleep(FENCE_RETRY).await;
                }
                Err(HerdError::Elsewhere { .. }) => {
                    return Err(Error::connect("The group did not settle in time for the task to start"));
                }
                other => return other.map_err(|refused| Error::connect(refused.to_string())),
            }
        }
    }
}

/// Whether what was refused may be done later.
fn passes(refused: &HerdError) -> bool {
    matches!(refused, HerdError::Elsewhere { .. } | HerdError::Refused { status: 409, .. })
}

fn failed(what: &'static str, cause: &HerdError) -> Error {
    Error::new(ErrorKind::Bug, what)
        .class("org.apache.kafka.connect.errors.ConnectException")
        .caused_by(Error::connect(cause.to_string()))
}
