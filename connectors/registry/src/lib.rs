//! Converters whose schemas are kept by a schema registry, under the names of Confluent's: Avro, JSON Schema and Protobuf.
//!
//! A record holds the id of its schema and the bytes of its value. [`registry`] asks for ids and schemas, each once; a format
//! (`avro`, ...) maps schemas in both directions and prepares a plan for each, by which values are written and read without a
//! tree in between.

#[cfg(test)]
mod arbitrary;
mod avro;
mod budget;
mod builder;
mod json;
mod protobuf;
#[cfg(test)]
mod readme;
mod registry;
pub mod settings;
mod unroll;

use connect_api::Plugin;

/// Records whose schemas are at hand, without a registry: for who has the text of a schema and what stands behind its id.
pub mod records {
    pub use crate::avro::records::AvroRecords;
    pub use crate::json::records::JsonRecords;
    pub use crate::protobuf::records::ProtobufRecords;
}

/// The version of the schema registry whose converters these are.
const CONFLUENT_VERSION: &str = "8.1.1";

/// Who makes the converters of these names: a part of their class names, and of the paths that they are installed in.
pub const VENDOR: &str = "confluent";

/// What this crate offers to the worker.
pub fn plugins() -> Vec<Plugin> {
    vec![avro::plugin(), json::plugin(), protobuf::plugin()]
}

/// What is in an array or map has no schema, as of a header that is no JSON but looks like it: no format has a type for it.
fn no_schema_inside() -> connect_api::Error {
    connect_api::Error::data(
        "an array or a map without a schema of what is in it has no type in the registry's formats",
    )
    .hint("give its elements one type, or use JsonConverter without schemas")
}
