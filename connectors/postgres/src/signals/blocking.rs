//! Blocking snapshots: tables are read in a transaction of their own while the stream waits.
//!
//! No position is stored while it goes on: after a crash the signal that asked for it comes again.

use std::time::{Duration, Instant};

use crate::filters::Patterns;
use crate::offset::Position;
use crate::session::{End, Session};
use crate::signals::incremental;
use crate::signals::parse::Snapshot;
use crate::snapshot;
use crate::wire::{Purpose, Wire};

/// How long it waits until what the stream has brought is seen.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Takes one; gives the position after it, when there were rows. Only what another connection may get over is an error;
/// anything else is told, and the stream goes on.
pub async fn run(session: &mut Session, wanted: &Snapshot, position: Position) -> Result<Option<Position>, End> {
    let patterns = match Patterns::parse(&wanted.tables.join(",")) {
        Ok(patterns) => patterns,
        Err(error) => {
            tracing::warn!(signal = ?wanted.id, %error, "a blocking snapshot is ignored: its tables are no expressions");
            return Ok(None);
        }
    };
    let statement = |condition: &crate::signals::parse::Condition| {
        (condition.name.clone(), condition.filter.trim().trim_end_matches(';').to_owned())
    };
    let statements = wanted.conditions.iter().map(statement).collect();
    tracing::info!(signal = ?wanted.id, tables = ?wanted.tables, "blocking snapshot");
    let taken = taken(session, &patterns, statements, position).await;
    session.metrics.snapshot_ends(taken.is_ok());
    let error = match taken {
        Ok(position) => return Ok(position),
        Err(End::Failed(error)) => error,
        Err(End::Closed) => return Err(End::Closed),
    };
    session.notify("ABORTED", &[]);
    if error.kind().retriable() {
        return Err(error.into());
    }
    tracing::warn!(signal = ?wanted.id, %error, "the blocking snapshot failed: the stream goes on without it");
    Ok(None)
}

async fn taken(
    session: &mut Session,
    patterns: &Patterns,
    statements: Vec<(String, String)>,
    position: Position,
) -> Result<Option<Position>, End> {
    let mut sql = Wire::connect(&session.settings.server, Purpose::Sql)
        .await
        .map_err(|e| e.failed_to("open a session for a blocking snapshot"))?;
    see_all(session, &mut sql).await?;
    let position = snapshot::on_demand(session, &mut sql, patterns, statements, position).await?;
    sql.close(false).await;
    Ok(position)
}

/// Waits until the rows show what the stream has brought. The stream stands meanwhile, and what is still not seen may wait for it:
/// after a time it is done without.
async fn see_all(session: &mut Session, sql: &mut Wire) -> Result<(), End> {
    let until = Instant::now() + SEEN_WITHIN;
    while incremental::all_seen(session, sql).await?.is_none() {
        if Instant::now() >= until {
            tracing::warn!(
                "the blocking snapshot begins though transactions that the stream has brought are not seen yet, for instance because \
                 they wait for a synchronous standby: their rows may come once more as they were before"
            );
            break;
        }
    }
    Ok(())
}
