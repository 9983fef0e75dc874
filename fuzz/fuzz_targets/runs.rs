//! Fuzzes a run of event ids.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::runs(bytes);
});
