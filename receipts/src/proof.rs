//! A proof about some leaves of a tree, and its verification.
//!
//! One proof is about many files: it shows their leaves, with their places, and has one hash for each largest subtree without a shown leaf, from
//! left to right. Whoever verifies it makes the root of the two, so a proof for one file is the audit path of RFC 6962 (section 2.1.1), and one for
//! every file is the list of the files alone.
//!
//! A file is in the tree when its leaf is shown. It is not in the tree when two leaves are shown whose places are neighbours and between
//! whose paths its own lies, or the first leaf and it lies before, or the last and it lies behind, or when the tree is empty.
//!
//! Invariants: a root that was made used every shown leaf and every hash, and the shown leaves go up in place and path. The size of
//! the tree is not in the proof and must come from where the root comes from: with another size, places would mean something else.
//! Not here: that a tree is sorted where no leaf is shown. That is the signer's word; who has the list of the files can make the root anew.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::act::FILES_MAX;
use crate::hash::{Hash, Tag};

/// A leaf that is shown: its place from 0, its path, its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf(pub u64, pub String, pub u64);

impl Leaf {
    /// The hash of a leaf, which is that of a file and not of its place.
    pub(crate) fn hash_of(path: &str, bytes: u64) -> Hash {
        Hash::of(Tag::Leaf, &[path.as_bytes(), b"\n", bytes.to_string().as_bytes()])
    }
}

/// What is shown of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The leaves that are shown, in their order.
    pub leaves: Vec<Leaf>,
    /// The hash of each largest subtree without one, from left to right.
    pub nodes: Vec<Hash>,
}

/// How many of so many leaves, at least 2, are in the left subtree: the largest power of two below their number.
pub(crate) fn half(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}

/// What is left of a proof while its root is made.
struct Rest<'p> {
    leaves: &'p [Leaf],
    nodes: &'p [Hash],
}

impl Rest<'_> {
    /// The hash of the leaves `from..to`; none when the proof does not give it.
    fn hash(&mut self, from: usize, to: usize) -> Option<Hash> {
        let is_shown = self.leaves.first().is_some_and(|leaf| (leaf.0 as usize) < to);
        if !is_shown {
            let (node, rest) = self.nodes.split_first()?;
            self.nodes = rest;
            return Some(*node);
        }
        if to - from == 1 {
            let (leaf, rest) = self.leaves.split_first()?;
            self.leaves = rest;
            return Some(Leaf::hash_of(&leaf.1, leaf.2));
        }
        let middle = from + half(to - from);
        let (left, right) = (self.hash(from, middle)?, self.hash(middle, to)?);
        Some(Hash::of(Tag::Node, &[&left.0, &right.0]))
    }
}

impl Proof {
    /// The root of a tree of so many leaves that this proof is about; none when it is about no such tree.
    pub fn root(&self, size: u64) -> Option<Hash> {
        let rises = |pair: &[Leaf]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let is_within = self.leaves.last().is_none_or(|leaf| leaf.0 < size);
        let size = usize::try_from(size).ok().filter(|size| *size <= FILES_MAX)?;
        if !is_within || !self.leaves.windows(2).all(rises) {
            return None;
        }
        let mut rest = Rest { leaves: &self.leaves, nodes: &self.nodes };
        let root = if size == 0 { Hash::of_nothing() } else { rest.hash(0, size)? };
        (rest.leaves.is_empty() && rest.nodes.is_empty()).then_some(root)
    }

    /// Whether the proof shows this file. It says nothing before [`Proof::root`] is the tree's root.
    pub fn shows(&self, path: &str) -> bool {
        self.leaves.binary_search_by(|leaf| leaf.1.as_str().cmp(path)).is_ok()
    }

    /// Whether the proof shows that a tree of so many leaves has no file of this path. It says nothing before [`Proof::root`] of the same size is the
    /// tree's root.
    pub fn shows_absence(&self, path: &str, size: u64) -> bool {
        let Err(at) = self.leaves.binary_search_by(|leaf| leaf.1.as_str().cmp(path)) else { return false };
        // The place of the leaf before it, plus one, and the place of the leaf after it: the same when nothing is between them.
        let from = at.checked_sub(1).map_or(0, |before| self.leaves[before].0.saturating_add(1));
        let to = self.leaves.get(at).map_or(size, |after| after.0);
        from.cmp(&to) == Ordering::Equal
    }
}
