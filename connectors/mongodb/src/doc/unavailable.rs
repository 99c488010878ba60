//! What stands for a large value that the source did not read (`unavailable.value.placeholder`).
//!
//! Postgres does not repeat a large value in its log when an update leaves it alone. Debezium then puts a placeholder in
//! its place, in a form that the column's type can hold.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bson::spec::BinarySubtype;
use bson::{Bson, Document};
use connect_api::Value;
use md5::{Digest, Md5};

use super::view::{DocRef, NodeRef};

/// Recognises the placeholder.
#[derive(Clone, Debug)]
pub struct Unavailable {
    /// The placeholder itself comes first, then its bytes in the spellings of `binary.handling.mode`, an hstore as JSON,
    /// and the UUID that stands in arrays of UUIDs.
    texts: Vec<String>,
    bytes: Vec<u8>,
}

impl Unavailable {
    /// Of the source's setting: a text, or `hex:` and the digits of bytes.
    pub fn new(setting: &str) -> Self {
        let bytes = bytes(setting);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let quoted = serde_json::Value::from(text.as_str());
        let mut texts = vec![text];
        for spelling in [
            STANDARD.encode(&bytes),
            URL_SAFE.encode(&bytes),
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            format!("{{{quoted}:{quoted}}}"),
            name_uuid(&bytes),
        ] {
            if !texts.contains(&spelling) {
                texts.push(spelling);
            }
        }
        Self { texts, bytes }
    }

    /// True for the placeholder of any type that can hold one.
    pub fn is(&self, node: NodeRef<'_>) -> bool {
        match node {
            NodeRef::Value(value, _) => self.is_value(value),
            NodeRef::Tree(value) => self.is_bson(value),
        }
    }

    /// True when a field of the document is the placeholder, or one of the documents in it. Elements of arrays don't
    /// count: which stored element one would leave as it is can't be told.
    pub fn within(&self, document: DocRef<'_>) -> bool {
        document.any(|_, node| self.is(node) || node.as_doc().is_some_and(|inner| self.within(inner)))
    }

    /// The same of a Connect value.
    pub fn is_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_text(text),
            Value::Bytes(bytes) => self.bytes == bytes[..],
            Value::Array(elements) => match elements.as_slice() {
                [element @ (Value::String(_) | Value::Bytes(_))] => self.is_value(element),
                elements => self.are_codes(elements, |element| match element {
                    Value::Int16(number) => Some((*number).into()),
                    Value::Int32(number) => Some((*number).into()),
                    Value::Int64(number) => Some(*number),
                    _ => None,
                }),
            },
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => self.is_entry(key.as_str(), value.as_str()),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_bson(&self, value: &Bson) -> bool {
        match value {
            Bson::String(text) => self.is_text(text),
            Bson::Binary(binary) => binary.subtype == BinarySubtype::Generic && binary.bytes == self.bytes,
            Bson::Array(elements) => match elements.as_slice() {
                [element @ (Bson::String(_) | Bson::Binary(_))] => self.is_bson(element),
                elements => self.are_codes(elements, |element| match element {
                    Bson::Int32(number) => Some((*number).into()),
                    Bson::Int64(number) => Some(*number),
                    _ => None,
                }),
            },
            Bson::Document(document) => self.is_only_entry(document),
            _ => false,
        }
    }

    fn is_text(&self, text: &str) -> bool {
        self.texts.iter().any(|known| known == text)
    }

    fn is_only_entry(&self, document: &Document) -> bool {
        let mut entries = document.iter();
        match (entries.next(), entries.next()) {
            (Some((key, value)), None) => self.is_entry(Some(key), value.as_str()),
            _ => false,
        }
    }

    /// An hstore that is read as a map.
    fn is_entry(&self, key: Option<&str>, value: Option<&str>) -> bool {
        let text = self.texts.first().map(String::as_str);
        text.is_some() && key == text && value == text
    }

    /// Arrays of numbers have the bytes of the placeholder, with Java's sign.
    fn are_codes<T>(&self, elements: &[T], number: impl Fn(&T) -> Option<i64>) -> bool {
        !elements.is_empty()
            && elements.len() == self.bytes.len()
            && elements
                .iter()
                .zip(&self.bytes)
                .all(|(element, byte)| number(element) == Some(byte.cast_signed().into()))
    }
}

/// The bytes that a setting means.
fn bytes(setting: &str) -> Vec<u8> {
    let digits = setting.strip_prefix("hex:").or_else(|| setting.strip_prefix("HEX:"));
    let pairs = digits.and_then(|digits| {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    });
    pairs.unwrap_or_else(|| setting.as_bytes().to_vec())
}

/// The UUID of a name (version 3 without a name space), as `UUID.nameUUIDFromBytes` makes it.
fn name_uuid(name: &[u8]) -> String {
    let mut hash: [u8; 16] = Md5::digest(name).into();
    hash[6] = hash[6] & 0x0f | 0x30;
    hash[8] = hash[8] & 0x3f | 0x80;
    uuid::Uuid::from_bytes(hash).to_string()
}

#[cfg(test)]
mod tests {
    use bson::bson;
    use connect_api::{Bytes, Datum};

    use super::super::{Side, Which};
    use super::*;

    const TEXT: &str = "__debezium_unavailable_value";

    fn codes() -> Vec<Value> {
        TEXT.bytes().map(|byte| Value::Int32(byte.into())).collect()
    }

    #[test]
    fn every_form_of_the_placeholder_is_known() {
        let unavailable = Unavailable::new(TEXT);
        let text = || Value::from(TEXT);
        for value in [
            text(),
            Value::Bytes(Bytes::from_static(TEXT.as_bytes())),
            Value::from("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
            Value::from("5f5f646562657a69756d5f756e617661696c61626c655f76616c7565"),
            Value::from(r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#),
            Value::Map(vec![(text(), text())]),
            Value::Array(vec![text()]),
            Value::Array(vec![Value::Bytes(Bytes::from_static(TEXT.as_bytes()))]),
            Value::Array(vec![Value::from("b68a35a7-17ad-35b3-af2a-ae46edb4545a")]),
            Value::Array(codes()),
            Value::Array(TEXT.bytes().map(|byte| Value::Int64(byte.into())).collect()),
        ] {
            assert!(unavailable.is_value(&value), "{value:?}");
            // The same after a detour over a tree.
            let document = Datum::schemaless(Value::Map(vec![(Value::from("f"), value)]));
            let tree = Side::new(&document, Which::Value).tree().unwrap().unwrap();
            assert!(unavailable.is(NodeRef::Tree(tree.get("f").unwrap())), "{tree}");
        }
    }

    #[test]
    fn other_values_are_not_taken_for_it() {
        let unavailable = Unavailable::new(TEXT);
        let mut short = codes();
        short.pop();
        for value in [
            Value::Null,
            Value::from(""),
            Value::from("__debezium_unavailable_value "),
            Value::Bytes(Bytes::new()),
            Value::Array(Vec::new()),
            Value::Array(vec![Value::from(TEXT), Value::from(TEXT)]),
            Value::Array(vec![Value::Array(vec![Value::from(TEXT)])]),
            Value::Array(short),
            Value::Map(Vec::new()),
            Value::Map(vec![(Value::from(TEXT), Value::from("x"))]),
            Value::Map(vec![(Value::from("x"), Value::from(TEXT))]),
        ] {
            assert!(!unavailable.is_value(&value), "{value:?}");
        }
        assert!(!unavailable.is(NodeRef::Tree(&bson!({}))));
        assert!(!unavailable.is(NodeRef::Tree(&bson!([]))));
    }

    #[test]
    fn a_setting_may_spell_bytes() {
        let unavailable = Unavailable::new("hex:DEADbeef");
        assert!(unavailable.is_value(&Value::Bytes(Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]))));
        assert!(unavailable.is_value(&Value::from("3q2+7w==")) && unavailable.is_value(&Value::from("3q2-7w==")));
        let signed = [-34, -83, -66, -17].map(Value::Int32).to_vec();
        assert!(unavailable.is_value(&Value::Array(signed)));
        assert!(Unavailable::new("hex:xy").is_value(&Value::from("hex:xy")));
    }

    #[test]
    fn documents_within_documents_are_looked_into_but_not_arrays() {
        let unavailable = Unavailable::new(TEXT);
        let within = |document: Document| unavailable.within(DocRef::Tree(&document));
        assert!(within(bson::doc! {"a": 1, "b": {"c": {"d": TEXT}}}));
        assert!(within(bson::doc! {"a": [TEXT]}));
        assert!(!within(bson::doc! {"a": [{"b": TEXT}], "c": 1}));
    }
}
