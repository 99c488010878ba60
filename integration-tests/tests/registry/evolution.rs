//! Tables and topics whose schemas change: new versions, changes that the registry refuses, records that nobody can read.

use bson::{Document, doc};
use integration_tests::testbed::{Topics, Worker, eventually_async};
use serde_json::{Value, json};

use crate::records::{AVRO, JSON_SCHEMA, bytes_of};
use crate::support::{
    ARRIVAL, ask, collection, database, plain_sink, produce, schema, set_level, sink, source, topics, unique, url,
    versions, wait_documents, wait_failed, wait_job_error, wait_records, wait_running, with, worker,
};

const ERRORS: &str = "__connect.errors.exception";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_makes_versions_and_right_documents() {
    let (worker, topics, name) = (worker("evolving", url(), &[]).await, topics(), unique("evolving"));
    let (address, client) = database(&name).await;
    let topic = format!("{name}.public.t");
    let subject = format!("{topic}-value");
    let table = "create table t (id int primary key, name text not null); insert into t values (1, 'a')";
    client.batch_execute(table).await.unwrap();
    worker.api().create("from", &source(&address, &name, "public.t")).await.unwrap();
    worker.api().create("to", &sink(&name)).await.unwrap();
    let documents = collection(&name, &topic).await;
    let first = doc! {"_id": {"id": 1}, "name": "a"};
    wait_documents(&documents, std::slice::from_ref(&first)).await;
    assert_eq!(versions(url(), &subject).await, [1]);

    client.batch_execute("alter table t add column note text; insert into t values (2, 'b', 'n')").await.unwrap();
    let noted = doc! {"_id": {"id": 2}, "name": "b", "note": "n"};
    wait_documents(&documents, &[first.clone(), noted.clone()]).await;
    assert_eq!(versions(url(), &subject).await, [1, 2]);

    let change = "alter table t add column level int not null default 7; insert into t (id, name) values (3, 'c')";
    client.batch_execute(change).await.unwrap();
    let levelled = doc! {"_id": {"id": 3}, "name": "c", "note": null, "level": 7};
    wait_documents(&documents, &[first.clone(), noted, levelled.clone()]).await;
    assert_eq!(versions(url(), &subject).await, [1, 2, 3]);
    let level = field(&schema(url(), &subject, 3).await, "level");
    assert_eq!(level["default"], 7, "what made the change compatible: {level}");

    client.batch_execute("alter table t drop column note; update t set name = 'bb' where id = 2").await.unwrap();
    let updated = doc! {"_id": {"id": 2}, "name": "bb", "level": 7};
    wait_documents(&documents, &[first, updated, levelled]).await;
    assert_eq!(versions(url(), &subject).await, [1, 2, 3, 4]);
    assert_eq!(versions(url(), &format!("{topic}-key")).await, [1], "the key is the same all the time");

    let expected = [
        json!({"id": 1, "name": "a"}),
        json!({"id": 2, "name": "b", "note": "n"}),
        json!({"id": 3, "name": "c", "note": null, "level": 7}),
        json!({"id": 2, "name": "bb", "level": 7}),
    ];
    let rows = tokio::task::block_in_place(|| rows(&topics, &topic));
    assert_eq!(rows, expected, "each record with the version that it was written with");
    for connector in ["to", "from"] {
        wait_running(&worker, connector).await;
        worker.api().remove(connector).await.unwrap();
    }
}

/// A field of the row in an event's schema.
fn field(event: &Value, name: &str) -> Value {
    let named = |fields: &Value, name: &str| {
        let found = fields.as_array().unwrap().iter().find(|field| field["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {fields}")).clone()
    };
    let before = named(&event["fields"], "before");
    let row = before["type"].as_array().unwrap().iter().find(|member| member.is_object()).unwrap();
    named(&row["fields"], name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incompatible_change_is_told_in_the_registrys_words_and_can_be_allowed() {
    let (worker, topics, strict, tolerant) =
        (worker("refused", url(), &[]).await, topics(), unique("strict"), unique("tolerant"));
    let (address, client) = database(&strict).await;
    let tables =
        "create table t (id int primary key); insert into t values (1); create table later (id int primary key)";
    client.batch_execute(tables).await.unwrap();
    worker.api().create(&strict, &source(&address, &strict, "public.t")).await.unwrap();
    let tolerance = with(source(&address, &tolerant, "public.t,public.later"), &json!({"errors.tolerance": "all"}));
    worker.api().create(&tolerant, &tolerance).await.unwrap();
    let [refused, skipped] = [&strict, &tolerant].map(|name| format!("{name}.public.t"));
    for count in 1..=2 {
        for topic in [&refused, &skipped] {
            wait_records(&topics, topic, count).await;
        }
        if count == 1 {
            client.batch_execute("insert into t values (5)").await.unwrap();
        }
    }
    wait_streaming(&worker, &strict).await;

    // What was written before has no such field, and the schema does not say what to read in its place.
    let change = "alter table t add column must text not null default ''; alter table t alter column must drop default;
                  insert into t values (2, 'x'); insert into later values (1)";
    client.batch_execute(change).await.unwrap();
    let trace = wait_failed(&worker, &strict).await;
    for part in [
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler",
        &format!("org.apache.kafka.connect.errors.DataException: Failed to serialize Avro data from topic {refused}:"),
        &format!("Error registering Avro schema for subject {refused}-value"),
        "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: ",
        "; error code: 409",
    ] {
        assert!(trace.contains(part), "{part} is not in:\n{trace}");
    }
    // Confluent's registry: "Schema being registered is incompatible with an earlier schema". Apicurio's: "Incompatible artifact".
    assert!(trace.to_lowercase().contains("incompatible"), "{trace}");
    let error = wait_job_error(&worker, &strict).await;
    let remedy = error["remedy"].as_str().unwrap();
    assert!(error["code"] == "schema" && remedy.contains("compatibility level of the subject"), "{error}");
    assert_eq!(versions(url(), &format!("{refused}-value")).await, [1]);

    // Not NONE: for Apicurio's registry that means the level of all subjects.
    set_level(url(), &format!("{refused}-value"), "FORWARD").await;
    let restart = worker.api().post(&format!("/connectors/{strict}/tasks/0/restart"), &Value::Null).await.unwrap();
    restart.expect(&[202, 204]).unwrap();
    wait_rows(&refused, &[json!({"id": 1}), json!({"id": 5}), json!({"id": 2, "must": "x"})]).await;
    // The other one has left the record out, and goes on. It is past it when the table behind it has arrived.
    wait_records(&topics, &format!("{tolerant}.public.later"), 1).await;
    client.batch_execute("alter table t drop column must; insert into t values (3)").await.unwrap();
    wait_rows(&skipped, &[json!({"id": 1}), json!({"id": 5}), json!({"id": 3})]).await;
    wait_running(&worker, &tolerant).await;
    let all = [json!({"id": 1}), json!({"id": 5}), json!({"id": 2, "must": "x"}), json!({"id": 3})];
    wait_rows(&refused, &all).await;
    assert_eq!(versions(url(), &format!("{refused}-value")).await, [1, 2], "the third record's is the first again");
    assert_eq!(versions(url(), &format!("{skipped}-value")).await, [1]);
    for connector in [strict, tolerant] {
        worker.api().remove(&connector).await.unwrap();
    }
}

/// Waits until the position that a source has stored is one of the stream: a restart takes no snapshot again.
async fn wait_streaming(worker: &Worker, name: &str) {
    eventually_async(&format!("a stored position of {name}"), ARRIVAL, async || {
        let path = format!("/connectors/{name}/offsets");
        let answer = worker.api().get(&path).await.map_err(|failure| failure.to_string())?;
        let offset = &answer.body["offsets"][0]["offset"];
        let streaming = offset["lsn"].is_number() && offset.get("snapshot").is_none_or(Value::is_null);
        if streaming { Ok(()) } else { Err(answer.text) }
    })
    .await
    .unwrap();
}

/// Waits until the events of a topic, as the other client reads them, have these rows. After a failure a row may come again.
async fn wait_rows(topic: &str, expected: &[Value]) {
    let topics = topics();
    eventually_async(&format!("the rows in {topic}"), ARRIVAL, async || {
        let found = tokio::task::block_in_place(|| rows(&topics, topic));
        let mut seen = Vec::new();
        for row in found {
            if !seen.contains(&row) {
                seen.push(row);
            }
        }
        if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
    .unwrap();
}

/// The rows in the events of a topic, as the other client reads them.
fn rows(topics: &Topics, topic: &str) -> Vec<Value> {
    let records = topics.read(topic).unwrap();
    let orders: Vec<Value> =
        records.iter().map(|record| AVRO.to_read(topic, record.value.as_deref().unwrap())).collect();
    ask(&orders).iter().map(|answer| answer["value"]["after"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_schema_in_the_registry_are_dead_letters() {
    let (worker, topics, topic) = (worker("letters", url(), &[]).await, topics(), unique("letters"));
    let queue = format!("{topic}_dead");
    let record = r#"{"type": "record", "name": "Row", "fields": [{"name": "_id", "type": "int"}, {"name": "v", "type": "string"}]}"#;
    let other = r#"{"title": "Row", "type": "object", "properties": {"_id": {"type": "integer"}}}"#;
    let answers = tokio::task::block_in_place(|| {
        ask(&[
            AVRO.to_write(&topic, record, json!({"_id": 1, "v": "a"})),
            AVRO.to_write(&topic, record, json!({"_id": 2, "v": "b"})),
            JSON_SCHEMA.to_write(&format!("{topic}_json"), other, json!({"_id": 3})),
        ])
    });
    let [first, second, foreign] = [0, 1, 2].map(|at| bytes_of(&answers[at]).to_vec());
    let bad = [b"\0\x7f\xff\xff\xff\x02\x02a".to_vec(), b"no record of Avro".to_vec(), foreign];
    topics.create(&topic, 1).await.unwrap();
    produce(&topic, &[&[first][..], &bad, &[second]].concat()).await;
    let tolerant = json!({
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    worker.api().create(&topic, &with(plain_sink(&topic), &tolerant)).await.unwrap();
    let expected: [Document; 2] = [doc! {"_id": 1, "v": "a"}, doc! {"_id": 2, "v": "b"}];
    wait_documents(&collection(&topic, "c").await, &expected).await;
    wait_records(&topics, &queue, 3).await;
    wait_running(&worker, &topic).await;
    let letters = topics.read(&queue).unwrap();
    assert_eq!(letters.iter().map(|letter| letter.value.clone().unwrap()).collect::<Vec<_>>(), bad);
    let reasons =
        ["Error retrieving Avro value schema for id 2147483647", "Unknown magic byte!", "one of type JSON, not AVRO"];
    for (letter, reason) in letters.iter().zip(reasons) {
        assert_eq!(letter.header(&format!("{ERRORS}.class.name")), "org.apache.kafka.connect.errors.DataException");
        let trace = letter.header(&format!("{ERRORS}.stacktrace"));
        assert!(trace.contains(reason), "{reason} is not in:\n{trace}");
    }
    assert!(letters[0].header(&format!("{ERRORS}.stacktrace")).contains("; error code: 40403"), "the registry's code");

    // Without tolerance the same record fails the task.
    let failing = unique("failing");
    worker.api().create(&failing, &plain_sink(&topic)).await.unwrap();
    let trace = wait_failed(&worker, &failing).await;
    for part in ["Tolerance exceeded in error handler", reasons[0], "; error code: 40403"] {
        assert!(trace.contains(part), "{part} is not in:\n{trace}");
    }
    for connector in [topic, failing] {
        worker.api().remove(&connector).await.unwrap();
    }
}
