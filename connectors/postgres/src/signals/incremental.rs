//! Incremental snapshots: tables are read chunk by chunk while the stream goes on.
//!
//! A chunk is read between two watermarks. Its rows wait in the window until the stream has come to the second one, so that
//! none of them comes after a change that is newer. What is stored is the last row that was handed over: after a crash the
//! chunk is read again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use connect_api::Error;

use crate::error::{PgError, within};
use crate::event::{Marker, Source, now_us};
use crate::notifications::INCREMENTAL;
use crate::offset::Position;
use crate::session::{End, Session};
use crate::settings::Settings;
use crate::signals::chunk::{Plan, ReadError, Unreadable};
use crate::signals::key::display;
use crate::signals::parse::Snapshot;
use crate::signals::settings::{Watermarks, plain_name};
use crate::signals::state::Collection;
use crate::signals::unseen::{self, Seen};
use crate::signals::watermark;
use crate::slot;
use crate::wire::{Purpose, Wire};

/// The tables that a signal names; `None` when nothing can be done about it.
pub async fn tables(session: &mut Session, wanted: &Snapshot) -> Result<Option<Vec<String>>, End> {
    if let Some(why) = session.settings.signals.no_incremental() {
        tracing::warn!(signal = ?wanted.id, why, "incremental snapshots are not configured: the signal is ignored");
        return Ok(None);
    }
    let mut sql = connect(session).await?;
    let names = expanded(&mut sql, session, &wanted.tables).await?;
    session.signals.sql = Some(sql);
    Ok(names)
}

/// Adds tables to the snapshot, and begins when none was running.
pub async fn add(session: &mut Session, wanted: Snapshot, names: Vec<String>) -> Result<(), End> {
    let state = &mut session.signals.state;
    let running = state.running();
    for id in names {
        let condition = wanted.conditions.iter().find(|condition| condition.table.is_match(&id));
        let filter = condition.map(|condition| condition.filter.clone()).filter(|filter| !filter.is_empty());
        state.tables.push_back(Collection { id: plain_name(&id), filter, surrogate_key: wanted.surrogate_key.clone() });
    }
    state.correlation = wanted.id;
    let names = state.names();
    tracing::info!(signal = ?state.correlation, tables = %names, "incremental snapshot requested");
    if running {
        store(session);
        return Ok(());
    }
    session.metrics.snapshot_begins(names.split(',').map(str::to_owned));
    notify(session, "STARTED", &[("data_collections", names)]);
    session.signals.begun = true;
    read_chunk(session).await
}

/// The tables whose names fit the expressions; an expression that fits none stands for itself. `None` when one can't be read.
async fn expanded(sql: &mut Wire, session: &Session, patterns: &[String]) -> Result<Option<Vec<String>>, Error> {
    let captured = in_time(&session.settings, slot::captured(sql, &session.settings)).await?;
    let mut names = Vec::new();
    let mut known = HashSet::new();
    for pattern in patterns {
        let regex = match regex::Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => regex,
            Err(error) => {
                tracing::warn!(%error, "a signal is ignored: '{pattern}' is no expression");
                return Ok(None);
            }
        };
        let fitting: Vec<String> =
            captured.iter().map(|table| table.name.to_string()).filter(|name| regex.is_match(name)).collect();
        let fitting = if fitting.is_empty() { vec![pattern.clone()] } else { fitting };
        names.extend(fitting.into_iter().filter(|name| known.insert(name.clone())));
    }
    Ok(Some(names))
}

/// Tables are left out from the next chunk on.
pub fn stop(session: &mut Session, tables: Option<Vec<String>>) {
    let state = &mut session.signals.state;
    if state.running() {
        state.to_stop.extend(tables.filter(|tables| !tables.is_empty()).unwrap_or_else(|| vec![".*".to_owned()]));
    }
}

/// No chunk is read after the present one.
pub fn pause(session: &mut Session) {
    let state = &mut session.signals.state;
    if state.running() && !state.paused {
        state.paused = true;
        let names = state.names();
        tracing::info!("incremental snapshot paused");
        notify(session, "PAUSED", &[("data_collections", names)]);
    }
}

/// Goes on after a pause.
pub async fn resume(session: &mut Session) -> Result<(), End> {
    let state = &mut session.signals.state;
    if state.running() && state.paused {
        state.paused = false;
        let names = state.names();
        tracing::info!("incremental snapshot resumed");
        notify(session, "RESUMED", &[("data_collections", names)]);
        read_chunk(session).await?;
    }
    Ok(())
}

/// The stream has come to the first watermark.
pub fn open_window(session: &mut Session, id: &str) {
    if is_current(session, id) {
        session.signals.window.open = true;
    }
}

/// The stream has come to the second watermark.
pub async fn close_window(session: &mut Session, position: Position, id: &str) -> Result<(), End> {
    if !is_current(session, id) {
        return Ok(());
    }
    // The rows come before what closes their window.
    let at = session.signals.event_at.min(session.outlet.records().len());
    // Kept where it survives when this is broken off while it waits.
    session.signals.held = session.outlet.records().split_off(at);
    let sent = send_window(session, position).await;
    give_back_held(session);
    sent?;
    read_chunk(session).await
}

/// What the event became that closes a window goes after the window's rows.
pub fn give_back_held(session: &mut Session) {
    let Session { signals, outlet, .. } = session;
    outlet.records().append(&mut signals.held);
}

fn is_current(session: &Session, id: &str) -> bool {
    let current = session.signals.state.chunk.as_deref().is_some_and(|chunk| id.starts_with(chunk));
    if !current {
        // Of a chunk before a restart, for instance.
        tracing::info!(id, "the window of another chunk is ignored");
    }
    current
}

/// Hands over the rows that waited.
pub async fn send_window(session: &mut Session, position: Position) -> Result<(), End> {
    let Some((table, rows)) = session.signals.window.take() else { return Ok(()) };
    for row in rows {
        let source = Source {
            marker: Marker::Incremental,
            // Between transactions the reference's place is the end of the last one.
            lsn: position
                .lsn_commit
                .filter(|_| position.is_between())
                .or(position.lsn)
                .or(session.slot_from)
                .unwrap_or(0),
            last_commit: position.lsn_commit,
            tx_id: None,
            ts_us: now_us(),
            xmin: None,
        };
        let record = session.events.read(&table, row, &source);
        session.outlet.records().push(record);
        if session.outlet.is_full() {
            session.outlet.flush(&session.cancel).await?;
        }
    }
    let state = &mut session.signals.state;
    state.sent.clone_from(&state.chunk_end);
    store(session);
    Ok(())
}

/// Positions that are marked from now on say how far the snapshot is.
pub fn store(session: &mut Session) {
    session.outlet.beside(session.signals.state.to_offset().map(Arc::new));
}

/// Reads the next chunk, from the last row on that was handed over.
pub async fn read_chunk(session: &mut Session) -> Result<(), End> {
    session.signals.window.clear();
    let state = &mut session.signals.state;
    state.chunk_end.clone_from(&state.sent);
    if !state.running() {
        return Ok(());
    }
    let mut sql = connect(session).await?;
    let read = chunk(session, &mut sql).await;
    store(session);
    read?;
    session.signals.sql = Some(sql);
    Ok(())
}

/// A look at the catalogue, within the time that the server may be silent.
async fn in_time<T>(settings: &Settings, look: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |limit| {
        PgError::silent(&settings.server.address(), limit).failed_to("read the catalogue for an incremental snapshot")
    };
    within(settings.silence, look, late).await
}

/// Waits for the rows of a table for as long as that takes, and tells when that is long.
async fn patiently<T>(settings: &Settings, table: &str, read: impl Future<Output = T>) -> T {
    let Some(limit) = settings.silence else { return read.await };
    let (mut read, since) = (std::pin::pin!(read), Instant::now());
    loop {
        if let Ok(done) = tokio::time::timeout(limit, &mut read).await {
            return done;
        }
        let waited = since.elapsed();
        tracing::warn!(
            table,
            ?waited,
            "still waiting for a chunk, and the stream waits with it: look for locks, or for an index on the chunk's key"
        );
    }
}

async fn connect(session: &mut Session) -> Result<Wire, Error> {
    match session.signals.sql.take() {
        Some(sql) => Ok(sql),
        None => Wire::connect(&session.settings.server, Purpose::Sql)
            .await
            .map_err(|e| e.failed_to("open a session for an incremental snapshot")),
    }
}

async fn chunk(session: &mut Session, sql: &mut Wire) -> Result<(), End> {
    session.signals.postponed = None;
    process_stop(session, sql).await?;
    if !session.signals.state.running() || session.signals.state.paused {
        return Ok(());
    }
    let Some(seen) = all_seen(session, sql).await? else {
        session.signals.state.chunk = None;
        session.signals.postponed = Some(Instant::now() + unseen::POSTPONED);
        return Ok(());
    };
    let chunk = uuid::Uuid::new_v4().to_string();
    session.signals.state.chunk = Some(chunk.clone());
    let inserts = session.settings.signals.watermarks == Watermarks::InsertInsert;
    session.signals.failed = false;
    let opened = match watermark::open(sql, &session.settings.signals, &chunk, session.settings.silence).await {
        Ok(opened) => opened,
        Err(error) => return give_up(session, error),
    };
    while session.signals.state.running() {
        if table(session, sql).await? {
            break;
        }
    }
    if std::mem::take(&mut session.signals.failed) && !session.signals.state.running() && inserts {
        // Nothing waits for the second mark. The reference does not write it either.
        return Ok(());
    }
    match watermark::close(sql, &session.settings.signals, &chunk, opened, session.settings.silence).await {
        Ok(until) => {
            let window = &mut session.signals.window;
            window.visible = match seen {
                Seen::By(snapshot) => Some(snapshot.visible),
                Seen::Replayed(_) => None,
            };
            window.until = until.filter(|_| window.relation.is_some());
            // Without a signal that opens it, a window is open from the beginning.
            window.open = until.is_some();
            Ok(())
        }
        Err(error) => give_up(session, error),
    }
}

/// What is seen by who reads rows now; `None` when that is not yet all that the stream has brought.
pub(super) async fn all_seen(session: &mut Session, sql: &mut Wire) -> Result<Option<Seen>, Error> {
    let silence = session.settings.silence;
    let unseen = session.signals.unseen.get_or_insert_default();
    unseen::all_seen(unseen, sql, silence)
        .await
        .map_err(|error| error.failed_to("see which transactions a snapshot would show"))
}

/// Watermarks can't be written: the snapshot would wait for them for ever.
fn give_up(session: &mut Session, error: PgError) -> Result<(), End> {
    if passes(&error) {
        return Err(error.failed_to("write a watermark of an incremental snapshot").into());
    }
    tracing::error!(
        %error,
        "the incremental snapshot is given up: its watermarks can't be written to signal.data.collection; grant INSERT and \
         DELETE on it, or set read.only=true"
    );
    let names = session.signals.state.names();
    session.signals.window.clear();
    session.metrics.snapshot_ends(false);
    notify(session, "ABORTED", &[("data_collections", names)]);
    // The next one must not begin where this one was.
    session.signals.state.give_up();
    session.signals.plan = None;
    Ok(())
}

/// True for what another connection may get over.
fn passes(error: &PgError) -> bool {
    error.kind().retriable() || !matches!(error, PgError::Db(_))
}

/// Reads a chunk of the table whose turn it is. False when that table is done or left out.
async fn table(session: &mut Session, sql: &mut Wire) -> Result<bool, End> {
    let settings = Arc::clone(&session.settings);
    let Some(wanted) = session.signals.state.tables.front().cloned() else { return Ok(true) };
    let planned = session.signals.plan.take().filter(|plan| plan.is_for(&wanted));
    let was_planned = planned.is_some();
    let plan = match planned {
        Some(plan) => plan,
        None => match in_time(&settings, Plan::make(sql, &settings, &wanted)).await? {
            Ok(plan) => plan,
            Err(unreadable) => {
                let (status, why) = match unreadable {
                    Unreadable::Unknown => ("UNKNOWN_SCHEMA", "it is not among the captured tables"),
                    Unreadable::NoKey => ("NO_PRIMARY_KEY", "it has no key, or no column of the surrogate key's name"),
                };
                tracing::warn!(table = %wanted.id, why, "a table is left out of the incremental snapshot");
                return Ok(done(session, status));
            }
        },
    };
    if session.signals.state.maximum.is_none() {
        match patiently(&settings, &wanted.id, plan.maximum(sql)).await {
            Ok(Some(maximum)) => session.signals.state.maximum = Some(maximum),
            Ok(None) => return Ok(done(session, "EMPTY")),
            Err(error) => return failed(session, &wanted.id, error),
        }
    }
    let state = &session.signals.state;
    let maximum = state.maximum.clone().unwrap_or_default();
    let read = plan.read(sql, state.chunk_end.as_ref(), &maximum, settings.signals.chunk_size);
    let chunk = match patiently(&settings, &wanted.id, read).await {
        Ok(chunk) => chunk,
        Err(ReadError::Data(error)) => return Err(error.into()),
        // A column was dropped since: the table is described anew.
        Err(ReadError::Server(error)) if was_planned && error.sqlstate() == Some("42703") => return Ok(false),
        Err(ReadError::Server(error)) => return failed(session, &wanted.id, error),
    };
    let state = &mut session.signals.state;
    state.rows += u64::try_from(chunk.rows.len()).unwrap_or(0);
    let rows = state.rows;
    let Some(last) = chunk.last else {
        tracing::info!(source = %settings.prefix, table = %wanted.id, rows, "table read");
        let over = done(session, "SUCCEEDED");
        session.signals.state.rows = 0;
        return Ok(over);
    };
    session.metrics.rows(&wanted.id, rows, false);
    state.chunk_end = Some(last);
    let shown = |key: Option<&crate::signals::key::Key>| key.map(|key| display(key)).unwrap_or_default();
    let data = [
        ("data_collections", state.names()),
        ("current_collection_in_progress", wanted.id.clone()),
        ("maximum_key", shown(Some(&maximum))),
        ("last_processed_key", shown(state.chunk_end.as_ref())),
    ];
    notify(session, "IN_PROGRESS", &data);
    session.signals.window.fill(plan.oid, &plan.table, chunk.rows);
    session.signals.plan = Some(plan);
    Ok(true)
}

/// A statement failed: the table is left out, unless trying again may help.
fn failed(session: &mut Session, table: &str, error: PgError) -> Result<bool, End> {
    if passes(&error) {
        return Err(error.failed_to(&format!("read a chunk of table {table}")).into());
    }
    session.signals.failed = true;
    tracing::error!(table, %error, "a table can't be read: it is left out of the incremental snapshot");
    Ok(done(session, "SQL_EXCEPTION"))
}

/// The table's turn is over: tells how it ended, and goes on to the next one. False, for a loop to go on.
fn done(session: &mut Session, status: &str) -> bool {
    let state = &session.signals.state;
    let table = state.tables.front().map(|table| table.id.clone()).unwrap_or_default();
    session.metrics.rows(&table, state.rows, true);
    let data = [
        ("data_collections", state.names()),
        ("scanned_collection", table),
        ("total_rows_scanned", state.rows.to_string()),
        ("status", status.to_owned()),
    ];
    notify(session, "TABLE_SCAN_COMPLETED", &data);
    next_table(session);
    false
}

fn next_table(session: &mut Session) {
    session.signals.plan = None;
    session.signals.state.next_table();
    if !session.signals.state.running() {
        tracing::info!(source = %session.settings.prefix, "incremental snapshot completed");
        session.metrics.snapshot_ends(true);
        notify(session, "COMPLETED", &[]);
        session.signals.state.correlation = None;
    }
}

/// Takes out the tables that a signal has named.
async fn process_stop(session: &mut Session, sql: &mut Wire) -> Result<(), End> {
    let patterns = session.signals.state.to_stop.clone();
    if patterns.is_empty() {
        return Ok(());
    }
    let names = expanded(sql, session, &patterns).await?;
    // Not before: when the catalogue can't be read, the tables are to be stopped by the next attempt.
    session.signals.state.to_stop.clear();
    let Some(names) = names else { return Ok(()) };
    // The first one is begun once it is known where it ends.
    let state = &session.signals.state;
    let current = state.tables.front().filter(|_| state.maximum.is_some()).map(|table| table.id.clone());
    let mut stopped = Vec::new();
    let mut current_stops = false;
    for name in names {
        if current.as_ref() == Some(&name) {
            current_stops = true;
            continue;
        }
        let tables = &mut session.signals.state.tables;
        let before = tables.len();
        tables.retain(|table| table.id != name);
        if tables.len() < before {
            stopped.push(name);
        } else {
            tracing::warn!(table = %name, "a table to be stopped is not part of the incremental snapshot");
        }
    }
    if let Some(current) = current.filter(|_| current_stops) {
        session.signals.state.rows = 0;
        stopped.push(current);
        next_table(session);
    }
    tracing::info!(tables = %stopped.join(","), "taken out of the incremental snapshot");
    notify(session, "ABORTED", &[("data_collections", stopped.join(","))]);
    if !session.signals.state.running() {
        session.signals.state.correlation = None;
    }
    Ok(())
}

fn notify(session: &mut Session, kind: &str, data: &[(&str, String)]) {
    let Session { settings, outlet, signals, .. } = session;
    settings.notifications.send(outlet, INCREMENTAL, kind, signals.state.correlation.as_deref(), data);
}
