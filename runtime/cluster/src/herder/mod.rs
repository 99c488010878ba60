//! The herder: one worker's view of its cluster, and everything it decides.
//!
//! [`Herder::step`] takes the time and an event and answers with effects; the worker's loop carries them out. There is
//! no lock, clock, I/O or randomness here, so the simulation drives many herders in one thread.
//!
//! Invariants:
//! 1. Changes are done one at a time, in order ([`Herder::pump`]): a change sees everything that earlier ones wrote.
//! 2. A request is answered exactly once, and nothing is done for it after it was refused.
//! 3. Only a member of the group with a settled assignment starts work; one that is out of the group stops all of it.
//! 4. A unit is started only when its previous run has ended.

mod commands;
mod fencing;
mod group;
mod recovery;
mod released;
mod restarts;
mod turns;
mod units;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use connect_config::Props;
use indexmap::IndexMap;

use crate::assignor::Cooperative;
use crate::config_record::{ConfigRecord, SessionKey};
use crate::config_state::{ConfigEvent, ConfigState};
use crate::herd::{ClusterView, Command, ConnectorId, ConnectorView, HerdError, OffsetEntry, Reply, TaskId};
use crate::protocol::{Assignment, Protocol};
use crate::recovery::{Recovery, RecoveryOf};
use crate::status::{StatusRecord, StatusState};
use crate::unit::{Run, Unit, UnitEvent, UnitId};

pub use fencing::ExactlyOnceSources;
pub use turns::PATIENCE_MS;

/// How often it is looked whether every connector has the tasks it wants, in milliseconds.
const INSIST_MS: u64 = 5_000;

/// Names a request until it is answered.
pub type RequestId = u64;

/// The time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub mono_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
}

/// What a connector class is, as the plugin registry knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFacts {
    /// `source` or `sink`.
    pub kind: &'static str,
    pub version: String,
}

/// Looks a class or alias up; `None` when there is no such connector.
pub type Catalog = Arc<dyn Fn(&str) -> Option<PluginFacts> + Send + Sync>;

/// What a herder has to know of its worker.
#[derive(Clone)]
pub struct HerderConfig {
    /// `host:port` in statuses.
    pub worker_id: String,
    /// The advertised URL, with a slash at its end.
    pub url: String,
    /// `connect.protocol`.
    pub protocol: Protocol,
    /// `scheduled.rebalance.max.delay.ms`.
    pub max_delay_ms: u64,
    /// `worker.unsync.backoff.ms`.
    pub unsync_backoff_ms: u64,
    /// `inter.worker.key.ttl.ms`.
    pub key_ttl_ms: u64,
    /// `inter.worker.key.generation.algorithm`.
    pub key_algorithm: String,
    /// Bytes of a session key (`inter.worker.key.size` in bits).
    pub key_bytes: usize,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
    pub exactly_once: ExactlyOnceSources,
    pub kafka_cluster_id: String,
    pub catalog: Catalog,
    /// How a connector and its tasks are tried again after a failure.
    pub recovery: RecoveryOf,
}

/// What happens to a herder.
#[derive(Debug)]
pub enum Event {
    /// The next record of the config topic.
    Config { offset: i64, key: String, value: Option<Bytes> },
    /// The next record of the status topic.
    Status { key: String, value: Option<Bytes> },
    /// The internal topics were read to their ends for the first time.
    Started,
    /// The answer to [`Effect::ReadConfig`]: everything that was in the topic has come as [`Event::Config`].
    ConfigRead,
    /// The config topic could not be read to its end in time.
    ConfigUnread,
    /// The answer to [`Effect::ReadStatus`]: everything that was in the topic has come as [`Event::Status`], or the time for
    /// that was over.
    StatusRead { generation: i32 },
    /// The member is about to join: answered by [`Effect::Offer`] or [`Effect::Abstain`].
    Prepare,
    /// This worker leads the new generation: answered by [`Effect::Assign`].
    Elected { generation: i32, protocol: String, leader_id: String, members: Vec<(String, Bytes)> },
    /// The join is complete.
    Joined { generation: i32, member_id: String, leader_id: String, protocol: String, assignment: Bytes },
    /// The group is about to join anew.
    Rebalancing,
    /// This worker is no member any more.
    Lost,
    /// Whoever asked does not want to wait any longer. A request that has not begun is refused, and nothing is done for it;
    /// one whose records are on their way is answered when it is known what became of them.
    Cancel { id: RequestId },
    /// A request. It is answered by exactly one [`Effect::Reply`], except offsets, which the loop answers.
    Request { id: RequestId, command: Command },
    /// The answer to [`Effect::Validate`].
    Validated { id: RequestId, outcome: Result<(), HerdError> },
    /// The answer to [`Effect::Append`]: whatever reached the topic has come as [`Event::Config`] before, also when it is an
    /// error, and no more of it will.
    Written(Result<(), String>),
    /// The answer to [`Effect::Claim`]: on success everything that former leaders wrote has come as [`Event::Config`].
    Claimed(bool),
    /// The answer to [`Effect::FenceProducers`].
    Fenced { name: ConnectorId, outcome: Result<(), String> },
    /// The answer to [`Effect::AlterOffsets`].
    OffsetsAltered,
    /// News of a unit.
    Unit(UnitEvent),
    /// The answer to [`Effect::MakeSessionKey`].
    SessionKey(SessionKey),
    /// The answer to [`Effect::SendTaskConfigs`].
    TaskConfigsSent { connector: ConnectorId, ok: bool },
    /// Time passed.
    Tick,
    /// The worker ends: all work is to stop.
    Shutdown,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Write to the config topic, all or as many as possible, and read it to its end. Never two at a time.
    Append(Vec<ConfigRecord>),
    /// Write to the status topic.
    Status(StatusRecord),
    /// Read the config topic to its end.
    ReadConfig,
    /// Read the status topic to its end, but not for long: answered by [`Event::StatusRead`].
    ReadStatus {
        generation: i32,
    },
    /// Leave the group, and prepare to join again after so long.
    Abstain {
        ms: u64,
    },
    /// Join with these protocols.
    Offer(Vec<(Protocol, Vec<u8>)>),
    /// Give the members their assignments.
    Assign(Vec<(String, Vec<u8>)>),
    /// Ask for a new round.
    Rejoin,
    StartConnector {
        name: ConnectorId,
        run: Run,
        config: Arc<Props>,
    },
    StartTask {
        id: TaskId,
        run: Run,
        config: Arc<IndexMap<String, String>>,
        connector: Arc<Props>,
        task_count: usize,
    },
    Pause(UnitId),
    Resume(UnitId),
    Stop(UnitId),
    /// Validate a connector's configuration: answered by [`Event::Validated`].
    Validate {
        id: RequestId,
        config: Props,
    },
    ReadOffsets {
        id: RequestId,
        name: ConnectorId,
        config: Arc<Props>,
    },
    AlterOffsets {
        id: RequestId,
        name: ConnectorId,
        config: Arc<Props>,
        offsets: Option<Vec<OffsetEntry>>,
    },
    Reply(RequestId, Result<Reply, HerdError>),
    /// Send the configurations of a connector's tasks to the leader.
    SendTaskConfigs {
        url: String,
        connector: ConnectorId,
        configs: Vec<IndexMap<String, String>>,
        signed: bool,
    },
    MakeSessionKey,
    /// Take the config topic from former leaders, then read it to its end.
    Claim,
    /// Fence the producers of this many tasks of a source.
    FenceProducers {
        name: ConnectorId,
        config: Arc<Props>,
        tasks: u32,
    },
    /// Set a log level that holds for the cluster.
    LogLevel {
        logger: String,
        level: String,
    },
    /// Tasks of this connector report their topics anew.
    ForgetTopics(ConnectorId),
    /// After [`Event::Shutdown`]: nothing runs any more.
    Finished,
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Created(a), Self::Created(b)) | (Self::Updated(a), Self::Updated(b)) => a == b,
            (Self::Done, Self::Done) => true,
            (Self::Restarting(a), Self::Restarting(b)) => a == b,
            (Self::Offsets(a), Self::Offsets(b)) => a == b,
            (Self::Message(a), Self::Message(b)) => a == b,
            _ => false,
        }
    }
}

/// A unit that this worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub unit: Unit,
    pub run: Run,
    pub trace: Option<String>,
    /// The run says that it really works. A connector has nothing to say: it does when it runs.
    pub works: bool,
    /// Since when it runs and works.
    pub working_since_ms: Option<u64>,
    /// When a crashed unit is tried again.
    pub retry_at_ms: Option<u64>,
}

/// Task configurations on their way to the leader.
#[derive(Clone, Debug)]
pub(crate) struct ToSend {
    pub configs: Vec<IndexMap<String, String>>,
    pub in_flight: bool,
    /// They changed while an older set was in flight: its outcome says nothing of them.
    pub changed: bool,
}

/// Its place in the group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat {
    pub generation: i32,
    pub member_id: String,
    pub leader_id: String,
    pub leader_url: String,
    pub protocol: Option<Protocol>,
    /// Config offset of the last assignment.
    pub config_offset: i64,
    /// True between the completion of a join and the next.
    pub settled: bool,
}

impl Seat {
    pub(crate) fn leads(&self) -> bool {
        self.settled && self.member_id == self.leader_id
    }
}

/// One worker's herder.
pub struct Herder {
    config: HerderConfig,
    state: ConfigState,
    statuses: StatusState,
    started: bool,
    stopping: bool,
    finished: bool,

    seat: Option<Seat>,
    /// What the group gave to this worker.
    assigned: BTreeSet<UnitId>,
    /// An assignment that waits until the config topic was read far enough.
    unread: Option<(Seat, Assignment)>,
    reading: bool,
    /// Join only after reading, or after everything stopped.
    prepare: bool,
    read_before_join: bool,
    /// A round was asked for and has not begun.
    rejoining: bool,
    /// A round was asked for after this worker's claims for the one under way were sent.
    rejoin_again: bool,
    rejoin_at_ms: Option<u64>,
    /// Units that were taken away and still run: the next round begins when they are gone.
    giving_up: BTreeSet<UnitId>,
    cooperative: Cooperative,
    /// URL of the worker of each unit, known to the leader.
    owners: BTreeMap<UnitId, String>,
    /// Who had each unit last, with or without being there any more.
    last_owners: BTreeMap<UnitId, released::Owner>,
    /// The round that was dealt is one of transition: another follows at once.
    deal_again: bool,
    /// An election that waits for the status topic.
    election: Option<released::Election>,
    /// Leave the group for a while instead of joining; how often that was done in a row.
    abstain: bool,
    abstentions: u32,
    completed_generation: i32,
    key_wanted: bool,
    claim: fencing::Claim,
    rounds: fencing::Rounds,

    units: BTreeMap<UnitId, Held>,
    /// Failures in a row of units that are here, shared with the view.
    recoveries: Arc<BTreeMap<UnitId, Recovery>>,
    next_run: Run,

    queue: VecDeque<turns::Turn>,
    current: Option<turns::Current>,
    validating: BTreeMap<RequestId, Command>,
    restarts: Vec<(RequestId, UnitId)>,
    /// When it is looked whether every connector here has the tasks it wants.
    insist_at_ms: u64,
    /// The tasks that each connector running here wants.
    wanted: BTreeMap<ConnectorId, Vec<IndexMap<String, String>>>,
    /// Task configurations that the leader has to have, by connector.
    to_send: BTreeMap<ConnectorId, ToSend>,

    views: BTreeMap<ConnectorId, Arc<ConnectorView>>,
    dirty: BTreeSet<ConnectorId>,
    view: Arc<ClusterView>,
    now: Now,
}

impl Herder {
    /// A herder that knows nothing yet.
    pub fn new(config: HerderConfig) -> Self {
        let cooperative = Cooperative::new(config.max_delay_ms);
        Self {
            config,
            state: ConfigState::default(),
            statuses: StatusState::default(),
            started: false,
            stopping: false,
            finished: false,
            seat: None,
            assigned: BTreeSet::new(),
            unread: None,
            reading: false,
            prepare: false,
            read_before_join: false,
            rejoining: false,
            rejoin_again: false,
            rejoin_at_ms: None,
            giving_up: BTreeSet::new(),
            cooperative,
            owners: BTreeMap::new(),
            last_owners: BTreeMap::new(),
            deal_again: false,
            election: None,
            abstain: false,
            abstentions: 0,
            completed_generation: -1,
            key_wanted: false,
            claim: fencing::Claim::default(),
            rounds: fencing::Rounds::default(),
            units: BTreeMap::new(),
            recoveries: Arc::default(),
            next_run: 1,
            queue: VecDeque::new(),
            current: None,
            validating: BTreeMap::new(),
            restarts: Vec::new(),
            insist_at_ms: 0,
            wanted: BTreeMap::new(),
            to_send: BTreeMap::new(),
            views: BTreeMap::new(),
            dirty: BTreeSet::new(),
            view: Arc::default(),
            now: Now::default(),
        }
    }

    /// Takes an event; adds what is to be done.
    pub fn step(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        self.now = now;
        match event {
            Event::Config { offset, key, value } => self.on_config(offset, &key, value.as_deref(), out),
            Event::Status { key, value } => self.on_status(&key, value.as_deref(), out),
            Event::Started => {
                self.started = true;
                self.try_offer(out);
            }
            Event::ConfigRead => self.on_config_read(out),
            Event::ConfigUnread => self.on_config_unread(out),
            Event::StatusRead { generation } => self.on_status_read(generation, out),
            Event::Prepare => {
                self.prepare = true;
                self.rejoining = false;
                // What was not adopted is not claimed in the new round, so it must not be adopted later.
                self.unread = None;
                self.election = None;
                self.unsettle();
                self.try_offer(out);
            }
            Event::Elected { generation, protocol, leader_id, members } => {
                self.on_elected(generation, &protocol, &leader_id, &members, out);
            }
            Event::Joined { generation, member_id, leader_id, protocol, assignment } => {
                self.on_joined(generation, member_id, leader_id, &protocol, &assignment, out);
            }
            Event::Rebalancing => self.unsettle(),
            Event::Lost => self.on_lost(out),
            Event::Cancel { id } => self.cancel(id, out),
            Event::Request { id, command } => self.on_request(id, command, out),
            Event::Validated { id, outcome } => self.on_validated(id, outcome, out),
            Event::Written(outcome) => self.on_written(outcome, out),
            Event::Claimed(ok) => self.on_claimed(ok, out),
            Event::Fenced { name, outcome } => self.on_fenced(&name, outcome, out),
            Event::OffsetsAltered => self.current = None,
            Event::Unit(event) => self.on_unit(event, out),
            Event::SessionKey(key) => self.queue_session_key(key),
            Event::TaskConfigsSent { connector, ok } => self.on_task_configs_sent(&connector, ok),
            Event::Tick => self.on_tick(out),
            Event::Shutdown => self.on_shutdown(out),
        }
        self.pump(out);
        self.finish(out);
    }

    /// The key that signs requests between workers, once it was read.
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.state.session_key.as_ref()
    }

    /// True when requests between workers have to be signed now. What its own configuration asks for counts while the
    /// worker has no seat in the group (`WorkerCoordinator.currentProtocolVersion`).
    pub fn signs_requests(&self) -> bool {
        let agreed = self.seat.as_ref().and_then(|seat| seat.protocol);
        agreed.unwrap_or(self.config.protocol) == Protocol::Sessioned
    }

    /// The configuration as it was read.
    pub fn state(&self) -> &ConfigState {
        &self.state
    }

    /// The units on this worker, with what they do; for invariants and tests.
    pub fn units(&self) -> impl Iterator<Item = (&UnitId, &Unit)> {
        self.units.iter().map(|(id, held)| (id, &held.unit))
    }

    /// What failed on this worker, and when it is tried again.
    pub fn recoveries(&self) -> &BTreeMap<UnitId, Recovery> {
        &self.recoveries
    }

    /// What the group gave to this worker; for invariants and tests.
    pub fn assigned(&self) -> &BTreeSet<UnitId> {
        &self.assigned
    }

    /// The last generation that this worker completed; -1 before the first.
    pub fn generation(&self) -> i32 {
        self.seat.as_ref().map_or(-1, |seat| seat.generation)
    }

    /// Its name in the group, while it is a member.
    pub fn member_id(&self) -> Option<&str> {
        self.seat.as_ref().map(|seat| seat.member_id.as_str())
    }

    /// True when this worker leads a settled group.
    pub fn leads(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::leads)
    }

    fn settled(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.settled)
    }

    fn on_config(&mut self, offset: i64, key: &str, value: Option<&[u8]>, out: &mut Vec<Effect>) {
        // What can't be understood was written by something else; the rest goes on.
        self.watch_for_landing(key, value);
        let Ok(Some(event)) = self.state.apply(offset, key, value) else { return };
        match event {
            ConfigEvent::Connector(name) => self.on_connector_config(&name, out),
            ConfigEvent::Removed(name) => self.on_connector_removed(&name, out),
            ConfigEvent::Tasks { connector, updated } => self.on_tasks_committed(&connector, &updated, out),
            ConfigEvent::Target(name) => self.on_target(&name, out),
            ConfigEvent::Restart(request) => self.on_restart_request(&request, out),
            ConfigEvent::Logger { logger, level } => {
                if self.started {
                    out.push(Effect::LogLevel { logger, level });
                }
            }
            ConfigEvent::SessionKey => self.key_wanted = false,
        }
    }

    fn on_status(&mut self, key: &str, value: Option<&[u8]>, out: &mut Vec<Effect>) {
        if !self.statuses.apply(key, value) {
            return;
        }
        let name = match crate::status::unit_of_key(key) {
            Some(unit) => Arc::clone(unit.connector()),
            None => match key.split_once(":connector-") {
                Some((_, name)) => ConnectorId::from(name),
                None => return,
            },
        };
        if self.started && value.is_none() && key.starts_with("status-topic-") {
            out.push(Effect::ForgetTopics(Arc::clone(&name)));
        }
        self.dirty.insert(name);
        match crate::status::unit_of_key(key) {
            // The tombstone of a connector has taken its tasks along.
            Some(UnitId::Connector(name)) if value.is_none() => {
                for unit in self.held_of(&name) {
                    self.assert_status(&unit, out);
                }
            }
            Some(unit) => self.assert_status(&unit, out),
            None => {}
        }
    }

    fn on_tick(&mut self, out: &mut Vec<Effect>) {
        if self.rejoin_at_ms.is_some_and(|at| at <= self.now.mono_ms) {
            self.rejoin_at_ms = None;
            self.rejoin(out);
        }
        self.retry_units(out);
        self.forget_the_healthy();
        self.retry_claim(out);
        self.refuse_the_overdue(out);
        self.want_session_key(out);
        if self.now.mono_ms >= self.insist_at_ms {
            self.insist_at_ms = self.now.mono_ms + INSIST_MS;
            for name in self.wanted.keys().cloned().collect::<Vec<_>>() {
                self.insist_on_tasks(&name);
            }
            self.insist_on_rest();
        }
        self.send_task_configs(out);
    }

    fn on_shutdown(&mut self, out: &mut Vec<Effect>) {
        self.stopping = true;
        self.assigned.clear();
        self.reconcile(out);
        self.refuse_everything(out);
    }

    fn finish(&mut self, out: &mut Vec<Effect>) {
        if self.stopping && !self.finished && !self.anything_runs() && !self.change_under_way() {
            self.finished = true;
            out.push(Effect::Finished);
        }
    }
}
