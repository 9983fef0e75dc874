//! How much work a question is, from public facts alone: its text, and the released sizes of the blocks that it reads.
//!
//! ```text
//! units of a row (its expressions, keys and aggregates) * rows of each block that is read
//!   + parts * (what opening and closing one takes + files that it may have + numbers that get noise)  = units
//! units * query.row_time_ns / 10 = time
//! ```
//! Ten units are what a row takes that is only counted. The weights are upper bounds: of texts that are as long as a property
//! may be and all different, of conditions of which none is decided early.
//!
//! Invariants: the same question about the same blocks is the same work, whatever their rows hold. Not here: when it is done
//! (`schedule.rs`), the sizes (`size`).

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_storage::Block;

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
/// Units of a file that a part opens, and how many files a day may have until they are merged.
const FILE: u64 = 500 * ROW;
const FILES: u64 = 64;
/// Units of a number that gets noise.
const NOISE: u64 = 80 * ROW;

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
        let groups = match &charged.threshold {
            Some(threshold) => threshold.room.groups_max.saturating_add(least_limit(&threshold.groups)),
            None => query.public_cells().unwrap_or(1),
        };
        let noise = groups.saturating_mul(numbers as u64).saturating_mul(NOISE);
        for part in parts {
            let mut days = 0;
            let mut read = |kind, day, each: u64| {
                days += 1;
                let block = Block { region: part.region, kind, day };
                let of_a_row = self.of_a_row.entry(block).or_insert(0);
                *of_a_row = of_a_row.saturating_add(ROW.saturating_add(each));
            };
            part.days.days().for_each(|day| read(query.table(), day, units.own));
            for (member, each) in query.members().iter().zip(&units.members) {
                member.days.days().for_each(|day| read(member.table, day, *each));
            }
            let own = PART.saturating_add(days * FILES * FILE).saturating_add(noise);
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
