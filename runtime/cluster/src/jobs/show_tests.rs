//! What is shown of a job.

use super::super::record::{CheckpointReport, TableReport};
use super::*;

fn report(tables: &[(&str, u64, Option<u64>, bool, bool)]) -> TaskReport {
    let tables = tables.iter().map(|(table, rows, estimated, begun, done)| TableReport {
        table: (*table).to_owned(),
        rows: *rows,
        rows_estimated: *estimated,
        begun: *begun,
        done: *done,
        rows_per_second: Some(21_000.46),
    });
    TaskReport { tables: tables.collect(), ..TaskReport::default() }
}

#[test]
fn tables_are_shown_with_what_is_known_and_nothing_else() {
    let report = report(&[
        ("public.a", 10, Some(10), true, true),
        ("public.b", 804_000, Some(1_200_000), true, false),
        ("public.c", 7, None, true, false),
        ("public.d", 0, Some(5), false, false),
        ("public.e", 12, Some(10), true, false),
    ]);
    let shown: Vec<_> = tables(&report, JobState::Running)
        .map(|table| (table.status.name(), table.percent, table.rows_per_second, table.time_left_ms))
        .collect();
    assert_eq!(
        shown,
        [
            ("completed", Some(100.0), None, None),
            ("running", Some(67.0), Some(21_000.5), Some(18_856)),
            ("running", None, Some(21_000.5), None),
            ("pending", Some(0.0), None, None),
            ("running", Some(99.9), Some(21_000.5), None),
        ]
    );
    let paused: Vec<_> = tables(&report, JobState::Paused).map(|table| table.status.name()).collect();
    assert_eq!(paused, ["completed", "paused", "paused", "pending", "paused"]);
}

#[test]
fn a_checkpoint_names_the_table_that_is_read() {
    let saved = CheckpointReport { position: Some("0/1A3E5F8".into()), saved_ms: Some(5) };
    let report = TaskReport { checkpoint: Some(saved), ..report(&[("public.b", 1, None, true, false)]) };
    let shown = checkpoint(&report).unwrap();
    assert_eq!((shown.lsn.as_deref(), shown.table.as_deref()), (Some("0/1A3E5F8"), Some("public.b")));
    assert_eq!(checkpoint(&TaskReport::default()), None);
}

#[test]
fn phases_follow_the_state() {
    let names = |state, phase| phases(state, phase, false).map(|(_, state)| state.name());
    assert_eq!(names(JobState::Created, None), ["pending", "pending", "pending"]);
    assert_eq!(names(JobState::Running, Some(Phase::Snapshot)), ["completed", "running", "pending"]);
    assert_eq!(names(JobState::Paused, Some(Phase::Streaming)), ["completed", "completed", "paused"]);
    assert_eq!(names(JobState::Failed, Some(Phase::Init)), ["failed", "pending", "pending"]);
    let again = phases(JobState::Failed, Some(Phase::Init), true).map(|(_, state)| state.name());
    assert_eq!(again, ["failed", "completed", "pending"], "its snapshot was done before");
    assert_eq!(names(JobState::Completed, Some(Phase::Streaming)), ["completed", "completed", "completed"]);
    assert_eq!(names(JobState::Cancelled, Some(Phase::Snapshot)), ["completed", "cancelled", "cancelled"]);
}

#[test]
fn a_slot_is_missed_only_where_a_position_needs_it() {
    let absent = RetentionReport { slot: "shop".into(), ..RetentionReport::default() };
    let new = TaskReport { retention: Some(absent), ..TaskReport::default() };
    assert_eq!(retention_view(&new, JobState::Running).unwrap().warning, None);
    let saved = CheckpointReport { position: Some("0/1A3E5F8".into()), saved_ms: Some(5) };
    let stored = TaskReport { checkpoint: Some(saved), ..new };
    assert!(retention_view(&stored, JobState::Running).unwrap().warning.is_some());
    assert_eq!(retention_view(&stored, JobState::Completed), None, "it was dropped with the job's other resources");
}

#[test]
fn a_pause_says_how_long_it_can_last() {
    let retention = |safe, rate| RetentionReport {
        slot: "shop".into(),
        safe_wal_size: safe,
        bytes_per_second: rate,
        ..RetentionReport::default()
    };
    assert!(pause_warning(&retention(Some(3_600_000), Some(100.0))).contains("10 h 0 min"));
    assert!(pause_warning(&retention(Some(3_600_000), None)).contains("3600000 more bytes"));
    assert!(pause_warning(&retention(None, Some(1.0))).contains("without a limit"));
}
