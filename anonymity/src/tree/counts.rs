//! How many kept values are in each leaf of each cell, and from that the exact nodes.
//!
//! Exact, not private yet: no `Debug`. Only leaves that hold a value take room (about 30 bytes each).

use std::collections::{BTreeSet, HashMap};

use super::Grid;

/// The leaves of one release's cells: of a day, or of a range of days.
pub struct LeafCounts {
    leaves: u32,
    counts: HashMap<(u32, u8), u64>,
}

impl LeafCounts {
    /// No values yet.
    pub fn new(grid: &Grid) -> LeafCounts {
        LeafCounts { leaves: grid.leaves(), counts: HashMap::new() }
    }

    /// Some values more, kept by a sample.
    pub fn add(&mut self, cell: u32, leaf: u8, values: u64) {
        let count = self.counts.entry((cell, leaf)).or_insert(0);
        *count = count.saturating_add(values);
    }

    /// The cells that hold a value, in order.
    pub fn cells(&self) -> BTreeSet<u32> {
        self.counts.keys().map(|(cell, _)| *cell).collect()
    }

    /// Leaves that hold a value.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// No value?
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The exact nodes of a cell, in the order of their numbers; all 0 for a cell without values.
    pub fn nodes(&self, cell: u32) -> Vec<i128> {
        let leaves = self.leaves as usize;
        // In the order of a heap: node n is above 2 n and 2 n + 1, the root is 1, leaf i is `leaves` + i.
        let mut heap = vec![0_i128; 2 * leaves];
        for (leaf, sum) in heap[leaves..].iter_mut().enumerate() {
            // At most 256 leaves.
            *sum = self.counts.get(&(cell, leaf as u8)).map_or(0, |count| i128::from(*count));
        }
        for node in (1..leaves).rev() {
            heap[node] = heap[2 * node] + heap[2 * node + 1];
        }
        heap.split_off(2)
    }
}
