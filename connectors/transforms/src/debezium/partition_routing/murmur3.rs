//! MurmurHash3 in the early form for 64-bit machines that Java's caches spread, with its seed 9001. The hash is the upper
//! half of the first word. Bytes at the end count as signed numbers.

const SEED: u64 = 9001;

struct State {
    h1: u64,
    h2: u64,
    c1: u64,
    c2: u64,
}

impl State {
    fn new() -> Self {
        Self {
            h1: 0x9368_e53c_2f6a_f274 ^ SEED,
            h2: 0x586d_cd20_8f7c_d3fd ^ SEED,
            c1: 0x87c3_7b91_1142_53d5,
            c2: 0x4cf5_ad43_2745_937f,
        }
    }

    fn mix(&mut self, k1: u64, k2: u64) {
        self.h1 ^= k1.wrapping_mul(self.c1).rotate_left(23).wrapping_mul(self.c2);
        self.h1 = self.h1.wrapping_add(self.h2);
        self.h2 = self.h2.rotate_left(41);
        self.h2 ^= k2.wrapping_mul(self.c2).rotate_left(23).wrapping_mul(self.c1);
        self.h2 = self.h2.wrapping_add(self.h1);
        self.h1 = self.h1.wrapping_mul(3).wrapping_add(0x52dc_e729);
        self.h2 = self.h2.wrapping_mul(3).wrapping_add(0x3849_5ab5);
        self.c1 = self.c1.wrapping_mul(5).wrapping_add(0x7b7d_159c);
        self.c2 = self.c2.wrapping_mul(5).wrapping_add(0x6bce_6396);
    }
}

fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

fn bytes(bytes: &[u8]) -> i32 {
    let mut state = State::new();
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let word = |from: usize| (0..8).fold(0, |word, i| word | u64::from(block[from + i]) << (8 * i));
        state.mix(word(0), word(8));
    }
    if !tail.is_empty() {
        // A byte with its sign fills all bits above it.
        let word = |bytes: &[u8]| {
            bytes.iter().enumerate().fold(0_u64, |word, (i, byte)| word ^ ((i64::from(*byte as i8) << (8 * i)) as u64))
        };
        let (low, high) = tail.split_at(tail.len().min(8));
        state.mix(word(low), word(high));
    }
    let h2 = state.h2 ^ bytes.len() as u64;
    let h1 = state.h1.wrapping_add(h2);
    let h2 = h2.wrapping_add(h1);
    (finish(h1).wrapping_add(finish(h2)) >> 32) as i32
}

/// The hash of a text's UTF-8 bytes.
pub(super) fn text(text: &str) -> i32 {
    bytes(text.as_bytes())
}

/// The hash of a number, which for objects is their hash code.
pub(super) fn number(number: i32) -> i32 {
    bytes(&number.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(hash: i32) -> i32 {
        (hash & i32::MAX) % 1_000_000
    }

    #[test]
    fn hashes_are_those_of_the_jvm() {
        assert_eq!(partition(text("héllo€")), 656_982);
        assert_eq!(partition(number(-7)), 469_011);
        assert_eq!(partition(number(77)), 153_534);
        assert_eq!(partition(number(1231)), 652_383);
    }
}
