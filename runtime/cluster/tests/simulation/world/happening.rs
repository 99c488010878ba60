//! What happens to a worker, and when.

use connect_cluster::protocol::Protocol;
use connect_cluster::unit::Run;
use connect_cluster::{ConnectorId, Event, UnitId};

/// What happens to a worker at some time.
pub(super) enum Happening {
    Event(Event),
    /// The log's reader catches up.
    Read,
    /// An append arrives at the log.
    Append(Vec<(String, Option<String>)>),
    /// It reads to the end, then says so; after the deadline it says something else.
    ReadToEnd {
        deadline: u64,
        then: fn(Tag) -> Event,
        late: fn(Tag) -> Event,
        tag: Tag,
    },
    /// It reads back what it wrote, then learns of this outcome.
    ReadBack(Result<(), String>),
    /// The coordinator takes note of a request to rejoin.
    Rejoin,
    /// The member is back after it had stayed away on purpose.
    Enter,
    /// The member is to join the round under way.
    Prepare,
    /// A member's offer is on its way to the coordinator.
    Join {
        member: String,
        round: u64,
        offer: Vec<(Protocol, Vec<u8>)>,
    },
    /// A run came to its end.
    Ended {
        unit: UnitId,
        run: Run,
    },
    /// A run breaks off.
    Crashed {
        unit: UnitId,
        run: Run,
    },
    /// The outcome of a request to another worker.
    Sent {
        connector: ConnectorId,
        ok: bool,
    },
    Restart,
    /// The coordinator does not wait for this round any longer.
    RoundOver(u64),
}

/// What an answer is about: the generation that asked.
pub(super) type Tag = i32;

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
