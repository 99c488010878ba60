//! Avro, type by type, between our converter and Confluent's client for Python.

use connect_api::schema::logical;
use serde_json::json;

use crate::records::{self, AVRO, everything, plain, read, there_and_back, types, written};
use crate::support::{ask, unique, url};

/// Enums and unions as all formats know them.
const SUM_TYPES: [(&str, &str); 1] = [("generalized.sum.type.support", "true")];

#[test]
fn the_other_client_reads_every_type() {
    let topic = unique("avro_written");
    let converter = AVRO.make(url(), false, &SUM_TYPES);
    let (schema, value) = everything();
    let bytes = written(&*converter, &topic, schema, value.clone());
    let answers = ask(&[AVRO.to_read(&topic, &bytes)]);
    let expected = json!({
        "tiny": -8,
        "small": -1600,
        "number": -320_000,
        "large": 9_007_199_254_740_993_i64,
        "single": 1.5,
        "double": -2.25,
        "yes": true,
        "text": "für dich",
        "raw": {"$bytes": "00ff"},
        "price": {"$decimal": "12.34"},
        "day": {"$date": "2024-02-29"},
        "hour": {"$time": "12:00:00.500000"},
        "at": {"$timestamp": "2024-02-29T12:00:00.500000+00:00"},
        "missing": null,
        "present": -1,
        "preset": 5,
        "tags": ["a", "b"],
        "items": [{"name": "pen", "count": 3}, {"name": "pen", "count": null}],
        "counts": {"x": 9_007_199_254_740_993_i64},
        "numbers": [{"key": 1, "value": "one"}],
        "item": {"name": "pen", "count": 1},
        "nothing": null,
        "mood": "SAD",
        "choice": 5,
    });
    assert_eq!(answers[0]["value"], expected);
    let mut expected = plain(&value);
    expected["choice"] = json!({"connect_union_field_0": null, "connect_union_field_1": 5});
    assert_eq!(there_and_back(&*converter, &topic), expected, "only the names in a union are lost");
}

const FOREIGN: &str = r#"{"type": "record", "name": "Everything", "namespace": "shop", "doc": "All of Avro", "fields": [
    {"name": "yes", "type": "boolean"},
    {"name": "number", "type": "int"},
    {"name": "large", "type": "long"},
    {"name": "single", "type": "float"},
    {"name": "double", "type": "double"},
    {"name": "raw", "type": "bytes"},
    {"name": "text", "type": "string"},
    {"name": "missing", "type": ["null", "string"], "default": null},
    {"name": "present", "type": ["null", "long"], "default": null},
    {"name": "preset", "type": "int", "default": 7},
    {"name": "mood", "type": {"type": "enum", "name": "Mood", "symbols": ["FINE", "SAD"]}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "counts", "type": {"type": "map", "values": "long"}},
    {"name": "item", "type": {"type": "record", "name": "Item", "fields": [
        {"name": "name", "type": "string"}, {"name": "parent", "type": ["null", "Item"], "default": null}]}},
    {"name": "items", "type": {"type": "array", "items": "Item"}},
    {"name": "choice", "type": ["string", "long"]},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "hour", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "hour_micros", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "at_micros", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "reference", "type": {"type": "string", "logicalType": "uuid"}}]}"#;

#[test]
fn every_type_of_the_other_client_is_read() {
    let topic = unique("avro_read");
    let value = json!({
        "yes": true,
        "number": -320_000,
        "large": 9_007_199_254_740_993_i64,
        "single": 1.5,
        "double": {"$float": "-inf"},
        "raw": {"$bytes": "00ff"},
        "text": "für dich",
        "missing": null,
        "present": -1,
        "preset": 5,
        "mood": "SAD",
        "hash": {"$bytes": "01020304"},
        "tags": ["a", "b"],
        "counts": {"x": 3},
        "item": {"name": "pen", "parent": {"name": "box", "parent": null}},
        "items": [{"name": "ink", "parent": null}],
        "choice": 5,
        "price": {"$decimal": "12.34"},
        "day": {"$date": "2024-02-29"},
        "hour": {"$time": "12:00:00.500"},
        "hour_micros": {"$time": "12:00:00.500001"},
        "at": {"$timestamp": "2024-02-29T12:00:00.500+00:00"},
        "at_micros": {"$timestamp": "2024-02-29T12:00:00.500001+00:00"},
        "reference": {"$uuid": "123e4567-e89b-12d3-a456-426614174000"},
    });
    let answers = ask(&[AVRO.to_write(&topic, FOREIGN, value)]);
    let datum = read(&*AVRO.make(url(), false, &[]), &topic, &answers[0]);
    let expected = json!({
        "yes": "boolean",
        "number": "int32",
        "large": "int64",
        "single": "float32",
        "double": "float64",
        "raw": "bytes",
        "text": "string",
        "missing": "string?",
        "present": "int64?",
        "preset": "int32",
        "mood": "shop.Mood",
        "hash": "shop.Hash",
        "tags": "[string]",
        "counts": "{string: int64}",
        "item": "shop.Item",
        "items": "[shop.Item]",
        "choice": "io.confluent.connect.avro.Union",
        "price": logical::DECIMAL,
        "day": logical::DATE,
        "hour": logical::TIME,
        "hour_micros": "int64",
        "at": logical::TIMESTAMP,
        "at_micros": "int64",
        "reference": "string",
    });
    assert_eq!(types(&datum), expected);
    let expected = json!({
        "yes": true,
        "number": -320_000,
        "large": 9_007_199_254_740_993_i64,
        "single": 1.5,
        "double": "-inf",
        "raw": {"$bytes": "00ff"},
        "text": "für dich",
        "missing": null,
        "present": -1,
        "preset": 5,
        "mood": "SAD",
        "hash": {"$bytes": "01020304"},
        "tags": ["a", "b"],
        "counts": {"x": 3},
        "item": {"name": "pen", "parent": {"name": "box", "parent": null}},
        "items": [{"name": "ink", "parent": null}],
        "choice": {"string": null, "long": 5},
        "price": {"$bytes": "04d2"},
        "day": 19_782,
        "hour": 43_200_500,
        "hour_micros": 43_200_500_001_i64,
        "at": 1_709_208_000_500_i64,
        "at_micros": 1_709_208_000_500_001_i64,
        "reference": "123e4567-e89b-12d3-a456-426614174000",
    });
    assert_eq!(plain(&datum.value), expected);
}

#[test]
fn values_that_are_no_records_and_keys() {
    let topic = unique("avro_roots");
    let converter = AVRO.make(url(), true, &[]);
    let mut order = AVRO.to_read(&topic, &records::text(&*converter, &topic, "für dich"));
    order["key"] = json!(true);
    let mut other = AVRO.to_write(&format!("{topic}_other"), r#"{"type": "long"}"#, json!(-5));
    other["key"] = json!(true);
    let answers = ask(&[order, other]);
    assert_eq!(answers[0]["value"], "für dich");
    let datum = read(&*converter, &format!("{topic}_other"), &answers[1]);
    assert_eq!((plain(&datum.value), datum.schema.unwrap().kind.name()), (json!(-5), "int64"));
}

#[test]
fn schemas_may_refer_to_others() {
    let (topic, subject) = (unique("avro_references"), unique("avro_item"));
    let item =
        r#"{"type": "record", "name": "Item", "namespace": "shop", "fields": [{"name": "name", "type": "string"}]}"#;
    let order = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "item", "type": "shop.Item"}]}"#;
    let mut write = AVRO.to_write(&topic, order, json!({"item": {"name": "pen"}}));
    write["references"] = json!([{"name": "shop.Item", "subject": subject, "version": 1}]);
    let register = json!({"do": "register", "format": AVRO.name, "subject": subject, "schema": item});
    let answers = ask(&[register, write]);
    let datum = read(&*AVRO.make(url(), false, &[]), &topic, &answers[1]);
    assert_eq!(plain(&datum.value), json!({"item": {"name": "pen"}}));
}

#[test]
fn records_are_read_into_the_latest_version() {
    let topic = unique("avro_latest");
    let version = |fields: &str| format!(r#"{{"type": "record", "name": "Row", "fields": [{fields}]}}"#);
    let old = version(r#"{"name": "id", "type": "int"}"#);
    let new = version(r#"{"name": "id", "type": "long"}, {"name": "level", "type": "int", "default": 7}"#);
    let register = |text: &str| json!({"do": "register", "format": AVRO.name, "subject": format!("{topic}-value"), "schema": text});
    let answers = ask(&[AVRO.to_write(&topic, &old, json!({"id": 5})), register(&new)]);
    assert_eq!(answers[1]["version"], 2);
    let settings = [("use.latest.version", "true"), ("auto.register.schemas", "false")];
    let datum = read(&*AVRO.make(url(), false, &settings), &topic, &answers[0]);
    assert_eq!(plain(&datum.value), json!({"id": 5, "level": 7}));
    assert_eq!(types(&datum), json!({"id": "int64", "level": "int32"}));
}
