//! What a task measures, as `SinkTaskStatistics` of the MongoDB connector has it
//! (`com.mongodb.kafka.connect:type=sink-task-metrics`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connect_api::{Measures, Reading, Readings};

/// Milliseconds above which a time is counted by itself, with the attributes' ends.
const OVER_MS: [u64; 5] = [1, 10, 100, 1_000, 10_000];

/// Times of one kind: how many, how long together, and how many took longer than some limits.
#[derive(Debug, Default)]
pub struct Times {
    count: AtomicU64,
    micros: AtomicU64,
    over: [AtomicU64; OVER_MS.len()],
}

impl Times {
    /// Adds a time.
    pub fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Ordering::Relaxed);
        for (counter, limit) in self.over.iter().zip(OVER_MS) {
            if took > Duration::from_millis(limit) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn read(&self, names: &[&'static str; 7], out: &mut dyn Readings) {
        let [count, duration, over @ ..] = names;
        out.put(count, Reading::Count(self.count.load(Ordering::Relaxed)));
        out.put(duration, Reading::Count(self.micros.load(Ordering::Relaxed) / 1_000));
        for (name, counter) in over.iter().zip(&self.over) {
            out.put(name, Reading::Count(counter.load(Ordering::Relaxed)));
        }
    }
}

/// The names of [`Times`] under an attribute.
macro_rules! names {
    ($attribute:literal) => {
        &[
            $attribute,
            concat!($attribute, "-duration-ms"),
            concat!($attribute, "-duration-over-1-ms"),
            concat!($attribute, "-duration-over-10-ms"),
            concat!($attribute, "-duration-over-100-ms"),
            concat!($attribute, "-duration-over-1000-ms"),
            concat!($attribute, "-duration-over-10000-ms"),
        ]
    };
}

/// The measurements of one task.
#[derive(Debug)]
pub struct Statistics {
    connector: String,
    task: String,
    pub records: AtomicU64,
    pub successful: AtomicU64,
    pub failed: AtomicU64,
    /// Age of the newest record of the last `put`, in milliseconds.
    pub latest_ms: AtomicI64,
    /// `put` as a whole.
    pub in_put: Times,
    /// Between two calls of `put`.
    pub in_framework: Times,
    /// Records to statements.
    pub processing: Times,
    pub batches_successful: Times,
    pub batches_failed: Times,
}

impl Statistics {
    /// Nothing measured yet.
    pub fn new(connector: &str, task: u32) -> Self {
        Self {
            connector: connector.to_owned(),
            task: task.to_string(),
            records: AtomicU64::new(0),
            successful: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            latest_ms: AtomicI64::new(0),
            in_put: Times::default(),
            in_framework: Times::default(),
            processing: Times::default(),
            batches_successful: Times::default(),
            batches_failed: Times::default(),
        }
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// A batch was written, or was not.
    pub fn batch(&self, records: usize, failed: usize, since: Instant) {
        Self::add(&self.successful, records.saturating_sub(failed));
        Self::add(&self.failed, failed);
        let times = if failed == 0 { &self.batches_successful } else { &self.batches_failed };
        times.add(since.elapsed());
    }
}

impl Measures for Statistics {
    fn read(&self, out: &mut dyn Readings) {
        let get = |counter: &AtomicU64| Reading::Count(counter.load(Ordering::Relaxed));
        out.group(&[("connector", &self.connector), ("task", &self.task)]);
        out.put("records", get(&self.records));
        out.put("records-successful", get(&self.successful));
        out.put("records-failed", get(&self.failed));
        let latest = self.latest_ms.load(Ordering::Relaxed);
        out.put("latest-kafka-time-difference-ms", Reading::Gauge(latest as f64));
        self.in_put.read(names!("in-task-put"), out);
        self.in_framework.read(names!("in-connect-framework"), out);
        self.processing.read(names!("processing-phases"), out);
        self.batches_successful.read(names!("batch-writes-successful"), out);
        self.batches_failed.read(names!("batch-writes-failed"), out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Told(BTreeMap<&'static str, String>);

    impl Readings for Told {
        fn group(&mut self, _tags: &[(&'static str, &str)]) {}

        fn put(&mut self, attribute: &'static str, reading: Reading<'_>) {
            self.0.insert(attribute, format!("{reading:?}"));
        }
    }

    #[test]
    fn times_are_counted_by_how_long_they_are() {
        let statistics = Statistics::new("c", 0);
        for millis in [0, 5, 50, 20_000] {
            statistics.in_put.add(Duration::from_millis(millis));
        }
        statistics.batch(10, 3, Instant::now());
        let mut told = Told::default();
        statistics.read(&mut told);
        for (name, value) in [
            ("in-task-put", "Count(4)"),
            ("in-task-put-duration-ms", "Count(20055)"),
            ("in-task-put-duration-over-1-ms", "Count(3)"),
            ("in-task-put-duration-over-10-ms", "Count(2)"),
            ("in-task-put-duration-over-10000-ms", "Count(1)"),
            ("records-successful", "Count(7)"),
            ("records-failed", "Count(3)"),
            ("batch-writes-failed", "Count(1)"),
            ("batch-writes-successful", "Count(0)"),
        ] {
            assert_eq!(told.0[name], value, "{name}");
        }
    }
}
