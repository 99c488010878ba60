//! Commands: taken, written, and carried on step by step by the leader.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::actions::{allows, is_there, listed};
use super::derive::Derived;
use super::engine::{Busy, Committing, Engine, JobsEffect, Outcome, Waiter, Work};
use super::keep::end;
use super::log::JobsLog;
use super::members::Members;
use super::plan::{Step, Who, before_put, before_read, is_quick, plan};
use super::record::{Definition, JobRecord, Order, Recorded, SinkEnd, TaskReport};
use super::view::{Action, JobState};
use crate::brief::brief;
use crate::herd::{ConnectorView, HerdError, State, Target};
use crate::herder::RequestId;

/// The wait before a step that failed is tried again; it doubles up to the longest.
const RETRY_MS: i64 = 500;
const RETRY_MS_MAX: i64 = 10_000;
/// The pause before it is gone on at an earlier step.
const BACK_MS: i64 = 1_000;
/// A worker tells at least so often that a task of its own runs; one that is silent for longer is gone.
const SILENT_MS: i64 = 15_000;

impl Engine {
    pub(super) fn on_act(&mut self, request: RequestId, order: Order, job: String, out: &mut Vec<JobsEffect>) {
        match self.accept(&job, &order) {
            Err(refused) => out.push(JobsEffect::Reply { request, outcome: Err(refused) }),
            Ok(Accepted::AlreadyThere) => out.push(JobsEffect::Reply { request, outcome: Ok(Vec::new()) }),
            Ok(Accepted::UnderWay(id)) => {
                let jobs = BTreeMap::from([(job, id)]);
                self.wait_for(request, jobs, Vec::new(), order.action, out);
            }
            Ok(Accepted::New) => self.commit(request, vec![(job, order)], out),
        }
    }

    pub(super) fn on_act_on_all(&mut self, request: RequestId, order: &Order, out: &mut Vec<JobsEffect>) {
        let jobs: Vec<String> = self.shown.keys().map(ToString::to_string).collect();
        let accepted = jobs.into_iter().filter(|job| matches!(self.accept(job, order), Ok(Accepted::New)));
        let orders: Vec<(String, Order)> = accepted
            .enumerate()
            .map(|(index, job)| {
                let id = format!("{}-{index}", order.id);
                (job, Order { id, ..order.clone() })
            })
            .collect();
        if orders.is_empty() {
            out.push(JobsEffect::Reply { request, outcome: Ok(Vec::new()) });
            return;
        }
        self.commit(request, orders, out);
    }

    fn accept(&self, job: &str, order: &Order) -> Result<Accepted, HerdError> {
        let Some(shown) = self.shown.get(job) else {
            return Err(HerdError::not_found(format!("Job {job} not found")));
        };
        let entry = self.entry(job);
        if let Some(under_way) = entry.under_way() {
            if under_way.action == order.action && under_way.cleanup == order.cleanup {
                return Ok(Accepted::UnderWay(under_way.id.clone()));
            }
            if under_way.action == Action::Delete {
                return Err(HerdError::conflict(format!("Job {job} is being deleted")));
            }
            let ends = matches!(under_way.action, Action::Complete | Action::Terminate | Action::Restart);
            if ends && !matches!(order.action, Action::Stop | Action::Delete) {
                return Err(HerdError::conflict(format!(
                    "Job {job} is busy with {}: {} is not possible. Allowed: stop, delete",
                    under_way.action.name(),
                    order.action.name()
                )));
            }
        } else if is_there(order.action, order.cleanup, shown.state) {
            // A job that shows its old state because its tasks have not followed yet was told something else meanwhile: it is
            // told again.
            let agrees = self.agrees(job, order.action);
            return Ok(if agrees { Accepted::AlreadyThere } else { Accepted::New });
        }
        let phase = self.phase(job);
        // A job that is to be started again is on its way there: asking for a pause right then is as good as later.
        let early = order.action == Action::Pause && matches!(shown.state, JobState::Pending | JobState::Starting);
        // A stopped job can still be cleaned up.
        let late = order.action == Action::Stop && order.cleanup && shown.state == JobState::Stopped;
        if early || late || allows(order.action, shown.state, phase) {
            return Ok(Accepted::New);
        }
        let allowed: Vec<&str> = listed(shown.state, phase).iter().map(|action| action.name()).collect();
        let during = phase.map(|phase| format!(" in phase {phase}")).unwrap_or_default();
        Err(HerdError::conflict(format!(
            "Job {job} is {}{during}: {} is not possible. Allowed: {}",
            shown.state.name(),
            order.action.name(),
            if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
        )))
    }

    /// Whether every connector already wants what an action would ask of it.
    fn agrees(&self, job: &str, action: Action) -> bool {
        let target = match action {
            Action::Start | Action::Resume => Target::Started,
            Action::Pause => Target::Paused,
            Action::Stop => Target::Stopped,
            _ => return true,
        };
        self.members(job).connectors.iter().all(|connector| connector.target == target)
    }

    fn commit(&mut self, request: RequestId, orders: Vec<(String, Order)>, out: &mut Vec<JobsEffect>) {
        let token = self.next_token;
        self.next_token += 1;
        let records = orders.iter().map(|(job, order)| JobRecord::Order(job.clone(), Some(order.clone()))).collect();
        self.committing.insert(token, Committing { request, orders });
        out.push(JobsEffect::Commit { token, records });
    }

    pub(super) fn on_committed(&mut self, token: u64, outcome: Result<(), String>, out: &mut Vec<JobsEffect>) {
        let Some(Committing { request, orders }) = self.committing.remove(&token) else { return };
        if let Err(error) = outcome {
            let message = format!("Failed to write to the topic of jobs: {error}");
            out.push(JobsEffect::Reply { request, outcome: Err(HerdError::internal(message)) });
            return;
        }
        let Some(action) = orders.first().map(|(_, order)| order.action) else { return };
        let (mut jobs, mut answer) = (BTreeMap::new(), Vec::new());
        for (job, order) in orders {
            jobs.insert(job.clone(), order.id.clone());
            answer.push(job.clone());
            // The topic may have brought it before, and it may be further already.
            if self.entry(&job).order.as_ref().is_none_or(|known| known.id != order.id) {
                self.log.apply(JobRecord::Order(job, Some(order)));
            }
        }
        self.wait_for(request, jobs, answer, action, out);
    }

    fn wait_for(
        &mut self,
        request: RequestId,
        jobs: BTreeMap<String, String>,
        answer: Vec<String>,
        action: Action,
        out: &mut Vec<JobsEffect>,
    ) {
        let to_the_end = action == Action::Delete;
        if !to_the_end && !is_quick(action) {
            out.push(JobsEffect::Reply { request, outcome: Ok(answer) });
            return;
        }
        let deadline_ms = self.now_ms + self.alerts.action_timeout_ms;
        self.waiters.push(Waiter { request, jobs, answer, to_the_end, deadline_ms });
    }

    /// Carries on what is under way.
    pub(super) fn conduct(&mut self, out: &mut Vec<JobsEffect>) {
        if !self.leads() {
            return;
        }
        let under_way: Vec<Arc<str>> = self
            .log
            .entries()
            .filter(|(_, entry)| entry.under_way().is_some())
            .map(|(job, _)| Arc::clone(job))
            .collect();
        for job in under_way {
            // Steps that only look may follow each other at once.
            while self.next_step(&job, out) {}
        }
    }

    /// True when a step was passed.
    fn next_step(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) -> bool {
        let entry = self.entry(job);
        let Some(order) = entry.under_way() else { return false };
        let Some(step) = plan(order.action, order.cleanup).get(order.step) else {
            self.finish(job, order.clone(), out);
            return false;
        };
        let same = |busy: &&Busy| busy.order == order.id && busy.step == order.step;
        if let Some(busy) = self.busy.get(&**job).filter(same)
            && (busy.in_flight || busy.retry_at_ms > self.now_ms)
        {
            return false;
        }
        let members = self.members(job);
        match self.work_of(*step, order, &members, entry.definition.as_ref()) {
            Next::Pass => {
                self.advance(job, order.clone(), out);
                true
            }
            Next::Wait => false,
            Next::Back(step, trouble) => {
                self.go_back(job, order.clone(), step, Some(trouble), out);
                false
            }
            // The step before has to be in the topic: the next leader must not do it again. What is done for a command that
            // was replaced is waited for.
            Next::Do(_) if self.is_unread(job) || self.is_busy_otherwise(job, order) => false,
            Next::Do(work) => {
                let failures = self.busy.get(&**job).filter(same).map_or(0, |busy| busy.failures);
                let busy =
                    Busy { order: order.id.clone(), step: order.step, in_flight: true, retry_at_ms: 0, failures };
                self.busy.insert(job.to_string(), busy);
                let (order_id, step) = (order.id.clone(), order.step);
                out.push(JobsEffect::Do { job: job.to_string(), order: order_id, step, work });
                false
            }
        }
    }

    /// A job that was never made to the end, by a worker that is gone: its definition goes. What connectors there are of those
    /// names stand for themselves then, stopped as they were made; who made them is not known for sure, so nothing is deleted.
    pub(super) fn abandon(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        self.put(JobRecord::Job(job.to_string(), None), out);
    }

    /// Goes on at an earlier step, after a pause.
    fn go_back(
        &mut self,
        job: &Arc<str>,
        order: Order,
        step: usize,
        trouble: Option<String>,
        out: &mut Vec<JobsEffect>,
    ) {
        let busy =
            Busy { order: order.id.clone(), step, in_flight: false, retry_at_ms: self.now_ms + BACK_MS, failures: 0 };
        self.busy.insert(job.to_string(), busy);
        self.put(JobRecord::Order(job.to_string(), Some(Order { step, trouble, ..order })), out);
        out.push(JobsEffect::Changed(Arc::clone(job)));
    }

    /// Whether something is still being done for a command that another one has replaced.
    fn is_busy_otherwise(&self, job: &str, order: &Order) -> bool {
        self.busy.get(job).is_some_and(|busy| busy.in_flight && busy.order != order.id)
    }

    fn work_of(&self, step: Step, order: &Order, members: &Members, definition: Option<&Definition>) -> Next {
        let source = members.source().map(|source| source.info.name.to_string());
        let sinks = || members.sinks().map(|sink| sink.info.name.to_string()).collect::<Vec<_>>();
        match step {
            Step::DropDestinations => {
                let asked = definition.is_some_and(|definition| {
                    !definition.dropped && super::options::drops_destinations(&definition.options)
                });
                if asked { Next::Do(Work::DropDestinations { source, sinks: sinks() }) } else { Next::Pass }
            }
            Step::Target(who, target) => {
                let connectors = who_of(who, members).map(|connector| connector.info.name.to_string()).collect();
                Next::Do(Work::Target { connectors, target })
            }
            Step::AwaitStopped(who) => {
                if who_of(who, members).all(|connector| self.is_down(connector)) {
                    Next::Pass
                } else {
                    Next::Wait
                }
            }
            Step::VerifySource => match self.unsettled(members) {
                Some(trouble) => Next::Back(before_read(order.action, order.cleanup), trouble),
                None => Next::Pass,
            },
            Step::LogEnd => source.map_or(Next::Pass, |source| Next::Do(Work::LogEnd { source })),
            Step::AwaitResolved => {
                let Some(end) = order.log_end else { return Next::Pass };
                if self.resolved(members).is_some_and(|resolved| resolved >= end) { Next::Pass } else { Next::Wait }
            }
            Step::TopicEnds => Next::Do(Work::TopicEnds { sinks: sinks() }),
            Step::AwaitPut => {
                if self.behind(order).is_none() {
                    Next::Pass
                } else {
                    Next::Wait
                }
            }
            Step::Verify => Next::Do(Work::Verify { ends: order.ends.clone() }),
            // A job that never ran has made nothing: what has its names belongs to somebody else.
            Step::CleanUp(_) if definition.is_some_and(|definition| !definition.started) => Next::Pass,
            Step::CleanUp(what) => source.map_or(Next::Pass, |source| Next::Do(Work::CleanUp { source, what })),
            Step::ResetOffsets => source.map_or(Next::Pass, |source| Next::Do(Work::ResetOffsets { source })),
            Step::RestartFailed => Next::Do(Work::RestartFailed { connectors: members.names() }),
            Step::DeleteConnectors => Next::Do(Work::DeleteConnectors { connectors: members.names() }),
        }
    }

    /// Up to where the source has read its log.
    fn resolved(&self, members: &Members) -> Option<u64> {
        let source = members.source()?;
        self.log.tasks_of(&source.info.name).filter_map(|(_, report)| report.stream.as_ref()?.resolved).max()
    }

    /// What a source that has stopped was not able to bring to Kafka.
    fn unsettled(&self, members: &Members) -> Option<String> {
        let source = members.source()?;
        let lost = |report: &TaskReport| report.unsettled.filter(|records| *records > 0);
        let records = self.log.tasks_of(&source.info.name).find_map(|(_, report)| lost(report))?;
        Some(format!("{records} records of {} were not acknowledged by Kafka when it stopped", source.info.name))
    }

    /// The first partition that a sink has not put yet.
    fn behind<'a>(&self, order: &'a Order) -> Option<&'a SinkEnd> {
        order.ends.iter().find(|end| {
            let put = self
                .log
                .tasks_of(&Arc::from(end.sink.as_str()))
                .flat_map(|(_, report)| &report.put)
                .filter(|put| put.topic == end.topic && put.partition == end.partition)
                .map(|put| put.next)
                .max();
            end.end > 0 && put.is_none_or(|next| next < end.end)
        })
    }

    /// True when nothing of a connector runs any more, and nothing of it is in flight.
    fn is_down(&self, connector: &ConnectorView) -> bool {
        let quiet = connector.status.as_ref().is_none_or(|status| {
            let down = |state| matches!(state, State::Stopped | State::Failed | State::Unassigned | State::Destroyed);
            down(status.connector.state) && status.tasks.iter().all(|(_, task)| down(task.state))
        });
        let heard = |at_ms: i64| self.now_ms - at_ms < SILENT_MS;
        let works = |report: &TaskReport| {
            // One that is about to be tried again has not heard yet that it is to stop.
            let tried = report.recovery.as_ref().is_some_and(|recovery| recovery.next_attempt_ms.is_some());
            (report.live || tried) && heard(report.at_ms)
        };
        quiet && !self.log.tasks_of(&connector.info.name).any(|(_, report)| works(report))
    }

    /// What a command under way waits for, in a few words.
    pub(super) fn waits_for(&self, job: &str) -> Option<String> {
        let entry = self.entry(job);
        let order = entry.under_way()?;
        let step = plan(order.action, order.cleanup).get(order.step)?;
        let members = self.members(job);
        let what = match step {
            Step::DropDestinations => "the destination's collections to be dropped".to_owned(),
            Step::Target(..) => "its connectors to be told".to_owned(),
            Step::AwaitStopped(_) => {
                let busy = members.connectors.iter().find(|connector| !self.is_down(connector));
                format!("connector {} to stop", busy.map_or("", |connector| &connector.info.name))
            }
            Step::LogEnd => "the source's system to say where its log ends".to_owned(),
            Step::AwaitResolved => {
                let (end, at) = (order.log_end.unwrap_or(0), self.resolved(&members));
                let at = at.map_or_else(|| "an unknown place".to_owned(), lsn);
                format!("the source to read up to {}; it is at {at}", lsn(end))
            }
            Step::VerifySource => "the source's records to be acknowledged by Kafka".to_owned(),
            Step::TopicEnds => "Kafka to say where the topics end".to_owned(),
            Step::AwaitPut => match self.behind(order) {
                Some(end) => format!("sink {} to write {}-{} up to {}", end.sink, end.topic, end.partition, end.end),
                None => "the sinks".to_owned(),
            },
            Step::Verify => "the sinks' offsets to be committed".to_owned(),
            Step::CleanUp(_) => "the slot and what else was made at the source's system to be dropped".to_owned(),
            Step::ResetOffsets => "the source's position to be forgotten".to_owned(),
            Step::RestartFailed => "what failed to be restarted".to_owned(),
            Step::DeleteConnectors => "its connectors to be deleted".to_owned(),
        };
        Some(match &order.trouble {
            Some(trouble) => format!("{what} (last attempt: {trouble})"),
            None => what,
        })
    }

    pub(super) fn on_done(
        &mut self,
        job: &str,
        order_id: &str,
        step: usize,
        outcome: Result<Outcome, String>,
        out: &mut Vec<JobsEffect>,
    ) {
        let entry = self.entry(job);
        let mine = |busy: &&Busy| busy.order == order_id && busy.step == step;
        let failures = self.busy.get(job).filter(mine).map_or(0, |busy| busy.failures) + 1;
        if self.busy.get(job).filter(mine).is_some() {
            self.busy.remove(job);
        }
        let current = entry.under_way().filter(|order| order.id == order_id && order.step == step);
        let (Some(order), true) = (current, self.leads()) else { return };
        let (job, mut order) = (Arc::<str>::from(job), order.clone());
        match outcome {
            Err(trouble) => self.failed(&job, order, failures, brief(trouble), out),
            Ok(outcome) => {
                let of = plan(order.action, order.cleanup).get(step).copied();
                match of {
                    Some(Step::LogEnd) => order.log_end = outcome.log_end,
                    Some(Step::TopicEnds) => order.ends = outcome.ends,
                    Some(Step::DropDestinations) => self.destinations_dropped(&job, out),
                    Some(Step::Verify) if outcome.missing.is_some() => {
                        let back = before_put(order.action, order.cleanup);
                        self.go_back(&job, order, back, outcome.missing, out);
                        return;
                    }
                    // What has ended keeps what it did.
                    Some(Step::ResetOffsets) if matches!(order.action, Action::Stop | Action::Restart) => {
                        self.forget_progress(&job, out);
                    }
                    _ => {}
                }
                self.advance(&job, order, out);
            }
        }
    }

    fn destinations_dropped(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        if let Some(definition) = self.entry(job).definition.clone() {
            let definition = Definition { dropped: true, ..definition };
            self.put(JobRecord::Job(job.to_string(), Some(definition)), out);
        }
    }

    /// A source that begins anew has no phase, no tables and no checkpoint.
    fn forget_progress(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        let source = self.members(job).source().map(|source| Arc::clone(&source.info.name));
        let tasks: Vec<_> = source.iter().flat_map(|name| self.log.tasks_of(name)).map(|(id, _)| id.clone()).collect();
        for id in tasks {
            self.put(JobRecord::Task(id, None), out);
        }
        let recorded = Recorded { phase: None, warned: 0, ..self.entry(job).recorded.clone() };
        self.put(JobRecord::State(job.to_string(), Some(Box::new(recorded))), out);
    }

    fn failed(&mut self, job: &Arc<str>, order: Order, failures: u32, trouble: String, out: &mut Vec<JobsEffect>) {
        let wait = RETRY_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MS_MAX);
        let (id, step) = (order.id.clone(), order.step);
        let busy = Busy { order: id, step, in_flight: false, retry_at_ms: self.now_ms + wait, failures };
        self.busy.insert(job.to_string(), busy);
        if order.trouble.as_ref() != Some(&trouble) {
            self.put(JobRecord::Order(job.to_string(), Some(Order { trouble: Some(trouble), ..order })), out);
            out.push(JobsEffect::Changed(Arc::clone(job)));
        }
    }

    /// Notes that a step is done.
    fn advance(&mut self, job: &Arc<str>, order: Order, out: &mut Vec<JobsEffect>) {
        let done = order.step;
        let order = Order { step: done + 1, trouble: None, ..order };
        self.busy.remove(&**job);
        let told = matches!(plan(order.action, order.cleanup).get(done), Some(Step::Target(..) | Step::RestartFailed));
        if told && matches!(order.action, Action::Start | Action::Resume | Action::Retry | Action::Restart) {
            self.note_started(job, out);
        }
        if order.step >= plan(order.action, order.cleanup).len() {
            self.finish(job, order, out);
        } else {
            self.put(JobRecord::Order(job.to_string(), Some(order)), out);
        }
        self.look(job, out);
    }

    /// A job that was asked to run is not merely created any more.
    fn note_started(&mut self, job: &Arc<str>, out: &mut Vec<JobsEffect>) {
        if let Some(definition) = self.entry(job).definition.clone().filter(|definition| !definition.started) {
            let definition = Definition { started: true, ..definition };
            self.put(JobRecord::Job(job.to_string(), Some(definition)), out);
        }
    }

    fn finish(&mut self, job: &Arc<str>, order: Order, out: &mut Vec<JobsEffect>) {
        let ended = match order.action {
            Action::Complete => Some((JobState::Completed, "CDC Completed")),
            Action::Terminate => Some((JobState::Cancelled, "Snapshot cancelled")),
            _ => None,
        };
        let order = Order { done_ms: Some(self.now_ms), trouble: None, ..order };
        let by = order.by.clone();
        // The end first: a leader that comes in between does the rest again.
        if let Some((state, reason)) = ended.filter(|(state, _)| self.entry(job).recorded.state != Some(*state)) {
            let phase = self.phase(job);
            let recorded = end(&self.entry(job), state, reason, &by, phase, self.now_ms);
            let shown = Derived { state, cause: reason.to_owned(), error: None, recovery: None, passing: false };
            self.shown.insert(Arc::clone(job), shown);
            self.record(job, recorded, out);
            out.push(JobsEffect::Changed(Arc::clone(job)));
        }
        self.put(JobRecord::Order(job.to_string(), Some(order)), out);
    }

    /// Answers those whose commands are far enough, whichever leader carried them on.
    pub(super) fn answer_the_told(&mut self, out: &mut Vec<JobsEffect>) {
        if self.waiters.is_empty() {
            return;
        }
        for mut waiter in std::mem::take(&mut self.waiters) {
            let replaced = waiter.jobs.iter().find_map(|(job, id)| self.replaced(job, id).map(|by| (job.clone(), by)));
            if let Some((job, by)) = replaced {
                let message = format!("The command for job {job} was replaced by {}", by.name());
                out.push(JobsEffect::Reply { request: waiter.request, outcome: Err(HerdError::conflict(message)) });
                continue;
            }
            let to_the_end = waiter.to_the_end;
            waiter.jobs.retain(|job, id| !is_far_enough(&self.log, job, id, to_the_end));
            if waiter.jobs.is_empty() {
                out.push(JobsEffect::Reply { request: waiter.request, outcome: Ok(waiter.answer) });
            } else {
                self.waiters.push(waiter);
            }
        }
    }

    /// The command that came in place of another one.
    fn replaced(&self, job: &str, id: &str) -> Option<Action> {
        let entry = self.log.entry(job)?;
        entry.order.as_ref().filter(|order| order.id != id).map(|order| order.action)
    }

    /// Answers those who waited for a job that is gone now.
    pub(super) fn answer_for_gone(&mut self, job: &str, out: &mut Vec<JobsEffect>) {
        self.answer_where(out, |waiter| waiter.jobs.remove(job).is_some());
    }

    fn answer_where(&mut self, out: &mut Vec<JobsEffect>, mut take: impl FnMut(&mut Waiter) -> bool) {
        self.waiters.retain_mut(|waiter| {
            let answered = take(waiter) && waiter.jobs.is_empty();
            if answered {
                let outcome = Ok(std::mem::take(&mut waiter.answer));
                out.push(JobsEffect::Reply { request: waiter.request, outcome });
            }
            !answered
        });
    }

    /// Whoever waited for long enough is told what is still missing; it goes on all the same.
    pub(super) fn answer_the_overdue(&mut self, out: &mut Vec<JobsEffect>) {
        let now = self.now_ms;
        let overdue = |waiter: &Waiter| waiter.deadline_ms <= now;
        let (late, waiting): (Vec<Waiter>, Vec<Waiter>) = self.waiters.drain(..).partition(overdue);
        self.waiters = waiting;
        for waiter in late {
            let missing: Vec<String> = waiter
                .jobs
                .keys()
                .map(|job| {
                    let what = self.waits_for(job).unwrap_or_else(|| "another leader".to_owned());
                    format!("job {job} still waits for {what}")
                })
                .collect();
            let message = format!("{}; it goes on by itself", missing.join("; "));
            out.push(JobsEffect::Reply { request: waiter.request, outcome: Err(HerdError::conflict(message)) });
        }
    }
}

/// Whether a command is done, or, where that is enough, its connectors were told.
fn is_far_enough(log: &JobsLog, job: &str, id: &str, to_the_end: bool) -> bool {
    let order = log.entry(job).and_then(|entry| entry.order.as_ref()).filter(|order| order.id == id);
    order.is_some_and(|order| order.done_ms.is_some() || !to_the_end && is_told(order))
}

/// Whether the connectors of a job were told already.
fn is_told(order: &Order) -> bool {
    let done = plan(order.action, order.cleanup).iter().take(order.step);
    done.into_iter().any(|step| matches!(step, Step::Target(..) | Step::RestartFailed))
}

/// What a request comes to.
enum Accepted {
    New,
    AlreadyThere,
    /// The same command is being carried out: its name.
    UnderWay(String),
}

/// What follows from a step.
enum Next {
    Pass,
    Wait,
    Do(Work),
    /// Goes on at an earlier step, because of this.
    Back(usize, String),
}

fn who_of(who: Who, members: &Members) -> impl Iterator<Item = &Arc<ConnectorView>> {
    members.connectors.iter().filter(move |connector| match who {
        Who::All => true,
        Who::Source => connector.info.kind == "source",
        Who::Sinks => connector.info.kind != "source",
    })
}

/// A place in a log as Postgres writes it.
fn lsn(place: u64) -> String {
    format!("{:X}/{:X}", place >> 32, place & 0xffff_ffff)
}

#[cfg(test)]
#[path = "conduct_tests.rs"]
mod tests;
