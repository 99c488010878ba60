//! A worker that stands still for longer than its session (SIGSTOP) and goes on: by then its work belongs to others.
//!
//! What it still holds in its memory is harmless: positions, buffers, a replication slot, a consumer. The test looks at what
//! it *writes* once it goes on.

use integration_tests::testbed::{Kind, WorkerSetup, eventually_async};

use crate::cluster::Cluster;
use crate::flow::{Flow, numbers};
use crate::gate;
use crate::load::Rows;
use crate::sources::{Sources, arrived, by_others};
use crate::support::{ARRIVAL, database, file_sink, millis_now, sink_files, table_source, wait_records};

/// How long after SIGCONT everything is looked at.
const WATCHED_RECORDS: i64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_past_its_session_writes_nothing_when_it_wakes() {
    let _pass = gate::enter(gate::Kind::Timed).await;
    let mut cluster = Cluster::start("frozen", &[Kind::Tidegate; 2], |setup: WorkerSetup| setup).await;
    let sources = Sources::create(&cluster, 2).await;
    let table = format!("{}_t", cluster.name);
    let (address, client) = database(&table).await;
    let observer = address.connect().await.unwrap();
    cluster.any().api().create(&table, &table_source(&address, &table)).await.unwrap();
    cluster.any().api().wait_running(&table).await.unwrap();
    let rows = Rows::start(client);
    let table_topic = format!("{table}.public.t");
    let sink = format!("{}_k", cluster.name);
    let files = sink_files(&sink);
    cluster.any().api().create(&sink, &file_sink(&files, &sources.names[0])).await.unwrap();
    let mut connectors = sources.connectors();
    connectors.extend([(table.as_str(), 1), (sink.as_str(), 1)]);
    let before = cluster.at_rest(&connectors).await;
    wait_records(&cluster.topics, &table_topic, 1).await;

    // The one that holds the slot; the sink moves there, too, if need be, by chance of the assignment.
    let victim = before.task_owner(&table);
    let other = 1 - victim;
    let (name, healthy) = (cluster.name_of(victim).to_owned(), cluster.name_of(other).to_owned());
    println!("{name} is frozen; the sink runs on {}", cluster.name_of(before.task_owner(&sink)));
    let frozen_at = millis_now();
    cluster.freeze(victim);
    let lost: Vec<&String> = sources.names.iter().filter(|source| before.task_owner(source) == victim).collect();
    assert!(!lost.is_empty(), "the work is not balanced: {before:?}");
    for source in &lost {
        let first = by_others(&cluster, source, &name, Flow::read(&cluster.topics, source).0.len()).await;
        println!("{source} ran elsewhere after {} ms", first.at - frozen_at);
    }
    // All of the sink's lines come from the other worker now.
    let grown = |worker: &str| std::fs::metadata(files.of(worker)).map_or(0, |file| file.len());
    let stands = grown(&healthy);
    eventually_async("the sink to run elsewhere", ARRIVAL, async || {
        if grown(&healthy) > stands { Ok(()) } else { Err(format!("{stands} bytes")) }
    })
    .await
    .unwrap();
    let asleep = grown(&name);
    let held = slot_holder(&observer, &table).await;

    let woken_at = millis_now();
    cluster.thaw(victim);
    let after = cluster.at_rest(&connectors).await;
    eventually_async("the slot to have another holder", ARRIVAL, async || {
        let holder = slot_holder(&observer, &table).await;
        if holder.is_some() && holder != held { Ok(()) } else { Err(format!("{holder:?}")) }
    })
    .await
    .unwrap();
    println!("at rest {} ms after it went on; {:?} runs the table", millis_now() - woken_at, after.task_owner(&table));
    for source in &sources.names {
        let end = cluster.topics.end(source).unwrap();
        wait_records(&cluster.topics, source, end + WATCHED_RECORDS).await;
    }
    assert_eq!(cluster.generations().contested(), Vec::<String>::new());

    // Nothing is the worker's before the group has given it something again.
    let rejoined = cluster.generations().0.iter().find(|generation| generation.timestamp > woken_at).unwrap().timestamp;
    for source in &sources.names {
        silent(source, &Flow::read(&cluster.topics, source), &name, woken_at..rejoined);
    }
    let written = rows.stop().await;
    arrived(&cluster, &table_topic, written).await;
    let flow = Flow::read(&cluster.topics, &table_topic);
    flow.assert_complete(&table, written);
    silent(&table, &flow, &name, woken_at..rejoined);

    if after.task_owner(&sink) == other && before.task_owner(&sink) == victim {
        assert_eq!(
            grown(&name),
            asleep,
            "{name} wrote to the sink's file when it woke: {:?}",
            numbers(&files.of(&name))
        );
    }
    statuses_are_of_the_owners(&cluster, victim, frozen_at, rejoined);
    sources.complete(&cluster).await;
}

/// Nothing was read or produced by this worker within the time.
fn silent(what: &str, flow: &Flow, worker: &str, time: std::ops::Range<i64>) {
    println!("{what} ran on {:?}; {} of {} came again", flow.turns(), flow.repeated(), flow.0.len());
    let late: Vec<i64> =
        flow.0.iter().filter(|step| step.worker == worker && time.contains(&step.at)).map(|step| step.number).collect();
    assert!(late.is_empty(), "{worker} read {what} on when it woke: {} records, {:?}...", late.len(), &late[..1]);
}

/// The process of the database that streams from a slot.
async fn slot_holder(client: &tokio_postgres::Client, slot: &str) -> Option<i32> {
    let query = "select active_pid from pg_replication_slots where slot_name = $1";
    client.query_opt(query, &[&slot]).await.unwrap().and_then(|row| row.get(0))
}

/// While it was frozen and until the group had it again, no status of the frozen worker was written.
fn statuses_are_of_the_owners(cluster: &Cluster, victim: usize, from: i64, until: i64) {
    let id = cluster.workers[victim].setup().worker_id();
    let records = cluster.topics.read(&format!("{}-status", cluster.name)).unwrap();
    let late: Vec<String> = records
        .iter()
        .filter(|record| (from..until).contains(&record.timestamp) && record.json()["worker_id"] == id.as_str())
        .map(|record| {
            format!("{}: {}", String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()), record.json())
        })
        .collect();
    assert!(late.is_empty(), "{id} wrote over the statuses of others: {late:#?}");
}
