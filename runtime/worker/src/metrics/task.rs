//! What a task measures. Written by the task, once a batch where more than a counter is touched; read by whoever asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connect_api::metrics::Measured;
use connect_api::{Phase, Progress, Reading, Readings};
use connect_kafka::{ClientStats, TopicPartition};
use connect_metrics::{Group, RunState, Samples, Snapshot, States, Value, Windows, now_ms as clock_ms};
use parking_lot::Mutex;

use super::facts::{Class, TaskFacts};
use super::now_ms;
use crate::acks::Ring;

const TASK: Group = Group::connect("connector-task-metrics");
const SOURCE: Group = Group::connect("source-task-metrics");
const SINK: Group = Group::connect("sink-task-metrics");
const ERRORS: Group = Group::connect("task-error-metrics");

/// The measurements of one run of a task. Counters only grow.
pub struct TaskMetrics {
    /// Source: records given by `poll`. Sink: records read from the topics.
    pub polled: AtomicU64,
    /// Source: records handed to the producer. Sink: records given to `put` with success.
    pub written: AtomicU64,
    /// Source: records known to be durable, as of the last look.
    pub acknowledged: AtomicU64,
    /// Batches.
    pub batches: AtomicU64,
    /// Records dropped by a transform.
    pub filtered: AtomicU64,
    /// Failures of an operation, retries included (`total-record-failures`).
    pub failures: AtomicU64,
    /// Records with an error that was not mended by a retry (`total-record-errors`).
    pub errors: AtomicU64,
    /// Records skipped because errors are tolerated (`total-records-skipped`).
    pub skipped: AtomicU64,
    /// Retries (`total-retries`).
    pub retries: AtomicU64,
    /// Errors written to the log (`total-errors-logged`).
    pub logged: AtomicU64,
    /// Records that were to be sent to the dead letter topic (`deadletterqueue-produce-requests`).
    pub dead_letters: AtomicU64,
    /// Of these, those that could not be sent (`deadletterqueue-produce-failures`).
    pub dead_letter_failures: AtomicU64,
    /// Commits of offsets that succeeded.
    pub commits: AtomicU64,
    /// Commits of offsets that failed.
    pub commit_failures: AtomicU64,
    /// Commits that were begun (`offset-commit-seq-no`).
    pub commits_begun: AtomicU64,
    /// When the commit that is under way began, on the clock of measurements.
    commit_began_ms: AtomicI64,
    /// When an error was seen last, in milliseconds since 1970; 0 before the first time.
    pub last_error_ms: AtomicI64,
    /// Sink: records put and not committed.
    uncommitted: AtomicU64,
    /// Sink: partitions that it has.
    partitions: AtomicU64,
    windows: Measurements,
    states: States,
    facts: OnceLock<TaskFacts>,
    acks: Mutex<Acks>,
    /// Source: records durable when the last transaction ended.
    transacted: AtomicU64,
    consumer: OnceLock<Arc<ClientStats>>,
    plugins: Mutex<Vec<Measured>>,
    /// `None` until the task says something of it.
    progress: Mutex<Option<Progress>>,
    /// Source: the last position that was stored, for people, and when, in milliseconds since 1970.
    checkpoint: Mutex<Option<(Option<String>, i64)>>,
    /// Sink: the offset behind what was put of each partition.
    put: Mutex<Option<Vec<(TopicPartition, i64)>>>,
}

/// Where a source's acknowledgements are counted.
#[derive(Default)]
struct Acks {
    ring: Option<Arc<Ring>>,
    /// Acknowledged by rings before this one.
    before: u64,
    /// In flight when such a ring was left.
    dropped: u64,
}

/// What is measured over windows.
struct Measurements {
    batch_size: Samples,
    commit_ms: Samples,
    commit_outcome: Samples,
    completions: Samples,
    polled: Samples,
    written: Samples,
    /// Of `poll` or `put`.
    call_ms: Samples,
    active: Samples,
    transactions: Samples,
}

impl TaskMetrics {
    /// A fresh set over these windows.
    pub fn new(windows: Windows) -> Arc<Self> {
        let samples = || Samples::new(windows);
        Arc::new(Self {
            polled: AtomicU64::new(0),
            written: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            dead_letter_failures: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commit_failures: AtomicU64::new(0),
            commits_begun: AtomicU64::new(0),
            commit_began_ms: AtomicI64::new(0),
            last_error_ms: AtomicI64::new(0),
            uncommitted: AtomicU64::new(0),
            partitions: AtomicU64::new(0),
            windows: Measurements {
                batch_size: samples(),
                commit_ms: samples(),
                commit_outcome: samples(),
                completions: samples(),
                polled: samples(),
                written: samples(),
                call_ms: samples(),
                active: samples(),
                transactions: samples(),
            },
            states: States::new(clock_ms()),
            facts: OnceLock::new(),
            acks: Mutex::default(),
            transacted: AtomicU64::new(0),
            consumer: OnceLock::new(),
            plugins: Mutex::default(),
            progress: Mutex::default(),
            checkpoint: Mutex::default(),
            put: Mutex::default(),
        })
    }

    /// A fresh set over Kafka's default windows.
    pub fn shared() -> Arc<Self> {
        Self::new(Windows::default())
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The value of a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// What the task is made of; said once.
    pub fn describe(&self, facts: TaskFacts) {
        if self.facts.set(facts).is_err() {
            tracing::trace!("a task was described twice");
        }
    }

    /// Source: where acknowledgements are counted from now on. What is in flight of an earlier ring will never be
    /// acknowledged.
    pub fn follow(&self, ring: Arc<Ring>) {
        let mut acks = self.acks.lock();
        if acks.ring.is_some() {
            acks.dropped += self.in_flight(&acks);
            acks.before = Self::get(&self.acknowledged);
        }
        acks.ring = Some(ring);
    }

    /// Sink: the consumer, which knows how far it is behind.
    pub fn consumer(&self, stats: Option<Arc<ClientStats>>) {
        if let Some(stats) = stats
            && self.consumer.set(stats).is_err()
        {
            tracing::trace!("a task has two consumers");
        }
    }

    /// Where the plugin registers what it measures.
    pub fn plugins(self: &Arc<Self>) -> connect_api::Metrics {
        let of = Arc::downgrade(self);
        connect_api::Metrics::new(move |measured| {
            if let Some(task) = of.upgrade() {
                task.plugins.lock().push(measured);
            }
        })
    }

    /// The run is in another state.
    pub fn state(&self, state: RunState) {
        self.states.change(state, clock_ms());
    }

    /// The state of the run.
    pub(super) fn present(&self) -> RunState {
        self.states.now()
    }

    /// The run is over: what its plugin measured is gone.
    pub fn ended(&self) {
        self.plugins.lock().clear();
    }

    /// Source: a `poll` that brought something took so long.
    pub fn poll_took(&self, took: Duration) {
        self.windows.call_ms.record(millis(took), clock_ms());
    }

    /// A batch came: from `poll`, or from the topics.
    pub fn arrived(&self, records: usize) {
        let now = clock_ms();
        Self::add(&self.polled, records as u64);
        Self::add(&self.batches, 1);
        self.windows.batch_size.record(records as f64, now);
        self.windows.polled.record(records as f64, now);
        let acks = self.acks.lock();
        if acks.ring.is_some() {
            self.windows.active.record(self.in_flight(&acks) as f64, now);
        }
    }

    /// Source: the ring has counted so many acknowledgements.
    pub fn acknowledged(&self, counted: u64) {
        self.acknowledged_of(&self.acks.lock(), counted);
    }

    fn acknowledged_of(&self, acks: &Acks, counted: u64) {
        let total = acks.before + counted;
        let before = self.acknowledged.swap(total, Ordering::Relaxed);
        if total > before {
            self.windows.written.record((total - before) as f64, clock_ms());
        }
    }

    /// Source: a transaction was committed, with all records that became durable since the one before.
    pub fn transaction_committed(&self) {
        let total = Self::get(&self.acknowledged);
        let before = self.transacted.swap(total, Ordering::Relaxed);
        self.windows.transactions.record(total.saturating_sub(before) as f64, clock_ms());
    }

    /// Sink: a batch was put.
    pub fn put_returned(&self, records: usize, took: Duration) {
        let now = clock_ms();
        Self::add(&self.written, records as u64);
        self.windows.written.record(records as f64, now);
        self.windows.call_ms.record(millis(took), now);
        let active = self.uncommitted.fetch_add(records as u64, Ordering::Relaxed) + records as u64;
        self.windows.active.record(active as f64, now);
    }

    /// Sink: it has so many partitions now.
    pub fn partitions(&self, count: usize) {
        self.partitions.store(count as u64, Ordering::Relaxed);
    }

    /// Offsets are about to be committed.
    pub fn commit_begun(&self) {
        Self::add(&self.commits_begun, 1);
        self.commit_began_ms.store(clock_ms(), Ordering::Relaxed);
    }

    /// Offsets were committed.
    pub fn committed(&self) {
        let now = clock_ms();
        Self::add(&self.commits, 1);
        self.windows.completions.record(1.0, now);
        self.commit_ended(true, now);
        self.uncommitted.store(0, Ordering::Relaxed);
        if self.acks.lock().ring.is_none() {
            self.windows.active.record(0.0, now);
        }
    }

    /// Offsets could not be committed.
    pub fn commit_failed(&self) {
        Self::add(&self.commit_failures, 1);
        self.commit_ended(false, clock_ms());
    }

    fn commit_ended(&self, ok: bool, now: i64) {
        let began = self.commit_began_ms.load(Ordering::Relaxed);
        self.windows.commit_ms.record((now - began).max(0) as f64, now);
        self.windows.commit_outcome.record(if ok { 1.0 } else { 0.0 }, now);
    }

    /// Notes an error.
    pub fn error_seen(&self) {
        self.last_error_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// What the task said last of its progress, if it ever did.
    pub fn progress(&self) -> Option<Progress> {
        self.progress.lock().clone()
    }

    /// Takes note of the task's progress.
    pub fn set_progress(&self, mut progress: Progress) {
        let mut known = self.progress.lock();
        // The stream has no tables: those of the snapshot before it stay to be seen, with their ends.
        if let Some(known) = known.take_if(|_| progress.tables.is_empty() && progress.phase == Phase::Streaming) {
            progress.tables = known.tables;
        }
        *known = Some(progress);
    }

    /// Source: a position was stored.
    pub fn checkpointed(&self, position: Option<String>) {
        *self.checkpoint.lock() = Some((position, now_ms()));
    }

    /// Source: the last position that this run stored, and when.
    pub fn checkpoint(&self) -> Option<(Option<String>, i64)> {
        self.checkpoint.lock().clone()
    }

    /// Sink: everything below these offsets was put.
    pub fn set_put(&self, positions: Vec<(TopicPartition, i64)>) {
        *self.put.lock() = Some(positions);
    }

    /// Sink: the offsets behind what was put; `None` for a source.
    pub fn put_positions(&self) -> Option<Vec<(TopicPartition, i64)>> {
        self.put.lock().clone()
    }

    /// Sink: records that it has still to read, of all its partitions.
    pub fn lag(&self) -> Option<u64> {
        self.consumer.get().and_then(|consumer| consumer.numbers().lag)
    }

    /// Source: records polled and neither durable nor dropped.
    fn in_flight(&self, acks: &Acks) -> u64 {
        let left_out = Self::get(&self.filtered) + Self::get(&self.skipped) + acks.dropped;
        let done = Self::get(&self.acknowledged) + left_out;
        Self::get(&self.polled).saturating_sub(done)
    }

    /// Source: records that were read and are neither in Kafka nor left out on purpose; `None` for a sink.
    pub fn unsettled(&self) -> Option<u64> {
        self.tick();
        let acks = self.acks.lock();
        acks.ring.is_some().then(|| self.in_flight(&acks))
    }

    /// Looks at what only counts.
    pub(super) fn tick(&self) {
        let acks = self.acks.lock();
        if let Some(ring) = &acks.ring {
            self.acknowledged_of(&acks, ring.acknowledged());
        }
    }

    /// Tells everything; `status` is the state that is known from elsewhere, when the run has ended.
    pub(super) fn read(&self, now: i64, connector: &str, task: &str, status: Option<&str>, out: &mut Snapshot) {
        self.tick();
        let tags = [("connector", connector), ("task", task)];
        self.common(now, &tags, status, out);
        match self.facts.get().map(|facts| facts.kind) {
            Some("source") => self.source(now, &tags, out),
            Some(_) => self.sink(now, &tags, out),
            None => {}
        }
        self.error_counts(&tags, out);
        let plugins = self.plugins.lock().clone();
        for Measured { domain, kind, measures } in plugins {
            measures.read(&mut Told { group: Group { domain, kind }, out });
        }
    }

    fn common(&self, now: i64, tags: &[(&'static str, &str); 2], status: Option<&str>, out: &mut Snapshot) {
        let windows = &self.windows;
        let group = out.group(TASK, tags);
        group
            .text("status", status.unwrap_or_else(|| self.states.now().name()))
            .gauge("running-ratio", self.states.share(RunState::Running, now))
            .gauge("pause-ratio", self.states.share(RunState::Paused, now))
            .gauge("offset-commit-max-time-ms", windows.commit_ms.max(now))
            .gauge("offset-commit-avg-time-ms", windows.commit_ms.avg(now))
            .gauge("offset-commit-success-percentage", windows.commit_outcome.share(now))
            .gauge("offset-commit-failure-percentage", windows.commit_outcome.other_share(now))
            .gauge("batch-size-max", windows.batch_size.max(now))
            .gauge("batch-size-avg", windows.batch_size.avg(now));
        let Some(facts) = self.facts.get() else { return };
        group.text("connector-type", facts.kind);
        for (name, version, class) in [
            ("connector-class", "connector-version", &facts.connector),
            ("task-class", "task-version", &facts.task),
            ("key-converter-class", "key-converter-version", &facts.key),
            ("value-converter-class", "value-converter-version", &facts.value),
            ("header-converter-class", "header-converter-version", &facts.header),
        ] {
            group.text(name, class.name.as_str()).text(version, class.version.as_str());
        }
        let [connector, task] = *tags;
        let mut stages = |kind, tag, class, version, of: &[(String, Class)]| {
            for (alias, plugin) in of {
                let group = out.group(Group::connect(kind), &[connector, task, (tag, alias)]);
                group.text(class, plugin.name.as_str()).text(version, plugin.version.as_str());
            }
        };
        let transforms = ("connector-transform-metrics", "transform", "transform-class", "transform-version");
        stages(transforms.0, transforms.1, transforms.2, transforms.3, &facts.transforms);
        let predicates = ("connector-predicate-metrics", "predicate", "predicate-class", "predicate-version");
        stages(predicates.0, predicates.1, predicates.2, predicates.3, &facts.predicates);
    }

    fn source(&self, now: i64, tags: &[(&'static str, &str)], out: &mut Snapshot) {
        let (windows, active) = (&self.windows, self.in_flight(&self.acks.lock()) as f64);
        windows.active.record(active, now);
        out.group(SOURCE, tags)
            .gauge("source-record-poll-rate", windows.polled.rate(now))
            .count("source-record-poll-total", Self::get(&self.polled))
            .gauge("source-record-write-rate", windows.written.rate(now))
            .count("source-record-write-total", Self::get(&self.acknowledged))
            .gauge("poll-batch-max-time-ms", windows.call_ms.max(now))
            .gauge("poll-batch-avg-time-ms", windows.call_ms.avg(now))
            .gauge("source-record-active-count", active)
            .gauge("source-record-active-count-max", windows.active.max(now))
            .gauge("source-record-active-count-avg", windows.active.avg(now))
            .gauge("transaction-size-min", windows.transactions.min(now))
            .gauge("transaction-size-avg", windows.transactions.avg(now))
            .gauge("transaction-size-max", windows.transactions.max(now));
    }

    fn sink(&self, now: i64, tags: &[(&'static str, &str)], out: &mut Snapshot) {
        let windows = &self.windows;
        let lag = self.consumer.get().and_then(|consumer| consumer.numbers().lag_max);
        out.group(SINK, tags)
            .gauge("sink-record-read-rate", windows.polled.rate(now))
            .count("sink-record-read-total", Self::get(&self.polled))
            .gauge("sink-record-send-rate", windows.written.rate(now))
            .count("sink-record-send-total", Self::get(&self.written))
            .gauge("sink-record-lag-max", lag.map_or(f64::NAN, |lag| lag as f64))
            .gauge("partition-count", Self::get(&self.partitions) as f64)
            .gauge("offset-commit-seq-no", Self::get(&self.commits_begun) as f64)
            .gauge("offset-commit-completion-rate", windows.completions.rate(now))
            .count("offset-commit-completion-total", Self::get(&self.commits))
            // A commit is waited for, so that none comes too late.
            .gauge("offset-commit-skip-rate", 0.0)
            .count("offset-commit-skip-total", 0)
            .gauge("put-batch-max-time-ms", windows.call_ms.max(now))
            .gauge("put-batch-avg-time-ms", windows.call_ms.avg(now))
            .gauge("sink-record-active-count", Self::get(&self.uncommitted) as f64)
            .gauge("sink-record-active-count-max", windows.active.max(now))
            .gauge("sink-record-active-count-avg", windows.active.avg(now));
    }

    fn error_counts(&self, tags: &[(&'static str, &str)], out: &mut Snapshot) {
        out.group(ERRORS, tags)
            .count("total-record-failures", Self::get(&self.failures))
            .count("total-record-errors", Self::get(&self.errors))
            .count("total-records-skipped", Self::get(&self.skipped))
            .count("total-retries", Self::get(&self.retries))
            .count("total-errors-logged", Self::get(&self.logged))
            .count("deadletterqueue-produce-requests", Self::get(&self.dead_letters))
            .count("deadletterqueue-produce-failures", Self::get(&self.dead_letter_failures))
            .gauge("last-error-timestamp", self.last_error_ms.load(Ordering::Relaxed) as f64);
    }
}

/// Takes what a plugin tells.
struct Told<'a> {
    group: Group,
    out: &'a mut Snapshot,
}

impl Readings for Told<'_> {
    fn group(&mut self, tags: &[(&'static str, &str)]) {
        self.out.group(self.group, tags);
    }

    fn put(&mut self, attribute: &'static str, reading: Reading<'_>) {
        let value = match reading {
            Reading::Count(count) => Value::Count(count as f64),
            Reading::Gauge(value) => Value::Gauge(value),
            Reading::Flag(flag) => Value::Gauge(f64::from(u8::from(flag))),
            Reading::Text(text) => Value::Text(text.to_owned()),
        };
        self.out.put(attribute, value);
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
