//! The redb file of the budget ledger.
//!
//! ```text
//! meta      "format" -> 1
//! counters  "reservation" | "charge" -> the last number given
//! spent     block (6) | pool (1)  -> nano-rho, u64
//! charges   block (6) | number, u64 BE -> pool (1) | nano, u64 LE | time in ms, i64 LE | part (32)
//! pieces    part (32) -> state (1) | reservation, u64 LE | time in ms, i64 LE | text, UTF-8
//! answers   part (32) -> sealed bytes, opaque here
//! block     region (1) | kind (1) | day with its sign bit flipped, u32 BE: blocks are in order of region, kind, day
//! state     0 reserved, 1 sealed, 2 lost
//! ```
//! Invariants: each change is one durable transaction. Not here: high-water marks, listing (`view`).

use std::collections::BTreeMap;
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, Table,
    TableDefinition, TableError, WriteTransaction,
};

use super::faulty::MemoryUntil;
use super::order::{Block, Found, Order, PartId, Shortage, kind_byte, kind_of, region_byte, region_of};
use crate::error::{Result, StorageError};

const FORMAT: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const SPENT: TableDefinition<&[u8; 7], u64> = TableDefinition::new("spent");
pub(super) const CHARGES: TableDefinition<&[u8; 14], &[u8; 49]> = TableDefinition::new("charges");
pub(super) const PARTS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("pieces");
const ANSWERS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("answers");

pub(super) const RESERVED: u8 = 0;
pub(super) const SEALED: u8 = 1;
pub(super) const LOST: u8 = 2;

/// Spending by block and pool, in nano-rho.
pub(super) type Spent = BTreeMap<(Block, u8), u64>;

pub(super) struct Book {
    pub(super) db: Database,
}

/// What became of an order.
pub(super) enum Booked {
    /// With the new numbers of what was charged.
    Granted {
        number: u64,
        spent: Spent,
    },
    Lacking(Vec<Shortage>),
    Sealed,
}

pub(super) fn failed(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Database(error.into())
}

fn corrupted(what: &str) -> StorageError {
    StorageError::Database(redb::Error::Corrupted(what.to_owned()))
}

pub(super) fn block_bytes(block: Block) -> [u8; 6] {
    let [a, b, c, d] = (block.day.cast_unsigned() ^ 0x8000_0000).to_be_bytes();
    [region_byte(block.region), kind_byte(block.kind), a, b, c, d]
}

pub(super) fn block_of(bytes: [u8; 6]) -> Result<Block> {
    let [region, kind, a, b, c, d] = bytes;
    let day = (u32::from_be_bytes([a, b, c, d]) ^ 0x8000_0000).cast_signed();
    match (region_of(region), kind_of(kind)) {
        (Some(region), Some(kind)) => Ok(Block { region, kind, day }),
        _ => Err(corrupted("a block of no region or table")),
    }
}

fn spent_key(block: Block, pool: u8) -> [u8; 7] {
    let [a, b, c, d, e, f] = block_bytes(block);
    [a, b, c, d, e, f, pool]
}

/// State, reservation, time, text.
pub(super) fn part_record(bytes: &[u8]) -> Result<(u8, u64, i64, &str)> {
    let short = || corrupted("a part's record");
    let (state, rest) = bytes.split_first().ok_or_else(short)?;
    let (number, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (at_ms, text) = rest.split_first_chunk().ok_or_else(short)?;
    let text = std::str::from_utf8(text).map_err(|_| short())?;
    Ok((*state, u64::from_le_bytes(*number), i64::from_le_bytes(*at_ms), text))
}

fn part_bytes(state: u8, number: u64, at_ms: i64, text: &str) -> Vec<u8> {
    let mut bytes = vec![state];
    bytes.extend(number.to_le_bytes());
    bytes.extend(at_ms.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

impl Book {
    pub(super) fn open(path: &Path) -> Result<Book> {
        let db = Database::create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StorageError::Locked(path.to_path_buf()),
            e => failed(e),
        })?;
        Book::checked(db, path)
    }

    pub(super) fn in_memory(syncs: Option<u64>) -> Result<Book> {
        Book::over(MemoryUntil::new(syncs))
    }

    fn over(backend: impl StorageBackend) -> Result<Book> {
        let db = Builder::new().create_with_backend(backend).map_err(failed)?;
        Book::checked(db, Path::new("memory"))
    }

    fn checked(db: Database, path: &Path) -> Result<Book> {
        let write = db.begin_write().map_err(failed)?;
        let found = {
            let mut meta = write.open_table(META).map_err(failed)?;
            write.open_table(COUNTERS).map_err(failed)?;
            write.open_table(SPENT).map_err(failed)?;
            write.open_table(CHARGES).map_err(failed)?;
            write.open_table(PARTS).map_err(failed)?;
            write.open_table(ANSWERS).map_err(failed)?;
            let found = meta.get("format").map_err(failed)?.map(|v| v.value());
            if found.is_none() {
                meta.insert("format", FORMAT).map_err(failed)?;
            }
            found
        };
        if let Some(found) = found.filter(|f| *f != FORMAT) {
            return Err(StorageError::Format { path: path.to_path_buf(), found, known: FORMAT });
        }
        write.commit().map_err(failed)?;
        Ok(Book { db })
    }

    /// What was reserved and is not sealed has no one left who could seal it.
    pub(super) fn mark_lost(&self) -> Result<()> {
        let write = self.db.begin_write().map_err(failed)?;
        {
            let mut parts = write.open_table(PARTS).map_err(failed)?;
            let mut lost: Vec<([u8; 32], Vec<u8>)> = Vec::new();
            for entry in parts.iter().map_err(failed)? {
                let (id, record) = entry.map_err(failed)?;
                let (state, number, at_ms, text) = part_record(record.value())?;
                if state == RESERVED {
                    lost.push((*id.value(), part_bytes(LOST, number, at_ms, text)));
                }
            }
            for (id, record) in &lost {
                parts.insert(id, record.as_slice()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// Raises every number that is below the high-water mark's; all numbers as they are then.
    pub(super) fn raise(&self, marked: &Spent) -> Result<Spent> {
        let write = self.db.begin_write().map_err(failed)?;
        let mut all = Spent::new();
        {
            let mut table = write.open_table(SPENT).map_err(failed)?;
            for ((block, pool), seen) in marked {
                let key = spent_key(*block, *pool);
                let known = table.get(&key).map_err(failed)?.map_or(0, |v| v.value());
                if *seen > known {
                    table.insert(&key, *seen).map_err(failed)?;
                }
            }
            for entry in table.iter().map_err(failed)? {
                let (key, nano) = entry.map_err(failed)?;
                let [a, b, c, d, e, f, pool] = *key.value();
                all.insert((block_of([a, b, c, d, e, f])?, pool), nano.value());
            }
        }
        write.commit().map_err(failed)?;
        Ok(all)
    }

    pub(super) fn look_up(&self, ids: &[PartId]) -> Result<Vec<Found>> {
        let read = self.db.begin_read().map_err(failed)?;
        let parts = read.open_table(PARTS).map_err(failed)?;
        let answers = read.open_table(ANSWERS).map_err(failed)?;
        let each = ids.iter().map(|id| {
            let Some(record) = parts.get(id).map_err(failed)? else {
                return Ok(Found::Nothing);
            };
            let (state, ..) = part_record(record.value())?;
            if state != SEALED {
                return Ok(Found::Reserved);
            }
            let answer = answers.get(id).map_err(failed)?;
            let answer = answer.ok_or_else(|| corrupted("a sealed part without its answer"))?;
            Ok(Found::Sealed(answer.value().to_vec()))
        });
        each.collect()
    }

    pub(super) fn reserve(&self, order: &Order) -> Result<Booked> {
        let write = self.db.begin_write().map_err(failed)?;
        let outcome = reserve(&write, order)?;
        match &outcome {
            Booked::Granted { .. } => write.commit().map_err(failed)?,
            Booked::Lacking(_) | Booked::Sealed => write.abort().map_err(failed)?,
        }
        Ok(outcome)
    }

    pub(super) fn seal(&self, number: u64, answers: &[(PartId, Vec<u8>)]) -> Result<()> {
        let write = self.db.begin_write().map_err(failed)?;
        {
            let mut parts = write.open_table(PARTS).map_err(failed)?;
            let mut table = write.open_table(ANSWERS).map_err(failed)?;
            for (id, answer) in answers {
                let record = match parts.get(id).map_err(failed)? {
                    Some(record) => match part_record(record.value())? {
                        (RESERVED, owner, at_ms, text) if owner == number => {
                            part_bytes(SEALED, number, at_ms, text)
                        }
                        _ => return Err(StorageError::Stale),
                    },
                    None => return Err(StorageError::Stale),
                };
                parts.insert(id, record.as_slice()).map_err(failed)?;
                table.insert(id, answer.as_slice()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    pub(super) fn spent(&self, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        let read = self.db.begin_read().map_err(failed)?;
        let table = read.open_table(SPENT).map_err(failed)?;
        blocks.iter().map(|block| pools(&table, *block)).collect()
    }
}

/// What was spent on a block, by pool.
pub(super) fn pools(
    table: &impl ReadableTable<&'static [u8; 7], u64>,
    block: Block,
) -> Result<BTreeMap<u8, u64>> {
    let (first, last) = (spent_key(block, 0), spent_key(block, u8::MAX));
    let mut pools = BTreeMap::new();
    for entry in table.range::<&[u8; 7]>(&first..=&last).map_err(failed)? {
        let (key, nano) = entry.map_err(failed)?;
        let [.., pool] = *key.value();
        pools.insert(pool, nano.value());
    }
    Ok(pools)
}

pub(super) fn spent_table(
    read: &redb::ReadTransaction,
) -> std::result::Result<redb::ReadOnlyTable<&'static [u8; 7], u64>, TableError> {
    read.open_table(SPENT)
}

fn next(counters: &mut Table<'_, &'static str, u64>, name: &str) -> Result<u64> {
    let last = counters.get(name).map_err(failed)?.map_or(0, |v| v.value());
    let next = last.checked_add(1).ok_or_else(|| corrupted("a number above 2^64"))?;
    counters.insert(name, next).map_err(failed)?;
    Ok(next)
}

fn reserve(write: &WriteTransaction, order: &Order) -> Result<Booked> {
    let mut parts = write.open_table(PARTS).map_err(failed)?;
    for part in &order.parts {
        if let Some(record) = parts.get(&part.id).map_err(failed)?
            && part_record(record.value())?.0 == SEALED
        {
            return Ok(Booked::Sealed);
        }
    }
    let mut table = write.open_table(SPENT).map_err(failed)?;
    let (spent, lacking) = sums(&table, order)?;
    if !lacking.is_empty() {
        return Ok(Booked::Lacking(lacking));
    }
    for ((block, pool), nano) in &spent {
        table.insert(&spent_key(*block, *pool), *nano).map_err(failed)?;
    }
    let mut counters = write.open_table(COUNTERS).map_err(failed)?;
    let mut charges = write.open_table(CHARGES).map_err(failed)?;
    let number = next(&mut counters, "reservation")?;
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
        }
        let record = part_bytes(RESERVED, number, order.now_ms, &part.text);
        parts.insert(&part.id, record.as_slice()).map_err(failed)?;
    }
    Ok(Booked::Granted { number, spent })
}

/// What will be spent on each block and pool, and the blocks that cannot bear it.
fn sums(table: &impl ReadableTable<&'static [u8; 7], u64>, order: &Order) -> Result<(Spent, Vec<Shortage>)> {
    let mut asked: BTreeMap<Block, BTreeMap<u8, u64>> = BTreeMap::new();
    for charge in order.parts.iter().flat_map(|part| &part.charges) {
        let sum = asked.entry(charge.block).or_default().entry(charge.pool).or_insert(0);
        *sum = sum.saturating_add(charge.nano);
    }
    let (mut spent, mut lacking) = (Spent::new(), Vec::new());
    for (block, asked) in asked {
        let known = pools(table, block)?;
        let all = known.values().chain(asked.values()).fold(0_u64, |sum, n| sum.saturating_add(*n));
        let before = known.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let left_of_block = order.caps.block.saturating_sub(before);
        for (pool, asked_nano) in asked {
            let known = known.get(&pool).copied().unwrap_or(0);
            let cap = order.caps.pools.get(usize::from(pool)).copied().unwrap_or(0);
            let left_nano = cap.saturating_sub(known).min(left_of_block);
            if asked_nano > left_nano || all > order.caps.block {
                lacking.push(Shortage { block, pool, asked_nano, left_nano });
            }
            spent.insert((block, pool), known.saturating_add(asked_nano));
        }
    }
    Ok((spent, lacking))
}
