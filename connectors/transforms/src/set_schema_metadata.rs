//! `SetSchemaMetadata`: gives the schema of a struct another name or version.

use connect_api::{Error, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value};

use crate::schemas::{Cache, check_null, filled};
use crate::side::Side;

connect_config::config! {
    /// The keys of the transform.
    pub struct SetSchemaMetadataConfig {
        /// The new name.
        "schema.name" => name: Option<String> = NULL { importance(High) },
        /// The new version.
        "schema.version" => version: Option<i32> = NULL { importance(High) },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("SetSchemaMetadata", SetSchemaMetadataConfig, SetSchemaMetadata)
}

struct SetSchemaMetadata {
    side: Side,
    config: SetSchemaMetadataConfig,
    schemas: Cache,
}

impl SetSchemaMetadata {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = SetSchemaMetadataConfig::parse(props).map_err(crate::first_problem)?;
        if config.name.is_none() && config.version.is_none() {
            return Err(Error::config("Neither schema name nor version configured"));
        }
        Ok(Self { side, config, schemas: Cache::default() })
    }
}

impl Transform for SetSchemaMetadata {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        let Some(schema) = &datum.schema else {
            if datum.value.is_null() {
                return Ok(Some(record));
            }
            return Err(Error::data("Schema required for [updating schema metadata]"));
        };
        if !matches!(schema.kind, Kind::Struct(_)) {
            return Err(Error::data("Cannot list fields on non-struct type"));
        }
        let updated = self.schemas.get(schema, || {
            Ok(SchemaRef::new(Schema {
                name: self.config.name.as_deref().map(Into::into).or_else(|| schema.name.clone()),
                version: self.config.version.or(schema.version),
                ..Schema::clone(schema)
            }))
        })?;
        if let Value::Struct(value) = std::mem::take(&mut datum.value) {
            let mut values = Vec::with_capacity(value.fields.len());
            for (value, field) in value.fields.into_iter().zip(value.schema.fields()) {
                let value = filled(value, &field.schema, self.config.replace_null);
                check_null(&field.name, &field.schema, &value)?;
                values.push(value);
            }
            datum.value = Value::Struct(Struct::new(SchemaRef::clone(&updated), values));
        }
        datum.schema = Some(updated);
        Ok(Some(record))
    }
}
