//! Rows that are held in memory. They become one stream for each day and table, which is put in order part by part.
//!
//! ```text
//! rows of a file, in order |
//! rows of a file, in order | -the next part of the subjects-> sorted -> batch, batch, ..
//! ```
//! Invariants: each row is held once; the part that is being put in order takes as much memory again as
//! [`RowBytes::in_chunks`](super::room::RowBytes::in_chunks) says, and it is a small part. Not here: how many rows may be held (`room`), which
//! subjects a part has (`ranges`).

use std::collections::VecDeque;

use super::merge::Role;
use super::runs::{Loaded, sorted};
use crate::failure::Failure;

/// Rows in memory, in order within each batch.
#[derive(Default)]
pub(super) struct Held {
    rows: Vec<(Role, Vec<Loaded>)>,
    bytes: usize,
}

impl Held {
    /// Adds rows of a file.
    pub(super) fn take(&mut self, role: Role, rows: Loaded) -> Result<(), Failure> {
        if rows.runs.is_empty() {
            return Ok(());
        }
        let rows = if rows.is_in_order() { rows } else { sorted(&[rows])? };
        let rows = rows.packed()?.fitted();
        self.bytes = self.bytes.saturating_add(rows.bytes());
        match self.rows.iter_mut().find(|(known, _)| *known == role) {
            Some((_, all)) => all.push(rows),
            None => self.rows.push((role, vec![rows])),
        }
        Ok(())
    }

    /// Bytes of memory that the rows take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of streams that the rows become.
    pub(super) fn roles(&self) -> usize {
        self.rows.len()
    }

    /// Makes one stream for each role. The rows are put in order in parts that end with these subjects, which must ascend.
    pub(super) fn in_parts(self, parts: &[u128], batch_rows: usize) -> Vec<(Role, InParts)> {
        let of = |(role, rows)| (role, InParts::new(rows, parts, batch_rows));
        self.rows.into_iter().map(of).collect()
    }
}

/// The rows of one role that are held.
pub(super) struct InParts {
    rows: Vec<Loaded>,
    /// The first subject of the next part.
    from: u128,
    /// The last subject of each part that is left.
    ends: VecDeque<u128>,
    /// The part that is being read, in order.
    part: Loaded,
    /// Its row that is read next.
    next: usize,
    batch_rows: usize,
}

impl InParts {
    fn new(rows: Vec<Loaded>, parts: &[u128], batch_rows: usize) -> InParts {
        let ends = parts.iter().copied().collect();
        InParts { rows, from: 0, ends, part: Loaded::default(), next: 0, batch_rows: batch_rows.max(1) }
    }

    /// Returns the next rows, and `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        while self.next == self.part.rows() {
            self.part = Loaded::default();
            self.next = 0;
            let Some(to) = self.ends.pop_front() else {
                self.rows.clear();
                return Ok(None);
            };
            let subjects = self.from..=to;
            let parts = self.rows.iter().filter_map(|rows| rows.of_subjects(&subjects));
            let parts = parts.map(Loaded::packed).collect::<Result<Vec<_>, _>>()?;
            self.part = sorted(&parts)?.fitted();
            self.from = to.saturating_add(1);
        }
        let from = self.next;
        self.next = (from + self.batch_rows).min(self.part.rows());
        Ok(Some(self.part.part(from..self.next)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, DictionaryArray, Int64Array};
    use datafusion::arrow::datatypes::Int32Type;
    use shoal_language::{Scalar, Type};

    use super::super::ranges::SubjectRows;
    use super::super::room::{RowBytes, held_bytes};
    use super::super::runs::{Asked, ORDERED_BYTES, runs};
    use super::*;

    const ROLE: Role = Role::Events { day: 0 };

    /// Rows of a file, each of a subject of its own and with a text of its own, as long as one may be.
    fn file(number: u128, rows: u128) -> Loaded {
        let times_us: Vec<i64> = (0..rows as i64).collect();
        let texts: Vec<String> = (0..rows).map(|row| format!("{:0>256}", row * 1_000 + number)).collect();
        let texts: DictionaryArray<Int32Type> = texts.iter().map(|text| Some(text.as_str())).collect();
        let numbers = Int64Array::from_iter_values(0..rows as i64);
        Loaded {
            runs: runs((0..rows).map(|row| row * 1_000 + number)),
            asked: Asked::of(std::iter::repeat_n(true, rows as usize), &times_us),
            times_us,
            event_ids: (0..rows).collect(),
            columns: vec![Arc::new(texts) as ArrayRef, Arc::new(numbers)],
        }
    }

    /// What is planned for a row holds whatever it is: of rows that are held, and while they are put in order.
    #[test]
    fn rows_take_no_more_than_is_planned_for_them() {
        let column = |name: &str, ty| Scalar::Column { name: name.to_owned(), ty };
        let scalars = [column("a", Type::Text), column("b", Type::Number { scale: 0 })];
        let row = RowBytes { kept: 0, made: 0, held: held_bytes(&scalars) };
        let (files, rows) = (8, 4_000_usize);
        let (mut held, mut counts) = (Held::default(), SubjectRows::default());
        for number in 0..files as u128 {
            let own = file(number, rows as u128);
            own.runs.iter().for_each(|run| counts.add(run.subject, 1));
            held.take(ROLE, own).unwrap();
        }
        let all = files * rows;
        // What a batch takes besides its rows.
        let batches = files * 4 * 1_024;
        assert!(held.bytes() <= all * row.held + batches, "{} for {all} rows", held.bytes());
        assert!(held.bytes() > all * (row.held - 40), "an upper bound that is not far off");
        let ranges = counts.ranges(all);
        let mut stream = InParts::new(std::mem::take(&mut held.rows).remove(0).1, &ranges[0], 500);
        let (mut given, mut last) = (0, None);
        while let Some(batch) = stream.next().unwrap() {
            let subjects: Vec<u128> = batch.subjects().collect();
            assert!(subjects.is_sorted() && last <= subjects.first().copied(), "in order");
            last = subjects.last().copied();
            given += subjects.len();
            let (part, held) = (&stream.part, stream.rows.iter().map(Loaded::bytes).sum::<usize>());
            // Its rows by themselves, their texts packed anew, in order, a column of them, and what the part before gave.
            let peak = held + 5 * part.bytes() + part.rows() * ORDERED_BYTES;
            let planned = all * row.in_chunks() + 2 * batches;
            assert!(peak <= planned, "{peak} of {planned}, {} rows in a part", part.rows());
        }
        assert_eq!((given, stream.rows.len()), (all, 0), "nothing is held at the end");
    }

    #[test]
    fn rows_of_many_batches_come_in_order_however_they_are_cut() {
        let reversed = |rows: Loaded| {
            let one = |row: usize| rows.part(row..row + 1);
            (0..rows.rows()).rev().map(one).collect::<Vec<_>>()
        };
        for parts in
            [vec![u128::MAX], vec![2_000, 2_001, 7_500, u128::MAX], (0..50).chain([u128::MAX]).collect()]
        {
            let mut held = Held::default();
            held.take(ROLE, file(1, 9)).unwrap();
            reversed(file(2, 9)).into_iter().for_each(|rows| held.take(ROLE, rows).unwrap());
            assert_eq!(held.roles(), 1);
            let mut streams = held.in_parts(&parts, 4);
            let mut found: Vec<u128> = Vec::new();
            while let Some(batch) = streams[0].1.next().unwrap() {
                assert!(batch.rows() <= 4);
                found.extend(batch.subjects());
            }
            let expected: Vec<u128> = (0..9).flat_map(|row| [row * 1_000 + 1, row * 1_000 + 2]).collect();
            assert_eq!(found, expected);
        }
    }
}
