//! The whole converter with a registry, and with another implementation of both behind it.

use std::sync::Arc;

use connect_api::{Bytes, BytesMut, Converter, Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::schema_registry_common::SubjectNameStrategy;
use serde_json::json;

use super::super::AvroConverter;
use super::{round, second};
use crate::registry::testing::FakeRegistry;

fn converter(fake: &FakeRegistry, more: &[(&str, &str)]) -> AvroConverter {
    AvroConverter::new(&fake.props(more), false).unwrap()
}

fn order() -> SchemaRef {
    let field = |name: &str, schema: Schema| Field::new(name, schema.shared());
    Schema::structure(vec![
        field("id", Schema::of(Kind::Int64)),
        field("city", Schema::of(Kind::String).optional()),
        field("tags", Schema::of(Kind::Map(Schema::of(Kind::String).shared(), Schema::of(Kind::Int32).shared()))),
    ])
    .named("shop.Order")
    .version(1)
    .shared()
}

fn row(schema: &SchemaRef, id: i64) -> Datum {
    let tags = Value::Map(vec![("a".into(), Value::Int32(1))]);
    let fields = vec![Value::Int64(id), "Bern".into(), tags];
    Datum::new(Arc::clone(schema), Value::Struct(Struct::new(Arc::clone(schema), fields)))
}

fn written(converter: &AvroConverter, topic: &str, datum: &Datum) -> Bytes {
    let mut out = BytesMut::new();
    assert!(converter.serialize(topic, datum, &mut out).unwrap());
    out.freeze()
}

#[test]
fn records_go_there_and_back_with_one_request_per_schema() {
    let fake = FakeRegistry::start();
    let writer = converter(&fake, &[]);
    let schema = order();
    let datum = row(&schema, 7);
    for _ in 0..3 {
        assert_eq!(written(&writer, "orders", &datum)[..5], [0, 0, 0, 0, 1]);
    }
    assert_eq!(fake.lines(), ["POST /subjects/orders-value/versions?normalize=false"]);
    let reader = converter(&fake, &[]);
    let bytes = written(&writer, "orders", &datum);
    for _ in 0..3 {
        assert_eq!(reader.deserialize("orders", Some(bytes.clone())).unwrap(), datum);
    }
    assert_eq!(
        fake.lines(),
        [
            "GET /schemas/ids/1?fetchMaxId=false&subject=orders-value",
            "POST /subjects/orders-value?normalize=false&deleted=true"
        ]
    );
}

#[test]
fn a_schema_without_a_version_has_the_registrys() {
    let fake = FakeRegistry::start();
    let converter = converter(&fake, &[]);
    fake.add("t-value", json!({ "schema": "\"string\"" }));
    let datum = Datum::new(Schema::of(Kind::Int32).shared(), Value::Int32(5));
    let read = round(&converter, "t", &datum);
    assert_eq!((read.schema.unwrap().version, read.value), (Some(2), Value::Int32(5)));
}

#[test]
fn bytes_alone_have_no_length_and_nulls_are_no_records() {
    let fake = FakeRegistry::start();
    let converter = converter(&fake, &[]);
    let bytes = Datum::new(Schema::of(Kind::Bytes).version(1).shared(), Value::Bytes(Bytes::from_static(b"xyz")));
    assert_eq!(&written(&converter, "t", &bytes)[5..], b"xyz");
    assert_eq!(round(&converter, "t", &bytes), bytes);
    let mut out = BytesMut::new();
    let optional = Schema::of(Kind::String).optional().shared();
    for datum in [Datum::null(), Datum::new(optional, Value::Null)] {
        assert!(!converter.serialize("t", &datum, &mut out).unwrap());
    }
    let required = Datum::new(Schema::of(Kind::String).shared(), Value::Null);
    let error = converter.serialize("t", &required, &mut out).unwrap_err();
    assert_eq!(error.message(), "Found null value for non-optional schema");
    assert_eq!(converter.deserialize("t", None).unwrap(), Datum::null());
    let schemaless = Datum::schemaless(Value::Map(vec![("a".into(), Value::Array(vec![Value::Null, true.into()]))]));
    assert_eq!(round(&converter, "u", &schemaless), schemaless);
}

#[test]
fn subjects_follow_their_strategy() {
    let fake = FakeRegistry::start();
    let strategy = "value.subject.name.strategy";
    for (class, subject) in [("RecordNameStrategy", "shop.Order"), ("TopicRecordNameStrategy", "orders-shop.Order")] {
        let class = format!("io.confluent.kafka.serializers.subject.{class}");
        let converter = converter(&fake, &[(strategy, &class)]);
        assert_eq!(round(&converter, "orders", &row(&order(), 1)), row(&order(), 1));
        assert_eq!(
            fake.lines(),
            [
                format!("POST /subjects/{subject}/versions?normalize=false"),
                "GET /schemas/ids/1?fetchMaxId=false&subject=".to_owned(),
                format!("POST /subjects/{subject}?normalize=false&deleted=true"),
            ]
        );
        let number = Datum::new(Schema::of(Kind::Int32).shared(), Value::Int32(5));
        let error = converter.serialize("orders", &number, &mut BytesMut::new()).unwrap_err();
        assert!(error.trace().contains("the message value must only be a record schema"), "{}", error.trace());
    }
    let keys = AvroConverter::new(&fake.props(&[]), true).unwrap();
    written(&keys, "orders", &row(&order(), 1));
    assert_eq!(fake.lines(), ["POST /subjects/orders-key/versions?normalize=false"]);
}

#[test]
fn without_registration_the_schema_must_be_known() {
    let fake = FakeRegistry::start();
    let keys = [("auto.register.schemas", "false"), ("missing.schema.cache.ttl.sec", "-1")];
    let converter = converter(&fake, &keys);
    let error = converter.serialize("orders", &row(&order(), 1), &mut BytesMut::new()).unwrap_err();
    let trace = error.trace();
    assert!(trace.contains("Error retrieving Avro schema for subject orders-value"), "{trace}");
    assert!(trace.contains("RestClientException: Schema not found; error code: 40403"), "{trace}");
    assert_eq!(fake.lines(), ["POST /subjects/orders-value?normalize=false&deleted=false"]);
    let schema = super::text(&order(), &super::options(&[]));
    fake.add("orders-value", json!({ "schema": schema }));
    assert_eq!(written(&converter, "orders", &row(&order(), 1))[4], 1);
}

/// The latest version has a field more, in another place, and a wider number.
const LATEST: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"city","type":["null","string"],"default":null},{"name":"country","type":"string","default":"CH"},{"name":"tags","type":{"type":"map","values":"long"}},{"name":"id","type":"long"}]}"#;

#[test]
fn records_are_written_with_the_latest_version_where_that_is_wanted() {
    let fake = FakeRegistry::start();
    fake.add("orders-value", json!({ "schema": LATEST }));
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let converter = converter(&fake, &latest);
    let read = round(&converter, "orders", &row(&order(), 7));
    let Value::Struct(read) = read.value else { panic!() };
    assert_eq!(read.get("country"), Some(&"CH".into()));
    assert_eq!((read.get("id"), read.get("city")), (Some(&Value::Int64(7)), Some(&"Bern".into())));
    assert_eq!(read.get("tags"), Some(&Value::Map(vec![("a".into(), Value::Int64(1))])));
    let id = [("auto.register.schemas", "false"), ("use.schema.id", "1")];
    let by_id = self::converter(&fake, &id);
    assert_eq!(written(&by_id, "orders", &row(&order(), 7)), written(&converter, "orders", &row(&order(), 7)));
}

#[test]
fn a_version_that_does_not_fit_is_refused_unless_told_otherwise() {
    let fake = FakeRegistry::start();
    let strict = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"vat","type":"string"}]}"#;
    fake.add("orders-value", json!({ "schema": strict }));
    for (how, key) in [
        (("use.latest.version", "true"), "latest.compatibility.strict"),
        (("use.schema.id", "1"), "id.compatibility.strict"),
    ] {
        let keys = [("auto.register.schemas", "false"), how];
        let error = converter(&fake, &keys).serialize("orders", &row(&order(), 1), &mut BytesMut::new()).unwrap_err();
        let trace = error.trace();
        let expected = format!("Incompatible schema of type 'AVRO'. Set {key}=false to disable this check");
        assert!(
            trace.contains(&expected) && trace.contains("the field vat is not written and has no default"),
            "{trace}"
        );
        let lenient = [keys[0], how, (key, "false")];
        let error =
            converter(&fake, &lenient).serialize("orders", &row(&order(), 1), &mut BytesMut::new()).unwrap_err();
        assert!(error.trace().contains("Field vat of record shop.Order is not set"), "{}", error.trace());
    }
}

#[test]
fn records_are_read_into_the_latest_version_where_that_is_wanted() {
    let fake = FakeRegistry::start();
    let bytes = written(&converter(&fake, &[]), "orders", &row(&order(), 7));
    fake.add("orders-value", json!({ "schema": LATEST }));
    let read = converter(&fake, &[("use.latest.version", "true")]).deserialize("orders", Some(bytes)).unwrap();
    let Value::Struct(read) = read.value else { panic!() };
    assert_eq!((read.get("country"), read.get("id")), (Some(&"CH".into()), Some(&Value::Int64(7))));
}

#[test]
fn the_latest_version_is_asked_for_again_after_its_time() {
    let fake = FakeRegistry::start();
    fake.add("orders-value", json!({ "schema": LATEST }));
    let keys = [("auto.register.schemas", "false"), ("use.latest.version", "true"), ("latest.cache.ttl.sec", "0")];
    let converter = converter(&fake, &keys);
    for _ in 0..2 {
        written(&converter, "orders", &row(&order(), 1));
    }
    assert_eq!(fake.lines().len(), 2);
}

#[test]
fn a_schema_may_refer_to_others() {
    let fake = FakeRegistry::start();
    fake.add("address", json!({ "schema": r#"{"type":"record","name":"Address","namespace":"shop","fields":[{"name":"city","type":"string"}]}"# }));
    let id = fake.add(
        "orders-value",
        json!({
            "schema": r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"to","type":"Address"}]}"#,
            "references": [{ "name": "shop.Address", "subject": "address", "version": 1 }],
        }),
    );
    let bytes = vec![0, 0, 0, 0, u8::try_from(id).unwrap(), 8, b'B', b'e', b'r', b'n'];
    let read = converter(&fake, &[]).deserialize("orders", Some(bytes.into())).unwrap();
    let Value::Struct(read) = read.value else { panic!() };
    let Some(Value::Struct(to)) = read.get("to") else { panic!() };
    assert_eq!(to.get("city"), Some(&"Bern".into()));
}

#[test]
fn damaged_records_and_other_formats_say_what_they_are() {
    let fake = FakeRegistry::start();
    let converter = converter(&fake, &[]);
    let error = |bytes: &'static [u8]| converter.deserialize("t", Some(Bytes::from_static(bytes))).unwrap_err();
    let trace = error(b"{}").trace();
    assert!(
        trace.starts_with(
            "org.apache.kafka.connect.errors.DataException: Failed to deserialize data for topic t to Avro:\n"
        ),
        "{trace}"
    );
    assert!(trace.contains("Unknown magic byte!"), "{trace}");
    assert!(error(b"\0\0\0\0\x09").trace().contains("Error retrieving Avro value schema for id 9"));
    fake.add("t-value", json!({ "schema": "{}", "schemaType": "JSON" }));
    assert!(error(b"\0\0\0\0\x01").trace().contains("the schema is one of type JSON, not AVRO"));
    fake.add("t-value", json!({ "schema": "\"string\"" }));
    assert!(
        error(b"\0\0\0\0\x02\x08ab").trace().contains("java.io.EOFException: the record ends before its value does")
    );
    let rules = json!({ "domainRules": [{ "name": "hide", "type": "ENCRYPT", "mode": "WRITEREAD" }] });
    fake.add("t-value", json!({ "schema": "\"long\"", "ruleSet": rules }));
    let trace = error(b"\0\0\0\0\x03\x02").trace();
    assert!(trace.contains("Could not find rule executor of type ENCRYPT for rule hide"), "{trace}");
}

#[test]
fn a_topic_of_records_without_a_schema_asks_for_it_once() {
    let fake = FakeRegistry::start();
    let converter = converter(&fake, &[("missing.id.cache.ttl.sec", "600")]);
    for _ in 0..100 {
        let trace = converter.deserialize("t", Some(Bytes::from_static(b"\0\0\0\0\x09"))).unwrap_err().trace();
        assert!(trace.contains("RestClientException: Schema 9 not found; error code: 40403"), "{trace}");
    }
    assert_eq!(fake.lines(), ["GET /schemas/ids/9?fetchMaxId=false&subject=t-value"]);
}

#[test]
fn a_registry_that_is_away_is_retriable() {
    let props = [("schema.registry.url", "http://127.0.0.1:1"), ("max.retries", "0")];
    let fake = FakeRegistry::start();
    let error = converter(&fake, &props).serialize("t", &row(&order(), 1), &mut BytesMut::new()).unwrap_err();
    assert!(error.kind().retriable());
    assert_eq!(error.java_class(), "org.apache.kafka.common.errors.NetworkException");
    fake.script(&[(503, r#"{"error_code":503,"message":"starting"}"#)]);
    let error =
        converter(&fake, &[("max.retries", "0")]).serialize("t", &row(&order(), 1), &mut BytesMut::new()).unwrap_err();
    assert_eq!(
        error.to_java_text(),
        "org.apache.kafka.connect.errors.RetriableException: Failed to serialize Avro data from topic t :"
    );
}

fn settings(fake: &FakeRegistry) -> SrSettings {
    SrSettings::new_builder(fake.url()).no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_reads_what_is_written_and_writes_what_is_read() {
    let fake = FakeRegistry::start();
    let converter = converter(&fake, &[]);
    let schema = order();
    let datum = row(&schema, 7);
    let bytes = written(&converter, "orders", &datum);
    let decoded = AvroDecoder::new(settings(&fake)).decode(Some(&bytes)).await.unwrap();
    assert!(second::same(&schema, &datum.value, &decoded.value), "{:?}", decoded.value);
    let encoder = AvroEncoder::new(settings(&fake));
    let strategy = SubjectNameStrategy::TopicNameStrategy("orders".to_owned(), false);
    let again = encoder.encode_value(decoded.value, &strategy).await.unwrap();
    assert_eq!(again, bytes);
    assert_eq!(converter.deserialize("orders", Some(again.into())).unwrap(), datum);
}
