//! What became of what was sent, and what the tables must have of it.
//!
//! Invariants: a batch is acknowledged or not known, and stays acknowledged; an event of an acknowledged batch must be
//! there exactly once, in the table and with the measure of its number; one of any other batch that was sent at the
//! most once; nothing else may be there.

use std::collections::{BTreeMap, BTreeSet};

use crate::traffic::{Batch, number};

/// A row of a table, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Region and kind, as `de/usage`.
    pub table: String,
    /// The text that stands for the number of the event.
    pub word: String,
    /// Its measure, where the event has one.
    pub measure: Option<u64>,
}

/// Batches by what became of them.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    acknowledged: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
}

impl Sent {
    /// A batch was answered with 2xx.
    pub fn acknowledge(&mut self, batch: Batch) {
        self.unknown.remove(&batch.0);
        self.acknowledged.insert(batch.0);
    }

    /// A batch was sent and not answered with 2xx.
    pub fn lose(&mut self, batch: Batch) {
        if !self.acknowledged.contains(&batch.0) {
            self.unknown.insert(batch.0);
        }
    }

    /// Adds what another one knows.
    pub fn add(&mut self, other: &Sent) {
        other.acknowledged.iter().for_each(|batch| self.acknowledge(Batch(*batch)));
        other.unknown.iter().for_each(|batch| self.lose(Batch(*batch)));
    }

    /// The acknowledged ones.
    pub fn acknowledged(&self) -> impl Iterator<Item = Batch> {
        self.acknowledged.iter().map(|batch| Batch(*batch))
    }

    /// Those that nobody knows of.
    pub fn unknown(&self) -> impl Iterator<Item = Batch> {
        self.unknown.iter().map(|batch| Batch(*batch))
    }

    /// Compares rows with what was sent.
    ///
    /// # Errors
    /// What is lost, there more than once, wrong or strange: how many of each, and the first ones.
    pub fn compare(&self, rows: &[Row]) -> Result<(), String> {
        let mut found: BTreeMap<u64, u32> = BTreeMap::new();
        let mut wrong = Vec::new();
        for row in rows {
            match number(&row.word) {
                Some(of) if Batch::table(of) == row.table && Batch::measure(of) == row.measure => {
                    *found.entry(of).or_default() += 1;
                }
                _ => wrong.push(format!("{row:?}")),
            }
        }
        let of = |batches: &BTreeSet<u64>| {
            batches.iter().flat_map(|of| Batch(*of).events()).collect::<BTreeSet<u64>>()
        };
        let (must, may) = (of(&self.acknowledged), of(&self.unknown));
        let lost: Vec<u64> = must.iter().filter(|of| !found.contains_key(of)).copied().collect();
        let doubled: Vec<u64> = found.iter().filter(|(_, count)| **count > 1).map(|(of, _)| *of).collect();
        let strange: Vec<u64> =
            found.keys().filter(|of| !must.contains(of) && !may.contains(of)).copied().collect();
        if lost.is_empty() && doubled.is_empty() && strange.is_empty() && wrong.is_empty() {
            return Ok(());
        }
        let first = |list: &[u64]| {
            list.iter().take(12).map(|of| format!("{of} ({})", Batch::table(*of))).collect::<Vec<_>>()
        };
        Err(format!(
            "of {} acknowledged events {} are lost: {:?}; {} are there more than once: {:?}; {} were never sent: {:?}; \
             {} rows are wrong: {:?}",
            must.len(),
            lost.len(),
            first(&lost),
            doubled.len(),
            first(&doubled),
            strange.len(),
            first(&strange),
            wrong.len(),
            wrong.iter().take(5).collect::<Vec<_>>()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Sent};
    use crate::traffic::{Batch, letters};

    fn rows(batch: Batch) -> Vec<Row> {
        let row = |of| Row { table: Batch::table(of), word: letters(of), measure: Batch::measure(of) };
        batch.events().map(row).collect()
    }

    #[test]
    fn what_is_lost_doubled_strange_or_wrong_is_told() {
        let mut sent = Sent::default();
        sent.lose(Batch(1));
        sent.acknowledge(Batch(1));
        sent.lose(Batch(1));
        sent.lose(Batch(2));
        let all = rows(Batch(1));
        assert_eq!(sent.compare(&all), Ok(()));
        let with = |more: &[Row]| sent.compare(&[&all[..], more].concat());
        assert_eq!(with(&rows(Batch(2))[..3]), Ok(()), "of an unknown batch any part may be there");
        let told = |result: Result<(), String>, word: &str| {
            assert!(result.clone().is_err_and(|t| t.contains(word)), "{result:?}")
        };
        told(sent.compare(&all[1..]), "1 are lost: [\"20 (us/usage)\"]");
        told(with(&all[..1]), "1 are there more than once");
        told(with(&[&rows(Batch(2))[..], &rows(Batch(2))[..]].concat()), "20 are there more than once");
        told(with(&rows(Batch(3))), "20 were never sent");
        let mut other = all[0].clone();
        other.table = "de/usage".to_owned();
        told(with(&[other]), "1 rows are wrong");
    }
}
