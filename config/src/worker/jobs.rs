//! Jobs: where they are kept, how they heal, whom they tell. These keys are Tidegate's own: the JVM worker has no such keys
//! and ignores them.

use crate::secret::Secret;

crate::config! {
    /// Jobs and their recovery.
    pub struct JobsConfig {
        /// The compacted topic of jobs: definitions, commands, states, progress. Not given: the name of config.storage.topic
        /// with -jobs behind it.
        "job.storage.topic" => topic: Option<String> = NULL { importance(Medium) },
        /// Whether failed tasks are tried again by themselves. Without it a failed task stays FAILED until somebody restarts
        /// it, as on the JVM worker. A job says otherwise for itself with the option recovery.enabled, and in the same way
        /// for each of the settings of recovery.
        "job.recovery.enabled" => recovery: bool = "true" { importance(Medium) },
        /// How often a task is tried again at once when the way to a system failed.
        "job.recovery.immediate.retries" => immediate_retries: i32 = "3" { validator(at_least(0)), importance(Low) },
        /// The first delay after those, in milliseconds, and for other failures that pass by themselves.
        "job.recovery.backoff.initial.ms" => backoff_initial: i64 = "5000" { validator(at_least(1)), importance(Low) },
        /// By how much each delay is longer than the one before it.
        "job.recovery.backoff.factor" => backoff_factor: i32 = "3" { validator(between(1, 100)), importance(Low) },
        /// The longest delay, in milliseconds.
        "job.recovery.backoff.max.ms" => backoff_max: i64 = "3600000" { validator(at_least(1)), importance(Low) },
        /// Restarts in a row after which a task stays FAILED.
        "job.recovery.attempts.max" => attempts_max: i32 = "10" { validator(at_least(0)), importance(Low) },
        /// How long after the first failure of a row a task is still tried again, in milliseconds.
        "job.recovery.window.ms" => recovery_window: i64 = "86400000" { validator(at_least(0)), importance(Low) },
        /// How long a task has to run well for its failures to be forgotten, in milliseconds.
        "job.recovery.healthy.ms" => healthy: i64 = "600000" { validator(at_least(1)), importance(Low) },
        /// The longest time between two checkpoints, in milliseconds; offset.flush.interval.ms counts when it is shorter.
        "job.checkpoint.interval.ms" => checkpoint_interval: i64 = "30000" { validator(at_least(1)), importance(Low) },
        /// How often workers tell each other how far their tasks are, in milliseconds.
        "job.progress.interval.ms" => progress_interval: i64 = "1000" { validator(at_least(50)), importance(Low) },
        /// How often it is looked how much log the source's system keeps, in milliseconds.
        "job.retention.check.interval.ms" => retention_interval: i64 = "10000" {
            validator(at_least(100)), importance(Low)
        },
        /// How long completing, terminating and the like may take until a job says what it still waits for, in milliseconds.
        "job.action.timeout.ms" => action_timeout: i64 = "60000" { validator(at_least(1)), importance(Low) },
        /// URLs that are told of every job, separated by commas.
        "job.webhooks" => webhooks: Vec<String> = "" { importance(Medium) },
        /// What they are told of: job.state_changed, job.warning, job.failing, job.flapping. Empty: everything.
        "job.webhooks.events" => webhook_events: Vec<String> = "" { importance(Low) },
        /// Signs what they are told: HMAC-SHA256 over the body, in the header X-Tidegate-Signature.
        "job.webhooks.secret" => webhook_secret: Option<Secret> = NULL { importance(Medium) },
        /// Whether a webhook may be at a loopback, private or link-local address.
        "job.webhooks.allow.private" => webhook_private: bool = "false" { importance(Medium) },
        /// How long a webhook may take to answer, in milliseconds.
        "job.webhooks.timeout.ms" => webhook_timeout: i64 = "10000" { validator(at_least(1)), importance(Low) },
        /// The first delay before a webhook that did not take its notice is told again, in milliseconds; it doubles up to
        /// five minutes.
        "job.webhooks.retry.initial.ms" => webhook_retry: i64 = "1000" { validator(at_least(1)), importance(Low) },
        /// How long a notice is kept for a webhook that does not take it, in milliseconds.
        "job.webhooks.retry.window.ms" => webhook_window: i64 = "86400000" { validator(at_least(1)), importance(Low) },
        /// How long a job has to be failed for job.failing, in milliseconds.
        "job.failing.after.ms" => failing_after: i64 = "300000" { validator(at_least(1)), importance(Low) },
        /// Failures within job.flapping.window.ms that make job.flapping.
        "job.flapping.failures" => flapping_failures: i32 = "3" { validator(at_least(2)), importance(Low) },
        /// See job.flapping.failures.
        "job.flapping.window.ms" => flapping_window: i64 = "600000" { validator(at_least(1)), importance(Low) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Props;

    #[test]
    fn no_key_is_one_of_kafka() {
        assert!(JobsConfig::parse(&Props::new()).expect("the defaults are valid").recovery);
        let kafka = crate::DistributedConfig::def();
        for key in JobsConfig::def().keys() {
            assert!(kafka.keys().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
