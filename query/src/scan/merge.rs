//! Many streams, each sorted by subject, become one: subject by subject to an accumulator.
//!
//! ```text
//! stream 1: batch -> |                            |
//! stream 2: batch -> | heap of (subject, time, at) | -> load, row, row, .. close
//! stream n: batch -> |                            |
//! ```
//! While the next row of a stream has the same subject, the stream is not changed and the heap not touched.
//!
//! Invariants: order is checked as rows come; a stream that breaks it ends the merge with [`Stop::Unsorted`], and what
//! the accumulator has is thrown away by the caller. Synchronous; asks between batches, and every 2^16 rows, whether
//! anybody still waits. Not here: how rows are read (`rows`), what happens to an unsorted file (`source`).

use shoal_storage::Heads;

use super::accumulator::Accumulator;
use super::runs::{Loaded, Run};
use crate::failure::Failure;

/// Rows between two questions whether to stop.
const ROWS_UNASKED_MAX: usize = 1 << 16;

/// What the rows of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Events of the query's table, on this day.
    Events { day: i32 },
    /// Events that make their subject a member.
    Member(usize),
}

/// A stream of batches that are sorted by (subject, time).
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

/// Subject and time of the row that comes next. Of equal ones that of an earlier stream comes first: streams are given in
/// order of their days.
type Key = (u128, i64);

struct Cursor<S> {
    /// The stream's number.
    at: usize,
    stream: S,
    role: Role,
    runs: Vec<Run>,
    times_us: Vec<i64>,
    /// The run at hand, and the next row of it.
    run: usize,
    row: usize,
    last: Option<(u128, i64)>,
}

impl<S: Stream> Cursor<S> {
    fn time(&self, row: usize) -> i64 {
        self.times_us.get(row).copied().unwrap_or(0)
    }

    fn key(&self) -> Key {
        (self.runs[self.run].subject, self.time(self.row))
    }

    /// The next batch that has rows, given to the accumulator; false at the end.
    fn next_batch<F: Accumulator + ?Sized>(
        &mut self,
        accumulator: &mut F,
        pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
    ) -> Result<bool, Stop> {
        loop {
            pulse(accumulator.bytes())?;
            let Some(loaded) = self.stream.next()? else {
                (self.runs, self.times_us) = (Vec::new(), Vec::new());
                return Ok(false);
            };
            if loaded.runs.is_empty() {
                continue;
            }
            if !self.follows(&loaded) {
                return Err(Stop::Unsorted(self.at));
            }
            if let Role::Events { .. } = self.role {
                accumulator.load(self.at, &loaded.columns)?;
            }
            (self.runs, self.times_us) = (loaded.runs, loaded.times_us);
            (self.run, self.row) = (0, 0);
            return Ok(true);
        }
    }

    /// The rows up to the next subject, or up to a row that is after another stream's. False when the stream ends.
    fn take_run<F: Accumulator + ?Sized>(
        &mut self,
        others: Option<(Key, usize)>,
        accumulator: &mut F,
        pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
    ) -> Result<bool, Stop> {
        let subject = self.runs[self.run].subject;
        let is_shared = others.filter(|((other, _), _)| *other == subject);
        let mut unasked = 0;
        loop {
            let (first, end) = (self.row, self.runs[self.run].end);
            let is_after = |row: &usize, other| ((subject, self.time(*row)), self.at) > other;
            let next = match is_shared {
                None => end,
                Some(other) => (first..end).find(|row| is_after(row, other)).unwrap_or(end),
            };
            match self.role {
                Role::Events { .. } if next == first => {}
                Role::Events { day } => accumulator.rows(self.at, first..next, day, &self.times_us),
                Role::Member(membership) => accumulator.member(membership),
            }
            unasked += next - first;
            self.row = next;
            if next < end {
                return Ok(true);
            }
            self.run += 1;
            if self.run < self.runs.len() {
                return Ok(true);
            }
            if !self.next_batch(accumulator, pulse)? {
                return Ok(false);
            }
            if unasked > ROWS_UNASKED_MAX {
                pulse(accumulator.bytes())?;
                unasked = 0;
            }
            if self.runs[0].subject != subject {
                return Ok(true);
            }
        }
    }

    /// Whether the batch is sorted and follows the one before.
    fn follows(&mut self, batch: &Loaded) -> bool {
        let (runs, times_us) = (&batch.runs, &batch.times_us);
        let Some(last) = runs.last() else { return true };
        let starts = std::iter::once(0).chain(runs.iter().map(|run| run.end));
        let sorted = runs.is_sorted_by_key(|run| run.subject)
            && (times_us.is_empty()
                || times_us.len() == last.end
                    && starts.zip(runs).all(|(start, run)| times_us[start..run.end].is_sorted()));
        let time = |row: usize| times_us.get(row).copied().unwrap_or(0);
        let joins =
            self.last.is_none_or(|last| runs.first().is_none_or(|run| last <= (run.subject, time(0))));
        self.last = Some((last.subject, time(last.end - 1)));
        sorted && joins
    }
}

/// Gives all rows of the streams to the accumulator. `pulse` is told how much memory the accumulator holds, and ends
/// the merge by failing.
pub(super) fn merge<S: Stream, F: Accumulator + ?Sized>(
    streams: Vec<S>,
    accumulator: &mut F,
    pulse: &mut dyn FnMut(usize) -> Result<(), Failure>,
) -> Result<(), Stop> {
    let mut heads: Heads<Key> = Heads::with_capacity(streams.len());
    let mut cursors: Vec<Cursor<S>> = Vec::with_capacity(streams.len());
    for (at, stream) in streams.into_iter().enumerate() {
        let role = stream.role();
        let (runs, times_us) = (Vec::new(), Vec::new());
        let mut cursor = Cursor { at, stream, role, runs, times_us, run: 0, row: 0, last: None };
        if cursor.next_batch(accumulator, pulse)? {
            heads.push(cursor.key(), at);
        }
        cursors.push(cursor);
    }
    let mut current: Option<u128> = None;
    while let Some(((subject, _), at)) = heads.first() {
        if current != Some(subject) {
            if let Some(done) = current {
                accumulator.close(&done.to_be_bytes())?;
            }
            accumulator.open(&subject.to_be_bytes());
            current = Some(subject);
        }
        let others = heads.second();
        let cursor = &mut cursors[at];
        let goes_on = cursor.take_run(others, accumulator, pulse)?;
        heads.advance(goes_on.then(|| cursor.key()));
    }
    if let Some(done) = current {
        accumulator.close(&done.to_be_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use datafusion::arrow::array::ArrayRef;

    use super::super::accumulator::Accumulated;
    use super::super::runs::runs;
    use super::*;
    use shoal_language::Scalar;

    /// (subject, time, row's number)
    type Seen = (u128, i64, i64);

    struct Batches {
        role: Role,
        batches: VecDeque<Vec<Seen>>,
        timed: bool,
    }

    impl Stream for Batches {
        fn role(&self) -> Role {
            self.role
        }

        fn next(&mut self) -> Result<Option<Loaded>, Failure> {
            let Some(rows) = self.batches.pop_front() else { return Ok(None) };
            let ids = datafusion::arrow::array::Int64Array::from_iter_values(rows.iter().map(|row| row.2));
            Ok(Some(Loaded {
                runs: runs(rows.iter().map(|row| row.0)),
                times_us: if self.timed { rows.iter().map(|row| row.1).collect() } else { Vec::new() },
                columns: vec![Arc::new(ids)],
            }))
        }
    }

    type Closed = Arc<Mutex<Vec<(u128, Vec<Seen>)>>>;

    #[derive(Default)]
    struct Recorder {
        columns: BTreeMap<usize, ArrayRef>,
        open: Vec<Seen>,
        closed: Closed,
    }

    impl Accumulator for Recorder {
        fn scalars(&self) -> Vec<Scalar> {
            vec![Scalar::Day]
        }
        fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
            self.columns.insert(source, Arc::clone(&columns[0]));
            Ok(())
        }
        fn row(&mut self, source: usize, row: usize, day: i32, time_us: i64) {
            use datafusion::arrow::array::AsArray;
            let ids = self.columns[&source].as_primitive::<datafusion::arrow::datatypes::Int64Type>();
            self.open.push((day as u128, time_us, ids.value(row)));
        }
        fn member(&mut self, membership: usize) {
            self.open.push((1_000 + membership as u128, 0, 0));
        }
        fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
            let rows = std::mem::take(&mut self.open);
            self.closed.lock().unwrap().push((u128::from_be_bytes(*subject), rows));
            Ok(())
        }
        fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
            Err(Failure::Internal)
        }
    }

    fn files() -> impl Strategy<Value = Vec<Vec<Vec<(u128, i64)>>>> {
        let row = (0..6_u128, 0..20_i64);
        prop::collection::vec(prop::collection::vec(prop::collection::vec(row, 0..12), 0..4), 0..5)
    }

    fn run(files: &[Vec<Vec<(u128, i64)>>], timed: bool) -> (Result<(), Stop>, Closed) {
        let mut id = 0;
        let streams = files.iter().enumerate().map(|(at, batches)| {
            let batches = batches.iter().map(|rows| {
                rows.iter()
                    .map(|(subject, time)| {
                        id += 1;
                        (*subject, *time, id)
                    })
                    .collect()
            });
            Batches { role: Role::Events { day: at as i32 }, batches: batches.collect(), timed }
        });
        let streams: Vec<Batches> = streams.collect();
        let mut recorder = Recorder::default();
        let closed = Arc::clone(&recorder.closed);
        (merge(streams, &mut recorder, &mut |_| Ok(())), closed)
    }

    proptest! {
        #[test]
        fn every_row_comes_once_in_order(mut files in files(), timed: bool) {
            for file in &mut files {
                let mut rows: Vec<_> = file.concat();
                rows.sort_unstable();
                for batch in file.iter_mut() {
                    let rest = rows.split_off(batch.len());
                    *batch = std::mem::replace(&mut rows, rest);
                }
            }
            let mut expected: BTreeMap<u128, Vec<Seen>> = BTreeMap::new();
            let mut id = 0;
            for (day, batches) in files.iter().enumerate() {
                for (subject, time) in batches.concat() {
                    id += 1;
                    expected.entry(subject).or_default().push((day as u128, if timed { time } else { 0 }, id));
                }
            }
            for rows in expected.values_mut() {
                rows.sort_by_key(|(day, time, id)| if timed { (*time, *day, *id) } else { (0, *day, *id) });
            }
            let (done, closed) = run(&files, timed);
            prop_assert_eq!(done, Ok(()));
            let closed = closed.lock().unwrap().clone();
            prop_assert_eq!(closed, expected.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_stream_out_of_order_is_found(files in files(), timed: bool) {
            let sorted = |file: &Vec<Vec<(u128, i64)>>| {
                file.concat().is_sorted_by_key(|(subject, time)| (*subject, if timed { *time } else { 0 }))
            };
            let (done, _) = run(&files, timed);
            match done {
                Ok(()) => prop_assert!(files.iter().all(sorted)),
                Err(Stop::Unsorted(at)) => prop_assert!(!sorted(&files[at])),
                Err(Stop::Failed(_)) => prop_assert!(false),
            }
        }
    }

    #[test]
    fn members_come_with_their_subject_and_a_pulse_can_stop_it() {
        let one =
            |role, rows: &[(u128, i64, i64)]| Batches { role, batches: [rows.to_vec()].into(), timed: false };
        let streams = || {
            let events = one(Role::Events { day: 3 }, &[(1, 0, 10), (3, 0, 11)]);
            vec![events, one(Role::Member(0), &[(2, 0, 0), (3, 0, 0)])]
        };
        let mut recorder = Recorder::default();
        merge(streams(), &mut recorder, &mut |_| Ok(())).unwrap();
        let closed = recorder.closed.lock().unwrap().clone();
        assert_eq!(
            closed,
            [(1, vec![(3, 0, 10)]), (2, vec![(1_000, 0, 0)]), (3, vec![(3, 0, 11), (1_000, 0, 0)])]
        );
        let mut left = 3;
        let mut pulse = |_| {
            left -= 1;
            if left == 0 { Err(Failure::Internal) } else { Ok(()) }
        };
        assert_eq!(
            merge(streams(), &mut Recorder::default(), &mut pulse),
            Err(Stop::Failed(Failure::Internal))
        );
    }
}
