//! `ExtractChangedRecordState`: adds headers that say which fields a change changed, and which it did not.

use std::sync::LazyLock;

use connect_api::value::Decimal;
use connect_api::{
    ConfigDef, Datum, Header, Kind, Plugin, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};
use connect_config::Type;

use super::envelope::{self, AFTER, BEFORE, is_envelope};
use super::settings::{Settings, definition, key, low};
use super::shared_headers::SharedHeaders;
use crate::side::require_struct;

const PURPOSE: &str = "Read record to set changed fields";
const CHANGED: &str = "header.changed.name";
const UNCHANGED: &str = "header.unchanged.name";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    definition([
        low(key(
            CHANGED,
            Type::String,
            "Header change name.",
            "The header for the names of fields that changed; none without a name.",
        )),
        low(key(
            UNCHANGED,
            Type::String,
            "Header unchanged name.",
            "The header for the names of fields that did not change; none without a name.",
        )),
    ])
});

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.ExtractChangedRecordState",
        || &DEF,
        |props| {
            let settings = Settings::new(&DEF, props);
            let header = |key| settings.given(key).filter(|name| !name.trim().is_empty()).map(HeaderOf::new);
            let (changed, unchanged) = (header(CHANGED), header(UNCHANGED));
            Ok(Box::new(ExtractChangedRecordState { changed, unchanged, shared_headers: SharedHeaders::default() }))
        },
    )
}

/// A header with its schema, which bears its name.
struct HeaderOf {
    name: std::sync::Arc<str>,
    schema: SchemaRef,
}

impl HeaderOf {
    fn new(name: &str) -> Self {
        let element = Schema::of(Kind::String).optional().shared();
        Self { name: name.into(), schema: Schema::of(Kind::Array(element)).optional().named(name).shared() }
    }

    fn with(&self, names: Vec<Value>) -> Header {
        Header {
            key: std::sync::Arc::clone(&self.name),
            datum: Datum::new(SchemaRef::clone(&self.schema), Value::Array(names)),
        }
    }
}

struct ExtractChangedRecordState {
    changed: Option<HeaderOf>,
    unchanged: Option<HeaderOf>,
    shared_headers: SharedHeaders,
}

impl Transform for ExtractChangedRecordState {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if self.changed.is_none() && self.unchanged.is_none() {
            return Ok(Some(record));
        }
        if record.value.is_null() {
            self.shared_headers.extend(&mut record);
            return Ok(Some(record));
        }
        if !is_envelope(&record) {
            return Ok(Some(record));
        }
        let event = require_struct(&record.value, PURPOSE)?;
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        let after = envelope::get(event, AFTER)?;
        let before = envelope::get(event, BEFORE)?;
        if let (Value::Struct(after), Value::Struct(before)) = (&after, &before) {
            for field in after.schema.fields() {
                let (_, new) = envelope::plain(after, &field.name)?;
                let (_, old) = envelope::plain(before, &field.name)?;
                let list = if same(new, old) { &mut unchanged } else { &mut changed };
                list.push(Value::string(&field.name));
            }
        }
        let deleted = matches!((&after, &before), (Value::Null, Value::Struct(_)));
        let schema = event.schema.name.clone();
        let had = record.headers.len();
        record.headers.extend(self.changed.as_ref().map(|header| header.with(changed)));
        record.headers.extend(self.unchanged.as_ref().map(|header| header.with(unchanged)));
        if deleted {
            self.shared_headers.deleted(&record, schema.as_deref(), had);
        }
        Ok(Some(record))
    }
}

/// `Objects.equals`: floats are compared by their bits, maps without regard to order.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let found = |key: &Value, value: &Value| b.iter().any(|(k, v)| same(k, key) && same(v, value));
            a.len() == b.len() && a.iter().all(|(key, value)| found(key, value))
        }
        (Value::Struct(a), Value::Struct(b)) => same_struct(a, b),
        (Value::Decimal(a), Value::Decimal(b)) => same_decimal(a, b),
        (a, b) => a == b,
    }
}

fn same_struct(a: &Struct, b: &Struct) -> bool {
    a.schema == b.schema && a.fields.iter().zip(&b.fields).all(|(a, b)| same(a, b))
}

fn same_decimal(a: &Decimal, b: &Decimal) -> bool {
    a.scale == b.scale && a.unscaled == b.unscaled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_equal_as_java_objects_are() {
        assert!(same(&Value::Float64(f64::NAN), &Value::Float64(f64::NAN)));
        assert!(!same(&Value::Float64(0.0), &Value::Float64(-0.0)));
        let map = |pairs: [(&str, i32); 2]| Value::Map(pairs.map(|(k, v)| (k.into(), v.into())).into());
        assert!(same(&map([("a", 1), ("b", 2)]), &map([("b", 2), ("a", 1)])));
        assert!(!same(&Value::Int32(1), &Value::Int64(1)));
    }
}
