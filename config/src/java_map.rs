//! The order in which Java goes through its hash maps, where users see it.

/// `String.hashCode`.
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Puts entries into the order in which a `java.util.HashMap` of these names would go through them, when they were put
/// into it in the order given.
pub fn sort_as_hash_map<T>(entries: &mut [T], name: impl Fn(&T) -> &str) {
    let mut capacity = 16_usize;
    while entries.len() * 4 > capacity * 3 {
        capacity *= 2;
    }
    entries.sort_by_key(|entry| {
        let hash = string_hash(name(entry)).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (capacity - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gone_through_as_a_hash_map_does() {
        assert_eq!((string_hash(""), string_hash("a"), string_hash("converter.type")), (0, 97, -789822776));
        let mut names =
            ["converter.type", "schemas.enable", "schemas.cache.size", "decimal.format", "replace.null.with.default"];
        sort_as_hash_map(&mut names, |name| name);
        assert_eq!(
            names,
            ["decimal.format", "converter.type", "schemas.cache.size", "replace.null.with.default", "schemas.enable"]
        );
    }
}
