//! Whether a value fits its schema (`ConnectSchema.validateValue`), with Connect's wording.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::schema::{Kind, Schema, SchemaRef, logical};
use crate::value::{Struct, Value};

/// Where a value stands, for messages: built only when there is something to say.
#[derive(Clone, Copy)]
enum Place<'a> {
    Value,
    Field(&'a str),
    Element(&'a Place<'a>),
    MapKey(&'a Place<'a>),
    MapValue(&'a Place<'a>),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value => f.write_str("value"),
            Self::Field(name) => write!(f, "field: \"{name}\""),
            Self::Element(of) => write!(f, "element of array {of}"),
            Self::MapKey(of) => write!(f, "key of map {of}"),
            Self::MapValue(of) => write!(f, "value of map {of}"),
        }
    }
}

/// What stands for a date or a decimal under a logical schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The number or the bytes, as everywhere here; an object that these can't hold is one too.
    Physical,
    /// The object, as everywhere in Java. See [`object`](crate::values::object()).
    Object,
}

/// Checks a value against a schema, to its depth.
pub fn value(schema: &SchemaRef, value: &Value) -> Result<()> {
    check(schema, value, Place::Value, Form::Physical)
}

/// Checks the value of a field.
pub fn field(name: &str, schema: &SchemaRef, value: &Value) -> Result<()> {
    check(schema, value, Place::Field(name), Form::Physical)
}

/// Checks an object against a schema, as Connect does: a number is no date.
pub fn object(schema: &SchemaRef, value: &Value) -> Result<()> {
    check(schema, value, Place::Value, Form::Object)
}

/// Checks an object as the value of a field.
pub fn object_field(name: &str, schema: &SchemaRef, value: &Value) -> Result<()> {
    check(schema, value, Place::Field(name), Form::Object)
}

/// Checks all fields of a struct (`Struct.validate`).
pub fn structure(value: &Struct) -> Result<()> {
    for (f, v) in value.schema.fields().iter().zip(&value.fields) {
        // A missing value with a default stands for the default.
        if v.is_null() && f.schema.default.is_some() {
            continue;
        }
        field(&f.name, &f.schema, v)?;
    }
    Ok(())
}

fn check(schema: &SchemaRef, value: &Value, place: Place<'_>, form: Form) -> Result<()> {
    if value.is_null() {
        if schema.optional {
            return Ok(());
        }
        let kind = schema.kind.java_name();
        return Err(Error::data(format!("Invalid value: null used for required {place}, schema type: {kind}")));
    }
    if !fits(schema, value, form) {
        let name = schema.name.as_deref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let class = match form {
            Form::Physical => value.java_class(Some(schema)),
            Form::Object => value.object_class(),
        };
        let kind = schema.kind.java_name();
        return Err(Error::data(format!(
            "Invalid Java object for schema{name} with type {kind}: class {class} for {place}"
        )));
    }
    match (&schema.kind, value) {
        (Kind::Struct(_), Value::Struct(structure)) => {
            if !Arc::ptr_eq(&structure.schema, schema) && structure.schema != *schema {
                return Err(Error::data("Struct schemas do not match."));
            }
            self::structure(structure)
        }
        (Kind::Array(element), Value::Array(list)) => {
            let place = Place::Element(&place);
            known(element, place)?;
            list.iter().try_for_each(|value| check(element, value, place, form))
        }
        (Kind::Map(keys, values), Value::Map(pairs)) => {
            let (of_keys, of_values) = (Place::MapKey(&place), Place::MapValue(&place));
            known(keys, of_keys)?;
            known(values, of_values)?;
            pairs.iter().try_for_each(|(key, value)| {
                check(keys, key, of_keys, form)?;
                check(values, value, of_values, form)
            })
        }
        _ => Ok(()),
    }
}

/// Nothing fits a schema that is none, not even no elements at all.
fn known(schema: &Schema, place: Place<'_>) -> Result<()> {
    if schema.is_unknown() {
        return Err(Error::data(format!("No schema defined for {place}")));
    }
    Ok(())
}

fn fits(schema: &Schema, value: &Value, form: Form) -> bool {
    match (schema.name.as_deref(), value) {
        (Some(logical::DECIMAL), Value::Decimal(_)) => return true,
        (Some(logical::DATE | logical::TIME | logical::TIMESTAMP), Value::Date(_)) => return true,
        (Some(logical::DECIMAL | logical::DATE | logical::TIME | logical::TIMESTAMP), _) if form == Form::Object => {
            return false;
        }
        (Some(logical::DECIMAL), Value::Bytes(_)) => return true,
        (Some(logical::DATE | logical::TIME), Value::Int32(_)) => return true,
        (Some(logical::TIMESTAMP), Value::Int64(_)) => return true,
        _ => {}
    }
    matches!(
        (&schema.kind, value),
        (Kind::Int8, Value::Int8(_))
            | (Kind::Int16, Value::Int16(_))
            | (Kind::Int32, Value::Int32(_))
            | (Kind::Int64, Value::Int64(_))
            | (Kind::Float32, Value::Float32(_))
            | (Kind::Float64, Value::Float64(_))
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::String, Value::String(_))
            | (Kind::Bytes, Value::Bytes(_))
            | (Kind::Array(_), Value::Array(_))
            | (Kind::Map(..), Value::Map(_))
            | (Kind::Struct(_), Value::Struct(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_does_not_fit() {
        let ints = Schema::of(Kind::Array(Schema::of(Kind::Int32).shared())).shared();
        let list = Value::Array(vec![Value::Int32(1), Value::string("a")]);
        assert_eq!(
            field("f", &ints, &list).unwrap_err().message(),
            "Invalid Java object for schema with type INT32: class java.lang.String for element of array field: \"f\""
        );
        assert_eq!(
            value(&ints, &Value::Null).unwrap_err().message(),
            "Invalid value: null used for required value, schema type: ARRAY"
        );
        assert!(value(&ints, &Value::Array(vec![Value::Int32(1)])).is_ok());
    }

    #[test]
    fn objects_of_logical_schemas_are_dates_and_decimals() {
        let timestamp = Schema::of(Kind::Int64).named(logical::TIMESTAMP).shared();
        assert!(value(&timestamp, &Value::Int64(1)).is_ok());
        assert!(object(&timestamp, &Value::Date(1)).is_ok());
        assert_eq!(
            object_field("f", &timestamp, &Value::Int64(1)).unwrap_err().message(),
            "Invalid Java object for schema \"org.apache.kafka.connect.data.Timestamp\" with type INT64: class \
             java.lang.Long for field: \"f\""
        );
        let structure = Schema::structure(Vec::new()).shared();
        assert_eq!(
            object(&structure, &Value::Map(Vec::new())).unwrap_err().message(),
            "Invalid Java object for schema with type STRUCT: class java.util.LinkedHashMap for value"
        );
    }

    #[test]
    fn nothing_fits_what_has_no_schema() {
        let list = Schema::of(Kind::Array(Schema::unknown())).shared();
        assert_eq!(
            value(&list, &Value::Array(Vec::new())).unwrap_err().message(),
            "No schema defined for element of array value"
        );
        let map = Schema::of(Kind::Map(Schema::of(Kind::String).shared(), Schema::unknown())).shared();
        assert_eq!(
            field("f", &map, &Value::Map(Vec::new())).unwrap_err().message(),
            "No schema defined for value of map field: \"f\""
        );
    }
}
