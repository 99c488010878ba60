//! What is done about a record that failed: logged, sent to the dead letter topic, counted, tolerated or not.

use std::sync::Arc;

use connect_api::java::display;
use connect_api::{Datum, Error, Record, Result};

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

/// A failed record, as `errors.log.include.messages` describes it: where a consumed one was, all of one from a source.
pub enum Subject<'a> {
    /// The record, where it is at hand: it is kept only when the log is to describe it.
    Source(Option<&'a Record>),
    Sink(&'a ConsumerRecord),
}

impl Reporter {
    /// Reports a record that failed for good. `Ok` means that it is skipped; the error fails the task. Reports go out
    /// even when the task fails then, as in the JVM.
    pub async fn report(&mut self, subject: Subject<'_>, failed: Failed) -> Result<()> {
        self.note(&subject, &failed);
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

    /// Counts a failure and logs it, when errors are logged.
    pub fn note(&self, subject: &Subject<'_>, failed: &Failed) {
        TaskMetrics::add(&self.metrics.failures, 1);
        TaskMetrics::add(&self.metrics.errors, 1);
        self.metrics.error_seen();
        if self.policy.log {
            self.log(subject, failed);
        }
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
        let text = self.text(subject, failed);
        tracing::error!(connector = &*self.connector, task = self.task, trace = failed.error.stack_trace(), "{text}");
    }

    /// The line that `LogReporter` writes.
    fn text(&self, subject: &Subject<'_>, failed: &Failed) -> String {
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
        text
    }
}

fn describe(subject: &Subject<'_>) -> String {
    use connect_kafka::consumer::TimestampType;
    match subject {
        Subject::Source(None) => String::new(),
        Subject::Source(Some(record)) => format!(", where source record is = {}", java_text(record)),
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

/// A record as Java's `ConnectRecord` prints itself. (`SourceRecord` puts its partition and offset before it, which records
/// have in common here and do not carry.)
fn java_text(record: &Record) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let schema = |datum: &Datum| match &datum.schema {
        None => "null".to_owned(),
        Some(schema) => {
            let name = schema.name.as_deref().map(|name| format!("{name}:")).unwrap_or_default();
            format!("Schema{{{name}{}}}", schema.kind.java_name())
        }
    };
    let value = |datum: &Datum| display::text(&datum.value, datum.schema.as_ref());
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|header| {
            let (key, value, schema) = (&header.key, value(&header.datum), schema(&header.datum));
            format!("ConnectHeader(key={key}, value={value}, schema={schema})")
        })
        .collect();
    format!(
        "ConnectRecord{{topic='{}', kafkaPartition={}, key={}, keySchema={}, value={}, valueSchema={}, timestamp={}, \
         headers=ConnectHeaders(headers={})}}",
        record.topic,
        number(record.partition.map(i64::from)),
        value(&record.key),
        schema(&record.key),
        value(&record.value),
        schema(&record.value),
        number(record.timestamp),
        headers.join(",")
    )
}

#[cfg(test)]
mod tests {
    use connect_api::{Schema, Value};
    use connect_kafka::consumer::TimestampType;

    use super::*;

    fn reporter(details: bool) -> Reporter {
        let policy = ErrorPolicy { log: true, log_messages: details, ..ErrorPolicy::default() };
        let metrics = TaskMetrics::shared();
        Reporter { policy, connector: Arc::from("c"), task: 0, metrics, dead_letters: None }
    }

    fn failed() -> Failed {
        let class = Arc::from("org.apache.kafka.connect.converters.IntegerConverter");
        Failed { stage: crate::failure::Stage::ValueConverter, class, error: Error::data("bad") }
    }

    const BEGINNING: &str = "Error encountered in task c-0. Executing stage 'VALUE_CONVERTER' with class \
                             'org.apache.kafka.connect.converters.IntegerConverter'";

    #[test]
    fn without_details_the_log_names_stage_and_class() {
        assert_eq!(reporter(false).text(&Subject::Source(None), &failed()), format!("{BEGINNING}."));
    }

    #[test]
    fn a_consumed_record_is_told_by_its_place() {
        let raw = ConsumerRecord {
            topic: Arc::from("t"),
            partition: 0,
            offset: 7,
            timestamp_ms: 1_700_000_000_000,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(bytes::Bytes::from_static(b"secret")),
            headers: Vec::new(),
        };
        assert_eq!(
            reporter(true).text(&Subject::Sink(&raw), &failed()),
            format!(
                "{BEGINNING}, where consumed record is {{topic='t', partition=0, offset=7, timestamp=1700000000000, \
                 timestampType=CreateTime}}."
            )
        );
    }

    #[test]
    fn a_record_of_a_source_is_told_in_full() {
        let datum = Datum::new(Arc::new(Schema::of(connect_api::Kind::String)), Value::string("one"));
        let record = Record::source(Arc::from("t"), Datum::null(), datum);
        assert_eq!(
            reporter(true).text(&Subject::Source(Some(&record)), &failed()),
            format!(
                "{BEGINNING}, where source record is = ConnectRecord{{topic='t', kafkaPartition=null, key=null, \
                 keySchema=null, value=one, valueSchema=Schema{{STRING}}, timestamp=null, \
                 headers=ConnectHeaders(headers=)}}."
            )
        );
    }
}
