//! What blocks may spend, have spent and have left, and what spent it: for everyone with an analyst's key. Of the charges of all
//! blocks that are asked about, the newest are listed, and each statement once.
//!
//! Invariants: public facts only: caps, epochs, prices, and the form of the statements that were asked. Their literals are for
//! the key that asked and for officers. Only regions that the key reaches. What has no answer has one state, whether it is
//! being made, or failed, or was cancelled. Not here: the ledger (`ledger.rs`).

use std::collections::HashMap;

use serde::Serialize;
use shoal_anonymity::budget::Rho;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BlockSpending, SpendingFilter, SpendingItem};

use crate::delta::delta_text;
use crate::error::QueryError;
use crate::failure::Failure;
use crate::grant::{AnalystGrant, Role};
use crate::ledger::{Budget, blocking};
use crate::literals::PublicWords;
use shoal_language::calendar::{day_text, parse_day, time_text};
use shoal_schemas::calendar::day_of;

/// Days that are listed when none are named.
const DAYS_DEFAULT: i32 = 7;
/// Most days that are listed.
const DAYS_MAX: i64 = 400;
/// Most charges that are listed, of all blocks together.
const CHARGES_MAX: usize = 1_000;
/// Longest statement of a list; longer ones are cut.
const STATEMENT_BYTES_MAX: usize = 4 << 10;
/// How the text of the size of a block begins, which has nothing below its head, and how it is listed.
const SIZE_OF: &str = "NUMBER OF ROWS OF ";
const SIZE: &str = "NUMBER OF ROWS";
/// How many lines at the beginning of what the ledger keeps of a released part say where and when.
const HEAD_LINES: usize = 2;

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
    /// What was asked, in its canonical form, to which `spent_by` points; for everybody but its asker and officers with a `?`
    /// for each literal.
    pub queries: Vec<String>,
    /// Whether there are older charges of these blocks, which are not listed: fewer days show them.
    pub more: bool,
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
    /// Whether there are older charges of it, which are not listed.
    pub more: bool,
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
    /// Which released part it paid for: the table and region that are asked about, and the days or the epoch of the day.
    pub part: String,
    /// What was asked: which one of `queries`.
    pub query: usize,
}

/// Who reads a list.
pub(crate) struct Reader<'a> {
    pub(crate) grant: &'a AnalystGrant,
    pub(crate) words: PublicWords<'a>,
}

/// The statements of a list, each once.
struct Statements<'r> {
    reader: &'r Reader<'r>,
    /// By whether its literals are shown, and what the ledger has of it.
    places: HashMap<(bool, String), usize>,
    shown: Vec<String>,
}

impl Statements<'_> {
    /// Where and when, and which of the statements, as this reader may see it.
    fn of(&mut self, item: &SpendingItem) -> (String, usize) {
        let end = item.text.match_indices('\n').nth(HEAD_LINES - 1).map_or(item.text.len(), |(at, _)| at);
        let (head, asked) = item.text.split_at(end);
        let asked = asked.trim_start_matches('\n');
        let of_rows = head.strip_prefix(SIZE_OF).filter(|_| asked.is_empty());
        let (part, asked) = match of_rows {
            Some(block) => (format!("FROM {block}"), SIZE),
            // What the ledger has lost the form of.
            None if asked.is_empty() => (String::new(), head),
            None => (head.to_owned(), asked),
        };
        let Reader { grant, words } = self.reader;
        let is_own = item.asker.as_ref() == Some(&grant.key_id);
        let is_whole = is_own || grant.role == Role::Officer;
        let key = (is_whole, asked.to_owned());
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None => {
                let shown = match is_whole {
                    true => asked.to_owned(),
                    false => words.without_literals(asked),
                };
                self.shown.push(cut(shown));
                self.places.insert(key, self.shown.len() - 1);
                self.shown.len() - 1
            }
        };
        (part.replace('\n', ", "), at)
    }
}

/// The statement, not longer than a list has it.
fn cut(mut statement: String) -> String {
    if statement.len() > STATEMENT_BYTES_MAX {
        let end = (0..=STATEMENT_BYTES_MAX).rev().find(|at| statement.is_char_boundary(*at)).unwrap_or(0);
        statement.truncate(end);
        statement.push_str(" ..");
    }
    statement
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
            charges_max: CHARGES_MAX,
        };
        let (ledger, wanted) = (self.ledger().clone(), filter.clone());
        let spent = blocking(move || ledger.spending(&wanted)).await?;
        let spent: HashMap<Block, BlockSpending> = spent.into_iter().map(|one| (one.block, one)).collect();
        let mut statements = Statements { reader, places: HashMap::new(), shown: Vec::new() };
        let mut blocks: Vec<BlockAnswer> = Vec::new();
        for kind in &filter.kinds {
            for region in &filter.regions {
                for day in filter.days.clone() {
                    let block = Block { region: *region, kind: *kind, day };
                    blocks.push(self.block(block, spent.get(&block), &mut statements, now_ms));
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
            delta_block_max: delta_text(self.delta_atto_max),
            epochs: epochs.collect(),
            more: blocks.iter().any(|block| block.more),
            queries: statements.shown,
            blocks,
        })
    }

    fn block(
        &self,
        block: Block,
        spending: Option<&BlockSpending>,
        statements: &mut Statements<'_>,
        now_ms: i64,
    ) -> BlockAnswer {
        let epoch = self.epochs.at(block.day, now_ms);
        let pools = spending.map(|one| one.pools.clone()).unwrap_or_default();
        let delta_left = spending.map_or(self.delta_atto_max, |one| self.delta_left_of(&one.deltas));
        let delta_spent =
            spending.map_or(0, |one| one.deltas.values().fold(0, |sum: u64, n| sum.saturating_add(*n)));
        let items = spending.map(|one| one.items.as_slice()).unwrap_or_default();
        let spent_by = items.iter().map(|item| {
            let (part, query) = statements.of(item);
            SpentAnswer {
                at: time_text(item.at_ms),
                epoch: self.epochs.pool_text(item.pool),
                rho: Rho::from_nano(item.nano).to_string(),
                delta: delta_text(item.delta_atto),
                state: if item.is_sealed { "sealed" } else { "reserved" },
                part,
                query,
            }
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
            more: spending.is_some_and(|one| one.has_more),
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
mod tests;
