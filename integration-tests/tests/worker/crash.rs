//! kill -9 of the worker at random points, keyed on progress: no row is lost, and a completed snapshot is not taken again.
//!
//! `TIDEGATE_SEED` repeats a run; the seed is printed.

use std::time::Duration;

use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Servers, Topics, Worker, eventually_async};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio_postgres::Client;

use crate::agreement::same_state;
use crate::support::{self, ARRIVAL, op_of, sink, source, topics, unique, wait_records, with};

const SNAPSHOT_ROWS: i64 = 60_000;
const SNAPSHOT_KILLS: usize = 3;
const STREAM_KILLS: usize = 6;
const STREAM_ROWS: i64 = 1_500;
/// Kills also hit between records, not only right after the look at the topic.
const JITTER_MS: u64 = 40;

pub(crate) fn random(test: &str) -> StdRng {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("{test}: TIDEGATE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Kills the worker once the topic holds `count` records, and starts it again.
async fn kill_at(worker: &mut Worker, topics: &Topics, topic: &str, count: i64, jitter: Duration) {
    support::reached(topics, topic, count).await;
    tokio::time::sleep(jitter).await;
    worker.kill().unwrap();
    let stopped_at = topics.end(topic).unwrap();
    println!("killed at {stopped_at} records, after {count} and {jitter:?}");
    worker.start_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_the_snapshot_lose_nothing() {
    let mut random = random("snapshot");
    let (mut worker, topics, name) = (support::worker("crash_snapshot").await, topics(), unique("crash"));
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id bigint primary key, version int not null, note text)").await.unwrap();
    let fill = format!("insert into t select i, 0, repeat('x', 50) from generate_series(1, {SNAPSHOT_ROWS}) i");
    client.batch_execute(&fill).await.unwrap();
    worker.api().create("s", &source(&address, &name, "public.t")).await.unwrap();
    let topic = format!("{name}.public.t");
    for _ in 0..SNAPSHOT_KILLS {
        let before = topics.end(&topic).unwrap();
        let count = before + random.random_range(1..SNAPSHOT_ROWS / 2);
        kill_at(&mut worker, &topics, &topic, count, Duration::ZERO).await;
        // What changes while the worker is down or in its snapshot is not lost, either.
        client.batch_execute("update t set version = version + 1 where mod(id, 1000) = 1; delete from t where id in (select id from t where mod(id, 1000) = 2 limit 3)").await.unwrap();
    }
    client.batch_execute("insert into t values (9999999, 1, 'the last')").await.unwrap();
    same_state(&client, &topics, "t", &topic, &["id"]).await;
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_the_stream_lose_nothing_and_take_no_second_snapshot() {
    let mut random = random("stream");
    let (mut worker, topics, name) = (support::worker("crash_stream").await, topics(), unique("crash"));
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id bigint primary key, version int not null, price numeric(10, 2)); insert into t select i, 0, i from generate_series(1, 2000) i").await.unwrap();
    // A sink's consumer group has its name, whatever the worker: names are unique in the shared Kafka.
    let connectors = [format!("{name}_sink"), name.clone()];
    worker.api().create(&name, &source(&address, &name, "public.t")).await.unwrap();
    worker.api().create(&connectors[0], &with(sink(&name), &json!({"max.batch.size": "100"}))).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 2000).await;
    snapshot_is_committed(&worker, &name, &client).await;

    for round in 1..=STREAM_KILLS {
        let before = topics.end(&topic).unwrap();
        let writer = tokio::spawn(write(address.connect().await.unwrap(), i64::try_from(round).unwrap()));
        let count = before + random.random_range(1..STREAM_ROWS);
        let jitter = Duration::from_millis(random.random_range(0..JITTER_MS));
        kill_at(&mut worker, &topics, &topic, count, jitter).await;
        writer.await.unwrap();
    }
    let collection = Servers::shared().mongo.client().await.unwrap().database(&name).collection(&topic);
    eventually_async("both ends to agree", ARRIVAL * 2, async || {
        let comparison = compare(&client, "t", &collection).await.map_err(|failure| failure.to_string())?;
        if comparison.agrees() { Ok(()) } else { Err(comparison.to_string()) }
    })
    .await
    .unwrap();
    let records = topics.read(&topic).unwrap();
    let operations: String =
        records.iter().filter(|record| record.value.is_some()).map(|record| op_of(&record.json()).to_owned()).collect();
    assert!(!operations.trim_start_matches('r').contains('r'), "a second snapshot");
    for connector in &connectors {
        worker.api().remove(connector).await.unwrap();
    }
}

/// Waits until an event of the stream is in the offsets: from then on there is no reason for another snapshot.
async fn snapshot_is_committed(worker: &Worker, name: &str, client: &Client) {
    client.batch_execute("insert into t values (-1, 0, null)").await.unwrap();
    eventually_async("the end of the snapshot in the offsets", ARRIVAL, async || {
        let answer =
            worker.api().get(&format!("/connectors/{name}/offsets")).await.map_err(|failure| failure.to_string())?;
        let offset = &answer.body["offsets"][0]["offset"];
        let done = offset["lsn"].is_i64() && offset.get("snapshot").is_none_or(serde_json::Value::is_null);
        if done { Ok(()) } else { Err(answer.text) }
    })
    .await
    .unwrap();
}

/// A round of inserts, updates and deletes, in transactions of 50 statements.
async fn write(client: Client, round: i64) {
    for batch in 0..STREAM_ROWS / 50 {
        let first = round * 1_000_000 + batch * 50;
        let last = first + 29;
        client
            .batch_execute(&format!(
                "begin; insert into t select i, {round}, i / 100.0 from generate_series({first}, {last}) i;
                 update t set version = version + 1 where id between {batch} * 10 + 1 and {batch} * 10 + 15;
                 delete from t where id between {first} and {first} + 4; commit"
            ))
            .await
            .unwrap();
    }
}
