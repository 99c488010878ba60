//! Numbers of JSON text as Jackson's nodes give them: integers wrap, fractions are cut off, doubles are correctly
//! rounded.

use connect_api::value::Decimal;
use num_bigint::BigInt;

use super::scan::Number;

impl Number<'_> {
    /// `longValue`: the lowest 64 bits of the integral part.
    pub(crate) fn as_long(&self) -> i64 {
        if self.integral {
            return wrapping(self.text.bytes(), 0);
        }
        let (mantissa, exponent) = self.split();
        let point = mantissa.find('.').unwrap_or(mantissa.len());
        let whole = mantissa[..point].trim_start_matches('-').len() as i64 + exponent;
        if whole <= 0 {
            return 0;
        }
        let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        let zeros = whole - digits.len() as i64;
        // Each zero is a factor of two, and 64 of them leave nothing in 64 bits.
        if zeros >= 64 {
            return 0;
        }
        let taken = digits.len().min(whole as usize);
        let value = wrapping(digits[..taken].iter().copied(), zeros.max(0));
        if mantissa.starts_with('-') { value.wrapping_neg() } else { value }
    }

    /// `intValue`.
    pub(crate) fn as_int(&self) -> i32 {
        self.as_long() as i32
    }

    /// The value of an integer that fits 32 bits (`isInt`).
    pub(crate) fn exact_int(&self) -> Option<i32> {
        if self.integral { self.text.parse().ok() } else { None }
    }

    /// `doubleValue`. There is no negative zero: decimals have none.
    pub(crate) fn as_double(&self) -> f64 {
        if self.integral
            && let Ok(value) = self.text.parse::<i64>()
        {
            return value as f64;
        }
        let value = self.text.parse().unwrap_or(f64::NAN);
        if value == 0.0 && self.is_zero() { 0.0 } else { value }
    }

    /// `floatValue`.
    pub(crate) fn as_float(&self) -> f32 {
        if self.integral
            && let Ok(value) = self.text.parse::<i64>()
        {
            return value as f32;
        }
        let value = self.text.parse().unwrap_or(f32::NAN);
        if value == 0.0 && self.is_zero() { 0.0 } else { value }
    }

    /// `decimalValue`, with the scale that the text has.
    pub(crate) fn as_decimal(&self) -> Decimal {
        let (mantissa, exponent) = self.split();
        let fraction = mantissa.find('.').map_or(0, |point| mantissa.len() - point - 1) as i64;
        let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
        let unscaled: BigInt = digits.parse().unwrap_or_default();
        Decimal { unscaled, scale: (fraction - exponent) as i32 }
    }

    fn split(&self) -> (&str, i64) {
        match self.text.find(['e', 'E']) {
            Some(at) => (&self.text[..at], self.text[at + 1..].parse().unwrap_or(0)),
            None => (self.text, 0),
        }
    }

    fn is_zero(&self) -> bool {
        self.split().0.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'.'))
    }
}

/// Digits, a sign among them, as the lowest 64 bits of their number times 10^zeros.
fn wrapping(digits: impl Iterator<Item = u8>, zeros: i64) -> i64 {
    let (mut value, mut negative) = (0i64, false);
    for byte in digits {
        match byte {
            b'-' => negative = true,
            _ => value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
        }
    }
    for _ in 0..zeros {
        value = value.wrapping_mul(10);
    }
    if negative { value.wrapping_neg() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number { text, integral: !text.contains(['.', 'e', 'E']) }
    }

    #[test]
    fn integers_wrap_and_fractions_are_cut_off() {
        let cases = [
            ("01", 1),
            ("9223372036854775808", i64::MIN),
            ("-9223372036854775809", i64::MAX),
            ("18446744073709551616", 0),
            ("1.9", 1),
            ("-1.9", -1),
            ("1e3", 1000),
            ("12.345e1", 123),
            ("1e-3", 0),
            ("1e400", 0),
            ("1e19", 10_000_000_000_000_000_000u64 as i64),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text).as_long(), expected, "{text}");
        }
    }

    #[test]
    fn doubles_have_no_negative_zero() {
        assert!(number("-0.0").as_double().is_sign_positive());
        assert_eq!(number("1e400").as_double(), f64::INFINITY);
        assert_eq!(number("0.1").as_double(), 0.1);
        assert_eq!(number("16777217").as_float(), 16_777_216.0);
    }

    #[test]
    fn decimals_keep_their_scale() {
        let decimal = |text| {
            let decimal = number(text).as_decimal();
            (decimal.unscaled.to_string(), decimal.scale)
        };
        assert_eq!(decimal("12.340"), ("12340".into(), 3));
        assert_eq!(decimal("1e3"), ("1".into(), -3));
        assert_eq!(decimal("-12"), ("-12".into(), 0));
        assert_eq!(decimal("1.5E-7"), ("15".into(), 8));
    }
}
