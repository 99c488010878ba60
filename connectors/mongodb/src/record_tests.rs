//! Records through handlers, strategies and processors, down to the statement.

use std::sync::Arc;

use bson::{Bson, Document, RawDocument, doc};
use connect_api::{Datum, Error, Origin, Props, Record, SinkOrigin, SinkRecord, TimestampType, Value};

use crate::doc::Writer;
use crate::statement::Kind;
use crate::topic::Plan;

const SINK: &str = crate::classes::SINK;

/// A plan with these settings; `{sink}` stands for the sink's package.
pub(crate) fn plan(settings: &[(&str, &str)]) -> Plan {
    Plan::new("t", &props(settings)).unwrap_or_else(|refused| panic!("{refused:?}"))
}

pub(crate) fn props(settings: &[(&str, &str)]) -> Props {
    let mut props = Props::new();
    props.insert("database".to_owned(), Some("db".to_owned()));
    props.insert("topics".to_owned(), Some("t".to_owned()));
    for (key, value) in settings {
        props.insert((*key).to_owned(), Some(value.replace("{sink}", SINK)));
    }
    props
}

/// JSON as the schemaless converter gives it: integers are int64.
pub(crate) fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(v) => Value::Bool(*v),
        serde_json::Value::Number(v) => v.as_i64().map_or_else(|| Value::Float64(v.as_f64().unwrap()), Value::Int64),
        serde_json::Value::String(v) => Value::from(v.as_str()),
        serde_json::Value::Array(v) => Value::Array(v.iter().map(value).collect()),
        serde_json::Value::Object(v) => {
            Value::Map(v.iter().map(|(k, v)| (Value::from(k.as_str()), value(v))).collect())
        }
    }
}

pub(crate) fn record(key: serde_json::Value, body: serde_json::Value) -> SinkRecord {
    let topic: Arc<str> = Arc::from("t");
    SinkRecord {
        record: Record {
            topic: topic.clone(),
            partition: Some(1),
            timestamp: Some(1_700_000_000_000),
            key: Datum::schemaless(value(&key)),
            value: Datum::schemaless(value(&body)),
            headers: Vec::new(),
            origin: Origin::Sink(SinkOrigin {
                offset: 5,
                timestamp_type: TimestampType::CreateTime,
                original_topic: topic,
                original_partition: 1,
                original_offset: 5,
            }),
        },
        raw_key: None,
        raw_value: None,
    }
}

fn write(plan: &Plan, record: &SinkRecord) -> Result<Option<(Kind, Document, Option<Error>)>, Error> {
    let mut w = Writer::new();
    Ok(super::record::write(plan, record, &mut w)?.map(|(_, statement)| {
        let raw = RawDocument::from_bytes(w.bytes()).expect("a whole document");
        (statement.kind, Document::try_from(raw).expect("valid BSON"), statement.deferred)
    }))
}

fn statement(plan: &Plan, key: serde_json::Value, body: serde_json::Value) -> (Kind, Document) {
    let (kind, document, deferred) = write(plan, &record(key, body)).unwrap().expect("a statement");
    assert!(deferred.is_none(), "{deferred:?}");
    (kind, document)
}

fn message(plan: &Plan, key: serde_json::Value, body: serde_json::Value) -> String {
    write(plan, &record(key, body)).unwrap_err().message().to_owned()
}

use serde_json::json;

#[test]
fn postgres_changes_become_upserts_and_deletes() {
    let plan = plan(&[("change.data.capture.handler", "{sink}cdc.debezium.rdbms.postgres.PostgresHandler")]);
    let event = |op: &str, before, after| json!({"before": before, "after": after, "op": op, "source": {"table": "t"}});
    let key = json!({"order_id": 7, "line": 1});
    for op in ["c", "r", "u"] {
        let after = json!({"order_id": 7, "line": 1, "sku": "x", "price": null});
        assert_eq!(
            statement(&plan, key.clone(), event(op, json!(null), after)),
            (
                Kind::Replace,
                doc! {
                    "q": {"_id": {"order_id": 7_i64, "line": 1_i64}},
                    "u": {"_id": {"order_id": 7_i64, "line": 1_i64}, "sku": "x", "price": null}, "upsert": true,
                }
            )
        );
    }
    assert_eq!(
        statement(&plan, key.clone(), event("d", json!({"sku": "x"}), json!(null))),
        (Kind::Delete, doc! {"q": {"_id": {"order_id": 7_i64, "line": 1_i64}}, "limit": 1})
    );
    for skipped in [json!(null), json!({}), json!({"ddl": "CREATE TABLE t()", "after": null})] {
        assert!(write(&plan, &record(key.clone(), skipped)).unwrap().is_none());
    }
    assert_eq!(message(&plan, key.clone(), event("t", json!(null), json!(null))), "Unknown operation type t");
    assert_eq!(
        message(&plan, key.clone(), json!({"op": 1})),
        "Value document is missing or CDC operation is not a string"
    );
    assert!(
        message(&plan, key, event("c", json!(null), json!({}))).ends_with(
            "Value document must contain non-empty 'after' field of type document for insert/update operation"
        )
    );
}

#[test]
fn tables_without_a_key_are_found_by_the_before_image() {
    let plan = plan(&[("change.data.capture.handler", "{sink}cdc.debezium.rdbms.RdbmsHandler")]);
    let (kind, inserted) = statement(&plan, json!(null), json!({"op": "c", "after": {"a": 1}}));
    let id = inserted.get_document("q").unwrap().get("_id").unwrap().clone();
    assert!(matches!(id, Bson::ObjectId(_)));
    assert_eq!((kind, inserted.get_document("u").unwrap()), (Kind::Replace, &doc! {"_id": id, "a": 1_i64}));
    assert_eq!(
        statement(&plan, json!(null), json!({"op": "u", "before": {"a": 1}, "after": {"a": 2}})).1,
        doc! {"q": {"a": 1_i64}, "u": {"a": 2_i64}, "upsert": true}
    );
    assert_eq!(
        statement(&plan, json!(null), json!({"op": "d", "before": {"a": 1}})).1,
        doc! {"q": {"a": 1_i64}, "limit": 1}
    );
    assert!(message(&plan, json!(null), json!({"op": "d", "before": {}})).contains("-> defensive actions taken!"));
    let own_id = statement(&plan, json!(null), json!({"op": "c", "after": {"_id": 5, "a": 1}})).1;
    assert_eq!(own_id.get_document("u").unwrap(), &doc! {"_id": 5_i64, "a": 1_i64});
}

#[test]
fn plain_records_are_replaced_by_their_id() {
    let with = |strategy: &str| plan(&[("document.id.strategy", &format!("{SINK}processor.id.strategy.{strategy}"))]);
    let body = json!({"a": 1});
    let replaced = |id: Bson| doc! {"q": {"_id": id.clone()}, "u": {"a": 1_i64, "_id": id}, "upsert": true};
    let key = json!({"_id": 7, "x": 1});
    for (strategy, id) in [
        ("KafkaMetaDataStrategy", Bson::from("t#1#5")),
        ("FullKeyStrategy", Bson::from(doc! {"_id": 7_i64, "x": 1_i64})),
        ("ProvidedInKeyStrategy", Bson::from(7_i64)),
    ] {
        assert_eq!(statement(&with(strategy), key.clone(), body.clone()), (Kind::Replace, replaced(id)), "{strategy}");
    }
    assert_eq!(statement(&with("FullKeyStrategy"), json!(null), body.clone()).1, replaced(doc! {}.into()));
    // An `_id` that is there stays, and stays where it is.
    assert_eq!(
        statement(&with("FullKeyStrategy"), json!({"k": 1}), json!({"_id": null, "a": 1})).1,
        doc! {"q": {"_id": null}, "u": {"_id": null, "a": 1_i64}, "upsert": true}
    );
    assert!(message(&with("ProvidedInKeyStrategy"), json!({"_id": null}), body.clone()).contains("of type BsonNull"));
    assert!(message(&with("ProvidedInValueStrategy"), key, body).contains("no _id field or it was null"));
}

#[test]
fn an_unusable_key_takes_the_batch_down_only_when_it_is_the_id() {
    let full = plan(&[("document.id.strategy", "{sink}processor.id.strategy.FullKeyStrategy")]);
    for plan in [
        &full,
        &plan(&[
            ("document.id.strategy", "{sink}processor.id.strategy.FullKeyStrategy"),
            ("post.processor.chain", "{sink}processor.DocumentIdAdder,{sink}processor.KafkaMetaAdder"),
        ]),
    ] {
        let (_, _, deferred) = write(plan, &record(json!("plain text"), json!({"a": 1}))).unwrap().unwrap();
        assert!(deferred.unwrap().message().starts_with("Could not convert key 'plain text' (java.lang.String)"));
    }
    let (_, _, deferred) = write(&plan(&[]), &record(json!("plain text"), json!({"a": 1}))).unwrap().unwrap();
    assert!(deferred.is_none());
    let (_, _, deferred) = write(&plan(&[]), &record(json!(null), json!({"_id": 1, "$bad": 1}))).unwrap().unwrap();
    assert_eq!(deferred.unwrap().message(), "Invalid BSON field name $bad");
}

#[test]
fn an_id_that_is_the_records_own_is_known() {
    let own = |strategy: &str, more: &[(&str, &str)], body: serde_json::Value| {
        let mut settings = vec![
            ("writemodel.strategy", "{sink}writemodel.strategy.InsertOneDefaultStrategy"),
            ("document.id.strategy", strategy),
        ];
        settings.extend(more);
        let (_, statement) =
            super::record::write(&plan(&settings), &record(json!({"_id": 3}), body), &mut Writer::new())
                .unwrap()
                .unwrap();
        statement.own_id
    };
    let slow = [("post.processor.chain", "{sink}processor.DocumentIdAdder,{sink}processor.KafkaMetaAdder")];
    for more in [&[][..], &slow] {
        for strategy in ["BsonOidStrategy", "UuidStrategy", "KafkaMetaDataStrategy"] {
            let strategy = format!("{SINK}processor.id.strategy.{strategy}");
            assert!(own(&strategy, more, json!({"a": 1})), "{strategy}");
            assert!(!own(&strategy, more, json!({"_id": 1})), "{strategy}");
        }
        for strategy in ["FullKeyStrategy", "ProvidedInKeyStrategy"] {
            let strategy = format!("{SINK}processor.id.strategy.{strategy}");
            assert!(!own(&strategy, more, json!({"a": 1})), "{strategy}");
        }
    }
}

#[test]
fn records_without_a_value_delete_when_asked_to() {
    let ids = ("document.id.strategy", "{sink}processor.id.strategy.ProvidedInKeyStrategy");
    let off = plan(&[ids]);
    assert_eq!(message(&off, json!({"_id": 1}), json!(null)), "Could not create write model");
    let on = plan(&[ids, ("delete.on.null.values", "true")]);
    assert_eq!(statement(&on, json!({"_id": 1}), json!(null)), (Kind::Delete, doc! {"q": {"_id": 1_i64}, "limit": 1}));
    assert_eq!(
        message(&on, json!(null), json!(null)),
        "Invalid Sink Record neither key doc nor value doc were present"
    );
}

#[test]
fn strategies_write_what_their_names_say() {
    let with = |strategy: &str| {
        plan(&[
            ("writemodel.strategy", &format!("{SINK}writemodel.strategy.{strategy}")),
            ("document.id.strategy", "{sink}processor.id.strategy.PartialValueStrategy"),
            ("document.id.strategy.partial.value.projection.type", "AllowList"),
            ("document.id.strategy.partial.value.projection.list", "k.a"),
            ("document.id.strategy.overwrite.existing", "true"),
        ])
    };
    let body = json!({"k": {"a": 1, "b": 2}, "v": 3});
    let rest = doc! {"k": {"a": 1_i64, "b": 2_i64}, "v": 3_i64};
    let written = |strategy: &str| statement(&with(strategy), json!(null), body.clone());
    assert_eq!(
        written("ReplaceOneBusinessKeyStrategy"),
        (Kind::Replace, doc! {"q": {"k.a": 1_i64}, "u": rest.clone(), "upsert": true})
    );
    assert_eq!(
        written("UpdateOneDefaultStrategy"),
        (Kind::Update, doc! {"q": {"_id": {"k": {"a": 1_i64}}}, "u": {"$set": rest}, "upsert": true})
    );
    assert_eq!(written("DeleteOneBusinessKeyStrategy"), (Kind::Delete, doc! {"q": {"k.a": 1_i64}, "limit": 1}));
    let inserted = written("InsertOneDefaultStrategy");
    assert_eq!(inserted.0, Kind::Insert);
    assert_eq!(inserted.1.keys().next().map(String::as_str), Some("_id"));
    let stamped = written("UpdateOneTimestampsStrategy").1;
    assert!(stamped.get_document("u").unwrap().get_document("$setOnInsert").unwrap().contains_key("_insertedTS"));
}

#[test]
fn processors_run_in_order_and_a_late_key_projection_reaches_the_id() {
    let plan = plan(&[
        ("document.id.strategy", "{sink}processor.id.strategy.FullKeyStrategy"),
        (
            "post.processor.chain",
            "{sink}processor.DocumentIdAdder,{sink}processor.BlockListKeyProjector,{sink}processor.KafkaMetaAdder",
        ),
        ("key.projection.type", "BlockList"),
        ("key.projection.list", "b"),
    ]);
    assert_eq!(
        statement(&plan, json!({"a": 1, "b": 2}), json!({"v": 1})).1.get_document("u").unwrap(),
        &doc! {"v": 1_i64, "_id": {"a": 1_i64}, "topic-partition-offset": "t-1-5", "CREATE_TIME": 1_700_000_000_000_i64}
    );
}

#[test]
fn namespaces_come_from_fields() {
    let strict = |strict: &str| {
        plan(&[
            ("namespace.mapper", "{sink}namespace.mapping.FieldPathNamespaceMapper"),
            ("namespace.mapper.value.collection.field", "to.coll"),
            ("namespace.mapper.error.if.invalid", strict),
        ])
    };
    let name = |body| {
        let mut w = Writer::new();
        let (namespace, _) =
            super::record::write(&strict("false"), &record(json!(null), body), &mut w).unwrap().unwrap();
        namespace.full_name()
    };
    assert_eq!(name(json!({"to": {"coll": "nested"}})), "db.nested");
    assert_eq!(name(json!({"to.coll": "flat", "to": {"coll": "nested"}})), "db.flat");
    assert_eq!(name(json!({"to": {"coll": 5}})), "db.t");
    assert_eq!(
        message(&strict("true"), json!(null), json!({"_id": 2})),
        "Missing document path 'to.coll': {\"_id\": 2}"
    );
}

#[test]
fn other_handlers_read_their_formats() {
    let with = |handler: &str| plan(&[("change.data.capture.handler", &format!("{SINK}cdc.{handler}"))]);
    let oplog = with("debezium.mongodb.MongoDbHandler");
    assert_eq!(
        statement(&oplog, json!({"id": "1"}), json!({"op": "u", "patch": "{\"$v\": 1, \"$set\": {\"a\": 2}}"})),
        (Kind::Update, doc! {"q": {"_id": 1}, "u": {"$set": {"a": 2}}})
    );
    assert_eq!(message(&oplog, json!(null), json!({"op": "c"})), "Key document must not be missing for CDC mode");
    let stream = with("mongodb.ChangeStreamHandler");
    let update = json!({"operationType": "update", "documentKey": {"_id": 1},
        "updateDescription": {"updatedFields": {"a": 5}, "removedFields": ["b"]}});
    assert_eq!(
        statement(&stream, json!(null), update),
        (Kind::Update, doc! {"q": {"_id": 1_i64}, "u": {"$set": {"a": 5_i64}, "$unset": {"b": ""}}})
    );
    assert!(write(&stream, &record(json!(null), json!({"operationType": "drop"}))).unwrap().is_none());
    let qlik = with("qlik.rdbms.RdbmsHandler");
    let event = json!({"message": {"data": {"id": 1, "a": 5}, "beforeData": {"id": 1, "a": 1}, "headers": {"operation": "UPDATE"}}});
    assert_eq!(
        statement(&qlik, json!({"id": 1}), event),
        (Kind::Update, doc! {"q": {"_id": {"id": 1_i64}}, "u": {"$set": {"a": 5_i64}}, "upsert": true})
    );
}
