//! What the leader writes down of a job: its transitions, and what webhooks are to be told.

use connect_api::Phase;

use super::derive::Derived;
use super::log::Entry;
use super::record::{HISTORY_MAX, Recorded, RetentionReport, StoredKind, StoredNotice};
use super::view::{Action, JobError, JobState, Transition};
use crate::brief::brief;

/// When alerts are raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// `job.failing.after.ms`.
    pub failing_after_ms: i64,
    /// `job.flapping.failures`.
    pub flapping_failures: u32,
    /// `job.flapping.window.ms`.
    pub flapping_window_ms: i64,
    /// `job.action.timeout.ms`.
    pub action_timeout_ms: i64,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { failing_after_ms: 300_000, flapping_failures: 3, flapping_window_ms: 600_000, action_timeout_ms: 60_000 }
    }
}

/// Who asked, where nobody did.
pub const WORKER: &str = "worker";

/// What was newly seen of a job.
pub struct Seen<'a> {
    pub derived: &'a Derived,
    pub phase: Option<Phase>,
    pub retention: Option<&'a RetentionReport>,
    /// What the command under way still waits for.
    pub waits_for: Option<String>,
    pub now_ms: i64,
}

/// Whether something may become new of a job just because time passes.
pub fn waits(recorded: &Recorded) -> bool {
    recorded.trouble_since_ms.is_some() && !recorded.failing_told || !recorded.failures_ms.is_empty()
}

/// Writes down what is new; `None` when nothing is.
pub fn keep(entry: &Entry, seen: &Seen<'_>, alerts: &Alerts) -> Option<Recorded> {
    let mut recorded = entry.recorded.clone();
    transition(entry, &mut recorded, seen);
    trouble(&mut recorded, seen, alerts);
    retention(&mut recorded, seen);
    late(entry, &mut recorded, seen, alerts);
    (recorded != entry.recorded).then_some(recorded)
}

/// A job has ended for good, or is gone.
pub fn end(entry: &Entry, to: JobState, cause: &str, by: &str, phase: Option<Phase>, now_ms: i64) -> Recorded {
    let mut recorded = entry.recorded.clone();
    change(&mut recorded, to, cause.to_owned(), by.to_owned(), phase, None, now_ms);
    recorded
}

fn transition(entry: &Entry, recorded: &mut Recorded, seen: &Seen<'_>) {
    let (derived, now) = (seen.derived, seen.now_ms);
    let phase = seen.phase.map(|phase| phase.name().to_owned());
    if recorded.state == Some(derived.state) {
        if !same(recorded.error.as_ref(), derived.error.as_ref()) {
            recorded.error.clone_from(&derived.error);
            recorded.updated_ms = now;
        }
        if phase.is_some() && recorded.phase != phase {
            recorded.phase = phase;
            recorded.updated_ms = now;
        }
        return;
    }
    let (cause, by) = why(entry, recorded.state, derived);
    let before = recorded.state;
    recorded.error.clone_from(&derived.error);
    let error = derived.error.as_ref().map(|error| error.message.clone());
    change(recorded, derived.state, cause, by, seen.phase, error, now);
    let failed = matches!(derived.state, JobState::Failed | JobState::Starting) && derived.error.is_some();
    if failed && before == Some(JobState::Running) || derived.state == JobState::Failed && before.is_none() {
        recorded.failures_ms.push(now);
    }
}

/// Whether two errors are the same but for the time at which they were looked at.
fn same(one: Option<&JobError>, other: Option<&JobError>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => JobError { at_ms: other.at_ms, ..one.clone() } == *other,
        (None, None) => true,
        _ => false,
    }
}

fn change(
    recorded: &mut Recorded,
    to: JobState,
    cause: String,
    by: String,
    phase: Option<Phase>,
    error: Option<String>,
    now_ms: i64,
) {
    let (from, cause) = (recorded.state, brief(cause));
    recorded.state = Some(to);
    recorded.reason.clone_from(&cause);
    recorded.updated_ms = now_ms;
    if let Some(phase) = phase {
        recorded.phase = Some(phase.name().to_owned());
    }
    recorded.running_since_ms = match to {
        JobState::Running => recorded.running_since_ms.or(Some(now_ms)),
        _ => None,
    };
    recorded.history.push(Transition { at_ms: now_ms, from, to, cause: cause.clone(), by });
    trim(&mut recorded.history);
    tell(recorded, now_ms, error, StoredKind::StateChanged { from, to, cause });
}

fn tell(recorded: &mut Recorded, at_ms: i64, error: Option<String>, what: StoredKind) {
    let seq = recorded.notices.last().map_or(1, |notice| notice.seq + 1);
    let what = match what {
        StoredKind::Warning { message } => StoredKind::Warning { message: brief(message) },
        other => other,
    };
    let phase = recorded.phase.clone();
    recorded.notices.push(StoredNotice { seq, at_ms, what, phase, error: error.map(brief) });
    trim(&mut recorded.notices);
}

fn trim<T>(list: &mut Vec<T>) {
    let extra = list.len().saturating_sub(HISTORY_MAX);
    list.drain(..extra);
}

/// Why a job is in a new state, and who asked for it.
fn why(entry: &Entry, from: Option<JobState>, derived: &Derived) -> (String, String) {
    let to = derived.state;
    // A command that came after the last transition is what led here.
    let last = entry.recorded.history.last().map_or(0, |last| last.at_ms);
    let order = entry.order.as_ref().filter(|order| order.at_ms >= last);
    let asked = |actions: &[Action]| order.filter(|order| actions.contains(&order.action));
    let recovers = entry.recorded.trouble_since_ms.is_some();
    let by_hand = match to {
        JobState::Pending | JobState::Starting | JobState::Running => {
            asked(&[Action::Start, Action::Resume, Action::Retry, Action::Restart])
        }
        JobState::Paused => asked(&[Action::Pause]),
        JobState::Stopped => asked(&[Action::Stop, Action::Restart, Action::Delete]),
        _ => None,
    };
    if let Some(order) = by_hand.filter(|_| derived.error.is_none()) {
        return (past(order.action).to_owned(), order.by.clone());
    }
    let cause = match to {
        JobState::Running if recovers => match &derived.recovery {
            Some(recovery) => format!("recovered with attempt {}", recovery.attempt),
            None => "recovered".to_owned(),
        },
        // It was on its way already: the cause is that of its beginning.
        JobState::Running if matches!(from, Some(JobState::Pending | JobState::Starting)) => {
            let begun = entry.recorded.history.last();
            return begun.map_or_else(
                || (derived.cause.clone(), WORKER.to_owned()),
                |last| (last.cause.clone(), last.by.clone()),
            );
        }
        JobState::Starting | JobState::Pending if from.is_none() => "created through Connect".to_owned(),
        JobState::Paused | JobState::Stopped => format!("{} through Connect", to.name()),
        JobState::Starting | JobState::Running | JobState::Pending
            if matches!(from, Some(JobState::Paused | JobState::Stopped)) =>
        {
            "resumed through Connect".to_owned()
        }
        _ => derived.cause.clone(),
    };
    let connect = cause.ends_with("through Connect");
    (cause, if connect { "connect" } else { WORKER }.to_owned())
}

const fn past(action: Action) -> &'static str {
    match action {
        Action::Start => "started by request",
        Action::Pause => "paused by request",
        Action::Resume => "resumed by request",
        Action::Stop => "stopped by request",
        Action::Retry => "retried by request",
        Action::Restart => "restarted by request",
        Action::Complete => "completed by request",
        Action::Terminate => "terminated by request",
        Action::Delete => "deleted by request",
    }
}

/// What lasts too long, or comes too often.
fn trouble(recorded: &mut Recorded, seen: &Seen<'_>, alerts: &Alerts) {
    let now = seen.now_ms;
    let in_trouble = match seen.derived.state {
        JobState::Failed => true,
        JobState::Pending | JobState::Starting => seen.derived.error.is_some() || recorded.trouble_since_ms.is_some(),
        _ => false,
    };
    if !in_trouble {
        (recorded.trouble_since_ms, recorded.failing_told) = (None, false);
    } else if recorded.trouble_since_ms.is_none() {
        recorded.trouble_since_ms = Some(now);
    }
    if let Some(since) = recorded.trouble_since_ms.filter(|since| now - since >= alerts.failing_after_ms)
        && !recorded.failing_told
    {
        recorded.failing_told = true;
        let error = recorded.error.as_ref().map(|error| error.message.clone());
        tell(recorded, now, error, StoredKind::Failing { since_ms: since });
    }
    recorded.failures_ms.retain(|at| now - at < alerts.flapping_window_ms);
    let failures = u32::try_from(recorded.failures_ms.len()).unwrap_or(u32::MAX);
    if failures >= alerts.flapping_failures {
        recorded.failures_ms.clear();
        let within_ms = u64::try_from(alerts.flapping_window_ms).unwrap_or(0);
        let error = recorded.error.as_ref().map(|error| error.message.clone());
        tell(recorded, now, error, StoredKind::Flapping { failures, within_ms });
    }
}

/// The levels that a warning is given for, in percent of the budget.
const LEVELS: [u8; 2] = [80, 50];

fn retention(recorded: &mut Recorded, seen: &Seen<'_>) {
    let Some(retention) = seen.retention else { return };
    let level = level(retention);
    if level > recorded.warned
        && let Some(message) = warning(retention)
    {
        tell(recorded, seen.now_ms, None, StoredKind::Warning { message });
    }
    recorded.warned = level;
}

/// How much of what the server may keep is used up, in percent; `None` without a limit.
pub fn used_percent(retention: &RetentionReport) -> Option<u8> {
    let (retained, safe) = (retention.retained_bytes?, retention.safe_wal_size?);
    let budget = retained.saturating_add(safe).max(1);
    u8::try_from(u128::from(retained) * 100 / u128::from(budget)).ok()
}

fn level(retention: &RetentionReport) -> u8 {
    if retention.lost || retention.wal_status.as_deref() == Some("unreserved") {
        return 100;
    }
    let used = used_percent(retention).unwrap_or(0);
    LEVELS.into_iter().find(|level| used >= *level).unwrap_or(0)
}

/// How long the log will last, in milliseconds, at the present rate.
pub fn exhausted_in_ms(retention: &RetentionReport) -> Option<u64> {
    let rate = retention.bytes_per_second.filter(|rate| *rate > 0.0)?;
    let seconds = retention.safe_wal_size? as f64 / rate;
    // More than a century is no forecast.
    (seconds < 3.2e9).then_some((seconds * 1_000.0) as u64)
}

/// What there is to worry about.
pub fn warning(retention: &RetentionReport) -> Option<String> {
    let slot = &retention.slot;
    if retention.wal_status.is_none() {
        return Some(format!("replication slot \"{slot}\" does not exist any more: changes are lost"));
    }
    if retention.lost {
        return Some(format!(
            "the log that replication slot \"{slot}\" needs was removed: changes are lost; raise \
             max_slot_wal_keep_size before a new snapshot"
        ));
    }
    let level = level(retention);
    if level == 0 {
        return None;
    }
    let left = exhausted_in_ms(retention).map(|ms| format!("; at the present rate it lasts for {}", duration(ms)));
    let used = match (level, used_percent(retention)) {
        (100, _) => "more than max_slot_wal_keep_size allows".to_owned(),
        (_, Some(used)) => format!("{used} % of what max_slot_wal_keep_size allows"),
        (_, None) => "much".to_owned(),
    };
    Some(format!(
        "replication slot \"{slot}\" keeps {used}{}; resume the job, or raise max_slot_wal_keep_size, before the log \
         that it needs is removed",
        left.unwrap_or_default()
    ))
}

/// A length of time for people: `3 h 20 min`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A command that takes longer than it should says what it waits for.
fn late(entry: &Entry, recorded: &mut Recorded, seen: &Seen<'_>, alerts: &Alerts) {
    let Some(order) = entry.under_way() else {
        recorded.late_told = false;
        return;
    };
    let Some(waits_for) = &seen.waits_for else { return };
    if !recorded.late_told && seen.now_ms - order.at_ms >= alerts.action_timeout_ms {
        recorded.late_told = true;
        let message = format!("{} is not done yet: it waits for {waits_for}", order.action.name());
        tell(recorded, seen.now_ms, None, StoredKind::Warning { message });
    }
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
