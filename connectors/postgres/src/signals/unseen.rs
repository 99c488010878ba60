//! Transactions that the stream has brought, and that rows read now may not show.
//!
//! A server sends a transaction once its commit is in the log. Other sessions see it a moment later, and much later where the
//! commit waits for a synchronous standby. A row that is read in between is the one from before the transaction: sent after the
//! transaction's events, it would be the last that consumers hear of its key. So rows are read once all that was brought is seen.
//! (The reference reads at once.)

use std::collections::HashSet;
use std::time::Duration;

use crate::error::{PgError, within};
use crate::slot::parse_lsn;
use crate::visible::Visible;
use crate::wire::Wire;

/// So many are kept before the server is asked which of them are seen. Few are not: no more than it has sessions.
const KEPT: usize = 4096;
/// The pauses between looks while it is waited for.
const PAUSES_MS: [u64; 5] = [0, 1, 2, 5, 10];
/// How long rows are not read when something is still unseen then: the stream goes on meanwhile, which the transaction may wait
/// for.
pub const POSTPONED: Duration = Duration::from_millis(200);

/// What the server's sessions see.
#[derive(Clone, Debug)]
pub enum Seen {
    /// On a standby nothing is sent before it is seen there, but this may be another standby: the place that it has come to.
    Replayed(u64),
    By(Snapshot),
}

/// What a session sees that looks now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub visible: Visible,
    /// The transactions that held the lock on their own id a moment later: until others see them. A snapshot does not tell those
    /// that run from those that there never were.
    running: HashSet<u32>,
    /// Those among them whose commit waits for a standby, as far as the user may know.
    waiting: Vec<u32>,
}

/// The ids of transactions, as far as they may be unseen.
#[derive(Debug)]
pub struct Unseen {
    xids: Vec<u32>,
    /// Where the commit of the last of them begins.
    last: u64,
    look_at: usize,
    /// Whether it was looked: before, an earlier run may have brought what waits.
    looked: bool,
}

impl Default for Unseen {
    fn default() -> Self {
        Self { xids: Vec::new(), last: 0, look_at: KEPT, looked: false }
    }
}

impl Unseen {
    /// The stream has brought one whose commit begins at a place.
    pub fn brought(&mut self, xid: u32, commit: u64) {
        self.xids.push(xid);
        self.last = self.last.max(commit);
    }

    /// Forgets those that are seen now. One that is not even under way was another server's, which this one has taken over from.
    pub fn forget(&mut self, seen: &Seen) {
        match seen {
            Seen::Replayed(place) if *place > self.last => self.xids.clear(),
            Seen::Replayed(_) => {}
            Seen::By(Snapshot { visible, running, waiting }) => {
                if !std::mem::replace(&mut self.looked, true) {
                    self.xids.extend(waiting);
                }
                self.xids.retain(|xid| running.contains(xid) && !visible.sees(*xid));
            }
        }
        self.look_at = KEPT.max(2 * self.xids.len());
    }

    /// Some may be unseen.
    pub fn any(&self) -> bool {
        !self.xids.is_empty()
    }

    /// So many are kept that it is time to ask.
    pub fn is_long(&self) -> bool {
        self.xids.len() >= self.look_at
    }
}

/// Asks what sessions see. `limit` is how long the server may take.
pub async fn look(sql: &mut Wire, limit: Option<Duration>) -> Result<Seen, PgError> {
    let late = |limit| PgError::Timeout(format!("no answer within {limit:?} to which transactions are seen"));
    within(limit, ask(sql), late).await
}

async fn ask(sql: &mut Wire) -> Result<Seen, PgError> {
    let query = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, txid_current_snapshot(), \
                 (SELECT string_agg(transactionid::text, ',') FROM pg_locks \
                  WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted), \
                 (SELECT string_agg(backend_xid::text, ',') FROM pg_stat_activity WHERE wait_event = 'SyncRep')";
    let rows = sql.query(query).await?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at)?.as_deref());
    if let Some(place) = text(0).and_then(parse_lsn) {
        return Ok(Seen::Replayed(place));
    }
    let ids = |at: usize| text(at).unwrap_or_default().split(',').filter_map(|id| id.parse().ok());
    let snapshot = |visible| Snapshot { visible, running: ids(2).collect(), waiting: ids(3).collect() };
    let seen = text(1).and_then(Visible::parse).map(|visible| Seen::By(snapshot(visible)));
    seen.ok_or_else(|| PgError::Protocol(format!("{rows:?} as what sessions see")))
}

/// Waits for a moment until all is seen, and gives what was seen then. `None` when something is not: the stream has to go on.
pub async fn all_seen(unseen: &mut Unseen, sql: &mut Wire, limit: Option<Duration>) -> Result<Option<Seen>, PgError> {
    for pause in PAUSES_MS {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let seen = look(sql, limit).await?;
        unseen.forget(&seen);
        if !unseen.any() {
            return Ok(Some(seen));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(text: &str, running: &[u32], waiting: &[u32]) -> Seen {
        let visible = Visible::parse(text).expect("a snapshot");
        Seen::By(Snapshot { visible, running: running.iter().copied().collect(), waiting: waiting.to_vec() })
    }

    #[test]
    fn what_still_runs_is_unseen() {
        let mut unseen = Unseen::default();
        for xid in [99, 101, 103, 105, 107] {
            unseen.brought(xid, 10);
        }
        // Snapshots do not list the newest one, though it runs.
        unseen.forget(&by("101:105:101,102", &[101, 102, 103, 105], &[]));
        assert_eq!(unseen.xids, [101, 105], "103 is seen, and 107 was never begun on this server");
        unseen.forget(&by("105:105:", &[105], &[]));
        assert_eq!(unseen.xids, [105]);
        unseen.forget(&by("105:105:", &[], &[]));
        assert!(!unseen.any(), "it has ended since that snapshot");
    }

    #[test]
    fn what_waits_at_first_may_have_been_brought_by_an_earlier_run() {
        let mut unseen = Unseen::default();
        unseen.forget(&by("101:105:101", &[101, 105], &[101]));
        assert_eq!(unseen.xids, [101]);
        unseen.forget(&by("102:105:103", &[103], &[103]));
        assert!(!unseen.any());
    }

    #[test]
    fn a_standby_has_to_have_come_past_the_last_commit() {
        let mut unseen = Unseen::default();
        unseen.brought(7, 200);
        unseen.brought(8, 100);
        unseen.forget(&Seen::Replayed(200));
        assert!(unseen.any());
        unseen.forget(&Seen::Replayed(201));
        assert!(!unseen.any());
    }

    #[test]
    fn what_stays_unseen_does_not_make_every_transaction_ask() {
        let mut unseen = Unseen::default();
        (0..u32::try_from(KEPT).expect("a number")).for_each(|xid| unseen.brought(xid, 1));
        assert!(unseen.is_long());
        unseen.forget(&Seen::Replayed(0));
        assert!(!unseen.is_long() && unseen.any());
    }
}
