//! Units are bounded one by one as they end: at most L0 cells, each number clamped, at most M values for each tree.
//!
//! Invariants: which cells and values of a unit count depends on its own rows and on a key drawn afresh. Totals are 128
//! bits wide, which 2^64 units of at most 2^52 cannot fill. Exact totals: no `Debug`.

use std::collections::{BTreeMap, HashMap};

use shoal_privacy::bound::{Clamp, Limits};
use shoal_privacy::noise::Entropy;
use shoal_privacy::tree::{LeafCounts, LeafSample, SampleKey, Unit};

use super::layout::{Layout, TreeSlot};
use super::members::Gate;
use crate::execute::Failure;

/// What a unit has in one cell, so far.
pub(super) struct Contribution {
    pub(super) numbers: Box<[i64]>,
    pub(super) samples: Box<[LeafSample]>,
}

/// The exact totals of one release: a day or a bucket of days.
pub(crate) struct ReleaseTotals {
    cells: HashMap<u32, CellTotals>,
    trees: Vec<LeafCounts>,
}

/// The exact numbers of one cell.
pub(crate) struct CellTotals {
    /// Units that kept this cell.
    pub(crate) subjects: u64,
    /// One for each number slot.
    pub(crate) sums: Box<[i128]>,
}

impl ReleaseTotals {
    /// None when no unit kept the cell.
    pub(crate) fn cell(&self, cell: u32) -> Option<&CellTotals> {
        self.cells.get(&cell)
    }

    /// The cells that any unit kept, in no order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (u32, &CellTotals)> {
        self.cells.iter().map(|(cell, totals)| (*cell, totals))
    }

    /// The exact nodes of a cell's tree.
    pub(crate) fn nodes(&self, tree: usize, cell: u32) -> Vec<i128> {
        self.trees.get(tree).map(|counts| counts.nodes(cell)).unwrap_or_default()
    }
}

/// Bounds one unit after another.
pub(crate) struct Bounder {
    limits: Limits,
    trees: Vec<TreeSlot>,
    by_day: bool,
    gate: Gate,
    key: SampleKey,
    /// Most (release, cell) pairs and leaves that hold anything.
    cells_max: usize,
    pending: BTreeMap<i32, BTreeMap<u32, Contribution>>,
    releases: BTreeMap<i32, ReleaseTotals>,
    held: usize,
}

impl Bounder {
    /// `by_day`: releases are numbered by their day, else by the position of their bucket.
    pub(crate) fn new<E: Entropy + ?Sized>(
        layout: &Layout,
        by_day: bool,
        gate: Gate,
        cells_max: usize,
        entropy: &mut E,
    ) -> Result<Bounder, Failure> {
        Ok(Bounder {
            limits: layout.limits.clone(),
            trees: layout.trees.clone(),
            by_day,
            gate,
            key: SampleKey::draw(entropy)?,
            cells_max,
            pending: BTreeMap::new(),
            releases: BTreeMap::new(),
            held: 0,
        })
    }

    /// What the current subject has in a cell of a release, to be added to.
    pub(super) fn at(&mut self, release: i32, cell: u32) -> &mut Contribution {
        let (numbers, trees) = (self.limits.clamps().len(), self.trees.len());
        self.pending.entry(release).or_default().entry(cell).or_insert_with(|| Contribution {
            numbers: vec![0; numbers].into_boxed_slice(),
            samples: (0..trees).map(|_| LeafSample::default()).collect(),
        })
    }

    /// The subject has no more rows: bounds what it has and adds it to the totals.
    pub(super) fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        if !self.gate.admits(subject) {
            return Ok(());
        }
        for (release, mut cells) in pending {
            let unit = Unit { subject, day: self.by_day.then_some(release) };
            let l0 = self.limits.l0() as usize;
            if cells.len() > l0 {
                let mut ranks: Vec<(u64, u32)> =
                    cells.keys().map(|cell| (self.key.rank(&unit, *cell), *cell)).collect();
                // l0 is at least 1 and there are more cells than that.
                ranks.select_nth_unstable(l0 - 1);
                ranks[l0..].iter().for_each(|(_, cell)| {
                    cells.remove(cell);
                });
            }
            let trees = &self.trees;
            let totals = self.releases.entry(release).or_insert_with(|| ReleaseTotals {
                cells: HashMap::new(),
                trees: trees.iter().map(|tree| LeafCounts::new(&tree.grid)).collect(),
            });
            let before = totals.held();
            for (cell, contribution) in cells {
                totals.add(cell, &contribution.numbers, self.limits.clamps());
                let samples = contribution.samples.into_vec().into_iter().zip(&self.trees);
                for ((mut sample, tree), counts) in samples.zip(&mut totals.trees) {
                    sample.take(tree.most, &self.key, unit, cell, |leaf, values| {
                        counts.add(cell, leaf, values);
                    });
                }
            }
            self.held += totals.held() - before;
        }
        if self.held > self.cells_max { Err(Failure) } else { Ok(()) }
    }

    /// The totals of every release that has any, by day or by the position of the bucket.
    pub(crate) fn finish(self) -> BTreeMap<i32, ReleaseTotals> {
        self.releases
    }
}

impl ReleaseTotals {
    fn add(&mut self, cell: u32, numbers: &[i64], clamps: &[Clamp]) {
        let totals = self.cells.entry(cell).or_insert_with(|| CellTotals {
            subjects: 0,
            sums: vec![0; clamps.len()].into_boxed_slice(),
        });
        totals.subjects += 1;
        for ((sum, number), clamp) in totals.sums.iter_mut().zip(numbers).zip(clamps) {
            *sum += i128::from(clamp.apply(*number));
        }
    }

    fn held(&self) -> usize {
        self.trees.iter().fold(self.cells.len(), |sum, tree| sum.saturating_add(tree.len()))
    }
}
