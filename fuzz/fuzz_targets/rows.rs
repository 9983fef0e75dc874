//! Fuzzes rows of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::rows(bytes);
});
