//! How far the stream is, for people and for those who wait for its end.
//!
//! What was read counts as resolved only when the worker has asked for more after the batch that holds it: until then the
//! batch may lie in the channel, or in the worker's hands. A source that is stopped in order once a place is resolved has
//! therefore given every change before that place to the producer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connect_api::StreamProgress;

use crate::slot::lsn_text;

/// How many batches the worker is done with: told by the task, read by its reader.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<AtomicU64>);

impl Taken {
    /// The worker asked for more after so many batches.
    pub fn set(&self, batches: u64) {
        self.0.store(batches, Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What has left the reader, and what has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Batches that were put into the channel so far.
    pub batches: u64,
    /// Records wait for the next one.
    pub waiting: bool,
    /// Everything before this place is in those batches, or in the one that waits.
    pub read: u64,
}

/// Follows one stream.
#[derive(Debug, Default)]
pub struct Follower {
    taken: Taken,
    /// Batches that the worker may still have in its hands: their number, and up to where everything is in them and in those
    /// before. There are as many as fit into the channel, and two.
    under_way: VecDeque<(u64, u64)>,
    resolved: u64,
    /// Where the server's log ended when it was last asked.
    end: u64,
    /// The last commit: its place, and its time in microseconds since 1970.
    commit: Option<(u64, i64)>,
    /// How old the last change was when it was read.
    behind_ms: Option<i64>,
}

impl Follower {
    /// Nothing is known yet.
    pub fn new(taken: Taken) -> Self {
        Self { taken, ..Self::default() }
    }

    /// A batch was put into the channel: the `number`th, after which everything before `read` is handed over.
    pub fn handed(&mut self, number: u64, read: u64) {
        self.drop_taken();
        self.under_way.push_back((number, read));
    }

    /// The server said where its log ends.
    pub fn ends_at(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// A commit was read.
    pub fn committed(&mut self, end: u64, commit_us: i64) {
        self.commit = Some((end, commit_us));
    }

    /// A change was read whose transaction was committed so long ago.
    pub fn behind(&mut self, ms: i64) {
        self.behind_ms = Some(ms.max(0));
    }

    fn drop_taken(&mut self) -> u64 {
        let taken = self.taken.get();
        while let Some(&(number, read)) = self.under_way.front()
            && number <= taken
        {
            self.resolved = self.resolved.max(read);
            self.under_way.pop_front();
        }
        taken
    }

    /// The figures of this moment.
    pub fn progress(&mut self, handed: Handed) -> StreamProgress {
        let taken = self.drop_taken();
        if taken >= handed.batches && !handed.waiting {
            self.resolved = self.resolved.max(handed.read);
        }
        let resolved = Some(self.resolved).filter(|place| *place > 0);
        let lag_bytes = resolved.map(|place| self.end.max(handed.read).saturating_sub(place));
        StreamProgress {
            resolved,
            last_commit_position: self.commit.map(|(place, _)| lsn_text(place)),
            last_commit_ms: self.commit.map(|(_, us)| us / 1_000),
            lag_bytes,
            lag_ms: if lag_bytes == Some(0) { Some(0) } else { self.behind_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_channel_is_not_resolved() {
        let taken = Taken::default();
        let mut follower = Follower::new(taken.clone());
        let at = |batches, waiting, read| Handed { batches, waiting, read };
        // Two batches of a snapshot are under way when the stream begins.
        assert_eq!(follower.progress(at(2, false, 100)).resolved, None);
        taken.set(2);
        assert_eq!(follower.progress(at(2, false, 100)).resolved, Some(100));
        // Read, but not handed over.
        assert_eq!(follower.progress(at(2, true, 200)).resolved, Some(100));
        follower.handed(3, 200);
        follower.handed(4, 300);
        assert_eq!(follower.progress(at(4, false, 350)).resolved, Some(100));
        taken.set(3);
        assert_eq!(follower.progress(at(4, false, 350)).resolved, Some(200));
        taken.set(4);
        assert_eq!(follower.progress(at(4, true, 400)).resolved, Some(300));
        assert_eq!(follower.progress(at(4, false, 400)).resolved, Some(400));
    }

    #[test]
    fn lag_is_what_was_not_read_and_nothing_once_all_was() {
        let mut follower = Follower::new(Taken::default());
        let idle = Handed { batches: 0, waiting: false, read: 0 };
        assert_eq!(follower.progress(idle), StreamProgress::default(), "nothing is invented");
        follower.committed(0x1_0000_0500, 1_700_000_000_123_456);
        follower.behind(250);
        follower.ends_at(0x1_0000_0600);
        let progress = follower.progress(Handed { read: 0x1_0000_0500, ..idle });
        assert_eq!(progress.last_commit_position.as_deref(), Some("1/500"));
        assert_eq!(progress.last_commit_ms, Some(1_700_000_000_123));
        assert_eq!((progress.lag_bytes, progress.lag_ms), (Some(0x100), Some(250)));
        let progress = follower.progress(Handed { read: 0x1_0000_0600, ..idle });
        assert_eq!((progress.lag_bytes, progress.lag_ms), (Some(0), Some(0)));
    }
}
