//! The fields of a struct by their names, with Connect's checks (`Struct.get`, `put` and so on).

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::java::display;
use crate::schema::{Field, Kind, SchemaRef};
use crate::validate;
use crate::value::{Struct, Value};
use crate::values::physical;

impl Struct {
    /// A struct in which nothing is set.
    pub fn empty(schema: SchemaRef) -> Result<Self> {
        if !matches!(schema.kind, Kind::Struct(_)) {
            return Err(Error::data(format!("Not a struct schema: {}", display::schema_text(&schema))));
        }
        let fields = vec![Value::Null; schema.fields().len()];
        Ok(Self::new(schema, fields))
    }

    /// Sets a field, as an object or in physical form, to what fits its schema.
    pub fn put(&mut self, name: &str, value: Value) -> Result<()> {
        let (place, _) = self.look_up(name)?;
        let schema = Arc::clone(&self.schema.fields()[place].schema);
        let value = physical(&schema, value);
        validate::field(name, &schema, &value)?;
        self.fields[place] = value;
        Ok(())
    }

    /// The value of a field, its default where it is null.
    pub fn get_or_default(&self, name: &str) -> Result<&Value> {
        let (place, field) = self.look_up(name)?;
        let value = &self.fields[place];
        Ok(field.schema.default.as_ref().filter(|_| value.is_null()).unwrap_or(value))
    }

    /// The value of a field, null where nothing is set.
    pub fn get_without_default(&self, name: &str) -> Result<&Value> {
        self.look_up(name).map(|(place, _)| &self.fields[place])
    }

    /// The same for a field that has to be of a type, whatever is inside of it (`getInt32`, `getMap` and so on).
    pub fn get_of_type(&self, name: &str, kind: &Kind) -> Result<&Value> {
        let (place, field) = self.look_up(name)?;
        if !field.schema.kind.is_like(kind) {
            return Err(Error::data(format!("Field '{name}' is not of type {}", kind.java_name())));
        }
        Ok(&self.fields[place])
    }

    fn look_up(&self, name: &str) -> Result<(usize, &Field)> {
        let found = self.schema.fields().iter().enumerate().find(|(_, field)| *field.name == *name);
        found.ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Schema, logical};

    fn structure() -> Struct {
        let date = Schema::of(Kind::Int32).named(logical::DATE).shared();
        let fields = vec![
            Field::new("x", Schema::of(Kind::Int32).shared()),
            Field::new("y", Schema::of(Kind::String).optional().default_value("d".into()).shared()),
            Field::new("d", date),
        ];
        Struct::empty(Schema::structure(fields).shared()).unwrap()
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().message().to_owned()
    }

    #[test]
    fn fields_take_what_fits_them() {
        let mut structure = structure();
        structure.put("x", 1.into()).unwrap();
        structure.put("d", Value::Date(2 * 86_400_000)).unwrap();
        assert_eq!(*structure.fields, [1.into(), Value::Null, Value::Int32(2)]);
        assert_eq!(
            message(structure.put("x", "s".into())),
            "Invalid Java object for schema with type INT32: class java.lang.String for field: \"x\""
        );
        assert_eq!(
            message(structure.put("x", Value::Null)),
            "Invalid value: null used for required field: \"x\", schema type: INT32"
        );
        assert_eq!(message(structure.put("zz", 1.into())), "zz is not a valid field name");
    }

    #[test]
    fn fields_are_read_by_name_and_type() {
        let structure = structure();
        assert_eq!(structure.get_or_default("y").unwrap(), &"d".into());
        assert_eq!(structure.get_without_default("y").unwrap(), &Value::Null);
        assert_eq!(structure.get_of_type("y", &Kind::String).unwrap(), &Value::Null);
        assert_eq!(message(structure.get_of_type("x", &Kind::Int64)), "Field 'x' is not of type INT64");
        assert_eq!(message(structure.get_or_default("zz")), "zz is not a valid field name");
        assert_eq!(message(Struct::empty(Schema::of(Kind::Int32).shared())), "Not a struct schema: Schema{INT32}");
    }
}
