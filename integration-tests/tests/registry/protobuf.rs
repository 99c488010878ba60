//! Protobuf, type by type, between our converter and Confluent's client for Python, whose messages protoc has compiled.

use connect_api::schema::logical;
use serde_json::{Value, json};

use crate::records::{self, PROTOBUF, bytes_of, everything, plain, read, there_and_back, types, written};
use crate::support::{ask, unique, url};

/// Enums and unions as all formats know them.
const SUM_TYPES: [(&str, &str); 1] = [("generalized.sum.type.support", "true")];

/// The order to write a message.
fn to_write(topic: &str, schema: &str, message: &str, value: Value) -> Value {
    let mut order = PROTOBUF.to_write(topic, schema, value);
    order["message"] = json!(message);
    order
}

#[test]
fn the_other_client_reads_every_type() {
    let topic = unique("protobuf_written");
    let converter = PROTOBUF.make(url(), false, &SUM_TYPES);
    let (schema, value) = everything();
    let bytes = written(&*converter, &topic, schema, value.clone());
    let answers = ask(&[PROTOBUF.to_read(&topic, &bytes)]);
    assert_eq!(answers[0]["message"], "shop.Everything");
    let read = json!({
        "tiny": -8,
        "small": -1600,
        "number": -320_000,
        "large": "9007199254740993",
        "single": 1.5,
        "double": -2.25,
        "yes": true,
        "text": "für dich",
        "raw": "AP8=",
        "price": {"value": "BNI=", "precision": 4, "scale": 2},
        "day": {"year": 2024, "month": 2, "day": 29},
        "hour": {"hours": 12, "minutes": 0, "seconds": 0, "nanos": 500_000_000},
        "at": "2024-02-29T12:00:00.500Z",
        "missing": "",
        "present": "-1",
        "preset": 5,
        "tags": ["a", "b"],
        "items": [{"name": "pen", "count": 3}, {"name": "pen", "count": 0}],
        "counts": [{"key": "x", "value": "9007199254740993"}],
        "numbers": [{"key": 1, "value": "one"}],
        "item": {"name": "pen", "count": 1},
        "mood": "SAD",
        "as_number": "5",
    });
    assert_eq!(answers[0]["value"], read);
    let mut expected = plain(&value);
    expected.as_object_mut().unwrap().remove("choice");
    expected["choice_0"] = json!({"as_text": null, "as_number": 5});
    let telling = PROTOBUF.make(url(), false, &[SUM_TYPES[0], ("optional.for.nullables", "true")]);
    assert_eq!(there_and_back(&*telling, &format!("{topic}_optional")), expected);
    // Without the label optional, a message does not tell null from empty.
    expected["missing"] = json!("");
    expected["items"][1]["count"] = json!(0);
    assert_eq!(there_and_back(&*converter, &topic), expected);
}

const FOREIGN: &str = r#"syntax = "proto3";
package shop;
import "parts.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";

message Unused {
}
message Outer {
  message Everything {
    bool yes = 1;
    int32 number = 2;
    sint32 zigzag = 3;
    uint32 natural = 4;
    fixed32 fixed = 5;
    sfixed32 signed_fixed = 6;
    int64 large = 7;
    sint64 large_zigzag = 8;
    uint64 large_natural = 9;
    fixed64 large_fixed = 10;
    sfixed64 large_signed_fixed = 11;
    float single = 12;
    double double = 13;
    string text = 14;
    bytes raw = 15;
    optional string missing = 16;
    optional int64 present = 17;
    Mood mood = 18;
    repeated string tags = 19;
    repeated int32 numbers = 20;
    map<string, int64> counts = 21;
    map<int32, Inner> inners = 22;
    Inner inner = 23;
    Inner nothing = 24;
    parts.Part part = 25;
    oneof choice {
      string as_text = 26;
      int64 as_number = 27;
    }
    google.protobuf.Timestamp at = 28;
    google.type.Date day = 29;
    google.type.TimeOfDay hour = 30;
    confluent.type.Decimal price = 31 [(confluent.field_meta) = {params: [{key: "scale", value: "2"}]}];
    google.protobuf.StringValue wrapped = 32;
    enum Mood {
      FINE = 0;
      SAD = 1;
    }
  }
  message Inner {
    string name = 1;
  }
}
"#;
const PARTS: &str = r#"syntax = "proto3";
package parts;
message Part {
  int32 number = 1;
}
"#;

#[test]
fn every_type_of_the_other_client_is_read() {
    let topic = unique("protobuf_read");
    let value = json!({
        "yes": true,
        "number": -320_000,
        "zigzag": -5,
        "natural": 4_000_000_000_u32,
        "fixed": 4_000_000_000_u32,
        "signed_fixed": -5,
        "large": -9_007_199_254_740_993_i64,
        "large_zigzag": -5,
        "large_natural": 9_007_199_254_740_993_i64,
        "large_fixed": 5,
        "large_signed_fixed": -5,
        "single": 1.5,
        "double": -2.25,
        "text": "für dich",
        "raw": "AP8=",
        "present": -1,
        "mood": "SAD",
        "tags": ["a", "b"],
        "numbers": [1, -1],
        "counts": {"x": 3},
        "inners": {"7": {"name": "seven"}},
        "inner": {"name": "pen"},
        "part": {"number": 12},
        "as_number": 5,
        "at": "2024-02-29T12:00:00.500Z",
        "day": {"year": 2024, "month": 2, "day": 29},
        "hour": {"hours": 12, "nanos": 500_000_000},
        "price": {"value": "BNI=", "precision": 10, "scale": 2},
        "wrapped": "inside",
    });
    let mut order = to_write(&topic, FOREIGN, "shop.Outer.Everything", value);
    order["files"] = json!({"parts.proto": PARTS});
    let answers = ask(&[order]);
    assert_eq!(bytes_of(&answers[0])[5..9], [4, 2, 0, 8], "the first message of the second one");
    let datum = read(&*PROTOBUF.make(url(), false, &[]), &topic, &answers[0]);
    let expected = json!({
        "choice_0": "io.confluent.connect.protobuf.Union.choice?",
        "yes": "boolean?",
        "number": "int32?",
        "zigzag": "int32?",
        "natural": "int64?",
        "fixed": "int64?",
        "signed_fixed": "int32?",
        "large": "int64?",
        "large_zigzag": "int64?",
        "large_natural": "int64?",
        "large_fixed": "int64?",
        "large_signed_fixed": "int64?",
        "single": "float32?",
        "double": "float64?",
        "text": "string?",
        "raw": "bytes?",
        "missing": "string?",
        "present": "int64?",
        "mood": "Mood?",
        "tags": "[string?]?",
        "numbers": "[int32?]?",
        "counts": "counts?",
        "inners": "inners?",
        "inner": "Inner?",
        "nothing": "Inner?",
        "part": "Part?",
        "at": format!("{}?", logical::TIMESTAMP),
        "day": format!("{}?", logical::DATE),
        "hour": format!("{}?", logical::TIME),
        "price": format!("{}?", logical::DECIMAL),
        "wrapped": "StringValue?",
    });
    assert_eq!(types(&datum), expected);
    let expected = json!({
        "choice_0": {"as_text": null, "as_number": 5},
        "yes": true,
        "number": -320_000,
        "zigzag": -5,
        "natural": 4_000_000_000_u32,
        "fixed": 4_000_000_000_u32,
        "signed_fixed": -5,
        "large": -9_007_199_254_740_993_i64,
        "large_zigzag": -5,
        "large_natural": 9_007_199_254_740_993_i64,
        "large_fixed": 5,
        "large_signed_fixed": -5,
        "single": 1.5,
        "double": -2.25,
        "text": "für dich",
        "raw": {"$bytes": "00ff"},
        "missing": null,
        "present": -1,
        "mood": "SAD",
        "tags": ["a", "b"],
        "numbers": [1, -1],
        "counts": {"x": 3},
        "inners": [[7, {"name": "seven"}]],
        "inner": {"name": "pen"},
        "nothing": null,
        "part": {"number": 12},
        "at": 1_709_208_000_500_i64,
        "day": 19_782,
        "hour": 43_200_500,
        "price": {"$bytes": "04d2"},
        "wrapped": {"value": "inside"},
    });
    assert_eq!(plain(&datum.value), expected);
}

#[test]
fn the_older_syntax_is_read() {
    let topic = unique("protobuf_older");
    let schema = r#"syntax = "proto2"; message Row { required int32 id = 1; optional string note = 2; optional int64 level = 3 [default = 7];
                    repeated int32 numbers = 4; }"#;
    let answers = ask(&[to_write(&topic, schema, "Row", json!({"id": 5, "numbers": [1, 2]}))]);
    let datum = read(&*PROTOBUF.make(url(), false, &[]), &topic, &answers[0]);
    assert_eq!(plain(&datum.value), json!({"id": 5, "note": null, "level": null, "numbers": [1, 2]}));
}

#[test]
fn values_that_are_no_messages_and_keys() {
    let topic = unique("protobuf_roots");
    let converter = PROTOBUF.make(url(), true, &[]);
    let mut order = PROTOBUF.to_read(&topic, &records::text(&*converter, &topic, "für dich"));
    order["key"] = json!(true);
    let answers = ask(&[order]);
    assert_eq!(
        (&answers[0]["message"], &answers[0]["value"]),
        (&json!("google.protobuf.StringValue"), &json!({"value": "für dich"}))
    );
}
