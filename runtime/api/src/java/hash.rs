//! Java's hash codes, and the order in which a `java.util.HashMap` gives its entries back.
//!
//! That order is visible: maps read from schemaless JSON keep it into documents and keys. Buckets that Java turns into
//! trees (eight or more keys in one of at least 64 buckets) are kept in order of insertion. So are structs: Java's hash code of a
//! schema has that of an enum constant in it, which is another one in each run of a JVM.

use std::collections::HashMap;

use super::keys::Key;
use crate::value::Value;

/// So many keys of one hash code are compared with each other; more are looked up. Texts and lists of one hash code are easy to
/// make, and all structs have the same here.
const COMPARED_MAX: usize = 8;

/// `String.hashCode`: over UTF-16 units.
pub fn string(text: &str) -> i32 {
    if text.is_ascii() {
        return text.bytes().fold(0, |hash: i32, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    }
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

fn long(value: i64) -> i32 {
    (value ^ ((value as u64) >> 32) as i64) as i32
}

/// `Object.hashCode` of a value, as far as it does not depend on identity. Bytes are those of a `ByteBuffer`.
pub fn code(value: &Value) -> i32 {
    self::value(value)
}

fn value(value: &Value) -> i32 {
    match value {
        Value::Null | Value::Struct(_) => 0,
        Value::Bytes(bytes) => {
            let add = |hash: i32, byte: &u8| hash.wrapping_mul(31).wrapping_add(i32::from(*byte as i8));
            bytes.iter().rev().fold(1, add)
        }
        Value::Bool(value) => {
            if *value {
                1231
            } else {
                1237
            }
        }
        Value::Int8(value) => i32::from(*value),
        Value::Int16(value) => i32::from(*value),
        Value::Int32(value) => *value,
        Value::Int64(value) | Value::Date(value) => long(*value),
        Value::Float32(value) => (if value.is_nan() { f32::NAN } else { *value }).to_bits() as i32,
        Value::Float64(value) => long((if value.is_nan() { f64::NAN } else { *value }).to_bits() as i64),
        Value::String(text) => string(text),
        Value::Array(list) => {
            list.iter().fold(1, |hash: i32, element| hash.wrapping_mul(31).wrapping_add(self::value(element)))
        }
        Value::Map(pairs) => {
            pairs.iter().fold(0, |hash: i32, (k, v)| hash.wrapping_add(self::value(k) ^ self::value(v)))
        }
        Value::Decimal(decimal) => big_integer(&decimal.unscaled).wrapping_mul(31).wrapping_add(decimal.scale),
        Value::BigInt(number) => big_integer(number),
    }
}

fn big_integer(number: &num_bigint::BigInt) -> i32 {
    let digits = number.magnitude().to_u32_digits();
    let hash = digits.iter().rev().fold(0, |hash: i32, digit| hash.wrapping_mul(31).wrapping_add(*digit as i32));
    if number.sign() == num_bigint::Sign::Minus { hash.wrapping_neg() } else { hash }
}

/// Brings entries, in order of insertion, into the order in which a `HashMap` iterates. Of equal keys the first keeps
/// its place and the last its value.
pub fn order(entries: &mut Vec<(Value, Value)>) {
    order_from(16, entries);
}

/// The same for `new HashMap<>(capacity)`.
pub fn order_with_capacity(capacity: usize, entries: &mut Vec<(Value, Value)>) {
    order_from(u32::try_from(capacity.next_power_of_two()).unwrap_or(1 << 30), entries);
}

/// The same for a copy, `new HashMap<>(map)`, of a map that had `copied` entries, to which the rest were added.
pub fn order_of_copy(copied: usize, entries: &mut Vec<(Value, Value)>) {
    if copied == 0 {
        return order(entries);
    }
    order_with_capacity((copied as f32 / 0.75 + 1.0) as usize, entries);
}

fn order_from(buckets: u32, entries: &mut Vec<(Value, Value)>) {
    if entries.len() < 2 {
        return;
    }
    let spread = |key: &Value| {
        let hash = value(key) as u32;
        hash ^ (hash >> 16)
    };
    let mut keyed: Vec<(u32, usize)> = entries.iter().enumerate().map(|(i, (key, _))| (spread(key), i)).collect();
    if merge_duplicates(entries, &keyed) {
        keyed = entries.iter().enumerate().map(|(i, (key, _))| (spread(key), i)).collect();
    }
    let mask = table_size(buckets, &keyed) - 1;
    keyed.sort_unstable_by_key(|(hash, i)| (hash & mask, *i));
    let mut taken: Vec<Option<(Value, Value)>> = std::mem::take(entries).into_iter().map(Some).collect();
    entries.extend(keyed.iter().filter_map(|(_, i)| taken[*i].take()));
}

/// Removes repeated keys; says whether there were any.
fn merge_duplicates(entries: &mut Vec<(Value, Value)>, keyed: &[(u32, usize)]) -> bool {
    let mut sorted = keyed.to_vec();
    sorted.sort_unstable();
    let mut repeated: Vec<(usize, usize)> = Vec::new();
    for group in sorted.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        let mut known: HashMap<Key<'_>, usize> = HashMap::new();
        for (place, (_, later)) in group.iter().enumerate() {
            let key = &entries[*later].0;
            let first = if group.len() > COMPARED_MAX {
                let first = *known.entry(Key::new(key, *later)).or_insert(*later);
                (first != *later).then_some(first)
            } else {
                group[..place].iter().map(|(_, i)| *i).find(|i| entries[*i].0 == *key)
            };
            repeated.extend(first.map(|first| (first, *later)));
        }
    }
    if repeated.is_empty() {
        return false;
    }
    for (first, later) in &repeated {
        entries[*first].1 = std::mem::take(&mut entries[*later].1);
    }
    let mut gone: Vec<usize> = repeated.into_iter().map(|(_, later)| later).collect();
    gone.sort_unstable();
    let mut i = 0;
    entries.retain(|_| {
        i += 1;
        gone.binary_search(&(i - 1)).is_err()
    });
    true
}

/// The number of buckets after inserting the keys one by one: it doubles when three quarters are used, and when a
/// ninth key falls into one bucket of a table of less than 64.
fn table_size(mut size: u32, keyed: &[(u32, usize)]) -> u32 {
    if keyed.len() <= 8 && size >= 16 {
        return size;
    }
    for (count, (hash, _)) in keyed.iter().enumerate() {
        if size < 64 {
            let mask = size - 1;
            let in_bucket = keyed[..count].iter().filter(|(other, _)| other & mask == hash & mask).count();
            if in_bucket >= 8 {
                size *= 2;
            }
        }
        if (count + 1) as u64 > u64::from(size) * 3 / 4 {
            size = size.saturating_mul(2);
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::schema::{Field, Kind, Schema};
    use crate::value::Struct;

    fn order_of(keys: &[&str]) -> Vec<String> {
        let mut entries: Vec<_> = keys.iter().map(|key| (Value::string(key), Value::Null)).collect();
        order(&mut entries);
        entries.iter().map(|(key, _)| key.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn hash_codes_are_those_of_java() {
        assert_eq!(string("hello"), 99_162_322);
        assert_eq!(string("é中\u{1F600}"), {
            let units = [0xe9i32, 0x4e2d, 0xd83d, 0xde00];
            units.iter().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(*unit))
        });
        assert_eq!(value(&Value::Int64(1 << 32)), 1);
        assert_eq!(value(&Value::Float64(1.5)), 1_073_217_536);
    }

    #[test]
    fn small_maps_go_by_bucket() {
        assert_eq!(order_of(&["z", "a"]), ["a", "z"]);
        // "Aa" and "BB" have the same hash code: order of insertion.
        assert_eq!(order_of(&["BB", "Aa"]), ["BB", "Aa"]);
    }

    #[test]
    fn the_last_of_equal_keys_wins_in_the_first_place() {
        let mut entries =
            vec![("a".into(), 1.into()), ("b".into(), 2.into()), ("a".into(), 3.into()), ("a".into(), 4.into())];
        order(&mut entries);
        let expected: Vec<(Value, Value)> = vec![("a".into(), 4.into()), ("b".into(), 2.into())];
        assert_eq!(entries, expected);
    }

    #[test]
    fn many_keys_of_one_hash_code_are_as_any_others() {
        // All combinations of these two have the same.
        let key = |number: usize| {
            Value::from((0..15).map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" }).collect::<String>())
        };
        let number = 1 << 15;
        let mut entries: Vec<(Value, Value)> = (0..number).map(|n| (key(n), Value::Null)).collect();
        entries.extend((0..number).map(|n| (key(n), Value::Int64(n as i64))));
        entries.push((Value::Null, Value::Null));
        order(&mut entries);
        assert_eq!(entries.len(), number + 1);
        assert_eq!(entries.iter().filter(|(_, value)| value.is_null()).count(), 1);
        let texts: Vec<&(Value, Value)> = entries.iter().filter(|(key, _)| !key.is_null()).collect();
        assert!(texts.iter().enumerate().all(|(n, entry)| **entry == (key(n), Value::Int64(n as i64))));
    }

    #[test]
    fn many_structs_and_lists_are_as_any_other_keys() {
        let fields = vec![Field::new("n", Schema::of(Kind::Int64).shared())];
        let schema = Schema::structure(fields).shared();
        let structure = |n: i64| Value::Struct(Struct::new(Arc::clone(&schema), vec![Value::Int64(n)]));
        // Lists of two numbers, of which the second makes up for the first.
        let list = |n: i64| Value::Array(vec![Value::Int64(n), Value::Int64((1 << 30) - 31 * n)]);
        let number = 1 << 15;
        for key in [&structure as &dyn Fn(i64) -> Value, &list] {
            let twice = (0..number).map(|n| (key(n), Value::Null)).chain((0..number).map(|n| (key(n), n.into())));
            let mut entries: Vec<(Value, Value)> = twice.collect();
            order(&mut entries);
            let expected: Vec<(Value, Value)> = (0..number).map(|n| (key(n), n.into())).collect();
            assert!(entries == expected);
        }
    }

    #[test]
    fn the_table_grows_with_its_thirteenth_key() {
        let keyed: Vec<(u32, usize)> = (0..12).map(|i| (i, i as usize)).collect();
        assert_eq!(table_size(16, &keyed), 16);
        let keyed: Vec<(u32, usize)> = (0..13).map(|i| (i, i as usize)).collect();
        assert_eq!(table_size(16, &keyed), 32);
    }

    fn keys(entries: &[(Value, Value)]) -> String {
        entries.iter().filter_map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_order_is_that_of_the_jvm() {
        let entries = |names: &[&str]| names.iter().map(|name| (Value::string(name), Value::Null)).collect::<Vec<_>>();
        let names: Vec<String> = (0..14).map(|i| format!("col_{i}")).collect();
        let mut plain = entries(&names.iter().map(String::as_str).collect::<Vec<_>>());
        order(&mut plain);
        let expected = "col_10 col_11 col_6 col_5 col_4 col_3 col_2 col_1 col_0 col_9 col_8 col_12 col_7 col_13";
        assert_eq!(keys(&plain), expected);
        for capacity in [1, 2, 3, 5, 8] {
            let mut small = entries(&["r", "id", "customer", "zeta", "b"]);
            order_with_capacity(capacity, &mut small);
            assert_eq!(keys(&small), "zeta r b id customer", "capacity {capacity}");
        }
        let copies = [
            (2, "keyp0 keyo7 added _ts"),
            (5, "keym21 keyo7 added keyp0 keyn14 keyl28 _ts"),
            (9, "keyk35 keyi49 keym21 keyo7 keyh56 added keyj42 keyp0 keyn14 keyl28 _ts"),
        ];
        for (copied, expected) in copies {
            let names: Vec<String> = (0..copied).map(|i| format!("key{}{}", char::from(b'p' - i), i * 7)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).chain(["_ts", "added"]).collect();
            let mut copy = entries(&names);
            order_of_copy(usize::from(copied), &mut copy);
            assert_eq!(keys(&copy), expected);
        }
    }

    #[test]
    fn a_full_bucket_of_a_small_table_makes_it_grow() {
        let keyed: Vec<(u32, usize)> = (0..9).map(|i| (i * 256, i as usize)).collect();
        assert_eq!(table_size(16, &keyed), 32);
    }
}
