//! The same value in the hands of another implementation.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use connect_api::{Kind, Schema, SchemaRef, Value};
use num_bigint::BigInt;

use super::super::options::Options;

/// What another implementation reads from bytes.
pub(super) fn read(schema: &apache_avro::Schema, bytes: &mut &[u8]) -> Result<Avro, String> {
    let reader = GenericDatumReader::builder(schema).build().map_err(|error| error.to_string())?;
    reader.read_value(bytes).map_err(|error| error.to_string())
}

/// Whether another implementation reads the same from bytes.
pub(super) fn assert_same(schema: &SchemaRef, value: &Value, bytes: &[u8], options: &Options) {
    let text = super::text(schema, options);
    let parsed = apache_avro::Schema::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut reader = bytes;
    let read = self::read(&parsed, &mut reader).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(reader.is_empty(), "bytes are left: {text}");
    assert!(same(schema, value, &read), "{value:?}\n{read:?}\n{text}");
}

/// Whether both values are the same.
pub(super) fn same(schema: &Schema, value: &Value, avro: &Avro) -> bool {
    match (value, avro) {
        (_, Avro::Union(_, inner)) if !super::super::options::is_union(schema) => same(schema, value, inner),
        (Value::Struct(union), Avro::Union(_, inner)) => {
            let present = union.fields.iter().zip(schema.fields()).find(|(value, _)| !value.is_null());
            present.map_or(**inner == Avro::Null, |(value, field)| same(&field.schema, value, inner))
        }
        (Value::Null, Avro::Null) => true,
        (Value::Bool(a), Avro::Boolean(b)) => a == b,
        (Value::Int8(a), Avro::Int(b)) => i32::from(*a) == *b,
        (Value::Int16(a), Avro::Int(b)) => i32::from(*a) == *b,
        (Value::Int32(a), Avro::Int(b) | Avro::Date(b) | Avro::TimeMillis(b)) => a == b,
        (Value::Int64(a), Avro::Long(b) | Avro::TimestampMillis(b)) => a == b,
        (Value::Float32(a), Avro::Float(b)) => a == b,
        (Value::Float64(a), Avro::Double(b)) => a == b,
        (Value::String(a), Avro::String(b) | Avro::Enum(_, b)) => **a == *b.as_str(),
        (Value::Bytes(a), Avro::Bytes(b) | Avro::Fixed(_, b)) => **a == *b.as_slice(),
        (Value::Bytes(a), Avro::Decimal(b)) => {
            BigInt::from_signed_bytes_be(a) == BigInt::from_signed_bytes_be(&Vec::try_from(b).unwrap())
        }
        (Value::Array(a), Avro::Array(b)) => {
            let Kind::Array(element) = &schema.kind else { return false };
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(element, a, b))
        }
        (Value::Map(a), Avro::Map(b)) => {
            let Kind::Map(_, values) = &schema.kind else { return false };
            let found = |(key, value): &(Value, Value)| {
                key.as_str().and_then(|key| b.get(key)).is_some_and(|other| same(values, value, other))
            };
            a.len() == b.len() && a.iter().all(found)
        }
        (Value::Map(a), Avro::Array(b)) => {
            let Kind::Map(keys, values) = &schema.kind else { return false };
            let entry = |((key, value), other): (&(Value, Value), &Avro)| match other {
                Avro::Record(fields) => same(keys, key, &fields[0].1) && same(values, value, &fields[1].1),
                _ => false,
            };
            a.len() == b.len() && a.iter().zip(b).all(entry)
        }
        (Value::Struct(a), Avro::Record(b)) => {
            let fields = a.fields.iter().zip(schema.fields());
            a.fields.len() == b.len()
                && fields
                    .zip(b)
                    .all(|((value, field), (name, other))| *field.name == **name && same(&field.schema, value, other))
        }
        _ => false,
    }
}
