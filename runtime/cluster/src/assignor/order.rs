//! The order in which Java's `HashMap` goes over its keys: the JVM's leader walks its members in it, so it decides which of
//! two equal members is asked to give something up.

/// Places of the keys in the order of a `HashMap` they were put into one after the other. Keys are distinct.
pub fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let hashes: Vec<u32> = keys.into_iter().map(spread_hash).collect();
    let mask = u32::try_from(table_size(hashes.len()) - 1).unwrap_or(u32::MAX);
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    // Stable: in a bucket, keys stay in the order in which they came.
    order.sort_by_key(|at| hashes.get(*at).map(|hash| hash & mask));
    order
}

/// Sixteen buckets, doubled whenever more than three quarters would be filled.
fn table_size(keys: usize) -> usize {
    let mut size = 16;
    while keys * 4 > size * 3 {
        size *= 2;
    }
    size
}

/// `String.hashCode`, with its high half folded in (`HashMap.hash`).
fn spread_hash(key: &str) -> u32 {
    let hash = key.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_their_buckets() {
        // "Aa" and "BB" have one hash code in Java.
        assert_eq!(of(["c", "BB", "a", "Aa", "b"]), [1, 3, 2, 4, 0]);
        assert_eq!(spread_hash("Aa"), spread_hash("BB"));
    }

    #[test]
    fn the_table_grows_as_javas_does() {
        assert_eq!([12, 13, 24, 25].map(table_size), [16, 32, 32, 64]);
    }
}
