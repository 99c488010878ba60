//! Positions that may be stored.
//!
//! A position is marked where the next event has another place in the log. A batch that ends between events that share one, or
//! behind one of which nobody knows yet whether others share its place, has the position before them, and says beside it how
//! many are delivered.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{PgError, within};
use crate::heartbeat;
use crate::offset::{MessageType, Position};
use crate::session::{End, Session};
use crate::stream::Stream;
use crate::transactions::Counted;

/// What is known of marks over the lives of connections.
#[derive(Debug, Default)]
pub struct Marks {
    /// The last position that all events at its place are before.
    position: Position,
    /// What was counted of its transaction up to there, where that is told.
    counted: Option<Arc<Counted>>,
    /// Events were delivered since.
    pub(super) unmarked: bool,
}

impl Marks {
    /// After a stored position, up to which so much was counted.
    pub fn stored(position: Position, counted: Counted) -> Self {
        let within = position.within.filter(|_| position.is_at_event());
        Self { position: Position { within, ..position }, counted: Some(counted.into()), unmarked: false }
    }

    /// A transaction begins, of which nothing is counted yet.
    pub(super) fn begin(&mut self, counted: &Counted) {
        self.counted = Some(counted.clone().into());
    }
}

impl Stream<'_> {
    /// A snapshot that was asked for is done: its position is the one to store, until the stream brings the next event.
    pub(crate) fn mark_snapshot(&mut self, position: Position) {
        let counted = self.counted();
        self.session.outlet.mark_in(position, counted.clone(), false);
        self.session.marks = Marks { position: Position { snapshot: None, ..position }, counted, unmarked: false };
    }

    /// True between the begin and the end of a transaction.
    pub(crate) fn transaction_is_open(&self) -> bool {
        self.transaction.is_some()
    }

    /// Something was handed over or decided between two events: stores how far that is, and hurries the server's next word
    /// about its log when a window waits for it.
    pub(crate) async fn settled(&mut self) -> Result<(), End> {
        let whole = !self.session.marks.unmarked && *self.position != Position::default();
        if self.transaction.is_none() && whole && self.session.signals.is_settled() {
            self.mark();
        }
        if self.session.signals.window.until.is_some() {
            self.tell_server(true).await?;
        }
        Ok(())
    }

    /// Lets the stored position follow the log when nothing that is captured changes, so that the server can free it.
    pub(super) fn mark_idle(&mut self) {
        let (place, at) = self.marked;
        let quiet = at.elapsed() >= 2 * self.session.settings.status_interval;
        let begun = self.transaction.is_some() || self.resume.waits(self.resolved);
        if !quiet || begun || self.session.outlet.has_content() || self.resolved <= place {
            return;
        }
        self.position.lsn = Some(self.resolved);
        self.position.lsn_proc = Some(self.resolved);
        self.position.lsn_commit = Some(self.resolved);
        self.position.message = Some(MessageType::Commit);
        self.position.snapshot = None;
        self.position.xmin = self.xmin.value;
        self.position.ts_us = Some(crate::event::now_us());
        self.position.within = None;
        self.mark();
    }

    /// All events that share the place of the last one are delivered.
    pub(super) fn mark(&mut self) {
        if self.session.marks.unmarked {
            self.position.complete();
        }
        let counted = self.counted();
        self.session.outlet.mark_in(*self.position, counted.clone(), true);
        self.session.marks = Marks { position: *self.position, counted, unmarked: false };
        self.marked = (self.position.furthest().max(self.resolved), Instant::now());
    }

    /// The batch is handed over: says how far it goes behind the last mark.
    pub(super) fn mark_within(&mut self) {
        let counted = self.session.settings.transaction_topic.is_some();
        let Session { marks, outlet, counted: now, .. } = &mut *self.session;
        if !marks.unmarked || marks.position == Position::default() {
            return;
        }
        let before = marks.counted.clone().filter(|_| counted);
        let position = Position { within: self.position.within, ..marks.position };
        outlet.mark_within(position, (before, counted.then(|| now.clone().into())));
    }

    /// What is stored of the open transaction, where that is told.
    fn counted(&self) -> Option<Arc<Counted>> {
        self.session.settings.transaction_topic.is_some().then(|| self.session.counted.clone().into())
    }

    pub(super) async fn beat(&mut self) -> Result<(), End> {
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
        if *self.position != Position::default() && !self.session.marks.unmarked {
            self.mark();
        }
        Ok(())
    }
}
