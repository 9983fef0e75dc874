//! One way to durable bytes: whole objects by name, and files that are written by position.
//!
//! Two traits are all that the rest of Shoal knows of a disk:
//!
//! - [`Objects`]: a name stands for complete bytes or for nothing. Objects are put, replaced, read in ranges, listed and
//!   removed; [`Objects::put_if_absent`] is what exclusivity is made of. Nothing in it needs a local disk.
//! - [`Medium`]: what only a local disk can do besides: files that are preallocated, written in place and renamed. The
//!   write-ahead log, the high-water marks of spending and the audit live on it.
//!
//! Implementations: [`Disk`] (files and directories, both synced), [`Memory`] (which knows what a power cut leaves), and
//! [`Faulty`], which wraps any of them and fails on demand. [`S3`] is an [`Objects`] alone: a bucket. All pass the suites
//! in `conformance`.
//!
//! - `objects` and `medium`: the traits, and what "durable" means in each; `name`: which names there are
//! - `disk`: the local disk; `disk/draft`: how an object comes to be whole or not at all; `disk/directory`: entries that
//!   survive; `disk/link`: symbolic links, which are refused; `disk/shared`: what clones have in common; `disk/lock`: one
//!   process at a time
//! - `s3`: a bucket; `s3/put`: whose an object is when an answer was lost; `s3/store`: threads, and what is repeated
//! - `sealing`: bytes that nobody reads without a key; `encrypted`: objects of such bytes; `sealed_file`: a file of them that is
//!   written by position
//! - `cached`: objects of a store far away, kept on the local disk for the next reader and read ahead of the first
//! - `folder`: a part of a place, as a place of its own
//! - `full`: which failures are a want of room, after which nothing is lost
//! - `digest`: what tells whether a copy is what it was copied from
//! - `host`: the time, random numbers and threads, of the machine or of a simulation
//! - `memory`, `faulty`, `conformance`; `rest`: the bytes of a source as a stream; `modes`: closes what lies there to others
//!
//! Every call blocks: async callers use a blocking thread. Errors are [`std::io::Error`]; their kinds mean the same
//! everywhere ([`Objects`] lists them). Not here: what the bytes mean, and where keys come from.
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

// It reads ahead from a bucket, on a thread of its own.
#[allow(clippy::disallowed_methods)]
mod cached;
#[doc(hidden)]
pub mod conformance;
mod digest;
mod disk;
mod encrypted;
mod faulty;
mod folder;
mod full;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
mod medium;
mod memory;
mod modes;
mod name;
mod objects;
mod rest;
mod room;
// A real network, in whose place a simulation has a model.
#[allow(clippy::disallowed_methods)]
mod s3;
mod sealed_file;
mod sealing;

pub use cached::{CacheCounts, Cached};
pub use digest::{Digest, copy, digest};
pub use disk::{Disk, DiskFile, Link, Lock};
pub use encrypted::Encrypted;
pub use faulty::Faulty;
pub use folder::Folder;
pub use full::{is_full, is_in_doubt};
pub use medium::{LogFile, Medium};
pub use memory::Memory;
pub use modes::{Tightened, tighten};
pub use objects::{Entry, NewObject, Objects, Source};
pub use rest::Rest;
pub use room::has_room;
pub use s3::{S3, S3Credentials, S3Settings};
pub use sealed_file::{SealedFile, is_not_authentic, overwrite};
pub use sealing::{KEY_BYTES, SEAL_BEFORE_BYTES, SEAL_BYTES, Sealing, SealingKey};
