//! A task that stores positions: each record of a topic is written once.

use std::ops::Range;
use std::time::Instant;

use connect_api::{Error, Rejected, SinkContext, SinkRecord, TopicPartition};

use super::{MongoSinkTask, Plans};
use crate::batch::Batch;
use crate::client::BulkClient;
use crate::exactly_once::{ExactlyOnce, Undone};
use crate::namespace::Mapper;
use crate::outcome::{self, Next};
use crate::position_store::PositionStore;
use crate::settings::{ExtraConfig, SinkConfig};

/// What the configuration says about positions; `None` when none are stored.
pub(super) fn start(
    config: &SinkConfig,
    extra: &ExtraConfig,
    client: &BulkClient,
    context: &SinkContext,
    plans: &Plans,
) -> Result<Option<ExactlyOnce>, Error> {
    let Some(namespace) = PositionStore::namespace(config, extra)? else { return Ok(None) };
    let holds = |mapper: &Mapper| matches!(mapper, Mapper::Fixed(of) if **of == namespace);
    if plans.plans.iter().any(|plan| holds(&plan.mapper)) {
        let name = namespace.full_name();
        return Err(Error::config(format!(
            "exactly.once.positions.collection is {name}, which records are written to"
        ))
        .hint("name another collection for the positions"));
    }
    if extra.write_lanes > 1 {
        tracing::info!(
            connector = %context.connector, task = context.task,
            "a transaction goes over one connection: where the deployment has them, write.lanes is not used"
        );
    }
    let write_concern = client.write_concern().cloned();
    let store = PositionStore::new(client.client().clone(), namespace, &context.connector, write_concern);
    Ok(Some(ExactlyOnce::new(store, &context.connector, extra.write_collapse)))
}

impl MongoSinkTask {
    /// Reads the positions of partitions. When MongoDB is away they are read with the first records instead, which can wait.
    pub(super) async fn open_positions(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let Some(exactly_once) = &mut self.exactly_once else { return Ok(()) };
        match exactly_once.open(partitions).await {
            Err(error) if error.kind().retriable() => {
                let (connector, task) = (&*self.context.connector, self.context.task);
                tracing::warn!(
                    connector,
                    task,
                    trace = error.trace(),
                    "failed to read stored positions, trying again later"
                );
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Writes a batch with the positions behind the records of a range, which is done with then.
    pub(super) async fn write_once(
        &mut self,
        batch: &mut Batch,
        buffer: &[u8],
        range: Range<usize>,
        records: &[SinkRecord],
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), Error> {
        let plan = self.plans.plans[batch.plan].clone();
        // Time series collections take no transactions.
        let together =
            plan.timeseries.is_none() && self.exactly_once.as_ref().is_some_and(ExactlyOnce::has_transactions);
        if !together {
            self.write(batch, buffer, records, rejected).await?;
            let steps = self.steps(records, range, rejected);
            let may_wait = self.patience.lasts(Instant::now());
            return match &mut self.exactly_once {
                Some(exactly_once) if !steps.is_empty() => {
                    exactly_once.store(steps).await.map_err(|error| self.put_off(error, may_wait))
                }
                _ => Ok(()),
            };
        }
        let (began, all, before) = (Instant::now(), batch.ops.len(), rejected.len());
        loop {
            let steps = self.steps(records, range.clone(), rejected);
            let rules = self.rules(&plan, Instant::now());
            let Some(exactly_once) = &mut self.exactly_once else { return Ok(()) };
            let known = rejected.len();
            let failure = match exactly_once.write(batch, buffer, plan.ordered, steps).await {
                Ok(()) => break,
                Err(Undone::Lost(error)) => {
                    self.statistics.batches_failed.add(began.elapsed());
                    return Err(self.put_off(error, rules.may_wait));
                }
                Err(Undone::Failed(failure)) => failure,
            };
            let outcome = outcome::of(batch, failure, rules, self.client.server());
            for (place, error) in outcome.rejected {
                self.reject(&plan, batch.ops[place].record, error, records, rejected);
            }
            match outcome.next {
                // A command may be smaller the next time, without a record that is gone.
                Next::Again => {}
                Next::Done if rejected.len() > known => {}
                Next::Done => {
                    return Err(Error::connect("a batch was not written, and no record of it was to blame"));
                }
                // Nothing of it is written, and the positions say so: it comes again as it came.
                Next::Later(error) => {
                    self.statistics.batches_failed.add(began.elapsed());
                    return Err(self.patience.ask_again(Instant::now(), error));
                }
                Next::Fail(error) => {
                    self.statistics.batch(all, all, began);
                    return Err(error);
                }
            }
            if self.is_over(rejected) {
                // The task fails by it, and has written nothing of the batch.
                return Ok(());
            }
            // Without what was refused, the rest is written after all.
            let gone = &rejected[known..];
            batch.ops.retain(|op| gone.iter().all(|rejected| rejected.index != op.record));
        }
        self.patience.over();
        self.statistics.batch(all, rejected.len() - before, began);
        self.pause(batch.plan, &plan).await
    }

    /// Gets ready for records.
    pub(super) async fn prepare_positions(&mut self, records: &[SinkRecord]) -> Result<(), Error> {
        let may_wait = self.patience.lasts(Instant::now());
        let Some(exactly_once) = &mut self.exactly_once else { return Ok(()) };
        let outcome = exactly_once.prepare(&mut self.client, records).await;
        outcome.map_err(|error| self.put_off(error, may_wait))
    }

    /// An error that no record is to blame for. One that passes asks for the records again: for as long as errors are waited
    /// out, or else for as long as the worker does, because nothing of them is written.
    /// `may_wait` was asked before the attempt: how long that took counts.
    fn put_off(&mut self, error: Error, may_wait: bool) -> Error {
        if !(error.kind().retriable() && self.patience.on()) {
            return error;
        }
        if may_wait { self.patience.ask_again(Instant::now(), error) } else { outcome::as_data_error(error) }
    }

    fn steps(&self, records: &[SinkRecord], range: Range<usize>, rejected: &[Rejected]) -> Vec<crate::positions::Step> {
        // Where nobody takes reports there are none to be made again.
        let reported = if self.context.reports_errors { rejected } else { &[] };
        match &self.exactly_once {
            Some(exactly_once) if !self.first_report_fails || rejected.is_empty() => {
                exactly_once.steps(records, range, reported)
            }
            _ => Vec::new(),
        }
    }
}
