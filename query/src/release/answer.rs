//! The order in which an answer comes about: look up -> reserve (durable) -> run -> noise -> seal (durable) -> assemble.
//!
//! Invariants: nothing is read before everything that is missing is paid, all of it or nothing; nothing leaves before it
//! is sealed; once paid, whatever goes wrong is charged. What is in the ledger is not made again. A refusal depends on the
//! text, the registry and what was spent, which are public. Waiting for somebody else's released part costs nothing.
//! Not here: the ledger (`ledger.rs`), noise (`noisy`), what reads events (`scan`, given as a function).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use shoal_anonymity::noise::{Entropy, OsEntropy};
use shoal_schemas::Region;
use shoal_storage::{Block, Found, PartId};
use tokio::time::Instant;

use super::assemble::{SealedPart, assemble};
use super::groups::Groups;
use super::noisy::{Exact, noisy};
use super::paid::Paid;
use super::sealed::Sealed;
use crate::budget_epochs::BudgetEpoch;
use crate::charge::ChargedQuery;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::{Budget, Payment};
use crate::released_parts::{ReleasedPart, Wanted, wanted};
use crate::scan::{Due, Raw};
use shoal_language::{CELLS_MAX, DayRange};

/// Most groups of an answer.
pub(crate) const ROWS_MAX: usize = CELLS_MAX as usize;

/// The circumstances of a question.
pub(crate) struct Circumstances<'a> {
    pub(crate) budget: &'a Budget,
    pub(crate) now_ms: i64,
    /// Until when another asker's released parts are waited for.
    pub(crate) deadline: Instant,
    /// Most groups of an answer.
    pub(crate) rows_max: usize,
    /// Told how many blocks are charged, before anything is read.
    pub(crate) charged: &'a (dyn Fn(u64) + Sync),
}

/// The groups of each query, in their order.
pub(crate) struct Answered {
    pub(crate) groups: Vec<Groups>,
    pub(crate) paid: Paid,
}

/// All released parts that queries want, and what the ledger has of them.
pub(crate) struct LookedUp {
    pub(super) queries: Vec<Arc<ChargedQuery>>,
    pub(super) wanted: Vec<Vec<Wanted>>,
    pub(super) found: BTreeMap<PartId, Vec<u8>>,
}

impl LookedUp {
    /// What these queries want, looked up in the ledger.
    pub(crate) async fn of(
        queries: &[Arc<ChargedQuery>],
        budget: &Budget,
        now_ms: i64,
    ) -> Result<LookedUp, Failure> {
        let of = |charged: &Arc<ChargedQuery>| wanted(charged, &budget.epochs, now_ms);
        let wanted = queries.iter().map(of).collect();
        let mut looked_up = LookedUp { queries: queries.to_vec(), wanted, found: BTreeMap::new() };
        looked_up.look(budget).await?;
        Ok(looked_up)
    }

    /// Looks for everything that has not been found.
    async fn look(&mut self, budget: &Budget) -> Result<(), Failure> {
        let all = self.wanted.iter().flatten().flat_map(|wanted| &wanted.parts);
        let ids: BTreeSet<PartId> =
            all.map(|part| part.id).filter(|id| !self.found.contains_key(id)).collect();
        let ids: Vec<PartId> = ids.into_iter().collect();
        let found = budget.look_up(ids.clone()).await?;
        for (id, found) in ids.into_iter().zip(found) {
            if let Found::Sealed(bytes) = found {
                self.found.insert(id, bytes);
            }
        }
        Ok(())
    }

    /// The part that is taken for what is wanted: the one in the ledger, else the one to be made; none when it has
    /// expired.
    fn chosen<'w>(&self, wanted: &'w Wanted) -> Option<&'w ReleasedPart> {
        let found = wanted.parts.iter().find(|part| self.found.contains_key(&part.id));
        found.or_else(|| wanted.parts.last().filter(|_| wanted.is_readable))
    }

    /// What has to be made, by query; a released part that two queries want is made once.
    pub(super) fn missing(&self) -> Vec<(usize, &ReleasedPart)> {
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        for (query, wanted) in self.wanted.iter().enumerate() {
            for part in wanted.iter().filter_map(|wanted| self.chosen(wanted)) {
                if !self.found.contains_key(&part.id) && seen.insert(part.id) {
                    missing.push((query, part));
                }
            }
        }
        missing
    }

    fn charges(&self) -> Vec<(Block, BudgetEpoch)> {
        let all = self.wanted.iter().flatten().filter_map(|wanted| self.chosen(wanted));
        let charges: BTreeSet<(Block, BudgetEpoch)> = all.flat_map(|part| part.charges.clone()).collect();
        charges.into_iter().collect()
    }

    /// What an answer would cost now. Nothing is reserved.
    pub(crate) async fn quote(&self, budget: &Budget) -> Result<Paid, Failure> {
        let missing = self.missing().iter().map(|(_, part)| part.id).collect();
        self.paid(budget, &missing).await
    }

    /// The price, given what was missing at first.
    async fn paid(&self, budget: &Budget, missing: &BTreeSet<PartId>) -> Result<Paid, Failure> {
        let mut paid = Paid::default();
        let (mut blocks, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for wanted in self.wanted.iter().flatten() {
            let Some(part) = self.chosen(wanted) else {
                paid.expired += 1;
                continue;
            };
            parts.insert(part.id);
            if missing.contains(&part.id) {
                blocks.extend(part.charges.iter().map(|(block, _)| *block));
            }
        }
        paid.blocks = blocks.len() as u64;
        paid.parts = parts.len() as u64;
        paid.parts_found = parts.difference(missing).count() as u64;
        paid.left = budget.left(&self.charges()).await?;
        Ok(paid)
    }

    pub(super) fn groups(&self, rows_max: usize) -> Result<Vec<Groups>, Failure> {
        let mut all = Vec::with_capacity(self.queries.len());
        for (charged, wanted) in self.queries.iter().zip(&self.wanted) {
            let mut sealed_parts = Vec::with_capacity(wanted.len());
            for one in wanted {
                let Some(part) = self.chosen(one) else { continue };
                let sealed = Sealed::decode(self.found.get(&part.id).ok_or(Failure::Internal)?)?;
                sealed_parts.push(SealedPart { released: part, start: one.start, sealed });
            }
            all.push(assemble(charged, &sealed_parts, rows_max)?);
        }
        Ok(all)
    }
}

/// Answers queries together: what is missing of all of them is paid at once or not at all. `scan` reads one region and days
/// that follow on each other, and is called for nothing that is not paid.
pub(crate) async fn answer<F, R>(
    mut looked_up: LookedUp,
    asked: &Circumstances<'_>,
    scan: F,
) -> Result<Answered, NoAnswer>
where
    F: Fn(Due) -> R,
    R: Future<Output = Result<Raw, Failure>>,
{
    let paid = loop {
        let ids: Vec<PartId> = looked_up.missing().iter().map(|(_, part)| part.id).collect();
        if ids.is_empty() {
            break None;
        }
        let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
        if let Some(claim) = claim.map_err(|_| QueryError::Busy)? {
            let missing: Vec<&ReleasedPart> = looked_up.missing().into_iter().map(|(_, part)| part).collect();
            match asked.budget.pay(&claim, &missing, asked.now_ms).await? {
                Payment::Paid(reservation) => break Some((claim, reservation, ids)),
                Payment::Refused(refusal) => return Err(QueryError::from(refusal).into()),
                Payment::LookAgain => {}
            }
        }
        looked_up.look(asked.budget).await?;
    };
    let mut made = BTreeSet::new();
    if let Some((claim, reservation, ids)) = paid {
        made.extend(ids);
        let sealed = make(&looked_up, asked, scan).await?;
        asked.budget.seal(claim, reservation, sealed.clone()).await?;
        looked_up.found.extend(sealed);
    }
    let paid = looked_up.paid(asked.budget, &made).await?;
    Ok(Answered { groups: looked_up.groups(asked.rows_max)?, paid })
}

/// Reads and noises what is missing and paid.
async fn make<F, R>(
    looked_up: &LookedUp,
    asked: &Circumstances<'_>,
    scan: F,
) -> Result<Vec<(PartId, Vec<u8>)>, Failure>
where
    F: Fn(Due) -> R,
    R: Future<Output = Result<Raw, Failure>>,
{
    let mut due: BTreeMap<(usize, Region), Vec<&ReleasedPart>> = BTreeMap::new();
    let mut blocks = BTreeSet::new();
    for (query, part) in looked_up.missing() {
        blocks.extend(part.charges.iter().map(|(block, _)| *block));
        due.entry((query, part.region)).or_default().push(part);
    }
    (asked.charged)(blocks.len() as u64);
    let mut sealed = Vec::new();
    for ((query, region), parts) in due {
        let charged = looked_up.queries.get(query).ok_or(Failure::Internal)?;
        for (days, parts) in runs(parts) {
            let raw = scan(Due { charged: Arc::clone(charged), region, days }).await?;
            sealed.extend(noisy_parts(&parts, &raw, asked.rows_max, &mut OsEntropy::new())?);
        }
    }
    Ok(sealed)
}

/// Released parts whose days follow on each other are read at once; a day that is not paid now is not read.
fn runs(mut parts: Vec<&ReleasedPart>) -> Vec<(DayRange, Vec<&ReleasedPart>)> {
    parts.sort_by_key(|part| part.days.first);
    let mut runs: Vec<(DayRange, Vec<&ReleasedPart>)> = Vec::new();
    for part in parts {
        match runs.last_mut() {
            Some((days, run)) if part.days.first == days.last.saturating_add(1) => {
                days.last = part.days.last;
                run.push(part);
            }
            _ => runs.push((part.days, vec![part])),
        }
    }
    runs
}

pub(super) fn noisy_parts<E: Entropy>(
    parts: &[&ReleasedPart],
    raw: &Raw,
    rows_max: usize,
    entropy: &mut E,
) -> Result<Vec<(PartId, Vec<u8>)>, Failure> {
    let buckets = raw.due.buckets();
    let mut sealed = Vec::with_capacity(parts.len());
    for part in parts {
        let bucket = match raw.due.charged.is_daily() {
            true => 0,
            false => buckets.iter().position(|bucket| bucket.days == part.days).ok_or(Failure::Internal)?,
        };
        let exact = Exact { raw, part, bucket };
        sealed.push((part.id, noisy(&exact, entropy, rows_max)?.encode()?));
    }
    Ok(sealed)
}
