//! One tally: how many events had which outcome, and the last reasons why some were not kept.
//!
//! Invariants: a tally is made of told outcomes and declared names, and of nothing else; it has no more rows, reasons and names
//! than there is room for: events beyond that are counted without their names, so that totals are right.
//! Not here: whose tally it is, and who may see it (`senders.rs`).

use std::collections::VecDeque;

use chrono::{DateTime, SecondsFormat};
use rustc_hash::FxHashMap;
use serde::Serialize;
use shoal_schemas::Protocol;

use crate::{
    answer::{BatchAnswer, Outcome, ToldOutcome},
    grant::KeyKind,
};

/// Declared names that are known at the most: those of events, properties and fields of protocols.
const NAMES_MAX: usize = 4096;

/// How much a tally may hold.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Rows that name an event. Those that name none are bounded by the protocols and codes that there are.
    pub(super) rows: usize,
    pub(super) reasons: usize,
}

/// Declared names, by which tallies say them.
#[derive(Default)]
pub(super) struct Names {
    numbers: FxHashMap<String, u16>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number =
            u16::try_from(self.names.len()).ok().filter(|number| usize::from(*number) < NAMES_MAX)?;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    fn name(&self, number: Option<u16>) -> Option<String> {
        self.names.get(usize::from(number?)).cloned()
    }
}

/// Events of one batch that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Group<'a> {
    told: ToldOutcome,
    event: Option<&'a str>,
    field: Option<&'a str>,
}

/// What a batch adds to a tally.
pub(super) struct Batch<'a> {
    pub(super) protocol: Protocol,
    pub(super) at_ms: i64,
    pub(super) groups: Vec<(Group<'a>, u64)>,
    pub(super) dropped_properties: u64,
    pub(super) skipped_items: u64,
}

/// The outcomes of a batch as the holder of a key of this kind is told them, in an order of their own. What is taken has no name.
pub(super) fn groups<'a>(answer: &'a BatchAnswer, kind: KeyKind) -> Vec<(Group<'a>, u64)> {
    let declared = &answer.declared;
    let mut groups: FxHashMap<Group<'a>, u64> = FxHashMap::default();
    let mut add = |outcome: &Outcome, event: Option<&'a str>, field: Option<&'a str>, events: u64| {
        let told = ToldOutcome::of(outcome, kind);
        let event = event.filter(|_| !told.is_taken());
        *groups.entry(Group { told, event, field }).or_default() += events;
    };
    // Nearly all events are accepted or duplicates, so these are counted without looking anything up: by name, and without one.
    let mut plain = vec![[0u64; 2]; declared.names().len() + 1];
    let nameless = declared.names().len();
    for (slot, outcome) in answer.events.iter().enumerate() {
        let by_name = &mut plain[declared.at(slot).unwrap_or(nameless)];
        match outcome {
            Outcome::Accepted => by_name[0] += 1,
            Outcome::Duplicate => by_name[1] += 1,
            Outcome::Withheld(_) => add(outcome, declared.name(slot), None, 1),
            Outcome::Rejected(rejection) => add(outcome, declared.name(slot), rejection.field.as_deref(), 1),
        }
    }
    for (at, [accepted, duplicate]) in plain.into_iter().enumerate() {
        let name = declared.names().get(at).map(String::as_str);
        for (outcome, events) in [(Outcome::Accepted, accepted), (Outcome::Duplicate, duplicate)] {
            if events > 0 {
                add(&outcome, name, None, events);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable();
    groups
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    protocol: Protocol,
    told: ToldOutcome,
    event: Option<u16>,
}

struct Reason {
    at_ms: i64,
    row: Row,
    field: Option<u16>,
    events: u64,
}

/// What became of events.
pub(super) struct Tally {
    room: Room,
    rows: FxHashMap<Row, u64>,
    refused: FxHashMap<(Protocol, &'static str), u64>,
    dropped_properties: u64,
    skipped_items: u64,
    /// Each once; the last one is the latest.
    reasons: VecDeque<Reason>,
}

impl Tally {
    pub(super) fn new(room: Room) -> Tally {
        Tally {
            room,
            rows: FxHashMap::default(),
            refused: FxHashMap::default(),
            dropped_properties: 0,
            skipped_items: 0,
            reasons: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, batch: &Batch<'_>, names: &mut Names) {
        self.dropped_properties += batch.dropped_properties;
        self.skipped_items += batch.skipped_items;
        for (group, events) in &batch.groups {
            let event = group.event.and_then(|name| names.number(name));
            let mut row = Row { protocol: batch.protocol, told: group.told, event };
            if self.rows.len() >= self.room.rows && !self.rows.contains_key(&row) {
                row.event = None;
            }
            *self.rows.entry(row).or_default() += events;
            if group.told.code.is_some() {
                let field = group.field.and_then(|name| names.number(name));
                self.add_reason(Reason { at_ms: batch.at_ms, row, field, events: *events });
            }
        }
    }

    /// A reason that is known already comes to the end, with the events of both.
    fn add_reason(&mut self, mut reason: Reason) {
        let is_same = |known: &Reason| (known.row, known.field) == (reason.row, reason.field);
        if let Some(at) = self.reasons.iter().position(is_same)
            && let Some(known) = self.reasons.remove(at)
        {
            reason.events += known.events;
        }
        self.reasons.push_back(reason);
        if self.reasons.len() > self.room.reasons {
            self.reasons.pop_front();
        }
    }

    pub(super) fn add_refusal(&mut self, protocol: Protocol, code: &'static str) {
        *self.refused.entry((protocol, code)).or_default() += 1;
    }

    /// What it says to the holder of a key of this kind, whose told outcomes it was made of.
    pub(super) fn counters(&self, kind: KeyKind, names: &Names) -> Counters {
        let total = |status: &str| -> u64 {
            let of_status = self.rows.iter().filter(|(row, _)| row.told.status == status);
            of_status.map(|(_, events)| events).sum()
        };
        let is_shipped = kind == KeyKind::Shipped;
        let if_told = |status: &str, is_told: bool| is_told.then(|| total(status));
        let mut events: Vec<EventCount> = self
            .rows
            .iter()
            .map(|(row, events)| EventCount {
                protocol: row.protocol,
                event: names.name(row.event),
                outcome: row.told.status,
                code: row.told.code,
                events: *events,
            })
            .collect();
        events.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
        let mut refused: Vec<RefusedCount> = self
            .refused
            .iter()
            .map(|((protocol, code), requests)| RefusedCount {
                protocol: *protocol,
                code,
                requests: *requests,
            })
            .collect();
        refused.sort_unstable_by_key(|count| (count.protocol, count.code));
        let reasons = self.reasons.iter().rev().map(|reason| LastReason {
            at: text(reason.at_ms),
            protocol: reason.row.protocol,
            event: names.name(reason.row.event),
            outcome: reason.row.told.status,
            code: reason.row.told.code,
            field: names.name(reason.field),
            events: reason.events,
        });
        Counters {
            since: String::new(),
            now: String::new(),
            received: self.rows.values().sum(),
            taken: if_told("taken", is_shipped),
            accepted: if_told("accepted", !is_shipped),
            duplicate: if_told("duplicate", !is_shipped),
            withheld: if_told("withheld", !is_shipped),
            rejected: total("rejected"),
            dropped_properties: self.dropped_properties,
            skipped_items: self.skipped_items,
            events,
            refused,
            reasons: reasons.collect(),
        }
    }
}

/// What became of events, as it is shown. `received` is the sum of the outcomes that are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counters {
    since: String,
    now: String,
    received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<u64>,
    rejected: u64,
    dropped_properties: u64,
    skipped_items: u64,
    /// Events by protocol, declared event, outcome and code.
    events: Vec<EventCount>,
    /// Requests that were refused as a whole.
    refused: Vec<RefusedCount>,
    /// The last reasons, the latest first.
    reasons: Vec<LastReason>,
}

impl Counters {
    /// Says of which time they are, in milliseconds since 1970.
    pub(super) fn between(self, since_ms: i64, now_ms: i64) -> Counters {
        Counters { since: text(since_ms), now: text(now_ms), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct EventCount {
    protocol: Protocol,
    event: Option<String>,
    outcome: &'static str,
    code: Option<&'static str>,
    events: u64,
}

impl EventCount {
    fn order(&self) -> impl Ord + '_ {
        (self.protocol, &self.event, self.outcome, self.code)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RefusedCount {
    protocol: Protocol,
    code: &'static str,
    requests: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LastReason {
    at: String,
    protocol: Protocol,
    event: Option<String>,
    outcome: &'static str,
    code: Option<&'static str>,
    field: Option<String>,
    events: u64,
}

/// A time to the second.
fn text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
