//! Exactly-once sources (KIP-618): who may write to the config topic, and which tasks may start.
//!
//! Two things fence. The leader claims the config topic with a transactional producer of its own, so that nothing a
//! former leader still has in its hands gets there. And before the tasks of a connector start, the producers of the
//! tasks before them are fenced: `tasks-fencing-<connector>` says how many those were, and stands behind the latest
//! task configurations once that is done.
//!
//! Invariants: under `preparing` and `enabled` the leader writes nothing before it has claimed the topic and read it to its
//! end again; one round of fencing runs at a time for a connector, and all who ask for it meanwhile share it; a round
//! counts only for the task configurations it was begun with.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_config::Props;

use super::turns::{Then, What};
use super::{Effect, Herder, RequestId};
use crate::config_record::ConfigRecord;
use crate::herd::{Command, ConnectorId, HerdError, TaskId};
use crate::unit::{Life, Run, UnitId};

/// The pause before the config topic is claimed again (`CONFIG_TOPIC_WRITE_PRIVILEGES_BACKOFF_MS`).
const CLAIM_RETRY_MS: u64 = 250;

/// `exactly.once.source.support`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExactlyOnceSources {
    #[default]
    Disabled,
    /// The leader writes as it does under `Enabled`, tasks do not.
    Preparing,
    Enabled,
}

/// The right to write to the config topic as its leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Claim {
    #[default]
    None,
    /// Asked for.
    Pending,
    /// It failed, and is tried again.
    Retry {
        at_ms: u64,
    },
    Held,
}

/// A round of fencing that is under way.
#[derive(Debug)]
struct Round {
    /// Of the task configurations it was begun with.
    generation: Option<i32>,
    /// What goes on when it is over.
    waiting: Vec<(RequestId, Command)>,
}

/// The rounds of a leader.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    running: BTreeMap<ConnectorId, Round>,
    /// The generations of task configurations that a round is over for, until its record is read.
    over: BTreeMap<ConnectorId, Option<i32>>,
}

/// What stands between a command and its connector's old producers.
enum Old {
    /// All are fenced.
    Gone,
    /// None is left that the next would not fence itself: that only has to be noted.
    Harmless { tasks: i32 },
    /// So many have to be fenced.
    Left { producers: u32 },
}

impl Herder {
    fn claims(&self) -> bool {
        self.config.exactly_once != ExactlyOnceSources::Disabled
    }

    /// True while the leader must not write yet.
    pub(super) fn awaits_claim(&self) -> bool {
        self.claims() && self.leads() && self.claim != Claim::Held
    }

    /// After a join: a new leader claims the config topic, one that leads no more has lost it.
    pub(super) fn settle_claim(&mut self, out: &mut Vec<Effect>) {
        if !self.leads() {
            self.lose_claim();
        } else if self.claims() && self.claim == Claim::None {
            self.claim = Claim::Pending;
            out.push(Effect::Claim);
        }
    }

    pub(super) fn lose_claim(&mut self) {
        self.claim = Claim::None;
    }

    pub(super) fn on_claimed(&mut self, ok: bool, out: &mut Vec<Effect>) {
        if self.claim != Claim::Pending {
            // Another leads by now, or this worker again: that claim is on its way.
            return self.settle_claim(out);
        }
        self.claim = if ok { Claim::Held } else { Claim::Retry { at_ms: self.now.mono_ms + CLAIM_RETRY_MS } };
    }

    pub(super) fn retry_claim(&mut self, out: &mut Vec<Effect>) {
        if let Claim::Retry { at_ms } = self.claim
            && at_ms <= self.now.mono_ms
        {
            self.claim = Claim::None;
            self.settle_claim(out);
        }
    }

    /// A leader whose write failed may have been fenced by another one: the group has to say who leads.
    pub(super) fn doubt_leadership(&mut self, out: &mut Vec<Effect>) {
        if self.claims() && self.leads() {
            self.lose_claim();
            self.unsettle();
            self.read_before_join = true;
            self.rejoin(out);
        }
    }

    /// `PUT /connectors/{name}/fence`.
    pub(super) fn fence(&mut self, id: RequestId, command: Command, out: &mut Vec<Effect>) -> Result<(), HerdError> {
        let Command::Fence { name, .. } = &command else { return Ok(()) };
        let name = ConnectorId::from(name.as_str());
        self.must_lead()?;
        let config = self.must_exist(&name)?;
        if !self.is_source(&config) {
            return Err(HerdError::bad_request(format!("Connector {name} is not a source connector")));
        }
        match self.old_producers(&name) {
            Old::Gone => out.push(Effect::Reply(id, Ok(crate::herd::Reply::Done))),
            Old::Harmless { tasks } => {
                self.write(vec![ConfigRecord::TaskCount { name: name.to_string(), tasks }], Then::Done(id), out);
            }
            Old::Left { producers } => self.begin_round(&name, config, producers, (id, command), out),
        }
        Ok(())
    }

    /// Whether a command has to wait until the connector's old producers are fenced: it is done again after that.
    pub(super) fn waits_for_fencing(&mut self, id: RequestId, command: &Command, out: &mut Vec<Effect>) -> bool {
        let Command::AlterOffsets { name, .. } = command else { return false };
        let name = ConnectorId::from(name.as_str());
        let Some(config) = self.state.config(&name).cloned() else { return false };
        if self.config.exactly_once != ExactlyOnceSources::Enabled || !self.is_source(&config) {
            return false;
        }
        match self.old_producers(&name) {
            Old::Gone => false,
            Old::Harmless { tasks } => {
                let record = ConfigRecord::TaskCount { name: name.to_string(), tasks };
                self.write(vec![record], Then::Again(id, command.clone()), out);
                true
            }
            Old::Left { producers } => {
                self.begin_round(&name, config, producers, (id, command.clone()), out);
                true
            }
        }
    }

    fn is_source(&self, config: &Props) -> bool {
        let class = config.get("connector.class").and_then(Option::as_deref).unwrap_or_default();
        (self.config.catalog)(class).is_some_and(|plugin| plugin.kind == "source")
    }

    fn old_producers(&mut self, name: &ConnectorId) -> Old {
        let Some(connector) = self.state.connector(name).filter(|connector| connector.pending_fencing) else {
            self.rounds.over.remove(name);
            return Old::Gone;
        };
        let tasks = connector.task_count.and_then(|count| i32::try_from(count).ok()).unwrap_or(0);
        let over = self.rounds.over.get(name).is_some_and(|generation| *generation == connector.task_generation);
        match connector.fenced_tasks {
            Some(before) if !over && (before != 1 || tasks != 1) => {
                Old::Left { producers: u32::try_from(before).unwrap_or(0) }
            }
            _ => Old::Harmless { tasks },
        }
    }

    fn begin_round(
        &mut self,
        name: &ConnectorId,
        config: Arc<Props>,
        producers: u32,
        waiting: (RequestId, Command),
        out: &mut Vec<Effect>,
    ) {
        let generation = self.state.connector(name).and_then(|connector| connector.task_generation);
        if let Some(round) = self.rounds.running.get_mut(name) {
            round.waiting.push(waiting);
            return;
        }
        self.rounds.running.insert(Arc::clone(name), Round { generation, waiting: vec![waiting] });
        out.push(Effect::FenceProducers { name: Arc::clone(name), config, tasks: producers });
    }

    /// A round is over. What waited for it goes on, and finds everything fenced when nothing has changed meanwhile.
    pub(super) fn on_fenced(&mut self, name: &ConnectorId, outcome: Result<(), String>, out: &mut Vec<Effect>) {
        let Some(Round { generation, waiting }) = self.rounds.running.remove(name) else { return };
        let now = self.state.connector(name).and_then(|connector| connector.task_generation);
        let refused = match outcome {
            Err(problem) => Some(problem),
            Ok(()) if now != generation => None,
            Ok(()) => {
                self.rounds.over.insert(Arc::clone(name), generation);
                for (id, command) in waiting {
                    self.enqueue(What::Request(id, command));
                }
                return;
            }
        };
        for (id, command) in waiting {
            out.push(Effect::Reply(id, Err(not_fenced(&command, refused.as_deref()))));
        }
    }

    /// The worker ends: nobody waits any more.
    pub(super) fn waiting_for_fencing(&mut self) -> Vec<RequestId> {
        let running = std::mem::take(&mut self.rounds.running);
        running.into_values().flat_map(|round| round.waiting).map(|(id, _)| id).collect()
    }

    /// Whether a run of a task, which has fenced its predecessors and is about to begin, is still wanted on this
    /// worker, with the configuration it was given (`verifyTaskGenerationAndOwnership`). New task configurations and a
    /// lost assignment both put an end to the run, so that it is not one that starts any more.
    ///
    /// # Errors
    /// Says why not; [`HerdError::Elsewhere`] when it is not known yet.
    pub fn may_begin(&self, task: &TaskId, run: Run) -> Result<(), HerdError> {
        let held = self.units.get(&UnitId::Task(task.clone()));
        let starting = held.is_some_and(|held| {
            held.run == run && held.unit.assigned && matches!(held.unit.life, Life::Starting { .. })
        });
        if starting {
            // During a rebalance nobody knows whose it is: it has to be asked again.
            return if self.settled() { Ok(()) } else { Err(HerdError::Elsewhere { url: None }) };
        }
        let TaskId { connector, task } = task;
        Err(HerdError::conflict(format!(
            "Cannot start source task {connector}-{task} with exactly-once support: it was taken from this worker, or the \
             connector has already generated a new set of task configs"
        )))
    }
}

/// `None`: the tasks changed meanwhile.
fn not_fenced(command: &Command, problem: Option<&str>) -> HerdError {
    match (command, problem) {
        (Command::AlterOffsets { .. }, _) => {
            HerdError::internal("Failed to perform zombie fencing for source connector prior to modifying offsets")
        }
        (_, Some(problem)) => HerdError::internal(problem),
        (_, None) => {
            HerdError::conflict("Fencing failed because new task configurations were generated for the connector")
        }
    }
}

#[cfg(test)]
#[path = "fencing_tests.rs"]
mod tests;
