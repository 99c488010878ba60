//! `VectorToJsonConverter`: writes vectors as JSON texts, for systems that have no type for them.

use std::sync::{Arc, LazyLock};

use connect_api::{ConfigDef, Datum, Kind, Plugin, Record, Result, Schema, SchemaRef, Struct, Transform, Value};

use super::envelope::{java_error, shown};
use crate::schemas::{Cache, Fields, basics, filled};
use crate::side::{require_struct, struct_or_null};

const DOUBLE_VECTOR: &str = "io.debezium.data.DoubleVector";
const FLOAT_VECTOR: &str = "io.debezium.data.FloatVector";
const SPARSE_VECTOR: &str = "io.debezium.data.SparseDoubleVector";
const JSON: &str = "io.debezium.data.Json";

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.VectorToJsonConverter",
        || &NO_KEYS,
        |_| Ok(Box::new(VectorToJsonConverter { schemas: Cache::default() })),
    )
}

struct VectorToJsonConverter {
    schemas: Cache,
}

/// The schema with JSON in the place of vectors, to its depth.
fn converted_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    match (schema.name.as_deref(), &schema.kind) {
        (Some(DOUBLE_VECTOR | FLOAT_VECTOR | SPARSE_VECTOR), _) => {
            let json = Schema::of(Kind::String).named(JSON).version(1);
            Ok(if schema.optional { json.optional() } else { json }.shared())
        }
        (_, Kind::Struct(old)) => {
            let mut fields = Fields::default();
            for field in old {
                fields.add(&field.name, converted_schema(&field.schema)?)?;
            }
            let made = basics(schema, fields.into_kind());
            Ok(if schema.optional { made.optional() } else { made }.shared())
        }
        _ => Ok(Arc::clone(schema)),
    }
}

/// A field's value under its converted schema.
fn converted(value: &Value, old: &SchemaRef, new: &SchemaRef) -> Result<Value> {
    let value = filled(value.clone(), old, true);
    match (old.name.as_deref(), &old.kind) {
        (Some(DOUBLE_VECTOR | FLOAT_VECTOR), _) => vector(&value),
        (Some(SPARSE_VECTOR), _) => {
            let inner = struct_or_null(&value, Some(old), "SparseDoubleVector should be a struct.")?;
            inner.map_or(Ok(Value::Null), sparse_vector)
        }
        (_, Kind::Struct(_)) => {
            let inner = struct_or_null(&value, Some(old), "Should be a struct.")?;
            inner.map_or(Ok(Value::Null), |inner| converted_struct(inner, new))
        }
        _ => Ok(value),
    }
}

fn converted_struct(value: &Struct, schema: &SchemaRef) -> Result<Value> {
    let old = value.fields.iter().zip(value.schema.fields());
    let values = old.zip(schema.fields()).map(|((value, old), new)| converted(value, &old.schema, &new.schema));
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values.collect::<Result<_>>()?)))
}

fn not_a(class: &str) -> connect_api::Error {
    java_error("java.lang.ClassCastException", format!("a vector cannot be cast to class {class}"))
}

fn vector(value: &Value) -> Result<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Array(list) => {
            let numbers: Vec<String> = list.iter().map(|number| shown(number, None)).collect();
            Ok(format!("{{ \"values\": [{}] }}", numbers.join(", ")).into())
        }
        _ => Err(not_a("java.util.Collection")),
    }
}

fn sparse_vector(value: &Struct) -> Result<Value> {
    let dimensions = value.get("dimensions").unwrap_or(&Value::Null);
    let Some(Value::Map(entries)) = value.get("vector") else { return Err(not_a("java.util.Map")) };
    let mut entries: Vec<(i16, &Value)> = entries
        .iter()
        .map(|(place, number)| match place {
            Value::Int16(place) => Ok((*place, number)),
            _ => Err(not_a("java.lang.Short")),
        })
        .collect::<Result<_>>()?;
    entries.sort_by_key(|(place, _)| *place);
    let entries: Vec<String> =
        entries.iter().map(|(place, number)| format!("\"{place}\": {}", shown(number, None))).collect();
    let dimensions = shown(dimensions, None);
    Ok(format!("{{ \"dimensions\": {dimensions}, \"vector\": {{ {} }} }}", entries.join(", ")).into())
}

impl Transform for VectorToJsonConverter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(Some(record));
        }
        let value = require_struct(&record.value, "Value should be a struct")?;
        let schema = self.schemas.get(&value.schema, || converted_schema(&value.schema))?;
        let value = converted_struct(value, &schema)?;
        record.value = Datum::new(schema, value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Field;

    use super::*;

    #[test]
    fn vectors_become_texts_of_json() {
        let number = || Schema::of(Kind::Float64).shared();
        let vector = Schema::of(Kind::Array(number())).named(DOUBLE_VECTOR).optional().shared();
        let place = Schema::of(Kind::Int16).shared();
        let sparse = Schema::structure(vec![
            Field::new("dimensions", Arc::clone(&place)),
            Field::new("vector", Schema::of(Kind::Map(place, number())).shared()),
        ])
        .named(SPARSE_VECTOR)
        .shared();
        let fields = vec![Field::new("v", vector), Field::new("s", Arc::clone(&sparse))];
        let schema = Schema::structure(fields).named("row").optional().shared();
        let entries = vec![(Value::Int16(5), Value::Float64(1.5)), (Value::Int16(1), Value::Float64(2.0))];
        let values = vec![
            Value::Array(vec![Value::Float64(1.0), Value::Float64(-2.5e10), Value::Float64(f64::NAN)]),
            Value::Struct(Struct::new(sparse, vec![Value::Int16(7), Value::Map(entries)])),
        ];
        let made = converted_schema(&schema).unwrap();
        let Value::Struct(row) = converted_struct(&Struct::new(schema, values), &made).unwrap() else { panic!() };
        assert_eq!(row.fields[0].as_str(), Some("{ \"values\": [1.0, -2.5E10, NaN] }"));
        let sparse = "{ \"dimensions\": 7, \"vector\": { \"1\": 2.0, \"5\": 1.5 } }";
        assert_eq!(row.fields[1].as_str(), Some(sparse));
        assert!(made.optional && made.is("row"), "{made:?}");
        let names: Vec<_> = made.fields().iter().map(|f| (f.schema.name.as_deref(), f.schema.optional)).collect();
        assert_eq!(names, [(Some(JSON), true), (Some(JSON), false)]);
    }
}
