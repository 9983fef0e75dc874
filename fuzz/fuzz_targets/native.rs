//! Fuzzes a body of the native protocol: decompressed, read, repaired, read again, and judged.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::native(bytes);
});
