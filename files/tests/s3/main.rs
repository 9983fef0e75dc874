//! The store of S3 against a real one, SeaweedFS, with and without a network that loses answers.
//!
//! - `servers`: the stores, which the tests start; `proxy`: what is between
//! - `live`: what a store does; `refused`: stores and keys that are of no use; `lost`: answers that are lost, one at a time
//! - `faults`: hundreds of faults, against a model; `cache`: a measurement of a cache before it
//!
//! Needs `SHOAL_TEST_PYTHON`, which `./test` sets. Nothing sleeps but what waits for a server to start.
#![allow(clippy::unwrap_used)]

mod cache;
mod faults;
mod live;
mod lost;
mod proxy;
mod refused;
mod servers;
