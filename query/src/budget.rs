//! What blocks may spend, have spent and have left, and what spent it: for everyone with an analyst's key.
//!
//! Invariants: public facts only: caps, epochs, prices, and the form of the statements that were asked. Their literals are for
//! the key that asked and for officers. Only regions that the key reaches. What has no answer has one state, whether it is
//! being made, or failed, or was cancelled. Not here: the ledger (`ledger.rs`).

use std::collections::HashMap;

use serde::Serialize;
use shoal_anonymity::budget::Rho;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BlockSpending, SpendingFilter, SpendingItem};

use crate::error::QueryError;
use crate::failure::Failure;
use crate::grant::{AnalystGrant, Role};
use crate::ledger::{Budget, DELTA_ATTO_BLOCK_MAX, blocking, delta_left_of, delta_text};
use crate::literals::PublicWords;
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
    /// The most that all queries together may learn about one block, in rho.
    pub rho_block_max: String,
    /// The most that thresholds may take together of one block's delta, as `1e-6`.
    pub delta_block_max: String,
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
    /// What thresholds took of its delta, in all epochs, and what is left of it for all of them.
    pub delta_spent: String,
    /// See `delta_spent`.
    pub delta_left: String,
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
    /// How much of the block's delta; `0` when no group could be withheld.
    pub delta: String,
    /// `sealed`: its answer is kept; `reserved`: it is charged and has none, because its question is being answered, failed
    /// at whatever step, or was cancelled.
    pub state: &'static str,
    /// What was asked, in its canonical form; for everybody but its asker and officers with a `?` for each literal.
    pub query: String,
}

/// Who reads a list.
pub(crate) struct Reader<'a> {
    pub(crate) grant: &'a AnalystGrant,
    pub(crate) words: PublicWords<'a>,
}

impl Reader<'_> {
    /// What was asked, as this reader may see it.
    fn statement(&self, item: &SpendingItem) -> String {
        let is_own = item.asker.as_ref() == Some(&self.grant.key_id);
        match is_own || self.grant.role == Role::Officer {
            true => item.text.clone(),
            false => self.words.without_literals(&item.text),
        }
    }
}

impl Budget {
    /// Lists blocks.
    pub(crate) async fn list(
        &self,
        reader: &Reader<'_>,
        asked: &BudgetRequest,
        now_ms: i64,
    ) -> Result<BudgetAnswer, BudgetError> {
        let regions = &reader.grant.regions;
        if let Some(region) = asked.region.filter(|region| !regions.contains(region)) {
            return Err(BudgetError::NotAllowed(region));
        }
        let filter = SpendingFilter {
            regions: asked.region.map_or_else(|| regions.clone(), |region| vec![region]),
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
                    blocks.push(self.block(block, spent.get(&block), reader, now_ms));
                }
            }
        }
        let pools = self.epochs.pools(self.cap);
        let epochs = pools.iter().zip(0_u8..).map(|(share, pool)| EpochAnswer {
            name: self.epochs.pool_text(pool),
            rho_max: share.to_string(),
        });
        Ok(BudgetAnswer {
            rho_block_max: self.cap.to_string(),
            delta_block_max: delta_text(DELTA_ATTO_BLOCK_MAX),
            epochs: epochs.collect(),
            blocks,
        })
    }

    fn block(
        &self,
        block: Block,
        spending: Option<&BlockSpending>,
        reader: &Reader<'_>,
        now_ms: i64,
    ) -> BlockAnswer {
        let epoch = self.epochs.at(block.day, now_ms);
        let pools = spending.map(|one| one.pools.clone()).unwrap_or_default();
        let delta_left = spending.map_or(DELTA_ATTO_BLOCK_MAX, |one| delta_left_of(&one.deltas));
        let delta_spent =
            spending.map_or(0, |one| one.deltas.values().fold(0, |sum: u64, n| sum.saturating_add(*n)));
        let items = spending.map(|one| one.items.as_slice()).unwrap_or_default();
        let spent_by = items.iter().map(|item| SpentAnswer {
            at: time_text(item.at_ms),
            epoch: self.epochs.pool_text(item.pool),
            rho: Rho::from_nano(item.nano).to_string(),
            delta: delta_text(item.delta_atto),
            state: if item.is_sealed { "sealed" } else { "reserved" },
            query: reader.statement(item),
        });
        BlockAnswer {
            table: block.kind,
            region: block.region,
            day: day_text(block.day),
            epoch: self.epochs.pool_text(epoch.pool),
            rho_spent: Rho::from_nano(pools.values().fold(0, |sum: u64, n| sum.saturating_add(*n)))
                .to_string(),
            rho_left: self.left_of(&pools, epoch.pool).to_string(),
            delta_spent: delta_text(delta_spent),
            delta_left: delta_text(delta_left),
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
    use crate::tests::{grant, now_ms, registry};

    async fn list(
        world: &World,
        grant: &AnalystGrant,
        asked: &BudgetRequest,
    ) -> Result<BudgetAnswer, BudgetError> {
        let registry = registry();
        let reader = Reader { grant, words: PublicWords::of(&registry) };
        world.budget.list(&reader, asked, now_ms()).await
    }

    #[tokio::test]
    async fn literals_are_for_the_asker_and_for_officers() {
        let world = World::new();
        let sql = "SELECT COUNT(*) FROM usage WHERE day = current_date AND screen = 'anna'";
        world.ask(sql, now_ms()).await.unwrap();
        let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
        let seen_by = async |key_id: &str, role: Role| {
            let grant = AnalystGrant { key_id: key_id.to_owned(), role, regions: vec![Region::De] };
            list(&world, &grant, &asked).await.unwrap().blocks[6].spent_by[0].query.clone()
        };
        let own = seen_by(crate::release::tests::ASKER, Role::Analyst).await;
        assert!(own.contains("(screen = 'anna')"), "{own}");
        assert_eq!(seen_by("off1", Role::Officer).await, own);
        let other = seen_by("ana2", Role::Analyst).await;
        assert!(other.contains("(screen = ?)") && !other.contains("anna"), "{other}");
    }

    #[tokio::test]
    async fn what_was_spent_is_listed_with_what_spent_it() {
        let world = World::new();
        world.ask("SELECT COUNT(*) FROM usage WHERE day > current_date - 2", now_ms()).await.unwrap();
        let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
        let list = list(&world, &grant(&[Region::De, Region::Us]), &asked).await.unwrap();
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
        assert_eq!((today.delta_spent.as_str(), today.delta_left.as_str()), ("0", "1e-6"));
        assert!(list.blocks[13].spent_by.is_empty(), "another region");
    }

    #[tokio::test]
    async fn what_thresholds_take_of_delta_is_listed_with_what_is_left() {
        let world = World::new();
        let of_today = "FROM usage WHERE day = current_date";
        for sql in [
            format!("SELECT screen, COUNT(*) {of_today} GROUP BY screen"),
            format!("SELECT COUNT(*) {of_today}"),
        ] {
            world.ask(&sql, now_ms()).await.unwrap();
        }
        let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
        let list = list(&world, &grant(&[Region::De]), &asked).await.unwrap();
        assert_eq!(list.delta_block_max, "1e-6");
        let today = &list.blocks[6];
        // rho 0.002 of 0.5, so as much of 10^-6.
        let deltas: Vec<&str> = today.spent_by.iter().map(|spent| spent.delta.as_str()).collect();
        assert_eq!(deltas, ["4e-9", "0"]);
        assert_eq!((today.delta_spent.as_str(), today.delta_left.as_str()), ("4e-9", "9.96e-7"));
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
        let list = async |asked| list(&world, &grant(&[Region::De]), &asked).await;
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
