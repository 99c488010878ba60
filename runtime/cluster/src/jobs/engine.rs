//! One worker's jobs: it reads the topic and looks at the cluster; as the leader it also writes down what it sees and
//! carries commands on.
//!
//! [`Engine::step`] takes the time and an event and gives effects. Invariants:
//! 1. A command is in the topic before anything is done for it, and each step is noted before the next begins.
//! 2. Only the leader writes about jobs; every worker writes about its own tasks only.
//! 3. A request is answered exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connect_api::{CleanUp, Phase};

use super::derive::{Derived, derive};
use super::keep::{Alerts, Seen, keep, waits};
use super::log::{Entry, JobsLog};
use super::members::{Members, job_of, members, names};
use super::record::{Definition, JobRecord, Order, Recorded, Sent, SinkEnd, is_report};
use super::settle::{Passing, settle};
use super::view::{Action, JobState};
use crate::herd::{ClusterView, ConnectorId, HerdError, Target, TaskId};
use crate::herder::RequestId;

/// How long it may take to make a job; until then it may be without any connector.
const MAKING_MS: i64 = 300_000;
/// How long its connectors may be unseen after they were made.
const SEEN_MS: i64 = 10_000;
/// How often all jobs are looked at, also those of which nothing is new.
const LOOK_MS: i64 = 5_000;
/// How long a source may take to say how far it is.
const UNHEARD_MS: i64 = 3_000;
/// How many records of one key may be on their way.
const OWN_MAX: usize = 64;

/// What happens to an engine.
#[derive(Debug)]
pub enum JobsEvent {
    /// The next record of the topic.
    Record { key: String, value: Option<Vec<u8>> },
    /// The topic was read to its end for the first time.
    Loaded,
    /// The cluster looks different.
    View(Arc<ClusterView>),
    /// A report of this worker about a task or connector of its own. It is in the topic, or on its way there.
    Report(JobRecord),
    /// A user's action on a job.
    Act { request: RequestId, order: Order, job: String },
    /// The same for all jobs that allow it.
    ActOnAll { request: RequestId, order: Order },
    /// A job is to be defined, changed, or taken back: its record is on its way.
    Define { job: String, definition: Option<Definition> },
    /// The answer to [`JobsEffect::Commit`].
    Committed { token: u64, outcome: Result<(), String> },
    /// The answer to [`JobsEffect::Do`].
    Done { job: String, order: String, step: usize, outcome: Result<Outcome, String> },
    /// Webhooks have got a notice.
    Delivered { job: String, webhook: String, seq: u64 },
    /// Time passed.
    Tick,
}

/// What a step found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub log_end: Option<u64>,
    pub ends: Vec<SinkEnd>,
    /// A verification: what has not been committed yet.
    pub missing: Option<String>,
}

/// Something that the worker does for a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    DropDestinations { source: Option<String>, sinks: Vec<String> },
    Target { connectors: Vec<String>, target: Target },
    LogEnd { source: String },
    TopicEnds { sinks: Vec<String> },
    Verify { ends: Vec<SinkEnd> },
    CleanUp { source: String, what: CleanUp },
    ResetOffsets { source: String },
    RestartFailed { connectors: Vec<String> },
    DeleteConnectors { connectors: Vec<String> },
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum JobsEffect {
    /// Write these soon; of a key only the newest counts.
    Put(Vec<JobRecord>),
    /// What was put about jobs and is not written is not to be written any more: another worker leads.
    Forget,
    /// Write these, and say when they are safe.
    Commit { token: u64, records: Vec<JobRecord> },
    /// Do this, and say what came of it.
    Do { job: String, order: String, step: usize, work: Work },
    /// Answer: these jobs were changed.
    Reply { request: RequestId, outcome: Result<Vec<String>, HerdError> },
    /// A notice of a job is new to this worker.
    Notice { job: Arc<str>, notice: super::record::StoredNotice },
    /// Something that is shown of a job is new.
    Changed(Arc<str>),
    /// Webhooks of a job may have something to get (leader only).
    Offer { job: Arc<str>, entry: Arc<Entry> },
    /// A job is gone.
    Gone(Arc<str>),
}

/// A step that is being done.
#[derive(Clone, Debug)]
pub(super) struct Busy {
    pub order: String,
    pub step: usize,
    /// It is with the worker.
    pub in_flight: bool,
    /// After a failure: when it is tried again.
    pub retry_at_ms: i64,
    pub failures: u32,
}

/// Requests that wait.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub request: RequestId,
    /// The jobs, with the commands that it waits for.
    pub jobs: BTreeMap<String, String>,
    pub answer: Vec<String>,
    /// Until the command is done; else until its first targets are written.
    pub to_the_end: bool,
    pub deadline_ms: i64,
}

/// Orders that are being written.
#[derive(Clone, Debug)]
pub(super) struct Committing {
    pub request: RequestId,
    pub orders: Vec<(String, Order)>,
}

/// One worker's jobs.
pub struct Engine {
    pub(super) alerts: Alerts,
    /// `job.recovery.attempts.max`, shown where nothing has failed.
    pub(super) attempts_max: u32,
    pub(super) log: JobsLog,
    pub(super) view: Arc<ClusterView>,
    pub(super) loaded: bool,
    /// The newest record of each key that this worker wrote and has not read back.
    own: BTreeMap<String, Vec<Option<String>>>,
    passing: BTreeMap<Arc<str>, Passing>,
    /// Jobs of which something may become new just because time passes.
    restless: BTreeSet<Arc<str>>,
    /// When all jobs are to be looked at: at the next tick when it may have changed which jobs there are.
    look_at_ms: i64,
    /// The state that is shown of each job.
    pub(super) shown: BTreeMap<Arc<str>, Derived>,
    /// The last notice of each job that this worker knows.
    heard: BTreeMap<Arc<str>, u64>,
    pub(super) busy: BTreeMap<String, Busy>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) committing: BTreeMap<u64, Committing>,
    pub(super) next_token: u64,
    pub(super) now_ms: i64,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(alerts: Alerts, attempts_max: u32) -> Self {
        Self {
            alerts,
            attempts_max,
            log: JobsLog::default(),
            view: Arc::default(),
            loaded: false,
            own: BTreeMap::new(),
            passing: BTreeMap::new(),
            restless: BTreeSet::new(),
            look_at_ms: 0,
            shown: BTreeMap::new(),
            heard: BTreeMap::new(),
            busy: BTreeMap::new(),
            waiters: Vec::new(),
            committing: BTreeMap::new(),
            next_token: 1,
            now_ms: 0,
        }
    }

    /// Takes an event; adds what is to be done. `now_ms` is in milliseconds since 1970.
    pub fn step(&mut self, now_ms: i64, event: JobsEvent, out: &mut Vec<JobsEffect>) {
        self.now_ms = now_ms;
        match event {
            JobsEvent::Record { key, value } => self.on_record(&key, value.as_deref(), out),
            JobsEvent::Loaded => {
                self.loaded = true;
                self.look_at_all(out);
            }
            JobsEvent::View(view) => self.on_view(view, out),
            JobsEvent::Report(report) => {
                let job = self.job_of(&report);
                self.apply(report);
                self.look(&job, out);
                out.push(JobsEffect::Changed(job));
            }
            JobsEvent::Act { request, order, job } => self.on_act(request, order, job, out),
            JobsEvent::ActOnAll { request, order } => self.on_act_on_all(request, &order, out),
            JobsEvent::Define { job, definition } => {
                self.apply(JobRecord::Job(job.clone(), definition));
                self.look(&Arc::from(job), out);
            }
            JobsEvent::Committed { token, outcome } => self.on_committed(token, outcome, out),
            JobsEvent::Done { job, order, step, outcome } => self.on_done(&job, &order, step, outcome, out),
            JobsEvent::Delivered { job, webhook, seq } => self.on_delivered(&job, webhook, seq, out),
            JobsEvent::Tick => self.look_again(out),
        }
        self.conduct(out);
        self.answer_the_told(out);
        self.answer_the_overdue(out);
    }

    /// What is known.
    pub fn log(&self) -> &JobsLog {
        &self.log
    }

    /// True when this worker leads, so that it may write about jobs.
    pub fn leads(&self) -> bool {
        self.loaded && self.view.loaded && self.view.is_leader
    }

    /// Whether this worker leads, or did before the round of the group that is under way: it goes on telling then what it has
    /// told to begin with, and decides nothing.
    pub fn still_leads(&self) -> bool {
        self.loaded && self.view.loaded && self.view.still_leads()
    }

    /// The state that is shown of a job.
    pub fn shown(&self, job: &str) -> Option<&Derived> {
        self.shown.get(job)
    }

    /// The states of all jobs.
    pub fn all_shown(&self) -> impl Iterator<Item = (&Arc<str>, &Derived)> {
        self.shown.iter()
    }

    pub(super) fn entry(&self, job: &str) -> Arc<Entry> {
        self.log.entry(job).cloned().unwrap_or_default()
    }

    pub(super) fn members(&self, job: &str) -> Members {
        members(job, &self.log, &self.view)
    }

    /// Where a job is: as its source says, or, where it says nothing, streaming once it runs.
    pub(super) fn phase(&self, job: &str) -> Option<Phase> {
        let state = self.shown.get(job).map(|shown| shown.state);
        if state == Some(JobState::Running) && self.is_unheard_of(job) {
            return Some(Phase::Init);
        }
        phase(job, &self.log, &self.view, state)
    }

    /// It runs, and its source had no time yet to say how far it is. One that never says anything streams.
    fn is_unheard_of(&self, job: &str) -> bool {
        let since = self.log.entry(job).and_then(|entry| entry.recorded.running_since_ms);
        let members = self.members(job);
        let heard = members.source().is_none_or(|source| self.log.tasks_of(&source.info.name).next().is_some());
        !heard && since.is_none_or(|since| self.now_ms - since < UNHEARD_MS)
    }

    /// Writes about a job: known here at once, in the topic soon.
    pub(super) fn put(&mut self, record: JobRecord, out: &mut Vec<JobsEffect>) {
        self.write_ahead(&record);
        out.push(JobsEffect::Put(vec![record]));
    }

    /// Whether something that this worker wrote about a job's command has not come back from the topic.
    pub(super) fn is_unread(&self, job: &str) -> bool {
        ["command", "job"].iter().any(|kind| self.own.contains_key(&format!("{kind}-{job}")))
    }

    /// Takes what this worker is about to write.
    pub(super) fn write_ahead(&mut self, record: &JobRecord) {
        let (key, value) = record.encode();
        let own = self.own.entry(key).or_default();
        if own.len() >= OWN_MAX {
            own.remove(0);
        }
        own.push(value);
        self.apply(record.clone());
    }

    fn apply(&mut self, record: JobRecord) {
        if matches!(record, JobRecord::Job(..)) {
            self.look_at_ms = 0;
        }
        self.log.apply(record);
    }

    /// The job that a record is about.
    fn job_of(&self, record: &JobRecord) -> Arc<str> {
        match record {
            JobRecord::Task(TaskId { connector, .. }, _) | JobRecord::Connector(connector, _) => {
                job_of(connector, &self.log)
            }
            JobRecord::Job(job, _) | JobRecord::Order(job, _) | JobRecord::State(job, _) | JobRecord::Sent(job, _) => {
                Arc::from(job.as_str())
            }
        }
    }

    fn on_record(&mut self, key: &str, value: Option<&[u8]>, out: &mut Vec<JobsEffect>) {
        if self.is_own(key, value) || self.own.contains_key(key) {
            // What this worker wrote is newer, and comes later.
            return;
        }
        let Some(record) = JobRecord::decode(key, value) else { return };
        let job = self.job_of(&record);
        self.apply(record);
        if self.loaded {
            self.hear(&job, out);
            self.look(&job, out);
            out.push(JobsEffect::Changed(job));
        } else {
            let last = self.entry(&job).recorded.notices.last().map_or(0, |notice| notice.seq);
            self.heard.insert(job, last);
        }
    }

    /// Whether a record is one that this worker wrote: what is known here is that one already, or a newer one of its own.
    /// Records that were passed over by newer ones before they were written never come.
    fn is_own(&mut self, key: &str, value: Option<&[u8]>) -> bool {
        let Some(waiting) = self.own.get_mut(key) else { return false };
        let Some(at) = waiting.iter().position(|own| own.as_deref().map(str::as_bytes) == value) else { return false };
        waiting.drain(..=at);
        if waiting.is_empty() {
            self.own.remove(key);
        }
        true
    }

    fn on_view(&mut self, view: Arc<ClusterView>, out: &mut Vec<JobsEffect>) {
        let before = std::mem::replace(&mut self.view, view);
        if before.still_leads() && !self.view.still_leads() {
            // The next leader goes on where the topic says that this one was, and what this one has not written it must not
            // write any more.
            self.busy.clear();
            self.own.retain(|key, _| is_report(key));
            out.push(JobsEffect::Forget);
        }
        let mut changed: BTreeSet<Arc<str>> = BTreeSet::new();
        for (name, connector) in &self.view.connectors {
            if before.connectors.get(name).is_none_or(|old| !Arc::ptr_eq(old, connector)) {
                changed.insert(job_of(name, &self.log));
            }
        }
        let gone: Vec<ConnectorId> =
            before.connectors.keys().filter(|name| !self.view.connectors.contains_key(*name)).cloned().collect();
        changed.extend(gone.iter().map(|name| job_of(name, &self.log)));
        if self.leads() {
            let tasks =
                gone.iter().flat_map(|name| self.log.tasks_of(name)).map(|(id, _)| JobRecord::Task(id.clone(), None));
            let own = gone.iter().filter(|name| self.log.connector(name).is_some());
            let own = own.map(|name| JobRecord::Connector(Arc::clone(name), None));
            for record in tasks.chain(own).collect::<Vec<_>>() {
                self.put(record, out);
            }
        }
        if !before.loaded {
            self.look_at_ms = 0;
        }
        if !before.is_leader && self.view.is_leader {
            self.tidy(out);
            self.look_at_all(out);
            for job in self.shown.keys() {
                out.push(JobsEffect::Offer { job: Arc::clone(job), entry: self.entry(job) });
            }
            return;
        }
        for job in changed {
            self.look(&job, out);
            out.push(JobsEffect::Changed(job));
        }
    }

    /// Takes away what was told of connectors that are gone since nobody led.
    fn tidy(&mut self, out: &mut Vec<JobsEffect>) {
        if !self.leads() {
            return;
        }
        let here = |name: &str| self.view.connectors.contains_key(name);
        let tasks = self.log.tasks().filter(|(id, _)| !here(&id.connector));
        let connectors = self.log.connectors().filter(|name| !here(name));
        let gone: Vec<JobRecord> = tasks
            .map(|(id, _)| JobRecord::Task(id.clone(), None))
            .chain(connectors.map(|name| JobRecord::Connector(Arc::clone(name), None)))
            .collect();
        for record in gone {
            self.put(record, out);
        }
    }

    /// Looks at the jobs of which something may be new now.
    fn look_again(&mut self, out: &mut Vec<JobsEffect>) {
        if self.now_ms >= self.look_at_ms {
            self.look_at_all(out);
            return;
        }
        for job in self.restless.clone() {
            self.look(&job, out);
        }
    }

    fn look_at_all(&mut self, out: &mut Vec<JobsEffect>) {
        if !self.loaded || !self.view.loaded {
            return;
        }
        self.look_at_ms = self.now_ms + LOOK_MS;
        let names = names(&self.log, &self.view);
        let gone: Vec<Arc<str>> = self.shown.keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in names.iter().chain(&gone) {
            self.look(name, out);
        }
    }

    /// Looks at a job anew; the leader writes down what is new.
    pub(super) fn look(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        if !self.loaded || !self.view.loaded {
            return;
        }
        let entry = self.entry(job);
        let members = self.members(job);
        if members.connectors.is_empty() && !self.is_being_made(&entry) {
            self.forget(job, &entry, out);
            return;
        }
        if self.leads() && self.is_abandoned(&entry) {
            self.abandon(job, out);
            return;
        }
        let derived = derive(job, &entry, &members, &self.log, self.now_ms);
        let mut passing = self.passing.remove(job);
        let shown = settle(derived, &entry, &mut passing, self.now_ms);
        let mut restless = passing.is_some() || members.connectors.is_empty();
        if let Some(passing) = passing {
            self.passing.insert(Arc::clone(job), passing);
        }
        let changed = self.shown.get(job).is_none_or(|before| before.state != shown.state);
        self.shown.insert(Arc::clone(job), shown);
        if changed {
            out.push(JobsEffect::Changed(Arc::clone(job)));
        }
        self.write_down(job, &entry, &members, out);
        let entry = self.entry(job);
        let unmade = entry.definition.as_ref().is_some_and(|definition| definition.pipeline && !definition.made);
        restless |= unmade || entry.under_way().is_some() || waits(&entry.recorded);
        if restless {
            self.restless.insert(Arc::clone(job));
        } else {
            self.restless.remove(job);
        }
    }

    /// A job that was not made to the end in time, and that nobody has started all the same.
    fn is_abandoned(&self, entry: &Entry) -> bool {
        let unmade = entry.definition.as_ref().filter(|of| of.pipeline && !of.made && !of.started);
        let late = unmade.is_some_and(|of| self.now_ms - of.created_ms >= MAKING_MS);
        // Also when a deletion is done, and the view does not show it yet.
        late && entry.order.as_ref().is_none_or(|order| order.done_ms.is_some() && order.action != Action::Delete)
    }

    /// A job is written down before its connectors are made, and both come to a worker by different ways.
    fn is_being_made(&self, entry: &Entry) -> bool {
        let Some(definition) = entry.definition.as_ref().filter(|definition| definition.pipeline) else { return false };
        let deleted = entry.order.as_ref().is_some_and(|order| order.action == Action::Delete);
        let limit = if definition.made { SEEN_MS } else { MAKING_MS };
        !deleted && self.now_ms - definition.created_ms < limit
    }

    fn write_down(&mut self, job: &Arc<str>, entry: &Entry, members: &Members, out: &mut Vec<JobsEffect>) {
        if !self.leads() {
            return;
        }
        let Some(derived) = self.shown.get(job) else { return };
        // What a server keeps matters to a job that is to go on, not to one that has not begun or has ended.
        let matters =
            matches!(derived.state, JobState::Running | JobState::Starting | JobState::Paused | JobState::Failed);
        let streamed = entry.recorded.phase.as_deref() == Some(Phase::Streaming.name());
        let retention = members
            .source()
            .filter(|_| matters)
            .and_then(|source| self.log.task(&source.info.name, 0))
            // A task that lost its slot is back at its beginning; its position says that it is to go on.
            .filter(|report| streamed || report.has_position())
            .and_then(|report| report.retention.as_ref());
        let waits_for = self.waits_for(job);
        let seen = Seen { derived, phase: self.phase(job), retention, waits_for, now_ms: self.now_ms };
        if let Some(recorded) = keep(entry, &seen, &self.alerts) {
            self.record(job, recorded, out);
        }
    }

    /// Writes down a job's state.
    pub(super) fn record(&mut self, job: &Arc<str>, recorded: Recorded, out: &mut Vec<JobsEffect>) {
        self.put(JobRecord::State(job.to_string(), Some(Box::new(recorded))), out);
        self.hear(job, out);
        out.push(JobsEffect::Offer { job: Arc::clone(job), entry: self.entry(job) });
    }

    /// Passes on notices that are new to this worker.
    pub(super) fn hear(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        let entry = self.entry(job);
        let heard = self.heard.get(job).copied().unwrap_or(0);
        let notices = &entry.recorded.notices;
        for notice in notices.iter().filter(|notice| notice.seq > heard) {
            out.push(JobsEffect::Notice { job: Arc::clone(job), notice: notice.clone() });
        }
        if let Some(last) = notices.last() {
            self.heard.insert(Arc::clone(job), last.seq);
        }
    }

    /// A job that has no connectors any more leaves nothing.
    fn forget(&mut self, job: &Arc<str>, entry: &Entry, out: &mut Vec<JobsEffect>) {
        let known = self.shown.remove(job).is_some();
        self.passing.remove(job);
        self.restless.remove(job);
        self.busy.remove(&**job);
        self.answer_for_gone(job, out);
        let writes = self.leads() && *entry != Entry::default();
        if writes {
            self.bury(job, entry, out);
        }
        if known {
            out.push(JobsEffect::Gone(Arc::clone(job)));
        }
    }

    fn bury(&mut self, job: &Arc<str>, entry: &Entry, out: &mut Vec<JobsEffect>) {
        if entry.recorded.state != Some(JobState::Deleted) && entry.recorded.state.is_some() {
            let by = entry.order.as_ref().filter(|order| order.action == Action::Delete);
            let (cause, by) = match by.map(|order| order.by.as_str()) {
                None => ("deleted through Connect", "connect"),
                Some(by) => ("deleted by request", by),
            };
            let phase = entry.recorded.phase.as_deref().and_then(Phase::from_name);
            let recorded = super::keep::end(entry, JobState::Deleted, cause, by, phase, self.now_ms);
            self.record(job, recorded, out);
        }
        let name = job.to_string();
        for record in [
            JobRecord::Job(name.clone(), None),
            JobRecord::Order(name.clone(), None),
            JobRecord::State(name.clone(), None),
            JobRecord::Sent(name, None),
        ] {
            self.put(record, out);
        }
        self.heard.remove(job);
    }

    fn on_delivered(&mut self, job: &str, webhook: String, seq: u64, out: &mut Vec<JobsEffect>) {
        if !self.leads() || self.log.entry(job).is_none() {
            return;
        }
        let mut sent: Sent = self.entry(job).sent.clone();
        let known = sent.0.get(&webhook).copied().unwrap_or(0);
        if seq > known {
            sent.0.insert(webhook, seq);
            self.put(JobRecord::Sent(job.to_owned(), Some(sent)), out);
        }
    }
}

/// Where a job is.
pub(super) fn phase(job: &str, log: &JobsLog, view: &ClusterView, state: Option<JobState>) -> Option<Phase> {
    let members = members(job, log, view);
    let reported = members
        .source()
        .and_then(|source| log.tasks_of(&source.info.name).find_map(|(_, report)| report.phase.clone()))
        .and_then(|name| Phase::from_name(&name));
    let recorded = || log.entry(job).and_then(|entry| entry.recorded.phase.as_deref().and_then(Phase::from_name));
    match state {
        Some(JobState::Created) | None => None,
        Some(JobState::Running) => reported.or(Some(Phase::Streaming)),
        Some(state) if state.is_final() => recorded().or(reported),
        Some(_) => reported.or_else(recorded),
    }
}
