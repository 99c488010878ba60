//! What a worker's units do with their orders.

use std::sync::Arc;

use connect_cluster::unit::{Run, UnitEvent, UnitNews};
use connect_cluster::{Cure, Effect, Event, Failure, UnitId};
use indexmap::IndexMap;

use super::World;
use super::happening::Happening;

fn configs(tasks: u32) -> Vec<IndexMap<String, String>> {
    (0..tasks).map(|n| IndexMap::from([("task".to_owned(), n.to_string())])).collect()
}

fn news(unit: UnitId, run: Run, what: UnitNews) -> Happening {
    Happening::Event(Event::Unit(UnitEvent { unit, run, what }))
}

impl World {
    pub(super) fn units(&mut self, worker: usize, effect: Effect) {
        match effect {
            Effect::StartConnector { name, run, config } => {
                let unit = UnitId::Connector(name);
                self.begin_run(worker, &unit, run);
                let tasks: u32 = config["tasks.max"].as_deref().unwrap_or("1").parse().unwrap();
                // In this order: a connector wants tasks once it runs.
                let delay = 1 + self.random.below(60);
                self.schedule(worker, delay, news(unit.clone(), run, UnitNews::Running));
                self.schedule(worker, delay + 1, news(unit, run, UnitNews::TaskConfigs(configs(tasks))));
            }
            Effect::StartTask { id, run, .. } => {
                let unit = UnitId::Task(id);
                self.begin_run(worker, &unit, run);
                if self.faults && self.random.one_in(20) {
                    self.soon(worker, Happening::Crashed { unit, run });
                    return;
                }
                self.soon(worker, news(unit.clone(), run, UnitNews::Running));
                self.soon(worker, news(unit.clone(), run, UnitNews::Working(true)));
                if self.faults && self.random.one_in(8) {
                    let delay = 50 + self.random.below(60_000);
                    self.schedule(worker, delay, Happening::Crashed { unit, run });
                }
            }
            Effect::Pause(unit) => self.order_unit(worker, unit, UnitNews::Paused),
            Effect::Resume(unit) => self.resume(worker, unit),
            Effect::Stop(unit) => {
                if let Some(run) = self.workers[worker].runs.get(&unit).copied() {
                    // Some take nearly the graceful timeout.
                    let longest = if self.random.one_in(8) { 5_000 } else { 200 };
                    let delay = 1 + self.random.below(longest);
                    self.schedule(worker, delay, Happening::Ended { unit, run });
                }
            }
            _ => {}
        }
    }

    pub(super) fn ended(&mut self, worker: usize, unit: UnitId, run: Run, what: UnitNews) {
        if self.workers[worker].runs.get(&unit) == Some(&run) {
            self.workers[worker].runs.remove(&unit);
            self.step(worker, Event::Unit(UnitEvent { unit, run, what }));
        }
    }

    /// Most failures pass by themselves.
    pub(super) fn crash_of_unit(&mut self) -> UnitNews {
        let (code, cure) = match self.random.below(6) {
            0 => ("bug", Cure::Person),
            1 | 2 => ("conflict", Cure::Time),
            _ => ("unavailable", Cure::Network),
        };
        let failure = Failure { code: code.to_owned(), message: "broken".to_owned(), remedy: None, cure };
        UnitNews::Failed { trace: "t".to_owned(), failure }
    }

    fn begin_run(&mut self, worker: usize, unit: &UnitId, run: Run) {
        if self.workers[worker].runs.insert(unit.clone(), run).is_some() {
            self.violate(format!("w{worker} runs {unit} twice"));
        }
    }

    fn order_unit(&mut self, worker: usize, unit: UnitId, what: UnitNews) {
        if let Some(run) = self.workers[worker].runs.get(&unit).copied() {
            self.soon(worker, news(unit, run, what));
        }
    }

    /// A connector that goes on wants its tasks again.
    fn resume(&mut self, worker: usize, unit: UnitId) {
        let state = self.workers[worker].herder.state();
        let tasks = state.config(unit.connector()).and_then(|config| config["tasks.max"].clone());
        self.order_unit(worker, unit.clone(), UnitNews::Running);
        if unit.task().is_none() {
            let count = tasks.as_deref().unwrap_or("1").parse().unwrap();
            self.order_unit(worker, unit, UnitNews::TaskConfigs(configs(count)));
        }
    }

    pub(crate) fn running_on(&self, worker: usize) -> Vec<String> {
        self.workers[worker].runs.keys().map(ToString::to_string).collect()
    }

    pub(crate) fn running(&self) -> Vec<String> {
        (0..self.workers.len()).flat_map(|worker| self.running_on(worker)).collect()
    }

    /// Whether what runs on a worker may do anything now.
    pub(crate) fn may_work(&self, worker: usize) -> bool {
        self.has_lease(worker)
    }

    pub(super) fn send(
        &mut self,
        worker: usize,
        url: &str,
        connector: &Arc<str>,
        configs: Vec<IndexMap<String, String>>,
    ) {
        let connector = Arc::clone(connector);
        match self.worker_at(url) {
            Some(leader) if !self.random.one_in(10) => {
                let command = connect_cluster::Command::PutTaskConfigs {
                    name: connector.to_string(),
                    configs,
                    signature: connect_cluster::Signature::default(),
                };
                let incarnation = self.workers[worker].incarnation;
                // Answers get lost, and requests come twice.
                if !self.random.one_in(12) {
                    self.sent.insert(self.next_request, (worker, incarnation, connector));
                } else {
                    self.schedule(worker, 3_000, Happening::Sent { connector, ok: false });
                }
                if self.random.one_in(12) {
                    self.ask(leader, command.clone());
                } else {
                    self.ask(leader, command);
                    return;
                }
                self.ask(leader, command);
            }
            _ => self.soon(worker, Happening::Sent { connector, ok: false }),
        }
    }

    pub(super) fn worker_at(&self, url: &str) -> Option<usize> {
        (0..self.workers.len()).find(|index| url == format!("http://w{index}:1/") && self.workers[*index].alive)
    }
}
