//! Fault trials: what the worst week of an operator does to the released binary, from outside of it.
//!
//! The promise on trial: an event that was answered with 2xx is in its table exactly once, whatever dies when; one
//! without such an answer is there once or not at all; nothing needs a hand; a disk that is nearly full is answered
//! with 507 and goes on by itself; a failed write or sync ends the process; nothing panics, and a damaged file is named
//! or changes nothing.
//!
//! This library has what is pure: numbers from a seed ([`Numbers`]), how often each trial runs ([`Counts`]), the events
//! that are sent and what a table must have of them ([`Batch`], [`Sent`]), which bits flip ([`Flip`]), and how bodies
//! are broken ([`Mutation`]). The trials themselves, with processes, disks and mounts, are the test `trials`
//! (`faults/tests/trials`). It depends on no other crate of Shoal, because it knows the service as an operator does: by
//! its settings, its commands, its answers and its files.
//!
//! # How to run
//!
//! ```sh
//! cargo build -p shoal-server                              # the binary under trial, or name one in SHOAL_BIN
//! cargo test -p shoal-faults --test trials                 # every trial, with the counts of CI
//! SHOAL_TRIALS=long cargo test -p shoal-faults --test trials -- --nocapture kill
//! SHOAL_TRIALS_COUNT=kill=200,flips=30 cargo test -p shoal-faults --test trials
//! SHOAL_SEED=0x1234 cargo test -p shoal-faults --test trials -- kill      # a run again, by the seed that it has printed
//! SHOAL_FLIPS_OF=/log/ SHOAL_TRIALS_COUNT=flips=200 cargo test -p shoal-faults --test trials -- a_flipped   # in files of such paths
//! SHOAL_TRIALS_WITHOUT=power-loss cargo test -p shoal-faults --test trials
//! ```
//!
//! `SHOAL_TEST_PYTHON` names a Python with the package `deltalake`, as `./test` sets it: what is in the tables is read
//! with it. Power cuts and full disks need the right to mount file systems, and loop devices; where there are none,
//! `SHOAL_TRIALS_WITHOUT` leaves these trials out by name (`power-loss`, `full-disk`), and says so. A trial that fails
//! leaves its directory, and names it.
//!
//! Moments (when a process is killed) are measured by a clock, so a seed repeats what is done and not the microsecond
//! in which it is.
//!
//! # Counts
//!
//! | trial | name | CI | long |
//! |---|---|---|---|
//! | kill -9 under load, at the start, during flushes and maintenance | `kill` | 50 | 1,000 |
//! | power cuts: a copy of the disk as it was at one moment | `power-loss` | 12 | 300 |
//! | an error of the Nth call of a family | `io` | 40 | 2,000 |
//! | full disk, of the log, tables, ledger and audit each | `full-disk` | 1 | 50 |
//! | senders beside retention, merges, rotations of keys, backups and copies, in seconds | `side-by-side` | 30 | 1,800 |
//! | broken input | `malformed` | 1,000 | 10,000 |
//! | flipped bits, over every kind of file | `flips` | 60 | 1,000 |
//!
//! The counts of CI are meant for six minutes of two cores with a binary that is not optimised, so a disk is cut 12 times
//! and not 20, calls fail 40 times and not 200, and each disk is full once and not five times. Times are printed and never
//! judged.

mod counts;
mod flip;
mod mutation;
mod numbers;
mod sent;
mod traffic;

pub use counts::{Counts, Trial};
pub use flip::{Flip, kind_of};
pub use mutation::Mutation;
pub use numbers::Numbers;
pub use sent::{Row, Sent};
pub use traffic::{Batch, letters};
