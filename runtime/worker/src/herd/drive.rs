//! The loop itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use connect_cluster::{ClusterView, Command, Event, HerdError, Herder, Now, Reply};
use connect_kafka::LogRecord;
use connect_kafka::group::{GroupEvent, OfferedProtocol};
use tokio::sync::{mpsc, oneshot};

use super::group::Group;
use super::log::Log;
use super::peers::Peers;
use super::signature;
use super::status_writer::StatusWriter;
use super::worker::Validator;
use crate::unit::{UnitEvent, Units};

/// Answers a request.
pub(super) type Answer = oneshot::Sender<Result<Reply, HerdError>>;

/// Sets a log level (logger, level).
pub type SetLogLevel = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What reaches the loop.
pub(super) enum Input {
    Event(Event),
    Config(LogRecord),
    Status(LogRecord),
    Group(GroupEvent),
    Request(Command, Answer),
    Unit(UnitEvent),
    /// Ends the worker; told when everything has stopped.
    Shutdown(oneshot::Sender<()>),
}

/// Inputs that may wait for the loop.
pub(super) const INBOX: usize = 1024;
/// How often the herder looks at its clock.
const TICK: Duration = Duration::from_millis(250);

/// Everything that the loop carries effects out with.
pub(super) struct Hands {
    pub config_log: Arc<dyn Log>,
    pub status_log: Arc<dyn Log>,
    pub group: Box<dyn Group>,
    pub units: Arc<dyn Units>,
    pub peers: Arc<dyn Peers>,
    pub validator: Arc<Validator>,
    pub log_level: SetLogLevel,
    /// `inter.worker.verification.algorithms`.
    pub verification: Vec<String>,
    /// Bytes and algorithm of the session keys that this worker makes.
    pub key_bytes: usize,
    pub key_algorithm: String,
}

/// The running loop.
pub(super) struct Drive {
    pub(super) herder: Herder,
    pub(super) hands: Hands,
    pub(super) statuses: StatusWriter,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) view: Arc<ArcSwap<ClusterView>>,
    pub(super) answers: HashMap<u64, Answer>,
    next_request: u64,
    pub(super) offer: Option<oneshot::Sender<Vec<OfferedProtocol>>>,
    pub(super) assign: Option<oneshot::Sender<Vec<(String, Bytes)>>>,
    stopping: Option<oneshot::Sender<()>>,
    pub(super) finished: bool,
    started: Instant,
}

impl Drive {
    pub(super) fn new(
        herder: Herder,
        hands: Hands,
        inbox: mpsc::Sender<Input>,
        view: Arc<ArcSwap<ClusterView>>,
    ) -> Self {
        let statuses = StatusWriter::start(Arc::clone(&hands.status_log));
        Self {
            herder,
            hands,
            statuses,
            inbox,
            view,
            answers: HashMap::new(),
            next_request: 1,
            offer: None,
            assign: None,
            stopping: None,
            finished: false,
            started: Instant::now(),
        }
    }

    /// Runs until everything stopped after [`Input::Shutdown`], then leaves the group.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.finished {
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                _ = ticks.tick() => self.step(Event::Tick),
            }
        }
        self.end().await;
    }

    /// Statuses first, then the group: what others read when they take over is the truth.
    async fn end(self) {
        const LIMIT: Duration = Duration::from_secs(5);
        self.statuses.finish(self.hands.status_log, LIMIT).await;
        self.hands.group.leave(LIMIT).await;
        if let Some(done) = self.stopping
            && done.send(()).is_err()
        {
            tracing::debug!("nobody waits for the end of the herder");
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.step(event),
            Input::Config(record) => {
                if let Some(key) = text(record.key) {
                    self.step(Event::Config { offset: record.offset, key, value: record.value });
                }
            }
            Input::Status(record) => {
                if let Some(key) = text(record.key) {
                    self.step(Event::Status { key, value: record.value });
                }
            }
            Input::Group(event) => self.take_group(event),
            Input::Request(command, answer) => self.take_request(command, answer),
            Input::Unit(event) => self.step(Event::Unit(event)),
            Input::Shutdown(done) => {
                self.stopping = Some(done);
                self.step(Event::Shutdown);
            }
        }
    }

    fn take_group(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Prepare { reply } => {
                self.offer = Some(reply);
                self.step(Event::Prepare);
            }
            GroupEvent::Elected { generation, protocol, leader_id, members, reply } => {
                self.assign = Some(reply);
                let members = members.into_iter().map(|member| (member.member_id, member.metadata)).collect();
                self.step(Event::Elected { generation, protocol, leader_id, members });
            }
            GroupEvent::Joined(joined) => {
                tracing::info!(
                    generation = joined.generation,
                    leader = joined.is_leader(),
                    protocol = joined.protocol,
                    "joined the group"
                );
                self.step(Event::Joined {
                    generation: joined.generation,
                    member_id: joined.member_id,
                    leader_id: joined.leader_id,
                    protocol: joined.protocol,
                    assignment: joined.assignment,
                });
            }
            GroupEvent::Rebalancing => self.step(Event::Rebalancing),
            GroupEvent::Lost { reason } => {
                tracing::warn!(reason, "out of the group: all connectors and tasks of this worker stop");
                self.step(Event::Lost);
            }
            GroupEvent::Trouble(error) => tracing::warn!(%error, "trouble with the group, trying again"),
        }
    }

    fn take_request(&mut self, command: Command, answer: Answer) {
        if let Command::PutTaskConfigs { signature, .. } | Command::Fence { signature, .. } = &command
            && self.herder.signs_requests()
            && let Err(refused) = signature::check(&self.hands.verification, self.herder.session_key(), signature)
        {
            respond(answer, Err(refused));
            return;
        }
        let id = self.next_request;
        self.next_request += 1;
        self.answers.insert(id, answer);
        self.step(Event::Request { id, command });
    }

    /// One event: decide, publish, carry out. What is carried out may bring events of its own at once.
    pub(super) fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.herder.step(self.now(), event, &mut effects);
        let view = self.herder.view();
        if !Arc::ptr_eq(&view, &self.view.load()) {
            self.view.store(view);
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn answer(&mut self, id: u64, outcome: Result<Reply, HerdError>) {
        if let Some(answer) = self.answers.remove(&id) {
            respond(answer, outcome);
        }
    }

    /// Does something beside the loop.
    pub(super) fn beside<F>(&self, work: impl FnOnce(mpsc::Sender<Input>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(work(self.inbox.clone()));
    }
}

/// Gives an answer to a client that may have gone.
pub(super) fn respond(answer: Answer, outcome: Result<Reply, HerdError>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("a client went away before its answer");
    }
}

fn text(key: Option<Bytes>) -> Option<String> {
    String::from_utf8(key?.to_vec()).ok()
}
