//! An object as Parquet's reader wants it: ranges, by position.
//!
//! Invariants: one range is one read of the store; the reader shares no position, so that threads do not disturb each
//! other. Of a file that has digests, a chunk is compared with its own before anything of it is given. The end of a file, with its footer,
//! is read once, as long as its chunks are not.
//! Not here: what is in the file (`read`, `merge`, `write`), how digests come about (`digest`), which chunks are to be read soon (`ahead`).

use std::io::{self, BufReader};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, Bytes};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use shoal_files::{Objects, Rest, Source};

use crate::error::StorageError;
use crate::tables::ahead::Ahead;
use crate::tables::digest::{self, Chunk, TAIL_BYTES};
use crate::tables::encryption::TableKeys;
use crate::tables::live_file::LiveFile;

/// Bytes that are compared at one time.
const COMPARED_BYTES: usize = 256 * 1024;
/// Bytes of the end of a file that are read at once: most footers are shorter.
const END_BYTES: u64 = 64 * 1024;
/// The last bytes of a file with an encrypted footer.
const ENCRYPTED_MAGIC: &[u8] = b"PARE";

/// An open Parquet file.
pub(crate) struct ParquetObject {
    source: Arc<dyn Source>,
    bytes: u64,
    /// In ascending order, and whether each was compared with its digest; none of a file without digests.
    chunks: Vec<(Chunk, AtomicBool)>,
    /// The last bytes, with the footer; none before it is read, and none any more while chunks are read.
    end: Bytes,
    /// What is to be read soon.
    ahead: Option<Ahead>,
    /// What its readers decrypt it with; none when it is not encrypted.
    decryption: Option<Arc<FileDecryptionProperties>>,
}

impl ParquetObject {
    pub(crate) fn open(objects: &dyn Objects, name: &str) -> io::Result<ParquetObject> {
        let source: Arc<dyn Source> = Arc::from(objects.open(name)?);
        let bytes = source.length()?;
        Ok(ParquetObject {
            bytes,
            source,
            chunks: Vec::new(),
            end: Bytes::new(),
            ahead: None,
            decryption: None,
        })
    }

    /// A file of a table, whose footer is the one that the table's log knows, if it knows one, and which is encrypted if the log says so.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when it is another one, is not encrypted as it should be, or has another length;
    /// [`StorageError::KeyGone`], [`StorageError::Io`] and [`StorageError::Parquet`] when it cannot be read.
    pub(crate) fn of(
        objects: &dyn Objects,
        file: &LiveFile,
        keys: &TableKeys,
    ) -> std::result::Result<ParquetObject, StorageError> {
        let path = objects.path(&file.path);
        let mut object = ParquetObject::open(objects, &file.path).map_err(StorageError::io(&path))?;
        let damaged = |reason: &str| StorageError::Damaged { path: path.clone(), reason: reason.to_owned() };
        if let Some(key) = keys.reading(file)? {
            let footer = object.footer().map_err(StorageError::io(&path))?;
            if !footer.is_some_and(|footer| footer.ends_with(ENCRYPTED_MAGIC)) {
                return Err(damaged("is not encrypted, as the log of its table says it is"));
            }
            object.decryption = Some(key.decryption()?);
        }
        let Some(digest) = file.digest else { return Ok(object) };
        if object.bytes != file.bytes {
            return Err(damaged("has another length than it was written with"));
        }
        let footer = object.footer().map_err(StorageError::io(&path))?;
        if footer.map(|footer| crc32fast::hash(&footer)) != Some(digest) {
            return Err(damaged("has another footer than it was written with"));
        }
        let metadata = object.metadata().map_err(|error| StorageError::of(&path)(error.into()))?;
        let chunks = digest::chunks(&metadata).ok_or_else(|| damaged("has a footer without its digests"))?;
        object.chunks = chunks.into_iter().map(|chunk| (chunk, AtomicBool::new(false))).collect();
        Ok(object)
    }

    /// What its footer says.
    pub(crate) fn metadata(&self) -> Result<ParquetMetaData> {
        let reader = ParquetMetaDataReader::new().with_decryption_properties(self.decryption.clone());
        reader.parse_and_finish(self)
    }

    /// How Arrow's reader is to read it.
    pub(crate) fn options(&self) -> ArrowReaderOptions {
        match &self.decryption {
            Some(decryption) => {
                ArrowReaderOptions::new().with_file_decryption_properties(Arc::clone(decryption))
            }
            None => ArrowReaderOptions::new(),
        }
    }

    /// Says that chunks are about to be read: these ranges, which belong to one row group each, in this order. The source is told of them
    /// in time. The end of the file is not kept any longer.
    pub(crate) fn will_read(&mut self, groups: Vec<Vec<Range<u64>>>) {
        self.end = Bytes::new();
        let ahead = Ahead::new(groups);
        ahead.begin(&*self.source);
        self.ahead = Some(ahead);
    }

    /// The footer with its length and magic; none when the file has no room for it.
    fn footer(&mut self) -> io::Result<Option<Bytes>> {
        if self.end.is_empty() {
            self.read_end(END_BYTES)?;
        }
        let Some((_, tail)) = self.end.split_last_chunk::<TAIL_BYTES>() else { return Ok(None) };
        let bytes = digest::metadata_bytes(*tail) as u64 + TAIL_BYTES as u64;
        if bytes > self.bytes {
            return Ok(None);
        }
        if bytes > self.end.len() as u64 {
            self.read_end(bytes)?;
        }
        Ok(Some(self.end.slice(self.end.len() - bytes as usize..)))
    }

    fn read_end(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = bytes.min(self.bytes);
        let mut end = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        self.source.read_at(self.bytes - bytes, &mut end)?;
        self.end = end.into();
        Ok(())
    }

    /// What there is of the end of the file from this position on.
    fn kept(&self, start: u64) -> Option<Bytes> {
        let within = start.checked_sub(self.bytes - self.end.len() as u64)?;
        let within = usize::try_from(within).ok().filter(|within| *within < self.end.len())?;
        Some(self.end.slice(within..))
    }

    /// What is done before anything is given of a chunk.
    fn reach(&self, position: u64) -> Result<()> {
        if let Some(ahead) = &self.ahead {
            ahead.reach(position, &*self.source);
        }
        self.compare(position)
    }

    /// The chunk that this position is in, of a file that has digests, and whether it was compared.
    fn chunk(&self, position: u64) -> Option<&(Chunk, AtomicBool)> {
        let after = self.chunks.partition_point(|(chunk, _)| chunk.start <= position);
        self.chunks.get(after.checked_sub(1)?).filter(|(chunk, _)| position < chunk.end)
    }

    /// Compares the chunk that this position is in, unless it was before.
    fn compare(&self, position: u64) -> Result<()> {
        let Some((chunk, is_right)) = self.chunk(position) else { return Ok(()) };
        if is_right.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = vec![0; COMPARED_BYTES];
        let mut at = chunk.start;
        while at < chunk.end {
            let bytes = (chunk.end - at).min(COMPARED_BYTES as u64);
            let part = &mut buffer[..bytes as usize];
            self.source.read_at(at, part)?;
            crc.update(part);
            at += bytes;
        }
        if crc.finalize() != chunk.digest {
            let reason =
                format!("the bytes from {} to {} are not those that were written", chunk.start, chunk.end);
            return Err(ParquetError::General(reason));
        }
        is_right.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Length for ParquetObject {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for ParquetObject {
    type T = Box<dyn io::Read + Send>;

    fn get_read(&self, start: u64) -> Result<Box<dyn io::Read + Send>> {
        self.reach(start)?;
        if let Some(kept) = self.kept(start) {
            return Ok(Box::new(kept.reader()));
        }
        // What is behind the chunk was not compared, and may be far away.
        let end = self.chunk(start).map_or(self.bytes, |(chunk, _)| chunk.end);
        Ok(Box::new(BufReader::new(Rest::new(Arc::clone(&self.source), start, end))))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before the buffer is made: a damaged footer may ask for anything.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.bytes)));
        }
        self.reach(start)?;
        if let Some(kept) = self.kept(start) {
            return Ok(kept.slice(..length));
        }
        let mut buffer = vec![0; length];
        self.source.read_at(start, &mut buffer)?;
        Ok(buffer.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use shoal_files::Memory;

    use super::*;
    use crate::tables::ahead::tests::Noting;

    #[test]
    fn ranges_are_read_to_the_end_and_not_beyond() {
        let objects = Memory::new();
        let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        objects.put("a", &bytes).unwrap();
        let object = ParquetObject::open(&objects, "a").unwrap();
        assert_eq!(object.len(), 20_000);
        assert_eq!(object.get_bytes(19_000, 1_000).unwrap(), &bytes[19_000..]);
        assert!(object.get_bytes(19_000, 1_001).is_err() && object.get_bytes(u64::MAX, 2).is_err());
        let mut rest = Vec::new();
        object.get_read(5).unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, &bytes[5..]);
        rest.clear();
        object.get_read(20_001).unwrap().read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
    #[test]
    fn the_end_of_a_file_is_read_once_and_not_kept_while_its_chunks_are_read() {
        let footer = |bytes: u32| [&vec![7; bytes as usize][..], &bytes.to_le_bytes(), b"PAR1"].concat();
        // A footer that is shorter than what is read at once, one that is longer, and a whole file that is shorter.
        for (before, metadata, reads) in [(200_000, 500, 1), (200_000, 100_000, 2), (10, 50, 1)] {
            let bytes = [&vec![9; before][..], &footer(metadata)].concat();
            let source = Arc::new(Noting::of(bytes.clone()));
            let mut object = ParquetObject {
                bytes: bytes.len() as u64,
                source: Arc::clone(&source) as Arc<dyn Source>,
                chunks: Vec::new(),
                end: Bytes::new(),
                ahead: None,
                decryption: None,
            };
            for _ in 0..2 {
                assert_eq!(object.footer().unwrap().unwrap(), footer(metadata));
            }
            assert_eq!(
                object.get_bytes(before as u64, metadata as usize).unwrap(),
                vec![7; metadata as usize]
            );
            let mut rest = Vec::new();
            object.get_read(bytes.len() as u64 - 4).unwrap().read_to_end(&mut rest).unwrap();
            assert_eq!((rest.as_slice(), source.notes.reads().len()), (&b"PAR1"[..], reads));
            object.will_read(vec![vec![0..5]]);
            assert_eq!(object.get_bytes(0, 5).unwrap(), vec![9; 5]);
            assert_eq!(source.notes.reads(), [0..5]);
        }
        for bytes in [&b""[..], b"PAR1", &[0xff; 8]] {
            let objects = Memory::new();
            objects.put("a", bytes).unwrap();
            assert!(ParquetObject::open(&objects, "a").unwrap().footer().unwrap().is_none());
        }
    }
}
