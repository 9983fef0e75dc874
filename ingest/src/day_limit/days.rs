//! Which days have their counts in memory.
//!
//! Invariants: a day is there once; one that a batch holds stays; of the others those that were not used for the longest
//! time leave, whole, until the rest fits. Handing one out and letting one go happen under one lock, so that a day without
//! a holder cannot get one while it leaves. Not here: counting a day (`opening.rs`).

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use shoal_schemas::{Kind, Region};

use super::{counts::Counts, open_batch::OpenDay};

/// What a day takes besides its counts, bytes.
const DAY_BYTES: u64 = 256;
/// Open days grow, so what they take is looked at again after this many uses.
const USES_UNASKED_MAX: u64 = 256;

/// One day of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TableDay {
    pub(super) region: Region,
    pub(super) kind: Kind,
    /// Days since 1970-01-01, UTC.
    pub(super) day: i32,
}

/// The days that are open.
pub(super) struct Days {
    bytes_max: u64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    days: FxHashMap<TableDay, Slot>,
    uses: u64,
}

struct Slot {
    day: Arc<OpenDay>,
    /// The number of its last use.
    used: u64,
}

impl Days {
    pub(super) fn new(bytes_max: u64) -> Days {
        Days { bytes_max, open: Mutex::default() }
    }

    /// The counts of a day, if they are in memory.
    pub(super) fn get(&self, of: TableDay) -> Option<Arc<OpenDay>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        let slot = open.days.get_mut(&of)?;
        slot.used = uses;
        let day = Arc::clone(&slot.day);
        if uses.is_multiple_of(USES_UNASKED_MAX) {
            open.trim(self.bytes_max);
        }
        Some(day)
    }

    /// Takes the counts of a day that is not in memory.
    pub(super) fn put(&self, of: TableDay, counts: Counts) -> Arc<OpenDay> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let day = Arc::new(OpenDay::new(counts));
        open.uses += 1;
        let slot = Slot { day: Arc::clone(&day), used: open.uses };
        open.days.insert(of, slot);
        open.trim(self.bytes_max);
        day
    }

    /// How many days are open, and about the bytes that they take.
    pub(super) fn size(&self) -> (u64, u64) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.days.len() as u64, open.bytes())
    }
}

impl Open {
    fn bytes(&self) -> u64 {
        self.days.values().map(|slot| slot.day.bytes() + DAY_BYTES).sum()
    }

    fn trim(&mut self, bytes_max: u64) {
        let mut bytes = self.bytes();
        if bytes <= bytes_max {
            return;
        }
        let free = self.days.iter().filter(|(_, slot)| Arc::strong_count(&slot.day) == 1);
        let mut free: Vec<(u64, TableDay)> = free.map(|(of, slot)| (slot.used, *of)).collect();
        free.sort_unstable_by_key(|(used, _)| *used);
        for (_, of) in free {
            if bytes <= bytes_max {
                break;
            }
            let gone = self.days.remove(&of).map_or(0, |slot| slot.day.bytes() + DAY_BYTES);
            bytes = bytes.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i32) -> TableDay {
        TableDay { region: Region::De, kind: Kind::Usage, day }
    }

    fn counts(subjects: u64) -> Counts {
        let mut counts = Counts::new(5);
        (0..subjects).for_each(|subject| counts.add(subject, 1));
        counts
    }

    #[test]
    fn the_longest_unused_days_leave_and_those_that_are_held_stay() {
        let one = counts(1000).bytes() + DAY_BYTES;
        let days = Days::new(3 * one);
        let held = days.put(day(0), counts(1000));
        for at in 1..6 {
            drop(days.put(day(at), counts(1000)));
        }
        let there: Vec<i32> = (0..6).filter(|at| days.get(day(*at)).is_some()).collect();
        assert_eq!(there, [0, 4, 5]);
        assert_eq!(days.size(), (3, 3 * one));
        drop((days.get(day(4)), held));
        drop(days.put(day(6), counts(1000)));
        // 5 was asked for after 0, and 4 after 5.
        let there: Vec<i32> = (0..7).filter(|at| days.get(day(*at)).is_some()).collect();
        assert_eq!(there, [4, 5, 6]);
    }

    #[test]
    fn a_day_that_is_larger_than_everything_is_alone() {
        let days = Days::new(1);
        let held = days.put(day(0), counts(1000));
        drop(days.put(day(1), counts(1000)));
        drop(days.put(day(2), counts(1000)));
        assert!(days.get(day(0)).is_some(), "it is held");
        assert!(days.get(day(1)).is_none() && days.get(day(2)).is_some(), "the last one stays");
        drop(held);
    }
}
