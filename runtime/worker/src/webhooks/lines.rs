//! What is still to be told to whom: a line of events per job and webhook.
//!
//! Pure: it is told the time, and says what is to be posted next. Lines don't wait for each other. In a line, an event is
//! posted when the one before it was taken or given up, never sooner.
//!
//! A job that is deleted leaves its line behind until that is empty. One that is then made anew under the same name gets a
//! new line, which waits for the old one; their numbers of events have nothing to do with each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Answer, REFUSED_TRIES, delay};
use super::event::OutboxEvent;
use super::hook::Webhook;
use super::line::{Clocks, Line, Waiting};

/// Posts at a time.
pub(super) const AT_A_TIME: usize = 16;
/// Posts at a time to one host and port: a receiver that hangs must not take all the places.
pub(super) const AT_A_TIME_PER_HOST: usize = 4;
/// Lines that jobs left behind.
pub(super) const LEFT_BEHIND_MAX: usize = 256;

/// How lines are worked off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub retry_initial: Duration,
    /// How long after it happened an event may be posted.
    pub window: Duration,
}

/// A line's job and webhook, and which of the jobs that had that name one after the other it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineId {
    pub job: Arc<str>,
    pub hook: String,
    life: u64,
}

/// What became of an event, for whoever keeps it.
#[derive(Debug)]
pub(super) struct Settled {
    pub line: LineId,
    pub event: Arc<OutboxEvent>,
    /// The webhook's host, for people.
    pub host: String,
    /// Why it was given up.
    pub given_up: Option<String>,
    /// Whether its number means something to the job of today.
    pub tell: bool,
}

/// A post that did no good, and is made again.
#[derive(Debug)]
pub(super) struct Retry {
    pub job: Arc<str>,
    pub event: Arc<OutboxEvent>,
    pub hook: Arc<Webhook>,
    pub why: String,
    pub wait: Duration,
    pub failures: u32,
}

/// What follows from an answer.
#[derive(Debug)]
pub(super) enum Outcome {
    Settled(Settled),
    Retry(Retry),
    /// The event is not ours to deliver any more.
    Moot,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Step {
    Post {
        line: LineId,
        hook: Arc<Webhook>,
        event: Arc<OutboxEvent>,
    },
    GiveUp(Settled),
    /// Nothing, until then or until something changes.
    Wait(Option<Instant>),
}

/// All lines.
#[derive(Debug)]
pub(super) struct Lines {
    pace: Pace,
    leading: bool,
    lines: BTreeMap<LineId, Line>,
    /// The jobs that are there, and which of their name they are.
    jobs: BTreeMap<Arc<str>, u64>,
    /// How many jobs were seen so far.
    lives: u64,
}

impl Lines {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, leading: false, lines: BTreeMap::new(), jobs: BTreeMap::new(), lives: 0 }
    }

    /// Events that wait, those under way among them; one that several webhooks want counts for each.
    pub(super) fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// Says whether this worker is the one to deliver. What deleted jobs left behind is nobody's when it is not any more.
    pub(super) fn lead(&mut self, leading: bool) -> Vec<Settled> {
        let mut lost = Vec::new();
        if self.leading && !leading {
            let left = self.lines.iter().filter(|(_, line)| line.left).map(|(id, _)| id.clone()).collect::<Vec<_>>();
            let why = "its job was deleted, and this worker leads no longer";
            lost = left.iter().flat_map(|id| self.discard(id, why)).collect();
        }
        self.leading = leading;
        lost
    }

    /// Takes over the whole picture of a job. Gives back what will not be delivered because of it, and was not before.
    pub(super) fn offer(
        &mut self,
        job: &str,
        hooks: &[Webhook],
        got: &BTreeMap<String, u64>,
        events: &[OutboxEvent],
        now: Clocks,
    ) -> Vec<Settled> {
        let (job, life) = self.life_of(job);
        let (window, leading) = (self.pace.window, self.leading);
        let mut undelivered = Vec::new();
        let mut named = BTreeSet::new();
        // What a job says of a webhook comes behind what the worker says of it, and counts.
        for hook in hooks.iter().rev() {
            let id = LineId { job: Arc::clone(&job), hook: hook.id(), life };
            if !named.insert(id.hook.clone()) {
                continue;
            }
            let line = self.lines.entry(id.clone()).or_insert_with(|| Line::new(hook, now.instant));
            line.rename(hook, now.instant);
            line.got = line.got.max(got.get(&id.hook).copied());
            let wanted = events.iter().filter(|event| hook.wants(event.kind) && !line.has_got(event));
            let wanted = wanted.map(|event| Waiting::new(event, window, now)).collect();
            let gone = line.replace(wanted);
            if leading {
                let why = "it is kept no longer";
                undelivered.extend(gone.into_iter().map(|event| lost(&id, event, &line.host, why)));
            }
        }
        let unnamed = self.ids_of(&job).into_iter().filter(|id| id.life == life && !named.contains(&id.hook));
        let why = "its job does not name the webhook any more";
        undelivered.extend(unnamed.collect::<Vec<_>>().iter().flat_map(|id| self.discard(id, why)));
        undelivered
    }

    /// The job is gone. What waits is still delivered by this worker, as long as it leads. Gives back what is not.
    pub(super) fn forget(&mut self, job: &str) -> Vec<Settled> {
        let Some((job, life)) = self.jobs.remove_entry(job) else { return Vec::new() };
        for id in self.ids_of(&job).iter().filter(|id| id.life == life) {
            if let Some(line) = self.lines.get_mut(id) {
                line.left = true;
            }
            if self.leading {
                self.remove_if_over(id);
            } else {
                self.discard(id, "");
            }
        }
        let left = self.lines.iter().filter(|(_, line)| line.left);
        let mut left = left.map(|(id, _)| (id.life, id.clone())).collect::<Vec<_>>();
        left.sort();
        left.truncate(left.len().saturating_sub(LEFT_BEHIND_MAX));
        left.iter().flat_map(|(_, id)| self.discard(id, "too many deleted jobs have left notices")).collect()
    }

    /// What is to be done now: of the lines that are ready, the one that has been so for longest.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if !self.leading {
            return Step::Wait(None);
        }
        let mut posting = BTreeMap::<&str, usize>::new();
        for line in self.lines.values().filter(|line| line.posting.is_some()) {
            *posting.entry(&line.host).or_default() += 1;
        }
        let free = posting.values().sum::<usize>() < AT_A_TIME;
        let mut before: Option<&LineId> = None;
        let mut first: Option<(Instant, &LineId)> = None;
        for (id, line) in &self.lines {
            // A line waits for those that earlier jobs of the name left behind, which stand right before it.
            let behind = before.is_some_and(|before| before.job == id.job && before.hook == id.hook);
            before = Some(id);
            let Some(head) = line.waiting.front() else { continue };
            if behind || line.posting.is_some() {
                continue;
            }
            let due = head.deadline.map_or(line.due, |deadline| deadline.min(line.due));
            let may_begin = free && posting.get(line.host.as_str()).is_none_or(|count| *count < AT_A_TIME_PER_HOST);
            // A line that is due and waits for its turn is woken by the end of another post, not by the time.
            if (may_begin || due > now) && first.is_none_or(|(earliest, _)| due < earliest) {
                first = Some((due, id));
            }
        }
        match first {
            Some((due, id)) if due <= now => {
                let id = id.clone();
                self.begin(id, now)
            }
            other => Step::Wait(other.map(|(due, _)| due)),
        }
    }

    fn begin(&mut self, id: LineId, now: Instant) -> Step {
        let Some(line) = self.lines.get_mut(&id) else { return Step::Wait(None) };
        let Some(head) = line.waiting.front() else { return Step::Wait(None) };
        let event = Arc::clone(&head.event);
        if head.is_late(now) {
            return Step::GiveUp(self.settle(&id, event, Some("it is too old")));
        }
        line.posting = Some(Arc::clone(&event));
        Step::Post { hook: Arc::clone(&line.hook), line: id, event }
    }

    /// A post has ended. `jitter` is between 0 and 1.
    pub(super) fn answered(&mut self, id: &LineId, answer: Answer, now: Instant, jitter: f64) -> Outcome {
        let initial = self.pace.retry_initial;
        let Some(line) = self.lines.get_mut(id) else { return Outcome::Moot };
        let Some(event) = line.posting.take() else { return Outcome::Moot };
        let failures = line.failures.saturating_add(1);
        let usual = delay(initial, failures, jitter);
        let (why, wait, over) = match answer {
            Answer::Taken => {
                (line.failures, line.due) = (0, now);
                return Outcome::Settled(self.settle(id, event, None));
            }
            Answer::Failed { why, wait } => (why, wait.map_or(usual, |asked| asked.max(usual)), false),
            Answer::Refused(why) => {
                line.refused += 1;
                (why, usual, line.refused >= REFUSED_TRIES)
            }
            Answer::Final(why) => (why, usual, true),
        };
        if over {
            // What follows may be to the receiver's liking.
            (line.failures, line.due) = (0, now);
            return Outcome::Settled(self.settle(id, event, Some(&why)));
        }
        (line.failures, line.due) = (failures, now + wait);
        match line.waiting.front() {
            Some(head) if head.event.id == event.id => {
                if head.is_late(line.due) {
                    let why = format!("{why}, and it is too old to try again");
                    return Outcome::Settled(self.settle(id, event, Some(&why)));
                }
                let hook = Arc::clone(&line.hook);
                Outcome::Retry(Retry { job: Arc::clone(&id.job), event, hook, why, wait, failures })
            }
            // It was taken from the picture while it was under way.
            _ => {
                let gone = self.leading && !line.has_got(&event);
                let gone =
                    gone.then(|| lost(id, event, &line.host, &format!("{why}, and it is not to be tried again")));
                self.remove_if_over(id);
                gone.map_or(Outcome::Moot, Outcome::Settled)
            }
        }
    }

    /// An event is done with, one way or the other.
    fn settle(&mut self, id: &LineId, event: Arc<OutboxEvent>, given_up: Option<&str>) -> Settled {
        // A job that was made anew counts from the beginning.
        let tell = self.jobs.get(&id.job).is_none_or(|life| *life == id.life);
        let mut host = String::new();
        if let Some(line) = self.lines.get_mut(id) {
            line.refused = 0;
            line.got = line.got.max(Some(event.seq));
            while line.waiting.front().is_some_and(|head| head.event.seq <= event.seq) {
                line.waiting.pop_front();
            }
            host.clone_from(&line.host);
        }
        self.remove_if_over(id);
        Settled { line: id.clone(), event, host, given_up: given_up.map(str::to_owned), tell }
    }

    /// Empties a line that nothing more is to be posted of; a post under way may end. Gives back what is lost to the
    /// receivers by it: nothing while another worker delivers.
    fn discard(&mut self, id: &LineId, why: &str) -> Vec<Settled> {
        let Some(line) = self.lines.get_mut(id) else { return Vec::new() };
        line.left = true;
        let gone = line.replace(VecDeque::new());
        let gone = gone.into_iter().filter(|_| self.leading);
        let gone = gone.map(|event| lost(id, event, &line.host, why)).collect();
        self.remove_if_over(id);
        gone
    }

    fn remove_if_over(&mut self, id: &LineId) {
        if self.lines.get(id).is_some_and(|line| line.left && line.posting.is_none() && line.waiting.is_empty()) {
            self.lines.remove(id);
        }
    }

    fn life_of(&mut self, job: &str) -> (Arc<str>, u64) {
        if let Some((job, life)) = self.jobs.get_key_value(job) {
            return (Arc::clone(job), *life);
        }
        self.lives += 1;
        let job: Arc<str> = job.into();
        self.jobs.insert(Arc::clone(&job), self.lives);
        (job, self.lives)
    }

    fn ids_of(&self, job: &Arc<str>) -> Vec<LineId> {
        let first = LineId { job: Arc::clone(job), hook: String::new(), life: 0 };
        self.lines.range(first..).map(|(id, _)| id).take_while(|id| id.job == *job).cloned().collect()
    }
}

/// An event that nobody delivers.
fn lost(id: &LineId, event: Arc<OutboxEvent>, host: &str, why: &str) -> Settled {
    Settled { line: id.clone(), event, host: host.to_owned(), given_up: Some(why.to_owned()), tell: false }
}
