//! Files that do not fit beside each other, or of which one is not sorted, are read in passes over the subjects.
//!
//! ```text
//! first: file, file, file -subjects alone-> how many rows each has -> ranges of subjects whose rows fit in memory
//! pass 1: file, file, file -rows of subjects up to s1-> held in memory -> streams
//! pass 2: file, file, file -rows of subjects after s1, up to s2-> ..
//! ```
//! One file is open at a time. Rows of other ranges are left out before anything is evaluated on them, and a file whose
//! subjects ascend is read as far as the range goes: so a further pass costs what reading costs, and no expression is evaluated
//! twice on a row.
//!
//! Invariants: all rows of a subject are in one pass, and subjects ascend from pass to pass, so that what an accumulator gets
//! is the same as without passes. What is in memory is within the room, but for a subject that alone is larger. There are no more
//! passes than were planned for before anything was charged (`planned`): what would
//! take more of them fails as what is late does. Not here: the room (`room`), ranges (`ranges`), merging (`merge`).

use std::vec::IntoIter;

use super::held::Held;
use super::ranges::SubjectRows;
use super::room::Room;
use super::source::{Rows, SpanFile};
use crate::failure::Failure;

/// The passes over the files of a span.
pub(super) struct Passes<'a> {
    /// Whether the subjects of each ascend.
    files: Vec<(&'a SpanFile, bool)>,
    room: Room,
    /// The last subject of each part of each range that is left, and the first of the next range.
    ranges: IntoIter<Vec<u128>>,
    from: u128,
}

impl<'a> Passes<'a> {
    /// Counts the rows of all subjects. `pulse` is told how much memory rows take, and ends it by failing.
    ///
    /// # Errors
    /// [`Failure::Time`] when there would be more passes than this; whatever else goes wrong.
    pub(super) fn new(
        all: &'a [SpanFile],
        room: Room,
        passes_max: u64,
        pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Passes<'a>, Failure> {
        let (mut files, mut counts) = (Vec::with_capacity(all.len()), SubjectRows::default());
        for file in all {
            let (mut last, mut ascends) = (0, true);
            for runs in file.subjects(room.batch_rows(1))? {
                pulse(0)?;
                let mut start = 0;
                for run in runs? {
                    counts.add(run.subject, run.end - start);
                    ascends &= run.subject >= last;
                    (start, last) = (run.end, run.subject);
                }
            }
            files.push((file, ascends));
        }
        let ranges = counts.ranges(room.held_rows);
        match ranges.len() as u64 > passes_max {
            true => Err(Failure::Time),
            false => Ok(Passes { files, room, ranges: ranges.into_iter(), from: 0 }),
        }
    }

    /// The rows of the next pass; none after the last one.
    pub(super) fn next(
        &mut self,
        pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Option<Vec<Rows>>, Failure> {
        let Some(parts) = self.ranges.next() else { return Ok(None) };
        let to = parts.last().copied().unwrap_or(u128::MAX);
        let (subjects, mut held) = (self.from..=to, Held::default());
        for (file, ascends) in &self.files {
            let mut rows = file.of_subjects(self.room.batch_rows(1), subjects.clone(), *ascends)?;
            while let Some(batch) = rows.next()? {
                pulse(held.bytes())?;
                held.take(file.role, batch)?;
            }
        }
        self.from = to.saturating_add(1);
        let batch_rows = self.room.batch_rows(held.roles());
        Ok(Some(Rows::in_memory(held, &parts, batch_rows)))
    }
}
