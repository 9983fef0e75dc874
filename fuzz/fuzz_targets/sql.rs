//! Fuzzes a statement.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_language::fuzzing::sql(bytes);
});
