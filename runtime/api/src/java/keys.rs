//! Values as keys of a map of std: by what they hold, whose hash nobody can foresee.

use std::hash::{Hash, Hasher};

use crate::value::Value;

/// The key at a place.
pub(super) struct Key<'a> {
    value: &'a Value,
    place: usize,
}

impl<'a> Key<'a> {
    pub(super) fn new(value: &'a Value, place: usize) -> Self {
        Self { value, place }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Not for what holds a NaN, which a map then never finds, as no comparison does.
impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        add(self.value, self.place, state);
    }
}

fn add<H: Hasher>(value: &Value, place: usize, state: &mut H) {
    std::mem::discriminant(value).hash(state);
    let all = |list: &[Value], state: &mut H| {
        list.len().hash(state);
        list.iter().for_each(|value| add(value, place, state));
    };
    match value {
        Value::Null => {}
        Value::Bool(value) => value.hash(state),
        Value::Int8(number) => number.hash(state),
        Value::Int16(number) => number.hash(state),
        Value::Int32(number) => number.hash(state),
        Value::Int64(number) | Value::Date(number) => number.hash(state),
        Value::Float32(number) => float(f64::from(*number), place, state),
        Value::Float64(number) => float(*number, place, state),
        Value::String(text) => text.hash(state),
        Value::Bytes(bytes) => bytes.hash(state),
        Value::Array(list) => all(list, state),
        Value::Map(pairs) => {
            pairs.len().hash(state);
            for (key, value) in pairs {
                add(key, place, state);
                add(value, place, state);
            }
        }
        // Keys of one map have one schema.
        Value::Struct(of) => all(&of.fields, state),
        Value::Decimal(decimal) => (&decimal.unscaled, decimal.scale).hash(state),
        Value::BigInt(number) => number.hash(state),
    }
}

fn float<H: Hasher>(number: f64, place: usize, state: &mut H) {
    if number.is_nan() {
        // It is equal to nothing, so each is a key of its own.
        place.hash(state);
    } else {
        // Zero is equal to the one below zero.
        (if number == 0.0 { 0.0 } else { number }).to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn what_is_equal_has_one_hash() {
        let state = RandomState::new();
        let hash = |value: &Value, place| state.hash_one(Key::new(value, place));
        let list = |number: f64| Value::Array(vec![Value::Float64(number), Value::Float32(number as f32)]);
        assert!(list(0.0) == list(-0.0) && hash(&list(0.0), 1) == hash(&list(-0.0), 2));
        assert!(list(1.5) == list(1.5) && hash(&list(1.5), 1) == hash(&list(1.5), 2));
        assert_ne!(hash(&list(f64::NAN), 1), hash(&list(f64::NAN), 2));
        let text = Value::from("a");
        assert_eq!(hash(&text, 1), hash(&text.clone(), 2));
    }
}
