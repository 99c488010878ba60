//! Text in JSON as Jackson's byte generator writes it: raw UTF-8, except that what is beyond the basic plane is written
//! as two escaped surrogates in upper-case hexadecimal.

use connect_api::BytesMut;

use super::swar;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a text in quotes.
pub(crate) fn write_string(text: &str, out: &mut BytesMut) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.extend_from_slice(b"\"");
    let mut start = 0;
    while let Some(found) = next_special(&bytes[start..]) {
        let at = start + found;
        out.extend_from_slice(&bytes[start..at]);
        start = at + escape(text, at, out);
    }
    out.extend_from_slice(&bytes[start..]);
    out.extend_from_slice(b"\"");
}

/// True for bytes that need a closer look: control characters, quote, backslash, and the first of four bytes.
const fn special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xf0
}

/// The place of the next special byte. Eight bytes are looked at together: most text has none.
fn next_special(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        // A byte above 0x7f only asks for the exact test below.
        if swar::specials(word) | swar::above_ascii(word) != 0
            && let Some(place) = chunk.iter().position(|byte| special(*byte))
        {
            return Some(at + place);
        }
        at += 8;
    }
    let rest = &bytes[at..];
    if rest.is_empty() || swar::is_plain(rest) {
        return None;
    }
    rest.iter().position(|byte| special(*byte)).map(|place| at + place)
}

/// Writes the escape for what stands at a place; returns its length in the text.
fn escape(text: &str, at: usize, out: &mut BytesMut) -> usize {
    let byte = text.as_bytes()[at];
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => 0,
    };
    if short != 0 {
        out.extend_from_slice(&[b'\\', short]);
        return 1;
    }
    if byte < 0x20 {
        unit(u16::from(byte), out);
        return 1;
    }
    let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { return 1 };
    for half in c.encode_utf16(&mut [0; 2]) {
        unit(*half, out);
    }
    c.len_utf8()
}

fn unit(unit: u16, out: &mut BytesMut) {
    let digit = |shift: u16| HEX[usize::from((unit >> shift) & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = BytesMut::new();
        write_string(text, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        assert_eq!(
            written("plain text of some length, é中\u{2028}\u{7f}"),
            "\"plain text of some length, é中\u{2028}\u{7f}\""
        );
        assert_eq!(written("q\"b\\s/\n\r\t\u{8}\u{c}\u{1}\u{1f}"), r#""q\"b\\s/\n\r\t\b\f\u0001\u001F""#);
        assert_eq!(written("1234567\u{1F600}x"), "\"1234567\\uD83D\\uDE00x\"");
        assert_eq!(written(""), "\"\"");
    }

    proptest::proptest! {
        #[test]
        fn reads_back(text in "\\PC*|[\\x00-\\x7f]{0,40}|[a-z\u{1F600}\"é]{0,30}") {
            let back: String = serde_json::from_str(&written(&text)).unwrap();
            proptest::prop_assert_eq!(back, text);
        }
    }
}
