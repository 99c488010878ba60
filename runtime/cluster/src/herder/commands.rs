//! What requests do, with the JVM's words where they are refused.

use std::sync::Arc;

use connect_config::Props;

use super::turns::{Current, Then, What};
use super::{Effect, Herder, RequestId};
use crate::config_record::{ConfigRecord, RestartRequest};
use crate::herd::{Command, ConnectorId, HerdError, OffsetEntry, Reply, Target, TaskId};
use crate::unit::{Input, UnitId};

impl Herder {
    pub(super) fn on_request(&mut self, id: RequestId, command: Command, out: &mut Vec<Effect>) {
        if self.stopping {
            let message = "The worker is shutting down.".to_owned();
            out.push(Effect::Reply(id, Err(HerdError::Refused { status: 503, message })));
            return;
        }
        match command {
            // Every worker validates, whoever leads; a wrong configuration is told before anything else.
            Command::Create { .. } | Command::PutConfig { .. } => self.validate_first(id, command, out),
            Command::Offsets { name } => self.read_offsets(id, &name, out),
            command => self.enqueue(What::Request(id, command)),
        }
    }

    fn validate_first(&mut self, id: RequestId, mut command: Command, out: &mut Vec<Effect>) {
        let (Command::Create { name, config, .. } | Command::PutConfig { name, config }) = &mut command else { return };
        match config.get("name") {
            Some(Some(other)) if other != name => {
                out.push(Effect::Reply(id, Err(name_mismatch(other, name))));
                return;
            }
            Some(Some(_)) => {}
            _ => drop(config.insert("name".to_owned(), Some(name.clone()))),
        }
        out.push(Effect::Validate { id, config: config.clone() });
        self.validating.insert(id, command);
    }

    pub(super) fn on_validated(&mut self, id: RequestId, outcome: Result<(), HerdError>, out: &mut Vec<Effect>) {
        if let Some(command) = self.validating.remove(&id) {
            match outcome {
                Ok(()) => self.enqueue(What::Request(id, command)),
                Err(refused) => out.push(Effect::Reply(id, Err(refused))),
            }
            return;
        }
        match self.current.take() {
            Some(Current::Validating { id: waiting, name, base, merged }) if waiting == id => match outcome {
                Err(refused) => out.push(Effect::Reply(id, Err(refused))),
                Ok(()) if !self.leads() => out.push(Effect::Reply(id, Err(self.elsewhere()))),
                Ok(()) if self.state.config(&name).is_none_or(|now| !Arc::ptr_eq(now, &base)) => {
                    out.push(Effect::Reply(
                        id,
                        Err(HerdError::conflict(
                            "Cannot complete request momentarily due to stale configuration (typically caused by a \
                         concurrent config change)",
                        )),
                    ));
                }
                Ok(()) => {
                    let record = ConfigRecord::Connector { name: name.clone(), config: Some(merged) };
                    self.write(vec![record], Then::Updated(id, name), out);
                }
            },
            other => self.current = other,
        }
    }

    fn elsewhere(&self) -> HerdError {
        let url = self.seat.as_ref().map(|seat| seat.leader_url.clone()).filter(|url| !url.is_empty());
        HerdError::Elsewhere { url }
    }

    /// Does a command whose turn has come. Everything that is refused is refused here, before anything is written.
    pub(super) fn execute(&mut self, id: RequestId, command: Command, out: &mut Vec<Effect>) {
        if let Err(refused) = self.try_execute(id, command, out) {
            out.push(Effect::Reply(id, Err(refused)));
        }
    }

    fn try_execute(&mut self, id: RequestId, command: Command, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        match command {
            Command::Create { name, config, target } => self.create(id, name, config, target, out),
            Command::PutConfig { name, config } => self.put_config(id, name, config, out),
            Command::PatchConfig { name, patch } => self.patch_config(id, name, &patch, out),
            Command::Delete { name } => self.delete(id, name, out),
            Command::SetTarget { name, target } => self.set_target(id, name, target, out),
            Command::SetTargets { names, target } => self.set_targets(id, names, target, out),
            Command::Restart { name, include_tasks: false, only_failed: false } => self.restart(id, &name, out),
            Command::Restart { name, include_tasks, only_failed } => {
                let request = RestartRequest { connector: name, only_failed, include_tasks };
                self.plan_restart(id, request, out)
            }
            Command::RestartTask { id: task } => self.restart_task(id, &task, out),
            Command::PutTaskConfigs { name, configs, .. } => {
                self.must_lead()?;
                self.must_exist(&name)?;
                self.write_task_configs(&ConnectorId::from(name), &configs, Some(id), out);
                Ok(())
            }
            command @ Command::Fence { .. } => self.fence(id, command, out),
            Command::Offsets { name } => {
                self.read_offsets(id, &name, out);
                Ok(())
            }
            Command::AlterOffsets { name, offsets } => self.alter_offsets(id, &name, offsets, out),
            Command::ResetTopics { name } => {
                self.forget_topics(&name, out);
                out.push(Effect::Reply(id, Ok(Reply::Done)));
                Ok(())
            }
            Command::SetClusterLogLevel { logger, level } => {
                self.write(vec![ConfigRecord::Logger { logger, level }], Then::Done(id), out);
                Ok(())
            }
        }
    }

    pub(super) fn must_lead(&self) -> Result<(), HerdError> {
        if self.leads() { Ok(()) } else { Err(self.elsewhere()) }
    }

    pub(super) fn must_exist(&self, name: &str) -> Result<Arc<Props>, HerdError> {
        self.state.config(name).cloned().ok_or_else(|| not_found(name))
    }

    fn create(
        &mut self,
        id: RequestId,
        name: String,
        config: Props,
        target: Target,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        self.must_lead()?;
        if self.state.config(&name).is_some() {
            return Err(HerdError::conflict(format!("Connector {name} already exists")));
        }
        let mut records = Vec::new();
        if target != Target::Started {
            records.push(ConfigRecord::TargetState { name: name.clone(), target: Some(target) });
        }
        records.push(ConfigRecord::Connector { name: name.clone(), config: Some(config) });
        self.write(records, Then::Created(id, name), out);
        Ok(())
    }

    fn put_config(
        &mut self,
        id: RequestId,
        name: String,
        config: Props,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        self.must_lead()?;
        let then = if self.state.config(&name).is_some() {
            Then::Updated(id, name.clone())
        } else {
            Then::Created(id, name.clone())
        };
        self.write(vec![ConfigRecord::Connector { name, config: Some(config) }], then, out);
        Ok(())
    }

    fn patch_config(
        &mut self,
        id: RequestId,
        name: String,
        patch: &Props,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        self.must_lead()?;
        let base = self.must_exist(&name)?;
        let mut merged = Props::clone(&base);
        for (key, value) in patch {
            match value {
                Some(value) => drop(merged.insert(key.clone(), Some(value.clone()))),
                None => drop(merged.shift_remove(key)),
            }
        }
        out.push(Effect::Validate { id, config: merged.clone() });
        self.current = Some(Current::Validating { id, name, base, merged });
        Ok(())
    }

    fn delete(&mut self, id: RequestId, name: String, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        self.must_lead()?;
        self.must_exist(&name)?;
        let records = vec![
            ConfigRecord::Connector { name: name.clone(), config: None },
            ConfigRecord::TargetState { name, target: None },
        ];
        self.write(records, Then::Done(id), out);
        Ok(())
    }

    fn set_target(
        &mut self,
        id: RequestId,
        name: String,
        target: Target,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        let unknown = |name: &str| HerdError::not_found(format!("Unknown connector {name}"));
        let mut records = Vec::new();
        if target == Target::Stopped {
            self.must_lead()?;
            // First the tasks: should the worker die in between, the connector makes them anew.
            records.push(ConfigRecord::Commit { name: name.clone(), tasks: 0 });
        }
        if self.state.config(&name).is_none() {
            return Err(unknown(&name));
        }
        records.push(ConfigRecord::TargetState { name, target: Some(target) });
        self.write(records, Then::Done(id), out);
        Ok(())
    }

    fn set_targets(
        &mut self,
        id: RequestId,
        names: Vec<String>,
        target: Target,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        let mut records = Vec::new();
        for name in names.into_iter().filter(|name| self.state.config(name).is_some()) {
            if target == Target::Stopped {
                self.must_lead()?;
                records.push(ConfigRecord::Commit { name: name.clone(), tasks: 0 });
            }
            records.push(ConfigRecord::TargetState { name, target: Some(target) });
        }
        if records.is_empty() {
            out.push(Effect::Reply(id, Ok(Reply::Done)));
        } else {
            self.write(records, Then::Done(id), out);
        }
        Ok(())
    }

    /// Restarts the connector itself, on the worker that has it.
    fn restart(&mut self, id: RequestId, name: &str, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        if self.state.config(name).is_none() {
            return Err(unknown_connector(name));
        }
        let unit = UnitId::Connector(ConnectorId::from(name));
        self.restart_here(id, unit, out)
    }

    fn restart_task(&mut self, id: RequestId, task: &TaskId, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        let connector = self.state.connector(&task.connector).ok_or_else(|| unknown_connector(&task.connector))?;
        if connector.task(task.task).is_none() {
            return Err(HerdError::not_found(format!("Unknown task: {}-{}", task.connector, task.task)));
        }
        self.restart_here(id, UnitId::Task(task.clone()), out)
    }

    fn restart_here(&mut self, id: RequestId, unit: UnitId, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        if !self.assigned.contains(&unit) {
            if !self.leads() {
                return Err(self.elsewhere());
            }
            return Err(HerdError::Elsewhere { url: self.owners.get(&unit).cloned() });
        }
        self.restarts.push((id, unit.clone()));
        self.input(&unit, Input::Restart, out);
        Ok(())
    }

    fn read_offsets(&mut self, id: RequestId, name: &str, out: &mut Vec<Effect>) {
        match self.state.config(name) {
            Some(config) => out.push(Effect::ReadOffsets { id, name: Arc::from(name), config: Arc::clone(config) }),
            None => out.push(Effect::Reply(id, Err(not_found(name)))),
        }
    }

    fn alter_offsets(
        &mut self,
        id: RequestId,
        name: &str,
        offsets: Option<Vec<OffsetEntry>>,
        out: &mut Vec<Effect>,
    ) -> Result<(), HerdError> {
        if offsets.as_ref().is_some_and(Vec::is_empty) {
            return Err(HerdError::bad_request(
                "Partitions / offsets need to be provided for an alter offsets request",
            ));
        }
        self.must_lead()?;
        let config = self.must_exist(name)?;
        let tasks = self.state.connector(name).map_or(0, |connector| connector.task_count.unwrap_or(0));
        if self.state.target(name) != Target::Stopped || tasks > 0 {
            return Err(HerdError::bad_request(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
                 specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        let command = Command::AlterOffsets { name: name.to_owned(), offsets };
        if self.waits_for_fencing(id, &command, out) {
            return Ok(());
        }
        let Command::AlterOffsets { offsets, .. } = command else { return Ok(()) };
        self.current = Some(Current::Altering);
        out.push(Effect::AlterOffsets { id, name: Arc::from(name), config, offsets });
        Ok(())
    }
}

fn not_found(name: &str) -> HerdError {
    HerdError::not_found(format!("Connector {name} not found"))
}

fn unknown_connector(name: &str) -> HerdError {
    HerdError::not_found(format!("Unknown connector: {name}"))
}

fn name_mismatch(config: &str, url: &str) -> HerdError {
    HerdError::bad_request(format!(
        "Connector name configuration ({config}) doesn't match connector name in the URL ({url})"
    ))
}
