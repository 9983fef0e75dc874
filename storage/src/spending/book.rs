//! What is in the redb file of the budget ledger.
//!
//! ```text
//! meta           "format" -> 2; "marks <region>" -> 1 once the high-water marks of a region have been made
//! counters       "reservation" | "charge" -> the last number given
//! checkpoint     "audit" -> lines of the audit, u64 LE | hash of the last one (32) | last reservation then, u64 LE
//! day_limits     "record" -> as in the file of that name (`day_limits`); none before there was this table
//! spent          block (6) | pool (1)  -> nano-rho, u64
//! delta          block (6) | pool (1)  -> 10^-18, u64
//! charges        block (6) | number, u64 BE -> pool (1) | nano, u64 LE | time in ms, i64 LE | part (32)
//! charge_deltas  block (6) | number, u64 BE -> 10^-18, u64; a charge of format 1 has none and counts 10^-8
//! askers         the key of a charge -> id of the access key that asked; charges of before there was this table have none
//! pieces         part (32) -> state (1) | reservation, u64 LE | time in ms, i64 LE | text, UTF-8
//! answers        part (32) -> sealed bytes, opaque here
//! block          region (1) | kind (1) | day with its sign bit flipped, u32 BE: blocks are in order of region, kind, day
//! state          0 reserved, 1 sealed; 2, which earlier versions made of 0 at a start, says the same as 0
//! ```
//! Invariants: each change is one durable transaction. What is reserved and not sealed has no answer: who reserved it may
//! seal it as long as its process lives. Memory for pages of the file is bounded. A file of format 1 becomes one of format 2
//! when it is opened: each of its charges then counts its delta. Not here: the file itself (`ledger_book`), reserving
//! (`booking`), high-water marks, listing (`view`).

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use shoal_schemas::Region;

use super::amount::{DELTA_ATTO_BEFORE, Spent};
use super::checkpoint::Checkpoint;
use super::day_limits::DayLimits;
use super::order::{Block, Found, PartId, kind_byte, kind_of, region_byte, region_of};
use crate::error::{Result, StorageError};
use crate::redb_file::{begin_read, begin_write, copy_table};

const FORMAT: u32 = 2;
const FORMAT_WITHOUT_DELTA: u32 = 1;
const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
pub(super) const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const CHECKPOINTS: TableDefinition<&str, &[u8; 48]> = TableDefinition::new("checkpoint");
const DAY_LIMITS: TableDefinition<&str, &[u8]> = TableDefinition::new("day_limits");
pub(super) type ByPool = TableDefinition<'static, &'static [u8; 7], u64>;
pub(super) const SPENT: ByPool = TableDefinition::new("spent");
pub(super) const DELTA: ByPool = TableDefinition::new("delta");
pub(super) const CHARGES: TableDefinition<&[u8; 14], &[u8; 49]> = TableDefinition::new("charges");
pub(super) const CHARGE_DELTAS: TableDefinition<&[u8; 14], u64> = TableDefinition::new("charge_deltas");
pub(super) const ASKERS: TableDefinition<&[u8; 14], &str> = TableDefinition::new("askers");
pub(super) const PARTS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("pieces");
const ANSWERS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("answers");

/// The counter of reservations.
pub(super) const RESERVATION: &str = "reservation";

pub(super) const RESERVED: u8 = 0;
pub(super) const SEALED: u8 = 1;

/// Memory for pages of the file, bytes.
pub(super) const CACHE_BYTES: usize = 16 << 20;

/// The file while it is open.
pub(super) struct Pages<'d> {
    pub(super) db: &'d Database,
}

pub(super) fn failed(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Database(error.into())
}

pub(super) fn corrupted(what: &str) -> StorageError {
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

pub(super) fn pool_key(block: Block, pool: u8) -> [u8; 7] {
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

pub(super) fn part_bytes(state: u8, number: u64, at_ms: i64, text: &str) -> Vec<u8> {
    let mut bytes = vec![state];
    bytes.extend(number.to_le_bytes());
    bytes.extend(at_ms.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn marks_key(region: Region) -> String {
    format!("marks {region}")
}

/// Makes the tables, and of a file of format 1 one of format 2.
pub(super) fn prepare(db: &Database, path: &Path) -> Result<()> {
    let write = begin_write(db)?;
    let found = {
        let mut meta = write.open_table(META).map_err(failed)?;
        write.open_table(COUNTERS).map_err(failed)?;
        write.open_table(CHECKPOINTS).map_err(failed)?;
        write.open_table(DAY_LIMITS).map_err(failed)?;
        write.open_table(SPENT).map_err(failed)?;
        write.open_table(DELTA).map_err(failed)?;
        write.open_table(CHARGES).map_err(failed)?;
        write.open_table(CHARGE_DELTAS).map_err(failed)?;
        write.open_table(ASKERS).map_err(failed)?;
        write.open_table(PARTS).map_err(failed)?;
        write.open_table(ANSWERS).map_err(failed)?;
        let found = meta.get("format").map_err(failed)?.map(|v| v.value());
        meta.insert("format", FORMAT).map_err(failed)?;
        found
    };
    match found {
        None | Some(FORMAT) => {}
        Some(FORMAT_WITHOUT_DELTA) => count_delta(&write)?,
        Some(found) => {
            return Err(StorageError::Format { path: path.to_path_buf(), found, known: FORMAT });
        }
    }
    write.commit().map_err(failed)
}

impl Pages<'_> {
    /// All that was spent.
    pub(super) fn all_spent(&self) -> Result<Spent> {
        let read = begin_read(self.db)?;
        let mut all = Spent::new();
        for (of, is_delta) in [(SPENT, false), (DELTA, true)] {
            for entry in read.open_table(of).map_err(failed)?.iter().map_err(failed)? {
                let (key, number) = entry.map_err(failed)?;
                let [a, b, c, d, e, f, pool] = *key.value();
                let amount = all.entry((block_of([a, b, c, d, e, f])?, pool)).or_default();
                match is_delta {
                    true => amount.delta_atto = number.value(),
                    false => amount.nano = number.value(),
                }
            }
        }
        Ok(all)
    }

    /// The number of the last reservation.
    pub(super) fn last_reservation(&self) -> Result<u64> {
        let read = begin_read(self.db)?;
        let counters = read.open_table(COUNTERS).map_err(failed)?;
        Ok(counters.get(RESERVATION).map_err(failed)?.map_or(0, |v| v.value()))
    }

    /// Raises every number that is below these, and the number of the last reservation.
    pub(super) fn raise(&self, to: &Spent, last_reservation: u64) -> Result<()> {
        let write = begin_write(self.db)?;
        {
            let mut counters = write.open_table(COUNTERS).map_err(failed)?;
            let last = counters.get(RESERVATION).map_err(failed)?.map_or(0, |v| v.value());
            counters.insert(RESERVATION, last.max(last_reservation)).map_err(failed)?;
            let mut spent = write.open_table(SPENT).map_err(failed)?;
            let mut delta = write.open_table(DELTA).map_err(failed)?;
            for ((block, pool), amount) in to {
                let key = pool_key(*block, *pool);
                for (table, number) in [(&mut spent, amount.nano), (&mut delta, amount.delta_atto)] {
                    let known = table.get(&key).map_err(failed)?.map_or(0, |v| v.value());
                    if number > known {
                        table.insert(&key, number).map_err(failed)?;
                    }
                }
            }
        }
        write.commit().map_err(failed)
    }

    /// Whether the high-water marks of a region have been made.
    pub(super) fn has_marks(&self, region: Region) -> Result<bool> {
        let read = begin_read(self.db)?;
        let meta = read.open_table(META).map_err(failed)?;
        Ok(meta.get(marks_key(region).as_str()).map_err(failed)?.is_some())
    }

    /// Where the audit was when it was compared last.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let read = begin_read(self.db)?;
        let table = read.open_table(CHECKPOINTS).map_err(failed)?;
        Ok(table.get("audit").map_err(failed)?.map(|bytes| Checkpoint::of_bytes(bytes.value())))
    }

    /// Which limits of a subject's day were in force; none before they were kept.
    pub(super) fn day_limits(&self) -> Result<Option<DayLimits>> {
        let read = begin_read(self.db)?;
        let table = read.open_table(DAY_LIMITS).map_err(failed)?;
        let record = table.get("record").map_err(failed)?;
        let limits = |bytes: &[u8]| DayLimits::of_bytes(bytes).ok_or_else(|| corrupted("limits of a day"));
        record.map(|bytes| limits(bytes.value())).transpose()
    }

    pub(super) fn note_day_limits(&self, limits: &DayLimits) -> Result<()> {
        let write = begin_write(self.db)?;
        {
            let mut table = write.open_table(DAY_LIMITS).map_err(failed)?;
            table.insert("record", limits.to_bytes().as_slice()).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    /// Notes that the high-water marks of all regions have been made, and where the audit is.
    pub(super) fn settle(&self, checkpoint: Option<&Checkpoint>) -> Result<()> {
        let write = begin_write(self.db)?;
        {
            let mut meta = write.open_table(META).map_err(failed)?;
            for region in Region::ALL {
                meta.insert(marks_key(*region).as_str(), 1_u32).map_err(failed)?;
            }
            if let Some(checkpoint) = checkpoint {
                let mut table = write.open_table(CHECKPOINTS).map_err(failed)?;
                table.insert("audit", &checkpoint.to_bytes()).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    pub(super) fn look_up(&self, ids: &[PartId]) -> Result<Vec<Found>> {
        let read = begin_read(self.db)?;
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

    pub(super) fn seal(&self, number: u64, answers: &[(PartId, Vec<u8>)]) -> Result<()> {
        let write = begin_write(self.db)?;
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

    /// What each of these blocks has in a table, by pool.
    pub(super) fn by_pool(&self, of: ByPool, blocks: &[Block]) -> Result<Vec<BTreeMap<u8, u64>>> {
        let read = begin_read(self.db)?;
        let table = read.open_table(of).map_err(failed)?;
        blocks.iter().map(|block| pools(&table, *block)).collect()
    }
}

/// What a block has in a table, by pool.
pub(super) fn pools(
    table: &impl ReadableTable<&'static [u8; 7], u64>,
    block: Block,
) -> Result<BTreeMap<u8, u64>> {
    let (first, last) = (pool_key(block, 0), pool_key(block, u8::MAX));
    let mut pools = BTreeMap::new();
    for entry in table.range::<&[u8; 7]>(&first..=&last).map_err(failed)? {
        let (key, number) = entry.map_err(failed)?;
        let [.., pool] = *key.value();
        pools.insert(pool, number.value());
    }
    Ok(pools)
}

/// Copies everything, as one transaction sees it, into a file that is prepared.
pub(super) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, META)?;
    copy_table(from, to, COUNTERS)?;
    copy_table(from, to, CHECKPOINTS)?;
    copy_table(from, to, DAY_LIMITS)?;
    copy_table(from, to, SPENT)?;
    copy_table(from, to, DELTA)?;
    copy_table(from, to, CHARGES)?;
    copy_table(from, to, CHARGE_DELTAS)?;
    copy_table(from, to, ASKERS)?;
    copy_table(from, to, PARTS)?;
    copy_table(from, to, ANSWERS)
}

/// Counts the delta of every charge of a file that did not keep it.
fn count_delta(write: &WriteTransaction) -> Result<()> {
    let charges = write.open_table(CHARGES).map_err(failed)?;
    let mut delta = write.open_table(DELTA).map_err(failed)?;
    let mut counted: BTreeMap<[u8; 7], u64> = BTreeMap::new();
    for entry in charges.iter().map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        let [a, b, c, d, e, f, ..] = *key.value();
        let sum = counted.entry([a, b, c, d, e, f, value.value()[0]]).or_insert(0);
        *sum = sum.saturating_add(DELTA_ATTO_BEFORE);
    }
    for (key, sum) in counted {
        delta.insert(&key, sum).map_err(failed)?;
    }
    Ok(())
}
