//! Any schema of Connect and any value of it, for tests.

use std::sync::Arc;

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{Field, Kind, Schema, SchemaRef, Struct, Value};
use num_bigint::BigInt;
use proptest::prelude::*;

/// A schema without others in it.
fn leaf() -> BoxedStrategy<Schema> {
    let plain = prop_oneof![
        Just(Kind::Int8),
        Just(Kind::Int16),
        Just(Kind::Int32),
        Just(Kind::Int64),
        Just(Kind::Float32),
        Just(Kind::Float64),
        Just(Kind::Boolean),
        Just(Kind::String),
        Just(Kind::Bytes),
    ]
    .prop_map(Schema::of);
    let logical = prop_oneof![
        Just(Schema::of(Kind::Int32).named(logical::DATE).version(1)),
        Just(Schema::of(Kind::Int32).named(logical::TIME).version(1)),
        Just(Schema::of(Kind::Int64).named(logical::TIMESTAMP).version(1)),
        (0..9u8).prop_map(|scale| {
            Schema::of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", scale.to_string())
        }),
    ];
    let named = plain.clone().prop_map(|schema| schema.named("com.acme.Some").version(3).parameter("a", "b"));
    prop_oneof![4 => plain, 2 => logical, 1 => named].boxed()
}

/// Any schema; structs have names, and so have maps whose keys are no plain texts.
pub(crate) fn schema() -> impl Strategy<Value = Schema> {
    let optional = |schema: Schema, optional: bool| if optional { schema.optional() } else { schema };
    let tree = leaf().prop_recursive(4, 24, 4, move |inner| {
        let some = (inner, any::<bool>()).prop_map(move |(schema, is)| optional(schema, is)).boxed();
        prop_oneof![
            some.clone().prop_map(|element| Schema::of(Kind::Array(element.shared()))),
            some.clone().prop_map(|values| Schema::of(Kind::Map(Schema::of(Kind::String).shared(), values.shared()))),
            (leaf(), any::<bool>(), some.clone()).prop_map(move |(keys, is, values)| {
                Schema::of(Kind::Map(optional(keys, is).shared(), values.shared()))
            }),
            proptest::collection::vec(some, 0..5).prop_map(|fields| {
                let field = |(i, schema): (usize, Schema)| Field::new(format!("f{i}"), schema.shared());
                Schema::structure(fields.into_iter().enumerate().map(field).collect())
            }),
        ]
    });
    (tree, any::<bool>()).prop_map(move |(schema, is)| {
        let mut count = 0;
        optional(named(&schema, &mut count), is)
    })
}

/// The same with a name for each struct and each map that needs one.
fn named(schema: &Schema, count: &mut usize) -> Schema {
    let mut schema = schema.clone();
    *count += 1;
    let name = format!("com.acme.T{count}");
    match &mut schema.kind {
        Kind::Array(element) => *element = named(element, count).shared(),
        Kind::Map(keys, values) => {
            *values = named(values, count).shared();
            if keys.kind != Kind::String || keys.optional {
                schema.name = Some(name.into());
            } else {
                // Keys that are texts are nothing else in Avro.
                *keys = Schema::of(Kind::String).shared();
            }
        }
        Kind::Struct(fields) => {
            for field in fields {
                field.schema = named(&field.schema, count).shared();
            }
            schema.name = Some(name.into());
        }
        _ => {}
    }
    schema
}

fn value(schema: &SchemaRef) -> BoxedStrategy<Value> {
    let present = present(schema);
    if schema.optional { prop_oneof![1 => Just(Value::Null), 4 => present].boxed() } else { present }
}

fn present(schema: &SchemaRef) -> BoxedStrategy<Value> {
    if schema.is(logical::DECIMAL) {
        return any::<i128>().prop_map(|number| Value::Bytes(BigInt::from(number).to_signed_bytes_be().into())).boxed();
    }
    match &schema.kind {
        Kind::Int8 => any::<i8>().prop_map(Value::Int8).boxed(),
        Kind::Int16 => any::<i16>().prop_map(Value::Int16).boxed(),
        Kind::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        Kind::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        Kind::Float32 => any::<f32>().prop_map(Value::Float32).boxed(),
        Kind::Float64 => any::<f64>().prop_map(Value::Float64).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::String => ".{0,12}".prop_map(|text| Value::string(&text)).boxed(),
        Kind::Bytes => proptest::collection::vec(any::<u8>(), 0..9).prop_map(|of| Value::Bytes(of.into())).boxed(),
        Kind::Array(element) => proptest::collection::vec(value(element), 0..4).prop_map(Value::Array).boxed(),
        Kind::Map(keys, values) => proptest::collection::vec((value(keys), value(values)), 0..4)
            .prop_map(|mut pairs| {
                hash::order(&mut pairs);
                Value::Map(pairs)
            })
            .boxed(),
        Kind::Struct(fields) => {
            let schema = Arc::clone(schema);
            let values: Vec<_> = fields.iter().map(|field| value(&field.schema)).collect();
            values.prop_map(move |values| Value::Struct(Struct::new(Arc::clone(&schema), values))).boxed()
        }
        // The schemas above have none.
        Kind::Unknown => Just(Value::Null).boxed(),
    }
}

/// Any schema and any value of it that is not null.
pub(crate) fn cases() -> impl Strategy<Value = (SchemaRef, Value)> {
    schema().prop_flat_map(|schema| {
        let schema = schema.shared();
        let value = present(&schema);
        (Just(schema), value)
    })
}
