//! `ValueToKey`: makes a key of fields of the value.

use connect_api::java::hash;
use connect_api::{Datum, Error, Plugin, Record, Result, Schema, SchemaRef, Struct, Transform, Value};

use crate::schemas::{Cache, Fields, check_null, filled};
use crate::side::{entry, put_entry, require_map, require_struct};

const PURPOSE: &str = "copying fields from value to key";

connect_config::config! {
    /// The keys of the transform.
    pub struct ValueToKeyConfig {
        /// The fields of the value that make the key.
        "fields" => fields: Vec<String> { importance(High), validator(non_empty_list()) },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.ValueToKey", ValueToKeyConfig::def, |props| {
        let config = ValueToKeyConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Box::new(ValueToKey { config, schemas: Cache::default() }))
    })
}

struct ValueToKey {
    config: ValueToKeyConfig,
    schemas: Cache,
}

impl ValueToKey {
    fn key_schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut fields = Fields::default();
            for name in &self.config.fields {
                let field = schema.index_of(name).and_then(|index| schema.fields().get(index));
                let Some(field) = field else { return Err(Error::data(format!("Field does not exist: {name}"))) };
                fields.add(name, SchemaRef::clone(&field.schema))?;
            }
            Ok(Schema::of(fields.into_kind()).shared())
        })
    }

    fn key_of_struct(&self, value: &Struct) -> Result<Datum> {
        let schema = self.key_schema(&value.schema)?;
        let mut values = Vec::with_capacity(self.config.fields.len());
        for field in schema.fields() {
            let found = value.get(&field.name).cloned().unwrap_or_default();
            let found = filled(found, &field.schema, self.config.replace_null);
            check_null(&field.name, &field.schema, &found)?;
            values.push(found);
        }
        Ok(Datum::new(SchemaRef::clone(&schema), Value::Struct(Struct::new(schema, values))))
    }
}

impl Transform for ValueToKey {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        record.key = if record.value.schema.is_none() {
            let entries = require_map(&record.value.value, PURPOSE)?;
            let mut key = Vec::with_capacity(self.config.fields.len());
            for name in &self.config.fields {
                put_entry(&mut key, name, entry(entries, name).cloned().unwrap_or_default());
            }
            hash::order_with_capacity(self.config.fields.len(), &mut key);
            Datum::schemaless(Value::Map(key))
        } else {
            self.key_of_struct(require_struct(&record.value, PURPOSE)?)?
        };
        Ok(Some(record))
    }
}
