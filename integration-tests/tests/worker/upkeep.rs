//! What the Postgres source tells of itself and of its server: progress, retention, the log's end, topics, cleaning up.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use connect_api::{CleanUp, ErrorKind, Phase, Props, SinkConnector, SourceConnector};
use connect_postgres::connector::PostgresConnector;
use integration_tests::testbed::{Servers, eventually_async};
use serde_json::json;

use crate::support::{self, ARRIVAL, unique};
use crate::upkeep_rig::{prepare, props, start, start_slow};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_tells_of_every_table_also_while_one_has_to_wait() {
    let name = unique("progress");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(
            "create table a as select i from generate_series(1, 3000) i; create table b (i int);
             create table c as select i from generate_series(1, 7) i; analyze a; alter table c set (autovacuum_enabled = false)",
        )
        .await
        .unwrap();
    let changes = prepare(&client, &name, "a, b, c").await;
    let blocker = address.connect().await.unwrap();
    blocker.batch_execute("begin; lock table b in access exclusive mode").await.unwrap();
    let task = start(&props(&address, &name, "public.a,public.b,public.c", &changes), None).await;
    task.until("the table that waits", |seen| {
        let waiting =
            |p: &connect_api::Progress| p.tables.get(1).is_some_and(|b| b.begun && !b.done && p.tables[0].done);
        seen.all().iter().filter(|progress| waiting(progress)).count() >= 3
    })
    .await;
    blocker.batch_execute("commit").await.unwrap();
    task.streams().await;
    let all = task.seen.all();
    assert_eq!(all[0].phase, Phase::Init);
    assert!(all.is_sorted_by_key(|progress| progress.phase), "{:?}", all.iter().map(|p| p.phase).collect::<Vec<_>>());
    let snapshot: Vec<_> = all.iter().filter(|progress| progress.phase == Phase::Snapshot).collect();
    let first: Vec<_> = snapshot[0].tables.iter().map(|table| (&*table.table, table.begun, table.rows)).collect();
    assert_eq!(first, [("public.a", false, 0), ("public.b", false, 0), ("public.c", false, 0)]);
    let last = &snapshot[snapshot.len() - 1].tables;
    let rows: Vec<_> = last.iter().map(|table| (table.rows, table.rows_estimated, table.done)).collect();
    assert_eq!(rows, [(3000, Some(3000), true), (0, None, true), (7, None, true)]);
    assert!(all[all.len() - 1].tables.is_empty(), "outside the snapshot there are no tables");
    task.until("the snapshot's records", |seen| seen.records() == 3007).await;
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_follows_the_end_of_the_log() {
    let name = unique("resolved");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key); create table other (filler text)").await.unwrap();
    // The usual interval: the stream is not followed by it.
    let props = props(&address, &name, "public.t", &json!({"status.update.interval.ms": "600000"}));
    let task = start(&props, None).await;
    task.streams().await;
    for statement in [
        "insert into other values ('x')",
        "set synchronous_commit = off; insert into other values ('y')",
        "select pg_switch_wal()",
        "create table third (id int)",
    ] {
        client.batch_execute(statement).await.unwrap();
        let end = PostgresConnector.log_end(&props).await.unwrap().unwrap();
        let began = Instant::now();
        task.until("the end of the log", |seen| seen.resolved() >= end).await;
        // Two seconds, on a machine of its own.
        assert!(began.elapsed() < Duration::from_secs(120), "{:?} after {statement}", began.elapsed());
    }
    client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the commit", |seen| {
        let stream = seen.last().stream.unwrap_or_default();
        let place = stream.last_commit_position.is_some_and(|place| place.contains('/'));
        place
            && stream.last_commit_ms > Some(1_600_000_000_000)
            && stream.lag_ms.is_some()
            && stream.lag_bytes.is_some()
    })
    .await;
    assert_eq!(task.seen.records(), 1);
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_resolved_is_with_the_worker() {
    let name = unique("drained");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id serial primary key, filler text)").await.unwrap();
    let small = json!({"max.batch.size": "10", "max.queue.size": "40"});
    let props = props(&address, &name, "public.t", &small);
    let task = start_slow(&props, None, Duration::from_millis(20)).await;
    task.streams().await;
    let mut rows = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            client
                .batch_execute("insert into t (filler) select repeat('x', 20) from generate_series(1, 25)")
                .await
                .unwrap();
            rows += 25;
        }
        let end = PostgresConnector.log_end(&props).await.unwrap().unwrap();
        task.until("the end of the log", |seen| {
            // Read in this order, so that the count may only be too high.
            let resolved = seen.resolved() >= end;
            assert!(!resolved || seen.records() >= rows, "{} of {rows} records", seen.records());
            resolved
        })
        .await;
    }
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_tells_what_the_slot_keeps() {
    let name = unique("retention");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let props = props(&address, &name, "public.t", &json!({}));
    let retention = async || PostgresConnector.retention(&props).await.unwrap().unwrap();
    let none = retention().await;
    assert_eq!((none.slot.as_str(), none.wal_status.as_deref(), none.retained_bytes), (&*name, None, None));
    assert!(none.log_end.is_some() && none.is_lost());
    let task = start(&props, None).await;
    task.streams().await;
    let running = retention().await;
    assert_eq!((running.wal_status.as_deref(), running.safe_wal_size), (Some("reserved"), None), "without a limit");
    task.stop().await;
    client.batch_execute("create table other as select repeat('x', 1000) from generate_series(1, 2000)").await.unwrap();
    let stopped = retention().await;
    assert!(stopped.retained_bytes >= Some(1_000_000), "{stopped:?}");
    assert!(stopped.log_end > running.log_end && !stopped.is_lost());
    let snapshot_only = with_key(&props, "snapshot.mode", "initial_only");
    assert_eq!(PostgresConnector.retention(&snapshot_only).await.unwrap(), None);
}

fn with_key(props: &Props, key: &str, value: &str) -> Props {
    let mut props = props.clone();
    props.insert(key.to_owned(), Some(value.to_owned()));
    props
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_takes_the_slot_and_only_a_publication_of_its_own() {
    let name = unique("cleanup");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let props = props(&address, &name, "public.t", &json!({}));
    let left = async || {
        let query = "select (select count(*) from pg_replication_slots where slot_name = $1),
            (select count(*) from pg_publication where pubname = $1)";
        let row = client.query_one(query, &[&name]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    PostgresConnector.clean_up(&props, CleanUp::Everything).await.unwrap();
    let task = start(&props, None).await;
    task.streams().await;
    // Others may have what a source without a stream only names.
    let snapshot_only = with_key(&props, "snapshot.mode", "initial_only");
    PostgresConnector.clean_up(&snapshot_only, CleanUp::Everything).await.unwrap();
    assert_eq!(left().await, (1, 1));
    // The slot's session ends while it is waited for.
    let (cleaned, _) = tokio::join!(PostgresConnector.clean_up(&props, CleanUp::Position), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        task.stop().await;
    });
    cleaned.unwrap();
    assert_eq!(left().await, (0, 1));
    let task = start(&props, None).await;
    task.streams().await;
    let pid: i32 = client
        .query_one("select active_pid from pg_replication_slots where slot_name = $1", &[&name])
        .await
        .unwrap()
        .get(0);
    let error = PostgresConnector.clean_up(&props, CleanUp::Everything).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains(&format!("process {pid} (user \"postgres\"")), "{error}");
    assert!(error.remedy().is_some_and(|text| text.contains(&format!("pg_terminate_backend({pid})"))));
    task.stop().await;
    let theirs = with_key(&props, "publication.autocreate.mode", "disabled");
    PostgresConnector.clean_up(&theirs, CleanUp::Everything).await.unwrap();
    assert_eq!(left().await, (0, 1));
    PostgresConnector.clean_up(&props, CleanUp::Everything).await.unwrap();
    assert_eq!(left().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_dropped_only_for_the_connector_it_was_made_for() {
    let name = unique("signed");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let ours = props(&address, &name, "public.t", &json!({}));
    let theirs = with_key(&ours, "name", "another");
    let publications = async || {
        let query = "select obj_description(oid, 'pg_publication') from pg_publication where pubname = $1";
        let rows = client.query(query, &[&name]).await.unwrap();
        rows.iter().map(|row| row.get::<_, Option<String>>(0)).collect::<Vec<_>>()
    };
    let clean_up = async |props: &Props| PostgresConnector.clean_up(props, CleanUp::Everything).await.unwrap();
    let task = start(&ours, None).await;
    task.streams().await;
    task.stop().await;
    assert_eq!(publications().await, [Some("tidegate: made for connector shop".to_owned())]);
    clean_up(&theirs).await;
    assert_eq!(publications().await.len(), 1, "it was not made for that one");
    clean_up(&ours).await;
    assert!(publications().await.is_empty());
    // One of an earlier version says nothing.
    let make = format!("create publication {name} for table t");
    client.batch_execute(&make).await.unwrap();
    clean_up(&theirs).await;
    assert!(publications().await.is_empty());
    client.batch_execute(&format!("{make}; comment on publication {name} is 'of the warehouse'")).await.unwrap();
    let task = start(&ours, None).await;
    task.streams().await;
    task.stop().await;
    clean_up(&ours).await;
    assert_eq!(publications().await, [Some("of the warehouse".to_owned())], "used, but not made here");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_those_that_a_snapshot_fills() {
    let name = unique("topics");
    let (address, client) = support::database(&name).await;
    client
        .batch_execute("create table a (id int); create table \"b c\" (id int); create table d (id int)")
        .await
        .unwrap();
    let props = props(&address, &name, "public.a,public.b c", &json!({}));
    let topics = PostgresConnector.topics(&props).await.unwrap().unwrap();
    assert_eq!(topics, [format!("{name}.public.a"), format!("{name}.public.b_c")]);
    let some = with_key(&props, "snapshot.include.collection.list", "public.a");
    assert_eq!(PostgresConnector.topics(&some).await.unwrap().unwrap(), [format!("{name}.public.a")]);
    let none = with_key(&props, "snapshot.mode", "no_data");
    assert!(PostgresConnector.topics(&none).await.unwrap().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_are_dropped_for_the_topics_of_the_sink() {
    let name = unique("destinations");
    let mongo = &Servers::shared().mongo;
    let database = mongo.client().await.unwrap().database(&name);
    for collection in ["p.public.a", "p.public.b", "elsewhere", "bystander"] {
        database.collection::<Document>(collection).insert_one(doc! {"_id": 1}).await.unwrap();
    }
    let config = [
        ("connection.uri", mongo.uri.as_str()),
        ("database", &name),
        ("topics.regex", "p\\.public\\.[abcd]"),
        ("topic.override.p.public.c.collection", "elsewhere"),
    ];
    let props: Props = config.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    let topics: Vec<String> =
        ["p.public.a", "p.public.c", "p.public.d", "bystander"].iter().map(|topic| (*topic).to_owned()).collect();
    let dropped = connect_mongodb::MongoSinkConnector.drop_destinations(&props, &topics).await.unwrap();
    assert_eq!(dropped, [format!("{name}.elsewhere"), format!("{name}.p.public.a")], "what was there");
    eventually_async("the collections that are left", ARRIVAL, async || {
        let mut left = database.list_collection_names().await.map_err(|error| error.to_string())?;
        left.sort();
        if left == ["bystander", "p.public.b"] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
    let dropped = connect_mongodb::MongoSinkConnector.drop_destinations(&props, &topics).await.unwrap();
    assert!(dropped.is_empty(), "{dropped:?}");
}
