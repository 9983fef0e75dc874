//! What callers have sent, and what they were told of it: the truth that tables are compared with.

use std::collections::BTreeMap;

use shoal_schemas::{Kind, Region};

/// An event that was made.
#[derive(Clone, Debug)]
pub struct Sent {
    pub region: Region,
    pub kind: Kind,
    /// Of its time, days since 1970.
    pub day: i32,
    pub user: u64,
    /// Whether anybody was told that it is kept.
    pub is_acknowledged: bool,
}

/// Every event by its number, which its row has as a duration, and what was found to be wrong.
#[derive(Default)]
pub struct Ledger {
    pub events: Vec<Sent>,
    /// From which day on rows may have gone, by table.
    expired: BTreeMap<(Region, Kind), i32>,
    pub wrong: Vec<String>,
}

/// How often each event is in the tables, and where.
pub type Found = BTreeMap<u64, Vec<(Region, Kind, i32)>>;

impl Ledger {
    pub fn note(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// Rows of days before this one go from now on.
    pub fn expire(&mut self, region: Region, kind: Kind, before: i32) {
        let day = self.expired.entry((region, kind)).or_insert(before);
        *day = before.max(*day);
    }

    fn may_be_gone(&self, event: &Sent) -> bool {
        self.expired.get(&(event.region, event.kind)).is_some_and(|before| event.day < *before)
    }

    /// Compares the tables with what was sent. At the end everything that is acknowledged is there.
    pub fn compare(&mut self, found: &Found, is_end: bool, events_max: u32) {
        let mut wrong = Vec::new();
        let mut of_days: BTreeMap<(Region, Kind, i32, u64), u32> = BTreeMap::new();
        for (number, places) in found {
            let Some(event) = self.events.get(*number as usize) else {
                wrong.push(format!("event {number} was never sent"));
                continue;
            };
            if places.len() > 1 {
                wrong.push(format!("event {number} is there {} times", places.len()));
            }
            if places.iter().any(|place| *place != (event.region, event.kind, event.day)) {
                wrong.push(format!("event {number} is in another place than its own"));
            }
            *of_days.entry((event.region, event.kind, event.day, event.user)).or_default() += 1;
        }
        let mut crowded = of_days.values().filter(|rows| **rows > events_max);
        if crowded.next().is_some() {
            wrong.push("a subject has more events of a day than it may".to_owned());
        }
        for (number, event) in self.events.iter().enumerate().filter(|_| is_end) {
            if event.is_acknowledged && !self.may_be_gone(event) && !found.contains_key(&(number as u64)) {
                wrong.push(format!("event {number} is lost: it was acknowledged"));
            }
        }
        self.wrong.extend(wrong);
    }
}
