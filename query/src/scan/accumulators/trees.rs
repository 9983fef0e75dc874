//! Values of one unit after another in trees: at most M of each unit in each tree, in all groups together.
//!
//! Invariants: which values of a unit count depends on its own and on a key drawn afresh. Only groups of kept values are
//! numbered. Exact totals: no `Debug`.

use std::collections::BTreeMap;

use shoal_anonymity::bound::Totals;
use shoal_anonymity::noise::Entropy;
use shoal_anonymity::tree::{Distribution, Grid, LeafCounts, LeafSample, Quantile, SampleKey, Unit};

use crate::failure::Failure;
use crate::scan::accumulator::Tree;
use crate::sensitivity::TreeSlot;

/// What a leaf takes in memory, about.
const LEAF_BYTES: usize = 48;

/// The trees of one released part.
pub(super) struct Trees {
    slots: Vec<TreeSlot>,
    key: SampleKey,
    /// Of the unit at hand, one for each tree.
    samples: Vec<LeafSample>,
    /// By day; none: units are subjects over all days.
    counts: BTreeMap<Option<i32>, Vec<LeafCounts>>,
}

impl Trees {
    pub(super) fn new<E: Entropy + ?Sized>(slots: &[TreeSlot], entropy: &mut E) -> Result<Trees, Failure> {
        let samples = slots.iter().map(|_| LeafSample::default()).collect();
        let key = SampleKey::draw(entropy)?;
        Ok(Trees { slots: slots.to_vec(), key, samples, counts: BTreeMap::new() })
    }

    /// A value of the unit at hand.
    pub(super) fn push(&mut self, tree: usize, group: u64, units: i64) {
        if let (Some(slot), Some(sample)) = (self.slots.get(tree), self.samples.get_mut(tree)) {
            sample.push(group, slot.grid.leaf(units));
        }
    }

    /// The unit has no more values: they count under its day, if a day is a release of its own. `number`: of a group that it
    /// keeps a value in.
    pub(super) fn close(
        &mut self,
        day: Option<i32>,
        under: Option<i32>,
        subject: &[u8; 16],
        number: &mut dyn FnMut(u64) -> Option<u32>,
    ) -> Result<(), Failure> {
        let mut is_numbered = true;
        for (tree, (slot, sample)) in self.slots.iter().zip(&mut self.samples).enumerate() {
            if sample.is_empty() {
                continue;
            }
            let counts = self
                .counts
                .entry(under)
                .or_insert_with(|| self.slots.iter().map(|slot| LeafCounts::new(&slot.grid)).collect());
            let counts = counts.get_mut(tree).ok_or(Failure::Internal)?;
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
        let leaves: usize = self.counts.values().flatten().map(LeafCounts::len).sum();
        leaves * LEAF_BYTES
    }

    /// The totals of the nodes of each tree.
    pub(super) fn finish(self) -> Result<Vec<Tree>, Failure> {
        let mut trees = Vec::with_capacity(self.slots.len());
        for (at, slot) in self.slots.iter().enumerate() {
            let all = || self.counts.iter().filter_map(move |(day, counts)| Some((*day, counts.get(at)?)));
            let last = all().flat_map(|(_, counts)| counts.cells()).max().unwrap_or(0);
            if last.checked_add(1).and_then(|cells| cells.checked_mul(slot.grid.nodes())).is_none() {
                return Err(Failure::Internal);
            }
            let nodes = all().flat_map(|(day, counts)| {
                counts.cells().into_iter().flat_map(move |cell| {
                    let exact = (cell * slot.grid.nodes()..).zip(counts.nodes(cell));
                    exact
                        .filter(|(_, count)| *count != 0)
                        .map(move |(node, count)| (day, node, 0, vec![count]))
                })
            });
            trees.push(Tree { nodes: slot.grid.nodes(), totals: Totals::of(1, nodes)? });
        }
        Ok(trees)
    }
}

impl Tree {
    /// The exact nodes of a group, zeros too; the day is that of a daily released part, none for a bucket of days.
    pub(crate) fn nodes_of(&self, day: Option<i32>, cell: u32) -> Result<Vec<i128>, Failure> {
        let first = cell.checked_mul(self.nodes).ok_or(Failure::Internal)?;
        let last = first.checked_add(self.nodes).ok_or(Failure::Internal)?;
        let exact = |node| self.totals.get(day, node).and_then(|node| node.sums.first().copied());
        Ok((first..last).map(|node| exact(node).unwrap_or(0)).collect())
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
