//! Schemas that hold themselves: through objects, as the reference's converter knows them, and through what overflows its stack.

use super::*;
use crate::unroll::{TOO_DEEP, on_small_stack};

/// A schema as it is registered when it is written after it was read.
fn registered(schema: &SchemaRef) -> String {
    from_connect::convert(schema, &options(&[])).unwrap()
}

fn id(schema: &Schema) -> Option<&str> {
    schema.get_parameter("io.confluent.connect.json.Id")
}

/// Reads and writes a value, which stays as it is.
fn there_and_back(schema: &SchemaRef, text: &str) {
    let value = read(schema, text).unwrap();
    assert_eq!(written(schema, &value, &options(&[])).unwrap(), text);
}

#[test]
fn a_recursive_schema_is_unrolled_and_written_as_itself() {
    let text = r##"{ "title": "Node", "type": "object", "properties": {
        "value": { "type": "integer", "connect.index": 0 },
        "next": { "connect.index": 1, "oneOf": [{ "type": "null" }, { "$ref": "#" }] },
        "all": { "connect.index": 2, "type": "array", "items": { "$ref": "#" } } } }"##;
    let schema = connect(text, &options(&[])).unwrap();
    let json = r#"{"value":1,"next":{"value":2,"next":null,"all":[]},"all":[{"value":3,"next":null,"all":[]}]}"#;
    let value = read(&schema, json).unwrap();
    assert_eq!(written(&schema, &value, &options(&[])).unwrap(), json);
    let again = from_connect::convert(&schema, &options(&[])).unwrap();
    assert!(again.contains(r##""id":"#id1""##) && again.contains(r##"{"$ref":"#id1"}"##), "{again}");
    assert!(again.len() < 1000, "{again}");
    assert_eq!(
        written(&connect(&again, &options(&[])).unwrap(), &value, &options(&[])).unwrap_err().message(),
        "Mismatching schema."
    );
    let deep = format!("{}null{}", r#"{"next":"#.repeat(70), "}".repeat(70));
    assert!(read(&schema, &deep).unwrap_err().message().contains("deeper than its schema is unrolled"));
}

#[test]
fn any_json_is_a_union_that_holds_itself_in_arrays_and_maps() {
    on_small_stack(|| {
        let text = r##"{ "title": "Any", "oneOf": [ { "type": "null" }, { "type": "boolean" }, { "type": "number" },
            { "type": "string" }, { "type": "array", "items": { "$ref": "#" } },
            { "type": "object", "connect.type": "map", "additionalProperties": { "$ref": "#" } } ] }"##;
        let schema = connect(text, &options(&[])).unwrap();
        assert!(schema.optional && schema.is("io.confluent.connect.json.OneOf"));
        let kinds: Vec<&str> = fields(&schema).into_iter().map(|(_, kind, _)| kind).collect();
        assert_eq!(kinds, ["boolean", "float64", "string", "array", "map"]);
        for json in ["null", "true", "[]", "{}", r#"[1.5,"x",null,[true,[]],{"a":[{"b":{}}]}]"#] {
            there_and_back(&schema, json);
        }
        let again = registered(&schema);
        assert!(again.len() < 600, "{again}");
        assert_eq!(connect(&again, &options(&[])).unwrap(), schema, "{again}");
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let levels = (1..120).take_while(|levels| read(&schema, &deep(*levels)).is_ok()).count();
        assert!((3..64).contains(&levels), "{levels}");
        assert_eq!(read(&schema, &deep(levels + 1)).unwrap_err().message(), TOO_DEEP);
    });
}

#[test]
fn arrays_and_maps_may_hold_themselves() {
    on_small_stack(|| {
        let list = r##"{"type":"array","items":{"$ref":"#"}}"##;
        let nullable = r##"{"oneOf":[{"type":"null"},{"type":"array","items":{"$ref":"#"}}]}"##;
        let types = r##"{"type":["array","null"],"items":{"$ref":"#"}}"##;
        let map = r##"{"type":"object","connect.type":"map","additionalProperties":{"$ref":"#"}}"##;
        let (of_arrays, of_maps) = (("[", "[]", "]"), (r#"{"a":"#, "{}", "}"));
        for (text, (begin, inmost, end)) in
            [(list, of_arrays), (nullable, of_arrays), (types, of_arrays), (map, of_maps)]
        {
            let schema = connect(text, &options(&[])).unwrap();
            let nested = |levels: usize| format!("{}{inmost}{}", begin.repeat(levels), end.repeat(levels));
            let levels = (1..120).take_while(|levels| read(&schema, &nested(*levels)).is_ok()).count();
            assert!((32..=64).contains(&levels), "{text}: {levels}");
            there_and_back(&schema, &nested(levels));
            assert_eq!(read(&schema, &nested(levels + 1)).unwrap_err().message(), TOO_DEEP);
            let again = registered(&schema);
            assert!(again.contains(r##"{"$ref":"#id1"}"##) && again.len() < 200, "{again}");
            assert_eq!(connect(&again, &options(&[])).unwrap(), schema, "{again}");
        }
        let entries = r##"{"type":"array","connect.type":"map","items":{"type":"object","properties":
            {"key":{"type":"integer"},"value":{"$ref":"#"}}}}"##;
        let schema = connect(entries, &options(&[])).unwrap();
        there_and_back(&schema, r#"[{"key":1,"value":[{"key":2,"value":[]}]}]"#);
        let again = registered(&schema);
        assert!(again.len() < 300, "{again}");
        assert_eq!(connect(&again, &options(&[])).unwrap(), schema, "{again}");
    });
}

#[test]
fn an_object_or_null_may_hold_itself() {
    let text = r##"{ "definitions": { "node": { "oneOf": [ { "type": "null" }, { "title": "Node", "type": "object",
        "properties": { "next": { "$ref": "#/definitions/node" } } } ] } }, "$ref": "#/definitions/node" }"##;
    let schema = connect(text, &options(&[])).unwrap();
    assert!(schema.optional && schema.is("Node"));
    there_and_back(&schema, r#"{"next":{"next":{"next":null}}}"#);
    let nested = |levels: usize| format!("{}null{}", r#"{"next":"#.repeat(levels), "}".repeat(levels));
    let levels = (1..120).take_while(|levels| read(&schema, &nested(*levels)).is_ok()).count();
    assert!((3..=64).contains(&levels), "{levels}");
    assert_eq!(read(&schema, &nested(levels + 1)).unwrap_err().message(), TOO_DEEP);
    let again = registered(&schema);
    assert!(again.len() < 300, "{again}");
    there_and_back(&connect(&again, &options(&[])).unwrap(), r#"{"next":{"next":null}}"#);
}

#[test]
fn it_is_unrolled_at_the_object_where_there_is_one() {
    let text = r##"{ "definitions": { "node": { "type": "object", "properties": { "all": { "$ref": "#" } } } },
        "type": "array", "items": { "$ref": "#/definitions/node" } }"##;
    let schema = connect(text, &options(&[])).unwrap();
    assert_eq!(id(&schema), None);
    let Kind::Array(node) = &schema.kind else { panic!("no array: {schema:?}") };
    assert_eq!(id(node), Some("#id1"));
    assert_eq!(id(&node.fields()[0].schema), None);
    there_and_back(&schema, r#"[{"all":[{"all":[]},{"all":[]}]}]"#);
}

#[test]
fn a_member_of_a_union_that_is_cut_off_is_not_taken_for_another() {
    let text = r##"{ "definitions": {
            "leaf": { "type": "object", "properties": { "op": { "type": "string" } } },
            "pair": { "type": "object", "properties": { "op": { "type": "string" },
                "left": { "oneOf": [ { "$ref": "#/definitions/leaf" }, { "$ref": "#/definitions/pair" } ] } } } },
        "$ref": "#/definitions/pair" }"##;
    let schema = connect(text, &options(&[])).unwrap();
    let nested =
        |levels: usize| format!("{}{{\"op\":\"x\"}}{}", r#"{"op":"y","left":"#.repeat(levels), "}".repeat(levels));
    let levels = (1..120).take_while(|levels| read(&schema, &nested(*levels)).is_ok()).count();
    assert!((3..=64).contains(&levels), "{levels}");
    let text = nested(levels);
    let value = read(&schema, &text).unwrap();
    assert_eq!(written(&schema, &value, &options(&[])).unwrap().matches("op").count(), levels + 1);
    assert_eq!(read(&schema, &nested(levels + 1)).unwrap_err().message(), TOO_DEEP);
    let again = registered(&schema);
    assert!(again.len() < 500, "{again}");
}

#[test]
fn a_schema_that_is_nothing_but_itself_is_refused() {
    for text in [
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"oneOf":[{"$ref":"#"}]}"##,
        r##"{"oneOf":[{"type":"null"},{"$ref":"#"}]}"##,
        r##"{"oneOf":[{"type":"string"},{"$ref":"#"}]}"##,
        r##"{"type":"array","items":{"$ref":"#/definitions/v"},"definitions":{"v":{"anyOf":[{"$ref":"#/definitions/v"}]}}}"##,
    ] {
        for flatten in ["true", "false"] {
            let error = connect(text, &options(&[("flatten.singleton.unions", flatten)])).unwrap_err();
            assert!(error.message().contains("leads to itself"), "{text}: {error}");
        }
    }
}

#[test]
fn a_schema_that_is_too_large_written_out_is_refused() {
    let number = 12;
    let refer = |to: usize| format!(r##""p{to}":{{"$ref":"#/definitions/d{to}"}}"##);
    let schema = |holds: &dyn Fn(usize) -> Vec<String>| {
        let one = |at| format!(r##""d{at}":{{"type":"object","properties":{{{}}}}}"##, holds(at).join(","));
        let all: Vec<String> = (0..number).map(one).collect();
        format!(r##"{{"definitions":{{{}}},"$ref":"#/definitions/d0"}}"##, all.join(","))
    };
    let all_of_all = schema(&|at| (0..number).filter(|to| *to != at).map(refer).collect());
    let six_each = schema(&|at| {
        let next = (at + 1).min(number - 1);
        if next == at {
            Vec::new()
        } else {
            (0..6).map(|place| refer(next).replacen('p', &format!("{place}p"), 1)).collect()
        }
    });
    let members = r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned();
    // Each a union of arrays of all the others.
    let list = |to: usize| format!(r##"{{"type":"array","items":{{"$ref":"#/definitions/d{to}"}}}}"##);
    let union = |at: usize| {
        let others: Vec<String> = (0..number).filter(|to| *to != at).map(list).collect();
        format!(r#""d{at}":{{"oneOf":[{}]}}"#, others.join(","))
    };
    let unions: Vec<String> = (0..number).map(union).collect();
    let unions = format!(r##"{{"definitions":{{{}}},"$ref":"#/definitions/d0"}}"##, unions.join(","));
    for text in [all_of_all, six_each, members, unions] {
        let error = connect(&text, &options(&[])).unwrap_err();
        assert!(error.message().starts_with("the schema is too large"), "{error}");
    }
}

#[test]
fn a_deep_schema_is_unrolled_as_far_as_a_stack_holds() {
    on_small_stack(|| {
        let one = |at: usize| {
            let next = (at + 1) % 20;
            format!(
                r##""d{at}":{{"type":"object","properties":{{"p":
                    {{"oneOf":[{{"type":"string"}},{{"$ref":"#/definitions/d{next}"}}]}}}}}}"##
            )
        };
        let all: Vec<String> = (0..20).map(one).collect();
        let text = format!(
            r##"{{"definitions":{{{}}},"type":"object","properties":{{"p":{{"$ref":"#/definitions/d0"}}}}}}"##,
            all.join(",")
        );
        let deep = |levels: usize| format!("{}\"x\"{}", r#"{"p":"#.repeat(levels), "}".repeat(levels));
        let schema = connect(&text, &options(&[])).unwrap();
        assert!(read(&schema, &deep(40)).is_ok());
        assert!(read(&schema, &deep(100)).is_err());
    });
}
