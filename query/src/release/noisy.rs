//! Exact totals of a region -> one noisy part: noise added, groups withheld.
//!
//! Invariants: every number that leaves has fresh discrete Gaussian noise from the operating system's generator, zeros
//! of public groups too. A group with a private key is in a released part only when it has `k_min` subjects in that
//! released part and its noisy number of subjects reaches the threshold; nothing says that others were withheld.
//! Not here: bytes (`sealed`), adding released parts up (`assemble`).

use shoal_anonymity::noise::Entropy;

use super::sealed::{Sealed, SealedCell};
use crate::charge::{Place, Slot, Subjects};
use crate::failure::Failure;
use crate::released_parts::ReleasedPart;
use crate::scan::{Raw, Span};
use shoal_language::Value;
use shoal_schemas::calendar::HOUR_MS;

/// What a released part is made of.
pub(super) struct Exact<'a> {
    pub(super) raw: &'a Raw,
    pub(super) part: &'a ReleasedPart,
}

/// The noisy part.
pub(super) fn noisy<E: Entropy>(
    exact: &Exact<'_>,
    entropy: &mut E,
    cells_max: usize,
) -> Result<Sealed, Failure> {
    let (slots, form) = (exact.raw.due.charged.slots(), &exact.part.form);
    let mut cells = Vec::new();
    for cell in 0..exact.raw.cells.len() {
        let Some(numbers) = exact.numbers(&slots, cell, entropy)? else {
            continue;
        };
        if cells.len() >= cells_max {
            return Err(Failure::Limit);
        }
        let values = exact.raw.cells.values(cell);
        let keys = form.keys.iter().map(|at| values.get(*at).cloned().unwrap_or(Value::Null).into());
        let ordered = form.slots.iter().flat_map(|at| numbers.get(*at).into_iter().flatten().copied());
        cells.push(SealedCell { keys: keys.collect(), numbers: ordered.collect() });
    }
    cells.sort();
    let slot = |at: &usize| {
        let slot = slots.get(*at)?;
        let variance = slot.noise.variance();
        Some((u32::try_from(slot.width).ok()?, variance.numerator(), variance.denominator()))
    };
    let slots = form.slots.iter().map(slot).collect::<Option<Vec<_>>>().ok_or(Failure::Internal)?;
    Ok(Sealed { slots, cells })
}

impl Exact<'_> {
    /// The noisy numbers of a group, slot by slot; none when it is withheld.
    fn numbers<E: Entropy>(
        &self,
        slots: &[Slot],
        cell: u32,
        entropy: &mut E,
    ) -> Result<Option<Vec<Vec<i128>>>, Failure> {
        let threshold = self.raw.due.charged.threshold.as_ref();
        if threshold.is_some_and(|threshold| self.subjects(cell) < threshold.k_min) {
            return Ok(None);
        }
        let mut numbers = Vec::with_capacity(slots.len());
        for slot in slots {
            let exact = self.slot(slot, cell)?;
            if exact.len() != slot.width {
                return Err(Failure::Internal);
            }
            let noisy = exact.into_iter().map(|number| Ok(slot.noise.add(number, entropy)?));
            numbers.push(noisy.collect::<Result<Vec<i128>, Failure>>()?);
        }
        let Some(threshold) = threshold else {
            return Ok(Some(numbers));
        };
        let subjects = match &threshold.subjects {
            Subjects::Asked(aggregate) => {
                let place = self.raw.due.charged.layout.slots.get(*aggregate).ok_or(Failure::Internal)?;
                let at = slots.iter().position(|slot| slot.place == *place).ok_or(Failure::Internal)?;
                *numbers.get(at).and_then(|slot| slot.first()).ok_or(Failure::Internal)?
            }
            Subjects::Own(noise) => noise.add(i128::from(self.subjects(cell)), entropy)?,
        };
        Ok((subjects >= i128::from(threshold.subjects_min)).then_some(numbers))
    }

    fn subjects(&self, cell: u32) -> u64 {
        let cell = match self.raw.due.charged.is_daily() {
            true => self.raw.daily.get(self.day(), cell),
            false => self.raw.ranged.get(None, cell),
        };
        cell.map_or(0, |cell| cell.subjects)
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
                return self.raw.trees.get(at).ok_or(Failure::Internal)?.nodes_of(self.day(), cell);
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
