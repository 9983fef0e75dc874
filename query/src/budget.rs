//! What blocks may spend, have spent and have left, and what spent it: for everyone with an analyst's key.
//!
//! Invariants: public facts only: caps, epochs, prices, and the statements that were asked. Only regions that the key
//! reaches. Not here: the ledger (`ledger.rs`).

use std::collections::HashMap;

use serde::Serialize;
use shoal_anonymity::budget::Rho;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BlockSpending, SpendingFilter};

use crate::error::QueryError;
use crate::failure::Failure;
use crate::ledger::{Budget, blocking};
use shoal_language::calendar::{day_text, parse_day, time_text};
use shoal_schemas::calendar::day_of;

/// Days that are listed when none are named.
const DAYS_DEFAULT: i32 = 7;
/// Most days that are listed.
const DAYS_MAX: i64 = 400;

/// Which blocks are asked about; what is not named is all of it, and the last seven days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetRequest {
    /// One table.
    pub table: Option<Kind>,
    /// One region.
    pub region: Option<Region>,
    /// First day, as `2026-11-22`.
    pub first: Option<String>,
    /// Last day.
    pub last: Option<String>,
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Not days, in the wrong order, or too many.
    #[error("`first` and `last` must be days as 2026-11-22, in this order and at most 400")]
    Days,
    /// The key does not reach the region.
    #[error("this key may not ask region {0}")]
    NotAllowed(Region),
    /// The ledger cannot be read.
    #[error("the ledger could not be read")]
    Failed,
}

impl From<Failure> for BudgetError {
    fn from(_: Failure) -> BudgetError {
        BudgetError::Failed
    }
}

impl From<BudgetError> for QueryError {
    fn from(error: BudgetError) -> QueryError {
        match error {
            BudgetError::NotAllowed(region) => QueryError::NotAllowed(region.to_string()),
            BudgetError::Days | BudgetError::Failed => QueryError::Failed,
        }
    }
}

/// The budget of blocks.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetAnswer {
    /// The most that all queries together may learn about one block: rho, as every amount here.
    pub rho_block_max: String,
    /// The epochs of every day and the share of each.
    pub epochs: Vec<EpochAnswer>,
    /// Tables, regions and days, in this order.
    pub blocks: Vec<BlockAnswer>,
}

/// One epoch.
#[derive(Clone, Debug, Serialize)]
pub struct EpochAnswer {
    /// `open`, `after 1 day` ..
    pub name: String,
    /// Its share.
    pub rho_max: String,
}

/// One block.
#[derive(Clone, Debug, Serialize)]
pub struct BlockAnswer {
    /// The table.
    pub table: Kind,
    /// The region.
    pub region: Region,
    /// The day.
    pub day: String,
    /// The epoch in force.
    pub epoch: String,
    /// What was spent in all epochs.
    pub rho_spent: String,
    /// What the epoch in force has left.
    pub rho_left: String,
    /// The day on which the next epoch begins.
    pub next_epoch: Option<String>,
    /// What spent it, oldest first.
    pub spent_by: Vec<SpentAnswer>,
}

/// One charge.
#[derive(Clone, Debug, Serialize)]
pub struct SpentAnswer {
    /// When.
    pub at: String,
    /// From which epoch's share.
    pub epoch: String,
    /// How much.
    pub rho: String,
    /// `sealed`: its answer is kept; `reserved`: it is being made; `lost`: it failed.
    pub state: &'static str,
    /// What was asked, in its canonical form.
    pub query: String,
}

impl Budget {
    /// Lists blocks.
    pub(crate) async fn list(
        &self,
        regions: &[Region],
        asked: &BudgetRequest,
        now_ms: i64,
    ) -> Result<BudgetAnswer, BudgetError> {
        if let Some(region) = asked.region.filter(|region| !regions.contains(region)) {
            return Err(BudgetError::NotAllowed(region));
        }
        let filter = SpendingFilter {
            regions: asked.region.map_or_else(|| regions.to_vec(), |region| vec![region]),
            kinds: asked.table.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]),
            days: days(asked, now_ms)?,
        };
        let (ledger, wanted) = (self.ledger().clone(), filter.clone());
        let spent = blocking(move || ledger.spending(&wanted)).await?;
        let spent: HashMap<Block, BlockSpending> = spent.into_iter().map(|one| (one.block, one)).collect();
        let mut blocks = Vec::new();
        for kind in &filter.kinds {
            for region in &filter.regions {
                for day in filter.days.clone() {
                    let block = Block { region: *region, kind: *kind, day };
                    blocks.push(self.block(block, spent.get(&block), now_ms));
                }
            }
        }
        let pools = self.epochs.pools(self.cap);
        let epochs = pools.iter().zip(0_u8..).map(|(share, pool)| EpochAnswer {
            name: self.epochs.pool_text(pool),
            rho_max: share.to_string(),
        });
        Ok(BudgetAnswer { rho_block_max: self.cap.to_string(), epochs: epochs.collect(), blocks })
    }

    fn block(&self, block: Block, spending: Option<&BlockSpending>, now_ms: i64) -> BlockAnswer {
        let epoch = self.epochs.at(block.day, now_ms);
        let pools = spending.map(|one| one.pools.clone()).unwrap_or_default();
        let items = spending.map(|one| one.items.as_slice()).unwrap_or_default();
        let spent_by = items.iter().map(|item| SpentAnswer {
            at: time_text(item.at_ms),
            epoch: self.epochs.pool_text(item.pool),
            rho: Rho::from_nano(item.nano).to_string(),
            state: item.state,
            query: item.text.clone(),
        });
        BlockAnswer {
            table: block.kind,
            region: block.region,
            day: day_text(block.day),
            epoch: self.epochs.pool_text(epoch.pool),
            rho_spent: Rho::from_nano(pools.values().fold(0, |sum: u64, n| sum.saturating_add(*n)))
                .to_string(),
            rho_left: self.left_of(&pools, epoch.pool).to_string(),
            next_epoch: self.epochs.next_text(block.day, epoch.pool),
            spent_by: spent_by.collect(),
        }
    }
}

fn days(asked: &BudgetRequest, now_ms: i64) -> Result<std::ops::RangeInclusive<i32>, BudgetError> {
    let day = |text: &Option<String>| match text {
        Some(text) => parse_day(text).map(Some).ok_or(BudgetError::Days),
        None => Ok(None),
    };
    let last = day(&asked.last)?.unwrap_or_else(|| day_of(now_ms));
    let first = day(&asked.first)?.unwrap_or_else(|| last.saturating_sub(DAYS_DEFAULT - 1));
    let count = i64::from(last) - i64::from(first) + 1;
    if (1..=DAYS_MAX).contains(&count) { Ok(first..=last) } else { Err(BudgetError::Days) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::release::tests::World;
    use crate::tests::now_ms;

    #[tokio::test]
    async fn what_was_spent_is_listed_with_what_spent_it() {
        let world = World::new();
        world.ask("SELECT COUNT(*) FROM usage WHERE day > current_date - 2", now_ms()).await.unwrap();
        let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
        let list = world.budget.list(&[Region::De, Region::Us], &asked, now_ms()).await.unwrap();
        assert_eq!((list.blocks.len(), list.rho_block_max.as_str()), (14, "0.5"));
        assert_eq!((list.epochs[1].name.as_str(), list.epochs[1].rho_max.as_str()), ("after 1 day", "0.2"));
        let today = &list.blocks[6];
        assert_eq!(
            (today.day.as_str(), today.epoch.as_str(), today.region),
            ("2026-11-22", "open", Region::De)
        );
        assert_eq!((today.rho_spent.as_str(), today.rho_left.as_str()), ("0.002", "0.098"));
        assert_eq!(today.next_epoch.as_deref(), Some("2026-11-23"));
        assert_eq!((today.spent_by.len(), today.spent_by[0].state), (1, "sealed"));
        assert!(today.spent_by[0].query.contains("AGGREGATE count(*)"));
        assert_eq!(list.blocks[5].rho_left, "0.198");
        assert!(list.blocks[13].spent_by.is_empty(), "another region");
    }

    #[tokio::test]
    async fn only_days_and_regions_of_the_key_are_listed() {
        let world = World::new();
        let with = |region, first: &str, last: &str| BudgetRequest {
            table: None,
            region,
            first: Some(first.to_owned()),
            last: Some(last.to_owned()),
        };
        let list = async |asked| world.budget.list(&[Region::De], &asked, now_ms()).await;
        let one = list(with(None, "2026-11-22", "2026-11-22")).await.unwrap();
        assert_eq!(one.blocks.len(), Kind::ALL.len());
        let error = list(with(Some(Region::Us), "2026-11-22", "2026-11-22")).await.err();
        assert_eq!(error, Some(BudgetError::NotAllowed(Region::Us)));
        for (first, last) in
            [("2026-11-22", "2026-11-21"), ("2020-01-01", "2026-11-21"), ("now", "2026-11-21")]
        {
            assert_eq!(list(with(None, first, last)).await.err(), Some(BudgetError::Days), "{first}");
        }
    }
}
