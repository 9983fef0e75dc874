//! Units are bounded one by one as they end: numbers in at most L0 cells, each clamped; in each tree at most M values, in
//! all cells together.
//!
//! Invariants: which cells and values of a unit count depends on its own rows and on a key drawn afresh. Totals are 128
//! bits wide, which 2^64 units of at most 2^52 cannot fill. Exact totals: no `Debug`.

use std::collections::{BTreeMap, HashMap};

use shoal_privacy::bound::{Limits, Totals};
use shoal_privacy::noise::Entropy;
use shoal_privacy::tree::{LeafCounts, LeafSample, SampleKey, Unit};

use crate::execute::Failure;
use crate::execute::fold::Tree;
use crate::layout::TreeSlot;

/// What a total takes in memory, about.
const HELD_BYTES: usize = 96;

/// What a unit has so far.
#[derive(Default)]
struct Pending {
    /// By cell.
    numbers: BTreeMap<u32, Box<[i64]>>,
    /// One for each tree.
    samples: Vec<LeafSample>,
}

/// The exact totals of a day, or of all days.
struct Sums {
    /// By cell: units that kept it, and one sum for each number.
    cells: HashMap<u32, (u64, Vec<i128>)>,
    trees: Vec<LeafCounts>,
}

/// Bounds one unit after another.
pub(super) struct Bounder {
    limits: Limits,
    trees: Vec<TreeSlot>,
    key: SampleKey,
    held_max: usize,
    held: usize,
    /// The current subject's, by day; none: the unit is the subject over all days.
    pending: BTreeMap<Option<i32>, Pending>,
    sums: BTreeMap<Option<i32>, Sums>,
}

impl Bounder {
    /// `held_max`: most (day, cell) pairs and leaves that hold anything.
    pub(super) fn new<E: Entropy + ?Sized>(
        limits: Limits,
        trees: Vec<TreeSlot>,
        held_max: usize,
        entropy: &mut E,
    ) -> Result<Bounder, Failure> {
        let key = SampleKey::draw(entropy)?;
        let (pending, sums) = (BTreeMap::new(), BTreeMap::new());
        Ok(Bounder { limits, trees, key, held_max, held: 0, pending, sums })
    }

    /// The numbers that the current subject has in a cell, to be added to.
    pub(super) fn at(&mut self, day: Option<i32>, cell: u32) -> &mut [i64] {
        let width = self.limits.clamps().len();
        let pending = self.pending.entry(day).or_default();
        pending.numbers.entry(cell).or_insert_with(|| vec![0; width].into_boxed_slice())
    }

    /// A value of the current subject in a tree of a cell.
    pub(super) fn push(&mut self, day: Option<i32>, cell: u32, tree: usize, units: i64) {
        let Some(slot) = self.trees.get(tree) else { return };
        let samples = &mut self.pending.entry(day).or_default().samples;
        if samples.len() <= tree {
            samples.resize_with(tree + 1, LeafSample::default);
        }
        samples[tree].push(cell, slot.grid.leaf(units));
    }

    /// The subject has no more rows: bounds what it has and adds it to the totals, if it counts.
    pub(super) fn close(&mut self, subject: &[u8; 16], counts: bool) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        if !counts {
            return Ok(());
        }
        for (day, mut pending) in pending {
            let unit = Unit { subject, day };
            let cells = &mut pending.numbers;
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
            self.add(unit, pending);
        }
        if self.held > self.held_max { Err(Failure) } else { Ok(()) }
    }

    fn add(&mut self, unit: Unit<'_>, pending: Pending) {
        let trees = &self.trees;
        let sums = self.sums.entry(unit.day).or_insert_with(|| Sums {
            cells: HashMap::new(),
            trees: trees.iter().map(|tree| LeafCounts::new(&tree.grid)).collect(),
        });
        self.held -= sums.held();
        let clamps = self.limits.clamps();
        for (cell, numbers) in pending.numbers {
            let (units, totals) = sums.cells.entry(cell).or_insert_with(|| (0, vec![0; clamps.len()]));
            *units += 1;
            for ((sum, number), clamp) in totals.iter_mut().zip(&numbers).zip(clamps) {
                *sum += i128::from(clamp.apply(*number));
            }
        }
        let samples = pending.samples.into_iter().zip(&self.trees);
        for ((mut sample, tree), counts) in samples.zip(&mut sums.trees) {
            sample.take(tree.most, &self.key, unit, |cell, leaf, values| counts.add(cell, leaf, values));
        }
        self.held += sums.held();
    }

    /// About how much memory the totals take.
    pub(super) fn bytes(&self) -> usize {
        self.held.saturating_mul(HELD_BYTES)
    }

    /// The totals of the numbers, and of the nodes of each tree.
    pub(super) fn finish(self) -> Result<(Totals, Vec<Tree>), Failure> {
        let mut nodes: Vec<Vec<(Option<i32>, u32, u64, Vec<i128>)>> =
            self.trees.iter().map(|_| Vec::new()).collect();
        let mut numbers = Vec::new();
        for (day, sums) in self.sums {
            for ((counts, tree), nodes) in sums.trees.iter().zip(&self.trees).zip(&mut nodes) {
                for cell in counts.cells() {
                    let first = cell.checked_mul(tree.grid.nodes()).ok_or(Failure)?;
                    let exact = (0_u32..).zip(counts.nodes(cell)).filter(|(_, count)| *count != 0);
                    for (node, count) in exact {
                        nodes.push((day, first.checked_add(node).ok_or(Failure)?, 0, vec![count]));
                    }
                }
            }
            let cells = sums.cells.into_iter();
            numbers.extend(cells.map(|(cell, (units, sums))| (day, cell, units, sums)));
        }
        let totals = Totals::of(self.limits.clamps().len(), numbers)?;
        let trees = self
            .trees
            .iter()
            .zip(nodes)
            .map(|(tree, nodes)| Ok(Tree { nodes: tree.grid.nodes(), totals: Totals::of(1, nodes)? }));
        Ok((totals, trees.collect::<Result<_, Failure>>()?))
    }
}

impl Sums {
    fn held(&self) -> usize {
        self.trees.iter().fold(self.cells.len(), |sum, tree| sum.saturating_add(tree.len()))
    }
}
