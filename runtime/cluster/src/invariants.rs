//! What must hold of a cluster, as named functions: the simulation calls them, and so may tests of anything larger.
//!
//! Each answers with the violation, when there is one.

use std::collections::BTreeMap;

use crate::herd::Target;
use crate::herder::Herder;
use crate::unit::{Life, UnitId};

/// No unit runs on two workers that both have the right to let it: `runs` are those of the workers whose lease holds.
pub fn no_unit_runs_twice<'a, I>(runs: impl Iterator<Item = (usize, I)>) -> Result<(), String>
where
    I: Iterator<Item = &'a UnitId>,
{
    let mut running: BTreeMap<&UnitId, usize> = BTreeMap::new();
    for (worker, units) in runs {
        for unit in units {
            if let Some(other) = running.insert(unit, worker) {
                return Err(format!("{unit} runs on workers {other} and {worker}, and both may"));
            }
        }
    }
    Ok(())
}

/// A generation has one leader; `seen` remembers those of earlier calls.
pub fn one_leader_per_generation(herders: &[&Herder], seen: &mut BTreeMap<i32, String>) -> Result<(), String> {
    for herder in herders.iter().filter(|herder| herder.leads()) {
        let (generation, member) = (herder.generation(), herder.member_id().unwrap_or_default());
        let leader = seen.entry(generation).or_insert_with(|| member.to_owned());
        if leader != member {
            return Err(format!("generation {generation} is led by {leader} and by {member}"));
        }
    }
    Ok(())
}

/// A change that was refused is not in the log, and one that was acknowledged is.
pub fn answers_are_true(acknowledged: bool, written: bool) -> Result<(), String> {
    match (acknowledged, written) {
        (true, false) => Err("a change was acknowledged but is not in the log".to_owned()),
        (false, true) => Err("a change was refused but is in the log".to_owned()),
        _ => Ok(()),
    }
}

/// No unit is given to two members of one generation.
pub fn no_unit_owned_twice(herders: &[&Herder]) -> Result<(), String> {
    let mut owners: BTreeMap<(i32, &UnitId), usize> = BTreeMap::new();
    for (index, herder) in herders.iter().enumerate().filter(|(_, herder)| herder.generation() >= 0) {
        for unit in herder.assigned() {
            if let Some(other) = owners.insert((herder.generation(), unit), index) {
                return Err(format!("{unit} is owned by workers {other} and {index}"));
            }
        }
    }
    Ok(())
}

/// What runs is what the group gave: nothing is live that is not assigned.
pub fn live_units_are_assigned(herder: &Herder) -> Result<(), String> {
    let stray = herder.units().find(|(id, unit)| unit.life.live() && !herder.assigned().contains(*id));
    stray.map_or(Ok(()), |(id, unit)| Err(format!("{id} is {:?} but not assigned", unit.life)))
}

/// What is remembered of failures is of units that are here: one that waits for its next attempt has a plan, one that failed
/// for good has none but the reason, and nothing else has either.
pub fn failures_are_of_units(herder: &Herder) -> Result<(), String> {
    let units: BTreeMap<&UnitId, Life> = herder.units().map(|(id, unit)| (id, unit.life)).collect();
    for (id, row) in herder.recoveries() {
        let life = units.get(id).copied();
        let fits = match life {
            Some(Life::Backoff { .. }) => row.next_attempt_ms.is_some() && row.over.is_none(),
            Some(Life::Failed) => row.next_attempt_ms.is_none() && row.over.is_some(),
            Some(life) => life.in_row() && row.next_attempt_ms.is_none() && row.over.is_none(),
            None => false,
        };
        if !fits || row.attempt > row.attempts_max {
            return Err(format!("{id} is {life:?}, and of its failures is known: {row:?}"));
        }
    }
    Ok(())
}

/// Once quiet, every unit that a worker has exists in the config topic.
pub fn assigned_units_exist_in_config(herder: &Herder) -> Result<(), String> {
    let unknown = herder.assigned().iter().find(|unit| {
        herder
            .state()
            .connector(unit.connector())
            .is_none_or(|connector| unit.task().is_some_and(|task| connector.task(task).is_none()))
    });
    unknown.map_or(Ok(()), |unit| Err(format!("{unit} is assigned but does not exist")))
}

/// Once quiet, a stopped connector has no tasks.
pub fn stopped_connector_owns_no_task(herder: &Herder) -> Result<(), String> {
    let mut stopped = herder.state().connectors().filter(|(name, _)| herder.state().target(name) == Target::Stopped);
    let wrong = stopped.find(|(_, connector)| connector.number_of_tasks() > 0);
    wrong.map_or(Ok(()), |(name, _)| Err(format!("{name} is stopped but has tasks")))
}

/// Once quiet, connectors and tasks, counted apart, are spread within one over the workers.
pub fn balanced_within_one(herders: &[&Herder]) -> Result<(), String> {
    for is_task in [false, true] {
        let counts: Vec<usize> = herders
            .iter()
            .map(|herder| herder.assigned().iter().filter(|unit| unit.task().is_some() == is_task).count())
            .collect();
        let (min, max) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        if max - min > 1 {
            return Err(format!("the workers have {counts:?} of a kind (tasks: {is_task})"));
        }
    }
    Ok(())
}
