//! How Java reads and prints numbers, where the difference to Rust is visible to users.

pub use crate::java_pattern::regex_error;

/// The text of a double as `Double.toString` prints it: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        return format!("{digits}{point}E{exponent}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// `Double.parseDouble`: a decimal or hexadecimal number, `NaN` or `Infinity`, with an optional type suffix.
pub fn parse_double(text: &str) -> Option<f64> {
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let (negative, body) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let magnitude = match body {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let number = body.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(body);
            match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
                Some(hex) => parse_hex_double(hex)?,
                // Rust also knows "inf" and "nan"; Java's grammar has digits, a point and an exponent only.
                None if number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
                    && number.starts_with(|c: char| c.is_ascii_digit() || c == '.') =>
                {
                    number.parse().ok()?
                }
                None => return None,
            }
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `h.hp±d` without the `0x`; at most 16 significant digits, which no configuration exceeds.
fn parse_hex_double(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let bits = u64::from_str_radix(&digits, 16).ok()?;
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    #[allow(clippy::cast_precision_loss)]
    Some(bits as f64 * f64::from(exponent.checked_sub(shift)?).exp2())
}

/// First characters of the decimal digits that Java's `Character.digit` knows, outside ASCII.
const DIGIT_ZEROS: [u32; 36] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20,
    0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// `Long.parseLong`: an optional sign and digits of any script.
pub fn parse_long(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii()) {
        // The same grammar: an optional sign and digits.
        return text.parse().ok();
    }
    let plain: Option<String> = text
        .chars()
        .map(|c| {
            let code = u32::from(c);
            match DIGIT_ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)) {
                Some(zero) => char::from_digit(code - zero, 10),
                None => c.is_ascii().then_some(c),
            }
        })
        .collect();
    plain?.parse().ok()
}
