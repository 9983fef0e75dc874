//! Fuzzes a record of a consent, and an act of the journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_privacy::fuzzing::consent(bytes);
});
