//! Fuzzes a wrapped key file, wrapping keys, an answer of a transit service.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_custody::fuzzing::custody(bytes);
});
