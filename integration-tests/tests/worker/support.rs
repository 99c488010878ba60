//! What the suites share: a worker, a database, connector configurations.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use integration_tests::testbed::postgres_source as source;
use integration_tests::testbed::{
    PostgresAddress, Servers, Topics, Worker, WorkerSetup, eventually_moving, mongo_sink,
};
use serde_json::{Value, json};
use tokio_postgres::Client;

/// How long data may take from one end to the other.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(240);

/// A name that no other test of this process uses: a database, slot, topic prefix or group.
pub(crate) fn unique(base: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{base}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A worker with a group of its own.
pub(crate) async fn worker(name: &str) -> Worker {
    let setup = WorkerSetup::new(&unique(name), &Servers::shared().kafka.bootstrap).unwrap();
    Worker::start(setup.with("consumer.metadata.max.age.ms", "1000")).await.unwrap()
}

/// The topics of the shared Kafka.
pub(crate) fn topics() -> Topics {
    Topics::new(&Servers::shared().kafka.bootstrap).unwrap()
}

/// A fresh database in the shared Postgres, with a client in it.
pub(crate) async fn database(name: &str) -> (PostgresAddress, Client) {
    let address = Servers::shared().postgres.create_database(name).await.unwrap();
    let client = address.connect().await.unwrap();
    (address, client)
}

/// A MongoDB sink of Debezium's events of all tables of `prefix`.
pub(crate) fn sink(prefix: &str) -> Value {
    mongo_sink(&Servers::shared().mongo.uri, prefix)
}

/// A file source.
pub(crate) fn file_source(path: &std::path::Path, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "tasks.max": "1",
        "file": path.display().to_string(),
        "topic": topic,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

/// `config` with some keys replaced; null removes one.
pub(crate) fn with(mut config: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            config.as_object_mut().unwrap().remove(key);
        } else {
            config[key] = value.clone();
        }
    }
    config
}

/// Waits until a topic holds at least `count` records; returns how many it holds. [`ARRIVAL`] is how long they may stay as many
/// as they are.
pub(crate) async fn wait_records(topics: &Topics, topic: &str, count: i64) -> i64 {
    let what = format!("{count} records in {topic}");
    eventually_moving(&what, ARRIVAL, async || {
        let end = topics.end(topic).map_err(|failure| failure.to_string())?;
        if end >= count { Ok(end) } else { Err(format!("{end} records")) }
    })
    .await
    .unwrap()
}

/// Waits until a topic holds so many records, with little delay: for what is to happen in the middle of something.
pub(crate) async fn reached(topics: &Topics, topic: &str, count: i64) {
    let mut last = (0, Instant::now());
    loop {
        let found = topics.end(topic).unwrap();
        if found >= count {
            return;
        }
        if found > last.0 {
            last = (found, Instant::now());
        }
        assert!(last.1.elapsed() < ARRIVAL, "{found} of {count} records in {topic}, and no more come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The `op` of each record of a topic that has a value.
pub(crate) fn operations(topics: &Topics, topic: &str) -> String {
    let records = topics.read(topic).unwrap();
    records.iter().filter(|record| record.value.is_some()).map(|record| op_of(&record.json()).to_owned()).collect()
}

/// `op` of an event with or without its schema.
pub(crate) fn op_of(event: &Value) -> &str {
    payload(event)["op"].as_str().unwrap_or("?")
}

/// The event within an envelope with a schema.
pub(crate) fn payload(event: &Value) -> &Value {
    event.get("payload").unwrap_or(event)
}
