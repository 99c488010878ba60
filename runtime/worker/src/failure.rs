//! Where something went wrong with a record, and how it is told (`ProcessingContext`, `Stage`).

use std::sync::Arc;

use connect_api::{Error, ErrorKind};

/// Steps of a record's way (`org.apache.kafka.connect.runtime.errors.Stage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Transformation,
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    TaskPut,
    KafkaProduce,
}

impl Stage {
    /// The name in logs and in headers of dead letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::TaskPut => "TASK_PUT",
            Self::KafkaProduce => "KAFKA_PRODUCE",
        }
    }
}

/// A record that could not be handled at a stage.
#[derive(Debug)]
pub struct Failed {
    pub stage: Stage,
    /// The Java class that was at work.
    pub class: Arc<str>,
    pub error: Error,
}

/// What becomes of errors of single records (`errors.*` of a connector).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// `errors.tolerance=all`: the record is skipped. Otherwise the task fails.
    pub tolerate: bool,
    /// `errors.retry.timeout` in milliseconds: 0 for no retries, negative for no end.
    pub retry_timeout_ms: i64,
    /// `errors.retry.delay.max.ms`.
    pub retry_delay_max_ms: i64,
    /// `errors.log.enable`.
    pub log: bool,
    /// `errors.log.include.messages`.
    pub log_messages: bool,
}

impl ErrorPolicy {
    /// True when a retriable error of a converter or transform is tried again.
    pub const fn retries(&self) -> bool {
        self.retry_timeout_ms != 0
    }

    /// The wait before attempt `attempt + 1` (the first is 1), at most up to the deadline; `None` when it is over. The delay
    /// doubles from 300 ms; above the maximum it is a random part of that (`RetryWithToleranceOperator.backoff`).
    pub fn delay_ms(&self, attempt: u32, waited_ms: i64, random: impl FnOnce(i64) -> i64) -> Option<i64> {
        const FIRST_DELAY_MS: i64 = 300;
        let left = if self.retry_timeout_ms < 0 { i64::MAX } else { self.retry_timeout_ms - waited_ms };
        if left <= 0 {
            return None;
        }
        let doubled = FIRST_DELAY_MS.checked_shl(attempt.saturating_sub(1).min(32)).unwrap_or(i64::MAX);
        let delay = if doubled > self.retry_delay_max_ms { random(self.retry_delay_max_ms.max(1)) } else { doubled };
        Some(delay.min(left))
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self { tolerate: false, retry_timeout_ms: 0, retry_delay_max_ms: 60_000, log: false, log_messages: false }
    }
}

/// The failure of a task because of one record (`RetryWithToleranceOperator`).
pub fn tolerance_exceeded(cause: Error) -> Error {
    wrap("Tolerance exceeded in error handler", cause)
}

/// A general failure with its cause, in the JVM's words.
pub fn wrap(message: &'static str, cause: Error) -> Error {
    Error::new(ErrorKind::Bug, message).class("org.apache.kafka.connect.errors.ConnectException").caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_end_at_the_timeout() {
        let policy = ErrorPolicy { retry_timeout_ms: 2_000, retry_delay_max_ms: 1_000, ..ErrorPolicy::default() };
        let delays = [(1, 0), (2, 300), (3, 900), (4, 1_900), (5, 2_000)]
            .map(|(attempt, waited)| policy.delay_ms(attempt, waited, |max| max / 2));
        assert_eq!(delays, [Some(300), Some(600), Some(500), Some(100), None]);
    }

    #[test]
    fn without_a_timeout_there_is_no_retry_and_with_a_negative_one_no_end() {
        let never = ErrorPolicy::default();
        assert_eq!(never.delay_ms(1, 0, |max| max), None);
        let always = ErrorPolicy { retry_timeout_ms: -1, ..ErrorPolicy::default() };
        assert_eq!(always.delay_ms(1000, i64::MAX, |max| max), Some(60_000));
    }

    #[test]
    fn the_trace_names_the_cause() {
        let error = tolerance_exceeded(Error::data("bad"));
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
             Caused by: org.apache.kafka.connect.errors.DataException: bad\n"
        );
    }
}
