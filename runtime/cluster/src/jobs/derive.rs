//! The state of a job, from the states of its connectors and tasks and its last command: one function.
//!
//! Connect's own endpoints change connectors without asking a job: what they did is seen here, so that both always tell the
//! same story.

use super::log::{Entry, JobsLog, Said};
use super::members::Members;
use super::record::trace_mark;
use super::view::{JobError, JobState};
use crate::brief::brief;
use crate::herd::{ConnectorView, State, Target, TaskStatus};
use crate::recovery::Recovery;

/// What is to be seen of a job at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    pub state: JobState,
    /// Why, in a few words.
    pub cause: String,
    /// What went wrong last, while that lasts.
    pub error: Option<JobError>,
    /// What is done about it.
    pub recovery: Option<Recovery>,
    /// The state may be one of a moment, of a rebalance or of news that are under way: whoever knows an older one keeps it for
    /// a while.
    pub passing: bool,
}

impl Derived {
    fn of(state: JobState, cause: impl Into<String>) -> Self {
        Self { state, cause: cause.into(), error: None, recovery: None, passing: false }
    }

    fn passing(self) -> Self {
        Self { passing: true, ..self }
    }
}

/// A failed connector or task.
struct Trouble<'a> {
    connector: &'a ConnectorView,
    task: Option<u32>,
    status: &'a TaskStatus,
    /// What is done about it, when that was said of this very failure.
    said: Option<Said<'a>>,
}

/// The state of a job. `now_ms` is in milliseconds since 1970.
pub fn derive(job: &str, entry: &Entry, members: &Members, log: &JobsLog, now_ms: i64) -> Derived {
    let recorded = entry.recorded.state;
    let started = entry.definition.as_ref().is_none_or(|definition| definition.started);
    if members.connectors.is_empty() {
        return match recorded {
            Some(state) => Derived::of(state, entry.recorded.reason.clone()),
            None => Derived::of(JobState::Created, "not started yet"),
        };
    }
    let wants = |target: Target| members.connectors.iter().any(|connector| connector.target == target);
    let all_stopped = !wants(Target::Started) && !wants(Target::Paused);
    if let Some(last) = recorded.filter(|state| state.is_final() && all_stopped) {
        return Derived::of(last, entry.recorded.reason.clone());
    }
    if let Some(derived) = failed(job, members, log, now_ms) {
        return derived;
    }
    if all_stopped && !started {
        return Derived::of(JobState::Created, "not started yet");
    }
    if wants(Target::Stopped) {
        let gone = members.connectors.iter().filter(|c| c.target == Target::Stopped).all(|c| shows_stopped(c));
        let stopped = Derived::of(JobState::Stopped, "stopped by request");
        // On its way there: what is in flight is still written.
        return if gone { stopped } else { stopped.passing() };
    }
    if wants(Target::Paused) {
        let resting = members.connectors.iter().filter(|c| c.target == Target::Paused).all(|c| is_resting(c));
        let paused = Derived::of(JobState::Paused, "paused by request");
        return if resting { paused } else { paused.passing() };
    }
    at_work(job, members, log)
}

/// A job with a unit that failed, when there is one.
fn failed(job: &str, members: &Members, log: &JobsLog, now_ms: i64) -> Option<Derived> {
    let troubles: Vec<Trouble<'_>> = members
        .connectors
        .iter()
        .filter(|connector| connector.target != Target::Stopped)
        .flat_map(|connector| troubles(connector, log))
        .collect();
    // One that nobody tries again decides; then the one that is tried last.
    let worst = troubles.iter().max_by_key(|trouble| match trouble.said {
        Some(Said { recovery, .. }) if recovery.over.is_none() => (false, recovery.attempt),
        _ => (true, 0),
    })?;
    let error = worst.error(job, now_ms);
    let cause = error.message.clone();
    let recovery = worst.said.map(|said| said.recovery.clone());
    Some(match &recovery {
        Some(plan) if plan.over.is_none() => {
            let cause = tried(plan, &cause);
            Derived { error: Some(error), recovery, ..Derived::of(JobState::Starting, cause) }
        }
        Some(_) => Derived { error: Some(error), recovery, ..Derived::of(JobState::Failed, cause) },
        // The worker that has it has not said yet what it does about it; a JVM worker never will.
        None => Derived { error: Some(error), ..Derived::of(JobState::Failed, cause) }.passing(),
    })
}

fn troubles<'a>(connector: &'a ConnectorView, log: &'a JobsLog) -> Vec<Trouble<'a>> {
    let Some(status) = &connector.status else { return Vec::new() };
    let own = (status.connector.state == State::Failed).then_some((None, &status.connector));
    let tasks = status.tasks.iter().filter(|(_, task)| task.state == State::Failed);
    own.into_iter()
        .chain(tasks.map(|(id, task)| (Some(*id), task)))
        .map(|(task, status)| {
            let mark = trace_mark(status.trace.as_deref().unwrap_or_default());
            let said = log.said_of(&connector.info.name, task).filter(|said| said.failed == Some(mark));
            Trouble { connector, task, status, said }
        })
        .collect()
}

impl Trouble<'_> {
    fn error(&self, job: &str, now_ms: i64) -> JobError {
        match self.said {
            Some(said) => error(job, self.connector, self.task, said.recovery, said.at_ms),
            None => JobError {
                code: "unknown".to_owned(),
                message: brief(first_line(self.status.trace.as_deref().unwrap_or_default())),
                remedy: None,
                connector: Some(self.connector.info.name.to_string()),
                task: self.task,
                at_ms: now_ms,
            },
        }
    }
}

/// The last failure of a connector (`task` is `None`) or a task of it.
fn error(job: &str, connector: &ConnectorView, task: Option<u32>, recovery: &Recovery, at_ms: i64) -> JobError {
    let (name, failure) = (&connector.info.name, &recovery.failure);
    JobError {
        code: failure.code.clone(),
        message: failure.message.clone(),
        remedy: remedy(job, name, recovery),
        connector: Some(name.to_string()),
        task,
        at_ms,
    }
}

/// What to do. A connector knows its own name only, and takes it for that of its job.
fn remedy(job: &str, connector: &str, recovery: &Recovery) -> Option<String> {
    let remedy = recovery.failure.remedy.as_deref()?;
    Some(remedy.replace(&format!("/jobs/{connector}/"), &format!("/jobs/{job}/")))
}

/// What a Java trace says in its first line, without the class.
fn first_line(trace: &str) -> String {
    let line = trace.lines().next().unwrap_or_default();
    let message = match line.split_once(": ") {
        Some((class, message)) if !class.contains(' ') && class.contains('.') => message,
        _ => line,
    };
    if message.is_empty() { "the task failed; its trace tells why".to_owned() } else { message.to_owned() }
}

/// True when a connector shows that it was stopped, with its tasks. (What of it may still be in flight is no matter of its
/// state, but of the commands that wait for it.)
fn shows_stopped(connector: &ConnectorView) -> bool {
    connector.status.as_ref().is_none_or(|status| {
        status.connector.state == State::Stopped && status.tasks.iter().all(|(_, task)| !works(task.state))
    })
}

/// True when everything of a paused connector rests.
fn is_resting(connector: &ConnectorView) -> bool {
    connector.status.as_ref().is_some_and(|status| {
        let resting = |state| matches!(state, State::Paused | State::Failed);
        resting(status.connector.state) && status.tasks.iter().all(|(_, task)| resting(task.state))
    })
}

const fn works(state: State) -> bool {
    matches!(state, State::Running | State::Restarting | State::Paused)
}

/// A job that is to run and in which nothing failed.
fn at_work(job: &str, members: &Members, log: &JobsLog) -> Derived {
    let mut nobody = false;
    let mut waiting = false;
    let mut retrying: Option<Derived> = None;
    for connector in &members.connectors {
        let Some(status) = &connector.status else {
            nobody = true;
            continue;
        };
        nobody |= status.connector.state == State::Unassigned && status.tasks.is_empty();
        let own = (None, status.connector.state);
        let tasks = status.tasks.iter().map(|(id, task)| (Some(*id), task.state));
        for (task, _) in [own].into_iter().chain(tasks).filter(|(_, state)| *state == State::Restarting) {
            if let Some(said) = log.said_of(&connector.info.name, task) {
                retrying = Some(attempt(job, connector, task, said.recovery));
            }
        }
        waiting |= status.connector.state != State::Running || status.tasks.len() != connector.tasks.len();
        waiting |= connector.tasks.is_empty();
        waiting |= status.tasks.iter().any(|(_, task)| task.state != State::Running);
    }
    match retrying {
        Some(derived) => derived,
        None if nobody => Derived::of(JobState::Pending, "waiting for a worker").passing(),
        None if waiting => Derived::of(JobState::Starting, "a worker initialises it").passing(),
        None => Derived::of(JobState::Running, "all its tasks run"),
    }
}

/// What is being done after a failure. An attempt that was asked for counts for nothing.
fn tried(recovery: &Recovery, failure: &str) -> String {
    match recovery.attempt {
        0 => format!("tried again after: {failure}"),
        attempt => format!("attempt {attempt} of {} after: {failure}", recovery.attempts_max),
    }
}

/// An attempt to cure a failure that is under way.
fn attempt(job: &str, connector: &ConnectorView, task: Option<u32>, recovery: &Recovery) -> Derived {
    let error = error(job, connector, task, recovery, recovery.first_failure_ms);
    let cause = tried(recovery, &error.message);
    Derived { error: Some(error), recovery: Some(recovery.clone()), ..Derived::of(JobState::Starting, cause) }
}

#[cfg(test)]
#[path = "derive_tests.rs"]
mod tests;
