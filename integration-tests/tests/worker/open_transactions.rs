//! Large transactions: those that the server sends while they run, and events that share a place in the log.
//!
//! What the stream brings has to be the same whether transactions in progress are asked for or not.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::testbed::topics::Stored;
use integration_tests::testbed::worker::Kind;
use integration_tests::testbed::{
    PostgresAddress, Servers, Topics, Worker, WorkerSetup, eventually_async, eventually_moving,
};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{self, ARRIVAL, payload, source, topics, unique, wait_records, with};

/// Rows of the copy, of which one record of the log holds up to 226.
const COPIED: i64 = 300_000;
const KILLS: i64 = 4;
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// A database whose transactions are sent early.
async fn database(name: &str) -> (PostgresAddress, Client) {
    let (address, client) = support::database(name).await;
    client.batch_execute(&format!("alter database \"{name}\" set logical_decoding_work_mem = '64kB'")).await.unwrap();
    (address, client)
}

/// A source without a snapshot that asks for transactions in progress, and keeps little of them in memory.
fn in_progress(config: Value) -> Value {
    let asked = json!({"stream.in.progress.enabled": "true", "stream.memory.max.bytes": "65536"});
    with(config, &asked)
}

/// Starts a source, and waits until its stream is read: what is written before that is not in it.
async fn start(worker: &Worker, client: &Client, name: &str, config: &Value) {
    let config = with(config.clone(), &json!({"snapshot.mode": "no_data"}));
    worker.api().create(name, &config).await.unwrap();
    reads(client, name).await;
}

/// Waits until somebody reads the slot; gives its process in the server.
async fn reads(client: &Client, slot: &str) -> i32 {
    eventually_async("the stream", ARRIVAL, async || {
        // While the slot is being made it is active as well, but has no place yet.
        let active =
            "select active_pid from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null";
        let row = client.query_opt(active, &[&slot]).await.map_err(|error| error.to_string())?;
        row.and_then(|row| row.get(0)).ok_or_else(|| "nobody reads the slot".to_owned())
    })
    .await
    .unwrap()
}

fn id_of(record: &Stored) -> Option<i64> {
    let event = record.json();
    payload(&event)["after"]["id"].as_i64()
}

/// The offset that was stored last for a connector.
fn stored_offset(topics: &Topics, worker: &Worker, connector: &str) -> Value {
    let records = topics.read(&worker.setup().properties["offset.storage.topic"]).unwrap();
    let key = format!("[\"{connector}\",");
    let of_it = |record: &&Stored| record.key.as_deref().is_some_and(|found| found.starts_with(key.as_bytes()));
    records.iter().rfind(of_it).map(Stored::json).unwrap_or_default()
}

/// Which of the copied rows a stored offset says are delivered. They stand in the log in the order of their ids.
fn stored_rows(offset: &Value, places: &BTreeMap<i64, i64>) -> BTreeSet<i64> {
    let up_to = |lsn: i64, inclusive: bool| {
        let within = move |place: i64| place < lsn || inclusive && place == lsn;
        places.iter().filter(move |(_, place)| within(**place)).map(|(id, _)| *id)
    };
    if let Some(within) = offset["tidegate_within"].as_str() {
        let part = |name: &str| within.split(' ').find_map(|part| part.strip_prefix(name)).unwrap();
        let (high, low) = part("lsn=").split_once('/').unwrap();
        let lsn = i64::from_str_radix(high, 16).unwrap() << 32 | i64::from_str_radix(low, 16).unwrap();
        let events = part("events=").parse().unwrap();
        let there = places.iter().filter(|(_, place)| **place == lsn).map(|(id, _)| *id).take(events);
        return up_to(lsn, false).chain(there).collect();
    }
    match offset["messageType"].as_str() {
        Some("INSERT") => up_to(offset["lsn_proc"].as_i64().unwrap(), true).collect(),
        // The one before the copy, or its own end.
        _ => up_to(offset["lsn_commit"].as_i64().unwrap(), false).collect(),
    }
}

async fn copy_survives_kills(name: &str, change: fn(Value) -> Value) {
    let (name, topics) = (unique(name), topics());
    let setup = WorkerSetup::new(&unique("crash_copy"), &Servers::shared().kafka.bootstrap).unwrap();
    let mut worker = Worker::start(setup.with("offset.flush.interval.ms", "100")).await.unwrap();
    let (address, client) = database(&name).await;
    client.batch_execute("create table t (id bigint primary key)").await.unwrap();
    let config = with(
        change(source(&address, &name, "public.t")),
        &json!({"max.batch.size": "500", "value.converter": JSON, "value.converter.schemas.enable": "false"}),
    );
    start(&worker, &client, &name, &config).await;
    let topic = format!("{name}.public.t");
    client.batch_execute("insert into t values (0)").await.unwrap();
    wait_records(&topics, &topic, 1).await;
    client.batch_execute(&format!("copy t from program 'seq 1 {COPIED}'")).await.unwrap();

    // How far the topic was at each kill, and what was stored then.
    let (mut kills, mut wanted) = (Vec::new(), COPIED / 10);
    for kill in 1..=KILLS {
        let (end, offset) = kill_after(&mut worker, &topics, &topic, wanted, &name).await;
        println!("kill {kill} at {end} records, stored {offset}");
        kills.push((end, offset));
        // By steps from where it is, so that there is something left for the next one.
        wanted = end + COPIED / 10;
        worker.start_again().await.unwrap();
    }
    client.batch_execute("insert into t values (1000000)").await.unwrap();
    ends_with(&topics, &topic, 1_000_000).await;

    let records = topics.read(&topic).unwrap();
    let rows: Vec<(i64, i64)> = records.iter().map(|record| (record.offset, id_of(record).unwrap())).collect();
    let seen: BTreeSet<i64> = rows.iter().map(|(_, id)| *id).collect();
    assert_eq!(seen.len() as i64, COPIED + 2, "every row is there");
    let place = |record: &Stored| payload(&record.json())["source"]["lsn"].as_i64().unwrap();
    let copied = records.iter().filter(|record| (1..=COPIED).contains(&id_of(record).unwrap()));
    let places: BTreeMap<i64, i64> = copied.map(|record| (id_of(record).unwrap(), place(record))).collect();
    assert!(places.values().collect::<BTreeSet<_>>().len() < places.len() / 100, "many rows share a place");
    let mut middle = 0;
    for (end, offset) in &kills {
        let stored = stored_rows(offset, &places);
        middle += usize::from(!stored.is_empty() && stored.len() < places.len());
        let again: Vec<_> = rows.iter().filter(|(at, id)| at >= end && stored.contains(id)).take(5).collect();
        assert!(again.is_empty(), "{again:?} were stored at {end}: {offset}");
    }
    assert!(middle > 0, "no kill came within the copy");
    println!("{} duplicates of {} rows after {} kills", rows.len() - seen.len(), seen.len(), kills.len());
    worker.api().remove(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_middle_of_a_copy_repeat_only_what_was_not_stored() {
    copy_survives_kills("copied", |config| config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_a_transaction_in_progress_is_delivered_repeat_only_what_was_not_stored() {
    copy_survives_kills("copied_in_progress", in_progress).await;
}

/// Waits until the last record of a topic is this row, for as long as there come more.
async fn ends_with(topics: &Topics, topic: &str, id: i64) {
    eventually_moving("the last row", ARRIVAL, async || {
        let last = topics.read_tail(topic, 1).map_err(|failure| failure.to_string())?;
        let found = last.first().map(|last| (last.offset, id_of(last)));
        if found.is_some_and(|(_, last)| last == Some(id)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();
}

/// Waits for records, then kills the worker; gives what was stored.
async fn kill_after(worker: &mut Worker, topics: &Topics, topic: &str, count: i64, name: &str) -> (i64, Value) {
    support::reached(topics, topic, count).await;
    worker.kill().unwrap();
    (topics.end(topic).unwrap(), stored_offset(topics, worker, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_goes_on_from_a_position_between_rows_of_one_place_and_back() {
    let (name, topics) = (unique("copy_jvm"), topics());
    let setup = WorkerSetup::new(&unique("copy_jvm"), &Servers::shared().kafka.bootstrap).unwrap();
    let setup = setup.with("offset.flush.interval.ms", "100").for_either().unwrap();
    let mut worker = Worker::start(setup).await.unwrap();
    let (address, client) = database(&name).await;
    client.batch_execute("create table t (id bigint primary key)").await.unwrap();
    let config = with(
        source(&address, &name, "public.t"),
        &json!({
            "max.batch.size": "500", "provide.transaction.metadata": "true", "value.converter": JSON, "value.converter.schemas.enable": "false",
        }),
    );
    start(&worker, &client, &name, &config).await;
    let topic = format!("{name}.public.t");
    client.batch_execute("insert into t values (0)").await.unwrap();
    wait_records(&topics, &topic, 1).await;
    client.batch_execute(&format!("copy t from program 'seq 1 {COPIED}'")).await.unwrap();
    let (end, offset) = kill_after(&mut worker, &topics, &topic, COPIED / 8, &name).await;
    println!("killed at {end} records, stored {offset}");
    assert!(offset["tidegate_within"].is_string(), "{offset}");

    worker.start_as(Kind::Jvm).await.unwrap();
    client.batch_execute("insert into t values (1000000)").await.unwrap();
    ends_with(&topics, &topic, 1_000_000).await;
    let rows: Vec<i64> = topics.read(&topic).unwrap().iter().filter_map(id_of).collect();
    let seen: BTreeSet<i64> = rows.iter().copied().collect();
    assert_eq!(seen.len() as i64, COPIED + 2, "every row is there");
    println!("{} duplicates of {} rows", rows.len() - seen.len(), seen.len());
    eventually_async("a position of the reference", ARRIVAL, async || {
        let offset = stored_offset(&topics, &worker, &name);
        let own = offset.as_object().is_some_and(|fields| fields.keys().any(|key| key.starts_with("tidegate")));
        if offset["lsn"].is_i64() && !own { Ok(()) } else { Err(offset.to_string()) }
    })
    .await
    .unwrap();

    let before = topics.end(&topic).unwrap();
    worker.start_as(Kind::Tidegate).await.unwrap();
    client.batch_execute("insert into t values (1000001)").await.unwrap();
    ends_with(&topics, &topic, 1_000_001).await;
    let after = topics.read_tail(&topic, topics.end(&topic).unwrap() - before).unwrap();
    assert!(after.iter().filter_map(id_of).all(|id| id >= 1_000_000), "nothing of the copy comes again");
    worker.api().remove(&name).await.unwrap();
}

/// Two sources of the same database, one of which asks for transactions in progress.
struct Pair {
    worker: Worker,
    topics: Topics,
    client: Client,
    address: PostgresAddress,
    names: [String; 2],
}

impl Pair {
    async fn start(name: &str, tables: &str, create: &str, changes: Value) -> Self {
        let (worker, topics, name) = (support::worker(name).await, topics(), unique(name));
        let (address, client) = database(&name).await;
        client.batch_execute(create).await.unwrap();
        // Of the same length, so that nothing differs but the names.
        let names = [format!("{name}_plain"), format!("{name}_early")];
        for (at, name) in names.iter().enumerate() {
            let config = with(source(&address, name, tables), &changes);
            start(&worker, &client, name, &if at == 0 { config } else { in_progress(config) }).await;
        }
        Self { worker, topics, client, address, names }
    }

    /// The records of a topic of both, without what always differs.
    fn records(&self, topic: &str) -> [Vec<Value>; 2] {
        [0, 1].map(|at| {
            let records = self.topics.read(&format!("{}.{topic}", self.names[at])).unwrap();
            records.iter().map(|record| comparable(record, &self.names[at])).collect()
        })
    }

    async fn wait(&self, topic: &str, count: i64) {
        for name in &self.names {
            wait_records(&self.topics, &format!("{name}.{topic}"), count).await;
        }
    }

    fn same(&self, topic: &str) -> Vec<Value> {
        let [plain, early] = self.records(topic);
        for (at, (plain, early)) in plain.iter().zip(&early).enumerate() {
            assert_eq!(plain, early, "record {at} of {topic}");
        }
        assert_eq!(plain.len(), early.len(), "{topic}");
        plain
    }

    async fn remove(self) {
        for name in &self.names {
            self.worker.api().remove(name).await.unwrap();
        }
    }
}

fn comparable(record: &Stored, name: &str) -> Value {
    let text =
        |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).replace(name, "source"));
    let mut value: Value = text(&record.value).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    let event = if value.get("payload").is_some() { &mut value["payload"] } else { &mut value };
    // The time of reading. In bounds of transactions it is that of the commit.
    if event.get("source").is_some() {
        for key in ["ts_ms", "ts_us", "ts_ns"] {
            event.as_object_mut().unwrap().remove(key);
        }
    }
    let headers: Vec<_> = record.headers.iter().map(|(name_of, value)| json!([name_of, text(value)])).collect();
    json!({"key": text(&record.key), "value": value, "headers": headers})
}

/// The offsets of both, once all is stored.
async fn same_offsets(pair: &Pair) {
    eventually_async("the same offsets", ARRIVAL, async || {
        let mut offsets = Vec::new();
        for name in &pair.names {
            let answer = pair.worker.api().get(&format!("/connectors/{name}/offsets")).await;
            offsets.push(answer.map_err(|failure| failure.to_string())?.body["offsets"][0]["offset"].clone());
        }
        if offsets[0] == offsets[1] && offsets[0].is_object() { Ok(()) } else { Err(format!("{offsets:?}")) }
    })
    .await
    .unwrap();
}

/// Inserts that fill more than a block.
fn many(table: &str, from: i64, count: i64) -> String {
    let until = from + count - 1;
    format!("insert into {table} select i, repeat(md5(i::text), 4) from generate_series({from}, {until}) i;")
}

#[tokio::test(flavor = "multi_thread")]
async fn records_order_and_positions_are_the_same_as_when_they_are_sent_at_their_commit() {
    let create = "create table a (id bigint primary key, note text); alter table a replica identity full;
                  create table b (id bigint primary key, note text); create table c (id bigint primary key, note text)";
    let settings =
        json!({"provide.transaction.metadata": "true", "skipped.operations": "none", "tombstones.on.delete": "true"});
    let pair = Pair::start("same", "public.a,public.b", create, settings).await;
    let (one, two) = (&pair.client, pair.address.connect().await.unwrap());
    one.batch_execute("insert into a values (-1, 'small')").await.unwrap();
    // Two at a time; the one that began first ends last.
    one.batch_execute(&format!("begin; {}", many("a", 1, 2_000))).await.unwrap();
    two.batch_execute(&format!("begin; {}", many("b", 1, 2_000))).await.unwrap();
    one.batch_execute("update a set note = 'short' where id <= 300; update a set id = id + 1000000 where id <= 50")
        .await
        .unwrap();
    // What is rolled back to a savepoint was sent before, or was not; one within another, too.
    two.batch_execute(&format!(
        "savepoint s; {} savepoint inner_one; {} release inner_one; rollback to s; {} savepoint kept; {} release kept;
         insert into b values (-7, 'between'); savepoint small; insert into b values (-8, 'gone'); rollback to small;",
        many("b", 100_000, 2_000),
        many("a", 200_000, 2_000),
        many("b", 300_000, 1_500),
        many("b", 400_000, 1_500),
    ))
    .await
    .unwrap();
    one.batch_execute(
        "delete from a where id between 100 and 400; select pg_logical_emit_message(true, 'p', 'within')",
    )
    .await
    .unwrap();
    one.batch_execute("insert into a values (-2, 'of nobody else')").await.unwrap();
    two.batch_execute("commit").await.unwrap();
    // The whole is rolled back after much of it was sent.
    two.batch_execute(&format!("begin; {} rollback", many("b", 500_000, 4_000))).await.unwrap();
    // Nothing of it is captured, and of the next one nothing is left.
    two.batch_execute(&format!("begin; {} commit", many("c", 1, 4_000))).await.unwrap();
    two.batch_execute(&format!("begin; savepoint s; {} rollback to s; commit", many("b", 600_000, 4_000)))
        .await
        .unwrap();
    one.batch_execute("commit").await.unwrap();
    // Several tables at once, columns that change on the way, and rows that share a place.
    one.batch_execute(&format!(
        "begin; {} alter table b add column more int default 5; insert into b select i, 'x', i from generate_series(700000, 702000) i;
         truncate a, b; copy a (id) from program 'seq 800000 803000'; commit",
        many("b", 710_000, 2_000)
    ))
    .await
    .unwrap();
    one.batch_execute("select pg_logical_emit_message(false, 'p', 'outside'); insert into a values (-3, 'the end'); insert into b values (-3, 'the end')")
        .await
        .unwrap();
    let ends = |topic: &str| {
        let last = pair
            .records(topic)
            .map(|records| records.last().map(|last| last["value"]["payload"]["after"]["id"].clone()));
        last == [Some(json!(-3)), Some(json!(-3))]
    };
    for topic in ["public.a", "public.b"] {
        eventually_async("the last row", ARRIVAL, async || if ends(topic) { Ok(()) } else { Err(topic.to_owned()) })
            .await
            .unwrap();
    }
    let a = pair.same("public.a");
    let b = pair.same("public.b");
    // 301 updates and 51 keys that change, the first row's among them; 301 deletes; a truncation. Tombstones are records.
    assert_eq!(a.len(), 1 + 2_000 + 301 + 3 * 51 + 2 * 301 + 1 + 1 + 3_001 + 1);
    assert_eq!(b.len(), 2_000 + 1_500 + 1_500 + 1 + 2_000 + 2_001 + 1 + 1);
    // Begin and end of each transaction that has records.
    pair.wait("transaction", 2 * 5).await;
    let bounds = pair.same("transaction");
    assert!(bounds.iter().any(|bound| bound["value"]["payload"]["event_count"].as_i64() > Some(5_000)), "{bounds:?}");
    pair.wait("message", 2).await;
    pair.same("message");
    same_offsets(&pair).await;
    assert!(spilled(&pair.worker, &pair.names[1]).await > 1_000_000.0);
    pair.remove().await;
}

/// The sample of a connector's metric.
async fn metric(worker: &Worker, name: &str, connector: &str) -> Option<f64> {
    let answer = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = answer.get(format!("{}/metrics", worker.api().base())).header("accept", "text/plain;version=0.0.4");
    let text = answer.send().await.unwrap().text().await.unwrap();
    let of_it = |line: &&str| line.starts_with(&format!("debezium_metrics_{name}{{")) && line.contains(connector);
    text.lines().find(of_it).and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

async fn spilled(worker: &Worker, connector: &str) -> f64 {
    metric(worker, "OpenTransactionsSpilledBytes", connector).await.unwrap_or_default()
}

/// Files that the worker has open in a directory, without a name.
fn unnamed_files(worker: &Worker, directory: &std::path::Path) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", worker.process().id())).unwrap();
    let target = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    let within = |path: &std::path::PathBuf| {
        let path = path.to_string_lossy().into_owned();
        path.starts_with(&*directory.to_string_lossy()) && path.ends_with("(deleted)")
    };
    files.filter_map(target).filter(within).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_waits_on_disk_and_is_gone_when_it_is_rolled_back_or_the_worker_dies() {
    let (mut worker, topics, name) = (support::worker("waits").await, topics(), unique("waits"));
    let (address, client) = database(&name).await;
    client.batch_execute("create table t (id bigint primary key, note text)").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let place = json!({"stream.spill.directory": directory.path().to_str().unwrap()});
    let config = with(in_progress(source(&address, &name, "public.t")), &place);
    start(&worker, &client, &name, &config).await;
    let (topic, messages) = (format!("{name}.public.t"), format!("{name}.message"));
    let open = address.connect().await.unwrap();
    open.batch_execute(&format!("begin; {}", many("t", 1, 5_000))).await.unwrap();
    eventually_async("the open transaction on disk", ARRIVAL, async || {
        let disk = metric(&worker, "OpenTransactionsDiskBytes", &name).await;
        if disk > Some(100_000.0) { Ok(()) } else { Err(format!("{disk:?}")) }
    })
    .await
    .unwrap();
    assert_eq!(metric(&worker, "OpenTransactions", &name).await, Some(1.0));
    assert_eq!(unnamed_files(&worker, directory.path()), 1);
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "no name is left behind, whatever happens");
    // A message that belongs to no transaction does not wait, and neither does what others commit.
    client.batch_execute("select pg_logical_emit_message(false, 'p', 'at once')").await.unwrap();
    client.batch_execute("insert into t values (-1, 'of others')").await.unwrap();
    wait_records(&topics, &messages, 1).await;
    assert_eq!(wait_records(&topics, &topic, 1).await, 1, "nothing of the open transaction");
    // It goes on after the worker died, and is sent again from its begin.
    worker.kill().unwrap();
    worker.start_again().await.unwrap();
    reads(&client, &name).await;
    open.batch_execute(&many("t", 10_001, 1_000)).await.unwrap();
    eventually_async("the open transaction on disk again", ARRIVAL, async || {
        let disk = metric(&worker, "OpenTransactionsDiskBytes", &name).await;
        if disk > Some(100_000.0) { Ok(()) } else { Err(format!("{disk:?}")) }
    })
    .await
    .unwrap();
    open.batch_execute("rollback").await.unwrap();
    client.batch_execute("insert into t values (-2, 'after it')").await.unwrap();
    // The first row may have come again, when its position was not stored yet.
    let ids = || topics.read(&topic).unwrap().iter().filter_map(id_of).collect::<BTreeSet<_>>();
    eventually_async(
        "the row after it",
        ARRIVAL,
        async || if ids().contains(&-2) { Ok(()) } else { Err("none".to_owned()) },
    )
    .await
    .unwrap();
    assert_eq!(ids(), [-1, -2].into(), "nothing of what was rolled back");
    eventually_async("nothing to be left", ARRIVAL, async || {
        let left = (
            metric(&worker, "OpenTransactions", &name).await,
            metric(&worker, "OpenTransactionsDiskBytes", &name).await,
            unnamed_files(&worker, directory.path()),
        );
        if left == (Some(0.0), Some(0.0), 0) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
    worker.api().remove(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_quota_fails_the_task_which_goes_on_when_it_is_raised() {
    let (worker, topics, name) = (support::worker("quota").await, topics(), unique("quota"));
    let (address, client) = database(&name).await;
    client.batch_execute("create table t (id bigint primary key, note text)").await.unwrap();
    let config = with(
        in_progress(source(&address, &name, "public.t")),
        &json!({"stream.spill.max.bytes": "200000", "snapshot.mode": "no_data"}),
    );
    start(&worker, &client, &name, &config).await;
    client.batch_execute(&format!("begin; {} commit", many("t", 1, 5_000))).await.unwrap();
    let status = worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("stream.spill.max.bytes allows 200000"), "{trace}");
    let raised = with(config, &json!({"stream.spill.max.bytes": "-1"}));
    worker.api().put(&format!("/connectors/{name}/config"), Some(&raised)).await.unwrap();
    wait_records(&topics, &format!("{name}.public.t"), 5_000).await;
    worker.api().remove(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_an_open_transaction_acts_when_it_is_committed() {
    let (worker, topics, name) = (support::worker("signal_open").await, topics(), unique("signal_open"));
    let (address, client) = database(&name).await;
    client
        .batch_execute(
            "create table sig (id varchar(64) primary key, type varchar(32) not null, data varchar(2048));
             create table t (id bigint primary key, note text); insert into t select i, 'before' from generate_series(1, 500) i",
        )
        .await
        .unwrap();
    let signalled = json!({"signal.data.collection": "public.sig", "incremental.snapshot.chunk.size": "100"});
    let config = with(in_progress(source(&address, &name, "public.t")), &signalled);
    start(&worker, &client, &name, &config).await;
    let topic = format!("{name}.public.t");
    let open = address.connect().await.unwrap();
    let ask = |id: &str| {
        format!("insert into sig values ('{id}', 'execute-snapshot', '{{\"data-collections\": [\"public.t\"]}}');")
    };
    open.batch_execute(&format!(
        "begin; savepoint s; {} {} rollback to s; {} {}",
        ask("gone"),
        many("t", 20_000, 3_000),
        ask("one"),
        many("t", 10_001, 3_000)
    ))
    .await
    .unwrap();
    client.batch_execute("insert into t values (-1, 'of others')").await.unwrap();
    assert_eq!(wait_records(&topics, &topic, 1).await, 1, "nothing was read yet");
    open.batch_execute("commit").await.unwrap();
    // Its own rows, those that were there, and those that it has inserted itself, which are there now.
    eventually_async("the last row of the snapshot", ARRIVAL, async || {
        let records = topics.read(&topic).map_err(|failure| failure.to_string())?;
        let read: BTreeSet<_> =
            records.iter().filter(|record| payload(&record.json())["op"] == "r").filter_map(id_of).collect();
        let known: BTreeSet<_> = records.iter().filter_map(id_of).collect();
        let whole = (1..=500).all(|id| read.contains(&id)) && known.len() == 500 + 1 + 3_000;
        if whole { Ok(()) } else { Err(format!("{} read, {} known", read.len(), known.len())) }
    })
    .await
    .unwrap();
    worker.api().remove(&name).await.unwrap();
}
