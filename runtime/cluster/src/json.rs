//! JSON bytes as the JVM's converter writes them, for the records of the internal topics.
//!
//! Two differences from the usual writers: characters beyond the basic plane are escaped as two upper-case surrogates,
//! and floating-point numbers have Java's text. Order is kept.

use serde_json::Value;

/// Appends a string in quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || u32::from(c) > 0xffff => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a nullable string.
pub fn write_nullable(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.push_str("null"),
    }
}

/// Appends an object; values write themselves.
pub fn write_object<'a, V>(
    out: &mut String,
    entries: impl IntoIterator<Item = (&'a str, V)>,
    mut write_value: impl FnMut(&mut String, V),
) {
    out.push('{');
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

/// Appends any value.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => out.push_str(&n.to_string()),
            (_, Some(n), _) => out.push_str(&n.to_string()),
            (_, _, Some(n)) => out.push_str(&java_double(n)),
            _ => out.push_str("null"),
        },
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => write_object(out, map.iter().map(|(k, v)| (k.as_str(), v)), write_value),
    }
}

/// `Double.toString`, with the shortest digits that read back as the same number.
pub fn java_double(n: f64) -> String {
    let magnitude = n.abs();
    if n == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let text = format!("{n}");
        return if text.contains('.') { text } else { text + ".0" };
    }
    let text = format!("{n:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_jackson_does() {
        let mut out = String::new();
        write_string(&mut out, "é中😀a\n\t\"\\\u{1}/\u{7f}");
        assert_eq!(out, "\"é中\\uD83D\\uDE00a\\n\\t\\\"\\\\\\u0001/\u{7f}\"");
    }

    #[test]
    fn doubles_have_javas_text() {
        for (n, text) in [
            (1.5, "1.5"),
            (100.0, "100.0"),
            (1e7, "1.0E7"),
            (1e21, "1.0E21"),
            (1.2e-4, "1.2E-4"),
            (0.001, "0.001"),
            (-0.0, "-0.0"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            assert_eq!(java_double(n), text);
        }
    }
}
