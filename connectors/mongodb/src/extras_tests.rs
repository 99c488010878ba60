//! Records under the settings that the JVM's connector does not have: Debezium's types, and values that were not read.

use bson::{Bson, Document, RawDocument, bson, doc};
use connect_api::schema::Kind as Type;
use connect_api::{Bytes, Datum, Error, Field, Schema, SchemaRef, SinkRecord, Struct, Value};
use serde_json::json;

use crate::classes::SINK;
use crate::doc::Writer;
use crate::record_tests::{plan, record};
use crate::statement::Kind;
use crate::topic::Plan;

const HANDLER: (&str, &str) = ("change.data.capture.handler", "{sink}cdc.debezium.rdbms.postgres.PostgresHandler");
const CONVERT: (&str, &str) = ("debezium.types.convert", "true");
const KEEP: (&str, &str) = ("debezium.unavailable.keep", "true");
const GONE: &str = "__debezium_unavailable_value";

fn write(plan: &Plan, record: &SinkRecord) -> Result<(Kind, Document), Error> {
    let mut w = Writer::new();
    let (_, statement) = super::record::write(plan, record, &mut w)?.expect("a statement");
    assert!(statement.deferred.is_none(), "{:?}", statement.deferred);
    let raw = RawDocument::from_bytes(w.bytes()).expect("a whole document");
    Ok((statement.kind, Document::try_from(raw).expect("valid BSON")))
}

fn named(kind: Type, name: &str) -> Schema {
    Schema::of(kind).named(format!("io.debezium.{name}"))
}

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

/// A row of a table with types of Debezium; its key is the first column.
fn row_schema() -> SchemaRef {
    Schema::structure(vec![
        field("day", named(Type::Int32, "time.Date")),
        field("seen", named(Type::Int64, "time.MicroTimestamp")),
        field("data", named(Type::String, "data.Json").optional()),
        field("raw", Schema::of(Type::Bytes).optional()),
    ])
    .shared()
}

fn row(seen: i64, data: &str, raw: &[u8]) -> Value {
    let fields =
        vec![Value::Int32(1), Value::Int64(seen), Value::from(data), Value::Bytes(Bytes::copy_from_slice(raw))];
    Value::Struct(Struct::new(row_schema(), fields))
}

fn key() -> Datum {
    let schema = Schema::structure(vec![field("day", named(Type::Int32, "time.Date"))]).shared();
    Datum::new(schema.clone(), Value::Struct(Struct::new(schema, vec![Value::Int32(1)])))
}

/// A record with schemas.
fn typed(key: Datum, value: Datum) -> SinkRecord {
    let mut record = record(json!(null), json!(null));
    record.record.key = key;
    record.record.value = value;
    record
}

fn event(op: &str, before: Value, after: Value) -> Datum {
    let row = Schema { optional: true, ..(*row_schema()).clone() }.shared();
    let schema = Schema::structure(vec![
        Field::new("before", row.clone()),
        Field::new("after", row),
        field("op", Schema::of(Type::String)),
    ])
    .shared();
    Datum::new(schema.clone(), Value::Struct(Struct::new(schema, vec![before, after, Value::from(op)])))
}

fn date(millis: i64) -> Bson {
    Bson::DateTime(bson::DateTime::from_millis(millis))
}

fn binary(bytes: &[u8]) -> Bson {
    Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bytes.to_vec() })
}

#[test]
fn a_change_has_converted_fields_under_an_id_that_keeps_its_form() {
    let insert = typed(key(), event("c", Value::Null, row(1_500, r#"{"a": 1}"#, b"x")));
    let plain = doc! {"_id": {"day": 1}, "seen": 1_500_i64, "data": r#"{"a": 1}"#, "raw": binary(b"x")};
    let converted = doc! {"_id": {"day": 1}, "seen": date(1), "data": {"a": 1}, "raw": binary(b"x")};
    for (settings, document) in [(vec![HANDLER], plain), (vec![HANDLER, CONVERT], converted)] {
        assert_eq!(
            write(&plan(&settings), &insert).unwrap(),
            (Kind::Replace, doc! {"q": {"_id": {"day": 1}}, "u": document, "upsert": true})
        );
    }
    let delete = typed(key(), event("d", row(1, "1", b""), Value::Null));
    let (_, deleted) = write(&plan(&[HANDLER, CONVERT]), &delete).unwrap();
    assert_eq!(deleted, doc! {"q": {"_id": {"day": 1}}, "limit": 1});
}

#[test]
fn a_before_image_finds_the_converted_document() {
    let change = event("u", row(1_500, "1", b"x"), row(2_500, "2", b"x"));
    let (_, updated) = write(&plan(&[HANDLER, CONVERT]), &typed(Datum::null(), change)).unwrap();
    let image =
        |seen: i64, data: i32| doc! {"day": date(86_400_000), "seen": date(seen), "data": data, "raw": binary(b"x")};
    assert_eq!(updated, doc! {"q": image(1, 1), "u": image(2, 2), "upsert": true});
}

#[test]
fn an_unreadable_value_is_an_error_that_names_its_field() {
    let change = typed(key(), event("c", Value::Null, row(0, "{", b"")));
    let error = write(&plan(&[HANDLER, CONVERT]), &change).unwrap_err();
    assert!(error.message().starts_with("Could not convert value 'Struct{after=Struct{day="), "{error}");
    assert_eq!(
        error.root().message(),
        "field data: '{' cannot be read as io.debezium.data.Json: a field's name in quotes is missing at byte 1"
    );
    assert!(write(&plan(&[HANDLER]), &change).is_ok());
}

#[test]
fn plain_records_are_converted_but_not_their_ids() {
    let value = Datum::new(row_schema(), row(1_500, "[]", b"x"));
    let record = typed(key(), value);
    let with = |strategy: &str, more: &[(&str, &str)]| {
        let strategy = format!("{SINK}processor.id.strategy.{strategy}");
        let mut settings = vec![("document.id.strategy", strategy.as_str()), CONVERT];
        settings.extend(more);
        plan(&settings)
    };
    let body = doc! {"day": date(86_400_000), "seen": date(1), "data": [], "raw": binary(b"x")};
    let replaced = |id: Bson| {
        let mut document = body.clone();
        document.insert("_id", id.clone());
        doc! {"q": {"_id": id}, "u": document, "upsert": true}
    };
    let day = Bson::from(doc! {"day": 1});
    let list = [
        ("document.id.strategy.partial.value.projection.type", "AllowList"),
        ("document.id.strategy.partial.value.projection.list", "day"),
        ("document.id.strategy.partial.key.projection.type", "AllowList"),
        ("document.id.strategy.partial.key.projection.list", "day"),
    ];
    for strategy in ["FullKeyStrategy", "PartialKeyStrategy", "PartialValueStrategy"] {
        assert_eq!(
            write(&with(strategy, &list), &record).unwrap(),
            (Kind::Replace, replaced(day.clone())),
            "{strategy}"
        );
    }
    // A field that becomes the id by its new name.
    let rename = [
        ("post.processor.chain", "{sink}processor.field.renaming.RenameByMapping,{sink}processor.DocumentIdAdder"),
        ("field.renamer.mapping", r#"[{"oldName": "value.day", "newName": "_id"}]"#),
    ];
    let (_, renamed) = write(&with("ProvidedInValueStrategy", &rename), &record).unwrap();
    assert_eq!(renamed.get_document("q").unwrap(), &doc! {"_id": 1});
    assert_eq!(renamed.get_document("u").unwrap().get("_id"), Some(&bson!(1)));
    // Business keys are compared with fields, and have their form.
    for strategy in ["PartialValueStrategy", "PartialKeyStrategy"] {
        let mut settings = list.to_vec();
        settings.extend([
            ("writemodel.strategy", "{sink}writemodel.strategy.ReplaceOneBusinessKeyStrategy"),
            ("document.id.strategy.overwrite.existing", "true"),
        ]);
        assert_eq!(
            write(&with(strategy, &settings), &record).unwrap().1,
            doc! {"q": {"day": date(86_400_000)}, "u": body.clone(), "upsert": true}
        );
    }
}

#[test]
fn a_record_without_schemas_has_no_types() {
    let body = json!({"op": "c", "after": {"seen": 5, "data": "{}"}});
    let (_, written) = write(&plan(&[HANDLER, CONVERT]), &record(json!({"id": 1}), body)).unwrap();
    assert_eq!(written.get_document("u").unwrap(), &doc! {"_id": {"id": 1_i64}, "seen": 5_i64, "data": "{}"});
}

#[test]
fn what_was_not_read_stays_in_a_change() {
    for op in ["c", "r", "u"] {
        let change = typed(key(), event(op, Value::Null, row(1_500, GONE, GONE.as_bytes())));
        let make = |seen: Bson| {
            let document =
                doc! {"_id": {"$literal": {"day": 1}}, "seen": {"$literal": seen}, "data": "$data", "raw": "$raw"};
            (Kind::Update, doc! {"q": {"_id": {"day": 1}}, "u": [{"$replaceWith": document}], "upsert": true})
        };
        assert_eq!(write(&plan(&[HANDLER, KEEP]), &change).unwrap(), make(bson!(1_500_i64)));
        assert_eq!(write(&plan(&[HANDLER, KEEP, CONVERT]), &change).unwrap(), make(date(1)));
        // Without the key it is the replacement that the JVM makes, and no error of a type either.
        for settings in [vec![HANDLER], vec![HANDLER, CONVERT]] {
            let (kind, replaced) = write(&plan(&settings), &change).unwrap();
            let document = replaced.get_document("u").unwrap();
            assert_eq!((kind, document.get_str("data").unwrap()), (Kind::Replace, GONE));
            assert_eq!(document.get("raw"), Some(&binary(GONE.as_bytes())));
        }
    }
}

#[test]
fn a_change_without_placeholders_has_the_bytes_that_it_always_had() {
    let bytes = |settings: &[(&str, &str)], record: &SinkRecord| {
        let mut w = Writer::new();
        super::record::write(&plan(settings), record, &mut w).unwrap().expect("a statement");
        w.into_bytes()
    };
    let change = typed(key(), event("u", Value::Null, row(1, "{}", b"x")));
    assert_eq!(bytes(&[HANDLER, KEEP], &change), bytes(&[HANDLER], &change));
    let ids = ("document.id.strategy", "{sink}processor.id.strategy.FullKeyStrategy");
    let plain = typed(key(), Datum::new(row_schema(), row(1, "{}", b"x")));
    assert_eq!(bytes(&[ids, KEEP], &plain), bytes(&[ids], &plain));
}

#[test]
fn another_placeholder_may_be_set() {
    let settings = [HANDLER, KEEP, ("unavailable.value.placeholder", "hex:00ff")];
    let change = typed(key(), event("u", Value::Null, row(1, "{}", &[0, 255])));
    let (kind, updated) = write(&plan(&settings), &change).unwrap();
    let stage = updated.get_array("u").unwrap()[0].as_document().unwrap().get_document("$replaceWith").unwrap();
    assert_eq!((kind, stage.get_str("raw").unwrap()), (Kind::Update, "$raw"));
    let ordinary = typed(key(), event("u", Value::Null, row(1, GONE, b"")));
    assert_eq!(write(&plan(&settings), &ordinary).unwrap().0, Kind::Replace);
}

#[test]
fn columns_with_odd_names_stay_too() {
    let body = json!({"op": "u", "after": {"id": 1, "a.b": GONE, "c": 2}});
    let (_, updated) = write(&plan(&[HANDLER, KEEP]), &record(json!({"id": 1}), body)).unwrap();
    let pairs = bson!([
        {"k": {"$literal": "_id"}, "v": {"$literal": {"id": 1_i64}}},
        {"k": {"$literal": "a.b"}, "v": {"$getField": {"field": {"$literal": "a.b"}, "input": "$$ROOT"}}},
        {"k": {"$literal": "c"}, "v": {"$literal": 2_i64}},
    ]);
    let condition = doc! {"$eq": [{"$size": {"$objectToArray": "$$this"}}, 2]};
    let document = doc! {"$arrayToObject": {"$filter": {"input": pairs, "cond": condition}}};
    assert_eq!(updated.get_array("u").unwrap(), bson!([{"$replaceWith": document}]).as_array().unwrap());
    // The key's own names don't matter: they stay within the id.
    let body = json!({"op": "u", "after": {"k.x": 1, "big": GONE}});
    let (_, updated) = write(&plan(&[HANDLER, KEEP]), &record(json!({"k.x": 1}), body)).unwrap();
    let document = doc! {"_id": {"$literal": {"k.x": 1_i64}}, "big": "$big"};
    assert_eq!(updated.get_array("u").unwrap(), bson!([{"$replaceWith": document}]).as_array().unwrap());
}

#[test]
fn what_was_not_read_stays_in_plain_records() {
    let with = |strategy: &str| {
        let strategy = format!("{SINK}writemodel.strategy.{strategy}");
        let ids = ("document.id.strategy", "{sink}processor.id.strategy.ProvidedInKeyStrategy");
        plan(&[ids, KEEP, ("writemodel.strategy", strategy.as_str())])
    };
    let written = |strategy: &str| {
        let body = json!({"a": 1, "big": GONE, "in": {"x": [GONE], "y": 2}});
        write(&with(strategy), &record(json!({"_id": 7}), body)).unwrap()
    };
    let one = || doc! {"$literal": 1_i64};
    let document = doc! {
        "_id": {"$literal": 7_i64}, "a": one(), "big": "$big", "in": {"x": "$in.x", "y": {"$literal": 2_i64}},
    };
    assert_eq!(
        written("ReplaceOneDefaultStrategy"),
        (Kind::Update, doc! {"q": {"_id": 7_i64}, "u": [{"$replaceWith": document}], "upsert": true})
    );
    assert_eq!(
        written("UpdateOneDefaultStrategy"),
        (Kind::Update, doc! {"q": {"_id": 7_i64}, "u": {"$set": {"a": 1_i64, "in.y": 2_i64}}, "upsert": true})
    );
    assert_eq!(
        written("InsertOneDefaultStrategy"),
        (Kind::Insert, doc! {"_id": 7_i64, "a": 1_i64, "in": {"y": 2_i64}})
    );
}

#[test]
fn a_topic_may_have_settings_of_its_own() {
    assert!(plan(&[("topic.override.t.debezium.types.convert", "true")]).types.is_some());
    assert!(plan(&[("topic.override.other.debezium.types.convert", "true")]).types.is_none());
    assert!(plan(&[("topic.override.t.debezium.unavailable.keep", "true")]).keep.is_some());
    let wrong = |settings: &[(&str, &str)]| {
        let validated = crate::connector::validate_static(&crate::record_tests::props(settings)).unwrap();
        let errors = validated.entries.into_iter().flat_map(|entry| entry.errors);
        errors.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(wrong(&[CONVERT, KEEP, ("debezium.types.uuid.format", "binary")]), "");
    assert!(wrong(&[("debezium.types.uuid.format", "base64")]).contains("Should be one of: [string, binary]"));
    assert!(wrong(&[("topic.override.t.debezium.types.uuid.format", "base64")]).contains("[string, binary]"));
    assert!(wrong(&[("unavailable.value.placeholder", "")]).contains("String must be non-empty"));
}
