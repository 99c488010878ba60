//! Fuzzes Extended JSON; see the crate's functions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::extjson(data));
