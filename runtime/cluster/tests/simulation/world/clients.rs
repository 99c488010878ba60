//! Clients of the workers: what they ask, and when.

use connect_cluster::{Command, Event, Target};

use super::{Happening, NAMES, World, config};

impl World {
    pub(super) fn pick_worker(&mut self) -> usize {
        let count = u64::try_from(self.workers.len()).unwrap();
        usize::try_from(self.random.below(count)).unwrap()
    }

    pub(super) fn random_request(&mut self, worker: usize) {
        let name = NAMES[usize::try_from(self.random.below(4)).unwrap()].to_owned();
        let tasks = 1 + self.random.below(4);
        let note = self.random.below(3);
        let command = match self.random.below(9) {
            0..=2 => Command::Create { config: config(&name, tasks, note), name, target: Target::Started },
            3 => Command::PutConfig { config: config(&name, tasks, note), name },
            4 => Command::Delete { name },
            5 => Command::SetTarget { name, target: Target::Paused },
            6 => Command::SetTarget { name, target: Target::Stopped },
            7 => Command::SetTarget { name, target: Target::Started },
            _ => Command::Restart { name, include_tasks: self.random.one_in(2), only_failed: false },
        };
        self.ask(worker, command);
    }

    pub(super) fn ask(&mut self, worker: usize, command: Command) {
        if !self.workers[worker].alive {
            return;
        }
        let id = self.next_request;
        self.next_request += 1;
        self.tell(format!("w{worker} <- {id} {command:?}"));
        self.open.insert(id, (worker, 0, command.clone()));
        self.soon(worker, Happening::Event(Event::Request { id, command }));
    }

    pub(crate) fn create(&mut self, name: &str, tasks: u64) {
        self.run_for(2_000);
        let command =
            Command::Create { name: name.to_owned(), config: config(name, tasks, 0), target: Target::Started };
        self.ask(0, command);
    }

    pub(crate) fn set_target(&mut self, name: &str, target: Target) {
        self.ask(0, Command::SetTarget { name: name.to_owned(), target });
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        self.workers[0].herder.state().target(name)
    }
}
