//! When a failed unit is tried again without anybody's help.
//!
//! The decision is pure: what failed before, how, and when, give the next attempt or the end. What counts are *failures in a
//! row*: a unit that ran well for long enough begins anew.

use std::sync::Arc;

use connect_config::worker::JobsConfig;
use connect_config::{ConfigError, Props};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Cure, Failure};

/// Delays are longer or shorter by up to this many thousandths, so that what failed together does not come back together.
const JITTER_PERMILLE: u64 = 200;

/// The policy of a connector, asked at each failure so that a job's options count as soon as they are given.
pub type RecoveryOf = Arc<dyn Fn(&str) -> RecoveryPolicy + Send + Sync>;

/// How a connector's tasks are tried again (`job.recovery.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPolicy {
    /// `job.recovery.enabled`.
    pub enabled: bool,
    /// How often a failed way to a system is tried again at once.
    pub immediate: u32,
    /// The first delay after that, in milliseconds; each is `factor` times the one before.
    pub first_delay_ms: u64,
    pub factor: u32,
    /// The longest delay.
    pub max_delay_ms: u64,
    /// Restarts in a row, those at once among them.
    pub attempts_max: u32,
    /// Nothing is tried for longer after the first failure of a row.
    pub window_ms: u64,
    /// A unit that worked for this long without a break starts a new row.
    pub healthy_ms: u64,
}

impl Default for RecoveryPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            immediate: 3,
            first_delay_ms: 5_000,
            factor: 3,
            max_delay_ms: 3_600_000,
            attempts_max: 10,
            window_ms: 86_400_000,
            healthy_ms: 600_000,
        }
    }
}

/// A row of failures of one unit, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Restarts in this row, with the one that is planned.
    pub attempt: u32,
    /// How many of them were at once.
    #[serde(default)]
    pub at_once: u32,
    pub attempts_max: u32,
    /// Milliseconds since 1970.
    pub first_failure_ms: i64,
    /// When the next attempt begins, in milliseconds since 1970; `None` while one runs, or when nothing more is tried.
    pub next_attempt_ms: Option<i64>,
    /// The last failure of the row.
    pub failure: Failure,
    /// Why nothing more is tried.
    pub over: Option<String>,
}

impl RecoveryPolicy {
    /// What follows a failure: the row with the next attempt, or with why there is none. `healthy_ms` is for how long the run
    /// had really worked when it failed; `jitter` is any number that differs between units.
    #[must_use]
    pub fn after(
        &self,
        before: Option<&Recovery>,
        failure: Failure,
        healthy_ms: u64,
        now_ms: i64,
        jitter: u64,
    ) -> Recovery {
        let before = before.filter(|_| healthy_ms < self.healthy_ms);
        let mut row = Recovery {
            attempt: before.map_or(0, |before| before.attempt),
            at_once: before.map_or(0, |before| before.at_once),
            attempts_max: self.attempts_max,
            first_failure_ms: before.map_or(now_ms, |before| before.first_failure_ms),
            next_attempt_ms: None,
            failure,
            over: None,
        };
        match self.next_attempt(&row, now_ms, jitter) {
            Ok((next, at_once)) => {
                row.attempt = row.attempt.saturating_add(1);
                row.at_once = row.at_once.saturating_add(u32::from(at_once));
                row.next_attempt_ms = Some(next);
            }
            Err(over) => row.over = Some(over),
        }
        row
    }

    /// When the next attempt begins, and whether that is at once; or why there is none.
    fn next_attempt(&self, row: &Recovery, now_ms: i64, jitter: u64) -> Result<(i64, bool), String> {
        let failure = &row.failure;
        if !self.enabled {
            return Err("trying again by itself is switched off (job.recovery.enabled=false)".to_owned());
        }
        if failure.cure == Cure::Person {
            return Err(format!("an error of the kind \"{}\" is not cured by trying again", failure.code));
        }
        if row.attempt >= self.attempts_max {
            return Err(format!("{} restarts in a row have not cured it", self.attempts_max));
        }
        let at_once = failure.cure == Cure::Network && row.at_once < self.immediate;
        let delay = if at_once { 0 } else { self.delay_ms(row.attempt.saturating_sub(row.at_once), jitter) };
        let next = now_ms.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX));
        let window = i64::try_from(self.window_ms).unwrap_or(i64::MAX);
        if next > row.first_failure_ms.saturating_add(window) {
            return Err(format!("it was not cured within {} s of the first failure", self.window_ms.div_ceil(1_000)));
        }
        Ok((next, at_once))
    }

    /// The delay after so many delays of the row, with its jitter.
    fn delay_ms(&self, delays: u32, jitter: u64) -> u64 {
        let growth = u64::from(self.factor).saturating_pow(delays);
        let delay = self.first_delay_ms.saturating_mul(growth).min(self.max_delay_ms);
        let permille = 1_000 - JITTER_PERMILLE + jitter % (2 * JITTER_PERMILLE + 1);
        // A delay too long to be multiplied stays as it is.
        delay.checked_mul(permille).map_or(delay, |scaled| scaled / 1_000).min(self.max_delay_ms)
    }

    /// The same with what a job says otherwise: the options `recovery.*`, named as the worker's keys without `job.`, as
    /// booleans, numbers or text. Other options are left alone.
    ///
    /// # Errors
    /// For an option of recovery that does not exist, or whose value does not fit.
    pub fn with_options(&self, options: &Map<String, Value>) -> Result<Self, ConfigError> {
        let mut props = self.props();
        for (option, value) in options.iter().filter(|(option, _)| option.starts_with("recovery.")) {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(ConfigError::invalid(option, value, "it has to be a boolean, a number or a text"));
                }
            };
            let known = props.get_mut(&format!("job.{option}"));
            *known.ok_or_else(|| unknown(option))? = Some(text);
        }
        let parsed = JobsConfig::parse(&props).map_err(|problems| of_option(problems.into_iter().next()))?;
        Ok(Self::from(&parsed))
    }

    /// The policy as the worker's keys would say it.
    fn props(&self) -> Props {
        [
            ("job.recovery.enabled", self.enabled.to_string()),
            ("job.recovery.immediate.retries", self.immediate.to_string()),
            ("job.recovery.backoff.initial.ms", self.first_delay_ms.to_string()),
            ("job.recovery.backoff.factor", self.factor.to_string()),
            ("job.recovery.backoff.max.ms", self.max_delay_ms.to_string()),
            ("job.recovery.attempts.max", self.attempts_max.to_string()),
            ("job.recovery.window.ms", self.window_ms.to_string()),
            ("job.recovery.healthy.ms", self.healthy_ms.to_string()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Some(value)))
        .collect()
    }

    /// The same for every connector.
    pub fn for_all(self) -> RecoveryOf {
        Arc::new(move |_| self.clone())
    }
}

impl From<&JobsConfig> for RecoveryPolicy {
    fn from(config: &JobsConfig) -> Self {
        let count = |value: i32| u32::try_from(value).unwrap_or(0);
        let millis = |value: i64| u64::try_from(value).unwrap_or(0);
        Self {
            enabled: config.recovery,
            immediate: count(config.immediate_retries),
            first_delay_ms: millis(config.backoff_initial),
            factor: count(config.backoff_factor),
            max_delay_ms: millis(config.backoff_max),
            attempts_max: count(config.attempts_max),
            window_ms: millis(config.recovery_window),
            healthy_ms: millis(config.healthy),
        }
    }
}

fn unknown(option: &str) -> ConfigError {
    let known = RecoveryPolicy::default().props();
    let known: Vec<&str> = known.keys().filter_map(|key| key.strip_prefix("job.")).collect();
    let message = format!("Unknown option {option}. The options of recovery are {}", known.join(", "));
    ConfigError { key: Some(option.to_owned()), message }
}

/// A problem with a worker's key, told of the option.
fn of_option(problem: Option<ConfigError>) -> ConfigError {
    let Some(ConfigError { key, message }) = problem else { return ConfigError::new("The options are not valid") };
    let option = key.map(|key| key.trim_start_matches("job.").to_owned());
    ConfigError { key: option, message: message.replace("configuration job.recovery.", "option recovery.") }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
