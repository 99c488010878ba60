//! What the suites share: the servers, the other client, a worker with these converters, connector configurations.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;
pub(crate) use integration_tests::testbed::postgres_source as source;
use integration_tests::testbed::process::Ask;
use integration_tests::testbed::{
    Api, PostgresAddress, Process, Registry, Servers, Topics, Worker, WorkerSetup, eventually_async, mongo_sink,
    reaper, registry,
};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::records::Format;

/// How long data may take from one end to the other.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(240);
/// How long the other client may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(240);
const REQUEST: Duration = Duration::from_secs(60);
const SCRIPT: &str = include_str!("client/records.py");

/// A name that no other test of this process uses: a database, slot, topic prefix or group.
pub(crate) fn unique(base: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{base}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The address of the shared registry.
pub(crate) fn url() -> &'static str {
    &Registry::shared().url
}

/// All servers, started side by side.
pub(crate) fn servers() -> &'static Servers {
    std::thread::scope(|scope| {
        scope.spawn(Registry::shared);
        Servers::shared()
    })
}

/// Has the other client carry out orders; its answers, in their order. It blocks.
pub(crate) fn try_ask(url: &str, orders: &[Value]) -> Vec<Value> {
    let python = registry::python_client().unwrap();
    let name = unique("client");
    let directory = reaper::data_directory(&name).unwrap();
    let [script, given, answers] = ["records.py", "orders.jsonl", "answers.jsonl"].map(|file| directory.join(file));
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::write(&given, orders.iter().map(|order| format!("{order}\n")).collect::<String>()).unwrap();
    let mut command = Command::new(python);
    command.arg(&script).arg(url).arg(&given).arg(&answers);
    let mut process = Process::start(&name, command, Ask::Term).unwrap();
    let status = process.wait_end(CLIENT_LIMIT).unwrap();
    assert!(status.success(), "{}", process.log_tail());
    let answers = std::fs::read_to_string(&answers).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), orders.len());
    answers
}

/// The same of the shared registry, for orders that can be carried out.
pub(crate) fn ask(orders: &[Value]) -> Vec<Value> {
    let answers = try_ask(url(), orders);
    for (order, answer) in orders.iter().zip(&answers) {
        assert!(answer.get("error").is_none(), "{order}\n{}", answer["error"].as_str().unwrap_or_default());
    }
    answers
}

/// What a registry answers to a GET; null when it does not answer with 200.
pub(crate) async fn look(url: &str, path: &str) -> Value {
    let answer = Api::new(url).unwrap().get(path).await.unwrap();
    if answer.status == 200 { answer.body } else { Value::Null }
}

/// The versions of a subject; none when it is not there.
pub(crate) async fn versions(url: &str, subject: &str) -> Vec<i64> {
    let found = look(url, &format!("/subjects/{subject}/versions")).await;
    found.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// Waits until a subject has these versions.
pub(crate) async fn wait_versions(url: &str, subject: &str, expected: &[i64]) {
    eventually_async(&format!("the versions of {subject}"), ARRIVAL, async || {
        let found = versions(url, subject).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();
}

/// The schema of a version.
pub(crate) async fn schema(url: &str, subject: &str, version: i64) -> Value {
    let found = look(url, &format!("/subjects/{subject}/versions/{version}")).await;
    serde_json::from_str(found["schema"].as_str().unwrap()).unwrap()
}

/// Says what a new version of a subject is held against.
pub(crate) async fn set_level(url: &str, subject: &str, level: &str) {
    let body = json!({"compatibility": level}).to_string();
    let answer = Api::new(url).unwrap().send(Method::PUT, &format!("/config/{subject}"), Some(body)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// What keys and values are converted with, in a worker or a connector.
pub(crate) fn converters(format: Format, url: &str, settings: &Value) -> Value {
    let mut config = json!({});
    for side in ["key.converter", "value.converter"] {
        config[side] = json!(format.converter);
        config[format!("{side}.schema.registry.url")] = json!(url);
        for (key, value) in settings.as_object().unwrap() {
            config[format!("{side}.{key}")] = value.clone();
        }
    }
    config
}

/// A worker with a group of its own, whose converters are Avro's.
pub(crate) async fn worker(name: &str, url: &str, changes: &[(&str, &str)]) -> Worker {
    let converters = converters(crate::records::AVRO, url, &json!({}));
    let mut setup = WorkerSetup::new(&unique(name), &servers().kafka.bootstrap).unwrap();
    for (key, value) in converters.as_object().unwrap() {
        setup = setup.with(key, value.as_str().unwrap());
    }
    let setup = setup.with("consumer.metadata.max.age.ms", "1000");
    Worker::start(changes.iter().fold(setup, |setup, (key, value)| setup.with(key, value))).await.unwrap()
}

/// The topics of the shared Kafka.
pub(crate) fn topics() -> Topics {
    Topics::new(&servers().kafka.bootstrap).unwrap()
}

/// A fresh database in the shared Postgres, with a client in it.
pub(crate) async fn database(name: &str) -> (PostgresAddress, Client) {
    let address = servers().postgres.create_database(name).await.unwrap();
    let client = address.connect().await.unwrap();
    (address, client)
}

/// A MongoDB sink of Debezium's events of all tables of `prefix`, into a database of that name.
pub(crate) fn sink(prefix: &str) -> Value {
    mongo_sink(&servers().mongo.uri, prefix)
}

/// A MongoDB sink of the records of a topic as they are, into the collection `c` of a database of the topic's name.
pub(crate) fn plain_sink(topic: &str) -> Value {
    json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "connection.uri": servers().mongo.uri,
        "database": topic,
        "collection": "c",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "document.id.strategy": "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy",
    })
}

/// `config` with the keys of others.
pub(crate) fn with(mut config: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// Waits until a topic holds at least `count` records.
pub(crate) async fn wait_records(topics: &Topics, topic: &str, count: i64) {
    let what = format!("{count} records in {topic}");
    eventually_async(&what, ARRIVAL, async || {
        let end = topics.end(topic).map_err(|failure| failure.to_string())?;
        if end >= count { Ok(()) } else { Err(format!("{end} records")) }
    })
    .await
    .unwrap();
}

/// Waits until the only task of a connector runs.
pub(crate) async fn wait_running(worker: &Worker, name: &str) {
    wait_state(worker, name, "RUNNING").await;
}

/// Waits until the only task of a connector has failed; its trace.
pub(crate) async fn wait_failed(worker: &Worker, name: &str) -> String {
    wait_state(worker, name, "FAILED").await
}

async fn wait_state(worker: &Worker, name: &str, state: &str) -> String {
    eventually_async(&format!("{name} to be {state}"), ARRIVAL, async || {
        let status = worker.api().status(name).await.map_err(|failure| failure.to_string())?;
        let task = &status["tasks"][0];
        if task["state"] == state {
            Ok(task["trace"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(status.to_string())
        }
    })
    .await
    .unwrap()
}

/// Waits until the job that a connector is tells its error: what went wrong first, and what to do.
pub(crate) async fn wait_job_error(worker: &Worker, name: &str) -> Value {
    eventually_async(&format!("an error of the job {name}"), ARRIVAL, async || {
        let answer = worker.api().get(&format!("/jobs/{name}")).await.map_err(|failure| failure.to_string())?;
        if answer.body["error"]["remedy"].is_string() { Ok(answer.body["error"].clone()) } else { Err(answer.text) }
    })
    .await
    .unwrap()
}

/// Writes records without keys to a topic, in order.
pub(crate) async fn produce(topic: &str, values: &[Vec<u8>]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &servers().kafka.bootstrap).set("acks", "all").create().unwrap();
    for value in values {
        let record: FutureRecord<'_, (), Vec<u8>> = FutureRecord::to(topic).partition(0).payload(value);
        producer.send(record, REQUEST).await.map_err(|(error, _)| error).unwrap();
    }
}

/// A collection of MongoDB.
pub(crate) async fn collection(database: &str, name: &str) -> mongodb::Collection<Document> {
    servers().mongo.client().await.unwrap().database(database).collection(name)
}

/// Waits until a collection holds these documents, in the order of their ids, and no others.
pub(crate) async fn wait_documents(collection: &mongodb::Collection<Document>, expected: &[Document]) {
    eventually_async(&format!("the documents {expected:?}"), ARRIVAL, async || {
        let found = collection.find(doc! {}).await.map_err(|error| error.to_string())?;
        let mut found: Vec<Document> = found.try_collect().await.map_err(|error| error.to_string())?;
        found.sort_by_key(|document| document.get("_id").map(ToString::to_string));
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();
}
