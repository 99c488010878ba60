//! Base64 as Jackson reads it: white space between groups of four is skipped, padding is required, and bits that are
//! left over are not looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes, or nothing when the text is no base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(out);
        }
        let (group, tail) = rest.split_at_checked(4)?;
        rest = tail;
        let bits = |i: usize| sextet(group[i]);
        let (first, second) = (bits(0)?, bits(1)?);
        out.push((first << 2) | (second >> 4));
        if group[2] == b'=' {
            if group[3] != b'=' {
                return None;
            }
            continue;
        }
        let third = bits(2)?;
        out.push((second << 4) | (third >> 2));
        if group[3] != b'=' {
            out.push((third << 6) | bits(3)?);
        }
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn is_as_lenient_as_jackson() {
        assert_eq!(decode("AQID"), Some(vec![1, 2, 3]));
        assert_eq!(decode("AQ==\n"), Some(vec![1]));
        assert_eq!(decode(" AQID AQ=="), Some(vec![1, 2, 3, 1]));
        assert_eq!(decode("AR=="), Some(vec![1]));
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["AQI", "!!", "-_8=", "A=Q=", "AQ=I"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
