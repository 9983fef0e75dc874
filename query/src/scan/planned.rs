//! In how many passes a span may have to be read, from public facts alone: the configuration, the query, and the most rows that
//! its blocks have, as their released sizes say.
//!
//! ```text
//! passes = rows at the most / (rows that a pass may hold - the most that cannot be cut), rounded up
//! ```
//! Ranges of subjects end between subjects, so that a pass may be short of full by the rows of one subject; what may be counted
//! together with them is a small part more.
//!
//! Invariants: what a scan counts with is the same ([`held_rows`], of a share that is no smaller), so that it makes no more passes
//! than this of files with no more rows. Not here: the passes (`passes`), what they cost (`release/work.rs`).

use std::collections::HashSet;

use shoal_language::Scalar;

use super::accumulators;
use super::room::{RowBytes, held_bytes, held_rows, share};
use crate::charge::{ChargedQuery, MemoryShare};
use crate::failure::Failure;

/// Units of a row that is read and left out: whose it is, and each of its columns.
const ROW_AGAIN: u64 = 1;
const COLUMN_AGAIN: u64 = 1;
/// The columns that every row is read with.
const FIXED: u64 = 5;

/// What reading may take in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Of all queries together, in bytes.
    pub(crate) bytes_max: usize,
    /// What queries and spans run at one time.
    pub(crate) memory: MemoryShare,
}

impl Reading {
    /// How many rows a pass has at least but for the last one, of so many parts of a query, where a subject has at most so many
    /// in a span.
    pub(crate) fn rows_of_a_pass(
        &self,
        charged: &ChargedQuery,
        parts: usize,
        most_of_one: u64,
    ) -> Result<u64, Failure> {
        let spans = charged.spans_at_one_time(self.memory.spans).min(parts.max(1));
        let share = share(self.bytes_max, self.memory.queries, spans);
        let accumulator = accumulators::unfilled(charged)?;
        let row =
            RowBytes { kept: accumulator.row_bytes(), made: 0, held: held_bytes(&accumulator.scalars()) };
        let rows = held_rows(share, row) as u64;
        // Half of them at least: two ranges that follow each other have more together than one may have.
        Ok(rows.saturating_sub(rows / 16).saturating_sub(most_of_one).max(rows / 2).max(1))
    }
}

/// The units of a row of the query's table for each pass after the first: files are read as far as the range of the pass goes, so
/// that all further passes together read half of the rows each, on average.
pub(crate) fn again_units(charged: &ChargedQuery) -> Result<u64, Failure> {
    let scalars = accumulators::unfilled(charged)?.scalars();
    let mut left: Vec<&Scalar> = charged.query.filter().into_iter().chain(&scalars).collect();
    let mut seen: HashSet<&Scalar> = HashSet::new();
    let mut columns: HashSet<&str> = HashSet::new();
    while let Some(scalar) = left.pop() {
        if seen.insert(scalar) {
            if let Scalar::Column { name, .. } = scalar {
                columns.insert(name);
            }
            scalar.each(&mut |part| left.push(part));
        }
    }
    Ok((ROW_AGAIN + COLUMN_AGAIN * (FIXED + columns.len() as u64)).div_ceil(2))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::Region;

    use super::super::ranges::SubjectRows;
    use super::super::room::BYTES_MAX;
    use super::*;
    use crate::tests::{engine, grant, now_ms, request};

    /// Subjects of one row, of many, and of as many as one may have: there are no more ranges than were planned for.
    #[tokio::test]
    async fn there_are_no_more_passes_than_are_planned() {
        let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
        let charged =
            engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap().single();
        let memory = MemoryShare::default();
        for bytes_max in [BYTES_MAX, 4 << 20] {
            let reading = Reading { bytes_max, memory };
            let accumulator = accumulators::unfilled(&charged).unwrap();
            let held = held_bytes(&accumulator.scalars());
            let row = RowBytes { kept: accumulator.row_bytes(), made: 9_000, held };
            let room = held_rows(share(bytes_max, memory.queries, memory.spans), row);
            for most in [1, 90, 5_000] {
                let planned = reading.rows_of_a_pass(&charged, 120, most as u64).unwrap();
                let mut counts = SubjectRows::default();
                let subjects = (4 * room).div_ceil(most).max(3) as u128;
                let mut sum = 0;
                for subject in 0..subjects {
                    let rows = if subject % 3 == 0 { most } else { most / 2 + 1 };
                    counts.add(subject * (u128::MAX / subjects), rows);
                    sum += rows as u64;
                }
                let found = counts.ranges(room).len() as u64;
                assert!(found > 1 && found <= sum / planned + 1, "{found} for {sum} rows, {planned} each");
            }
        }
    }
}
