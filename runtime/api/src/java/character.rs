//! `java.lang.Character`: which characters are digits.

/// The zeros of the scripts that have decimal digits, within the Basic Multilingual Plane: Java looks at one UTF-16 unit.
const ZEROS: [u16; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// `Character.digit(c, 10)`: the value of a decimal digit of any script.
pub fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    let c = u16::try_from(u32::from(c)).ok()?;
    let zero = ZEROS.partition_point(|zero| *zero <= c).checked_sub(1).map(|place| ZEROS[place])?;
    u8::try_from(c - zero).ok().filter(|digit| *digit < 10)
}

/// `Character.isDigit`.
pub fn is_digit(c: char) -> bool {
    digit(c).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_scripts_are_known() {
        for (c, value) in [('0', 0), ('9', 9), ('\u{661}', 1), ('\u{96f}', 9), ('\u{ff15}', 5), ('\u{abf9}', 9)] {
            assert_eq!(digit(c), Some(value), "{c}");
        }
        // The last one is a digit too, but takes two units.
        for c in ['/', ':', 'a', '\u{66a}', '\u{abfa}', '\u{ff1a}', '\u{bd}', '\u{1d7d8}'] {
            assert_eq!(digit(c), None, "{c}");
        }
    }
}
