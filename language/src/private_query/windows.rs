//! Windows of days: parts of a query that may share days.
//!
//! Invariants: windows have different days, and each is a released part of its own, so a day pays once for each window that it is
//! in. Not here: how a statement says them (`question/windows.rs`), what they cost (`shoal-query`, `charge`).

use std::collections::BTreeMap;
use std::fmt;

use super::{Bucket, KeyKind, PrivateQuery};
use crate::calendar::day_text;

impl PrivateQuery {
    /// Its windows; `None` where days are in one bucket each.
    pub fn windows(&self) -> Option<&[Bucket]> {
        self.keys.iter().find_map(|key| match &key.kind {
            KeyKind::Windows(all) => Some(all.as_slice()),
            KeyKind::Region | KeyKind::Time(_) | KeyKind::Public(_) | KeyKind::Private => None,
        })
    }

    /// The most buckets that one day is in: one, but for windows.
    pub fn overlap(&self) -> u64 {
        let mut steps: BTreeMap<i32, i64> = BTreeMap::new();
        for window in self.windows().unwrap_or_default() {
            *steps.entry(window.days.first).or_default() += 1;
            *steps.entry(window.days.last.saturating_add(1)).or_default() -= 1;
        }
        let mut open = 0;
        let most = steps.into_values().map(|step| {
            open += step;
            open
        });
        most.max().and_then(|most| u64::try_from(most).ok()).unwrap_or(1).max(1)
    }

    /// How many days its buckets have together: a day counts once for each window that it is in.
    pub fn days_read(&self) -> u64 {
        match self.windows() {
            Some(all) => all.iter().map(|window| window.days.len()).sum(),
            None => self.days.len(),
        }
    }
}

/// Windows in runs: days in equal steps, around which the windows lie in the same way.
pub(super) struct Runs<'w>(pub(super) &'w [Bucket]);

struct Run {
    first: i32,
    last: i32,
    step: i32,
    from: i32,
    to: i32,
}

impl fmt::Display for Runs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<Run> = Vec::new();
        for Bucket { start, days } in self.0 {
            let (from, to) = (days.first.saturating_sub(*start), days.last.saturating_sub(*start));
            match runs.last_mut() {
                Some(run)
                    if (run.from, run.to) == (from, to)
                        && (run.step == 0 || start - run.last == run.step) =>
                {
                    (run.step, run.last) = (start - run.last, *start);
                }
                _ => runs.push(Run { first: *start, last: *start, step: 0, from, to }),
            }
        }
        for (at, Run { first, last, step, from, to }) in runs.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            let (first, last) = (day_text(*first), day_text(*last));
            write!(f, "{between}{first} TO {last} BY {step} DAYS OF {from} TO {to}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::DayRange;
    use super::*;

    #[test]
    fn windows_are_told_in_runs() {
        let window = |start: i32, first: i32, last: i32| Bucket { start, days: DayRange { first, last } };
        let all = [window(10, 4, 10), window(11, 5, 11), window(12, 6, 12), window(13, 13, 13)];
        assert_eq!(
            Runs(&all).to_string(),
            "1970-01-11 TO 1970-01-13 BY 1 DAYS OF -6 TO 0, 1970-01-14 TO 1970-01-14 BY 0 DAYS OF 0 TO 0"
        );
    }
}
