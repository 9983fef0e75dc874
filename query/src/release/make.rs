//! What is missing and paid is read, and each part is noised as it is finished.
//!
//! Invariants: noise is drawn on threads that may be busy, one part of a query after the other, and no other part is read in
//! the place of one that waits for its noise; so no more exact totals are there than were reserved for. When nobody waits for
//! the answer any more, the noise of the part at hand ends with the group at hand. What is made comes back once and is not copied.
//! Not here: paying, and when reading begins (`answer`), noise itself (`noisy`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use shoal_anonymity::noise::OsEntropy;
use shoal_language::DayRange;
use shoal_schemas::Region;
use shoal_storage::PartId;

use super::circumstances::Circumstances;
use super::looked_up::LookedUp;
use super::noisy::{Exact, noisy};
use crate::charge::ChargedQuery;
use crate::failure::Failure;
use crate::released_parts::ReleasedPart;
use crate::scan::{Due, Raw, Scan, Taker, Waiting};

/// Reads what is missing and paid, in no more passes over the files of a part than were planned for each query.
pub(super) async fn make(
    looked_up: &LookedUp,
    asked: &Circumstances<'_>,
    scan: &dyn Scan,
    passes_max: &[u64],
) -> Result<Vec<(PartId, Vec<u8>)>, Failure> {
    let mut due: BTreeMap<(usize, Region), Vec<&ReleasedPart>> = BTreeMap::new();
    let mut blocks = BTreeSet::new();
    for (query, part) in looked_up.missing() {
        blocks.extend(part.charges.iter().map(|(block, _)| *block));
        due.entry((query, part.region)).or_default().push(part);
    }
    (asked.charged)(blocks.len() as u64);
    let mut made = Vec::new();
    for ((query, region), parts) in due {
        let charged = looked_up.queries.get(query).ok_or(Failure::Internal)?;
        let passes_max = passes_max.get(query).copied().unwrap_or(u64::MAX);
        for (days, left) in runs(parts, charged) {
            let due = Due { charged: Arc::clone(charged), region, days, passes_max };
            let shown_max = usize::try_from(charged.shown_max).unwrap_or(usize::MAX);
            let cells_max = match charged.threshold {
                Some(_) => asked.rows_max.min(shown_max),
                None => asked.rows_max,
            };
            let mut noising = Noising { left, made: Vec::new(), cells_max, waiting: Waiting::new() };
            scan.totals(due, &mut OsEntropy::new(), &mut noising).await?;
            if !noising.left.is_empty() {
                return Err(Failure::Internal);
            }
            made.append(&mut noising.made);
        }
    }
    Ok(made)
}

/// Noises totals as they come.
struct Noising<'p> {
    /// The released parts whose totals have not come.
    left: Vec<&'p ReleasedPart>,
    made: Vec<(PartId, Vec<u8>)>,
    cells_max: usize,
    waiting: Waiting,
}

impl<'p> Noising<'p> {
    /// The released part that totals are for, which is made once: it is taken out of those that are left.
    fn part_of(&mut self, raw: &Raw) -> Option<&'p ReleasedPart> {
        let days = raw.days()?;
        let at = self.left.iter().position(|part| part.days == days)?;
        Some(self.left.swap_remove(at))
    }
}

#[async_trait]
impl Taker for Noising<'_> {
    async fn take(&mut self, raw: Raw) -> Result<(), Failure> {
        let part = self.part_of(&raw).ok_or(Failure::Internal)?;
        let (id, form) = (part.id, Arc::clone(&part.form));
        let (cells_max, waiting) = (self.cells_max, self.waiting.flag());
        let noise = move || {
            let exact = Exact { raw: &raw, form: &form, waiting: &waiting };
            noisy(&exact, &mut OsEntropy::new(), cells_max)
        };
        let done = tokio::task::spawn_blocking(noise).await;
        self.made.push((id, done.map_err(|error| Failure::of_task(&error))??));
        Ok(())
    }
}

/// Released parts whose days follow on each other are read at once, but for windows; a day that is not paid now is not read.
fn runs<'p>(
    mut parts: Vec<&'p ReleasedPart>,
    charged: &ChargedQuery,
) -> Vec<(DayRange, Vec<&'p ReleasedPart>)> {
    parts.sort_by_key(|part| part.days.first);
    let is_apart = charged.query.windows().is_some() && !charged.is_daily();
    let mut runs: Vec<(DayRange, Vec<&ReleasedPart>)> = Vec::new();
    for part in parts {
        match runs.last_mut() {
            Some((days, run)) if !is_apart && part.days.first == days.last.saturating_add(1) => {
                days.last = part.days.last;
                run.push(part);
            }
            _ => runs.push((part.days, vec![part])),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{priced, raws};
    use super::*;
    use crate::budget_epochs::BudgetEpochs;
    use crate::released_parts::{FormWork, wanted};
    use crate::tests::now_ms;

    /// The totals of many groups, and what they are to be released as.
    async fn totals() -> (Vec<Raw>, ReleasedPart) {
        let sql = "SELECT os, result, event, COUNT(*), SUM(amount) FROM usage WHERE day = current_date \
                   GROUP BY os, result, event";
        let charged = priced(sql, now_ms()).await;
        let mut part =
            wanted(&charged, &BudgetEpochs::default(), now_ms(), &mut FormWork::default()).unwrap();
        let part = part.remove(0).parts.pop().unwrap();
        let due = Due { region: part.region, days: part.days, charged, passes_max: 1 };
        (raws(&due), part)
    }

    /// Whoever shares a thread with a large release goes on meanwhile.
    #[tokio::test]
    async fn noise_is_drawn_on_other_threads() {
        let (mut raws, part) = totals().await;
        let raw = raws.remove(0);
        assert!(raw.cells.len() > 50, "{} groups", raw.cells.len());
        let waiting = Waiting::new();
        let mut noising = Noising { left: vec![&part], made: Vec::new(), cells_max: 100_000, waiting };
        let mut taking = noising.take(raw);
        assert!(futures::poll!(&mut taking).is_pending(), "the thread is free while noise is drawn");
        taking.await.unwrap();
        assert_eq!((noising.made.len(), noising.left.len()), (1, 0));
    }

    #[tokio::test]
    async fn noise_ends_when_nobody_waits_for_it() {
        let (raws, part) = totals().await;
        let waiting = Waiting::new();
        let flag = waiting.flag();
        let end = || {
            let exact = Exact { raw: &raws[0], form: &part.form, waiting: &flag };
            noisy(&exact, &mut OsEntropy::new(), 100_000)
        };
        assert!(end().is_ok());
        drop(waiting);
        assert_eq!(end().err(), Some(Failure::Internal));
    }
}
