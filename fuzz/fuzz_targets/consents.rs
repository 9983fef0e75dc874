//! Fuzzes a body of `POST /v1/consents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::consents(bytes);
});
