//! What a connector moved, when, and which worker did it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::testbed::Topics;
use integration_tests::testbed::topics::Stored;

use crate::support::{HEADER, millis_now};

/// A number that was written, as it came out at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) number: i64,
    /// Milliseconds since the epoch at which the source read it or the producer took it.
    pub(crate) at: i64,
    pub(crate) worker: String,
}

/// All that came out of a source, in the order of its topic.
#[derive(Clone, Debug)]
pub(crate) struct Flow(pub(crate) Vec<Step>);

impl Flow {
    /// Of a file source (the number is the line) or a Debezium source of `t` (the number is the column `n`).
    pub(crate) fn read(topics: &Topics, topic: &str) -> Self {
        Self(topics.read(topic).unwrap().iter().filter_map(step).collect())
    }

    /// The same from the last records alone.
    pub(crate) fn read_tail(topics: &Topics, topic: &str, count: i64) -> Self {
        Self(topics.read_tail(topic, count).unwrap().iter().filter_map(step).collect())
    }

    pub(crate) fn numbers(&self) -> BTreeSet<i64> {
        self.0.iter().map(|step| step.number).collect()
    }

    /// Panics unless every number from 1 to `written` came, in order but for repetitions.
    pub(crate) fn assert_complete(&self, what: &str, written: i64) {
        let numbers = self.numbers();
        let missing: Vec<i64> = (1..=written).filter(|number| !numbers.contains(number)).take(5).collect();
        assert!(missing.is_empty(), "{what}: of {written} these and more are missing: {missing:?}");
        let mut highest = 0;
        for (index, step) in self.0.iter().enumerate() {
            assert!(step.number <= highest + 1, "{what}: {} came before {} (record {index})", step.number, highest + 1);
            highest = highest.max(step.number);
        }
    }

    /// Panics when something came again that had come at none of these times.
    pub(crate) fn assert_repeated_within(&self, what: &str, handovers: &[Range<i64>]) {
        let mut first = std::collections::BTreeMap::new();
        for step in &self.0 {
            let at = *first.entry(step.number).or_insert(step.at);
            let again = at != step.at;
            let near = handovers.iter().any(|handover| handover.contains(&at));
            assert!(!again || near, "{what}: {step:?} came at {at} already; {handovers:?}");
        }
    }

    /// How many came again.
    pub(crate) fn repeated(&self) -> usize {
        self.0.len() - self.numbers().len()
    }

    /// The longest time in which nothing came, in milliseconds.
    pub(crate) fn largest_gap(&self) -> i64 {
        self.0.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default()
    }

    /// The first that came from another worker than `worker`, after the topic's first `skip` records.
    pub(crate) fn first_by_others(&self, worker: &str, skip: usize) -> Option<(usize, &Step)> {
        self.0.iter().enumerate().skip(skip).find(|(_, step)| step.worker != worker)
    }

    /// The workers in turn, each as often as it took over.
    pub(crate) fn turns(&self) -> Vec<&str> {
        let mut turns: Vec<&str> = self.0.iter().map(|step| step.worker.as_str()).collect();
        turns.dedup();
        turns
    }
}

fn step(record: &Stored) -> Option<Step> {
    record.value.as_ref()?;
    let value = record.json();
    let row = || value.get("payload").unwrap_or(&value)["after"]["n"].as_i64();
    let number = value.as_i64().or_else(row)?;
    Some(Step { number, at: record.timestamp, worker: record.header(HEADER).into_owned() })
}

/// Looks at the files of a sink all the time, and notes when they grow.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<i64>>,
}

const LOOK: Duration = Duration::from_millis(10);

impl Watch {
    /// Of the sink whose files are `files`.
    pub(crate) fn start(files: SinkFiles) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut grew) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                let size = files.size();
                if size > seen {
                    seen = size;
                    grew.push(millis_now());
                }
                std::thread::sleep(LOOK);
            }
            grew
        });
        Self { over, thread }
    }

    /// The longest time in which nothing was written, in milliseconds.
    pub(crate) fn largest_gap(self) -> i64 {
        self.over.store(true, Ordering::Relaxed);
        let grew = self.thread.join().unwrap();
        grew.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// The files of a sink, one for each worker.
#[derive(Clone, Debug)]
pub(crate) struct SinkFiles {
    pub(crate) directory: PathBuf,
}

impl SinkFiles {
    /// The file that a worker writes.
    pub(crate) fn of(&self, worker: &str) -> PathBuf {
        self.directory.join(worker)
    }

    /// Bytes in all files.
    pub(crate) fn size(&self) -> u64 {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    /// Lines in all files.
    pub(crate) fn lines(&self) -> usize {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| numbers(&entry.path()).len()).sum()
    }

    /// The numbers that are in any of the files.
    pub(crate) fn numbers(&self) -> BTreeSet<i64> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.flat_map(|entry| numbers(&entry.path())).collect()
    }
}

/// The numbers in the lines of a file, in order.
pub(crate) fn numbers(path: &Path) -> Vec<i64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
