//! Texts of values for messages: JSON as `BsonDocument.toJson` prints it, and Java's `toString`.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use bson::{Bson, Document};
use connect_api::{Datum, Value};

/// Texts in messages are cut here: a message is for reading.
const MAX_TEXT: usize = 2000;
/// The last millisecond of the year 9999.
const LAST_SPELLED_DATE: i64 = 253_402_300_799_999;

/// Relaxed Extended JSON with the JVM's spacing.
pub fn json(document: &Document) -> String {
    let mut out = String::new();
    let written = json_document(document, &mut out);
    debug_assert!(written.is_ok(), "writing into a string does not fail");
    out
}

fn json_document(document: &Document, out: &mut String) -> fmt::Result {
    out.push('{');
    for (index, (name, value)) in document.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(out, "{comma}{}: ", quoted(name))?;
        json_value(value, out)?;
    }
    out.push('}');
    Ok(())
}

fn json_value(value: &Bson, out: &mut String) -> fmt::Result {
    match value {
        Bson::Document(v) => json_document(v, out),
        Bson::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                json_value(element, out)?;
            }
            out.push(']');
            Ok(())
        }
        Bson::Double(v) if v.is_finite() => write!(out, "{v:?}"),
        Bson::Double(v) => write!(out, r#"{{"$numberDouble": "{}"}}"#, connect_api::java::text::double(*v)),
        Bson::String(v) => write!(out, "{}", quoted(v)),
        Bson::Boolean(v) => write!(out, "{v}"),
        Bson::Null => write!(out, "null"),
        Bson::Int32(v) => write!(out, "{v}"),
        Bson::Int64(v) => write!(out, "{v}"),
        Bson::ObjectId(v) => write!(out, r#"{{"$oid": "{v}"}}"#),
        Bson::Decimal128(v) => write!(out, r#"{{"$numberDecimal": "{v}"}}"#),
        Bson::DateTime(v) => match v.try_to_rfc3339_string() {
            // Relaxed JSON spells only the years from 1970 to 9999.
            Ok(text) if (0..=LAST_SPELLED_DATE).contains(&v.timestamp_millis()) => {
                write!(out, r#"{{"$date": "{text}"}}"#)
            }
            _ => write!(out, r#"{{"$date": {{"$numberLong": "{}"}}}}"#, v.timestamp_millis()),
        },
        Bson::Binary(v) => {
            let text = base64::engine::general_purpose::STANDARD.encode(&v.bytes);
            write!(out, r#"{{"$binary": {{"base64": "{text}", "subType": "{:02x}"}}}}"#, u8::from(v.subtype))
        }
        Bson::Timestamp(v) => write!(out, r#"{{"$timestamp": {{"t": {}, "i": {}}}}}"#, v.time, v.increment),
        Bson::RegularExpression(v) => {
            let (pattern, options) = (quoted(v.pattern.as_str()), quoted(v.options.as_str()));
            write!(out, r#"{{"$regularExpression": {{"pattern": {pattern}, "options": {options}}}}}"#)
        }
        Bson::JavaScriptCode(v) => write!(out, r#"{{"$code": {}}}"#, quoted(v)),
        Bson::JavaScriptCodeWithScope(v) => {
            write!(out, r#"{{"$code": {}, "$scope": {}}}"#, quoted(&v.code), json(&v.scope))
        }
        Bson::Symbol(v) => write!(out, r#"{{"$symbol": {}}}"#, quoted(v)),
        Bson::Undefined => write!(out, r#"{{"$undefined": true}}"#),
        Bson::MinKey => write!(out, r#"{{"$minKey": 1}}"#),
        Bson::MaxKey => write!(out, r#"{{"$maxKey": 1}}"#),
        Bson::DbPointer(_) => write!(out, r#"{{"$dbPointer": {{}}}}"#),
    }
}

fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

/// How Java prints a `BsonValue`, for the types that messages name.
pub fn bson_value_text(value: &Bson) -> String {
    match value {
        Bson::Int32(v) => format!("BsonInt32{{value={v}}}"),
        Bson::Int64(v) => format!("BsonInt64{{value={v}}}"),
        Bson::Double(v) => format!("BsonDouble{{value={v:?}}}"),
        Bson::Boolean(v) => format!("BsonBoolean{{value={v}}}"),
        Bson::String(v) => format!("BsonString{{value='{v}'}}"),
        Bson::Null => "BsonNull".to_owned(),
        Bson::ObjectId(v) => format!("BsonObjectId{{value={v}}}"),
        Bson::DateTime(v) => format!("BsonDateTime{{value={}}}", v.timestamp_millis()),
        Bson::Decimal128(v) => format!("BsonDecimal128{{value={v}}}"),
        Bson::Document(v) => json(v),
        Bson::Array(v) => {
            let elements: Vec<_> = v.iter().map(bson_value_text).collect();
            format!("BsonArray{{values=[{}]}}", elements.join(", "))
        }
        Bson::Binary(v) => {
            let bytes: Vec<_> = v.bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
            format!("BsonBinary{{type={}, data=[{}]}}", u8::from(v.subtype), bytes.join(", "))
        }
        other => other.to_string(),
    }
}

/// The name of a BSON type in messages (`org.bson.BsonType`).
pub fn bson_type(value: &Bson) -> &'static str {
    match value {
        Bson::Double(_) => "DOUBLE",
        Bson::String(_) => "STRING",
        Bson::Array(_) => "ARRAY",
        Bson::Document(_) => "DOCUMENT",
        Bson::Boolean(_) => "BOOLEAN",
        Bson::Null => "NULL",
        Bson::RegularExpression(_) => "REGULAR_EXPRESSION",
        Bson::JavaScriptCode(_) => "JAVASCRIPT",
        Bson::JavaScriptCodeWithScope(_) => "JAVASCRIPT_WITH_SCOPE",
        Bson::Int32(_) => "INT32",
        Bson::Int64(_) => "INT64",
        Bson::Timestamp(_) => "TIMESTAMP",
        Bson::Binary(_) => "BINARY",
        Bson::ObjectId(_) => "OBJECT_ID",
        Bson::DateTime(_) => "DATE_TIME",
        Bson::Symbol(_) => "SYMBOL",
        Bson::Decimal128(_) => "DECIMAL128",
        Bson::Undefined => "UNDEFINED",
        Bson::MaxKey => "MAX_KEY",
        Bson::MinKey => "MIN_KEY",
        Bson::DbPointer(_) => "DB_POINTER",
    }
}

/// The Java class that a value has on the JVM.
pub fn java_class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
        Value::Decimal(_) => "java.math.BigDecimal",
        Value::Date(_) => "java.util.Date",
        Value::BigInt(_) => "java.math.BigInteger",
    }
}

/// How Java prints a datum, cut to what a message bears.
pub fn java_text(datum: &Datum) -> String {
    let mut out = connect_api::java::display::text(&datum.value, datum.schema.as_ref());
    if out.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&end| out.is_char_boundary(end)).unwrap_or(0);
        out.truncate(end);
        out.push_str("...");
    }
    out
}
