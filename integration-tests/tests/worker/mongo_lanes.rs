//! The MongoDB sink with lanes, collapsing and stored positions: hot rows, and a worker that is killed meanwhile.

use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Servers, Topics, Worker, eventually_async};
use mongodb::Collection;
use rand::Rng;
use serde_json::json;
use tokio_postgres::Client;

use crate::crash::random;
use crate::support::{self, ARRIVAL, sink, source, topics, unique, with};

const KILLS: usize = 3;
const ROUNDS: i64 = 30;
/// How long a sink gets to be in the middle of something.
const JITTER_MS: u64 = 900;

/// Changes of few rows, over and over: each statement touches rows that the one before has touched.
async fn write(client: Client, round: i64) {
    for batch in 0..ROUNDS {
        client
            .batch_execute(&format!(
                "begin; update t set version = version + 1, note = 'round {round} {batch}' where id <= 20;
                 delete from t where id between 5 and 8;
                 insert into t select i, {round}, 'again' from generate_series(5, 7) i;
                 insert into t select {round} * 100000 + {batch} * 10 + i, {round}, null from generate_series(0, 9) i;
                 update t set version = version + 1 where id = 1; update t set note = null where id = 1; commit"
            ))
            .await
            .unwrap();
    }
}

/// Starts a source and a sink, kills the worker while rows change, and waits until both ends agree.
async fn killed_meanwhile(test: &str, settings: &serde_json::Value) -> (Worker, String, Client, Collection<Document>) {
    let mut random = random(test);
    let (mut worker, topics, name) = (support::worker(test).await, topics(), unique(test));
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(
            "create table t (id bigint primary key, version int not null, note text);
             insert into t select i, 0, 'first' from generate_series(1, 50) i",
        )
        .await
        .unwrap();
    let topic = format!("{name}.public.t");
    worker.api().create(&name, &source(&address, &name, "public.t")).await.unwrap();
    worker.api().create(&format!("{name}_sink"), &with(sink(&name), settings)).await.unwrap();
    support::wait_records(&topics, &topic, 50).await;
    let collection = Servers::shared().mongo.client().await.unwrap().database(&name).collection(&topic);
    agree(&client, &collection).await;
    for round in 1..=KILLS {
        let writer = tokio::spawn(write(address.connect().await.unwrap(), i64::try_from(round).unwrap()));
        moved(&topics, &topic).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..JITTER_MS))).await;
        worker.kill().unwrap();
        worker.start_again().await.unwrap();
        writer.await.unwrap();
    }
    client.batch_execute("update t set note = 'the last' where id <= 3").await.unwrap();
    agree(&client, &collection).await;
    (worker, name, client, collection)
}

/// Waits until a topic grows.
async fn moved(topics: &Topics, topic: &str) {
    let before = topics.end(topic).unwrap();
    support::reached(topics, topic, before + 1).await;
}

async fn agree(client: &Client, collection: &Collection<Document>) {
    eventually_async("both ends to agree", ARRIVAL * 2, async || {
        let comparison = compare(client, "t", collection).await.map_err(|failure| failure.to_string())?;
        if comparison.agrees() { Ok(()) } else { Err(comparison.to_string()) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_and_collapsing_leave_the_rows_of_the_table_over_kills() {
    let settings = json!({"write.lanes": "4", "write.collapse": "true"});
    let (worker, name, _client, _collection) = killed_meanwhile("lanes", &settings).await;
    for connector in [format!("{name}_sink"), name] {
        worker.api().wait_running(&connector).await.unwrap();
        worker.api().remove(&connector).await.unwrap();
    }
}

/// The testbed's servers are a replica set of one, or a `mongod` without transactions: positions are kept on both.
#[tokio::test(flavor = "multi_thread")]
async fn stored_positions_follow_the_documents_over_kills_and_resets() {
    let settings = json!({"write.collapse": "true", "exactly.once.positions.collection": "positions"});
    let (worker, name, client, collection) = killed_meanwhile("positions", &settings).await;
    let sink = format!("{name}_sink");
    worker.api().wait_running(&sink).await.unwrap();
    let positions: Collection<Document> =
        Servers::shared().mongo.client().await.unwrap().database(&name).collection("positions");
    let topic = format!("{name}.public.t");
    let end = topics().end(&topic).unwrap();
    let stored = async || -> Vec<i64> {
        let found: Vec<Document> = positions.find(doc! {}).await.unwrap().try_collect().await.unwrap();
        assert!(found.iter().all(|found| found.get_document("_id").unwrap().get_str("connector").unwrap() == sink));
        found.iter().map(|found| found.get_i64("position").unwrap()).collect()
    };
    let at_the_end = async || {
        // Without transactions it follows the documents.
        eventually_async("the position to be at the end", ARRIVAL, async || {
            let found = stored().await;
            if found == [end] { Ok(()) } else { Err(format!("{found:?} and not {end}")) }
        })
        .await
        .unwrap();
    };
    at_the_end().await;

    // A wanted replay is not skipped: what somebody removed comes back.
    collection.delete_many(doc! {}).await.unwrap();
    worker.api().change(&sink, "stop").await.unwrap();
    eventually_async("the offsets to be reset", ARRIVAL, async || {
        let answer =
            worker.api().delete(&format!("/connectors/{sink}/offsets")).await.map_err(|failure| failure.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await
    .unwrap();
    assert!(stored().await.is_empty());
    worker.api().change(&sink, "resume").await.unwrap();
    agree(&client, &collection).await;
    at_the_end().await;
    for connector in [sink, name] {
        worker.api().remove(&connector).await.unwrap();
    }
}
