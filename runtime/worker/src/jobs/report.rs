//! How far the tasks of this worker are, and what it does about connectors that failed, as the other workers are told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use connect_cluster::jobs::log::JobsLog;
use connect_cluster::jobs::record::{
    CheckpointReport, ConnectorReport, JobRecord, PutReport, RetentionReport, StreamReport, TableReport, TaskReport,
    trace_mark,
};
use connect_cluster::{ClusterView, ConnectorId, State, TaskId, TaskStatus, UnitId};

use super::rates::Rate;
use crate::metrics::{TaskMetrics, WorkerMetrics};

/// A report that has not changed is written again after this time, so that others know that the task still runs.
const REFRESH_MS: i64 = 5_000;
const MINUTE_MS: i64 = 60_000;
/// Tables that a report tells of: it has to fit into a record.
const TABLES_MAX: usize = 2_000;

/// What is remembered of a task between reports.
#[derive(Default)]
struct Memory {
    rate: Rate,
    tables: HashMap<String, Rate>,
    told: Option<TaskReport>,
}

/// Makes reports.
#[derive(Default)]
pub(super) struct Reporter {
    worker_id: String,
    tasks: BTreeMap<TaskId, Memory>,
}

impl Reporter {
    /// Of the worker with this name.
    pub(super) fn new(worker_id: &str) -> Self {
        Self { worker_id: worker_id.to_owned(), tasks: BTreeMap::new() }
    }

    /// The reports that are new. `known` has what was said last, by whichever worker; `retention` is what is known of the
    /// sources here.
    pub(super) fn reports(
        &mut self,
        now_ms: i64,
        metrics: &WorkerMetrics,
        view: &ClusterView,
        retention: &BTreeMap<Arc<str>, RetentionReport>,
        known: &JobsLog,
    ) -> Vec<JobRecord> {
        let tasks = self.tasks(now_ms, metrics, view, retention, known).into_iter();
        let mut reports: Vec<JobRecord> =
            tasks.map(|(id, report)| JobRecord::Task(id, Some(Box::new(report)))).collect();
        self.connectors(now_ms, view, known, &mut reports);
        reports
    }

    /// What is done about connectors of this worker that failed by themselves; the report goes when that is over.
    fn connectors(&self, now_ms: i64, view: &ClusterView, known: &JobsLog, reports: &mut Vec<JobRecord>) {
        let recovering = view.recoveries.keys().filter_map(|unit| match unit {
            UnitId::Connector(name) => Some(name),
            UnitId::Task(_) => None,
        });
        let names: BTreeSet<&ConnectorId> = recovering.chain(known.connectors()).collect();
        for name in names {
            let status = view.connectors.get(name).and_then(|connector| connector.status.as_ref());
            let Some(status) = status.map(|status| &status.connector).filter(|of| of.worker_id == self.worker_id)
            else {
                continue;
            };
            let before = known.connector(name);
            let report = view.recoveries.get(&UnitId::Connector(Arc::clone(name))).map(|recovery| ConnectorReport {
                worker_id: self.worker_id.clone(),
                // As it was said, unless it is another thing that is said.
                at_ms: before.map_or(now_ms, |before| before.at_ms),
                recovery: Some(recovery.clone()),
                failed: failed(status),
            });
            if report.as_ref() != before.map(|before| &**before) {
                let report = report.map(|report| Box::new(ConnectorReport { at_ms: now_ms, ..report }));
                reports.push(JobRecord::Connector(Arc::clone(name), report));
            }
        }
    }

    fn tasks(
        &mut self,
        now_ms: i64,
        metrics: &WorkerMetrics,
        view: &ClusterView,
        retention: &BTreeMap<Arc<str>, RetentionReport>,
        known: &JobsLog,
    ) -> Vec<(TaskId, TaskReport)> {
        let known = |id: &TaskId| known.task(&id.connector, id.task);
        let runs: BTreeMap<TaskId, (bool, Arc<TaskMetrics>)> =
            metrics.task_runs().into_iter().map(|(id, lives, metrics)| (id, (lives, metrics))).collect();
        // Sources that keep something at their system are watched also when no task of theirs runs.
        let watched = retention.keys().map(|name| TaskId { connector: Arc::clone(name), task: 0 });
        let recovering = view.recoveries.keys().filter_map(|unit| match unit {
            UnitId::Task(id) => Some(id.clone()),
            UnitId::Connector(_) => None,
        });
        let mut ids: Vec<TaskId> = runs.keys().cloned().chain(watched).chain(recovering).collect();
        ids.extend(self.tasks.keys().cloned());
        ids.sort();
        ids.dedup();
        let mut reports = Vec::new();
        for id in ids {
            if !view.connectors.contains_key(&id.connector) {
                self.tasks.remove(&id);
                continue;
            }
            let run = runs.get(&id);
            if run.is_none() && !self.is_here(&id, view) {
                // Another worker has it, or nobody: the last word is that it does not run here any more.
                if let Some(memory) = self.tasks.remove(&id)
                    && let Some(told) = memory.told.filter(|told| told.live)
                    && known(&id).is_some_and(|known| known.worker_id == self.worker_id)
                {
                    reports.push((id, TaskReport { live: false, at_ms: now_ms, put: Vec::new(), ..told }));
                }
                continue;
            }
            let before = known(&id);
            let memory = self.tasks.entry(id.clone()).or_default();
            let report = TaskReport {
                worker_id: self.worker_id.clone(),
                ..memory.report(&id, now_ms, run, view, retention.get(&id.connector), before.map(|before| &**before))
            };
            if !memory.is_known(&report, now_ms) {
                memory.told = Some(report.clone());
                reports.push((id, report));
            }
        }
        reports
    }

    /// Whether the connector of a task is this worker's, or the task is.
    fn is_here(&self, id: &TaskId, view: &ClusterView) -> bool {
        let Some(status) = view.connectors.get(&id.connector).and_then(|connector| connector.status.as_ref()) else {
            return false;
        };
        let task = status.tasks.iter().find(|(task, _)| *task == id.task);
        match task {
            Some((_, task)) => task.worker_id == self.worker_id,
            None => status.connector.worker_id == self.worker_id,
        }
    }
}

impl Memory {
    /// Whether a report says nothing that was not said. What a server keeps for a task that rests changes all the time: now
    /// and then is enough.
    fn is_known(&self, report: &TaskReport, now_ms: i64) -> bool {
        let Some(told) = &self.told else { return false };
        let recent = now_ms - told.at_ms < REFRESH_MS;
        if report.live {
            return recent && *told == TaskReport { at_ms: told.at_ms, ..report.clone() };
        }
        let rest = TaskReport { at_ms: told.at_ms, retention: told.retention.clone(), ..report.clone() };
        let lost = |report: &TaskReport| report.retention.as_ref().map(|retention| retention.wal_status.clone());
        *told == rest && lost(told) == lost(report) && (recent || told.retention == report.retention)
    }

    fn report(
        &mut self,
        id: &TaskId,
        now_ms: i64,
        run: Option<&(bool, Arc<TaskMetrics>)>,
        view: &ClusterView,
        retention: Option<&RetentionReport>,
        before: Option<&TaskReport>,
    ) -> TaskReport {
        let mut report = TaskReport {
            at_ms: now_ms,
            live: run.is_some_and(|(lives, _)| *lives),
            recovery: view.recoveries.get(&UnitId::Task(id.clone())).cloned(),
            failed: status(id, view).and_then(failed),
            retention: retention.cloned().or_else(|| before.and_then(|before| before.retention.clone())),
            ..TaskReport::default()
        };
        // What an earlier run, or another worker, found out stays true until this one knows better.
        if let Some(before) = before {
            report.phase.clone_from(&before.phase);
            report.tables.clone_from(&before.tables);
            report.stream.clone_from(&before.stream);
            if let Some(stream) = &mut report.stream {
                // This run says itself what it has read.
                stream.resolved = stream.resolved.filter(|_| run.is_none());
            }
            report.unsettled = before.unsettled;
            report.checkpoint.clone_from(&before.checkpoint);
            report.lag_records = before.lag_records;
            if !report.live {
                report.put.clone_from(&before.put);
            }
        }
        if let Some((_, metrics)) = run {
            self.measure(&mut report, now_ms, metrics);
        }
        report
    }

    fn measure(&mut self, report: &mut TaskReport, now_ms: i64, metrics: &TaskMetrics) {
        report.unsettled = metrics.unsettled();
        self.rate.sample(now_ms, TaskMetrics::get(&metrics.polled));
        report.rate_one_minute = self.rate.per_second(MINUTE_MS);
        report.rate_five_minutes = self.rate.per_second(5 * MINUTE_MS);
        if let Some((position, saved_ms)) = metrics.checkpoint() {
            report.checkpoint = Some(CheckpointReport { position, saved_ms: Some(saved_ms) });
        }
        if let Some(put) = metrics.put_positions() {
            let report_of = |(partition, next): (connect_kafka::TopicPartition, i64)| PutReport {
                topic: partition.topic.to_string(),
                partition: partition.partition,
                next,
            };
            report.put = put.into_iter().map(report_of).collect();
            report.lag_records = metrics.lag();
        }
        let Some(progress) = metrics.progress() else { return };
        report.phase = Some(progress.phase.name().to_owned());
        if !progress.tables.is_empty() {
            report.tables =
                progress.tables.into_iter().take(TABLES_MAX).map(|table| self.table(now_ms, table)).collect();
        }
        if let Some(stream) = progress.stream {
            report.stream = Some(StreamReport {
                resolved: stream.resolved,
                last_commit_position: stream.last_commit_position,
                last_commit_ms: stream.last_commit_ms,
                lag_bytes: stream.lag_bytes,
                lag_ms: stream.lag_ms,
            });
        }
    }

    fn table(&mut self, now_ms: i64, table: connect_api::TableProgress) -> TableReport {
        let rate = self.tables.entry(table.table.clone()).or_default();
        rate.sample(now_ms, table.rows);
        TableReport {
            rows_per_second: rate.per_second(10_000).filter(|_| table.begun && !table.done),
            table: table.table,
            rows: table.rows,
            rows_estimated: table.rows_estimated,
            begun: table.begun,
            done: table.done,
        }
    }
}

fn status<'a>(id: &TaskId, view: &'a ClusterView) -> Option<&'a TaskStatus> {
    let status = view.connectors.get(&id.connector)?.status.as_ref()?;
    status.tasks.iter().find(|(task, _)| *task == id.task).map(|(_, task)| task)
}

/// The mark of the failure that a status shows.
fn failed(status: &TaskStatus) -> Option<u64> {
    (status.state == State::Failed).then(|| trace_mark(status.trace.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use connect_cluster::{ConnectorInfo, ConnectorStatus, ConnectorView, Cure, Failure, Recovery, Target};

    use super::*;

    const TRACE: &str = "org.apache.kafka.connect.errors.RetriableException: away\n";

    /// A connector without tasks, on a worker.
    fn view(worker: &str, state: State, recovery: Option<Recovery>) -> ClusterView {
        let name: Arc<str> = "c".into();
        let connector = TaskStatus {
            state,
            worker_id: worker.to_owned(),
            trace: (state == State::Failed).then(|| TRACE.to_owned()),
            generation: 1,
            version: None,
        };
        let info = ConnectorInfo {
            name: Arc::clone(&name),
            config: connect_config::Props::new(),
            tasks: Vec::new(),
            kind: "source",
        };
        let status = ConnectorStatus { name: Arc::clone(&name), connector, tasks: Vec::new(), kind: "source" };
        let connector = ConnectorView {
            info,
            target: Target::Started,
            tasks: Vec::new(),
            status: Some(status),
            topics: Vec::new(),
        };
        ClusterView {
            connectors: [(Arc::clone(&name), Arc::new(connector))].into_iter().collect(),
            recoveries: Arc::new(recovery.map(|recovery| (UnitId::Connector(name), recovery)).into_iter().collect()),
            ..ClusterView::default()
        }
    }

    fn recovery(attempt: u32) -> Recovery {
        Recovery {
            attempt,
            at_once: 0,
            attempts_max: 10,
            first_failure_ms: 1,
            next_attempt_ms: Some(2),
            failure: Failure { code: "unavailable".into(), message: "away".into(), remedy: None, cure: Cure::Network },
            over: None,
        }
    }

    #[test]
    fn what_is_done_about_a_connector_is_told_once_and_taken_back_when_it_is_over() {
        let (mut reporter, metrics, mut known) = (Reporter::new("me"), WorkerMetrics::unseen(), JobsLog::default());
        let mut told = |view: &ClusterView| -> Vec<JobRecord> {
            let records = reporter.reports(7, &metrics, view, &BTreeMap::new(), &known);
            records.iter().cloned().for_each(|record| known.apply(record));
            records
        };
        assert_eq!(told(&view("me", State::Running, None)), []);
        assert_eq!(told(&view("other", State::Failed, Some(recovery(1)))), [], "its own worker tells");
        let failed = view("me", State::Failed, Some(recovery(1)));
        let said = told(&failed);
        let [JobRecord::Connector(name, Some(report))] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!((&**name, report.worker_id.as_str(), report.at_ms), ("c", "me", 7));
        assert_eq!((report.failed, report.recovery.as_ref()), (Some(trace_mark(TRACE)), Some(&recovery(1))));
        assert_eq!(told(&failed), [], "it was said");
        assert_eq!(told(&view("me", State::Restarting, Some(recovery(2)))).len(), 1);
        // Another worker has it, and it runs there: nobody fails any more.
        assert_eq!(told(&view("other", State::Running, None)), []);
        assert_eq!(told(&view("me", State::Running, None)), [JobRecord::Connector("c".into(), None)]);
        assert_eq!(told(&view("me", State::Running, None)), []);
    }
}
