//! The digest of bytes, which tells whether a copy is what it was copied from.
//!
//! Invariant: one read of the source, a part at a time, however long it is. Not here: what is copied, and where.

use std::io::{self, Write};

use crate::objects::Source;

/// Bytes that are read at one time.
const PART_BYTES: usize = 1 << 20;

/// The BLAKE3 hash of some bytes.
pub type Digest = [u8; 32];

/// The digest of a source.
///
/// # Errors
/// When it cannot be read, or becomes shorter meanwhile.
pub fn digest(source: &dyn Source) -> io::Result<Digest> {
    copy(source, &mut io::sink())
}

/// Writes the bytes of a source, and answers their digest.
///
/// # Errors
/// When they cannot be read or written, or become fewer meanwhile.
pub fn copy(source: &dyn Source, to: &mut dyn Write) -> io::Result<Digest> {
    let length = source.length()?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PART_BYTES.min(usize::try_from(length).unwrap_or(PART_BYTES))];
    let mut at = 0;
    while at < length {
        let bytes = usize::try_from(length - at).unwrap_or(PART_BYTES).min(PART_BYTES);
        let part = &mut buffer[..bytes];
        source.read_at(at, part)?;
        hasher.update(part);
        to.write_all(part)?;
        at += bytes as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Memory, Objects as _};

    #[test]
    fn a_copy_has_the_bytes_and_the_digest_of_its_source() {
        let memory = Memory::new();
        for length in [0, 1, PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            memory.put("a", &bytes).unwrap();
            let mut copied = Vec::new();
            let source = memory.open("a").unwrap();
            let told = copy(&*source, &mut copied).unwrap();
            assert!(copied == bytes && told == *blake3::hash(&bytes).as_bytes());
            assert_eq!(digest(&*source).unwrap(), told);
            assert_eq!(digest(&bytes.as_slice()).unwrap(), told, "bytes in memory are a source, too");
            assert!(bytes.as_slice().read_at(1, &mut vec![0; length]).is_err(), "it ends where they end");
        }
    }
}
