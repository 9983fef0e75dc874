//! What was reserved for one question, for its line in the audit: the numbers that ledger and audit are compared by, and what
//! each block was charged.
//!
//! Invariant: a reservation is noted where it is made, so that it is known also when nobody waits for the answer any more.
//! Not here: reserving (`ledger.rs`), the line (`audit.rs`), comparing (`shoal-server`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use shoal_anonymity::budget::Rho;
use shoal_language::calendar::day_text;
use shoal_storage::{Block, Charge, PartOrder};

use crate::delta::delta_text;

/// Most runs of days that a line tells each for itself.
const RUNS_MAX: usize = 2_000;

/// What was reserved. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Receipts(Arc<Mutex<Noted>>);

/// What was reserved by now.
#[derive(Default)]
struct Noted {
    reservations: Vec<u64>,
    /// Billionths of rho, and quintillionths of delta.
    charged: BTreeMap<Block, (u64, u64)>,
}

/// What each block was charged, as the line has it: days that follow on each other and were charged the same together.
#[derive(Clone)]
pub(crate) struct Charged(Receipts);

/// Blocks that were charged this much each.
#[derive(Serialize)]
struct ChargedDays {
    table: &'static str,
    region: &'static str,
    first_day: String,
    last_day: String,
    rho: String,
    delta: String,
    /// Whether some of the days were charged less, or nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_most: bool,
}

impl Receipts {
    /// The charges of orders, to be noted when they are granted.
    pub(crate) fn charges(parts: &[PartOrder]) -> Vec<Charge> {
        parts.iter().flat_map(|part| part.charges.iter().copied()).collect()
    }

    /// Notes what was reserved, and what it charged.
    pub(crate) fn note(&self, reservation: u64, charges: &[Charge]) {
        let mut noted = self.noted();
        noted.reservations.push(reservation);
        for charge in charges {
            let (nano, delta_atto) = noted.charged.entry(charge.block).or_default();
            *nano = nano.saturating_add(charge.nano);
            *delta_atto = delta_atto.saturating_add(charge.delta_atto);
        }
    }

    /// What each block was charged.
    pub(crate) fn charged(&self) -> Charged {
        Charged(self.clone())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serialize for Receipts {
    /// The numbers that have been noted by now.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self.noted().reservations.clone();
        numbers.serialize(serializer)
    }
}

/// Blocks of one table and region on days that follow on each other.
struct Run {
    first: Block,
    last: i32,
    /// Billionths of rho, and quintillionths of delta.
    charged: (u64, u64),
}

/// The runs of blocks. With `is_exact`, only days that follow on each other and were charged the same are in one; else all
/// days of a table and region are, at the most that one of them was charged.
fn runs(charged: &BTreeMap<Block, (u64, u64)>, is_exact: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (block, charged) in charged {
        match runs.last_mut() {
            Some(run)
                if (run.first.region, run.first.kind) == (block.region, block.kind)
                    && (!is_exact
                        || run.last.checked_add(1) == Some(block.day) && run.charged == *charged) =>
            {
                run.last = block.day;
                run.charged = (run.charged.0.max(charged.0), run.charged.1.max(charged.1));
            }
            _ => runs.push(Run { first: *block, last: block.day, charged: *charged }),
        }
    }
    runs
}

impl Serialize for Charged {
    /// What has been charged by now. A line has a longest length, so that more than [`RUNS_MAX`] are told by their upper bound.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let exact = runs(&self.0.noted().charged, true);
        let at_most = exact.len() > RUNS_MAX;
        let runs = if at_most { runs(&self.0.noted().charged, false) } else { exact };
        serializer.collect_seq(runs.into_iter().map(|Run { first, last, charged: (nano, delta_atto) }| {
            ChargedDays {
                table: first.kind.as_str(),
                region: first.region.as_str(),
                first_day: day_text(first.day),
                last_day: day_text(last),
                rho: Rho::from_nano(nano).to_string(),
                delta: delta_text(delta_atto),
                at_most,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use shoal_schemas::{Kind, Region};

    use super::*;

    #[test]
    fn days_that_are_charged_the_same_stand_together() {
        let receipts = Receipts::default();
        let charge = |day, nano, delta_atto| Charge {
            block: Block { region: Region::De, kind: Kind::Usage, day },
            pool: 0,
            nano,
            delta_atto,
        };
        receipts.note(4, &[charge(20_770, 500_000, 0), charge(20_771, 500_000, 0)]);
        receipts.note(5, &[20_770, 20_771, 20_772, 20_774].map(|day| charge(day, 2_000_000, 4_000_000_000)));
        assert_eq!(serde_json::to_value(&receipts).unwrap(), json!([4, 5]));
        let of = |first: i32, last: i32, rho: &str| {
            json!({"table": "usage", "region": "DE", "first_day": day_text(first), "last_day": day_text(last), "rho": rho,
                "delta": "4e-9"})
        };
        let charged = serde_json::to_value(receipts.charged()).unwrap();
        assert_eq!(
            charged,
            json!([of(20_770, 20_771, "0.0025"), of(20_772, 20_772, "0.002"), of(20_774, 20_774, "0.002")])
        );
    }

    #[test]
    fn what_is_too_long_for_a_line_is_told_by_its_upper_bound() {
        let receipts = Receipts::default();
        let charge = |day: i32| Charge {
            block: Block { region: Region::De, kind: Kind::Usage, day },
            pool: 0,
            nano: 1_000_000 * (1 + u64::from(day % 2 == 0)),
            delta_atto: 0,
        };
        receipts.note(1, &(0..4_000).map(charge).collect::<Vec<_>>());
        let charged = serde_json::to_value(receipts.charged()).unwrap();
        let expected = json!([{"table": "usage", "region": "DE", "first_day": day_text(0), "last_day": day_text(3_999),
            "rho": "0.002", "delta": "0", "at_most": true}]);
        assert_eq!(charged, expected);
    }
}
