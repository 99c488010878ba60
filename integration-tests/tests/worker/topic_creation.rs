//! Topics that the worker creates for sources (KIP-158), as the broker shows them afterwards, and what is tracked of them
//! (KIP-558).

use connect_kafka::Admin;
use integration_tests::testbed::{Servers, Worker, WorkerSetup, eventually_async};
use serde_json::{Value, json};

use crate::support::{self, ARRIVAL, file_source, topics, unique, wait_records, with};

fn admin() -> Admin {
    let props = [("bootstrap.servers".to_owned(), Servers::shared().kafka.bootstrap.clone())].into_iter().collect();
    Admin::open(&props).unwrap()
}

fn file(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "one\ntwo\n").unwrap();
    path
}

/// `topic.creation.` settings beside one partition and one replica by default.
fn creation(settings: &Value) -> Value {
    let mut all = json!({"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"});
    for (key, value) in settings.as_object().unwrap() {
        all[format!("topic.creation.{key}")] = value.clone();
    }
    all
}

async fn run(worker: &Worker, name: &str, settings: &Value) {
    let config = with(file_source(&file(name), name), &creation(settings));
    worker.api().create(name, &config).await.unwrap();
    wait_records(&topics(), name, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_group_that_fits_makes_the_topic() {
    let (worker, admin) = (support::worker("creation").await, admin());
    let name = unique("creation_first");
    let groups = json!({
        "groups": "never,first,second",
        "never.include": "nothing.*",
        "never.partitions": "9",
        "first.include": format!("x, {name}"),
        "first.partitions": "3",
        "first.retention.ms": "123456",
        "first.min.insync.replicas": "1",
        "second.include": ".*",
        "second.partitions": "5",
    });
    run(&worker, &name, &groups).await;
    assert_eq!(topics().partitions(&name).unwrap().len(), 3);
    assert_eq!(admin.topic_config(&name).await.unwrap()["retention.ms"], "123456");

    // An excluded topic goes on to the next group; -1 leaves the number to the broker.
    let name = unique("creation_excluded");
    let groups = json!({
        "groups": "first",
        "first.include": ".*",
        "first.exclude": "y|creation_exc.*",
        "first.partitions": "7",
        "default.partitions": "-1",
        "default.replication.factor": "-1",
        "default.retention.ms": "7654321",
    });
    run(&worker, &name, &groups).await;
    let brokers = admin.describe_topics(&[&name]).await.unwrap();
    assert_eq!((brokers[&name].leaders.len(), brokers[&name].replication_factor), (1, 1), "the broker's defaults");
    assert_eq!(admin.topic_config(&name).await.unwrap()["retention.ms"], "7654321");
    tracked(&worker, &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_topic_is_left_as_it_is_and_two_that_create_it_at_once_both_run() {
    let worker = support::worker("creation_twice").await;
    let existing = unique("creation_existing");
    topics().create(&existing, 2).await.unwrap();
    run(&worker, &existing, &json!({"default.partitions": "4", "default.retention.ms": "1000"})).await;
    assert_eq!(topics().partitions(&existing).unwrap().len(), 2);

    let topic = unique("creation_race");
    let both = [unique("creation_a"), unique("creation_b")];
    for name in &both {
        let config = with(file_source(&file(name), &topic), &creation(&json!({"default.partitions": "2"})));
        worker.api().create(name, &config).await.unwrap();
    }
    wait_records(&topics(), &topic, 4).await;
    for name in &both {
        worker.api().wait_running(name).await.unwrap();
    }
    assert_eq!(topics().partitions(&topic).unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_create_topics_leaves_it_to_the_broker() {
    let setup = WorkerSetup::new(&unique("creation_off"), &Servers::shared().kafka.bootstrap).unwrap();
    let worker = Worker::start(setup.with("topic.creation.enable", "false")).await.unwrap();
    let name = unique("creation_off_topic");
    run(&worker, &name, &json!({"default.partitions": "6", "default.retention.ms": "777"})).await;
    let config = admin().topic_config(&name).await.unwrap();
    assert_ne!(config["retention.ms"], "777", "the broker made it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_counts_as_used_only_once_a_record_is_in_it() {
    let worker = support::worker("tracking").await;
    let name = unique("tracking_source");
    // Compacted topics take no record without a key.
    let config = with(file_source(&file(&name), &name), &creation(&json!({"default.cleanup.policy": "compact"})));
    worker.api().create(&name, &config).await.unwrap();
    worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    assert_eq!(tracked_now(&worker, &name).await, json!([]));

    // A sink's topic counts with its first record that converts, its dead letter topic never.
    let (sink, topic) = (unique("tracking_sink"), unique("tracking_topic"));
    topics().create(&topic, 1).await.unwrap();
    topics().produce(&topic, &["abc"]).await.unwrap();
    let out = std::env::temp_dir().join(&sink);
    let config = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "file": out.display().to_string(),
        "topics": topic,
        "value.converter": "org.apache.kafka.connect.converters.IntegerConverter",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
    });
    worker.api().create(&sink, &config).await.unwrap();
    wait_records(&topics(), &format!("{topic}-dead"), 1).await;
    assert_eq!(tracked_now(&worker, &sink).await, json!([]));
    topics().produce(&topic, &["abcd"]).await.unwrap();
    eventually_async("the topic to be tracked", ARRIVAL, async || {
        let now = tracked_now(&worker, &sink).await;
        if now == json!([topic]) { Ok(()) } else { Err(now.to_string()) }
    })
    .await
    .unwrap();
    drop(std::fs::remove_file(out));
}

async fn tracked_now(worker: &Worker, name: &str) -> Value {
    worker.api().get(&format!("/connectors/{name}/topics")).await.unwrap().body[name]["topics"].clone()
}

async fn tracked(worker: &Worker, name: &str) {
    eventually_async("the topic to be tracked", ARRIVAL, async || {
        let now = tracked_now(worker, name).await;
        if now == json!([name]) { Ok(()) } else { Err(now.to_string()) }
    })
    .await
    .unwrap();
}
