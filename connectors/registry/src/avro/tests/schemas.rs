//! Schemas in both directions. The texts are those that the JVM's converter registers.

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Field, Kind, Schema, SchemaRef, Struct, Value};

use super::{connect, options, text};

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

fn of(kind: Kind) -> Schema {
    Schema::of(kind)
}

fn decimal(scale: &str) -> Schema {
    of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", scale)
}

/// The schema of a change event: one schema of rows, which is there twice.
fn envelope() -> SchemaRef {
    let row = Schema::structure(vec![
        field("id", of(Kind::Int32)),
        field("note", of(Kind::String).optional()),
        field("price", decimal("2").optional()),
    ])
    .named("shop.public.orders.Value")
    .optional()
    .shared();
    let source = Schema::structure(vec![
        field("version", of(Kind::String)),
        field("ts_ms", of(Kind::Int64)),
        field(
            "snapshot",
            of(Kind::String)
                .named("io.debezium.data.Enum")
                .version(1)
                .parameter("allowed", "true,first,last,false")
                .optional()
                .default_value("false".into()),
        ),
    ])
    .named("io.debezium.connector.postgresql.Source");
    Schema::structure(vec![
        Field::new("before", Arc::clone(&row)),
        Field::new("after", row),
        field("source", source),
        field("op", of(Kind::String)),
    ])
    .named("shop.public.orders.Envelope")
    .version(2)
    .shared()
}

#[test]
fn a_change_event_has_its_row_once() {
    let expected = concat!(
        r#"{"type":"record","name":"Envelope","namespace":"shop.public.orders","fields":["#,
        r#"{"name":"before","type":["null",{"type":"record","name":"Value","fields":["#,
        r#"{"name":"id","type":"int"},"#,
        r#"{"name":"note","type":["null","string"],"default":null},"#,
        r#"{"name":"price","type":["null",{"type":"bytes","scale":2,"precision":64,"connect.version":1,"#,
        r#""connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"#,
        r#""default":null}],"connect.name":"shop.public.orders.Value"}],"default":null},"#,
        r#"{"name":"after","type":["null","Value"],"default":null},"#,
        r#"{"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":["#,
        r#"{"name":"version","type":"string"},{"name":"ts_ms","type":"long"},"#,
        r#"{"name":"snapshot","type":[{"type":"string","connect.version":1,"connect.parameters":{"allowed":"true,first,last,false"},"#,
        r#""connect.default":"false","connect.name":"io.debezium.data.Enum"},"null"],"default":"false"}],"#,
        r#""connect.name":"io.debezium.connector.postgresql.Source"}},"#,
        r#"{"name":"op","type":"string"}],"connect.version":2,"connect.name":"shop.public.orders.Envelope"}"#,
    );
    let schema = envelope();
    let options = options(&[]);
    assert_eq!(text(&schema, &options), expected);
    assert_eq!(connect(expected, &options).unwrap(), schema);
    assert!(apache_avro::Schema::parse_str(expected).is_ok());
}

#[test]
fn every_type_has_its_place() {
    let cases = [
        (of(Kind::Int8), r#"{"type":"int","connect.type":"int8"}"#),
        (of(Kind::Int16), r#"{"type":"int","connect.type":"int16"}"#),
        (of(Kind::Int32), r#""int""#),
        (of(Kind::Int64), r#""long""#),
        (of(Kind::Float32), r#""float""#),
        (of(Kind::Float64), r#""double""#),
        (of(Kind::Boolean), r#""boolean""#),
        (of(Kind::String), r#""string""#),
        (of(Kind::Bytes), r#""bytes""#),
        (
            of(Kind::Int32).named(logical::DATE).version(1),
            r#"{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}"#,
        ),
        (
            of(Kind::Int32).named(logical::TIME).version(1),
            r#"{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Time","logicalType":"time-millis"}"#,
        ),
        (
            of(Kind::Int64).named(logical::TIMESTAMP).version(1),
            r#"{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}"#,
        ),
        (
            decimal("3").parameter("connect.decimal.precision", "10"),
            r#"{"type":"bytes","scale":3,"precision":10,"connect.version":1,"connect.parameters":{"scale":"3","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#,
        ),
        (of(Kind::Array(of(Kind::Int32).optional().shared())), r#"{"type":"array","items":["null","int"]}"#),
        (of(Kind::Map(of(Kind::String).shared(), of(Kind::Int64).shared())), r#"{"type":"map","values":"long"}"#),
        (
            of(Kind::Map(of(Kind::Int32).shared(), of(Kind::String).optional().shared())),
            r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":["null","string"],"default":null}]}}"#,
        ),
        (
            of(Kind::Map(of(Kind::String).optional().shared(), of(Kind::Int32).shared())).named("a.M"),
            r#"{"type":"array","items":{"type":"record","name":"M","namespace":"a","fields":[{"name":"key","type":["null","string"],"default":null},{"name":"value","type":"int"}],"connect.internal.type":"MapEntry"},"connect.name":"a.M"}"#,
        ),
        (
            of(Kind::Bytes).named("a.F").parameter("connect.fixed.size", "4"),
            r#"{"type":"fixed","name":"F","namespace":"a","size":4,"connect.parameters":{"connect.fixed.size":"4"},"connect.name":"a.F"}"#,
        ),
        (
            of(Kind::String).named("n").optional().default_value("d".into()),
            r#"[{"type":"string","connect.default":"d","connect.name":"n"},"null"]"#,
        ),
    ];
    let options = options(&[]);
    for (schema, expected) in cases {
        let schema = schema.shared();
        assert_eq!(text(&schema, &options), expected);
        assert_eq!(connect(expected, &options).unwrap(), schema, "{expected}");
        assert!(apache_avro::Schema::parse_str(expected).is_ok(), "{expected}");
    }
}

#[test]
fn structs_without_names_get_numbers() {
    let inner = |name: &str| Schema::structure(vec![field(name, of(Kind::Int32))]);
    let schema =
        Schema::structure(vec![field("a", inner("x")), field("b", inner("x")), field("c", inner("y").optional())])
            .shared();
    let expected = concat!(
        r#"{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":["#,
        r#"{"name":"a","type":{"type":"record","name":"ConnectDefault2","fields":[{"name":"x","type":"int"}]}},"#,
        r#"{"name":"b","type":"ConnectDefault2"},"#,
        r#"{"name":"c","type":["null",{"type":"record","name":"ConnectDefault3","fields":[{"name":"y","type":"int"}]}],"default":null}]}"#,
    );
    assert_eq!(text(&schema, &options(&[])), expected);
    assert_eq!(connect(expected, &options(&[])).unwrap(), schema);
}

#[test]
fn values_without_a_schema_have_a_record_of_their_own() {
    let avro = super::super::from_connect::convert(None, &options(&[])).unwrap();
    let start = r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},"#;
    let end = r#"{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}"#;
    let text = avro.text();
    assert!(text.starts_with(start) && text.ends_with(end), "{text}");
}

#[test]
fn documentation_and_parameters_survive() {
    let schema = Schema::structure(vec![field("x", {
        let mut schema = of(Kind::Int32).parameter("k", "v").parameter("avro.custom", "w");
        schema.doc = Some("of x".into());
        schema
    })])
    .named("a.R")
    .parameter("io.confluent.connect.avro.record.doc", "of r")
    .parameter("io.confluent.connect.avro.field.doc.x", "field x")
    .shared();
    let expected = concat!(
        r#"{"type":"record","name":"R","namespace":"a","doc":"of r","fields":[{"name":"x","type":{"type":"int","connect.doc":"of x","#,
        r#""connect.parameters":{"k":"v","avro.custom":"w"},"avro.custom":"w"},"doc":"field x"}],"#,
        r#""connect.parameters":{"io.confluent.connect.avro.record.doc":"of r","io.confluent.connect.avro.field.doc.x":"field x"},"#,
        r#""connect.name":"a.R"}"#,
    );
    assert_eq!(text(&schema, &options(&[])), expected);
    assert_eq!(connect(expected, &options(&[])).unwrap(), schema);
    // Without meta data only what Avro has itself.
    assert_eq!(
        text(&schema, &options(&[("connect.meta.data", "false")])),
        r#"{"type":"record","name":"R","namespace":"a","doc":"of r","fields":[{"name":"x","type":{"type":"int","avro.custom":"w"},"doc":"field x"}]}"#
    );
    // With discard.type.doc.default the documentation is that of fields.
    let read = connect(expected, &options(&[("discard.type.doc.default", "true")])).unwrap();
    assert_eq!(read.fields()[0].schema.doc.as_deref(), Some("field x"));
    assert_eq!((read.doc.as_deref(), read.get_parameter("connect.record.doc")), (Some("of r"), Some("of r")));
}

#[test]
fn defaults_come_from_fields_and_from_connect() {
    let read = connect(
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"int","default":5},
            {"name":"b","type":["null","int"],"default":null},
            {"name":"c","type":["int","null"],"default":7},
            {"name":"d","type":{"type":"string","connect.default":"x"},"default":"y"},
            {"name":"e","type":"int","default":"no number"},
            {"name":"f","type":{"type":"bytes","logicalType":"decimal","scale":1,"precision":5},"default":"\u0001\u00ff"},
            {"name":"g","type":{"type":"array","items":"int"},"default":[1,2]},
            {"name":"h","type":{"type":"record","name":"I","fields":[{"name":"x","type":"long","default":1},{"name":"y","type":"string"}]},"default":{"y":"z"}},
            {"name":"i","type":["string","int"],"default":"s"}]}"#,
        &options(&[]),
    )
    .unwrap();
    let default = |name: &str| read.fields()[read.index_of(name).unwrap()].schema.default.clone();
    assert_eq!(default("a"), Some(Value::Int32(5)));
    assert_eq!((default("b"), default("c"), default("e")), (None, None, None));
    assert_eq!(default("d"), Some("y".into()));
    assert_eq!(default("f"), Some(Value::Bytes(vec![1, 255].into())));
    assert_eq!(default("g"), Some(Value::Array(vec![Value::Int32(1), Value::Int32(2)])));
    let Some(Value::Struct(inner)) = default("h") else { panic!() };
    assert_eq!(&*inner.fields, [Value::Int64(1), "z".into()]);
    let Some(Value::Struct(union)) = default("i") else { panic!() };
    assert_eq!(&*union.fields, ["s".into(), Value::Null]);
    let flag = |name: &str| {
        read.fields()[read.index_of(name).unwrap()]
            .schema
            .get_parameter("io.confluent.connect.avro.field.default")
            .is_some()
    };
    assert_eq!((flag("a"), flag("b"), flag("d")), (true, false, false));
    // A default that came from a field goes back to the field alone.
    let written = text(&read, &options(&[]));
    assert!(written.contains(r#"{"name":"a","type":"int","default":5}"#), "{written}");
}

#[test]
fn unions_are_structs_and_enums_are_texts_with_parameters() {
    let avro = r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"u","type":["null","string",{"type":"record","name":"A","fields":[]},{"type":"enum","name":"E","symbols":["P","Q"],"doc":"d","default":"Q"}]}]}"#;
    let plain = connect(avro, &options(&[])).unwrap();
    let union = &plain.fields()[0].schema;
    assert!(union.optional && union.is("io.confluent.connect.avro.Union"));
    let names = |schema: &Schema| schema.fields().iter().map(|field| field.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(union), ["string", "A", "E"]);
    let of_enum = &union.fields()[2].schema;
    assert_eq!(of_enum.name.as_deref(), Some("n.E"));
    let parameters: Vec<_> = of_enum.parameters.iter().flatten().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        parameters,
        [
            ("io.confluent.connect.avro.enum.doc.E", "d"),
            ("io.confluent.connect.avro.enum.default.E", "Q"),
            ("io.confluent.connect.avro.Enum", "n.E"),
            ("io.confluent.connect.avro.Enum.P", "P"),
            ("io.confluent.connect.avro.Enum.Q", "Q"),
        ]
    );
    // An enum is a text again, unless enums are wanted.
    assert!(text(&plain, &options(&[])).contains(r#"{"type":"string","connect.parameters":{"#));
    let enhanced = options(&[("enhanced.avro.schema.support", "true")]);
    let read = connect(avro, &enhanced).unwrap();
    assert_eq!(names(&read.fields()[0].schema), ["string", "n.A", "n.E"]);
    let written = text(&read, &enhanced);
    assert!(
        written
            .contains(r#"{"type":"enum","name":"E","doc":"d","symbols":["P","Q"],"default":"Q","connect.parameters""#),
        "{written}"
    );
    // From then on the default of the field is in the schema.
    let again = connect(&written, &enhanced).unwrap();
    assert_eq!(again.fields()[0].schema.kind, read.fields()[0].schema.kind);
    assert_eq!(connect(&text(&again, &enhanced), &enhanced).unwrap(), again);
    let generalized = options(&[("generalized.sum.type.support", "true")]);
    let read = connect(avro, &generalized).unwrap();
    let union = &read.fields()[0].schema;
    assert_eq!(union.name.as_deref(), Some("connect_union_0"));
    assert_eq!(names(union), ["connect_union_field_1", "connect_union_field_2", "connect_union_field_3"]);
    assert_eq!(union.fields()[2].schema.get_parameter("org.apache.kafka.connect.data.Enum.Q"), Some("1"));
    assert!(text(&read, &generalized).contains(r#""symbols":["P","Q"]"#));
}

#[test]
fn a_union_of_one_type_is_that_type() {
    let avro = r#"{"type":"record","name":"R","fields":[{"name":"x","type":["int"]}]}"#;
    assert_eq!(connect(avro, &options(&[])).unwrap().fields()[0].schema.kind, Kind::Int32);
    let kept = connect(avro, &options(&[("flatten.singleton.unions", "false")])).unwrap();
    assert!(kept.fields()[0].schema.is("io.confluent.connect.avro.Union"));
}

#[test]
fn names_are_checked_or_scrubbed() {
    let schema = Schema::structure(vec![field("1st-name", of(Kind::Int32))]).named("my-db.my table").shared();
    let error = super::super::from_connect::convert(Some(&schema), &options(&[])).unwrap_err();
    assert_eq!(error.to_java_text(), "org.apache.avro.SchemaParseException: Illegal character in: my table");
    let scrubbed = options(&[("scrub.invalid.names", "true")]);
    assert_eq!(
        text(&schema, &scrubbed),
        r#"{"type":"record","name":"my_table","namespace":"my_db","fields":[{"name":"x1st_name","type":"int"}],"connect.name":"my-db.my table"}"#
    );
}

#[test]
fn two_structs_of_one_name_are_refused() {
    let inner = |name: &str| Schema::structure(vec![field(name, of(Kind::Int32))]).named("a.Same");
    let schema = Schema::structure(vec![field("a", inner("x")), field("b", inner("y"))]).shared();
    let error = super::super::from_connect::convert(Some(&schema), &options(&[])).unwrap_err();
    assert_eq!(error.message(), "Can't redefine: a.Same");
}

#[test]
fn a_recursive_schema_is_unrolled_and_written_as_itself() {
    let avro = r#"{"type":"record","name":"Node","namespace":"n","fields":[{"name":"value","type":"int"},{"name":"next","type":["null","Node"],"default":null},{"name":"all","type":{"type":"array","items":"Node"}}],"connect.name":"n.Node"}"#;
    let options = options(&[]);
    let read = connect(avro, &options).unwrap();
    let mut levels = 0;
    let mut schema = Arc::clone(&read);
    while let Some(next) = schema.index_of("next") {
        schema = Arc::clone(&schema.fields()[next].schema);
        levels += 1;
    }
    assert!((3..20).contains(&levels), "{levels}");
    assert_eq!(text(&read, &options), avro);
    let list = r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"],"default":null}],"connect.name":"List"}"#;
    assert_eq!(text(&connect(list, &options).unwrap(), &options), list);
}

#[test]
fn what_is_no_schema_of_connect_says_why() {
    for (avro, why) in [
        (r#""null""#, "Standalone null schemas are not supported by this converter"),
        (r#"{"type":"int","connect.type":"int9"}"#, "Connect type annotation for Avro int field is null"),
        (
            r#"{"type":"int","connect.parameters":{"a":1}}"#,
            "Expected schema parameter values to be strings but found: 1",
        ),
        (r#"{"type":"int","connect.version":"x"}"#, "Invalid Connect version found: \"x\""),
        (
            r#"{"type":"int","logicalType":"date","connect.name":"other"}"#,
            "Mismatched names: name already added to SchemaBuilder (org.apache.kafka.connect.data.Date) differs from name in \
             source schema (other)",
        ),
        (
            r#"["int",{"type":"record","name":"a.A","fields":[]},{"type":"record","name":"b.A","fields":[]}]"#,
            "Multiple union schemas map to the Connect union field name",
        ),
    ] {
        assert_eq!(connect(avro, &options(&[])).unwrap_err().message(), why);
    }
}

#[test]
fn a_struct_may_have_a_default() {
    let inner = Schema::structure(vec![field("x", of(Kind::Int32))]).named("I").shared();
    let default = Value::Struct(Struct::new(Arc::clone(&inner), vec![Value::Int32(3)]));
    let with_default = Schema { default: Some(default), ..(*inner).clone() };
    let schema = Schema::structure(vec![field("s", with_default)]).named("R").shared();
    let expected = r#"{"type":"record","name":"R","fields":[{"name":"s","type":{"type":"record","name":"I","fields":[{"name":"x","type":"int"}],"connect.default":{"x":3},"connect.name":"I"},"default":{"x":3}}],"connect.name":"R"}"#;
    assert_eq!(text(&schema, &options(&[])), expected);
    assert_eq!(connect(expected, &options(&[])).unwrap(), schema);
}
