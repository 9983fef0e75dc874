//! Whether a chain is whole: all lines that its head counts are there and unchanged, and at most one group follows them.
//!
//! Invariant: reads only; a service may be appending meanwhile. Not here: reading lines (`scan.rs`), and what a start does
//! about a chain that is not whole (`writer.rs`).

use std::cmp::Ordering;

use serde::Deserialize;

use super::head::Head;
use super::place::{ChainPlace, FOLDER, HEAD};
use super::scan::{ChainLine, Scan, scan};
use crate::error::Result;
use crate::form::{self, LineHash};

/// Most lines that are synced together.
pub(super) const GROUP_MAX: u64 = 1024;

/// A chain that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Lines.
    pub count: u64,
    /// Hash of the last one, or what the first one will follow.
    pub hash: LineHash,
    /// Lines that the head does not count yet: a running service is at work, or a crash came before it.
    pub uncounted: u64,
    /// Bytes of a last line that has no end: as above.
    pub unfinished_bytes: u64,
}

/// Reads a whole chain and gives each line; a service may be appending to it.
///
/// # Errors
/// [`AuditError::Chain`](crate::AuditError::Chain) with file and line of the first one that is not whole, or where lines
/// are missing.
pub fn verify(place: &ChainPlace, each: &mut dyn FnMut(&ChainLine<'_>)) -> Result<Whole> {
    read_from(place, 0, each)
}

/// Reads what follows a line that was seen before, and gives each line after it; none when that line is not there any
/// more, or another one is in its place. `count` is the line's number and `hash` its hash; 0 is the beginning.
///
/// Only the files from that line's on are read.
///
/// # Errors
/// As [`verify`], for these files.
pub fn verify_since(
    place: &ChainPlace,
    count: u64,
    hash: LineHash,
    each: &mut dyn FnMut(&ChainLine<'_>),
) -> Result<Option<Whole>> {
    let head = Head::read(place)?.map_or(0, |head| head.count);
    if count > head {
        return Ok(None);
    }
    let mut is_there = count == 0 && hash == form::first();
    let whole = read_from(place, count, &mut |line| match line.seq.cmp(&count) {
        Ordering::Equal => is_there = line.hash == hash,
        Ordering::Greater if is_there => each(line),
        _ => {}
    })?;
    Ok(is_there.then_some(whole))
}

/// Reads the last file alone, and gives each of its lines.
///
/// # Errors
/// As [`verify`], for that file.
pub fn verify_last(place: &ChainPlace, each: &mut dyn FnMut(&ChainLine<'_>)) -> Result<Whole> {
    let count = Head::read(place)?.map_or(0, |head| head.count);
    read_from(place, count, each)
}

/// When the act of the last line was, in milliseconds since 1970; none when there is no line. Only the last file is read.
///
/// # Errors
/// As [`verify`], for that file.
pub fn last_at_ms(place: &ChainPlace) -> Result<Option<i64>> {
    #[derive(Deserialize)]
    struct When {
        at_ms: i64,
    }
    let count = Head::read(place)?.map_or(0, |head| head.count);
    let mut last = Vec::new();
    read_from(place, count, &mut |line| {
        last.clear();
        last.extend_from_slice(line.text);
    })?;
    Ok(serde_json::from_slice::<When>(&last).ok().map(|when| when.at_ms))
}

/// Reads the lines from the beginning of the file with this one on.
fn read_from(place: &ChainPlace, line: u64, each: &mut dyn FnMut(&ChainLine<'_>)) -> Result<Whole> {
    let before = Head::read(place)?;
    let files = place.files()?;
    let Some(before) = before else {
        return match files.is_empty() {
            true => Ok(Whole { count: 0, hash: form::first(), uncounted: 0, unfinished_bytes: 0 }),
            false => Err(place.headless()),
        };
    };
    let from = files.iter().rposition(|file| file.first <= line.max(1)).unwrap_or(0);
    let scanned = scan(place, &files, from, &before, each)?;
    if let Some(fault) = &scanned.fault
        && !(fault.is_unfinished && scanned.count >= before.count)
    {
        return Err(place.broken(&fault.name, fault.line, &fault.reason));
    }
    let after = Head::read(place)?.unwrap_or(before);
    counted(place, &scanned, &before)?;
    within_a_group(place, &scanned, &after)?;
    let uncounted = scanned.count.saturating_sub(after.count);
    let unfinished_bytes = scanned.fault.map_or(0, |fault| fault.bytes);
    Ok(Whole { count: scanned.count, hash: scanned.hash, uncounted, unfinished_bytes })
}

/// All lines that the head counts must be there.
pub(super) fn counted(place: &ChainPlace, scanned: &Scan, head: &Head) -> Result<()> {
    if scanned.count >= head.count {
        return Ok(());
    }
    let missing = head.count - scanned.count;
    let reason = format!("the last {missing} of {} lines are missing", head.count);
    Err(match &scanned.last {
        Some(last) => place.broken(&last.name, last.line, reason),
        None => place.broken(FOLDER, 0, reason),
    })
}

/// No more lines may follow those that the head counts than one group has.
pub(super) fn within_a_group(place: &ChainPlace, scanned: &Scan, head: &Head) -> Result<()> {
    if scanned.count.saturating_sub(head.count) <= GROUP_MAX {
        return Ok(());
    }
    let reason = format!("counts {} lines, but there are {}: it is an older one", head.count, scanned.count);
    Err(place.broken(HEAD, 0, reason))
}
