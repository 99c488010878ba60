//! Transactions that are not committed yet: what the server has sent of them waits here, in memory up to a bound, and beyond that
//! in files.
//!
//! A file has no name: it is gone when it is closed, by whatever way the worker ends. Each transaction has one of its own, with
//! its messages in the order of the log, each under the id of the part of the transaction that it belongs to. What is rolled back
//! mostly stands at the end and is cut off there; where it does not, its id is remembered and its messages are left out later.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use connect_api::{Error, ErrorKind};

pub use kept::{Entry, Kept};

use crate::config::ExtraConfig;
use crate::metrics::PostgresMetrics;

/// How much may wait, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Where files are made; the system's place for temporary files when it is not given.
    pub directory: Option<PathBuf>,
    /// Bytes in memory, of all transactions together.
    pub memory: usize,
    /// Bytes in files, of all transactions together, when that is limited.
    pub disk: Option<u64>,
}

impl Bounds {
    /// What the configuration says.
    pub fn of(config: &ExtraConfig) -> Self {
        let directory = config.stream_spill_directory.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Self {
            directory: directory.map(PathBuf::from),
            memory: usize::try_from(config.stream_memory_max_bytes).unwrap_or(usize::MAX),
            disk: u64::try_from(config.stream_spill_max_bytes).ok(),
        }
    }

    fn place(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(self.place())
    }

    /// Sees whether files can be made there.
    pub fn check(&self) -> Result<(), Error> {
        self.file().map(drop).map_err(|error| {
            let message =
                format!("failed to make a temporary file in {} for open transactions: {error}", self.place().display());
            Error::new(ErrorKind::Config, message)
                .hint("set stream.spill.directory to a directory that the worker may write to")
                .caused_by(error)
        })
    }
}

/// How many runs of messages of the same part are remembered of a transaction: those before them are not cut off any more.
const RUNS_MAX: usize = 64 * 1024;

/// Messages of the same part that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    part: u32,
    /// Where the first of them begins.
    at: u64,
}

/// What waits of one transaction.
#[derive(Debug)]
struct Waiting {
    /// The place in the log that its first block named.
    begun: u64,
    file: Option<Arc<File>>,
    in_file: u64,
    /// What comes after that.
    memory: Vec<u8>,
    runs: Vec<Run>,
    rolled_back: HashSet<u32>,
    /// Logical messages are among it: for those the server names the whole transaction, never the part that wrote them.
    messages: bool,
}

impl Waiting {
    fn end(&self) -> u64 {
        self.in_file + kept::length(&self.memory)
    }

    fn put(&mut self, part: u32, lsn: u64, payload: &[u8]) -> Result<(), Error> {
        if self.runs.last().is_none_or(|run| run.part != part) {
            if self.runs.len() >= RUNS_MAX {
                self.runs.drain(..RUNS_MAX / 2);
            }
            self.runs.push(Run { part, at: self.end() });
        }
        kept::write(&mut self.memory, part, lsn, payload)
    }

    /// A part is rolled back; says where what is left ends, when something was cut off.
    fn roll_back(&mut self, part: u32) -> Option<u64> {
        self.rolled_back.insert(part);
        let mut end = None;
        while let Some(run) = self.runs.pop_if(|run| self.rolled_back.contains(&run.part)) {
            end = Some(run.at);
        }
        end
    }
}

/// All transactions that are open.
#[derive(Debug)]
pub struct Spill {
    bounds: Bounds,
    transactions: HashMap<u32, Waiting>,
    memory: usize,
    disk: u64,
    /// The room of what was written to a file last, for what comes next: to grow it anew each time would leave many times as much
    /// with the allocator.
    spare: Vec<u8>,
    metrics: Arc<PostgresMetrics>,
}

impl Spill {
    /// Nothing waits.
    pub fn new(bounds: Bounds, metrics: Arc<PostgresMetrics>) -> Self {
        Self { bounds, transactions: HashMap::new(), memory: 0, disk: 0, spare: Vec::new(), metrics }
    }

    /// A block of a transaction begins at a place in the log.
    pub fn begin(&mut self, xid: u32, lsn: u64) {
        self.transactions.entry(xid).or_insert_with(|| Waiting {
            begun: lsn,
            file: None,
            in_file: 0,
            memory: Vec::new(),
            runs: Vec::new(),
            rolled_back: HashSet::new(),
            messages: false,
        });
        self.measure();
    }

    /// Keeps a message of a transaction's part.
    pub async fn keep(&mut self, xid: u32, part: u32, lsn: u64, payload: &[u8]) -> Result<(), Error> {
        let Some(waiting) = self.transactions.get_mut(&xid) else {
            let message = format!("the server sent a change of transaction {xid} before its first block");
            return Err(Error::new(ErrorKind::Bug, message));
        };
        if waiting.memory.capacity() == 0 && waiting.file.is_some() {
            waiting.memory = std::mem::take(&mut self.spare);
        }
        let before = waiting.memory.len();
        waiting.messages |= payload.first() == Some(&b'M');
        waiting.put(part, lsn, payload)?;
        self.memory += waiting.memory.len() - before;
        while self.memory > self.bounds.memory {
            self.write_largest().await?;
        }
        Ok(())
    }

    /// True when logical messages of a transaction wait.
    pub fn holds_messages(&self, xid: u32) -> bool {
        self.transactions.get(&xid).is_some_and(|waiting| waiting.messages)
    }

    /// Moves what has most in memory into its file.
    async fn write_largest(&mut self) -> Result<(), Error> {
        let largest = self.transactions.iter_mut().max_by_key(|(_, waiting)| waiting.memory.len());
        let Some((&xid, waiting)) = largest else { return Ok(()) };
        let length = kept::length(&waiting.memory);
        if let Some(limit) = self.bounds.disk.filter(|limit| self.disk.saturating_add(length) > *limit) {
            return Err(full(xid, self.disk + length, limit));
        }
        let bytes = std::mem::take(&mut waiting.memory);
        self.memory -= bytes.len();
        let (file, at) = (waiting.file.clone(), waiting.in_file);
        let bounds = self.bounds.clone();
        let written = on_disk(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(bounds.file()?),
            };
            file.write_all_at(&bytes, at)?;
            Ok((file, bytes))
        });
        let (file, mut bytes) = written.await.map_err(|error| self.broken(xid, "write", error))?;
        bytes.clear();
        self.spare = bytes;
        if waiting_is_new(&self.transactions, xid) {
            let directory = self.bounds.place();
            tracing::info!(xid, directory = %directory.display(), "an open transaction is large: it waits on disk until it is committed");
        }
        if let Some(waiting) = self.transactions.get_mut(&xid) {
            waiting.file = Some(file);
            waiting.in_file += length;
        }
        self.disk += length;
        self.metrics.spilled(length);
        self.measure();
        Ok(())
    }

    /// A transaction is rolled back, or a part of it.
    pub async fn roll_back(&mut self, xid: u32, part: u32) -> Result<(), Error> {
        if xid == part {
            if let Some(waiting) = self.transactions.remove(&xid) {
                self.released(kept::length(&waiting.memory), waiting.in_file);
                tracing::debug!(xid, "an open transaction was rolled back");
            }
            return Ok(());
        }
        // One that nothing was sent of is not known.
        let Some(waiting) = self.transactions.get_mut(&xid) else { return Ok(()) };
        let Some(end) = waiting.roll_back(part) else { return Ok(()) };
        let memory = kept::length(&waiting.memory);
        let cut = waiting.in_file.saturating_sub(end);
        waiting.memory.truncate(usize::try_from(end.saturating_sub(waiting.in_file)).unwrap_or(usize::MAX));
        let (left, file) = (kept::length(&waiting.memory), waiting.file.clone().filter(|_| cut > 0));
        waiting.in_file -= cut;
        self.released(memory - left, cut);
        if let Some(file) = file {
            on_disk(move || file.set_len(end)).await.map_err(|error| self.broken(xid, "cut", error))?;
        }
        Ok(())
    }

    /// A transaction is committed: what it did, to be read in order. `None` for one that nothing was sent of.
    pub fn commit(&mut self, xid: u32) -> Option<Kept> {
        let Waiting { begun, file, in_file, memory, rolled_back, .. } = self.transactions.remove(&xid)?;
        self.memory -= memory.len();
        if self.transactions.is_empty() {
            self.spare = Vec::new();
        }
        self.measure();
        Some(Kept::new(xid, begun, (file, in_file), memory, rolled_back))
    }

    /// All of a committed transaction was read.
    pub fn done(&mut self, kept: Kept) {
        self.released(0, kept.in_file());
    }

    fn released(&mut self, memory: u64, disk: u64) {
        self.memory -= usize::try_from(memory).unwrap_or(usize::MAX).min(self.memory);
        self.disk -= disk.min(self.disk);
        self.measure();
    }

    fn measure(&self) {
        self.metrics.open_transactions(self.transactions.len(), self.memory, self.disk);
    }

    fn broken(&self, xid: u32, what: &str, error: io::Error) -> Error {
        broken(&format!("{what} the changes of open transaction {xid} in {}", self.bounds.place().display()), error)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.metrics.open_transactions(0, 0, 0);
    }
}

fn waiting_is_new(transactions: &HashMap<u32, Waiting>, xid: u32) -> bool {
    transactions.get(&xid).is_some_and(|waiting| waiting.file.is_none())
}

/// Work with files, which may take its time.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn full(xid: u32, wanted: u64, limit: u64) -> Error {
    let message = format!(
        "transaction {xid} is not committed yet, and with it {wanted} bytes of open transactions would wait on disk; \
         stream.spill.max.bytes allows {limit}"
    );
    Error::new(ErrorKind::Config, message).hint(
        "raise stream.spill.max.bytes, end the transaction, or set stream.in.progress.enabled=false, so that the database server \
         keeps open transactions; nothing is lost: the task goes on where it was",
    )
}

fn broken(what: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => ErrorKind::Config,
        // Room may be made, and the server sends it all again.
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("failed to {what}: {error}"))
        .hint("make room there, or set stream.spill.directory to another directory")
        .caused_by(error)
}
