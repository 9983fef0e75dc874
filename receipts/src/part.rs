//! A part of the list of removed files, with the proof that all of them were there before and none afterwards.
//!
//! ```text
//! [{"table": .., "before": proof that shows each removed file, "after": proof that shows what is beside their places}, ..]
//! ```
//! A list is cut into parts of [`PART_FILES`] files, in the order of tables and paths, so that a document is a few MiB however much was
//! removed. The hashes of all parts are committed to under `removed`, so none can be left out or made longer.
//!
//! Invariant: a part that [`check`] accepts lists exactly as many files as the part of this number must, each of which is in the tree before
//! and not in the tree after. Not here: the trees (`tree.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::act::RemovedFile;
use crate::commitment::{Opening, REMOVED, Removed, TableRoot, table_name};
use crate::hash::{Hash, Tag};
use crate::proof::Proof;

/// How many removed files a part lists; the last one may have fewer.
pub const PART_FILES: usize = 4_000;

/// The removed files of one table in a part: the leaves that `before` shows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TablePart {
    pub(crate) table: String,
    pub(crate) before: Proof,
    pub(crate) after: Proof,
}

/// The hash of a part's text.
pub(crate) fn hash_of(text: &str) -> Hash {
    Hash::of(Tag::Part, &[text.as_bytes()])
}

/// The files that a part lists, when all that it says is so: the part of this number, from 1, with all of an act's openings.
pub(crate) fn check(
    number: u64,
    text: &str,
    openings: &BTreeMap<String, Opening>,
) -> Result<Vec<RemovedFile>, &'static str> {
    let removed = openings.get(REMOVED).and_then(Opening::read::<Removed>);
    let removed = removed.ok_or("it does not say what was removed")?;
    let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
    let committed = index.and_then(|index| removed.parts.get(index));
    let committed = committed.ok_or("there is no part of this number")?;
    if removed.parts.len() as u64 != parts_of(removed.files) {
        return Err("the list of removed files has another number of parts than its length needs");
    }
    if hash_of(text) != *committed {
        return Err("the list of removed files is another one than was committed to");
    }
    let tables: Vec<TablePart> =
        serde_json::from_str(text).map_err(|_| "the list of removed files cannot be read")?;
    if !tables.windows(2).all(|pair| pair[0].table < pair[1].table) {
        return Err("the tables of the removed files are not in their order");
    }
    let mut files = Vec::new();
    for part in &tables {
        check_table(part, openings)?;
        let of_table = part.before.leaves.iter();
        files.extend(of_table.map(|leaf| RemovedFile { table: part.table.clone(), path: leaf.1.clone() }));
    }
    let listed_before = (number - 1) * PART_FILES as u64;
    if files.len() as u64 != (removed.files.saturating_sub(listed_before)).min(PART_FILES as u64) {
        return Err("the list of removed files has another length than was committed to");
    }
    Ok(files)
}

/// How many parts a list of so many files has: one at least.
fn parts_of(files: u64) -> u64 {
    files.div_ceil(PART_FILES as u64).max(1)
}

fn check_table(part: &TablePart, openings: &BTreeMap<String, Opening>) -> Result<(), &'static str> {
    let root = |when| openings.get(&table_name(&part.table, when)).and_then(Opening::read::<TableRoot>);
    let (Some(before), Some(after)) = (root("before"), root("after")) else {
        return Err("a table of the removed files is none of the act's tables");
    };
    if part.before.root(before.files) != Some(before.root) {
        return Err("a removed file is not proved to have been in the table before");
    }
    let is_absent = |path: &str| part.after.shows_absence(path, after.files);
    let all_absent = part.before.leaves.iter().all(|leaf| is_absent(&leaf.1));
    if part.after.root(after.files) != Some(after.root) || !all_absent {
        return Err("a removed file is not proved to be absent from the table after");
    }
    Ok(())
}
