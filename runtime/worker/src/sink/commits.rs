//! How a sink task's offsets are committed: after a flush, at every `offset.flush.interval.ms` (or
//! `job.checkpoint.interval.ms`, when that is shorter), when partitions are taken away, and at the end
//! (`WorkerSinkTask.commitOffsets`). Where nothing more
//! comes, that is not waited for.

use std::collections::HashSet;
use std::sync::Arc;

use connect_api::{Error, Result};
use connect_kafka as kafka;
use tokio::time::{Instant, timeout};

use super::ahead::Coming;
use super::{SinkLoop, Work, api_partitions, exiting};
use crate::io::ConsumerEvent;

impl SinkLoop {
    /// Commits what is durable, of all partitions or of some. When the sink can't flush, the consumer goes back to what was committed last, as the JVM's
    /// does: without end, or for some time where somebody else takes care of a task that fails.
    pub(super) async fn commit(&mut self, work: &mut Work, of: Option<&[kafka::TopicPartition]>) -> Result<()> {
        let Err(error) = self.flush_and_commit(work, of).await? else { return Ok(()) };
        let since = *work.unflushed.get_or_insert_with(Instant::now);
        if self.is_out_of_patience(since) {
            return Err(exiting(error));
        }
        self.rewind(work).await
    }

    /// Flushes the sink and commits what that makes durable, of all partitions or of some. The inner error is the sink's, which
    /// can't flush. A commit that fails, or is not answered within `offset.flush.timeout.ms`, is made up for by the next.
    pub(super) async fn flush_and_commit(
        &mut self,
        work: &mut Work,
        of: Option<&[kafka::TopicPartition]>,
    ) -> Result<Result<()>> {
        work.last_commit = Instant::now();
        if of.is_none() {
            work.next_commit = work.last_commit + self.flush_interval;
        }
        let offsets = work.positions.uncommitted(of);
        // Without the right to work nothing is committed: another worker's offsets may be newer.
        work.moved &= !offsets.is_empty();
        if offsets.is_empty() || !self.control.may_work() {
            return Ok(Ok(()));
        }
        self.metrics.commit_begun();
        self.reporter.settle().await?;
        if let Err(error) = self.task.flush().await {
            self.log_commit_failure(&error, "failed to flush the sink, its records will be given again");
            work.moved = false;
            return Ok(Err(error));
        }
        work.unflushed = None;
        match timeout(self.flush_timeout, self.consumer.commit(offsets.clone())).await {
            Ok(Ok(())) => {
                work.positions.committed(&offsets);
                work.moved = !work.positions.uncommitted(None).is_empty();
                self.metrics.committed();
            }
            Ok(Err(error)) => self.log_commit_failure(&error, "failed to commit offsets, trying again later"),
            Err(_) => {
                self.metrics.commit_failed();
                let (connector, task) = (&*self.reporter.connector, self.reporter.task);
                let timeout_ms = self.flush_timeout.as_millis();
                tracing::warn!(connector, task, timeout_ms, "Commit of offsets timed out");
            }
        }
        Ok(Ok(()))
    }

    fn log_commit_failure(&self, error: &Error, what: &str) {
        self.metrics.commit_failed();
        let (connector, task) = (&*self.reporter.connector, self.reporter.task);
        tracing::error!(connector, task, trace = error.trace(), "{what}");
    }

    /// Reads again what was read since the last commit. What waits is dropped: it comes again, too. A partition that waits to
    /// be taken away is only counted back, so that nothing of it is committed: whoever gets it begins at what is. The consumer
    /// does not wait with a seek for a revocation that is not answered, but seeks the partitions that stay after it.
    async fn rewind(&mut self, work: &mut Work) -> Result<()> {
        let Work { positions, backlog, .. } = work;
        let (mut leaving, mut coming) = (HashSet::new(), HashSet::new());
        for Coming { event, decoded } in backlog.iter_mut() {
            match event {
                ConsumerEvent::Records(raw) => {
                    decoded.clear();
                    positions.read(raw);
                    // What comes after an assignment was read from the right place.
                    raw.retain(|record| coming.contains(&(Arc::clone(&record.topic), record.partition)));
                }
                ConsumerEvent::Reached(ends) => ends.retain(|(of, _)| {
                    !positions.was_read(of) || coming.contains(&(Arc::clone(&of.topic), of.partition))
                }),
                ConsumerEvent::Assigned(partitions) => {
                    coming.extend(partitions.iter().map(|p| (Arc::clone(&p.topic), p.partition)));
                }
                ConsumerEvent::Revoked { partitions, .. } => leaving.extend(partitions.iter().cloned()),
                ConsumerEvent::Error(_) => {}
            }
        }
        backlog.retain(|coming| !matches!(&coming.event, ConsumerEvent::Records(raw) if raw.is_empty()));
        for (partition, offset) in work.positions.rewind() {
            if !leaving.contains(&partition) {
                self.consumer.seek(&partition, offset).await?;
            }
        }
        if work.redelivery.take().is_some() && !work.resting {
            self.consumer.resume(&work.positions.partitions())?;
        }
        Ok(())
    }

    /// The orderly end: what was put is flushed and committed, and the partitions are closed.
    pub(super) async fn close_all(&mut self, work: &mut Work) -> Result<()> {
        let _unflushed = self.flush_and_commit(work, None).await?;
        self.task.close(&api_partitions(&work.positions.partitions())).await
    }
}
