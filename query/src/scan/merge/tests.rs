//! What the accumulator gets follows from the rows, whatever streams and batches they are in.

#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::Int64Type;
use proptest::prelude::*;
use proptest::sample::Index;
use shoal_storage::EVENTS_MAX;

use super::super::accumulator::Accumulated;
use super::super::runs::{Asked, runs};
use super::*;
use shoal_language::Scalar;

/// Times of one day.
const DAY_US: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    subject: u128,
    time_us: i64,
    id: u128,
    /// Rows that meet the filter come first among those of one key.
    is_left_out: bool,
    value: i64,
}

impl Row {
    fn new(subject: u128, time_us: i64, id: u128) -> Row {
        Row { subject, time_us, id, is_left_out: false, value: id as i64 }
    }

    fn key(&self) -> Key {
        (self.subject, self.time_us, self.id)
    }

    fn day(&self) -> i32 {
        (self.time_us / DAY_US) as i32
    }
}

struct Batches {
    role: Role,
    batches: VecDeque<Vec<Row>>,
}

impl Stream for Batches {
    fn role(&self) -> Role {
        self.role
    }

    fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        let Some(rows) = self.batches.pop_front() else { return Ok(None) };
        let asked: Vec<i64> = rows.iter().filter(|row| !row.is_left_out).map(|row| row.value).collect();
        let times_us: Vec<i64> = rows.iter().map(|row| row.time_us).collect();
        Ok(Some(Loaded {
            runs: runs(rows.iter().map(|row| row.subject)),
            event_ids: rows.iter().map(|row| row.id).collect(),
            asked: match asked.len() == rows.len() {
                true => Asked::All,
                false => Asked::of(rows.iter().map(|row| !row.is_left_out), &times_us),
            },
            columns: if asked.is_empty() { Vec::new() } else { vec![Arc::new(Int64Array::from(asked))] },
            times_us,
        }))
    }
}

/// (day, time, value); a member's is (1,000 and the membership, 0, 0).
type Given = (i32, i64, i64);
type Closed = Vec<(u128, Vec<Given>)>;

#[derive(Default)]
struct Recorder {
    columns: BTreeMap<usize, ArrayRef>,
    subject: Option<u128>,
    given: Vec<Given>,
    closed: Arc<Mutex<Closed>>,
}

impl Accumulator for Recorder {
    fn scalars(&self) -> Vec<Scalar> {
        vec![Scalar::Day]
    }
    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.insert(source, Arc::clone(&columns[0]));
        Ok(())
    }
    fn open(&mut self, subject: &[u8; 16]) {
        assert_eq!(self.subject.replace(u128::from_be_bytes(*subject)), None);
    }
    fn row(&mut self, source: usize, row: usize, day: i32, time_us: i64) {
        let values = self.columns[&source].as_primitive::<Int64Type>();
        self.given.push((day, time_us, values.value(row)));
    }
    fn member(&mut self, membership: usize) {
        self.given.push((1_000 + membership as i32, 0, 0));
    }
    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        let subject = u128::from_be_bytes(*subject);
        assert_eq!(self.subject.take(), Some(subject));
        self.closed.lock().unwrap().push((subject, std::mem::take(&mut self.given)));
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
        Err(Failure::Internal)
    }
}

fn merged(streams: Vec<Batches>) -> Result<Closed, Stop> {
    let mut recorder = Recorder::default();
    let closed = Arc::clone(&recorder.closed);
    merge(streams, &mut recorder, &mut |_| Ok(()))?;
    Ok(closed.lock().unwrap().clone())
}

/// Each file as batches of so many rows.
fn streams(files: impl IntoIterator<Item = (Role, Vec<Row>)>, batch_rows: usize) -> Vec<Batches> {
    let batches = |rows: &[Row]| rows.chunks(batch_rows.max(1)).map(<[Row]>::to_vec).collect();
    files.into_iter().map(|(role, rows)| Batches { role, batches: batches(&rows) }).collect()
}

/// By the rule alone: of each subject's day the first row of each event id, if it meets the filter.
fn expected(mut rows: Vec<Row>) -> Closed {
    rows.sort_unstable();
    let mut seen = std::collections::BTreeSet::new();
    let mut all: BTreeMap<u128, Vec<Given>> = BTreeMap::new();
    for row in rows {
        if seen.insert((row.subject, row.day(), row.id)) && !row.is_left_out {
            all.entry(row.subject).or_default().push((row.day(), row.time_us, row.value));
        }
    }
    all.into_iter().collect()
}

fn row() -> impl Strategy<Value = Row> {
    (0..4_u128, 0..3 * DAY_US, 0..10_u128, prop::bool::weighted(0.3), 0..3_i64).prop_map(
        |(subject, time_us, id, is_left_out, value)| Row { subject, time_us, id, is_left_out, value },
    )
}

proptest! {
    #[test]
    fn any_split_into_files_and_batches_gives_each_event_once_in_one_order(
        rows in prop::collection::vec((row(), 0..4_usize, any::<Index>()), 0..80), batch_rows in 1..9_usize,
    ) {
        let mut files: BTreeMap<(i32, usize), Vec<Row>> = BTreeMap::new();
        for (row, file, at) in &rows {
            let file = files.entry((row.day(), *file)).or_default();
            file.insert(at.index(file.len() + 1), *row);
        }
        // A file knows an order of keys, and none of rows with the same key.
        files.values_mut().for_each(|rows| rows.sort_by_key(Row::key));
        let files = files.into_iter().map(|((day, _), rows)| (Role::Events { day }, rows));
        let found = merged(streams(files, batch_rows));
        prop_assert_eq!(found, Ok(expected(rows.into_iter().map(|(row, ..)| row).collect())));
    }

    #[test]
    fn a_stream_out_of_order_is_found(
        files in prop::collection::vec(prop::collection::vec(row(), 0..6), 0..4), batch_rows in 1..4_usize,
    ) {
        let sorted = |rows: &Vec<Row>| rows.is_sorted_by_key(Row::key);
        let day = Role::Events { day: 0 };
        match merged(streams(files.iter().map(|rows| (day, rows.clone())), batch_rows)) {
            Ok(_) => prop_assert!(files.iter().all(sorted)),
            Err(Stop::Unsorted(at)) => prop_assert!(!sorted(&files[at])),
            Err(Stop::Failed(_)) => prop_assert!(false),
        }
    }

    /// An event that makes somebody a member, and its copies, are told apart as those of the query's table are, and by
    /// themselves.
    #[test]
    fn members_are_those_whose_first_row_of_an_event_meets_the_filter(
        rows in prop::collection::vec((row(), 0..3_usize), 0..60), events in prop::collection::vec(row(), 0..20),
    ) {
        let mut files: BTreeMap<(bool, i32, usize), Vec<Row>> = BTreeMap::new();
        for (row, file) in &rows {
            files.entry((false, row.day(), *file)).or_default().push(*row);
        }
        for row in &events {
            files.entry((true, row.day(), 0)).or_default().push(*row);
        }
        files.values_mut().for_each(|rows| rows.sort_by_key(Row::key));
        let role = |is_event, day| match is_event {
            true => Role::Events { day },
            false => Role::Member { membership: 0, day },
        };
        let files = files.into_iter().map(|((is_event, day, _), rows)| (role(is_event, day), rows));
        let found = merged(streams(files, 4)).unwrap();
        let of = |is_member: bool| -> Closed {
            let own = |given: &Given| (given.0 >= 1_000) == is_member;
            let kept = found.iter().map(|(subject, all)| (*subject, all.iter().copied().filter(own).collect::<Vec<_>>()));
            kept.filter(|(_, all)| !all.is_empty()).collect()
        };
        prop_assert_eq!(of(false), expected(events));
        let members: Vec<u128> = of(true).into_iter().map(|(subject, _)| subject).collect();
        let asked: Vec<u128> =
            expected(rows.into_iter().map(|(row, _)| row).collect()).into_iter().map(|(subject, _)| subject).collect();
        prop_assert_eq!(members, asked);
    }
}

#[test]
fn members_come_with_their_subject_and_a_pulse_can_stop_it() {
    let world = || {
        let events = vec![Row::new(1, 0, 10), Row::new(3, 0, 11)];
        let members = vec![Row::new(2, 0, 0), Row::new(3, 0, 0)];
        streams([(Role::Events { day: 3 }, events), (Role::Member { membership: 0, day: 3 }, members)], 9)
    };
    assert_eq!(
        merged(world()),
        Ok(vec![(1, vec![(3, 0, 10)]), (2, vec![(1_000, 0, 0)]), (3, vec![(1_000, 0, 0), (3, 0, 11)])])
    );
    let mut left = 3;
    let mut pulse = |_| {
        left -= 1;
        if left == 0 { Err(Failure::Internal) } else { Ok(()) }
    };
    let stopped = merge(world(), &mut Recorder::default(), &mut pulse);
    assert_eq!(stopped, Err(Stop::Failed(Failure::Internal)));
}

/// Of a subject's day the first events count, so many that a set of their ids stays small; the copies of these never do.
#[test]
fn events_beyond_the_most_of_a_day_do_not_count_however_they_lie() {
    let most = EVENTS_MAX as u128;
    // Copies of every fifth one, later; and of one that is beyond.
    let firsts = (0..most + 9).map(|id| Row { time_us: 0, ..Row::new(1, 0, id) });
    let copies = (0..most).step_by(5).chain([most + 8]).map(|id| Row { time_us: 1, ..Row::new(1, 0, id) });
    let next_day = Row { time_us: DAY_US, ..Row::new(1, 0, 0) };
    let (firsts, copies): (Vec<Row>, Vec<Row>) = (firsts.collect(), copies.collect());
    for files in 1..4_usize {
        let mut split = vec![Vec::new(); files];
        for (at, row) in firsts.iter().chain(&copies).enumerate() {
            split[at * 7 % files].push(*row);
        }
        let today = split.into_iter().map(|rows| (Role::Events { day: 0 }, rows));
        let all = streams(today.chain([(Role::Events { day: 1 }, vec![next_day])]), 1_000);
        let found = merged(all).unwrap();
        let (subject, given) = &found[0];
        assert_eq!((found.len(), *subject, given.len()), (1, 1, EVENTS_MAX + 1));
        assert!(given[..EVENTS_MAX].iter().map(|row| row.2).eq(0..EVENTS_MAX as i64));
        assert_eq!(given[EVENTS_MAX], (1, DAY_US, 0), "a copy on another day counts there");
    }
}
