//! An object as Parquet's reader wants it: ranges, by position.
//!
//! Invariants: one range is one read of the store; the reader shares no position, so that threads do not disturb each
//! other. Of a file that has digests, a chunk is compared with its own before anything of it is given.
//! Not here: what is in the file (`read`, `merge`, `write`), how digests come about (`digest`).

use std::io::{self, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use shoal_files::{Objects, Rest, Source};

use crate::error::StorageError;
use crate::tables::digest::{self, Chunk, TAIL_BYTES};
use crate::tables::encryption::TableKeys;
use crate::tables::live_file::LiveFile;

/// Bytes that are compared at one time.
const COMPARED_BYTES: usize = 256 * 1024;
/// The last bytes of a file with an encrypted footer.
const ENCRYPTED_MAGIC: &[u8] = b"PARE";

/// An open Parquet file.
pub(crate) struct ParquetObject {
    source: Arc<dyn Source>,
    bytes: u64,
    /// In ascending order, and whether each was compared with its digest; none of a file without digests.
    chunks: Vec<(Chunk, AtomicBool)>,
    /// What its readers decrypt it with; none when it is not encrypted.
    decryption: Option<Arc<FileDecryptionProperties>>,
}

impl ParquetObject {
    pub(crate) fn open(objects: &dyn Objects, name: &str) -> io::Result<ParquetObject> {
        let source: Arc<dyn Source> = Arc::from(objects.open(name)?);
        Ok(ParquetObject { bytes: source.length()?, source, chunks: Vec::new(), decryption: None })
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
        let metadata = object.metadata()?;
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

    /// The footer with its length and magic; none when the file has no room for it.
    fn footer(&self) -> io::Result<Option<Vec<u8>>> {
        let mut tail = [0; TAIL_BYTES];
        let Some(tail_at) = self.bytes.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
        self.source.read_at(tail_at, &mut tail)?;
        let bytes = digest::metadata_bytes(tail);
        let Some(start) = tail_at.checked_sub(bytes as u64) else { return Ok(None) };
        let mut footer = vec![0; bytes + TAIL_BYTES];
        self.source.read_at(start, &mut footer)?;
        Ok(Some(footer))
    }

    /// Compares the chunk that this position is in, unless it was before.
    fn compare(&self, position: u64) -> Result<()> {
        let after = self.chunks.partition_point(|(chunk, _)| chunk.start <= position);
        let Some((chunk, is_right)) = after.checked_sub(1).and_then(|at| self.chunks.get(at)) else {
            return Ok(());
        };
        if position >= chunk.end || is_right.load(Ordering::Relaxed) {
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
    type T = BufReader<Rest>;

    fn get_read(&self, start: u64) -> Result<BufReader<Rest>> {
        self.compare(start)?;
        Ok(BufReader::new(Rest::new(Arc::clone(&self.source), start, self.bytes)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before the buffer is made: a damaged footer may ask for anything.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.bytes)));
        }
        self.compare(start)?;
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
}
