//! A record: what is written by one write and made durable by one fdatasync. A segment is a row of records.
//!
//! ```text
//! every record starts at a multiple of 4096 bytes; what is left of its last block is zero    integers little-endian
//!  0  u32  magic "SHL1"
//!  4  u8   what: 1 dictionary (first of a segment), 2 rows, 3 seal (last of a segment, no payload), 4 cover
//!  5  u8   1 when the payload is lz4
//!  6  u8   1 when the record is encrypted: all of a segment are, or none is
//!  8  u64  sequence of the segment
//! 16  u64  salt of the segment, random: what a file held before is never taken for new
//! 24  u32  stored payload bytes | 28 u32 payload bytes before lz4 | 32 u32 rows
//! 36  u32  CRC-32 of bytes 0..36 and the stored payload
//! 40  payload: rows (`stages/row.rs`), the dictionary and then the length of the file in postcard, or a cover's zeros
//!
//! of a record that is encrypted the head says 2 for a cover, too, zero at 5 and 32, and at 28 the CRC-32 of bytes 0..28 (zero before
//! there was one); stored is, sealed (`shoal_files`):
//!  0  u8   what | 1 u8 1 when the payload is lz4 | 2 u16 zero | 4 u32 payload bytes before lz4 | 8 u32 rows | 12 payload
//! the context is bytes 0..36 of the head, and u64 where in the file the record starts
//! ```
//! A cover says nothing. It is written where rows were not, so that who sends with a shipped key waits as long for an event
//! that is withheld, or that was there before, as for one that is kept. Who has the disk and no key cannot tell one from rows, and
//! nobody without the key makes a record, changes one, or gives it another place.
//!
//! A record is durable before the next is written, but for a cover, which is written with its rows. So bytes that are no record are
//! damage when something valid but a cover follows, or when every sector of them was written: a disk writes a sector of 512 bytes
//! whole or not at all. Else they are a torn tail, which was never acknowledged. (How many sectors it has, the head says: where it has
//! no CRC of its own, a record of which the length and other bytes were changed together is taken for torn.) A record whose checksum holds was written, and one
//! that then does not open is damage, or of another key.
//!
//! Byte 6 was zero before there was encryption. Versions of then read an encrypted dictionary as one that is damaged, and go no further.
//! Not here: making one and reading one (`encode.rs`, `decode.rs`), segments (`segment.rs`, `scan.rs`), the rows' own format (`stages/row.rs`), the dictionary
//! (`dictionary.rs`), keys (`shelf.rs`).

use shoal_files::SEAL_BYTES;

/// Records start at multiples of this, so that a durable block is never written again.
pub(crate) const BLOCK_BYTES: u64 = 4096;
pub(super) const MAGIC: [u8; 4] = *b"SHL1";
pub(super) const HEAD_BYTES: usize = 40;
/// Where the stored length ends in the head.
pub(super) const LENGTH_END: usize = 28;
/// What of the head is part of the checksum and of the context.
pub(super) const CHECKED_BYTES: usize = 36;
/// Of what is sealed with the payload.
pub(super) const INNER_BYTES: usize = 12;
/// What a record takes beside its payload, at the most.
pub(super) const OVERHEAD_BYTES: usize = HEAD_BYTES + INNER_BYTES + SEAL_BYTES;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Dictionary = 1,
    Rows = 2,
    Seal = 3,
    Cover = 4,
}

impl What {
    pub(super) fn of(byte: u8) -> Option<What> {
        match byte {
            1 => Some(What::Dictionary),
            2 => Some(What::Rows),
            3 => Some(What::Seal),
            4 => Some(What::Cover),
            _ => None,
        }
    }

    /// What the head of an encrypted record says of it.
    pub(super) fn shown(self) -> What {
        if self == What::Cover { What::Rows } else { self }
    }
}

/// Where a record goes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) of: Segment,
    /// Where in the file it starts.
    pub(crate) at: u64,
}

/// Which segment a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
}

/// What a record says of its payload: in the head when it is in the clear, sealed with the payload when it is encrypted.
#[derive(Clone, Copy)]
pub(super) struct Inner {
    pub(super) what: What,
    pub(super) is_packed: bool,
    pub(super) payload_bytes: u32,
    pub(super) rows: u32,
}

impl Inner {
    pub(super) fn write_to_head(self, head: &mut [u8]) {
        (head[4], head[5]) = (self.what as u8, u8::from(self.is_packed));
        head[28..32].copy_from_slice(&self.payload_bytes.to_le_bytes());
        head[32..36].copy_from_slice(&self.rows.to_le_bytes());
    }

    pub(super) fn of_head(head: &[u8; HEAD_BYTES], what: What) -> Inner {
        Inner { what, is_packed: head[5] != 0, payload_bytes: word(head, 28), rows: word(head, 32) }
    }

    pub(super) fn write(self, out: &mut [u8]) {
        out[..INNER_BYTES].fill(0);
        (out[0], out[1]) = (self.what as u8, u8::from(self.is_packed));
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8..12].copy_from_slice(&self.rows.to_le_bytes());
    }

    /// That of an opened record whose head shows this, and the payload.
    pub(super) fn read(bytes: &[u8], shown: What) -> Option<(Inner, &[u8])> {
        let (inner, payload) = bytes.split_at_checked(INNER_BYTES)?;
        let what = What::of(inner[0]).filter(|what| what.shown() == shown)?;
        let (payload_bytes, rows) = (word(inner, 4), word(inner, 8));
        Some((Inner { what, is_packed: inner[1] != 0, payload_bytes, rows }, payload))
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// What an encrypted record with this head is bound to, when it starts there.
pub(super) fn context(head: &[u8], at: u64) -> [u8; CHECKED_BYTES + 8] {
    let mut context = [0; CHECKED_BYTES + 8];
    context[..CHECKED_BYTES].copy_from_slice(&head[..CHECKED_BYTES]);
    context[CHECKED_BYTES..].copy_from_slice(&at.to_le_bytes());
    context
}

/// Rounded up to whole blocks.
pub(crate) fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// The CRC of what the head of an encrypted record says: never zero, which stands where there is none.
pub(super) fn head_check(head: &[u8]) -> u32 {
    crc32fast::hash(&head[..LENGTH_END]).max(1)
}

pub(super) fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}
