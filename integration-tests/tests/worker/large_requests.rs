//! Records that are too large for a request to the broker, which closes the connection over them without a word.

use std::collections::BTreeSet;
use std::io::Write as _;

use integration_tests::testbed::{Kafka, Topics, Worker, WorkerSetup, eventually_async};
use serde_json::json;

use crate::support::{ARRIVAL, file_source, unique, with};

/// The most that the broker takes: enough for its own business.
const LIMIT: usize = 2_000_000;
const LONG_LINE: usize = 3_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_above_what_the_broker_takes_in_a_request_fails_with_the_brokers_setting_or_is_tolerated() {
    let name = unique("requests");
    let kafka = Kafka::start_with(&name, &[&format!("socket.request.max.bytes={LIMIT}")]).unwrap();
    let worker = Worker::start(WorkerSetup::new(&name, &kafka.bootstrap).unwrap()).await.unwrap();
    let topics = Topics::new(&kafka.bootstrap).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "first\n{}\nlast\n", "x".repeat(LONG_LINE)).unwrap();
    let config = |topic: &str| {
        let room = json!({
            "producer.override.max.request.size": "10000000",
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.max.message.bytes": "10000000",
        });
        with(file_source(file.path(), topic), &room)
    };
    // Each once: a worker that lost touch with the group meanwhile begins once more, and sends again what it had sent.
    let lengths = |topic: &str| -> Vec<_> {
        let records = topics.read(topic).unwrap();
        let mut known = BTreeSet::new();
        let lengths = records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len));
        lengths.filter(|length| known.insert(*length)).collect()
    };
    let arrives = async |topic: &str, expected: &[usize]| {
        eventually_async(&format!("{expected:?} in {topic}"), ARRIVAL, async || match lengths(topic) {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await
        .unwrap();
    };

    worker.api().create("strict", &config("strict")).await.unwrap();
    let failed = worker.api().wait_for("strict", "RUNNING", &["FAILED"]).await.unwrap();
    let trace = failed["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("RecordTooLargeException: The message needs a request of 3000"), "{trace}");
    let setting =
        format!("larger than {LIMIT}, which is the value of the socket.request.max.bytes configuration of broker 1");
    assert!(trace.contains(&setting), "{trace}");
    assert_eq!(lengths("strict"), [5], "what came before it");

    let tolerant = json!({"errors.tolerance": "all", "errors.log.enable": "true"});
    worker.api().create("tolerant", &with(config("tolerant"), &tolerant)).await.unwrap();
    arrives("tolerant", &[5, 4]).await;
    worker.api().wait_running("tolerant").await.unwrap();
    let log = std::fs::read_to_string(worker.process().log()).unwrap();
    assert!(log.contains("socket.request.max.bytes configuration of broker 1"), "the record that was skipped is told");

    // What is small on the wire is not refused for what it was before.
    let compressed = json!({"producer.override.compression.type": "gzip"});
    worker.api().create("compressed", &with(config("compressed"), &compressed)).await.unwrap();
    arrives("compressed", &[5, LONG_LINE, 4]).await;
}
