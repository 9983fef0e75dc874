//! Exact totals of a region -> one noisy part: noise added, groups withheld.
//!
//! Invariants: every number that leaves has fresh discrete Gaussian noise from the operating system's generator, zeros
//! of public groups too. A group with a private key is in a released part only when it has `k_min` subjects in that
//! released part and its noisy number of subjects reaches the threshold; nothing says that others were withheld. That number
//! is drawn first, and the others for groups that are shown only: these are made one after the other, so that no more of them
//! than one is there with all its nodes. So the work follows from what is shown, which is public then.
//! Not here: bytes (`sealed`), adding released parts up (`assemble`).

use std::sync::atomic::{AtomicBool, Ordering};

use shoal_anonymity::noise::Entropy;

use super::sealed::{SealedCell, Sealing};
use crate::charge::{Place, Slot, Subjects, Threshold};
use crate::failure::Failure;
use crate::released_parts::Form;
use crate::scan::{Raw, Span};
use shoal_language::Value;
use shoal_schemas::calendar::HOUR_MS;

/// What a released part is made of.
pub(super) struct Exact<'a> {
    pub(super) raw: &'a Raw,
    /// The order of its keys and slots.
    pub(super) form: &'a Form,
    /// Whether anybody waits for it.
    pub(super) waiting: &'a AtomicBool,
}

/// A group that is shown.
struct Shown {
    cell: u32,
    /// Its noisy number of subjects, where that decides and where the query asks for it.
    subjects: i128,
}

/// The bytes of the noisy part.
pub(super) fn noisy<E: Entropy>(
    exact: &Exact<'_>,
    entropy: &mut E,
    cells_max: usize,
) -> Result<Vec<u8>, Failure> {
    let (charged, form) = (&exact.raw.due.charged, exact.form);
    let slots = charged.slots();
    let slot = |at: &usize| {
        let slot = slots.get(*at)?;
        let variance = slot.noise.variance();
        Some((u32::try_from(slot.width).ok()?, variance.numerator(), variance.denominator()))
    };
    let ordered = form.slots.iter().map(slot).collect::<Option<Vec<_>>>().ok_or(Failure::Internal)?;
    let asked = charged.threshold.as_ref().map(|threshold| exact.asked(&slots, threshold)).transpose()?;
    let mut shown = match (&charged.threshold, asked) {
        (Some(threshold), Some(asked)) => exact.shown(threshold, asked, entropy, cells_max)?,
        _ => (0..exact.raw.cells.len()).map(|cell| Shown { cell, subjects: 0 }).collect(),
    };
    if shown.len() > cells_max {
        return Err(Failure::Limit);
    }
    shown.sort_unstable_by(|a, b| exact.raw.cells.order(a.cell, b.cell, &form.keys));
    let asked = asked.flatten().and_then(|own| slots.iter().position(|slot| slot.place == own.place));
    let mut sealing = Sealing::new(ordered);
    for group in &shown {
        if !exact.waiting.load(Ordering::Relaxed) {
            return Err(Failure::Internal);
        }
        let numbers = exact.numbers(&slots, asked, group, entropy)?;
        let values = exact.raw.cells.values(group.cell);
        let keys = form.keys.iter().map(|at| values.get(*at).cloned().unwrap_or(Value::Null).into());
        let ordered = form.slots.iter().flat_map(|at| numbers.get(*at).into_iter().flatten().copied());
        sealing.push(&SealedCell { keys: keys.collect(), numbers: ordered.collect() })?;
    }
    sealing.finish()
}

impl Exact<'_> {
    /// The slot whose number of subjects decides, when the query asks for it.
    fn asked(&self, slots: &[Slot], threshold: &Threshold) -> Result<Option<Slot>, Failure> {
        let Subjects::Asked(aggregate) = &threshold.subjects else { return Ok(None) };
        let place = self.raw.due.charged.layout.slots.get(*aggregate).ok_or(Failure::Internal)?;
        slots.iter().find(|slot| slot.place == *place).copied().map(Some).ok_or(Failure::Internal)
    }

    /// The groups of private keys that are shown. One look at each group, one draw for each that has enough subjects: nothing
    /// else is drawn for groups that are withheld.
    fn shown<E: Entropy>(
        &self,
        threshold: &Threshold,
        asked: Option<Slot>,
        entropy: &mut E,
        cells_max: usize,
    ) -> Result<Vec<Shown>, Failure> {
        let totals = match self.raw.due.charged.is_daily() {
            true => &self.raw.daily,
            false => &self.raw.ranged,
        };
        let mut shown = Vec::new();
        for total in totals.cells().filter(|total| total.day == self.day()) {
            if total.subjects < threshold.k_min {
                continue;
            }
            let subjects = match (&threshold.subjects, &asked) {
                (Subjects::Own(noise), _) => noise.add(i128::from(total.subjects), entropy)?,
                (Subjects::Asked(_), Some(slot)) => {
                    let exact = self.slot(slot, total.key)?;
                    slot.noise.add(*exact.first().ok_or(Failure::Internal)?, entropy)?
                }
                (Subjects::Asked(_), None) => return Err(Failure::Internal),
            };
            if subjects < i128::from(threshold.subjects_min) {
                continue;
            }
            if shown.len() >= cells_max {
                return Err(Failure::Limit);
            }
            shown.push(Shown { cell: total.key, subjects });
        }
        Ok(shown)
    }

    /// The noisy numbers of a group, slot by slot. `asked`: the slot whose number has its noise.
    fn numbers<E: Entropy>(
        &self,
        slots: &[Slot],
        asked: Option<usize>,
        group: &Shown,
        entropy: &mut E,
    ) -> Result<Vec<Vec<i128>>, Failure> {
        let mut numbers = Vec::with_capacity(slots.len());
        for (at, slot) in slots.iter().enumerate() {
            if asked == Some(at) {
                numbers.push(vec![group.subjects]);
                continue;
            }
            let exact = self.slot(slot, group.cell)?;
            if exact.len() != slot.width {
                return Err(Failure::Internal);
            }
            let noisy = exact.into_iter().map(|number| Ok(slot.noise.add(number, entropy)?));
            numbers.push(noisy.collect::<Result<Vec<i128>, Failure>>()?);
        }
        Ok(numbers)
    }

    /// The day that its totals are kept under; those of a bucket of days are of all of them together.
    fn day(&self) -> Option<i32> {
        match self.raw.span {
            Span::Day(day) => Some(day),
            Span::Bucket(_) => None,
        }
    }

    /// The exact numbers of a slot.
    fn slot(&self, slot: &Slot, cell: u32) -> Result<Vec<i128>, Failure> {
        let (found, at) = match slot.place {
            Place::Daily(at) => (self.raw.daily.get(self.day(), cell), at),
            Place::Ranged(at) => (self.raw.ranged.get(None, cell), at),
            Place::Sessions(at) => (self.raw.sessions.get(None, cell), at),
            Place::Tree(at) => {
                return Ok(self.raw.trees.get(at).ok_or(Failure::Internal)?.nodes_of(cell));
            }
        };
        Ok(vec![found.and_then(|cell| cell.sums.get(at).copied()).unwrap_or(0)])
    }
}

/// The hour of a released part's key as a time of its day.
pub(super) fn hour_of(day_start_ms: i64, value: &Value) -> Value {
    match value {
        Value::Number(hour, _) => Value::Time(day_start_ms + hour * HOUR_MS),
        _ => Value::Null,
    }
}
