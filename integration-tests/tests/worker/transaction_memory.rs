//! What a large transaction takes of the worker's memory. `TIDEGATE_TRANSACTION_MB` makes it larger.

use std::time::{Duration, Instant};

use integration_tests::testbed::Worker;
use serde_json::{Value, json};

use crate::support::{self, source, topics, unique, with};

const BOUND_MB: u64 = 200;
/// A row is so large in the topic: with the note, the envelope, and without schemas.
const NOTE: usize = 900;
/// For each megabyte: where other tests run beside this one, a second may not be enough.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that a process had in memory, in megabytes.
fn peak_mb(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

async fn stays_small(name: &str, changes: &Value) {
    let megabytes: i64 =
        std::env::var("TIDEGATE_TRANSACTION_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let rows = megabytes * 1_000_000 / i64::try_from(NOTE).unwrap();
    let (worker, topics, name) = (support::worker(name).await, topics(), unique(name));
    let (address, client) = support::database(&name).await;
    // The server ends a session that says nothing for so long; delivering takes longer, but on the quickest machines.
    let limit = format!(
        "alter database \"{name}\" set wal_sender_timeout = '10s';
         alter database \"{name}\" set logical_decoding_work_mem = '1MB'; create table t (id bigint primary key, note text)"
    );
    client.batch_execute(&limit).await.unwrap();
    let plain = json!({"snapshot.mode": "no_data", "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"});
    let config = with(with(source(&address, &name, "public.t"), &plain), changes);
    worker.api().create(&name, &config).await.unwrap();
    let session =
        "select active_pid from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null";
    let session =
        async || -> Option<i32> { client.query_opt(session, &[&name]).await.unwrap().and_then(|row| row.get(0)) };
    let deadline = Instant::now() + support::ARRIVAL;
    while session().await.is_none() {
        assert!(Instant::now() < deadline, "nobody reads the slot");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (before, idle, begun) = (session().await, peak_mb(&worker), Instant::now());
    let fill = format!("insert into t select i, repeat('x', {NOTE}) from generate_series(1, {rows}) i");
    client.batch_execute(&fill).await.unwrap();
    let committed = begun.elapsed();
    let topic = format!("{name}.public.t");
    let deadline = Instant::now() + PATIENCE * u32::try_from(megabytes).unwrap();
    while topics.end(&topic).unwrap() < rows {
        assert!(Instant::now() < deadline, "{} of {rows} records", topics.end(&topic).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let peak = peak_mb(&worker);
    println!(
        "{name}: {megabytes} MB in {rows} rows, committed after {committed:?}, delivered after {:?}; resident {idle} MB before, {peak} MB at most",
        begun.elapsed()
    );
    assert_eq!(topics.end(&topic).unwrap(), rows, "each row once");
    assert_eq!(session().await, before, "the server kept its session");
    assert!(peak < BOUND_MB, "{peak} MB");
    worker.api().remove(&name).await.unwrap();
    topics.delete(&[topic]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_that_is_sent_at_its_commit_takes_little_memory() {
    stays_small("memory_plain", &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_that_is_sent_in_progress_takes_little_memory() {
    stays_small("memory_early", &json!({"stream.in.progress.enabled": "true"})).await;
}
