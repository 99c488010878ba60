//! Streaming: messages of the slot become records, in order, and positions go back to the server.
//!
//! [`marks`] says what may be stored, [`transaction`] what is delivered again after a restart, [`events`] makes the records. What is
//! confirmed to the server is what the worker said is stored, never more ([`confirm`]). [`open`] keeps transactions in progress.

mod confirm;
mod described;
mod events;
mod look;
mod marks;
mod open;
mod relation;
mod reselected;
mod start;
mod told;
mod transaction;
mod xmin;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind};
use tokio::time::MissedTickBehavior;

use crate::beside::Beside;
use crate::error::{DbError, PgError};
use crate::offset::{Position, Resume};
use crate::pgoutput::{self, Malformed, Message, Replicated};
use crate::progress::Follower;
use crate::session::{End, Session};
use crate::signals::act;
use crate::signals::unseen::Unseen;
use crate::slot;
use crate::stream::described::Tables;
use crate::stream::open::Open;
use crate::stream::transaction::Transaction;
use crate::stream::xmin::Xmin;
use crate::wire::{Frame, Wire};

pub use marks::Marks;

/// How often, at least, it is looked how far the stream is, and the server is asked the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A running stream.
pub struct Stream<'a> {
    pub(crate) session: &'a mut Session,
    sql: Beside,
    pub(crate) wire: Wire,
    pub(crate) position: &'a mut Position,
    resume: Resume,
    tables: Tables,
    transaction: Option<Transaction>,
    /// Transactions that are not committed yet, where the server is asked for them.
    open: Option<Open>,
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
            tables: Tables::default(),
            transaction: None,
            open: None,
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
            self.take_in().await?;
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
            let delivers = self.delivers();
            let session = &mut *self.session;
            let full = session.outlet.is_full();
            let content = session.outlet.has_content();
            let asked = self.sql.is_asked();
            tokio::select! {
                biased;
                () = session.cancel.cancelled() => return Err(End::Closed),
                _ = look.tick() => self.look().await?,
                permit = session.outlet.room(), if content => {
                    let permit = permit?;
                    self.mark_within();
                    self.session.outlet.send(permit);
                    self.follower.handed(self.session.outlet.sent(), self.resolved);
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
                () = tokio::task::yield_now(), if delivers && !full => {}
                filled = self.wire.fill(), if !full && !delivers => {
                    filled.map_err(|e| e.failed_to("read the stream"))?;
                    self.heard = Instant::now();
                }
            }
        }
    }

    /// Takes what is there already: until there is no more, or the batch is full, or for a while.
    async fn take_in(&mut self) -> Result<(), End> {
        while !self.session.outlet.is_full() {
            if self.delivers() {
                self.deliver_kept().await?;
                if self.delivers() {
                    break;
                }
            }
            let Some(frame) = self.wire.buffered_frame().map_err(|e| e.failed_to("read the stream"))? else { break };
            self.frame(frame).await?;
            self.act().await?;
        }
        // Nothing leaves before it is whole.
        self.look_up_missing().await
    }

    /// Carries out what the stream has brought of signals, and looks up what is missing in records once that is worth it.
    async fn act(&mut self) -> Result<(), End> {
        let signalled = self.session.signals.is_due(self.resolved);
        if signalled || self.session.reselects.is_due() {
            self.look_up_missing().await?;
        }
        if signalled {
            act::arrived(self).await?;
        }
        Ok(())
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

    async fn frame(&mut self, frame: Frame) -> Result<(), End> {
        match frame.tag {
            b'd' => match pgoutput::replicated(&frame.body).map_err(malformed)? {
                Replicated::Data { lsn, payload } => {
                    self.received = self.received.max(lsn);
                    if self.in_block() {
                        return self.keep(lsn, &payload).await;
                    }
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
        if self.session.signals.unseen.as_ref().is_some_and(Unseen::is_long) {
            self.forget_seen().await?;
        }
        match message {
            Message::Begin(begin) => self.begin(lsn, begin),
            Message::Commit(commit) => self.commit(commit),
            Message::Relation(relation) => self.relation(lsn, relation).await,
            Message::Logical { transactional: false, prefix, content, .. } => {
                self.tell_message(lsn, &prefix, content);
                Ok(())
            }
            Message::StreamStart { .. }
            | Message::StreamStop
            | Message::StreamCommit { .. }
            | Message::StreamAbort { .. } => self.in_progress(lsn, message).await,
            Message::Other => Ok(()),
            change => self.change(lsn, change),
        }
    }
}
