//! Going on with a snapshot (`snapshot.resume.enabled`): after a crash, a stop or a broken connection, what was read is not read
//! again.
//!
//! **How.** A table with a primary key is read in the order of that key ([`super::plan`]). The position that is stored with the
//! records says how far each table is ([`super::state`]). What is left is read in another transaction, which sees the tables as they
//! are then: the exported snapshot is gone. The stream then begins where the slot was when the first attempt began, and leaves
//! nothing out.
//!
//! **Why no row is lost.** Let *S* be the slot's place, and *k* a key. All attempts cut the keys of a table into the same order, and
//! each key lies in what exactly one attempt reads and stores, at a moment *T* that is not before *S*.
//! - The row was there at *T*: it is told. What changed it since *S* is in the stream, and is told after it. A change from between
//!   *S* and *T* is told once more then, as the row of *T* has it already; the last event of *k* is the last change, or the row itself.
//! - The row was not there at *T*: it was put in later, which the stream tells, or it was deleted before. If an earlier moment
//!   of the stream knows it, the stream ends with its delete. A row that was told by an attempt and deleted before the next one is in
//!   the part that is done, and its delete was made after *S*: the stream tells it.
//! - A key that changes is a delete of the old one and a create of the new one. A row that moves so from what is left into what
//!   is done is read by no attempt; the stream has its create. One that moves the other way is read twice, under both keys, and the
//!   stream has the delete of the first.
//! - Large values that an update did not touch are placeholders in the stream, as ever. The row that carries the value was read under the
//!   same key: at *T* it has the value that was last set before *T*, and what sets it later is in the stream. Only where the
//!   key changed meanwhile may the value be told under the old key alone: a stream that follows an ordinary snapshot does the same.
//! - `TRUNCATE` is told where `skipped.operations` lets it through, as ever. Rows of finished parts stay at the consumer otherwise.
//!
//! So consumers that keep the last event of each key end with the table. Those that count records see more of them: all changes since
//! *S*, also those that the rows have already. Records of a resumed snapshot have the place of the first attempt (`source.lsn`), which is not
//! after any of those changes.
//!
//! **What comes twice.** Rows whose records are in Kafka, but not the position behind them: those after the last stored one, of a
//! table without a primary key all. With exactly-once delivery none of a table with a key.
//!
//! **When it begins anew.** As a whole: when the slot stands at another place than it did (it was dropped, invalidated or read by
//! somebody), for what changed since is not in the stream then; when the server is another one, or on another timeline after a
//! failover, for rows that were read may never have come to it; without a stream (`initial_only`), which nothing makes
//! consistent; with modes that take a snapshot at every start (`always`, `configuration_based`), where only another attempt of the
//! same run goes on; for a worker of the JVM, which does not know the field. A single table: when its name, its object id, or a
//! column of its key or that one's type is another one, and when its stored keys are no values of their types any more.

use connect_api::OffsetMap;

use crate::offset::Position;
use crate::session::Session;
use crate::settings::{Settings, SnapshotMode};
use crate::slot::lsn_text;
use crate::snapshot::state::State;

/// What a stored offset holds of a snapshot that a new run goes on with.
pub fn stored(offset: &OffsetMap, position: &Position, settings: &Settings) -> Option<State> {
    let goes_on = matches!(settings.snapshot_mode, SnapshotMode::Initial | SnapshotMode::WhenNeeded);
    if !settings.resumes() || !goes_on || !position.in_unfinished_snapshot() {
        return None;
    }
    State::from_offset(offset)
}

/// An attempt begins, with the slot and the log at these places. Gives the place that its records have.
pub(super) fn begin(session: &mut Session, slot: Option<u64>, lsn: u64) -> u64 {
    let before = session.resume.take();
    let Some(slot) = slot.filter(|_| session.settings.resumes()) else { return lsn };
    let source = &session.settings.prefix;
    let server = session.lineage.as_ref().map(ToString::to_string).unwrap_or_default();
    let state = match before {
        Some(mut state) if state.belongs_to(&server, slot) => {
            state.settle();
            let done = state.tables.iter().filter(|table| table.is_done()).count();
            let under_way = state.tables.len() - done;
            tracing::info!(source = %source, done, under_way, rows = state.rows(), "the snapshot goes on");
            state
        }
        other => {
            if let Some(state) = other {
                let (was, is) = (lsn_text(state.slot), lsn_text(slot));
                tracing::warn!(
                    source = %source, %was, %is, server_was = %state.server, server_is = %server,
                    "the slot is at another place, or on another server or timeline, than when the snapshot began: it begins anew"
                );
            }
            State { server, slot, lsn, tables: Vec::new() }
        }
    };
    session.resume.insert(state).lsn
}
