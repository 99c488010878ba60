//! From Postgres to MongoDB in each format, and records of the other client in MongoDB.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, doc};
use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Topics, eventually_async};
use serde_json::{Value, json};

use crate::records::{AVRO, Format, JSON_SCHEMA, PROTOBUF, bytes_of};
use crate::support::{
    ARRIVAL, ask, collection, converters, database, plain_sink, produce, sink, source, topics, unique, url, versions,
    wait_documents, wait_running, with, worker,
};

const TABLE: &str = "
create type mood as enum ('fine', 'so so');
create table t (
    id bigint, part int, name text, short smallint, yes boolean, ratio double precision, small real, price numeric(12, 2),
    born date, seen timestamp, at timestamptz, reference uuid, data jsonb, raw bytea, feels mood, primary key (id, part));
insert into t select i, mod(i, 3), 'név ' || i, mod(i, 100), mod(i, 2) = 0, i / 7.0::float8, i / 8.0::float4, i / 100.0,
       date '1969-12-25' + i, timestamp '1969-12-31 23:59:59.5' + i * interval '1.000001 second',
       timestamptz '2024-02-29 12:00:00.25+02' + i * interval '1 minute', md5(i::text)::uuid,
       jsonb_build_object('i', i), decode(md5(i::text), 'hex'), case when mod(i, 2) = 0 then 'fine' else 'so so' end::mood
     from generate_series(1, 20) i;
insert into t (id, part) values (0, 0)";
const CHANGES: &str = "
update t set name = null, price = -price, data = null where id <= 5;
delete from t where id between 8 and 9;
update t set id = id + 100 where id = 10;
insert into t (id, part, name) values (200, 1, 'late')";
/// Six updates, two deletes, a key that changes, an insert.
const OPERATIONS: &str = "uuuuuudddcc";

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_agree_in_each_format() {
    let (worker, topics, base) = (worker("formats", url(), &[]).await, topics(), unique("formats"));
    let plugins = worker.api().get("/connector-plugins?connectorsOnly=false").await.unwrap().expect(&[200]).unwrap();
    let (address, client) = database(&base).await;
    client.batch_execute(TABLE).await.unwrap();
    let mut pipelines = Vec::new();
    for format in [AVRO, JSON_SCHEMA, PROTOBUF] {
        assert!(plugins.text.contains(format.converter), "listed, because the worker's properties name one of them");
        let name = format!("{base}_{}", format.name.to_lowercase());
        // By itself a message of Protobuf does not tell null from empty.
        let settings = if format == PROTOBUF { json!({"optional.for.nullables": "true"}) } else { json!({}) };
        let converters = converters(format, url(), &settings);
        worker.api().create(&name, &with(source(&address, &name, "public.t"), &converters)).await.unwrap();
        worker.api().create(&format!("{name}_sink"), &with(sink(&name), &converters)).await.unwrap();
        pipelines.push((format, name));
    }
    agree(&client, &pipelines, 21).await;
    client.batch_execute(CHANGES).await.unwrap();
    agree(&client, &pipelines, 20).await;
    let operations = "r".repeat(21) + OPERATIONS;
    for (format, name) in &pipelines {
        let topic = format!("{name}.public.t");
        for side in ["key", "value"] {
            assert_eq!(versions(url(), &format!("{topic}-{side}")).await, [1], "{format:?}");
        }
        let events = tokio::task::block_in_place(|| events(&topics, *format, &topic));
        assert_eq!(events.iter().filter_map(|event| event["op"].as_str()).collect::<String>(), operations);
        let last = &events[events.len() - 1]["after"];
        assert_eq!((&last["name"], last["id"].to_string().trim_matches('"')), (&json!("late"), "200"), "{format:?}");
    }
    for (_, name) in pipelines {
        for connector in [format!("{name}_sink"), name] {
            wait_running(&worker, &connector).await;
            worker.api().remove(&connector).await.unwrap();
        }
    }
}

/// Waits until each collection has what the table has.
async fn agree(client: &tokio_postgres::Client, pipelines: &[(Format, String)], rows: usize) {
    for (format, name) in pipelines {
        let documents = collection(name, &format!("{name}.public.t")).await;
        eventually_async(&format!("both ends to agree in {}", format.name), ARRIVAL, async || {
            let comparison = compare(client, "t", &documents).await.map_err(|failure| failure.to_string())?;
            if comparison.agrees() && comparison.rows == rows { Ok(()) } else { Err(comparison.to_string()) }
        })
        .await
        .unwrap();
    }
}

/// The events of a topic as the other client reads them, which reads the keys, too.
fn events(topics: &Topics, format: Format, topic: &str) -> Vec<Value> {
    let records = topics.read(topic).unwrap();
    let values: Vec<Value> =
        records.iter().filter_map(|record| record.value.as_deref()).map(|value| format.to_read(topic, value)).collect();
    let keys = records.iter().map(|record| {
        let mut order = format.to_read(topic, record.key.as_deref().unwrap());
        order["key"] = json!(true);
        order
    });
    let count = values.len();
    let mut answers = ask(&values.into_iter().chain(keys).collect::<Vec<_>>());
    assert!(answers[count..].iter().all(|answer| answer["value"]["part"].is_number()), "{:?}", &answers[count..]);
    answers.truncate(count);
    answers.into_iter().map(|mut answer| answer["value"].take()).collect()
}

const AVRO_ROW: &str = r#"{"type": "record", "name": "Row", "fields": [
    {"name": "_id", "type": "int"}, {"name": "large", "type": "long"}, {"name": "text", "type": ["null", "string"]},
    {"name": "raw", "type": "bytes"}, {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const JSON_ROW: &str = r#"{"type": "object", "title": "Row", "properties": {
    "_id": {"type": "integer", "connect.type": "int32"}, "large": {"type": "integer"},
    "text": {"oneOf": [{"type": "null"}, {"type": "string"}]}, "tags": {"type": "array", "items": {"type": "string"}},
    "raw": {"type": "string", "connect.type": "bytes"},
    "price": {"type": "string", "connect.type": "bytes", "title": "org.apache.kafka.connect.data.Decimal",
              "connect.version": 1, "connect.parameters": {"scale": "2"}},
    "at": {"type": "integer", "connect.type": "int64", "title": "org.apache.kafka.connect.data.Timestamp", "connect.version": 1}}}"#;
const PROTOBUF_ROW: &str = r#"syntax = "proto3";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
message Row {
  int32 _id = 1;
  int64 large = 2;
  optional string text = 3;
  bytes raw = 4;
  repeated string tags = 5;
  confluent.type.Decimal price = 6 [(confluent.field_meta) = {params: [{key: "scale", value: "2"}]}];
  google.protobuf.Timestamp at = 7;
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_other_client_become_documents() {
    let (worker, topics, base) = (worker("foreign", url(), &[]).await, topics(), unique("foreign"));
    let avro = json!({"_id": 1, "large": 9_007_199_254_740_993_i64, "text": null, "raw": {"$bytes": "00ff"}, "tags": ["a"],
                      "price": {"$decimal": "12.34"}, "at": {"$timestamp": "2024-02-29T12:00:00.500000+00:00"}});
    let json = json!({"_id": 1, "large": 9_007_199_254_740_993_i64, "text": null, "raw": "AP8=", "tags": ["a"],
                      "price": "BNI=", "at": 1_709_208_000_500_i64});
    let protobuf = json!({"_id": 1, "large": 9_007_199_254_740_993_i64, "raw": "AP8=", "tags": ["a"],
                          "price": {"value": "BNI=", "precision": 4, "scale": 2}, "at": "2024-02-29T12:00:00.500Z"});
    let cases = [(AVRO, AVRO_ROW, avro), (JSON_SCHEMA, JSON_ROW, json), (PROTOBUF, PROTOBUF_ROW, protobuf)];
    let topic = |format: Format| format!("{base}_{}", format.name.to_lowercase());
    let orders: Vec<Value> = cases
        .into_iter()
        .map(|(format, schema, value)| {
            let mut order = format.to_write(&topic(format), schema, value);
            order["message"] = json!("Row");
            order
        })
        .collect();
    let answers = tokio::task::block_in_place(|| ask(&orders));
    let expected = doc! {
        "_id": 1,
        "large": 9_007_199_254_740_993_i64,
        "text": Bson::Null,
        "raw": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
        "tags": ["a"],
        "price": "12.34".parse::<bson::Decimal128>().unwrap(),
        "at": DateTime::from_millis(1_709_208_000_500),
    };
    for (format, answer) in [AVRO, JSON_SCHEMA, PROTOBUF].into_iter().zip(&answers) {
        let topic = topic(format);
        topics.create(&topic, 1).await.unwrap();
        produce(&topic, &[bytes_of(answer).to_vec()]).await;
        let converter = json!({"value.converter": format.converter, "value.converter.schema.registry.url": url()});
        worker.api().create(&topic, &with(plain_sink(&topic), &converter)).await.unwrap();
        wait_documents(&collection(&topic, "c").await, std::slice::from_ref(&expected)).await;
        worker.api().remove(&topic).await.unwrap();
    }
}
