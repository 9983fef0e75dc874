//! Fuzzes a sealed file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shoal_files::fuzzing::sealed_file(bytes);
});
