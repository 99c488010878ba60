//! The MongoDB sink against a real server, alone and behind the Postgres source.

use bson::{Bson, doc};
use futures_util::TryStreamExt;
use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Servers, eventually_async};
use serde_json::json;

use crate::support::{self, ARRIVAL, sink, source, topics, unique, wait_records, with};

const TABLE: &str = "
create type mood as enum ('fine', 'so so');
create table t (
    id bigint, part int, name text, short smallint, yes boolean, ratio double precision, small real, price numeric(12, 2),
    born date, seen timestamp, at timestamptz, reference uuid, data jsonb, raw bytea, feels mood, primary key (id, part));";

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_agree_in_every_column() {
    let (worker, name) = (support::worker("pipeline").await, unique("pipeline"));
    let connectors = [format!("{name}_sink"), format!("{name}_source")];
    let (address, client) = support::database(&name).await;
    client.batch_execute(TABLE).await.unwrap();
    let insert = |first: u32, last: u32| {
        format!(
            "insert into t select i, mod(i, 3), 'név ' || i, mod(i, 100), mod(i, 2) = 0, i / 7.0::float8, i / 8.0::float4, i / 100.0,
               date '1969-12-25' + i, timestamp '1969-12-31 23:59:59.5' + i * interval '1.000001 second',
               timestamptz '2024-02-29 12:00:00.25+02' + i * interval '1 minute', md5(i::text)::uuid,
               jsonb_build_object('i', i), decode(md5(i::text), 'hex'), case when mod(i, 2) = 0 then 'fine' else 'so so' end::mood
             from generate_series({first}, {last}) i"
        )
    };
    client.batch_execute(&insert(1, 500)).await.unwrap();
    client.batch_execute("insert into t (id, part) values (0, 0)").await.unwrap();
    worker.api().create(&connectors[1], &source(&address, &name, "public.t")).await.unwrap();
    worker.api().create(&connectors[0], &sink(&name)).await.unwrap();
    let collection =
        Servers::shared().mongo.client().await.unwrap().database(&name).collection(&format!("{name}.public.t"));
    let agree = async || {
        eventually_async("both ends to agree", ARRIVAL, async || {
            let comparison = compare(&client, "t", &collection).await.map_err(|failure| failure.to_string())?;
            if comparison.agrees() { Ok(comparison.rows) } else { Err(comparison.to_string()) }
        })
        .await
        .unwrap()
    };
    assert_eq!(agree().await, 501);
    client.batch_execute(&insert(501, 600)).await.unwrap();
    client
        .batch_execute("update t set name = null, price = -price, data = null where id <= 50; delete from t where id between 100 and 149")
        .await
        .unwrap();
    // The key itself changes: a delete and an insert.
    client.batch_execute("update t set id = id + 10000 where id between 200 and 209").await.unwrap();
    assert_eq!(agree().await, 551);
    for connector in &connectors {
        worker.api().wait_running(connector).await.unwrap();
        worker.api().remove(connector).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_goes_to_the_dead_letter_queue() {
    let (worker, topics, name) = (support::worker("dead_letters").await, topics(), unique("letters"));
    let queue = format!("{name}_dead");
    topics.create(&name, 1).await.unwrap();
    let values = [
        "{\"_id\": 1, \"v\": \"a\"}",
        "this is no JSON",
        "{\"_id\": 2, \"v\": \"b\"}",
        "[1, 2]",
        "{\"_id\": 1, \"v\": \"c\"}",
    ];
    topics.produce(&name, &values).await.unwrap();
    let config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": name,
        "connection.uri": Servers::shared().mongo.uri,
        "database": name,
        "collection": "c",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    worker.api().create(&name, &config).await.unwrap();
    wait_records(&topics, &queue, 2).await;
    let collection = Servers::shared().mongo.client().await.unwrap().database(&name).collection::<bson::Document>("c");
    eventually_async("the good documents", ARRIVAL, async || {
        let documents = collection.find(doc! {}).sort(doc! {"_id": 1}).await.map_err(|error| error.to_string())?;
        let documents: Vec<_> = documents.try_collect().await.map_err(|error| error.to_string())?;
        let found: Vec<_> =
            documents.iter().map(|found| (number(found.get("_id")), found.get_str("v").unwrap_or("?"))).collect();
        if found == [(1, "c"), (2, "b")] { Ok(()) } else { Err(format!("{documents:?}")) }
    })
    .await
    .unwrap();
    let letters = topics.read(&queue).unwrap();
    let bodies: Vec<_> =
        letters.iter().map(|letter| String::from_utf8_lossy(letter.value.as_deref().unwrap())).collect();
    assert_eq!(bodies, ["this is no JSON", "[1, 2]"], "the original bytes");
    let header = |key: &str| letters[0].header(key).into_owned();
    assert_eq!(header("__connect.errors.topic"), name);
    assert_eq!(header("__connect.errors.offset"), "1");
    assert_eq!(header("__connect.errors.connector.name"), name);
    worker.api().wait_running(&name).await.unwrap();

    // Without tolerance the same record fails the task, and the connector stays.
    let strict = with(config, &json!({"errors.tolerance": "none", "errors.deadletterqueue.topic.name": null}));
    let strict_name = unique("strict");
    worker.api().create(&strict_name, &strict).await.unwrap();
    let status = worker.api().wait_for(&strict_name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("Tolerance exceeded in error handler"), "{trace}");
    for connector in [name, strict_name] {
        worker.api().remove(&connector).await.unwrap();
    }
}

fn number(value: Option<&Bson>) -> i64 {
    match value {
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Int32(number)) => i64::from(*number),
        other => panic!("{other:?} is no integer"),
    }
}
