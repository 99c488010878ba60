//! Workers, their log, their group, their clients, and what happens to them.

mod checks;
mod clients;
mod faults;
mod group;
mod happening;
mod units;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;
use connect_cluster::config_record::ConfigRecord;
use connect_cluster::herder::{Catalog, ExactlyOnceSources, HerderConfig};
use connect_cluster::protocol::Protocol;
use connect_cluster::unit::{Run, UnitNews};
use connect_cluster::{Command, Effect, Event, Herder, Now, PluginFacts, RecoveryPolicy, UnitId};
use connect_config::Props;

use crate::coordinator::Coordinator;
use crate::random::Random;
use happening::{Happening, Scheduled};

const SESSION_MS: u64 = 6_000;
/// When a member that is not answered counts itself out, and when its units may do nothing more: parts of the session, as
/// the membership has them.
const STOP_MS: u64 = SESSION_MS * 4 / 5;
const LEASE_MS: u64 = SESSION_MS * 19 / 20;
const REBALANCE_MS: u64 = 20_000;
/// `worker.sync.timeout.ms`.
const SYNC_MS: u64 = 3_000;
/// How long the status topic may take before work is given out.
const STATUS_MS: u64 = 2_000;
const BEAT_MS: u64 = 250;
/// How long a change of the protocol may leave a unit running twice.
const OVERLAP_MS: u64 = 6_000;
/// Long enough for every session, delay, retry and patience to pass.
const QUIET_MS: u64 = 300_000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Worker {
    herder: Herder,
    protocol: Protocol,
    alive: bool,
    /// It was asked to end, and comes back so long after it did.
    leaving: bool,
    back_after: u64,
    /// It stays out of the group on purpose.
    away: bool,
    frozen_until: u64,
    cut_until: u64,
    incarnation: u32,
    /// Empty while it is no member.
    member: String,
    /// It has an assignment; what it may do ends with its lease.
    leased: bool,
    /// When the membership's last news arrives: it comes in order.
    news_until: u64,
    /// When the last heartbeat was sent that was answered.
    contact: u64,
    /// The round that it was last elected in: an answer counts for that one only.
    elected_in: i32,
    read_config: usize,
    read_status: usize,
    /// Statuses that could not be written yet.
    unwritten: Vec<(String, Option<String>)>,
    /// What really runs, with the run's number.
    runs: BTreeMap<UnitId, Run>,
}

pub(crate) struct World {
    now: u64,
    order: u64,
    random: Random,
    queue: BinaryHeap<Scheduled>,
    workers: Vec<Worker>,
    coordinator: Coordinator,
    broker_back: u64,
    /// Things go wrong.
    faults: bool,
    /// Workers of all protocols.
    mixed: bool,
    max_delay_ms: u64,
    configs: Vec<(String, Option<String>)>,
    statuses: Vec<(String, Option<String>)>,
    next_request: u64,
    /// Requests that wait for their answer: the worker asked, and how often it was passed on.
    open: BTreeMap<u64, (usize, u32, Command)>,
    /// What a request would write that no other writes.
    notes: BTreeMap<u64, String>,
    /// Notes of requests that were refused.
    refused: BTreeSet<String>,
    /// Requests between workers: who waits for the outcome.
    sent: BTreeMap<u64, (usize, u32, Arc<str>)>,
    leaders: BTreeMap<i32, String>,
    /// Since when a unit runs twice.
    twice_since: u64,
    violation: Option<String>,
    story: Vec<String>,
}

fn herder(index: usize, protocol: Protocol, max_delay_ms: u64) -> Herder {
    let catalog: Catalog = Arc::new(|_| Some(PluginFacts { kind: "source", version: "1".to_owned() }));
    Herder::new(HerderConfig {
        worker_id: format!("w{index}:1"),
        url: format!("http://w{index}:1/"),
        protocol,
        max_delay_ms,
        unsync_backoff_ms: 5_000,
        key_ttl_ms: 3_600_000,
        key_algorithm: "HmacSHA256".to_owned(),
        key_bytes: 32,
        exactly_once: ExactlyOnceSources::default(),
        topic_tracking: true,
        kafka_cluster_id: "k".to_owned(),
        catalog,
        recovery: policy().for_all(),
    })
}

/// Delays that are over well before it is looked whether everything is as asked.
pub(crate) fn policy() -> RecoveryPolicy {
    RecoveryPolicy { first_delay_ms: 1_000, max_delay_ms: 20_000, healthy_ms: 30_000, ..RecoveryPolicy::default() }
}

fn config(name: &str, tasks: u64, note: &str) -> Props {
    let pairs = [("name", name.to_owned()), ("tasks.max", tasks.to_string()), ("note", note.to_owned())];
    let class = ("connector.class".to_owned(), Some("X".to_owned()));
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).chain([class]).collect()
}

impl World {
    pub(crate) fn new(seed: u64, workers: usize) -> Self {
        let mut random = Random::new(seed);
        let delays = [0, 5_000, 5_000, 30_000];
        let max_delay_ms = delays[usize::try_from(random.below(4)).unwrap()];
        let mixed = random.one_in(3);
        let mut world = Self {
            now: 0,
            order: 0,
            random,
            queue: BinaryHeap::new(),
            workers: Vec::new(),
            coordinator: Coordinator::default(),
            broker_back: 0,
            faults: false,
            mixed,
            max_delay_ms,
            configs: Vec::new(),
            statuses: Vec::new(),
            next_request: 1,
            open: BTreeMap::new(),
            notes: BTreeMap::new(),
            refused: BTreeSet::new(),
            sent: BTreeMap::new(),
            leaders: BTreeMap::new(),
            twice_since: u64::MAX,
            violation: None,
            story: Vec::new(),
        };
        for index in 0..workers {
            world.workers.push(Worker {
                herder: herder(index, Protocol::Sessioned, max_delay_ms),
                protocol: Protocol::Sessioned,
                alive: false,
                leaving: false,
                back_after: 0,
                away: false,
                frozen_until: 0,
                cut_until: 0,
                incarnation: 0,
                member: String::new(),
                leased: false,
                news_until: 0,
                contact: 0,
                elected_in: -1,
                read_config: 0,
                read_status: 0,
                unwritten: Vec::new(),
                runs: BTreeMap::new(),
            });
            world.schedule(index, 1, Happening::Restart);
        }
        world
    }

    /// A world of workers that all speak the newest protocol, with this `scheduled.rebalance.max.delay.ms`.
    pub(crate) fn plain(seed: u64, workers: usize, max_delay_ms: u64) -> Self {
        let mut world = Self::new(seed, workers);
        (world.mixed, world.max_delay_ms) = (false, max_delay_ms);
        world
    }

    /// What happened last, for failures.
    pub(crate) fn story(&self) -> String {
        let from = self.story.len().saturating_sub(if std::env::var_os("SIM_STORY").is_some() { 100_000 } else { 80 });
        self.story[from..].join("\n")
    }

    fn tell(&mut self, line: String) {
        self.story.push(format!("{:>7} {line}", self.now));
    }

    fn schedule(&mut self, worker: usize, delay: u64, what: Happening) {
        self.order += 1;
        let incarnation = self.workers[worker].incarnation;
        self.queue.push(Scheduled { at: self.now + delay, order: self.order, worker, incarnation, what });
    }

    fn soon(&mut self, worker: usize, what: Happening) {
        let delay = 1 + self.random.below(40);
        self.schedule(worker, delay, what);
    }

    /// News of the membership.
    fn announce(&mut self, worker: usize, what: Happening) {
        let at = (self.now + 1 + self.random.below(40)).max(self.workers[worker].news_until);
        self.workers[worker].news_until = at;
        self.schedule(worker, at - self.now, what);
    }

    fn is_frozen(&self, worker: usize) -> bool {
        self.workers[worker].frozen_until > self.now
    }

    fn broker_down(&self) -> bool {
        self.broker_back > self.now
    }

    /// Whether a worker and Kafka hear each other.
    fn reachable(&self, worker: usize) -> bool {
        let state = &self.workers[worker];
        state.alive && state.cut_until <= self.now && !self.is_frozen(worker) && !self.broker_down()
    }

    /// Clients and, when asked for, faults, for a while.
    pub(crate) fn trouble(&mut self, length_ms: u64, faults: bool) {
        let end = self.now + length_ms;
        self.faults = faults;
        while self.now < end && self.violation.is_none() {
            let pause = 20 + self.random.below(1_500);
            self.run_for(pause);
            let worker = self.pick_worker();
            match self.random.below(if faults { 14 } else { 10 }) {
                10..14 => self.random_fault(worker),
                _ => self.random_request(worker),
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, length_ms: u64) {
        let end = self.now + length_ms;
        let mut next_tick = (self.now / BEAT_MS + 1) * BEAT_MS;
        while self.violation.is_none() {
            let next = self.queue.peek().map_or(u64::MAX, |scheduled| scheduled.at);
            if next.min(next_tick) > end {
                break;
            }
            if next_tick < next {
                let was_down = self.broker_down();
                self.now = next_tick;
                next_tick += BEAT_MS;
                if was_down && !self.broker_down() {
                    self.coordinator.hear_all(self.now);
                }
                self.tick();
            } else if let Some(scheduled) = self.queue.pop() {
                self.now = self.now.max(scheduled.at);
                self.happen(scheduled);
            }
        }
        self.now = end;
    }

    fn tick(&mut self) {
        self.beat();
        for worker in 0..self.workers.len() {
            if self.workers[worker].alive && !self.is_frozen(worker) {
                if self.reachable(worker) && !self.workers[worker].unwritten.is_empty() {
                    self.flush_statuses(worker);
                    self.read(worker);
                }
                self.step(worker, Event::Tick);
            }
        }
    }

    fn happen(&mut self, scheduled: Scheduled) {
        let Scheduled { worker, incarnation, what, order, .. } = scheduled;
        match what {
            Happening::Restart => return self.restart(worker),
            Happening::RoundOver(round) => return self.round_over(round),
            // A record that was sent may reach the log, whatever became of the sender.
            Happening::Append(records) => return self.append(worker, incarnation, records),
            _ => {}
        }
        if incarnation != self.workers[worker].incarnation || !self.workers[worker].alive {
            return;
        }
        if self.is_frozen(worker) {
            let at = self.workers[worker].frozen_until;
            return self.queue.push(Scheduled { at, order, worker, incarnation, what });
        }
        match what {
            Happening::Event(event) => self.step(worker, event),
            Happening::Prepare => {
                if self.coordinator.preparing && self.coordinator.late().contains(&self.workers[worker].member) {
                    self.step(worker, Event::Prepare);
                }
            }
            Happening::Join { member, round, offer } => self.join(worker, member, round, offer),
            Happening::Read => self.read(worker),
            Happening::ReadToEnd { deadline, then, late, tag } => {
                if self.reachable(worker) {
                    self.read(worker);
                    self.step(worker, then(tag));
                } else if self.now >= deadline {
                    self.step(worker, late(tag));
                } else {
                    self.schedule(worker, 200, Happening::ReadToEnd { deadline, then, late, tag });
                }
            }
            Happening::ReadBack(outcome) => {
                if self.reachable(worker) {
                    self.read(worker);
                    self.step(worker, Event::Written(outcome));
                } else {
                    self.schedule(worker, 200, Happening::ReadBack(outcome));
                }
            }
            Happening::Rejoin => {
                if !self.reachable(worker) {
                    self.schedule(worker, 200, Happening::Rejoin);
                } else if self.coordinator.has(&self.workers[worker].member) {
                    self.begin_round();
                }
            }
            Happening::Enter => self.workers[worker].away = false,
            Happening::Sent { connector, ok } => self.step(worker, Event::TaskConfigsSent { connector, ok }),
            Happening::Ended { unit, run } => self.ended(worker, unit, run, UnitNews::Exited),
            Happening::Crashed { unit, run } => {
                let crash = self.crash_of_unit();
                self.ended(worker, unit, run, crash);
            }
            Happening::Restart | Happening::RoundOver(_) | Happening::Append(_) => {}
        }
    }

    /// Whether the records of a write get there, and what the writer hears, are two things.
    fn append(&mut self, worker: usize, incarnation: u32, records: Vec<(String, Option<String>)>) {
        let writer_waits = incarnation == self.workers[worker].incarnation;
        let frozen = self.is_frozen(worker);
        let unreachable = !self.reachable(worker) && !frozen && writer_waits || self.broker_down();
        if unreachable && self.random.one_in(2) {
            return self.schedule_as(worker, incarnation, 700, Happening::Append(records));
        }
        let (landing, heard) = match self.random.below(if self.faults { 12 } else { 1 }) {
            _ if unreachable => (0, Err("no answer".to_owned())),
            10 => (self.random.below(2) * u64::try_from(records.len()).unwrap(), Err("no answer".to_owned())),
            // A leader that dies may have sent some of them only; one of the JVM writes them one by one.
            11 => (self.random.below(1 + u64::try_from(records.len()).unwrap()), Err("no answer".to_owned())),
            _ => (u64::MAX, Ok(())),
        };
        for (key, value) in records.into_iter().take(usize::try_from(landing).unwrap_or(usize::MAX)) {
            if let Some(note) = self.refused.iter().find(|note| value.as_ref().is_some_and(|v| v.contains(*note))) {
                let violation = format!("{note} was refused and is written now");
                self.violation.get_or_insert(violation);
            }
            self.tell(format!("log {}: {key} {}", self.configs.len(), value.as_deref().unwrap_or("tombstone")));
            self.configs.push((key, value));
        }
        for other in 0..self.workers.len() {
            self.soon(other, Happening::Read);
        }
        if writer_waits {
            let delay = 1 + self.random.below(if heard.is_ok() { 40 } else { 5_000 });
            self.schedule(worker, delay, Happening::ReadBack(heard));
        }
    }

    fn schedule_as(&mut self, worker: usize, incarnation: u32, delay: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Scheduled { at: self.now + delay, order: self.order, worker, incarnation, what });
    }

    fn read(&mut self, worker: usize) {
        if !self.reachable(worker) {
            return;
        }
        while self.workers[worker].alive && self.workers[worker].read_config < self.configs.len() {
            let at = self.workers[worker].read_config;
            self.workers[worker].read_config += 1;
            let (key, value) = self.configs[at].clone();
            let offset = i64::try_from(at).unwrap();
            self.step(worker, Event::Config { offset, key, value: value.map(Bytes::from) });
        }
        while self.workers[worker].alive && self.workers[worker].read_status < self.statuses.len() {
            let at = self.workers[worker].read_status;
            self.workers[worker].read_status += 1;
            let (key, value) = self.statuses[at].clone();
            self.step(worker, Event::Status { key, value: value.map(Bytes::from) });
        }
    }

    fn flush_statuses(&mut self, worker: usize) {
        if self.reachable(worker) {
            let unwritten = std::mem::take(&mut self.workers[worker].unwritten);
            self.statuses.extend(unwritten);
            (0..self.workers.len()).for_each(|other| self.soon(other, Happening::Read));
        }
    }

    fn step(&mut self, worker: usize, event: Event) {
        if !self.workers[worker].alive || self.violation.is_some() {
            return;
        }
        let mut effects = Vec::new();
        let now = Now { mono_ms: self.now, wall_ms: i64::try_from(self.now).unwrap() };
        self.workers[worker].herder.step(now, event, &mut effects);
        for effect in effects {
            self.carry_out(worker, effect);
        }
        self.check();
    }

    fn join(&mut self, worker: usize, member: String, round: u64, offer: Vec<(Protocol, Vec<u8>)>) {
        let known = self.workers[worker].member == member && self.coordinator.has(&member);
        if !known || !self.coordinator.preparing || self.coordinator.rounds != round {
            return;
        }
        if !self.reachable(worker) {
            return self.schedule(worker, 200, Happening::Join { member, round, offer });
        }
        if let Some(complete) = self.coordinator.join(&member, offer) {
            self.elect(complete);
        }
    }

    fn carry_out(&mut self, worker: usize, effect: Effect) {
        match effect {
            Effect::Append(records) => {
                let records = records.iter().map(ConfigRecord::encode).collect();
                self.soon(worker, Happening::Append(records));
            }
            Effect::Status(record) => {
                self.workers[worker].unwritten.push(record.encode());
                self.flush_statuses(worker);
            }
            Effect::ReadConfig => {
                let deadline = self.now + SYNC_MS;
                let (then, late) = ((|_| Event::ConfigRead) as fn(_) -> _, (|_| Event::ConfigUnread) as fn(_) -> _);
                self.soon(worker, Happening::ReadToEnd { deadline, then, late, tag: 0 });
            }
            Effect::ReadStatus { generation } => {
                let deadline = self.now + STATUS_MS;
                let then = |generation| Event::StatusRead { generation };
                self.soon(worker, Happening::ReadToEnd { deadline, then, late: then, tag: generation });
            }
            Effect::Offer(offer) => {
                let member = self.workers[worker].member.clone();
                let round = self.coordinator.rounds;
                self.soon(worker, Happening::Join { member, round, offer });
            }
            Effect::Abstain { ms } => self.abstain(worker, ms),
            Effect::Assign(assignments) => self.assign(worker, assignments),
            Effect::Rejoin => self.soon(worker, Happening::Rejoin),
            Effect::Validate { id, .. } => {
                self.soon(worker, Happening::Event(Event::Validated { id, outcome: Ok(()) }));
            }
            Effect::Reply(id, outcome) => self.answered(id, outcome),
            Effect::SendTaskConfigs { url, connector, configs, .. } => self.send(worker, &url, &connector, configs),
            Effect::MakeSessionKey => {
                let key = connect_cluster::config_record::SessionKey {
                    key: vec![1; 32],
                    algorithm: "HmacSHA256".to_owned(),
                    created_ms: i64::try_from(self.now).unwrap(),
                };
                self.soon(worker, Happening::Event(Event::SessionKey(key)));
            }
            Effect::Finished => self.finished(worker),
            other => self.units(worker, other),
        }
    }
}
