//! The loop of a source task: poll, transform, convert, produce, and confirm what is durable.
//!
//! One task owns everything; a record goes through plain function calls from `poll` to the producer's queue. The only
//! waits are for room in that queue, for a topic to be created, and for a retry.
//!
//! Order of confirmation (invariant 5): the records ahead of a checkpoint are acknowledged, then its offset is durable in
//! the offsets topic, then `SourceTask::committed` is called with it.

mod dropped;

use std::sync::Arc;
use std::time::Duration;

use connect_api::{Checkpoint, Error, ErrorKind, Record, Result, SourceBatch, SourceTask};
use connect_cluster::RecoveryOf;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::acks::Tracker;
use crate::control::{Control, TopicsUsed, Wanted};
use crate::convert::Encoder;
use crate::failure::{Failed, Stage, wrap};
use crate::io::{Produce, SendError, kafka_exception};
use crate::metrics::TaskMetrics;
use crate::offsets::OffsetStore;
use crate::pace::Pace;
use crate::report::{Reporter, Subject};
use crate::topic_creation::TopicCreation;
use crate::unit::UnitNews;

pub use dropped::Dropped;
use dropped::Passing;

/// The first wait after a `poll` that failed but may be tried again; it doubles up to [`POLL_RETRY_MAX`].
const POLL_RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between attempts to poll.
const POLL_RETRY_MAX: Duration = Duration::from_secs(10);
/// How often a `poll` is tried again within a run where the failed task is tried again from outside: within a second, so
/// that what is over as soon is nobody's concern. What lasts longer has to be seen, and counted.
const POLL_RETRIES: u32 = 3;

/// How often it is looked while there is no room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The class that the JVM names for records that Kafka did not take.
const SOURCE_TASK: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";

/// Everything a source task runs with.
pub struct SourceLoop {
    pub task: Box<dyn SourceTask>,
    pub control: Control,
    pub encoder: Encoder,
    pub producer: Arc<dyn Produce>,
    pub tracker: Tracker,
    pub offsets: Arc<OffsetStore>,
    pub reporter: Reporter,
    pub topics: TopicCreation,
    pub used: TopicsUsed,
    pub metrics: Arc<TaskMetrics>,
    pub settings: SourceSettings,
    /// The offsets topic of a task that delivers exactly once: no record may go there, and none may be left out.
    pub exactly_once: Option<Arc<str>>,
    /// Whether a task that fails is tried again.
    pub recovery: RecoveryOf,
    /// What the task was told of that when it began: it gives up early then, whatever is said later.
    pub recovers: bool,
    /// The task is connected with its system, as far as it says.
    pub connected: watch::Receiver<bool>,
    /// What was dropped at the end of what was read.
    pub dropped: Dropped,
}

/// Times of a source task.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// The longest time between two writes of offsets.
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`: how long a stop or pause waits for records in flight.
    pub flush_timeout: Duration,
}

/// A write of offsets under way, with the checkpoints it makes durable.
type Flush = BoxFuture<'static, (Vec<Checkpoint>, Result<()>)>;

/// What is kept of a record in case its conversion fails.
struct Spare {
    /// For retries, and for the log when it is to describe records.
    record: Option<Record>,
}

/// Polls that failed one after the other, and may succeed later.
#[derive(Default)]
pub(crate) struct PollRow {
    failures: u32,
    first: Option<Error>,
}

impl PollRow {
    /// Polls succeed.
    pub(crate) fn is_empty(&self) -> bool {
        self.failures == 0
    }

    /// The wait before the next try.
    fn wait(&self) -> Duration {
        POLL_RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(POLL_RETRY_MAX)
    }

    /// A later error, with the one that began it all as its cause where it has none: a task that says only that its reader
    /// is gone has said why before.
    fn explain(self, error: Error) -> Error {
        match self.first {
            Some(first) if error.kind() == ErrorKind::Bug && std::error::Error::source(&error).is_none() => {
                error.caused_by(first)
            }
            _ => error,
        }
    }
}

/// Why a batch was left before its end.
pub(crate) enum Left {
    /// The task is to end: what was not sent is read again by the next run.
    Ending,
    Failed(Error),
}

impl From<Error> for Left {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl SourceLoop {
    /// Runs until the end is wanted, or something fails. The task is stopped in both cases.
    pub async fn run(mut self) -> Result<()> {
        let outcome = self.work().await;
        // What is durable is confirmed even when the task failed: it saves repetition.
        let settled = self.settle(outcome.is_ok()).await;
        let Self { task, producer, control, .. } = self;
        if !control.may_work() {
            // The last of its users: what is still in its queue is dropped with it, and not sent while the task stops.
            drop(producer);
        }
        let stopped = task.stop().await;
        outcome.and(settled)?;
        stopped
    }

    async fn work(&mut self) -> Result<()> {
        let mut pace = Pace::new(self.settings.flush_interval);
        let mut timer = std::pin::pin!(sleep_until(pace.due(false)));
        let mut flush: Option<Flush> = None;
        let mut first = true;
        let mut row = PollRow::default();
        loop {
            self.check_delivery()?;
            self.tell_stall();
            self.tell_topics().await;
            self.tell_health(&row).await;
            let due = pace.due(self.tracker.has_checkpoints());
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            let asked = Instant::now();
            tokio::select! {
                biased;
                wanted = self.control.changed_from(Wanted::Run) => {
                    if let Some(flush) = flush.take() {
                        self.finish(flush).await?;
                    }
                    if wanted == Wanted::End || self.rest().await? == Wanted::End {
                        return Ok(());
                    }
                }
                done = async { flush.as_mut().expect("guarded by the condition").await }, if flush.is_some() => {
                    flush = None;
                    pace.ended(self.flushed(done).await?);
                }
                () = timer.as_mut(), if flush.is_none() => {
                    pace.begun();
                    flush = self.begin_flush();
                }
                () = self.tracker.changed(), if self.used.is_waiting() => {}
                () = connection_changed(&mut self.connected) => {}
                polled = self.task.poll() => match polled {
                    Ok(batch) => {
                        row = PollRow::default();
                        self.metrics.poll_took(asked.elapsed());
                        match self.process(batch).await {
                            Ok(()) | Err(Left::Ending) => {}
                            Err(Left::Failed(error)) => return Err(error),
                        }
                        if first && flush.is_none() {
                            // That a run has begun is worth knowing early: a crash then repeats little.
                            flush = self.begin_flush();
                            first = flush.is_none();
                            if flush.is_some() {
                                pace.begun();
                            }
                        }
                        // A source that is always ready must let others run.
                        tokio::task::consume_budget().await;
                    }
                    Err(error) => row = self.poll_failed(row, error).await?,
                },
            }
        }
    }

    /// Tells whether the source really works: it is connected, and its last poll did not fail.
    pub(crate) async fn tell_health(&mut self, row: &PollRow) {
        let works = row.is_empty() && *self.connected.borrow_and_update();
        self.control.works(works).await;
    }

    /// A `poll` that may succeed later is tried again: without end, as the JVM does, or a few times where somebody else takes
    /// care of a task that fails, or did when the task began: one that has given up for that has nothing more to say. Any
    /// other error fails the task.
    pub(crate) async fn poll_failed(&mut self, mut row: PollRow, error: Error) -> Result<PollRow> {
        let attended = self.recovers || (self.recovery)(&self.reporter.connector).enabled;
        let bounded = row.failures >= POLL_RETRIES && attended;
        if !error.kind().retriable() || bounded {
            return Err(row.explain(error));
        }
        self.metrics.error_seen();
        let (connector, task) = (&*self.reporter.connector, self.reporter.task);
        tracing::warn!(connector, task, trace = error.trace(), "failed to poll the source, trying again");
        let wait = row.wait();
        row.failures = row.failures.saturating_add(1);
        row.first.get_or_insert(error);
        self.tell_health(&row).await;
        tokio::select! {
            () = sleep(wait) => {}
            _ = self.control.changed_from(Wanted::Run) => {}
        }
        Ok(row)
    }

    /// Rests until something else is wanted.
    async fn rest(&mut self) -> Result<Wanted> {
        self.settle(true).await?;
        if !self.control.may_work() {
            return Ok(Wanted::End);
        }
        self.control.works(false).await;
        self.control.tell(UnitNews::Paused).await;
        let wanted = loop {
            // Still resting: what became durable in the meantime is confirmed.
            tokio::select! {
                wanted = self.control.changed_from(Wanted::Rest) => break wanted,
                () = sleep(self.settings.flush_interval) => self.settle(true).await?,
            }
        };
        if wanted == Wanted::Run {
            self.control.tell(UnitNews::Running).await;
        }
        Ok(wanted)
    }

    /// Sends a batch.
    pub(crate) async fn process(&mut self, batch: SourceBatch) -> Result<(), Left> {
        let SourceBatch { records, checkpoints, between } = batch;
        if records.is_empty() && checkpoints.is_empty() {
            return Ok(());
        }
        if !self.control.may_work() {
            // Another worker may have the task by now, and reads this batch itself.
            return Err(Left::Ending);
        }
        self.metrics.arrived(records.len());
        self.used.refresh();
        let mut checkpoints = checkpoints.into_iter().peekable();
        let mut written = 0;
        let mut passing = Passing::new(between);
        let read = records.len();
        let mut looked = Instant::now();
        for (index, record) in records.into_iter().enumerate() {
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.after <= index) {
                self.pass(checkpoint, &mut passing);
            }
            let spare = self.spare(&record);
            match self.encoder.encode(record) {
                Ok(true) => {}
                Ok(false) => {
                    TaskMetrics::add(&self.metrics.filtered, 1);
                    self.dropped.was_dropped();
                    continue;
                }
                Err(failed) => {
                    if !self.encode_again(spare, failed).await? {
                        self.dropped.was_dropped();
                        continue;
                    }
                }
            }
            if looked.elapsed() >= LOOK_EVERY {
                // A converter may have waited for long, and others send these records by now.
                if self.control.cancel.is_cancelled() {
                    return Err(Left::Ending);
                }
                self.check_before_sending()?;
                looked = Instant::now();
            }
            if self.used.is_new(self.encoder.topic()) {
                self.first_use().await?;
            }
            written += u64::from(self.offer_at_once() || self.send().await?);
            self.dropped.was_sent(&mut passing, index + 1);
        }
        for checkpoint in checkpoints {
            self.pass(checkpoint, &mut passing);
        }
        self.dropped.batch_ended(passing, read);
        TaskMetrics::add(&self.metrics.written, written);
        self.tracker.advance();
        self.metrics.acknowledged(self.tracker.acknowledged());
        Ok(())
    }

    /// Keeps a checkpoint until the records ahead of it are acknowledged.
    fn pass(&mut self, checkpoint: Checkpoint, passing: &mut Passing) {
        if let Some(checkpoint) = self.dropped.pass(checkpoint, passing) {
            self.tracker.checkpoint(checkpoint);
        }
    }

    /// What is needed of a record when its conversion fails: nothing, unless the configuration asks for it.
    fn spare(&self, record: &Record) -> Spare {
        let policy = &self.reporter.policy;
        Spare { record: (policy.retries() || policy.log && policy.log_messages).then(|| record.clone()) }
    }

    /// The rare way: retries, then the report that tolerates or fails. True when a retry has encoded the record.
    async fn encode_again(&mut self, spare: Spare, mut failed: Failed) -> Result<bool, Left> {
        let started = Instant::now();
        let mut attempt = 1;
        while let Some(record) = &spare.record {
            let waited = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            let Some(delay) = self.reporter.retry_delay_ms(&failed.error, attempt, waited) else { break };
            tokio::select! {
                () = sleep(Duration::from_millis(delay.unsigned_abs())) => {}
                () = self.control.cancel.cancelled() => return Err(Left::Ending),
            }
            attempt += 1;
            match self.encoder.encode(record.clone()) {
                Ok(kept) => return Ok(kept),
                Err(again) => failed = again,
            }
        }
        self.reporter.report(Subject::Source(spare.record.as_ref()), failed).await?;
        Ok(false)
    }

    /// The first record of a topic in this run.
    async fn first_use(&mut self) -> Result<(), Left> {
        let topic = Arc::clone(self.encoder.topic());
        if self.exactly_once.as_ref() == Some(&topic) {
            // The task could never read its offsets: that waits for open transactions, its own among them.
            return Err(Left::Failed(Error::connect(
                "Source tasks may not produce to their own offsets topics when exactly-once support is enabled",
            )));
        }
        self.topics.ensure(&topic).await?;
        self.used.sent(topic, self.tracker.next());
        Ok(())
    }

    /// Tells of the topics that have their first record (KIP-558).
    pub(crate) async fn tell_topics(&mut self) {
        if !self.used.is_waiting() {
            return;
        }
        self.tracker.advance();
        for topic in self.used.durable(self.tracker.prefix()) {
            self.control.tell(UnitNews::TopicUsed { topic: topic.to_string() }).await;
        }
    }

    /// Hands the record in the buffer to the producer, when nothing stands in the way: the hot path.
    fn offer_at_once(&mut self) -> bool {
        let Some(sequence) = self.tracker.reserve() else { return false };
        let sent = self.offer(sequence).is_ok();
        if sent {
            self.tracker.sent();
        }
        sent
    }

    /// Hands the record in the buffer to the producer, as soon as there is room; false when it was skipped.
    async fn send(&mut self) -> Result<bool, Left> {
        loop {
            let Some(sequence) = self.tracker.reserve() else {
                tokio::select! {
                    () = self.tracker.changed() => {}
                    () = sleep(LOOK_EVERY) => {}
                    () = self.control.cancel.cancelled() => return Err(Left::Ending),
                }
                self.check_before_sending()?;
                continue;
            };
            match self.offer(sequence) {
                Ok(()) => {
                    self.tracker.sent();
                    return Ok(true);
                }
                Err(SendError::QueueFull) => {}
                Err(SendError::Refused(error)) => {
                    let error = kafka_exception(error);
                    return self.refused(error).await.map(|()| false);
                }
            }
            tokio::select! {
                () = self.producer.room() => {}
                () = self.control.cancel.cancelled() => return Err(Left::Ending),
            }
            self.check_before_sending()?;
        }
    }

    /// After a wait for room, which may have been a long one.
    fn check_before_sending(&mut self) -> Result<(), Left> {
        if !self.control.may_work() {
            return Err(Left::Ending);
        }
        self.tell_stall();
        Ok(self.check_delivery()?)
    }

    /// Records that Kafka does not confirm are sent again and again without a word.
    fn tell_stall(&mut self) {
        let Some(stalled) = self.tracker.stalled() else { return };
        tracing::warn!(
            connector = &*self.reporter.connector,
            task = self.reporter.task,
            in_flight = self.tracker.in_flight(),
            seconds = stalled.as_secs(),
            "Kafka confirms nothing of what was sent: look at the brokers; one closes the connection over a request above its \
             socket.request.max.bytes"
        );
    }

    fn offer(&self, sequence: u64) -> Result<(), SendError> {
        let headers = self.encoder.headers();
        self.producer.send(self.encoder.message(&headers), sequence, self.tracker.sink())
    }

    /// A record that the producer does not take: skipped under tolerance, as a failed delivery is.
    async fn refused(&mut self, error: Error) -> Result<(), Left> {
        if !self.reporter.policy.tolerate || self.exactly_once.is_some() {
            return Err(Left::Failed(wrap("Unrecoverable exception from producer send callback", error)));
        }
        self.reporter.report(Subject::Source(None), not_produced(error)).await?;
        Ok(())
    }

    /// Fails the task when a record could not be delivered.
    fn check_delivery(&mut self) -> Result<()> {
        if !self.tracker.has_failed() {
            return Ok(());
        }
        match self.tracker.take_failure() {
            Some(cause) => Err(wrap("Unrecoverable exception from producer send callback", cause)),
            None => Ok(()),
        }
    }

    /// Starts to write the newest complete checkpoints, when there are any.
    fn begin_flush(&mut self) -> Option<Flush> {
        let (skipped, errors) = self.tracker.take_tolerated();
        TaskMetrics::add(&self.metrics.skipped, skipped);
        for error in errors {
            self.reporter.note(&Subject::Source(None), &not_produced(error));
        }
        if !self.control.may_work() {
            // Another worker may have the task by now, and have stored newer ones.
            return None;
        }
        let checkpoints = self.tracker.take_complete();
        if checkpoints.is_empty() {
            return None;
        }
        self.metrics.commit_begun();
        let offsets = Arc::clone(&self.offsets);
        let connector = Arc::clone(&self.reporter.connector);
        Some(
            async move {
                let entries: Vec<_> =
                    checkpoints.iter().map(|c| (Some((*c.partition).clone()), Some(c.offset.clone()))).collect();
                let outcome = offsets.write(&connector, &entries).await;
                (checkpoints, outcome)
            }
            .boxed(),
        )
    }

    /// The offsets are durable, or they could not be written (false): then the next flush tries again.
    async fn flushed(&mut self, (checkpoints, outcome): (Vec<Checkpoint>, Result<()>)) -> Result<bool> {
        if let Err(error) = outcome {
            self.metrics.commit_failed();
            let (connector, task) = (&*self.reporter.connector, self.reporter.task);
            tracing::error!(connector, task, trace = error.trace(), "failed to commit offsets, trying again later");
            self.tracker.give_back(checkpoints);
            return Ok(false);
        }
        self.metrics.committed();
        self.metrics.acknowledged(self.tracker.acknowledged());
        for checkpoint in &checkpoints {
            self.metrics.checkpointed(self.task.position_text(&checkpoint.offset));
            self.task.committed(checkpoint).await?;
        }
        Ok(true)
    }

    /// Waits for a flush, within bounds. What is not confirmed in time is repeated by the next run.
    async fn finish(&mut self, flush: Flush) -> Result<()> {
        let finished = tokio::select! {
            biased;
            () = self.control.lost() => return Ok(()),
            finished = tokio::time::timeout(self.settings.flush_timeout, flush) => finished,
        };
        match finished {
            Ok(done) => self.flushed(done).await.map(|_| ()),
            Err(_) => {
                self.metrics.commit_failed();
                let (connector, task) = (&*self.reporter.connector, self.reporter.task);
                tracing::error!(connector, task, "offsets could not be written in time");
                Ok(())
            }
        }
    }

    /// Waits for what is in flight, within bounds, and commits what is durable. `patient` waits for records in flight.
    /// Without the right to work it returns at once: what is in flight is no longer this worker's.
    async fn settle(&mut self, patient: bool) -> Result<()> {
        let late = patient
            && tokio::select! {
                biased;
                () = self.control.lost() => return Ok(()),
                waited = tokio::time::timeout(self.settings.flush_timeout, self.tracker.idle()) => waited.is_err(),
            };
        if late {
            let (connector, task) = (&*self.reporter.connector, self.reporter.task);
            let in_flight = self.tracker.in_flight();
            tracing::warn!(
                connector,
                task,
                in_flight,
                "records were not acknowledged in time, they will be sent again"
            );
        }
        if let Some(flush) = self.begin_flush() {
            self.finish(flush).await?;
        }
        if patient { self.check_delivery() } else { Ok(()) }
    }
}

/// Waits until the task says something new of its connection; one that says nothing any more is not waited for.
pub(crate) async fn connection_changed(connected: &mut watch::Receiver<bool>) {
    if connected.changed().await.is_err() {
        std::future::pending().await
    }
}

/// A record that Kafka did not take.
fn not_produced(error: Error) -> Failed {
    Failed { stage: Stage::KafkaProduce, class: Arc::from(SOURCE_TASK), error }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
