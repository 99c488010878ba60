//! The Postgres source against a real server.

use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::tls::Certificates;
use integration_tests::testbed::{Postgres, PostgresOptions, Proxy, eventually_async};
use serde_json::json;

use crate::support::{self, ARRIVAL, op_of, operations, payload, source, topics, unique, wait_records, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_followed_by_the_stream_and_not_repeated_after_a_restart() {
    let (mut worker, topics, name) = (support::worker("stream").await, topics(), unique("stream"));
    let (address, client) = support::database(&name).await;
    client
        .batch_execute("create table t (id int primary key, label text); insert into t values (1, 'one'), (2, null)")
        .await
        .unwrap();
    worker.api().create("s", &source(&address, &name, "public.t")).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 2).await;
    client
        .batch_execute(
            "insert into t values (3, 'three'); update t set label = 'two' where id = 2; delete from t where id = 1",
        )
        .await
        .unwrap();
    // Two of the snapshot, an insert, an update, a delete and its tombstone.
    wait_records(&topics, &topic, 6).await;
    assert_eq!(operations(&topics, &topic), "rrcud");

    committed(&worker, "s", &client).await;
    worker.stop().unwrap();
    client.batch_execute("insert into t values (4, 'while the worker was away')").await.unwrap();
    worker.start_again().await.unwrap();
    wait_records(&topics, &topic, 7).await;
    client.batch_execute("insert into t values (5, 'later')").await.unwrap();
    wait_records(&topics, &topic, 8).await;
    assert_eq!(operations(&topics, &topic), "rrcudcc");

    let records = topics.read(&topic).unwrap();
    let update = records[3].json();
    let event = payload(&update);
    assert_eq!((op_of(&update), &event["after"]), ("u", &json!({"id": 2, "label": "two"})));
    assert_eq!((&event["source"]["table"], &event["source"]["snapshot"]), (&json!("t"), &json!("false")));
    assert!(records[5].value.is_none(), "the tombstone comes after the delete");
    assert_eq!(records[5].key, records[4].key);
    worker.api().remove("s").await.unwrap();
}

/// Waits until the position in the offsets is that of the stream.
async fn committed(worker: &integration_tests::testbed::Worker, name: &str, client: &tokio_postgres::Client) {
    let lsn =
        "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where database = current_database()";
    eventually_async("the stream's position in the offsets", ARRIVAL, async || {
        let answer =
            worker.api().get(&format!("/connectors/{name}/offsets")).await.map_err(|failure| failure.to_string())?;
        let offset = &answer.body["offsets"][0]["offset"];
        let known = offset["lsn"].as_i64().unwrap_or_default();
        let confirmed: i64 = client.query_one(lsn, &[]).await.map_err(|error| error.to_string())?.get(0);
        let streaming = offset.get("snapshot").is_none_or(serde_json::Value::is_null);
        if streaming && known > 0 && confirmed > 0 { Ok(()) } else { Err(answer.text) }
    })
    .await
    .unwrap();
}

/// Ours only: Debezium needs a heartbeat for this.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_table_does_not_pile_up_wal() {
    let (worker, topics, name) = (support::worker("idle").await, topics(), unique("idle"));
    let (address, client) = support::database(&name).await;
    client
        .batch_execute("create table t (id int primary key); insert into t values (1); create table busy (filler text)")
        .await
        .unwrap();
    let settings = json!({"status.update.interval.ms": "500"});
    worker.api().create("s", &with(source(&address, &name, "public.t"), &settings)).await.unwrap();
    wait_records(&topics, &format!("{name}.public.t"), 1).await;
    worker.api().wait_running("s").await.unwrap();
    // Twice, so that it is no last position of the start that is seen. How far the slot is behind the server's present end says
    // nothing here: the other tests write to the same server.
    for _ in 0..2 {
        client.batch_execute("insert into busy select repeat('x', 1000) from generate_series(1, 10000)").await.unwrap();
        let written: i64 = client.query_one("select (pg_current_wal_lsn() - '0/0')::bigint", &[]).await.unwrap().get(0);
        eventually_async("the slot to let go of the WAL", ARRIVAL, async || {
            let confirmed =
                "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = $1";
            let confirmed: Option<i64> =
                client.query_one(confirmed, &[&name]).await.map_err(|error| error.to_string())?.get(0);
            if confirmed.unwrap_or_default() >= written { Ok(()) } else { Err(format!("{confirmed:?} of {written}")) }
        })
        .await
        .unwrap();
    }
    client.batch_execute("insert into t values (2)").await.unwrap();
    wait_records(&topics, &format!("{name}.public.t"), 2).await;
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_and_checked() {
    let (worker, topics, name) = (support::worker("tls").await, topics(), unique("tls"));
    let certificates = Certificates::make(&name).unwrap();
    let options = PostgresOptions { certificates: Some(&certificates), ..PostgresOptions::default() };
    let postgres = Postgres::start(&unique("postgres_tls"), options).unwrap();
    let client = postgres.address.connect().await.unwrap();
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await.unwrap();
    let plain = source(&postgres.address, &name, "public.t");
    let trusting = |authority: &std::path::Path| {
        with(
            plain.clone(),
            &json!({"database.sslmode": "verify-full", "database.sslrootcert": authority.display().to_string()}),
        )
    };
    let body = json!({"name": "s", "config": trusting(&certificates.stranger)});
    let answer = worker.api().post("/connectors", &body).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text);

    worker.api().create("s", &trusting(&certificates.authority)).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 1).await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    wait_records(&topics, &topic, 2).await;
    let encrypted = "select bool_and(s.ssl) from pg_replication_slots r join pg_stat_ssl s on s.pid = r.active_pid where r.slot_name = $1";
    assert_eq!(client.query_one(encrypted, &[&name]).await.unwrap().get::<_, Option<bool>>(0), Some(true));
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_goes_on_after_the_connection_was_cut() {
    let (worker, topics, name) = (support::worker("cut").await, topics(), unique("cut"));
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await.unwrap();
    let proxy = Proxy::start(&format!("{}:{}", address.host, address.port)).await.unwrap();
    let mut through = address.clone();
    through.port = proxy.address().port();
    let settings = json!({"retriable.restart.connector.wait.ms": "500"});
    worker.api().create("s", &with(source(&through, &name, "public.t"), &settings)).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 1).await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    wait_records(&topics, &topic, 2).await;
    proxy.set(Fault::Cut);
    client.batch_execute("insert into t values (3)").await.unwrap();
    proxy.set(Fault::None);
    wait_records(&topics, &topic, 3).await;
    // At least once: what was sent before the cut may come again, but nothing is missing and the snapshot is not taken again.
    let operations = operations(&topics, &topic);
    assert!(operations.starts_with('r') && operations[1..].chars().all(|op| op == 'c'), "{operations}");
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_open_while_another_committed_survives_a_cut() {
    let (worker, topics, name) = (support::worker("open").await, topics(), unique("open"));
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let settings = json!({"retriable.restart.connector.wait.ms": "500"});
    worker.api().create("s", &with(source(&address, &name, "public.t"), &settings)).await.unwrap();
    let topic = format!("{name}.public.t");
    client.batch_execute("insert into t values (1)").await.unwrap();
    wait_records(&topics, &topic, 1).await;
    // Its event stands in the log before that of the one that is delivered before it.
    let long = address.connect().await.unwrap();
    long.batch_execute("begin; insert into t values (2)").await.unwrap();
    client.batch_execute("insert into t values (3)").await.unwrap();
    wait_records(&topics, &topic, 2).await;
    let end = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1";
    client.query(end, &[&name]).await.unwrap();
    long.batch_execute("commit").await.unwrap();
    wait_records(&topics, &topic, 3).await;
    worker.api().remove("s").await.unwrap();
}
