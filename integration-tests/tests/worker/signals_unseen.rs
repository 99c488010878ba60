//! A transaction that the stream has brought and that no session sees yet: its commit waits for a standby that never comes. What a
//! snapshot reads meanwhile must not come after its events.

use integration_tests::testbed::{Postgres, PostgresOptions};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::agreement::same_state;
use crate::signals::{signal, signalled, start, tables};
use crate::support::{self, operations, source, topics, unique, wait_records};

const ROWS: i64 = 300;

async fn no_row_is_older_than_its_events(base: &str, changes: Value) {
    let (worker, topics, name) = (support::worker(base).await, topics(), unique(base));
    let settings = &["synchronous_standby_names=nobody", "synchronous_commit=local"];
    let server =
        Postgres::start(&format!("{name}_server"), PostgresOptions { settings, ..PostgresOptions::default() }).unwrap();
    let address = server.create_database(&name).await.unwrap();
    let client = address.connect().await.unwrap();
    tables(&client, ROWS).await;
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), changes)).await;
    let stalled = address.connect().await.unwrap();
    stalled.batch_execute("set synchronous_commit = on").await.unwrap();
    let cancel = stalled.cancel_token();
    let update =
        tokio::spawn(async move { stalled.batch_execute("update t set version = 1 where id = 150").await.unwrap() });
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 1).await;
    let before = "select version from t where id = 150";
    assert_eq!(client.query_one(before, &[]).await.unwrap().get::<_, i32>(0), 0, "nobody sees what was streamed");
    signal(&client, "one", "execute-snapshot", &json!({"data-collections": ["public.t"]})).await;
    // The stream goes on, and no row is read.
    for version in 1..=20 {
        client.execute("update t set version = $1 where id = 200", &[&version]).await.unwrap();
        wait_records(&topics, &topic, i64::from(version) + 1).await;
    }
    assert_eq!(operations(&topics, &topic), "u".repeat(21));
    cancel.cancel_query(NoTls).await.unwrap();
    update.await.unwrap();
    support::reached(&topics, &topic, 21 + ROWS).await;
    same_state(&client, &topics, "t", &topic, &["id"]).await;
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_waits_for_what_was_streamed_to_be_seen() {
    no_row_is_older_than_its_events("unseen_inserts", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_snapshot_waits_for_what_was_streamed_to_be_seen() {
    let changes = json!({"read.only": "true"});
    no_row_is_older_than_its_events("unseen_read_only", changes).await;
}
