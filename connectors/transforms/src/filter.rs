//! `Filter`: drops every record. It stands behind a predicate.

use std::sync::LazyLock;

use connect_api::{ConfigDef, Plugin, Record, Result, Transform};

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

pub(crate) fn plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.Filter", || &NO_KEYS, |_| Ok(Box::new(Filter)))
}

struct Filter;

impl Transform for Filter {
    fn apply(&self, _record: Record) -> Result<Option<Record>> {
        Ok(None)
    }
}
