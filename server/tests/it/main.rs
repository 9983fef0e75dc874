//! The service from outside: one binary for all integration tests, because each links the whole of DataFusion.
#![allow(clippy::unwrap_used, missing_docs)]

mod smoke;
mod world;
