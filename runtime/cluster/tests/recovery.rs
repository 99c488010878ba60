//! Units that fail, as one worker's herder brings them back.

// A panic here is a failed test, which is what is wanted.
#![allow(clippy::unwrap_used)]

mod rig;

use connect_cluster::config_record::{ConfigRecord, RestartRequest};
use connect_cluster::status::StatusRecord;
use connect_cluster::unit::{Run, UnitEvent, UnitNews};
use connect_cluster::{Cure, Effect, Event, Failure, Recovery, State, Target, UnitId};
use rig::{Rig, task};

/// A worker whose connector has one task, which runs.
struct World {
    rig: Rig,
    run: Run,
}

/// The run that a task was started with.
fn started(effects: &[Effect]) -> Option<Run> {
    effects.iter().find_map(|effect| match effect {
        Effect::StartTask { run, .. } => Some(*run),
        _ => None,
    })
}

/// The states that were written of the task, with their traces.
fn written(effects: &[Effect]) -> Vec<(State, Option<&str>)> {
    let statuses = effects.iter().filter_map(|effect| match effect {
        Effect::Status(StatusRecord::Unit { unit, status }) if *unit == task("c", 0) => {
            Some((status.state, status.trace.as_deref()))
        }
        _ => None,
    });
    statuses.collect()
}

impl World {
    fn new() -> Self {
        let mut rig = Rig::new("w");
        rig.create("c", 1);
        rig.step(Event::Started);
        rig.step(Event::Prepare);
        let effects = rig.joined("w", rig.offset(), &[task("c", 0)]);
        let run = started(&effects).unwrap();
        let mut world = Self { rig, run };
        assert_eq!(written(&world.news(UnitNews::Running)), [(State::Running, None)]);
        world
    }

    fn news(&mut self, what: UnitNews) -> Vec<Effect> {
        self.rig.step(Event::Unit(UnitEvent { unit: task("c", 0), run: self.run, what }))
    }

    fn fail(&mut self, cure: Cure) -> Vec<Effect> {
        let failure = Failure { code: "x".to_owned(), message: "m".to_owned(), remedy: None, cure };
        self.news(UnitNews::Failed { trace: "trace".to_owned(), failure })
    }

    /// Lets time pass; notes the run of an attempt.
    fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.rig.now_ms += ms;
        let effects = self.rig.step(Event::Tick);
        self.run = started(&effects).unwrap_or(self.run);
        effects
    }

    fn read(&mut self, record: &ConfigRecord) -> Vec<Effect> {
        let effects = self.rig.read(record);
        self.run = started(&effects).unwrap_or(self.run);
        effects
    }

    fn target(&mut self, target: Target) -> Vec<Effect> {
        self.read(&ConfigRecord::TargetState { name: "c".to_owned(), target: Some(target) })
    }

    /// What the view says of the task.
    fn row(&mut self) -> Option<Recovery> {
        self.rig.herder.view().recoveries.get(&task("c", 0)).cloned()
    }
}

#[test]
fn between_attempts_a_task_is_failed_and_while_one_is_made_restarting() {
    let mut world = World::new();
    let effects = world.fail(Cure::Network);
    assert_eq!(written(&effects), [(State::Failed, Some("trace"))]);
    let row = world.row().unwrap();
    assert_eq!((row.attempt, row.next_attempt_ms), (1, Some(i64::try_from(world.rig.now_ms).unwrap())));
    let effects = world.wait(1);
    assert!(started(&effects).is_some(), "at once: {effects:?}");
    assert_eq!(written(&effects), [(State::Restarting, None)]);
    let row = world.row().unwrap();
    assert_eq!((row.attempt, row.next_attempt_ms), (1, None));
    assert_eq!(written(&world.news(UnitNews::Running)), [(State::Running, None)]);
    assert_eq!(world.row().unwrap().attempt, 1, "it is not well for long enough yet");
    assert_eq!(written(&world.news(UnitNews::Working(true))), []);
    world.wait(599_999);
    assert!(world.row().is_some());
    world.wait(1);
    assert_eq!(world.row(), None, "the row is forgotten");
}

/// A source that tries for long to connect, within a run, has not been well.
#[test]
fn only_a_task_that_works_is_well_however_long_it_runs() {
    let mut world = World::new();
    for attempt in 1..=3 {
        world.fail(Cure::Network);
        assert_eq!(world.row().unwrap().attempt, attempt);
        world.wait(1);
        world.news(UnitNews::Running);
        world.wait(3_600_000);
        assert!(world.row().is_some(), "it says nothing of its work");
        // It connects again and again.
        for _ in 0..3 {
            world.news(UnitNews::Working(true));
            world.wait(500_000);
            world.news(UnitNews::Working(false));
        }
    }
    assert!(world.row().is_some());
    world.news(UnitNews::Working(true));
    world.news(UnitNews::Working(true));
    world.wait(600_000);
    assert_eq!(world.row(), None);
}

#[test]
fn a_task_that_rests_is_not_well_for_that() {
    let mut world = World::new();
    world.fail(Cure::Network);
    world.wait(1);
    world.news(UnitNews::Running);
    world.news(UnitNews::Working(true));
    world.wait(500_000);
    world.target(Target::Paused);
    world.news(UnitNews::Paused);
    world.wait(3_600_000);
    assert!(world.row().is_some());
    // Nobody has to say again that it works, when that has not changed.
    world.target(Target::Started);
    world.wait(599_999);
    assert!(world.row().is_some());
    world.wait(1);
    assert_eq!(world.row(), None);
}

#[test]
fn attempts_wait_as_the_policy_says_and_come_to_an_end() {
    let mut world = World::new();
    let mut waits = 0;
    for attempt in 1..=10 {
        world.fail(Cure::Time);
        let row = world.row().unwrap();
        assert_eq!((row.attempt, row.over), (attempt, None));
        let wait = u64::try_from(row.next_attempt_ms.unwrap()).unwrap() - world.rig.now_ms;
        assert_eq!(started(&world.wait(wait - 1)), None, "too early");
        assert!(started(&world.wait(1)).is_some(), "attempt {attempt}");
        waits += wait;
    }
    assert!(waits > 3_600_000, "{waits}");
    let effects = world.fail(Cure::Network);
    assert_eq!(written(&effects), [(State::Failed, Some("trace"))]);
    assert!(world.row().unwrap().over.is_some());
    assert_eq!(started(&world.wait(86_400_000)), None);
}

#[test]
fn what_somebody_has_to_see_to_stays_failed_with_its_reason() {
    let mut world = World::new();
    let effects = world.fail(Cure::Person);
    assert_eq!(written(&effects), [(State::Failed, Some("trace"))]);
    let row = world.row().unwrap();
    assert_eq!((row.attempt, row.next_attempt_ms, row.over.is_some()), (0, None, true));
    assert_eq!(started(&world.wait(86_400_000)), None);
}

/// Fails for the second time, so that there is a row, and waits.
fn waiting() -> World {
    let mut world = World::new();
    world.fail(Cure::Network);
    world.wait(1);
    world.news(UnitNews::Running);
    world.fail(Cure::Time);
    assert_eq!(world.row().unwrap().attempt, 2);
    world
}

#[test]
fn a_restart_begins_at_once_and_anew() {
    let restart = RestartRequest { connector: "c".to_owned(), only_failed: true, include_tasks: true };
    let mut world = waiting();
    // The plan of a restart is made from what the status topic says.
    let unit = UnitId::Connector("c".into());
    for unit in [unit, task("c", 0)] {
        let state = if unit.task().is_some() { State::Failed } else { State::Running };
        let status =
            connect_cluster::TaskStatus { state, worker_id: "w".to_owned(), trace: None, generation: 1, version: None };
        let (key, value) = StatusRecord::Unit { unit, status }.encode();
        world.rig.step(Event::Status { key, value: value.map(Into::into) });
    }
    let effects = world.read(&ConfigRecord::Restart(restart));
    assert!(started(&effects).is_some(), "{effects:?}");
    assert_eq!(world.row(), None);
    world.fail(Cure::Network);
    assert_eq!(world.row().unwrap().attempt, 1);
}

#[test]
fn a_pause_while_it_waits_rests_and_a_resume_starts_it() {
    let mut world = waiting();
    assert_eq!(written(&world.target(Target::Paused)), [(State::Paused, None)]);
    assert_eq!(world.row(), None);
    assert_eq!(started(&world.wait(3_600_000)), None, "nothing is tried while it is paused");
    assert!(started(&world.target(Target::Started)).is_some());
}

#[test]
fn a_stop_while_it_waits_ends_the_row() {
    let mut world = waiting();
    assert_eq!(written(&world.target(Target::Stopped)), [(State::Stopped, None)]);
    assert_eq!(world.row(), None);
    assert_eq!(started(&world.wait(3_600_000)), None);
    assert!(started(&world.target(Target::Started)).is_some());
}

#[test]
fn a_unit_that_is_taken_away_while_it_waits_is_not_tried_again_here() {
    let mut world = waiting();
    world.rig.step(Event::Lost);
    assert_eq!(world.row(), None);
    assert_eq!(started(&world.wait(3_600_000)), None);
}

#[test]
fn new_configurations_of_a_task_start_it_at_once_and_anew() {
    let mut world = waiting();
    let effects = world.rig.commit("c", 1);
    assert!(started(&effects).is_some(), "{effects:?}");
    assert_eq!(world.row(), None);
}

#[test]
fn a_failure_during_a_stop_is_none() {
    let mut world = World::new();
    world.target(Target::Stopped);
    world.fail(Cure::Network);
    assert_eq!(world.row(), None);
    assert_eq!(started(&world.wait(3_600_000)), None);
}
