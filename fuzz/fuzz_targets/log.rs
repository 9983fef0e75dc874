//! Fuzzes a segment of the write-ahead log: records, dictionary, rows, columns.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::log(bytes);
});
