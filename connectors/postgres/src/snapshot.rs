//! The consistent snapshot: every captured table by COPY, in one transaction that sees what the slot's begin saw.
//!
//! The marker of a record depends on whether another one follows, so one row is always held back. [`begin`] is what comes before
//! the rows, [`plan`] says by which statements they are read, [`readers`] reads several at a time, [`resume`] goes on after a
//! crash, with what [`state`] holds.

mod begin;
mod plan;
mod readers;
pub mod resume;
pub mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_api::{Error, ErrorKind, Phase, Progress, TableProgress, Value};
use tokio::time::MissedTickBehavior;

use crate::catalog::{self, Listed};
use crate::copy;
use crate::error::{DbError, PgError, within};
use crate::event::{Marker, Source, now_us};
use crate::filters::Patterns;
use crate::left_out::leave_out;
use crate::offset::{Position, SnapshotMark};
use crate::session::{End, Session};
use crate::settings::{RowCountOrder, Settings};
use crate::signals::incremental;
use crate::slot::{self, Created};
use crate::snapshot::begin::{REPEATABLE, begin, failure, level, lock, place, readable};
use crate::snapshot::plan::{Job, Wanted};
use crate::snapshot::readers::Readers;
use crate::table::Table;
use crate::visible::Visible;
use crate::wire::Wire;

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// The row that waits for its successor.
struct Held {
    table: Arc<Table>,
    row: Vec<Value>,
    /// The places of its table, and of what it was read with.
    index: usize,
    part: usize,
    /// The row as it came, where it is remembered.
    kept: Option<Bytes>,
    first_of_table: bool,
}

/// A running snapshot.
struct Snapshot<'a> {
    session: &'a mut Session,
    position: Position,
    held: Option<Held>,
    progress: Progress,
    reported: Instant,
    stored: bool,
    /// It is stored how far the snapshot is: the session's state follows it.
    remembered: bool,
    /// It is stored that the snapshot was begun.
    announced: bool,
    /// The names of the captured tables, and of those that are read, for notifications.
    captured: String,
    read: String,
}

/// Reads all captured tables, or what an earlier attempt has left of them. Gives the position after it, `None` when there was no
/// row, and what the snapshot saw: no transaction that it saw ends after the place given with that.
pub async fn run(
    session: &mut Session,
    sql: &mut Wire,
    created: Option<&Created>,
    slot_at: Option<u64>,
) -> Result<(Option<Position>, (Visible, u64)), End> {
    session.notify("STARTED", &[]);
    let replayed = begin(session, sql, created).await.map_err(|e| e.failed_to("begin the snapshot"))?;
    let (lsn, tx_id, visible) =
        place(sql, created, replayed).await.map_err(|e| e.failed_to("find the snapshot's place"))?;
    let position = Position {
        lsn: Some(resume::begin(session, slot_at, lsn)),
        tx_id: Some(tx_id),
        ts_us: Some(now_us()),
        snapshot: Some(SnapshotMark::default()),
        ..Position::default()
    };
    let settings = Arc::clone(&session.settings);
    let chosen = chosen(&settings, sql).await?;
    let level = level(session, created);
    let remembered = session.resume.is_some();
    let task = Task { chosen, statements: settings.snapshot_overrides.clone(), stored: true, remembered, level };
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
        let replayed = begin(session, sql, None).await.map_err(|e| e.failed_to("begin the snapshot"))?;
        let place = place(sql, None, replayed).await.map_err(|e| e.failed_to("find the snapshot's place"))?;
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
    let task = Task { chosen, statements, stored: false, remembered: false, level };
    read(session, sql, task, position).await
}

/// What is to be read.
struct Task {
    /// The tables in order, the signal table among them.
    chosen: Vec<Listed>,
    /// Statements that give the rows of a table instead of all of them.
    statements: Vec<(String, String)>,
    /// Positions are stored on the way.
    stored: bool,
    /// With them, how far each table is.
    remembered: bool,
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
    let settings = Arc::clone(&session.settings);
    let wanted = Wanted {
        settings: &settings,
        statements: &task.statements,
        metas: &metas,
        types: &types,
        shared: task.level == REPEATABLE,
    };
    let cancel = session.cancel.clone();
    let planned = plan::jobs(sql, &wanted, &tables, session.resume.as_mut().filter(|_| task.remembered));
    let jobs = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(End::Closed),
        jobs = planned => jobs?,
    };
    tracing::info!(source = %settings.prefix, tables = tables.len(), lsn = %slot::lsn_text(lsn), "snapshot begins");
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
    let read = names(&tables);
    let mut snapshot = Snapshot {
        session,
        position,
        held: None,
        progress,
        reported: Instant::now(),
        stored: task.stored,
        remembered: task.remembered,
        announced: false,
        captured,
        read,
    };
    snapshot.show_earlier();
    (snapshot.session.report)(snapshot.progress.clone());
    let parts = jobs.iter().map(|job| job.statements.len()).sum();
    let threads = settings.snapshot_threads.min(parts);
    if threads > 1 {
        snapshot.side_by_side(sql, jobs, threads, task.level).await?;
    } else {
        for job in &jobs {
            let name = job.name.to_string();
            snapshot.notify_begun(&name);
            let rows = snapshot.table(sql, job).await?;
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

    /// Rows of a table that earlier attempts have handed over.
    fn earlier(&self, index: usize) -> u64 {
        let state = self.session.resume.as_ref().filter(|_| self.remembered);
        state.and_then(|state| state.tables.get(index)).map_or(0, |table| table.rows)
    }

    /// Shows what earlier attempts have read.
    fn show_earlier(&mut self) {
        let Some(state) = self.session.resume.as_ref().filter(|_| self.remembered) else { return };
        for (table, known) in self.progress.tables.iter_mut().zip(&state.tables) {
            (table.rows, table.done) = (known.rows, known.is_done());
            table.begun = table.done || table.rows > 0;
            if table.begun {
                self.session.metrics.rows(&table.table, table.rows, table.done);
            }
        }
    }

    /// Rows were read, and wait to be handed over.
    fn came(&mut self, index: usize, part: usize, rows: usize) {
        if let Some(state) = self.session.resume.as_mut().filter(|_| self.remembered) {
            state.came(index, part, rows);
        }
    }

    /// All rows of a part were read.
    fn part_read(&mut self, index: usize, part: usize) {
        if let Some(state) = self.session.resume.as_mut().filter(|_| self.remembered) {
            state.read(index, part);
        }
    }

    /// Reads all parts, some of them at a time.
    async fn side_by_side(
        &mut self,
        sql: &mut Wire,
        jobs: Vec<Job>,
        threads: usize,
        level: &'static str,
    ) -> Result<(), End> {
        /// A table that is being read.
        struct Open {
            /// The row that waits for its successor.
            held: Option<Held>,
            rows: u64,
            /// Parts that are not done.
            left: usize,
            begun: bool,
        }
        let (settings, connector) = (Arc::clone(&self.session.settings), Arc::clone(&self.session.connector));
        let mut readers = Readers::new(settings, connector, level, jobs);
        if level == REPEATABLE {
            let rows = sql.query("SELECT pg_catalog.pg_export_snapshot()").await;
            let rows = rows.map_err(|e| e.failed_to("share the snapshot among sessions"))?;
            readers.exported = rows.first().and_then(|row| row.first().cloned().flatten());
        }
        let readers = Arc::new(readers);
        let (_running, mut arriving) = readers.start(threads);
        let open = |job: &Job| {
            let (rows, left) = (self.earlier(job.index), job.statements.len());
            Open { held: None, rows, left, begun: false }
        };
        let mut tables: Vec<Open> = readers.jobs.iter().map(open).collect();
        loop {
            let read = tokio::select! {
                biased;
                () = self.session.cancel.cancelled() => return Err(End::Closed),
                read = arriving.recv() => read,
            };
            let Some(read) = read.transpose()? else { break };
            let (job, table) = (&readers.jobs[read.job], &mut tables[read.job]);
            if !std::mem::replace(&mut table.begun, true) {
                self.notify_begun(&job.name.to_string());
            }
            self.session.outlet.count_bytes(read.bytes);
            self.came(job.index, read.part, read.rows.len());
            for (row, kept) in read.rows {
                let next = Held {
                    table: Arc::clone(&job.table),
                    row,
                    index: job.index,
                    part: read.part,
                    kept,
                    first_of_table: table.rows == 0,
                };
                table.rows += 1;
                match table.held.replace(next) {
                    Some(before) => self.release(before, false).await?,
                    None => self.announce().await?,
                }
            }
            if read.done {
                table.left -= 1;
                self.part_read(job.index, read.part);
            }
            let done = table.left == 0;
            self.report(job.index, table.rows, done);
            if done {
                // The last row of all is known when no table is left.
                if let Some(last) = table.held.take()
                    && let Some(before) = self.held.replace(last)
                {
                    self.release(before, true).await?;
                }
                tracing::info!(source = %readers.settings.prefix, table = %job.name, rows = table.rows, "table read");
                self.notify_done(&job.name.to_string(), table.rows);
            }
        }
        // A reader that panics says nothing: without its rows the snapshot is not complete.
        if let Some((job, _)) = readers.jobs.iter().zip(&tables).find(|(_, table)| table.left > 0) {
            let what = format!("a reader of table {} ended unexpectedly", job.name);
            return Err(Error::new(ErrorKind::Unavailable, what).into());
        }
        Ok(())
    }

    /// Reads a table, part after part; gives the number of its rows.
    async fn table(&mut self, sql: &mut Wire, job: &Job) -> Result<u64, End> {
        let mut rows = self.earlier(job.index);
        for part in 0..job.statements.len() {
            self.part(sql, job, part, &mut rows).await?;
        }
        self.report(job.index, rows, true);
        tracing::info!(source = %self.session.settings.prefix, table = %job.name, rows, "table read");
        Ok(rows)
    }

    /// Reads a part of a table, and counts its rows.
    async fn part(&mut self, sql: &mut Wire, job: &Job, part: usize, rows: &mut u64) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        let connector = Arc::clone(&self.session.connector);
        let (index, name) = (job.index, job.name.to_string());
        let failed = |e: PgError| failure(e, &job.name, &settings.server.user, &connector);
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        {
            // A lock on the table may keep it waiting.
            let mut starting = std::pin::pin!(sql.start_copy(&job.statements[part]));
            loop {
                tokio::select! {
                    biased;
                    () = self.session.cancel.cancelled() => return Err(End::Closed),
                    started = &mut starting => break started.map_err(failed)?,
                    _ = ticks.tick() => self.report(index, *rows, false),
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
                    _ = ticks.tick() => self.report(index, *rows, false),
                }
                continue;
            };
            match frame.tag {
                b'd' => {
                    self.session.outlet.count_bytes(frame.body.len());
                    copy::split(&frame.body, &mut cells);
                    let row = match job.table.copied_row(&frame.body, &cells) {
                        Ok(row) => row,
                        Err(error) => {
                            leave_out(settings.event_failure, error, &settings.prefix, &name)?;
                            continue;
                        }
                    };
                    let (table, kept) = (Arc::clone(&job.table), job.kept(&frame.body));
                    let held = Held { table, row, index, part, kept, first_of_table: *rows == 0 };
                    *rows += 1;
                    self.came(index, part, 1);
                    self.push(held).await?;
                    if rows.is_multiple_of(1024) {
                        self.report(index, *rows, false);
                    }
                }
                b'c' => {
                    sql.finish_query().await.map_err(failed)?;
                    self.part_read(index, part);
                    return Ok(());
                }
                b'E' => {
                    let error = PgError::Db(DbError::parse(&frame.body));
                    return Err(failed(error).into());
                }
                _ => {}
            }
        }
    }

    /// Holds a row back and releases the one before it, whose marker is certain now.
    async fn push(&mut self, next: Held) -> Result<(), End> {
        let index = next.index;
        let Some(held) = self.held.replace(next) else {
            return self.announce().await;
        };
        let last_of_table = held.index != index;
        self.release(held, last_of_table).await
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
        let marker = match (held.first_of_table, held.index == 0, last_of_table) {
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
            if let Some(state) = self.session.resume.as_mut().filter(|_| self.remembered) {
                let fields = state.to_offset();
                self.session.outlet.beside(Some(Arc::new(fields)));
            }
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
        if let Some(state) = self.session.resume.as_mut().filter(|_| self.remembered) {
            state.told(held.index, held.part, held.kept);
        }
    }

    /// Releases the last row, with the position that says that the snapshot is complete.
    async fn finish(mut self) -> Result<Option<Position>, End> {
        if let Some(held) = self.held.take() {
            self.emit(held, Marker::Last);
        } else if !self.is_resumed() {
            self.session.notify("COMPLETED", &[]);
            if self.session.outlet.has_content() {
                self.session.outlet.flush(&self.session.cancel).await?;
            }
            (self.session.report)(self.progress);
            return Ok(None);
        }
        self.position.snapshot = self.position.snapshot.map(|mark| SnapshotMark { completed: true, ..mark });
        self.session.notify("COMPLETED", &[]);
        if std::mem::take(&mut self.remembered) {
            // There is nothing to go on with any more.
            incremental::store(self.session);
        }
        self.flush().await?;
        (self.session.report)(self.progress);
        Ok(Some(self.position))
    }

    /// Earlier attempts have handed over rows: the end is to be stored, although nothing may be left that it could go with.
    fn is_resumed(&self) -> bool {
        self.remembered && self.session.resume.as_ref().is_some_and(|state| state.rows() > 0)
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
