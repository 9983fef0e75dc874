//! Encrypted objects are objects, nobody reads them in their place, and whatever changes them is told.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{Disk, Faulty, Medium as _, Memory, Rest, conformance};

const NAME: &str = "de/a";
static KEY: LazyLock<SealingKey> = LazyLock::new(|| SealingKey::generate().unwrap());

fn sealing() -> Option<Sealing> {
    with(&KEY, true)
}

fn with(key: &SealingKey, is_writing: bool) -> Option<Sealing> {
    Some(Sealing { key: key.clone(), is_writing })
}

/// With small chunks, so that there are many.
fn small<O: Objects>(inner: O) -> Encrypted<O> {
    Encrypted::new(inner, sealing()).with_chunk_bytes(1 << 10)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// Reads a whole object without asking for its length.
fn read_all(files: &dyn Objects, length: usize) -> io::Result<Vec<u8>> {
    let mut found = vec![0; length];
    files.open(NAME)?.read_at(0, &mut found)?;
    Ok(found)
}

#[test]
fn encrypted_objects_conform_wherever_they_lie() {
    let root = tempfile::tempdir().unwrap();
    for (at, sealing) in [sealing(), with(&KEY, false), None].into_iter().enumerate() {
        let disk = |of: &str| Disk::new(root.path().join(format!("{of}-{at}")));
        for chunk_bytes in [1 << 10, CHUNK_BYTES] {
            let encrypted = |inner| Encrypted::new(inner, sealing.clone()).with_chunk_bytes(chunk_bytes);
            conformance::objects(&encrypted(Memory::new()));
        }
        conformance::objects(&Encrypted::new(disk("plain"), sealing.clone()));
        conformance::objects(&Encrypted::new(Faulty::<Memory>::default(), sealing.clone()));
        conformance::objects(&Faulty::new(Encrypted::new(disk("faulty"), sealing.clone())));
    }
}

#[test]
fn sizes_of_chunks_are_powers_of_two_within_bounds() {
    let cases = [(0, 10), (1 << 10, 10), (1025, 11), (4096, 12), (1 << 20, 20), (usize::MAX, 20)];
    for (bytes, bits) in cases {
        assert_eq!(format::bits(bytes), bits, "{bytes}");
    }
}

#[test]
fn nothing_of_an_object_or_of_its_chunks_lies_in_the_medium() {
    let memory = Memory::new();
    let files = small(memory.clone());
    let marker = b"a pseudonym of somebody";
    let text = marker.repeat(400);
    files.put("a", &text).unwrap();
    files.put_if_absent("b", &text).unwrap();
    let mut draft = files.write("c").unwrap();
    text.chunks(999).for_each(|part| draft.write_all(part).unwrap());
    draft.finish().unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(files.read(name).unwrap(), text);
        let stored = memory.read(name).unwrap();
        assert!(!stored.windows(8).any(|part| marker.starts_with(part)), "{name}");
        assert_eq!(stored.len(), 32 + text.len() + text.len().div_ceil(1 << 10) * crate::SEAL_BYTES);
    }
    assert_ne!(memory.read("a").unwrap(), memory.read("b").unwrap());
}

#[test]
fn a_bit_that_flips_anywhere_is_found_by_who_reads_there() {
    let (memory, length) = (Memory::new(), 3000);
    let files = small(memory.clone());
    files.put(NAME, &bytes(length)).unwrap();
    let stored = memory.read(NAME).unwrap();
    for at in 0..stored.len() {
        let mut changed = stored.clone();
        changed[at] ^= 1 << (at % 8);
        memory.put(NAME, &changed).unwrap();
        for files in [&files, &files.clone().reading_plain()] {
            assert_eq!(kind(files.read(NAME)), Some(ErrorKind::InvalidData), "{at}");
            assert_eq!(kind(read_all(files, length)), Some(ErrorKind::InvalidData), "{at}");
        }
        assert_eq!(files.list("").unwrap().len(), 1, "it is listed all the same");
    }
}

#[test]
fn an_object_that_was_cut_or_has_grown_is_found_by_its_length_and_by_its_end() {
    for length in [0, 1, 1023, 1024, 1025, 2048, 3000] {
        let memory = Memory::new();
        let files = small(memory.clone());
        files.put(NAME, &bytes(length)).unwrap();
        let stored = memory.read(NAME).unwrap();
        for cut in 1..stored.len() {
            memory.put(NAME, &stored[..cut]).unwrap();
            for files in [&files, &files.clone().reading_plain()] {
                let asked = files.open(NAME).and_then(|source| source.length());
                assert_eq!(kind(asked), Some(ErrorKind::InvalidData), "{length} {cut}");
                assert_eq!(kind(files.read(NAME)), Some(ErrorKind::InvalidData), "{length} {cut}");
                // Who knows how much there was is not told that there is less.
                let beyond = read_all(files, length.max(1));
                assert_eq!(kind(beyond), Some(ErrorKind::InvalidData), "{length} {cut}");
            }
        }
        memory.put(NAME, &[]).unwrap();
        assert_eq!(kind(files.open(NAME)), Some(ErrorKind::InvalidData));
        for more in [1, 39, 40, 41, 1064] {
            memory.put(NAME, &[&stored[..], &vec![7; more]].concat()).unwrap();
            assert_eq!(kind(files.read(NAME)), Some(ErrorKind::InvalidData), "{length} {more}");
        }
    }
}

#[test]
fn what_was_written_under_another_name_or_with_another_key_does_not_open() {
    let memory = Memory::new();
    let files = small(memory.clone());
    files.put("a", &bytes(2000)).unwrap();
    files.put("b", &bytes(2000)).unwrap();
    memory.rename("a", "c").unwrap();
    assert_eq!(kind(files.read("c")), Some(ErrorKind::InvalidData), "renamed");
    let other = Encrypted::new(memory.clone(), with(&SealingKey::generate().unwrap(), true));
    assert_eq!(kind(other.read("b")), Some(ErrorKind::InvalidData), "another key");
    assert_eq!(kind(other.reading_plain().read("b")), Some(ErrorKind::InvalidData));
    let without = Encrypted::new(memory.clone(), None);
    let told = without.open("b").err().unwrap();
    assert!(told.kind() == ErrorKind::InvalidData && told.to_string().contains("there is no key"), "{told}");
    // A chunk of an older object of the same name, and one of another place in the same object.
    let older = memory.read("b").unwrap();
    files.put("b", &bytes(2000)).unwrap();
    let newer = memory.read("b").unwrap();
    let (first, second) = (32..32 + 1064, 32 + 1064..older.len());
    for mixed in [
        [&newer[..second.start], &older[second.clone()]].concat(),
        [&newer[..first.start], &newer[first.clone()], &newer[first.clone()], &newer[second.clone()]]
            .concat(),
        [&older[..first.start], &newer[first.start..]].concat(),
    ] {
        memory.put("b", &mixed).unwrap();
        assert_eq!(kind(files.read("b")), Some(ErrorKind::InvalidData));
    }
}

#[test]
fn what_was_in_the_clear_is_read_where_it_was_asked_for_and_stays_until_it_is_replaced() {
    let memory = Memory::new();
    for length in [0, 1, 7, 8, 31, 32, 5000] {
        memory.put(NAME, &bytes(length)).unwrap();
        let files = small(memory.clone());
        let told = files.open(NAME).err().unwrap();
        assert!(told.kind() == ErrorKind::InvalidData && told.to_string().contains("in the clear"), "{told}");
        let files = files.reading_plain();
        assert_eq!(files.read(NAME).unwrap(), bytes(length));
        assert_eq!(files.list("").unwrap()[0].bytes, length as u64);
        files.put(NAME, &bytes(length)).unwrap();
        assert_ne!(memory.read(NAME).unwrap(), bytes(length));
        // With a key for reading only both are read, and what is written is in the clear.
        let files = Encrypted::new(memory.clone(), with(&KEY, false));
        assert_eq!(files.read(NAME).unwrap(), bytes(length));
        assert_eq!(files.list("").unwrap()[0].bytes, length as u64);
        let mut draft = files.write(NAME).unwrap();
        draft.write_all(&bytes(length)).unwrap();
        draft.finish().unwrap();
        assert_eq!((files.read(NAME).unwrap(), memory.read(NAME).unwrap()), (bytes(length), bytes(length)));
    }
}

#[test]
fn a_crash_anywhere_leaves_an_object_whole_or_as_it_was() {
    let work = |files: &dyn Objects| {
        let mut draft = files.write(NAME)?;
        bytes(600_000).chunks(70_000).try_for_each(|part| draft.write_all(part))?;
        draft.finish()
    };
    let faulty = Faulty::<Memory>::default();
    assert_eq!(work(&small(faulty.clone())).unwrap(), 600_000);
    assert!(faulty.operations() > 3);
    for at in 0..faulty.operations() {
        let faulty = Faulty::<Memory>::default();
        small(faulty.clone()).put(NAME, b"older").unwrap();
        faulty.crash_at(faulty.operations() + at);
        assert!(work(&small(faulty.clone())).is_err());
        let found = small(faulty.after_power_cut(at)).read(NAME).unwrap();
        assert!(found == b"older" || found == bytes(600_000), "{at}");
    }
}

#[test]
fn after_a_part_that_was_not_written_an_object_is_never_finished() {
    let faulty = Faulty::<Memory>::default();
    let mut draft = small(faulty.clone()).write(NAME).unwrap();
    draft.write_all(&bytes(5000)).unwrap();
    faulty.crash_at(faulty.operations());
    assert!(draft.flush().is_err());
    faulty.crash_at(u64::MAX);
    assert!(draft.write(b"x").is_err() && draft.finish().is_err());
    assert_eq!(kind(faulty.open(NAME)), Some(ErrorKind::NotFound));
}

#[test]
fn small_reads_in_a_row_are_all_of_it_and_decrypt_a_chunk_once() {
    let memory = Memory::new();
    let files = small(memory.clone());
    files.put(NAME, &bytes(10_000)).unwrap();
    let mut rest = Rest::new(files.open(NAME).unwrap().into(), 10, 9_990);
    let mut found = Vec::new();
    let mut buffer = [0; 77];
    while let length @ 1.. = std::io::Read::read(&mut rest, &mut buffer).unwrap() {
        found.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(found, bytes(10_000)[10..9_990]);
    let (source, mut two) = (files.open(NAME).unwrap(), [0; 2]);
    source.read_at(1030, &mut two).unwrap();
    memory.edit(NAME).unwrap().write_at(32, &[7; 10_000]).unwrap();
    source.read_at(2046, &mut two).unwrap();
    assert_eq!(two, bytes(10_000)[2046..2048], "from the chunk that was decrypted");
    assert_eq!(kind(source.read_at(2048, &mut two)), Some(ErrorKind::InvalidData));
}

proptest! {
    #[test]
    fn ranges_are_those_of_the_bytes(
        length in 0..20_000usize,
        parts in prop::collection::vec(1..5000usize, 1..6),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
    ) {
        let (all, files) = (bytes(length), small(Memory::new()));
        let mut draft = files.write(NAME).unwrap();
        let mut rest = &all[..];
        for part in parts.iter().cycle() {
            if rest.is_empty() { break }
            let (now, later) = rest.split_at(rest.len().min(*part));
            draft.write_all(now).unwrap();
            rest = later;
        }
        prop_assert_eq!(draft.finish().unwrap(), length as u64);
        let source = files.open(NAME).unwrap();
        prop_assert_eq!(source.length().unwrap(), length as u64);
        prop_assert_eq!(files.list("").unwrap()[0].bytes, length as u64);
        for (a, b) in ranges {
            let (a, b) = (a.index(length + 1), b.index(length + 1));
            let (from, to) = (a.min(b), a.max(b));
            let mut found = vec![0; to - from];
            source.read_at(from as u64, &mut found).unwrap();
            prop_assert!(found == all[from..to]);
            let mut beyond = vec![0; length - from + 1];
            prop_assert_eq!(kind(source.read_at(from as u64, &mut beyond)), Some(ErrorKind::UnexpectedEof));
        }
        prop_assert_eq!(kind(source.read_at(u64::MAX, &mut [0; 2])), Some(ErrorKind::UnexpectedEof));
    }
}
