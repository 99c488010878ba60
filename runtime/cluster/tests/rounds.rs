//! The config topic and the group do not wait for each other: what a worker does when records arrive while a round is under
//! way, and what its leader mends afterwards.

// A panic here is a failed test, which is what is wanted.
#![allow(clippy::unwrap_used)]

mod rig;

use connect_cluster::config_record::ConfigRecord;
use connect_cluster::{Effect, Event, Target};
use rig::{Rig, task};

fn assigned(rig: &Rig) -> Vec<String> {
    rig.herder.assigned().iter().map(ToString::to_string).collect()
}

#[test]
fn a_task_that_was_removed_while_its_assignment_was_on_the_way_is_not_kept() {
    let mut rig = Rig::new("w");
    rig.create("c", 4);
    rig.step(Event::Started);
    let dealt_at = rig.offset();
    rig.step(Event::Prepare);
    rig.commit("c", 3);
    let effects = rig.joined("l", dealt_at, &[task("c", 2), task("c", 3)]);
    assert_eq!(assigned(&rig), ["c-2"]);
    assert!(effects.contains(&Effect::Rejoin), "the leader still counts it as this worker's: {effects:?}");
}

#[test]
fn what_the_leader_knew_of_is_not_dealt_again() {
    let mut rig = Rig::new("w");
    rig.create("c", 3);
    rig.step(Event::Started);
    rig.step(Event::Prepare);
    // It found another state in a compacted topic than the leader has in its memory: no round would change that.
    let effects = rig.joined("l", rig.offset(), &[task("c", 2), task("c", 3)]);
    assert_eq!(assigned(&rig), ["c-2", "c-3"]);
    assert!(!effects.contains(&Effect::Rejoin), "{effects:?}");
}

#[test]
fn a_round_that_is_asked_for_during_another_one_follows_it() {
    let mut rig = Rig::new("w");
    rig.create("c", 4);
    rig.step(Event::Started);
    rig.step(Event::Prepare);
    let effects = rig.joined("l", rig.offset(), &[task("c", 2), task("c", 3)]);
    assert!(!effects.contains(&Effect::Rejoin), "{effects:?}");
    let dealt_at = rig.offset();
    rig.step(Event::Prepare);
    // Its claim of c-3 is on its way to the leader.
    rig.commit("c", 3);
    let effects = rig.joined("l", dealt_at, &[]);
    assert_eq!(assigned(&rig), ["c-2"]);
    assert!(effects.contains(&Effect::Rejoin), "{effects:?}");
    rig.step(Event::Prepare);
    let effects = rig.joined("l", rig.offset(), &[]);
    assert!(!effects.contains(&Effect::Rejoin), "once: {effects:?}");
}

#[test]
fn a_stopped_connector_that_got_tasks_from_another_leader_loses_them_again() {
    let mut rig = Rig::new("w");
    rig.create("c", 2);
    rig.read(&ConfigRecord::TargetState { name: "c".to_owned(), target: Some(Target::Stopped) });
    rig.step(Event::Started);
    rig.step(Event::Prepare);
    rig.joined("l", rig.offset(), &[]);
    rig.now_ms += 10_000;
    assert_eq!(rig.step(Event::Tick), [], "who does not lead writes nothing");
    rig.step(Event::Prepare);
    rig.joined("w", rig.offset(), &[]);
    rig.now_ms += 10_000;
    let effects = rig.step(Event::Tick);
    let commit = ConfigRecord::Commit { name: "c".to_owned(), tasks: 0 };
    assert_eq!(effects, [Effect::Append(vec![commit.clone()])]);
    rig.read(&commit);
    rig.step(Event::Written(Ok(())));
    rig.now_ms += 10_000;
    assert_eq!(rig.step(Event::Tick), [], "done");
}
