//! Fuzzes Protobuf's schemas and records; see the crate's functions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::protobuf(data));
