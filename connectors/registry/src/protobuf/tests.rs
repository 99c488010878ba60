//! The Protobuf converter: texts as the JVM's converter registers them, schemas of others, values.

mod bounds;

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{Bytes, BytesMut, Converter, Datum, Field, Kind, Result, Schema, SchemaRef, Struct, Value, value};
use proptest::prelude::*;
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::{DynamicMessage, MessageDescriptor};

use super::options::{self, Options};
use super::read::Reader;
use super::write::Writer;
use super::{ProtobufConverter, descriptor, from_connect, to_connect};
use crate::arbitrary::cases;
use crate::registry::testing::FakeRegistry;
use crate::settings::ProtobufConfig;
use crate::unroll::on_small_stack;

fn options(pairs: &[(&str, &str)]) -> Options {
    let props = pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    Options::from(&ProtobufConfig::parse(&props).unwrap())
}

fn of(kind: Kind) -> Schema {
    Schema::of(kind)
}

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

fn first(text: &str) -> MessageDescriptor {
    descriptor::message(&descriptor::parse(text, []).unwrap(), &[0]).unwrap()
}

fn row(schema: &SchemaRef, values: Vec<Value>) -> Value {
    Value::Struct(Struct::new(Arc::clone(schema), values))
}

/// The message of a schema of Connect.
fn message_of(schema: &SchemaRef, options: &Options) -> Result<MessageDescriptor> {
    let written = from_connect::convert(schema, options)?;
    let file = descriptor::parse(&written.text, [])?;
    Ok(descriptor::named(&file, &written.message).unwrap())
}

fn write(schema: &SchemaRef, value: &Value, message: &MessageDescriptor, options: &Options) -> Result<Bytes> {
    let mut out = BytesMut::new();
    Writer::new(schema, message, options)?.write(value, &mut out)?;
    Ok(out.freeze())
}

fn read(message: &MessageDescriptor, bytes: &[u8], options: &Options) -> Result<(SchemaRef, Value)> {
    let schema = to_connect::convert(message, None, options)?;
    let value = Reader::new(&schema, message, options)?.read(Bytes::copy_from_slice(bytes))?;
    Ok((schema, value))
}

/// Whether Protobuf has a place for such values: lists and maps hold neither lists nor maps.
fn has_place(schema: &Schema) -> bool {
    let single = |schema: &Schema| !matches!(schema.kind, Kind::Array(_) | Kind::Map(..)) && has_place(schema);
    match &schema.kind {
        Kind::Array(element) => single(element),
        Kind::Map(keys, values) => single(keys) && single(values),
        Kind::Struct(fields) => fields.iter().all(|field| has_place(&field.schema)),
        _ => true,
    }
}

/// Whether a value is the same after it was read again: null is 0 or empty where Protobuf can't tell.
fn is_same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, Value::Struct(after)) => after.fields.iter().all(|value| is_same(&Value::Null, value)),
        (Value::Null, Value::Array(list)) => list.is_empty(),
        (Value::Null, Value::Map(pairs)) => pairs.is_empty(),
        (Value::Null, Value::String(text)) => text.is_empty(),
        (Value::Null, Value::Bytes(bytes)) => bytes.iter().all(|byte| *byte == 0),
        (Value::Null, Value::Float32(number)) => *number == 0.0,
        (Value::Null, Value::Float64(number)) => *number == 0.0,
        (Value::Null, after) => {
            let zeros = [Value::Int8(0), Value::Int16(0), Value::Int32(0), Value::Int64(0), Value::Bool(false)];
            after.is_null() || zeros.contains(after)
        }
        (Value::Struct(before), Value::Struct(after)) => {
            before.fields.len() == after.fields.len()
                && before.fields.iter().zip(&after.fields).all(|(before, after)| is_same(before, after))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| is_same(before, after))
        }
        (Value::Map(before), Value::Map(after)) => before.iter().all(|(key, value)| {
            key.is_null() || after.iter().any(|(other, after)| is_same(key, other) && is_same(value, after))
                // A null and an empty key are one.
                || before.iter().any(|(key, _)| key.is_null())
        }),
        // Google's wrappers know no smaller numbers than those of 32 bits.
        (Value::Int8(before), Value::Int32(after)) => i32::from(*before) == *after,
        (Value::Int16(before), Value::Int32(after)) => i32::from(*before) == *after,
        (before, after) => before == after,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_value_is_the_same_again((schema, value) in cases()) {
        let single = Schema::structure(vec![Field::new("only", Arc::clone(&schema))]).named("com.acme.Root").shared();
        let value = row(&single, vec![value]);
        let settings: [&[(&str, &str)]; 3] = [&[], &[("optional.for.nullables", "true")], &[("wrapper.for.nullables", "true")]];
        for pairs in settings {
            let options = options(pairs);
            if !has_place(&single) {
                continue;
            }
            let message = message_of(&single, &options).unwrap();
            let bytes = match write(&single, &value, &message, &options) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let text = error.message();
                    prop_assert!(text.contains("can't hold null") || text.contains("number of millis"), "{}", text);
                    continue;
                }
            };
            let (again, found) = read(&message, &bytes, &options).unwrap();
            prop_assert!(is_same(&value, &found), "{:?} {:?}", value, found);
            // The second implementation reads the same and writes the same bytes.
            let dynamic = DynamicMessage::decode(message.clone(), &bytes[..]).unwrap();
            // (It takes -0.0 for 0, and leaves it out.)
            if !format!("{value:?}").contains("-0.0") {
                prop_assert_eq!(&dynamic.encode_to_vec()[..], &bytes[..]);
            }
            // What was read has the numbers of its fields, and is the same from then on.
            let message = message_of(&again, &options).unwrap();
            let bytes = write(&again, &found, &message, &options).unwrap();
            let (last, found_again) = read(&message, &bytes, &options).unwrap();
            prop_assert_eq!(last.fields().len(), again.fields().len());
            prop_assert!(is_same(&found, &found_again), "{:?} {:?}", found, found_again);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..48), (schema, _) in cases()) {
        let options = options(&[]);
        let single = Schema::structure(vec![Field::new("only", schema)]).named("com.acme.Root").shared();
        if has_place(&single) {
            read(&message_of(&single, &options).unwrap(), &bytes, &options).ok();
        }
    }
}

#[test]
fn texts_are_laid_out_as_the_reference_does() {
    let inner = Schema::structure(vec![field("city", of(Kind::String))]).named("shop.Address");
    let symbols = of(Kind::String).parameter(options::ENUM, "State");
    let symbols = symbols.parameter(format!("{}.State.NEW", options::ENUM).replace(".State.", "."), "0");
    let symbols = symbols.parameter(format!("{}.PAID", options::ENUM), "1").named("State");
    let price = of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", "2");
    let schema = Schema::structure(vec![
        field("id", of(Kind::Int64)),
        field("small", of(Kind::Int8)),
        field("price", price),
        field("day", of(Kind::Int32).named(logical::DATE).version(1)),
        field("at", of(Kind::Int64).named(logical::TIMESTAMP).version(1)),
        field("address", inner.clone().optional()),
        field("others", of(Kind::Array(inner.shared()))),
        field("tags", of(Kind::Map(of(Kind::String).shared(), of(Kind::Int32).shared())).named("tags")),
        field("state", symbols),
    ])
    .named("shop.Order")
    .shared();
    let written = from_connect::convert(&schema, &options(&[])).unwrap();
    let expected = r#"syntax = "proto3";
package shop;

import "confluent/type/decimal.proto";
import "google/type/date.proto";
import "google/protobuf/timestamp.proto";

message Order {
  int64 id = 1;
  int32 small = 2 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  confluent.type.Decimal price = 3 [(confluent.field_meta) = {
    params: [
      {
        value: "2",
        key: "scale"
      }
    ]
  }];
  google.type.Date day = 4;
  google.protobuf.Timestamp at = 5;
  Address address = 6;
  repeated Address others = 7;
  repeated tagsEntry tags = 8;
  State state = 9;

  message Address {
    string city = 1;
  }
  message tagsEntry {
    string key = 1;
    int32 value = 2;
  }
  enum State {
    NEW = 0;
    PAID = 1;
  }
}
"#;
    assert_eq!(written.text, expected);
    assert_eq!(written.message, "shop.Order");
    let labelled = from_connect::convert(&schema, &options(&[("optional.for.nullables", "true")])).unwrap();
    assert!(labelled.text.contains("  optional Address address = 6;\n"), "{}", labelled.text);

    let address = schema.fields()[5].schema.clone();
    let city = |city: &str| row(&address, vec![Value::string(city)]);
    let list_of = match &schema.fields()[6].schema.kind {
        Kind::Array(element) => Arc::clone(element),
        _ => panic!(),
    };
    let values = vec![
        Value::Int64(7),
        Value::Int8(-1),
        Value::Bytes(vec![4, 210].into()),
        Value::Int32(19_782),
        Value::Int64(-1),
        city("Bern"),
        Value::Array(vec![row(&list_of, vec![Value::string("Basel")]), row(&list_of, vec![Value::string("")])]),
        Value::Map(vec![(Value::string("a"), Value::Int32(1))]),
        Value::string("PAID"),
    ];
    let value = row(&schema, values.clone());
    let options = options(&[]);
    let message = message_of(&schema, &options).unwrap();
    let bytes = write(&schema, &value, &message, &options).unwrap();
    let (again, found) = read(&message, &bytes, &options).unwrap();
    assert!(is_same(&value, &found), "{found:?}");
    assert_eq!(again.name.as_deref(), Some("Order"));
    let dynamic = DynamicMessage::decode(message, &bytes[..]).unwrap();
    assert_eq!(
        dynamic.to_string(),
        "id:7,small:-1,price{value:\"\\004\\322\",precision:4,scale:2},day{year:2024,month:2,day:29},\
         at{seconds:-1,nanos:999000000},address{city:\"Bern\"},others:[{city:\"Basel\"},{}],tags:[{key:\"a\",value:1}],\
         state:PAID"
    );
}

const FOREIGN: &str = r#"
syntax = "proto3";
package shop.public.orders;
import "google/protobuf/wrappers.proto";

message Order {
  uint32 number = 1;
  sint64 change = 2;
  fixed32 mark = 3;
  optional string note = 4;
  google.protobuf.StringValue text = 5;
  State state = 6;
  repeated int32 counts = 7;
  map<string, Item> items = 8;
  oneof pay { string card = 9; Item thing = 10; int32 cash = 12; }
  Item main = 11;
  message Item { string name = 1; int32 size = 2; }
  enum State { NEW = 0; PAID = 5; }
}
"#;

/// A field of a struct by its name.
fn get(value: &Value, name: &str) -> Value {
    value.as_struct().and_then(|row| row.get(name)).unwrap_or_else(|| panic!("{name}")).clone()
}

#[test]
fn schemas_of_others_are_understood() {
    let message = first(FOREIGN);
    let plain = options(&[]);
    let (schema, empty) = read(&message, &[], &plain).unwrap();
    let fields: Vec<_> = schema.fields().iter().map(|field| (&*field.name, field.schema.kind.name())).collect();
    assert_eq!(
        fields,
        [
            ("pay_0", "struct"),
            ("number", "int64"),
            ("change", "int64"),
            ("mark", "int64"),
            ("note", "string"),
            ("text", "struct"),
            ("state", "string"),
            ("counts", "array"),
            ("items", "map"),
            ("main", "struct"),
        ]
    );
    assert_eq!(get(&empty, "number"), Value::Int64(0));
    assert_eq!(get(&empty, "state"), Value::string("NEW"));
    assert_eq!(get(&empty, "counts"), Value::Array(Vec::new()));
    for name in ["pay_0", "note", "text", "main"] {
        assert!(get(&empty, name).is_null(), "{name}");
    }
    // Packed and single numbers, a message in two parts, an unknown field, an unknown symbol, two members of a oneof.
    let bytes = [
        &[0x3a, 2, 1, 2, 0x38, 3][..],
        &[0x5a, 3, 0x0a, 1, b'a', 0x5a, 2, 0x10, 9],
        &[0xf8, 0x07, 1, 0x30, 7],
        &[0x4a, 1, b'c', 0x52, 3, 0x0a, 1, b'b', 0x52, 2, 0x10, 4],
        &[0x0d, 1, 2, 3, 4, 0x08, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x10, 3, 0x1d, 0xff, 0xff, 0xff, 0xff],
        &[0x42, 3, 0x0a, 1, b'k', 0x2a, 0],
    ]
    .concat();
    let (schema, found) = read(&message, &bytes, &plain).unwrap();
    assert_eq!(get(&found, "counts"), Value::Array(vec![Value::Int32(1), Value::Int32(2), Value::Int32(3)]));
    let main = get(&found, "main");
    assert_eq!((get(&main, "name"), get(&main, "size")), (Value::string("a"), Value::Int32(9)));
    assert_eq!(get(&found, "state"), Value::string("UNKNOWN_ENUM_VALUE_State_7"));
    let pay = get(&found, "pay_0");
    assert!(get(&pay, "card").is_null() && get(&pay, "cash").is_null());
    assert_eq!(
        (get(&get(&pay, "thing"), "name"), get(&get(&pay, "thing"), "size")),
        (Value::string("b"), Value::Int32(4))
    );
    assert_eq!(get(&found, "number"), Value::Int64(4_294_967_295));
    assert_eq!(get(&found, "change"), Value::Int64(-2));
    assert_eq!(get(&found, "mark"), Value::Int64(4_294_967_295));
    let Value::Map(items) = get(&found, "items") else { panic!() };
    assert!(items[0].0 == Value::string("k") && !items[0].1.is_null());
    assert_eq!(get(&get(&found, "text"), "value"), Value::string(""));
    // It is written into its own schema, and into one that is made of it.
    let known = read(&message, &bytes, &options(&[])).unwrap().1;
    for target in [message.clone(), message_of(&schema, &plain).unwrap()] {
        let mut known = known.clone();
        if let Value::Struct(row) = &mut known {
            let place = row.schema.index_of("state").unwrap();
            row.fields[place] = Value::string("PAID");
        }
        let bytes = write(&schema, &known, &target, &plain).unwrap();
        let (_, again) = read(&target, &bytes, &plain).unwrap();
        for name in ["pay_0", "number", "change", "mark", "state", "counts", "main"] {
            assert!(is_same(&get(&known, name), &get(&again, name)), "{name} {again:?}");
        }
    }
}

#[test]
fn settings_change_what_is_read() {
    let message = first(FOREIGN);
    let pay = [0x4a, 1, b'c', 0x60, 5, 0x2a, 3, 0x0a, 1, b'x'];
    let options_of = |pairs: &[(&str, &str)]| options(pairs);
    let (schema, found) = read(&message, &pay, &options_of(&[("flatten.unions", "true")])).unwrap();
    assert_eq!((get(&found, "card"), get(&found, "cash")), (Value::Null, Value::Int32(5)));
    assert!(schema.index_of("pay_0").is_none());
    let (_, found) = read(&message, &pay, &options_of(&[("generate.index.for.unions", "false")])).unwrap();
    assert_eq!(get(&get(&found, "pay"), "cash"), Value::Int32(5));
    let (schema, found) = read(&message, &pay, &options_of(&[("wrapper.for.nullables", "true")])).unwrap();
    assert_eq!(get(&found, "text"), Value::string("x"));
    assert!(!schema.fields()[schema.index_of("number").unwrap()].schema.optional);
    let (_, found) = read(&message, &[0x30, 5], &options_of(&[("int.for.enums", "true")])).unwrap();
    assert_eq!(get(&found, "state"), Value::Int32(5));
    let (schema, found) = read(&message, &[], &options_of(&[("generate.struct.for.nulls", "true")])).unwrap();
    assert_eq!(get(&get(&found, "main"), "size"), Value::Int32(0));
    assert_eq!(get(&found, "note"), Value::string(""));
    assert_eq!(schema.name.as_deref(), Some("Order"));
    let enhanced = to_connect::convert(&message, None, &options_of(&[("enhanced.protobuf.schema.support", "true")]));
    assert_eq!(enhanced.unwrap().name.as_deref(), Some("shop.public.orders.Order"));
    let (schema, _) = read(&message, &[], &options_of(&[("optional.for.nullables", "true")])).unwrap();
    let optional = |name: &str| schema.fields()[schema.index_of(name).unwrap()].schema.optional;
    assert!(optional("note") && !optional("number"));
}

#[test]
fn proto2_has_its_own_rules() {
    let message = first(
        r#"syntax = "proto2";
        message Old {
          required int32 id = 1;
          optional int32 size = 2 [default = 5];
          optional bytes raw = 3;
          repeated int32 many = 4;
          extensions 100 to 200;
        }"#,
    );
    let (_, found) = read(&message, &[0x08, 1, 0x20, 1, 0x22, 1, 2], &options(&[])).unwrap();
    assert_eq!(
        (get(&found, "id"), get(&found, "size"), get(&found, "raw")),
        (Value::Int32(1), Value::Null, Value::Null)
    );
    assert_eq!(get(&found, "many"), Value::Array(vec![Value::Int32(1), Value::Int32(2)]));
    let (schema, found) = read(&message, &[], &options(&[("optional.for.proto2", "false")])).unwrap();
    assert_eq!((get(&found, "size"), get(&found, "raw")), (Value::Int32(5), Value::Bytes(Bytes::new())));
    let bytes = write(&schema, &found, &message, &options(&[])).unwrap();
    assert_eq!(&bytes[..], [0x08, 0, 0x10, 5, 0x1a, 0]);
}

#[test]
fn a_recursive_message_is_unrolled() {
    let message =
        first(r#"syntax = "proto3"; message Node { int32 value = 1; Node next = 2; repeated Node all = 3; }"#);
    let options = options(&[]);
    let bytes = [0x08, 1, 0x12, 2, 0x08, 2, 0x1a, 2, 0x08, 3];
    let (schema, found) = read(&message, &bytes, &options).unwrap();
    assert_eq!(get(&get(&found, "next"), "value"), Value::Int32(2));
    assert_eq!(&write(&schema, &found, &message, &options).unwrap()[..], bytes);
    let again = from_connect::convert(&schema, &options).unwrap();
    assert!(again.text.contains("Node next = 2;") && again.text.len() < 300, "{}", again.text);
    let mut deep = Vec::new();
    for _ in 0..70 {
        let mut outer = BytesMut::from(&[0x12u8][..]);
        super::varint(deep.len() as u64, &mut outer);
        outer.extend_from_slice(&deep);
        deep = outer.to_vec();
    }
    let error = read(&message, &deep, &options).unwrap_err();
    assert!(error.message().contains("deeper than its schema is unrolled"), "{error}");
}

#[test]
fn what_has_no_place_is_refused() {
    let options = options(&[]);
    let error = |schema: Schema| from_connect::convert(&schema.shared(), &options).unwrap_err().message().to_owned();
    let list = of(Kind::Array(of(Kind::Int32).shared()));
    assert_eq!(error(list.clone()), "Unsupported root schema of type ARRAY");
    assert_eq!(error(Schema::structure(vec![field("a", of(Kind::Array(list.shared())))])), "Array cannot be nested");
    let schema = Schema::structure(vec![field("a", of(Kind::Array(of(Kind::Int32).optional().shared())))]).shared();
    let value = row(&schema, vec![Value::Array(vec![Value::Null])]);
    let message = message_of(&schema, &options).unwrap();
    let error = write(&schema, &value, &message, &options).unwrap_err();
    assert_eq!(error.message(), "field a: a list can't hold null in Protobuf");
    let schema = Schema::structure(vec![field("t", of(Kind::Int32).named(logical::TIME).version(1))]).shared();
    let message = message_of(&schema, &options).unwrap();
    let error = write(&schema, &row(&schema, vec![Value::Int32(-1)]), &message, &options).unwrap_err();
    assert!(error.message().contains("number of millis"), "{error}");
    assert!(read(&message, &[0x0a, 5], &options).is_err());
}

#[test]
fn decimals_bring_their_scale() {
    let options = options(&[]);
    let price = of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", "2");
    let schema = Schema::structure(vec![field("p", price)]).shared();
    let message = message_of(&schema, &options).unwrap();
    let other = Value::Decimal(Box::new(value::Decimal { unscaled: (-125).into(), scale: 1 }));
    for number in [other, Value::Bytes(vec![0].into()), Value::Bytes(vec![0xff].into())] {
        let bytes = write(&schema, &row(&schema, vec![number.clone()]), &message, &options).unwrap();
        assert_eq!(get(&read(&message, &bytes, &options).unwrap().1, "p"), number);
    }
}

#[test]
fn the_converter_registers_and_reads() {
    let fake = FakeRegistry::start();
    let converter = ProtobufConverter::new(&fake.props(&[]), false).unwrap();
    let schema = Schema::structure(vec![field("id", of(Kind::Int64))]).named("shop.Order").shared();
    let datum = Datum::new(Arc::clone(&schema), row(&schema, vec![Value::Int64(7)]));
    let mut out = BytesMut::new();
    assert!(converter.serialize("orders", &datum, &mut out).unwrap());
    assert_eq!(&out[..], b"\0\0\0\0\x01\0\x08\x07");
    let found = converter.deserialize("orders", Some(out.clone().freeze())).unwrap();
    assert_eq!(get(&found.value, "id"), Value::Int64(7));
    let seen = fake.take();
    assert_eq!(seen[0].line, "POST /subjects/orders-value/versions?normalize=false");
    assert_eq!(seen[0].body["schemaType"], "PROTOBUF");
    // Said the long way.
    let long = Bytes::from_static(b"\0\0\0\0\x01\x02\0\x08\x07");
    assert_eq!(converter.deserialize("orders", Some(long)).unwrap().value, found.value);
    assert!(fake.take().is_empty());
    let missing = converter.deserialize("orders", Some(Bytes::from_static(b"\0\0\0\0\x01\x02\x0a")));
    assert!(missing.unwrap_err().trace().contains("the schema has no message"));
    assert!(converter.deserialize("orders", Some(Bytes::from_static(b"\0\0\0\0\x01"))).is_err());

    let number = Datum::new(of(Kind::Int32).shared(), Value::Int32(5));
    let mut out = BytesMut::new();
    converter.serialize("numbers", &number, &mut out).unwrap();
    assert_eq!(&out[..], b"\0\0\0\0\x02\x02\x08\x08\x05");
    assert_eq!(converter.deserialize("numbers", Some(out.freeze())).unwrap().value, Value::Int32(5));
    assert!(!converter.serialize("orders", &Datum::null(), &mut BytesMut::new()).unwrap());
    let schemaless = converter.serialize("orders", &Datum::schemaless(Value::Int32(1)), &mut BytesMut::new());
    assert!(schemaless.unwrap_err().root().remedy().unwrap().contains("schemas.enable=false"));
    let by_name = [("value.subject.name.strategy", "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy")];
    let converter = ProtobufConverter::new(&fake.props(&by_name), false).unwrap();
    fake.take();
    converter.serialize("orders", &datum, &mut BytesMut::new()).unwrap();
    assert_eq!(fake.lines()[0], "POST /subjects/orders-shop.Order/versions?normalize=false");
}

#[test]
fn other_schemas_of_the_registry_are_written_with() {
    let fake = FakeRegistry::start();
    let wide = r#"syntax = "proto3"; package shop; message Other { } message Order { string more = 1; int64 id = 9; }"#;
    let id = fake.add("orders-value", serde_json::json!({ "schema": wide, "schemaType": "PROTOBUF" }));
    let props = fake.props(&[("auto.register.schemas", "false"), ("use.latest.version", "true")]);
    let converter = ProtobufConverter::new(&props, false).unwrap();
    let schema = Schema::structure(vec![field("id", of(Kind::Int64))]).named("shop.Order").shared();
    let datum = Datum::new(Arc::clone(&schema), row(&schema, vec![Value::Int64(7)]));
    let mut out = BytesMut::new();
    converter.serialize("orders", &datum, &mut out).unwrap();
    assert_eq!(&out[..], [0, 0, 0, 0, id as u8, 2, 2, 0x48, 7]);
    let found = converter.deserialize("orders", Some(out.freeze())).unwrap();
    assert_eq!((get(&found.value, "id"), get(&found.value, "more")), (Value::Int64(7), Value::string("")));
}

/// Messages with these fields each.
fn messages(number: usize, holds: impl Fn(usize) -> Vec<usize>) -> MessageDescriptor {
    let mut text = r#"syntax = "proto3"; "#.to_owned();
    for at in 0..number {
        let field = |(place, to)| format!("M{to} f{place} = {};", place + 1);
        let fields: Vec<String> = holds(at).into_iter().enumerate().map(field).collect();
        text.push_str(&format!("message M{at} {{ {} }} ", fields.join(" ")));
    }
    first(&text)
}

#[test]
fn a_deep_message_is_unrolled_as_far_as_a_stack_holds() {
    on_small_stack(|| {
        let options = options(&[]);
        let circle = messages(40, |at| vec![(at + 1) % 40]);
        let nested = |levels: usize| {
            (0..levels).fold(Vec::new(), |inner, _| {
                let mut outer = BytesMut::from(&[0x0a_u8][..]);
                super::varint(inner.len() as u64, &mut outer);
                outer.extend_from_slice(&inner);
                outer.to_vec()
            })
        };
        assert!(read(&circle, &nested(100), &options).is_ok());
        let error = read(&circle, &nested(300), &options).unwrap_err();
        assert!(error.message().contains("deeper than its schema is unrolled"), "{error}");
        let chain = messages(300, |at| (at + 1..300).take(1).collect());
        let error = to_connect::convert(&chain, None, &options).unwrap_err();
        assert!(error.message().starts_with("the schema nests deeper than"), "{error}");
    });
}

#[test]
fn a_message_that_is_too_large_written_out_is_refused() {
    let all_of_all = messages(12, |at| (0..12).filter(|to| *to != at).collect());
    let twice = messages(30, |at| if at < 29 { vec![at + 1; 2] } else { Vec::new() });
    for message in [all_of_all, twice] {
        let error = to_connect::convert(&message, None, &options(&[])).unwrap_err();
        assert!(error.message().starts_with("the schema is too large"), "{error}");
    }
}
