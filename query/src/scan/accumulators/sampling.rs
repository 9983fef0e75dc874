//! Which events of a subject's day count in the numbers of a group, where it has more of them than the bound of a
//! count: the same ones for all numbers, so that means and shares are those of all events.
//!
//! ```text
//! batch -classes-> class of each row -push-> values of the day's rows -close-> sums of those that count -> bounds
//! ```
//! Counts whose conditions can be of the same event (`event`) are of one class, of which as many events of a day
//! count in a group as the largest of their bounds says. Counts of different events have a class each, because the
//! bound of an event is its own. An event that no count is of is not chosen among: a sum by itself has its clamp
//! alone. Subjects, sessions and values in trees are of all events.
//!
//! Invariants: the class of a row follows from the row, and what counts of a day from that day's rows and a fresh
//! key; clamps and sensitivities are as if nothing had been chosen. Not here: the choice (`shoal-anonymity`,
//! `bound`), clamps (`bounded`).

use std::collections::BTreeSet;
use std::ops::Range;

use shoal_anonymity::bound::RowSample;
use shoal_anonymity::noise::Entropy;
use shoal_language::{Aggregate, AggregateOp, PrivateQuery, Shape, pinned};
use shoal_schemas::columns;

use super::terms::Numbers;
use crate::failure::Failure;

/// Whether a number of a query depends on which events of a day count. Of one count its clamp makes the same number.
pub(in crate::scan) fn chooses(query: &PrivateQuery) -> bool {
    let is_count = |one: &&Aggregate| matches!(one.op, AggregateOp::Rows | AggregateOp::Present(_));
    let is_sum = |one: &&Aggregate| matches!(one.op, AggregateOp::Sum(_));
    let counts = query.aggregates().iter().filter(is_count).count();
    let sums = query.aggregates().iter().filter(is_sum).count();
    *query.shape() == Shape::Events && counts > 0 && counts + sums > 1
}

/// Events of a query whose numbers depend on which of them count.
pub(super) struct Sampling {
    rows: RowSample,
    /// The numbers that are of chosen events, by their position among the numbers of a row.
    chosen: Vec<usize>,
    classes: Vec<Class>,
    /// The numbers of a group.
    sums: Vec<i64>,
}

/// Counts of the same events.
struct Class {
    /// The events that they can be of; none is all.
    events: Option<BTreeSet<String>>,
    most: u64,
    /// Their numbers.
    counts: Vec<usize>,
}

impl Sampling {
    /// `placed`: each aggregate whose number has a position among the `width` numbers of a row.
    pub(super) fn new<'a>(
        placed: impl Iterator<Item = (&'a Aggregate, usize)>,
        width: usize,
        entropy: &mut dyn Entropy,
    ) -> Result<Sampling, Failure> {
        let (mut chosen, mut classes) = (Vec::new(), Vec::new());
        for (aggregate, at) in placed {
            match &aggregate.op {
                AggregateOp::Rows | AggregateOp::Present(_) => {
                    let events = pinned(aggregate.filter.as_ref(), columns::EVENT);
                    join(&mut classes, Class { events, most: aggregate.linf, counts: vec![at] });
                }
                AggregateOp::Sum(_) => {}
                AggregateOp::Subjects | AggregateOp::Sessions | AggregateOp::Quantile { .. } => continue,
            }
            chosen.push(at);
        }
        let most = classes.iter().map(|class| class.most).collect();
        let rows = RowSample::new(most, chosen.len(), entropy)?;
        Ok(Sampling { rows, chosen, classes, sums: vec![0; width] })
    }

    /// Whether a number is of chosen events.
    pub(super) fn has(&self, number: usize) -> bool {
        self.chosen.contains(&number)
    }

    /// The class of each of so many rows with these numbers: the first one that has a count of it, or one that there
    /// is none of.
    pub(super) fn classes(&self, numbers: &[Numbers], rows: usize) -> Vec<u8> {
        let others = u8::try_from(self.classes.len()).unwrap_or(u8::MAX);
        let mut classes = vec![others; rows];
        for (class, counts) in (0..others).zip(self.classes.iter().map(|class| &class.counts)).rev() {
            for numbers in counts.iter().filter_map(|at| numbers.get(*at)) {
                for (row, known) in classes.iter_mut().enumerate() {
                    if numbers.at(row) != 0 {
                        *known = class;
                    }
                }
            }
        }
        classes
    }

    /// Rows of one group on the open day, of a batch with these numbers and classes.
    pub(super) fn push(&mut self, group: u64, rows: Range<usize>, numbers: &[Numbers], classes: &[u8]) {
        for row in rows {
            let class = classes.get(row).copied().unwrap_or(u8::MAX);
            let of_row = self.chosen.iter().map(|at| numbers.get(*at).map_or(0, |numbers| numbers.at(row)));
            self.rows.push(group, class.into(), of_row);
        }
    }

    /// The day has no more rows: the numbers of those that count, which are to be added to their groups.
    pub(super) fn close(&mut self, day: i32, subject: &[u8; 16], mut each: impl FnMut(u64, &[i64])) {
        let (chosen, sums) = (&self.chosen, &mut self.sums);
        self.rows.close(day, subject, |group, own| {
            for (at, sum) in chosen.iter().zip(own) {
                if let Some(place) = sums.get_mut(*at) {
                    *place = *sum;
                }
            }
            each(group, sums);
        });
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + self.sums.capacity() * size_of::<i64>()
    }
}

/// Adds a class; those that can be of the same events become one.
fn join(classes: &mut Vec<Class>, mut new: Class) {
    // A class that was joined may meet others by what it has now.
    while let Some(at) = classes.iter().position(|class| overlap(&class.events, &new.events)) {
        let other = classes.remove(at);
        new.events = match (new.events, other.events) {
            (Some(one), Some(other)) => Some(one.union(&other).cloned().collect()),
            _ => None,
        };
        new.most = new.most.max(other.most);
        new.counts.extend(other.counts);
    }
    classes.push(new);
}

fn overlap(one: &Option<BTreeSet<String>>, other: &Option<BTreeSet<String>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => !one.is_disjoint(other),
        _ => true,
    }
}
