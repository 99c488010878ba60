//! Workers, their log, their group, their clients, and what happens to them.

mod clients;
mod happening;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;
use connect_cluster::herder::{Catalog, HerderConfig};
use connect_cluster::protocol::Protocol;
use connect_cluster::unit::{Run, UnitEvent, UnitNews};
use connect_cluster::{
    Command, Effect, Event, HerdError, Herder, Now, PluginFacts, Reply, State, Target, UnitId, invariants,
};
use connect_config::Props;
use indexmap::IndexMap;

use crate::coordinator::{Complete, Coordinator};
use crate::random::Random;
use happening::{Happening, Scheduled};

const SESSION_MS: u64 = 6_000;
/// Long enough for every session, delay, retry and patience to pass.
const QUIET_MS: u64 = 200_000;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Worker {
    herder: Herder,
    alive: bool,
    incarnation: u32,
    member: String,
    /// The round that it was last elected in: an answer counts for that one only.
    elected_in: i32,
    read_config: usize,
    read_status: usize,
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
    configs: Vec<(String, Option<String>)>,
    statuses: Vec<(String, Option<String>)>,
    next_request: u64,
    /// Requests that wait for their answer: the worker asked, and how often it was passed on.
    open: BTreeMap<u64, (usize, u32, Command)>,
    /// Requests between workers: who waits for the outcome.
    sent: BTreeMap<u64, (usize, u32, Arc<str>)>,
    violation: Option<String>,
    story: Vec<String>,
}

fn herder(index: usize) -> Herder {
    let catalog: Catalog = Arc::new(|_| Some(PluginFacts { kind: "source", version: "1".to_owned() }));
    Herder::new(HerderConfig {
        worker_id: format!("w{index}:1"),
        url: format!("http://w{index}:1/"),
        protocol: Protocol::Sessioned,
        max_delay_ms: 5_000,
        key_ttl_ms: 3_600_000,
        key_algorithm: "HmacSHA256".to_owned(),
        key_bytes: 32,
        topic_tracking: true,
        kafka_cluster_id: "k".to_owned(),
        catalog,
    })
}

fn config(name: &str, tasks: u64, note: u64) -> Props {
    let pairs = [("name", name.to_owned()), ("tasks.max", tasks.to_string()), ("note", note.to_string())];
    let class = ("connector.class".to_owned(), Some("X".to_owned()));
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).chain([class]).collect()
}

impl World {
    pub(crate) fn new(seed: u64, workers: usize) -> Self {
        let mut world = Self {
            now: 0,
            order: 0,
            random: Random::new(seed),
            queue: BinaryHeap::new(),
            workers: Vec::new(),
            coordinator: Coordinator::default(),
            configs: Vec::new(),
            statuses: Vec::new(),
            next_request: 1,
            open: BTreeMap::new(),
            sent: BTreeMap::new(),
            violation: None,
            story: Vec::new(),
        };
        for index in 0..workers {
            world.workers.push(Worker {
                herder: herder(index),
                alive: false,
                incarnation: 0,
                member: String::new(),
                elected_in: -1,
                read_config: 0,
                read_status: 0,
                runs: BTreeMap::new(),
            });
            world.schedule(index, 1, Happening::Restart);
        }
        world
    }

    /// What happened last, for failures.
    pub(crate) fn story(&self) -> String {
        let from = self.story.len().saturating_sub(60);
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

    /// Clients and, when asked for, faults, for a while.
    pub(crate) fn trouble(&mut self, length_ms: u64, faults: bool) {
        let end = self.now + length_ms;
        while self.now < end && self.violation.is_none() {
            let pause = 20 + self.random.below(1_500);
            self.run_for(pause);
            let worker = self.pick_worker();
            match self.random.below(if faults { 14 } else { 10 }) {
                10 | 11 => self.crash(worker),
                12 => self.lose_session(worker),
                13 => self.schedule(worker, 1, Happening::Rejoin),
                _ => self.random_request(worker),
            }
        }
    }

    pub(crate) fn running_on(&self, worker: usize) -> Vec<String> {
        self.workers[worker].runs.keys().map(ToString::to_string).collect()
    }

    pub(crate) fn running(&self) -> Vec<String> {
        (0..self.workers.len()).flat_map(|worker| self.running_on(worker)).collect()
    }

    pub(crate) fn crash(&mut self, worker: usize) {
        if !self.workers[worker].alive {
            return;
        }
        self.tell(format!("w{worker} crashes"));
        let member = std::mem::take(&mut self.workers[worker].member);
        self.workers[worker].alive = false;
        self.workers[worker].incarnation += 1;
        self.workers[worker].runs.clear();
        self.open.retain(|_, (asked, _, _)| *asked != worker);
        // Who waits for its answer sees the connection break.
        let broken: Vec<u64> = self.sent.keys().filter(|id| !self.open.contains_key(id)).copied().collect();
        for (from, incarnation, connector) in
            broken.into_iter().filter_map(|id| self.sent.remove(&id)).collect::<Vec<_>>()
        {
            if self.workers[from].incarnation == incarnation {
                self.soon(from, Happening::Event(Event::TaskConfigsSent { connector, ok: false }));
            }
        }
        self.schedule(worker, SESSION_MS, Happening::SessionOver(member));
        let away = self.random.below(20_000);
        self.schedule(worker, 10 + away, Happening::Restart);
    }

    pub(crate) fn lose_session(&mut self, worker: usize) {
        let member = self.workers[worker].member.clone();
        if !self.workers[worker].alive || !self.coordinator.has(&member) {
            return;
        }
        self.tell(format!("w{worker} loses its session"));
        self.session_over(&member);
        self.step(worker, Event::Lost);
        self.enter(worker);
    }

    fn session_over(&mut self, member: &str) {
        if self.coordinator.has(member) {
            self.coordinator.remove(member);
            self.begin_round();
        }
    }

    /// A worker becomes a member under a new id.
    fn enter(&mut self, worker: usize) {
        self.order += 1;
        let member = format!("m{}-w{worker}", self.order);
        self.workers[worker].member.clone_from(&member);
        self.coordinator.add(&member);
        self.begin_round();
    }

    fn begin_round(&mut self) {
        let awaited = self.coordinator.begin();
        for worker in 0..self.workers.len() {
            if self.workers[worker].alive && awaited.contains(&self.workers[worker].member) {
                self.soon(worker, Happening::Event(Event::Prepare));
            }
        }
        if let Some(complete) = self.coordinator.complete() {
            self.elect(complete);
        }
    }

    fn elect(&mut self, complete: Complete) {
        let leader = self.workers.iter().position(|worker| worker.alive && worker.member == complete.leader);
        // A leader that has crashed is missed when its session is over.
        let Some(leader) = leader else { return };
        let Complete { generation, leader: leader_id, protocol, members } = complete;
        let protocol = protocol.name().to_owned();
        self.soon(leader, Happening::Event(Event::Elected { generation, protocol, leader_id, members }));
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, length_ms: u64) {
        let end = self.now + length_ms;
        let mut next_tick = self.now + 250;
        while self.violation.is_none() {
            let next = self.queue.peek().map_or(u64::MAX, |scheduled| scheduled.at);
            if next.min(next_tick) > end {
                break;
            }
            if next_tick < next {
                self.now = next_tick;
                next_tick += 250;
                (0..self.workers.len()).for_each(|worker| self.step(worker, Event::Tick));
            } else if let Some(scheduled) = self.queue.pop() {
                self.now = self.now.max(scheduled.at);
                self.happen(scheduled);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, scheduled: Scheduled) {
        let Scheduled { worker, incarnation, what, .. } = scheduled;
        match what {
            Happening::SessionOver(member) => return self.session_over(&member),
            Happening::Restart => return self.restart(worker),
            // A record that was sent reaches the log, whatever became of the sender.
            Happening::Append(records) => return self.append(worker, incarnation, records),
            _ => {}
        }
        if incarnation != self.workers[worker].incarnation || !self.workers[worker].alive {
            return;
        }
        match what {
            Happening::Event(event) => {
                if let Event::Elected { generation, .. } = &event {
                    self.workers[worker].elected_in = *generation;
                }
                self.step(worker, event);
            }
            Happening::Read => self.read(worker),
            Happening::ReadToEnd(then) => {
                self.read(worker);
                self.step(worker, then());
            }
            Happening::Rejoin => {
                if self.coordinator.has(&self.workers[worker].member.clone()) {
                    self.begin_round();
                }
            }
            Happening::SessionOver(_) | Happening::Restart | Happening::Append(_) => {}
        }
    }

    fn restart(&mut self, worker: usize) {
        if self.workers[worker].alive {
            return;
        }
        self.tell(format!("w{worker} starts"));
        let state = &mut self.workers[worker];
        state.herder = herder(worker);
        state.alive = true;
        (state.read_config, state.read_status) = (0, 0);
        self.enter(worker);
        self.soon(worker, Happening::ReadToEnd(|| Event::Started));
    }

    fn append(&mut self, worker: usize, incarnation: u32, records: Vec<(String, Option<String>)>) {
        self.configs.extend(records);
        for other in 0..self.workers.len() {
            self.soon(other, Happening::Read);
        }
        if incarnation == self.workers[worker].incarnation {
            self.soon(worker, Happening::ReadToEnd(|| Event::Written(Ok(()))));
        }
    }

    fn read(&mut self, worker: usize) {
        while self.workers[worker].read_config < self.configs.len() {
            let at = self.workers[worker].read_config;
            self.workers[worker].read_config += 1;
            let (key, value) = self.configs[at].clone();
            let offset = i64::try_from(at).unwrap();
            self.step(worker, Event::Config { offset, key, value: value.map(Bytes::from) });
        }
        while self.workers[worker].read_status < self.statuses.len() {
            let at = self.workers[worker].read_status;
            self.workers[worker].read_status += 1;
            let (key, value) = self.statuses[at].clone();
            self.step(worker, Event::Status { key, value: value.map(Bytes::from) });
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

    fn check(&mut self) {
        let live: Vec<&Herder> = self.workers.iter().filter(|w| w.alive).map(|w| &w.herder).collect();
        let checked = invariants::no_unit_owned_twice(&live)
            .and_then(|()| live.iter().try_for_each(|herder| invariants::live_units_are_assigned(herder)));
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }

    fn carry_out(&mut self, worker: usize, effect: Effect) {
        match effect {
            Effect::Append(records) => {
                let records = records.iter().map(connect_cluster::config_record::ConfigRecord::encode).collect();
                self.soon(worker, Happening::Append(records));
            }
            Effect::Status(record) => {
                self.statuses.push(record.encode());
                (0..self.workers.len()).for_each(|other| self.soon(other, Happening::Read));
            }
            Effect::ReadConfig => self.soon(worker, Happening::ReadToEnd(|| Event::ConfigRead)),
            Effect::Offer(offer) => {
                let member = self.workers[worker].member.clone();
                if !self.coordinator.preparing {
                    // A join in a stable group begins a round.
                    self.begin_round();
                }
                if let Some(complete) = self.coordinator.join(&member, offer) {
                    self.elect(complete);
                }
            }
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
            other => self.units(worker, other),
        }
    }

    /// What a worker's units do with their orders.
    fn units(&mut self, worker: usize, effect: Effect) {
        let news = |unit: UnitId, run, what| Happening::Event(Event::Unit(UnitEvent { unit, run, what }));
        match effect {
            Effect::StartConnector { name, run, config } => {
                let unit = UnitId::Connector(name);
                self.begin_run(worker, &unit, run);
                let tasks: u32 = config["tasks.max"].as_deref().unwrap_or("1").parse().unwrap();
                let task = |n: u32| IndexMap::from([("task".to_owned(), n.to_string())]);
                let configs = (0..tasks).map(task).collect();
                // In this order: a connector wants tasks once it runs.
                let delay = 1 + self.random.below(60);
                self.schedule(worker, delay, news(unit.clone(), run, UnitNews::Running));
                self.schedule(worker, delay + 1, news(unit, run, UnitNews::TaskConfigs(configs)));
            }
            Effect::StartTask { id, run, .. } => {
                let unit = UnitId::Task(id);
                self.begin_run(worker, &unit, run);
                let failed = self.random.one_in(40);
                if failed {
                    self.workers[worker].runs.remove(&unit);
                }
                let what = if failed { UnitNews::Failed { trace: "t".to_owned() } } else { UnitNews::Running };
                self.soon(worker, news(unit, run, what));
            }
            Effect::Pause(unit) => self.order_unit(worker, unit, UnitNews::Paused),
            Effect::Resume(unit) => self.resume(worker, unit),
            Effect::Stop(unit) => {
                if let Some(run) = self.workers[worker].runs.remove(&unit) {
                    self.soon(worker, news(unit, run, UnitNews::Exited));
                }
            }
            _ => {}
        }
    }

    fn begin_run(&mut self, worker: usize, unit: &UnitId, run: Run) {
        if self.workers[worker].runs.insert(unit.clone(), run).is_some() {
            self.violation.get_or_insert(format!("w{worker} runs {unit} twice"));
        }
    }

    fn order_unit(&mut self, worker: usize, unit: UnitId, what: UnitNews) {
        if let Some(run) = self.workers[worker].runs.get(&unit).copied() {
            self.soon(worker, Happening::Event(Event::Unit(UnitEvent { unit, run, what })));
        }
    }

    /// A connector that goes on wants its tasks again.
    fn resume(&mut self, worker: usize, unit: UnitId) {
        let state = self.workers[worker].herder.state();
        let tasks = state.config(unit.connector()).and_then(|config| config["tasks.max"].clone());
        self.order_unit(worker, unit.clone(), UnitNews::Running);
        if unit.task().is_none() {
            let count: u32 = tasks.as_deref().unwrap_or("1").parse().unwrap();
            let configs = (0..count).map(|n| IndexMap::from([("task".to_owned(), n.to_string())])).collect();
            self.order_unit(worker, unit, UnitNews::TaskConfigs(configs));
        }
    }

    fn assign(&mut self, leader: usize, assignments: Vec<(String, Vec<u8>)>) {
        let leader_id = self.workers[leader].member.clone();
        let generation = self.coordinator.generation;
        // A round that began meanwhile makes this one void.
        let void = self.coordinator.preparing || self.workers[leader].elected_in != generation;
        if void || !self.coordinator.members().iter().eq(assignments.iter().map(|(id, _)| id)) {
            return;
        }
        for (member_id, bytes) in assignments {
            let Some(worker) = self.workers.iter().position(|w| w.alive && w.member == member_id) else { continue };
            let joined = Event::Joined {
                generation,
                member_id,
                leader_id: leader_id.clone(),
                protocol: Protocol::Sessioned.name().to_owned(),
                assignment: Bytes::from(bytes),
            };
            self.step(worker, joined);
        }
    }

    fn worker_at(&self, url: &str) -> Option<usize> {
        (0..self.workers.len()).find(|index| url == format!("http://w{index}:1/") && self.workers[*index].alive)
    }

    fn send(&mut self, worker: usize, url: &str, connector: &Arc<str>, configs: Vec<IndexMap<String, String>>) {
        let connector = Arc::clone(connector);
        match self.worker_at(url) {
            Some(leader) if !self.random.one_in(10) => {
                let command = Command::PutTaskConfigs {
                    name: connector.to_string(),
                    configs,
                    signature: connect_cluster::Signature::default(),
                };
                let incarnation = self.workers[worker].incarnation;
                self.sent.insert(self.next_request, (worker, incarnation, connector));
                self.ask(leader, command);
            }
            _ => self.soon(worker, Happening::Event(Event::TaskConfigsSent { connector, ok: false })),
        }
    }

    /// Each request is answered once; one for another worker is passed on, as REST does.
    fn answered(&mut self, id: u64, outcome: Result<Reply, HerdError>) {
        let Some((_, hops, command)) = self.open.remove(&id) else {
            self.violation.get_or_insert(format!("request {id} was answered twice"));
            return;
        };
        self.tell(format!("{id} -> {}", outcome.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned())));
        if let Some((worker, incarnation, connector)) = self.sent.remove(&id) {
            if self.workers[worker].incarnation == incarnation {
                let ok = outcome.is_ok();
                self.soon(worker, Happening::Event(Event::TaskConfigsSent { connector, ok }));
            }
            return;
        }
        if let Err(HerdError::Elsewhere { url: Some(url) }) = outcome
            && let Some(worker) = self.worker_at(&url)
            && hops < 2
        {
            let id = self.next_request;
            self.next_request += 1;
            self.open.insert(id, (worker, hops + 1, command.clone()));
            self.soon(worker, Happening::Event(Event::Request { id, command }));
        }
    }

    /// No more faults: after a while everything is as asked.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.run_for(QUIET_MS);
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        let herders: Vec<&Herder> = self.workers.iter().map(|worker| &worker.herder).collect();
        if let Some((id, (worker, _, command))) = self.open.iter().next() {
            return Err(format!("request {id} {command:?} was never answered by w{worker}"));
        }
        for herder in &herders {
            invariants::assigned_units_exist_in_config(herder)?;
            invariants::stopped_connector_owns_no_task(herder)?;
        }
        invariants::balanced_within_one(&herders)?;
        self.as_asked()
    }

    fn as_asked(&mut self) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        let mut resting = BTreeSet::new();
        let state = self.workers[0].herder.state();
        for (name, connector) in state.connectors() {
            let units = connector
                .tasks()
                .map(|(task, _)| UnitId::Task(connect_cluster::TaskId { connector: Arc::clone(name), task }))
                .chain([UnitId::Connector(Arc::clone(name))]);
            match state.target(name) {
                Target::Started => {
                    let asked = connector.config.as_ref().and_then(|c| c["tasks.max"].clone()).unwrap_or_default();
                    if asked != connector.number_of_tasks().to_string() {
                        return Err(format!("{name} has {} of {asked} tasks", connector.number_of_tasks()));
                    }
                    wanted.extend(units);
                }
                Target::Paused | Target::Stopped => resting.extend(units),
            }
        }
        let view = self.workers[0].herder.view();
        for unit in wanted.iter().chain(&resting) {
            let status = view.connectors.get(unit.connector()).and_then(|connector| connector.status.as_ref());
            let shown = status.and_then(|status| match unit.task() {
                None => Some(status.connector.state),
                Some(task) => status.tasks.iter().find(|(id, _)| *id == task).map(|(_, status)| status.state),
            });
            let fits = match shown {
                Some(State::Running) => wanted.contains(unit),
                Some(State::Failed) => true,
                Some(State::Paused | State::Stopped) => resting.contains(unit),
                _ => false,
            };
            if !fits {
                return Err(format!("{unit} is shown as {shown:?}"));
            }
            let runs = self.workers.iter().filter(|worker| worker.runs.contains_key(unit)).count();
            if shown == Some(State::Running) && runs != 1 {
                return Err(format!("{unit} runs on {runs} workers"));
            }
        }
        let known: Vec<&str> = view.connectors.keys().map(|name| &**name).collect();
        let stray =
            self.workers.iter().flat_map(|worker| worker.runs.keys()).find(|u| !known.contains(&&**u.connector()));
        stray.map_or(Ok(()), |unit| Err(format!("{unit} runs but does not exist")))
    }
}
