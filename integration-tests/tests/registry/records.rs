//! The converters themselves, without a worker: the values that go to the other client and come from it.

use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{
    Bytes, BytesMut, Converter, Datum, Field, Kind, PluginKind, Props, Schema, SchemaRef, Struct, Value,
};
use serde_json::{Map, Value as Json, json};

const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
const TAG: &str = "io.confluent.connect.protobuf.Tag";
/// 2024-02-29, 12:00:00.5.
const DAY: i32 = 19_782;
const TIME: i32 = 43_200_500;
const INSTANT: i64 = 1_709_208_000_500;
/// Twelve and thirty-four hundredths.
const UNSCALED: [u8; 2] = [0x04, 0xd2];
/// No double holds it.
const LARGE: i64 = 9_007_199_254_740_993;

/// A format: its name in the registry and its converter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) converter: &'static str,
}

pub(crate) const AVRO: Format = Format { name: "AVRO", converter: "io.confluent.connect.avro.AvroConverter" };
pub(crate) const JSON_SCHEMA: Format =
    Format { name: "JSON", converter: "io.confluent.connect.json.JsonSchemaConverter" };
pub(crate) const PROTOBUF: Format =
    Format { name: "PROTOBUF", converter: "io.confluent.connect.protobuf.ProtobufConverter" };

impl Format {
    /// A converter of this format.
    pub(crate) fn make(self, url: &str, is_key: bool, settings: &[(&str, &str)]) -> Box<dyn Converter> {
        let given = [("schema.registry.url", url)];
        let pairs = given.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        let props: Props = pairs.collect();
        let plugin = connect_registry::plugins().into_iter().find(|plugin| plugin.class == self.converter).unwrap();
        let PluginKind::Converter(make, _) = plugin.kind else { panic!("{} is no converter", self.converter) };
        make(&props, is_key).unwrap()
    }

    /// The order to read what a converter of values wrote.
    pub(crate) fn to_read(self, topic: &str, bytes: &[u8]) -> Json {
        json!({"do": "read", "format": self.name, "topic": topic, "bytes": hex(bytes)})
    }

    /// The order to write a value.
    pub(crate) fn to_write(self, topic: &str, schema: &str, value: Json) -> Json {
        json!({"do": "write", "format": self.name, "topic": topic, "schema": schema, "value": value})
    }
}

/// What a converter makes of a value.
pub(crate) fn written(converter: &dyn Converter, topic: &str, schema: SchemaRef, value: Value) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert!(converter.serialize(topic, &Datum::new(schema, value), &mut out).unwrap());
    out.to_vec()
}

/// What a converter makes of a text by itself.
pub(crate) fn text(converter: &dyn Converter, topic: &str, text: &str) -> Vec<u8> {
    written(converter, topic, Schema::of(Kind::String).shared(), text.into())
}

/// What a converter reads from a record that the other client wrote.
pub(crate) fn read(converter: &dyn Converter, topic: &str, answer: &Json) -> Datum {
    converter.deserialize(topic, Some(bytes_of(answer))).unwrap()
}

/// The record in an answer of the other client.
pub(crate) fn bytes_of(answer: &Json) -> Bytes {
    unhex(answer["bytes"].as_str().unwrap()).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The types of a record's fields by name: a schema's name, else its kind; with a question mark when it is optional.
pub(crate) fn types(datum: &Datum) -> Json {
    let fields = datum.schema.as_ref().unwrap().fields().iter();
    fields.map(|field| (field.name.to_string(), json!(type_of(&field.schema)))).collect::<Map<_, _>>().into()
}

fn type_of(schema: &Schema) -> String {
    let name = match (&schema.name, &schema.kind) {
        (Some(name), _) => name.to_string(),
        (None, Kind::Array(element)) => format!("[{}]", type_of(element)),
        (None, Kind::Map(keys, values)) => format!("{{{}: {}}}", type_of(keys), type_of(values)),
        (None, kind) => kind.name().to_owned(),
    };
    if schema.optional { format!("{name}?") } else { name }
}

/// A value as JSON. Bytes are written as the other client writes them.
pub(crate) fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int8(value) => json!(value),
        Value::Int16(value) => json!(value),
        Value::Int32(value) => json!(value),
        Value::Int64(value) => json!(value),
        Value::Float32(value) => json!(value),
        Value::Float64(value) if value.is_finite() => json!(value),
        Value::Float64(value) => json!(value.to_string()),
        Value::String(text) => json!(&**text),
        Value::Bytes(bytes) => json!({"$bytes": hex(bytes)}),
        Value::Array(elements) => elements.iter().map(plain).collect(),
        Value::Map(entries) if entries.iter().all(|(key, _)| key.as_str().is_some()) => {
            let entry = |(key, value): &(Value, Value)| (key.as_str().unwrap_or_default().to_owned(), plain(value));
            entries.iter().map(entry).collect::<Map<_, _>>().into()
        }
        Value::Map(entries) => entries.iter().map(|(key, value)| json!([plain(key), plain(value)])).collect(),
        Value::Struct(record) => {
            let named = record.schema.fields().iter().zip(&record.fields);
            named.map(|(field, value)| (field.name.to_string(), plain(value))).collect::<Map<_, _>>().into()
        }
        other => json!(format!("{other:?}")),
    }
}

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

fn list(element: Schema) -> Schema {
    Schema::of(Kind::Array(element.shared()))
}

fn map(keys: Kind, values: Kind) -> Schema {
    Schema::of(Kind::Map(Schema::of(keys).shared(), Schema::of(values).shared()))
}

fn decimal() -> Schema {
    let schema = Schema::of(Kind::Bytes).named(logical::DECIMAL).version(1);
    schema.parameter("scale", "2").parameter("connect.decimal.precision", "10")
}

fn item_schema() -> Schema {
    Schema::structure(vec![field("name", Schema::of(Kind::String)), field("count", Schema::of(Kind::Int32).optional())])
        .named("shop.Item")
}

fn mood() -> Schema {
    let symbol = |symbol: &str| format!("{SUM_ENUM}.{symbol}");
    let schema = Schema::of(Kind::String).named("shop.Mood").parameter(SUM_ENUM, "Mood");
    schema.parameter(symbol("FINE"), "0").parameter(symbol("SAD"), "1")
}

/// One of two, as all formats know it with `generalized.sum.type.support`.
fn choice() -> Schema {
    let schema = Schema::structure(vec![
        field("as_text", Schema::of(Kind::String).optional().parameter(TAG, "101")),
        field("as_number", Schema::of(Kind::Int64).optional().parameter(TAG, "102")),
    ]);
    schema.named("choice").parameter(SUM_UNION, "choice")
}

/// A small record.
pub(crate) fn item() -> (SchemaRef, Value) {
    let schema = item_schema().shared();
    (Arc::clone(&schema), Value::Struct(Struct::new(schema, vec!["pen".into(), Value::Int32(3)])))
}

/// A record with a field of every type that Connect has.
pub(crate) fn everything() -> (SchemaRef, Value) {
    let (item, choice) = (item_schema().shared(), choice().shared());
    let pen = |count: Value| Value::Struct(Struct::new(Arc::clone(&item), vec!["pen".into(), count]));
    let chosen = Value::Struct(Struct::new(Arc::clone(&choice), vec![Value::Null, Value::Int64(5)]));
    let of = |kind: Kind| Schema::of(kind);
    let fields: Vec<(&str, Schema, Value)> = vec![
        ("tiny", of(Kind::Int8), Value::Int8(-8)),
        ("small", of(Kind::Int16), Value::Int16(-1600)),
        ("number", of(Kind::Int32), Value::Int32(-320_000)),
        ("large", of(Kind::Int64), Value::Int64(LARGE)),
        ("single", of(Kind::Float32), Value::Float32(1.5)),
        ("double", of(Kind::Float64), Value::Float64(-2.25)),
        ("yes", of(Kind::Boolean), Value::Bool(true)),
        ("text", of(Kind::String), "für dich".into()),
        ("raw", of(Kind::Bytes), Value::Bytes(vec![0, 255].into())),
        ("price", decimal(), Value::Bytes(UNSCALED.to_vec().into())),
        ("day", of(Kind::Int32).named(logical::DATE).version(1), Value::Int32(DAY)),
        ("hour", of(Kind::Int32).named(logical::TIME).version(1), Value::Int32(TIME)),
        ("at", of(Kind::Int64).named(logical::TIMESTAMP).version(1), Value::Int64(INSTANT)),
        ("missing", of(Kind::String).optional(), Value::Null),
        ("present", of(Kind::Int64).optional(), Value::Int64(-1)),
        ("preset", of(Kind::Int32).default_value(Value::Int32(7)), Value::Int32(5)),
        ("tags", list(of(Kind::String)), Value::Array(vec!["a".into(), "b".into()])),
        ("items", list((*item).clone()), Value::Array(vec![pen(Value::Int32(3)), pen(Value::Null)])),
        ("counts", map(Kind::String, Kind::Int64), Value::Map(vec![("x".into(), Value::Int64(LARGE))])),
        ("numbers", map(Kind::Int32, Kind::String), Value::Map(vec![(Value::Int32(1), "one".into())])),
        ("item", (*item).clone(), pen(Value::Int32(1))),
        ("nothing", (*item).clone().optional(), Value::Null),
        ("mood", mood(), "SAD".into()),
        ("choice", (*choice).clone(), chosen),
    ];
    let (mut schemas, mut values) = (Vec::new(), Vec::new());
    for (name, schema, value) in fields {
        schemas.push(field(name, schema));
        values.push(value);
    }
    let schema = Schema::structure(schemas).named("shop.Everything").shared();
    (Arc::clone(&schema), Value::Struct(Struct::new(schema, values)))
}

/// What a converter does not lose of [`everything`] on the way there and back.
pub(crate) fn there_and_back(converter: &dyn Converter, topic: &str) -> Json {
    let (schema, value) = everything();
    let bytes = written(converter, topic, schema, value);
    plain(&converter.deserialize(topic, Some(bytes.into())).unwrap().value)
}
