//! Where the position stands while records are dropped: with the last record that was sent, as on the JVM, which stores the
//! position of a record that Kafka has, and not that of one that a transform or a tolerated error took out.

use std::time::Duration;

use connect_api::{Between, Checkpoint};
use tokio::time::Instant;

/// How long the position stays with the last record that was sent while all that follow are dropped.
const HOLD_MAX: Duration = Duration::from_secs(10);

/// Records that were dropped at the end of what was read.
#[derive(Clone, Debug, Default)]
pub struct Dropped {
    /// The last record that was read was.
    last: bool,
    /// The last event that was read has a record that was sent, and its checkpoint may come with the next batch.
    open: bool,
    /// The last record that was sent, when it is of a batch before and no checkpoint came for it yet.
    sent: Option<(Between, usize)>,
    /// Since when the position stays behind them.
    held_since: Option<Instant>,
}

/// What is known of a batch on its way.
pub(super) struct Passing {
    between: Option<Between>,
    /// Up to and with the last record that was sent.
    kept: usize,
    /// Records that a checkpoint came for.
    passed: usize,
}

impl Passing {
    /// A batch of which nothing was sent yet.
    pub(super) fn new(between: Option<Between>) -> Self {
        Self { between, kept: 0, passed: 0 }
    }
}

impl Dropped {
    /// The record that was read last was dropped.
    pub(super) fn was_dropped(&mut self) {
        self.last = true;
    }

    /// The record that was read last was sent: the batch is kept up to there.
    pub(super) fn was_sent(&mut self, passing: &mut Passing, kept: usize) {
        passing.kept = kept;
        self.last = false;
    }

    /// What a checkpoint becomes. One whose last records were dropped is that of the last one that was sent, whichever batch
    /// that was in; but not for long: the source's system keeps its log for as long as the position stays.
    pub(super) fn pass(&mut self, checkpoint: Checkpoint, passing: &mut Passing) -> Option<Checkpoint> {
        let of_last_event = checkpoint.after == 0 && self.open;
        let Some(between) = passing.between.as_ref().filter(|_| self.last && !of_last_event) else {
            self.held_since = None;
            return Some(self.pass_on(checkpoint, passing));
        };
        if self.held_since.get_or_insert_with(Instant::now).elapsed() >= HOLD_MAX {
            self.held_since = None;
            return Some(self.pass_on(checkpoint, passing));
        }
        let of_last_sent = if passing.kept > 0 {
            between.at(passing.kept)
        } else {
            let here = self.open.then(|| between.at(0)).flatten();
            here.or_else(|| self.sent.take().and_then(|(between, record)| between.at(record)))
        };
        of_last_sent.map(|mut checkpoint| {
            checkpoint.after = passing.kept;
            self.pass_on(checkpoint, passing)
        })
    }

    fn pass_on(&mut self, checkpoint: Checkpoint, passing: &mut Passing) -> Checkpoint {
        passing.passed = checkpoint.after;
        if checkpoint.after == 0 || checkpoint.after > passing.kept {
            // What comes after it is no place of the last record that was sent.
            (self.open, self.sent) = (false, None);
        }
        checkpoint
    }

    /// A batch of `read` records has passed, with its checkpoints.
    pub(super) fn batch_ended(&mut self, passing: Passing, read: usize) {
        let Passing { between, kept, passed } = passing;
        if read > 0 {
            let place = |record| between.as_ref().and_then(|between| between.at(record)).map(|at| at.after);
            self.open = kept > 0 && (kept == read || place(kept) >= place(read));
        }
        if kept > passed {
            self.sent = between.map(|between| (between, kept));
        } else if passed > 0 {
            self.sent = None;
        }
    }
}
