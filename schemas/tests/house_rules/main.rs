//! The rules that keep the structure as it is: sizes, headers, edges between crates, no circles, documents that are true.
//!
//! A rule that fails names the file and says what to do. To change a rule, change `docs/architecture.md` too and say why in an ADR.
//!
//! - `sizes`: files and functions
//! - `edges`: crates and their dependencies
//! - `circles`: files of one crate, and the share of a crate in the whole; `modules` reads which files there are and what they refer to
//! - `durable`: durable bytes are made in one crate
//! - `network`: connections are opened in one file, and to the two services that a service may ask; `names` reads for both what production code names
//! - `keys`: the side of questions has no key of pseudonyms
//! - `docs`: what the documents name

#![allow(clippy::unwrap_used)]

mod circles;
mod docs;
mod durable;
mod edges;
mod keys;
mod modules;
mod names;
mod network;
mod sizes;

use std::path::{Path, PathBuf};

const CRATES: [&str; 16] = [
    "schemas",
    "files",
    "custody",
    "privacy",
    "anonymity",
    "language",
    "storage",
    "audit",
    "receipts",
    "ingest",
    "postprocess",
    "query",
    "retention",
    "server",
    "benches",
    "faults",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                rust_files(&path, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in CRATES {
        rust_files(&root().join(name), &mut files);
    }
    assert!(files.len() > CRATES.len(), "the rules must see the sources");
    files
}
