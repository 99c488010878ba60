//! A transaction that the stream has brought and that no session sees yet: its commit waits for a standby that never comes. What a
//! snapshot reads meanwhile must not come after its events.

use std::time::Duration;

use integration_tests::testbed::{Postgres, PostgresAddress, PostgresOptions, Topics, Worker, eventually_async};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, NoTls};

use crate::agreement::same_state;
use crate::signals::{signal, signalled, start, tables};
use crate::support::{self, ARRIVAL, operations, source, topics, unique, wait_records};

const ROWS: i64 = 300;

/// A source, and an update of a row that is in its topic and that nobody sees.
struct Stalled {
    worker: Worker,
    topics: Topics,
    topic: String,
    client: Client,
    cancel: CancelToken,
    update: JoinHandle<()>,
    _server: Postgres,
}

impl Stalled {
    async fn start(name: &str, changes: Value) -> Self {
        let (worker, topics) = (support::worker(name).await, topics());
        let settings = &["synchronous_standby_names=nobody", "synchronous_commit=local"];
        let options = PostgresOptions { settings, ..PostgresOptions::default() };
        let server = Postgres::start(&format!("{name}_server"), options).unwrap();
        let address = server.create_database(name).await.unwrap();
        let client = address.connect().await.unwrap();
        tables(&client, ROWS).await;
        start(&worker, &client, name, &signalled(source(&address, name, "public.t"), changes)).await;
        let topic = format!("{name}.public.t");
        let (cancel, update) = update(&address).await;
        wait_records(&topics, &topic, 1).await;
        let before = "select version from t where id = 150";
        assert_eq!(client.query_one(before, &[]).await.unwrap().get::<_, i32>(0), 0, "nobody sees what was streamed");
        Self { worker, topics, topic, client, cancel, update, _server: server }
    }

    /// Lets the update be seen: then all rows are read, and none is older than the topic's events.
    async fn settles(self, events: i64) {
        self.cancel.cancel_query(NoTls).await.unwrap();
        self.update.await.unwrap();
        support::reached(&self.topics, &self.topic, events + ROWS).await;
        same_state(&self.client, &self.topics, "t", &self.topic, &["id"]).await;
        self.worker.api().remove("s").await.unwrap();
    }
}

/// An update whose commit waits.
async fn update(address: &PostgresAddress) -> (CancelToken, JoinHandle<()>) {
    let session = address.connect().await.unwrap();
    session.batch_execute("set synchronous_commit = on").await.unwrap();
    let cancel = session.cancel_token();
    let update = async move { session.batch_execute("update t set version = 1 where id = 150").await.unwrap() };
    (cancel, tokio::spawn(update))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_waits_for_what_was_streamed_to_be_seen_and_the_stream_goes_on() {
    let stalled = Stalled::start(&unique("unseen_inserts"), json!({})).await;
    let Stalled { topics, topic, client, .. } = &stalled;
    signal(client, "one", "execute-snapshot", &json!({"data-collections": ["public.t"]})).await;
    for version in 1..=20 {
        client.execute("update t set version = $1 where id = 200", &[&version]).await.unwrap();
        wait_records(topics, topic, i64::from(version) + 1).await;
    }
    assert_eq!(operations(topics, topic), "u".repeat(21), "no row is read");
    stalled.settles(21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_transaction_is_waited_for_on_an_idle_server_too() {
    let name = unique("unseen_idle");
    let file = std::env::temp_dir().join(format!("{name}-{}.signals", std::process::id()));
    let changes = json!({
        "read.only": "true",
        "signal.data.collection": null,
        "signal.enabled.channels": "file",
        "signal.file": file.display().to_string(),
    });
    let stalled = Stalled::start(&name, changes).await;
    let line = json!({"id": "f", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}});
    std::fs::write(&file, format!("{line}\n")).unwrap();
    eventually_async("the signal to be taken", ARRIVAL, async || match std::fs::read_to_string(&file) {
        Ok(left) if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await
    .unwrap();
    // Nothing comes while nothing is seen: what would be read at once is read by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operations(&stalled.topics, &stalled.topic), "u", "no row is read");
    stalled.settles(1).await;
    std::fs::remove_file(&file).unwrap();
}
