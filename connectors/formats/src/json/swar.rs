//! Looking at eight bytes together for what ends or interrupts a text: most text has none of it.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// How far a text goes on before a quote, a backslash or a control character.
pub(crate) struct Found {
    pub(crate) length: usize,
    /// No byte before was above 0x7f, nor, perhaps, one shortly after.
    pub(crate) ascii: bool,
}

const fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of each byte that is a control character, a quote or a backslash. A byte after such a one may be marked
/// too.
pub(crate) const fn specials(word: u64) -> u64 {
    const fn zero_bytes(x: u64) -> u64 {
        x.wrapping_sub(ONES) & !x
    }
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64))) & HIGH
}

/// The high bit of each byte above 0x7f.
pub(crate) const fn above_ascii(word: u64) -> u64 {
    word & HIGH
}

/// True for at most eight bytes of which none is special or above 0x7f.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let word = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        // Some bytes stand in it twice, which does not matter.
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (_, _, [first, .., last]) => {
            let middle = bytes[bytes.len() / 2];
            u64::from_le_bytes([*first, middle, *last, b' ', b' ', b' ', b' ', b' '])
        }
        (_, _, [byte]) => u64::from(*byte) * ONES,
        _ => return true,
    };
    specials(word) | above_ascii(word) == 0
}

/// The next special byte.
pub(crate) fn next_special(bytes: &[u8]) -> Found {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let (mut length, mut high) = (0, 0);
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        high |= above_ascii(word);
        let found = specials(word);
        if found != 0 {
            return Found { length: length + found.trailing_zeros() as usize / 8, ascii: high == 0 };
        }
        length += 8;
    }
    let tail = rest.iter().position(|byte| special(*byte)).unwrap_or(rest.len());
    Found { length: length + tail, ascii: high == 0 && rest[..tail].is_ascii() }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(bytes: Vec<u8>) {
            let found = next_special(&bytes);
            let plain = bytes.iter().position(|byte| special(*byte)).unwrap_or(bytes.len());
            proptest::prop_assert_eq!(found.length, plain);
            if bytes.len() <= 8 {
                proptest::prop_assert_eq!(is_plain(&bytes), plain == bytes.len() && bytes.is_ascii());
            }
            proptest::prop_assert!(!found.ascii || bytes[..plain].is_ascii());
        }
    }
}
