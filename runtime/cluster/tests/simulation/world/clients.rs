//! Clients of the workers: what they ask, and when, and what their answers are worth.

use connect_cluster::{Command, Event, HerdError, Reply, Target, invariants};
use connect_config::Props;

use super::happening::Happening;
use super::{NAMES, World, config};

impl World {
    pub(super) fn pick_worker(&mut self) -> usize {
        let count = u64::try_from(self.workers.len()).unwrap();
        usize::try_from(self.random.below(count)).unwrap()
    }

    pub(super) fn random_request(&mut self, worker: usize) {
        let name = NAMES[usize::try_from(self.random.below(4)).unwrap()].to_owned();
        let tasks = 1 + self.random.below(4);
        let note = format!("note:{}:", self.next_request);
        let command = match self.random.below(10) {
            0..=2 => Command::Create { config: config(&name, tasks, &note), name, target: Target::Started },
            3 => Command::PutConfig { config: config(&name, tasks, &note), name },
            4 => Command::Delete { name },
            5 => Command::SetTarget { name, target: Target::Paused },
            6 => Command::SetTarget { name, target: Target::Stopped },
            7 => Command::SetTarget { name, target: Target::Started },
            8 => Command::PatchConfig { name, patch: Props::from([("note".to_owned(), Some(note.clone()))]) },
            _ => Command::Restart { name, include_tasks: self.random.one_in(2), only_failed: false },
        };
        if matches!(command, Command::Create { .. } | Command::PutConfig { .. } | Command::PatchConfig { .. }) {
            self.notes.insert(self.next_request, note);
        }
        let id = self.next_request;
        self.ask(worker, command);
        if self.faults && self.random.one_in(6) {
            // A client with little patience.
            let delay = self.random.below(4_000);
            self.schedule(worker, delay, Happening::Event(Event::Cancel { id }));
        }
    }

    pub(super) fn ask(&mut self, worker: usize, command: Command) {
        let id = self.next_request;
        self.next_request += 1;
        if !self.workers[worker].alive {
            self.notes.remove(&id);
            if let Some((from, incarnation, connector)) = self.sent.remove(&id)
                && self.workers[from].incarnation == incarnation
            {
                self.soon(from, Happening::Sent { connector, ok: false });
            }
            return;
        }
        self.tell(format!("w{worker} <- {id} {command:?}"));
        self.open.insert(id, (worker, 0, command.clone()));
        self.soon(worker, Happening::Event(Event::Request { id, command }));
    }

    /// Each request is answered once; one for another worker is passed on, as REST does.
    pub(super) fn answered(&mut self, id: u64, outcome: Result<Reply, HerdError>) {
        let Some((_, hops, command)) = self.open.remove(&id) else {
            return self.violate(format!("request {id} was answered twice"));
        };
        self.tell(format!("{id} -> {}", outcome.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned())));
        if let Some((worker, incarnation, connector)) = self.sent.remove(&id) {
            if self.workers[worker].incarnation == incarnation {
                let ok = outcome.is_ok();
                self.soon(worker, Happening::Sent { connector, ok });
            }
            return;
        }
        let note = self.notes.remove(&id);
        if let Err(HerdError::Elsewhere { url: Some(url) }) = &outcome
            && let Some(worker) = self.worker_at(url)
            && hops < 2
        {
            let id = self.next_request;
            self.next_request += 1;
            self.notes.extend(note.map(|note| (id, note)));
            self.open.insert(id, (worker, hops + 1, command.clone()));
            return self.soon(worker, Happening::Event(Event::Request { id, command }));
        }
        let Some(note) = note else { return };
        let written = self.configs.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.contains(&note)));
        if let Err(violation) = invariants::answers_are_true(outcome.is_ok(), written) {
            self.violate(format!("{violation}: {id} {command:?}"));
        }
        if outcome.is_err() {
            self.refused.insert(note);
        }
    }

    pub(crate) fn create(&mut self, name: &str, tasks: u64) {
        self.run_for(2_000);
        let command =
            Command::Create { name: name.to_owned(), config: config(name, tasks, ""), target: Target::Started };
        self.ask(0, command);
    }

    pub(crate) fn set_target(&mut self, name: &str, target: Target) {
        self.ask(0, Command::SetTarget { name: name.to_owned(), target });
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        self.workers[0].herder.state().target(name)
    }

    pub(crate) fn leads(&self, worker: usize) -> bool {
        self.workers[worker].herder.leads()
    }
}
