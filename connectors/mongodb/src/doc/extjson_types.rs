//! What `{"$oid": ..}` and `ObjectId(..)` stand for.

use base64::Engine as _;
use bson::oid::ObjectId;
use bson::raw::CString;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document};
use connect_api::Error;

use super::extjson_lex::{Token, parse_error};

/// The calls that [`call`] knows.
pub(super) const CONSTRUCTORS: [&str; 14] = [
    "ObjectId",
    "ISODate",
    "Date",
    "NumberLong",
    "NumberInt",
    "NumberDecimal",
    "BinData",
    "HexData",
    "UUID",
    "GUID",
    "Timestamp",
    "RegExp",
    "DBPointer",
    "Double",
];

/// Turns a document that spells a type into its value; any other stays as it is.
pub(super) fn special(document: Document) -> Result<Bson, Error> {
    let Some((name, value)) = document.iter().next() else { return Ok(Bson::Document(document)) };
    let text = value.as_str();
    let converted = match (name.as_str(), text) {
        ("$oid", Some(text)) => Some(object_id(text)?),
        ("$numberLong", Some(text)) => Some(Bson::Int64(number(text)?)),
        ("$numberInt", Some(text)) => Some(Bson::Int32(number(text)?)),
        ("$numberDouble", Some(text)) => Some(Bson::Double(double(text)?)),
        ("$numberDecimal", Some(text)) => Some(decimal(text)?),
        ("$symbol", Some(text)) => Some(Bson::String(text.to_owned())),
        ("$uuid", Some(text)) => Some(uuid(text)?),
        ("$undefined", _) => Some(Bson::Null),
        ("$minKey", _) => Some(Bson::MinKey),
        ("$maxKey", _) => Some(Bson::MaxKey),
        ("$code", Some(code)) => Some(code_value(code, document.get("$scope"))),
        ("$date", _) => Some(date(value)?),
        ("$binary", _) => binary(&document)?,
        ("$type", _) if document.contains_key("$binary") => binary(&document)?,
        ("$timestamp", _) => timestamp(value),
        ("$regularExpression", _) => match value {
            Bson::Document(inner) => match (inner.get_str("pattern"), inner.get_str("options")) {
                (Ok(pattern), Ok(options)) => Some(regex(pattern, options)?),
                _ => None,
            },
            _ => None,
        },
        ("$regex", Some(pattern)) => match document.get_str("$options") {
            Ok(options) => Some(regex(pattern, options)?),
            Err(_) => None,
        },
        _ => None,
    };
    Ok(converted.unwrap_or(Bson::Document(document)))
}

/// The value of a call.
pub(super) fn call(name: &str, arguments: &[Token]) -> Result<Bson, Error> {
    let text = |index: usize| match arguments.get(index) {
        Some(Token::Text(text)) => Some(text.clone()),
        Some(token @ (Token::Int32(_) | Token::Int64(_) | Token::Double(_))) => Some(token.shown()),
        _ => None,
    };
    let first = text(0);
    let wrong = || parse_error(format!("JSON reader was expecting other arguments of '{name}'."));
    Ok(match (name, first) {
        ("ObjectId", Some(text)) => object_id(&text)?,
        ("ObjectId", None) => Bson::ObjectId(ObjectId::new()),
        ("Date" | "ISODate", None) => Bson::DateTime(DateTime::now()),
        ("Date" | "ISODate", Some(text)) => match text.parse() {
            Ok(millis) => Bson::DateTime(DateTime::from_millis(millis)),
            Err(_) => date_text(&text)?,
        },
        ("NumberLong", Some(text)) => Bson::Int64(number(&text)?),
        ("NumberInt", Some(text)) => Bson::Int32(number(&text)?),
        ("Double", Some(text)) => Bson::Double(double(&text)?),
        ("NumberDecimal", Some(text)) => decimal(&text)?,
        ("UUID" | "GUID", Some(text)) => uuid(&text)?,
        ("RegExp", Some(pattern)) => regex(&pattern, &text(1).unwrap_or_default())?,
        ("Timestamp", Some(time)) => {
            Bson::Timestamp(bson::Timestamp { time: number(&time)?, increment: number(&text(1).ok_or_else(wrong)?)? })
        }
        ("BinData", Some(subtype)) => {
            let bytes = base64_bytes(&text(1).ok_or_else(wrong)?)?;
            Bson::Binary(Binary { subtype: BinarySubtype::from(number::<u8>(&subtype)?), bytes })
        }
        ("HexData", Some(subtype)) => {
            let bytes = hex(&text(1).ok_or_else(wrong)?)?;
            Bson::Binary(Binary { subtype: BinarySubtype::from(number::<u8>(&subtype)?), bytes })
        }
        _ => return Err(wrong()),
    })
}

/// A regular expression.
pub(super) fn regex(pattern: &str, options: &str) -> Result<Bson, Error> {
    let mut sorted: Vec<char> = options.chars().collect();
    sorted.sort_unstable();
    let part = |text: String| CString::try_from(text).map_err(|error| parse_error(error.to_string()));
    Ok(Bson::RegularExpression(bson::Regex {
        pattern: part(pattern.to_owned())?,
        options: part(sorted.into_iter().collect())?,
    }))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| parse_error(format!("Exception converting value '{text}' to a number")))
}

fn double(text: &str) -> Result<f64, Error> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        other => number(other),
    }
}

fn decimal(text: &str) -> Result<Bson, Error> {
    text.parse()
        .map(Bson::Decimal128)
        .map_err(|_| parse_error(format!("Exception converting value '{text}' to type org.bson.types.Decimal128")))
}

fn object_id(text: &str) -> Result<Bson, Error> {
    ObjectId::parse_str(text)
        .map(Bson::ObjectId)
        .map_err(|_| parse_error(format!("invalid hexadecimal representation of an ObjectId: [{text}]")))
}

fn uuid(text: &str) -> Result<Bson, Error> {
    bson::Uuid::parse_str(text)
        .map(|uuid| Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.bytes().to_vec() }))
        .map_err(|_| parse_error(format!("Invalid UUID string: {text}")))
}

fn code_value(code: &str, scope: Option<&Bson>) -> Bson {
    match scope {
        Some(Bson::Document(scope)) => {
            Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: code.to_owned(), scope: scope.clone() })
        }
        _ => Bson::JavaScriptCode(code.to_owned()),
    }
}

fn date(value: &Bson) -> Result<Bson, Error> {
    match value {
        Bson::String(text) => date_text(text),
        Bson::Int64(millis) => Ok(Bson::DateTime(DateTime::from_millis(*millis))),
        Bson::Int32(millis) => Ok(Bson::DateTime(DateTime::from_millis((*millis).into()))),
        other => Err(parse_error(format!("JSON reader expected an integer or string but found '{other}'."))),
    }
}

fn date_text(text: &str) -> Result<Bson, Error> {
    let full = if text.len() == "2020-01-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    DateTime::parse_rfc3339_str(&full)
        .map(Bson::DateTime)
        .map_err(|_| parse_error(format!("Failed to parse string as a date: '{text}'")))
}

/// Both spellings of binary data: a sub-document, and `$binary` beside `$type`.
fn binary(document: &Document) -> Result<Option<Bson>, Error> {
    let (bytes, subtype) = match document.get("$binary") {
        Some(Bson::Document(inner)) => match (inner.get_str("base64"), inner.get_str("subType")) {
            (Ok(bytes), Ok(subtype)) => (bytes, subtype.to_owned()),
            _ => return Ok(None),
        },
        Some(Bson::String(bytes)) => match document.get("$type") {
            Some(Bson::String(subtype)) => (bytes.as_str(), subtype.clone()),
            Some(Bson::Int32(subtype)) => (bytes.as_str(), format!("{subtype:x}")),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let subtype = u8::from_str_radix(&subtype, 16)
        .map_err(|_| parse_error(format!("Exception converting value '{subtype}' to a binary subtype")))?;
    Ok(Some(Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes: base64_bytes(bytes)? })))
}

fn timestamp(value: &Bson) -> Option<Bson> {
    let inner = value.as_document()?;
    let part = |name| match inner.get(name) {
        Some(Bson::Int32(n)) => u32::try_from(*n).ok(),
        Some(Bson::Int64(n)) => u32::try_from(*n).ok(),
        _ => None,
    };
    Some(Bson::Timestamp(bson::Timestamp { time: part("t")?, increment: part("i")? }))
}

fn base64_bytes(text: &str) -> Result<Vec<u8>, Error> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| parse_error(format!("Invalid base64 text '{text}'")))
}

fn hex(text: &str) -> Result<Vec<u8>, Error> {
    let invalid = || parse_error(format!("Invalid hexadecimal text '{text}'"));
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(invalid());
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| invalid())).collect()
}
