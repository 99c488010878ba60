//! Values as text (`Values.convertToString`): scalars bare, what is inside of something quoted.

use super::temporal;
use super::zone::Zone;
use crate::java::text;
use crate::schema::{Kind, SchemaRef, logical};
use crate::value::Value;

/// The text of a value, physical by the schema or an object without one; nothing for null.
pub fn convert_to_string(schema: Option<&SchemaRef>, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let mut out = String::new();
    write(schema, value, false, &mut out);
    Some(out)
}

fn write(schema: Option<&SchemaRef>, value: &Value, embedded: bool, out: &mut String) {
    let logical = schema.and_then(|schema| schema.name.as_deref());
    match (value, logical) {
        (Value::Int32(days), Some(logical::DATE)) => write_date(i64::from(*days) * temporal::DAY_MS, out),
        (Value::Int32(millis), Some(logical::TIME)) => write_date(i64::from(*millis), out),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) | (Value::Date(millis), _) => write_date(*millis, out),
        (Value::Bytes(bytes), Some(logical::DECIMAL)) => {
            let scale = schema.and_then(|schema| schema.get_parameter("scale")).and_then(|scale| scale.parse().ok());
            text::write_decimal(&num_bigint::BigInt::from_signed_bytes_be(bytes), scale.unwrap_or(0), out);
        }
        (Value::String(text), _) if embedded => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
        (Value::Bytes(bytes), _) => {
            let quote = if embedded { "\"" } else { "" };
            out.push_str(quote);
            write_base64(bytes, out);
            out.push_str(quote);
        }
        (Value::Array(list), _) => {
            let element = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(element)) => Some(element),
                _ => None,
            };
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                separate(i, out);
                write(element, value, true, out);
            }
            out.push(']');
        }
        (Value::Map(pairs), _) => {
            let (keys, values) = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(keys, values)) => (Some(keys), Some(values)),
                _ => (None, None),
            };
            out.push('{');
            for (i, (key, value)) in pairs.iter().enumerate() {
                separate(i, out);
                write(keys, key, true, out);
                out.push(':');
                write(values, value, true, out);
            }
            out.push('}');
        }
        (Value::Struct(structure), _) => {
            out.push('{');
            for (i, (field, value)) in structure.schema.fields().iter().zip(&structure.fields).enumerate() {
                separate(i, out);
                write(None, &Value::string(&field.name), true, out);
                out.push(':');
                let default = field.schema.default.as_ref().filter(|_| value.is_null());
                write(Some(&field.schema), default.unwrap_or(value), true, out);
            }
            out.push('}');
        }
        _ => crate::java::display::write(value, schema, out),
    }
}

fn write_date(millis: i64, out: &mut String) {
    temporal::write(millis, &Zone::of_process(), out);
}

fn separate(place: usize, out: &mut String) {
    if place > 0 {
        out.push(',');
    }
}

fn write_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) & 63;
            out.push(if place <= group.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_quoted() {
        let map = Value::Map(vec![
            (1.into(), "a\"b\\".into()),
            (Value::Null, Value::Bytes(vec![1, 2].into())),
            ("d".into(), Value::Date(0)),
        ]);
        assert_eq!(convert_to_string(None, &map).unwrap(), r#"{1:"a\"b\\",null:"AQI=","d":00:00:00.000Z}"#);
        assert_eq!(convert_to_string(None, &"say \"hi\"".into()).unwrap(), "say \"hi\"");
        assert_eq!(convert_to_string(None, &Value::Bytes(vec![1].into())).unwrap(), "AQ==");
    }
}
