//! Text from bytes as Java reads it.

/// `new String(bytes, UTF_8)`: malformed sequences are replaced piece by piece as Java cuts them.
pub fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                out.push_str(text);
                return out;
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                out.push_str(std::str::from_utf8(good).unwrap_or_default());
                out.push('\u{fffd}');
                rest = &bad[malformed_length(bad)..];
            }
        }
    }
}

/// How many bytes of a malformed sequence one replacement character stands for.
fn malformed_length(bytes: &[u8]) -> usize {
    let continues = |i: usize| bytes.get(i).is_some_and(|byte| byte & 0xc0 == 0x80);
    let Some(first) = bytes.first() else { return 0 };
    let bad_second = |byte: u8| match first {
        0xe0 => byte & 0xe0 == 0x80,
        0xf0 => !(0x90..=0xbf).contains(&byte),
        0xf4 => byte & 0xf0 != 0x80,
        _ => false,
    };
    let second_bad = !continues(1) || bytes.get(1).is_some_and(|byte| bad_second(*byte));
    let length = match first {
        // A surrogate is a whole sequence: three bytes, one replacement.
        0xe0..=0xef if !second_bad && continues(2) => 3,
        0xe0..=0xf4 if second_bad => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf4 if continues(2) => 3,
        0xf0..=0xf4 => 2,
        _ => 1,
    };
    length.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_text_is_cut_as_java_cuts_it() {
        assert_eq!(decode(b"\xff\xfeA"), "\u{fffd}\u{fffd}A");
        assert_eq!(decode(b"\xc3"), "\u{fffd}");
        assert_eq!(decode(b"\xed\xa0\x80"), "\u{fffd}");
        assert_eq!(decode(b"a\xe4\xb8"), "a\u{fffd}");
        assert_eq!(decode(b"\xf0\x9f\x98x"), "\u{fffd}x");
        assert_eq!(decode("é中\u{1F600}".as_bytes()), "é中\u{1F600}");
    }
}
