//! Signals to the Postgres source: incremental and blocking snapshots beside the stream, through all channels.

use integration_tests::testbed::{Servers, Worker, eventually_async};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::agreement::same_state;
use crate::support::{self, ARRIVAL, operations, payload, source, topics, unique, wait_records, with};

const ROWS: i64 = 4_000;
const KILLS: i64 = 4;
/// Records between two kills.
const STEP: i64 = 150;
/// With fewer rows left than this, the snapshot may be over before another kill.
const LEFT: i64 = 500;

pub(crate) async fn tables(client: &Client, rows: i64) {
    let fill = format!(
        "create table sig (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
         create table t (id bigint primary key, version int not null);
         insert into t select i, 0 from generate_series(1, {rows}) i"
    );
    client.batch_execute(&fill).await.unwrap();
}

pub(crate) fn signalled(config: Value, changes: Value) -> Value {
    let base = json!({
        "snapshot.mode": "no_data",
        "signal.data.collection": "public.sig",
        "signal.poll.interval.ms": "200",
        "incremental.snapshot.chunk.size": "50",
    });
    with(with(config, &base), &changes)
}

/// Starts a source, and waits until its stream is read: what is written before that is not in it.
pub(crate) async fn start(worker: &Worker, client: &Client, name: &str, config: &Value) {
    worker.api().create("s", config).await.unwrap();
    eventually_async("the stream", ARRIVAL, async || {
        // While the slot is being made it is active as well, but has no place yet.
        let active = "select coalesce(bool_or(active and confirmed_flush_lsn is not null), false)
                      from pg_replication_slots where slot_name = $1";
        let active: bool = client.query_one(active, &[&name]).await.map_err(|error| error.to_string())?.get(0);
        if active { Ok(()) } else { Err("nobody reads the slot".to_owned()) }
    })
    .await
    .unwrap();
}

pub(crate) async fn signal(client: &Client, id: &str, kind: &str, data: &Value) {
    client.execute("insert into sig values ($1, $2, $3)", &[&id, &kind, &data.to_string()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_an_incremental_snapshot_lose_no_row_and_go_on_with_the_chunk() {
    let (mut worker, topics, name) = (support::worker("crash_signal").await, topics(), unique("crash_signal"));
    let (address, client) = support::database(&name).await;
    tables(&client, ROWS).await;
    let config = signalled(source(&address, &name, "public.t"), json!({"offset.flush.interval.ms": "100"}));
    start(&worker, &client, &name, &config).await;
    let topic = format!("{name}.public.t");
    signal(&client, "one", "execute-snapshot", &json!({"data-collections": ["public.t"]})).await;
    let mut kills = 0;
    for kill in 1..=KILLS {
        // By small steps, so that a fast machine is not done before the next one, and a slow one gets there.
        let written = topics.end(&topic).unwrap();
        if written + STEP > ROWS - LEFT {
            break;
        }
        support::reached(&topics, &topic, written + STEP).await;
        worker.kill().unwrap();
        kills += 1;
        let change = format!(
            "update t set version = version + 1 where id % 97 = {kill}; delete from t where id % 101 = {kill};
             insert into t values ({ROWS} + {kill}, 7)"
        );
        client.batch_execute(&change).await.unwrap();
        worker.start_again().await.unwrap();
    }
    assert!(kills >= 2, "the snapshot was over after {kills} kills");
    same_state(&client, &topics, "t", &topic, &["id"]).await;
    // It goes on from where it was: a table that is read from the beginning each time would be in the topic several times.
    let reads = operations(&topics, &topic).chars().filter(|op| *op == 'r').count();
    assert!(reads < 2 * usize::try_from(ROWS).unwrap(), "{reads} rows were read of {ROWS}");
    // Once it is done, offsets hold nothing of it any more.
    eventually_async("the end of the incremental snapshot in the offsets", ARRIVAL, async || {
        client.batch_execute("update t set version = version + 1 where id = 1000").await.map_err(|e| e.to_string())?;
        let answer = worker.api().get("/connectors/s/offsets").await.map_err(|failure| failure.to_string())?;
        let offset = &answer.body["offsets"][0]["offset"];
        let running = offset.as_object().is_none_or(|map| map.keys().any(|key| key.starts_with("incremental_")));
        if running { Err(answer.text) } else { Ok(()) }
    })
    .await
    .unwrap();
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_snapshot_writes_nothing_and_misses_nothing() {
    let (worker, topics, name) = (support::worker("read_only").await, topics(), unique("read_only"));
    let (address, client) = support::database(&name).await;
    tables(&client, 500).await;
    let file = std::env::temp_dir().join(format!("{name}-{}.signals", std::process::id()));
    let changes = json!({
        "read.only": "true",
        "signal.data.collection": null,
        "signal.enabled.channels": "file",
        "signal.file": file.display().to_string(),
    });
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), changes)).await;
    let line = json!({"id": "f", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}});
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let topic = format!("{name}.public.t");
    // Nothing else is written to the database meanwhile.
    wait_records(&topics, &topic, 500).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "", "signals are taken out of the file");
    // And with changes beside it.
    std::fs::write(&file, format!("{line}\n")).unwrap();
    for id in 1..=100_i64 {
        client.execute("update t set version = version + 1 where id = $1", &[&(id * 5)]).await.unwrap();
        client.execute("delete from t where id = $1", &[&(id * 5 - 1)]).await.unwrap();
    }
    same_state(&client, &topics, "t", &topic, &["id"]).await;
    let signals: i64 = client.query_one("select count(*) from sig", &[]).await.unwrap().get(0);
    assert_eq!(signals, 0);
    worker.api().remove("s").await.unwrap();
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_unique_loses_no_rows() {
    let (worker, topics, name) = (support::worker("surrogate").await, topics(), unique("surrogate"));
    let (address, client) = support::database(&name).await;
    tables(&client, 1).await;
    client
        .batch_execute(
            "create table nokey (k int, v int); insert into nokey select i / 7, i from generate_series(1, 100) i",
        )
        .await
        .unwrap();
    let config = signalled(source(&address, &name, "public.nokey"), json!({"incremental.snapshot.chunk.size": "10"}));
    start(&worker, &client, &name, &config).await;
    let data = json!({"data-collections": ["public.nokey"], "surrogate-key": "k"});
    signal(&client, "k", "execute-snapshot", &data).await;
    let topic = format!("{name}.public.nokey");
    wait_records(&topics, &topic, 100).await;
    let rows: Vec<i64> = topics
        .read(&topic)
        .unwrap()
        .iter()
        .map(|record| payload(&record.json())["after"]["v"].as_i64().unwrap())
        .collect();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_pauses_resumes_and_stops() {
    let (worker, topics, name) = (support::worker("pausing").await, topics(), unique("pausing"));
    let (address, client) = support::database(&name).await;
    tables(&client, 5_000).await;
    let notes = format!("{name}.notes");
    let changes = json!({
        "notification.enabled.channels": "log,sink",
        "notification.sink.topic.name": notes,
        "incremental.snapshot.chunk.size": "1",
    });
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), changes)).await;
    let topic = format!("{name}.public.t");
    signal(&client, "one", "execute-snapshot", &json!({"data-collections": ["public.t"]})).await;
    wait_records(&topics, &topic, 20).await;
    signal(&client, "two", "pause-snapshot", &json!({"type": "incremental"})).await;
    let told = async |kind: &str| {
        let what = format!("a notification {kind}");
        eventually_async(&what, ARRIVAL, async || {
            let records = topics.read(&notes).map_err(|failure| failure.to_string())?;
            let found = records.iter().map(|record| payload(&record.json()).clone()).find(|note| note["type"] == kind);
            found.ok_or_else(|| format!("{} notifications", records.len()))
        })
        .await
        .unwrap()
    };
    assert_eq!(told("PAUSED").await["id"], "one");
    let paused_at = topics.end(&topic).unwrap();
    client.batch_execute("insert into t values (9999, 1)").await.unwrap();
    wait_records(&topics, &topic, paused_at + 1).await;
    signal(&client, "three", "resume-snapshot", &json!({"type": "incremental"})).await;
    told("RESUMED").await;
    wait_records(&topics, &topic, paused_at + 20).await;
    signal(&client, "four", "stop-snapshot", &json!({"data-collections": ["public.t"], "type": "incremental"})).await;
    let aborted = told("ABORTED").await;
    assert_eq!(aborted["additional_data"]["data_collections"], "public.t");
    assert_eq!(told("SKIPPED").await["aggregate_type"], "Initial Snapshot");
    let stopped_at = topics.end(&topic).unwrap();
    assert!(stopped_at < 5_000, "{stopped_at}");
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_through_kafka_is_acted_upon_once() {
    let (mut worker, topics, name) = (support::worker("kafka_signal").await, topics(), unique("kafka_signal"));
    let (address, client) = support::database(&name).await;
    tables(&client, 120).await;
    let signals = format!("{name}.signals");
    topics.create(&signals, 1).await.unwrap();
    let changes = json!({
        "signal.enabled.channels": "source,kafka",
        "signal.kafka.topic": signals,
        "signal.kafka.bootstrap.servers": Servers::shared().kafka.bootstrap,
        "signal.kafka.groupId": name,
    });
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), changes)).await;
    let value = json!({"id": "k", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}).to_string();
    topics.produce_keyed(&signals, &name, &value).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 120).await;
    eventually_async("the signal's place to be stored", ARRIVAL, async || {
        let committed = topics.committed(&name, &signals, 0).map_err(|failure| failure.to_string())?;
        if committed == Some(1) { Ok(()) } else { Err(format!("{committed:?}")) }
    })
    .await
    .unwrap();
    worker.stop().unwrap();
    worker.start_again().await.unwrap();
    worker.api().wait_running("s").await.unwrap();
    client.batch_execute("insert into t values (9999, 1)").await.unwrap();
    wait_records(&topics, &topic, 121).await;
    assert_eq!(operations(&topics, &topic), format!("{}c", "r".repeat(120)));
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_through_kafka_whose_effect_is_not_stored_comes_again() {
    let (mut worker, topics, name) = (support::worker("kafka_again").await, topics(), unique("kafka_again"));
    let (address, client) = support::database(&name).await;
    tables(&client, 60).await;
    let signals = format!("{name}.signals");
    topics.create(&signals, 1).await.unwrap();
    let changes = json!({
        "signal.enabled.channels": "source,kafka",
        "signal.kafka.topic": signals,
        "signal.kafka.bootstrap.servers": Servers::shared().kafka.bootstrap,
        "signal.kafka.groupId": name,
        "offset.flush.interval.ms": "600000",
    });
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), changes)).await;
    let value = json!({"id": "k", "type": "execute-snapshot", "data": {"data-collections": ["public.t"]}}).to_string();
    topics.produce_keyed(&signals, &name, &value).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 60).await;
    worker.kill().unwrap();
    assert_eq!(topics.committed(&name, &signals, 0).unwrap(), None);
    worker.start_again().await.unwrap();
    wait_records(&topics, &topic, 120).await;
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_blocking_snapshot_takes_it_again() {
    let (mut worker, topics, name) = (support::worker("blocking").await, topics(), unique("blocking"));
    let (address, client) = support::database(&name).await;
    tables(&client, 60_000).await;
    start(&worker, &client, &name, &signalled(source(&address, &name, "public.t"), json!({}))).await;
    let data = json!({"data-collections": ["public.t"], "type": "blocking"});
    signal(&client, "b", "execute-snapshot", &data).await;
    let topic = format!("{name}.public.t");
    support::reached(&topics, &topic, 1_000).await;
    worker.kill().unwrap();
    client.batch_execute("update t set version = 5 where id = 60000; delete from t where id = 1").await.unwrap();
    worker.start_again().await.unwrap();
    same_state(&client, &topics, "t", &topic, &["id"]).await;
    worker.api().remove("s").await.unwrap();
}
