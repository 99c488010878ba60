//! Data of one schema as data of another that is compatible with it (`SchemaProjector`): numbers are widened, fields that are
//! gone are left out, new ones take their defaults. Values are physical.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::java::{display, equal, hash, number};
use crate::schema::{Kind, Schema, SchemaRef, logical};
use crate::value::{Struct, Value};

const SCHEMA_PROJECTOR_EXCEPTION: &str = "org.apache.kafka.connect.errors.SchemaProjectorException";

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::data(message).class(SCHEMA_PROJECTOR_EXCEPTION)
}

/// The value under the target schema.
pub fn project(source: &SchemaRef, value: &Value, target: &SchemaRef) -> Result<Value> {
    check_compatible(source, target)?;
    if source.optional && !target.optional {
        let Some(default) = &target.default else {
            let message = "Writer schema is optional, however, target schema does not provide a default value.";
            return Err(refused(message));
        };
        if value.is_null() {
            return Ok(default.clone());
        }
    }
    match (value, &source.kind, &target.kind) {
        (Value::Null, ..) => Ok(Value::Null),
        (Value::Struct(structure), _, Kind::Struct(_)) => structure_of(source, structure, target).map(Value::Struct),
        (Value::Array(list), Kind::Array(from), Kind::Array(to)) => {
            list.iter().map(|value| project(from, value, to)).collect::<Result<_>>().map(Value::Array)
        }
        (Value::Map(pairs), Kind::Map(from_key, from_value), Kind::Map(to_key, to_value)) => {
            let pair = |(key, value): &(Value, Value)| {
                Ok((project(from_key, key, to_key)?, project(from_value, value, to_value)?))
            };
            let mut projected = pairs.iter().map(pair).collect::<Result<Vec<_>>>()?;
            hash::order(&mut projected);
            Ok(Value::Map(projected))
        }
        (value, _, Kind::Struct(_) | Kind::Array(_) | Kind::Map(..)) => {
            let message =
                format!("A {} can't be projected as {}", value.java_class(None), display::schema_text(target));
            Err(Error::data(message).class("java.lang.ClassCastException"))
        }
        (value, _, kind) => Ok(promoted(source, value, kind)),
    }
}

fn structure_of(source: &SchemaRef, structure: &Struct, target: &SchemaRef) -> Result<Struct> {
    let mut projected = Struct::empty(Arc::clone(target))?;
    for field in target.fields() {
        let of_source = source.fields().iter().find(|other| other.name == field.name);
        if let Some(of_source) = of_source {
            let value = structure.get_or_default(&field.name)?;
            let value = match project(&of_source.schema, value, &field.schema) {
                Err(error) if error.java_class() == SCHEMA_PROJECTOR_EXCEPTION => {
                    return Err(refused(format!("Error projecting {}", field.name)).caused_by(error));
                }
                value => value?,
            };
            projected.put(&field.name, value)?;
        } else if field.schema.optional {
            // It stays null.
        } else if let Some(default) = &field.schema.default {
            projected.put(&field.name, default.clone())?;
        } else {
            let (name, source) = (&field.name, display::schema_text(source));
            return Err(refused(format!("Required field `{name}` is missing from source schema: {source}")));
        }
    }
    Ok(projected)
}

fn check_compatible(source: &Schema, target: &Schema) -> Result<()> {
    if source.is_unknown() || target.is_unknown() {
        return Err(Error::data("A list or map whose elements have no schema can't be projected")
            .class("java.lang.NullPointerException"));
    }
    let (from, to) = (source.kind.java_name(), target.kind.java_name());
    if from != to && !is_promotable(&source.kind, &target.kind) {
        return Err(refused(format!("Schema type mismatch. source type: {from} and target type: {to}")));
    }
    if source.name != target.name {
        let name = |schema: &Schema| schema.name.as_deref().unwrap_or("null").to_owned();
        return Err(refused(format!(
            "Schema name mismatch. source name: {} and target name: {}",
            name(source),
            name(target)
        )));
    }
    if !equal::parameters(source, target) {
        return Err(refused(format!(
            "Schema parameters not equal. source parameters: {} and target parameters: {}",
            parameters(source),
            parameters(target)
        )));
    }
    Ok(())
}

fn parameters(schema: &Schema) -> String {
    let Some(parameters) = &schema.parameters else { return "null".to_owned() };
    let shown: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{{{}}}", shown.join(", "))
}

/// The place of a number's type among the wider and wider ones.
fn width(kind: &Kind) -> Option<u8> {
    Some(match kind {
        Kind::Int8 => 0,
        Kind::Int16 => 1,
        Kind::Int32 => 2,
        Kind::Int64 => 3,
        Kind::Float32 => 4,
        Kind::Float64 => 5,
        _ => return None,
    })
}

fn is_promotable(from: &Kind, to: &Kind) -> bool {
    width(from).zip(width(to)).is_some_and(|(from, to)| from <= to)
}

/// A number as one of another type; dates and times are none.
fn promoted(source: &Schema, value: &Value, to: &Kind) -> Value {
    let is_date = matches!(source.name.as_deref(), Some(logical::DATE | logical::TIME | logical::TIMESTAMP));
    if is_date || !is_promotable(&source.kind, to) {
        return value.clone();
    }
    let int = || number::int_value(value);
    let promoted = match to {
        Kind::Int8 => int().map(|number| Value::Int8(number as i8)),
        Kind::Int16 => int().map(|number| Value::Int16(number as i16)),
        Kind::Int32 => int().map(Value::Int32),
        Kind::Int64 => number::long_value(value).map(Value::Int64),
        Kind::Float32 => number::float_value(value).map(Value::Float32),
        _ => number::double_value(value).map(Value::Float64),
    };
    promoted.unwrap_or_else(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;

    fn plain(kind: Kind) -> SchemaRef {
        Schema::of(kind).shared()
    }

    fn message(source: &SchemaRef, value: &Value, target: &SchemaRef) -> String {
        let error = project(source, value, target).unwrap_err();
        assert_eq!(error.java_class(), SCHEMA_PROJECTOR_EXCEPTION);
        error.message().to_owned()
    }

    #[test]
    fn numbers_are_widened_only() {
        let projected = |kind| project(&plain(Kind::Int32), &5.into(), &plain(kind)).unwrap();
        assert_eq!(projected(Kind::Int64), Value::Int64(5));
        assert_eq!(projected(Kind::Float32), Value::Float32(5.0));
        assert_eq!(
            message(&plain(Kind::Int32), &5.into(), &plain(Kind::Int8)),
            "Schema type mismatch. source type: INT32 and target type: INT8"
        );
        let date = || Schema::of(Kind::Int32).named(logical::DATE).shared();
        assert_eq!(project(&date(), &5.into(), &date()).unwrap(), Value::Int32(5));
    }

    #[test]
    fn what_may_be_null_needs_a_default() {
        let optional = Schema::of(Kind::Int32).optional().shared();
        let with_default = Schema::of(Kind::Int64).default_value(9i64.into()).shared();
        assert_eq!(project(&optional, &Value::Null, &with_default).unwrap(), Value::Int64(9));
        assert_eq!(project(&optional, &5.into(), &with_default).unwrap(), Value::Int64(5));
        assert_eq!(
            message(&optional, &5.into(), &plain(Kind::Int64)),
            "Writer schema is optional, however, target schema does not provide a default value."
        );
        assert_eq!(project(&plain(Kind::Int32), &Value::Null, &plain(Kind::Int64)).unwrap(), Value::Null);
    }

    #[test]
    fn names_and_parameters_must_be_the_same() {
        let named = |name: &str| Schema::of(Kind::Int32).named(name).shared();
        assert_eq!(
            message(&named("a"), &5.into(), &plain(Kind::Int32)),
            "Schema name mismatch. source name: a and target name: null"
        );
        let with = |list: &[(&str, &str)]| {
            let start = Schema::of(Kind::Int32);
            list.iter().fold(start, |schema, (k, v)| schema.parameter(*k, *v)).shared()
        };
        assert!(project(&with(&[("a", "1"), ("b", "2")]), &5.into(), &with(&[("b", "2"), ("a", "1")])).is_ok());
        assert_eq!(
            message(&with(&[("a", "1"), ("b", "2")]), &5.into(), &plain(Kind::Int32)),
            "Schema parameters not equal. source parameters: {a=1, b=2} and target parameters: null"
        );
    }

    #[test]
    fn fields_come_and_go() {
        let source = Schema::structure(vec![
            Field::new("a", plain(Kind::Int32)),
            Field::new("b", Schema::of(Kind::String).optional().shared()),
        ])
        .shared();
        let value = Value::Struct(Struct::new(Arc::clone(&source), vec![1.into(), "x".into()]));
        let target = |fields| Schema::structure(fields).shared();
        let added = Schema::of(Kind::Int32).default_value(7.into()).shared();
        let wide = target(vec![Field::new("a", plain(Kind::Int64)), Field::new("c", added)]);
        let projected = project(&source, &value, &wide).unwrap();
        assert_eq!(projected, Value::Struct(Struct::new(Arc::clone(&wide), vec![1i64.into(), 7.into()])));
        assert_eq!(
            message(&source, &value, &target(vec![Field::new("z", plain(Kind::Int32))])),
            "Required field `z` is missing from source schema: Schema{STRUCT}"
        );
        let narrow = target(vec![Field::new("a", plain(Kind::Int8))]);
        assert_eq!(message(&source, &value, &narrow), "Error projecting a");
        let unset = Value::Struct(Struct::empty(Arc::clone(&source)).unwrap());
        assert_eq!(
            project(&source, &unset, &wide).unwrap_err().to_java_text(),
            "org.apache.kafka.connect.errors.DataException: Invalid value: null used for required field: \"a\", schema \
             type: INT64"
        );
    }

    #[test]
    fn lists_and_maps_are_projected_inside() {
        let list = |kind| plain(Kind::Array(plain(kind)));
        let ints = Value::Array(vec![1.into(), 2.into()]);
        assert_eq!(
            project(&list(Kind::Int32), &ints, &list(Kind::Float64)).unwrap(),
            Value::Array(vec![Value::Float64(1.0), Value::Float64(2.0)])
        );
        let map = |keys, values| plain(Kind::Map(plain(keys), plain(values)));
        let value = Value::Map(vec![(1.into(), Value::Int8(2))]);
        assert_eq!(
            project(&map(Kind::Int32, Kind::Int8), &value, &map(Kind::Int64, Kind::Float32)).unwrap(),
            Value::Map(vec![(Value::Int64(1), Value::Float32(2.0))])
        );
        let unknown = plain(Kind::Array(Schema::unknown()));
        assert!(project(&unknown, &ints, &unknown).is_err());
    }
}
