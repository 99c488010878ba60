//! Changes take turns: one at a time, in order, and only while the group is settled.
//!
//! A turn that writes ends when its records were read back, so that the next one sees them. One that waits for longer
//! than [`PATIENCE_MS`] (a rebalance, a leader that is away) is refused and never done. A write that failed may have
//! reached the topic all the same: what counts is whether its decisive record was read back ([`Landing`]).

use std::sync::Arc;

use connect_config::Props;
use indexmap::IndexMap;
use serde_json::Value;

use super::{Effect, Herder, RequestId};
use crate::config_record::{ConfigRecord, SessionKey};
use crate::config_state::ConnectorConfig;
use crate::herd::{Command, ConnectorId, ConnectorInfo, HerdError, Reply, Target};
use crate::status::StatusRecord;

/// How long a change may wait for the group to settle, in milliseconds.
pub const PATIENCE_MS: u64 = 60_000;

const STALE: &str =
    "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)";

/// A change that waits.
#[derive(Debug)]
pub(super) struct Turn {
    pub what: What,
    pub since_ms: u64,
}

/// What is to be changed.
#[derive(Debug)]
pub(super) enum What {
    Request(RequestId, Command),
    /// A connector on this worker, which leads, wants other tasks.
    TaskConfigs {
        connector: ConnectorId,
        configs: Vec<IndexMap<String, String>>,
    },
    /// A stopped connector has tasks.
    NoTasks(ConnectorId),
    SessionKey(SessionKey),
}

/// The change that is being done.
#[derive(Debug)]
pub(super) enum Current {
    /// A patch waits for the validation of what it makes; `base` is what it was made from.
    Validating { id: RequestId, name: String, base: Arc<Props>, merged: Props },
    /// Records are on their way; then this is answered.
    Writing(Then, Landing),
    /// Offsets are being altered; the loop answers.
    Altering,
}

/// The record of a write that makes the change, as it will be read back: the configuration of a connector (or its
/// tombstone), else the target state, else the commit of tasks.
#[derive(Debug, Default)]
pub(super) struct Landing {
    key: String,
    value: Option<String>,
    seen: bool,
}

impl Landing {
    fn of(records: &[ConfigRecord]) -> Self {
        let weight = |record: &&ConfigRecord| match record {
            ConfigRecord::Connector { .. } => 3,
            ConfigRecord::TargetState { .. } => 2,
            ConfigRecord::Commit { .. } => 1,
            _ => 0,
        };
        let decisive = records.iter().max_by_key(weight);
        decisive.map_or_else(Self::default, |record| {
            let (key, value) = record.encode();
            Self { key, value, seen: false }
        })
    }
}

/// What follows a successful write.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    Done(RequestId),
    Created(RequestId, String),
    Updated(RequestId, String),
    Restarting(RequestId, Reply),
    /// The tasks of a connector on this worker: tried again when it failed, for nobody else does.
    TaskConfigs(ConnectorId, Vec<IndexMap<String, String>>),
    /// The command is done again, next.
    Again(RequestId, Command),
}

impl Then {
    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Nothing | Self::TaskConfigs(..) => None,
            Self::Done(id)
            | Self::Created(id, _)
            | Self::Updated(id, _)
            | Self::Restarting(id, _)
            | Self::Again(id, _) => Some(*id),
        }
    }
}

impl Herder {
    pub(super) fn enqueue(&mut self, what: What) {
        self.queue.push_back(Turn { what, since_ms: self.now.mono_ms });
    }

    /// Does the next changes until one has to wait.
    pub(super) fn pump(&mut self, out: &mut Vec<Effect>) {
        while self.current.is_none() && self.started && self.settled() && !self.stopping && !self.awaits_claim() {
            let Some(turn) = self.queue.pop_front() else { return };
            match turn.what {
                What::Request(id, command) => self.execute(id, command, out),
                What::TaskConfigs { connector, configs } => self.write_task_configs(&connector, &configs, None, out),
                What::NoTasks(connector) => self.write_no_tasks(&connector, out),
                What::SessionKey(key) => self.write(vec![ConfigRecord::SessionKey(key)], Then::Nothing, out),
            }
        }
    }

    pub(super) fn write(&mut self, records: Vec<ConfigRecord>, then: Then, out: &mut Vec<Effect>) {
        self.current = Some(Current::Writing(then, Landing::of(&records)));
        out.push(Effect::Append(records));
    }

    /// A record was read: it may be the one that the write under way is known by.
    pub(super) fn watch_for_landing(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(Current::Writing(_, landing)) = &mut self.current {
            landing.seen |= landing.key == key && landing.value.as_deref().map(str::as_bytes) == value;
        }
    }

    /// Whoever asked gives up: what has not begun is refused. What has begun is answered when it is known what became of it.
    pub(super) fn cancel(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let queued = self.queue.iter().position(|turn| matches!(turn.what, What::Request(other, _) if other == id));
        let restarting = self.restarts.iter().position(|(other, _)| *other == id);
        let given_up = if let Some(at) = queued {
            self.queue.remove(at).is_some()
        } else if self.validating.remove(&id).is_some() {
            true
        } else if let Some(at) = restarting {
            self.restarts.remove(at);
            true
        } else {
            self.current.take_if(|now| matches!(now, Current::Validating { id: other, .. } if *other == id)).is_some()
        };
        if given_up {
            out.push(Effect::Reply(id, Err(HerdError::internal("Request timed out"))));
        }
    }

    /// A connector as it was just written: what was done is not refused because somebody has deleted it since.
    fn written(&self, name: &str, landing: &Landing) -> ConnectorInfo {
        let name = ConnectorId::from(name);
        self.connector_info(&name).unwrap_or_else(|| {
            let written = landing.value.as_deref().and_then(|value| serde_json::from_str::<Value>(value).ok());
            let properties = written.as_ref().and_then(|value| value.get("properties")).and_then(Value::as_object);
            let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().map(str::to_owned));
            let config = properties.into_iter().flatten().map(text).collect();
            ConnectorInfo { name, config, tasks: Vec::new(), kind: "unknown" }
        })
    }

    /// True while it is not known what becomes of a change that has begun.
    pub(super) fn change_under_way(&self) -> bool {
        matches!(self.current, Some(Current::Writing(..) | Current::Altering))
    }

    pub(super) fn on_written(&mut self, outcome: Result<(), String>, out: &mut Vec<Effect>) {
        let (then, landing) = match self.current.take() {
            Some(Current::Writing(then, landing)) => (then, landing),
            other => {
                self.current = other;
                return;
            }
        };
        if let Err(problem) = outcome {
            self.key_wanted = false;
            self.doubt_leadership(out);
            if !landing.seen {
                if let Some(id) = then.request() {
                    out.push(Effect::Reply(id, Err(HerdError::internal(problem))));
                }
                if let Then::TaskConfigs(connector, configs) = then {
                    self.keep_for_leader(&connector, configs);
                }
                return;
            }
        }
        match then {
            Then::Nothing | Then::TaskConfigs(..) => {}
            Then::Done(id) => out.push(Effect::Reply(id, Ok(Reply::Done))),
            Then::Created(id, name) => out.push(Effect::Reply(id, Ok(Reply::Created(self.written(&name, &landing))))),
            Then::Updated(id, name) => out.push(Effect::Reply(id, Ok(Reply::Updated(self.written(&name, &landing))))),
            Then::Again(id, command) => {
                self.queue.push_front(Turn { what: What::Request(id, command), since_ms: self.now.mono_ms });
            }
            Then::Restarting(id, plan) => out.push(Effect::Reply(id, Ok(plan))),
        }
    }

    pub(super) fn write_task_configs(
        &mut self,
        connector: &ConnectorId,
        configs: &[IndexMap<String, String>],
        request: Option<RequestId>,
        out: &mut Vec<Effect>,
    ) {
        if !self.leads() {
            // Leadership went to another worker while this waited: it has to have them.
            self.queue_to_leader(connector, configs.to_vec(), out);
            return;
        }
        // A stop overtook them: the connector makes its tasks anew when it is resumed. Another worker may know of that
        // already, and tries again.
        if self.state.target(connector) == Target::Stopped {
            out.extend(request.map(|id| Effect::Reply(id, Err(HerdError::conflict(STALE)))));
            return;
        }
        let unchanged = request.is_none() && !self.task_configs_changed(connector, configs);
        if unchanged || self.state.config(connector).is_none() {
            return;
        }
        let records = task_records(connector, configs);
        let then = request.map_or_else(|| Then::TaskConfigs(Arc::clone(connector), configs.to_vec()), Then::Done);
        self.write(records, then, out);
    }

    /// A stop and tasks that were written at the same time by two leaders, of which one did not know yet that it leads no
    /// more, may leave a stopped connector with tasks: they would be shown, and nobody could change its offsets. The leader
    /// commits again what the stop has committed.
    pub(super) fn insist_on_rest(&mut self) {
        if !self.leads() || self.queue.iter().any(|turn| matches!(turn.what, What::NoTasks(_))) {
            return;
        }
        let stopped = self.state.connectors().filter(|(_, connector)| connector.is_stopped_with_tasks());
        for name in stopped.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
            self.enqueue(What::NoTasks(name));
        }
    }

    fn write_no_tasks(&mut self, name: &ConnectorId, out: &mut Vec<Effect>) {
        if self.leads() && self.state.connector(name).is_some_and(ConnectorConfig::is_stopped_with_tasks) {
            self.write(vec![ConfigRecord::Commit { name: name.to_string(), tasks: 0 }], Then::Nothing, out);
        }
    }

    pub(super) fn queue_session_key(&mut self, key: SessionKey) {
        self.enqueue(What::SessionKey(key));
    }

    /// Refuses what has waited for too long.
    pub(super) fn refuse_the_overdue(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.mono_ms;
        let overdue = self.queue.iter().take_while(|turn| now.saturating_sub(turn.since_ms) > PATIENCE_MS).count();
        let overdue: Vec<Turn> = self.queue.drain(..overdue).collect();
        for turn in overdue {
            match turn.what {
                What::Request(id, _) => out.push(Effect::Reply(id, Err(HerdError::conflict(STALE)))),
                What::SessionKey(_) => self.key_wanted = false,
                // It is looked for again.
                What::NoTasks(_) => {}
                What::TaskConfigs { connector, configs } => self.keep_for_leader(&connector, configs),
            }
        }
    }

    /// The worker ends: nothing is done any more.
    pub(super) fn refuse_everything(&mut self, out: &mut Vec<Effect>) {
        let stopping = || HerdError::Refused { status: 503, message: "The worker is shutting down.".to_owned() };
        for turn in self.queue.drain(..) {
            if let What::Request(id, _) = turn.what {
                out.push(Effect::Reply(id, Err(stopping())));
            }
        }
        for id in std::mem::take(&mut self.validating).into_keys() {
            out.push(Effect::Reply(id, Err(stopping())));
        }
        for (id, _) in std::mem::take(&mut self.restarts) {
            out.push(Effect::Reply(id, Err(stopping())));
        }
        for id in self.waiting_for_fencing() {
            out.push(Effect::Reply(id, Err(stopping())));
        }
        match self.current.take() {
            Some(Current::Validating { id, .. }) => out.push(Effect::Reply(id, Err(stopping()))),
            other => self.current = other,
        }
    }

    pub(super) fn forget_topics(&mut self, name: &str, out: &mut Vec<Effect>) {
        let topics: Vec<String> =
            self.statuses.connector(name).map(|s| s.topics.keys().cloned().collect()).unwrap_or_default();
        for topic in topics {
            let record = StatusRecord::ForgetTopic { topic, connector: name.to_owned() };
            self.statuses.put(&record);
            out.push(Effect::Status(record));
        }
        self.dirty.insert(ConnectorId::from(name));
        out.push(Effect::ForgetTopics(ConnectorId::from(name)));
    }
}

/// The records that give a connector these tasks: the commit comes last.
pub(super) fn task_records(connector: &ConnectorId, configs: &[IndexMap<String, String>]) -> Vec<ConfigRecord> {
    let tasks = (0..).zip(configs).map(|(task, config)| ConfigRecord::Task {
        id: crate::herd::TaskId { connector: Arc::clone(connector), task },
        config: config.clone(),
    });
    let commit = ConfigRecord::Commit { name: connector.to_string(), tasks: configs.len() };
    tasks.chain([commit]).collect()
}
