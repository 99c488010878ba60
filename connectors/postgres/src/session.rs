//! The task's reader: decides on a snapshot, takes it, streams, and connects again when the connection breaks.
//!
//! It runs beside the worker's loop and hands whole batches over a bounded channel, so that reading the socket and
//! writing to Kafka overlap while order stays. Positions come back through a watch: the reader confirms to the server
//! nothing else.

use std::sync::Arc;
use std::time::Duration;

use connect_api::{Checkpoint, Error, ErrorKind, OffsetMap, Phase, Progress, Record, Result, SourceBatch};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::metrics::PostgresMetrics;
use crate::offset::Position;
use crate::settings::{Settings, SnapshotMode};
use crate::slot::{self, Created, SlotState, lsn_text};
use crate::snapshot;
use crate::stream::Stream;
use crate::visible::Visible;
use crate::wire::{Purpose, Wire};

/// Reports how far the task is.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// Collects records into batches and hands them over.
pub struct Outlet {
    sender: mpsc::Sender<Result<SourceBatch>>,
    partition: Arc<OffsetMap>,
    records: Vec<Record>,
    /// The newest place in the batch that a position belongs to: records before it, the position, what to confirm.
    mark: Option<(usize, Position, u64)>,
    max: usize,
    /// Bytes read for the records in the batch, and how many are enough.
    bytes: usize,
    max_bytes: usize,
}

/// A batch is handed over when it holds rows of this size, whatever their number.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Outlet {
    /// An empty one.
    pub fn new(sender: mpsc::Sender<Result<SourceBatch>>, partition: OffsetMap, settings: &Settings) -> Self {
        let max = settings.batch_size;
        let limit = settings.queue_bytes.map_or(BATCH_BYTES_MAX, |bytes| bytes / settings.queue_batches);
        Self {
            sender,
            partition: Arc::new(partition),
            records: Vec::with_capacity(max),
            mark: None,
            max,
            bytes: 0,
            max_bytes: limit.min(BATCH_BYTES_MAX),
        }
    }

    /// Counts what was read for the next records.
    pub fn count_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Where records are put.
    pub fn records(&mut self) -> &mut Vec<Record> {
        &mut self.records
    }

    /// Says that everything put in so far is complete up to a position; `confirm` is 0 for nothing to confirm.
    pub fn mark(&mut self, position: Position, confirm: u64) {
        self.mark = Some((self.records.len(), position, confirm));
    }

    /// True when there are records in it.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// True when there is anything to hand over.
    pub fn has_content(&self) -> bool {
        self.has_records() || self.mark.is_some()
    }

    /// True when no more should be put in.
    pub fn is_full(&self) -> bool {
        self.records.len() >= self.max || (self.bytes >= self.max_bytes && self.has_records())
    }

    /// Waits for room at the other side. Cancel-safe.
    pub async fn room(&self) -> Result<mpsc::OwnedPermit<Result<SourceBatch>>, Closed> {
        self.sender.clone().reserve_owned().await.map_err(|_| Closed)
    }

    /// Hands the batch over.
    pub fn send(&mut self, permit: mpsc::OwnedPermit<Result<SourceBatch>>) {
        self.bytes = 0;
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(self.max));
        let checkpoints = self.mark.take().map(|(after, position, tag)| Checkpoint {
            after,
            partition: Arc::clone(&self.partition),
            offset: position.to_offset(),
            tag,
        });
        permit.send(Ok(SourceBatch { records, checkpoints: checkpoints.into_iter().collect() }));
    }

    /// Waits for room and hands the batch over, unless the task is to stop.
    pub async fn flush(&mut self, cancel: &CancellationToken) -> Result<(), Closed> {
        let permit = tokio::select! {
            () = cancel.cancelled() => return Err(Closed),
            permit = self.room() => permit?,
        };
        self.send(permit);
        Ok(())
    }
}

/// The task is to stop, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why a reader came to an end.
pub enum End {
    /// The task stops.
    Closed,
    Failed(Error),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The reader of one task.
pub struct Session {
    pub settings: Arc<Settings>,
    pub events: Events,
    pub outlet: Outlet,
    /// What is delivered, or handed over to be.
    pub position: Option<Position>,
    /// A snapshot was begun in this run, and rows of it may have been handed over.
    pub snapshot_begun: bool,
    /// A snapshot of this run is done: another attempt of it does not take a second one.
    pub snapshot_done: bool,
    /// What that snapshot saw, when the slot is older than it, and the place in the log after which that does not
    /// matter any more.
    pub snapshotted: Option<(Visible, u64)>,
    pub confirmed: watch::Receiver<u64>,
    pub cancel: CancellationToken,
    pub report: Report,
    pub metrics: Arc<PostgresMetrics>,
}

impl Session {
    /// Reads until the task stops or an error says that trying again is no use.
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let before = self.position;
            let ended = self.attempt().await;
            self.metrics.connected(false);
            let error = match ended {
                Ok(()) | Err(End::Closed) => break,
                Err(End::Failed(error)) => error,
            };
            failures = if self.position == before { failures + 1 } else { 1 };
            let more = self.settings.retries.is_none_or(|retries| failures <= retries);
            if !(error.kind().retriable() && more) {
                self.metrics.erroneous();
                tracing::error!(source = %self.settings.prefix, error = %error, "the reader failed");
                if self.outlet.sender.send(Err(error)).await.is_err() {
                    tracing::debug!("nobody listens any more: the task was stopped meanwhile");
                }
                break;
            }
            let wait = self.settings.retry_wait;
            tracing::warn!(source = %self.settings.prefix, error = %error, failures, ?wait, "the connection failed; trying again");
            tokio::select! {
                () = self.cancel.cancelled() => break,
                () = tokio::time::sleep(wait.max(Duration::from_millis(50))) => {}
            }
        }
    }

    /// One connection's life.
    async fn attempt(&mut self) -> Result<(), End> {
        (self.report)(Progress::default());
        let settings = Arc::clone(&self.settings);
        let mut sql = Wire::connect(&settings.server, Purpose::Sql)
            .await
            .map_err(|e| e.failed_to(&format!("connect to {}", settings.server.address())))?;
        let mut slot_state = None;
        if settings.streams() {
            slot::ensure_publication(&mut sql, &settings).await?;
            slot_state = slot::state(&mut sql, &settings.slot).await.map_err(|e| e.failed_to("look for the slot"))?;
            if let Some(state) = &slot_state {
                slot::check(state, &settings)?;
            }
        }
        let wants_snapshot = self.wants_snapshot(slot_state.as_ref())?;
        let mut replication = None;
        let mut created = None;
        if settings.streams() {
            let mut wire = self.replication().await?;
            if slot_state.is_none() {
                created = Some(slot::create(&mut wire, &settings).await?);
            }
            replication = Some(wire);
        }
        if wants_snapshot {
            let taken = self.take_snapshot(&mut sql, created.as_ref()).await;
            self.metrics.snapshot_ends(taken.is_ok());
            taken?;
        } else if !self.snapshot_done {
            self.metrics.snapshot_skipped();
        }
        let Some(replication) = replication else {
            (self.report)(Progress { phase: Phase::Snapshot, ..Progress::default() });
            sql.close(false).await;
            // The snapshot was all that is wanted: the task stays, without anything to do.
            self.cancel.cancelled().await;
            return Ok(());
        };
        self.pause(settings.streaming_delay).await?;
        let mut position = self.position.unwrap_or_default();
        let streamed = Stream::new(self, sql, replication, &mut position).run().await;
        self.position = Some(position).filter(|position| *position != Position::default());
        streamed
    }

    async fn replication(&self) -> Result<Wire, Error> {
        let server = &self.settings.server;
        Wire::connect(server, Purpose::Replication)
            .await
            .map_err(|e| e.failed_to(&format!("open a replication session with {}", server.address())))
    }

    async fn take_snapshot(&mut self, sql: &mut Wire, created: Option<&Created>) -> Result<(), End> {
        self.pause(self.settings.snapshot_delay).await?;
        // Rows of an attempt that was cut off are in Kafka already. What deleted them since is in the stream only, so that
        // nothing of the stream may be skipped after another attempt.
        let unfinished = self.position.is_some_and(|position| position.in_unfinished_snapshot());
        let again = std::mem::replace(&mut self.snapshot_begun, true) || unfinished;
        let (position, seen) = snapshot::run(self, sql, created).await?;
        // A slot that is new has nothing to say of what the snapshot saw.
        self.snapshotted = Some(seen).filter(|_| created.is_none() && !again);
        // Also when there was nothing to read: a position from before may belong to another server's log.
        self.position = position;
        self.snapshot_done = true;
        Ok(())
    }

    async fn pause(&self, wait: Duration) -> Result<(), Closed> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(Closed),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Whether rows are read first. A stored position that can't be continued from is an error, unless the mode is
    /// to start afresh then.
    fn wants_snapshot(&self, slot: Option<&SlotState>) -> Result<bool, Error> {
        let settings = &self.settings;
        if self.snapshot_done {
            return Ok(false);
        }
        let unfinished = self.position.is_none_or(|position| position.in_unfinished_snapshot());
        let wanted = match settings.snapshot_mode {
            SnapshotMode::Always => true,
            SnapshotMode::ConfigurationBased => settings.configured.0,
            SnapshotMode::NoData => false,
            SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded => unfinished,
        };
        let Some(position) = self.position.filter(|_| !wanted && settings.streams()) else { return Ok(wanted) };
        let Some(lost) = lost(&position, slot, settings).filter(|_| settings.check_position) else {
            return Ok(false);
        };
        let afresh = match settings.snapshot_mode {
            SnapshotMode::WhenNeeded => true,
            SnapshotMode::ConfigurationBased => settings.configured.2,
            _ => false,
        };
        if afresh {
            tracing::warn!(source = %settings.prefix, reason = %lost.message(), "the stored position is lost: taking a snapshot");
            return Ok(true);
        }
        Err(lost)
    }
}

/// Why the stream can't be continued at a position.
fn lost(position: &Position, slot: Option<&SlotState>, settings: &Settings) -> Option<Error> {
    let at = lsn_text(position.furthest());
    let reason = match slot {
        None => format!("replication slot \"{}\" does not exist any more", settings.slot),
        Some(SlotState { restart_lsn: None, .. }) => {
            format!("the server keeps no log for replication slot \"{}\" any more", settings.slot)
        }
        Some(SlotState { confirmed_lsn: Some(confirmed), .. }) if *confirmed > position.furthest() => {
            format!("replication slot \"{}\" stands at {}, which is later", settings.slot, lsn_text(*confirmed))
        }
        Some(_) => return None,
    };
    Some(
        Error::new(
            ErrorKind::PositionLost,
            format!(
                "The connector is trying to read change stream starting at {at}, but this is no longer available on the \
                 server: {reason}. Reconfigure the connector to use a snapshot mode when needed."
            ),
        )
        .class("io.debezium.DebeziumException")
        .hint(
            "set snapshot.mode=when_needed to take a new snapshot, or delete the connector's offsets; changes made \
             meanwhile are not in the stream any more",
        ),
    )
}
