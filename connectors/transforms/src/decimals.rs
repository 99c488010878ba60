//! `BigDecimal` as a primitive number.

use connect_api::value::Decimal;

/// `BigDecimal.longValue`: without fraction, wrapped to 64 bits.
pub(crate) fn long_value(number: &Decimal) -> i64 {
    let text = number.unscaled.to_string();
    let digits = text.trim_start_matches('-');
    let whole = digits.len() as i64 - i64::from(number.scale);
    if whole <= 0 || -i64::from(number.scale) >= 64 {
        return 0;
    }
    let digit = |place: i64| digits.as_bytes().get(place as usize).map_or(0, |byte| i64::from(byte - b'0'));
    let value = (0..whole).fold(0i64, |value, place| value.wrapping_mul(10).wrapping_add(digit(place)));
    if text.starts_with('-') { value.wrapping_neg() } else { value }
}

/// `BigDecimal.doubleValue`.
pub(crate) fn double_value(number: &Decimal) -> f64 {
    // A decimal exponent is always part of a number's text.
    format!("{}e{}", number.unscaled, -i64::from(number.scale)).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_cut_off_and_integers_wrap() {
        let number = |unscaled: i64, scale| Decimal { unscaled: unscaled.into(), scale };
        assert_eq!(long_value(&number(-1299, 2)), -12);
        assert_eq!(long_value(&number(5, -2)), 500);
        assert_eq!(long_value(&number(5, 3)), 0);
        assert_eq!(long_value(&number(1, -64)), 0);
        assert_eq!(long_value(&number(i64::MAX, -1)), i64::MAX.wrapping_mul(10));
        assert_eq!(double_value(&number(125, 2)), 1.25);
    }
}
