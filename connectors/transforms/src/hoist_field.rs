//! `HoistField`: wraps a key or value into a struct or map of one field.

use connect_api::{Field, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value, validate};

use crate::schemas::{Cache, Fields};
use crate::side::Side;

connect_config::config! {
    /// The keys of the transform.
    pub struct HoistFieldConfig {
        /// The name of the one field.
        "field" => field: String {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("HoistField", HoistFieldConfig, HoistField)
}

struct HoistField {
    side: Side,
    field: String,
    schemas: Cache,
}

impl HoistField {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = HoistFieldConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Self { side, field: config.field, schemas: Cache::default() })
    }

    fn wrap(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut fields = Fields::default();
            fields.add(&self.field, SchemaRef::clone(schema))?;
            Ok(Schema::of(fields.into_kind()).shared())
        })
    }
}

impl Transform for HoistField {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut datum.value);
        match &datum.schema {
            None => datum.value = Value::Map(vec![(Value::string(&self.field), value)]),
            Some(schema) => {
                let wrapped = self.wrap(schema)?;
                if let [Field { name, schema }] = wrapped.fields() {
                    validate::field(name, schema, &value)?;
                }
                datum.value = Value::Struct(Struct::new(SchemaRef::clone(&wrapped), vec![value]));
                datum.schema = Some(wrapped);
            }
        }
        Ok(Some(record))
    }
}
