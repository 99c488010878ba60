//! A schema of Connect in the making (`SchemaBuilder`), from whichever format.

use std::sync::Arc;

use connect_api::{Kind, Schema};

/// A schema in the making.
pub(crate) struct Builder {
    pub(crate) schema: Schema,
    /// How many schemas it is with all that it holds.
    pub(crate) count: u64,
}

impl Builder {
    /// Of a type.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { schema: Schema::of(kind), count: 1 }
    }

    /// Of a logical type.
    pub(crate) fn logical(kind: Kind, name: &str) -> Self {
        Self { schema: Schema::of(kind).named(name).version(1), count: 1 }
    }

    /// Sets a parameter; one that is there keeps its place.
    pub(crate) fn parameter(&mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        let (key, value) = (key.into(), value.into());
        let parameters = self.schema.parameters.get_or_insert_default();
        match parameters.iter_mut().find(|(other, _)| *other == key) {
            Some(known) => known.1 = value,
            None => parameters.push((key, value)),
        }
    }
}
