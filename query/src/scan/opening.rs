//! The files of a span beside each other: the large ones open, the small ones of many in memory.
//!
//! Invariants: no more than [`OPEN_MAX`] files are open, and what all of them take, and rows in memory with them, stays
//! within the room; where it does not, there are no streams, and the span is read in passes (`passes`). Not here: the room
//! (`room`).

use std::cmp::Reverse;

use super::merge::{Role, Stream};
use super::room::{OPEN_MAX, Room};
use super::runs::{Loaded, sorted};
use super::source::{Rows, SpanFile};
use crate::failure::Failure;

/// Rows in memory.
#[derive(Default)]
pub(super) struct Held {
    rows: Vec<(Role, Vec<Loaded>)>,
    pub(super) bytes: usize,
}

impl Held {
    /// Rows more.
    pub(super) fn take(&mut self, role: Role, rows: Loaded) -> Result<(), Failure> {
        if rows.runs.is_empty() {
            return Ok(());
        }
        let rows = rows.packed()?;
        // They are there twice while they are sorted.
        self.bytes = self.bytes.saturating_add(2 * rows.bytes());
        match self.rows.iter_mut().find(|(known, _)| *known == role) {
            Some((_, all)) => all.push(rows),
            None => self.rows.push((role, vec![rows])),
        }
        Ok(())
    }

    /// Leaves out about half of the rows, those of the last subjects; the last subject that stays. None, and nothing is left
    /// out, where all are of one subject.
    pub(super) fn cut(&mut self) -> Result<Option<u128>, Failure> {
        let mut subjects: Vec<(u128, usize)> =
            self.rows.iter().flat_map(|(_, all)| all).flat_map(Loaded::subject_rows).collect();
        subjects.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (subjects.first().copied(), subjects.last().copied())
        else {
            return Ok(None);
        };
        if first == last {
            return Ok(None);
        }
        let half = subjects.iter().map(|(_, rows)| rows).sum::<usize>() / 2;
        let mut before = 0;
        let stays = subjects.iter().take_while(|(subject, rows)| {
            before += rows;
            before <= half && *subject < last
        });
        let stays = stays.last().map_or(first, |(subject, _)| *subject);
        let held = std::mem::take(self);
        for (role, all) in held.rows {
            for rows in all {
                if let Some(rows) = rows.of_subjects(first..=stays)? {
                    self.take(role, rows)?;
                }
            }
        }
        Ok(Some(stays))
    }

    /// One stream for each role.
    pub(super) fn streams(self, batch_rows: usize) -> Result<Vec<Rows>, Failure> {
        let streams = self.rows.into_iter().map(|(role, all)| {
            let rows = sorted(&all)?;
            Ok(Rows::in_memory(role, rows, batch_rows))
        });
        streams.collect()
    }
}

/// A stream for each open file, and one for all rows of a day that are in memory; none when they do not fit.
pub(super) fn beside(files: &[SpanFile], room: Room) -> Result<Option<Vec<Rows>>, Failure> {
    let mut by_size: Vec<usize> = (0..files.len()).collect();
    by_size.sort_by_key(|at| Reverse(files[*at].bytes()));
    let batch_rows = room.batch_rows(files.len());
    let (mut streams, mut held, mut bytes) = (Vec::new(), Held::default(), 0_usize);
    for (place, at) in by_size.into_iter().enumerate() {
        let file = &files[at];
        let (mut rows, file_bytes) = file.open(batch_rows)?;
        if place < OPEN_MAX {
            bytes = bytes.saturating_add(file_bytes);
            streams.push(rows);
        } else {
            while bytes.saturating_add(held.bytes) <= room.files
                && let Some(batch) = rows.next()?
            {
                held.take(file.role, batch)?;
            }
        }
        if bytes.saturating_add(held.bytes) > room.files {
            return Ok(None);
        }
    }
    streams.append(&mut held.streams(batch_rows)?);
    Ok(Some(streams))
}
