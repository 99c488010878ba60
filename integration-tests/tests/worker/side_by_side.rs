//! A snapshot of several tables at a time, with the other settings that prepare a stream.

use serde_json::json;

use crate::support::{self, op_of, payload, source, topics, unique, wait_records, with};

const ROWS: i64 = 3000;

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_read_side_by_side_are_whole_and_in_order_and_the_stream_follows() {
    let (worker, topics, name) = (support::worker("beside").await, topics(), unique("beside"));
    let (address, client) = support::database(&name).await;
    for table in ["a", "b", "c", "d"] {
        let make = format!(
            "create table {table} (id int primary key, label text); \
             insert into {table} select id, 'before' from generate_series(1, {ROWS}) id"
        );
        client.batch_execute(&make).await.unwrap();
    }
    client.batch_execute("create table empty (id int primary key)").await.unwrap();
    let config = with(
        source(&address, &name, "public.*"),
        &json!({
            "snapshot.max.threads": "3",
            "snapshot.locking.mode": "shared",
            "replica.identity.autoset.values": "public\\.[ab]:FULL",
            "xmin.fetch.interval.ms": "1",
            "guardrail.collections.max": "5",
            "guardrail.collections.limit.action": "fail",
        }),
    );
    worker.api().create("s", &config).await.unwrap();
    let mut last = 0;
    for table in ["a", "b", "c", "d"] {
        let topic = format!("{name}.public.{table}");
        wait_records(&topics, &topic, ROWS).await;
        let events: Vec<_> = topics.read(&topic).unwrap().iter().map(|record| record.json()).collect();
        let ids: Vec<i64> = events.iter().map(|event| payload(event)["after"]["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..=ROWS).collect::<Vec<_>>(), "rows of table {table}");
        last += events.iter().filter(|event| payload(event)["source"]["snapshot"] == "last").count();
    }
    assert_eq!(last, 1, "one row is the last of all");

    client.batch_execute("update a set label = 'after' where id = 7").await.unwrap();
    let topic = format!("{name}.public.a");
    wait_records(&topics, &topic, ROWS + 1).await;
    let records = topics.read(&topic).unwrap();
    let update = records.last().unwrap().json();
    let event = payload(&update);
    assert_eq!((op_of(&update), &event["before"]), ("u", &json!({"id": 7, "label": "before"})));
    assert!(event["source"]["xmin"].as_i64().is_some_and(|xmin| xmin > 0), "{}", event["source"]);
    worker.api().remove("s").await.unwrap();
}
