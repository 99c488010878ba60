//! Restarts of a connector with its tasks (KIP-745): a plan from the statuses, written to the config topic, carried out
//! by every worker for what it has.

use std::sync::Arc;

use super::turns::Then;
use super::{Effect, Herder, RequestId};
use crate::config_record::{ConfigRecord, RestartRequest};
use crate::herd::{ConnectorId, ConnectorStatus, HerdError, Reply, State, TaskId};
use crate::unit::{Input, Life, UnitId};

impl Herder {
    pub(super) fn plan_restart(
        &mut self,
        id: RequestId,
        request: RestartRequest,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        let name = &request.connector;
        if self.state.config(name).is_none() {
            return Err(HerdError::not_found(format!("Unknown connector: {name}")));
        }
        if !self.leads() {
            let url = self.seat.as_ref().map(|seat| seat.leader_url.clone()).filter(|url| !url.is_empty());
            return Err(HerdError::Elsewhere { url });
        }
        let plan = self
            .restart_plan(&request)
            .ok_or_else(|| HerdError::not_found(format!("Status for connector {name} not found")))?;
        self.write(vec![ConfigRecord::Restart(request)], Then::Restarting(id, Reply::Restarting(plan)), out);
        Ok(())
    }

    /// The status with RESTARTING at what the request covers; `None` when there is no status.
    fn restart_plan(&self, request: &RestartRequest) -> Option<ConnectorStatus> {
        let covered = |state: State| !request.only_failed || state == State::Failed;
        let mut plan = self.connector_status(&ConnectorId::from(request.connector.as_str()))?;
        if covered(plan.connector.state) {
            plan.connector.state = State::Restarting;
        }
        for (_, task) in &mut plan.tasks {
            if request.include_tasks && covered(task.state) {
                task.state = State::Restarting;
            }
        }
        Some(plan)
    }

    /// The request came back through the config topic: restarts what this worker has of it.
    pub(super) fn on_restart_request(&mut self, request: &RestartRequest, out: &mut Vec<Effect>) {
        if !self.started {
            return;
        }
        let Some(plan) = self.restart_plan(request) else { return };
        let name = ConnectorId::from(request.connector.as_str());
        let connector = (UnitId::Connector(Arc::clone(&name)), plan.connector.state);
        let tasks = plan
            .tasks
            .into_iter()
            .map(|(task, status)| (UnitId::Task(TaskId { connector: Arc::clone(&name), task }), status.state));
        for (unit, state) in std::iter::once(connector).chain(tasks) {
            if state == State::Restarting && self.assigned.contains(&unit) {
                self.write_status(unit.clone(), State::Restarting, None, out);
                self.input(&unit, Input::Restart, out);
            }
        }
    }

    /// Answers the restarts that wait for this unit, when it has come to rest or to work again.
    pub(super) fn answer_restarts(&mut self, unit: &UnitId, out: &mut Vec<Effect>) {
        if self.restarts.iter().all(|(_, waiting)| waiting != unit) {
            return;
        }
        let is_task = unit.task().is_some();
        let answer = match self.units.get(unit).map(|held| held.unit.life) {
            Some(Life::Stopping { .. }) => return,
            // A task's start is its own affair; a connector's is awaited.
            Some(Life::Starting { .. }) if !is_task => return,
            Some(Life::Failed | Life::Backoff { .. }) if !is_task => {
                Err(HerdError::internal(format!("Failed to start connector: {unit}")))
            }
            _ => Ok(Reply::Done),
        };
        let (answered, waiting) = std::mem::take(&mut self.restarts).into_iter().partition(|(_, other)| other == unit);
        self.restarts = waiting;
        let answered: Vec<(RequestId, UnitId)> = answered;
        out.extend(answered.into_iter().map(|(id, _)| Effect::Reply(id, answer.clone())));
    }
}
