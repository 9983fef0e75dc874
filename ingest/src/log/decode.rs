//! Reads records, and tells what was never written from what was changed.
//!
//! Invariant: trusts no byte of the file. Not here: the form (`record.rs`), what the records of a segment are together (`scan.rs`).

use std::io;

use shoal_files::{SealingKey, Source};

use super::record::{
    BLOCK_BYTES, CHECKED_BYTES, HEAD_BYTES, Inner, LENGTH_END, MAGIC, Segment, What, blocks, checksum,
    context, head_check, long, word,
};

/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: usize = 512;
/// The first sector of a record has more bytes than this that are not zero. In one that was never written a bit may have changed.
const WRITTEN_BYTES_MIN: usize = 8;
/// A byte of LZ4 becomes no more bytes than this.
const LZ4_RATIO_MAX: u64 = 255;
/// So much is read at once where it is asked what was written: whole sectors.
const READ_BYTES: usize = 512 * SECTOR_BYTES;

/// A record as it is stored, whose checksum holds.
pub(crate) struct Stored<'d> {
    /// What its head says.
    pub(crate) what: What,
    pub(crate) of: Segment,
    pub(crate) is_encrypted: bool,
    /// Where the next record starts.
    pub(crate) next: u64,
    at: u64,
    head: [u8; HEAD_BYTES],
    stored: &'d mut [u8],
    unpacked: &'d mut Vec<u8>,
    key: Option<&'d SealingKey>,
}

/// A record that was read.
pub(crate) struct Record<'d> {
    pub(crate) what: What,
    pub(crate) rows: u32,
    pub(crate) payload: &'d [u8],
    /// Where the next record starts.
    pub(crate) next: u64,
}

/// Why a record whose checksum holds cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It is encrypted, and there is no key.
    NoKey,
    /// It is not what was written, for this reason.
    Changed(&'static str),
}

impl<'d> Stored<'d> {
    /// What is in it.
    pub(crate) fn open(self) -> Result<Record<'d>, Unopened> {
        let (inner, payload): (Inner, &[u8]) = if self.is_encrypted {
            let key = self.key.ok_or(Unopened::NoKey)?;
            let opened = key.open_in_place(&context(&self.head, self.at), self.stored);
            let read = opened.and_then(|bytes| Inner::read(bytes, self.what));
            read.ok_or(Unopened::Changed(
                "a record whose checksum holds does not open: it was changed or moved, or encrypted with another key",
            ))?
        } else {
            (Inner::of_head(&self.head, self.what), self.stored)
        };
        let payload = if inner.is_packed {
            // What no bytes of LZ4 become is not made room for.
            if u64::from(inner.payload_bytes) > payload.len() as u64 * LZ4_RATIO_MAX {
                return Err(Unopened::Changed("a record says that it has more than can be in it"));
            }
            self.unpacked.resize(inner.payload_bytes as usize, 0);
            match lz4_flex::block::decompress_into(payload, self.unpacked) {
                Ok(length) if length == self.unpacked.len() => &*self.unpacked,
                _ => return Err(Unopened::Changed("a record whose checksum holds cannot be decompressed")),
            }
        } else {
            payload
        };
        Ok(Record { what: inner.what, rows: inner.rows, payload, next: self.next })
    }
}

/// Reads records from a file. Trusts no byte of it.
pub(crate) struct Decoder<'f> {
    file: &'f dyn Source,
    length: u64,
    key: Option<&'f SealingKey>,
    stored: Vec<u8>,
    unpacked: Vec<u8>,
}

impl<'f> Decoder<'f> {
    /// With the key of what is encrypted.
    pub(crate) fn new(file: &'f dyn Source, key: Option<&'f SealingKey>) -> io::Result<Decoder<'f>> {
        let length = file.length()?;
        Ok(Decoder { file, length, key, stored: Vec::new(), unpacked: Vec::new() })
    }

    /// The record at `at`; none when there is none whose checksum holds.
    pub(crate) fn read(&mut self, at: u64) -> io::Result<Option<Stored<'_>>> {
        let mut head = [0; HEAD_BYTES];
        let room = self.length.saturating_sub(at);
        if room < HEAD_BYTES as u64 {
            return Ok(None);
        }
        self.file.read_at(at, &mut head)?;
        let Some(what) = What::of(head[4]) else { return Ok(None) };
        let stored = u64::from(word(&head, 24));
        if head[..4] != MAGIC || stored > room - HEAD_BYTES as u64 {
            return Ok(None);
        }
        self.stored.resize(stored as usize, 0);
        self.file.read_at(at + HEAD_BYTES as u64, &mut self.stored)?;
        if checksum(&head[..CHECKED_BYTES], &self.stored) != word(&head, CHECKED_BYTES) {
            return Ok(None);
        }
        Ok(Some(Stored {
            what,
            of: Segment { sequence: long(&head, 8), salt: long(&head, 16) },
            is_encrypted: head[6] != 0,
            next: at + blocks(HEAD_BYTES as u64 + stored),
            at,
            head,
            stored: &mut self.stored,
            unpacked: &mut self.unpacked,
            key: self.key,
        }))
    }

    /// Whether what stands at `at`, where no record can be read, was one that was written whole, of this sequence (and salt, when it
    /// is known): its bytes were changed later, and what they held was acknowledged.
    ///
    /// What a power cut has torn has a sector that was never written, and behind the end of a segment there are zeros alone
    /// ([`super::segment`]). So a record is torn when its first sector is empty, or another one is. A length that was changed makes
    /// empty sectors of what is not in the record: the check of the head tells, or where there is none, that the checksum holds with
    /// the right one.
    pub(crate) fn is_changed(&mut self, at: u64, sequence: u64, salt: Option<u64>) -> io::Result<bool> {
        let room = self.length.saturating_sub(at);
        if room < HEAD_BYTES as u64 {
            return Ok(false);
        }
        let mut first = [0; SECTOR_BYTES];
        let length = room.min(SECTOR_BYTES as u64) as usize;
        self.file.read_at(at, &mut first[..length])?;
        if first.iter().filter(|byte| **byte != 0).count() < WRITTEN_BYTES_MIN {
            return Ok(false);
        }
        if self.read(at)?.is_some() {
            // Of another segment, which the file was before.
            return Ok(false);
        }
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&first[..HEAD_BYTES]);
        let end = HEAD_BYTES as u64 + u64::from(word(&head, 24));
        let is_head = head[..4] == MAGIC
            && What::of(head[4]).is_some()
            && head[8..16] == sequence.to_le_bytes()
            && salt.is_none_or(|salt| head[16..24] == salt.to_le_bytes())
            && end <= room;
        if !is_head {
            return Ok(true);
        }
        let Some(written) = self.written(at, end)? else { return Ok(true) };
        match word(&head, LENGTH_END) {
            check if head[6] != 0 && check != 0 => Ok(check != head_check(&head)),
            _ => self.is_shorter(at, &head, written),
        }
    }

    /// How many of so many bytes are in sectors before the last one that was written; none when all of their sectors were.
    fn written(&mut self, at: u64, bytes: u64) -> io::Result<Option<u64>> {
        let (mut last, mut is_whole) = (0, true);
        let mut sectors = vec![0; READ_BYTES];
        for from in (0..bytes).step_by(READ_BYTES) {
            let length = (bytes - from).min(READ_BYTES as u64) as usize;
            self.file.read_at(at + from, &mut sectors[..length])?;
            for (sector, begin) in sectors[..length].chunks(SECTOR_BYTES).zip((from..).step_by(SECTOR_BYTES))
            {
                match sector.iter().any(|byte| *byte != 0) {
                    true => last = begin,
                    false => is_whole = false,
                }
            }
        }
        Ok((!is_whole).then_some(last))
    }

    /// Whether the checksum holds of a record with this head that ends in the sector which begins so many bytes behind its start.
    fn is_shorter(&mut self, at: u64, head: &[u8; HEAD_BYTES], sector: u64) -> io::Result<bool> {
        let first = (sector as usize).max(HEAD_BYTES);
        let last = (sector as usize + SECTOR_BYTES).min((self.length - at) as usize);
        self.stored.resize(last - HEAD_BYTES, 0);
        self.file.read_at(at + HEAD_BYTES as u64, &mut self.stored)?;
        let mut payload = crc32fast::Hasher::new();
        payload.update(&self.stored[..first - HEAD_BYTES]);
        for end in first..=last {
            let mut other = *head;
            other[24..28].copy_from_slice(&((end - HEAD_BYTES) as u32).to_le_bytes());
            let mut whole = crc32fast::Hasher::new();
            whole.update(&other[..CHECKED_BYTES]);
            whole.combine(&payload);
            if whole.finalize() == word(head, CHECKED_BYTES) {
                return Ok(true);
            }
            if end < last {
                payload.update(&self.stored[end - HEAD_BYTES..=end - HEAD_BYTES]);
            }
        }
        Ok(false)
    }

    /// Where a valid record of this segment (of any salt, when none is known) starts at or after `at`.
    pub(crate) fn find(&mut self, sequence: u64, salt: Option<u64>, at: u64) -> io::Result<Option<u64>> {
        let mut head = [0; 24];
        for at in (at..self.length).step_by(BLOCK_BYTES as usize) {
            if self.length - at < HEAD_BYTES as u64 {
                break;
            }
            self.file.read_at(at, &mut head)?;
            if head[..4] == MAGIC
                && head[8..16] == sequence.to_le_bytes()
                && salt.is_none_or(|salt| head[16..24] == salt.to_le_bytes())
                && self.read(at)?.is_some()
            {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
