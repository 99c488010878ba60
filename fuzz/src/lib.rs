//! What is fuzzed: each function takes any bytes, and panics only when something is wrong with the code.

mod date_patterns;
mod extjson;
mod json;
mod postgres;
mod registry;
mod strings;

pub use date_patterns::date_patterns;
pub use extjson::extjson;
pub use json::json;
pub use postgres::{copy, offsets, pgoutput, values};
pub use registry::{avro, json_schema, protobuf};
pub use strings::parse_string;

/// The targets by their names.
pub const TARGETS: [(&str, fn(&[u8])); 11] = [
    ("pgoutput", pgoutput),
    ("copy", copy),
    ("values", values),
    ("offsets", offsets),
    ("parse_string", parse_string),
    ("json", json),
    ("avro", avro),
    ("protobuf", protobuf),
    ("json_schema", json_schema),
    ("date_patterns", date_patterns),
    ("extjson", extjson),
];

/// Two parts of an input: what stands before the first zero byte, and what stands behind it.
fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// Properties of a converter or a transform.
fn props(pairs: &[(&str, &str)]) -> connect_api::Props {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}
