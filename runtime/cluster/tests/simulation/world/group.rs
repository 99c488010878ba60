//! The group: heartbeats, leases, sessions and rounds.

use bytes::Bytes;
use connect_cluster::protocol::{Protocol, decode_assignment};
use connect_cluster::{Event, UnitId};

use super::happening::Happening;
use super::{LEASE_MS, REBALANCE_MS, SESSION_MS, STOP_MS, World};
use crate::coordinator::Complete;

impl World {
    /// Heartbeats, and what the lack of them means for either side.
    pub(super) fn beat(&mut self) {
        for worker in 0..self.workers.len() {
            if !self.workers[worker].alive || self.is_frozen(worker) {
                continue;
            }
            let member = self.workers[worker].member.clone();
            if member.is_empty() {
                if self.reachable(worker) && !self.workers[worker].away {
                    self.enter(worker);
                }
            } else if self.workers[worker].contact + STOP_MS <= self.now {
                // Nobody answers, or the process was stopped for so long.
                self.lose(worker);
            } else if self.reachable(worker) {
                if self.coordinator.has(&member) {
                    self.coordinator.hear(&member, self.now);
                    self.workers[worker].contact = self.now;
                } else {
                    self.lose(worker);
                }
            }
        }
        if !self.broker_down() {
            for member in self.coordinator.silent(self.now, SESSION_MS) {
                self.tell(format!("the session of {member} is over"));
                self.session_over(&member);
            }
        }
    }

    /// The membership tells the herder that it is lost.
    pub(super) fn lose(&mut self, worker: usize) {
        self.tell(format!("w{worker} has lost its membership"));
        let state = &mut self.workers[worker];
        state.member.clear();
        state.leased = false;
        self.announce(worker, Happening::Event(Event::Lost));
    }

    /// It leaves the group on purpose, for a while.
    pub(super) fn abstain(&mut self, worker: usize, ms: u64) {
        self.tell(format!("w{worker} stays away for {ms} ms"));
        let member = self.workers[worker].member.clone();
        if self.reachable(worker) {
            self.session_over(&member);
        }
        self.lose(worker);
        self.workers[worker].away = true;
        self.schedule(worker, ms, Happening::Enter);
    }

    /// Whether what runs on this worker may do anything now.
    pub(super) fn has_lease(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        worker.alive && worker.leased && self.now < worker.contact + LEASE_MS
    }

    pub(super) fn session_over(&mut self, member: &str) {
        if self.coordinator.has(member) {
            self.coordinator.remove(member);
            self.begin_round();
        }
    }

    /// A worker becomes a member under a new id.
    pub(super) fn enter(&mut self, worker: usize) {
        self.order += 1;
        let member = format!("m{}-w{worker}", self.order);
        let state = &mut self.workers[worker];
        state.member.clone_from(&member);
        (state.contact, state.away) = (self.now, false);
        let was_preparing = self.coordinator.preparing;
        self.coordinator.add(&member, self.now);
        self.begin_round();
        if was_preparing {
            self.announce(worker, Happening::Prepare);
        }
    }

    pub(super) fn begin_round(&mut self) {
        let was_preparing = self.coordinator.preparing;
        let awaited = if was_preparing { Vec::new() } else { self.coordinator.begin() };
        // Each is told once.
        for worker in 0..self.workers.len() {
            if self.workers[worker].alive && awaited.contains(&self.workers[worker].member) {
                self.announce(worker, Happening::Prepare);
            }
        }
        if !was_preparing {
            let round = self.coordinator.rounds;
            self.schedule(0, REBALANCE_MS, Happening::RoundOver(round));
        }
        if let Some(complete) = self.coordinator.complete() {
            self.elect(complete);
        }
    }

    /// Who has not joined by now is out.
    pub(super) fn round_over(&mut self, round: u64) {
        if !self.coordinator.preparing || self.coordinator.rounds != round {
            return;
        }
        for member in self.coordinator.late() {
            self.tell(format!("{member} did not join in time"));
            self.coordinator.remove(&member);
        }
        if let Some(complete) = self.coordinator.complete() {
            self.elect(complete);
        }
    }

    pub(super) fn elect(&mut self, complete: Complete) {
        let leader = self.workers.iter().position(|worker| worker.alive && worker.member == complete.leader);
        // A leader that has crashed is missed when its session is over.
        let Some(leader) = leader else { return };
        let Complete { generation, leader: leader_id, protocol, members } = complete;
        self.workers[leader].elected_in = generation;
        self.tell(format!("generation {generation} under {}, led by w{leader}", protocol.name()));
        let protocol = protocol.name().to_owned();
        self.announce(leader, Happening::Event(Event::Elected { generation, protocol, leader_id, members }));
    }

    pub(super) fn assign(&mut self, leader: usize, assignments: Vec<(String, Vec<u8>)>) {
        let leader_id = self.workers[leader].member.clone();
        let generation = self.coordinator.generation;
        // A round that began meanwhile makes this one void, and a leader that was cut off is not heard.
        let void = self.coordinator.preparing || self.workers[leader].elected_in != generation;
        let unheard = !self.reachable(leader) || !self.coordinator.has(&leader_id);
        if unheard && self.coordinator.has(&leader_id) {
            // It joins anew when it can.
            self.schedule(leader, 300, Happening::Rejoin);
        }
        if void || unheard || !self.coordinator.members().eq(assignments.iter().map(|(id, _)| id)) {
            return;
        }
        let protocol = self.coordinator.protocol.map(|protocol| protocol.name().to_owned()).unwrap_or_default();
        for (member_id, bytes) in assignments {
            let Some(worker) = self.workers.iter().position(|w| w.alive && w.member == member_id) else { continue };
            if !self.reachable(worker) {
                self.schedule(worker, 300, Happening::Rejoin);
                continue;
            }
            self.workers[worker].leased = true;
            self.tell(format!("w{worker} got {}", told(&bytes)));
            let joined = Event::Joined {
                generation,
                member_id,
                leader_id: leader_id.clone(),
                protocol: protocol.clone(),
                assignment: Bytes::from(bytes),
            };
            self.announce(worker, Happening::Event(joined));
        }
    }
}

/// An assignment, for the story.
fn told(bytes: &[u8]) -> String {
    let Ok(assignment) = decode_assignment(Protocol::Sessioned, bytes) else { return "nonsense".to_owned() };
    let list = |units: &mut dyn Iterator<Item = UnitId>| units.map(|unit| unit.to_string()).collect::<Vec<_>>();
    let (new, revoked) = (list(&mut assignment.units()), list(&mut assignment.revoked()));
    format!("{new:?}, gives back {revoked:?}, waits {} ms, error {}", assignment.delay_ms, assignment.error)
}
