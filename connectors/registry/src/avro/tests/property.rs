//! Any value of any schema is the same after it was written and read, and to another implementation.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use connect_api::java::hash;
use connect_api::{Kind, Value};
use proptest::prelude::*;

use super::super::{decode, from_connect, to_connect};
use super::{encode, options, second};
use crate::arbitrary::{cases, schema};

fn schemaless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<f32>().prop_map(Value::Float32),
        any::<f64>().prop_map(Value::Float64),
        ".{0,9}".prop_map(|text| Value::string(&text)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let some = prop_oneof![1 => Just(Value::Null), 6 => inner].boxed();
        prop_oneof![
            proptest::collection::vec(some.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((some.clone(), some), 0..4).prop_map(|mut pairs| {
                hash::order(&mut pairs);
                Value::Map(pairs)
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_value_is_the_same_again((schema, value) in cases()) {
        let options = options(&[]);
        let bytes = encode(Some(&schema), &value, &options).unwrap();
        let avro = Arc::new(from_connect::convert(Some(&schema), &options).unwrap());
        // Through its text, as from the registry.
        let avro = Arc::new(super::super::text::parse(&avro.text(), []).unwrap());
        let read = to_connect::convert(&avro, None, &options, &AtomicUsize::new(0)).unwrap().unwrap();
        prop_assert_eq!(&read, &schema);
        let reader = decode::Reader::new(&avro, &avro, Some(read)).unwrap();
        prop_assert_eq!(&reader.read(bytes.clone()).unwrap(), &value);
        if schema.kind != Kind::Bytes || schema.optional {
            second::assert_same(&schema, &value, &bytes, &options);
        }
    }

    #[test]
    fn any_value_without_a_schema_is_the_same_again(value in schemaless()) {
        let options = options(&[]);
        let bytes = encode(None, &value, &options).unwrap();
        let avro = Arc::new(from_connect::convert(None, &options).unwrap());
        let parsed = apache_avro::Schema::parse_str(&avro.text()).unwrap();
        prop_assert!(second::read(&parsed, &mut &bytes[..]).is_ok());
        let reader = decode::Reader::new(&avro, &avro, None).unwrap();
        prop_assert_eq!(reader.read(bytes).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), schema in schema()) {
        let options = options(&[]);
        let schema = schema.shared();
        let avro = Arc::new(from_connect::convert(Some(&schema), &options).unwrap());
        let reader = decode::Reader::new(&avro, &avro, Some(schema)).unwrap();
        reader.read(bytes.clone().into()).ok();
        let avro = Arc::new(from_connect::convert(None, &options).unwrap());
        decode::Reader::new(&avro, &avro, None).unwrap().read(bytes.into()).ok();
    }
}
