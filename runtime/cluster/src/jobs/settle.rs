//! What is shown of a job: the derived state, without the flicker of rebalances and of news that are under way.

use super::derive::Derived;
use super::log::Entry;
use super::plan::{Step, plan};
use super::view::{Action, JobState};

/// How long a job that ran may be without a worker, or start anew, before that is shown: a rebalance is over by then.
pub const REBALANCE_MS: i64 = 2_000;
/// How long the worker of a failed task has to say what it does about it.
pub const REPORT_MS: i64 = 3_000;
/// How long tasks have to come to rest before a job is shown as stopped or paused all the same.
pub const REST_MS: i64 = 60_000;

/// A state that may pass, and since when it has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing {
    pub state: JobState,
    pub since_ms: i64,
}

/// The state to show. `passing` is kept between calls for the same job.
pub fn settle(mut derived: Derived, entry: &Entry, passing: &mut Option<Passing>, now_ms: i64) -> Derived {
    let recorded = entry.recorded.state;
    if let Some(order) = entry.under_way() {
        let step = plan(order.action, order.cleanup).get(order.step);
        if let (Some(Step::Target(..) | Step::DropDestinations), Some(state)) = (step, recorded) {
            // Its connectors are being told, one after the other: half of that is no state.
            return Derived { state, cause: entry.recorded.reason.clone(), passing: false, ..derived };
        }
        match order.action {
            // Stopping is a part of these; the job is what it was until they end.
            Action::Complete | Action::Terminate if derived.state != JobState::Failed => {
                let state = recorded.unwrap_or(JobState::Running);
                *passing = None;
                return Derived { state, cause: entry.recorded.reason.clone(), passing: false, ..derived };
            }
            Action::Restart if derived.state == JobState::Stopped => {
                *passing = None;
                return Derived {
                    state: JobState::Starting,
                    cause: "restarting".to_owned(),
                    passing: false,
                    ..derived
                };
            }
            _ => {}
        }
    }
    if !derived.passing {
        *passing = None;
        return derived;
    }
    let since = match passing {
        Some(seen) if seen.state == derived.state => seen.since_ms,
        _ => {
            *passing = Some(Passing { state: derived.state, since_ms: now_ms });
            now_ms
        }
    };
    derived.passing = false;
    let patience = match derived.state {
        JobState::Failed => REPORT_MS,
        JobState::Pending | JobState::Starting if recorded == Some(JobState::Running) => REBALANCE_MS,
        JobState::Pending | JobState::Starting => 0,
        _ => REST_MS,
    };
    match recorded {
        Some(before) if now_ms - since < patience && before != derived.state && !before.is_final() => Derived {
            state: before,
            cause: entry.recorded.reason.clone(),
            error: entry.recorded.error.clone(),
            recovery: None,
            passing: false,
        },
        _ => derived,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Order, Recorded};
    use super::*;

    fn derived(state: JobState, passing: bool) -> Derived {
        Derived { state, cause: "new".to_owned(), error: None, recovery: None, passing }
    }

    fn entry(state: JobState) -> Entry {
        let recorded = Recorded { state: Some(state), reason: "old".to_owned(), ..Recorded::default() };
        Entry { recorded, ..Entry::default() }
    }

    #[test]
    fn a_rebalance_is_not_shown_and_a_long_one_is() {
        let (entry, mut passing) = (entry(JobState::Running), None);
        let mut at = |now| settle(derived(JobState::Pending, true), &entry, &mut passing, now).state;
        assert_eq!(
            [at(0), at(REBALANCE_MS - 1), at(REBALANCE_MS)],
            [JobState::Running, JobState::Running, JobState::Pending]
        );
    }

    #[test]
    fn a_job_that_is_started_is_shown_so_at_once() {
        let mut passing = None;
        let shown = settle(derived(JobState::Starting, true), &entry(JobState::Stopped), &mut passing, 0);
        assert_eq!(shown.state, JobState::Starting);
    }

    #[test]
    fn a_job_is_paused_when_its_tasks_rest() {
        let (entry, mut passing) = (entry(JobState::Running), None);
        assert_eq!(settle(derived(JobState::Paused, true), &entry, &mut passing, 0).state, JobState::Running);
        assert_eq!(settle(derived(JobState::Paused, false), &entry, &mut passing, 1).state, JobState::Paused);
    }

    #[test]
    fn half_of_a_command_is_no_state() {
        let mut entry = entry(JobState::Created);
        entry.order = Some(order(Action::Start, 1));
        let mut passing = None;
        assert_eq!(settle(derived(JobState::Stopped, false), &entry, &mut passing, 0).state, JobState::Created);
        entry.order = Some(order(Action::Start, 2));
        assert_eq!(settle(derived(JobState::Starting, true), &entry, &mut passing, 0).state, JobState::Starting);
    }

    fn order(action: Action, step: usize) -> Order {
        Order { step, ..Order::new("1", action, false, 0, "api") }
    }

    #[test]
    fn a_job_that_is_completed_runs_until_it_is() {
        let mut entry = entry(JobState::Running);
        entry.order = Some(order(Action::Complete, 2));
        let mut passing = None;
        assert_eq!(settle(derived(JobState::Stopped, false), &entry, &mut passing, 0).state, JobState::Running);
        let failed = settle(derived(JobState::Failed, false), &entry, &mut passing, 0);
        assert_eq!(failed.state, JobState::Failed, "a failure is shown at once");
    }
}
