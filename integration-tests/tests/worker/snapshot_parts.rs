//! A large table that several sessions read at a time: each row once, with the markers of one table.

use integration_tests::testbed::Topics;
use serde_json::json;

use crate::support::{self, payload, source, topics, unique, wait_records, with};

/// More than one part: 16 MB.
const ROWS: i64 = 160_000;
const SMALL: i64 = 100;

/// The ids and markers of a table's reads, in order.
fn reads(topics: &Topics, topic: &str) -> Vec<(i64, String)> {
    let records = topics.read(topic).unwrap();
    let read = |record: &integration_tests::testbed::topics::Stored| {
        let event = record.json();
        let event = payload(&event);
        assert_eq!(event["op"], "r");
        (event["after"]["id"].as_i64().unwrap(), event["source"]["snapshot"].as_str().unwrap().to_owned())
    };
    records.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_table_give_each_row_once_and_the_markers_of_one_table() {
    let (worker, topics, name) = (support::worker("parts").await, topics(), unique("parts"));
    let (address, client) = support::database(&name).await;
    let make = format!(
        "create table big (id int primary key, filler text); \
         insert into big select id, repeat('x', 70) from generate_series(1, {ROWS}) id; \
         create table small (id int primary key); insert into small select generate_series(1, {SMALL})"
    );
    client.batch_execute(&make).await.unwrap();
    for resume in ["false", "true"] {
        let name = format!("{name}_{resume}");
        let changes = json!({
            "snapshot.max.threads": "3", "snapshot.resume.enabled": resume, "value.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "notification.enabled.channels": "sink", "notification.sink.topic.name": format!("{name}.notes"),
        });
        worker.api().create(&name, &with(source(&address, &name, "public.*"), &changes)).await.unwrap();
        let mut markers = Vec::new();
        for (table, rows) in [("big", ROWS), ("small", SMALL)] {
            let topic = format!("{name}.public.{table}");
            wait_records(&topics, &topic, rows).await;
            let reads = reads(&topics, &topic);
            assert_eq!(reads.is_sorted(), table == "small", "the parts of {table} were read one after the other");
            let mut ids: Vec<i64> = reads.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            assert!(ids.into_iter().eq(1..=rows), "rows of {table} are missing, or there twice");
            assert!(reads[1..reads.len() - 1].iter().all(|(_, marker)| marker == "true"), "markers within {table}");
            markers.extend([reads[0].1.clone(), reads[reads.len() - 1].1.clone()]);
        }
        // Which of the tables is done first is a matter of chance.
        let ends = ["last_in_data_collection", "last"].map(str::to_owned);
        assert_eq!((&*markers[0], &*markers[2]), ("first", "first_in_data_collection"));
        assert!(markers[1] != markers[3] && ends.contains(&markers[1]) && ends.contains(&markers[3]), "{markers:?}");
        let notes = topics.read(&format!("{name}.notes")).unwrap();
        let scanned = |note: &integration_tests::testbed::topics::Stored| {
            let note = note.json();
            let data = &payload(&note)["additional_data"];
            let table = data["scanned_collection"].as_str()?.to_owned();
            Some((table, data["total_rows_scanned"].as_str()?.to_owned()))
        };
        let mut scanned: Vec<_> = notes.iter().filter_map(scanned).collect();
        scanned.sort();
        let whole = |table: &str, rows: i64| (format!("public.{table}"), rows.to_string());
        assert_eq!(scanned, [whole("big", ROWS), whole("small", SMALL)], "told once for each table");
        client.batch_execute("insert into small values (-1)").await.unwrap();
        wait_records(&topics, &format!("{name}.public.small"), SMALL + 1).await;
        client.batch_execute("delete from small where id = -1").await.unwrap();
        worker.api().remove(&name).await.unwrap();
    }
}
