//! When a day is answered: at fixed times only, each with its own share of the day's budget.
//!
//! Invariants: the epoch in force follows from the day and the clock alone, so whether a number is restated never depends
//! on how much data came late; an epoch that was answered keeps its answer. Shares are of the block's cap, rounded down,
//! and add up to no more than it.
//! Not here: what was spent (`shoal-storage`), what it bought (`ledger.rs`).

use shoal_anonymity::budget::Rho;

use shoal_language::calendar::day_text;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, start_of};

/// Hundredths of a percent make a whole.
const WHOLE: u32 = 10_000;

/// The budget epochs of every day: while it is open, each full hour, which share one pool; later, at midnight so many
/// days after its start, each with a pool of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetEpochs {
    /// The open day's share of the cap, in hundredths of a percent.
    open_share: u32,
    /// Days after the day's start, ascending, the first one 1; and the share, in hundredths of a percent.
    later: Vec<(u16, u32)>,
}

/// One budget epoch of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BudgetEpoch {
    /// Which pool pays: 0 is that of the open day.
    pub(crate) pool: u8,
    /// Of the open day; else 0.
    pub(crate) hour: u8,
}

impl Default for BudgetEpochs {
    /// Open 20 %, after 1 day 40 %, after 3 days 25 %, after 31 days 15 %.
    fn default() -> BudgetEpochs {
        BudgetEpochs { open_share: 2_000, later: vec![(1, 4_000), (3, 2_500), (31, 1_500)] }
    }
}

impl BudgetEpochs {
    /// `open_share` and the shares in `later` are hundredths of a percent of the cap; `later` says how many days after the
    /// day's start, at midnight UTC. None when the first is not after 1 day, days do not ascend, there are more than 254,
    /// or the shares are above 100 % together.
    pub fn new(open_share: u32, later: Vec<(u16, u32)>) -> Option<BudgetEpochs> {
        let ascends = later.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let sum = later.iter().fold(open_share, |sum, (_, share)| sum.saturating_add(*share));
        let fits = ascends && later.first()?.0 == 1 && later.len() <= 254 && sum <= WHOLE;
        fits.then_some(BudgetEpochs { open_share, later })
    }

    /// From texts as the settings have them: `open 20%` first, then `1d 40%`, `3d 25%` ..; a share has two decimal places at
    /// most. None when one is not of that form, or [`BudgetEpochs::new`] gives none.
    pub fn of_texts(texts: &[String]) -> Option<BudgetEpochs> {
        let share = |text: &str| {
            let (whole, part) =
                text.strip_suffix('%')?.split_once('.').unwrap_or((text.strip_suffix('%')?, "0"));
            let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let part = format!("{part:0<2}");
            let fits = is_number(whole) && is_number(&part) && part.len() == 2;
            let (whole, part): (u32, u32) = (whole.parse().ok()?, part.parse().ok()?);
            fits.then(|| whole.saturating_mul(100).saturating_add(part))
        };
        let (first, rest) = texts.split_first()?;
        let open_share = share(first.strip_prefix("open ")?.trim())?;
        let one = |text: &String| {
            let (days, part) = text.split_once(' ')?;
            Some((days.strip_suffix('d')?.parse().ok()?, share(part.trim())?))
        };
        BudgetEpochs::new(open_share, rest.iter().map(one).collect::<Option<_>>()?)
    }

    /// The epoch in force. A day that has not begun is as one that has just begun.
    pub(crate) fn at(&self, day: i32, now_ms: i64) -> BudgetEpoch {
        let age_ms = now_ms.saturating_sub(start_of(day)).max(0);
        let begun = self.later.iter().filter(|(days, _)| age_ms >= i64::from(*days) * DAY_MS).count();
        let hour = if begun == 0 { (age_ms / HOUR_MS).min(23) } else { 0 };
        BudgetEpoch { pool: u8::try_from(begun).unwrap_or(u8::MAX), hour: u8::try_from(hour).unwrap_or(23) }
    }

    /// Every epoch up to this one, the latest first.
    pub(crate) fn back_from(&self, epoch: BudgetEpoch) -> impl Iterator<Item = BudgetEpoch> {
        let later = (1..=epoch.pool).rev().map(|pool| BudgetEpoch { pool, hour: 0 });
        let last_hour = if epoch.pool == 0 { epoch.hour } else { 23 };
        later.chain((0..=last_hour).rev().map(|hour| BudgetEpoch { pool: 0, hour }))
    }

    /// What each pool may spend of a block's cap.
    pub(crate) fn pools(&self, cap: Rho) -> Vec<Rho> {
        let share = |share: u32| {
            let nano = u128::from(cap.nano()) * u128::from(share) / u128::from(WHOLE);
            Rho::from_nano(u64::try_from(nano).unwrap_or(0))
        };
        let later = self.later.iter().map(|(_, s)| share(*s));
        std::iter::once(share(self.open_share)).chain(later).collect()
    }

    /// The largest share of any epoch: a price above it can never be paid.
    pub(crate) fn largest(&self, cap: Rho) -> Rho {
        self.pools(cap).into_iter().max().unwrap_or(Rho::ZERO)
    }

    /// For people: `open`, `after 1 day`, ..
    pub(crate) fn pool_text(&self, pool: u8) -> String {
        match usize::from(pool).checked_sub(1).map(|at| self.later.get(at)) {
            None => "open".to_owned(),
            Some(Some((1, _))) => "after 1 day".to_owned(),
            Some(Some((days, _))) => format!("after {days} days"),
            Some(None) => format!("pool {pool}"),
        }
    }

    /// For people, with the hour of an open day: `open, hour 10`, `after 1 day`, ..
    pub(crate) fn epoch_text(&self, epoch: BudgetEpoch) -> String {
        match epoch.pool {
            0 => format!("{}, hour {}", self.pool_text(0), epoch.hour),
            pool => self.pool_text(pool),
        }
    }

    /// The day on which the epoch after this one begins, if there is one.
    pub(crate) fn next_text(&self, day: i32, pool: u8) -> Option<String> {
        let (days, _) = self.later.get(usize::from(pool))?;
        Some(day_text(day.saturating_add(i32::from(*days))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn epochs_move_by_the_clock_only() {
        let epochs = BudgetEpochs::default();
        let day = 20_779;
        let at = |ms: i64| epochs.at(day, start_of(day) + ms);
        assert_eq!(at(-1), BudgetEpoch { pool: 0, hour: 0 });
        assert_eq!(at(0), BudgetEpoch { pool: 0, hour: 0 });
        assert_eq!(at(HOUR_MS - 1), BudgetEpoch { pool: 0, hour: 0 });
        assert_eq!(at(HOUR_MS), BudgetEpoch { pool: 0, hour: 1 });
        assert_eq!(at(DAY_MS - 1), BudgetEpoch { pool: 0, hour: 23 });
        assert_eq!(at(DAY_MS), BudgetEpoch { pool: 1, hour: 0 });
        assert_eq!(at(3 * DAY_MS - 1), BudgetEpoch { pool: 1, hour: 0 });
        assert_eq!(at(3 * DAY_MS), BudgetEpoch { pool: 2, hour: 0 });
        assert_eq!(at(31 * DAY_MS - 1), BudgetEpoch { pool: 2, hour: 0 });
        assert_eq!(at(400 * DAY_MS), BudgetEpoch { pool: 3, hour: 0 });
        let back: Vec<BudgetEpoch> = epochs.back_from(at(2 * DAY_MS)).collect();
        assert_eq!((back.len(), back[0], back[24]), (25, at(DAY_MS), at(0)));
        assert_eq!(epochs.next_text(day, 1).unwrap(), day_text(day + 3));
        assert_eq!(epochs.next_text(day, 3), None);
    }

    #[test]
    fn default_shares_are_the_whole_cap() {
        let cap = Rho::from_nano(500_000_000);
        let pools: Vec<u64> = BudgetEpochs::default().pools(cap).into_iter().map(Rho::nano).collect();
        assert_eq!(pools, [100_000_000, 200_000_000, 125_000_000, 75_000_000]);
        assert_eq!(BudgetEpochs::default().largest(cap).nano(), 200_000_000);
    }

    #[test]
    fn epochs_are_read_from_settings() {
        let of = |texts: &[&str]| {
            BudgetEpochs::of_texts(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["open 20%", "1d 40%", "3d 25%", "31d 15%"]), Some(BudgetEpochs::default()));
        assert_eq!(of(&["open 0%", "1d 99.5%"]), BudgetEpochs::new(0, vec![(1, 9_950)]));
        assert_eq!(of(&["open 0.25%", "1d 9%"]), BudgetEpochs::new(25, vec![(1, 900)]));
        for wrong in [
            &[][..],
            &["open 20%"],
            &["1d 40%", "open 20%"],
            &["open 20", "1d 40%"],
            &["open 20%", "1 40%"],
            &["open -1%", "1d 40%"],
            &["open 1.234%", "1d 40%"],
            &["open 61%", "1d 40%"],
            &["open 20%", "2d 40%"],
            &["open +2%", "1d 40%"],
        ] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(BudgetEpochs::new(1, vec![]), None);
        assert_eq!(BudgetEpochs::new(0, vec![(2, 1)]), None);
        assert_eq!(BudgetEpochs::new(0, vec![(1, 1), (1, 1)]), None);
        assert_eq!(BudgetEpochs::new(1, vec![(1, 10_000)]), None);
        assert!(BudgetEpochs::new(0, vec![(1, 10_000)]).is_some());
    }

    proptest! {
        #[test]
        fn shares_are_never_more_than_the_cap(
            cap: u64, open in 0_u32..5_000, shares in prop::collection::vec(0_u32..1_000, 1..6)
        ) {
            let later = shares.iter().enumerate().map(|(at, share)| (at as u16 + 1, *share)).collect();
            if let Some(epochs) = BudgetEpochs::new(open, later) {
                let sum: u128 = epochs.pools(Rho::from_nano(cap)).iter().map(|p| u128::from(p.nano())).sum();
                prop_assert!(sum <= u128::from(cap));
            }
        }

        #[test]
        fn a_later_clock_never_goes_back_an_epoch(day in 0_i32..40_000, a in 0_i64..1 << 42, b in 0_i64..1 << 42) {
            let (epochs, (a, b)) = (BudgetEpochs::default(), (a.min(b), a.max(b)));
            prop_assert!(epochs.at(day, a) <= epochs.at(day, b));
        }
    }
}
