//! Columns that the Postgres source reads from the table, because the stream did not bring them (`post.processors`).
//!
//! Whatever is changed in one transaction is looked up when that is over: the row is then as the transaction has left it.

use connect_api::{ErrorKind, Record, Struct, Value};
use integration_tests::testbed::{PostgresAddress, eventually_async};
use serde_json::json;
use tokio_postgres::Client;

use crate::support::{self, ARRIVAL, unique, with};
use crate::upkeep_rig::{Running, Seen, props, start};

/// What stands for a value that was not sent.
const PLACEHOLDER: &str = "__debezium_unavailable_value";

/// A processor that reselects, with more options.
fn reselects(options: serde_json::Value) -> serde_json::Value {
    let processor = json!({
        "snapshot.mode": "no_data",
        "post.processors": "r",
        "post.processors.r.type": "io.debezium.processors.reselect.ReselectColumnsPostProcessor",
    });
    with(processor, &options)
}

/// A source that streams the tables of a fresh database.
async fn streams(address: &PostgresAddress, name: &str, changes: &serde_json::Value) -> Running {
    let task = start(&props(address, name, "public\\..*", changes), None).await;
    task.streams().await;
    task
}

fn part<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    record.value.value.as_struct()?.get(name)
}

/// Operations and new rows, in order; of tombstones nothing.
fn events(seen: &Seen) -> Vec<(String, Option<Struct>)> {
    let kept = seen.kept.lock().unwrap();
    let event = |record: &Record| {
        let op = part(record, "op")?.as_str()?.to_owned();
        Some((op, part(record, "after").and_then(Value::as_struct).cloned()))
    };
    kept.iter().filter_map(event).collect()
}

fn operations(seen: &Seen) -> String {
    events(seen).into_iter().map(|(op, _)| op).collect()
}

/// A field of the new row of an event.
fn field(seen: &Seen, event: usize, name: &str) -> Value {
    let events = events(seen);
    let after = events[event].1.as_ref().expect("a new row");
    after.get(name).expect("the field is there").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_that_did_not_change_are_whole_with_the_processor_and_placeholders_without() {
    let name = unique("reselect");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(
            "create table t (id int primary key, n int, note text, data json, bytes bytea, tags text[], hashed text, cut text, masked text,
                             hidden text);
             alter table t alter note set storage external, alter data set storage external, alter bytes set storage external,
                           alter tags set storage external, alter hashed set storage external, alter cut set storage external,
                           alter masked set storage external, alter hidden set storage external",
        )
        .await
        .unwrap();
    let rules = json!({
        "snapshot.mode": "no_data",
        "column.mask.hash.v2.SHA-256.with.salt.s": "public.t.hashed",
        "column.truncate.to.5.chars": "public.t.cut",
        "column.mask.with.3.chars": "public.t.masked",
        "column.exclude.list": "public.t.hidden",
    });
    let (plain, whole) = (format!("{name}_plain"), format!("{name}_whole"));
    let without = streams(&address, &plain, &rules).await;
    let with_it = streams(&address, &whole, &with(reselects(json!({})), &rules)).await;
    let large = "(select string_agg(md5(i::text), '') from generate_series(1, 200) i)";
    client
        .batch_execute(&format!(
            "insert into t select 1, 1, v, json_build_object('v', v), v::bytea, array[v, v], v, v, v, v from {large} x(v)"
        ))
        .await
        .unwrap();
    client.batch_execute("update t set n = 2").await.unwrap();
    for task in [&without, &with_it] {
        task.until("both events", |seen| operations(seen) == "cu").await;
    }
    for column in ["note", "data", "tags", "hashed", "cut", "bytes"] {
        let inserted = field(&with_it.seen, 0, column);
        assert_eq!(inserted, field(&without.seen, 0, column));
        assert_eq!(inserted, field(&with_it.seen, 1, column), "{column} is as it was");
        assert_ne!(inserted, field(&without.seen, 1, column), "{column} was not sent");
    }
    assert_eq!(field(&without.seen, 1, "note"), Value::from(PLACEHOLDER));
    assert_eq!(field(&with_it.seen, 1, "note").as_str().map(str::len), Some(200 * 32));
    assert_eq!(field(&with_it.seen, 1, "hashed").as_str().map(str::len), Some(64));
    assert_eq!(field(&with_it.seen, 1, "cut").as_str().map(str::len), Some(5));
    assert_eq!(field(&with_it.seen, 1, "masked"), Value::from("***"));
    assert_eq!(field(&with_it.seen, 1, "n"), Value::Int32(2));
    assert!(events(&with_it.seen)[1].1.as_ref().is_some_and(|after| after.get("hidden").is_none()));
    without.stop().await;
    with_it.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_are_read_again_by_the_primary_key_or_by_that_of_the_record() {
    let name = unique("reselect_null");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(
            "create type mood as enum ('bright', 'dull');
             create table \"By Key\" (\"Id\" timestamptz primary key, note text);
             create table loose (day date, mood mood, u uuid, note text); alter table loose replica identity full",
        )
        .await
        .unwrap();
    let by_key = unique("reselect_null_key");
    let primary = streams(&address, &name, &reselects(json!({"table.include.list": "public.By Key"}))).await;
    let changes = reselects(json!({
        "table.include.list": "public.loose",
        "message.key.columns": "public.loose:day,mood,u",
        "post.processors.r.reselect.use.event.key": "true",
        "post.processors.r.reselect.columns.include.list": "public.loose:NOTE",
    }));
    let own = streams(&address, &by_key, &changes).await;
    client
        .batch_execute(
            "begin;
             insert into \"By Key\" values ('2024-02-29 12:00:00.123456+03', null);
             update \"By Key\" set note = 'later';
             insert into loose values ('1000-01-01', 'dull', '00000000-0000-0000-0000-000000000007', null);
             update loose set note = 'it''s later';
             commit",
        )
        .await
        .unwrap();
    primary.until("both events", |seen| operations(seen) == "cu").await;
    own.until("both events", |seen| operations(seen) == "cu").await;
    assert_eq!(field(&primary.seen, 0, "note"), Value::from("later"));
    assert_eq!(field(&own.seen, 0, "note"), Value::from("it's later"));
    primary.stop().await;
    own.stop().await;
}

/// A source of `t (id int primary key, note text)`.
async fn small(base: &str, options: serde_json::Value) -> (Client, Running) {
    let name = unique(base);
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key, note text)").await.unwrap();
    let task = streams(&address, &name, &reselects(options)).await;
    (client, task)
}

const GONE: &str = "begin; insert into t values (1, null); delete from t; insert into t values (2, 'x'); commit";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_or_can_not_be_read_stays_as_it_is_by_default() {
    let (client, task) = small("reselect_warn", json!({})).await;
    client.batch_execute(GONE).await.unwrap();
    task.until("all events", |seen| operations(seen) == "cdc").await;
    assert_eq!(field(&task.seen, 0, "note"), Value::Null);
    // Several that fail, and one behind them that does not.
    client
        .batch_execute(
            "begin; insert into t values (3, null), (4, null); alter table t rename note to other;
             insert into t values (5, null); update t set other = 'y' where id = 5; commit",
        )
        .await
        .unwrap();
    task.until("all events", |seen| operations(seen) == "cdccccu").await;
    assert_eq!(field(&task.seen, 3, "note"), Value::Null);
    assert_eq!(field(&task.seen, 4, "note"), Value::Null);
    assert_eq!(field(&task.seen, 5, "other"), Value::from("y"));
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_or_can_not_be_read_fails_the_task_where_that_is_wanted() {
    let fail = json!({"post.processors.r.reselect.error.handling.mode": "FAIL"});
    let (client, task) = small("reselect_fail", fail.clone()).await;
    client.batch_execute(GONE).await.unwrap();
    let error = task.fails().await;
    assert_eq!(error.message(), "Failed to find row in table public.t with key Struct{id=1}");
    assert_eq!(error.kind(), ErrorKind::Data);

    let (client, task) = small("reselect_refused", fail.clone()).await;
    client
        .batch_execute("begin; insert into t values (7, null); alter table t rename note to other; commit")
        .await
        .unwrap();
    let error = task.fails().await;
    assert_eq!(error.message(), "Failed to re-select columns for table public.t and key [7]");
    assert!(error.trace().contains("column \"note\" does not exist"), "{}", error.trace());

    // Or leaves the record out.
    let (client, task) =
        small("reselect_left_out", with(fail, &json!({"event.processing.failure.handling.mode": "warn"}))).await;
    client.batch_execute(GONE).await.unwrap();
    task.until("what is left", |seen| operations(seen) == "dc").await;
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_read_over_a_session_that_may_end() {
    let (client, task) = small("reselect_many", json!({})).await;
    client
        .batch_execute(
            "alter table t alter note set storage external, add n int default 0;
             insert into t select i, repeat(i::text || ' ', 1000) from generate_series(1, 700) i",
        )
        .await
        .unwrap();
    task.until("the rows", |seen| seen.records() == 700).await;
    for round in 1..=3 {
        // The session waits for its next statement meanwhile.
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where datname = current_database() and state = 'idle' and query like 'SELECT \"note\"%'";
        let ended: i64 = client.query_one(end, &[]).await.unwrap().get(0);
        assert_eq!(ended, i64::from(round > 1), "a session is opened when it is needed first");
        client.batch_execute("update t set n = n + 1").await.unwrap();
        let wanted = 700 * (round + 1);
        eventually_async("the updates", ARRIVAL, async || {
            let found = task.seen.records();
            if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted} records")) }
        })
        .await
        .unwrap();
    }
    let all = events(&task.seen);
    assert_eq!(all.len(), 4 * 700, "nothing came twice");
    for (at, (op, after)) in all.iter().enumerate() {
        let after = after.as_ref().expect("a new row");
        assert_eq!(op, if at < 700 { "c" } else { "u" });
        let Some(Value::Int32(id)) = after.get("id") else { panic!("no id: {after:?}") };
        assert_eq!(after.get("note"), Some(&Value::from(format!("{id} ").repeat(1000))), "event {at}");
    }
    task.stop().await;
}
