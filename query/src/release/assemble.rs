//! Sealed parts -> [`Groups`]: numbers of days and regions added up, with their spreads.
//!
//! Invariants: what comes in is anonymous; nothing here has or needs noise. A group of a released part that was
//! withheld is not in the sum. A noisy count can be negative: it is kept as it is, since cutting at zero would bias
//! every sum of counts.
//! Not here: noise (`noisy`), what stands above.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use shoal_anonymity::budget::Spread;
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
use shoal_schemas::calendar::start_of;

/// A released part that is in the ledger, and the first day of the bucket that it is shown in.
pub(super) struct SealedPart<'a> {
    pub(super) released: &'a ReleasedPart,
    pub(super) start: i32,
    pub(super) sealed: Sealed,
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
    let mut rows: BTreeMap<Vec<Value>, Vec<Sum>> = BTreeMap::new();
    for part in parts {
        let form = part.released.form.as_ref();
        let spreads = spreads(charged, form, &part.sealed)?;
        for cell in &part.sealed.cells {
            let key = key(charged, form, part, cell)?;
            let len = rows.len();
            match rows.entry(key) {
                Entry::Vacant(_) if len >= rows_max => return Err(Failure::Limit),
                entry => add(entry.or_insert_with(Vec::new), form, &spreads, cell)?,
            }
        }
    }
    let slots = charged.slots();
    let slot_of = |place| slots.iter().position(|slot| slot.place == place);
    let estimates = |sums: Vec<Sum>| -> Result<Vec<Estimate>, Failure> {
        let pairs = charged.query.aggregates().iter().zip(&charged.layout.slots);
        let each = pairs.map(|(aggregate, place)| {
            let sum = slot_of(*place).and_then(|at| sums.get(at)).ok_or(Failure::Internal)?;
            estimate(aggregate, sum)
        });
        each.collect()
    };
    let rows = rows.into_iter().map(|(key, sums)| Ok((key, estimates(sums)?)));
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
            KeyKind::Time(_) if key.scalar == Scalar::Day => *value = Value::Day(part.start),
            KeyKind::Time(_) => *value = Value::Time(start_of(part.start)),
            KeyKind::Public(_) | KeyKind::Private => {}
        }
    }
    Ok(values)
}

/// What an aggregate shows of its slot. A quantile is read off the tree.
fn estimate(aggregate: &Aggregate, sum: &Sum) -> Result<Estimate, Failure> {
    match &aggregate.op {
        AggregateOp::Quantile { edges, millionths, .. } => {
            let found = quantile_of(edges, &sum.numbers, sum.spread.variance(), *millionths)?;
            // Within the edges, which are 64 bits. What is from n to n + 1 on the line is the value n.
            let units = found.value.floor() as i128;
            Ok(Estimate { units, sd: found.sd(), interval: Some((found.low.floor(), found.high.ceil())) })
        }
        AggregateOp::Rows
        | AggregateOp::Present(_)
        | AggregateOp::Sum(_)
        | AggregateOp::Subjects
        | AggregateOp::Sessions => {
            let units = *sum.numbers.first().ok_or(Failure::Internal)?;
            Ok(Estimate { units, sd: sum.spread.sd(), interval: None })
        }
    }
}
