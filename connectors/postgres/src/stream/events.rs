//! Changes become records.

use std::sync::Arc;

use connect_api::{Error, ErrorKind};

use crate::event::{Marker, Source};
use crate::left_out::leave_out;
use crate::metrics::EventKind;
use crate::offset::MessageType;
use crate::pgoutput::{Message, Old, Tuple};
use crate::session::{End, Session};
use crate::slot::lsn_text;
use crate::stream::Stream;
use crate::table::Table;

impl Stream<'_> {
    /// Makes the records of an event; `None` for what is no event.
    pub(super) fn made(&mut self, lsn: u64, message: Message) -> Result<Option<MessageType>, Error> {
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
    pub(super) fn not_made(&mut self, lsn: u64, before: usize, error: Error) -> Result<(), End> {
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
        self.tables.get(relation).cloned().ok_or_else(|| {
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
            self.note_missing(lsn, &table, new, None);
        } else if watched && let Some(table) = self.table(relation)? {
            // Signals count whether they become records or not.
            self.session.signals.inserted(relation, &table, &table.streamed_row(new, None)?);
        }
        Ok(MessageType::Insert)
    }

    fn update(&mut self, lsn: u64, relation: u32, old: Option<&Old>, new: &Tuple) -> Result<MessageType, Error> {
        if let Some(table) = self.wanted(relation, EventKind::Update)? {
            let before = match old {
                Some(Old::Full(tuple)) => Some(tuple),
                _ => None,
            };
            let old = match old {
                Some(old) => Some((table.streamed_row(old.tuple(), None)?, matches!(old, Old::Full(_)))),
                None => None,
            };
            let whole = old.as_ref().filter(|(_, whole)| *whole).map(|(row, _)| row.as_slice());
            let row = table.streamed_row(new, whole)?;
            let unchanged = self.session.settings.skip_unchanged
                && old.as_ref().is_some_and(|(old, whole)| *whole && table.same_image(old, &row));
            if unchanged {
                return Ok(MessageType::Update);
            }
            let source = self.source(lsn);
            let Session { events, outlet, signals, .. } = &mut *self.session;
            if signals.watches(relation) {
                signals.changed(relation, &table, &row);
                if let Some((old, _)) = &old {
                    signals.changed(relation, &table, old);
                }
            }
            events.update(&table, old, row, &source, outlet.records());
            self.note_missing(lsn, &table, new, before);
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
