//! What happens to a worker, and when.

use connect_cluster::Event;

/// What happens to a worker at some time.
pub(super) enum Happening {
    Event(Event),
    /// The log's reader catches up.
    Read,
    /// An append arrives at the log.
    Append(Vec<(String, Option<String>)>),
    /// It reads to the end, then says so.
    ReadToEnd(fn() -> Event),
    /// The coordinator takes note of a request to rejoin.
    Rejoin,
    Restart,
    /// The coordinator misses the heartbeats of a member.
    SessionOver(String),
}

pub(super) struct Scheduled {
    pub(super) at: u64,
    pub(super) order: u64,
    pub(super) worker: usize,
    pub(super) incarnation: u32,
    pub(super) what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
