//! Custody against what it is made for: SoftHSM, which `./test` installs, and OpenBao, which it puts beside the Python of its venv.
//!
//! Both are started and ended by the tests, and keep their files in directories that go with them. Not here: services that answer wrongly
//! or slowly (`custody/src/transit/tests.rs`).
#![allow(clippy::unwrap_used)]

mod openbao;
mod pkcs11;
mod softhsm;
mod transit;
