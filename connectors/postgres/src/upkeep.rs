//! What is asked of a source's server without a task: what it keeps for the source, where its log ends, which topics a
//! snapshot fills, and taking away what was made for the source.
//!
//! Every call has a session of its own and a bound in time.

use std::time::Duration;

use connect_api::{CleanUp, Error, ErrorKind, Result, Retention};
use tokio::time::Instant;

use crate::error::{PgError, forbidden, within};
use crate::settings::{PublicationMode, Settings, SnapshotMode};
use crate::slot::{self, lost_expression, may_replicate, parse_lsn};
use crate::table::topic_name;
use crate::wire::{Purpose, Row, Wire, literal};
use crate::{publication, snapshot, standby};

/// Longest time for one look at the server.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the slot may stay in use by a session that has just ended, as the server sees it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const RELEASE_EVERY: Duration = Duration::from_millis(200);

/// The place of the log's next record, and whether all before it is written out. A standby writes nothing of its own: there
/// it is the end of what was replayed.
const NEXT: &str = "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
const REPLAYED: &str = "SELECT pg_last_wal_replay_lsn(), true";

async fn connect(settings: &Settings) -> Result<Wire> {
    let server = &settings.server;
    Wire::connect(server, Purpose::Sql).await.map_err(|e| e.failed_to(&format!("connect to {}", server.address())))
}

async fn in_time<T>(settings: &Settings, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |limit| PgError::silent(&settings.server.address(), limit).failed_to(what);
    within(Some(LOOK_TIMEOUT), work, late).await
}

fn column(row: &Row, at: usize) -> Option<&str> {
    row.get(at).and_then(Option::as_deref)
}

/// What the server keeps for the slot. Nothing when the configuration does not stream: then there is no slot.
pub async fn retention(settings: &Settings) -> Result<Option<Retention>> {
    const WHAT: &str = "look what the server keeps for the slot";
    if !settings.streams() {
        return Ok(None);
    }
    in_time(settings, WHAT, async {
        let mut sql = connect(settings).await?;
        // Before Postgres 13 the log was kept without any limit.
        let (status, safe) =
            if sql.server_version >= 130_000 { ("wal_status", "safe_wal_size") } else { ("'reserved'", "NULL") };
        let lost = lost_expression(sql.server_version);
        let query = format!(
            "SELECT written, slot_name, {status}, {safe}, restart_lsn, {lost} \
             FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END \
             AS written) AS log \
             LEFT JOIN pg_catalog.pg_replication_slots ON slot_name = {}",
            literal(&settings.slot)
        );
        let rows = sql.query(&query).await.map_err(|e| e.failed_to(WHAT))?;
        let kept = read_retention(&settings.slot, rows.first());
        if kept.wal_status.is_none() && standby::is_standby(&mut sql).await.map_err(|e| e.failed_to(WHAT))? {
            return Err(standby::waits(&settings.server.only(sql.host())));
        }
        sql.close(false).await;
        Ok(Some(kept))
    })
    .await
}

fn read_retention(slot: &str, row: Option<&Row>) -> Retention {
    let Some(row) = row else { return Retention { slot: slot.to_owned(), ..Retention::default() } };
    let log_end = column(row, 0).and_then(parse_lsn);
    let exists = column(row, 1).is_some();
    let restart = column(row, 4).and_then(parse_lsn);
    let lost = column(row, 5) == Some("t") || restart.is_none();
    Retention {
        slot: slot.to_owned(),
        wal_status: exists
            .then(|| if lost { "lost".to_owned() } else { column(row, 2).unwrap_or("reserved").to_owned() }),
        retained_bytes: log_end.zip(restart).map(|(end, restart)| end.saturating_sub(restart)),
        // Below zero the log is over its budget, and goes with the next checkpoint.
        safe_wal_size: column(row, 3).and_then(|text| text.parse::<i64>().ok()).map(|size| size.max(0).cast_unsigned()),
        log_end,
    }
}

/// Where the log ends: everything that was committed before the call stands before this place, and a stream reaches it
/// without anything else being written.
pub async fn log_end(settings: &Settings) -> Result<Option<u64>> {
    const WHAT: &str = "ask where the log ends";
    if !settings.streams() {
        return Ok(None);
    }
    in_time(settings, WHAT, async {
        let mut sql = connect(settings).await?;
        let standby = standby::is_standby(&mut sql).await.map_err(|e| e.failed_to(WHAT))?;
        if standby {
            let slot = slot::state(&mut sql, &settings.slot).await.map_err(|e| e.failed_to(WHAT))?;
            standby::missing(slot.as_ref(), &settings.server.only(sql.host())).map_or(Ok(()), Err)?;
        }
        let rows = sql.query(if standby { REPLAYED } else { NEXT }).await.map_err(|e| e.failed_to(WHAT))?;
        let row = rows.first();
        let end = row.and_then(|row| column(row, 0)).and_then(parse_lsn);
        if row.and_then(|row| column(row, 1)) != Some("t") {
            // The last records are not written out yet, and on an idle server nothing would hurry that; nor would a stream
            // get past the header of a page. A transaction id makes a commit record behind them.
            sql.query("SELECT txid_current()").await.map_err(|e| e.failed_to(WHAT))?;
        }
        sql.close(false).await;
        Ok(end)
    })
    .await
}

/// The topics of the tables that a snapshot reads.
pub async fn topics(settings: &Settings) -> Result<Vec<String>> {
    let reads = match settings.snapshot_mode {
        SnapshotMode::NoData => false,
        SnapshotMode::ConfigurationBased => settings.configured.0,
        _ => true,
    };
    if !reads {
        return Ok(Vec::new());
    }
    in_time(settings, "list the tables", async {
        let mut sql = connect(settings).await?;
        let tables = snapshot::tables(settings, &mut sql).await?;
        sql.close(false).await;
        let mut topics: Vec<String> = tables.iter().map(|table| topic_name(&table.name, settings)).collect();
        topics.sort();
        topics.dedup();
        Ok(topics)
    })
    .await
}

/// Takes away what was made for the source of a connector: the slot, and with it the publication when that was not made by
/// somebody else.
pub async fn clean_up(settings: &Settings, what: CleanUp, connector: Option<&str>) -> Result<()> {
    if !settings.streams() {
        // It made neither, and others may have what has these names.
        return Ok(());
    }
    in_time(settings, "clean up", async {
        let mut sql = connect(settings).await?;
        drop_slot(&mut sql, settings).await?;
        if what == CleanUp::Everything && settings.publication_mode != PublicationMode::Disabled {
            publication::drop_own(&mut sql, settings, connector).await?;
        }
        sql.close(false).await;
        Ok(())
    })
    .await
}

async fn drop_slot(sql: &mut Wire, settings: &Settings) -> Result<()> {
    let name = &settings.slot;
    let what = format!("drop replication slot \"{name}\"");
    let failed = |e: PgError| forbidden(e, &what, || may_replicate(settings));
    let until = Instant::now() + RELEASE_TIMEOUT;
    loop {
        let state = slot::state(sql, name).await.map_err(failed)?;
        if standby::is_standby(sql).await.map_err(failed)?
            && let Some(waits) = standby::missing(state.as_ref(), &settings.server.only(sql.host()))
        {
            return Err(waits);
        }
        let Some(state) = state else { return Ok(()) };
        if let Err(error) = slot::check(&state, settings) {
            tracing::warn!(slot = %name, %error, "the slot is not this connector's: it stays");
            return Ok(());
        }
        match slot::drop_slot(sql, name).await {
            Ok(()) => {
                tracing::info!(slot = %name, "replication slot dropped");
                return Ok(());
            }
            // Dropped by somebody else meanwhile.
            Err(error) if error.sqlstate() == Some("42704") => return Ok(()),
            Err(error) if error.sqlstate() == Some("55006") => {
                if Instant::now() >= until {
                    return Err(held(sql, name, error).await);
                }
            }
            Err(error) => return Err(failed(error)),
        }
        tokio::time::sleep(RELEASE_EVERY).await;
    }
}

/// The slot stays in use: says by whom.
async fn held(sql: &mut Wire, name: &str, error: PgError) -> Error {
    let query = format!(
        "SELECT s.active_pid, a.usename, a.application_name, host(a.client_addr) \
         FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid \
         WHERE s.slot_name = {}",
        literal(name)
    );
    let rows = sql.query(&query).await.unwrap_or_default();
    let row = rows.first();
    let text = |at: usize| row.and_then(|row| column(row, at));
    let pid = text(0).unwrap_or("?");
    let (user, application, host) =
        (text(1).unwrap_or("?"), text(2).unwrap_or("?"), text(3).unwrap_or("the server's own machine"));
    Error::new(
        ErrorKind::Conflict,
        format!(
            "failed to drop replication slot \"{name}\": process {pid} (user \"{user}\", application \"{application}\", from \
             {host}) still reads it"
        ),
    )
    .hint(format!("stop what reads it, or SELECT pg_terminate_backend({pid}), then try again"))
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [Option<&str>; 6]) -> Row {
        cells.iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    #[test]
    fn what_the_server_keeps_is_read_without_inventing_anything() {
        let kept = read_retention(
            "s",
            Some(&row([Some("1/100"), Some("s"), Some("extended"), Some("-8"), Some("0/FFFFFF00"), Some("f")])),
        );
        assert_eq!(kept.wal_status.as_deref(), Some("extended"));
        assert_eq!((kept.retained_bytes, kept.safe_wal_size), (Some(0x200), Some(0)));
        assert_eq!(kept.log_end, Some(0x1_0000_0100));
        let unlimited =
            read_retention("s", Some(&row([Some("0/9"), Some("s"), Some("reserved"), None, Some("0/1"), Some("f")])));
        assert_eq!((unlimited.safe_wal_size, unlimited.is_lost()), (None, false));
    }

    #[test]
    fn a_slot_that_is_gone_or_given_up_is_lost() {
        let gone = read_retention("s", Some(&row([Some("0/9"), None, None, None, None, Some("f")])));
        assert_eq!((gone.wal_status.as_deref(), gone.log_end, gone.is_lost()), (None, Some(9), true));
        for (status, restart, lost) in
            [(Some("lost"), Some("0/1"), "t"), (Some("reserved"), Some("0/1"), "t"), (None, None, "f")]
        {
            let kept = read_retention("s", Some(&row([Some("0/9"), Some("s"), status, None, restart, Some(lost)])));
            assert_eq!(kept.wal_status.as_deref(), Some("lost"));
        }
    }
}
