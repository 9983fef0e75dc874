//! L0 and the clamps, and the L2 sensitivity that follows from them.
//!
//! Limits come from the registry, never from the events.

use super::BoundError;

/// Clamps are at most 2^52, so that totals cannot overflow and noise fits 64 bits.
const LINF_MAX: u64 = 1 << 52;

/// What one subject may contribute to one cell of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clamp {
    /// To 0..=linf: numbers of events, of distinct sessions.
    Count(u64),
    /// To -linf..=linf: sums of a measure.
    Sum(u64),
}

impl Clamp {
    /// The largest absolute value that is let through.
    pub fn linf(self) -> u64 {
        match self {
            Clamp::Count(linf) | Clamp::Sum(linf) => linf,
        }
    }

    /// What is let through of a value.
    pub fn apply(self, value: i64) -> i64 {
        // `Limits::new` keeps linf below 2^63.
        match self {
            Clamp::Count(linf) => value.clamp(0, linf as i64),
            Clamp::Sum(linf) => value.clamp(-(linf as i64), linf as i64),
        }
    }
}

/// How many keys a unit may touch, and how much each aggregate of a key may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    l0: u32,
    clamps: Vec<Clamp>,
}

impl Limits {
    /// `l0` at least 1; every clamp from 1 to 2^52; no clamps at all if only subjects are counted.
    pub fn new(l0: u32, clamps: Vec<Clamp>) -> Result<Limits, BoundError> {
        if l0 == 0 || clamps.iter().any(|clamp| !(1..=LINF_MAX).contains(&clamp.linf())) {
            return Err(BoundError::Limits);
        }
        Ok(Limits { l0, clamps })
    }

    /// The most keys that one unit may touch.
    pub fn l0(&self) -> u32 {
        self.l0
    }

    /// One for each aggregate.
    pub fn clamps(&self) -> &[Clamp] {
        &self.clamps
    }

    /// `None` is the number of subjects, a count of 1.
    fn clamp(&self, aggregate: Option<usize>) -> Result<Clamp, BoundError> {
        match aggregate {
            None => Ok(Clamp::Count(1)),
            Some(position) => self.clamps.get(position).copied().ok_or(BoundError::Limits),
        }
    }

    /// L2 sensitivity squared of one aggregate of `bound_days` (`None`: the number of subjects) when one subject's day
    /// is taken away: l0 * linf^2.
    pub fn days_sensitivity(&self, aggregate: Option<usize>) -> Result<u128, BoundError> {
        let linf = u128::from(self.clamp(aggregate)?.linf());
        linf.checked_mul(linf)
            .and_then(|square| square.checked_mul(u128::from(self.l0)))
            .ok_or(BoundError::Limits)
    }

    /// L2 sensitivity squared of one aggregate of `bound_range` (`None`: the number of subjects) when one *day* of a
    /// subject is taken away. `cells` is the number of keys there can be, if that is public.
    ///
    /// With that day, the subject keeps at most l0 keys; without it, at most l0 others. A count differs in at most
    /// min(2 l0, cells) cells by linf each. A sum can turn from +linf to -linf in a cell that is in both: with c such
    /// cells the square is at most 4 c + 2 (l0 - c) <= 4 l0, and at most 4 cells, times linf^2. Taking away the whole
    /// subject changes less (l0 * linf^2), so this covers both.
    pub fn range_sensitivity(
        &self,
        aggregate: Option<usize>,
        cells: Option<u64>,
    ) -> Result<u128, BoundError> {
        let clamp = self.clamp(aggregate)?;
        let cells = cells.map_or(u128::MAX / 4, u128::from).max(1);
        let l0 = u128::from(self.l0);
        let changed = match clamp {
            Clamp::Count(_) => cells.min(2 * l0),
            Clamp::Sum(_) => 4 * cells.min(l0),
        };
        let linf = u128::from(clamp.linf());
        linf.checked_mul(linf).and_then(|square| square.checked_mul(changed)).ok_or(BoundError::Limits)
    }
}
