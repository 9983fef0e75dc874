//! The bytes of an encrypted object.
//!
//! ```text
//!  0  8 B  A7 "SHLSEAL"                                                  the index is little-endian
//!  8  u8   version 1 | 9 u8 logarithm (base 2) of the bytes of a chunk | 10 6 B zero | 16 16 B random id of the object
//! 32  chunks, each sealed: all but the last are full; the last is not empty unless it is the only one
//!
//! context of a chunk: the 32 bytes of the head | u64 its index | u8 1 when it is the last | the object's name
//! ```
//! So chunks cannot change places, within an object or between two of one name; one that is missing at the end leaves a last one that
//! does not say so. How long the bytes are follows from the size.
//!
//! Invariant: of an object that is encrypted no bit can flip, in its first bytes either, so that it is taken for one in the clear.
//! Not here: reading and writing (`opened`, `unfinished`).

use std::io::{self, ErrorKind};

use crate::objects::Source;
use crate::sealing::{SEAL_BYTES, SealingKey};

const MAGIC: [u8; 8] = *b"\xa7SHLSEAL";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 32;
const BITS_MIN: u8 = 10;
const BITS_MAX: u8 = 20;

pub(super) fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason.into())
}

/// The logarithm (base 2) of a size of chunks that is allowed and not smaller, if there is one.
pub(super) fn bits(chunk_bytes: usize) -> u8 {
    let bits = chunk_bytes.max(1).checked_next_power_of_two().map_or(u32::from(BITS_MAX), usize::ilog2);
    u8::try_from(bits).unwrap_or(BITS_MAX).clamp(BITS_MIN, BITS_MAX)
}

/// The first bytes of an object.
#[derive(Clone)]
pub(super) struct Head([u8; HEAD_BYTES]);

/// Where the bytes of an object are.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Bytes in a chunk that is full.
    pub(super) chunk: u64,
    /// How many chunks there are.
    pub(super) chunks: u64,
    /// How many bytes there are, as the size says.
    pub(super) length: u64,
}

/// What an object is.
pub(super) enum Found {
    Sealed(Head, Layout),
    Plain,
}

/// Seals and opens the chunks of one object.
pub(super) struct Chunks {
    key: SealingKey,
    /// The head, room for index and end, the name.
    context: Vec<u8>,
    chunk: usize,
}

impl Head {
    /// That of a new object.
    pub(super) fn generate(chunk_bits: u8) -> io::Result<Head> {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&MAGIC);
        (head[8], head[9]) = (VERSION, chunk_bits);
        crate::host::fill(&mut head[16..])?;
        Ok(Head(head))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A whole object of these bytes.
    pub(super) fn seal_whole(&self, chunks: &Chunks, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let count = bytes.len().div_ceil(chunks.chunk).max(1);
        let mut out = Vec::with_capacity(HEAD_BYTES + bytes.len() + count * SEAL_BYTES);
        out.extend_from_slice(&self.0);
        for index in 0..count {
            let from = index * chunks.chunk;
            let part = &bytes[from..bytes.len().min(from + chunks.chunk)];
            chunks.seal_into(index as u64, index + 1 == count, part, &mut out)?;
        }
        Ok(out)
    }
}

impl Layout {
    /// That of an object of so many bytes; none when no object is as long.
    fn of(stored: u64, chunk: u64) -> Option<Layout> {
        let seal = SEAL_BYTES as u64;
        let sealed = stored.checked_sub(HEAD_BYTES as u64)?;
        let chunks = sealed.div_ceil(chunk + seal).max(1);
        let length = sealed.checked_sub(chunks * seal)?;
        let is_whole = chunks == 1 || length > (chunks - 1) * chunk;
        is_whole.then_some(Layout { chunk, chunks, length })
    }

    /// Where a chunk is stored.
    pub(super) fn stored_at(&self, index: u64) -> u64 {
        HEAD_BYTES as u64 + index * (self.chunk + SEAL_BYTES as u64)
    }

    /// How many bytes are in a chunk.
    pub(super) fn bytes_in(&self, index: u64) -> usize {
        (self.length - index * self.chunk).min(self.chunk) as usize
    }

    pub(super) fn is_last(&self, index: u64) -> bool {
        index + 1 == self.chunks
    }
}

/// Looks at the head of an object and at its size.
///
/// # Errors
/// `InvalidData` when it was encrypted and is not whole, or is of another version; what reading answers.
pub(super) fn find(source: &dyn Source) -> io::Result<Found> {
    let stored = source.length()?;
    let mut head = [0; HEAD_BYTES];
    let known = &mut head[..stored.min(HEAD_BYTES as u64) as usize];
    source.read_at(0, known)?;
    let bits_off: u32 = known.iter().zip(MAGIC).map(|(byte, magic)| (byte ^ magic).count_ones()).sum();
    if known.len() < MAGIC.len() {
        let is_cut = !known.is_empty() && bits_off == 0;
        return if is_cut { Err(invalid("it was cut")) } else { Ok(Found::Plain) };
    }
    match bits_off {
        0 => {}
        // No text begins like this, so what almost does was changed.
        1 => return Err(invalid("its first bytes were changed")),
        _ => return Ok(Found::Plain),
    }
    if head[8] != VERSION || !(BITS_MIN..=BITS_MAX).contains(&head[9]) {
        return Err(invalid("it was encrypted in a way that is not known, or its first bytes were changed"));
    }
    let layout = Layout::of(stored, 1 << head[9]).ok_or_else(|| invalid("it was cut"))?;
    Ok(Found::Sealed(Head(head), layout))
}

impl Chunks {
    /// Those of the object of this name.
    pub(super) fn new(key: SealingKey, head: &Head, name: &str) -> Chunks {
        let context = [head.bytes(), &[0; 9], name.as_bytes()].concat();
        Chunks { key, context, chunk: 1 << head.0[9] }
    }

    /// Bytes in a chunk that is full.
    pub(super) fn bytes(&self) -> usize {
        self.chunk
    }

    /// Adds a chunk to `out`.
    pub(super) fn seal_into(
        &self,
        index: u64,
        is_last: bool,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.key.seal_into(&self.context(index, is_last), bytes, out)
    }

    /// What is in a chunk, in its own place.
    pub(super) fn open<'s>(
        &self,
        index: u64,
        is_last: bool,
        sealed: &'s mut [u8],
    ) -> io::Result<&'s mut [u8]> {
        let opened = self.key.open_in_place(&self.context(index, is_last), sealed);
        opened.ok_or_else(|| {
            invalid(format!(
                "chunk {index} of it does not open: it was changed or cut, or written with another key or under another name"
            ))
        })
    }

    fn context(&self, index: u64, is_last: bool) -> Vec<u8> {
        let mut context = self.context.clone();
        context[HEAD_BYTES..HEAD_BYTES + 8].copy_from_slice(&index.to_le_bytes());
        context[HEAD_BYTES + 8] = u8::from(is_last);
        context
    }
}
