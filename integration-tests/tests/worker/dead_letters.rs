//! Errors of single records, compared with what Apache Kafka's worker did (`recorded/`): dead letters with all their headers,
//! and the traces of tasks that fail.

use std::time::Duration;

use futures_util::StreamExt;
use integration_tests::testbed::topics::Stored;
use integration_tests::testbed::{Servers, Topics, Worker, eventually_async};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::support::{self, ARRIVAL, topics, unique};

const LETTERS: &str = include_str!("recorded/dead_letters.jsonl");
const FAILURES: &str = include_str!("recorded/failures.jsonl");
/// Connectors that run side by side.
const AT_ONCE: usize = 6;
const REQUEST: Duration = Duration::from_secs(20);
const TRACE: &str = "__connect.errors.exception.stacktrace";

fn cases(file: &str) -> impl Iterator<Item = Value> + '_ {
    file.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_those_of_the_jvm() {
    let (worker, topics) = (&support::worker("dead_letters").await, &topics());
    let runs = cases(LETTERS).map(|case| async move { replay(worker, topics, &case).await });
    agree(futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_fail_with_the_traces_of_the_jvm() {
    let (worker, topics) = (&support::worker("failures").await, &topics());
    let runs = cases(FAILURES).map(|case| async move { fail(worker, topics, &case).await });
    agree(futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await);
}

fn agree(outcomes: Vec<Result<(), String>>) {
    let differences: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Runs one case and says where it differs.
async fn replay(worker: &Worker, topics: &Topics, case: &Value) -> Result<(), String> {
    let label = case["name"].as_str().unwrap();
    let name = unique(&format!("letters-{label}"));
    let (topic, queue, database) = (format!("{name}-in"), format!("{name}-dead"), name.replace('-', "_"));
    topics.create(&topic, 1).await.unwrap();
    topics.create(&queue, 1).await.unwrap();
    produce(&topic, &case["records"]).await;
    let mut config = case["config"].clone();
    let servers = Servers::shared();
    let file = std::env::temp_dir().join(&name);
    let given = json!({
        "tasks.max": "1",
        "topics": topic,
        "file": file.display().to_string(),
        "connection.uri": servers.mongo.uri,
        "database": database,
        "collection": "c",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
    });
    let mongo = config["connector.class"].as_str().unwrap().contains("mongodb");
    for (key, value) in given.as_object().unwrap() {
        let foreign: &[&str] = if mongo { &["file"] } else { &["connection.uri", "database", "collection"] };
        if !foreign.contains(&key.as_str()) {
            config[key] = value.clone();
        }
    }
    let context = "errors.deadletterqueue.context.headers.enable";
    if config.get(context).is_none() {
        config[context] = json!("true");
    }
    worker.api().create(&name, &config).await.unwrap();
    let records = i64::try_from(case["records"].as_array().unwrap().len()).unwrap();
    let state = case["state"].as_str().unwrap();
    let status = if state == "FAILED" {
        worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap()
    } else {
        wait_committed(topics, &name, &topic, records).await;
        worker.api().wait_running(&name).await.unwrap()
    };
    let letters = topics.read(&queue).unwrap();
    worker.api().remove(&name).await.unwrap();
    drop(std::fs::remove_file(file));
    let address = servers.mongo.uri.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let named = |text: &str| {
        text.replace(address, "<<mongo>>")
            .replace(&topic, "<<topic>>")
            .replace(&queue, "<<dlq>>")
            .replace(&database, "<<db>>")
            .replace(&name, "<<name>>")
    };
    let trace = status["tasks"][0]["trace"].as_str().map_or(Value::Null, |trace| json!(named(&plain(trace))));
    differ(label, "trace", &case["trace"], &trace)?;
    let letters: Vec<Value> = letters.iter().map(|letter| described(letter, &named)).collect();
    differ(label, "letters", &case["letters"], &json!(letters))
}

async fn fail(worker: &Worker, topics: &Topics, case: &Value) -> Result<(), String> {
    let label = case["name"].as_str().unwrap();
    let name = unique(&format!("fails-{label}"));
    let text = case["config"].to_string().replace("<<name>>", &name);
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let file = std::env::temp_dir().join(&name);
    config["file"] = json!(file.display().to_string());
    config["tasks.max"] = json!("1");
    if config["connector.class"].as_str().unwrap().contains("Sink") {
        let topic = format!("{name}-t");
        topics.create(&topic, 1).await.unwrap();
        topics.produce(&topic, &["abc"]).await.unwrap();
    } else {
        std::fs::write(&file, format!("one\n{}\ntwo\n", "x".repeat(400))).unwrap();
    }
    worker.api().create(&name, &config).await.unwrap();
    let status = worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    worker.api().remove(&name).await.unwrap();
    drop(std::fs::remove_file(file));
    let trace = plain(status["tasks"][0]["trace"].as_str().unwrap()).replace(&name, "<<name>>");
    // Java adds in which of its modules the classes are.
    let expected = case["trace"].as_str().unwrap().split(" (java.lang.String and").next().unwrap();
    let expected = if expected.ends_with('\n') { expected.to_owned() } else { format!("{expected}\n") };
    differ(label, "trace", &json!(expected), &json!(trace))
}

fn differ(label: &str, what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{label}: {what}\n  the JVM: {expected}\n  here:    {found}"))
}

/// A trace without frames and remedies. Every other line must be one that tools know.
fn plain(trace: &str) -> String {
    let mut text = String::new();
    for line in trace.lines().filter(|line| !line.starts_with('\t')) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn described(letter: &Stored, named: &impl Fn(&str) -> String) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    let headers: Vec<Value> = letter
        .headers
        .iter()
        .map(|(key, value)| {
            let value = text(value).map(|value| named(&if key == TRACE { plain(&value) } else { value }));
            json!([key, value])
        })
        .collect();
    for frame in letter.header(TRACE).lines().filter_map(|line| line.strip_prefix('\t')) {
        let (class, place) = frame.strip_prefix("at ").and_then(|frame| frame.split_once('(')).unwrap();
        assert!(class.contains('.') && !class.contains(['/', ' ']) && place.ends_with(')'), "no frame: {frame}");
    }
    json!({"key": text(&letter.key), "value": text(&letter.value), "timestamp": letter.timestamp, "headers": headers})
}

async fn wait_committed(topics: &Topics, name: &str, topic: &str, records: i64) {
    eventually_async(&format!("{name} to commit {records} records"), ARRIVAL, async || {
        match topics.committed(&format!("connect-{name}"), topic, 0) {
            Ok(Some(offset)) if offset >= records => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

async fn produce(topic: &str, records: &Value) {
    let bootstrap = &Servers::shared().kafka.bootstrap;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("acks", "all").create().unwrap();
    for record in records.as_array().unwrap() {
        let mut headers = OwnedHeaders::new();
        for header in record["headers"].as_array().unwrap() {
            headers = headers.insert(Header { key: header[0].as_str().unwrap(), value: header[1].as_str() });
        }
        let mut message: FutureRecord<'_, str, str> =
            FutureRecord::to(topic).partition(0).timestamp(record["timestamp"].as_i64().unwrap()).headers(headers);
        message.key = record["key"].as_str();
        message.payload = record["value"].as_str();
        producer.send(message, REQUEST).await.map_err(|(error, _)| error).unwrap();
    }
}
