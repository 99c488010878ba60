//! Texts that tell their own type.

use connect_api::{Value, values as connect_values};

/// The text of a header, or of anything else that tells its own type.
pub fn parse_string(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // What is nested too deeply is an error.
    let Ok(datum) = connect_values::parse_string(&text) else { return };
    let (values, bytes) = size(&datum.value);
    assert!(values <= text.len() + 1 && bytes <= text.len(), "what was read is no larger than its text");
    let written = connect_values::convert_to_string(datum.schema.as_ref(), &datum.value);
    assert_eq!(written.is_none(), datum.value.is_null());
}

/// The number of values in a value, and the bytes of its texts and decimals.
fn size(value: &Value) -> (usize, usize) {
    let add = |sum: (usize, usize), part: &Value| {
        let (values, bytes) = size(part);
        (sum.0 + values, sum.1 + bytes)
    };
    match value {
        Value::String(text) => (1, text.len()),
        Value::Bytes(bytes) => (1, bytes.len()),
        Value::Array(list) => list.iter().fold((1, 0), add),
        Value::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).fold((1, 0), add),
        _ => (1, 0),
    }
}
