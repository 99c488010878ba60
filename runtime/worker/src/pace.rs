//! When a source task writes its offsets: soon once there is something to write, so that a crash repeats little and the
//! source's log need not be kept for long, but never in a rush.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two writes of offsets of one task.
const BREATHER: Duration = Duration::from_secs(1);

/// The clock of a task's writes of offsets.
pub(crate) struct Pace {
    /// The longest time between two writes.
    interval: Duration,
    last: Instant,
    /// The last write failed: the next one has time.
    failed: bool,
}

impl Pace {
    /// A clock that begins now.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, last: Instant::now(), failed: false }
    }

    /// When to write next; `waiting` tells whether there are checkpoints.
    pub(crate) fn due(&self, waiting: bool) -> Instant {
        let soon = waiting && !self.failed;
        self.last + if soon { self.interval.min(BREATHER) } else { self.interval }
    }

    /// A write begins, or there was nothing to write yet.
    pub(crate) fn begun(&mut self) {
        self.last = Instant::now();
    }

    /// A write has ended.
    pub(crate) fn ended(&mut self, ok: bool) {
        self.failed = !ok;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_written_within_a_second_and_after_a_failure_at_the_interval() {
        let mut pace = Pace::new(Duration::from_secs(30));
        let began = pace.last;
        let after = |pace: &Pace, waiting| pace.due(waiting).duration_since(began).as_secs();
        assert_eq!((after(&pace, false), after(&pace, true)), (30, 1));
        pace.begun();
        assert!(pace.last >= began);
        pace.last = began + Duration::from_secs(5);
        pace.ended(false);
        assert_eq!((after(&pace, false), after(&pace, true)), (35, 35));
        pace.ended(true);
        assert_eq!((after(&pace, false), after(&pace, true)), (35, 6));
        let quick = Pace::new(Duration::from_millis(5));
        assert_eq!(quick.due(true), quick.due(false));
    }
}
