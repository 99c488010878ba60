//! Membership in a group of workers by Kafka's classic group protocol, protocol type `connect`.
//!
//! The owner (the herder) starts a [`Membership`] and takes its events. Everything that needs the owner's knowledge is an
//! event with a reply: the metadata before each join, the assignment when this member is the leader. Heartbeats go on while
//! the owner thinks, so it may stop its work before it answers.

mod driver;
mod lease;
mod line;
mod member;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{mpsc, oneshot};

use crate::stats::{ClientStats, StatsOf};
use crate::wire::{Brokers, Settings};
use crate::{ClientProps, Error, ErrorKind, Result};

use driver::{Driver, Leave, RejoinWish};
pub use lease::Lease;

/// Events that may wait for the owner.
const EVENTS_MAX: usize = 16;

/// How to be a member.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub group_id: String,
    /// Prefix of the member id the coordinator gives (`connect-<host>:<port>`).
    pub client_id: String,
    pub protocol_type: String,
    /// `session.timeout.ms`: without a heartbeat for so long the member is out.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `rebalance.timeout.ms`: how long members have to join again.
    pub rebalance_timeout: Duration,
    /// `retry.backoff.ms`: the pause before trying again.
    pub retry_backoff: Duration,
}

/// A protocol this member offers, most wanted first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProtocol {
    pub name: String,
    pub metadata: Bytes,
}

/// A member as the elected leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: String,
    pub metadata: Bytes,
}

/// A completed join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub member_id: String,
    pub leader_id: String,
    /// The protocol the coordinator chose.
    pub protocol: String,
    pub assignment: Bytes,
}

impl Joined {
    /// Whether this member leads the group.
    pub fn is_leader(&self) -> bool {
        self.member_id == self.leader_id
    }
}

/// The owner's answer to [`GroupEvent::Prepare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Join with these, most wanted first.
    Join(Vec<OfferedProtocol>),
    /// This owner can't take part now: leave the group, and ask again after this pause.
    Abstain(Duration),
}

/// What happens to the membership, in order.
#[derive(Debug)]
pub enum GroupEvent {
    /// A join is about to be sent: answer with what to offer. The member keeps its heartbeats until the answer. Dropping
    /// `reply` ends the membership.
    Prepare { reply: oneshot::Sender<Offer> },
    /// This member leads the new generation: answer with an assignment for each member id. If the group moves on before the
    /// answer, the answer is dropped and a new `Prepare` follows.
    Elected {
        generation: i32,
        protocol: String,
        leader_id: String,
        members: Vec<GroupMember>,
        reply: oneshot::Sender<Vec<(String, Bytes)>>,
    },
    /// The member has its assignment.
    Joined(Joined),
    /// The group rebalances; the assignment stays valid until the member joins again. `Prepare` follows.
    Rebalancing,
    /// The member is not in the group any more (session over, fenced, coordinator out of reach for most of the session): all
    /// work must stop. It tries to join anew; `Prepare` follows.
    Lost { reason: String },
    /// Something the member gets over by itself, but the user should know (broker away, authorization missing).
    Trouble(Error),
}

/// Handle of a running membership. Dropping it ends the membership without a clean leave.
#[derive(Debug)]
pub struct Membership {
    leave: oneshot::Sender<Leave>,
    rejoin: Arc<RejoinWish>,
    stats: Arc<ClientStats>,
    lease: Lease,
}

impl Membership {
    /// Starts to join, on the current tokio runtime. Events come through the receiver, which must be read all the time:
    /// while it is full there are no heartbeats.
    pub fn start(config: GroupConfig, props: &ClientProps) -> Result<(Self, mpsc::Receiver<GroupEvent>)> {
        let mut settings = Settings::from_props(props)?;
        settings.client_id = StrBytes::from_string(config.client_id.clone());
        settings.stats = ClientStats::new(StatsOf::Requests, &config.client_id);
        let stats = Arc::clone(&settings.stats);
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let (leave, leave_receiver) = oneshot::channel();
        let rejoin = Arc::new(RejoinWish::default());
        let lease = Lease::new(config.session_timeout);
        let driver = Driver::new(config, Brokers::new(settings), sender, Arc::clone(&rejoin), lease.clone());
        // Detached on purpose: it ends when this handle or the receiver is dropped.
        let _task = tokio::spawn(driver.run(leave_receiver));
        Ok((Self { leave, rejoin, stats, lease }, receiver))
    }

    /// The right to work that this membership gives: whoever does the work looks at it before each step.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// What its connections carry.
    pub fn stats(&self) -> &Arc<ClientStats> {
        &self.stats
    }

    /// Asks for a new round, which brings everybody to join again. During a join it is done right after it.
    pub fn rejoin(&self) {
        self.rejoin.ask();
    }

    /// Leaves the group (LeaveGroup is sent within `timeout`) and ends the membership.
    pub async fn leave(self, timeout: Duration) -> Result<()> {
        let (done, left) = oneshot::channel();
        let over = || Error::new(ErrorKind::GroupState, "the membership is over already");
        self.leave.send(Leave { timeout, done }).map_err(|_| over())?;
        left.await.unwrap_or_else(|_| Err(over()))
    }
}
