//! Where the reader puts its records: batches, handed over to the task through a bounded channel.

use std::sync::Arc;

use connect_api::{Between, Checkpoint, Error, OffsetMap, Record, Result, SourceBatch};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lineage::{self, Lineage};
use crate::offset::Position;
use crate::session::Closed;
use crate::settings::Settings;
use crate::transactions::Counted;

/// Collects records into batches and hands them over.
pub struct Outlet {
    sender: mpsc::Sender<Result<SourceBatch>>,
    /// Batches handed over so far.
    sent: u64,
    partition: Arc<OffsetMap>,
    records: Vec<Record>,
    /// The newest place in the batch that a position belongs to.
    mark: Option<Mark>,
    /// Those before it, where a transformation may drop records: the stored position is that of the last one sent.
    earlier: Option<Vec<Mark>>,
    /// What is stored beside positions that are marked from now on.
    beside: Option<Arc<OffsetMap>>,
    /// The server that positions marked from now on belong to, where that is stored.
    lineage: Option<Value>,
    lineage_stored: bool,
    /// The log that positions marked from now on belong to.
    log: u8,
    /// The signals of the Kafka channel that positions marked from now on come after.
    signals: u64,
    max: usize,
    /// Bytes read for the records in the batch, and how many are enough.
    bytes: usize,
    max_bytes: usize,
}

/// A place in a batch.
struct Mark {
    /// Records before it.
    after: usize,
    position: Position,
    /// What of the open transaction is before the position, where that is told.
    counted: Option<Arc<Counted>>,
    /// The same with what was delivered behind the position ([`Position::within`]).
    more: Option<Arc<Counted>>,
    /// What is stored beside the position.
    beside: Option<Arc<OffsetMap>>,
    lineage: Option<Value>,
    /// Once it is stored.
    tag: Tag,
}

/// What comes back with a position that is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// The position may be confirmed to the server.
    pub confirms: bool,
    /// How many logs were left before the one that the position belongs to: a place in another log is not to be confirmed.
    pub log: u8,
    /// The next offset after the signals of the Kafka channel that were acted upon before.
    pub signals: u64,
}

/// The bits of a log's number: as many as a process needs that sees a server change.
const LOG_BITS: u32 = 7;
const LOG_MAX: u8 = (1 << LOG_BITS) - 1;

impl Tag {
    fn pack(self) -> u64 {
        self.signals << (LOG_BITS + 1) | u64::from(self.log & LOG_MAX) << 1 | u64::from(self.confirms)
    }

    /// Reads what a checkpoint carries.
    pub fn unpack(tag: u64) -> Self {
        let log = u8::try_from(tag >> 1 & u64::from(LOG_MAX)).unwrap_or(LOG_MAX);
        Self { confirms: tag & 1 == 1, log, signals: tag >> (LOG_BITS + 1) }
    }
}

/// Gives the position of the event that a record is of: that of the first mark behind it. A mark before all records is that of
/// the last record of the batch before.
fn between(marks: Vec<Mark>, partition: Arc<OffsetMap>) -> Between {
    Between::new(move |record| {
        if record == 0 {
            return marks.first().filter(|mark| mark.after == 0).map(|mark| mark.checkpoint(&partition));
        }
        let at = marks.partition_point(|mark| mark.after < record);
        let mark = marks.get(at).or_else(|| marks.last())?;
        Some(mark.checkpoint(&partition))
    })
}

impl Mark {
    fn checkpoint(&self, partition: &Arc<OffsetMap>) -> Checkpoint {
        Checkpoint { after: self.after, partition: Arc::clone(partition), offset: self.offset(), tag: self.tag.pack() }
    }

    fn offset(&self) -> OffsetMap {
        let mut offset = self.position.to_offset();
        if let Some(counted) = &self.counted {
            counted.put_into(&mut offset);
        }
        if let Some(more) = &self.more {
            let nothing = Counted::default();
            more.put_more_into(self.counted.as_deref().unwrap_or(&nothing), &mut offset);
        }
        if let Some(beside) = &self.beside {
            offset.extend(beside.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        if let Some(lineage) = &self.lineage {
            offset.insert(lineage::FIELD.to_owned(), lineage.clone());
        }
        offset
    }
}

/// A batch is handed over when it holds so many records, or rows of this size. More of them would not be faster: what is under
/// way should stay in the processor's cache.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

impl Outlet {
    /// An empty one.
    pub fn new(sender: mpsc::Sender<Result<SourceBatch>>, partition: OffsetMap, settings: &Settings) -> Self {
        let max = settings.batch_size.min(BATCH_MAX);
        let limit = settings.queue_bytes.map_or(BATCH_BYTES_MAX, |bytes| bytes / settings.queue_batches);
        Self {
            sender,
            sent: 0,
            partition: Arc::new(partition),
            records: Vec::with_capacity(max),
            mark: None,
            earlier: settings.transforms.then(Vec::new),
            beside: None,
            lineage: None,
            lineage_stored: settings.identity_stored,
            log: 0,
            signals: 0,
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

    /// Takes a record out again that was put in.
    pub fn take_out(&mut self, record: usize) {
        if record >= self.records.len() {
            return;
        }
        self.records.remove(record);
        for mark in self.mark.iter_mut().chain(self.earlier.iter_mut().flatten()) {
            if mark.after > record {
                mark.after -= 1;
            }
        }
    }

    /// Says that everything put in so far is complete up to a position that is not to be confirmed to the server.
    pub fn mark(&mut self, position: Position) {
        self.mark_in(position, None, false);
    }

    /// The same, within a transaction whose events are counted; `confirms` for one that may be confirmed.
    pub fn mark_in(&mut self, position: Position, counted: Option<Arc<Counted>>, confirms: bool) {
        self.put(position, (counted, None), confirms);
    }

    /// Says that everything put in so far is complete up to what [`Position::within`] says. `counted` is what was counted up to the
    /// position, and up to there.
    pub fn mark_within(&mut self, position: Position, counted: (Option<Arc<Counted>>, Option<Arc<Counted>>)) {
        self.put(position, counted, true);
    }

    fn put(&mut self, position: Position, counted: (Option<Arc<Counted>>, Option<Arc<Counted>>), confirms: bool) {
        let tag = Tag { confirms, log: self.log, signals: self.signals };
        let (counted, more) = counted;
        let (beside, lineage) = (self.beside.clone(), self.lineage.clone());
        let mark = Mark { after: self.records.len(), position, counted, more, beside, lineage, tag };
        let before = self.mark.replace(mark);
        // One without a record behind it is replaced by the next.
        if let (Some(earlier), Some(before)) = (&mut self.earlier, before)
            && before.after < self.records.len()
        {
            earlier.push(before);
        }
    }

    /// Says what is to be stored beside positions that are marked from now on.
    pub fn beside(&mut self, fields: Option<Arc<OffsetMap>>) {
        self.beside = fields;
    }

    /// The log that positions belong to which are marked from now on ([`Tag::log`]).
    pub fn log(&self) -> u8 {
        self.log
    }

    /// Positions that are marked from now on belong to another log.
    pub fn leave_log(&mut self) {
        self.log = self.log.saturating_add(1).min(LOG_MAX);
    }

    /// Says which server positions belong to that are marked from now on.
    pub fn belongs_to(&mut self, lineage: &Lineage) {
        self.lineage = self.lineage_stored.then(|| Value::from(lineage.to_string()));
    }

    /// Says up to which offset of the Kafka channel signals were acted upon before positions that are marked from now on.
    pub fn acted(&mut self, next: u64) {
        self.signals = self.signals.max(next);
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
        let mark = self.mark.take();
        let checkpoints = mark.iter().map(|mark| mark.checkpoint(&self.partition)).collect();
        let between = self.earlier.as_mut().map(|earlier| {
            let mut marks = std::mem::take(earlier);
            marks.extend(mark);
            between(marks, Arc::clone(&self.partition))
        });
        self.sent += 1;
        permit.send(Ok(SourceBatch { records, checkpoints, between }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_position_of_its_event() {
        let mark = |after, lsn| Mark {
            after,
            position: Position { lsn: Some(lsn), ..Position::default() },
            counted: None,
            more: None,
            beside: None,
            lineage: None,
            tag: Tag { confirms: true, log: 0, signals: lsn },
        };
        // A delete has two records, and the last one has no position yet.
        let between = between(vec![mark(1, 10), mark(3, 20), mark(4, 30)], Arc::new(OffsetMap::new()));
        let at = |record| between.at(record).map(|checkpoint| Tag::unpack(checkpoint.tag).signals);
        assert_eq!(
            [at(0), at(1), at(2), at(3), at(4), at(5)],
            [None, Some(10), Some(20), Some(20), Some(30), Some(30)]
        );
    }

    #[test]
    fn marks_move_up_with_the_records_before_them() {
        let (sender, _batches) = mpsc::channel(1);
        let props = [
            ("topic.prefix", "p"),
            ("database.hostname", "h"),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("transforms", "t"),
        ];
        let props = props.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let mut outlet = Outlet::new(sender, OffsetMap::new(), &Settings::parse(&props).expect("valid settings"));
        for topic in ["a", "b", "c"] {
            let datum = connect_api::Datum::null;
            outlet.records().push(Record::source(topic.into(), datum(), datum()));
            outlet.mark(Position::default());
        }
        outlet.take_out(1);
        outlet.take_out(7);
        let topics: Vec<&str> = outlet.records.iter().map(|record| &*record.topic).collect();
        assert_eq!(topics, ["a", "c"]);
        let marks = outlet.earlier.iter().flatten().chain(&outlet.mark).map(|mark| mark.after);
        assert_eq!(marks.collect::<Vec<_>>(), [1, 1, 2]);
    }

    #[test]
    fn a_tag_comes_back_as_it_was() {
        for tag in [
            Tag::default(),
            Tag { confirms: true, log: 3, signals: 0 },
            Tag { confirms: false, log: LOG_MAX, signals: 1 << 55 },
        ] {
            assert_eq!(Tag::unpack(tag.pack()), tag);
        }
    }
}
