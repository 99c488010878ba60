//! A paused connector moves nothing, and others do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use integration_tests::testbed::{Topics, eventually_async};
use tokio_postgres::Client;

use crate::support::{self, ARRIVAL, operations, source, topics, unique, wait_records};

/// How long nothing may move.
const WATCHED: Duration = Duration::from_secs(3);
/// What has not moved for so long before that stands.
const STANDS: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_source_moves_nothing_over_a_restart_and_resumes_where_it_stood() {
    let (mut worker, topics, name) = (support::worker("pause").await, topics(), unique("pause"));
    let (address, client) = support::database(&name).await;
    client
        .batch_execute("create table a (id bigserial primary key); create table b (id bigserial primary key)")
        .await
        .unwrap();
    let (paused, other) = (format!("{name}_a"), format!("{name}_b"));
    worker.api().create("a", &source(&address, &paused, "public.a")).await.unwrap();
    worker.api().create("b", &source(&address, &other, "public.b")).await.unwrap();
    let (paused, other) = (format!("{paused}.public.a"), format!("{other}.public.b"));
    let load = Load::start(address.connect().await.unwrap());
    wait_records(&topics, &paused, 50).await;
    wait_records(&topics, &other, 50).await;

    worker.api().change("a", "pause").await.unwrap();
    worker.api().wait_for("a", "PAUSED", &["PAUSED"]).await.unwrap();
    let stands = standing(&topics, &paused).await;
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        assert_eq!(topics.end(&paused).unwrap(), stands, "a paused source produced");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wait_records(&topics, &other, load.written()).await;

    worker.stop().unwrap();
    worker.start_again().await.unwrap();
    worker.api().wait_for("a", "PAUSED", &["PAUSED"]).await.unwrap();
    worker.api().wait_running("b").await.unwrap();
    wait_records(&topics, &other, load.written()).await;
    assert_eq!(topics.end(&paused).unwrap(), stands, "the restarted worker moved a paused source");

    worker.api().change("a", "resume").await.unwrap();
    let written = load.stop().await;
    assert_eq!(wait_records(&topics, &paused, written).await, written, "each row once");
    assert_eq!(wait_records(&topics, &other, written).await, written, "each row once");
    let operations = operations(&topics, &paused);
    assert!(operations.trim_start_matches('r').chars().all(|op| op == 'c'), "a second snapshot: {operations}");
    for connector in ["a", "b"] {
        worker.api().remove(connector).await.unwrap();
    }
}

/// Waits until a topic stays as it is: what was handed to the producer before the pause may still arrive. Gives its end.
async fn standing(topics: &Topics, topic: &str) -> i64 {
    let (mut last, mut since) = (topics.end(topic).unwrap(), Instant::now());
    eventually_async(&format!("{topic} to stand still"), ARRIVAL, async || {
        let end = topics.end(topic).map_err(|failure| failure.to_string())?;
        if end != last {
            (last, since) = (end, Instant::now());
        }
        if since.elapsed() >= STANDS { Ok(end) } else { Err(format!("{end} records")) }
    })
    .await
    .unwrap()
}

/// Inserts into both tables, a row a transaction, until it is stopped.
struct Load {
    on: Arc<AtomicBool>,
    rows: Arc<AtomicI64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(client: Client) -> Self {
        let (on, rows) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicI64::new(0)));
        let (running, count) = (Arc::clone(&on), Arc::clone(&rows));
        let task = tokio::spawn(async move {
            while running.load(Ordering::Relaxed) {
                client
                    .batch_execute("begin; insert into a default values; insert into b default values; commit")
                    .await
                    .unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { on, rows, task }
    }

    fn written(&self) -> i64 {
        self.rows.load(Ordering::Relaxed)
    }

    async fn stop(self) -> i64 {
        self.on.store(false, Ordering::Relaxed);
        self.task.await.unwrap();
        self.rows.load(Ordering::Relaxed)
    }
}
