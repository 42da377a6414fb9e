//! Any bytes as a listing for an audit.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::listing(bytes));
