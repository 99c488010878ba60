//! The JSON Schema converter: schemas as the JVM's converter registers them, schemas of others, values.

mod recursion;

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Bytes, BytesMut, Converter, Datum, Field, Kind, Result, Schema, SchemaRef, Struct, Value, value};
use proptest::prelude::*;
use serde_json::json;

use super::options::Options;
use super::read::Reader;
use super::shape::Documents;
use super::write::Writer;
use super::{JsonSchemaConverter, from_connect, to_connect};
use crate::arbitrary::cases;
use crate::registry::testing::FakeRegistry;
use crate::settings::JsonConfig;
use crate::unroll::on_small_stack;

fn options(pairs: &[(&str, &str)]) -> Options {
    let props = pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    Options::from(&JsonConfig::parse(&props).unwrap())
}

fn connect(text: &str, options: &Options) -> Result<SchemaRef> {
    to_connect::convert(&Documents::new(text, [])?, None, options)
}

fn written(schema: &SchemaRef, value: &Value, options: &Options) -> Result<String> {
    let mut out = BytesMut::new();
    assert!(Writer::new(schema, options).write(value, &mut out)?);
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

fn read(schema: &SchemaRef, text: &str) -> Result<Value> {
    Reader::new(schema).read(&Bytes::copy_from_slice(text.as_bytes()))
}

fn of(kind: Kind) -> Schema {
    Schema::of(kind)
}

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

/// The fields of a struct by name and kind.
fn fields(schema: &Schema) -> Vec<(&str, &'static str, bool)> {
    schema.fields().iter().map(|field| (&*field.name, field.schema.kind.name(), field.schema.optional)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_value_is_the_same_again((schema, value) in cases()) {
        for pairs in [&[][..], &[("decimal.format", "numeric")]] {
            let options = options(pairs);
            let text = from_connect::convert(&schema, &options).unwrap();
            let again = connect(&text, &options).unwrap();
            prop_assert_eq!(&again, &schema, "{}", text);
            let json = written(&schema, &value, &options).unwrap();
            let found = read(&again, &json).unwrap();
            prop_assert_eq!(&found, &value, "{}", json);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{},:\"a0-9.eE-]{0,24}", (schema, _) in cases()) {
        read(&schema, &text).ok();
    }
}

#[test]
fn every_type_has_its_place() {
    let decimal = of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", "2");
    let options = options(&[]);
    for (schema, expected) in [
        (of(Kind::Int8), json!({ "type": "integer", "connect.type": "int8" })),
        (of(Kind::Float64), json!({ "type": "number", "connect.type": "float64" })),
        (of(Kind::Boolean).named("n"), json!({ "title": "n", "type": "boolean" })),
        (of(Kind::String).optional(), json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] })),
        (
            decimal,
            json!({
                "type": "string", "title": "org.apache.kafka.connect.data.Decimal", "connect.version": 1,
                "connect.type": "bytes", "connect.parameters": { "scale": "2" },
            }),
        ),
        (
            of(Kind::Array(of(Kind::Int64).shared())),
            json!({ "type": "array", "items": { "type": "integer", "connect.type": "int64" } }),
        ),
        (
            of(Kind::Map(of(Kind::String).shared(), of(Kind::String).shared())),
            json!({ "type": "object", "connect.type": "map", "additionalProperties": { "type": "string" } }),
        ),
        (
            of(Kind::Map(of(Kind::Int32).shared(), of(Kind::String).shared())),
            json!({
                "type": "array", "connect.type": "map",
                "items": { "type": "object", "properties": {
                    "value": { "type": "string", "connect.index": 1 },
                    "key": { "type": "integer", "connect.index": 0, "connect.type": "int32" },
                } },
            }),
        ),
    ] {
        let schema = schema.shared();
        let text = from_connect::convert(&schema, &options).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
        assert_eq!(connect(&text, &options).unwrap(), schema);
    }
}

#[test]
fn keys_stand_in_the_order_of_the_reference() {
    let row = Schema::structure(vec![
        field("id", of(Kind::Int32)),
        field("name", of(Kind::String).optional().default_value("x".into())),
    ])
    .named("shop.Row");
    let row = Schema { doc: Some("a row".into()), ..row };
    let schema = Schema::structure(vec![field("row", row.clone()), field("again", row.optional())]).version(3).shared();
    let expected = concat!(
        r#"{"type":"object","connect.version":3,"properties":{"again":{"connect.index":1,"oneOf":[{"type":"null"},"#,
        r#"{"type":"object","title":"shop.Row","description":"a row","properties":{"#,
        r#""name":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"string","default":"x"}]},"#,
        r#""id":{"type":"integer","connect.index":0,"connect.type":"int32"}}}]},"#,
        r#""row":{"type":"object","title":"shop.Row","description":"a row","connect.index":0,"properties":{"#,
        r#""name":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"string","default":"x"}]},"#,
        r#""id":{"type":"integer","connect.index":0,"connect.type":"int32"}}}}}"#,
    );
    let options = options(&[]);
    assert_eq!(from_connect::convert(&schema, &options).unwrap(), expected);
    assert_eq!(connect(expected, &options).unwrap(), schema);
    let closed = self::options(&[("object.additional.properties", "false")]);
    let text = from_connect::convert(&schema, &closed).unwrap();
    assert!(text.starts_with(r#"{"type":"object","additionalProperties":false,"connect.version":3"#), "{text}");
}

#[test]
fn schemas_of_others_are_understood() {
    let text = r##"{
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "description": "an order", "type": "object",
        "definitions": { "address": { "type": "object", "properties": { "city": { "type": "string" } } } },
        "properties": {
            "id": { "type": "integer" },
            "price": { "type": "number", "default": 1.5 },
            "state": { "type": "string", "enum": ["new", "paid"] },
            "only": { "const": "x" },
            "note": { "type": ["string", "null"] },
            "to": { "$ref": "#/definitions/address" },
            "from": { "anyOf": [{ "type": "null" }, { "$ref": "#/definitions/address" }] },
            "either": { "oneOf": [{ "type": "string" }, { "type": "integer" }, { "$ref": "#/definitions/address" }] },
            "both": { "allOf": [{ "$ref": "#/definitions/address" }, { "properties": { "zip": { "type": "string" } } }] },
            "list": { "type": "array", "items": { "type": "boolean" } }
        },
        "required": ["id"]
    }"##;
    let plain = connect(text, &options(&[])).unwrap();
    assert_eq!((plain.name.as_deref(), plain.doc.as_deref()), (Some("Order"), Some("an order")));
    let mut found = fields(&plain);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("both", "struct", false),
            ("either", "struct", false),
            ("from", "struct", true),
            ("id", "int64", false),
            ("list", "array", false),
            ("note", "string", true),
            ("only", "string", false),
            ("price", "float64", false),
            ("state", "string", false),
            ("to", "struct", false),
        ]
    );
    let of_field = |name: &str| &plain.fields()[plain.index_of(name).unwrap()].schema;
    assert_eq!(of_field("price").default, Some(Value::Float64(1.5)));
    assert_eq!(of_field("state").get_parameter("io.confluent.connect.json.Enum.paid"), Some("paid"));
    assert_eq!(fields(of_field("both")), [("city", "string", false), ("zip", "string", false)]);
    assert!(of_field("either").is("io.confluent.connect.json.OneOf"));
    let names: Vec<_> = fields(of_field("either")).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names[0], "io.confluent.connect.json.OneOf.field.0");
    let optional = connect(text, &options(&[("use.optional.for.nonrequired", "true")])).unwrap();
    assert!(fields(&optional).iter().all(|(name, _, optional)| *optional == (*name != "id")));
    let generalized = connect(text, &options(&[("generalized.sum.type.support", "true")])).unwrap();
    let either = &generalized.fields()[generalized.index_of("either").unwrap()].schema;
    assert_eq!((either.name.as_deref(), fields(either)[0].0), (Some("connect_union_0"), "connect_union_field_0"));

    let union = of_field("either");
    for (json, place) in [("\"a\"", 0), ("5", 1), (r#"{"city":"Bern"}"#, 2)] {
        let Value::Struct(found) = read(union, json).unwrap() else { panic!() };
        assert!(found.fields.iter().enumerate().all(|(i, value)| value.is_null() == (i != place)), "{json}");
        assert_eq!(written(union, &Value::Struct(found), &options(&[])).unwrap(), json);
    }
    assert_eq!(read(union, "true").unwrap_err().message(), "Did not find matching oneof field for data");
}

#[test]
fn references_lead_to_other_schemas() {
    let text = r##"{ "$id": "http://shop/order.json", "type": "object", "properties": {
        "to": { "$ref": "address.json" }, "city": { "$ref": "http://shop/address.json#/properties/city" } } }"##;
    let address = r#"{ "$id": "http://shop/address.json", "title": "Address", "type": "object", "properties": { "city": { "type": "string" } } }"#;
    let documents = Documents::new(text, [("address.json", address)]).unwrap();
    let schema = to_connect::convert(&documents, None, &options(&[])).unwrap();
    let to = &schema.fields()[schema.index_of("to").unwrap()].schema;
    assert_eq!((to.name.as_deref(), fields(to)), (Some("Address"), vec![("city", "string", false)]));
    assert_eq!(schema.fields()[schema.index_of("city").unwrap()].schema.kind, Kind::String);
    let missing = connect(r#"{ "$ref": "nowhere.json" }"#, &options(&[])).unwrap_err();
    assert_eq!(missing.message(), "the schema refers to nowhere.json, which there is not");
    for circle in [r##"{ "$ref": "#" }"##, r##"{ "$ref": "#/a", "a": { "$ref": "#/b" }, "b": { "$ref": "#/a" } }"##] {
        assert!(connect(circle, &options(&[])).unwrap_err().message().contains("leads to itself"));
    }
}

#[test]
fn what_java_is_lenient_about_is_read_as_java_does() {
    let schema = |kind: Kind| of(kind).shared();
    assert_eq!(read(&schema(Kind::Int32), "\"7\"").unwrap(), Value::Int32(0));
    assert_eq!(read(&schema(Kind::Int8), "300").unwrap(), Value::Int8(44));
    assert_eq!(read(&schema(Kind::Int32), "2.9").unwrap(), Value::Int32(2));
    assert_eq!(read(&schema(Kind::String), "7").unwrap(), Value::Null);
    assert_eq!(read(&schema(Kind::Boolean), "7").unwrap(), Value::Bool(false));
    assert_eq!(read(&schema(Kind::Float64), "0.1").unwrap(), Value::Float64(0.1));
    assert_eq!(read(&schema(Kind::Float32), "\"Infinity\"").unwrap(), Value::Float32(f32::INFINITY));
    let of_int = of(Kind::Array(schema(Kind::Int32))).shared();
    assert_eq!(read(&of_int, "{\"a\":1}").unwrap(), Value::Array(vec![Value::Int32(1)]));
    let required = Schema::structure(vec![
        field("a", of(Kind::Int32)),
        field("b", of(Kind::Int32).default_value(Value::Int32(5))),
    ]);
    let required = required.shared();
    let Value::Struct(found) = read(&required, "{\"c\":[{}]}").unwrap() else { panic!() };
    assert_eq!(&*found.fields, [Value::Null, Value::Int32(5)]);
    let message = |schema: &SchemaRef, text: &str| read(schema, text).unwrap_err().message().to_owned();
    assert_eq!(message(&required, "{\"a\":null}"), "Invalid null value for required INT32 field");
    assert_eq!(message(&required, "[]"), "Structs should be encoded as JSON objects, but found ARRAY");
    assert_eq!(message(&schema(Kind::Bytes), "\"?\""), "Invalid bytes field");
    let date = of(Kind::Int32).named(logical::DATE).version(1).shared();
    assert_eq!(
        message(&date, "\"x\""),
        "Invalid type for Date, underlying representation should be integer but was STRING"
    );
    assert_eq!(read(&required, "{").unwrap_err().java_class(), "com.fasterxml.jackson.core.JsonParseException");
}

#[test]
fn decimals_are_texts_or_numbers() {
    let schema = of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", "2").shared();
    let number = Value::Bytes(vec![0x04, 0xd2].into());
    assert_eq!(written(&schema, &number, &options(&[])).unwrap(), "\"BNI=\"");
    assert_eq!(written(&schema, &number, &options(&[("decimal.format", "NUMERIC")])).unwrap(), "12.34");
    for text in ["\"BNI=\"", "12.34", "1.234e1", "\"AATS\""] {
        assert_eq!(read(&schema, text).unwrap(), number, "{text}");
    }
    let other = value::Decimal { unscaled: 125.into(), scale: 1 };
    assert_eq!(read(&schema, "12.5").unwrap(), Value::Decimal(Box::new(other)));
}

#[test]
fn nulls_are_left_out_or_written() {
    let schema = Schema::structure(vec![
        field("required", of(Kind::Int32)),
        field("optional", of(Kind::Int32).optional()),
        field("default", of(Kind::Int32).optional().default_value(Value::Int32(5))),
        field("last", of(Kind::Int32)),
    ])
    .shared();
    let value = Value::Struct(Struct::new(Arc::clone(&schema), vec![Value::Null; 4]));
    assert_eq!(written(&schema, &value, &options(&[])).unwrap(), r#"{"optional":null,"default":5}"#);
    let ignoring = options(&[("ignore.default.for.nullables", "true")]);
    assert_eq!(written(&schema, &value, &ignoring).unwrap(), r#"{"optional":null,"default":null}"#);
    assert_eq!(
        written(&of(Kind::String).shared(), &"a\"\\\n\u{1}é".into(), &options(&[])).unwrap(),
        "\"a\\\"\\\\\\n\\u0001é\""
    );
}

#[test]
fn records_go_there_and_back() {
    let fake = FakeRegistry::start();
    let converter = JsonSchemaConverter::new(&fake.props(&[]), false).unwrap();
    let schema = Schema::structure(vec![field("id", of(Kind::Int64))]).named("shop.Order").version(1).shared();
    let datum = Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(Arc::clone(&schema), vec![Value::Int64(7)])));
    let mut out = BytesMut::new();
    assert!(converter.serialize("orders", &datum, &mut out).unwrap());
    assert_eq!(&out[..], b"\0\0\0\0\x01{\"id\":7}");
    assert_eq!(converter.deserialize("orders", Some(out.freeze())).unwrap(), datum);
    let seen = fake.take();
    assert_eq!(seen[0].line, "POST /subjects/orders-value/versions?normalize=false");
    assert_eq!(seen[0].body["schemaType"], "JSON");
    assert!(!converter.serialize("orders", &Datum::null(), &mut BytesMut::new()).unwrap());
    let schemaless = converter.serialize("orders", &Datum::schemaless(Value::Int32(1)), &mut BytesMut::new());
    assert!(schemaless.unwrap_err().root().remedy().unwrap().contains("schemas.enable=false"));
    let by_name = [("value.subject.name.strategy", "io.confluent.kafka.serializers.subject.RecordNameStrategy")];
    let converter = JsonSchemaConverter::new(&fake.props(&by_name), false).unwrap();
    let mut out = BytesMut::new();
    converter.serialize("orders", &datum, &mut out).unwrap();
    assert_eq!(converter.deserialize("orders", Some(out.freeze())).unwrap(), datum);
    assert_eq!(fake.lines()[0], "POST /subjects/shop.Order/versions?normalize=false");
}

#[test]
fn the_place_of_a_property_may_be_any_number() {
    let text = r#"{"type":"object","properties":{"last":{"type":"string","connect.index":9223372036854775807},
        "second":{"type":"string","connect.index":1},"other":{"type":"string"},"below":{"type":"string","connect.index":-1}}}"#;
    let schema = connect(text, &options(&[])).unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["other", "second", "last", "below"]);
}

#[test]
fn defaults_within_defaults_are_bounded() {
    on_small_stack(|| {
        // Each level's list has two structs, which lack the list of the level below.
        let one = |at: usize| {
            let items = if at == 0 {
                r#"{"type":"string"}"#.to_owned()
            } else {
                format!(r##"{{"$ref":"#/definitions/d{}"}}"##, at - 1)
            };
            let default = if at == 0 { r#"["a","b"]"# } else { "[{},{}]" };
            format!(
                r##""d{at}":{{"type":"object","properties":{{"f":{{"type":"array","items":{items},"default":{default}}}}}}}"##
            )
        };
        let text = |levels: usize| {
            let all: Vec<String> = (0..levels).map(one).collect();
            format!(r##"{{"definitions":{{{}}},"$ref":"#/definitions/d{}"}}"##, all.join(","), levels - 1)
        };
        let schema = connect(&text(10), &options(&[])).unwrap();
        assert_eq!(schema.fields()[0].schema.default.as_ref().map(Value::held), Some(3_068));
        for levels in [20, 40] {
            let error = connect(&text(levels), &options(&[])).unwrap_err();
            let message = error.message();
            assert!(message.contains("too large") || message.contains("the defaults of the schema"), "{error}");
        }
    });
}

#[test]
fn fields_that_short_objects_lack_are_bounded_for_the_record_as_a_whole() {
    let fields: Vec<String> = (0..1_000).map(|n| format!(r#""f{n}":{{"type":"integer"}}"#)).collect();
    let text = format!(
        r#"{{"type":"array","items":{{"type":"object","title":"Wide","properties":{{{}}}}}}}"#,
        fields.join(",")
    );
    let members: Vec<String> = (0..1_000)
        .map(|n| format!(r#"{{"title":"T{n}","type":"object","properties":{{"f{n}":{{"type":"integer"}}}}}}"#))
        .collect();
    let union = format!(r#"{{"type":"array","items":{{"oneOf":[{}]}}}}"#, members.join(","));
    for (text, element) in [(text, "{}"), (union, r#"{"f0":1}"#)] {
        let schema = connect(&text, &options(&[])).unwrap();
        let list = |count: usize| format!("[{}]", vec![element; count].join(","));
        assert!(read(&schema, &list(500)).is_ok());
        let error = read(&schema, &list(2_000)).unwrap_err();
        assert!(error.message().starts_with("the record stands for more than"), "{error}");
    }
}

#[test]
fn enums_of_many_symbols_are_bounded_for_the_schema_as_a_whole() {
    let symbols: Vec<String> = (0..3_000).map(|n| format!(r#""S{n}""#)).collect();
    let text = |fields: usize| {
        let fields: Vec<String> = (0..fields).map(|n| format!(r##""f{n}":{{"$ref":"#/definitions/e"}}"##)).collect();
        format!(
            r#"{{"definitions":{{"e":{{"enum":[{}]}}}},"type":"object","properties":{{{}}}}}"#,
            symbols.join(","),
            fields.join(",")
        )
    };
    assert!(connect(&text(20), &options(&[])).is_ok());
    let error = connect(&text(700), &options(&[])).unwrap_err();
    assert!(error.message().starts_with("the schema is too large"), "{error}");
}
