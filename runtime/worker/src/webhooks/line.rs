//! One line of events, see [`super::lines`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::event::OutboxEvent;
use super::hook::Webhook;

/// The same moment on two clocks: the one that measures, and the one that events are dated by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub instant: Instant,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
}

/// An event that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub event: Arc<OutboxEvent>,
    /// When it is given up; `None`: in times that no clock shows.
    pub deadline: Option<Instant>,
}

/// What one webhook is still to be told of one job.
#[derive(Debug)]
pub(super) struct Line {
    pub hook: Arc<Webhook>,
    /// Host and port.
    pub host: String,
    pub waiting: VecDeque<Waiting>,
    /// Everything up to this was taken or given up.
    pub got: Option<u64>,
    /// What is being posted: the first of those that wait, unless it was taken from the picture since.
    pub posting: Option<Arc<OutboxEvent>>,
    /// The next post is not made before this.
    pub due: Instant,
    /// Posts in a row that were no success, whatever the event.
    pub failures: u32,
    /// Posts of the event that is first which were refused.
    pub refused: u32,
    /// Its job is deleted, or does not name the webhook any more.
    pub left: bool,
}

impl Waiting {
    pub(super) fn new(event: &OutboxEvent, window: Duration, now: Clocks) -> Self {
        let age = u64::try_from(now.wall_ms.saturating_sub(event.at_ms)).unwrap_or(0);
        let left = window.saturating_sub(Duration::from_millis(age));
        Self { event: Arc::new(event.clone()), deadline: now.instant.checked_add(left) }
    }

    pub(super) fn is_late(&self, at: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= at)
    }
}

impl Line {
    pub(super) fn new(hook: &Webhook, now: Instant) -> Self {
        Self {
            hook: Arc::new(hook.clone()),
            host: hook.host(),
            waiting: VecDeque::new(),
            got: None,
            posting: None,
            due: now,
            failures: 0,
            refused: 0,
            left: false,
        }
    }

    /// The webhook is named (again). With another secret or user it may be to the receiver's liking at once.
    pub(super) fn rename(&mut self, hook: &Webhook, now: Instant) {
        self.left = false;
        if *self.hook != *hook {
            self.hook = Arc::new(hook.clone());
            (self.failures, self.refused, self.due) = (0, 0, now);
        }
    }

    pub(super) fn has_got(&self, event: &OutboxEvent) -> bool {
        self.got.is_some_and(|got| event.seq <= got)
    }

    /// Sets what waits. Gives back what waited, is wanted, and is not there any more; but not what is under way.
    pub(super) fn replace(&mut self, waiting: VecDeque<Waiting>) -> Vec<Arc<OutboxEvent>> {
        let before = std::mem::replace(&mut self.waiting, waiting);
        let first = |line: &VecDeque<Waiting>| line.front().map(|head| head.event.seq);
        if first(&before) != first(&self.waiting) {
            self.refused = 0;
        }
        let still = |event: &OutboxEvent| self.waiting.iter().any(|other| other.event.seq == event.seq);
        let posting = |event: &OutboxEvent| self.posting.as_ref().is_some_and(|posting| posting.seq == event.seq);
        before
            .into_iter()
            .map(|waiting| waiting.event)
            .filter(|event| self.hook.wants(event.kind) && !self.has_got(event) && !still(event) && !posting(event))
            .collect()
    }
}
