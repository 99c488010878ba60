//! Tables that are wider, rows that are longer, and databases that have more tables than usual.

use integration_tests::testbed::eventually_async;
use serde_json::{Value, json};

use crate::support::{self, payload, source, topics, unique, wait_records, with};

const COLUMNS: usize = 1_000;
const TABLES: usize = 300;
/// Above what a producer, and a topic, take unless they are told otherwise.
const LONG_ROW: usize = 3 * 1024 * 1024;
/// Below what a broker takes in one request, unless it is told otherwise (`socket.request.max.bytes`, 100 MiB).
const LONGER_ROW: usize = 60 * 1024 * 1024;

/// The `after` of each event of a topic.
fn rows(topic: &str) -> Vec<Value> {
    let records = topics().read(topic).unwrap();
    records.iter().map(|record| payload(&record.json())["after"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_columns_arrive_each_in_its_place() {
    let (worker, topics, name) = (support::worker("wide").await, topics(), unique("wide"));
    let (address, client) = support::database(&name).await;
    // One of five is text, of which every other is null.
    let columns = (1..COLUMNS).map(|i| format!("c{i} {}", if i % 5 == 0 { "text" } else { "int" }));
    let columns = columns.collect::<Vec<_>>().join(", ");
    client.batch_execute(&format!("create table t (id int primary key, {columns})")).await.unwrap();
    let values = (1..COLUMNS).map(|i| match i % 10 {
        0 => "null".to_owned(),
        5 => format!("'text ' || i + {i}"),
        _ => format!("i + {i}"),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let insert = |from, to| format!("insert into t select i, {values} from generate_series({from}, {to}) i");
    client.batch_execute(&insert(1, 50)).await.unwrap();
    worker.api().create(&name, &source(&address, &name, "public.t")).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 50).await;
    client.batch_execute(&insert(51, 100)).await.unwrap();
    wait_records(&topics, &topic, 100).await;

    let rows = rows(&topic);
    assert_eq!(rows.len(), 100);
    for (row, id) in rows.iter().zip(1..) {
        let row = row.as_object().unwrap();
        assert_eq!(row.len(), COLUMNS);
        assert_eq!(row["id"], id);
        for i in 1..COLUMNS {
            let expected = match i % 10 {
                0 => Value::Null,
                5 => json!(format!("text {}", id + i)),
                _ => json!(id + i),
            };
            assert_eq!(row[&format!("c{i}")], expected, "column {i} of row {id}");
        }
    }
    worker.api().remove(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_above_kafkas_limits_fails_with_what_to_raise_and_passes_once_that_is_raised() {
    let (worker, topics, name) = (support::worker("long").await, topics(), unique("long"));
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key, body text)").await.unwrap();
    let insert = |id, size: usize| format!("insert into t values ({id}, repeat('x', {size}))");
    client.batch_execute(&insert(1, 10)).await.unwrap();
    let config = source(&address, &name, "public.t");
    worker.api().create(&name, &config).await.unwrap();
    let topic = format!("{name}.public.t");
    wait_records(&topics, &topic, 1).await;
    client.batch_execute(&insert(2, LONG_ROW)).await.unwrap();
    let trace = eventually_async("the task to fail", support::ARRIVAL, async || {
        let status = worker.api().status(&name).await.map_err(|failure| failure.to_string())?;
        let task = &status["tasks"][0];
        if task["state"] == "FAILED" { Ok(task["trace"].to_string()) } else { Err(task["state"].to_string()) }
    });
    let trace = trace.await.unwrap();
    assert!(trace.contains("RecordTooLargeException") && trace.contains("max.request.size"), "{trace}");

    // A topic of its own for long rows, as a user would make it.
    let raised = json!({
        "producer.override.max.request.size": "100000000",
        "producer.override.buffer.memory": "200000000",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.max.message.bytes": "100000000",
        "topic.prefix": format!("{name}_long"),
    });
    worker.api().remove(&name).await.unwrap();
    client.batch_execute(&insert(3, LONGER_ROW)).await.unwrap();
    let other = format!("{name}_long");
    worker.api().create(&other, &with(config, &raised)).await.unwrap();
    let topic = format!("{other}.public.t");
    wait_records(&topics, &topic, 3).await;
    client.batch_execute("update t set id = id + 10 where id = 3").await.unwrap();
    wait_records(&topics, &topic, 6).await;
    let lengths: Vec<_> = rows(&topic).iter().map(|row| row["body"].as_str().map(str::len)).collect();
    assert_eq!(lengths[..3], [Some(10), Some(LONG_ROW), Some(LONGER_ROW)]);
    worker.api().remove(&other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_tables_arrive_in_topics_of_their_own() {
    let (worker, topics, name) = (support::worker("many").await, topics(), unique("many"));
    let (address, client) = support::database(&name).await;
    let make = (0..TABLES).map(|i| format!("create table t{i} (id int primary key); insert into t{i} values ({i});"));
    client.batch_execute(&make.collect::<String>()).await.unwrap();
    worker.api().create(&name, &source(&address, &name, "public.t.*")).await.unwrap();
    let all = |count: i64| {
        let (topics, name) = (&topics, &name);
        async move {
            let what = format!("{count} records in each of {TABLES} topics");
            eventually_async(&what, 3 * support::ARRIVAL, async || {
                for i in 0..TABLES {
                    let end = topics.end(&format!("{name}.public.t{i}")).map_err(|failure| failure.to_string())?;
                    if end < count {
                        return Err(format!("{end} records of t{i}"));
                    }
                }
                Ok(())
            })
            .await
            .unwrap();
        }
    };
    all(1).await;
    let change = (0..TABLES).map(|i| format!("insert into t{i} values (-{i} - 1);"));
    client.batch_execute(&change.collect::<String>()).await.unwrap();
    all(2).await;
    worker.api().remove(&name).await.unwrap();
}
