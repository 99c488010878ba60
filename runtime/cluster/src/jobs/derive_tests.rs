//! The state of a job in every situation of its connectors.

use std::sync::Arc;

use super::super::members::members;
use super::super::record::{ConnectorReport, Definition, JobRecord, TaskReport};
use super::super::rig::{TRACE, cluster, connector, running, stopped};
use super::*;
use crate::failure::{Cure, Failure};
use crate::herd::TaskId;

const NOW: i64 = 1_000_000;

fn pipeline(started: bool) -> JobsLog {
    let mut log = JobsLog::default();
    let definition = Definition {
        source: Some("src".into()),
        sinks: vec!["snk".into()],
        pipeline: true,
        made: true,
        started,
        ..Definition::default()
    };
    log.apply(JobRecord::Job("job".into(), Some(definition)));
    log
}

fn state_of(log: &JobsLog, connectors: [Arc<ConnectorView>; 2]) -> Derived {
    let view = cluster(connectors);
    let entry = log.entry("job").cloned().unwrap();
    derive("job", &entry, &members("job", log, &view), log, NOW)
}

fn report(log: &mut JobsLog, recovery: Recovery) {
    let report = TaskReport { recovery: Some(recovery), failed: Some(trace_mark(TRACE)), ..TaskReport::default() };
    let id = TaskId { connector: "src".into(), task: 0 };
    log.apply(JobRecord::Task(id, Some(Box::new(report))));
}

fn recovery(over: bool) -> Recovery {
    Recovery {
        attempt: 2,
        at_once: 0,
        attempts_max: 10,
        first_failure_ms: NOW - 5_000,
        next_attempt_ms: (!over).then_some(NOW + 1_000),
        failure: Failure {
            code: "unavailable".into(),
            message: "failed to connect to db:5432".into(),
            remedy: Some("check that it is up, or PUT /jobs/src/restart".into()),
            cure: Cure::Network,
        },
        over: over.then(|| "tried often enough".to_owned()),
    }
}

#[test]
fn the_table_of_states() {
    use State::{Paused, Running, Unassigned};
    let log = pipeline(true);
    let source = |target, state, tasks: &[State]| connector("src", "source", target, state, tasks);
    for (expected, passing, source) in [
        (JobState::Running, false, running("src", "source")),
        (JobState::Pending, true, source(Target::Started, None, &[])),
        (JobState::Pending, true, source(Target::Started, Some(Unassigned), &[])),
        (JobState::Starting, true, source(Target::Started, Some(Running), &[])),
        (JobState::Starting, true, source(Target::Started, Some(Running), &[Unassigned])),
        (JobState::Paused, true, source(Target::Paused, Some(Running), &[Running])),
        (JobState::Paused, false, source(Target::Paused, Some(Paused), &[Paused])),
        (JobState::Stopped, true, source(Target::Stopped, Some(Running), &[Running])),
        (JobState::Stopped, false, stopped("src", "source")),
    ] {
        let derived = state_of(&log, [source.clone(), running("snk", "sink")]);
        assert_eq!((derived.state, derived.passing), (expected, passing), "{source:?}");
    }
}

#[test]
fn a_job_that_never_ran_is_created() {
    let both = || [stopped("src", "source"), stopped("snk", "sink")];
    assert_eq!(state_of(&pipeline(false), both()).state, JobState::Created);
    assert_eq!(state_of(&pipeline(true), both()).state, JobState::Stopped);
}

#[test]
fn a_failure_that_is_tried_again_shows_a_start_and_one_that_is_not_a_failure() {
    let failed = || connector("src", "source", Target::Started, Some(State::Running), &[State::Failed]);
    let mut log = pipeline(true);
    let unknown = state_of(&log, [failed(), running("snk", "sink")]);
    assert_eq!((unknown.state, unknown.passing), (JobState::Failed, true));
    assert_eq!(unknown.error.unwrap().message, "it broke");

    report(&mut log, recovery(false));
    let retried = state_of(&log, [failed(), running("snk", "sink")]);
    assert_eq!((retried.state, retried.passing), (JobState::Starting, false));
    assert_eq!(retried.recovery.unwrap().attempt, 2);

    report(&mut log, recovery(true));
    let given_up = state_of(&log, [failed(), running("snk", "sink")]);
    assert_eq!((given_up.state, given_up.passing), (JobState::Failed, false));
    let error = given_up.error.unwrap();
    assert_eq!((error.code.as_str(), error.task), ("unavailable", Some(0)));
    assert_eq!(error.remedy.as_deref(), Some("check that it is up, or PUT /jobs/job/restart"), "it names the job");
}

/// A connector may fail by itself, before it has any task.
#[test]
fn a_connector_that_failed_is_told_like_its_tasks() {
    let mut log = pipeline(true);
    let said = |over| {
        let report = ConnectorReport {
            recovery: Some(recovery(over)),
            failed: Some(trace_mark(TRACE)),
            ..ConnectorReport::default()
        };
        JobRecord::Connector("src".into(), Some(Box::new(report)))
    };
    let failed = || connector("src", "source", Target::Started, Some(State::Failed), &[]);
    log.apply(said(false));
    let retried = state_of(&log, [failed(), running("snk", "sink")]);
    assert_eq!((retried.state, retried.passing, retried.recovery.unwrap().attempt), (JobState::Starting, false, 2));
    let error = retried.error.unwrap();
    assert_eq!((error.code.as_str(), error.task), ("unavailable", None));
    log.apply(said(true));
    let given_up = state_of(&log, [failed(), running("snk", "sink")]);
    assert_eq!((given_up.state, given_up.passing), (JobState::Failed, false));
    let trying = connector("src", "source", Target::Started, Some(State::Restarting), &[]);
    let attempt = state_of(&log, [trying, running("snk", "sink")]);
    assert_eq!((attempt.state, attempt.passing, attempt.error.is_some()), (JobState::Starting, false, true));
    log.apply(JobRecord::Connector("src".into(), None));
    assert!(state_of(&log, [failed(), running("snk", "sink")]).passing, "nobody says what is done about it");
}

#[test]
fn what_was_said_of_an_older_failure_does_not_count() {
    let mut log = pipeline(true);
    let report = TaskReport { recovery: Some(recovery(false)), failed: Some(1), ..TaskReport::default() };
    log.apply(JobRecord::Task(TaskId { connector: "src".into(), task: 0 }, Some(Box::new(report))));
    let failed = connector("src", "source", Target::Started, Some(State::Running), &[State::Failed]);
    assert!(state_of(&log, [failed, running("snk", "sink")]).passing);
}

#[test]
fn an_attempt_that_runs_is_a_start_with_its_number() {
    let mut log = pipeline(true);
    report(&mut log, Recovery { next_attempt_ms: None, ..recovery(false) });
    let trying = connector("src", "source", Target::Started, Some(State::Running), &[State::Restarting]);
    let derived = state_of(&log, [trying, running("snk", "sink")]);
    assert_eq!((derived.state, derived.passing), (JobState::Starting, false));
    assert!(derived.error.is_some());
}

#[test]
fn a_final_job_stays_so_until_somebody_starts_its_connectors() {
    let mut log = pipeline(true);
    let recorded = super::super::record::Recorded {
        state: Some(JobState::Completed),
        reason: "CDC Completed".into(),
        ..Default::default()
    };
    log.apply(JobRecord::State("job".into(), Some(Box::new(recorded))));
    let rest = state_of(&log, [stopped("src", "source"), stopped("snk", "sink")]);
    assert_eq!((rest.state, rest.cause.as_str()), (JobState::Completed, "CDC Completed"));
    let resumed = state_of(&log, [running("src", "source"), running("snk", "sink")]);
    assert_eq!(resumed.state, JobState::Running, "Connect's endpoints and the job tell the same story");
}
