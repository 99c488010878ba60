//! Notices that Kafka confirms nothing of what was sent.
//!
//! Sending is repeated for as long as `delivery.timeout.ms` allows, which is for ever in a Connect worker: a task whose
//! requests are never answered looks like one that works. A broker closes the connection over a request above its
//! `socket.request.max.bytes`, for one, without a word that a client could pass on: a record that is as large is refused before it
//! is sent where the brokers tell that limit, but not one that is to be compressed, because nobody knows yet how large it will be.

use std::time::{Duration, Instant};

/// How long nothing may be confirmed before it is told, and how often it is told then.
const TELL_AFTER: Duration = Duration::from_secs(30);

/// Follows the confirmations of one task.
#[derive(Debug)]
pub(crate) struct Stall {
    acknowledged: u64,
    since: Instant,
    told: Option<Instant>,
}

impl Stall {
    /// Nothing was sent yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { acknowledged: 0, since: now, told: None }
    }

    /// How long nothing was confirmed, when that is to be told now.
    pub(crate) fn look(&mut self, acknowledged: u64, in_flight: u64, now: Instant) -> Option<Duration> {
        if in_flight == 0 || acknowledged != self.acknowledged {
            *self = Self { acknowledged, since: now, told: None };
            return None;
        }
        let last = self.told.unwrap_or(self.since);
        if now.duration_since(last) < TELL_AFTER {
            return None;
        }
        self.told = Some(now);
        Some(now.duration_since(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_with_records_under_way_is_told_now_and_then() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut stall = Stall::new(begin);
        assert_eq!(stall.look(0, 0, at(100)), None, "nothing was sent");
        assert_eq!(stall.look(0, 5, at(129)), None);
        assert_eq!(stall.look(0, 5, at(130)), Some(Duration::from_secs(30)));
        assert_eq!(stall.look(0, 5, at(131)), None, "not again at once");
        assert_eq!(stall.look(0, 5, at(160)), Some(Duration::from_secs(60)));
        assert_eq!(stall.look(1, 5, at(200)), None, "one was confirmed");
        assert_eq!(stall.look(1, 5, at(229)), None);
    }
}
