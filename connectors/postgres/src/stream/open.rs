//! Transactions that are not committed yet (`stream.in.progress.enabled`): the server sends large ones while they run, in blocks. They
//! wait ([`crate::spill`]) until they are committed, and are delivered then as if they came only now, message by message.
//!
//! While one is delivered nothing is read from the server, which is told all the time that the stream is alive.

use bytes::Bytes;
use connect_api::{Error, ErrorKind};

use crate::pgoutput::{self, Begin, Commit, InBlock, Message};
use crate::session::End;
use crate::slot::lsn_text;
use crate::spill::{Kept, Spill};
use crate::stream::{Stream, malformed};

/// The first version of the server that sends transactions in progress.
pub(super) const SINCE: u32 = 140_000;
/// The first version of the server that tells nothing of a transaction without changes.
const EMPTY_LEFT_OUT_SINCE: u32 = 150_000;
/// Messages that are delivered before it is looked whether there is something else to do.
const STEP: usize = 4096;

/// What is known of transactions in progress.
pub(super) struct Open {
    spill: Spill,
    /// The transaction that the present block is of.
    block: Option<u32>,
    delivery: Option<Delivery>,
}

/// A transaction that was committed and is delivered.
struct Delivery {
    kept: Kept,
    begin: Begin,
    commit: Commit,
    begun: bool,
}

impl Open {
    pub(super) fn new(spill: Spill) -> Self {
        Self { spill, block: None, delivery: None }
    }
}

impl Stream<'_> {
    /// True between the begin and the end of a block.
    pub(super) fn in_block(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.block.is_some())
    }

    /// A committed transaction is not delivered to its end.
    pub(super) fn delivers(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.delivery.is_some())
    }

    /// A message within a block.
    pub(super) async fn keep(&mut self, lsn: u64, payload: &Bytes) -> Result<(), End> {
        let Some(Open { spill, block, .. }) = &mut self.open else { return Ok(()) };
        let Some(xid) = *block else { return Ok(()) };
        match pgoutput::in_block(payload).map_err(malformed)? {
            InBlock::Of(part) => {
                // Of a description its number is kept: it has no use for a place.
                let at = if payload.first() == Some(&b'R') { self.tables.number() } else { lsn };
                spill.keep(xid, part, at, payload).await?;
            }
            InBlock::Stop => *block = None,
            InBlock::Other => {}
        }
        Ok(())
    }

    /// What is told of transactions in progress outside of blocks.
    pub(super) async fn in_progress(&mut self, lsn: u64, message: Message) -> Result<(), End> {
        let Some(open) = &mut self.open else {
            return Err(unexpected("the server sent a transaction in progress without being asked").into());
        };
        match message {
            Message::StreamStart { xid, .. } => {
                open.spill.begin(xid, lsn);
                open.block = Some(xid);
            }
            Message::StreamAbort { xid, part } => {
                if xid != part && open.spill.holds_messages(xid) {
                    // Nothing of it is delivered: it is read again, as a whole.
                    self.session.whole_only = true;
                    let what = "a part of an open transaction with logical messages was rolled back, and the server does not \
                                say which of them it wrote: reading transactions at their commit from here on";
                    return Err(Error::new(ErrorKind::Unavailable, what).into());
                }
                open.spill.roll_back(xid, part).await?;
            }
            Message::StreamCommit { xid, commit, commit_us } => {
                let Some(kept) = open.spill.commit(xid) else {
                    let what = format!("the server committed transaction {xid} in progress without having sent it");
                    return Err(unexpected(&what).into());
                };
                let begin = Begin { final_lsn: commit.commit_lsn, commit_us, xid };
                if kept.in_file() > 0 {
                    let (bytes, end) = (kept.in_file(), lsn_text(commit.end_lsn));
                    tracing::info!(xid, bytes, end, "a transaction that waited on disk is committed: delivering it");
                }
                open.delivery = Some(Delivery { kept, begin, commit, begun: false });
            }
            _ => return Err(unexpected("the server ended a block that did not begin").into()),
        }
        Ok(())
    }

    /// Delivers some of a committed transaction: until the batch is full, or for a while.
    pub(super) async fn deliver_kept(&mut self) -> Result<(), End> {
        for _ in 0..STEP {
            let Some(delivery) = self.open.as_mut().and_then(|open| open.delivery.as_mut()) else { break };
            let entry = delivery.kept.next().await?;
            let begins = !delivery.begun;
            delivery.begun |= entry.is_some();
            let (begin, begun) = (delivery.begin, delivery.kept.begun());
            match entry {
                Some(entry) => {
                    if begins {
                        self.message(begun, Message::Begin(begin)).await?;
                    }
                    self.session.outlet.count_bytes(entry.payload.len());
                    let message = pgoutput::decode_in_block(&entry.payload).map_err(malformed)?;
                    self.message(entry.lsn, message).await?;
                }
                None => self.delivered(begins, begun).await?,
            }
            self.act().await?;
            if self.session.outlet.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// The end of the transaction that is delivered.
    async fn delivered(&mut self, empty: bool, begun: u64) -> Result<(), End> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let Some(Delivery { kept, begin, commit, .. }) = open.delivery.take() else { return Ok(()) };
        open.spill.done(kept);
        self.tables.end_kept();
        if empty && self.wire.server_version >= EMPTY_LEFT_OUT_SINCE {
            // Sent at its commit, nothing would have been said of it.
            self.resolved = self.resolved.max(commit.end_lsn);
            return Ok(());
        }
        if empty {
            self.message(begun, Message::Begin(begin)).await?;
        }
        self.message(commit.end_lsn, Message::Commit(commit)).await
    }
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Bug, what.to_owned()).hint("report this with the server's version")
}
