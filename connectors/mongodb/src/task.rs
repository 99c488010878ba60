//! The running sink task (`StartedMongoSinkTask`).
//!
//! `put` returns only when the server has acknowledged every batch, or has said what is wrong with it: offsets never
//! run ahead of acknowledged writes. All records are processed before the first is written, so that a bad record
//! without tolerance writes nothing of its poll. What is given back to come again later is remembered: [`memory`]; how long
//! that goes on says [`retry`], and what becomes of a failure [`outcome`]. With stored positions those remember.
//!
//! [`memory`]: crate::memory
//! [`retry`]: crate::retry
//! [`outcome`]: crate::outcome

mod exactly;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::{Error, Props, Rejected, SinkContext, SinkRecord, SinkTask, TopicPartition};

use crate::batch::Batch;
use crate::client::BulkClient;
use crate::connector::fail_start;
use crate::doc::Writer;
use crate::exactly_once::ExactlyOnce;
use crate::ids::place;
use crate::memory::{Memory, Work};
use crate::metrics::Statistics;
use crate::namespace::Namespace;
use crate::outcome::{self, Next, Rules};
use crate::positions::Seen;
use crate::retry::Patience;
use crate::settings::{ExtraConfig, SinkConfig};
use crate::spread::Spread;
use crate::topic::{Plan, Tolerance};
use crate::{record, timeseries};

/// A buffer larger than this is given back after a batch.
const KEEP_BUFFER: usize = 8 * 1024 * 1024;

/// A started task.
pub struct MongoSinkTask {
    props: Props,
    context: SinkContext,
    client: BulkClient,
    spread: Spread<BulkClient>,
    exactly_once: Option<ExactlyOnce>,
    plans: Plans,
    /// For the statements of the next records.
    buffer: Writer,
    /// What was given back; nothing where positions are stored.
    memory: Option<Memory>,
    patience: Patience,
    /// `errors.isolate.bad.records`.
    isolate: bool,
    /// Batches written for each plan since its last pause.
    paused_after: HashMap<usize, u64>,
    checked_timeseries: HashSet<Arc<Namespace>>,
    /// The worker tolerates nothing but takes reports: the first report fails the task, and nothing is done after it.
    first_report_fails: bool,
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
        let extra = ExtraConfig::of(&props).map_err(|problems| fail_start(problems.into_iter().next()))?;
        let mut plans = Plans::default();
        for topic in &config.topics {
            plans.index(&Arc::from(topic.as_str()), &props)?;
        }
        let client = BulkClient::new(&config).await?;
        let exactly_once = exactly::start(&config, &extra, &client, &context, &plans)?;
        let patience = Patience::new(&extra);
        let repeats = patience.on() || extra.isolate_bad_records;
        let spread = Spread::over(&client, extra.write_lanes, extra.write_collapse, repeats).await?;
        let statistics = Arc::new(Statistics::new(&context.connector, context.task));
        context.metrics.register("com.mongodb.kafka.connect", "sink-task-metrics", Arc::clone(&statistics) as _);
        let first_report_fails = context.reports_errors && !config.errors_tolerance.eq_ignore_ascii_case("all");
        Ok(Box::new(Self {
            first_report_fails,
            props,
            context,
            client,
            spread,
            exactly_once,
            plans,
            buffer: Writer::new(),
            memory: None,
            patience,
            isolate: extra.isolate_bad_records,
            paused_after: HashMap::new(),
            checked_timeseries: HashSet::new(),
            statistics,
            returned: None,
        }))
    }

    /// The statements of records: those that are remembered as far as they are, and those of the new records. What cannot be
    /// turned into a statement is rejected, or the error.
    fn take_up(&mut self, records: &[SinkRecord]) -> Result<Work, Error> {
        let (mut work, fresh) = match self.memory.take() {
            Some(memory) => memory.resume(records),
            None => (Work { buffer: std::mem::take(&mut self.buffer), ..Work::default() }, 0),
        };
        let (began, before) = (Instant::now(), work.rejected.len());
        let processed = self.process(records, fresh, &mut work);
        self.statistics.processing.add(began.elapsed());
        processed?;
        Statistics::add(&self.statistics.failed, work.rejected.len() - before);
        Ok(work)
    }

    /// Turns the records from `fresh` on into batches of statements.
    fn process(&mut self, records: &[SinkRecord], fresh: usize, work: &mut Work) -> Result<(), Error> {
        let mut last: Option<(Arc<str>, usize)> = None;
        for (index, record) in records.iter().enumerate().skip(fresh) {
            match self.exactly_once.as_ref().map_or(Seen::New, |known| known.seen(record)) {
                Seen::New => {}
                Seen::Written => continue,
                Seen::Refused(error) => {
                    work.rejected.push(Rejected { index, error });
                    continue;
                }
                Seen::Foreign(error) => return Err(error),
            }
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
            let start = work.buffer.len();
            match record::write(plan, record, &mut work.buffer) {
                Ok(None) => {}
                Ok(Some((namespace, statement))) => {
                    let bytes = start..work.buffer.len();
                    work.batches.push(plan_index, plan.max_batch_size, namespace, statement, index, bytes);
                }
                Err(error) => {
                    if plan.log_errors {
                        self.log_record(record, &error);
                    }
                    if plan.tolerance == Tolerance::None {
                        return Err(error);
                    }
                    work.rejected.push(Rejected { index, error });
                }
            }
        }
        Ok(())
    }

    fn log_record(&self, record: &SinkRecord, error: &Error) {
        let (partition, offset) = place(record);
        tracing::error!(
            connector = %self.context.connector, task = self.context.task, topic = %record.record.topic, partition,
            offset, class = error.java_class(), error = %error, "unable to process a record"
        );
    }

    /// Sends a batch until nothing of it is left. After an error of a retriable kind what is left is to come again.
    async fn write(
        &mut self,
        batch: &mut Batch,
        buffer: &[u8],
        records: &[SinkRecord],
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), Error> {
        let plan = self.plans.plans[batch.plan].clone();
        self.prepare(&plan, &batch.namespace).await?;
        let (began, open, before) = (Instant::now(), batch.open(), rejected.len());
        loop {
            let rules = self.rules(&plan, Instant::now());
            let sent = self.spread.write(&mut self.client, batch, buffer, plan.ordered, rules.may_wait).await;
            let Err(failure) = sent else { break };
            let outcome = outcome::of(batch, failure, rules, self.client.server());
            for (place, error) in outcome.rejected {
                self.reject(&plan, batch.ops[place].record, error, records, rejected);
            }
            match outcome.next {
                Next::Again if !self.is_over(rejected) => {}
                Next::Again | Next::Done => break,
                Next::Later(error) => {
                    self.statistics.batches_failed.add(began.elapsed());
                    return Err(self.patience.ask_again(Instant::now(), error));
                }
                Next::Fail(error) => {
                    self.statistics.batch(open, open, began);
                    return Err(error);
                }
            }
        }
        self.patience.over();
        self.statistics.batch(open, rejected.len() - before, began);
        let plan_index = batch.plan;
        batch.ops.clear();
        self.pause(plan_index, &plan).await
    }

    /// True when a report will fail the task.
    fn is_over(&self, rejected: &[Rejected]) -> bool {
        self.first_report_fails && !rejected.is_empty()
    }

    /// Sees to it that a time series collection is there.
    async fn prepare(&mut self, plan: &Plan, namespace: &Arc<Namespace>) -> Result<(), Error> {
        let Some(timeseries) = plan.timeseries.as_ref().filter(|_| !self.checked_timeseries.contains(namespace)) else {
            return Ok(());
        };
        let may_wait = self.patience.lasts(Instant::now());
        if let Err(error) = timeseries::ensure(self.client.client(), namespace, timeseries).await {
            let passes = error.root().kind().retriable() && may_wait;
            return Err(if passes { self.patience.ask_again(Instant::now(), error) } else { error });
        }
        self.checked_timeseries.insert(namespace.clone());
        Ok(())
    }

    /// What decides over a failure of an attempt that begins now.
    fn rules(&mut self, plan: &Plan, now: Instant) -> Rules {
        Rules {
            tolerance: plan.tolerance,
            ordered: plan.ordered,
            isolate: self.isolate,
            waits: self.patience.on(),
            may_wait: self.patience.lasts(now),
            lanes: self.spread.has_lanes(),
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

    fn value_fields(&mut self, topic: &Arc<str>) -> Option<&'static [&'static str]> {
        // A topic whose settings are wrong says so with its first record.
        let index = self.plans.index(topic, &self.props).ok()?;
        self.plans.plans.get(index)?.value_fields()
    }

    fn bounds_retries(&self) -> bool {
        self.patience.on()
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.flush().await;
        }
        Ok(())
    }

    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.open_positions(partitions).await
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.close(partitions);
        }
        if let Some(memory) = &mut self.memory {
            memory.forget(partitions);
        }
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<(), Error> {
        let Self { client, spread, exactly_once, .. } = *self;
        // The client waits for the sessions that use it.
        drop((spread, exactly_once));
        client.close().await;
        Ok(())
    }
}

impl MongoSinkTask {
    async fn write_all(&mut self, records: &[SinkRecord]) -> Result<Vec<Rejected>, Error> {
        Statistics::add(&self.statistics.records, records.len());
        if let Some(at) = records.iter().rev().find_map(|record| record.record.timestamp) {
            self.statistics.latest_ms.store(now_ms().saturating_sub(at), Ordering::Relaxed);
        }
        self.prepare_positions(records).await?;
        let mut work = self.take_up(records)?;
        let written = self.write_batches(&mut work, records).await;
        if let Err(error) = written {
            if error.kind().retriable() && self.exactly_once.is_none() {
                self.memory = Some(Memory::new(work, records));
            }
            return Err(error);
        }
        let Work { mut buffer, mut rejected, .. } = work;
        if self.first_report_fails {
            rejected.truncate(1);
        }
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.reported(records, &rejected);
        }
        if buffer.len() <= KEEP_BUFFER {
            buffer.truncate(0);
            self.buffer = buffer;
        }
        if !self.context.reports_errors {
            // Nobody takes reports: what is tolerated is dropped, as on the JVM.
            rejected.clear();
        }
        Ok(rejected)
    }

    async fn write_batches(&mut self, work: &mut Work, records: &[SinkRecord]) -> Result<(), Error> {
        let Work { buffer, batches, rejected } = work;
        let mut range = 0..0;
        let mut left = batches.batches.len();
        for batch in &mut batches.batches {
            if self.is_over(rejected) {
                break;
            }
            // What asks for no statement is done with along with what is written before or after it.
            left -= 1;
            let end = if left == 0 { records.len() } else { batch.ops.last().map_or(range.end, |op| op.record + 1) };
            range = range.end..end;
            match self.exactly_once {
                None => self.write(batch, buffer.bytes(), records, rejected).await?,
                Some(_) => self.write_once(batch, buffer.bytes(), range.clone(), records, rejected).await?,
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
