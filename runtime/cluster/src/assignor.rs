//! What the elected leader decides: which member gets which connectors and tasks.
//!
//! [`eager`] is `EagerAssignor`; [`Cooperative`] is `IncrementalCooperativeAssignor` (KIP-415), whose memory between
//! rounds lives here. Both are pure: the time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::unit::UnitId;

/// A member as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub url: String,
    pub config_offset: i64,
    /// What it says it runs.
    pub running: BTreeSet<UnitId>,
}

/// What one member gets in a round: what it runs from now on, and what it has to give up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub assigned: BTreeSet<UnitId>,
    pub revoked: BTreeSet<UnitId>,
}

/// Deals connectors, then tasks, round-robin over the members in order of id.
pub fn eager(configured: &BTreeSet<UnitId>, members: &[Member]) -> BTreeMap<String, Share> {
    let mut ids: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    ids.sort_unstable();
    let mut shares: BTreeMap<String, Share> = ids.iter().map(|id| ((*id).to_owned(), Share::default())).collect();
    // In a `BTreeSet` connectors come before tasks, each in order.
    for (unit, id) in configured.iter().zip(ids.iter().cycle()) {
        if let Some(share) = shares.get_mut(*id) {
            share.assigned.insert(unit.clone());
        }
    }
    shares
}

/// The exponential back-off between rounds that revoke: 1 ms · 40ⁿ, at most the maximum delay.
const BACKOFF_BASE: u64 = 40;

/// The leader's memory between rounds.
#[derive(Clone, Debug, Default)]
pub struct Cooperative {
    /// `scheduled.rebalance.max.delay.ms`.
    pub max_delay_ms: u64,
    previous: BTreeSet<UnitId>,
    previous_generation: Option<i32>,
    previous_members: BTreeSet<String>,
    /// When the wait for lost members is over, in the caller's milliseconds.
    scheduled_ms: Option<u64>,
    candidates: BTreeSet<String>,
    revoking_rounds: u32,
    revoked_in_previous: bool,
}

/// What a round decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    pub shares: BTreeMap<String, Share>,
    /// Milliseconds until everybody asks for the next round.
    pub delay_ms: u64,
}

impl Cooperative {
    /// A leader without memory.
    pub fn new(max_delay_ms: u64) -> Self {
        Self { max_delay_ms, ..Self::default() }
    }

    /// One round. `last_generation` is the last generation that this worker completed: memory of an older one counts for
    /// nothing, because somebody else led in between.
    pub fn assign(
        &mut self,
        now_ms: u64,
        last_generation: i32,
        generation: i32,
        configured: &BTreeSet<UnitId>,
        members: &[Member],
    ) -> Round {
        if self.previous_generation != Some(last_generation) {
            self.forget();
        }
        let claims = Claims::of(configured, members);
        let active: BTreeSet<UnitId> = claims.kept.values().flatten().cloned().chain(claims.duplicated()).collect();
        let lost: BTreeSet<UnitId> = self
            .previous
            .iter()
            .filter(|unit| configured.contains(*unit) && !active.contains(*unit))
            .cloned()
            .collect();
        let created =
            configured.iter().filter(|unit| !active.contains(*unit) && !lost.contains(*unit)).cloned().collect();

        let mut assigned = claims.kept.clone();
        let mut revoked = claims.revoked.clone();
        let delay_ms = self.handle_lost(now_ms, &lost, members, &mut assigned);
        place(&created, &mut assigned, None);
        let balanced =
            if delay_ms == 0 { take_excess(configured.len_by_kind(), &mut assigned) } else { BTreeMap::new() };
        let revoking = balanced.values().any(|units| !units.is_empty());
        let delay_ms = self.back_off(now_ms, revoking, delay_ms, balanced, &mut assigned, &mut revoked);

        self.previous = assigned.values().flatten().cloned().chain(lost.into_iter().filter(|_| delay_ms > 0)).collect();
        self.previous_generation = Some(generation);
        self.previous_members = members.iter().map(|member| member.id.clone()).collect();
        let shares = assigned
            .into_iter()
            .map(|(id, assigned)| {
                let revoked = revoked.remove(&id).unwrap_or_default();
                (id, Share { assigned, revoked })
            })
            .collect();
        Round { shares, delay_ms }
    }

    fn forget(&mut self) {
        *self = Self::new(self.max_delay_ms);
    }

    /// Work of members that went away: waits for them up to the delay, then gives it to others. Answers what is left of
    /// the delay.
    fn handle_lost(
        &mut self,
        now_ms: u64,
        lost: &BTreeSet<UnitId>,
        members: &[Member],
        assigned: &mut BTreeMap<String, BTreeSet<UnitId>>,
    ) -> u64 {
        let present: BTreeSet<String> = members.iter().map(|member| member.id.clone()).collect();
        let member_gone = self.previous_members.iter().any(|id| !present.contains(id));
        if lost.is_empty() {
            self.scheduled_ms = None;
            self.candidates.clear();
            return 0;
        }
        let waiting = self.scheduled_ms.is_some();
        if self.max_delay_ms == 0 || (!member_gone && !waiting) {
            // Nobody left: the assignment itself was lost on its way.
            place(lost, assigned, None);
            return 0;
        }
        let newcomers = members.iter().filter(|m| m.running.is_empty() && !self.previous_members.contains(&m.id));
        self.candidates.extend(newcomers.map(|member| member.id.clone()));
        self.candidates.retain(|id| present.contains(id));
        let due = *self.scheduled_ms.get_or_insert(now_ms.saturating_add(self.max_delay_ms));
        if now_ms < due {
            return due - now_ms;
        }
        let candidates = std::mem::take(&mut self.candidates);
        self.scheduled_ms = None;
        place(lost, assigned, (!candidates.is_empty()).then_some(&candidates));
        0
    }

    /// Revocations for balance happen in one round and are given out in the next; rounds that follow each other wait
    /// longer and longer, so that a flapping group does not thrash.
    fn back_off(
        &mut self,
        now_ms: u64,
        revoking: bool,
        delay_ms: u64,
        balanced: BTreeMap<String, BTreeSet<UnitId>>,
        assigned: &mut BTreeMap<String, BTreeSet<UnitId>>,
        revoked: &mut BTreeMap<String, BTreeSet<UnitId>>,
    ) -> u64 {
        if !revoking {
            self.revoked_in_previous = false;
            if delay_ms == 0 {
                self.revoking_rounds = 0;
            }
            return delay_ms;
        }
        if self.revoked_in_previous {
            let wait = BACKOFF_BASE.saturating_pow(self.revoking_rounds).min(self.max_delay_ms);
            self.revoking_rounds = self.revoking_rounds.saturating_add(1);
            self.revoked_in_previous = false;
            if wait > 0 {
                self.scheduled_ms = Some(now_ms.saturating_add(wait));
                for (id, units) in balanced {
                    assigned.entry(id).or_default().extend(units);
                }
                return wait;
            }
        }
        self.revoked_in_previous = true;
        for (id, units) in balanced {
            revoked.entry(id).or_default().extend(units);
        }
        delay_ms
    }
}

/// What members say they run, sorted into what they keep and what they have to give up.
struct Claims {
    kept: BTreeMap<String, BTreeSet<UnitId>>,
    revoked: BTreeMap<String, BTreeSet<UnitId>>,
    duplicated: BTreeSet<UnitId>,
}

impl Claims {
    fn of(configured: &BTreeSet<UnitId>, members: &[Member]) -> Self {
        let mut owners: BTreeMap<&UnitId, usize> = BTreeMap::new();
        for unit in members.iter().flat_map(|member| &member.running) {
            *owners.entry(unit).or_default() += 1;
        }
        let duplicated: BTreeSet<UnitId> = owners
            .iter()
            .filter(|(unit, count)| **count > 1 && configured.contains(**unit))
            .map(|(unit, _)| (*unit).clone())
            .collect();
        let (mut kept, mut revoked) = (BTreeMap::new(), BTreeMap::new());
        for member in members {
            let (keep, give): (BTreeSet<UnitId>, BTreeSet<UnitId>) = member
                .running
                .iter()
                .cloned()
                .partition(|unit| configured.contains(unit) && !duplicated.contains(unit));
            kept.insert(member.id.clone(), keep);
            revoked.insert(member.id.clone(), give);
        }
        Self { kept, revoked, duplicated }
    }

    /// Claimed by several: revoked from all of them, and free in the next round.
    fn duplicated(&self) -> impl Iterator<Item = UnitId> + '_ {
        self.duplicated.iter().cloned()
    }
}

/// Gives each unit to the member with the fewest of its kind (of `only`, when given), connectors first.
fn place(units: &BTreeSet<UnitId>, assigned: &mut BTreeMap<String, BTreeSet<UnitId>>, only: Option<&BTreeSet<String>>) {
    for unit in units {
        let is_task = unit.task().is_some();
        let least = assigned
            .iter_mut()
            .filter(|(id, _)| only.is_none_or(|only| only.contains(*id)))
            .min_by_key(|(_, running)| running.iter().filter(|other| other.task().is_some() == is_task).count());
        if let Some((_, running)) = least {
            running.insert(unit.clone());
        }
    }
}

trait LenByKind {
    fn len_by_kind(&self) -> [usize; 2];
}

impl LenByKind for BTreeSet<UnitId> {
    /// Connectors, tasks.
    fn len_by_kind(&self) -> [usize; 2] {
        let tasks = self.iter().filter(|unit| unit.task().is_some()).count();
        [self.len() - tasks, tasks]
    }
}

/// Takes from each member what exceeds its fair part, connectors and tasks apart: ⌊n/w⌋, and one more for the first
/// n mod w members that need it.
fn take_excess(
    totals: [usize; 2],
    assigned: &mut BTreeMap<String, BTreeSet<UnitId>>,
) -> BTreeMap<String, BTreeSet<UnitId>> {
    let mut taken: BTreeMap<String, BTreeSet<UnitId>> = BTreeMap::new();
    let workers = assigned.len().max(1);
    for (kind, total) in totals.into_iter().enumerate() {
        let (floor, mut extra) = (total / workers, total % workers);
        for (id, running) in assigned.iter_mut() {
            let mine: Vec<UnitId> =
                running.iter().filter(|unit| usize::from(unit.task().is_some()) == kind).cloned().collect();
            let mut fair = floor;
            if mine.len() > floor && extra > 0 {
                extra -= 1;
                fair += 1;
            }
            for unit in mine.into_iter().skip(fair) {
                running.remove(&unit);
                taken.entry(id.clone()).or_default().insert(unit);
            }
        }
    }
    taken
}

/// Turns a share into names and tasks.
pub fn split(units: &BTreeSet<UnitId>) -> (Vec<crate::herd::ConnectorId>, Vec<crate::herd::TaskId>) {
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
