//! The dyadic tree over a measure's grid: what quantiles are released as.
//!
//! A grid's `edges` ascend; leaf i holds the values from edge i up to (not with) edge i + 1, the last leaf its upper edge
//! too. Leaves are filled up to 2^levels with leaves that stay empty. A value counts in its leaf and in every node above
//! it, the root left out: the root is the sum of the two nodes of level 1, so it would cost a level and tell nothing new.
//! ```text
//! level 1          0                 1          node 2^l - 2 + p: position p of level l
//! level 2      2       3         4       5      values in an order of magnitude
//! level 3    6   7   8   9    10  11  12  13    leaves: 2^levels; 2^(levels + 1) - 2 nodes in all
//! ```
//!
//! - here: the grid, its nodes, and the sensitivity of a tree
//! - `sample`: at most M values of one unit
//! - `counts`: how many values are in each leaf of each cell
//! - `estimate`: noisy nodes -> quantiles with their confidence intervals (post-processing)
//!
//! Invariants: counts are integers; at most M values of one unit count, in all cells together, chosen by a key drawn
//! afresh and by that unit's own values; so a unit changes no more than [`Grid::days_sensitivity`] or [`Grid::range_sensitivity`] says.
//! Not here: the registry's grids (`shoal-schemas`), noise (`noise`).

mod counts;
mod estimate;
mod sample;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use counts::LeafCounts;
pub use estimate::{Distribution, Quantile};
pub use sample::{LeafSample, SampleKey, Unit};

/// A grid has at most 2^8 leaves.
const LEVELS_MAX: u32 = 8;

/// Why there is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Fewer than 2 or more than 257 edges, or edges that do not ascend.
    #[error("a grid has 2 to 257 edges that ascend")]
    Edges,
    /// The number of nodes is not the grid's, or their variance is no number.
    #[error("the nodes are not those of this grid")]
    Nodes,
    /// A sensitivity of 0 or beyond 128 bits.
    #[error("the limits of a tree are 0 or too large")]
    Limits,
}

/// The leaves of a measure, and the tree above them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    edges: Vec<i64>,
    levels: u32,
}

impl Grid {
    /// `edges`: 2 to 257 ascending integers, in the measure's units. The tree has all 8 levels, so that every tree has
    /// the same nodes and costs the same.
    pub fn new(edges: Vec<i64>) -> Result<Grid, TreeError> {
        Ok(Grid { levels: LEVELS_MAX, ..Grid::fitted(edges)? })
    }

    /// The same with no more levels than the edges need: fewer nodes, less noise.
    pub fn fitted(edges: Vec<i64>) -> Result<Grid, TreeError> {
        let leaves = edges.len().saturating_sub(1);
        if leaves == 0 || leaves > 1 << LEVELS_MAX || !edges.is_sorted_by(|a, b| a < b) {
            return Err(TreeError::Edges);
        }
        let levels = leaves.next_power_of_two().trailing_zeros().max(1);
        Ok(Grid { edges, levels })
    }

    /// The edges.
    pub fn edges(&self) -> &[i64] {
        &self.edges
    }

    /// Levels that are released: 1 to 8.
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// Leaves, with those that stay empty: 2^levels.
    pub fn leaves(&self) -> u32 {
        1 << self.levels
    }

    /// Nodes that are released: the width of the tree in numbers.
    pub fn nodes(&self) -> u32 {
        (2 << self.levels) - 2
    }

    /// The leaf of a value; values beyond the edges are in the first and the last leaf.
    pub fn leaf(&self, value: i64) -> u8 {
        let inner = &self.edges[1..self.edges.len() - 1];
        // At most 255 inner edges.
        inner.partition_point(|edge| *edge <= value) as u8
    }

    /// The nodes that a value of this leaf counts in, one of each level.
    pub fn path(&self, leaf: u8) -> impl Iterator<Item = u32> {
        let (levels, leaf) = (self.levels, u32::from(leaf));
        (1..=levels).map(move |level| (1 << level) - 2 + (leaf >> (levels - level)))
    }

    /// L2 sensitivity squared of all nodes of all cells when one unit is taken away that has at most `most` values in
    /// all cells together: levels * most^2.
    ///
    /// Each of the unit's n <= most values is in one node of each level, in one cell. So the counts of a level, in all
    /// cells, are not negative and add up to n, and their squares to at most n^2 (all in one node).
    pub fn days_sensitivity(&self, most: u64) -> Result<u128, TreeError> {
        self.sensitivity(1, most)
    }

    /// The same when one *day* of a subject is taken away and the unit is the subject over a range of days:
    /// levels * 2 * most^2.
    ///
    /// With that day, the subject has the counts x; without it, some y, since other values may be chosen. Each level of
    /// each has a square of at most most^2 (above), and no count is negative, so
    /// |x - y|^2 = |x|^2 + |y|^2 - 2 x.y <= |x|^2 + |y|^2. Taking the whole subject away (y = 0) changes less.
    pub fn range_sensitivity(&self, most: u64) -> Result<u128, TreeError> {
        self.sensitivity(2, most)
    }

    fn sensitivity(&self, trees: u128, most: u64) -> Result<u128, TreeError> {
        let most = u128::from(most);
        most.checked_mul(most)
            .and_then(|square| square.checked_mul(trees))
            .and_then(|square| square.checked_mul(u128::from(self.levels)))
            .filter(|square| *square > 0)
            .ok_or(TreeError::Limits)
    }
}
