//! The units of this worker: what the group gave and the config topic has is brought to what the user wants.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use indexmap::IndexMap;

use super::turns::{Turn, What};
use super::{Effect, Held, Herder, ToSend};
use crate::herd::{ConnectorId, State, Target, TaskId};
use crate::status::{StatusRecord, TopicStatus};
use crate::unit::{Input, Life, Step, Unit, UnitEvent, UnitId, UnitNews};

/// Where the units of a connector are among all, in order.
fn units_of(name: &ConnectorId) -> [RangeInclusive<UnitId>; 2] {
    let connector = UnitId::Connector(Arc::clone(name));
    let task = |task| UnitId::Task(TaskId { connector: Arc::clone(name), task });
    [connector.clone()..=connector, task(0)..=task(u32::MAX)]
}

impl Herder {
    pub(super) fn anything_runs(&self) -> bool {
        self.units.values().any(|held| held.unit.life.has_run())
    }

    pub(super) fn configured(&self, unit: &UnitId) -> bool {
        let Some(connector) = self.state.connector(unit.connector()) else { return false };
        unit.task().is_none_or(|task| connector.task(task).is_some())
    }

    /// Starts what is new and stops what is gone. Tasks come before connectors where work ends, after them where it
    /// begins.
    pub(super) fn reconcile(&mut self, out: &mut Vec<Effect>) {
        let gone = self.units.iter().filter(|(id, held)| self.is_gone(id, held)).map(|(id, _)| id.clone()).collect();
        let new = self.assigned.iter().filter(|id| self.is_new(id)).cloned().collect();
        self.carry_over(gone, new, out);
    }

    /// The same for the units of one connector: a cluster has many, and most records are about one.
    fn reconcile_connector(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        let held = units_of(name).into_iter().flat_map(|units| self.units.range(units));
        let gone = held.filter(|(id, held)| self.is_gone(id, held)).map(|(id, _)| id.clone()).collect();
        let assigned = units_of(name).into_iter().flat_map(|units| self.assigned.range(units));
        let new = assigned.filter(|id| self.is_new(id)).cloned().collect();
        self.carry_over(gone, new, out);
    }

    fn is_gone(&self, id: &UnitId, held: &Held) -> bool {
        held.unit.assigned && !(self.assigned.contains(id) && self.configured(id))
    }

    fn is_new(&self, id: &UnitId) -> bool {
        self.units.get(id).is_none_or(|held| !held.unit.assigned) && self.configured(id)
    }

    fn carry_over(&mut self, gone: Vec<UnitId>, new: Vec<UnitId>, out: &mut Vec<Effect>) {
        for unit in gone.iter().rev() {
            self.input(unit, Input::Revoked, out);
        }
        for unit in new {
            let target = self.state.target(unit.connector());
            let held = Held {
                unit: Unit::new(target),
                run: 0,
                trace: None,
                works: false,
                working_since_ms: None,
                retry_at_ms: None,
            };
            self.units.entry(unit.clone()).or_insert(held).unit.target = target;
            self.input(&unit, Input::Assigned, out);
        }
    }

    /// Gives a unit an input and carries out its steps.
    pub(super) fn input(&mut self, id: &UnitId, input: Input, out: &mut Vec<Effect>) {
        let Some(held) = self.units.get_mut(id) else { return };
        let before = held.unit.life;
        let (unit, steps) = held.unit.next(input);
        held.unit = unit;
        if !matches!(unit.life, Life::Failed | Life::Backoff { .. }) {
            held.trace = None;
            held.retry_at_ms = None;
        }
        held.count_work(self.now.mono_ms);
        if !unit.life.in_row() {
            self.forget_failures(id);
        }
        for step in steps {
            match step {
                Step::Spawn => self.spawn(id, out),
                Step::Pause => out.push(Effect::Pause(id.clone())),
                Step::Resume => out.push(Effect::Resume(id.clone())),
                Step::Stop => out.push(Effect::Stop(id.clone())),
                Step::ArmRetry => self.arm_retry(id),
                Step::Report => self.report(id, out),
            }
        }
        self.after_input(id, before, out);
    }

    fn after_input(&mut self, id: &UnitId, before: Life, out: &mut Vec<Effect>) {
        let Some(held) = self.units.get(id) else { return };
        let unit = held.unit;
        if before.has_run() && !unit.life.has_run() && !unit.assigned {
            self.report(id, out);
        }
        if !unit.assigned && unit.life == Life::Idle {
            self.units.remove(id);
            if let UnitId::Connector(name) = id {
                self.wanted.remove(name);
            }
            if self.giving_up.remove(id) && self.giving_up.is_empty() {
                self.rejoin(out);
            }
            self.try_offer(out);
        }
        self.answer_restarts(id, out);
    }

    fn spawn(&mut self, id: &UnitId, out: &mut Vec<Effect>) {
        let run = self.next_run;
        self.next_run += 1;
        if let Some(held) = self.units.get_mut(id) {
            held.run = run;
            held.works = id.task().is_none();
            held.working_since_ms = None;
        }
        self.attempt_begins(id);
        let Some(connector) = self.state.connector(id.connector()) else { return };
        let Some(config) = connector.config.clone() else { return };
        match id {
            UnitId::Connector(name) => {
                self.wanted.remove(name);
                out.push(Effect::StartConnector { name: Arc::clone(name), run, config });
            }
            UnitId::Task(task) => {
                let Some(own) = connector.task(task.task) else { return };
                out.push(Effect::StartTask {
                    id: task.clone(),
                    run,
                    config: Arc::clone(own),
                    connector: config,
                    task_count: connector.number_of_tasks(),
                });
            }
        }
    }

    /// Writes the state that the user sees of a unit.
    fn report(&mut self, id: &UnitId, out: &mut Vec<Effect>) {
        let Some(held) = self.units.get(id) else { return };
        let (state, trace) = (held.unit.state(), held.trace.clone());
        if self.configured(id) {
            self.write_status(id.clone(), state, trace, out);
        } else if !held.unit.life.has_run() && self.statuses.unit(id).is_some() {
            // It does not exist any more: nothing of it stays visible.
            self.write_status(id.clone(), State::Destroyed, None, out);
        }
    }

    pub(super) fn on_unit(&mut self, event: UnitEvent, out: &mut Vec<Effect>) {
        let UnitEvent { unit, run, what } = event;
        let Some(held) = self.units.get_mut(&unit) else { return };
        if held.run != run {
            return;
        }
        match what {
            UnitNews::Running => self.input(&unit, Input::Started, out),
            UnitNews::Working(works) => {
                held.works = works;
                held.count_work(self.now.mono_ms);
            }
            UnitNews::Paused => self.input(&unit, Input::Parked, out),
            UnitNews::Exited => self.input(&unit, Input::Exited, out),
            UnitNews::Failed { trace, failure } => {
                held.trace = Some(trace);
                let retry = self.plan_recovery(&unit, failure);
                self.input(&unit, Input::Crashed(retry), out);
            }
            UnitNews::TaskConfigs(configs) => self.on_task_configs(unit.connector(), configs, out),
            UnitNews::TopicUsed { topic } => self.on_topic_used(&unit, topic, out),
        }
    }

    fn on_topic_used(&mut self, unit: &UnitId, topic: String, out: &mut Vec<Effect>) {
        let known = self.statuses.connector(unit.connector()).is_some_and(|s| s.topics.contains_key(&topic));
        if known || !self.config.topic_tracking {
            return;
        }
        let record = StatusRecord::Topic(TopicStatus {
            topic,
            connector: unit.connector().to_string(),
            task: unit.task().unwrap_or(0),
            discovered_ms: self.now.wall_ms,
        });
        self.statuses.put(&record);
        self.dirty.insert(Arc::clone(unit.connector()));
        out.push(Effect::Status(record));
    }

    /// Tasks are made anew when their configurations, or that of the connector they were made from, changed.
    pub(super) fn task_configs_changed(&self, name: &ConnectorId, configs: &[IndexMap<String, String>]) -> bool {
        let Some(connector) = self.state.connector(name) else { return false };
        let same_tasks = connector.task_count == Some(configs.len())
            && connector.number_of_tasks() == configs.len()
            && connector.tasks().zip(configs).all(|((_, old), new)| **old == *new);
        !(same_tasks && connector.applied == connector.config)
    }

    fn on_task_configs(&mut self, name: &ConnectorId, configs: Vec<IndexMap<String, String>>, out: &mut Vec<Effect>) {
        self.wanted.insert(Arc::clone(name), configs.clone());
        if self.state.target(name) != Target::Started || !self.task_configs_changed(name, &configs) {
            self.to_send.remove(name);
            return;
        }
        if self.leads() {
            self.to_send.remove(name);
            self.enqueue(What::TaskConfigs { connector: Arc::clone(name), configs });
        } else {
            self.queue_to_leader(name, configs, out);
        }
    }

    /// The leader has to have these; what it was to have before does not count any more.
    pub(super) fn queue_to_leader(
        &mut self,
        name: &ConnectorId,
        configs: Vec<IndexMap<String, String>>,
        out: &mut Vec<Effect>,
    ) {
        self.keep_for_leader(name, configs);
        self.send_task_configs(out);
    }

    /// Task configurations for the leader, whoever that is then: the next tick sends them.
    /// A newer set that waits for its turn is the one that counts.
    pub(super) fn keep_for_leader(&mut self, name: &ConnectorId, configs: Vec<IndexMap<String, String>>) {
        let newer = |turn: &Turn| matches!(&turn.what, What::TaskConfigs { connector, .. } if connector == name);
        if self.queue.iter().any(newer) {
            return;
        }
        let in_flight = self.to_send.get(name).is_some_and(|old| old.in_flight);
        self.to_send.insert(Arc::clone(name), ToSend { configs, in_flight, changed: in_flight });
    }

    /// Sends, or sends again, the task configurations that the leader does not have yet.
    pub(super) fn send_task_configs(&mut self, out: &mut Vec<Effect>) {
        if self.to_send.is_empty() || !self.settled() {
            return;
        }
        let leads = self.leads();
        let waiting: Vec<ConnectorId> =
            self.to_send.iter().filter(|(_, sending)| !sending.in_flight).map(|(name, _)| Arc::clone(name)).collect();
        for name in waiting {
            let Some(ToSend { configs, .. }) = self.to_send.remove(&name) else { continue };
            let ours = self.assigned.contains(&UnitId::Connector(Arc::clone(&name)));
            let wanted = ours && self.state.target(&name) == Target::Started;
            if !wanted || !self.task_configs_changed(&name, &configs) {
                continue;
            }
            if leads {
                self.enqueue(What::TaskConfigs { connector: name, configs });
                continue;
            }
            let url = self.seat.as_ref().map(|seat| seat.leader_url.clone()).unwrap_or_default();
            let signed = self.signs_requests();
            let sending = ToSend { configs: configs.clone(), in_flight: true, changed: false };
            self.to_send.insert(Arc::clone(&name), sending);
            out.push(Effect::SendTaskConfigs { url, connector: name, configs, signed });
        }
    }

    pub(super) fn on_task_configs_sent(&mut self, name: &ConnectorId, ok: bool) {
        let Some(sending) = self.to_send.get_mut(name) else { return };
        if ok && !sending.changed {
            self.to_send.remove(name);
        } else {
            // The next tick tries again.
            sending.in_flight = false;
            sending.changed = false;
        }
    }

    /// What this worker has of a connector.
    pub(super) fn held_of(&self, name: &ConnectorId) -> Vec<UnitId> {
        let held = units_of(name).into_iter().flat_map(|units| self.units.range(units));
        held.map(|(unit, _)| unit.clone()).collect()
    }

    /// Another worker's last word about a unit that is here came late, or its tombstone, from a leader that did not know of it
    /// yet: ours is repeated.
    pub(super) fn assert_status(&mut self, id: &UnitId, out: &mut Vec<Effect>) {
        let Some(held) = self.units.get(id).filter(|held| held.unit.assigned) else { return };
        let settled = matches!(
            held.unit.life,
            Life::Running
                | Life::PausedWarm
                | Life::PausedCold
                | Life::Failed
                | Life::Backoff { .. }
                | Life::Starting { attempt: 2.. }
                | Life::Stopped
        );
        let overwritten = self
            .statuses
            .unit(id)
            .is_none_or(|status| status.worker_id != self.config.worker_id && status.generation <= self.generation());
        if settled && overwritten && self.started && self.configured(id) {
            self.report(id, out);
        }
    }

    pub(super) fn on_connector_config(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        self.dirty.insert(Arc::clone(name));
        if !self.started {
            return;
        }
        let unit = UnitId::Connector(Arc::clone(name));
        match self.units.get(&unit) {
            Some(held) if held.unit.assigned => self.input(&unit, Input::Restart, out),
            // Given to this worker before its record was read.
            _ if self.assigned.contains(&unit) => self.reconcile_connector(name, out),
            _ if self.is_unowned(&unit) => self.rejoin(out),
            _ => {}
        }
    }

    /// A new unit needs a round. Only the leader knows who has what; others see whether anybody ever reported it.
    fn is_unowned(&self, unit: &UnitId) -> bool {
        if self.leads() { !self.owners.contains_key(unit) } else { self.statuses.unit(unit).is_none() }
    }

    pub(super) fn on_connector_removed(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        self.dirty.insert(Arc::clone(name));
        if !self.started {
            return;
        }
        self.give_back(name, |_| true);
        self.to_send.remove(name);
        self.reconcile_connector(name, out);
        self.bury(name, out);
        self.rejoin(out);
    }

    /// Units of a connector that do not exist any more have no owner; true when this worker had some.
    fn give_back(&mut self, name: &ConnectorId, gone: impl Fn(&UnitId) -> bool) -> bool {
        let before = self.assigned.len();
        for units in units_of(name) {
            let assigned = self.assigned.range(units.clone()).filter(|unit| gone(unit));
            let owned = self.owners.range(units).map(|(unit, _)| unit).filter(|unit| gone(unit));
            for unit in assigned.chain(owned).cloned().collect::<Vec<_>>() {
                self.assigned.remove(&unit);
                self.owners.remove(&unit);
            }
        }
        self.assigned.len() != before
    }

    /// The leader buries the statuses of a connector that nothing on this worker still runs for.
    fn bury(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        let Some(statuses) = self.statuses.connector(name) else { return };
        let tasks = statuses.tasks.keys().map(|task| UnitId::Task(TaskId { connector: Arc::clone(name), task: *task }));
        let mut dead: Vec<UnitId> = tasks.collect();
        if statuses.connector.is_some() {
            dead.push(UnitId::Connector(Arc::clone(name)));
        }
        for unit in dead {
            let runs = self.units.get(&unit).is_some_and(|held| held.unit.life.has_run());
            if self.leads() && !runs {
                self.write_status(unit, State::Destroyed, None, out);
            }
        }
    }

    pub(super) fn on_tasks_committed(&mut self, name: &ConnectorId, updated: &[TaskId], out: &mut Vec<Effect>) {
        self.dirty.insert(Arc::clone(name));
        if !self.started {
            return;
        }
        let tasks: BTreeSet<u32> =
            self.state.connector(name).map(|c| c.tasks().map(|(task, _)| task).collect()).unwrap_or_default();
        let mut changed = self.give_back(name, |unit| unit.task().is_some_and(|task| !tasks.contains(&task)));
        self.reconcile_connector(name, out);
        for id in updated {
            let unit = UnitId::Task(id.clone());
            match self.units.get(&unit) {
                Some(held) if held.unit.assigned => self.input(&unit, Input::Restart, out),
                _ => changed |= self.is_unowned(&unit),
            }
        }
        self.bury_tasks(name, out);
        self.insist_on_tasks(name);
        if changed {
            self.rejoin(out);
        }
    }

    /// Tasks were committed that the connector here does not want: an older request came late, or a stop got half-way. They
    /// are sent again, by the next tick, when the target that belongs to the commit has been read.
    pub(super) fn insist_on_tasks(&mut self, name: &ConnectorId) {
        let runs = self.units.get(&UnitId::Connector(Arc::clone(name))).is_some_and(|held| held.unit.life.live());
        if let Some(wanted) = self.wanted.get(name)
            && runs
            && self.task_configs_changed(name, wanted)
        {
            self.keep_for_leader(name, wanted.clone());
        }
    }

    /// Tasks that a connector does not have any more leave no status.
    fn bury_tasks(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        if !self.leads() {
            return;
        }
        let Some(statuses) = self.statuses.connector(name) else { return };
        let connector = self.state.connector(name);
        let dead: Vec<UnitId> = statuses
            .tasks
            .keys()
            .filter(|task| connector.is_none_or(|c| c.task(**task).is_none()))
            .map(|task| UnitId::Task(TaskId { connector: Arc::clone(name), task: *task }))
            .collect();
        for unit in dead {
            if self.units.get(&unit).is_none_or(|held| !held.unit.life.has_run()) {
                self.write_status(unit, State::Destroyed, None, out);
            }
        }
    }

    pub(super) fn on_target(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        self.dirty.insert(Arc::clone(name));
        let target = self.state.target(name);
        for unit in self.held_of(name) {
            self.input(&unit, Input::Target(target), out);
        }
        if target == Target::Started {
            // They may have come while the connector was to rest, and were not sent then.
            self.insist_on_tasks(name);
        }
    }
}
