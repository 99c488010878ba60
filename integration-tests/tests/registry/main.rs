//! The converters with a schema registry against a real one, and against another client of it: Confluent's own, for Python.
//!
//! The registry is Apicurio's with the API of Confluent's. Where it answers otherwise than Confluent's does, the tests ask for
//! less: it says in its own words why a schema is incompatible, and gives back a descriptor of Protobuf in base64 where
//! Confluent's makes a text of it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod avro;
mod evolution;
mod faults;
mod json_schema;
mod pipeline;
mod protobuf;
mod records;
mod support;
