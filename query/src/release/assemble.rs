//! Sealed parts -> [`Groups`]: numbers of days and regions added up, with their spreads.
//!
//! Invariants: what comes in is anonymous; nothing here has or needs noise. A group of a released part that was
//! withheld is not in the sum; where the same region has shown it in other parts, the interval of its numbers holds what is
//! missing. An interval of a quantile ends at edges of the grid, between which values are not told apart. A noisy count can be negative: it is kept as it is, since cutting at zero would bias
//! every sum of counts.
//! Not here: noise (`noisy`), the postprocessing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use shoal_anonymity::budget::{Spread, Z_95};
use shoal_anonymity::noise::Variance;

use super::groups::Groups;
use super::noisy::hour_of;
use super::sealed::{Sealed, SealedCell};
use crate::charge::ChargedQuery;
use crate::failure::Failure;
use crate::released_parts::{Form, ReleasedPart, cell_keys};
use crate::scan::quantile_of;
use shoal_language::calendar::Grain;
use shoal_language::{Aggregate, AggregateOp, KeyKind};
use shoal_language::{Scalar, Value};
use shoal_postprocess::Estimate;
use shoal_schemas::Region;
use shoal_schemas::calendar::start_of;

/// A released part that is in the ledger, and the first day of the bucket that it is shown in.
pub(super) struct SealedPart<'a> {
    pub(super) released: &'a ReleasedPart,
    pub(super) start: i32,
    /// As the ledger has it; one part at a time is decoded.
    pub(super) bytes: &'a [u8],
}

/// A group while its parts are added up.
#[derive(Default)]
struct Group {
    sums: Vec<Sum>,
    /// How many parts of each region have shown it.
    shown: BTreeMap<Region, u64>,
    /// Of these, all that there are.
    all: BTreeMap<Region, u64>,
}

/// The sums of one slot of a group.
struct Sum {
    numbers: Vec<i128>,
    spread: Spread,
}

/// Adds the parts of one query up.
pub(super) fn assemble(
    charged: &ChargedQuery,
    parts: &[SealedPart<'_>],
    rows_max: usize,
) -> Result<Groups, Failure> {
    let mut all: BTreeMap<(Region, i32), u64> = BTreeMap::new();
    for part in parts {
        *all.entry((part.released.region, part.start)).or_default() += 1;
    }
    let mut rows: BTreeMap<Vec<Value>, Group> = BTreeMap::new();
    for part in parts {
        let form = part.released.form.as_ref();
        let sealed = Sealed::decode(part.bytes)?;
        let spreads = spreads(charged, form, &sealed)?;
        for cell in &sealed.cells {
            let key = key(charged, form, part, cell)?;
            let len = rows.len();
            match rows.entry(key) {
                Entry::Vacant(_) if len >= rows_max => return Err(Failure::Limit),
                entry => {
                    let (group, region) = (entry.or_default(), part.released.region);
                    add(&mut group.sums, form, &spreads, cell)?;
                    *group.shown.entry(region).or_default() += 1;
                    group.all.insert(region, all.get(&(region, part.start)).copied().unwrap_or(1));
                }
            }
        }
    }
    let slots = charged.slots();
    let slot_of = |place| slots.iter().position(|slot| slot.place == place);
    let withheld = charged.withheld();
    let estimates = |group: Group| -> Result<Vec<Estimate>, Failure> {
        let missing = group.missing();
        let pairs = charged.query.aggregates().iter().zip(&charged.layout.slots).enumerate();
        let each = pairs.map(|(at, (aggregate, place))| {
            let sum = slot_of(*place).and_then(|at| group.sums.get(at)).ok_or(Failure::Internal)?;
            let ends = withheld.filter(|_| missing > 0).and_then(|of| of.ends(charged, at, missing));
            estimate(aggregate, sum, ends)
        });
        each.collect()
    };
    let rows = rows.into_iter().map(|(key, group)| Ok((key, estimates(group)?)));
    Ok(Groups { rows: rows.collect::<Result<_, Failure>>()? })
}

/// Of each slot in the query's order: width, and the spread of each of its numbers.
fn spreads(charged: &ChargedQuery, form: &Form, sealed: &Sealed) -> Result<Vec<(usize, Spread)>, Failure> {
    let slots = charged.slots();
    if sealed.slots.len() != slots.len() || form.slots.len() != slots.len() {
        return Err(Failure::Internal);
    }
    let mut spreads = vec![(0, Spread::none()); slots.len()];
    for (at, (width, p, q)) in form.slots.iter().zip(&sealed.slots) {
        let variance = Variance::new(*p, *q)?;
        let width = usize::try_from(*width).map_err(|_| Failure::Internal)?;
        *spreads.get_mut(*at).ok_or(Failure::Internal)? = (width, Spread::of(variance));
    }
    Ok(spreads)
}

/// Adds a group's numbers, which are in canonical order, to sums in the query's order.
fn add(
    sums: &mut Vec<Sum>,
    form: &Form,
    spreads: &[(usize, Spread)],
    cell: &SealedCell,
) -> Result<(), Failure> {
    if sums.is_empty() {
        let fresh = |(width, _): &(usize, Spread)| Sum { numbers: vec![0; *width], spread: Spread::none() };
        sums.extend(spreads.iter().map(fresh));
    }
    let mut rest = cell.numbers.as_slice();
    for at in &form.slots {
        let (width, spread) = spreads.get(*at).ok_or(Failure::Internal)?;
        let (own, others) = rest.split_at_checked(*width).ok_or(Failure::Internal)?;
        let sum = sums.get_mut(*at).ok_or(Failure::Internal)?;
        for (total, number) in sum.numbers.iter_mut().zip(own) {
            *total = total.checked_add(*number).ok_or(Failure::Internal)?;
        }
        sum.spread = sum.spread.plus(*spread);
        rest = others;
    }
    Ok(())
}

/// The values of the query's keys, in its order.
fn key(
    charged: &ChargedQuery,
    form: &Form,
    part: &SealedPart<'_>,
    cell: &SealedCell,
) -> Result<Vec<Value>, Failure> {
    let query = &charged.query;
    let kept = cell_keys(query);
    if cell.keys.len() != kept.len() {
        return Err(Failure::Internal);
    }
    let mut values: Vec<Value> = vec![Value::Null; query.keys().len()];
    for (at, value) in form.keys.iter().zip(&cell.keys) {
        let place = kept.get(*at).and_then(|at| values.get_mut(*at)).ok_or(Failure::Internal)?;
        *place = value.clone().into();
    }
    for (key, value) in query.keys().iter().zip(&mut values) {
        match &key.kind {
            KeyKind::Region => *value = Value::Text(part.released.region.as_str().to_owned()),
            KeyKind::Time(Grain::Hour) => *value = hour_of(start_of(part.released.days.first), value),
            KeyKind::Time(_) | KeyKind::Windows(_) if key.scalar == Scalar::Day => {
                *value = Value::Day(part.start)
            }
            KeyKind::Time(_) | KeyKind::Windows(_) => *value = Value::Time(start_of(part.start)),
            KeyKind::Public(_) | KeyKind::Private => {}
        }
    }
    Ok(values)
}

impl Group {
    /// In how many parts it is missing, of the regions that have shown it at all. Others may not have it.
    fn missing(&self) -> u64 {
        let of =
            |(region, all): (&Region, &u64)| all - self.shown.get(region).copied().unwrap_or(0).min(*all);
        self.all.iter().map(of).sum()
    }
}

/// What an aggregate shows of its slot. A quantile is read off the tree; of a sum, `missing` is between what the parts are that
/// have not shown the group.
fn estimate(aggregate: &Aggregate, sum: &Sum, missing: Option<(i64, i64)>) -> Result<Estimate, Failure> {
    match &aggregate.op {
        AggregateOp::Quantile { edges, millionths, .. } => {
            let found = quantile_of(edges, &sum.numbers, sum.spread.variance(), *millionths)?;
            // Within the edges, which are 64 bits. What is from n to n + 1 on the line is the value n.
            let units = found.value.floor() as i128;
            let (low, high) = on_edges(edges, found.low, found.high);
            let (low, high) = (low.min(units as f64), high.max(units as f64));
            Ok(Estimate { units, sd: (high - low) / (2.0 * Z_95), interval: Some((low, high)) })
        }
        AggregateOp::Rows
        | AggregateOp::Present(_)
        | AggregateOp::Sum(_)
        | AggregateOp::Subjects
        | AggregateOp::Sessions => {
            let units = *sum.numbers.first().ok_or(Failure::Internal)?;
            let (sd, value) = (sum.spread.sd(), units as f64);
            let interval = missing.map(|(low, high)| {
                (value - Z_95 * sd + low.min(0) as f64, value + Z_95 * sd + high.max(0) as f64)
            });
            Ok(Estimate { units, sd, interval })
        }
    }
}

/// The least and the largest value of the leaves in which an interval ends: the grid does not tell the values of a leaf apart.
fn on_edges(edges: &[i64], low: f64, high: f64) -> (f64, f64) {
    let below = edges.iter().rev().find(|edge| (**edge as f64) <= low).or(edges.first());
    let above = edges.iter().position(|edge| (*edge as f64) >= high).unwrap_or(edges.len().saturating_sub(1));
    let low = below.map_or(low, |edge| *edge as f64);
    // The last leaf has its upper edge too.
    let high = match edges.get(above) {
        Some(edge) if above + 1 == edges.len() => *edge as f64,
        Some(edge) => (*edge as f64) - 1.0,
        None => high,
    };
    (low, high.max(low))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_anonymity::noise::{DiscreteGaussian, Variance};
    use shoal_anonymity::tree::{Grid, LeafCounts};
    use shoal_language::Type;

    use super::*;
    use crate::tests::Seeded;

    /// Of quantiles of values that are all the same, and of two halves: seeded noise, many times.
    #[test]
    fn the_interval_of_a_quantile_holds_the_truth() {
        let edges = shoal_schemas::grid(0, 120_000);
        let grid = Grid::new(edges.clone()).unwrap();
        let variance = Variance::new(2_000, 1).unwrap();
        let noise = DiscreteGaussian::new(variance);
        let mut entropy = Seeded(23);
        for (values, millionths, truth) in [
            (&[(241, 3_000)][..], 500_000, 241.0),
            (&[(241, 3_000)], 950_000, 241.0),
            (&[(241, 3_000)], 20_000, 241.0),
            (&[(0, 3_000)], 500_000, 0.0),
            (&[(120_000, 3_000)], 500_000, 120_000.0),
            (&[(100, 2_000), (5_000, 1_000)], 500_000, 100.0),
            (&[(100, 2_000), (5_000, 1_000)], 800_000, 5_000.0),
        ] {
            let mut counts = LeafCounts::new(&grid);
            values.iter().for_each(|(value, count)| counts.add(0, grid.leaf(*value), *count));
            let exact = counts.nodes(0);
            let measure = Scalar::Column { name: "x".to_owned(), ty: Type::Number { scale: 0 } };
            let op = AggregateOp::Quantile { measure, millionths, edges: edges.clone() };
            let aggregate = Aggregate { op, filter: None, linf: 1, unit: None, scale: 0 };
            let trials = 200;
            let held = (0..trials).filter(|_| {
                let numbers = exact.iter().map(|node| noise.add(*node, &mut entropy).unwrap()).collect();
                let found =
                    estimate(&aggregate, &Sum { numbers, spread: Spread::of(variance) }, None).unwrap();
                let (low, high) = found.interval.unwrap();
                assert!(low <= found.units as f64 && found.units as f64 <= high);
                low <= truth && truth <= high
            });
            let held = held.count();
            assert!(held * 100 >= 93 * trials, "{values:?} at {millionths}: {held} of {trials}");
        }
    }

    #[test]
    fn an_interval_of_a_quantile_ends_at_values_of_the_grid() {
        let edges = [0, 10, 20, 40, 80];
        for (low, high, expected) in [
            (12.0, 13.0, (10.0, 19.0)),
            (10.0, 20.0, (10.0, 19.0)),
            (19.9, 20.1, (10.0, 39.0)),
            (0.0, 80.0, (0.0, 80.0)),
            (41.0, 79.0, (40.0, 80.0)),
            (20.0, 20.0, (20.0, 20.0)),
        ] {
            assert_eq!(on_edges(&edges, low, high), expected, "{low} to {high}");
        }
    }
}
