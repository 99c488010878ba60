//! `snapshot.resume.enabled` without a worker: what another run, or another attempt of the same, goes on with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connect_api::{OffsetMap, Phase, Record};
use integration_tests::testbed::{PostgresAddress, eventually_async};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{self, ARRIVAL, unique};
use crate::upkeep_rig::{Running, Seen, props, start, start_slow, start_until};

/// Of a table; more than one look at the worker's pace.
const ROWS: usize = 3_000;
/// The worker's time for a batch: its sessions end in the middle of a table.
const SLOW: Duration = Duration::from_millis(20);

async fn tables(client: &Client) {
    let make = format!(
        "create table a (id int primary key, v text); create table b (id int primary key, v text);
         create table c (id int, v text);
         insert into a select i, 'x' from generate_series(1, {ROWS}) i; insert into b select * from a;
         insert into c select * from a where id <= 100"
    );
    client.batch_execute(&make).await.unwrap();
}

fn resumed(changes: &Value) -> Value {
    let mut own = json!({
        "snapshot.resume.enabled": "true", "max.batch.size": "50", "max.queue.size": "100", "publication.autocreate.mode": "all_tables"
    });
    own.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    own
}

/// Runs a task until it has brought so many rows and not many more; gives its offset, and the rows.
async fn broken_off(address: &PostgresAddress, name: &str, changes: &Value, rows: usize) -> (OffsetMap, Reads) {
    let task = start_until(&props(address, name, "public.*", &resumed(changes)), None, rows).await;
    task.until("some rows", |seen| seen.records() >= rows && seen.stored()).await;
    let seen = Arc::clone(&task.seen);
    let offset = task.stop().await.unwrap();
    (offset, Reads::of(&seen))
}

/// How often each row was read, by table and key.
#[derive(Debug, Default, PartialEq)]
struct Reads(BTreeMap<String, BTreeMap<String, usize>>);

impl Reads {
    fn of(seen: &Seen) -> Self {
        let mut reads = Self::default();
        for record in seen.kept.lock().unwrap().iter() {
            let Some(row) = read(record) else { continue };
            let table = record.topic.rsplit('.').next().unwrap().to_owned();
            *reads.0.entry(table).or_default().entry(row).or_default() += 1;
        }
        reads
    }

    fn rows(&self, table: &str) -> usize {
        self.0.get(table).map_or(0, |rows| rows.values().sum())
    }

    /// Rows of a table that both have.
    fn common(&self, other: &Self, table: &str) -> usize {
        let (Some(own), Some(others)) = (self.0.get(table), other.0.get(table)) else { return 0 };
        own.keys().filter(|row| others.contains_key(*row)).count()
    }
}

/// The row of a read, as a text.
fn read(record: &Record) -> Option<String> {
    let event = record.value.value.as_struct()?;
    let read = event.get("op").and_then(connect_api::Value::as_str) == Some("r");
    read.then(|| event.get("after").and_then(connect_api::Value::as_struct).map(|row| format!("{:?}", row.fields)))?
}

fn field(offset: &OffsetMap) -> Option<Value> {
    offset.get("tidegate_snapshot").map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap())
}

/// That the snapshot is complete is stored.
fn ended(seen: &Seen) -> bool {
    let offset = seen.last_offset().unwrap_or_default();
    let ended = !offset.is_empty() && (offset.get("snapshot").is_none() || offset["snapshot_completed"] == json!(true));
    assert!(!ended || field(&offset).is_none(), "{offset:?}");
    ended
}

async fn finished(task: Running) -> (OffsetMap, Reads) {
    task.streams().await;
    task.until("the end of the snapshot", ended).await;
    let seen = Arc::clone(&task.seen);
    (task.stop().await.unwrap(), Reads::of(&seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_reads_what_is_left() {
    let name = unique("left");
    let (address, client) = support::database(&name).await;
    tables(&client).await;
    let (offset, first) = broken_off(&address, &name, &json!({}), ROWS + ROWS / 2).await;
    let state = field(&offset).unwrap();
    assert_eq!((&state["tables"][0]["table"], &state["tables"][0]["rows"]), (&json!("public.a"), &json!(ROWS)));
    assert_eq!(state["tables"][0].get("left"), None);
    assert_eq!(state["tables"][1]["key"], json!([["id", "integer"]]));
    assert!(state["tables"][1]["left"][0][0][0].is_string(), "{state}");
    assert_eq!((&offset["snapshot"], &offset["snapshot_completed"]), (&json!("INITIAL"), &json!(false)));
    let task = start(&props(&address, &name, "public.*", &resumed(&json!({}))), Some(offset)).await;
    task.streams().await;
    let told =
        task.seen.all().into_iter().find(|progress| progress.phase == Phase::Snapshot && !progress.tables.is_empty());
    let told: Vec<_> = told.unwrap().tables.iter().map(|table| (table.rows, table.begun, table.done)).collect();
    assert_eq!(told[0], (ROWS as u64, true, true));
    assert!(told[1].0 > 0 && told[1].1 && !told[1].2, "{told:?}");
    assert_eq!(told[2], (0, false, false));
    let rows: Vec<_> = task.seen.all().into_iter().rev().find(|progress| !progress.tables.is_empty()).unwrap().tables;
    let rows: Vec<_> = rows.iter().map(|table| (table.rows, table.done)).collect();
    assert_eq!(rows, [(ROWS as u64, true), (ROWS as u64, true), (100, true)], "counted over both runs");
    let (offset, second) = finished(task).await;
    assert_eq!(field(&offset), None);
    for (table, rows) in [("a", ROWS), ("b", ROWS), ("c", 100)] {
        assert_eq!(first.common(&second, table), 0, "rows of {table} were read twice");
        assert_eq!(first.rows(table) + second.rows(table), rows, "rows of {table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_made_again_and_goes_on() {
    for threads in ["1", "3"] {
        let name = unique("attempt");
        let (address, client) = support::database(&name).await;
        tables(&client).await;
        // More than what is on its way to the reader at any time.
        client.batch_execute("update a set v = repeat('x', 2000); update b set v = repeat('x', 2000)").await.unwrap();
        let changes = resumed(&json!({"snapshot.max.threads": threads, "snapshot.mode": "always"}));
        let task = start_slow(&props(&address, &name, "public.a,public.b", &changes), None, SLOW).await;
        for rows in [200, 1_000] {
            task.until("some rows", |seen| seen.records() >= rows).await;
            let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                       where datname = current_database() and application_name = 'tidegate'";
            eventually_async("a session to end", ARRIVAL, async || {
                let ended: i64 = client.query_one(end, &[]).await.map_err(|error| error.to_string())?.get(0);
                if ended > 0 { Ok(()) } else { Err("between two attempts".to_owned()) }
            })
            .await
            .unwrap();
        }
        let (_, reads) = finished(task).await;
        for table in ["a", "b"] {
            assert_eq!((reads.rows(table), reads.0[table].len()), (ROWS, ROWS), "with {threads} threads, of {table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_table_now_is_read_anew() {
    for change in [
        "alter table b drop constraint b_pkey; alter table b add primary key (id, v)",
        "alter table b alter id type bigint",
        "create table d (like b including all); insert into d select * from b; drop table b; alter table d rename to b",
        "alter table b drop constraint b_pkey",
    ] {
        let name = unique("another");
        let (address, client) = support::database(&name).await;
        tables(&client).await;
        let (offset, first) = broken_off(&address, &name, &json!({}), ROWS + ROWS / 2).await;
        assert!(first.rows("b") > 0);
        client.batch_execute(change).await.unwrap();
        let task = start(&props(&address, &name, "public.*", &resumed(&json!({}))), Some(offset)).await;
        let (_, second) = finished(task).await;
        assert_eq!((second.rows("a"), second.rows("b"), second.rows("c")), (0, ROWS, 100), "after {change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_anew_where_the_stream_would_not_tell_what_is_missing() {
    // Whether the slot is replaced, what the source is configured with, and how much of the first table comes again.
    for (replaced, changes) in [
        (true, json!({})),
        (true, json!({"snapshot.mode": "when_needed"})),
        (false, json!({"snapshot.mode": "always"})),
        (
            false,
            json!({
                "snapshot.mode": "configuration_based", "snapshot.mode.configuration.based.snapshot.data": "true",
                "snapshot.mode.configuration.based.start.stream": "true",
            }),
        ),
        (false, json!({"snapshot.resume.enabled": "false"})),
    ] {
        let name = unique("anew");
        let (address, client) = support::database(&name).await;
        tables(&client).await;
        let (offset, _) = broken_off(&address, &name, &changes, ROWS + 500).await;
        assert_eq!(field(&offset).is_none(), changes["snapshot.resume.enabled"] == "false");
        if replaced {
            eventually_async("the slot to be dropped", ARRIVAL, async || {
                let drop = "select pg_drop_replication_slot($1)";
                client.query(drop, &[&name]).await.map(std::mem::drop).map_err(|error| error.to_string())
            })
            .await
            .unwrap();
        }
        let task = start(&props(&address, &name, "public.*", &resumed(&changes)), Some(offset)).await;
        let (_, second) = finished(task).await;
        assert_eq!((second.rows("a"), second.rows("b")), (ROWS, ROWS), "{changes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_nothing_is_remembered() {
    let name = unique("no_stream");
    let (address, client) = support::database(&name).await;
    tables(&client).await;
    let (offset, _) = broken_off(&address, &name, &json!({"snapshot.mode": "initial_only"}), 500).await;
    assert_eq!(field(&offset), None);
    assert_eq!(offset["snapshot_completed"], json!(false));
}

/// Each run brings some rows: every key is stored and read back many times.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_any_type_come_back_as_they_were() {
    const KEYS: usize = 40;
    let name = unique("types");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute("create type mood as enum ('it''s', 'b', 'A'); create domain code as text check (value <> '')")
        .await
        .unwrap();
    let types = [
        ("texts", "text", r#"E'it''s \\ "' || chr(i + 30) || E'\t\\N'"#),
        ("collated", r#"text collate "C""#, "chr(200 - i) || i"),
        ("chars", "char(7)", "i || ' x'"),
        ("varchars", "varchar(9)", "chr(i + 60) || '''' || i"),
        ("numerics", "numeric", "case i when 1 then 'NaN' when 2 then 'Infinity' else (i - 20) / 7.0 end::numeric"),
        ("doubles", "float8", "case i when 1 then 'NaN' when 2 then '-Infinity' else (i - 20) / 7.0 end::float8"),
        ("bytes", "bytea", "decode(lpad(to_hex(i * 6), 4, '0'), 'hex')"),
        ("uuids", "uuid", "md5(i::text)::uuid"),
        ("times", "timestamptz", "timestamptz '2024-01-01 00:00:00.000001+02' + i * interval '7 days 1 second'"),
        ("dates", "date", "case i when 1 then 'infinity' else date '0044-03-15 BC' + i * 20000 end"),
        ("intervals", "interval", "i * interval '1 day 3 hours' - interval '20 days'"),
        ("flags", "bit(6)", "(i % 64)::bit(6)"),
        ("arrays", "int[]", "array[i % 3, i]"),
        ("codes", "code", "'c' || i"),
        ("addresses", "inet", "('10.0.' || i || '.1/24')::inet"),
    ];
    for (table, of, value) in types {
        let make = format!(
            "create table {table} (k {of} primary key, i int); insert into {table} select {value}, i from generate_series(1, {KEYS}) i"
        );
        client.batch_execute(&make).await.unwrap();
    }
    let many = "create table moods (k mood, b boolean, n smallint, i int, primary key (k, b, n));
                insert into moods select ('{\"it''s\",b,A}'::mood[])[1 + i % 3], i % 2 = 0, i, i from generate_series(1, 40) i";
    client.batch_execute(many).await.unwrap();
    let changes = resumed(&json!({
        "max.batch.size": "3", "max.queue.size": "4", "decimal.handling.mode": "string", "time.precision.mode": "isostring"
    }));
    let props = props(&address, &name, "public.*", &changes);
    let (mut offset, mut reads) = (None, BTreeMap::<(String, String), usize>::new());
    let all = KEYS * (types.len() + 1);
    let mut runs = 0;
    loop {
        let task = start_slow(&props, offset.clone(), Duration::from_millis(2)).await;
        task.until("some more rows", |seen| seen.records() >= 11 || seen.last().phase == Phase::Streaming).await;
        let done = task.seen.last().phase == Phase::Streaming;
        if done {
            task.until("the rest", ended).await;
        }
        let seen = Arc::clone(&task.seen);
        offset = task.stop().await.or(offset);
        for record in seen.kept.lock().unwrap().iter() {
            let Some(row) = read(record) else { continue };
            *reads.entry((record.topic.to_string(), row)).or_default() += 1;
        }
        runs += 1;
        assert!(runs < 200, "{} of {all} rows", reads.len());
        if done {
            break;
        }
    }
    println!("{runs} runs");
    let twice: Vec<_> = reads.iter().filter(|(_, times)| **times > 1).take(5).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let mut tables = BTreeMap::<&str, usize>::new();
    for (topic, _) in reads.keys() {
        *tables.entry(topic).or_default() += 1;
    }
    assert!(tables.len() == types.len() + 1 && tables.values().all(|rows| *rows == KEYS), "{tables:?}");
}
