//! The consistent snapshot: every captured table by COPY, in one transaction that sees what the slot's begin saw.
//!
//! The marker of a record depends on whether another one follows, so one row is always held back.

mod readers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind, Phase, Progress, TableProgress, Value};
use tokio::time::MissedTickBehavior;

use crate::catalog::{self, Listed, TableMeta, TableName};
use crate::copy;
use crate::error::{DbError, PgError, forbidden, within};
use crate::event::{Marker, Source, now_us};
use crate::filters::{Filter, Patterns};
use crate::left_out::leave_out;
use crate::offset::{Position, SnapshotMark};
use crate::session::{End, Session};
use crate::settings::{Isolation, Locking, RowCountOrder, Settings};
use crate::slot::{self, Created, parse_lsn};
use crate::snapshot::readers::{Job, Readers};
use crate::table::Table;
use crate::types::Types;
use crate::visible::Visible;
use crate::wire::{Wire, identifier, literal};

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// The row that waits for its successor.
struct Held {
    table: Arc<Table>,
    row: Vec<Value>,
    first_of_table: bool,
    first_table: bool,
}

/// A running snapshot.
struct Snapshot<'a> {
    session: &'a mut Session,
    position: Position,
    held: Option<Held>,
    progress: Progress,
    reported: Instant,
    statements: Vec<(String, String)>,
    stored: bool,
    /// It is stored that the snapshot was begun.
    announced: bool,
    /// The names of the captured tables, and of those that are read, for notifications.
    captured: String,
    read: String,
}

/// Reads all captured tables. Gives the position after it, `None` when there was no row, and what the snapshot saw: no
/// transaction that it saw ends after the place given with that.
pub async fn run(
    session: &mut Session,
    sql: &mut Wire,
    created: Option<&Created>,
) -> Result<(Option<Position>, (Visible, u64)), End> {
    session.notify("STARTED", &[]);
    begin(session, sql, created).await.map_err(|e| e.failed_to("begin the snapshot"))?;
    let (lsn, tx_id, visible) = place(sql, created).await.map_err(|e| e.failed_to("find the snapshot's place"))?;
    let position = Position {
        lsn: Some(lsn),
        tx_id: Some(tx_id),
        ts_us: Some(now_us()),
        snapshot: Some(SnapshotMark::default()),
        ..Position::default()
    };
    let settings = Arc::clone(&session.settings);
    let chosen = chosen(&settings, sql).await?;
    let level = level(session, created);
    let task = Task { chosen, statements: settings.snapshot_overrides.clone(), stored: true, level };
    let position = read(session, sql, task, position).await?;
    Ok((position, (visible, lsn)))
}

/// Reads the tables that fit, while the stream stands at a position. Records say that place; it is not stored meanwhile. Gives
/// the position after it, `None` when there was no row.
pub async fn on_demand(
    session: &mut Session,
    sql: &mut Wire,
    tables: &Patterns,
    statements: Vec<(String, String)>,
    position: Position,
) -> Result<Option<Position>, End> {
    session.notify("STARTED", &[]);
    let settings = Arc::clone(&session.settings);
    let late = |limit| PgError::silent(&settings.server.address(), limit).failed_to("begin the snapshot");
    let prepared = async {
        begin(session, sql, None).await.map_err(|e| e.failed_to("begin the snapshot"))?;
        let place = place(sql, None).await.map_err(|e| e.failed_to("find the snapshot's place"))?;
        Ok((place, slot::captured(sql, &settings).await?))
    };
    // The stream waits meanwhile: it must not wait for a server that does not answer.
    let ((lsn, tx_id, _), mut chosen) = within(settings.silence, prepared, late).await?;
    let position = Position {
        lsn: position.lsn.or(Some(lsn)),
        tx_id: position.tx_id.or(Some(tx_id)),
        snapshot: Some(SnapshotMark { blocking: true, ..SnapshotMark::default() }),
        ..position
    };
    chosen.retain(|table| tables.matches(&table.name.to_string()));
    in_order(&session.settings, &mut chosen);
    let level = level(session, None);
    read(session, sql, Task { chosen, statements, stored: false, level }, position).await
}

/// What is to be read.
struct Task {
    /// The tables in order, the signal table among them.
    chosen: Vec<Listed>,
    /// Statements that give the rows of a table instead of all of them.
    statements: Vec<(String, String)>,
    /// Positions are stored on the way.
    stored: bool,
    /// The isolation of the transaction.
    level: &'static str,
}

/// Reads all rows of all tables, and ends the transaction. Gives the position after it, `None` when there was no row.
async fn read(session: &mut Session, sql: &mut Wire, task: Task, position: Position) -> Result<Option<Position>, End> {
    lock(session, sql, &task.chosen).await?;
    let captured = names(&task.chosen);
    let tables = without_signals(&session.settings, task.chosen);
    let lsn = position.lsn.unwrap_or(0);
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let metas = catalog::describe(sql, &oids).await.map_err(|e| e.failed_to("read the columns"))?;
    let wanted = metas.iter().flat_map(|meta| &meta.columns).map(|column| column.type_oid);
    let types = catalog::types(sql, wanted).await.map_err(|e| e.failed_to("read the types"))?;
    readable(&session.settings, sql, &metas, &types).await?;
    tracing::info!(source = %session.settings.prefix, tables = tables.len(), lsn = %slot::lsn_text(lsn), "snapshot begins");
    session.metrics.snapshot_begins(tables.iter().map(|table| table.name.to_string()));
    let progress = Progress {
        phase: Phase::Snapshot,
        tables: tables
            .iter()
            .map(|table| TableProgress {
                table: table.name.to_string(),
                rows_estimated: table.rows,
                ..TableProgress::default()
            })
            .collect(),
        position: Some(slot::lsn_text(lsn)),
        stream: None,
    };
    (session.report)(progress.clone());
    let read = names(&tables);
    let mut snapshot = Snapshot {
        session,
        position,
        held: None,
        progress,
        reported: Instant::now(),
        statements: task.statements,
        stored: task.stored,
        announced: false,
        captured,
        read,
    };
    let found = |listed: &Listed| metas.iter().find(|meta| meta.oid == listed.oid);
    let threads = snapshot.session.settings.snapshot_threads.min(tables.len());
    if threads > 1 {
        let places = tables.iter().enumerate().filter_map(|(index, listed)| Some((index, found(listed)?)));
        let jobs = places.map(|(index, meta)| snapshot.job(index, meta, &types)).collect();
        snapshot.side_by_side(sql, jobs, threads, task.level).await?;
    } else {
        for (index, listed) in tables.iter().enumerate() {
            let Some(meta) = found(listed) else { continue };
            let name = listed.name.to_string();
            snapshot.notify_begun(&name);
            let rows = snapshot.table(sql, index, meta, &types).await?;
            snapshot.notify_done(&name, rows);
        }
    }
    let position = snapshot.finish().await?;
    sql.query("COMMIT").await.map_err(|e| e.failed_to("end the snapshot"))?;
    Ok(position)
}

fn names(tables: &[Listed]) -> String {
    tables.iter().map(|table| table.name.to_string()).collect::<Vec<_>>().join(",")
}

/// Rows of the signal table are no data.
fn without_signals(settings: &Settings, mut tables: Vec<Listed>) -> Vec<Listed> {
    tables.retain(|table| !settings.filters.signals(&table.name.schema, &table.name.table));
    tables
}

const REPEATABLE: &str = "REPEATABLE READ";

fn level(session: &Session, created: Option<&Created>) -> &'static str {
    match (created, session.settings.snapshot_isolation) {
        (None, Isolation::ReadCommitted | Isolation::ReadUncommitted) => "READ COMMITTED",
        // A transaction that only reads sees the same under both of the stricter levels.
        _ => REPEATABLE,
    }
}

async fn begin(session: &Session, sql: &mut Wire, created: Option<&Created>) -> Result<(), PgError> {
    begin_in(sql, level(session, created), created.map(|created| &*created.snapshot)).await
}

/// Begins a transaction that sees what an exported snapshot sees, where there is one.
async fn begin_in(sql: &mut Wire, level: &str, exported: Option<&str>) -> Result<(), PgError> {
    // The rows are sent as fast as they can be: no statement of a snapshot may run into a limit meant for others.
    sql.query("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").await?;
    sql.query(&format!("BEGIN TRANSACTION ISOLATION LEVEL {level}")).await?;
    if let Some(exported) = exported {
        sql.query(&format!("SET TRANSACTION SNAPSHOT {}", literal(exported))).await?;
    }
    Ok(())
}

/// With `snapshot.locking.mode=shared`: keeps the tables as they are until the snapshot ends. Their rows may change.
async fn lock(session: &Session, sql: &mut Wire, tables: &[Listed]) -> Result<(), End> {
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

/// The log position and the transaction id that the snapshot's records show, and what the snapshot sees.
async fn place(sql: &mut Wire, created: Option<&Created>) -> Result<(u64, i64, Visible), PgError> {
    let rows = sql
        .query(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
             CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END, txid_current_snapshot()",
        )
        .await?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at).cloned().flatten()).unwrap_or_default();
    let lsn = created.map(|created| created.lsn).or_else(|| parse_lsn(&text(0))).unwrap_or(0);
    let visible = Visible::parse(&text(2)).ok_or_else(|| PgError::Protocol(format!("{} as a snapshot", text(2))))?;
    Ok((lsn, text(1).parse().unwrap_or(0), visible))
}

/// Refuses what can't be read, before anything is delivered: the reference fails at the first row of such a table.
async fn readable(settings: &Settings, sql: &mut Wire, metas: &[TableMeta], types: &Types) -> Result<(), Error> {
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

/// The tables to read, in order.
pub async fn tables(settings: &Settings, sql: &mut Wire) -> Result<Vec<Listed>, Error> {
    Ok(without_signals(settings, chosen(settings, sql).await?))
}

/// The tables of the settings, in order, the signal table among them.
async fn chosen(settings: &Settings, sql: &mut Wire) -> Result<Vec<Listed>, Error> {
    let mut tables = slot::captured(sql, settings).await?;
    if let Some(include) = &settings.snapshot_include {
        tables.retain(|table| include.matches(&table.name.to_string()));
    }
    in_order(settings, &mut tables);
    Ok(tables)
}

fn in_order(settings: &Settings, tables: &mut [Listed]) {
    tables.sort_by_key(|table| settings.filters.table_place(&table.name.schema, &table.name.table));
    match settings.snapshot_order {
        RowCountOrder::Disabled => {}
        RowCountOrder::Ascending => tables.sort_by_key(|table| table.rows.unwrap_or(0)),
        RowCountOrder::Descending => tables.sort_by_key(|table| std::cmp::Reverse(table.rows.unwrap_or(0))),
    }
}

impl Snapshot<'_> {
    fn notify_begun(&mut self, name: &str) {
        let progress = [("data_collections", self.read.clone()), ("current_collection_in_progress", name.to_owned())];
        self.session.notify("IN_PROGRESS", &progress);
    }

    fn notify_done(&mut self, name: &str, rows: u64) {
        let done = [
            ("data_collections", self.captured.clone()),
            ("scanned_collection", name.to_owned()),
            ("total_rows_scanned", rows.to_string()),
            ("status", "SUCCEEDED".to_owned()),
        ];
        self.session.notify("TABLE_SCAN_COMPLETED", &done);
    }

    /// How a table is read.
    fn job(&self, index: usize, meta: &TableMeta, types: &Types) -> Job {
        let table = Arc::new(Table::from_catalog(meta, types, &self.session.settings));
        let name = meta.name.to_string();
        let override_sql = self.statements.iter().find(|(table, _)| table.eq_ignore_ascii_case(&name));
        let columns: Vec<String> = table.snapshot_columns().map(identifier).collect();
        let columns = columns.join(", ");
        let from = match override_sql {
            Some((_, statement)) => format!("({statement}) AS overridden"),
            None => format!("{}.{}", identifier(&meta.name.schema), identifier(&meta.name.table)),
        };
        let statement = format!("COPY (SELECT {columns} FROM {from}) TO STDOUT");
        Job { index, name: meta.name.clone(), table, statement }
    }

    /// Reads all tables, some of them at a time.
    async fn side_by_side(
        &mut self,
        sql: &mut Wire,
        jobs: Vec<Job>,
        threads: usize,
        level: &'static str,
    ) -> Result<(), End> {
        let (settings, connector) = (Arc::clone(&self.session.settings), Arc::clone(&self.session.connector));
        let mut readers = Readers::new(settings, connector, level, jobs);
        if level == REPEATABLE {
            let rows = sql.query("SELECT pg_catalog.pg_export_snapshot()").await;
            let rows = rows.map_err(|e| e.failed_to("share the snapshot among sessions"))?;
            readers.exported = rows.first().and_then(|row| row.first().cloned().flatten());
        }
        let readers = Arc::new(readers);
        let (_running, mut parts) = readers.start(threads);
        // Of each table, the row that waits for its successor, and how many there were.
        let mut waiting: Vec<(Option<Held>, u64)> = readers.jobs.iter().map(|_| (None, 0)).collect();
        let mut begun = vec![false; readers.jobs.len()];
        loop {
            let part = tokio::select! {
                biased;
                () = self.session.cancel.cancelled() => return Err(End::Closed),
                part = parts.recv() => part,
            };
            let Some(part) = part.transpose()? else { break };
            let (at, job) = (part.job, &readers.jobs[part.job]);
            if !std::mem::replace(&mut begun[at], true) {
                self.notify_begun(&job.name.to_string());
            }
            self.session.outlet.count_bytes(part.bytes);
            let (held, rows) = &mut waiting[at];
            for row in part.rows {
                let table = Arc::clone(&job.table);
                let next = Held { table, row, first_of_table: *rows == 0, first_table: job.index == 0 };
                *rows += 1;
                match held.replace(next) {
                    Some(before) => self.release(before, false).await?,
                    None => self.announce().await?,
                }
            }
            self.report(job.index, *rows, part.done);
            if part.done {
                // The last row of all is known when no table is left.
                if let Some(last) = held.take()
                    && let Some(before) = self.held.replace(last)
                {
                    self.release(before, true).await?;
                }
                tracing::info!(source = %readers.settings.prefix, table = %job.name, rows, "table read");
                self.notify_done(&job.name.to_string(), *rows);
            }
        }
        Ok(())
    }

    /// Reads a table; gives the number of its rows.
    async fn table(&mut self, sql: &mut Wire, index: usize, meta: &TableMeta, types: &Types) -> Result<u64, End> {
        let settings = Arc::clone(&self.session.settings);
        let Job { table, statement, .. } = self.job(index, meta, types);
        let name = meta.name.to_string();
        let connector = Arc::clone(&self.session.connector);
        let failed = |e: PgError| failure(e, &meta.name, &settings.server.user, &connector);
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rows = 0_u64;
        {
            // A lock on the table may keep it waiting.
            let mut starting = std::pin::pin!(sql.start_copy(&statement));
            loop {
                tokio::select! {
                    biased;
                    () = self.session.cancel.cancelled() => return Err(End::Closed),
                    started = &mut starting => break started.map_err(failed)?,
                    _ = ticks.tick() => self.report(index, rows, false),
                }
            }
        }
        let mut cells = Vec::new();
        loop {
            let Some(frame) = sql.buffered_frame().map_err(failed)? else {
                tokio::select! {
                    biased;
                    () = self.session.cancel.cancelled() => return Err(End::Closed),
                    filled = sql.fill() => filled.map_err(failed)?,
                    _ = ticks.tick() => self.report(index, rows, false),
                }
                continue;
            };
            match frame.tag {
                b'd' => {
                    self.session.outlet.count_bytes(frame.body.len());
                    copy::split(&frame.body, &mut cells);
                    let row = match table.copied_row(&frame.body, &cells) {
                        Ok(row) => row,
                        Err(error) => {
                            leave_out(settings.event_failure, error, &settings.prefix, &name)?;
                            continue;
                        }
                    };
                    let held =
                        Held { table: Arc::clone(&table), row, first_of_table: rows == 0, first_table: index == 0 };
                    rows += 1;
                    self.push(held).await?;
                    if rows.is_multiple_of(1024) {
                        self.report(index, rows, false);
                    }
                }
                b'c' => {
                    sql.finish_query().await.map_err(failed)?;
                    break;
                }
                b'E' => {
                    let error = PgError::Db(DbError::parse(&frame.body));
                    return Err(failed(error).into());
                }
                _ => {}
            }
        }
        self.report(index, rows, true);
        tracing::info!(source = %settings.prefix, table = %name, rows, "table read");
        Ok(rows)
    }

    /// Holds a row back and releases the one before it, whose marker is certain now.
    async fn push(&mut self, next: Held) -> Result<(), End> {
        let starts_table = next.first_of_table;
        let Some(held) = self.held.replace(next) else {
            return self.announce().await;
        };
        self.release(held, starts_table).await
    }

    /// That a snapshot was begun is stored ahead of its first row: a run after a crash has to know of it.
    async fn announce(&mut self) -> Result<(), End> {
        if std::mem::replace(&mut self.announced, true) || !self.stored {
            return Ok(());
        }
        self.flush().await
    }

    /// Releases a row that is, or is not, the last one of its table.
    async fn release(&mut self, held: Held, last_of_table: bool) -> Result<(), End> {
        let marker = match (held.first_of_table, held.first_table, last_of_table) {
            (true, true, _) => Marker::First,
            (_, _, true) => Marker::LastInTable,
            (true, false, false) => Marker::FirstInTable,
            (false, _, false) => Marker::Inner,
        };
        self.emit(held, marker);
        if self.session.outlet.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.stored {
            self.session.outlet.mark(self.position);
        }
        self.session.outlet.flush(&self.session.cancel).await?;
        Ok(())
    }

    fn emit(&mut self, held: Held, marker: Marker) {
        let ts_us = now_us();
        let source = Source {
            marker,
            lsn: self.position.lsn.unwrap_or(0),
            last_commit: self.position.lsn_commit,
            tx_id: self.position.tx_id,
            ts_us,
            xmin: None,
        };
        self.position.ts_us = Some(ts_us);
        let record = self.session.events.read(&held.table, held.row, &source);
        self.session.outlet.records().push(record);
    }

    /// Releases the last row, with the position that says that the snapshot is complete.
    async fn finish(mut self) -> Result<Option<Position>, End> {
        let last = self.held.take();
        let some = last.is_some();
        if let Some(held) = last {
            self.emit(held, Marker::Last);
            self.position.snapshot = self.position.snapshot.map(|mark| SnapshotMark { completed: true, ..mark });
        }
        self.session.notify("COMPLETED", &[]);
        if some {
            self.flush().await?;
        } else if self.session.outlet.has_content() {
            self.session.outlet.flush(&self.session.cancel).await?;
        }
        (self.session.report)(self.progress);
        Ok(some.then_some(self.position))
    }

    /// Notes how far a table is, and tells it when that was not told for a while.
    fn report(&mut self, index: usize, rows: u64, done: bool) {
        if let Some(table) = self.progress.tables.get_mut(index) {
            (table.rows, table.begun, table.done) = (rows, true, done);
            self.session.metrics.rows(&table.table, rows, done);
        }
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            (self.session.report)(self.progress.clone());
        }
    }
}

/// Why a table can't be read, and what to do.
fn failure(error: PgError, table: &TableName, role: &str, connector: &str) -> Error {
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
