//! The running sink task (`StartedMongoSinkTask`).
//!
//! `put` returns only when the server has acknowledged every batch, or has said what is wrong with it: offsets never
//! run ahead of acknowledged writes. All records are processed before the first is written, so that a bad record
//! without tolerance writes nothing of its poll.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::{Error, ErrorKind, Props, Rejected, SinkContext, SinkRecord, SinkTask};

use crate::batch::{Batch, Batches};
use crate::client::BulkClient;
use crate::connector::fail_start;
use crate::doc::Writer;
use crate::failure::{Failure, skipped};
use crate::ids::place;
use crate::metrics::Statistics;
use crate::namespace::Namespace;
use crate::settings::{ExtraConfig, SinkConfig};
use crate::topic::{Plan, Tolerance};
use crate::{record, timeseries};

/// A buffer larger than this is given back after a batch.
const KEEP_BUFFER: usize = 8 * 1024 * 1024;

/// A started task.
pub struct MongoSinkTask {
    props: Props,
    context: SinkContext,
    client: BulkClient,
    plans: Plans,
    buffer: Writer,
    /// Batches written for each plan since its last pause.
    paused_after: HashMap<usize, u64>,
    checked_timeseries: HashSet<Arc<Namespace>>,
    transient_retry: Duration,
    /// The worker tolerates nothing but takes reports: the first report fails the task, and nothing is done after it.
    first_report_fails: bool,
    /// Since when the same batch fails with errors that pass.
    failing_since: Option<Instant>,
    statistics: Arc<Statistics>,
    /// When the last `put` returned.
    returned: Option<Instant>,
}

/// The plans of topics, made when their first record comes.
#[derive(Default)]
struct Plans {
    by_topic: HashMap<Arc<str>, usize>,
    plans: Vec<Arc<Plan>>,
}

impl Plans {
    fn index(&mut self, topic: &Arc<str>, props: &Props) -> Result<usize, Error> {
        if let Some(index) = self.by_topic.get(topic) {
            return Ok(*index);
        }
        let plan = Plan::new(topic, props).map_err(crate::connector::refused_error)?;
        self.plans.push(Arc::new(plan));
        self.by_topic.insert(topic.clone(), self.plans.len() - 1);
        Ok(self.plans.len() - 1)
    }
}

impl MongoSinkTask {
    /// Starts a task. The connection is made by its first write.
    pub async fn start(props: Props, context: SinkContext) -> Result<Box<dyn SinkTask>, Error> {
        let config = SinkConfig::parse(&props).map_err(|problems| fail_start(problems.into_iter().next()))?;
        let extra = ExtraConfig::parse(&props).map_err(|problems| fail_start(problems.into_iter().next()))?;
        let mut plans = Plans::default();
        for topic in &config.topics {
            plans.index(&Arc::from(topic.as_str()), &props)?;
        }
        let client = BulkClient::new(&config).await?;
        let statistics = Arc::new(Statistics::new(&context.connector, context.task));
        context.metrics.register("com.mongodb.kafka.connect", "sink-task-metrics", Arc::clone(&statistics) as _);
        let first_report_fails = context.reports_errors && !config.errors_tolerance.eq_ignore_ascii_case("all");
        Ok(Box::new(Self {
            first_report_fails,
            props,
            context,
            client,
            plans,
            buffer: Writer::new(),
            paused_after: HashMap::new(),
            checked_timeseries: HashSet::new(),
            transient_retry: Duration::from_millis(u64::try_from(extra.transient_retry_ms).unwrap_or(0)),
            failing_since: None,
            statistics,
            returned: None,
        }))
    }

    /// Turns records into batches of statements in the buffer; what cannot be turned is rejected, or the error.
    fn process(&mut self, records: &[SinkRecord], rejected: &mut Vec<Rejected>) -> Result<Vec<Batch>, Error> {
        let mut batches = Batches::default();
        let mut last: Option<(Arc<str>, usize)> = None;
        for (index, record) in records.iter().enumerate() {
            let topic = &record.record.topic;
            let plan_index = match &last {
                Some((known, index)) if known == topic => *index,
                _ => {
                    let index = self.plans.index(topic, &self.props)?;
                    last = Some((topic.clone(), index));
                    index
                }
            };
            let plan = &self.plans.plans[plan_index];
            let start = self.buffer.len();
            match record::write(plan, record, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some((namespace, statement))) => {
                    let bytes = start..self.buffer.len();
                    batches.push(plan_index, plan.max_batch_size, namespace, statement, index, bytes);
                }
                Err(error) => {
                    if plan.log_errors {
                        self.log_record(record, &error);
                    }
                    if plan.tolerance == Tolerance::None {
                        return Err(error);
                    }
                    rejected.push(Rejected { index, error });
                }
            }
        }
        Ok(batches.batches)
    }

    fn log_record(&self, record: &SinkRecord, error: &Error) {
        let (partition, offset) = place(record);
        tracing::error!(
            connector = %self.context.connector, task = self.context.task, topic = %record.record.topic, partition,
            offset, class = error.java_class(), error = %error, "unable to process a record"
        );
    }

    async fn write(
        &mut self,
        mut batch: Batch,
        records: &[SinkRecord],
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), Error> {
        let plan = self.plans.plans[batch.plan].clone();
        if let Some(timeseries) = &plan.timeseries
            && !self.checked_timeseries.contains(&batch.namespace)
        {
            timeseries::ensure(self.client.client(), &batch.namespace, timeseries).await?;
            self.checked_timeseries.insert(batch.namespace.clone());
        }
        let (began, before) = (Instant::now(), rejected.len());
        match self.client.write(&mut batch, self.buffer.bytes(), plan.ordered).await {
            Ok(()) => {
                self.failing_since = None;
                self.statistics.batch(batch.ops.len(), 0, began);
            }
            Err(failure) => {
                let outcome = self.failed(&plan, &batch, failure, records, rejected);
                let failed = if outcome.is_ok() { rejected.len() - before } else { batch.ops.len() };
                self.statistics.batch(batch.ops.len(), failed, began);
                outcome?;
            }
        }
        self.pause(batch.plan, &plan).await
    }

    /// What becomes of a batch that failed (`handleTolerableWriteException`).
    fn failed(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        failure: Failure,
        records: &[SinkRecord],
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), Error> {
        if failure.transient() && self.may_retry() {
            let error = failure.into_error(self.client.server());
            let kind = ErrorKind::Unavailable;
            return Err(Error::new(kind, format!("MongoDB cannot take the batch now: {error}")).caused_by(error));
        }
        self.failing_since = None;
        let server = self.client.server().to_owned();
        match failure {
            Failure::Bulk { errors, concern } => {
                if plan.tolerance == Tolerance::None {
                    return Err(as_data_error(Failure::Bulk { errors, concern }.into_error(&server)));
                }
                let first_error = errors.first().map(|error| error.index);
                for (index, op) in batch.ops.iter().enumerate() {
                    let error = if let Some(error) = errors.iter().find(|error| error.index == index) {
                        error.rejection()
                    } else if plan.ordered && first_error.is_some_and(|first| index > first) {
                        skipped()
                    } else if let Some(concern) = &concern {
                        concern.rejection()
                    } else {
                        continue;
                    };
                    self.reject(plan, op.record, error, records, rejected);
                }
                Ok(())
            }
            Failure::Whole(error) => match plan.tolerance {
                Tolerance::None => Err(as_data_error(error)),
                Tolerance::Data => Err(Error::data("non Data Error, fail the connector.").caused_by(error)),
                Tolerance::All => {
                    for op in &batch.ops {
                        self.reject(plan, op.record, error.duplicate(), records, rejected);
                    }
                    Ok(())
                }
            },
        }
    }

    fn reject(&self, plan: &Plan, index: usize, error: Error, records: &[SinkRecord], rejected: &mut Vec<Rejected>) {
        if plan.log_errors
            && let Some(record) = records.get(index)
        {
            self.log_record(record, &error);
        }
        rejected.push(Rejected { index, error });
    }

    /// True while errors that pass are to be waited out.
    fn may_retry(&mut self) -> bool {
        if self.transient_retry.is_zero() {
            return false;
        }
        // The deadline counts from the first failure of the batch; the worker spaces the attempts.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let since = *self.failing_since.get_or_insert(now);
        now.duration_since(since) < self.transient_retry
    }

    /// Pauses after every so many batches, as `rate.limiting` says.
    async fn pause(&mut self, plan_index: usize, plan: &Plan) -> Result<(), Error> {
        if plan.rate_limit_ms == 0 || plan.rate_limit_every == 0 {
            return Ok(());
        }
        let count = self.paused_after.entry(plan_index).or_default();
        *count += 1;
        if *count < plan.rate_limit_every {
            return Ok(());
        }
        *count = 0;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(plan.rate_limit_ms)) => Ok(()),
            () = self.context.cancel.cancelled() => Err(Error::data("Rate limiting was interrupted")),
        }
    }
}

/// `new DataException(cause)`.
fn as_data_error(error: Error) -> Error {
    Error::data(format!("{}: {}", error.java_class(), error.message())).caused_by(error)
}

#[async_trait]
impl SinkTask for MongoSinkTask {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<Vec<Rejected>, Error> {
        let began = Instant::now();
        if let Some(returned) = self.returned {
            self.statistics.in_framework.add(began.duration_since(returned));
        }
        let outcome = self.write_all(records).await;
        self.statistics.in_put.add(began.elapsed());
        self.returned = Some(Instant::now());
        outcome
    }

    async fn stop(self: Box<Self>) -> Result<(), Error> {
        self.client.close().await;
        Ok(())
    }
}

impl MongoSinkTask {
    async fn write_all(&mut self, records: &[SinkRecord]) -> Result<Vec<Rejected>, Error> {
        let mut rejected = Vec::new();
        self.buffer.truncate(0);
        Statistics::add(&self.statistics.records, records.len());
        if let Some(at) = records.iter().rev().find_map(|record| record.record.timestamp) {
            self.statistics.latest_ms.store(now_ms().saturating_sub(at), Ordering::Relaxed);
        }
        let began = Instant::now();
        let batches = self.process(records, &mut rejected);
        self.statistics.processing.add(began.elapsed());
        let batches = batches?;
        Statistics::add(&self.statistics.failed, rejected.len());
        for batch in batches {
            if self.first_report_fails && !rejected.is_empty() {
                break;
            }
            self.write(batch, records, &mut rejected).await?;
        }
        if self.first_report_fails {
            rejected.truncate(1);
        }
        if self.buffer.len() > KEEP_BUFFER {
            self.buffer = Writer::new();
        }
        if !self.context.reports_errors {
            // Nobody takes reports: what is tolerated is dropped, as on the JVM.
            rejected.clear();
        }
        Ok(rejected)
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
