//! Kafka's windowed statistics (`SampledStat`, `Avg`, `Max`, `Min`, `Rate`, `Frequencies`).
//!
//! A value belongs to the newest window; a window ends when its time is over and a value comes; windows whose last value is
//! older than all windows together are forgotten. One [`Samples`] serves average, maximum, minimum and rate, which are four
//! statistics of one sensor in Java. Recording takes an uncontended lock and is meant to be done once a batch, not once a
//! record.

use parking_lot::Mutex;

/// How long measurements count (`metrics.sample.window.ms`, `metrics.num.samples`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Length of a window in milliseconds.
    pub window_ms: i64,
    /// Number of windows.
    pub samples: usize,
}

impl Default for Windows {
    /// Kafka's defaults: two windows of 30 seconds.
    fn default() -> Self {
        Self { window_ms: 30_000, samples: 2 }
    }
}

/// Most windows that are kept, whatever the configuration says: each costs memory in every statistic.
const SAMPLES_MAX: usize = 100;

#[derive(Clone, Copy, Debug)]
struct Sample {
    start_ms: i64,
    last_ms: i64,
    events: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Sample {
    const fn at(now_ms: i64) -> Self {
        Self { start_ms: now_ms, last_ms: now_ms, events: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

#[derive(Debug, Default)]
struct Ring {
    samples: Vec<Sample>,
    current: usize,
}

/// Values of the last windows.
#[derive(Debug, Default)]
pub struct Samples {
    windows: Windows,
    ring: Mutex<Ring>,
}

impl Samples {
    /// No values yet.
    pub fn new(windows: Windows) -> Self {
        let samples = windows.samples.clamp(1, SAMPLES_MAX);
        Self { windows: Windows { window_ms: windows.window_ms.max(1), samples }, ring: Mutex::default() }
    }

    /// Adds a value at a time.
    pub fn record(&self, value: f64, now_ms: i64) {
        let mut ring = self.ring.lock();
        let sample = self.current(&mut ring, now_ms);
        sample.events += 1;
        sample.last_ms = now_ms;
        sample.sum += value;
        sample.min = sample.min.min(value);
        sample.max = sample.max.max(value);
    }

    /// The window that a value of now belongs to (`SampledStat.record`, `advance`).
    fn current<'a>(&self, ring: &'a mut Ring, now_ms: i64) -> &'a mut Sample {
        if ring.samples.is_empty() {
            ring.samples.push(Sample::at(now_ms));
        } else if ring.samples.get(ring.current).is_some_and(|at| now_ms - at.start_ms >= self.windows.window_ms) {
            // One more than asked for is kept, for the window that overlaps the beginning of the time looked at.
            ring.current = (ring.current + 1) % (self.windows.samples + 1);
            match ring.samples.get_mut(ring.current) {
                Some(oldest) => *oldest = Sample::at(now_ms),
                None => ring.samples.push(Sample::at(now_ms)),
            }
        }
        let at = ring.current;
        ring.samples.get_mut(at).expect("the current window exists: it was pushed, or is one of those pushed before")
    }

    /// Forgets windows that are too old, and folds the others.
    fn fold<T>(&self, now_ms: i64, start: T, mut step: impl FnMut(T, &Sample) -> T) -> T {
        let mut ring = self.ring.lock();
        let expire_ms = self.windows.window_ms.saturating_mul(i64::try_from(self.windows.samples).unwrap_or(i64::MAX));
        for sample in &mut ring.samples {
            if now_ms - sample.last_ms >= expire_ms {
                *sample = Sample::at(now_ms);
            }
        }
        let mut folded = start;
        for sample in &ring.samples {
            folded = step(folded, sample);
        }
        folded
    }

    fn total(&self, now_ms: i64) -> (f64, u64) {
        self.fold(now_ms, (0.0, 0), |(sum, events), sample| (sum + sample.sum, events + sample.events))
    }

    /// The average; NaN without values.
    pub fn avg(&self, now_ms: i64) -> f64 {
        let (sum, events) = self.total(now_ms);
        if events == 0 { f64::NAN } else { sum / events as f64 }
    }

    /// The largest value; NaN without values.
    pub fn max(&self, now_ms: i64) -> f64 {
        let max = self.fold(now_ms, f64::NEG_INFINITY, |max, sample| max.max(sample.max));
        if max == f64::NEG_INFINITY { f64::NAN } else { max }
    }

    /// The smallest value; NaN without values.
    pub fn min(&self, now_ms: i64) -> f64 {
        let min = self.fold(now_ms, f64::INFINITY, |min, sample| min.min(sample.min));
        if min == f64::INFINITY { f64::NAN } else { min }
    }

    /// The sum of values per second (`Rate`): windows that have not begun count as full ones, so that the first values of a
    /// run do not look like a flood.
    pub fn rate(&self, now_ms: i64) -> f64 {
        let (sum, oldest) = self.fold(now_ms, (0.0, now_ms), |(sum, oldest), sample: &Sample| {
            (sum + sample.sum, oldest.min(sample.start_ms))
        });
        let elapsed = now_ms - oldest;
        let full = elapsed / self.windows.window_ms;
        let least = i64::try_from(self.windows.samples).unwrap_or(i64::MAX) - 1;
        let elapsed = elapsed + (least - full).max(0).saturating_mul(self.windows.window_ms);
        sum / (elapsed.max(1) as f64 / 1000.0)
    }

    /// The share of values that are 1 among values that are 0 or 1 (`Frequencies`); 0 without values.
    pub fn share(&self, now_ms: i64) -> f64 {
        let (sum, events) = self.total(now_ms);
        if events == 0 { 0.0 } else { sum / events as f64 }
    }

    /// The share of values that are 0; 0 without values.
    pub fn other_share(&self, now_ms: i64) -> f64 {
        let (sum, events) = self.total(now_ms);
        if events == 0 { 0.0 } else { 1.0 - sum / events as f64 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_values_there_is_no_average_and_a_rate_of_zero() {
        let samples = Samples::new(Windows::default());
        assert!(samples.avg(5).is_nan() && samples.max(5).is_nan() && samples.min(5).is_nan());
        assert_eq!((samples.rate(5), samples.share(5), samples.other_share(5)), (0.0, 0.0, 0.0));
    }

    /// The numbers of Kafka's own `MetricsTest.testRateWindowing`: 100 a window in two of three windows.
    #[test]
    fn rates_are_those_of_kafka() {
        let samples = Samples::new(Windows { window_ms: 30_000, samples: 3 });
        let mut now = 0;
        for _ in 0..2 {
            samples.record(100.0, now);
            now += 30_000;
        }
        // Half of the third window is over: 2.5 windows since the first value.
        now += 15_000;
        assert!((samples.rate(now) - 200.0 / 75.0).abs() < 1e-9);
        // A window that has begun counts for what is over of it, those that are missing count in full.
        let young = Samples::new(Windows { window_ms: 30_000, samples: 3 });
        young.record(90.0, 0);
        assert!((young.rate(0) - 90.0 / 60.0).abs() < 1e-9);
        assert!((young.rate(10_000) - 90.0 / 70.0).abs() < 1e-9);
    }

    #[test]
    fn old_values_are_forgotten() {
        let samples = Samples::new(Windows { window_ms: 10, samples: 2 });
        samples.record(50.0, 0);
        samples.record(10.0, 12);
        assert_eq!((samples.max(15), samples.min(15), samples.avg(15)), (50.0, 10.0, 30.0));
        // The first window's last value is as old as both windows together.
        assert_eq!((samples.max(20), samples.avg(20)), (10.0, 10.0));
        assert!(samples.avg(32).is_nan());
        for now in (40..200).step_by(10) {
            samples.record(1.0, now);
        }
        assert_eq!((samples.max(199), samples.ring.lock().samples.len()), (1.0, 3));
    }

    #[test]
    fn shares_are_fractions() {
        let samples = Samples::new(Windows::default());
        for ok in [1.0, 1.0, 1.0, 0.0] {
            samples.record(ok, 1);
        }
        assert_eq!((samples.share(2), samples.other_share(2)), (0.75, 0.25));
    }

    proptest! {
        #[test]
        fn an_average_lies_between_minimum_and_maximum(
            values in prop::collection::vec((-1e6_f64..1e6, 0_i64..5_000), 1..60), window in 1_i64..2_000, count in 1_usize..6
        ) {
            let samples = Samples::new(Windows { window_ms: window, samples: count });
            let mut now = 0;
            for (value, wait) in values {
                now += wait;
                samples.record(value, now);
                let (min, avg, max) = (samples.min(now), samples.avg(now), samples.max(now));
                prop_assert!(min <= avg + 1e-6 && avg <= max + 1e-6, "{min} {avg} {max}");
                prop_assert!(samples.rate(now).is_finite());
                prop_assert!(samples.ring.lock().samples.len() <= count + 1);
            }
        }
    }
}
