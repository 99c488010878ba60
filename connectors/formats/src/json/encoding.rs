//! JSON text in UTF-16 or UTF-32, which Connect's parser recognises by its zero bytes or its byte order mark.

use connect_api::Bytes;

#[derive(Clone, Copy)]
enum Unit {
    Two { big: bool },
    Four { big: bool },
}

/// The text in UTF-8: nearly always the text itself.
pub(crate) fn utf8(payload: Bytes) -> Bytes {
    // JSON in UTF-8 starts with two bytes that are neither zero nor 0xfe or 0xff.
    let suspicious = |place: usize| payload.get(place).is_some_and(|byte| matches!(byte, 0 | 0xfe | 0xff));
    if !suspicious(0) && !suspicious(1) {
        return payload;
    }
    match detect(&payload) {
        Some((unit, mark)) => transcode(&payload[mark..], unit).into(),
        None => payload,
    }
}

/// The encoding, and the length of the byte order mark.
fn detect(bytes: &[u8]) -> Option<(Unit, usize)> {
    let found = match bytes {
        [0, 0, 0xfe, 0xff, ..] => (Unit::Four { big: true }, 4),
        [0xff, 0xfe, 0, 0, ..] => (Unit::Four { big: false }, 4),
        [0xfe, 0xff, _, _, ..] => (Unit::Two { big: true }, 2),
        [0xff, 0xfe, _, _, ..] => (Unit::Two { big: false }, 2),
        [0, 0, 0, _, ..] => (Unit::Four { big: true }, 0),
        [_, 0, 0, 0, ..] => (Unit::Four { big: false }, 0),
        [0, _, ..] => (Unit::Two { big: true }, 0),
        [_, 0, ..] => (Unit::Two { big: false }, 0),
        _ => return None,
    };
    Some(found)
}

fn transcode(bytes: &[u8], unit: Unit) -> String {
    const BAD: char = '\u{fffd}';
    match unit {
        Unit::Two { big } => {
            let unit = if big { u16::from_be_bytes } else { u16::from_le_bytes };
            let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
            char::decode_utf16(units).map(|c| c.unwrap_or(BAD)).collect()
        }
        Unit::Four { big } => {
            let unit = if big { u32::from_be_bytes } else { u32::from_le_bytes };
            bytes.as_chunks::<4>().0.iter().map(|four| char::from_u32(unit(*four)).unwrap_or(BAD)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_recognised() {
        let text = "{\"a\":\"é\u{1F600}\"}";
        let two: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let two_little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let four: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        for encoded in [two, two_little, four, text.as_bytes().to_vec()] {
            assert_eq!(utf8(encoded.into()), text);
        }
        assert_eq!(utf8(Bytes::from_static(b"5")), "5");
    }
}
