//! What has to hold all the time, and what in the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_cluster::{Herder, State, Target, UnitId, invariants};

use super::{OVERLAP_MS, QUIET_MS, World};

impl World {
    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(super) fn check(&mut self) {
        let live: Vec<&Herder> = self.workers.iter().filter(|w| w.alive).map(|w| &w.herder).collect();
        let leased = (0..self.workers.len()).filter(|worker| self.has_lease(*worker));
        let runs = leased.map(|worker| (worker, self.workers[worker].runs.keys()));
        let twice = invariants::no_unit_runs_twice(runs);
        // In a round that changes the protocol to the eager one members do not say what they run, so a member that missed
        // the round before may overlap with others for as long as a stop takes.
        let since = match &twice {
            Ok(()) => u64::MAX,
            Err(_) => self.twice_since.min(self.now),
        };
        self.twice_since = since;
        let twice = if self.mixed && self.now < since.saturating_add(OVERLAP_MS) { Ok(()) } else { twice };
        let checked = twice
            .and_then(|()| live.iter().try_for_each(|herder| invariants::live_units_are_assigned(herder)))
            .and_then(|()| live.iter().try_for_each(|herder| invariants::failures_are_of_units(herder)))
            .and_then(|()| invariants::one_leader_per_generation(&live, &mut self.leaders));
        if let Err(violation) = checked {
            self.violate(violation);
        }
    }

    /// No more faults: after a while everything is as asked.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.faults = false;
        self.run_for(QUIET_MS / 2);
        let generation = self.coordinator.generation;
        self.run_for(QUIET_MS / 2);
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        if self.coordinator.generation != generation {
            return Err(format!("rebalances go on: {generation} -> {}", self.coordinator.generation));
        }
        let herders: Vec<&Herder> = self.workers.iter().map(|worker| &worker.herder).collect();
        if let Some((id, (worker, _, command))) = self.open.iter().next() {
            return Err(format!("request {id} {command:?} was never answered by w{worker}"));
        }
        invariants::no_unit_owned_twice(&herders)?;
        for herder in &herders {
            invariants::assigned_units_exist_in_config(herder)?;
            invariants::stopped_connector_owns_no_task(herder)?;
        }
        invariants::balanced_within_one(&herders)?;
        self.as_asked()
    }

    fn as_asked(&mut self) -> Result<(), String> {
        let mut wanted = BTreeSet::new();
        let mut resting = BTreeSet::new();
        let state = self.workers[0].herder.state();
        for (name, connector) in state.connectors() {
            let units = connector
                .tasks()
                .map(|(task, _)| UnitId::Task(connect_cluster::TaskId { connector: Arc::clone(name), task }))
                .chain([UnitId::Connector(Arc::clone(name))]);
            match state.target(name) {
                Target::Started => {
                    let asked = connector.config.as_ref().and_then(|c| c["tasks.max"].clone()).unwrap_or_default();
                    if asked != connector.number_of_tasks().to_string() {
                        return Err(format!("{name} has {} of {asked} tasks", connector.number_of_tasks()));
                    }
                    wanted.extend(units);
                }
                Target::Paused | Target::Stopped => resting.extend(units),
            }
        }
        let view = self.workers[0].herder.view();
        for unit in wanted.iter().chain(&resting) {
            let status = view.connectors.get(unit.connector()).and_then(|connector| connector.status.as_ref());
            let shown = status.and_then(|status| match unit.task() {
                None => Some(status.connector.state),
                Some(task) => status.tasks.iter().find(|(id, _)| *id == task).map(|(_, status)| status.state),
            });
            let fits = match shown {
                Some(State::Running) => wanted.contains(unit),
                // Nobody waits for what is shown as failed in the end: it was given up.
                Some(State::Failed) => self
                    .workers
                    .iter()
                    .any(|worker| worker.herder.recoveries().get(unit).is_some_and(|row| row.over.is_some())),
                Some(State::Paused | State::Stopped) => resting.contains(unit),
                _ => false,
            };
            if !fits {
                return Err(format!("{unit} is shown as {shown:?}"));
            }
            let runs = self.workers.iter().filter(|worker| worker.runs.contains_key(unit)).count();
            if shown == Some(State::Running) && runs != 1 {
                return Err(format!("{unit} runs on {runs} workers"));
            }
        }
        let known: Vec<&str> = view.connectors.keys().map(|name| &**name).collect();
        let stray =
            self.workers.iter().flat_map(|worker| worker.runs.keys()).find(|u| !known.contains(&&**u.connector()));
        stray.map_or(Ok(()), |unit| Err(format!("{unit} runs but does not exist")))
    }
}
