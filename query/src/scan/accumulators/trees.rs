//! Values of one unit after another in trees: at most M of each unit in each tree, in all groups together.
//!
//! Invariants: which values of a unit count depends on its own and on a key drawn afresh. Only groups of kept values are
//! numbered, and what a group takes does not depend on its values. The nodes of a group are made when they are asked for, one
//! group after the other. Exact totals: no `Debug`.

use shoal_anonymity::noise::Entropy;
use shoal_anonymity::tree::{Distribution, Grid, LeafCounts, LeafSample, Quantile, SampleKey, Unit};

use crate::failure::Failure;
use crate::scan::accumulator::Tree;
use crate::sensitivity::TreeSlot;

/// The trees of one released part.
pub(super) struct Trees {
    slots: Vec<TreeSlot>,
    key: SampleKey,
    /// Of the unit at hand, one for each tree.
    samples: Vec<LeafSample>,
    /// Of each tree.
    counts: Vec<LeafCounts>,
}

impl Trees {
    pub(super) fn new<E: Entropy + ?Sized>(slots: &[TreeSlot], entropy: &mut E) -> Result<Trees, Failure> {
        let samples = slots.iter().map(|_| LeafSample::default()).collect();
        let counts = slots.iter().map(|slot| LeafCounts::new(&slot.grid)).collect();
        let key = SampleKey::draw(entropy)?;
        Ok(Trees { slots: slots.to_vec(), key, samples, counts })
    }

    /// A value of the unit at hand.
    pub(super) fn push(&mut self, tree: usize, group: u64, units: i64) {
        if let (Some(slot), Some(sample)) = (self.slots.get(tree), self.samples.get_mut(tree)) {
            sample.push(group, slot.grid.leaf(units));
        }
    }

    /// The unit, a subject's day or a subject over all days, has no more values. `number`: of a group that it keeps a value in.
    pub(super) fn close(
        &mut self,
        day: Option<i32>,
        subject: &[u8; 16],
        number: &mut dyn FnMut(u64) -> Option<u32>,
    ) -> Result<(), Failure> {
        let mut is_numbered = true;
        for ((slot, sample), counts) in self.slots.iter().zip(&mut self.samples).zip(&mut self.counts) {
            if sample.is_empty() {
                continue;
            }
            sample.take(slot.most, &self.key, Unit { subject, day }, |group, leaf, values| {
                match number(group) {
                    Some(cell) => counts.add(cell, leaf, values),
                    None => is_numbered = false,
                }
            });
        }
        if is_numbered { Ok(()) } else { Err(Failure::Internal) }
    }

    /// The unit at hand does not count.
    pub(super) fn forget(&mut self) {
        self.samples.fill_with(LeafSample::default);
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        self.counts.iter().map(LeafCounts::bytes).sum()
    }

    /// What is in each tree.
    pub(super) fn finish(self) -> Vec<Tree> {
        self.counts.into_iter().map(|counts| Tree { counts }).collect()
    }
}

impl Tree {
    /// The exact nodes of a group, zeros too.
    pub(crate) fn nodes_of(&self, cell: u32) -> Vec<i128> {
        self.counts.nodes(cell)
    }

    /// Every node that is not 0: its group, its number, and what it is.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (u32, u32, i128)> {
        let of =
            move |cell: u32| (0..).zip(self.nodes_of(cell)).map(move |(node, count)| (cell, node, count));
        self.counts.cells().flat_map(of).filter(|(.., count)| *count != 0)
    }
}

/// A quantile from noisy nodes: those of days and regions added, as are the variances of each node's noise.
pub(crate) fn quantile_of(
    edges: &[i64],
    nodes: &[i128],
    node_variance: f64,
    millionths: u32,
) -> Result<Quantile, Failure> {
    let grid = Grid::new(edges.to_vec()).map_err(|_| Failure::Internal)?;
    let found = Distribution::new(&grid, nodes, node_variance).map_err(|_| Failure::Internal)?;
    Ok(found.sampled().quantile(millionths))
}
