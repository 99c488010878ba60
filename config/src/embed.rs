//! Putting one definition into another under a prefix (`ConfigDef.embed`), as transforms are in a connector's.

use std::fmt;
use std::sync::Arc;

use crate::def::{ConfigDef, ConfigKey};
use crate::parse::{ConfigError, ConfigValue, Props};
use crate::validators::Validator;

/// A validator that sees the name without the prefix: its messages name the key as the plugin knows it.
struct Embedded {
    prefix: String,
    inner: Arc<dyn Validator>,
}

impl fmt::Display for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Validator for Embedded {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        self.inner.ensure_valid(name.strip_prefix(&self.prefix).unwrap_or(name), value)
    }
}

/// The entries of a prefix, without it.
pub fn without_prefix(props: &Props, prefix: &str) -> Props {
    let strip = |(key, value): (&String, &Option<String>)| {
        let rest = key.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
        Some((rest.to_owned(), value.clone()))
    };
    props.iter().filter_map(strip).collect()
}

impl ConfigDef {
    /// The keys as documentation and embedding order them: keys without a group first, then by group, order in the
    /// group, required ones first, importance and name.
    pub fn sorted_keys(&self) -> Vec<&ConfigKey> {
        let mut keys: Vec<&ConfigKey> = self.keys().collect();
        let group = |key: &ConfigKey| {
            key.group.as_ref().map(|name| self.groups().iter().position(|g| g == name).unwrap_or(usize::MAX))
        };
        keys.sort_by(|a, b| {
            (group(a), a.order, !a.required(), a.importance, &a.name).cmp(&(
                group(b),
                b.order,
                !b.required(),
                b.importance,
                &b.name,
            ))
        });
        keys
    }

    /// Adds the keys of another definition under a prefix, all in one group, numbered from `first_order`.
    pub fn embed(&mut self, prefix: &str, group: &str, first_order: i32, child: &ConfigDef) -> &mut Self {
        for (order, key) in (first_order..).zip(child.sorted_keys()) {
            let mut key = key.clone();
            key.name = format!("{prefix}{}", key.name);
            key.group = Some(match &key.group {
                Some(own) => format!("{group}: {own}"),
                None => group.to_owned(),
            });
            key.order = order;
            key.dependents = key.dependents.iter().map(|name| format!("{prefix}{name}")).collect();
            key.validator = key
                .validator
                .map(|inner| -> Arc<dyn Validator> { Arc::new(Embedded { prefix: prefix.to_owned(), inner }) });
            if let Some(inner) = key.recommender.take() {
                let prefix = prefix.to_owned();
                key.recommender = Some(Arc::new(move |name: &str, props: &Props| {
                    inner(name.strip_prefix(&prefix).unwrap_or(name), &without_prefix(props, &prefix))
                }));
            }
            self.define(key);
        }
        self
    }
}
