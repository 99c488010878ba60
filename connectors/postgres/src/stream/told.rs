//! What the stream tells besides changes of rows: the bounds of transactions, and logical messages.

use bytes::Bytes;

use super::Stream;
use crate::event::{Marker, Source};
use crate::offset::{MessageType, Position};
use crate::pgoutput::Begin;
use crate::session::Session;
use crate::transactions;

impl Stream<'_> {
    /// Tells of a transaction's begin, where that is wanted. One that is `resumed` was told of before.
    pub(super) fn tell_begin(&mut self, lsn: u64, begin: &Begin, resumed: bool) {
        let Session { settings, counted, outlet, marks, .. } = &mut *self.session;
        let Some(topic) = &settings.transaction_topic else { return };
        if resumed && counted.is_of(begin.xid) {
            return;
        }
        counted.begin(begin.xid);
        marks.begin(counted);
        let id = transactions::id(begin.xid, lsn);
        outlet.records().push(transactions::begun(topic, &id, begin.commit_us));
    }

    /// Tells of a transaction's end. The position is a commit's then, as in the reference.
    pub(super) fn tell_end(&mut self, begin: &Begin, end: u64) {
        let Session { settings, counted, outlet, .. } = &mut *self.session;
        let Some(topic) = &settings.transaction_topic else { return };
        let id = transactions::id(begin.xid, end);
        outlet.records().push(transactions::ended(topic, &id, counted, begin.commit_us));
        *self.position = Position {
            lsn: Some(end),
            lsn_proc: Some(end),
            lsn_commit: self.position.lsn_commit,
            tx_id: Some(begin.xid.into()),
            ts_us: Some(begin.commit_us),
            message: Some(MessageType::Commit),
            snapshot: None,
            xmin: self.xmin.value,
            within: None,
        };
        self.mark();
        self.session.counted.end();
    }

    /// A logical message that belongs to no transaction.
    pub(super) fn tell_message(&mut self, lsn: u64, prefix: &[u8], content: Bytes) {
        if self.resume.skips_message(lsn) {
            return;
        }
        if self.session.marks.unmarked {
            self.mark();
        }
        // It carries no time: that of what was committed before it, as in the reference, so that times do not go back.
        let ts_us = self.position.ts_us.unwrap_or(self.began_us);
        self.position.told(lsn, ts_us);
        let xmin = self.xmin.value;
        self.position.xmin = xmin;
        let source =
            Source { marker: Marker::Stream, lsn, last_commit: self.position.lsn_commit, tx_id: None, ts_us, xmin };
        let Session { events, messages, outlet, .. } = &mut *self.session;
        if let Some(record) = messages.record(events, prefix, content, &source) {
            outlet.records().push(record);
            self.session.changed = self.session.changed.max(Some(lsn + 1));
        }
        self.resolved = self.resolved.max(lsn);
        self.mark();
    }

    /// Puts the block of the transaction into what was made of an event.
    pub(super) fn count(&mut self, from: usize, lsn: u64, message: bool) {
        let (Some(transaction), true) = (&self.transaction, self.session.settings.transaction_topic.is_some()) else {
            return;
        };
        let id = transactions::id(transaction.begin.xid, lsn);
        let Session { counted, outlet, .. } = &mut *self.session;
        for record in &mut outlet.records()[from..] {
            counted.mark(record, &id, message);
        }
    }
}
