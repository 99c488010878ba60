//! Failures of the Postgres source that somebody has to cure: each says what happened, where, and what to do.

use std::time::{Duration, Instant};

use connect_api::{Error, ErrorKind, SourceConnector};
use connect_postgres::connector::PostgresConnector;
use integration_tests::testbed::{Postgres, PostgresOptions, eventually_async, ports};
use serde_json::json;

use crate::support::{self, ARRIVAL, unique};
use crate::upkeep_rig::{prepare, props, start};

/// The kind, message and remedy of what went wrong first.
fn told(error: &Error) -> (ErrorKind, &str, &str) {
    let root = error.root();
    (root.kind(), root.message(), root.remedy().or(error.remedy()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_dropped_meanwhile_loses_the_position() {
    let name = unique("dropped");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await.unwrap();
    let props = props(&address, &name, "public.t", &json!({}));
    let task = start(&props, None).await;
    task.streams().await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("both rows", |seen| seen.records() == 2 && seen.stored()).await;
    let offset = task.stop().await;
    assert!(offset.is_some());
    client.query("select pg_drop_replication_slot($1)", &[&name]).await.unwrap();
    client.batch_execute("insert into t values (3)").await.unwrap();
    let error = start(&props, offset).await.fails().await;
    assert!(error.message().contains("but this is no longer available on the server. Reconfigure"), "{error}");
    let (kind, message, remedy) = told(&error);
    assert_eq!(kind, ErrorKind::PositionLost);
    let begins = format!(
        "replication slot \"{name}\" does not exist: it was dropped while the connector was down; changes since LSN "
    );
    assert!(message.starts_with(&begins) && message.ends_with(" are lost"), "{message}");
    assert_eq!(remedy, "recreate it and take a new snapshot with PUT /jobs/shop/restart");
}

/// A new slot in its place would leave a gap that nobody sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_dropped_behind_a_running_task_is_not_made_anew() {
    let name = unique("behind");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let props = props(&address, &name, "public.t", &json!({}));
    let task = start(&props, None).await;
    task.streams().await;
    eventually_async("the slot to be dropped", ARRIVAL, async || {
        let end = "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1";
        client.query(end, &[&name]).await.map_err(|error| error.to_string())?;
        let gone = "select pg_drop_replication_slot($1)";
        client.query(gone, &[&name]).await.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    let error = task.fails().await;
    let (kind, message, _) = told(&error);
    assert_eq!(kind, ErrorKind::PositionLost);
    assert!(message.contains("does not exist"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_wal_loses_the_position_and_a_restart_makes_a_new_slot() {
    let name = unique("removed");
    let settings = ["max_slot_wal_keep_size=32MB", "wal_keep_size=0", "min_wal_size=32MB", "max_wal_size=32MB"];
    let options = PostgresOptions { settings: &settings, ..PostgresOptions::default() };
    let postgres = Postgres::start(&unique("postgres_wal"), options).unwrap();
    let (address, client) = (postgres.address.clone(), postgres.address.connect().await.unwrap());
    client.batch_execute("create table t (id int primary key); create table filler (text text)").await.unwrap();
    let props = props(&address, &name, "public.t", &json!({}));
    let retention = async || PostgresConnector.retention(&props).await.unwrap().unwrap();
    let task = start(&props, None).await;
    task.streams().await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the row", |seen| seen.records() == 1 && seen.stored()).await;
    let offset = task.stop().await;
    let full = retention().await;
    assert!(full.safe_wal_size > Some(0), "{full:?}");
    client.batch_execute("insert into filler select repeat('x', 1000) from generate_series(1, 5000)").await.unwrap();
    assert!(retention().await.safe_wal_size < full.safe_wal_size);
    eventually_async("the WAL to be removed", ARRIVAL, async || {
        let fill = "insert into filler select repeat('x', 1000) from generate_series(1, 5000); select pg_switch_wal()";
        client.batch_execute(fill).await.map_err(|error| error.to_string())?;
        client.batch_execute("checkpoint").await.map_err(|error| error.to_string())?;
        let retention = retention().await;
        if retention.is_lost() { Ok(()) } else { Err(format!("{retention:?}")) }
    })
    .await
    .unwrap();
    assert_eq!(retention().await.wal_status.as_deref(), Some("lost"));
    let error = start(&props, offset).await.fails().await;
    let (kind, message, remedy) = told(&error);
    assert_eq!(kind, ErrorKind::PositionLost);
    assert!(message.contains(&format!("replication slot \"{name}\" was invalidated")), "{message}");
    assert!(message.contains("max_slot_wal_keep_size") && remedy.contains("max_slot_wal_keep_size"), "{message}");
    assert!(remedy.ends_with("PUT /jobs/shop/restart"), "{remedy}");
    // A restart has no offset.
    let task = start(&props, None).await;
    task.streams().await;
    task.until("the new snapshot", |seen| seen.records() == 1).await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the stream of the new slot", |seen| seen.records() == 2).await;
    assert_eq!(retention().await.wal_status.as_deref(), Some("reserved"));
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_during_the_snapshot_is_named() {
    let name = unique("table");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table a (id int); create table b (id int)").await.unwrap();
    let changes = prepare(&client, &name, "a, b").await;
    let blocker = address.connect().await.unwrap();
    blocker.batch_execute("begin; lock table a in access exclusive mode").await.unwrap();
    let task = start(&props(&address, &name, "public.a,public.b", &changes), None).await;
    task.until("the first table", |seen| seen.last().tables.first().is_some_and(|table| table.begun)).await;
    client.batch_execute("drop table b").await.unwrap();
    blocker.batch_execute("commit").await.unwrap();
    let error = task.fails().await;
    let (kind, message, remedy) = told(&error);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(message.starts_with("failed to snapshot table public.b: it was dropped"), "{message}");
    assert!(remedy.contains("table.include.list") && remedy.contains("PUT /jobs/shop/retry"), "{remedy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_and_wrong_credentials_name_what_to_do() {
    let name = unique("rights");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(&format!(
            "create role {name} login password 'of the role'; create table a (id int); create table b (id int);
             grant select on a to {name}"
        ))
        .await
        .unwrap();
    let mut changes = prepare(&client, &name, "a, b").await;
    changes["database.user"] = json!(name);
    changes["database.password"] = json!("of the role");
    let fails = async |changes: &serde_json::Value| {
        start(&props(&address, &name, "public.a,public.b", changes), None).await.fails().await
    };
    let error = fails(&changes).await;
    let (kind, message, remedy) = told(&error);
    assert_eq!(kind, ErrorKind::Forbidden);
    assert!(message.starts_with("failed to open a replication session"), "{message}");
    assert!(remedy.starts_with(&format!("ALTER ROLE \"{name}\" REPLICATION")), "{remedy}");

    client.batch_execute(&format!("alter role {name} replication")).await.unwrap();
    let error = fails(&changes).await;
    let (kind, message, remedy) = told(&error);
    assert_eq!(kind, ErrorKind::Forbidden);
    assert!(message.starts_with("failed to snapshot table public.b: ERROR: permission denied"), "{message}");
    assert!(remedy.contains(&format!("GRANT SELECT ON \"public\".\"b\" TO \"{name}\"")), "{remedy}");

    changes["database.password"] = json!("of somebody else");
    let error = fails(&changes).await;
    let (kind, message, remedy) = told(&error);
    assert_eq!((kind, remedy), (ErrorKind::Auth, "check database.user and database.password"));
    assert!(message.contains(&name) && !message.contains("of somebody else"), "{message}");

    changes["database.dbname"] = json!("nowhere");
    changes["database.user"] = json!(address.user);
    changes["database.password"] = json!(address.password);
    let error = fails(&changes).await;
    assert_eq!(told(&error).0, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_left_to_the_worker_soon() {
    let (address, _client) = support::database(&unique("away")).await;
    let name = unique("away");
    let nobody = ports::free().unwrap();
    let away = |changes: serde_json::Value| props(&address, &name, "public.t", &changes);
    let began = Instant::now();
    let error = start(&away(json!({"database.port": nobody.to_string()})), None).await.fails().await;
    assert!(error.kind().retriable(), "{}", error.trace());
    assert!(error.message().contains(&format!("127.0.0.1:{nobody}")), "{error}");
    let least = Duration::from_millis(1_200);
    assert!(
        began.elapsed() >= least && began.elapsed() < Duration::from_secs(120),
        "three retries: {:?}",
        began.elapsed()
    );
    // A number of the user's own fails the task, and what can be done about it stays known.
    let own = json!({"database.port": nobody.to_string(), "errors.max.retries": "0"});
    let error = start(&away(own), None).await.fails().await;
    assert!(!error.kind().retriable() && error.root().kind() == ErrorKind::Unavailable, "{}", error.trace());
}
