//! Carries out what [`Member`] decides: requests to the coordinator, questions to the owner.
//!
//! Invariant: whatever is under way, the member's work is declared lost in time ([`Lease::stop_at`]); a step that waits for
//! the coordinator or the owner is cut short for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_protocol::protocol::{Request, StrBytes};
use tokio::sync::{Notify, mpsc, oneshot};

use super::lease::Lease;
use super::line::{HEARTBEAT, Line};
use super::member::{Member, Next, Notice, Verdict};
use super::{GroupConfig, GroupEvent, GroupMember, Joined, Offer, OfferedProtocol};
use crate::wire::{Brokers, error_of};
use crate::{Error, ErrorKind, Result};

/// What the handle asks of the driver.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) timeout: Duration,
    pub(super) done: oneshot::Sender<Result<()>>,
}

/// The owner's wish for a new round. It must not cut a join short, so it is a flag that is looked at between steps.
#[derive(Debug, Default)]
pub(super) struct RejoinWish {
    asked: AtomicBool,
    bell: Notify,
}

impl RejoinWish {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    fn take(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }
}

/// Time beyond the rebalance time-out for the answer to JoinGroup, as the Java client has.
const JOIN_EXTRA: Duration = Duration::from_secs(5);

/// The longest pause between heartbeats, whatever `heartbeat.interval.ms` says: it is by a heartbeat that a member learns of
/// a rebalance, and all others wait for the last one to hear of it. (The JVM's members take up to three seconds.)
const INTERVAL_MAX: Duration = Duration::from_millis(500);
/// A heartbeat is not waited for longer than this part of the session: one on a new connection may get through.
const HEARTBEAT_WAIT_PART: u32 = 4;

/// The membership is over: the owner is gone.
struct OwnerGone;

/// What a completed JoinGroup told.
#[derive(Default)]
struct Round {
    protocol: String,
    leader_id: String,
    members: Vec<GroupMember>,
    assignments: Vec<(String, Bytes)>,
}

pub(super) struct Driver {
    config: GroupConfig,
    brokers: Brokers,
    events: mpsc::Sender<GroupEvent>,
    rejoin: Arc<RejoinWish>,
    member: Member,
    lease: Lease,
    line: Line,
    /// For heartbeats while an answer is waited for on the other one.
    side_line: Line,
    interval: Duration,
    offered: Vec<OfferedProtocol>,
    round: Round,
    pause: Duration,
    /// Text of the last trouble told, so that an outage is told once.
    told: Option<String>,
}

impl Driver {
    pub(super) fn new(
        config: GroupConfig,
        brokers: Brokers,
        events: mpsc::Sender<GroupEvent>,
        rejoin: Arc<RejoinWish>,
        lease: Lease,
    ) -> Self {
        let interval = config.heartbeat_interval.min(INTERVAL_MAX);
        let member = Member::new(lease.patience(), interval);
        let pause = config.retry_backoff;
        Self {
            config,
            brokers,
            events,
            rejoin,
            member,
            lease,
            line: Line::default(),
            side_line: Line::default(),
            interval,
            offered: Vec::new(),
            round: Round::default(),
            pause,
            told: None,
        }
    }

    /// Runs until the owner leaves or is gone.
    pub(super) async fn run(mut self, mut leave: oneshot::Receiver<Leave>) {
        loop {
            let lease = self.lease.clone();
            let order = tokio::select! {
                biased;
                order = &mut leave => order,
                () = overdue(&lease) => match self.out_of_reach(silence()).await {
                    Ok(()) => continue,
                    Err(OwnerGone) => break,
                },
                outcome = self.advance() => match outcome {
                    Ok(()) => continue,
                    Err(OwnerGone) => break,
                },
            };
            // Cutting a step short is fine: a connection in the middle of a request is not used again.
            if let Ok(Leave { timeout, done }) = order {
                let left = tokio::time::timeout(timeout, self.leave()).await.unwrap_or_else(|_| {
                    let text = format!("LeaveGroup was not answered within {} ms", timeout.as_millis());
                    Err(Error::new(crate::ErrorKind::Timeout, text))
                });
                let _gone = done.send(left);
            }
            break;
        }
        self.lease.end();
    }

    async fn advance(&mut self) -> Result<(), OwnerGone> {
        if self.rejoin.take() {
            self.member.ask_rejoin();
        }
        match self.member.next(Instant::now()) {
            Next::Prepare => self.prepare().await,
            Next::Join => self.join().await,
            Next::Elect => self.elect().await,
            Next::Sync => self.sync().await,
            Next::Heartbeat => self.heartbeat().await,
            Next::WaitUntil(until) => {
                // Rung or over: either way the next step is looked for anew.
                let _over = tokio::time::timeout_at(until.into(), self.rejoin.bell.notified()).await;
                Ok(())
            }
        }
    }

    async fn prepare(&mut self) -> Result<(), OwnerGone> {
        let (reply, answer) = oneshot::channel();
        self.tell(GroupEvent::Prepare { reply }).await?;
        match self.with_heartbeats(answer).await? {
            Answer::Given(Offer::Abstain(pause)) => self.abstain(pause).await,
            Answer::Given(Offer::Join(offered)) => {
                self.offered = offered;
                // A wish from before the answer is granted by this very join.
                let _granted = self.rejoin.take();
                self.member.prepared();
                Ok(())
            }
            // The owner was told; it is asked again.
            Answer::Void => Ok(()),
            Answer::Dropped => Err(OwnerGone),
        }
    }

    async fn elect(&mut self) -> Result<(), OwnerGone> {
        let (reply, answer) = oneshot::channel();
        let event = GroupEvent::Elected {
            generation: self.member.generation,
            protocol: self.round.protocol.clone(),
            leader_id: self.round.leader_id.clone(),
            members: self.round.members.clone(),
            reply,
        };
        self.tell(event).await?;
        match self.with_heartbeats(answer).await? {
            Answer::Given(assignments) => {
                self.round.assignments = assignments;
                self.member.assigned();
                Ok(())
            }
            Answer::Void => Ok(()),
            Answer::Dropped => {
                // No assignment, but the group must not wait for it: everybody joins again.
                let verdict = self.member.sync_refused(ResponseError::RebalanceInProgress);
                self.follow(verdict).await?;
                self.rest().await
            }
        }
    }

    /// Waits for the owner's answer and keeps the membership alive meanwhile. Void when the phase changed under it.
    async fn with_heartbeats<T>(&mut self, mut answer: oneshot::Receiver<T>) -> Result<Answer<T>, OwnerGone> {
        let (phase, generation) = (self.member.phase, self.member.generation);
        loop {
            if !self.member.needs_heartbeats() {
                return Ok(answer.await.map_or(Answer::Dropped, Answer::Given));
            }
            let due = self.member.heartbeat_due().unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                given = &mut answer => return Ok(given.map_or(Answer::Dropped, Answer::Given)),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            self.heartbeat().await?;
            if self.member.phase != phase || self.member.generation != generation {
                return Ok(Answer::Void);
            }
        }
    }

    async fn join(&mut self) -> Result<(), OwnerGone> {
        let protocol = |offered: &OfferedProtocol| {
            JoinGroupRequestProtocol::default().with_name(text(&offered.name)).with_metadata(offered.metadata.clone())
        };
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(millis(self.config.session_timeout))
            .with_rebalance_timeout_ms(millis(self.config.rebalance_timeout))
            .with_member_id(text(&self.member.member_id))
            .with_protocol_type(text(&self.config.protocol_type))
            .with_protocols(self.offered.iter().map(protocol).collect());
        let wait = self.config.rebalance_timeout + JOIN_EXTRA;
        let sent = Instant::now();
        let answer = match self.ask_with_pulse(7, &request, wait).await {
            Ok(answer) => answer,
            Err(error) => return self.out_of_reach(error).await,
        };
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            let verdict = self.member.join_refused(error, &answer.member_id);
            return self.follow(verdict).await;
        }
        let leads = answer.leader == answer.member_id;
        let members = answer
            .members
            .into_iter()
            .map(|member| GroupMember { member_id: member.member_id.to_string(), metadata: member.metadata });
        self.round = Round {
            protocol: answer.protocol_name.map(|name| name.to_string()).unwrap_or_default(),
            leader_id: answer.leader.to_string(),
            members: members.collect(),
            assignments: Vec::new(),
        };
        self.member.joined(sent, &answer.member_id, answer.generation_id, leads);
        self.renew();
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), OwnerGone> {
        let assignment = |(member, assignment): (String, Bytes)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(assignment)
        };
        let assignments = std::mem::take(&mut self.round.assignments).into_iter().map(assignment).collect();
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.member.generation)
            .with_member_id(text(&self.member.member_id))
            .with_assignments(assignments);
        // Answered when the leader has computed the assignment, which has as long as the rebalance.
        let wait = self.config.rebalance_timeout + JOIN_EXTRA;
        let sent = Instant::now();
        // Version 4 is the last that does not repeat type and name of the protocol.
        let answer = match self.ask_with_pulse(4, &request, wait).await {
            Ok(answer) => answer,
            Err(error) => return self.out_of_reach(error).await,
        };
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            let verdict = self.member.sync_refused(error);
            return self.follow(verdict).await;
        }
        self.member.synced(sent);
        self.renew();
        self.told = None;
        self.pause = self.config.retry_backoff;
        let joined = Joined {
            generation: self.member.generation,
            member_id: self.member.member_id.clone(),
            leader_id: self.round.leader_id.clone(),
            protocol: self.round.protocol.clone(),
            assignment: answer.assignment,
        };
        self.tell(GroupEvent::Joined(joined)).await
    }

    async fn heartbeat(&mut self) -> Result<(), OwnerGone> {
        let request = self.heartbeat_request();
        let sent = Instant::now();
        self.member.heartbeat_sent(sent);
        let wait = self.config.session_timeout / HEARTBEAT_WAIT_PART;
        let Self { line, brokers, config, .. } = self;
        match line.ask(brokers, &config.group_id, HEARTBEAT, &request, wait).await {
            Err(error) => self.out_of_reach(error).await,
            Ok(answer) => match ResponseError::try_from_code(answer.error_code) {
                None => {
                    self.member.beat(sent);
                    self.renew();
                    self.told = None;
                    self.pause = self.config.retry_backoff;
                    Ok(())
                }
                Some(error) => {
                    let verdict = self.member.heartbeat_refused(sent, error);
                    self.renew();
                    self.follow(verdict).await
                }
            },
        }
    }

    fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.member.generation)
            .with_member_id(text(&self.member.member_id))
    }

    /// Makes the lease what the member knows.
    fn renew(&self) {
        match self.member.last_contact.filter(|_| self.member.has_assignment) {
            Some(contact) => self.lease.renew(contact),
            None if self.member.counted_out => self.lease.lapse(),
            None => self.lease.end(),
        }
    }

    /// Asks what may take as long as a rebalance, and keeps the session alive meanwhile.
    async fn ask_with_pulse<R: Request>(&mut self, newest: i16, request: &R, wait: Duration) -> Result<R::Response> {
        let heartbeat = self.heartbeat_request();
        let pulses = self.member.needs_heartbeats();
        // Without an assignment there is nothing that the lease allows; the session is kept all the same.
        let lease = if self.member.has_assignment { self.lease.clone() } else { Lease::new(Duration::ZERO) };
        let Self { line, side_line, brokers, config, interval, .. } = self;
        let group = config.group_id.as_str();
        let answer = tokio::select! {
            answer = line.ask(brokers, group, newest, request, wait) => answer,
            () = side_line.pulse(brokers, group, &heartbeat, *interval, &lease), if pulses => {
                unreachable!("heartbeats are sent without end")
            }
        };
        if let Some(contact) = lease.contact() {
            self.member.beat(contact);
        }
        answer
    }

    /// Leaves the group for a while: the owner is not fit to take part.
    async fn abstain(&mut self, pause: Duration) -> Result<(), OwnerGone> {
        if let Err(error) = self.leave().await {
            tracing::debug!(%error, "failed to leave the group");
        }
        let verdict = self.member.abstained();
        self.renew();
        self.follow(verdict).await?;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        if self.member.member_id.is_empty() {
            return Ok(());
        }
        let member = MemberIdentity::default().with_member_id(text(&self.member.member_id));
        let request = LeaveGroupRequest::default().with_group_id(self.group_id()).with_members(vec![member]);
        let wait = self.brokers.settings().request_timeout;
        // Version 3 has members instead of a member; reasons came with version 5.
        let Self { line, brokers, config, .. } = self;
        match line.ask(brokers, &config.group_id, 4, &request, wait).await {
            Ok(answer) => match ResponseError::try_from_code(answer.error_code) {
                None | Some(ResponseError::UnknownMemberId) => Ok(()),
                Some(error) => Err(error_of(error, None).context("leaving the group")),
            },
            Err(error) => Err(error.context("leaving the group")),
        }
    }

    async fn out_of_reach(&mut self, error: Error) -> Result<(), OwnerGone> {
        self.line.hang_up();
        self.side_line.hang_up();
        // Before anybody is told: work that has to stop has what is left of the lease for it, which nothing renews now.
        let verdict = self.member.out_of_reach(Instant::now());
        self.renew();
        let text = error.to_string();
        if self.told.as_ref() != Some(&text) {
            self.told = Some(text);
            self.tell(GroupEvent::Trouble(error)).await?;
        }
        self.follow(verdict).await
    }

    async fn follow(&mut self, verdict: Verdict) -> Result<(), OwnerGone> {
        self.renew();
        if verdict.find_coordinator {
            self.line.hang_up();
            self.side_line.hang_up();
        }
        for notice in verdict.notices {
            let event = match notice {
                Notice::Rebalancing => GroupEvent::Rebalancing,
                Notice::Lost(reason) => GroupEvent::Lost { reason: reason.to_owned() },
                Notice::Trouble(error) => {
                    GroupEvent::Trouble(error_of(error, None).context(format_args!("group {}", self.config.group_id)))
                }
            };
            self.tell(event).await?;
        }
        if verdict.pause { self.rest().await } else { Ok(()) }
    }

    /// Waits before the next try, longer each time until something works.
    async fn rest(&mut self) -> Result<(), OwnerGone> {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.brokers.settings().retry_backoff_max.max(self.config.retry_backoff));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn tell(&self, event: GroupEvent) -> Result<(), OwnerGone> {
        self.events.send(event).await.map_err(|_| OwnerGone)
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&self.config.group_id))
    }
}

enum Answer<T> {
    Given(T),
    Void,
    Dropped,
}

/// Ends when work has to begin to stop; never while there is none.
async fn overdue(lease: &Lease) {
    loop {
        match lease.stop_at() {
            Some(at) if at <= Instant::now() => return,
            // It may be renewed, or begin, in the meantime.
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => tokio::time::sleep(INTERVAL_MAX).await,
        }
    }
}

fn silence() -> Error {
    Error::new(ErrorKind::Unreachable, "the coordinator of the group has not answered for most of the session")
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
