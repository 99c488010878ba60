//! A cluster of a thousand connectors with ten tasks each: nothing that a herder does may take time by the square of that.
//!
//! The times are printed (`--nocapture`). The bound is far above what is needed on a busy machine, and far below what any
//! loop over all units for each unit takes.

// A panic here is a failed test, which is what is wanted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod rig;

use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_cluster::config_record::ConfigRecord;
use connect_cluster::protocol::{Assignment, Metadata, Protocol, decode_assignment, encode_metadata};
use connect_cluster::unit::{Run, UnitEvent, UnitNews};
use connect_cluster::{Effect, Event, TaskId, UnitId, assignor};
use connect_config::Props;
use rig::{Rig, configs};

const CONNECTORS: usize = 1_000;
const TASKS: usize = 10;
const BOUND: Duration = Duration::from_secs(40);

fn name(connector: usize) -> String {
    format!("connector-{connector:04}")
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    let taken = begin.elapsed();
    println!("{what}: {taken:?}");
    assert!(taken < BOUND, "{what} took {taken:?}");
    result
}

/// The offer of another member that has these units.
fn offer(rig: &Rig, id: &str, units: &[UnitId]) -> Bytes {
    let (connectors, tasks) = assignor::split(units);
    let assignment = Assignment { connectors, tasks, ..Assignment::default() };
    let metadata = Metadata {
        url: format!("http://{id}/"),
        config_offset: rig.offset(),
        assignment: (!units.is_empty()).then_some(assignment),
    };
    Bytes::from(encode_metadata(Protocol::Compatible, &metadata))
}

/// A round that this worker leads with others, who claim what is said; what they have then, and what this worker does.
fn round(rig: &mut Rig, others: &mut [(String, Vec<UnitId>)]) -> Vec<Effect> {
    let offered = rig.step(Event::Prepare).into_iter().find_map(|effect| match effect {
        Effect::Offer(offers) => offers.into_iter().find(|(protocol, _)| *protocol == Protocol::Compatible),
        _ => None,
    });
    let own = ("w".to_owned(), Bytes::from(offered.unwrap().1));
    let members = others.iter().map(|(id, units)| (id.clone(), offer(rig, id, units))).chain([own]).collect();
    let told = rig.elected(members);
    for (id, units) in others {
        let bytes = &told.iter().find(|(member, _)| member == id).unwrap().1;
        let assignment = decode_assignment(Protocol::Compatible, bytes).unwrap();
        let revoked: std::collections::BTreeSet<UnitId> = assignment.revoked().collect();
        units.retain(|unit| !revoked.contains(unit));
        units.extend(assignment.units());
    }
    let own = told.into_iter().find(|(member, _)| member == "w").unwrap().1;
    rig.joined_with("w", own)
}

fn tell(rig: &mut Rig, unit: UnitId, run: Run, what: UnitNews) -> Vec<Effect> {
    rig.step(Event::Unit(UnitEvent { unit, run, what }))
}

/// What was started runs, and connectors want their tasks; the runs.
fn begin(rig: &mut Rig, effects: &[Effect]) -> Vec<(UnitId, Run)> {
    let started = effects.iter().filter_map(|effect| match effect {
        Effect::StartConnector { name, run, .. } => Some((UnitId::Connector(name.clone()), *run)),
        Effect::StartTask { id, run, .. } => Some((UnitId::Task(id.clone()), *run)),
        _ => None,
    });
    let started: Vec<(UnitId, Run)> = started.collect();
    for (unit, run) in &started {
        tell(rig, unit.clone(), *run, UnitNews::Running);
        if unit.task().is_none() {
            tell(rig, unit.clone(), *run, UnitNews::TaskConfigs(configs(TASKS)));
            rig.herder.view();
        }
    }
    started
}

#[test]
fn a_thousand_connectors_with_ten_tasks_each_are_no_burden() {
    let mut rig = Rig::new("w");
    timed("replay of the config topic", || {
        (0..CONNECTORS).for_each(|connector| rig.create(&name(connector), TASKS));
        rig.step(Event::Started);
        rig.herder.view();
    });
    let mut others = Vec::new();
    let effects = timed("the first round, alone", || round(&mut rig, &mut others));
    assert_eq!(rig.herder.assigned().len(), CONNECTORS * (1 + TASKS));
    let runs = timed("everything starts", || begin(&mut rig, &effects));
    assert_eq!(runs.len(), CONNECTORS * (1 + TASKS));
    timed("a configuration of each connector, and its tasks", || {
        for connector in 0..CONNECTORS {
            let config = Props::from([("connector.class".to_owned(), Some("Sink".to_owned()))]);
            rig.read(&ConfigRecord::Connector { name: name(connector), config: Some(config) });
            rig.commit(&name(connector), TASKS);
            rig.herder.view();
        }
    });
    timed("ticks", || {
        for _ in 0..20 {
            rig.now_ms += 5_000;
            rig.step(Event::Tick);
        }
    });
    let restarted = timed("all runs end and begin anew", || {
        let mut effects = Vec::new();
        for (unit, run) in &runs {
            effects.extend(tell(&mut rig, unit.clone(), *run, UnitNews::Exited));
        }
        begin(&mut rig, &effects)
    });
    assert_eq!(restarted.len(), CONNECTORS * (1 + TASKS));
    others.push(("x".to_owned(), Vec::new()));
    timed("a round in which half of it is taken away", || round(&mut rig, &mut others));
    assert_eq!(rig.herder.assigned().len(), CONNECTORS * (1 + TASKS) / 2);
    // The next round waits until what was taken away has ended.
    let offers = timed("half of it ends", || {
        let mut effects = rig.step(Event::Prepare);
        for (unit, run) in &restarted {
            if !rig.herder.assigned().contains(unit) {
                effects.extend(tell(&mut rig, unit.clone(), *run, UnitNews::Exited));
            }
        }
        effects.iter().filter(|effect| matches!(effect, Effect::Offer(_))).count()
    });
    assert_eq!(offers, 1, "as soon as all have ended");
    timed("the round that gives it to another", || round(&mut rig, &mut others));
    assert_eq!(others.iter().map(|(_, units)| units.len()).sum::<usize>(), CONNECTORS * (1 + TASKS) / 2);
    others.clear();
    let effects = timed("the round after that one has gone", || round(&mut rig, &mut others));
    let taken = effects.iter().filter(|effect| matches!(effect, Effect::StartTask { .. })).count();
    assert_eq!(taken, CONNECTORS * TASKS / 2);
    timed("all connectors are removed", || {
        for connector in 0..CONNECTORS {
            rig.read(&ConfigRecord::Connector { name: name(connector), config: None });
            rig.herder.view();
        }
    });
    assert!(rig.herder.assigned().is_empty());
}

#[test]
fn a_connector_with_ten_thousand_tasks_is_no_burden() {
    let mut rig = Rig::new("w");
    let tasks = CONNECTORS * TASKS;
    timed("replay", || rig.create("c", tasks));
    rig.step(Event::Started);
    let effects = timed("a round", || round(&mut rig, &mut []));
    assert_eq!(rig.herder.assigned().len(), 1 + tasks);
    let started = effects.iter().filter(|effect| matches!(effect, Effect::StartTask { .. })).count();
    assert_eq!(started, tasks);
    timed("fewer tasks", || rig.commit("c", tasks / 2));
    assert!(!rig.herder.assigned().contains(&UnitId::Task(TaskId { connector: "c".into(), task: 9_999 })));
}
