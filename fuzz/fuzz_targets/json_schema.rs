//! Fuzzes JSON Schemas and records under them; see the crate's functions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::json_schema(data));
