//! A file that is written by position, and that nobody reads without its key.
//!
//! ```text
//! 0        "SHOALSF1" | id of the file (16, random) | a seal of nothing (40), which tells whether the key is the file's
//! 4096     the first block, in two places (`first`)
//! 20480    slot of block 1 | slot of block 2 | .. | zeros, as many as the last block has bytes beyond the end
//! slot     nonce (24) | block of 4096 bytes, encrypted | tag (16)         all zeros: never written, and so a block of zeros
//! ```
//! So the length of what is in it is known from the length of the file, and both change at one moment.
//!
//! What a power cut leaves: of the first block the last version that was synced, or a newer one; of every other block what was
//! synced, if none of it was written since. A block that was written since, also in part, may be torn: reading it is an error then
//! ([`is_not_authentic`]), and so is writing a part of it; it can be written as a whole. The same error comes of bytes that
//! something else has changed. So whoever writes in place what was durable puts it into the first block, and the rest where
//! nothing durable is, a block at a time, as redb does.
//!
//! Invariants: a sector that a write shares with a neighbour keeps the neighbour's bytes when the write is torn, as in every file of
//! this crate. A block is never read while it is written. Bytes beyond the end are zeros when the file grows. Whoever can write the
//! file may put back an older version of a block in its own place, or of all of it: that is not seen here, but by what is in it.
//! One `SealedFile` is open for a file. Not here: where the key comes from, what is in the file.

mod first;
mod seals;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::medium::LogFile;
use crate::objects::Source;
use crate::sealing::{SEAL_BYTES, SealingKey};
use first::{FIRST_END, First};
use seals::{BLOCK_BYTES, ID_BYTES, Part, Seals, not_authentic};

pub use seals::is_not_authentic;

const MAGIC: &[u8; 8] = b"SHOALSF1";
const HEAD_BYTES: usize = MAGIC.len() + ID_BYTES + SEAL_BYTES;
const BLOCK: u64 = BLOCK_BYTES as u64;
const SLOT_BYTES: usize = BLOCK_BYTES + SEAL_BYTES;
/// Blocks that are read or written together, at the most.
const TOGETHER: usize = 256;

/// A file whose bytes are sealed with one key. No `Debug`.
pub struct SealedFile {
    file: Box<dyn LogFile>,
    seals: Seals,
    /// Of what is in the file.
    length: AtomicU64,
    /// Whoever writes, cuts or syncs holds it.
    first: Mutex<First>,
    /// Held alone while other blocks are written.
    blocks: RwLock<()>,
}

impl SealedFile {
    /// Makes an empty one of a file, whatever is in that. It is durable with its first sync.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(file: Box<dyn LogFile>, key: SealingKey) -> io::Result<SealedFile> {
        let mut id = [0; ID_BYTES];
        crate::host::fill(&mut id)?;
        let seals = Seals::new(key, id);
        let mut head = [MAGIC.as_slice(), &id].concat();
        seals.seal_into(Part::Head, &[], &mut head)?;
        file.set_length(0)?;
        file.set_length(outer_length(0)?)?;
        file.write_at(0, &head)?;
        let first = Mutex::new(First::create(&*file, &seals)?);
        Ok(SealedFile { file, seals, length: AtomicU64::new(0), first, blocks: RwLock::default() })
    }

    /// Opens one that was made so.
    ///
    /// # Errors
    /// One that [`is_not_authentic`] tells, when it was made with another key or was changed.
    pub fn open(file: Box<dyn LogFile>, key: SealingKey) -> io::Result<SealedFile> {
        let outer = file.length()?;
        let length = inner_length(outer).ok_or_else(not_authentic)?;
        let mut head = [0; HEAD_BYTES];
        file.read_at(0, &mut head)?;
        let (magic, rest) = head.split_at_mut(MAGIC.len());
        let (id, seal) = rest.split_first_chunk_mut::<ID_BYTES>().ok_or_else(not_authentic)?;
        let seals = Seals::new(key, *id);
        let is_opened = seals.open(Part::Head, seal)?.is_some();
        if magic != MAGIC || !is_opened {
            return Err(not_authentic());
        }
        // What an earlier process wrote and did not sync may be read, so that it is known as the last version: it must not be
        // lost any more when the version before it is overwritten.
        file.sync()?;
        let first = Mutex::new(First::open(&*file, &seals)?);
        Ok(SealedFile { file, seals, length: AtomicU64::new(length), first, blocks: RwLock::default() })
    }

    /// Whether a file begins as a sealed one does.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_sealed(source: &dyn Source) -> io::Result<bool> {
        let mut magic = [0; MAGIC.len()];
        match source.read_at(0, &mut magic) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| magic == *MAGIC),
        }
    }

    /// What is in it is whole after every call, so a panic elsewhere does not matter.
    fn first(&self) -> MutexGuard<'_, First> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_blocks(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (mut position, mut rest) = (offset, buffer);
        let mut slots = Vec::new();
        while !rest.is_empty() {
            let (block, from) = (position / BLOCK, (position % BLOCK) as usize);
            let count = (from + rest.len()).div_ceil(BLOCK_BYTES).min(TOGETHER);
            slots.resize(count * SLOT_BYTES, 0);
            {
                let _together = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
                self.file.read_at(slot_at(block)?, &mut slots)?;
            }
            for (number, slot) in (block..).zip(slots.chunks_exact_mut(SLOT_BYTES)) {
                let from = (position % BLOCK) as usize;
                let (part, after) = rest.split_at_mut(rest.len().min(BLOCK_BYTES - from));
                match self.seals.open(Part::Block(number), slot)? {
                    Some(block) => part.copy_from_slice(&block[from..from + part.len()]),
                    None => part.fill(0),
                }
                position += part.len() as u64;
                rest = after;
            }
        }
        Ok(())
    }

    /// Called by whoever holds the first block, so that nobody else writes.
    fn write_blocks(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut position, mut rest) = (offset, bytes);
        let mut slots = Vec::with_capacity(bytes.len().div_ceil(BLOCK_BYTES).min(TOGETHER) * SLOT_BYTES);
        let mut begin = position / BLOCK;
        while !rest.is_empty() {
            let (block, from) = (position / BLOCK, (position % BLOCK) as usize);
            let (part, after) = rest.split_at(rest.len().min(BLOCK_BYTES - from));
            if part.len() == BLOCK_BYTES {
                self.seals.seal_into(Part::Block(block), part, &mut slots)?;
            } else {
                let mut whole = [0; BLOCK_BYTES];
                self.read_blocks(block * BLOCK, &mut whole)?;
                whole[from..from + part.len()].copy_from_slice(part);
                self.seals.seal_into(Part::Block(block), &whole, &mut slots)?;
            }
            position += part.len() as u64;
            rest = after;
            if rest.is_empty() || slots.len() >= TOGETHER * SLOT_BYTES {
                let _alone = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
                self.file.write_at(slot_at(begin)?, &slots)?;
                slots.clear();
                begin = position / BLOCK;
            }
        }
        Ok(())
    }

    fn grow(&self, first: &mut First, bytes: u64) -> io::Result<()> {
        self.clear_end(first)?;
        self.change_length(bytes)
    }

    /// Sees to it that what is beyond the end are zeros, in the last block and after it.
    fn clear_end(&self, first: &mut First) -> io::Result<()> {
        let length = self.length.load(Ordering::Acquire);
        let last = length.saturating_sub(1) / BLOCK;
        let from = (length - last * BLOCK) as usize;
        let beyond = BLOCK_BYTES - from;
        if beyond == 0 {
            return Ok(());
        }
        let mut is_clear = true;
        let after = slot_at(last + 1)?;
        let mut padding = vec![0; beyond];
        self.file.read_at(after, &mut padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            padding.fill(0);
            self.file.write_at(after, &padding)?;
            is_clear = false;
        }
        let mut block = [0; BLOCK_BYTES];
        match last {
            0 => block.copy_from_slice(first.bytes()),
            last => self.read_blocks(last * BLOCK, &mut block)?,
        }
        if block[from..].iter().any(|byte| *byte != 0) {
            block[from..].fill(0);
            match last {
                0 => first.write(&*self.file, &self.seals, 0, &block)?,
                last => self.write_blocks(last * BLOCK, &block)?,
            }
            is_clear = false;
        }
        // The file must not be longer than what was cleared, also after a power cut.
        if is_clear { Ok(()) } else { first.sync(&*self.file, &self.seals) }
    }

    fn change_length(&self, bytes: u64) -> io::Result<()> {
        let outer = outer_length(bytes)?;
        let changed = {
            let _alone = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
            self.file.set_length(outer)
        };
        let now = match &changed {
            Ok(()) => bytes,
            Err(_) => inner_length(self.file.length()?).ok_or_else(not_authentic)?,
        };
        self.length.store(now, Ordering::Release);
        changed
    }
}

impl Source for SealedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length.load(Ordering::Acquire))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length.load(Ordering::Acquire)) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (in_first, rest) = buffer.split_at_mut(of_first(offset, buffer.len()));
        if !in_first.is_empty() {
            let from = offset as usize;
            in_first.copy_from_slice(&self.first().bytes()[from..from + in_first.len()]);
        }
        self.read_blocks(offset + in_first.len() as u64, rest)
    }
}

impl LogFile for SealedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        let mut first = self.first();
        if end > self.length.load(Ordering::Acquire) {
            // First, so that a power cut leaves one of the two lengths.
            self.grow(&mut first, end)?;
        }
        let (in_first, rest) = bytes.split_at(of_first(offset, bytes.len()));
        if !in_first.is_empty() {
            first.write(&*self.file, &self.seals, offset as usize, in_first)?;
        }
        self.write_blocks(offset + in_first.len() as u64, rest)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        let mut first = self.first();
        match bytes > self.length.load(Ordering::Acquire) {
            true => self.grow(&mut first, bytes),
            false => self.change_length(bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.first().sync(&*self.file, &self.seals)
    }
}

/// How many of so many bytes from `offset` on are in the first block.
fn of_first(offset: u64, bytes: usize) -> usize {
    bytes.min(BLOCK.saturating_sub(offset) as usize)
}

/// Where a block is, other than the first; for block 1 where the first ends.
fn slot_at(block: u64) -> io::Result<u64> {
    let before = block.saturating_sub(1).checked_mul(SLOT_BYTES as u64);
    before.and_then(|before| before.checked_add(FIRST_END)).ok_or_else(|| ErrorKind::FileTooLarge.into())
}

/// How long a file is that has so many bytes in it.
fn outer_length(inner: u64) -> io::Result<u64> {
    let blocks = inner.div_ceil(BLOCK).max(1);
    let beyond = blocks.checked_mul(BLOCK).and_then(|all| all.checked_sub(inner));
    let outer = beyond.and_then(|beyond| slot_at(blocks).ok()?.checked_add(beyond));
    outer.ok_or_else(|| ErrorKind::FileTooLarge.into())
}

/// How many bytes a file of this length has in it; none when no file is so long.
fn inner_length(outer: u64) -> Option<u64> {
    let slots = outer.checked_sub(FIRST_END)?;
    let (others, beyond) = (slots / SLOT_BYTES as u64, slots % SLOT_BYTES as u64);
    let is_possible = beyond < BLOCK || (beyond == BLOCK && others == 0);
    is_possible.then(|| (others + 1) * BLOCK - beyond)
}

/// Overwrites a file with zeros: for one that was in the clear and has no name any more. What the disk keeps of it besides is out of
/// reach.
///
/// # Errors
/// When it cannot be written or synced.
pub fn overwrite(file: &dyn LogFile) -> io::Result<()> {
    let (length, zeros) = (file.length()?, vec![0; 1 << 20]);
    let mut at = 0;
    while at < length {
        let bytes = zeros.len().min(usize::try_from(length - at).unwrap_or(zeros.len()));
        file.write_at(at, &zeros[..bytes])?;
        at += bytes as u64;
    }
    file.sync()
}
