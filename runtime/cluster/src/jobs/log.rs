//! What the records of the jobs topic add up to. Every worker has the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{ConnectorReport, Definition, JobRecord, Order, Recorded, Sent, TaskReport};
use crate::herd::{ConnectorId, TaskId};
use crate::recovery::Recovery;

/// What is known of one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    pub definition: Option<Definition>,
    pub order: Option<Order>,
    pub recorded: Recorded,
    pub sent: Sent,
}

impl Entry {
    /// The command that is under way.
    pub fn under_way(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| order.done_ms.is_none())
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All jobs, and the reports of all tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobsLog {
    jobs: BTreeMap<Arc<str>, Arc<Entry>>,
    /// The pipeline of each connector that one lists.
    pipelines: BTreeMap<String, Arc<str>>,
    tasks: BTreeMap<TaskId, Arc<TaskReport>>,
    connectors: BTreeMap<ConnectorId, Arc<ConnectorReport>>,
}

/// What a worker said of a failure of a connector or a task.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub recovery: &'a Recovery,
    /// The failure that it is about.
    pub failed: Option<u64>,
    pub at_ms: i64,
}

impl JobsLog {
    /// Takes a record; the order of the topic is what counts.
    pub fn apply(&mut self, record: JobRecord) {
        match record {
            JobRecord::Job(job, value) => {
                self.pipelines.retain(|_, of| **of != *job);
                if let Some(definition) = value.as_ref().filter(|definition| definition.pipeline) {
                    let name: Arc<str> = Arc::from(job.as_str());
                    let listed = definition.source.iter().chain(&definition.sinks);
                    self.pipelines.extend(listed.map(|member| (member.clone(), Arc::clone(&name))));
                }
                self.change(&job, |entry| entry.definition = value);
            }
            JobRecord::Order(job, value) => self.change(&job, |entry| entry.order = value),
            JobRecord::State(job, value) => {
                self.change(&job, |entry| entry.recorded = value.map_or_else(Recorded::default, |value| *value));
            }
            JobRecord::Sent(job, value) => self.change(&job, |entry| entry.sent = value.unwrap_or_default()),
            JobRecord::Task(id, Some(value)) => drop(self.tasks.insert(id, Arc::from(value))),
            JobRecord::Task(id, None) => drop(self.tasks.remove(&id)),
            JobRecord::Connector(name, Some(value)) => drop(self.connectors.insert(name, Arc::from(value))),
            JobRecord::Connector(name, None) => drop(self.connectors.remove(&name)),
        }
    }

    fn change(&mut self, job: &str, change: impl FnOnce(&mut Entry)) {
        let entry = self.jobs.entry(Arc::from(job)).or_default();
        change(Arc::make_mut(entry));
        if entry.is_empty() {
            self.jobs.remove(job);
        }
    }

    /// What is known of a job.
    pub fn entry(&self, job: &str) -> Option<&Arc<Entry>> {
        self.jobs.get(job)
    }

    /// The jobs that something is known of, by name. Those of single connectors may be missing.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Entry>)> {
        self.jobs.iter()
    }

    /// The report of a task.
    pub fn task(&self, connector: &ConnectorId, task: u32) -> Option<&Arc<TaskReport>> {
        self.tasks.get(&TaskId { connector: Arc::clone(connector), task })
    }

    /// What all tasks said last.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &Arc<TaskReport>)> {
        self.tasks.iter()
    }

    /// The reports of a connector's tasks, in order.
    pub fn tasks_of(&self, connector: &ConnectorId) -> impl Iterator<Item = (&TaskId, &Arc<TaskReport>)> {
        let id = |task| TaskId { connector: Arc::clone(connector), task };
        self.tasks.range(id(0)..=id(u32::MAX))
    }

    /// The connectors that something was said of themselves.
    pub fn connectors(&self) -> impl Iterator<Item = &ConnectorId> {
        self.connectors.keys()
    }

    /// The report of a connector about itself.
    pub fn connector(&self, connector: &ConnectorId) -> Option<&Arc<ConnectorReport>> {
        self.connectors.get(connector)
    }

    /// What is done about failures of a connector itself, or of a task of it.
    pub fn said_of(&self, connector: &ConnectorId, task: Option<u32>) -> Option<Said<'_>> {
        let (recovery, failed, at_ms) = match task {
            Some(task) => {
                let report = self.task(connector, task)?;
                (&report.recovery, report.failed, report.at_ms)
            }
            None => {
                let report = self.connector(connector)?;
                (&report.recovery, report.failed, report.at_ms)
            }
        };
        Some(Said { recovery: recovery.as_ref()?, failed, at_ms })
    }

    /// The recoveries of a connector and its tasks.
    pub fn recoveries_of<'a>(&'a self, connector: &ConnectorId) -> impl Iterator<Item = &'a Recovery> + use<'a> {
        let own = self.connector(connector).and_then(|report| report.recovery.as_ref());
        let id = |task| TaskId { connector: Arc::clone(connector), task };
        let tasks = self.tasks.range(id(0)..=id(u32::MAX));
        own.into_iter().chain(tasks.filter_map(|(_, report)| report.recovery.as_ref()))
    }

    /// The pipeline that lists a connector.
    pub fn pipeline_of(&self, connector: &str) -> Option<&Arc<str>> {
        self.pipelines.get(connector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compaction keeps the last record of each key: whoever reads only those knows the same.
    #[test]
    fn compaction_changes_nothing() {
        let definition = |sinks: &[&str]| Definition {
            sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
            pipeline: true,
            ..Definition::default()
        };
        let report = |at_ms| Some(Box::new(TaskReport { at_ms, ..TaskReport::default() }));
        let task = |task| TaskId { connector: "c".into(), task };
        let records = [
            JobRecord::Job("a".into(), Some(definition(&["x"]))),
            JobRecord::Task(task(0), report(1)),
            JobRecord::Job("b".into(), Some(definition(&["y"]))),
            JobRecord::Job("a".into(), Some(definition(&["z"]))),
            JobRecord::Task(task(0), report(2)),
            JobRecord::Task(task(1), report(3)),
            JobRecord::Task(task(1), None),
            JobRecord::Job("b".into(), None),
        ];
        let mut whole = JobsLog::default();
        let mut last = BTreeMap::new();
        for record in records {
            last.insert(record.encode().0, record.clone());
            whole.apply(record);
        }
        let mut compacted = JobsLog::default();
        for record in last.into_values() {
            compacted.apply(record);
        }
        assert_eq!(whole, compacted);
        assert_eq!(whole.pipeline_of("z").map(|name| &**name), Some("a"));
        assert_eq!(whole.pipeline_of("x"), None);
        assert_eq!(whole.entries().count(), 1, "nothing stays of a job that is gone");
    }
}
