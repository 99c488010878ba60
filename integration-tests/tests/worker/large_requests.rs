//! Records that are too large for a request to the broker, which closes the connection over them without a word.

use std::io::Write as _;

use integration_tests::testbed::{Kafka, Topics, Worker, WorkerSetup};
use serde_json::json;

use crate::support::{file_source, unique, wait_records, with};

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
    let lengths = |topic: &str| -> Vec<_> {
        let records = topics.read(topic).unwrap();
        records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).collect()
    };

    worker.api().create("strict", &config("strict")).await.unwrap();
    let failed = worker.api().wait_for("strict", "RUNNING", &["FAILED"]).await.unwrap();
    let trace = failed["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("RecordTooLargeException: The message needs a request of 3000"), "{trace}");
    let setting =
        format!("larger than {LIMIT}, which is the value of the socket.request.max.bytes configuration of broker 1");
    assert!(trace.contains(&setting), "{trace}");
    // A worker that lost touch with the group meanwhile began once more, and sent that again.
    let mut before = lengths("strict");
    before.dedup();
    assert_eq!(before, [5], "what came before it");

    let tolerant = json!({"errors.tolerance": "all", "errors.log.enable": "true"});
    worker.api().create("tolerant", &with(config("tolerant"), &tolerant)).await.unwrap();
    wait_records(&topics, "tolerant", 2).await;
    assert_eq!(lengths("tolerant"), [5, 4]);
    worker.api().wait_running("tolerant").await.unwrap();
    let log = std::fs::read_to_string(worker.process().log()).unwrap();
    assert!(log.contains("socket.request.max.bytes configuration of broker 1"), "the record that was skipped is told");

    // What is small on the wire is not refused for what it was before.
    let compressed = json!({"producer.override.compression.type": "gzip"});
    worker.api().create("compressed", &with(config("compressed"), &compressed)).await.unwrap();
    wait_records(&topics, "compressed", 3).await;
    assert_eq!(lengths("compressed"), [5, LONG_LINE, 4]);
}
