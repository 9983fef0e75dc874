//! A record: what is written by one write and made durable by one fdatasync. A segment is a row of records.
//!
//! ```text
//! every record starts at a multiple of 4096 bytes; what is left of its last block is zero    integers little-endian
//!  0  u32  magic "SHL1"
//!  4  u8   what: 1 dictionary (first of a segment), 2 rows, 3 seal (last of a segment, no payload), 4 cover
//!  5  u8   1 when the payload is lz4
//!  8  u64  sequence of the segment
//! 16  u64  salt of the segment, random: what a file held before is never taken for new
//! 24  u32  stored payload bytes | 28 u32 payload bytes before lz4 | 32 u32 rows
//! 36  u32  CRC-32 of bytes 0..36 and the stored payload
//! 40  payload: rows (`stages/row.rs`), the dictionary and then the length of the file in postcard, or a cover's zeros
//! ```
//! A cover says nothing. It is written where rows were not, so that who sends with a shipped key waits as long for an event
//! that is withheld, or that was there before, as for one that is kept.
//!
//! A record is durable before the next is written. So bytes that are no record are damage when something valid follows, or when
//! they are a record but for one bit; else they are a torn tail, which was never acknowledged.
//!
//! Not here: who writes (`segment.rs`), the rows' own format (`stages/row.rs`), the dictionary (`dictionary.rs`).

use shoal_files::Source;

use crate::packed::{pack_into, room_for};

/// Records start at multiples of this, so that a durable block is never written again.
pub(crate) const BLOCK_BYTES: u64 = 4096;
const MAGIC: [u8; 4] = *b"SHL1";
const HEAD_BYTES: usize = 40;
/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Of CRC-32, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Dictionary = 1,
    Rows = 2,
    Seal = 3,
    Cover = 4,
}

/// Which segment a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
}

/// Makes records, in a buffer that is used again and again.
#[derive(Default)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
}

impl Encoder {
    /// The bytes of a record, whole blocks. Compressed when that saves at least an eighth.
    pub(crate) fn encode(&mut self, of: Segment, what: What, payload: &[u8], rows: u32) -> &[u8] {
        self.buffer.clear();
        self.push(of, what, payload, rows);
        &self.buffer
    }

    /// The bytes of a record of rows and of a cover of so many bytes after it. Of the two, what is empty is left out.
    pub(crate) fn encode_rows(
        &mut self,
        of: Segment,
        payload: &[u8],
        rows: u32,
        cover_bytes: usize,
    ) -> &[u8] {
        self.buffer.clear();
        if rows > 0 {
            self.push(of, What::Rows, payload, rows);
        }
        if cover_bytes > 0 {
            self.push(of, What::Cover, &vec![0; cover_bytes], 0);
        }
        &self.buffer
    }

    /// Adds a record to the buffer, which holds whole blocks.
    fn push(&mut self, of: Segment, what: What, payload: &[u8], rows: u32) {
        let start = self.buffer.len();
        self.buffer.resize(start + HEAD_BYTES + room_for(payload), 0);
        let record = &mut self.buffer[start..];
        let packed = match what {
            What::Rows => pack_into(payload, &mut record[HEAD_BYTES..]),
            _ => None,
        };
        if packed.is_none() {
            record[HEAD_BYTES..HEAD_BYTES + payload.len()].copy_from_slice(payload);
        }
        let stored = packed.unwrap_or(payload.len());
        let record = &mut record[..HEAD_BYTES + stored];
        let head = &mut record[..HEAD_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        head[4] = what as u8;
        head[5] = u8::from(packed.is_some());
        head[8..16].copy_from_slice(&of.sequence.to_le_bytes());
        head[16..24].copy_from_slice(&of.salt.to_le_bytes());
        head[24..28].copy_from_slice(&(stored as u32).to_le_bytes());
        head[28..32].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        head[32..36].copy_from_slice(&rows.to_le_bytes());
        let crc = checksum(&record[..36], &record[HEAD_BYTES..]);
        record[36..40].copy_from_slice(&crc.to_le_bytes());
        let end = start + HEAD_BYTES + stored;
        self.buffer.truncate(end);
        self.buffer.resize(blocks(end as u64) as usize, 0);
    }

    /// Gives memory back after an uncommonly large record.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.buffer.clear();
        self.buffer.shrink_to(bytes);
    }
}

/// Rounded up to whole blocks.
pub(crate) fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
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

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}

/// A record that was read and whose checksum holds.
pub(crate) struct Record<'a> {
    pub(crate) what: What,
    pub(crate) of: Segment,
    pub(crate) rows: u32,
    pub(crate) payload: &'a [u8],
    /// Where the next record starts.
    pub(crate) next: u64,
}

/// Reads records from a file. Trusts no byte of it.
pub(crate) struct Decoder<'f> {
    file: &'f dyn Source,
    length: u64,
    stored: Vec<u8>,
    payload: Vec<u8>,
}

impl<'f> Decoder<'f> {
    pub(crate) fn new(file: &'f dyn Source) -> std::io::Result<Decoder<'f>> {
        let length = file.length()?;
        Ok(Decoder { file, length, stored: Vec::new(), payload: Vec::new() })
    }

    /// The record at `at`; none when there is no valid one.
    pub(crate) fn read(&mut self, at: u64) -> std::io::Result<Option<Record<'_>>> {
        let mut head = [0; HEAD_BYTES];
        let room = self.length.saturating_sub(at);
        if room < HEAD_BYTES as u64 {
            return Ok(None);
        }
        self.file.read_at(at, &mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let what = match head[4] {
            1 => What::Dictionary,
            2 => What::Rows,
            3 => What::Seal,
            4 => What::Cover,
            _ => return Ok(None),
        };
        let stored = u64::from(word(24));
        if head[..4] != MAGIC || stored > room - HEAD_BYTES as u64 {
            return Ok(None);
        }
        self.stored.resize(stored as usize, 0);
        self.file.read_at(at + HEAD_BYTES as u64, &mut self.stored)?;
        if checksum(&head[..36], &self.stored) != word(36) {
            return Ok(None);
        }
        let payload = if head[5] == 0 {
            &self.stored
        } else {
            self.payload.resize(word(28) as usize, 0);
            match lz4_flex::block::decompress_into(&self.stored, &mut self.payload) {
                Ok(length) if length == self.payload.len() => &self.payload,
                _ => return Ok(None),
            }
        };
        Ok(Some(Record {
            what,
            of: Segment { sequence: long(8), salt: long(16) },
            rows: word(32),
            payload,
            next: at + blocks(HEAD_BYTES as u64 + stored),
        }))
    }

    /// Whether one bit was changed in what was a record of this segment: it had been written whole then, and was acknowledged.
    /// What a power cut has torn has a sector that was never written, and it takes chance for it to be one bit away from a
    /// record.
    pub(crate) fn is_flipped(&mut self, at: u64, of: Segment) -> std::io::Result<bool> {
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
    fn difference(&mut self, at: u64, head: &[u8; HEAD_BYTES], of: Segment) -> std::io::Result<Option<u32>> {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let stored = u64::from(word(24));
        let is_of = head[8..16] == of.sequence.to_le_bytes() && head[16..24] == of.salt.to_le_bytes();
        let fits = stored <= self.length.saturating_sub(at + HEAD_BYTES as u64);
        if head[..4] != MAGIC || !(1..=4).contains(&head[4]) || !is_of || !fits {
            return Ok(None);
        }
        self.stored.resize(stored as usize, 0);
        self.file.read_at(at + HEAD_BYTES as u64, &mut self.stored)?;
        Ok(Some(checksum(&head[..36], &self.stored) ^ word(36)))
    }

    /// Where a valid record of this segment (of any salt, when none is known) starts at or after `at`.
    pub(crate) fn find(&mut self, sequence: u64, salt: Option<u64>, at: u64) -> std::io::Result<Option<u64>> {
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
