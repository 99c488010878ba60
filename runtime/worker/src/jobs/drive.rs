//! The loop: what happens goes to the engine, what it decides is carried out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use connect_cluster::jobs::record::{Definition, JobRecord, Order, StoredKind, StoredNotice, is_report};
use connect_cluster::jobs::{Engine, JobEvent, JobsEffect, JobsEvent, Notice, Outcome};
use connect_cluster::{ClusterView, Herd, HerdError};
use connect_kafka::LogRecord;
use parking_lot::RwLock;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::report::Reporter;
use super::retention::Watch;
use super::start::{World, event_of};
use super::work;
use crate::herd::Latest;
use crate::metrics::{WorkerMetrics, now_ms};
use crate::webhooks::{EventFields, EventKind, Outbox, OutboxEvent, Webhook};

/// What reaches the loop.
pub(super) enum Input {
    Record(LogRecord),
    Loaded,
    Act { order: Order, job: String, answer: oneshot::Sender<Result<Vec<String>, HerdError>> },
    ActOnAll { order: Order, answer: oneshot::Sender<Result<Vec<String>, HerdError>> },
    Define { job: String, definition: Option<Definition>, answer: oneshot::Sender<Result<(), HerdError>> },
    Committed { token: u64, outcome: Result<(), String> },
    Done { job: String, order: String, step: usize, outcome: Result<Outcome, String> },
    Delivered { job: String, webhook: String, seq: u64 },
    Shutdown(oneshot::Sender<()>),
}

/// Inputs that may wait for the loop.
pub(super) const INBOX: usize = 1_024;
/// Events that a slow reader may be behind before it misses some.
pub(super) const EVENTS: usize = 1_024;
/// How often the engine looks at its clock.
const TICK: Duration = Duration::from_millis(250);
/// The shortest time between two reports.
const REPORT_MIN: Duration = Duration::from_millis(50);
/// How long the last reports may take.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Numbers above this are ours: the engine counts its own from 1.
const DEFINES: u64 = 1 << 48;

/// A definition on its way to the topic: of this job, and who waits for it.
pub(super) struct Define {
    job: String,
    definition: Option<Definition>,
    answer: oneshot::Sender<Result<(), HerdError>>,
}

/// The running loop.
pub(super) struct Drive {
    pub(super) engine: Arc<RwLock<Engine>>,
    pub(super) world: Arc<World>,
    pub(super) herd: Arc<dyn Herd>,
    pub(super) view: Arc<ArcSwap<ClusterView>>,
    /// Woken when the view is a new one.
    pub(super) published: Arc<Notify>,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) writer: Latest,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) events: broadcast::Sender<JobEvent>,
    pub(super) outbox: Outbox,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) reporter: Reporter,
    pub(super) watch: Watch,
    /// `job.progress.interval.ms`.
    pub(super) progress_every: Duration,
    /// `job.retention.check.interval.ms`.
    pub(super) retention_every: Duration,
    pub(super) seen: Option<Arc<ClusterView>>,
    pub(super) answers: HashMap<u64, oneshot::Sender<Result<Vec<String>, HerdError>>>,
    pub(super) defines: HashMap<u64, Define>,
    pub(super) next: u64,
    pub(super) changed: BTreeSet<Arc<str>>,
    pub(super) told: HashMap<Arc<str>, Instant>,
    pub(super) loaded: bool,
    pub(super) leading: bool,
}

impl Drive {
    /// Runs until it is told to end, or nobody is left who could.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reports = tokio::time::interval(self.progress_every.max(REPORT_MIN));
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let published = Arc::clone(&self.published);
        let done = loop {
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(Input::Shutdown(done)) => break Some(done),
                    Some(input) => self.take(input),
                    None => break None,
                },
                () = published.notified() => self.look(),
                _ = ticks.tick() => {
                    self.look();
                    self.step(JobsEvent::Tick);
                    self.tell_changes();
                }
                _ = reports.tick() => {
                    self.look();
                    self.report();
                }
            }
        };
        self.report();
        self.outbox.lead(false);
        self.writer.finish(END_LIMIT).await;
        self.outbox.stop().await;
        if let Some(done) = done
            && done.send(()).is_err()
        {
            tracing::debug!("nobody waits for the end of the jobs");
        }
    }

    fn take(&mut self, input: Input) {
        // What was done is to be seen before it is said to be done.
        self.look();
        match input {
            Input::Record(record) => {
                if let Some(event) = event_of(record) {
                    self.step(event);
                }
            }
            Input::Loaded => {
                self.loaded = true;
                self.step(JobsEvent::Loaded);
            }
            Input::Act { order, job, answer } => {
                let request = self.expect(answer);
                self.step(JobsEvent::Act { request, order, job });
            }
            Input::ActOnAll { order, answer } => {
                let request = self.expect(answer);
                self.step(JobsEvent::ActOnAll { request, order });
            }
            Input::Define { job, definition, answer } => {
                let token = DEFINES + self.number();
                self.commit(token, &[JobRecord::Job(job.clone(), definition.clone())]);
                self.defines.insert(token, Define { job, definition, answer });
            }
            Input::Committed { token, outcome } => self.committed(token, outcome),
            Input::Done { job, order, step, outcome } => self.step(JobsEvent::Done { job, order, step, outcome }),
            Input::Delivered { job, webhook, seq } => self.step(JobsEvent::Delivered { job, webhook, seq }),
            Input::Shutdown(_) => {}
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn expect(&mut self, answer: oneshot::Sender<Result<Vec<String>, HerdError>>) -> u64 {
        let request = self.number();
        self.answers.insert(request, answer);
        request
    }

    fn committed(&mut self, token: u64, outcome: Result<(), String>) {
        let Some(Define { job, definition, answer }) = self.defines.remove(&token) else {
            self.step(JobsEvent::Committed { token, outcome });
            return;
        };
        let outcome = match outcome {
            Ok(()) => {
                self.step(JobsEvent::Define { job, definition });
                Ok(())
            }
            Err(error) => Err(HerdError::internal(format!("Failed to write to the topic of jobs: {error}"))),
        };
        if answer.send(outcome).is_err() {
            tracing::debug!("a client went away before its answer");
        }
    }

    /// Takes the newest snapshot of the cluster.
    fn look(&mut self) {
        let view = self.view.load_full();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &view)) {
            return;
        }
        self.seen = Some(Arc::clone(&view));
        self.step(JobsEvent::View(view));
        let leading = self.engine.read().still_leads();
        if leading != self.leading {
            self.leading = leading;
            self.outbox.lead(leading);
        }
    }

    /// Tells the other workers how far this one's tasks are.
    fn report(&mut self) {
        let Some(view) = self.seen.clone().filter(|view| view.loaded && self.loaded) else { return };
        let now = now_ms();
        self.watch.look(&self.world, &view, self.retention_every, now);
        let retention = self.watch.reports();
        let reports = self.reporter.reports(now, &self.metrics, &view, &retention, self.engine.read().log());
        for report in reports {
            self.writer.put(report.encode());
            self.step(JobsEvent::Report(report));
        }
    }

    /// Writes records, and hears of it when they are safe.
    fn commit(&self, token: u64, records: &[JobRecord]) {
        let (outcome, inbox) = (self.writer.commit(records.iter().map(JobRecord::encode)), self.inbox.clone());
        tokio::spawn(async move {
            let outcome = outcome.await.unwrap_or_else(|_| Err("the worker is shutting down".to_owned()));
            if inbox.send(Input::Committed { token, outcome }).await.is_err() {
                tracing::debug!("the jobs have ended");
            }
        });
    }

    fn step(&mut self, event: JobsEvent) {
        let mut effects = Vec::new();
        self.engine.write().step(now_ms(), event, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: JobsEffect) {
        match effect {
            JobsEffect::Put(records) => records.iter().for_each(|record| self.writer.put(record.encode())),
            JobsEffect::Commit { token, records } => self.commit(token, &records),
            JobsEffect::Forget => self.writer.forget(is_report),
            JobsEffect::Do { job, order, step, work } => {
                tracing::info!(job, step = ?work, "a step of a command of a job");
                let (world, herd, inbox) = (Arc::clone(&self.world), Arc::clone(&self.herd), self.inbox.clone());
                tokio::spawn(async move {
                    let doing = tokio::spawn(work::done(world, herd, work));
                    let outcome = match doing.await {
                        Ok(outcome) => outcome,
                        Err(error) => Err(format!("it broke off: {error}")),
                    };
                    if let Err(trouble) = &outcome {
                        tracing::warn!(job, trouble, "a step of a command of a job failed, trying again");
                    }
                    if inbox.send(Input::Done { job, order, step, outcome }).await.is_err() {
                        tracing::debug!("the jobs have ended");
                    }
                });
            }
            JobsEffect::Reply { request, outcome } => {
                if let Some(answer) = self.answers.remove(&request)
                    && answer.send(outcome).is_err()
                {
                    tracing::debug!("a client went away before its answer");
                }
            }
            JobsEffect::Notice { job, notice } => self.notice(job, notice),
            JobsEffect::Changed(job) => drop(self.changed.insert(job)),
            JobsEffect::Offer { job, entry } => {
                let own = entry.definition.as_ref().and_then(|definition| definition.options.get("webhooks"));
                let mut hooks = self.webhooks.clone();
                match own.map(Webhook::parse_option) {
                    Some(Ok(own)) => hooks.extend(own),
                    Some(Err(problem)) => tracing::warn!(job = &*job, problem, "webhooks of a job can't be used"),
                    None => {}
                }
                let events: Vec<OutboxEvent> =
                    entry.recorded.notices.iter().map(|notice| outbox_event(&job, notice)).collect();
                self.outbox.offer(&job, &hooks, &entry.sent.0, &events);
            }
            JobsEffect::Gone(job) => {
                self.changed.remove(&job);
                self.told.remove(&job);
                self.outbox.forget(&job);
            }
        }
    }

    /// A notice goes to the log, and to whoever listens.
    fn notice(&self, job: Arc<str>, notice: StoredNotice) {
        let error = notice.error.clone();
        let of = match notice.what {
            StoredKind::StateChanged { from, to, cause } => {
                let before = from.map_or("none", connect_cluster::jobs::JobState::name);
                tracing::info!(job = &*job, from = before, to = to.name(), cause, error, "the state of a job changed");
                let phase = notice.phase.as_deref().and_then(connect_api::Phase::from_name);
                Notice::StateChanged { from, to, phase, error, cause }
            }
            StoredKind::Warning { message } => {
                tracing::warn!(job = &*job, message, "a job needs attention");
                Notice::Warning { message }
            }
            StoredKind::Failing { since_ms } => {
                tracing::warn!(job = &*job, since_ms, error, "a job has been failing for a while");
                Notice::Failing { error, since_ms }
            }
            StoredKind::Flapping { failures, within_ms } => {
                tracing::warn!(job = &*job, failures, within_ms, "a job fails again and again");
                Notice::Flapping { failures, within_ms }
            }
        };
        self.send(JobEvent { job, at_ms: notice.at_ms, notice: of });
    }

    fn send(&self, event: JobEvent) {
        // Nobody may be listening.
        let _listeners = self.events.send(event);
    }

    /// Tells listeners what has changed of jobs, each at most once in the interval of progress.
    fn tell_changes(&mut self) {
        if self.events.receiver_count() == 0 {
            self.changed.clear();
            return;
        }
        let now = Instant::now();
        let due = |told: Option<&Instant>| told.is_none_or(|told| now - *told >= self.progress_every);
        let jobs: Vec<Arc<str>> = self.changed.iter().filter(|job| due(self.told.get(*job))).cloned().collect();
        for job in jobs {
            self.changed.remove(&job);
            self.told.insert(Arc::clone(&job), now);
            let at_ms = now_ms();
            let view = self.engine.read().view_of(&job, at_ms);
            if let Some(view) = view {
                self.send(JobEvent { job, at_ms, notice: Notice::Progress(Box::new(view)) });
            }
        }
    }
}

/// A notice as webhooks get it. Its name is the same whoever tells it.
fn outbox_event(job: &Arc<str>, notice: &StoredNotice) -> OutboxEvent {
    let mut fields = EventFields { phase: notice.phase.clone(), error: notice.error.clone(), ..EventFields::default() };
    let kind = match &notice.what {
        StoredKind::StateChanged { from, to, .. } => {
            fields.previous_state = from.map(|state| state.name().to_owned());
            fields.new_state = Some(to.name().to_owned());
            EventKind::StateChanged
        }
        StoredKind::Warning { message } => {
            fields.message = Some(message.clone());
            EventKind::Warning
        }
        StoredKind::Failing { .. } => {
            fields.message = Some("the job has been failing for a while".to_owned());
            EventKind::Failing
        }
        StoredKind::Flapping { failures, within_ms } => {
            fields.message = Some(format!("{failures} failures within {} s", within_ms / 1_000));
            EventKind::Flapping
        }
    };
    let id = format!("{job}-{}-{}", notice.at_ms, notice.seq);
    OutboxEvent { seq: notice.seq, id, at_ms: notice.at_ms, job: Arc::clone(job), kind, fields }
}
