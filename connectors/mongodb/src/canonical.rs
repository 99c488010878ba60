//! A canonical form of BSON values: equal bytes where the server says that values are equal, different ones elsewhere.
//!
//! Numbers of all types are equal by value (`1`, `1.0`, Decimal128 `1.00`), also inside documents and arrays; documents are
//! equal when they have the same fields in the same order. Collations are not known here: texts are equal by their bytes.

use bson::raw::RawBsonRef;

const INTEGER: u8 = 1;
/// A number that no 64-bit integer is: sign, digits, power of ten.
const NUMBER: u8 = 2;
const NOT_A_NUMBER: u8 = 3;
const INFINITE: u8 = 4;
const NEGATIVE_INFINITE: u8 = 5;
const STRING: u8 = 6;
const DOCUMENT: u8 = 7;
const ARRAY: u8 = 8;
const BINARY: u8 = 9;
const OBJECT_ID: u8 = 10;
const FALSE: u8 = 11;
const TRUE: u8 = 12;
const DATE: u8 = 13;
const TIMESTAMP: u8 = 14;
const NULL: u8 = 15;
const MIN_KEY: u8 = 16;
const MAX_KEY: u8 = 17;
/// Before each field of a document or element of an array; a zero ends it.
const MORE: u8 = 1;

/// More digits than a double has when all of them are written down.
const DIGITS: usize = 770;

/// Writes the canonical form of a value at the end of a buffer; `None` for types whose equality is not plain.
pub fn value(of: RawBsonRef<'_>, out: &mut Vec<u8>) -> Option<()> {
    match of {
        RawBsonRef::Int32(n) => integer(n.into(), out),
        RawBsonRef::Int64(n) => integer(n, out),
        RawBsonRef::Double(n) => double(n, out),
        RawBsonRef::Decimal128(n) => number(&n.to_string(), out)?,
        RawBsonRef::String(text) => {
            out.push(STRING);
            sized(text.as_bytes(), out)?;
        }
        RawBsonRef::Document(document) => {
            out.push(DOCUMENT);
            for field in document.iter_elements() {
                let field = field.ok()?;
                out.push(MORE);
                out.extend_from_slice(field.key().as_str().as_bytes());
                out.push(0);
                value(field.value().ok()?, out)?;
            }
            out.push(0);
        }
        RawBsonRef::Array(array) => {
            out.push(ARRAY);
            for element in array.iter_elements() {
                out.push(MORE);
                value(element.ok()?.value().ok()?, out)?;
            }
            out.push(0);
        }
        RawBsonRef::Binary(binary) => {
            out.extend_from_slice(&[BINARY, binary.subtype.into()]);
            sized(binary.bytes, out)?;
        }
        RawBsonRef::ObjectId(id) => {
            out.push(OBJECT_ID);
            out.extend_from_slice(&id.bytes());
        }
        RawBsonRef::Boolean(yes) => out.push(if yes { TRUE } else { FALSE }),
        RawBsonRef::DateTime(date) => {
            out.push(DATE);
            out.extend_from_slice(&date.timestamp_millis().to_le_bytes());
        }
        RawBsonRef::Timestamp(timestamp) => {
            out.push(TIMESTAMP);
            out.extend_from_slice(&timestamp.time.to_le_bytes());
            out.extend_from_slice(&timestamp.increment.to_le_bytes());
        }
        RawBsonRef::Null => out.push(NULL),
        RawBsonRef::MinKey => out.push(MIN_KEY),
        RawBsonRef::MaxKey => out.push(MAX_KEY),
        // Deprecated types, some of which equal others, and code.
        _ => return None,
    }
    Some(())
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

fn integer(n: i64, out: &mut Vec<u8>) {
    out.push(INTEGER);
    out.extend_from_slice(&n.to_le_bytes());
}

fn double(n: f64, out: &mut Vec<u8>) {
    if n.is_nan() {
        out.push(NOT_A_NUMBER);
    } else if n.is_infinite() {
        out.push(if n > 0.0 { INFINITE } else { NEGATIVE_INFINITE });
    } else if n.fract() == 0.0 && n.abs() < 9e18 {
        // A whole number that fits, as was just checked.
        #[allow(clippy::cast_possible_truncation)]
        integer(n as i64, out);
    } else {
        // All digits, not only those that tell it from its neighbours: a decimal is equal to the double's exact value.
        let written = number(&format!("{n:.DIGITS$e}"), out);
        debug_assert!(written.is_some(), "a finite double is written as a number");
    }
}

/// A number from its decimal text, with or without point and exponent.
fn number(text: &str, out: &mut Vec<u8>) -> Option<()> {
    match text {
        "NaN" => out.push(NOT_A_NUMBER),
        "Infinity" => out.push(INFINITE),
        "-Infinity" => out.push(NEGATIVE_INFINITE),
        _ => {
            let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
            let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let exponent: i64 = exponent.parse().ok()?;
            let all = format!("{whole}{fraction}");
            let kept = all.trim_end_matches('0');
            let power = exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(all.len() - kept.len()).ok()?;
            let digits = kept.trim_start_matches('0');
            if digits.is_empty() {
                integer(0, out);
            } else if let Some(n) = as_integer(negative, digits, power) {
                integer(n, out);
            } else {
                out.extend_from_slice(&[NUMBER, negative.into()]);
                sized(digits.as_bytes(), out)?;
                out.extend_from_slice(&power.to_le_bytes());
            }
        }
    }
    Some(())
}

/// The number as a 64-bit integer, when it is one.
fn as_integer(negative: bool, digits: &str, power: i64) -> Option<i64> {
    let zeros = usize::try_from(power).ok()?;
    if digits.len() + zeros > 19 {
        return None;
    }
    let n: i128 = format!("{digits}{}", "0".repeat(zeros)).parse().ok()?;
    i64::try_from(if negative { -n } else { n }).ok()
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Decimal128, RawDocumentBuf, doc};

    use super::*;

    fn canonical(of: impl Into<Bson>) -> Vec<u8> {
        let document = RawDocumentBuf::try_from(&doc! {"": of.into()}).unwrap();
        let mut out = Vec::new();
        value(document.get("").unwrap().unwrap(), &mut out).unwrap();
        out
    }

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse::<Decimal128>().unwrap())
    }

    #[test]
    fn numbers_of_all_types_are_equal_by_value() {
        for same in [
            vec![Bson::Int32(1), Bson::Int64(1), Bson::Double(1.0), decimal("1"), decimal("1.0"), decimal("10E-1")],
            vec![Bson::Int32(0), Bson::Int64(0), Bson::Double(0.0), Bson::Double(-0.0), decimal("-0"), decimal("0E+5")],
            vec![Bson::Int64(-12_000), Bson::Double(-12_000.0), decimal("-1.2E+4")],
            vec![Bson::Double(0.5), decimal("0.5"), decimal("0.500")],
            vec![Bson::Int64(i64::MIN), decimal("-9223372036854775808"), Bson::Double(-9_223_372_036_854_775_808.0)],
            vec![Bson::Double(9_223_372_036_854_775_808.0), decimal("9223372036854775808")],
            vec![Bson::Double(1e30_f64), decimal("1000000000000000019884624838656")],
            vec![Bson::Double(f64::NAN), decimal("NaN")],
            vec![Bson::Double(f64::INFINITY), decimal("Infinity")],
            vec![Bson::Double(f64::NEG_INFINITY), decimal("-Infinity")],
        ] {
            let first = canonical(same[0].clone());
            assert!(same.iter().all(|other| canonical(other.clone()) == first), "{same:?}");
        }
    }

    #[test]
    fn what_is_near_is_not_equal() {
        assert_ne!(canonical(0.1), canonical(decimal("0.1")), "the double is a little more");
        assert_ne!(canonical(i64::MAX), canonical(9_223_372_036_854_775_808.0), "one more");
        assert_ne!(canonical(9_007_199_254_740_993_i64), canonical(9_007_199_254_740_992_f64));
        assert_ne!(canonical(1), canonical("1"));
        assert_ne!(canonical(1), canonical(true));
        assert_ne!(canonical(Bson::Null), canonical(0));
        assert_ne!(canonical(1e300), canonical(f64::INFINITY));
    }

    #[test]
    fn documents_are_equal_with_equal_fields_in_the_same_order() {
        assert_eq!(canonical(doc! {"a": 1, "b": [1.0, {"c": 2_i64}]}), canonical(doc! {"a": 1.0, "b": [1, {"c": 2}]}));
        assert_ne!(canonical(doc! {"a": 1, "b": 2}), canonical(doc! {"b": 2, "a": 1}));
        assert_ne!(canonical(doc! {"a": {"b": 1}}), canonical(doc! {"a": {}, "b": 1}));
        assert_ne!(canonical(doc! {"a": ["x", "y"]}), canonical(doc! {"a": ["xy"]}));
    }
}
