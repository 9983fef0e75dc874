//! Makes the bytes of records.
//!
//! Invariant: a record takes whole blocks, and no more than [`room_of`] says. Not here: the form (`record.rs`), writing (`segment.rs`).

use std::io;

use shoal_files::{SEAL_BEFORE_BYTES, SEAL_BYTES, SealingKey};

use super::record::{
    BLOCK_BYTES, CHECKED_BYTES, HEAD_BYTES, INNER_BYTES, Inner, LENGTH_END, MAGIC, OVERHEAD_BYTES, Place,
    What, blocks, checksum, context, head_check,
};
use crate::packed::{pack_into, room_for};

/// The rows of a group, and for how many bytes there is a cover. Of the two, what is empty is left out.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rows<'p> {
    pub(crate) payload: &'p [u8],
    /// How many rows the payload has.
    pub(crate) count: u32,
    pub(crate) cover_bytes: usize,
}

/// Makes records, in a buffer that is used again and again. With a key they are encrypted.
pub(crate) struct Encoder {
    buffer: Vec<u8>,
    key: Option<SealingKey>,
}

impl Encoder {
    pub(crate) fn new(key: Option<SealingKey>) -> Encoder {
        Encoder { buffer: Vec::new(), key }
    }

    /// The bytes of a record without rows, whole blocks.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub(crate) fn encode(&mut self, place: Place, what: What, payload: &[u8]) -> io::Result<&[u8]> {
        self.buffer.clear();
        self.push(place, what, payload, 0)?;
        Ok(&self.buffer)
    }

    /// The bytes of a record of rows, which is compressed when that saves at least an eighth, and of a cover after it.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub(crate) fn encode_rows(&mut self, place: Place, rows: &Rows<'_>) -> io::Result<&[u8]> {
        self.buffer.clear();
        if rows.count > 0 {
            self.push(place, What::Rows, rows.payload, rows.count)?;
        }
        if rows.cover_bytes > 0 {
            let at = place.at + self.buffer.len() as u64;
            self.push(Place { at, ..place }, What::Cover, &vec![0; rows.cover_bytes], 0)?;
        }
        Ok(&self.buffer)
    }

    /// Adds a record to the buffer, which holds whole blocks.
    fn push(&mut self, place: Place, what: What, payload: &[u8], rows: u32) -> io::Result<()> {
        let start = self.buffer.len();
        let before = HEAD_BYTES + self.key.as_ref().map_or(0, |_| SEAL_BEFORE_BYTES + INNER_BYTES);
        self.buffer.resize(start + OVERHEAD_BYTES + room_for(payload), 0);
        let record = &mut self.buffer[start..];
        let room = &mut record[before..before + room_for(payload)];
        let packed = if what == What::Rows { pack_into(payload, room) } else { None };
        if packed.is_none() {
            room[..payload.len()].copy_from_slice(payload);
        }
        let seal = self.key.as_ref().map_or(0, |_| INNER_BYTES + SEAL_BYTES);
        let stored = packed.unwrap_or(payload.len()) + seal;
        let inner = Inner { what, is_packed: packed.is_some(), payload_bytes: payload.len() as u32, rows };
        let record = &mut record[..HEAD_BYTES + stored];
        record[..4].copy_from_slice(&MAGIC);
        record[8..16].copy_from_slice(&place.of.sequence.to_le_bytes());
        record[16..24].copy_from_slice(&place.of.salt.to_le_bytes());
        record[24..28].copy_from_slice(&(stored as u32).to_le_bytes());
        match &self.key {
            None => inner.write_to_head(record),
            Some(key) => {
                record[4] = what.shown() as u8;
                record[6] = 1;
                let check = head_check(record);
                record[LENGTH_END..LENGTH_END + 4].copy_from_slice(&check.to_le_bytes());
                inner.write(&mut record[HEAD_BYTES + SEAL_BEFORE_BYTES..]);
                let context = context(record, place.at);
                key.seal_in_place(&context, &mut record[HEAD_BYTES..])?;
            }
        }
        let crc = checksum(&record[..CHECKED_BYTES], &record[HEAD_BYTES..]);
        record[CHECKED_BYTES..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        let end = start + HEAD_BYTES + stored;
        self.buffer.truncate(end);
        self.buffer.resize(blocks(end as u64) as usize, 0);
        Ok(())
    }

    /// Gives memory back after an uncommonly large record.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.buffer.clear();
        self.buffer.shrink_to(bytes);
    }
}

/// Most bytes that a record of rows and one of a cover take on the disk, whose payloads have so many together: rounded up each for
/// itself, they take a block more than together.
pub(super) fn room_of(payload_bytes: u64) -> u64 {
    blocks(payload_bytes + 2 * OVERHEAD_BYTES as u64) + BLOCK_BYTES
}
