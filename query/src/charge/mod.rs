//! Stage 3: [`PrivateQuery`] -> [`ChargedQuery`]: the price of each block, and the noise it pays for.
//!
//! Invariants: a price follows from the text, the accuracy and the registry alone. Only a [`ChargedQuery`] can be
//! executed, and nothing is given back once it is. The price is shared equally by the slots; a query with a private key
//! pays one share more, for the number of subjects that decides whether a group is shown, unless it asks for that number
//! itself; and before that a hundredth, for the limit on its groups. No price is below [`PRICE_MIN`]. A block pays the price once
//! for each released part that reads it, of windows as often as it is in one; what no budget can bear is refused here.
//!
//! - `accuracy`: a precision, or a standard deviation that is wanted -> the price
//! - `reserve`: what groups may take in memory, and so how many there may be
//! - `slots`: which number is bounded where, and its sensitivity
//! - `withheld`: between what the number of a group is that is not shown
//!
//! Not here: what the blocks have left (`ledger.rs`), epochs (`budget_epochs.rs`).

mod accuracy;
mod reserve;
mod share;
mod slots;
#[cfg(test)]
mod tests;
mod withheld;

use std::collections::BTreeSet;
use std::sync::Arc;

use shoal_anonymity::budget::{Rho, threshold, variance};
use shoal_anonymity::noise::DiscreteGaussian;

pub use self::accuracy::{Accuracy, PRICE_MIN};
pub(crate) use self::reserve::{GroupRoom, MemoryShare, least_limit};
use self::reserve::{GroupSizes, check_public, room};
#[cfg(test)]
pub(crate) use self::reserve::{NODE_BYTES, NUMBER_BYTES};
use self::share::{LIMIT_SHARE, Unaffordable};
pub(crate) use self::slots::{Slot, shares_tree};
use crate::budget_epochs::BudgetEpochs;
use crate::sensitivity::SensitivityLayout;
pub(crate) use crate::sensitivity::Slot as Place;
use shoal_language::{AggregateOp, PrivateQuery};
use shoal_language::{Refusal, Rule};

/// What bounds a charge: configured, public, shown to analysts.
#[derive(Clone, Debug, PartialEq)]
pub struct Caps {
    /// The most that all queries together may learn about one block.
    pub rho_block_max: Rho,
    /// When a day is answered, and with which share of that.
    pub epochs: BudgetEpochs,
    /// Fewest subjects of a group with a private key.
    pub k_min: u32,
    /// The chance that any question ever lets one subject alone lift a group over the threshold, for a block. A release takes
    /// as large a part of it as of `rho_block_max`.
    pub threshold_delta: f64,
    /// Most groups of private keys that a day, or a range of days, of a region may find before the threshold.
    pub cells_max: usize,
    /// How much memory groups have.
    pub(crate) memory: MemoryShare,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            rho_block_max: shoal_anonymity::budget::Preset::Standard.cap(),
            epochs: BudgetEpochs::default(),
            k_min: 20,
            threshold_delta: 1e-6,
            cells_max: 100_000,
            memory: MemoryShare::default(),
        }
    }
}

impl Caps {
    /// The part of a block's `threshold_delta` that a release of this price takes. Whatever is asked, the parts of a block
    /// add up to no more than the whole, as prices do (Bun, Steinke 2016: approximate zCDP composes by adding both).
    pub(crate) fn delta_of(&self, price: Rho) -> f64 {
        self.threshold_delta * (price.to_f64() / self.rho_block_max.to_f64()).min(1.0)
    }
}

/// A private query whose price is known. It is paid part by part, before anything of it is read.
#[derive(Clone)]
pub struct ChargedQuery {
    pub(crate) query: PrivateQuery,
    /// Of each block.
    pub(crate) price: Rho,
    /// One for each aggregate; quantiles that share a slot have the same.
    pub(crate) noise: Vec<DiscreteGaussian>,
    pub(crate) threshold: Option<Threshold>,
    /// Where each aggregate is, its bounds, and whether each day is a release of its own.
    pub(crate) layout: SensitivityLayout,
    /// Most groups of private keys that a released part shows: one with more fails.
    pub(crate) shown_max: u64,
}

/// When a group with a private key is shown.
#[derive(Clone)]
pub(crate) struct Threshold {
    pub(crate) k_min: u64,
    pub(crate) subjects: Subjects,
    /// The noisy number of subjects must reach it.
    pub(crate) subjects_min: i64,
    /// Of the limit on the number of groups, which fails a query: see [`LIMIT_SHARE`].
    pub(crate) groups: DiscreteGaussian,
    /// The middle of that limit, and what it takes in memory.
    pub(crate) room: GroupRoom,
}

/// The noisy number of subjects that decides.
#[derive(Clone)]
pub(crate) enum Subjects {
    /// The aggregate COUNT(DISTINCT subject) of the query itself, by position: released once, used twice.
    Asked(usize),
    /// A number of its own, with a share of the price.
    Own(DiscreteGaussian),
}

impl ChargedQuery {
    /// The most bytes of so many groups while a span is read: for tests of what they really take.
    #[cfg(test)]
    pub(crate) fn group_bytes(&self, groups: u32) -> usize {
        GroupSizes::of(&self.query, &self.layout, self.shown_max).held * groups as usize
    }

    /// Whether each day is a release of its own; else each bucket of days is.
    pub(crate) fn is_daily(&self) -> bool {
        self.layout.is_daily
    }

    /// How many of its spans are read at one time, where so many may be.
    pub(crate) fn spans_at_one_time(&self, spans: usize) -> usize {
        let own = self.threshold.as_ref().map_or(spans, |threshold| threshold.room.spans);
        own.clamp(1, spans.max(1))
    }

    /// The most that a block pays: the price, for each released part that the block may be in.
    pub(crate) fn price_of_a_block(&self) -> Rho {
        self.price.checked_mul(self.query.overlap()).unwrap_or(Rho::from_nano(u64::MAX))
    }

    /// The numbers of each group, each noised once: one for each place.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        for (place, noise) in self.layout.slots.iter().zip(&self.noise) {
            if !slots.iter().any(|slot| slot.place == *place) {
                let width = self.layout.width(*place) as usize;
                slots.push(Slot { place: *place, noise: *noise, width });
            }
        }
        slots
    }
}

/// Prices a query and gives its noise.
///
/// # Errors
/// [`Rule::Budget`] when no epoch of a block can bear the price, or its noise needs more memory than there is; [`Rule::Cells`]
/// when public groups do.
pub fn charge(query: PrivateQuery, accuracy: Accuracy, caps: &Caps) -> Result<ChargedQuery, Refusal> {
    // What costs least: one number whose bound is one.
    let suggestion = format!("SELECT COUNT(DISTINCT subject) AS people FROM {}", query.table());
    let refuse = |message: String| Err(Refusal::whole(Rule::Budget, message, suggestion));
    let Ok(mut charged) = plan(query, accuracy, caps) else {
        let message = "The noise of this query would be larger than any number, or than what is wanted: ask for fewer \
            aggregates or keys, or a larger sd_max.";
        return refuse(message.to_owned());
    };
    let most = caps.epochs.largest(caps.rho_block_max);
    if charged.price > most {
        return refuse(format!(
            "The price of rho {} is above the largest share of a block's budget, {most} of {}: ask with precision low, or a \
             larger sd_max.",
            charged.price, caps.rho_block_max
        ));
    }
    if charged.price_of_a_block() > most {
        return refuse(format!(
            "A day is in {} windows and would pay a price of rho {} for each, together more than the largest share of a block's \
             budget, {most} of {}: ask with precision low or a larger sd_max, for shorter windows, or for fewer, such as one in each \
             week.",
            charged.query.overlap(),
            charged.price,
            caps.rho_block_max
        ));
    }
    let ChargedQuery { query, layout, threshold, shown_max, .. } = &mut charged;
    match threshold {
        Some(own) => {
            let sizes = GroupSizes::of(query, layout, *shown_max);
            own.room = room(&sizes, query, &own.groups, caps.cells_max, caps.memory)?;
        }
        None => check_public(&GroupSizes::of(query, layout, *shown_max), query, caps.memory)?,
    }
    Ok(charged)
}

fn plan(query: PrivateQuery, accuracy: Accuracy, caps: &Caps) -> Result<ChargedQuery, Unaffordable> {
    let layout = SensitivityLayout::of(&query)?;
    let thresholded = query.is_thresholded();
    let asks = |op: &AggregateOp, filtered: bool| *op == AggregateOp::Subjects && !filtered;
    let asked = query.aggregates().iter().position(|a| asks(&a.op, a.filter.is_some()));
    let shares = slots::count(&layout) + usize::from(thresholded && asked.is_none());
    let price = accuracy::price(&accuracy, &query, &layout, shares)?;
    let (limit, rest) = match *price.split_weighted(&LIMIT_SHARE)? {
        [limit, rest] if thresholded => (limit, rest),
        _ => (Rho::ZERO, price),
    };
    let share = *rest.split(shares)?.first().ok_or(Unaffordable)?;
    let threshold = match thresholded {
        false => None,
        true => {
            let subjects = variance(layout.sensitivity(None)?, share)?;
            // Without one day, a subject may drop its groups of a bucket and show as many others.
            let l0 = layout.cells_of_one();
            let groups = if layout.can_exchange() { l0.saturating_mul(2) } else { l0 };
            Some(Threshold {
                k_min: u64::from(caps.k_min),
                subjects: match asked {
                    Some(at) => Subjects::Asked(at),
                    None => Subjects::Own(DiscreteGaussian::new(subjects)),
                },
                subjects_min: threshold(caps.k_min, subjects, caps.delta_of(price), groups)?,
                groups: DiscreteGaussian::new(variance(layout.groups_of_one()?, limit)?),
                // Found when the price has been looked at.
                room: GroupRoom { groups_max: 0, spans: 1 },
            })
        }
    };
    let mut noise = Vec::with_capacity(layout.slots.len());
    for place in &layout.slots {
        noise.push(DiscreteGaussian::new(variance(layout.sensitivity(Some(*place))?, share)?));
    }
    let shown_max = slots::shown_max(&query, &layout);
    Ok(ChargedQuery { query, price, noise, threshold, layout, shown_max })
}

/// (region, table, day) triples that queries are about.
pub(crate) fn blocks(charged: &[Arc<ChargedQuery>]) -> u64 {
    let mut all = BTreeSet::new();
    for charged in charged {
        let query = &charged.query;
        for region in query.regions() {
            let days = query.buckets().into_iter().flat_map(|bucket| bucket.days.days());
            all.extend(days.map(|day| (*region, query.table(), day)));
            for member in query.members() {
                all.extend(member.days.days().map(|day| (*region, member.table, day)));
            }
        }
    }
    all.len() as u64
}
