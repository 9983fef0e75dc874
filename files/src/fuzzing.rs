//! What decodes bytes of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Keys are
//! those of no service. Not here: inputs (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`).

use std::io;

use crate::{Encrypted, Medium, Memory, Objects, SealedFile, Sealing, SealingKey, Source};

const NAME: &str = "object";
/// No more is read of an input that says that it has more bytes.
const READ_BYTES_MAX: u64 = 1 << 20;

fn key() -> SealingKey {
    SealingKey::new(&[7; crate::KEY_BYTES])
}

fn stored(bytes: &[u8]) -> Memory {
    let memory = Memory::new();
    memory.put(NAME, bytes).expect("a memory takes any bytes");
    memory
}

fn whole(source: &dyn Source) -> io::Result<Vec<u8>> {
    let length = source.length()?;
    assert!(length <= READ_BYTES_MAX + 64, "{length} bytes are said to be in far fewer");
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A sealed object. What is read of it in two parts is what is read at once, and an object of the same bytes is read as the same.
pub fn sealed_object(bytes: &[u8]) -> bool {
    if bytes.len() as u64 > READ_BYTES_MAX {
        return false;
    }
    let objects = Encrypted::new(stored(bytes), Some(Sealing { key: key(), is_writing: true }));
    let Ok(source) = objects.open(NAME) else { return false };
    let Ok(read) = whole(&*source) else { return false };
    let middle = read.len() / 2;
    let (mut first, mut second) = (vec![0; middle], vec![0; read.len() - middle]);
    source.read_at(0, &mut first).expect("what can be read as a whole can be read in parts");
    source.read_at(middle as u64, &mut second).expect("what can be read as a whole can be read in parts");
    assert!([first, second].concat() == read);
    objects.put("again", &read).expect("a memory takes any bytes");
    assert!(objects.read("again").is_ok_and(|again| again == read));
    true
}

/// A sealed file. What is read of it can be written, and is there when it is opened again.
pub fn sealed_file(bytes: &[u8]) -> bool {
    if bytes.len() as u64 > READ_BYTES_MAX {
        return false;
    }
    let memory = stored(bytes);
    let open = || memory.edit(NAME).and_then(|file| SealedFile::open(file, key()));
    let Ok(file) = open() else { return false };
    let Ok(read) = whole(&file) else { return false };
    crate::LogFile::write_at(&file, 0, &read).expect("a memory takes any bytes");
    crate::LogFile::sync(&file).expect("a memory takes any bytes");
    drop(file);
    assert!(open().and_then(|file| whole(&file)).is_ok_and(|again| again == read));
    true
}

#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;
#[cfg(test)]
mod tests;
