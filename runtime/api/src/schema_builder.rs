//! Schemas made step by step, refusing what Connect refuses (`SchemaBuilder`).
//!
//! A schema that is known to be right is written with the methods of [`Schema`]; this is for what comes from outside. The
//! unknown schema stands for Java's null.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::java::equal;
use crate::schema::{Field, Kind, Schema, SchemaRef};
use crate::validate;
use crate::value::Value;
use crate::values::physical;

/// A schema in the making. Everything can be set once.
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    schema: Schema,
    optional: Option<bool>,
    names: HashSet<Arc<str>>,
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Schema, message)
}

/// Setting what is set already is an error, unless to the same.
fn set<T: PartialEq>(what: &str, place: &mut Option<T>, value: T) -> Result<()> {
    if place.as_ref().is_some_and(|set| *set != value) {
        return Err(already_set(what));
    }
    *place = Some(value);
    Ok(())
}

fn already_set(what: &str) -> Error {
    refused(format!("Invalid SchemaBuilder call: {what} has already been set."))
}

impl SchemaBuilder {
    /// A schema of a type: nothing is known of what is inside of it, and a struct has no fields yet.
    pub fn new(kind: Kind) -> Result<Self> {
        if kind == Kind::Unknown {
            return Err(refused("type cannot be null"));
        }
        Ok(Self { schema: Schema::of(kind.hollow()), optional: None, names: HashSet::new() })
    }

    /// An array of elements.
    pub fn array(element: SchemaRef) -> Result<Self> {
        if element.is_unknown() {
            return Err(refused("valueSchema cannot be null."));
        }
        Ok(Self { schema: Schema::of(Kind::Array(element)), optional: None, names: HashSet::new() })
    }

    /// A map of keys and values.
    pub fn map(keys: SchemaRef, values: SchemaRef) -> Result<Self> {
        if keys.is_unknown() {
            return Err(refused("keySchema cannot be null."));
        }
        if values.is_unknown() {
            return Err(refused("valueSchema cannot be null."));
        }
        Ok(Self { schema: Schema::of(Kind::Map(keys, values)), optional: None, names: HashSet::new() })
    }

    /// Null is a value.
    pub fn optional(mut self) -> Result<Self> {
        set("optional", &mut self.optional, true)?;
        Ok(self)
    }

    /// Null is none.
    pub fn required(mut self) -> Result<Self> {
        set("optional", &mut self.optional, false)?;
        Ok(self)
    }

    /// The name, which may say what the values mean.
    pub fn name(mut self, name: &str) -> Result<Self> {
        set("name", &mut self.schema.name, name.into())?;
        Ok(self)
    }

    /// The version of what the name stands for.
    pub fn version(mut self, version: i32) -> Result<Self> {
        set("version", &mut self.schema.version, version)?;
        Ok(self)
    }

    /// What people should know.
    pub fn doc(mut self, doc: &str) -> Result<Self> {
        set("doc", &mut self.schema.doc, doc.into())?;
        Ok(self)
    }

    /// The default, as an object or in physical form. It has to fit what is set so far. A struct never does: Connect
    /// compares its schema with the builder.
    pub fn default_value(mut self, value: Value) -> Result<Self> {
        let own = self.clone().build();
        let value = physical(&own, value);
        if self.schema.default.as_ref().is_some_and(|set| !equal::values(set, &value)) {
            return Err(already_set("default"));
        }
        let fits = match &value {
            Value::Struct(_) if matches!(own.kind, Kind::Struct(_)) => Err(Error::data("Struct schemas do not match.")),
            value => validate::value(&own, value),
        };
        fits.map_err(|cause| refused("Invalid default value").caused_by(cause))?;
        self.schema.default = Some(value).filter(|value| !value.is_null());
        Ok(self)
    }

    /// One more parameter, or another value for one that there is.
    #[must_use]
    pub fn parameter(mut self, key: &str, value: &str) -> Self {
        self.schema = self.schema.parameter(key, value);
        self
    }

    /// More parameters. None at all leave the schema without parameters, not with an empty set of them.
    #[must_use]
    pub fn parameters<'a>(self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        parameters.into_iter().fold(self, |builder, (key, value)| builder.parameter(key, value))
    }

    /// One more field of a struct.
    pub fn field(mut self, name: &str, schema: SchemaRef) -> Result<Self> {
        let Kind::Struct(fields) = &mut self.schema.kind else {
            return Err(refused(format!("Cannot create fields on type {}", self.schema.kind.java_name())));
        };
        if name.is_empty() {
            return Err(refused("fieldName cannot be null."));
        }
        if schema.is_unknown() {
            return Err(refused(format!("fieldSchema for field {name} cannot be null.")));
        }
        let field = Field::new(name, schema);
        if !self.names.insert(Arc::clone(&field.name)) {
            return Err(refused(format!("Cannot create field because of field name duplication {name}")));
        }
        fields.push(field);
        Ok(self)
    }

    /// The schema.
    pub fn build(self) -> SchemaRef {
        Schema { optional: self.optional.unwrap_or(false), ..self.schema }.shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::logical;

    fn int32() -> SchemaBuilder {
        SchemaBuilder::new(Kind::Int32).unwrap()
    }

    fn message(result: Result<SchemaBuilder>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.java_class(), "org.apache.kafka.connect.errors.SchemaBuilderException");
        error.message().to_owned()
    }

    #[test]
    fn everything_is_set_once() {
        let twice = |what: &str| format!("Invalid SchemaBuilder call: {what} has already been set.");
        assert_eq!(message(int32().version(1).and_then(|b| b.version(2))), twice("version"));
        assert_eq!(message(int32().name("a").and_then(|b| b.name("b"))), twice("name"));
        assert_eq!(message(int32().doc("a").and_then(|b| b.doc("b"))), twice("doc"));
        assert_eq!(message(int32().optional().and_then(SchemaBuilder::required)), twice("optional"));
        let default = int32().default_value(1.into()).and_then(|b| b.default_value(2.into()));
        assert_eq!(message(default), twice("default"));
        assert!(int32().name("a").and_then(|b| b.name("a")).is_ok());
    }

    #[test]
    fn a_default_fits_what_is_set_so_far() {
        assert_eq!(message(int32().default_value("x".into())), "Invalid default value");
        assert_eq!(message(int32().default_value(Value::Null)), "Invalid default value");
        assert!(int32().optional().and_then(|b| b.default_value(Value::Null)).is_ok());
        let date = int32().name(logical::DATE).and_then(|b| b.default_value(Value::Date(86_400_000))).unwrap();
        assert_eq!(date.build().default, Some(Value::Int32(1)));
        let list = Schema::of(Kind::Int32).shared();
        assert!(SchemaBuilder::array(list).and_then(|b| b.default_value(Value::Array(vec![1.into()]))).is_ok());
    }

    #[test]
    fn fields_are_named_once_and_have_a_schema() {
        let schema = || Schema::of(Kind::Int32).shared();
        let structure = || SchemaBuilder::new(Kind::Struct(Vec::new())).unwrap();
        let built = structure().field("a", schema()).and_then(|b| b.field("b", schema())).unwrap().build();
        assert_eq!(built.fields().len(), 2);
        assert_eq!(
            message(structure().field("a", schema()).and_then(|b| b.field("a", schema()))),
            "Cannot create field because of field name duplication a"
        );
        assert_eq!(message(structure().field("", schema())), "fieldName cannot be null.");
        assert_eq!(message(structure().field("a", Schema::unknown())), "fieldSchema for field a cannot be null.");
        assert_eq!(message(int32().field("a", schema())), "Cannot create fields on type INT32");
        assert_eq!(message(SchemaBuilder::array(Schema::unknown())), "valueSchema cannot be null.");
        assert_eq!(message(SchemaBuilder::map(Schema::unknown(), schema())), "keySchema cannot be null.");
        assert_eq!(message(SchemaBuilder::new(Kind::Unknown)), "type cannot be null");
    }

    #[test]
    fn no_parameters_are_none() {
        assert_eq!(int32().parameters([]).build().parameters, None);
        let two = int32().parameter("a", "1").parameters([("a", "2"), ("b", "3")]).build();
        assert_eq!(two.parameters, Some(vec![("a".into(), "2".into()), ("b".into(), "3".into())]));
    }
}
