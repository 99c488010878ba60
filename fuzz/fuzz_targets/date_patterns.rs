//! Fuzzes date patterns and the texts that they read; see the crate's functions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::date_patterns(data));
