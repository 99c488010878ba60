//! What a task measures, under the names of Debezium's MBeans (`debezium.postgres:type=connector-metrics`, contexts
//! `snapshot` and `streaming`).
//!
//! Counted per event: one addition to a total and one to the table's. The clock is read once for what one read of the socket
//! brought.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use connect_api::{Measures, Reading, Readings, Result, SourceBatch};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::event::now_us;
use crate::settings::Settings;

/// How many tables have numbers of their own.
const TABLES_MAX: usize = 1_000;
/// The label of all other tables; names of tables have a point in them.
const OTHER_TABLES: &str = "other";

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Create,
    Update,
    Delete,
    Truncate,
}

/// Events by kind.
#[derive(Debug, Default)]
pub struct EventCounts([AtomicU64; 4]);

impl EventCounts {
    fn add(&self, kind: EventKind) {
        if let Some(counter) = self.0.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn get(&self, kind: EventKind) -> Reading<'_> {
        Reading::Count(self.0.get(kind as usize).map_or(0, |counter| counter.load(Ordering::Relaxed)))
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }
}

/// A snapshot as far as it is.
#[derive(Debug, Default)]
struct Snapshot {
    begun: Option<Instant>,
    seconds: u64,
    completed: bool,
    aborted: bool,
    skipped: bool,
    /// Rows read, and whether all of them are.
    tables: BTreeMap<String, (u64, bool)>,
}

/// The measurements of one task.
#[derive(Debug)]
pub struct PostgresMetrics {
    server: String,
    queue_batches: usize,
    batch_size: usize,
    queue_bytes: usize,
    queue: mpsc::WeakSender<Result<SourceBatch>>,
    connected: AtomicBool,
    /// Events of the stream.
    events: EventCounts,
    filtered: AtomicU64,
    erroneous: AtomicU64,
    transactions: AtomicU64,
    last_transaction: AtomicU64,
    /// Transactions in progress: how many wait, their bytes in memory and on disk, and the bytes that went to disk so far.
    open: [AtomicU64; 4],
    lsn: AtomicU64,
    /// When the last event was read, in microseconds since 1970; 0 before the first.
    last_event_us: AtomicI64,
    /// How old it was then, in milliseconds; -1 before the first.
    behind_ms: AtomicI64,
    tables: Mutex<BTreeMap<String, Arc<EventCounts>>>,
    snapshot: Mutex<Snapshot>,
    /// When the last row of a snapshot was read, as above.
    last_row_us: AtomicI64,
}

impl PostgresMetrics {
    /// Nothing measured yet; `queue` is the channel of batches.
    pub fn new(settings: &Settings, queue: mpsc::WeakSender<Result<SourceBatch>>) -> Arc<Self> {
        Arc::new(Self {
            server: settings.prefix.to_string(),
            queue_batches: settings.queue_batches,
            batch_size: settings.batch_size,
            queue_bytes: settings.queue_bytes.unwrap_or(0),
            queue,
            connected: AtomicBool::new(false),
            events: EventCounts::default(),
            filtered: AtomicU64::new(0),
            erroneous: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            last_transaction: AtomicU64::new(0),
            open: Default::default(),
            lsn: AtomicU64::new(0),
            last_event_us: AtomicI64::new(0),
            behind_ms: AtomicI64::new(-1),
            tables: Mutex::default(),
            snapshot: Mutex::default(),
            last_row_us: AtomicI64::new(0),
        })
    }

    /// The stream is connected, or is not any more.
    pub fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// The counters of a table's events; of those that all tables share which come after the first [`TABLES_MAX`].
    pub fn table(&self, name: &str) -> Arc<EventCounts> {
        let mut tables = self.tables.lock();
        let name = if tables.len() < TABLES_MAX || tables.contains_key(name) { name } else { OTHER_TABLES };
        Arc::clone(tables.entry(name.to_owned()).or_default())
    }

    /// The stream brought an event.
    pub fn event(&self, kind: EventKind, table: &EventCounts) {
        self.events.add(kind);
        table.add(kind);
    }

    /// The settings left an event out.
    pub fn filtered(&self) {
        self.filtered.fetch_add(1, Ordering::Relaxed);
    }

    /// Something could not be read.
    pub fn erroneous(&self) {
        self.erroneous.fetch_add(1, Ordering::Relaxed);
    }

    /// Events were read up to this place, the last of them of a transaction that was committed at `commit_us`.
    /// Gives how old the last one is, in milliseconds.
    pub fn streamed(&self, lsn: u64, commit_us: i64) -> i64 {
        let now = now_us();
        let behind_ms = (now - commit_us).max(0) / 1_000;
        self.lsn.store(lsn, Ordering::Relaxed);
        self.last_event_us.store(now, Ordering::Relaxed);
        self.behind_ms.store(behind_ms, Ordering::Relaxed);
        behind_ms
    }

    /// A transaction came to its end.
    pub fn committed(&self, xid: u32) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.last_transaction.store(xid.into(), Ordering::Relaxed);
    }

    /// So many transactions wait for their end, with so many bytes in memory and on disk.
    pub fn open_transactions(&self, count: usize, memory: usize, disk: u64) {
        for (gauge, value) in self.open.iter().zip([count as u64, memory as u64, disk]) {
            gauge.store(value, Ordering::Relaxed);
        }
    }

    /// So many bytes of them went to disk.
    pub fn spilled(&self, bytes: u64) {
        self.open[3].fetch_add(bytes, Ordering::Relaxed);
    }

    /// No snapshot is needed.
    pub fn snapshot_skipped(&self) {
        self.snapshot.lock().skipped = true;
    }

    /// A snapshot of these tables begins.
    pub fn snapshot_begins(&self, tables: impl Iterator<Item = String>) {
        let tables = tables.map(|name| (name, (0, false))).collect();
        *self.snapshot.lock() = Snapshot { begun: Some(Instant::now()), tables, ..Snapshot::default() };
    }

    /// So many rows of a table are read.
    pub fn rows(&self, table: &str, rows: u64, done: bool) {
        self.last_row_us.store(now_us(), Ordering::Relaxed);
        self.snapshot.lock().tables.insert(table.to_owned(), (rows, done));
    }

    /// The snapshot is over.
    pub fn snapshot_ends(&self, completed: bool) {
        let mut snapshot = self.snapshot.lock();
        if let Some(begun) = snapshot.begun.take() {
            snapshot.seconds = begun.elapsed().as_secs();
            snapshot.completed = completed;
            snapshot.aborted = !completed;
        }
    }

    /// What both contexts have.
    fn common(&self, events: &EventCounts, read: u64, last_us: i64, out: &mut dyn Readings) {
        let since = if last_us == 0 { -1.0 } else { ((now_us() - last_us) / 1_000) as f64 };
        out.put("MilliSecondsSinceLastEvent", Reading::Gauge(since));
        out.put("TotalNumberOfEventsSeen", Reading::Count(read));
        out.put("TotalNumberOfCreateEventsSeen", events.get(EventKind::Create));
        out.put("TotalNumberOfUpdateEventsSeen", events.get(EventKind::Update));
        out.put("TotalNumberOfDeleteEventsSeen", events.get(EventKind::Delete));
        out.put("NumberOfErroneousEvents", Reading::Count(self.erroneous.load(Ordering::Relaxed)));
        let free = self.queue.upgrade().map_or(self.queue_batches, |queue| queue.capacity());
        out.put("QueueTotalCapacity", Reading::Gauge((self.queue_batches * self.batch_size) as f64));
        out.put("QueueRemainingCapacity", Reading::Gauge((free * self.batch_size) as f64));
        out.put("MaxQueueSizeInBytes", Reading::Gauge(self.queue_bytes as f64));
    }

    fn streaming(&self, out: &mut dyn Readings) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        out.group(&[("context", "streaming"), ("server", &self.server)]);
        self.common(&self.events, self.events.total(), self.last_event_us.load(Ordering::Relaxed), out);
        let behind = self.behind_ms.load(Ordering::Relaxed);
        out.put("Connected", Reading::Flag(self.connected.load(Ordering::Relaxed)));
        out.put("MilliSecondsBehindSource", Reading::Gauge(behind as f64));
        // As panels for earlier versions ask for it.
        out.put("SecondsBehindMaster", Reading::Gauge(if behind < 0 { -1.0 } else { (behind / 1_000) as f64 }));
        out.put("NumberOfEventsFiltered", Reading::Count(get(&self.filtered)));
        out.put("NumberOfEventsSkipped", Reading::Count(get(&self.filtered)));
        out.put("NumberOfCommittedTransactions", Reading::Count(get(&self.transactions)));
        out.put("LastTransactionId", Reading::Gauge(get(&self.last_transaction) as f64));
        let [open, memory, disk, spilled] = &self.open;
        out.put("OpenTransactions", Reading::Gauge(get(open) as f64));
        out.put("OpenTransactionsMemoryBytes", Reading::Gauge(get(memory) as f64));
        out.put("OpenTransactionsDiskBytes", Reading::Gauge(get(disk) as f64));
        out.put("OpenTransactionsSpilledBytes", Reading::Count(get(spilled)));
        let tables = self.tables.lock().clone();
        out.put("CapturedTableCount", Reading::Gauge(tables.len() as f64));
        out.group(&[("context", "streaming"), ("server", &self.server), ("key", "lsn")]);
        out.put("SourceEventPosition", Reading::Gauge(get(&self.lsn) as f64));
        for (table, counts) in tables {
            out.group(&[("context", "streaming"), ("server", &self.server), ("table", &table)]);
            out.put("NumberOfCreateEventsSeen", counts.get(EventKind::Create));
            out.put("NumberOfUpdateEventsSeen", counts.get(EventKind::Update));
            out.put("NumberOfDeleteEventsSeen", counts.get(EventKind::Delete));
            out.put("NumberOfTruncateEventsSeen", counts.get(EventKind::Truncate));
            out.put("create_events_count", counts.get(EventKind::Create));
            out.put("update_events_count", counts.get(EventKind::Update));
            out.put("delete_events_count", counts.get(EventKind::Delete));
        }
    }

    fn snapshot(&self, out: &mut dyn Readings) {
        let snapshot = self.snapshot.lock();
        let rows: u64 = snapshot.tables.values().map(|(rows, _)| rows).sum();
        let left = snapshot.tables.values().filter(|(_, done)| !done).count();
        let seconds = snapshot.begun.map_or(snapshot.seconds, |begun| begun.elapsed().as_secs());
        out.group(&[("context", "snapshot"), ("server", &self.server)]);
        self.common(&EventCounts::default(), rows, self.last_row_us.load(Ordering::Relaxed), out);
        out.put("NumberOfEventsFiltered", Reading::Count(0));
        out.put("NumberOfEventsSkipped", Reading::Count(0));
        out.put("TotalTableCount", Reading::Gauge(snapshot.tables.len() as f64));
        out.put("RemainingTableCount", Reading::Gauge(left as f64));
        out.put("SnapshotRunning", Reading::Flag(snapshot.begun.is_some()));
        out.put("SnapshotPaused", Reading::Flag(false));
        out.put("SnapshotCompleted", Reading::Flag(snapshot.completed));
        out.put("SnapshotAborted", Reading::Flag(snapshot.aborted));
        out.put("SnapshotSkipped", Reading::Flag(snapshot.skipped));
        out.put("SnapshotDurationInSeconds", Reading::Gauge(seconds as f64));
        out.put("SnapshotPausedDurationInSeconds", Reading::Gauge(0.0));
        let tables = snapshot.tables.iter().map(|(table, (rows, _))| (table.as_str(), *rows));
        let others = (snapshot.tables.len() > TABLES_MAX)
            .then(|| (OTHER_TABLES, tables.clone().skip(TABLES_MAX).map(|(_, rows)| rows).sum()));
        for (table, rows) in tables.take(TABLES_MAX).chain(others) {
            out.group(&[("context", "snapshot"), ("server", &self.server), ("table", table)]);
            out.put("RowsScanned", Reading::Count(rows));
        }
    }
}

impl Measures for PostgresMetrics {
    fn read(&self, out: &mut dyn Readings) {
        self.snapshot(out);
        self.streaming(out);
    }
}
