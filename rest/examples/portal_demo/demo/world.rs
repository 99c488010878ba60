//! Jobs that pretend: their states and actions are those of real ones, their figures are made up.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use connect_api::Phase;
use connect_cluster::jobs::{
    Action, JobEvent, JobEvents, JobKind, JobState, JobSummary, JobView, Jobs, NewConnector, NewJob, Notice, PartState,
    RecoveryView, Started, Transition, Validation,
};
use connect_cluster::{HerdError, Hop};
use connect_config::Props;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{cast, herd};

/// Events that a slow reader may be behind.
const BACKLOG: usize = 256;

/// A job with what drives it.
pub(crate) struct Actor {
    pub(crate) view: JobView,
    /// Configurations of its connectors, in the order of the view.
    pub(crate) configs: Vec<Props>,
    /// What its task last died of.
    pub(crate) trace: Option<String>,
    /// Rows, or events, that it moves in a second.
    pub(crate) speed: f64,
    /// Seconds until it does what comes next.
    pub(crate) next: Option<(f64, JobState, String)>,
    pub(crate) age: f64,
}

pub(crate) struct World {
    actors: Mutex<BTreeMap<String, Actor>>,
    events: broadcast::Sender<JobEvent>,
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Actor {
    /// What its state allows.
    pub(crate) fn settle(&mut self) {
        use Action::{Complete, Delete, Pause, Restart, Resume, Retry, Start, Stop, Terminate};
        let view = &mut self.view;
        view.actions = match (view.state, view.phase) {
            (JobState::Created, _) => vec![Start, Delete],
            (JobState::Pending | JobState::Starting, _) => vec![Stop],
            (JobState::Running, Some(Phase::Snapshot)) => vec![Pause, Stop, Terminate],
            (JobState::Running, Some(Phase::Streaming)) => vec![Pause, Stop, Complete],
            (JobState::Running, _) => vec![Pause, Stop],
            (JobState::Paused, _) => vec![Resume, Stop],
            (JobState::Stopped, _) => vec![Start, Restart, Delete],
            (JobState::Failed, _) => vec![Retry, Restart, Stop, Delete],
            (JobState::Completed | JobState::Cancelled, _) => vec![Delete],
            (JobState::Deleted, _) => Vec::new(),
        };
        if view.waiting_for.is_some() {
            view.actions.clear();
        }
        let here = match view.state {
            JobState::Running => PartState::Running,
            JobState::Paused => PartState::Paused,
            JobState::Failed => PartState::Failed,
            JobState::Completed => PartState::Completed,
            JobState::Cancelled => PartState::Cancelled,
            _ => PartState::Pending,
        };
        let phase = view.phase;
        for (of, state) in &mut view.phases {
            *state = match phase {
                Some(phase) if *of < phase => PartState::Completed,
                Some(phase) if *of == phase => here,
                _ => PartState::Pending,
            };
        }
        let shown = match view.state {
            JobState::Running => "RUNNING",
            JobState::Paused => "PAUSED",
            JobState::Failed => "FAILED",
            JobState::Starting => "RESTARTING",
            _ => "STOPPED",
        };
        for connector in &mut view.connectors {
            let failed = shown == "FAILED" && connector.kind != "source";
            connector.state = Some(if shown == "FAILED" { "RUNNING" } else { shown });
            for task in &mut connector.tasks {
                task.state = if failed { "RUNNING" } else { shown };
            }
            if matches!(shown, "STOPPED") {
                connector.tasks.clear();
            } else if connector.tasks.is_empty() {
                connector.tasks = vec![cast::task(shown)];
            }
        }
        if view.state != JobState::Running {
            view.uptime_ms = None;
        }
    }

    /// Moves its figures on.
    fn play(&mut self, seconds: f64) {
        self.age += seconds;
        let wave = 1.0 + 0.22 * (self.age / 9.0).sin() + 0.09 * (self.age * 1.7).sin();
        let rate = self.speed * wave;
        let view = &mut self.view;
        if let Some(kept) = &mut view.retention
            && view.state == JobState::Paused
            && let (Some(bytes), Some(retained), Some(left)) =
                (kept.wal_bytes_per_second, kept.retained_bytes, kept.safe_wal_size)
        {
            let grown = (bytes * seconds) as u64;
            kept.retained_bytes = Some(retained + grown);
            kept.safe_wal_size = Some(left.saturating_sub(grown));
            kept.exhausted_in_ms = Some((left as f64 / bytes * 1000.0) as u64);
        }
        if view.state != JobState::Running {
            return;
        }
        view.uptime_ms = Some(view.uptime_ms.unwrap_or(0) + (seconds * 1000.0) as u64);
        match view.phase {
            Some(Phase::Init) => view.phase = Some(Phase::Snapshot),
            Some(Phase::Snapshot) => {
                if self.read_rows(rate, seconds) {
                    self.view.phase = Some(Phase::Streaming);
                    self.view.streaming = Some(cast::streaming(&self.view));
                }
                self.settle();
            }
            _ => self.stream(rate),
        }
    }

    /// Reads rows of the first table that is not finished; answers true once all are.
    fn read_rows(&mut self, rate: f64, seconds: f64) -> bool {
        let Some(table) = self.view.tables.iter_mut().find(|table| table.status != PartState::Completed) else {
            return true;
        };
        let all = table.rows_estimated.unwrap_or(250_000);
        table.status = PartState::Running;
        table.rows = (table.rows + (rate * seconds) as u64).min(all);
        table.rows_per_second = Some(rate);
        table.time_left_ms =
            table.rows_estimated.map(|all| ((all - table.rows) as f64 * 1_000.0 / rate.max(1.0)) as u64);
        if table.rows == all {
            table.status = PartState::Completed;
            (table.rows_per_second, table.time_left_ms) = (None, None);
        }
        table.percent = table.rows_estimated.map(|all| table.rows as f64 * 100.0 / all.max(1) as f64);
        if table.status == PartState::Completed {
            table.percent = Some(100.0);
        }
        let saved = self.view.checkpoint.get_or_insert_default();
        saved.table = Some(table.table.clone());
        saved.lsn.get_or_insert_with(|| "0/1A3E5F8".to_owned());
        saved.saved_ms = Some(now_ms());
        false
    }

    fn stream(&mut self, rate: f64) {
        let Some(streaming) = &mut self.view.streaming else { return };
        let lsn = format!("0/{:X}", 0x1A3_E5F8 + (self.age * 5000.0) as u64);
        streaming.events_per_second.one_minute = Some(rate);
        streaming.events_per_second.five_minutes = Some(self.speed * 0.97);
        streaming.last_commit_ms = Some(now_ms() - 40);
        streaming.last_commit_lsn = Some(lsn.clone());
        streaming.lag_ms = Some(28 + ((self.age / 4.0).sin() * 18.0 + 18.0) as i64);
        streaming.lag_bytes = Some(512 + ((self.age / 5.0).cos() * 400.0 + 400.0) as u64);
        for sink in &mut streaming.sinks {
            sink.lag_records = Some(8 + ((self.age / 3.0).sin() * 6.0 + 6.0) as u64);
        }
        let saved = self.view.checkpoint.get_or_insert_default();
        (saved.lsn, saved.table, saved.last_commit_ms, saved.saved_ms) =
            (Some(lsn), None, streaming.last_commit_ms, Some(now_ms()));
    }

    /// Forgets all progress, as before a new snapshot.
    fn afresh(&mut self) {
        let view = &mut self.view;
        (view.phase, view.streaming, view.checkpoint) = (None, None, None);
        for table in &mut view.tables {
            (table.status, table.rows, table.percent) = (PartState::Pending, 0, Some(0.0));
            (table.rows_per_second, table.time_left_ms) = (None, None);
        }
    }
}

impl World {
    pub(crate) fn new(actors: Vec<Actor>) -> Self {
        let named = actors.into_iter().map(|mut actor| {
            actor.settle();
            (actor.view.name.clone(), actor)
        });
        Self { actors: Mutex::new(named.collect()), events: broadcast::channel(BACKLOG).0 }
    }

    /// Looks at all jobs.
    pub(crate) fn each<T>(&self, look: impl FnMut(&Actor) -> T) -> Vec<T> {
        self.actors.lock().values().map(look).collect()
    }

    fn tell(&self, job: &str, notice: Notice) {
        // Nobody may be listening.
        drop(self.events.send(JobEvent { job: job.into(), at_ms: now_ms(), notice }));
    }

    /// Lets time pass.
    pub(crate) fn tick(&self, seconds: f64) {
        let mut actors = self.actors.lock();
        let mut gone = Vec::new();
        for (name, actor) in actors.iter_mut() {
            let before = actor.view.phase;
            actor.play(seconds);
            if actor.view.phase != before && before == Some(Phase::Snapshot) {
                self.change(actor, JobState::Running, "the snapshot is complete", "worker");
            }
            if let Some((left, to, cause)) = actor.next.take() {
                if left > seconds {
                    actor.next = Some((left - seconds, to, cause));
                } else {
                    actor.view.waiting_for = None;
                    self.change(actor, to, &cause, "worker");
                    if to == JobState::Pending {
                        actor.afresh();
                    }
                    match to {
                        JobState::Pending => actor.next = Some((1.0, JobState::Starting, "taken by a worker".into())),
                        JobState::Starting => actor.next = Some((1.5, JobState::Running, "initialised".into())),
                        JobState::Deleted => gone.push(name.clone()),
                        _ => {}
                    }
                }
            }
            if matches!(actor.view.state, JobState::Running | JobState::Paused | JobState::Starting) {
                self.tell(name, Notice::Progress(Box::new(actor.view.clone())));
            }
        }
        for name in gone {
            actors.remove(&name);
        }
    }

    fn change(&self, actor: &mut Actor, to: JobState, cause: &str, by: &str) {
        let view = &mut actor.view;
        let from = view.state;
        view.state = to;
        view.reason = cause.to_owned();
        view.updated_ms = Some(now_ms());
        if to == JobState::Running {
            view.phase.get_or_insert(Phase::Init);
            (view.error, view.recovery) = (None, RecoveryView { attempts_max: 10, ..RecoveryView::default() });
            actor.trace = None;
        }
        view.history.push(Transition { at_ms: now_ms(), from: Some(from), to, cause: cause.into(), by: by.into() });
        actor.settle();
        let (phase, error) = (actor.view.phase, actor.view.error.as_ref().map(|error| error.message.clone()));
        let cause = cause.to_owned();
        let name = actor.view.name.clone();
        self.tell(&name, Notice::StateChanged { from: Some(from), to, phase, error, cause });
    }

    fn apply(&self, actor: &mut Actor, action: Action, cleanup: bool, by: &str) -> Option<String> {
        let mut later = |after: f64, to: JobState, cause: &str| actor.next = Some((after, to, cause.to_owned()));
        match action {
            Action::Start | Action::Retry => {
                later(0.8, JobState::Starting, "taken by a worker");
                self.change(actor, JobState::Pending, &format!("{} by request", past(action)), by);
            }
            Action::Pause => {
                self.change(actor, JobState::Paused, "paused by request", by);
                let kept = actor.view.retention.as_ref()?;
                let hours = kept.exhausted_in_ms? / 3_600_000;
                return Some(format!(
                    "The source keeps its log for about {hours} hours at its present rate: resume before, or changes are lost."
                ));
            }
            Action::Resume => self.change(actor, JobState::Running, "resumed by request", by),
            Action::Stop => {
                actor.next = None;
                let cause =
                    if cleanup { "stopped by request, slot and publication dropped" } else { "stopped by request" };
                self.change(actor, JobState::Stopped, cause, by);
                if cleanup {
                    actor.afresh();
                    actor.view.retention = None;
                }
            }
            Action::Restart => {
                later(1.0, JobState::Pending, "restarted from scratch");
                actor.view.waiting_for = Some("Stopping, then the position is forgotten".into());
                actor.settle();
            }
            Action::Complete => {
                later(3.0, JobState::Completed, "CDC Completed");
                actor.view.waiting_for =
                    Some(format!("{}-sink has 12 records to write up to 0/1A3E5F8", actor.view.name));
                actor.settle();
            }
            Action::Terminate => {
                later(1.0, JobState::Cancelled, "Snapshot cancelled");
                actor.view.waiting_for = Some("The task is ending".into());
                actor.settle();
            }
            Action::Delete => self.change(actor, JobState::Deleted, "deleted by request", by),
        }
        None
    }
}

fn past(action: Action) -> &'static str {
    if action == Action::Retry { "retried" } else { "started" }
}

#[async_trait]
impl Jobs for World {
    fn list(&self) -> Vec<JobSummary> {
        self.each(|actor| summary(&actor.view))
    }

    fn job(&self, name: &str) -> Option<JobView> {
        self.actors.lock().get(name).map(|actor| actor.view.clone())
    }

    async fn create(&self, job: NewJob, by: &str, _: Hop) -> Result<Started, HerdError> {
        let validation = self.validate(&job).await?;
        if validation.error_count() > 0 {
            return Err(HerdError::bad_request(format!(
                "The job does not validate, {} things are wrong: POST /jobs/validate says which",
                validation.error_count()
            )));
        }
        let mut actors = self.actors.lock();
        if actors.contains_key(&job.name) {
            return Err(HerdError::conflict(format!("Job {} already exists", job.name)));
        }
        let start = job.start;
        let mut actor = cast::newcomer(job);
        actor.settle();
        if start {
            self.apply(&mut actor, Action::Start, false, by);
        }
        let view = actor.view.clone();
        actors.insert(view.name.clone(), actor);
        Ok(Started { job: view, warning: None })
    }

    async fn act(&self, name: &str, action: Action, cleanup: bool, by: &str, _: Hop) -> Result<Started, HerdError> {
        let mut actors = self.actors.lock();
        let actor = actors.get_mut(name).ok_or_else(|| HerdError::not_found(format!("Job {name} not found")))?;
        if !actor.view.actions.contains(&action) {
            let allowed: Vec<&str> = actor.view.actions.iter().map(|action| action.name()).collect();
            let state = actor.view.state.name();
            let message = format!("Job {name} is {state}: it can't {} now, but {}", action.name(), allowed.join(", "));
            return Err(HerdError::conflict(message));
        }
        let warning = self.apply(actor, action, cleanup, by);
        let job = actor.view.clone();
        if action == Action::Delete {
            actors.remove(name);
        }
        Ok(Started { job, warning })
    }

    async fn act_on_all(&self, action: Action, by: &str, _: Hop) -> Result<Vec<JobSummary>, HerdError> {
        let mut actors = self.actors.lock();
        let mut changed = Vec::new();
        for actor in actors.values_mut().filter(|actor| actor.view.actions.contains(&action)) {
            self.apply(actor, action, false, by);
            changed.push(summary(&actor.view));
        }
        Ok(changed)
    }

    async fn validate(&self, job: &NewJob) -> Result<Validation, HerdError> {
        let mut problems = Vec::new();
        if job.name.is_empty() {
            problems.push("A job needs a name".to_owned());
        } else if self.job(&job.name).is_some() {
            problems.push(format!("There is a job {} already", job.name));
        }
        let judged = |connector: &NewConnector| herd::judge(&connector.config);
        Ok(Validation {
            problems,
            source: job.source.as_ref().map(judged),
            sinks: job.sinks.iter().map(judged).collect(),
        })
    }

    fn events(&self, job: Option<&str>) -> JobEvents {
        let wanted = job.map(str::to_owned);
        Box::pin(stream::unfold(self.events.subscribe(), move |mut receiver| {
            let wanted = wanted.clone();
            async move {
                loop {
                    match receiver.recv().await {
                        Ok(event) if wanted.as_deref().is_none_or(|wanted| wanted == &*event.job) => {
                            return Some((event, receiver));
                        }
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            }
        }))
    }
}

fn summary(view: &JobView) -> JobSummary {
    JobSummary {
        name: view.name.clone(),
        state: view.state,
        phase: view.phase,
        kind: view.kind,
        updated_ms: view.updated_ms,
    }
}

/// Whether a job is a single connector.
pub(crate) fn is_connector(view: &JobView) -> bool {
    view.kind == JobKind::Connector
}
