//! Which rows are copies of an event: one rule, for compaction and for whoever reads the files.
//!
//! Rows of one subject on one day of a table that have the same event id are copies of one event. A resend makes one that
//! comes after the endpoint has forgotten the first, perhaps with another time, because the sender's clock was corrected
//! by another amount. In the order of rows (subject, time, event id) the first of them is the event; of rows with the same
//! key that differ in something else, each reader takes one by what it reads.
//!
//! ```text
//! rows of a subject's day, in order -> in the set? Copy : room in the set? New, remembered : Beyond
//! ```
//! The set holds [`EVENTS_MAX`] event ids. Compaction drops a copy and keeps what is beyond; a query counts what is new and
//! leaves out both. So compaction only drops rows that are copies of an earlier one that stays, and a query, which sees all
//! rows of the day in order, counts the same events whichever files were merged before: the first of each event id, up to
//! [`EVENTS_MAX`] of them.
//!
//! Invariants: what a row is depends on the rows of its subject and day alone; memory is bounded by the set. A copy on
//! another day is another event. Not here: the order itself (`write`), the merges (`merge`, and `scan/merge` of
//! `shoal-query`).

/// Events of one subject's day in one table that are told apart.
pub const EVENTS_MAX: usize = 65_536;

/// Up to so many ids are looked through one by one.
const LISTED_MAX: usize = 24;
/// Slots of the smallest table; a power of two.
const SLOTS_MIN: usize = 128;

/// What a row is to its subject's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The first of its event id.
    New,
    /// A row with this event id came before.
    Copy,
    /// More than [`EVENTS_MAX`] events came before.
    Beyond,
}

/// The event ids of the subject's day at hand. No `Debug`: it holds pseudonyms.
///
/// Most days have few events, and there are many days: going on to the next one takes no longer after a day of many.
#[derive(Default)]
pub struct Seen {
    /// The subject, and its day since 1970-01-01.
    unit: Option<(u128, i32)>,
    /// In the order in which they came.
    ids: Vec<u128>,
    /// Once there are more than a few: a hash table of positions in `ids`, at most half full, open addressing. A slot
    /// is empty unless it has the stamp of the day at hand. Digests are keyed, so that nobody outside can choose where
    /// they fall.
    slots: Vec<Slot>,
    stamp: u32,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    stamp: u32,
    position: u32,
}

impl Seen {
    /// A row with this event id, of this subject and day. The rows of a subject's day follow each other, in order.
    pub fn meet(&mut self, unit: (u128, i32), event_id: u128) -> Met {
        if self.unit != Some(unit) {
            self.unit = Some(unit);
            self.forget();
        }
        if self.ids.len() <= LISTED_MAX {
            if self.ids.contains(&event_id) {
                return Met::Copy;
            }
            self.ids.push(event_id);
            if self.ids.len() > LISTED_MAX {
                self.fill();
            }
            return Met::New;
        }
        let Err(slot) = self.find(event_id) else { return Met::Copy };
        if self.ids.len() >= EVENTS_MAX {
            return Met::Beyond;
        }
        self.slots[slot] = Slot { stamp: self.stamp, position: self.ids.len() as u32 };
        self.ids.push(event_id);
        if 2 * self.ids.len() > self.slots.len() {
            self.fill();
        }
        Met::New
    }

    fn forget(&mut self) {
        self.ids.clear();
        match self.stamp.checked_add(1) {
            Some(next) => self.stamp = next,
            None => {
                self.slots.fill(Slot::default());
                self.stamp = 1;
            }
        }
    }

    /// Where the id is, or the empty slot that it may take.
    fn find(&self, event_id: u128) -> Result<usize, usize> {
        let word = (event_id as u64) ^ (event_id >> 64) as u64;
        let mask = self.slots.len() - 1;
        let mut at = (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            let Slot { stamp, position } = self.slots[at];
            if stamp != self.stamp {
                return Err(at);
            }
            if self.ids[position as usize] == event_id {
                return Ok(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// All ids in a table that has room for more.
    fn fill(&mut self) {
        let slots = (4 * self.ids.len()).next_power_of_two().max(SLOTS_MIN);
        if self.slots.len() < slots {
            self.slots = vec![Slot::default(); slots];
        }
        for position in 0..self.ids.len() {
            if let Err(slot) = self.find(self.ids[position]) {
                self.slots[slot] = Slot { stamp: self.stamp, position: position as u32 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_of_an_id_is_new_and_the_others_are_copies(
            rows in prop::collection::vec((0..3_u128, 0..2_i32, 0..90_u128), 0..900),
        ) {
            let mut rows = rows;
            rows.sort_by_key(|(subject, day, _)| (*subject, *day));
            let (mut seen, mut known) = (Seen::default(), HashSet::new());
            for (subject, day, id) in rows {
                let expected = if known.insert((subject, day, id)) { Met::New } else { Met::Copy };
                prop_assert_eq!(seen.meet((subject, day), id), expected);
            }
        }
    }

    #[test]
    fn days_are_told_apart_also_when_their_stamps_begin_anew() {
        let mut seen = Seen { stamp: u32::MAX - 2, ..Seen::default() };
        for day in 0..5 {
            for expected in [Met::New, Met::Copy] {
                assert!((0..300_u128).all(|id| seen.meet((1, day), id) == expected), "day {day}");
            }
        }
    }

    #[test]
    fn what_comes_after_the_most_events_is_beyond_and_copies_are_known_all_the_same() {
        let mut seen = Seen::default();
        let most = EVENTS_MAX as u128;
        assert!((0..most).all(|id| seen.meet((1, 7), id) == Met::New));
        for _ in 0..2 {
            assert_eq!(seen.meet((1, 7), most), Met::Beyond);
            assert_eq!(seen.meet((1, 7), 0), Met::Copy);
            assert_eq!(seen.meet((1, 7), most - 1), Met::Copy);
        }
        assert_eq!(seen.meet((1, 8), most), Met::New, "another day");
        assert_eq!(seen.meet((2, 8), most), Met::New, "another subject");
        assert_eq!(seen.meet((2, 8), most), Met::Copy);
    }
}
