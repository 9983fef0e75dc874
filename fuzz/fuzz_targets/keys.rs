//! Fuzzes the key file, the key of a day, the keys of an epoch.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_privacy::fuzzing::keys(bytes);
});
