//! The herder as a member of its group, and as its leader.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::released::Election;
use super::{Effect, Herder, Seat};
use crate::assignor::{self, Member, Outcome, Round, Share};
use crate::herd::{State, TaskStatus};
use crate::protocol::{self, Assignment, CONFIG_MISMATCH, Metadata, Protocol};
use crate::status::StatusRecord;
use crate::unit::UnitId;

/// How often a worker that can't read the config topic stays away for a part of the rebalance delay, before it does so for
/// `worker.unsync.backoff.ms` (`DistributedHerder.BACKOFF_RETRIES`).
const ABSTENTIONS_MAX: u32 = 5;
/// The shortest time that it stays away.
const ABSTENTION_MS_MIN: u64 = 250;

impl Herder {
    pub(super) fn unsettle(&mut self) {
        if let Some(seat) = &mut self.seat {
            seat.settled = false;
        }
    }

    /// Asks for a new round. While one is under way that this worker's claims were sent for already, that is remembered: the
    /// coordinator takes no note of it then, and the claims may be out of date.
    pub(super) fn rejoin(&mut self, out: &mut Vec<Effect>) {
        self.rejoin_again |= !self.prepare && !self.settled();
        if self.seat.is_some() && !self.rejoining && !self.prepare && !self.stopping {
            self.rejoining = true;
            out.push(Effect::Rejoin);
        }
    }

    /// Answers a join that is about to be sent, as soon as this worker is fit for it: under the eager protocol
    /// everything has to stand still, and after a mismatch the config topic has to be read.
    pub(super) fn try_offer(&mut self, out: &mut Vec<Effect>) {
        if !self.prepare || !self.started {
            return;
        }
        if self.abstain {
            self.abstain_for_a_while(out);
            return;
        }
        if self.read_before_join {
            self.read_config(out);
            return;
        }
        if self.seat.as_ref().is_some_and(|seat| seat.protocol == Some(Protocol::Eager)) {
            self.assigned.clear();
            self.reconcile(out);
        }
        // What runs and is not claimed would be given to others. (Everything that ends calls this again.)
        let assigned = &self.assigned;
        if self.units.iter().any(|(id, held)| held.unit.life.has_run() && !assigned.contains(id)) {
            return;
        }
        self.prepare = false;
        self.rejoin_again = false;
        self.giving_up.clear();
        let running = self.running_assignment();
        let offers = self.config.protocol.offered().into_iter().map(|protocol| {
            let metadata = Metadata {
                url: self.config.url.clone(),
                config_offset: self.state.offset,
                assignment: running.clone(),
            };
            (protocol, protocol::encode_metadata(protocol, &metadata))
        });
        out.push(Effect::Offer(offers.collect()));
    }

    fn running_assignment(&self) -> Option<Assignment> {
        let seat = self.seat.as_ref()?;
        if self.assigned.is_empty() {
            return None;
        }
        let (connectors, tasks) = assignor::split(&self.assigned);
        Some(Assignment {
            leader: seat.leader_id.clone(),
            leader_url: seat.leader_url.clone(),
            config_offset: seat.config_offset,
            connectors,
            tasks,
            ..Assignment::default()
        })
    }

    pub(super) fn read_config(&mut self, out: &mut Vec<Effect>) {
        if !self.reading {
            self.reading = true;
            out.push(Effect::ReadConfig);
        }
    }

    /// The config topic could not be read to its end in time (`worker.sync.timeout.ms`): a worker that does not know what to
    /// run stops its work and leaves the group, so that the others need not wait for it, and tries again after a while.
    pub(super) fn on_config_unread(&mut self, out: &mut Vec<Effect>) {
        self.reading = false;
        if let Some((seat, _)) = self.unread.take() {
            self.seat = Some(Seat { settled: false, ..seat });
        } else if !self.read_before_join {
            return;
        }
        self.read_before_join = true;
        self.abstain = true;
        self.stop_all(out);
        if self.prepare {
            self.try_offer(out);
        } else {
            self.rejoin(out);
        }
    }

    fn abstain_for_a_while(&mut self, out: &mut Vec<Effect>) {
        if self.anything_runs() {
            return;
        }
        self.prepare = false;
        self.abstain = false;
        let eager = self.seat.as_ref().is_none_or(|seat| seat.protocol == Some(Protocol::Eager));
        let ms = if eager || self.abstentions >= ABSTENTIONS_MAX {
            self.abstentions = 0;
            self.config.unsync_backoff_ms
        } else {
            let left = u64::from(ABSTENTIONS_MAX - self.abstentions);
            self.abstentions += 1;
            (self.config.max_delay_ms / 10 / left).min(self.config.unsync_backoff_ms)
        };
        out.push(Effect::Abstain { ms: ms.max(ABSTENTION_MS_MIN) });
    }

    pub(super) fn on_config_read(&mut self, out: &mut Vec<Effect>) {
        self.reading = false;
        self.read_before_join = false;
        self.abstentions = 0;
        if let Some((seat, assignment)) = self.unread.take() {
            if self.state.offset >= assignment.config_offset {
                self.adopt(seat, assignment, out);
            } else {
                self.read_before_join = true;
                self.seat = Some(seat);
                self.rejoin(out);
            }
        }
        self.try_offer(out);
    }

    pub(super) fn on_elected(
        &mut self,
        generation: i32,
        protocol: &str,
        leader_id: &str,
        members: &[(String, Bytes)],
        out: &mut Vec<Effect>,
    ) {
        let protocol = Protocol::from_name(protocol).unwrap_or(Protocol::Eager);
        let members: Vec<Member> = members.iter().map(|(id, bytes)| member(protocol, id, bytes)).collect();
        let newest = members.iter().map(|member| member.config_offset).max().unwrap_or(-1);
        let leader_url =
            members.iter().find(|m| m.id == leader_id).map_or_else(|| self.config.url.clone(), |m| m.url.clone());
        let base = Assignment {
            leader: leader_id.to_owned(),
            leader_url,
            config_offset: newest.max(self.state.offset),
            ..Assignment::default()
        };
        if newest > self.state.offset {
            self.read_before_join = true;
            let refused = Assignment { error: CONFIG_MISMATCH, ..base };
            let bytes = protocol::encode_assignment(protocol, &refused);
            out.push(Effect::Assign(members.into_iter().map(|member| (member.id, bytes.clone())).collect()));
            return;
        }
        self.elected_with(generation, protocol, base, members, out);
    }

    /// Everything that is to have an owner.
    pub(super) fn configured_units(&self) -> BTreeSet<UnitId> {
        let connectors = self.state.connectors().map(|(name, _)| UnitId::Connector(Arc::clone(name)));
        connectors.chain(self.state.all_tasks().map(UnitId::Task)).collect()
    }

    /// Tells each member its share; `released` is what nobody will come back for.
    pub(super) fn assign(&mut self, election: Election, released: &BTreeSet<UnitId>, out: &mut Vec<Effect>) {
        let Election { generation, protocol, base, members } = election;
        let configured = self.configured_units();
        let downgraded = protocol == Protocol::Eager
            && self.seat.as_ref().is_some_and(|seat| seat.protocol.is_some_and(|before| before != Protocol::Eager));
        let Outcome { shares, delay_ms } = if downgraded {
            self.deal_again = true;
            Outcome { shares: self.as_they_are(&configured, &members), delay_ms: 0 }
        } else if protocol == Protocol::Eager {
            Outcome { shares: assignor::eager(&configured, &members), delay_ms: 0 }
        } else {
            self.cooperative.assign(Round {
                now_ms: self.now.mono_ms,
                last_generation: self.completed_generation,
                generation,
                configured: &configured,
                members: &members,
                released,
            })
        };
        self.note_owners(generation, &configured, &members, &shares);
        let base = Assignment { config_offset: self.state.offset.max(base.config_offset), ..base };
        let assignments = members.iter().map(|member| {
            let share = shares.get(&member.id).cloned().unwrap_or_default();
            (member.id.clone(), protocol::encode_assignment(protocol, &told(&base, &share, delay_ms)))
        });
        out.push(Effect::Assign(assignments.collect()));
    }

    pub(super) fn on_joined(
        &mut self,
        generation: i32,
        member_id: String,
        leader_id: String,
        protocol: &str,
        bytes: &[u8],
        out: &mut Vec<Effect>,
    ) {
        self.rejoining = false;
        self.completed_generation = generation;
        let chosen = Protocol::from_name(protocol);
        let assignment =
            protocol::decode_assignment(chosen.unwrap_or(Protocol::Eager), bytes).unwrap_or_else(|_| Assignment {
                // A leader that says nothing that can be read has told us nothing: the next round may.
                error: CONFIG_MISMATCH,
                leader: leader_id.clone(),
                ..Assignment::default()
            });
        let seat = Seat {
            generation,
            member_id,
            leader_id,
            leader_url: assignment.leader_url.clone(),
            protocol: chosen,
            config_offset: assignment.config_offset,
            settled: true,
        };
        if assignment.error != 0 {
            self.seat = Some(Seat { settled: false, ..seat });
            self.read_before_join = true;
            self.rejoin(out);
        } else if self.state.offset < assignment.config_offset {
            self.unread = Some((seat, assignment));
            self.read_config(out);
        } else {
            self.adopt(seat, assignment, out);
        }
    }

    /// Takes an assignment: a whole one under the eager protocol, else what is new and what is taken away.
    fn adopt(&mut self, seat: Seat, assignment: Assignment, out: &mut Vec<Effect>) {
        let eager = seat.protocol == Some(Protocol::Eager);
        self.seat = Some(seat);
        self.giving_up.clear();
        if self.stopping {
            return;
        }
        if eager {
            self.assigned = assignment.units().collect();
        } else {
            for unit in assignment.revoked() {
                self.assigned.remove(&unit);
                self.giving_up.insert(unit);
            }
            self.assigned.extend(assignment.units());
        }
        let outdated = self.drop_what_is_gone(assignment.config_offset);
        self.rejoin_at_ms = u64::try_from(assignment.delay_ms)
            .ok()
            .filter(|delay| *delay > 0)
            .map(|delay| self.now.mono_ms.saturating_add(delay));
        self.reconcile(out);
        self.rejoin_when_given_up(
            !assignment.revoked_connectors.is_empty() || !assignment.revoked_tasks.is_empty(),
            out,
        );
        self.settle_claim(out);
        if self.leads() {
            self.bury_statuses(out);
            self.want_session_key(out);
        }
        let deal_again = std::mem::take(&mut self.deal_again) | std::mem::take(&mut self.rejoin_again);
        if deal_again || outdated || !self.assignment_is_current() {
            self.rejoin(out);
        }
        self.send_task_configs(out);
    }

    /// Records that this worker read while its assignment was on the way may have removed something of it. True when they
    /// did: the leader counts it as this worker's, so the next round has to deal without it.
    fn drop_what_is_gone(&mut self, dealt_at: i64) -> bool {
        if self.state.offset <= dealt_at {
            // The leader knew all that: dealing again would come to the same.
            return false;
        }
        let before = self.assigned.len();
        let mut assigned = std::mem::take(&mut self.assigned);
        assigned.retain(|unit| self.configured(unit));
        self.assigned = assigned;
        self.assigned.len() != before
    }

    /// Work that was taken away is given out in the next round, which this worker begins when it has stopped.
    pub(super) fn rejoin_when_given_up(&mut self, had_some: bool, out: &mut Vec<Effect>) {
        if !had_some {
            return;
        }
        let units = &self.units;
        self.giving_up.retain(|unit| units.get(unit).is_some_and(|held| held.unit.life.has_run()));
        if self.giving_up.is_empty() {
            self.rejoin(out);
        }
    }

    /// The leader sees whether everything configured has an owner, and nobody owns what is not.
    fn assignment_is_current(&self) -> bool {
        if !self.leads() || self.rejoin_at_ms.is_some() {
            return true;
        }
        let missing_connector =
            self.state.connectors().any(|(name, _)| !self.owners.contains_key(&UnitId::Connector(Arc::clone(name))));
        let missing_task = self.state.all_tasks().any(|id| !self.owners.contains_key(&UnitId::Task(id)));
        // What is being taken away for balance has no owner for one round, which its worker ends.
        !(missing_connector || missing_task) || self.state.offset == self.seat_config_offset()
    }

    fn seat_config_offset(&self) -> i64 {
        self.seat.as_ref().map_or(-1, |seat| seat.config_offset)
    }

    pub(super) fn on_lost(&mut self, out: &mut Vec<Effect>) {
        self.lose_claim();
        self.seat = None;
        self.rejoining = false;
        self.stop_all(out);
    }

    /// Ends everything that this worker has of the group.
    fn stop_all(&mut self, out: &mut Vec<Effect>) {
        self.unread = None;
        self.election = None;
        self.rejoin_at_ms = None;
        self.giving_up.clear();
        self.owners.clear();
        self.assigned.clear();
        self.reconcile(out);
    }

    /// Tombstones for the statuses of what does not exist any more.
    fn bury_statuses(&mut self, out: &mut Vec<Effect>) {
        let mut dead = Vec::new();
        for (name, statuses) in self.statuses.all() {
            let connector = self.state.connector(name);
            for task in statuses.tasks.keys() {
                if connector.is_none_or(|c| c.task(*task).is_none()) {
                    dead.push(UnitId::Task(crate::herd::TaskId { connector: Arc::clone(name), task: *task }));
                }
            }
            if connector.is_none() && statuses.connector.is_some() {
                dead.push(UnitId::Connector(Arc::clone(name)));
            }
        }
        for unit in dead {
            if self.units.get(&unit).is_none_or(|held| !held.unit.life.has_run()) {
                self.write_status(unit, State::Destroyed, None, out);
            }
        }
    }

    pub(super) fn write_status(&mut self, unit: UnitId, state: State, trace: Option<String>, out: &mut Vec<Effect>) {
        if state == State::Unassigned && self.seat.is_none() {
            // Out of the group nobody can say that a unit has no owner: somebody else may have it by now.
            return;
        }
        let version = self.version_of(unit.connector());
        let status = TaskStatus {
            state,
            worker_id: self.config.worker_id.clone(),
            trace,
            generation: self.generation(),
            version,
        };
        // An ending or a failure must not hide what a newer owner wrote (`putSafe`).
        let safe = matches!(state, State::Unassigned | State::Failed);
        if safe && !self.statuses.may_write(&unit, &status) {
            return;
        }
        self.dirty.insert(Arc::clone(unit.connector()));
        let record = StatusRecord::Unit { unit, status };
        self.statuses.put(&record);
        out.push(Effect::Status(record));
    }

    /// The leader makes a session key when there is none, or when it is too old or of another kind than configured.
    pub(super) fn want_session_key(&mut self, out: &mut Vec<Effect>) {
        if self.key_wanted || !self.leads() || !self.signs_requests() {
            return;
        }
        let fit = self.state.session_key.as_ref().is_some_and(|key| {
            let age = self.now.wall_ms.saturating_sub(key.created_ms);
            key.algorithm == self.config.key_algorithm
                && key.key.len() == self.config.key_bytes
                && u64::try_from(age).unwrap_or(0) < self.config.key_ttl_ms
        });
        if !fit {
            self.key_wanted = true;
            out.push(Effect::MakeSessionKey);
        }
    }
}

fn member(protocol: Protocol, id: &str, bytes: &[u8]) -> Member {
    match protocol::decode_metadata(protocol, bytes) {
        Ok(metadata) => Member {
            id: id.to_owned(),
            url: metadata.url,
            config_offset: metadata.config_offset,
            running: metadata.assignment.iter().flat_map(Assignment::units).collect(),
        },
        // It gets work all the same; what it runs already is revoked from it by its next, readable metadata.
        Err(_) => Member { id: id.to_owned(), config_offset: -1, ..Member::default() },
    }
}

/// What a member is told of its share: what changes. Under the eager protocol all of it is new.
fn told(base: &Assignment, share: &Share, delay_ms: u64) -> Assignment {
    let (connectors, tasks) = assignor::split(&share.fresh);
    let (revoked_connectors, revoked_tasks) = assignor::split(&share.revoked);
    Assignment {
        connectors,
        tasks,
        revoked_connectors,
        revoked_tasks,
        delay_ms: i32::try_from(delay_ms).unwrap_or(i32::MAX),
        ..base.clone()
    }
}
