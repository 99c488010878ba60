//! How a running task is told what to do, and how it tells what became of it.
//!
//! A task also ends by itself when the worker's right to work is over ([`Lease`]): a worker that is cut off from its group
//! may be the last to hear of it, and others may have its work already. The lease is looked at whenever the task asks what
//! is wanted of it, and with each wake-up while it waits for that; before it writes offsets a task asks
//! [`Control::may_work`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use connect_cluster::UnitId;
use connect_kafka::group::Lease;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::unit::{Run, UnitEvent, UnitNews};

/// What is wanted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Run,
    Rest,
    End,
}

/// The task's side of its run.
#[derive(Clone)]
pub struct Control {
    wanted: watch::Receiver<Wanted>,
    /// Cancelled together with [`Wanted::End`].
    pub cancel: CancellationToken,
    news: News,
    lease: Lease,
}

impl Control {
    /// The two sides of a new run.
    pub fn new(wanted: watch::Receiver<Wanted>, cancel: CancellationToken, news: News) -> Self {
        Self { wanted, cancel, news, lease: Lease::endless() }
    }

    /// The same, with a right to work that may end.
    #[must_use]
    pub fn under(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    /// Whether this worker still has the right to work. Without it nothing may be read, written, flushed or committed any
    /// more: another worker may do it already.
    pub fn may_work(&self) -> bool {
        self.lease.holds()
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
        let Self { wanted, lease, .. } = self;
        let mut changed = std::pin::pin!(wanted.wait_for(|wanted| *wanted != known));
        std::future::poll_fn(|context| {
            if !lease.holds() && known != Wanted::End {
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
