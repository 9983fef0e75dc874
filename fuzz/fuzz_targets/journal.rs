//! Fuzzes a journal of withdrawals.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_storage::fuzzing::journal(bytes);
});
