//! Writes that go on without a pause while workers come and go.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    pub(crate) path: PathBuf,
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
        Self { path: path.to_owned(), counter, thread }
    }

    /// Lines written so far.
    pub(crate) fn written(&self) -> i64 {
        self.counter.count.load(Ordering::Relaxed)
    }

    /// Ends the writing; gives how many lines there are.
    pub(crate) fn stop(self) -> i64 {
        self.counter.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.counter.count.load(Ordering::Relaxed)
    }
}

/// Inserts the rows `1`, `2`, ... into the table `t (id bigint primary key)`, each in a transaction.
pub(crate) struct Rows {
    counter: Arc<Counter>,
    task: tokio::task::JoinHandle<()>,
}

impl Rows {
    pub(crate) fn start(client: Client) -> Self {
        let counter = Arc::new(Counter::default());
        let theirs = Arc::clone(&counter);
        let task = tokio::spawn(async move {
            while theirs.goes_on() {
                let number = theirs.next();
                client.execute("insert into t (id) values ($1)", &[&number]).await.unwrap();
                theirs.done(number);
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { counter, task }
    }

    /// Rows written so far.
    pub(crate) fn written(&self) -> i64 {
        self.counter.count.load(Ordering::Relaxed)
    }

    /// Ends the writing; gives how many rows there are.
    pub(crate) async fn stop(self) -> i64 {
        self.counter.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.counter.count.load(Ordering::Relaxed)
    }
}
