//! The loop of a sink task: consume, convert, transform, put, and commit the offsets of what is durable.
//!
//! Invariants:
//! 1. An offset is committed only when every record below it was put (or filtered, or reported as failed and tolerated), the
//!    dead letters of those records are durable, and the sink has flushed.
//! 2. The order of records within a partition is never changed: a batch that failed is given again before anything that
//!    comes after it.
//! 3. While a batch waits to be given again, or the task rests, partitions are paused and the consumer is polled on, which
//!    keeps the membership in the group.

mod ahead;
mod batch;
mod commits;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use connect_api::{Error, Rejected, Result, SinkRecord, SinkTask};
use connect_cluster::RecoveryOf;
use connect_kafka as kafka;
use tokio::time::{Instant, sleep};

use crate::control::{Control, TopicsUsed, Wanted};
use crate::convert::Converters;
use crate::failure::{Failed, Stage, wrap};
use crate::io::{Consume, ConsumerEvent, ConsumerRecord};
use crate::metrics::TaskMetrics;
use crate::positions::Positions;
use crate::report::{Reporter, Subject};
use crate::unit::UnitNews;

use ahead::{Coming, Fields, LookedAt, next_event};
use batch::Batch;

/// The longest single wait for records: orders are noticed at once, this only bounds the client's call.
const MAX_POLL_WAIT: Duration = Duration::from_secs(1);
/// The first wait before a batch is given again; it doubles up to [`REDELIVERY_MAX`].
const REDELIVERY_FIRST: Duration = Duration::from_millis(300);
/// The longest wait before a batch is given again.
const REDELIVERY_MAX: Duration = Duration::from_secs(30);
/// For how long a batch is given again, or a flush fails, within a run where the failed task is tried again from outside. What
/// lasts longer has to be seen, and counted.
pub const PUT_PATIENCE: Duration = Duration::from_secs(60);
/// A `put` that takes longer than this is accompanied by polls of the consumer, which keep the membership in the group.
pub const SLOW_PUT: Duration = Duration::from_secs(10);
/// When nothing has come for so long, what was put is committed: whoever waits for the group to be at the end need not wait for the
/// next regular commit, and a crash leaves less to be put again.
const QUIET: Duration = Duration::from_millis(20);
/// So many commits are made that way in the time between two regular ones, at most, and none sooner than [`EARLY_PAUSE`] after the
/// one before.
const EARLY_COMMITS: u32 = 10;
/// The shortest time between two commits that are early.
const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is said how far the task is.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How long leaving the group may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The class that the JVM names for errors of a sink.
const SINK_TASK: &str = "org.apache.kafka.connect.sink.SinkTask";

/// Everything a sink task runs with.
pub struct SinkLoop {
    pub task: Box<dyn SinkTask>,
    pub control: Control,
    pub converters: Converters,
    pub consumer: Box<dyn Consume>,
    pub reporter: Reporter,
    pub used: TopicsUsed,
    pub metrics: Arc<TaskMetrics>,
    /// The longest time between two commits.
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`: how long one commit may take.
    pub flush_timeout: Duration,
    /// After so long a `put` counts as slow; [`SLOW_PUT`] but in tests.
    pub slow_put: Duration,
    /// [`PUT_PATIENCE`] but in tests.
    pub patience: Duration,
    /// Whether a task that fails is tried again.
    pub recovery: RecoveryOf,
}

/// How a batch has fared so far.
#[derive(Clone, Copy)]
struct Tries {
    /// How long it rests when it has to be given again.
    wait: Duration,
    /// Since when the sink does not take it.
    since: Option<Instant>,
}

impl Tries {
    const NONE: Self = Self { wait: REDELIVERY_FIRST, since: None };
}

/// A batch that is to be given again.
struct Redelivery {
    batch: Batch,
    at: Instant,
    tries: Tries,
}

/// The state of a running loop.
struct Work {
    positions: Positions,
    redelivery: Option<Redelivery>,
    /// Since when the sink can't flush.
    unflushed: Option<Instant>,
    /// Events that came while a `put` was under way: one batch, and when it is slow some more. Partitions are paused then, so that
    /// they are few.
    backlog: VecDeque<Coming>,
    looked_at: LookedAt,
    resting: bool,
    /// Something was put since the last commit.
    moved: bool,
    last_commit: Instant,
    next_commit: Instant,
    /// When it is said next how far the task is.
    next_told: Instant,
}

impl SinkLoop {
    /// Runs until the end is wanted, or something fails. The task is stopped and the group left in both cases.
    pub async fn run(mut self) -> Result<()> {
        let mut work = Work {
            positions: Positions::default(),
            redelivery: None,
            unflushed: None,
            backlog: VecDeque::new(),
            looked_at: LookedAt::default(),
            resting: false,
            moved: false,
            last_commit: Instant::now(),
            next_commit: Instant::now() + self.flush_interval,
            next_told: Instant::now(),
        };
        let mut outcome = self.work(&mut work).await;
        if outcome.is_ok() {
            outcome = self.close_all(&mut work).await;
        }
        // Whoever waits for an answer need not wait for the task, nor the client for them.
        work.backlog.clear();
        if !self.control.may_work() {
            // What its producer still has in its queue is dropped, and not sent while the task stops.
            self.reporter.dead_letters = None;
        }
        let stopped = self.task.stop().await;
        if let Err(error) = self.consumer.close(CLOSE_TIMEOUT).await {
            let (connector, task) = (&*self.reporter.connector, self.reporter.task);
            tracing::warn!(connector, task, trace = error.trace(), "failed to leave the consumer group");
        }
        outcome?;
        stopped
    }

    async fn work(&mut self, work: &mut Work) -> Result<()> {
        loop {
            self.control.works(!work.resting && work.redelivery.is_none() && work.unflushed.is_none()).await;
            let known = if work.resting { Wanted::Rest } else { Wanted::Run };
            let wait = self.wait(work);
            let event = tokio::select! {
                biased;
                wanted = self.control.changed_from(known) => {
                    match wanted {
                        Wanted::End => return Ok(()),
                        Wanted::Rest => self.rest(work).await?,
                        Wanted::Run => self.resume(work).await?,
                    }
                    continue;
                }
                event = next_event(&mut *self.consumer, &mut work.backlog, wait) => event,
            };
            let quiet = event.is_none();
            if let Some(coming) = event {
                self.handle(work, coming).await?;
            }
            let now = Instant::now();
            if !work.resting
                && let Some(again) = work.redelivery.take_if(|again| again.at <= now)
            {
                let tries = Tries { wait: again.tries.wait * 2, ..again.tries };
                self.deliver(work, again.batch, tries).await?;
            }
            if now >= work.next_commit {
                self.commit(work, None).await?;
            } else if quiet && work.moved && now >= self.early_commit(work) {
                let moved = work.positions.moved();
                self.commit(work, Some(&moved)).await?;
            }
            if now >= work.next_told {
                work.next_told = now + TELL_EVERY;
                self.metrics.set_put(work.positions.put());
            }
        }
    }

    fn wait(&self, work: &Work) -> Duration {
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        let mut wait = until(work.next_commit).min(MAX_POLL_WAIT);
        if work.moved {
            wait = wait.min(until(self.early_commit(work)).max(QUIET));
        }
        if let Some(again) = work.redelivery.as_ref().filter(|_| !work.resting) {
            wait = wait.min(until(again.at));
        }
        wait
    }

    /// When what was put may be committed, if nothing more comes.
    fn early_commit(&self, work: &Work) -> Instant {
        work.last_commit + (self.flush_interval / EARLY_COMMITS).max(EARLY_PAUSE)
    }

    async fn rest(&mut self, work: &mut Work) -> Result<()> {
        work.resting = true;
        // What was read is put before the rest begins; nothing more is read meanwhile.
        while let Some(coming) = work.backlog.pop_front() {
            self.handle(work, coming).await?;
        }
        self.consumer.pause(&work.positions.partitions())?;
        self.commit(work, None).await?;
        self.control.works(false).await;
        self.control.tell(UnitNews::Paused).await;
        Ok(())
    }

    async fn resume(&mut self, work: &mut Work) -> Result<()> {
        work.resting = false;
        // While it rested nothing was tried.
        work.unflushed = None;
        match &mut work.redelivery {
            None => self.consumer.resume(&work.positions.partitions())?,
            Some(again) => again.tries.since = None,
        }
        self.control.tell(UnitNews::Running).await;
        Ok(())
    }

    async fn handle(&mut self, work: &mut Work, coming: Coming) -> Result<()> {
        let Coming { event, decoded } = coming;
        match event {
            // Another worker may have the task already: it reads these records again, and sends their dead letters. The loss
            // is for good, so that nothing is committed past a batch that was left.
            ConsumerEvent::Records(_) if !self.control.may_work() => Ok(()),
            ConsumerEvent::Records(raw) => {
                self.metrics.arrived(raw.len());
                work.positions.read(&raw);
                let batch = self.convert(raw, decoded, &mut work.looked_at).await?;
                match &mut work.redelivery {
                    // Read before the pause took effect: it comes after what waits.
                    Some(again) => again.batch.append(batch),
                    None => self.deliver(work, batch, Tries::NONE).await?,
                }
                Ok(())
            }
            ConsumerEvent::Reached(_) if !self.control.may_work() => Ok(()),
            ConsumerEvent::Reached(ends) => {
                work.positions.reached(&ends);
                if work.redelivery.is_none() {
                    work.positions.nothing_waits();
                }
                work.moved = true;
                Ok(())
            }
            ConsumerEvent::Assigned(partitions) => self.assigned(work, &partitions).await,
            ConsumerEvent::Revoked { partitions, lost, done } => {
                let outcome = self.revoked(work, &partitions, lost).await;
                // The rebalance goes on whatever came of it; nobody waits for the answer when the client is gone.
                let _gone = done.send(());
                outcome
            }
            ConsumerEvent::Error(error) => Err(crate::io::kafka_exception(error)),
        }
    }

    async fn assigned(&mut self, work: &mut Work, partitions: &[kafka::TopicPartition]) -> Result<()> {
        let (connector, task) = (&*self.reporter.connector, self.reporter.task);
        tracing::info!(connector, task, partitions = partitions.len(), "partitions were assigned");
        if partitions.is_empty() {
            return Ok(());
        }
        let starts = match self.consumer.starts(partitions).await {
            Ok(starts) => starts,
            // Without them a partition's position is known from its first record on.
            Err(error) if error.kind().retriable() => {
                tracing::warn!(connector, task, trace = error.trace(), "failed to look up where reading begins");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        work.positions.assign(partitions, starts);
        self.metrics.partitions(work.positions.partitions().len());
        if work.resting || work.redelivery.is_some() {
            self.consumer.pause(partitions)?;
        } else {
            // They may have been paused when they were taken away.
            self.consumer.resume(partitions)?;
        }
        self.task.open(&api_partitions(partitions)).await
    }

    async fn revoked(&mut self, work: &mut Work, partitions: &[kafka::TopicPartition], lost: bool) -> Result<()> {
        let (connector, task) = (&*self.reporter.connector, self.reporter.task);
        tracing::info!(connector, task, partitions = partitions.len(), lost, "partitions were revoked");
        if !lost && !partitions.is_empty() {
            // What could not be flushed is read again by whoever gets the partitions; a seek would wait for the rebalance.
            let _unflushed = self.flush_and_commit(work, Some(partitions)).await?;
        }
        let closed = self.task.close(&api_partitions(partitions)).await;
        work.positions.remove(partitions);
        self.metrics.partitions(work.positions.partitions().len());
        if work.positions.partitions().is_empty() {
            // What could not be flushed is another task's to flush.
            work.unflushed = None;
        }
        if let Some(again) = &mut work.redelivery {
            again.batch.remove(partitions);
            if again.batch.raw.is_empty() {
                work.redelivery = None;
                if !work.resting {
                    self.consumer.resume(&work.positions.partitions())?;
                }
            }
        }
        closed
    }

    /// Converts what was read. Records that fail and are tolerated, and those that a transform drops, stay in `raw` only.
    async fn convert(
        &mut self,
        raw: Vec<ConsumerRecord>,
        decoded: Vec<Option<SinkRecord>>,
        looked_at: &mut LookedAt,
    ) -> Result<Batch> {
        self.used.refresh();
        let mut batch =
            Batch { records: Vec::with_capacity(raw.len()), places: Vec::with_capacity(raw.len()), raw: Vec::new() };
        for (place, (consumed, decoded)) in ahead::each(&raw, decoded).enumerate() {
            let fields = looked_at.of(&consumed.topic, &mut *self.task, &self.converters);
            let decoded = match decoded {
                Some(decoded) => Ok(decoded),
                None => self.converters.decode(consumed, fields),
            };
            // A topic counts as used with its first record that could be converted, whatever a transform makes of it.
            if decoded.as_ref().err().is_none_or(|failed| failed.stage == Stage::Transformation)
                && self.used.is_new(&consumed.topic)
                && self.used.enabled
            {
                self.control.tell(UnitNews::TopicUsed { topic: consumed.topic.to_string() }).await;
            }
            let decoded = match decoded {
                Ok(decoded) => decoded,
                Err(failed) => self.decode_again(consumed, fields, failed).await?,
            };
            if let Some(record) = decoded {
                batch.records.push(record);
                batch.places.push(place);
            } else {
                TaskMetrics::add(&self.metrics.filtered, 1);
            }
        }
        batch.raw = raw;
        Ok(batch)
    }

    /// The rare way: retries, then the report that tolerates or fails.
    async fn decode_again(
        &mut self,
        consumed: &ConsumerRecord,
        fields: Fields,
        mut failed: Failed,
    ) -> Result<Option<SinkRecord>> {
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let waited = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            let Some(delay) = self.reporter.retry_delay_ms(&failed.error, attempt, waited) else { break };
            tokio::select! {
                () = sleep(Duration::from_millis(delay.unsigned_abs())) => {}
                () = self.control.cancel.cancelled() => break,
            }
            attempt += 1;
            match self.converters.decode(consumed, fields) {
                Ok(record) => return Ok(record),
                Err(again) => failed = again,
            }
        }
        if self.control.may_work() {
            self.reporter.report(Subject::Sink(consumed), failed).await?;
        }
        // Otherwise the batch is left by who is to deliver it.
        Ok(None)
    }

    /// Gives a batch to the sink.
    async fn deliver(&mut self, work: &mut Work, batch: Batch, tries: Tries) -> Result<()> {
        if !self.control.may_work() {
            // Another worker may have the task already: it reads these records again.
            return Ok(());
        }
        let started = Instant::now();
        if !batch.records.is_empty() {
            match self.put(work, &batch.records).await? {
                Ok(rejected) => {
                    if !self.reject(&batch, rejected).await? {
                        return Ok(());
                    }
                }
                Err(error) if error.kind().retriable() => return self.put_off(work, batch, tries, error),
                Err(error) => return Err(exiting(error)),
            }
        }
        if work.redelivery.is_none() && tries.wait > REDELIVERY_FIRST && !work.resting {
            // It had to be given again, and that is over.
            self.consumer.resume(&work.positions.partitions())?;
        }
        self.metrics.put_returned(batch.records.len(), started.elapsed());
        work.positions.passed(&batch.raw);
        work.moved = true;
        if work.redelivery.is_none() {
            work.positions.nothing_waits();
        }
        Ok(())
    }

    /// Calls `put`. The outer error is one of Kafka's. A sink that tries for longer than a batch may be given again is not well
    /// meanwhile, though it says nothing.
    async fn put(&mut self, work: &mut Work, records: &[SinkRecord]) -> Result<Result<Vec<Rejected>>> {
        let Self { task, consumer, converters, slow_put, control, patience, .. } = self;
        let lasting = Instant::now() + *patience;
        let mut put = task.put(records);
        let mut slow = std::pin::pin!(sleep(*slow_put));
        loop {
            let ahead = work.backlog.iter().all(Coming::is_an_end) && work.redelivery.is_none() && !work.resting;
            tokio::select! {
                biased;
                done = &mut put => return Ok(done),
                () = &mut slow => break,
                event = consumer.poll(MAX_POLL_WAIT), if ahead => {
                    if let Some(mut coming) = event.map(Coming::from) {
                        coming.decode(converters, &work.looked_at);
                        work.backlog.push_back(coming);
                    }
                }
            }
        }
        consumer.pause(&work.positions.partitions())?;
        let done = loop {
            if Instant::now() >= lasting {
                control.works(false).await;
            }
            tokio::select! {
                biased;
                done = &mut put => break done,
                event = consumer.poll(MAX_POLL_WAIT) => {
                    if let Some(ConsumerEvent::Assigned(partitions)) = &event {
                        consumer.pause(partitions)?;
                    }
                    work.backlog.extend(event.map(Coming::from));
                }
            }
        };
        if work.redelivery.is_none() && !work.resting {
            consumer.resume(&work.positions.partitions())?;
        }
        Ok(done)
    }

    /// True when the sink has refused for so long that its task is to fail: never where nobody else takes care of that.
    fn is_out_of_patience(&self, since: Instant) -> bool {
        since.elapsed() >= self.patience && (self.recovery)(&self.reporter.connector).enabled
    }

    /// `RetriableException`: the same batch again, later: without end, as the JVM does, or for some time where somebody else
    /// takes care of a task that fails. A sink that sets an end itself is asked until then.
    fn put_off(&mut self, work: &mut Work, batch: Batch, tries: Tries, error: Error) -> Result<()> {
        let since = tries.since.unwrap_or_else(Instant::now);
        if !self.task.bounds_retries() && self.is_out_of_patience(since) {
            return Err(exiting(error));
        }
        let grown = tries.wait.min(REDELIVERY_MAX);
        let wait = error.retry_in().unwrap_or(grown);
        let (connector, task) = (&*self.reporter.connector, self.reporter.task);
        tracing::warn!(
            connector,
            task,
            wait_ms = wait.as_millis(),
            trace = error.trace(),
            "the sink asks to try again"
        );
        TaskMetrics::add(&self.metrics.failures, 1);
        TaskMetrics::add(&self.metrics.retries, 1);
        self.metrics.error_seen();
        self.consumer.pause(&work.positions.partitions())?;
        let tries = Tries { wait: grown, since: Some(since) };
        work.redelivery = Some(Redelivery { batch, at: Instant::now() + wait, tries });
        Ok(())
    }

    /// Reports what the sink did not take; false when the right to work is over, and the batch is to be left.
    async fn reject(&mut self, batch: &Batch, rejected: Vec<Rejected>) -> Result<bool> {
        if rejected.is_empty() {
            return Ok(true);
        }
        let class: Arc<str> = Arc::from(SINK_TASK);
        for Rejected { index, error } in rejected {
            let raw = batch.places.get(index).and_then(|place| batch.raw.get(*place)).ok_or_else(|| {
                Error::connect(format!("the sink rejected record {index} of a batch of {}", batch.records.len()))
            })?;
            let failed = Failed { stage: Stage::TaskPut, class: Arc::clone(&class), error };
            if !self.control.may_work() {
                return Ok(false);
            }
            self.reporter.report(Subject::Sink(raw), failed).await.map_err(exiting)?;
        }
        Ok(true)
    }
}

fn exiting(cause: Error) -> Error {
    wrap("Exiting WorkerSinkTask due to unrecoverable exception.", cause)
}

fn api_partitions(partitions: &[kafka::TopicPartition]) -> Vec<connect_api::TopicPartition> {
    partitions
        .iter()
        .map(|p| connect_api::TopicPartition { topic: Arc::clone(&p.topic), partition: p.partition })
        .collect()
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
