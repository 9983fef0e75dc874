//! Whose rows they are: a batch as runs of one subject each, with the time and the event id of each row.
//!
//! Invariants: a digest is 16 bytes, and as a number sorts as its bytes do. Not here: whether rows are in order (`merge`).

use std::ops::{Range, RangeInclusive};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Int32Type};

use crate::failure::Failure;

/// The most bytes of a row in memory, but for its values: its run, its time, its event id, how many before it are asked about,
/// and its time once more if it is.
pub(super) const ROW_BYTES: usize = size_of::<Run>() + 8 + 16 + 4 + 8;
/// What a row takes besides while rows are put in order ([`sorted`], [`arranged`]); lists may have grown to twice as much.
pub(super) const ORDERED_BYTES: usize = 2
    * (size_of::<Key>()
        + size_of::<u128>()
        + size_of::<(i64, u128)>()
        + size_of::<Option<u32>>()
        + 2 * size_of::<u32>()
        + ROW_BYTES);

/// Rows of one subject that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The pseudonym as a number that sorts as its bytes do.
    pub(super) subject: u128,
    /// The row after the last one.
    pub(super) end: usize,
}

/// Rows as runs, which are as long as can be.
pub(super) fn runs(subjects: impl Iterator<Item = u128>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, subject) in subjects.enumerate() {
        match runs.last_mut() {
            Some(run) if run.subject == subject => run.end = row + 1,
            _ => runs.push(Run { subject, end: row + 1 }),
        }
    }
    runs
}

/// What rows are ordered by: subject, time in microseconds, event id.
pub(super) type Key = (u128, i64, u128);

/// A batch of one stream, ready for the merge and the accumulator: all readable rows, and the values of those that meet
/// the filter. The others count too: an event whose first row does not meet the filter is not asked about, whatever its
/// copies say. No `Debug`: they are events.
#[derive(Default)]
pub(super) struct Loaded {
    /// Two that follow each other have different subjects.
    pub(super) runs: Vec<Run>,
    /// Of each row.
    pub(super) times_us: Vec<i64>,
    /// Of each row, as a number that sorts as its bytes do.
    pub(super) event_ids: Vec<u128>,
    pub(super) asked: Asked,
    /// In the order of the accumulator's scalars, of the rows that are asked about; there may be none when no row is.
    pub(super) columns: Vec<ArrayRef>,
}

/// The rows that meet the filter.
#[derive(Default)]
pub(super) enum Asked {
    #[default]
    All,
    Some {
        /// How many there are before each row, and at last how many there are.
        before: Vec<u32>,
        /// The times of those, not of the others.
        times_us: Vec<i64>,
    },
}

impl Asked {
    /// Those of so many rows, as these flags tell.
    pub(super) fn of(flags: impl Iterator<Item = bool>, all_us: &[i64]) -> Asked {
        let (mut before, mut times_us) = (Vec::with_capacity(all_us.len() + 1), Vec::new());
        let mut count = 0;
        for (is_asked, time_us) in flags.zip(all_us) {
            before.push(count);
            if is_asked {
                times_us.push(*time_us);
                count += 1;
            }
        }
        before.push(count);
        Asked::Some { before, times_us }
    }
}

impl Loaded {
    pub(super) fn rows(&self) -> usize {
        self.event_ids.len()
    }

    /// What orders the rows of one subject.
    pub(super) fn place(&self, row: usize) -> (i64, u128) {
        (self.times_us[row], self.event_ids[row])
    }

    /// That of each row.
    pub(super) fn subjects(&self) -> impl Iterator<Item = u128> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        starts.zip(&self.runs).flat_map(|(start, run)| std::iter::repeat_n(run.subject, run.end - start))
    }

    /// Where the values of these rows are in the columns, of those that are asked about.
    pub(super) fn values_of(&self, rows: Range<usize>) -> Range<usize> {
        match &self.asked {
            Asked::All => rows,
            Asked::Some { before, .. } => before[rows.start] as usize..before[rows.end] as usize,
        }
    }

    /// The times of the rows that are in the columns.
    pub(super) fn asked_times_us(&self) -> &[i64] {
        match &self.asked {
            Asked::All => &self.times_us,
            Asked::Some { times_us, .. } => times_us,
        }
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|column| column.get_array_memory_size()).sum();
        let asked = match &self.asked {
            Asked::All => 0,
            Asked::Some { before, times_us } => before.capacity() * 4 + times_us.capacity() * 8,
        };
        let rows = self.times_us.capacity() * 8 + self.event_ids.capacity() * 16;
        self.runs.capacity() * size_of::<Run>() + rows + asked + columns
    }

    /// The rows of these subjects, of rows that are in order; none when there are none. Their values are not copied.
    pub(super) fn of_subjects(&self, subjects: &RangeInclusive<u128>) -> Option<Loaded> {
        let first = self.runs.partition_point(|run| run.subject < *subjects.start());
        let after = self.runs.partition_point(|run| run.subject <= *subjects.end());
        let end = |runs: usize| runs.checked_sub(1).map_or(0, |last| self.runs[last].end);
        (first < after).then(|| self.part(end(first)..end(after)))
    }

    /// The same rows, with as little memory as they need.
    pub(super) fn fitted(mut self) -> Loaded {
        self.runs.shrink_to_fit();
        if let Asked::Some { before, times_us } = &mut self.asked {
            before.shrink_to_fit();
            times_us.shrink_to_fit();
        }
        self.columns.iter_mut().for_each(|column| column.shrink_to_fit());
        self
    }

    /// Whether the rows are in order.
    pub(super) fn is_in_order(&self) -> bool {
        let subjects = self.runs.windows(2).all(|pair| pair[0].subject < pair[1].subject);
        let mut start = 0;
        subjects
            && self.runs.iter().all(|run| {
                let own = start..run.end;
                start = run.end;
                own.clone().zip(own.skip(1)).all(|(one, next)| self.place(one) <= self.place(next))
            })
    }

    /// Some rows that follow each other; their values are not copied.
    pub(super) fn part(&self, rows: Range<usize>) -> Loaded {
        let first = self.runs.partition_point(|run| run.end <= rows.start);
        let is_in = |run: &&Run| run.end < rows.end;
        let whole = self.runs[first..].iter().take_while(is_in).count();
        let runs = self.runs[first..].iter().take(whole + 1);
        let runs = runs.map(|run| Run { subject: run.subject, end: run.end.min(rows.end) - rows.start });
        let values = self.values_of(rows.clone());
        let asked = match &self.asked {
            Asked::All => Asked::All,
            Asked::Some { before, times_us } => Asked::Some {
                before: before[rows.start..=rows.end]
                    .iter()
                    .map(|count| count - before[rows.start])
                    .collect(),
                times_us: times_us[values.clone()].to_vec(),
            },
        };
        Loaded {
            runs: runs.collect(),
            times_us: self.times_us[rows.clone()].to_vec(),
            event_ids: self.event_ids[rows].to_vec(),
            asked,
            columns: self.columns.iter().map(|column| column.slice(values.start, values.len())).collect(),
        }
    }

    /// The same rows, with texts packed anew where there are more of them than rows.
    pub(super) fn packed(mut self) -> Result<Loaded, Failure> {
        for column in &mut self.columns {
            let texts = column.as_dictionary_opt::<Int32Type>().map(|packed| packed.values());
            if let Some(texts) = texts.filter(|texts| texts.len() > column.len()) {
                let plain = cast(column, texts.data_type())?;
                *column = cast(&plain, column.data_type())?;
            }
        }
        Ok(self)
    }

    /// Whether rows of one subject and time are not in the order of their event ids: a file may know no order of those.
    pub(super) fn has_loose_ties(&self) -> bool {
        let mut start = 0;
        self.runs.iter().any(|run| {
            let (first, last) = (start, run.end.saturating_sub(1));
            start = run.end;
            (first..last).any(|row| {
                self.times_us[row] == self.times_us[row + 1] && self.event_ids[row] > self.event_ids[row + 1]
            })
        })
    }
}

/// The rows of these batches in order, as one.
pub(super) fn sorted(batches: &[Loaded]) -> Result<Loaded, Failure> {
    let keys: Vec<(u128, (i64, u128))> = batches
        .iter()
        .flat_map(|batch| batch.subjects().zip((0..batch.rows()).map(|row| batch.place(row))))
        .collect();
    let mut order: Vec<u32> = (0..number(keys.len())?).collect();
    order.sort_by_key(|row| keys[*row as usize]);
    arranged(batches, &order)
}

/// These rows of these batches, counted through, as one.
fn arranged(batches: &[Loaded], order: &[u32]) -> Result<Loaded, Failure> {
    let subjects: Vec<u128> = batches.iter().flat_map(Loaded::subjects).collect();
    let each_row = || batches.iter().flat_map(|batch| (0..batch.rows()).map(move |row| (batch, row)));
    let places: Vec<(i64, u128)> = each_row().map(|(batch, row)| batch.place(row)).collect();
    let mut values = 0;
    let value = |(batch, row): (&Loaded, usize)| {
        let is_asked = !batch.values_of(row..row + 1).is_empty();
        values += u32::from(is_asked);
        is_asked.then(|| values - 1)
    };
    let value_of: Vec<Option<u32>> = each_row().map(value).collect();
    let in_order = || order.iter().map(|row| *row as usize);
    let runs = runs(in_order().map(|row| subjects[row]));
    let (times_us, event_ids): (Vec<i64>, Vec<u128>) = in_order().map(|row| places[row]).unzip();
    let picks: UInt32Array = in_order().filter_map(|row| value_of[row]).collect();
    let asked = match picks.len() == order.len() {
        true => Asked::All,
        false => Asked::of(in_order().map(|row| value_of[row].is_some()), &times_us),
    };
    let width = batches.iter().map(|batch| batch.columns.len()).max().unwrap_or(0);
    let column = |at: usize| -> Result<ArrayRef, Failure> {
        let parts: Vec<&dyn Array> =
            batches.iter().filter_map(|batch| batch.columns.get(at)).map(AsRef::as_ref).collect();
        if parts.iter().all(|part| part.data_type() == &DataType::Null) {
            return Ok(new_null_array(&DataType::Null, picks.len()));
        }
        Ok(take(&concat(&parts)?, &picks, None)?)
    };
    let columns = (0..width).map(column).collect::<Result<_, _>>()?;
    Ok(Loaded { runs, times_us, event_ids, asked, columns })
}

fn number(rows: usize) -> Result<u32, Failure> {
    u32::try_from(rows).map_err(|_| Failure::Internal)
}

/// Digests as numbers that sort as their bytes do.
pub(super) fn digests(array: &ArrayRef) -> Result<Vec<u128>, Failure> {
    let array = array.as_binary_opt::<i32>().ok_or(Failure::Internal)?;
    let offsets = array.value_offsets();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    if array.null_count() > 0 || offsets.windows(2).any(|pair| pair[1] - pair[0] != 16) {
        return Err(Failure::Internal);
    }
    let (first, last) = (
        usize::try_from(first).map_err(|_| Failure::Internal)?,
        usize::try_from(last).map_err(|_| Failure::Internal)?,
    );
    let bytes = array.value_data().get(first..last).ok_or(Failure::Internal)?;
    let (digests, _) = bytes.as_chunks::<16>();
    Ok(digests.iter().map(|digest| u128::from_be_bytes(*digest)).collect())
}

/// The subjects of rows.
pub(super) fn subject_runs(array: &ArrayRef) -> Result<Vec<Run>, Failure> {
    let Some(packed) = array.as_dictionary_opt::<Int32Type>() else {
        return Ok(runs(digests(array)?.into_iter()));
    };
    // A file's dictionary may be larger than the batch: only what is met is looked at.
    let (keys, values) = (packed.keys(), packed.values().as_binary_opt::<i32>().ok_or(Failure::Internal)?);
    if keys.null_count() > 0 {
        return Err(Failure::Internal);
    }
    let mut all: Vec<Run> = Vec::new();
    let mut last = None;
    for (row, key) in keys.values().iter().enumerate() {
        if last == Some(*key)
            && let Some(run) = all.last_mut()
        {
            run.end = row + 1;
            continue;
        }
        last = Some(*key);
        let at = usize::try_from(*key).ok().filter(|at| *at < values.len() && values.is_valid(*at));
        let digest = values.value(at.ok_or(Failure::Internal)?);
        let subject = u128::from_be_bytes(digest.try_into().map_err(|_| Failure::Internal)?);
        match all.last_mut() {
            Some(run) if run.subject == subject => run.end = row + 1,
            _ => all.push(Run { subject, end: row + 1 }),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::array::{DictionaryArray, Int64Array, StringArray};
    use datafusion::arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    /// A subject, a time, an event id, a value, and whether it is asked about.
    type Row = (u128, i64, u128, i64, bool);

    fn row() -> impl Strategy<Value = Row> {
        (0..6_u128, 0..4_i64, 0..9_u128, 0..5_i64, any::<bool>())
    }

    fn loaded(rows: &[Row]) -> Loaded {
        let times_us: Vec<i64> = rows.iter().map(|row| row.1).collect();
        let asked_of = || rows.iter().filter(|row| row.4);
        let numbers = Int64Array::from_iter_values(asked_of().map(|row| row.3));
        // A dictionary with more texts than are met.
        let texts = DictionaryArray::<Int32Type>::try_new(
            asked_of().map(|row| i32::try_from(row.3).unwrap()).collect(),
            Arc::new(["a", "b", "c", "d", "e", "f", "g"].map(Some).into_iter().collect::<StringArray>()),
        );
        Loaded {
            runs: runs(rows.iter().map(|row| row.0)),
            asked: Asked::of(rows.iter().map(|row| row.4), &times_us),
            times_us,
            event_ids: rows.iter().map(|row| row.2).collect(),
            columns: vec![Arc::new(numbers), Arc::new(texts.unwrap())],
        }
    }

    /// As rows again; of those that are not asked about the value is not known.
    fn rows(loaded: &Loaded) -> Vec<Row> {
        let texts = cast(&loaded.columns[1], &DataType::Utf8).unwrap();
        let numbers = loaded.columns[0].as_primitive::<Int64Type>();
        let each = loaded.subjects().enumerate().map(|(row, subject)| {
            let ((time_us, id), at) = (loaded.place(row), loaded.values_of(row..row + 1));
            let value = at.clone().next().map_or(0, |at| numbers.value(at));
            if let Some(at) = at.clone().next() {
                assert_eq!(texts.as_string::<i32>().value(at), &"abcdefg"[value as usize..=value as usize]);
                assert_eq!(loaded.asked_times_us()[at], time_us);
            }
            (subject, time_us, id, value, !at.is_empty())
        });
        each.collect()
    }

    proptest! {
        #[test]
        fn parts_and_subjects_are_the_rows_they_say(
            all in prop::collection::vec(row(), 1..30), ends in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
            (first, last) in (0..6_u128, 0..6_u128),
        ) {
            let all: Vec<Row> = all.into_iter().map(|row| (row.0, row.1, row.2, if row.4 { row.3 } else { 0 }, row.4)).collect();
            let (one, two) = (ends.0.index(all.len() + 1), ends.1.index(all.len() + 1));
            let (from, to) = (one.min(two), one.max(two));
            prop_assert_eq!(rows(&loaded(&all).part(from..to)), &all[from..to]);
            let ordered = sorted(&[loaded(&all)]).unwrap();
            prop_assert!(ordered.is_in_order());
            prop_assert_eq!(loaded(&all).is_in_order(), all.is_sorted_by_key(|row| (row.0, row.1, row.2)));
            let of: Vec<Row> =
                rows(&ordered).into_iter().filter(|row| (first..=last).contains(&row.0)).collect();
            let found = ordered.of_subjects(&(first..=last));
            prop_assert_eq!(found.as_ref().map_or(Vec::new(), rows), of.clone());
            let packed = found.map(|found| found.packed().unwrap().fitted());
            prop_assert_eq!(packed.as_ref().map_or(Vec::new(), rows), of);
            if let Some(packed) = packed {
                let texts = packed.columns[1].as_dictionary::<Int32Type>();
                prop_assert!(texts.values().len() <= texts.len().max(5));
            }
        }
    }
}
