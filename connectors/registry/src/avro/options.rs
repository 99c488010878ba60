//! What the mapping between Connect and Avro needs to know of the configuration, and the names that it gives meaning to.

use connect_api::Schema;

use crate::settings::AvroConfig;

/// The switches of the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) meta_data: bool,
    pub(crate) enhanced: bool,
    pub(crate) generalized: bool,
    pub(crate) ignore_default: bool,
    pub(crate) scrub: bool,
    pub(crate) discard_type_doc: bool,
    pub(crate) allow_optional_keys: bool,
    pub(crate) flatten: bool,
}

impl From<&AvroConfig> for Options {
    fn from(config: &AvroConfig) -> Self {
        Self {
            meta_data: config.meta_data,
            enhanced: config.enhanced,
            generalized: config.generalized,
            ignore_default: config.ignore_default,
            scrub: config.scrub,
            discard_type_doc: config.discard_type_doc,
            allow_optional_keys: config.allow_optional_keys,
            flatten: config.flatten,
        }
    }
}

pub(crate) const NAME: &str = "connect.name";
pub(crate) const DOC: &str = "connect.doc";
pub(crate) const RECORD_DOC: &str = "connect.record.doc";
pub(crate) const ENUM_DOC: &str = "connect.enum.doc";
pub(crate) const VERSION: &str = "connect.version";
pub(crate) const DEFAULT: &str = "connect.default";
pub(crate) const PARAMETERS: &str = "connect.parameters";
pub(crate) const TYPE: &str = "connect.type";
pub(crate) const INTERNAL_TYPE: &str = "connect.internal.type";
pub(crate) const FIXED_SIZE: &str = "connect.fixed.size";
pub(crate) const DECIMAL_PRECISION: &str = "connect.decimal.precision";
pub(crate) const PRECISION_DEFAULT: i64 = 64;
pub(crate) const LOGICAL_TYPE: &str = "logicalType";
pub(crate) const SCALE: &str = "scale";
pub(crate) const PRECISION: &str = "precision";
/// What parameters begin with that are properties in Avro, too.
pub(crate) const AVRO: &str = "avro";

pub(crate) const AVRO_RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
pub(crate) const AVRO_ENUM_DOC: &str = "io.confluent.connect.avro.enum.doc.";
pub(crate) const AVRO_FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
/// Says that a default in Connect is that of the field in Avro.
pub(crate) const AVRO_FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
pub(crate) const AVRO_ENUM_DEFAULT: &str = "io.confluent.connect.avro.enum.default.";
pub(crate) const AVRO_UNION: &str = "io.confluent.connect.avro.Union";
pub(crate) const AVRO_ENUM: &str = "io.confluent.connect.avro.Enum";

pub(crate) const ANYTHING: &str = "io.confluent.connect.avro.Anything";
pub(crate) const MAP_ENTRY: &str = "MapEntry";

pub(crate) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(crate) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
pub(crate) const SUM_UNION_NAME: &str = "connect_union_";
pub(crate) const SUM_UNION_FIELD: &str = "connect_union_field_";

/// A struct that stands for a union: one of its fields has a value.
pub(crate) fn is_union(schema: &Schema) -> bool {
    schema.is(AVRO_UNION) || schema.get_parameter(SUM_UNION).is_some()
}

/// The size of bytes that are fixed in Avro.
pub(crate) fn fixed_size(schema: &Schema) -> Option<&str> {
    schema.name.as_ref().and_then(|_| schema.get_parameter(FIXED_SIZE))
}

impl Options {
    /// The parameter that makes a text an enum, when enums are written.
    pub(crate) fn enum_parameter(&self, schema: &Schema) -> Option<&'static str> {
        let preferred = if self.generalized { [SUM_ENUM, AVRO_ENUM] } else { [AVRO_ENUM, SUM_ENUM] };
        let wanted = self.generalized || self.enhanced;
        preferred.into_iter().find(|name| wanted && schema.get_parameter(name).is_some())
    }

    /// The parameter that enums are read with.
    pub(crate) fn enum_written(&self) -> &'static str {
        if self.generalized { SUM_ENUM } else { AVRO_ENUM }
    }

    /// A map that Avro has as a map, not as an array of entries.
    pub(crate) fn plain_keys(&self, keys: &Schema) -> bool {
        keys.kind == connect_api::Kind::String && (!keys.optional || self.allow_optional_keys)
    }
}
