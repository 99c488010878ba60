//! The replication slot: found, made, checked.

use connect_api::{Error, ErrorKind};

use crate::catalog::{self, Listed};
use crate::error::{PgError, forbidden};
use crate::settings::Settings;
use crate::wire::{Wire, identifier, literal};

/// What the server says about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotState {
    pub plugin: String,
    pub database: String,
    pub active: bool,
    /// The oldest place that the server keeps for it; `None` when it keeps nothing any more.
    pub restart_lsn: Option<u64>,
    pub confirmed_lsn: Option<u64>,
    /// The server says that it can't be used any more.
    pub lost: bool,
    /// It is kept on standbys as well (Postgres 17 and later).
    pub failover: bool,
    /// On a standby: it is a copy of the primary's slot, to be read after a promotion. Elsewhere this means nothing.
    pub synced: bool,
}

impl SlotState {
    /// True when nothing can be read from it any more.
    pub fn is_lost(&self) -> bool {
        !self.is_being_made() && (self.lost || self.restart_lsn.is_none())
    }

    /// True while a session is still making it: that waits for all transactions that are open, and the slot is gone when the
    /// session ends before. A worker that was killed meanwhile leaves one behind until the server notices.
    pub fn is_being_made(&self) -> bool {
        self.active && self.confirmed_lsn.is_none()
    }
}

/// The first version with slots that fail over.
pub const FAILOVER_SINCE: u32 = 170_000;

/// A slot that was made just now, with the snapshot that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub lsn: u64,
    pub snapshot: String,
}

/// Reads `16/B374D848`.
pub fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
    Some(u64::from(high) << 32 | u64::from(low))
}

/// Writes `16/B374D848`.
pub fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// Where the server's log ends that a stream can be sent of.
pub const WRITTEN: &str =
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";

/// An expression over `pg_replication_slots` that is true for a slot that can't be used any more.
pub fn lost_expression(server_version: u32) -> &'static str {
    match server_version {
        170_000.. => "coalesce(wal_status = 'lost' OR conflicting OR invalidation_reason IS NOT NULL, false)",
        160_000.. => "coalesce(wal_status = 'lost' OR conflicting, false)",
        130_000.. => "coalesce(wal_status = 'lost', false)",
        _ => "false",
    }
}

/// The slot of a name, if there is one.
pub async fn state(sql: &mut Wire, name: &str) -> Result<Option<SlotState>, PgError> {
    let lost = lost_expression(sql.server_version);
    let (synced, failover) =
        if sql.server_version >= FAILOVER_SINCE { ("synced", "failover") } else { ("false", "false") };
    let rows = sql
        .query(&format!(
            "SELECT plugin, database, active, restart_lsn, confirmed_flush_lsn, {lost}, {synced}, {failover} \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            literal(name)
        ))
        .await?;
    Ok(rows.first().map(|row| {
        let text = |at: usize| row.get(at).cloned().flatten();
        SlotState {
            plugin: text(0).unwrap_or_default(),
            database: text(1).unwrap_or_default(),
            active: text(2).as_deref() == Some("t"),
            restart_lsn: text(3).as_deref().and_then(parse_lsn),
            confirmed_lsn: text(4).as_deref().and_then(parse_lsn),
            lost: text(5).as_deref() == Some("t"),
            synced: text(6).as_deref() == Some("t"),
            failover: text(7).as_deref() == Some("t"),
        }
    }))
}

/// Refuses a slot that belongs to something else.
pub fn check(state: &SlotState, settings: &Settings) -> Result<(), Error> {
    let name = &settings.slot;
    if state.plugin != "pgoutput" || state.database != settings.server.database {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "replication slot \"{name}\" already exists for database \"{}\" with plugin \"{}\"; this connector needs \
                 one for \"{}\" with \"pgoutput\"",
                state.database, state.plugin, settings.server.database
            ),
        )
        .class("io.debezium.DebeziumException")
        .hint("give this connector a slot.name of its own"));
    }
    Ok(())
}

/// Makes the slot on a replication session, whose next command ends the exported snapshot.
pub async fn create(replication: &mut Wire, settings: &Settings) -> Result<Created, Error> {
    let name = identifier(&settings.slot);
    let options = if replication.server_version >= 150_000 {
        let can = replication.server_version >= FAILOVER_SINCE;
        if settings.slot_failover && !can {
            tracing::warn!(slot = %settings.slot, "slot.failover needs Postgres 17 or later: the slot is made without it");
        }
        let failover = if settings.slot_failover && can { ", FAILOVER" } else { "" };
        format!("(SNAPSHOT 'export'{failover})")
    } else {
        "EXPORT_SNAPSHOT".to_owned()
    };
    let rows = replication
        .query(&format!("CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput {options}"))
        .await
        .map_err(|e| forbidden(e, &format!("create replication slot {name}"), || may_replicate(settings)))?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at).cloned().flatten()).unwrap_or_default();
    let lsn =
        parse_lsn(&text(1)).ok_or_else(|| Error::connect("the server made a slot without saying where it stands"))?;
    tracing::info!(slot = %settings.slot, lsn = %lsn_text(lsn), "replication slot created");
    Ok(Created { lsn, snapshot: text(2) })
}

/// Lets standbys keep a slot that nobody reads at the moment.
pub async fn let_fail_over(replication: &mut Wire, name: &str) -> Result<(), PgError> {
    replication.query(&format!("ALTER_REPLICATION_SLOT {} (FAILOVER true)", identifier(name))).await?;
    Ok(())
}

/// Drops the slot, when it is there.
pub async fn drop_slot(sql: &mut Wire, name: &str) -> Result<(), PgError> {
    let name = literal(name);
    sql.query(&format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"
    ))
    .await?;
    Ok(())
}

/// The tables that are captured, in order of their names.
pub async fn captured(sql: &mut Wire, settings: &Settings) -> Result<Vec<Listed>, Error> {
    let mut tables = catalog::tables(sql).await.map_err(|e| e.failed_to("list the tables"))?;
    tables.retain(|table| settings.filters.table(&table.name.schema, &table.name.table));
    Ok(tables)
}

/// How to let the role open the stream.
pub fn may_replicate(settings: &Settings) -> String {
    let role = identifier(&settings.server.user);
    format!("ALTER ROLE {role} REPLICATION; on hosted servers grant their own role for it, such as rds_replication")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_being_made_is_neither_usable_nor_lost() {
        let state = |active, restart_lsn, confirmed_lsn| SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active,
            restart_lsn,
            confirmed_lsn,
            lost: false,
            synced: false,
            failover: false,
        };
        let made = |active, restart, confirmed| {
            let state = state(active, restart, confirmed);
            (state.is_being_made(), state.is_lost())
        };
        assert_eq!(made(true, Some(1), None), (true, false));
        assert_eq!(made(true, None, None), (true, false));
        assert_eq!(made(true, Some(1), Some(2)), (false, false));
        assert_eq!(made(false, None, Some(2)), (false, true));
    }

    #[test]
    fn positions_have_a_text_form() {
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(lsn_text(0x16_B374_D848), "16/B374D848");
        assert_eq!(parse_lsn("x"), None);
    }
}
