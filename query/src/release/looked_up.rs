//! What is asked, and what the ledger has of it.
//!
//! Invariants: what is in the ledger is not missing; a released part that two queries want is missing once. Prices and refusals
//! depend on the text, the registry and what was spent. What is made is there once, until it is taken out for its seal. Not here:
//! the order in which an answer comes about (`answer`), reading (`make`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shoal_anonymity::budget::Rho;
use shoal_storage::{Block, Found, PartId};

use super::assemble::{SealedPart, assemble};
use super::groups::Groups;
use super::paid::Paid;
use super::size::{BlockEpoch, size_id};
use super::size_bounds::{SIZE_PRICE, SizeBounds};
use crate::budget_epochs::BudgetEpoch;
use crate::charge::ChargedQuery;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::Budget;
use crate::released_parts::{FormWork, ReleasedPart, Wanted, wanted};
use shoal_language::Refusal;

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
    ///
    /// # Errors
    /// A refusal of what is too much to be written down; otherwise what goes wrong.
    pub(crate) async fn of(
        queries: &[Arc<ChargedQuery>],
        budget: &Budget,
        now_ms: i64,
    ) -> Result<LookedUp, NoAnswer> {
        let mut work = FormWork::default();
        let of = |charged: &Arc<ChargedQuery>| wanted(charged, &budget.epochs, now_ms, &mut work);
        let wanted = queries.iter().map(of).collect::<Result<_, Refusal>>().map_err(QueryError::from)?;
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
    pub(super) async fn look(&mut self, budget: &Budget) -> Result<(), Failure> {
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

    /// The most that any one block pays for each query when none of its parts is in the ledger, without its size: a block that
    /// several parts of the query read pays for each.
    pub(crate) fn prices(&self) -> Vec<Rho> {
        let of = |wanted: &Vec<Wanted>| {
            let (mut seen, mut prices) = (BTreeSet::new(), BTreeMap::<Block, u64>::new());
            for part in wanted.iter().filter_map(|wanted| wanted.parts.last()) {
                if !seen.insert(part.id) {
                    continue;
                }
                for (block, _) in &part.charges {
                    let nano = prices.entry(*block).or_default();
                    *nano = nano.saturating_add(part.price.nano());
                }
            }
            Rho::from_nano(prices.into_values().max().unwrap_or(0))
        };
        self.wanted.iter().map(of).collect()
    }

    /// The threads on which its forms were written down.
    #[cfg(test)]
    pub(crate) fn written_on(&self) -> BTreeSet<String> {
        let parts = self.wanted.iter().flatten().flat_map(|wanted| &wanted.parts);
        parts.map(|part| part.form.written_on.clone()).collect()
    }

    /// Of each query, whether days of it have expired and are not in the ledger: they are left out.
    pub(crate) fn left_out(&self) -> Vec<bool> {
        let is_left_out = |wanted: &Wanted| self.chosen(wanted).is_none();
        self.wanted.iter().map(|wanted| wanted.iter().any(is_left_out)).collect()
    }

    /// Whether a block pays for its size as well.
    pub(crate) fn pays_for_sizes(&self) -> bool {
        !self.unsized_blocks.is_empty()
    }

    /// What an answer would cost now. Nothing is reserved.
    pub(crate) async fn quote(&self, budget: &Budget) -> Result<Paid, Failure> {
        let missing = self.missing().iter().map(|(_, part)| part.id).collect();
        self.paid(budget, &missing).await
    }

    /// The price, given what was missing at first.
    pub(super) async fn paid(&self, budget: &Budget, missing: &BTreeSet<PartId>) -> Result<Paid, Failure> {
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
    pub(super) fn taken_out(&mut self, made: &BTreeSet<PartId>) -> Vec<(PartId, Vec<u8>)> {
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
