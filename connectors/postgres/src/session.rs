//! The task's reader: decides on a snapshot, takes it, streams, and connects again when the connection breaks.
//!
//! It runs beside the worker's loop and hands whole batches over a bounded channel, so that reading the socket and
//! writing to Kafka overlap while order stays. Positions come back through a watch: the reader confirms to the server
//! nothing else.

mod server;

use std::sync::Arc;
use std::time::Duration;

use connect_api::{Error, ErrorKind, Phase, Progress, Result};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{PgError, sqlstate_of, within};
use crate::event::Events;
use crate::hosts::Host;
use crate::lineage::Lineage;
use crate::lost::Lost;
use crate::messages::Messages;
use crate::metrics::PostgresMetrics;
use crate::offset::Position;
use crate::outlet::Outlet;
use crate::progress::Taken;
use crate::reselect::{self, Reselects};
use crate::settings::{Retries, Server, Settings, SnapshotMode};
use crate::signals::{Signals, incremental};
use crate::slot::{self, Created, SlotState};
use crate::snapshot;
use crate::stream::{Marks, Stream};
use crate::transactions::Counted;
use crate::visible::Visible;
use crate::wire::{Purpose, Wire};
use crate::{guardrail, identity, publication, standby};

/// Reports how far the task is.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// The waits before connecting again, when the worker tries again once they are used up.
const SHORT_WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];
/// A stream that went well for so long ends a row of failures, whether anything changed meanwhile or not.
const HEALTHY: Duration = Duration::from_secs(10);
/// How long a look at the slot may take that is to explain why the stream ended.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often, and how many times, a slot is looked for that another session is making; as the reference does.
const SLOT_PAUSE: Duration = Duration::from_secs(2);
const SLOT_ATTEMPTS: u32 = 900;
const SLOT_TELL_EVERY: u32 = 15;

/// The task is to stop, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why a reader came to an end.
pub enum End {
    /// The task stops.
    Closed,
    Failed(Error),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The reader of one task.
pub struct Session {
    /// The settings. Their server is the one that this connection reached.
    pub settings: Arc<Settings>,
    /// All servers that may be read from.
    pub servers: Server,
    /// The one that was reached.
    pub host: Host,
    pub events: Events,
    pub messages: Messages,
    /// What is delivered of the transaction that is read, counted.
    pub counted: Counted,
    pub outlet: Outlet,
    /// What is delivered, or handed over to be.
    pub position: Option<Position>,
    /// What of that may be stored.
    pub marks: Marks,
    /// Where the slot stood when this run first had it: without a position, nothing before that is wanted.
    pub slot_from: Option<u64>,
    /// The end of the last change that is delivered, or handed over to be: unlike the position, it does not follow the log
    /// when nothing changes.
    pub changed: Option<u64>,
    /// Which server's log all that belongs to.
    pub lineage: Option<Lineage>,
    /// The transaction that was delivered in part before the server went over to another timeline, and what it means when the
    /// next one is another.
    pub unfinished: Option<(i64, Lost)>,
    /// Why a snapshot is to be taken, until one is done: another attempt does not see it at the server any more.
    pub pending: Option<Lost>,
    /// Transactions in progress are not asked for any more in this run.
    pub whole_only: bool,
    /// Since when the stream of this connection goes.
    pub streaming: Option<Instant>,
    /// A snapshot was begun in this run, and rows of it may have been handed over.
    pub snapshot_begun: bool,
    /// A snapshot of this run is done: another attempt of it does not take a second one.
    pub snapshot_done: bool,
    /// What that snapshot saw, when the slot is older than it, and the place in the log after which that does not
    /// matter any more.
    pub snapshotted: Option<(Visible, u64)>,
    /// How far a snapshot is that another attempt can go on with.
    pub resume: Option<snapshot::state::State>,
    /// What of the records that wait is to be looked up.
    pub reselects: Reselects,
    /// What users ask for while it goes on.
    pub signals: Signals,
    pub confirmed: watch::Receiver<(u8, u64)>,
    pub cancel: CancellationToken,
    pub report: Report,
    pub metrics: Arc<PostgresMetrics>,
    /// The batches that the worker is done with.
    pub taken: Taken,
    /// The connector's name, for remedies.
    pub connector: Arc<str>,
    /// The worker starts the task again when it fails.
    pub recovers: bool,
}

impl Session {
    /// Reads until the task stops or an error says that trying again is no use.
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let before = self.position;
            let ended = Box::pin(self.attempt()).await;
            self.metrics.connected(false);
            let error = match ended {
                Ok(()) | Err(End::Closed) => break,
                Err(End::Failed(error)) => error,
            };
            let went_well = self.streaming.take().is_some_and(|since| since.elapsed() >= HEALTHY);
            failures = if went_well || self.position != before { 1 } else { failures + 1 };
            let wait = wait_before(self.settings.retries, self.settings.retry_wait, self.recovers, failures);
            let Some(wait) = wait.filter(|_| error.kind().retriable()) else {
                self.metrics.erroneous();
                tracing::error!(source = %self.settings.prefix, error = %error, "the reader failed");
                if self.outlet.fail(used_up(error, self.settings.retries)).await.is_err() {
                    tracing::debug!("nobody listens any more: the task was stopped meanwhile");
                }
                break;
            };
            tracing::warn!(source = %self.settings.prefix, error = %error, failures, ?wait, "the connection failed; trying again");
            // For as long as it takes: who counts the time that the source worked has to know that it does not.
            (self.report)(Progress::default());
            tokio::select! {
                () = self.cancel.cancelled() => break,
                () = tokio::time::sleep(wait.max(Duration::from_millis(50))) => {}
            }
        }
    }

    /// One connection's life.
    async fn attempt(&mut self) -> Result<(), End> {
        (self.report)(Progress::default());
        let mut sql = Wire::connect(&self.servers, Purpose::Sql)
            .await
            .map_err(|e| e.failed_to(&format!("connect to {}", self.servers.address())))?;
        // All other sessions go to the same server.
        self.host = sql.host().clone();
        let settings = Settings { server: self.servers.only(&self.host), ..(*self.settings).clone() };
        let settings = Arc::new(settings);
        self.settings = Arc::clone(&settings);
        (self.signals.sql, self.reselects.sql) = (None, None);
        let ask = async { standby::is_standby(&mut sql).await.map_err(|e| e.failed_to("ask for the server's role")) };
        let standby = self.in_time("ask for the server's role", ask).await?;
        match Box::pin(self.work(sql, standby)).await {
            Err(End::Failed(error)) if standby => Err(End::Failed(standby::explained(error, &settings.server))),
            other => other,
        }
    }

    /// Within the time that a query of the catalogue may take.
    async fn in_time<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late = |limit| PgError::silent(&self.settings.server.address(), limit).failed_to(what);
        within(self.settings.query_timeout, work, late).await
    }

    /// Looks at what the stream needs, and makes the publication; gives the slot, when it is there.
    async fn prepare(&self, sql: &mut Wire, standby: bool) -> Result<Option<SlotState>, Error> {
        let settings = &*self.settings;
        publication::ensure(sql, settings, &self.connector).await?;
        if !standby {
            identity::set(sql, settings).await?;
        }
        let state = slot::state(sql, &settings.slot).await.map_err(|e| e.failed_to("look for the slot"))?;
        if let Some(state) = &state {
            slot::check(state, settings)?;
        }
        Ok(state)
    }

    /// Waits until a slot that another session is making is there or gone.
    async fn made_slot(&self, sql: &mut Wire) -> Result<Option<SlotState>, End> {
        let name = &self.settings.slot;
        for attempt in 0..SLOT_ATTEMPTS {
            if attempt % SLOT_TELL_EVERY == 0 {
                tracing::warn!(
                    slot = %name,
                    attempt,
                    "another session is making the slot, which waits for open transactions to end; waiting for it"
                );
            }
            self.pause(SLOT_PAUSE).await?;
            let look = async { slot::state(sql, name).await.map_err(|e| e.failed_to("look for the slot")) };
            let state = self.in_time("look for the slot", look).await?;
            if !state.as_ref().is_some_and(SlotState::is_being_made) {
                return Ok(state);
            }
        }
        let message = format!("replication slot \"{name}\" was not made within {:?}", SLOT_PAUSE * SLOT_ATTEMPTS);
        let remedy = "look in pg_stat_activity for transactions that are open for long; the slot waits for their end";
        Err(Error::new(ErrorKind::Unavailable, message).hint(remedy).into())
    }

    /// The slot, when it is there, after all that the stream needs was made.
    async fn prepared(&self, sql: &mut Wire, standby: bool) -> Result<Option<SlotState>, End> {
        let slot = self.in_time("prepare the stream", self.prepare(sql, standby)).await?;
        if slot.as_ref().is_some_and(SlotState::is_being_made) {
            return self.made_slot(sql).await;
        }
        Ok(slot)
    }

    /// What is done over a session that is open.
    async fn work(&mut self, mut sql: Wire, standby: bool) -> Result<(), End> {
        let settings = Arc::clone(&self.settings);
        // Of records that the connection before has left: they may be handed over from now on.
        reselect::resolve(self).await?;
        self.in_time("count the tables", guardrail::check(&mut sql, &settings)).await?;
        let mut slot_state = None;
        let mut replication = None;
        let mut moved = None;
        if settings.streams() {
            if standby {
                let refuse = standby::refuse_without_slot(&mut sql, &settings);
                self.in_time("look for the slot on the standby", refuse).await?;
            }
            // Before anything is made there.
            let mut wire = self.replication(&mut sql).await?;
            let now = self.identify(&mut wire).await?;
            moved = self.moved(&mut sql, &now, standby).await?.or_else(|| self.pending.clone());
            if moved.is_none() {
                slot_state = self.prepared(&mut sql, standby).await?;
            }
            replication = Some((wire, now));
        }
        let wants_snapshot = self.wants_snapshot(moved.clone(), slot_state.as_ref())?;
        if moved.is_some() {
            // It is to go on nevertheless, with a snapshot where the mode says so: what was known of that server is of no use.
            self.pending = moved.filter(|_| wants_snapshot);
            (self.slot_from, self.changed) = (None, None);
            self.outlet.leave_log();
            slot_state = self.prepared(&mut sql, standby).await?;
        }
        if wants_snapshot && slot_state.as_ref().is_some_and(SlotState::is_lost) {
            // The server gave it up: nothing can be read from it, and a new snapshot has to have a slot of its own.
            slot::drop_slot(&mut sql, &settings.slot).await.map_err(|e| e.failed_to("drop the invalidated slot"))?;
            tracing::warn!(slot = %settings.slot, "the slot was invalidated by the server: making it anew");
            slot_state = None;
        }
        let mut created = None;
        if let Some((wire, now)) = &mut replication {
            self.outlet.belongs_to(&now.lineage);
            self.lineage = Some(now.lineage.clone());
            if let Some(state) = &slot_state {
                self.slot_from = self.slot_from.or(state.confirmed_lsn);
                if !standby {
                    self.let_slot_fail_over(wire, state).await?;
                }
            } else {
                let made = slot::create(wire, &settings).await?;
                self.slot_from = Some(made.lsn);
                created = Some(made);
            }
        }
        if wants_snapshot {
            let slot_at = created.as_ref().map(|made| made.lsn);
            let slot_at = slot_at.or_else(|| slot_state.as_ref().and_then(|state| state.confirmed_lsn));
            let taken = self.take_snapshot(&mut sql, created.as_ref(), slot_at).await;
            self.metrics.snapshot_ends(taken.is_ok());
            if matches!(taken, Err(End::Failed(_))) {
                self.notify("ABORTED", &[]);
            }
            taken?;
            self.pending = None;
        } else if !self.snapshot_done {
            self.metrics.snapshot_skipped();
            if !std::mem::replace(&mut self.signals.told, true) {
                self.skipped();
            }
        }
        let Some((replication, _)) = replication else {
            if !self.snapshot_done {
                (self.report)(Progress { phase: Phase::Snapshot, ..Progress::default() });
            }
            sql.close(false).await;
            // The snapshot was all that is wanted: the task stays, without anything to do.
            self.cancel.cancelled().await;
            return Ok(());
        };
        self.pause(settings.streaming_delay).await?;
        let mut position = self.position.unwrap_or_default();
        let streamed = Stream::new(self, sql, replication, &mut position).run().await;
        self.position = Some(position).filter(|position| *position != Position::default());
        match streamed {
            Err(End::Failed(error)) => Err(End::Failed(self.explained(error).await)),
            other => other,
        }
    }

    /// Tells that no snapshot is needed. What is told carries the position, of which the snapshot before is no part any more.
    fn skipped(&mut self) {
        self.notify("SKIPPED", &[]);
        if let Some(position) = self.position.filter(|_| self.outlet.has_records()) {
            incremental::store(self);
            self.outlet.mark(Position { snapshot: None, ..position });
        }
    }

    /// Up to where everything is delivered, or was never wanted.
    fn delivered(&self) -> Option<u64> {
        self.position.map(|position| position.furthest()).or(self.slot_from)
    }

    /// The server has one SQLSTATE for a slot that was invalidated and for a setting that is missing, and one for removed WAL
    /// and for any other file. The slot itself tells which it was.
    async fn explained(&self, error: Error) -> Error {
        let state = sqlstate_of(&error);
        if !matches!(state, Some("55000" | "58P01" | "42704")) {
            return error;
        }
        let removed = state == Some("58P01");
        let at = self.delivered().unwrap_or(0);
        let look = async {
            let mut sql = Wire::connect(&self.servers, Purpose::Sql).await.ok()?;
            let slot = slot::state(&mut sql, &self.settings.slot).await.ok()?;
            let standby = standby::is_standby(&mut sql).await.ok()?;
            let version = sql.server_version;
            sql.close(false).await;
            Some((version, slot, standby))
        };
        let looked = tokio::time::timeout(LOOK_TIMEOUT, look).await.ok().flatten();
        let elsewhere = looked.as_ref().filter(|(_, _, standby)| *standby);
        if let Some(waits) = elsewhere.and_then(|(_, slot, _)| standby::missing(slot.as_ref(), &self.servers)) {
            // The name leads to another server than before.
            tracing::debug!(%error, "the stream ended, and its slot is not on this standby");
            return waits;
        }
        // From version 13 on a slot is invalidated before its log is removed, and says so.
        let old = looked.as_ref().is_some_and(|(version, ..)| *version < 130_000);
        let lost =
            looked.and_then(|(_, slot, _)| Lost::of(slot.as_ref(), at)).filter(|lost| !matches!(lost, Lost::Ahead(_)));
        match lost.or(Some(Lost::Invalidated).filter(|_| removed && old)) {
            Some(lost) => {
                tracing::debug!(%error, "the stream ended because the slot is lost");
                lost.error(at, &self.settings.slot, &self.connector)
            }
            None => error,
        }
    }

    async fn take_snapshot(
        &mut self,
        sql: &mut Wire,
        created: Option<&Created>,
        slot_at: Option<u64>,
    ) -> Result<(), End> {
        self.pause(self.settings.snapshot_delay).await?;
        // Rows of an attempt that was cut off are in Kafka already. What deleted them since is in the stream only, so that
        // nothing of the stream may be skipped after another attempt.
        let unfinished = self.position.is_some_and(|position| position.in_unfinished_snapshot());
        let again = std::mem::replace(&mut self.snapshot_begun, true) || unfinished;
        let (position, seen) = snapshot::run(self, sql, created, slot_at).await?;
        self.resume = None;
        // A slot that is new has nothing to say of what the snapshot saw.
        self.snapshotted = Some(seen).filter(|_| created.is_none() && !again);
        // Also when there was nothing to read: a position from before may belong to another server's log.
        self.position = position;
        self.marks = Marks::stored(position.unwrap_or_default(), Counted::default());
        self.changed = position.map(|position| position.furthest());
        self.snapshot_done = true;
        Ok(())
    }

    async fn pause(&self, wait: Duration) -> Result<(), Closed> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(Closed),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Whether rows are read first. A stored position that can't be continued from is an error, unless the mode is
    /// to start afresh then. What was snapshotted in this run is looked at as well: a slot that was dropped since must not
    /// be replaced by one that leaves a gap.
    fn wants_snapshot(&self, moved: Option<Lost>, slot: Option<&SlotState>) -> Result<bool, Error> {
        let settings = &self.settings;
        let unfinished = self.position.is_none_or(|position| position.in_unfinished_snapshot());
        let wanted = !self.snapshot_done
            && match settings.snapshot_mode {
                SnapshotMode::Always => true,
                SnapshotMode::ConfigurationBased => settings.configured.0,
                SnapshotMode::NoData => false,
                SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded => unfinished,
            };
        if wanted || !settings.streams() || !settings.check_position {
            return Ok(wanted);
        }
        let Some(at) = self.delivered() else { return Ok(false) };
        let Some(lost) = moved.or_else(|| Lost::of(slot, at)) else { return Ok(false) };
        let afresh = match settings.snapshot_mode {
            SnapshotMode::WhenNeeded => true,
            SnapshotMode::ConfigurationBased => settings.configured.2,
            _ => false,
        };
        let error = lost.error(at, &settings.slot, &self.connector);
        if afresh {
            let reason = error.root().message();
            tracing::warn!(source = %settings.prefix, reason, "the stored position is lost: taking a snapshot");
            return Ok(true);
        }
        Err(error)
    }
}

/// How long to wait before connecting again after so many failures in a row; `None` to give up.
fn wait_before(retries: Retries, wait: Duration, recovers: bool, failures: u32) -> Option<Duration> {
    match retries {
        Retries::AtMost(most) => (failures <= most).then_some(wait),
        Retries::Endless => Some(wait),
        Retries::Unset if !recovers => Some(wait),
        Retries::Unset => {
            let index = usize::try_from(failures).unwrap_or(usize::MAX).saturating_sub(1);
            SHORT_WAITS.get(index).copied()
        }
    }
}

/// With a number of retries of the user's own, the task fails when they are used up, as in the reference; the worker would
/// poll again after an error that may pass.
fn used_up(error: Error, retries: Retries) -> Error {
    if error.kind().retriable() && matches!(retries, Retries::AtMost(_)) {
        return Error::connect("An exception occurred in the change event producer. This connector will be stopped.")
            .caused_by(error);
    }
    error
}

#[cfg(test)]
mod tests {
    use connect_api::ErrorKind;

    use super::*;

    #[test]
    fn a_task_that_the_worker_starts_again_gives_up_soon() {
        let wait = Duration::from_secs(10);
        let waits = |retries, recovers| [1, 2, 3, 4].map(|failures| wait_before(retries, wait, recovers, failures));
        let short = waits(Retries::Unset, true);
        assert!(short[..3].iter().all(|wait| wait.is_some_and(|wait| wait < Duration::from_secs(1))), "{short:?}");
        assert_eq!(short[3], None);
        assert_eq!(waits(Retries::Unset, false), [Some(wait); 4]);
        assert_eq!(waits(Retries::Endless, true), [Some(wait); 4]);
        assert_eq!(waits(Retries::AtMost(2), true), [Some(wait), Some(wait), None, None]);
        assert_eq!(waits(Retries::AtMost(0), false), [None; 4]);
    }

    #[test]
    fn retries_of_the_users_own_that_are_used_up_fail_the_task() {
        let broken = || Error::new(ErrorKind::Unavailable, "failed to connect");
        let error = used_up(broken(), Retries::AtMost(0));
        assert!(!error.kind().retriable());
        assert_eq!(error.root().kind(), ErrorKind::Unavailable, "what can be done about it stays known");
        assert!(used_up(broken(), Retries::Unset).kind().retriable());
    }
}
