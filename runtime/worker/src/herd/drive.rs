//! The loop itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use connect_cluster::{ClusterView, Command, Effect, Event, HerdError, Herder, Now, Reply};
use connect_kafka::LogRecord;
use connect_kafka::group::{GroupEvent, Offer};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::fencing::Question;
use super::group::Group;
use super::latest::Latest;
use super::log::Log;
use super::peers::Peers;
use super::signature;
use super::worker::Validator;
use crate::metrics::WorkerMetrics;
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
    /// The token is cancelled when whoever asked does not want to wait any longer.
    Request(Command, Answer, CancellationToken),
    /// A task's, before it begins.
    Question(Question, Answer),
    Unit(UnitEvent),
    /// Ends the worker; told when everything has stopped.
    Shutdown(oneshot::Sender<()>),
}

/// Inputs that may wait for the loop.
pub(super) const INBOX: usize = 1024;
/// How many events may go by before readers see them, while more are waiting.
const UNSEEN_MAX: usize = 256;
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
    /// `worker.sync.timeout.ms`.
    pub sync_timeout: Duration,
    pub metrics: Arc<WorkerMetrics>,
    /// `inter.worker.verification.algorithms`.
    pub verification: Vec<String>,
    /// Bytes and algorithm of the session keys that this worker makes.
    pub key_bytes: usize,
    pub key_algorithm: String,
    /// Woken when readers see something new.
    pub published: Arc<Notify>,
}

/// The running loop.
pub(super) struct Drive {
    pub(super) herder: Herder,
    pub(super) hands: Hands,
    pub(super) statuses: Latest,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) view: Arc<ArcSwap<ClusterView>>,
    pub(super) answers: HashMap<u64, Answer>,
    /// Who waits for the answers of clients' requests.
    waiting: HashMap<u64, CancellationToken>,
    next_request: u64,
    pub(super) offer: Option<oneshot::Sender<Offer>>,
    pub(super) assign: Option<oneshot::Sender<Vec<(String, Bytes)>>>,
    stopping: Option<oneshot::Sender<()>>,
    pub(super) finished: bool,
    /// Events since the view was published.
    unseen: usize,
    started: Instant,
}

impl Drive {
    pub(super) fn new(
        herder: Herder,
        hands: Hands,
        inbox: mpsc::Sender<Input>,
        view: Arc<ArcSwap<ClusterView>>,
    ) -> Self {
        let statuses = Latest::start(Arc::clone(&hands.status_log), "statuses");
        Self {
            herder,
            hands,
            statuses,
            inbox,
            view,
            answers: HashMap::new(),
            waiting: HashMap::new(),
            next_request: 1,
            offer: None,
            assign: None,
            stopping: None,
            finished: false,
            unseen: 0,
            started: Instant::now(),
        }
    }

    /// Runs until everything stopped after [`Input::Shutdown`], then leaves the group.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.finished {
            if self.unseen > 0 && inputs.is_empty() {
                self.publish();
            }
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                _ = ticks.tick() => {
                    self.cancel_given_up();
                    self.step(Event::Tick);
                }
            }
        }
        self.end().await;
    }

    /// Statuses first, then the group: what others read when they take over is the truth.
    async fn end(self) {
        const LIMIT: Duration = Duration::from_secs(5);
        self.statuses.finish(LIMIT).await;
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
            Input::Request(command, answer, gave_up) => self.take_request(command, answer, gave_up),
            Input::Question(question, answer) => self.take_question(question, answer),
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
                self.hands.metrics.rebalance_begun();
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
                self.hands.metrics.rebalanced(joined.generation, &joined.protocol);
                self.step(Event::Joined {
                    generation: joined.generation,
                    member_id: joined.member_id,
                    leader_id: joined.leader_id,
                    protocol: joined.protocol,
                    assignment: joined.assignment,
                });
            }
            GroupEvent::Rebalancing => {
                self.hands.metrics.rebalance_begun();
                self.step(Event::Rebalancing);
            }
            GroupEvent::Lost { reason } => {
                tracing::warn!(reason, "out of the group: all connectors and tasks of this worker stop");
                self.step(Event::Lost);
            }
            GroupEvent::Trouble(error) => tracing::warn!(%error, "trouble with the group, trying again"),
        }
        self.hands.metrics.assigned(self.herder.assigned());
    }

    fn take_request(&mut self, command: Command, answer: Answer, gave_up: CancellationToken) {
        if let Command::PutTaskConfigs { signature, .. } | Command::Fence { signature, .. } = &command
            && self.herder.signs_requests()
            && let Err(refused) = signature::check(&self.hands.verification, self.herder.session_key(), signature)
        {
            respond(answer, Err(refused));
            return;
        }
        let id = self.expect_answer(answer);
        self.waiting.insert(id, gave_up);
        self.step(Event::Request { id, command });
    }

    /// Keeps who waits for the answer to a request, and gives the request its name.
    pub(super) fn expect_answer(&mut self, answer: Answer) -> u64 {
        let id = self.next_request;
        self.next_request += 1;
        self.answers.insert(id, answer);
        id
    }

    /// Requests that nobody waits for any more are taken back, if they have not begun.
    fn cancel_given_up(&mut self) {
        let given_up: Vec<u64> =
            self.waiting.iter().filter(|(_, gave_up)| gave_up.is_cancelled()).map(|(id, _)| *id).collect();
        for id in given_up {
            self.waiting.remove(&id);
            self.step(Event::Cancel { id });
        }
    }

    /// One event: decide, publish, carry out. What is carried out may bring events of its own at once.
    pub(super) fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.herder.step(self.now(), event, &mut effects);
        // Whoever is answered has to find what it was told. Else the inputs that wait come first, one view for all.
        if self.unseen >= UNSEEN_MAX || effects.iter().any(|effect| matches!(effect, Effect::Reply(..))) {
            self.publish();
        } else {
            self.unseen += 1;
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// Shows readers what has changed.
    fn publish(&mut self) {
        self.unseen = 0;
        let view = self.herder.view();
        if !Arc::ptr_eq(&view, &self.view.load()) {
            self.view.store(view);
            self.hands.published.notify_one();
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
        if let Some(answer) = self.take_answer(id) {
            respond(answer, outcome);
        }
    }

    /// The way back to who asked, for the one answer: nothing is kept of the request after that.
    pub(super) fn take_answer(&mut self, id: u64) -> Option<Answer> {
        self.waiting.remove(&id);
        self.answers.remove(&id)
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
