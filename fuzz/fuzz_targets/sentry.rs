//! Fuzzes a body of Sentry's protocol, an envelope.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_ingest::fuzzing::sentry(bytes);
});
