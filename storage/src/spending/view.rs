//! What was spent on which block, and on what: for people. Public facts only.
//!
//! Not here: what is left, which depends on caps and epochs (`shoal-query`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::RangeInclusive;

use shoal_schemas::{Kind, Region};

use super::amount::DELTA_ATTO_BEFORE;
use super::book::{
    ASKERS, CHARGE_DELTAS, CHARGES, DELTA, PARTS, Pages, SEALED, SPENT, block_bytes, block_of, failed,
    part_record, pools,
};
use super::order::{Block, PartId};
use crate::error::Result;
use crate::redb_file::begin_read;

/// Which blocks are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendingFilter {
    /// In their order.
    pub regions: Vec<Region>,
    /// In their order.
    pub kinds: Vec<Kind>,
    /// Days since 1970-01-01.
    pub days: RangeInclusive<i32>,
    /// How many charges of all these blocks together are listed: the newest.
    pub charges_max: usize,
}

/// What was spent on one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSpending {
    /// The block.
    pub block: Block,
    /// Billionths of rho, by pool.
    pub pools: BTreeMap<u8, u64>,
    /// Quintillionths (10^-18) of delta, by pool.
    pub deltas: BTreeMap<u8, u64>,
    /// What spent it, oldest first, as far as it is among the newest. An older copy of the ledger that was put back does not
    /// know all of it.
    pub items: Vec<SpendingItem>,
    /// Whether older charges of it are not listed.
    pub has_more: bool,
}

/// One charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendingItem {
    /// The released part that it paid for.
    pub part: PartId,
    /// What the released part is.
    pub text: String,
    /// Public part of the key that asked, where it is known.
    pub asker: Option<String>,
    /// From which pool.
    pub pool: u8,
    /// Billionths of rho.
    pub nano: u64,
    /// Quintillionths (10^-18) of delta.
    pub delta_atto: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Whether the released part has an answer. Why it has none, and since when, is not told apart.
    pub is_sealed: bool,
}

impl Pages<'_> {
    pub(super) fn spending(&self, filter: &SpendingFilter) -> Result<Vec<BlockSpending>> {
        let read = begin_read(self.db)?;
        let spent = read.open_table(SPENT).map_err(failed)?;
        let delta = read.open_table(DELTA).map_err(failed)?;
        let charges = read.open_table(CHARGES).map_err(failed)?;
        let charge_deltas = read.open_table(CHARGE_DELTAS).map_err(failed)?;
        let askers = read.open_table(ASKERS).map_err(failed)?;
        let parts = read.open_table(PARTS).map_err(failed)?;
        let mut found: BTreeMap<Block, BlockSpending> = BTreeMap::new();
        for region in &filter.regions {
            for kind in &filter.kinds {
                let block = |day: i32| block_bytes(Block { region: *region, kind: *kind, day });
                let (mut first, mut last) = ([0; 7], [u8::MAX; 7]);
                first[..6].copy_from_slice(&block(*filter.days.start()));
                last[..6].copy_from_slice(&block(*filter.days.end()));
                for entry in spent.range::<&[u8; 7]>(&first..=&last).map_err(failed)? {
                    let (key, nano) = entry.map_err(failed)?;
                    let [a, b, c, d, e, f, pool] = *key.value();
                    let block = block_of([a, b, c, d, e, f])?;
                    found.entry(block).or_insert_with(|| nothing(block)).pools.insert(pool, nano.value());
                }
            }
        }
        // Days that are newest have most of the newest charges: with them first, little is kept only to be left out again.
        let mut newest = Newest::of(filter.charges_max);
        let mut blocks: Vec<Block> = found.keys().copied().collect();
        blocks.sort_unstable_by_key(|block| Reverse(block.day));
        for block in blocks {
            let (mut first, mut last) = ([0; 14], [u8::MAX; 14]);
            first[..6].copy_from_slice(&block_bytes(block));
            last[..6].copy_from_slice(&block_bytes(block));
            for entry in charges.range::<&[u8; 14]>(&first..=&last).map_err(failed)?.rev() {
                let (key, value) = entry.map_err(failed)?;
                if !newest.takes(block, *key.value(), *value.value()) {
                    break;
                }
            }
        }
        for spending in found.values_mut() {
            spending.deltas = pools(&delta, spending.block)?;
            spending.has_more = newest.left_out.contains(&spending.block);
        }
        let mut charged: Vec<Charged> = newest.kept.into_iter().map(|Reverse(charged)| charged).collect();
        charged.sort_unstable_by_key(|charged| charged.number);
        for Charged { block, key, value, .. } in charged {
            let Some(spending) = found.get_mut(&block) else { continue };
            let asker = askers.get(&key).map_err(failed)?.map(|asker| asker.value().to_owned());
            let (pool, nano, at_ms, part) = charge_of(&value);
            let delta_atto = charge_deltas.get(&key).map_err(failed)?;
            let delta_atto = delta_atto.map_or(DELTA_ATTO_BEFORE, |delta| delta.value());
            let record = parts.get(&part).map_err(failed)?;
            let (is_sealed, text) = match &record {
                Some(record) => {
                    let (state, _, _, text) = part_record(record.value())?;
                    (state == SEALED, text.to_owned())
                }
                None => (false, String::new()),
            };
            let item = SpendingItem { part, text, asker, pool, nano, delta_atto, at_ms, is_sealed };
            spending.items.push(item);
        }
        Ok(found.into_values().collect())
    }
}

/// A charge as the file has it, by its number: a later charge has a larger one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Charged {
    number: [u8; 8],
    block: Block,
    key: [u8; 14],
    value: [u8; 49],
}

/// The newest charges of those that were looked at.
struct Newest {
    most: usize,
    /// The oldest of them is at the top.
    kept: BinaryHeap<Reverse<Charged>>,
    /// Blocks of which a charge is not among them.
    left_out: BTreeSet<Block>,
}

impl Newest {
    fn of(most: usize) -> Newest {
        Newest { most, kept: BinaryHeap::new(), left_out: BTreeSet::new() }
    }

    /// Takes a charge if it is among the newest; whether an older one of its block can be.
    fn takes(&mut self, block: Block, key: [u8; 14], value: [u8; 49]) -> bool {
        let mut number = [0; 8];
        number.copy_from_slice(&key[6..]);
        let oldest = self.kept.peek().filter(|_| self.kept.len() >= self.most);
        if self.most == 0 || oldest.is_some_and(|Reverse(oldest)| oldest.number >= number) {
            self.left_out.insert(block);
            return false;
        }
        self.kept.push(Reverse(Charged { number, block, key, value }));
        if self.kept.len() > self.most
            && let Some(Reverse(oldest)) = self.kept.pop()
        {
            self.left_out.insert(oldest.block);
        }
        true
    }
}

fn nothing(block: Block) -> BlockSpending {
    let (pools, deltas) = (BTreeMap::new(), BTreeMap::new());
    BlockSpending { block, pools, deltas, items: Vec::new(), has_more: false }
}

fn charge_of(value: &[u8; 49]) -> (u8, u64, i64, PartId) {
    let (mut nano, mut at_ms, mut part) = ([0; 8], [0; 8], [0; 32]);
    nano.copy_from_slice(&value[1..9]);
    at_ms.copy_from_slice(&value[9..17]);
    part.copy_from_slice(&value[17..]);
    (value[0], u64::from_le_bytes(nano), i64::from_le_bytes(at_ms), part)
}
