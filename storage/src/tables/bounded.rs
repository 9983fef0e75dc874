//! How many rows a day has when each subject counts for a limited number of them, from the one column that says whose rows
//! they are.
//!
//! ```text
//! file 1: run -> |                 |
//! file 2: run -> | heap of subject | -> rows of one subject, of all files -> at most so many of them -> sum
//! file n: run -> |                 |
//! ```
//! Invariants: one subject changes the number by no more than the limit, whatever the files hold and however they are
//! sorted. Memory is one batch and one page for each open file. Files beyond [`OPEN_MAX`] and those that are not sorted by
//! subject are read into memory, one entry for each of their subjects. Synchronous. Not here: what is known without
//! reading rows (`snapshot`), how many rows of one subject a day may hold (`shoal-ingest`).

use std::collections::{BTreeMap, BTreeSet};

use shoal_schemas::columns;

use crate::error::Result;
use crate::tables::heads::Heads;
use crate::tables::live_file::LiveFile;
use crate::tables::read::FileRows;
use crate::tables::snapshot::Snapshot;
use crate::tables::subjects::{BATCH_ROWS, visit_runs};

/// Files that are open at one time.
const OPEN_MAX: usize = 256;

/// Rows of one subject that follow each other in a file. No `Debug`: it holds a pseudonym.
struct SubjectRun {
    /// The pseudonym as a number that sorts as its bytes do.
    subject: u128,
    rows: u64,
}

type Runs<'s> = Box<dyn Iterator<Item = Result<SubjectRun>> + 's>;

/// What came of counting.
enum Counted {
    Rows(u64),
    /// This stream is not sorted.
    Unsorted(usize),
}

impl Snapshot {
    /// The rows of a day, where of each subject at most so many count. Files whose keys are gone have none.
    ///
    /// # Errors
    /// [`StorageError`](crate::StorageError) when a file cannot be read, or a row has no pseudonym.
    pub fn bounded_rows(&self, day: i32, most: u64) -> Result<u64> {
        let mut files: Vec<&LiveFile> =
            self.files().iter().filter(|file| file.day == day && self.has_key(file)).collect();
        // The largest ones stay open.
        files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
        let mut in_memory: BTreeSet<usize> = (OPEN_MAX..files.len()).collect();
        loop {
            let open = |(at, file): (usize, &&LiveFile)| -> Result<Runs<'_>> {
                let runs = self.subject_runs(file)?;
                match in_memory.contains(&at) {
                    true => sorted(runs),
                    false => Ok(Box::new(runs)),
                }
            };
            let streams = files.iter().enumerate().map(open).collect::<Result<Vec<_>>>()?;
            match counted(streams, most)? {
                Counted::Rows(rows) => return Ok(rows),
                Counted::Unsorted(at) => drop(in_memory.insert(at)),
            }
        }
    }

    fn subject_runs(&self, file: &LiveFile) -> Result<FileRuns> {
        let rows = self.rows(file, &[columns::SUBJECT], BATCH_ROWS)?;
        Ok(FileRuns { path: file.path.clone(), rows, runs: Vec::new().into_iter() })
    }
}

/// The runs of a file, in its order.
struct FileRuns {
    path: String,
    rows: FileRows,
    /// Those of the batch at hand that come next.
    runs: std::vec::IntoIter<SubjectRun>,
}

impl Iterator for FileRuns {
    type Item = Result<SubjectRun>;

    fn next(&mut self) -> Option<Result<SubjectRun>> {
        loop {
            if let Some(run) = self.runs.next() {
                return Some(Ok(run));
            }
            let mut runs = Vec::new();
            let read = self.rows.next()?.and_then(|batch| {
                visit_runs(&batch, &self.path, &mut |subject, rows| {
                    runs.push(SubjectRun { subject: u128::from_be_bytes(*subject), rows });
                })
            });
            if let Err(error) = read {
                return Some(Err(error));
            }
            self.runs = runs.into_iter();
        }
    }
}

/// All runs of a file, one for each subject.
fn sorted<'s>(runs: impl Iterator<Item = Result<SubjectRun>>) -> Result<Runs<'s>> {
    let mut all: BTreeMap<u128, u64> = BTreeMap::new();
    for run in runs {
        let SubjectRun { subject, rows } = run?;
        let sum = all.entry(subject).or_default();
        *sum = sum.saturating_add(rows);
    }
    Ok(Box::new(all.into_iter().map(|(subject, rows)| Ok(SubjectRun { subject, rows }))))
}

/// The rows of streams that are sorted by subject.
fn counted(mut streams: Vec<Runs<'_>>, most: u64) -> Result<Counted> {
    let mut heads: Heads<u128> = Heads::with_capacity(streams.len());
    let mut rows: Vec<u64> = Vec::with_capacity(streams.len());
    for (at, stream) in streams.iter_mut().enumerate() {
        let first = stream.next().transpose()?;
        rows.push(first.as_ref().map_or(0, |run| run.rows));
        first.iter().for_each(|run| heads.push(run.subject, at));
    }
    let (mut all, mut of_one, mut last) = (0_u64, 0_u64, None);
    while let Some((subject, at)) = heads.first() {
        if last.replace(subject) != Some(subject) {
            all = all.saturating_add(of_one.min(most));
            of_one = 0;
        }
        of_one = of_one.saturating_add(rows[at]);
        let next = streams[at].next().transpose()?;
        if next.as_ref().is_some_and(|next| next.subject < subject) {
            return Ok(Counted::Unsorted(at));
        }
        rows[at] = next.as_ref().map_or(0, |run| run.rows);
        heads.advance(next.map(|run| run.subject));
    }
    Ok(Counted::Rows(all.saturating_add(of_one.min(most))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::tables::tests::{Faulty, block_on, open, part};

    fn runs(of: &[(u8, u64)]) -> impl Iterator<Item = Result<SubjectRun>> {
        of.iter().map(|(subject, rows)| Ok(SubjectRun { subject: u128::from(*subject), rows: *rows }))
    }

    proptest! {
        /// The sum of what each subject counts for, however the rows lie in files; and one subject more or less changes it
        /// by the limit at the most.
        #[test]
        fn each_subject_counts_for_its_rows_up_to_the_limit(
            files in prop::collection::vec(prop::collection::vec((0..6_u8, 1..9_u64), 0..8), 0..5),
            most in 1..12_u64,
            without in 0..6_u8,
        ) {
            let of = |files: &[Vec<(u8, u64)>]| {
                let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
                files.iter().flatten().for_each(|(subject, rows)| *sums.entry(*subject).or_default() += rows);
                let expected: u64 = sums.values().map(|sum| sum.min(&most)).sum();
                let streams = files.iter().map(|file| sorted(runs(file)).unwrap()).collect();
                let Counted::Rows(found) = counted(streams, most).unwrap() else { panic!("it is sorted") };
                assert_eq!(found, expected);
                // Files as they are, when each happens to be sorted.
                let streams: Vec<Runs<'_>> = files.iter().map(|file| Box::new(runs(file)) as Runs<'_>).collect();
                if let Counted::Rows(found) = counted(streams, most).unwrap() {
                    assert_eq!(found, expected);
                } else {
                    assert!(files.iter().any(|file| !file.is_sorted_by_key(|(subject, _)| *subject)));
                }
                found
            };
            let all = of(&files);
            let mut others = files.clone();
            others.iter_mut().for_each(|file| file.retain(|(subject, _)| *subject != without));
            let rest = of(&others);
            prop_assert!(rest <= all && all - rest <= most);
        }
    }

    #[test]
    fn the_files_of_a_day_are_counted_together_and_those_of_others_are_not() {
        let root = tempfile::tempdir().unwrap();
        block_on(async {
            let table = open(root.path(), Faulty::new(root.path(), &[])).await;
            // Five subjects: of ten rows each has two.
            for (version, (day, rows)) in (1..).zip([(7, 10), (7, 10), (7, 5), (8, 10)]) {
                table.append(vec![part(day, rows)], "test", version).await.unwrap();
            }
            let snapshot = table.snapshot().await.unwrap();
            let counted = |most| snapshot.bounded_rows(7, most).unwrap();
            assert_eq!([1, 2, 4, 5, 6, 1_000].map(counted), [5, 10, 20, 25, 25, 25]);
            assert_eq!(snapshot.bounded_rows(9, 4).unwrap(), 0);
        });
    }
}
