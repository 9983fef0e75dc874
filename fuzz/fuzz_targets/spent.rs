//! Fuzzes high-water marks, and limits of a subject's day.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_storage::fuzzing::spent(bytes);
});
