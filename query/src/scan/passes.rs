//! Files that do not fit beside each other, or of which one is not sorted, are read in passes over the subjects.
//!
//! ```text
//! pass 1: file, file, file -rows of subjects up to s1-> sorted in memory -> streams
//! pass 2: file, file, file -rows of subjects after s1, up to s2-> ..
//! ```
//! A pass begins with all subjects that are left. When its rows fill the room, the last subjects are left to the next pass, so
//! that there are as many passes as the rows need, and one file is open at a time.
//!
//! Invariants: all rows of a subject are in one pass, and subjects ascend from pass to pass, so that what an accumulator gets
//! is the same as without passes. What is in memory is within the room, but for a subject that alone is larger. Nothing fails
//! for want of room; more passes take longer. Not here: the room (`room`), merging (`merge`).

use super::merge::Stream;
use super::opening::Held;
use super::room::Room;
use super::source::{Rows, SpanFile};
use crate::failure::Failure;

/// The passes over the files of a span.
pub(super) struct Passes<'a> {
    files: &'a [SpanFile],
    room: Room,
    /// The first subject of the next pass; none when there are no more.
    from: Option<u128>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(files: &'a [SpanFile], room: Room) -> Passes<'a> {
        Passes { files, room, from: Some(0) }
    }

    /// The rows of the next pass; none after the last one. `pulse` ends it by failing.
    pub(super) fn next(
        &mut self,
        pulse: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Option<Vec<Rows>>, Failure> {
        let Some(from) = self.from else { return Ok(None) };
        let (mut to, mut held) = (u128::MAX, Held::default());
        let batch_rows = self.room.batch_rows(1);
        for file in self.files {
            let (mut rows, bytes) = file.open(batch_rows)?;
            // Rows of a few subjects at least, also beside a file that alone fills the room.
            let held_max = self.room.files.saturating_sub(bytes).max(self.room.files / 2);
            while let Some(batch) = rows.next()? {
                pulse()?;
                let Some(batch) = batch.of_subjects(from..=to)? else { continue };
                held.take(file.role, batch)?;
                while held.bytes > held_max
                    && let Some(stays) = held.cut()?
                {
                    to = stays;
                }
            }
        }
        self.from = to.checked_add(1);
        let roles = self.files.len();
        held.streams(self.room.batch_rows(roles)).map(Some)
    }
}
