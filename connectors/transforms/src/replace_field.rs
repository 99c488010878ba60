//! `ReplaceField`: leaves out and renames fields.

use connect_api::java::hash;
use connect_api::{ConfigError, Plugin, Props, Record, Result, SchemaRef, Struct, Transform, Value};

use crate::schemas::{Cache, Fields, check_null, filled};
use crate::side::{Side, put_entry, take_map, take_struct};

const PURPOSE: &str = "field replacement";

connect_config::config! {
    /// The keys of the transform.
    pub struct ReplaceFieldConfig {
        /// Fields to leave out.
        "exclude" => exclude: Vec<String> = "" {},
        /// Fields to keep; all when empty.
        "include" => include: Vec<String> = "" {},
        /// Fields to rename: pairs of old and new name with a colon between.
        "renames" => renames: Vec<String> = "" {
            validator(check("list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>", |key, value| match value {
                connect_config::ConfigValue::List(list) => parse_renames(key, list).map(|_| ()),
                _ => Ok(()),
            }))
        },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

fn parse_renames(key: &str, list: &[String]) -> std::result::Result<Vec<(String, String)>, ConfigError> {
    let parse = |mapping: &String| {
        // Java drops empty parts at the end.
        let mut parts: Vec<&str> = mapping.split(':').collect();
        while parts.len() > 1 && parts.last() == Some(&"") {
            parts.pop();
        }
        match parts.as_slice() {
            [from, to] => Ok(((*from).to_owned(), (*to).to_owned())),
            _ => {
                let shown = format!("[{}]", list.join(", "));
                Err(ConfigError::invalid(key, shown, format!("Invalid rename mapping: {mapping}")))
            }
        }
    };
    list.iter().map(parse).collect()
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("ReplaceField", ReplaceFieldConfig, ReplaceField)
}

struct ReplaceField {
    side: Side,
    config: ReplaceFieldConfig,
    renames: Vec<(String, String)>,
    /// The new schema, and which old field each new one is.
    schemas: Cache<(SchemaRef, std::sync::Arc<[usize]>)>,
}

impl ReplaceField {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = ReplaceFieldConfig::parse(props).map_err(crate::first_problem)?;
        let renames = parse_renames("renames", &config.renames)?;
        Ok(Self { side, config, renames, schemas: Cache::default() })
    }

    fn keeps(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|other| other == name);
        !listed(&self.config.exclude) && (self.config.include.is_empty() || listed(&self.config.include))
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        self.renames.iter().rev().find(|(from, _)| from == name).map_or(name, |(_, to)| to)
    }

    fn schema(&self, schema: &SchemaRef) -> Result<(SchemaRef, std::sync::Arc<[usize]>)> {
        self.schemas.get(schema, || {
            let (mut fields, mut places) = (Fields::default(), Vec::new());
            for (place, field) in schema.fields().iter().enumerate().filter(|(_, field)| self.keeps(&field.name)) {
                fields.add(self.renamed(&field.name), SchemaRef::clone(&field.schema))?;
                places.push(place);
            }
            Ok((fields.build(schema), places.into()))
        })
    }
}

impl Transform for ReplaceField {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        if datum.value.is_null() {
            return Ok(Some(record));
        }
        if datum.schema.is_none() {
            let mut kept = Vec::new();
            for (key, value) in take_map(datum, PURPOSE)? {
                let name = key.as_str().unwrap_or_default();
                if self.keeps(name) {
                    put_entry(&mut kept, self.renamed(name), value);
                }
            }
            hash::order(&mut kept);
            datum.value = Value::Map(kept);
            return Ok(Some(record));
        }
        let mut value = take_struct(datum, PURPOSE)?;
        let (schema, places) = self.schema(&value.schema)?;
        let mut values = Vec::with_capacity(places.len());
        for (place, field) in places.iter().zip(schema.fields()) {
            let value = filled(std::mem::take(&mut value.fields[*place]), &field.schema, self.config.replace_null);
            check_null(&field.name, &field.schema, &value)?;
            values.push(value);
        }
        datum.value = Value::Struct(Struct::new(SchemaRef::clone(&schema), values));
        datum.schema = Some(schema);
        Ok(Some(record))
    }
}
