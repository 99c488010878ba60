//! The lifecycle of one unit (a connector or a task) on this worker.
//!
//! [`Unit::next`] is total and pure. Its first half only records the fact that came in; its second half, `settle`, is
//! the only place that compares what is wanted with what is, and takes at most one step.
//!
//! Invariants, checked over every reachable state in the tests: never a second run of a unit, no pause, resume or stop
//! of a run that is not there, and once inputs cease the unit settles to what is wanted.

use std::fmt;

use indexmap::IndexMap;

use crate::failure::Failure;
use crate::herd::{ConnectorId, State, Target, TaskId};

/// Names a connector or a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitId {
    Connector(ConnectorId),
    Task(TaskId),
}

impl UnitId {
    /// The connector that the unit is, or belongs to.
    pub fn connector(&self) -> &ConnectorId {
        match self {
            Self::Connector(name) => name,
            Self::Task(id) => &id.connector,
        }
    }

    /// The number of the task, when it is one.
    pub fn task(&self) -> Option<u32> {
        match self {
            Self::Connector(_) => None,
            Self::Task(id) => Some(id.task),
        }
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector(name) => f.write_str(name),
            Self::Task(id) => write!(f, "{}-{}", id.connector, id.task),
        }
    }
}

/// Counts the runs of all units of a worker: no two have the same.
pub type Run = u64;

/// What came of a unit.
#[derive(Clone, Debug)]
pub struct UnitEvent {
    pub unit: UnitId,
    pub run: Run,
    pub what: UnitNews,
}

/// The news in a [`UnitEvent`].
#[derive(Clone, Debug)]
pub enum UnitNews {
    /// It is at work: after a start, or after a resume.
    Running,
    /// Of a task that runs: whether it really works, as far as it can tell (its source is connected and its last poll did not
    /// fail; its sink takes what it is given). Until it says so it does not, whatever its state is.
    Working(bool),
    /// It is at rest but warm, after a pause: what was under way is finished. (A unit that is to be paused when it comes
    /// to this worker is not started at all.)
    Paused,
    /// It ended by itself with this trace (`connect_api::Error::trace`), for this reason. The run is over. A connector that
    /// can't be started (unknown class, `task_configs` failed) reports this too.
    Failed { trace: String, failure: Failure },
    /// It ended because it was asked to; its offsets are flushed. Comes within the graceful timeout
    /// (`task.shutdown.graceful.timeout.ms`), in which case the task was abandoned and can do no more harm.
    Exited,
    /// The connector wants these tasks (`Connector.taskConfigs`): sent after `Running`, on each start and resume.
    /// Each has `task.class`, for sinks `topics` or `topics.regex`, and for keys whose value contains a variable in the
    /// connector's configuration that unresolved value (`AbstractHerder.reverseTransform`).
    TaskConfigs(Vec<IndexMap<String, String>>),
    /// The task of this unit wrote to, or read from, a topic for the first time in this run (KIP-558).
    TopicUsed { topic: String },
}

/// What becomes of a unit that is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// It belongs to another worker, or to nobody.
    Leave,
    /// It stays here, and what is wanted of it is looked at again: stopped, or started afresh.
    Park,
}

/// What this worker's unit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// Nothing, and nothing was reported.
    Idle,
    /// A run was asked for and has not answered. Above 1 it is one that nobody had to ask for, after a crash.
    Starting {
        attempt: u32,
    },
    Running,
    /// A pause was asked for and has not answered.
    Pausing,
    /// The run rests; it keeps what it holds.
    PausedWarm,
    /// There is no run: it never started because it is to be paused.
    PausedCold,
    /// The run was asked to end.
    Stopping {
        then: Then,
    },
    /// It crashed and is tried again when its time has come.
    Backoff {
        attempt: u32,
    },
    /// It crashed and waits for somebody to restart it.
    Failed,
    /// There is no run because the user stopped it.
    Stopped,
}

impl Life {
    /// True when there is a run that can be asked to pause, resume or stop.
    pub const fn live(self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running | Self::Pausing | Self::PausedWarm)
    }

    /// True while earlier failures count: until somebody restarts, stops or takes the unit away, or pauses it while it waits.
    pub const fn in_row(self) -> bool {
        match self {
            Self::Idle | Self::PausedCold | Self::Stopping { .. } | Self::Stopped => false,
            Self::Starting { attempt } => attempt > 1,
            Self::Running | Self::Pausing | Self::PausedWarm | Self::Backoff { .. } | Self::Failed => true,
        }
    }

    /// True when there is a run, live or on its way out.
    pub const fn has_run(self) -> bool {
        self.live() || matches!(self, Self::Stopping { .. })
    }
}

/// Whether a crash is retried without the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    Never,
    Backoff,
}

/// What happened to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The group gave the unit to this worker.
    Assigned,
    /// The group took it away.
    Revoked,
    /// The user wants something else of it.
    Target(Target),
    /// The user, or a new configuration, wants a new run.
    Restart,
    /// The run reports that it is at work.
    Started,
    /// The run reports that it rests.
    Parked,
    /// The run ended as asked.
    Exited,
    /// The run ended by itself.
    Crashed(Retry),
    /// The time of a retry has come.
    RetryDue,
}

/// What is to be done for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Spawn,
    Pause,
    Resume,
    Stop,
    /// Wake the unit with [`Input::RetryDue`] after a while.
    ArmRetry,
    /// Its visible state changed.
    Report,
}

/// One connector or task as this worker has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    pub assigned: bool,
    pub target: Target,
    pub life: Life,
}

impl Unit {
    /// A unit that was never here.
    pub const fn new(target: Target) -> Self {
        Self { assigned: false, target, life: Life::Idle }
    }

    /// The state that the user sees. A crash is one for operators and their alerts also while it is to be tried again.
    pub const fn state(self) -> State {
        match self.life {
            Life::Idle | Life::Starting { attempt: 0 | 1 } => State::Unassigned,
            Life::Running | Life::Pausing => State::Running,
            Life::PausedWarm | Life::PausedCold => State::Paused,
            Life::Stopping { then: Then::Leave } => State::Unassigned,
            Life::Stopping { then: Then::Park } | Life::Starting { .. } => State::Restarting,
            Life::Failed | Life::Backoff { .. } => State::Failed,
            Life::Stopped => State::Stopped,
        }
    }

    /// Records what happened, then takes the one step that brings the unit nearer to what is wanted. The steps are
    /// carried out in order.
    #[must_use]
    pub fn next(self, input: Input) -> (Unit, Vec<Step>) {
        let mut steps = Vec::new();
        let unit = self.record(input, &mut steps).settle(&mut steps);
        (unit, steps)
    }

    fn record(mut self, input: Input, steps: &mut Vec<Step>) -> Self {
        match input {
            Input::Assigned => self.assigned = true,
            Input::Revoked => self.assigned = false,
            Input::Target(target) => self.target = target,
            Input::Restart => self.record_restart(steps),
            Input::Started => {
                if matches!(self.life, Life::Starting { .. }) {
                    self.life = Life::Running;
                    steps.push(Step::Report);
                }
            }
            Input::Parked => {
                if self.life == Life::Pausing {
                    self.life = Life::PausedWarm;
                    steps.push(Step::Report);
                }
            }
            Input::Exited => {
                if self.life.has_run() {
                    self.life = Life::Idle;
                }
            }
            Input::Crashed(retry) => self.record_crash(retry, steps),
            Input::RetryDue => {
                if let Life::Backoff { attempt } = self.life
                    && self.assigned
                    && self.target == Target::Started
                {
                    self.life = Life::Starting { attempt };
                    steps.extend([Step::Spawn, Step::Report]);
                }
            }
        }
        self
    }

    fn record_restart(&mut self, steps: &mut Vec<Step>) {
        match self.life {
            life if life.live() => {
                self.life = Life::Stopping { then: Then::Park };
                steps.push(Step::Stop);
            }
            // A restart puts a unit that has no run through its start again, so that its state is reported anew.
            Life::Failed | Life::Backoff { .. } | Life::PausedCold | Life::Stopped => self.life = Life::Idle,
            _ => {}
        }
    }

    fn record_crash(&mut self, retry: Retry, steps: &mut Vec<Step>) {
        let attempt = match self.life {
            Life::Starting { attempt } => attempt,
            Life::Stopping { .. } => {
                // It was to end anyway.
                self.life = Life::Idle;
                return;
            }
            life if life.live() => 1,
            _ => return,
        };
        match retry {
            Retry::Never => self.life = Life::Failed,
            Retry::Backoff => {
                self.life = Life::Backoff { attempt: attempt.saturating_add(1) };
                steps.push(Step::ArmRetry);
            }
        }
        steps.push(Step::Report);
    }

    fn settle(mut self, steps: &mut Vec<Step>) -> Self {
        use Life::{Backoff, Failed, Idle, PausedCold, PausedWarm, Pausing, Running, Starting, Stopped, Stopping};
        let (life, step) = match (self.assigned, self.target, self.life) {
            (false, _, life) if life.live() => (Stopping { then: Then::Leave }, Step::Stop),
            (false, _, Stopping { .. }) => (Stopping { then: Then::Leave }, Step::Report),
            (false, _, Idle) => return self,
            (false, _, _) => (Idle, Step::Report),
            (true, _, Stopping { .. }) => (Stopping { then: Then::Park }, Step::Report),
            (true, Target::Started, Idle | Stopped | PausedCold) => (Starting { attempt: 1 }, Step::Spawn),
            (true, Target::Started, PausedWarm | Pausing) => (Running, Step::Resume),
            (true, Target::Paused, Running) => (Pausing, Step::Pause),
            (true, Target::Paused, Idle | Stopped | Backoff { .. }) => (PausedCold, Step::Report),
            (true, Target::Stopped, life) if life.live() => (Stopping { then: Then::Park }, Step::Stop),
            (true, Target::Stopped, Idle | PausedCold | Backoff { .. } | Failed) => (Stopped, Step::Report),
            (true, _, _) => return self,
        };
        if matches!(life, Stopping { .. }) && self.life == life {
            return self;
        }
        self.life = life;
        // A resumed unit is at work again at once for the user; a stopping one shows nothing until it ended.
        if !(matches!(life, Stopping { .. }) && step == Step::Report) {
            steps.push(step);
        }
        if step == Step::Resume {
            steps.push(Step::Report);
        }
        self
    }
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
