//! A Merkle tree over the live files of a table (RFC 6962, section 2.1), and proofs that files are in it, or are not.
//!
//! ```text
//! leaf = SHA-256(0x00 | path | "\n" | bytes in decimal)         in the order of the paths' bytes, each path once
//! node = SHA-256(0x01 | left | right)                            left: as many leaves as the largest power of two below their number
//! root of nothing = SHA-256()
//! ```
//! A leaf has the path, which tells the file, and its size, so that other bytes under the name of a file that stayed are seen by whoever
//! lists the table. Both stand in the table's log, so an auditor who has that can make the root anew. Rows are not in it: they would
//! be exact numbers of what a file holds.
//!
//! Invariant: the levels hold the hash of every subtree that the recursion of RFC 6962 meets: pairs are hashed level by level, and
//! a last one without a partner goes up as it is, which gives the same tree.
//! Not here: what a proof is and who verifies it (`proof.rs`).

use crate::act::FileState;
use crate::error::{ReceiptError, Result};
use crate::hash::{Hash, Tag};
use crate::proof::{Leaf, Proof, half};

/// The tree of a table's live files.
pub struct Tree {
    /// Sorted by path.
    files: Vec<FileState>,
    /// The leaves, then their parents, up to the root. Empty without a leaf.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over these files.
    ///
    /// # Errors
    /// When two of them have one path.
    pub fn new(mut files: Vec<FileState>) -> Result<Tree> {
        files.sort_unstable();
        if files.windows(2).any(|pair| pair[0].path == pair[1].path) {
            return Err(ReceiptError::Act("a table has two live files of one path"));
        }
        let leaves = files.iter().map(|file| Leaf::hash_of(&file.path, file.bytes)).collect::<Vec<_>>();
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let parents = level.chunks(2).map(|pair| match pair {
                [left, right] => Hash::of(Tag::Node, &[&left.0, &right.0]),
                _ => pair[0],
            });
            let parents = parents.collect();
            levels.push(std::mem::replace(&mut level, parents));
        }
        levels.push(level);
        Ok(Tree { files, levels })
    }

    /// How many files there are.
    pub fn size(&self) -> u64 {
        self.files.len() as u64
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let root = self.levels.last().and_then(|level| level.first());
        root.copied().unwrap_or_else(Hash::of_nothing)
    }

    /// A proof about these paths: for one that is in the tree its leaf, for one that is not the leaves beside its place.
    pub fn prove<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Proof {
        let mut shown = Vec::new();
        for path in paths {
            match self.files.binary_search_by(|file| file.path.as_str().cmp(path)) {
                Ok(at) => shown.push(at),
                Err(at) => {
                    shown.extend(at.checked_sub(1).into_iter().chain((at < self.files.len()).then_some(at)))
                }
            }
        }
        shown.sort_unstable();
        shown.dedup();
        let mut nodes = Vec::new();
        if !self.files.is_empty() {
            self.close(0, self.files.len(), &shown, &mut nodes);
        }
        let leaf = |at: usize| Leaf(at as u64, self.files[at].path.clone(), self.files[at].bytes);
        Proof { leaves: shown.into_iter().map(leaf).collect(), nodes }
    }

    /// Whether a path is that of a live file.
    pub fn holds(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
    }

    /// Adds the hash of each largest subtree of the leaves `from..to` in which no leaf is shown, from left to right.
    fn close(&self, from: usize, to: usize, shown: &[usize], nodes: &mut Vec<Hash>) {
        if shown.is_empty() {
            // A subtree of so many leaves begins at a multiple of the power of two that holds them.
            let height = (to - from).next_power_of_two().trailing_zeros() as usize;
            nodes.push(self.levels[height][from >> height]);
        } else if to - from > 1 {
            let middle = from + half(to - from);
            let (left, right) = shown.split_at(shown.partition_point(|at| *at < middle));
            self.close(from, middle, left, nodes);
            self.close(middle, to, right, nodes);
        }
    }
}

#[cfg(test)]
mod tests;
