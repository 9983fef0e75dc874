//! Reserving: an order becomes charges of a ledger's file, and is durable only when it is committed.
//!
//! Invariant: nothing of a [`Booking`] is in the file before it is committed, so that its high-water marks can be
//! written first. Not here: the file itself (`book`), the order of the writes (`mod`).

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, WriteTransaction};

use super::amount::{Amount, Spent};
use super::book::{
    ASKERS, CHARGE_DELTAS, CHARGES, COUNTERS, DELTA, PARTS, Pages, RESERVATION, RESERVED, SEALED, SPENT,
    block_bytes, corrupted, failed, part_bytes, part_record, pool_key, pools,
};
use super::order::{Block, Order, Shortage, SpendingCaps};
use crate::error::Result;
use crate::redb_file::begin_write;

/// What became of an order.
pub(super) enum Booked {
    /// It can be paid.
    Granted(Box<Booking>),
    /// These blocks have too little left.
    Lacking(Vec<Shortage>),
    /// One of the released parts is sealed already.
    Sealed,
}

/// An order that can be paid, and is not yet.
pub(super) struct Booking {
    pub(super) write: WriteTransaction,
    pub(super) number: u64,
    /// The new numbers of what is charged.
    pub(super) spent: Spent,
}

impl Pages<'_> {
    /// Books an order; nobody else can change the file until the booking is committed or dropped.
    pub(super) fn book(&self, order: &Order) -> Result<Booked> {
        let write = begin_write(self.db)?;
        match reserve(&write, order)? {
            Outcome::Reserved { number, spent } => {
                Ok(Booked::Granted(Box::new(Booking { write, number, spent })))
            }
            Outcome::Lacking(lacking) => {
                write.abort().map_err(failed)?;
                Ok(Booked::Lacking(lacking))
            }
            Outcome::Sealed => {
                write.abort().map_err(failed)?;
                Ok(Booked::Sealed)
            }
        }
    }
}

enum Outcome {
    Reserved { number: u64, spent: Spent },
    Lacking(Vec<Shortage>),
    Sealed,
}

fn next(counters: &mut Table<'_, &'static str, u64>, name: &str) -> Result<u64> {
    let last = counters.get(name).map_err(failed)?.map_or(0, |v| v.value());
    let next = last.checked_add(1).ok_or_else(|| corrupted("a number above 2^64"))?;
    counters.insert(name, next).map_err(failed)?;
    Ok(next)
}

fn reserve(write: &WriteTransaction, order: &Order) -> Result<Outcome> {
    let mut parts = write.open_table(PARTS).map_err(failed)?;
    for part in &order.parts {
        if let Some(record) = parts.get(&part.id).map_err(failed)?
            && part_record(record.value())?.0 == SEALED
        {
            return Ok(Outcome::Sealed);
        }
    }
    let mut rho = write.open_table(SPENT).map_err(failed)?;
    let mut delta = write.open_table(DELTA).map_err(failed)?;
    let (spent, lacking) = sums(&rho, &delta, order)?;
    if !lacking.is_empty() {
        return Ok(Outcome::Lacking(lacking));
    }
    for ((block, pool), amount) in &spent {
        rho.insert(&pool_key(*block, *pool), amount.nano).map_err(failed)?;
        delta.insert(&pool_key(*block, *pool), amount.delta_atto).map_err(failed)?;
    }
    let mut counters = write.open_table(COUNTERS).map_err(failed)?;
    let mut charges = write.open_table(CHARGES).map_err(failed)?;
    let mut deltas = write.open_table(CHARGE_DELTAS).map_err(failed)?;
    let mut askers = write.open_table(ASKERS).map_err(failed)?;
    let number = next(&mut counters, RESERVATION)?;
    for part in &order.parts {
        for charge in &part.charges {
            let mut key = [0; 14];
            key[..6].copy_from_slice(&block_bytes(charge.block));
            key[6..].copy_from_slice(&next(&mut counters, "charge")?.to_be_bytes());
            let mut value = [0; 49];
            value[0] = charge.pool;
            value[1..9].copy_from_slice(&charge.nano.to_le_bytes());
            value[9..17].copy_from_slice(&order.now_ms.to_le_bytes());
            value[17..].copy_from_slice(&part.id);
            charges.insert(&key, &value).map_err(failed)?;
            deltas.insert(&key, charge.delta_atto).map_err(failed)?;
            askers.insert(&key, order.asker.as_str()).map_err(failed)?;
        }
        let record = part_bytes(RESERVED, number, order.now_ms, &part.text);
        parts.insert(&part.id, record.as_slice()).map_err(failed)?;
    }
    Ok(Outcome::Reserved { number, spent })
}

/// What will be spent on each block and pool, and the blocks that cannot bear it.
fn sums(
    rho: &impl ReadableTable<&'static [u8; 7], u64>,
    delta: &impl ReadableTable<&'static [u8; 7], u64>,
    order: &Order,
) -> Result<(Spent, Vec<Shortage>)> {
    let mut asked: BTreeMap<Block, BTreeMap<u8, Amount>> = BTreeMap::new();
    for charge in order.parts.iter().flat_map(|part| &part.charges) {
        let sum = asked.entry(charge.block).or_default().entry(charge.pool).or_default();
        *sum = sum.plus(Amount { nano: charge.nano, delta_atto: charge.delta_atto });
    }
    let (mut spent, mut lacking) = (Spent::new(), Vec::new());
    for (block, asked) in asked {
        let mut known: BTreeMap<u8, Amount> = BTreeMap::new();
        for (pool, nano) in pools(rho, block)? {
            known.entry(pool).or_default().nano = nano;
        }
        for (pool, delta_atto) in pools(delta, block)? {
            known.entry(pool).or_default().delta_atto = delta_atto;
        }
        lacking.extend(shortages(block, &known, &asked, &order.caps));
        for (pool, asked) in asked {
            let known = known.get(&pool).copied().unwrap_or_default();
            spent.insert((block, pool), known.plus(asked));
        }
    }
    Ok((spent, lacking))
}

/// The pools of a block that cannot bear what is asked of them.
fn shortages(
    block: Block,
    known: &BTreeMap<u8, Amount>,
    asked: &BTreeMap<u8, Amount>,
    caps: &SpendingCaps,
) -> Vec<Shortage> {
    let all = |pools: &BTreeMap<u8, Amount>| pools.values().fold(Amount::default(), |a, b| a.plus(*b));
    let (before, more) = (all(known), all(asked));
    let left_of_block = caps.block.saturating_sub(before.nano);
    let left_delta_atto = caps.delta_atto.saturating_sub(before.delta_atto);
    // What spends no delta can be asked of a block that has none left.
    let lacks_delta = more.delta_atto > left_delta_atto;
    let one = |(pool, asked): (&u8, &Amount)| {
        let known = known.get(pool).copied().unwrap_or_default();
        let cap = caps.pools.get(usize::from(*pool)).copied().unwrap_or(0);
        let left_nano = cap.saturating_sub(known.nano).min(left_of_block);
        let lacks = asked.nano > left_nano || more.nano > left_of_block || lacks_delta;
        lacks.then_some(Shortage {
            block,
            pool: *pool,
            asked_nano: asked.nano,
            left_nano,
            asked_delta_atto: more.delta_atto,
            left_delta_atto,
        })
    };
    asked.iter().filter_map(one).collect()
}
