//! Building schemas from schemas, and keeping what was built.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use connect_api::{Error, ErrorKind, Field, Kind, Result, Schema, SchemaRef, Value};

/// Schemas kept by a transform; with more than these it starts afresh.
const KEPT_MAX: usize = 256;

/// What a transform made of each schema, by the schema's address.
pub(crate) struct Cache<T = SchemaRef> {
    known: Mutex<HashMap<usize, (SchemaRef, T)>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<T: Clone> Cache<T> {
    /// What was made of a schema, or what is made of it now.
    pub(crate) fn get(&self, schema: &SchemaRef, make: impl FnOnce() -> Result<T>) -> Result<T> {
        // A panic leaves finished entries behind.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(schema) as usize;
        // The entry holds the schema, so the address is never another schema's.
        if let Some((_, made)) = known.get(&address) {
            return Ok(made.clone());
        }
        let made = make()?;
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(address, (Arc::clone(schema), made.clone()));
        Ok(made)
    }
}

/// An empty struct schema with the name, version, doc and parameters of another (`SchemaUtil.copySchemaBasics`). It is
/// required and has no default.
pub(crate) fn basics(source: &Schema, kind: Kind) -> Schema {
    Schema {
        kind,
        optional: false,
        name: source.name.clone(),
        version: source.version,
        doc: source.doc.clone(),
        parameters: source.parameters.clone(),
        default: None,
    }
}

/// Collects the fields of a struct schema, refusing what Connect's builder refuses.
#[derive(Default)]
pub(crate) struct Fields {
    fields: Vec<Field>,
    names: HashSet<Arc<str>>,
}

impl Fields {
    /// Adds a field.
    pub(crate) fn add(&mut self, name: &str, schema: SchemaRef) -> Result<()> {
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Schema, "fieldName cannot be null."));
        }
        if self.names.contains(name) {
            let message = format!("Cannot create field because of field name duplication {name}");
            return Err(Error::new(ErrorKind::Schema, message));
        }
        let field = Field::new(name, schema);
        self.names.insert(Arc::clone(&field.name));
        self.fields.push(field);
        Ok(())
    }

    /// The struct schema, with the basics of another.
    pub(crate) fn build(self, source: &Schema) -> SchemaRef {
        basics(source, Kind::Struct(self.fields)).shared()
    }

    /// The fields.
    pub(crate) fn into_kind(self) -> Kind {
        Kind::Struct(self.fields)
    }
}

/// A field's value, the default in the place of null when that is wanted (`Struct.get` or `getWithoutDefault`).
pub(crate) fn filled(value: Value, schema: &Schema, replace_null: bool) -> Value {
    match &schema.default {
        Some(default) if replace_null && value.is_null() => default.clone(),
        _ => value,
    }
}

/// Refuses null where it must not be, as `Struct.put` does.
pub(crate) fn check_null(name: &str, schema: &SchemaRef, value: &Value) -> Result<()> {
    if value.is_null() && !schema.optional {
        return connect_api::validate::field(name, schema, value);
    }
    Ok(())
}
