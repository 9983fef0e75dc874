//! Many streams, each sorted by subject, time and event id, become one: subject by subject to an accumulator, in that order,
//! each event once.
//!
//! ```text
//! stream 1: batch -> |                                      |
//! stream 2: batch -> | heap of (subject, time, event id, at) | -> seen before? skip : load, row, row, .. close
//! stream n: batch -> |                                      |
//! ```
//! While the next rows of a stream come before those of the others, the stream is not changed and the heap not touched.
//! Rows of one table that have the same event id on a subject's day are copies, of which the first counts
//! ([`shoal_storage::Seen`]), whether or not it meets the filter. Of rows with the same key the one counts whose values
//! come first (`least`). The last row of a batch may have its like in the next one, so it goes that way too.
//!
//! Invariants: what the accumulator gets follows from the rows, not from how they lie in streams and batches. Order is checked
//! as rows come; a stream that breaks it ends the merge with [`Stop::Unsorted`], and what the accumulator has is thrown
//! away by the caller. Synchronous; asks between batches, and every 2^16 rows, whether anybody still waits. Not here: how
//! rows are read (`rows`), what happens to an unsorted file (`source`).

use std::ops::Range;

use shoal_storage::{Heads, Met, Seen};

use super::accumulator::Accumulator;
use super::least::Candidate;
use super::runs::{Key, Loaded, Run};
use crate::failure::Failure;

/// Rows between two questions whether to stop.
const ROWS_UNASKED_MAX: usize = 1 << 16;

/// What the rows of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Events of the query's table, on this day.
    Events { day: i32 },
    /// Events that make their subject a member, on this day.
    Member { membership: usize, day: i32 },
}

impl Role {
    fn day(self) -> i32 {
        match self {
            Role::Events { day } | Role::Member { day, .. } => day,
        }
    }

    /// Among whose rows copies are looked for: the query's table is 0, then come the memberships.
    fn table(self) -> usize {
        match self {
            Role::Events { .. } => 0,
            Role::Member { membership, .. } => membership + 1,
        }
    }
}

/// A stream of batches that are sorted by (subject, time, event id).
pub(super) trait Stream: Send {
    /// What its rows are.
    fn role(&self) -> Role;
    /// The next batch; none at the end.
    fn next(&mut self) -> Result<Option<Loaded>, Failure>;
}

/// Why a merge ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// This stream is not sorted.
    Unsorted(usize),
    Failed(Failure),
}

impl Stop {
    /// What went wrong; a stream that is not sorted should have been sorted before.
    pub(super) fn failure(self) -> Failure {
        match self {
            Stop::Failed(failure) => failure,
            Stop::Unsorted(_) => Failure::Internal,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

struct Cursor<S> {
    stream: S,
    role: Role,
    batch: Loaded,
    /// The rows of the batch that have the key of the row after them.
    tied: Vec<usize>,
    /// The run at hand, and the next row of it.
    run: usize,
    row: usize,
    last: Option<Key>,
}

impl<S: Stream> Cursor<S> {
    fn new(stream: S) -> Cursor<S> {
        let (role, batch, tied) = (stream.role(), Loaded::default(), Vec::new());
        Cursor { stream, role, batch, tied, run: 0, row: 0, last: None }
    }

    fn subject(&self) -> u128 {
        self.batch.runs[self.run].subject
    }

    fn key(&self) -> Key {
        let (time_us, event_id) = self.batch.place(self.row);
        (self.subject(), time_us, event_id)
    }

    /// Takes the batch, if it is sorted and follows the one before.
    fn admit(&mut self, batch: Loaded) -> bool {
        self.tied.clear();
        let mut start = 0;
        for run in &batch.runs {
            let first = (run.subject, batch.times_us[start], batch.event_ids[start]);
            if self.last.is_some_and(|last| last > first) {
                return false;
            }
            for row in start + 1..run.end {
                let (before, this) = (batch.place(row - 1), batch.place(row));
                if before > this {
                    return false;
                }
                if before == this {
                    self.tied.push(row - 1);
                }
            }
            start = run.end;
            let (time_us, event_id) = batch.place(run.end - 1);
            self.last = Some((run.subject, time_us, event_id));
        }
        (self.batch, self.run, self.row) = (batch, 0, 0);
        true
    }

    /// The next rows of the run that come before the first row of the others, and of which none can have its key again.
    fn alone(&self, others: Option<Key>) -> Range<usize> {
        let next_tied = self.tied.get(self.tied.partition_point(|row| *row < self.row)).copied();
        let last = next_tied.unwrap_or(usize::MAX).min(self.batch.rows() - 1);
        let end = self.batch.runs[self.run].end.min(last);
        let mut rows = self.row..end;
        match others.filter(|other| other.0 == self.subject()) {
            None => rows,
            Some((_, time_us, event_id)) => {
                let is_later = |row: &usize| self.batch.place(*row) >= (time_us, event_id);
                self.row..rows.find(is_later).unwrap_or(end)
            }
        }
    }

    /// Goes on to this row, of this run or the first of the next; false at the end of the batch.
    fn go_to(&mut self, row: usize) -> bool {
        self.row = row;
        self.run += usize::from(row == self.batch.runs[self.run].end);
        self.run < self.batch.runs.len()
    }
}

/// Gives all rows of the streams to the accumulator. `pulse` is told how much memory the accumulator holds, and ends
/// the merge by failing.
pub(super) fn merge<S: Stream, F: Accumulator + ?Sized>(
    streams: Vec<S>,
    accumulator: &mut F,
    pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
) -> Result<(), Stop> {
    let cursors: Vec<Cursor<S>> = streams.into_iter().map(Cursor::new).collect();
    let tables = cursors.iter().map(|cursor| cursor.role.table() + 1).max().unwrap_or(0);
    let seen = (0..tables).map(|_| Seen::default()).collect();
    let heads = Heads::with_capacity(cursors.len());
    Merge { cursors, heads, seen, sink: Sink { accumulator, subject: None }, pulse, unasked: 0 }.run()
}

struct Merge<'a, S, F: ?Sized> {
    cursors: Vec<Cursor<S>>,
    heads: Heads<Key>,
    /// Of each table, by [`Role::table`].
    seen: Vec<Seen>,
    sink: Sink<'a, F>,
    pulse: &'a mut dyn FnMut(usize) -> Result<(), Failure>,
    unasked: usize,
}

impl<S: Stream, F: Accumulator + ?Sized> Merge<'_, S, F> {
    fn run(mut self) -> Result<(), Stop> {
        for at in 0..self.cursors.len() {
            if self.next_batch(at)? {
                self.heads.push(self.cursors[at].key(), at);
            }
        }
        while let Some((key, at)) = self.heads.first() {
            self.sink.close_before(key.0)?;
            let others = self.heads.second().map(|(key, _)| key);
            let rows = self.cursors[at].alone(others);
            match rows.is_empty() {
                true => self.tied(key)?,
                false => self.take(at, rows, others)?,
            }
            if self.unasked > ROWS_UNASKED_MAX {
                self.ask()?;
            }
        }
        Ok(self.sink.close()?)
    }

    /// Rows of one run, which come next.
    fn take(&mut self, at: usize, rows: Range<usize>, others: Option<Key>) -> Result<(), Stop> {
        let Cursor { batch, role, run, .. } = &self.cursors[at];
        let Run { subject, end } = batch.runs[*run];
        // A subject that comes no more, and is not asked about, has no copies to tell apart.
        let is_whole = rows.end == end && others.is_none_or(|(other, ..)| other != subject);
        if !is_whole || !batch.values_of(rows.clone()).is_empty() {
            let (seen, unit) = (&mut self.seen[role.table()], (subject, role.day()));
            let mut first = rows.start;
            for row in rows.clone() {
                if seen.meet(unit, batch.event_ids[row]) != Met::New {
                    self.sink.take((at, *role), subject, batch, first..row);
                    first = row + 1;
                }
            }
            self.sink.take((at, *role), subject, batch, first..rows.end);
        }
        self.unasked += rows.len();
        self.go_to(at, rows.end)
    }

    /// All rows with the key that comes next: one of each table counts.
    fn tied(&mut self, key: Key) -> Result<(), Stop> {
        let mut least: Vec<Option<(Role, Candidate)>> = self.seen.iter().map(|_| None).collect();
        while let Some((_, at)) = self.heads.first().filter(|(next, _)| *next == key) {
            let Cursor { batch, role, row, .. } = &self.cursors[at];
            let (candidate, next) = (Candidate::of(batch, *row), row + 1);
            let known = &mut least[role.table()];
            if known.as_ref().map_or(Ok(true), |(_, known)| candidate.is_before(known))? {
                *known = Some((*role, candidate));
            }
            self.unasked += 1;
            self.go_to(at, next)?;
        }
        let source = self.cursors.len();
        for (seen, (role, candidate)) in self.seen.iter_mut().zip(least).filter_map(|(s, c)| Some((s, c?))) {
            if seen.meet((key.0, role.day()), key.2) == Met::New {
                self.sink.take_one((source, role), key, &candidate)?;
            }
        }
        Ok(())
    }

    /// The first stream goes on with this row.
    fn go_to(&mut self, at: usize, row: usize) -> Result<(), Stop> {
        let goes_on = self.cursors[at].go_to(row) || self.next_batch(at)?;
        self.heads.advance(goes_on.then(|| self.cursors[at].key()));
        Ok(())
    }

    /// The next batch that has rows, given to the accumulator; false at the end.
    fn next_batch(&mut self, at: usize) -> Result<bool, Stop> {
        loop {
            self.ask()?;
            let cursor = &mut self.cursors[at];
            let Some(batch) = cursor.stream.next()? else {
                cursor.batch = Loaded::default();
                return Ok(false);
            };
            if batch.runs.is_empty() {
                continue;
            }
            if !cursor.admit(batch) {
                return Err(Stop::Unsorted(at));
            }
            self.sink.load((at, cursor.role), &cursor.batch)?;
            return Ok(true);
        }
    }

    fn ask(&mut self) -> Result<(), Failure> {
        self.unasked = 0;
        (self.pulse)(self.sink.accumulator.bytes())
    }
}

/// Whose rows: the number of the source, and what they are.
type Source = (usize, Role);

/// The accumulator, and the subject that it has been given rows of.
struct Sink<'a, F: ?Sized> {
    accumulator: &'a mut F,
    subject: Option<u128>,
}

impl<F: Accumulator + ?Sized> Sink<'_, F> {
    fn load(&mut self, (at, role): Source, batch: &Loaded) -> Result<(), Failure> {
        match role {
            Role::Events { .. } if !batch.values_of(0..batch.rows()).is_empty() => {
                self.accumulator.load(at, &batch.columns)
            }
            _ => Ok(()),
        }
    }

    /// Those of these rows that are asked about.
    fn take(&mut self, (at, role): Source, subject: u128, batch: &Loaded, rows: Range<usize>) {
        let values = batch.values_of(rows);
        if values.is_empty() {
            return;
        }
        self.open(subject);
        match role {
            Role::Events { day } => self.accumulator.rows(at, values, day, batch.asked_times_us()),
            Role::Member { membership, .. } => self.accumulator.member(membership),
        }
    }

    /// A row by itself, as a batch of its own source.
    fn take_one(&mut self, (at, role): Source, key: Key, row: &Candidate) -> Result<(), Failure> {
        let Some(columns) = row.columns() else { return Ok(()) };
        self.open(key.0);
        match role {
            Role::Events { day } => {
                self.accumulator.load(at, columns)?;
                self.accumulator.rows(at, 0..1, day, &[key.1]);
            }
            Role::Member { membership, .. } => self.accumulator.member(membership),
        }
        Ok(())
    }

    fn open(&mut self, subject: u128) {
        if self.subject.is_none() {
            self.accumulator.open(&subject.to_be_bytes());
            self.subject = Some(subject);
        }
    }

    fn close_before(&mut self, next: u128) -> Result<(), Failure> {
        if self.subject.is_some_and(|subject| subject != next) { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.subject.take().map_or(Ok(()), |subject| self.accumulator.close(&subject.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests;
