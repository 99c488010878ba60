//! What is done about a record that failed: logged, sent to the dead letter topic, counted, tolerated or not.

use std::sync::Arc;

use connect_api::{Error, Result};

use crate::dead_letters::DeadLetters;
use crate::failure::{ErrorPolicy, Failed, tolerance_exceeded};
use crate::io::ConsumerRecord;
use crate::metrics::TaskMetrics;

/// Handles the failed records of one task.
pub struct Reporter {
    pub policy: ErrorPolicy,
    pub connector: Arc<str>,
    pub task: u32,
    pub metrics: Arc<TaskMetrics>,
    /// Sinks only.
    pub dead_letters: Option<DeadLetters>,
}

/// A failed record, as logs describe it. Never its content.
pub enum Subject<'a> {
    Source { topic: &'a str },
    Sink(&'a ConsumerRecord),
}

impl Reporter {
    /// Reports a record that failed for good. `Ok` means that it is skipped; the error fails the task. Reports go out
    /// even when the task fails then, as in the JVM.
    pub async fn report(&mut self, subject: Subject<'_>, failed: Failed) -> Result<()> {
        TaskMetrics::add(&self.metrics.failures, 1);
        TaskMetrics::add(&self.metrics.errors, 1);
        self.metrics.error_seen();
        if self.policy.log {
            self.log(&subject, &failed);
        }
        if let (Some(letters), Subject::Sink(raw)) = (&mut self.dead_letters, &subject) {
            letters.send(raw, &failed).await?;
            TaskMetrics::add(&self.metrics.dead_letters, 1);
        }
        if !self.policy.tolerate {
            self.settle().await?;
            return Err(tolerance_exceeded(failed.error));
        }
        TaskMetrics::add(&self.metrics.skipped, 1);
        Ok(())
    }

    /// Waits until everything reported is durable.
    pub async fn settle(&mut self) -> Result<()> {
        match &mut self.dead_letters {
            Some(letters) => letters.settle().await,
            None => Ok(()),
        }
    }

    /// The wait before the next attempt of what failed, `None` when it is not tried again.
    pub fn retry_delay_ms(&self, error: &Error, attempt: u32, waited_ms: i64) -> Option<i64> {
        if !error.kind().retriable() {
            return None;
        }
        let delay = self.policy.delay_ms(attempt, waited_ms, |max| rand::random_range(0..max))?;
        TaskMetrics::add(&self.metrics.failures, 1);
        TaskMetrics::add(&self.metrics.retries, 1);
        Some(delay)
    }

    fn log(&self, subject: &Subject<'_>, failed: &Failed) {
        TaskMetrics::add(&self.metrics.logged, 1);
        let mut text = format!(
            "Error encountered in task {}-{}. Executing stage '{}' with class '{}'",
            self.connector,
            self.task,
            failed.stage.name(),
            failed.class
        );
        if self.policy.log_messages {
            text.push_str(&describe(subject));
        }
        text.push('.');
        tracing::error!(connector = &*self.connector, task = self.task, trace = failed.error.trace(), "{text}");
    }
}

fn describe(subject: &Subject<'_>) -> String {
    use connect_kafka::consumer::TimestampType;
    match subject {
        Subject::Source { topic } => format!(", where source record is for topic='{topic}'"),
        Subject::Sink(raw) => {
            let mut text = format!(
                ", where consumed record is {{topic='{}', partition={}, offset={}",
                raw.topic, raw.partition, raw.offset
            );
            let kind = match raw.timestamp_type {
                TimestampType::NoTimestamp => None,
                TimestampType::CreateTime => Some("CreateTime"),
                TimestampType::LogAppendTime => Some("LogAppendTime"),
            };
            if let Some(kind) = kind {
                text.push_str(&format!(", timestamp={}, timestampType={kind}", raw.timestamp_ms));
            }
            text.push('}');
            text
        }
    }
}
