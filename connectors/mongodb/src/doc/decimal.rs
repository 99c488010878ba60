//! Decimals as Decimal128 (`org.bson.types.Decimal128(BigDecimal)`): exact, or refused.
//!
//! The scale is kept: 1.10 stays 1.10. Thirty-four digits and the exponents -6176 to 6111 fit.

use connect_api::Error;
use num_bigint::{BigInt, Sign};

const MAX_DIGITS: usize = 34;
const MIN_EXPONENT: i64 = -6176;
const MAX_EXPONENT: i64 = 6111;
const EXPONENT_BIAS: i64 = 6176;

/// Encodes `unscaled * 10^-scale`, least significant byte first.
pub fn decimal128(unscaled: &BigInt, scale: i32) -> Result<[u8; 16], Error> {
    let mut exponent = -i64::from(scale);
    let mut digits = unscaled.magnitude().to_string();
    if digits == "0" {
        exponent = exponent.clamp(MIN_EXPONENT, MAX_EXPONENT);
    }
    while exponent > MAX_EXPONENT && digits.len() < MAX_DIGITS {
        digits.push('0');
        exponent -= 1;
    }
    while (digits.len() > MAX_DIGITS || exponent < MIN_EXPONENT) && digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
        exponent += 1;
    }
    if digits.len() > MAX_DIGITS || exponent < MIN_EXPONENT {
        return Err(number_format(format!(
            "Conversion to Decimal128 would require inexact rounding of {}",
            plain(unscaled, scale)
        )));
    }
    if exponent > MAX_EXPONENT {
        return Err(number_format(format!(
            "Exponent is out of range for Decimal128 encoding of {}",
            plain(unscaled, scale)
        )));
    }
    let magnitude: u128 = digits.parse().unwrap_or(0);
    let biased = u128::from(u64::try_from(exponent + EXPONENT_BIAS).unwrap_or(0));
    let mut bits = (biased << 113) | magnitude;
    if unscaled.sign() == Sign::Minus {
        bits |= 1 << 127;
    }
    Ok(bits.to_le_bytes())
}

fn number_format(message: String) -> Error {
    Error::data(message).class("java.lang.NumberFormatException")
}

/// A scale beyond this is written as an exponent: the zeros would be a text of their own length.
const MAX_PLAIN_SCALE: usize = 100_000;

/// The text of a decimal without an exponent where the scale is not negative, as messages show it.
pub fn plain(unscaled: &BigInt, scale: i32) -> String {
    let sign = if unscaled.sign() == Sign::Minus { "-" } else { "" };
    let digits = unscaled.magnitude().to_string();
    match usize::try_from(scale) {
        Err(_) => format!("{sign}{digits}E+{}", -i64::from(scale)),
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) if scale > MAX_PLAIN_SCALE => format!("{sign}{digits}E-{scale}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unscaled: &str, scale: i32) -> String {
        let unscaled: BigInt = unscaled.parse().unwrap();
        bson::Decimal128::from_bytes(decimal128(&unscaled, scale).unwrap()).to_string()
    }

    #[test]
    fn keeps_the_scale() {
        assert_eq!(text("42", 0), "42");
        assert_eq!(text("-123456", 2), "-1234.56");
        assert_eq!(text("12345678901234567890", 10), "1234567890.1234567890");
        assert_eq!(text("5", -2), "5E+2");
        assert_eq!(text("0", 2), "0.00");
        assert_eq!(text("1", 10), "1E-10");
        assert_eq!(text("0", -2), "0E+2");
    }

    #[test]
    fn agrees_with_the_driver_on_what_fits() {
        for (unscaled, scale) in [("9999999999999999999999999999999999", 6176), ("1", -6111), ("-7", 3), ("100", 1)] {
            let ours = text(unscaled, scale);
            let theirs: bson::Decimal128 = format!("{unscaled}E{}", -scale).parse().unwrap();
            assert_eq!(ours, theirs.to_string());
        }
    }

    #[test]
    fn refuses_more_digits_than_fit_unless_they_are_zeros() {
        let forty: BigInt = BigInt::from(10).pow(40) + 1;
        let error = decimal128(&forty, 2).unwrap_err();
        assert_eq!(
            error.message(),
            "Conversion to Decimal128 would require inexact rounding of 100000000000000000000000000000000000000.01"
        );
        let zeros: BigInt = BigInt::from(10).pow(40);
        assert_eq!(
            bson::Decimal128::from_bytes(decimal128(&zeros, 0).unwrap()).to_string(),
            "1.000000000000000000000000000000000E+40"
        );
    }
}
