//! Several tables, and several parts of one, at a time (`snapshot.max.threads`): each reader has a session of its own, which sees
//! what the snapshot sees.
//!
//! Readers make rows and hand them over; records are made in one place. The rows of a part keep their order, those of several
//! parts and tables mix.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use connect_api::{Error, ErrorKind, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::begin::{begin_in, failure};
use super::plan::Job;
use crate::copy;
use crate::error::{DbError, PgError};
use crate::left_out::leave_out;
use crate::settings::Settings;
use crate::wire::{Purpose, Wire};

/// Rows, and bytes, that are handed over together at most.
const ROWS_MAX: usize = 1024;
const BYTES_MAX: usize = 1024 * 1024;

/// Some rows of a part. The first of each have none.
pub(super) struct Rows {
    pub job: usize,
    pub part: usize,
    /// Each with what is kept of it until it is handed over.
    pub rows: Vec<(Vec<Value>, Option<Bytes>)>,
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
    /// Each part of each of them, in the order in which they are begun.
    parts: Vec<(usize, usize)>,
    next: AtomicUsize,
}

impl Readers {
    /// Readers of these tables.
    pub(super) fn new(settings: Arc<Settings>, connector: Arc<str>, level: &'static str, jobs: Vec<Job>) -> Self {
        let parts = jobs.iter().enumerate();
        let parts = parts.flat_map(|(at, job)| (0..job.statements.len()).map(move |part| (at, part))).collect();
        Self { settings, connector, level, exported: None, jobs, parts, next: AtomicUsize::new(0) }
    }

    /// Starts so many; they end when what is given here is dropped.
    pub(super) fn start(self: &Arc<Self>, count: usize) -> (JoinSet<()>, mpsc::Receiver<Result<Rows, Error>>) {
        let (sender, rows) = mpsc::channel(count * 2);
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
        (set, rows)
    }

    /// Reads part after part, until there is none left that nobody has begun.
    async fn read(&self, rows: &mpsc::Sender<Result<Rows, Error>>) -> Result<(), Error> {
        let mut sql = Wire::connect(&self.settings.server, Purpose::Sql)
            .await
            .map_err(|e| e.failed_to("open another session for the snapshot"))?;
        begin_in(&mut sql, self.level, self.exported.as_deref())
            .await
            .map_err(|e| e.failed_to("see the snapshot from another session"))?;
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&part) = self.parts.get(at) else { break };
            if !self.copy(&mut sql, part, rows).await? {
                return Ok(());
            }
        }
        sql.query("COMMIT").await.map_err(|e| e.failed_to("end the snapshot"))?;
        sql.close(false).await;
        Ok(())
    }

    /// Reads a part; false when nobody wants its rows.
    async fn copy(
        &self,
        sql: &mut Wire,
        (at, part): (usize, usize),
        sender: &mpsc::Sender<Result<Rows, Error>>,
    ) -> Result<bool, Error> {
        let job = &self.jobs[at];
        let failed = |e: PgError| failure(e, &job.name, &self.settings.server.user, &self.connector);
        let empty = || Rows { job: at, part, rows: Vec::new(), bytes: 0, done: false };
        if sender.send(Ok(empty())).await.is_err() {
            return Ok(false);
        }
        sql.start_copy(&job.statements[part]).await.map_err(failed)?;
        let mut read = empty();
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
                        Ok(row) => read.rows.push((row, job.kept(&frame.body))),
                        Err(error) => {
                            let settings = &self.settings;
                            leave_out(settings.event_failure, error, &settings.prefix, &job.name.to_string())?;
                        }
                    }
                    read.bytes += frame.body.len();
                    let full = read.rows.len() >= ROWS_MAX || read.bytes >= BYTES_MAX;
                    if full && sender.send(Ok(std::mem::replace(&mut read, empty()))).await.is_err() {
                        return Ok(false);
                    }
                }
                b'c' => {
                    sql.finish_query().await.map_err(failed)?;
                    // This transaction has the table's lock now: the file stays the one that was read.
                    if let Some((oid, file)) = job.file {
                        let asked = format!("SELECT pg_catalog.pg_relation_filenode({oid})");
                        let rows = sql.query(&asked).await.map_err(failed)?;
                        let now = rows.first().and_then(|row| row.first()?.as_deref()?.parse::<u64>().ok());
                        if now != Some(file) {
                            let what = format!("table {} was rewritten while the snapshot read it in parts", job.name);
                            return Err(Error::new(ErrorKind::Conflict, what));
                        }
                    }
                    read.done = true;
                    return Ok(sender.send(Ok(read)).await.is_ok());
                }
                b'E' => return Err(failed(PgError::Db(DbError::parse(&frame.body)))),
                _ => {}
            }
        }
    }
}
