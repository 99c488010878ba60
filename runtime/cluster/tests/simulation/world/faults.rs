//! What goes wrong.

use connect_cluster::Event;
use connect_cluster::protocol::Protocol;

use super::happening::Happening;
use super::{World, herder};

impl World {
    pub(super) fn random_fault(&mut self, worker: usize) {
        match self.random.below(9) {
            0 | 1 => self.crash(worker),
            2 => self.schedule(worker, 1, Happening::Rejoin),
            3 | 4 => {
                let length = self.random.below(25_000);
                self.freeze(worker, length);
            }
            5 => {
                let length = self.random.below(25_000);
                self.cut_off(worker, length);
            }
            6 => {
                let length = self.random.below(12_000);
                self.tell(format!("the broker is away for {length} ms"));
                self.broker_back = self.broker_back.max(self.now + length);
            }
            _ => {
                let away = self.random.below(15_000);
                self.leave(worker, away);
            }
        }
    }

    pub(crate) fn crash(&mut self, worker: usize) {
        if !self.workers[worker].alive {
            return;
        }
        self.tell(format!("w{worker} crashes"));
        self.end(worker);
        let away = self.random.below(20_000);
        self.schedule(worker, 10 + away, Happening::Restart);
    }

    pub(crate) fn crash_for_good(&mut self, worker: usize) {
        self.tell(format!("w{worker} crashes for good"));
        self.end(worker);
    }

    /// The process stops, and is woken again: `SIGSTOP`, `SIGCONT`.
    pub(crate) fn freeze(&mut self, worker: usize, length: u64) {
        if self.workers[worker].alive {
            self.tell(format!("w{worker} is frozen for {length} ms"));
            let until = self.workers[worker].frozen_until.max(self.now + length);
            self.workers[worker].frozen_until = until;
        }
    }

    /// The network to Kafka fails, and comes back.
    pub(crate) fn cut_off(&mut self, worker: usize, length: u64) {
        if self.workers[worker].alive {
            self.tell(format!("w{worker} is cut off for {length} ms"));
            self.workers[worker].cut_until = self.now + length;
            self.schedule(worker, length + 1, Happening::Read);
        }
    }

    /// A clean end, and a start some time after it.
    pub(crate) fn leave(&mut self, worker: usize, away: u64) {
        if self.workers[worker].alive && !self.workers[worker].leaving {
            self.tell(format!("w{worker} is asked to end"));
            self.workers[worker].leaving = true;
            self.workers[worker].back_after = away;
            self.soon(worker, Happening::Event(Event::Shutdown));
        }
    }

    /// Everything stopped: the last statuses, the goodbye to the group, the end of the process.
    pub(super) fn finished(&mut self, worker: usize) {
        self.flush_statuses(worker);
        let member = self.workers[worker].member.clone();
        self.tell(format!("w{worker} ends"));
        if self.reachable(worker) && self.coordinator.has(&member) {
            self.coordinator.remove(&member);
            self.begin_round();
        }
        let back_after = self.workers[worker].back_after;
        self.end(worker);
        self.schedule(worker, 10 + back_after, Happening::Restart);
    }

    fn end(&mut self, worker: usize) {
        let state = &mut self.workers[worker];
        state.alive = false;
        (state.leased, state.away, state.leaving) = (false, false, false);
        (state.frozen_until, state.cut_until) = (0, 0);
        state.incarnation += 1;
        state.member.clear();
        state.runs.clear();
        state.unwritten.clear();
        let ended: Vec<u64> = self.open.iter().filter(|(_, (asked, ..))| *asked == worker).map(|(id, _)| *id).collect();
        for id in ended {
            self.open.remove(&id);
            self.notes.remove(&id);
        }
        // Who waits for its answer sees the connection break.
        let broken: Vec<u64> = self.sent.keys().filter(|id| !self.open.contains_key(id)).copied().collect();
        for (from, incarnation, connector) in broken.iter().filter_map(|id| self.sent.remove(id)).collect::<Vec<_>>() {
            if self.workers[from].incarnation == incarnation {
                self.soon(from, Happening::Sent { connector, ok: false });
            }
        }
    }

    pub(super) fn restart(&mut self, worker: usize) {
        if self.workers[worker].alive {
            return;
        }
        if self.mixed {
            let protocols = [Protocol::Eager, Protocol::Compatible, Protocol::Sessioned, Protocol::Sessioned];
            self.workers[worker].protocol = protocols[usize::try_from(self.random.below(4)).unwrap()];
        }
        let protocol = self.workers[worker].protocol;
        self.tell(format!("w{worker} starts with {}", protocol.name()));
        let state = &mut self.workers[worker];
        state.herder = herder(worker, protocol, self.max_delay_ms);
        state.alive = true;
        (state.read_config, state.read_status) = (0, 0);
        self.schedule(
            worker,
            5,
            Happening::ReadToEnd { deadline: u64::MAX, then: |_| Event::Started, late: |_| Event::Started, tag: 0 },
        );
    }
}
