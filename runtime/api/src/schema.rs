//! Schemas (`org.apache.kafka.connect.data.Schema`).
//!
//! A schema is shared by `Arc` and never changes. Converters and transforms keep what they derive from it in a
//! map keyed by the `Arc`'s address (holding the `Arc`), so equality is tried by pointer first.

use std::sync::{Arc, LazyLock};

use crate::java::equal;
use crate::value::Value;

/// A shared schema.
pub type SchemaRef = Arc<Schema>;

/// The shape of a schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array(SchemaRef),
    Map(SchemaRef, SchemaRef),
    Struct(Vec<Field>),
    /// No schema: of the elements of a list, or of the keys or values of a map, that have none in common
    /// (`Values.parseString` of `[]` and `[1,"a"]`). Only ever inside of an array or a map.
    Unknown,
}

impl Kind {
    /// The name in JSON schemas and messages: `int8`, `struct`, ...
    pub fn name(&self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array(_) => "array",
            Self::Map(..) => "map",
            Self::Struct(_) => "struct",
            Self::Unknown => "null",
        }
    }

    /// The same with nothing known of what is inside (`new SchemaBuilder(type)`): an array of unknown elements, a struct
    /// without fields.
    #[must_use]
    pub fn hollow(&self) -> Self {
        match self {
            Self::Array(_) => Self::Array(Schema::unknown()),
            Self::Map(..) => Self::Map(Schema::unknown(), Schema::unknown()),
            Self::Struct(_) => Self::Struct(Vec::new()),
            scalar => scalar.clone(),
        }
    }

    /// True when the two have the same `Schema.Type`, whatever is inside.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A field of a struct; its index is its place in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub schema: SchemaRef,
}

impl Field {
    /// A field of a schema.
    pub fn new(name: impl Into<Arc<str>>, schema: SchemaRef) -> Self {
        Self { name: name.into(), schema }
    }
}

/// A schema. `parameters` tells none from empty, as Connect's equality does. Their order is kept, but does not matter to
/// equality.
#[derive(Clone, Debug)]
pub struct Schema {
    pub kind: Kind,
    pub optional: bool,
    pub name: Option<Arc<str>>,
    pub version: Option<i32>,
    pub doc: Option<Arc<str>>,
    pub parameters: Option<Vec<(Arc<str>, Arc<str>)>>,
    /// In physical form; `None` is "no default".
    pub default: Option<Value>,
}

/// Names of Connect's logical types.
pub mod logical {
    /// `bytes` with parameter `scale`: big-endian two's-complement unscaled value.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// `int32`: days since the epoch.
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// `int32`: milliseconds since midnight.
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// `int64`: milliseconds since the epoch.
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
}

/// `ConnectSchema.equals`.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        self.optional == other.optional
            && self.version == other.version
            && self.name == other.name
            && self.doc == other.doc
            && equal::parameters(self, other)
            && self.kind == other.kind
            && match (&self.default, &other.default) {
                (Some(own), Some(others)) => equal::values(own, others),
                (None, None) => true,
                _ => false,
            }
    }
}

impl Schema {
    /// The schema that is none, for what is inside of an array or a map. It is shared.
    pub fn unknown() -> SchemaRef {
        static UNKNOWN: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::Unknown).shared());
        Arc::clone(&UNKNOWN)
    }

    /// A required schema with nothing but its kind.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, optional: false, name: None, version: None, doc: None, parameters: None, default: None }
    }

    /// The required schema of a struct.
    pub fn structure(fields: Vec<Field>) -> Self {
        Self::of(Kind::Struct(fields))
    }

    /// The same, optional.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same with a version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.version = Some(version);
        self
    }

    /// The same with a default in physical form.
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        self.default = Some(value);
        self
    }

    /// The same with one more parameter, or with another value for one that it has.
    #[must_use]
    pub fn parameter(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        let (key, value) = (key.into(), value.into());
        let parameters = self.parameters.get_or_insert_default();
        match parameters.iter_mut().find(|(other, _)| *other == key) {
            Some(found) => found.1 = value,
            None => parameters.push((key, value)),
        }
        self
    }

    /// The value of a parameter.
    pub fn get_parameter(&self, key: &str) -> Option<&str> {
        self.parameters.as_ref()?.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    /// Shared.
    pub fn shared(self) -> SchemaRef {
        Arc::new(self)
    }

    /// The fields of a struct, none for other kinds.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// The index of a field.
    pub fn index_of(&self, field: &str) -> Option<usize> {
        self.fields().iter().position(|f| &*f.name == field)
    }

    /// True for the schema that is none.
    pub fn is_unknown(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// True for a schema of this logical name.
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_that_of_connect() {
        let plain = || Schema::of(Kind::Int32);
        assert_eq!(plain().parameter("a", "1").parameter("b", "2"), plain().parameter("b", "2").parameter("a", "1"));
        assert_ne!(plain(), Schema { parameters: Some(Vec::new()), ..plain() });
        assert_ne!(plain(), Schema { doc: Some("d".into()), ..plain() });
        assert_ne!(plain(), plain().optional());
        let float = |default| Schema::of(Kind::Float64).default_value(Value::Float64(default));
        assert_eq!(float(f64::NAN), float(f64::NAN));
        assert_ne!(float(0.0), float(-0.0));
    }

    #[test]
    fn a_parameter_given_twice_has_the_last_value_in_the_first_place() {
        let schema = Schema::of(Kind::Int32).parameter("a", "1").parameter("b", "2").parameter("a", "3");
        assert_eq!(schema.parameters, Some(vec![("a".into(), "3".into()), ("b".into(), "2".into())]));
    }
}
