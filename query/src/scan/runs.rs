//! Whose rows they are: a batch as runs of one subject each.
//!
//! Invariants: a pseudonym is 16 bytes, and as a number sorts as its bytes do. Not here: whether runs are in order (`merge`).

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::Int32Type;

use crate::failure::Failure;

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

/// A batch of one stream, ready for the accumulator.
pub(super) struct Loaded {
    /// Two that follow each other have different subjects.
    pub(super) runs: Vec<Run>,
    /// Empty when the accumulator is not timed.
    pub(super) times_us: Vec<i64>,
    /// In the order of the accumulator's scalars.
    pub(super) columns: Vec<ArrayRef>,
}

impl Loaded {
    /// That of each row.
    pub(super) fn subjects(&self) -> impl Iterator<Item = u128> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        starts.zip(&self.runs).flat_map(|(start, run)| std::iter::repeat_n(run.subject, run.end - start))
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|column| column.get_array_memory_size()).sum();
        self.runs.capacity() * size_of::<Run>() + self.times_us.capacity() * 8 + columns
    }
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

/// The subjects of the rows that are kept.
pub(super) fn subject_runs(array: &ArrayRef, keep: Option<&BooleanBuffer>) -> Result<Vec<Run>, Failure> {
    let Some(packed) = array.as_dictionary_opt::<Int32Type>() else {
        let all = digests(array)?;
        return Ok(match keep {
            None => runs(all.into_iter()),
            Some(keep) => runs(keep.set_indices().filter_map(|row| all.get(row).copied())),
        });
    };
    // A file's dictionary may be larger than the batch: only what is met is looked at.
    let (keys, values) = (packed.keys(), packed.values().as_binary_opt::<i32>().ok_or(Failure::Internal)?);
    if keys.null_count() > 0 {
        return Err(Failure::Internal);
    }
    let mut all: Vec<Run> = Vec::new();
    let (mut last, mut rows) = (None, 0);
    let mut add = |key: i32| -> Result<(), Failure> {
        rows += 1;
        if last == Some(key)
            && let Some(run) = all.last_mut()
        {
            run.end = rows;
            return Ok(());
        }
        last = Some(key);
        let at = usize::try_from(key).ok().filter(|at| *at < values.len() && values.is_valid(*at));
        let digest = values.value(at.ok_or(Failure::Internal)?);
        let subject = u128::from_be_bytes(digest.try_into().map_err(|_| Failure::Internal)?);
        match all.last_mut() {
            Some(run) if run.subject == subject => run.end = rows,
            _ => all.push(Run { subject, end: rows }),
        }
        Ok(())
    };
    match keep {
        None => keys.values().iter().try_for_each(|key| add(*key))?,
        Some(keep) => {
            let mut kept = keep.set_indices();
            kept.try_for_each(|row| add(keys.values().get(row).copied().ok_or(Failure::Internal)?))?;
        }
    }
    Ok(all)
}
