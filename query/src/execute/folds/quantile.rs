//! Events, with any aggregate there is: quantiles, and numbers bounded for a subject's day or for a subject over all days
//! (distinct subjects; everything, when there are memberships).
//!
//! A value of a measure counts once in the tree of that measure and filter, however many quantiles are read from it.
//! Sessions are counted on their day: a session of two days is one on each.
//! Not here: events without quantiles and memberships, which need less (`events`).

use std::collections::HashSet;

use datafusion::arrow::array::{Array, ArrayRef};
use shoal_privacy::budget::Spread;
use shoal_privacy::noise::Entropy;
use shoal_privacy::tree::{Distribution, Grid};
use shoal_schemas::columns;

use super::bounder::Bounder;
use super::columns::Columns;
use super::frame::FoldLimits;
use super::gate::Gate;
use crate::execute::Failure;
use crate::execute::cells::{ABSENT, Cells};
use crate::execute::fold::{Fold, Outcome, Tree};
use crate::expr::{Scalar, Type, Value};
use crate::layout::{Layout, Slot};
use crate::private_query::{Aggregate, AggregateOp, PrivateQuery};

/// The numbers and trees of each subject.
pub(super) struct QuantileFold {
    scalars: Vec<Scalar>,
    keys: usize,
    columns: Columns,
    cells: Cells,
    /// The group of each row of each source's batch.
    row_cells: Vec<Vec<u32>>,
    counts: Vec<Count>,
    is_daily: bool,
    /// Units are subjects' days; and subjects, unless everything is daily.
    daily: Bounder,
    ranged: Bounder,
    gate: Gate,
    /// The current subject's sessions: (aggregate, day, group, session).
    sessions: HashSet<(usize, i32, u32, Value)>,
}

/// An aggregate: where it goes, and the columns of its argument and its filter.
struct Count {
    op: Op,
    slot: Slot,
    argument: Option<usize>,
    filter: Option<usize>,
    linf: i64,
}

/// What a row adds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    One,
    Any,
    Units,
    Session,
}

impl Tree {
    /// The exact nodes of a group, zeros too; the day is that of a daily piece, none for a bucket of days.
    #[allow(dead_code)] // for `release`
    pub(crate) fn nodes_of(&self, day: Option<i32>, cell: u32) -> Result<Vec<i128>, Failure> {
        let first = cell.checked_mul(self.nodes).ok_or(Failure)?;
        let last = first.checked_add(self.nodes).ok_or(Failure)?;
        let exact = |node| self.totals.get(day, node).and_then(|node| node.sums.first().copied());
        Ok((first..last).map(|node| exact(node).unwrap_or(0)).collect())
    }
}

/// A quantile, in units, from noisy nodes: those of days and regions added, as are the variances of each node's noise.
#[allow(dead_code)] // for `release`
pub(crate) fn quantile_of(
    edges: &[i64],
    nodes: &[i128],
    node_variance: f64,
    millionths: u32,
) -> Result<(i128, Spread), Failure> {
    let grid = Grid::new(edges.to_vec()).map_err(|_| Failure)?;
    let found = Distribution::new(&grid, nodes, node_variance).map_err(|_| Failure)?.quantile(millionths);
    // Within the edges, which are 64 bits.
    Ok((found.value.round() as i128, Spread::of_sd(found.sd())))
}

impl QuantileFold {
    pub(super) fn new<E: Entropy + ?Sized>(
        query: &PrivateQuery,
        layout: Layout,
        limits: FoldLimits,
        entropy: &mut E,
    ) -> Result<QuantileFold, Failure> {
        let cells = Cells::new(query, limits.cells_max)?;
        let mut scalars: Vec<Scalar> = cells.scalars().cloned().collect();
        let keys = scalars.len();
        let mut counts: Vec<Count> = Vec::new();
        for (aggregate, slot) in query.aggregates.iter().zip(&layout.slots) {
            let is_tree = matches!(slot, Slot::Tree(_));
            if !is_tree || counts.iter().all(|count| count.slot != *slot) {
                counts.push(count(aggregate, *slot, &mut scalars));
            }
        }
        let columns = Columns::new(&scalars);
        let (in_days, in_range) = match layout.is_daily {
            true => (layout.trees, Vec::new()),
            false => (Vec::new(), layout.trees),
        };
        Ok(QuantileFold {
            scalars,
            keys,
            columns,
            cells,
            row_cells: Vec::new(),
            counts,
            is_daily: layout.is_daily,
            daily: Bounder::new(layout.daily, in_days, limits.held_max, entropy)?,
            ranged: Bounder::new(layout.ranged, in_range, limits.held_max, entropy)?,
            gate: Gate::new(query),
            sessions: HashSet::new(),
        })
    }

    fn count(&mut self, at: usize, (source, row): (usize, usize), day: i32, cell: u32) {
        let (count, columns) = (&self.counts[at], &self.columns);
        if count.filter.is_some_and(|filter| !columns.is_true(source, filter, row)) {
            return;
        }
        let number = || count.argument.and_then(|column| columns.number(source, column, row));
        if count.argument.is_some_and(|column| !columns.is_present(source, column, row)) {
            return;
        }
        let (bounder, of_day) = match matches!(count.slot, Slot::Daily(_)) || self.is_daily {
            true => (&mut self.daily, Some(day)),
            false => (&mut self.ranged, None),
        };
        let at_number = match count.slot {
            Slot::Tree(tree) => {
                if let Some(units) = number() {
                    bounder.push(of_day, cell, tree, units);
                }
                return;
            }
            Slot::Daily(number) | Slot::Ranged(number) => number,
        };
        let sum = &mut bounder.at(of_day, cell)[at_number];
        *sum = match count.op {
            Op::Any => 1,
            Op::One => sum.saturating_add(1),
            Op::Units => sum.saturating_add(number().unwrap_or(0)),
            // Those above the clamp need not be told apart.
            Op::Session if *sum < count.linf => {
                let session = count.argument.map_or(Value::Null, |column| columns.value(source, column, row));
                *sum + i64::from(self.sessions.insert((at, day, cell, session)))
            }
            Op::Session => *sum,
        };
    }
}

fn count(aggregate: &Aggregate, slot: Slot, scalars: &mut Vec<Scalar>) -> Count {
    let mut place = |scalar: Scalar| {
        scalars.push(scalar);
        scalars.len() - 1
    };
    let session = || Scalar::Column { name: columns::SESSION.to_owned(), ty: Type::Text };
    let (op, argument) = match &aggregate.op {
        AggregateOp::Rows => (Op::One, None),
        AggregateOp::Present(item) => (Op::One, Some(item.clone())),
        AggregateOp::Sum(measure) => (Op::Units, Some(measure.clone())),
        AggregateOp::Subjects => (Op::Any, None),
        AggregateOp::Sessions => (Op::Session, Some(session())),
        AggregateOp::Quantile { measure, .. } => (Op::Units, Some(measure.clone())),
    };
    let argument = argument.map(&mut place);
    let filter = aggregate.filter.clone().map(&mut place);
    let linf = i64::try_from(aggregate.linf).unwrap_or(i64::MAX);
    Count { op, slot, argument, filter, linf }
}

impl Fold for QuantileFold {
    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.load(source, columns)?;
        let keys = columns.get(..self.keys).ok_or(Failure)?;
        let cells = match keys.first() {
            Some(key) => self.cells.encode(source, keys, key.len())?,
            None => Vec::new(),
        };
        if self.row_cells.len() <= source {
            self.row_cells.resize_with(source + 1, Vec::new);
        }
        self.row_cells[source] = cells;
        Ok(())
    }

    fn row(&mut self, source: usize, row: usize, day: i32, _time_us: i64) {
        let cell = match self.keys {
            0 => Some(0),
            _ => self.row_cells.get(source).and_then(|cells| cells.get(row).copied()),
        };
        let Some(cell) = cell.filter(|cell| *cell != ABSENT) else { return };
        // The cell is the unit's even if all filters are false: so is the number of subjects.
        self.daily.at(Some(day), cell);
        if !self.is_daily {
            self.ranged.at(None, cell);
        }
        for at in 0..self.counts.len() {
            self.count(at, (source, row), day, cell);
        }
    }

    fn member(&mut self, membership: usize) {
        self.gate.member(membership);
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        let counts = self.gate.close();
        self.sessions.clear();
        self.daily.close(subject, counts)?;
        self.ranged.close(subject, counts)
    }

    fn bytes(&self) -> usize {
        self.daily.bytes().saturating_add(self.ranged.bytes()).saturating_add(self.cells.bytes())
    }

    fn finish(self: Box<Self>) -> Result<Outcome, Failure> {
        let (daily, in_days) = self.daily.finish()?;
        let (ranged, in_range) = self.ranged.finish()?;
        let trees = if self.is_daily { in_days } else { in_range };
        Ok(Outcome { cells: self.cells, daily, ranged, trees })
    }
}
