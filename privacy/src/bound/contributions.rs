//! The rows that are to be bounded, in columns.
//!
//! Invariants: every row has the same number of values; at most 2^32 - 1 rows. Holds pseudonyms: no `Debug`.
//! Memory: 24 bytes and 8 for each value a row; 40 bytes a row more while rows that are not in order are sorted.

use super::BoundError;

/// One row for each (day, subject, key), with one integer for each aggregate.
///
/// Rows of the same (day, subject, key) are added up (saturating) before anything is clamped, so that splitting a
/// contribution into many rows gains nothing. Fastest if pushed in order of (day, subject, key) for `bound_days`, of
/// (subject, key) for `bound_range`; any order gives the same totals.
pub struct Contributions {
    width: usize,
    days: Vec<i32>,
    subjects: Vec<[u8; 16]>,
    keys: Vec<u32>,
    values: Vec<i64>,
    key_max: u32,
}

/// A row as it is read back; the day is absent if the rows are taken as one range.
pub(super) struct Row<'a> {
    pub(super) day: Option<i32>,
    pub(super) subject: [u8; 16],
    pub(super) key: u32,
    pub(super) values: &'a [i64],
}

/// What rows are ordered by: the unit's day (0 in a range), the subject, the key.
type Order = (i32, u128, u32);

impl Contributions {
    /// No rows; `width` values in each, one per clamp of the limits (0 if only subjects are counted).
    pub fn new(width: usize) -> Contributions {
        Contributions::with_capacity(width, 0)
    }

    /// No rows, with room for so many.
    pub fn with_capacity(width: usize, rows: usize) -> Contributions {
        Contributions {
            width,
            days: Vec::with_capacity(rows),
            subjects: Vec::with_capacity(rows),
            keys: Vec::with_capacity(rows),
            values: Vec::with_capacity(rows.saturating_mul(width)),
            key_max: 0,
        }
    }

    /// Adds what a subject did on a day (since 1970-01-01) in a group. `key` is the caller's number for the group,
    /// best dense from 0; 0 if there is one group only.
    pub fn push(&mut self, day: i32, subject: [u8; 16], key: u32, values: &[i64]) -> Result<(), BoundError> {
        if values.len() != self.width {
            return Err(BoundError::Width);
        }
        if self.days.len() >= u32::MAX as usize {
            return Err(BoundError::Rows);
        }
        self.days.push(day);
        self.subjects.push(subject);
        self.keys.push(key);
        self.values.extend_from_slice(values);
        self.key_max = self.key_max.max(key);
        Ok(())
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// No rows?
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(super) fn key_max(&self) -> u32 {
        self.key_max
    }

    fn order(&self, row: usize, by_day: bool) -> Order {
        (if by_day { self.days[row] } else { 0 }, u128::from_be_bytes(self.subjects[row]), self.keys[row])
    }

    fn row(&self, row: usize, by_day: bool) -> Row<'_> {
        Row {
            day: by_day.then_some(self.days[row]),
            subject: self.subjects[row],
            key: self.keys[row],
            values: &self.values[row * self.width..(row + 1) * self.width],
        }
    }

    /// Every row, in order of (day if `by_day`, subject, key).
    pub(super) fn in_order<'a>(&'a self, by_day: bool, mut each: impl FnMut(Row<'a>)) {
        let rows = self.len();
        if (1..rows).all(|row| self.order(row - 1, by_day) <= self.order(row, by_day)) {
            (0..rows).for_each(|row| each(self.row(row, by_day)));
            return;
        }
        // `push` keeps the number of rows below 2^32.
        let mut sorted: Vec<(Order, u32)> =
            (0..rows).map(|row| (self.order(row, by_day), row as u32)).collect();
        sorted.sort_unstable();
        sorted.iter().for_each(|(_, row)| each(self.row(*row as usize, by_day)));
    }
}
