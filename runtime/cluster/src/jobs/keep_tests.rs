//! What is written down of a job over time.

use super::super::record::Order;
use super::*;
use crate::failure::{Cure, Failure};
use crate::recovery::Recovery;

/// A job that is looked at again and again.
#[derive(Default)]
struct Diary {
    entry: Entry,
    alerts: Alerts,
    now: i64,
}

impl Diary {
    fn see(&mut self, state: JobState, error: Option<&str>) -> &mut Self {
        self.see_with(state, error, None)
    }

    fn see_with(&mut self, state: JobState, error: Option<&str>, retention: Option<&RetentionReport>) -> &mut Self {
        self.now += 1_000;
        let error = error.map(|message| JobError {
            code: "unavailable".into(),
            message: message.to_owned(),
            remedy: None,
            connector: None,
            task: None,
            at_ms: 7,
        });
        let recovery = error.as_ref().map(|error| Recovery {
            attempt: 1,
            at_once: 0,
            attempts_max: 10,
            first_failure_ms: 0,
            next_attempt_ms: None,
            failure: Failure { code: "c".into(), message: error.message.clone(), remedy: None, cure: Cure::Network },
            over: None,
        });
        let derived = Derived { state, cause: "cause".into(), error, recovery, passing: false };
        let phase = Some(Phase::Streaming);
        let seen = Seen { derived: &derived, phase, retention, waits_for: None, now_ms: self.now };
        if let Some(recorded) = keep(&self.entry, &seen, &self.alerts) {
            self.entry.recorded = recorded;
        }
        self
    }

    fn order(&mut self, action: Action) -> &mut Self {
        self.now += 1_000;
        self.entry.order = Some(Order::new("1", action, false, self.now, "api"));
        self
    }

    fn history(&self) -> Vec<(&'static str, &str, &str)> {
        let history = self.entry.recorded.history.iter();
        history.map(|entry| (entry.to.name(), entry.cause.as_str(), entry.by.as_str())).collect()
    }

    fn told(&self) -> Vec<&'static str> {
        let notices = self.entry.recorded.notices.iter();
        notices
            .map(|notice| match notice.what {
                StoredKind::StateChanged { .. } => "state",
                StoredKind::Warning { .. } => "warning",
                StoredKind::Failing { .. } => "failing",
                StoredKind::Flapping { .. } => "flapping",
            })
            .collect()
    }
}

#[test]
fn the_history_says_who_asked() {
    let mut diary = Diary::default();
    diary.see(JobState::Created, None).order(Action::Start).see(JobState::Starting, None).see(JobState::Running, None);
    diary.order(Action::Pause).see(JobState::Paused, None).see(JobState::Running, None);
    assert_eq!(
        diary.history()[1..],
        [
            ("starting", "started by request", "api"),
            ("running", "started by request", "api"),
            ("paused", "paused by request", "api"),
            ("running", "resumed through Connect", "connect"),
        ]
    );
    assert_eq!(diary.entry.recorded.reason, "resumed through Connect");
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let mut diary = Diary::default();
    diary.see(JobState::Running, None);
    let before = diary.entry.recorded.clone();
    diary.see(JobState::Running, None).see(JobState::Running, None);
    assert_eq!(diary.entry.recorded, before);
}

#[test]
fn a_job_that_heals_says_so_and_its_uptime_begins_anew() {
    let mut diary = Diary::default();
    diary.see(JobState::Running, None);
    let first = diary.entry.recorded.running_since_ms;
    diary.see(JobState::Starting, Some("connection refused")).see(JobState::Running, None);
    assert_eq!(diary.history()[2], ("running", "recovered", "worker"));
    assert!(diary.entry.recorded.running_since_ms > first);
    assert_eq!(diary.entry.recorded.error, None);
}

#[test]
fn a_failure_that_lasts_is_told_once() {
    let mut diary = Diary { alerts: Alerts { failing_after_ms: 3_000, ..Alerts::default() }, ..Diary::default() };
    diary.see(JobState::Running, None);
    for _ in 0..8 {
        diary.see(JobState::Failed, Some("gone"));
    }
    assert_eq!(diary.told(), ["state", "state", "failing"]);
    diary.see(JobState::Running, None);
    for _ in 0..4 {
        diary.see(JobState::Starting, Some("gone"));
    }
    assert_eq!(diary.told(), ["state", "state", "failing", "state", "state", "failing"]);
}

#[test]
fn three_failures_in_a_while_are_flapping() {
    let mut diary = Diary::default();
    for _ in 0..3 {
        diary.see(JobState::Running, None).see(JobState::Starting, Some("refused"));
    }
    assert_eq!(diary.told().iter().filter(|kind| **kind == "flapping").count(), 1);
    let mut slow = Diary { alerts: Alerts { flapping_window_ms: 1_500, ..Alerts::default() }, ..Diary::default() };
    for _ in 0..5 {
        slow.see(JobState::Running, None).see(JobState::Starting, Some("refused"));
    }
    assert!(!slow.told().contains(&"flapping"));
}

#[test]
fn history_and_notices_are_bounded_and_numbers_go_on() {
    let mut diary = Diary::default();
    for _ in 0..HISTORY_MAX {
        diary.see(JobState::Running, None).see(JobState::Paused, None);
    }
    let recorded = &diary.entry.recorded;
    assert_eq!((recorded.history.len(), recorded.notices.len()), (HISTORY_MAX, HISTORY_MAX));
    assert_eq!(recorded.notices.last().map(|notice| notice.seq), Some(2 * HISTORY_MAX as u64));
}

/// The record of a job with all its history has to fit into the topic (1 MB).
#[test]
fn however_long_errors_are_what_is_kept_of_them_fits_into_a_record() {
    let mut diary = Diary::default();
    for attempt in 0..HISTORY_MAX {
        let error = format!("{attempt}: {}", "\"x\" ".repeat(50_000));
        diary.see(JobState::Running, None).see(JobState::Failed, Some(&crate::brief(error)));
    }
    let record = super::super::record::JobRecord::State("job".into(), Some(Box::new(diary.entry.recorded)));
    let bytes = record.encode().1.map_or(0, |value| value.len());
    assert!(bytes < 700_000, "{bytes}");
}

fn slot(retained: u64, safe: Option<u64>) -> RetentionReport {
    RetentionReport {
        slot: "s".into(),
        wal_status: Some("reserved".into()),
        retained_bytes: Some(retained),
        safe_wal_size: safe,
        bytes_per_second: Some(1_000.0),
        lost: false,
    }
}

#[test]
fn a_warning_comes_at_half_and_at_four_fifths_of_the_budget() {
    let mut diary = Diary::default();
    diary.see(JobState::Paused, None);
    for retained in [10, 49, 50, 60, 79, 80, 90] {
        diary.see_with(JobState::Paused, None, Some(&slot(retained, Some(100 - retained))));
    }
    assert_eq!(diary.told(), ["state", "warning", "warning"]);
    diary.see_with(JobState::Paused, None, Some(&slot(1, Some(99))));
    diary.see_with(JobState::Paused, None, Some(&slot(50, Some(50))));
    assert_eq!(diary.told().len(), 4, "after a resume it warns again");
    let message = warning(&slot(50, Some(50))).unwrap();
    assert!(message.contains("50 %") && message.contains("lasts for 0 s"), "{message}");
}

#[test]
fn without_a_limit_there_is_nothing_to_warn_of_and_a_lost_slot_is_told_at_once() {
    assert_eq!(warning(&slot(u64::MAX / 2, None)), None);
    let lost = RetentionReport { wal_status: Some("lost".into()), lost: true, ..slot(1, Some(1)) };
    let mut diary = Diary::default();
    diary.see(JobState::Paused, None).see_with(JobState::Paused, None, Some(&lost));
    assert_eq!(diary.told(), ["state", "warning"]);
    let unreserved = RetentionReport { wal_status: Some("unreserved".into()), ..slot(1, Some(99)) };
    assert!(warning(&unreserved).unwrap().contains("more than"));
}

#[test]
fn the_forecast_is_what_is_left_at_the_present_rate() {
    assert_eq!(exhausted_in_ms(&slot(0, Some(10_000))), Some(10_000));
    assert_eq!(exhausted_in_ms(&slot(0, None)), None);
    let idle = RetentionReport { bytes_per_second: Some(0.0), ..slot(0, Some(1)) };
    assert_eq!(exhausted_in_ms(&idle), None);
    assert_eq!(
        [duration(5_000), duration(300_000), duration(12_000_000), duration(864_000_000)],
        ["5 s", "5 min", "3 h 20 min", "10 days"]
    );
}
