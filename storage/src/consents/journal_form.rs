//! The bytes of a journal's file.
//!
//! ```text
//! file      "SHOALWJ2" | id of the file (16) | CRC-32 of both, u32 LE | write | .. | empty write | write | ..
//! write     "WJw2" | length of the records, u32 LE | record | .. | CRC-32 of id, length and records, u32 LE
//! record    length of the body, u16 LE | body
//! body      number, u64 LE | programme (1) | digest (16) | act, opaque here; its first byte is its kind
//! ```
//! A file is made up to its empty write before it has its name, so nothing before that can be torn: what is not whole there is
//! damage. After it, what follows the last whole write is a torn write if no whole one is in it, and damage otherwise, because a
//! write begins when the one before it is synced. The records of a write have one checksum: a power cut may keep any of its
//! sectors, and then none of them is there. A torn write is no longer than the longest write. A file is read a write at a time,
//! however long it is.
//!
//! A file of the first form begins with "SHOALWJ1", and has no writes but "WJr1" | record | CRC-32 of id and record. What follows
//! its last whole record is damage: it cannot be told from a torn end. It is written anew in the second form when it is opened.
//! Not here: files (`journal`), what an act says (`shoal-privacy`, `consent/withdrawal.rs`).

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use shoal_files::{Rest, Source};
use shoal_schemas::Programme;

use super::file::{programme_byte, programme_of};

const HEAD: &[u8; 8] = b"SHOALWJ2";
const WRITE: &[u8; 4] = b"WJw2";
const FIRST_HEAD: &[u8; 8] = b"SHOALWJ1";
const FIRST_RECORD: &[u8; 4] = b"WJr1";
/// Bytes of the head of a file.
pub(super) const HEAD_BYTES: usize = 8 + 16 + 4;
/// Bytes of a checksum.
const CRC_BYTES: usize = 4;
/// The longest act.
pub(super) const ACT_BYTES_MAX: usize = 1024;
/// The longest write, and so the longest torn one.
pub(super) const WRITE_BYTES_MAX: u64 = 1 << 20;

/// One act of one subject, as it stands in a journal. It borrows the act, because a journal is read many times for few of its
/// records. No `Debug`.
#[derive(Clone, Copy)]
pub(super) struct Noted<'b> {
    /// Which record of the journal it is.
    pub(super) number: u64,
    pub(super) programme: Programme,
    pub(super) digest: [u8; 16],
    pub(super) act: &'b [u8],
}

/// What was found in a file.
pub(super) struct Found {
    pub(super) id: u128,
    /// The largest number of a record; 0 without any.
    pub(super) last: u64,
    /// Where the part ends that was there when the file got its name. None in a file of the first form.
    pub(super) made: Option<u64>,
    /// Where the last whole write ends.
    pub(super) end: u64,
}

/// What the head of a file says.
#[derive(Clone, Copy)]
struct Head {
    id: u128,
    is_first_form: bool,
}

/// A write that is whole.
struct Write {
    /// The bytes of its records, each of which can be read.
    records: Vec<u8>,
    /// How long the write is in the file.
    bytes: u64,
}

/// The head of a file with this id.
pub(super) fn head_bytes(id: u128) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    bytes.extend(id.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// The bytes of a write of these records into the file with this id. Without any it ends the part with which a file is made.
pub(super) fn write_bytes(id: u128, records: &[u8]) -> Vec<u8> {
    let length = u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes();
    [WRITE.as_slice(), &length, records, &crc_of(id, &length, records)].concat()
}

/// The bytes of a record.
pub(super) fn record_bytes(noted: &Noted<'_>) -> Vec<u8> {
    let mut body = noted.number.to_le_bytes().to_vec();
    body.push(programme_byte(noted.programme));
    body.extend(noted.digest);
    body.extend(noted.act);
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes();
    [length.as_slice(), &body].concat()
}

fn crc_of(id: u128, length: &[u8], said: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.to_le_bytes());
    crc.update(length);
    crc.update(said);
    crc.finalize().to_le_bytes()
}

/// Shows every record of a file to `visit`, in their order. None when it is damaged.
///
/// # Errors
/// When it cannot be read, and those of `visit`.
pub(super) fn read(
    source: Arc<dyn Source>,
    visit: &mut dyn FnMut(Noted<'_>) -> io::Result<()>,
) -> io::Result<Option<Found>> {
    let length = source.length()?;
    let mut bytes = [0; HEAD_BYTES];
    if length < HEAD_BYTES as u64 {
        return Ok(None);
    }
    source.read_at(0, &mut bytes)?;
    let Some(head) = head_of(&bytes) else { return Ok(None) };
    let mut found = Found { id: head.id, last: 0, made: None, end: HEAD_BYTES as u64 };
    let mut reader =
        BufReader::with_capacity(256 << 10, Rest::new(Arc::clone(&source), HEAD_BYTES as u64, length));
    while let Some(write) = next(head, &mut reader)? {
        found.end += write.bytes;
        if write.records.is_empty() && found.made.is_none() {
            found.made = Some(found.end);
        }
        for noted in noted_in(&write.records).flatten() {
            found.last = found.last.max(noted.number);
            visit(noted)?;
        }
    }
    let is_whole = match (head.is_first_form, found.made) {
        (true, _) => found.end == length,
        (false, Some(_)) => is_torn(head, &*source, found.end)?,
        (false, None) => false,
    };
    Ok(is_whole.then_some(found))
}

/// Whether what follows the last whole write, if anything, can be one that was torn.
fn is_torn(head: Head, source: &dyn Source, end: u64) -> io::Result<bool> {
    let rest = source.length()?.saturating_sub(end);
    if rest > WRITE_BYTES_MAX {
        return Ok(false);
    }
    let mut tail = vec![0; usize::try_from(rest).unwrap_or(0)];
    source.read_at(end, &mut tail)?;
    let hidden = |at: usize| {
        let mut from = &tail[at..];
        matches!(next(head, &mut from), Ok(Some(_)))
    };
    Ok(!(1..tail.len()).any(hidden))
}

fn head_of(bytes: &[u8; HEAD_BYTES]) -> Option<Head> {
    let (said, crc) = bytes.split_last_chunk::<4>()?;
    let (form, id) = said.split_first_chunk::<8>()?;
    let is_first_form = form == FIRST_HEAD;
    let is_known = is_first_form || form == HEAD;
    let id = u128::from_le_bytes(*id.first_chunk::<16>()?);
    (is_known && u32::from_le_bytes(*crc) == crc32fast::hash(said)).then_some(Head { id, is_first_form })
}

/// The write that comes next; none when what comes is no whole one. A record is one in a file of the first form.
fn next(head: Head, reader: &mut dyn Read) -> io::Result<Option<Write>> {
    let (tag, width) = if head.is_first_form { (FIRST_RECORD, 2) } else { (WRITE, 4) };
    let mut begin = [0; 8];
    let begin = &mut begin[..tag.len() + width];
    if !filled(reader, begin)? {
        return Ok(None);
    }
    let (found_tag, said_length) = begin.split_at(tag.len());
    let mut length = [0; 4];
    length[..width].copy_from_slice(said_length);
    let length = u32::from_le_bytes(length);
    if found_tag != tag || u64::from(length) > WRITE_BYTES_MAX {
        return Ok(None);
    }
    // In the first form what is told is the length of the one record, which stands before it there as in a write.
    let own_length: &[u8] = if head.is_first_form { said_length } else { &[] };
    let mut records = own_length.to_vec();
    let (lead, length) = (own_length.len(), length as usize);
    records.resize(lead + length + CRC_BYTES, 0);
    if !filled(reader, &mut records[lead..])? {
        return Ok(None);
    }
    let crc = records.split_off(lead + length);
    if crc != crc_of(head.id, said_length, &records[lead..])
        || noted_in(&records).any(|noted| noted.is_none())
    {
        return Ok(None);
    }
    Ok(Some(Write { records, bytes: (begin.len() + length + CRC_BYTES) as u64 }))
}

/// The records of a write; none, and nothing after it, in the place of one that cannot be read.
fn noted_in(mut bytes: &[u8]) -> impl Iterator<Item = Option<Noted<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let (noted, rest) = first_of(bytes).unzip();
        bytes = rest.unwrap_or_default();
        Some(noted)
    })
}

/// The first record, and what follows it.
fn first_of(bytes: &[u8]) -> Option<(Noted<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (body, after) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (number, rest) = body.split_first_chunk::<8>()?;
    let (programme, rest) = rest.split_first()?;
    let (digest, act) = rest.split_first_chunk::<16>()?;
    let programme = programme_of(*programme)?;
    Some((Noted { number: u64::from_le_bytes(*number), programme, digest: *digest, act }, after))
}

/// Fills the buffer; false when the bytes end before.
fn filled(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}
