//! What was spent on each block of a region, kept beside the region's tables, so that whoever puts an older ledger beside
//! newer data gets no budget back.
//!
//! ```text
//! <root>/<region>/budget.witness    "SHOALBW1" | batch | batch | ..
//! batch     "BWb1" | length of the entries, u32 LE | entries | CRC-32 of length and entries, u32 LE
//! entry     kind (1) | pool (1) | day, i32 LE | spent so far in nano-rho, u64 LE
//! ```
//! Invariants: appended and synced, one batch for each reservation; numbers are running totals, and the largest one
//! counts, so that a batch may be there twice. What follows the last good batch is a torn write if no good batch is in it
//! (it was never answered for, and is overwritten), and damage otherwise: then nothing opens. A file that has grown far
//! beyond what it says is written anew, under another name first. After a failed write nothing more is written.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;

use shoal_files::{LogFile, Medium};
use shoal_schemas::Region;

use super::book::Spent;
use super::order::{Block, kind_byte, kind_of};
use crate::error::{Result, StorageError};

const HEAD: &[u8; 8] = b"SHOALBW1";
const BATCH: &[u8; 4] = b"BWb1";
const ENTRY_BYTES: usize = 14;
/// A file below this size is never written anew.
const KEPT_BYTES: u64 = 1 << 20;

/// The high-water marks of all regions of a root.
pub(super) struct HighWaterMarks {
    medium: Arc<dyn Medium>,
    files: HashMap<Region, HighWaterMark>,
    spent: Spent,
    broken: bool,
}

struct HighWaterMark {
    name: String,
    file: Box<dyn LogFile>,
    bytes: u64,
}

impl HighWaterMarks {
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<HighWaterMarks> {
        let (mut files, mut all) = (HashMap::new(), Spent::new());
        for region in Region::ALL {
            if let Some((mark, spent)) = HighWaterMark::open(&*medium, *region)? {
                files.insert(*region, mark);
                all.extend(spent);
            }
        }
        Ok(HighWaterMarks { medium, files, spent: all, broken: false })
    }

    /// What all high-water marks say.
    pub(super) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// Whether anything can still be written down.
    pub(super) fn check(&self) -> Result<()> {
        match self.broken {
            true => Err(StorageError::Stopped),
            false => Ok(()),
        }
    }

    /// Writes down every number that is above its high-water mark. Durable when it returns.
    pub(super) fn raise(&mut self, spent: &Spent) -> Result<()> {
        self.check()?;
        let mut fresh: HashMap<Region, Spent> = HashMap::new();
        for (at, nano) in spent {
            if self.spent.get(at).is_none_or(|known| known < nano) {
                fresh.entry(at.0.region).or_default().insert(*at, *nano);
            }
        }
        self.broken = true;
        for (region, fresh) in fresh {
            self.spent.extend(fresh.iter().map(|(at, nano)| (*at, *nano)));
            let mark = match self.files.remove(&region) {
                Some(mut mark) => {
                    mark.append(&*self.medium, &fresh)?;
                    mark
                }
                None => HighWaterMark::create(&*self.medium, name_of(region), &fresh)?,
            };
            let own = || self.spent.iter().filter(|((b, _), _)| b.region == region);
            let live = own().count().saturating_mul(ENTRY_BYTES) as u64;
            let mark = match mark.bytes > KEPT_BYTES.max(live.saturating_mul(4)) {
                true => {
                    let all: Spent = own().map(|(at, nano)| (*at, *nano)).collect();
                    HighWaterMark::create(&*self.medium, mark.name, &all)?
                }
                false => mark,
            };
            self.files.insert(region, mark);
        }
        self.broken = false;
        Ok(())
    }
}

fn name_of(region: Region) -> String {
    format!("{}/budget.witness", region.as_str().to_ascii_lowercase())
}

impl HighWaterMark {
    /// None when there is no file.
    fn open(medium: &dyn Medium, region: Region) -> Result<Option<(HighWaterMark, Spent)>> {
        let name = name_of(region);
        let path = medium.path(&name);
        let bytes = match medium.read(&name) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StorageError::io(&path))?,
        };
        let damaged = || StorageError::HighWaterMark(path.clone());
        if !bytes.starts_with(HEAD) {
            return Err(damaged());
        }
        let (spent, good) = read(&bytes, region).ok_or_else(damaged)?;
        let rest = bytes.get(good..).unwrap_or_default();
        let hidden = (1..rest.len()).any(|at| batch(&rest[at..]).is_some());
        if hidden {
            return Err(damaged());
        }
        let file = medium.edit(&name).map_err(StorageError::io(&path))?;
        let good = good as u64;
        file.set_length(good).and_then(|()| file.sync()).map_err(StorageError::io(&path))?;
        Ok(Some((HighWaterMark { name, file, bytes: good }, spent)))
    }

    /// A file with these numbers, in place of one that may be there.
    fn create(medium: &dyn Medium, name: String, spent: &Spent) -> Result<HighWaterMark> {
        let bytes: Vec<u8> = HEAD.iter().copied().chain(batch_bytes(spent)).collect();
        let file = medium.put(&name, &bytes).and_then(|()| medium.edit(&name));
        let file = file.map_err(StorageError::io(medium.path(&name)))?;
        Ok(HighWaterMark { name, file, bytes: bytes.len() as u64 })
    }

    fn append(&mut self, medium: &dyn Medium, spent: &Spent) -> Result<()> {
        let bytes = batch_bytes(spent);
        let written = self.file.write_at(self.bytes, &bytes).and_then(|()| self.file.sync());
        written.map_err(StorageError::io(medium.path(&self.name)))?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

fn batch_bytes(spent: &Spent) -> Vec<u8> {
    let mut entries = Vec::with_capacity(spent.len() * ENTRY_BYTES);
    for ((block, pool), nano) in spent {
        entries.push(kind_byte(block.kind));
        entries.push(*pool);
        entries.extend(block.day.to_le_bytes());
        entries.extend(nano.to_le_bytes());
    }
    let len = u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc_of(len, &entries);
    let parts: [&[u8]; 4] = [BATCH, &len, &entries, &crc];
    parts.concat()
}

fn crc_of(len: [u8; 4], entries: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len);
    crc.update(entries);
    crc.finalize().to_le_bytes()
}

/// The entries of the batch that these bytes begin with.
fn batch(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.strip_prefix(BATCH.as_slice())?.split_first_chunk::<4>()?;
    let entries = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let crc = rest.get(entries.len()..)?.first_chunk::<4>()?;
    (*crc == crc_of(*len, entries) && entries.len().is_multiple_of(ENTRY_BYTES)).then_some(entries)
}

/// The numbers of all good batches, and where they end. None: a good batch that says nothing sensible.
fn read(bytes: &[u8], region: Region) -> Option<(Spent, usize)> {
    let (mut spent, mut at) = (Spent::new(), HEAD.len());
    while let Some(entries) = bytes.get(at..).and_then(batch) {
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let (kind, rest) = entry.split_first()?;
            let (pool, rest) = rest.split_first()?;
            let (day, nano) = rest.split_first_chunk::<4>()?;
            let block = Block { region, kind: kind_of(*kind)?, day: i32::from_le_bytes(*day) };
            let nano = u64::from_le_bytes(*nano.first_chunk::<8>()?);
            let known = spent.entry((block, *pool)).or_insert(0);
            *known = nano.max(*known);
        }
        at += BATCH.len() + 4 + entries.len() + 4;
    }
    Some((spent, at))
}
