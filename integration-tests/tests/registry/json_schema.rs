//! JSON Schema, type by type, between our converter and Confluent's client for Python, which holds records against their schema.

use connect_api::schema::logical;
use serde_json::json;

use crate::records::{JSON_SCHEMA, everything, item, plain, read, there_and_back, types, written};
use crate::support::{ask, unique, url};

/// Enums and unions as all formats know them.
const SUM_TYPES: [(&str, &str); 1] = [("generalized.sum.type.support", "true")];

#[test]
fn the_other_client_reads_every_type() {
    let topic = unique("json_written");
    let converter = JSON_SCHEMA.make(url(), false, &SUM_TYPES);
    let (schema, value) = everything();
    let bytes = written(&*converter, &topic, schema.clone(), value.clone());
    let answers = ask(&[JSON_SCHEMA.to_read(&topic, &bytes)]);
    let mut read = json!({
        "tiny": -8,
        "small": -1600,
        "number": -320_000,
        "large": 9_007_199_254_740_993_i64,
        "single": 1.5,
        "double": -2.25,
        "yes": true,
        "text": "für dich",
        "raw": "AP8=",
        "price": "BNI=",
        "day": 19_782,
        "hour": 43_200_500,
        "at": 1_709_208_000_500_i64,
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
    assert_eq!(answers[0]["value"], read);
    let mut expected = plain(&value);
    expected["choice"] = json!({"connect_union_field_0": null, "connect_union_field_1": 5});
    assert_eq!(there_and_back(&*converter, &topic), expected, "only the names in a union are lost");

    let topic = unique("json_numeric");
    let converter = JSON_SCHEMA.make(url(), false, &[SUM_TYPES[0], ("decimal.format", "NUMERIC")]);
    let answers = ask(&[JSON_SCHEMA.to_read(&topic, &written(&*converter, &topic, schema, value))]);
    read["price"] = json!(12.34);
    assert_eq!(answers[0]["value"], read);
    assert_eq!(there_and_back(&*converter, &topic), expected);
}

const FOREIGN: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Everything", "type": "object", "properties": {
    "yes": {"type": "boolean"},
    "number": {"type": "integer"},
    "double": {"type": "number"},
    "text": {"type": "string"},
    "missing": {"oneOf": [{"type": "null"}, {"type": "string"}]},
    "present": {"oneOf": [{"type": "null"}, {"type": "integer"}]},
    "tags": {"type": "array", "items": {"type": "string"}},
    "counts": {"type": "object", "connect.type": "map", "additionalProperties": {"type": "integer"}},
    "item": {"$ref": "#/definitions/Item"},
    "items": {"type": "array", "items": {"$ref": "#/definitions/Item"}},
    "mood": {"enum": ["FINE", "SAD"]},
    "choice": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    "tiny": {"type": "integer", "connect.type": "int8"},
    "raw": {"type": "string", "connect.type": "bytes"},
    "day": {"type": "integer", "connect.type": "int32", "title": "org.apache.kafka.connect.data.Date", "connect.version": 1}},
  "definitions": {"Item": {"type": "object", "properties": {"name": {"type": "string"}}}}}"##;

#[test]
fn every_type_of_the_other_client_is_read() {
    let topic = unique("json_read");
    let value = json!({
        "yes": true,
        "number": 9_007_199_254_740_993_i64,
        "double": -2.25,
        "text": "für dich",
        "missing": null,
        "present": -1,
        "tags": ["a", "b"],
        "counts": {"x": 3},
        "item": {"name": "pen"},
        "items": [{"name": "ink"}],
        "mood": "SAD",
        "choice": 5,
        "tiny": -8,
        "raw": "AP8=",
        "day": 19_782,
    });
    let answers = ask(&[JSON_SCHEMA.to_write(&topic, FOREIGN, value)]);
    let datum = read(&*JSON_SCHEMA.make(url(), false, &[]), &topic, &answers[0]);
    let expected = json!({
        "yes": "boolean",
        "number": "int64",
        "double": "float64",
        "text": "string",
        "missing": "string?",
        "present": "int64?",
        "tags": "[string]",
        "counts": "{string: int64}",
        "item": "struct",
        "items": "[struct]",
        "mood": "string",
        "choice": "io.confluent.connect.json.OneOf",
        "tiny": "int8",
        "raw": "bytes",
        "day": logical::DATE,
    });
    assert_eq!(types(&datum), expected);
    let expected = json!({
        "yes": true,
        "number": 9_007_199_254_740_993_i64,
        "double": -2.25,
        "text": "für dich",
        "missing": null,
        "present": -1,
        "tags": ["a", "b"],
        "counts": {"x": 3},
        "item": {"name": "pen"},
        "items": [{"name": "ink"}],
        "mood": "SAD",
        "choice": {"io.confluent.connect.json.OneOf.field.0": null, "io.confluent.connect.json.OneOf.field.1": 5},
        "tiny": -8,
        "raw": {"$bytes": "00ff"},
        "day": 19_782,
    });
    assert_eq!(plain(&datum.value), expected);
}

/// Apicurio's registry takes no schema of a text by itself for JSON Schema, Confluent's does.
#[test]
fn keys_are_read() {
    let topic = unique("json_keys");
    let (schema, value) = item();
    let mut order = JSON_SCHEMA.to_read(&topic, &written(&*JSON_SCHEMA.make(url(), true, &[]), &topic, schema, value));
    order["key"] = json!(true);
    assert_eq!(ask(&[order])[0]["value"], json!({"name": "pen", "count": 3}));
}

#[test]
fn schemas_may_refer_to_others() {
    let (topic, subject) = (unique("json_references"), unique("json_item"));
    let item = r#"{"title": "Item", "type": "object", "properties": {"name": {"type": "string"}}}"#;
    let order = r#"{"title": "Order", "type": "object", "properties": {"item": {"$ref": "item.json"}}}"#;
    let mut write = JSON_SCHEMA.to_write(&topic, order, json!({"item": {"name": "pen"}}));
    write["references"] = json!([{"name": "item.json", "subject": subject, "version": 1}]);
    let register = json!({"do": "register", "format": JSON_SCHEMA.name, "subject": subject, "schema": item});
    let answers = ask(&[register, write]);
    let datum = read(&*JSON_SCHEMA.make(url(), false, &[]), &topic, &answers[1]);
    assert_eq!(plain(&datum.value), json!({"item": {"name": "pen"}}));
}
