//! `java.lang.Number`: a number of any class as a primitive one.

use num_bigint::{BigInt, Sign};

use super::decimal;
use crate::value::Value;

/// `Number.longValue`: fractions are cut off, integers wrap around, floats end at the largest; nothing for what is no number.
pub fn long_value(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        Value::Float32(number) => *number as i64,
        Value::Float64(number) => *number as i64,
        Value::Decimal(number) => decimal::long_value(number),
        Value::BigInt(number) => low_bits(number),
        _ => return None,
    })
}

/// `Number.doubleValue`.
pub fn double_value(value: &Value) -> Option<f64> {
    Some(match value {
        Value::Int8(number) => f64::from(*number),
        Value::Int16(number) => f64::from(*number),
        Value::Int32(number) => f64::from(*number),
        Value::Int64(number) => *number as f64,
        Value::Float32(number) => f64::from(*number),
        Value::Float64(number) => *number,
        Value::Decimal(number) => decimal::double_value(number),
        // Reading a number's text rounds correctly.
        Value::BigInt(number) => number.to_string().parse().unwrap_or(f64::NAN),
        _ => return None,
    })
}

/// `Number.floatValue`.
pub fn float_value(value: &Value) -> Option<f32> {
    Some(match value {
        Value::Int32(number) => *number as f32,
        Value::Int64(number) => *number as f32,
        Value::Float32(number) => *number,
        Value::Decimal(number) => {
            format!("{}e{}", number.unscaled, -i64::from(number.scale)).parse().unwrap_or(f32::NAN)
        }
        Value::BigInt(number) => number.to_string().parse().unwrap_or(f32::NAN),
        other => double_value(other)? as f32,
    })
}

/// `Number.intValue`: of a float its own end of the range, of everything else the low bits.
pub fn int_value(value: &Value) -> Option<i32> {
    Some(match value {
        Value::Float32(number) => *number as i32,
        Value::Float64(number) => *number as i32,
        other => long_value(other)? as i32,
    })
}

/// The low 64 bits of an integer in two's complement.
fn low_bits(number: &BigInt) -> i64 {
    let magnitude = number.iter_u64_digits().next().unwrap_or(0) as i64;
    if number.sign() == Sign::Minus { magnitude.wrapping_neg() } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(text: &str) -> Value {
        Value::BigInt(Box::new(text.parse().unwrap()))
    }

    #[test]
    fn numbers_of_all_classes_become_primitive_ones() {
        for (value, long) in [
            (Value::Int8(-5), -5),
            (Value::Float64(-2.7), -2),
            (Value::Float64(1e300), i64::MAX),
            (Value::Float32(f32::NAN), 0),
            (big("123456789012345678901"), -5_670_419_503_621_182_411),
            (big("-18446744073709551617"), -1),
        ] {
            assert_eq!(long_value(&value), Some(long), "{value:?}");
        }
        assert_eq!(int_value(&Value::Float64(1e300)), Some(i32::MAX));
        assert_eq!(int_value(&Value::Int64(1 << 32)), Some(0));
        assert_eq!(float_value(&Value::Int32(16_777_217)), Some(16_777_216.0));
        assert_eq!(double_value(&big("123456789012345678901")), Some(1.2345678901234568e20));
        assert_eq!(double_value(&Value::Null), None);
        assert_eq!(long_value(&"5".into()), None);
    }
}
