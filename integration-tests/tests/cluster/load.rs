//! Writes that go on without a pause while workers come and go.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_postgres::Client;

/// The time between two lines or rows: short against every gap that is measured.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Counter {
    over: AtomicBool,
    count: AtomicI64,
}

impl Counter {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn next(&self) -> i64 {
        self.count.load(Ordering::Relaxed) + 1
    }

    fn done(&self, number: i64) {
        self.count.store(number, Ordering::Relaxed);
    }
}

/// Appends the lines `1`, `2`, ... to a file.
pub(crate) struct Lines {
    counter: Arc<Counter>,
    thread: JoinHandle<()>,
}

impl Lines {
    pub(crate) fn start(path: &Path) -> Self {
        let mut file = File::create(path).unwrap();
        let counter = Arc::new(Counter::default());
        let theirs = Arc::clone(&counter);
        let thread = std::thread::spawn(move || {
            while theirs.goes_on() {
                let number = theirs.next();
                file.write_all(format!("{number}\n").as_bytes()).unwrap();
                theirs.done(number);
                std::thread::sleep(EVERY);
            }
        });
        Self { counter, thread }
    }

    /// Ends the writing; gives how many lines there are.
    pub(crate) fn stop(self) -> i64 {
        self.counter.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.counter.count.load(Ordering::Relaxed)
    }
}

/// Writes the numbers 1, 2, ... into the column `n` of the table `t (id bigint primary key, n bigint)`, each in a transaction,
/// over and over into the same rows.
pub(crate) struct Rows {
    counter: Arc<Counter>,
    task: tokio::task::JoinHandle<()>,
}

/// Rows of the table.
const ROWS: i64 = 50;

impl Rows {
    pub(crate) fn start(client: Client) -> Self {
        let counter = Arc::new(Counter::default());
        let theirs = Arc::clone(&counter);
        let task = tokio::spawn(async move {
            while theirs.goes_on() {
                let number = theirs.next();
                let upsert = "insert into t values ($1, $2) on conflict (id) do update set n = excluded.n";
                client.execute(upsert, &[&(number % ROWS), &number]).await.unwrap();
                theirs.done(number);
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { counter, task }
    }

    /// Ends the writing; gives how many rows there are.
    pub(crate) async fn stop(self) -> i64 {
        self.counter.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.counter.count.load(Ordering::Relaxed)
    }
}
