//! Positions, as Debezium stores them (`PostgresOffsetContext`), so that either implementation continues the other's.
//!
//! `lsn` and `lsn_proc` are where the last delivered event stands, `lsn_commit` is the end of the last transaction
//! before it. On a restart the stream begins anew at the transaction after `lsn_commit`; of that one, events up to
//! `lsn_proc` are there already ([`Resume`]). Where several events share a place, [`Within`] says how many.

mod within;

use connect_api::{Error, OffsetMap};
use serde_json::Value;

pub use within::Within;

/// The kind of the last message, as the offset names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    Insert,
    Update,
    Delete,
    Truncate,
    Message,
    Commit,
}

impl MessageType {
    const ALL: [Self; 6] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate, Self::Message, Self::Commit];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True for what happens inside a transaction.
    fn is_change(self) -> bool {
        self != Self::Commit
    }

    fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::Message => "MESSAGE",
            Self::Commit => "COMMIT",
        }
    }
}

/// A snapshot's mark in an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The whole snapshot is delivered with this offset.
    pub completed: bool,
    /// It was asked for while the stream went on.
    pub blocking: bool,
}

/// A position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub lsn: Option<u64>,
    pub lsn_proc: Option<u64>,
    pub lsn_commit: Option<u64>,
    pub tx_id: Option<i64>,
    /// Microseconds since the epoch.
    pub ts_us: Option<i64>,
    pub message: Option<MessageType>,
    pub snapshot: Option<SnapshotMark>,
    /// The oldest transaction whose catalogue rows the slot keeps, where that is read.
    pub xmin: Option<i64>,
    /// More than that is delivered, of events that share a place; or what is at `lsn_proc` is known to be all that stands there.
    pub within: Option<Within>,
}

/// The partition of a source.
pub fn partition(prefix: &str) -> OffsetMap {
    let mut map = OffsetMap::new();
    map.insert("server".to_owned(), Value::from(prefix));
    map
}

fn lsn(value: u64) -> Value {
    Value::from(value.cast_signed())
}

impl Position {
    /// The stored form.
    pub fn to_offset(&self) -> OffsetMap {
        let mut map = OffsetMap::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        put("last_snapshot_record", self.snapshot.map(|mark| mark.completed.into()));
        put("lsn_proc", self.lsn_proc.map(lsn));
        put("xmin", self.xmin.map(Value::from));
        put("messageType", self.message.map(|message| message.name().into()));
        put("lsn_commit", self.lsn_commit.map(lsn));
        put("lsn", self.lsn.map(lsn));
        put("txId", self.tx_id.map(Value::from));
        put("ts_usec", self.ts_us.map(Value::from));
        put("snapshot", self.snapshot.map(|mark| if mark.blocking { "BLOCKING" } else { "INITIAL" }.into()));
        put("snapshot_completed", self.snapshot.map(|mark| mark.completed.into()));
        put(within::FIELD, self.within.map(|within| within.text(self).into()));
        map
    }

    /// What the server may be told once this is stored.
    pub fn confirmable(&self) -> Option<u64> {
        self.lsn_commit.or(self.lsn_proc)
    }

    /// Reads a stored offset; what is not a number where one belongs is an error.
    pub fn from_offset(offset: &OffsetMap) -> Result<Self, Error> {
        let number = |key: &str| match offset.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                Error::data(format!("the stored offset has {value} as '{key}', which is no number")).hint(
                    "correct it with PATCH /connectors/{name}/offsets, or delete the offsets to start with a snapshot",
                )
            }),
        };
        let lsn = |key: &str| number(key).map(|value| value.map(i64::cast_unsigned));
        let flag = |key: &str| match offset.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        // A blocking snapshot of the reference is no reason for another one: it belongs to a stream.
        let in_snapshot = match offset.get("snapshot") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(kind)) => !kind.eq_ignore_ascii_case("blocking"),
            Some(_) => true,
        };
        let position = Self {
            lsn: lsn("lsn")?,
            lsn_proc: lsn("lsn_proc")?,
            lsn_commit: lsn("lsn_commit")?,
            tx_id: number("txId")?,
            ts_us: number("ts_usec")?,
            message: offset.get("messageType").and_then(Value::as_str).and_then(MessageType::parse),
            snapshot: in_snapshot
                .then(|| flag("snapshot_completed") || flag("last_snapshot_record"))
                .map(|completed| SnapshotMark { completed, blocking: false }),
            xmin: number("xmin")?,
            within: None,
        };
        let within = offset.get(within::FIELD).and_then(Value::as_str);
        Ok(Self { within: within.and_then(|text| Within::parse(text, &position)), ..position })
    }

    /// A transaction is delivered as a whole, up to the end of its commit record. The next one is whole too: its events
    /// may stand before the last one delivered, when the two ran at the same time.
    pub fn committed(&mut self, end: u64) {
        self.within = None;
        self.lsn_commit = Some(end.max(self.lsn_commit.unwrap_or(0)));
        if self.message.is_some() {
            self.message = Some(MessageType::Commit);
        }
    }

    /// A transaction was delivered before, and of a later one what [`Position::within`] says.
    pub fn passed(&mut self, end: u64) {
        let within = self.within;
        self.committed(end);
        self.within = within;
    }

    /// A message that belongs to no transaction is delivered. It is the end of all before it, and of nothing that is open: events of
    /// transactions that end later may stand before it.
    pub fn told(&mut self, lsn: u64, ts_us: i64) {
        *self = Self {
            lsn: Some(lsn),
            lsn_proc: Some(lsn),
            lsn_commit: Some(lsn.max(self.lsn_commit.unwrap_or(0))),
            tx_id: None,
            ts_us: Some(ts_us),
            message: Some(MessageType::Message),
            snapshot: None,
            xmin: self.xmin,
            within: None,
        };
    }

    /// What shares the place of the last event is delivered as a whole. Of one event alone nothing has to be said.
    pub fn complete(&mut self) {
        self.within = self.within.filter(|within| within.events > 1);
    }

    /// True where the last event is delivered, and at its place perhaps not all: false for a position of the reference, and
    /// for one that stands before the events which [`Position::within`] counts.
    pub fn is_at_event(&self) -> bool {
        let change = self.message.is_some_and(MessageType::is_change) && !self.is_after_message();
        change && self.within.is_some_and(|within| self.lsn_proc == Some(within.lsn))
    }

    /// Up to where the log must reach that has all that is delivered: past the place where a change begins, and past the begin of
    /// the commit record of a transaction that was begun.
    pub fn delivered_to(&self) -> u64 {
        let change = self.lsn_proc.filter(|_| self.message.is_some_and(MessageType::is_change));
        let begun = self.within.map(|within| within.commit);
        [change, begun].into_iter().flatten().map(|place| place.saturating_add(1)).fold(self.furthest(), u64::max)
    }

    /// Goes back to a place between transactions.
    pub fn back_to(&mut self, place: u64) {
        for lsn in [&mut self.lsn, &mut self.lsn_proc, &mut self.lsn_commit] {
            *lsn = lsn.map(|lsn| lsn.min(place));
        }
        self.within = None;
        self.message = self.message.map(|_| MessageType::Commit);
    }

    /// True after such a message. One within a transaction has the end of an earlier one before it.
    fn is_after_message(&self) -> bool {
        self.message == Some(MessageType::Message) && self.lsn_proc == self.lsn_commit
    }

    /// True when the last message was the end of a transaction, or belonged to none.
    pub fn is_between(&self) -> bool {
        self.message == Some(MessageType::Commit) || self.is_after_message()
    }

    /// True when a snapshot was begun and not finished.
    pub fn in_unfinished_snapshot(&self) -> bool {
        self.snapshot.is_some_and(|mark| !mark.completed)
    }

    /// The highest place in the log that this position speaks of.
    pub fn furthest(&self) -> u64 {
        [self.lsn, self.lsn_proc, self.lsn_commit].into_iter().flatten().max().unwrap_or(0)
    }
}

/// What of a replayed stream is delivered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Transactions whose commit record starts before this are done.
    commit: u64,
    /// In the first transaction after them, this is done.
    event: Done,
    /// The same, when the transaction is the one that this speaks of.
    within: Option<Within>,
    /// Messages outside of transactions up to here are done.
    message: Option<u64>,
}

/// What of a transaction is delivered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Nothing,
    /// Events up to this place. Of several at exactly that place it is not known whether all are.
    Until(u64),
    /// Events before a place, and so many there.
    Within(Within),
}

impl Resume {
    /// What the stored position says.
    pub fn from(position: &Position) -> Self {
        let within = position.within;
        if position.snapshot.is_some() {
            return Self { commit: 0, event: Done::Nothing, within, message: None };
        }
        let commit = position.lsn_commit.unwrap_or(0);
        if position.is_after_message() {
            return Self { commit, event: Done::Nothing, within, message: position.lsn_proc };
        }
        // After a commit the next transaction is whole. The place alone does not tell: events of a transaction may
        // stand before the end of the one that was committed earlier, or exactly there.
        let change = position.message.is_some_and(MessageType::is_change);
        let event = position.lsn_proc.or(position.lsn).filter(|_| change).map_or(Done::Nothing, Done::Until);
        Self { commit, event, within, message: None }
    }

    /// True when a message that belongs to no transaction is delivered already.
    pub fn skips_message(&self, lsn: u64) -> bool {
        // It comes at once: before transactions that are committed later.
        self.message.is_some_and(|done| lsn <= done) || self.within.is_some_and(|within| lsn < within.commit)
    }

    /// True when a whole transaction is delivered already.
    pub fn skips_transaction(&self, commit_record: u64) -> bool {
        commit_record < self.commit
    }

    /// True when it is delivered, though the position that the reference reads stands before its end: transactions come in the order
    /// of their commit records, and one after it was begun.
    pub fn passes_transaction(&self, commit_record: u64) -> bool {
        self.within.is_some_and(|within| commit_record < within.commit)
    }

    /// What is delivered of the transaction that begins now. Later ones are whole.
    pub fn take_event(&mut self, commit_record: u64) -> Done {
        let event = std::mem::replace(&mut self.event, Done::Nothing);
        match self.within.take() {
            Some(within) if within.commit == commit_record => Done::Within(within),
            _ => event,
        }
    }

    /// True while a transaction that was begun is still to come, in a stream that has come to this place.
    pub fn waits(&self, resolved: u64) -> bool {
        self.within.is_some_and(|within| resolved <= within.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_stored_form() {
        let position = Position {
            lsn: Some(100),
            lsn_proc: Some(100),
            lsn_commit: Some(90),
            tx_id: Some(7),
            ts_us: Some(1_700_000_000_000_000),
            message: Some(MessageType::Insert),
            snapshot: None,
            xmin: None,
            within: None,
        };
        let offset = position.to_offset();
        assert_eq!(
            serde_json::to_string(&offset).expect("serializable"),
            r#"{"lsn_proc":100,"messageType":"INSERT","lsn_commit":90,"lsn":100,"txId":7,"ts_usec":1700000000000000}"#
        );
        assert_eq!(Position::from_offset(&offset).expect("readable"), position);
        let with_xmin = Position { xmin: Some(740), ..position };
        let offset = with_xmin.to_offset();
        let text = serde_json::to_string(&offset).expect("serializable");
        assert!(text.starts_with(r#"{"lsn_proc":100,"xmin":740,"messageType""#), "{text}");
        assert_eq!(Position::from_offset(&offset).expect("readable"), with_xmin);
    }

    #[test]
    fn an_unfinished_snapshot_is_seen() {
        let begun = Position { snapshot: Some(SnapshotMark::default()), ..Position::default() };
        assert!(Position::from_offset(&begun.to_offset()).expect("readable").in_unfinished_snapshot());
        let done = Position {
            snapshot: Some(SnapshotMark { completed: true, ..SnapshotMark::default() }),
            ..Position::default()
        };
        assert!(!Position::from_offset(&done.to_offset()).expect("readable").in_unfinished_snapshot());
    }

    #[test]
    fn a_blocking_snapshot_belongs_to_the_stream() {
        let offset = serde_json::from_str(r#"{"lsn":1,"snapshot":"BLOCKING","snapshot_completed":false}"#);
        let position = Position::from_offset(&offset.expect("valid")).expect("readable");
        assert_eq!(position.snapshot, None);
    }

    #[test]
    fn a_log_that_ends_where_a_change_begins_does_not_have_it() {
        let after = |message| Position { lsn_proc: Some(100), message: Some(message), ..Position::default() };
        assert_eq!(after(MessageType::Insert).delivered_to(), 101);
        assert_eq!(after(MessageType::Commit).delivered_to(), 100);
    }

    #[test]
    fn text_for_a_number_is_refused() {
        let offset = serde_json::from_str(r#"{"lsn":"text"}"#).expect("valid");
        assert!(Position::from_offset(&offset).is_err());
    }

    #[test]
    fn a_resumed_stream_skips_what_is_done() {
        let insert = Some(MessageType::Insert);
        let at = |lsn, commit, message| Position {
            lsn: Some(lsn),
            lsn_proc: Some(lsn),
            lsn_commit: Some(commit),
            message,
            ..Position::default()
        };
        let position = at(120, 100, insert);
        let mut resume = Resume::from(&position);
        assert!(resume.skips_transaction(95));
        assert!(!resume.skips_transaction(130));
        assert_eq!(resume.take_event(130), Done::Until(120));
        assert_eq!(resume.take_event(140), Done::Nothing);
        // An event may stand before the end of the transaction that was committed earlier, or exactly there.
        assert_eq!(Resume::from(&at(90, 100, insert)).take_event(130), Done::Until(90));
        assert_eq!(Resume::from(&at(100, 100, insert)).take_event(130), Done::Until(100));
        // After a commit nothing of the next transaction is done.
        let between = at(100, 100, Some(MessageType::Commit));
        assert_eq!(Resume::from(&between).take_event(130), Done::Nothing);
    }

    #[test]
    fn after_a_message_of_no_transaction_the_next_transaction_is_whole() {
        let mut position = Position::default();
        position.committed(100);
        position.told(150, 1);
        let mut resume = Resume::from(&Position::from_offset(&position.to_offset()).expect("readable"));
        assert!(resume.skips_transaction(120) && !resume.skips_transaction(200));
        assert!(resume.skips_message(150) && !resume.skips_message(151));
        assert_eq!(
            resume.take_event(200),
            Done::Nothing,
            "an event at 110 of a transaction that ends at 200 is not done"
        );
        // One of a transaction is an event like others.
        let within = Position { lsn_commit: Some(100), ..position };
        let mut resume = Resume::from(&within);
        assert_eq!((resume.take_event(200), resume.skips_message(150)), (Done::Until(150), false));
    }

    #[test]
    fn after_a_commit_nothing_of_a_transaction_that_ran_beside_it_is_done() {
        // Begun first, with an event at 100; the other wrote at 110, and its commit ended at 130.
        let mut position = Position { lsn: Some(110), lsn_proc: Some(110), ..Position::default() };
        position.message = Some(MessageType::Insert);
        position.committed(130);
        let mut resume = Resume::from(&Position::from_offset(&position.to_offset()).expect("readable"));
        assert!(resume.skips_transaction(120));
        assert!(!resume.skips_transaction(200));
        assert_eq!(resume.take_event(200), Done::Nothing, "its event at 100 is not done");
    }

    #[test]
    fn events_of_one_place_are_told_apart() {
        // Three of the rows at 120 are delivered, of a transaction that ends at 200.
        let within = Within { commit: 200, lsn: 120, events: 3 };
        let before = Position {
            lsn: Some(110),
            lsn_proc: Some(110),
            lsn_commit: Some(100),
            message: Some(MessageType::Insert),
            within: Some(within),
            ..Position::default()
        };
        let stored = Position::from_offset(&before.to_offset()).expect("readable");
        assert_eq!(stored, before);
        assert!(!stored.is_at_event(), "the reference goes on behind 110, and loses nothing");
        let mut resume = Resume::from(&stored);
        assert!(resume.passes_transaction(150) && !resume.passes_transaction(200), "it was committed earlier");
        assert!(resume.waits(180) && !resume.waits(201));
        assert_eq!(resume.take_event(200), Done::Within(within));
        assert_eq!(resume.take_event(300), Done::Nothing);
        // The reference has gone on, or somebody has changed the position: the field is gone, or does not fit.
        let mut offset = before.to_offset();
        offset.insert("lsn_proc".to_owned(), 90.into());
        let changed = Position::from_offset(&offset).expect("readable");
        assert_eq!(Resume::from(&changed).take_event(200), Done::Until(90));
        assert!(!Resume::from(&changed).passes_transaction(150));
        // Its end counts for what comes later; an event of the one that was begun may stand before 110.
        let mut passed = before;
        passed.passed(160);
        let passed = Position::from_offset(&passed.to_offset()).expect("readable");
        assert_eq!((passed.lsn_commit, passed.message), (Some(160), Some(MessageType::Commit)));
        assert_eq!(Resume::from(&passed).take_event(200), Done::Within(within));
        // Another transaction than the one that it speaks of.
        assert_eq!(Resume::from(&before).take_event(250), Done::Until(110));
    }

    #[test]
    fn of_a_place_with_one_event_nothing_is_said() {
        let within = |events| Some(Within { commit: 200, lsn: 120, events });
        let position = Position {
            lsn: Some(120),
            lsn_proc: Some(120),
            lsn_commit: Some(100),
            message: Some(MessageType::Insert),
            ..Position::default()
        };
        let mut one = Position { within: within(1), ..position };
        assert!(one.is_at_event());
        one.complete();
        assert_eq!(one, position);
        let mut two = Position { within: within(2), ..position };
        two.complete();
        assert_eq!(two.within, within(2));
        two.committed(210);
        assert_eq!(two.within, None, "the transaction is over");
    }

    #[test]
    fn the_first_transaction_after_a_snapshot_is_continued_where_it_was_left() {
        let position = Position {
            lsn: Some(50),
            snapshot: Some(SnapshotMark { completed: true, blocking: false }),
            within: Some(Within { commit: 200, lsn: 120, events: 3 }),
            ..Position::default()
        };
        let mut resume = Resume::from(&Position::from_offset(&position.to_offset()).expect("readable"));
        assert!(resume.passes_transaction(150) && !resume.skips_transaction(150));
        assert_eq!(resume.take_event(200), Done::Within(Within { commit: 200, lsn: 120, events: 3 }));
    }
}
