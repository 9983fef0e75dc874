//! Fuzzes a body in any encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::inflate(bytes);
});
