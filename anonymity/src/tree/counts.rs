//! How many kept values are in each leaf of each cell, and from that the exact nodes.
//!
//! ```text
//! number of the cell -> a counter for each leaf of the grid -> the nodes of one cell, when they are asked for
//! ```
//! Exact, not private yet: no `Debug`. A cell that holds a value has all its counters, however few of its leaves are met, so
//! that what is held follows from the number of cells and not from their values ([`LeafCounts::bytes_of_a_cell`]). A counter
//! has 16 bits; each time that one is full a carry is noted, which is once in 65,536 values: a kilobyte for a million of them.
//! Nodes, which are many more bytes, exist for one cell at a time.

use std::collections::HashMap;

use super::Grid;

/// What an allocation takes besides what is asked for.
const ALLOCATION: usize = 16;

/// The leaves of one release's cells: of a day, or of a range of days.
pub struct LeafCounts {
    leaves: usize,
    /// By the number of the cell; none for a cell without values.
    cells: Vec<Option<Box<[u16]>>>,
    /// Cells that hold a value.
    held: usize,
    /// How often the counter of a cell and leaf was full.
    carries: HashMap<(u32, u8), u64>,
}

/// What a counter counts up to.
const FULL: u64 = 1 << 16;

impl LeafCounts {
    /// No values yet.
    pub fn new(grid: &Grid) -> LeafCounts {
        LeafCounts { leaves: grid.leaves() as usize, cells: Vec::new(), held: 0, carries: HashMap::new() }
    }

    /// The most bytes that a cell takes, while the list of cells grows too. Cells are numbered densely from 0.
    pub fn bytes_of_a_cell(grid: &Grid) -> usize {
        // The list has at most twice as many places as there are cells; while it grows, the old one is there as well.
        let counters = grid.leaves() as usize * size_of::<u16>() + ALLOCATION;
        3 * size_of::<Option<Box<[u16]>>>() + counters
    }

    /// Some values more, kept by a sample; the leaf is one of the grid's ([`Grid::leaf`]).
    pub fn add(&mut self, cell: u32, leaf: u8, values: u64) {
        let at = cell as usize;
        if at >= self.cells.len() {
            self.cells.resize_with(at + 1, || None);
        }
        let counts = self.cells[at].get_or_insert_with(|| {
            self.held += 1;
            vec![0; self.leaves].into()
        });
        let Some(count) = counts.get_mut(usize::from(leaf)) else { return };
        let sum = u64::from(*count).saturating_add(values);
        *count = (sum % FULL) as u16;
        if sum >= FULL {
            let carried = self.carries.entry((cell, leaf)).or_insert(0);
            *carried = carried.saturating_add(sum / FULL);
        }
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        let each = self.leaves * size_of::<u16>() + ALLOCATION;
        let carries = self.carries.capacity() * 8 / 7 * (size_of::<((u32, u8), u64)>() + 1);
        self.cells.capacity() * size_of::<Option<Box<[u16]>>>() + self.held * each + carries
    }

    /// The cells that hold a value, in order.
    pub fn cells(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.cells).filter(|(_, counts)| counts.is_some()).map(|(cell, _)| cell)
    }

    /// The exact nodes of a cell, in the order of their numbers; all 0 for a cell without values.
    pub fn nodes(&self, cell: u32) -> Vec<i128> {
        // In the order of a heap: node n is above 2 n and 2 n + 1, the root is 1, leaf i is `leaves` + i.
        let mut heap = vec![0_i128; 2 * self.leaves];
        if let Some(Some(counts)) = self.cells.get(cell as usize) {
            for ((sum, count), leaf) in heap[self.leaves..].iter_mut().zip(counts.iter()).zip(0..=u8::MAX) {
                let carried = self.carries.get(&(cell, leaf)).copied().unwrap_or(0);
                *sum = i128::from(carried) * i128::from(FULL) + i128::from(*count);
            }
        }
        for node in (1..self.leaves).rev() {
            heap[node] = heap[2 * node] + heap[2 * node + 1];
        }
        heap.split_off(2)
    }
}
