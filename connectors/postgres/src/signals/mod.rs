//! Signals: what users ask of a running source, through rows of a table, a topic or a file.
//!
//! [`parse`] makes a request of a signal, [`act`] carries it out between two messages of the stream. [`incremental`] reads
//! tables by chunks ([`chunk`]) whose rows wait in the [`window`] between two [`watermark`]s, and are not read before sessions see
//! what the stream has brought ([`unseen`]); how far it is, is part of the stored offset ([`state`], [`java`]). [`blocking`] reads
//! tables while the stream waits.

pub mod act;
pub mod blocking;
pub mod chunk;
pub mod file;
pub mod incremental;
pub mod java;
pub mod kafka;
pub mod key;
pub mod parse;
pub mod settings;
pub mod state;
pub mod unseen;
pub mod watermark;
pub mod window;

use std::collections::VecDeque;
use std::time::Instant;

use connect_api::{Error, Record, Value};

use crate::catalog::TableName;
use crate::signals::chunk::Plan;
use crate::signals::parse::{Signal, Snapshot};
use crate::signals::settings::{SignalSettings, Watermarks};
use crate::signals::state::State;
use crate::signals::unseen::Unseen;
use crate::signals::window::Window;
use crate::table::Table;
use crate::wire::Wire;

/// What a reader holds of its signals, over the lives of its connections.
pub struct Signals {
    settings: SignalSettings,
    /// The incremental snapshot.
    pub state: State,
    pub window: Window,
    /// How the table whose turn it is is read.
    pub plan: Option<Plan>,
    /// The session that chunks are read in.
    pub sql: Option<Wire>,
    /// Signals of the table that the stream has brought.
    pub arrived: VecDeque<Signal>,
    /// Signals of the channels beside the stream, with their offsets, until they were acted upon.
    pub waiting: VecDeque<(Option<i64>, Option<Signal>)>,
    /// The signal that is acted upon has had an effect: it is not acted upon again when that fails later.
    pub taken: bool,
    /// What was made of the event that closes a window, while the window's rows go before it.
    pub held: Vec<Record>,
    /// Blocking snapshots to be taken.
    pub blocking: VecDeque<Snapshot>,
    /// Where the records of the stream's last event begin in the batch.
    pub event_at: usize,
    /// A table could not be read in the chunk before.
    pub failed: bool,
    /// The incremental snapshot has begun with the signal that was acted upon last.
    pub begun: bool,
    /// Nothing where no signal can ever ask for rows.
    pub unseen: Option<Unseen>,
    /// When the next chunk is to be read, after it could not be.
    pub postponed: Option<Instant>,
    /// The signal table, as the stream names it.
    table: Option<u32>,
    kafka: Option<kafka::Channel>,
    /// It was told that no snapshot is needed.
    pub told: bool,
}

impl Signals {
    /// With the state that was stored.
    pub fn new(settings: &SignalSettings, server: &str, state: State) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.clone(),
            unseen: (settings.any_channel() || state.running()).then(Unseen::default),
            postponed: None,
            state,
            window: Window::default(),
            plan: None,
            sql: None,
            arrived: VecDeque::new(),
            waiting: VecDeque::new(),
            taken: false,
            held: Vec::new(),
            blocking: VecDeque::new(),
            event_at: 0,
            failed: false,
            begun: false,
            table: None,
            kafka: settings.kafka.as_ref().map(|kafka| kafka::Channel::open(kafka, server)).transpose()?,
            told: false,
        })
    }

    /// True when something is to be done before the next message of the stream, which has come to this place.
    pub fn is_due(&self, resolved: u64) -> bool {
        !self.arrived.is_empty()
            || self.window.until.is_some_and(|until| until <= resolved)
            || self.is_postponed_till_now()
    }

    /// It is time for a chunk that could not be read before.
    pub fn is_postponed_till_now(&self) -> bool {
        self.postponed.is_some_and(|at| at <= Instant::now())
    }

    /// The stream brings a transaction whose commit begins at a place.
    pub fn begins(&mut self, xid: u32, commit: u64) {
        if let Some(unseen) = &mut self.unseen {
            unseen.brought(xid, commit);
            self.window.begins(xid);
        }
    }

    /// True when all that was asked for is done. A position that comes after what is not must not be stored.
    pub fn is_settled(&self) -> bool {
        self.arrived.is_empty() && self.blocking.is_empty()
    }

    /// Where it is told up to which signal of the Kafka channel the effects are stored.
    pub fn acted(&self) -> kafka::Acted {
        self.kafka.as_ref().map(kafka::Channel::acted).unwrap_or_default()
    }

    /// True for a channel that has to be looked at now and then.
    pub fn polls(&self) -> bool {
        self.kafka.is_some() || self.settings.file.is_some()
    }

    /// The stream describes a table.
    pub fn described(&mut self, relation: u32, name: &TableName) {
        if self.settings.table.as_ref() == Some(name) {
            self.table = Some(relation);
        }
        if self.plan.as_ref().is_some_and(|plan| plan.oid == relation) {
            // Its columns may have changed.
            self.plan = None;
        }
    }

    /// True for a table whose changes count here: signals, or rows that take the place of waiting ones.
    pub fn watches(&self, relation: u32) -> bool {
        let relation = Some(relation);
        self.table == relation || self.window.relation == relation
    }

    /// A row was inserted.
    pub fn inserted(&mut self, relation: u32, table: &Table, row: &[Value]) {
        self.changed(relation, table, row);
        if self.table == Some(relation) && self.settings.source {
            let Some([id, kind, data]) = texts(table, row) else { return };
            self.arrived.push_back(Signal { id, kind: kind.unwrap_or_default(), data });
        }
    }

    /// A row was changed: this one's key is that of its old or new form.
    pub fn changed(&mut self, relation: u32, table: &Table, row: &[Value]) {
        if self.window.relation == Some(relation) {
            self.window.seen(table, row);
        }
    }

    /// A row was deleted.
    pub fn deleted(&mut self, relation: u32, table: &Table, row: &[Value]) {
        self.changed(relation, table, row);
        let closes = self.settings.watermarks == Watermarks::InsertDelete && self.settings.source;
        if self.table == Some(relation) && closes {
            let Some([id, ..]) = texts(table, row) else { return };
            let id = id.map(|id| id.replace("open", "close"));
            self.arrived.push_back(Signal { id, kind: "snapshot-window-close".to_owned(), data: None });
        }
    }

    /// A table was emptied.
    pub fn emptied(&mut self, relation: u32) {
        if self.window.relation == Some(relation) {
            self.window.emptied();
        }
    }
}

/// The three texts of a signal's row.
fn texts(table: &Table, row: &[Value]) -> Option<[Option<String>; 3]> {
    let text = |value: &Value| match value {
        Value::Null => Some(None),
        value => value.as_str().map(|text| Some(text.to_owned())),
    };
    let texts = match table.values(row) {
        [id, kind, data] => Some([text(id), text(kind), text(data)]),
        _ => None,
    };
    let texts = texts.and_then(|[id, kind, data]| Some([id?, kind?, data?]));
    if texts.is_none() {
        tracing::warn!(table = %table.name, "a row of the signal table is ignored: it has to have three columns of text");
    }
    texts
}

/// Reads the channels that have to be looked at.
fn poll(signals: &mut Signals) {
    if let Some(path) = &signals.settings.file {
        match file::take(path) {
            Ok(taken) => signals.waiting.extend(taken.into_iter().map(|signal| (None, Some(signal)))),
            Err(error) => tracing::warn!(path = %path.display(), %error, "the file of signals can't be read"),
        }
    }
    if let Some(channel) = &mut signals.kafka {
        while let Some((offset, signal)) = channel.take() {
            signals.waiting.push_back((Some(offset), signal));
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").field("settings", &self.settings).field("state", &self.state).finish_non_exhaustive()
    }
}
