//! What the mapping between Connect and JSON Schema needs to know of the configuration, and the names that it gives meaning to.

use connect_api::java::hash;
use connect_api::{Kind, Schema, Value};

use crate::settings::JsonConfig;

/// How decimals are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalFormat {
    Base64,
    Numeric,
}

/// The switches of the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) generalized: bool,
    pub(crate) ignore_default: bool,
    pub(crate) additional_properties: bool,
    pub(crate) optional_when_not_required: bool,
    pub(crate) decimals: DecimalFormat,
    pub(crate) flatten: bool,
}

impl From<&JsonConfig> for Options {
    fn from(config: &JsonConfig) -> Self {
        let numeric = config.decimal_format.eq_ignore_ascii_case("numeric");
        Self {
            generalized: config.generalized,
            ignore_default: config.ignore_default,
            additional_properties: config.additional_properties,
            optional_when_not_required: config.optional_when_not_required,
            decimals: if numeric { DecimalFormat::Numeric } else { DecimalFormat::Base64 },
            flatten: config.flatten,
        }
    }
}

pub(crate) const TYPE: &str = "connect.type";
pub(crate) const VERSION: &str = "connect.version";
pub(crate) const PARAMETERS: &str = "connect.parameters";
pub(crate) const INDEX: &str = "connect.index";

/// What parameters begin with that are not written as such.
pub(crate) const NAMESPACE: &str = "io.confluent.connect.json";
pub(crate) const ID: &str = "io.confluent.connect.json.Id";
pub(crate) const ENUM: &str = "io.confluent.connect.json.Enum";
pub(crate) const ONE_OF: &str = "io.confluent.connect.json.OneOf";
/// The symbol of an enum that is null.
pub(crate) const NULL_SYMBOL: &str = "<NULL>";

pub(crate) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(crate) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
pub(crate) const SUM_UNION_NAME: &str = "connect_union_";
pub(crate) const SUM_UNION_FIELD: &str = "connect_union_field_";

/// A struct that stands for a union: one of its fields has a value.
pub(crate) fn is_union(schema: &Schema) -> bool {
    schema.is(ONE_OF) || schema.get_parameter(SUM_UNION).is_some()
}

/// A map that JSON has as an object, not as an array of entries.
pub(crate) fn is_object(keys: &Schema) -> bool {
    keys.kind == Kind::String && !keys.optional
}

impl Options {
    /// The parameter that makes a text an enum.
    pub(crate) fn enum_parameter(&self, schema: &Schema) -> Option<&'static str> {
        let preferred = if self.generalized { [SUM_ENUM, ENUM] } else { [ENUM, SUM_ENUM] };
        preferred.into_iter().find(|name| schema.get_parameter(name).is_some())
    }
}

/// The order in which Java's `HashMap` has these entries.
pub(crate) fn hash_order<K: AsRef<str>, V>(entries: impl IntoIterator<Item = (K, V)>) -> Vec<(K, V)> {
    let mut entries: Vec<(K, V)> = entries.into_iter().collect();
    let mut keys: Vec<(Value, Value)> = entries.iter().map(|(key, _)| (key.as_ref().into(), Value::Null)).collect();
    hash::order(&mut keys);
    let places: std::collections::HashMap<&str, usize> =
        keys.iter().enumerate().filter_map(|(place, (key, _))| Some((key.as_str()?, place))).collect();
    entries.sort_by_key(|(key, _)| places.get(key.as_ref()).copied());
    entries
}
