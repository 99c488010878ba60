//! Where the reader puts its records: batches, handed over to the task through a bounded channel.

use std::sync::Arc;

use connect_api::{Checkpoint, Error, OffsetMap, Record, Result, SourceBatch};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::offset::Position;
use crate::session::Closed;
use crate::settings::Settings;

/// A place in a batch that a position belongs to.
struct Mark {
    after: usize,
    position: Position,
    beside: Option<Arc<OffsetMap>>,
    confirm: u64,
}

/// Collects records into batches and hands them over.
pub struct Outlet {
    sender: mpsc::Sender<Result<SourceBatch>>,
    /// Batches handed over so far.
    sent: u64,
    partition: Arc<OffsetMap>,
    records: Vec<Record>,
    /// The newest place in the batch that a position belongs to.
    mark: Option<Mark>,
    /// What is stored beside positions that are marked from now on.
    beside: Option<Arc<OffsetMap>>,
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
            sent: 0,
            partition: Arc::new(partition),
            records: Vec::with_capacity(max),
            mark: None,
            beside: None,
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
        self.mark = Some(Mark { after: self.records.len(), position, beside: self.beside.clone(), confirm });
    }

    /// Says what is to be stored beside positions that are marked from now on.
    pub fn beside(&mut self, fields: Option<Arc<OffsetMap>>) {
        self.beside = fields;
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

    /// How many batches were handed over.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Hands over what ended the reader.
    pub async fn fail(&self, error: Error) -> Result<(), Closed> {
        self.sender.send(Err(error)).await.map_err(|_| Closed)
    }

    /// Waits for room at the other side. Cancel-safe.
    pub async fn room(&self) -> Result<mpsc::OwnedPermit<Result<SourceBatch>>, Closed> {
        self.sender.clone().reserve_owned().await.map_err(|_| Closed)
    }

    /// Hands the batch over.
    pub fn send(&mut self, permit: mpsc::OwnedPermit<Result<SourceBatch>>) {
        self.bytes = 0;
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(self.max));
        let checkpoints = self.mark.take().map(|mark| {
            let mut offset = mark.position.to_offset();
            if let Some(beside) = mark.beside {
                offset.extend(beside.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            Checkpoint { after: mark.after, partition: Arc::clone(&self.partition), offset, tag: mark.confirm }
        });
        self.sent += 1;
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
