//! Reads records, and tells what was never written from what was changed.
//!
//! Invariant: trusts no byte of the file. Not here: the form (`record.rs`), what the records of a segment are together (`scan.rs`).

use std::io;

use shoal_files::{SealingKey, Source};

use super::record::{
    BLOCK_BYTES, CHECKED_BYTES, HEAD_BYTES, Inner, MAGIC, Segment, What, blocks, checksum, context, long,
    word,
};

/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Of CRC-32, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

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

    /// Whether one bit was changed in what was a record of this segment: it had been written whole then, and was acknowledged.
    /// What a power cut has torn has a sector that was never written, and it takes chance for it to be one bit away from a
    /// record.
    pub(crate) fn is_flipped(&mut self, at: u64, of: Segment) -> io::Result<bool> {
        let mut head = [0; HEAD_BYTES];
        let room = self.length.saturating_sub(at);
        if room < HEAD_BYTES as u64 {
            return Ok(false);
        }
        self.file.read_at(at, &mut head)?;
        for bit in 0..HEAD_BYTES * 8 {
            let mut other = head;
            other[bit / 8] ^= 1 << (bit % 8);
            if self.difference(at, &other, of)? == Some(0) {
                return Ok(true);
            }
        }
        let Some(difference) = self.difference(at, &head, of)? else { return Ok(false) };
        let is_written = |sector: &[u8]| sector.iter().any(|byte| *byte != 0);
        Ok(self.stored.chunks(SECTOR_BYTES).all(is_written) && is_one_bit(self.stored.len(), difference))
    }

    /// How the checksum of a record with this head differs from what the head says; none when it is no head of this segment.
    fn difference(&mut self, at: u64, head: &[u8; HEAD_BYTES], of: Segment) -> io::Result<Option<u32>> {
        let stored = u64::from(word(head, 24));
        let is_of = head[8..16] == of.sequence.to_le_bytes() && head[16..24] == of.salt.to_le_bytes();
        let fits = stored <= self.length.saturating_sub(at + HEAD_BYTES as u64);
        if head[..4] != MAGIC || !(1..=4).contains(&head[4]) || !is_of || !fits {
            return Ok(None);
        }
        self.stored.resize(stored as usize, 0);
        self.file.read_at(at + HEAD_BYTES as u64, &mut self.stored)?;
        Ok(Some(checksum(&head[..CHECKED_BYTES], &self.stored) ^ word(head, CHECKED_BYTES)))
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

/// Whether a changed bit in so many bytes at the end of what a checksum is of explains how the checksum differs. CRC-32 is
/// linear: what a bit changes depends on how many bytes follow it alone.
fn is_one_bit(bytes: usize, difference: u32) -> bool {
    let mut effects: [u32; 8] = std::array::from_fn(|bit| after_a_byte(1 << bit));
    for _ in 0..bytes {
        if effects.contains(&difference) {
            return true;
        }
        effects = effects.map(after_a_byte);
    }
    false
}

/// What becomes of a difference when the checksum goes on over a byte.
fn after_a_byte(difference: u32) -> u32 {
    (0..8).fold(difference, |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
}
