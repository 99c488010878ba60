//! Failed units of this worker that are tried again by themselves: what the policy says of each failure is kept with the unit,
//! carried out when its time has come, and forgotten when the unit is well again or somebody has taken care of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Effect, Held, Herder};
use crate::failure::Failure;
use crate::unit::{Input, Life, Retry, UnitId};

impl Held {
    /// Starts or stops the clock that says for how long the unit has been well: what rests, or is cut off from its system, is
    /// not.
    pub(super) fn count_work(&mut self, now_ms: u64) {
        let works = self.works && self.unit.life == Life::Running;
        self.working_since_ms = if works { self.working_since_ms.or(Some(now_ms)) } else { None };
    }
}

impl Herder {
    /// A run has ended by itself: whether, and when, there is another.
    pub(super) fn plan_recovery(&mut self, id: &UnitId, failure: Failure) -> Retry {
        let Some(held) = self.units.get(id).filter(|held| held.unit.life.live()) else { return Retry::Never };
        let healthy_ms = held.working_since_ms.map_or(0, |since| self.now.mono_ms.saturating_sub(since));
        let jitter = self.jitter(id, held.run);
        let policy = (self.config.recovery)(id.connector());
        let row = policy.after(self.recoveries.get(id), failure, healthy_ms, self.now.wall_ms, jitter);
        let retry = if row.next_attempt_ms.is_some() { Retry::Backoff } else { Retry::Never };
        Arc::make_mut(&mut self.recoveries).insert(id.clone(), row);
        retry
    }

    /// A number that differs between units, workers and runs, and is the same whenever the same happens.
    fn jitter(&self, id: &UnitId, run: crate::unit::Run) -> u64 {
        let mut hasher = DefaultHasher::new();
        (id, run, &self.config.worker_id).hash(&mut hasher);
        hasher.finish()
    }

    /// Sets the clock for the planned attempt. The plan is in the time of people; the wait is in one that never goes back.
    pub(super) fn arm_retry(&mut self, id: &UnitId) {
        let planned = self.recoveries.get(id).and_then(|row| row.next_attempt_ms);
        if let Some(held) = self.units.get_mut(id)
            && matches!(held.unit.life, Life::Backoff { .. })
        {
            let wait = planned.map_or(0, |at| at.saturating_sub(self.now.wall_ms));
            held.retry_at_ms = Some(self.now.mono_ms.saturating_add(u64::try_from(wait).unwrap_or(0)));
        }
    }

    /// Tries again what is due.
    pub(super) fn retry_units(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.mono_ms;
        let due: Vec<UnitId> = self
            .units
            .iter()
            .filter(|(_, held)| held.retry_at_ms.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.input(&id, Input::RetryDue, out);
        }
    }

    /// The planned attempt is no longer to come: it is there.
    pub(super) fn attempt_begins(&mut self, id: &UnitId) {
        if self.recoveries.contains_key(id)
            && let Some(row) = Arc::make_mut(&mut self.recoveries).get_mut(id)
        {
            row.next_attempt_ms = None;
        }
    }

    /// Units that have worked for long enough have no failures behind them any more.
    pub(super) fn forget_the_healthy(&mut self) {
        let now = self.now.mono_ms;
        let is_healthy = |id: &&UnitId| {
            let since = self.units.get(id).and_then(|held| held.working_since_ms);
            since.is_some_and(|since| now.saturating_sub(since) >= (self.config.recovery)(id.connector()).healthy_ms)
        };
        for id in self.recoveries.keys().filter(is_healthy).cloned().collect::<Vec<_>>() {
            self.forget_failures(&id);
        }
    }

    pub(super) fn forget_failures(&mut self, id: &UnitId) {
        if self.recoveries.contains_key(id) {
            Arc::make_mut(&mut self.recoveries).remove(id);
        }
    }
}
