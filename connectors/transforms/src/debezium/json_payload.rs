//! Structs from JSON, with schemas that are told from the values (`io.debezium.transforms.outbox.JsonSchemaData`).
//!
//! All fields are optional. The elements of an array must be of one type; of objects the fields are brought together. A
//! struct is named after the path that leads to it.

use std::sync::Arc;

use connect_api::{Error, ErrorKind, Kind, Result, Schema, SchemaRef, Struct, Value, validate};
use indexmap::IndexMap;

use super::envelope::{java_error, missing};
use super::json::Json;
use crate::schemas::{Fields, basics};

/// What becomes of fields that are null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// They are left out: nothing tells their type.
    Ignore,
    /// They are optional bytes.
    OptionalBytes,
}

/// The schema of a value; `None` when nothing tells one.
pub(super) fn schema(path: Option<&str>, value: &Json, nulls: Nulls) -> Result<Option<SchemaRef>> {
    let kind = match value {
        Json::Text(_) => Kind::String,
        Json::Bool(_) => Kind::Boolean,
        Json::Int(_) => Kind::Int32,
        Json::Long(_) => Kind::Int64,
        Json::Big | Json::Double(_) => Kind::Float64,
        Json::Null if nulls == Nulls::OptionalBytes => Kind::Bytes,
        Json::Null => return Ok(None),
        Json::Array(elements) if elements.is_empty() => return Ok(None),
        Json::Array(elements) => Kind::Array(element_schema(path, elements, nulls)?),
        Json::Object(entries) => return object_schema(path, entries, nulls).map(Some),
    };
    Ok(Some(Schema::of(kind).optional().shared()))
}

fn object_schema(path: Option<&str>, entries: &IndexMap<String, Json>, nulls: Nulls) -> Result<SchemaRef> {
    let mut fields = Fields::default();
    for (name, value) in entries {
        let inner = match path.filter(|path| !path.trim().is_empty()) {
            Some(path) => format!("{path}.{name}"),
            None => name.clone(),
        };
        if let Some(schema) = schema(Some(&inner), value, nulls)? {
            fields.add(name, schema)?;
        }
    }
    let mut schema = Schema::of(fields.into_kind()).optional();
    schema.name = path.map(Arc::from);
    Ok(schema.shared())
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NULL",
        Json::Bool(_) => "BOOLEAN",
        Json::Int(_) | Json::Long(_) | Json::Big | Json::Double(_) => "NUMBER",
        Json::Text(_) => "STRING",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}

/// The text of a scalar; containers have none.
fn scalar_text(value: &Json) -> String {
    match value {
        Json::Bool(value) => value.to_string(),
        Json::Int(value) => value.to_string(),
        Json::Long(value) => value.to_string(),
        Json::Double(value) => connect_config::java::double_text(*value),
        Json::Text(text) => text.clone(),
        Json::Null | Json::Big | Json::Array(_) | Json::Object(_) => String::new(),
    }
}

/// The first element that is not null, after all of them proved to be of its type.
fn sample(elements: &[Json]) -> Result<&Json> {
    let mut others = elements.iter().filter(|element| **element != Json::Null);
    let Some(first) = others.next() else { return Ok(&Json::Null) };
    let number = |value: &Json| match value {
        Json::Int(_) => 32,
        Json::Long(_) => 64,
        _ => 0,
    };
    for other in others {
        let is_same = type_name(other) == type_name(first);
        if !is_same {
            let (text, found) = (scalar_text(first), type_name(other));
            return Err(Error::connect(format!("Field is not a homogenous array ({text} x {found}).")));
        }
        if type_name(first) == "NUMBER" && number(first) != number(other) {
            let (first, other) = (scalar_text(first), scalar_text(other));
            let message = format!("Field is not a homogenous array ({first} x {other}), different number types");
            return Err(Error::connect(message));
        }
    }
    Ok(first)
}

fn element_schema(path: Option<&str>, elements: &[Json], nulls: Nulls) -> Result<SchemaRef> {
    let sample = sample(elements)?;
    if !matches!(sample, Json::Object(_)) {
        let unknown = || Error::connect("Array '' has unrecognized member schema.");
        return schema(None, sample, nulls)?.ok_or_else(unknown);
    }
    let mut merged: Option<SchemaRef> = None;
    let mut seen: Vec<SchemaRef> = Vec::new();
    for element in elements {
        let Json::Object(entries) = element else { continue };
        let schema = object_schema(path, entries, nulls)?;
        if seen.contains(&schema) {
            continue;
        }
        merged = Some(match merged {
            None => Arc::clone(&schema),
            Some(merged) => merge(&merged, &schema)?,
        });
        seen.push(schema);
    }
    merged.ok_or_else(|| missing("object in the array"))
}

/// The fields of both. Of two schemas of a field the first one stays, unless it stands for null.
fn merge(left: &Schema, right: &Schema) -> Result<SchemaRef> {
    let named = |field: &connect_api::Field| (Arc::clone(&field.name), field.clone());
    let mut fields: IndexMap<Arc<str>, connect_api::Field> = left.fields().iter().map(named).collect();
    for field in right.fields() {
        match fields.get_mut(&field.name) {
            None => drop(fields.insert(Arc::clone(&field.name), field.clone())),
            Some(known) if matches!(known.schema.kind, Kind::Bytes) => known.schema = Arc::clone(&field.schema),
            Some(_) => {}
        }
    }
    Ok(basics(left, Kind::Struct(fields.into_values().collect())).shared())
}

/// The struct of an object, by its schema.
pub(super) fn data(value: &Json, schema: &SchemaRef) -> Result<Value> {
    let Kind::Struct(fields) = &schema.kind else {
        return Err(Error::data(format!("Not a struct schema: Schema{{{}}}", schema.kind.java_name())));
    };
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let found = match value {
            Json::Object(entries) => entries.get(&*field.name),
            _ => None,
        };
        values.push(match found {
            Some(found) => {
                let value = field_value(found, &field.schema)?;
                validate::field(&field.name, &field.schema, &value)?;
                value
            }
            None => Value::Null,
        });
    }
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

fn field_value(value: &Json, schema: &SchemaRef) -> Result<Value> {
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Int(value) => Value::Int32(*value),
        Json::Long(value) => Value::Int64(*value),
        Json::Double(value) => Value::Float64(*value),
        Json::Text(text) => Value::string(text),
        // Java makes a decimal of it, which its own schema refuses.
        Json::Big => {
            let message = "Invalid Java object for schema with type FLOAT64: class java.math.BigDecimal";
            return Err(Error::new(ErrorKind::Data, message));
        }
        Json::Array(elements) => match &schema.kind {
            Kind::Array(element) => {
                Value::Array(elements.iter().map(|value| field_value(value, element)).collect::<Result<_>>()?)
            }
            _ => return Err(java_error("org.apache.kafka.connect.errors.DataException", "Not an array schema")),
        },
        Json::Object(_) => data(value, schema)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debezium::json::parse;

    fn names(schema: &Schema) -> String {
        let fields: Vec<String> =
            schema.fields().iter().map(|field| format!("{}:{}", field.name, field.schema.kind.name())).collect();
        fields.join(" ")
    }

    fn told(text: &str, nulls: Nulls) -> Option<SchemaRef> {
        schema(Some("payload"), &parse(text).unwrap(), nulls).unwrap()
    }

    #[test]
    fn fields_of_objects_in_an_array_are_brought_together() {
        let told = told(r#"{"a":[{"x":1},{"y":"s","x":2.5},null]}"#, Nulls::Ignore).unwrap();
        let Kind::Array(element) = &told.fields()[0].schema.kind else { panic!("{told:?}") };
        assert_eq!(
            (names(element), element.name.as_deref(), element.optional),
            ("x:int32 y:string".into(), Some("payload.a"), false)
        );
    }

    #[test]
    fn null_tells_no_type() {
        assert_eq!(names(&told(r#"{"a":null,"b":[],"c":1}"#, Nulls::Ignore).unwrap()), "c:int32");
        assert_eq!(names(&told(r#"{"a":null,"b":[],"c":1}"#, Nulls::OptionalBytes).unwrap()), "a:bytes c:int32");
        assert_eq!(told("[]", Nulls::Ignore), None);
        for text in ["[null]", r#"[1,"a"]"#, "[1,2.5]", r#"{"":1}"#] {
            assert!(schema(None, &parse(text).unwrap(), Nulls::Ignore).is_err(), "{text}");
        }
    }

    #[test]
    fn big_objects_are_read_in_order() {
        let entries: Vec<String> = (0..20_000).map(|number| format!("\"f{number}\":{number}")).collect();
        let value = parse(&format!("{{{}}}", entries.join(","))).unwrap();
        let schema = schema(Some("payload"), &value, Nulls::Ignore).unwrap().unwrap();
        let read = data(&value, &schema).unwrap();
        let fields = &read.as_struct().unwrap().fields;
        assert!(
            fields.iter().enumerate().all(|(number, field)| *field == Value::Int32(i32::try_from(number).unwrap()))
        );
        assert_eq!(fields.len(), 20_000);
    }

    #[test]
    fn what_does_not_fit_the_first_element_is_refused() {
        let value = parse(r#"{"a":[{"b":1},{"b":2.5}]}"#).unwrap();
        let schema = schema(Some("payload"), &value, Nulls::Ignore).unwrap().unwrap();
        assert!(data(&value, &schema).is_err());
        let value = parse(r#"{"a":[[1],null],"b":{"c":true}}"#).unwrap();
        let schema = super::schema(Some("payload"), &value, Nulls::Ignore).unwrap().unwrap();
        assert!(data(&value, &schema).is_ok());
    }
}
