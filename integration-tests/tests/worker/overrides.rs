//! What connectors may set of their Kafka clients, and that it reaches them.

use std::path::Path;
use std::time::Duration;

use connect_kafka::Admin;
use integration_tests::testbed::{Servers, Worker, WorkerSetup, eventually_async};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::support::{self, ARRIVAL, file_source, topics, unique, wait_records, with};

const REQUEST: Duration = Duration::from_secs(20);

fn admin() -> Admin {
    let props = [("bootstrap.servers".to_owned(), Servers::shared().kafka.bootstrap.clone())].into_iter().collect();
    Admin::open(&props).unwrap()
}

fn file_sink(path: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "file": path.display().to_string(),
        "topics": topic,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

async fn wait_text(path: &Path, expected: &str) {
    eventually_async("the sink's file", ARRIVAL, async || {
        let found = std::fs::read_to_string(path).unwrap_or_default();
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

/// The members of a consumer group by client id, and the assignor they agreed on.
async fn members(group: &str) -> (Vec<String>, String) {
    let described = admin().describe_group(group).await.unwrap();
    let mut members: Vec<String> = described.members.into_iter().map(|member| member.client_id).collect();
    members.sort();
    (members, described.protocol)
}

async fn wait_members(group: &str, expected: &[&str]) -> String {
    eventually_async(&format!("the members of {group}"), ARRIVAL, async || {
        let (found, protocol) = members(group).await;
        if found == expected { Ok(protocol) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sinks_overrides_reach_its_consumer() {
    let (worker, topic) = (support::worker("overrides").await, unique("overrides_in"));
    topics().create(&topic, 1).await.unwrap();
    topics().produce(&topic, &["before"]).await.unwrap();
    let (plain, other) = (unique("overrides_plain"), unique("overrides_group"));
    let (first, second) = (std::env::temp_dir().join(&plain), std::env::temp_dir().join(&other));
    worker.api().create(&plain, &file_sink(&first, &topic)).await.unwrap();
    wait_text(&first, "before\n").await;
    let agreed = wait_members(&format!("connect-{plain}"), &[&format!("connector-consumer-{plain}-0")]).await;
    assert_eq!(agreed, "range");

    let changes = json!({
        "consumer.override.group.id": format!("{other}-mine"),
        "consumer.override.client.id": "my-client",
        "consumer.override.auto.offset.reset": "latest",
        "consumer.override.max.poll.records": "1",
        "consumer.override.partition.assignment.strategy":
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "consumer.override.interceptor.classes": "com.acme.Interceptor",
        "consumer.override.no.such.setting": "1",
    });
    worker.api().create(&other, &with(file_sink(&second, &topic), &changes)).await.unwrap();
    assert_eq!(wait_members(&format!("{other}-mine"), &["my-client"]).await, "cooperative-sticky");
    // It is a member, but its position may not be known yet: what comes is written in full as soon as it is.
    eventually_async("the sink to read from the end", ARRIVAL, async || {
        topics().produce(&topic, &["after"]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let found = std::fs::read_to_string(&second).unwrap_or_default();
        if found.starts_with("after\n") { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
    let log = std::fs::read_to_string(worker.process().log()).unwrap();
    let warned = log.lines().any(|line| line.contains("interceptor.classes") && line.contains("no.such.setting"));
    assert!(warned, "no warning of what has no effect");
    for path in [first, second] {
        drop(std::fs::remove_file(path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_reads_committed_records_only_passes_over_aborted_ones() {
    let (worker, topic) = (support::worker("isolation").await, unique("isolation_in"));
    topics().create(&topic, 1).await.unwrap();
    let (bootstrap, aborted) = (Servers::shared().kafka.bootstrap.clone(), topic.clone());
    tokio::task::spawn_blocking(move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", bootstrap).set("transactional.id", &aborted).create().unwrap();
        producer.init_transactions(REQUEST).unwrap();
        for (value, commit) in [("aborted", false), ("committed", true)] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<str, str>::to(&aborted).payload(value)).unwrap();
            producer.flush(REQUEST).unwrap();
            if commit {
                producer.commit_transaction(REQUEST).unwrap()
            } else {
                producer.abort_transaction(REQUEST).unwrap()
            }
        }
    })
    .await
    .unwrap();
    let (all, committed) = (unique("isolation_all"), unique("isolation_committed"));
    let (first, second) = (std::env::temp_dir().join(&all), std::env::temp_dir().join(&committed));
    worker.api().create(&all, &file_sink(&first, &topic)).await.unwrap();
    let strict = with(file_sink(&second, &topic), &json!({"consumer.override.isolation.level": "read_committed"}));
    worker.api().create(&committed, &strict).await.unwrap();
    wait_text(&first, "aborted\ncommitted\n").await;
    wait_text(&second, "committed\n").await;
    for path in [first, second] {
        drop(std::fs::remove_file(path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sources_overrides_reach_its_producer_and_admin_client() {
    let worker = support::worker("compression").await;
    let long = "x".repeat(100_000);
    for (codec, fits) in [("zstd", true), ("none", false)] {
        let name = unique(&format!("compression_{codec}"));
        let path = std::env::temp_dir().join(&name);
        std::fs::write(&path, format!("{long}\n")).unwrap();
        let changes = json!({
            "producer.override.compression.type": codec,
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            // What a batch of the broker's may have: the line goes in when it is compressed.
            "topic.creation.default.max.message.bytes": "5000",
        });
        worker.api().create(&name, &with(file_source(&path, &name), &changes)).await.unwrap();
        if fits {
            wait_records(&topics(), &name, 1).await;
            worker.api().wait_running(&name).await.unwrap();
        } else {
            let status = worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
            let trace = status["tasks"][0]["trace"].as_str().unwrap();
            assert!(trace.contains("Unrecoverable exception from producer send callback"), "{trace}");
            assert!(trace.contains("org.apache.kafka.common.errors.RecordTooLargeException: "), "{trace}");
        }
        drop(std::fs::remove_file(path));
    }

    let name = unique("compression_admin");
    let path = std::env::temp_dir().join(&name);
    std::fs::write(&path, "one\n").unwrap();
    let nowhere = json!({
        "admin.override.bootstrap.servers": "127.0.0.1:1",
        "admin.override.default.api.timeout.ms": "2000",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "1",
    });
    worker.api().create(&name, &with(file_source(&path, &name), &nowhere)).await.unwrap();
    let status = worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains(&format!("describe topics '{name}'")), "{trace}");
    drop(std::fs::remove_file(path));
}

async fn under(policy: &[(&str, &str)]) -> Worker {
    let mut setup = WorkerSetup::new(&unique("policy"), &Servers::shared().kafka.bootstrap).unwrap();
    for (key, value) in policy {
        setup = setup.with(&format!("connector.client.config.override.{key}"), value);
    }
    Worker::start(setup).await.unwrap()
}

/// The names that a worker refuses to have overridden, of three.
async fn refused(worker: &Worker) -> Vec<String> {
    let changes = json!({
        "producer.override.linger.ms": "7",
        "producer.override.sasl.mechanism": "PLAIN",
        "producer.override.client.id": "x",
    });
    let config = with(file_source(Path::new("/nowhere"), "t"), &changes);
    let config = with(config, &json!({"name": "n"}));
    let answer = worker.api().put("/connector-plugins/FileStreamSourceConnector/config/validate", Some(&config)).await;
    let body = answer.unwrap().expect(&[200]).unwrap().body;
    let mut refused = Vec::new();
    for entry in body["configs"].as_array().unwrap() {
        for error in entry["value"]["errors"].as_array().unwrap() {
            let (name, error) = (entry["value"]["name"].as_str().unwrap(), error.as_str().unwrap());
            let key = name.trim_start_matches("producer.override.");
            assert!(
                error.ends_with(&format!(
                    "policy does not allow '{key}' to be overridden in the connector configuration."
                ))
            );
            refused.push(key.to_owned());
        }
    }
    refused.sort();
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_policy_decides_what_may_be_overridden() {
    let class = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
    let principal = under(&[("policy", class)]).await;
    assert_eq!(refused(&principal).await, ["client.id", "linger.ms"]);
    let none = under(&[("policy", "None")]).await;
    assert_eq!(refused(&none).await, ["client.id", "linger.ms", "sasl.mechanism"]);
    let list = under(&[("policy", "Allowlist"), ("allowlist", "linger.ms, client.id")]).await;
    assert_eq!(refused(&list).await, ["sasl.mechanism"]);
    let body = json!({"name": "n", "config": with(
        file_source(Path::new("/nowhere"), "t"),
        &json!({"producer.override.sasl.mechanism": "PLAIN"}),
    )});
    let answer = list.api().post("/connectors", &body).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(
        answer.message().contains("The 'Allowlist' policy does not allow 'sasl.mechanism' to be overridden"),
        "{}",
        answer.text
    );
}
