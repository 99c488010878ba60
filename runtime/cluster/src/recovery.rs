//! When a failed unit is tried again without anybody's help.
//!
//! The decision is pure: what failed before, how, and when, give the next attempt or the end. What counts are *failures in a
//! row*: a unit that ran well for long enough begins anew.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

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
    /// A unit that ran for this long starts a new row.
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
