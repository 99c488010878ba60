//! Values. They are physical: what a number means is the schema's name, exactly as on the wire.

use bytes::Bytes;
use num_bigint::BigInt;

use crate::schema::SchemaRef;
use crate::text::{SHORT_MAX, Text};

/// A value of any Connect type.
///
/// Long texts and bytes are slices that own their buffer: a value kept longer than its batch must be copied on purpose.
/// With a schema, logical types stay in their physical form. The last three variants stand for the Java objects that
/// occur where there is no schema to say what they mean.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(Text),
    Bytes(Bytes),
    Array(Vec<Value>),
    /// In iteration order, which for maps from schemaless JSON is that of Java's `HashMap`.
    Map(Vec<(Value, Value)>),
    Struct(Struct),
    /// `java.math.BigDecimal` without a schema.
    Decimal(Box<Decimal>),
    /// `java.util.Date` without a schema: milliseconds since the epoch.
    Date(i64),
    /// `java.math.BigInteger` without a schema.
    BigInt(Box<BigInt>),
}

/// An arbitrary-precision decimal: `unscaled * 10^-scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub unscaled: BigInt,
    pub scale: i32,
}

/// The values of a struct, by index; names live in the schema only.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    pub schema: SchemaRef,
    pub fields: Box<[Value]>,
}

const _: () = assert!(std::mem::size_of::<Value>() <= 40, "a value must stay small: rows are arrays of them");

impl Struct {
    /// A struct of all its fields, in order of the schema.
    ///
    /// # Panics
    /// In debug builds, when the number of fields is not the schema's.
    pub fn new(schema: SchemaRef, fields: Vec<Value>) -> Self {
        debug_assert_eq!(schema.fields().len(), fields.len(), "a struct has a value for each field");
        Self { schema, fields: fields.into_boxed_slice() }
    }

    /// The value of a field, `None` when the schema has no such field. Null is not replaced by the default.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(self.schema.index_of(name)?)
    }
}

impl Value {
    /// A text value, copied.
    pub fn string(text: &str) -> Self {
        Self::String(Text::from(text))
    }

    /// So many nulls, to be set one by one.
    pub fn nulls(count: usize) -> Vec<Self> {
        // A null that is cloned is looked at first.
        (0..count).map(|_| Self::Null).collect()
    }

    /// Assigns a value, mostly where there is none yet: then there is nothing to be dropped.
    #[inline(always)]
    pub fn set(&mut self, value: Self) {
        if !self.is_null() {
            *self = Self::Null;
        }
        // A null that is left to itself is nothing lost.
        std::mem::forget(std::mem::replace(self, value));
    }

    /// Assigns a part of a buffer as a text: as [`Text::of_part`], to where it belongs.
    #[inline(always)]
    pub fn set_part(&mut self, buffer: &Bytes, part: &str) {
        if part.len() > SHORT_MAX {
            return self.set(Self::String(Text::of_part(buffer, part)));
        }
        // What is written in one place and then moved to another is waited for.
        self.set(Self::String(Text::short()));
        if let Self::String(text) = self {
            text.fill(part);
        }
    }

    /// True for null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// How many values it holds, at any depth. What copies a value pays for these.
    pub fn held(&self) -> usize {
        let all = |list: &[Self]| list.iter().fold(list.len(), |sum, value| sum.saturating_add(value.held()));
        match self {
            Self::Array(list) => all(list),
            Self::Struct(of) => all(&of.fields),
            Self::Map(pairs) => pairs
                .iter()
                .fold(2 * pairs.len(), |sum, (key, value)| sum.saturating_add(key.held()).saturating_add(value.held())),
            _ => 0,
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The struct of a struct value.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(value) => Some(value),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Text::from(text))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int32(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int64(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_holds_is_counted_at_any_depth() {
        let list = Value::Array(vec![Value::Null, Value::Array(vec![1.into(), 2.into()])]);
        assert_eq!((Value::Int32(1).held(), list.held()), (0, 4));
        assert_eq!(Value::Map(vec![("a".into(), list)]).held(), 6);
    }
}
