//! Whether a run may remove what is past its time. A clock that is far beyond everything that is known, and a run that would
//! remove most of what there is, are refused until somebody accepts them by name. Pure.
//!
//! ```text
//! known: newest event, newest line of the audit, the mark of the service or of the last run   -> newest
//! now > newest + 7 days                                                                       -> refused: the clock
//! rows that go > share of all rows, and more than two days of a programme and kind go         -> refused: the share
//! ```
//! Invariants: only [`Mode::Real`](crate::Mode::Real) removes anything, and it has a [`Permit`]. What a wrong clock has
//! written does not make it right: an event or a line that is itself far beyond the mark is not known.
//! Not here: the run (`run.rs`), the mark (`shoal-server`, `served_time.rs`).

use std::collections::{BTreeMap, BTreeSet};

use shoal_schemas::calendar::{DAY_MS, day_of};
use shoal_schemas::{Kind, Programme, Region, Registry};

use crate::plan::{TableFiles, is_expired};

/// A clock that is further than this beyond the newest thing that is known is taken for a wrong one, in milliseconds.
pub const FAR_MS: i64 = 7 * DAY_MS;
/// A run on schedule removes a day of each programme and kind, or two when one was missed. That is no question of the share:
/// a service whose only events are of one day expires them on time.
const USUAL_DAYS: usize = 2;

/// What is known of the time without asking the clock, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownTimes {
    /// The newest event of any table.
    pub event_ms: Option<i64>,
    /// The newest line of the audit.
    pub audit_ms: Option<i64>,
    /// The mark that a running service and every run of retention leave.
    pub mark_ms: Option<i64>,
}

impl KnownTimes {
    /// The newest of them. Where there is a mark, an event or a line far beyond it was written under a wrong clock, and does
    /// not count.
    pub fn newest_ms(&self) -> Option<i64> {
        let others = [self.event_ms, self.audit_ms].into_iter().flatten();
        match self.mark_ms {
            Some(mark) => others.filter(|other| *other <= mark.saturating_add(FAR_MS)).chain([mark]).max(),
            None => others.max(),
        }
    }
}

/// Why a run does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The clock is far beyond everything that is known.
    #[error(
        "the clock of this machine is {beyond_days} days beyond the newest event, the newest line of the audit and the last mark of \
         the service. Set the clock; or, if it is right, run retention once and accept the clock"
    )]
    Clock {
        /// How far, in whole days.
        beyond_days: i64,
    },
    /// The run would remove a larger share of all rows than it may.
    #[error(
        "the run would remove {rows} of {rows_all} rows, which is more than {percent_max} percent. Look at the plan, the clock and \
         the periods of retention; if they are right, run retention once and accept the share"
    )]
    Share {
        /// Rows that would go.
        rows: u64,
        /// All rows.
        rows_all: u64,
        /// Percent of the rows that may go.
        percent_max: u8,
    },
}

/// What somebody has accepted by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The clock is right, however far it is beyond what is known.
    pub clock: bool,
    /// The run may remove any share of the rows.
    pub share: bool,
}

/// What a run is measured by before it removes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// What is known of the time.
    pub known: KnownTimes,
    /// Percent of all rows that one run may remove.
    pub percent_max: u8,
    /// What somebody has accepted.
    pub accepted: Accepted,
}

/// Whether the clock can be right.
///
/// # Errors
/// [`Refused::Clock`] when it is far beyond everything that is known. Where nothing is known, any time can be right.
pub fn plausible(now_ms: i64, known: &KnownTimes) -> Result<(), Refused> {
    match known.newest_ms() {
        Some(newest) if now_ms > newest.saturating_add(FAR_MS) => {
            Err(Refused::Clock { beyond_days: now_ms.saturating_sub(newest) / DAY_MS })
        }
        _ => Ok(()),
    }
}

impl Permit {
    /// Whether a run may remove what is past its time at `now_ms`.
    ///
    /// # Errors
    /// What speaks against it, and was not accepted.
    pub(crate) fn check(
        &self,
        registry: &Registry,
        tables: &[TableFiles],
        now_ms: i64,
    ) -> Result<(), Refused> {
        if !self.accepted.clock {
            plausible(now_ms, &self.known)?;
        }
        let removal = Removal::of(registry, tables, now_ms);
        let is_much =
            u128::from(removal.rows) * 100 > u128::from(removal.rows_all) * u128::from(self.percent_max);
        if is_much && removal.days_most > USUAL_DAYS && !self.accepted.share {
            let Removal { rows, rows_all, .. } = removal;
            return Err(Refused::Share { rows, rows_all, percent_max: self.percent_max });
        }
        Ok(())
    }
}

/// How much a run would remove.
struct Removal {
    rows: u64,
    rows_all: u64,
    /// The most days that go of one programme and kind of a region.
    days_most: usize,
}

impl Removal {
    fn of(registry: &Registry, tables: &[TableFiles], now_ms: i64) -> Removal {
        let today = day_of(now_ms);
        let mut days: BTreeMap<(Region, Programme, Kind), BTreeSet<i32>> = BTreeMap::new();
        let (mut rows, mut rows_all) = (0, 0);
        for table in tables {
            for file in &table.files {
                rows_all += file.rows;
                if is_expired(registry, file.programme, table.kind, file.day, today) {
                    rows += file.rows;
                    days.entry((table.region, file.programme, table.kind)).or_default().insert(file.day);
                }
            }
        }
        Removal { rows, rows_all, days_most: days.values().map(BTreeSet::len).max().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use shoal_schemas::calendar::start_of;
    use shoal_storage::LiveFile;

    use super::*;

    const NOW_MS: i64 = 1_795_348_800_000;

    fn times() -> impl Strategy<Value = Option<i64>> {
        prop_oneof![Just(None), (NOW_MS - 400 * DAY_MS..NOW_MS + 4000 * DAY_MS).prop_map(Some)]
    }

    proptest! {
        #[test]
        fn a_clock_is_refused_exactly_when_it_is_far_beyond_the_newest_that_is_known(
            event_ms in times(), audit_ms in times(), mark_ms in times(), beyond in -FAR_MS..3 * FAR_MS,
        ) {
            let known = KnownTimes { event_ms, audit_ms, mark_ms };
            let Some(newest) = known.newest_ms() else {
                prop_assert_eq!(plausible(i64::MAX, &known), Ok(()));
                return Ok(());
            };
            prop_assert_eq!(plausible(newest + beyond, &known).is_ok(), beyond <= FAR_MS);
            // No event and no line can bring the clock further than 14 days beyond a mark.
            if let Some(mark) = mark_ms {
                prop_assert!(newest >= mark && newest <= mark + FAR_MS);
            }
        }
    }

    #[test]
    fn what_a_wrong_clock_has_written_does_not_make_it_right() {
        let five_years = 5 * 365 * DAY_MS;
        let mut known = KnownTimes { event_ms: Some(NOW_MS), audit_ms: Some(NOW_MS - DAY_MS), mark_ms: None };
        let refused = plausible(NOW_MS + five_years, &known).unwrap_err();
        assert_eq!(refused, Refused::Clock { beyond_days: 5 * 365 });
        known.mark_ms = Some(NOW_MS);
        (known.event_ms, known.audit_ms) = (Some(NOW_MS + five_years), Some(NOW_MS + five_years));
        assert!(plausible(NOW_MS + five_years, &known).is_err());
        assert!(plausible(i64::MAX, &known).is_err() && plausible(i64::MIN, &known).is_ok());
    }

    fn permit(accepted: Accepted) -> Permit {
        let known = KnownTimes { mark_ms: Some(NOW_MS), ..KnownTimes::default() };
        Permit { known, percent_max: 50, accepted }
    }

    /// Days of usage of one region with ten rows each, by age in days beyond the last that is kept.
    fn tables(registry: &Registry, beyond: std::ops::Range<i32>) -> Vec<TableFiles> {
        let (programme, kind) = (Programme::UserExperience, Kind::Usage);
        let kept = i32::try_from(registry.retention_days(programme, kind)).unwrap();
        let files = beyond.map(|beyond| {
            let day = day_of(NOW_MS) - kept - beyond;
            LiveFile {
                path: format!("day={day}/x.parquet"),
                day,
                programme,
                rows: 10,
                bytes: 1,
                digest: None,
                key: None,
            }
        });
        vec![TableFiles { region: Region::De, kind, files: files.collect() }]
    }

    #[test]
    fn a_run_that_would_remove_most_of_what_there_is_is_refused_until_the_share_is_accepted() {
        let registry = Registry::load(None).unwrap();
        let check = |beyond, accepted| permit(accepted).check(&registry, &tables(&registry, beyond), NOW_MS);
        let none = Accepted::default();
        assert_eq!(check(-5..6, none), Ok(()), "five of eleven");
        let refused = Refused::Share { rows: 60, rows_all: 110, percent_max: 50 };
        assert_eq!(check(-4..7, none), Err(refused));
        assert_eq!(check(-4..7, Accepted { share: true, ..none }), Ok(()));
        assert_eq!(check(-4..7, Accepted { clock: true, ..none }), Err(refused));
        // What a schedule does, also where there is nothing else.
        assert_eq!(check(1..3, none), Ok(()));
        assert_eq!(check(0..0, none), Ok(()));
    }

    #[test]
    fn a_clock_that_is_accepted_still_has_to_keep_to_the_share() {
        let registry = Registry::load(None).unwrap();
        let (tables, later) = (tables(&registry, -9..0), start_of(day_of(NOW_MS) + 30));
        let check = |accepted| permit(accepted).check(&registry, &tables, later);
        assert!(matches!(check(Accepted::default()), Err(Refused::Clock { beyond_days: 29 })));
        assert!(matches!(check(Accepted { clock: true, share: false }), Err(Refused::Share { .. })));
        assert_eq!(check(Accepted { clock: true, share: true }), Ok(()));
    }
}
