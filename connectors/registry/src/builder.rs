//! A schema of Connect in the making (`SchemaBuilder`), from whichever format.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

    /// The same of many, as the symbols of an enum are.
    pub(crate) fn parameters(&mut self, all: impl Iterator<Item = (Arc<str>, Arc<str>)>) {
        let parameters = self.schema.parameters.get_or_insert_default();
        let known = parameters.iter().enumerate().map(|(place, (key, _))| (Arc::clone(key), place));
        let mut places: HashMap<Arc<str>, usize> = known.collect();
        for (key, value) in all {
            match places.entry(Arc::clone(&key)) {
                Entry::Occupied(place) => parameters[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(parameters.len());
                    parameters.push((key, value));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_many_parameters_counts_in_the_first_place() {
        let mut builder = Builder::of(Kind::String);
        builder.parameter("a", "1");
        builder.parameters([("b", "2"), ("a", "3"), ("b", "4")].into_iter().map(|(k, v)| (k.into(), v.into())));
        assert_eq!(builder.schema.parameters.unwrap(), [("a".into(), "3".into()), ("b".into(), "4".into())]);
    }
}
