//! How much work a question is, from public facts alone: its text, and the released sizes of the blocks that it reads.
//!
//! ```text
//! units of a row (its expressions, keys and aggregates, its place in memory)
//!   + (passes - 1) * what reading it again takes, each * rows of each block that is read
//!   + parts * (what opening and closing one takes + files that it may have + numbers of groups that it may show)  = units
//! units * query.row_time_ns / 10 = time
//! ```
//! How many passes over its files a part may take follows from the same sizes (`scan/planned.rs`); files that do not fit in memory
//! are opened once more for each.
//!
//! Ten units are what a row takes that is only counted. The weights are upper bounds: of texts that are as long as a property
//! may be and all different, of conditions of which none is decided early.
//!
//! Invariants: the same question about the same blocks is the same work, whatever their rows hold. Not here: when it is done
//! (`schedule.rs`), the sizes (`size`).

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_storage::{Block, DAY_FILES_MAX};

use super::size::Sizes;
use crate::charge::{ChargedQuery, Threshold, least_limit};
use crate::failure::Failure;
use crate::released_parts::ReleasedPart;
use crate::scan::{Reading, again_units, row_units};
use shoal_language::DayRange;

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
/// How often a file is opened, its further passes apart: to be read beside the others, for its subjects alone, and in a pass.
const OPENED: u64 = 3;
/// Units of a row of which the subject is counted, and which is held in memory and put in order there.
const HELD: u64 = 10;
/// Units of a look at a group that may be withheld.
const LOOK: u64 = 5;

/// The work of a question, part by part.
pub(crate) struct Work {
    fixed: u64,
    /// Units of a row of each block that is read, as often as it is read.
    of_a_row: BTreeMap<Block, u64>,
}

/// What work is planned with.
pub(crate) struct Planning<'a> {
    pub(crate) sizes: &'a Sizes<'a>,
    pub(crate) reading: Reading,
}

impl Work {
    pub(crate) fn new() -> Work {
        Work { fixed: QUESTION, of_a_row: BTreeMap::new() }
    }

    /// Adds parts of a query; the most passes that any of them may take over its files.
    pub(crate) fn add(
        &mut self,
        charged: &ChargedQuery,
        parts: &[&ReleasedPart],
        planning: &Planning<'_>,
    ) -> Result<u64, Failure> {
        let (units, query) = (row_units(charged)?, &charged.query);
        let numbers: usize = charged.slots().iter().map(|slot| slot.width).sum();
        let groups = match &charged.threshold {
            Some(threshold) => groups_of_a_part(threshold).min(charged.shown_max),
            None => query.public_cells().unwrap_or(1),
        };
        let noise = groups.saturating_mul(numbers as u64).saturating_mul(NOISE);
        let mut passes = 1;
        let mut reads = Vec::with_capacity(parts.len());
        for part in parts {
            let blocks = Blocks::of(charged, part);
            let rows = blocks.rows_of_a_pass(charged, parts.len(), planning)?;
            let all = planning.sizes.rows(blocks.all());
            passes = all.div_ceil(rows).max(passes);
            let looks = charged.threshold.as_ref().map(|own| Looks::of(own, all)).unwrap_or_default();
            reads.push((blocks, rows, looks));
        }
        let again = again_units(charged)?.saturating_mul(passes - 1);
        for (blocks, rows, looks) in reads {
            let mut add = |block: &Block, each: u64| {
                let of_a_row = self.of_a_row.entry(*block).or_insert(0);
                let opening = (blocks.files * FILE).div_ceil(rows);
                *of_a_row = of_a_row.saturating_add(ROW + HELD).saturating_add(each).saturating_add(opening);
            };
            let own = units.own.saturating_add(looks.of_a_row).saturating_add(again);
            blocks.own.iter().for_each(|block| add(block, own));
            for (members, each) in blocks.members.iter().zip(&units.members) {
                members.iter().for_each(|block| add(block, each.saturating_add(again)));
            }
            let own = PART.saturating_add(blocks.files * FILE * OPENED).saturating_add(noise);
            let own = own.saturating_add(looks.of_a_part);
            self.fixed = self.fixed.saturating_add(own);
        }
        Ok(passes)
    }

    /// How long it takes at most, where a row that is only counted takes so many nanoseconds.
    pub(crate) fn time(&self, sizes: &Sizes<'_>, row_time_ns: u64) -> Duration {
        let units = self.fixed.saturating_add(sizes.total(&self.of_a_row));
        Duration::from_nanos(units.saturating_mul(row_time_ns) / ROW)
    }
}

/// The most groups of private keys that a part may find.
fn groups_of_a_part(threshold: &Threshold) -> u64 {
    threshold.room.groups_max.saturating_add(least_limit(&threshold.groups))
}

/// Looks at the groups of a part that may be withheld, and the draws that decide. There are no more groups than rows, and no more
/// draws than groups that have `k_min` subjects; and no more of either than groups that a part may find.
#[derive(Clone, Copy, Default)]
struct Looks {
    /// Units of each row, or of the part: which of the two is less.
    of_a_row: u64,
    of_a_part: u64,
}

impl Looks {
    fn of(threshold: &Threshold, rows: u64) -> Looks {
        let of_a_row = LOOK + NOISE / threshold.k_min.max(1);
        let of_a_part = groups_of_a_part(threshold).saturating_mul(LOOK + NOISE);
        match of_a_part < rows.saturating_mul(of_a_row) {
            true => Looks { of_a_row: 0, of_a_part },
            false => Looks { of_a_row, of_a_part: 0 },
        }
    }
}

/// The blocks that a part reads.
struct Blocks {
    own: Vec<Block>,
    /// Of each membership.
    members: Vec<Vec<Block>>,
    /// The most files that they have.
    files: u64,
}

impl Blocks {
    fn of(charged: &ChargedQuery, part: &ReleasedPart) -> Blocks {
        let (query, region) = (&charged.query, part.region);
        let of = |kind, days: DayRange| days.days().map(|day| Block { region, kind, day }).collect();
        let own: Vec<Block> = of(query.table(), part.days);
        let members: Vec<Vec<Block>> =
            query.members().iter().map(|member| of(member.table, member.days)).collect();
        let files = |blocks: &[Block], programmes: usize| FILES * (blocks.len() * programmes) as u64;
        let of_members = members.iter().zip(query.members());
        let files = files(&own, query.cutoffs().len())
            + of_members.map(|(blocks, member)| files(blocks, member.cutoffs.len())).sum::<u64>();
        Blocks { own, members, files }
    }

    fn all(&self) -> impl Iterator<Item = Block> {
        self.own.iter().chain(self.members.iter().flatten()).copied()
    }

    /// How many rows of them a pass has at least.
    fn rows_of_a_pass(
        &self,
        charged: &ChargedQuery,
        parts: usize,
        planning: &Planning<'_>,
    ) -> Result<u64, Failure> {
        let most_of_one = self.all().map(|block| planning.sizes.most_of_one(block.day)).sum();
        planning.reading.rows_of_a_pass(charged, parts, most_of_one)
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
    use crate::released_parts::{FormWork, wanted};
    use crate::scan::READING_BYTES_MAX;
    use crate::tests::{engine, grant, now_ms, request};

    /// The time of a question to all regions with the settings that ship, where every block has so many rows.
    async fn time(sql: &str, precision: Precision, rows: i128) -> Duration {
        planned(sql, precision, rows, READING_BYTES_MAX).await.0
    }

    /// The same, and how many passes a part may take, with so many bytes for reading.
    async fn planned(sql: &str, precision: Precision, rows: i128, bytes_max: usize) -> (Duration, u64) {
        let prepared = engine().prepare(&grant(Region::ALL), &request(sql), now_ms()).await.unwrap();
        let charged = charge(prepared.single().query.clone(), precision.into(), &Caps::default()).unwrap();
        let wanted = wanted(&charged, &BudgetEpochs::default(), now_ms(), &mut FormWork::default()).unwrap();
        let parts: Vec<&ReleasedPart> = wanted.iter().filter_map(|wanted| wanted.parts.last()).collect();
        let settings = QueryConfig::default();
        let bounds = SizeBounds::of(None, settings.subject_day_events_max);
        let blocks = parts.iter().flat_map(|part| Blocks::of(&charged, part).all().collect::<Vec<_>>());
        let sizes = Sizes::all(blocks.map(|block| (block, rows)).collect(), &bounds).unwrap();
        let reading = Reading { bytes_max, memory: settings.memory() };
        let mut work = Work::new();
        let passes = work.add(&charged, &parts, &Planning { sizes: &sizes, reading }).unwrap();
        (work.time(&sizes, settings.row_time_ns), passes)
    }

    /// Of how many passes there may be, each is planned for, and more rows and less memory take more of them.
    #[tokio::test]
    async fn passes_over_files_are_planned_for() {
        let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
        let all = |rows, bytes_max| planned(sql, Precision::Normal, rows, bytes_max);
        let (few, once) = all(10_000, 1 << 40).await;
        assert_eq!(once, 1, "it fits in memory");
        let (more, passes) = all(10_000, READING_BYTES_MAX / 8).await;
        assert!(passes > 8, "{passes}");
        // Each reads half of 1,270,000 rows again, of which a row is seven units of 10 ns.
        let again = Duration::from_millis(44) * u32::try_from(passes - 1).unwrap();
        assert!(more > few + again, "{few:?} and {more:?} for {passes} passes");
        let (many, passes_of_many) = all(5_000_000, READING_BYTES_MAX / 8).await;
        assert!(passes_of_many > 4 * passes && many > more * 4, "{passes_of_many} passes, {many:?}");
    }

    /// There is no more than one look at each row, and one at each group that may be found.
    #[tokio::test]
    async fn looks_are_planned_for_no_more_than_rows_and_groups() {
        let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
        let prepared = engine().prepare(&grant(Region::ALL), &request(sql), now_ms()).await.unwrap();
        let charged =
            charge(prepared.single().query.clone(), Precision::Normal.into(), &Caps::default()).unwrap();
        let threshold = charged.threshold.as_ref().unwrap();
        let most = groups_of_a_part(threshold) * (LOOK + NOISE);
        for rows in [0, 1, 10_000, 1_000_000, 1 << 40] {
            let looks = Looks::of(threshold, rows);
            let of_rows = rows * (LOOK + NOISE / threshold.k_min);
            assert_eq!(looks.of_a_row * rows + looks.of_a_part, of_rows.min(most), "{rows}");
        }
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
