//! The schema of a value that has none (`Values.inferSchema`).

use super::known;
use crate::error::Result;
use crate::schema::{Kind, SchemaRef};
use crate::schema_builder::SchemaBuilder;
use crate::value::Value;

/// The schema that a value tells of itself; none for null, dates, decimals, and lists and maps that are empty or mixed.
/// What is inside of a list within a list is not looked at: its schema is unknown.
pub fn infer_schema(value: &Value) -> Result<Option<SchemaRef>> {
    let kind = match value {
        Value::Bool(_) => Kind::Boolean,
        Value::Int8(_) => Kind::Int8,
        Value::Int16(_) => Kind::Int16,
        Value::Int32(_) => Kind::Int32,
        Value::Int64(_) => Kind::Int64,
        Value::Float32(_) => Kind::Float32,
        Value::Float64(_) => Kind::Float64,
        Value::String(_) => Kind::String,
        Value::Bytes(_) => Kind::Bytes,
        Value::Struct(structure) => return Ok(Some(SchemaRef::clone(&structure.schema))),
        Value::Array(list) => return of_list(list),
        Value::Map(pairs) => return of_map(pairs),
        Value::Null | Value::Decimal(_) | Value::Date(_) | Value::BigInt(_) => return Ok(None),
    };
    Ok(Some(known::plain(kind)))
}

fn of_list(list: &[Value]) -> Result<Option<SchemaRef>> {
    let mut elements = Detector::default();
    for element in list {
        if !elements.detects(element)? {
            return Ok(None);
        }
    }
    if list.is_empty() {
        return Ok(None);
    }
    Ok(Some(SchemaBuilder::array(elements.schema()?)?.build()))
}

fn of_map(pairs: &[(Value, Value)]) -> Result<Option<SchemaRef>> {
    let (mut keys, mut values) = (Detector::default(), Detector::default());
    for (key, value) in pairs {
        if !keys.detects(key)? || !values.detects(value)? {
            return Ok(None);
        }
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    Ok(Some(SchemaBuilder::map(keys.schema()?, values.schema()?)?.build()))
}

/// Finds the one type that all of some values have.
#[derive(Default)]
struct Detector {
    found: Option<Kind>,
    optional: bool,
}

impl Detector {
    /// False for a value without a type, or of another than those before.
    fn detects(&mut self, value: &Value) -> Result<bool> {
        if value.is_null() {
            self.optional = true;
            return Ok(true);
        }
        let Some(schema) = infer_schema(value)? else { return Ok(false) };
        Ok(self.found.get_or_insert_with(|| schema.kind.hollow()).is_like(&schema.kind))
    }

    /// The schema of that type and no more; null alone tells nothing.
    fn schema(self) -> Result<SchemaRef> {
        let builder = SchemaBuilder::new(self.found.unwrap_or(Kind::Unknown))?;
        Ok(if self.optional { builder.optional()? } else { builder }.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn list(values: Vec<Value>) -> Value {
        Value::Array(values)
    }

    fn inferred(value: &Value) -> Option<Schema> {
        infer_schema(value).unwrap().map(|schema| Schema::clone(&schema))
    }

    #[test]
    fn values_tell_their_schema() {
        assert_eq!(inferred(&Value::Int16(5)), Some(Schema::of(Kind::Int16)));
        assert_eq!(inferred(&Value::Date(0)), None);
        let optional = Schema::of(Kind::Int32).optional().shared();
        assert_eq!(inferred(&list(vec![1.into(), Value::Null])), Some(Schema::of(Kind::Array(optional))));
        assert_eq!(inferred(&list(vec![1.into(), 2i64.into()])), None);
        assert_eq!(inferred(&list(Vec::new())), None);
        let map = Value::Map(vec![("a".into(), 1.into())]);
        let (text, int) = (Schema::of(Kind::String).shared(), Schema::of(Kind::Int32).shared());
        assert_eq!(inferred(&map), Some(Schema::of(Kind::Map(text, int))));
    }

    #[test]
    fn lists_in_lists_are_only_lists() {
        let hollow = Schema::of(Kind::Array(Schema::unknown())).shared();
        let nested = list(vec![list(vec![1.into()]), list(vec!["a".into()])]);
        assert_eq!(inferred(&nested), Some(Schema::of(Kind::Array(hollow))));
    }

    #[test]
    fn nulls_alone_have_no_type() {
        let error = infer_schema(&list(vec![Value::Null])).unwrap_err();
        assert_eq!(error.to_java_text(), "org.apache.kafka.connect.errors.SchemaBuilderException: type cannot be null");
    }
}
