//! Reads segments back: recovery, flush and the counting of days use the same code.
//!
//! Invariants: what was durable is read or is an error; what was torn off was never acknowledged, and ends a segment. All records of a
//! segment are encrypted, or none is. Not here: bytes of a record (`record.rs`), writing (`segment.rs`).

use std::path::PathBuf;

use super::{
    decode::{Decoder, Record, Stored, Unopened},
    record::{BLOCK_BYTES, Segment, What},
    shelf::Shelf,
};
use crate::{dictionary::Dictionary, error::IngestError};

const CHANGED: &str = "a record was changed after it was written";

/// The segment that is written to, as far as it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) sequence: u64,
    /// Where the last durable record ends.
    pub(crate) end: u64,
    /// When it was begun, in what is served, ms; none as long as no row is in it.
    pub(crate) begun_ms: Option<i64>,
}

/// What is in a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) sequence: u64,
    pub(crate) opened_ms: i64,
    /// Bytes used of the file.
    pub(crate) end: u64,
    pub(crate) rows: u64,
    pub(crate) payload_bytes: u64,
}

/// What was found in a file.
pub(crate) struct Scan {
    pub(crate) extent: Extent,
    pub(crate) of: Segment,
    pub(crate) is_encrypted: bool,
    pub(crate) sealed: bool,
}

/// What the first record says.
struct Beginning {
    of: Segment,
    is_encrypted: bool,
    dictionary: Dictionary,
    /// How long the file was made; segments of earlier versions do not say that.
    made: Option<u64>,
    /// Where the second record starts.
    next: u64,
}

/// What errors say of a file.
struct Told(PathBuf);

impl Told {
    fn io<T>(&self, outcome: std::io::Result<T>) -> Result<T, IngestError> {
        outcome.map_err(IngestError::io(&self.0))
    }

    fn damaged(&self, offset: u64, reason: &'static str) -> IngestError {
        IngestError::Damaged { path: self.0.clone(), offset, reason }
    }

    /// What is in a record of a segment that is encrypted, or is not.
    fn open<'d>(&self, at: u64, stored: Stored<'d>, is_encrypted: bool) -> Result<Record<'d>, IngestError> {
        if stored.is_encrypted != is_encrypted {
            let reason = "of the records of a segment one is encrypted, and another is not";
            return Err(self.damaged(at, reason));
        }
        stored.open().map_err(|unopened| match unopened {
            Unopened::NoKey => IngestError::NoKey { path: self.0.clone() },
            Unopened::Changed(reason) => self.damaged(at, reason),
        })
    }
}

/// Reads a segment from its first record to its seal, or to where it was torn off. `visit` gets each record's rows.
/// None when not even the first record is there: nothing in it was ever acknowledged.
///
/// # Errors
/// When the medium fails, `visit` does, valid records follow after invalid bytes, or a record was written and does not open.
pub(crate) fn scan(
    shelf: &Shelf,
    sequence: u64,
    visit: &mut dyn FnMut(&Dictionary, &[u8]) -> Result<(), IngestError>,
) -> Result<Option<Scan>, IngestError> {
    let told = Told(shelf.path(sequence));
    let file = told.io(shelf.open(sequence))?;
    let mut decoder = told.io(Decoder::new(&*file, shelf.key()))?;
    let Some(first) = beginning(&mut decoder, sequence, &told)? else { return Ok(None) };
    let (of, is_encrypted, opened_ms) = (first.of, first.is_encrypted, first.dictionary.opened_ms);
    let mut at = first.next;
    let extent = Extent { sequence, opened_ms, end: at, rows: 0, payload_bytes: 0 };
    let mut scan = Scan { extent, of, is_encrypted, sealed: false };
    while !scan.sealed {
        match told.io(decoder.read(at))? {
            Some(stored) if stored.of == of && stored.what != What::Dictionary => {
                let record = told.open(at, stored, is_encrypted)?;
                scan.sealed = record.what == What::Seal;
                at = record.next;
                if record.what == What::Rows {
                    scan.extent.rows += u64::from(record.rows);
                    scan.extent.payload_bytes += record.payload.len() as u64;
                    visit(&first.dictionary, record.payload)?;
                }
            }
            _ => {
                end_is_torn(&mut decoder, &scan, at, &told)?;
                break;
            }
        }
    }
    let length = told.io(file.length())?;
    if !scan.sealed && first.made.is_some_and(|made| length < made) {
        return Err(told.damaged(length, "the file is shorter than it was made"));
    }
    scan.extent.end = at;
    Ok(Some(scan))
}

/// Sees to it that what stands at `at`, where no record can be read, is what a crash has torn, and no damage.
///
/// Rows and their cover are one write, of which a power cut may leave the cover alone. So a cover may follow, and nothing else.
///
/// # Errors
/// When it is damage, or the medium fails.
fn end_is_torn(decoder: &mut Decoder<'_>, scan: &Scan, at: u64, told: &Told) -> Result<(), IngestError> {
    let Segment { sequence, salt } = scan.of;
    if told.io(decoder.is_changed(at, sequence, Some(salt)))? {
        return Err(told.damaged(at, CHANGED));
    }
    let mut from = at;
    while let Some(next) = told.io(decoder.find(sequence, Some(salt), from))? {
        let Some(stored) = told.io(decoder.read(next))? else { break };
        let record = told.open(next, stored, scan.is_encrypted)?;
        if record.what != What::Cover || from != at {
            return Err(told.damaged(at, "valid records follow after bytes that are none"));
        }
        from = record.next;
    }
    Ok(())
}

/// The first record; none when it was never written.
fn beginning(
    decoder: &mut Decoder<'_>,
    sequence: u64,
    told: &Told,
) -> Result<Option<Beginning>, IngestError> {
    let Some(first) = told.io(decoder.read(0))? else {
        return never_begun(decoder, sequence, told).map(|()| None);
    };
    match first {
        first if first.what == What::Dictionary && first.of.sequence == sequence => {
            let (of, is_encrypted) = (first.of, first.is_encrypted);
            let record = told.open(0, first, is_encrypted)?;
            let read = named(record.payload).ok_or_else(|| told.damaged(0, "the dictionary cannot be read"));
            let (dictionary, made) = read?;
            Ok(Some(Beginning { of, is_encrypted, dictionary, made, next: record.next }))
        }
        _ => Err(told.damaged(0, "the first record is of another segment")),
    }
}

/// Sees to it that a file without a first record is one that was never begun.
///
/// # Errors
/// When it is damaged, or the medium fails.
fn never_begun(decoder: &mut Decoder<'_>, sequence: u64, told: &Told) -> Result<(), IngestError> {
    if told.io(decoder.find(sequence, None, BLOCK_BYTES))?.is_some() {
        return Err(told.damaged(0, "the first record cannot be read, and valid ones follow"));
    }
    match told.io(decoder.is_changed(0, sequence, None))? {
        true => Err(told.damaged(0, CHANGED)),
        false => Ok(()),
    }
}

/// What the first record's payload says: names, and how long the file was made.
fn named(payload: &[u8]) -> Option<(Dictionary, Option<u64>)> {
    let (dictionary, rest) = postcard::take_from_bytes::<Dictionary>(payload).ok()?;
    match rest {
        [] => Some((dictionary, None)),
        rest => Some((dictionary, Some(postcard::from_bytes(rest).ok()?))),
    }
}

/// Reads the rows of a segment up to where a durable record ends, also while it is written to.
///
/// # Errors
/// When the medium fails, `visit` does, or a record before the end cannot be read.
pub(crate) fn scan_to(
    shelf: &Shelf,
    upto: Tail,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let told = Told(shelf.path(upto.sequence));
    let file = told.io(shelf.open(upto.sequence))?;
    let mut decoder = told.io(Decoder::new(&*file, shelf.key()))?;
    let (mut at, mut of) = (0, None);
    while at < upto.end {
        let stored = told.io(decoder.read(at))?.filter(|stored| stored.of.sequence == upto.sequence);
        let stored = stored.ok_or_else(|| told.damaged(at, "a durable record cannot be read"))?;
        let is_encrypted = *of.get_or_insert(stored.is_encrypted);
        let record = told.open(at, stored, is_encrypted)?;
        if record.what == What::Rows {
            visit(record.payload)?;
        }
        at = record.next;
    }
    Ok(())
}
