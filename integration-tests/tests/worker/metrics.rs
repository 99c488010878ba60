//! Metrics over HTTP, from connectors that have moved data, and the log lines that belong to them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use integration_tests::testbed::{Servers, Worker, WorkerSetup, eventually_async, ports};
use serde_json::json;

use crate::support::{self, ARRIVAL, database, file_source, source, topics, unique, wait_records};

/// What Prometheus sends.
pub(crate) const SCRAPER: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

/// Status, type and text of a page, as somebody gets it who takes these types.
pub(crate) async fn get(url: &str, accept: &str) -> (u16, String, String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
    let answer = client.get(url).header("accept", accept).send().await.unwrap();
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

/// The samples of a scrape.
async fn scrape(worker: &Worker) -> BTreeMap<String, f64> {
    let (status, _, text) = get(&format!("{}/metrics", worker.api().base()), SCRAPER).await;
    assert_eq!(status, 200, "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Waits until these samples have these values.
async fn wait_for(worker: &Worker, expected: &[(String, f64)]) {
    eventually_async("the metrics", ARRIVAL, async || {
        let shown = scrape(worker).await;
        let wrong: Vec<_> = expected.iter().filter(|(name, value)| shown.get(name) != Some(value)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let found: Vec<_> = wrong.iter().map(|(name, _)| shown.get(name)).collect();
        Err(format!("{wrong:?}, found {found:?}"))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_and_a_sink_did_is_counted() {
    let worker = support::worker("metrics").await;
    let (from, to) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let topic = unique("metrics_topic");
    worker.api().create("m-source", &file_source(from.path(), &topic)).await.unwrap();
    let sink = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "file": to.path().display().to_string(),
        "topics": topic,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    worker.api().create("m-sink", &sink).await.unwrap();
    worker.api().wait_running("m-source").await.unwrap();
    worker.api().wait_running("m-sink").await.unwrap();
    for line in 0..50 {
        writeln!(&from, "line {line}").unwrap();
    }
    wait_records(&topics(), &topic, 50).await;
    let sample = |name: &str, connector: &str| format!("{name}{{connector=\"{connector}\",task=\"0\"}}");
    wait_for(
        &worker,
        &[
            (sample("kafka_connect_source_task_source_record_poll_total", "m-source"), 50.0),
            (sample("kafka_connect_source_task_source_record_write_total", "m-source"), 50.0),
            (sample("kafka_connect_source_task_source_record_active_count", "m-source"), 0.0),
            (sample("kafka_connect_source_task_metrics_source_record_write", "m-source"), 50.0),
            (sample("kafka_connect_sink_task_sink_record_read_total", "m-sink"), 50.0),
            (sample("kafka_connect_sink_task_sink_record_send_total", "m-sink"), 50.0),
            (sample("kafka_connect_sink_task_partition_count", "m-sink"), 1.0),
            // Its offsets are committed every second here.
            (sample("kafka_connect_sink_task_sink_record_active_count", "m-sink"), 0.0),
            (sample("kafka_connect_sink_task_sink_record_lag_max", "m-sink"), 0.0),
            ("kafka_connect_worker_connector_count".to_owned(), 2.0),
            ("kafka_connect_worker_task_count".to_owned(), 2.0),
            ("kafka_connect_worker_task_startup_success_total".to_owned(), 2.0),
            ("kafka_connect_connector_status{connector=\"m-sink\",status=\"running\"}".to_owned(), 1.0),
            ("kafka_connect_worker_rebalance_rebalancing".to_owned(), 0.0),
        ],
    )
    .await;
    let shown = scrape(&worker).await;
    assert!(shown["kafka_connect_worker_rebalance_completed_rebalances_total"] >= 1.0);
    assert!(shown[&sample("kafka_connect_source_task_source_record_write_rate", "m-source")] > 0.0);
    let sent = shown.iter().filter(|(name, _)| name.starts_with("kafka_producer_outgoing_byte_total"));
    assert!(sent.map(|(_, bytes)| bytes).sum::<f64>() > 0.0);

    assert_eq!(worker.api().put("/connectors/m-source/pause", None).await.unwrap().status, 202);
    let paused = "kafka_connect_connector_task_status{connector=\"m-source\",task=\"0\",status=\"paused\"}";
    wait_for(&worker, &[(paused.to_owned(), 1.0)]).await;
    assert_eq!(worker.api().delete("/connectors/m-source").await.unwrap().status, 204);
    wait_for(&worker, &[("kafka_connect_worker_connector_count".to_owned(), 1.0)]).await;
    // Its task counts until it has ended.
    eventually_async("nothing of the connector to be shown", ARRIVAL, async || {
        let left: Vec<String> =
            scrape(&worker).await.into_keys().filter(|name| name.contains("connector=\"m-source\"")).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fails_is_seen_to_have_failed() {
    let worker = support::worker("metrics_failed").await;
    let config = support::with(
        file_source(std::path::Path::new("/nowhere"), &unique("t")),
        &json!({
            "transforms": "cast", "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value", "transforms.cast.spec": "int32",
        }),
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    writeln!(&file, "no number").unwrap();
    let config = support::with(config, &json!({"file": file.path().display().to_string()}));
    worker.api().create("failing", &config).await.unwrap();
    wait_for(
        &worker,
        &[
            ("kafka_connect_worker_connector_failed_task_count{connector=\"failing\"}".to_owned(), 1.0),
            ("kafka_connect_connector_task_status{connector=\"failing\",task=\"0\",status=\"failed\"}".to_owned(), 1.0),
            ("kafka_connect_task_error_total_record_errors{connector=\"failing\",task=\"0\"}".to_owned(), 1.0),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_listeners_of_their_own_and_the_api_keeps_the_jvms_404() {
    let port = ports::free().unwrap();
    let setup = WorkerSetup::new(&unique("metrics_port"), &Servers::shared().kafka.bootstrap).unwrap();
    let setup = setup
        .with("metrics.listeners", &format!("http://127.0.0.1:{port}"))
        .with("metrics.prometheus.dialects", "reporter")
        .with("log.format", "json");
    let worker = Worker::start(setup).await.unwrap();
    let api = format!("{}/metrics", worker.api().base());
    for accept in ["*/*", "application/json"] {
        let (status, _, text) = get(&api, accept).await;
        assert_eq!(
            (status, text.as_str()),
            (404, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"),
            "{accept}"
        );
    }
    let (status, kind, text) = get(&api, "text/plain").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(text.contains("kafka_connect_connect_worker_metrics_connector_count 0\n"), "{text}");
    assert!(!text.contains("kafka_connect_worker_connector_count"), "only the dialect that was asked for");
    let (status, kind, text) = get(&format!("http://127.0.0.1:{port}/metrics"), "*/*").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(text.contains("process_cpu_seconds_total "), "{text}");
    let (_, kind, text) = get(&format!("http://127.0.0.1:{port}/metrics"), SCRAPER).await;
    assert!(kind.starts_with("application/openmetrics-text") && text.ends_with("# EOF\n"), "{kind}");

    let log = std::fs::read_to_string(worker.process().log()).unwrap();
    let line = log.lines().find(|line| line.contains("worker started")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("INFO"), Some("worker started")));
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_of_loggers_and_connectors_reach_the_log() {
    let worker = support::worker("levels").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    worker.api().create("quiet", &file_source(file.path(), &unique("t"))).await.unwrap();
    worker.api().wait_running("quiet").await.unwrap();
    let log = || std::fs::read_to_string(worker.process().log()).unwrap();
    assert!(!log().contains("] DEBUG "), "nothing below INFO at first");
    let path = "/admin/loggers/org.apache.kafka.connect";
    let set = worker.api().put(path, Some(&json!({"level": "TRACE"}))).await.unwrap();
    assert_eq!(set.status, 200, "{}", set.text);
    assert!(set.body.as_array().unwrap().contains(&json!("org.apache.kafka.connect")), "{}", set.text);
    let set = worker.api().put("/admin/loggers/connector.loud", Some(&json!({"level": "TRACE"}))).await.unwrap();
    assert_eq!((set.status, set.body), (200, json!(["connector.loud"])));
    worker.api().create("loud", &file_source(file.path(), &unique("t"))).await.unwrap();
    worker.api().wait_running("loud").await.unwrap();
    eventually_async("lines of the task", ARRIVAL, async || {
        let text = log();
        let found = text.lines().any(|line| line.contains(" [loud|task-0] "));
        if found { Ok(()) } else { Err(text) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_source_shows_its_snapshot_and_its_stream() {
    let worker = support::worker("metrics_pg").await;
    let name = unique("metrics_pg");
    let (address, client) = database(&name).await;
    client.batch_execute("CREATE TABLE orders (id int primary key, name text); INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 20) n").await.unwrap();
    worker.api().create(&name, &source(&address, &name, "public.orders")).await.unwrap();
    worker.api().wait_running(&name).await.unwrap();
    let of = |attribute: &str, context: &str, more: &str| {
        format!("debezium_metrics_{attribute}{{plugin=\"postgres\",context=\"{context}\",name=\"{name}\"{more}}}")
    };
    wait_for(
        &worker,
        &[
            (of("RowsScanned", "snapshot", ",table=\"public.orders\""), 20.0),
            (of("SnapshotCompleted", "snapshot", ""), 1.0),
            (of("RemainingTableCount", "snapshot", ""), 0.0),
            (of("Connected", "streaming", ""), 1.0),
        ],
    )
    .await;
    client.batch_execute("INSERT INTO orders VALUES (100, 'a'); UPDATE orders SET name = 'b' WHERE id = 100; DELETE FROM orders WHERE id = 1").await.unwrap();
    wait_for(
        &worker,
        &[
            (of("TotalNumberOfEventsSeen", "streaming", ""), 3.0),
            (of("NumberOfUpdateEventsSeen", "streaming", ",table=\"public.orders\""), 1.0),
        ],
    )
    .await;
    let shown = scrape(&worker).await;
    assert!(shown[&of("NumberOfCommittedTransactions", "streaming", "")] >= 1.0);
    assert!(shown[&of("MilliSecondsBehindSource", "streaming", "")] >= 0.0);
    let free = shown[&of("QueueRemainingCapacity", "streaming", "")];
    assert!(free > 0.0 && free <= shown[&of("QueueTotalCapacity", "streaming", "")]);
}
