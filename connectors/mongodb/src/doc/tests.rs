//! Our bytes against the driver's own encoder.

use bson::{Bson, Document, RawDocumentBuf};
use connect_api::schema::Kind;
use connect_api::value::Decimal;
use connect_api::{Bytes, Datum, Field, Schema, Struct, Value};
use proptest::prelude::*;

use super::view::DocRef;
use super::{Side, Which, Writer};

/// What a schemaless value is in the driver's types, made without our writer.
fn expected(value: &Value) -> Bson {
    match value {
        Value::Bool(v) => Bson::Boolean(*v),
        Value::Int8(v) => Bson::Int32((*v).into()),
        Value::Int16(v) => Bson::Int32((*v).into()),
        Value::Int32(v) => Bson::Int32(*v),
        Value::Int64(v) => Bson::Int64(*v),
        Value::Float32(v) => Bson::Double((*v).into()),
        Value::Float64(v) => Bson::Double(*v),
        Value::String(v) => Bson::String(v.to_string()),
        Value::Bytes(v) => {
            Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: v.to_vec() })
        }
        Value::Array(v) => Bson::Array(v.iter().map(expected).collect()),
        Value::Map(v) => Bson::Document(expected_document(v)),
        Value::Date(v) => Bson::DateTime(bson::DateTime::from_millis(*v)),
        Value::Decimal(v) => {
            Bson::Decimal128(format!("{}E{}", v.unscaled, -v.scale).parse().expect("a decimal that fits"))
        }
        Value::Null | Value::Struct(_) | Value::BigInt(_) => Bson::Null,
    }
}

fn expected_document(entries: &[(Value, Value)]) -> Document {
    entries.iter().map(|(key, value)| (key.as_str().unwrap_or("").to_owned(), expected(value))).collect()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::Int8),
        any::<i16>().prop_map(Value::Int16),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<f32>().prop_filter("numbers", |v| !v.is_nan()).prop_map(Value::Float32),
        any::<f64>().prop_filter("numbers", |v| !v.is_nan()).prop_map(Value::Float64),
        any::<String>().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(|v| Value::Bytes(Bytes::from(v))),
        any::<i64>().prop_map(Value::Date),
        (any::<i64>(), -20..20_i32)
            .prop_map(|(unscaled, scale)| Value::Decimal(Box::new(Decimal { unscaled: unscaled.into(), scale }))),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
            entries(inner).prop_map(Value::Map),
        ]
    })
}

fn entries(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(Value, Value)>> {
    proptest::collection::btree_map("[a-zé.$]{0,6}", value, 0..6)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

proptest! {
    #[test]
    fn our_bytes_are_the_drivers(fields in entries(values())) {
        let mut w = Writer::new();
        let open = w.open();
        DocRef::Map(&fields, None).write_fields(&mut w).unwrap();
        w.close(open);
        let theirs = RawDocumentBuf::try_from(&expected_document(&fields)).unwrap();
        prop_assert_eq!(w.bytes(), theirs.as_bytes());
        let value = Datum::schemaless(Value::Map(fields.clone()));
        let tree = Side::new(&value, Which::Value).tree().unwrap().unwrap();
        prop_assert_eq!(tree, expected_document(&fields));
    }

    #[test]
    fn texts_never_panic(text in ".{0,60}") {
        // Whatever the answer is, there is one, and an error says something.
        if let Err(error) = super::extjson::parse_document(&text) {
            prop_assert!(!error.message().is_empty());
        }
        if let Err(error) = super::extjson::parse_documents(&text) {
            prop_assert!(!error.message().is_empty());
        }
    }

    #[test]
    fn documents_as_text_are_read_back(fields in entries(prop_oneof![
        any::<i32>().prop_map(Value::Int32), any::<bool>().prop_map(Value::Bool), any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::Date), any::<Vec<u8>>().prop_map(|v| Value::Bytes(Bytes::from(v))),
    ])) {
        let document: Document =
            expected_document(&fields).into_iter().filter(|(name, _)| !name.starts_with('$')).collect();
        let text = super::render::json(&document);
        prop_assert_eq!(super::extjson::parse_document(&text).unwrap(), document, "{}", text);
    }
}

#[test]
fn numbers_that_are_none_have_the_names_of_extended_json() {
    let document = bson::doc! { "a": f64::INFINITY, "b": f64::NEG_INFINITY, "c": f64::NAN };
    let text = super::render::json(&document);
    assert_eq!(
        text,
        r#"{"a": {"$numberDouble": "Infinity"}, "b": {"$numberDouble": "-Infinity"}, "c": {"$numberDouble": "NaN"}}"#
    );
}

#[test]
fn logical_types_and_defaults_of_structs() {
    let field = |name: &str, schema: Schema| Field::new(name, schema.shared());
    let logical = |kind, name: &str| Schema::of(kind).named(format!("org.apache.kafka.connect.data.{name}"));
    let schema = Schema::structure(vec![
        field("d", logical(Kind::Int32, "Date")),
        field("t", logical(Kind::Int32, "Time")),
        field("ts", logical(Kind::Int64, "Timestamp")),
        field("n", logical(Kind::Bytes, "Decimal").parameter("scale", "2")),
        field("default", Schema::of(Kind::Int32).optional().default_value(Value::Int32(7))),
        field("none", Schema::of(Kind::String).optional()),
        field("list", Schema::of(Kind::Array(logical(Kind::Int64, "Timestamp").optional().shared()))),
    ])
    .shared();
    let value = Struct::new(
        schema.clone(),
        vec![
            Value::Int32(-1),
            Value::Int32(5),
            Value::Int64(1_709_212_455_123),
            Value::Bytes(Bytes::from_static(&[0x01, 0xE2, 0x40])),
            Value::Null,
            Value::Null,
            Value::Array(vec![Value::Int64(1), Value::Null]),
        ],
    );
    let date = |millis| Bson::DateTime(bson::DateTime::from_millis(millis));
    let tree = DocRef::Struct(&value).to_tree().unwrap();
    let expected = bson::doc! {
        "d": date(-86_400_000), "t": date(5), "ts": date(1_709_212_455_123),
        "n": "1234.56".parse::<bson::Decimal128>().unwrap(), "default": 7, "none": null, "list": [date(1), null],
    };
    assert_eq!(tree, expected);
}

#[test]
fn what_cannot_be_a_document_says_so() {
    let explain =
        |value: Value| Side::new(&Datum::schemaless(value), Which::Value).doc().map(|_| ()).unwrap_err().trace();
    assert_eq!(
        explain(Value::Array(vec![Value::Int64(1), Value::Int64(2)])),
        "org.apache.kafka.connect.errors.DataException: Could not convert value '[1, 2]' (java.util.ArrayList) into a \
         BsonDocument.\nCaused by: org.apache.kafka.connect.errors.DataException: No converter present due to unexpected \
         object type: java.util.ArrayList\n"
    );
    assert!(explain(Value::from("not json")).contains("JSON reader was expecting a value but found 'not'."));
    let odd = Datum::schemaless(Value::Map(vec![(Value::Int32(1), Value::Null)]));
    let error = Side::new(&odd, Which::Value).tree().unwrap_err();
    assert_eq!(error.message(), "Could not convert value '{1=null}' (java.util.HashMap) into a BsonDocument.");
}
