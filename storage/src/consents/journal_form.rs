//! The bytes of a journal's file.
//!
//! ```text
//! file      "SHOALWJ1" | id of the file (16) | CRC-32 of both, u32 LE | record | record | ..
//! record    "WJr1" | length of the body, u16 LE | body | CRC-32 of id, length and body, u32 LE
//! body      number, u64 LE | programme (1) | digest (16) | act, opaque here; its first byte is its kind
//! ```
//! Invariants: what follows the last whole record is a torn write if no whole record is in it, and damage otherwise; a torn write
//! is shorter than the longest write. A file is read a record at a time, however long it is.
//! Not here: files (`journal`), what an act says (`shoal-privacy`, `consent/withdrawal.rs`).

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use shoal_files::{Rest, Source};
use shoal_schemas::Programme;

use super::file::{programme_byte, programme_of};

const HEAD: &[u8; 8] = b"SHOALWJ1";
const RECORD: &[u8; 4] = b"WJr1";
/// Bytes of the head of a file.
pub(super) const HEAD_BYTES: usize = 8 + 16 + 4;
/// Bytes of a body before its act.
const BODY_MIN: usize = 8 + 1 + 16;
/// The longest act.
pub(super) const ACT_BYTES_MAX: usize = 1024;
/// The longest write, and so the longest torn one.
pub(super) const WRITE_BYTES_MAX: u64 = 1 << 20;

/// One act of one subject, as it stands in a journal. No `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Noted {
    /// Which record of the journal it is.
    pub(super) number: u64,
    pub(super) programme: Programme,
    pub(super) digest: [u8; 16],
    pub(super) act: Vec<u8>,
}

/// What was found in a file.
pub(super) struct Found {
    pub(super) id: u128,
    /// The largest number of a record; 0 without any.
    pub(super) last: u64,
    /// Where the last whole record ends.
    pub(super) end: u64,
}

/// The head of a file with this id.
pub(super) fn head_bytes(id: u128) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    bytes.extend(id.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// The bytes of a record in the file with this id.
pub(super) fn record_bytes(id: u128, noted: &Noted) -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY_MIN + noted.act.len());
    body.extend(noted.number.to_le_bytes());
    body.push(programme_byte(noted.programme));
    body.extend(noted.digest);
    body.extend(&noted.act);
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes();
    let crc = crc_of(id, length, &body);
    [RECORD.as_slice(), &length, &body, &crc].concat()
}

fn crc_of(id: u128, length: [u8; 2], body: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.to_le_bytes());
    crc.update(&length);
    crc.update(body);
    crc.finalize().to_le_bytes()
}

/// Shows every record of a file to `visit`, in their order. None when it is damaged.
///
/// # Errors
/// When it cannot be read, and those of `visit`.
pub(super) fn read(
    source: Arc<dyn Source>,
    visit: &mut dyn FnMut(Noted) -> io::Result<()>,
) -> io::Result<Option<Found>> {
    let length = source.length()?;
    let mut head = [0; HEAD_BYTES];
    if length < HEAD_BYTES as u64 {
        return Ok(None);
    }
    source.read_at(0, &mut head)?;
    let Some(id) = id_of(&head) else { return Ok(None) };
    let mut found = Found { id, last: 0, end: HEAD_BYTES as u64 };
    let mut reader =
        BufReader::with_capacity(256 << 10, Rest::new(Arc::clone(&source), HEAD_BYTES as u64, length));
    while let Some((noted, bytes)) = next(id, &mut reader)? {
        found.last = found.last.max(noted.number);
        found.end += bytes;
        visit(noted)?;
    }
    let rest = length - found.end;
    if rest > WRITE_BYTES_MAX {
        return Ok(None);
    }
    let mut tail = vec![0; usize::try_from(rest).unwrap_or(0)];
    source.read_at(found.end, &mut tail)?;
    let hidden = |at: usize| {
        let mut from = &tail[at..];
        matches!(next(id, &mut from), Ok(Some(_)))
    };
    let is_torn = !(1..tail.len()).any(hidden);
    Ok(is_torn.then_some(found))
}

fn id_of(head: &[u8; HEAD_BYTES]) -> Option<u128> {
    let (said, crc) = head.split_last_chunk::<4>()?;
    let id = said.strip_prefix(HEAD)?.first_chunk::<16>()?;
    (u32::from_le_bytes(*crc) == crc32fast::hash(said)).then(|| u128::from_le_bytes(*id))
}

/// The record that comes next, and its bytes; none when what comes is no whole record.
fn next(id: u128, reader: &mut dyn Read) -> io::Result<Option<(Noted, u64)>> {
    let mut head = [0; 6];
    if !filled(reader, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, length @ ..] = head;
    let bytes = usize::from(u16::from_le_bytes(length));
    if [a, b, c, d] != *RECORD || !(BODY_MIN + 1..=BODY_MIN + ACT_BYTES_MAX).contains(&bytes) {
        return Ok(None);
    }
    let mut body = vec![0; bytes + 4];
    if !filled(reader, &mut body)? {
        return Ok(None);
    }
    let crc = body.split_off(bytes);
    if crc != crc_of(id, length, &body) {
        return Ok(None);
    }
    let noted = noted_of(&body);
    Ok(noted.map(|noted| (noted, (head.len() + bytes + 4) as u64)))
}

fn noted_of(body: &[u8]) -> Option<Noted> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    let (programme, rest) = rest.split_first()?;
    let (digest, act) = rest.split_first_chunk::<16>()?;
    let programme = programme_of(*programme)?;
    Some(Noted { number: u64::from_le_bytes(*number), programme, digest: *digest, act: act.to_vec() })
}

/// Fills the buffer; false when the bytes end before.
fn filled(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}
