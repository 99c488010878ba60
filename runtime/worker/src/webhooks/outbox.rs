//! The outbox: takes pictures of jobs, and works off what their webhooks have not got.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connect_config::worker::JobsConfig;
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::backoff::Answer;
use super::event::OutboxEvent;
use super::hook::Webhook;
use super::http::{HttpPost, Post};
use super::line::Clocks;
use super::lines::{LineId, Lines, Outcome, Pace, Retry, Settled, Step};

/// How long a worker that ends waits for posts that are under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Told of each event that a webhook has taken, or that was given up for it: job, webhook's id, number of the event. Everything
/// up to that number is settled for this webhook.
pub type Delivered = Arc<dyn Fn(&str, &str, u64) + Send + Sync>;

/// How events are delivered.
#[derive(Clone)]
pub struct OutboxSettings {
    /// How long a webhook may take to answer.
    pub timeout: Duration,
    /// The first delay before an event is posted again.
    pub retry_initial: Duration,
    /// How long after it happened an event is given up.
    pub window: Duration,
    /// Whether a webhook may be at an address that is not public.
    pub allow_private: bool,
    /// Whom to trust by HTTPS; `None`: whom this machine trusts.
    pub tls: Option<rustls::ClientConfig>,
}

impl From<&JobsConfig> for OutboxSettings {
    fn from(config: &JobsConfig) -> Self {
        let milliseconds = |value: i64| Duration::from_millis(value.unsigned_abs());
        Self {
            timeout: milliseconds(config.webhook_timeout),
            retry_initial: milliseconds(config.webhook_retry),
            window: milliseconds(config.webhook_window),
            allow_private: config.webhook_private,
            tls: None,
        }
    }
}

/// What the handle and the task share.
struct Shared {
    lines: Mutex<Lines>,
    changed: Notify,
    taken: AtomicU64,
    dropped: AtomicU64,
}

impl Shared {
    /// Says of each event that was lost that it was.
    fn mourn(&self, lost: &[Settled]) {
        for event in lost {
            self.count(event);
        }
    }

    fn count(&self, settled: &Settled) {
        let Settled { line, event, host, given_up, .. } = settled;
        let (job, webhook, id) = (&*line.job, &line.hook, &event.id);
        match given_up {
            None => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(job, webhook, host, event = id, "a webhook was told of {}", event.kind);
            }
            Some(why) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::error!(job, webhook, host, event = id, why, "a webhook will not be told of {}", event.kind);
            }
        }
    }
}

/// Delivers the events of jobs to webhooks; clones are the same outbox. When the last one is dropped, posting ends.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    _guard: Arc<DropGuard>,
}

impl Outbox {
    /// Starts an outbox, which posts nothing before it is told to [`Self::lead`]. Needs to be called in a runtime.
    pub fn start(settings: OutboxSettings, delivered: Delivered) -> Self {
        let post = Arc::new(HttpPost::new(&settings));
        let pace = Pace { retry_initial: settings.retry_initial, window: settings.window };
        Self::posting(post, pace, delivered)
    }

    pub(super) fn posting(post: Arc<dyn Post>, pace: Pace, delivered: Delivered) -> Self {
        let shared = Arc::new(Shared {
            lines: Mutex::new(Lines::new(pace)),
            changed: Notify::new(),
            taken: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let cancel = CancellationToken::new();
        let pump = Pump {
            shared: Arc::clone(&shared),
            post,
            delivered,
            cancel: cancel.clone(),
            posts: JoinSet::new(),
            lines: HashMap::new(),
        };
        let tasks = TaskTracker::new();
        tasks.spawn(pump.run());
        tasks.close();
        let guard = Arc::new(cancel.clone().drop_guard());
        Self { shared, cancel, tasks, _guard: guard }
    }

    /// Only the leader delivers. `false` ends that at once: no post begins any more; one that is under way may end, and its
    /// outcome is still told.
    ///
    /// A new leader begins with the pictures that were offered last: offer every job before, or go on offering on every
    /// worker, leader or not. An old picture costs repeats.
    pub fn lead(&self, leading: bool) {
        let lost = self.shared.lines.lock().lead(leading);
        self.shared.mourn(&lost);
        self.shared.changed.notify_one();
    }

    /// The whole picture of a job: its webhooks, what each of them has got (the number of the last event by the webhook's id),
    /// and its events that are kept, in order of their numbers. Can be repeated as often as one likes.
    ///
    /// A webhook that has got nothing is told everything: whoever adds one to a job and doesn't want that, says that it has
    /// got the last event. Of webhooks with the same id the last one counts. How many events there are is bounded by the
    /// caller; one that was offered, is not any more, and was not delivered, counts as dropped.
    pub fn offer(&self, job: &str, hooks: &[Webhook], got: &BTreeMap<String, u64>, events: &[OutboxEvent]) {
        let lost = self.shared.lines.lock().offer(job, hooks, got, events, clocks());
        self.shared.mourn(&lost);
        self.shared.changed.notify_one();
    }

    /// The job is deleted and will be offered no more; or it is another one of the same name, whose events have numbers of
    /// their own, and which are told behind those of the old one. What waits is still delivered, as long as this worker leads;
    /// the next leader knows nothing of it. If it must survive this worker, go on offering the job until all was delivered.
    pub fn forget(&self, job: &str) {
        let lost = self.shared.lines.lock().forget(job);
        self.shared.mourn(&lost);
        self.shared.changed.notify_one();
    }

    /// Events that were given up so far, one that several webhooks wanted counted for each.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Events that webhooks took so far.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// Events that wait for webhooks, as far as this worker knows.
    pub fn waiting(&self) -> usize {
        self.shared.lines.lock().waiting()
    }

    /// Ends posting. What is under way may end; when this returns, its outcome was told.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("taken", &self.taken()).field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// The task that posts.
struct Pump {
    shared: Arc<Shared>,
    post: Arc<dyn Post>,
    delivered: Delivered,
    cancel: CancellationToken,
    posts: JoinSet<Answer>,
    /// Which line each of them is of.
    lines: HashMap<Id, LineId>,
}

impl Pump {
    async fn run(mut self) {
        let cancel = self.cancel.clone();
        let shared = Arc::clone(&self.shared);
        loop {
            let wake = self.begin();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(ended) = self.posts.join_next_with_id() => self.ended(ended),
                () = shared.changed.notified() => {}
                () = at(wake) => {}
            }
        }
        let lost = shared.lines.lock().lead(false);
        shared.mourn(&lost);
        let rest = async {
            while let Some(ended) = self.posts.join_next_with_id().await {
                self.ended(ended);
            }
        };
        if timeout(STOP_PATIENCE, rest).await.is_err() {
            tracing::warn!("webhooks did not answer in time: the next leader tells them again");
        }
    }

    /// Begins what can begin; gives back when to look again.
    fn begin(&mut self) -> Option<Instant> {
        loop {
            let step = self.shared.lines.lock().next(Instant::now());
            match step {
                Step::Post { line, hook, event } => {
                    let post = Arc::clone(&self.post);
                    let task = self.posts.spawn(async move { post.post(&hook, &event).await });
                    self.lines.insert(task.id(), line);
                }
                Step::GiveUp(settled) => self.tell(&settled),
                Step::Wait(until) => return until,
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Answer), JoinError>) {
        let (id, answer) = match ended {
            Ok(ended) => ended,
            // A panic, which was reported as such.
            Err(error) => (error.id(), Answer::Failed { why: "posting broke off".to_owned(), wait: None }),
        };
        let Some(line) = self.lines.remove(&id) else { return };
        let jitter = rand::rng().random();
        let outcome = self.shared.lines.lock().answered(&line, answer, Instant::now(), jitter);
        match outcome {
            Outcome::Settled(settled) => self.tell(&settled),
            Outcome::Retry(retry) => note(&retry),
            Outcome::Moot => {}
        }
    }

    fn tell(&self, settled: &Settled) {
        self.shared.count(settled);
        if settled.tell {
            (self.delivered)(&settled.line.job, &settled.line.hook, settled.event.seq);
        }
    }
}

/// A receiver that is down for a day must not fill the log: the first failures are shown, then fewer and fewer.
fn note(retry: &Retry) {
    let Retry { job, event, hook, why, wait, failures } = retry;
    let (job, webhook, host, event) = (&**job, hook.id(), hook.host(), &event.id);
    let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if failures.is_power_of_two() {
        tracing::warn!(job, webhook, host, event, failures, retry_in_ms, why, "a webhook was not told, trying again");
    } else {
        tracing::debug!(job, webhook, host, event, failures, retry_in_ms, why, "a webhook was not told, trying again");
    }
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

fn clocks() -> Clocks {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clocks { instant: Instant::now(), wall_ms: i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX) }
}
