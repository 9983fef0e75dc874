//! The order in which an answer comes about: look up -> decide the time -> reserve (durable) -> run -> noise -> wait for the
//! time -> assemble; what stands above follows, and then the seal (durable).
//!
//! Invariants: nothing is read before everything that is missing is paid, all of it or nothing; once paid, whatever goes
//! wrong is charged. What is in the ledger is not made again. A refusal depends on the text, the registry and what was spent,
//! which are public. Waiting for somebody else's released part costs nothing. What was read in time leaves at the end of its
//! turn and not before, and what was not is never sealed; a failure leaves then too. So neither the ledger nor anybody who
//! waits for it shows how long the work took.
//! Not here: reading and noise (`make`), sealing (`unsealed`), the ledger (`ledger.rs`), what reads events (`scan`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shoal_anonymity::budget::Rho;
use shoal_storage::{Block, Found, PartId};

use super::assemble::{SealedPart, assemble};
use super::circumstances::Circumstances;
use super::groups::Groups;
use super::in_time::in_turn;
use super::make::make;
use super::paid::Paid;
use super::size::{BlockEpoch, Sizes, size_id};
use super::size_bounds::{SIZE_PRICE, SizeBounds};
use super::unsealed::Unsealed;
use super::work::{Planning, Work};
use crate::budget_epochs::BudgetEpoch;
use crate::charge::ChargedQuery;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::{Budget, Payment};
use crate::released_parts::{ReleasedPart, Wanted, wanted};
use crate::scan::Scan;
use crate::schedule::Unpaid;
use shoal_language::{CELLS_MAX, Refusal, Rule};

/// Most groups of an answer.
pub(crate) const ROWS_MAX: usize = CELLS_MAX as usize;

/// The groups of each query, in their order.
pub(crate) struct Answered {
    pub(crate) groups: Vec<Groups>,
    pub(crate) paid: Paid,
    /// What was made for it, to be sealed before anything leaves; none when the ledger had everything.
    pub(crate) unsealed: Option<Unsealed>,
}

/// All released parts that queries want, and what the ledger has of them.
pub(crate) struct LookedUp {
    pub(super) queries: Vec<Arc<ChargedQuery>>,
    pub(super) wanted: Vec<Vec<Wanted>>,
    pub(super) found: BTreeMap<PartId, Vec<u8>>,
    /// Blocks whose size would have to be paid as well.
    pub(super) unsized_blocks: BTreeSet<Block>,
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
        let mut looked_up = LookedUp {
            queries: queries.to_vec(),
            wanted,
            found: BTreeMap::new(),
            unsized_blocks: BTreeSet::new(),
        };
        looked_up.look(budget).await?;
        Ok(looked_up)
    }

    /// With the sizes of its blocks, as far as parts of them have to be made: those that the ledger has no size of pay for
    /// it. For questions whose time is decided.
    pub(crate) async fn with_sizes(
        mut self,
        bounds: &SizeBounds,
        budget: &Budget,
    ) -> Result<LookedUp, Failure> {
        let missing = self.missing().into_iter().flat_map(|(_, part)| part.charges.iter().copied());
        let blocks: Vec<BlockEpoch> = missing.collect::<BTreeSet<_>>().into_iter().collect();
        let ids = blocks.iter().map(|of| size_id(of, bounds)).collect::<Result<_, Failure>>()?;
        let found = budget.look_up(ids).await?;
        let unknown = blocks.iter().zip(found).filter(|(_, found)| !matches!(found, Found::Sealed(_)));
        self.unsized_blocks = unknown.map(|((block, _), _)| *block).collect();
        Ok(self)
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
        // A block that several parts read pays for each.
        let mut prices: BTreeMap<Block, Rho> = BTreeMap::new();
        let mut deltas: BTreeMap<Block, u64> = BTreeMap::new();
        let mut due: BTreeMap<Block, Rho> = BTreeMap::new();
        let add = |prices: &mut BTreeMap<Block, Rho>, block: Block, more: Rho| {
            let price = prices.entry(block).or_default();
            *price = price.checked_add(more).ok_or(Failure::Internal)?;
            Ok::<(), Failure>(())
        };
        for wanted in self.wanted.iter().flatten() {
            let Some(part) = self.chosen(wanted) else {
                paid.expired += 1;
                continue;
            };
            if !parts.insert(part.id) {
                continue;
            }
            for (block, _) in &part.charges {
                add(&mut prices, *block, part.price)?;
                let delta = deltas.entry(*block).or_default();
                *delta = delta.saturating_add(budget.delta_atto_of_part(part));
                if missing.contains(&part.id) {
                    add(&mut due, *block, part.price)?;
                    blocks.insert(*block);
                }
            }
        }
        for block in self.unsized_blocks.intersection(&blocks) {
            add(&mut prices, *block, SIZE_PRICE)?;
            add(&mut due, *block, SIZE_PRICE)?;
        }
        paid.price = prices.into_values().max().unwrap_or_default();
        paid.due = due.into_values().max().unwrap_or_default();
        paid.blocks = blocks.len() as u64;
        paid.parts = parts.len() as u64;
        paid.parts_found = parts.difference(missing).count() as u64;
        paid.delta_atto = deltas.into_values().max().unwrap_or(0);
        let charges = self.charges();
        paid.left = budget.left(&charges).await?;
        paid.delta_left_atto = budget.delta_left(&charges).await?;
        Ok(paid)
    }

    /// Takes out what was made, for its seal: it is there once.
    fn taken_out(&mut self, made: &BTreeSet<PartId>) -> Vec<(PartId, Vec<u8>)> {
        made.iter().filter_map(|id| self.found.remove_entry(id)).collect()
    }

    pub(super) fn groups(&self, rows_max: usize) -> Result<Vec<Groups>, Failure> {
        let mut all = Vec::with_capacity(self.queries.len());
        for (charged, wanted) in self.queries.iter().zip(&self.wanted) {
            let mut sealed_parts = Vec::with_capacity(wanted.len());
            for one in wanted {
                let Some(part) = self.chosen(one) else { continue };
                let bytes = self.found.get(&part.id).ok_or(Failure::Internal)?;
                sealed_parts.push(SealedPart { released: part, start: one.start, bytes });
            }
            all.push(assemble(charged, &sealed_parts, rows_max)?);
        }
        Ok(all)
    }
}

/// Answers queries together: what is missing of all of them is paid at once or not at all. `scan` reads one region and days
/// that follow on each other, and is called for nothing that is not paid.
pub(crate) async fn answer(
    mut looked_up: LookedUp,
    asked: &Circumstances<'_>,
    scan: &dyn Scan,
) -> Result<Answered, NoAnswer> {
    let paid = loop {
        let ids: Vec<PartId> = looked_up.missing().iter().map(|(_, part)| part.id).collect();
        if ids.is_empty() {
            break None;
        }
        let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
        if let Some(claim) = claim.map_err(|_| QueryError::Busy)? {
            // Given back with whatever ends this before it is paid.
            let planned = planned(&looked_up, asked, scan).await?;
            let missing: Vec<&ReleasedPart> = looked_up.missing().into_iter().map(|(_, part)| part).collect();
            let orders = asked.budget.orders(&missing);
            let payment = asked.budget.pay(&claim, orders, asked.asker, asked.now_ms).await?;
            if let Payment::Paid(reservation) = payment {
                break Some((claim, reservation, ids, planned));
            }
            drop(planned);
            if let Payment::Refused(refusal) = payment {
                return Err(QueryError::from(refusal).into());
            }
        }
        looked_up.look(asked.budget).await?;
    };
    let (mut made, mut paying) = (BTreeSet::new(), None);
    if let Some((claim, reservation, ids, planned)) = paid {
        let (turn, passes_max) = planned.map_or((None, Vec::new()), |of| (of.turn.keep(), of.passes_max));
        let work = make(&looked_up, asked, scan, &passes_max);
        let parts = match (&asked.timing, turn) {
            (Some(timing), Some(turn)) => in_turn(&turn, timing, work).await?,
            _ => work.await?,
        };
        made.extend(ids);
        looked_up.found.extend(parts);
        paying = Some((claim, reservation));
    }
    let paid = looked_up.paid(asked.budget, &made).await?;
    let groups = looked_up.groups(asked.rows_max)?;
    let unsealed = paying.map(|(claim, reservation)| {
        let parts = looked_up.taken_out(&made);
        Unsealed { budget: asked.budget.clone(), claim, reservation, parts }
    });
    Ok(Answered { groups, paid, unsealed })
}

/// What was decided of the reading of what is missing.
struct Planned<'s> {
    turn: Unpaid<'s>,
    /// Of each query: in how many passes the files of a part may be read.
    passes_max: Vec<u64>,
}

/// When and how what is missing is read; none when nothing is timed.
async fn planned<'s>(
    looked_up: &LookedUp,
    asked: &'s Circumstances<'_>,
    scan: &dyn Scan,
) -> Result<Option<Planned<'s>>, NoAnswer> {
    let Some(timing) = &asked.timing else { return Ok(None) };
    let missing = looked_up.missing();
    let blocks = missing.iter().flat_map(|(_, part)| part.charges.iter().copied()).collect();
    let sizes = Sizes::of(&blocks, timing, asked, scan).await?;
    let planning = Planning { sizes: &sizes, reading: timing.reading };
    let (mut work, mut passes_max) = (Work::new(), Vec::with_capacity(looked_up.queries.len()));
    for (at, charged) in looked_up.queries.iter().enumerate() {
        let own = missing.iter().filter(|(query, _)| *query == at).map(|(_, part)| *part);
        passes_max.push(work.add(charged, &own.collect::<Vec<_>>(), &planning)?);
    }
    let work = work.time(&sizes, timing.row_time_ns);
    let takes = timing.schedule.takes(work);
    if takes > timing.longest {
        let message = format!(
            "This query would take up to {} seconds, more than the {} that a query may: ask for fewer days or regions, or with \
             simpler expressions.",
            takes.as_secs_f64(),
            timing.longest.as_secs_f64()
        );
        let suggestion = "SELECT COUNT(*) AS events FROM usage WHERE day = current_date - 1";
        return Err(QueryError::from(Refusal::whole(Rule::Time, message, suggestion)).into());
    }
    let now = timing.schedule.clock().now();
    let turn = timing.schedule.turn(work, timing.latest).ok_or(QueryError::Busy)?;
    let after = turn.end.saturating_duration_since(now);
    let turn = Unpaid::of(timing.schedule, turn);
    // A question that was refused for what somebody else had just sealed is decided anew: the first time stays in the audit.
    let _ = timing.decided_ms.set(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    Ok(Some(Planned { turn, passes_max }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{World, priced};
    use super::*;
    use crate::tests::now_ms;

    /// Parts may be as large as memory for groups, so nothing that was made is there twice until it is sealed.
    #[tokio::test]
    async fn what_was_made_is_sealed_without_a_copy() {
        let (world, sql) = (World::new(), "SELECT COUNT(*) FROM usage WHERE day > current_date - 2");
        let mut looked_up =
            LookedUp::of(&[priced(sql, now_ms()).await], &world.budget, now_ms()).await.unwrap();
        let made: BTreeSet<PartId> = looked_up.missing().iter().map(|(_, part)| part.id).collect();
        let parts: Vec<(PartId, Vec<u8>)> = made.iter().map(|id| (*id, vec![1; 100])).collect();
        let places: Vec<*const u8> = parts.iter().map(|(_, bytes)| bytes.as_ptr()).collect();
        looked_up.found.extend(parts);
        let taken = looked_up.taken_out(&made);
        assert_eq!(taken.iter().map(|(_, bytes)| bytes.as_ptr()).collect::<Vec<_>>(), places);
        assert!(taken.len() == 2 && looked_up.found.is_empty());
    }
}
