//! `snapshot.resume.enabled` under kill -9: what is stored is not read again, and both ends agree while somebody writes.
//!
//! `TIDEGATE_SEED` repeats a run; the seed is printed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use integration_tests::testbed::worker::Kind;
use integration_tests::testbed::{Servers, Topics, Worker, WorkerSetup, eventually_async};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use crate::agreement::same_state;
use crate::crash::random;
use crate::exactly_once;
use crate::support::{self, source, topics, unique, with};

const BIG: i64 = 220_000;
const SMALL: i64 = 12_000;
const KILLS: usize = 4;
/// What is written until a kill: no more than a slow machine catches up with.
const ROUNDS: usize = 1_000;

/// The tables, in the order in which they are read, with their keys.
const TABLES: [(&str, &[&str]); 4] = [("big", &["id"]), ("ids", &["id"]), ("nokey", &["id"]), ("pairs", &["a", "b"])];

async fn fill(client: &Client) {
    let fill = format!(
        "create table big (id bigint primary key, version int not null, note text);
         insert into big select i, 0, repeat('x', 70) from generate_series(1, {BIG}) i;
         create table ids (id uuid primary key, version int not null);
         insert into ids select md5(i::text)::uuid, 0 from generate_series(1, {SMALL}) i;
         create table nokey (id bigint not null, version int not null);
         insert into nokey select i, 0 from generate_series(1, 500) i;
         alter table nokey replica identity full;
         create table pairs (a int, b text, version int not null, primary key (a, b));
         insert into pairs select i % 7, E'it''s \"' || i || E'\" \\\\ \\t Ä;--', 0 from generate_series(1, {SMALL}) i"
    );
    client.batch_execute(&fill).await.unwrap();
}

/// Changes of all kinds, those of keys too, until it is told to stop.
async fn write(client: Client, mut random: StdRng, rounds: Arc<Semaphore>) {
    let mut round = 0_i64;
    while let Ok(permit) = rounds.acquire().await {
        permit.forget();
        round += 1;
        let new = 10_000_000 + round;
        let id = random.random_range(1..BIG);
        let small = random.random_range(1..SMALL);
        let statement = match round % 6 {
            0 => format!("insert into big values ({new}, 1, 'new'); insert into big values (-{new}, 1, 'new')"),
            1 => format!("update big set version = version + 1 where id between {id} and {id} + 3"),
            2 => format!("delete from big where id = {id}"),
            // From one end of the keys to the other, both ways.
            3 => format!("update big set id = {round}000000000 + id, version = version + 1 where id = {id}"),
            4 => format!("update big set id = -{round}000000000 - id where id = {}", BIG - id),
            _ => format!(
                "update ids set id = md5('n{round}')::uuid where id = md5('{small}')::uuid;
                 delete from pairs where b like '%\"{small}\"%';
                 update pairs set b = b || '''', version = version + 1 where b like '%\"1{round}\"%';
                 update nokey set version = version + 1 where id = {}",
                round % 500
            ),
        };
        client.batch_execute(&statement).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// What the worker had stored of the snapshot: the rows by table, and which keys of `big` were done.
struct Stored {
    rows: BTreeMap<String, u64>,
    done: Vec<String>,
    /// Keys of `big` that are left: after, and not after.
    left: Option<Vec<(Option<i64>, Option<i64>)>>,
}

impl Stored {
    /// Reads the newest offset in the worker's own topic.
    fn read(topics: &Topics, worker: &Worker) -> Option<Self> {
        let topic = &worker.setup().properties["offset.storage.topic"];
        let last = topics.read(topic).unwrap().pop()?.json();
        let state: Value = serde_json::from_str(last["tidegate_snapshot"].as_str()?).unwrap();
        let mut stored = Self { rows: BTreeMap::new(), done: Vec::new(), left: None };
        for table in state["tables"].as_array().unwrap() {
            let name = table["table"].as_str().unwrap().trim_start_matches("public.").to_owned();
            stored.rows.insert(name.clone(), table["rows"].as_u64().unwrap());
            let bound = |bound: &Value| bound.get(0).map(|id| id.as_str().unwrap().parse().unwrap());
            match table["left"].as_array() {
                None => stored.done.push(name),
                Some(left) if name == "big" => {
                    stored.left = Some(left.iter().map(|range| (bound(&range[0]), bound(&range[1]))).collect());
                }
                Some(_) => {}
            }
        }
        Some(stored)
    }

    /// Whether a row is in what was done.
    fn covers(&self, table: &str, row: &Value) -> bool {
        if self.done.iter().any(|done| done == table) {
            return true;
        }
        let (Some(left), "big") = (&self.left, table) else { return false };
        let id = row["id"].as_i64().unwrap();
        !left.iter().any(|(after, until)| after.is_none_or(|after| id > after) && until.is_none_or(|until| id <= until))
    }
}

fn topic(name: &str, table: &str) -> String {
    format!("{name}.public.{table}")
}

async fn kills(threads: &str) {
    let mut random = random("resume");
    let (topics, name) = (topics(), unique("resume"));
    let setup = WorkerSetup::new(&name, &Servers::shared().kafka.bootstrap).unwrap();
    let mut worker = Worker::start(setup.with("offset.flush.interval.ms", "50")).await.unwrap();
    let (address, client) = support::database(&name).await;
    fill(&client).await;
    let changes = json!({
        "snapshot.resume.enabled": "true", "snapshot.max.threads": threads, "value.converter.schemas.enable": "false",
        "max.batch.size": "500",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    });
    let rounds = Arc::new(Semaphore::new(0));
    let seeded = StdRng::seed_from_u64(random.random());
    let writer = tokio::spawn(write(address.connect().await.unwrap(), seeded, Arc::clone(&rounds)));
    worker.api().create("s", &with(source(&address, &name, "public.*"), &changes)).await.unwrap();
    // What was stored at each kill, and where the topics ended.
    let mut kills: Vec<(Stored, HashMap<&str, i64>)> = Vec::new();
    for kill in 1..=KILLS {
        rounds.add_permits(ROUNDS);
        if kill < KILLS {
            // Far enough for something to be stored. The writer alone does not get there when the snapshot is over.
            let before = topics.end(&topic(&name, "big")).unwrap_or(0);
            let wanted = (before + random.random_range(BIG / 8..BIG / 5)).min(BIG / 10 * 9);
            support::reached(&topics, &topic(&name, "big"), wanted).await;
        } else {
            support::reached(&topics, &topic(&name, "pairs"), 1).await;
        }
        worker.kill().unwrap();
        let stored = Stored::read(&topics, &worker);
        println!("killed with {:?}", stored.as_ref().map(|stored| (&stored.rows, &stored.done, &stored.left)));
        let end = |(table, _): (&'static str, _)| (table, topics.end(&topic(&name, table)).unwrap_or(0));
        let ends = TABLES.into_iter().map(end).collect();
        kills.extend(stored.map(|stored| (stored, ends)));
        worker.start_again().await.unwrap();
    }
    let goes_on = kills.iter().any(|(stored, _)| stored.left.is_some() && stored.rows["big"] > 1_000);
    assert!(goes_on, "no kill hit the large table");
    rounds.close();
    writer.await.unwrap();
    for (table, key) in TABLES {
        same_state(&client, &topics, table, &topic(&name, table), key).await;
    }
    for (table, _) in TABLES {
        let mut reads = 0;
        for record in topics.read(&topic(&name, table)).unwrap() {
            let event = record.json();
            if event["op"] != "r" {
                continue;
            }
            reads += 1;
            for (at, (stored, ends)) in kills.iter().enumerate() {
                let again = record.offset >= ends[table] && stored.covers(table, &event["after"]);
                assert!(!again, "read again after kill {at}, although it was stored: {event}");
            }
        }
        println!("{table}: {reads} rows were read");
    }
    worker.api().remove("s").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_a_snapshot_read_nothing_again_that_was_stored_and_lose_nothing() {
    kills("1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_a_snapshot_in_parts_read_nothing_again_that_was_stored_and_lose_nothing() {
    kills("3").await;
}

/// Records and the position behind them are one transaction then.
#[tokio::test(flavor = "multi_thread")]
async fn with_exactly_once_delivery_no_row_comes_twice() {
    const ROWS: i64 = 60_000;
    let (topics, name) = (topics(), unique("eos_resume"));
    let mut worker = Worker::start(exactly_once::setup("eos_resume")).await.unwrap();
    let (address, client) = support::database(&name).await;
    let fill = format!("create table t (id bigint primary key); insert into t select generate_series(0, {ROWS} - 1)");
    client.batch_execute(&fill).await.unwrap();
    let changes = json!({
        "snapshot.resume.enabled": "true", "exactly.once.support": "required", "max.batch.size": "500",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
    });
    worker.api().create(&name, &with(source(&address, &name, "public.t"), &changes)).await.unwrap();
    let mut goes_on = false;
    for _ in 0..3 {
        let before = topics.end(&topic(&name, "t")).unwrap_or(0);
        support::reached(&topics, &topic(&name, "t"), before + 4_000).await;
        worker.kill().unwrap();
        goes_on |=
            Stored::read(&topics, &worker).is_some_and(|stored| !stored.rows.is_empty() && stored.done.is_empty());
        worker.start_again().await.unwrap();
    }
    assert!(goes_on, "no kill hit the snapshot");
    exactly_once::each_once(&topics, &topic(&name, "t"), ROWS, |event| event["after"]["id"].as_i64().unwrap()).await;
    worker.api().remove(&name).await.unwrap();
}

/// It does not know the field that says how far it was. A lock keeps the snapshot before its second table until the worker is
/// killed, however fast or slow the machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_jvm_takes_the_snapshot_anew_and_this_one_follows_it() {
    const ROWS: i64 = 20_000;
    let (topics, name) = (topics(), unique("resume_jvm"));
    let setup = WorkerSetup::new(&name, &Servers::shared().kafka.bootstrap).unwrap().for_either().unwrap();
    let setup = setup.with("offset.flush.interval.ms", "100");
    let mut worker = Worker::start(setup).await.unwrap();
    let (address, client) = support::database(&name).await;
    let fill = format!(
        "create table a (id bigint primary key); insert into a select generate_series(1, {ROWS});
         create table b (id bigint primary key); insert into b select generate_series(1, 10)"
    );
    client.batch_execute(&fill).await.unwrap();
    let changes = json!({
        "snapshot.resume.enabled": "true", "max.batch.size": "500", "max.queue.size": "1000",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "snapshot.select.statement.overrides": "public.b",
        // A lock of its own: one of the table belongs to a transaction, for whose end the slot would wait.
        "snapshot.select.statement.overrides.public.b": "select b.* from b, pg_advisory_lock_shared(1)",
    });
    client.batch_execute("select pg_advisory_lock(1)").await.unwrap();
    worker.api().create(&name, &with(source(&address, &name, "public.*"), &changes)).await.unwrap();
    let (first, second) = (topic(&name, "a"), topic(&name, "b"));
    eventually_async("a stored position within the snapshot", support::ARRIVAL, async || {
        let rows = Stored::read(&topics, &worker).and_then(|stored| stored.rows.get("a").copied());
        if rows.is_some_and(|rows| rows > 0) { Ok(()) } else { Err(format!("{rows:?} rows")) }
    })
    .await
    .unwrap();
    worker.kill().unwrap();
    client.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
    let stored = Stored::read(&topics, &worker).expect("a stored position");
    assert!(!stored.done.iter().any(|table| table == "b"), "the snapshot is over");
    let (end, end_of_second) = (topics.end(&first).unwrap(), topics.end(&second).unwrap_or(0));
    worker.start_as(Kind::Jvm).await.unwrap();
    client.batch_execute("insert into a values (0)").await.unwrap();
    support::wait_records(&topics, &first, end + ROWS + 1).await;
    support::wait_records(&topics, &second, end_of_second + 10).await;
    let reads = |from: i64| {
        let records = topics.read(&first).unwrap().into_iter().filter(move |record| record.offset >= from);
        records.filter(|record| record.json()["op"] == "r").count()
    };
    assert!(reads(end) >= usize::try_from(ROWS).unwrap(), "not a whole snapshot");
    worker.stop().unwrap();
    let end = topics.end(&first).unwrap();
    worker.start_as(Kind::Tidegate).await.unwrap();
    client.batch_execute("insert into a values (-1)").await.unwrap();
    same_state(&client, &topics, "a", &first, &["id"]).await;
    assert_eq!(reads(end), 0, "another snapshot");
    worker.api().remove(&name).await.unwrap();
}
