//! The converters with a schema registry against a real one, and against another client of it: Confluent's own, for Python.
//!
//! The registry is Apicurio's with the API of Confluent's. Where it answers otherwise than Confluent's does, the tests allow for
//! both: it says in its own words why a schema is incompatible; the level NONE of a subject means that of all subjects; a
//! descriptor of Protobuf in base64, which the other client registers, is given back as it is where Confluent's makes a text of
//! it, and a text is given back where a descriptor is asked for.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod avro;
mod evolution;
mod faults;
mod json_schema;
mod pipeline;
mod protobuf;
mod records;
mod support;
