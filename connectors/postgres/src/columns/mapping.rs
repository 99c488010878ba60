//! What happens to the values of a column that has a rule.

use connect_api::{Kind, Schema, Text, Value};

use super::hash::Hash;
use super::{Declared, Rule};

/// The change of each value of one column.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// One value for all, also for null.
    Fixed(Value),
    /// The hash of the text, no longer than the column.
    Hash {
        hash: Hash,
        length: usize,
    },
    Truncate(usize),
}

impl Rule {
    /// The change of the values of a column; `None` leaves them as they are.
    pub fn mapping(&self, declared: &Declared, schema: &Schema) -> Option<Mapping> {
        match self {
            Self::Mask(length) if declared.is_text => Some(Mapping::Fixed(Value::from("*".repeat(*length)))),
            Self::Hash(hash) if declared.is_text => {
                let length = usize::try_from(declared.length).ok().filter(|&length| length > 0).unwrap_or(usize::MAX);
                Some(Mapping::Hash { hash: hash.clone(), length })
            }
            Self::Truncate(length) if declared.may_exceed(*length) => {
                // Decimals and bits are bytes here, but no bytes to the reference.
                let plain = schema.kind == Kind::Bytes && schema.name.is_none();
                (plain || schema.kind == Kind::String).then_some(Mapping::Truncate(*length))
            }
            _ => None,
        }
    }
}

impl Mapping {
    /// What a value becomes.
    pub fn apply(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Fixed(fixed), _) => fixed.clone(),
            (Self::Hash { hash, length }, Value::String(text)) => {
                let mut text = hash.of(&text);
                text.truncate(*length);
                Value::from(text)
            }
            (Self::Truncate(length), Value::String(text)) => Value::String(cut(text, *length)),
            (Self::Truncate(length), Value::Bytes(mut bytes)) => {
                bytes.truncate(*length);
                Value::Bytes(bytes)
            }
            (_, other) => other,
        }
    }
}

/// The first UTF-16 units of a text. A question mark stands for half of a pair, which no UTF-8 has.
fn cut(text: Text, units: usize) -> Text {
    // A text has no more units than bytes.
    if text.len() <= units {
        return text;
    }
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        match seen + c.len_utf16() {
            after if after > units && seen == units => return Text::from(&text[..at]),
            after if after > units => return Text::from(format!("{}?", &text[..at])),
            after => seen = after,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(length: i32, is_text: bool) -> Declared {
        Declared { type_name: "t".to_owned(), length, scale: Some(0), is_text }
    }

    #[test]
    fn masks_are_for_texts_and_cover_null() {
        let text = Schema::of(Kind::String);
        let mask = Rule::Mask(5).mapping(&declared(20, true), &text).expect("a text");
        assert_eq!(mask.apply(Value::Null), Value::from("*****"));
        assert_eq!(mask.apply(Value::from("beta")), Value::from("*****"));
        assert!(Rule::Mask(7).mapping(&declared(10, false), &Schema::of(Kind::Int32)).is_none());
    }

    #[test]
    fn hashes_are_as_long_as_the_column_at_most() {
        let hash = Rule::Hash(Hash::new("MD5", "xyz", true).expect("known"));
        let hash = hash.mapping(&declared(20, true), &Schema::of(Kind::String)).expect("a text");
        assert_eq!(hash.apply(Value::from("beta")), Value::from("ab4179064e2cb8a1360d"));
        assert_eq!(hash.apply(Value::Null), Value::Null);
    }

    #[test]
    fn texts_are_cut_where_java_cuts_them() {
        for (text, units, wanted) in [
            ("beta", 3, "bet"),
            ("bet", 3, "bet"),
            ("ünï", 2, "ün"),
            ("a😀b", 2, "a?"),
            ("a😀b", 3, "a😀"),
            ("x", 0, ""),
        ] {
            assert_eq!(cut(Text::from(text), units), wanted, "{text} to {units}");
        }
        let bytes = Schema::of(Kind::Bytes);
        let cut = Rule::Truncate(2).mapping(&declared(i32::MAX, false), &bytes).expect("bytes");
        assert_eq!(cut.apply(Value::Bytes(b"abc"[..].into())), Value::Bytes(b"ab"[..].into()));
        let decimal = Schema::of(Kind::Bytes).named("org.apache.kafka.connect.data.Decimal");
        assert!(Rule::Truncate(2).mapping(&declared(10, false), &decimal).is_none());
        assert!(Rule::Truncate(20).mapping(&declared(20, true), &Schema::of(Kind::String)).is_none());
    }
}
