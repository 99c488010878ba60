//! Work that was given back: a worker that leaves stops its units, says so in the status topic, and then goes. The leader
//! does not wait for such a worker to come back, as the JVM's does (`scheduled.rebalance.max.delay.ms`).
//!
//! What tells it from a crash: the last word on a unit is UNASSIGNED, written by the worker that had it, in a generation
//! since it had it. Workers of the JVM say that too. The status topic is read to its end before this is looked at, so that
//! the last word is the last; should that take too long, what was not read counts as a crash.

use std::collections::{BTreeMap, BTreeSet};

use super::{Effect, Herder};
use crate::assignor::{Member, Share};
use crate::herd::State;
use crate::protocol::{Assignment, Protocol};
use crate::unit::UnitId;

/// Who has a unit, as the leader gave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub url: String,
    /// The generation that it was given in.
    pub since: i32,
}

/// An election that waits for the status topic to be read.
#[derive(Clone, Debug)]
pub(super) struct Election {
    pub generation: i32,
    pub protocol: Protocol,
    /// What all members are told alike.
    pub base: Assignment,
    pub members: Vec<Member>,
}

impl Herder {
    pub(super) fn elected_with(
        &mut self,
        generation: i32,
        protocol: Protocol,
        base: Assignment,
        members: Vec<Member>,
        out: &mut Vec<Effect>,
    ) {
        let election = Election { generation, protocol, base, members };
        let anything_lost = protocol != Protocol::Eager
            && self.config.max_delay_ms > 0
            && !self
                .cooperative
                .lost(self.completed_generation, &self.configured_units(), &election.members)
                .is_empty();
        if anything_lost {
            self.election = Some(election);
            out.push(Effect::ReadStatus { generation });
        } else {
            self.election = None;
            self.assign(election, &BTreeSet::new(), out);
        }
    }

    /// The status topic was read, as far as it could be in time.
    pub(super) fn on_status_read(&mut self, generation: i32, out: &mut Vec<Effect>) {
        let Some(election) = self.election.take_if(|election| election.generation == generation) else { return };
        let lost = self.cooperative.lost(self.completed_generation, &self.configured_units(), &election.members);
        let released = self.given_back(lost);
        self.assign(election, &released, out);
    }

    /// Which of these their owners gave back before they left. A unit that had failed had nothing to give back: it follows the
    /// others of its owner.
    fn given_back(&self, lost: BTreeSet<UnitId>) -> BTreeSet<UnitId> {
        let last_word = |unit: &UnitId| {
            let (owner, status) = (self.last_owners.get(unit)?, self.statuses.unit(unit)?);
            let own = status.generation >= owner.since && worker_of(&owner.url) == Some(status.worker_id.as_str());
            own.then_some((owner.url.as_str(), status.state))
        };
        let left: BTreeSet<&str> = lost
            .iter()
            .filter_map(last_word)
            .filter_map(|(url, state)| (state == State::Unassigned).then_some(url))
            .collect();
        let given_back = |unit: &UnitId| match last_word(unit) {
            Some((_, State::Unassigned)) => true,
            Some((url, State::Failed)) => left.contains(url),
            _ => false,
        };
        lost.iter().filter(|unit| given_back(unit)).cloned().collect()
    }

    /// What each member has, for the first eager round after cooperative ones. Nobody stopped anything before that round, and
    /// under the eager protocol members do not say what they run: to deal now would start units twice. (The JVM's leader
    /// does so.) Everybody keeps what it has, and stops it before the next round, which follows at once.
    pub(super) fn as_they_are(&self, configured: &BTreeSet<UnitId>, members: &[Member]) -> BTreeMap<String, Share> {
        let mut shares: BTreeMap<String, Share> =
            members.iter().map(|member| (member.id.clone(), Share::default())).collect();
        for unit in configured {
            let worker = match self.owners.get(unit) {
                Some(url) => worker_of(url),
                None => self.statuses.unit(unit).map(|status| status.worker_id.as_str()),
            };
            let holder = members.iter().find(|member| worker.is_some() && worker_of(&member.url) == worker);
            if let Some(share) = holder.and_then(|holder| shares.get_mut(&holder.id)) {
                share.assigned.push(unit.clone());
                share.fresh.push(unit.clone());
            }
        }
        shares
    }

    /// Remembers who has what from now on. What has no owner for a while keeps its last one for as long as it exists.
    pub(super) fn note_owners(
        &mut self,
        generation: i32,
        configured: &BTreeSet<UnitId>,
        members: &[Member],
        shares: &BTreeMap<String, Share>,
    ) {
        self.owners.clear();
        for member in members {
            let Some(share) = shares.get(&member.id) else { continue };
            let fresh: BTreeSet<&UnitId> = share.fresh.iter().collect();
            for unit in &share.assigned {
                self.owners.insert(unit.clone(), member.url.clone());
                // Given anew, also to the one that had it before: what that one wrote when it gave it up is of another time.
                let anew = fresh.contains(unit);
                if anew || self.last_owners.get(unit).is_none_or(|owner| owner.url != member.url) {
                    let owner = Owner { url: member.url.clone(), since: generation };
                    self.last_owners.insert(unit.clone(), owner);
                }
            }
        }
        self.last_owners.retain(|unit, _| configured.contains(unit));
    }
}

/// `host:port` of a worker's URL, which is its name in statuses.
fn worker_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_named_by_host_and_port() {
        assert_eq!(worker_of("http://h:8083/"), Some("h:8083"));
        assert_eq!(worker_of("https://[::1]:1/x"), Some("[::1]:1"));
        assert_eq!(worker_of("nonsense"), None);
    }
}
