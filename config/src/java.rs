//! How Java reads and prints numbers and patterns, where the difference to Rust is visible to users.

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

/// The message of `PatternSyntaxException` for a pattern that does not compile, `None` when it does.
///
/// The three mistakes that people make have Java's words. Look-around and back references are legal in Java.
pub fn regex_error(pattern: &str) -> Option<String> {
    let at_end = |what: &str| {
        let last = pattern.chars().count().saturating_sub(1);
        format!("{what} near index {last}\n{pattern}")
    };
    let error = regex_syntax_error(pattern)?;
    Some(match error {
        SyntaxError::UnclosedClass => {
            let last = pattern.chars().count().saturating_sub(1);
            format!("{}\n{}^", at_end("Unclosed character class"), " ".repeat(last))
        }
        SyntaxError::UnclosedGroup => {
            // Java points behind the pattern, and draws no caret there.
            format!("Unclosed group near index {}\n{pattern}", pattern.chars().count())
        }
        SyntaxError::Dangling(at, c) => {
            format!("Dangling meta character '{c}' near index {at}\n{pattern}\n{}^", " ".repeat(at))
        }
        SyntaxError::UnmatchedClose(at) => {
            format!("Unmatched closing ')' near index {}\n{pattern}", at.saturating_sub(1))
        }
        SyntaxError::Other(text) => text,
    })
}

enum SyntaxError {
    UnclosedClass,
    UnclosedGroup,
    Dangling(usize, char),
    UnmatchedClose(usize),
    Other(String),
}

fn regex_syntax_error(pattern: &str) -> Option<SyntaxError> {
    let error = match regex::Regex::new(pattern) {
        Ok(_) => return None,
        Err(regex::Error::Syntax(text)) => text,
        Err(other) => return Some(SyntaxError::Other(other.to_string())),
    };
    // What the regex crate refuses by design, and Java accepts.
    if error.contains("look-around") || error.contains("backreferences") || error.contains("unrecognized flag") {
        return None;
    }
    let kind = scan(pattern);
    Some(kind.unwrap_or_else(|| {
        let last_line = error.lines().last().unwrap_or("error: invalid pattern");
        SyntaxError::Other(last_line.trim_start_matches("error: ").to_owned())
    }))
}

/// Finds the mistake by walking over the pattern as Java's compiler does.
fn scan(pattern: &str) -> Option<SyntaxError> {
    let mut depth = 0_usize;
    let mut class_depth = 0_usize;
    let mut may_repeat = false;
    let mut chars = pattern.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
                may_repeat = true;
            }
            '[' => class_depth += 1,
            ']' if class_depth > 0 => {
                class_depth -= 1;
                may_repeat = true;
            }
            _ if class_depth > 0 => {}
            '(' => {
                depth += 1;
                may_repeat = false;
                if chars.peek().is_some_and(|(_, next)| *next == '?') {
                    chars.next();
                }
            }
            ')' if depth == 0 => return Some(SyntaxError::UnmatchedClose(at)),
            ')' => {
                depth -= 1;
                may_repeat = true;
            }
            '|' => may_repeat = false,
            '*' | '+' | '?' if !may_repeat => return Some(SyntaxError::Dangling(at, c)),
            _ => may_repeat = true,
        }
    }
    match (class_depth, depth) {
        (0, 0) => None,
        (0, _) => Some(SyntaxError::UnclosedGroup),
        _ => Some(SyntaxError::UnclosedClass),
    }
}
