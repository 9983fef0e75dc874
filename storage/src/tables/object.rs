//! An object as Parquet's reader wants it: ranges, by position.
//!
//! Invariant: one range is one read of the store; the reader shares no position, so that threads do not disturb each
//! other. Not here: what is in the file (`read`, `merge`, `write`).

use std::io::{self, BufReader};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use shoal_files::{Objects, Rest, Source};

/// An open Parquet file.
pub(crate) struct ParquetObject {
    source: Arc<dyn Source>,
    bytes: u64,
}

impl ParquetObject {
    pub(crate) fn open(objects: &dyn Objects, name: &str) -> io::Result<ParquetObject> {
        let source: Arc<dyn Source> = Arc::from(objects.open(name)?);
        Ok(ParquetObject { bytes: source.length()?, source })
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
        Ok(BufReader::new(Rest::new(Arc::clone(&self.source), start, self.bytes)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before the buffer is made: a damaged footer may ask for anything.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.bytes)));
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
