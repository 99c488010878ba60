//! Which server a connection reached, and whether what was read before can be continued there.

use std::time::Duration;

use connect_api::{Error, ErrorKind};

use super::Session;
use crate::error::{PgError, forbidden};
use crate::lineage::{Now, Relation};
use crate::lost::Lost;
use crate::slot::{self, SlotState, lsn_text, parse_lsn};
use crate::stream::Marks;
use crate::wire::{Purpose, Wire};

const STARTED_WHAT: &str = "ask when the server was started";
/// Tells one start of a server from any other.
const STARTED: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";

impl Session {
    /// A replication session with the server of the other session.
    pub(super) async fn replication(&self, sql: &mut Wire) -> Result<Wire, Error> {
        let server = &self.settings.server;
        let what = format!("open a replication session with {}", server.address());
        let mut wire = Wire::connect(server, Purpose::Replication)
            .await
            .map_err(|e| forbidden(e, &what, || slot::may_replicate(&self.settings)))?;
        self.in_time(STARTED_WHAT, self.refuse_two_servers(sql, &mut wire)).await?;
        Ok(wire)
    }

    /// Both sessions went to one address, but what answers there may be a proxy before several servers.
    async fn refuse_two_servers(&self, sql: &mut Wire, replication: &mut Wire) -> Result<(), Error> {
        let cell = |rows: Vec<crate::wire::Row>| rows.into_iter().next().and_then(|row| row.into_iter().next()?);
        let one = match sql.query(STARTED).await {
            Ok(rows) => cell(rows),
            // The right to ask may have been taken away.
            Err(PgError::Db(error)) => {
                tracing::debug!(%error, "the server does not tell when it was started");
                return Ok(());
            }
            Err(error) => return Err(error.failed_to(STARTED_WHAT)),
        };
        let other = match replication.query(STARTED).await {
            Ok(rows) => cell(rows),
            Err(PgError::Db(error)) => {
                tracing::debug!(%error, "the server takes no statements in replication sessions");
                return Ok(());
            }
            Err(error) => return Err(error.failed_to(STARTED_WHAT)),
        };
        if one == other {
            return Ok(());
        }
        let message = format!("two sessions with {} reached two servers", self.settings.server.address());
        let remedy = "let database.hostname name the server itself, or a proxy that leads every session to the primary";
        Err(Error::new(ErrorKind::Unavailable, message).hint(remedy))
    }

    /// Asks the server who it is.
    pub(super) async fn identify(&self, replication: &mut Wire) -> Result<Now, Error> {
        let ask = async { Now::ask(replication).await.map_err(|e| e.failed_to("ask which server it is")) };
        self.in_time("ask which server it is", ask).await
    }

    /// What keeps the stream from going on there, by the server's own word: nothing that can be seen at the slot.
    pub(super) async fn moved(&mut self, sql: &mut Wire, now: &Now, standby: bool) -> Result<Option<Lost>, Error> {
        const WHAT: &str = "ask where the log ends";
        if let Some(lost) = self.left(now)? {
            return Ok(Some(lost));
        }
        let Some(at) = self.delivered() else { return Ok(None) };
        // A transaction that was delivered in part ends later.
        let at = at.max(self.changed.unwrap_or(0));
        if at <= now.end {
            return Ok(None);
        }
        if standby {
            let message = format!(
                "{} has replayed its log up to LSN {} only, and was read up to LSN {} before: waiting for it",
                self.settings.server.address(),
                lsn_text(now.end),
                lsn_text(at)
            );
            return Err(Error::new(ErrorKind::Unavailable, message).hint("look at the standby's lag"));
        }
        // What a snapshot saw may not be written out yet.
        let ask = async { sql.query("SELECT pg_current_wal_insert_lsn()").await.map_err(|e| e.failed_to(WHAT)) };
        let rows = self.in_time(WHAT, ask).await?;
        let end = rows.first().and_then(|row| parse_lsn(row.first()?.as_deref()?)).unwrap_or(now.end);
        Ok((at > end).then_some(Lost::Beyond(end)))
    }

    /// Compares with the server that was read before.
    fn left(&mut self, now: &Now) -> Result<Option<Lost>, Error> {
        let Some(known) = self.lineage.clone().filter(|_| self.delivered().is_some()) else { return Ok(None) };
        let server = self.settings.server.address();
        let lineage = &now.lineage;
        match lineage.after(&known) {
            Relation::Same => Ok(None),
            Relation::OtherSystem => {
                Ok(Some(Lost::OtherSystem { server, known: known.system, now: lineage.system.clone() }))
            }
            Relation::Older => {
                let message = format!(
                    "{server} is on timeline {}, and timeline {} was read before: it is an old primary that was left behind; \
                     waiting for the new one",
                    lineage.timeline, known.timeline
                );
                // Longer than the wait before the next attempt, which is to try the others first.
                let longer = self.settings.retry_wait + Duration::from_secs(1);
                crate::hosts::note_for(&self.host, crate::hosts::Status::Failed, longer);
                let remedy = format!(
                    "stop it, or let database.hostname name the new primary; if this one is to be read from now on, take a \
                     new snapshot with PUT /jobs/{}/restart",
                    self.connector
                );
                Err(Error::new(ErrorKind::Unavailable, message).hint(remedy))
            }
            Relation::Left(left) if self.changed.is_some_and(|changed| changed > left) => {
                Ok(Some(Lost::Left { left, timeline: lineage.timeline }))
            }
            Relation::Left(left) => {
                tracing::info!(
                    %server,
                    timeline = lineage.timeline,
                    left = %lsn_text(left),
                    "the server is on a new timeline, and has everything that was delivered"
                );
                // Whether it has the end of a transaction that was delivered in part is seen when it comes, or another one does.
                let inside = self.position.filter(|position| position.message.is_some() && !position.is_between());
                let lost = Lost::Left { left, timeline: lineage.timeline };
                self.unfinished = inside.and_then(|position| position.tx_id).map(|tx_id| (tx_id, lost));
                self.back_to(left);
                Ok(None)
            }
        }
    }

    /// The position followed the log of the server before past the place where this one left it, without any change: it goes
    /// back there, and what was said of places behind it does not count here.
    fn back_to(&mut self, place: u64) {
        let reached = self.delivered().unwrap_or(0);
        if reached <= place {
            return;
        }
        if let Some(position) = &mut self.position {
            position.back_to(place);
            // What may be stored goes back with it.
            self.marks = Marks::stored(*position, self.counted.clone());
        }
        self.slot_from = self.slot_from.map(|from| from.min(place));
        self.outlet.leave_log();
    }

    /// A slot that exists becomes a failover slot when that is wanted. The reference makes only new ones so; here the
    /// setting would be without effect until somebody needs it.
    pub(super) async fn let_slot_fail_over(&self, replication: &mut Wire, slot: &SlotState) -> Result<(), Error> {
        let settings = &self.settings;
        // Of one that is in use the server would wait for the end of that: the next connection tries again.
        let leave = !settings.slot_failover || slot.failover || slot.active;
        if leave || replication.server_version < slot::FAILOVER_SINCE {
            return Ok(());
        }
        let alter = async { Ok(slot::let_fail_over(replication, &settings.slot).await) };
        match self.in_time("make the slot a failover slot", alter).await? {
            Ok(()) => tracing::info!(slot = %settings.slot, "the slot is a failover slot now"),
            Err(error) => {
                tracing::warn!(slot = %settings.slot, %error, "the slot stays without failover, though slot.failover is set");
            }
        }
        Ok(())
    }
}
