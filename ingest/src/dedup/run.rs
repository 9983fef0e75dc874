//! One run: the sorted ids of a row of segments, in a file that never changes.
//!
//! ```text
//! u64 ids, ascending, no two equal, then 64 bytes                   all integers little-endian
//!  0  8 B  "SHOALRUN"
//!  8  u32  version 2 | 12 u32 CRC-32 of the ids | 16 u64 first segment | 24 u64 last segment
//! 32  i64  when the last of them was sealed, in what is served, ms | 40 u64 number of ids | 48 u32 CRC-32 of bytes 0..48 | zeros
//!
//! version 1 has the 64 bytes first
//! ```
//! In memory: the first id of every page of 128 ids, and a binary fuse filter (9 bits an id) for every 2048 pages. An id
//! that is absent costs a few memory reads; one that is there, or 1 of 256 absent ones, costs one read of 1 KiB. Where the file is
//! encrypted, a page is a chunk ([`PAGE_BYTES`]), so that no more than that is decrypted.
//!
//! Not here: which runs there are, and encryption (`runs.rs`).

use std::io;

use shoal_files::{NewObject, Objects, Source};
use xorf::{BinaryFuse8, Filter};

use crate::error::IngestError;

const MAGIC: [u8; 8] = *b"SHOALRUN";
/// The ids come first, since they are written before anything is known of them.
const VERSION: u32 = 2;
/// With the head before the ids.
const VERSION_1: u32 = 1;
const HEAD_BYTES: u64 = 64;
const PAGE_KEYS: usize = 128;
/// What is read at once when an id is looked for.
pub(crate) const PAGE_BYTES: usize = PAGE_KEYS * 8;
const BLOCK_PAGES: usize = 2048;
const BLOCK_KEYS: usize = PAGE_KEYS * BLOCK_PAGES;

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First segment.
    pub(crate) first: u64,
    /// Last segment.
    pub(crate) last: u64,
    /// When the last was sealed, in what is served, ms.
    pub(crate) sealed_ms: i64,
}

impl Span {
    /// The name of the run's file.
    pub(crate) fn file_name(&self) -> String {
        format!("{:016x}-{:016x}.run", self.first, self.last)
    }
}

/// An open run.
pub(crate) struct Run {
    pub(crate) span: Span,
    /// Number of ids.
    pub(crate) keys: u64,
    file: Box<dyn Source>,
    /// Where in the file the ids begin.
    start: u64,
    fences: Vec<u64>,
    filters: Vec<Option<BinaryFuse8>>,
}

/// What a run says of itself.
struct Head {
    span: Span,
    keys: u64,
    crc: u32,
}

impl Head {
    fn write(&self) -> [u8; HEAD_BYTES as usize] {
        let mut head = [0; HEAD_BYTES as usize];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&self.crc.to_le_bytes());
        head[16..24].copy_from_slice(&self.span.first.to_le_bytes());
        head[24..32].copy_from_slice(&self.span.last.to_le_bytes());
        head[32..40].copy_from_slice(&self.span.sealed_ms.to_le_bytes());
        head[40..48].copy_from_slice(&self.keys.to_le_bytes());
        let crc = crc32fast::hash(&head[..48]);
        head[48..52].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// The head at this position; none when there is none of this version.
    fn read(file: &dyn Source, at: u64, version: u32) -> io::Result<Option<Head>> {
        let mut head = [0; HEAD_BYTES as usize];
        file.read_at(at, &mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let is_one = head[..8] == MAGIC && word(8) == version && word(48) == crc32fast::hash(&head[..48]);
        let span = Span { first: long(16), last: long(24), sealed_ms: long(32) as i64 };
        Ok(is_one.then(|| Head { span, keys: long(40), crc: word(12) }))
    }

    /// The head of a file, and where its ids begin.
    fn find(file: &dyn Source) -> io::Result<Option<(Head, u64)>> {
        let Some(last) = file.length()?.checked_sub(HEAD_BYTES) else { return Ok(None) };
        if let Some(head) = Head::read(file, last, VERSION)? {
            return Ok((head.keys.checked_mul(8) == Some(last)).then_some((head, 0)));
        }
        let head = Head::read(file, 0, VERSION_1)?;
        Ok(head.filter(|head| head.keys.checked_mul(8) == Some(last)).map(|head| (head, HEAD_BYTES)))
    }
}

impl Run {
    /// Whether the id is in it.
    pub(crate) fn contains(&self, key: u64, buffer: &mut [u8; PAGE_BYTES]) -> io::Result<bool> {
        let Some(page) = self.fences.partition_point(|first| *first <= key).checked_sub(1) else {
            return Ok(false);
        };
        if let Some(Some(filter)) = self.filters.get(page / BLOCK_PAGES)
            && !filter.contains(&key)
        {
            return Ok(false);
        }
        let keys = (self.keys as usize - page * PAGE_KEYS).min(PAGE_KEYS);
        let bytes = &mut buffer[..keys * 8];
        self.file.read_at(self.start + (page * PAGE_BYTES) as u64, bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.binary_search_by(|word| u64::from_le_bytes(*word).cmp(&key)).is_ok())
    }

    /// Bytes of memory of its filters.
    pub(crate) fn filter_bytes(&self) -> u64 {
        self.filters.iter().flatten().map(|f| f.len() as u64).sum()
    }

    /// The same run without filters.
    pub(crate) fn without_filters(&self, files: &dyn Objects) -> io::Result<Run> {
        Ok(Run {
            span: self.span,
            keys: self.keys,
            file: files.open(&self.span.file_name())?,
            start: self.start,
            fences: self.fences.clone(),
            filters: Vec::new(),
        })
    }

    /// Opens a run and checks every byte of it.
    pub(crate) fn open(files: &dyn Objects, name: &str) -> Result<Run, IngestError> {
        let path = files.path(name);
        let damaged = |offset, reason| IngestError::Damaged { path: path.clone(), offset, reason };
        let file = files.open(name).map_err(IngestError::io(&path))?;
        let found = Head::find(&*file).map_err(IngestError::io(&path))?;
        let (head, start) =
            found.ok_or_else(|| damaged(0, "it has no head of a run, or is not as long as that says"))?;
        let (mut index, mut before) = (Index::default(), None);
        let mut cursor = Cursor::new(&*file, start, head.keys);
        while let Some(key) = cursor.next().map_err(IngestError::io(&path))? {
            // A filter is made before the checksum is known, and one of ids that are there twice takes hours to fail.
            if before.is_some_and(|before| before >= key) {
                return Err(damaged(start, "its ids do not ascend"));
            }
            before = Some(key);
            index.push(key);
        }
        let (fences, filters, keys, crc) = index.finish();
        if crc != head.crc || keys != head.keys {
            return Err(damaged(start, "the checksum of the ids does not hold"));
        }
        Ok(Run { span: head.span, keys, file, start, fences, filters })
    }

    /// Its ids in order.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&*self.file, self.start, self.keys)
    }
}

/// Fences, filters and checksum, built while ids stream by.
#[derive(Default)]
struct Index {
    fences: Vec<u64>,
    filters: Vec<Option<BinaryFuse8>>,
    block: Vec<u64>,
    keys: u64,
    crc: crc32fast::Hasher,
}

impl Index {
    fn push(&mut self, key: u64) {
        if self.keys.is_multiple_of(PAGE_KEYS as u64) {
            self.fences.push(key);
        }
        self.keys += 1;
        self.crc.update(&key.to_le_bytes());
        self.block.push(key);
        if self.block.len() == BLOCK_KEYS {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        // Without a filter every lookup in the block reads a page: slower, and as right.
        self.filters.push(BinaryFuse8::try_from(&self.block).ok());
        self.block.clear();
    }

    fn finish(mut self) -> (Vec<u64>, Vec<Option<BinaryFuse8>>, u64, u32) {
        if !self.block.is_empty() {
            self.close_block();
        }
        (self.fences, self.filters, self.keys, self.crc.finalize())
    }
}

/// Writes a run, which has no name before it is whole.
pub(crate) struct Writer<'m> {
    files: &'m dyn Objects,
    span: Span,
    object: Box<dyn NewObject>,
    index: Index,
    buffer: Vec<u8>,
}

impl<'m> Writer<'m> {
    pub(crate) fn new(files: &'m dyn Objects, span: Span) -> io::Result<Writer<'m>> {
        let object = files.write(&span.file_name())?;
        Ok(Writer { files, span, object, index: Index::default(), buffer: Vec::new() })
    }

    /// The next id, greater than the last.
    pub(crate) fn push(&mut self, key: u64) -> io::Result<()> {
        self.index.push(key);
        self.buffer.extend_from_slice(&key.to_le_bytes());
        if self.buffer.len() >= 1 << 18 { self.write() } else { Ok(()) }
    }

    /// Durable when it returns.
    pub(crate) fn finish(mut self) -> io::Result<Run> {
        self.write()?;
        let (fences, filters, keys, crc) = self.index.finish();
        self.object.write_all(&Head { span: self.span, keys, crc }.write())?;
        self.object.finish()?;
        let file = self.files.open(&self.span.file_name())?;
        Ok(Run { span: self.span, keys, file, start: 0, fences, filters })
    }

    fn write(&mut self) -> io::Result<()> {
        self.object.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads the ids of a run in order, 128 KiB at a time.
pub(crate) struct Cursor<'f> {
    file: &'f dyn Source,
    left: u64,
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'f> Cursor<'f> {
    fn new(file: &'f dyn Source, start: u64, keys: u64) -> Cursor<'f> {
        Cursor { file, left: keys, offset: start, buffer: Vec::new(), at: 0 }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<u64>> {
        if self.at == self.buffer.len() {
            let keys = self.left.min(1 << 14);
            if keys == 0 {
                return Ok(None);
            }
            self.buffer.resize(keys as usize * 8, 0);
            self.file.read_at(self.offset, &mut self.buffer)?;
            self.offset += keys * 8;
            self.left -= keys;
            self.at = 0;
        }
        let mut key = [0; 8];
        key.copy_from_slice(&self.buffer[self.at..self.at + 8]);
        self.at += 8;
        Ok(Some(u64::from_le_bytes(key)))
    }
}
