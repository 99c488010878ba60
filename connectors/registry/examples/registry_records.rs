//! Writes records with each converter, or reads some, so that other clients of a registry can be held against them.
//!
//! `cargo run -p connect-registry --example registry_records -- URL write` prints lines of converter, topic and record in hexadecimal;
//! `... -- URL read` takes such lines and prints what they hold.

use std::io::BufRead;
use std::sync::Arc;

use connect_api::schema::logical;
use connect_api::{BytesMut, Converter, Datum, Field, Kind, PluginKind, Props, Schema, SchemaRef, Struct, Value};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn converter(class: &str, url: &str) -> Outcome<Box<dyn Converter>> {
    let props: Props = [("schema.registry.url".to_owned(), Some(url.to_owned()))].into_iter().collect();
    for plugin in connect_registry::plugins().into_iter().filter(|plugin| plugin.class.ends_with(class)) {
        if let PluginKind::Converter(make, _) = plugin.kind {
            return Ok(make(&props, false)?);
        }
    }
    Err(format!("there is no {class}").into())
}

fn field(name: &str, schema: Schema) -> Field {
    Field::new(name, schema.shared())
}

fn schema() -> SchemaRef {
    let item = Schema::structure(vec![
        field("name", Schema::of(Kind::String)),
        field("count", Schema::of(Kind::Int32).optional()),
    ])
    .named("shop.Item");
    Schema::structure(vec![
        field("id", Schema::of(Kind::Int64)),
        field("note", Schema::of(Kind::String).optional()),
        field("weight", Schema::of(Kind::Float64)),
        field("paid", Schema::of(Kind::Boolean)),
        field("raw", Schema::of(Kind::Bytes)),
        field("at", Schema::of(Kind::Int64).named(logical::TIMESTAMP).version(1)),
        field("tags", Schema::of(Kind::Array(Schema::of(Kind::String).shared()))),
        field("counts", Schema::of(Kind::Map(Schema::of(Kind::String).shared(), Schema::of(Kind::Int64).shared()))),
        field("item", item.optional()),
    ])
    .named("shop.Order")
    .shared()
}

fn value(schema: &SchemaRef) -> Value {
    let item = schema.fields().last().map(|field| Arc::clone(&field.schema)).unwrap_or_else(|| Arc::clone(schema));
    let item = Struct::new(item, vec![Value::string("pen"), Value::Int32(3)]);
    let fields = vec![
        Value::Int64(4_294_967_296),
        Value::string("für dich"),
        Value::Float64(1.5),
        Value::Bool(true),
        Value::Bytes(vec![0, 255].into()),
        Value::Int64(1_700_000_000_123),
        Value::Array(vec![Value::string("a"), Value::string("b")]),
        Value::Map(vec![(Value::string("x"), Value::Int64(-1))]),
        Value::Struct(item),
    ];
    Value::Struct(Struct::new(Arc::clone(schema), fields))
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: records URL write|read")?;
    if args.next().as_deref() == Some("write") {
        for class in ["AvroConverter", "JsonSchemaConverter", "ProtobufConverter"] {
            let (topic, schema) = (format!("records-{class}"), schema());
            let mut out = BytesMut::new();
            converter(class, &url)?.serialize(&topic, &Datum::new(Arc::clone(&schema), value(&schema)), &mut out)?;
            let text: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{class} {topic} {text}");
        }
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let (Some(class), Some(topic), Some(text)) = (words.next(), words.next(), words.next()) else { continue };
        let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
        let datum = converter(class, &url)?.deserialize(topic, Some(bytes.ok_or("no hexadecimal text")?.into()))?;
        let fields = datum.schema.iter().flat_map(|schema| schema.fields().iter());
        let values = datum.value.as_struct().map(|row| row.fields.to_vec()).unwrap_or_default();
        for (field, value) in fields.zip(values) {
            println!("{class} {} = {value:?}", field.name);
        }
    }
    Ok(())
}
