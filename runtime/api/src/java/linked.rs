//! `java.util.LinkedHashMap`: entries in order of insertion, each key once.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::equal;
use crate::value::Value;

/// So few entries are searched one by one.
const SEARCHED_MAX: usize = 16;

/// The map that putting these entries one after the other makes: of equal keys the first keeps its place and the last its
/// value.
pub fn map(entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    // A hash that nobody outside can foresee: otherwise a text could be made of keys that all meet in one bucket.
    let hashes = RandomState::new();
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    let few = entries.len() <= SEARCHED_MAX;
    let mut made: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let found = if few {
            made.iter().position(|(other, _)| equal::values(other, &key))
        } else {
            let candidates = places.entry(hash_of(&key, &hashes)).or_default();
            let found = candidates.iter().copied().find(|place| equal::values(&made[*place].0, &key));
            if found.is_none() {
                candidates.push(made.len());
            }
            found
        };
        match found {
            Some(place) => made[place].1 = value,
            None => made.push((key, value)),
        }
    }
    made
}

fn hash_of(value: &Value, hashes: &RandomState) -> u64 {
    let mut hasher = hashes.build_hasher();
    feed(value, &mut hasher);
    hasher.finish()
}

/// Equal values feed the same; what is inside of a map counts by its number only, since its order may differ.
fn feed(value: &Value, hasher: &mut impl Hasher) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        Value::Null => {}
        Value::Bool(value) => value.hash(hasher),
        Value::Int8(number) => number.hash(hasher),
        Value::Int16(number) => number.hash(hasher),
        Value::Int32(number) => number.hash(hasher),
        Value::Int64(number) | Value::Date(number) => number.hash(hasher),
        Value::Float32(number) => (if number.is_nan() { f32::NAN } else { *number }).to_bits().hash(hasher),
        Value::Float64(number) => (if number.is_nan() { f64::NAN } else { *number }).to_bits().hash(hasher),
        Value::String(text) => text.hash(hasher),
        Value::Bytes(bytes) => bytes.hash(hasher),
        Value::Array(list) => list.iter().for_each(|element| feed(element, hasher)),
        Value::Map(pairs) => pairs.len().hash(hasher),
        Value::Struct(structure) => structure.fields.iter().for_each(|field| feed(field, hasher)),
        Value::Decimal(decimal) => (&decimal.unscaled, decimal.scale).hash(hasher),
        Value::BigInt(number) => number.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_keys_keeps_its_place_and_the_last_its_value() {
        for count in [3, 1000] {
            let twice = (0..2 * count).map(|i| (Value::Int32(i % count), Value::Int32(i)));
            let expected: Vec<_> = (0..count).map(|i| (Value::Int32(i), Value::Int32(i + count))).collect();
            assert_eq!(map(twice.collect()), expected);
        }
    }
}
