//! Stage 3: [`PrivateQuery`] -> [`ChargedQuery`]: the price of each (region, day) block, and the noise it pays for.
//!
//! Invariants: a price follows from the text and the precision alone. Only a [`ChargedQuery`] can be executed, and
//! nothing is given back once it is. The price is shared equally by the aggregates; a query with a private key pays one
//! share more, for the number of subjects that decides whether a group is shown, unless it asks for that number itself.
//!
//! The budget ledger has its place in [`charge`]: what is checked against the cap of a block today is what will be
//! reserved on every block, durably, before a [`ChargedQuery`] exists.

use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_privacy::bound::{BoundError, Clamp, Limits};
use shoal_privacy::budget::{BudgetError, Precision, Rho, threshold, variance};
use shoal_privacy::noise::DiscreteGaussian;

use crate::error::{Refusal, Rule};
use crate::private_query::{Aggregate, AggregateOp, PrivateQuery};

/// What bounds a charge: configured, public, shown to analysts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caps {
    /// The most that all queries together may learn about one block.
    pub rho_block_max: Rho,
    /// Fewest subjects of a group with a private key.
    pub k_min: u32,
    /// The chance that such a group shows below `k_min` in spite of the noise, for one query.
    pub threshold_delta: f64,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            rho_block_max: shoal_privacy::budget::Preset::Standard.cap(),
            k_min: 20,
            threshold_delta: 1e-8,
        }
    }
}

/// A private query whose price is known and paid.
pub struct ChargedQuery {
    pub(crate) query: PrivateQuery,
    pub(crate) precision: Precision,
    /// Of each block.
    pub(crate) price: Rho,
    /// One for each aggregate, for each day (or each bucket, see [`Place`]).
    pub(crate) noise: Vec<DiscreteGaussian>,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) places: Vec<Place>,
    /// Bounds of what is released day by day.
    pub(crate) daily: Limits,
    /// Bounds of what is released for a bucket of days at once.
    pub(crate) ranged: Limits,
    /// Whether every bucket is one day, so that nothing is released for a bucket of days.
    pub(crate) is_daily: bool,
}

impl ChargedQuery {
    /// Whether anything is released for a bucket of days at once.
    pub(crate) fn is_ranged(&self) -> bool {
        !self.ranged.clamps().is_empty() || (self.threshold.is_some() && !self.is_daily)
    }
}

/// Where an aggregate is bounded: its position in the daily or in the ranged totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Daily(usize),
    Ranged(usize),
}

/// When a group with a private key is shown.
pub(crate) struct Threshold {
    pub(crate) k_min: u64,
    pub(crate) subjects: Subjects,
    /// The noisy number of subjects must reach it.
    pub(crate) subjects_min: i64,
}

/// The noisy number of subjects that decides.
pub(crate) enum Subjects {
    /// The aggregate COUNT(DISTINCT subject) of the query itself, by position: released once, used twice.
    Asked(usize),
    /// A number of its own, with a share of the price.
    Own(DiscreteGaussian),
}

/// Prices a query and gives its noise.
///
/// # Errors
/// [`Rule::Budget`] when a block cannot bear the price.
pub fn charge(query: PrivateQuery, precision: Precision, caps: &Caps) -> Result<ChargedQuery, Refusal> {
    let price = precision.rho();
    if price > caps.rho_block_max {
        let message = format!("The price of {price} is above the cap of a block, {}.", caps.rho_block_max);
        return Err(Refusal::new(Rule::Budget, Span::empty(), message, "precision low"));
    }
    plan(query, precision, caps).map_err(|Unaffordable| {
        let message = "The noise of this query would be larger than any number.";
        Refusal::new(Rule::Budget, Span::empty(), message, "fewer aggregates or keys")
    })
}

/// No variance can be given.
struct Unaffordable;

impl From<BudgetError> for Unaffordable {
    fn from(_: BudgetError) -> Unaffordable {
        Unaffordable
    }
}

impl From<BoundError> for Unaffordable {
    fn from(_: BoundError) -> Unaffordable {
        Unaffordable
    }
}

fn clamp(aggregate: &Aggregate) -> Clamp {
    match aggregate.op {
        AggregateOp::Sum(_) => Clamp::Sum(aggregate.linf),
        AggregateOp::Rows
        | AggregateOp::Present(_)
        | AggregateOp::Subjects
        | AggregateOp::Sessions
        | AggregateOp::Quantile { .. } => Clamp::Count(aggregate.linf),
    }
}

fn plan(query: PrivateQuery, precision: Precision, caps: &Caps) -> Result<ChargedQuery, Unaffordable> {
    let is_daily = query.buckets().iter().all(|bucket| bucket.days.len() == 1);
    let (mut daily, mut ranged, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for aggregate in &query.aggregates {
        if aggregate.op == AggregateOp::Subjects && !is_daily {
            places.push(Place::Ranged(ranged.len()));
            ranged.push(clamp(aggregate));
        } else {
            places.push(Place::Daily(daily.len()));
            daily.push(clamp(aggregate));
        }
    }
    let daily = Limits::new(query.l0, daily)?;
    let ranged = Limits::new(query.l0, ranged)?;
    let cells = query.public_cells().map(|cells| cells.max(1));
    let thresholded = query.is_thresholded();
    let asks = |a: &Aggregate| a.op == AggregateOp::Subjects && a.filter.is_none();
    let asked = query.aggregates.iter().position(asks);
    let price = precision.rho();
    let mut shares = price.split(query.aggregates.len() + usize::from(thresholded && asked.is_none()))?;
    let share = match asked {
        Some(_) => shares.last().copied(),
        None if thresholded => shares.pop(),
        None => None,
    };
    let threshold = match share.filter(|_| thresholded) {
        None => None,
        Some(share) => {
            let squared = match is_daily {
                true => daily.days_sensitivity(None)?,
                false => ranged.range_sensitivity(None, cells)?,
            };
            let subjects = variance(squared, share)?;
            // Without one day, a subject may drop l0 groups of a bucket and show l0 others.
            let groups = if is_daily { query.l0 } else { query.l0.saturating_mul(2) };
            Some(Threshold {
                k_min: u64::from(caps.k_min),
                subjects: match asked {
                    Some(at) => Subjects::Asked(at),
                    None => Subjects::Own(DiscreteGaussian::new(subjects)),
                },
                subjects_min: threshold(caps.k_min, subjects, caps.threshold_delta, groups)?,
            })
        }
    };
    let mut noise = Vec::with_capacity(shares.len());
    for (place, share) in places.iter().zip(shares) {
        let squared = match place {
            Place::Daily(at) => daily.days_sensitivity(Some(*at))?,
            Place::Ranged(at) => ranged.range_sensitivity(Some(*at), cells)?,
        };
        noise.push(DiscreteGaussian::new(variance(squared, share)?));
    }
    Ok(ChargedQuery { query, precision, price, noise, threshold, places, daily, ranged, is_daily })
}
