//! Records that are read into another schema than the one they were written with, by Avro's rules.

use std::sync::Arc;

use connect_api::{Bytes, Struct, Value};

use super::super::schema::Schema;
use super::super::{decode, text, to_connect};
use super::options;
use crate::unroll::on_small_stack;

fn parse(json: &str) -> Arc<Schema> {
    Arc::new(text::parse(json, []).unwrap())
}

/// What bytes of one schema are in another.
fn read(writer: &str, reader: &str, bytes: &[u8]) -> Result<Value, String> {
    let (writer, reader) = (parse(writer), parse(reader));
    let schema = to_connect::convert(&reader, None, &options(&[]), &Default::default()).unwrap();
    let plan = decode::Reader::new(&writer, &reader, schema).map_err(|error| error.message().to_owned())?;
    plan.read(Bytes::copy_from_slice(bytes)).map_err(|error| error.message().to_owned())
}

fn fields(value: &Value) -> &[Value] {
    let Value::Struct(Struct { fields, .. }) = value else { panic!("{value:?}") };
    fields
}

#[test]
fn fields_come_and_go_and_move() {
    let writer = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"gone","type":{"type":"map","values":["null","string"]}},{"name":"b","type":"string"}]}"#;
    let reader = r#"{"type":"record","name":"R","fields":[{"name":"new","type":"long","default":9},{"name":"c","type":"string","aliases":["b"]},{"name":"a","type":["null","double"]}]}"#;
    // 3, one entry k=v and the end, "x".
    let bytes = [6, 2, 2, b'k', 2, 2, b'v', 0, 2, b'x'];
    let value = read(writer, reader, &bytes).unwrap();
    assert_eq!(fields(&value), [Value::Int64(9), "x".into(), Value::Float64(3.0)]);
    let strict = r#"{"type":"record","name":"R","fields":[{"name":"new","type":"long"}]}"#;
    assert_eq!(read(writer, strict, &bytes), Err("missing required field new in what was written".to_owned()));
}

#[test]
fn numbers_and_texts_widen() {
    for (writer, reader, bytes, expected) in [
        ("int", "long", vec![6], Value::Int64(3)),
        ("int", "float", vec![6], Value::Float32(3.0)),
        ("long", "double", vec![6], Value::Float64(3.0)),
        ("float", "double", 1.5f32.to_le_bytes().to_vec(), Value::Float64(1.5)),
        ("string", "bytes", vec![2, b'x'], Value::Bytes(Bytes::from_static(b"x"))),
    ] {
        assert_eq!(read(&format!("\"{writer}\""), &format!("\"{reader}\""), &bytes), Ok(expected));
    }
    assert_eq!(read("\"long\"", "\"int\"", &[2]), Err("Found long, expecting int".to_owned()));
}

#[test]
fn unions_are_resolved_type_by_type() {
    let optional = r#"["null","string"]"#;
    assert_eq!(read("\"string\"", optional, &[2, b'x']), Ok("x".into()));
    assert_eq!(read(optional, "\"string\"", &[2, 2, b'x']), Ok("x".into()));
    assert_eq!(read(optional, "\"string\"", &[0]), Err("Found null, expecting string".to_owned()));
    assert_eq!(read(r#"["string","null"]"#, optional, &[2]), Ok(Value::Null));
    let value = read(r#"["int","string"]"#, r#"["string","long","null"]"#, &[0, 8]).unwrap();
    assert_eq!(fields(&value), [Value::Null, Value::Int64(4)]);
    let value = read(r#"["int","string"]"#, r#"["string","long","null"]"#, &[2, 2, b'x']).unwrap();
    assert_eq!(fields(&value), ["x".into(), Value::Null]);
    assert_eq!(
        read(optional, optional, &[4]),
        Err("the record is damaged, or was written with another schema: a union has no such type".to_owned())
    );
}

#[test]
fn symbols_that_are_gone_have_a_default() {
    let writer = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    let reader = |more: &str| format!(r#"{{"type":"enum","name":"E","symbols":["B","C"]{more}}}"#);
    assert_eq!(read(writer, &reader(""), &[2]), Ok("B".into()));
    assert_eq!(read(writer, &reader(""), &[0]), Err("No match for an enum symbol".to_owned()));
    assert_eq!(read(writer, &reader(r#","default":"C""#), &[0]), Ok("C".into()));
}

#[test]
fn blocks_may_say_their_size() {
    let writer = r#"{"type":"array","items":"int"}"#;
    let value = read(writer, writer, &[3, 4, 2, 4, 2, 6, 0]).unwrap();
    assert_eq!(value, Value::Array(vec![Value::Int32(1), Value::Int32(2), Value::Int32(3)]));
    assert!(read(writer, writer, &[3, 4, 2]).is_err());
    // Elements without bytes: a count alone must not keep anyone busy for years.
    let empty = r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#;
    assert!(read(empty, empty, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]).is_err());
    let Ok(Value::Array(list)) = read(empty, empty, &[6, 0]) else { panic!() };
    assert_eq!(list.len(), 3);
}

#[test]
fn data_below_the_last_level_are_refused() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let mut bytes = vec![2; 40];
    bytes.push(0);
    let mut value = read(list, list, &bytes).unwrap();
    let mut depth = 0;
    while let Value::Struct(Struct { fields, .. }) = value {
        value = fields[0].clone();
        depth += 1;
    }
    assert_eq!(depth, 41);
    let mut bytes = vec![2; 100];
    bytes.push(0);
    assert_eq!(read(list, list, &bytes), Err(crate::unroll::TOO_DEEP.to_owned()));
}

#[test]
fn decimals_have_their_shortest_bytes_and_texts_are_always_texts() {
    let decimal = r#"{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":9,"scale":2}"#;
    assert_eq!(read(decimal, decimal, &[0xff, 0xff, 0xff, 0x80]), Ok(Value::Bytes(Bytes::from_static(&[0x80]))));
    let bytes = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    assert_eq!(read(bytes, bytes, &[0, 0, 5]), Ok(Value::Bytes(Bytes::from_static(&[5]))));
    assert_eq!(read("\"string\"", "\"string\"", &[4, b'a', 0xff]), Ok("a\u{fffd}".into()));
}

/// Records within each other: each holds the next one, and fields of these names and types too.
fn nested(at: usize, number: usize, more: &dyn Fn(usize) -> Vec<(String, String)>) -> String {
    let next = (at + 1 < number).then(|| ("next".to_owned(), nested(at + 1, number, more)));
    let fields = next.into_iter().chain(more(at));
    let fields: Vec<String> = fields.map(|(name, of)| format!(r#"{{"name":"{name}","type":{of}}}"#)).collect();
    format!(r#"{{"type":"record","name":"R{at}","fields":[{}]}}"#, fields.join(","))
}

fn refused(text: &str) -> String {
    super::connect(text, &options(&[])).unwrap_err().message().to_owned()
}

#[test]
fn a_deep_schema_is_unrolled_as_far_as_a_stack_holds() {
    on_small_stack(|| {
        let last = 29;
        let again =
            |at| if at == last { vec![("again".to_owned(), r#"["null","R0"]"#.to_owned())] } else { Vec::new() };
        let schema = nested(0, last + 1, &again);
        assert!(read(&schema, &schema, &[2, 2, 2, 0]).is_ok());
        assert_eq!(read(&schema, &schema, &[2; 100]), Err(crate::unroll::TOO_DEEP.to_owned()));
    });
}

#[test]
fn a_map_of_entries_may_hold_itself() {
    on_small_stack(|| {
        let of = |value: &str| {
            format!(
                r#"{{"type":"array","items":{{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro",
                "fields":[{{"name":"key","type":"int"}},{{"name":"value","type":{value}}}]}}}}"#
            )
        };
        let entries = of(r#"{"type":"array","items":"MapEntry"}"#);
        // One entry each, whose key is 3.
        let nested = |levels: usize, beginning: &[u8]| {
            let mut bytes = beginning.repeat(levels);
            bytes.resize(bytes.len() + levels + 1, 0);
            bytes
        };
        let mut value = read(&entries, &entries, &nested(40, &[2, 6])).unwrap();
        let mut depth = 0;
        while let Value::Map(mut pairs) = value {
            let Some((key, inner)) = pairs.pop() else { break };
            assert_eq!(key, Value::Int32(3));
            value = inner;
            depth += 1;
        }
        assert_eq!(depth, 40);
        assert_eq!(read(&entries, &entries, &nested(100, &[2, 6])), Err(crate::unroll::TOO_DEEP.to_owned()));
        // As the value, or null, and beside others.
        let nullable = of(r#"["null",{"type":"array","items":"MapEntry"}]"#);
        assert!(read(&nullable, &nullable, &[2, 6, 2, 2, 8, 0, 0, 0]).is_ok());
        let union = of(r#"["string","int",{"type":"array","items":"MapEntry"}]"#);
        assert!(read(&union, &union, &[2, 6, 4, 2, 8, 2, 10, 0, 0]).is_ok());
        // Nothing says by which name the levels are one type.
        let schema = super::connect(&entries, &options(&[])).unwrap();
        let error = super::super::from_connect::convert(Some(&schema), &options(&[])).unwrap_err();
        assert!(error.message().starts_with("Can't redefine"), "{error}");
    });
}

#[test]
fn a_schema_that_is_too_large_written_out_is_refused() {
    let all_of_all = |at: usize| {
        let others = (0..12).filter(|to| *to != at && *to != at + 1);
        others.map(|to| (format!("f{to}"), format!(r#"["null","R{to}"]"#))).collect()
    };
    let twice = |at| if at < 29 { vec![("again".to_owned(), format!(r#""R{}""#, at + 1))] } else { Vec::new() };
    for schema in [nested(0, 12, &all_of_all), nested(0, 30, &twice)] {
        assert!(refused(&schema).starts_with("the schema is too large"));
    }
}

#[test]
fn elements_without_bytes_are_bounded_for_the_record_as_a_whole() {
    let schema = r#"{"type":"array","items":{"type":"array","items":"null"}}"#;
    let schema = schema.replace(r#""null""#, r#"{"type":"record","name":"E","fields":[]}"#);
    // A hundred arrays of a million each.
    let mut bytes = vec![0xc8, 0x01];
    for _ in 0..100 {
        bytes.extend([0x80, 0x89, 0x7a, 0]);
    }
    bytes.push(0);
    assert!(read(&schema, &schema, &bytes).unwrap_err().ends_with("it has more elements than bytes"));
}

#[test]
fn fields_without_bytes_are_bounded_for_the_record_as_a_whole() {
    // A million times a record of a thousand fields that are nothing.
    let fields: Vec<String> =
        (0..1_000).map(|n| format!(r#"{{"name":"f{n}","type":{{"type":"fixed","name":"F{n}","size":0}}}}"#)).collect();
    let schema =
        format!(r#"{{"type":"array","items":{{"type":"record","name":"E","fields":[{}]}}}}"#, fields.join(","));
    let million = [0x80, 0x89, 0x7a, 0];
    assert!(read(&schema, &schema, &million).unwrap_err().ends_with("it has more elements than bytes"));
    assert!(read(&schema, &schema, &[2, 0]).is_ok());
}

#[test]
fn records_that_nobody_wants_and_that_multiply_are_bounded() {
    // Each has the one before twice.
    let record = |n: usize| {
        let field = |name: &str| format!(r#"{{"name":"{name}","type":"R{}"}}"#, n - 1);
        format!(r#"{{"type":"record","name":"R{n}","fields":[{},{}]}}"#, field("a"), field("b"))
    };
    let first = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    let all: Vec<String> = std::iter::once(first).chain((1..100).map(record)).collect();
    let writer = format!(
        r#"{{"type":"record","name":"W","fields":[{{"name":"some","type":[{}]}},{{"name":"last","type":"R99"}}]}}"#,
        all.join(",")
    );
    let reader = r#"{"type":"record","name":"W","fields":[]}"#;
    assert!(read(&writer, reader, &[0]).unwrap_err().ends_with("it has more elements than bytes"));
}

#[test]
fn defaults_of_many_records_are_bounded_for_the_record_as_a_whole() {
    let record = |field: &str| {
        format!(
            r#"{{"type":"array","items":{{"type":"record","name":"E","fields":[{{"name":"n","type":"int"}}{field}]}}}}"#
        )
    };
    let list = format!("[{}0]", "0,".repeat(9_999));
    let reader = record(&format!(r#",{{"name":"l","type":{{"type":"array","items":"int"}},"default":{list}}}"#));
    let with = |count: usize| {
        let mut bytes = vec![(2 * count) as u8 | 0x80, (count >> 6) as u8];
        bytes.extend(std::iter::repeat_n(2, count));
        bytes.push(0);
        read(&record(""), &reader, &bytes)
    };
    assert!(with(100).is_ok());
    assert!(with(1_000).unwrap_err().ends_with("it has more elements than bytes"));
}

/// An array of so many elements, each of these bytes.
fn array(count: usize, element: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(2 * count) as u8 | 0x80, (count >> 6) as u8 | 0x80, (count >> 13) as u8];
    bytes.extend(element.repeat(count));
    bytes.push(0);
    bytes
}

#[test]
fn members_of_many_unions_are_bounded_for_the_record_as_a_whole() {
    let members: Vec<String> =
        (0..1_000).map(|n| format!(r#"{{"type":"enum","name":"E{n}","symbols":["A"]}}"#)).collect();
    let schema = format!(r#"{{"type":"array","items":[{}]}}"#, members.join(","));
    assert!(read(&schema, &schema, &array(1_000, &[0, 0])).is_ok());
    let error = read(&schema, &schema, &array(2_000, &[0, 0])).unwrap_err();
    assert!(error.starts_with("the record stands for more than"), "{error}");
    assert!(error.ends_with("a union of 1000 types: E0, E1, E2, ..."), "{error}");
    // As many elements as there are bytes for.
    let few = r#"{"type":"array","items":["int","string","boolean"]}"#;
    let Ok(Value::Array(list)) = read(few, few, &array(400_000, &[0, 2])) else { panic!() };
    assert_eq!(list.len(), 400_000);
}

#[test]
fn fields_without_bytes_beside_others_are_bounded_for_the_record_as_a_whole() {
    let nothing: Vec<String> =
        (0..1_000).map(|n| format!(r#"{{"name":"f{n}","type":{{"type":"fixed","name":"F{n}","size":0}}}}"#)).collect();
    let record = |fields: &str| {
        format!(
            r#"{{"type":"array","items":{{"type":"record","name":"E","fields":[{{"name":"n","type":"int"}}{fields}]}}}}"#
        )
    };
    let schema = record(&format!(",{}", nothing.join(",")));
    assert!(read(&schema, &schema, &array(1_000, &[2])).is_ok());
    let error = read(&schema, &schema, &array(2_000, &[2])).unwrap_err();
    assert!(error.starts_with("the record stands for more than") && error.ends_with(": E"), "{error}");
    // Nor are those that were not written, or that nobody wants.
    let defaults: Vec<String> = (0..1_000).map(|n| format!(r#"{{"name":"f{n}","type":"int","default":1}}"#)).collect();
    let more = record(&format!(",{}", defaults.join(",")));
    assert!(read(&record(""), &more, &array(1_000, &[2])).is_ok());
    let error = read(&record(""), &more, &array(2_000, &[2])).unwrap_err();
    assert!(error.starts_with("the record stands for more than") && error.ends_with(": E"), "{error}");
    let error = read(&schema, &record(""), &array(2_000, &[2])).unwrap_err();
    assert!(error.starts_with("the record stands for more than") && error.ends_with(": E"), "{error}");
    let of_array = format!(r#"{{"type":"record","name":"Top","fields":[{{"name":"all","type":{schema}}}]}}"#);
    let error = read(&of_array, r#"{"type":"record","name":"Top","fields":[]}"#, &array(2_000, &[2])).unwrap_err();
    assert!(error.ends_with("it has more elements than bytes"), "{error}");
}

#[test]
fn symbols_and_texts_that_multiply_are_bounded_for_the_schema_as_a_whole() {
    let symbols: Vec<String> = (0..3_000).map(|n| format!(r#""S{n}""#)).collect();
    let of_enum = format!(r#"{{"type":"enum","name":"E","symbols":[{}]}}"#, symbols.join(","));
    let doc = "x".repeat(200_000);
    let of_record = format!(r#"{{"type":"record","name":"E","doc":"{doc}","fields":[]}}"#);
    for first in [of_enum, of_record] {
        let schema = |count: usize| {
            let other = |n: usize| format!(r#"{{"name":"f{n}","type":{}}}"#, if n == 0 { &first } else { "\"E\"" });
            let fields: Vec<String> = (0..count).map(other).collect();
            format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","))
        };
        assert!(super::connect(&schema(20), &options(&[])).is_ok());
        assert!(refused(&schema(700)).starts_with("the schema is too large"));
    }
}
