//! Streaming: messages of the slot become records, in order, and positions go back to the server.
//!
//! A position is marked only where the next event has another place in the log, because events that share one can't be
//! told apart on a restart. What is confirmed to the server is what the worker said is stored, never more.

mod confirm;
mod told;
mod xmin;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind, Phase, Progress, StreamProgress};
use tokio::time::MissedTickBehavior;

use crate::beside::Beside;
use crate::catalog;
use crate::error::{DbError, PgError, within};
use crate::event::{Marker, Source};
use crate::heartbeat;
use crate::left_out::leave_out;
use crate::messages;
use crate::metrics::EventKind;
use crate::offset::{MessageType, Position, Resume};
use crate::pgoutput::{self, Begin, Commit, Malformed, Message, Old, Relation, Replicated, Tuple};
use crate::progress::{Follower, Handed};
use crate::session::{End, Session};
use crate::signals::act;
use crate::slot::{self, lsn_text};
use crate::stream::xmin::Xmin;
use crate::table::Table;
use crate::transactions::Counted;
use crate::wire::{Frame, Wire, identifier, literal};

/// How often, at least, it is looked how far the stream is, and the server is asked the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The transaction that is being read.
struct Transaction {
    begin: Begin,
    /// Delivered as a whole before, by the stream or in the snapshot.
    skipped: bool,
    /// Events up to here were delivered before.
    done_until: Option<u64>,
    /// Events at exactly that place: one is known to be delivered, of several it is not known which.
    doubtful: Vec<Message>,
}

/// A running stream.
pub struct Stream<'a> {
    pub(crate) session: &'a mut Session,
    sql: Beside,
    pub(crate) wire: Wire,
    pub(crate) position: &'a mut Position,
    resume: Resume,
    /// `None` for tables that are not captured.
    tables: HashMap<u32, Option<Arc<Table>>>,
    transaction: Option<Transaction>,
    /// The position has moved since it was marked.
    unmarked: bool,
    /// Everything before this place is delivered or not wanted.
    pub(crate) resolved: u64,
    /// The last place that a mark spoke of, and when.
    marked: (u64, Instant),
    received: u64,
    /// When this began, in microseconds since the epoch.
    began_us: i64,
    answer: bool,
    /// The place and the commit's time of the last event since metrics were told of one.
    seen: Option<(u64, i64)>,
    follower: Follower,
    xmin: Xmin,
    /// The server was asked how far it is, and the answer is to be told at once.
    pinged: bool,
    /// There is something new to tell.
    news: bool,
    /// When something came from the server last, or nothing could because nothing was read.
    heard: Instant,
    /// The server was silent for too long at the last look. What lay in the socket then is read by the next.
    overdue: bool,
}

fn malformed(error: Malformed) -> Error {
    Error::new(ErrorKind::Bug, error.to_string()).hint("report this with the server's version")
}

impl<'a> Stream<'a> {
    /// A stream from a position on, over sessions that are open.
    pub fn new(session: &'a mut Session, sql: Wire, wire: Wire, position: &'a mut Position) -> Self {
        let resume = Resume::from(position);
        let follower = Follower::new(session.taken.clone());
        let silence = session.settings.silence;
        let xmin = Xmin::new(session.settings.xmin_interval);
        Self {
            session,
            sql: Beside::new(sql, silence),
            wire,
            position,
            resume,
            tables: HashMap::new(),
            transaction: None,
            unmarked: false,
            resolved: 0,
            marked: (0, Instant::now()),
            received: 0,
            began_us: crate::event::now_us(),
            answer: false,
            seen: None,
            follower,
            xmin,
            pinged: false,
            news: false,
            heard: Instant::now(),
            overdue: false,
        }
    }

    /// Streams until the task stops or the connection fails.
    pub async fn run(mut self) -> Result<(), End> {
        self.start().await?;
        let ended = match act::begin(&mut self).await {
            Ok(()) => self.serve().await,
            Err(end) => Err(end),
        };
        if let Err(End::Closed) = &ended {
            self.close().await;
        }
        ended
    }

    async fn start(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        let from = self.position.lsn_commit.unwrap_or(0);
        let mut options =
            format!("\"proto_version\" '1', \"publication_names\" {}", literal(&identifier(&settings.publication)));
        let own = |name: &str| settings.stream_params.iter().any(|(given, _)| given == name);
        if self.wire.server_version >= messages::SINCE && !own("messages") {
            options.push_str(", \"messages\" 'true'");
        }
        for (name, value) in &settings.stream_params {
            options.push_str(&format!(", {} {}", identifier(name), literal(value)));
        }
        let command =
            format!("START_REPLICATION SLOT {} LOGICAL {} ({options})", identifier(&settings.slot), lsn_text(from));
        let mut retries = 0;
        loop {
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            match within(settings.silence, self.wire.start_copy(&command), late).await {
                Ok(()) => break,
                Err(error) if error.sqlstate() == Some("55006") && retries < settings.slot_max_retries => {
                    retries += 1;
                    tracing::warn!(slot = %settings.slot, %error, retries, "the slot is in use; trying again");
                    tokio::select! {
                        () = self.session.cancel.cancelled() => return Err(End::Closed),
                        () = tokio::time::sleep(settings.slot_retry_delay) => {}
                    }
                }
                Err(error) => return Err(start_error(error, from, &settings.slot).into()),
            }
        }
        tracing::info!(source = %settings.prefix, slot = %settings.slot, from = %lsn_text(from), "streaming");
        self.session.metrics.connected(true);
        self.session.streaming = Some(tokio::time::Instant::now());
        self.heard = Instant::now();
        self.report();
        Ok(())
    }

    /// What left the reader, and what did not.
    fn handed(&self) -> Handed {
        let outlet = &self.session.outlet;
        Handed { batches: outlet.sent(), waiting: outlet.has_records(), read: self.resolved }
    }

    pub(crate) fn report(&mut self) {
        self.news = false;
        let position = Some(lsn_text(self.received.max(self.position.furthest())));
        let handed = self.handed();
        let stream: StreamProgress = self.follower.progress(handed);
        (self.session.report)(Progress {
            phase: Phase::Streaming,
            position,
            stream: Some(stream),
            ..Progress::default()
        });
    }

    /// Tells how far the stream is, and asks the server the same: for the place up to which it has nothing more to send, and
    /// for the end of its log, which a stream that is behind does not know.
    async fn look(&mut self) -> Result<(), End> {
        self.check_silence()?;
        self.report();
        self.tell_server(true).await?;
        self.pinged = true;
        self.sql.ask_end(&self.session.settings.server).await;
        Ok(())
    }

    /// A connection whose other end is gone without a word, or that nothing passes through, looks like an idle one, but for
    /// the answers that do not come.
    fn check_silence(&mut self) -> Result<(), End> {
        let settings = &self.session.settings;
        let Some(limit) = settings.silence else { return Ok(()) };
        if self.session.outlet.is_full() {
            // Nothing is read until there is room.
            self.heard = Instant::now();
        }
        let overdue = self.heard.elapsed() >= limit;
        if overdue && std::mem::replace(&mut self.overdue, true) {
            let silent = PgError::silent(&settings.server.address(), limit);
            return Err(silent.failed_to("read the stream").into());
        }
        self.overdue = overdue;
        Ok(())
    }

    /// Something else was done for a while: what the server said meanwhile was not heard.
    pub(crate) fn nothing_was_read(&mut self) {
        self.heard = Instant::now();
        self.overdue = false;
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut status = tokio::time::interval(self.session.settings.status_interval);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let beat = self.session.settings.heartbeat_interval;
        let mut heartbeat = tokio::time::interval(beat.unwrap_or(Duration::from_secs(3600)));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.tick().await;
        let often = self.session.settings.silence.map_or(LOOK_EVERY, |silence| LOOK_EVERY.min(silence / 2));
        let mut look = tokio::time::interval(often);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let signalled = self.session.signals.polls();
        let mut signals = tokio::time::interval(self.session.settings.signals.poll_interval);
        signals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(frame) = self.wire.buffered_frame().map_err(|e| e.failed_to("read the stream"))? {
                self.frame(frame).await?;
                if self.session.signals.is_due(self.resolved) {
                    act::arrived(self).await?;
                }
                if self.session.outlet.is_full() {
                    break;
                }
            }
            if let Some((lsn, commit_us)) = self.seen.take() {
                let behind_ms = self.session.metrics.streamed(lsn, commit_us);
                self.follower.behind(behind_ms);
            }
            if self.news && !self.pinged && !self.sql.is_asked() {
                self.report();
            }
            if std::mem::take(&mut self.answer) {
                self.confirm().await?;
            }
            let session = &mut *self.session;
            let full = session.outlet.is_full();
            let content = session.outlet.has_content();
            let asked = self.sql.is_asked();
            tokio::select! {
                biased;
                () = session.cancel.cancelled() => return Err(End::Closed),
                _ = look.tick() => self.look().await?,
                permit = session.outlet.room(), if content => {
                    session.outlet.send(permit?);
                    self.follower.handed(session.outlet.sent(), self.resolved);
                }
                changed = session.confirmed.changed() => {
                    if changed.is_err() {
                        return Err(End::Closed);
                    }
                    self.confirm().await?;
                }
                _ = status.tick() => {
                    self.confirm().await?;
                    self.mark_idle();
                }
                end = self.sql.end(), if asked => {
                    self.news = true;
                    self.follower.ends_at(end.unwrap_or(0));
                }
                _ = heartbeat.tick(), if beat.is_some() => self.beat().await?,
                _ = signals.tick(), if signalled => act::look(self).await?,
                filled = self.wire.fill(), if !full => {
                    filled.map_err(|e| e.failed_to("read the stream"))?;
                    self.heard = Instant::now();
                }
            }
        }
    }

    async fn close(mut self) {
        if let Err(End::Failed(error)) = self.confirm().await {
            tracing::debug!(%error, "the last position was not confirmed");
        }
        let settings = Arc::clone(&self.session.settings);
        self.wire.close(true).await;
        if let Some(mut sql) = self.sql.into_session().await {
            if settings.slot_drop_on_stop
                && let Err(error) = slot::drop_slot(&mut sql, &settings.slot).await
            {
                tracing::warn!(slot = %settings.slot, %error, "the slot was not dropped");
            }
            sql.close(false).await;
        }
    }

    /// A snapshot that was asked for is done: its position is the one to store, until the stream brings the next event.
    pub(crate) fn mark_snapshot(&mut self, position: Position) {
        let counted = self.counted();
        self.session.outlet.mark_in(position, counted, false);
        self.unmarked = false;
    }

    /// True between the begin and the end of a transaction.
    pub(crate) fn transaction_is_open(&self) -> bool {
        self.transaction.is_some()
    }

    /// Something was handed over or decided between two events: stores how far that is, and hurries the server's next word
    /// about its log when a window waits for it.
    pub(crate) async fn settled(&mut self) -> Result<(), End> {
        let between = self.transaction.is_none() && !self.unmarked && *self.position != Position::default();
        if between && self.session.signals.is_settled() {
            self.mark();
        }
        if self.session.signals.window.until.is_some() {
            self.tell_server(true).await?;
        }
        Ok(())
    }

    /// Lets the stored position follow the log when nothing that is captured changes, so that the server can free it.
    fn mark_idle(&mut self) {
        let (place, at) = self.marked;
        let quiet = at.elapsed() >= 2 * self.session.settings.status_interval;
        if !quiet || self.transaction.is_some() || self.session.outlet.has_content() || self.resolved <= place {
            return;
        }
        self.position.lsn = Some(self.resolved);
        self.position.lsn_proc = Some(self.resolved);
        self.position.lsn_commit = Some(self.resolved);
        self.position.message = Some(MessageType::Commit);
        self.position.snapshot = None;
        self.position.xmin = self.xmin.value;
        self.position.ts_us = Some(crate::event::now_us());
        self.mark();
    }

    fn mark(&mut self) {
        let counted = self.counted();
        self.session.outlet.mark_in(*self.position, counted, true);
        self.unmarked = false;
        self.marked = (self.position.furthest().max(self.resolved), Instant::now());
    }

    /// What is stored of the open transaction, where that is told.
    fn counted(&self) -> Option<Counted> {
        self.session.settings.transaction_topic.is_some().then(|| self.session.counted.clone())
    }

    async fn beat(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        if let Some(query) = &settings.heartbeat_query {
            let asked = self.sql.session(&settings.server).await?.query(query);
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            if let Err(error) = within(settings.silence, asked, late).await {
                tracing::warn!(source = %settings.prefix, %error, "heartbeat.action.query failed");
                if matches!(error, PgError::Timeout(_)) {
                    self.sql.lose();
                }
            }
            // Nothing was read meanwhile.
            self.heard = Instant::now();
        }
        let record = heartbeat::record(&settings.heartbeat_topic, &settings.prefix);
        self.session.outlet.records().push(record);
        if *self.position != Position::default() && !self.unmarked {
            self.mark();
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), End> {
        match frame.tag {
            b'd' => match pgoutput::replicated(&frame.body).map_err(malformed)? {
                Replicated::Data { lsn, payload } => {
                    self.received = self.received.max(lsn);
                    self.session.outlet.count_bytes(payload.len());
                    let message = pgoutput::decode(&payload).map_err(malformed)?;
                    self.message(lsn, message).await
                }
                Replicated::KeepAlive { wal_end, reply } => {
                    self.received = self.received.max(wal_end);
                    if self.transaction.is_none() {
                        self.resolved = self.resolved.max(wal_end);
                    }
                    self.news |= std::mem::take(&mut self.pinged);
                    self.answer |= reply;
                    Ok(())
                }
            },
            b'E' => Err(PgError::Db(DbError::parse(&frame.body)).failed_to("read the stream").into()),
            b'c' | b'C' | b'Z' => Err(Error::new(ErrorKind::Unavailable, "the server ended the stream").into()),
            _ => Ok(()),
        }
    }

    async fn message(&mut self, lsn: u64, message: Message) -> Result<(), End> {
        if self.xmin.is_due() {
            self.read_xmin().await?;
        }
        match message {
            Message::Begin(begin) => {
                let snapshot = self.session.snapshotted.as_ref();
                let seen = snapshot.is_some_and(|(seen, until)| begin.final_lsn < *until && seen.sees(begin.xid));
                let skipped = seen || self.resume.skips_transaction(begin.final_lsn);
                let done_until = if skipped { None } else { self.resume.take_event() };
                self.transaction = Some(Transaction { begin, skipped, done_until, doubtful: Vec::new() });
                if !skipped {
                    self.tell_begin(lsn, &begin, done_until.is_some());
                }
                Ok(())
            }
            Message::Commit(commit) => self.commit(commit),
            Message::Relation(relation) => self.relation(relation).await,
            Message::Logical { transactional: false, prefix, content, .. } => {
                self.tell_message(lsn, &prefix, content);
                Ok(())
            }
            Message::Other => Ok(()),
            change => self.change(lsn, change),
        }
    }

    fn commit(&mut self, commit: Commit) -> Result<(), End> {
        self.settle_doubt()?;
        if self.unmarked {
            self.mark();
        }
        let transaction = self.transaction.take();
        if let Some(transaction) = &transaction {
            self.follower.committed(commit.end_lsn, transaction.begin.commit_us);
        }
        self.resolved = self.resolved.max(commit.end_lsn);
        if let Some(transaction) = transaction.filter(|transaction| !transaction.skipped) {
            self.position.committed(commit.end_lsn);
            self.session.metrics.committed(transaction.begin.xid);
            self.tell_end(&transaction.begin, commit.end_lsn);
        }
        Ok(())
    }

    async fn relation(&mut self, relation: Relation) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        if !settings.filters.table(&relation.schema, &relation.table) {
            self.tables.insert(relation.oid, None);
            return Ok(());
        }
        let read = async {
            let sql = self.sql.session(&settings.server).await?;
            let described = async {
                let metas = catalog::describe(sql, &[relation.oid]).await?;
                let types = catalog::types(sql, relation.columns.iter().map(|column| column.type_oid)).await?;
                Ok((metas, types))
            };
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            let described = within(settings.silence, described, late).await;
            described.map_err(|e| e.failed_to(&format!("read the columns of {}.{}", relation.schema, relation.table)))
        };
        let (metas, types) = match read.await {
            Ok(read) => read,
            Err(error) => {
                // The session may be what failed: the next attempt opens another one.
                self.sql.lose();
                return Err(error.into());
            }
        };
        let mut table = Table::from_relation(&relation, metas.first(), &types, &settings);
        table.counts = self.session.metrics.table(&table.name.to_string());
        self.session.signals.described(relation.oid, &table.name);
        tracing::debug!(table = %table.name, columns = relation.columns.len(), "table described by the stream");
        self.tables.insert(relation.oid, Some(Arc::new(table)));
        // Nothing was read meanwhile.
        self.heard = Instant::now();
        Ok(())
    }

    /// A change: delivered, unless it was before.
    fn change(&mut self, lsn: u64, message: Message) -> Result<(), End> {
        let Some(transaction) = &mut self.transaction else {
            return Err(Error::new(ErrorKind::Bug, "the server sent a change outside of a transaction").into());
        };
        if transaction.skipped {
            return Ok(());
        }
        if let Some(done) = transaction.done_until {
            if lsn < done {
                return Ok(());
            }
            if lsn == done {
                transaction.doubtful.push(message);
                return Ok(());
            }
            self.settle_doubt()?;
        }
        self.deliver(lsn, message)
    }

    /// Of several events at one place, all are delivered again: better twice than never.
    fn settle_doubt(&mut self) -> Result<(), End> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let doubtful = std::mem::take(&mut transaction.doubtful);
        let Some(lsn) = transaction.done_until.take() else { return Ok(()) };
        if doubtful.len() > 1 {
            for message in doubtful {
                self.deliver(lsn, message)?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, lsn: u64, message: Message) -> Result<(), End> {
        if self.unmarked && self.position.lsn_proc != Some(lsn) {
            self.mark();
        }
        let before = self.session.outlet.records().len();
        self.seen = self.transaction.as_ref().map(|transaction| (lsn, transaction.begin.commit_us));
        let kind = match self.made(lsn, message) {
            Ok(Some(kind)) => kind,
            Ok(None) => return Ok(()),
            Err(error) => return self.not_made(lsn, before, error),
        };
        self.session.signals.event_at = before;
        if self.session.outlet.records().len() > before {
            self.count(before, lsn, kind == MessageType::Message);
            let begin = self.transaction.as_ref().map(|transaction| transaction.begin);
            *self.position = Position {
                lsn: Some(lsn),
                lsn_proc: Some(lsn),
                lsn_commit: self.position.lsn_commit,
                tx_id: begin.map(|begin| begin.xid.into()),
                ts_us: begin.map(|begin| begin.commit_us),
                message: Some(kind),
                snapshot: None,
                xmin: self.xmin.value,
            };
            self.unmarked = true;
        }
        Ok(())
    }

    /// Makes the records of an event; `None` for what is no event.
    fn made(&mut self, lsn: u64, message: Message) -> Result<Option<MessageType>, Error> {
        let kind = match message {
            Message::Insert { relation, new } => self.insert(lsn, relation, &new)?,
            Message::Update { relation, old, new } => self.update(lsn, relation, old.as_ref(), &new)?,
            Message::Delete { relation, old } => self.delete(lsn, relation, &old)?,
            Message::Truncate { relations } => self.truncate(lsn, &relations)?,
            Message::Logical { prefix, content, .. } => {
                let source = self.source(lsn);
                let Session { events, messages, outlet, .. } = &mut *self.session;
                outlet.records().extend(messages.record(events, &prefix, content, &source));
                MessageType::Message
            }
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }

    /// An event that can't be made into records: `event.processing.failure.handling.mode` says what becomes of the task.
    fn not_made(&mut self, lsn: u64, before: usize, error: Error) -> Result<(), End> {
        let settings = &self.session.settings;
        leave_out(settings.event_failure, error, &settings.prefix, &lsn_text(lsn))?;
        self.session.outlet.records().truncate(before);
        self.session.metrics.erroneous();
        Ok(())
    }

    fn source(&self, lsn: u64) -> Source {
        let begin = self.transaction.as_ref().map(|transaction| transaction.begin);
        Source {
            marker: Marker::Stream,
            lsn,
            last_commit: self.position.lsn_commit,
            tx_id: begin.map(|begin| begin.xid.into()),
            ts_us: begin.map_or(0, |begin| begin.commit_us),
            xmin: self.xmin.value,
        }
    }

    fn table(&self, relation: u32) -> Result<Option<Arc<Table>>, Error> {
        self.tables.get(&relation).cloned().ok_or_else(|| {
            Error::new(ErrorKind::Bug, format!("the server sent a change of relation {relation} before describing it"))
        })
    }

    /// The table of an event that the settings want; each event is counted.
    fn wanted(&self, relation: u32, kind: EventKind) -> Result<Option<Arc<Table>>, Error> {
        let (skipped, metrics) = (&self.session.settings.skipped, &self.session.metrics);
        let left_out = match kind {
            EventKind::Create => skipped.create,
            EventKind::Update => skipped.update,
            EventKind::Delete => skipped.delete,
            EventKind::Truncate => skipped.truncate,
        };
        let table = self.table(relation)?.filter(|_| !left_out);
        match &table {
            Some(table) => metrics.event(kind, &table.counts),
            None => metrics.filtered(),
        }
        Ok(table)
    }

    fn insert(&mut self, lsn: u64, relation: u32, new: &Tuple) -> Result<MessageType, Error> {
        let watched = self.session.signals.watches(relation);
        if let Some(table) = self.wanted(relation, EventKind::Create)? {
            let row = table.streamed_row(new, None)?;
            if watched {
                self.session.signals.inserted(relation, &table, &row);
            }
            let record = self.session.events.create(&table, row, &self.source(lsn));
            self.session.outlet.records().push(record);
        } else if watched && let Some(table) = self.table(relation)? {
            // Signals count whether they become records or not.
            self.session.signals.inserted(relation, &table, &table.streamed_row(new, None)?);
        }
        Ok(MessageType::Insert)
    }

    fn update(&mut self, lsn: u64, relation: u32, old: Option<&Old>, new: &Tuple) -> Result<MessageType, Error> {
        if let Some(table) = self.wanted(relation, EventKind::Update)? {
            let old = match old {
                Some(old) => Some((table.streamed_row(old.tuple(), None)?, matches!(old, Old::Full(_)))),
                None => None,
            };
            let whole = old.as_ref().filter(|(_, whole)| *whole).map(|(row, _)| row.as_slice());
            let new = table.streamed_row(new, whole)?;
            let unchanged = self.session.settings.skip_unchanged
                && old.as_ref().is_some_and(|(old, whole)| *whole && table.same_image(old, &new));
            if unchanged {
                return Ok(MessageType::Update);
            }
            let source = self.source(lsn);
            let Session { events, outlet, signals, .. } = &mut *self.session;
            if signals.watches(relation) {
                signals.changed(relation, &table, &new);
                if let Some((old, _)) = &old {
                    signals.changed(relation, &table, old);
                }
            }
            events.update(&table, old, new, &source, outlet.records());
        }
        Ok(MessageType::Update)
    }

    fn delete(&mut self, lsn: u64, relation: u32, old: &Old) -> Result<MessageType, Error> {
        let watched = self.session.signals.watches(relation);
        if let Some(table) = self.wanted(relation, EventKind::Delete)? {
            let row = table.streamed_row(old.tuple(), None)?;
            let source = self.source(lsn);
            let Session { events, outlet, signals, .. } = &mut *self.session;
            if watched {
                signals.deleted(relation, &table, &row);
            }
            events.delete(&table, row, &source, outlet.records());
        } else if watched && let Some(table) = self.table(relation)? {
            // A window may be closed by it, whether it becomes a record or not.
            self.session.signals.deleted(relation, &table, &table.streamed_row(old.tuple(), None)?);
        }
        Ok(MessageType::Delete)
    }

    fn truncate(&mut self, lsn: u64, relations: &[u32]) -> Result<MessageType, Error> {
        for &relation in relations {
            self.session.signals.emptied(relation);
            if let Some(table) = self.wanted(relation, EventKind::Truncate)? {
                let record = self.session.events.truncate(&table, &self.source(lsn));
                self.session.outlet.records().push(record);
            }
        }
        Ok(MessageType::Truncate)
    }
}

/// Why the stream did not start.
fn start_error(error: PgError, from: u64, slot: &str) -> Error {
    let what = format!(
        "start the replication stream at {} with slot \"{slot}\"; when setting up multiple connectors for the same \
         database host, please make sure to use a distinct replication slot name for each",
        lsn_text(from)
    );
    if error.sqlstate() != Some("55006") {
        return error.failed_to(&what);
    }
    // The retries that are configured for this case are used up. Beneath, it is what passes when the other session ends: that of
    // a worker that died, for which the server waits.
    Error::new(ErrorKind::Config, format!("failed to {what}: {error}"))
        .class("io.debezium.DebeziumException")
        .hint("give each connector its own slot.name, or stop what uses this slot")
        .caused_by(error.failed_to(&what))
}
