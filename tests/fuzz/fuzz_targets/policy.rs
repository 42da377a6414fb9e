//! Any bytes as the text of a policy.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzz::policy(bytes));
