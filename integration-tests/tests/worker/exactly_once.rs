//! Exactly-once sources: whatever happens to workers, a reader of committed records sees every row once.
//!
//! The testbed reads topics as such a reader: records of open and of aborted transactions are not there for it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use integration_tests::testbed::worker::Kind;
use integration_tests::testbed::{Servers, Topics, Worker, WorkerSetup, eventually_async};
use rand::Rng;
use serde_json::{Value, json};

use crate::support::{self, ARRIVAL, file_source, payload, source, topics, unique, with};

const KILLS: usize = 6;
/// Lines or rows between two kills.
const STEP: i64 = 2_000;

pub(crate) fn setup(name: &str) -> WorkerSetup {
    let setup = WorkerSetup::new(&unique(name), &Servers::shared().kafka.bootstrap).unwrap();
    setup.with("exactly.once.source.support", "enabled").with("consumer.metadata.max.age.ms", "1000")
}

/// Appends the lines `from..to`, each its own number.
pub(crate) fn append(file: &Path, from: i64, to: i64) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    for n in from..to {
        writeln!(file, "{n}").unwrap();
    }
}

/// How often a reader of committed records sees each number.
fn seen(topics: &Topics, topic: &str, number: impl Fn(&Value) -> i64) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    for record in topics.read(topic).unwrap() {
        *seen.entry(number(&record.json())).or_default() += 1;
    }
    seen
}

pub(crate) fn line(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn row(value: &Value) -> i64 {
    payload(value)["after"]["id"].as_i64().unwrap_or_else(|| panic!("not a row: {value}"))
}

/// Waits until the numbers `0..count` are there; each has to be there once.
pub(crate) async fn each_once(topics: &Topics, topic: &str, count: i64, number: impl Fn(&Value) -> i64) {
    let expected: BTreeMap<i64, usize> = (0..count).map(|n| (n, 1)).collect();
    eventually_async(&format!("{count} committed records in {topic}"), ARRIVAL, async || {
        let seen = seen(topics, topic, &number);
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).take(5).collect();
        assert!(twice.is_empty(), "more than once: {twice:?}");
        if seen == expected { Ok(()) } else { Err(format!("{} numbers", seen.len())) }
    })
    .await
    .unwrap();
}

/// Kills a worker once something more is in the topic, committed or not, and a little later.
async fn kill_after_progress(worker: &mut Worker, topics: &Topics, topic: &str, before: i64) {
    let began = Instant::now();
    while topics.end(topic).unwrap() <= before {
        assert!(began.elapsed() < ARRIVAL, "nothing comes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let jitter = rand::rng().random_range(0..30);
    tokio::time::sleep(Duration::from_millis(jitter)).await;
    worker.kill().unwrap();
    worker.start_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_no_row_of_postgres() {
    let (topics, name) = (topics(), unique("eos_pg"));
    let mut worker = Worker::start(setup("eos_pg")).await.unwrap();
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id bigint primary key, note text); insert into t select i, 'first' from generate_series(0, 99) i").await.unwrap();
    let config = with(source(&address, &name, "public.t"), &json!({"exactly.once.support": "required"}));
    worker.api().create(&name, &config).await.unwrap();
    let topic = format!("{name}.public.t");
    each_once(&topics, &topic, 100, row).await;
    let mut next = 100;
    for _ in 0..KILLS {
        let before = topics.end(&topic).unwrap();
        let writer = address.connect().await.unwrap();
        let writing = tokio::spawn(async move {
            // One large transaction and many small ones: kills hit the middle of either.
            let (large, last) = (next + STEP / 2, next + STEP);
            let insert =
                |from: i64, to: i64| format!("insert into t select i, 'x' from generate_series({from}, {to}) i");
            writer.batch_execute(&insert(next, large - 1)).await.unwrap();
            for first in (large..last).step_by(10) {
                writer.batch_execute(&insert(first, first + 9)).await.unwrap();
            }
        });
        kill_after_progress(&mut worker, &topics, &topic, before).await;
        writing.await.unwrap();
        next += STEP;
    }
    each_once(&topics, &topic, next, row).await;
    worker.api().remove(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_no_line_of_a_file_also_with_transactions_of_an_interval() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    let mut worker = Worker::start(setup("eos_file")).await.unwrap();
    let (name, topic, file) = (unique("eos_file_c"), unique("eos_file_t"), directory.path().join("lines"));
    topics.create(&topic, 1).await.unwrap();
    let interval =
        json!({"batch.size": "50", "transaction.boundary": "interval", "transaction.boundary.interval.ms": "200"});
    let mut next = 0;
    append(&file, 0, 0);
    worker.api().create(&name, &with(file_source(&file, &topic), &interval)).await.unwrap();
    for _ in 0..KILLS {
        let before = topics.end(&topic).unwrap();
        append(&file, next, next + STEP);
        next += STEP;
        kill_after_progress(&mut worker, &topics, &topic, before).await;
    }
    each_once(&topics, &topic, next, line).await;
    worker.api().remove(&name).await.unwrap();
}

/// The worker that a connector's only task runs on, by its place in `workers`.
pub(crate) async fn owner(workers: &[Worker], asked: usize, name: &str) -> usize {
    let status = workers[asked].api().wait_for(name, "RUNNING", &["RUNNING"]).await.unwrap();
    let id = status["tasks"][0]["worker_id"].as_str().unwrap();
    workers.iter().position(|worker| worker.setup().worker_id() == id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_frozen_worker_is_seen_after_another_has_taken_over() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    let first = setup("eos_zombie");
    let second = first.member(&unique("eos_zombie_second"), Kind::Tidegate).unwrap();
    let workers = [Worker::start(first).await.unwrap(), Worker::start(second).await.unwrap()];
    let (name, topic, file) = (unique("eos_zombie_c"), unique("eos_zombie_t"), directory.path().join("lines"));
    topics.create(&topic, 1).await.unwrap();
    append(&file, 0, 100);
    // Long transactions: the worker is frozen with one open.
    let interval = json!({"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3000"});
    workers[0].api().create(&name, &with(file_source(&file, &topic), &interval)).await.unwrap();
    each_once(&topics, &topic, 100, line).await;
    let zombie = owner(&workers, 0, &name).await;
    let other = 1 - zombie;
    let before = topics.end(&topic).unwrap();
    append(&file, 100, 200);
    eventually_async("records of an open transaction", ARRIVAL, async || {
        let end = topics.end(&topic).map_err(|failure| failure.to_string())?;
        if end > before { Ok(()) } else { Err(format!("{end}")) }
    })
    .await
    .unwrap();
    workers[zombie].freeze().unwrap();
    append(&file, 200, 300);
    each_once(&topics, &topic, 300, line).await;
    assert_eq!(owner(&workers, other, &name).await, other);
    workers[zombie].thaw().unwrap();
    append(&file, 300, 400);
    each_once(&topics, &topic, 400, line).await;
    // It finds out that it was taken over, and that is no failure of the task.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        let status = workers[other].api().status(&name).await.unwrap();
        assert_ne!(status["tasks"][0]["state"], "FAILED", "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    append(&file, 400, 500);
    each_once(&topics, &topic, 500, line).await;
    workers[other].api().remove(&name).await.unwrap();
}

/// The last value of a key in a compacted topic.
pub(crate) fn last(topics: &Topics, topic: &str, key: &str) -> Option<Value> {
    let records = topics.read(topic).unwrap();
    records.iter().rev().find(|record| record.key.as_deref() == Some(key.as_bytes())).map(|record| record.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_have_their_tasks_fenced_by_the_leader() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    let first = setup("eos_fence");
    let configs = first.properties["config.storage.topic"].clone();
    let second = first.member(&unique("eos_fence_second"), Kind::Tidegate).unwrap();
    let workers = [Worker::start(first).await.unwrap(), Worker::start(second).await.unwrap()];
    let file = directory.path().join("lines");
    append(&file, 0, 10);
    let mut owners = std::collections::BTreeSet::new();
    // Tasks are dealt to both workers, so one of two connectors has its task on the follower.
    for _ in 0..2 {
        let (name, topic) = (unique("eos_fence_c"), unique("eos_fence_t"));
        topics.create(&topic, 1).await.unwrap();
        workers[1].api().create(&name, &file_source(&file, &topic)).await.unwrap();
        each_once(&topics, &topic, 10, line).await;
        owners.insert(owner(&workers, 0, &name).await);
        let fencing = format!("tasks-fencing-{name}");
        assert_eq!(last(&topics, &configs, &fencing), Some(json!({"task-count": 1})));
        // New task configurations are followed by a new record, also where nothing has to be fenced.
        let count =
            || topics.read(&configs).unwrap().iter().filter(|r| r.key.as_deref() == Some(fencing.as_bytes())).count();
        let before = count();
        let changed = with(file_source(&file, &topic), &json!({"batch.size": "7"}));
        workers[0]
            .api()
            .put(&format!("/connectors/{name}/config"), Some(&changed))
            .await
            .unwrap()
            .expect(&[200])
            .unwrap();
        eventually_async("another fencing record", ARRIVAL, async || {
            if count() > before { Ok(()) } else { Err("none".to_owned()) }
        })
        .await
        .unwrap();
    }
    assert_eq!(owners.len(), 2, "a task on each worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_topic_of_their_own_are_altered_and_reset_in_both_topics() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    for support in ["enabled", "disabled"] {
        let setup = setup("eos_own").with("exactly.once.source.support", support);
        let workers = setup.properties["offset.storage.topic"].clone();
        let worker = Worker::start(setup).await.unwrap();
        let (name, topic, own) = (unique("eos_own_c"), unique("eos_own_t"), unique("eos_own_offsets"));
        let file = directory.path().join(&name);
        topics.create(&topic, 1).await.unwrap();
        append(&file, 0, 10);
        let config = with(file_source(&file, &topic), &json!({"offsets.storage.topic": own}));
        worker.api().create(&name, &config).await.unwrap();
        each_once(&topics, &topic, 10, line).await;
        let key = format!("[\"{name}\",{{\"filename\":\"{}\"}}]", file.display());
        let at = |position: i64| Some(json!({"position": position}));
        for topic in [&own, &workers] {
            eventually_async(&format!("the offset in {topic} ({support})"), ARRIVAL, async || {
                let found = last(&topics, topic, &key);
                if found == at(20) { Ok(()) } else { Err(format!("{found:?}")) }
            })
            .await
            .unwrap();
        }
        worker.api().change(&name, "stop").await.unwrap();
        worker.api().wait_for(&name, "STOPPED", &[]).await.unwrap();
        let path = format!("/connectors/{name}/offsets");
        let partition = json!({"filename": file.display().to_string()});
        let altered = json!({"offsets": [{"partition": partition, "offset": {"position": 10}}]});
        worker.api().alter_offsets(&name, &altered).await.unwrap();
        let offsets = worker.api().get(&path).await.unwrap().body;
        assert_eq!(offsets["offsets"], json!([{"partition": partition, "offset": {"position": 10}}]), "{support}");
        assert_eq!(last(&topics, &own, &key), at(10));
        worker.api().delete(&path).await.unwrap().expect(&[200]).unwrap();
        assert_eq!(worker.api().get(&path).await.unwrap().body, json!({"offsets": []}));
        assert_eq!((last(&topics, &own, &key), last(&topics, &workers, &key)), (Some(Value::Null), Some(Value::Null)));
        worker.api().remove(&name).await.unwrap();
    }
}
