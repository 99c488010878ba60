//! Connector configurations, names, limits.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::testbed::worker::WORKER_NAME;
use integration_tests::testbed::{PostgresAddress, Servers, Topics, eventually_async, postgres_source, reaper};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::flow::SinkFiles;

/// How long data may take from one end to the other.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(240);
/// The header in which a record says which worker produced it.
pub(crate) const HEADER: &str = "worker";

/// A name that no other test of this process uses: a database, slot, topic prefix or group.
pub(crate) fn unique(base: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{base}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Milliseconds since the epoch.
pub(crate) fn millis_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A fresh database in the shared Postgres with an empty table `t`, and a client in it.
pub(crate) async fn database(name: &str) -> (PostgresAddress, Client) {
    let address = Servers::shared().postgres.create_database(name).await.unwrap();
    let client = address.connect().await.unwrap();
    client.batch_execute("create table t (id bigint primary key, n bigint)").await.unwrap();
    (address, client)
}

/// Each record says which worker made it: the variable is looked up where the task runs.
fn signed(mut config: Value) -> Value {
    config["transforms"] = json!("signed");
    config["transforms.signed.type"] = json!("org.apache.kafka.connect.transforms.InsertHeader");
    config["transforms.signed.header"] = json!(HEADER);
    config["transforms.signed.value.literal"] = json!(format!("${{env:{WORKER_NAME}}}"));
    config
}

/// A Debezium source of the table `t`; `name` is its topic prefix, slot and publication.
pub(crate) fn table_source(address: &PostgresAddress, name: &str) -> Value {
    let mut source = postgres_source(address, name, "public.t");
    // The slot of a worker that is gone may be held for a while.
    source["slot.max.retries"] = json!("60");
    source["slot.retry.delay.ms"] = json!("500");
    source["retriable.restart.connector.wait.ms"] = json!("500");
    signed(source)
}

/// A file source.
pub(crate) fn file_source(path: &Path, topic: &str) -> Value {
    signed(json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "tasks.max": "1",
        "file": path.display().to_string(),
        "topic": topic,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }))
}

/// A file sink that writes a file of its own for each worker it runs on.
pub(crate) fn file_sink(files: &SinkFiles, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "file": format!("{}/${{env:{WORKER_NAME}}}", files.directory.display()),
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

/// A folder for the files of a sink.
pub(crate) fn sink_files(name: &str) -> SinkFiles {
    SinkFiles { directory: reaper::data_directory(&format!("{name}.out")).unwrap() }
}

/// A path for the file of a source.
pub(crate) fn source_file(name: &str) -> std::path::PathBuf {
    reaper::data_directory("in").unwrap().join(name)
}

/// Waits until a topic holds at least `count` records; returns how many it holds.
pub(crate) async fn wait_records(topics: &Topics, topic: &str, count: i64) -> i64 {
    let what = format!("{count} records in {topic}");
    eventually_async(&what, ARRIVAL, async || {
        let end = topics.end(topic).map_err(|failure| failure.to_string())?;
        if end >= count { Ok(end) } else { Err(format!("{end} records")) }
    })
    .await
    .unwrap()
}
