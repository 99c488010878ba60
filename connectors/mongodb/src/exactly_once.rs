//! Writing with stored positions: where the deployment has transactions, a batch and the positions behind its records are
//! written together or not at all.

use std::time::Duration;

use connect_api::{Error, ErrorKind, Rejected, Result, SinkRecord, TopicPartition};
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};

use crate::batch::Batch;
use crate::client::BulkClient;
use crate::failure::{Failure, driver_error};
use crate::position_store::{NotMoved, PositionStore};
use crate::positions::{Positions, Seen, Step, Stored};
use crate::spread::{collapsed, is_refusal};

/// How often a transaction is tried that runs into others.
const CONFLICTS: u32 = 10;
/// How often one is tried after another error that passes: once more, as the drivers do it with writes.
const ATTEMPTS: u32 = 2;
/// How often the server is asked to commit.
const COMMITS: u32 = 4;
/// The first wait before another attempt; it doubles.
const WAIT: Duration = Duration::from_millis(10);

/// Why nothing of a batch was written, as far as is known.
#[derive(Debug)]
pub enum Undone {
    /// The batch failed, to be handled as any other.
    Failed(Failure),
    /// No record is to blame: the positions are another task's, or they or the documents can't be written now. With a kind
    /// that is retriable the batch may be given again.
    Lost(Error),
}

/// The positions of a task, and what writes with them.
pub struct ExactlyOnce {
    positions: Positions,
    store: PositionStore,
    /// Writes within transactions. `None` where there are none, or before that is known.
    transactions: Option<BulkClient>,
    /// Whether it is known what the deployment has.
    asked: bool,
    collapse: bool,
    connector: String,
}

impl ExactlyOnce {
    /// Nothing is read yet.
    pub fn new(store: PositionStore, connector: &str, collapse: bool) -> Self {
        let connector = connector.to_owned();
        Self { positions: Positions::default(), store, transactions: None, asked: false, collapse, connector }
    }

    /// Reads the positions of these partitions.
    pub async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.positions.forget(partitions);
        if partitions.is_empty() {
            return Ok(());
        }
        let mut stored = self.store.read().await?;
        for partition in partitions {
            let own = stored.iter_mut().find(|(known, _)| known == partition);
            let own = own.map_or_else(Stored::default, |(_, stored)| std::mem::take(stored));
            tracing::info!(
                connector = self.connector,
                topic = &*partition.topic,
                partition = partition.partition,
                position = own.next,
                "read a stored position"
            );
            self.positions.learn(partition, own);
        }
        Ok(())
    }

    /// These partitions are taken away.
    pub fn close(&mut self, partitions: &[TopicPartition]) {
        self.positions.forget(partitions);
    }

    /// Gets ready for records: reads positions that are not known, and asks whether there are transactions.
    pub async fn prepare(&mut self, client: &mut BulkClient, records: &[SinkRecord]) -> Result<()> {
        if !self.asked {
            let has = client.deployment_retries().await.map_err(|failure| failure.into_error(client.server()))?;
            self.transactions = if has { Some(client.for_transactions().await?) } else { None };
            if has {
                self.store.create().await;
            } else {
                tracing::warn!(
                    connector = self.connector,
                    "the deployment has no transactions: positions are stored after each batch, and the last one may be \
                     written twice"
                );
            }
            self.asked = true;
        }
        self.open(&self.positions.missing(records)).await
    }

    /// Whether a record is written already.
    pub fn seen(&self, record: &SinkRecord) -> Seen {
        self.positions.seen(record)
    }

    /// Whether batches are written in transactions.
    pub fn has_transactions(&self) -> bool {
        self.transactions.is_some()
    }

    /// How positions move when the records of a range are done with, some of them rejected.
    pub fn steps(&self, records: &[SinkRecord], range: std::ops::Range<usize>, rejected: &[Rejected]) -> Vec<Step> {
        self.positions.steps(records, range, rejected)
    }

    /// Writes a batch and moves positions, both or neither.
    pub async fn write(
        &mut self,
        batch: &mut Batch,
        buffer: &[u8],
        ordered: bool,
        steps: Vec<Step>,
    ) -> Result<(), Undone> {
        let mut whole = !self.collapse;
        let (mut attempt, mut wait) = (0, WAIT);
        loop {
            attempt += 1;
            let kept = if whole { None } else { collapsed(batch, buffer, ordered) };
            let outcome = match kept {
                Some(mut kept) => {
                    let outcome = self.attempt(&mut kept, buffer, ordered, &steps).await;
                    if matches!(&outcome, Err(Undone::Failed(failure)) if is_of_statements(failure)) {
                        // Which of all statements is refused first, only all of them can tell.
                        whole = true;
                        continue;
                    }
                    outcome
                }
                None => self.attempt(batch, buffer, ordered, &steps).await,
            };
            match outcome {
                Ok(()) => {
                    self.positions.moved(steps);
                    return Ok(());
                }
                Err(Undone::Failed(failure)) if may_pass(&failure, attempt) => {
                    tracing::debug!(connector = self.connector, attempt, "trying a transaction again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                // Nothing was written: to give the batch again is safe, whatever is done with errors otherwise.
                Err(Undone::Failed(Failure::Whole(error))) if error.kind().retriable() => {
                    return Err(Undone::Lost(error));
                }
                Err(undone) => {
                    if matches!(undone, Undone::Lost(_)) {
                        self.positions.forget_all();
                    }
                    return Err(undone);
                }
            }
        }
    }

    async fn attempt(&mut self, batch: &mut Batch, buffer: &[u8], ordered: bool, steps: &[Step]) -> Result<(), Undone> {
        let Some(client) = &mut self.transactions else {
            return Err(Undone::Lost(Error::connect("a transaction was asked for where there is none")));
        };
        let server = client.server().to_owned();
        batch.unanswered = None;
        let begun = client.session().start_transaction().await;
        begun.map_err(|error| Undone::Failed(driver_error(error, &server)))?;
        // First, so that a task that lost its partitions is stopped by it and not by its documents.
        let outcome = match self.store.apply(steps, Some(client.session())).await {
            Ok(()) => client.write(batch, buffer, ordered, false).await.map_err(Undone::Failed),
            Err(NotMoved::Conflict(error)) => Err(Undone::Lost(error)),
            Err(NotMoved::Failed(error)) if error.kind().retriable() => Err(Undone::Failed(Failure::Whole(error))),
            Err(NotMoved::Failed(error)) => Err(Undone::Lost(error)),
        };
        let outcome = match outcome {
            Ok(()) => commit(client, &server).await,
            Err(undone) => {
                if let Err(error) = client.session().abort_transaction().await {
                    tracing::debug!(error = %error, "a transaction that failed could not be aborted; it ends by itself");
                }
                Err(undone)
            }
        };
        if outcome.is_err() {
            // What was refused as a whole is still known, to be searched for a bad record.
            batch.undo();
        }
        outcome
    }

    /// Moves positions after a batch was written.
    pub async fn store(&mut self, steps: Vec<Step>) -> Result<()> {
        match self.store.apply(&steps, None).await {
            Ok(()) => {
                self.positions.moved(steps);
                Ok(())
            }
            Err(NotMoved::Conflict(error) | NotMoved::Failed(error)) => {
                self.positions.forget_all();
                Err(error)
            }
        }
    }

    /// The worker has been told of these.
    pub fn reported(&mut self, records: &[SinkRecord], rejected: &[Rejected]) {
        self.positions.reported(records, rejected);
    }

    /// The worker has stored what it was told.
    pub async fn flush(&mut self) {
        let settled = self.positions.settled();
        if settled.is_empty() {
            return;
        }
        match self.store.settle(&settled).await {
            Ok(()) => self.positions.settle(&settled),
            // They are only in the way: after a restart they may be reported once more.
            Err(error) => {
                tracing::warn!(
                    connector = self.connector,
                    trace = error.trace(),
                    "failed to drop refusals that are stored"
                );
            }
        }
    }
}

/// Whether a transaction that failed is tried once more right away.
fn may_pass(failure: &Failure, attempt: u32) -> bool {
    match failure {
        Failure::Whole(error) if error.kind() == ErrorKind::Conflict => attempt < CONFLICTS,
        Failure::Whole(error) => error.kind().retriable() && attempt < ATTEMPTS,
        Failure::Bulk { .. } | Failure::Statement { .. } | Failure::Unconfirmed(_) => false,
    }
}

/// True for what is wrong with statements.
fn is_of_statements(failure: &Failure) -> bool {
    match failure {
        Failure::Bulk { .. } | Failure::Statement { .. } => true,
        Failure::Whole(error) => is_refusal(error),
        Failure::Unconfirmed(_) => false,
    }
}

/// Commits. When nobody says what became of it, the positions have to be read again: they tell.
async fn commit(client: &mut BulkClient, server: &str) -> Result<(), Undone> {
    let mut wait = WAIT;
    for attempt in 1..=COMMITS {
        let Err(error) = client.session().commit_transaction().await else { return Ok(()) };
        let unknown = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
        if unknown && attempt < COMMITS {
            tokio::time::sleep(wait).await;
            wait *= 2;
            continue;
        }
        let transient = error.contains_label(TRANSIENT_TRANSACTION_ERROR);
        let error = driver_error(error, server).into_error(server);
        return Err(if unknown {
            let text = "MongoDB did not say whether it committed a transaction: what is stored is read again";
            Undone::Lost(Error::new(ErrorKind::Unavailable, text).caused_by(error))
        } else if transient {
            let text = format!("a transaction was not committed: {}", error.message());
            Undone::Failed(Failure::Whole(Error::new(ErrorKind::Conflict, text).caused_by(error)))
        } else {
            Undone::Failed(Failure::Whole(error))
        });
    }
    Ok(())
}
