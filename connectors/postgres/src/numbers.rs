//! Decimals and money: from text to the unscaled bytes that Connect's decimals are.
//!
//! Up to 38 digits go through 128-bit integers; longer ones through big integers.

use bytes::Bytes;
use connect_api::{SchemaRef, Struct, Value};
use connect_config::java::double_text;
use num_bigint::BigInt;

use crate::decode::NotOfType;
use crate::settings::DecimalMode;

/// The shortest big-endian two's complement form, as `BigInteger.toByteArray` gives it.
pub fn two_complement(n: i128) -> Bytes {
    let bytes = n.to_be_bytes();
    let sign = if n < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] ^ sign) & 0x80 == 0 {
        start += 1;
    }
    Bytes::copy_from_slice(&bytes[start..])
}

/// Unscaled value and scale of a plain decimal; `None` is NaN or an infinity.
pub fn decimal(text: &[u8], scale: Option<i32>) -> Result<Option<(Bytes, i32)>, NotOfType> {
    const ERROR: NotOfType = NotOfType("numeric");
    if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        return Ok(None);
    }
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    let point = memchr::memchr(b'.', digits);
    let own_scale = point.map_or(0, |at| digits.len() - at - 1);
    let own_scale = i32::try_from(own_scale).map_err(|_| ERROR)?;
    let wanted = scale.unwrap_or(own_scale);
    let missing = usize::try_from(wanted - own_scale).ok();
    if let Some(missing) = missing.filter(|missing| digits.len() + missing <= 38) {
        let mut n = 0_i128;
        for &b in digits.iter().filter(|&&b| b != b'.') {
            if !b.is_ascii_digit() {
                return Err(ERROR);
            }
            n = n * 10 + i128::from(b - b'0');
        }
        n *= 10_i128.pow(u32::try_from(missing).map_err(|_| ERROR)?);
        return Ok(Some((two_complement(if negative { -n } else { n }), wanted)));
    }
    let plain: Vec<u8> = text.iter().copied().filter(|&b| b != b'.').collect();
    let mut n = BigInt::parse_bytes(&plain, 10).ok_or(ERROR)?;
    let factor = BigInt::from(10).pow(wanted.abs_diff(own_scale));
    if wanted >= own_scale {
        n *= factor;
    } else {
        n /= factor;
    }
    Ok(Some((n.to_signed_bytes_be().into(), wanted)))
}

/// A struct of scale and unscaled value (`VariableScaleDecimal`).
pub fn variable_decimal(schema: &SchemaRef, unscaled: Bytes, scale: i32) -> Value {
    Value::Struct(Struct::new(SchemaRef::clone(schema), vec![Value::Int32(scale), Value::Bytes(unscaled)]))
}

const NO_MONEY: NotOfType = NotOfType("money");

/// Unscaled value and scale of a money text in any of its common looks: `$1,000.55`, `-$0.05`, `($0.05)`.
fn cents(text: &[u8]) -> Result<(i128, i32), NotOfType> {
    let negative = text.iter().any(|&b| b == b'-' || b == b'(');
    if text.iter().filter(|b| b.is_ascii_digit()).count() > 19 {
        return Err(NO_MONEY);
    }
    let mut cents = 0_i128;
    for &b in text.iter().filter(|b| b.is_ascii_digit()) {
        cents = cents * 10 + i128::from(b - b'0');
    }
    // `lc_monetary` decides on the digits after the point: those after the last mark that is not a thousand's.
    let point = text.iter().rposition(|&b| b == b'.');
    let own = point.map_or(0, |at| text[at..].iter().filter(|b| b.is_ascii_digit()).count());
    let own = i32::try_from(own).map_err(|_| NO_MONEY)?;
    Ok((if negative { -cents } else { cents }, own))
}

/// A money text as the stream gives it: exact.
pub fn money(text: &[u8], mode: DecimalMode, digits: i32) -> Result<Value, NotOfType> {
    let (cents, own) = cents(text)?;
    match mode {
        DecimalMode::Precise => Ok(Value::Bytes(two_complement(rescaled(cents, own, digits)))),
        DecimalMode::Double => plain_decimal(cents, own).parse().map(Value::Float64).map_err(|_| NO_MONEY),
        DecimalMode::String => Ok(Value::from(plain_decimal(cents, own))),
    }
}

/// A money text as snapshots give it: the Java driver makes a double of it, which has 15 digits or so.
pub fn money_as_double(text: &[u8], mode: DecimalMode, digits: i32) -> Result<Value, NotOfType> {
    let (unscaled, own) = cents(text)?;
    let number: f64 = plain_decimal(unscaled, own).parse().map_err(|_| NO_MONEY)?;
    match mode {
        DecimalMode::Precise => {
            let (unscaled, own) = cents(number.to_string().as_bytes())?;
            Ok(Value::Bytes(two_complement(rescaled(unscaled, own, digits))))
        }
        DecimalMode::Double => Ok(Value::Float64(number)),
        DecimalMode::String => Ok(Value::from(double_text(number))),
    }
}

/// An unscaled value under another scale, rounded half up in magnitude.
fn rescaled(unscaled: i128, own: i32, wanted: i32) -> i128 {
    let factor = 10_i128.pow(wanted.abs_diff(own).min(18));
    if wanted >= own {
        return unscaled * factor;
    }
    let magnitude = (unscaled.abs() + factor / 2) / factor;
    if unscaled < 0 { -magnitude } else { magnitude }
}

/// A decimal's plain text.
fn plain_decimal(unscaled: i128, scale: i32) -> String {
    let digits = usize::try_from(scale).unwrap_or(0);
    let mut text = format!("{:0>width$}", unscaled.unsigned_abs(), width = digits + 1);
    if digits > 0 {
        text.insert(text.len() - digits, '.');
    }
    if unscaled < 0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_complement_agrees_with_big_integers(n: i128) {
            prop_assert_eq!(two_complement(n).to_vec(), BigInt::from(n).to_signed_bytes_be());
        }

        #[test]
        fn the_fast_decimal_agrees_with_the_slow_one(n in -999_999_999_999_i64..999_999_999_999, scale in 0_usize..8) {
            let text = plain_decimal(n.into(), i32::try_from(scale).expect("small"));
            let (bytes, own) = decimal(text.as_bytes(), None).expect("a decimal").expect("a number");
            prop_assert_eq!(BigInt::from_signed_bytes_be(&bytes), BigInt::from(n));
            prop_assert_eq!(usize::try_from(own).expect("positive"), scale);
        }
    }
}
