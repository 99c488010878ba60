//! Documents that the JVM's MongoDB sink would not make: types as MongoDB has them, and values that an update left alone.

use std::collections::BTreeMap;

use bson::{Bson, Document, bson, doc};
use futures_util::TryStreamExt;
use integration_tests::testbed::{Servers, eventually_async};
use serde_json::json;

use crate::support::{self, ARRIVAL, sink, source, topics, unique, with};

const GONE: &str = "__debezium_unavailable_value";

/// Waits until a collection has a document of this id that is as asked, and gives it.
async fn document(
    database: &str,
    collection: &str,
    id: impl Into<Bson>,
    asked: impl Fn(&Document) -> bool,
) -> Document {
    let client = Servers::shared().mongo.client().await.unwrap();
    let collection = client.database(database).collection::<Document>(collection);
    let filter = doc! {"_id": id.into()};
    eventually_async(&format!("the document {filter}"), ARRIVAL, async || {
        match collection.find_one(filter.clone()).await {
            Ok(Some(document)) if asked(&document) => Ok(document),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap()
}

fn text<'a>(document: &'a Document, field: &str) -> &'a str {
    document.get_str(field).unwrap_or_else(|error| panic!("{field}: {error} in {document}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_that_an_update_left_alone_stays() {
    let (worker, name) = (support::worker("toast").await, unique("toast"));
    let (address, client) = support::database(&name).await;
    // Stored out of line and not compressed: updates of other columns do not repeat them.
    client
        .batch_execute(
            "create table t (id int primary key, n int, big text, raw bytea, data jsonb, tags text[], codes int[], extra text);
             alter table t alter big set storage external, alter raw set storage external, alter data set storage external,
               alter tags set storage external, alter codes set storage external;
             insert into t select 1, 1, repeat('big ', 5000), decode(repeat('00ff', 5000), 'hex'),
               jsonb_build_object('text', repeat('json ', 5000)), array_agg('tag ' || i), array_agg(i), 'extra'
             from generate_series(1, 5000) i",
        )
        .await
        .unwrap();
    worker.api().create(&format!("{name}_source"), &source(&address, &name, "public.t")).await.unwrap();
    let (kept, plain) = (format!("{name}_kept"), format!("{name}_plain"));
    for (connector, extra) in [(&kept, json!({"debezium.unavailable.keep": "true"})), (&plain, json!({}))] {
        let config = with(sink(&name), &json!({"database": connector}));
        worker.api().create(connector, &with(config, &extra)).await.unwrap();
    }
    let collection = format!("{name}.public.t");
    let wait = async |database: &str, n: i32| {
        document(database, &collection, doc! {"id": 1}, |found| found.get("n") == Some(&Bson::Int32(n))).await
    };
    let first = wait(kept.as_str(), 1).await;
    assert_eq!(text(&first, "big").len(), 20_000);

    client.batch_execute("update t set n = 2 where id = 1").await.unwrap();
    let mut expected = first.clone();
    expected.insert("n", 2);
    let second = wait(kept.as_str(), 2).await;
    assert_eq!(second, expected);
    assert_eq!(second.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>(), "in the same order");
    // As the JVM has it: the placeholder is stored over the value.
    let replaced = wait(plain.as_str(), 2).await;
    assert_eq!(text(&replaced, "big"), GONE);

    // What a replacement takes away goes, and a value that did change arrives.
    client
        .batch_execute("alter table t drop column extra; update t set n = 3, big = 'small' where id = 1")
        .await
        .unwrap();
    expected.insert("n", 3);
    expected.insert("big", "small");
    expected.remove("extra");
    assert_eq!(wait(kept.as_str(), 3).await, expected);

    // A document that is not there gets what is known.
    let mongo = Servers::shared().mongo.client().await.unwrap();
    mongo.database(&kept).collection::<Document>(&collection).delete_many(doc! {}).await.unwrap();
    client.batch_execute("update t set n = 4 where id = 1").await.unwrap();
    assert_eq!(wait(kept.as_str(), 4).await, doc! {"_id": {"id": 1}, "n": 4, "big": "small"});
    worker.api().wait_running(&kept).await.unwrap();
    for connector in [&kept, &plain, &format!("{name}_source")] {
        worker.api().remove(connector).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_and_inner_documents_stay_as_they_are_stored() {
    let (worker, topics, name) = (support::worker("kept").await, topics(), unique("kept"));
    topics.create(&name, 1).await.unwrap();
    let strategies = ["ReplaceOneDefaultStrategy", "UpdateOneDefaultStrategy"];
    for strategy in strategies {
        let config = json!({
            "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
            "tasks.max": "1",
            "topics": name,
            "connection.uri": Servers::shared().mongo.uri,
            "database": name,
            "collection": strategy,
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "writemodel.strategy": format!("com.mongodb.kafka.connect.sink.writemodel.strategy.{strategy}"),
            "debezium.unavailable.keep": "true",
        });
        worker.api().create(&format!("{name}_{strategy}"), &config).await.unwrap();
    }
    let records = [
        json!({"_id": 1, "v": 1, "in": {"big": "large", "x": 1, "old": 1}, "a": "$v", "old": {"x": 1}}),
        json!({"_id": 1, "v": 2, "in": {"big": GONE, "x": 2}, "a": "$v"}),
        json!({"_id": 2, "v": 2, "in": {"big": GONE, "x": 2}, "a": GONE}),
    ];
    for record in &records {
        topics.produce(&name, &[&record.to_string()]).await.unwrap();
    }
    let wait = async |collection: &str, id: i64, v: i64| {
        document(&name, collection, id, |found| found.get("v") == Some(&Bson::Int64(v))).await
    };
    assert_eq!(
        wait(strategies[0], 1, 2).await,
        doc! {"_id": 1_i64, "v": 2_i64, "in": {"big": "large", "x": 2_i64}, "a": "$v"}
    );
    assert_eq!(
        wait(strategies[1], 1, 2).await,
        doc! {"_id": 1_i64, "v": 2_i64, "in": {"big": "large", "x": 2_i64, "old": 1_i64}, "a": "$v", "old": {"x": 1_i64}}
    );
    for strategy in strategies {
        assert_eq!(wait(strategy, 2, 2).await, doc! {"_id": 2_i64, "v": 2_i64, "in": {"x": 2_i64}});
    }
    // Names that mean something in expressions. An update by paths cannot have them within documents.
    let records = [
        json!({"_id": 3, "v": 1, "a.b": "large", "in": {"x.y": {"big": "large"}, "": "empty"}, "c": "large"}),
        json!({"_id": 3, "v": 2, "a.b": GONE, "in": {"x.y": {"big": GONE, "more": "$v"}, "": GONE}, "c": GONE}),
    ];
    worker.api().remove(&format!("{name}_{}", strategies[1])).await.unwrap();
    for record in &records {
        topics.produce(&name, &[&record.to_string()]).await.unwrap();
    }
    assert_eq!(
        wait(strategies[0], 3, 2).await,
        doc! {
            "_id": 3_i64, "v": 2_i64, "a.b": "large", "in": {"x.y": {"big": "large", "more": "$v"}, "": "empty"}, "c": "large",
        }
    );
    worker.api().remove(&format!("{name}_{}", strategies[0])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn types_of_postgres_are_those_of_mongodb() {
    let (worker, name) = (support::worker("types").await, unique("types"));
    let (address, client) = support::database(&name).await;
    client
        .batch_execute(
            "create type mood as enum ('fine', 'so so');
             create table t (id uuid primary key, born date, seen timestamp, short timestamp(3), at timestamptz, noon time,
               half time(3), zoned timetz, took interval, reference uuid, data jsonb, list json, number numeric, huge numeric,
               spot point, bits bit(9), mark xml, feels mood, days date[], stamps timestamptz[], never timestamp);
             insert into t values ('0f1e2d3c-4b5a-4697-8877-665544332211', '2024-02-29', '2024-02-29 13:14:15.123456',
               '1969-12-31 23:59:59.999', '2024-02-29 13:14:15.123456+05:30', '13:14:15.123456', '13:14:15.5', '12:35:06+00',
               '1 day 02:00', '0f1e2d3c-4b5a-4697-8877-665544332211', '{\"a\": [1, 2.5, {\"$b\": null}], \"n\": 12345678901}',
               '[1, {}]', 12.3450, 123456789012345678901234567890123456.5, '(1.5,-2.5)', b'100000101', '<a/>', 'fine',
               '{2024-02-29,null}', '{2024-02-29T00:00:00Z}', null)",
        )
        .await
        .unwrap();
    worker.api().create(&format!("{name}_source"), &source(&address, &name, "public.t")).await.unwrap();
    let config = with(sink(&name), &json!({"debezium.types.convert": "true", "debezium.types.uuid.format": "binary"}));
    worker.api().create(&name, &config).await.unwrap();
    let uuid = "0f1e2d3c-4b5a-4697-8877-665544332211";
    // The id keeps the form that it has without conversion.
    let id = doc! {"id": uuid};
    let collection = format!("{name}.public.t");
    let stored = document(&name, &collection, id.clone(), |_| true).await;
    let date = |millis: i64| Bson::DateTime(bson::DateTime::from_millis(millis));
    let decimal: bson::Decimal128 = "12.345".parse().unwrap();
    let expected = doc! {
        "_id": id,
        "born": date(1_709_164_800_000),
        "seen": date(1_709_212_455_123),
        "short": date(-1),
        "at": date(1_709_192_655_123),
        "noon": "13:14:15.123456",
        "half": "13:14:15.5",
        "zoned": "12:35:06Z",
        "took": 93_600_000_000_i64,
        "reference": bson::Uuid::parse_str(uuid).unwrap(),
        "data": {"a": [1, 2.5, {"$b": null}], "n": 12_345_678_901_i64},
        "list": [1, {}],
        "number": decimal,
        "huge": "123456789012345678901234567890123456.5",
        "spot": {"type": "Point", "coordinates": [1.5, -2.5]},
        "bits": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![5, 1] },
        "mark": "<a/>",
        "feels": "fine",
        "days": [date(1_709_164_800_000), null],
        "stamps": [date(1_709_164_800_000)],
        "never": null,
    };
    assert_eq!(differences(&stored, &expected), BTreeMap::new());

    // Streamed rows have the same form, and the document of the row is found again by its id.
    client.batch_execute("update t set born = '1970-01-02', data = 'null'").await.unwrap();
    let updated = document(&name, &collection, doc! {"id": uuid}, |found| found.get("born") == Some(&date(86_400_000)));
    assert_eq!(updated.await.get("data"), Some(&Bson::Null));
    client.batch_execute("delete from t").await.unwrap();
    let all = Servers::shared().mongo.client().await.unwrap().database(&name).collection::<Document>(&collection);
    eventually_async("the document to go", ARRIVAL, async || {
        let found = all.find(doc! {}).await.map_err(|error| error.to_string())?;
        let found: Vec<_> = found.try_collect().await.map_err(|error| error.to_string())?;
        if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();

    // What can't be read fails the record with the field and its type.
    let topics = topics();
    let schema = json!({"type": "struct", "fields": [
        {"field": "data", "type": "string", "name": "io.debezium.data.Json"},
    ]});
    let event_schema = json!({"type": "struct", "fields": [
        {"field": "after", "type": "struct", "fields": schema["fields"]}, {"field": "op", "type": "string"},
    ]});
    let event = json!({"schema": event_schema, "payload": {"after": {"data": "{oops"}, "op": "c"}});
    topics.produce(&collection, &[&event.to_string()]).await.unwrap();
    let status = worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("field data: '{oops' cannot be read as io.debezium.data.Json"), "{trace}");
    for connector in [name.clone(), format!("{name}_source")] {
        worker.api().remove(&connector).await.unwrap();
    }
}

/// The fields that are not as expected: what is stored and what should be.
fn differences(stored: &Document, expected: &Document) -> BTreeMap<String, (Bson, Bson)> {
    let names = stored.keys().chain(expected.keys());
    let of = |document: &Document, name: &str| document.get(name).cloned().unwrap_or_else(|| bson!("(missing)"));
    names
        .filter(|name| stored.get(name.as_str()) != expected.get(name.as_str()))
        .map(|name| (name.clone(), (of(stored, name), of(expected, name))))
        .collect()
}
