//! Servers that do not have what was delivered: another one, or another timeline, or an older backup. Never a silent gap.

use connect_api::{Error, ErrorKind, OffsetMap};
use integration_tests::testbed::{Postgres, PostgresOptions};
use serde_json::{Value, json};

use crate::failover::{Pair, SYNCED};
use crate::support::{unique, with};
use crate::upkeep_rig::{props, start};

fn assert_lost(error: &Error, says: &str, choice: &str) {
    let root = error.root();
    assert_eq!(root.kind(), ErrorKind::PositionLost, "{}", error.trace());
    assert!(root.message().contains(says), "{}", error.trace());
    assert!(root.remedy().is_some_and(|text| text.contains(choice)), "{:?}", root.remedy());
}

/// The position that a remedy offers.
fn offered(error: &Error) -> u64 {
    let remedy = error.root().remedy().unwrap();
    let (_, after) = remedy.split_once("lsn_commit to ").unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}

fn at(lsn: u64) -> OffsetMap {
    serde_json::from_value(json!({"lsn": lsn, "lsn_proc": lsn, "lsn_commit": lsn})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_the_promoted_standby_does_not_have_are_told_and_not_skipped() {
    let mut pair = Pair::start("diverged").await;
    let changes = pair.changes(&json!({"server.identity.stored": "true"}));
    let all = props(&pair.primary.address, &pair.name, "public.t", &changes);
    let task = pair.reads_a_row(&all).await;
    pair.synced().await;
    pair.part().await;
    pair.client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the row that only the primary has", |seen| seen.records() == 2).await;
    pair.primary.process.kill().unwrap();
    let client = pair.promote().await;
    // More than the old primary had: by the numbers alone, nothing would be missed.
    client.batch_execute("insert into other select generate_series(1, 10000); insert into t values (3)").await.unwrap();

    let says = "the server went over to timeline 2 at LSN";
    let (error, offset) = task.fails_with_offset().await;
    assert_lost(&error, says, "PUT /jobs/shop/restart");
    // Over a restart as well, because the server is stored.
    let error = start(&all, offset).await.fails().await;
    assert_lost(&error, says, "PATCH /connectors/shop/offsets");
    let task = start(&all, Some(at(offered(&error)))).await;
    task.until("the row of the new primary", |seen| seen.records() == 1).await;
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_only_followed_the_log_goes_back() {
    let mut pair = Pair::start("followed").await;
    let all = props(&pair.primary.address, &pair.name, "public.t", &pair.changes(&json!({})));
    let task = pair.reads_a_row(&all).await;
    pair.synced().await;
    pair.part().await;
    let confirmed = "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = $1";
    let written = "select (pg_current_wal_lsn() - '0/0')::bigint";
    let before: i64 = pair.client.query_one(written, &[]).await.unwrap().get(0);
    pair.client.batch_execute("insert into other select generate_series(1, 10000)").await.unwrap();
    integration_tests::testbed::eventually_async("the position to follow", crate::support::ARRIVAL, async || {
        let row = pair.client.query_one(confirmed, &[&pair.name]).await.map_err(|error| error.to_string())?;
        if row.get::<_, i64>(0) > before { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
    .unwrap();
    pair.primary.process.kill().unwrap();
    let client = pair.promote().await;
    // These stand before the position that was stored.
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the row of the new primary", |seen| seen.records() == 2).await;
    client.batch_execute("insert into t values (3)").await.unwrap();
    task.until("the row after it", |seen| seen.records() == 3).await;
    task.stop().await;
}

/// A server of its own with the table, and the slot where it is now.
async fn server(name: &str, base: &str) -> (Postgres, tokio_postgres::Client) {
    let options = PostgresOptions { version: Some(SYNCED), ..PostgresOptions::default() };
    let server = Postgres::start(&unique(base), options).unwrap();
    let client = server.address.connect().await.unwrap();
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let make = "select pg_create_logical_replication_slot($1, 'pgoutput')";
    client.query(make, &[&name]).await.unwrap();
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_not_taken_for_the_one_that_was_read_before() {
    let name = unique("other_server");
    let (mut one, one_client) = server(&name, "one").await;
    let (other, other_client) = server(&name, "other").await;
    let list = json!({
        "database.hostname": format!("127.0.0.1:{},127.0.0.1", one.address.port),
        "errors.max.retries": "-1",
        "retriable.restart.connector.wait.ms": "300",
        "status.update.interval.ms": "200",
        "snapshot.mode": "no_data",
        "server.identity.stored": "true",
    });
    let both = props(&other.address, &name, "public.t", &list);
    let task = start(&both, None).await;
    task.streams().await;
    one_client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the row", |seen| seen.records() == 1 && seen.stored()).await;
    one.process.kill().unwrap();
    let says = "is another server than the one that was read before";
    let (error, offset) = task.fails_with_offset().await;
    assert_lost(&error, says, "pg_upgrade");
    let error = start(&both, offset).await.fails().await;
    assert_lost(&error, says, "PUT /jobs/shop/restart");
    let slots: i64 = other_client.query_one("select count(*) from pg_replication_slots", &[]).await.unwrap().get(0);
    assert_eq!(slots, 1);
    let publications: i64 = other_client.query_one("select count(*) from pg_publication", &[]).await.unwrap().get(0);
    assert_eq!(publications, 0, "nothing was made there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_behind_the_end_of_the_log_is_told() {
    let name = unique("beyond");
    let (server, client) = server(&name, "short").await;
    let plain = json!({"snapshot.mode": "no_data"});
    let far = at(0x7_0000_0000);
    let settings = |more: Value| props(&server.address, &name, "public.t", &with(plain.clone(), &more));
    let error = start(&settings(json!({})), Some(far.clone())).await.fails().await;
    assert_lost(&error, "LSN 7/0 lies after the end of the server's log at LSN 0/", "PUT /jobs/shop/restart");
    let task = start(&settings(json!({})), Some(at(offered(&error)))).await;
    task.streams().await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the row", |seen| seen.records() == 1).await;
    task.stop().await;
    // Where a snapshot is taken when a position is lost, it is.
    let task = start(&settings(json!({"snapshot.mode": "when_needed"})), Some(far)).await;
    task.until("the snapshot", |seen| seen.records() == 1).await;
    task.streams().await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the row after the snapshot", |seen| seen.records() == 2).await;
    task.stop().await;
}
