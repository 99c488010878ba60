//! `java.math.BigDecimal`: from text, and as a primitive number.

use num_bigint::{BigInt, Sign};

use super::character;
use crate::value::Decimal;

/// More digits than these no `long` has.
const LONG_DIGITS: i64 = 19;

/// A number's text, taken apart. What can be said of it is said by its digits, without computing with all of them: a text
/// may have a million, or an exponent of a billion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeral {
    negative: bool,
    /// In ASCII, without leading zeros; none for zero.
    digits: String,
    scale: i32,
}

impl Numeral {
    /// Reads what `new BigDecimal(text)` reads.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
        let (mut digits, mut places, mut count) = (String::new(), None, 0usize);
        for c in unsigned.chars() {
            if c == '.' && places.is_none() {
                places = Some(0i64);
                continue;
            }
            let digit = character::digit(c)?;
            count += 1;
            if let Some(places) = &mut places {
                *places += 1;
            }
            if digit > 0 || !digits.is_empty() {
                digits.push(char::from(b'0' + digit));
            }
        }
        let scale = i32::try_from(places.unwrap_or(0) - i64::from(exponent)).ok()?;
        (count > 0).then_some(Self { negative, digits, scale })
    }

    /// The number of places after the point; negative for zeros before it.
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// `longValueExact`: the whole number it is, when a `long` holds it.
    pub fn whole(&self) -> Option<i64> {
        let (length, scale) = (self.digits.len() as i64, i64::from(self.scale));
        if length == 0 {
            return Some(0);
        }
        let places = scale.max(0);
        if places >= length || length - scale > LONG_DIGITS {
            return None;
        }
        let (whole, fraction) = self.digits.split_at((length - places) as usize);
        if fraction.bytes().any(|digit| digit != b'0') {
            return None;
        }
        let magnitude = whole.parse::<i128>().ok()? * 10i128.pow((-scale).max(0) as u32);
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// `longValue`: the fraction is cut off, and what is too large wraps around.
    pub fn long(&self) -> i64 {
        low_bits(self.negative, &self.digits, self.scale)
    }

    /// `floatValue`, infinite when it is too large.
    pub fn float(&self) -> f32 {
        self.scientific().parse().unwrap_or(f32::NAN)
    }

    /// `doubleValue`, infinite when it is too large.
    pub fn double(&self) -> f64 {
        self.scientific().parse().unwrap_or(f64::NAN)
    }

    fn scientific(&self) -> String {
        // There is no negative zero.
        let sign = if self.negative && !self.digits.is_empty() { "-" } else { "" };
        format!("{sign}0{}e{}", self.digits, -i64::from(self.scale))
    }

    /// The number itself.
    pub fn into_decimal(self) -> Decimal {
        let sign = if self.negative { Sign::Minus } else { Sign::Plus };
        let digits: Vec<u8> = self.digits.bytes().map(|digit| digit - b'0').collect();
        // No digits are zero.
        let unscaled = BigInt::from_radix_be(sign, &digits, 10).unwrap_or_default();
        Decimal { unscaled, scale: self.scale }
    }
}

/// Up to ten digits, leading zeros aside, that an `int` holds.
fn parse_exponent(text: &str) -> Option<i32> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut exponent = 0i64;
    for c in unsigned.chars() {
        exponent = exponent * 10 + i64::from(character::digit(c)?);
        if exponent > 1 << 31 {
            return None;
        }
    }
    if unsigned.is_empty() {
        return None;
    }
    i32::try_from(if negative { -exponent } else { exponent }).ok()
}

/// `new BigDecimal(text)`.
pub fn parse(text: &str) -> Option<Decimal> {
    Numeral::parse(text).map(Numeral::into_decimal)
}

/// `longValue`: the fraction is cut off, and what is too large wraps around.
pub fn long_value(number: &Decimal) -> i64 {
    let text = number.unscaled.to_string();
    low_bits(text.starts_with('-'), text.trim_start_matches('-'), number.scale)
}

/// The low 64 bits of the whole part.
fn low_bits(negative: bool, digits: &str, scale: i32) -> i64 {
    // A number with that many zeros is a multiple of 2^64.
    const ZEROS: i32 = -64;
    let whole = digits.len() as i64 - i64::from(scale);
    if scale <= ZEROS || whole <= 0 {
        return 0;
    }
    let digit = |place: i64| digits.as_bytes().get(place as usize).map_or(0, |byte| i64::from(byte - b'0'));
    let value = (0..whole).fold(0i64, |value, place| value.wrapping_mul(10).wrapping_add(digit(place)));
    if negative { value.wrapping_neg() } else { value }
}

/// `doubleValue`.
pub fn double_value(number: &Decimal) -> f64 {
    // A decimal exponent is always part of a number's text.
    format!("{}e{}", number.unscaled, -i64::from(number.scale)).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(unscaled: i64, scale: i32) -> Decimal {
        Decimal { unscaled: unscaled.into(), scale }
    }

    #[test]
    fn texts_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("12.50", number(1250, 2)),
            ("-.5", number(-5, 1)),
            ("5.", number(5, 0)),
            ("+1e3", number(1, -3)),
            ("1E-0000000000007", number(1, 7)),
            ("0e400", number(0, -400)),
            ("1e-2147483647", number(1, i32::MAX)),
            ("\u{661}\u{662}e\u{663}", number(12, -3)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in
            ["", "+", ".", "1e", "1e+", "1e+-5", "e3", "1.2.3", "1 2", "--1", "0x1", "1f", "1e2147483649", "NaN"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_those_that_a_long_holds() {
        let whole = |text| Numeral::parse(text).unwrap().whole();
        for (text, expected) in [
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("1.000", 1),
            ("-0.0", 0),
            ("0e999999999", 0),
            ("1200e-2", 12),
            ("12e17", 1_200_000_000_000_000_000),
        ] {
            assert_eq!(whole(text), Some(expected), "{text}");
        }
        for text in ["9223372036854775808", "1e19", "1e999999999", "1e-999999999", "1.5", "0.1", "12e-2", "10.01"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn floats_are_rounded_correctly() {
        let numeral = |text| Numeral::parse(text).unwrap();
        assert_eq!(numeral("0.1").float().to_bits(), 0.1f32.to_bits());
        assert_eq!(numeral("3.4028236E38").float(), f32::INFINITY);
        assert_eq!(numeral("-0.0").double().to_bits(), 0);
        assert_eq!(numeral("4.9E-324").double(), f64::from_bits(1));
        assert_eq!(numeral("-1e2147483647").double(), f64::NEG_INFINITY);
    }

    #[test]
    fn fractions_are_cut_off_and_integers_wrap() {
        assert_eq!(long_value(&number(-1299, 2)), -12);
        assert_eq!(long_value(&number(5, -2)), 500);
        assert_eq!(long_value(&number(5, 3)), 0);
        assert_eq!(long_value(&number(1, -64)), 0);
        assert_eq!(long_value(&number(1, i32::MIN)), 0);
        assert_eq!(long_value(&number(i64::MAX, -1)), i64::MAX.wrapping_mul(10));
        assert_eq!(Numeral::parse("-12.99").map(|number| number.long()), Some(-12));
        assert_eq!(double_value(&number(125, 2)), 1.25);
    }
}
