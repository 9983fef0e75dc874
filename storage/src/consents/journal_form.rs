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
//! A file that is sealed differs in this: "SHOALWJ3" | id of the file (16) | a seal of nothing (40), which tells whether the key is
//! the file's | CRC-32 of all three, and "WJw3" in the place of "WJw2", with the records sealed as a whole. The context of a seal is
//! the id, and where in the file the write begins, so that no write can be moved, nor be left out before another one. Checksums are
//! of what is sealed, so that a torn write is known without the key; what has a checksum that holds and cannot be opened is damage.
//!
//! A file of the first form begins with "SHOALWJ1", and has no writes but "WJr1" | record | CRC-32 of id and record. What follows
//! its last whole record is damage: it cannot be told from a torn end. It is written anew in the second form when it is opened.
//! Not here: files (`journal`), what an act says (`shoal-privacy`, `consent/withdrawal.rs`).

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use shoal_files::{Rest, SEAL_BYTES, SealingKey, Source};
use shoal_schemas::Programme;
use zeroize::Zeroizing;

use super::file::{programme_byte, programme_of};

/// Bytes of the head of a file that is not sealed.
pub(super) const HEAD_BYTES: usize = 8 + ID_BYTES + CRC_BYTES;
const ID_BYTES: usize = 16;
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
    pub(super) is_sealed: bool,
    /// The largest number of a record; 0 without any.
    pub(super) last: u64,
    /// Where the part ends that was there when the file got its name. None in a file of the first form.
    pub(super) made: Option<u64>,
    /// Where the last whole write ends.
    pub(super) end: u64,
}

/// What became of reading a file.
pub(super) enum Looked {
    Whole(Found),
    Damaged,
    /// It is sealed, and there is no key.
    NoKey,
    /// It was sealed with another key.
    OtherKey,
}

/// Which of the forms a file has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    First,
    Second,
    Sealed,
}

impl Form {
    const ALL: [Form; 3] = [Form::First, Form::Second, Form::Sealed];

    fn head(self) -> &'static [u8; 8] {
        match self {
            Form::First => b"SHOALWJ1",
            Form::Second => b"SHOALWJ2",
            Form::Sealed => b"SHOALWJ3",
        }
    }

    /// What a write begins with, and bytes of its length.
    fn tag(self) -> (&'static [u8; 4], usize) {
        match self {
            Form::First => (b"WJr1", 2),
            Form::Second => (b"WJw2", 4),
            Form::Sealed => (b"WJw3", 4),
        }
    }

    fn head_bytes(self) -> usize {
        HEAD_BYTES + if self == Form::Sealed { SEAL_BYTES } else { 0 }
    }
}

/// What a file's writes are made with.
#[derive(Clone)]
pub(super) struct Pen {
    pub(super) id: u128,
    /// None when it is not sealed.
    pub(super) key: Option<SealingKey>,
}

impl Pen {
    fn form(&self) -> Form {
        if self.key.is_some() { Form::Sealed } else { Form::Second }
    }

    /// The head of a file.
    ///
    /// # Errors
    /// When there are no random numbers; so in all of it.
    pub(super) fn head_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = self.form().head().to_vec();
        bytes.extend(self.id.to_le_bytes());
        if let Some(key) = &self.key {
            key.seal_into(&context(self.id, 0), &[], &mut bytes)?;
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// A write of these records that begins here in the file. Without any it ends the part with which a file is made.
    pub(super) fn write_bytes(&self, at: u64, records: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.key.as_ref().map(|key| key.seal(&context(self.id, at), records)).transpose()?;
        let said = sealed.as_deref().unwrap_or(records);
        let length = u32::try_from(said.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (tag, _) = self.form().tag();
        Ok([tag.as_slice(), &length, said, &crc_of(self.id, &length, said)].concat())
    }
}

/// What the head of a file says.
struct Head<'k> {
    id: u128,
    form: Form,
    key: Option<&'k SealingKey>,
}

/// A write that is whole.
struct Write {
    /// The bytes of its records, sealed if they are.
    said: Zeroizing<Vec<u8>>,
    /// How long the write is in the file.
    bytes: u64,
}

fn context(id: u128, at: u64) -> [u8; 35] {
    let mut context = *b"withdrawals........................";
    context[11..27].copy_from_slice(&id.to_le_bytes());
    context[27..].copy_from_slice(&at.to_le_bytes());
    context
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

/// Shows every record of a file to `visit`, in their order.
///
/// # Errors
/// When it cannot be read, and those of `visit`.
pub(super) fn read(
    source: Arc<dyn Source>,
    key: Option<&SealingKey>,
    visit: &mut dyn FnMut(Noted<'_>) -> io::Result<()>,
) -> io::Result<Looked> {
    let length = source.length()?;
    let head = match head_of(&*source, length, key)? {
        Ok(head) => head,
        Err(looked) => return Ok(looked),
    };
    let mut found = Found {
        id: head.id,
        is_sealed: head.form == Form::Sealed,
        last: 0,
        made: None,
        end: head.form.head_bytes() as u64,
    };
    let rest = Rest::new(Arc::clone(&source), found.end, length);
    let mut reader = BufReader::with_capacity(256 << 10, rest);
    while let Some(write) = next(&head, &mut reader)? {
        let Some(records) = records(&head, found.end, write.said) else { return Ok(Looked::Damaged) };
        found.end += write.bytes;
        if records.is_empty() && found.made.is_none() {
            found.made = Some(found.end);
        }
        for noted in noted_in(&records).flatten() {
            found.last = found.last.max(noted.number);
            visit(noted)?;
        }
    }
    let is_whole = match (head.form, found.made) {
        (Form::First, _) => found.end == length,
        (_, Some(_)) => is_torn(&head, &*source, found.end)?,
        (_, None) => false,
    };
    Ok(if is_whole { Looked::Whole(found) } else { Looked::Damaged })
}

/// Whether what follows the last whole write, if anything, can be one that was torn.
fn is_torn(head: &Head<'_>, source: &dyn Source, end: u64) -> io::Result<bool> {
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

/// The head of a file, or why there is none.
fn head_of<'k>(
    source: &dyn Source,
    length: u64,
    key: Option<&'k SealingKey>,
) -> io::Result<Result<Head<'k>, Looked>> {
    let mut bytes = [0; HEAD_BYTES + SEAL_BYTES];
    let damaged = Ok(Err(Looked::Damaged));
    if length < HEAD_BYTES as u64 {
        return damaged;
    }
    source.read_at(0, &mut bytes[..HEAD_BYTES])?;
    let Some(form) = Form::ALL.into_iter().find(|form| bytes.starts_with(form.head())) else {
        return damaged;
    };
    let bytes = &mut bytes[..form.head_bytes()];
    if length < bytes.len() as u64 {
        return damaged;
    }
    source.read_at(0, bytes)?;
    let Some((said, crc)) = bytes.split_last_chunk::<CRC_BYTES>() else { return damaged };
    let Some((id, seal)) = said[form.head().len()..].split_first_chunk::<ID_BYTES>() else { return damaged };
    if u32::from_le_bytes(*crc) != crc32fast::hash(said) {
        return damaged;
    }
    let head = Head { id: u128::from_le_bytes(*id), form, key };
    Ok(match (form, key) {
        (Form::Sealed, None) => Err(Looked::NoKey),
        (Form::Sealed, Some(key)) if key.open(&context(head.id, 0), seal).is_none() => Err(Looked::OtherKey),
        _ => Ok(head),
    })
}

/// The write that comes next; none when what comes is no whole one. A record is one in a file of the first form.
fn next(head: &Head<'_>, reader: &mut dyn Read) -> io::Result<Option<Write>> {
    let (tag, width) = head.form.tag();
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
    let own_length: &[u8] = if head.form == Form::First { said_length } else { &[] };
    let mut said = Zeroizing::new(own_length.to_vec());
    let (lead, length) = (own_length.len(), length as usize);
    said.resize(lead + length + CRC_BYTES, 0);
    if !filled(reader, &mut said[lead..])? {
        return Ok(None);
    }
    let crc = said.split_off(lead + length);
    let is_whole = crc == crc_of(head.id, said_length, &said[lead..])
        && (head.form == Form::Sealed || noted_in(&said).all(|noted| noted.is_some()));
    Ok(is_whole.then(|| Write { said, bytes: (begin.len() + length + CRC_BYTES) as u64 }))
}

/// The bytes of the records of a whole write that begins here, each of which can be read. None when it was changed.
fn records(head: &Head<'_>, at: u64, said: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    if head.form != Form::Sealed {
        return Some(said);
    }
    let records = head.key?.open(&context(head.id, at), &said)?;
    let is_readable = noted_in(&records).all(|noted| noted.is_some());
    is_readable.then_some(records)
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
