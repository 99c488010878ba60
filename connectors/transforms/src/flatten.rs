//! `Flatten`: brings the fields of inner structs or maps to the top, under names joined by a delimiter.

use connect_api::{Error, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value};

use crate::schemas::{Cache, Fields, basics, check_null, filled};
use crate::side::{Entries, Side, put_entry, struct_or_null, take_map};

const PURPOSE: &str = "flattening";

connect_config::config! {
    /// The keys of the transform.
    pub struct FlattenConfig {
        /// What stands between the names.
        "delimiter" => delimiter: String = "." {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("Flatten", FlattenConfig, Flatten)
}

struct Flatten {
    side: Side,
    delimiter: String,
    schemas: Cache,
}

impl Flatten {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = FlattenConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Self { side, delimiter: config.delimiter, schemas: Cache::default() })
    }

    fn name(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{}{name}", self.delimiter) }
    }

    fn schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut fields = Fields::default();
            let default = schema.default.as_ref().and_then(Value::as_struct);
            self.add_fields(schema, "", schema.optional, default, &mut fields)?;
            Ok(fields.build(schema))
        })
    }

    /// Adds the fields below a schema. What is inside of something optional is optional, and inherits its default.
    fn add_fields(
        &self,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        default: Option<&Struct>,
        out: &mut Fields,
    ) -> Result<()> {
        for field in schema.fields() {
            let name = self.name(prefix, &field.name);
            let optional = optional || field.schema.optional;
            let inherited = || default.and_then(|default| default.get(&field.name)).filter(|value| !value.is_null());
            let default = field.schema.default.as_ref().or_else(inherited);
            match &field.schema.kind {
                Kind::Struct(_) => {
                    let default = default.and_then(Value::as_struct);
                    self.add_fields(&field.schema, &name, optional, default, out)?;
                }
                Kind::Map(..) => {
                    return Err(Error::data(format!(
                        "Flatten transformation does not support MAP for record with schemas (for field {name})."
                    )));
                }
                kind => {
                    let mut schema = basics(&field.schema, kind.clone());
                    schema.optional = optional;
                    schema.default = default.cloned();
                    out.add(&name, schema.shared())?;
                }
            }
        }
        Ok(())
    }

    /// Appends the values below a struct; of a missing one, a null for each.
    fn add_values(&self, schema: &Schema, value: Option<&Struct>, out: &mut Vec<Value>) {
        for (place, field) in schema.fields().iter().enumerate() {
            let found = value.and_then(|value| value.fields.get(place)).cloned().unwrap_or_default();
            if let Kind::Struct(_) = field.schema.kind {
                // A missing struct has no values, even when it has a default.
                self.add_values(&field.schema, found.as_struct(), out);
            } else {
                out.push(filled(found, &field.schema, value.is_some()));
            }
        }
    }

    fn flatten_map(&self, entries: Entries, prefix: &str, out: &mut Entries) -> Result<()> {
        for (key, value) in entries {
            let name = self.name(prefix, key.as_str().unwrap_or_default());
            match value {
                Value::Map(inner) => self.flatten_map(inner, &name, out)?,
                Value::Decimal(_) | Value::Date(_) | Value::BigInt(_) => {
                    let class = value.java_class(None);
                    return Err(Error::data(format!(
                        "Flatten transformation was passed a value of type class {class} which is not supported by Connect's data API"
                    )));
                }
                Value::Struct(_) => {
                    let class = value.java_class(None);
                    return Err(Error::data(format!(
                        "Flatten transformation does not support class {class} for record without schemas (for field {name})."
                    )));
                }
                value => put_entry(out, &name, value),
            }
        }
        Ok(())
    }
}

impl Transform for Flatten {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        let Some(schema) = datum.schema.clone() else {
            if datum.value.is_null() {
                return Ok(Some(record));
            }
            let mut flat = Vec::new();
            self.flatten_map(take_map(datum, PURPOSE)?, "", &mut flat)?;
            datum.value = Value::Map(flat);
            return Ok(Some(record));
        };
        if datum.value.is_null() {
            return Ok(Some(record));
        }
        let value = std::mem::take(&mut datum.value);
        let found = struct_or_null(&value, Some(&schema), PURPOSE)?;
        let updated = self.schema(&schema)?;
        if let Some(found) = found {
            let mut values = Vec::with_capacity(updated.fields().len());
            self.add_values(&found.schema, Some(found), &mut values);
            for (value, field) in values.iter().zip(updated.fields()) {
                check_null(&field.name, &field.schema, value)?;
            }
            datum.value = Value::Struct(Struct::new(SchemaRef::clone(&updated), values));
        }
        datum.schema = Some(updated);
        Ok(Some(record))
    }
}
