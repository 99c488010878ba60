//! What the mapping between Connect and Protobuf needs to know of the configuration, and the names that it gives meaning to.

use connect_api::Schema;

use crate::settings::ProtobufConfig;

/// The switches of the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) generalized: bool,
    pub(crate) ignore_default: bool,
    pub(crate) enhanced: bool,
    pub(crate) scrub: bool,
    pub(crate) int_for_enums: bool,
    pub(crate) optional_label: bool,
    pub(crate) optional_of_proto2: bool,
    pub(crate) wrapper_for_nullables: bool,
    pub(crate) wrapper_for_primitives: bool,
    pub(crate) struct_for_nulls: bool,
    pub(crate) index_for_unions: bool,
    pub(crate) flatten_unions: bool,
}

impl From<&ProtobufConfig> for Options {
    fn from(config: &ProtobufConfig) -> Self {
        Self {
            generalized: config.generalized,
            ignore_default: config.ignore_default,
            enhanced: config.enhanced,
            scrub: config.scrub,
            int_for_enums: config.int_for_enums,
            optional_label: config.optional_label,
            optional_of_proto2: config.optional_of_proto2,
            wrapper_for_nullables: config.wrapper_for_nullables,
            wrapper_for_primitives: config.wrapper_for_primitives,
            struct_for_nulls: config.struct_for_nulls,
            index_for_unions: config.index_for_unions,
            flatten_unions: config.flatten_unions,
        }
    }
}

pub(crate) const DEFAULT_NAME: &str = "ConnectDefault";
pub(crate) const MAP_ENTRY: &str = "Entry";
pub(crate) const ENUM: &str = "io.confluent.connect.protobuf.Enum";
pub(crate) const UNION: &str = "io.confluent.connect.protobuf.Union";
pub(crate) const UNION_OF: &str = "io.confluent.connect.protobuf.Union.";
pub(crate) const TAG: &str = "io.confluent.connect.protobuf.Tag";
pub(crate) const TYPE: &str = "io.confluent.connect.protobuf.Type";
pub(crate) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(crate) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";

pub(crate) const CONNECT_TYPE: &str = "connect.type";
pub(crate) const CONNECT_PRECISION: &str = "connect.decimal.precision";
pub(crate) const PRECISION: &str = "precision";
pub(crate) const SCALE: &str = "scale";

pub(crate) const DECIMAL_TYPE: &str = "confluent.type.Decimal";
pub(crate) const DATE_TYPE: &str = "google.type.Date";
pub(crate) const TIME_TYPE: &str = "google.type.TimeOfDay";
pub(crate) const TIMESTAMP_TYPE: &str = "google.protobuf.Timestamp";

/// A struct that stands for a oneof: one of its fields has a value.
pub(crate) fn is_union(schema: &Schema) -> bool {
    schema.name.as_deref().is_some_and(|name| name.starts_with(UNION)) || schema.get_parameter(SUM_UNION).is_some()
}

impl Options {
    /// The parameter that makes a text or a number an enum.
    pub(crate) fn enum_parameter(&self, schema: &Schema) -> Option<&'static str> {
        let preferred = if self.generalized { [SUM_ENUM, ENUM] } else { [ENUM, SUM_ENUM] };
        preferred.into_iter().find(|name| schema.get_parameter(name).is_some())
    }

    /// The parameter that enums are read with.
    pub(crate) fn enum_written(&self) -> &'static str {
        if self.generalized { SUM_ENUM } else { ENUM }
    }
}
