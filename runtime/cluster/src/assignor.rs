//! What the elected leader decides: which member gets which connectors and tasks.
//!
//! [`eager`] is `EagerAssignor`; [`Cooperative`] is `IncrementalCooperativeAssignor` (KIP-415), whose memory between
//! rounds lives here. Both are pure: the time comes in. The outcomes are the JVM's, down to which member is asked to give
//! what: the order in which Java goes over its members and their units is kept ([`order`]), and rounds recorded from the
//! JVM's classes are replayed in `tests/assignor.rs`.
//!
//! One thing is done on purpose that the JVM does not do: units that their owner gave back before it left (the caller
//! names them) are given out at once, without `scheduled.rebalance.max.delay.ms`.

mod load;
pub mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexSet;

use crate::unit::UnitId;
use load::{Balance, Load};

/// A member as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub url: String,
    pub config_offset: i64,
    /// What it says it runs, in its own order: connectors, then tasks.
    pub running: Vec<UnitId>,
}

/// What one member gets in a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Everything that it has after the round.
    pub assigned: Vec<UnitId>,
    /// What of that is new to it, in the order that it is told.
    pub fresh: Vec<UnitId>,
    /// What it has to give up.
    pub revoked: Vec<UnitId>,
}

/// Deals connectors, then tasks, round-robin over the members in order of id.
pub fn eager(configured: &BTreeSet<UnitId>, members: &[Member]) -> BTreeMap<String, Share> {
    let mut ids: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    ids.sort_unstable();
    let mut shares: BTreeMap<String, Share> = ids.iter().map(|id| ((*id).to_owned(), Share::default())).collect();
    // In a `BTreeSet` connectors come before tasks, each in order.
    for (unit, id) in configured.iter().zip(ids.iter().cycle()) {
        if let Some(share) = shares.get_mut(*id) {
            share.assigned.push(unit.clone());
            share.fresh.push(unit.clone());
        }
    }
    shares
}

/// The factor of the back-off between rounds that revoke: 1 ms times 40 to the power of their number.
const BACKOFF_BASE: f64 = 40.0;

/// The leader's memory between rounds.
#[derive(Clone, Debug)]
pub struct Cooperative {
    /// `scheduled.rebalance.max.delay.ms`.
    max_delay_ms: u64,
    /// What the last rounds gave out.
    previous: BTreeSet<UnitId>,
    /// What the last round took away: whoever still claims it did not hear of that round.
    previous_revocation: BTreeSet<UnitId>,
    previous_generation: i32,
    previous_members: BTreeSet<String>,
    /// When the wait for lost members is over, in the caller's milliseconds.
    scheduled_ms: Option<u64>,
    /// What is left of that wait, as the last round told it.
    delay_ms: u64,
    /// Members without work that came while lost work was waited for, in order of arrival.
    candidates: IndexSet<String>,
    revoking_rounds: u32,
    revoked_in_previous: bool,
}

/// What a round is made from.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    pub now_ms: u64,
    /// The last generation that this worker completed: memory of another one counts for nothing, because somebody else led
    /// in between, or the assignment never reached the group.
    pub last_generation: i32,
    pub generation: i32,
    pub configured: &'a BTreeSet<UnitId>,
    pub members: &'a [Member],
    /// Units whose owner stopped them and left: nobody will come back for them.
    pub released: &'a BTreeSet<UnitId>,
}

/// What a round decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub shares: BTreeMap<String, Share>,
    /// Milliseconds until everybody asks for the next round; 0 for never.
    pub delay_ms: u64,
}

/// What each member has to give up.
type Revoked = BTreeMap<String, IndexSet<UnitId>>;

impl Cooperative {
    /// A leader without memory.
    pub fn new(max_delay_ms: u64) -> Self {
        Self {
            max_delay_ms,
            previous: BTreeSet::new(),
            previous_revocation: BTreeSet::new(),
            previous_generation: -1,
            previous_members: BTreeSet::new(),
            scheduled_ms: None,
            delay_ms: 0,
            candidates: IndexSet::new(),
            revoking_rounds: 0,
            revoked_in_previous: false,
        }
    }

    /// What earlier rounds gave out and nobody in this one claims, so that the caller can find out what was released.
    pub fn lost(&self, last_generation: i32, configured: &BTreeSet<UnitId>, members: &[Member]) -> BTreeSet<UnitId> {
        if self.previous_generation != last_generation {
            return BTreeSet::new();
        }
        let active: BTreeSet<&UnitId> = members.iter().flat_map(|member| &member.running).collect();
        self.previous.iter().filter(|unit| configured.contains(*unit) && !active.contains(unit)).cloned().collect()
    }

    /// One round.
    pub fn assign(&mut self, round: Round<'_>) -> Outcome {
        if self.previous_generation != round.last_generation {
            self.previous.clear();
        }
        let order = order::of(round.members.iter().map(|member| member.id.as_str()));
        let mut next: Vec<Load> =
            order.iter().filter_map(|at| round.members.get(*at)).map(|m| Load::new(&m.id, &m.running)).collect();
        let active: BTreeSet<UnitId> = next.iter().flat_map(Load::units).cloned().collect();
        self.mind_failed_revocations(&active);

        let (kept, deleted): (BTreeSet<UnitId>, BTreeSet<UnitId>) =
            self.previous.iter().cloned().partition(|unit| round.configured.contains(unit));
        let lost = kept.into_iter().filter(|unit| !active.contains(unit));
        let (released, lost): (BTreeSet<UnitId>, BTreeSet<UnitId>) =
            lost.partition(|unit| round.released.contains(unit));
        let created = round.configured.iter().filter(|u| !self.previous.contains(*u) && !active.contains(*u));
        let mut to_assign: Vec<UnitId> = created.cloned().collect();

        let mut revoked = Revoked::new();
        let duplicated = load::duplicated(&next);
        for load in &mut next {
            let gone = load.take(|unit| deleted.contains(unit) || duplicated.contains(unit));
            revoked.entry(load.id.clone()).or_default().extend(gone);
        }
        if !released.is_empty() && lost.is_empty() {
            // Everything that is missing was given back: there is nobody to wait for.
            self.reset_delay();
        } else {
            self.handle_lost(round.now_ms, &lost, &mut next, &mut to_assign);
        }
        to_assign.extend(released);
        self.balance(round.now_ms, round.configured, &mut next, &mut revoked);
        load::place(&mut next, &to_assign);
        self.remember(&round, &next, &revoked, lost);
        Outcome { shares: tell(round.members, next, revoked), delay_ms: self.delay_ms }
    }

    /// A member that still claims what was taken from it did not hear of it: what is claimed is the truth then.
    fn mind_failed_revocations(&mut self, active: &BTreeSet<UnitId>) {
        if std::mem::take(&mut self.previous_revocation).iter().any(|unit| active.contains(unit)) {
            self.previous.clone_from(active);
        }
    }

    /// Work of members that went away: waits for them up to the delay, then gives it to others.
    fn handle_lost(&mut self, now_ms: u64, lost: &BTreeSet<UnitId>, next: &mut [Load], to_assign: &mut Vec<UnitId>) {
        if lost.is_empty() && !self.revoked_in_previous {
            self.reset_delay();
            return;
        }
        let present: BTreeSet<&str> = next.iter().map(|load| load.id.as_str()).collect();
        let nobody_left = self.previous_members.iter().all(|id| present.contains(id.as_str()));
        if (self.scheduled_ms.is_none() && nobody_left) || self.max_delay_ms == 0 {
            // Without a departure it was the assignment itself that got lost on its way.
            to_assign.extend(lost.iter().cloned());
            return;
        }
        match self.scheduled_ms {
            Some(due) if now_ms >= due => {
                let chosen: Vec<usize> =
                    self.candidates.iter().filter_map(|id| next.iter().position(|load| load.id == *id)).collect();
                if chosen.is_empty() {
                    to_assign.extend(lost.iter().cloned());
                } else {
                    load::deal(next, &chosen, lost);
                }
                self.reset_delay();
                self.revoked_in_previous = false;
            }
            due => {
                let idle: Vec<&str> = next.iter().filter(|load| load.is_empty()).map(|l| l.id.as_str()).collect();
                let arrivals = order::of(idle.iter().copied()).into_iter().filter_map(|at| idle.get(at));
                self.candidates.extend(arrivals.map(|id| (*id).to_owned()));
                self.delay_ms = due.map_or(self.max_delay_ms, |due| due.saturating_sub(now_ms));
                self.scheduled_ms = Some(now_ms.saturating_add(self.delay_ms));
            }
        }
    }

    fn reset_delay(&mut self) {
        self.candidates.clear();
        self.scheduled_ms = None;
        self.delay_ms = 0;
    }

    /// Takes from members what exceeds their fair part. What is taken is given out in the next round; rounds that take one
    /// after the other wait longer and longer, so that a flapping group does not thrash.
    fn balance(&mut self, now_ms: u64, configured: &BTreeSet<UnitId>, next: &mut [Load], revoked: &mut Revoked) {
        if self.delay_ms != 0 {
            self.revoked_in_previous = false;
            return;
        }
        let excess = Balance::of(configured).excess(next);
        if excess.is_empty() {
            if std::mem::take(&mut self.revoked_in_previous) {
                self.revoking_rounds = 0;
            }
            return;
        }
        if self.revoked_in_previous {
            self.revoking_rounds = self.revoking_rounds.saturating_add(1);
            self.delay_ms = backoff_ms(self.revoking_rounds, self.max_delay_ms);
            if self.delay_ms != 0 {
                self.scheduled_ms = Some(now_ms.saturating_add(self.delay_ms));
                return;
            }
        } else {
            self.revoked_in_previous = true;
        }
        for (load, units) in next.iter_mut().zip(excess) {
            let taken = load.take(|unit| units.contains(unit));
            revoked.entry(load.id.clone()).or_default().extend(taken);
        }
    }

    fn remember(&mut self, round: &Round<'_>, next: &[Load], revoked: &Revoked, lost: BTreeSet<UnitId>) {
        self.previous_revocation = revoked.values().flatten().cloned().collect();
        let given = next.iter().flat_map(Load::units);
        self.previous = given.filter(|unit| !self.previous_revocation.contains(*unit)).cloned().collect();
        self.previous.extend(lost);
        self.previous_generation = round.generation;
        self.previous_members = round.members.iter().map(|member| member.id.clone()).collect();
    }
}

/// `ExponentialBackoff(1, 40, max, 0)`, in floating point as Java computes it.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn backoff_ms(rounds: u32, max_ms: u64) -> u64 {
    if max_ms <= 1 {
        return max_ms;
    }
    let exponent = f64::from(rounds).min((max_ms as f64).ln() / BACKOFF_BASE.ln());
    (BACKOFF_BASE.powf(exponent) as u64).min(max_ms)
}

fn tell(members: &[Member], next: Vec<Load>, mut revoked: Revoked) -> BTreeMap<String, Share> {
    let claims: BTreeMap<&str, BTreeSet<&UnitId>> =
        members.iter().map(|member| (member.id.as_str(), member.running.iter().collect())).collect();
    let share = |load: Load| {
        let revoked = revoked.remove(&load.id).unwrap_or_default().into_iter().collect();
        let claimed = claims.get(load.id.as_str());
        let id = load.id.clone();
        let assigned = load.into_units();
        let is_new = |unit: &&UnitId| claimed.is_none_or(|claimed| !claimed.contains(*unit));
        let fresh = assigned.iter().filter(is_new).cloned().collect();
        (id, Share { assigned, fresh, revoked })
    };
    next.into_iter().map(share).collect()
}

/// Turns a share into names and tasks.
pub fn split<'a>(
    units: impl IntoIterator<Item = &'a UnitId>,
) -> (Vec<crate::herd::ConnectorId>, Vec<crate::herd::TaskId>) {
    let mut names = Vec::new();
    let mut tasks = Vec::new();
    for unit in units {
        match unit {
            UnitId::Connector(name) => names.push(Arc::clone(name)),
            UnitId::Task(id) => tasks.push(id.clone()),
        }
    }
    (names, tasks)
}

#[cfg(test)]
#[path = "assignor_tests.rs"]
mod tests;
