//! Values as Java has them in memory: with a logical schema a `Date` or a `BigDecimal`, where ours are physical, numbers and
//! bytes.
//!
//! The functions of [`values`](super) work on objects, since that is what Connect's conversions are about: a value without a
//! schema is one already.

use num_bigint::BigInt;

use super::temporal::DAY_MS;
use crate::schema::{Kind, Schema, logical};
use crate::value::{Decimal, Value};

/// The object that a physical value of a schema stands for. Structs are as they are: their fields are physical by their
/// own schema.
pub fn object(schema: Option<&Schema>, mut value: Value) -> Value {
    if let Some(schema) = schema {
        change(schema, &mut value, to_object);
    }
    value
}

/// The physical form of an object under a schema. What the schema can't hold (a `Date` with a time of day, a decimal of
/// another scale) stays as it is.
pub fn physical(schema: &Schema, mut value: Value) -> Value {
    change(schema, &mut value, to_physical);
    value
}

/// What stands for a value under a logical schema, when it is another one.
type Change = fn(name: &str, schema: &Schema, value: &Value) -> Option<Value>;

/// Changes a value and what is inside of it, in place: texts may be nested deeply, and stacks are short.
fn change(schema: &Schema, value: &mut Value, how: Change) {
    if let Some(name) = schema.name.as_deref()
        && let Some(changed) = how(name, schema, value)
    {
        *value = changed;
        return;
    }
    match (&schema.kind, value) {
        (Kind::Array(element), Value::Array(list)) => list.iter_mut().for_each(|value| change(element, value, how)),
        (Kind::Map(keys, values), Value::Map(pairs)) => {
            for (key, value) in pairs {
                change(keys, key, how);
                change(values, value, how);
            }
        }
        _ => {}
    }
}

fn to_object(name: &str, schema: &Schema, value: &Value) -> Option<Value> {
    Some(match (name, value) {
        (logical::DATE, Value::Int32(days)) => Value::Date(i64::from(*days) * DAY_MS),
        (logical::TIME, Value::Int32(millis)) => Value::Date(i64::from(*millis)),
        (logical::TIMESTAMP, Value::Int64(millis)) => Value::Date(*millis),
        (logical::DECIMAL, Value::Bytes(bytes)) => {
            let (unscaled, scale) = (BigInt::from_signed_bytes_be(bytes), scale(schema)?);
            Value::Decimal(Box::new(Decimal { unscaled, scale }))
        }
        _ => return None,
    })
}

fn to_physical(name: &str, schema: &Schema, value: &Value) -> Option<Value> {
    Some(match (name, value) {
        (logical::DATE, Value::Date(millis)) if millis % DAY_MS == 0 => {
            Value::Int32(i32::try_from(millis / DAY_MS).ok()?)
        }
        (logical::TIME, Value::Date(millis)) if (0..=DAY_MS).contains(millis) => Value::Int32(*millis as i32),
        (logical::TIMESTAMP, Value::Date(millis)) => Value::Int64(*millis),
        (logical::DECIMAL, Value::Decimal(decimal)) if scale(schema) == Some(decimal.scale) => {
            Value::Bytes(decimal.unscaled.to_signed_bytes_be().into())
        }
        _ => return None,
    })
}

fn scale(schema: &Schema) -> Option<i32> {
    schema.get_parameter("scale")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_physical_values_stand_for_each_other() {
        let date = Schema::of(Kind::Int32).named(logical::DATE).shared();
        let dates = Schema::of(Kind::Map(Schema::of(Kind::String).shared(), date.clone())).shared();
        let physical_map = Value::Map(vec![("a".into(), Value::Int32(2)), ("b".into(), Value::Null)]);
        let objects = Value::Map(vec![("a".into(), Value::Date(2 * DAY_MS)), ("b".into(), Value::Null)]);
        assert_eq!(object(Some(&dates), physical_map.clone()), objects);
        assert_eq!(physical(&dates, objects), physical_map);
        // Neither has a place in the schema.
        assert_eq!(physical(&date, Value::Date(1)), Value::Date(1));
        let decimal = Schema::of(Kind::Bytes).named(logical::DECIMAL).parameter("scale", "2");
        let other = Value::Decimal(Box::new(Decimal { unscaled: 5.into(), scale: 1 }));
        assert_eq!(physical(&decimal, other.clone()), other);
        let same = Value::Decimal(Box::new(Decimal { unscaled: 500.into(), scale: 2 }));
        assert_eq!(object(Some(&decimal), physical(&decimal, same.clone())), same);
    }
}
