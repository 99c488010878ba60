//! `Object.equals`, where it is not what `==` is here: floats are compared by their bits, and all NaNs are one.

use crate::schema::Schema;
use crate::value::Value;

/// Equality of two values, the schemas of structs included.
pub fn values(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Array(a), Value::Array(b)) => all(a, b),
        (Value::Map(a), Value::Map(b)) => maps(a, b),
        (Value::Struct(a), Value::Struct(b)) => a.schema == b.schema && all(&a.fields, &b.fields),
        (a, b) => a == b,
    }
}

fn all(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values(a, b))
}

/// Maps are equal whatever their order. Those that were made alike also have the same order, which is tried first.
fn maps(a: &[(Value, Value)], b: &[(Value, Value)]) -> bool {
    let same = |a: &(Value, Value), b: &(Value, Value)| values(&a.0, &b.0) && values(&a.1, &b.1);
    a.len() == b.len()
        && (a.iter().zip(b).all(|(a, b)| same(a, b)) || a.iter().all(|entry| b.iter().any(|other| same(entry, other))))
}

/// Equality of the parameters of two schemas, whatever their order. Empty is not the same as none.
pub fn parameters(a: &Schema, b: &Schema) -> bool {
    match (&a.parameters, &b.parameters) {
        (Some(own), Some(others)) => {
            own == others
                || (own.len() == others.len() && own.iter().all(|(key, value)| b.get_parameter(key) == Some(&**value)))
        }
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_compared_by_their_bits_and_maps_by_their_entries() {
        let list = |number| Value::Array(vec![Value::Float32(number)]);
        assert!(values(&list(f32::NAN), &list(-f32::NAN)));
        assert!(!values(&list(0.0), &list(-0.0)));
        let map = |keys: [&str; 2]| Value::Map(keys.map(|key| (key.into(), Value::Float64(f64::NAN))).into());
        assert!(values(&map(["a", "b"]), &map(["b", "a"])));
        assert!(!values(&map(["a", "b"]), &map(["a", "c"])));
    }
}
