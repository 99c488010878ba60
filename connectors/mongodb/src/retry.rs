//! How long errors that pass are waited out: `transient.errors.retry.timeout.ms`, and `max.num.retries` and
//! `retries.defer.timeout` of the connector's 1.x.

use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind};

use crate::settings::ExtraConfig;

/// The worker makes another attempt sooner than this after the time it was asked for. What takes longer is a pause of the
/// connector, and no time in which the server did not take the batch.
const LONGEST_GAP: Duration = Duration::from_secs(60);
/// No attempt follows another sooner: a server that answers at once is not to be asked, and told of in the log, without a break.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// The bounds, and how far they are used up by failures in a row.
#[derive(Debug)]
pub struct Patience {
    window: Duration,
    retries: Option<u32>,
    defer: Option<Duration>,
    failed: Option<Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    since: Instant,
    last: Instant,
    times: u32,
}

impl Patience {
    /// As it is configured.
    pub fn new(extra: &ExtraConfig) -> Self {
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Self {
            window: millis(extra.transient_retry_ms),
            retries: extra.max_num_retries.map(|times| u32::try_from(times).unwrap_or(0)),
            defer: extra.retries_defer_ms.map(millis),
            failed: None,
        }
    }

    /// True when errors that pass are waited out at all.
    pub fn on(&self) -> bool {
        !self.window.is_zero()
    }

    /// Whether an attempt that begins now may fail and be made again.
    pub fn lasts(&mut self, now: Instant) -> bool {
        let Some(failed) = &mut self.failed else { return self.on() && self.retries != Some(0) };
        let gap = now.saturating_duration_since(failed.last);
        if gap > LONGEST_GAP + self.defer.unwrap_or_default() {
            failed.since += gap;
            failed.last = now;
        }
        let in_time = now.saturating_duration_since(failed.since) < self.window;
        in_time && self.retries.is_none_or(|most| failed.times < most)
    }

    /// An attempt failed and is made again: the error that asks the worker for it.
    pub fn ask_again(&mut self, now: Instant, error: Error) -> Error {
        let failed = self.failed.get_or_insert(Failed { since: now, last: now, times: 0 });
        failed.last = now;
        failed.times = failed.times.saturating_add(1);
        let message = format!("MongoDB cannot take the batch now: {error}");
        let asks = Error::new(ErrorKind::Unavailable, message).caused_by(error);
        match self.defer {
            Some(defer) => asks.retry_after(defer.max(SHORTEST_WAIT)),
            None => asks,
        }
    }

    /// A batch was written, or is given up.
    pub fn over(&mut self) {
        self.failed = None;
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Props;

    use super::*;

    fn patience(settings: &[(&str, &str)]) -> Patience {
        let props: Props = settings.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        Patience::new(&ExtraConfig::of(&props).unwrap())
    }

    fn away() -> Error {
        Error::new(ErrorKind::NotReady, "no primary")
    }

    #[test]
    fn without_a_time_nothing_is_waited_out_whatever_else_is_set() {
        let mut off = patience(&[("max.num.retries", "5"), ("retries.defer.timeout", "100")]);
        assert!(!off.on() && !off.lasts(Instant::now()));
    }

    #[test]
    fn the_time_counts_from_the_first_failure_of_a_row() {
        let mut patience = patience(&[("transient.errors.retry.timeout.ms", "10000")]);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(patience.lasts(at(0)));
        assert!(patience.ask_again(at(1), away()).kind().retriable());
        assert!(patience.lasts(at(5)));
        assert_eq!(patience.ask_again(at(6), away()).retry_in(), None);
        assert!(!patience.lasts(at(11)));
        patience.over();
        assert!(patience.lasts(at(12)));
    }

    #[test]
    fn a_pause_of_the_connector_does_not_count() {
        let mut patience = patience(&[("transient.errors.retry.timeout.ms", "10000")]);
        let start = Instant::now();
        patience.ask_again(start, away());
        patience.ask_again(start + Duration::from_secs(4), away());
        let later = start + Duration::from_secs(3600);
        assert!(patience.lasts(later), "four seconds are used up");
        patience.ask_again(later, away());
        assert!(!patience.lasts(later + Duration::from_secs(6)));
    }

    #[test]
    fn the_settings_of_old_bound_how_often_and_say_when() {
        let mut patience = patience(&[
            ("transient.errors.retry.timeout.ms", "600000"),
            ("max.num.retries", "2"),
            ("retries.defer.timeout", "5000"),
        ]);
        let now = Instant::now();
        for _ in 0..2 {
            assert!(patience.lasts(now));
            assert_eq!(patience.ask_again(now, away()).retry_in(), Some(Duration::from_secs(5)));
        }
        assert!(!patience.lasts(now), "the first attempt and two more");
    }
}
