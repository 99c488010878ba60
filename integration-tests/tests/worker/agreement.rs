//! Whether the last event of each key in a topic is the row of a table.

use std::collections::BTreeMap;

use integration_tests::testbed::{Topics, eventually_moving};
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::{ARRIVAL, payload};

/// Rows by their keys. Their columns have to look the same in JSON at both ends: numbers, texts, UUIDs.
pub(crate) type Rows = BTreeMap<String, Value>;

/// The key of a row as a text.
pub(crate) fn key_of(row: &Value, key: &[&str]) -> String {
    Value::from_iter(key.iter().map(|column| row[*column].clone())).to_string()
}

/// The rows of a table.
pub(crate) async fn rows(client: &Client, table: &str, key: &[&str]) -> Rows {
    let found = client.query(&format!("select to_jsonb(t)::text from {table} t"), &[]).await.unwrap();
    let row = |row: &tokio_postgres::Row| serde_json::from_str::<Value>(row.get(0)).unwrap();
    found.iter().map(row).map(|row| (key_of(&row, key), row)).collect()
}

/// The row of each key, after all events.
pub(crate) fn last_state(topics: &Topics, topic: &str, key: &[&str]) -> Rows {
    let mut state = Rows::new();
    for record in topics.read(topic).unwrap() {
        let event = record.json();
        let event = payload(&event);
        if event["after"].is_object() {
            state.insert(key_of(&event["after"], key), event["after"].clone());
        } else if event["before"].is_object() {
            state.remove(&key_of(&event["before"], key));
        }
    }
    state
}

/// Rows that the state lacks or has otherwise, and keys that it has too many; a few of each.
pub(crate) fn differences(rows: &Rows, state: &Rows) -> (Vec<String>, Vec<String>) {
    let missing = rows.iter().filter(|(key, row)| state.get(*key) != Some(row));
    let missing = missing.take(5).map(|(key, row)| format!("{row} is {:?}", state.get(key)));
    (missing.collect(), state.keys().filter(|key| !rows.contains_key(*key)).take(5).cloned().collect())
}

/// Waits until the topic's last event of every key is the table's row, for as long as there come more events.
pub(crate) async fn same_state(client: &Client, topics: &Topics, table: &str, topic: &str, key: &[&str]) {
    let rows = rows(client, table, key).await;
    eventually_moving(&format!("the last state in {topic} to be the table's"), ARRIVAL, async || {
        let (missing, extra) = differences(&rows, &last_state(topics, topic, key));
        if missing.is_empty() && extra.is_empty() { Ok(()) } else { Err((topics.end(topic).unwrap(), missing, extra)) }
    })
    .await
    .unwrap();
}
