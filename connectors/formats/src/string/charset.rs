//! The character sets that Java always has, by the names Java knows them by. What can't be written becomes a question
//! mark, and what can't be read a replacement character, as in `String.getBytes` and `new String(bytes)`.

use connect_api::BytesMut;
use connect_api::java::utf8;

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    /// Big-endian with a byte order mark; either order when reading.
    Utf16,
    Utf16Be,
    Utf16Le,
    Latin1,
    Ascii,
    Windows1252,
}

/// Characters of windows-1252 from 0x80 to 0x9f; five places are empty.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

impl Charset {
    /// The character set of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "unicode-1-1-utf-8" => Self::Utf8,
            "utf-16" | "utf16" | "utf_16" | "unicode" | "unicodebig" => Self::Utf16,
            "utf-16be" | "utf_16be" | "x-utf-16be" | "iso-10646-ucs-2" | "unicodebigunmarked" => Self::Utf16Be,
            "utf-16le" | "utf_16le" | "x-utf-16le" | "unicodelittleunmarked" => Self::Utf16Le,
            "iso-8859-1" | "iso8859-1" | "iso8859_1" | "iso_8859-1" | "iso_8859_1" | "8859_1" | "latin1" | "l1"
            | "ibm819" | "cp819" | "819" | "ibm-819" | "iso-ir-100" | "csisolatin1" | "iso_8859-1:1987" => Self::Latin1,
            "us-ascii" | "ascii" | "iso646-us" | "646" | "iso_646.irv:1983" | "ansi_x3.4-1968" | "ansi_x3.4-1986"
            | "iso_646.irv:1991" | "ascii7" | "cp367" | "ibm367" | "us" | "csascii" | "iso-ir-6" | "default" => {
                Self::Ascii
            }
            "windows-1252" | "cp1252" | "cp5348" | "ibm-1252" | "ibm1252" => Self::Windows1252,
            _ => return None,
        })
    }

    /// Appends a text.
    pub(crate) fn encode(self, text: &str, out: &mut BytesMut) {
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Utf16 => {
                if !text.is_empty() {
                    out.extend_from_slice(&[0xfe, 0xff]);
                }
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Self::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Self::Latin1 => out.extend(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'))),
            Self::Ascii => out.extend(text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' })),
            Self::Windows1252 => out.extend(text.chars().map(|c| match WINDOWS_1252.iter().position(|w| *w == c) {
                Some(place) if c != '\u{fffd}' => 0x80 + place as u8,
                _ => u8::try_from(c).ok().filter(|byte| !(0x80..0xa0).contains(byte)).unwrap_or(b'?'),
            })),
        }
    }

    /// Reads a text.
    pub(crate) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => utf8::decode(bytes),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
                _ => decode_utf16(bytes, u16::from_be_bytes),
            },
            Self::Utf16Be => decode_utf16(bytes, u16::from_be_bytes),
            Self::Utf16Le => decode_utf16(bytes, u16::from_le_bytes),
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Ascii => bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{fffd}' }).collect(),
            Self::Windows1252 => bytes
                .iter()
                .map(|byte| match byte {
                    0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                    _ => char::from(*byte),
                })
                .collect(),
        }
    }
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
    if !rest.is_empty() {
        text.push('\u{fffd}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_written_becomes_a_question_mark() {
        let encoded = |charset: Charset| {
            let mut out = BytesMut::new();
            charset.encode("Aé中\u{1F600}€", &mut out);
            out.to_vec()
        };
        assert_eq!(encoded(Charset::Latin1), b"A\xe9???");
        assert_eq!(encoded(Charset::Ascii), b"A????");
        assert_eq!(encoded(Charset::Windows1252), b"A\xe9??\x80");
        assert_eq!(&encoded(Charset::Utf16)[..4], [0xfe, 0xff, 0, b'A']);
    }
}
