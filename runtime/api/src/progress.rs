//! How far a source task is, and what its system keeps for it: figures for people, the job API and alerts.
//!
//! A figure that is not known is `None`, never a guess.

use std::fmt;

/// What a source is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Connecting, making what it needs at its system (a publication, a slot); again while a connection that was lost is made
    /// anew. A source that is in another phase is connected: the time for which it works is counted by that.
    #[default]
    Init,
    /// Reading what is there.
    Snapshot,
    /// Following the changes.
    Streaming,
}

impl Phase {
    /// All, in the order in which they follow each other.
    pub const ALL: [Self; 3] = [Self::Init, Self::Snapshot, Self::Streaming];

    /// The name that people see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Snapshot => "SNAPSHOT",
            Self::Streaming => "STREAMING",
        }
    }

    /// The phase of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far the snapshot of one table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableProgress {
    /// `schema.table`.
    pub table: String,
    /// Rows read so far.
    pub rows: u64,
    /// What the system thinks the table has, when it was ever counted.
    pub rows_estimated: Option<u64>,
    /// Reading it has begun.
    pub begun: bool,
    /// Every row was read.
    pub done: bool,
}

/// How far the stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamProgress {
    /// The place up to which everything was read and given to the worker (with [`crate::SourceTask::poll`]), as a number that
    /// grows: whatever the system wrote before it is not missing any more.
    pub resolved: Option<u64>,
    /// The last commit that was read: its place, for people.
    pub last_commit_position: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub last_commit_ms: Option<i64>,
    /// Bytes of the system's log that were not read yet.
    pub lag_bytes: Option<u64>,
    /// How old the last change was when it was read, in milliseconds; 0 when everything was read.
    pub lag_ms: Option<i64>,
}

/// How far a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    /// The tables of the snapshot, in the order in which they are read. Empty outside it.
    pub tables: Vec<TableProgress>,
    /// The last position read, for people.
    pub position: Option<String>,
    /// While changes are followed.
    pub stream: Option<StreamProgress>,
}

/// What a source's system keeps for it, so that it can go on where it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What keeps the log: the name of a replication slot.
    pub slot: String,
    /// The server's word for how safe it is (`pg_replication_slots.wal_status`): `reserved`, `extended`, `unreserved`, `lost`.
    /// `None`: the slot does not exist.
    pub wal_status: Option<String>,
    /// Bytes of the log that are kept because of it.
    pub retained_bytes: Option<u64>,
    /// Bytes that can still be written before the server stops keeping the log; `None` without a limit.
    pub safe_wal_size: Option<u64>,
    /// Where the log ends now, as a number that grows.
    pub log_end: Option<u64>,
}

impl Retention {
    /// True when what was kept is gone: the source can't go on where it stopped.
    pub fn is_lost(&self) -> bool {
        self.wal_status.as_deref().is_none_or(|status| status == "lost")
    }
}

/// What [`crate::SourceConnector::clean_up`] takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// The position that the system keeps: a replication slot. A new snapshot needs a new one.
    Position,
    /// That, and everything else that was made for the source: a publication.
    Everything,
}
