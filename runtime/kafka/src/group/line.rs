//! A connection to the coordinator of a group, opened when it is needed, and the heartbeats that go over one of their own
//! while the answer to JoinGroup or SyncGroup is waited for: the broker answers the requests of a connection one by one.

use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::protocol::Request;

use super::lease::Lease;
use crate::Error;
use crate::wire::{Brokers, Connection, CoordinatorOf};

/// The newest version of Heartbeat that is spoken.
pub(super) const HEARTBEAT: i16 = 4;

/// A connection to the coordinator, or none yet.
#[derive(Default)]
pub(super) struct Line {
    connection: Option<Connection>,
}

impl Line {
    /// The next request goes over a new connection, to wherever the coordinator is then.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Asks the coordinator, and waits that long for the answer (not for the connection, which has its own limits). Cut short,
    /// it opens a new connection the next time.
    pub(super) async fn ask<R: Request>(
        &mut self,
        brokers: &Brokers,
        group: &str,
        newest: i16,
        request: &R,
        wait: Duration,
    ) -> Result<R::Response, Error> {
        let fresh = self.connection.take().filter(Connection::is_fresh);
        let mut connection = match fresh {
            Some(connection) => connection,
            None => {
                let address = brokers.coordinator(CoordinatorOf::Group(group)).await?;
                Connection::open(&address, brokers.settings()).await?
            }
        };
        let answer = connection.ask(newest, request, wait).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Sends heartbeats for ever, and renews the lease with those that show that the member is in the group. What else they
    /// say comes with the answer that is waited for meanwhile.
    pub(super) async fn pulse(
        &mut self,
        brokers: &Brokers,
        group: &str,
        request: &HeartbeatRequest,
        interval: Duration,
        lease: &Lease,
    ) {
        loop {
            tokio::time::sleep(interval).await;
            let sent = Instant::now();
            match self.ask(brokers, group, HEARTBEAT, request, interval.max(SHORTEST_WAIT)).await {
                Ok(answer) => match ResponseError::try_from_code(answer.error_code) {
                    None | Some(ResponseError::RebalanceInProgress) => lease.renew(sent),
                    Some(_) => self.hang_up(),
                },
                Err(error) => {
                    tracing::debug!(%error, "a heartbeat during a rebalance was not answered");
                    self.hang_up();
                }
            }
        }
    }
}

/// A broker that is busy gets at least so long for a heartbeat.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);
