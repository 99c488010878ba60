//! The loop of an exactly-once source task (`ExactlyOnceWorkerSourceTask`, KIP-618): the records of a batch and the offsets
//! behind them are one transaction.
//!
//! Order of confirmation: the transaction is committed, then `SourceTask::committed` is called; nothing is confirmed of one
//! that was aborted. Invariant: where the boundary is not the connector's, a transaction ends at a checkpoint, because
//! records behind it would be read again by the next run. A batch is cut there, and what is left waits in the next
//! transaction for its own checkpoint. Only when none comes for half of the time that a transaction may take is it
//! committed all the same: those records may then come twice after a crash, as they may in the JVM after every batch.

use std::sync::Arc;
use std::time::Duration;

use connect_api::{Checkpoint, Error, ErrorKind, Record, Result, SourceBatch, TransactionContext, TransactionEnd};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::acks::Tracker;
use crate::control::Wanted;
use crate::offsets::OffsetStore;
use crate::source::{Left, PollRow, SourceLoop, connection_changed};
use crate::transactions::{Transact, send_all};
use crate::unit::UnitNews;

/// How long a pause waits for the checkpoint of records that were sent.
const COVER_WAIT: Duration = Duration::from_secs(2);
/// How long a task whose producer was fenced waits for the order to end: most likely another worker has it now, and this
/// one is about to hear of it.
const FENCED_PATIENCE: Duration = Duration::from_secs(5);

/// Where transactions end (`transaction.boundary`).
#[derive(Clone, Debug)]
pub enum Boundary {
    /// Behind every batch.
    Poll,
    /// After this time.
    Interval(Duration),
    /// Where the connector says.
    Connector(TransactionContext),
}

/// What was given to the producer, or is to be stored, since the last commit.
#[derive(Clone, Copy, Debug)]
struct Pending {
    since: Instant,
    /// The producer's transaction has begun.
    begun: bool,
    /// Every record sent has its checkpoint.
    covered: bool,
}

/// Everything an exactly-once source task runs with.
pub struct TransactionalLoop {
    source: SourceLoop,
    producer: Arc<dyn Transact>,
    offsets_topic: Arc<str>,
    boundary: Boundary,
    pending: Option<Pending>,
    /// When the last transaction ended, or the loop began.
    ended: Instant,
}

impl TransactionalLoop {
    /// A loop over the parts of a source's; `producer` is its producer, with its transactional id taken.
    pub fn new(source: SourceLoop, producer: Arc<dyn Transact>, offsets_topic: Arc<str>, boundary: Boundary) -> Self {
        Self { source, producer, offsets_topic, boundary, pending: None, ended: Instant::now() }
    }

    /// Runs until the end is wanted, or something fails. The task is stopped in both cases.
    pub async fn run(mut self) -> Result<()> {
        let outcome = self.work().await;
        if outcome.is_err() {
            self.give_up().await;
        }
        let stopped = self.source.task.stop().await;
        outcome?;
        stopped
    }

    async fn work(&mut self) -> Result<()> {
        let mut row = PollRow::default();
        self.ended = Instant::now();
        loop {
            self.check_delivery()?;
            self.source.tell_health(&row).await;
            let asked = Instant::now();
            let due = self.due();
            tokio::select! {
                biased;
                wanted = self.source.control.changed_from(Wanted::Run) => {
                    if wanted == Wanted::End {
                        return self.end().await;
                    }
                    if self.rest().await? == Wanted::End {
                        return self.end().await;
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.commit().await?,
                () = connection_changed(&mut self.source.connected) => {}
                polled = self.source.task.poll() => match polled {
                    Ok(batch) => {
                        row = PollRow::default();
                        self.source.metrics.poll_took(asked.elapsed());
                        self.take(batch).await?;
                        tokio::task::consume_budget().await;
                    }
                    Err(error) => row = self.source.poll_failed(row, error).await?,
                },
            }
        }
    }

    /// When the open transaction is to be committed, batch or no batch.
    fn due(&self) -> Option<Instant> {
        let pending = self.pending?;
        // Half of what the broker allows leaves time for the commit.
        let latest = pending.since + self.producer.timeout() / 2;
        match self.boundary {
            Boundary::Connector(_) => None,
            _ if !pending.covered => Some(latest),
            Boundary::Poll => Some(pending.since),
            Boundary::Interval(interval) => Some((self.ended + interval).min(latest.max(pending.since))),
        }
    }

    /// Sends a batch, and commits where a transaction ends.
    async fn take(&mut self, batch: SourceBatch) -> Result<()> {
        if let Boundary::Connector(context) = &self.boundary {
            let ends = context.take(batch.records.len());
            return self.take_to_ends(batch, &ends).await;
        }
        let SourceBatch { mut records, checkpoints, .. } = batch;
        let Some(last) = checkpoints.last().map(|checkpoint| checkpoint.after.min(records.len())) else {
            return self.send(records, checkpoints, false).await;
        };
        let behind = records.split_off(last);
        self.send(records, checkpoints, true).await?;
        let due = self.due().is_some_and(|due| due <= Instant::now());
        if due && self.pending.is_some_and(|pending| pending.covered) {
            self.commit().await?;
        }
        self.send(behind, Vec::new(), false).await
    }

    /// Sends a batch in the parts that the connector asks for.
    async fn take_to_ends(&mut self, batch: SourceBatch, ends: &[(usize, TransactionEnd)]) -> Result<()> {
        let SourceBatch { mut records, checkpoints, .. } = batch;
        let mut checkpoints = checkpoints.into_iter().peekable();
        let mut sent = 0;
        for (until, end) in ends {
            let rest = records.split_off(until.saturating_sub(sent).min(records.len()));
            let mut inside = Vec::new();
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.after <= *until) {
                inside.push(Checkpoint { after: checkpoint.after.saturating_sub(sent), ..checkpoint });
            }
            self.send(std::mem::replace(&mut records, rest), inside, true).await?;
            sent = *until;
            match end {
                TransactionEnd::Commit => self.commit().await?,
                TransactionEnd::Abort => self.abort().await?,
            }
        }
        let behind = checkpoints
            .map(|checkpoint| Checkpoint { after: checkpoint.after.saturating_sub(sent), ..checkpoint })
            .collect();
        self.send(records, behind, true).await
    }

    async fn send(&mut self, records: Vec<Record>, checkpoints: Vec<Checkpoint>, covered: bool) -> Result<()> {
        if records.is_empty() && checkpoints.is_empty() {
            return Ok(());
        }
        let pending = self.pending.get_or_insert(Pending { since: Instant::now(), begun: false, covered });
        // Until all of it is sent nothing says that it is covered.
        pending.covered = false;
        if !records.is_empty() && !pending.begun {
            self.producer.begin()?;
            pending.begun = true;
        }
        match self.source.process(SourceBatch { records, checkpoints, between: None }).await {
            Ok(()) => {
                pending.covered = covered;
                Ok(())
            }
            // The order to end follows, and what was sent is aborted.
            Err(Left::Ending) => Ok(()),
            Err(Left::Failed(error)) => Err(error),
        }
    }

    /// Ends the transaction with the offsets in it.
    async fn commit(&mut self) -> Result<()> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        if !self.source.control.may_work() {
            // Another worker may have the task by now. The order to end is what comes next, and that aborts.
            pending.covered = false;
            return Ok(());
        }
        self.source.metrics.commit_begun();
        if !pending.begun {
            self.producer.begin()?;
        }
        let checkpoints = self.source.tracker.take_all();
        let entries: Vec<_> =
            checkpoints.iter().map(|c| (Some((*c.partition).clone()), Some(c.offset.clone()))).collect();
        let offsets = OffsetStore::records(&self.source.reporter.connector, &entries)?;
        let committed = async {
            send_all(&*self.producer, &self.offsets_topic, &offsets).await?;
            self.producer.commit().await
        };
        if let Err(error) = committed.await {
            self.source.metrics.commit_failed();
            // What became of a record says more than that its transaction failed.
            return Err(self.failed(self.source.tracker.take_failure().unwrap_or(error)));
        }
        self.pending = None;
        self.ended = Instant::now();
        self.source.metrics.committed();
        let acknowledged = self.source.tracker.acknowledged();
        self.source.metrics.acknowledged(acknowledged);
        self.source.metrics.transaction_committed();
        self.source.offsets.copy_behind(&offsets);
        self.source.tell_topics().await;
        for checkpoint in &checkpoints {
            self.source.task.committed(checkpoint).await?;
        }
        Ok(())
    }

    /// Drops the records of the transaction as the connector wants it. Its positions are stored all the same: the task does
    /// not give out these records again.
    async fn abort(&mut self) -> Result<()> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        if std::mem::take(&mut pending.begun) {
            tracing::info!(
                connector = &*self.source.reporter.connector,
                task = self.source.reporter.task,
                "aborting a transaction as requested by the connector"
            );
            self.producer.abort().await?;
        }
        // What was dropped is never acknowledged.
        let checkpoints = self.source.tracker.take_all();
        self.source.tracker = Tracker::new(crate::acks::MAX_IN_FLIGHT, false);
        self.source.metrics.follow(self.source.tracker.ring());
        checkpoints.into_iter().for_each(|checkpoint| self.source.tracker.checkpoint(checkpoint));
        self.commit().await
    }

    /// The end of the run: what has its checkpoint is committed, anything else is read again by the next run.
    async fn end(&mut self) -> Result<()> {
        self.check_delivery()?;
        let whole = self.pending.is_some_and(|pending| pending.covered);
        // A connector that says where transactions end has not said so for this one.
        if whole && self.source.control.may_work() && !matches!(self.boundary, Boundary::Connector(_)) {
            return self.commit().await;
        }
        self.give_up().await;
        Ok(())
    }

    /// Rests until something else is wanted. Nothing stays open meanwhile: it would be aborted by the broker.
    async fn rest(&mut self) -> Result<Wanted> {
        self.wait_for_cover().await?;
        if !matches!(self.boundary, Boundary::Connector(_)) {
            self.commit().await?;
        }
        if !self.source.control.may_work() {
            return Ok(Wanted::End);
        }
        self.source.control.works(false).await;
        self.source.control.tell(UnitNews::Paused).await;
        let wanted = self.source.control.changed_from(Wanted::Rest).await;
        if wanted == Wanted::Run {
            self.source.control.tell(UnitNews::Running).await;
        }
        self.ended = Instant::now();
        Ok(wanted)
    }

    /// Gives the task a moment to say up to where it is.
    async fn wait_for_cover(&mut self) -> Result<()> {
        let end = Instant::now() + COVER_WAIT;
        while self.pending.is_some_and(|pending| !pending.covered) {
            let Ok(polled) = timeout_at(end, self.source.task.poll()).await else { break };
            match polled {
                Ok(batch) => self.take(batch).await?,
                Err(error) => {
                    // One that may pass is none of the pause's: it is tried again when the task goes on.
                    self.source.poll_failed(PollRow::default(), error).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Aborts what is open, so that readers need not wait until the broker does it.
    async fn give_up(&mut self) {
        let open = self.pending.take().is_some_and(|pending| pending.begun);
        if self.producer.is_fenced() {
            return self.wait_for_the_end().await;
        }
        if open && let Err(error) = self.producer.abort().await {
            let (connector, task) = (&*self.source.reporter.connector, self.source.reporter.task);
            tracing::debug!(connector, task, trace = error.trace(), "the last transaction was not aborted");
        }
    }

    /// A fenced task has lost its place to another one. Before it fails for all to see, it waits for the order to end.
    async fn wait_for_the_end(&mut self) {
        let ordered = async {
            let mut wanted = self.source.control.wanted();
            while wanted != Wanted::End {
                wanted = self.source.control.changed_from(wanted).await;
            }
        };
        let (connector, task) = (&*self.source.reporter.connector, self.source.reporter.task);
        tracing::info!(connector, task, "another producer has taken over from this task");
        if timeout(FENCED_PATIENCE, ordered).await.is_err() {
            tracing::debug!(connector, task, "no order to end followed");
        }
    }

    fn check_delivery(&self) -> Result<()> {
        if !self.source.tracker.has_failed() {
            return Ok(());
        }
        match self.source.tracker.take_failure() {
            Some(cause) => Err(self.failed(cause)),
            None => Ok(()),
        }
    }

    /// The failure of a transaction, in the JVM's words.
    fn failed(&self, cause: Error) -> Error {
        let id = format!("{}-{}", self.source.reporter.connector, self.source.reporter.task);
        let expired = self.pending.is_some_and(|pending| pending.since.elapsed() >= self.producer.timeout());
        let message = if expired {
            format!(
                "The task {id} was unable to finish writing records to Kafka before its producer transaction expired. It \
                 may be necessary to reconfigure this connector in order for it to run healthily with exactly-once \
                 support. Options for this include: tune the connector's producer configuration for higher throughput, \
                 increase the transaction timeout for the connector's producers, decrease the offset commit interval (if \
                 using interval-based transaction boundaries), or use the 'poll' transaction boundary (if the connector \
                 is not already configured to use it)."
            )
        } else {
            format!("Failed to flush offsets and/or records for task {id}")
        };
        Error::new(ErrorKind::Bug, message).class("org.apache.kafka.connect.errors.ConnectException").caused_by(cause)
    }
}

#[cfg(test)]
#[path = "transactional_source_tests.rs"]
mod tests;
