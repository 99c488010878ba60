//! A transaction, from its begin to its end: what of it is delivered.
//!
//! Events that share a place in the log are numbered, so that a restart goes on behind the last one that is stored.

use connect_api::{Error, ErrorKind};

use crate::offset::{Done, MessageType, Position, Within};
use crate::pgoutput::{Begin, Commit, Message};
use crate::session::End;
use crate::stream::Stream;

/// The transaction that is being read.
pub(super) struct Transaction {
    pub begin: Begin,
    /// Delivered as a whole before, by the stream or in the snapshot.
    skipped: bool,
    /// Delivered as a whole before, and more after it.
    passed: bool,
    /// What of it was delivered before.
    done: Done,
    /// Events at exactly the place up to which it was: one is known to be delivered, of several it is not known which.
    doubtful: Vec<Message>,
    /// The place of the last event, and how many were read there.
    place: (u64, u64),
}

impl Transaction {
    /// An event at a place: which one there it is, counted from 1.
    fn number(&mut self, lsn: u64) -> u64 {
        let (at, count) = &mut self.place;
        *count = if *at == lsn { *count + 1 } else { 1 };
        *at = lsn;
        *count
    }
}

impl Stream<'_> {
    pub(super) fn begin(&mut self, lsn: u64, begin: Begin) -> Result<(), End> {
        self.session.signals.begins(begin.xid, begin.final_lsn);
        let snapshot = self.session.snapshotted.as_ref();
        let seen = snapshot.is_some_and(|(seen, until)| begin.final_lsn < *until && seen.sees(begin.xid));
        let skipped = seen || self.resume.skips_transaction(begin.final_lsn);
        let passed = !skipped && self.resume.passes_transaction(begin.final_lsn);
        let whole = skipped || passed;
        let done = if whole { Done::Nothing } else { self.resume.take_event(begin.final_lsn) };
        if let Some((tx_id, lost)) = self.session.unfinished.take_if(|_| !whole)
            && tx_id != i64::from(begin.xid)
        {
            let (at, slot) = (self.position.furthest(), &self.session.settings.slot);
            return Err(lost.error(at, slot, &self.session.connector).into());
        }
        self.transaction = Some(Transaction { begin, skipped, passed, done, doubtful: Vec::new(), place: (0, 0) });
        if !whole {
            self.tell_begin(lsn, &begin, done != Done::Nothing);
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, commit: Commit) -> Result<(), End> {
        self.settle_doubt()?;
        let delivers = self.transaction.as_ref().is_some_and(|transaction| !transaction.skipped && !transaction.passed);
        if delivers && self.session.marks.unmarked {
            self.mark();
        }
        let transaction = self.transaction.take();
        if let Some(transaction) = &transaction {
            self.follower.committed(commit.end_lsn, transaction.begin.commit_us);
        }
        self.resolved = self.resolved.max(commit.end_lsn);
        let Some(transaction) = transaction.filter(|transaction| !transaction.skipped) else { return Ok(()) };
        if transaction.passed {
            self.position.passed(commit.end_lsn);
        } else {
            self.position.committed(commit.end_lsn);
            self.session.metrics.committed(transaction.begin.xid);
            self.tell_end(&transaction.begin, commit.end_lsn);
        }
        Ok(())
    }

    /// A change: delivered, unless it was before.
    pub(super) fn change(&mut self, lsn: u64, message: Message) -> Result<(), End> {
        let Some(transaction) = &mut self.transaction else {
            return Err(Error::new(ErrorKind::Bug, "the server sent a change outside of a transaction").into());
        };
        if transaction.skipped || transaction.passed {
            return Ok(());
        }
        let number = transaction.number(lsn);
        match transaction.done {
            Done::Nothing => {}
            Done::Until(done) if lsn < done => return Ok(()),
            Done::Until(done) if lsn == done => {
                transaction.doubtful.push(message);
                return Ok(());
            }
            Done::Until(_) => self.settle_doubt()?,
            Done::Within(Within { lsn: done, events, .. }) => {
                if lsn < done || lsn == done && number <= events {
                    return Ok(());
                }
                transaction.done = Done::Nothing;
            }
        }
        self.deliver(lsn, number, message)
    }

    /// Of several events at one place, all are delivered again where nobody has stored how many of them were: better twice
    /// than never.
    fn settle_doubt(&mut self) -> Result<(), End> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let doubtful = std::mem::take(&mut transaction.doubtful);
        let Done::Until(lsn) = transaction.done else { return Ok(()) };
        transaction.done = Done::Nothing;
        if doubtful.len() > 1 {
            for (number, message) in (1..).zip(doubtful) {
                self.deliver(lsn, number, message)?;
            }
        }
        Ok(())
    }

    /// Delivers an event, the `number`th at its place.
    fn deliver(&mut self, lsn: u64, number: u64, message: Message) -> Result<(), End> {
        if self.session.marks.unmarked && self.position.lsn_proc != Some(lsn) {
            self.mark();
        }
        let Some(begin) = self.transaction.as_ref().map(|transaction| transaction.begin) else { return Ok(()) };
        let within = Within { commit: begin.final_lsn, lsn, events: number };
        let before = self.session.outlet.records().len();
        self.seen = Some((lsn, begin.commit_us));
        match self.made(lsn, message) {
            Ok(Some(kind)) => {
                self.session.signals.event_at = before;
                if self.session.outlet.records().len() > before {
                    self.count(before, lsn, kind == MessageType::Message);
                    *self.position = Position {
                        lsn: Some(lsn),
                        lsn_proc: Some(lsn),
                        lsn_commit: self.position.lsn_commit,
                        tx_id: Some(begin.xid.into()),
                        ts_us: Some(begin.commit_us),
                        message: Some(kind),
                        snapshot: None,
                        xmin: self.xmin.value,
                        within: Some(within),
                    };
                    self.session.marks.unmarked = true;
                    // The end of its transaction is behind the begin of the commit's record.
                    self.session.changed = self.session.changed.max(Some(begin.final_lsn + 1));
                }
            }
            Ok(None) => {}
            Err(error) => self.not_made(lsn, before, error)?,
        }
        // One that became no record is among those that are done, too.
        if let Some(last) = self.position.within.as_mut().filter(|last| (last.commit, last.lsn) == (within.commit, lsn))
        {
            last.events = number;
        }
        Ok(())
    }
}
