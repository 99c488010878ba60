//! `ExtractField`: puts one field in the place of the whole key or value.

use std::sync::Arc;

use connect_api::{Error, Plugin, Props, Record, Result, Transform, Value};

use crate::fields::FieldPath;
use crate::side::{Side, map_or_null, struct_or_null};

const PURPOSE: &str = "field extraction";

connect_config::config! {
    /// The keys of the transform.
    pub struct ExtractFieldConfig {
        /// The field, or with syntax version V2 the path to it.
        "field" => field: String {},
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
        /// V1 takes the field as one name; V2 as a path, with dots between its steps.
        "field.syntax.version" => version: String = "V1" {
            importance(High), validator(one_of_ignoring_case(["V1", "V2"]))
        },
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("ExtractField", ExtractFieldConfig, ExtractField)
}

struct ExtractField {
    side: Side,
    path: FieldPath,
    original: String,
    replace_null: bool,
}

impl ExtractField {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = ExtractFieldConfig::parse(props).map_err(crate::first_problem)?;
        let path = FieldPath::parse(&config.field, config.version.eq_ignore_ascii_case("V2"))?;
        Ok(Self { side, path, original: config.field, replace_null: config.replace_null })
    }
}

impl Transform for ExtractField {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut datum.value);
        let Some(schema) = &datum.schema else {
            let entries = map_or_null(&value, PURPOSE)?;
            datum.value = entries.map_or(Ok(Value::Null), |entries| self.path.in_map(entries))?;
            return Ok(Some(record));
        };
        let found = struct_or_null(&value, Some(schema), PURPOSE)?;
        let Some(field) = self.path.field(schema)? else {
            let message = format!("Unknown field: {}", self.original);
            return Err(Error::data(message).class("java.lang.IllegalArgumentException"));
        };
        let field_schema = Arc::clone(&field.schema);
        datum.value = found.map_or(Ok(Value::Null), |value| self.path.in_struct(value, self.replace_null))?;
        datum.schema = Some(field_schema);
        Ok(Some(record))
    }
}
