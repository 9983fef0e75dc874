//! How much work a question is, from public facts alone: its text, and the released sizes of the blocks that it reads.
//!
//! ```text
//! units of a row (its expressions, keys and aggregates) * rows of each block that is read
//!   + parts * (what opening and closing one takes + files that it may have + numbers of groups that it may show)  = units
//! units * query.row_time_ns / 10 = time
//! ```
//! Ten units are what a row takes that is only counted. The weights are upper bounds: of texts that are as long as a property
//! may be and all different, of conditions of which none is decided early.
//!
//! Invariants: the same question about the same blocks is the same work, whatever their rows hold. Not here: when it is done
//! (`schedule.rs`), the sizes (`size`).

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_storage::{Block, DAY_FILES_MAX};

use super::size::Sizes;
use crate::charge::{ChargedQuery, least_limit};
use crate::failure::Failure;
use crate::released_parts::ReleasedPart;
use crate::scan::row_units;

/// Units of a row that is only counted.
const ROW: u64 = 10;
/// Units of a question: what it takes before and after its rows.
const QUESTION: u64 = 1_000_000 * ROW;
/// Units of a part: its threads, its templates and its seal.
const PART: u64 = 20_000 * ROW;
/// Units of a file that a part opens. Of each programme a day has as many as it may have.
const FILE: u64 = 500 * ROW;
const FILES: u64 = DAY_FILES_MAX as u64;
/// Units of a number that gets noise.
const NOISE: u64 = 20 * ROW;
/// Units of a look at a group that may be withheld. There are no more groups than rows, and a draw that decides is made for no
/// more of them than have `k_min` subjects.
const LOOK: u64 = 5;

/// The work of a question, part by part.
pub(crate) struct Work {
    fixed: u64,
    /// Units of a row of each block that is read, as often as it is read.
    of_a_row: BTreeMap<Block, u64>,
}

impl Work {
    pub(crate) fn new() -> Work {
        Work { fixed: QUESTION, of_a_row: BTreeMap::new() }
    }

    /// Adds parts of a query.
    pub(crate) fn add<'p>(
        &mut self,
        charged: &ChargedQuery,
        parts: impl Iterator<Item = &'p ReleasedPart>,
    ) -> Result<(), Failure> {
        let (units, query) = (row_units(charged)?, &charged.query);
        let numbers: usize = charged.slots().iter().map(|slot| slot.width).sum();
        let (groups, look) = match &charged.threshold {
            Some(threshold) => {
                let most = threshold.room.groups_max.saturating_add(least_limit(&threshold.groups));
                (most.min(charged.shown_max), LOOK + NOISE / threshold.k_min.max(1))
            }
            None => (query.public_cells().unwrap_or(1), 0),
        };
        let noise = groups.saturating_mul(numbers as u64).saturating_mul(NOISE);
        for part in parts {
            let mut files = 0;
            let mut read = |kind, day, programmes: usize, each: u64| {
                files += FILES * programmes as u64;
                let block = Block { region: part.region, kind, day };
                let of_a_row = self.of_a_row.entry(block).or_insert(0);
                *of_a_row = of_a_row.saturating_add(ROW.saturating_add(each));
            };
            let programmes = query.cutoffs().len();
            part.days.days().for_each(|day| read(query.table(), day, programmes, units.own + look));
            for (member, each) in query.members().iter().zip(&units.members) {
                let programmes = member.cutoffs.len();
                member.days.days().for_each(|day| read(member.table, day, programmes, *each));
            }
            let own = PART.saturating_add(files * FILE).saturating_add(noise);
            self.fixed = self.fixed.saturating_add(own);
        }
        Ok(())
    }

    /// How long it takes at most, where a row that is only counted takes so many nanoseconds.
    pub(crate) fn time(&self, sizes: &Sizes<'_>, row_time_ns: u64) -> Duration {
        let units = self.fixed.saturating_add(sizes.total(&self.of_a_row));
        Duration::from_nanos(units.saturating_mul(row_time_ns) / ROW)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_anonymity::budget::Precision;
    use shoal_schemas::Region;

    use super::super::size_bounds::SizeBounds;
    use super::*;
    use crate::budget_epochs::BudgetEpochs;
    use crate::charge::{Caps, charge};
    use crate::config::QueryConfig;
    use crate::released_parts::wanted;
    use crate::tests::{engine, grant, now_ms, request};

    /// The time of a question to all regions with the settings that ship, where every block has so many rows.
    async fn time(sql: &str, precision: Precision, rows: i128) -> Duration {
        let prepared = engine().prepare(&grant(Region::ALL), &request(sql), now_ms()).await.unwrap();
        let charged = charge(prepared.single().query.clone(), precision.into(), &Caps::default()).unwrap();
        let wanted = wanted(&charged, &BudgetEpochs::default(), now_ms());
        let mut work = Work::new();
        work.add(&charged, wanted.iter().filter_map(|wanted| wanted.parts.last())).unwrap();
        let settings = QueryConfig::default();
        let bounds = SizeBounds::of(None, settings.subject_day_events_max);
        let all = work.of_a_row.keys().map(|block| (*block, rows)).collect();
        let sizes = Sizes::all(all, &bounds).unwrap();
        work.time(&sizes, settings.row_time_ns)
    }

    /// Noise is planned for the groups that may be shown, not for all that memory holds.
    #[tokio::test]
    async fn everyday_questions_by_private_keys_are_within_the_longest_time() {
        let longest = Duration::from_millis(QueryConfig::default().time_ms_max);
        for (sql, precision, rows) in [
            (
                "SELECT app_version, COUNT(*) FROM usage WHERE day > current_date - 30 GROUP BY app_version",
                Precision::Low,
                10_000,
            ),
            (
                "SELECT screen, COUNT(*) FROM usage WHERE day > current_date - 30 AND event = 'screen_view' \
                 GROUP BY screen",
                Precision::Low,
                10_000,
            ),
            (
                "SELECT endpoint, QUANTILE(duration_ms, 0.95) FROM performance WHERE day > current_date - 7 \
                 AND event = 'api_request' GROUP BY endpoint",
                Precision::Normal,
                100_000,
            ),
            (
                "SELECT day, endpoint, QUANTILE(duration_ms, 0.95) FROM performance WHERE day > current_date - 7 \
                 GROUP BY day, endpoint",
                Precision::High,
                10_000,
            ),
        ] {
            let takes = time(sql, precision, rows).await;
            assert!(takes < longest, "{sql}: {takes:?}");
        }
    }
}
