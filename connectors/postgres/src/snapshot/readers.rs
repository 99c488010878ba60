//! Several tables at a time (`snapshot.max.threads`): each reader has a session of its own, which sees what the snapshot sees.
//!
//! Readers make rows and hand them over; records are made in one place. The rows of a table keep their order, those of several
//! tables mix.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connect_api::{Error, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::{begin_in, failure};
use crate::catalog::TableName;
use crate::copy;
use crate::error::{DbError, PgError};
use crate::left_out::leave_out;
use crate::settings::Settings;
use crate::table::Table;
use crate::wire::{Purpose, Wire};

/// Rows, and bytes, that are handed over together at most.
const ROWS_MAX: usize = 1024;
const BYTES_MAX: usize = 1024 * 1024;

/// A table to read.
pub(super) struct Job {
    /// Its place in the list of tables.
    pub index: usize,
    pub name: TableName,
    pub table: Arc<Table>,
    pub statement: String,
}

/// Some rows of a table. The first part of each has none.
pub(super) struct Part {
    pub job: usize,
    pub rows: Vec<Vec<Value>>,
    pub bytes: usize,
    /// There are no more.
    pub done: bool,
}

/// What the readers share.
pub(super) struct Readers {
    pub settings: Arc<Settings>,
    pub connector: Arc<str>,
    pub level: &'static str,
    /// The name under which the snapshot can be seen by others, where it can.
    pub exported: Option<String>,
    pub jobs: Vec<Job>,
    next: AtomicUsize,
}

impl Readers {
    /// Readers of these tables.
    pub(super) fn new(settings: Arc<Settings>, connector: Arc<str>, level: &'static str, jobs: Vec<Job>) -> Self {
        Self { settings, connector, level, exported: None, jobs, next: AtomicUsize::new(0) }
    }

    /// Starts so many; they end when what is given here is dropped.
    pub(super) fn start(self: &Arc<Self>, count: usize) -> (JoinSet<()>, mpsc::Receiver<Result<Part, Error>>) {
        let (sender, parts) = mpsc::channel(count * 2);
        let mut set = JoinSet::new();
        for _ in 0..count {
            let (readers, sender) = (Arc::clone(self), sender.clone());
            let read = async move {
                if let Err(error) = readers.read(&sender).await
                    && sender.send(Err(error)).await.is_err()
                {
                    tracing::debug!("nobody wants the rows any more");
                }
            };
            set.spawn(read.in_current_span());
        }
        (set, parts)
    }

    /// Reads table after table, until there is none left that nobody has begun.
    async fn read(&self, parts: &mpsc::Sender<Result<Part, Error>>) -> Result<(), Error> {
        let mut sql = Wire::connect(&self.settings.server, Purpose::Sql)
            .await
            .map_err(|e| e.failed_to("open another session for the snapshot"))?;
        begin_in(&mut sql, self.level, self.exported.as_deref())
            .await
            .map_err(|e| e.failed_to("see the snapshot from another session"))?;
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(at) else { break };
            if !self.copy(&mut sql, at, job, parts).await? {
                return Ok(());
            }
        }
        sql.query("COMMIT").await.map_err(|e| e.failed_to("end the snapshot"))?;
        sql.close(false).await;
        Ok(())
    }

    /// Reads a table; false when nobody wants its rows.
    async fn copy(
        &self,
        sql: &mut Wire,
        at: usize,
        job: &Job,
        parts: &mpsc::Sender<Result<Part, Error>>,
    ) -> Result<bool, Error> {
        let failed = |e: PgError| failure(e, &job.name, &self.settings.server.user, &self.connector);
        let empty = || Part { job: at, rows: Vec::new(), bytes: 0, done: false };
        if parts.send(Ok(empty())).await.is_err() {
            return Ok(false);
        }
        sql.start_copy(&job.statement).await.map_err(failed)?;
        let mut part = empty();
        let mut cells = Vec::new();
        loop {
            let Some(frame) = sql.buffered_frame().map_err(failed)? else {
                sql.fill().await.map_err(failed)?;
                continue;
            };
            match frame.tag {
                b'd' => {
                    copy::split(&frame.body, &mut cells);
                    match job.table.copied_row(&frame.body, &cells) {
                        Ok(row) => part.rows.push(row),
                        Err(error) => {
                            let settings = &self.settings;
                            leave_out(settings.event_failure, error, &settings.prefix, &job.name.to_string())?;
                        }
                    }
                    part.bytes += frame.body.len();
                    let full = part.rows.len() >= ROWS_MAX || part.bytes >= BYTES_MAX;
                    if full && parts.send(Ok(std::mem::replace(&mut part, empty()))).await.is_err() {
                        return Ok(false);
                    }
                }
                b'c' => {
                    sql.finish_query().await.map_err(failed)?;
                    part.done = true;
                    return Ok(parts.send(Ok(part)).await.is_ok());
                }
                b'E' => return Err(failed(PgError::Db(DbError::parse(&frame.body)))),
                _ => {}
            }
        }
    }
}
