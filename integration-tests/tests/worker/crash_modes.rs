//! kill -9 under every `snapshot.mode`, in snapshots and in streams, while somebody writes: no row is lost.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::testbed::{Topics, eventually_async, eventually_moving};
use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use crate::agreement::{Rows, differences, last_state, rows};
use crate::crash::random;
use crate::support::{self, ARRIVAL, source, topics, unique, with};

const ROWS: i64 = 20_000;
/// The writer's own rows begin here.
const NEW: i64 = 1_000_000;
const KILLS: usize = 5;
/// What is written until a kill: enough for what it waits for, and no more than a slow machine catches up with.
const ROUNDS: usize = 1_000;

/// What a mode owes after all.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owed {
    /// The table, and nothing else.
    Table,
    /// The table. A snapshot that was taken anew leaves deleted rows of the one before.
    AllRows,
    /// What was there before and has not changed.
    Untouched,
    /// What was written since.
    Written,
}

const MODES: [(&str, Owed); 6] = [
    ("initial", Owed::Table),
    ("initial_only", Owed::Untouched),
    ("always", Owed::AllRows),
    ("when_needed", Owed::Table),
    ("no_data", Owed::Written),
    ("configuration_based", Owed::AllRows),
];

impl Owed {
    fn of(self, rows: &Rows) -> Rows {
        let owed = |row: &Value| {
            let id = row["id"].as_i64().unwrap();
            match self {
                Self::Table | Self::AllRows => true,
                // The writer leaves even ones alone.
                Self::Untouched => (1..=ROWS).contains(&id) && id % 2 == 0,
                Self::Written => id >= NEW,
            }
        };
        rows.iter().filter(|(_, row)| owed(row)).map(|(key, row)| (key.clone(), row.clone())).collect()
    }
}

async fn write(client: Client, rounds: Arc<Semaphore>) {
    let mut round = 0;
    while let Ok(permit) = rounds.acquire().await {
        permit.forget();
        round += 1;
        let (new, odd) = (NEW + round * 3, (round * 14) % ROWS + 1);
        let statement = format!(
            "begin; insert into t values ({new}, 0), ({new} + 1, 0), ({new} + 2, 0);
             update t set version = version + 1 where id in ({odd}, {new}); delete from t where id in ({odd} + 6, {new} + 1);
             update t set id = -{new} where id = {odd} + 2; commit"
        );
        client.batch_execute(&statement).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn topic(name: &str, mode: &str) -> String {
    format!("{name}_{mode}.public.t")
}

async fn arrived(topics: &Topics, topic: &str, owed: Owed, table: &Rows) {
    let rows = owed.of(table);
    eventually_moving(&format!("what is owed to {topic}"), ARRIVAL, async || {
        let state = last_state(topics, topic, &["id"]);
        let (missing, extra) = differences(&rows, &state);
        if missing.is_empty() && (owed != Owed::Table || extra.is_empty()) {
            Ok(())
        } else {
            Err((topics.end(topic).unwrap(), missing, extra))
        }
    })
    .await
    .unwrap();
}

async fn kills(resume: &str) {
    let mut random = random("modes");
    let (mut worker, topics, name) = (support::worker("modes").await, topics(), unique("modes"));
    let (address, client) = support::database(&name).await;
    let fill = format!(
        "create table t (id bigint primary key, version int not null);
         insert into t select i, 0 from generate_series(1, {ROWS}) i"
    );
    client.batch_execute(&fill).await.unwrap();
    for (mode, _) in MODES {
        let changes = json!({
            "snapshot.mode": mode, "snapshot.resume.enabled": resume,
            "snapshot.mode.configuration.based.snapshot.data": "true",
            "snapshot.mode.configuration.based.start.stream": "true",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        });
        let prefix = format!("{name}_{mode}");
        worker.api().create(&prefix, &with(source(&address, &prefix, "public.t"), &changes)).await.unwrap();
    }
    eventually_async("the slots", ARRIVAL, async || {
        // What is written before that is not owed to the mode without a snapshot.
        let made = "select count(*) from pg_replication_slots where confirmed_flush_lsn is not null and database = $1";
        let made: i64 = client.query_one(made, &[&name]).await.map_err(|error| error.to_string())?.get(0);
        if made == 5 { Ok(()) } else { Err(format!("{made}")) }
    })
    .await
    .unwrap();
    let rounds = Arc::new(Semaphore::new(0));
    let writer = tokio::spawn(write(address.connect().await.unwrap(), Arc::clone(&rounds)));
    for kill in 0..KILLS {
        rounds.add_permits(ROUNDS);
        let (mode, _) = MODES[[0, 3, 1, 4, 2][kill % 5]];
        let before = topics.end(&topic(&name, mode)).unwrap_or(0);
        let more = random.random_range(1..300) + if kill < 2 { random.random_range(0..ROWS / 4) } else { 0 };
        // A mode without a stream may be done.
        let count = if mode == "initial_only" { (before + more).min(ROWS / 2) } else { before + more };
        support::reached(&topics, &topic(&name, mode), count).await;
        worker.kill().unwrap();
        let ends: Vec<_> = MODES.map(|(mode, _)| topics.end(&topic(&name, mode)).unwrap_or(0)).into();
        println!("kill {kill}: {ends:?} records");
        worker.start_again().await.unwrap();
    }
    rounds.close();
    writer.await.unwrap();
    let table = rows(&client, "t", &["id"]).await;
    for (mode, owed) in MODES {
        arrived(&topics, &topic(&name, mode), owed, &table).await;
        worker.api().remove(&format!("{name}_{mode}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mode_loses_a_row() {
    kills("false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mode_loses_a_row_where_snapshots_go_on() {
    kills("true").await;
}
