//! Text of numbers as Java 17 prints it.
//!
//! Java before 19 does not always print the shortest text that reads back as the same double (`2.0E23` is printed as
//! `1.9999999999999998E23`), so the digits are developed by the same algorithm, Steele and White's with a symmetric
//! stopping test, in exact arithmetic.

use std::cmp::Ordering;
use std::fmt::Write;
use std::num::FpCategory;

use num_bigint::{BigInt, BigUint};

use crate::value::Decimal;

const EXP_SHIFT: i32 = 52;
const HIDDEN_BIT: u64 = 1 << EXP_SHIFT;

/// Bits of 5^n, as the algorithm's range estimates have them.
const BITS_OF_5_POW: [i32; 27] =
    [0, 3, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33, 35, 38, 40, 42, 45, 47, 49, 52, 54, 56, 59, 61];

/// Decimal digits without meaning when a double is an integer above 2^53, by the number of excess bits.
const INSIGNIFICANT_DIGITS: [u32; 64] = [
    0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 10, 10, 10,
    11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 17, 17, 17, 18, 18, 18, 19,
];

/// Decimal digits of a number `0.d1d2d3... * 10^exponent`.
struct Digits {
    digits: [u8; 24],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn new() -> Self {
        Self { digits: [0; 24], len: 0, exponent: 0 }
    }

    fn push(&mut self, digit: u8) {
        if let Some(place) = self.digits.get_mut(self.len) {
            *place = digit;
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// Adds one in the last place.
    fn round_up(&mut self) {
        for place in (0..self.len).rev() {
            if self.digits[place] < 9 {
                self.digits[place] += 1;
                return;
            }
            self.digits[place] = 0;
        }
        self.digits[0] = 1;
        self.exponent += 1;
    }
}

/// `Double.toString`.
pub fn double(value: f64) -> String {
    let mut out = String::with_capacity(24);
    write_double(value, &mut out);
    out
}

/// `Float.toString`.
pub fn float(value: f32) -> String {
    let mut out = String::with_capacity(16);
    write_float(value, &mut out);
    out
}

/// Appends `Double.toString`. Strings and buffers of bytes never refuse it.
pub fn write_double(value: f64, out: &mut impl Write) {
    if let Some(special) = special(value) {
        return put(special, out);
    }
    if let Some(ten_thousandths) = ten_thousandths(value.abs()) {
        return few_digits(value.is_sign_negative(), ten_thousandths, out);
    }
    write_developed(value, out);
}

/// Appends a number whose digits are developed.
fn write_developed(value: f64, out: &mut impl Write) {
    let bits = value.to_bits();
    let fraction = bits & (HIDDEN_BIT - 1);
    let exponent = ((bits >> EXP_SHIFT) & 0x7ff) as i32;
    let (fraction, exponent, significant) = if exponent == 0 {
        let shift = fraction.leading_zeros() as i32 - (63 - EXP_SHIFT);
        (fraction << shift, 1 - shift, 64 - fraction.leading_zeros() as i32)
    } else {
        (fraction | HIDDEN_BIT, exponent, EXP_SHIFT + 1)
    };
    layout(value.is_sign_negative(), &develop(exponent - 1023, fraction, significant), out);
}

/// Appends `Float.toString`.
pub fn write_float(value: f32, out: &mut impl Write) {
    const SHIFT: i32 = 23;
    let bits = value.to_bits();
    if let Some(special) = special(f64::from(value)) {
        return put(special, out);
    }
    let fraction = bits & ((1 << SHIFT) - 1);
    let exponent = ((bits >> SHIFT) & 0xff) as i32;
    let (fraction, exponent, significant) = if exponent == 0 {
        let shift = fraction.leading_zeros() as i32 - (31 - SHIFT);
        (fraction << shift, 1 - shift, 32 - fraction.leading_zeros() as i32)
    } else {
        (fraction | (1 << SHIFT), exponent, SHIFT + 1)
    };
    let digits = develop(exponent - 127, u64::from(fraction) << (EXP_SHIFT - SHIFT), significant);
    layout(value.is_sign_negative(), &digits, out);
}

/// A number that is the nearest to a decimal of four places, of those that are not written in scientific notation.
///
/// Such a decimal has eleven digits at most. No shorter one is as near, as of those with up to 15 digits each has a double of its
/// own, and up to that many digits Java's arithmetic does not overflow here: developing the digits would come to the same.
fn ten_thousandths(size: f64) -> Option<u64> {
    if !(1e-3..1e7).contains(&size) {
        return None;
    }
    let count = (size * 1e4 + 0.5) as u64;
    (count as f64 / 1e4 == size).then_some(count)
}

fn few_digits(negative: bool, ten_thousandths: u64, out: &mut impl Write) {
    // Seven digits at most stand before the point, and four behind it.
    let (mut whole, fraction) = ((ten_thousandths / 10_000) as u32, (ten_thousandths % 10_000) as u32);
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let mut text = [b'.'; 13];
    let [.., tenths, hundredths, thousandths, last] = &mut text;
    (*tenths, *hundredths) = (digit(fraction / 1000), digit(fraction / 100));
    (*thousandths, *last) = (digit(fraction / 10), digit(fraction));
    let mut start = 8;
    while start == 8 || whole > 0 {
        start -= 1;
        text[start] = digit(whole);
        whole /= 10;
    }
    if negative {
        start -= 1;
        text[start] = b'-';
    }
    let end = 13
        - if fraction % 1000 == 0 {
            3
        } else if fraction % 100 == 0 {
            2
        } else {
            usize::from(fraction % 10 == 0)
        };
    put(std::str::from_utf8(&text[start..end]).unwrap_or_default(), out);
}

fn put(text: &str, out: &mut impl Write) {
    out.write_str(text).expect("there is room for a number");
}

/// The whole text, when no digits are needed.
fn special(value: f64) -> Option<&'static str> {
    match (value.classify(), value.is_sign_negative()) {
        (FpCategory::Nan, _) => Some("NaN"),
        (FpCategory::Infinite, false) => Some("Infinity"),
        (FpCategory::Infinite, true) => Some("-Infinity"),
        (FpCategory::Zero, false) => Some("0.0"),
        (FpCategory::Zero, true) => Some("-0.0"),
        _ => None,
    }
}

/// Develops the digits of `fraction * 2^(exponent - 52)`, of which `significant` bits are precise.
fn develop(exponent: i32, fraction: u64, significant: i32) -> Digits {
    let tail_zeros = fraction.trailing_zeros() as i32;
    let fraction_bits = EXP_SHIFT + 1 - tail_zeros;
    let tiny_bits = (fraction_bits - exponent - 1).max(0);
    if (-21..=62).contains(&exponent) && tiny_bits == 0 && fraction_bits < 64 {
        return develop_integer(exponent, fraction, significant);
    }
    let dec_exp = estimate_decimal_exponent(fraction, exponent);
    let (b5, s5) = ((-dec_exp).max(0), dec_exp.max(0));
    let m5 = b5;
    let (mut b2, mut s2) = (b5 + tiny_bits + exponent, s5 + tiny_bits);
    let mut m2 = b2 - significant;
    let fraction = fraction >> tail_zeros;
    b2 -= fraction_bits - 1;
    let common = b2.min(s2);
    b2 -= common;
    s2 -= common;
    m2 -= common;
    if fraction_bits == 1 {
        // The next smaller number is only half as far away.
        m2 -= 1;
    }
    if m2 < 0 {
        b2 -= m2;
        s2 -= m2;
        m2 = 0;
    }
    let bits_of_5 = |n: i32| BITS_OF_5_POW.get(n as usize).copied().unwrap_or(n * 3);
    let b_bits = fraction_bits + b2 + bits_of_5(b5);
    let ten_s_bits = s2 + 1 + bits_of_5(s5 + 1);
    if b_bits < 64 && ten_s_bits < 64 {
        let number = |five: i32, two: i32| 5i64.wrapping_pow(five as u32).wrapping_shl(two as u32);
        let b = (fraction as i64).wrapping_mul(number(b5, b2));
        let width = if b_bits < 32 && ten_s_bits < 32 { Width::Int } else { Width::Long };
        return generate_words(width, b, number(s5, s2), number(m5, m2), dec_exp).rounded();
    }
    let number = |five: i32, two: i32| BigUint::from(5u8).pow(five as u32) << two as usize;
    let b = BigUint::from(fraction) * number(b5, b2);
    generate(b, number(s5, s2), number(m5, m2), dec_exp).rounded()
}

/// An integer: its digits, without those that a double can't tell.
fn develop_integer(exponent: i32, fraction: u64, significant: i32) -> Digits {
    let excess = exponent - significant - 1;
    let insignificant = if exponent > significant && excess > 1 {
        INSIGNIFICANT_DIGITS.get(excess as usize).copied().unwrap_or(0)
    } else {
        0
    };
    let mut value =
        if exponent >= EXP_SHIFT { fraction << (exponent - EXP_SHIFT) } else { fraction >> (EXP_SHIFT - exponent) };
    let mut trailing = 0;
    if insignificant != 0 {
        let power = 10u64.pow(insignificant);
        let residue = value % power;
        value = value / power + u64::from(residue >= power / 2);
        trailing = insignificant as i32;
    }
    while value % 10 == 0 {
        value /= 10;
        trailing += 1;
    }
    let mut digits = Digits::new();
    let mut rest = value;
    while rest != 0 {
        digits.push((rest % 10) as u8);
        rest /= 10;
    }
    digits.digits[..digits.len].reverse();
    digits.exponent = digits.len as i32 + trailing;
    digits
}

/// About `floor(log10(d))`, at most one too high.
fn estimate_decimal_exponent(fraction: u64, exponent: i32) -> i32 {
    let mantissa = f64::from_bits((1023u64 << EXP_SHIFT) | (fraction & (HIDDEN_BIT - 1)));
    #[allow(clippy::approx_constant, reason = "Java's own constant decides between two digits")]
    let estimate = (mantissa - 1.5) * 0.289529654 + 0.176091259 + f64::from(exponent) * 0.301029995663981;
    estimate.floor() as i32
}

/// Digits with how the generation stopped: low, high, and how twice the rest compares with the unit.
struct Generated {
    digits: Digits,
    low: bool,
    high: bool,
    rest: Ordering,
}

impl Generated {
    /// The digits, the last one rounded.
    fn rounded(mut self) -> Digits {
        let odd = self.digits.as_slice().last().is_some_and(|digit| digit % 2 == 1);
        if self.high && (!self.low || self.rest == Ordering::Greater || (self.rest == Ordering::Equal && odd)) {
            self.digits.round_up();
        }
        self.digits
    }
}

/// Scientific notation always has a digit after the point: it needs more than the first.
fn is_scientific(dec_exp: i32) -> bool {
    !(-3..8).contains(&dec_exp)
}

/// The machine word in which Java computes. Its sums overflow, and the text shows it.
#[derive(Clone, Copy)]
enum Width {
    Int,
    Long,
}

impl Width {
    fn wrap(self, value: i64) -> i64 {
        match self {
            Self::Int => i64::from(value as i32),
            Self::Long => value,
        }
    }
}

/// Generates the digits of `b / s` until the rest is within `m`, in machine words.
fn generate_words(width: Width, b: i64, s: i64, m: i64, mut dec_exp: i32) -> Generated {
    let wrap = |value: i64| width.wrap(value);
    let (mut b, s, mut m) = (wrap(b), wrap(s), wrap(m));
    let tens = wrap(s.wrapping_mul(10));
    let mut digits = Digits::new();
    let mut first = true;
    let (mut low, mut high) = (false, false);
    while first || (!low && !high) {
        let digit = (b / s) as u8;
        b = wrap((b % s).wrapping_mul(10));
        m = wrap(m.wrapping_mul(10));
        if first || m > 0 {
            low = b < m;
            high = wrap(b.wrapping_add(m)) > tens;
        } else {
            // It has overflowed: then it is larger than anything here.
            (low, high) = (true, true);
        }
        if first && digit == 0 && !high {
            dec_exp -= 1;
        } else {
            digits.push(digit);
        }
        if first && is_scientific(dec_exp) {
            (low, high) = (false, false);
        }
        first = false;
    }
    digits.exponent = dec_exp + 1;
    let rest = wrap(wrap(b.wrapping_shl(1)).wrapping_sub(tens)).cmp(&0);
    Generated { digits, low, high, rest }
}

/// Generates the digits of `b / s` until the rest is within `m`, without limit of size. Here meeting the upper bound
/// exactly counts as high.
fn generate(mut b: BigUint, s: BigUint, mut m: BigUint, mut dec_exp: i32) -> Generated {
    let tens = &s * 10u8;
    let mut digits = Digits::new();
    let mut first = true;
    let (mut low, mut high) = (false, false);
    while first || (!low && !high) {
        let mut digit = 0;
        while b >= s {
            b -= &s;
            digit += 1;
        }
        b *= 10u8;
        m *= 10u8;
        low = b < m;
        high = &b + &m >= tens;
        if first && digit == 0 && !high {
            dec_exp -= 1;
        } else {
            digits.push(digit);
        }
        if first && is_scientific(dec_exp) {
            (low, high) = (false, false);
        }
        first = false;
    }
    digits.exponent = dec_exp + 1;
    let rest = (b * 2u8).cmp(&tens);
    Generated { digits, low, high, rest }
}

/// A short text that is put together without the heap.
struct Short {
    bytes: [u8; 32],
    len: usize,
}

impl Short {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Digits, or a zero when there are none.
    fn digits(&mut self, digits: &[u8]) {
        for digit in if digits.is_empty() { &[0] } else { digits } {
            self.push(b'0' + digit);
        }
    }

    fn zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.push(b'0');
        }
    }
}

/// Lays the digits out: plain from 10^-3 to 10^7, else scientific.
fn layout(negative: bool, digits: &Digits, out: &mut impl Write) {
    let mut text = Short { bytes: [0; 32], len: 0 };
    if negative {
        text.push(b'-');
    }
    let (all, exponent) = (digits.as_slice(), digits.exponent);
    if (1..8).contains(&exponent) {
        let before = all.len().min(exponent as usize);
        text.digits(&all[..before]);
        text.zeros(exponent as usize - before);
        text.push(b'.');
        text.digits(&all[before..]);
    } else if (-2..=0).contains(&exponent) {
        text.push(b'0');
        text.push(b'.');
        text.zeros(-exponent as usize);
        text.digits(all);
    } else {
        text.digits(&all[..1]);
        text.push(b'.');
        text.digits(&all[1..]);
    }
    put(std::str::from_utf8(&text.bytes[..text.len]).unwrap_or_default(), out);
    if !(-2..8).contains(&exponent) {
        write!(out, "E{}", exponent - 1).expect("there is room for a number");
    }
}

/// `BigDecimal.toString`.
pub fn decimal(value: &Decimal) -> String {
    let mut out = String::new();
    write_decimal(&value.unscaled, value.scale, &mut out);
    out
}

/// Appends `BigDecimal.toString` of `unscaled * 10^-scale`.
pub fn write_decimal(unscaled: &BigInt, scale: i32, out: &mut String) {
    let digits = unscaled.magnitude().to_string();
    if unscaled.sign() == num_bigint::Sign::Minus {
        out.push('-');
    }
    let adjusted = -i64::from(scale) + (digits.len() as i64 - 1);
    if scale == 0 {
        out.push_str(&digits);
    } else if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        match digits.len().checked_sub(scale) {
            Some(before) if before > 0 => {
                out.push_str(&digits[..before]);
                out.push('.');
                out.push_str(&digits[before..]);
            }
            _ => {
                out.push_str("0.");
                out.extend(std::iter::repeat_n('0', scale - digits.len()));
                out.push_str(&digits);
            }
        }
    } else {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        if adjusted != 0 {
            write!(out, "E{adjusted:+}").expect("writing to a string does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_printed_as_java_17_prints_them() {
        let cases = [
            (0.1, "0.1"),
            (5.0, "5.0"),
            (100.0, "100.0"),
            (123.456, "123.456"),
            (1.0E7, "1.0E7"),
            (9999999.0, "9999999.0"),
            (0.001, "0.001"),
            (1.0E-4, "1.0E-4"),
            (-0.0, "-0.0"),
            (1.0E21, "1.0E21"),
            (1.0E23, "9.999999999999999E22"),
            (2.0E23, "1.9999999999999998E23"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (1.23456789123E8, "1.23456789123E8"),
            (9.007199254740992E15, "9.007199254740992E15"),
            (2f64.powi(63), "9.223372036854776E18"),
            (2f64.powi(-44), "5.6843418860808015E-14"),
            (2.0E-3, "0.002"),
            (2.2E-322, "2.2E-322"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn few_digits_are_what_would_be_developed(count in 10..100_000_000_000u64, digits in 0..11u32, negative: bool) {
            let count = (count / 10u64.pow(digits)).max(10);
            let value = count as f64 / if negative { -1e4 } else { 1e4 };
            proptest::prop_assert_eq!(ten_thousandths(value.abs()), Some(count));
            let mut developed = String::new();
            write_developed(value, &mut developed);
            proptest::prop_assert_eq!(double(value), developed);
        }
    }

    #[test]
    fn floats_are_printed_as_java_17_prints_them() {
        let cases = [
            (1.1f32, "1.1"),
            (f32::MAX, "3.4028235E38"),
            (1.0E-10, "1.0E-10"),
            (1.0E7, "1.0E7"),
            (f32::from_bits(1), "1.4E-45"),
            (16777216.0, "1.6777216E7"),
            (f32::NAN, "NaN"),
            (f32::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn decimals_are_printed_as_java_prints_them() {
        let cases =
            [(1234, 2, "12.34"), (-1, 2, "-0.01"), (5, -2, "5E+2"), (1, 10, "1E-10"), (100, 2, "1.00"), (0, 0, "0")];
        for (unscaled, scale, text) in cases {
            assert_eq!(decimal(&Decimal { unscaled: BigInt::from(unscaled), scale }), text);
        }
        assert_eq!(decimal(&Decimal { unscaled: BigInt::from(-1234), scale: -3 }), "-1.234E+6");
        assert_eq!(decimal(&Decimal { unscaled: BigInt::from(0), scale: 7 }), "0E-7");
    }

    #[test]
    fn text_is_what_java_17_recorded() {
        for line in include_str!("../../testdata/java17-floating.txt").lines() {
            let mut parts = line.split(' ');
            let (kind, bits, text) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let ours = if kind == "d" {
                double(f64::from_bits(u64::from_str_radix(bits, 16).unwrap()))
            } else {
                float(f32::from_bits(u32::from_str_radix(bits, 16).unwrap()))
            };
            assert_eq!(ours, text, "{line}");
        }
    }
}
