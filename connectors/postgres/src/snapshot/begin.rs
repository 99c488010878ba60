//! What comes before the rows of a snapshot: its transaction, its locks and its place; and what keeps rows from being read.

use std::time::Duration;

use connect_api::{Error, ErrorKind};

use crate::catalog::{Listed, TableMeta, TableName};
use crate::error::{PgError, forbidden};
use crate::filters::Filter;
use crate::session::{End, Session};
use crate::settings::{Isolation, Locking, Settings};
use crate::slot::{Created, parse_lsn};
use crate::table::Table;
use crate::types::Types;
use crate::visible::Visible;
use crate::wire::{Wire, identifier, literal};

/// Every statement of such a transaction sees the same.
pub(super) const REPEATABLE: &str = "REPEATABLE READ";

pub(super) fn level(session: &Session, created: Option<&Created>) -> &'static str {
    match (created, session.settings.snapshot_isolation) {
        (None, Isolation::ReadCommitted | Isolation::ReadUncommitted) => "READ COMMITTED",
        // A transaction that only reads sees the same under both of the stricter levels.
        _ => REPEATABLE,
    }
}

/// Begins the snapshot's transaction. Gives the place that a standby had come to before, and with it what the snapshot surely sees:
/// there, ids say nothing of which transactions are seen.
pub(super) async fn begin(
    session: &Session,
    sql: &mut Wire,
    created: Option<&Created>,
) -> Result<Option<u64>, PgError> {
    let rows = sql.query("SELECT pg_last_wal_replay_lsn() WHERE pg_is_in_recovery()").await?;
    let replayed = rows.first().and_then(|row| parse_lsn(row.first()?.as_deref()?));
    begin_in(sql, level(session, created), created.map(|created| &*created.snapshot)).await?;
    Ok(replayed)
}

/// Begins a transaction that sees what an exported snapshot sees, where there is one.
pub(super) async fn begin_in(sql: &mut Wire, level: &str, exported: Option<&str>) -> Result<(), PgError> {
    // The rows are sent as fast as they can be: no statement of a snapshot may run into a limit meant for others.
    sql.query("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").await?;
    sql.query(&format!("BEGIN TRANSACTION ISOLATION LEVEL {level}")).await?;
    if let Some(exported) = exported {
        sql.query(&format!("SET TRANSACTION SNAPSHOT {}", literal(exported))).await?;
    }
    Ok(())
}

/// With `snapshot.locking.mode=shared`: keeps the tables as they are until the snapshot ends. Their rows may change.
pub(super) async fn lock(session: &Session, sql: &mut Wire, tables: &[Listed]) -> Result<(), End> {
    let Locking::Shared(limit) = &session.settings.locking else { return Ok(()) };
    if tables.is_empty() {
        return Ok(());
    }
    tracing::info!(source = %session.settings.prefix, "Waiting a maximum of '{}' seconds for each table lock", limit.as_secs());
    let mut statements = format!("SET LOCAL lock_timeout = {}", limit.as_millis());
    for table in tables {
        let (schema, name) = (identifier(&table.name.schema), identifier(&table.name.table));
        statements.push_str(&format!("; LOCK TABLE {schema}.{name} IN ACCESS SHARE MODE"));
    }
    // The rows are read without such a limit.
    statements.push_str("; SET LOCAL lock_timeout = DEFAULT");
    tokio::select! {
        biased;
        () = session.cancel.cancelled() => Err(End::Closed),
        locked = sql.query(&statements) => locked.map(|_| ()).map_err(|e| unlocked(e, *limit).into()),
    }
}

/// Why the tables were not locked. The reference does not try again; beneath, it is what passes when others let go.
fn unlocked(error: PgError, limit: Duration) -> Error {
    let what = "lock the tables of the snapshot";
    if error.sqlstate() != Some("55P03") {
        return error.failed_to(what);
    }
    Error::new(ErrorKind::Config, format!("failed to {what} within {limit:?} each: {error}"))
        .class("io.debezium.DebeziumException")
        .hint("look in pg_locks for who holds them, raise snapshot.lock.timeout.ms, or set snapshot.locking.mode=none")
        .caused_by(error.failed_to(what))
}

/// The log position and the transaction id that the snapshot's records show, and what the snapshot sees. `replayed` is what
/// [`begin`] gave.
pub(super) async fn place(
    sql: &mut Wire,
    created: Option<&Created>,
    replayed: Option<u64>,
) -> Result<(u64, i64, Visible), PgError> {
    let rows = sql
        .query(
            "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END, \
             CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END, txid_current_snapshot()",
        )
        .await?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at).cloned().flatten()).unwrap_or_default();
    let lsn = created.map(|created| created.lsn).or(replayed).or_else(|| parse_lsn(&text(0))).unwrap_or(0);
    let visible = Visible::parse(&text(2)).ok_or_else(|| PgError::Protocol(format!("{} as a snapshot", text(2))))?;
    Ok((lsn, text(1).parse().unwrap_or(0), visible))
}

/// Refuses what can't be read, before anything is delivered: the reference fails at the first row of such a table.
pub(super) async fn readable(
    settings: &Settings,
    sql: &mut Wire,
    metas: &[TableMeta],
    types: &Types,
) -> Result<(), Error> {
    if matches!(settings.filters.columns, Filter::All) {
        return Ok(());
    }
    for meta in metas {
        let Err(refused) = Table::from_catalog(meta, types, settings).unreadable() else { continue };
        let (schema, table) = (identifier(&meta.name.schema), identifier(&meta.name.table));
        let rows = sql.query(&format!("SELECT 1 FROM {schema}.{table} LIMIT 1")).await;
        if !rows.map_err(|e| e.failed_to(&format!("snapshot table {}", meta.name)))?.is_empty() {
            return Err(refused);
        }
    }
    Ok(())
}

/// Why a table can't be read, and what to do.
pub(super) fn failure(error: PgError, table: &TableName, role: &str, connector: &str) -> Error {
    let what = format!("snapshot table {table}");
    if error.sqlstate() == Some("42P01") {
        return Error::new(
            ErrorKind::NotFound,
            format!("failed to {what}: it was dropped after the snapshot began ({error})"),
        )
        .class("org.apache.kafka.connect.errors.ConnectException")
        .hint(format!(
            "take it out of table.include.list or create it again, then PUT /jobs/{connector}/retry: the snapshot begins anew \
             with the tables that are there"
        ))
        .caused_by(error);
    }
    let (schema, name, role) = (identifier(&table.schema), identifier(&table.table), identifier(role));
    forbidden(error, &what, || {
        format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {schema}.{name} TO {role}; then PUT \
             /jobs/{connector}/retry"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DbError;

    fn refused(sqlstate: &str) -> Error {
        let error = PgError::Db(DbError { sqlstate: sqlstate.to_owned(), ..DbError::default() });
        let table = TableName { schema: "public".to_owned(), table: "orders".to_owned() };
        failure(error, &table, "ann", "shop")
    }

    #[test]
    fn a_lock_that_others_hold_fails_the_task_and_is_known_to_pass() {
        let busy = PgError::Db(DbError { sqlstate: "55P03".to_owned(), ..DbError::default() });
        let error = unlocked(busy, Duration::from_secs(10));
        assert!(!error.kind().retriable());
        assert_eq!(error.root().kind(), ErrorKind::Conflict);
        assert!(error.message().starts_with("failed to lock the tables of the snapshot within 10s each"), "{error}");
    }

    #[test]
    fn a_table_that_is_gone_or_closed_is_named_with_the_remedy() {
        let gone = refused("42P01");
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(gone.message().starts_with("failed to snapshot table public.orders: it was dropped"), "{gone}");
        assert!(gone.remedy().is_some_and(|text| text.contains("PUT /jobs/shop/retry")));
        let closed = refused("42501");
        assert_eq!(closed.kind(), ErrorKind::Forbidden);
        let grants = "GRANT USAGE ON SCHEMA \"public\" TO \"ann\"; GRANT SELECT ON \"public\".\"orders\" TO \"ann\";";
        assert!(closed.remedy().is_some_and(|text| text.starts_with(grants)), "{:?}", closed.remedy());
        assert!(refused("57P01").kind().retriable());
    }
}
