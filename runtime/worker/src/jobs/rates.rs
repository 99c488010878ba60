//! Rates of counters that only grow, over sliding windows.

use std::collections::VecDeque;

/// The longest window that is looked at.
const KEEP_MS: i64 = 300_000;
/// The shortest time between two samples that are kept.
const STEP_MS: i64 = 900;

/// Samples of a counter.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Time and value, oldest first.
    samples: VecDeque<(i64, u64)>,
}

impl Rate {
    /// Takes what the counter says now. One that has gone back counts from nothing: its task was started anew.
    pub(super) fn sample(&mut self, now_ms: i64, value: u64) {
        if self.samples.back().is_some_and(|(_, before)| value < *before) {
            self.samples.clear();
        }
        match self.samples.back() {
            Some((at, _)) if now_ms - at < STEP_MS => return,
            _ => self.samples.push_back((now_ms, value)),
        }
        // One sample older than the window stays, so that the window is full.
        while self.samples.get(1).is_some_and(|(at, _)| now_ms - at >= KEEP_MS) {
            self.samples.pop_front();
        }
    }

    /// Per second over the last `window_ms`, or over what there is of it; `None` before two samples.
    pub(super) fn per_second(&self, window_ms: i64) -> Option<f64> {
        let (now, last) = *self.samples.back()?;
        let (then, first) =
            *self.samples.iter().rev().find(|(at, _)| now - at >= window_ms).or(self.samples.front())?;
        let ms = now - then;
        (ms > 0).then(|| (last - first) as f64 * 1_000.0 / ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_its_window() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(60_000), None);
        for second in 0..=600 {
            // Ten a second for five minutes, then a hundred.
            let value = if second <= 300 { second * 10 } else { 3_000 + (second - 300) * 100 };
            rate.sample(i64::try_from(second * 1_000).unwrap(), value);
        }
        assert_eq!(rate.per_second(60_000), Some(100.0));
        assert_eq!(rate.per_second(300_000), Some(100.0));
        assert!(rate.samples.len() <= 302, "{}", rate.samples.len());
    }

    #[test]
    fn a_counter_that_starts_anew_makes_no_negative_rate() {
        let mut rate = Rate::default();
        rate.sample(0, 1_000);
        rate.sample(1_000, 5);
        assert_eq!(rate.per_second(60_000), None);
        rate.sample(2_000, 15);
        assert_eq!(rate.per_second(60_000), Some(10.0));
    }
}
