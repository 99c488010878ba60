//! What a member of a classic group does next, and what an answer of the coordinator means: pure.
//!
//! The coordinator's codes are those that `AbstractCoordinator` of the Java client handles, and with the same results:
//! an unknown member starts anew, an old generation keeps its member id, a moved coordinator is looked for again.
//! Invariants: `Lost` is told at most once between two joins, and only when there was something to lose; `last_contact` is
//! the time at which a request was *sent* that the coordinator has answered, so that it never is later than the
//! coordinator's own count of the session.

use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

/// Where the member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Has to join; the owner is to be asked what to offer.
    Unjoined,
    /// What to offer is known; JoinGroup is to be sent.
    Joining,
    /// Elected leader; the owner is to be asked for the assignment.
    Electing,
    /// SyncGroup is to be sent.
    Syncing,
    /// Has its assignment; heartbeats only.
    Stable,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Prepare,
    Join,
    Elect,
    Sync,
    Heartbeat,
    WaitUntil(Instant),
}

/// What to tell the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Rebalancing,
    Lost(&'static str),
    Trouble(ResponseError),
}

/// What follows from an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) notices: Vec<Notice>,
    /// The coordinator is elsewhere.
    pub(super) find_coordinator: bool,
    /// Wait before the next try.
    pub(super) pause: bool,
}

/// A member's state.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) phase: Phase,
    /// Empty before the coordinator gave one.
    pub(super) member_id: String,
    pub(super) generation: i32,
    /// The owner has an assignment that it may work on.
    pub(super) has_assignment: bool,
    /// It had an assignment and gave it up for the coordinator's silence. The coordinator may count it in yet, so that its
    /// work may be stopped in good order; until it hears otherwise, or has a new assignment.
    pub(super) counted_out: bool,
    rejoin_wanted: bool,
    pub(super) last_contact: Option<Instant>,
    last_heartbeat: Option<Instant>,
    /// How long after the last contact the member counts itself out.
    patience: Duration,
    heartbeat_interval: Duration,
}

impl Member {
    pub(super) fn new(patience: Duration, heartbeat_interval: Duration) -> Self {
        Self {
            phase: Phase::Unjoined,
            member_id: String::new(),
            generation: -1,
            has_assignment: false,
            counted_out: false,
            rejoin_wanted: false,
            last_contact: None,
            last_heartbeat: None,
            patience,
            heartbeat_interval,
        }
    }

    /// What to do at `now`.
    pub(super) fn next(&self, now: Instant) -> Next {
        match self.phase {
            Phase::Unjoined => Next::Prepare,
            Phase::Joining => Next::Join,
            Phase::Electing => Next::Elect,
            Phase::Syncing => Next::Sync,
            Phase::Stable => match self.heartbeat_due() {
                Some(due) if due > now => Next::WaitUntil(due),
                _ => Next::Heartbeat,
            },
        }
    }

    /// When the next heartbeat is due; `None`: at once.
    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        self.last_heartbeat.map(|last| last + self.heartbeat_interval)
    }

    /// Whether the coordinator knows it as a member of a generation, so that it must hear heartbeats.
    pub(super) const fn needs_heartbeats(&self) -> bool {
        self.generation >= 0
    }

    /// The owner wants a new round. During a join it is remembered for afterwards.
    pub(super) fn ask_rejoin(&mut self) {
        match self.phase {
            Phase::Unjoined => {}
            Phase::Stable => self.phase = Phase::Unjoined,
            Phase::Joining | Phase::Electing | Phase::Syncing => self.rejoin_wanted = true,
        }
    }

    /// The owner said what to offer.
    pub(super) fn prepared(&mut self) {
        if self.phase == Phase::Unjoined {
            self.phase = Phase::Joining;
        }
    }

    /// The owner computed the assignment.
    pub(super) fn assigned(&mut self) {
        if self.phase == Phase::Electing {
            self.phase = Phase::Syncing;
        }
    }

    /// A heartbeat goes out.
    pub(super) fn heartbeat_sent(&mut self, now: Instant) {
        self.last_heartbeat = Some(now);
    }

    /// JoinGroup was answered without error; it was sent then.
    pub(super) fn joined(&mut self, sent: Instant, member_id: &str, generation: i32, leads: bool) {
        self.contact(sent);
        member_id.clone_into(&mut self.member_id);
        self.generation = generation;
        self.phase = if leads { Phase::Electing } else { Phase::Syncing };
    }

    /// SyncGroup was answered without error; it was sent then.
    pub(super) fn synced(&mut self, sent: Instant) {
        self.contact(sent);
        // What it had before was told to stop before the owner was asked what to offer.
        self.has_assignment = true;
        self.counted_out = false;
        self.phase = if std::mem::take(&mut self.rejoin_wanted) { Phase::Unjoined } else { Phase::Stable };
    }

    /// A heartbeat that was sent then was answered: the member is in the group.
    pub(super) fn beat(&mut self, sent: Instant) {
        self.last_contact = self.last_contact.max(Some(sent));
    }

    fn contact(&mut self, sent: Instant) {
        self.beat(sent);
        self.last_heartbeat = Some(sent);
    }

    /// The coordinator answered JoinGroup with an error. `given_id` is the member id in that answer.
    pub(super) fn join_refused(&mut self, error: ResponseError, given_id: &str) -> Verdict {
        if error == ResponseError::MemberIdRequired {
            // Joins again at once, with the id and the same offer.
            given_id.clone_into(&mut self.member_id);
            return Verdict::default();
        }
        let mut verdict = self.refused(error);
        if error == ResponseError::RebalanceInProgress {
            verdict.notices.clear();
            verdict.pause = true;
        }
        verdict
    }

    /// The coordinator answered SyncGroup with an error.
    pub(super) fn sync_refused(&mut self, error: ResponseError) -> Verdict {
        let mut verdict = self.refused(error);
        // The owner knows of the rebalance: its join is not over yet.
        verdict.notices.retain(|notice| *notice != Notice::Rebalancing);
        if self.phase == Phase::Syncing || self.phase == Phase::Electing {
            self.phase = Phase::Unjoined;
        }
        verdict
    }

    /// The coordinator answered a heartbeat that was sent then with an error.
    pub(super) fn heartbeat_refused(&mut self, sent: Instant, error: ResponseError) -> Verdict {
        if error == ResponseError::RebalanceInProgress {
            // A member all the same.
            self.beat(sent);
        }
        let before = self.phase;
        let mut verdict = self.refused(error);
        // Only a stable member learns of a rebalance by its heartbeat; before that it is on its way to join anyway. A new
        // rebalance during an election makes the election void.
        if before != Phase::Stable {
            verdict.notices.retain(|notice| *notice != Notice::Rebalancing);
        }
        verdict
    }

    /// What all answers have in common.
    fn refused(&mut self, error: ResponseError) -> Verdict {
        let mut verdict = Verdict::default();
        match error {
            ResponseError::RebalanceInProgress => {
                if self.phase != Phase::Joining {
                    self.phase = Phase::Unjoined;
                }
                verdict.notices.push(Notice::Rebalancing);
            }
            ResponseError::UnknownMemberId => {
                self.member_id.clear();
                self.reset("the coordinator does not know this member any more", &mut verdict);
            }
            ResponseError::IllegalGeneration => {
                self.reset("the group has moved on to another generation", &mut verdict);
            }
            ResponseError::NotCoordinator | ResponseError::CoordinatorNotAvailable => {
                verdict.find_coordinator = true;
                verdict.pause = true;
            }
            ResponseError::CoordinatorLoadInProgress => verdict.pause = true,
            other => {
                verdict.notices.push(Notice::Trouble(other));
                verdict.pause = true;
            }
        }
        verdict
    }

    fn reset(&mut self, why: &'static str, verdict: &mut Verdict) {
        self.generation = -1;
        self.phase = Phase::Unjoined;
        self.rejoin_wanted = false;
        self.counted_out = false;
        if std::mem::take(&mut self.has_assignment) {
            verdict.notices.push(Notice::Lost(why));
        }
    }

    /// The owner can't take part now: the group goes on without it. It has left, or tried to.
    pub(super) fn abstained(&mut self) -> Verdict {
        let mut verdict = Verdict::default();
        self.member_id.clear();
        self.reset("this worker can't read the group's configuration and left the group", &mut verdict);
        verdict
    }

    /// The coordinator cannot be reached. When that has lasted for nearly the session's length, the member counts itself
    /// out: what is left of the session is the time in which its work has to end.
    pub(super) fn out_of_reach(&mut self, now: Instant) -> Verdict {
        let mut verdict = Verdict { pause: true, ..Verdict::default() };
        if self.phase == Phase::Syncing || self.phase == Phase::Electing {
            // The round may go on without us; its answer cannot be asked for again.
            self.phase = Phase::Unjoined;
        }
        if self.has_assignment && self.last_contact.is_none_or(|last| now >= last + self.patience) {
            self.reset("the coordinator was out of reach for nearly the length of the session", &mut verdict);
            self.counted_out = true;
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
