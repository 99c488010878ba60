//! Registries that are dead, go away and come back.

use bson::{Document, doc};
use integration_tests::testbed::{Registry, Topics, Worker, eventually_async, ports};
use serde_json::{Value, json};

use crate::records::{AVRO, JSON_SCHEMA, PROTOBUF, item, plain, read, written};
use crate::support::{
    ARRIVAL, ask, collection, database, sink, source, topics, unique, url, wait_documents, wait_failed, wait_job_error,
    wait_records, wait_running, wait_versions, with, worker,
};

/// Nothing listens there.
fn dead() -> String {
    format!("http://127.0.0.1:{}/apis/ccompat/v7", ports::free().unwrap())
}

#[test]
fn the_next_address_is_asked_when_the_first_is_dead() {
    let topic = unique("second");
    let record = r#"{"type": "record", "name": "Row", "fields": [{"name": "id", "type": "int"}]}"#;
    let answer = &ask(&[AVRO.to_write(&topic, record, json!({"id": 5}))])[0];
    let addresses = format!("{},{}", dead(), url());
    // Once is enough: all addresses are asked before any is asked again.
    let settings = [("max.retries", "0")];
    let datum = read(&*AVRO.make(&addresses, false, &settings), &topic, answer);
    assert_eq!(plain(&datum.value), json!({"id": 5}));
    for format in [AVRO, JSON_SCHEMA, PROTOBUF] {
        let (converter, topic) = (format.make(&addresses, true, &settings), format!("{topic}_{}", format.name));
        let (schema, value) = item();
        let bytes = written(&*converter, &topic, schema, value);
        let datum = converter.deserialize(&topic, Some(bytes.into())).unwrap();
        assert_eq!(plain(&datum.value), json!({"name": "pen", "count": 3}), "{format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_restarts_is_waited_for() {
    let mut registry = tokio::task::block_in_place(|| Registry::start(&unique("registry")).unwrap());
    let own = registry.url.clone();
    let impatient = [
        ("key.converter.max.retries", "1"),
        ("value.converter.max.retries", "1"),
        ("key.converter.retries.wait.ms", "50"),
        ("value.converter.retries.wait.ms", "50"),
        ("job.recovery.backoff.initial.ms", "500"),
        ("job.recovery.backoff.factor", "1"),
        ("job.recovery.attempts.max", "1000"),
    ];
    let worker = worker("restarts", &format!("{},{own}", dead()), &impatient).await;
    let (topics, waiting, failing, late) = (topics(), unique("waiting"), unique("failing"), unique("late"));
    let (address, client) = database(&waiting).await;
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await.unwrap();
    let patience = json!({"errors.retry.timeout": "-1", "errors.retry.delay.max.ms": "500"});
    worker.api().create(&waiting, &with(source(&address, &waiting, "public.t"), &patience)).await.unwrap();
    worker.api().create(&failing, &source(&address, &failing, "public.t")).await.unwrap();
    worker.api().create("sink", &sink(&waiting)).await.unwrap();
    let [patient, recovered] = [&waiting, &failing].map(|name| format!("{name}.public.t"));
    let documents = collection(&waiting, &patient).await;
    let mut expected: Vec<Document> = vec![doc! {"_id": {"id": 1}}];
    wait_documents(&documents, &expected).await;
    wait_records(&topics, &recovered, 1).await;

    tokio::task::block_in_place(|| registry.stop().unwrap());
    client.batch_execute("insert into t values (2)").await.unwrap();
    expected.push(doc! {"_id": {"id": 2}});
    wait_documents(&documents, &expected).await;
    wait_records(&topics, &recovered, 2).await;
    // What is known needs no registry. What is new does: another schema, and a sink that has seen nothing yet.
    client.batch_execute("alter table t add column note text; insert into t values (3, 'n')").await.unwrap();
    let elsewhere = with(with(sink(&waiting), &patience), &json!({"database": late}));
    worker.api().create(&late, &elsewhere).await.unwrap();
    let trace = wait_for_failure(&worker, &topics, &failing).await;
    assert!(trace.contains("Network connection error while serializing Avro data for topic"), "{trace}");
    tokio::task::block_in_place(|| registry.start_again().unwrap());

    expected.push(doc! {"_id": {"id": 3}, "note": "n"});
    wait_documents(&documents, &expected).await;
    wait_documents(&collection(&late, &patient).await, &expected).await;
    for topic in [&patient, &recovered] {
        wait_versions(&own, &format!("{topic}-value"), &[1, 2]).await;
    }
    wait_records(&topics, &recovered, 3).await;
    for name in [&waiting, &late, &failing] {
        wait_running(&worker, name).await;
    }
    for name in [&waiting, &late] {
        assert_eq!(failures(&worker, &topics, name), Vec::<String>::new(), "{name} has patience");
    }
    for name in [waiting.as_str(), &failing, &late, "sink"] {
        worker.api().remove(name).await.unwrap();
    }
}

/// The traces with which the task of a connector has failed.
fn failures(worker: &Worker, topics: &Topics, name: &str) -> Vec<String> {
    let records = topics.read(&worker.setup().properties["status.storage.topic"]).unwrap();
    let key = format!("status-task-{name}-0");
    let statuses = records.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
    let failed = statuses.map(|record| record.json()).filter(|status| status["state"] == "FAILED");
    failed.map(|status: Value| status["trace"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn wait_for_failure(worker: &Worker, topics: &Topics, name: &str) -> String {
    eventually_async(&format!("a failure of {name}"), ARRIVAL, async || {
        let found = tokio::task::block_in_place(|| failures(worker, topics, name));
        found.into_iter().next().ok_or_else(|| "none".to_owned())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stays_away_fails_the_task_and_tells_no_password() {
    let address = dead();
    let with_password = address.replace("http://", "http://reader:tide-secret@");
    let changes = [
        ("job.recovery.enabled", "false"),
        ("key.converter.retries.wait.ms", "50"),
        ("value.converter.retries.wait.ms", "50"),
    ];
    let (worker, name) = (worker("away", &with_password, &changes).await, unique("away"));
    let (postgres, client) = database(&name).await;
    client.batch_execute("create table t (id int primary key); insert into t values (1)").await.unwrap();
    worker.api().create(&name, &source(&postgres, &name, "public.t")).await.unwrap();
    let trace = wait_failed(&worker, &name).await;
    let node = address.trim_start_matches("http://").split('/').next().unwrap();
    for part in [
        "Tolerance exceeded in error handler",
        &format!("Network connection error while serializing Avro data for topic {name}.public.t: no answer from"),
        "org.apache.kafka.common.errors.NetworkException",
        node,
    ] {
        assert!(trace.contains(part), "{part} is not in:\n{trace}");
    }
    let error = wait_job_error(&worker, &name).await;
    let remedy = error["remedy"].as_str().unwrap();
    assert!(error["code"] == "unavailable" && remedy.contains("check schema.registry.url"), "{error}");
    let log = std::fs::read_to_string(worker.process().log()).unwrap();
    assert!(log.contains(node) && !log.contains("tide-secret") && !trace.contains("tide-secret"));
    worker.api().remove(&name).await.unwrap();
}
