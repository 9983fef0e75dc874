//! Digests of a Parquet file, by which a reader knows that it reads what was written: the format itself has none that are
//! checked, and a bit of a page that flips is another value.
//!
//! ```text
//! key `shoal.chunks` of the footer        8 hexadecimal digits for each column chunk: CRC-32 of its bytes, in the order of the
//!                                         row groups and of the columns in each
//! tag `shoal.footer` of the file's `add`  8 hexadecimal digits: CRC-32 of the footer, its length and its magic
//! ```
//! What is outside of chunks and footer (Bloom filters, page indexes) is read by other programs at the most.
//! CRC-32, because it is for damage and not for malice, finds every burst of up to 32 bits, and costs least of what was measured
//! (`docs/benchmarks.md`).
//!
//! Invariants: the digest of a chunk is taken from the bytes on their way to the file, not from what can be read of it
//! afterwards; memory is the bytes of one row group. Not here: checking (`object`), the log (`log`).

use std::io::{self, Write};

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// The key of the digests of all chunks.
pub(crate) const CHUNKS: &str = "shoal.chunks";
/// The tag of the digest of a footer.
pub(crate) const FOOTER: &str = "shoal.footer";
/// Length of the metadata and magic at the end of a file, bytes.
pub(crate) const TAIL_BYTES: usize = 8;
const DIGITS: usize = 8;

/// Where a column chunk is, and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) digest: u32,
}

/// Where the chunks of a row group are.
pub(crate) fn ranges(group: &RowGroupMetaData) -> impl Iterator<Item = (u64, u64)> {
    group.columns().iter().map(|column| {
        let (start, bytes) = column.byte_range();
        (start, start.saturating_add(bytes))
    })
}

/// A digest as it is written.
pub(crate) fn text_of(digest: u32) -> String {
    format!("{digest:08x}")
}

/// The digest that is written so.
pub(crate) fn parse(text: &str) -> Option<u32> {
    let digest = u32::from_str_radix(text, 16).ok()?;
    (text_of(digest) == text).then_some(digest)
}

/// The chunks of a file, in ascending order; none when its footer does not have a digest for each.
pub(crate) fn chunks(footer: &ParquetMetaData) -> Option<Vec<Chunk>> {
    let pairs = footer.file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == CHUNKS)?.value.as_deref()?;
    let mut digests = text.as_bytes().chunks(DIGITS);
    let mut all = Vec::new();
    for (start, end) in footer.row_groups().iter().flat_map(ranges) {
        let digest = parse(std::str::from_utf8(digests.next()?).ok()?)?;
        all.push(Chunk { start, end, digest });
    }
    all.sort_by_key(|chunk| chunk.start);
    digests.next().is_none().then_some(all)
}

/// The length of the metadata that the end of a file tells.
pub(crate) fn metadata_bytes(tail: [u8; TAIL_BYTES]) -> usize {
    let [a, b, c, d, ..] = tail;
    u32::from_le_bytes([a, b, c, d]) as usize
}

/// Takes digests of what is written through it.
pub(crate) struct Digesting<W> {
    out: W,
    /// What was written from this position on, and is in no chunk that has a digest.
    held: Vec<u8>,
    held_from: u64,
    groups: usize,
    chunks: String,
}

impl<W: Write> Digesting<W> {
    pub(crate) fn new(out: W) -> Digesting<W> {
        Digesting { out, held: Vec::new(), held_from: 0, groups: 0, chunks: String::new() }
    }

    /// Row groups that have digests.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Takes the digests of the next row group, whose chunks are there, and lets go of its bytes.
    pub(crate) fn note(&mut self, group: &[(u64, u64)]) -> Result<()> {
        let missing = || ParquetError::General("a column chunk is not where its row group says".to_owned());
        let at = |position: u64| usize::try_from(position.checked_sub(self.held_from)?).ok();
        let mut last = self.held_from;
        for (start, end) in group {
            let range = at(*start).zip(at(*end)).ok_or_else(missing)?;
            let bytes = self.held.get(range.0..range.1).ok_or_else(missing)?;
            self.chunks.push_str(&text_of(crc32fast::hash(bytes)));
            last = last.max(*end);
        }
        let done = at(last).ok_or_else(missing)?;
        self.held.drain(..done);
        self.held_from = last;
        self.groups += 1;
        Ok(())
    }

    /// The digests of all chunks so far.
    pub(crate) fn chunks(&self) -> String {
        self.chunks.clone()
    }

    /// What it writes to, and the digest of the footer, which was written last.
    pub(crate) fn into_parts(self) -> Result<(W, u32)> {
        let missing = || ParquetError::General("the footer was not written".to_owned());
        let (_, tail) = self.held.split_last_chunk::<TAIL_BYTES>().ok_or_else(missing)?;
        let bytes = metadata_bytes(*tail).saturating_add(TAIL_BYTES);
        let start = self.held.len().checked_sub(bytes).ok_or_else(missing)?;
        Ok((self.out, crc32fast::hash(&self.held[start..])))
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.held.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
