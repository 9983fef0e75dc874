//! An act of which everything that must not stand in the chain is hidden: commitments for the entry, and what opens them.
//!
//! Invariants: a removed file is in the tree before and not in the tree after, or nothing is made; every salt is fresh, also when the same act
//! is closed again. Not here: the entry (`entry.rs`), where openings are kept (`receipts.rs`).

use std::collections::BTreeMap;

use crate::act::{Act, RemovedFile, TableState};
use crate::commitment::{Opening, REMOVED, Removed, TOLD, TableRoot, table_name};
use crate::error::{ReceiptError, Result};
use crate::hash::Hash;
use crate::part::{PART_FILES, TablePart, hash_of};
use crate::tree::Tree;

/// What the entry and the place of the openings get.
pub(crate) struct Closed {
    pub(crate) openings: BTreeMap<String, Opening>,
    /// The texts of the parts of the list of removed files.
    pub(crate) parts: Vec<String>,
}

/// A table's trees.
struct Trees {
    before: Tree,
    after: Tree,
}

impl Closed {
    /// Closes an act that was checked.
    ///
    /// # Errors
    /// [`ReceiptError::Act`] when files are not what the act says of them.
    pub(crate) fn of(act: &Act) -> Result<Closed> {
        let mut openings = BTreeMap::new();
        let mut open = |name: String, opening: Opening| openings.insert(name, opening);
        for (name, texts) in &act.told {
            open(format!("{TOLD}{name}"), Opening::of(texts)?);
        }
        for (name, texts) in &act.kept {
            open(format!("kept.{name}"), Opening::of(texts)?);
        }
        for (name, count) in &act.counts {
            open(format!("count.{name}"), Opening::of(count)?);
        }
        let trees = trees(act)?;
        for (states, when) in [(&act.before, "before"), (&act.after, "after")] {
            for TableState { table, version, .. } in states {
                let Some(of_table) = trees.get(table.as_str()) else { continue };
                let tree = if when == "before" { &of_table.before } else { &of_table.after };
                let root = TableRoot { version: *version, files: tree.size(), root: tree.root() };
                open(table_name(table, when), Opening::of(&root)?);
            }
        }
        let removed = sorted(&act.removed, &trees)?;
        let parts = parts(&removed, &trees)?;
        let listed =
            Removed { files: removed.len() as u64, parts: parts.iter().map(|p| hash_of(p)).collect() };
        open(REMOVED.to_owned(), Opening::of(&listed)?);
        Ok(Closed { openings, parts })
    }

    /// What stands in the entry.
    pub(crate) fn commitments(&self) -> BTreeMap<String, Hash> {
        let commitment = |(name, opening): (&String, &Opening)| (name.clone(), opening.commitment(name));
        self.openings.iter().map(commitment).collect()
    }
}

fn trees(act: &Act) -> Result<BTreeMap<&str, Trees>> {
    let mut trees = BTreeMap::new();
    for before in &act.before {
        let after = act.after.iter().find(|after| after.table == before.table);
        let after = after.ok_or(ReceiptError::Act("a table is not there afterwards"))?;
        let of_table =
            Trees { before: Tree::new(before.files.clone())?, after: Tree::new(after.files.clone())? };
        trees.insert(before.table.as_str(), of_table);
    }
    Ok(trees)
}

/// The removed files in the order of the parts, each once.
fn sorted<'a>(removed: &'a [RemovedFile], trees: &BTreeMap<&str, Trees>) -> Result<Vec<&'a RemovedFile>> {
    let mut removed: Vec<&RemovedFile> = removed.iter().collect();
    removed.sort_unstable();
    removed.dedup();
    let was_removed = |file: &RemovedFile| {
        let of_table = trees.get(file.table.as_str());
        of_table.is_some_and(|trees| trees.before.holds(&file.path) && !trees.after.holds(&file.path))
    };
    if removed.iter().all(|file| was_removed(file)) {
        Ok(removed)
    } else {
        Err(ReceiptError::Act("a removed file was not in its table before, or still is"))
    }
}

fn parts(removed: &[&RemovedFile], trees: &BTreeMap<&str, Trees>) -> Result<Vec<String>> {
    let text = |files: &[&RemovedFile]| {
        let tables = files.chunk_by(|a, b| a.table == b.table).filter_map(|files| {
            let table = files.first()?.table.clone();
            let trees = trees.get(table.as_str())?;
            let paths = || files.iter().map(|file| file.path.as_str());
            Some(TablePart { table, before: trees.before.prove(paths()), after: trees.after.prove(paths()) })
        });
        serde_json::to_string(&tables.collect::<Vec<_>>())
            .map_err(|_| ReceiptError::Act("a path has no form in JSON"))
    };
    match removed.is_empty() {
        true => Ok(vec![text(&[])?]),
        false => removed.chunks(PART_FILES).map(text).collect(),
    }
}
