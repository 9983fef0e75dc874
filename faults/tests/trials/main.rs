//! The trials: `faults/src/lib.rs` says what is on trial, how to run them and how often each runs.
//!
//! | module | trial |
//! |---|---|
//! | `kill` | processes that are killed, at any moment |
//! | `power_loss` | the disk stops in the middle |
//! | `full_disk` | a disk has no room, for each part of the data |
//! | `io_errors` | the Nth call of a family of calls of the system fails |
//! | `side_by_side` | senders beside everything that maintains tables |
//! | `malformed` | broken input |
//! | `flips` | bits flip in a directory that a service has left |
//!
//! `service` runs the binary, `http` speaks to it, `load` sends events, `tables` reads what is in the tables, `run` has
//! the seed and the counts of a run.
#![allow(clippy::unwrap_used)]

mod acts;
mod disks;
mod failing;
mod flips;
mod full_disk;
mod http;
mod io_errors;
mod kill;
mod load;
mod malformed;
mod power_loss;
mod run;
mod service;
mod side_by_side;
mod tables;
