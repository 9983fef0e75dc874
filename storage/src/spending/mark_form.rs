//! The bytes of a high-water mark's file.
//!
//! ```text
//! file      "SHOALBW2" | batch | batch | ..
//! batch     "BWb2" | length of what follows up to the CRC, u32 LE | reservation, u64 LE | entries | CRC-32 of length,
//!           reservation and entries, u32 LE
//! entry     kind (1) | pool (1) | day, i32 LE | nano-rho spent so far, u64 LE | 10^-18 of delta spent so far, u64 LE
//! ```
//! The first form, which is read and never written: "SHOALBW1", "BWb1", no reservation, entries without delta.
//! Invariants: numbers are running totals, and the largest counts, so that a batch may be there twice. What follows the
//! last good batch is a torn write if no good batch is in it, and damage otherwise.
//! Not here: files, and what becomes of a torn write (`high_water_mark`).

use shoal_schemas::Region;

use super::amount::{Amount, Spent};
use super::order::{Block, kind_byte, kind_of};

/// Which form a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Without delta and reservations.
    First,
    /// This version's.
    Second,
}

impl Form {
    fn head(self) -> &'static [u8; 8] {
        match self {
            Form::First => b"SHOALBW1",
            Form::Second => b"SHOALBW2",
        }
    }

    fn batch(self) -> &'static [u8; 4] {
        match self {
            Form::First => b"BWb1",
            Form::Second => b"BWb2",
        }
    }

    /// Bytes of a batch before its entries, and of an entry.
    fn sizes(self) -> (usize, usize) {
        match self {
            Form::First => (0, 14),
            Form::Second => (8, ENTRY_BYTES),
        }
    }
}

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 22;

/// What a file says.
pub(super) struct MarkContent {
    pub(super) form: Form,
    /// Of the first form: without delta.
    pub(super) spent: Spent,
    /// The largest number of a reservation.
    pub(super) reservation: u64,
    /// Where the last good batch ends.
    pub(super) good: usize,
}

/// A whole file with these numbers.
pub(super) fn file_bytes(spent: &Spent, reservation: u64) -> Vec<u8> {
    [Form::Second.head().as_slice(), &batch_bytes(spent, reservation)].concat()
}

/// One batch of these numbers.
pub(super) fn batch_bytes(spent: &Spent, reservation: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 + spent.len() * ENTRY_BYTES);
    body.extend(reservation.to_le_bytes());
    for ((block, pool), amount) in spent {
        body.push(kind_byte(block.kind));
        body.push(*pool);
        body.extend(block.day.to_le_bytes());
        body.extend(amount.nano.to_le_bytes());
        body.extend(amount.delta_atto.to_le_bytes());
    }
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc_of(len, &body);
    let parts: [&[u8]; 4] = [Form::Second.batch(), &len, &body, &crc];
    parts.concat()
}

/// What the bytes of a region's file say; none when they are damaged.
pub(super) fn content(bytes: &[u8], region: Region) -> Option<MarkContent> {
    let form = [Form::First, Form::Second].into_iter().find(|form| bytes.starts_with(form.head()))?;
    let (before, entry_bytes) = form.sizes();
    let mut content = MarkContent { form, spent: Spent::new(), reservation: 0, good: form.head().len() };
    while let Some(body) = bytes.get(content.good..).and_then(|rest| batch(form, rest)) {
        let (number, entries) = body.split_at_checked(before)?;
        if let Some(number) = number.first_chunk::<8>() {
            content.reservation = content.reservation.max(u64::from_le_bytes(*number));
        }
        for bytes in entries.chunks_exact(entry_bytes) {
            let (at, amount) = entry(bytes, region)?;
            let known = content.spent.entry(at).or_default();
            *known = known.or_more(amount);
        }
        content.good += form.batch().len() + 4 + body.len() + 4;
    }
    let rest = bytes.get(content.good..).unwrap_or_default();
    let hidden = (1..rest.len()).any(|at| batch(form, &rest[at..]).is_some());
    (!hidden).then_some(content)
}

fn entry(bytes: &[u8], region: Region) -> Option<((Block, u8), Amount)> {
    let (kind, rest) = bytes.split_first()?;
    let (pool, rest) = rest.split_first()?;
    let (day, rest) = rest.split_first_chunk::<4>()?;
    let (nano, rest) = rest.split_first_chunk::<8>()?;
    let block = Block { region, kind: kind_of(*kind)?, day: i32::from_le_bytes(*day) };
    let delta_atto = rest.first_chunk::<8>().map_or(0, |delta| u64::from_le_bytes(*delta));
    Some(((block, *pool), Amount { nano: u64::from_le_bytes(*nano), delta_atto }))
}

fn crc_of(len: [u8; 4], body: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len);
    crc.update(body);
    crc.finalize().to_le_bytes()
}

/// Reservation and entries of the batch that these bytes begin with.
fn batch(form: Form, bytes: &[u8]) -> Option<&[u8]> {
    let (before, entry_bytes) = form.sizes();
    let (len, rest) = bytes.strip_prefix(form.batch().as_slice())?.split_first_chunk::<4>()?;
    let body = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let crc = rest.get(body.len()..)?.first_chunk::<4>()?;
    let entries = body.len().checked_sub(before)?;
    (*crc == crc_of(*len, body) && entries.is_multiple_of(entry_bytes)).then_some(body)
}

/// A file of the first form, as earlier versions wrote it: for tests of reading it.
#[cfg(test)]
pub(super) fn file_bytes_of_first_form(spent: &Spent) -> Vec<u8> {
    let mut entries = Vec::new();
    for ((block, pool), amount) in spent {
        entries.extend([kind_byte(block.kind), *pool]);
        entries.extend(block.day.to_le_bytes());
        entries.extend(amount.nano.to_le_bytes());
    }
    let len = u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes();
    let parts: [&[u8]; 5] = [b"SHOALBW1", b"BWb1", &len, &entries, &crc_of(len, &entries)];
    parts.concat()
}
