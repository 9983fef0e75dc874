//! Fuzzes a body of Segment's protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::segment(bytes);
});
