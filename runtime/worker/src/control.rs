//! How a running task is told what to do, and how it tells what became of it.
//!
//! A task also ends by itself when the worker's right to work is over ([`Lease`]): a worker that is cut off from its group
//! may be the last to hear of it, and others may have its work already. The lease is looked at whenever the task asks what
//! is wanted of it, and with each wake-up while it waits for that; before it writes offsets a task asks
//! [`Control::may_work`]. Invariant: a run that has seen the lease gone never works again, though the lease may come back:
//! it may have left out what it had in its hands, and later positions must not be stored over that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use connect_cluster::UnitId;
use connect_kafka::group::Lease;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::unit::{Run, UnitEvent, UnitNews};

/// How often a wait looks at the lease, when nothing else wakes it.
pub(crate) const LEASE_LOOK: Duration = Duration::from_millis(100);

/// What is wanted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Run,
    Rest,
    End,
}

/// The right of one run to work; clones are the same right. Once found to be over it stays so.
#[derive(Clone)]
struct Right {
    lease: Lease,
    over: Arc<AtomicBool>,
}

impl Right {
    fn under(lease: Lease) -> Self {
        Self { lease, over: Arc::default() }
    }

    fn holds(&self) -> bool {
        if self.over.load(Ordering::Acquire) {
            return false;
        }
        let holds = self.lease.holds();
        if !holds {
            self.over.store(true, Ordering::Release);
        }
        holds
    }
}

/// The task's side of its run.
#[derive(Clone)]
pub struct Control {
    wanted: watch::Receiver<Wanted>,
    /// Cancelled together with [`Wanted::End`].
    pub cancel: CancellationToken,
    news: News,
    right: Right,
    /// What was told last of whether the run works.
    works: bool,
}

impl Control {
    /// The two sides of a new run.
    pub fn new(wanted: watch::Receiver<Wanted>, cancel: CancellationToken, news: News) -> Self {
        Self { wanted, cancel, news, right: Right::under(Lease::endless()), works: false }
    }

    /// The same, with a right to work that may end.
    #[must_use]
    pub fn under(mut self, lease: Lease) -> Self {
        self.right = Right::under(lease);
        self
    }

    /// Whether this worker still has the right to work. Without it nothing may be read, written, flushed or committed any
    /// more: another worker may do it already. Once it was lost it does not come back in this run.
    pub fn may_work(&self) -> bool {
        self.right.holds()
    }

    /// The right to work is lost.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.right.over.store(true, Ordering::Release);
    }

    /// Waits until the right to work is lost. In a `select!` this comes first (`biased`): it is looked at with each wake-up,
    /// and every 100 ms.
    pub async fn lost(&self) {
        let mut look = tokio::time::interval(LEASE_LOOK);
        std::future::poll_fn(|context| {
            while self.may_work() {
                std::task::ready!(look.poll_tick(context));
            }
            Poll::Ready(())
        })
        .await;
    }

    /// What is wanted now.
    pub fn wanted(&self) -> Wanted {
        if self.may_work() { *self.wanted.borrow() } else { Wanted::End }
    }

    /// Waits until something else is wanted than the caller knows.
    ///
    /// In a `select!` this comes first (`biased`), so that a task that wakes up without a lease ends before it looks at
    /// anything else.
    pub async fn changed_from(&mut self, known: Wanted) -> Wanted {
        let Self { wanted, right, .. } = self;
        let mut changed = std::pin::pin!(wanted.wait_for(|wanted| *wanted != known));
        std::future::poll_fn(|context| {
            if known != Wanted::End && !right.holds() {
                return Poll::Ready(Wanted::End);
            }
            // An error: whoever gave the orders is gone, the worker ends.
            changed.as_mut().poll(context).map(|changed| changed.map_or(Wanted::End, |wanted| *wanted))
        })
        .await
    }

    /// Tells the herder.
    pub async fn tell(&self, what: UnitNews) {
        self.news.tell(what).await;
    }

    /// Tells the herder whether the run really works, when that has changed.
    pub async fn works(&mut self, works: bool) {
        if std::mem::replace(&mut self.works, works) != works {
            self.tell(UnitNews::Working(works)).await;
        }
    }
}

/// Sends the events of one run.
#[derive(Clone)]
pub struct News {
    pub unit: UnitId,
    pub run: Run,
    pub events: mpsc::Sender<UnitEvent>,
}

impl News {
    /// Tells the herder. When it is gone, the worker is ending and nobody needs to know.
    pub async fn tell(&self, what: UnitNews) {
        let event = UnitEvent { unit: self.unit.clone(), run: self.run, what };
        if self.events.send(event).await.is_err() {
            tracing::debug!(unit = %self.unit, "nobody listens to the events of this unit any more");
        }
    }
}

/// Counts how often the topics of a connector were reset, so that its tasks report their topics anew.
#[derive(Clone, Default)]
pub struct TopicResets {
    epochs: Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>,
}

impl TopicResets {
    /// The counter of a connector.
    pub fn of(&self, connector: &str) -> Arc<AtomicU64> {
        Arc::clone(self.epochs.lock().entry(connector.to_owned()).or_default())
    }

    /// The topics of a connector were reset.
    pub fn reset(&self, connector: &str) {
        self.of(connector).fetch_add(1, Ordering::Release);
    }
}

/// The topics that a task told of in this run (KIP-558).
pub struct TopicsUsed {
    epoch: Arc<AtomicU64>,
    seen_epoch: u64,
    /// The last one, because most batches have one topic.
    last: Option<Arc<str>>,
    told: std::collections::HashSet<Arc<str>>,
    /// Topics that a record was sent to, with its sequence number, until it is durable.
    waiting: Vec<(u64, Arc<str>)>,
    /// `topic.tracking.enable`: whether the herder is told.
    pub enabled: bool,
}

impl TopicsUsed {
    /// Nothing seen yet. `enabled` is `topic.tracking.enable`.
    pub fn new(epoch: Arc<AtomicU64>, enabled: bool) -> Self {
        let seen_epoch = epoch.load(Ordering::Acquire);
        Self { epoch, seen_epoch, last: None, told: std::collections::HashSet::new(), waiting: Vec::new(), enabled }
    }

    /// Once per batch: forgets what was told when the topics were reset.
    pub fn refresh(&mut self) {
        let epoch = self.epoch.load(Ordering::Acquire);
        if epoch != self.seen_epoch {
            self.seen_epoch = epoch;
            self.last = None;
            self.told.clear();
        }
    }

    /// A first record goes to this topic, with this sequence number: the topic counts as used once that record is durable.
    pub fn sent(&mut self, topic: Arc<str>, sequence: u64) {
        if self.enabled {
            self.waiting.push((sequence, topic));
        }
    }

    /// True while a topic's first record is not known to be durable.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The topics whose first record is among the first `count` that are durable; each is given once.
    pub fn durable(&mut self, count: u64) -> Vec<Arc<str>> {
        self.waiting.extract_if(.., |(sequence, _)| *sequence < count).map(|(_, topic)| topic).collect()
    }

    /// True when the topic has not been told of yet; it counts as told then.
    pub fn is_new(&mut self, topic: &Arc<str>) -> bool {
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, topic)) {
            return false;
        }
        self.last = Some(Arc::clone(topic));
        self.told.insert(Arc::clone(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_right_that_was_lost_does_not_come_back_in_that_run() {
        let (_orders, wanted) = watch::channel(Wanted::Run);
        let (events, _news) = mpsc::channel(1);
        let unit = UnitId::Connector(Arc::from("c"));
        let control = Control::new(wanted, CancellationToken::new(), News { unit, run: 1, events });
        assert!(control.may_work() && control.wanted() == Wanted::Run);
        let mut control = control.under(Lease::new(Duration::from_secs(10)));
        assert!(!control.may_work(), "there is no right yet");
        // As if the member had been answered after all.
        control.right.lease = Lease::endless();
        assert!(!control.may_work() && control.wanted() == Wanted::End);
        assert_eq!(control.changed_from(Wanted::Run).await, Wanted::End);
        let next = control.clone().under(Lease::endless());
        assert!(next.may_work(), "the next run has a right of its own");
        tokio::time::timeout(Duration::from_secs(10), control.lost()).await.expect("it is lost");
    }
}
