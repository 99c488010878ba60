//! What the converter keeps of the schemas it has seen. A converter belongs to one task, so the locks are free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connect_api::{Result, SchemaRef};

use super::config::Options;
use super::write::Plan;

/// Beginnings of records that are tried before anything is parsed.
const PREFIXES_MAX: usize = 16;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves a cache behind that is still true: it is only ever filled with finished entries.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prepared schemas by address.
pub(crate) struct Plans {
    options: Options,
    known: Mutex<HashMap<usize, Arc<Plan>>>,
    last: Mutex<Option<Arc<Plan>>>,
}

impl Plans {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, known: Mutex::default(), last: Mutex::default() }
    }

    /// Uses the plan of a schema. The plan holds the schema, so an address is never another schema's.
    pub(crate) fn with<T>(&self, schema: &SchemaRef, work: impl FnOnce(&Plan) -> Result<T>) -> Result<T> {
        // Locked meanwhile: to count who uses the plan takes as long as to write a small field.
        let mut last = lock(&self.last);
        match last.as_ref().filter(|plan| Arc::ptr_eq(&plan.schema, schema)) {
            Some(plan) => work(plan),
            None => work(last.insert(self.get(schema)?)),
        }
    }

    fn get(&self, schema: &SchemaRef) -> Result<Arc<Plan>> {
        let address = Arc::as_ptr(schema) as usize;
        let mut known = lock(&self.known);
        let plan = match known.get(&address) {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = Arc::new(Plan::new(schema, self.options)?);
                if known.len() >= self.options.cache_max {
                    known.clear();
                }
                if self.options.cache_max > 0 {
                    known.insert(address, Arc::clone(&plan));
                }
                plan
            }
        };
        Ok(plan)
    }
}

/// The beginning of a record up to its payload, and the schema that it holds.
struct Prefix {
    bytes: Vec<u8>,
    schema: Option<SchemaRef>,
}

#[derive(Default)]
struct Known {
    /// The most recently used first.
    prefixes: Vec<Prefix>,
    schemas: HashMap<Vec<u8>, SchemaRef>,
}

/// Schemas by the bytes they were read from.
pub(crate) struct Prefixes {
    max: usize,
    known: Mutex<Known>,
}

impl Prefixes {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, known: Mutex::default() }
    }

    /// The schema of a record whose beginning is known, and the length of that beginning.
    pub(crate) fn find(&self, record: &[u8]) -> Option<(Option<SchemaRef>, usize)> {
        let mut known = lock(&self.known);
        let place = known.prefixes.iter().position(|prefix| record.starts_with(&prefix.bytes))?;
        known.prefixes[..=place].rotate_right(1);
        let prefix = known.prefixes.first()?;
        Some((prefix.schema.clone(), prefix.bytes.len()))
    }

    /// The schema that these bytes were read as.
    pub(crate) fn schema(&self, bytes: &[u8]) -> Option<SchemaRef> {
        lock(&self.known).schemas.get(bytes).cloned()
    }

    /// Remembers a beginning and its schema.
    pub(crate) fn remember(&self, beginning: &[u8], schema_bytes: &[u8], schema: Option<&SchemaRef>) {
        if self.max == 0 {
            return;
        }
        let mut known = lock(&self.known);
        if let Some(schema) = schema {
            if known.schemas.len() >= self.max {
                known.schemas.clear();
            }
            known.schemas.entry(schema_bytes.to_vec()).or_insert_with(|| Arc::clone(schema));
        }
        known.prefixes.truncate(PREFIXES_MAX.min(self.max) - 1);
        known.prefixes.insert(0, Prefix { bytes: beginning.to_vec(), schema: schema.cloned() });
    }
}
