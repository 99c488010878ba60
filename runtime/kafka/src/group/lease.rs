//! The right to work, which a membership gives for a while and an answered heartbeat renews.
//!
//! A member that the coordinator did not hear for the length of a session is out, and others may get its work; the member
//! itself may be the last to learn of it: its network stalls, or the process is stopped and woken again. So the right ends
//! by the clock, without anybody doing anything. It counts from the *sending* of the last request that was answered, which
//! is never later than the coordinator's own count, on a clock that goes on while the process is stopped.
//!
//! There are two ends: at [`Lease::stop_at`] the membership says that it is lost, and work is stopped in good order; at
//! [`Lease::until`], still within the session, whoever looks at the lease before each step must not take it any more. Only
//! when the coordinator itself says that the member is out is the right over at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No right at all.
const NONE: u64 = 0;
/// For workers that are alone.
const ENDLESS: u64 = u64::MAX;
/// The part of a session that is kept for stopping work in good order: one in so many.
const STOP_PART: u32 = 5;
/// The part of a session that the right ends before it: for what a step takes that was begun at the last moment.
const GUARD_PART: u32 = 20;

/// A right to work; clones are the same right. Looking at it costs reading a clock.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What times are counted from.
    born: Instant,
    /// When the coordinator was last asked with success: microseconds since `born`, plus one.
    contact: AtomicU64,
    /// Work was told to stop: what is left of the right is for that.
    lapsing: AtomicBool,
    session: Duration,
}

impl Lease {
    /// The lease of a member with this session; there is no right yet.
    pub fn new(session: Duration) -> Self {
        Self(Arc::new(Inner {
            born: Instant::now(),
            contact: AtomicU64::new(NONE),
            lapsing: AtomicBool::new(false),
            session,
        }))
    }

    /// A right that never ends, for workers that are alone.
    pub fn endless() -> Self {
        let lease = Self::new(Duration::ZERO);
        lease.0.contact.store(ENDLESS, Ordering::Release);
        lease
    }

    /// Whether work may be done now.
    pub fn holds(&self) -> bool {
        match self.0.contact.load(Ordering::Acquire) {
            NONE => false,
            ENDLESS => true,
            contact => Instant::now() < self.at(contact) + self.0.session - self.0.session / GUARD_PART,
        }
    }

    /// The end of the right as it is now; `None` when there is none, or when it has no end.
    pub fn until(&self) -> Option<Instant> {
        Some(self.contact()? + self.0.session - self.0.session / GUARD_PART)
    }

    /// When work has to begin to stop, unless the right is renewed; `None` also when that was told.
    pub fn stop_at(&self) -> Option<Instant> {
        if self.0.lapsing.load(Ordering::Acquire) {
            return None;
        }
        Some(self.contact()? + self.patience())
    }

    /// How long after the last contact work has to begin to stop.
    pub(super) fn patience(&self) -> Duration {
        self.0.session - self.0.session / STOP_PART
    }

    /// When the request was sent that this right comes from.
    pub(super) fn contact(&self) -> Option<Instant> {
        match self.0.contact.load(Ordering::Acquire) {
            NONE | ENDLESS => None,
            contact => Some(self.at(contact)),
        }
    }

    fn at(&self, contact: u64) -> Instant {
        self.0.born + Duration::from_micros(contact - 1)
    }

    /// A request that was sent then has been answered.
    pub(super) fn renew(&self, sent: Instant) {
        let micros = sent.saturating_duration_since(self.0.born).as_micros();
        let contact = u64::try_from(micros).unwrap_or(ENDLESS - 2).saturating_add(1);
        self.0.contact.fetch_max(contact, Ordering::AcqRel);
        self.0.lapsing.store(false, Ordering::Release);
    }

    /// Work is told to stop, and the right is left to end by itself.
    pub(super) fn lapse(&self) {
        self.0.lapsing.store(true, Ordering::Release);
    }

    /// The right is over at once.
    pub(super) fn end(&self) {
        self.0.contact.store(NONE, Ordering::Release);
        self.0.lapsing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_counts_from_the_sending_and_ends_by_itself() {
        let lease = Lease::new(Duration::from_secs(10));
        assert!(!lease.holds(), "a member that has not joined has no right");
        let sent = Instant::now();
        lease.renew(sent);
        assert!(lease.holds());
        let close = |left: Option<Instant>, right: Instant| {
            left.is_some_and(|left| left.max(right) - left.min(right) < Duration::from_millis(1))
        };
        assert!(close(lease.stop_at(), sent + Duration::from_secs(8)));
        assert!(close(lease.until(), sent + Duration::from_millis(9_500)));

        let short = Lease::new(Duration::from_millis(10));
        let clone = short.clone();
        short.renew(Instant::now());
        std::thread::sleep(Duration::from_millis(12));
        assert!(!clone.holds(), "nobody had to end it");
    }

    #[test]
    fn a_right_that_lapses_lasts_as_long_as_it_would_have() {
        let lease = Lease::new(Duration::from_secs(10));
        let sent = Instant::now();
        lease.renew(sent);
        let until = lease.until();
        lease.lapse();
        assert!(lease.holds() && lease.until() == until);
        assert_eq!(lease.stop_at(), None, "it is told once");
        lease.renew(sent + Duration::from_secs(1));
        assert!(lease.stop_at().is_some() && lease.until() > until);
    }

    #[test]
    fn an_older_answer_takes_nothing_back_and_an_end_is_an_end() {
        let lease = Lease::new(Duration::from_secs(10));
        let now = Instant::now() + Duration::from_secs(1);
        lease.renew(now);
        let until = lease.until();
        lease.renew(now - Duration::from_millis(500));
        assert_eq!(lease.until(), until);
        lease.end();
        assert!(!lease.holds() && lease.until().is_none());
        assert!(Lease::endless().holds());
    }
}
