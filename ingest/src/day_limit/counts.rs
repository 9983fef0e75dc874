//! How many rows each subject has on one day of one table.
//!
//! A subject is known by the first half of its pseudonym, a keyed digest: two subjects of a day of a million meet by chance
//! with probability 3 in 10^8, and nobody without the key can aim. Up to [`SUBJECTS_MAX`] subjects the counts are exact; a
//! day with more gets a sketch of fixed size, whose numbers are never too low, and a little too high.
//!
//! Invariant: of no subject more than the limit is admitted. Not here: where the rows are (`opening.rs`).

use rustc_hash::FxHashMap;

use super::sketch::Sketch;

/// Subjects that are counted exactly. Their map takes up to 18 MB, the sketch of more takes 12 MB.
const SUBJECTS_MAX: usize = 1 << 19;
/// Bytes of a slot of the map: a subject, a count, and a byte of the map's own; seven of eight slots are used at the most.
const SLOT_BYTES: usize = 17;

/// What a subject is known by.
pub(crate) fn short(subject: &[u8; 16]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&subject[..8]);
    u64::from_le_bytes(first)
}

/// The counts of one day. No `Debug`: it holds parts of pseudonyms.
pub(crate) struct Counts {
    events_max: u32,
    subjects_max: usize,
    form: Form,
}

enum Form {
    Exact(FxHashMap<u64, u32>),
    Sketch(Sketch),
}

impl Counts {
    /// Of a day without rows.
    pub(crate) fn new(events_max: u32) -> Counts {
        Counts { events_max, subjects_max: SUBJECTS_MAX, form: Form::Exact(FxHashMap::default()) }
    }

    /// The same, with a sketch from so many subjects on.
    #[cfg(test)]
    pub(super) fn with_subjects_max(events_max: u32, subjects_max: usize) -> Counts {
        Counts { subjects_max, ..Counts::new(events_max) }
    }

    /// Adds rows that are kept already.
    pub(crate) fn add(&mut self, subject: u64, rows: u64) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        match &mut self.form {
            Form::Exact(map) => {
                let count = map.entry(subject).or_default();
                *count = count.saturating_add(rows);
            }
            Form::Sketch(sketch) => sketch.add(subject, rows),
        }
        self.bound();
    }

    /// Whether one more event of the subject may be kept. It is counted when it may.
    pub(crate) fn admit(&mut self, subject: u64) -> bool {
        match &mut self.form {
            Form::Exact(map) => {
                let count = map.entry(subject).or_default();
                if *count >= self.events_max {
                    return false;
                }
                *count += 1;
            }
            Form::Sketch(sketch) => {
                if sketch.count(subject) >= self.events_max {
                    return false;
                }
                sketch.add(subject, 1);
            }
        }
        self.bound();
        true
    }

    /// How many the subject has.
    pub(crate) fn count(&self, subject: u64) -> u32 {
        match &self.form {
            Form::Exact(map) => map.get(&subject).copied().unwrap_or_default(),
            Form::Sketch(sketch) => sketch.count(subject),
        }
    }

    /// About the memory that they take.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match &self.form {
            Form::Exact(map) => map.capacity() * 8 / 7 * SLOT_BYTES,
            Form::Sketch(sketch) => sketch.bytes(),
        };
        bytes as u64
    }

    /// Too many subjects for a map become a sketch.
    fn bound(&mut self) {
        if let Form::Exact(map) = &self.form
            && map.len() > self.subjects_max
        {
            let mut sketch = Sketch::default();
            map.iter().for_each(|(subject, rows)| sketch.add(*subject, *rows));
            self.form = Form::Sketch(sketch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_subject_gets_what_is_left_of_its_limit_and_no_more(
            kept in proptest::collection::vec((0..5u64, 0..9u64), 0..6),
            events in proptest::collection::vec(0..6u64, 0..80),
            events_max in 1..8u32,
            subjects_max in prop_oneof![Just(0), Just(2), Just(SUBJECTS_MAX)],
        ) {
            let mut counts = Counts::with_subjects_max(events_max, subjects_max);
            let mut truth: HashMap<u64, u64> = HashMap::new();
            for (subject, rows) in kept {
                counts.add(subject, rows);
                *truth.entry(subject).or_default() += rows;
            }
            for subject in events {
                let count = truth.entry(subject).or_default();
                let fits = *count < u64::from(events_max);
                prop_assert_eq!(counts.admit(subject), fits);
                *count += u64::from(fits);
            }
        }
    }

    #[test]
    fn a_day_of_very_many_subjects_takes_no_more_memory() {
        let mut counts = Counts::new(100);
        for subject in 0..2 * SUBJECTS_MAX as u64 {
            assert!(counts.admit(subject.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            assert!(counts.bytes() < 20 << 20, "{subject}: {}", counts.bytes());
        }
        // One that comes now is counted with the few that share its cells.
        let admitted = (0..200).filter(|_| counts.admit(77)).count();
        assert!((95..=100).contains(&admitted), "{admitted}");
    }
}
