//! Which state something is in and how long it was in each (`StateTracker`).

use parking_lot::Mutex;

/// States of a connector or task (`AbstractStatus.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
    Destroyed,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Unassigned, Self::Running, Self::Paused, Self::Stopped, Self::Failed, Self::Restarting, Self::Destroyed];

    /// The name in metrics: lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
            Self::Destroyed => "destroyed",
        }
    }

    /// The state of a name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Debug)]
struct Times {
    state: RunState,
    since_ms: i64,
    spent_ms: [i64; RunState::ALL.len()],
}

/// The state of one run, from its start on.
#[derive(Debug)]
pub struct States {
    started_ms: i64,
    times: Mutex<Times>,
}

impl States {
    /// Begins unassigned.
    pub fn new(now_ms: i64) -> Self {
        let times = Times { state: RunState::Unassigned, since_ms: now_ms, spent_ms: [0; RunState::ALL.len()] };
        Self { started_ms: now_ms, times: Mutex::new(times) }
    }

    /// Changes the state.
    pub fn change(&self, state: RunState, now_ms: i64) {
        let mut times = self.times.lock();
        let (was, since) = (times.state, times.since_ms);
        if was == state {
            return;
        }
        if let Some(spent) = times.spent_ms.get_mut(was as usize) {
            *spent += now_ms - since;
        }
        (times.state, times.since_ms) = (state, now_ms);
    }

    /// The state now.
    pub fn now(&self) -> RunState {
        self.times.lock().state
    }

    /// The share of its life that it spent in a state, from 0 to 1.
    pub fn share(&self, state: RunState, now_ms: i64) -> f64 {
        let times = self.times.lock();
        let life = now_ms - self.started_ms;
        if life <= 0 {
            return if times.state == state { 1.0 } else { 0.0 };
        }
        let before = times.spent_ms.get(state as usize).copied().unwrap_or_default();
        let lately = if times.state == state { now_ms - times.since_ms } else { 0 };
        (before + lately) as f64 / life as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let states = States::new(100);
        states.change(RunState::Running, 110);
        states.change(RunState::Paused, 150);
        states.change(RunState::Paused, 160);
        states.change(RunState::Running, 170);
        assert_eq!(states.now(), RunState::Running);
        assert_eq!(states.share(RunState::Unassigned, 200), 0.1);
        assert_eq!(states.share(RunState::Running, 200), 0.7);
        assert_eq!(states.share(RunState::Paused, 200), 0.2);
        assert_eq!(States::new(5).share(RunState::Unassigned, 5), 1.0);
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(RunState::from_name("FAILED"), Some(RunState::Failed));
        assert_eq!(RunState::from_name("x"), None);
    }
}
