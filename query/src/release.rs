//! Stage 5: [`Raw`] -> [`Groups`] (noise added, groups withheld) and, after what stands above, [`Released`].
//!
//! Invariants: every number that leaves has fresh discrete Gaussian noise from the operating system's generator, zeros
//! of public groups too. A group with a private key is shown only when it has `k_min` subjects and its noisy number of
//! subjects reaches the threshold; nothing says that others were withheld. Numbers that are released day by day are
//! added after their noise; so are those of several regions. A noisy count can be negative: it is kept as it is, since
//! cutting at zero would bias every sum of counts; only the lower end of a count's interval is cut.
//! Only this file makes a [`Released`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use datafusion::arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};
use shoal_privacy::budget::{Precision, Rho, Spread};
use shoal_privacy::noise::Entropy;

use crate::calendar::{Grain, HOUR_MS, start_of};
use crate::charge::{ChargedQuery, Place, Subjects};
use crate::execute::{Failure, Raw, RegionTotals};
use crate::expr::{Scalar, Value};
use crate::private_query::{Bucket, KeyKind, PrivateQuery};

/// A noisy number, in units of 10^-scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) units: i128,
    pub(crate) spread: Spread,
}

/// Released groups: values of the keys, in the query's order, and the noisy aggregates. Anonymous from here on.
pub(crate) struct Groups {
    pub(crate) rows: BTreeMap<Vec<Value>, Vec<Estimate>>,
}

/// Adds the noise and withholds groups.
pub(crate) fn noisy<E: Entropy>(raw: &Raw, entropy: &mut E, rows_max: usize) -> Result<Groups, Failure> {
    let charged = &raw.charged;
    let mut rows: BTreeMap<Vec<Value>, Vec<Estimate>> = BTreeMap::new();
    for totals in &raw.regions {
        for (at, bucket) in charged.query.buckets().iter().enumerate() {
            for cell in 0..totals.cells.len() {
                let place = Spot { bucket: *bucket, at, cell };
                if !has_enough(charged, totals, &place) {
                    continue;
                }
                let estimates = estimates(charged, totals, &place, entropy)?;
                if !is_shown(charged, totals, &place, &estimates, entropy)? {
                    continue;
                }
                let key = key_values(&charged.query, totals, &place);
                let len = rows.len();
                match rows.entry(key) {
                    Entry::Occupied(mut sums) => add(sums.get_mut(), &estimates)?,
                    Entry::Vacant(_) if len >= rows_max => return Err(Failure),
                    Entry::Vacant(place) => {
                        place.insert(estimates);
                    }
                }
            }
        }
    }
    Ok(Groups { rows })
}

/// One group of one bucket of days.
struct Spot {
    bucket: Bucket,
    at: usize,
    cell: u32,
}

fn subjects(charged: &ChargedQuery, totals: &RegionTotals, spot: &Spot) -> u64 {
    let cell = match charged.is_daily {
        true => totals.daily.get(Some(spot.bucket.days.first), spot.cell),
        false => totals.ranged.get(spot.at).and_then(|t| t.get(None, spot.cell)),
    };
    cell.map_or(0, |cell| cell.subjects)
}

fn has_enough(charged: &ChargedQuery, totals: &RegionTotals, spot: &Spot) -> bool {
    let k_min = charged.threshold.as_ref().map_or(0, |threshold| threshold.k_min);
    k_min == 0 || subjects(charged, totals, spot) >= k_min
}

fn is_shown<E: Entropy>(
    charged: &ChargedQuery,
    totals: &RegionTotals,
    spot: &Spot,
    estimates: &[Estimate],
    entropy: &mut E,
) -> Result<bool, Failure> {
    let Some(threshold) = &charged.threshold else {
        return Ok(true);
    };
    let noisy = match &threshold.subjects {
        Subjects::Asked(at) => estimates.get(*at).ok_or(Failure)?.units,
        Subjects::Own(noise) => noise.add(i128::from(subjects(charged, totals, spot)), entropy)?,
    };
    Ok(noisy >= i128::from(threshold.subjects_min))
}

fn estimates<E: Entropy>(
    charged: &ChargedQuery,
    totals: &RegionTotals,
    spot: &Spot,
    entropy: &mut E,
) -> Result<Vec<Estimate>, Failure> {
    let mut estimates = Vec::with_capacity(charged.places.len());
    for (place, noise) in charged.places.iter().zip(&charged.noise) {
        let mut sum = Estimate { units: 0, spread: Spread::none() };
        let spread = Spread::of(noise.variance());
        let mut release = |exact: i128, sum: &mut Estimate| -> Result<(), Failure> {
            let noisy = noise.add(exact, entropy)?;
            sum.units = sum.units.checked_add(noisy).ok_or(Failure)?;
            sum.spread = sum.spread.plus(spread);
            Ok(())
        };
        match place {
            Place::Daily(slot) => {
                for day in spot.bucket.days.days() {
                    let cell = totals.daily.get(Some(day), spot.cell);
                    let exact = cell.and_then(|c| c.sums.get(*slot).copied()).unwrap_or(0);
                    release(exact, &mut sum)?;
                }
            }
            Place::Ranged(slot) => {
                let bucket = totals.ranged.get(spot.at).ok_or(Failure)?;
                let cell = bucket.get(None, spot.cell);
                let exact = cell.and_then(|c| c.sums.get(*slot).copied()).unwrap_or(0);
                release(exact, &mut sum)?;
            }
        }
        estimates.push(sum);
    }
    Ok(estimates)
}

/// Adds a region's numbers.
fn add(sums: &mut [Estimate], more: &[Estimate]) -> Result<(), Failure> {
    for (sum, more) in sums.iter_mut().zip(more) {
        sum.units = sum.units.checked_add(more.units).ok_or(Failure)?;
        sum.spread = sum.spread.plus(more.spread);
    }
    Ok(())
}

fn key_values(query: &PrivateQuery, totals: &RegionTotals, spot: &Spot) -> Vec<Value> {
    let mut cell = totals.cells.values(spot.cell).into_iter();
    let values = query.keys.iter().map(|key| match &key.kind {
        KeyKind::Region => Value::Text(totals.region.as_str().to_owned()),
        KeyKind::Time(Grain::Hour) => match cell.next() {
            Some(Value::Number(hour, _)) => Value::Time(start_of(spot.bucket.start) + hour * HOUR_MS),
            _ => Value::Null,
        },
        KeyKind::Time(_) if key.scalar == Scalar::Day => Value::Day(spot.bucket.start),
        KeyKind::Time(_) => Value::Time(start_of(spot.bucket.start)),
        KeyKind::Public(_) | KeyKind::Private => cell.next().unwrap_or(Value::Null),
    });
    values.collect()
}

/// What a column of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// A key, or something made of keys only.
    Key,
    /// A noisy number; followed by its standard deviation and its 95 % interval.
    Estimate,
    /// Something that is no number, made of noisy numbers.
    Value,
    /// Standard deviation of the estimate before it, in its unit.
    Deviation,
    /// Lower end of the estimate's 95 % interval.
    Low,
    /// Upper end of the estimate's 95 % interval.
    High,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ColumnKind,
    /// Unit of a number: `ms`, `events`, `subjects` ..
    pub unit: Option<String>,
}

/// What an answer cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// rho of each block, as an exact decimal.
    pub rho_per_block: String,
    /// Blocks: (region, day) pairs that are charged.
    pub blocks: u64,
    /// The most that all queries together may learn about one block.
    pub rho_block_max: String,
}

/// An anonymous answer. The only thing of this crate that may leave the process.
///
/// Its fields are private, and only this crate's last stage makes one:
///
/// ```
/// fn name(_: Option<shoal_query::Released>) {}
/// name(None);
/// ```
/// ```compile_fail,E0451
/// fn name(other: shoal_query::Released) -> shoal_query::Released {
///     shoal_query::Released { columns: Vec::new(), ..other }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Released {
    pub(crate) columns: Vec<Column>,
    pub(crate) batch: RecordBatch,
    pub(crate) cost: Cost,
    pub(crate) precision: Precision,
    pub(crate) notes: Vec<String>,
    pub(crate) query: String,
    pub(crate) dry_run: bool,
}

/// What is known about an answer before anything is read.
pub(crate) struct Preamble {
    cost: Cost,
    precision: Precision,
    notes: Vec<String>,
    query: String,
}

impl Preamble {
    pub(crate) fn of(charged: &ChargedQuery, rho_block_max: Rho) -> Preamble {
        let mut notes = charged.query.notes.clone();
        if let Some(threshold) = &charged.threshold {
            notes.push(format!("Groups are shown from about {} subjects on.", threshold.subjects_min));
        }
        Preamble {
            cost: Cost {
                rho_per_block: charged.price.to_string(),
                blocks: charged.query.blocks(),
                rho_block_max: rho_block_max.to_string(),
            },
            precision: charged.precision,
            notes,
            query: charged.query.to_string(),
        }
    }
}

/// The answer, from columns that were made of released groups.
pub(crate) fn finish(
    preamble: Preamble,
    columns: Vec<Column>,
    batch: RecordBatch,
    dry_run: bool,
) -> Released {
    let Preamble { cost, precision, notes, query } = preamble;
    Released { columns, batch, cost, precision, notes, query, dry_run }
}
