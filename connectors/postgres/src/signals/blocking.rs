//! Blocking snapshots: tables are read in a transaction of their own while the stream waits.
//!
//! No position is stored while it goes on: after a crash the signal that asked for it comes again.

use crate::filters::Patterns;
use crate::offset::Position;
use crate::session::{End, Session};
use crate::signals::parse::Snapshot;
use crate::snapshot;
use crate::wire::{Purpose, Wire};

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
    let position = snapshot::on_demand(session, &mut sql, patterns, statements, position).await?;
    sql.close(false).await;
    Ok(position)
}
