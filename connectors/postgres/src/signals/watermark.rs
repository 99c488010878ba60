//! The watermarks of a chunk: rows that are written to the signal table before and after it is read, or, where nothing may be
//! written, the place in the server's log after it was read.

use std::time::Duration;

use crate::error::{PgError, within};
use crate::event::now_us;
use crate::signals::settings::{SignalSettings, Watermarks};
use crate::slot::parse_lsn;
use crate::times::iso_timestamp;
use crate::wire::{Wire, identifier, literal};

/// When a window was opened: part of what closes it.
pub type Opened = String;

fn now() -> String {
    // Java writes fractions of a second in groups of three digits.
    let us = now_us();
    let digits = match us.rem_euclid(1_000_000) {
        0 => 0,
        us if us % 1000 == 0 => 3,
        _ => 6,
    };
    iso_timestamp(us.into(), digits)
}

fn table(settings: &SignalSettings) -> String {
    let name = settings.table.as_ref().map(|name| format!("{}.{}", identifier(&name.schema), identifier(&name.table)));
    name.unwrap_or_default()
}

fn insert(settings: &SignalSettings, id: &str, kind: &str, data: &str) -> String {
    format!("INSERT INTO {} VALUES ({}, {}, {})", table(settings), literal(id), literal(kind), literal(data))
}

/// A statement that waits for a lock no longer than the limit; what gives up here has to end at the server, too.
fn limited(statement: &str, limit: Option<Duration>) -> String {
    match limit {
        Some(limit) => format!("SET LOCAL lock_timeout = {}; {statement}", limit.as_millis().max(1)),
        None => statement.to_owned(),
    }
}

/// Before the chunk is read. `limit` is how long the server may take.
pub async fn open(
    sql: &mut Wire,
    settings: &SignalSettings,
    chunk: &str,
    limit: Option<Duration>,
) -> Result<Opened, PgError> {
    within(limit, write_open(sql, settings, chunk, limit), late).await
}

fn late(limit: Duration) -> PgError {
    PgError::Timeout(format!("no answer to a watermark within {limit:?}"))
}

async fn write_open(
    sql: &mut Wire,
    settings: &SignalSettings,
    chunk: &str,
    limit: Option<Duration>,
) -> Result<Opened, PgError> {
    let opened = now();
    if settings.watermarks != Watermarks::ReadOnly {
        let data = format!("{{\"openWindowTimestamp\": \"{opened}\"}}");
        let statement = insert(settings, &format!("{chunk}-open"), "snapshot-window-open", &data);
        sql.query(&limited(&statement, limit)).await?;
    }
    Ok(opened)
}

/// After the chunk was read. Without signals: the place that the stream has to pass.
pub async fn close(
    sql: &mut Wire,
    settings: &SignalSettings,
    chunk: &str,
    opened: Opened,
    limit: Option<Duration>,
) -> Result<Option<u64>, PgError> {
    within(limit, write_close(sql, settings, chunk, opened, limit), late).await
}

async fn write_close(
    sql: &mut Wire,
    settings: &SignalSettings,
    chunk: &str,
    opened: Opened,
    limit: Option<Duration>,
) -> Result<Option<u64>, PgError> {
    match settings.watermarks {
        Watermarks::InsertInsert => {
            let data = format!("{{\"openWindowTimestamp\": \"{opened}\", \"closeWindowTimestamp\": \"{}\"}}", now());
            let statement = insert(settings, &format!("{chunk}-close"), "snapshot-window-close", &data);
            sql.query(&limited(&statement, limit)).await?;
            Ok(None)
        }
        Watermarks::InsertDelete => {
            let id = literal(&format!("{chunk}-open"));
            let statement = format!("DELETE FROM {} WHERE id = {id}", table(settings));
            sql.query(&limited(&statement, limit)).await?;
            Ok(None)
        }
        Watermarks::ReadOnly => place(sql).await.map(Some),
    }
}

/// A place behind all that the chunk has seen, which a stream gets to without anything else being written.
async fn place(sql: &mut Wire) -> Result<u64, PgError> {
    let rows = sql.query("SELECT pg_is_in_recovery()").await?;
    let text = |rows: &[crate::wire::Row], at: usize| {
        rows.first().and_then(|row| row.get(at).cloned().flatten()).unwrap_or_default()
    };
    let standby = text(&rows, 0) == "t";
    let query = if standby {
        "SELECT pg_last_wal_replay_lsn(), true"
    } else {
        "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
    };
    let rows = sql.query(query).await?;
    let place =
        parse_lsn(&text(&rows, 0)).ok_or_else(|| PgError::Protocol(format!("{rows:?} as a place in the log")))?;
    if text(&rows, 1) != "t" {
        // The last records are not written out yet, and on an idle server nothing would hurry that. A transaction id makes a
        // commit record behind them.
        sql.query("SELECT txid_current()").await?;
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_groups_of_three_digits() {
        let now = now();
        let fraction = now.trim_end_matches('Z').split_once('.').map_or(0, |(_, digits)| digits.len());
        assert!(now.ends_with('Z') && matches!(fraction, 0 | 3 | 6), "{now}");
    }
}
