//! Schemas that a registry gives, and records under them.

use bytes::{Bytes, BytesMut};
use connect_api::Value;
use connect_api::java::equal;
use connect_registry::records::{AvroRecords, JsonRecords, ProtobufRecords};

use crate::{parts, props};

/// This bit of the first byte says that a schema and a record follow. Else a record of one of the schemas below follows.
const OWN_SCHEMA: u8 = 0x80;

const AVRO: [&str; 8] = [
    r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"small","type":{"type":"int","connect.type":"int8"}},
        {"name":"tags","type":{"type":"array","items":"string"}},{"name":"more","type":{"type":"map","values":["null","double"]}},
        {"name":"float","type":"float"},{"name":"yes","type":"boolean"}]}"#,
    r#"{"type":"record","name":"Node","fields":[{"name":"left","type":["null","Node"]},{"name":"right","type":["null","Node"]}]}"#,
    r#"["null","int","string",{"type":"fixed","name":"F","size":3},{"type":"enum","name":"E","symbols":["A","B"]},
        {"type":"record","name":"R","fields":[{"name":"u","type":["int","string"]}]}]"#,
    r#"{"type":"array","items":{"type":"array","items":{"type":"record","name":"Nothing","fields":[]}}}"#,
    r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro",
        "fields":[{"name":"key","type":["null","long"]},{"name":"value","type":{"type":"map","values":"bytes"}}]}}"#,
    r#"{"type":"record","name":"io.confluent.connect.avro.Anything","fields":[]}"#,
    r#""bytes""#,
    r#"{"type":"fixed","name":"D","size":5,"logicalType":"decimal","precision":9,"scale":2}"#,
];

const PROTOBUF: [(&str, &[i32]); 5] = [
    (ORDERS, &[0]),
    (ORDERS, &[0, 0]),
    (ORDERS, &[1]),
    (r#"syntax = "proto2"; message A { required int32 a = 1; optional string b = 2 [default = "x"]; repeated A c = 3;
        optional E e = 4 [default = Q]; repeated fixed32 f = 5 [packed = true]; enum E { P = 0; Q = 5; }
        optional group G = 6 { optional bytes g = 1; } }"#, &[0]),
    ("syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; message W { google.protobuf.BytesValue a = 1;
        google.protobuf.DoubleValue b = 2; google.protobuf.StringValue c = 3; repeated google.protobuf.Int32Value d = 4; }", &[0]),
];

const ORDERS: &str = r#"syntax = "proto3"; package shop;
    import "confluent/type/decimal.proto"; import "google/type/date.proto"; import "google/type/timeofday.proto";
    import "google/protobuf/timestamp.proto"; import "confluent/meta.proto";
    message Order {
      message Line { string text = 1; sint64 count = 2; optional float f = 3; }
      int64 id = 1; repeated Line lines = 2; map<string, Line> by_name = 3; confluent.type.Decimal price = 4;
      google.type.Date day = 5; google.type.TimeOfDay time = 6; google.protobuf.Timestamp at = 7;
      oneof either { string one = 8; Order other = 9; bool third = 10; }
      int32 small = 11 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }];
      repeated uint32 numbers = 12; double d = 13; E e = 14; enum E { NO = 0; YES = 3; }
      map<int32, bytes> by_number = 15; fixed64 fixed = 16;
    }
    message Node { Node left = 1; Node right = 2; }"#;

const JSON: [&str; 3] = [
    r#"{"type":"object","title":"shop.Order","properties":{
        "id":{"type":"integer","connect.type":"int64","connect.index":0},"f":{"type":"number","connect.type":"float32"},
        "day":{"type":"integer","connect.type":"int32","title":"org.apache.kafka.connect.data.Date","connect.version":1},
        "price":{"type":"string","connect.type":"bytes","title":"org.apache.kafka.connect.data.Decimal","connect.parameters":{"scale":"2"}},
        "bytes":{"type":"string","connect.type":"bytes"},"yes":{"type":"boolean"},"d":{"type":"number"},
        "name":{"oneOf":[{"type":"null"},{"type":"string"}]},"tags":{"type":"array","items":{"type":"string"}},
        "more":{"type":"object","connect.type":"map","additionalProperties":{"type":"integer","connect.type":"int8"}},
        "pairs":{"type":"array","connect.type":"map","items":{"type":"object","properties":{
            "key":{"type":"integer","connect.index":0},"value":{"type":"string","connect.index":1}}}}}}"#,
    r##"{"definitions":{"n":{"type":"object","properties":{"left":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/n"}]},
        "list":{"type":"array","items":{"$ref":"#/definitions/n"}},"d":{"type":"integer","default":5}}}},"$ref":"#/definitions/n"}"##,
    r#"{"oneOf":[{"type":"integer","connect.type":"int8"},{"type":"string"},{"type":"object","properties":{"a":{"type":"number"}}},
        {"type":"array","items":{"anyOf":[{"type":"boolean"},{"type":"object","properties":{"a":{"type":"string"}}}]}}]}"#,
];
/// Of a union the first type that fits counts, which for what is written may be another one.
const JSON_WITHOUT_UNIONS: usize = 2;

/// Avro: a record of one schema, or a schema as text with a record of it.
pub fn avro(data: &[u8]) {
    thread_local!(static KNOWN: Vec<AvroRecords> = AVRO.iter().map(|text| avro_records(text).expect("a schema")).collect());
    let Some((&kind, data)) = data.split_first() else { return };
    let choose = |known: &Vec<AvroRecords>| usize::from(kind & !OWN_SCHEMA) % known.len();
    KNOWN.with(|known| {
        let known = &known[choose(known)];
        if kind & OWN_SCHEMA == 0 {
            return read_avro(known, data, true);
        }
        let (text, record) = parts(data);
        let Ok(records) = avro_records(&String::from_utf8_lossy(text)) else { return };
        // Its unions may have two types that are one in Connect.
        read_avro(&records, record, false);
        for (written, into) in [(&records, known), (known, &records)] {
            if let Ok(resolved) = written.read_into(into) {
                drop(resolved.compatible());
                drop(resolved.read(Bytes::copy_from_slice(record)));
            }
        }
    });
}

fn avro_records(text: &str) -> connect_api::Result<AvroRecords> {
    // Without this, symbols of enums are written as texts where a union has both.
    AvroRecords::new(text, [], &props(&[("enhanced.avro.schema.support", "true")]))
}

fn read_avro(records: &AvroRecords, record: &[u8], same_again: bool) {
    let Ok(value) = records.read(Bytes::copy_from_slice(record)) else { return };
    let mut out = BytesMut::new();
    // Without a schema null is no record at all.
    if records.write(&value, &mut out).is_err() || !same_again {
        return;
    }
    match records.read(out.freeze()) {
        Ok(again) => same(&again, &value),
        // Bytes that stood behind the value, and are not written, allowed for as many elements without bytes.
        Err(error) => assert!(error.message().contains("more elements than bytes"), "{error}"),
    }
}

/// Protobuf: a message of one schema, or a schema as text or in base64 with a message of it.
pub fn protobuf(data: &[u8]) {
    let records = |text: &str, indexes: &[i32]| ProtobufRecords::new(text, [], indexes, &props(&[]));
    thread_local!(static KNOWN: Vec<ProtobufRecords> = {
        PROTOBUF.iter().map(|(text, at)| ProtobufRecords::new(text, [], at, &props(&[])).expect("a schema")).collect()
    });
    let Some((&kind, data)) = data.split_first() else { return };
    if kind & OWN_SCHEMA == 0 {
        return KNOWN.with(|known| read_protobuf(&known[usize::from(kind) % known.len()], data));
    }
    let (text, record) = parts(data);
    let Ok((indexes, message)) = ProtobufRecords::indexes(Bytes::copy_from_slice(record)) else { return };
    if let Ok(records) = records(&String::from_utf8_lossy(text), &indexes) {
        read_protobuf(&records, &message);
    }
}

fn read_protobuf(records: &ProtobufRecords, message: &[u8]) {
    let Ok(value) = records.read(Bytes::copy_from_slice(message)) else { return };
    let mut out = BytesMut::new();
    // Symbols that nobody knows have no number.
    if records.write(&value, &mut out).is_ok() {
        same(&records.read(out.freeze()).expect("what was written is readable"), &value);
    }
}

/// JSON Schema: a record of one schema, or a schema with a record of it.
pub fn json_schema(data: &[u8]) {
    let records = |text: &str| JsonRecords::new(text, [], &props(&[]));
    thread_local!(static KNOWN: Vec<JsonRecords> = {
        JSON.iter().map(|text| JsonRecords::new(text, [], &props(&[])).expect("a schema")).collect()
    });
    let Some((&kind, data)) = data.split_first() else { return };
    let read = |records: &JsonRecords, record: &[u8], without_unions: bool| {
        let Ok(value) = records.read(&Bytes::copy_from_slice(record)) else { return };
        let mut out = BytesMut::new();
        if !matches!(records.write(&value, &mut out), Ok(true)) || !without_unions {
            return;
        }
        match records.read(&out.freeze()) {
            Ok(again) => same(&again, &value),
            // What is missing is null, for which there may be no place.
            Err(error) => assert!(error.message().starts_with("Invalid null value"), "{error} of {value:?}"),
        }
    };
    if kind & OWN_SCHEMA == 0 {
        return KNOWN.with(|known| {
            let place = usize::from(kind) % known.len();
            read(&known[place], data, place < JSON_WITHOUT_UNIONS);
        });
    }
    let (text, record) = parts(data);
    if let Ok(records) = records(&String::from_utf8_lossy(text)) {
        read(&records, record, false);
    }
}

fn same(again: &Value, value: &Value) {
    assert!(equal::values(again, value), "{value:?} is {again:?} when it is read again");
}
